/* mq_store_int.h - what the files of the store share. Private to them and their tests.
 *
 *	mq_record.c    records as bytes
 *	mq_store.c     the journal that the broker writes, one sync a turn, failing and being closed
 *	mq_segments.c  what of the log is live, segment by segment
 *	mq_recover.c   from the log to the broker, at start
 *	mq_retry.c     after a full disk
 *	mq_salvage.c   what is readable of a damaged log
 *	mq_compact.c   live records of the oldest segment again, then the segment goes
 *	mq_fetch.c     bodies that are not in memory
 *
 * Invariants, on the loop:
 *
 *	1  a message that has m->at has a struct mq_live there, with those of its entries that are in the log; it is in the list of
 *	   the segment that its record (number m->record) is in, in the order of the log
 *	2  acked <= appended; what is in `settles` is not appended yet and comes before anything else that will be
 *	3  a segment is dropped when no record in it is live, its definitions stand behind it again, and what took their place (copies,
 *	   messages that moved, definitions: `changed`) is on the disk. That a message is done with need not be: it is, then
 *	4  while it has failed nothing is appended; what ends meanwhile is kept in `tail` when the log may be opened again
 */
#ifndef MQ_STORE_INT_H
#define MQ_STORE_INT_H

#include "mq_record.h"
#include "mq_store.h"
#include "world/loop.h"

#define MQ_RECORD_HEAD 24u /* what the log adds to a record: that of one fragment */
#define MQ_SETTLES     256u

/* ---- what is live (mq_segments.c) ---- */

struct mq_live {
	struct sd_link link; /* of its segment */
	uint32_t segment; /* its number; 0: none, the log lost it */
	uint32_t offset, bytes;
	uint32_t n;
	struct mq_entry *entries[];
};
static inline struct mq_live *mq_live_of(const struct mq_message *m)
{
	return (struct mq_live *)(uintptr_t)m->at;
}

struct mq_segment {
	uint64_t number;
	uint64_t first_seq;   /* of its first record, or that of the next */
	uint64_t last_define; /* the last definition in it; 0: none */
	uint64_t changed;     /* when this is on the disk, what was in it stands elsewhere */
	uint64_t bytes;
	bool damaged;		/* something in it could not be read */
	struct sd_link records; /* struct mq_live.link */
};

struct mq_segments {
	struct mq_segment **at; /* oldest first, numbers without a hole */
	size_t n, room;
	uint64_t bytes, live;
	struct mq_segment lost; /* what is in none */
};

void mq_segments_init(struct mq_segments *s);

/* The segment of this number, which is there or to come. NULL: out of memory. */
struct mq_segment *mq_segment_of(struct mq_segments *s, uint64_t number, uint64_t seq);
static inline struct mq_segment *mq_segment_with(struct mq_segments *s, const struct mq_live *live)
{
	return live->segment ? s->at[live->segment - s->at[0]->number] : &s->lost;
}
static inline void mq_segment_changed(struct mq_segment *g, uint64_t seq)
{
	g->changed = seq > g->changed ? seq : g->changed;
}
void mq_segments_forget(struct mq_segments *s, size_t n);	  /* the oldest n */
void mq_segments_forget_new(struct mq_segments *s, uint64_t seq); /* those that begin behind this record; nothing is in them */
void mq_segments_free(struct mq_segments *s);
struct mq_live *mq_live_new(size_t n);
void mq_live_add(struct mq_segments *s, struct mq_live *live, struct mq_segment *at, uint64_t offset, size_t bytes);
void mq_live_remove(struct mq_segments *s, struct mq_live *live);

/* ---- what the log may have to be told again: small records until they are acknowledged ---- */

struct mq_tail {
	uint8_t *p;
	size_t first, n, room; /* records are in p[first .. n) */
};
#define MQ_TAIL_LATER UINT64_MAX /* not in the log yet */
bool mq_tail_add(struct mq_tail *t, uint64_t seq, enum mq_kind kind, const struct iovec *iov, int niov);
struct mq_tail_record {
	uint64_t seq;
	enum mq_kind kind;
	struct sd_slice bytes;
};
bool mq_tail_first(const struct mq_tail *t, struct mq_tail_record *out); /* false: there is none */
void mq_tail_drop(struct mq_tail *t);					   /* the first */
void mq_tail_lost(struct mq_tail *t, uint64_t seq); /* the log has not got those behind this record: LATER */

/* ---- compaction ---- */

#define MQ_PIECE_BYTES (256u << 10)
#define MQ_PIECE       256u

struct mq_copy {
	struct mq_message *m; /* held */
	struct mq_live *live; /* if this and that are still m's when the copy is on the disk, m is there from then on */
	uint64_t was;	      /* record */
	struct sd_wal_place to;
	uint64_t seq;
	size_t bytes;
};
struct mq_compaction {
	struct mq_copy copies[MQ_PIECE]; /* the piece that is on its way */
	size_t n;
	struct sd_wal_wait drop;
	size_t dropping; /* segments that are being dropped */
	bool broken;	 /* something is out of reach: nothing is dropped any more */
	bool going;	 /* with the oldest segment */
	uint64_t dumped, dumped_to;    /* first and last record of the last dump of definitions; 0: there is none */
	uint64_t dumped_bytes;
	struct mq_dump dump; /* the one that is under way: from and to which record so far */
	uint64_t dump_from, dump_to, dump_bytes;
};

struct mq_store {
	struct sd_world *world;
	struct sd_loop *loop;
	struct sd_helpers *helpers;
	struct mq_store_conf conf;
	char *dir;
	struct mq *mq;
	struct sd_wal *log; /* NULL: not open */
	bool closing, dead;
	uint64_t appended, acked;
	struct sd_wal_wait wait;
	bool waiting; /* wait is the log's */
	uint8_t settles[MQ_SETTLES * MQ_PLACE_BYTES];
	size_t nsettles;
	struct sd_text scratch;
	struct mq_segments segments;
	struct mq_tail tail;
	struct sd_wal_reader *reader;
	struct mq_compaction compact;
	/* failing */
	struct sd_error failure; /* code SD_OK: none */
	bool full, untold;	 /* the broker does not know yet */
	bool shrinking;		 /* compacting to make room, while the broker takes it for failed */
	bool reserved;		 /* the reserve is there */
	struct sd_task task;
	/* the disk's room */
	bool low;
	void (*closed)(void *arg, enum sd_err err);
	void *closed_arg;
	struct mq_store_stats count;
	/* for tests that show what would happen */
	bool drop_live; /* compaction does not copy */
};

/* ---- between the files ---- */

/* Adds a record. 0: it cannot. */
uint64_t mq_store_append(struct mq_store *s, enum mq_kind kind, struct iovec *iov, int niov);
/* One that ends or changes something: the log is told again if it loses it. */
uint64_t mq_store_append_kept(struct mq_store *s, enum mq_kind kind, struct iovec *iov, int niov);
uint64_t mq_store_put_define(struct mq_store *s, enum mq_define what, bool gone, struct sd_slice text, bool keep);
/* A message with the places that it has: PUBLISH. 0: it cannot. */
uint64_t mq_store_put_message(struct mq_store *s, const struct mq_message *m, struct mq_entry *const *entries, size_t n,
			      const struct mq_entry *moved_from, struct sd_slice body, size_t *bytes);
void mq_store_flush(struct mq_store *s); /* settles */
void mq_store_fail(struct mq_store *s, enum sd_err err, const char *text);
void mq_store_sync(struct mq_store *s); /* asks for one, unless it was asked for */
void mq_reserve_make(struct mq_store *s);
uint64_t mq_store_durable(const struct mq_store *s);
struct sd_wal_conf mq_store_wal_conf(const struct mq_store *s);

enum sd_err mq_store_recover(struct mq_store *s, struct mq_store_found *found, struct sd_error *e);
enum sd_err mq_store_salvage(struct mq_store *s, struct mq_store_found *found, struct sd_error *e);

bool mq_store_fetch(void *arg, struct mq_message *m);

void mq_compact_turn(struct mq_store *s);
/* Lets go of what it holds. */
void mq_compact_stop(struct mq_store *s);

#endif
