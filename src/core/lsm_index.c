/* lsm_index.c - a binary search over heads; only where they are alike over the keys. */
#include "lsm_index.h"

#include <stdlib.h>

#include "varint.h"

size_t sd_lsm_handle_get(const char *from, size_t n, struct sd_lsm_handle *h)
{
	size_t a = sd_get_varint(from, n, UINT64_MAX, &h->at);
	size_t b = a ? sd_get_varint(from + a, n - a, UINT64_MAX, &h->n) : 0;
	return b ? a + b : 0;
}

static uint64_t head_of(struct sd_slice user, size_t skip)
{
	if (user.n >= skip + 8)
		return sd_get_be(user.p + skip, 8);
	uint64_t v = 0;
	for (size_t i = skip; i < skip + 8; i++)
		v = v << 8 | (i < user.n ? (uint8_t)user.p[i] : 0);
	return v;
}

/* The key of an entry, where it lies: nothing is left away from it, since it is a restart point. */
static struct sd_slice key_at(const struct sd_lsm_index *x, uint32_t i)
{
	const struct sd_lsm_block *b = &x->block;
	uint64_t shared, rest, value;
	size_t at = (size_t)sd_get_le(b->p + b->n + (size_t)i * b->step, 4);
	at += sd_get_varint(b->p + at, b->n - at, UINT32_MAX, &shared);
	at += sd_get_varint(b->p + at, b->n - at, UINT32_MAX, &rest);
	at += sd_get_varint(b->p + at, b->n - at, UINT32_MAX, &value);
	return (struct sd_slice){(const char *)b->p + at, (size_t)rest};
}

/* What the first of them and the last but one have in common all have, when they are in order. */
static void find_common(struct sd_lsm_index *x)
{
	x->last = key_at(x, x->n - 1);
	if (x->n < 2)
		return;
	struct sd_slice a = sd_lsm_user(key_at(x, 0)), b = sd_lsm_user(key_at(x, x->n - 2));
	size_t n = 0;
	while (n < a.n && n < b.n && a.p[n] == b.p[n])
		n++;
	x->common = (struct sd_slice){a.p, n};
}

/* All entries are restart points, are in order and have handles: only then the arrays may be used instead of them. */
static bool walk(struct sd_lsm_index *x)
{
	struct sd_lsm_at at = {.block = &x->block, .kinds = SD_LSM_KINDS_ANY};
	struct sd_slice before = {NULL, 0};
	bool good = true;
	uint32_t i = 0;
	for (sd_lsm_at_first(&at); good && at.valid && i < x->n; sd_lsm_at_next(&at), i++) {
		good = at.at == sd_get_le(x->block.p + x->block.n + (size_t)i * x->block.step, 4) &&
		       sd_lsm_handle_get(at.value.p, at.value.n, &x->handles[i]) > 0;
		struct sd_slice key = {at.value.p - at.key.n, at.key.n};
		good = good && memcmp(key.p, at.key.p, key.n) == 0 && (i == 0 || sd_lsm_internal(before, key) < 0);
		before = key;
	}
	good = good && !at.valid && !at.damaged && i == x->n;
	sd_lsm_at_free(&at);
	return good;
}

enum sd_err sd_lsm_index_open(struct sd_lsm_index *x, const void *bytes, size_t n)
{
	*x = (struct sd_lsm_index){0};
	if (!sd_lsm_block_open(&x->block, bytes, n))
		return SD_EDAMAGED;
	x->n = x->block.n > 0 ? x->block.nrestarts : 0;
	if (x->n == 0)
		return SD_OK;
	x->heads = malloc(x->n * sizeof(*x->heads));
	x->handles = malloc(x->n * sizeof(*x->handles));
	if (!x->heads || !x->handles || !walk(x)) {
		bool memory = x->heads && x->handles;
		sd_lsm_index_close(x);
		return memory ? SD_EDAMAGED : SD_ENOMEM;
	}
	find_common(x);
	for (uint32_t i = 0; i + 1 < x->n; i++)
		x->heads[i] = head_of(sd_lsm_user(key_at(x, i)), x->common.n);
	return SD_OK;
}

void sd_lsm_index_close(struct sd_lsm_index *x)
{
	free(x->heads);
	free(x->handles);
	*x = (struct sd_lsm_index){0};
}

size_t sd_lsm_index_memory(const struct sd_lsm_index *x)
{
	return x->n * (sizeof(*x->heads) + sizeof(*x->handles));
}

/* The first in [low, high) whose key is not before it; they have its head. */
static uint32_t among_alike(const struct sd_lsm_index *x, uint32_t low, uint32_t high, struct sd_slice internal)
{
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (sd_lsm_internal(key_at(x, middle), internal) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* The first in [from, to) whose head is at least this. Without branches that depend on what is there: half of them would be guessed
 * wrong. */
static uint32_t lower_bound(const struct sd_lsm_index *x, uint32_t from, uint32_t to, uint64_t head)
{
	const uint64_t *base = x->heads + from;
	uint32_t n = to - from;
	while (n > 1) {
		uint32_t half = n / 2;
		base += base[half - 1] < head ? half : 0;
		n -= half;
	}
	return (uint32_t)(base - x->heads) + (n == 1 && *base < head);
}

/* Of all but the last, which are `to`; that: none of them. A key that is cut off by `common` comes before all that begin with it. */
static uint32_t but_last(const struct sd_lsm_index *x, uint32_t to, struct sd_slice internal)
{
	struct sd_slice user = sd_lsm_user(internal), common = x->common;
	int c = sd_lsm_bytewise((struct sd_slice){user.p, user.n < common.n ? user.n : common.n}, common);
	if (c)
		return c < 0 ? 0 : to;
	uint64_t head = head_of(user, common.n);
	uint32_t low = lower_bound(x, 0, to, head);
	if (low == to || x->heads[low] != head)
		return low;
	return among_alike(x, low, head == UINT64_MAX ? to : lower_bound(x, low, to, head + 1), internal);
}

uint32_t sd_lsm_index_find(const struct sd_lsm_index *x, struct sd_slice internal)
{
	if (x->n == 0)
		return 0;
	uint32_t i = but_last(x, x->n - 1, internal);
	return i + 1 < x->n || sd_lsm_internal(x->last, internal) >= 0 ? i : x->n;
}
