/* lb_pool.c - groups of backends: which there are, and what is set for each. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lb.h"

/* At most so many points, 12 MB: with very many backends, or heavy ones, each gets fewer, and shares are less exact. */
#define MAX_POINTS (1u << 20)

/* ---- names ---- */

static size_t add_name(char names[LB_MAX_POOLS][LB_POOL], size_t n, const char *name)
{
	for (size_t i = 0; i < n; i++)
		if (strcmp(names[i], name) == 0)
			return n;
	if (n < LB_MAX_POOLS)
		snprintf(names[n], LB_POOL, "%s", name);
	return n + 1;
}

size_t lb_pool_names(const struct sd_conf *conf, char names[LB_MAX_POOLS][LB_POOL])
{
	size_t n = add_name(names, 0, LB_DEFAULT_POOL);
	for (size_t i = 0; i < sd_conf_count(conf, "pools") && n <= LB_MAX_POOLS; i++)
		n = add_name(names, n, sd_conf_string(sd_conf_row(conf, "pools", i), "name"));
	for (size_t i = 0; i < sd_conf_count(conf, "backends") && n <= LB_MAX_POOLS; i++)
		n = add_name(names, n, sd_conf_string(sd_conf_row(conf, "backends", i), "pool"));
	return n;
}

struct lb_scope lb_pool_scope(const struct sd_conf *conf, const char *name)
{
	for (size_t i = 0; i < sd_conf_count(conf, "pools"); i++)
		if (strcmp(sd_conf_string(sd_conf_row(conf, "pools", i), "name"), name) == 0)
			return (struct lb_scope){conf, sd_conf_row(conf, "pools", i)};
	return (struct lb_scope){conf, NULL};
}

static bool is_name(const char *s)
{
	size_t n = strlen(s);
	return n > 0 && n < LB_POOL && n == strspn(s, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
}

static enum sd_err check_name(const struct sd_conf *row, const char *key, struct sd_error *e)
{
	const char *name = sd_conf_string(row, key);
	if (is_name(name))
		return SD_OK;
	return sd_fail(e, SD_EINVAL, "%s: expected 1 to %d letters, digits, '-', '_' or '.', found \"%.60s\"",
		       sd_conf_at(row, key), LB_POOL - 1, name);
}

static size_t backends_of(const struct sd_conf *conf, const char *pool)
{
	size_t n = 0;
	for (size_t i = 0; i < sd_conf_count(conf, "backends"); i++)
		n += strcmp(sd_conf_string(sd_conf_row(conf, "backends", i), "pool"), pool) == 0;
	return n;
}

static enum sd_err check_row(const struct sd_conf *conf, size_t i, struct sd_error *e)
{
	const struct sd_conf *row = sd_conf_row(conf, "pools", i);
	const char *name = sd_conf_string(row, "name");
	enum sd_err err = check_name(row, "name", e);
	if (err)
		return err;
	if (lb_pool_scope(conf, name).row != row)
		return sd_fail(e, SD_EINVAL, "%s: pool \"%s\" is there twice", sd_conf_origin(row, "name"), name);
	if (backends_of(conf, name) == 0)
		return sd_fail(e, SD_EINVAL, "%s: pool \"%s\" has no backends: expected pool: %s in a row of backends",
			       sd_conf_origin(row, "name"), name, name);
	return SD_OK;
}

static enum sd_err check_scope(const struct lb_scope *scope, struct sd_error *e)
{
	struct lb_rules rules;
	enum sd_err err = lb_affinity_check(scope, e);
	return err ? err : lb_rules_make(scope, (enum lb_mode)sd_conf_int(scope->conf, "mode"), &rules, e);
}

enum sd_err lb_pools_check(const struct sd_conf *conf, struct sd_error *e)
{
	char names[LB_MAX_POOLS][LB_POOL];
	struct lb_scope all = {conf, NULL};
	enum sd_err err = check_scope(&all, e);
	for (size_t i = 0; !err && i < sd_conf_count(conf, "backends"); i++)
		err = check_name(sd_conf_row(conf, "backends", i), "pool", e);
	for (size_t i = 0; !err && i < sd_conf_count(conf, "pools"); i++)
		err = check_row(conf, i, e);
	size_t n = err ? 0 : lb_pool_names(conf, names);
	if (n > LB_MAX_POOLS)
		return sd_fail(e, SD_EINVAL, "expected at most %d pools", LB_MAX_POOLS);
	for (size_t i = 0; !err && i < n; i++) {
		struct lb_scope scope = lb_pool_scope(conf, names[i]);
		err = check_scope(&scope, e);
	}
	return err;
}

/* ---- snapshots ---- */

uint32_t lb_pool_find(const struct lb_snapshot *s, const char *name)
{
	for (uint32_t i = 0; i < s->npools; i++)
		if (strcmp(s->pools[i].name, name) == 0)
			return i;
	return LB_NO_POOL;
}

uint32_t lb_pool_follow(const struct lb_snapshot *was, uint32_t pool, const struct lb_snapshot *is)
{
	if (pool == LB_NO_POOL)
		return pool;
	const char *name = was->pools[pool].name;
	return pool < is->npools && strcmp(is->pools[pool].name, name) == 0 ? pool : lb_pool_find(is, name);
}

static uint32_t points_for_each(const struct lb_entry *entries, size_t n)
{
	uint64_t weights = 0;
	uint32_t vnodes = SD_RING_VNODES_DEFAULT;
	for (size_t i = 0; i < n; i++)
		weights += entries[i].weight;
	/* by halves, so that a backend more or less changes it rarely: it moves keys of all */
	while (vnodes > 1 && weights * vnodes > MAX_POINTS)
		vnodes /= 2;
	return vnodes;
}

/* The pool as it is in force; NULL: it was not there. */
static const struct lb_pool *before(const struct lb *lb, const struct lb_pool *p)
{
	uint32_t i = lb->now ? lb_pool_find(lb->now, p->name) : LB_NO_POOL;
	return i == LB_NO_POOL ? NULL : &lb->now->pools[i];
}

/* One ring serves as long as names and weights stay: health does not change it, so that a backend that comes back finds
 * its keys as they were. */
static enum sd_err ring_make(const struct lb *lb, const struct lb_scope *scope, const struct lb_entry *entries,
			     struct lb_pool *p, struct sd_error *e)
{
	const char *seed = sd_conf_string(lb_from(scope, "hash.seed"), "hash.seed");
	const struct lb_pool *was = before(lb, p);
	struct sd_ring_node *nodes = calloc(p->n + 1, sizeof(*nodes));
	struct sd_ring_conf c = {.kind = SD_RING_VNODES, .vnodes = points_for_each(entries, p->n)};
	static const struct sd_siphash_key of_seeds = {3, 0};
	if (!nodes)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	if (seed)
		c.seed = sd_siphash(&of_seeds, seed, strlen(seed));
	for (size_t i = 0; i < p->n; i++) {
		const struct lb_backend *b = entries[i].backend;
		nodes[i] = (struct sd_ring_node){b->id, sd_slice_of(b->name), entries[i].weight};
	}
	enum sd_err err = SD_OK;
	if (was && was->balance.ring && sd_ring_is(was->balance.ring, &c, nodes, p->n))
		p->balance.ring = sd_ring_hold(was->balance.ring);
	else
		err = sd_ring_build(&c, nodes, p->n, &p->balance.ring);
	free(nodes);
	if (err)
		return sd_fail(e, err, "cannot make the ring of backends: %s", sd_err_text(err));
	return SD_OK;
}

static struct sd_balance_tier tier_of(const struct lb_pool *p, const struct lb_entry *entries)
{
	struct sd_balance_target targets[SD_BALANCE_MAX];
	for (size_t i = 0; i < p->n; i++)
		targets[i] = (struct sd_balance_target){.weight = entries[i].weight,
							.usable = entries[i].usable,
							.in_reach = entries[i].in_reach,
							.backup = entries[i].backup};
	return sd_balance_tier(&p->balance, targets, p->n);
}

/* Says when the pool came into need, or out of it. */
static void say_tier(const struct lb *lb, const struct lb_pool *p)
{
	static const char *const used[] = {"all are used, whatever their health", "none is used"};
	struct sd_log *log = lb->run->log;
	const struct lb_pool *old = before(lb, p);
	struct sd_balance_tier was = old ? old->tier : (struct sd_balance_tier){0}, is = p->tier;
	struct sd_field f[] = {{"pool", p->name, 0}, {0}};
	char of[LB_POOL + 16] = "";
	if (strcmp(p->name, LB_DEFAULT_POOL) != 0)
		snprintf(of, sizeof(of), " in pool %s", p->name);
	if (is.panic && !was.panic)
		sd_event(log, SD_WARN, "panic_begins", f, "Panic%s: %zu of %zu backends usable, so %s", of, is.usable, is.of,
			 used[p->balance.panic]);
	else if (!is.panic && was.panic)
		sd_event(log, SD_INFO, "panic_ends", f, "Panic%s is over: %zu of %zu backends usable", of, is.usable, is.of);
	if (is.backup && !was.backup)
		sd_event(log, SD_WARN, "backups_serve", f, "No primary%s is usable: the backups serve", of);
	else if (!is.backup && was.backup)
		sd_event(log, SD_INFO, "primaries_serve", f, "The primaries%s serve again", of);
}

/* One that was not usable and now is came back; at the very start nobody did. */
static void note_since(struct lb *lb, struct lb_snapshot *s)
{
	int64_t now = sd_loop_now_ns(lb->run->spec.control);
	for (size_t i = 0; i < s->n; i++) {
		struct lb_entry *entry = &s->entries[i];
		struct lb_backend *b = entry->backend;
		if (!lb->now)
			b->since_ns = SD_BALANCE_LONG_AGO;
		else if (entry->usable && !b->was_usable)
			b->since_ns = now;
		b->was_usable = entry->usable;
		entry->since_ns = b->since_ns;
	}
}

static void http_make(const struct lb_scope *scope, struct sd_http_pool_conf *out)
{
	*out = sd_http_pool_defaults;
	out->max_idle = (uint32_t)sd_conf_int(scope->conf, "keep-idle");
	out->idle_timeout_ns = sd_conf_int(scope->conf, "keep-idle-time");
	out->connect_timeout_ns = sd_conf_int(lb_from(scope, "connect-timeout"), "connect-timeout");
	out->answer_timeout_ns = sd_conf_int(lb_from(scope, "answer-timeout"), "answer-timeout");
}

static enum sd_err pool_make(const struct lb *lb, const struct lb_scope *scope, struct lb_entry *entries, struct lb_pool *p,
			     struct sd_error *e)
{
	p->balance = (struct sd_balance_conf){
	    .algorithm = (enum sd_balance_algorithm)sd_conf_int(lb_from(scope, "algorithm"), "algorithm"),
	    .panic_threshold = sd_conf_number(lb_from(scope, "panic.threshold"), "panic.threshold"),
	    .panic = (enum sd_balance_panic)sd_conf_int(lb_from(scope, "panic.use"), "panic.use"),
	    .slow_start_ns = sd_conf_int(lb_from(scope, "slow-start"), "slow-start"),
	    .bound = sd_conf_number(lb_from(scope, "hash.bound"), "hash.bound"),
	};
	p->retries = (uint32_t)sd_conf_int(lb_from(scope, "retries"), "retries");
	http_make(scope, &p->http);
	lb_affinity_make(lb, scope, p->name, &p->affinity);
	p->tier = tier_of(p, entries);
	for (size_t i = 0; p->affinity.sticky && i < p->n; i++)
		entries[i].sticky_id = sd_sticky_id(&p->affinity.key, entries[i].backend->name);
	return p->affinity.hash ? ring_make(lb, scope, entries, p, e) : SD_OK;
}

enum sd_err lb_pools_make(struct lb *lb, const struct sd_conf *conf, struct lb_snapshot *s, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	note_since(lb, s);
	for (size_t i = 0; !err && i < s->npools; i++) {
		struct lb_pool *p = &s->pools[i];
		struct lb_scope scope = lb_pool_scope(conf, p->name);
		err = pool_make(lb, &scope, &s->entries[p->first], p, e);
	}
	for (size_t i = 0; !err && i < s->npools; i++)
		say_tier(lb, &s->pools[i]);
	return err;
}
