#include "resp_front.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/count.h"

#define SECOND    INT64_C(1000000000)
#define FLUSH_AT  SD_STREAM_HIGH
#define QUERY_MAX (INT64_C(1) << 30) /* bytes of one request */

static const char too_many[] = "-ERR max number of clients reached\r\n";

/* ---- the end of a connection ---- */

static void free_later(struct sd_resp_later *l)
{
	if (l->waits && l->dropped)
		l->dropped(l->arg);
	l->conn->nlater--;
	sd_list_del(&l->link);
	free(l->out.p);
	free(l);
}

static void free_conn(struct sd_resp_conn *c)
{
	if (c->front->events->ended)
		c->front->events->ended(c);
	while (!sd_list_empty(&c->later))
		free_later(sd_container(c->later.next, struct sd_resp_later, link));
	sd_list_del(&c->link);
	sd_list_del(&c->turn);
	c->front->nconns--;
	sd_resp_reader_free(&c->reader);
	free(c->out.p);
	free(c);
}

static void has_left(void *arg)
{
	--*(uint32_t *)arg;
}

/* What was answered goes out; the connection ends after that, and counts as `leaving` until then. */
static void finish_as(struct sd_resp_conn *c, uint32_t *leaving)
{
	++*leaving;
	sd_stream_finish(c->stream, sd_loop_now_ns(c->front->loop) + 5 * SECOND, true, has_left, leaving);
	free_conn(c);
}

static void finish(struct sd_resp_conn *c)
{
	finish_as(c, &c->front->leaving);
}

static void close_conn(struct sd_resp_conn *c)
{
	sd_stream_close(c->stream);
	free_conn(c);
}

/* ---- replies ---- */

static struct sd_resp_later *new_later(struct sd_resp_conn *c)
{
	struct sd_resp_later *l = calloc(1, sizeof(*l));
	if (!l) {
		c->out.full = true;
		return NULL;
	}
	l->conn = c;
	l->out.resp3 = c->out.resp3;
	sd_list_add(&c->later, &l->link);
	c->nlater++;
	return l;
}

/* Replies behind one that waits. */
static void park(struct sd_resp_conn *c)
{
	struct sd_resp_later *l = new_later(c);
	if (!l)
		return;
	l->out = c->out;
	c->out = (struct sd_resp_out){.resp3 = l->out.resp3};
}

/* An idle connection keeps no large buffer. */
static void send_out(struct sd_resp_conn *c)
{
	if (!c->out.n)
		return;
	if (c->nlater) {
		park(c);
		return;
	}
	c->front->out_bytes += c->out.n;
	sd_stream_write(c->stream, c->out.p, c->out.n);
	c->out.n = 0;
	if (c->out.room > 4 * FLUSH_AT) {
		free(c->out.p);
		c->out = (struct sd_resp_out){.resp3 = c->out.resp3, .full = c->out.full};
	}
}

/* Sends, and ends the connection when it is to. */
static void send_or_end(struct sd_resp_conn *c)
{
	c->quit |= c->out.full;
	send_out(c);
	if (c->quit && !c->nlater && !c->busy)
		finish(c);
}

static void send_all(struct sd_resp_front *f)
{
	struct sd_link all;
	sd_list_init(&all);
	while (!sd_list_empty(&f->turn)) {
		struct sd_link *k = f->turn.next;
		sd_list_del(k);
		sd_list_add(&all, k);
	}
	while (!sd_list_empty(&all)) {
		struct sd_resp_conn *c = sd_container(all.next, struct sd_resp_conn, turn);
		sd_list_del(&c->turn);
		send_or_end(c);
	}
}

void sd_resp_front_flush(struct sd_resp_front *f)
{
	if (f->events->settle)
		f->events->settle(f);
	send_all(f);
}

static void on_late(struct sd_task *t)
{
	sd_resp_front_flush(sd_container(t, struct sd_resp_front, late));
}

/* Something is to be sent, or it is to end. */
static void send_soon(struct sd_resp_conn *c)
{
	if (!c->front->events->settle) {
		send_or_end(c);
		return;
	}
	sd_list_del(&c->turn);
	sd_list_add(&c->front->turn, &c->turn);
	sd_loop_defer_late(c->front->loop, &c->front->late);
}

/* ---- replies that come later ---- */

struct sd_resp_later *sd_resp_later_new(struct sd_resp_conn *c, void (*dropped)(void *arg), void *arg)
{
	if (c->front->events->settle)
		c->front->events->settle(c->front);
	send_out(c); /* what was answered before goes in front */
	struct sd_resp_later *l = new_later(c);
	if (!l)
		return NULL;
	l->waits = true;
	l->dropped = dropped;
	l->arg = arg;
	return l;
}

void sd_resp_later_done(struct sd_resp_later *done)
{
	struct sd_resp_conn *c = done->conn;
	done->waits = false;
	while (!sd_list_empty(&c->later)) {
		struct sd_resp_later *l = sd_container(c->later.next, struct sd_resp_later, link);
		if (l->waits)
			break;
		c->quit |= l->out.full;
		c->front->out_bytes += l->out.n;
		sd_stream_write(c->stream, l->out.p, l->out.n);
		free_later(l);
	}
	if (c->busy)
		return;
	if (c->quit && !c->nlater) {
		send_soon(c);
	} else if (c->held && c->nlater < SD_RESP_FRONT_LATER / 2) {
		c->held = false;
		sd_stream_resume(c->stream);
	}
}

/* ---- requests ---- */

/* One large request must fit into what the stream keeps. */
static void want(struct sd_resp_conn *c, size_t need)
{
	uint32_t usual = c->front->in_limit;
	c->stream->in_limit = need > usual ? (uint32_t)need : usual;
}

/* A browser that was made to speak to this port: Redis hangs up on these words, lest the lines behind them be run. */
static bool is_http(const struct sd_resp_reader *r)
{
	return r->argc && (sd_slice_ieq(r->argv[0], "post") || sd_slice_ieq(r->argv[0], "host:"));
}

static void hang_up(struct sd_resp_conn *c)
{
	if (c->front->events->settle)
		c->front->events->settle(c->front);
	c->out.n = 0;
	c->quit = true;
}

static void take(struct sd_resp_conn *c)
{
	if (is_http(&c->reader))
		hang_up(c);
	else if (c->reader.argc)
		c->front->events->call(c, c->reader.argc, c->reader.argv);
	sd_resp_reader_reset(&c->reader);
	c->quit |= c->out.full;
	if (c->nlater && !c->front->events->settle)
		send_out(c);
	if (c->out.n < FLUSH_AT)
		return;
	if (c->front->events->settle)
		c->front->events->settle(c->front);
	send_out(c);
}

static bool may_go_on(const struct sd_resp_conn *c)
{
	return !c->quit && !sd_stream_above_high(c->stream) && c->nlater < SD_RESP_FRONT_LATER;
}

/* A request that is not whole, or none. */
static void stop_at(struct sd_resp_conn *c, ssize_t used)
{
	if (used == SD_RESP_INCOMPLETE) {
		if ((int64_t)c->reader.need > QUERY_MAX)
			c->quit = true;
		else
			want(c, c->reader.need);
		return;
	}
	sd_resp_errorf(&c->out, "ERR %s", c->reader.error);
	c->quit = true;
}

static size_t take_all(struct sd_resp_conn *c, const char *p, size_t n)
{
	struct sd_resp_limits limits = c->front->limits;
	size_t took = 0;
	want(c, c->front->in_limit);
	while (took < n && may_go_on(c)) {
		limits.stranger = !c->authenticated;
		ssize_t used = sd_resp_read(&c->reader, p + took, n - took, &limits);
		if (used < 0) {
			stop_at(c, used);
			break;
		}
		c->front->in_bytes += (uint64_t)used;
		took += (size_t)used;
		take(c);
	}
	return took;
}

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	struct sd_resp_conn *c = s->owner;
	c->busy = true;
	size_t took = take_all(c, p, n);
	c->busy = false;
	c->held = c->nlater >= SD_RESP_FRONT_LATER;
	if (c->quit)
		took = n;
	if (c->out.n || c->quit)
		send_soon(c);
	return took;
}

/* It will not ask any more, but may still want what it asked for. */
static void on_eof(struct sd_stream *s)
{
	struct sd_resp_conn *c = s->owner;
	c->quit = true;
	send_soon(c);
}

static void on_drained(struct sd_stream *s)
{
	sd_stream_resume(s);
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	(void)why;
	close_conn(s->owner);
}

/* A handshake that takes too long. */
static void on_timeout(struct sd_stream *s)
{
	close_conn(s->owner);
}

static void on_connected(struct sd_stream *s)
{
	sd_stream_deadline(s, SD_NEVER);
}

static const struct sd_stream_events events = {
    .connected = on_connected,
    .data = on_data,
    .eof = on_eof,
    .drained = on_drained,
    .timeout = on_timeout,
    .closed = on_closed,
};

/* ---- connections ---- */

void sd_resp_front_begin(struct sd_resp_front *f)
{
	sd_list_init(&f->conns);
	sd_list_init(&f->turn);
	f->late.fn = on_late;
	if (!f->max_rejected)
		f->max_rejected = SD_RESP_FRONT_REJECTED;
}

static void describe(struct sd_resp_conn *c, const struct sd_peer *peer)
{
	char ip[46];
	sd_peer_format(peer, ip);
	snprintf(c->address, sizeof(c->address), peer->v6 ? "[%s]:%u" : "%s:%u", ip, peer->port);
}

static void begin_conn(struct sd_resp_front *f, struct sd_resp_conn *c, const struct sd_peer *peer)
{
	c->front = f;
	c->id = ++f->next_id;
	c->since_ns = sd_loop_now_ns(f->loop);
	c->authenticated = !f->password;
	sd_list_init(&c->later);
	sd_list_init(&c->turn);
	sd_list_add(&f->conns, &c->link);
	f->nconns++;
	f->accepted++;
	describe(c, peer);
	if (f->events->begun)
		f->events->begun(c);
}

static bool is_full(const struct sd_resp_front *f)
{
	return f->max_clients && f->nconns + f->leaving >= f->max_clients;
}

/* Too many are told already that there are too many: this one's descriptor is free again before another is accepted. */
static void turn_away(struct sd_resp_front *f, struct sd_io *io, bool secure)
{
	struct iovec v = {(char *)(uintptr_t)too_many, sizeof(too_many) - 1};
	ssize_t went;
	f->accepted++;
	sd_count(&f->rejected, 1);
	while (!secure && v.iov_len && (went = io->ops->writev(io, &v, 1)) > 0)
		v = (struct iovec){(char *)v.iov_base + went, v.iov_len - (size_t)went};
	io->ops->close(io, false);
}

void sd_resp_front_accept(struct sd_resp_front *f, struct sd_io *io, bool secure, struct sd_client_pass pass)
{
	bool full = is_full(f);
	if (full && f->leaving_rejected >= f->max_rejected) {
		turn_away(f, io, secure);
		sd_client_pass_end(&pass);
		return;
	}
	struct sd_resp_conn *c = calloc(1, f->events->conn_bytes);
	struct sd_peer peer = io->peer;
	if (c)
		c->stream = sd_stream_new(io, secure, f->in_limit, &events, c);
	else
		io->ops->close(io, true);
	if (!c || !c->stream) {
		free(c);
		sd_client_pass_end(&pass);
		return;
	}
	c->stream->pass = pass;
	begin_conn(f, c, &peer);
	if (secure)
		sd_stream_deadline(c->stream, sd_loop_now_ns(f->loop) + 10 * SECOND);
	if (!full)
		return;
	sd_count(&f->rejected, 1);
	sd_stream_write(c->stream, too_many, sizeof(too_many) - 1);
	finish_as(c, &f->leaving_rejected);
}

void sd_resp_front_end(struct sd_resp_front *f, bool at_once)
{
	if (!f->conns.next)
		return;
	if (!at_once)
		sd_resp_front_flush(f);
	while (!sd_list_empty(&f->conns)) {
		struct sd_resp_conn *c = sd_container(f->conns.next, struct sd_resp_conn, link);
		if (at_once)
			close_conn(c);
		else
			finish(c);
	}
}
