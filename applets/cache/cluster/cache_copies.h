/* cache_copies.h - the data side of a cluster of caches: values get to the nodes that are to have them, whatever is lost on the way.
 * Pure: it is given views and messages, and gives messages.
 *
 *	command --> keyspace --changed--> stamp, digest --end of the turn--> CHANGES --> the other owners, which apply and ACK
 *	view -----> who holds which slot; what is to be offered to whom --> OFFER, WANT, CHANGES, END, HANDOVER
 *	time -----> SUMMARY, DIGESTS: what differs is offered
 *
 * Stamps (core/hlc.h). Every change of a key gets one; of two states of a key the one with the higher stamp counts, and of one stamp
 * its being gone. A deleted key leaves a tombstone, so that its values with lower stamps do not come back; a node that was
 * away for longer than tombstones are kept drops what it had. A key that ends at its time does so everywhere by itself, and
 * leaves a short note here.
 *
 * Holding. One node holds a slot, and answers for it. It is the first owner in the view, or on the way there:
 *
 *	        view: it is not the first                      HANDOVER sent
 *	HELD ------------------------------> HELD, giving away --------------> FREE
 *	 ^                                                                       | view: it is the first, another one
 *	 | HANDOVER, or nobody holds it and the other owners gave what they have | is there that may hold it
 *	 '---------------------------------- EXPECTED <--------------------------'
 *
 * The first owner sends commands to the one that it expects the slot from. A HANDOVER comes behind all keys of the slot on a link
 * that keeps the order, so the new holder has what the old one answered. When the holder is gone its slots are held at once by the
 * next owner, when it has a copy; when it had none, or with a write quorum, after it heard the other owners.
 *
 * Messages: numbers are little-endian; a message that is not exactly this changes nothing and is counted.
 *
 *	64 HELLO     version 1: 1; stream: 8. Begins a stream: what came before it from this node is forgotten
 *	65 CHANGES   turn: 8; then states of keys:
 *	               1, stamp 8, end 8 (ms since the epoch; all ones: none), key length 4, key, image length 4, image
 *	               2, stamp 8, key length 4, key                  gone
 *	66 ACK       stream 8, turn 8: all up to it is applied
 *	67 SUMMARY   view digest 8; for each 256 slots a number of 8 made of the digests of those that both own
 *	68 DIGESTS   view digest 8; slot 2, count 4, digest 8 for each slot in those that differ; none: all is the same
 *	69 ASK       1: because they differ, 0: nobody holds them; slots: the receiver is to offer what it has of these
 *	70 OFFER     number 4; flags 1 (1: gone), stamp 8, key length 4, key; for each key
 *	71 WANT      number 4 of an offer; index 2 of each key in it that is to be sent
 *	72 END       number 4, view digest 8, slots: all that the sender has of these was offered, and sent where wanted
 *	73 ENDED     that number, view digest 8 (0: something could not be applied), slots: it is applied
 *	74 CLAIM     view digest 8, slots: those the sender holds and the receiver is to have
 *	75 HANDOVER  epoch 8, slots: the receiver holds these now
 *	76 BYE       the sender is about to leave, and gives away what it has
 *
 * With a write quorum (cache_copies_term.c) there is no SUMMARY, DIGESTS, CLAIM, HANDOVER and BYE, but:
 *	64 HELLO     version 1: 2; stream: 8, term 8, write quorum 1
 *	77 CHECK     number 4, odd: the receiver is to offer what differs; slot 2, count 4, digest 8 for each slot
 *	78 CHECKED   that number, slots: those that differ
 *	79 ACTIVE    term 8, slots: W owners were known to have all of them in that term
 *	80 READY     term 8, 1: all owners have what the sender holds, but for slots that wait; 2: and none waits
 *
 *	slots: first 2, last 2 of each run, ascending, none next to another
 *
 * Cost: 8 bytes an item; 24 bytes a slot; a tombstone about 80 bytes and its key; 2 KiB four times a node; a summary of 520 bytes to
 * each other node in COMPARE.
 */
#ifndef CACHE_COPIES_H
#define CACHE_COPIES_H

#include "../engine/cache.h"
#include "cache_view.h"

#define CACHE_COPIES_QUORUM_MAX SD_SLOTS_COPIES

struct cache_copies_conf {
	unsigned quorum;	    /* nodes that have a write before it is answered, this one included: 1 to CACHE_COPIES_QUORUM_MAX */
	int64_t write_timeout_ms;   /* how long that may take */
	int64_t tombstone_keep_ms;
	size_t tombstones;	    /* kept at most */
	int64_t compare_ms;	    /* between two comparisons with one other node */
	bool joins;		    /* it was told of others: it holds nothing before it saw one, or for a while nobody */
	/* for tests of what that would mean */
	bool never_compare, no_tombstones, ack_first, handover_first;
	bool reads_at_once, any_term, sync_alone;
};
struct cache_copies_conf cache_copies_conf_default(void);

struct cache_copies_stats {
	uint64_t sent, received; /* states of keys */
	uint64_t applied, older; /* of those received: taken, or not newer than what was there */
	uint64_t bad;		 /* messages that are none */
	uint64_t too_large;	 /* values beyond what a message takes: they have no copies */
	uint64_t no_replicas;	 /* writes that were answered with NOREPLICAS */
	uint64_t compared, differed; /* comparisons, and slots that were not the same */
	uint64_t dropped;	 /* keys that others have now */
	uint64_t tombstones;	 /* as many as there are */
};

struct cache_copies;

/* Follows the cache, which has no keys yet. peers stay valid until the end. NULL: out of memory. */
struct cache_copies *cache_copies_new(struct cache *c, const struct cache_copies_conf *conf, const struct cache_peers *peers,
				      const struct sd_swim_id *self, uint64_t seed);
/* Before cache_end, and when no session is left that waits. */
void cache_copies_free(struct cache_copies *cc);
/* What the cluster calls. */
const struct cache_data *cache_copies_data(struct cache_copies *cc);
/* Before replies of this turn are sent: what changed is on its way first. */
void cache_copies_turn(struct cache_copies *cc);

const struct cache_copies_stats *cache_copies_stats(const struct cache_copies *cc);
/* For tests and INFO: does it hold the slot; how many keys and tombstones of it there are, and their digest. */
bool cache_copies_holds(const struct cache_copies *cc, unsigned slot);
uint32_t cache_copies_count(const struct cache_copies *cc, unsigned slot);
uint64_t cache_copies_digest(const struct cache_copies *cc, unsigned slot);
/* With a write quorum: have all members what they are to have, by the view in force? */
enum cache_readiness cache_copies_readiness(const struct cache_copies *cc);
/* A node will not come back with what it had: it is not waited for. */
void cache_copies_forget(struct cache_copies *cc, const struct sd_swim_id *id);
/* Slots that have waited for long for nodes that are gone. */
unsigned cache_copies_stuck(const struct cache_copies *cc);
/* Nothing is being moved, offered or waited for. */
bool cache_copies_quiet(const struct cache_copies *cc);

#endif
