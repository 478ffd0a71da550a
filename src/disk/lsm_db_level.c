/* lsm_db_level.c - the tables of a level, which do not overlap, as one place: the table in hand is open, the others are not. */
#include <stdlib.h>

#include "lsm_db_int.h"

struct level_iter {
	struct sd_lsm_iter iter;
	struct sd_lsm_tables *tables;
	const struct sd_lsm_file *files;
	size_t n, at; /* at: the file that `in` is in */
	bool fill;
	struct sd_lsm_iter *in; /* NULL: none */
	struct sd_error why;
};

static struct level_iter *of(struct sd_lsm_iter *i)
{
	return (struct level_iter *)i; /* it comes first */
}

/* Opens the table; false: none, or it cannot be. */
static bool enter(struct level_iter *l, size_t at)
{
	if (l->in && l->at == at)
		return true;
	sd_lsm_iter_free(l->in);
	l->in = NULL;
	l->at = at;
	if (at >= l->n)
		return false;
	const struct sd_lsm_file *f = &l->files[at];
	l->iter.err = sd_lsm_tables_iter(l->tables, f->number, f->size, l->fill, &l->in, &l->why);
	l->iter.why = &l->why;
	return l->iter.err == SD_OK;
}

/* What the table in hand says, unless it is at its end: then the next one, in this direction. */
static void settle(struct level_iter *l, bool forward)
{
	for (;;) {
		l->iter.valid = l->in && l->in->valid;
		if (l->iter.valid) {
			l->iter.key = l->in->key;
			l->iter.value = l->in->value;
			return;
		}
		if (l->in && l->in->err) {
			l->iter.err = l->in->err;
			l->iter.why = l->in->why;
			return;
		}
		if (l->iter.err || (!forward && l->at == 0) || !enter(l, forward ? l->at + 1 : l->at - 1))
			return;
		(forward ? l->in->ops->first : l->in->ops->last)(l->in);
	}
}

static void begin(struct level_iter *l)
{
	l->iter.err = SD_OK;
	l->iter.valid = false;
}

static void first(struct sd_lsm_iter *i)
{
	struct level_iter *l = of(i);
	begin(l);
	if (enter(l, 0))
		l->in->ops->first(l->in);
	settle(l, true);
}

static void last(struct sd_lsm_iter *i)
{
	struct level_iter *l = of(i);
	begin(l);
	if (enter(l, l->n - 1))
		l->in->ops->last(l->in);
	settle(l, false);
}

static void seek(struct sd_lsm_iter *i, struct sd_slice internal)
{
	struct level_iter *l = of(i);
	size_t low = 0, high = l->n; /* the first table that does not end before it */
	begin(l);
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (sd_lsm_internal(l->files[middle].largest, internal) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	if (enter(l, low))
		l->in->ops->seek(l->in, internal);
	settle(l, true);
}

static void next(struct sd_lsm_iter *i)
{
	struct level_iter *l = of(i);
	l->in->ops->next(l->in);
	settle(l, true);
}

static void prev(struct sd_lsm_iter *i)
{
	struct level_iter *l = of(i);
	l->in->ops->prev(l->in);
	settle(l, false);
}

static void end(struct sd_lsm_iter *i)
{
	sd_lsm_iter_free(of(i)->in);
	free(i);
}

struct sd_lsm_iter *lsm_level_iter(struct sd_lsm_tables *t, const struct sd_lsm_file *files, size_t n, bool fill)
{
	static const struct sd_lsm_iter_ops ops = {first, last, seek, next, prev, end};
	struct level_iter *l = calloc(1, sizeof(*l));
	if (!l)
		return NULL;
	l->iter.ops = &ops;
	l->tables = t;
	l->files = files;
	l->n = n;
	l->fill = fill;
	return &l->iter;
}
