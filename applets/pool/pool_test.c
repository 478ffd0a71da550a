/* pool_test.c - a crowd that wants more than there is, in steps: each step waits for a state of the pool, and tells it. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "core/units.h"
#include "pool.h"

#define SECOND_NS 1000000000ll
#define LOOK_NS   500000
#define LEAKER    23 /* the user that forgets to give back, where there are so many */

struct show {
	struct crowd crowd;
	struct sd_pool_conf conf;
	struct sd_verb_call *call;
	bool json, real_time;
	int64_t began_ns;
	struct sd_pool_stats full, flows, reaped; /* the pool at each step */
	uint64_t mean_wait_ns;
	struct sd_error e;
};

static struct sd_pool_stats look(struct show *s)
{
	struct sd_pool_stats now;
	sd_pool_shared_stats(s->crowd.pool, &now);
	return now;
}

static void say(struct show *s, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void say(struct show *s, const char *fmt, ...)
{
	va_list args;
	if (s->json)
		return;
	va_start(args, fmt);
	vfprintf(s->call->out, fmt, args);
	va_end(args);
	fflush(s->call->out);
}

static void say_counts(struct show *s, const struct sd_pool_stats *p)
{
	say(s, "[POOL] Created: %" PRIu64 ", Idle: %u, In-use: %u", p->opened, p->idle, p->lent);
	if (p->destroyed)
		say(s, ", Destroyed: %" PRIu64, p->destroyed);
	say(s, "\n");
}

/* Looks until the state is there. False: it will not come, because a user got nothing. */
static bool reached(struct show *s, bool (*is)(const struct show *s, const struct sd_pool_stats *p), struct sd_pool_stats *out)
{
	for (;;) {
		*out = look(s);
		if (is(s, out))
			return true;
		if (__atomic_load_n(&s->crowd.failed, __ATOMIC_ACQUIRE))
			return false;
		sd_world_sleep_ns(s->call->world, LOOK_NS);
	}
}

static uint32_t most(const struct show *s)
{
	return s->crowd.nusers < s->crowd.nconns ? s->crowd.nusers : s->crowd.nconns;
}

static bool is_full(const struct show *s, const struct sd_pool_stats *p)
{
	return p->lent == most(s) && p->waiting == s->crowd.nusers - most(s);
}

static bool is_flowing(const struct show *s, const struct sd_pool_stats *p)
{
	return p->waiting == 0 && p->idle == s->crowd.early && p->lent == most(s) - s->crowd.early;
}

static bool is_empty(const struct show *s, const struct sd_pool_stats *p)
{
	(void)s;
	return p->lent == 0;
}

static bool is_reaped(const struct show *s, const struct sd_pool_stats *p)
{
	return p->closed[SD_POOL_IDLE_TIMEOUT] >= s->crowd.early && p->closing == 0;
}

/* By then all others are idle too long as well. */
static bool is_alone(const struct show *s, const struct sd_pool_stats *p)
{
	(void)s;
	return p->size == 1 && p->lent == 1;
}

static bool is_leaked(const struct show *s, const struct sd_pool_stats *p)
{
	(void)p;
	return __atomic_load_n(&s->crowd.leaks, __ATOMIC_ACQUIRE) > 0;
}

static void stage(struct show *s, enum pool_stage to)
{
	__atomic_store_n(&s->crowd.stage, to, __ATOMIC_RELEASE);
}

static void pass(struct show *s, int64_t ns)
{
	if (s->real_time)
		sd_world_sleep_ns(s->call->world, ns);
	else
		pool_clock_ahead(&s->crowd, ns);
}

/* "5m" as people say it: [5 minutes later]. */
static void say_later(struct show *s, int64_t ns)
{
	char text[SD_UNIT_TEXT];
	if (ns % (60 * SECOND_NS) == 0)
		say(s, "[%lld minute%s later]\n", ns / SECOND_NS / 60, ns == 60 * SECOND_NS ? "" : "s");
	else
		say(s, "[%s later]\n", sd_format_duration(ns, text));
}

static bool crowds(struct show *s)
{
	struct sd_pool_stats p = look(s);
	say_counts(s, &p);
	if (pool_crowd_begin(&s->crowd, &s->e)) {
		s->crowd.failed = 1;
		s->crowd.e = s->e;
		return false;
	}
	if (!reached(s, is_full, &s->full))
		return false;
	say_counts(s, &s->full);
	if (s->full.waiting)
		say(s, "[POOL] %u thread%s waiting...\n", s->full.waiting, s->full.waiting == 1 ? "" : "s");
	stage(s, POOL_FLOWS);
	if (!reached(s, is_flowing, &s->flows))
		return false;
	say_counts(s, &s->flows);
	s->mean_wait_ns = (uint64_t)s->flows.wait_ns / s->flows.leases;
	say(s, "[POOL] Avg wait time: %" PRIu64 "ms\n", (s->mean_wait_ns + 500000) / 1000000);
	return true;
}

/* Those that came back first are idle a second longer than the others: they alone are closed. */
static bool reaps(struct show *s)
{
	struct sd_pool_stats p;
	char text[SD_UNIT_TEXT];
	if (!s->real_time)
		pool_clock_freeze(&s->crowd);
	pass(s, SECOND_NS);
	stage(s, POOL_EMPTIES);
	if (!reached(s, is_empty, &p))
		return false;
	pass(s, s->conf.idle_timeout_ns - SECOND_NS);
	say_later(s, s->conf.idle_timeout_ns);
	if (!reached(s, is_reaped, &s->reaped))
		return false;
	uint64_t n = s->reaped.closed[SD_POOL_IDLE_TIMEOUT];
	sd_format_duration(s->conf.idle_timeout_ns, text);
	say(s, "[POOL] Reaped %" PRIu64 " idle connection%s (idle > %s)\n", n, n == 1 ? "" : "s", text);
	say_counts(s, &s->reaped);
	return true;
}

static const char *base(const char *file)
{
	const char *slash = strrchr(file, '/');
	return slash ? slash + 1 : file;
}

static bool leaks(struct show *s)
{
	struct crowd *c = &s->crowd;
	struct sd_pool_stats p;
	struct sd_error e;
	if (pool_user_forgets(c, c->nusers < LEAKER ? c->nusers : LEAKER, &e)) {
		c->e = e;
		c->failed = 1;
		return false;
	}
	pass(s, s->conf.leak_ns);
	if (!reached(s, is_leaked, &p))
		return false;
	say(s, "[POOL] WARNING: Connection borrowed %llds ago, not returned\n", c->leak.age_ns / SECOND_NS);
	say(s, "[POOL] Borrowed at: %s:%d (thread %" PRIu64 ")\n", base(c->leak.holder.site->file), c->leak.holder.site->line,
	    c->leak.holder.who);
	return reached(s, is_alone, &p);
}

/* In milliseconds. The histogram rounds up. */
static double at(struct show *s, double percentile)
{
	int64_t ns = sd_pool_shared_wait_at(s->crowd.pool, percentile), longest = look(s).longest_wait_ns;
	return (double)(ns < longest ? ns : longest) / 1e6;
}

static void say_end(struct show *s)
{
	struct sd_pool_stats p = look(s);
	say(s, "\n%u users, %u connections: %" PRIu64 " leases, %" PRIu64 " connection%s opened, %" PRIu64 " timeouts\n", s->crowd.nusers,
	    s->crowd.nconns, p.leases, p.opened, p.opened == 1 ? "" : "s", p.timeouts);
	say(s, "waited: %.1f ms at the median, %.1f ms at 99 %%, %.1f ms the longest\n", at(s, 50), at(s, 99),
	    (double)p.longest_wait_ns / 1e6);
	say(s, "%" PRIu64 " leak, %" PRIu64 " closed as idle\n", p.leaks, p.closed[SD_POOL_IDLE_TIMEOUT]);
}

static cJSON *json_counts(const struct sd_pool_stats *p)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddNumberToObject(o, "created", (double)p->opened);
	cJSON_AddNumberToObject(o, "idle", p->idle);
	cJSON_AddNumberToObject(o, "in_use", p->lent);
	cJSON_AddNumberToObject(o, "waiting", p->waiting);
	cJSON_AddNumberToObject(o, "destroyed", (double)p->destroyed);
	return o;
}

static cJSON *json_waits(struct show *s, const struct sd_pool_stats *p)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddNumberToObject(o, "mean", (double)s->mean_wait_ns / 1e6);
	cJSON_AddNumberToObject(o, "p50", at(s, 50));
	cJSON_AddNumberToObject(o, "p99", at(s, 99));
	cJSON_AddNumberToObject(o, "longest", (double)p->longest_wait_ns / 1e6);
	return o;
}

static int print_json(struct show *s)
{
	struct sd_pool_stats p = look(s);
	const struct sd_pool_held *held = &s->crowd.leak;
	cJSON *o = cJSON_CreateObject(), *leak = cJSON_CreateObject();
	cJSON_AddNumberToObject(o, "users", s->crowd.nusers);
	cJSON_AddNumberToObject(o, "max_conns", s->crowd.nconns);
	cJSON_AddItemToObject(o, "full", json_counts(&s->full));
	cJSON_AddItemToObject(o, "flowing", json_counts(&s->flows));
	cJSON_AddItemToObject(o, "reaped", json_counts(&s->reaped));
	cJSON_AddNumberToObject(o, "leases", (double)p.leases);
	cJSON_AddNumberToObject(o, "timeouts", (double)p.timeouts);
	cJSON_AddItemToObject(o, "wait_ms", json_waits(s, &p));
	cJSON_AddStringToObject(leak, "file", base(held->holder.site->file));
	cJSON_AddNumberToObject(leak, "line", held->holder.site->line);
	cJSON_AddStringToObject(leak, "function", held->holder.site->function);
	cJSON_AddNumberToObject(leak, "thread", (double)held->holder.who);
	cJSON_AddNumberToObject(leak, "seconds", (double)held->age_ns / 1e9);
	cJSON_AddItemToObject(o, "leak", leak);
	char *text = cJSON_PrintUnformatted(o);
	fprintf(s->call->out, "%s\n", text ? text : "");
	cJSON_Delete(o);
	free(text);
	return !text;
}

static int run(struct show *s)
{
	if (!crowds(s) || !reaps(s) || !leaks(s))
		return 1;
	if (s->json)
		return print_json(s);
	say_end(s);
	return 0;
}

static void read_options(struct show *s, const struct sd_conf *conf)
{
	struct crowd *c = &s->crowd;
	c->nusers = (uint32_t)sd_conf_int(conf, "concurrent-users");
	c->nconns = (uint32_t)sd_conf_int(conf, "max-conns");
	uint32_t last = most(s);
	c->early = last * 3 / 10 ? last * 3 / 10 : 1;
	c->hold_ns = sd_conf_int(conf, "hold");
	c->timeout_ns = sd_conf_int(conf, "timeout");
	c->again = sd_conf_bool(conf, "top");
	s->json = sd_conf_bool(conf, "json");
	s->real_time = sd_conf_bool(conf, "real-time") || c->again;
	s->conf = sd_pool_defaults;
	s->conf.max_size = c->nconns;
	s->conf.idle_timeout_ns = sd_conf_int(conf, "idle-timeout");
	s->conf.leak_ns = sd_conf_int(conf, "leak-after");
	s->conf.max_lifetime_ns = SD_POOL_NEVER;
}

static enum sd_err find_target(struct show *s, const char *target)
{
	struct sd_addr *a = &s->crowd.target;
	if (!target)
		return SD_OK;
	enum sd_err err = sd_addr_parse(target, "127.0.0.1", a, &s->e);
	if (!err && a->kind == SD_ADDR_NAME)
		err = sd_resolve_wait(s->call->world, a, &s->e);
	if (!err && a->kind == SD_ADDR_INPROC)
		err = sd_fail(&s->e, SD_EUSAGE, "--target: expected a host and a port, or unix:PATH, found %s", target);
	return err;
}

int pool_test(struct sd_verb_call *call)
{
	struct show s = {.call = call, .crowd = {.call = call, .world = call->world}};
	read_options(&s, call->conf);
	enum sd_err err = find_target(&s, sd_conf_string(call->conf, "target"));
	if (!err)
		err = pool_crowd_open(&s.crowd, &s.conf, &s.e);
	int status = err == SD_EUSAGE ? 2 : 1;
	if (!err)
		status = s.crowd.again ? pool_top(&s.crowd, sd_conf_int(call->conf, "duration")) : run(&s);
	pool_crowd_close(&s.crowd);
	if (err || s.crowd.failed)
		fprintf(call->err, "sdlab pool test: %s\n", err ? s.e.text : s.crowd.e.text);
	return status;
}
