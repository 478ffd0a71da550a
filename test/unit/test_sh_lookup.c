/* Two servers on one database and one cache, in virtual time: what a redirect finds is never older than is promised, whatever is late, lost or
 * down; a code that many wait for is asked once; and what is at hand redirects while nobody answers. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/shortener/lookup/sh_lookup_int.h"
#include "core/list.h"
#include "core/resp.h"
#include "net/stream.h"
#include "world/sim.h"

#define SECOND	1000000000ll
#define MS	1000000ll
#define WIRE	(1 * MS)
#define SERVERS 2
#define WORKERS 2
#define CODES	6
#define LIFE	(60 * SECOND)
#define NONE	(10 * SECOND)
#define TIMEOUT (2 * SECOND)

static struct sd_sim *sim;
static struct sd_rng rng;

static int64_t now(void)
{
	return sd_sim_now_ns(sim);
}

/* ---- a cache, as far as it is needed ---- */

#define MAX_CONNS 256
#define MAX_KEYS  64

static struct {
	struct sd_world *world;
	struct sd_loop *loop;
	struct sd_listener *listener;
	struct conn {
		struct sd_stream *s;
		struct sd_resp_reader reader;
		bool hears;
	} conns[MAX_CONNS];
	size_t nconns;
	struct key {
		char name[96], value[256];
		size_t n;
		int64_t due;
	} keys[MAX_KEYS];
	bool deaf, broken; /* deaf: publishes to nobody; broken: answers errors */
	uint64_t gets, sets, published;
} cache;

static struct key *find_key(struct sd_slice name, bool make)
{
	struct key *empty = NULL;
	for (size_t i = 0; i < MAX_KEYS; i++) {
		struct key *k = &cache.keys[i];
		if (k->name[0] && k->due <= now())
			k->name[0] = '\0';
		if (k->name[0] && sd_slice_eq(name, k->name))
			return k;
		if (!k->name[0] && !empty)
			empty = k;
	}
	if (!make)
		return NULL;
	ck_assert_ptr_nonnull(empty);
	snprintf(empty->name, sizeof(empty->name), "%.*s", (int)name.n, name.p);
	return empty;
}

static void set(const struct sd_slice *v, size_t n, struct sd_resp_out *o)
{
	int64_t ms;
	bool nx = n == 6;
	ck_assert(n >= 5 && sd_slice_eq(v[3], "PX") && sd_resp_parse_int(v[4], &ms) && (!nx || sd_slice_eq(v[5], "NX")));
	cache.sets++;
	if (nx && find_key(v[1], false)) {
		sd_resp_null(o);
		return;
	}
	struct key *k = find_key(v[1], true);
	ck_assert_uint_lt(v[2].n, sizeof(k->value));
	memcpy(k->value, v[2].p, v[2].n);
	k->n = v[2].n;
	k->due = now() + ms * MS;
	sd_resp_simple(o, "OK");
}

static void publish(const struct sd_slice *v, struct sd_resp_out *o)
{
	struct sd_resp_out m = {0};
	sd_resp_array(&m, 3);
	sd_resp_text(&m, "message");
	sd_resp_bulk(&m, v[1].p, v[1].n);
	sd_resp_bulk(&m, v[2].p, v[2].n);
	for (size_t i = 0; i < cache.nconns && !cache.deaf; i++)
		if (cache.conns[i].s && cache.conns[i].hears)
			sd_stream_write(cache.conns[i].s, m.p, m.n);
	free(m.p);
	cache.published++;
	sd_resp_int(o, 1);
}

static void obey(struct conn *c, struct sd_resp_out *o)
{
	const struct sd_slice *v = c->reader.argv;
	const struct key *k;
	if (cache.broken) {
		sd_resp_error(o, "WRONGTYPE no");
	} else if (sd_slice_eq(v[0], "PING")) {
		sd_resp_simple(o, "PONG");
	} else if (sd_slice_eq(v[0], "GET")) {
		cache.gets++;
		if ((k = find_key(v[1], false)))
			sd_resp_bulk(o, k->value, k->n);
		else
			sd_resp_null(o);
	} else if (sd_slice_eq(v[0], "PTTL")) {
		sd_resp_int(o, (k = find_key(v[1], false)) ? (k->due - now()) / MS : -2);
	} else if (sd_slice_eq(v[0], "SET")) {
		set(v, c->reader.argc, o);
	} else if (sd_slice_eq(v[0], "PUBLISH")) {
		publish(v, o);
	} else {
		ck_assert(sd_slice_eq(v[0], "SUBSCRIBE"));
		c->hears = true;
		sd_resp_array(o, 3);
		sd_resp_text(o, "subscribe");
		sd_resp_bulk(o, v[1].p, v[1].n);
		sd_resp_int(o, 1);
	}
}

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	static const struct sd_resp_limits limits = {SD_RESP_MAX_ARGS, SD_RESP_MAX_BULK, false};
	struct conn *c = s->owner;
	size_t at = 0;
	ssize_t took;
	while (at < n && (took = sd_resp_read(&c->reader, p + at, n - at, &limits)) > 0) {
		struct sd_resp_out o = {0};
		obey(c, &o);
		sd_stream_write(s, o.p, o.n);
		free(o.p);
		sd_resp_reader_reset(&c->reader);
		at += (size_t)took;
	}
	return at;
}

static void drop_conn(struct conn *c)
{
	if (c->s)
		sd_stream_close(c->s);
	c->s = NULL;
}

static void on_eof(struct sd_stream *s)
{
	drop_conn(s->owner);
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	(void)why;
	drop_conn(s->owner);
}

static const struct sd_stream_events events = {.data = on_data, .eof = on_eof, .closed = on_closed};

static void on_accepted(void *arg, struct sd_io *io)
{
	(void)arg;
	ck_assert_uint_lt(cache.nconns, MAX_CONNS);
	struct conn *c = &cache.conns[cache.nconns++];
	c->s = sd_stream_new(io, false, 65536, &events, c);
}

static void cache_starts(void)
{
	struct sd_addr at = {.kind = SD_ADDR_INET, .port = 6379};
	struct sd_listener_events on = {.accepted = on_accepted};
	struct sd_error e = {0};
	cache.loop = sd_loop_new(cache.world, &e);
	ck_assert_int_eq(sd_loop_start(cache.loop, "cache", &e), SD_OK);
	ck_assert_int_eq(sd_loop_listen(cache.loop, &at, false, &on, &cache.listener, &e), SD_OK);
}

static void cache_ends(void)
{
	for (size_t i = 0; i < cache.nconns; i++) {
		drop_conn(&cache.conns[i]);
		sd_resp_reader_free(&cache.conns[i].reader);
	}
	memset(cache.conns, 0, sizeof(cache.conns));
	cache.nconns = 0;
	sd_listener_close(cache.listener);
	sd_loop_flush(cache.loop);
	sd_loop_free(cache.loop);
	cache.loop = NULL;
}

/* ---- a database: codes have versions, which their URLs tell; one of each five is "no such link" ---- */

static struct {
	uint64_t version[CODES];
	int64_t committed_ns[CODES][4096];
	bool away, silent;
	int64_t late_ns; /* at most, before it looks and before it answers */
	uint64_t gets, uses;
	uint64_t visits_left;
} db;

static bool is_none(uint64_t version)
{
	return version % 5 == 0;
}

struct got {
	struct sd_timer timer;
	struct sd_loop *loop;
	sh_store_link_fn *fn;
	void *arg;
	unsigned code;
	bool looked;
	uint64_t version;
};

static void finish_get(struct got *g)
{
	struct sd_error e = {.code = db.away ? SD_EUNREACHABLE : is_none(g->version) ? SD_ENOTFOUND : SD_OK};
	char url[64];
	struct sh_link link = {.id = g->code + 1, .url = url};
	snprintf(url, sizeof(url), "http://v/%llu", (unsigned long long)g->version);
	g->fn(g->arg, &e, e.code ? NULL : &link);
	free(g);
}

static int64_t some_time(void)
{
	return db.late_ns ? (int64_t)(sd_rng_unit(&rng) * (double)db.late_ns) : 100000;
}

static void on_got(struct sd_timer *t)
{
	struct got *g = sd_container(t, struct got, timer);
	if (g->looked) {
		finish_get(g);
		return;
	}
	g->looked = true;
	g->version = db.version[g->code];
	sd_loop_timer_set(g->loop, t, sd_loop_now_ns(g->loop) + some_time());
}

static struct got *silent[256];
static size_t nsilent;

static void get(void *arg, const char *code, sh_store_link_fn *fn, void *fn_arg)
{
	struct got *g = calloc(1, sizeof(*g));
	*g = (struct got){.timer.fn = on_got, .loop = arg, .fn = fn, .arg = fn_arg, .code = (unsigned)(code[0] - 'a')};
	ck_assert_uint_lt(g->code, CODES);
	db.gets++;
	if (db.silent) {
		ck_assert_uint_lt(nsilent, 256);
		silent[nsilent++] = g;
	} else {
		sd_loop_timer_set(g->loop, &g->timer, sd_loop_now_ns(g->loop) + some_time());
	}
}

/* With what it found then. */
static void speak_one(struct got *g, uint64_t version)
{
	g->looked = true;
	g->version = version;
	sd_loop_timer_set(g->loop, &g->timer, now());
}

static void speak(void)
{
	for (size_t i = 0; i < nsilent; i++)
		speak_one(silent[i], db.version[silent[i]->code]);
	nsilent = 0;
}

struct used {
	struct sd_timer timer;
	sh_store_done_fn *fn;
	void *arg;
};

static void on_used(struct sd_timer *t)
{
	struct used *u = sd_container(t, struct used, timer);
	struct sd_error e = {.code = db.away ? SD_EUNREACHABLE : db.visits_left ? SD_OK : SD_EEXHAUSTED};
	db.visits_left -= e.code == SD_OK;
	u->fn(u->arg, &e);
	free(u);
}

static void use(void *arg, uint64_t id, sh_store_done_fn *fn, void *fn_arg)
{
	struct sd_loop *loop = arg;
	struct used *u = calloc(1, sizeof(*u));
	*u = (struct used){.timer.fn = on_used, .fn = fn, .arg = fn_arg};
	ck_assert_uint_gt(id, 0);
	db.uses++;
	sd_loop_timer_set(loop, &u->timer, sd_loop_now_ns(loop) + 100000);
}

/* ---- servers ---- */

static struct server {
	struct sd_world *world;
	struct sd_loop *control, *loops[WORKERS];
	struct sh_lookup *k;
	struct sh_lookup_worker *w[WORKERS];
	uint64_t known[CODES]; /* versions whose change was answered here */
} servers[SERVERS];

static void begin_with(uint64_t seed, const char *url)
{
	static const char *const names[] = {"a", "b"};
	struct sd_error e = {0};
	memset(&cache, 0, sizeof(cache));
	memset(&db, 0, sizeof(db));
	memset(servers, 0, sizeof(servers));
	sd_rng_seed(&rng, seed);
	sim = sd_sim_new(seed);
	cache.world = sd_sim_node(sim, "cache");
	cache_starts();
	for (unsigned c = 0; c < CODES; c++)
		db.version[c] = 1;
	for (unsigned i = 0; i < SERVERS; i++) {
		struct server *s = &servers[i];
		s->world = sd_sim_node(sim, names[i]);
		*sd_sim_wire(s->world, cache.world) = *sd_sim_wire(cache.world, s->world) = (struct sd_sim_wire){.latency_ns = WIRE};
		s->control = sd_loop_new(s->world, &e);
		ck_assert_int_eq(sd_loop_start(s->control, "control", &e), SD_OK);
		struct sh_lookup_conf conf = {.control = s->control, .nworkers = WORKERS, .size = 1 << 20, .life_ns = LIFE, .none_life_ns = NONE,
					      .stale_ns = 3600 * SECOND, .timeout_ns = TIMEOUT, .cache = url, .prefix = "p:",
					      .cache_timeout_ns = 500 * MS, .source = {get, use, s->control}};
		ck_assert_msg(sh_lookup_new(&conf, &s->k, &e) == SD_OK, "%s", e.text);
		for (unsigned j = 0; j < WORKERS; j++) {
			s->loops[j] = sd_loop_new(s->world, &e);
			ck_assert_int_eq(sd_loop_start(s->loops[j], "worker", &e), SD_OK);
			ck_assert_int_eq(sh_lookup_start(s->k, s->loops[j], &s->w[j], &e), SD_OK);
		}
		for (unsigned c = 0; c < CODES; c++)
			s->known[c] = 1;
	}
	sd_sim_run_to(sim, now() + 20 * MS);
}

static void begin(uint64_t seed)
{
	begin_with(seed, "redis://10.0.0.1");
}

static void pass(int64_t ns)
{
	sd_sim_run_to(sim, now() + ns);
}

static void end(void)
{
	speak();
	pass(3 * TIMEOUT); /* what the database has been asked is answered */
	for (unsigned i = 0; i < SERVERS; i++) {
		struct server *s = &servers[i];
		for (unsigned j = 0; j < WORKERS; j++)
			sh_lookup_stop(s->w[j]);
		sd_loop_flush(s->control);
		for (unsigned j = 0; j < WORKERS; j++)
			sd_loop_flush(s->loops[j]);
		sh_lookup_close(s->k);
		for (unsigned j = 0; j < WORKERS; j++)
			sd_loop_free(s->loops[j]);
		sd_loop_flush(s->control);
		sd_loop_free(s->control);
	}
	if (cache.loop)
		cache_ends();
	sd_sim_free(sim);
}

/* ---- changes: committed now, and told when the server that made it hears of that ---- */

struct edit {
	struct sd_timer timer;
	struct server *s;
	unsigned code;
	uint64_t version;
};

static void on_edited(struct sd_timer *t)
{
	struct edit *x = sd_container(t, struct edit, timer);
	char code[2] = {(char)('a' + x->code), '\0'};
	sh_lookup_changed(x->s->k, code);
	if (x->version > x->s->known[x->code])
		x->s->known[x->code] = x->version; /* from here on the client has its answer */
	free(x);
}

static void edit(unsigned server, unsigned code, int64_t late_ns)
{
	struct edit *x = calloc(1, sizeof(*x));
	struct server *s = &servers[server];
	*x = (struct edit){.timer.fn = on_edited, .s = s, .code = code, .version = ++db.version[code]};
	ck_assert_uint_lt(x->version, 4096);
	db.committed_ns[code][x->version] = now();
	sd_loop_timer_set(s->control, &x->timer, sd_loop_now_ns(s->control) + late_ns);
}

/* ---- redirects ---- */

struct visit {
	struct sh_lookup_wait wait;
	struct sd_task task;
	struct server *s;
	unsigned worker, code;
	int64_t began_ns, bound_ns;
	uint64_t least; /* older than this is wrong */
	bool done, forget, *answered;
	enum sh_look look;
	uint64_t version; /* 0: none */
};
static uint64_t nvisits, nfound, naway;

static void judge(struct visit *v, enum sh_look look, const struct sh_target *t)
{
	uint64_t version = 0;
	v->done = true;
	v->look = look;
	naway += look == SH_LOOK_AWAY;
	if (look != SH_LOOK_FOUND && look != SH_LOOK_UNKNOWN)
		return;
	nfound++;
	if (look == SH_LOOK_FOUND) {
		ck_assert(sd_slice_starts(t->url, "http://v/"));
		for (size_t i = 9; i < t->url.n; i++)
			version = version * 10 + (uint64_t)(t->url.p[i] - '0');
		v->version = version;
		if (t->stale)
			return;
	} else {
		/* which one it was is not told: the newest that is none */
		for (version = db.version[v->code]; !is_none(version); version--)
			;
	}
	ck_assert_msg(version >= v->least, "%s: code %c: %llu was found, at least %llu was promised, %lld ms", sd_sim_name(v->s->world),
		      'a' + (int)v->code, (unsigned long long)version, (unsigned long long)v->least, (long long)((now() - v->began_ns) / MS));
}

static void on_done(struct sh_lookup_wait *wait, enum sh_look look, const struct sh_target *t)
{
	judge(sd_container(wait, struct visit, wait), look, t);
}

static void look_up(struct sd_task *task)
{
	struct visit *v = sd_container(task, struct visit, task);
	struct sh_lookup_worker *w = v->s->w[v->worker];
	char c = (char)('a' + v->code);
	struct sh_target t;
	v->began_ns = now();
	v->least = v->s->known[v->code];
	for (uint64_t n = db.version[v->code]; n > v->least; n--)
		if (db.committed_ns[v->code][n] + v->bound_ns < now()) {
			v->least = n;
			break;
		}
	enum sh_look look = sh_lookup_now(w, (struct sd_slice){&c, 1}, 1000, &t);
	if (look != SH_LOOK_ASK)
		judge(v, look, &t);
	else if (!sh_lookup_ask(w, (struct sd_slice){&c, 1}, 1000, &v->wait))
		v->done = true;
}

static void visit(struct visit *v, unsigned server, unsigned worker, unsigned code, int64_t bound_ns)
{
	*v = (struct visit){.wait.done = on_done, .task.fn = look_up, .s = &servers[server], .worker = worker, .code = code, .bound_ns = bound_ns};
	nvisits++;
	sd_loop_post(v->s->loops[worker], &v->task);
}

static enum sh_look visit_now(unsigned server, unsigned worker, unsigned code)
{
	struct visit v;
	visit(&v, server, worker, code, INT64_MAX / 2);
	for (int64_t until = now() + 10 * SECOND; !v.done;)
		ck_assert(now() < until && sd_sim_step(sim));
	return v.look;
}

static uint64_t version_now(unsigned server, unsigned worker, unsigned code)
{
	struct visit v;
	visit(&v, server, worker, code, INT64_MAX / 2);
	while (!v.done)
		ck_assert(sd_sim_step(sim));
	ck_assert_int_eq(v.look, SH_LOOK_FOUND);
	return v.version;
}

/* ---- one thing after the other ---- */

#define CROWD 500

START_TEST(asked_once)
{
	static struct visit crowd[CROWD];
	begin(1);
	db.late_ns = 100 * MS;
	for (int i = 0; i < CROWD; i++)
		visit(&crowd[i], 0, (unsigned)i % WORKERS, 2, SECOND);
	pass(SECOND);
	for (int i = 0; i < CROWD; i++)
		ck_assert(crowd[i].done && crowd[i].look == SH_LOOK_FOUND && crowd[i].version == 1);
	ck_assert_uint_eq(db.gets, 1);
	ck_assert_uint_eq(cache.gets, 1);
	/* the other server finds it in the cache; then nobody asks anybody */
	ck_assert_int_eq(visit_now(1, 0, 2), SH_LOOK_FOUND);
	ck_assert_uint_eq(db.gets, 1);
	ck_assert_uint_eq(cache.gets, 2);
	for (unsigned w = 0; w < WORKERS; w++)
		ck_assert_int_eq(visit_now(0, w, 2), SH_LOOK_FOUND);
	ck_assert_uint_eq(cache.gets, 2);
	end();
}
END_TEST

/* A request on any connection that comes after the answer to a change, before anybody had a turn. */
START_TEST(known_at_once)
{
	struct sh_target t;
	begin(1);
	for (unsigned w = 0; w < WORKERS; w++) {
		ck_assert_uint_eq(version_now(0, w, 1), 1);
		ck_assert_int_eq(sh_lookup_now(servers[0].w[w], sd_slice_of("b"), 0, &t), SH_LOOK_FOUND);
	}
	db.version[1]++;
	sh_lookup_changed(servers[0].k, "b");
	for (unsigned w = 0; w < WORKERS; w++)
		ck_assert_int_eq(sh_lookup_now(servers[0].w[w], sd_slice_of("b"), 0, &t), SH_LOOK_ASK);
	for (unsigned w = 0; w < WORKERS; w++)
		ck_assert_uint_eq(version_now(0, w, 1), 2);
	end();
}
END_TEST

/* Those who came before a change may have either target; what they had is kept nowhere. */
START_TEST(change_meets_flight)
{
	struct visit before, after;
	begin(1);
	db.silent = true;
	visit(&before, 0, 0, 1, SECOND);
	pass(20 * MS);
	ck_assert_uint_eq(db.gets, 1);
	db.silent = false;
	edit(0, 1, 0);
	pass(MS);
	visit(&after, 0, 0, 1, SECOND);
	pass(20 * MS);
	ck_assert(!before.done && after.done && after.version == 2);
	ck_assert_uint_eq(db.gets, 2);
	struct got *g = silent[0];
	nsilent = 0;
	speak_one(g, 1);
	pass(20 * MS);
	ck_assert(before.done && before.version == 1);
	ck_assert_uint_eq(version_now(0, 0, 1), 2);
	ck_assert_uint_eq(version_now(0, 1, 1), 2);
	ck_assert_uint_eq(version_now(1, 0, 1), 2);
	end();
}
END_TEST

/* A server that does not hear of a change fills the cache too late: the tombstone is in the way. */
START_TEST(fill_meets_tombstone)
{
	struct visit v;
	begin(1);
	cache.deaf = true;
	db.silent = true;
	visit(&v, 1, 0, 1, 100 * SECOND);
	pass(20 * MS);
	struct got *g = silent[0];
	nsilent = 0;
	db.silent = false;
	edit(0, 1, 0);
	pass(20 * MS);
	speak_one(g, 1);
	pass(20 * MS);
	ck_assert(v.done && v.version == 1);
	ck_assert_uint_eq(version_now(0, 0, 1), 2);
	ck_assert_uint_eq(version_now(0, 1, 1), 2);
	end();
}
END_TEST

START_TEST(others_hear)
{
	begin(1);
	ck_assert_uint_eq(version_now(1, 0, 1), 1);
	edit(0, 1, 0);
	pass(4 * WIRE + MS);
	ck_assert_uint_eq(version_now(1, 0, 1), 2);
	/* while nobody could be told, it is kept to be told */
	cache_ends();
	pass(100 * MS);
	edit(0, 1, 0);
	edit(0, 2, 0);
	pass(SECOND);
	ck_assert_uint_gt(servers[0].k->n.untold, 1);
	memset(cache.keys, 0, sizeof(cache.keys));
	cache_starts();
	pass(5 * SECOND);
	ck_assert_uint_eq(version_now(1, 0, 1), 3);
	ck_assert_uint_gt(cache.published, 2);
	end();
}
END_TEST

/* Nobody says that it is cut off: found out by itself, and from then on nothing is kept for long. */
START_TEST(deaf)
{
	begin(1);
	ck_assert_uint_eq(version_now(1, 0, 1), 1);
	pass(10 * SECOND); /* it hears, so it asks nobody */
	uint64_t gets = db.gets;
	ck_assert_uint_eq(version_now(1, 0, 1), 1);
	ck_assert_uint_eq(db.gets, gets);
	sd_sim_partition(servers[1].world, cache.world, true);
	edit(0, 1, 0);
	pass(SH_DEAF_MS * MS + 10 * MS);
	ck_assert(servers[1].k->deaf);
	ck_assert_uint_eq(version_now(1, 0, 1), 2);
	edit(0, 1, 0);
	pass(SH_DEAF_LIFE_MS * MS);
	ck_assert_uint_eq(version_now(1, 0, 1), 3);
	edit(0, 1, 0);
	sd_sim_partition(servers[1].world, cache.world, false);
	pass(5 * SECOND);
	ck_assert(!servers[1].k->deaf);
	ck_assert_uint_eq(version_now(1, 0, 1), 4);
	end();
}
END_TEST

/* What the cache had for most of its life is kept for the rest of it only. */
START_TEST(no_second_life)
{
	begin(1);
	cache.deaf = true;
	ck_assert_uint_eq(version_now(0, 0, 1), 1);
	pass(LIFE - 12 * SECOND);
	ck_assert_uint_eq(version_now(1, 0, 1), 1);
	ck_assert_uint_eq(db.gets, 1);
	edit(0, 1, 0);
	pass(13 * SECOND);
	ck_assert_uint_eq(version_now(1, 0, 1), 2);
	end();
}
END_TEST

START_TEST(database_away)
{
	struct visit v;
	begin(1);
	for (unsigned w = 0; w < WORKERS; w++)
		ck_assert_uint_eq(version_now(0, w, 1), 1);
	char why[256];
	ck_assert(sh_lookup_ready(servers[0].k, why, sizeof(why)));
	db.away = true;
	memset(cache.keys, 0, sizeof(cache.keys));
	pass(2 * LIFE);
	ck_assert_uint_eq(version_now(0, 0, 1), 1); /* out of date, but what else */
	ck_assert_int_eq(visit_now(0, 0, 2), SH_LOOK_AWAY);
	ck_assert(!sh_lookup_ready(servers[0].k, why, sizeof(why)));
	ck_assert_uint_gt(servers[0].w[0]->n.stale, 0);
	/* while it is away, a second of redirects asks it once at most */
	uint64_t gets = db.gets;
	for (int i = 0; i < 100; i++)
		version_now(0, 0, 1);
	ck_assert_uint_le(db.gets, gets + 1);
	/* slow is as bad as away, after a time */
	db.away = false;
	db.silent = true;
	pass(2 * SECOND);
	visit(&v, 0, 1, 1, 10000 * SECOND);
	pass(TIMEOUT - 10 * MS);
	ck_assert(!v.done);
	pass(30 * MS);
	ck_assert(v.done && v.look == SH_LOOK_FOUND);
	db.silent = false;
	speak();
	pass(2 * SECOND);
	db.version[1]++;
	ck_assert_uint_eq(version_now(0, 0, 1), 2);
	ck_assert(sh_lookup_ready(servers[0].k, why, sizeof(why)));
	/* not for ever */
	db.away = true;
	memset(cache.keys, 0, sizeof(cache.keys));
	pass(3600 * SECOND + LIFE);
	ck_assert_int_eq(visit_now(0, 0, 1), SH_LOOK_AWAY);
	end();
}
END_TEST

START_TEST(cache_talks_nonsense)
{
	begin(1);
	cache.broken = true;
	ck_assert_uint_eq(version_now(0, 0, 1), 1);
	ck_assert_uint_gt(servers[0].k->n.cache_errors, 0);
	cache.broken = false;
	struct key *k = find_key(sd_slice_of("p:c"), true);
	k->n = (size_t)snprintf(k->value, sizeof(k->value), "1:1:::::http://evil/\r\nX: y");
	k->due = now() + 100 * SECOND;
	ck_assert_uint_eq(version_now(0, 0, 2), 1);
	end();
}
END_TEST

START_TEST(none_is_kept)
{
	begin(1);
	db.version[1] = 5;
	ck_assert_int_eq(visit_now(0, 0, 1), SH_LOOK_UNKNOWN);
	ck_assert_int_eq(visit_now(0, 0, 1), SH_LOOK_UNKNOWN);
	ck_assert_int_eq(visit_now(1, 0, 1), SH_LOOK_UNKNOWN);
	ck_assert_uint_eq(db.gets, 1);
	edit(0, 1, 0);
	pass(10 * MS);
	ck_assert_uint_eq(version_now(1, 0, 1), 6);
	ck_assert_uint_eq(version_now(0, 0, 1), 6);
	/* and ends by itself */
	db.version[2] = 5;
	ck_assert_int_eq(visit_now(0, 0, 2), SH_LOOK_UNKNOWN);
	db.version[2]++;
	pass(NONE + SECOND);
	ck_assert_uint_eq(version_now(0, 0, 2), 6);
	end();
}
END_TEST

/* Visits of a link with a limit are the store's, each of them. */
START_TEST(limited)
{
	static struct visit crowd[20];
	unsigned found = 0;
	begin_with(1, NULL);
	struct sh_record rec = {.id = 7, .limited = true, .url = sd_slice_of("http://v/1")};
	db.visits_left = 7;
	for (unsigned w = 0; w < WORKERS; w++)
		sh_table_put(&servers[0].w[w]->table, sd_slice_of("b"), &rec, now(), LIFE);
	for (unsigned i = 0; i < 20; i++) {
		visit(&crowd[i], 0, i % WORKERS, 1, SECOND);
		crowd[i].wait.visit = i < 19;
	}
	pass(SECOND);
	for (unsigned i = 0; i < 19; i++) {
		ck_assert(crowd[i].done && (crowd[i].look == SH_LOOK_FOUND || crowd[i].look == SH_LOOK_USED_UP));
		found += crowd[i].look == SH_LOOK_FOUND;
	}
	ck_assert_int_eq(crowd[19].look, SH_LOOK_FOUND); /* who takes no visit may see it */
	ck_assert_uint_eq(found, 7);
	ck_assert_uint_eq(db.uses, 19);
	ck_assert_uint_eq(db.gets, 0);
	db.away = true;
	crowd[0] = (struct visit){0};
	visit(&crowd[0], 0, 0, 1, SECOND);
	crowd[0].wait.visit = true;
	pass(SECOND);
	ck_assert_int_eq(crowd[0].look, SH_LOOK_AWAY);
	end();
}
END_TEST

START_TEST(forgotten)
{
	static struct visit crowd[10];
	begin(1);
	db.late_ns = 100 * MS;
	for (unsigned i = 0; i < 10; i++)
		visit(&crowd[i], 0, 0, 1, SECOND);
	pass(MS);
	for (unsigned i = 0; i < 10; i += 2)
		sh_lookup_forget(&crowd[i].wait);
	pass(SECOND);
	for (unsigned i = 0; i < 10; i++)
		ck_assert_int_eq(crowd[i].done, i % 2);
	ck_assert_uint_eq(servers[0].w[0]->waiting, 0);
	/* closed in the middle of it */
	for (unsigned i = 0; i < 10; i++)
		visit(&crowd[i], 0, 0, 3, SECOND);
	pass(MS / 2);
	end();
}
END_TEST

/* ---- anything at any time ---- */

static void mischief(void)
{
	struct server *s = &servers[sd_rng_below(&rng, SERVERS)];
	switch (sd_rng_below(&rng, 8)) {
	case 0: sd_sim_partition(s->world, cache.world, true); break;
	case 1:
		if (cache.loop)
			cache_ends();
		if (sd_rng_below(&rng, 2))
			memset(cache.keys, 0, sizeof(cache.keys));
		break;
	case 2: cache.broken = !cache.broken; break;
	case 3: db.away = !db.away; break;
	default:
		sd_sim_heal_all(sim);
		cache.broken = db.away = false;
		if (!cache.loop)
			cache_starts();
	}
}

static struct visit visits[60000];

/* bound_ns: after which the other server has to know; trouble: with mischief. */
static void play(unsigned steps, int64_t bound_ns, int64_t step_ns, bool trouble)
{
	size_t n = 0;
	for (unsigned i = 0; i < steps; i++) {
		for (unsigned k = sd_rng_below(&rng, 6); k--;)
			visit(&visits[n++], sd_rng_below(&rng, SERVERS), sd_rng_below(&rng, WORKERS), sd_rng_below(&rng, CODES), bound_ns);
		if (sd_rng_below(&rng, 4) == 0)
			edit(sd_rng_below(&rng, SERVERS), sd_rng_below(&rng, CODES), sd_rng_below(&rng, 2) * MS / 2);
		if (trouble && sd_rng_below(&rng, 50) == 0)
			mischief();
		pass((int64_t)sd_rng_below(&rng, 1000) * step_ns / 500);
	}
	pass(2 * TIMEOUT);
	for (size_t i = 0; i < n; i++)
		ck_assert(visits[i].done);
}

/* All is well but that the database is slow: what is changed here is known here at once, and there when the news travelled. */
START_TEST(never_too_old)
{
	begin((uint64_t)_i + 1);
	db.late_ns = 30 * MS;
	nfound = naway = 0;
	play(3000, 5 * WIRE, 2 * MS, false);
	ck_assert_uint_gt(nfound, 5000);
	ck_assert_uint_eq(naway, 0);
	end();
}
END_TEST

/* Nobody hears anything: the own server's promise stays, and that of the tombstone. */
START_TEST(never_too_old_unheard)
{
	begin((uint64_t)_i + 1);
	cache.deaf = true;
	db.late_ns = 30 * MS;
	play(3000, LIFE + TIMEOUT, 2 * MS, false);
	end();
}
END_TEST

START_TEST(never_too_old_in_trouble)
{
	begin((uint64_t)_i + 1);
	db.late_ns = 500 * MS;
	nfound = 0;
	play(1500, LIFE + TIMEOUT, 200 * MS, true);
	ck_assert_uint_gt(nfound, 1000);
	sd_sim_heal_all(sim);
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sh_lookup");
	TCase *t = tcase_create("sh_lookup");
	tcase_set_timeout(t, 120);
	tcase_add_test(t, asked_once);
	tcase_add_test(t, known_at_once);
	tcase_add_test(t, change_meets_flight);
	tcase_add_test(t, fill_meets_tombstone);
	tcase_add_test(t, others_hear);
	tcase_add_test(t, deaf);
	tcase_add_test(t, no_second_life);
	tcase_add_test(t, database_away);
	tcase_add_test(t, cache_talks_nonsense);
	tcase_add_test(t, none_is_kept);
	tcase_add_test(t, limited);
	tcase_add_test(t, forgotten);
	tcase_add_loop_test(t, never_too_old, 0, 10);
	tcase_add_loop_test(t, never_too_old_unheard, 0, 10);
	tcase_add_loop_test(t, never_too_old_in_trouble, 0, 10);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
