/* cache_serve.c - connections of the cache: requests in, replies out, and the clock that ends keys. */
#include "cache_shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define IN_LIMIT   (64 * 1024)
#define QUERY_MAX  (1024ll * 1024 * 1024) /* of one request, as Redis's client-query-buffer-limit */
#define FLUSH_AT   (64 * 1024)
#define LOOK_AGAIN 60000 /* ms at most between two looks at what ends */
#define TICK_MOST  1000 /* keys ended before others have their turn */
#define COUNT_FROM (16 * 1024) /* bytes of buffers for whose sake the engine is entered */

int64_t cache_serve_wall_ms(const struct shell *s)
{
	return sd_world_wall_ns(sd_loop_world(s->loop)) / 1000000;
}

/* ---- the engine, and the clock ---- */

/* The timer is of lane 0's loop: others tell that one when something ends earlier than it knows of. */
static void schedule(struct lane *l)
{
	struct shell *s = l->shell;
	int64_t next = cache_next_tick(&s->cache);
	if (next == s->tick_at_ms || s->stopped)
		return;
	if (l->lane.index) {
		if (next < s->tick_at_ms)
			cache_lane_tell(&l->lane, s->all.lanes[0]);
		return;
	}
	s->tick_at_ms = next;
	if (next == INT64_MAX) {
		sd_loop_timer_cancel(s->loop, &s->tick);
		return;
	}
	int64_t now = cache_serve_wall_ms(s), wait = next > now ? next - now : 0;
	if (wait > LOOK_AGAIN) /* whatever the clock of the wall does meanwhile */
		wait = LOOK_AGAIN;
	sd_loop_timer_set(s->loop, &s->tick, sd_loop_now_ns(s->loop) + wait * 1000000);
}

static inline void enter(struct lane *l)
{
	cache_lane_enter(&l->lane);
	if (l->shell->cache.cluster && !l->lane.index)
		cache_cluster_catch_up(l->shell->cache.cluster);
	l->now_ms = cache_serve_wall_ms(l->shell);
}

static void end_dropped(struct shell *s);

static void leave(struct lane *l)
{
	struct shell *s = l->shell;
	if (s->cache.dropped)
		end_dropped(s);
	schedule(l);
	cache_metrics_publish(&s->metrics, &s->cache); /* before anybody is answered, who could look */
	cache_lane_leave(&l->lane);
}

/* ---- clients ---- */

/* What a connection takes is memory in use: itself, a request that is half there, replies that nobody reads. Inside. */
static void count_client(struct client *c, size_t now)
{
	struct cache_memory *m = &c->lane->shell->cache.memory;
	m->used += now - c->counted;
	c->counted = now;
}

static size_t bytes_of(const struct client *c)
{
	return sizeof(*c) + sizeof(*c->stream) + c->stream->in_cap + c->stream->out_cap;
}

/* Where others wait for the engine, little is counted with the next request. */
static inline void count_buffers(struct client *c)
{
	size_t now = bytes_of(c);
	if (!cache_lane_is_shared(&c->lane->lane)) {
		count_client(c, now);
	} else if (now > c->buffers + COUNT_FROM || c->buffers > now + COUNT_FROM) {
		c->buffers = now;
		enter(c->lane);
		if (!c->ended)
			count_client(c, now);
		leave(c->lane);
	}
}

/* Inside. From here on nothing in the engine knows of it. */
static void end_session(struct client *c)
{
	if (c->ended)
		return;
	c->ended = true;
	count_client(c, 0);
	cache_route_end(&c->route);
	cache_session_end(&c->session);
	c->lane->shell->active--;
}

void cache_serve_end_sessions(struct shell *s, uint32_t with)
{
	for (struct sd_link *k = s->cache.sessions.next, *next; k != &s->cache.sessions; k = next) {
		struct cache_session *session = sd_container(k, struct cache_session, link);
		next = k->next;
		if (session->flags & CACHE_REMOTE || (session->flags & with) != with)
			continue;
		end_session(sd_container(session, struct client, session));
		cache_wake(session);
	}
}

/* Those that CLIENT KILL named are no clients any more; their lanes close the connections. Inside. */
static void end_dropped(struct shell *s)
{
	s->cache.dropped = false;
	cache_serve_end_sessions(s, CACHE_DROP);
}

static void end_client(struct client *c)
{
	enter(c->lane);
	end_session(c);
	sd_list_del(&c->session.woken);
	leave(c->lane);
	sd_list_del(&c->link);
	sd_list_del(&c->sending);
	sd_resp_reader_free(&c->reader);
	free(c->got.p);
}

static void close_client(struct client *c)
{
	sd_stream_close(c->stream);
	end_client(c);
	free(c);
}

static void on_finished(void *arg)
{
	struct client *c = arg;
	sd_list_del(&c->link);
	free(c);
}

/* What was replied is sent, and then no more is said. */
static void finish_client(struct client *c)
{
	struct sd_stream *stream = c->stream;
	int64_t until = sd_loop_now_ns(c->lane->lane.loop) + 5000000000;
	end_client(c);
	sd_list_add(&c->lane->leaving, &c->link);
	sd_stream_finish(stream, until, true, on_finished, c);
}

/* What other nodes reply, or have to have first. Inside. */
static bool is_awaited(const struct client *c)
{
	return c->route.nreplies || c->session.flags & CACHE_HOLDING;
}

/* What the lane has to know of the session while it is outside. */
static void note_state(struct client *c)
{
	uint32_t flags = c->session.flags;
	c->held = flags & (CACHE_BLOCKED | CACHE_HELD);
	c->stranger = !(flags & CACHE_AUTHENTICATED);
	c->awaits = is_awaited(c);
}

/* The session's replies, to be sent outside. */
static inline struct sd_resp_out take_replies(struct client *c)
{
	struct shell *s = c->lane->shell;
	struct sd_resp_out got = c->session.out;
	c->session.out = (struct sd_resp_out){.resp3 = got.resp3};
	cache_turn(&s->cache);
	s->cache.stats.net_out += got.n;
	return got;
}

static inline void send_replies(struct client *c, const struct sd_resp_out *got)
{
	struct lane *l = c->lane;
	if (got->n)
		sd_stream_write(c->stream, got->p, got->n);
	if (got->room > 4 * FLUSH_AT || l->spare.p)
		free(got->p);
	else
		l->spare = (struct sd_resp_out){.p = got->p, .room = got->room};
	count_buffers(c);
}

/* The lane's buffer is lent to the session that replies, so that an idle one has none. */
static bool come_in_anew(struct client *c)
{
	struct lane *l = c->lane;
	struct sd_resp_out *o = &c->session.out;
	if (!l->lane.inside)
		enter(l);
	if (c->ended || l->shell->stopped)
		return false;
	if (!o->p) {
		bool resp3 = o->resp3;
		*o = l->spare;
		o->resp3 = resp3;
		l->spare = (struct sd_resp_out){0};
	}
	return true;
}

/* From here on the engine is this lane's, if it was not. False: not for this client any more. */
static inline bool come_in(struct client *c)
{
	return (c->lane->lane.inside && c->session.out.p) || come_in_anew(c);
}

/* Others may come in, while this lane does what needs no engine. */
static void step_out(struct client *c)
{
	struct lane *l = c->lane;
	if (!l->lane.inside)
		return;
	c->stranger = !(c->session.flags & CACHE_AUTHENTICATED);
	if (cache_lane_is_shared(&l->lane))
		leave(l);
}

/* One large request must fit into what the stream keeps. */
static void want(struct client *c, size_t need)
{
	c->stream->in_limit = need > IN_LIMIT ? (uint32_t)need : IN_LIMIT;
}

static bool may_go_on(const struct client *c)
{
	return !c->held && !sd_stream_above_high(c->stream);
}

/* The next whole request of p[0..n): its length, or what sd_resp_read says. One that comes in parts is read by the client's own
 * reader, which remembers how far it is. */
static ssize_t next_request(struct client *c, const char *p, size_t n, struct sd_resp_reader **r)
{
	struct lane *l = c->lane;
	const struct sd_resp_limits *limits = &l->shell->cache.limits;
	size_t length;
	if ((*r = cache_ahead_next(&l->ahead, &length)))
		return (ssize_t)length;
	step_out(c);
	struct sd_resp_limits mine = {limits->max_args, __atomic_load_n(&limits->max_bulk, __ATOMIC_RELAXED), c->stranger};
	if (!c->reader.at && cache_ahead_fill(&l->ahead, p, n, &mine)) {
		*r = cache_ahead_next(&l->ahead, &length);
		return (ssize_t)length;
	}
	*r = &c->reader;
	return sd_resp_read(&c->reader, p, n, &mine);
}

/* Runs a request, here or at another node; false: it has to wait for those before. */
static bool call(struct client *c, const struct sd_resp_reader *r)
{
	int64_t now = c->lane->now_ms;
	bool done = true;
	if (c->route.cl)
		done = cache_route_call(&c->route, r->argc, r->argv, now);
	else
		cache_call(&c->session, r->argc, r->argv, now);
	c->held = c->session.flags & (CACHE_BLOCKED | CACHE_HELD);
	return done;
}

static void flush(struct client *c)
{
	struct sd_resp_out got = take_replies(c);
	step_out(c);
	send_replies(c, &got);
}

/* Runs what is complete; how many bytes it took. *end: the connection is to be finished. */
static size_t run_all(struct client *c, const char *p, size_t n, bool *end)
{
	struct cache_session *s = &c->session;
	struct cache_stats *stats = &c->lane->shell->cache.stats;
	struct sd_resp_reader *r;
	size_t took = 0;
	want(c, IN_LIMIT);
	while (took < n && !*end && may_go_on(c)) {
		ssize_t k = next_request(c, p + took, n - took, &r);
		if (k == SD_RESP_INCOMPLETE) {
			*end = r->need > QUERY_MAX;
			want(c, r->need);
			break;
		}
		if (!come_in(c))
			break;
		if (k < 0 && c->route.nreplies) { /* after the replies to those before */
			sd_resp_reader_reset(r);
			break;
		}
		if (k < 0) {
			sd_resp_errorf(&s->out, "ERR %s", r->error);
			*end = true;
			return n;
		}
		cache_ahead_fetch(&c->lane->ahead, s);
		stats->net_in += (uint64_t)k; /* before CONFIG RESETSTAT forgets it */
		bool done = !r->argc || call(c, r);
		if (r == &c->reader)
			sd_resp_reader_reset(r);
		if (!done) {
			stats->net_in -= (uint64_t)k;
			break;
		}
		took += (size_t)k;
		*end = s->flags & (CACHE_QUIT | CACHE_DROP) || s->out.full;
		if (s->out.n > FLUSH_AT)
			flush(c);
	}
	cache_ahead_drop(&c->lane->ahead);
	return took;
}

/* How far a client that does not read may fall behind: normal ones stop being served at SD_STREAM_HIGH by themselves, those that
 * get what others send are closed. Inside. */
static bool too_far_behind(struct client *c, int64_t now_ms)
{
	struct cache_output_limit l = cache_output_limit(&c->lane->shell->cache, &c->session);
	size_t backlog = sd_stream_backlog(c->stream);
	if (l.hard && backlog > l.hard)
		return true;
	if (!l.soft || backlog <= l.soft)
		c->slow_since_ms = 0;
	else if (!c->slow_since_ms)
		c->slow_since_ms = now_ms;
	return c->slow_since_ms && now_ms - c->slow_since_ms > l.soft_s * 1000;
}

/* Is it to be closed for what it does not read? */
static bool falls_behind(struct client *c, bool full)
{
	struct shell *s = c->lane->shell;
	if (!full && !sd_stream_above_high(c->stream))
		return false;
	enter(c->lane);
	bool behind = !c->ended && (full || too_far_behind(c, c->lane->now_ms));
	s->cache.stats.output_closed += behind;
	leave(c->lane);
	return behind;
}

/* Sends what the session got without having asked just now, and lets it go on if its wait is over. */
static void send_woken(struct client *c, bool ended)
{
	bool full = c->got.full;
	if (!ended)
		send_replies(c, &c->got);
	else
		free(c->got.p);
	c->got = (struct sd_resp_out){0};
	if (ended || falls_behind(c, full))
		close_client(c);
	else if (c->said_all && !c->awaits && !c->stream->in_len)
		finish_client(c);
	else if (c->stream->in_len && !c->held)
		sd_stream_resume(c->stream);
}

/* Takes out what those who were woken got. Inside. */
static void take_woken(struct lane *l, struct sd_link *sending, struct sd_link *ended)
{
	while (!sd_list_empty(&l->lane.woken)) {
		struct cache_session *s = sd_container(l->lane.woken.next, struct cache_session, woken);
		struct client *c = sd_container(s, struct client, session);
		sd_list_del(&s->woken);
		if (s->flags & CACHE_REMOTE) {
			cache_remote_woken(s);
		} else if (c->ended) {
			sd_list_add(ended, &c->sending);
		} else {
			c->got = take_replies(c);
			note_state(c);
			sd_list_add(sending, &c->sending);
		}
	}
}

void cache_serve_look(struct cache_lane *lane)
{
	struct lane *l = sd_container(lane, struct lane, lane);
	struct sd_link sending, ended;
	sd_list_init(&sending);
	sd_list_init(&ended);
	enter(l);
	lane->told = false;
	take_woken(l, &sending, &ended);
	leave(l);
	for (struct sd_link *list = &sending; list; list = list == &sending ? &ended : NULL) {
		while (!sd_list_empty(list)) {
			struct client *c = sd_container(list->next, struct client, sending);
			sd_list_del(&c->sending);
			send_woken(c, list == &ended);
		}
	}
}

void cache_serve_tick(struct sd_timer *t)
{
	struct shell *s = sd_container(t, struct shell, tick);
	struct lane *l = &s->lanes[0];
	enter(l);
	s->tick_at_ms = 0;
	cache_tick(&s->cache, l->now_ms, TICK_MOST);
	leave(l);
}

static size_t on_data(struct sd_stream *stream, const char *p, size_t n)
{
	struct client *c = stream->owner;
	struct sd_resp_out got = {0};
	bool end = false;
	size_t took = run_all(c, p, n, &end);
	bool drop = !come_in(c) || c->session.flags & CACHE_DROP;
	if (!drop) {
		note_state(c);
		end |= c->said_all && !c->awaits && may_go_on(c); /* what is left is no whole request */
		got = take_replies(c);
		sd_list_del(&c->session.woken);
	}
	leave(c->lane);
	if (drop) {
		close_client(c);
		return n;
	}
	send_replies(c, &got);
	if (!end)
		return took;
	finish_client(c);
	return n;
}

static void on_drained(struct sd_stream *stream)
{
	count_buffers(stream->owner);
	sd_stream_resume(stream);
}

static void on_eof(struct sd_stream *stream)
{
	struct client *c = stream->owner;
	enter(c->lane);
	c->said_all = !c->ended && is_awaited(c);
	leave(c->lane);
	if (!c->said_all)
		finish_client(c);
}

static void on_closed(struct sd_stream *stream, enum sd_err why)
{
	(void)why;
	close_client(stream->owner);
}

/* A handshake that takes too long. */
static void on_timeout(struct sd_stream *stream)
{
	close_client(stream->owner);
}

static void on_connected(struct sd_stream *stream)
{
	sd_stream_deadline(stream, SD_NEVER);
}

static const struct sd_stream_events events = {
    .connected = on_connected,
    .data = on_data,
    .eof = on_eof,
    .drained = on_drained,
    .timeout = on_timeout,
    .closed = on_closed,
};

static void describe(struct client *c, const struct sd_peer *peer)
{
	char ip[46];
	sd_peer_format(peer, ip);
	snprintf(c->session.address, sizeof(c->session.address), peer->v6 ? "[%s]:%u" : "%s:%u", ip, peer->port);
}

/* False: there are too many. Inside. */
static bool begin_session(struct client *c, const struct sd_peer *peer)
{
	struct shell *s = c->lane->shell;
	s->cache.now_ms = c->lane->now_ms;
	cache_session_begin(&s->cache, &c->session);
	c->session.lane = c->lane->lane.index;
	if (s->node.on)
		cache_route_begin(&c->route, &s->cluster, &c->session);
	describe(c, peer);
	c->buffers = bytes_of(c);
	count_client(c, c->buffers);
	note_state(c);
	s->active++;
	bool many = s->cache.max_clients && s->active > s->cache.max_clients;
	s->cache.stats.rejected += many;
	return !many;
}

void cache_serve_accepted(void *arg, struct sd_io *io, bool secure, struct sd_client_pass pass)
{
	struct lane *l = arg;
	struct client *c = calloc(1, sizeof(*c));
	struct sd_peer peer = io->peer;
	struct sd_stream *stream = c ? sd_stream_new(io, secure, IN_LIMIT, &events, c) : NULL;
	if (!stream) {
		if (!c)
			io->ops->close(io, true);
		free(c);
		sd_client_pass_end(&pass);
		return;
	}
	stream->pass = pass;
	c->lane = l;
	c->stream = stream;
	sd_list_add(&l->clients, &c->link);
	sd_list_init(&c->sending);
	enter(l);
	bool welcome = begin_session(c, &peer);
	leave(l);
	if (secure)
		sd_stream_deadline(stream, sd_loop_now_ns(l->lane.loop) + 10000000000);
	if (!welcome) {
		sd_stream_write(stream, "-ERR max number of clients reached\r\n", 36);
		finish_client(c);
	}
}

/* ---- the end ---- */

void cache_serve_end_clients(struct lane *l, bool at_once)
{
	for (struct sd_link *k = l->clients.next, *next; k != &l->clients; k = next) {
		struct client *c = sd_container(k, struct client, link);
		next = k->next;
		if (at_once)
			close_client(c);
		else
			finish_client(c);
	}
	while (at_once && !sd_list_empty(&l->leaving)) {
		struct client *c = sd_container(l->leaving.next, struct client, link);
		sd_stream_close(c->stream);
		on_finished(c);
	}
}

void cache_serve_enter(struct lane *l)
{
	enter(l);
}

void cache_serve_leave(struct lane *l)
{
	leave(l);
}
