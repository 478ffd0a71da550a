/* real_thread.c - threads that take no signals: those belong to the main one. */
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "real.h"

struct real_thread {
	pthread_t id;
	void (*fn)(void *arg);
	void *arg;
	char name[16];
};

static void *thread_main(void *arg)
{
	struct real_thread *t = arg;
	pthread_setname_np(pthread_self(), t->name);
	t->fn(t->arg);
	return NULL;
}

enum sd_err real_thread_start(const char *name, void (*fn)(void *arg), void *arg, struct real_thread **out,
			      struct sd_error *e)
{
	struct real_thread *t = calloc(1, sizeof(*t));
	if (!t)
		return sd_fail(e, SD_ENOMEM, "cannot start a thread: out of memory");
	t->fn = fn;
	t->arg = arg;
	strncpy(t->name, name, sizeof(t->name) - 1);
	sigset_t all, old;
	sigfillset(&all);
	pthread_sigmask(SIG_SETMASK, &all, &old);
	int err = pthread_create(&t->id, NULL, thread_main, t);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	if (err) {
		free(t);
		return sd_fail(e, SD_ENOMEM, "cannot start a thread: %s", strerror(err));
	}
	*out = t;
	return SD_OK;
}

void real_thread_join(struct real_thread *t)
{
	pthread_join(t->id, NULL);
	free(t);
}
