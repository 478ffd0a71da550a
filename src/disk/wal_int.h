/* wal_int.h - what the files of the log share. Private to src/disk and its tests. */
#ifndef SD_DISK_WAL_INT_H
#define SD_DISK_WAL_INT_H

#include "wal.h"
#include "wal_scan.h"
#include "world/file.h"
#include "world/loop.h"

#define WAL_PATH 4096
#define WAL_NEW  ".new" /* behind the name of a segment that is being made */

/* ---- a folder as it is found (wal_walk.c) ---- */

struct wal_segment {
	uint64_t number, first_seq;
};

struct wal_segments {
	struct wal_segment *at;
	size_t n, cap;
};

/* What a walk leaves behind for whoever wants to write. */
struct wal_end {
	struct wal_segments segments; /* the caller's to free */
	char name[WAL_NAME + 1];      /* "": none was found */
	struct wal_header header;     /* of the newest; number 0: there is none */
	uint64_t size;                /* of the newest file */
	uint64_t off, proven;         /* of the newest: where records end, what is known to be on the disk */
	uint64_t next_seq;
	bool marked;
	struct sd_wal_trouble torn; /* bytes > 0: there is one */
	bool blind;                 /* set before, by tests: no checksums */
};

enum sd_err wal_walk_to(struct sd_world *w, struct sd_wal_walk *walk, struct wal_end *end, struct sd_error *e);
bool wal_segments_add(struct wal_segments *s, uint64_t number, uint64_t first_seq);
enum sd_err wal_path(char out[WAL_PATH], const char *dir, const char *name, uint64_t number, struct sd_error *e);
/* Reads as a wal_source does; arg is a struct sd_file. */
enum sd_err wal_file_read(void *arg, void *buf, size_t n, uint64_t off, size_t *got, struct sd_error *e);

/* ---- what blocks (wal_disk.c): on one thread at a time ---- */

struct wal_disk {
	struct sd_world *world;
	const char *dir, *name;
	uint32_t segment_bytes;
	struct sd_file *lock, *file; /* file: the newest segment */
	uint64_t number, end;        /* of it: where written bytes end */
	bool roomy;                  /* its room is set aside */
	bool dirty;                  /* written since the last sync */
	uint64_t syncs, written;     /* counted */
};

/* Makes a segment and its name stay; the one before must be finished. */
enum sd_err wal_disk_make(struct wal_disk *d, const struct wal_header *h, struct sd_error *e);
/* Cuts the newest segment behind its end, and syncs it: from now on it is complete. */
enum sd_err wal_disk_finish(struct wal_disk *d, struct sd_error *e);
enum sd_err wal_disk_write(struct wal_disk *d, uint8_t *p, size_t n, uint64_t off, struct sd_error *e);
enum sd_err wal_disk_sync(struct wal_disk *d, struct sd_error *e);
enum sd_err wal_disk_remove(struct wal_disk *d, uint64_t number, struct sd_error *e);
enum sd_err wal_disk_remove_new(struct wal_disk *d, const char *name, uint64_t number, struct sd_error *e);
void wal_disk_close(struct wal_disk *d);

/* ---- the engine (wal.c) ---- */

/* One write: bytes that go to one place of one segment. */
struct wal_batch {
	struct wal_batch *next;
	uint8_t *p;
	size_t n, cap;
	uint64_t off, first_seq, last_seq;
	uint32_t synced;
	uint64_t segment;
	bool opens; /* it is the first of a segment that must be made */
	bool full;  /* takes no more */
	struct wal_header header; /* opens: of that segment */
};

struct wal_job {
	struct sd_work work;
	struct wal_batch *batch; /* NULL: none */
	bool sync;
	uint64_t drop_from, drop_n; /* segments to remove */
	/* after it ran */
	uint64_t dropped;
	uint64_t syncs, written; /* of the disk, counted so far */
	enum sd_err err;
	struct sd_error e;
};

struct wal_queue {
	struct sd_wal_wait *first, **tail;
};

struct sd_wal {
	struct sd_world *world;
	struct sd_wal_conf conf;
	char *dir, name[WAL_NAME + 1];
	struct wal_disk disk; /* the job's, while one runs */
	struct wal_segments segments;
	/* where the next record goes */
	struct wal_header head;
	struct wal_key key;
	uint64_t off, next_seq;
	struct sd_wal_place appended;
	/* how far it came: acked and durable are read by readers of other threads */
	uint64_t acked, durable;
	uint64_t synced_segment, synced_off;
	/* what waits */
	struct wal_batch *first, *last, *spare;
	unsigned nspare;
	size_t queued;
	uint64_t wanted; /* somebody waits for this record */
	struct wal_queue waits, drops;
	uint64_t drop_seq;
	/* states */
	struct wal_job job;
	struct sd_task turn;
	struct sd_timer timer, gather;
	bool flying;          /* the job runs */
	bool in_turn;         /* turn is on the stack */
	bool again;           /* something was asked for meanwhile; without a loop */
	bool starved;         /* append said SD_EAGAIN */
	bool sync_due;        /* the interval passed */
	bool timed, gathering, gathered; /* the timers are set; gather_ns passed */
	bool marked;          /* a mark is the last thing in the file */
	bool sealed;          /* the newest segment takes no more records: its torn tail was cut */
	bool unopened;        /* no batch makes the newest segment yet */
	bool closing, dead;   /* dead: only a callback that comes yet keeps it */
	struct sd_error failure; /* code SD_OK: none */
	void (*closed)(void *arg, enum sd_err err);
	void *closed_arg;
	struct sd_wal_stats count;
};

/* Frees all of it; nothing flies. */
void wal_destroy(struct sd_wal *l);
/* After everything about the folder was filled in. */
void wal_begin(struct sd_wal *l);
/* The next record is `seq`, in a segment of its own that says that some may be missing before it. False: out of memory. */
bool wal_gap(struct sd_wal *l, uint64_t seq);

#endif
