/* slots.h - the 16384 slots of Redis Cluster, and which node has each. Pure.
 *
 * A key's slot is CRC16 (XMODEM: polynomial 0x1021, begins at 0, nothing reflected) of what is between its first { and the
 * next }, or of all of it when there is nothing there, modulo 16384: keys with the same {tag} are together.
 *
 * A slot's owners come from consistent hashing (sdlab/ring.h): slot s has the place (s + 1/2) / 16384 of the circle; the
 * node of the first point at or behind it has it, and the next that are different have its copies. So neighbours are mostly
 * together, and a map is a few hundred ranges. Whoever has the same nodes has the same map, in whatever order they are.
 *
 * No node has more than `bound` times its fair part of the slots: what is beyond goes to the next on the ring that has room, and
 * the one passed over comes next. Without a bound a node that comes takes slots and no other moves, one that goes gives its own
 * away and no other moves; with one, a few more move.
 */
#ifndef SD_CORE_SLOTS_H
#define SD_CORE_SLOTS_H

#include <stdint.h>

#include "sdlab/err.h"
#include "sdlab/slice.h"

#define SD_SLOTS        16384
#define SD_SLOTS_COPIES 8 /* owners of a slot, the first included, at most */
#define SD_SLOTS_NONE   UINT16_MAX

uint16_t sd_crc16(const void *p, size_t n);
unsigned sd_slot_of(struct sd_slice key);

struct sd_slots_node {
	struct sd_slice name; /* its places come from it; all different */
	uint16_t weight;      /* 0: it has no slots */
};

struct sd_slots_conf {
	unsigned copies; /* owners of each slot: 1 to SD_SLOTS_COPIES */
	unsigned vnodes; /* 0: 160 */
	double bound;    /* 0: none; else above 1 */
};

/* Owners are indexes of nodes, SD_SLOTS_NONE where there are not so many. */
struct sd_slots {
	unsigned copies;
	uint16_t *owners; /* of slot s: owners[s * copies], and those of its copies behind */
};

/* *out is freed with sd_slots_free. SD_EINVAL: two of one name; SD_ERANGE; SD_ENOMEM. */
enum sd_err sd_slots_make(const struct sd_slots_conf *conf, const struct sd_slots_node *nodes, size_t n, struct sd_slots *out);
void sd_slots_free(struct sd_slots *m);

static inline uint16_t sd_slots_owner(const struct sd_slots *m, unsigned slot)
{
	return m->owners ? m->owners[slot * m->copies] : SD_SLOTS_NONE;
}
static inline const uint16_t *sd_slots_owners(const struct sd_slots *m, unsigned slot)
{
	return m->owners + slot * m->copies;
}
/* Is the node among the owners of the slot? Its rank, 0 for the first; -1: no. */
int sd_slots_rank(const struct sd_slots *m, unsigned slot, uint16_t node);

/* The slots from `from` on that have all owners in common; the slot behind the last, with *owners set. */
unsigned sd_slots_range(const struct sd_slots *m, unsigned from, const uint16_t **owners);
/* The same by the first owner alone. */
unsigned sd_slots_range_of_owner(const struct sd_slots *m, unsigned from, uint16_t *owner);
size_t sd_slots_count(const struct sd_slots *m, uint16_t node); /* those it is first of */

#endif
