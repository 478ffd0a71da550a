/* real.h - what the files of the real world share. Private to src/world. */
#ifndef SD_WORLD_REAL_H
#define SD_WORLD_REAL_H

#include <event2/event.h>
#include <pthread.h>
#include <sys/socket.h>

#include "core/list.h"
#include "loop.h"

struct sd_world {
	pthread_mutex_t lock;       /* guards inproc and resolver */
	struct sd_link inproc;      /* listeners by name: struct inproc_listener */
	struct sd_helpers *resolver; /* made when first asked for */
};

struct sd_loop {
	struct sd_world *world;
	struct event_base *base;
	pthread_t thread;
	int64_t now_ns;
	bool now_valid; /* now_ns is of the callback that runs */
	bool stopping;
	struct sd_timers timers;
	int timer_fd;
	struct event *timer_event;
	int64_t timer_armed_ns; /* what timer_fd is set for */
	int64_t round_ns;       /* while timers run: those due by then; else INT64_MIN */
	struct sd_task *deferred, **deferred_tail;
	char *scratch;
	char *free_blocks; /* linked through their first bytes */
	unsigned nfree_blocks;
	struct sd_link starved; /* listeners that wait for a descriptor: struct sd_listener.link */
	/* messages from other threads */
	pthread_mutex_t post_lock;
	struct sd_task *posted, **posted_tail;
	int wake_fd;
	struct event *wake_event;
};

/* Every callback from libevent begins and ends with these. */
static inline void loop_enter(struct sd_loop *l)
{
	l->now_valid = false;
}
void loop_leave(struct sd_loop *l);

/* errno to ours. */
enum sd_err real_err(int err);
struct sd_io *real_io_new(struct sd_loop *l, int fd);
/* The loop goes: what helpers do for it is not handed back. */
void real_helpers_forget(struct sd_helpers *h, const struct sd_loop *l);
/* A descriptor was closed on this loop: listeners that starved may try again. */
void real_fd_freed(struct sd_loop *l);

socklen_t real_sockaddr(const struct sd_addr *a, struct sockaddr_storage *out);
void real_addr_of(const struct sockaddr_storage *ss, struct sd_addr *out);

/* In-process listeners. */
enum sd_err real_inproc_listen(struct sd_loop *l, const char *name, struct sd_listener *s, struct sd_error *e);
void real_inproc_close(struct sd_world *w, struct sd_listener *s);
enum sd_err real_inproc_connect(struct sd_loop *l, const char *name, int *fd, struct sd_error *e);

#endif
