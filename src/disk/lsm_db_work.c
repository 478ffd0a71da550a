/* lsm_db_work.c - what is done in the background, one piece a call: removing what is left over, flushing, compaction, the sync of
 * each second. One thread at a time works.
 */
#include <stdio.h>
#include <stdlib.h>

#include "core/lsm_pick.h"
#include "lsm_db_int.h"

#define SECOND	    INT64_C(1000000000)
#define TABLE_LEAST (UINT64_C(8) << 20)
#define TABLE_MOST  (UINT64_C(64) << 20)

/* ---- a new version ---- */

static enum sd_err write_edit(struct sd_kv *kv, const struct sd_text *edit, const struct sd_lsm_version *v, struct sd_error *e)
{
	struct sd_lsm_manifest *m = &kv->manifest;
	if (!sd_lsm_manifest_is_long(m))
		return sd_lsm_manifest_add(m, (struct sd_slice){edit->p, edit->n}, e);
	uint64_t before = m->number;
	enum sd_err err = sd_lsm_manifest_begin(m, lsm_new_number(kv), v, e);
	if (!err)
		lsm_left_over(kv, before, LEFT_MANIFEST);
	return err;
}

static void drop_logs(struct sd_kv *kv, uint64_t from)
{
	for (;;) {
		sd_lock_enter(kv->lock);
		uint64_t number = kv->nlogs > 0 && kv->logs[0] < from ? kv->logs[0] : 0;
		if (number)
			memmove(kv->logs, kv->logs + 1, --kv->nlogs * sizeof(kv->logs[0]));
		sd_lock_leave(kv->lock);
		if (!number)
			return;
		lsm_left_over(kv, number, LEFT_LOG);
	}
}

/* Readers see it from now on. */
static enum sd_err show(struct sd_kv *kv, struct sd_lsm_tree *tree, unsigned nflushed, struct sd_error *e)
{
	sd_lock_enter(kv->lock);
	struct sd_lsm_view *before = kv->view, *next = sd_lsm_view_new(&before->mem, before->held, before->nheld - nflushed, tree);
	if (next)
		lsm_view_swap(kv, next);
	sd_lock_leave(kv->lock);
	if (next)
		sd_lsm_view_unref(before);
	return next ? SD_OK : lsm_no_memory(e);
}

uint64_t lsm_table_bytes(const struct sd_kv *kv, const struct sd_lsm_version *v)
{
	uint64_t bytes = 0;
	if (kv->conf.table_bytes || !kv->own)
		return kv->conf.table_bytes ? kv->conf.table_bytes : 2 << 20;
	for (unsigned level = 0; level < SD_LSM_LEVELS; level++)
		bytes += sd_lsm_level_bytes(&v->levels[level]);
	bytes /= kv->conf.open_files / 2;
	return bytes < TABLE_LEAST ? TABLE_LEAST : bytes > TABLE_MOST ? TABLE_MOST : bytes;
}

void lsm_pick_conf(const struct sd_kv *kv, const struct sd_lsm_version *v, struct sd_lsm_pick_conf *c)
{
	*c = (struct sd_lsm_pick_conf){.style = kv->conf.style == SD_KV_TIERED ? SD_LSM_TIERED : SD_LSM_LEVELED,
				       .base_bytes = kv->conf.level_bytes,
				       .table_bytes = lsm_table_bytes(kv, v),
				       .blob_spare = kv->conf.memtable_bytes};
}

static void weigh(struct sd_kv *kv, const struct sd_lsm_version *v)
{
	struct sd_lsm_pick_conf conf;
	struct sd_lsm_shape shape;
	lsm_pick_conf(kv, v, &conf);
	sd_lsm_shape(v, &conf, &shape);
	atomic_store(&kv->owed, shape.owed);
}

enum sd_err lsm_install(struct sd_kv *kv, struct sd_text *edit, unsigned nflushed, struct sd_error *e)
{
	struct sd_error why = {0};
	struct sd_lsm_view *view = lsm_view_now(kv);
	struct sd_lsm_tree *tree = sd_lsm_tree_new(&view->tree->version, view->tree->gone, kv);
	sd_lsm_view_unref(view);
	if (!tree)
		return lsm_no_memory(e);
	sd_lock_enter(kv->lock);
	sd_lsm_edit_next_file(edit, kv->next_file);
	sd_lock_leave(kv->lock);
	sd_lsm_edit_last_seq(edit, atomic_load(&kv->last_seq));
	if (kv->own)
		sd_lsm_edit_now(edit, lsm_now_ms(kv));
	enum sd_err err = !edit->full ? sd_lsm_version_apply(&tree->version, (struct sd_slice){edit->p, edit->n}, &why)
				      : lsm_no_memory(&why);
	if (!err)
		err = sd_lsm_version_end(&tree->version, &why);
	if (!err)
		err = write_edit(kv, edit, &tree->version, &why);
	if (!err && (err = show(kv, tree, nflushed, &why)))
		kv->manifest.broken = true; /* it says what we do not */
	if (kv->manifest.broken)
		err = lsm_fail_all(kv, err, &why);
	if (!err) {
		drop_logs(kv, tree->version.log);
		weigh(kv, &tree->version);
	}
	sd_lsm_tree_unref(tree);
	return err ? sd_fail(e, err, "%s", why.text) : SD_OK;
}

/* ---- what is left over ---- */

static bool take_left(struct sd_kv *kv, struct lsm_left *left)
{
	sd_lock_enter(kv->lock);
	bool some = kv->nleft > 0 && kv->pins == 0 && !kv->failed;
	if (some)
		*left = kv->left[--kv->nleft];
	sd_lock_leave(kv->lock);
	return some;
}

static bool remove_some(struct sd_kv *kv)
{
	struct lsm_left left;
	char name[SD_LSM_NAME];
	bool did = false;
	for (unsigned i = 0; i < 16 && take_left(kv, &left); i++) {
		if (left.kind == LEFT_TABLE || left.kind == LEFT_BLOB)
			sd_lsm_tables_forget(kv->tables, left.number);
		lsm_left_name(kv, &left, name);
		char *full = sd_lsm_path(kv->path, name);
		if (full)
			sd_world_unlink(kv->world, full);
		free(full);
		did = true;
	}
	return did;
}

/* ---- the sync of each second ---- */

static bool sync_is_due(struct sd_kv *kv, struct lsm_log_out **log)
{
	int64_t now = sd_world_mono_ns(kv->world);
	if (atomic_load(&kv->sync_mode) != SD_KV_EVERYSEC || now - kv->synced_ns < SECOND)
		return false;
	kv->synced_ns = now;
	sd_lock_enter(kv->lock);
	*log = lsm_log_ref(kv->log);
	sd_lock_leave(kv->lock);
	return true;
}

static enum sd_err sync_log(struct sd_kv *kv, struct sd_error *e)
{
	struct lsm_log_out *log;
	if (!sync_is_due(kv, &log))
		return SD_OK;
	enum sd_err err = lsm_log_sync(kv, log, e);
	lsm_log_unref(log);
	return err;
}

/* ---- the clock ---- */

/* So that what has ended does not come back when the store is opened by a clock that was set back. */
enum sd_err lsm_keep_clock(struct sd_kv *kv, uint64_t from_ms, struct sd_error *e)
{
	struct sd_text edit = {0};
	struct sd_lsm_view *view = lsm_view_now(kv);
	bool kept = view->tree->version.now_ms >= from_ms;
	sd_lsm_edit_log(&edit, view->nheld > 0 ? view->held[view->nheld - 1].log : view->mem.log);
	sd_lsm_view_unref(view);
	enum sd_err err = kv->own && !kept ? lsm_install(kv, &edit, 0, e) : SD_OK;
	free(edit.p);
	return err;
}

/* At most once a second. */
static enum sd_err keep_clock_if_due(struct sd_kv *kv, struct sd_error *e)
{
	uint64_t ended = atomic_load_explicit(&kv->ended_ms, memory_order_relaxed);
	int64_t now = sd_world_mono_ns(kv->world);
	if (ended == 0 || now - kv->clock_kept_ns < SECOND)
		return SD_OK;
	kv->clock_kept_ns = now;
	return lsm_keep_clock(kv, ended, e);
}

/* ---- one piece ---- */

/* tried: all that is due was, so that nothing of before is in the way any more. Removing files says nothing of that. */
static enum sd_err do_one(struct sd_kv *kv, bool *did, bool *tried, struct sd_error *e)
{
	enum sd_err err = lsm_in_place(kv, kv->lock_file, e); /* nothing is put into a folder that is not ours */
	if (!err)
		err = sync_log(kv, e);
	if (!err)
		err = keep_clock_if_due(kv, e);
	*did = remove_some(kv);
	if (err || *did || sd_world_mono_ns(kv->world) < kv->work_again_ns)
		return err;
	*tried = true;
	err = lsm_flush_one(kv, did, e);
	return err || *did ? err : lsm_compact_step(kv, did, e);
}

static bool begin_work(struct sd_kv *kv)
{
	sd_lock_enter(kv->lock);
	bool mine = !kv->working && !kv->read_only && !kv->failed;
	if (mine) {
		kv->working = true;
		kv->wants_work = false;
	}
	sd_lock_leave(kv->lock);
	return mine;
}

/* What failed is tried again a second later, or when somebody needs it. */
static bool end_work(struct sd_kv *kv, enum sd_err err, bool did, bool tried, const struct sd_error *why)
{
	int64_t now = sd_world_mono_ns(kv->world);
	sd_lock_enter(kv->lock);
	kv->working = false;
	if (err) {
		kv->work_err = err;
		kv->work_why = *why;
		kv->work_again_ns = now + SECOND;
	} else if (tried) {
		kv->work_err = SD_OK;
		kv->work_again_ns = 0;
	}
	bool more = !err && (did || kv->wants_work) && !kv->failed;
	if (kv->done)
		sd_cond_wake_all(kv->done);
	sd_lock_leave(kv->lock);
	return more;
}

bool sd_kv_work(struct sd_kv *kv)
{
	struct sd_error why = {0};
	bool did = false, tried = false;
	if (!begin_work(kv))
		return false;
	enum sd_err err = do_one(kv, &did, &tried, &why);
	return end_work(kv, err, did, tried, &why);
}

void lsm_work_thread(void *arg)
{
	struct sd_kv *kv = arg;
	sd_lock_enter(kv->lock);
	while (!kv->stopping) {
		if (!kv->wants_work)
			sd_cond_wait_for(kv->due, kv->lock, SECOND);
		bool more = !kv->stopping;
		sd_lock_leave(kv->lock);
		while (more) {
			more = sd_kv_work(kv);
			sd_lock_enter(kv->lock);
			more &= !kv->stopping;
			sd_lock_leave(kv->lock);
		}
		sd_lock_enter(kv->lock);
	}
	sd_lock_leave(kv->lock);
}

/* ---- waiting for it ---- */

/* Until nothing of before `log` waits to be flushed. Lock held. */
static bool is_flushed(const struct sd_kv *kv, uint64_t log)
{
	for (unsigned i = 0; i < kv->view->nheld; i++)
		if (kv->view->held[i].log < log)
			return false;
	return true;
}

enum sd_err lsm_wait_until(struct sd_kv *kv, bool (*is)(const struct sd_kv *kv, uint64_t v), uint64_t v, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	sd_lock_enter(kv->lock);
	kv->work_err = SD_OK;
	kv->work_again_ns = 0;
	while (!err && !is(kv, v)) {
		const struct sd_error *why = kv->failed ? &kv->why : &kv->work_why;
		if ((err = kv->failed ? kv->failed : kv->work_err)) {
			sd_fail(e, err, "%s", why->text);
			break;
		}
		lsm_wake_work(kv);
		if (kv->done) {
			sd_cond_wait_for(kv->done, kv->lock, SECOND);
			continue;
		}
		sd_lock_leave(kv->lock);
		sd_kv_work(kv);
		sd_lock_enter(kv->lock);
	}
	sd_lock_leave(kv->lock);
	return err;
}

static enum sd_err begin_flush(struct lsm_writer *w, struct sd_error *e)
{
	struct sd_kv *kv = w->kv;
	sd_lock_enter(kv->lock);
	struct sd_lsm_mem *mem = kv->view->mem.mem;
	bool empty = sd_lsm_mem_entries(mem) == 0 && sd_lsm_mem_range_count(mem) == 0;
	sd_lock_leave(kv->lock);
	enum sd_err err = empty ? SD_OK : lsm_switch(kv, e);
	if (!err) {
		sd_lock_enter(kv->lock);
		*(uint64_t *)w->arg = kv->view->mem.log;
		sd_lock_leave(kv->lock);
	}
	return err;
}

enum sd_err sd_kv_flush(struct sd_kv *kv, struct sd_error *e)
{
	uint64_t log = 0;
	struct lsm_writer w = {.prepare = begin_flush, .arg = &log};
	enum sd_err err = lsm_submit(kv, &w, e);
	return err ? err : lsm_wait_until(kv, is_flushed, log, e);
}
