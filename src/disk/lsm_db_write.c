/* lsm_db_write.c - writers queue; the first of them writes for those behind it, too: one record of the log, one sync.
 *
 *	in the queue --first--> leads: makes room, gathers, log, sync, memtable, last_seq --> wakes those it wrote for, and the next
 *
 * What readers see (last_seq) moves on only when all of it is where it should be, so that nothing that was not acknowledged is seen.
 */
#include <stdlib.h>

#include "core/lsm_batch.h"
#include "lsm_batch_kv.h"
#include "lsm_db_int.h"

#define GROUP_MAX   (1u << 20)
#define PAUSE_LEAST 500000

/* ---- the queue ---- */

static struct sd_cond *take_cond(struct sd_kv *kv)
{
	return kv->nspare > 0 ? kv->spare[--kv->nspare] : sd_cond_new();
}

static void give_cond(struct sd_kv *kv, struct sd_cond *c)
{
	if (kv->nspare < sizeof(kv->spare) / sizeof(kv->spare[0]))
		kv->spare[kv->nspare++] = c;
	else
		sd_cond_free(c);
}

/* Until it leads, or somebody wrote for it. Lock held. */
static enum sd_err join_queue(struct sd_kv *kv, struct lsm_writer *w, struct sd_error *e)
{
	bool leads = !kv->first;
	if (!leads && !(w->cond = take_cond(kv)))
		return lsm_no_memory(e);
	if (leads)
		kv->first = w;
	else
		kv->last->next = w;
	kv->last = w;
	while (!leads && !w->done && kv->first != w)
		sd_cond_wait(w->cond, kv->lock);
	if (w->cond)
		give_cond(kv, w->cond);
	return SD_OK;
}

/* Everybody up to `last` is done. Lock held. */
static void leave_queue(struct sd_kv *kv, struct lsm_writer *leader, struct lsm_writer *last, enum sd_err err, const struct sd_error *e)
{
	struct lsm_writer *next = last->next;
	for (struct lsm_writer *w = leader, *after; w != next; w = after) {
		after = w->next;
		if (w == leader)
			continue;
		w->err = err;
		if (err)
			sd_fail(w->e, err, "%s", e->text);
		w->done = true;
		sd_cond_wake(w->cond);
	}
	kv->first = next;
	if (!next)
		kv->last = NULL;
	else
		sd_cond_wake(next->cond);
}

/* ---- room in memory ---- */

enum sd_err lsm_switch(struct sd_kv *kv, struct sd_error *e)
{
	struct lsm_log_out *log = NULL, *before = kv->log;
	sd_lock_enter(kv->lock);
	struct sd_lsm_view *v = kv->view;
	struct sd_lsm_mem *full = v->mem.mem; /* stays: only a leader puts another in its place */
	sd_lock_leave(kv->lock);
	uint64_t bytes = sd_lsm_mem_bytes(full);
	enum sd_err err = lsm_log_sync(kv, before, e);
	if (!err)
		err = lsm_log_begin(kv, &log, e);
	if (err)
		return err;
	struct sd_lsm_held fresh = {sd_lsm_mem_new(kv->conf.memtable_bytes, full), log->number}, held[SD_LSM_HELD_MAX];
	sd_lock_enter(kv->lock);
	v = kv->view;
	held[0] = v->mem;
	memcpy(held + 1, v->held, v->nheld * sizeof(held[0]));
	struct sd_lsm_view *next = fresh.mem ? sd_lsm_view_new(&fresh, held, v->nheld + 1, v->tree) : NULL;
	if (next) {
		v = lsm_view_swap(kv, next);
		kv->log = log;
		lsm_wake_work(kv);
	}
	sd_lock_leave(kv->lock);
	sd_lsm_mem_unref(fresh.mem); /* the view has its own reference */
	if (!next) {
		lsm_log_unref(log); /* stays empty; the next flush removes it */
		return lsm_no_memory(e);
	}
	lsm_log_unref(before);
	sd_lsm_view_unref(v);
	lsm_say(kv, &(struct sd_kv_event){.kind = SD_KV_EVENT_FULL, .bytes = bytes});
	return SD_OK;
}

static uint64_t mem_bytes(const struct sd_lsm_view *v)
{
	uint64_t sum = sd_lsm_mem_bytes(v->mem.mem);
	for (unsigned i = 0; i < v->nheld; i++)
		sum += sd_lsm_mem_bytes(v->held[i].mem);
	return sum;
}

static bool is_full(const struct sd_kv *kv)
{
	return sd_lsm_mem_bytes(kv->view->mem.mem) >= kv->conf.memtable_bytes;
}

/* How long this write should wait, so that compaction keeps up. Lock held. */
static uint64_t delay_of(struct sd_kv *kv, size_t bytes)
{
	struct sd_lsm_debt debt = {.l0 = kv->view->tree->version.levels[0].n, .owed = atomic_load(&kv->owed), .mem = mem_bytes(kv->view)};
	if (kv->view->nheld >= SD_LSM_HELD_MAX - 1)
		return SD_LSM_DELAY_STOP;
	/* a memtable may fill up as fast as it likes while none waits */
	if (kv->view->nheld == 0)
		debt.mem = 0;
	return sd_lsm_delay_ns(&kv->delay, &debt, bytes);
}

/* Lets some work be done. Lock held before and after. */
static enum sd_err wait_for_work(struct sd_kv *kv, struct sd_error *e)
{
	if (kv->work_err) { /* refused, but tried again at once: there may be room for the next one */
		kv->work_again_ns = 0;
		lsm_wake_work(kv);
		return sd_fail(e, kv->work_err, "%s", kv->work_why.text);
	}
	lsm_wake_work(kv);
	if (kv->done) {
		sd_cond_wait_for(kv->done, kv->lock, 1000000000);
		return SD_OK;
	}
	sd_lock_leave(kv->lock);
	kv->work_again_ns = 0;
	sd_kv_work(kv);
	sd_lock_enter(kv->lock);
	return kv->work_err ? sd_fail(e, kv->work_err, "%s", kv->work_why.text) : SD_OK;
}

/* Short waits are added up: to sleep takes longer than most of them. */
static void pause_for(struct sd_kv *kv, uint64_t ns)
{
	kv->pause_ns = kv->done && ns > 0 ? kv->pause_ns + ns : 0;
	if (kv->pause_ns < PAUSE_LEAST)
		return;
	ns = kv->pause_ns;
	kv->pause_ns = 0;
	sd_lock_leave(kv->lock);
	sd_world_sleep_ns(kv->world, (int64_t)ns);
	lsm_count(&kv->figures.stalls, 1);
	lsm_count(&kv->figures.stall_us, ns / 1000);
	sd_lock_enter(kv->lock);
}

/* Lock held before and after, not in between. */
static enum sd_err make_room(struct sd_kv *kv, size_t bytes, struct sd_error *e)
{
	int64_t begun = 0;
	uint64_t ns;
	enum sd_err err = SD_OK;
	if (!kv->done) /* by hand: the last failure is in the way only as long as it lasts */
		kv->work_err = SD_OK;
	while (!err && !kv->failed && (ns = delay_of(kv, bytes)) == SD_LSM_DELAY_STOP) {
		if (!begun)
			begun = sd_world_mono_ns(kv->world);
		err = wait_for_work(kv, e);
	}
	if (begun) {
		lsm_count(&kv->figures.stalls, 1);
		lsm_count(&kv->figures.stall_us, (uint64_t)(sd_world_mono_ns(kv->world) - begun) / 1000);
	}
	if (kv->failed)
		return sd_fail(e, kv->failed, "%s", kv->why.text);
	if (err)
		return err;
	pause_for(kv, ns);
	if (!is_full(kv))
		return SD_OK;
	sd_lock_leave(kv->lock);
	err = lsm_switch(kv, e);
	sd_lock_enter(kv->lock);
	return err;
}

/* ---- a group ---- */

static size_t bytes_of(const struct lsm_writer *w)
{
	return w->batch ? w->batch->bytes.n : 0;
}

/* Who is written for: the leader, and those behind it, as long as they fit and want nothing of their own. Lock held. */
static struct lsm_writer *gather(struct lsm_writer *leader, bool *sync)
{
	size_t bytes = bytes_of(leader), most = bytes < GROUP_MAX / 8 ? bytes + GROUP_MAX / 8 : GROUP_MAX;
	struct lsm_writer *last = leader;
	*sync = leader->sync;
	for (struct lsm_writer *w = leader->next; w && !w->prepare && bytes + bytes_of(w) <= most; w = w->next) {
		bytes += bytes_of(w);
		*sync |= w->sync;
		last = w;
	}
	return last;
}

/* Who is alone has a record already. */
static uint32_t take_alone(struct sd_kv *kv, const struct lsm_writer *w, uint64_t seq, struct sd_slice *record)
{
	const struct sd_text *bytes = &w->batch->bytes;
	sd_put_le(bytes->p, seq, 8);
	lsm_count_alone(&kv->figures.batches, 1);
	*record = (struct sd_slice){bytes->p, bytes->n};
	return w->batch->count;
}

static uint32_t put_group(struct sd_kv *kv, const struct lsm_writer *leader, const struct lsm_writer *last, uint64_t seq,
			  struct sd_slice *record)
{
	uint32_t count = 0;
	if (leader == last && leader->batch && leader->batch->count > 0)
		return take_alone(kv, leader, seq, record);
	kv->group.n = 0;
	kv->group.full = false;
	sd_lsm_batch_begin(&kv->group, seq);
	for (const struct lsm_writer *w = leader;; w = w->next) { /* not up to last->next: who comes now changes that */
		if (w->batch && w->batch->count > 0) {
			sd_text_add(&kv->group, w->batch->bytes.p + SD_LSM_BATCH_HEAD, w->batch->bytes.n - SD_LSM_BATCH_HEAD);
			count += w->batch->count;
			lsm_count_alone(&kv->figures.batches, 1);
		}
		if (w == last)
			break;
	}
	if (!kv->group.full)
		sd_put_le(kv->group.p + 8, count, 4);
	*record = kv->group.full ? (struct sd_slice){NULL, 0} : (struct sd_slice){kv->group.p, kv->group.n};
	return count;
}

bool lsm_add_group(struct sd_lsm_mem *mem, struct sd_slice record, uint64_t *last_seq, uint64_t *user_bytes)
{
	struct sd_lsm_batch_at b, ahead;
	bool ok = sd_lsm_batch_open(&b, record);
	ahead = b;
	sd_lsm_batch_next(&ahead);
	*user_bytes = 0;
	while (ok && sd_lsm_batch_next(&b)) {
		if (sd_lsm_batch_next(&ahead))
			sd_lsm_mem_expect(mem, ahead.key);
		ok = sd_lsm_mem_add(mem, b.seq, b.kind, b.key, b.value);
		*user_bytes += b.key.n + b.value.n;
	}
	*last_seq = b.seq;
	return ok;
}

/* In the log, but not in memory: who opens it anew finds it, but here nobody can see it. */
static enum sd_err add_failed(struct sd_kv *kv, struct sd_error *e)
{
	struct sd_error why;
	lsm_no_memory(&why);
	lsm_fail_all(kv, SD_ENOMEM, &why);
	return sd_fail(e, SD_ENOMEM, "%s", why.text);
}

/* Where the first key will be put is fetched while the log is written. */
static void expect_first(const struct sd_lsm_mem *mem, struct sd_slice record)
{
	struct sd_lsm_batch_at b;
	if (sd_lsm_batch_open(&b, record) && sd_lsm_batch_next(&b))
		sd_lsm_mem_expect(mem, b.key);
}

/* An empty record: there was no memory for one. */
static enum sd_err write_group(struct sd_kv *kv, struct sd_lsm_mem *mem, struct sd_slice record, uint32_t count, bool sync, struct sd_error *e)
{
	uint64_t last_seq, user_bytes;
	if (record.n == 0)
		return lsm_no_memory(e);
	expect_first(mem, record);
	enum sd_err err = sync ? lsm_in_place(kv, kv->log->file, e) : SD_OK; /* nobody would find it in a log that was removed */
	if (!err && count > 0)
		err = lsm_log_write(kv, kv->log, record, sync, e);
	if (!err && sync)
		err = lsm_log_sync(kv, kv->log, e);
	if (err || count == 0)
		return err;
	if (!lsm_add_group(mem, record, &last_seq, &user_bytes))
		return add_failed(kv, e);
	atomic_store_explicit(&kv->last_seq, last_seq, memory_order_release);
	lsm_count_alone(&kv->figures.groups, 1);
	lsm_count_alone(&kv->figures.writes, count);
	lsm_count_alone(&kv->figures.user_bytes, user_bytes);
	return SD_OK;
}

/* Lock held before and after. */
static enum sd_err lead(struct sd_kv *kv, struct lsm_writer *w, struct lsm_writer **last, struct sd_error *e)
{
	bool sync;
	*last = w;
	enum sd_err err = w->batch || w->prepare ? make_room(kv, bytes_of(w), e) : kv->failed ? sd_fail(e, kv->failed, "%s", kv->why.text) : SD_OK;
	if (err)
		return err;
	*last = w->prepare ? w : gather(w, &sync);
	if (w->prepare)
		sync = w->sync;
	struct sd_lsm_mem *mem = kv->view->mem.mem;
	sd_lock_leave(kv->lock);
	if (w->prepare)
		err = w->prepare(w, e);
	if (!err) {
		struct sd_slice record;
		uint32_t count = put_group(kv, w, *last, atomic_load_explicit(&kv->last_seq, memory_order_relaxed) + 1, &record);
		err = write_group(kv, mem, record, count, sync, e);
	}
	sd_lock_enter(kv->lock);
	return err;
}

enum sd_err lsm_submit(struct sd_kv *kv, struct lsm_writer *w, struct sd_error *e)
{
	struct sd_error why;
	struct lsm_writer *last;
	w->kv = kv;
	w->e = e;
	if (kv->read_only)
		return sd_fail(e, SD_EPERM, "%s is open for reading only", kv->path);
	sd_lock_enter(kv->lock);
	enum sd_err err = join_queue(kv, w, e);
	if (err || w->done) {
		sd_lock_leave(kv->lock);
		return err ? err : w->err;
	}
	err = lead(kv, w, &last, &why);
	leave_queue(kv, w, last, err, &why);
	sd_lock_leave(kv->lock);
	return err ? sd_fail(e, err, "%s", why.text) : SD_OK;
}
