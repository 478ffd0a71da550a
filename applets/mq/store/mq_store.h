/* mq_store.h - the broker's log on the disk: one log (disk/wal.h) for all queues, read once at start, compacted as it goes. The
 * records are in sdlab-mq(5).
 *
 *	mq_store_new --journal--> mq_new --> mq_store_open: what the log has is restored into the broker
 *	publish, settle, failed, define --> records; a turn's end asks for one sync --> mq_stored
 *
 * A record is live as long as its message has a place in a queue. When live bytes are less than half of what the log holds (and
 * that is worth it), the oldest segment's live records are written again at its end, a bounded piece at a time, and the segment is
 * dropped; publishing goes on meanwhile. A segment in which nothing is live goes at once.
 *
 * A disk that is full, or that fails, ends the journal: mq_journal_failed. Consumers go on; what they settle is remembered. When
 * there is room again mq_store_retry opens the log anew, writes what it lacks, and the broker takes persistent messages again.
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
	uint32_t segment_bytes; /* 0: 64 MiB */
	uint64_t disk_free_min; /* less than this free: stats say `low`, and whoever publishes is to wait; 0: no limit */
	bool salvage;		/* go on without what cannot be read: the damaged log stays beside as DIR.damaged */
	bool never_compact;	/* for tests */
	/* Records are on the disk, or never will be: the broker was told, and a turn of it should follow. NULL: nobody asks. */
	void (*stored)(void *arg);
	void *arg;
};

struct mq_store_found {
	uint64_t queues, messages; /* durable queues, and what is pending in them */
	uint64_t records;	   /* in the log */
	uint64_t orphans;	   /* places of queues that are gone */
	uint64_t senseless;	   /* records that salvage passed over */
	struct sd_wal_found wal;
	char salvaged[600]; /* "" unless salvage was needed: what was left out */
};

struct mq_store_stats {
	uint64_t records, bytes, live_bytes, segments, compactions, copied, fetched;
	uint64_t queued_bytes; /* wait to be written */
	uint64_t syncs;
	bool failed, full; /* failed: nothing is taken; full: because the disk is, so that mq_store_retry may help */
	bool low;	   /* disk_free_min, at the last mq_store_look */
};

struct mq_store;

/* loop NULL: calls block (for tests and tools). NULL: out of memory. */
struct mq_store *mq_store_new(struct sd_world *w, struct sd_loop *loop, struct sd_helpers *helpers, const struct mq_store_conf *conf);
/* For mq_new; good as long as the store. */
struct mq_journal mq_store_journal(struct mq_store *s);
/* Blocks. Errors as those of sd_wal_open: SD_EINUSE, damage with file and offset. found may be NULL. */
enum sd_err mq_store_open(struct mq_store *s, struct mq *b, struct mq_store_found *found, struct sd_error *e);
/* At the end of a turn, behind mq_turn: one sync for all that was journalled in it; some compaction. */
void mq_store_turn(struct mq_store *s);
/* Is there room on the disk? To be asked now and then, also when nothing else happens. */
void mq_store_look(struct mq_store *s);
/* After stats said `full`: blocks, reading one segment. SD_OK: persistent messages are taken again. Another error: still not. */
enum sd_err mq_store_retry(struct mq_store *s, struct sd_error *e);
/* Why it takes nothing more, or NULL. */
const struct sd_error *mq_store_failure(const struct mq_store *s);
/* Everything is on the disk, then closed, and the store can be freed; the broker must be there until then. */
void mq_store_close(struct mq_store *s, void (*closed)(void *arg, enum sd_err err), void *arg);
/* As if the process had died, unless it was closed; before mq_free. NULL is fine. */
void mq_store_free(struct mq_store *s);
void mq_store_stats(const struct mq_store *s, struct mq_store_stats *out);

#endif
