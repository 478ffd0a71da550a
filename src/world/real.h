/* real.h - what the files of the real world share. Private to src/world. */
#ifndef SD_WORLD_REAL_H
#define SD_WORLD_REAL_H

#include <event2/event.h>
#include <pthread.h>
#include <sys/socket.h>

#include "core/list.h"
#include "world_int.h"

struct real_world {
	struct sd_world world;
	pthread_mutex_t lock;        /* guards inproc and resolver */
	struct sd_link inproc;       /* listeners by name: struct real_listener */
	struct sd_helpers *resolver; /* made when first asked for */
};

struct real_thread;

struct real_loop {
	struct sd_loop loop;
	struct event_base *base;
	pthread_t thread;           /* that runs it, or made it */
	struct real_thread *started; /* by sd_loop_start */
	bool stopping;
	int timer_fd;
	struct event *timer_event, *late_event;
	int64_t timer_armed_ns; /* what timer_fd is set for */
	int spare_pipe[2];      /* for the next io that splices; 0: none */
	struct sd_link starved; /* listeners that wait for a descriptor: struct real_listener.link */
	/* messages from other threads */
	pthread_mutex_t post_lock;
	struct sd_task *posted, **posted_tail;
	int wake_fd;
	struct event *wake_event;
};

static inline struct real_world *real_world(struct sd_world *w)
{
	return sd_container(w, struct real_world, world);
}

static inline struct real_loop *real_loop(struct sd_loop *l)
{
	return sd_container(l, struct real_loop, loop);
}

/* Runs fn(arg) on a new thread that takes no signals. */
enum sd_err real_thread_start(const char *name, void (*fn)(void *arg), void *arg, struct real_thread **out,
			      struct sd_error *e);
void real_thread_join(struct real_thread *t);

/* The rows of its table that are made in other files. */
struct sd_loop *real_loop_new(struct sd_world *w, struct sd_error *e);
struct sd_helpers *real_helpers_new(struct sd_world *w, unsigned max_threads);
void real_helpers_free(struct sd_helpers *h);
bool real_submit(struct sd_helpers *h, struct sd_loop *l, struct sd_work *work);
bool real_resolve(struct sd_loop *l, struct sd_resolve *r);
int real_open(struct sd_world *w, const char *name, unsigned flags, struct sd_file **out);
int real_unlink(struct sd_world *w, const char *name);
int real_rename(struct sd_world *w, const char *from, const char *to);
/* The file of a descriptor, which is its own from then on. */
int real_file_of(int fd, struct sd_file **out);
int real_file_fd(struct sd_file *f);
int real_dir_open(struct sd_world *w, const char *name, unsigned flags, struct sd_dir **out);
int real_sync_dir(struct sd_world *w, const char *dir);
int real_disk_room(struct sd_world *w, const char *dir, uint64_t *bytes);
void real_unmap(struct sd_world *w, const void *p, size_t n);
enum sd_err real_connect(struct sd_loop *l, const struct sd_addr *addr, struct sd_io **out, struct sd_error *e);
enum sd_err real_listen(struct sd_loop *l, struct sd_addr *addr, bool shared,
			const struct sd_listener_events *events, struct sd_listener **out, struct sd_error *e);
enum sd_err real_datagrams(struct sd_loop *l, struct sd_addr *addr, const struct sd_datagrams_events *events,
			   struct sd_datagrams **out, struct sd_error *e);
enum sd_err real_watch(struct sd_loop *l, int fd, void (*ready)(void *arg, unsigned what), void *arg, struct sd_watch **out,
		       struct sd_error *e);

bool real_write_all(int fd, const char *text, size_t n);
/* errno to ours. */
enum sd_err real_err(int err);
struct sd_io *real_io_new(struct sd_loop *l, int fd);
/* The loop goes: what helpers do for it is not handed back. */
void real_helpers_forget(struct sd_helpers *h, const struct sd_loop *l);
/* A descriptor was closed on this loop: listeners that starved may try again. */
void real_fd_freed(struct sd_loop *l);

socklen_t real_sockaddr(const struct sd_addr *a, struct sockaddr_storage *out);
void real_addr_of(const struct sockaddr_storage *ss, struct sd_addr *out);

/* A connected descriptor of a listener inside the process. */
enum sd_err real_inproc_connect(struct sd_loop *l, const char *name, int *fd, struct sd_error *e);

#endif
