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
#include "cache_metrics.h"
#include "../disk/cache_disk.h"
#include "../cluster/cache_node.h"
#include "world/machine.h"

#define IN_LIMIT   (64 * 1024)
#define QUERY_MAX  (1024ll * 1024 * 1024) /* of one request, as Redis's client-query-buffer-limit */
#define FLUSH_AT   (64 * 1024)
#define LOOK_AGAIN 60000 /* ms at most between two looks at what ends */
#define TICK_MOST  1000 /* keys ended before others have their turn */

struct shell;

struct client {
	struct cache_session session;
	struct sd_resp_reader reader;
	struct shell *shell;
	struct sd_stream *stream;
	struct cache_route route; /* in a cluster */
	bool said_all;            /* it sends no more, and waits for replies of other nodes */
	size_t counted; /* of it in used_memory */
	int64_t slow_since_ms; /* its backlog is above the soft limit; 0: it is not */
};

struct shell {
	struct sd_run *run;
	struct sd_loop *loop;
	struct sd_worker *w;
	struct cache cache;
	struct sd_run_streams streams;
	struct sd_timer tick;
	struct cache_ahead ahead; /* of whose turn it is */
	struct cache_metrics metrics;
	int64_t tick_at_ms;
	struct sd_resp_out spare; /* whoever replies borrows it */
	struct cache_disk *disk; /* NULL: nothing is kept */
	struct cache_node node;
	struct cache_cluster cluster;
	struct cache_copies *copies; /* in a cluster */
	char *password;
	uint32_t active; /* read by the control loop */
	bool draining;
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

/* ---- the clock ---- */

static void schedule(struct shell *s)
{
	int64_t ends = sd_wheel_next(&s->cache.wheel), waits = sd_wheel_next(&s->cache.deadlines);
	int64_t leases = sd_wheel_next(&s->cache.leases.ends);
	if (leases < ends)
		ends = leases;
	int64_t next = s->cache.evict.more ? s->cache.now_ms : ends < waits ? ends : waits;
	if (next == s->tick_at_ms)
		return;
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

/* ---- clients ---- */

/* What a connection takes is memory in use: itself, a request that is half there, replies that nobody reads. */
static void count_client(struct client *c, size_t now)
{
	struct cache_memory *m = &c->shell->cache.memory;
	m->used += now - c->counted;
	c->counted = now;
}

static void count_buffers(struct client *c)
{
	count_client(c, sizeof(*c) + sizeof(*c->stream) + c->stream->in_cap + c->stream->out_cap);
}

static void client_free(struct client *c)
{
	struct shell *s = c->shell;
	count_client(c, 0);
	cache_route_end(&c->route);
	cache_session_end(&c->session);
	cache_metrics_publish(&s->metrics, &s->cache);
	sd_resp_reader_free(&c->reader);
	free(c);
	sd_gauge(&s->active, -1);
	if (s->draining && sd_gauge_read(&s->active) == 0 && !s->copies)
		sd_worker_drained(s->w);
}

static void close_client(struct client *c)
{
	sd_stream_close(c->stream);
	client_free(c);
}

/* What was replied is sent, and then no more is said. */
static void finish_client(struct client *c)
{
	struct sd_stream *stream = c->stream;
	int64_t until = sd_loop_now_ns(c->shell->loop) + 5000000000;
	client_free(c);
	sd_stream_finish(stream, until, true, NULL, NULL);
}

static void flush(struct client *c)
{
	struct sd_resp_out *o = &c->session.out;
	cache_turn(&c->shell->cache);
	if (o->n)
		sd_stream_write(c->stream, o->p, o->n);
	c->shell->cache.stats.net_out += o->n;
	o->n = 0;
	count_buffers(c);
}

/* The shell's buffer is lent to the session that replies, so that an idle one has none. */
static void lend(struct client *c)
{
	bool resp3 = c->session.out.resp3;
	c->session.out = c->shell->spare;
	c->session.out.resp3 = resp3;
	c->shell->spare = (struct sd_resp_out){0};
}

static void take_back(struct client *c)
{
	struct sd_resp_out *o = &c->session.out;
	bool resp3 = o->resp3;
	if (o->room > 4 * FLUSH_AT)
		free(o->p);
	else
		c->shell->spare = (struct sd_resp_out){.p = o->p, .room = o->room};
	*o = (struct sd_resp_out){.resp3 = resp3};
}

/* One large request must fit into what the stream keeps. */
static void want(struct client *c, size_t need)
{
	c->stream->in_limit = need > IN_LIMIT ? (uint32_t)need : IN_LIMIT;
}

/* What other nodes reply, or have to have first. */
static bool is_awaited(const struct client *c)
{
	return c->route.nreplies || c->session.flags & CACHE_HOLDING;
}

static bool may_go_on(const struct client *c)
{
	return !(c->session.flags & (CACHE_BLOCKED | CACHE_HELD)) && !sd_stream_above_high(c->stream);
}

/* The next whole request of p[0..n): its length, or what sd_resp_read says. One that comes in parts is read by the client's own
 * reader, which remembers how far it is. */
static ssize_t next_request(struct client *c, const char *p, size_t n, struct sd_resp_reader **r)
{
	struct shell *s = c->shell;
	size_t length;
	if ((*r = cache_ahead_next(&s->ahead, &length)))
		return (ssize_t)length;
	s->cache.limits.stranger = !(c->session.flags & CACHE_AUTHENTICATED);
	if (!c->reader.at && cache_ahead_fill(&s->ahead, &c->session, p, n, &s->cache.limits)) {
		*r = cache_ahead_next(&s->ahead, &length);
		return (ssize_t)length;
	}
	*r = &c->reader;
	return sd_resp_read(&c->reader, p, n, &s->cache.limits);
}

/* Runs a request, here or at another node; false: it has to wait for those before. */
static bool call(struct client *c, const struct sd_resp_reader *r, int64_t now)
{
	if (c->route.cl)
		return cache_route_call(&c->route, r->argc, r->argv, now);
	cache_call(&c->session, r->argc, r->argv, now);
	return true;
}

/* Runs what is complete; how many bytes it took. *end: the connection is to be finished. */
static size_t run_all(struct client *c, const char *p, size_t n, bool *end)
{
	struct cache_session *s = &c->session;
	struct sd_resp_reader *r;
	int64_t now = wall_ms(c->shell);
	size_t took = 0;
	want(c, IN_LIMIT);
	while (took < n && !*end && may_go_on(c)) {
		ssize_t k = next_request(c, p + took, n - took, &r);
		if (k == SD_RESP_INCOMPLETE) {
			*end = r->need > QUERY_MAX;
			want(c, r->need);
			break;
		}
		if (k < 0 && c->route.nreplies) { /* after the replies to those before */
			sd_resp_reader_reset(r);
			break;
		}
		if (k < 0) {
			sd_resp_errorf(&s->out, "ERR %s", r->error);
			*end = true;
			return n;
		}
		c->shell->cache.stats.net_in += (uint64_t)k; /* before CONFIG RESETSTAT forgets it */
		bool done = !r->argc || call(c, r, now);
		if (r == &c->reader)
			sd_resp_reader_reset(r);
		if (!done) {
			c->shell->cache.stats.net_in -= (uint64_t)k;
			break;
		}
		took += (size_t)k;
		*end = s->flags & (CACHE_QUIT | CACHE_DROP) || s->out.full;
		if (s->out.n > FLUSH_AT)
			flush(c);
	}
	cache_ahead_drop(&c->shell->ahead);
	return took;
}

/* Those that CLIENT KILL named; never the one whose turn it is. */
static void drop_others(struct shell *s, const struct client *me)
{
	if (!s->cache.dropped)
		return;
	s->cache.dropped = false;
	for (struct sd_link *k = s->cache.sessions.next, *next; k != &s->cache.sessions; k = next) {
		struct client *c = sd_container(k, struct client, session.link);
		next = k->next;
		if (c != me && (c->session.flags & (CACHE_DROP | CACHE_REMOTE)) == CACHE_DROP)
			close_client(c);
	}
}

/* How far a client that does not read may fall behind: normal ones stop being served at SD_STREAM_HIGH by themselves, those that
 * get what others send are closed. */
static bool too_far_behind(struct client *c, int64_t now_ms)
{
	struct cache_output_limit l = cache_output_limit(&c->shell->cache, &c->session);
	size_t backlog = sd_stream_backlog(c->stream);
	if (l.hard && backlog > l.hard)
		return true;
	if (!l.soft || backlog <= l.soft)
		c->slow_since_ms = 0;
	else if (!c->slow_since_ms)
		c->slow_since_ms = now_ms;
	return c->slow_since_ms && now_ms - c->slow_since_ms > l.soft_s * 1000;
}

/* Sends what sessions got without having asked just now, and lets those whose wait is over go on. me: the one whose turn it
 * is, which sends by itself; or NULL. */
static void send_woken(struct shell *s, const struct client *me)
{
	while (!sd_list_empty(&s->cache.woken)) {
		struct client *c = sd_container(s->cache.woken.next, struct client, session.woken);
		sd_list_del(&c->session.woken);
		if (c->session.flags & CACHE_REMOTE) {
			cache_remote_woken(&c->session);
			continue;
		}
		if (c == me)
			continue;
		bool full = c->session.out.full, resp3 = c->session.out.resp3;
		flush(c);
		free(c->session.out.p);
		c->session.out = (struct sd_resp_out){.resp3 = resp3};
		if (full || (sd_stream_above_high(c->stream) && too_far_behind(c, s->cache.now_ms))) {
			s->cache.stats.output_closed++;
			close_client(c);
		} else if (c->said_all && !is_awaited(c) && !c->stream->in_len) {
			finish_client(c);
		} else if (c->stream->in_len && !(c->session.flags & (CACHE_BLOCKED | CACHE_HELD))) {
			sd_stream_resume(c->stream);
		}
	}
}

static void on_tick(struct sd_timer *t)
{
	struct shell *s = sd_container(t, struct shell, tick);
	s->tick_at_ms = 0;
	cache_tick(&s->cache, wall_ms(s), TICK_MOST);
	send_woken(s, NULL);
	schedule(s);
	cache_metrics_publish(&s->metrics, &s->cache);
}

static size_t on_data(struct sd_stream *stream, const char *p, size_t n)
{
	struct client *c = stream->owner;
	struct shell *s = c->shell;
	bool end = false;
	lend(c);
	size_t took = run_all(c, p, n, &end);
	end |= c->said_all && !is_awaited(c) && may_go_on(c); /* what is left is no whole request */
	bool drop = c->session.flags & CACHE_DROP;
	cache_metrics_publish(&s->metrics, &s->cache); /* before anybody is answered, who could look */
	if (!drop)
		flush(c);
	take_back(c);
	send_woken(s, c);
	schedule(s);
	drop_others(s, c);
	if (!end)
		return took;
	if (drop)
		close_client(c);
	else
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
	c->said_all = is_awaited(c);
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

static void on_accepted(void *arg, struct sd_io *io, bool secure, struct sd_client_pass pass)
{
	struct shell *s = arg;
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
	c->shell = s;
	c->stream = stream;
	s->cache.now_ms = wall_ms(s);
	cache_session_begin(&s->cache, &c->session);
	if (s->node.on)
		cache_route_begin(&c->route, &s->cluster, &c->session);
	describe(c, &peer);
	count_buffers(c);
	sd_gauge(&s->active, 1);
	if (secure)
		sd_stream_deadline(stream, sd_loop_now_ns(s->loop) + 10000000000);
	if (s->cache.max_clients && sd_gauge_read(&s->active) > s->cache.max_clients) {
		s->cache.stats.rejected++;
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
	if (!s)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	*self = s;
	s->run = run;
	s->tick.fn = on_tick;
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

static enum sd_err open_disk(struct shell *s, struct sd_error *e)
{
	const char *dir = sd_conf_string(s->run->conf, "data-dir");
	if (!dir)
		return SD_OK;
	s->disk = cache_disk_open(&s->cache, s->loop, s->run->log, dir, e);
	return s->disk ? SD_OK : e->code;
}

static void on_woken(void *arg)
{
	struct shell *s = arg;
	send_woken(s, NULL);
	schedule(s);
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
	cl->host = (struct cache_cluster_host){s, on_woken};
	enum sd_err err = cache_cluster_start(cl, e);
	if (!err)
		s->cache.cluster = cl;
	return err;
}

static enum sd_err start(void *self, struct sd_worker *w, struct sd_error *e)
{
	struct shell *s = self;
	uint64_t seed;
	w->state = s;
	s->w = w;
	s->loop = w->loop;
	sd_world_random(s->run->spec.world, &seed, sizeof(seed));
	cache_init(&s->cache, seed, wall_ms(s));
	set_eviction(s);
	s->cache.max_clients = (uint32_t)sd_conf_int(s->run->conf, "max-clients");
	s->cache.password = s->password;
	s->cache.shut_down = shut_down;
	s->cache.shut_down_arg = s;
	s->cache.clock_us = mono_us;
	s->cache.clock_arg = s;
	begin_process(s);
	s->tick_at_ms = INT64_MAX;
	s->streams.accepted = on_accepted;
	s->streams.arg = s;
	enum sd_err err = start_copies(s, e); /* before there are keys: they have stamps */
	if (!err)
		err = open_disk(s, e);
	if (!err)
		err = sd_run_listen_streams(s->run, w, &s->streams, e);
	if (!err && s->run->naddrs)
		s->cache.port = s->run->addrs[0].port;
	return err ? err : start_node(s, e);
}

static void started(void *self)
{
	struct shell *s = self;
	sd_run_say_listening(s->run);
}

static void end_clients(struct shell *s, bool at_once)
{
	for (struct sd_link *k = s->cache.sessions.next, *next; k != &s->cache.sessions; k = next) {
		struct client *c = sd_container(k, struct client, session.link);
		next = k->next;
		if (c->session.flags & CACHE_REMOTE)
			continue;
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
	sd_worker_drained(s->w);
}

/* A request is answered as soon as it is there: what is left of one is not waited for. */
static void drain(void *self, struct sd_worker *w)
{
	struct shell *s = self;
	sd_run_streams_close(&s->streams);
	end_clients(s, false);
	s->draining = true;
	if (s->cache.cluster)
		s->cluster.data.leave(s->cluster.data.arg, on_left, s);
	else
		sd_worker_drained(w);
}

static void stop(void *self, struct sd_worker *w)
{
	struct shell *s = self;
	(void)w;
	s->draining = false;
	sd_run_streams_close(&s->streams);
	end_clients(s, true);
	if (s->node.on)
		cache_cluster_end(&s->cluster);
	s->cache.cluster = NULL;
	cache_copies_free(s->copies);
	s->copies = NULL;
	sd_loop_timer_cancel(s->loop, &s->tick);
	cache_disk_close(s->disk);
	s->disk = NULL;
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
	free(s->spare.p);
	cache_ahead_free(&s->ahead);
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
	if (sd_conf_int(conf, "threads") != 1)
		return sd_fail(e, SD_EINVAL, "%s: threads: expected 1, since one thread has all keys", sd_conf_origin(conf, "threads"));
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
