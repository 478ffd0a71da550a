/* cache_keep.h - when the cache is saved, and what commands say about it; the saving itself is done by whoever sets ops. */
#ifndef CACHE_KEEP_H
#define CACHE_KEEP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/text.h"
#include "sdlab/slice.h"

struct cache;
struct cache_command;

#define CACHE_SAVE_POINTS 16

struct cache_keep_ops {
	/* Saves at once, and returns when it is on the disk. False: it could not. */
	bool (*save)(void *arg);
	/* Begins to save while commands go on. False: it could not. */
	bool (*begin)(void *arg);
};

struct cache_keep {
	const struct cache_keep_ops *ops; /* NULL: there is nowhere to save to */
	void *arg;
	bool running, scheduled; /* a snapshot is being made; one is wanted as soon as it can be */
	bool failed;		 /* the last one was */
	bool no_save;		 /* SHUTDOWN NOSAVE: not at the end */
	int64_t saved_ms, tried_ms, began_ms;
	int64_t took_ms;      /* the last one; -1: there was none */
	uint64_t saved_dirty; /* cache->dirty that is on the disk */
	uint64_t saves, loaded, load_expired;
	struct cache_save_point {
		int64_t seconds, changes;
	} points[CACHE_SAVE_POINTS];
	size_t npoints;
};

void cache_keep_begin(struct cache *c);
/* "900 1 300 10", as CONFIG SET save has it; false: it is no such list, and nothing changed. c NULL: only looks. */
bool cache_keep_points(struct cache *c, struct sd_slice text);
/* Is it time for a snapshot? */
bool cache_keep_is_due(const struct cache *c, int64_t now_ms);
/* How a snapshot went that held what was there at this many changes. */
void cache_keep_saved(struct cache *c, bool ok, uint64_t dirty, int64_t now_ms);
/* May this command change something though the last snapshot failed? */
bool cache_keep_refuses(const struct cache *c, const struct cache_command *k);
extern const char cache_misconf[];
void cache_keep_info(const struct cache *c, struct sd_text *t);

#endif
