#include <stdlib.h>
#include <string.h>

#include "core/lin_int.h"
#include "core/mix.h"

static uint64_t hash_of(const int64_t *words, size_t n)
{
	uint64_t h = n;
	for (size_t i = 0; i < n; i++)
		h = sd_mix_in(h, (uint64_t)words[i]);
	return h;
}

/* The slot where the words are, or would be. */
static uint32_t *find(const struct sd_lin_memo *m, uint64_t hash, const int64_t *words, size_t n)
{
	for (uint64_t at = hash;; at++) {
		uint32_t *slot = &m->slots[at & (m->nslots - 1)];
		if (*slot == 0)
			return slot;
		const struct sd_lin_config *c = &m->configs[*slot - 1];
		if (c->hash == hash && c->n == n && memcmp(m->words + c->at, words, n * sizeof(*words)) == 0)
			return slot;
	}
}

/* From old to new bytes; false: too much. While it moves, both are there. */
static bool resize(struct sd_lin_memo *m, void **p, size_t old, size_t new)
{
	if (new > m->most || m->bytes > m->most - new)
		return false;
	void *moved = realloc(*p, new);
	if (!moved)
		return false;
	*p = moved;
	m->bytes += new - old;
	return true;
}

static bool grow_words(struct sd_lin_memo *m, size_t n)
{
	size_t room = m->words_room ? m->words_room : 64;
	while (room - m->nwords < n)
		room *= 2;
	if (!resize(m, (void **)&m->words, m->words_room * sizeof(*m->words), room * sizeof(*m->words)))
		return false;
	m->words_room = room;
	return true;
}

static bool grow_configs(struct sd_lin_memo *m)
{
	uint32_t room = m->configs_room ? 2 * m->configs_room : 16;
	if (room > UINT32_MAX / 4 || !resize(m, (void **)&m->configs, m->configs_room * sizeof(*m->configs),
					     room * sizeof(*m->configs)))
		return false;
	m->configs_room = room;
	uint32_t nslots = 2 * room;
	if (!resize(m, (void **)&m->slots, m->nslots * sizeof(*m->slots), nslots * sizeof(*m->slots)))
		return false;
	m->nslots = nslots;
	memset(m->slots, 0, nslots * sizeof(*m->slots));
	for (uint32_t i = 0; i < m->nconfigs; i++) {
		uint64_t at = m->configs[i].hash;
		while (m->slots[at & (nslots - 1)])
			at++;
		m->slots[at & (nslots - 1)] = i + 1;
	}
	return true;
}

enum sd_lin_put sd_lin_memo_put(struct sd_lin_memo *m, const int64_t *words, size_t n, uint32_t *number)
{
	if (m->nconfigs == m->configs_room && !grow_configs(m))
		return SD_LIN_FULL;
	uint64_t hash = hash_of(words, n);
	uint32_t *slot = find(m, hash, words, n);
	if (*slot) {
		*number = *slot - 1;
		return SD_LIN_SEEN;
	}
	if (m->words_room - m->nwords < n && !grow_words(m, n))
		return SD_LIN_FULL;
	memcpy(m->words + m->nwords, words, n * sizeof(*words));
	m->configs[m->nconfigs] = (struct sd_lin_config){hash, m->nwords, (uint32_t)n};
	m->nwords += n;
	*number = m->nconfigs++;
	*slot = m->nconfigs;
	return SD_LIN_NEW;
}

const int64_t *sd_lin_memo_words(const struct sd_lin_memo *m, uint32_t number)
{
	return m->words + m->configs[number].at;
}

void sd_lin_memo_free(struct sd_lin_memo *m)
{
	free(m->words);
	free(m->configs);
	free(m->slots);
}
