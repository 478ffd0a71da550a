/* s3fifo.h - which item of a cache goes next: S3-FIFO (Yang, Zhang, Qiu, Yue, Rashmi: "FIFO queues are all you need for cache
 * eviction", SOSP 2023). Pure, and made for items that have no room for links.
 *
 *	new --> [ small, a tenth ] -- read twice or more --> [ main ] --+ read: once more, with one less
 *	             |                                          ^  ^    |
 *	          evicted, hash remembered --> ghost -- came back |  +--+
 *
 * The queues hold a hash of the key and a size class, 5 bytes an item, in chunks. The item itself keeps whether it is in main, and a frequency from 0 to 3.
 * Whoever takes an entry out finds its item by the hash, and says how often it was read. The ghost takes about
 * 2.5 bytes an item more.
 *
 * The small queue is a tenth by bytes, not by items: were it by items, a run of large values, few as they are, would empty main before
 * a tenth of the items were of the run. The size is what the item had when it was queued: one that grows is counted so when it is queued again.
 *
 * An item that goes by itself (deleted, expired) leaves its entry behind; its hash is noted, so that the entry is passed over
 * and a later item of the same key keeps its own place. Once these are an eighth of all they are swept out, a chunk at a time.
 */
#ifndef SD_CORE_S3FIFO_H
#define SD_CORE_S3FIFO_H

#include "core/ghost.h"

#define SD_S3FIFO_FREQ_MAX 3
#define SD_S3FIFO_TURNS    256 /* of main in a row that give nothing up; the next one goes, read or not, so that nobody waits */

struct sd_s3fifo_chunk;

struct sd_s3fifo_queue {
	struct sd_s3fifo_chunk *head, *tail; /* head is the next to go */
	size_t n, chunks;
	uint64_t bytes;
};

/* Hashes whose item is gone while an entry remains, with how many of these: open addressing. */
struct sd_s3fifo_gone {
	struct sd_s3fifo_gone_slot *slots;
	size_t used, n; /* slots, entries */
	uint8_t bits;
};

struct sd_s3fifo {
	struct sd_s3fifo_queue queues[2]; /* small, main */
	struct sd_s3fifo_gone gone[2];
	struct sd_ghost ghost;
	struct sd_s3fifo_chunk *swept; /* what is before it was looked at in this sweep; NULL: begin at the head */
	bool sweeping_main, swept_some;
	unsigned turns;
};

struct sd_s3fifo_entry {
	uint32_t hash;
	bool main; /* where it was */
};

void sd_s3fifo_init(struct sd_s3fifo *q);
void sd_s3fifo_free(struct sd_s3fifo *q);
size_t sd_s3fifo_memory(const struct sd_s3fifo *q);
/* Entries, also of what is gone. */
static inline size_t sd_s3fifo_count(const struct sd_s3fifo *q)
{
	return q->queues[0].n + q->queues[1].n;
}

/* A new item, of frequency 0. True: it is in main, since it was there not long ago. Without memory it is not queued. */
bool sd_s3fifo_insert(struct sd_s3fifo *q, uint32_t hash, size_t bytes);
/* The item went by itself; main: where it was. */
void sd_s3fifo_remove(struct sd_s3fifo *q, uint32_t hash, bool main);
/* The frequency after a read. */
static inline unsigned sd_s3fifo_read(unsigned freq)
{
	return freq < SD_S3FIFO_FREQ_MAX ? freq + 1 : freq;
}

/* Takes out the next one to be judged; false: there is none. */
bool sd_s3fifo_next(struct sd_s3fifo *q, struct sd_s3fifo_entry *e);
/* Judges the item of that entry. True: it stays, in main from now on, with this frequency. False: it is to go, without
 * sd_s3fifo_remove. When there is no such item, nothing is to be said. */
bool sd_s3fifo_keep(struct sd_s3fifo *q, const struct sd_s3fifo_entry *e, unsigned *freq, size_t bytes);

#endif
