/* listen.c - listening sockets, among them those inside the process.
 *
 * When descriptors run out (EMFILE, ENFILE) a listener stops waiting for connections: a level-triggered event that
 * cannot be served would spin. It tries again when a descriptor of its loop was closed, or after 100 ms. The
 * connections meanwhile wait in the kernel's queue.
 *
 * An in-process listener is a name in the world. To connect makes a socket pair and hands one end to the
 * listener's own thread; several listeners of one name (one a worker thread) take turns.
 */
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "real.h"

#define ACCEPT_BATCH   32
#define STARVED_TRY_NS 100000000

struct sd_listener {
	struct sd_loop *loop;
	int fd; /* -1: in-process */
	struct event *ev;
	struct sd_listener_events events;
	bool paused, starved;
	struct sd_timer retry;
	struct sd_link link; /* in loop->starved, or in world->inproc */
	char name[108];      /* in-process name, or the UNIX path to remove */
};

static void set_waiting(struct sd_listener *s)
{
	if (s->fd < 0)
		return;
	if (s->paused || s->starved)
		event_del(s->ev);
	else
		event_add(s->ev, NULL);
}

static void starve(struct sd_listener *s, bool starved)
{
	if (s->starved == starved)
		return;
	s->starved = starved;
	if (starved) {
		sd_list_add(&s->loop->starved, &s->link);
		sd_loop_timer_set(s->loop, &s->retry, sd_loop_now_ns(s->loop) + STARVED_TRY_NS);
	} else {
		sd_list_del(&s->link);
		sd_loop_timer_cancel(s->loop, &s->retry);
	}
	set_waiting(s);
	if (s->events.starved)
		s->events.starved(s->events.arg, starved);
}

static void on_retry(struct sd_timer *t)
{
	starve(sd_container(t, struct sd_listener, retry), false);
}

void real_fd_freed(struct sd_loop *l)
{
	while (!sd_list_empty(&l->starved))
		starve(sd_container(l->starved.next, struct sd_listener, link), false);
}

static void accepted(struct sd_listener *s, int fd, const struct sd_addr *from)
{
	struct sd_io *io = real_io_new(s->loop, fd);
	if (!io) {
		close(fd);
		return;
	}
	io->peer = sd_addr_peer(from);
	s->events.accepted(s->events.arg, io);
}

static void on_accept(evutil_socket_t lfd, short what, void *arg)
{
	(void)what;
	struct sd_listener *s = arg;
	struct sd_loop *l = s->loop;
	struct sockaddr_storage ss;
	struct sd_addr from;
	int one = 1;
	loop_enter(l);
	for (int i = 0; i < ACCEPT_BATCH && !s->paused && !s->starved; i++) {
		socklen_t n = sizeof(ss);
		int fd = accept4(lfd, (struct sockaddr *)&ss, &n, SOCK_NONBLOCK | SOCK_CLOEXEC);
		if (fd < 0) {
			if (errno == EMFILE || errno == ENFILE || errno == ENOMEM || errno == ENOBUFS)
				starve(s, true);
			break;
		}
		real_addr_of(&ss, &from);
		if (from.kind == SD_ADDR_INET)
			setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
		accepted(s, fd, &from);
	}
	loop_leave(l);
}

static enum sd_err bind_fail(struct sd_addr *addr, int fd, struct sd_error *e)
{
	char text[SD_ADDR_TEXT];
	int err = errno;
	if (fd >= 0)
		close(fd);
	return sd_fail(e, real_err(err), "cannot listen on %s: %s", sd_addr_format(addr, text), strerror(err));
}

/* A UNIX socket's file stays behind when its owner was killed: one that nobody answers is removed. */
static void remove_stale(const struct sd_addr *addr)
{
	struct stat st;
	struct sockaddr_storage ss;
	socklen_t n = real_sockaddr(addr, &ss);
	if (stat(addr->name, &st) < 0 || !S_ISSOCK(st.st_mode))
		return;
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
	if (fd < 0)
		return;
	if (connect(fd, (struct sockaddr *)&ss, n) < 0 && errno == ECONNREFUSED)
		unlink(addr->name);
	close(fd);
}

static enum sd_err open_listener(struct sd_addr *addr, bool shared, int *out, struct sd_error *e)
{
	struct sockaddr_storage ss;
	int one = 1;
	if (addr->kind == SD_ADDR_UNIX)
		remove_stale(addr);
	socklen_t n = real_sockaddr(addr, &ss);
	int fd = socket(ss.ss_family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return bind_fail(addr, fd, e);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	if (shared && addr->kind == SD_ADDR_INET)
		setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one));
	if (addr->v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (bind(fd, (struct sockaddr *)&ss, n) < 0 || listen(fd, 4096) < 0)
		return bind_fail(addr, fd, e);
	n = sizeof(ss);
	if (addr->kind == SD_ADDR_INET && getsockname(fd, (struct sockaddr *)&ss, &n) == 0)
		real_addr_of(&ss, addr);
	*out = fd;
	return SD_OK;
}

enum sd_err sd_loop_listen(struct sd_loop *l, struct sd_addr *addr, bool shared,
			   const struct sd_listener_events *events, struct sd_listener **out, struct sd_error *e)
{
	char text[SD_ADDR_TEXT];
	struct sd_listener *s = calloc(1, sizeof(*s));
	if (!s)
		return sd_fail(e, SD_ENOMEM, "cannot listen on %s: out of memory", sd_addr_format(addr, text));
	s->loop = l;
	s->fd = -1;
	s->events = *events;
	s->retry.fn = on_retry;
	sd_list_init(&s->link);
	enum sd_err err;
	if (addr->kind == SD_ADDR_INPROC) {
		err = real_inproc_listen(l, addr->name, s, e);
	} else {
		err = open_listener(addr, shared, &s->fd, e);
		if (!err && !(s->ev = event_new(l->base, s->fd, EV_READ | EV_PERSIST, on_accept, s)))
			err = sd_fail(e, SD_ENOMEM, "cannot listen: out of memory");
		if (!err)
			event_add(s->ev, NULL);
	}
	if (addr->kind == SD_ADDR_UNIX || addr->kind == SD_ADDR_INPROC)
		memcpy(s->name, addr->name, sizeof(s->name));
	if (err) {
		s->name[0] = '\0';
		sd_listener_close(s);
		return err;
	}
	*out = s;
	return SD_OK;
}

void sd_listener_pause(struct sd_listener *s, bool paused)
{
	if (s->paused == paused)
		return;
	pthread_mutex_lock(&s->loop->world->lock); /* others look at it when they connect inside the process */
	s->paused = paused;
	pthread_mutex_unlock(&s->loop->world->lock);
	set_waiting(s);
}

void sd_listener_close(struct sd_listener *s)
{
	if (!s)
		return;
	if (s->fd < 0)
		real_inproc_close(s->loop->world, s);
	else if (s->starved)
		sd_list_del(&s->link);
	sd_loop_timer_cancel(s->loop, &s->retry);
	if (s->ev)
		event_free(s->ev);
	if (s->fd >= 0) {
		close(s->fd);
		if (s->name[0])
			unlink(s->name);
	}
	free(s);
}

/* ---- inside the process ---- */

enum sd_err real_inproc_listen(struct sd_loop *l, const char *name, struct sd_listener *s, struct sd_error *e)
{
	(void)e;
	memcpy(s->name, name, sizeof(s->name));
	pthread_mutex_lock(&l->world->lock);
	sd_list_add(&l->world->inproc, &s->link);
	pthread_mutex_unlock(&l->world->lock);
	return SD_OK;
}

void real_inproc_close(struct sd_world *w, struct sd_listener *s)
{
	pthread_mutex_lock(&w->lock);
	sd_list_del(&s->link);
	pthread_mutex_unlock(&w->lock);
}

/* A connected descriptor on its way to the listener's thread. The listener is found again by name there, since it
 * may be gone by then; the message holds the loop, which outlives its listeners. */
struct handover {
	struct sd_task task;
	struct sd_loop *loop;
	int fd;
	char name[108];
};

static struct sd_listener *inproc_find(struct sd_world *w, const char *name, const struct sd_loop *only)
{
	for (struct sd_link *k = w->inproc.next; k != &w->inproc; k = k->next) {
		struct sd_listener *s = sd_container(k, struct sd_listener, link);
		if (strcmp(s->name, name) == 0 && !s->paused && (!only || s->loop == only))
			return s;
	}
	return NULL;
}

static void on_handover(struct sd_task *t)
{
	struct handover *h = sd_container(t, struct handover, task);
	static const struct sd_addr from = {.kind = SD_ADDR_INPROC};
	pthread_mutex_lock(&h->loop->world->lock);
	struct sd_listener *s = inproc_find(h->loop->world, h->name, h->loop);
	pthread_mutex_unlock(&h->loop->world->lock);
	/* Only this thread closes its listeners, so s stays. */
	if (s)
		accepted(s, h->fd, &from);
	else
		close(h->fd);
	free(h);
}

enum sd_err real_inproc_connect(struct sd_loop *l, const char *name, int *fd, struct sd_error *e)
{
	struct sd_world *w = l->world;
	struct handover *h = calloc(1, sizeof(*h));
	int pair[2];
	if (!h || socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, pair) < 0) {
		int err = errno;
		free(h);
		return sd_fail(e, real_err(err), "cannot connect to inproc:%s: %s", name, strerror(err));
	}
	h->task.fn = on_handover;
	h->fd = pair[1];
	snprintf(h->name, sizeof(h->name), "%s", name);
	pthread_mutex_lock(&w->lock);
	struct sd_listener *s = inproc_find(w, name, NULL);
	if (s) {
		/* to the back of the ring: the next connection is another worker's */
		sd_list_del(&s->link);
		sd_list_add(&w->inproc, &s->link);
		h->loop = s->loop;
		sd_loop_post(s->loop, &h->task);
	}
	pthread_mutex_unlock(&w->lock);
	if (!s) {
		close(pair[0]);
		close(pair[1]);
		free(h);
		return sd_fail(e, SD_EREFUSED, "cannot connect to inproc:%s: nobody listens", name);
	}
	*fd = pair[0];
	return SD_OK;
}
