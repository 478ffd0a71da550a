/* lock.h - one thread at a time. For the few things that cannot belong to one loop: see the top of src/app/run.h for what is
 * to be tried first. It is held for a bounded piece of work, never across a system call that may wait, and never taken twice. */
#ifndef SD_WORLD_LOCK_H
#define SD_WORLD_LOCK_H

#include <stdbool.h>
#include <stdint.h>

#include "sdlab/err.h"

struct sd_lock;

struct sd_lock *sd_lock_new(void); /* NULL: out of memory */
void sd_lock_free(struct sd_lock *l); /* nobody has it; NULL is fine */
void sd_lock_enter(struct sd_lock *l);
void sd_lock_leave(struct sd_lock *l);

/* To wait for what another thread does with a lock in hand, which is let go of meanwhile. Wakes also for no reason: look again.
 * Of the real world only: in the simulated one everything is one thread. */
struct sd_cond;
struct sd_cond *sd_cond_new(void); /* NULL: out of memory */
void sd_cond_free(struct sd_cond *c); /* nobody waits; NULL is fine */
void sd_cond_wait(struct sd_cond *c, struct sd_lock *l);
void sd_cond_wait_for(struct sd_cond *c, struct sd_lock *l, int64_t ns); /* at most so long */
void sd_cond_wake(struct sd_cond *c);	  /* one, if any waits */
void sd_cond_wake_all(struct sd_cond *c);

/* A thread of its own, which takes no signals, for an engine that any program may use: where there is a loop, see sd_helpers. */
struct sd_thread;
enum sd_err sd_thread_start(const char *name, void (*fn)(void *arg), void *arg, struct sd_thread **out, struct sd_error *e);
void sd_thread_join(struct sd_thread *t); /* waits for its end, and frees it; NULL is fine */

#endif
