/* lb_check.c - active health checks and name look-ups, on the control loop.
 *
 * A check is a new connection each time: that a backend still accepts is part of what is asked. Checks of different
 * backends are spread over the interval, and each varies by the jitter, so that many balancers do not knock together.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/proxy_protocol.h"
#include "core/rng.h"
#include "lb.h"
#include "net/connect.h"

struct lookup;

struct lb_check {
	struct lb_backend *b;
	struct sd_timer timer;
	struct sd_rng rng;
	struct sd_http_pool pool;  /* http checks; keeps nothing idle */
	struct sd_http_call *call; /* in progress */
	struct sd_stream *stream;  /* tcp checks: in progress */
	struct lb_tls_use tls;
	struct lookup *lookup;      /* in progress; freed when it ends */
};

static void schedule(struct lb_check *c)
{
	const struct lb_rules *r = &c->b->rules;
	struct sd_loop *l = c->b->lb->run->spec.control;
	double factor = 1.0 + r->jitter * (2.0 * sd_rng_unit(&c->rng) - 1.0);
	sd_loop_timer_set(l, &c->timer, sd_loop_now_ns(l) + (int64_t)((double)r->interval_ns * factor));
}

static void result(struct lb_check *c, bool passed)
{
	struct lb_backend *b = c->b;
	struct lb *lb = b->lb;
	lb_health_changed(b, sd_health_checked(&b->health, &b->rules.health, passed,
					       sd_loop_now_ns(lb->run->spec.control)));
	schedule(c);
}

/* ---- http ---- */

static void on_head(struct sd_http_call *call, const struct sd_http_head *head)
{
	struct lb_check *c = call->user;
	const struct lb_rules *r = &c->b->rules;
	/* The status is the answer; the body is not waited for. */
	bool passed = head->status >= r->status_low && head->status <= r->status_high;
	if (!passed)
		snprintf(c->b->check_error, sizeof(c->b->check_error), "it answered %d, expected %d to %d", head->status,
			 r->status_low, r->status_high);
	c->call = NULL;
	sd_http_call_cancel(call);
	result(c, passed);
}

static void on_body(struct sd_http_call *call, const char *p, size_t n)
{
	(void)call;
	(void)p;
	(void)n;
}

static void on_end(struct sd_http_call *call)
{
	(void)call;
}

static void on_failed(struct sd_http_call *call, enum sd_http_phase phase, enum sd_err why, const char *text)
{
	struct lb_check *c = call->user;
	(void)phase;
	(void)why;
	snprintf(c->b->check_error, sizeof(c->b->check_error), "%s", text);
	c->call = NULL;
	result(c, false);
}

static const struct sd_http_caller check_caller = {
    .head = on_head,
    .body = on_body,
    .end = on_end,
    .failed = on_failed,
};

static void check_http(struct lb_check *c)
{
	const struct lb_rules *r = &c->b->rules;
	char request[640], host[SD_ADDR_TEXT], header[SD_PP_WRITE_MAX];
	struct sd_http_pool_conf conf = sd_http_pool_defaults;
	conf.max_idle = 0;
	conf.connect_timeout_ns = conf.answer_timeout_ns = r->timeout_ns;
	sd_http_pool_free(&c->pool); /* of the last time */
	sd_http_pool_init(&c->pool, c->b->lb->run->spec.control, &c->b->resolved, &conf, &c->b->lb->check_head);
	c->pool.tls = c->tls.target;
	struct sd_slice first = {header, c->b->send_proxy ? sd_pp_write_local(header, c->b->send_proxy) : 0};
	c->call = sd_http_call_start_with(&c->pool, SD_HTTP_GET, first, &check_caller, c, NULL);
	if (!c->call) {
		result(c, false);
		return;
	}
	if (c->b->addr.kind == SD_ADDR_INET || c->b->addr.kind == SD_ADDR_NAME)
		sd_addr_format(&c->b->addr, host);
	else
		snprintf(host, sizeof(host), "localhost");
	int n = snprintf(request, sizeof(request),
			 "GET %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: sdlab-health\r\nConnection: close\r\n\r\n", r->path,
			 r->host[0] ? r->host : host);
	sd_http_call_write(c->call, request, (size_t)n);
	sd_http_call_sent(c->call);
}

/* ---- tcp ---- */

static void tcp_over(struct sd_stream *s, bool passed)
{
	struct lb_check *c = s->owner;
	c->stream = NULL;
	sd_stream_close(s);
	result(c, passed);
}

static void on_tcp_connected(struct sd_stream *s)
{
	tcp_over(s, true); /* what the header is to say is still sent */
}

static size_t on_tcp_data(struct sd_stream *s, const char *p, size_t n)
{
	(void)s;
	(void)p;
	return n;
}

static void on_tcp_fail(struct sd_stream *s)
{
	struct lb_check *c = s->owner;
	snprintf(c->b->check_error, sizeof(c->b->check_error), "it did not accept in time");
	tcp_over(s, false);
}

static void on_tcp_closed(struct sd_stream *s, enum sd_err why)
{
	struct lb_check *c = s->owner;
	snprintf(c->b->check_error, sizeof(c->b->check_error), "%s", sd_err_text(why));
	tcp_over(s, false);
}

static const struct sd_stream_events tcp_events = {
    .connected = on_tcp_connected,
    .data = on_tcp_data,
    .eof = on_tcp_fail,
    .timeout = on_tcp_fail,
    .closed = on_tcp_closed,
};

static void check_tcp(struct lb_check *c)
{
	struct sd_loop *l = c->b->lb->run->spec.control;
	char header[SD_PP_WRITE_MAX];
	struct sd_connect how = {
	    .addr = &c->b->resolved,
	    .tls = c->tls.target,
	    .first = {header, c->b->send_proxy ? sd_pp_write_local(header, c->b->send_proxy) : 0},
	    .in_limit = 4096,
	};
	if (sd_stream_connect(l, &how, &tcp_events, c, &c->stream, NULL)) {
		result(c, false);
		return;
	}
	sd_stream_deadline(c->stream, sd_loop_now_ns(l) + c->b->rules.timeout_ns);
}

static void check(struct lb_check *c)
{
	lb_tls_follow(&c->tls, c->b->tls);
	if (lb_tls_lacks(&c->tls)) {
		result(c, false);
		return;
	}
	switch (c->b->rules.type) {
	case LB_CHECK_HTTP:
		check_http(c);
		break;
	case LB_CHECK_TCP:
		check_tcp(c);
		break;
	default:
		result(c, true); /* only its name is looked up again, and was found */
	}
}

/* ---- names: looked up anew before each check ---- */

struct lookup {
	struct sd_resolve r;
	struct lb_check *c; /* NULL: nobody waits any more */
};

static void on_looked_up(struct sd_resolve *r)
{
	struct lookup *l = sd_container(r, struct lookup, r);
	struct lb_check *c = l->c;
	if (!c) {
		free(l);
		return;
	}
	struct lb_backend *b = c->b;
	c->lookup = NULL;
	if (r->nfound > 0) {
		bool changed = !sd_addr_equal(&b->resolved, &r->found[0]);
		b->resolved = r->found[0];
		if (changed && b->listed)
			lb_publish(b->lb);
		check(c);
	} else {
		struct sd_field f[] = {{"backend", b->name, 0}, {0}};
		if (b->health.bad == 0)
			sd_event(b->lb->run->log, SD_WARN, "resolve_failed", f, "Backend %s: %s", b->label, r->err);
		result(c, false);
	}
	free(l);
}

static void on_look_up_dropped(struct sd_resolve *r)
{
	free(sd_container(r, struct lookup, r));
}

static void look_up(struct lb_check *c)
{
	struct lookup *l = calloc(1, sizeof(*l));
	if (!l) {
		result(c, false);
		return;
	}
	l->c = c;
	l->r.done = on_looked_up;
	l->r.dropped = on_look_up_dropped;
	l->r.port = c->b->addr.port;
	snprintf(l->r.host, sizeof(l->r.host), "%s", c->b->addr.name);
	c->lookup = l;
	if (!sd_resolve_start(c->b->lb->run->spec.control, &l->r)) {
		c->lookup = NULL;
		free(l);
		result(c, false);
	}
}

/* ---- beginning and ending ---- */

static void on_timer(struct sd_timer *t)
{
	struct lb_check *c = sd_container(t, struct lb_check, timer);
	if (c->b->addr.kind == SD_ADDR_NAME)
		look_up(c);
	else
		check(c);
}

static bool busy(const struct lb_check *c)
{
	return c->call || c->stream || c->lookup;
}

/* Nothing would ever call a backend up again that its last checks called down. */
static void unchecked(struct lb_backend *b)
{
	bool was_down = b->health.down;
	b->health.down = false;
	b->health.bad = b->health.good = 0;
	if (was_down)
		lb_publish(b->lb);
}

void lb_check_begin(struct lb_backend *b)
{
	struct lb *lb = b->lb;
	struct sd_loop *l = lb->run->spec.control;
	if (b->rules.type == LB_CHECK_NONE && b->addr.kind != SD_ADDR_NAME) {
		lb_check_end(b);
		unchecked(b);
		return;
	}
	if (!b->check) {
		b->check = calloc(1, sizeof(*b->check));
		if (!b->check)
			return;
		uint64_t seed;
		sd_world_random(lb->run->spec.world, &seed, sizeof(seed));
		sd_rng_seed(&b->check->rng, seed);
		b->check->b = b;
		b->check->timer.fn = on_timer;
		/* The first soon, but not all at once. */
		int64_t spread = b->rules.interval_ns < 1000000000 ? b->rules.interval_ns : 1000000000;
		int64_t first = b->addr.kind == SD_ADDR_NAME ? 0 : (int64_t)(sd_rng_unit(&b->check->rng) * (double)spread);
		sd_loop_timer_set(l, &b->check->timer, sd_loop_now_ns(l) + first);
	} else if (!busy(b->check)) {
		/* The interval may be another one now. */
		int64_t soonest = sd_loop_now_ns(l) + b->rules.interval_ns;
		if (b->check->timer.due_ns > soonest)
			sd_loop_timer_set(l, &b->check->timer, soonest);
	}
}

void lb_check_end(struct lb_backend *b)
{
	struct lb_check *c = b->check;
	if (!c)
		return;
	b->check = NULL;
	sd_loop_timer_cancel(b->lb->run->spec.control, &c->timer);
	if (c->call)
		sd_http_call_cancel(c->call);
	if (c->stream)
		sd_stream_close(c->stream);
	if (c->lookup)
		c->lookup->c = NULL;
	sd_http_pool_free(&c->pool);
	lb_tls_end(&c->tls);
	free(c);
}
