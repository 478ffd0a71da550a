/* lsm_db_log.c - the log that is written to: records behind each other, synced, cut back when one did not fit. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/lsm_log.h"
#include "lsm_db_int.h"

#define ZEROS	 4096
#define ROOM_MIN (UINT64_C(4) << 10)
#define ROOM_MAX (UINT64_C(256) << 10)

struct lsm_log_out *lsm_log_ref(struct lsm_log_out *l)
{
	atomic_fetch_add_explicit(&l->refs, 1, memory_order_relaxed);
	return l;
}

void lsm_log_unref(struct lsm_log_out *l)
{
	if (!l || atomic_fetch_sub_explicit(&l->refs, 1, memory_order_acq_rel) != 1)
		return;
	sd_file_close(l->file);
	free(l);
}

static bool know_log(struct sd_kv *kv, uint64_t number)
{
	sd_lock_enter(kv->lock);
	if (kv->nlogs == kv->logs_room) {
		size_t room = kv->logs_room ? 2 * kv->logs_room : 16;
		uint64_t *more = realloc(kv->logs, room * sizeof(*more));
		if (more) {
			kv->logs = more;
			kv->logs_room = room;
		}
	}
	bool ok = kv->nlogs < kv->logs_room;
	if (ok)
		kv->logs[kv->nlogs++] = number;
	sd_lock_leave(kv->lock);
	return ok;
}

/* A log whose name may be lost is none: what was written to it would be gone with it. */
enum sd_err lsm_log_begin(struct sd_kv *kv, struct lsm_log_out **out, struct sd_error *e)
{
	char name[SD_LSM_NAME];
	*out = NULL;
	if (lsm_in_place(kv, kv->lock_file, e))
		return SD_EIO;
	struct lsm_log_out *l = calloc(1, sizeof(*l));
	if (!l)
		return lsm_no_memory(e);
	atomic_init(&l->refs, 1);
	l->number = lsm_new_number(kv);
	snprintf(name, sizeof(name), "%06" PRIu64 ".log", l->number);
	char *full = sd_lsm_path(kv->path, name);
	enum sd_err err = full ? sd_file_open(kv->world, full, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_TRUNCATE, &l->file, e)
			       : lsm_no_memory(e);
	if (!err)
		err = sd_dir_sync(kv->world, kv->path, e);
	if (!err && !know_log(kv, l->number))
		err = lsm_no_memory(e);
	if (err) {
		if (l->file)
			lsm_left_over(kv, l->number, LEFT_LOG);
		lsm_log_unref(l);
		l = NULL;
	}
	*out = l;
	free(full);
	return err;
}

enum sd_err lsm_log_sync(struct sd_kv *kv, struct lsm_log_out *l, struct sd_error *e)
{
	struct sd_error why;
	uint64_t bytes = atomic_load(&l->bytes), synced = atomic_load(&l->synced);
	if (synced >= bytes)
		return SD_OK;
	enum sd_err err = sd_file_sync(l->file, &why);
	if (err)
		return sd_fail(e, lsm_fail_all(kv, err, &why), "%s", why.text);
	while (synced < bytes && !atomic_compare_exchange_weak(&l->synced, &synced, bytes))
		;
	lsm_count(&kv->figures.syncs, 1);
	return SD_OK;
}

/* What a write that did not fit left behind must not come back, also not as what a longer file reads there after a crash: zeros
 * first, then it is cut. */
static enum sd_err cut_back(struct lsm_log_out *l, uint64_t bytes, struct sd_error *e)
{
	static const char zeros[ZEROS];
	uint64_t size = 0;
	enum sd_err err = sd_file_size(l->file, &size, e);
	for (uint64_t at = bytes; !err && at < size; at += ZEROS) {
		struct iovec iov = {(void *)(uintptr_t)zeros, size - at < ZEROS ? (size_t)(size - at) : ZEROS};
		err = sd_file_write(l->file, &iov, 1, at, e);
	}
	if (!err || err == SD_ENOSPC)
		err = sd_file_truncate(l->file, bytes, e);
	return err ? err : sd_file_sync(l->file, e);
}

/* Many small records follow, none of them synced: the file is made longer by more than one at a time. What is not used of it are zeros,
 * and no records (LevelDB takes them so, too). Where there is no room the records themselves may still fit. */
static void make_room(const struct sd_kv *kv, struct lsm_log_out *l, uint64_t at, size_t n)
{
	uint64_t part = kv->conf.memtable_bytes / 64, step = part < ROOM_MIN ? ROOM_MIN : part > ROOM_MAX ? ROOM_MAX : part - part % ROOM_MIN;
	if (at + n <= l->room || n > step / 4)
		return;
	l->room = at - at % ROOM_MIN + step;
	if (!sd_file_allocate(l->file, l->room, NULL))
		sd_file_expect(l->file, at, l->room);
}

static enum sd_err write_out(struct sd_kv *kv, struct lsm_log_out *l, uint64_t at, struct sd_error *e)
{
	struct sd_error why;
	if (kv->out.full)
		return lsm_no_memory(e);
	struct iovec iov = {kv->out.p, kv->out.n};
	enum sd_err err = sd_file_write(l->file, &iov, 1, at, &why);
	if (!err) {
		atomic_store(&l->bytes, at + kv->out.n);
		lsm_count_alone(&kv->figures.logged_bytes, kv->out.n);
		return SD_OK;
	}
	struct sd_error first = why;
	if (err != SD_ENOSPC || cut_back(l, at, &why))
		err = lsm_fail_all(kv, err, &first);
	return sd_fail(e, err, "%s", first.text);
}

/* From here on records are not synced one by one (see lsm_log.h). What says so is on the disk before any of them: of those that nobody was
 * promised the first may be lost and the next not, and without the mark that would be damage. */
static enum sd_err grow_weak(struct sd_kv *kv, struct lsm_log_out *l, uint64_t seq, struct sd_error *e)
{
	uint64_t at = atomic_load_explicit(&l->bytes, memory_order_relaxed);
	sd_lsm_log_put_mark(&kv->out, at, seq);
	enum sd_err err = write_out(kv, l, at, e);
	if (!err)
		err = lsm_log_sync(kv, l, e);
	l->weak = !err;
	return err;
}

enum sd_err lsm_log_write(struct sd_kv *kv, struct lsm_log_out *l, struct sd_slice record, bool sync, struct sd_error *e)
{
	uint64_t seq = sd_get_le(record.p, 8);
	bool was_weak = l->weak;
	kv->out.n = 0;
	kv->out.full = false;
	enum sd_err err = sync || was_weak ? SD_OK : grow_weak(kv, l, seq, e);
	if (err)
		return err;
	uint64_t at = atomic_load_explicit(&l->bytes, memory_order_relaxed);
	kv->out.n = 0;
	if (was_weak && atomic_load(&l->synced) == at)
		sd_lsm_log_put_mark(&kv->out, at, seq);
	sd_lsm_log_put(&kv->out, at + kv->out.n, record);
	if (!sync)
		make_room(kv, l, at, kv->out.n);
	return write_out(kv, l, at, e);
}

/* A mark at its end says that all of it was there: what is not whole later is damaged then, not cut off by a power cut. It is on the disk
 * only behind the records. Where it does not fit, nothing but this is missed. */
void lsm_log_close(struct sd_kv *kv, struct lsm_log_out *l)
{
	uint64_t at = atomic_load(&l->bytes);
	if (at == 0 || atomic_load(&l->synced) < at)
		return;
	kv->out.n = 0;
	kv->out.full = false;
	sd_lsm_log_put_mark(&kv->out, at, atomic_load(&kv->last_seq) + 1);
	struct iovec iov = {kv->out.p, kv->out.n};
	if (kv->out.full || sd_file_write(l->file, &iov, 1, at, NULL))
		sd_file_truncate(l->file, at, NULL);
	else if (!l->room || !sd_file_truncate(l->file, at + kv->out.n, NULL))
		sd_file_sync(l->file, NULL);
}
