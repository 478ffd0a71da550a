/* lsm_walk.c - all writes in order: the logs, the tables of level 0 and each further level are runs in order, and the least of
 * their next keys comes next. */
#include <stdlib.h>

#include "lsm_dir.h"

struct run {
	struct sd_lsm_dir *d;
	const struct sd_lsm_write *write, *writes_end; /* of the logs; NULL: it is one of tables */
	const struct sd_lsm_file *file, *files_end;    /* the next table */
	struct sd_lsm_open_table table;
	struct sd_lsm_scan scan;
	bool open;
	struct sd_slice key, value;
	bool valid;
};

static void show(struct run *r)
{
	r->valid = r->write ? r->write < r->writes_end : r->open && sd_lsm_scan_valid(&r->scan);
	if (!r->valid)
		return;
	r->key = r->write ? r->write->key : r->scan.data.key;
	r->value = r->write ? r->write->value : r->scan.data.value;
}

static void let_go(struct run *r)
{
	if (!r->open)
		return;
	sd_lsm_scan_free(&r->scan);
	sd_lsm_table_let_go(&r->table);
	r->open = false;
}

/* On to the next table that has something, from `from` on (NULL: from its first key). */
static enum sd_err enter(struct run *r, const struct sd_slice *from, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	while (!err && !(r->open && sd_lsm_scan_valid(&r->scan)) && r->file < r->files_end) {
		let_go(r);
		if ((err = sd_lsm_table_find(r->d, r->file++, &r->table, e)))
			break;
		r->open = true;
		r->scan = (struct sd_lsm_scan){.table = &r->table.table};
		err = from ? sd_lsm_scan_seek(&r->scan, *from, e) : sd_lsm_scan_first(&r->scan, e);
	}
	show(r);
	return err;
}

static enum sd_err forward(struct run *r, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	if (r->write)
		r->write++;
	else
		err = sd_lsm_scan_next(&r->scan, e);
	if (!err && !r->write)
		err = enter(r, NULL, e);
	show(r);
	return err;
}

static enum sd_err begin(struct run *r, struct sd_slice from, struct sd_error *e)
{
	if (!r->write)
		return enter(r, from.n > 0 ? &from : NULL, e);
	while (r->write < r->writes_end && from.n > 0 && sd_lsm_internal(r->write->key, from) < 0)
		r->write++;
	show(r);
	return SD_OK;
}

static struct run *least(struct run *runs, size_t n)
{
	struct run *best = NULL;
	for (size_t i = 0; i < n; i++)
		if (runs[i].valid && (!best || sd_lsm_internal(runs[i].key, best->key) < 0))
			best = &runs[i];
	return best;
}

static enum sd_err merge(struct run *runs, size_t n, struct sd_lsm_walk *walk, struct sd_error *e)
{
	struct sd_text last = {0}; /* user key */
	bool begun = false;
	enum sd_err err = SD_OK;
	for (struct run *r; !err && (r = least(runs, n));) {
		struct sd_slice user = sd_lsm_user(r->key);
		bool newest = !begun || sd_lsm_bytewise(user, (struct sd_slice){last.p, last.n}) != 0;
		if (newest) {
			last.n = 0;
			sd_text_add(&last, user.p, user.n);
			begun = true;
		}
		if (last.full)
			err = sd_fail(e, SD_ENOMEM, "out of memory");
		else if (walk->all || (newest && sd_lsm_kind(r->key) == SD_LSM_VALUE))
			err = walk->each(walk, r->key, r->value, e);
		if (!err)
			err = forward(r, e);
	}
	free(last.p);
	return err;
}

static size_t make_runs(struct sd_lsm_dir *d, struct run *runs)
{
	const struct sd_lsm_level *l = d->version.levels;
	size_t n = 0;
	if (d->nwrites > 0)
		runs[n++] = (struct run){.d = d, .write = d->writes, .writes_end = d->writes + d->nwrites};
	for (size_t i = 0; i < l[0].n; i++)
		runs[n++] = (struct run){.d = d, .file = &l[0].files[i], .files_end = &l[0].files[i + 1]};
	for (unsigned i = 1; i < SD_LSM_LEVELS; i++)
		if (l[i].n > 0)
			runs[n++] = (struct run){.d = d, .file = l[i].files, .files_end = l[i].files + l[i].n};
	return n;
}

enum sd_err sd_lsm_dir_walk(struct sd_lsm_dir *d, struct sd_lsm_walk *walk, struct sd_error *e)
{
	struct run *runs = calloc(d->version.levels[0].n + SD_LSM_LEVELS, sizeof(*runs));
	struct sd_text from = {0};
	char tail[SD_LSM_TAIL];
	sd_put_le(tail, SD_LSM_SEQ_MAX << 8 | SD_LSM_VALUE, SD_LSM_TAIL);
	if (walk->from.n > 0) {
		sd_text_add(&from, walk->from.p, walk->from.n);
		sd_text_add(&from, tail, sizeof(tail));
	}
	if (!runs || from.full) {
		free(runs);
		free(from.p);
		return sd_fail(e, SD_ENOMEM, "out of memory");
	}
	size_t n = make_runs(d, runs);
	enum sd_err err = SD_OK;
	for (size_t i = 0; i < n && !err; i++)
		err = begin(&runs[i], (struct sd_slice){from.p, from.n}, e);
	if (!err)
		err = merge(runs, n, walk, e);
	for (size_t i = 0; i < n; i++)
		let_go(&runs[i]);
	free(runs);
	free(from.p);
	return err;
}
