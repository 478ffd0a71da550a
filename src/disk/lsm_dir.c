/* lsm_dir.c - opening a folder: CURRENT, the manifest, the logs. */
#include "lsm_dir.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/lsm_batch.h"
#include "core/lsm_log.h"
#include "lsm_manifest.h"

static enum sd_err read_manifest(struct sd_lsm_dir *d, struct sd_error *e)
{
	struct sd_lsm_manifest_found found = {0};
	enum sd_err err = sd_lsm_manifest_read(d->world, d->path, &d->version, &found, e);
	if (err)
		return err;
	if (found.torn)
		sd_text_format(&d->notes, "%s: torn tail at %" PRIu64 "\n", found.name, found.torn_at);
	d->manifest = strdup(found.name);
	return d->manifest ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
}

/* ---- logs ---- */

static bool add_write(struct sd_lsm_dir *d, uint64_t log, const struct sd_lsm_batch_at *b)
{
	if (d->nwrites == d->room) {
		size_t room = d->room ? 2 * d->room : 1024;
		struct sd_lsm_write *more = realloc(d->writes, room * sizeof(*more));
		if (!more)
			return false;
		d->writes = more;
		d->room = room;
	}
	size_t n = b->key.n + SD_LSM_TAIL;
	char *p = malloc(n + b->value.n);
	if (!p)
		return false;
	if (b->key.n > 0)
		memcpy(p, b->key.p, b->key.n);
	sd_put_le(p + b->key.n, b->seq << 8 | b->kind, SD_LSM_TAIL);
	if (b->value.n > 0)
		memcpy(p + n, b->value.p, b->value.n);
	d->writes[d->nwrites++] = (struct sd_lsm_write){{p, n}, {p + n, b->value.n}, log};
	/* cppcheck-suppress memleak; the slices of the write hold it */
	return true;
}

static enum sd_err take_batch(struct sd_lsm_dir *d, uint64_t log, struct sd_slice record, struct sd_error *e)
{
	struct sd_lsm_batch_at b;
	if (!sd_lsm_batch_open(&b, record))
		return sd_fail(e, SD_EDAMAGED, "is no batch of writes");
	while (sd_lsm_batch_next(&b))
		if (!add_write(d, log, &b))
			return sd_fail(e, SD_ENOMEM, "out of memory");
	if (b.damaged)
		return sd_fail(e, SD_EDAMAGED, "is no batch of writes");
	if (b.seq > d->version.last_seq)
		d->version.last_seq = b.seq;
	return SD_OK;
}

static enum sd_err take_log(struct sd_lsm_dir *d, uint64_t number, const char *name, const char *bytes, size_t n, struct sd_error *e)
{
	struct sd_lsm_log_in in = {.p = (const uint8_t *)bytes, .n = n};
	struct sd_slice record;
	enum sd_lsm_log_step step;
	enum sd_err err = SD_OK;
	while (!err && (step = sd_lsm_log_next(&in, &record)) == SD_LSM_LOG_RECORD)
		if ((err = take_batch(d, number, record, e)))
			sd_wrap(e, "%s: record at %zu", name, in.record_at);
	if (!err && step == SD_LSM_LOG_DAMAGED)
		err = sd_fail(e, SD_EDAMAGED, "%s: record at %zu is damaged, and good ones follow", name, in.bad);
	if (!err && step == SD_LSM_LOG_TORN)
		sd_text_format(&d->notes, "%s: torn tail at %zu\n", name, in.bad);
	sd_lsm_log_in_free(&in);
	return err;
}

/* 0: it is no log, or all of it is in tables. */
static uint64_t log_number(const struct sd_lsm_dir *d, const char *name)
{
	char *end;
	uint64_t number = strtoull(name, &end, 10);
	bool in_use = number >= d->version.log || (number != 0 && number == d->version.previous_log);
	return end != name && strcmp(end, ".log") == 0 && *name >= '0' && *name <= '9' && in_use ? number : 0;
}

static int by_key(const void *a, const void *b)
{
	return sd_lsm_internal(((const struct sd_lsm_write *)a)->key, ((const struct sd_lsm_write *)b)->key);
}

static enum sd_err read_logs(struct sd_lsm_dir *d, struct sd_error *e)
{
	char **names = sd_world_list_dir(d->world, d->path);
	enum sd_err err = SD_OK;
	for (char **p = names; p && *p; p++) {
		uint64_t number = err ? 0 : log_number(d, *p);
		char *bytes = NULL;
		size_t n = 0;
		if (number && !(err = sd_lsm_read_whole(d->world, d->path, *p, SIZE_MAX / 2, &bytes, &n, e))) {
			err = take_log(d, number, *p, bytes, n, e);
			d->nlogs++;
			d->log_bytes += n;
			free(bytes);
		}
		free(*p);
	}
	free(names);
	if (d->nwrites > 0)
		qsort(d->writes, d->nwrites, sizeof(d->writes[0]), by_key);
	return err;
}

enum sd_err sd_lsm_dir_open(struct sd_world *w, const char *path, struct sd_lsm_dir **out, struct sd_error *e)
{
	struct sd_lsm_dir *d = calloc(1, sizeof(*d));
	if (d)
		d->path = strdup(path);
	if (!d || !d->path) {
		free(d);
		return sd_fail(e, SD_ENOMEM, "out of memory");
	}
	d->world = w;
	enum sd_err err = read_manifest(d, e);
	if (!err)
		err = read_logs(d, e);
	if (err) {
		sd_lsm_dir_close(d);
		return err;
	}
	*out = d;
	return SD_OK;
}

void sd_lsm_dir_close(struct sd_lsm_dir *d)
{
	if (!d)
		return;
	for (size_t i = 0; i < d->nwrites; i++)
		free((void *)(uintptr_t)d->writes[i].key.p);
	free(d->writes);
	sd_lsm_version_free(&d->version);
	free(d->notes.p);
	free(d->manifest);
	free(d->path);
	free(d);
}

/* ---- tables ---- */

static enum sd_err read_at(void *arg, void *buf, size_t n, uint64_t off, struct sd_error *e)
{
	struct sd_file *f = arg;
	size_t got;
	enum sd_err err = sd_file_read(f, buf, n, off, &got, e);
	return err ? err : got == n ? SD_OK : sd_fail(e, SD_EDAMAGED, "%s ends too early", sd_file_name(f));
}

/* Tables were called .sst before LevelDB 1.14. */
static enum sd_err open_file(struct sd_lsm_dir *d, uint64_t number, struct sd_lsm_open_table *t, struct sd_error *e)
{
	static const char *const ends[] = {"ldb", "sst"};
	enum sd_err err = SD_ENOTFOUND;
	for (size_t i = 0; i < 2 && err == SD_ENOTFOUND; i++) {
		snprintf(t->name, sizeof(t->name), "%06" PRIu64 ".%s", number, ends[i]);
		char *full = sd_lsm_path(d->path, t->name);
		err = full ? sd_file_open(d->world, full, 0, &t->file, e) : sd_fail(e, SD_ENOMEM, "out of memory");
		free(full);
	}
	if (err != SD_ENOTFOUND)
		return err;
	snprintf(t->name, sizeof(t->name), "%06" PRIu64 ".ldb", number);
	return sd_fail(e, SD_EDAMAGED, "%s is missing", t->name);
}

enum sd_err sd_lsm_table_find(struct sd_lsm_dir *d, const struct sd_lsm_file *f, struct sd_lsm_open_table *t, struct sd_error *e)
{
	struct sd_lsm_source from = {.read = read_at, .name = t->name};
	*t = (struct sd_lsm_open_table){0};
	enum sd_err err = open_file(d, f->number, t, e);
	if (!err) {
		from.arg = t->file;
		err = sd_file_size(t->file, &from.size, e);
	}
	if (!err && from.size != f->size)
		err = sd_fail(e, SD_EDAMAGED, "%s has %" PRIu64 " bytes, and should have %" PRIu64, t->name, from.size, f->size);
	if (!err)
		err = sd_lsm_table_open(&t->table, &from, e);
	if (err)
		sd_lsm_table_let_go(t);
	return err;
}

void sd_lsm_table_let_go(struct sd_lsm_open_table *t)
{
	sd_lsm_table_close(&t->table);
	sd_file_close(t->file);
	t->file = NULL;
}
