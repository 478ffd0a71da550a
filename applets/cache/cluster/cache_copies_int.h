/* cache_copies_int.h - what the files of the data side share.
 *
 *	cache_copies.c          life, views, links, messages, time
 *	cache_copies_stamp.c    stamps, digests, tombstones; states of keys from elsewhere
 *	cache_copies_image.c    values as bytes
 *	cache_copies_send.c     what changed goes to the other owners; acks
 *	cache_copies_offer.c    what one node has is offered to another
 *	cache_copies_compare.c  summaries and digests
 *	cache_copies_hold.c     who holds which slot; what nobody here owns any more
 *	cache_copies_await.c    WAIT, and replies held for the write quorum
 *	cache_copies_term.c     with a write quorum: who holds which slot, by agreed views
 *	cache_copies_wire.c     messages, taken apart
 */
#ifndef CACHE_COPIES_INT_H
#define CACHE_COPIES_INT_H

#include "cache_copies.h"
#include "core/hlc.h"
#include "core/text.h"

#define COPIES_VERSION	 1
#define COPIES_VERSION_TERM 2		/* of nodes with a write quorum */
#define COPIES_BATCH	 (256u * 1024)	/* a message is sent when it has so much */
#define COPIES_PIECE	 (32u * 1024)	/* of an offer */
#define COPIES_PIECES	 4		/* of one that wait for an answer */
#define COPIES_BACKLOG	 (1024u * 1024) /* above it nothing is offered to a node */
#define COPIES_SCAN	 512		/* places of the table looked at in one tick, for one node */
#define COPIES_VALUE_MAX (CACHE_MESSAGE_MAX - 2 * 1024 * 1024)
#define COPIES_KEY_MAX	 (1024u * 1024) /* longer ones have no copies */
#define COPIES_LARGE	 (64u * 1024)	/* images above it are not sent at each change */
#define COPIES_GROUPS	 64
#define COPIES_AHEAD_MS	 86400000 /* a stamp further in the future is no stamp */
#define COPIES_TICK_NS	 50000000
#define COPIES_IDLE_NS	 1000000000
#define COPIES_PATIENCE	 2000000000 /* with a node that is to give a slot, or to say what it holds */
#define COPIES_ENDED_MS	 60000	    /* notes of ended keys are kept, while nobody is away */

enum copies_kind {
	COPIES_HELLO = CACHE_DATA_KIND,
	COPIES_CHANGES, COPIES_ACK, COPIES_SUMMARY, COPIES_DIGESTS, COPIES_ASK, COPIES_OFFER, COPIES_WANT, COPIES_END,
	COPIES_ENDED, COPIES_CLAIM, COPIES_HANDOVER, COPIES_BYE, COPIES_CHECK, COPIES_CHECKED, COPIES_ACTIVE, COPIES_READY,
	COPIES_KINDS,
};

/* ---- sets of slots ---- */

struct copies_set {
	uint64_t w[SD_SLOTS / 64];
	unsigned n; /* how many are in it */
};
static inline bool copies_in(const struct copies_set *s, unsigned slot)
{
	return s->w[slot / 64] >> (slot % 64) & 1;
}
static inline void copies_add(struct copies_set *s, unsigned slot)
{
	s->n += !copies_in(s, slot);
	s->w[slot / 64] |= (uint64_t)1 << (slot % 64);
}
static inline void copies_remove(struct copies_set *s, unsigned slot)
{
	s->n -= copies_in(s, slot);
	s->w[slot / 64] &= ~((uint64_t)1 << (slot % 64));
}
static inline void copies_clear(struct copies_set *s)
{
	*s = (struct copies_set){0};
}

/* ---- messages: cache_copies_wire.c ---- */

struct copies_state {
	bool gone;
	uint64_t stamp;
	int64_t ends_ms; /* -1: never */
	struct sd_slice key, image;
};
/* Each takes one part from *p; false: it is none. */
bool copies_get(struct sd_slice *p, size_t bytes, uint64_t *out);
bool copies_get_state(struct sd_slice *p, struct copies_state *out);
bool copies_get_offer(struct sd_slice *p, struct copies_state *out);
bool copies_get_set(struct sd_slice p, struct copies_set *out); /* all of it */
/* Is it a message of this kind from its first byte to its last? */
bool copies_is_message(unsigned kind, struct sd_slice body);
void copies_put(struct sd_text *t, uint64_t v, size_t bytes);
void copies_put_key(struct sd_text *t, struct sd_slice key);
void copies_put_set(struct sd_text *t, const struct copies_set *s);

/* ---- other nodes ---- */

/* Part of an offer that waits for an answer. */
struct copies_piece {
	struct sd_link link;
	uint32_t number;
	uint32_t at, nkeys; /* keys answered so far */
	uint16_t *wanted;   /* NULL: not answered yet */
	size_t nwanted;
	struct sd_text keys; /* length 4 and key, for each */
	size_t *places;
};

enum copies_phase { COPIES_NO_OFFER, COPIES_ITEMS, COPIES_TOMBSTONES, COPIES_ANSWERS, COPIES_ENDING };

struct copies_peer {
	struct sd_swim_id id;
	bool member;	   /* of the view */
	bool up;	   /* our stream to it stands */
	int64_t retry_ns;
	uint64_t stream;   /* its number */
	struct sd_text batch;
	uint64_t sent, acked; /* turns */
	/* What it has of turns before this stream: up to sure all; above it and up to unsure nobody knows. */
	uint64_t sure, unsure, comparing;
	bool heard_hello;
	bool failed;	   /* something of their stream could not be applied: it is not acknowledged any more */
	uint64_t theirs;   /* their stream */
	uint64_t claimed;  /* digest of the view it said what it holds for */
	int64_t heard_ns, compare_ns;
	/* Offers to it. */
	struct copies_set offer, offering; /* to be offered, being offered */
	struct copies_set has;		   /* offered and applied in this view */
	struct copies_set told;		   /* it offered what it has of these, since we asked */
	enum copies_phase phase;
	uint64_t cursor;
	struct sd_link pieces;
	unsigned npieces;
	uint32_t next_piece;
	uint32_t end_number; /* of the last END: an ENDED of another one says nothing of these offers */
	struct copies_piece *building;
	bool settles; /* a comparison is done when these offers are */
	bool bye;     /* it said that it leaves */
	uint64_t applied; /* turn of theirs */
	int64_t claim_ns, progress_ns;
	/* With a write quorum. */
	bool step;	     /* both know the same term, and what is sent to it is looked at */
	bool poke;	     /* it is to acknowledge this turn, also when nothing changed */
	uint64_t their_term, ready_term;
	enum cache_readiness ready; /* in that one */
	unsigned quorum;     /* that it was started with */
	struct copies_set check, checking; /* held here: does it have the same? To be asked, being asked */
	struct copies_set ask, asking;	   /* to be held here: what does it have? */
	int64_t check_ns;
	uint32_t check_number[2]; /* of the last CHECK: an answer to another one says nothing */
};

struct copies_slot {
	uint64_t digest;
	uint32_t count, items; /* items: without tombstones */
	uint8_t held;	    /* enum copies_held */
	bool asked;	    /* the other owners are to tell what they have, since since_ns */
	uint16_t from;	    /* COPIES_EXPECTED: index of the peer that holds it; COPIES_NOBODY */
	int64_t since_ns;
};
enum copies_held { COPIES_FREE, COPIES_EXPECTED, COPIES_HELD };
#define COPIES_NOBODY UINT16_MAX

struct copies_tombstone {
	struct sd_dict_entry e;
	struct sd_wheel_entry until;
	uint64_t stamp;
	bool ended; /* its key ended by itself: a note for this node alone, in no digest */
	char key[];
};

/* A key that changed and was not sent yet. */
struct copies_pending {
	struct sd_dict_entry e;
	struct sd_link order;
	int64_t due_ns; /* 0: with the next turn */
	char key[];
};
/* A large value that was sent lately. */
struct copies_large {
	struct sd_dict_entry e;
	struct sd_link order;
	int64_t next_ns; /* not again before */
	char key[];
};

/* Those that were members: for who has the majority. */
struct copies_known {
	struct sd_swim_id id;
	struct sd_swim_end bus;
	int64_t seen_ms; /* in a view */
};

/* What a write needs: that copies have all up to this turn, of these slots. */
#define COPIES_MARK 6
struct copies_mark {
	uint64_t turn;
	uint16_t slots[COPIES_MARK];
	uint8_t n;
	bool many; /* more slots than that: every node counts that has them all */
	bool wrote;    /* else it read */
	uint64_t term; /* with a write quorum */
};

#define COPIES_PAST 64
/* Who owned which slot in a term. */
struct copies_past {
	uint64_t epoch;
	size_t n;
	struct sd_swim_id *ids;
	unsigned copies;
	uint16_t *owners;
};
enum { COPIES_IS_SELF = 1, COPIES_IS_GONE };

struct cache_copies {
	struct cache *cache;
	struct cache_copies_conf conf;
	struct cache_peers peers;
	struct cache_data data;
	struct cache_follower follower;
	struct cache_copies_stats stats;
	struct sd_swim_id self;
	struct sd_hlc clock;
	struct sd_rng rng;
	struct copies_slot slots[SD_SLOTS];
	unsigned nexpected; /* slots in EXPECTED */
	struct copies_peer **others; /* NULL: free place */
	size_t nothers;
	uint16_t *of_member; /* place in others, by index in the view */
	const struct cache_view *view;
	bool applying;	     /* changes are not ours */
	bool settled;	     /* it held slots where there were others, or began the cluster */
	uint64_t epoch;	     /* of the views by which slots were given to us: none is given on by an older one */
	int64_t epoch_until_ns;
	struct sd_dict tombstones;
	struct sd_wheel tombstone_ends;
	uint64_t turn;		       /* in progress: what was sent is of those before */
	struct sd_dict pending, large;
	struct sd_link pending_order, large_order;
	struct sd_link awaiting;       /* sessions */
	struct copies_known *known;
	size_t nknown;
	int64_t minor_since_ms;	       /* less than half of the known members are here since; 0: no */
	int64_t away_until_ms;	       /* a member went without a word and may come back */
	int64_t ticked_ms, wake_ns, swept_ns;
	struct copies_set drop;	       /* keys of these go: others have them */
	uint64_t drop_cursor;
	enum copies_phase drop_phase;
	bool redistributing;
	void (*left)(void *arg);       /* this node is about to leave: to be told when others have what it has */
	void *left_arg;
	int64_t leaving_ns; /* since then */
	bool leaving;
	/* With a write quorum: cache_copies_term.c. */
	bool agreed;
	enum cache_readiness ready; /* do all owners have what is held here? */
	uint32_t checks;    /* numbers of them: twice that, and 1 for those that ask */
	bool news;	    /* somebody told what it has: slots may be held now */
	bool poked;	    /* somebody is to acknowledge this turn */
	uint64_t term, count; /* of stamps: how many were made */
	uint64_t *active;   /* by slot: the last term in which W owners are known to have had all of it; 0: none */
	uint64_t *since;    /* by slot: the term in which this node began to hold it */
	struct copies_past past[COPIES_PAST]; /* the last is this one */
	size_t npast;
	struct sd_swim_id *gone; /* for good, somebody said */
	size_t ngone;
	unsigned stuck;	    /* slots that wait for long */
	int64_t minor_since_ns;
	int64_t out_since_ns; /* no member of the last term, and was one; 0: it is, or never was */
	bool out_whole;	      /* and all was whole without it then */
};

/* ---- cache_copies.c ---- */
/* Its index in the view; -1: it is not in it. */
int copies_member(const struct cache_view *v, const struct sd_swim_id *id);
static inline int64_t copies_now(const struct cache_copies *cc)
{
	return cc->peers.now_ns(cc->peers.arg);
}
static inline int64_t copies_wall(const struct cache_copies *cc)
{
	return cc->peers.wall_ms(cc->peers.arg);
}
static inline struct cache_db *copies_db(const struct cache_copies *cc)
{
	return &cc->cache->dbs[0];
}
void copies_wake(struct cache_copies *cc, int64_t at_ns);
bool copies_send(struct cache_copies *cc, struct copies_peer *p, unsigned kind, const struct sd_text *body);
/* NULL: it is not known. */
struct copies_peer *copies_find(const struct cache_copies *cc, const struct sd_swim_id *id);
/* The peers that own the slot in the view, without this node; how many. */
size_t copies_owners(const struct cache_copies *cc, unsigned slot, struct copies_peer *out[SD_SLOTS_COPIES]);
/* The first of them, NULL: it is this node, or nobody. */
struct copies_peer *copies_first(const struct cache_copies *cc, unsigned slot);
/* Who probably gets a slot that this node alone has, when it goes. */
struct copies_peer *copies_next_owner(const struct cache_copies *cc, unsigned slot);
int copies_rank(const struct cache_copies *cc, unsigned slot);

/* ---- cache_copies_term.c ---- */
#define COPIES_COUNT_BITS 40
static inline uint64_t copies_stamp_term(uint64_t stamp)
{
	return stamp >> COPIES_COUNT_BITS;
}
bool copies_term_begin(struct cache_copies *cc);
void copies_term_end(struct cache_copies *cc);
void copies_term_view(struct cache_copies *cc, const struct cache_view *was, const struct cache_view *is);
void copies_term_hello(struct cache_copies *cc, struct copies_peer *p);
void copies_term_step(struct cache_copies *cc, struct copies_peer *p);
void copies_term_down(struct copies_peer *p);
void copies_term_check(struct cache_copies *cc, struct copies_peer *p);
void copies_term_compare(struct cache_copies *cc, struct copies_peer *p);
void copies_term_tick(struct cache_copies *cc);
/* True: there is something to drop. */
bool copies_term_sweep(struct cache_copies *cc);
void copies_on_check(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body);
void copies_on_checked(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body);
void copies_on_active(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body);
void copies_on_ready(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body);
enum cache_readiness copies_readiness(const struct cache_copies *cc);
/* Is this node, which leaves, needed by nobody any more? */
bool copies_term_lets_go(const struct cache_copies *cc);
/* Are all owners known to have all of it? */
bool copies_term_is_clean(const struct cache_copies *cc, unsigned slot);
bool copies_term_has(const struct cache_copies *cc, const struct copies_peer *p, unsigned slot, uint64_t turn);
/* COPIES_LOST: somebody else may hold the slot now. */
enum copies_fate { COPIES_HOPED, COPIES_DONE, COPIES_LOST };
enum copies_fate copies_term_fate(const struct cache_copies *cc, const struct copies_mark *m, unsigned *have);
const char *copies_term_refuses(struct cache_copies *cc, bool write);
enum cache_serving copies_term_serving(const struct cache_copies *cc, const struct cache_asked *asked, struct sd_swim_id *other);
/* What to do with a state from elsewhere: take it when it is newer; as a change of this node's own when there is nothing here; tell
 * its sender what counts. */
enum copies_takes { COPIES_REFUSES, COPIES_TAKES, COPIES_MERGES, COPIES_OVERRULES };
enum copies_takes copies_term_takes(const struct cache_copies *cc, const struct copies_peer *p, struct sd_slice key, uint64_t stamp);

/* ---- cache_copies_stamp.c ---- */
/* A state of a key that only files have, or a cluster that was given up: any other counts more. */
void copies_restamp_all(struct cache_copies *cc);
/* The key as it is here is newer than what others have. */
void copies_restamp(struct cache_copies *cc, struct sd_slice key);
/* As a change of this node, when nothing is known of the key. False: no state, or no memory. */
bool copies_merge(struct cache_copies *cc, const struct copies_state *s);
uint64_t copies_hash(struct sd_slice key, uint64_t stamp, bool gone);
void copies_key_changed(void *arg, struct cache_db *db, struct sd_slice key);
void copies_key_gone(void *arg, struct cache_db *db, const struct cache_item *it, enum cache_why why);
void copies_flushed(void *arg, struct cache_db *db);
struct copies_tombstone *copies_tombstone(struct cache_copies *cc, struct sd_slice key);
void copies_end_tombstones(struct cache_copies *cc, int64_t now_ms);
void copies_free_tombstone(struct cache_copies *cc, struct copies_tombstone *t);
/* The state of a key here: its stamp, and whether it is gone; stamp 0: nothing is known. */
uint64_t copies_stamp_of(struct cache_copies *cc, struct sd_slice key, bool *gone);
/* Is this state newer than the one here? */
bool copies_is_newer(struct cache_copies *cc, const struct copies_state *s);
/* Takes it when it is newer. False: it is no state, or there is no memory. */
bool copies_apply(struct cache_copies *cc, const struct copies_state *s);
/* Without a trace: others have it. */
void copies_drop_item(struct cache_copies *cc, struct cache_item *it);
void copies_has_stray(struct cache_copies *cc, unsigned slot);

/* ---- cache_copies_image.c ---- */
void copies_put_image(struct sd_text *t, const struct cache_item *it);
/* The value under this key, whatever was there. False: it is none, or there is no memory. */
bool copies_store_image(struct cache *c, struct cache_db *db, const struct copies_state *s);

/* ---- cache_copies_send.c ---- */
void copies_note(struct cache_copies *cc, struct sd_slice key);
/* all: also what waits since it is large. */
void copies_flush(struct cache_copies *cc, bool all);
/* The state of a key as it is here, behind what is sent next to this node. */
void copies_batch(struct cache_copies *cc, struct copies_peer *p, struct sd_slice key);
void copies_send_batch(struct cache_copies *cc, struct copies_peer *p);
/* It is gone with this stamp, though nothing is known of it here. */
void copies_batch_gone(struct cache_copies *cc, struct copies_peer *p, struct sd_slice key, uint64_t stamp);
/* The owners of a slot are to acknowledge this turn. */
void copies_poke(struct cache_copies *cc, unsigned slot);
void copies_on_changes(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body);
void copies_on_ack(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body);
bool copies_has_turn(const struct cache_copies *cc, const struct copies_peer *p, uint64_t turn);
void copies_send_ack(struct cache_copies *cc, struct copies_peer *p);
void copies_send_end(struct cache_copies *cc);

/* ---- cache_copies_offer.c ---- */
void copies_offer(struct cache_copies *cc, struct copies_peer *p, unsigned slot);
/* Goes on with offers to p. True: there is more to do at once. */
bool copies_offer_more(struct cache_copies *cc, struct copies_peer *p);
/* From the beginning: something got lost. */
void copies_offer_again(struct cache_copies *cc, struct copies_peer *p);
void copies_offer_end(struct cache_copies *cc, struct copies_peer *p);
void copies_on_offer(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body);
void copies_on_want(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body);
void copies_on_end(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body);
void copies_on_ended(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body);
void copies_on_ask(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body);

/* ---- cache_copies_compare.c ---- */
void copies_compare(struct cache_copies *cc, struct copies_peer *p);
void copies_on_summary(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body);
void copies_on_digests(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body);

/* ---- cache_copies_hold.c ---- */
void copies_hold(struct cache_copies *cc, unsigned slot, enum copies_held held, uint16_t from);
void copies_settle(struct cache_copies *cc, const struct cache_view *was, const struct cache_view *is);
enum cache_serving copies_serving(void *arg, const struct cache_asked *asked, struct sd_swim_id *other);
void copies_claim(struct cache_copies *cc, struct copies_peer *p);
void copies_on_claim(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body);
void copies_on_handover(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body);
/* Everything in these slots was offered to p: those that are for it are handed over. */
void copies_hand_over(struct cache_copies *cc, struct copies_peer *p, const struct copies_set *slots);
/* This node is in the view no more: others have what it has, or get it now, and hold its slots. */
void copies_go(struct cache_copies *cc, const struct cache_view *was);
void copies_resolve(struct cache_copies *cc);
/* Keys of slots that are others' are offered to those, and dropped once all have them. True: there is more at once. */
bool copies_sweep(struct cache_copies *cc);
bool copies_drop_more(struct cache_copies *cc);
/* Those who wait for keys of these slots have to ask elsewhere, and transactions that watch some are called off. */
void copies_unblock(struct cache_copies *cc, const struct copies_set *set);
/* Was a node among the owners of a slot? */
bool copies_owned(const struct cache_view *v, unsigned slot, const struct sd_swim_id *id);

/* ---- cache_copies_await.c ---- */
void copies_called(void *arg, struct cache_session *s, size_t begun);
void copies_ran(void *arg, struct cache_call *c);
void copies_wait(struct cache_call *c, int64_t copies, int64_t deadline_ms);
void copies_session_ends(void *arg, struct cache_session *s);
void copies_wrote(struct cache_copies *cc, unsigned slot);
/* Answers those who have what they wait for, or waited long enough. When the next one did. */
int64_t copies_release(struct cache_copies *cc);

#endif
