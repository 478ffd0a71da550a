/* lsm_db_face.c - sdlab/kv.h's writes, each of which becomes a batch. */
#include <stdlib.h>

#include "core/varint.h"
#include "lsm_batch_kv.h"
#include "lsm_db_int.h"

#define ONE_SMALL 1024
#define ONE_HEADS (SD_LSM_BATCH_HEAD + 1 + 2 * SD_VARINT_MAX + 8 + 1) /* what a write of one takes apart from key and value, and a 0 */

/* ---- what has to be known when it is written ---- */

/* The last key there is, and one byte: what comes before it is everything. */
static enum sd_err end_of_all(struct sd_kv *kv, struct sd_text *end, struct sd_error *e)
{
	struct sd_lsm_cursor c = {0};
	struct sd_lsm_view *view = lsm_view_now(kv);
	enum sd_err err = lsm_open_cursor(kv, view, atomic_load(&kv->last_seq), NULL, NULL, true, &c, e);
	if (!err) {
		sd_lsm_cursor_last(&c);
		err = c.err ? sd_fail(e, c.err, "%s", c.why ? c.why->text : sd_err_text(c.err)) : SD_OK;
		if (c.valid)
			sd_text_add(end, c.key.p, c.key.n);
		sd_lsm_cursor_close(&c);
	}
	sd_lsm_view_unref(view);
	return err;
}

/* Puts a removal for each key of a range that is there into a batch; LevelDB has no ranges. */
static enum sd_err each_key(struct sd_kv *kv, struct sd_kv_batch *to, const struct sd_lsm_batch_at *range, struct sd_error *e)
{
	struct sd_lsm_cursor c = {0};
	struct sd_slice from = range->key, end = range->value;
	struct sd_lsm_view *view = lsm_view_now(kv);
	enum sd_err err = lsm_open_cursor(kv, view, atomic_load(&kv->last_seq), &from, end.n > 0 ? &end : NULL, true, &c, e);
	if (!err) {
		for (sd_lsm_cursor_first(&c); c.valid; sd_lsm_cursor_next(&c))
			sd_kv_batch_delete(to, c.key);
		err = c.err ? sd_fail(e, c.err, "%s", c.why ? c.why->text : sd_err_text(c.err)) : SD_OK;
		sd_lsm_cursor_close(&c);
	}
	sd_lsm_view_unref(view);
	return err;
}

/* Of keys that the batch itself puts before a range, those in the range. */
static void each_own_key(struct sd_kv_batch *to, const struct sd_kv_batch *from, uint32_t upto, const struct sd_lsm_batch_at *range)
{
	struct sd_lsm_batch_at b;
	sd_lsm_batch_open(&b, (struct sd_slice){from->bytes.p, from->bytes.n});
	for (uint32_t i = 0; i < upto && sd_lsm_batch_next(&b); i++)
		if (b.kind != SD_LSM_RANGE_GONE && sd_lsm_bytewise(range->key, b.key) <= 0 &&
		    (range->value.n == 0 || sd_lsm_bytewise(b.key, range->value) < 0))
			sd_kv_batch_delete(to, b.key);
}

static void copy_entry(struct sd_kv_batch *to, const struct sd_lsm_batch_at *b)
{
	if (b->kind == SD_LSM_GONE)
		sd_kv_batch_delete(to, b->key);
	else if (b->kind == SD_LSM_ENDING)
		sd_kv_batch_put_until(to, b->key, (struct sd_slice){b->value.p + 8, b->value.n - 8}, (int64_t)sd_get_le(b->value.p, 8));
	else
		sd_kv_batch_put(to, b->key, b->value);
}

/* The last key of the store and of the batch. */
static enum sd_err last_of_both(struct sd_kv *kv, const struct sd_kv_batch *batch, struct sd_text *end, struct sd_error *e)
{
	struct sd_lsm_batch_at b;
	enum sd_err err = end_of_all(kv, end, e);
	sd_lsm_batch_open(&b, (struct sd_slice){batch->bytes.p, batch->bytes.n});
	while (!err && sd_lsm_batch_next(&b))
		if (sd_lsm_bytewise((struct sd_slice){end->p, end->n}, b.key) < 0) {
			end->n = 0;
			sd_text_add(end, b.key.p, b.key.n);
		}
	sd_text_add(end, "", 0); /* nothing, too, has a 0 behind it */
	return err ? err : end->full ? lsm_no_memory(e) : SD_OK;
}

/* What has no end in a batch gets one in the store: behind the last key, or, when no key is as long as that would be, at it, and it goes
 * by itself. */
static void put_range(struct sd_kv_batch *to, const struct sd_lsm_batch_at *range, struct sd_text *last)
{
	struct sd_slice end = range->value, all = {last->p, last->n};
	if (end.n == 0 && last->n < SD_KV_KEY_MAX) /* whoever adds to a text puts a 0 behind it */
		all.n++;
	sd_kv_batch_delete_range(to, range->key, end.n > 0 ? &end : &all);
	if (end.n == 0 && last->n == SD_KV_KEY_MAX && sd_lsm_bytewise(range->key, all) <= 0)
		sd_kv_batch_delete(to, all);
}

/* A batch that says the same in a way the store has: ranges with an end, or removals of single keys. */
static enum sd_err spell_out(struct lsm_writer *w, struct sd_error *e)
{
	struct sd_kv *kv = w->kv;
	struct sd_kv_batch *to = w->arg;
	const struct sd_kv_batch *from = w->batch;
	struct sd_text last = {0};
	struct sd_lsm_batch_at b;
	enum sd_err err = last_of_both(kv, from, &last, e);
	sd_lsm_batch_open(&b, (struct sd_slice){from->bytes.p, from->bytes.n});
	for (uint32_t i = 0; !err && sd_lsm_batch_next(&b); i++) {
		if (b.kind != SD_LSM_RANGE_GONE)
			copy_entry(to, &b);
		else if (kv->own)
			put_range(to, &b, &last);
		else if (!(err = each_key(kv, to, &b, e)))
			each_own_key(to, from, i, &b);
	}
	free(last.p);
	w->batch = to;
	return err ? err : to->bytes.full ? lsm_no_memory(e) : to->err ? sd_fail(e, to->err, "%s", to->why.text) : SD_OK;
}

/* ---- writing ---- */

static enum sd_err judge(const struct sd_kv *kv, const struct sd_kv_batch *b, struct sd_error *e)
{
	if (b->bytes.full)
		return lsm_no_memory(e);
	if (b->err)
		return sd_fail(e, b->err, "%s", b->why.text);
	if (b->ending && !kv->own)
		return sd_fail(e, SD_EUNSUPPORTED, "%s is in LevelDB's format, which has no values that end", kv->path);
	return SD_OK;
}

static bool has_open_end(const struct sd_kv_batch *batch)
{
	struct sd_lsm_batch_at b;
	sd_lsm_batch_open(&b, (struct sd_slice){batch->bytes.p, batch->bytes.n});
	while (sd_lsm_batch_next(&b))
		if (b.kind == SD_LSM_RANGE_GONE && b.value.n == 0)
			return true;
	return false;
}

enum sd_err sd_kv_write(struct sd_kv *kv, const struct sd_kv_batch *b, struct sd_error *e)
{
	struct lsm_writer w = {.batch = b, .sync = atomic_load_explicit(&kv->sync_mode, memory_order_relaxed) == SD_KV_ALWAYS};
	enum sd_err err = judge(kv, b, e);
	if (err || b->count == 0)
		return err;
	if (b->ranges && (!kv->own || has_open_end(b))) {
		w.prepare = spell_out;
		if (!(w.arg = sd_kv_batch_new(false)))
			return lsm_no_memory(e);
	}
	err = lsm_submit(kv, &w, e);
	sd_kv_batch_free(w.arg);
	return err;
}

enum sd_err sd_kv_sync(struct sd_kv *kv, struct sd_error *e)
{
	struct lsm_writer w = {.sync = true};
	return lsm_submit(kv, &w, e);
}

/* A batch of one write, without asking for memory when it is small. */
struct one {
	struct sd_kv_batch batch;
	char small[ONE_SMALL];
};

static struct sd_kv_batch *begin_one(struct one *o, size_t bytes)
{
	o->batch = (struct sd_kv_batch){0};
	if (bytes <= ONE_SMALL - ONE_HEADS) /* which it never outgrows: nobody takes it for memory that may be moved */
		o->batch.bytes = (struct sd_text){.p = o->small, .room = ONE_SMALL};
	sd_kv_batch_clear(&o->batch);
	return &o->batch;
}

static enum sd_err write_one(struct sd_kv *kv, struct one *o, struct sd_error *e)
{
	enum sd_err err = sd_kv_write(kv, &o->batch, e);
	if (o->batch.bytes.p != o->small)
		free(o->batch.bytes.p);
	free(o->batch.range_at.p);
	return err;
}

enum sd_err sd_kv_put(struct sd_kv *kv, struct sd_slice key, struct sd_slice value, struct sd_error *e)
{
	return sd_kv_put_until(kv, key, value, 0, e);
}

enum sd_err sd_kv_put_until(struct sd_kv *kv, struct sd_slice key, struct sd_slice value, int64_t until_ms, struct sd_error *e)
{
	struct one o;
	sd_kv_batch_put_until(begin_one(&o, key.n + value.n), key, value, until_ms);
	return write_one(kv, &o, e);
}

enum sd_err sd_kv_delete(struct sd_kv *kv, struct sd_slice key, struct sd_error *e)
{
	struct one o;
	sd_kv_batch_delete(begin_one(&o, key.n), key);
	return write_one(kv, &o, e);
}

enum sd_err sd_kv_delete_range(struct sd_kv *kv, struct sd_slice from, const struct sd_slice *to, struct sd_error *e)
{
	struct one o;
	sd_kv_batch_delete_range(begin_one(&o, from.n + (to ? to->n : 0)), from, to);
	return write_one(kv, &o, e);
}

/* ---- compare and set ---- */

struct compare {
	struct sd_slice key;
	const struct sd_slice *expected;
};

static enum sd_err compare(struct lsm_writer *w, struct sd_error *e)
{
	const struct compare *c = w->arg;
	struct sd_kv_value v = {0};
	enum sd_err err = sd_kv_get(w->kv, NULL, c->key, &v, e);
	bool same = c->expected ? !err && v.n == c->expected->n && (v.n == 0 || memcmp(v.p, c->expected->p, v.n) == 0) : err == SD_ENOTFOUND;
	sd_kv_value_free(&v);
	if (err && err != SD_ENOTFOUND)
		return err;
	return same ? SD_OK : sd_fail(e, SD_EAGAIN, "the key does not hold what was expected");
}

enum sd_err sd_kv_compare_and_set(struct sd_kv *kv, struct sd_slice key, const struct sd_slice *expected, const struct sd_slice *value,
				  int64_t until_ms, struct sd_error *e)
{
	struct compare c = {key, expected};
	struct sd_kv_batch *b = sd_kv_batch_new(false);
	struct lsm_writer w = {
	    .batch = b, .prepare = compare, .arg = &c, .sync = atomic_load_explicit(&kv->sync_mode, memory_order_relaxed) == SD_KV_ALWAYS};
	if (!b)
		return lsm_no_memory(e);
	if (value)
		sd_kv_batch_put_until(b, key, *value, until_ms);
	else
		sd_kv_batch_delete(b, key);
	enum sd_err err = judge(kv, b, e);
	if (!err)
		err = lsm_submit(kv, &w, e);
	sd_kv_batch_free(b);
	return err;
}
