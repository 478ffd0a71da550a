/* lsm_db_replay.c - what is in logs and not yet in tables comes back into memory.
 *
 * A log whose end is not whole, with nothing good behind, is one that was being written when the power went: it is cut there, and so is
 * one that ends with room that was never written. Anything else that is not as it should be is refused.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/lsm_batch.h"
#include "core/lsm_log.h"
#include "lsm_db_int.h"

#define LOG_MAX (UINT64_C(8) << 30)

bool lsm_number_of(const char *name, const char *end, uint64_t *number)
{
	char *rest;
	if (*name < '0' || *name > '9')
		return false;
	*number = strtoull(name, &rest, 10);
	return *rest == '.' && strcmp(rest + 1, end) == 0;
}

static int by_number(const void *a, const void *b)
{
	uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
	return (x > y) - (x < y);
}

/* Logs that are still needed, upwards, to kv->logs. */
static enum sd_err find_logs(struct sd_kv *kv, const struct sd_lsm_version *v, char **names, struct sd_error *e)
{
	uint64_t number;
	size_t n = 0;
	while (names && names[n])
		n++;
	kv->logs = calloc(n + 16, sizeof(kv->logs[0]));
	if (!kv->logs)
		return lsm_no_memory(e);
	kv->logs_room = n + 16;
	for (size_t i = 0; i < n; i++)
		if (lsm_number_of(names[i], "log", &number) && (number >= v->log || (number && number == v->previous_log)))
			kv->logs[kv->nlogs++] = number;
	if (kv->nlogs > 0)
		qsort(kv->logs, kv->nlogs, sizeof(kv->logs[0]), by_number);
	return SD_OK;
}

struct replay {
	struct sd_kv *kv;
	uint64_t log;
	char name[SD_LSM_NAME];
	uint64_t writes, last_seq;
	size_t bytes; /* of the log that is read */
	bool torn;
	uint64_t end; /* of what is kept of it */
};

static enum sd_err judge(const struct replay *r, struct sd_slice record, struct sd_error *e)
{
	struct sd_lsm_batch_at b;
	bool ok = sd_lsm_batch_open(&b, record);
	while (ok && sd_lsm_batch_next(&b))
		ok = b.kind <= SD_LSM_VALUE || (r->kv->own && (b.kind != SD_LSM_RANGE_GONE || b.value.n > 0));
	return ok && !b.damaged ? SD_OK : sd_fail(e, SD_EDAMAGED, "is no batch of writes");
}

/* A memtable more when this one is full: the log that it needs is this one. */
static enum sd_err next_mem(struct sd_kv *kv, uint64_t log, struct sd_error *e)
{
	struct sd_lsm_view *v = kv->view;
	if (sd_lsm_mem_bytes(v->mem.mem) < 2 * kv->conf.memtable_bytes || v->nheld == SD_LSM_HELD_MAX - 2)
		return SD_OK;
	struct sd_lsm_held fresh = {sd_lsm_mem_new(kv->conf.memtable_bytes, v->mem.mem), log}, held[SD_LSM_HELD_MAX];
	held[0] = v->mem;
	memcpy(held + 1, v->held, v->nheld * sizeof(held[0]));
	struct sd_lsm_view *next = fresh.mem ? sd_lsm_view_new(&fresh, held, v->nheld + 1, v->tree) : NULL;
	sd_lsm_mem_unref(fresh.mem);
	if (!next)
		return lsm_no_memory(e);
	sd_lsm_view_unref(lsm_view_swap(kv, next));
	return SD_OK;
}

static enum sd_err take(struct replay *r, struct sd_slice record, struct sd_error *e)
{
	uint64_t last_seq, user_bytes;
	enum sd_err err = judge(r, record, e);
	if (!err)
		err = next_mem(r->kv, r->log, e);
	if (err)
		return err;
	if (sd_get_le(record.p + 8, 4) == 0)
		return SD_OK;
	if (!lsm_add_group(r->kv->view->mem.mem, record, &last_seq, &user_bytes))
		return lsm_no_memory(e);
	r->writes += sd_get_le(record.p + 8, 4);
	if (last_seq > r->last_seq)
		r->last_seq = last_seq;
	return SD_OK;
}

/* A writer beside who only reads may have been in the middle of a record when that was read, and further on than that when what is
 * behind it was read. By now it is whole; damage stays as it is. */
static bool is_whole_now(struct replay *r, struct sd_lsm_log_in *in, char **bytes, size_t *bad)
{
	char *now = NULL;
	size_t n = 0;
	if (!r->kv->read_only || in->bad <= *bad || sd_lsm_read_whole(r->kv->world, r->kv->path, r->name, LOG_MAX, &now, &n, NULL))
		return false;
	free(*bytes);
	*bytes = now;
	*bad = in->bad;
	in->p = (const uint8_t *)now;
	in->n = n;
	in->at = in->record_at;
	return true;
}

static enum sd_err take_all(struct replay *r, struct sd_lsm_log_in *in, char **bytes, struct sd_error *e)
{
	struct sd_slice record;
	enum sd_lsm_log_step step;
	enum sd_err err = SD_OK;
	size_t bad = 0;
	do {
		while (!err && (step = sd_lsm_log_next(in, &record)) == SD_LSM_LOG_RECORD)
			if ((err = take(r, record, e)))
				sd_wrap(e, "%s: record at %zu", r->name, in->record_at);
		if (err)
			return err;
	} while (step == SD_LSM_LOG_DAMAGED && is_whole_now(r, in, bytes, &bad));
	if (step == SD_LSM_LOG_DAMAGED)
		return sd_fail(e, SD_EDAMAGED, "%s: record at %zu is damaged, and good ones follow", r->name, in->bad);
	r->torn = step == SD_LSM_LOG_TORN;
	r->end = r->torn ? in->record_at : in->at < in->n ? in->at : in->n; /* torn: nothing of it stays, also when its first pieces are whole */
	return SD_OK;
}

/* Written anew over itself and synced, before anything depends on it: what was read may be in the kernel's memory only, and taken for
 * clean there after a sync that failed (world/file.h, rule 3). It needs no room, and where it was on the disk nothing changes. What is
 * not whole is cut off: other logs will follow. */
static enum sd_err keep_log(struct replay *r, const char *bytes, size_t n, struct sd_error *e)
{
	struct sd_kv *kv = r->kv;
	struct sd_file *f = NULL;
	struct iovec iov = {(void *)(uintptr_t)bytes, (size_t)r->end};
	if (r->torn)
		lsm_say(kv, &(struct sd_kv_event){.kind = SD_KV_EVENT_TORN, .name = r->name, .bytes = r->end});
	if (kv->read_only || n == 0)
		return SD_OK;
	char *full = sd_lsm_path(kv->path, r->name);
	enum sd_err err = full ? sd_file_open(kv->world, full, SD_FILE_WRITE, &f, e) : lsm_no_memory(e);
	if (!err && iov.iov_len > 0)
		err = sd_file_write(f, &iov, 1, 0, e);
	if (!err && r->end < n)
		err = sd_file_truncate(f, r->end, e);
	if (!err)
		err = sd_file_sync(f, e);
	sd_file_close(f);
	free(full);
	return err;
}

static enum sd_err may_follow(const struct replay *r, uint64_t log, struct sd_error *e)
{
	char name[SD_LSM_NAME], *bytes = NULL;
	size_t n = 0;
	struct sd_slice record;
	snprintf(name, sizeof(name), "%06" PRIu64 ".log", log);
	enum sd_err err = sd_lsm_read_whole(r->kv->world, r->kv->path, name, LOG_MAX, &bytes, &n, e);
	if (err)
		return err;
	struct sd_lsm_log_in in = {.p = (const uint8_t *)bytes, .n = n};
	enum sd_lsm_log_step step = sd_lsm_log_next(&in, &record);
	if (step == SD_LSM_LOG_RECORD || step == SD_LSM_LOG_DAMAGED)
		err = sd_fail(e, SD_EDAMAGED, "the log before %s ends at %" PRIu64 " within a record, and good ones follow", name, r->end);
	sd_lsm_log_in_free(&in);
	free(bytes);
	return err;
}

/* Records that follow in other logs say that those which are missing here are not the last. Asked before anything is cut off: who opens it
 * again is to hear the same. */
static enum sd_err must_be_the_end(const struct replay *r, size_t at, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	for (size_t i = at + 1; r->torn && i < r->kv->nlogs && !err; i++)
		err = may_follow(r, r->kv->logs[i], e);
	return err;
}

static enum sd_err replay_log(struct replay *r, size_t at, struct sd_error *e)
{
	char *bytes = NULL;
	size_t n = 0;
	snprintf(r->name, sizeof(r->name), "%06" PRIu64 ".log", r->log);
	enum sd_err err = sd_lsm_read_whole(r->kv->world, r->kv->path, r->name, LOG_MAX, &bytes, &n, e);
	if (err)
		return err;
	struct sd_lsm_log_in in = {.p = (const uint8_t *)bytes, .n = n};
	uint64_t before = r->writes;
	err = take_all(r, &in, &bytes, e);
	if (!err)
		err = must_be_the_end(r, at, e);
	if (!err)
		err = keep_log(r, bytes, in.n, e);
	sd_lsm_log_in_free(&in);
	free(bytes);
	r->bytes = r->writes > before;
	return err;
}

enum sd_err lsm_replay(struct sd_kv *kv, const struct sd_lsm_version *v, char **names, struct sd_error *e)
{
	struct replay r = {.kv = kv, .last_seq = v->last_seq};
	size_t kept = 0;
	enum sd_err err = find_logs(kv, v, names, e);
	if (!err && kv->nlogs > 0)
		kv->view->mem.log = kv->logs[0];
	for (size_t i = 0; i < kv->nlogs && !err; i++) {
		r.log = kv->logs[i];
		err = replay_log(&r, i, e);
		if (r.bytes || kept > 0) /* empty ones at the front are not needed */
			kv->logs[kept++] = r.log;
		else if (!err && !kv->read_only)
			lsm_left_over(kv, r.log, LEFT_LOG);
		if (kept == 1)
			kv->view->mem.log = kv->logs[0];
	}
	kv->nlogs = kept;
	atomic_store(&kv->last_seq, r.last_seq);
	if (!err && r.writes > 0)
		lsm_say(kv, &(struct sd_kv_event){.kind = SD_KV_EVENT_REPLAYED, .keys = r.writes});
	return err;
}
