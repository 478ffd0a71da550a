/* lsm_make.c - the order in which things go to the disk: tables and the manifest, then their names, then CURRENT, which makes
 * them count. */
#include "lsm_make.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/lsm_log.h"

#define MANIFEST_NUMBER 1
#define LEVEL           (SD_LSM_LEVELS - 1) /* nothing is older */

struct sd_lsm_make {
	struct sd_world *world;
	char *path;
	struct sd_lsm_version version;
	struct sd_lsm_table_out table;
	struct sd_text smallest, key;
};

/* Writes a file and puts it on the disk, not its name. */
static enum sd_err write_file(struct sd_lsm_make *m, const char *name, struct sd_slice bytes, struct sd_error *e)
{
	struct sd_text full = {0};
	struct sd_file *f = NULL;
	struct iovec iov = {(void *)(uintptr_t)bytes.p, bytes.n};
	sd_text_format(&full, "%s/%s", m->path, name);
	enum sd_err err = full.full ? sd_fail(e, SD_ENOMEM, "out of memory")
				    : sd_file_open(m->world, full.p, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_NEW, &f, e);
	if (!err)
		err = sd_file_write(f, &iov, 1, 0, e);
	if (!err)
		err = sd_file_sync(f, e);
	sd_file_close(f);
	free(full.p);
	return err;
}

static enum sd_err must_be_empty(struct sd_lsm_make *m, struct sd_error *e)
{
	char **names = sd_world_list_dir(m->world, m->path);
	bool empty = !names || !names[0];
	for (char **p = names; p && *p; p++)
		free(*p);
	free(names);
	return empty ? SD_OK : sd_fail(e, SD_EEXISTS, "%s is not empty; expected a new folder", m->path);
}

enum sd_err sd_lsm_make_begin(struct sd_world *w, const char *path, struct sd_lsm_make **out, struct sd_error *e)
{
	struct sd_lsm_make *m = calloc(1, sizeof(*m));
	if (!m || !(m->path = strdup(path))) {
		free(m);
		return sd_fail(e, SD_ENOMEM, "out of memory");
	}
	m->world = w;
	m->version.next_file = MANIFEST_NUMBER + 1;
	enum sd_err err = sd_world_mkdir(w, path, 0700, e);
	if (!err || err == SD_EEXISTS)
		err = must_be_empty(m, e);
	if (err) {
		sd_lsm_make_free(m);
		return err;
	}
	sd_lsm_table_begin(&m->table, &(struct sd_lsm_table_conf){0});
	*out = m;
	return SD_OK;
}

static enum sd_err end_table(struct sd_lsm_make *m, struct sd_error *e)
{
	char name[32];
	struct sd_lsm_table_out *t = &m->table;
	struct sd_lsm_file f = {.number = m->version.next_file, .smallest = {m->smallest.p, m->smallest.n}};
	if (t->entries == 0)
		return SD_OK;
	enum sd_err err = sd_lsm_table_end(t, e);
	if (err)
		return err;
	f.size = t->file.n;
	f.largest = (struct sd_slice){t->last.p, t->last.n};
	snprintf(name, sizeof(name), "%06" PRIu64 ".ldb", f.number);
	err = write_file(m, name, (struct sd_slice){t->file.p, t->file.n}, e);
	if (!err && !sd_lsm_version_add(&m->version, LEVEL, &f))
		err = sd_fail(e, SD_ENOMEM, "out of memory");
	if (err)
		return err;
	m->version.next_file++;
	sd_lsm_table_begin(t, &(struct sd_lsm_table_conf){0});
	return SD_OK;
}

enum sd_err sd_lsm_make_add(struct sd_lsm_make *m, struct sd_slice user, struct sd_slice value, struct sd_error *e)
{
	char tail[SD_LSM_TAIL];
	sd_put_le(tail, ++m->version.last_seq << 8 | SD_LSM_VALUE, SD_LSM_TAIL);
	m->key.n = 0;
	sd_text_add(&m->key, user.p, user.n);
	sd_text_add(&m->key, tail, sizeof(tail));
	struct sd_slice key = {m->key.p, m->key.n};
	if (m->table.entries == 0) {
		m->smallest.n = 0;
		sd_text_add(&m->smallest, key.p, key.n);
	}
	if (m->key.full || m->smallest.full)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	sd_lsm_table_add(&m->table, key, value);
	return m->table.file.n >= SD_LSM_TABLE_BYTES ? end_table(m, e) : SD_OK;
}

static enum sd_err write_manifest(struct sd_lsm_make *m, const char *name, struct sd_error *e)
{
	struct sd_text edit = {0}, log = {0};
	sd_lsm_version_put(&m->version, &edit);
	if (!edit.full)
		sd_lsm_log_put(&log, 0, (struct sd_slice){edit.p, edit.n});
	enum sd_err err = edit.full || log.full ? sd_fail(e, SD_ENOMEM, "out of memory")
						: write_file(m, name, (struct sd_slice){log.p, log.n}, e);
	free(edit.p);
	free(log.p);
	return err;
}

static enum sd_err name_current(struct sd_lsm_make *m, struct sd_error *e)
{
	struct sd_text from = {0}, to = {0};
	sd_text_format(&from, "%s/CURRENT.dbtmp", m->path);
	sd_text_format(&to, "%s/CURRENT", m->path);
	enum sd_err err = from.full || to.full ? sd_fail(e, SD_ENOMEM, "out of memory") : sd_world_rename(m->world, from.p, to.p, e);
	free(from.p);
	free(to.p);
	return err;
}

enum sd_err sd_lsm_make_end(struct sd_lsm_make *m, struct sd_error *e)
{
	char name[32], line[40];
	snprintf(name, sizeof(name), "MANIFEST-%06d", MANIFEST_NUMBER);
	int n = snprintf(line, sizeof(line), "%s\n", name);
	enum sd_err err = end_table(m, e);
	if (!err)
		err = write_manifest(m, name, e);
	if (!err)
		err = write_file(m, "CURRENT.dbtmp", (struct sd_slice){line, (size_t)n}, e);
	if (!err)
		err = sd_dir_sync(m->world, m->path, e);
	if (!err)
		err = name_current(m, e);
	return err ? err : sd_dir_sync(m->world, m->path, e);
}

uint64_t sd_lsm_make_tables(const struct sd_lsm_make *m)
{
	return m->version.levels[LEVEL].n;
}

uint64_t sd_lsm_make_bytes(const struct sd_lsm_make *m)
{
	return sd_lsm_level_bytes(&m->version.levels[LEVEL]);
}

void sd_lsm_make_free(struct sd_lsm_make *m)
{
	if (!m)
		return;
	sd_lsm_table_free(&m->table);
	sd_lsm_version_free(&m->version);
	free(m->smallest.p);
	free(m->key.p);
	free(m->path);
	free(m);
}
