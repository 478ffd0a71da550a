/* lsm_view.h - what readers see of a store: memtables, and which tables there are. A view never changes; who reads holds one, so
 * that nothing of it goes away meanwhile, and need not wait for anybody.
 */
#ifndef SD_DISK_LSM_VIEW_H
#define SD_DISK_LSM_VIEW_H

#include <stdatomic.h>

#include "core/lsm_mem.h"
#include "core/lsm_version.h"

#define SD_LSM_HELD_MAX 16 /* memtables that wait to be flushed, at most; recovery may need some */

/* A version that views share. When the last of them is gone, `gone` is told of each file that no version has any more. */
struct sd_lsm_tree {
	_Atomic uint32_t refs;
	struct sd_lsm_version version;
	void (*gone)(void *arg, uint64_t number, bool blob);
	void *arg;
};
/* A copy of a version, NULL: empty. NULL: out of memory. */
struct sd_lsm_tree *sd_lsm_tree_new(const struct sd_lsm_version *v, void (*gone)(void *arg, uint64_t number, bool blob), void *arg);
struct sd_lsm_tree *sd_lsm_tree_ref(struct sd_lsm_tree *t);
void sd_lsm_tree_unref(struct sd_lsm_tree *t); /* NULL is fine */

/* A memtable, and the first log that has writes of it. */
struct sd_lsm_held {
	struct sd_lsm_mem *mem;
	uint64_t log;
};

struct sd_lsm_view {
	_Atomic uint32_t refs;
	struct sd_lsm_held mem;			  /* that is written to */
	struct sd_lsm_held held[SD_LSM_HELD_MAX]; /* that wait to be flushed, newest first */
	unsigned nheld;
	struct sd_lsm_tree *tree;
};
/* Takes references of its own. NULL: out of memory. */
struct sd_lsm_view *sd_lsm_view_new(const struct sd_lsm_held *mem, const struct sd_lsm_held *held, unsigned nheld,
				    struct sd_lsm_tree *tree);
static inline struct sd_lsm_view *sd_lsm_view_ref(struct sd_lsm_view *v)
{
	atomic_fetch_add_explicit(&v->refs, 1, memory_order_relaxed);
	return v;
}
void sd_lsm_view_unref(struct sd_lsm_view *v); /* NULL is fine */

#endif
