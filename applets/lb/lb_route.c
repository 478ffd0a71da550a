#include "lb_route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/http_path.h"
#include "core/units.h"
#include "lb.h"
#include "lb_files.h"

/* ---- a row ---- */

#define MAX_RULES SD_ROUTE_MAX

struct names {
	size_t n;
	char text[LB_MAX_POOLS][LB_POOL];
};

/* "stable=95" */
static enum sd_err read_share(const struct names *pools, const char *text, struct lb_share *out, struct sd_error *e)
{
	size_t k = strcspn(text, "=");
	int64_t weight = 1;
	if (text[k] && (sd_parse_int(text + k + 1, &weight) || weight < 0 || weight > 1000000))
		return sd_fail(e, SD_EINVAL, "expected POOL=WEIGHT with a weight up to 1000000, found \"%.60s\"", text);
	out->weight = (uint32_t)weight;
	for (out->pool = 0; out->pool < pools->n; out->pool++)
		if (strlen(pools->text[out->pool]) == k && memcmp(pools->text[out->pool], text, k) == 0)
			return SD_OK;
	return sd_fail(e, SD_EINVAL, "no backend is in a pool \"%.*s\"", (int)(k < 60 ? k : 60), text);
}

/* The pools that share the requests; an empty list: none is named. */
static enum sd_err read_shares(const struct names *pools, const struct sd_conf *row, struct lb_route *out,
			       struct sd_error *e)
{
	const char *pool = sd_conf_string(row, "pool");
	size_t n = sd_conf_count(row, "split");
	if (n > LB_MAX_SHARES)
		return sd_fail(e, SD_EINVAL, "%s: expected at most %d pools", sd_conf_at(row, "split"), LB_MAX_SHARES);
	for (size_t i = 0; i < n; i++) {
		if (read_share(pools, sd_conf_list_item(row, "split", i), &out->shares[i], e))
			return sd_wrap(e, "%s", sd_conf_at(row, "split"));
		out->weights += out->shares[i].weight;
	}
	if (n > 0 && out->weights == 0)
		return sd_fail(e, SD_EINVAL, "%s: expected a weight above 0", sd_conf_at(row, "split"));
	out->nshares = n;
	if (!pool)
		return SD_OK;
	out->nshares = out->weights = 1;
	if (strchr(pool, '=') || read_share(pools, pool, &out->shares[0], e))
		return sd_fail(e, SD_EINVAL, "%s: no backend is in a pool \"%.60s\"", sd_conf_at(row, "pool"), pool);
	return SD_OK;
}

/* A rule does one thing. */
static enum sd_err check_actions(const struct sd_conf *row, struct sd_error *e)
{
	static const char *const actions[] = {"pool", "split", "redirect", "files"};
	static const char *const only_pool[] = {"rewrite", "request-headers", "max-body"};
	const char *first = NULL;
	for (size_t i = 0; i < sizeof(actions) / sizeof(actions[0]); i++) {
		if (!sd_conf_is_set(row, actions[i]))
			continue;
		if (first)
			return sd_fail(e, SD_EINVAL, "%s: a route has one of %s and %s, not both",
				       sd_conf_origin(row, actions[i]), first, actions[i]);
		first = actions[i];
	}
	bool to_pool = !first || (strcmp(first, "redirect") != 0 && strcmp(first, "files") != 0), says = to_pool && sd_conf_is_set(row, "status");
	if (sd_conf_is_set(row, "status") && (says ? first != NULL : strcmp(first, "files") == 0))
		return sd_fail(e, SD_EINVAL, "%s: status: goes with redirect, or stands for itself; found %s as well",
			       sd_conf_origin(row, "status"), first);
	if (sd_conf_is_set(row, "body") && !says)
		return sd_fail(e, SD_EINVAL, "%s: expected the status of the answer as well", sd_conf_at(row, "body"));
	for (size_t i = 0; (says || !to_pool) && i < sizeof(only_pool) / sizeof(only_pool[0]); i++)
		if (sd_conf_is_set(row, only_pool[i]))
			return sd_fail(e, SD_EINVAL, "%s: there is no backend to send it to",
				       sd_conf_at(row, only_pool[i]));
	return SD_OK;
}

static enum sd_err check_redirect(const struct sd_conf *row, struct sd_error *e)
{
	static const int64_t known[] = {301, 302, 303, 307, 308};
	const char *to = sd_conf_string(row, "redirect");
	int64_t status = sd_conf_int(row, "status");
	bool ok = !sd_conf_is_set(row, "status");
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++)
		ok |= status == known[i];
	if (!ok)
		return sd_fail(e, SD_EINVAL, "%s: expected 301, 302, 303, 307 or 308 for a redirect",
			       sd_conf_at(row, "status"));
	for (const char *p = to; *p; p++)
		if ((unsigned char)*p <= ' ' || (unsigned char)*p >= 127)
			return sd_fail(e, SD_EINVAL, "%s: expected a URL without spaces, controls and bytes above 126",
				       sd_conf_at(row, "redirect"));
	enum sd_err err = *to ? sd_http_template_check(to, e) : sd_fail(e, SD_EINVAL, "expected a URL");
	return err ? sd_wrap(e, "%s", sd_conf_at(row, "redirect")) : SD_OK;
}

/* A path of the configuration is written as requests are judged. */
static enum sd_err check_path(const struct sd_conf *row, const char *key, const char *path, struct sd_error *e)
{
	char text[SD_ROUTE_PATH_MAX];
	const char *why = NULL;
	struct sd_slice p = sd_slice_of(path);
	ssize_t n = p.n <= sizeof(text) ? sd_http_path_normalise(p, text, sizeof(text), &why) : -1;
	if (n >= 0 && (size_t)n == p.n && memcmp(text, path, p.n) == 0)
		return SD_OK;
	if (n >= 0)
		return sd_fail(e, SD_EINVAL, "%s: requests are judged by \"%.*s\"; expected it written so",
			       sd_conf_at(row, key), (int)n, text);
	return sd_fail(e, SD_EINVAL, "%s: expected a path such as /v1, found \"%.80s\"%s%s", sd_conf_at(row, key),
		       path, why ? ": " : "", why ? why : "");
}

/* The edit of a group, behind what it holds already. out NULL: it is only checked. */
static enum sd_err read_edit(const struct sd_conf *conf, const char *group, struct sd_head_edit *out, struct sd_error *e)
{
	static const struct {
		const char *key;
		enum sd_head_step step;
	} steps[] = {{"remove", SD_HEAD_REMOVE}, {"set", SD_HEAD_SET}, {"add", SD_HEAD_ADD}};
	bool request = strcmp(group, "request-headers") == 0;
	char path[32];
	for (size_t k = 0; k < sizeof(steps) / sizeof(steps[0]); k++) {
		snprintf(path, sizeof(path), "%s.%s", group, steps[k].key);
		for (size_t i = 0; i < sd_conf_count(conf, path); i++) {
			const char *line = sd_conf_list_item(conf, path, i);
			enum sd_err err = sd_head_edit_check(steps[k].step, line, request, e);
			if (!err && out && (err = sd_head_edit_step(out, steps[k].step, line)))
				sd_fail(e, err, err == SD_ERANGE ? "expected at most %d fields" : "out of memory", SD_HEAD_EDIT_MAX);
			if (err)
				return sd_wrap(e, "%s: %s %s", sd_conf_origin(conf, path), group, steps[k].key);
		}
	}
	return SD_OK;
}

/* With those for all in front. */
static enum sd_err read_edits(const struct sd_conf *conf, const struct sd_conf *row, struct lb_edits *out, struct sd_error *e)
{
	enum sd_err err = read_edit(conf, "request-headers", &out->request, e);
	if (!err)
		err = read_edit(conf, "answer-headers", &out->answer, e);
	if (!err && row)
		err = read_edit(row, "request-headers", &out->request, e);
	if (!err && row)
		err = read_edit(row, "answer-headers", &out->answer, e);
	if (err)
		return err;
	out->nlines = sd_head_edit_write(&out->answer, NULL, 0, NULL);
	out->lines = malloc(out->nlines + 1);
	if (!out->lines)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	sd_head_edit_write(&out->answer, out->lines, out->nlines, NULL);
	out->lines[out->nlines] = '\0';
	return SD_OK;
}

static void edits_free(struct lb_edits *edits)
{
	sd_head_edit_free(&edits->request);
	sd_head_edit_free(&edits->answer);
	free(edits->lines);
}

static size_t hosts_of(const struct sd_conf *row)
{
	size_t n = sd_conf_count(row, "host");
	return n ? n : 1;
}

static struct sd_route_rule rule_of(const struct sd_conf *row, size_t host)
{
	const char *name = sd_conf_count(row, "host") ? sd_conf_list_item(row, "host", host) : "";
	return (struct sd_route_rule){sd_slice_of(name), sd_slice_of(sd_conf_string(row, "path")), SD_ROUTE_ANYWHERE};
}

/* A bit for each listener where the rule holds. */
static uint32_t doors_of(const struct sd_conf *conf, const struct sd_conf *row)
{
	uint32_t doors = 0;
	size_t n = sd_conf_count(row, "listener");
	for (size_t i = 0; i < n; i++)
		doors |= 1u << (sd_run_door(conf, sd_conf_list_item(row, "listener", i)) & 31);
	return n ? doors : SD_ROUTE_ANYWHERE;
}

static enum sd_err check_doors(const struct sd_conf *conf, const struct sd_conf *row, struct sd_error *e)
{
	for (size_t i = 0; i < sd_conf_count(row, "listener"); i++)
		if (sd_run_door(conf, sd_conf_list_item(row, "listener", i)) < 0)
			return sd_fail(e, SD_EINVAL, "%s: expected main or the name of a listener, found \"%.60s\"",
				       sd_conf_at(row, "listener"), sd_conf_list_item(row, "listener", i));
	return SD_OK;
}

/* led: a bit for each pool that requests are led to. */
static enum sd_err check_row(const struct sd_conf *conf, const struct names *pools, const struct sd_conf *row, uint64_t *led,
			     struct sd_error *e)
{
	struct lb_route route = {0};
	const char *rewrite = sd_conf_string(row, "rewrite");
	enum sd_err err = check_actions(row, e);
	for (size_t i = 0; !err && i < hosts_of(row); i++) {
		struct sd_route_rule rule = rule_of(row, i);
		if ((err = sd_route_check(&rule, e)))
			sd_wrap(e, "%s: route", sd_conf_origin(row, sd_conf_is_set(row, "path") ? "path" : "host"));
	}
	if (!err)
		err = check_path(row, "path", sd_conf_string(row, "path"), e);
	if (!err && rewrite)
		err = check_path(row, "rewrite", rewrite, e);
	if (!err && sd_conf_has(row, "redirect"))
		err = check_redirect(row, e);
	if (!err)
		err = lb_files_check(row, e);
	if (!err)
		err = read_shares(pools, row, &route, e);
	if (!err)
		err = check_doors(conf, row, e);
	for (size_t i = 0; i < route.nshares; i++)
		*led |= 1ull << route.shares[i].pool;
	if (!err)
		err = read_edit(row, "request-headers", NULL, e);
	return err ? err : read_edit(row, "answer-headers", NULL, e);
}

/* What cannot be where there are no requests. */
static enum sd_err check_tcp(const struct sd_conf *row, struct sd_error *e)
{
	static const char *const http[] = {"path", "redirect", "status", "rewrite", "max-body", "files", "compress", "request-headers",
					   "answer-headers"};
	for (size_t i = 0; i < sizeof(http) / sizeof(http[0]); i++)
		if (sd_conf_is_set(row, http[i]))
			return sd_fail(e, SD_EINVAL, "%s: expected mode: http; in TCP mode a route has a host, which is the "
				       "name asked for by TLS (SNI), and a pool", sd_conf_at(row, http[i]));
	return SD_OK;
}

/* Somebody has to send requests to a pool. */
static enum sd_err check_pools(const struct sd_conf *conf, const struct names *pools, uint64_t led, struct sd_error *e)
{
	const char *where = sd_conf_count(conf, "routes") ? "routes" : "backends";
	for (uint32_t i = 1; i < pools->n; i++)
		if (!(led >> i & 1))
			return sd_fail(e, SD_EINVAL, "%s: no route leads to pool \"%s\": expected one such as {path: /, pool: %s}",
				       sd_conf_origin(conf, where), pools->text[i], pools->text[i]);
	return SD_OK;
}

enum sd_err lb_routes_check(const struct sd_conf *conf, struct sd_error *e)
{
	size_t rules = 0, n = sd_conf_count(conf, "routes");
	struct names pools;
	uint64_t led = 0;
	pools.n = lb_pool_names(conf, pools.text);
	bool tcp = sd_conf_int(conf, "mode") == LB_TCP;
	enum sd_err err = read_edit(conf, "request-headers", NULL, e);
	if (!err)
		err = read_edit(conf, "answer-headers", NULL, e);
	if (!err && tcp && (sd_conf_is_set(conf, "request-headers") || sd_conf_is_set(conf, "answer-headers")))
		return sd_fail(e, SD_EINVAL, "request-headers and answer-headers: expected mode: http");
	for (size_t i = 0; !err && i < n; i++) {
		const struct sd_conf *row = sd_conf_row(conf, "routes", i);
		rules += hosts_of(row);
		err = check_row(conf, &pools, row, &led, e);
		if (!err && tcp)
			err = check_tcp(row, e);
	}
	if (!err && rules > MAX_RULES)
		return sd_fail(e, SD_EINVAL, "%s: expected at most %d hosts and paths", sd_conf_at(conf, "routes"),
			       MAX_RULES);
	return err ? err : check_pools(conf, &pools, led, e);
}

/* ---- counts ---- */

#define APART (64 / sizeof(uint64_t))

static struct lb_route_count *count_of(struct lb *lb, const char *name)
{
	for (struct sd_link *k = lb->route_counts.next; k != &lb->route_counts; k = k->next) {
		struct lb_route_count *c = sd_container(k, struct lb_route_count, link);
		if (strcmp(c->name, name) == 0)
			return c;
	}
	struct lb_route_count *c = calloc(1, sizeof(*c));
	if (c) {
		c->name = strdup(name);
		c->n = aligned_alloc(64, lb->nworkers * 64);
	}
	if (!c || !c->name || !c->n) {
		if (c) {
			free(c->name);
			free(c->n);
		}
		free(c);
		return NULL;
	}
	memset(c->n, 0, lb->nworkers * 64);
	sd_list_add(&lb->route_counts, &c->link);
	return c;
}

void lb_route_counted(const struct lb_worker *w, const struct lb_route *route)
{
	sd_count(&route->count->n[w->w->index * APART], 1);
}

void lb_routes_metrics(const struct lb *lb, struct sd_metrics *m, const char *label)
{
	char name[2 * LB_ROUTE_NAME];
	for (const struct sd_link *k = lb->route_counts.next; k != &lb->route_counts; k = k->next) {
		const struct lb_route_count *c = sd_container(k, const struct lb_route_count, link);
		uint64_t sum = 0;
		for (unsigned i = 0; i < lb->nworkers; i++)
			sum += sd_count_read(&c->n[i * APART]);
		sd_metrics_family(m, "sdlab_lb_route_requests_total", "counter", "Requests that a route counted for");
		sd_metrics_add(m, (double)sum, "%s,route=\"%s\"", label, sd_metrics_label(c->name, name, sizeof(name)));
	}
}

void lb_routes_forget(struct lb *lb)
{
	while (!sd_list_empty(&lb->route_counts)) {
		struct lb_route_count *c = sd_container(lb->route_counts.next, struct lb_route_count, link);
		sd_list_del(&c->link);
		free(c->name);
		free(c->n);
		free(c);
	}
}

/* ---- making ---- */

/* Two rules for one host and path may differ in where they hold. */
const char *lb_route_name(const struct sd_conf *row, char out[LB_ROUTE_NAME])
{
	const char *name = sd_conf_string(row, "name");
	struct sd_route_rule rule = rule_of(row, 0);
	if (name)
		snprintf(out, LB_ROUTE_NAME, "%s", name);
	else
		snprintf(out, LB_ROUTE_NAME, "%.*s%.*s", (int)rule.host.n, rule.host.p, (int)rule.path.n, rule.path.p);
	return out;
}

uint32_t lb_route_place(const struct sd_conf *conf, const char *name)
{
	char other[LB_ROUTE_NAME];
	for (size_t i = 0; i < sd_conf_count(conf, "routes"); i++)
		if (strcmp(name, lb_route_name(sd_conf_row(conf, "routes", i), other)) == 0)
			return (uint32_t)i + 1;
	return 0;
}

/* A copy; true when there is nothing to copy. */
static bool copy(char **to, const char *from)
{
	*to = from ? strdup(from) : NULL;
	return !from || *to;
}

static enum sd_err route_make(struct lb *lb, const struct names *pools, const struct sd_conf *conf, const struct sd_conf *row,
			      struct lb_route *r, struct sd_error *e)
{
	const char *redirect = sd_conf_string(row, "redirect");
	enum sd_err err = read_shares(pools, row, r, e);
	if (!err)
		err = read_edits(conf, row, &r->edits, e);
	if (err)
		return err;
	if ((err = lb_files_make(lb, row, &r->files, e)))
		return err;
	r->place = lb_route_place(conf, lb_route_name(row, r->name));
	r->compress = sd_conf_bool(row, "compress");
	r->action = r->files ? LB_FILES : redirect ? LB_REDIRECT : sd_conf_is_set(row, "status") ? LB_SAY : LB_TO_POOL;
	r->status = sd_conf_is_set(row, "status") ? (int)sd_conf_int(row, "status") : 308;
	r->by_client = sd_conf_int(row, "split-by") == 1;
	r->path_n = strlen(sd_conf_string(row, "path"));
	r->max_body = (uint64_t)sd_conf_int(sd_conf_is_set(row, "max-body") ? row : conf, "max-body");
	if (r->action == LB_TO_POOL && r->nshares == 0)
		r->nshares = r->weights = r->shares[0].weight = 1; /* the default pool */
	r->count = count_of(lb, r->name);
	bool ok = copy(&r->text, redirect ? redirect : sd_conf_string(row, "body")) &&
		  copy(&r->rewrite, sd_conf_string(row, "rewrite")) && r->count;
	return ok ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
}

/* Rules by host and path; a row with several hosts is several of them. */
static enum sd_err set_make(const struct sd_conf *conf, struct lb_routes *r, size_t nrules, struct sd_error *e)
{
	struct sd_route_rule *rules = calloc(nrules + 1, sizeof(*rules));
	size_t at = 0;
	for (size_t i = 0; rules && i < r->n; i++) {
		const struct sd_conf *row = sd_conf_row(conf, "routes", i);
		for (size_t k = 0; k < hosts_of(row); k++) {
			r->by_rule[at] = (uint32_t)i;
			rules[at] = rule_of(row, k);
			r->by_host |= rules[at].host.n > 0;
			rules[at++].places = doors_of(conf, row);
		}
	}
	r->set = rules ? sd_route_set_new(rules, at) : NULL;
	free(rules);
	return r->set ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
}

static void note_max_body(struct lb_routes *r, const struct sd_conf *conf)
{
	bool unlimited = sd_conf_int(conf, "max-body") == 0;
	r->max_body = (uint64_t)sd_conf_int(conf, "max-body");
	for (size_t i = 0; i < r->n; i++) {
		unlimited |= r->routes[i].max_body == 0;
		r->max_body = r->routes[i].max_body > r->max_body ? r->routes[i].max_body : r->max_body;
	}
	r->max_body = unlimited ? 0 : r->max_body;
	r->max_body_default = (uint64_t)sd_conf_int(conf, "max-body");
}

enum sd_err lb_routes_make(struct lb *lb, const struct sd_conf *conf, struct lb_routes **out, struct sd_error *e)
{
	size_t n = sd_conf_count(conf, "routes"), rules = 0;
	struct names pools;
	*out = NULL;
	if (n == 0 && !sd_conf_is_set(conf, "request-headers") && !sd_conf_is_set(conf, "answer-headers"))
		return SD_OK;
	for (size_t i = 0; i < n; i++)
		rules += hosts_of(sd_conf_row(conf, "routes", i));
	struct lb_routes *r = calloc(1, sizeof(*r) + n * sizeof(r->routes[0]));
	if (r)
		r->by_rule = calloc(rules + 1, sizeof(*r->by_rule));
	if (!r || !r->by_rule) {
		free(r);
		return sd_fail(e, SD_ENOMEM, "out of memory");
	}
	r->refs = 1;
	pools.n = lb_pool_names(conf, pools.text);
	enum sd_err err = read_edits(conf, NULL, &r->edits, e);
	for (size_t i = 0; !err && i < n; i++) {
		r->n = i + 1; /* also one that is only half made is freed */
		err = route_make(lb, &pools, conf, sd_conf_row(conf, "routes", i), &r->routes[i], e);
	}
	if (!err)
		err = set_make(conf, r, rules, e);
	if (err) {
		lb_routes_release(r);
		return err;
	}
	note_max_body(r, conf);
	*out = r;
	return SD_OK;
}

struct lb_routes *lb_routes_hold(struct lb_routes *r)
{
	if (r)
		__atomic_add_fetch(&r->refs, 1, __ATOMIC_RELAXED);
	return r;
}

void lb_routes_release(struct lb_routes *r)
{
	if (!r || __atomic_sub_fetch(&r->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < r->n; i++) {
		edits_free(&r->routes[i].edits);
		free(r->routes[i].text);
		free(r->routes[i].rewrite);
		sd_http_files_unref(r->routes[i].files);
	}
	edits_free(&r->edits);
	sd_route_set_free(r->set);
	free(r->by_rule);
	free(r);
}

/* ---- for a request ---- */

static const struct lb_route *find(const struct lb_routes *r, unsigned place, struct sd_slice host, struct sd_slice path)
{
	size_t i = sd_route_find(r->set, place, host, path);
	return i == SD_ROUTE_NONE ? NULL : &r->routes[r->by_rule[i]];
}

static uint32_t share_of(struct lb_worker *w, const struct lb_route *route, const struct sd_peer *who)
{
	static const struct sd_siphash_key of_splits = {7, 0};
	if (route->nshares == 1)
		return route->shares[0].pool;
	uint32_t at = route->by_client ? (uint32_t)(sd_siphash(&of_splits, who->ip, sizeof(who->ip)) % route->weights)
				       : sd_rng_below(&w->rng, route->weights);
	for (size_t i = 0; i < route->nshares; i++) {
		if (at < route->shares[i].weight)
			return route->shares[i].pool;
		at -= route->shares[i].weight;
	}
	return LB_NO_POOL;
}

void lb_route_choose(struct lb_worker *w, unsigned place, const struct sd_http_head *head, const struct sd_peer *who,
		     struct lb_choice *out)
{
	const struct lb_snapshot *s = w->snap;
	*out = (struct lb_choice){.path = head->path};
	if (!s->routes || s->routes->n == 0)
		return;
	if (head->path.n && head->path.p[0] == '/') {
		ssize_t n = sd_http_path_normalise(head->path, w->path, sizeof(w->path), &out->bad);
		if (n < 0)
			return;
		out->path = (struct sd_slice){w->path, (size_t)n};
	}
	out->route = find(s->routes, place, head->host, out->path);
	if (!out->route)
		out->pool = s->pools[0].n ? 0 : LB_NO_POOL;
	else
		out->pool = share_of(w, out->route, who);
}

uint32_t lb_route_by_name(struct lb_worker *w, unsigned place, struct sd_slice name, const struct sd_peer *who)
{
	const struct lb_snapshot *s = w->snap;
	if (!s->routes || s->routes->n == 0)
		return 0;
	const struct lb_route *route = find(s->routes, place, name, (struct sd_slice){"/", 1});
	if (route)
		lb_route_counted(w, route);
	return route ? share_of(w, route, who) : s->pools[0].n ? 0 : LB_NO_POOL;
}

static size_t put(char *out, size_t at, struct sd_slice s)
{
	size_t n = at < LB_SCRATCH ? LB_SCRATCH - at : 0;
	n = s.n < n ? s.n : n;
	if (n)
		memcpy(out + at, s.p, n);
	return at + n;
}

struct sd_slice lb_route_rest(const struct lb_choice *c)
{
	size_t n = c->route ? c->route->path_n : 0;
	n = n && c->path.n >= n && c->path.p[n - 1] == '/' ? n - 1 : n;
	return n <= c->path.n ? (struct sd_slice){c->path.p + n, c->path.n - n} : (struct sd_slice){"", 0};
}

struct sd_slice lb_route_target(struct lb_worker *w, const struct lb_choice *c, const struct sd_http_head *head)
{
	bool rewrites = c->route && c->route->rewrite;
	bool same = c->path.n == head->path.n && memcmp(c->path.p, head->path.p, c->path.n) == 0;
	if (!c->path.n || c->path.p[0] != '/' || (same && !rewrites))
		return (struct sd_slice){NULL, 0};
	size_t n = 0;
	if (rewrites) {
		struct sd_slice rest = lb_route_rest(c), to = sd_slice_of(c->route->rewrite);
		if (rest.n && to.p[to.n - 1] == '/')
			to.n--;
		n = put(w->target, put(w->target, 0, to), rest);
	} else {
		n = put(w->target, 0, c->path);
	}
	if (head->query.p) {
		n = put(w->target, n, (struct sd_slice){"?", 1});
		n = put(w->target, n, head->query);
	}
	return (struct sd_slice){w->target, n};
}

/* Without the port; an IPv6 address keeps its brackets. */
static struct sd_slice hostname_of(struct sd_slice host)
{
	const char *end = host.n && host.p[0] == '[' ? memchr(host.p, ']', host.n) : NULL;
	size_t from = end ? (size_t)(end - host.p) : 0;
	const char *colon = host.n ? memchr(host.p + from, ':', host.n - from) : NULL;
	return (struct sd_slice){host.p, colon ? (size_t)(colon - host.p) : host.n};
}

void lb_route_vars(struct lb_worker *w, const struct lb_choice *c, const struct sd_http_head *head, bool secure, struct sd_slice client,
		   struct sd_http_vars *out)
{
	struct sd_slice query = {"", 0};
	if (head->query.p) /* it stands right behind its '?' */
		query = (struct sd_slice){head->query.p - 1, head->query.n + 1};
	size_t n = c->path.p == w->path ? c->path.n : put(w->path, 0, c->path);
	n = put(w->path, n, query);
	*out = (struct sd_http_vars){{
	    [SD_VAR_SCHEME] = secure ? (struct sd_slice){"https", 5} : (struct sd_slice){"http", 4},
	    [SD_VAR_HOST] = head->host,
	    [SD_VAR_HOSTNAME] = hostname_of(head->host),
	    [SD_VAR_PATH] = c->path,
	    [SD_VAR_QUERY] = query,
	    [SD_VAR_URI] = {w->path, n},
	    [SD_VAR_REST] = lb_route_rest(c),
	    [SD_VAR_CLIENT] = client,
	    [SD_VAR_METHOD] = head->method_text,
	}};
}
