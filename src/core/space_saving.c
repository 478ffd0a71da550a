#include "space_saving.h"

#include <stdlib.h>
#include <string.h>

#include "list.h"
#include "mix.h"

struct bucket {
	struct sd_link link;     /* in s->buckets, lowest count first; or in s->spare */
	struct sd_link counters; /* oldest first */
	uint64_t count;
};

struct counter {
	struct sd_link link; /* in its bucket */
	struct bucket *bucket;
	struct counter *next; /* of the same place in the table */
	uint64_t error;
	uint32_t hash, group;
	size_t n, room;
	char *key;
};

struct sd_space_saving {
	size_t k, used;
	uint64_t total;
	size_t key_bytes;
	struct sd_link buckets, spare;
	struct counter *counters, **table;
	struct bucket *all_buckets; /* one more than counters: a counter enters its next bucket before it leaves the last */
	size_t mask;
};

struct sd_space_saving *sd_space_saving_new(size_t k)
{
	struct sd_space_saving *s = calloc(1, sizeof(*s));
	size_t places = 4;
	while (places < 2 * k)
		places *= 2;
	if (!s || k == 0 || k > UINT16_MAX) {
		free(s);
		return NULL;
	}
	s->k = k;
	s->mask = places - 1;
	s->counters = calloc(k, sizeof(s->counters[0]));
	s->all_buckets = calloc(k + 1, sizeof(s->all_buckets[0]));
	s->table = calloc(places, sizeof(s->table[0]));
	if (!s->counters || !s->all_buckets || !s->table) {
		sd_space_saving_free(s);
		return NULL;
	}
	sd_space_saving_clear(s);
	return s;
}

void sd_space_saving_free(struct sd_space_saving *s)
{
	if (!s)
		return;
	for (size_t i = 0; s->counters && i < s->k; i++)
		free(s->counters[i].key);
	free(s->counters);
	free(s->all_buckets);
	free(s->table);
	free(s);
}

void sd_space_saving_clear(struct sd_space_saving *s)
{
	s->used = 0;
	s->total = 0;
	memset(s->table, 0, (s->mask + 1) * sizeof(s->table[0]));
	sd_list_init(&s->buckets);
	sd_list_init(&s->spare);
	for (size_t i = 0; i <= s->k; i++) {
		sd_list_init(&s->all_buckets[i].counters);
		sd_list_add(&s->spare, &s->all_buckets[i].link);
	}
}

uint64_t sd_space_saving_total(const struct sd_space_saving *s)
{
	return s->total;
}

size_t sd_space_saving_memory(const struct sd_space_saving *s)
{
	return sizeof(*s) + s->k * (sizeof(struct counter) + sizeof(struct bucket)) + (s->mask + 1) * sizeof(s->table[0]) +
	       s->key_bytes;
}

/* ---- buckets ---- */

/* Puts the counter where its new count belongs: behind the bucket it is in, or, not being in one, at the front. */
static void place(struct sd_space_saving *s, struct counter *c, uint64_t count)
{
	struct bucket *was = c->bucket;
	struct sd_link *before = was ? &was->link : &s->buckets;
	struct bucket *to = sd_container(before->next, struct bucket, link);
	if (before->next == &s->buckets || to->count != count) {
		to = sd_container(s->spare.next, struct bucket, link);
		sd_list_del(&to->link);
		to->count = count;
		sd_list_push(before, &to->link);
	}
	if (was)
		sd_list_del(&c->link);
	sd_list_add(&to->counters, &c->link);
	c->bucket = to;
	if (was && sd_list_empty(&was->counters)) {
		sd_list_del(&was->link);
		sd_list_add(&s->spare, &was->link);
	}
}

/* ---- keys ---- */

static struct counter **table_place(const struct sd_space_saving *s, uint32_t hash, uint32_t group)
{
	return &s->table[sd_mix((uint64_t)group << 32 | hash) & s->mask];
}

static struct counter *find(const struct sd_space_saving *s, struct sd_slice key, uint32_t group, uint32_t hash)
{
	struct counter *c = *table_place(s, hash, group);
	while (c && !(c->hash == hash && c->group == group && c->n == key.n && memcmp(c->key, key.p, key.n) == 0))
		c = c->next;
	return c;
}

static void unlink_key(struct sd_space_saving *s, const struct counter *c)
{
	struct counter **at = table_place(s, c->hash, c->group);
	while (*at != c)
		at = &(*at)->next;
	*at = c->next;
}

/* False: no memory for a longer key. */
static bool make_room(struct sd_space_saving *s, struct counter *c, size_t n)
{
	if (c->key && n <= c->room)
		return true;
	size_t room = n < 32 ? 32 : n;
	char *p = realloc(c->key, room);
	if (!p)
		return false;
	s->key_bytes += room - c->room;
	c->key = p;
	c->room = room;
	return true;
}

static void give_key(struct sd_space_saving *s, struct counter *c, struct sd_slice key, uint32_t group, uint32_t hash)
{
	struct counter **at = table_place(s, hash, group);
	memcpy(c->key, key.p, key.n);
	c->n = key.n;
	c->hash = hash;
	c->group = group;
	c->next = *at;
	*at = c;
}

/* A counter for a key that has none: a free one, or of those with the lowest count the one that has it longest. */
static struct counter *counter_for(struct sd_space_saving *s, struct sd_slice key, uint32_t group, uint32_t hash)
{
	if (s->used < s->k) {
		struct counter *c = &s->counters[s->used];
		if (!make_room(s, c, key.n))
			return NULL;
		s->used++;
		c->bucket = NULL;
		c->error = 0;
		give_key(s, c, key, group, hash);
		return c;
	}
	struct bucket *lowest = sd_container(s->buckets.next, struct bucket, link);
	struct counter *c = sd_container(lowest->counters.next, struct counter, link);
	if (!make_room(s, c, key.n))
		return NULL;
	unlink_key(s, c);
	c->error = lowest->count;
	give_key(s, c, key, group, hash);
	return c;
}

void sd_space_saving_add(struct sd_space_saving *s, struct sd_slice key, uint32_t group, uint32_t hash)
{
	if (key.n > SD_SPACE_SAVING_KEY)
		key.n = SD_SPACE_SAVING_KEY;
	struct counter *c = find(s, key, group, hash);
	if (!c)
		c = counter_for(s, key, group, hash);
	if (!c)
		return;
	s->total++;
	place(s, c, c->bucket ? c->bucket->count + 1 : 1);
}

/* ---- halving ---- */

/* The count is rounded up and what is sure of it down, so that both bounds stay. */
static void halve_counter(struct counter *c, uint64_t count)
{
	uint64_t sure = count - c->error;
	c->error = (count + 1) / 2 - sure / 2;
}

/* The order stays; buckets that now have the same count become one. */
void sd_space_saving_halve(struct sd_space_saving *s)
{
	struct bucket *before = NULL;
	for (struct sd_link *l = s->buckets.next, *next; l != &s->buckets; l = next) {
		struct bucket *b = sd_container(l, struct bucket, link);
		next = l->next;
		for (struct sd_link *k = b->counters.next; k != &b->counters; k = k->next)
			halve_counter(sd_container(k, struct counter, link), b->count);
		b->count = (b->count + 1) / 2;
		if (!before || before->count != b->count) {
			before = b;
			continue;
		}
		while (!sd_list_empty(&b->counters)) {
			struct counter *c = sd_container(b->counters.next, struct counter, link);
			sd_list_del(&c->link);
			sd_list_add(&before->counters, &c->link);
			c->bucket = before;
		}
		sd_list_del(&b->link);
		sd_list_add(&s->spare, &b->link);
	}
	s->total /= 2;
}

/* ---- the top ---- */

size_t sd_space_saving_top(const struct sd_space_saving *s, struct sd_space_saving_top *out, size_t max)
{
	size_t n = 0;
	for (struct sd_link *l = s->buckets.prev; l != &s->buckets; l = l->prev) {
		const struct bucket *b = sd_container(l, struct bucket, link);
		for (struct sd_link *k = b->counters.next; k != &b->counters; k = k->next) {
			const struct counter *c = sd_container(k, struct counter, link);
			if (n == max)
				return n;
			out[n++] = (struct sd_space_saving_top){{c->key, c->n}, c->group, b->count, c->error};
		}
	}
	return n;
}
