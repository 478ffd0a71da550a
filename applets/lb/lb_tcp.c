/* lb_tcp.c - TCP mode: bytes both ways, each end shut when its peer shuts it.
 *
 *	accept --> PICK --backend--> CONNECTING --> OPEN --both ends shut, or one broke, or idle too long--> over
 *	            |  ^                 |
 *	            v  +---- another ----+ failed: nothing was sent yet, so any connection may be tried elsewhere
 *	          QUEUED
 *
 * What the client sends meanwhile waits in its stream.
 */
#include <stdlib.h>
#include <string.h>

#include "lb.h"

#define KEEP_MAX (64 * 1024)

struct tunnel {
	struct lb_waiter waiter;
	struct lb_worker *w;
	struct sd_link link; /* in worker->tunnels */
	struct sd_stream *client, *backend;
	struct lb_peer *peer;
	struct lb_snapshot *snap;
	uint32_t tries;
	bool counted, open;
	uint64_t tried[SD_BALANCE_MAX / 64];
};

static const struct sd_stream_events client_events, backend_events;
static void pick_and_connect(struct tunnel *t);

static void give_back(struct tunnel *t)
{
	struct lb_peer *peer = t->peer;
	t->peer = NULL;
	if (peer)
		lb_worker_give_back(t->w, peer, t->counted);
}

static void end(struct tunnel *t, bool cut)
{
	struct lb_worker *w = t->w;
	lb_worker_dequeue(w, &t->waiter);
	if (t->peer && t->backend) {
		sd_count(&t->peer->cell->bytes_in, t->backend->bytes_in);
		sd_count(&t->peer->cell->bytes_out, t->backend->bytes_out);
	}
	for (int i = 0; i < 2; i++) {
		struct sd_stream *s = i ? t->backend : t->client;
		if (!s)
			continue;
		s->owner = NULL;
		if (cut)
			sd_stream_abort(s);
		else
			sd_stream_close(s);
	}
	give_back(t);
	lb_snapshot_release(t->snap);
	sd_list_del(&t->link);
	free(t);
	sd_gauge(&w->ntunnels, -1);
	if (w->draining && w->ntunnels == 0)
		sd_worker_drained(w->w);
}

/* ---- both directions ---- */

static struct sd_stream *other(const struct tunnel *t, const struct sd_stream *s)
{
	return s == t->client ? t->backend : t->client;
}

static void moved(struct tunnel *t)
{
	int64_t ns = t->snap->tunnel_timeout_ns;
	sd_stream_deadline(t->client, ns ? sd_loop_now_ns(t->w->loop) + ns : SD_NEVER);
}

/* No more comes from either side: over when everything is sent. */
static void end_when_sent(struct tunnel *t)
{
	sd_stream_tell_empty(t->client);
	sd_stream_tell_empty(t->backend);
	if (!sd_stream_backlog(t->client) && !sd_stream_backlog(t->backend))
		end(t, false);
}

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	struct tunnel *t = s->owner;
	struct sd_stream *to = other(t, s);
	if (!t->open || sd_stream_above_high(to))
		return 0; /* stays here until the other side takes more */
	moved(t);
	sd_stream_write(to, p, n);
	if (s->got_eof) {
		sd_stream_shutdown_write(to);
		if (to->got_eof && !to->in_len)
			end_when_sent(t);
	}
	return n;
}

static void end_if_both_shut(struct tunnel *t)
{
	if (t->client->got_eof && t->backend->got_eof && !t->client->in_len && !t->backend->in_len)
		end_when_sent(t);
}

static void on_eof(struct sd_stream *s)
{
	struct tunnel *t = s->owner;
	if (!t->open || s->in_len > 0)
		return; /* passed on behind what waits */
	sd_stream_shutdown_write(other(t, s));
	end_if_both_shut(t);
}

static void on_drained(struct sd_stream *s)
{
	struct tunnel *t = s->owner;
	if (!t->open)
		return;
	sd_stream_resume(other(t, s));
	end_if_both_shut(t);
}

static void on_timeout(struct sd_stream *s)
{
	end(s->owner, true);
}

static void on_client_closed(struct sd_stream *s, enum sd_err why)
{
	(void)why;
	end(s->owner, true);
}

/* ---- reaching a backend ---- */

static void connect_failed(struct tunnel *t, enum sd_err why)
{
	struct lb_worker *w = t->w;
	struct lb_peer *peer = t->peer;
	lb_worker_failed(w, peer, why);
	bool more = t->tries < t->snap->retries;
	if (more) {
		t->tries++;
		sd_count(&w->retries, 1);
		sd_count(&peer->cell->retried, 1);
		if (t->snap == w->snap && peer->index != SIZE_MAX)
			t->tried[peer->index / 64] |= 1ull << (peer->index % 64);
	}
	give_back(t);
	if (more)
		pick_and_connect(t);
	else
		end(t, true);
}

static void on_backend_connected(struct sd_stream *s)
{
	struct tunnel *t = s->owner;
	t->open = true;
	lb_worker_succeeded(t->w, t->peer);
	sd_stream_deadline(s, SD_NEVER);
	moved(t);
	if (t->client->in_len > 0)
		sd_stream_resume(t->client);
	else if (t->client->got_eof)
		sd_stream_shutdown_write(s);
}

static void on_backend_closed(struct sd_stream *s, enum sd_err why)
{
	struct tunnel *t = s->owner;
	if (t->open) {
		lb_worker_failed(t->w, t->peer, why);
		end(t, true);
		return;
	}
	t->backend = NULL;
	sd_stream_close(s);
	connect_failed(t, why);
}

static void on_backend_timeout(struct sd_stream *s)
{
	on_backend_closed(s, SD_ETIMEOUT);
}

static const struct sd_stream_events client_events = {
    .data = on_data,
    .eof = on_eof,
    .drained = on_drained,
    .timeout = on_timeout,
    .closed = on_client_closed,
};

static const struct sd_stream_events backend_events = {
    .connected = on_backend_connected,
    .data = on_data,
    .eof = on_eof,
    .drained = on_drained,
    .timeout = on_backend_timeout,
    .closed = on_backend_closed,
};

static void go(struct lb_waiter *self)
{
	pick_and_connect(sd_container(self, struct tunnel, waiter));
}

static void give_up(struct lb_waiter *self, bool timeout)
{
	(void)timeout;
	end(sd_container(self, struct tunnel, waiter), true);
}

static void pick_and_connect(struct tunnel *t)
{
	struct lb_worker *w = t->w;
	struct sd_error e = {0};
	struct sd_io *io;
	if (t->snap != w->snap) {
		lb_snapshot_release(t->snap);
		t->snap = w->snap;
		__atomic_add_fetch(&t->snap->refs, 1, __ATOMIC_RELAXED);
		memset(t->tried, 0, sizeof(t->tried));
	}
	int i = lb_worker_take(w, t->tried, &t->counted);
	if (i == LB_FULL) {
		t->waiter.go = go;
		t->waiter.give_up = give_up;
		if (!lb_worker_enqueue(w, &t->waiter))
			end(t, true);
		return;
	}
	if (i == LB_NONE) {
		sd_count(&w->unavailable, 1);
		end(t, true);
		return;
	}
	t->peer = w->peers[i];
	enum sd_err err = sd_loop_connect(w->loop, &t->peer->pool.addr, &io, &e);
	if (!err && !(t->backend = sd_stream_new(io, true, KEEP_MAX, &backend_events, t)))
		err = SD_ENOMEM;
	if (err == SD_ENOFILES || err == SD_ENOMEM)
		end(t, true); /* our lack, not the backend's fault */
	else if (err)
		connect_failed(t, err);
	else
		sd_stream_deadline(t->backend, sd_loop_now_ns(w->loop) + t->snap->pool.connect_timeout_ns);
}

/* ---- the listener ---- */

static void on_accepted(void *arg, struct sd_io *io)
{
	struct lb_worker *w = arg;
	struct tunnel *t = calloc(1, sizeof(*t));
	if (!t) {
		io->ops->close(io, true);
		return;
	}
	t->w = w;
	t->client = sd_stream_new(io, false, KEEP_MAX, &client_events, t);
	if (!t->client) {
		free(t);
		return;
	}
	t->snap = w->snap;
	__atomic_add_fetch(&t->snap->refs, 1, __ATOMIC_RELAXED);
	sd_list_add(&w->tunnels, &t->link);
	sd_gauge(&w->ntunnels, 1);
	sd_count(&w->tunnels_total, 1);
	pick_and_connect(t);
}

enum sd_err lb_tcp_listen(struct lb_worker *w, struct sd_error *e)
{
	struct sd_run *run = w->lb->run;
	struct sd_listener_events events = {.accepted = on_accepted, .arg = w};
	for (int i = 0; i < run->naddrs; i++) {
		enum sd_err err =
		    sd_loop_listen(w->loop, &run->addrs[i], run->nworkers > 1, &events, &w->listeners[i], e);
		if (err)
			return err;
	}
	return SD_OK;
}

static void close_listeners(struct lb_worker *w)
{
	for (int i = 0; i < SD_RUN_MAX_ADDRS; i++) {
		sd_listener_close(w->listeners[i]);
		w->listeners[i] = NULL;
	}
}

void lb_tcp_drain(struct lb_worker *w)
{
	close_listeners(w);
	if (w->ntunnels == 0)
		sd_worker_drained(w->w);
}

void lb_tcp_stop(struct lb_worker *w)
{
	close_listeners(w);
	w->draining = false;
	while (!sd_list_empty(&w->tunnels))
		end(sd_container(w->tunnels.next, struct tunnel, link), true);
}
