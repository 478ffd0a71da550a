/* mq_clients.c - connections: between streams and mq_conn. */
#include <stdio.h>
#include <stdlib.h>

#include "mq_shell.h"

#define IN_LIMIT  (64 * 1024)
#define KEEP	  4096 /* a connection keeps an output buffer of this size; larger ones are lent, or freed */
#define SPARE	  (256 * 1024)
#define FINISH_NS 5000000000
#define FULL	  (256 * 1024 - 1) /* of what waits to be sent: above, nothing more is delivered */

static struct mq_client *client_of(struct mq_conn *c)
{
	return sd_container(c, struct mq_client, conn);
}

static void wake(struct mq_conn *c)
{
	struct mq_client *client = client_of(c);
	sd_list_add(&client->shell->dirty, &client->of_dirty);
	mq_shell_turn(client->shell);
}

static void say(void *arg, const char *event, const char *text)
{
	const struct mq_shell *s = arg;
	sd_event(s->run->log, SD_WARN, event, NULL, "%s", text);
}

void mq_clients_begin(struct mq_shell *s)
{
	sd_list_init(&s->dirty);
	s->hub.wake = wake;
	s->hub.say = say;
	s->hub.arg = s;
}

/* ---- the end of one ---- */

static void client_free(struct mq_client *c)
{
	struct mq_shell *s = c->shell;
	c->conn.dirty = true; /* nobody is to be woken any more */
	mq_conn_end(&c->conn);
	sd_list_del(&c->of_dirty);
	free(c);
	mq_shell_turn(s); /* what it had goes to others */
}

static void close_client(struct mq_client *c)
{
	sd_stream_close(c->stream);
	client_free(c);
}

static void finish_client(struct mq_client *c)
{
	struct sd_stream *stream = c->stream;
	int64_t until = sd_loop_now_ns(c->shell->loop) + FINISH_NS;
	client_free(c);
	sd_stream_finish(stream, until, true, NULL, NULL);
}

/* ---- output ---- */

static void lend(struct mq_client *c)
{
	if (c->conn.out.p || !c->shell->spare.p)
		return;
	c->conn.out = c->shell->spare;
	c->shell->spare = (struct sd_text){0};
}

static void take_back(struct mq_client *c)
{
	struct sd_text *out = &c->conn.out;
	bool small = out->room <= KEEP;
	if (out->n || (small && c->shell->spare.p))
		return;
	if (c->shell->spare.p || out->room > SPARE)
		free(out->p);
	else
		c->shell->spare = *out;
	*out = (struct sd_text){0};
}

/* A frame must fit into what the stream keeps. */
static void want(struct mq_client *c)
{
	size_t need = mq_conn_need(&c->conn);
	c->stream->in_limit = need > IN_LIMIT ? (uint32_t)need : IN_LIMIT;
}

static void set_deadline(struct mq_client *c)
{
	int64_t next = mq_conn_next(&c->conn);
	sd_stream_deadline(c->stream, next == MQ_CONN_NEVER ? SD_NEVER : next * 1000000);
}

/* Deliveries that waited for room go on when others had their turn. */
static void sent(struct mq_client *c)
{
	bool held = c->conn.held;
	mq_conn_sent(&c->conn, sd_stream_backlog(c->stream), mq_shell_now_ms(c->shell));
	if (held && !c->conn.held)
		sd_loop_post(c->shell->loop, &c->shell->again);
}

static void flush(struct mq_client *c)
{
	struct sd_text *out = &c->conn.out;
	mq_conn_turn(&c->conn, mq_shell_now_ms(c->shell));
	if (out->full) { /* no memory for what it was to be told */
		close_client(c);
		return;
	}
	size_t n = out->n;
	if (n) {
		sd_stream_write(c->stream, out->p, n);
		c->shell->hub.count.bytes_out += n;
		c->conn.bytes_out += n;
		out->n = 0;
		sent(c);
	}
	take_back(c);
	if (c->conn.state == MQ_CONN_CLOSED) {
		finish_client(c);
		return;
	}
	want(c);
	set_deadline(c);
	if (c->stream->in_len)
		sd_stream_resume(c->stream);
}

void mq_clients_flush(struct mq_shell *s)
{
	struct sd_link now = s->dirty;
	if (sd_list_empty(&s->dirty))
		return;
	now.next->prev = now.prev->next = &now; /* those that are woken meanwhile are for the next turn */
	sd_list_init(&s->dirty);
	while (!sd_list_empty(&now)) {
		struct mq_client *c = sd_container(now.next, struct mq_client, of_dirty);
		sd_list_del(&c->of_dirty);
		c->conn.dirty = false;
		flush(c);
	}
}

/* ---- the stream ---- */

static size_t on_data(struct sd_stream *stream, const char *p, size_t n)
{
	struct mq_client *c = stream->owner;
	struct mq_shell *s = c->shell;
	mq_shell_time(s);
	lend(c);
	size_t took = mq_conn_input(&c->conn, p, n, mq_shell_now_ms(s));
	want(c);
	take_back(c);
	mq_shell_turn(s);
	return took;
}

static void on_drained(struct sd_stream *stream)
{
	sent(stream->owner);
	sd_stream_resume(stream);
}

static void on_eof(struct sd_stream *stream)
{
	finish_client(stream->owner);
}

static void on_closed(struct sd_stream *stream, enum sd_err why)
{
	(void)why;
	close_client(stream->owner);
}

static void on_timeout(struct sd_stream *stream)
{
	struct mq_client *c = stream->owner;
	mq_shell_time(c->shell);
	if (stream->connecting) { /* a handshake of TLS that takes too long */
		close_client(c);
		return;
	}
	mq_conn_time(&c->conn, mq_shell_now_ms(c->shell));
	set_deadline(c);
}

static void on_connected(struct sd_stream *stream)
{
	(void)stream; /* the time to log in goes on */
}

static const struct sd_stream_events events = {
    .connected = on_connected,
    .data = on_data,
    .eof = on_eof,
    .drained = on_drained,
    .timeout = on_timeout,
    .closed = on_closed,
};

bool mq_clients_is_local(const struct sd_peer *p)
{
	static const uint8_t one[16] = {[15] = 1};
	if (p->kind != SD_ADDR_INET)
		return true;
	return p->v6 ? memcmp(p->ip, one, 16) == 0 : p->ip[0] == 127;
}

void mq_clients_accepted(void *arg, struct sd_io *io, bool secure, struct sd_client_pass pass)
{
	struct mq_shell *s = arg;
	struct mq_client *c = calloc(1, sizeof(*c));
	struct sd_peer peer = io->peer;
	struct sd_stream *stream = c ? sd_stream_new(io, secure, IN_LIMIT, &events, c) : NULL;
	char ip[46], text[64];
	if (!stream) {
		if (!c)
			io->ops->close(io, true);
		free(c);
		sd_client_pass_end(&pass);
		return;
	}
	sd_peer_format(&peer, ip);
	snprintf(text, sizeof(text), peer.v6 ? "[%s]:%u" : "%s:%u", ip, peer.port);
	stream->pass = pass;
	stream->high = FULL;
	stream->low = FULL / 2;
	c->shell = s;
	c->stream = stream;
	sd_list_init(&c->of_dirty);
	mq_conn_begin(&c->conn, &s->hub, text, mq_clients_is_local(&peer), mq_shell_now_ms(s));
	set_deadline(c);
}

void mq_clients_end(struct mq_shell *s, bool at_once)
{
	for (struct sd_link *k = s->hub.conns.next, *next; k != &s->hub.conns; k = next) {
		struct mq_client *c = sd_container(k, struct mq_client, conn.of_hub);
		next = k->next;
		if (at_once)
			close_client(c);
		else
			mq_conn_shut(&c->conn, mq_shell_now_ms(s));
	}
}
