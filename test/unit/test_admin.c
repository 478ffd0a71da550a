/* The admin endpoints of a service that does nothing, asked by raw clients, and of a stack. */
#include <cjson/cJSON.h>
#include <sys/mman.h>

#include "app/admin.h"
#include "app/dispatch.h"
#include "app/run.h"
#include "net_rig.h"

/* ---- a service that does what the test says ---- */

static struct {
	struct rig rig; /* the control loop */
	struct sd_events *events;
	struct sd_run *run;
	struct sd_conf *conf;
	struct sd_conf_loader loader;
	struct sd_admin *stack; /* an admin server that is not a run's */
	const char *text;       /* what the loader reads */
	int out, saved_out;
	bool not_ready, refuse, drains_at_once, drained;
	struct sd_worker *draining; /* atomic: its worker was told to drain */
} * t;

static enum sd_err create(struct sd_run *run, const struct sd_conf *conf, void **self, struct sd_error *e)
{
	(void)run;
	(void)conf;
	(void)e;
	*self = t;
	return SD_OK;
}

static enum sd_err start(void *self, struct sd_worker *w, struct sd_error *e)
{
	(void)self;
	(void)w;
	(void)e;
	return SD_OK;
}

static enum sd_err reload(void *self, const struct sd_conf *conf, struct sd_error *e)
{
	(void)self;
	(void)conf;
	return t->refuse ? sd_fail(e, SD_EINVAL, "not today") : SD_OK;
}

static void drain(void *self, struct sd_worker *w)
{
	(void)self;
	if (t->drains_at_once)
		sd_worker_drained(w);
	__atomic_store_n(&t->draining, w, __ATOMIC_RELEASE);
}

static void stop(void *self, struct sd_worker *w)
{
	(void)self;
	/* the last connection of a drain may end with the service */
	if (__atomic_load_n(&t->draining, __ATOMIC_ACQUIRE) && !t->drains_at_once)
		sd_worker_drained(w);
}

static void destroy(void *self)
{
	(void)self;
}

static void metrics(void *self, struct sd_metrics *m)
{
	(void)self;
	sd_metrics_family(m, "fake_things", "gauge", "Things");
	sd_metrics_add(m, 3, "%s", "");
}

static bool ready(void *self)
{
	(void)self;
	return !t->not_ready;
}

static void route_things(struct sd_admin_call *c)
{
	sd_http_respond_text(c->x, 200, "%s method %d, rest \"%.*s\", query \"%.*s\"\n",
			     c->run ? c->run->name : "no run", c->method, (int)c->rest.n,
			     c->rest.p ? c->rest.p : "", (int)c->query.n, c->query.p ? c->query.p : "");
}

static void route_tree(struct sd_admin_call *c)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddNumberToObject(o, "n", 1);
	sd_admin_json(c->x, 202, o);
}

static const struct sd_admin_route routes[] = {
    {"things", "the things there are", route_things},
    {"tree", "JSON", route_tree},
    {0},
};

static const struct sd_service service = {.create = create,
					  .start = start,
					  .reload = reload,
					  .drain = drain,
					  .stop = stop,
					  .destroy = destroy,
					  .metrics = metrics,
					  .ready = ready,
					  .routes = routes};

static const struct sd_option options[] = {
    {"port", SD_OPT_PORT, "0", "where to listen"},
    {"word", SD_OPT_STRING, "none", "a word", .reload = true},
    {"fixed", SD_OPT_STRING, "none", "another"},
    {0},
};

static enum sd_err check(const struct sd_conf *conf, struct sd_error *e)
{
	return strcmp(sd_conf_string(conf, "word"), "bad") == 0 ? sd_fail(e, SD_EINVAL, "no bad words")
								: SD_OK;
}

static const struct sd_applet fake = {
    .name = "fake", .options = options, .service = &service, .check = check};

static enum sd_err load(struct sd_conf_loader *self, struct sd_conf **out, struct sd_error *e)
{
	struct sd_doc *doc;
	(void)self;
	enum sd_err err = sd_doc_parse("fake.yaml", t->text, strlen(t->text), &doc, e);
	if (err)
		return err;
	struct sd_conf_sources from = {.applet = "fake", .doc = doc};
	err = sd_conf_make(options, sd_common_options, &from, out, NULL, NULL, e);
	sd_doc_free(doc);
	return err;
}

/* ---- a test ---- */

static void setup(void)
{
	t = calloc(1, sizeof(*t));
	fflush(stdout);
	t->out = memfd_create("events", MFD_CLOEXEC);
	t->saved_out = dup(1);
	dup2(t->out, 1);
	rig_make(&t->rig);
	t->events = sd_events_new(t->rig.loop, false, false);
	t->text = "admin: 127.0.0.1:0\nword: first\nfixed: first\n";
	t->loader = (struct sd_conf_loader){.load = load, .file = "fake.yaml"};
}

static enum sd_err try_run(bool loads, struct sd_error *e)
{
	enum sd_err err = load(&t->loader, &t->conf, e);
	ck_assert_msg(err == SD_OK, "%s", e->text);
	struct sd_run_spec spec = {.world = t->rig.world,
				   .control = t->rig.loop,
				   .events = t->events,
				   .applet = &fake,
				   .conf = t->conf,
				   .load = loads ? &t->loader : NULL,
				   .no_port = true};
	return sd_run_start(&spec, &t->run, e);
}

static void run(void)
{
	struct sd_error e = {0};
	ck_assert_msg(try_run(true, &e) == SD_OK, "%s", e.text);
	rig_run(&t->rig);
}

static void halt(void)
{
	rig_halt(&t->rig);
	sd_run_free(t->run);
	sd_admin_free(t->stack);
	t->run = NULL;
	t->stack = NULL;
}

static void teardown(void)
{
	halt();
	sd_loop_flush(t->rig.loop);
	sd_events_free(t->events);
	sd_conf_free(t->conf);
	rig_free(&t->rig);
	dup2(t->saved_out, 1);
	close(t->saved_out);
	close(t->out);
	free(t);
	t = NULL;
}

static struct peer *client(void)
{
	return peer_connect(sd_admin_addr(t->stack ? t->stack : t->run->admin)->port);
}

static void ask(struct peer *c, const char *method, const char *path, const char *fields)
{
	char text[512];
	snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: h\r\n%s\r\n", method, path, fields);
	peer_say(c, text);
}

/* One request on its own connection; the caller frees it. */
static struct peer *call(const char *method, const char *path, int status)
{
	struct peer *c = client();
	ask(c, method, path, "");
	peer_answer(c, status);
	return c;
}

static void answers(const char *method, const char *path, int status, const char *body)
{
	struct peer *c = call(method, path, status);
	ck_assert_str_eq(c->body, body);
	peer_free(c);
}

static void has(const char *path, const char *part)
{
	struct peer *c = call("GET", path, 200);
	ck_assert_msg(strstr(c->body, part) != NULL, "expected \"%s\" in:\n%s", part, c->body);
	peer_free(c);
}

/* ---- the endpoints ---- */

START_TEST(lists_itself)
{
	run();
	answers("GET", "/", 200,
		"GET  /                        this list\n"
		"GET  /-/health                200 while the process can answer\n"
		"GET  /-/ready                 200 when it takes traffic, else 503\n"
		"GET  /-/config                the configuration in force, as JSON\n"
		"POST /-/reload                load the configuration anew\n"
		"GET  /-/events                what happens, as server-sent events\n"
		"GET  /metrics                 Prometheus text\n"
		"     /-/things                the things there are\n"
		"     /-/tree                  JSON\n");
}
END_TEST

START_TEST(health_and_ready)
{
	run();
	answers("GET", "/-/health", 200, "ok\n");
	answers("GET", "/-/ready", 200, "ready\n");
	t->not_ready = true;
	answers("GET", "/-/ready", 503, "not ready\n");
	answers("GET", "/-/health", 200, "ok\n");
}
END_TEST

START_TEST(config)
{
	run();
	struct peer *c = call("GET", "/-/config", 200);
	ck_assert(peer_has(c, "Content-Type: application/json"));
	cJSON *o = cJSON_Parse(c->body);
	ck_assert_str_eq(cJSON_GetStringValue(cJSON_GetObjectItem(o, "word")), "first");
	ck_assert_ptr_nonnull(cJSON_GetObjectItem(o, "drain-timeout"));
	cJSON_Delete(o);
	peer_free(c);
}
END_TEST

START_TEST(prometheus)
{
	run();
	struct peer *c = call("GET", "/metrics", 200);
	ck_assert(peer_has(c, "Content-Type: text/plain; version=0.0.4; charset=utf-8"));
	ck_assert_ptr_nonnull(
	    strstr(c->body, "\n# TYPE sdlab_up_seconds gauge\nsdlab_up_seconds{service=\"fake\"} "));
	ck_assert_ptr_nonnull(strstr(c->body, "\n# TYPE fake_things gauge\nfake_things 3\n"));
	ck_assert_ptr_nonnull(strstr(c->body, "\nsdlab_reloads_total{service=\"fake\",result=\"ok\"} 0\n"));
	ck_assert_ptr_nonnull(
	    strstr(c->body, "\nsdlab_events_total{service=\"fake\",event=\"admin_listening\"} 1\n"));
	ck_assert_ptr_nonnull(strstr(c->body, "\nsdlab_events_dropped_total 0\n"));
	peer_free(c);
}
END_TEST

/* HEAD: the head alone, and the connection goes on. */
START_TEST(heads)
{
	static const char *const paths[] = {"/",        "/-/health", "/-/ready", "/-/config",
					    "/metrics", "/-/things", "/-/events"};
	run();
	struct peer *c = client();
	for (size_t i = 0; i < sizeof(paths) / sizeof(paths[0]); i++) {
		ask(c, "HEAD", paths[i], "");
		peer_head(c);
		ck_assert_msg(peer_status(c) == 200, "%s: %s", paths[i], c->head);
		ask(c, "GET", "/-/health", "");
		ck_assert_str_eq(peer_answer(c, 200), "ok\n");
	}
	ask(c, "HEAD", "/-/health", "");
	peer_head(c);
	ck_assert(peer_has(c, "Content-Length: 3"));
	ask(c, "HEAD", "/-/nothing", "");
	peer_head(c);
	ck_assert_int_eq(peer_status(c), 404);
	peer_free(c);
}
END_TEST

START_TEST(nothing_there)
{
	static const char *const paths[] = {"/-/",       "/-/nothing",  "/-/thing", "/-/thingsx", "/things",
					    "/metrics/", "/-/health/x", "//",       "*"};
	run();
	for (size_t i = 0; i + 1 < sizeof(paths) / sizeof(paths[0]); i++)
		answers("GET", paths[i], 404, "no such endpoint; GET / lists them\n");
	answers("POST", "/-/nothing", 404, "no such endpoint; GET / lists them\n");
	answers("OPTIONS", "*", 404, "no such endpoint; GET / lists them\n");
}
END_TEST

START_TEST(other_methods)
{
	static const char *const gets[] = {"/",         "/-/health", "/-/ready",
					   "/-/config", "/-/events", "/metrics"};
	static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS", "PATCH"};
	run();
	for (size_t i = 0; i < sizeof(gets) / sizeof(gets[0]); i++)
		for (size_t k = 0; k < sizeof(methods) / sizeof(methods[0]); k++) {
			struct peer *c = call(methods[k], gets[i], 405);
			ck_assert_msg(peer_has(c, "Allow: GET"), "%s", c->head);
			ck_assert_str_eq(c->body, "method not allowed\n");
			peer_free(c);
		}
	struct peer *c = call("GET", "/-/reload", 405);
	ck_assert(peer_has(c, "Allow: POST"));
	peer_free(c);
	ck_assert_uint_eq(t->run->reloads, 0);
}
END_TEST

START_TEST(own_routes)
{
	char body[128];
	run();
	snprintf(body, sizeof(body), "fake method %d, rest \"\", query \"\"\n", SD_HTTP_GET);
	answers("GET", "/-/things", 200, body);
	snprintf(body, sizeof(body), "fake method %d, rest \"/a/b\", query \"x=1&y\"\n", SD_HTTP_PUT);
	answers("PUT", "/-/things/a/b?x=1&y", 200, body);
	snprintf(body, sizeof(body), "fake method %d, rest \"/\", query \"\"\n", SD_HTTP_DELETE);
	answers("DELETE", "/-/things/", 200, body);
	struct peer *c = call("GET", "/-/tree", 202);
	ck_assert(peer_has(c, "Content-Type: application/json"));
	ck_assert_str_eq(c->body, "{\n\t\"n\":\t1\n}\n");
	peer_free(c);
}
END_TEST

/* A page in a browser may read, as far as its browser lets it, but change nothing. */
START_TEST(from_a_web_page)
{
	static const char *const methods[] = {"POST", "PUT", "DELETE", "OPTIONS"};
	static const char *const paths[] = {"/-/reload", "/-/things", "/", "/-/nothing"};
	run();
	struct peer *c = client();
	for (size_t i = 0; i < 4; i++)
		for (size_t k = 0; k < 4; k++) {
			ask(c, methods[i], paths[k], "oRIGIN: http://evil.example\r\n");
			ck_assert_str_eq(peer_answer(c, 403), "not from a web page\n");
		}
	ask(c, "POST", "/-/reload", "Origin: null\r\n");
	ck_assert_str_eq(peer_answer(c, 403), "not from a web page\n");
	ask(c, "GET", "/-/health", "Origin: http://evil.example\r\n");
	ck_assert_str_eq(peer_answer(c, 200), "ok\n");
	peer_free(c);
	has("/metrics", "sdlab_reloads_total{service=\"fake\",result=\"ok\"} 0\n");
}
END_TEST

/* ---- reload ---- */

START_TEST(good_reload)
{
	run();
	for (int i = 0; i < 3; i++) {
		t->text = "admin: 127.0.0.1:0\nword: second\nfixed: first\n";
		answers("POST", "/-/reload", 200, "reloaded\n");
	}
	has("/-/config", "\"second\"");
	has("/metrics", "sdlab_reloads_total{service=\"fake\",result=\"ok\"} 3\n");
	has("/metrics", "sdlab_events_total{service=\"fake\",event=\"reloaded\"} 3\n");
	t->text = "admin: 127.0.0.1:0\nword: second\nfixed: changed\n";
	answers("POST", "/-/reload", 200, "reloaded\n");
	has("/metrics", "sdlab_events_total{service=\"fake\",event=\"reload_ignored\"} 1\n");
}
END_TEST

START_TEST(bad_reload)
{
	run();
	t->text = "word: [second\n";
	struct peer *c = call("POST", "/-/reload", 400);
	ck_assert_msg(strncmp(c->body, "fake.yaml:", 10) == 0, "%s", c->body);
	peer_free(c);
	t->text = "wrod: second\n";
	answers("POST", "/-/reload", 400, "fake.yaml:1:1: unknown key \"wrod\"; did you mean word?\n");
	t->text = "word: bad\n";
	answers("POST", "/-/reload", 400, "no bad words\n");
	t->text = "word: second\n";
	t->refuse = true;
	answers("POST", "/-/reload", 400, "not today\n");
	has("/-/config", "\"first\"");
	has("/metrics", "sdlab_reloads_total{service=\"fake\",result=\"failed\"} 4\n");
	has("/metrics", "sdlab_events_total{service=\"fake\",event=\"reload_failed\"} 4\n");
	t->refuse = false;
	answers("POST", "/-/reload", 200, "reloaded\n");
}
END_TEST

START_TEST(nothing_to_reload)
{
	struct sd_error e = {0};
	ck_assert_int_eq(try_run(false, &e), SD_OK);
	rig_run(&t->rig);
	answers("POST", "/-/reload", 400, "nothing in fake can be changed by a reload\n");
}
END_TEST

/* ---- draining ---- */

static void on_drained(struct sd_run *r, void *arg)
{
	(void)arg;
	ck_assert_ptr_eq(r, t->run);
	t->drained = true;
}

static void begin_drain(void *arg)
{
	(void)arg;
	sd_run_drain(t->run, on_drained, NULL);
}

static bool is_drained(void *arg)
{
	(void)arg;
	return t->drained;
}

static bool is_told(void *arg)
{
	(void)arg;
	return __atomic_load_n(&t->draining, __ATOMIC_ACQUIRE) != NULL;
}

START_TEST(not_ready_while_draining)
{
	run();
	answers("GET", "/-/ready", 200, "ready\n");
	rig_call(&t->rig, begin_drain, NULL);
	answers("GET", "/-/ready", 503, "not ready\n");
	answers("GET", "/-/health", 200, "ok\n");
	rig_wait(&t->rig, "the worker to hear of it", is_told, NULL);
	ck_assert(!SEEN(&t->rig, t->drained));
	sd_worker_drained(t->draining);
	rig_wait(&t->rig, "the end of the drain", is_drained, NULL);
	answers("GET", "/-/ready", 503, "not ready\n");
}
END_TEST

START_TEST(drain_takes_too_long)
{
	t->text = "admin: 127.0.0.1:0\ndrain-timeout: 10ms\n";
	run();
	rig_call(&t->rig, begin_drain, NULL);
	rig_wait(&t->rig, "the end of the drain", is_drained, NULL);
	has("/metrics", "sdlab_events_total{service=\"fake\",event=\"drain_timeout\"} 1\n");
}
END_TEST

/* Who frees a run that drains does not want to hear that it is drained. */
START_TEST(freed_while_draining)
{
	run();
	rig_call(&t->rig, begin_drain, NULL);
	rig_wait(&t->rig, "the worker to hear of it", is_told, NULL);
	halt();
	ck_assert(!t->drained);
}
END_TEST

START_TEST(freed_when_drained)
{
	t->drains_at_once = true;
	run();
	rig_call(&t->rig, begin_drain, NULL);
	rig_wait(&t->rig, "the end of the drain", is_drained, NULL);
	halt();
}
END_TEST

/* ---- events ---- */

static void say(void *arg)
{
	struct sd_field f[] = {{"n", NULL, 7}, {0}};
	sd_event(t->run->log, SD_INFO, "said", f, "%s", (const char *)arg);
}

/* Bytes of the stream as they come, the chunks taken off, until `part` is there. */
static char *heard(struct peer *c, const char *part)
{
	while (!c->body || !strstr(c->body, part)) {
		char line[64];
		peer_line(c, line, sizeof(line));
		peer_append_body(c, strtoul(line, NULL, 16));
		peer_line(c, line, sizeof(line));
		ck_assert_str_eq(line, "");
	}
	return c->body;
}

static struct peer *listen_to_events(void)
{
	struct peer *c = client();
	ask(c, "GET", "/-/events", "");
	peer_head(c);
	ck_assert_int_eq(peer_status(c), 200);
	ck_assert(peer_has(c, "Content-Type: text/event-stream"));
	ck_assert(peer_has(c, "Cache-Control: no-store"));
	heard(c, ": events follow\n\n");
	return c;
}

START_TEST(stream_of_events)
{
	run();
	struct peer *a = listen_to_events(), *b = listen_to_events();
	rig_call(&t->rig, say, (void *)(uintptr_t) "hello\n\"there\"");
	char *text = heard(a, "}\n\n");
	ck_assert_ptr_nonnull(strstr(text, "\n\nevent: said\ndata: {\"time\":\""));
	ck_assert_ptr_nonnull(strstr(text, "\",\"level\":\"info\",\"service\":\"fake\",\"event\":\"said\","
					   "\"message\":\"hello\\n\\\"there\\\"\",\"n\":7}\n\n"));
	ck_assert_str_eq(heard(b, "}\n\n"), text);
	/* one leaves, the other goes on */
	peer_free(a);
	rig_call(&t->rig, say, (void *)(uintptr_t) "again");
	heard(b, "\"message\":\"again\",\"n\":7}\n\n");
	answers("POST", "/-/reload", 200, "reloaded\n");
	heard(b, "event: reloaded\n");
	/* and ends with the service */
	halt();
	peer_is_closed(b);
	peer_free(b);
}
END_TEST

START_TEST(stream_for_http_1_0)
{
	run();
	struct peer *c = client();
	peer_say(c, "GET /-/events HTTP/1.0\r\n\r\n");
	peer_head(c);
	ck_assert_int_eq(peer_status(c), 200);
	peer_need(c, 17);
	ck_assert_mem_eq(c->in, ": events follow\n\n", 17);
	rig_call(&t->rig, say, (void *)(uintptr_t) "x");
	peer_need(c, 17 + 19);
	ck_assert_mem_eq(c->in + 17, "event: said\ndata: {", 19);
	peer_free(c);
}
END_TEST

#define FLOOD 20000

static void flood(void *arg)
{
	static char text[1000];
	(void)arg;
	memset(text, 'x', sizeof(text) - 1);
	for (int i = 0; i < FLOOD / 20; i++)
		sd_event(t->run->log, SD_INFO, "flood", NULL, "%s", text);
}

/* Who does not read misses events; the service keeps at most a backlog for it. */
START_TEST(slow_listener)
{
	run();
	struct peer *c = peer_connect_with(sd_admin_addr(t->run->admin)->port, 4096);
	ask(c, "GET", "/-/events", "");
	peer_head(c);
	heard(c, ": events follow\n\n");
	for (int i = 0; i < 20; i++)
		rig_call(&t->rig, flood, NULL);
	/* everything that was kept is read; then it hears again */
	int64_t end = rig_now_ns() + RIG_WAIT_MS * MS;
	for (int i = 0;; i++) {
		char last[64];
		while (peer_fill(c, 0))
			;
		snprintf(last, sizeof(last), "\"message\":\"last %d\"", i);
		rig_call(&t->rig, say, last + 11);
		if (peer_fill(c, 20) && memmem(c->in, c->n, "event: said\n", 12))
			break;
		ck_assert_msg(rig_now_ns() < end, "it never heard again");
	}
	ck_assert_uint_lt(c->n, 15u << 20);
	peer_free(c);
}
END_TEST

/* ---- starting ---- */

static void refused(const char *text, enum sd_err code, const char *message)
{
	struct sd_error e = {0};
	t->text = text;
	ck_assert_int_eq(try_run(true, &e), code);
	ck_assert_str_eq(e.text, message);
	ck_assert_ptr_null(t->run);
	sd_conf_free(t->conf);
	t->conf = NULL;
}

START_TEST(addresses_that_cannot_be)
{
	char text[100], message[100];
	uint16_t port = 0;
	int fd = rig_listen(&port);
	refused("admin: example.com:80\n", SD_EINVAL,
		"admin: expected an IP address, found \"example.com:80\"");
	snprintf(text, sizeof(text), "admin: 127.0.0.1:%d\n", port);
	snprintf(message, sizeof(message), "admin: cannot listen on 127.0.0.1:%d: Address already in use",
		 port);
	refused(text, SD_EINUSE, message);
	close(fd);
	sd_admin_free(NULL);
	sd_run_free(NULL);
}
END_TEST

START_TEST(no_admin_address)
{
	struct sd_error e = {0};
	t->text = "word: a\n";
	ck_assert_int_eq(try_run(true, &e), SD_OK);
	ck_assert_ptr_null(t->run->admin);
}
END_TEST

/* ---- for a stack ---- */

static void stack_metrics(void *arg, struct sd_metrics *m)
{
	ck_assert_ptr_eq(arg, t);
	sd_metrics_family(m, "stack_up", "gauge", "Up");
	sd_metrics_add(m, 1, "%s", "");
}

static bool stack_ready(void *arg)
{
	return !((__typeof__(t))arg)->not_ready;
}

static void stack_reload(struct sd_admin_call *c)
{
	ck_assert_ptr_eq(sd_admin_arg(c), t);
	ck_assert_ptr_null(c->run);
	sd_http_respond_text(c->x, 200, "the stack's own\n");
}

START_TEST(of_a_stack)
{
	static const struct sd_admin_route own[] = {{"reload", "all of them", stack_reload}, {0}};
	struct sd_error e = {0};
	struct sd_admin_spec spec = {.control = t->rig.loop,
				     .events = t->events,
				     .addr = "127.0.0.1:0",
				     .routes = own,
				     .metrics = stack_metrics,
				     .ready = stack_ready,
				     .arg = t};
	ck_assert_msg(sd_admin_start(&spec, &t->stack, &e) == SD_OK, "%s", e.text);
	rig_run(&t->rig);
	answers("GET", "/", 200,
		"GET  /                        this list\n"
		"GET  /-/health                200 while the process can answer\n"
		"GET  /-/ready                 200 when it takes traffic, else 503\n"
		"GET  /-/events                what happens, as server-sent events\n"
		"GET  /metrics                 Prometheus text\n"
		"     /-/reload                all of them\n");
	answers("GET", "/-/ready", 200, "ready\n");
	t->not_ready = true;
	answers("GET", "/-/ready", 503, "not ready\n");
	answers("GET", "/-/config", 404, "no such endpoint; GET / lists them\n");
	answers("POST", "/-/reload", 200, "the stack's own\n");
	has("/metrics", "\nstack_up 1\n");
	has("/metrics", "\nsdlab_events_dropped_total 0\n");
}
END_TEST

int main(void)
{
	TCase *endpoints = tcase_create("endpoints"), *reloads = tcase_create("reload"),
	      *drains = tcase_create("drain");
	TCase *events = tcase_create("events"), *starting = tcase_create("starting");
	TCase *cases[] = {endpoints, reloads, drains, events, starting};
	for (size_t i = 0; i < 5; i++)
		tcase_add_checked_fixture(cases[i], setup, teardown);
	tcase_add_test(endpoints, lists_itself);
	tcase_add_test(endpoints, health_and_ready);
	tcase_add_test(endpoints, config);
	tcase_add_test(endpoints, prometheus);
	tcase_add_test(endpoints, heads);
	tcase_add_test(endpoints, nothing_there);
	tcase_add_test(endpoints, other_methods);
	tcase_add_test(endpoints, own_routes);
	tcase_add_test(endpoints, from_a_web_page);
	tcase_add_test(reloads, good_reload);
	tcase_add_test(reloads, bad_reload);
	tcase_add_test(reloads, nothing_to_reload);
	tcase_add_test(drains, not_ready_while_draining);
	tcase_add_test(drains, drain_takes_too_long);
	tcase_add_test(drains, freed_while_draining);
	tcase_add_test(drains, freed_when_drained);
	tcase_add_test(events, stream_of_events);
	tcase_add_test(events, stream_for_http_1_0);
	tcase_add_test(events, slow_listener);
	tcase_add_test(starting, addresses_that_cannot_be);
	tcase_add_test(starting, no_admin_address);
	tcase_add_test(starting, of_a_stack);
	return rig_main_of(cases, 5, "admin");
}
