/* cache_load.h - a snapshot read back: bytes of an RDB file in, keys made. Pure. */
#ifndef CACHE_LOAD_H
#define CACHE_LOAD_H

#include "cache_image.h"

/* Zero it and set im.cache; cache_image_free(&l.im) at the end. */
struct cache_loader {
	struct cache_image im;
	unsigned db;
	uint64_t keys, expired; /* made; and passed over, since their time was over */
	bool ended;		/* the file is whole */
};

/* Takes of p[0..n) what is complete: *took. False: l->im.reader says what is wrong (error) and where (offset). */
bool cache_load(struct cache_loader *l, const char *p, size_t n, size_t *took);

#endif
