/* mq_store.h - the broker's log on the disk: one log (disk/wal.h) for all queues, read once at start, compacted as it goes. The
 * records are in sdlab-mq(5).
 *
 *	mq_store_new --journal--> mq_new --> mq_store_open: what the log has is restored into the broker
 *	publish, settle, failed, define --> records; a turn's end asks for one sync --> mq_stored
 *
 * Live bytes are those of records whose entries are not settled. When they are less than half of what the log holds (and that is
 * worth it), the oldest segments' live records are written again at its end, a bounded piece a turn, and the segments are dropped;
 * publishing goes on meanwhile. A disk that is full, or that fails, ends the journal: mq_journal_failed; when there is room again
 * (a full disk alone) mq_store_retry opens the log anew and what is in memory goes on.
 */
#ifndef MQ_STORE_H
#define MQ_STORE_H

#include "../engine/mq.h"
#include "disk/wal.h"

struct sd_loop;
struct sd_helpers;

struct mq_store_conf {
	const char *dir;
	enum sd_wal_sync sync;
	int64_t interval_ns;
	uint32_t segment_bytes;	 /* 0: 64 MiB */
	uint64_t disk_free_min;	 /* less than this free: nothing persistent is taken, and said so; 0: no limit */
	bool salvage;		 /* go on without what cannot be read: the damaged log stays beside as NAME.damaged */
	bool never_compact;	 /* for tests */
};

struct mq_store_found {
	uint64_t queues, messages; /* durable queues, and what is pending in them */
	struct sd_wal_found wal;
};

struct mq_store_stats {
	uint64_t records, bytes, live_bytes, segments, compactions, copied, reads;
	bool failed, full;
};

struct mq_store;

/* loop NULL: calls block (for tests and tools). */
struct mq_store *mq_store_new(struct sd_world *w, struct sd_loop *loop, struct sd_helpers *helpers, const struct mq_store_conf *conf);
/* For mq_new; good as long as the store. */
struct mq_journal mq_store_journal(struct mq_store *s);
/* Blocks. Errors as those of sd_wal_open: SD_EINUSE, damage with file and offset. */
enum sd_err mq_store_open(struct mq_store *s, struct mq *b, struct mq_store_found *found, struct sd_error *e);
/* At the end of a turn, behind mq_turn: one sync for all that was journalled in it; some compaction. */
void mq_store_turn(struct mq_store *s);
/* Everything is on the disk, then closed. */
void mq_store_close(struct mq_store *s, void (*closed)(void *arg, enum sd_err err), void *arg);
/* As if the process had died. NULL is fine. */
void mq_store_free(struct mq_store *s);
void mq_store_stats(const struct mq_store *s, struct mq_store_stats *out);

#endif
