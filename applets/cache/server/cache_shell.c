/* cache_shell.c - the cache as a service: connections in, replies out, and the clock that ends keys. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/admin.h"
#include "app/run_stream.h"
#include "app/secret.h"
#include "../cluster/cache_copies.h"
#include "cache_ahead.h"
#include "../client/cache_cli.h"
#include "cache_lane.h"
#include "cache_metrics.h"
#include "../disk/cache_disk.h"
#include "../cluster/cache_node.h"
#include "world/machine.h"

#define IN_LIMIT   (64 * 1024)
#define QUERY_MAX  (1024ll * 1024 * 1024) /* of one request, as Redis's client-query-buffer-limit */
#define FLUSH_AT   (64 * 1024)
#define LOOK_AGAIN 60000 /* ms at most between two looks at what ends */
#define TICK_MOST  1000 /* keys ended before others have their turn */
#define COUNT_FROM (16 * 1024) /* bytes of buffers for whose sake the engine is entered */

struct shell;

/* Of its lane's loop, but for what says otherwise: that belongs to whoever is inside (cache_lane.h). */
struct client {
	struct cache_session session; /* inside */
	struct cache_route route;     /* inside; in a cluster */
	bool ended;                   /* inside: the session is over, and the connection is to go as well */
	size_t counted;               /* inside: of it in used_memory */
	struct sd_resp_reader reader;
	struct lane *lane;
	struct sd_stream *stream;
	struct sd_link link;    /* in lane->clients */
	struct sd_link sending; /* of those woken, whose replies were taken out and are to be sent */
	struct sd_resp_out got; /* while it is there */
	bool said_all;          /* it sends no more, and waits for replies of other nodes */
	bool awaits, held;      /* as of when it was inside last: replies of others; until it takes requests again */
	bool stranger;          /* likewise: it did not say who it is */
	size_t buffers; /* of it in used_memory, as of when they were counted last */
	int64_t slow_since_ms; /* its backlog is above the soft limit; 0: it is not */
};

struct lane {
	struct cache_lane lane; /* the first, as cache_lanes has it */
	struct shell *shell;
	struct sd_worker *w;
	struct sd_run_streams streams;
	struct sd_link clients, leaving; /* leaving: those whose last replies are on their way */
	struct cache_ahead ahead; /* of whose turn it is */
	struct sd_resp_out spare; /* whoever replies borrows it */
	int64_t now_ms;           /* of this turn inside */
};

struct shell {
	struct sd_run *run;
	struct sd_loop *loop; /* of lane 0: what is not a connection's is there */
	struct cache cache;
	struct cache_lanes all;
	struct lane *lanes;
	struct sd_timer tick;
	struct cache_metrics metrics;
	int64_t tick_at_ms;
	struct cache_disk *disk; /* NULL: nothing is kept */
	struct cache_node node;
	struct cache_cluster cluster;
	struct cache_copies *copies; /* in a cluster */
	char *password;
	uint32_t active; /* connections */
	bool stopped;    /* no command is run any more */
};

static int64_t wall_ms(const struct shell *s)
{
	return sd_world_wall_ns(sd_loop_world(s->loop)) / 1000000;
}

static int64_t mono_us(void *arg)
{
	const struct shell *s = arg;
	return sd_world_mono_ns(sd_loop_world(s->loop)) / 1000;
}

/* ---- the process ---- */

static void look_at_process(void *arg, struct cache_process *p)
{
	const struct shell *s = arg;
	struct sd_process_use use;
	sd_process_use(s->run->spec.world, &use);
	p->resident = use.resident;
	p->user_us = use.user_us;
	p->system_us = use.system_us;
}

static void begin_process(struct shell *s)
{
	struct sd_world *world = s->run->spec.world;
	struct cache_process *p = &s->cache.process;
	struct sd_machine machine;
	sd_machine_read(world, &machine);
	snprintf(p->os, sizeof(p->os), "%s", machine.kernel);
	p->memory_total = machine.memory_total < 0 ? 0 : machine.memory_total;
	p->pid = sd_world_pid(world);
	s->cache.look_at_process = look_at_process;
	s->cache.look_arg = s;
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
	int64_t now = wall_ms(s), wait = next > now ? next - now : 0;
	if (wait > LOOK_AGAIN) /* whatever the clock of the wall does meanwhile */
		wait = LOOK_AGAIN;
	sd_loop_timer_set(s->loop, &s->tick, sd_loop_now_ns(s->loop) + wait * 1000000);
}

static inline void enter(struct lane *l)
{
	cache_lane_enter(&l->lane);
	if (l->shell->cache.cluster && !l->lane.index)
		cache_cluster_catch_up(l->shell->cache.cluster);
	l->now_ms = wall_ms(l->shell);
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

static void end_sessions(struct shell *s, uint32_t with)
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
	end_sessions(s, CACHE_DROP);
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

static void on_look(struct cache_lane *lane)
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

static void on_tick(struct sd_timer *t)
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

static void on_accepted(void *arg, struct sd_io *io, bool secure, struct sd_client_pass pass)
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

/* ---- the service ---- */

static enum sd_err read_password(struct sd_run *run, const struct sd_conf *conf, char **out, struct sd_error *e)
{
	const char *text = sd_conf_string(conf, "password"), *name = sd_conf_string(conf, "password-file");
	char buf[SD_SECRET_MAX + 1];
	size_t n = 0;
	*out = NULL;
	if (!text && !name)
		return SD_OK;
	if (!text && sd_secret_read(run->spec.world, name, 1, buf, &n, e))
		return sd_wrap(e, "%s: password-file", sd_conf_origin(conf, "password-file"));
	*out = strdup(text ? text : buf);
	explicit_bzero(buf, n);
	return *out ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
}

static enum sd_err create(struct sd_run *run, const struct sd_conf *conf, void **self, struct sd_error *e)
{
	struct shell *s = calloc(1, sizeof(*s));
	unsigned n = (unsigned)sd_conf_int(conf, "threads");
	if (!s)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	*self = s;
	s->run = run;
	s->tick.fn = on_tick;
	s->lanes = calloc(n, sizeof(*s->lanes));
	if (!s->lanes || !cache_lanes_init(&s->all, n, &s->cache, on_look))
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = read_password(run, conf, &s->password, e);
	return err ? err : cache_node_make(run, conf, &s->node, e);
}

/* With a limit of its own the cache makes room as it does best; one that is set later begins with Redis's default. */
static void set_eviction(struct shell *s)
{
	const struct sd_conf *conf = s->run->conf;
	int64_t most = sd_conf_int(conf, "max-memory");
	const char *policy = sd_conf_string(conf, "max-memory-policy");
	cache_set_policy(&s->cache, sd_slice_of(policy ? policy : most ? "allkeys-s3fifo" : "noeviction"));
	cache_set_max_memory(&s->cache, (uint64_t)most);
}

static bool shut_down(void *arg)
{
	struct shell *s = arg;
	return sd_run_ask_stop(s->run);
}

static void enter_engine(void *arg)
{
	enter(&((struct shell *)arg)->lanes[0]);
}

static void leave_engine(void *arg)
{
	leave(&((struct shell *)arg)->lanes[0]);
}

/* Inside, on any lane. */
static void call_lane_0(void *arg)
{
	struct shell *s = arg;
	cache_lane_tell(s->all.at, s->all.lanes[0]);
}

static enum sd_err open_disk(struct shell *s, struct sd_error *e)
{
	const char *dir = sd_conf_string(s->run->conf, "data-dir");
	if (!dir)
		return SD_OK;
	struct cache_disk_host host = {s->loop, s->run->log, s, enter_engine, leave_engine};
	s->disk = cache_disk_open(&s->cache, &host, dir, e);
	return s->disk ? SD_OK : e->code;
}

static enum sd_err start_copies(struct shell *s, struct sd_error *e)
{
	struct cache_copies_conf conf = cache_copies_conf_default();
	struct cache_peers peers = cache_cluster_peers(&s->cluster);
	uint64_t seed;
	if (!s->node.on)
		return SD_OK;
	s->cluster.cache = &s->cache;
	s->cluster.loop = s->loop;
	conf.quorum = (unsigned)sd_conf_int(s->run->conf, "write-quorum");
	conf.write_timeout_ms = sd_conf_int(s->run->conf, "write-timeout") / 1000000;
	conf.joins = s->node.conf.nseeds > 0;
	sd_world_random(s->run->spec.world, &seed, sizeof(seed));
	s->copies = cache_copies_new(&s->cache, &conf, &peers, &s->node.conf.id, seed);
	if (!s->copies)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	cache_cluster_use(&s->cluster, cache_copies_data(s->copies));
	return SD_OK;
}

/* Nodes come to the address that clients come to, at a port of their own. */
static enum sd_err start_node(struct shell *s, struct sd_error *e)
{
	struct cache_cluster *cl = &s->cluster;
	const struct sd_addr *first = &s->run->addrs[0];
	if (!s->node.on)
		return SD_OK;
	cl->conf = s->node.conf;
	cl->conf.port = s->cache.port;
	if (s->run->naddrs && first->kind == SD_ADDR_INET) {
		cl->conf.bind = *first;
		cl->conf.bind.port = s->node.conf.bind.port;
	}
	cl->log = sd_log_new(s->run->spec.events, "CLUSTER", s->run->name, NULL, 0);
	cl->host = (struct cache_cluster_host){s, enter_engine, leave_engine, call_lane_0};
	enum sd_err err = cache_cluster_start(cl, e);
	if (!err)
		s->cache.cluster = cl;
	return err;
}

/* The engine, and what belongs to lane 0. */
static enum sd_err start_engine(struct shell *s, struct sd_error *e)
{
	uint64_t seed;
	s->loop = s->lanes[0].lane.loop;
	sd_world_random(s->run->spec.world, &seed, sizeof(seed));
	cache_init(&s->cache, seed, wall_ms(s));
	set_eviction(s);
	s->cache.max_clients = (uint32_t)sd_conf_int(s->run->conf, "max-clients");
	s->cache.threads = s->all.n;
	s->cache.password = s->password;
	s->cache.shut_down = shut_down;
	s->cache.shut_down_arg = s;
	s->cache.clock_us = mono_us;
	s->cache.clock_arg = s;
	begin_process(s);
	s->tick_at_ms = INT64_MAX;
	enum sd_err err = start_copies(s, e); /* before there are keys: they have stamps */
	return err ? err : open_disk(s, e);
}

static enum sd_err start(void *self, struct sd_worker *w, struct sd_error *e)
{
	struct shell *s = self;
	struct lane *l = &s->lanes[w->index];
	w->state = l;
	l->shell = s;
	l->w = w;
	sd_list_init(&l->clients);
	sd_list_init(&l->leaving);
	cache_lane_begin(&s->all, w->index, &l->lane, w->loop);
	l->streams.accepted = on_accepted;
	l->streams.arg = l;
	enum sd_err err = w->index ? SD_OK : start_engine(s, e);
	if (!err)
		err = sd_run_listen_streams(s->run, w, &l->streams, e);
	if (err || w->index)
		return err;
	if (s->run->naddrs)
		s->cache.port = s->run->addrs[0].port;
	return start_node(s, e);
}

static void started(void *self)
{
	struct shell *s = self;
	sd_run_say_listening(s->run);
}

static void end_clients(struct lane *l, bool at_once)
{
	for (struct sd_link *k = l->clients.next, *next; k != &l->clients; k = next) {
		struct client *c = sd_container(k, struct client, link);
		next = k->next;
		if (at_once)
			close_client(c);
		else
			finish_client(c);
	}
}

/* Others have what this node has. */
static void on_left(void *arg)
{
	struct shell *s = arg;
	cache_cluster_leave(&s->cluster);
	sd_worker_drained(s->lanes[0].w);
}

/* A request is answered as soon as it is there: what is left of one is not waited for. */
static void drain(void *self, struct sd_worker *w)
{
	struct shell *s = self;
	struct lane *l = w->state;
	sd_run_streams_close(&l->streams);
	end_clients(l, false);
	if (w->index || !s->cache.cluster) {
		sd_worker_drained(w);
		return;
	}
	enter(l);
	s->cluster.data.leave(s->cluster.data.arg, on_left, s);
	leave(l);
}

/* Whoever is still connected elsewhere runs nothing any more: what was replied to is in the last snapshot. */
static void stop_engine(struct shell *s)
{
	struct lane *l = &s->lanes[0];
	enter(l);
	s->stopped = true;
	end_sessions(s, 0);
	if (s->node.on)
		cache_cluster_end(&s->cluster);
	s->cache.cluster = NULL;
	cache_copies_free(s->copies);
	s->copies = NULL;
	leave(l);
	sd_loop_timer_cancel(s->loop, &s->tick);
	cache_disk_close(s->disk);
	s->disk = NULL;
}

static void stop(void *self, struct sd_worker *w)
{
	struct lane *l = w->state;
	sd_run_streams_close(&l->streams);
	end_clients(l, true);
	while (!sd_list_empty(&l->leaving)) {
		struct client *c = sd_container(l->leaving.next, struct client, link);
		sd_stream_close(c->stream);
		on_finished(c);
	}
	if (!w->index)
		stop_engine(self);
	enter(l);
	cache_lane_end(&l->lane);
	leave(l);
}

static void destroy(void *self)
{
	struct shell *s = self;
	cache_copies_free(s->copies); /* of a start that failed */
	if (s->loop)
		cache_end(&s->cache);
	if (s->password)
		explicit_bzero(s->password, strlen(s->password));
	free(s->password);
	cache_node_free(&s->node);
	for (unsigned i = 0; s->lanes && i < s->all.n; i++) {
		free(s->lanes[i].spare.p);
		cache_ahead_free(&s->lanes[i].ahead);
	}
	free(s->lanes);
	cache_lanes_free(&s->all);
	free(s);
}

static const struct sd_option options[] = {
    {"port", SD_OPT_PORT, "7001", "where to listen", .letter = 'p'},
    {"password", SD_OPT_STRING, NULL, "what clients must give with AUTH; needed to listen beyond this machine", .secret = true},
    {"password-file", SD_OPT_FILE, NULL, "file that holds it"},
    {"max-memory", SD_OPT_SIZE, "0", "above this keys are evicted; 0 for no limit"},
    {"max-memory-policy", SD_OPT_ENUM, NULL, "which keys; allkeys-s3fifo when there is a limit, else noeviction", .choices = CACHE_POLICIES},
    {"data-dir", SD_OPT_FILE, NULL, "folder for dump.rdb, which is loaded at the start and saved now and then and at the end",
     .meta = "DIR"},
    {"max-clients", SD_OPT_INT, "10000", "connections at a time; 0 for no limit", .max = 1000000},
    CACHE_NODE_OPTIONS,
    {0},
};

static enum sd_err check(const struct sd_conf *conf, struct sd_error *e)
{
	const char *bind = sd_conf_string(conf, "bind");
	bool secret = sd_conf_has(conf, "password") || sd_conf_has(conf, "password-file");
	bool near = strncmp(bind, "127.", 4) == 0 || strcmp(bind, "::1") == 0 || strncmp(bind, "unix:", 5) == 0;
	if (sd_conf_has(conf, "password") && (sd_conf_has(conf, "password-file") || !*sd_conf_string(conf, "password")))
		return sd_fail(e, SD_EINVAL, "%s: expected one password, or the file that holds it", sd_conf_origin(conf, "password"));
	for (size_t i = 0; i < sd_conf_count(conf, "listeners"); i++) {
		struct sd_addr a;
		const struct sd_conf *row = sd_conf_row(conf, "listeners", i);
		if (!sd_addr_parse(sd_conf_string(row, "address"), "127.0.0.1", &a, NULL) && a.kind == SD_ADDR_INET)
			near &= sd_addr_is_loopback(&a);
	}
	if (!near && !secret)
		return sd_fail(e, SD_EINVAL, "%s: bind: expected a password to listen beyond this machine: --password-file FILE",
			       sd_conf_origin(conf, "bind"));
	return cache_node_check(conf, near, e);
}

static void metrics(void *self, struct sd_metrics *m)
{
	struct shell *s = self;
	char label[160];
	sd_run_label(s->run, label, sizeof(label));
	cache_metrics_put(&s->metrics, m, label);
}

static const struct sd_service service = {
    .create = create,
    .start = start,
    .started = started,
    .drain = drain,
    .stop = stop,
    .destroy = destroy,
    .metrics = metrics,
};

static const struct sd_alias aliases[] = {{"cache-cli", "*"}, {"cache-node", NULL}, {0}};

const struct sd_applet sd_applet_cache = {
    .name = "cache",
    .summary = "a cache that Redis clients can use",
    .description = "Keeps strings, hashes, lists, sets and sorted sets by key, in memory, and speaks the protocol of Redis, so that "
		   "clients you have work with it. Keys end when they are to, at their time and not some time later. Several "
		   "caches can be one, without a master: see --cluster-port and --join.",
    .examples = "sdlab cache\n"
		"sdlab cache set greeting hello --ttl 60\n"
		"sdlab cache get greeting\n"
		"sdlab cache top\n"
		"redis-cli -p 7001 GET greeting",
    .next = "sdlab cache set greeting hello --ttl 60",
    .verbs = cache_verbs,
    .aliases = aliases,
    .options = options,
    .service = &service,
    .check = check,
};
