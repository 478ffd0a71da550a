/* lb_limits.c - limits of requests: made of a configuration, asked by workers, told to who is refused. */
#include "lb_limits.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <string.h>

#include "core/http_path.h"
#include "core/units.h"
#include "lb_http.h"

#define SWEEP_NS    INT64_C(1000000000)
#define SWEEP_PARTS 16 /* the whole table is looked at in so many seconds */

/* ---- making ---- */

/* What cannot be where there are no requests. */
static enum sd_err check_tcp(const struct sd_conf *row, const struct sd_limit *rule, struct sd_error *e)
{
	static const char *const http[] = {"path", "host", "method", "route"};
	for (size_t i = 0; i < sizeof(http) / sizeof(http[0]); i++)
		if (sd_conf_is_set(row, http[i]))
			return sd_fail(e, SD_EINVAL, "%s: expected mode: http; in TCP mode a limit is for new connections",
				       sd_conf_at(row, http[i]));
	for (size_t i = 0; i < rule->nparts; i++)
		if (rule->parts[i].kind != SD_LIMIT_BY_ADDRESS && rule->parts[i].kind != SD_LIMIT_BY_ALL)
			return sd_fail(e, SD_EINVAL, "%s: expected address or all in TCP mode", sd_conf_at(row, "key"));
	return SD_OK;
}

static enum sd_err read_row(const struct sd_conf *conf, const struct sd_conf *row, struct sd_limits *l, struct sd_error *e)
{
	const char *route = sd_conf_string(row, "route");
	enum sd_err err = sd_limits_add(l, row, row, e);
	if (err)
		return err;
	struct sd_limit *rule = &l->rules[l->n - 1];
	if (rule->limit.kind == SD_RATELIMIT_LEAKY_QUEUE)
		return sd_fail(e, SD_EINVAL, "%s: expected one by which nobody waits, such as leaky-bucket",
			       sd_conf_at(row, "algorithm"));
	rule->place = route ? lb_route_place(conf, route) : SD_LIMITS_ANYWHERE;
	if (route && rule->place == SD_LIMITS_ANYWHERE)
		return sd_fail(e, SD_EINVAL, "%s: no route is called \"%.60s\"", sd_conf_at(row, "route"), route);
	return sd_conf_int(conf, "mode") == LB_TCP ? check_tcp(row, rule, e) : SD_OK;
}

/* How many a request may come under. */
static size_t together(const struct sd_limits *l, uint32_t place)
{
	size_t n = 0;
	for (size_t i = 0; i < l->n; i++)
		n += l->rules[i].place == SD_LIMITS_ANYWHERE || l->rules[i].place == place;
	return n;
}

static enum sd_err read_rows(const struct sd_conf *conf, struct sd_limits *l, struct sd_error *e)
{
	enum sd_err err = sd_limits_read_headers(l, conf, "limit-headers", e);
	for (size_t i = 0; !err && i < l->room; i++) {
		const struct sd_conf *row = sd_conf_row(conf, "limits", i);
		err = read_row(conf, row, l, e);
		if (!err && together(l, l->rules[i].place) > SD_RATELIMIT_TOGETHER)
			err = sd_fail(e, SD_EINVAL, "%s: expected at most %d limits for one request", sd_conf_at(row, "name"),
				      SD_RATELIMIT_TOGETHER);
	}
	return err;
}

/* *out NULL with SD_OK: there are none. */
static enum sd_err make(const struct sd_conf *conf, struct sd_limits **out, struct sd_error *e)
{
	size_t n = sd_conf_count(conf, "limits");
	*out = NULL;
	if (n == 0)
		return SD_OK;
	if (n > LB_MAX_LIMITS)
		return sd_fail(e, SD_EINVAL, "%s: expected at most %d", sd_conf_at(conf, "limits"), LB_MAX_LIMITS);
	*out = sd_limits_new(n);
	if (!*out)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = read_rows(conf, *out, e);
	if (err) {
		sd_limits_release(*out);
		*out = NULL;
	}
	return err;
}

enum sd_err lb_limits_check(const struct sd_conf *conf, struct sd_error *e)
{
	struct sd_limits *l;
	enum sd_err err = make(conf, &l, e);
	sd_limits_release(l);
	return err;
}

static void on_sweep(struct sd_timer *t)
{
	struct lb *lb = sd_container(t, struct lb, limiting.sweep);
	struct lb_limiting *g = &lb->limiting;
	struct sd_loop *loop = lb->run->spec.control;
	struct sd_ratelimit_stats s;
	sd_ratelimit_stats(g->table, &s);
	g->sweeping += sd_ratelimit_sweep(g->table, &g->sweep_at, s.max_keys / SWEEP_PARTS + 1, sd_loop_now_ns(loop) + g->wall_ns);
	if (g->sweep_at == 0) {
		g->live = g->sweeping;
		g->sweeping = 0;
	}
	sd_loop_timer_set(loop, t, sd_loop_now_ns(loop) + SWEEP_NS);
}

/* Once, and for all workers; its size stays. */
static enum sd_err need_table(struct lb *lb, const struct sd_conf *conf, struct sd_error *e)
{
	struct lb_limiting *g = &lb->limiting;
	struct sd_ratelimit_conf c = {
	    .max_keys = sd_limits_keys(sd_conf_int(conf, "limit-memory")),
	    .log_bytes = (size_t)sd_conf_int(conf, "limit-log-memory"),
	};
	if (g->table)
		return SD_OK;
	sd_world_random(lb->run->spec.world, c.secret, sizeof(c.secret));
	enum sd_err err = sd_ratelimit_new(&c, &g->table);
	if (err)
		return sd_fail(e, err, "%s: %s", sd_conf_at(conf, "limit-memory"), sd_err_text(err));
	g->wall_ns = sd_world_wall_ns(lb->run->spec.world) - sd_loop_now_ns(lb->run->spec.control);
	g->sweep.fn = on_sweep;
	sd_loop_timer_set(lb->run->spec.control, &g->sweep, sd_loop_now_ns(lb->run->spec.control) + SWEEP_NS);
	return SD_OK;
}

enum sd_err lb_limits_change(struct lb *lb, const struct sd_conf *conf, struct sd_error *e)
{
	struct sd_limits *next;
	enum sd_err err = make(conf, &next, e);
	if (!err && next)
		err = need_table(lb, conf, e);
	if (!err && next)
		err = sd_limits_tally(next, &lb->limiting.tallies, e);
	if (err) {
		sd_limits_release(next);
		return err;
	}
	lb->limiting.was = lb->limiting.now;
	lb->limiting.now = next;
	lb->limiting.changing = true;
	return SD_OK;
}

void lb_limits_settle(struct lb *lb, bool keep)
{
	struct lb_limiting *g = &lb->limiting;
	if (!g->changing)
		return;
	sd_limits_release(keep ? g->was : g->now);
	g->now = keep ? g->now : g->was;
	g->was = NULL;
	g->changing = false;
}

void lb_limits_end(struct lb *lb)
{
	lb_limits_settle(lb, true);
	sd_loop_timer_cancel(lb->run->spec.control, &lb->limiting.sweep);
	sd_limits_release(lb->limiting.now);
	sd_ratelimit_free(lb->limiting.table);
}

void lb_limits_metrics(const struct lb *lb, struct sd_metrics *m, const char *label)
{
	const struct sd_limits_counts *counts[LB_MAX_THREADS];
	if (!lb->limiting.table)
		return;
	for (unsigned i = 0; i < lb->nworkers; i++)
		counts[i] = &lb->workers[i]->limited;
	sd_limits_metrics(&lb->limiting.tallies, counts, lb->nworkers, m, "sdlab_lb_limit_decisions_total", label);
	sd_metrics_family(m, "sdlab_lb_limit_keys", "gauge", "Keys of limits for which something counts, as of the last look at all");
	sd_metrics_add(m, (double)lb->limiting.live, "%s", label);
	sd_limits_table_metrics(lb->limiting.table, m, "sdlab_lb_limit", label);
}

/* ---- asking ---- */

static int64_t now_of(const struct lb_worker *w)
{
	return sd_loop_now_ns(w->loop) + w->lb->limiting.wall_ns;
}

/* In the form that routes judge by; where there are none, that is made here. */
static const char *path_of(struct lb_worker *w, const struct sd_http_head *head, struct sd_slice chosen, struct sd_slice *out)
{
	const char *why = NULL;
	*out = chosen;
	if ((w->snap->routes && w->snap->routes->n) || head->path.n == 0 || head->path.p[0] != '/')
		return NULL;
	ssize_t n = sd_http_path_normalise(head->path, w->path, sizeof(w->path), &why);
	*out = (struct sd_slice){w->path, n < 0 ? 0 : (size_t)n};
	return n < 0 ? why : NULL;
}

static uint32_t place_of(const struct lb_route *route)
{
	return route ? route->place : SD_LIMITS_ANYWHERE;
}

const char *lb_limits_ask(const struct lb_request *r, const struct sd_http_head *head, const struct lb_told *told,
			  struct sd_limits_verdict *v)
{
	struct lb_worker *w = r->w;
	struct sd_limits_request q = {.head = head, .path = told->choice.path, .who = &told->who, .place = place_of(r->route)};
	const struct sd_limits *l = w->snap->limits;
	const char *bad = l->by_path ? path_of(w, head, q.path, &q.path) : NULL;
	if (!bad)
		sd_limits_decide(l, w->lb->limiting.table, &q, now_of(w), &w->limited, v);
	return bad;
}

bool lb_limits_accept(struct lb_worker *w, const struct sd_peer *who)
{
	struct sd_limits_request q = {.who = who};
	struct sd_limits_verdict v;
	if (!w->snap->limits)
		return true;
	sd_limits_decide(w->snap->limits, w->lb->limiting.table, &q, now_of(w), &w->limited, &v);
	return v.allowed;
}

/* ---- telling ---- */

void lb_limits_refusal(const struct lb_request *r, const struct sd_limits_verdict *v, char fields[LB_LIMIT_FIELDS],
		       char why[LB_LIMIT_TEXT])
{
	static const char no_store[] = "Cache-Control: no-store\r\n"; /* RFC 6585 section 4 */
	snprintf(why, LB_LIMIT_TEXT, "limit %s", v->rules[sd_limits_tightest(v)]->name);
	size_t n = sd_limits_fields(r->w->snap->limits, v, now_of(r->w), fields);
	memcpy(fields + n, no_store, sizeof(no_store));
	sd_proxy_status_write(fields + n + sizeof(no_store) - 1, SD_PROXY_HTTP_REQUEST_DENIED, why);
}

void lb_limits_peek(struct lb_worker *w, const struct lb_route *route, const struct sd_http_head *head, struct sd_slice path,
		    const struct sd_peer *who, struct lb_limits_seen *out)
{
	struct sd_limits_request q = {
	    .head = w->lb->mode == LB_TCP ? NULL : head, .path = path, .who = who, .place = place_of(route)};
	struct sd_limits_asks a;
	out->n = 0;
	if (!w->snap->limits || (w->snap->limits->by_path && path_of(w, head, path, &q.path)))
		return;
	sd_limits_gather(w->snap->limits, &q, &a);
	for (size_t i = 0; i < SD_RATELIMIT_TOGETHER; i++) {
		if (i >= a.n && i < SD_RATELIMIT_TOGETHER - a.nshadow)
			continue;
		out->rules[out->n] = a.rules[i];
		sd_ratelimit_peek(w->lb->limiting.table, &a.asks[i], 1, now_of(w), &out->answers[out->n++]);
	}
}

void lb_limits_tell(cJSON *o, const struct lb_limits_seen *seen)
{
	cJSON *list = seen->n ? cJSON_AddArrayToObject(o, "limits") : NULL;
	for (size_t i = 0; i < seen->n; i++) {
		const struct sd_ratelimit_answer *a = &seen->answers[i];
		char text[256];
		cJSON *row = cJSON_CreateObject();
		sd_limit_describe(seen->rules[i], text, sizeof(text));
		cJSON_AddStringToObject(row, "name", seen->rules[i]->name);
		cJSON_AddStringToObject(row, "limit", text);
		cJSON_AddBoolToObject(row, "allowed", a->allowed);
		cJSON_AddBoolToObject(row, "shadow", seen->rules[i]->shadow);
		cJSON_AddNumberToObject(row, "remaining", a->remaining);
		cJSON_AddNumberToObject(row, "retry_s", (double)a->retry_ns / 1e9);
		cJSON_AddItemToArray(list, row);
	}
}
