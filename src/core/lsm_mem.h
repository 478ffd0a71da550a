/* lsm_mem.h - a memtable: the newest writes, in order, in memory.
 *
 * One thread at a time adds; any number read at the same time and wait for nothing. What a reader must see was added before it
 * learned the sequence number up to which it reads. Bytes that were added stay where they are until the last reference goes.
 */
#ifndef SD_CORE_LSM_MEM_H
#define SD_CORE_LSM_MEM_H

#include "lsm_iter.h"
#include "lsm_ranges.h"

struct sd_lsm_mem;

/* With one reference. room: so many bytes it will hold, about; like: one whose keys looked alike, or NULL. NULL: out of memory. */
struct sd_lsm_mem *sd_lsm_mem_new(size_t room, const struct sd_lsm_mem *like);
struct sd_lsm_mem *sd_lsm_mem_ref(struct sd_lsm_mem *m);
void sd_lsm_mem_unref(struct sd_lsm_mem *m); /* NULL is fine */

/* Sequence numbers of a key go upwards; each once. Of SD_LSM_RANGE_GONE the key is from, the value to. False: out of memory; it is as before. */
bool sd_lsm_mem_add(struct sd_lsm_mem *m, uint64_t seq, enum sd_lsm_kind kind, struct sd_slice key, struct sd_slice value);

/* Something will be asked or added of this key soon: what that needs first is fetched meanwhile. */
void sd_lsm_mem_expect(const struct sd_lsm_mem *m, struct sd_slice user);

struct sd_lsm_found {
	enum sd_lsm_kind kind; /* SD_LSM_RANGE_GONE: a range that was removed has the key, and nothing newer was written */
	uint64_t seq;
	struct sd_slice value; /* as it was added; lives as long as the memtable */
};
/* The newest of a user key up to seq. False: it says nothing about it. */
bool sd_lsm_mem_get(const struct sd_lsm_mem *m, struct sd_slice user, uint64_t seq, struct sd_lsm_found *out);

/* The ranges that were removed so far, with a reference for the caller (NULL: none). False: out of memory. */
bool sd_lsm_mem_ranges(const struct sd_lsm_mem *m, struct sd_lsm_ranges **out);
/* As sd_lsm_ranges_hides. */
uint64_t sd_lsm_mem_hides(const struct sd_lsm_mem *m, struct sd_slice user, uint64_t snapshot);

size_t sd_lsm_mem_bytes(const struct sd_lsm_mem *m);	 /* of memory that it has */
uint64_t sd_lsm_mem_entries(const struct sd_lsm_mem *m); /* without ranges */
uint64_t sd_lsm_mem_range_count(const struct sd_lsm_mem *m);

/* Nodes are brought into order when somebody needs one, not before. One thread at a time orders; others may add and read meanwhile.
 * Whether some wait for it; whoever orders now, they do until that is done. */
bool sd_lsm_mem_waits(const struct sd_lsm_mem *m);
bool sd_lsm_mem_order(struct sd_lsm_mem *m); /* false: out of memory */

/* Has a reference of its own; without ranges. Meets what was there when it was last ordered, and may meet what is added after that.
 * NULL: out of memory. */
struct sd_lsm_iter *sd_lsm_mem_iter(struct sd_lsm_mem *m);

#endif
