/* cache_agreed.h - views for a cluster with a write quorum: made of configurations that its nodes agree on (core/agree), not of what
 * each node's gossip says just now. All nodes have the same view for one epoch, and they come one after the other. Pure.
 *
 * Gossip says who is there; from that a node proposes the next configuration. A member has one of four roles:
 *
 *	JOINING   it gets copies of the slots it is to have, and answers for none
 *	FULL
 *	LEAVING   it answers for what it answered for, while others get copies of it
 *	RETIRED   it owns nothing, and stays until nobody needs what it has
 *
 *	no member --is there--> JOINING --all is whole--> FULL --says that it leaves--> LEAVING --whole--> RETIRED --whole--> no member
 *	any of them that is not there any more: no member
 *
 * Owners of a slot are those of the map of FULL and JOINING members; the first of them, which answers, is the first owner by the map of
 * FULL and LEAVING ones. So whoever answers for a slot changes, by choice, only to a node that has copies of it, and at one
 * epoch for all.
 */
#ifndef CACHE_AGREED_H
#define CACHE_AGREED_H

#include "cache_view.h"
#include "core/agree.h"

enum cache_role { CACHE_FULL, CACHE_JOINING, CACHE_LEAVING, CACHE_RETIRED };

/* A node that gossip holds for alive. */
struct cache_agreed_node {
	struct cache_view_member m;
	bool leaving;
};

struct cache_agreed_conf {
	unsigned copies, quorum;
	struct sd_slots_conf map; /* copies is set from above */
	bool unagreed;		  /* for tests: each node's own gossip decides, for it alone */
};

struct cache_agreed_host {
	void *arg;
	void (*send)(void *arg, const struct sd_swim_id *to, const void *p, size_t n);
	/* A new view, the callee's own (cache_view_free). */
	void (*view)(void *arg, struct cache_view *v);
};

struct cache_agreed;

/* Calls view at once, with this node alone under epoch 0: it is no member of anything yet. NULL: out of memory. */
struct cache_agreed *cache_agreed_new(const struct cache_agreed_conf *conf, const struct cache_view_member *self,
				      const struct cache_agreed_host *host, uint64_t seed);
void cache_agreed_free(struct cache_agreed *ag);
/* It begins the cluster. Who joins does not, and waits to be taken in. */
bool cache_agreed_found(struct cache_agreed *ag, uint64_t lineage);
/* Who is there, with this node. */
void cache_agreed_see(struct cache_agreed *ag, const struct cache_agreed_node *nodes, size_t n);
void cache_agreed_receive(struct cache_agreed *ag, const struct sd_swim_id *from, const void *p, size_t n, int64_t now_ns);
/* Have all members what they are to have, by the last view? When to call again. */
int64_t cache_agreed_tick(struct cache_agreed *ag, enum cache_readiness ready, int64_t now_ns);
/* It will not come back with what it had. */
void cache_agreed_forget(struct cache_agreed *ag, const struct sd_swim_id *id);
uint64_t cache_agreed_lineage(const struct cache_agreed *ag);

#endif
