/* lsm_db_checkpoint.c - another folder with the store as it is now. Tables, blob files and logs that are not written to any more never
 * change, so that both folders share them (hard links; copies where links cannot be made). CURRENT comes last: a folder that was not
 * finished is no store.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lsm_db_int.h"

#define PIECE (256u << 10)

struct checkpoint {
	struct sd_kv *kv;
	const char *to;
	struct sd_lsm_view *view;
	uint64_t *logs; /* that memtables of the view need */
	size_t nlogs;
	uint64_t next_file, last_seq;
};

/* ---- what is in it ---- */

static enum sd_err note_logs(struct checkpoint *c, struct sd_error *e)
{
	struct sd_kv *kv = c->kv;
	uint64_t from = c->view->nheld > 0 ? c->view->held[c->view->nheld - 1].log : c->view->mem.log;
	sd_lock_enter(kv->lock);
	c->logs = malloc((kv->nlogs + 1) * sizeof(c->logs[0]));
	for (size_t i = 0; c->logs && i < kv->nlogs; i++)
		if (kv->logs[i] >= from && kv->logs[i] < c->view->mem.log)
			c->logs[c->nlogs++] = kv->logs[i];
	c->next_file = kv->next_file;
	sd_lock_leave(kv->lock);
	c->last_seq = atomic_load(&kv->last_seq);
	return c->logs ? SD_OK : lsm_no_memory(e);
}

/* By the leader: nothing is written meanwhile. What is in memory stays there, but its log is done with. */
static enum sd_err take(struct lsm_writer *w, struct sd_error *e)
{
	struct checkpoint *c = w->arg;
	struct sd_lsm_view *now = lsm_view_now(w->kv);
	bool empty = sd_lsm_mem_entries(now->mem.mem) == 0 && sd_lsm_mem_range_count(now->mem.mem) == 0;
	sd_lsm_view_unref(now);
	enum sd_err err = empty ? SD_OK : lsm_switch(w->kv, e);
	if (err)
		return err;
	c->view = lsm_view_now(w->kv);
	return note_logs(c, e);
}

/* ---- files ---- */

static enum sd_err copy_pieces(struct sd_file *from, struct sd_file *to, char *piece, struct sd_error *e)
{
	uint64_t at = 0;
	size_t got = 1;
	enum sd_err err = SD_OK;
	while (!err && got > 0) {
		if ((err = sd_file_read(from, piece, PIECE, at, &got, e)) || got == 0)
			break;
		struct iovec iov = {piece, got};
		err = sd_file_write(to, &iov, 1, at, e);
		at += got;
	}
	return err ? err : sd_file_sync(to, e);
}

static enum sd_err copy_file(struct sd_world *w, const char *from, const char *to, struct sd_error *e)
{
	struct sd_file *a = NULL, *b = NULL;
	char *piece = malloc(PIECE);
	enum sd_err err = piece ? sd_file_open(w, from, 0, &a, e) : lsm_no_memory(e);
	if (!err)
		err = sd_file_open(w, to, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_NEW, &b, e);
	if (!err)
		err = copy_pieces(a, b, piece, e);
	sd_file_close(a);
	sd_file_close(b);
	free(piece);
	return err;
}

static enum sd_err share(struct checkpoint *c, const char *name, struct sd_error *e)
{
	char *from = sd_lsm_path(c->kv->path, name), *to = sd_lsm_path(c->to, name);
	enum sd_err err = from && to ? sd_world_hardlink(c->kv->world, from, to, e) : lsm_no_memory(e);
	if (err && from && to && err != SD_ENOSPC && err != SD_EEXISTS)
		err = copy_file(c->kv->world, from, to, e);
	free(from);
	free(to);
	return err;
}

static enum sd_err share_number(struct checkpoint *c, uint64_t number, enum lsm_left_kind kind, struct sd_error *e)
{
	char name[SD_LSM_NAME];
	lsm_left_name(c->kv, &(struct lsm_left){number, kind}, name);
	enum sd_err err = share(c, name, e);
	if (err != SD_ENOTFOUND || kind != LEFT_TABLE || c->kv->own)
		return err;
	snprintf(name, sizeof(name), "%06" PRIu64 ".sst", number); /* LevelDB before 1.14 */
	return share(c, name, e);
}

static enum sd_err share_all(struct checkpoint *c, struct sd_error *e)
{
	const struct sd_lsm_version *v = &c->view->tree->version;
	enum sd_err err = SD_OK;
	for (unsigned level = 0; level < SD_LSM_LEVELS; level++)
		for (size_t i = 0; i < v->levels[level].n && !err; i++)
			err = share_number(c, v->levels[level].files[i].number, LEFT_TABLE, e);
	for (size_t i = 0; i < v->nblobs && !err; i++)
		err = share_number(c, v->blobs[i].number, LEFT_BLOB, e);
	for (size_t i = 0; i < c->nlogs && !err; i++)
		err = share_number(c, c->logs[i], LEFT_LOG, e);
	return err;
}

/* ---- the rest ---- */

static enum sd_err write_manifest(struct checkpoint *c, struct sd_error *e)
{
	struct sd_lsm_manifest m = {.world = c->kv->world, .dir = c->to};
	struct sd_lsm_version v = {0};
	enum sd_err err = sd_lsm_version_copy(&v, &c->view->tree->version) ? SD_OK : lsm_no_memory(e);
	v.log = c->nlogs > 0 ? c->logs[0] : c->view->mem.log;
	v.previous_log = 0;
	v.next_file = c->next_file + 1;
	v.last_seq = c->last_seq;
	if (c->kv->own)
		v.now_ms = lsm_now_ms(c->kv);
	if (!err)
		err = sd_lsm_manifest_begin(&m, c->next_file, &v, e);
	sd_lsm_manifest_close(&m);
	sd_lsm_version_free(&v);
	return err;
}

static enum sd_err fill(struct checkpoint *c, struct sd_error *e)
{
	enum sd_err err = sd_world_mkdir(c->kv->world, c->to, 0700, e);
	if (!err && c->kv->own)
		err = share(c, "SDLAB", e);
	if (!err)
		err = share_all(c, e);
	if (!err)
		err = sd_dir_sync(c->kv->world, c->to, e);
	if (!err)
		err = write_manifest(c, e);
	return err ? err : lsm_sync_parents(c->kv->world, c->to, e);
}

static enum sd_err must_not_be_there(struct sd_kv *kv, const char *path, struct sd_error *e)
{
	char **names = sd_world_list_dir(kv->world, path);
	if (!names)
		return SD_OK;
	for (char **p = names; *p; p++)
		free(*p);
	free(names);
	return sd_fail(e, SD_EEXISTS, "%s is there already; expected the name of a new folder", path);
}

static void pin(struct sd_kv *kv, bool on)
{
	sd_lock_enter(kv->lock);
	kv->pins += on ? 1u : UINT32_MAX;
	lsm_wake_work(kv);
	sd_lock_leave(kv->lock);
}

enum sd_err sd_kv_checkpoint(struct sd_kv *kv, const char *path, struct sd_error *e)
{
	struct checkpoint c = {.kv = kv, .to = path};
	struct lsm_writer w = {.prepare = take, .arg = &c};
	enum sd_err err = must_not_be_there(kv, path, e);
	if (err)
		return err;
	pin(kv, true);
	err = lsm_submit(kv, &w, e);
	if (!err && (err = fill(&c, e)))
		sd_wrap(e, "cannot make checkpoint %s", path);
	pin(kv, false);
	sd_lsm_view_unref(c.view);
	free(c.logs);
	return err;
}
