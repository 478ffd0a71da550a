/* pool_loop.h - a pool (sdlab/pool.h) on an event loop.
 *
 * What is asked of the engine is asked of it directly (pl.pool, with the time of the loop), and then sd_pool_loop_settle sees
 * to it that what it wants done is done: not before the callback that runs has returned. It belongs to the loop's thread.
 */
#ifndef SD_WORLD_POOL_LOOP_H
#define SD_WORLD_POOL_LOOP_H

#include "loop.h"
#include "sdlab/pool.h"

struct sd_pool_loop_events {
	/* Begins to open one; sd_pool_opened or sd_pool_open_failed, and settle, when that ended, also before this returns. NULL:
	 * whoever borrows adds what it opened (sd_pool_add). */
	void (*open)(void *arg, uint32_t slot);
	/* Begins to check one; sd_pool_checked and settle. NULL: all is well. */
	void (*check)(void *arg, uint32_t slot, void *resource);
	void (*close)(void *arg, void *resource, enum sd_pool_why why);
	/* See waiter->err. NULL: nobody waits in this pool. */
	void (*granted)(void *arg, struct sd_pool_waiter *waiter);
	void (*leak)(void *arg, const struct sd_pool_held *held); /* NULL: nobody asks */
};

struct sd_pool_loop {
	struct sd_pool *pool;
	struct sd_loop *loop;
	const struct sd_pool_loop_events *events;
	void *arg;
	struct sd_timer timer;
	int64_t armed_ns;
};

enum sd_err sd_pool_loop_init(struct sd_pool_loop *pl, struct sd_loop *l, const struct sd_pool_conf *conf, uint64_t seed,
			      const struct sd_pool_loop_events *events, void *arg, struct sd_error *e);
/* Closes everything, what is lent as well, by close(); no other callback. Fine when init failed, or was not called on zeros. */
void sd_pool_loop_free(struct sd_pool_loop *pl);
/* Does now what is to be done now. For callers that may be called back. */
void sd_pool_loop_run(struct sd_pool_loop *pl);
/* Something was asked of pl->pool, or told to it. */
static inline void sd_pool_loop_settle(struct sd_pool_loop *pl)
{
	int64_t due = sd_pool_due(pl->pool);
	if (due >= pl->armed_ns)
		return;
	pl->armed_ns = due;
	sd_loop_timer_set(pl->loop, &pl->timer, due);
}

#endif
