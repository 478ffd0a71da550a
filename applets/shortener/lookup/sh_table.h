/* sh_table.h - the links that one worker has at hand, bounded by bytes, the best of them kept by S3-FIFO. Pure: time and chance
 * are handed in.
 *
 * An entry is one allocation of 38 bytes, the code, and the URL; 16 more when the link has times. With what the allocator, the
 * buckets and the queues take a link of 7 and 40 bytes costs about 120.
 *
 * Codes that are none are on a shelf of their own, of a sixteenth of the room: whoever tries all codes pushes out what
 * others tried, and no link.
 *
 *	put --> FRESH --life over, flushed, or deaf too long--> OLD --stale_ns more--> NONE
 *	          +---------------- dropped, or pushed out ----------------------------^
 */
#ifndef SH_TABLE_H
#define SH_TABLE_H

#include "core/dict.h"
#include "core/s3fifo.h"
#include "sh_record.h"

enum sh_kept { SH_KEPT_NONE, SH_KEPT_OLD, SH_KEPT_FRESH };

struct sh_shelf {
	struct sd_dict entries; /* struct entry in sh_table.c */
	struct sd_s3fifo queues;
	size_t used, max; /* bytes; of entries and buckets */
};

struct sh_table {
	struct sh_shelf shelves[2]; /* links, and codes that are none */
	struct sd_siphash_key key;
	struct sd_rng rng; /* for lives */
	int64_t base_ns;   /* times count from here */
	int64_t stale_ns, deaf_ns;
	bool deaf;
	uint16_t generation; /* what is of another one was flushed */
	uint64_t evicted;
};

/* It stays where it is. key: nobody who chooses codes may know it. deaf_ns: the age of what is fresh while it is deaf. */
void sh_table_init(struct sh_table *t, size_t max_bytes, struct sd_siphash_key key, int64_t now_ns, int64_t stale_ns, int64_t deaf_ns);
/* Empties it; it may be used on. */
void sh_table_free(struct sh_table *t);

/* rec: its url points into the table, until the next change of it. */
enum sh_kept sh_table_find(struct sh_table *t, struct sd_slice code, int64_t now_ns, struct sh_record *rec);
/* Fresh for at most life_ns, and up to a tenth less, so that what came together does not end together. came_ns: when it was true.
 * Without memory it is not kept, and what was there is dropped. */
void sh_table_put(struct sh_table *t, struct sd_slice code, const struct sh_record *rec, int64_t came_ns, int64_t life_ns);
void sh_table_drop(struct sh_table *t, struct sd_slice code);
/* All that is there is old from now on. */
void sh_table_flush(struct sh_table *t);
/* While deaf, changes elsewhere are not heard of. */
static inline void sh_table_deaf(struct sh_table *t, bool deaf)
{
	t->deaf = deaf;
}

static inline size_t sh_table_count(const struct sh_table *t, bool none)
{
	return sd_dict_count(&t->shelves[none].entries);
}
size_t sh_table_bytes(const struct sh_table *t);

#endif
