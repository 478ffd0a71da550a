/* ghost.h - remembers which hashes were put in lately: the ghost queue of S3-FIFO and its kin. Pure.
 *
 * What is remembered of a hash is ten bits of it at a place that the others choose, and when it came, to a sixteenth of how
 * far back the memory reaches. So it costs about 2.5 bytes for each hash, and in about one of 150 questions says yes to what it never saw:
 * for what is only a hint this is good enough. No chain, no queue: what is too old is written over.
 */
#ifndef SD_CORE_GHOST_H
#define SD_CORE_GHOST_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct sd_ghost_table {
	uint16_t *slots;
	uint32_t buckets;
};

struct sd_ghost {
	struct sd_ghost_table now, was; /* was: of another size, asked until what it holds is too old */
	uint64_t was_left;              /* insertions until then */
	uint32_t in_epoch;
	uint8_t epoch;
};

void sd_ghost_init(struct sd_ghost *g);
void sd_ghost_free(struct sd_ghost *g);
size_t sd_ghost_memory(const struct sd_ghost *g);
/* reach: how many of the last insertions are remembered; it may change. Without memory for a table nothing is. */
void sd_ghost_insert(struct sd_ghost *g, uint32_t hash, size_t reach);
/* True: it was there, and is forgotten now. */
bool sd_ghost_take(struct sd_ghost *g, uint32_t hash);

#endif
