/* lock.h - one thread at a time. For the few things that cannot belong to one loop: see the top of src/app/run.h for what is
 * to be tried first. It is held for a bounded piece of work, never across a system call that may wait, and never taken twice. */
#ifndef SD_WORLD_LOCK_H
#define SD_WORLD_LOCK_H

struct sd_lock;

struct sd_lock *sd_lock_new(void); /* NULL: out of memory */
void sd_lock_free(struct sd_lock *l); /* nobody has it; NULL is fine */
void sd_lock_enter(struct sd_lock *l);
void sd_lock_leave(struct sd_lock *l);

#endif
