/* What an operator sees of a running balancer: the access log, traces, reasons. */
#include <cjson/cJSON.h>

#include "../../applets/load/load_access.h"
#include "lb_rig.h"

/* ---- the access log ---- */

#define JSON_LOG "access-log: \"-\"\naccess-log-format: json\ntrace: false\n"

/* The n-th line (from 0) that is a JSON object, once it is there; the caller frees it. */
static cJSON *log_line(int n)
{
	int64_t end = rig_now_ns() + RIG_WAIT_MS * MS;
	static char text[1 << 18];
	for (;;) {
		ssize_t got = pread(t->out, text, sizeof(text) - 1, 0);
		text[got > 0 ? got : 0] = '\0';
		int at = 0;
		for (char *p = text, *stop; (stop = strchr(p, '\n')); p = stop + 1) {
			*stop = '\0';
			if (*p == '{' && at++ == n) {
				cJSON *o = cJSON_Parse(p);
				ck_assert_msg(o != NULL, "%s", p);
				return o;
			}
		}
		ck_assert_msg(rig_now_ns() < end, "line %d never came", n);
	}
}

static void has(const cJSON *line, const char *key, const char *want)
{
	const cJSON *v = cJSON_GetObjectItem(line, key);
	char *text = cJSON_PrintUnformatted(line);
	const char *got = cJSON_IsString(v) ? v->valuestring : NULL;
	ck_assert_msg(want ? got && strcmp(got, want) == 0 : !v, "%s: expected %s in %s", key, want ? want : "none", text);
	free(text);
}

static double number(const cJSON *line, const char *key)
{
	const cJSON *v = cJSON_GetObjectItem(line, key);
	ck_assert_msg(cJSON_IsNumber(v), "%s is missing", key);
	return v->valuedouble;
}

START_TEST(a_line_a_request)
{
	start(JSON_LOG NO_IDLE);
	struct peer *c = asks("POST /x?y=1 HTTP/1.1\r\nHost: h\r\nUser-Agent: me \"too\"\r\nReferer: http://r/\r\n"
			      "Content-Length: 5\r\n\r\nhello");
	serve(A, "hi there");
	peer_answer(c, 200);
	cJSON *line = log_line(0);
	has(line, "method", "POST");
	has(line, "target", "/x?y=1");
	has(line, "client", "127.0.0.1");
	has(line, "host", "h");
	has(line, "user_agent", "me \"too\"");
	has(line, "referer", "http://r/");
	has(line, "backend", "a");
	has(line, "end", "done");
	has(line, "why", NULL);
	has(line, "trace", NULL);
	ck_assert_double_eq(number(line, "status"), 200);
	ck_assert_double_eq(number(line, "bytes_in"), 5);
	ck_assert_double_eq(number(line, "bytes_out"), 8);
	ck_assert_double_eq(number(line, "retries"), 0);
	ck_assert_double_eq(number(line, "queue_ms"), 0);
	double parts = number(line, "connect_ms") + number(line, "first_byte_ms");
	ck_assert_double_gt(parts, 0);
	ck_assert_double_le(parts, number(line, "total_ms") + 0.002);
	cJSON_Delete(line);
	wait_metric("sdlab_lb_access_lines_total", "", 1);
	peer_free(c);
}
END_TEST

START_TEST(no_line_unless_asked)
{
	char line[] = "GET /x";
	start(NO_IDLE);
	struct peer *c = asks(GET);
	serve(A, "x");
	peer_answer(c, 200);
	peer_free(c);
	halt();
	ck_assert(!has_said(line));
}
END_TEST

START_TEST(line_for_people)
{
	start("access-log: \"-\"\n" NO_IDLE);
	struct peer *c = asks(GET);
	serve(A, "x");
	peer_answer(c, 200);
	wait_said(" 127.0.0.1 GET /x 200 1B a ");
	peer_free(c);
}
END_TEST

START_TEST(ends_are_told_apart)
{
	t->nback = 1;
	start(JSON_LOG "retries: 0\n" NO_IDLE);
	struct peer *c = asks(GET), *b = asked(A);
	peer_say(b, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
	peer_head(c);
	peer_free(b);
	peer_is_cut(c);
	peer_free(c);
	cJSON *line = log_line(0);
	has(line, "end", "backend failed");
	ck_assert_double_eq(number(line, "status"), 200);
	ck_assert_double_eq(number(line, "bytes_out"), 4);
	cJSON_Delete(line);

	c = asks(GET);
	b = asked(A);
	peer_reset(c);
	peer_free(c);
	line = log_line(1);
	has(line, "end", "client gone");
	ck_assert_double_eq(number(line, "status"), 0);
	cJSON_Delete(line);
	peer_free(b);

	stop_listening(A);
	c = asks(GET);
	peer_answer(c, 502);
	ck_assert_ptr_nonnull(strstr(c->head, "\r\nProxy-Status: sdlab; error=connection_refused; details=\""));
	line = log_line(2);
	has(line, "end", "answered here");
	has(line, "backend", "a");
	ck_assert_ptr_nonnull(cJSON_GetObjectItem(line, "why"));
	ck_assert_double_eq(number(line, "status"), 502);
	cJSON_Delete(line);
	peer_free(c);

	c = asks("GET / HTTP/1.1\r\nHost: h\r\nBad Name: 1\r\n\r\n");
	peer_answer(c, 400);
	ck_assert_ptr_nonnull(strstr(c->head, "\r\nProxy-Status: sdlab; error=http_request_error; details=\""));
	ck_assert_ptr_nonnull(strstr(c->body, "RFC 9112"));
	line = log_line(3);
	has(line, "end", "refused");
	has(line, "target", NULL);
	ck_assert_double_eq(number(line, "status"), 400);
	cJSON_Delete(line);
	peer_free(c);

	c = asks("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nnothex\r\n");
	peer_answer(c, 400);
	line = log_line(4);
	has(line, "target", "/");
	ck_assert_double_eq(number(line, "status"), 400);
	cJSON_Delete(line);
	peer_free(c);
}
END_TEST

/* Who was refused is the same client as who is served: the one that a trusted proxy says. */
START_TEST(refused_clients)
{
	static const struct {
		const char *request, *method, *target;
		int status;
	} cases[] = {
	    {"CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\nX-Forwarded-For: 192.0.2.7\r\n\r\n", "CONNECT", "h:443", 405},
	    {"POST /x HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.7\r\nContent-Length: 9\r\n\r\n", "POST", "/x", 413},
	};
	start(JSON_LOG NO_IDLE "max-body: 5\ntrusted-proxies: [127.0.0.1]\n");
	for (int i = 0; i < 2; i++) {
		struct peer *c = asks(cases[i].request);
		peer_answer(c, cases[i].status);
		cJSON *line = log_line(i);
		has(line, "client", "192.0.2.7");
		has(line, "method", cases[i].method);
		has(line, "target", cases[i].target);
		has(line, "end", "refused");
		ck_assert_double_eq(number(line, "status"), cases[i].status);
		cJSON_Delete(line);
		peer_free(c);
	}
	not_asked(A);
}
END_TEST

START_TEST(waiting_is_told)
{
	t->nback = 1;
	t->back[A].options = ", max-connections: 1";
	start(JSON_LOG NO_IDLE);
	struct peer *one = asks(GET), *b = asked(A), *two = asks(GET);
	wait_metric("sdlab_lb_queue_length", "", 1);
	answers(b, "x");
	peer_answer(one, 200);
	peer_free(b);
	serve(A, "y");
	peer_answer(two, 200);
	cJSON *line = log_line(1);
	ck_assert_double_gt(number(line, "queue_ms"), 0);
	ck_assert_double_le(number(line, "queue_ms"), number(line, "total_ms"));
	cJSON_Delete(line);
	is_metric("sdlab_lb_queue_seconds_count", "", 1);
	is_metric("sdlab_lb_backend_connect_seconds_count", "backend=\"a\"", 2);
	peer_free(one);
	peer_free(two);
}
END_TEST

static void client_is(int n, const char *forwarded, const char *want)
{
	char request[512];
	snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", forwarded);
	struct peer *c = asks(request);
	serve(n % 2, "x");
	peer_answer(c, 200);
	cJSON *line = log_line(n);
	has(line, "client", want);
	cJSON_Delete(line);
	peer_free(c);
}

START_TEST(client_behind_proxies)
{
	start(JSON_LOG NO_IDLE "trusted-proxies: [127.0.0.0/8, 10.0.0.0/8]\n");
	client_is(0, "X-Forwarded-For: 6.6.6.6, 192.0.2.1, 10.1.1.1\r\n", "192.0.2.1");
	client_is(1, "X-Forwarded-For: 192.0.2.9\r\nX-Forwarded-For: 10.2.2.2\r\n", "192.0.2.9");
	client_is(2, "X-Forwarded-For: 192.0.2.9, bogus, 10.2.2.2\r\n", "10.2.2.2");
	client_is(3, "X-Forwarded-For: 10.1.1.1\r\n", "10.1.1.1");
	client_is(4, "", "127.0.0.1");
}
END_TEST

START_TEST(untrusted_clients_are_themselves)
{
	start(JSON_LOG NO_IDLE);
	client_is(0, "X-Forwarded-For: 6.6.6.6\r\n", "127.0.0.1");
}
END_TEST

/* ---- the file ---- */

static bool file_has(void *arg)
{
	const char *const *args = arg;
	char text[8192] = "";
	FILE *f = fopen(args[0], "r");
	if (f)
		text[fread(text, 1, sizeof(text) - 1, f)] = '\0';
	if (f)
		fclose(f);
	return strstr(text, args[1]) != NULL;
}

static void one_request(const char *target, int i)
{
	char request[128];
	snprintf(request, sizeof(request), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", target);
	struct peer *c = asks(request);
	serve(i, "x");
	peer_answer(c, 200);
	peer_free(c);
}

START_TEST(file_is_rotated)
{
	char name[] = "/tmp/sdlab-access-XXXXXX", moved[64], extra[256];
	int fd = mkstemp(name);
	t->nback = 1;
	ck_assert_int_eq(write(fd, "old\n", 4), 4);
	snprintf(moved, sizeof(moved), "%s.1", name);
	snprintf(extra, sizeof(extra), "access-log: %s\naccess-log-format: common\n" NO_IDLE, name);
	start(extra);
	one_request("/one", A);
	rig_wait(&t->rig, "the first line", file_has, (const char *[]){name, "/one"});
	ck_assert(file_has((const char *[]){name, "old\n127.0.0.1 - - ["}));
	ck_assert_int_eq(rename(name, moved), 0);
	one_request("/two", A);
	rig_wait(&t->rig, "the second line", file_has, (const char *[]){moved, "/two"});
	admin("POST", "/-/reload", 200);
	one_request("/three", A);
	rig_wait(&t->rig, "the third line", file_has, (const char *[]){name, "/three"});
	ck_assert(!file_has((const char *[]){moved, "/three"}) && !file_has((const char *[]){name, "/two"}));
	one_request("/four", A);
	halt(); /* what was not written yet is written now */
	ck_assert(file_has((const char *[]){name, "/four"}));
	close(fd);
	unlink(name);
	unlink(moved);
}
END_TEST

START_TEST(file_cannot_be_opened)
{
	struct sd_error e = {0};
	t->extra = "access-log: /nowhere/at/all\n";
	write_text(t->extra);
	ck_assert_int_eq(make_conf(&t->conf, &e), SD_OK);
	struct sd_run_spec spec = {.world = t->rig.world, .control = t->rig.loop, .events = t->events, .applet = &sd_applet_lb,
				   .conf = t->conf};
	ck_assert_int_eq(sd_run_start(&spec, &t->run, &e), SD_ENOTFOUND);
	ck_assert_msg(strstr(e.text, "access-log: cannot open /nowhere/at/all") != NULL, "%s", e.text);
	t->extra = "mode: tcp\naccess-log: x\n";
	write_text(t->extra);
	sd_conf_free(t->conf);
	t->conf = NULL;
	ck_assert_int_eq(make_conf(&t->conf, &e), SD_EINVAL);
	ck_assert_msg(strstr(e.text, "access-log: expected mode: http") != NULL, "%s", e.text);
	sd_conf_free(t->conf);
	t->conf = NULL;
	start(NO_IDLE);
	write_text("access-log: /nowhere/at/all\n");
	struct peer *c = admin_call("POST", "/-/reload", 400);
	ck_assert_msg(strstr(c->body, "cannot open /nowhere/at/all") != NULL, "%s", c->body);
	peer_free(c);
	one_request("/still", A);
}
END_TEST

/* ---- read by load replay ---- */

static enum sd_err on_entry(void *arg, const struct load_access *entry, struct sd_error *e)
{
	char *all = arg;
	(void)e;
	snprintf(all + strlen(all), 512 - strlen(all), "%.*s %.*s;", (int)entry->method.n, entry->method.p, (int)entry->path.n,
		 entry->path.p);
	return SD_OK;
}

START_TEST(log_is_replayed)
{
	t->nback = 1;
	start(JSON_LOG NO_IDLE);
	one_request("/a?b=%22&c='\\", A);
	struct peer *c = asks("nonsense\r\n\r\n");
	peer_answer(c, 400);
	peer_free(c);
	c = asks("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n");
	peer_answer(c, 405);
	peer_free(c);
	one_request("http://h/abs?x", A);
	cJSON_Delete(log_line(3));
	static char text[1 << 16];
	char all[512] = "", *lines = NULL;
	ssize_t n = pread(t->out, text, sizeof(text) - 1, 0);
	text[n] = '\0';
	lines = strstr(text, "{\"time\"");
	ck_assert_ptr_nonnull(lines);
	struct sd_error e = {0};
	ck_assert_msg(load_access_read("log", lines, strlen(lines), on_entry, all, &e) == SD_OK, "%s", e.text);
	ck_assert_str_eq(all, "GET /a?b=%22&c='\\;GET /abs?x;");
}
END_TEST

/* ---- reload ---- */

START_TEST(reload_says_what_changed)
{
	t->nback = 2;
	start("retries: 1\n");
	t->nback = 3;
	t->back[B].options = ", weight: 3";
	write_text("retries: 2\nalgorithm: least-connections\nmax-body: 1KiB\nqueue: {size: 7}\ntrusted-proxies: [10.0.0.0/8]\n");
	admin("POST", "/-/reload", 200);
	wait_said("Reloaded lb.yaml: algorithm round-robin -> least-connections; added c; weight of b 1 -> 3; "
		  "queue.size 1024 -> 7; retries 1 -> 2; trusted-proxies none -> [\"10.0.0.0/8\"]; needs a restart: max-body");
	t->nback = 1;
	write_text("retries: 2\nalgorithm: least-connections\nqueue: {size: 7}\ntrusted-proxies: [10.0.0.0/8]\n");
	admin("POST", "/-/reload", 200);
	wait_said("removed b; removed c");
	admin("POST", "/-/reload", 200);
	wait_said("Reloaded lb.yaml: nothing changed");
}
END_TEST

/* ---- the runtime API ---- */

static struct peer *tell(const char *method, const char *path, const char *body, int status)
{
	char text[1024];
	struct peer *c = peer_connect(sd_admin_addr(t->run->admin)->port);
	snprintf(text, sizeof(text), "%s %s HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s", method, path,
		 strlen(body), body);
	peer_say(c, text);
	peer_answer(c, status);
	return c;
}

static void told(const char *method, const char *path, const char *body, int status, const char *part)
{
	struct peer *c = tell(method, path, body, status);
	ck_assert_msg(strstr(c->body, part) != NULL, "%s %s %s: expected %s, found %s", method, path, body, part, c->body);
	peer_free(c);
}

START_TEST(backends_come_and_go)
{
	char body[128];
	t->nback = 1;
	start(NO_IDLE);
	snprintf(body, sizeof(body), "{\"address\": \"127.0.0.1:%d\", \"name\": \"new\", \"max_connections\": 9}", t->back[B].port);
	told("POST", "/-/backends", body, 201, "\"new\"");
	told("POST", "/-/backends", body, 200, "\"max_connections\":\t9"); /* the same again changes nothing */
	one_request("/", A);
	one_request("/", B);
	wait_said("Added new at run time (weight 1), until the next reload");
	struct peer *c = asks(GET), *c2 = asks(GET), *held = asked(A), *held2 = asked(B);
	told("DELETE", "/-/backends/new", "", 200, "\"removed\":\ttrue");
	told("DELETE", "/-/backends/new", "", 404, "no such backend");
	answers(held2, "finished"); /* what was in progress ends as it would */
	ck_assert_str_eq(peer_answer(c2, 200), "finished");
	answers(held, "x");
	peer_answer(c, 200);
	one_request("/", A);
	one_request("/", A);
	told("DELETE", "/-/backends/a", "", 409, "the last backend");
	peer_free(c);
	peer_free(c2);
	peer_free(held);
	peer_free(held2);
}
END_TEST

START_TEST(weights_change)
{
	start(NO_IDLE);
	told("PATCH", "/-/backends/b", "{\"weight\": 0}", 200, "\"weight\":\t0");
	for (int i = 0; i < 3; i++)
		one_request("/", A);
	told("PATCH", "/-/backends/b", "{\"weight\": 1, \"max-connections\": 4}", 200, "\"max_connections\":\t4");
	told("PATCH", "/-/backends/a", "{\"weight\": 0}", 200, "\"max_connections\":\t0");
	for (int i = 0; i < 3; i++)
		one_request("/", B);
}
END_TEST

START_TEST(runtime_changes_end_with_a_reload)
{
	char body[128];
	t->nback = 2;
	start(NO_IDLE);
	snprintf(body, sizeof(body), "{\"address\": \"127.0.0.1:%d\", \"name\": \"new\"}", t->back[C].port);
	told("POST", "/-/backends", body, 201, "new");
	told("PATCH", "/-/backends/a", "{\"weight\": 7}", 200, "7");
	told("DELETE", "/-/backends/b", "", 200, "b");
	write_text("algorithm: best\n");
	admin("POST", "/-/reload", 400); /* a refused one leaves them */
	told("GET", "/-/backends/new", "", 200, "new");
	told("GET", "/-/backends/b", "", 404, "no such");
	write_text(NO_IDLE);
	admin("POST", "/-/reload", 200);
	wait_said("The reload overrides what was set at run time: weight of a 7; added new; removed b");
	told("GET", "/-/backends/new", "", 404, "no such");
	told("GET", "/-/backends/b", "", 200, "\"b\"");
	told("GET", "/-/backends/a", "", 200, "\"weight\":\t1");
}
END_TEST

START_TEST(bad_calls)
{
	static const struct {
		const char *method, *path, *body;
		int status;
		const char *part;
	} bad[] = {
	    {"POST", "/-/backends", "", 400, "expected a JSON object"},
	    {"POST", "/-/backends", "[1]", 400, "expected a JSON object"},
	    {"POST", "/-/backends", "{\"address\": ", 400, "expected a JSON object"},
	    {"POST", "/-/backends", "{}", 400, "address"},
	    {"POST", "/-/backends", "{\"address\": \"127.0.0.1:0\"}", 400, "expected a port from 1"},
	    {"POST", "/-/backends", "{\"address\": \"127.0.0.1:1\", \"wieght\": 1}", 400, "did you mean"},
	    {"POST", "/-/backends", "{\"address\": \"127.0.0.1:1\", \"weight\": 999}", 400, "weight: expected"},
	    {"POST", "/-/backends", "{\"address\": \"127.0.0.1:1\", \"name\": \"a/b\"}", 400, "without '/'"},
	    {"POST", "/-/backends", "{\"address\": \"127.0.0.1:1\", \"name\": \"a\"}", 409, "has another address"},
	    {"PATCH", "/-/backends/a", "{\"address\": \"127.0.0.1:1\"}", 400, "found \\\"address\\\""},
	    {"PATCH", "/-/backends/a", "{}", 400, "expected weight"},
	    {"PATCH", "/-/backends/a", "{\"weight\": \"many\"}", 400, "weight: expected"},
	    {"PATCH", "/-/backends/zz", "{\"weight\": 1}", 404, "no such backend"},
	    {"PUT", "/-/backends/a", "{}", 405, "GET, PATCH, DELETE"},
	    {"PUT", "/-/backends", "{}", 405, "GET, POST"},
	};
	start("");
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		told(bad[i].method, bad[i].path, bad[i].body, bad[i].status, bad[i].part);
	struct peer *c = peer_connect(sd_admin_addr(t->run->admin)->port);
	char head[128], *fill = calloc(1, 70001);
	memset(fill, ' ', 70000);
	snprintf(head, sizeof(head), "POST /-/backends HTTP/1.1\r\nHost: h\r\nContent-Length: 70000\r\n\r\n");
	peer_say(c, head);
	peer_say(c, fill);
	peer_answer(c, 413);
	peer_free(c);
	free(fill);
	c = peer_connect(sd_admin_addr(t->run->admin)->port); /* leaves in the middle of its body */
	peer_say(c, "POST /-/backends HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\n{");
	peer_reset(c);
	peer_free(c);
	told("GET", "/-/backends/a", "", 200, "\"a\"");
}
END_TEST

/* ---- why this backend? ---- */

#define ASKS_WHY "GET / HTTP/1.1\r\nHost: h\r\nX-Sdlab-Why: 1\r\n\r\n"

START_TEST(explained)
{
	t->back[B].options = ", weight: 0";
	t->nback = 3;
	start("algorithm: least-connections\n" NO_IDLE);
	struct peer *c = tell("POST", "/-/explain", "{\"target\": \"/x\", \"headers\": [\"X: y\"]}", 200);
	cJSON *o = cJSON_Parse(c->body), *list = cJSON_GetObjectItem(o, "candidates");
	has(o, "algorithm", "least-connections");
	ck_assert_int_eq(cJSON_GetArraySize(list), 3);
	has(cJSON_GetArrayItem(list, 1), "why", "its weight is 0");
	ck_assert(!cJSON_IsTrue(cJSON_GetObjectItem(cJSON_GetArrayItem(list, 1), "chosen")));
	char *first = strdup(cJSON_GetObjectItem(o, "backend")->valuestring);
	cJSON_Delete(o);
	peer_free(c);
	/* a dry run: asking changes nothing, and the next request goes where it said */
	for (int i = 0; i < 3; i++)
		told("POST", "/-/explain", "{}", 200, first);
	int to = first[0] - 'a';
	one_request("/", to);
	struct peer *one = asks(GET), *b = accept_at(to == A ? C : A); /* holds the other: load 1 */
	peer_request(b);
	c = tell("POST", "/-/explain", "{}", 200);
	o = cJSON_Parse(c->body);
	has(o, "backend", first);
	list = cJSON_GetObjectItem(o, "candidates");
	ck_assert_double_eq(number(cJSON_GetArrayItem(list, to == A ? C : A), "load"), 1);
	cJSON_Delete(o);
	peer_free(c);
	answers(b, "x");
	peer_answer(one, 200);
	peer_free(one);
	peer_free(b);
	free(first);
	admin("POST", "/-/backends/a/drain", 200);
	told("POST", "/-/explain", "{}", 200, "\"an operator drained it\"");
	told("POST", "/-/explain", "{}", 200, "\"backend\":\t\"c\"");
	admin("POST", "/-/backends/c/drain", 200);
	told("POST", "/-/explain", "{}", 200, "\"backend\":\tnull");
	told("POST", "/-/explain", "{\"method\": \"CONNECT\", \"target\": \"x:1\"}", 200, "\"status\":\t405");
	told("POST", "/-/explain", "", 400, "expected POST");
	told("GET", "/-/explain", "", 405, "expected POST");
	told("POST", "/-/explain", "{\"client\": \"nobody\"}", 400, "client: expected an IP address");
	told("POST", "/-/explain", "{\"target\": \"x y\"}", 400, "is refused with 400");
	told("POST", "/-/explain", "{\"headers\": [\"a: b\\r\\n\\r\\nGET /\"]}", 400, "does not end where it should");
}
END_TEST

START_TEST(explained_when_busy)
{
	t->nback = 1;
	t->back[A].options = ", max-connections: 1";
	start(NO_IDLE);
	struct peer *c = asks(GET), *b = asked(A);
	told("POST", "/-/explain", "{}", 200, "all its connections are taken");
	told("POST", "/-/explain", "{}", 200, "\"backend\":\tnull");
	answers(b, "x");
	peer_answer(c, 200);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* Most of all when nobody answered. */
START_TEST(why_of_a_failure)
{
	start(NO_IDLE);
	stop_listening(A);
	stop_listening(B);
	struct peer *c = asks(ASKS_WHY);
	peer_answer(c, 502);
	ck_assert_msg(strstr(c->head, "\r\nX-Sdlab-Why: backend=none; retries=1; pool=default; ") != NULL, "%s", c->head);
	peer_free(c);
}
END_TEST

START_TEST(why_on_request)
{
	t->nback = 2;
	start(NO_IDLE);
	struct peer *c = asks(ASKS_WHY);
	serve(A, "x");
	peer_answer(c, 200);
	ck_assert_msg(strstr(c->head, "\r\nX-Sdlab-Why: backend=a; retries=0; pool=default; algorithm=round-robin; candidates=a:") != NULL, "%s",
		      c->head);
	peer_free(c);
	c = asks(GET);
	serve(B, "x");
	peer_answer(c, 200);
	ck_assert_ptr_null(strstr(c->head, "X-Sdlab-Why"));
	peer_free(c);
	stop_listening(A);
	c = asks(ASKS_WHY);
	serve(B, "x");
	peer_answer(c, 200);
	ck_assert_msg(strstr(c->head, "\r\nX-Sdlab-Why: backend=b; retries=1; ") != NULL, "%s", c->head);
	peer_free(c);
	t->back[A].port = 1;
	write_text(NO_IDLE "why-header: off\n");
	admin("POST", "/-/reload", 200);
	c = asks(ASKS_WHY);
	serve(B, "x");
	peer_answer(c, 200);
	ck_assert_ptr_null(strstr(c->head, "X-Sdlab-Why"));
	peer_free(c);
}
END_TEST

/* ---- traces ---- */

#define TRACE "4bf92f3577b34da6a3ce929d0e0e4736"

/* What the backend gets of a request with these fields. */
static struct peer *passed_on(const char *fields)
{
	char request[512];
	snprintf(request, sizeof(request), "GET / HTTP/1.1\r\nHost: h\r\n%s\r\n", fields);
	struct peer *c = asks(request), *b = asked(A);
	answers(b, "x");
	peer_answer(c, 200);
	peer_free(c);
	return b;
}

START_TEST(traces_go_on)
{
	t->nback = 1;
	start("access-log: \"-\"\naccess-log-format: json\n" NO_IDLE);
	struct peer *b = passed_on("traceparent: 00-" TRACE "-00f067aa0ba902b7-01\r\ntracestate: a=1\r\n");
	ck_assert_ptr_nonnull(strstr(b->head, "\r\ntraceparent: 00-" TRACE "-"));
	ck_assert_ptr_null(strstr(b->head, "00f067aa0ba902b7"));
	ck_assert(peer_has(b, "tracestate: a=1"));
	cJSON *line = log_line(0);
	has(line, "trace", TRACE);
	cJSON_Delete(line);
	peer_free(b);
	b = passed_on("traceparent: 00-00000000000000000000000000000000-00f067aa0ba902b7-01\r\ntracestate: a=1\r\n");
	const char *begun = strstr(b->head, "\r\ntraceparent: 00-");
	ck_assert_ptr_nonnull(begun);
	ck_assert_ptr_null(strstr(b->head, "00000000000000000000000000000000"));
	ck_assert_ptr_null(strstr(b->head, "tracestate"));
	line = log_line(1);
	ck_assert_mem_eq(cJSON_GetObjectItem(line, "trace")->valuestring, begun + 18, 32);
	cJSON_Delete(line);
	peer_free(b);
}
END_TEST

START_TEST(traces_turned_off)
{
	t->nback = 1;
	start("trace: false\n" NO_IDLE);
	struct peer *b = passed_on("traceparent: whatever\r\n");
	ck_assert(peer_has(b, "traceparent: whatever"));
	peer_free(b);
	b = passed_on("");
	ck_assert_ptr_null(strstr(b->head, "traceparent"));
	peer_free(b);
}
END_TEST

static TCase *make(const char *name, const TTest *const *tests)
{
	TCase *c = tcase_create(name);
	tcase_add_checked_fixture(c, setup, teardown);
	for (; *tests; tests++)
		tcase_add_test(c, *tests);
	return c;
}

#define TESTS(...) ((const TTest *const[]){__VA_ARGS__, NULL})

int main(void)
{
	TCase *cases[] = {
	    make("access log", TESTS(a_line_a_request, no_line_unless_asked, line_for_people, ends_are_told_apart, refused_clients, waiting_is_told,
				     client_behind_proxies, untrusted_clients_are_themselves, file_is_rotated,
				     file_cannot_be_opened, log_is_replayed)),
	    make("reload", TESTS(reload_says_what_changed)),
	    make("runtime", TESTS(backends_come_and_go, weights_change, runtime_changes_end_with_a_reload, bad_calls)),
	    make("explain", TESTS(explained, explained_when_busy, why_on_request, why_of_a_failure)),
	    make("traces", TESTS(traces_go_on, traces_turned_off)),
	};
	return rig_main_of(cases, sizeof(cases) / sizeof(cases[0]), "lb_ops");
}
