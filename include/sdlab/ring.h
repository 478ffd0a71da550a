/* ring.h - consistent hashing: which node a key belongs to, so that a change of nodes moves only what it must.
 *
 * A ring is built whole from a list of nodes and never changes; to change the nodes is to build another one. It opens no
 * socket, reads no clock, and may be shared by threads. Who holds it counts as a reference.
 *
 * Positions come from a node's name (or its id, when it has none), never from its place in the list, so rings built in
 * other processes, from lists in another order, agree. With the kind SD_RING_VNODES:
 *
 *   - a node of weight w stands at w * vnodes points; the owner of a key is the node of the first point at or behind it
 *   - a node's points depend on nothing but its name, the seed and its own weight. So a node that goes gives away exactly
 *     what it had (w / W of the keys), one that comes takes w / (W + w) and nothing else moves, and of a node whose
 *     weight changes only the difference moves. (Rings that scale points to the sum of all weights do not keep this)
 *   - the share of a node with p of P points has the mean p/P and the deviation sqrt(p (P - p) / (P^2 (P + 1))), about
 *     1/sqrt(p) of the mean: 160 points give 8 %
 *
 * The hash is XXH3 (64 bit) under a seed. Who does not know the seed finds it hard to choose keys that fall on one node; it
 * is not a promise of cryptography.
 *
 * Cost: O(log points) for a lookup, 12 bytes a point, O(points log points) to build.
 */
#ifndef SDLAB_RING_H
#define SDLAB_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "slice.h"

#define SD_RING_MAX_NODES  4096
#define SD_RING_MAX_POINTS (1u << 22)
#define SD_RING_VNODES_DEFAULT 160

/* How keys find nodes. All kinds answer the same calls. */
enum sd_ring_kind {
	SD_RING_VNODES,
};

struct sd_ring_conf {
	enum sd_ring_kind kind;
	uint32_t vnodes; /* points for each unit of weight; 0: SD_RING_VNODES_DEFAULT */
	uint64_t seed;
};

struct sd_ring_node {
	uint64_t id;          /* the caller's number for it */
	struct sd_slice name; /* what its places are made from; empty: id. Copied */
	uint32_t weight;      /* 0: owns nothing, but keeps its index */
};

struct sd_ring;

/* Nodes are known by their index in the list. SD_EINVAL: two have the same name (or the same id and none), or an unknown
 * kind; SD_ERANGE: too many nodes or points; SD_ENOMEM. n may be 0. The caller holds one reference to *out. */
enum sd_err sd_ring_build(const struct sd_ring_conf *conf, const struct sd_ring_node *nodes, size_t n,
			  struct sd_ring **out);
/* One more reference; returns r. From any thread. */
struct sd_ring *sd_ring_hold(struct sd_ring *r);
/* One less; the last frees it. NULL is fine. */
void sd_ring_release(struct sd_ring *r);

size_t sd_ring_count(const struct sd_ring *r); /* nodes, those of weight 0 too */
const struct sd_ring_node *sd_ring_node(const struct sd_ring *r, size_t index);
size_t sd_ring_points(const struct sd_ring *r);
/* Would this list give the same ring, index by index? Then there is no need to build it. */
bool sd_ring_is(const struct sd_ring *r, const struct sd_ring_conf *conf, const struct sd_ring_node *nodes, size_t n);
/* The part of all hashes that a node owns, from 0 to 1. */
double sd_ring_share(const struct sd_ring *r, size_t index);

/* The place of a key. */
uint64_t sd_ring_hash(const struct sd_ring *r, const void *key, size_t n);

/* The index of the owner; -1 when no node has weight. */
int sd_ring_lookup(const struct sd_ring *r, uint64_t hash);
/* The owner and those that follow, all different, into out; their number, which is less than `want` when there are not so
 * many. When a node goes, the others keep their order. */
size_t sd_ring_lookup_n(const struct sd_ring *r, uint64_t hash, int *out, size_t want);

/* The same one by one, for callers that pass nodes over. No allocation. */
struct sd_ring_walk {
	const struct sd_ring *ring;
	uint64_t hash;
	size_t at, named; /* the next point; how many nodes were named */
	uint64_t seen[SD_RING_MAX_NODES / 64];
};
void sd_ring_walk_begin(struct sd_ring_walk *w, const struct sd_ring *r, uint64_t hash);
int sd_ring_walk_next(struct sd_ring_walk *w); /* -1: all were named */

/* Bounded load (Mirrokni, Thorup, Zadimoghaddam: Consistent Hashing with Bounded Loads, 2018): no node takes one more when
 * it has sd_ring_cap already; the next on the ring takes it. */
struct sd_ring_bound {
	double factor; /* above 1: 1.25 lets a node have a quarter more than its fair part */
	/* What a node has now, or SD_RING_OUT: it takes nothing, and counts for nothing. */
	uint32_t (*load)(void *arg, size_t index);
	void *arg;
};
#define SD_RING_OUT UINT32_MAX

/* The most that a node of this weight may have when `total` are with nodes whose weights sum up to `weights`, and one
 * more comes: ceil(factor * (total + 1) * weight / weights). */
uint64_t sd_ring_cap(double factor, uint64_t total, uint64_t weight, uint64_t weights);
/* The first node at or behind the hash that has room; -1 when none takes anything. Asks every node for its load. */
int sd_ring_lookup_bounded(const struct sd_ring *r, uint64_t hash, const struct sd_ring_bound *bound);

#endif
