/* hlc.h - a hybrid logical clock: stamps that follow the clock of the wall and never go back, and that are higher than every
 * stamp seen before them, whoever made it (Kulkarni, Demirbas, Madappa, Avva, Leone: Logical Physical Clocks, 2014). Pure.
 *
 *	63              21 20       10 9     0
 *	| milliseconds    | counter   | node |     since the epoch, until the year 2248
 *
 * The bits of the node make stamps of two nodes different that were made in one millisecond without hearing of each other; two
 * nodes have the same ones by a chance of 1 in 1024. A node that makes more than 2048 in a millisecond borrows from the next.
 */
#ifndef SD_CORE_HLC_H
#define SD_CORE_HLC_H

#include <stdint.h>

#define SD_HLC_NODE_BITS 10
#define SD_HLC_WALL_BITS 21 /* below the milliseconds */

struct sd_hlc {
	uint64_t last; /* the highest made or seen, without the bits of its node */
	uint64_t node; /* its bits */
};

void sd_hlc_init(struct sd_hlc *c, const void *id, unsigned n);
uint64_t sd_hlc_next(struct sd_hlc *c, int64_t wall_ms);
/* A stamp from elsewhere: the next one is higher. */
void sd_hlc_seen(struct sd_hlc *c, uint64_t stamp);
static inline int64_t sd_hlc_ms(uint64_t stamp)
{
	return (int64_t)(stamp >> SD_HLC_WALL_BITS);
}

#endif
