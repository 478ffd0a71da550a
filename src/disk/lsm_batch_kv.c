/* lsm_batch_kv.c - writes that happen together, gathered. */
#include "lsm_batch_kv.h"

#include <stdlib.h>
#define XXH_INLINE_ALL
#include <xxhash.h>

#include "core/varint.h"

struct sd_kv_batch *sd_kv_batch_new(bool indexed)
{
	struct sd_kv_batch *b = calloc(1, sizeof(*b));
	if (!b)
		return NULL;
	b->indexed = indexed;
	sd_kv_batch_clear(b);
	return b;
}

void sd_kv_batch_free(struct sd_kv_batch *b)
{
	if (!b)
		return;
	free(b->bytes.p);
	free(b->slots);
	free(b->range_at.p);
	free(b);
}

void sd_kv_batch_clear(struct sd_kv_batch *b)
{
	b->bytes.n = b->range_at.n = 0;
	b->bytes.full = b->range_at.full = false;
	b->count = 0;
	b->err = SD_OK;
	b->ending = b->ranges = false;
	if (b->used > 0)
		memset(b->slots, 0, b->nslots * sizeof(b->slots[0]));
	b->used = 0;
	sd_lsm_batch_begin(&b->bytes, 0);
}

uint32_t sd_kv_batch_count(const struct sd_kv_batch *b)
{
	return b->count;
}

size_t sd_kv_batch_bytes(const struct sd_kv_batch *b)
{
	return b->bytes.n;
}

/* ---- the index ---- */

static uint32_t hash_of(struct sd_slice key)
{
	return (uint32_t)XXH3_64bits(key.n > 0 ? key.p : "", key.n);
}

/* The entry at a place. */
static struct sd_lsm_batch_at entry_at(const struct sd_kv_batch *b, uint32_t at)
{
	struct sd_lsm_batch_at e = {.left = {b->bytes.p + at, b->bytes.n - at}, .count = 1};
	sd_lsm_batch_next(&e);
	return e;
}

static bool same(struct sd_slice a, struct sd_slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* The slot of a key, or the free one where it would go. */
static struct lsm_batch_slot *slot_of(const struct sd_kv_batch *b, struct sd_slice key, uint32_t hash)
{
	for (size_t i = hash & (b->nslots - 1);; i = (i + 1) & (b->nslots - 1)) {
		struct lsm_batch_slot *s = &b->slots[i];
		if (!s->at || (s->hash == hash && same(entry_at(b, s->at).key, key)))
			return s;
	}
}

static bool grow_index(struct sd_kv_batch *b)
{
	size_t before = b->nslots, n = before ? 2 * before : 64;
	struct lsm_batch_slot *old = b->slots, *more = calloc(n, sizeof(*more));
	if (!more)
		return false;
	b->slots = more;
	b->nslots = n;
	for (size_t i = 0; i < before; i++) {
		if (!old[i].at)
			continue;
		size_t k = old[i].hash & (n - 1);
		while (more[k].at)
			k = (k + 1) & (n - 1);
		more[k] = old[i];
	}
	free(old);
	return true;
}

static void index_key(struct sd_kv_batch *b, struct sd_slice key, uint32_t at)
{
	if (2 * b->used >= b->nslots && !grow_index(b)) {
		b->bytes.full = true;
		return;
	}
	uint32_t hash = hash_of(key);
	struct lsm_batch_slot *s = slot_of(b, key, hash);
	b->used += !s->at;
	*s = (struct lsm_batch_slot){hash, at};
}

static bool in_range(const struct sd_kv_batch *b, uint32_t at, struct sd_slice key)
{
	struct sd_lsm_batch_at r = entry_at(b, at);
	return sd_lsm_bytewise(r.key, key) <= 0 && (r.value.n == 0 || sd_lsm_bytewise(key, r.value) < 0);
}

enum sd_err sd_kv_batch_find(const struct sd_kv_batch *b, struct sd_slice key, struct sd_slice *value, int64_t *until_ms)
{
	uint32_t at = b->nslots ? slot_of(b, key, hash_of(key))->at : 0;
	for (size_t i = 0; i < b->range_at.n; i += 4) {
		uint32_t range = (uint32_t)sd_get_le(b->range_at.p + i, 4);
		if (range > at && in_range(b, range, key))
			return SD_ENOTFOUND;
	}
	if (!at)
		return SD_EAGAIN;
	struct sd_lsm_batch_at e = entry_at(b, at);
	*until_ms = 0;
	if (e.kind == SD_LSM_GONE)
		return SD_ENOTFOUND;
	if (e.kind == SD_LSM_ENDING) {
		*until_ms = (int64_t)sd_get_le(e.value.p, 8);
		e.value = (struct sd_slice){e.value.p + 8, e.value.n - 8};
	}
	*value = e.value;
	return SD_OK;
}

static int by_bytes(const void *a, const void *b)
{
	return sd_lsm_bytewise(*(const struct sd_slice *)a, *(const struct sd_slice *)b);
}

bool sd_kv_batch_keys(const struct sd_kv_batch *b, struct sd_slice **keys, size_t *n)
{
	*n = 0;
	*keys = malloc((b->used + 1) * sizeof(**keys));
	if (!*keys)
		return false;
	for (size_t i = 0; i < b->nslots; i++)
		if (b->slots[i].at)
			(*keys)[(*n)++] = entry_at(b, b->slots[i].at).key;
	qsort(*keys, *n, sizeof(**keys), by_bytes);
	return true;
}

/* ---- gathering ---- */

static bool refuse(struct sd_kv_batch *b, const char *what, size_t n, size_t most)
{
	if (n <= most)
		return false;
	if (!b->err)
		b->err = sd_fail(&b->why, SD_ETOOBIG, "a %s of %zu bytes is too large; at most %zu", what, n, most);
	return true;
}

static void put_head(struct sd_kv_batch *b, enum sd_lsm_kind kind, struct sd_slice key)
{
	char head[1 + SD_VARINT_MAX] = {(char)kind};
	sd_put_le(b->bytes.p + 8, ++b->count, 4);
	sd_text_add(&b->bytes, head, 1 + sd_put_varint(head + 1, key.n));
	sd_text_add(&b->bytes, key.p, key.n);
}

static void put_value(struct sd_kv_batch *b, const char *front, size_t nfront, struct sd_slice value)
{
	char head[SD_VARINT_MAX];
	sd_text_add(&b->bytes, head, sd_put_varint(head, nfront + value.n));
	sd_text_add(&b->bytes, front, nfront);
	sd_text_add(&b->bytes, value.p, value.n);
}

static bool does_not_fit(struct sd_kv_batch *b, struct sd_slice key, struct sd_slice value, size_t most)
{
	return b->bytes.full || refuse(b, "key", key.n, SD_KV_KEY_MAX) || refuse(b, most == SD_KV_KEY_MAX ? "key" : "value", value.n, most) ||
	       refuse(b, "batch", b->bytes.n + key.n + value.n + 32, SD_KV_BATCH_MAX);
}

void sd_kv_batch_put(struct sd_kv_batch *b, struct sd_slice key, struct sd_slice value)
{
	uint32_t at = (uint32_t)b->bytes.n;
	if (does_not_fit(b, key, value, SD_KV_VALUE_MAX))
		return;
	put_head(b, SD_LSM_VALUE, key);
	put_value(b, NULL, 0, value);
	if (b->indexed && !b->bytes.full)
		index_key(b, key, at);
}

void sd_kv_batch_put_until(struct sd_kv_batch *b, struct sd_slice key, struct sd_slice value, int64_t until_ms)
{
	char ends[8];
	uint32_t at = (uint32_t)b->bytes.n;
	if (until_ms == 0) {
		sd_kv_batch_put(b, key, value);
		return;
	}
	if (does_not_fit(b, key, value, SD_KV_VALUE_MAX))
		return;
	b->ending = true;
	sd_put_le(ends, until_ms > 0 ? (uint64_t)until_ms : 1, 8);
	put_head(b, SD_LSM_ENDING, key);
	put_value(b, ends, sizeof(ends), value);
	if (b->indexed && !b->bytes.full)
		index_key(b, key, at);
}

void sd_kv_batch_delete(struct sd_kv_batch *b, struct sd_slice key)
{
	uint32_t at = (uint32_t)b->bytes.n;
	if (does_not_fit(b, key, (struct sd_slice){NULL, 0}, SD_KV_VALUE_MAX))
		return;
	put_head(b, SD_LSM_GONE, key);
	if (b->indexed && !b->bytes.full)
		index_key(b, key, at);
}

/* A range without an end has an empty one here; sd_kv_write puts the last key there is in its place. */
void sd_kv_batch_delete_range(struct sd_kv_batch *b, struct sd_slice from, const struct sd_slice *to)
{
	char place[4];
	struct sd_slice end = to ? *to : (struct sd_slice){NULL, 0};
	if (to && sd_lsm_bytewise(from, *to) >= 0)
		return;
	if (does_not_fit(b, from, end, SD_KV_KEY_MAX))
		return;
	sd_put_le(place, b->bytes.n, 4);
	b->ranges = true;
	put_head(b, SD_LSM_RANGE_GONE, from);
	put_value(b, NULL, 0, end);
	sd_text_add(&b->range_at, place, sizeof(place));
	b->bytes.full |= b->range_at.full;
}
