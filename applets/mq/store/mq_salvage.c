/* mq_salvage.c - what is readable of a damaged log, in its place; the damaged one stays beside it. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "mq_store_int.h"
#include "world/file.h"

#define PATH 4096

static enum sd_err note(struct sd_wal_walk *w, const struct sd_wal_trouble *t, struct sd_error *e)
{
	struct mq_store_found *found = w->arg;
	(void)e;
	if (t->kind == SD_WAL_DAMAGE && !found->salvaged[0])
		snprintf(found->salvaged, sizeof(found->salvaged), "%.250s: %.250s", t->file, t->text);
	return SD_OK;
}

static enum sd_err copy(struct mq_store *s, const char *to, struct mq_store_found *found, struct sd_error *e)
{
	struct sd_wal_salvage job = {.walk = {.path = s->dir, .name = "mq", .trouble = note, .arg = found}, .to = to};
	enum sd_err err = sd_wal_salvage(s->world, &job, e);
	size_t n = strlen(found->salvaged);
	if (!err && n)
		snprintf(found->salvaged + n, sizeof(found->salvaged) - n, "; %" PRIu64 " records kept, %" PRIu64 " missing",
			 job.records, job.missing + job.before);
	return err;
}

/* The folders change places; whoever opens it meanwhile finds none, or the lock. */
static enum sd_err exchange(struct mq_store *s, const char *made, const char *damaged, struct sd_error *e)
{
	char up[PATH];
	snprintf(up, sizeof(up), "%s", s->dir);
	char *slash = strrchr(up, '/');
	if (slash && slash != up)
		*slash = '\0';
	enum sd_err err = sd_world_rename(s->world, s->dir, damaged, e);
	if (!err)
		err = sd_world_rename(s->world, made, s->dir, e);
	return err ? err : sd_dir_sync(s->world, slash ? (slash == up ? "/" : up) : ".", e);
}

static enum sd_err must_not_be(struct mq_store *s, const char *path, struct sd_error *e)
{
	char **names = sd_world_list_dir(s->world, path);
	for (char **n = names; n && *n; n++)
		free(*n);
	free(names);
	return names ? sd_fail(e, SD_EEXISTS, "cannot salvage %s: %s is there already; move it away", s->dir, path) : SD_OK;
}

enum sd_err mq_store_salvage(struct mq_store *s, struct mq_store_found *found, struct sd_error *e)
{
	char made[PATH], damaged[PATH], name[PATH];
	struct sd_file *lock;
	size_t n = strlen(s->dir);
	while (n > 1 && s->dir[n - 1] == '/')
		s->dir[--n] = '\0';
	if (n >= PATH - 20)
		return sd_fail(e, SD_ETOOBIG, "cannot salvage %s: the path is too long", s->dir);
	snprintf(made, sizeof(made), "%s.salvaged", s->dir);
	snprintf(damaged, sizeof(damaged), "%s.damaged", s->dir);
	snprintf(name, sizeof(name), "%s/LOCK", s->dir);
	enum sd_err err = sd_file_open(s->world, name, SD_FILE_WRITE | SD_FILE_CREATE, &lock, e);
	if (err)
		return err;
	err = sd_file_lock(lock, e);
	if (!err)
		err = must_not_be(s, damaged, e);
	if (!err)
		err = must_not_be(s, made, e);
	if (!err)
		err = copy(s, made, found, e);
	if (!err)
		err = exchange(s, made, damaged, e);
	sd_file_close(lock);
	return err;
}
