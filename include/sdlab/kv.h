/* kv.h - a key-value store in a folder: a log-structured merge tree.
 *
 * Keys and values are any bytes; keys are in the order of their bytes. What a write said SD_OK about is on the disk (unless another
 * `sync` was asked for), a batch is there whole or not at all, and a snapshot or an iterator sees the store as it was when it was made.
 *
 *	struct sd_kv *kv;
 *	struct sd_error e;
 *	struct sd_kv_value v = {0};
 *	if (sd_kv_open("data", NULL, &kv, &e) || sd_kv_put(kv, sd_slice_of("user:1"), sd_slice_of("Alice"), &e))
 *		die(e.text);
 *	if (sd_kv_get(kv, NULL, sd_slice_of("user:1"), &v, &e) == SD_OK)
 *		printf("%.*s\n", (int)v.n, v.p);
 *	sd_kv_value_free(&v);
 *	sd_kv_close(kv, &e);
 *
 * Threads: every function that takes a struct sd_kv may be called from any thread at any time until sd_kv_close, unless
 * `background` is SD_KV_BY_HAND. Readers never wait for writers. Writers that come together share one write of the log and one sync.
 * A batch, a value and an iterator belong to one thread at a time.
 *
 * Signals: where not every write is synced, the log of a store on ext4 or tmpfs is written through memory, and a handler of SIGBUS is
 * set with the first such log; what is not about that memory goes on to the one before.
 *
 * Errors: SD_ENOTFOUND where a key may be missing; SD_ENOSPC: the disk is full, nothing of the write was kept, and a later one
 * works once there is room; SD_EDAMAGED: bytes on the disk are not what was written, the text says in which file; SD_EIO: a sync or
 * write failed in a way that leaves unknown what is on the disk, or the folder was removed or replaced: all later writes say so too,
 * reads go on, opening anew recovers. Where only a flush or a merge behind a write could not open, read or write a file, nothing of
 * that write was kept, and the work is tried again: a later write may do. With SD_KV_ALWAYS a folder that is gone is seen before a
 * write is SD_OK, else within a second.
 * Every `e` may be NULL.
 */
#ifndef SDLAB_KV_H
#define SDLAB_KV_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "slice.h"

#ifdef __cplusplus
extern "C" {
#endif

struct sd_kv;
struct sd_kv_batch;
struct sd_kv_iter;
struct sd_kv_snapshot;
struct sd_world;

#define SD_KV_KEY_MAX   65536u	    /* bytes of a key, none is fine too */
#define SD_KV_VALUE_MAX (64u << 20) /* bytes of a value */
#define SD_KV_BATCH_MAX (256u << 20) /* bytes of a batch */
#define SD_KV_LEVELS    7
#define SD_KV_TEXT      128

/* ---- opening ---- */

enum sd_kv_mode {
	SD_KV_OPEN_OR_MAKE, /* the folder and the store are made when they are not there */
	SD_KV_OPEN,	    /* SD_ENOTFOUND when there is none */
	SD_KV_MAKE,	    /* SD_EEXISTS when there is one */
	SD_KV_READ_ONLY,    /* as SD_KV_OPEN; nothing in the folder is changed, nor need it be writable, and others may
			     * have it open so: logs are replayed into memory, and every write is SD_EPERM. Nor is it
			     * locked: also while somebody writes, what is seen is how the store was at some moment while it
			     * was opened, less what was not synced then. A table that the writer puts away before it was
			     * read here for the first time is SD_EDAMAGED ("000005.sst is missing"), never taken for
			     * empty: open it anew, or a checkpoint */
};
enum sd_kv_format {
	SD_KV_SDLAB,   /* sdlab-kv(5): with zstd, one filter a table, values that end, large values apart */
	SD_KV_LEVELDB, /* LevelDB 1.23's, which it opens too */
};
enum sd_kv_sync {
	SD_KV_ALWAYS,	/* SD_OK means: on the disk */
	SD_KV_EVERYSEC, /* SD_OK means: handed to the kernel; on the disk within a second or so. What a killed program wrote stays */
	SD_KV_NO,	/* on the disk when the kernel likes, or a memtable is flushed */
};
enum sd_kv_compression { SD_KV_ZSTD /* of deeper levels; none in LevelDB's format */, SD_KV_PLAIN };
enum sd_kv_style { SD_KV_LEVELED, SD_KV_TIERED };
enum sd_kv_background {
	SD_KV_THREAD,  /* flushing and compaction run on a thread of the store's */
	SD_KV_BY_HAND, /* they run when sd_kv_work is called, and within a write that could not go on without. Only one thread at a
			* time uses the store */
};

/* Something that happened. Told on the thread it happened on, while no lock of the store is held; it must not call the store. */
enum sd_kv_event_kind {
	SD_KV_EVENT_OPENED,	   /* tables, keys: what was there; name: the log that is written to */
	SD_KV_EVENT_TORN,	   /* name: a file whose end was not whole, and bytes: where it was cut */
	SD_KV_EVENT_REPLAYED,	   /* keys: writes out of logs */
	SD_KV_EVENT_FULL,	   /* bytes of a memtable that is flushed now */
	SD_KV_EVENT_TABLE,	   /* name, level, number, keys, bytes: a table was made; from_level -1: out of a memtable */
	SD_KV_EVENT_COMPACTION,	   /* begins: tables of `from_level` and to_tables of `level` become new ones of `level` */
	SD_KV_EVENT_COMPACTED,	   /* ended: tables: new ones, keys in them, bytes, gone: tables that are not needed any more */
	SD_KV_EVENT_FAILED,	   /* text: why nothing more is written */
	SD_KV_EVENT_KINDS
};
struct sd_kv_event {
	enum sd_kv_event_kind kind;
	const char *name, *text; /* NULL where it says nothing of them; valid until the callback returns */
	int level, from_level;
	uint64_t number, keys, bytes, tables, to_tables, gone;
	double filter_rate; /* of false positives that a table's filter was made for: 0.01; 0: it has none */
};

/* Zero means the default. */
struct sd_kv_conf {
	enum sd_kv_mode mode;
	enum sd_kv_format format;	    /* of a store that is made; one that is there says which it has */
	enum sd_kv_sync sync;
	enum sd_kv_compression compression;
	enum sd_kv_style style;
	enum sd_kv_background background;
	uint64_t memtable_bytes;	    /* of writes in memory before they go to a table: 64 MiB, at least 64 KiB */
	uint64_t cache_bytes;		    /* of blocks that were read: 64 MiB. Indexes and filters of open tables take four times as much at most
					     * (64 MiB if that is more); then those that were not asked for longest are closed */
	uint64_t table_bytes;		    /* about so large are tables below level 0: 8 MiB, and up to 64 MiB when there would
					     * be more than half of open_files (always 2 MiB in LevelDB's format) */
	uint64_t level_bytes;		    /* of the first level below 0: four memtables */
	uint32_t block_bytes;		    /* 4 KiB */
	uint32_t blob_from;		    /* values of so many bytes or more are kept apart from keys: 4 KiB; UINT32_MAX: none.
					     * Not in LevelDB's format */
	uint32_t open_files;		    /* tables that are open at the same time, at most: 512 */
	uint64_t rate;			    /* bytes a second that compaction writes; 0: as the disk takes them */
	bool no_filter;
	struct sd_world *world;		    /* clock and disk; NULL: the kernel's */
	int64_t (*now_ms)(void *arg);	    /* since 1970; NULL: the world's wall clock */
	void (*event)(void *arg, const struct sd_kv_event *event); /* NULL: nobody asks */
	void *arg;			    /* of both */
};

/* Opens or makes a store; conf NULL: all defaults. SD_ENOTFOUND, SD_EEXISTS as the mode says; SD_EINUSE: another process has it open;
 * SD_EDAMAGED: "000007.log: record at 4096 is damaged, and good ones follow"; SD_EUNSUPPORTED: a newer format; SD_EPERM, SD_EIO. */
enum sd_err sd_kv_open(const char *path, const struct sd_kv_conf *conf, struct sd_kv **out, struct sd_error *e);
/* Syncs what is not on the disk and frees everything; iterators and snapshots must be gone. Also after an error the store is gone. */
enum sd_err sd_kv_close(struct sd_kv *kv, struct sd_error *e); /* NULL is fine */
enum sd_kv_format sd_kv_format(const struct sd_kv *kv);
/* May be changed at any time. */
void sd_kv_set_sync(struct sd_kv *kv, enum sd_kv_sync sync);
void sd_kv_set_rate(struct sd_kv *kv, uint64_t bytes_per_s);

/* ---- writing ---- */

enum sd_err sd_kv_put(struct sd_kv *kv, struct sd_slice key, struct sd_slice value, struct sd_error *e);
/* The time by which keys end (since 1970): the wall clock's, but it never goes back. When that is set back, or the store is opened by
 * a clock that is behind, it goes on from the latest time that was seen. What is to end in a while is reckoned from here. */
int64_t sd_kv_now_ms(struct sd_kv *kv);
/* The key is gone from until_ms (since 1970) on. SD_EUNSUPPORTED in LevelDB's format, for which 0 (never) is fine. */
enum sd_err sd_kv_put_until(struct sd_kv *kv, struct sd_slice key, struct sd_slice value, int64_t until_ms, struct sd_error *e);
/* Fine when it is not there. */
enum sd_err sd_kv_delete(struct sd_kv *kv, struct sd_slice key, struct sd_error *e);
/* Keys from `from` to before `to`; to NULL: to the end. Costs as one write, in LevelDB's format as one for each key. */
enum sd_err sd_kv_delete_range(struct sd_kv *kv, struct sd_slice from, const struct sd_slice *to, struct sd_error *e);
/* Puts `value` (NULL: removes the key) if the key holds `expected` (NULL: if it is not there), else SD_EAGAIN and nothing is changed.
 * No other write comes in between. */
enum sd_err sd_kv_compare_and_set(struct sd_kv *kv, struct sd_slice key, const struct sd_slice *expected, const struct sd_slice *value,
				  int64_t until_ms, struct sd_error *e);
/* Puts everything that was written so far on the disk, whatever `sync` is. */
enum sd_err sd_kv_sync(struct sd_kv *kv, struct sd_error *e);

/* Writes that happen together. What is put in is copied; when memory runs out, sd_kv_write says so and writes nothing.
 * indexed: sd_kv_batch_find works, for some memory and time a write. NULL: out of memory. */
struct sd_kv_batch *sd_kv_batch_new(bool indexed);
void sd_kv_batch_free(struct sd_kv_batch *b); /* NULL is fine */
void sd_kv_batch_clear(struct sd_kv_batch *b); /* to be filled anew; keeps its memory */
void sd_kv_batch_put(struct sd_kv_batch *b, struct sd_slice key, struct sd_slice value);
void sd_kv_batch_put_until(struct sd_kv_batch *b, struct sd_slice key, struct sd_slice value, int64_t until_ms); /* 0: never ends */
void sd_kv_batch_delete(struct sd_kv_batch *b, struct sd_slice key);
void sd_kv_batch_delete_range(struct sd_kv_batch *b, struct sd_slice from, const struct sd_slice *to);
uint32_t sd_kv_batch_count(const struct sd_kv_batch *b);
size_t sd_kv_batch_bytes(const struct sd_kv_batch *b);
/* What the batch says of a key: SD_OK and its value (until_ms 0: never ends), SD_ENOTFOUND: it removes it, SD_EAGAIN: nothing. The bytes
 * are the batch's, until it changes. Only of an indexed one. */
enum sd_err sd_kv_batch_find(const struct sd_kv_batch *b, struct sd_slice key, struct sd_slice *value, int64_t *until_ms);
/* The keys that it puts or removes by name, each once and in their order; of an indexed one. Freed with free(); the bytes are the
 * batch's, until it changes. False: out of memory. */
bool sd_kv_batch_keys(const struct sd_kv_batch *b, struct sd_slice **keys, size_t *n);
/* All of it or nothing; the batch is unchanged, and may be written again. An empty one is fine. SD_ETOOBIG: a key, a value or the
 * batch is larger than the limits. Returns once it is as safe as `sync` asks for. */
enum sd_err sd_kv_write(struct sd_kv *kv, const struct sd_kv_batch *b, struct sd_error *e);

/* ---- reading ---- */

/* Bytes that grow as needed; the caller's, zeroed before the first use, may be used again and again. */
struct sd_kv_value {
	char *p;
	size_t n, room;
	int64_t until_ms; /* when it ends; 0: never */
	uint64_t seq;	  /* of the write: another one after each write of the key */
};
void sd_kv_value_free(struct sd_kv_value *v);

/* snapshot NULL: what is there now. v NULL: only whether it is there. SD_ENOTFOUND. */
enum sd_err sd_kv_get(struct sd_kv *kv, const struct sd_kv_snapshot *snapshot, struct sd_slice key, struct sd_kv_value *v,
		      struct sd_error *e);
/* The same into memory of the caller's: *n is how long the value is; SD_ERANGE when that is more than room. */
enum sd_err sd_kv_get_into(struct sd_kv *kv, const struct sd_kv_snapshot *snapshot, struct sd_slice key, void *p, size_t room, size_t *n,
			   struct sd_error *e);

/* The store as it is now, until it is released. NULL: out of memory. */
struct sd_kv_snapshot *sd_kv_snapshot_new(struct sd_kv *kv);
void sd_kv_snapshot_free(struct sd_kv *kv, struct sd_kv_snapshot *s); /* NULL is fine */

/* Which keys an iterator goes over, and of when. Zero: all, now. */
struct sd_kv_span {
	const struct sd_kv_snapshot *snapshot;
	const struct sd_slice *from, *to; /* from `from` to before `to`; NULL: no bound. Copied */
	bool passing;			  /* a long scan: what it reads does not push other blocks out of the cache */
	bool keys_only;			  /* values that are kept apart are not fetched: sd_kv_iter_value is empty for them */
};
/* Stands nowhere at first. span NULL: all, now. */
enum sd_err sd_kv_iter_new(struct sd_kv *kv, const struct sd_kv_span *span, struct sd_kv_iter **out, struct sd_error *e);
void sd_kv_iter_free(struct sd_kv_iter *i); /* NULL is fine */
/* Each moves and says whether it stands on a key afterwards; if not, sd_kv_iter_err tells an end (SD_OK) from an error. */
bool sd_kv_iter_first(struct sd_kv_iter *i);
bool sd_kv_iter_last(struct sd_kv_iter *i);
bool sd_kv_iter_seek(struct sd_kv_iter *i, struct sd_slice key);	/* to the first key that is not before this one */
bool sd_kv_iter_seek_back(struct sd_kv_iter *i, struct sd_slice key); /* to the last key that is not behind this one */
bool sd_kv_iter_next(struct sd_kv_iter *i); /* only when it stands on a key */
bool sd_kv_iter_prev(struct sd_kv_iter *i); /* only when it stands on a key */
bool sd_kv_iter_valid(const struct sd_kv_iter *i);
struct sd_slice sd_kv_iter_key(const struct sd_kv_iter *i);   /* valid until it moves */
struct sd_slice sd_kv_iter_value(struct sd_kv_iter *i);	      /* valid until it moves */
int64_t sd_kv_iter_until_ms(const struct sd_kv_iter *i);      /* 0: never */
enum sd_err sd_kv_iter_err(const struct sd_kv_iter *i, struct sd_error *e);

/* ---- upkeep ---- */

/* Puts the memtable into a table, and waits for it. */
enum sd_err sd_kv_flush(struct sd_kv *kv, struct sd_error *e);
/* Flushes, and merges all tables that have keys from `from` to `to` (both inclusive, NULL: no bound) down to the last level. */
enum sd_err sd_kv_compact(struct sd_kv *kv, const struct sd_slice *from, const struct sd_slice *to, struct sd_error *e);
/* One piece of work that is due: a flush, a step of a compaction, removal of files, the sync of each second. True: there is more.
 * With SD_KV_THREAD a thread of the store's does it. */
bool sd_kv_work(struct sd_kv *kv);
/* Another folder that holds the store as it is now, and shares its tables (hard links): opens as any other. The folder must not be
 * there (SD_EEXISTS); it is on the disk when this returns SD_OK. Writers go on meanwhile. */
enum sd_err sd_kv_checkpoint(struct sd_kv *kv, const char *path, struct sd_error *e);
/* SD_OK, or why nothing is written: until it is opened anew, or until the work behind, which is tried again, is done. */
enum sd_err sd_kv_health(struct sd_kv *kv, struct sd_error *e);

/* ---- showing ---- */

/* Where a get's answer comes from. */
struct sd_kv_explain {
	bool there;
	uint64_t seq;
	char where[SD_KV_TEXT]; /* "memtable", "immutable memtable", "L0_000004.sst", "L2_000017.sst"; "": nowhere. Also where a
				 * removal was found */
	unsigned looked;	/* tables that were read */
	unsigned spared;	/* tables that a filter spared: their names, as many as fit */
	char spared_by[8 * SD_KV_TEXT]; /* "L0_000007.sst L1_000009.sst" */
};
enum sd_err sd_kv_explain(struct sd_kv *kv, struct sd_slice key, struct sd_kv_explain *out, struct sd_error *e);

struct sd_kv_stats {
	struct {
		uint64_t tables, bytes, entries;
		uint64_t goal; /* bytes it may have before they move down; 0: as many as there are */
	} levels[SD_KV_LEVELS];
	uint64_t memtable_bytes, memtable_entries, memtable_limit;
	uint64_t immutables, immutable_bytes; /* memtables that wait for the disk */
	uint64_t log_bytes;		      /* of logs that are still needed */
	uint64_t keys;			      /* about; entries less what is known to be removals */
	uint64_t last_seq, snapshots;
	uint64_t cache_bytes, cache_hits, cache_misses;
	uint64_t table_memory;			      /* indexes and filters of open tables */
	uint64_t filter_asked, filter_spared, filter_wrong; /* tables: asked, spared by it, read for nothing */
	uint64_t gets, found, iterators;	      /* since it was opened, as all that follow */
	uint64_t batches, writes, groups, syncs;      /* batches are written in groups; syncs of logs */
	uint64_t user_bytes;			      /* keys and values that were handed in */
	uint64_t logged_bytes, flushed_bytes, compacted_bytes, compaction_read_bytes, blob_bytes;
	uint64_t flushes, compactions, moves;	      /* moves: tables that changed their level without being written */
	uint64_t stalls, stall_us;		      /* writes that were delayed, and for how long together */
	uint64_t debt_bytes;			      /* that compaction owes */
	/* Of values that are kept apart. What is known to be dead goes: once no work is left, blob_dead_bytes is at most what is alive of
	 * blob_file_bytes and memtable_bytes of the configuration more. */
	uint64_t blob_files, blob_file_bytes, blob_dead_bytes;
};
void sd_kv_stats_get(struct sd_kv *kv, struct sd_kv_stats *out);
/* Bytes on the disk written for each byte handed in: log, flush, compaction, blobs. 0: nothing was written yet. */
double sd_kv_write_amplification(const struct sd_kv_stats *s);
/* Bytes of tables and blobs that hold keys from `from` to before `to` (NULL: no bound); about. */
uint64_t sd_kv_span_bytes(struct sd_kv *kv, const struct sd_slice *from, const struct sd_slice *to);

#ifdef __cplusplus
}
#endif

#endif
