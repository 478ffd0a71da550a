/* sim_loopback.c - what a connection inside the machine costs: client and server on a thread each, over TCP on 127.0.0.1.
 *
 *	connects      the client connects, the server closes, the client has seen it: the next one
 *	round trips   one byte there and back on one connection
 *	stream        as many bytes as go, one way, on one connection
 *
 * The first leaves a connection in TIME_WAIT each, on the port of a listener that is gone afterwards; so there is a limit
 * to them.
 */
#include <stdlib.h>
#include <string.h>

#include "core/list.h"
#include "net/stream.h"
#include "sdlab/hdr.h"
#include "sim.h"

#define MAX_CONNECTS 2000
#define PIECE        65536
#define PIECES       16 /* in one callback: others have their turn */

enum job { CONNECTS, TRIPS, STREAM };

/* ---- the server ---- */

struct server {
	enum job job;
	struct sd_loop *loop;
	struct sd_listener *listener;
	struct sd_addr addr;
	struct sd_stream *stream; /* the one connection of trips and stream */
	uint64_t bytes;
	int64_t first_ns, last_ns; /* when bytes came */
};

static size_t server_data(struct sd_stream *s, const char *p, size_t n)
{
	struct server *srv = s->owner;
	srv->last_ns = sd_loop_now_ns(s->loop);
	if (srv->bytes == 0)
		srv->first_ns = srv->last_ns;
	srv->bytes += n;
	if (srv->job == TRIPS)
		sd_stream_write(s, p, n);
	return n;
}

static void server_eof(struct sd_stream *s)
{
	struct server *srv = s->owner;
	srv->stream = NULL;
	sd_stream_close(s);
}

static void server_closed(struct sd_stream *s, enum sd_err why)
{
	(void)why;
	server_eof(s);
}

static void nothing(struct sd_stream *s)
{
	(void)s;
}

static const struct sd_stream_events server_events = {
    .data = server_data,
    .eof = server_eof,
    .drained = nothing,
    .timeout = nothing,
    .closed = server_closed,
};

static void on_accepted(void *arg, struct sd_io *io)
{
	struct server *srv = arg;
	if (srv->job == CONNECTS || srv->stream)
		io->ops->close(io, false);
	else
		srv->stream = sd_stream_new(io, false, PIECE, &server_events, srv);
}

static enum sd_err server_start(struct server *srv, struct sd_world *w, enum job job, struct sd_error *e)
{
	struct sd_listener_events events = {.accepted = on_accepted, .arg = srv};
	*srv = (struct server){.job = job, .addr = {.kind = SD_ADDR_INET, .ip = {127, 0, 0, 1}}};
	srv->loop = sd_loop_new(w, e);
	if (!srv->loop)
		return SD_ENOMEM;
	enum sd_err err = sd_loop_listen(srv->loop, &srv->addr, false, &events, &srv->listener, e);
	return err ? err : sd_loop_start(srv->loop, "sdlab-sim", e);
}

static void server_stop(struct server *srv)
{
	if (srv->loop) {
		sd_loop_stop(srv->loop);
		sd_loop_join(srv->loop);
	}
	if (srv->stream)
		sd_stream_close(srv->stream);
	if (srv->listener)
		sd_listener_close(srv->listener);
	if (srv->loop) {
		sd_loop_flush(srv->loop);
		sd_loop_free(srv->loop);
	}
}

/* ---- the client ---- */

struct client {
	enum job job;
	struct sd_loop *loop;
	const struct sd_addr *addr;
	struct sd_stream *stream;
	struct sd_hdr *times; /* of round trips, ns */
	struct sd_task again;
	struct sd_timer end;
	int64_t start_ns, sent_ns, last_ns;
	uint64_t count;
	struct sd_error *error;
	char piece[PIECE];
};

static void client_end(struct client *c)
{
	if (c->stream)
		sd_stream_close(c->stream);
	c->stream = NULL;
	sd_loop_timer_cancel(c->loop, &c->end);
	sd_loop_stop(c->loop);
}

static void client_fail(struct client *c, enum sd_err why)
{
	if (!c->error->code)
		sd_fail(c->error, why, "loopback: %s", sd_err_text(why));
	client_end(c);
}

/* As much as goes, but not for longer than a while: the clock of the loop stands still during a callback. */
static void pump(struct client *c)
{
	for (int i = 0; i < PIECES && !sd_stream_above_high(c->stream); i++)
		sd_stream_write(c->stream, c->piece, sizeof(c->piece));
	if (!sd_stream_above_high(c->stream))
		sd_loop_post(c->loop, &c->again); /* and not deferred: a deferred task comes before the timers */
}

static void send_byte(struct client *c)
{
	c->sent_ns = sd_loop_now_ns(c->loop);
	sd_stream_write(c->stream, "x", 1);
}

static void client_connected(struct sd_stream *s)
{
	struct client *c = s->owner;
	if (c->job == TRIPS)
		send_byte(c);
	else if (c->job == STREAM)
		pump(c);
}

static size_t client_data(struct sd_stream *s, const char *p, size_t n)
{
	struct client *c = s->owner;
	(void)p;
	c->last_ns = sd_loop_now_ns(c->loop);
	sd_hdr_record(c->times, c->last_ns - c->sent_ns, 1);
	c->count++;
	send_byte(c);
	return n;
}

static void client_eof(struct sd_stream *s)
{
	struct client *c = s->owner;
	if (c->job != CONNECTS) {
		client_fail(c, SD_EEOF);
		return;
	}
	c->count++;
	c->last_ns = sd_loop_now_ns(c->loop);
	sd_stream_close(s);
	c->stream = NULL;
	if (c->count < MAX_CONNECTS)
		sd_loop_defer(c->loop, &c->again);
	else
		client_end(c);
}

static void client_drained(struct sd_stream *s)
{
	struct client *c = s->owner;
	if (c->job == STREAM)
		pump(c);
}

static void client_closed(struct sd_stream *s, enum sd_err why)
{
	client_fail(s->owner, why);
}

static const struct sd_stream_events client_events = {
    .connected = client_connected,
    .data = client_data,
    .eof = client_eof,
    .drained = client_drained,
    .timeout = nothing,
    .closed = client_closed,
};

static void client_connect(struct client *c)
{
	struct sd_io *io;
	enum sd_err err = sd_loop_connect(c->loop, c->addr, &io, c->error);
	if (!err)
		c->stream = sd_stream_new(io, true, PIECE, &client_events, c);
	if (err || !c->stream)
		client_fail(c, err ? err : SD_ENOMEM);
}

/* The next connection, or more of the stream. */
static void on_again(struct sd_task *t)
{
	struct client *c = sd_container(t, struct client, again);
	if (c->job == STREAM && c->stream)
		pump(c);
	else if (c->job == CONNECTS)
		client_connect(c);
}

static void on_end(struct sd_timer *t)
{
	client_end(sd_container(t, struct client, end));
}

/* ---- one measurement ---- */

static int64_t rate(uint64_t n, int64_t ns)
{
	return n > 0 && ns > 0 ? (int64_t)((double)n * 1e9 / (double)ns) : SD_UNKNOWN;
}

static void take_result(const struct client *c, const struct server *srv, struct sim_measured *out)
{
	if (c->job == CONNECTS)
		out->connect_rate = rate(c->count, c->last_ns - c->start_ns);
	if (c->job == STREAM)
		out->stream_rate = rate(srv->bytes, srv->last_ns - srv->first_ns);
	if (c->job != TRIPS || c->count == 0)
		return;
	out->trip_rate = rate(c->count, c->last_ns - c->start_ns);
	out->trip_p50_ns = sd_hdr_percentile(c->times, 50);
	out->trip_p99_ns = sd_hdr_percentile(c->times, 99);
}

static enum sd_err client_make(struct sd_world *w, enum job job, const struct sd_addr *addr, struct client **out,
			       struct sd_error *e)
{
	struct client *c = calloc(1, sizeof(*c));
	*out = c;
	if (!c)
		return sd_fail(e, SD_ENOMEM, "loopback: out of memory");
	c->job = job;
	c->addr = addr;
	c->error = e;
	c->again.fn = on_again;
	c->end.fn = on_end;
	c->times = sd_hdr_new(1, 60000000000, 3);
	c->loop = sd_loop_new(w, e);
	return c->loop && c->times ? SD_OK : sd_fail(e, SD_ENOMEM, "loopback: out of memory or descriptors");
}

static void client_free(struct client *c)
{
	if (!c)
		return;
	if (c->loop) {
		c->job = TRIPS; /* what was posted does nothing any more */
		sd_loop_flush(c->loop);
		sd_loop_free(c->loop);
	}
	sd_hdr_free(c->times);
	free(c);
}

static enum sd_err measure(struct sd_world *w, enum job job, int64_t budget_ns, struct sim_measured *out,
			   struct sd_error *e)
{
	struct server srv;
	struct client *c = NULL;
	enum sd_err err = server_start(&srv, w, job, e);
	if (!err)
		err = client_make(w, job, &srv.addr, &c, e);
	if (!err) {
		c->start_ns = sd_world_mono_ns(w);
		sd_loop_timer_set(c->loop, &c->end, c->start_ns + budget_ns);
		client_connect(c);
		sd_loop_run(c->loop);
		err = e->code;
	}
	server_stop(&srv); /* its counters may be read once its thread is gone */
	if (!err)
		take_result(c, &srv, out);
	client_free(c);
	return err;
}

enum sd_err sim_loopback_measure(struct sd_world *w, int64_t budget_ns, struct sim_measured *out, struct sd_error *e)
{
	static const enum job jobs[] = {CONNECTS, TRIPS, STREAM};
	e->code = SD_OK;
	for (size_t i = 0; i < sizeof(jobs) / sizeof(jobs[0]); i++) {
		enum sd_err err = measure(w, jobs[i], budget_ns, out, e);
		if (err)
			return err;
	}
	return SD_OK;
}
