/* kv_load.c - operations in blocks, so that making them can be left out of what is measured. */
#include "kv_load.h"

#include <inttypes.h>
#include <stdlib.h>

#include "mix.h"
#include "permute.h"
#include "rng.h"
#include "zipf.h"

#define BLOCK 1024
#define POOL  (1u << 20) /* bytes that values are cut from */
#define RUN   64         /* in it: so many of chance, then so many of them again, so that half can be compressed away */
#define SKEW  0.99       /* YCSB's */

#define PUTS {100, 0, 0, 0, 0}
#define GETS {0, 100, 0, 0, 0}

const struct sd_kv_workload sd_kv_workloads[] = {
    {"fillseq", "every key once, in order", PUTS, .order = SD_KV_IN_ORDER, .fills = true},
    {"fillrandom", "every key once, in random order", PUTS, .order = SD_KV_EACH_ONCE, .fills = true},
    {"overwrite", "random keys anew", PUTS, .order = SD_KV_EVENLY},
    {"readseq", "a scan over all keys", {0, 0, 0, 100, 0}, .order = SD_KV_IN_ORDER, .scan = 1000},
    {"readrandom", "random keys that are there", GETS, .order = SD_KV_EVENLY},
    {"readmissing", "random keys that are not there", {0, 0, 100, 0, 0}, .order = SD_KV_EVENLY},
    {"seekrandom", "a random place, and ten entries from there on", {0, 0, 0, 100, 0}, .order = SD_KV_EVENLY, .scan = 10},
    {"readwhilewriting", "readrandom, while a fourth as many keys are written", GETS, .order = SD_KV_EVENLY, .beside = true},
    {"ycsb-load", "YCSB's keys, each once", PUTS, .order = SD_KV_IN_ORDER, .hashed = true, .fills = true},
    {"ycsb-a", "half reads, half updates, by Zipf's law", {50, 50, 0, 0, 0}, .order = SD_KV_ZIPF, .hashed = true},
    {"ycsb-b", "95 % reads, 5 % updates, by Zipf's law", {5, 95, 0, 0, 0}, .order = SD_KV_ZIPF, .hashed = true},
    {"ycsb-c", "reads, by Zipf's law", GETS, .order = SD_KV_ZIPF, .hashed = true},
    {"ycsb-d", "95 % reads of what is new, 5 % inserts", {0, 95, 0, 0, 0}, 5, SD_KV_LATEST, .hashed = true},
    {"ycsb-e", "95 % scans of 1 to 100, 5 % inserts", {0, 0, 0, 95, 0}, 5, SD_KV_ZIPF, .scan = 100, .some = true, .hashed = true},
    {"ycsb-f", "half reads, half reads that write back", {0, 50, 0, 0, 50}, .order = SD_KV_ZIPF, .hashed = true},
    {0},
};

struct sd_kv_load {
	struct sd_kv_load_conf conf;
	struct sd_rng rng;
	struct sd_zipf zipf;
	struct sd_siphash_key order;
	uint64_t done, keys;
	char *texts; /* of keys, key_bytes + 1 each */
	char pool[POOL];
	struct sd_kv_op ops[BLOCK];
};

const struct sd_kv_workload *sd_kv_workload_find(const char *name)
{
	for (const struct sd_kv_workload *w = sd_kv_workloads; w->name; w++)
		if (strcmp(w->name, name) == 0)
			return w;
	return NULL;
}

void sd_kv_load_key(char *out, size_t n, uint64_t number, bool hashed)
{
	size_t at = n;
	for (uint64_t v = hashed ? sd_mix(number + 1) : number; at > 0 && n - at < 20; v /= 10)
		out[--at] = (char)('0' + v % 10);
	memset(out, '0', at);
}

static void fill_pool(struct sd_kv_load *l)
{
	for (size_t i = 0; i < POOL; i += 8) {
		uint64_t v = sd_rng_next(&l->rng);
		if (i / RUN % 2)
			memcpy(l->pool + i, l->pool + i - RUN, 8);
		else
			memcpy(l->pool + i, &v, 8);
	}
}

/* The digits of a key are enough for so many. */
static bool fits(const struct sd_kv_load_conf *conf)
{
	uint64_t room = 1;
	for (size_t i = 0; i < conf->key_bytes && room < conf->keys; i++)
		room *= 10;
	return room >= conf->keys;
}

static enum sd_err judge(const struct sd_kv_load_conf *c, struct sd_error *e)
{
	if (c->key_bytes < SD_KV_KEY_LEAST || c->key_bytes > SD_KV_KEY_MOST)
		return sd_fail(e, SD_EUSAGE, "expected keys of %d to %d bytes", SD_KV_KEY_LEAST, SD_KV_KEY_MOST);
	if (c->value_bytes > POOL)
		return sd_fail(e, SD_EUSAGE, "expected values of at most %u bytes", POOL);
	if (c->keys < 1 || c->keys > SD_KV_KEYS_MOST)
		return sd_fail(e, SD_EUSAGE, "expected 1 to %" PRIu64 " keys", SD_KV_KEYS_MOST);
	return fits(c) ? SD_OK : sd_fail(e, SD_EUSAGE, "%" PRIu64 " keys have no room in %zu digits", c->keys, c->key_bytes);
}

enum sd_err sd_kv_load_new(const struct sd_kv_load_conf *conf, struct sd_kv_load **out, struct sd_error *e)
{
	enum sd_err err = judge(conf, e);
	if (err)
		return err;
	struct sd_kv_load *l = calloc(1, sizeof(*l));
	if (!l)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	l->conf = *conf;
	l->keys = conf->keys;
	l->texts = calloc(BLOCK, conf->key_bytes + 1);
	if (!l->texts) {
		sd_kv_load_free(l);
		return sd_fail(e, SD_ENOMEM, "out of memory");
	}
	sd_rng_seed(&l->rng, conf->seed);
	l->order = (struct sd_siphash_key){sd_rng_next(&l->rng), sd_rng_next(&l->rng)};
	sd_zipf_init(&l->zipf, l->keys, SKEW);
	fill_pool(l);
	*out = l;
	return SD_OK;
}

void sd_kv_load_free(struct sd_kv_load *l)
{
	if (!l)
		return;
	free(l->texts);
	free(l);
}

uint64_t sd_kv_load_keys(const struct sd_kv_load *l)
{
	return l->keys;
}

static uint64_t number(struct sd_kv_load *l)
{
	switch (l->conf.workload->order) {
	case SD_KV_IN_ORDER: return l->done * (l->conf.workload->scan ? l->conf.workload->scan : 1) % l->keys;
	case SD_KV_EACH_ONCE: return sd_permute(&l->order, l->conf.keys, l->done % l->conf.keys);
	case SD_KV_ZIPF: return sd_mix(sd_zipf_next(&l->zipf, &l->rng)) % l->conf.keys; /* the same are hot when there are more */
	case SD_KV_LATEST: return l->keys - 1 - sd_zipf_next(&l->zipf, &l->rng);
	default: return (uint64_t)(sd_rng_unit(&l->rng) * (double)l->keys);
	}
}

/* What the dice say; SD_KV_OPS: an insert. */
static enum sd_kv_op_kind choose(struct sd_kv_load *l)
{
	const struct sd_kv_workload *w = l->conf.workload;
	unsigned dice = sd_rng_below(&l->rng, 100);
	for (unsigned i = 0; i < SD_KV_OPS; dice -= w->part[i++])
		if (dice < w->part[i])
			return (enum sd_kv_op_kind)i;
	return SD_KV_OPS;
}

static void make(struct sd_kv_load *l, size_t i)
{
	const struct sd_kv_workload *w = l->conf.workload;
	struct sd_kv_op *op = &l->ops[i];
	enum sd_kv_op_kind kind = choose(l);
	size_t n = l->conf.key_bytes;
	char *key = l->texts + i * (n + 1);
	uint64_t which = kind == SD_KV_OPS ? l->keys++ : number(l);
	if (kind == SD_KV_OPS && w->order == SD_KV_LATEST)
		sd_zipf_grow(&l->zipf, l->keys);
	sd_kv_load_key(key, n, which, w->hashed);
	key[n] = '.'; /* makes it one that is not there, among those that are */
	op->kind = kind == SD_KV_OPS ? SD_KV_OP_PUT : kind;
	op->key = (struct sd_slice){key, n + (kind == SD_KV_OP_MISS)};
	op->value = (struct sd_slice){l->pool + sd_rng_below(&l->rng, (uint32_t)(POOL - l->conf.value_bytes + 1)), l->conf.value_bytes};
	op->scan = w->scan && w->some ? 1 + sd_rng_below(&l->rng, w->scan) : w->scan;
	l->done++;
}

size_t sd_kv_load_next(struct sd_kv_load *l, const struct sd_kv_op **ops)
{
	size_t n = 0;
	while (n < BLOCK && l->done < l->conf.ops)
		make(l, n++);
	*ops = l->ops;
	return n;
}
