/* real_listen.c - listening sockets, among them those inside the process.
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

struct real_listener {
	struct sd_listener listener;
	int fd; /* -1: in-process */
	struct event *ev;
	bool paused, starved;
	struct sd_timer retry;
	struct sd_link link; /* in loop->starved, or in world->inproc */
	char name[108];      /* in-process name, or the UNIX path to remove */
};

static struct real_listener *listener_of(struct sd_listener *s)
{
	return sd_container(s, struct real_listener, listener);
}

static void set_waiting(struct real_listener *s)
{
	if (s->fd < 0)
		return;
	if (s->paused || s->starved)
		event_del(s->ev);
	else
		event_add(s->ev, NULL);
}

static void starve(struct real_listener *s, bool starved)
{
	if (s->starved == starved)
		return;
	s->starved = starved;
	if (starved) {
		sd_list_add(&real_loop(s->listener.loop)->starved, &s->link);
		sd_loop_timer_set(s->listener.loop, &s->retry, sd_loop_now_ns(s->listener.loop) + STARVED_TRY_NS);
	} else {
		sd_list_del(&s->link);
		sd_loop_timer_cancel(s->listener.loop, &s->retry);
	}
	set_waiting(s);
	if (s->listener.events.starved)
		s->listener.events.starved(s->listener.events.arg, starved);
}

static void on_retry(struct sd_timer *t)
{
	starve(sd_container(t, struct real_listener, retry), false);
}

void real_fd_freed(struct sd_loop *l)
{
	struct sd_link *starved = &real_loop(l)->starved;
	while (!sd_list_empty(starved))
		starve(sd_container(starved->next, struct real_listener, link), false);
}

static void accepted(struct real_listener *s, int fd, const struct sd_addr *from)
{
	struct sd_io *io = real_io_new(s->listener.loop, fd);
	if (!io) {
		close(fd);
		return;
	}
	io->peer = sd_addr_peer(from);
	s->listener.events.accepted(s->listener.events.arg, io);
}

static void on_accept(evutil_socket_t lfd, short what, void *arg)
{
	(void)what;
	struct real_listener *s = arg;
	struct sd_loop *l = s->listener.loop;
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

/* ---- inside the process ---- */

static void inproc_add(struct real_listener *s)
{
	struct real_world *w = real_world(s->listener.loop->world);
	pthread_mutex_lock(&w->lock);
	sd_list_add(&w->inproc, &s->link);
	pthread_mutex_unlock(&w->lock);
}

static void inproc_remove(struct real_listener *s)
{
	struct real_world *w = real_world(s->listener.loop->world);
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

static struct real_listener *inproc_find(struct real_world *w, const char *name, const struct sd_loop *only)
{
	for (struct sd_link *k = w->inproc.next; k != &w->inproc; k = k->next) {
		struct real_listener *s = sd_container(k, struct real_listener, link);
		if (strcmp(s->name, name) == 0 && !s->paused && (!only || s->listener.loop == only))
			return s;
	}
	return NULL;
}

static void on_handover(struct sd_task *t)
{
	struct handover *h = sd_container(t, struct handover, task);
	static const struct sd_addr from = {.kind = SD_ADDR_INPROC};
	struct real_world *w = real_world(h->loop->world);
	pthread_mutex_lock(&w->lock);
	struct real_listener *s = inproc_find(w, h->name, h->loop);
	pthread_mutex_unlock(&w->lock);
	/* Only this thread closes its listeners, so s stays. */
	if (s)
		accepted(s, h->fd, &from);
	else
		close(h->fd);
	free(h);
}

enum sd_err real_inproc_connect(struct sd_loop *l, const char *name, int *fd, struct sd_error *e)
{
	struct real_world *w = real_world(l->world);
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
	struct real_listener *s = inproc_find(w, name, NULL);
	if (s) {
		/* to the back of the ring: the next connection is another worker's */
		sd_list_del(&s->link);
		sd_list_add(&w->inproc, &s->link);
		h->loop = s->listener.loop;
		sd_loop_post(s->listener.loop, &h->task);
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

/* ---- the listener ---- */

static void listener_pause(struct sd_listener *listener, bool paused)
{
	struct real_listener *s = listener_of(listener);
	struct real_world *w = real_world(listener->loop->world);
	if (s->paused == paused)
		return;
	pthread_mutex_lock(&w->lock); /* others look at it when they connect inside the process */
	s->paused = paused;
	pthread_mutex_unlock(&w->lock);
	set_waiting(s);
}

static void listener_close(struct sd_listener *listener)
{
	struct real_listener *s = listener_of(listener);
	if (s->fd < 0)
		inproc_remove(s);
	else if (s->starved)
		sd_list_del(&s->link);
	sd_loop_timer_cancel(listener->loop, &s->retry);
	if (s->ev)
		event_free(s->ev);
	if (s->fd >= 0) {
		close(s->fd);
		if (s->name[0])
			unlink(s->name);
	}
	free(s);
}

static const struct sd_listener_ops listener_ops = {.pause = listener_pause, .close = listener_close};

static enum sd_err wait_on_socket(struct real_listener *s, struct sd_addr *addr, bool shared, struct sd_error *e)
{
	enum sd_err err = open_listener(addr, shared, &s->fd, e);
	if (err)
		return err;
	s->ev = event_new(real_loop(s->listener.loop)->base, s->fd, EV_READ | EV_PERSIST, on_accept, s);
	if (!s->ev)
		return sd_fail(e, SD_ENOMEM, "cannot listen: out of memory");
	event_add(s->ev, NULL);
	return SD_OK;
}

enum sd_err real_listen(struct sd_loop *l, struct sd_addr *addr, bool shared,
			const struct sd_listener_events *events, struct sd_listener **out, struct sd_error *e)
{
	char text[SD_ADDR_TEXT];
	enum sd_err err = SD_OK;
	struct real_listener *s = calloc(1, sizeof(*s));
	if (!s)
		return sd_fail(e, SD_ENOMEM, "cannot listen on %s: out of memory", sd_addr_format(addr, text));
	s->listener = (struct sd_listener){&listener_ops, l, *events};
	s->fd = -1;
	s->retry.fn = on_retry;
	sd_list_init(&s->link);
	if (addr->kind == SD_ADDR_INPROC)
		inproc_add(s);
	else
		err = wait_on_socket(s, addr, shared, e);
	if (err) {
		listener_close(&s->listener);
		return err;
	}
	if (addr->kind == SD_ADDR_UNIX || addr->kind == SD_ADDR_INPROC)
		memcpy(s->name, addr->name, sizeof(s->name));
	*out = &s->listener;
	return SD_OK;
}
