/* lsm_db.c - what all parts of a store share: the view, numbers of files, files that are left over, the clock. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "lsm_db_int.h"

enum sd_err lsm_no_memory(struct sd_error *e)
{
	return sd_fail(e, SD_ENOMEM, "out of memory");
}

void lsm_say(struct sd_kv *kv, const struct sd_kv_event *event)
{
	if (kv->conf.event)
		kv->conf.event(kv->conf.arg, event);
}

#define BACK_MS 1000

/* The wall clock is behind what was seen: time goes on from there all the same, as the other clock says. */
static uint64_t go_on_from(struct sd_kv *kv, uint64_t seen)
{
	int64_t mono = sd_world_mono_ns(kv->world) / 1000000, ahead = atomic_load_explicit(&kv->ahead_ms, memory_order_relaxed);
	if (ahead == 0 || mono + ahead < (int64_t)seen) {
		ahead = (int64_t)seen - mono;
		atomic_store_explicit(&kv->ahead_ms, ahead, memory_order_relaxed);
	}
	return (uint64_t)(mono + ahead);
}

uint64_t lsm_now_ms(struct sd_kv *kv)
{
	int64_t ms = kv->conf.now_ms ? kv->conf.now_ms(kv->conf.arg) : sd_world_wall_ns(kv->world) / 1000000;
	uint64_t now = ms > 0 ? (uint64_t)ms : 0, seen = atomic_load_explicit(&kv->now_ms, memory_order_relaxed);
	if (now + BACK_MS < seen && !kv->conf.now_ms)
		now = go_on_from(kv, seen);
	while (now > seen && !atomic_compare_exchange_weak_explicit(&kv->now_ms, &seen, now, memory_order_relaxed, memory_order_relaxed))
		;
	return now > seen ? now : seen;
}

uint64_t lsm_new_number(struct sd_kv *kv)
{
	sd_lock_enter(kv->lock);
	uint64_t number = kv->next_file++;
	sd_lock_leave(kv->lock);
	return number;
}

/* ---- the view ---- */

struct sd_lsm_view *lsm_view_now(struct sd_kv *kv)
{
	sd_lock_enter(kv->lock);
	struct sd_lsm_view *v = sd_lsm_view_ref(kv->view);
	sd_lock_leave(kv->lock);
	return v;
}

struct sd_lsm_view *lsm_view_swap(struct sd_kv *kv, struct sd_lsm_view *view)
{
	struct sd_lsm_view *before = kv->view;
	kv->view = view;
	return before;
}

/* ---- failing ---- */

/* SD_ENOSPC says that nothing was kept and that a later write may do. Of a sync, too, that finds no room for what was written before
 * (a file system may look for it that late) nobody knows what it kept. */
enum sd_err lsm_fail_all(struct sd_kv *kv, enum sd_err err, const struct sd_error *why)
{
	if (err == SD_ENOSPC)
		err = SD_EIO;
	sd_lock_enter(kv->lock);
	bool first = !kv->failed;
	if (first) {
		kv->failed = err;
		kv->why = *why;
	}
	lsm_wake_work(kv);
	if (kv->done)
		sd_cond_wake_all(kv->done);
	sd_lock_leave(kv->lock);
	if (first)
		lsm_say(kv, &(struct sd_kv_event){.kind = SD_KV_EVENT_FAILED, .text = why->text});
	return err;
}

enum sd_err lsm_in_place(struct sd_kv *kv, struct sd_file *f, struct sd_error *e)
{
	struct sd_error why;
	if (sd_file_is_in_place(f))
		return SD_OK;
	sd_fail(&why, SD_EIO, "%s was removed or replaced while the store was open", sd_file_name(f));
	return sd_fail(e, lsm_fail_all(kv, SD_EIO, &why), "%s", why.text);
}

enum sd_err sd_kv_health(struct sd_kv *kv, struct sd_error *e)
{
	sd_lock_enter(kv->lock);
	enum sd_err err = kv->failed ? kv->failed : kv->work_err;
	const struct sd_error *why = kv->failed ? &kv->why : &kv->work_why;
	if (err)
		sd_fail(e, err, "%s", why->text);
	sd_lock_leave(kv->lock);
	return err;
}

void lsm_wake_work(struct sd_kv *kv)
{
	kv->wants_work = true;
	if (kv->due)
		sd_cond_wake(kv->due);
}

/* ---- files that nobody needs ---- */

/* When memory runs out the file stays until the store is opened again. */
void lsm_left_over(struct sd_kv *kv, uint64_t number, enum lsm_left_kind kind)
{
	sd_lock_enter(kv->lock);
	if (kv->nleft == kv->left_room) {
		size_t room = kv->left_room ? 2 * kv->left_room : 64;
		struct lsm_left *more = realloc(kv->left, room * sizeof(*more));
		if (more) {
			kv->left = more;
			kv->left_room = room;
		}
	}
	if (kv->nleft < kv->left_room)
		kv->left[kv->nleft++] = (struct lsm_left){number, kind};
	lsm_wake_work(kv);
	sd_lock_leave(kv->lock);
}

void lsm_table_name(const struct sd_kv *kv, uint64_t number, char name[SD_LSM_NAME])
{
	snprintf(name, SD_LSM_NAME, "%06" PRIu64 ".%s", number, kv->own ? "sst" : "ldb");
}

void lsm_left_name(const struct sd_kv *kv, const struct lsm_left *left, char name[SD_LSM_NAME])
{
	if (left->kind == LEFT_TABLE)
		lsm_table_name(kv, left->number, name);
	else if (left->kind == LEFT_MANIFEST)
		snprintf(name, SD_LSM_NAME, "MANIFEST-%06" PRIu64, left->number);
	else
		snprintf(name, SD_LSM_NAME, "%06" PRIu64 ".%s", left->number, left->kind == LEFT_BLOB ? "blob" : "log");
}

/* ---- small things of the face ---- */

int64_t sd_kv_now_ms(struct sd_kv *kv)
{
	return (int64_t)lsm_now_ms(kv);
}

enum sd_kv_format sd_kv_format(const struct sd_kv *kv)
{
	return kv->own ? SD_KV_SDLAB : SD_KV_LEVELDB;
}

void sd_kv_set_sync(struct sd_kv *kv, enum sd_kv_sync sync)
{
	atomic_store(&kv->sync_mode, (int)sync);
}

void sd_kv_set_rate(struct sd_kv *kv, uint64_t bytes_per_s)
{
	atomic_store(&kv->rate, bytes_per_s);
}

void sd_lsm_db_tables(struct sd_kv *kv, void (*fn)(void *arg, unsigned level, const struct sd_lsm_file *f), void *arg)
{
	struct sd_lsm_view *view = lsm_view_now(kv);
	for (unsigned level = 0; level < SD_LSM_LEVELS; level++)
		for (size_t i = 0; i < view->tree->version.levels[level].n; i++)
			fn(arg, level, &view->tree->version.levels[level].files[i]);
	sd_lsm_view_unref(view);
}
