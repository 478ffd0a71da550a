#include "lock.h"

#include <pthread.h>
#include <stdlib.h>

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
