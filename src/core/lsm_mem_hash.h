/* lsm_mem_hash.h - from a user key to its node in a memtable. One thread puts; any number find at the same time and wait for nothing.
 *
 * One word a key: the node, and where addresses have no bits, some of the hash, so that other nodes are seldom looked at. It grows
 * into a table twice as large; the old ones stay until the end for those who look there now. What such a one misses was put after it
 * began to look.
 */
#ifndef SD_CORE_LSM_MEM_HASH_H
#define SD_CORE_LSM_MEM_HASH_H

#include "lsm_mem_node.h"

struct sd_lsm_mem_table;
struct sd_lsm_mem_hash {
	_Atomic(struct sd_lsm_mem_table *) table;
	size_t keys;	      /* who puts */
	_Atomic size_t bytes; /* of all tables */
};
/* Room for so many keys, for a start. False: out of memory. */
bool sd_lsm_mem_hash_begin(struct sd_lsm_mem_hash *h, size_t keys);
void sd_lsm_mem_hash_end(struct sd_lsm_mem_hash *h); /* also when it did not begin */
uint64_t sd_lsm_mem_hash_of(struct sd_slice user);
/* NULL: none. */
struct sd_lsm_node *sd_lsm_mem_hash_find(const struct sd_lsm_mem_hash *h, struct sd_slice user, uint64_t hash);
void sd_lsm_mem_hash_expect(const struct sd_lsm_mem_hash *h, uint64_t hash); /* fetches what finding needs first */
/* Makes room for one key more. False: out of memory. */
bool sd_lsm_mem_hash_room(struct sd_lsm_mem_hash *h);
/* There is room, and no other node has its key. */
void sd_lsm_mem_hash_put(struct sd_lsm_mem_hash *h, struct sd_lsm_node *n, uint64_t hash);

#endif
