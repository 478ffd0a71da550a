/* lsm_block.c - reading and writing blocks. */
#include "lsm_block.h"

#include <stdlib.h>

#include "varint.h"

#define RESTART 4

bool sd_lsm_block_open(struct sd_lsm_block *b, const void *p, size_t n)
{
	if (n < RESTART)
		return false;
	uint32_t count = (uint32_t)sd_get_le((const uint8_t *)p + n - RESTART, RESTART);
	if (count > (n - RESTART) / RESTART)
		return false;
	*b = (struct sd_lsm_block){p, n - RESTART - (size_t)count * RESTART, count};
	return count > 0 || b->n == 0;
}

static size_t restart_at(const struct sd_lsm_block *b, uint32_t i)
{
	return (size_t)sd_get_le(b->p + b->n + (size_t)i * RESTART, RESTART);
}

/* ---- reading ---- */

void sd_lsm_at_free(struct sd_lsm_at *a)
{
	free(a->key_bytes.p);
	a->key_bytes = (struct sd_text){0};
	a->valid = false;
}

static bool damaged(struct sd_lsm_at *a)
{
	a->damaged = true;
	a->valid = false;
	return false;
}

/* The three numbers at the head of an entry; the bytes they take, 0 when they make no sense. */
static size_t entry_head(const struct sd_lsm_block *b, size_t at, uint64_t v[3])
{
	size_t used = 0;
	for (int i = 0; i < 3; i++) {
		size_t k = at + used <= b->n ? sd_get_varint(b->p + at + used, b->n - at - used, UINT32_MAX, &v[i]) : 0;
		if (!k)
			return 0;
		used += k;
	}
	return used;
}

/* Takes the entry at a->next, whose predecessor's key is in key_bytes. */
static bool take(struct sd_lsm_at *a)
{
	const struct sd_lsm_block *b = a->block;
	uint64_t v[3];
	a->valid = false;
	if (a->next >= b->n)
		return false;
	size_t head = entry_head(b, a->next, v), body = a->next + head;
	if (!head || v[0] > a->key_bytes.n || v[1] > b->n - body || v[2] > b->n - body - v[1])
		return damaged(a);
	a->key_bytes.n = (size_t)v[0];
	sd_text_add(&a->key_bytes, (const char *)b->p + body, (size_t)v[1]);
	a->key = (struct sd_slice){a->key_bytes.p, a->key_bytes.n};
	if (a->key_bytes.full || (a->internal && !sd_lsm_key_ok(a->key)))
		return damaged(a);
	a->value = (struct sd_slice){(const char *)b->p + body + v[1], (size_t)v[2]};
	a->at = a->next;
	a->next = body + (size_t)(v[1] + v[2]);
	return a->valid = true;
}

/* Takes the entry at a restart point: its key is whole. */
static bool take_restart(struct sd_lsm_at *a, uint32_t i)
{
	a->key_bytes.n = 0;
	a->next = restart_at(a->block, i);
	return a->next > a->block->n ? damaged(a) : take(a);
}

void sd_lsm_at_first(struct sd_lsm_at *a)
{
	a->valid = false;
	if (a->block->n > 0)
		take_restart(a, 0);
}

void sd_lsm_at_next(struct sd_lsm_at *a)
{
	take(a);
}

/* From a restart point that is before `end`, on to the entry that ends there. */
static void walk_to(struct sd_lsm_at *a, size_t end)
{
	uint32_t i = a->block->nrestarts;
	while (i > 0 && restart_at(a->block, i - 1) >= end)
		i--;
	if (i == 0) {
		a->valid = false;
		return;
	}
	bool good = take_restart(a, i - 1);
	while (good && a->next < end)
		good = take(a);
	if (good && a->next != end)
		damaged(a);
}

void sd_lsm_at_last(struct sd_lsm_at *a)
{
	walk_to(a, a->block->n);
}

void sd_lsm_at_prev(struct sd_lsm_at *a)
{
	walk_to(a, a->at);
}

void sd_lsm_at_seek(struct sd_lsm_at *a, struct sd_slice key)
{
	uint32_t low = 0, high = a->block->nrestarts; /* the last restart point before the key is in [low, high) */
	a->valid = false;
	if (a->block->n == 0)
		return;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (!take_restart(a, middle))
			return;
		if (a->order(a->key, key) < 0)
			low = middle;
		else
			high = middle;
	}
	for (bool good = take_restart(a, low); good && a->order(a->key, key) < 0;)
		good = take(a);
}

/* ---- writing ---- */

void sd_lsm_block_begin(struct sd_lsm_block_out *o, unsigned every)
{
	o->bytes.n = o->restarts.n = o->last.n = 0;
	o->every = every;
	o->since = every;
}

void sd_lsm_block_free(struct sd_lsm_block_out *o)
{
	free(o->bytes.p);
	free(o->restarts.p);
	free(o->last.p);
	*o = (struct sd_lsm_block_out){0};
}

static size_t in_common(struct sd_slice a, struct sd_slice b)
{
	size_t n = a.n < b.n ? a.n : b.n, i = 0;
	while (i < n && a.p[i] == b.p[i])
		i++;
	return i;
}

void sd_lsm_block_add(struct sd_lsm_block_out *o, struct sd_slice key, struct sd_slice value)
{
	uint8_t head[3 * SD_VARINT_MAX];
	size_t shared = 0, n = 0;
	if (o->since == o->every) {
		sd_put_le(head, o->bytes.n, RESTART);
		sd_text_add(&o->restarts, (const char *)head, RESTART);
		o->since = 0;
	} else {
		shared = in_common(key, (struct sd_slice){o->last.p, o->last.n});
	}
	n += sd_put_varint(head, shared);
	n += sd_put_varint(head + n, key.n - shared);
	n += sd_put_varint(head + n, value.n);
	sd_text_add(&o->bytes, (const char *)head, n);
	sd_text_add(&o->bytes, key.p + shared, key.n - shared);
	sd_text_add(&o->bytes, value.p, value.n);
	o->last.n = shared;
	sd_text_add(&o->last, key.p + shared, key.n - shared);
	o->since++;
}

/* An empty block has a restart point too. */
size_t sd_lsm_block_bytes(const struct sd_lsm_block_out *o)
{
	return o->bytes.n + (o->restarts.n ? o->restarts.n : RESTART) + RESTART;
}

struct sd_slice sd_lsm_block_end(struct sd_lsm_block_out *o)
{
	uint8_t count[RESTART] = {0};
	if (o->restarts.n == 0)
		sd_text_add(&o->restarts, (const char *)count, RESTART);
	sd_put_le(count, o->restarts.n / RESTART, RESTART);
	sd_text_add(&o->bytes, o->restarts.p, o->restarts.n);
	sd_text_add(&o->bytes, (const char *)count, RESTART);
	if (o->bytes.full || o->restarts.full || o->last.full)
		return (struct sd_slice){NULL, 0};
	return (struct sd_slice){o->bytes.p, o->bytes.n};
}
