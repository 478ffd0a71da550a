/* lsm_mem_order.h - nodes of a memtable brought into the order of their keys, not one by one as they come, but all that wait when
 * somebody asks for an order: sorted first, they take a tenth of the time. Who only fills it and looks for keys never waits for that.
 */
#ifndef SD_CORE_LSM_MEM_ORDER_H
#define SD_CORE_LSM_MEM_ORDER_H

#include "lsm_mem_list.h"

struct sd_lsm_mem_order {
	_Atomic(struct sd_lsm_list *) list;
	_Atomic size_t ordered; /* nodes */
	struct sd_lsm_list_at at;
	struct sd_lsm_arena arena;
	size_t learn_at;

	char apart[64]; /* what changes with each node is in no cache line of readers */
	_Atomic(struct sd_lsm_node *) waiting; /* the one that came last */
	_Atomic size_t nodes;
};
/* False: out of memory. */
bool sd_lsm_mem_order_begin(struct sd_lsm_mem_order *o, size_t block_bytes, struct sd_slice common);
void sd_lsm_mem_order_end(struct sd_lsm_mem_order *o); /* also when it did not begin */
/* By one thread. */
void sd_lsm_mem_order_add(struct sd_lsm_mem_order *o, struct sd_lsm_node *n);
bool sd_lsm_mem_order_waits(const struct sd_lsm_mem_order *o);
/* By one thread at a time; another may add meanwhile. All that was added before is in the list then. False: out of memory. */
bool sd_lsm_mem_order_all(struct sd_lsm_mem_order *o);

#endif
