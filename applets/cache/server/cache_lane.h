/* cache_lane.h - the loops of a cache (--threads of them), and how they share its one engine.
 *
 *	loop 0     loop 1   ...       a lane each: its connections, which live and die there; it reads, understands and writes
 *	   |          |               for them, all lanes at the same time
 *	   +-- enter / leave --+      the engine is one lane's at a time: for the requests that were understood, a batch at once
 *	               |
 *	            struct cache      commands see each other whole, in one order, as on one thread
 *
 * Who owns what:
 *
 *	the lane's loop      streams, readers, struct client but for its session; buffers of replies that were taken out of a session
 *	whoever is inside    struct cache and all below it; every cache_session (its flags and its replies too), also those of other
 *	                     lanes; lists of who is woken; struct cache_disk and struct cache_cluster
 *	lane 0               timers of the engine, snapshots, the cluster's links and gossip: their callbacks enter like all others
 *
 * What one lane has for a connection of another (a message, the end of a wait, CLIENT KILL) is put into the session while it is
 * inside; the session is in cache->woken then, and leaving hands it to its lane, which is told to look. Nothing is written to
 * a socket inside. With one lane there is no lock, and entering costs nothing. */
#ifndef CACHE_LANE_H
#define CACHE_LANE_H

#include "../engine/cache.h"
#include "world/lock.h"
#include "world/loop.h"

#define CACHE_LANES 64 /* at most, as --threads has it */

struct cache_lanes;

struct cache_lane {
	struct cache_lanes *of;
	struct sd_loop *loop;
	unsigned index; /* session->lane */
	bool inside;    /* of the loop */
	/* of whoever is inside */
	struct sd_link woken; /* sessions that got something without having asked now */
	bool told, over;      /* it was told to look and did not yet; it does not run any more */
	struct sd_task here, there; /* lets it look: deferred by itself, posted by others */
	struct cache_lane *tells;   /* on leaving: the first, */
	struct cache_lane *next;    /* and who is told after it */
};

struct cache_lanes {
	struct cache *cache;
	struct sd_lock *lock; /* NULL: there is one lane */
	struct cache_lane *at; /* who is inside */
	unsigned n;
	struct cache_lane *lanes[CACHE_LANES];
	void (*look)(struct cache_lane *l); /* on its loop, outside: there is something in woken, or the clock has to be set */
};

/* False: out of memory. */
bool cache_lanes_init(struct cache_lanes *all, unsigned n, struct cache *c, void (*look)(struct cache_lane *l));
void cache_lanes_free(struct cache_lanes *all);
/* All begin before one of the loops runs. */
void cache_lane_begin(struct cache_lanes *all, unsigned index, struct cache_lane *l, struct sd_loop *loop);
/* Inside: its loop is not told any more. */
void cache_lane_end(struct cache_lane *l);

void cache_lane_hand_out(struct cache_lane *l); /* leaves as well */
/* Are there others that may want in? */
static inline bool cache_lane_is_shared(const struct cache_lane *l)
{
	return l->of->lock;
}
static inline void cache_lane_enter(struct cache_lane *l)
{
	if (cache_lane_is_shared(l))
		sd_lock_enter(l->of->lock);
	l->of->at = l;
	l->inside = true;
}
/* Inside: that one is told when this one leaves. */
void cache_lane_tell(struct cache_lane *l, struct cache_lane *to);
/* Hands out what is in cache->woken, and tells those who have to look. */
static inline void cache_lane_leave(struct cache_lane *l)
{
	if (cache_lane_is_shared(l) || l->tells || !sd_list_empty(&l->of->cache->woken))
		cache_lane_hand_out(l);
	else
		l->inside = false;
}

#endif
