/* ring_int.h - what the files of the ring share.
 *
 *	ring.c         building, and what a ring says of itself
 *	ring_find.c    looking keys up
 *	ring_places.c  the hashes: where a node's points and a key stand, for each kind
 */
#ifndef SD_CORE_RING_INT_H
#define SD_CORE_RING_INT_H

#include "sdlab/ring.h"

/* How a kind looks a key up. */
enum sd_ring_style {
	SD_RING_BY_POINTS, /* the first point at or behind the hash */
	SD_RING_BY_SLOTS,  /* the circle is cut into equal slots, each with its node */
	SD_RING_BY_JUMP,
	SD_RING_BY_SCORE,
};

/* Points are sorted by place; `first` says for each of the 2^bits equal parts of the circle which point is the first at or
 * behind its start, so that a search looks at the one or two points of a part instead of all. Slots have neither places
 * nor parts. */
struct sd_ring {
	uint32_t refs; /* atomic */
	struct sd_ring_conf conf;
	enum sd_ring_style style;
	struct sd_ring_node *nodes;
	size_t n, owners; /* owners: nodes that own something */
	char *names;
	uint64_t *ident;  /* a hash of each name */
	uint32_t *counts; /* points or slots of each node; where there are none: 1 of each that has weight */
	uint32_t *zone;   /* the number of each node's zone */
	bool zones;       /* somebody said where a node stands */
	bool even;        /* all that have weight have the same */
	uint64_t *at;     /* places, npoints of them */
	uint32_t *node;   /* whose they are */
	uint32_t *first;
	size_t npoints;
	unsigned shift; /* place >> shift: its part */
};

/* What a kind is: one row each. */
struct sd_ring_places;
struct sd_ring_way {
	enum sd_ring_style style;
	bool free;     /* the hash is the caller's choice; else the kind has its own */
	bool named;    /* places are made from names, ids are not enough */
	unsigned bits; /* of a place, in the upper bits of 64 */
	/* Points of a node, of all that have weight: their number and sum. NULL: it has none. */
	uint64_t (*count)(const struct sd_ring_conf *conf, uint32_t weight, uint64_t weights, size_t live);
	/* The next point of a node. */
	uint64_t (*next)(struct sd_ring_places *p);
	uint64_t (*key)(const struct sd_ring_conf *conf, const void *key, size_t n);
};

/* By conf->kind and conf->hash, both known. */
const struct sd_ring_way *sd_ring_way(const struct sd_ring_conf *conf);

/* The points of one node, one after the other. */
struct sd_ring_places {
	const struct sd_ring_conf *conf;
	const struct sd_ring_way *way;
	struct sd_slice name; /* as the kind spells it */
	uint64_t ident;
	uint32_t k; /* how many were told */
	uint32_t state, last;
	unsigned char digest[16];
};
void sd_ring_places_begin(struct sd_ring_places *p, const struct sd_ring_conf *conf, const struct sd_ring_node *node);
static inline uint64_t sd_ring_places_next(struct sd_ring_places *p)
{
	return p->way->next(p);
}

/* The name as the kind spells it, and a hash of it (or of the id) under the seed. */
struct sd_slice sd_ring_spelt(const struct sd_ring_conf *conf, struct sd_slice name);
uint64_t sd_ring_ident(const struct sd_ring_conf *conf, const struct sd_ring_node *node);

/* The part of the circle that ends with this slot: the largest hash in it. */
uint64_t sd_ring_slot_end(uint64_t slot, uint64_t slots);
/* Fills r->node, npoints slots of it (Maglev). SD_ENOMEM. */
enum sd_err sd_ring_fill_slots(struct sd_ring *r);

#endif
