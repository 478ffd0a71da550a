/* lsm_filter.c - the hash, the bits, and where they lie. */
#include "lsm_filter.h"

#include <stdlib.h>

#define BITS_A_KEY 10
#define PROBES     6 /* ten times the natural logarithm of two, and no more */
#define PROBES_MAX 30
#define BASE_LG    11
#define FILTER_END 5 /* bytes behind the offsets */

/* In the manner of MurmurHash, as LevelDB has it in util/hash. */
static uint32_t hash_of(struct sd_slice key)
{
	const uint32_t m = 0xc6a4a793u;
	uint32_t h = 0xbc9f1d34u ^ (uint32_t)(key.n * m);
	size_t i = 0;
	for (; key.n - i >= 4; i += 4) {
		h = (h + (uint32_t)sd_get_le(key.p + i, 4)) * m;
		h ^= h >> 16;
	}
	if (i < key.n) {
		h = (h + (uint32_t)sd_get_le(key.p + i, key.n - i)) * m;
		h ^= h >> 24;
	}
	return h;
}

static bool may(const uint8_t *p, size_t n, uint32_t h)
{
	if (n < 2)
		return false;
	size_t bits = (n - 1) * 8, probes = p[n - 1];
	uint32_t step = h >> 17 | h << 15;
	for (size_t i = 0; i < probes && probes <= PROBES_MAX; i++, h += step)
		if (!(p[h % bits / 8] >> (h % bits % 8) & 1))
			return false;
	return true;
}

bool sd_lsm_filter_may(struct sd_slice filters, uint64_t offset, struct sd_slice user)
{
	const uint8_t *p = (const uint8_t *)filters.p;
	if (filters.n < FILTER_END || p[filters.n - 1] > 62)
		return true;
	uint64_t offsets = sd_get_le(p + filters.n - FILTER_END, 4), i = offset >> p[filters.n - 1];
	if (offsets > filters.n - FILTER_END || i >= (filters.n - FILTER_END - offsets) / 4)
		return true;
	uint64_t from = sd_get_le(p + offsets + 4 * i, 4), to = sd_get_le(p + offsets + 4 * i + 4, 4);
	if (from > to || to > offsets)
		return true;
	return may(p + from, (size_t)(to - from), hash_of(user));
}

void sd_lsm_filter_free(struct sd_lsm_filter_out *o)
{
	free(o->bytes.p);
	free(o->offsets.p);
	free(o->hashes.p);
	*o = (struct sd_lsm_filter_out){0};
}

static void put_offset(struct sd_text *t, size_t offset)
{
	char le[4];
	sd_put_le(le, offset, 4);
	sd_text_add(t, le, 4);
}

/* The filter of the keys that came since the last one; of none it is empty. */
static void finish_one(struct sd_lsm_filter_out *o)
{
	size_t keys = o->hashes.n / 4, at = o->bytes.n;
	put_offset(&o->offsets, at);
	if (keys == 0)
		return;
	size_t bytes = keys * BITS_A_KEY < 64 ? 8 : (keys * BITS_A_KEY + 7) / 8, bits = bytes * 8;
	sd_text_fill(&o->bytes, 0, bytes);
	sd_text_fill(&o->bytes, PROBES, 1);
	for (size_t k = 0; k < keys && !o->bytes.full; k++) {
		uint32_t h = (uint32_t)sd_get_le(o->hashes.p + 4 * k, 4), step = h >> 17 | h << 15;
		for (int i = 0; i < PROBES; i++, h += step)
			o->bytes.p[at + h % bits / 8] |= (char)(1 << (h % bits % 8));
	}
	o->hashes.n = 0;
}

void sd_lsm_filter_block(struct sd_lsm_filter_out *o, uint64_t offset)
{
	while (!o->offsets.full && offset >> BASE_LG > o->offsets.n / 4)
		finish_one(o);
}

void sd_lsm_filter_add(struct sd_lsm_filter_out *o, struct sd_slice user)
{
	put_offset(&o->hashes, hash_of(user));
}

struct sd_slice sd_lsm_filter_end(struct sd_lsm_filter_out *o)
{
	if (o->hashes.n > 0)
		finish_one(o);
	size_t offsets = o->bytes.n;
	sd_text_add(&o->bytes, o->offsets.p, o->offsets.n);
	put_offset(&o->bytes, offsets);
	sd_text_fill(&o->bytes, BASE_LG, 1);
	if (o->bytes.full || o->offsets.full || o->hashes.full)
		return (struct sd_slice){NULL, 0};
	return (struct sd_slice){o->bytes.p, o->bytes.n};
}
