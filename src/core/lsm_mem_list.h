/* lsm_mem_list.h - the nodes of a memtable in the order of their keys: a skip list. One thread puts; any number walk at the same time
 * and wait for nothing.
 */
#ifndef SD_CORE_LSM_MEM_LIST_H
#define SD_CORE_LSM_MEM_LIST_H

#include "lsm_mem_node.h"

#define SD_LSM_LIST_HEIGHT 12
#define SD_LSM_LIST_COMMON 64

/* Where a node stands. Its links are in front of it: of the highest level ... of level 0. */
struct sd_lsm_step {
	struct sd_lsm_node *node;
};
struct sd_lsm_link {
	_Atomic uint64_t head; /* see lsm_mem_list.c */
	_Atomic(struct sd_lsm_step *) to;
};

/* In the arena. */
struct sd_lsm_list {
	size_t common_n; /* bytes that keys begin with, most of them */
	char common[SD_LSM_LIST_COMMON];
	atomic_uint height;
	struct sd_lsm_link ends[SD_LSM_LIST_HEIGHT]; /* where levels begin; as those of a step, level 0 last */
};
/* common: what keys begin with, most of them. NULL: out of memory. */
struct sd_lsm_list *sd_lsm_list_new(struct sd_lsm_arena *a, struct sd_slice common);
/* NULL: none. */
struct sd_lsm_step *sd_lsm_list_first(struct sd_lsm_list *l);
struct sd_lsm_step *sd_lsm_list_last(struct sd_lsm_list *l);
struct sd_lsm_step *sd_lsm_list_next(struct sd_lsm_step *t);
struct sd_lsm_step *sd_lsm_list_find(struct sd_lsm_list *l, struct sd_slice user);   /* the first that is not before the key */
struct sd_lsm_step *sd_lsm_list_before(struct sd_lsm_list *l, struct sd_slice user); /* the last that is */
/* The bytes of a key that decide between most; never against the order of keys. */
uint64_t sd_lsm_list_head(const struct sd_lsm_list *l, struct sd_slice user);

/* Of the thread that puts: where it is. */
struct sd_lsm_list_at {
	struct sd_lsm_list *list;
	uint64_t chance, last_head;		       /* last_head: of the node that was put last */
	struct sd_lsm_node *last;		       /* it; NULL: none in this list yet */
	struct sd_lsm_link *before[SD_LSM_LIST_HEIGHT]; /* of each level the last link that belongs to it or to a node before it */
};
void sd_lsm_list_stand(struct sd_lsm_list_at *at, struct sd_lsm_list *l);
/* Whose key no other has; head: of that. False: out of memory. */
bool sd_lsm_list_put(struct sd_lsm_list_at *at, struct sd_lsm_arena *a, struct sd_lsm_node *n, uint64_t head);

/* Whether what its keys have in common is something else than the list thinks, so that it says too little. */
bool sd_lsm_list_is_off(struct sd_lsm_list *l, struct sd_slice *common);
/* Of keys that begin alike by so many bytes, those that a list takes for granted. */
size_t sd_lsm_list_granted(size_t in_common);

#endif
