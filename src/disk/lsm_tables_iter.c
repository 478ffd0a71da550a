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
	unsigned row;	 /* blocks that were read one after the other */
	char *ahead;	 /* NULL: nothing was */
	uint64_t ahead_at;
	size_t ahead_n;
	struct sd_error why;
};

/* ---- reading ahead ---- */

static size_t how_far(const struct tables_iter *i)
{
	if (!i->fill)
		return i->row > 0 ? LSM_AHEAD : 0;
	if (i->row < ROW_ENOUGH)
		return 0;
	return i->row - ROW_ENOUGH > 4 ? LSM_AHEAD : AHEAD_MIN << (i->row - ROW_ENOUGH);
}

static enum sd_err read_ahead(void *arg, void *buf, size_t n, uint64_t off, struct sd_error *e)
{
	struct tables_iter *i = arg;
	const struct sd_lsm_source *file = &i->tab->table.from;
	if (off < i->ahead_at || off - i->ahead_at > i->ahead_n || i->ahead_n - (off - i->ahead_at) < n) {
		size_t far = how_far(i);
		if (far > file->size - off)
			far = (size_t)(file->size - off);
		if (far <= n || (!i->ahead && !(i->ahead = lsm_tables_take_ahead(i->tab->of))))
			return file->read(file->arg, buf, n, off, e);
		i->ahead_n = 0;
		enum sd_err err = file->read(file->arg, i->ahead, far, off, e);
		if (err)
			return err;
		i->ahead_at = off;
		i->ahead_n = far;
	}
	memcpy(buf, i->ahead + (off - i->ahead_at), n);
	return SD_OK;
}

/* ---- blocks ---- */

static enum sd_err get_block(struct sd_lsm_fetch *f, const struct sd_lsm_table *table, const struct sd_lsm_handle *h,
			     struct sd_lsm_block *out, void **held, struct sd_error *e)
{
	struct tables_iter *i = (struct tables_iter *)(void *)((char *)f - offsetof(struct tables_iter, fetch));
	struct sd_lsm_cached *b;
	bool waited;
	(void)table;
	i->row = h->at == i->behind ? i->row + 1 : 0;
	enum sd_err err = lsm_tab_block(i->tab, &i->from, h, i->fill, &b, &waited, e);
	if (err)
		return err;
	i->behind = h->at + h->n + 5;
	*out = b->block;
	*held = b;
	return SD_OK;
}

static void put_block(struct sd_lsm_fetch *f, void *held)
{
	(void)f;
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
	i->from.read = read_ahead;
	i->from.arg = i;
	i->fill = fill;
	*out = &i->head;
	return SD_OK;
}
