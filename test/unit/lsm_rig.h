/* lsm_rig.h - entries in an array, keys of many shapes, and a place in such an array that can be made to fail. */
#ifndef SDLAB_TEST_LSM_RIG_H
#define SDLAB_TEST_LSM_RIG_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/lsm_iter.h"
#include "core/rng.h"

/* For what is asked a million times: each ck_assert is a system call. */
#define must(what)                                                                                                                     \
	do {                                                                                                                           \
		if (!(what))                                                                                                           \
			ck_abort_msg("%s", #what);                                                                                     \
	} while (0)

struct entry {
	struct sd_slice key, value; /* an internal key */
	uint64_t seq;
	enum sd_lsm_kind kind;
};
struct entries {
	struct entry *e;
	size_t n, room;
};

static inline struct sd_slice copy_of(const void *p, size_t n)
{
	char *to = malloc(n + 1);
	must(to != NULL);
	if (n > 0)
		memcpy(to, p, n);
	return (struct sd_slice){to, n};
}

static inline void entries_add(struct entries *s, struct sd_slice user, uint64_t seq, enum sd_lsm_kind kind, struct sd_slice value)
{
	if (s->n == s->room) {
		s->room = s->room ? 2 * s->room : 64;
		s->e = realloc(s->e, s->room * sizeof(*s->e));
		must(s->e != NULL);
	}
	char *key = malloc(user.n + SD_LSM_TAIL);
	must(key != NULL);
	if (user.n > 0)
		memcpy(key, user.p, user.n);
	sd_put_le(key + user.n, seq << 8 | kind, SD_LSM_TAIL);
	s->e[s->n++] = (struct entry){{key, user.n + SD_LSM_TAIL}, copy_of(value.p, value.n), seq, kind};
}

static inline int entries_order(const void *a, const void *b)
{
	const struct entry *x = a, *y = b;
	struct sd_slice u = sd_lsm_user(x->key), v = sd_lsm_user(y->key);
	size_t n = u.n < v.n ? u.n : v.n;
	int c = n ? memcmp(u.p, v.p, n) : 0;
	c = c ? c : (u.n > v.n) - (u.n < v.n);
	return c ? c : (x->seq < y->seq) - (x->seq > y->seq);
}

static inline void entries_sort(struct entries *s)
{
	if (s->n > 0)
		qsort(s->e, s->n, sizeof(*s->e), entries_order);
}

static inline void entries_free(struct entries *s)
{
	for (size_t i = 0; i < s->n; i++) {
		free((char *)s->e[i].key.p);
		free((char *)s->e[i].value.p);
	}
	free(s->e);
	*s = (struct entries){0};
}

static inline void same_slice(struct sd_slice a, struct sd_slice b)
{
	must(a.n == b.n);
	must(a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}

/* ---- keys ---- */

#define KEY_SHAPES 7
#define KEY_ROOM   96
/* The k-th key of a shape, as bytes; not in the order of k for all shapes. */
static inline struct sd_slice shaped_key(char to[KEY_ROOM], unsigned shape, unsigned k)
{
	static const char edges[] = {0, 1, 'a', 'b', (char)0x7f, (char)0x80, (char)0xff, (char)0xfe};
	int n = 0;
	if (shape == 0) /* as db_bench's */
		n = snprintf(to, KEY_ROOM, "%016u", k);
	else if (shape == 1) /* with much in common */
		n = snprintf(to, KEY_ROOM, "a long name that all of them have in front, longer than is learned: it goes on, %u", k);
	else if (shape == 2) /* short, and one the beginning of another */
		n = snprintf(to, KEY_ROOM, "%u", k);
	else if (shape == 3) /* bytes that a sign would put in another order; also none at all */
		for (unsigned v = k; v > 0; v /= 8)
			to[n++] = edges[v % 8];
	else if (shape == 4) /* numbers as they lie */
		sd_put_be(to, k * UINT64_C(0x9e3779b97f4a7c15), (size_t)(n = 8));
	else if (shape == 5) /* two families */
		n = snprintf(to, KEY_ROOM, k % 64 == 63 ? "order:%u" : "user:%06u", k);
	else /* eight bytes alike, and zeros behind */
		for (to[n++] = 'x'; n < 2 + (int)(k % 40); n++)
			to[n] = k < 40 ? 0 : (char)(k / 40);
	return (struct sd_slice){to, (size_t)n};
}

/* ---- a place in an array ---- */

struct array_iter {
	struct sd_lsm_iter i;
	const struct entries *s;
	long at;
	int *moves_left; /* then it fails; NULL: never */
	bool *freed;
	struct sd_error why;
};

static inline void array_stand(struct array_iter *t, long at)
{
	t->at = at;
	t->i.err = SD_OK;
	t->i.why = NULL;
	if (t->moves_left && --*t->moves_left < 0) {
		t->i.err = sd_fail(&t->why, SD_EDAMAGED, "000005.ldb: made to fail");
		t->i.why = &t->why;
	}
	t->i.valid = !t->i.err && at >= 0 && at < (long)t->s->n;
	t->i.key = t->i.valid ? t->s->e[at].key : (struct sd_slice){NULL, 0};
	t->i.value = t->i.valid ? t->s->e[at].value : (struct sd_slice){NULL, 0};
}
static inline void array_first(struct sd_lsm_iter *i)
{
	array_stand((struct array_iter *)i, 0);
}
static inline void array_last(struct sd_lsm_iter *i)
{
	array_stand((struct array_iter *)i, (long)((struct array_iter *)i)->s->n - 1);
}
/* The plainest way, since it is what others are compared with. */
static inline void array_seek(struct sd_lsm_iter *i, struct sd_slice internal)
{
	struct array_iter *t = (struct array_iter *)i;
	struct entry sought = {.key = internal, .seq = sd_lsm_seq(internal)};
	long at = 0;
	while (at < (long)t->s->n && entries_order(&t->s->e[at], &sought) < 0)
		at++;
	array_stand(t, at);
}
static inline void array_next(struct sd_lsm_iter *i)
{
	must(i->valid);
	array_stand((struct array_iter *)i, ((struct array_iter *)i)->at + 1);
}
static inline void array_prev(struct sd_lsm_iter *i)
{
	must(i->valid);
	array_stand((struct array_iter *)i, ((struct array_iter *)i)->at - 1);
}
static inline void array_free(struct sd_lsm_iter *i)
{
	if (((struct array_iter *)i)->freed)
		*((struct array_iter *)i)->freed = true;
	free(i);
}

static inline struct array_iter *array_iter(const struct entries *s)
{
	static const struct sd_lsm_iter_ops ops = {array_first, array_last, array_seek, array_next, array_prev, array_free};
	struct array_iter *t = calloc(1, sizeof(*t));
	ck_assert_ptr_nonnull(t);
	t->i.ops = &ops;
	t->s = s;
	return t;
}

/* Walks both at random, and compares each step; returns how many steps stood on something. */
static inline unsigned walk_both(struct sd_lsm_iter *it, const struct entries *s, struct sd_rng *rng, unsigned steps)
{
	struct sd_lsm_iter *model = &array_iter(s)->i;
	unsigned stood = 0;
	for (unsigned k = 0; k < steps; k++) {
		unsigned what = sd_rng_below(rng, 40);
		if (what == 0 || !model->valid) {
			struct entry *to = s->n ? &s->e[sd_rng_below(rng, (uint32_t)s->n)] : NULL;
			unsigned how = to ? sd_rng_below(rng, 4) : sd_rng_below(rng, 2);
			if (how < 2) {
				(how ? it->ops->first : it->ops->last)(it);
				(how ? model->ops->first : model->ops->last)(model);
			} else {
				it->ops->seek(it, to->key);
				model->ops->seek(model, to->key);
			}
		} else { /* mostly on in one direction, which changes now and then */
			bool back = (k / 50 + (what == 1)) % 2;
			(back ? it->ops->prev : it->ops->next)(it);
			(back ? model->ops->prev : model->ops->next)(model);
		}
		must(it->err == SD_OK);
		must(it->valid == model->valid);
		stood += it->valid;
		if (it->valid) {
			same_slice(it->key, model->key);
			same_slice(it->value, model->value);
		}
	}
	sd_lsm_iter_free(model);
	return stood;
}

#endif
