/* lsm_view.c */
#include "lsm_view.h"

#include <stdlib.h>

struct sd_lsm_tree *sd_lsm_tree_new(const struct sd_lsm_version *v, void (*gone)(void *arg, uint64_t number, bool blob), void *arg)
{
	struct sd_lsm_tree *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	atomic_init(&t->refs, 1);
	t->gone = gone;
	t->arg = arg;
	if (v && !sd_lsm_version_copy(&t->version, v)) {
		sd_lsm_tree_unref(t);
		return NULL;
	}
	return t;
}

struct sd_lsm_tree *sd_lsm_tree_ref(struct sd_lsm_tree *t)
{
	atomic_fetch_add_explicit(&t->refs, 1, memory_order_relaxed);
	return t;
}

void sd_lsm_tree_unref(struct sd_lsm_tree *t)
{
	if (!t || atomic_fetch_sub_explicit(&t->refs, 1, memory_order_acq_rel) != 1)
		return;
	sd_lsm_version_let_go(&t->version, t->gone, t->arg);
	free(t);
}

struct sd_lsm_view *sd_lsm_view_new(const struct sd_lsm_held *mem, const struct sd_lsm_held *held, unsigned nheld,
				    struct sd_lsm_tree *tree)
{
	struct sd_lsm_view *v = calloc(1, sizeof(*v));
	if (!v)
		return NULL;
	atomic_init(&v->refs, 1);
	v->mem = *mem;
	sd_lsm_mem_ref(mem->mem);
	for (unsigned i = 0; i < nheld; i++) {
		v->held[i] = held[i];
		sd_lsm_mem_ref(held[i].mem);
	}
	v->nheld = nheld;
	v->tree = sd_lsm_tree_ref(tree);
	return v;
}

void sd_lsm_view_unref(struct sd_lsm_view *v)
{
	if (!v || atomic_fetch_sub_explicit(&v->refs, 1, memory_order_acq_rel) != 1)
		return;
	sd_lsm_mem_unref(v->mem.mem);
	for (unsigned i = 0; i < v->nheld; i++)
		sd_lsm_mem_unref(v->held[i].mem);
	sd_lsm_tree_unref(v->tree);
	free(v);
}
