/* lsm_run.c - the next table is opened when the one in hand is at its end. */
#include "lsm_run.h"

#include <stdlib.h>

#include "lsm_tables.h"

struct run {
	struct sd_lsm_iter i;
	struct sd_lsm_tables *tables;
	const struct sd_lsm_input *in;
	size_t n, at; /* at: the one after that in hand */
	struct sd_lsm_iter *table;
	struct sd_error why;
};

static struct run *of(struct sd_lsm_iter *i)
{
	return (struct run *)i;
}

static void open_next(struct run *r)
{
	const struct sd_lsm_file *f = &r->in[r->at++].file;
	sd_lsm_iter_free(r->table);
	r->table = NULL;
	r->i.err = sd_lsm_tables_iter(r->tables, f->number, f->size, false, &r->table, &r->why);
	if (r->i.err) {
		r->table = NULL;
		r->i.why = &r->why;
		return;
	}
	r->table->ops->first(r->table);
}

/* From where the table in hand is on to where there is something. */
static void show(struct run *r)
{
	while (!r->i.err && (!r->table || (!r->table->valid && !r->table->err)) && r->at < r->n)
		open_next(r);
	if (!r->i.err && r->table && r->table->err) {
		r->i.err = r->table->err;
		r->i.why = r->table->why;
	}
	r->i.valid = !r->i.err && r->table && r->table->valid;
	if (r->i.valid) {
		r->i.key = r->table->key;
		r->i.value = r->table->value;
	}
}

static void run_first(struct sd_lsm_iter *i)
{
	struct run *r = of(i);
	sd_lsm_iter_free(r->table);
	r->table = NULL;
	r->at = 0;
	r->i.err = SD_OK;
	show(r);
}

static void run_next(struct sd_lsm_iter *i)
{
	struct run *r = of(i);
	r->table->ops->next(r->table);
	if (r->table->valid) {
		i->key = r->table->key;
		i->value = r->table->value;
		return;
	}
	show(r);
}

static void run_free(struct sd_lsm_iter *i)
{
	sd_lsm_iter_free(of(i)->table);
	free(i);
}

struct sd_lsm_iter *sd_lsm_run_new(struct sd_lsm_tables *tables, const struct sd_lsm_input *in, size_t n)
{
	static const struct sd_lsm_iter_ops ops = {.first = run_first, .next = run_next, .free = run_free};
	struct run *r = calloc(1, sizeof(*r));
	if (!r)
		return NULL;
	*r = (struct run){.i = {.ops = &ops}, .tables = tables, .in = in, .n = n};
	return &r->i;
}
