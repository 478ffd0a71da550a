/* lsm_cursor.c - going forward, the first entry of a key that the snapshot may see decides about the key. Going back it comes last, so
 * the walk goes on to the key before, keeping a copy of the newest so far; then the iterator stands before the key in hand. */
#include "lsm_cursor.h"

#include <stdlib.h>

#define PATIENCE 8 /* older versions stepped over, before the next key is sought */

void sd_lsm_cursor_open(struct sd_lsm_cursor *c, const struct sd_lsm_cursor_conf *conf)
{
	*c = (struct sd_lsm_cursor){.conf = *conf};
}

void sd_lsm_cursor_close(struct sd_lsm_cursor *c)
{
	sd_lsm_iter_free(c->conf.in);
	sd_lsm_ranges_unref(c->conf.ranges);
	free(c->user.p);
	free(c->kept.p);
	free(c->sought.p);
	*c = (struct sd_lsm_cursor){0};
}

/* ---- one entry ---- */

static struct sd_slice whole(const struct sd_text *t)
{
	return (struct sd_slice){t->p, t->n};
}

static void set(struct sd_text *t, struct sd_slice s)
{
	t->n = 0;
	sd_text_add(t, s.p, s.n);
}

/* Whether the newest version of a key says that it is there. */
static bool is_there(const struct sd_lsm_cursor *c, struct sd_slice internal, struct sd_slice value)
{
	enum sd_lsm_kind kind = sd_lsm_kind(internal);
	return kind != SD_LSM_GONE && !sd_lsm_has_ended(kind, value, c->conf.now_ms) &&
	       (!c->conf.ranges ||
		sd_lsm_ranges_hides(c->conf.ranges, sd_lsm_user(internal), c->conf.seq) < sd_lsm_seq(internal));
}

static bool same_user(const struct sd_lsm_cursor *c, const struct sd_lsm_iter *in)
{
	return sd_lsm_bytewise(sd_lsm_user(in->key), whole(&c->user)) == 0;
}

static void fail(struct sd_lsm_cursor *c, enum sd_err err, const struct sd_error *why)
{
	c->valid = false;
	c->err = err;
	c->why = why;
}

static void show(struct sd_lsm_cursor *c, struct sd_slice internal, struct sd_slice value)
{
	c->valid = true;
	c->key = sd_lsm_user(internal);
	c->value = value;
	c->kind = sd_lsm_kind(internal);
	c->seq = sd_lsm_seq(internal);
}

/* An internal key in scratch. {NULL, 0}: out of memory, and told. */
static struct sd_slice internal_of(struct sd_lsm_cursor *c, struct sd_slice user, uint64_t tail)
{
	char bytes[SD_LSM_TAIL];
	sd_put_le(bytes, tail, sizeof(bytes));
	set(&c->sought, user);
	sd_text_add(&c->sought, bytes, sizeof(bytes));
	if (!c->sought.full)
		return whole(&c->sought);
	fail(c, SD_ENOMEM, NULL);
	return (struct sd_slice){NULL, 0};
}

static void start(struct sd_lsm_cursor *c)
{
	c->valid = c->back = c->user.full = c->kept.full = c->sought.full = false;
	c->err = SD_OK;
	c->why = NULL;
}

/* ---- forward ---- */

/* Past all of the key in `user`, and what was added before it since the iterator stood there. */
static void pass(struct sd_lsm_cursor *c)
{
	struct sd_lsm_iter *in = c->conf.in;
	for (int i = 0; in->valid && sd_lsm_bytewise(sd_lsm_user(in->key), whole(&c->user)) <= 0; i++) {
		if (i < PATIENCE) {
			in->ops->next(in);
			continue;
		}
		struct sd_slice end = internal_of(c, whole(&c->user), 0);
		if (!end.p)
			return;
		in->ops->seek(in, end);
		if (in->valid && same_user(c, in))
			in->ops->next(in);
	}
}

static bool behind(const struct sd_lsm_cursor *c, struct sd_slice user)
{
	return c->conf.to.p && sd_lsm_bytewise(user, c->conf.to) >= 0;
}

/* From where the iterator stands, at the newest version of some key. */
static void settle_forward(struct sd_lsm_cursor *c)
{
	struct sd_lsm_iter *in = c->conf.in;
	c->valid = false;
	while (!c->err && in->valid && !behind(c, sd_lsm_user(in->key))) {
		if (sd_lsm_seq(in->key) > c->conf.seq) {
			in->ops->next(in);
			continue;
		}
		set(&c->user, sd_lsm_user(in->key));
		if (c->user.full) {
			fail(c, SD_ENOMEM, NULL);
		} else if (is_there(c, in->key, in->value)) {
			show(c, in->key, in->value);
			return;
		} else {
			pass(c);
		}
	}
	if (!c->err && in->err)
		fail(c, in->err, in->why);
}

void sd_lsm_cursor_seek(struct sd_lsm_cursor *c, struct sd_slice user)
{
	start(c);
	if (sd_lsm_bytewise(user, c->conf.from) < 0)
		user = c->conf.from;
	struct sd_slice at = internal_of(c, user, c->conf.seq << 8 | SD_LSM_KIND_SEEK);
	if (!at.p)
		return;
	c->conf.in->ops->seek(c->conf.in, at);
	settle_forward(c);
}

void sd_lsm_cursor_first(struct sd_lsm_cursor *c)
{
	if (c->conf.from.n > 0) {
		sd_lsm_cursor_seek(c, c->conf.from);
		return;
	}
	start(c);
	c->conf.in->ops->first(c->conf.in);
	settle_forward(c);
}

void sd_lsm_cursor_next(struct sd_lsm_cursor *c)
{
	struct sd_lsm_iter *in = c->conf.in;
	if (c->back) { /* the iterator is before the key in hand */
		c->back = false;
		if (in->valid)
			in->ops->next(in);
		else
			in->ops->first(in);
	}
	pass(c);
	settle_forward(c);
}

/* ---- back ---- */

static void keep(struct sd_lsm_cursor *c, const struct sd_lsm_iter *in, bool there)
{
	c->kept.n = 0;
	if (there) {
		sd_text_add(&c->kept, in->key.p, in->key.n);
		sd_text_add(&c->kept, in->value.p, in->value.n);
	}
	if (c->kept.full)
		fail(c, SD_ENOMEM, NULL);
}

/* The iterator stands at the oldest version of a key: takes the newest that the snapshot may see, and goes before the key. */
static bool newest_going_back(struct sd_lsm_cursor *c)
{
	struct sd_lsm_iter *in = c->conf.in;
	bool there = false;
	set(&c->user, sd_lsm_user(in->key));
	if (c->user.full)
		fail(c, SD_ENOMEM, NULL);
	for (; !c->err && in->valid && same_user(c, in); in->ops->prev(in)) {
		if (sd_lsm_seq(in->key) > c->conf.seq)
			continue;
		there = is_there(c, in->key, in->value);
		keep(c, in, there);
	}
	return there;
}

static void settle_back(struct sd_lsm_cursor *c)
{
	struct sd_lsm_iter *in = c->conf.in;
	bool there = false;
	c->valid = false;
	c->back = true;
	while (!c->err && !there && in->valid && sd_lsm_bytewise(sd_lsm_user(in->key), c->conf.from) >= 0)
		there = newest_going_back(c);
	if (!c->err && in->err)
		fail(c, in->err, in->why);
	if (c->err || !there)
		return;
	size_t key_n = c->user.n + SD_LSM_TAIL;
	show(c, (struct sd_slice){c->kept.p, key_n}, (struct sd_slice){c->kept.p + key_n, c->kept.n - key_n});
}

void sd_lsm_cursor_before(struct sd_lsm_cursor *c, struct sd_slice user)
{
	struct sd_lsm_iter *in = c->conf.in;
	start(c);
	if (c->conf.to.p && sd_lsm_bytewise(c->conf.to, user) < 0)
		user = c->conf.to;
	struct sd_slice at = internal_of(c, user, SD_LSM_SEQ_MAX << 8 | SD_LSM_KIND_SEEK);
	if (!at.p)
		return;
	in->ops->seek(in, at);
	if (in->valid)
		in->ops->prev(in);
	else if (!in->err)
		in->ops->last(in);
	settle_back(c);
}

void sd_lsm_cursor_last(struct sd_lsm_cursor *c)
{
	if (c->conf.to.p) {
		sd_lsm_cursor_before(c, c->conf.to);
		return;
	}
	start(c);
	c->conf.in->ops->last(c->conf.in);
	settle_back(c);
}

void sd_lsm_cursor_prev(struct sd_lsm_cursor *c)
{
	struct sd_lsm_iter *in = c->conf.in;
	if (!c->back) /* it may be that newer versions of the key lie before the one in hand */
		while (in->valid && same_user(c, in))
			in->ops->prev(in);
	settle_back(c);
}
