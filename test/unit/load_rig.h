/* load_rig.h - a server on a thread of its own that writes down each request and says what the test wants, byte for byte.
 * What it wrote down is read after rig_stop.
 */
#ifndef LOAD_RIG_H
#define LOAD_RIG_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../applets/load/load.h"
#include "load_conf.h"
#include "net/stream.h"

#define RIG_LOG 1000

struct rig_request {
	char method[16], path[200], body[200];
};

struct rig {
	struct sd_world *world;
	struct sd_loop *loop;
	struct sd_listener *listener;
	struct sd_addr addr;
	struct sd_task stop;
	/* the answer to the n-th request; one that ends the connection says so by *close */
	const char *(*answer)(size_t n, bool *close);
	struct rig_request log[RIG_LOG];
	size_t n;
};

/* An answer leaves byte by byte, one each turn of the loop. */
struct rig_conn {
	struct rig *rig;
	struct sd_stream *stream;
	struct sd_timer timer;
	const char *left;
	bool close;
};

static void rig_end(struct rig_conn *c)
{
	sd_loop_timer_cancel(c->rig->loop, &c->timer);
	sd_stream_close(c->stream);
	free(c);
}

static void rig_next_byte(struct sd_timer *t)
{
	struct rig_conn *c = sd_container(t, struct rig_conn, timer);
	if (*c->left) {
		sd_stream_write(c->stream, c->left++, 1);
		sd_loop_timer_set(c->rig->loop, &c->timer, sd_loop_now_ns(c->rig->loop));
	} else if (c->close) {
		sd_stream_finish(c->stream, sd_loop_now_ns(c->rig->loop) + 1000 * MS, false, NULL, NULL);
		free(c);
	} else {
		c->left = NULL;
		sd_stream_resume(c->stream);
	}
}

static void rig_copy(char *to, size_t room, struct sd_slice s)
{
	snprintf(to, room, "%.*s", (int)s.n, s.p);
}

static size_t rig_data(struct sd_stream *s, const char *p, size_t n)
{
	struct rig_conn *c = s->owner;
	struct rig *rig = c->rig;
	struct sd_http_head head;
	ssize_t took = c->left ? 0 : sd_http_parse_request(p, n, 0, NULL, &head);
	if (took <= 0)
		return 0;
	size_t body = head.framing == SD_HTTP_BODY_LENGTH ? (size_t)head.content_length : 0;
	if ((size_t)took + body > n)
		return 0;
	if (rig->n < RIG_LOG) {
		struct rig_request *r = &rig->log[rig->n];
		rig_copy(r->method, sizeof(r->method), head.method_text);
		rig_copy(r->path, sizeof(r->path), head.target);
		rig_copy(r->body, sizeof(r->body), (struct sd_slice){p + took, body});
	}
	c->close = false;
	c->left = rig->answer(rig->n++, &c->close);
	sd_loop_timer_set(rig->loop, &c->timer, sd_loop_now_ns(rig->loop));
	return (size_t)took + body;
}

static void rig_eof(struct sd_stream *s)
{
	rig_end(s->owner);
}

static void rig_closed(struct sd_stream *s, enum sd_err why)
{
	(void)why;
	rig_end(s->owner);
}

static void rig_accepted(void *arg, struct sd_io *io)
{
	static const struct sd_stream_events events = {.data = rig_data, .eof = rig_eof, .timeout = rig_eof, .closed = rig_closed};
	struct rig_conn *c = calloc(1, sizeof(*c));
	c->rig = arg;
	c->timer.fn = rig_next_byte;
	c->stream = sd_stream_new(io, false, 65536, &events, c);
}

static void rig_on_stop(struct sd_task *t)
{
	struct rig *rig = sd_container(t, struct rig, stop);
	sd_listener_close(rig->listener);
	sd_loop_stop(rig->loop);
}

static struct rig *rig_start(struct sd_world *world, const char *(*answer)(size_t n, bool *close))
{
	struct rig *rig = calloc(1, sizeof(*rig));
	struct sd_error e = {0};
	struct sd_listener_events events = {.accepted = rig_accepted, .arg = rig};
	rig->world = world;
	rig->answer = answer;
	rig->stop.fn = rig_on_stop;
	rig->loop = sd_loop_new(world, &e);
	ck_assert_int_eq(sd_addr_parse("127.0.0.1:0", NULL, &rig->addr, &e), SD_OK);
	ck_assert_msg(sd_loop_listen(rig->loop, &rig->addr, false, &events, &rig->listener, &e) == SD_OK, "%s", e.text);
	ck_assert_int_eq(sd_loop_start(rig->loop, "rig", &e), SD_OK);
	return rig;
}

/* All clients are gone by then. */
static void rig_stop(struct rig *rig)
{
	sd_loop_post(rig->loop, &rig->stop);
	sd_loop_join(rig->loop);
	sd_loop_free(rig->loop);
}

#endif
