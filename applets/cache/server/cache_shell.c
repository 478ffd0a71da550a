/* cache_shell.c - the cache as a service: its options, its start and its end. */
#include "cache_shell.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/admin.h"
#include "app/secret.h"
#include "../client/cache_cli.h"
#include "world/machine.h"

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

/* ---- the service ---- */

static enum sd_err create(struct sd_run *run, const struct sd_conf *conf, void **self, struct sd_error *e)
{
	struct shell *s = calloc(1, sizeof(*s));
	unsigned n = (unsigned)sd_conf_int(conf, "threads");
	if (!s)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	*self = s;
	s->run = run;
	s->tick.fn = cache_serve_tick;
	s->lanes = calloc(n, sizeof(*s->lanes));
	if (!s->lanes || !cache_lanes_init(&s->all, n, &s->cache, cache_serve_look))
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = sd_secret_of(run->spec.world, conf, "password", "password-file", &s->password, e);
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
	cache_serve_enter(&((struct shell *)arg)->lanes[0]);
}

static void leave_engine(void *arg)
{
	cache_serve_leave(&((struct shell *)arg)->lanes[0]);
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
	cache_init(&s->cache, seed, cache_serve_wall_ms(s));
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
	l->streams.accepted = cache_serve_accepted;
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
	cache_serve_end_clients(l, false);
	if (w->index || !s->cache.cluster) {
		sd_worker_drained(w);
		return;
	}
	cache_serve_enter(l);
	s->cluster.data.leave(s->cluster.data.arg, on_left, s);
	cache_serve_leave(l);
}

/* Whoever is still connected elsewhere runs nothing any more: what was replied to is in the last snapshot. */
static void stop_engine(struct shell *s)
{
	struct lane *l = &s->lanes[0];
	cache_serve_enter(l);
	s->stopped = true;
	cache_serve_end_sessions(s, 0);
	if (s->node.on)
		cache_cluster_end(&s->cluster);
	s->cache.cluster = NULL;
	cache_copies_free(s->copies);
	s->copies = NULL;
	cache_serve_leave(l);
	sd_loop_timer_cancel(s->loop, &s->tick);
	cache_disk_close(s->disk);
	s->disk = NULL;
}

static void stop(void *self, struct sd_worker *w)
{
	struct lane *l = w->state;
	sd_run_streams_close(&l->streams);
	cache_serve_end_clients(l, true);
	if (!w->index)
		stop_engine(self);
	cache_serve_enter(l);
	cache_lane_end(&l->lane);
	cache_serve_leave(l);
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
		return sd_fail(e, SD_EINVAL, "%s: expected a password to listen beyond this machine: --password-file FILE",
			       sd_conf_at(conf, "bind"));
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
