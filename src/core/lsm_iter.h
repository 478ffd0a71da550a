/* lsm_iter.h - a place among internal keys in their order: in a memtable, a table, a level, or many of them merged.
 *
 * It begins nowhere (not valid) and is moved. Key and value belong to it and stay until it moves or is freed. One thread uses it.
 */
#ifndef SD_CORE_LSM_ITER_H
#define SD_CORE_LSM_ITER_H

#include "lsm.h"
#include "sdlab/err.h"

struct sd_lsm_iter;
struct sd_lsm_iter_ops {
	void (*first)(struct sd_lsm_iter *i);
	void (*last)(struct sd_lsm_iter *i);
	void (*seek)(struct sd_lsm_iter *i, struct sd_slice internal); /* the first that is not before it */
	void (*next)(struct sd_lsm_iter *i);			       /* valid before */
	void (*prev)(struct sd_lsm_iter *i);			       /* valid before */
	void (*free)(struct sd_lsm_iter *i);
};

/* Makers put it first into a struct of their own. */
struct sd_lsm_iter {
	const struct sd_lsm_iter_ops *ops;
	bool valid;
	struct sd_slice key, value; /* an internal key */
	enum sd_err err;	    /* not SD_OK: it could not move on, is not valid, and stays so until it is put somewhere else */
	const struct sd_error *why; /* then; NULL: the code says all. Belongs to it */
};

static inline void sd_lsm_iter_free(struct sd_lsm_iter *i) /* NULL is fine */
{
	if (i)
		i->ops->free(i);
}

#endif
