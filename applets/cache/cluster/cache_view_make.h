/* cache_view_make.h - for whoever has the members: views made and freed. */
#ifndef CACHE_VIEW_MAKE_H
#define CACHE_VIEW_MAKE_H

#include "cache_view.h"

/* copies: owners of a slot, the first included. NULL: out of memory. */
struct cache_view *cache_view_make(const struct sd_swim *swim, unsigned copies, const struct cache_view *before);
void cache_view_free(struct cache_view *v);

#endif
