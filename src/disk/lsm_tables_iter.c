/* lsm_tables_iter.c - a place in a table as an iterator: the scan of core, blocks by the cache, and reading ahead. */
#include <stdlib.h>

#include "lsm_tables_int.h"

#define AHEAD_MIN  (16u << 10)
#define ROW_ENOUGH 3 /* blocks one after the other: it goes on so */

struct tables_iter {
	struct sd_lsm_iter head;
	struct sd_lsm_fetch fetch;
	struct sd_lsm_scan scan;
	struct lsm_tab *tab;
	struct sd_lsm_source from; /* the table's, by what was read ahead */
	bool fill;
	uint64_t behind; /* the block that was read last */
	uint64_t row_at; /* where the row of blocks begins that it reads one after the other */
	unsigned row;	 /* of them before that one */
	char *ahead;	 /* NULL: nothing was; the block in hand may lie in it */
	uint64_t ahead_at;
	size_t ahead_n;
	struct sd_error why;
};

/* ---- reading ahead ---- */

static const char *in_window(const struct tables_iter *i, uint64_t off, size_t n)
{
	uint64_t from = off - i->ahead_at;
	return off >= i->ahead_at && from <= i->ahead_n && i->ahead_n - from >= n ? i->ahead + from : NULL;
}

/* Half as far as it came, so that less is read for nothing than was of use. */
static size_t how_far(const struct tables_iter *i, uint64_t at)
{
	uint64_t far = (at - i->row_at) / 2;
	if (!i->fill)
		return i->row > 0 ? LSM_AHEAD : 0;
	if (i->row < ROW_ENOUGH)
		return 0;
	return far < AHEAD_MIN ? AHEAD_MIN : far < LSM_AHEAD ? (size_t)far : LSM_AHEAD;
}

/* *p: the block and what is behind it, as they are in the file; NULL: it is not a time to read ahead. */
static enum sd_err look_ahead(struct tables_iter *i, const struct sd_lsm_handle *h, const char **p, struct sd_error *e)
{
	const struct sd_lsm_source *file = &i->tab->table.from;
	if (h->n > LSM_AHEAD - SD_LSM_AFTER || h->at > file->size || (*p = in_window(i, h->at, (size_t)h->n + SD_LSM_AFTER)))
		return SD_OK;
	size_t far = how_far(i, h->at);
	if (far > file->size - h->at)
		far = (size_t)(file->size - h->at);
	if (far < h->n + SD_LSM_AFTER || (!i->ahead && !(i->ahead = lsm_tables_take_ahead(i->tab->of))))
		return SD_OK;
	i->ahead_n = 0;
	enum sd_err err = file->read(file->arg, i->ahead, far, h->at, e);
	if (err)
		return err;
	i->ahead_at = h->at;
	i->ahead_n = far;
	*p = i->ahead;
	return SD_OK;
}

static enum sd_err read_window(void *arg, void *buf, size_t n, uint64_t off, struct sd_error *e)
{
	struct tables_iter *i = arg;
	const struct sd_lsm_source *file = &i->tab->table.from;
	const char *p = in_window(i, off, n);
	if (!p)
		return file->read(file->arg, buf, n, off, e);
	memcpy(buf, p, n);
	return SD_OK;
}

/* ---- blocks ---- */

/* Used where it was read to, or expanded from there: neither copied nor kept. */
static enum sd_err pass(struct tables_iter *i, const struct sd_lsm_handle *h, const char *p, struct sd_lsm_block *out, void **held,
			struct sd_error *e)
{
	struct sd_lsm_cached *b;
	char *piece;
	size_t n;
	enum sd_err err = sd_lsm_table_take(&i->tab->table, h, p, sizeof(*b), &piece, &n, e);
	*held = NULL;
	if (!err && !piece)
		return sd_lsm_table_block(&i->tab->table, out, p, n) ? SD_OK : lsm_no_block(i->tab, h, e);
	if (!err)
		err = lsm_tab_own(i->tab, h, piece, n, false, &b, e);
	if (err)
		return err;
	*out = b->block;
	*held = b;
	return SD_OK;
}

static enum sd_err get_block(struct sd_lsm_fetch *f, const struct sd_lsm_table *table, const struct sd_lsm_handle *h,
			     struct sd_lsm_block *out, void **held, struct sd_error *e)
{
	struct tables_iter *i = (struct tables_iter *)(void *)((char *)f - offsetof(struct tables_iter, fetch));
	struct sd_lsm_cache *cache = sd_lsm_tables_cache(i->tab->of);
	const char *p = NULL;
	enum sd_err err = SD_OK;
	(void)table;
	i->row = h->at == i->behind ? i->row + 1 : 0;
	if (i->row == 0)
		i->row_at = h->at;
	i->behind = h->at + h->n + SD_LSM_AFTER;
	struct sd_lsm_cached *b = sd_lsm_cache_get(cache, i->tab->number, h->at, i->fill);
	if (!b)
		err = look_ahead(i, h, &p, e);
	if (!err && p && (!i->fill || !sd_lsm_cache_passed(cache, i->tab->number, h->at)))
		return pass(i, h, p, out, held, e);
	if (!err && !b)
		err = lsm_tab_load(i->tab, &i->from, h, i->fill, &b, e);
	if (err)
		return err;
	*out = b->block;
	*held = b;
	return SD_OK;
}

static void put_block(struct sd_lsm_fetch *f, void *held)
{
	(void)f;
	if (held)
		sd_lsm_cached_release(held);
}

/* ---- moving ---- */

static void show(struct tables_iter *i, enum sd_err err)
{
	i->head.err = err;
	i->head.why = err ? &i->why : NULL;
	i->head.valid = !err && sd_lsm_scan_valid(&i->scan);
	i->head.key = i->scan.data.key;
	i->head.value = i->scan.data.value;
}

static void first(struct sd_lsm_iter *h)
{
	struct tables_iter *i = (struct tables_iter *)(void *)h;
	show(i, sd_lsm_scan_first(&i->scan, &i->why));
}

static void last(struct sd_lsm_iter *h)
{
	struct tables_iter *i = (struct tables_iter *)(void *)h;
	show(i, sd_lsm_scan_last(&i->scan, &i->why));
}

static void seek(struct sd_lsm_iter *h, struct sd_slice internal)
{
	struct tables_iter *i = (struct tables_iter *)(void *)h;
	show(i, sd_lsm_scan_seek(&i->scan, internal, &i->why));
}

static void next(struct sd_lsm_iter *h)
{
	struct tables_iter *i = (struct tables_iter *)(void *)h;
	show(i, sd_lsm_scan_next(&i->scan, &i->why));
}

static void prev(struct sd_lsm_iter *h)
{
	struct tables_iter *i = (struct tables_iter *)(void *)h;
	show(i, sd_lsm_scan_prev(&i->scan, &i->why));
}

static void let_go(struct sd_lsm_iter *h)
{
	struct tables_iter *i = (struct tables_iter *)(void *)h;
	sd_lsm_scan_free(&i->scan);
	lsm_tables_give_ahead(i->tab->of, i->ahead);
	lsm_tab_put(i->tab);
	free(i);
}

enum sd_err sd_lsm_tables_iter(struct sd_lsm_tables *t, uint64_t number, uint64_t size, bool fill, struct sd_lsm_iter **out,
			       struct sd_error *e)
{
	static const struct sd_lsm_iter_ops ops = {first, last, seek, next, prev, let_go};
	struct tables_iter *i = calloc(1, sizeof(*i));
	if (!i)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = lsm_tab_get(t, number, size, false, &i->tab, e);
	if (err) {
		free(i);
		return err;
	}
	i->head.ops = &ops;
	i->fetch = (struct sd_lsm_fetch){get_block, put_block};
	i->scan.table = &i->tab->table;
	i->scan.fetch = &i->fetch;
	i->from = i->tab->table.from;
	i->from.read = read_window;
	i->from.arg = i;
	i->fill = fill;
	*out = &i->head;
	return SD_OK;
}
