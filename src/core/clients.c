#include "clients.h"

#include <stdlib.h>

#define WAYS       16
#define COUNT_BITS 20
#define COUNT      ((UINT64_C(1) << COUNT_BITS) - 1)

_Static_assert(SD_CLIENTS_MAX + 1024 < COUNT, "counts above the limit, which are taken back, must fit as well");

struct sd_clients {
	struct sd_siphash_key secret;
	size_t sets;
	uint64_t words[];
};

struct sd_clients *sd_clients_new(size_t sets, const struct sd_siphash_key *secret)
{
	struct sd_clients *c = calloc(1, sizeof(*c) + sets * WAYS * sizeof(uint64_t));
	if (!c)
		return NULL;
	c->secret = *secret;
	c->sets = sets;
	return c;
}

void sd_clients_free(struct sd_clients *c)
{
	free(c);
}

/* Sequentially consistent, here and where words are raised: of two that enter by different words one sees the other. */
static uint64_t look(const uint64_t *word)
{
	return __atomic_load_n(word, __ATOMIC_SEQ_CST);
}

static uint64_t tag_of(uint64_t hash)
{
	return hash & ~COUNT;
}

static size_t set_of(const struct sd_clients *c, uint64_t hash)
{
	return (hash & COUNT & (c->sets - 1)) * WAYS;
}

static uint32_t sum(const uint64_t *set, uint64_t tag)
{
	uint64_t n = 0;
	for (size_t i = 0; i < WAYS; i++) {
		uint64_t word = look(&set[i]);
		n += (word & ~COUNT) == tag ? word & COUNT : 0;
	}
	return (uint32_t)n;
}

/* The client's word, else a free one, and what was in it; WAYS: there is none. */
static size_t find(const uint64_t *set, uint64_t tag, uint64_t *seen)
{
	size_t at = WAYS;
	for (size_t i = 0; i < WAYS; i++) {
		uint64_t word = look(&set[i]);
		bool empty = (word & COUNT) == 0;
		if (empty ? at < WAYS : (word & ~COUNT) != tag)
			continue;
		at = i;
		*seen = word;
		if (!empty)
			return i;
	}
	return at;
}

static size_t raise_one(uint64_t *set, uint64_t tag)
{
	for (;;) {
		uint64_t seen = 0;
		size_t at = find(set, tag, &seen);
		uint64_t next = seen & COUNT ? seen + 1 : tag | 1;
		if (at == WAYS || __atomic_compare_exchange_n(&set[at], &seen, next, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return at;
	}
}

enum sd_clients_answer sd_clients_enter(struct sd_clients *c, const struct sd_client_key *key, uint32_t limit,
					struct sd_client_pass *out)
{
	uint64_t hash = sd_client_key_hash(key, &c->secret), tag = tag_of(hash);
	size_t first = set_of(c, hash), at = raise_one(c->words + first, tag);
	if (at == WAYS)
		return SD_CLIENTS_UNCOUNTED;
	*out = (struct sd_client_pass){c, (uint32_t)(first + at)};
	if (sum(c->words + first, tag) <= limit)
		return SD_CLIENTS_IN;
	sd_client_pass_end(out);
	return SD_CLIENTS_OVER;
}

void sd_client_pass_end(struct sd_client_pass *pass)
{
	if (pass->clients)
		__atomic_sub_fetch(&pass->clients->words[pass->place], 1, __ATOMIC_SEQ_CST);
	pass->clients = NULL;
}

uint32_t sd_clients_of(const struct sd_clients *c, const struct sd_client_key *key)
{
	uint64_t hash = sd_client_key_hash(key, &c->secret);
	return sum(c->words + set_of(c, hash), tag_of(hash));
}

size_t sd_clients_used(const struct sd_clients *c)
{
	size_t n = 0;
	for (size_t i = 0; i < c->sets * WAYS; i++)
		n += (look(&c->words[i]) & COUNT) > 0;
	return n;
}
