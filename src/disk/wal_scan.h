/* wal_scan.h - goes through the bytes of one segment: records in order, and a verdict where they end.
 *
 * Bytes come from wherever `read` says, so that tests feed it from memory. Private to src/disk and its tests.
 */
#ifndef SD_DISK_WAL_SCAN_H
#define SD_DISK_WAL_SCAN_H

#include "wal_format.h"

struct wal_source {
	enum sd_err (*read)(void *arg, void *buf, size_t n, uint64_t off, size_t *got, struct sd_error *e);
	void *arg;
};

enum wal_step {
	WAL_RECORD,
	WAL_END, /* zeros, or the end of the file, where a record is due */
	WAL_BAD,
	WAL_FAILED, /* to read; the error says why */
};

struct wal_item {
	uint64_t seq, off; /* off: of its first fragment */
	const uint8_t *data; /* until the next call */
	size_t n;
	uint8_t type;
};

struct wal_cursor {
	/* set before the first call */
	struct wal_source from;
	uint64_t size; /* of the segment; what is behind is not looked at */
	struct wal_key key;
	uint64_t off, seq; /* where the next fragment is due, and which record */
	/* what was seen */
	uint64_t proven; /* the highest `synced` of a good fragment */
	bool marked;     /* the last good fragment is a mark */
	/* after WAL_BAD and WAL_END */
	uint64_t bad; /* the place; the record that is not good begins at off */
	bool hard;    /* no power cut does that */
	struct wal_wrong why;
	/* its own */
	uint8_t *window, *part;
	uint64_t window_off;
	size_t window_n, part_n, part_cap;
};

enum wal_state { WAL_CLEAN, WAL_TORN, WAL_DAMAGED };
struct wal_verdict {
	enum wal_state state;
	uint64_t cut;     /* records end here */
	uint64_t bytes;   /* from cut on that are not the zeros of the end */
	unsigned behind;  /* good records among these */
	uint64_t at;      /* the place to name */
	char text[200];   /* "record at 4096 has a bad checksum (...) and valid records follow" */
};

/* Room for the window; SD_ENOMEM. Then set from, and wal_cursor_at. */
enum sd_err wal_cursor_init(struct wal_cursor *c, struct sd_error *e);
void wal_cursor_free(struct wal_cursor *c);
/* To the begin of the records of a segment, whose first is `seq`. */
void wal_cursor_at(struct wal_cursor *c, struct wal_key key, uint64_t size, uint64_t seq);
/* To record seq of the same segment, which begins at off. */
void wal_cursor_jump(struct wal_cursor *c, uint64_t off, uint64_t seq);
/* Forgets what was read, for a file that grew. */
void wal_cursor_again(struct wal_cursor *c);

/* The next record. Marks are passed. After WAL_END and WAL_BAD c->off is where the record is due. */
enum wal_step wal_next(struct wal_cursor *c, struct wal_item *r, struct sd_error *e);
/* After WAL_END or WAL_BAD: what is it? newest: no segment follows. */
enum sd_err wal_judge(struct wal_cursor *c, enum wal_step step, bool newest, struct wal_verdict *v, struct sd_error *e);
/* After WAL_END or WAL_BAD: goes to the next good begin of a record behind it; *found is false when there is none. */
enum sd_err wal_resync(struct wal_cursor *c, bool *found, struct sd_error *e);

#endif
