/* lsm_db_scan.c - iterators and snapshots. An iterator holds a view, so that nothing under it goes away, and a sequence number. */
#include <stdlib.h>

#include "core/lsm_merge.h"
#include "lsm_db_int.h"

/* ---- snapshots ---- */

struct sd_kv_snapshot *sd_kv_snapshot_new(struct sd_kv *kv)
{
	struct sd_kv_snapshot *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	sd_lock_enter(kv->lock);
	s->seq = atomic_load(&kv->last_seq);
	s->next = kv->snapshots.next;
	s->prev = &kv->snapshots;
	s->next->prev = s->prev->next = s;
	kv->nsnapshots++;
	sd_lock_leave(kv->lock);
	return s;
}

void sd_kv_snapshot_free(struct sd_kv *kv, struct sd_kv_snapshot *s)
{
	if (!s)
		return;
	sd_lock_enter(kv->lock);
	s->next->prev = s->prev;
	s->prev->next = s->next;
	kv->nsnapshots--;
	sd_lock_leave(kv->lock);
	free(s);
}

/* ---- all of a view as one ---- */

struct parts {
	const struct sd_slice *from, *to; /* user keys; NULL: no bound */
	struct sd_lsm_iter **iters;
	struct sd_lsm_ranges **ranges;
	size_t n, nranges;
	bool failed; /* out of memory */
};

/* What comes into an empty one from here on is newer than the snapshot. */
static void add_mem(struct sd_kv *kv, struct parts *p, struct sd_lsm_mem *mem)
{
	bool empty = sd_lsm_mem_entries(mem) == 0;
	struct sd_lsm_iter *i = empty ? NULL : lsm_mem_iter(kv, mem);
	p->failed |= (!i && !empty) || !sd_lsm_mem_ranges(mem, &p->ranges[p->nranges]);
	if (i)
		p->iters[p->n++] = i;
	p->nranges += p->ranges[p->nranges] != NULL;
}

/* Ranges of a table hide nothing outside it. */
static enum sd_err add_ranges(struct sd_kv *kv, struct parts *p, const struct sd_lsm_file *f, struct sd_error *e)
{
	if ((p->from && sd_lsm_file_is_before(f, *p->from)) || (p->to && sd_lsm_bytewise(sd_lsm_user(f->smallest), *p->to) >= 0))
		return SD_OK;
	enum sd_err err = sd_lsm_tables_ranges(kv->tables, f->number, f->size, &p->ranges[p->nranges], e);
	p->nranges += p->ranges[p->nranges] != NULL;
	return err;
}

static enum sd_err add_tables(struct sd_kv *kv, struct parts *p, const struct sd_lsm_version *v, bool fill, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	for (size_t i = v->levels[0].n; i-- > 0 && !err;) {
		const struct sd_lsm_file *f = &v->levels[0].files[i];
		err = sd_lsm_tables_iter(kv->tables, f->number, f->size, fill, &p->iters[p->n], e);
		p->n += !err;
	}
	for (unsigned level = 1; level < SD_LSM_LEVELS && !err; level++) {
		const struct sd_lsm_level *l = &v->levels[level];
		struct sd_lsm_iter *i = l->n > 0 ? lsm_level_iter(kv->tables, l->files, l->n, fill) : NULL;
		p->failed |= l->n > 0 && !i;
		if (i)
			p->iters[p->n++] = i;
	}
	for (size_t i = 0; i < v->nranged && !err; i++)
		err = add_ranges(kv, p, &v->levels[v->ranged[i].level].files[v->ranged[i].at], e);
	return err;
}

static enum sd_err gather(struct sd_kv *kv, struct sd_lsm_view *view, bool fill, struct parts *p, struct sd_error *e)
{
	p->iters = calloc(1 + view->nheld + view->tree->version.levels[0].n + SD_LSM_LEVELS, sizeof(p->iters[0]));
	p->ranges = calloc(1 + view->nheld + view->tree->version.nranged, sizeof(p->ranges[0]));
	if (!p->iters || !p->ranges)
		return lsm_no_memory(e);
	add_mem(kv, p, view->mem.mem);
	for (unsigned i = 0; i < view->nheld; i++)
		add_mem(kv, p, view->held[i].mem);
	enum sd_err err = add_tables(kv, p, &view->tree->version, fill, e);
	return err ? err : p->failed ? lsm_no_memory(e) : SD_OK;
}

static void end_parts(struct parts *p)
{
	for (size_t i = 0; p->iters && i < p->n; i++)
		sd_lsm_iter_free(p->iters[i]);
	for (size_t i = 0; p->ranges && i < p->nranges; i++)
		sd_lsm_ranges_unref(p->ranges[i]);
	free(p->iters);
	free(p->ranges);
}

enum sd_err lsm_open_cursor(struct sd_kv *kv, struct sd_lsm_view *view, uint64_t seq, const struct sd_slice *from, const struct sd_slice *to,
			    bool fill, struct sd_lsm_cursor *c, struct sd_error *e)
{
	struct parts p = {.from = from, .to = to};
	struct sd_lsm_cursor_conf conf = {.seq = seq, .now_ms = (int64_t)lsm_now_ms(kv)};
	enum sd_err err = gather(kv, view, fill, &p, e);
	if (!err && !sd_lsm_ranges_join(p.ranges, p.nranges, &conf.ranges))
		err = lsm_no_memory(e);
	if (!err) {
		conf.in = sd_lsm_merge_new(p.iters, p.n);
		p.n = 0; /* it has them, also when it fails */
		if (!conf.in) {
			sd_lsm_ranges_unref(conf.ranges);
			err = lsm_no_memory(e);
		}
	}
	end_parts(&p);
	if (err)
		return err;
	if (from)
		conf.from = *from;
	if (to)
		conf.to = *to;
	sd_lsm_cursor_open(c, &conf);
	return SD_OK;
}

/* ---- iterators ---- */

struct sd_kv_iter {
	struct sd_kv *kv;
	struct sd_lsm_view *view;
	struct sd_lsm_cursor cursor;
	bool open, keys_only, fetched;
	struct sd_slice value;
	int64_t until_ms;
	void *memory; /* of a blob */
	char *bounds;
	struct sd_slice from, to;
	enum sd_err err; /* of fetching a blob */
	struct sd_error why;
};

static bool keep_bounds(struct sd_kv_iter *i, const struct sd_kv_span *span)
{
	if (!span->from && !span->to)
		return true;
	size_t n = (span->from ? span->from->n : 0) + (span->to ? span->to->n : 0);
	char *p = i->bounds = malloc(n + 1);
	if (!p)
		return false;
	if (span->from) {
		if (span->from->n > 0)
			memcpy(p, span->from->p, span->from->n);
		i->from = (struct sd_slice){p, span->from->n};
		p += span->from->n;
	}
	if (span->to) {
		if (span->to->n > 0)
			memcpy(p, span->to->p, span->to->n);
		i->to = (struct sd_slice){p, span->to->n};
	}
	return true;
}

enum sd_err sd_kv_iter_new(struct sd_kv *kv, const struct sd_kv_span *span, struct sd_kv_iter **out, struct sd_error *e)
{
	static const struct sd_kv_span all;
	struct sd_kv_iter *i = calloc(1, sizeof(*i));
	if (!span)
		span = &all;
	*out = NULL;
	if (!i || !keep_bounds(i, span)) {
		free(i);
		return lsm_no_memory(e);
	}
	i->kv = kv;
	i->keys_only = span->keys_only;
	i->view = lsm_view_now(kv);
	uint64_t seq = span->snapshot ? span->snapshot->seq : atomic_load_explicit(&kv->last_seq, memory_order_acquire);
	enum sd_err err = lsm_open_cursor(kv, i->view, seq, span->from ? &i->from : NULL, span->to ? &i->to : NULL, !span->passing,
					  &i->cursor, e);
	i->open = !err;
	if (err) {
		sd_kv_iter_free(i);
		return err;
	}
	lsm_count(&kv->figures.iterators, 1);
	*out = i;
	return SD_OK;
}

void sd_kv_iter_free(struct sd_kv_iter *i)
{
	if (!i)
		return;
	if (i->open)
		sd_lsm_cursor_close(&i->cursor);
	sd_lsm_view_unref(i->view);
	free(i->memory);
	free(i->bounds);
	free(i);
}

/* After each move. */
static bool arrive(struct sd_kv_iter *i)
{
	free(i->memory);
	i->memory = NULL;
	i->fetched = false;
	return i->cursor.valid;
}

bool sd_kv_iter_first(struct sd_kv_iter *i)
{
	sd_lsm_cursor_first(&i->cursor);
	return arrive(i);
}

bool sd_kv_iter_last(struct sd_kv_iter *i)
{
	sd_lsm_cursor_last(&i->cursor);
	return arrive(i);
}

bool sd_kv_iter_seek(struct sd_kv_iter *i, struct sd_slice key)
{
	sd_lsm_cursor_seek(&i->cursor, key);
	return arrive(i);
}

bool sd_kv_iter_seek_back(struct sd_kv_iter *i, struct sd_slice key)
{
	sd_lsm_cursor_seek(&i->cursor, key);
	if (!i->cursor.err && !(i->cursor.valid && i->cursor.key.n == key.n && sd_lsm_bytewise(i->cursor.key, key) == 0))
		sd_lsm_cursor_before(&i->cursor, key);
	return arrive(i);
}

bool sd_kv_iter_next(struct sd_kv_iter *i)
{
	sd_lsm_cursor_next(&i->cursor);
	return arrive(i);
}

bool sd_kv_iter_prev(struct sd_kv_iter *i)
{
	sd_lsm_cursor_prev(&i->cursor);
	return arrive(i);
}

bool sd_kv_iter_valid(const struct sd_kv_iter *i)
{
	return i->cursor.valid;
}

struct sd_slice sd_kv_iter_key(const struct sd_kv_iter *i)
{
	return i->cursor.key;
}

static bool is_ending(enum sd_lsm_kind kind)
{
	return kind == SD_LSM_ENDING || kind == SD_LSM_ENDING_BLOB;
}

static struct sd_slice stored(const struct sd_kv_iter *i)
{
	struct sd_slice v = i->cursor.value;
	return is_ending(i->cursor.kind) && v.n >= 8 ? (struct sd_slice){v.p + 8, v.n - 8} : v;
}

struct sd_slice sd_kv_iter_value(struct sd_kv_iter *i)
{
	if (i->fetched)
		return i->value;
	i->value = stored(i);
	i->fetched = true;
	if (!lsm_is_blob(i->cursor.kind))
		return i->value;
	enum sd_err err = i->keys_only ? SD_EUNSUPPORTED : lsm_fetch_blob(i->kv, i->value, &i->value, &i->memory, &i->why);
	if (err)
		i->value = (struct sd_slice){"", 0};
	if (err && !i->keys_only)
		i->err = err;
	return i->value;
}

int64_t sd_kv_iter_until_ms(const struct sd_kv_iter *i)
{
	return is_ending(i->cursor.kind) && i->cursor.value.n >= 8 ? (int64_t)sd_get_le(i->cursor.value.p, 8) : 0;
}

enum sd_err sd_kv_iter_err(const struct sd_kv_iter *i, struct sd_error *e)
{
	enum sd_err err = i->cursor.err ? i->cursor.err : i->err;
	const struct sd_error *why = i->cursor.err ? i->cursor.why : &i->why;
	return err ? sd_fail(e, err, "%s", why ? why->text : sd_err_text(err)) : SD_OK;
}
