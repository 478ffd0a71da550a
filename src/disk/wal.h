/* wal.h - the log: records that stay once they were acknowledged.
 *
 * One segmented append-only log for every part that promises to lose nothing. The format, and what counts as a torn tail
 * and what as damage, is in sdlab-wal(5).
 *
 *	append   puts a record into memory and gives its sequence number at once
 *	sync     asks to be called when everything appended so far is on the disk; all who ask share one fdatasync
 *	drop     removes whole segments from the front
 *
 * A log belongs to one loop, and all calls are made there; writing and syncing happen on a helper thread, one batch at a
 * time. Records that are appended meanwhile gather for the next batch. Callbacks come in the order of sequence numbers, on
 * the loop, never from within the call that asked. Without a loop everything happens in the call: for tools and tests.
 *
 * After a write or sync that failed the log only reads: every waiting and later callback gets the error, and nothing more is
 * acknowledged until it was opened anew. A full disk (SD_ENOSPC) is such a failure; what was acknowledged before stays, and
 * after reopening drop frees segments even while the disk is full.
 */
#ifndef SD_DISK_WAL_H
#define SD_DISK_WAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/uio.h>

#include "sdlab/err.h"

struct sd_helpers;
struct sd_loop;
struct sd_wal;
struct sd_wal_record;
struct sd_world;

enum sd_wal_sync {
	SD_WAL_ALWAYS,	 /* acknowledged means on the disk */
	SD_WAL_INTERVAL, /* acknowledged means handed to the kernel; on the disk within the interval */
	SD_WAL_NEVER,	 /* on the disk when the kernel likes; only full segments, and at close */
};

/* Zero means the default. */
struct sd_wal_conf {
	const char *dir;  /* made (mode 0700) when it is not there; used by one log and one process */
	const char *name; /* see sdlab-wal(5); NULL: the one that is there */
	struct sd_loop *loop; /* NULL: calls block */
	struct sd_helpers *helpers;
	enum sd_wal_sync sync;
	int64_t interval_ns;    /* SD_WAL_INTERVAL: 10 ms; without a loop every sync is one */
	int64_t gather_ns;      /* wait so long for others before a batch begins: 0 */
	uint32_t segment_bytes; /* 64 MiB, at most 1 GiB */
	uint32_t batch_bytes;   /* one write and sync: 1 MiB */
	uint32_t queue_bytes;   /* memory of what waits to be written: 8 MiB */
	uint32_t record_bytes;  /* the largest record: 16 MiB */
	uint64_t first_seq;     /* of a log that is made anew: 1 */
	uint64_t expect_seq;    /* a record that is known to have been acknowledged: a log that ends before it is refused */
	bool lazy; /* look only at the headers of all segments but the newest; reading finds damage in the others */
	void (*drained)(void *arg); /* after append said SD_EAGAIN: half of the queue is free */
	/* While it is opened, each record that is there, in order: whoever wants all of them need not read the log a second time.
	 * Not with lazy. What it returns other than SD_OK ends the opening, which may fail afterwards all the same. */
	enum sd_err (*record)(void *arg, const struct sd_wal_record *r, const char *file, struct sd_error *e);
	void *arg;
};

/* "sync: always, group commit up to 1 MiB": what whoever uses a log prints at start. */
#define SD_WAL_TEXT 160
void sd_wal_sync_text(const struct sd_wal_conf *conf, char out[SD_WAL_TEXT]);

/* What opening found. */
struct sd_wal_found {
	uint64_t first_seq, next_seq; /* the records are first_seq .. next_seq - 1 */
	unsigned segments, gaps;      /* gaps: places where salvage found records missing */
	/* A torn tail was cut off (torn_bytes > 0): */
	uint64_t torn_segment, torn_offset, torn_bytes;
	unsigned torn_records; /* good records in it, behind the first that was not */
	uint64_t unmade; /* a segment that was being made when the power went, removed; 0: none */
	char text[600];  /* the above in one sentence; "" when there is nothing to tell */
};

/* Blocks; at start. Errors: SD_EINUSE (another process has it), SD_EINVAL (damage: "cannot open data/q-00000007.log: record
 * at 4096 has a bad checksum (...) and valid records follow"), SD_EUNSUPPORTED (a later version), and those of files.
 * Damaged logs are left as they are. found may be NULL. */
enum sd_err sd_wal_open(struct sd_world *w, const struct sd_wal_conf *conf, struct sd_wal **out,
			struct sd_wal_found *found, struct sd_error *e);

/* One that was opened without a loop has it from now on. */
void sd_wal_attach(struct sd_wal *l, struct sd_loop *loop, struct sd_helpers *helpers);

/* ---- writing ---- */

/* Copies the pieces into a record. SD_EAGAIN: too much waits to be written, drained will be called. SD_ETOOBIG: larger than
 * record_bytes. SD_ERANGE: there is no number after it. SD_ECANCELED: being closed. Or the error that made the log read-only. seq may be NULL. It stays in memory
 * until somebody asks to sync, a batch is full, or, with SD_WAL_INTERVAL, the interval passed. */
enum sd_err sd_wal_append(struct sd_wal *l, uint8_t type, const struct iovec *iov, int niov, uint64_t *seq);

/* Where a record begins: its number says which, this is where it is found at once. */
struct sd_wal_place {
	uint64_t segment;
	uint64_t offset;
};
/* Of the last one that was appended. */
struct sd_wal_place sd_wal_appended(const struct sd_wal *l);

/* The caller's memory, until done was called. */
struct sd_wal_wait {
	void (*done)(struct sd_wal_wait *wait, enum sd_err err);
	/* the log's */
	uint64_t seq;
	struct sd_wal_wait *next;
};
/* Calls done when all records appended before are acknowledged as the policy says, or cannot be: sd_wal_failure tells. done
 * may call anything but sd_wal_free and sd_wal_close. */
void sd_wal_sync(struct sd_wal *l, struct sd_wal_wait *wait);

/* Removes whole segments of which all records are below seq, if others with records follow. done may find SD_EIO. */
void sd_wal_drop(struct sd_wal *l, uint64_t seq, struct sd_wal_wait *wait);

/* Writes and syncs what waits, marks the end, and frees the log. Calls closed (may be NULL) afterwards. */
void sd_wal_close(struct sd_wal *l, void (*closed)(void *arg, enum sd_err err), void *arg);
/* Frees it as if the process had died: what waits is not written and not called. NULL is fine. With a loop, what it had
 * under way comes back yet, so free the helpers afterwards, then flush and free the loop. */
void sd_wal_free(struct sd_wal *l);

/* ---- looking ---- */

struct sd_wal_stats {
	uint64_t next_seq;    /* of the next record */
	uint64_t acked_seq;   /* the last record that is acknowledged; 0: none */
	uint64_t durable_seq; /* the last that is on the disk */
	uint64_t first_seq;   /* the oldest that is there */
	uint64_t appends, append_bytes, batches, syncs, written_bytes; /* since it was opened */
	uint64_t queued_bytes;
	unsigned segments;
};
void sd_wal_stats(const struct sd_wal *l, struct sd_wal_stats *out);
/* Why the log only reads, or NULL. */
const struct sd_error *sd_wal_failure(const struct sd_wal *l);

/* ---- reading ---- */

struct sd_wal_record {
	uint64_t seq, segment, offset;
	const uint8_t *data; /* until the next call on the same reader */
	size_t n;
	uint8_t type;
};

struct sd_wal_reader;
/* Begins with record `from` or the oldest that is there; a reader made here, on the loop's thread, may be used on another.
 * It reads what is acknowledged. The log must outlive it. SD_ERANGE: from is behind the next record. */
enum sd_err sd_wal_reader_open(struct sd_wal *l, uint64_t from, struct sd_wal_reader **out, struct sd_error *e);
/* SD_EEOF: nothing more for now. SD_ENOTFOUND: dropped meanwhile. SD_EINVAL: damage. Blocks as files do. */
enum sd_err sd_wal_read(struct sd_wal_reader *r, struct sd_wal_record *out, struct sd_error *e);
/* One that begins with sd_wal_reader_seek, of a log that need not be open, and sees whatever is there: for whoever knows the
 * places of records and must read them also while the log is closed. SD_ENOMEM. */
enum sd_err sd_wal_reader_alone(struct sd_world *w, const char *dir, const char *name, struct sd_wal_reader **out,
				struct sd_error *e);
/* The next one read is record seq, which begins there; then those behind it. Cheap when it is near the last one. */
void sd_wal_reader_seek(struct sd_wal_reader *r, struct sd_wal_place at, uint64_t seq);
void sd_wal_reader_free(struct sd_wal_reader *r);

/* ---- for people: any log, read-only, without its lock ---- */

enum sd_wal_trouble_kind { SD_WAL_TORN_TAIL, SD_WAL_UNMADE, SD_WAL_DAMAGE };
struct sd_wal_trouble {
	enum sd_wal_trouble_kind kind;
	const char *file;
	uint64_t segment, offset;
	uint64_t bytes; /* torn tail: how many will be cut off */
	uint64_t seq;   /* the record that was due there */
	unsigned behind; /* good records in a torn tail */
	char text[300]; /* without the file */
};

struct sd_wal_walk {
	const char *path; /* a folder, or one segment, which then is taken for the newest */
	const char *name; /* of the log; NULL: any */
	bool lazy;        /* as in struct sd_wal_conf */
	bool resync;      /* go on behind damage */
	/* Each may be NULL. What they return other than SD_OK ends the walk. */
	enum sd_err (*record)(struct sd_wal_walk *w, const struct sd_wal_record *r, const char *file, struct sd_error *e);
	/* Damage ends the walk unless resync; this sees it in any case. */
	enum sd_err (*trouble)(struct sd_wal_walk *w, const struct sd_wal_trouble *t, struct sd_error *e);
	void *arg;
	/* what it came to; valid afterwards too */
	struct sd_wal_found found;
	unsigned troubles, damages;
};
/* Damage without resync: SD_EINVAL, "cannot read FILE: ...". */
enum sd_err sd_wal_walk(struct sd_world *w, struct sd_wal_walk *walk, struct sd_error *e);

/* Copies what is readable of `from` to a new log in the folder `to`, which must not hold one; `from` is only read. Sequence
 * numbers stay; where records are missing the new log says so (found.gaps). walk may have `trouble` set, and tells
 * afterwards what was met. */
struct sd_wal_salvage {
	struct sd_wal_walk walk; /* path: from where */
	const char *to;
	uint64_t records, missing; /* copied; not there between two that were */
	uint64_t first, before;    /* the first that was copied; those before it that the log had */
};
enum sd_err sd_wal_salvage(struct sd_world *w, struct sd_wal_salvage *s, struct sd_error *e);

#endif
