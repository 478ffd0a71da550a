/* cache_disk.h - the folder of the cache: its snapshot is loaded from there and saved to there.
 *
 *	loop                                            helper thread (one, in order)
 *	cache_save_step, a piece a turn  --blocks-->    DIR/FILE.tmp: write, now and then sync
 *	      at the end                 --the last-->  checksum, sync, rename to FILE, sync of DIR
 *	cache_keep_saved             <--blocks return--
 *
 * The loop never waits for the disk, but for SAVE, SHUTDOWN and at the end, which do the same at once. Blocks on their way are
 * at most a few; then the walk waits for them. While clients ask, the walk takes a fifth of the loop's time: what they change is
 * written first anyhow, so that they make it shorter. What fails, or is cut off by a crash, leaves FILE as it was.
 */
#ifndef CACHE_DISK_H
#define CACHE_DISK_H

#include "app/event.h"
#include "../engine/cache.h"
#include "world/loop.h"

struct cache_disk;

/* Where it runs. Whatever the loop calls here enters first, since others may run commands meanwhile. */
struct cache_disk_host {
	struct sd_loop *loop;
	struct sd_log *log;
	void *arg;
	void (*enter)(void *arg);
	void (*leave)(void *arg);
};

/* Loads DIR/FILE (CONFIG dbfilename) into the cache, which is empty, and saves to there from here on. dir is copied, and made when it
 * is not there. NULL: *e says why. */
struct cache_disk *cache_disk_open(struct cache *c, const struct cache_disk_host *host, const char *dir, struct sd_error *e);
/* Ends a snapshot in progress; saves what changed since the last one, when there are save points. On the loop's thread, which has not
 * entered. */
void cache_disk_close(struct cache_disk *d);

#endif
