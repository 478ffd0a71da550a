/* breaker_test.c - requests to a URL, one after the other, through a breaker. */
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "breaker.h"
#include "core/http_url.h"
#include "core/list.h"
#include "core/retry_after.h"
#include "net/http_client.h"
#include "net/tls.h"

struct tester {
	struct sd_world *world;
	struct sd_loop *loop;
	struct sd_http_pool pool;
	struct sd_http_head head; /* answers are parsed here */
	struct sd_tls_client *tls;
	struct sd_tls_target *target;
	struct sd_http_call *call; /* in progress */
	struct sd_timer timer;	   /* when nothing is in progress the next request, else its end */
	struct sd_signal *signals[2];
	struct sd_breaker_ticket ticket;
	struct sd_breaker_stats before;
	struct breaker_story story;
	char request[2304];
	size_t request_n;
	int64_t interval_ns, timeout_ns, retry_ns; /* retry: what the answer asks for; -1: nothing */
	uint64_t next, last;			   /* number of the next request, of the last one */
	int status;
	bool interrupted;
};

static int64_t now_of(const struct tester *t)
{
	return sd_world_mono_ns(t->world);
}

/* ---- one after the other ---- */

static void rest(struct tester *t)
{
	if (t->next > t->last || t->interrupted)
		sd_loop_stop(t->loop);
	else
		sd_loop_timer_set(t->loop, &t->timer, sd_loop_now_ns(t->loop) + t->interval_ns);
}

static void over(struct tester *t, const struct sd_breaker_outcome *how)
{
	int64_t now = now_of(t);
	enum breaker_verdict verdict = how->kind == SD_BREAKER_IGNORED	   ? BREAKER_IGNORE
				       : sd_breaker_failure(how->kind) ? BREAKER_FAIL
								       : BREAKER_OK;
	t->call = NULL;
	sd_loop_timer_cancel(t->loop, &t->timer);
	sd_breaker_done(t->story.b, &t->ticket, how, now);
	breaker_say(&t->story, t->next++, verdict, &t->before, now);
	rest(t);
}

static void on_head(struct sd_http_call *c, const struct sd_http_head *head)
{
	struct tester *t = c->user;
	const struct sd_http_field *f = sd_http_find_name(head, "Retry-After");
	t->retry_ns = f ? sd_retry_after(f->value, sd_world_wall_ns(t->world) / 1000000000) : -1;
	t->status = head->status;
}

static void on_body(struct sd_http_call *c, const char *p, size_t n)
{
	(void)c;
	(void)p;
	(void)n;
}

static void on_end(struct sd_http_call *c)
{
	struct tester *t = c->user;
	struct sd_breaker_outcome how = sd_breaker_http(t->status, t->retry_ns);
	over(t, &how);
}

static void on_failed(struct sd_http_call *c, enum sd_http_phase phase, enum sd_err why, const char *text)
{
	struct sd_breaker_outcome how = sd_breaker_error(why);
	(void)phase;
	(void)text;
	over(c->user, &how);
}

static const struct sd_http_caller caller = {.head = on_head, .body = on_body, .end = on_end, .failed = on_failed};

static void ask(struct tester *t)
{
	struct sd_error e = {0};
	breaker_say_trying(&t->story, t->next, now_of(t));
	t->call = sd_http_call_start(&t->pool, SD_HTTP_GET, false, &caller, t, &e);
	if (!t->call) {
		struct sd_breaker_outcome how = sd_breaker_error(e.code);
		over(t, &how);
		return;
	}
	sd_loop_timer_set(t->loop, &t->timer, sd_loop_now_ns(t->loop) + t->timeout_ns);
	sd_http_call_write(t->call, t->request, t->request_n);
	sd_http_call_sent(t->call);
}

static void on_timer(struct sd_timer *timer)
{
	struct tester *t = sd_container(timer, struct tester, timer);
	struct sd_breaker_outcome late = {.kind = SD_BREAKER_TIMEOUT};
	int64_t now = now_of(t);
	if (t->call) {
		sd_http_call_cancel(t->call);
		over(t, &late);
	} else if (!sd_breaker_allow(t->story.b, now, &t->ticket, NULL)) {
		sd_breaker_stats(t->story.b, now, &t->before);
		ask(t);
	} else {
		sd_breaker_stats(t->story.b, now, &t->before);
		breaker_say(&t->story, t->next++, BREAKER_REJECTED, &t->before, now);
		rest(t);
	}
}

/* A request that is cut off by Ctrl-C says nothing about the server. */
static void on_signal(void *arg, int signo)
{
	struct tester *t = arg;
	struct sd_breaker_outcome cancelled = {.kind = SD_BREAKER_IGNORED};
	(void)signo;
	t->interrupted = true;
	if (t->call) {
		sd_http_call_cancel(t->call);
		over(t, &cancelled);
	} else {
		sd_loop_stop(t->loop);
	}
}

static void on_changed(void *arg, enum sd_breaker_state from, enum sd_breaker_state to, int64_t now_ns)
{
	breaker_say_changed(arg, from, to, now_ns);
}

/* ---- beginning and ending ---- */

static enum sd_err speak_tls(struct tester *t, const struct sd_conf *conf, const struct sd_http_url *u, struct sd_error *e)
{
	static const char *const alpn[] = {"http/1.1", NULL};
	struct sd_tls_client_conf c = {.ca = sd_conf_string(conf, "ca"), .insecure = sd_conf_bool(conf, "insecure"), .alpn = alpn};
	char name[256];
	if (u->name.n >= sizeof(name))
		return sd_fail(e, SD_EUSAGE, "the host name of the URL is too long");
	snprintf(name, sizeof(name), "%.*s", (int)u->name.n, u->name.p);
	t->tls = sd_tls_client_new(t->world, &c, e);
	t->target = t->tls ? sd_tls_target_new(t->tls, name) : NULL;
	t->pool.tls = t->target;
	return t->target ? SD_OK : e->code ? e->code : sd_fail(e, SD_ENOMEM, "out of memory");
}

static enum sd_err aim(struct tester *t, const struct sd_conf *conf, struct sd_error *e)
{
	const char *text = sd_conf_string(conf, "url");
	struct sd_http_pool_conf pool = sd_http_pool_defaults;
	struct sd_http_url u;
	struct sd_addr addr;
	if (!sd_http_url_parse(text, &u))
		return sd_fail(e, SD_EUSAGE, "--url: expected http://HOST[:PORT]/PATH, found \"%.100s\"", text);
	enum sd_err err = sd_http_url_addr(&u, &addr, e);
	if (err)
		return sd_fail(e, SD_EUSAGE, "--url: %s", e->text);
	if (addr.kind == SD_ADDR_NAME && sd_resolve_wait(t->world, &addr, e))
		return e->code;
	int n = snprintf(t->request, sizeof(t->request), "GET %.*s HTTP/1.1\r\nHost: %.*s\r\nUser-Agent: sdlab-breaker\r\n\r\n",
			 (int)u.path.n, u.path.p, (int)u.host.n, u.host.p);
	if (n < 0 || (size_t)n >= sizeof(t->request) || strpbrk(text, " \t\r\n"))
		return sd_fail(e, SD_EUSAGE, "--url: expected at most 2000 bytes without blanks");
	t->request_n = (size_t)n;
	pool.connect_timeout_ns = pool.answer_timeout_ns = 0; /* one time limit for all of it */
	sd_http_pool_init(&t->pool, t->loop, &addr, &pool, &t->head);
	return u.secure ? speak_tls(t, conf, &u, e) : SD_OK;
}

static void tester_free(struct tester *t)
{
	sd_breaker_free(t->story.b);
	if (t->pool.loop)
		sd_http_pool_free(&t->pool);
	sd_tls_target_free(t->target);
	sd_tls_client_release(t->tls);
	sd_signal_free(t->signals[0]);
	sd_signal_free(t->signals[1]);
	if (t->loop) {
		sd_loop_timer_cancel(t->loop, &t->timer);
		sd_loop_flush(t->loop);
	}
	sd_loop_free(t->loop);
	free(t);
}

static enum sd_err begin(struct tester *t, const struct sd_verb_call *call, struct sd_breaker_conf *rules, struct sd_error *e)
{
	enum sd_err err = breaker_rules(t->world, call->conf, rules, e);
	if (err)
		return err;
	rules->hooks = (struct sd_breaker_hooks){.changed = on_changed, .arg = &t->story};
	t->loop = sd_loop_new(t->world, e);
	if (!t->loop)
		return e->code;
	err = aim(t, call->conf, e);
	if (!err)
		err = sd_breaker_new(rules, &t->story.b, e);
	t->timer.fn = on_timer;
	t->interval_ns = sd_conf_int(call->conf, "interval");
	t->timeout_ns = sd_conf_int(call->conf, "timeout");
	t->next = 1;
	t->last = (uint64_t)sd_conf_int(call->conf, "requests");
	return err;
}

int breaker_test(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	struct sd_breaker_conf rules;
	struct tester *t = calloc(1, sizeof(*t));
	if (!t) {
		fprintf(call->err, "sdlab breaker: out of memory\n");
		return 1;
	}
	t->world = call->world;
	if (begin(t, call, &rules, &e)) {
		fprintf(call->err, "sdlab breaker: %s\n", e.text);
		tester_free(t);
		return e.code == SD_EUSAGE ? 2 : 1;
	}
	t->signals[0] = sd_loop_signal(t->loop, SIGINT, on_signal, t);
	t->signals[1] = sd_loop_signal(t->loop, SIGTERM, on_signal, t);
	t->story.out = call->out;
	t->story.conf = &rules;
	t->story.json = sd_conf_bool(call->conf, "json");
	t->story.verbose = sd_conf_bool(call->conf, "verbose");
	t->story.began_ns = now_of(t);
	t->story.changes = cJSON_CreateArray();
	sd_loop_timer_set(t->loop, &t->timer, sd_loop_now_ns(t->loop));
	sd_loop_run(t->loop);
	int status = breaker_say_summary(&t->story, t->interrupted ? "Interrupted: " : NULL, now_of(t));
	tester_free(t);
	return status;
}
