/* lsm_manifest.c - the order of things: the new manifest, its name, then CURRENT, then CURRENT's name. */
#include "lsm_manifest.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/lsm_log.h"

#define MANIFEST_MAX (UINT64_C(1) << 30)
#define CURRENT_MAX  64
#define LONG_FROM    (UINT64_C(1) << 20)

char *sd_lsm_path(const char *dir, const char *name)
{
	struct sd_text t = {0};
	sd_text_format(&t, "%s/%s", dir, name);
	return sd_text_take(&t, NULL);
}

static enum sd_err open_in(struct sd_world *w, const char *dir, const char *name, unsigned flags, struct sd_file **f, struct sd_error *e)
{
	char *full = sd_lsm_path(dir, name);
	enum sd_err err = full ? sd_file_open(w, full, flags, f, e) : sd_fail(e, SD_ENOMEM, "out of memory");
	free(full);
	return err;
}

enum sd_err sd_lsm_read_whole(struct sd_world *w, const char *dir, const char *name, uint64_t most, char **out, size_t *n,
			      struct sd_error *e)
{
	struct sd_file *f = NULL;
	uint64_t size = 0;
	char *p = NULL;
	enum sd_err err = open_in(w, dir, name, 0, &f, e);
	if (!err)
		err = sd_file_size(f, &size, e);
	if (!err && size > most)
		err = sd_fail(e, SD_ETOOBIG, "%s is too large (%" PRIu64 " bytes)", name, size);
	if (!err && !(p = malloc((size_t)size + 1)))
		err = sd_fail(e, SD_ENOMEM, "out of memory");
	if (!err)
		err = sd_file_read(f, p, (size_t)size, 0, n, e);
	sd_file_close(f);
	if (err || !p) {
		free(p);
		return err ? err : SD_ENOMEM;
	}
	p[*n] = '\0';
	*out = p;
	return SD_OK;
}

enum sd_err sd_lsm_write_whole(struct sd_world *w, const char *dir, const char *name, struct sd_slice bytes, struct sd_error *e)
{
	struct sd_file *f = NULL;
	struct iovec iov = {(void *)(uintptr_t)bytes.p, bytes.n};
	enum sd_err err = open_in(w, dir, name, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_TRUNCATE, &f, e);
	if (!err)
		err = sd_file_write(f, &iov, 1, 0, e);
	if (!err)
		err = sd_file_sync(f, e);
	sd_file_close(f);
	return err;
}

/* ---- CURRENT ---- */

static enum sd_err put_in_place(struct sd_world *w, const char *dir, struct sd_error *e)
{
	char *from = sd_lsm_path(dir, "CURRENT.dbtmp"), *to = sd_lsm_path(dir, "CURRENT");
	enum sd_err err = from && to ? sd_world_rename(w, from, to, e) : sd_fail(e, SD_ENOMEM, "out of memory");
	free(from);
	free(to);
	return err;
}

enum sd_err sd_lsm_set_current(struct sd_world *w, const char *dir, const char *manifest, bool *unsure, struct sd_error *e)
{
	char line[SD_LSM_NAME + 1];
	int n = snprintf(line, sizeof(line), "%s\n", manifest);
	enum sd_err err = sd_lsm_write_whole(w, dir, "CURRENT.dbtmp", (struct sd_slice){line, (size_t)n}, e);
	if (!err)
		err = sd_dir_sync(w, dir, e);
	*unsure = !err;
	if (!err)
		err = put_in_place(w, dir, e);
	if (!err)
		err = sd_dir_sync(w, dir, e);
	*unsure &= err != SD_OK;
	return err;
}

static enum sd_err read_current(struct sd_world *w, const char *dir, struct sd_lsm_manifest_found *found, struct sd_error *e)
{
	size_t n;
	char *line = NULL;
	enum sd_err err = sd_lsm_read_whole(w, dir, "CURRENT", CURRENT_MAX, &line, &n, e);
	if (err == SD_ENOTFOUND)
		return sd_fail(e, SD_ENOTFOUND, "%s is no folder of a store: it has no file CURRENT", dir);
	if (err)
		return err;
	if (n < 11 || n > sizeof(found->name) || line[n - 1] != '\n' || strncmp(line, "MANIFEST-", 9) != 0 ||
	    strspn(line + 9, "0123456789") != n - 10)
		err = sd_fail(e, SD_EDAMAGED, "CURRENT does not name a manifest");
	else
		snprintf(found->name, sizeof(found->name), "%.*s", (int)(n - 1), line);
	free(line);
	return err;
}

/* ---- reading ---- */

static enum sd_err read_edits(struct sd_lsm_version *v, struct sd_lsm_log_in *in, struct sd_lsm_manifest_found *found, struct sd_error *e)
{
	struct sd_slice record;
	enum sd_lsm_log_step step;
	enum sd_err err = SD_OK;
	while (!err && (step = sd_lsm_log_next(in, &record)) == SD_LSM_LOG_RECORD)
		if ((err = sd_lsm_version_apply(v, record, e)))
			sd_wrap(e, "%s: record at %zu", found->name, in->record_at);
	if (err)
		return err;
	if (step == SD_LSM_LOG_DAMAGED)
		return sd_fail(e, SD_EDAMAGED, "%s: record at %zu is damaged, and good ones follow", found->name, in->bad);
	found->torn = step == SD_LSM_LOG_TORN;
	found->torn_at = in->bad;
	if (!(err = sd_lsm_version_end(v, e)) || err == SD_ENOMEM)
		return err;
	if (found->torn)
		return sd_fail(e, SD_EDAMAGED, "%s: record at %zu is damaged", found->name, in->bad);
	return sd_wrap(e, "%s", found->name);
}

enum sd_err sd_lsm_manifest_read(struct sd_world *w, const char *dir, struct sd_lsm_version *v, struct sd_lsm_manifest_found *found,
				 struct sd_error *e)
{
	char *bytes = NULL;
	size_t n = 0;
	enum sd_err err = read_current(w, dir, found, e);
	if (err)
		return err;
	if ((err = sd_lsm_read_whole(w, dir, found->name, MANIFEST_MAX, &bytes, &n, e)))
		return err == SD_ENOTFOUND ? sd_fail(e, SD_EDAMAGED, "%s is missing", found->name) : err;
	struct sd_lsm_log_in in = {.p = (const uint8_t *)bytes, .n = n, .edits = true};
	err = read_edits(v, &in, found, e);
	sd_lsm_log_in_free(&in);
	free(bytes);
	return err;
}

/* ---- writing ---- */

/* Appends what m->out has. What a failed write left is cut off again: behind a record that is not whole nothing may follow. */
static enum sd_err append(struct sd_lsm_manifest *m, struct sd_error *e)
{
	struct iovec iov = {m->out.p, m->out.n};
	if (m->out.full)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = sd_file_write(m->file, &iov, 1, m->bytes, e);
	if (err) {
		m->broken = err != SD_ENOSPC || sd_file_truncate(m->file, m->bytes, NULL) || sd_file_sync(m->file, NULL);
		return err;
	}
	if ((err = sd_file_sync(m->file, e)))
		m->broken = true;
	else
		m->bytes += m->out.n;
	return err;
}

enum sd_err sd_lsm_manifest_add(struct sd_lsm_manifest *m, struct sd_slice edit, struct sd_error *e)
{
	if (m->broken)
		return sd_fail(e, SD_EIO, "%s could not be written before", sd_file_name(m->file));
	m->out.n = 0;
	m->out.full = false;
	sd_lsm_log_put(&m->out, m->bytes, edit);
	return append(m, e);
}

bool sd_lsm_manifest_is_long(const struct sd_lsm_manifest *m)
{
	return m->bytes > LONG_FROM + 4 * m->first_bytes;
}

void sd_lsm_manifest_close(struct sd_lsm_manifest *m)
{
	sd_file_close(m->file);
	free(m->out.p);
	*m = (struct sd_lsm_manifest){.world = m->world, .dir = m->dir};
}

static enum sd_err write_first(struct sd_lsm_manifest *m, const char *name, const struct sd_lsm_version *v, struct sd_error *e)
{
	struct sd_text all = {0};
	enum sd_err err = open_in(m->world, m->dir, name, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_TRUNCATE, &m->file, e);
	if (err)
		return err;
	sd_lsm_version_put(v, &all);
	err = all.full ? sd_fail(e, SD_ENOMEM, "out of memory") : sd_lsm_manifest_add(m, (struct sd_slice){all.p, all.n}, e);
	m->first_bytes = m->bytes;
	free(all.p);
	return err;
}

static void remove_file(struct sd_lsm_manifest *m, const char *name)
{
	char *full = sd_lsm_path(m->dir, name);
	if (full)
		sd_world_unlink(m->world, full);
	free(full);
}

enum sd_err sd_lsm_manifest_begin(struct sd_lsm_manifest *m, uint64_t number, const struct sd_lsm_version *v, struct sd_error *e)
{
	char name[SD_LSM_NAME];
	struct sd_lsm_manifest fresh = {.world = m->world, .dir = m->dir, .number = number};
	snprintf(name, sizeof(name), "MANIFEST-%06" PRIu64, number);
	enum sd_err err = write_first(&fresh, name, v, e);
	bool unsure = false;
	if (!err)
		err = sd_lsm_set_current(m->world, m->dir, name, &unsure, e);
	if (err) {
		/* when it may be what CURRENT names after a crash, it has to be there */
		if (!unsure)
			remove_file(&fresh, name);
		m->broken |= unsure;
		sd_lsm_manifest_close(&fresh);
		return err;
	}
	sd_lsm_manifest_close(m);
	*m = fresh;
	return SD_OK;
}
