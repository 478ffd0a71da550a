/* lsm_block.c - reading and writing blocks. */
#include "lsm_block.h"

#include <stdlib.h>

#include "varint.h"

#define NUMBER 4 /* bytes of one */

bool sd_lsm_block_open(struct sd_lsm_block *b, const void *p, size_t n)
{
	if (n < NUMBER || n > UINT32_MAX)
		return false;
	uint32_t count = (uint32_t)sd_get_le((const uint8_t *)p + n - NUMBER, NUMBER);
	if (count > (n - NUMBER) / NUMBER)
		return false;
	*b = (struct sd_lsm_block){.p = p, .n = (uint32_t)(n - NUMBER - (size_t)count * NUMBER), .nrestarts = count, .step = NUMBER};
	return count > 0 || b->n == 0;
}

bool sd_lsm_block_open_apart(struct sd_lsm_block *b, const void *p, size_t n)
{
	if (n < 2 * NUMBER || n > UINT32_MAX)
		return false;
	const uint8_t *end = (const uint8_t *)p + n - 2 * NUMBER;
	uint32_t values = (uint32_t)sd_get_le(end, NUMBER), count = (uint32_t)sd_get_le(end + NUMBER, NUMBER);
	n -= 2 * NUMBER;
	if (values > n || count > (n - values) / (2 * NUMBER))
		return false;
	*b = (struct sd_lsm_block){p, end - values, (uint32_t)(n - values - (size_t)count * 2 * NUMBER), values, count, 2 * NUMBER};
	return count > 0 || b->n == 0;
}

static inline uint32_t restart_at(const struct sd_lsm_block *b, uint32_t i)
{
	return (uint32_t)sd_get_le(b->p + b->n + (size_t)i * b->step, NUMBER);
}

/* ---- reading ---- */

void sd_lsm_at_free(struct sd_lsm_at *a)
{
	free(a->big);
	a->big = NULL;
	a->big_room = 0;
	a->valid = false;
}

static bool damaged(struct sd_lsm_at *a)
{
	a->damaged = true;
	a->valid = false;
	return false;
}

/* The head of an entry, and where what follows it is. */
struct head {
	uint64_t shared, rest, value;
	size_t body;
};

/* What follows the head is in the block; values that are apart are looked at later. */
static inline bool fits(const struct sd_lsm_block *b, const struct head *h)
{
	return h->rest <= b->n - h->body && (b->values || h->value <= b->n - h->body - h->rest);
}

/* False: it makes no sense. */
static bool long_head(const struct sd_lsm_block *b, size_t at, struct head *h)
{
	uint64_t *const v[] = {&h->shared, &h->rest, &h->value};
	for (int i = 0; i < 3; i++) {
		size_t k = sd_get_varint(b->p + at, b->n - at, UINT32_MAX, v[i]);
		if (!k)
			return false;
		at += k;
	}
	h->body = at;
	return fits(b, h);
}

/* at is before the end of the entries. Nearly all numbers are of one byte. */
static inline bool get_head(const struct sd_lsm_block *b, size_t at, struct head *h)
{
	const uint8_t *p = b->p + at;
	if (b->n - at < 3 || ((p[0] | p[1] | p[2]) & 0x80))
		return long_head(b, at, h);
	*h = (struct head){p[0], p[1], p[2], at + 3};
	return fits(b, h);
}

/* Room for n bytes of a key, `keep` of which are there. */
static char *room_for(struct sd_lsm_at *a, size_t n, size_t keep)
{
	char *old = a->big ? a->big : a->small;
	if (n <= (a->big ? a->big_room : sizeof(a->small)))
		return old;
	char *more = malloc(2 * n);
	if (!more)
		return NULL;
	memcpy(more, old, keep);
	free(a->big);
	a->big = more;
	a->big_room = 2 * n;
	return more;
}

/* Takes the entry at a->next; the first `have` bytes of the room for keys are those of its predecessor's. */
static inline bool take(struct sd_lsm_at *a, size_t have)
{
	const struct sd_lsm_block *b = a->block;
	struct head h;
	if (a->next >= b->n)
		return a->valid = false;
	if (!get_head(b, a->next, &h) || h.shared > have)
		return damaged(a);
	char *to = room_for(a, (size_t)(h.shared + h.rest), (size_t)h.shared);
	if (!to)
		return damaged(a);
	memcpy(to + h.shared, b->p + h.body, (size_t)h.rest);
	a->key = (struct sd_slice){to, (size_t)(h.shared + h.rest)};
	if (a->kinds && !sd_lsm_key_is(a->key, a->kinds))
		return damaged(a);
	a->at = a->next;
	a->next = (uint32_t)(h.body + h.rest);
	if (b->values && h.value > b->values_n - a->next_value)
		return damaged(a);
	a->value = (struct sd_slice){(const char *)(b->values ? b->values + a->next_value : b->p + a->next), (size_t)h.value};
	*(b->values ? &a->next_value : &a->next) += (uint32_t)h.value;
	return a->valid = true;
}

/* Takes the entry at a restart point: its key is whole. */
static bool take_restart(struct sd_lsm_at *a, uint32_t i)
{
	const struct sd_lsm_block *b = a->block;
	a->next = restart_at(b, i);
	if (b->values && (a->next_value = (uint32_t)sd_get_le(b->p + b->n + (size_t)i * b->step + NUMBER, NUMBER)) > b->values_n)
		return damaged(a);
	return a->next > b->n ? damaged(a) : take(a, 0);
}

void sd_lsm_at_restart(struct sd_lsm_at *a, uint32_t i)
{
	a->valid = false;
	if (i < a->block->nrestarts)
		take_restart(a, i);
}

void sd_lsm_at_first(struct sd_lsm_at *a)
{
	a->valid = false;
	if (a->block->n > 0)
		take_restart(a, 0);
}

void sd_lsm_at_next(struct sd_lsm_at *a)
{
	take(a, a->key.n);
}

/* From a restart point that is before `end`, on to the entry that ends there. */
static void walk_to(struct sd_lsm_at *a, uint32_t end)
{
	uint32_t low = 0, high = a->block->nrestarts;
	a->valid = false;
	if (high == 0 || restart_at(a->block, 0) >= end)
		return;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (restart_at(a->block, middle) < end)
			low = middle;
		else
			high = middle;
	}
	bool good = take_restart(a, low);
	while (good && a->next < end)
		good = take(a, a->key.n);
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

static inline int order(const struct sd_lsm_at *a, struct sd_slice x, struct sd_slice y)
{
	return a->kinds ? sd_lsm_internal(x, y) : sd_lsm_bytewise(x, y);
}

/* The key of a restart point, where it lies. */
static inline bool restart_key(const struct sd_lsm_at *a, uint32_t i, struct sd_slice *key)
{
	const struct sd_lsm_block *b = a->block;
	struct head h;
	size_t at = restart_at(b, i);
	if (at >= b->n || !get_head(b, at, &h) || h.shared != 0)
		return false;
	*key = (struct sd_slice){(const char *)b->p + h.body, (size_t)h.rest};
	return !a->kinds || key->n >= SD_LSM_TAIL;
}

void sd_lsm_at_seek(struct sd_lsm_at *a, struct sd_slice key)
{
	uint32_t low = 0, high = a->block->nrestarts; /* the last restart point before the key is in [low, high) */
	struct sd_slice middle_key;
	a->valid = false;
	if (a->block->n == 0)
		return;
	while (high - low > 1) {
		uint32_t middle = low + (high - low) / 2;
		if (!restart_key(a, middle, &middle_key)) {
			damaged(a);
			return;
		}
		if (order(a, middle_key, key) < 0)
			low = middle;
		else
			high = middle;
	}
	for (bool good = take_restart(a, low); good && order(a, a->key, key) < 0;)
		good = take(a, a->key.n);
}

/* ---- writing ---- */

void sd_lsm_block_begin(struct sd_lsm_block_out *o, unsigned every)
{
	o->bytes.n = o->restarts.n = o->values.n = o->last.n = 0;
	o->every = every;
	o->since = every;
}

void sd_lsm_block_free(struct sd_lsm_block_out *o)
{
	free(o->bytes.p);
	free(o->restarts.p);
	free(o->values.p);
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
		sd_put_le(head, o->bytes.n, NUMBER);
		sd_put_le(head + NUMBER, o->values.n, NUMBER);
		sd_text_add(&o->restarts, (const char *)head, o->apart ? 2 * NUMBER : NUMBER);
		o->since = 0;
	} else {
		shared = in_common(key, (struct sd_slice){o->last.p, o->last.n});
	}
	n += sd_put_varint(head, shared);
	n += sd_put_varint(head + n, key.n - shared);
	n += sd_put_varint(head + n, value.n);
	sd_text_add(&o->bytes, (const char *)head, n);
	sd_text_add(&o->bytes, key.p + shared, key.n - shared);
	sd_text_add(o->apart ? &o->values : &o->bytes, value.p, value.n);
	o->last.n = shared;
	sd_text_add(&o->last, key.p + shared, key.n - shared);
	o->since++;
}

/* An empty block has a restart point too; with values apart it has none. */
size_t sd_lsm_block_bytes(const struct sd_lsm_block_out *o)
{
	if (o->apart)
		return o->bytes.n + o->restarts.n + o->values.n + 2 * NUMBER;
	return o->bytes.n + (o->restarts.n ? o->restarts.n : NUMBER) + NUMBER;
}

static void put_number(struct sd_text *t, size_t v)
{
	char le[NUMBER];
	sd_put_le(le, v, NUMBER);
	sd_text_add(t, le, NUMBER);
}

struct sd_slice sd_lsm_block_end(struct sd_lsm_block_out *o)
{
	if (o->restarts.n == 0 && !o->apart)
		put_number(&o->restarts, 0);
	sd_text_add(&o->bytes, o->restarts.p, o->restarts.n);
	if (o->apart) {
		sd_text_add(&o->bytes, o->values.p, o->values.n);
		put_number(&o->bytes, o->values.n);
	}
	put_number(&o->bytes, o->restarts.n / (o->apart ? 2 * NUMBER : NUMBER));
	if (o->bytes.full || o->restarts.full || o->values.full || o->last.full)
		return (struct sd_slice){NULL, 0};
	return (struct sd_slice){o->bytes.p, o->bytes.n};
}
