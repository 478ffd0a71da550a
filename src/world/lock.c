#include "lock.h"

#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "real.h"

struct sd_lock {
	pthread_mutex_t mutex;
};

/* Who has it is done within microseconds, so that looking again for a while is cheaper than to sleep and be woken. */
struct sd_lock *sd_lock_new(void)
{
	struct sd_lock *l = malloc(sizeof(*l));
	pthread_mutexattr_t how;
	if (!l)
		return NULL;
	pthread_mutexattr_init(&how);
	pthread_mutexattr_settype(&how, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&l->mutex, &how);
	pthread_mutexattr_destroy(&how);
	return l;
}

void sd_lock_free(struct sd_lock *l)
{
	if (!l)
		return;
	pthread_mutex_destroy(&l->mutex);
	free(l);
}

void sd_lock_enter(struct sd_lock *l)
{
	pthread_mutex_lock(&l->mutex);
}

void sd_lock_leave(struct sd_lock *l)
{
	pthread_mutex_unlock(&l->mutex);
}

struct sd_cond {
	pthread_cond_t cond;
};

struct sd_cond *sd_cond_new(void)
{
	struct sd_cond *c = malloc(sizeof(*c));
	pthread_condattr_t how;
	if (!c)
		return NULL;
	pthread_condattr_init(&how);
	pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
	pthread_cond_init(&c->cond, &how);
	pthread_condattr_destroy(&how);
	return c;
}

void sd_cond_free(struct sd_cond *c)
{
	if (!c)
		return;
	pthread_cond_destroy(&c->cond);
	free(c);
}

void sd_cond_wait(struct sd_cond *c, struct sd_lock *l)
{
	pthread_cond_wait(&c->cond, &l->mutex);
}

void sd_cond_wait_for(struct sd_cond *c, struct sd_lock *l, int64_t ns)
{
	struct timespec until;
	clock_gettime(CLOCK_MONOTONIC, &until);
	ns += until.tv_nsec;
	until.tv_sec += ns / 1000000000;
	until.tv_nsec = ns % 1000000000;
	pthread_cond_timedwait(&c->cond, &l->mutex, &until);
}

void sd_cond_wake(struct sd_cond *c)
{
	pthread_cond_signal(&c->cond);
}

void sd_cond_wake_all(struct sd_cond *c)
{
	pthread_cond_broadcast(&c->cond);
}

enum sd_err sd_thread_start(const char *name, void (*fn)(void *arg), void *arg, struct sd_thread **out, struct sd_error *e)
{
	struct real_thread *t = NULL;
	enum sd_err err = real_thread_start(name, fn, arg, &t, e);
	*out = (struct sd_thread *)t;
	return err;
}

void sd_thread_join(struct sd_thread *t)
{
	if (t)
		real_thread_join((struct real_thread *)t);
}
