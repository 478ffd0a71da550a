/* real_datagrams.c - UDP sockets. */
#include <errno.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "real.h"

#define BATCH 64

struct real_datagrams {
	struct sd_datagrams d;
	int fd;
	struct event *ev;
	struct real_datagrams **here; /* where the callback that runs looks whether it was closed */
};

static struct real_datagrams *real_of(struct sd_datagrams *d)
{
	return sd_container(d, struct real_datagrams, d);
}

static void on_readable(evutil_socket_t fd, short what, void *arg)
{
	struct real_datagrams *r = arg;
	struct sd_loop *l = r->d.loop;
	char *buf = sd_loop_scratch(l);
	(void)what;
	loop_enter(l);
	r->here = &r;
	for (int i = 0; i < BATCH && r; i++) {
		struct sockaddr_storage ss;
		struct sd_addr from;
		socklen_t len = sizeof(ss);
		ssize_t n = recvfrom(fd, buf, SD_LOOP_SCRATCH, 0, (struct sockaddr *)&ss, &len);
		if (n < 0 && (errno == ECONNREFUSED || errno == EINTR))
			continue; /* of one that was sent before */
		if (n < 0)
			break;
		real_addr_of(&ss, &from);
		r->d.events.received(r->d.events.arg, &from, buf, (size_t)n);
	}
	if (r)
		r->here = NULL;
	loop_leave(l);
}

static void send_one(struct sd_datagrams *d, const struct sd_addr *to, const void *p, size_t n)
{
	struct sockaddr_storage ss;
	socklen_t len = real_sockaddr(to, &ss);
	/* lost in the network or here is the same to whoever waits for an answer */
	while (sendto(real_of(d)->fd, p, n, MSG_DONTWAIT, (struct sockaddr *)&ss, len) < 0 && errno == EINTR)
		;
}

static void close_it(struct sd_datagrams *d)
{
	struct real_datagrams *r = real_of(d);
	struct sd_loop *l = d->loop;
	if (r->here)
		*r->here = NULL;
	if (r->ev)
		event_free(r->ev);
	close(r->fd);
	free(r);
	real_fd_freed(l);
}

static const struct sd_datagrams_ops ops = {.send = send_one, .close = close_it};

static enum sd_err open_socket(struct sd_addr *addr, int *out, struct sd_error *e)
{
	struct sockaddr_storage ss;
	char text[SD_ADDR_TEXT];
	int one = 1;
	socklen_t n = real_sockaddr(addr, &ss);
	int fd = socket(ss.ss_family, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (fd >= 0 && addr->v6)
		setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &one, sizeof(one));
	if (fd < 0 || bind(fd, (struct sockaddr *)&ss, n) < 0) {
		int err = errno;
		if (fd >= 0)
			close(fd);
		return sd_fail(e, real_err(err), "cannot take datagrams on %s: %s", sd_addr_format(addr, text), strerror(err));
	}
	n = sizeof(ss);
	if (getsockname(fd, (struct sockaddr *)&ss, &n) == 0)
		real_addr_of(&ss, addr);
	*out = fd;
	return SD_OK;
}

enum sd_err real_datagrams(struct sd_loop *l, struct sd_addr *addr, const struct sd_datagrams_events *events,
			   struct sd_datagrams **out, struct sd_error *e)
{
	int fd = -1;
	enum sd_err err = open_socket(addr, &fd, e);
	if (err)
		return err;
	struct real_datagrams *r = calloc(1, sizeof(*r));
	if (!r) {
		close(fd);
		return sd_fail(e, SD_ENOMEM, "out of memory");
	}
	r->d = (struct sd_datagrams){&ops, l, *events};
	r->fd = fd;
	r->ev = event_new(real_loop(l)->base, fd, EV_READ | EV_PERSIST, on_readable, r);
	if (!r->ev || event_add(r->ev, NULL) < 0) {
		close_it(&r->d);
		return sd_fail(e, SD_ENOMEM, "out of memory");
	}
	*out = &r->d;
	return SD_OK;
}
