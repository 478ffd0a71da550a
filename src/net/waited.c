#include "waited.h"

#include <stdarg.h>
#include <stdio.h>

#include "connect.h"
#include "core/list.h"

void sd_waited_wake(struct sd_waited *c)
{
	if (c->woken)
		c->woken(c);
	else
		sd_loop_stop(c->loop);
}

void sd_waited_end(struct sd_waited *c, enum sd_err err, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	if (!c->err) {
		vsnprintf(c->why.text, sizeof(c->why.text), format, args);
		c->err = c->why.code = err;
	}
	va_end(args);
	sd_waited_wake(c);
}

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	struct sd_waited *c = s->owner;
	size_t took = c->to.data(c, p, n);
	return c->err ? n : took;
}

static void on_connected(struct sd_stream *s)
{
	struct sd_waited *c = s->owner;
	c->connected = true;
	sd_stream_deadline(s, SD_NEVER);
	sd_loop_stop(c->loop);
}

static void on_eof(struct sd_stream *s)
{
	struct sd_waited *c = s->owner;
	sd_waited_end(c, SD_EEOF, "the %s closed the connection", c->to.peer);
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	sd_waited_end(s->owner, why, "%s", sd_stream_why(s, why));
}

static void on_timeout(struct sd_stream *s)
{
	sd_waited_end(s->owner, SD_ETIMEOUT, "no connection in time");
}

static const struct sd_stream_events events = {
    .connected = on_connected,
    .data = on_data,
    .eof = on_eof,
    .timeout = on_timeout,
    .closed = on_closed,
};

static void on_late(struct sd_timer *t)
{
	struct sd_waited *c = sd_container(t, struct sd_waited, timer);
	c->late = true;
	sd_loop_stop(c->loop);
}

enum sd_err sd_waited_until(struct sd_waited *c, bool (*done)(const struct sd_waited *c), int64_t timeout_ns, struct sd_error *e)
{
	c->late = false;
	if (!c->err && !done(c))
		sd_stream_resume(c->stream);
	if (timeout_ns != SD_NEVER)
		sd_loop_timer_set(c->loop, &c->timer, sd_world_mono_ns(sd_loop_world(c->loop)) + timeout_ns);
	while (!done(c) && !c->err && !c->late)
		sd_loop_run(c->loop);
	sd_loop_timer_cancel(c->loop, &c->timer);
	if (done(c))
		return SD_OK;
	return c->err ? sd_fail(e, c->err, "%s", c->why.text) : sd_fail(e, SD_ETIMEOUT, "no answer in time");
}

enum sd_err sd_waited_open(struct sd_waited *c, struct sd_world *w, const struct sd_waited_target *to, struct sd_error *e)
{
	struct sd_addr addr = to->addr;
	*c = (struct sd_waited){.to = *to, .timer.fn = on_late, .loop = sd_loop_new(w, e)};
	if (!c->loop)
		return e ? e->code : SD_ENOMEM;
	enum sd_err err = addr.kind == SD_ADDR_NAME ? sd_resolve_wait(w, &addr, e) : SD_OK;
	if (!err && to->tls && !(c->tls = sd_tls_target_new(to->tls, to->tls_name)))
		err = sd_fail(e, SD_ENOMEM, "out of memory");
	struct sd_connect how = {.addr = &addr, .tls = c->tls, .in_limit = to->in_limit};
	if (!err)
		err = sd_stream_connect(c->loop, &how, &events, c, &c->stream, e);
	if (err)
		return c->err = err;
	sd_stream_deadline(c->stream, sd_world_mono_ns(w) + to->timeout_ns);
	while (!c->connected && !c->err)
		sd_loop_run(c->loop);
	return c->err ? sd_fail(e, c->err, "%s", c->why.text) : SD_OK;
}

void sd_waited_close(struct sd_waited *c)
{
	if (c->stream)
		sd_stream_close(c->stream);
	if (c->loop) {
		sd_loop_timer_cancel(c->loop, &c->timer);
		sd_loop_flush(c->loop);
	}
	sd_tls_target_free(c->tls);
	sd_loop_free(c->loop);
}
