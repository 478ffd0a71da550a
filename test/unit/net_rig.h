/* net_rig.h - a loop that runs on a thread of its own, and raw sockets that talk to it from the thread of the test.
 *
 * A test is a script: it sends, waits for what must come, and looks at things that belong to the loop only through
 * rig_call, which runs a function there. Nothing sleeps: each wait has a condition and a deadline that fails the test.
 */
#ifndef NET_RIG_H
#define NET_RIG_H

#include <arpa/inet.h>
#include <check.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include "world/loop.h"

#ifdef SD_SANITIZED
#define RIG_WAIT_MS 20000
#else
#define RIG_WAIT_MS 5000
#endif
#define MS 1000000ll

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"

static int64_t rig_now_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

/* ---- the loop ---- */

struct rig {
	struct sd_world *world;
	struct sd_loop *loop;
	pthread_t thread;
	bool running;
};

static void *rig_main(void *arg)
{
	struct rig *r = arg;
	sd_loop_run(r->loop);
	return NULL;
}

static void rig_make(struct rig *r)
{
	struct sd_error e = {0};
	*r = (struct rig){.world = sd_world_real()};
	ck_assert_ptr_nonnull(r->world);
	r->loop = sd_loop_new(r->world, &e);
	ck_assert_msg(r->loop != NULL, "%s", e.text);
}

static void rig_run(struct rig *r)
{
	ck_assert_int_eq(pthread_create(&r->thread, NULL, rig_main, r), 0);
	r->running = true;
}

struct rig_visit {
	struct sd_task task;
	void (*fn)(void *arg);
	void *arg;
	sem_t done;
};

static void rig_on_visit(struct sd_task *t)
{
	struct rig_visit *v = sd_container(t, struct rig_visit, task);
	v->fn(v->arg);
	sem_post(&v->done);
}

/* Runs fn(arg) on the loop and returns when it did. */
static void rig_call(struct rig *r, void (*fn)(void *arg), void *arg)
{
	struct rig_visit v = {.task = {.fn = rig_on_visit}, .fn = fn, .arg = arg};
	if (!r->running) {
		fn(arg);
		return;
	}
	sem_init(&v.done, 0, 0);
	sd_loop_post(r->loop, &v.task);
	while (sem_wait(&v.done) < 0)
		;
	sem_destroy(&v.done);
}

/* What belongs to the loop is read there: SEEN(&f->rig, f->requests). */
struct rig_copy {
	const void *from;
	void *to;
	size_t n;
};

static void rig_on_copy(void *arg)
{
	const struct rig_copy *c = arg;
	memcpy(c->to, c->from, c->n);
}

static void rig_read(struct rig *r, const void *from, void *to, size_t n)
{
	struct rig_copy c = {from, to, n};
	rig_call(r, rig_on_copy, &c);
}

#define SEEN(rig, what)                                                                                      \
	({                                                                                                   \
		__typeof__(what) seen_;                                                                      \
		rig_read(rig, &(what), &seen_, sizeof(seen_));                                               \
		seen_;                                                                                       \
	})

static void rig_halt(struct rig *r)
{
	if (!r->running)
		return;
	sd_loop_stop(r->loop);
	pthread_join(r->thread, NULL);
	r->running = false;
	sd_loop_flush(r->loop);
}

static void rig_free(struct rig *r)
{
	rig_halt(r);
	sd_loop_free(r->loop);
	sd_world_free(r->world);
}

/* A condition that is looked at on the loop until it holds. */
struct rig_wish {
	bool (*holds)(void *arg);
	void *arg;
	bool held;
};

static void rig_look(void *arg)
{
	struct rig_wish *w = arg;
	w->held = w->holds(w->arg);
}

static void rig_wait(struct rig *r, const char *what, bool (*holds)(void *arg), void *arg)
{
	struct rig_wish w = {holds, arg, false};
	int64_t end = rig_now_ns() + RIG_WAIT_MS * MS;
	for (;;) {
		rig_call(r, rig_look, &w);
		if (w.held)
			return;
		ck_assert_msg(rig_now_ns() < end, "waited in vain for: %s", what);
		poll(NULL, 0, 1);
	}
}

/* ---- raw sockets ---- */

/* One end of a connection, with what came and was not looked at yet. */
struct peer {
	int fd;
	char *in;
	size_t n, cap;
	bool eof;
	int err; /* errno of a read that failed */
	char head[20000];
	char *body; /* of the last message */
	size_t body_n;
};

static void peer_close(struct peer *p)
{
	if (p->fd >= 0)
		close(p->fd);
	p->fd = -1;
}

static void peer_reset(struct peer *p)
{
	struct linger hard = {1, 0};
	setsockopt(p->fd, SOL_SOCKET, SO_LINGER, &hard, sizeof(hard));
	peer_close(p);
}

static void peer_free(struct peer *p)
{
	peer_close(p);
	free(p->in);
	free(p->body);
	free(p);
}

static struct peer *peer_new(int fd)
{
	struct peer *p = calloc(1, sizeof(*p));
	ck_assert_ptr_nonnull(p);
	ck_assert_int_ge(fd, 0);
	p->fd = fd;
	return p;
}

static struct sockaddr_in rig_sockaddr(uint16_t port)
{
	return (struct sockaddr_in){
	    .sin_family = AF_INET, .sin_port = htons(port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
}

/* rcvbuf 0: as the kernel likes. */
static struct peer *peer_connect_with(uint16_t port, int rcvbuf)
{
	struct sockaddr_in a = rig_sockaddr(port);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	if (rcvbuf)
		setsockopt(fd, SOL_SOCKET, SO_RCVBUF, &rcvbuf, sizeof(rcvbuf));
	ck_assert_msg(connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "connect: %s", strerror(errno));
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return peer_new(fd);
}

static struct peer *peer_connect(uint16_t port)
{
	return peer_connect_with(port, 0);
}

/* A port on which nobody listens, and that nobody else gets until this is closed: a connection to it is refused. 0: any. */
static int rig_hold(uint16_t *port)
{
	struct sockaddr_in a = rig_sockaddr(*port);
	socklen_t n = sizeof(a);
	int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_ge(fd, 0);
	setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof(one));
	setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &one, sizeof(one)); /* held and listened on */
	ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(getsockname(fd, (struct sockaddr *)&a, &n), 0);
	*port = ntohs(a.sin_port);
	return fd;
}

static int rig_listen(uint16_t *port)
{
	int fd = rig_hold(port);
	ck_assert_int_eq(listen(fd, 1024), 0);
	return fd;
}

static bool rig_readable(int fd, int ms)
{
	struct pollfd p = {.fd = fd, .events = POLLIN};
	return poll(&p, 1, ms) == 1;
}

static struct peer *peer_accept(int listener)
{
	int one = 1;
	ck_assert_msg(rig_readable(listener, RIG_WAIT_MS), "nobody connected");
	int fd = accept4(listener, NULL, NULL, SOCK_CLOEXEC);
	ck_assert_int_ge(fd, 0);
	setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof(one));
	return peer_new(fd);
}

static void peer_send(struct peer *p, const void *bytes, size_t n)
{
	const char *from = bytes;
	while (n > 0) {
		struct pollfd w = {.fd = p->fd, .events = POLLOUT};
		ck_assert_msg(poll(&w, 1, RIG_WAIT_MS) == 1, "the other side takes nothing");
		ssize_t put = send(p->fd, from, n, MSG_NOSIGNAL | MSG_DONTWAIT);
		if (put < 0 && errno == EAGAIN)
			continue;
		ck_assert_msg(put > 0, "send: %s", strerror(errno));
		from += put;
		n -= (size_t)put;
	}
}

static void peer_say(struct peer *p, const char *text)
{
	peer_send(p, text, strlen(text));
}

/* Sends as much as the other side takes without waiting; -1: it closed. */
static ssize_t peer_send_some(struct peer *p, const void *bytes, size_t n)
{
	ssize_t put = send(p->fd, bytes, n, MSG_NOSIGNAL | MSG_DONTWAIT);
	return put < 0 && errno == EAGAIN ? 0 : put;
}

static void peer_shut(struct peer *p)
{
	shutdown(p->fd, SHUT_WR);
}

/* Reads what comes within ms; false when nothing did. */
static bool peer_fill(struct peer *p, int ms)
{
	if (p->eof || p->err || !rig_readable(p->fd, ms))
		return false;
	if (p->cap - p->n < 65536) {
		p->cap = (p->cap + 65536) * 2;
		p->in = realloc(p->in, p->cap);
		ck_assert_ptr_nonnull(p->in);
	}
	ssize_t got = recv(p->fd, p->in + p->n, p->cap - p->n, MSG_DONTWAIT);
	if (got > 0)
		p->n += (size_t)got;
	else if (got == 0)
		p->eof = true;
	else if (errno != EAGAIN)
		p->err = errno;
	return got > 0;
}

static void peer_take(struct peer *p, size_t n)
{
	memmove(p->in, p->in + n, p->n - n);
	p->n -= n;
}

static void peer_need(struct peer *p, size_t n)
{
	while (p->n < n)
		ck_assert_msg(peer_fill(p, RIG_WAIT_MS), "expected %zu bytes, got %zu, then %s", n, p->n,
			      p->eof   ? "the end"
			      : p->err ? strerror(p->err)
				       : "nothing");
}

/* The next line, without CRLF, into out. */
static void peer_line(struct peer *p, char *out, size_t cap)
{
	for (size_t i = 0;; i++) {
		peer_need(p, i + 1);
		if (p->in[i] != '\n')
			continue;
		ck_assert_uint_lt(i, cap);
		memcpy(out, p->in, i);
		out[i > 0 ? i - 1 : 0] = '\0';
		peer_take(p, i + 1);
		return;
	}
}

/* Reads a head with its empty line; p->head is its text. */
static const char *peer_head(struct peer *p)
{
	size_t n = 0;
	for (;;) {
		char line[20000];
		peer_line(p, line, sizeof(line));
		ck_assert_uint_lt(n + strlen(line) + 3, sizeof(p->head));
		n += (size_t)snprintf(p->head + n, sizeof(p->head) - n, "%s\r\n", line);
		if (!*line)
			return p->head;
	}
}

static void peer_append_body(struct peer *p, size_t n)
{
	peer_need(p, n);
	p->body = realloc(p->body, p->body_n + n + 1);
	ck_assert_ptr_nonnull(p->body);
	if (n)
		memcpy(p->body + p->body_n, p->in, n);
	p->body_n += n;
	p->body[p->body_n] = '\0';
	peer_take(p, n);
}

static void peer_chunks(struct peer *p)
{
	char line[256];
	for (;;) {
		peer_line(p, line, sizeof(line));
		size_t n = strtoul(line, NULL, 16);
		if (n)
			peer_append_body(p, n);
		peer_line(p, line, sizeof(line));
		ck_assert_msg(!*line, "expected the end of a chunk, found \"%s\"", line);
		if (n == 0)
			return;
	}
}

/* Reads the body that p->head announces. */
static void peer_body(struct peer *p)
{
	const char *length = strcasestr(p->head, "\r\nContent-Length: ");
	p->body_n = 0;
	peer_append_body(p, 0);
	if (strcasestr(p->head, "\r\nTransfer-Encoding: chunked"))
		peer_chunks(p);
	else if (length)
		peer_append_body(p, strtoul(length + 18, NULL, 10));
}

static int peer_status(const struct peer *p)
{
	int status = 0;
	ck_assert_msg(sscanf(p->head, "HTTP/1.1 %3d", &status) == 1, "expected a status line: %s", p->head);
	return status;
}

/* Reads a whole answer and checks its status. */
static const char *peer_answer(struct peer *p, int status)
{
	peer_head(p);
	ck_assert_msg(peer_status(p) == status, "expected %d, got: %s", status, p->head);
	if (status >= 200 && status != 204 && status != 304)
		peer_body(p);
	return p->body;
}

/* Reads a whole request: head and body. */
static const char *peer_request(struct peer *p)
{
	peer_head(p);
	peer_body(p);
	return p->head;
}

static bool peer_has(const struct peer *p, const char *line)
{
	char text[512];
	snprintf(text, sizeof(text), "\r\n%s\r\n", line);
	return strstr(p->head, text) != NULL;
}

/* Nothing more comes, and the other side closed in order. */
static void peer_ends(struct peer *p)
{
	while (peer_fill(p, RIG_WAIT_MS))
		;
	ck_assert_msg(p->eof, "expected the end, found %s", p->err ? strerror(p->err) : "nothing");
	ck_assert_msg(p->n == 0, "expected the end, found \"%.*s\"", (int)p->n, p->in);
}

/* The other side closed, in order or with a reset; what came before is kept. */
static void peer_is_closed(struct peer *p)
{
	while (peer_fill(p, RIG_WAIT_MS))
		;
	ck_assert_msg(p->eof || p->err, "expected the connection to be closed");
}

/* The other side cut the connection, so that what came cannot be taken for all. */
static void peer_is_cut(struct peer *p)
{
	peer_is_closed(p);
	ck_assert_msg(p->err == ECONNRESET, "expected a reset, found %s", p->eof ? "the end" : strerror(p->err));
}

/* For a short while nothing comes and nothing ends: for what must not happen. */
static void peer_is_quiet(struct peer *p)
{
	ck_assert_uint_eq(p->n, 0);
	ck_assert_msg(!rig_readable(p->fd, 30), "expected nothing to come");
}

static int rig_main_of(TCase *const *cases, size_t n, const char *name)
{
	Suite *s = suite_create(name);
	for (size_t i = 0; i < n; i++) {
		tcase_set_timeout(cases[i], 60);
		suite_add_tcase(s, cases[i]);
	}
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}

#pragma GCC diagnostic pop

#endif
