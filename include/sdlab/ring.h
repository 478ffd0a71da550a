/* ring.h - consistent hashing: which node a key belongs to, so that a change of nodes moves only what it must.
 *
 * A ring is built whole from a list of nodes and never changes; to change the nodes is to build another one. It opens no
 * socket, reads no clock, and may be shared by threads. Who holds it counts as a reference.
 *
 * Places come from a node's name (or its id, when it has none), never from its place in the list, so rings built in other
 * processes, from lists in another order, agree. (Not so with SD_RING_JUMP, and with the kinds of others where two points
 * fall on one place.) What the kinds promise, for a node of weight w of all weights W:
 *
 *	kind          share            a node goes      a node comes      its weight changes        a lookup
 *	VNODES        about w/W        w/W move         w/(W+w) move      only the difference       O(log points)
 *	RENDEZVOUS    w/W              w/W              w/(W+w)           only the difference       O(nodes)
 *	MAGLEV        w/W, in slots    a little more    a little more     a little more             O(1)
 *	JUMP          1/N              1/N at weight 0  1/(N+1), at end   (weights are 0 or 1)      O(log nodes)
 *	LIBKETAMA     about w/W        more             more              other nodes move as well  O(log points)
 *	TWEMPROXY     the same
 *	NGINX         about w/W        w/W              w/(W+w)           only the difference       O(log points)
 *	TEXTBOOK      about w/W        w/W              w/(W+w)           only the difference       O(log points)
 *
 *   - with points: a node of weight w stands at w * vnodes points; the owner of a key is the node of the first point at or
 *     behind it. The share of a node with p of P points has the mean p/P and the deviation sqrt(p (P - p) / (P^2 (P + 1))),
 *     about 1/sqrt(p) of the mean: 160 points give 8 %
 *   - the kinds of others agree bit for bit with their model; hash, seed and vnodes of the conf mean nothing to them.
 *     LIBKETAMA is the library of that name; TWEMPROXY the weighted ketama of twemproxy (distribution ketama, hash md5),
 *     libmemcached and pylibmc; NGINX what `hash KEY consistent` does; TEXTBOOK the few lines of Python of many tutorials:
 *     100 points md5("NAME:0") to md5("NAME:99") as numbers
 *   - a JUMP goes by the place in the list. A node of weight 0 keeps its place, and what it had is spread over all others;
 *     a node that is taken out of the middle moves those behind it
 *
 * The hash of the kinds that are ours is a choice:
 *
 *	SD_RING_XXH3     under a seed of 64 bits. Who does not know it finds it hard to choose keys that fall on one node; it
 *	                 is not a promise of cryptography
 *	SD_RING_SIPHASH  SipHash-2-4 under a key of 128 bits: who does not know it cannot, however many keys they try. For keys
 *	                 that strangers choose
 *	SD_RING_MD5      no seed; anybody can check it: the place of a key is the first 8 digits of its md5sum (of 16 in kinds
 *	                 without points), the points of a node are md5sum of NAME-1, NAME-2, ... A circle of 2^32
 *
 * Cost: 12 bytes a point, O(points log points) to build; 4 bytes a slot.
 */
#ifndef SDLAB_RING_H
#define SDLAB_RING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "slice.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SD_RING_MAX_NODES  4096
#define SD_RING_MAX_POINTS (1u << 22)
#define SD_RING_MAX_NAME   255 /* bytes, of the kinds that hash it by MD5 */
#define SD_RING_VNODES_DEFAULT 160
#define SD_RING_SLOTS_DEFAULT  65537  /* up to 655 nodes; beyond that */
#define SD_RING_SLOTS_MANY     655373

/* How keys find nodes. All kinds answer the same calls. */
enum sd_ring_kind {
	SD_RING_VNODES,
	SD_RING_JUMP,
	SD_RING_RENDEZVOUS,
	SD_RING_MAGLEV,
	SD_RING_LIBKETAMA,
	SD_RING_TWEMPROXY,
	SD_RING_NGINX,
	SD_RING_TEXTBOOK,
};

enum sd_ring_hash_by {
	SD_RING_XXH3,
	SD_RING_SIPHASH,
	SD_RING_MD5,
};

struct sd_ring_conf {
	enum sd_ring_kind kind;
	uint32_t vnodes; /* points for each unit of weight; 0: SD_RING_VNODES_DEFAULT */
	uint64_t seed;   /* 0 with MD5 */
	enum sd_ring_hash_by hash;
	uint64_t seed_high; /* SIPHASH: the other half of its key */
	uint32_t slots;     /* MAGLEV: a prime, of 100 slots a node or more; 0: SD_RING_SLOTS_DEFAULT or _MANY */
};

struct sd_ring_node {
	uint64_t id;          /* the caller's number for it */
	struct sd_slice name; /* what its places are made from; empty: id. Copied */
	uint32_t weight;      /* 0: owns nothing, but keeps its index */
	struct sd_slice zone; /* what fails together: a rack, a site. Empty: stands alone. Copied */
};

struct sd_ring;

/* Nodes are known by their index in the list. SD_EINVAL: two have the same name (or the same id and none), one has no name
 * where a kind or MD5 needs it, a weight above 1 with JUMP, slots that are no prime, a seed with MD5, an unknown kind or hash;
 * SD_ERANGE: too many nodes or points, too long a name; SD_ENOMEM. n may be 0. The caller holds one reference to *out. */
enum sd_err sd_ring_build(const struct sd_ring_conf *conf, const struct sd_ring_node *nodes, size_t n,
			  struct sd_ring **out);
/* One more reference; returns r. From any thread. */
struct sd_ring *sd_ring_hold(struct sd_ring *r);
/* One less; the last frees it. NULL is fine. */
void sd_ring_release(struct sd_ring *r);

size_t sd_ring_count(const struct sd_ring *r); /* nodes, those of weight 0 too */
const struct sd_ring_node *sd_ring_node(const struct sd_ring *r, size_t index);
size_t sd_ring_points(const struct sd_ring *r); /* or slots; 0 of kinds that have neither */
size_t sd_ring_points_of(const struct sd_ring *r, size_t index);
/* How many bits of a place mean something, the upper ones: 32 or 64. */
unsigned sd_ring_bits(const struct sd_ring *r);
/* The i-th point on the circle, of sd_ring_points. A slot counts as a point at its end. */
struct sd_ring_point {
	uint64_t place;
	size_t node;
	uint32_t number; /* which of the node's points it is, from 1; or the slot's */
};
struct sd_ring_point sd_ring_point(const struct sd_ring *r, size_t i); /* O(points of the node) */
uint64_t sd_ring_place(const struct sd_ring *r, size_t i);             /* its place alone, O(1) */
/* Would this list give the same ring, index by index? Then there is no need to build it. */
bool sd_ring_is(const struct sd_ring *r, const struct sd_ring_conf *conf, const struct sd_ring_node *nodes, size_t n);
/* The part of all hashes that a node owns, from 0 to 1. */
double sd_ring_share(const struct sd_ring *r, size_t index);

/* The place of a key. */
uint64_t sd_ring_hash(const struct sd_ring *r, const void *key, size_t n);

/* The index of the owner; -1 when no node has weight. */
int sd_ring_lookup(const struct sd_ring *r, uint64_t hash);
/* The owner and those that follow, all different, into out; their number, which is less than `want` when there are not so
 * many. Where nodes have zones, each is the first whose zone has the fewest so far: all zones before one twice. When a node
 * goes, the others keep their order (but with MAGLEV, and where zones decide). */
size_t sd_ring_lookup_n(const struct sd_ring *r, uint64_t hash, int *out, size_t want);

/* The owner and those that follow one by one, whatever their zones, for callers that pass nodes over. No allocation. */
struct sd_ring_walk {
	const struct sd_ring *ring;
	uint64_t hash;
	size_t at, named; /* the next point, or try; how many nodes were named */
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

#ifdef __cplusplus
}
#endif

#endif
