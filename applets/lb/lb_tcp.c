/* lb_tcp.c - tunnels: bytes both ways, each end shut when its peer shuts it. Connections in TCP mode, and requests in HTTP
 * mode that changed their protocol, which begin as OPEN.
 *
 *	accept --> SHAKING or LOOKING --> PICK --backend--> CONNECTING --> OPEN --both ends shut, or one broke, or idle too long--> over
 *	           (or neither)            |  ^                 |
 *	                                   v  +---- another ----+ failed: nothing was sent yet, so any connection may be tried
 *	                                 QUEUED                   elsewhere
 *
 * What the client sends meanwhile waits in its stream. A client of TLS gets no backend before its handshake is over. Where
 * TLS goes through and a route has a name, the first bytes are looked at, and stay in the stream, until they tell the name.
 */
#include <stdlib.h>
#include <string.h>

#include "lb.h"
#include "net/connect.h"

#define KEEP_MAX (64 * 1024)
#define SPLICE  (64 * 1024) /* after so many bytes one way the kernel passes the rest on by itself */
#define IDLE_NS  60000000000 /* a tunnel in which nothing moved for so long is counted as idle */

struct tunnel {
	struct lb_waiter waiter;
	struct lb_worker *w;
	struct sd_link link; /* in worker->tunnels */
	struct sd_stream *client, *backend;
	struct lb_peer *peer;
	struct lb_snapshot *snap;
	const struct sd_stream *one_way; /* who spoke last */
	uint64_t in_a_row;               /* and how many bytes, without the other saying anything */
	int64_t moved_ns; /* when a byte last did */
	uint64_t before_in, before_out; /* bytes of the backend's connection that were none of this tunnel */
	struct lb_affinity want;
	uint32_t pool; /* in snap */
	struct sd_tls_hello *hello; /* from LOOKING until a backend is there: PROXY headers tell the name */
	int64_t called_ns;
	uint32_t tries;
	struct lb_hold hold; /* with peer */
	bool open, idle, looking;
	bool held; /* came from the HTTP server, which counts it */
	uint64_t tried[SD_BALANCE_MAX / 64];
};

static const struct sd_stream_events client_events, backend_events;
static void pick_and_connect(struct tunnel *t);
static void choose_pool(struct tunnel *t);
static void look(struct tunnel *t, const char *p, size_t n);
static void decide(struct tunnel *t, enum sd_tls_hello_is is);

static void give_back(struct tunnel *t)
{
	struct lb_peer *peer = t->peer;
	t->peer = NULL;
	if (peer)
		lb_worker_give_back(t->w, peer, &t->hold);
}

static void set_idle(struct tunnel *t, bool idle)
{
	if (t->idle == idle)
		return;
	t->idle = idle;
	sd_gauge(&t->w->idle_tunnels, idle ? 1 : -1);
}

static void drop_hello(struct tunnel *t)
{
	free(t->hello);
	t->hello = NULL;
}

static void end(struct tunnel *t, bool cut)
{
	struct lb_worker *w = t->w;
	bool held = t->held;
	set_idle(t, false);
	lb_worker_dequeue(w, &t->waiter);
	if (t->peer && t->backend) {
		sd_count(&t->peer->cell->bytes_in, t->backend->bytes_in - t->before_in);
		sd_count(&t->peer->cell->bytes_out, t->backend->bytes_out - t->before_out);
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
	drop_hello(t);
	lb_snapshot_release(t->snap);
	sd_list_del(&t->link);
	free(t);
	sd_gauge(&w->ntunnels, -1);
	if (held)
		sd_http_server_let_go(&w->server);
	else if (w->draining && w->ntunnels == 0)
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
	t->moved_ns = sd_loop_now_ns(t->w->loop);
	set_idle(t, false);
	sd_stream_deadline(t->client, t->moved_ns + (ns && ns < IDLE_NS ? ns : IDLE_NS));
}

/* No more comes from either side: over when everything is sent. */
static void end_when_sent(struct tunnel *t)
{
	sd_stream_tell_empty(t->client);
	sd_stream_tell_empty(t->backend);
	if (sd_stream_all_sent(t->client) && sd_stream_all_sent(t->backend))
		end(t, false);
}

/* A large flow needs nobody to look at it. */
static void maybe_splice(struct tunnel *t, struct sd_stream *s, struct sd_stream *to, size_t n)
{
	t->in_a_row = t->one_way == s ? t->in_a_row + n : n;
	t->one_way = s;
	if (t->in_a_row > SPLICE && !to->out_len && sd_stream_splice(s, to))
		sd_count(&t->w->spliced, 1);
}

static void on_spliced(struct sd_stream *s)
{
	moved(s->owner);
}

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	struct tunnel *t = s->owner;
	struct sd_stream *to = other(t, s);
	if (t->looking) {
		look(t, p, n);
		return 0;
	}
	if (!t->open || sd_stream_above_high(to))
		return 0; /* stays here until the other side takes more */
	moved(t);
	sd_stream_write(to, p, n);
	if (s->got_eof) {
		sd_stream_shutdown_write(to);
		if (to->got_eof && !to->in_len)
			end_when_sent(t);
		return n;
	}
	maybe_splice(t, s, to, n);
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
	if (t->looking && s->in_len > 0) {
		decide(t, SD_TLS_HELLO_MORE);
		return;
	}
	if (t->looking) {
		end(t, false); /* who connects and says nothing is a check of somebody's */
		return;
	}
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
	struct tunnel *t = s->owner;
	int64_t ns = t->snap->tunnel_timeout_ns;
	if (s->connecting) {
		end(t, true); /* its handshake took too long */
		return;
	}
	if (t->looking) {
		decide(t, SD_TLS_HELLO_MORE);
		return;
	}
	if (!ns || sd_loop_now_ns(t->w->loop) - t->moved_ns < ns) {
		set_idle(t, true);
		sd_stream_deadline(s, ns ? t->moved_ns + ns : SD_NEVER);
		return;
	}
	sd_count(&t->w->tunnel_timeouts, 1);
	end(t, true);
}

static void on_client_shaken(struct sd_stream *s)
{
	choose_pool(s->owner);
}

static void on_client_closed(struct sd_stream *s, enum sd_err why)
{
	(void)why;
	end(s->owner, true);
}

/* ---- reaching a backend ---- */

static uint32_t retries_of(const struct tunnel *t)
{
	return t->pool == LB_NO_POOL ? 0 : t->snap->pools[t->pool].retries;
}

static void connect_failed(struct tunnel *t, enum sd_err why)
{
	struct lb_worker *w = t->w;
	struct lb_peer *peer = t->peer;
	lb_worker_failed(w, peer, &t->hold, why);
	bool more = t->tries < retries_of(t) && lb_worker_may_retry(w);
	if (more) {
		t->tries++;
		sd_count(&w->retries, 1);
		sd_count(&peer->cell->retried, 1);
		if (t->snap == w->snap && peer->index != SIZE_MAX && peer->in_pool == t->pool) {
			size_t i = peer->index - t->snap->pools[t->pool].first;
			t->tried[i / 64] |= 1ull << (i % 64);
		}
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
	drop_hello(t);
	lb_worker_succeeded(t->w, t->peer, &t->hold);
	lb_worker_took(t->w, t->peer, sd_loop_now_ns(t->w->loop) - t->called_ns, true);
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
		lb_worker_failed(t->w, t->peer, &t->hold, why);
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
    .connected = on_client_shaken,
    .data = on_data,
    .eof = on_eof,
    .drained = on_drained,
    .timeout = on_timeout,
    .closed = on_client_closed,
    .spliced = on_spliced,
};

static const struct sd_stream_events backend_events = {
    .connected = on_backend_connected,
    .data = on_data,
    .eof = on_eof,
    .drained = on_drained,
    .timeout = on_backend_timeout,
    .closed = on_backend_closed,
    .spliced = on_spliced,
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

static enum sd_err connect_to(struct tunnel *t, struct sd_error *e)
{
	char header[SD_PP_WRITE_MAX];
	struct lb_peer *peer = t->peer;
	struct sd_connect how = {.addr = &peer->pool.addr, .tls = peer->pool.tls, .in_limit = KEEP_MAX};
	if (peer->send_proxy)
		how.first = (struct sd_slice){header, lb_proxy_write(header, peer->send_proxy, t->client->io, t->hello)};
	return sd_stream_connect(t->w->loop, &how, &backend_events, t, &t->backend, e);
}

/* Indices in `tried` and the pool are those of the tunnel's own snapshot. */
static void follow_snapshot(struct tunnel *t)
{
	struct lb_worker *w = t->w;
	if (t->snap == w->snap)
		return;
	t->pool = lb_pool_follow(t->snap, t->pool, w->snap);
	lb_snapshot_release(t->snap);
	t->snap = w->snap;
	__atomic_add_fetch(&t->snap->refs, 1, __ATOMIC_RELAXED);
	memset(t->tried, 0, sizeof(t->tried));
}

static void pick_and_connect(struct tunnel *t)
{
	struct lb_worker *w = t->w;
	struct sd_error e = {0};
	follow_snapshot(t);
	int i = lb_worker_take(w, t->pool, t->tried, &t->want, &t->hold);
	if (i == LB_FULL) {
		t->waiter.go = go;
		t->waiter.give_up = give_up;
		if (!lb_worker_enqueue(w, t->pool, &t->waiter))
			end(t, true);
		return;
	}
	if (i == LB_NONE) {
		sd_count(&w->unavailable, 1);
		end(t, true);
		return;
	}
	t->peer = w->peers[i];
	t->called_ns = sd_loop_now_ns(w->loop);
	enum sd_err err = connect_to(t, &e);
	if (err == SD_ENOFILES || err == SD_ENOMEM)
		end(t, true); /* our lack, not the backend's fault */
	else if (err)
		connect_failed(t, err);
	if (err)
		return;
	sd_stream_deadline(t->backend, sd_loop_now_ns(w->loop) + t->peer->pool.conf.connect_timeout_ns);
}

/* ---- beginnings ---- */

static struct tunnel *tunnel_new(struct lb_worker *w)
{
	struct tunnel *t = calloc(1, sizeof(*t));
	if (t)
		t->w = w;
	return t;
}

static void enlist(struct tunnel *t)
{
	struct lb_worker *w = t->w;
	t->snap = w->snap;
	__atomic_add_fetch(&t->snap->refs, 1, __ATOMIC_RELAXED);
	sd_list_add(&w->tunnels, &t->link);
	sd_gauge(&w->ntunnels, 1);
	sd_count(&w->tunnels_total, 1);
}

static void abandon(struct lb_worker *w, struct sd_stream *client, struct sd_stream *backend, struct lb_peer *peer,
		    const struct lb_hold *hold)
{
	struct lb_hold mine = *hold;
	sd_stream_abort(client);
	sd_stream_abort(backend);
	lb_worker_give_back(w, peer, &mine);
	sd_http_server_let_go(&w->server);
}

void lb_tunnel_begin(struct lb_worker *w, struct sd_http_exchange *x, struct sd_stream *backend, struct lb_peer *peer,
		     const struct lb_hold *hold)
{
	struct tunnel *t = tunnel_new(w);
	sd_http_server_hold(&w->server);
	struct sd_stream *client = sd_http_take_stream(x);
	if (!t) {
		abandon(w, client, backend, peer, hold);
		return;
	}
	t->client = client;
	t->backend = backend;
	t->peer = peer;
	t->hold = *hold;
	t->open = t->held = true;
	t->before_in = backend->bytes_in;
	t->before_out = backend->bytes_out;
	enlist(t);
	sd_count(&w->upgrades, 1);
	sd_stream_hand_over(client, &client_events, t, KEEP_MAX);
	sd_stream_hand_over(backend, &backend_events, t, KEEP_MAX);
	moved(t);
	/* What either said behind its head is kept; a client may have shut its side already. */
	sd_stream_resume(client);
	sd_stream_resume(backend);
	if (client->got_eof && !client->in_len)
		sd_stream_shutdown_write(backend);
}

/* ---- which pool ---- */

static void begin(struct tunnel *t)
{
	struct lb_worker *w = t->w;
	sd_stream_deadline(t->client, SD_NEVER);
	lb_worker_asked(w);
	follow_snapshot(t);
	lb_affinity_of_client(w, t->pool, &t->client->io->peer, &t->want);
	pick_and_connect(t);
}

/* A handshake is to be as quick as a head. */
static void set_head_deadline(struct tunnel *t)
{
	int64_t ns = t->w->server.conf.head_timeout_ns;
	sd_stream_deadline(t->client, ns ? sd_loop_now_ns(t->w->loop) + ns : SD_NEVER);
}

static uint32_t pool_for(struct tunnel *t, struct sd_slice name)
{
	follow_snapshot(t);
	return lb_route_by_name(t->w, t->client->io->peer.door, name, &t->client->io->peer);
}

static void decide(struct tunnel *t, enum sd_tls_hello_is is)
{
	struct lb_worker *w = t->w;
	t->looking = false;
	t->pool = pool_for(t, sd_slice_of(t->hello->name));
	sd_count(&w->hellos.is[is], 1);
	if (t->pool != LB_NO_POOL) {
		begin(t);
		return;
	}
	lb_hello_unrouted(w, &t->client->io->peer, is, t->hello);
	end(t, true);
}

/* Nothing is taken: the bytes go to the backend as they came. */
static void look(struct tunnel *t, const char *p, size_t n)
{
	enum sd_tls_hello_is is = sd_tls_hello_read(t->hello, p, n);
	if (is != SD_TLS_HELLO_MORE)
		decide(t, is);
}

/* The client may be given to a backend, as soon as it is known of which pool. */
static void choose_pool(struct tunnel *t)
{
	struct sd_tls_info info;
	follow_snapshot(t);
	if (!lb_hello_wanted(t->snap)) {
		t->pool = pool_for(t, (struct sd_slice){0});
		begin(t);
		return;
	}
	t->hello = calloc(1, sizeof(*t->hello));
	if (!t->hello) {
		end(t, true);
	} else if (sd_tls_info(t->client->io, &info)) {
		size_t n = strlen(info.sni);
		if (n < sizeof(t->hello->name)) /* no host name is longer */
			memcpy(t->hello->name, info.sni, n);
		decide(t, t->hello->name[0] ? SD_TLS_HELLO_NAMED : SD_TLS_HELLO_NO_NAME);
	} else {
		t->looking = true;
		set_head_deadline(t);
	}
}

/* NULL: out of memory, and io is closed. */
static struct tunnel *tunnel_of(struct lb_worker *w, struct sd_io *io, bool secure)
{
	struct tunnel *t = tunnel_new(w);
	if (!t) {
		io->ops->close(io, true);
		return NULL;
	}
	t->client = sd_stream_new(io, secure, KEEP_MAX, &client_events, t);
	if (!t->client) {
		free(t);
		return NULL;
	}
	return t;
}

static void on_accepted(void *arg, struct sd_io *io, bool secure, struct sd_client_pass pass)
{
	struct lb_worker *w = arg;
	struct tunnel *t = NULL;
	if (lb_limits_accept(w, &io->peer))
		t = tunnel_of(w, io, secure);
	else
		io->ops->close(io, true);
	if (!t) {
		sd_client_pass_end(&pass);
		return;
	}
	t->client->pass = pass;
	enlist(t);
	if (secure)
		set_head_deadline(t);
	else
		choose_pool(t);
}

enum sd_err lb_tcp_listen(struct lb_worker *w, struct sd_error *e)
{
	w->streams = (struct sd_run_streams){.accepted = on_accepted, .arg = w, .proxy_in = &w->server.proxy_in};
	return sd_run_listen_streams(w->lb->run, w->w, &w->streams, e);
}

void lb_tcp_drain(struct lb_worker *w)
{
	sd_run_streams_close(&w->streams);
	if (w->ntunnels == 0)
		sd_worker_drained(w->w);
}

void lb_tcp_stop(struct lb_worker *w)
{
	sd_run_streams_close(&w->streams);
	w->draining = false;
	while (!sd_list_empty(&w->tunnels))
		end(sd_container(w->tunnels.next, struct tunnel, link), true);
}
