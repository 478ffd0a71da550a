/* cache_view.h - what the parts of a cluster of caches know of each other: the seam between membership (who is there), routing
 * (who answers) and the data side (who has which values, and how they get there). Nothing here does I/O.
 *
 *	cache_cluster.c   members (core/swim), views, links between nodes, CLUSTER and routing
 *	the data side     struct cache_data below: copies of values, moving of slots; NULL hooks: there is none, and an owner
 *	                  answers for its slots at once, with what it has
 *
 *	swim: a member comes, goes, is another ---> a new view: members, slot -> owners
 *	                                               | view_changed(was, is)
 *	                                               v
 *	data side --- send(node, kind, bytes) ---> link to that node's bus ---> message(from, kind, bytes) at the other side
 *
 * A view is made anew from the members that are alive or suspected, and from nothing else: nodes with the same digest have the
 * same map of slots. Nodes learn of a change at slightly different times, so that for a while two may hold themselves for the
 * owner of a slot, or none; what that means for values is for the data side to settle (serving, below).
 *
 * A command goes to the first owner of the slot in the view of the node that got it. That one answers, unless `serving` says
 * otherwise; a command that was sent on once is not sent on by view again, but only where `serving` says so, and not more than
 * CACHE_HOPS times.
 *
 * Everything of one node happens on one thread at a time, and in a test a whole cluster of nodes happens on one: they share nothing.
 */
#ifndef CACHE_VIEW_H
#define CACHE_VIEW_H

#include "core/slots.h"
#include "core/swim.h"
#include "sdlab/slice.h"

#define CACHE_HOPS 4
#define CACHE_VIEW_BOUND 1.05 /* of the fair part of slots; see slots.h */

struct cache_view_member {
	struct sd_swim_id id;
	struct sd_swim_end client, bus;
	uint16_t weight;
	uint64_t epoch; /* the highest the member knows of */
	bool retired;	/* it owns nothing any more, and is about to go: with agreed views */
};

struct cache_view {
	uint64_t number; /* of this node's views, from 1 */
	uint64_t digest; /* of all ids and weights */
	uint64_t epoch;  /* a number that is higher after a change than any member's before it */
	size_t n;
	struct cache_view_member *members; /* in the order of their ids: owners in slots are indexes of these */
	size_t self;                       /* this node's index; n once it left */
	struct sd_slots slots;             /* copies: the owner, and --replicas behind it */
};

/* The index of a member; -1: it is not in this view. */
int cache_view_find(const struct cache_view *v, const struct sd_swim_id *id);
/* The rank of a node among a slot's owners (0: it is the first); -1: it is none. self is the view's own. */
static inline int cache_view_rank(const struct cache_view *v, unsigned slot, size_t member)
{
	return sd_slots_rank(&v->slots, slot, (uint16_t)member);
}
/* The first owner of a slot; NULL: nobody. */
static inline const struct cache_view_member *cache_view_owner(const struct cache_view *v, unsigned slot)
{
	uint16_t i = sd_slots_owner(&v->slots, slot);
	return i == SD_SLOTS_NONE ? NULL : &v->members[i];
}

/* ---- what the data side is given ---- */

/* Kinds of messages below this are the cluster's own. */
#define CACHE_DATA_KIND 64
/* The reply to who was blocked here; who sent it on tries elsewhere. */
#define CACHE_SLOT_MOVED "UNBLOCKED force unblock from blocking operation, its slot moved to another node"
#define CACHE_MESSAGE_MAX (64u * 1024 * 1024)

struct cache_peers {
	void *arg;
	/* The view in force; good until view_changed returns for the one after it. */
	const struct cache_view *(*view)(void *arg);
	/* Puts a message on the way: messages to one node arrive in order and once, until its link breaks; then those on the way are
	 * lost, and link(peer, false) tells. A link is made when there is none. False: the node is not in the view, or is
	 * not reachable now. parts are copied. */
	bool (*send)(void *arg, const struct sd_swim_id *to, unsigned kind, const struct sd_slice *parts, size_t nparts);
	/* Bytes that wait for the network on the link to a node: who sends much stops above some, and goes on with drained. */
	size_t (*backlog)(void *arg, const struct sd_swim_id *to);
	/* tick() of the data side is called at this time (monotonic; one at a time, the last counts; INT64_MAX: not). */
	void (*wake)(void *arg, int64_t at_ns);
	int64_t (*now_ns)(void *arg);  /* monotonic */
	int64_t (*wall_ms)(void *arg); /* since the epoch */
	/* A line for people, and an event of this name: "Redistribution complete, ring: [7001, 7003]". */
	void (*say)(void *arg, const char *name, const char *text);
	/* With agreed views: this node is to be moved out of them. NULL: nobody does. */
	void (*leaving)(void *arg);
	/* Do all members leave, this one too? Then nobody is there to take what it has. NULL: somebody stays. */
	bool (*all_leave)(void *arg);
};

/* ---- what the data side gives ---- */

enum cache_serving {
	CACHE_SERVE,   /* this node answers */
	CACHE_ELSEWHERE, /* that one does: *other is its id */
	CACHE_TRY_AGAIN, /* nobody can just now: -TRYAGAIN, or a node that sent it on tries again for a while */
};

/* A command that came to this node. */
struct cache_asked {
	unsigned slot;
	bool write;
	bool sent_on;  /* by another node, which holds this one for the owner or was told so */
	bool any_copy; /* the client said READONLY, and reads: a copy may be a little older */
};

enum cache_readiness {
	CACHE_NOT_READY,
	CACHE_READY, /* but for slots that wait for nodes which are not there */
	CACHE_WHOLE,
};

/* Hooks; each may be NULL. */
struct cache_data {
	void *arg;
	/* was is NULL for the first; both are good during the call, `is` until the next. Called also when only ends or epochs changed
	 * (was->digest == is->digest). */
	void (*view_changed)(void *arg, const struct cache_view *was, const struct cache_view *is);
	enum cache_serving (*serving)(void *arg, const struct cache_asked *asked, struct sd_swim_id *other);
	void (*message)(void *arg, const struct sd_swim_id *from, unsigned kind, struct sd_slice body);
	/* The link that this node made to a peer stands, or broke. */
	void (*link)(void *arg, const struct sd_swim_id *peer, bool up);
	void (*drained)(void *arg, const struct sd_swim_id *peer); /* its backlog is small again */
	void (*tick)(void *arg);
	/* With agreed views: does every member have what it is to have, by the view in force? */
	enum cache_readiness (*readiness)(void *arg);
	/* How many slots wait for long for nodes that are not there. */
	unsigned (*waiting)(void *arg);
	/* How many slots this node answers for until another one takes them, or takes from another one. */
	unsigned (*moving)(void *arg);
	/* A node is gone for good: what only it had is not waited for. */
	void (*forget)(void *arg, const struct sd_swim_id *id);
	/* This node is about to leave (SIGTERM): done() may be called at once, or when what it has is with others. NULL: at once. */
	void (*leave)(void *arg, void (*done)(void *done_arg), void *done_arg);
};

#endif
