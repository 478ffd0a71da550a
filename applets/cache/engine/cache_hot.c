/* cache_hot.c - HOTKEYS: the keys asked for most. About one command in sixteen is looked at, chosen by chance, so that no pattern of commands hides
 * one; what it names is counted (core/space_saving.h), and all counts are halved every ten seconds. */
#include <stdlib.h>

#include "cache.h"

#define EVERY	 16
#define COUNTERS 512
#define HALF_MS	 10000
#define TOP_MAX	 128
#define LOOK_MS	 100

void cache_hot_begin(struct cache *c)
{
	c->hot = (struct cache_hot){.seen = sd_space_saving_new(COUNTERS), .skip = 1, .halved_ms = c->now_ms};
}

void cache_hot_end(struct cache *c)
{
	sd_space_saving_free(c->hot.seen);
	c->hot.seen = NULL;
}

/* Time that goes back begins anew. */
static void halve(struct cache *c)
{
	struct cache_hot *h = &c->hot;
	if (c->now_ms < h->halved_ms)
		h->halved_ms = c->now_ms;
	if (c->now_ms - h->halved_ms >= 64 * HALF_MS) {
		sd_space_saving_clear(h->seen);
		h->weight_ms = 2 * HALF_MS;
		h->halved_ms = c->now_ms;
	}
	for (; c->now_ms - h->halved_ms >= HALF_MS; h->halved_ms += HALF_MS) {
		sd_space_saving_halve(h->seen);
		h->weight_ms = (h->weight_ms + HALF_MS) / 2;
	}
}

void cache_hot_sample(const struct cache_call *c)
{
	struct cache_hot *h = &c->cache->hot;
	struct sd_redis_keys keys;
	h->skip = 1 + sd_rng_below(&c->cache->rng, 2 * EVERY - 1);
	if (!h->seen || !sd_redis_keys(c->command->is, c->argc, c->argv, &keys))
		return;
	halve(c->cache);
	for (size_t i = 0; i < keys.n; i++) {
		struct sd_slice key = c->argv[keys.first + i * keys.step];
		sd_space_saving_add(h->seen, key, c->db->number, sd_dict_hash(&c->db->keys, key));
	}
}

void cache_hot_elsewhere(struct cache *c, struct sd_slice key, int64_t now_ms)
{
	struct cache_hot *h = &c->hot;
	if (--h->skip)
		return;
	h->skip = 1 + sd_rng_below(&c->rng, 2 * EVERY - 1);
	if (!h->seen)
		return;
	c->now_ms = now_ms;
	halve(c);
	sd_space_saving_add(h->seen, key, 0, sd_dict_hash(&c->dbs[0].keys, key));
}

static int64_t per_second(const struct cache *c, uint64_t n)
{
	int64_t ms = c->hot.weight_ms + c->now_ms - c->hot.halved_ms;
	return (int64_t)((double)n * EVERY * 1000 / (double)(ms < 1000 ? 1000 : ms) + 0.5);
}

/* Only what is sure counts: the count without its error. */
static void look(struct cache *c, int64_t a_second)
{
	struct cache_hot *h = &c->hot;
	struct sd_space_saving_top top[CACHE_HOTTEST];
	halve(c);
	size_t n = sd_space_saving_top(h->seen, top, CACHE_HOTTEST);
	h->nhottest = 0;
	for (size_t i = 0; i < n; i++)
		if (top[i].group == 0 && per_second(c, top[i].count - top[i].error) > a_second)
			h->hottest[h->nhottest++] = sd_dict_hash(&c->dbs[0].keys, top[i].key);
}

bool cache_is_hot(struct cache *c, struct sd_slice key, int64_t a_second, int64_t now_ms)
{
	struct cache_hot *h = &c->hot;
	if (!h->seen)
		return false;
	if (now_ms - h->looked_ms >= LOOK_MS || now_ms < h->looked_ms) {
		c->now_ms = h->looked_ms = now_ms;
		look(c, a_second);
	}
	uint32_t hash = h->nhottest ? sd_dict_hash(&c->dbs[0].keys, key) : 0;
	for (unsigned i = 0; i < h->nhottest; i++)
		if (h->hottest[i] == hash)
			return true;
	return false;
}

static void reply(struct cache_call *c, size_t count)
{
	struct sd_space_saving_top top[TOP_MAX];
	size_t n = sd_space_saving_top(c->cache->hot.seen, top, count), place = sd_resp_later(c->out), told = 0;
	for (size_t i = 0; i < n; i++) {
		if (top[i].count == top[i].error) /* nothing is sure of it */
			continue;
		sd_resp_array(c->out, 4);
		sd_resp_bulk(c->out, top[i].key.p, top[i].key.n);
		sd_resp_int(c->out, per_second(c->cache, top[i].count));
		sd_resp_int(c->out, per_second(c->cache, top[i].error));
		sd_resp_int(c->out, top[i].group);
		told++;
	}
	sd_resp_now(c->out, place, '*', told);
}

static void cmd_hotkeys(struct cache_call *c)
{
	int64_t count = 10;
	if (c->argc != 1 && !(c->argc == 3 && cache_is(c->argv[1], "count"))) {
		sd_resp_error(c->out, sd_redis_syntax);
		return;
	}
	if (c->argc == 3 && !cache_arg_int(c, 2, &count))
		return;
	if (count < 1 || count > TOP_MAX) {
		sd_resp_errorf(c->out, "ERR COUNT must be from 1 to %d", TOP_MAX);
		return;
	}
	if (!c->cache->hot.seen) {
		sd_resp_array(c->out, 0);
		return;
	}
	halve(c->cache);
	reply(c, (size_t)count);
}

const struct cache_command cache_hot_commands[] = {
    {SD_REDIS(HOTKEYS), cmd_hotkeys},
    {0},
};
