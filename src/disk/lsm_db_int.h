/* lsm_db_int.h - the inside of a store; for src/disk/lsm_db*.c only.
 *
 * Who may touch what:
 *
 *	lock     everything without another owner. Held for a few instructions, never across the disk
 *	order    bringing memtables into order; nothing else is taken meanwhile
 *	leader   the writer at the head of the queue: log, group, the memtable (adding), prepare. One at a time
 *	worker   whoever has `working`: the manifest, the compaction in hand. One at a time
 *	atomic   figures, last_seq
 *
 * A view that is replaced is let go of after the lock was left: what goes with it takes the lock to say which files are left over.
 */
#ifndef SD_DISK_LSM_DB_INT_H
#define SD_DISK_LSM_DB_INT_H

#include "core/lsm_cursor.h"
#include "core/lsm_delay.h"
#include "lsm_db.h"
#include "lsm_manifest.h"
#include "lsm_tables.h"
#include "lsm_view.h"
#include "world/file.h"
#include "world/lock.h"

/* A log that is written to; counted, since one thread may sync it while another begins the next. */
struct lsm_log_out {
	_Atomic uint32_t refs;
	struct sd_file *file;
	uint64_t number;
	_Atomic uint64_t bytes, synced; /* whole records; how much of them is on the disk */
	bool weak;			/* leader: not all of its records were synced one by one */
	uint64_t room;			/* leader: so far room was set aside, or could not be */
};

struct lsm_writer {
	const struct sd_kv_batch *batch; /* NULL: only to sync */
	/* Called when it is this writer's turn and nobody else writes: may make the batch. NULL: none. */
	enum sd_err (*prepare)(struct lsm_writer *w, struct sd_error *e);
	struct sd_kv *kv;
	void *arg;
	bool sync, done;
	enum sd_err err;
	struct sd_error *e;
	struct sd_cond *cond; /* while it waits */
	struct lsm_writer *next;
};

/* Files that nobody needs any more. */
struct lsm_left {
	uint64_t number;
	enum lsm_left_kind { LEFT_TABLE, LEFT_BLOB, LEFT_LOG, LEFT_MANIFEST } kind;
};

struct sd_kv_snapshot {
	uint64_t seq;
	struct sd_kv_snapshot *next, *prev; /* newest first */
};

struct lsm_figures {
	_Atomic uint64_t gets, found, iterators, batches, writes, groups, syncs, user_bytes, logged_bytes, flushed_bytes, compacted_bytes,
	    compaction_read_bytes, blob_bytes, flushes, compactions, moves, stalls, stall_us;
};

struct sd_kv {
	struct sd_kv_conf conf;
	struct sd_world *world, *own_world;
	char *path;
	bool own, read_only; /* own: our format */
	struct sd_file *lock_file;
	struct sd_lsm_tables *tables;
	_Atomic int sync_mode;
	_Atomic uint64_t rate;
	_Atomic uint64_t last_seq; /* that readers may see */
	_Atomic uint64_t now_ms;   /* the highest seen */
	_Atomic int64_t ahead_ms;  /* of the monotonic clock, while the wall clock is behind it; 0: it never was */
	_Atomic uint64_t ended_ms; /* when a value was last seen that has ended: it must not come back */

	struct sd_lock *lock, *order;
	struct sd_cond *due, *done; /* work is due; something was done, or failed */
	struct sd_thread *thread;
	bool stopping, working, wants_work;
	struct sd_lsm_view *view;
	struct lsm_writer *first, *last; /* queue; the first leads */
	struct sd_cond *spare[16];
	unsigned nspare;
	struct sd_kv_snapshot snapshots; /* ring; its own seq means nothing */
	uint64_t nsnapshots;
	uint64_t next_file;
	struct lsm_left *left;
	size_t nleft, left_room;
	unsigned pins; /* files stay where they are, also when nobody needs them: a checkpoint is being made */
	enum sd_err failed; /* nothing more is written */
	struct sd_error why;
	enum sd_err work_err; /* the last piece of work: it is tried again */
	struct sd_error work_why;
	int64_t work_again_ns;

	struct lsm_log_out *log; /* leader; pointer under lock */
	uint64_t *logs;		 /* numbers of logs that may be needed, upwards; lock */
	size_t nlogs, logs_room;
	struct sd_text group, out; /* leader: the record; its pieces */
	uint64_t pause_ns;	   /* lock: that writers owe */
	int64_t synced_ns;	   /* when the log was synced last; worker */
	int64_t clock_kept_ns;	   /* when the clock was put into the manifest last; worker */

	struct sd_lsm_manifest manifest; /* worker */
	struct lsm_merging *merging;	 /* worker: the compaction in hand */
	struct lsm_wish *wish;		 /* lock: what somebody wants merged */
	struct sd_lsm_rate paced;	 /* worker */
	struct sd_lsm_delay_conf delay;
	_Atomic uint64_t owed;

	struct lsm_figures figures;
};

static inline void lsm_count(_Atomic uint64_t *figure, uint64_t n)
{
	atomic_fetch_add_explicit(figure, n, memory_order_relaxed);
}

/* The same of a figure that only the leader counts. */
static inline void lsm_count_alone(_Atomic uint64_t *figure, uint64_t n)
{
	atomic_store_explicit(figure, atomic_load_explicit(figure, memory_order_relaxed) + n, memory_order_relaxed);
}

enum sd_err lsm_no_memory(struct sd_error *e);
void lsm_say(struct sd_kv *kv, const struct sd_kv_event *event);
/* The clock, which never goes back; nor does it stand still where the wall clock is set back. */
uint64_t lsm_now_ms(struct sd_kv *kv);
uint64_t lsm_new_number(struct sd_kv *kv); /* takes the lock */
/* A reference to what is there now. */
struct sd_lsm_view *lsm_view_now(struct sd_kv *kv);
/* Replaces the view; the caller lets the one before go, outside the lock. Lock held. */
struct sd_lsm_view *lsm_view_swap(struct sd_kv *kv, struct sd_lsm_view *view);
/* No more writes: the first cause stays. Takes the lock. Gives what the caller has to say: `err`, but never SD_ENOSPC. */
enum sd_err lsm_fail_all(struct sd_kv *kv, enum sd_err err, const struct sd_error *why);
/* Is a file of the store still where its name says? What was acknowledged goes with a folder that is removed or replaced: no more
 * writes then. */
enum sd_err lsm_in_place(struct sd_kv *kv, struct sd_file *f, struct sd_error *e);
/* Somebody may want to work, or wait for it. Lock held. */
void lsm_wake_work(struct sd_kv *kv);
void lsm_left_over(struct sd_kv *kv, uint64_t number, enum lsm_left_kind kind); /* takes the lock */
void lsm_table_name(const struct sd_kv *kv, uint64_t number, char name[SD_LSM_NAME]);
void lsm_left_name(const struct sd_kv *kv, const struct lsm_left *left, char name[SD_LSM_NAME]);

/* logs: lsm_db_log.c */
enum sd_err lsm_log_begin(struct sd_kv *kv, struct lsm_log_out **out, struct sd_error *e); /* a new one, with its name on the disk */
struct lsm_log_out *lsm_log_ref(struct lsm_log_out *l);
void lsm_log_unref(struct lsm_log_out *l);
enum sd_err lsm_log_sync(struct sd_kv *kv, struct lsm_log_out *l, struct sd_error *e); /* failed: no more writes */
void lsm_log_close(struct sd_kv *kv, struct lsm_log_out *l); /* of one that was synced: nothing follows */
enum sd_err lsm_log_write(struct sd_kv *kv, struct lsm_log_out *l, struct sd_slice record, bool sync, struct sd_error *e);

/* opening: lsm_db_open.c, lsm_db_replay.c */
enum sd_err lsm_sync_parents(struct sd_world *w, const char *path, struct sd_error *e); /* names of a folder and those it is in */
enum sd_err lsm_replay(struct sd_kv *kv, const struct sd_lsm_version *v, char **names, struct sd_error *e);
bool lsm_number_of(const char *name, const char *end, uint64_t *number); /* "000007.log", "log" */

/* writing */
enum sd_err lsm_submit(struct sd_kv *kv, struct lsm_writer *w, struct sd_error *e);
/* The memtable makes room for a new one; by the leader, or while nobody else is there. */
enum sd_err lsm_switch(struct sd_kv *kv, struct sd_error *e);
/* user_bytes: of keys and values in it. */
bool lsm_add_group(struct sd_lsm_mem *mem, struct sd_slice record, uint64_t *last_seq, uint64_t *user_bytes);

/* work */
enum sd_err lsm_flush_one(struct sd_kv *kv, bool *did, struct sd_error *e);   /* worker */
enum sd_err lsm_compact_step(struct sd_kv *kv, bool *did, struct sd_error *e); /* worker */
enum sd_err lsm_install(struct sd_kv *kv, struct sd_text *edit, unsigned nflushed, struct sd_error *e); /* worker */
enum sd_err lsm_keep_clock(struct sd_kv *kv, uint64_t from_ms, struct sd_error *e); /* worker; if what is kept is before that */
void lsm_work_thread(void *kv);
/* Works, or waits for who does, until `is` says so (with the lock held); or why that will not be. */
enum sd_err lsm_wait_until(struct sd_kv *kv, bool (*is)(const struct sd_kv *kv, uint64_t v), uint64_t v, struct sd_error *e);
void lsm_compact_end(struct sd_kv *kv); /* gives up the compaction in hand */
/* That tables are made of: so large that all of them could be open at the same time, since a table that has to be opened for each
 * read costs twenty times as much. */
uint64_t lsm_table_bytes(const struct sd_kv *kv, const struct sd_lsm_version *v);
struct sd_lsm_pick_conf;
void lsm_pick_conf(const struct sd_kv *kv, const struct sd_lsm_version *v, struct sd_lsm_pick_conf *c);
/* What somebody may read at, upwards; for free. False: out of memory. */
bool lsm_snapshots(struct sd_kv *kv, uint64_t **out, size_t *n);

/* ---- reading: lsm_db_read.c ---- */

/* The newest thing there is about a key at a time. Zero it; end it in any case: until then `value` stays. */
struct lsm_answer {
	bool found; /* something, maybe that it is gone */
	enum sd_lsm_kind kind;
	uint64_t seq;
	struct sd_slice value;
	int level;	 /* of the table it was in; -1: memtable, -2: one that waits */
	uint64_t table;
	struct sd_lsm_hit hit;
	struct sd_kv_explain *explain; /* NULL: nobody asks */
};
enum sd_err lsm_find(struct sd_kv *kv, struct sd_lsm_view *view, struct sd_slice user, uint64_t seq, struct lsm_answer *a,
		     struct sd_error *e);
static inline void lsm_answer_end(struct lsm_answer *a)
{
	sd_lsm_hit_release(&a->hit);
}
/* All of a memtable up to now, in order; without ranges. NULL: out of memory. */
struct sd_lsm_iter *lsm_mem_iter(struct sd_kv *kv, struct sd_lsm_mem *mem);
/* Is it there now? value and until_ms: without what stands before it; that of a blob is still its place. */
bool lsm_is_there(struct sd_kv *kv, enum sd_lsm_kind kind, struct sd_slice stored, struct sd_slice *value, int64_t *until_ms);
static inline bool lsm_is_blob(enum sd_lsm_kind kind)
{
	return kind == SD_LSM_BLOB || kind == SD_LSM_ENDING_BLOB;
}
/* What a blob's place says; *memory is the caller's to free. */
enum sd_err lsm_fetch_blob(struct sd_kv *kv, struct sd_slice place, struct sd_slice *value, void **memory, struct sd_error *e);
/* A cursor over all of a view at a time; from and to outlive it. */
enum sd_err lsm_open_cursor(struct sd_kv *kv, struct sd_lsm_view *view, uint64_t seq, const struct sd_slice *from, const struct sd_slice *to,
			    bool fill, struct sd_lsm_cursor *c, struct sd_error *e);
/* Tables of a level, one behind the other, as one: lsm_db_level.c. The files outlive it. */
struct sd_lsm_iter *lsm_level_iter(struct sd_lsm_tables *t, const struct sd_lsm_file *files, size_t n, bool fill);

#endif
