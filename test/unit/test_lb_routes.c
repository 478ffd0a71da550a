/* Pools and routes through a running balancer: a is in the default pool unless a test says otherwise, b in pool "api". */
#include "lb_rig.h"

#define API  "routes: [{path: /v1, pool: api}, {path: /, pool: default}]\n"
#define KEEP "keep-idle: 0\n"

static void two_pools(void)
{
	t->back[B].options = ", pool: api";
}

/* Asks with this target and host; the backend that should get it sees this request line. */
static struct peer *goes(const char *host, const char *target, int to, const char *line)
{
	char text[600];
	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", target, host);
	struct peer *c = asks(text), *b = asked(to);
	snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\n", line);
	ck_assert_msg(strncmp(b->head, text, strlen(text)) == 0, "expected %s, found %.80s", text, b->head);
	answers(b, "x");
	peer_answer(c, 200);
	peer_free(b);
	return c;
}

static void goes_to(const char *host, const char *target, int to)
{
	peer_free(goes(host, target, to, target));
}

static struct peer *is_answered(const char *request, int status)
{
	struct peer *c = asks(request);
	peer_answer(c, status);
	return c;
}

static void has_not(const struct peer *p, const char *text)
{
	ck_assert_msg(!strstr(p->head, text), "found %s in %s", text, p->head);
}

static void has(const struct peer *p, const char *text)
{
	ck_assert_msg(strstr(p->head, text), "no %s in %s", text, p->head);
}

/* ---- which pool ---- */

START_TEST(by_path)
{
	two_pools();
	start(KEEP API);
	goes_to("h", "/", A);
	goes_to("h", "/v1", B);
	goes_to("h", "/v1/x?y=/v2", B);
	goes_to("h", "/v1x", A);
	is_metric("sdlab_lb_route_requests_total", "route=\"/v1\"", 2);
	is_metric("sdlab_lb_route_requests_total", "route=\"/\"", 2);
	is_metric("sdlab_lb_backend_requests_total", "pool=\"api\",backend=\"b\"", 2);
}
END_TEST

START_TEST(by_host)
{
	two_pools();
	start(KEEP "routes: [{host: [api.test, \"*.api.test\"], pool: api, name: named}]\n");
	goes_to("API.test:8080", "/", B);
	goes_to("x.y.api.test", "/", B);
	goes_to("h", "/", A); /* no rule: the pool called default */
	is_metric("sdlab_lb_route_requests_total", "route=\"named\"", 2);
}
END_TEST

/* A way around a rule is to write the path in another form: what the rule saw is what the backend gets. */
START_TEST(judged_in_normal_form)
{
	two_pools();
	start(KEEP API);
	peer_free(goes("h", "/x/%2e%2e/v1/a", B, "/v1/a"));
	peer_free(goes("h", "/%76%31/a?b=%76", B, "/v1/a?b=%76"));
	peer_free(goes("h", "/v1/../x", A, "/x"));
	peer_free(goes("h", "/v1%2fx", A, "/v1%2Fx"));
	struct peer *c = is_answered("GET /../v1 HTTP/1.1\r\nHost: h\r\n\r\n", 400);
	has(c, "Proxy-Status: sdlab; error=http_request_error");
	peer_free(c);
	peer_free(is_answered("GET /v1/%zz HTTP/1.1\r\nHost: h\r\n\r\n", 400));
	peer_free(is_answered("GET /v1/%00 HTTP/1.1\r\nHost: h\r\n\r\n", 400));
	not_asked(A);
	not_asked(B);
}
END_TEST

START_TEST(as_it_came_without_routes)
{
	start(KEEP);
	goes_to("h", "/x/%2e%2e/v1//%41/../b", A);
}
END_TEST

START_TEST(no_route)
{
	t->back[A].options = t->back[B].options = ", pool: api";
	start(KEEP "routes: [{path: /v1, pool: api}]\n");
	struct peer *c = is_answered("GET /v2 HTTP/1.1\r\nHost: h\r\n\r\n", 404);
	has(c, "Proxy-Status: sdlab; error=destination_unavailable");
	peer_free(c);
	goes_to("h", "/v1", A);
}
END_TEST

START_TEST(a_failed_backend_of_the_pool)
{
	t->nback = 3;
	t->back[B].options = t->back[C].options = ", pool: api";
	start(KEEP API "retry-budget-min: 100\n");
	stop_listening(B);
	for (int i = 0; i < 4; i++)
		goes_to("h", "/v1", C); /* never A, which is of another pool */
	is_metric("sdlab_lb_retries_total", "", 2);
	not_asked(A);
}
END_TEST

START_TEST(retries_of_the_pool)
{
	t->nback = 3;
	t->back[B].options = t->back[C].options = ", pool: api";
	start(KEEP API "pools: [{name: api, retries: 0}]\n");
	stop_listening(B);
	stop_listening(C);
	peer_free(is_answered("GET /v1 HTTP/1.1\r\nHost: h\r\n\r\n", 502));
	is_metric("sdlab_lb_retries_total", "", 0);
}
END_TEST

/* One pool is full: those who wait for it keep nobody from another. */
START_TEST(queues_apart)
{
	t->back[A].options = ", max-connections: 1";
	t->back[B].options = ", max-connections: 1, pool: api";
	start(KEEP API);
	struct peer *c1 = asks("GET /1 HTTP/1.1\r\nHost: h\r\n\r\n"), *b1 = asked(A);
	struct peer *c2 = asks("GET /2 HTTP/1.1\r\nHost: h\r\n\r\n");
	wait_metric("sdlab_lb_queue_length", "", 1);
	struct peer *c3 = asks("GET /v1/3 HTTP/1.1\r\nHost: h\r\n\r\n"), *b3 = asked(B);
	struct peer *c4 = asks("GET /v1/4 HTTP/1.1\r\nHost: h\r\n\r\n");
	wait_metric("sdlab_lb_queue_length", "", 2);
	answers(b3, "3");
	peer_answer(c3, 200);
	struct peer *b4 = asked(B); /* the one behind it in its own queue, not the one that came first */
	has(b4, "GET /v1/4 ");
	answers(b1, "1");
	peer_answer(c1, 200);
	struct peer *b2 = asked(A);
	has(b2, "GET /2 ");
	answers(b2, "2");
	answers(b4, "4");
	peer_answer(c2, 200);
	peer_answer(c4, 200);
	struct peer *all[] = {c1, c2, c3, c4, b1, b2, b3, b4};
	for (size_t i = 0; i < 8; i++)
		peer_free(all[i]);
}
END_TEST

START_TEST(own_algorithm)
{
	t->nback = 3;
	t->back[B].options = t->back[C].options = ", pool: api";
	start(KEEP API "pools: [{name: api, algorithm: hash, hash: {on: path, bound: 0}}]\n");
	struct peer *c = asks("GET /v1/same HTTP/1.1\r\nHost: h\r\n\r\n");
	struct pollfd w[2] = {{.fd = t->back[B].fd, .events = POLLIN}, {.fd = t->back[C].fd, .events = POLLIN}};
	ck_assert_int_gt(poll(w, 2, RIG_WAIT_MS), 0);
	int owner = w[0].revents ? B : C;
	struct peer *b = asked(owner);
	answers(b, "x");
	peer_answer(c, 200);
	peer_free(b);
	peer_free(c);
	for (int i = 0; i < 6; i++)
		goes_to("h", "/v1/same", owner);
}
END_TEST

/* ---- listeners ---- */

START_TEST(by_listener)
{
	start(KEEP "listeners: [{address: \"127.0.0.1:0\", name: plain}, \"127.0.0.1:0\"]\n"
		   "routes: [{path: /, listener: [plain], redirect: \"https://{hostname}{uri}\"}, {path: /v1, listener: [main], status: 204}]\n");
	ck_assert_int_eq(t->run->naddrs, 3);
	struct peer *c = peer_connect(t->run->addrs[1].port);
	peer_say(c, "GET /v1?x HTTP/1.1\r\nHost: h.test:8080\r\n\r\n");
	peer_answer(c, 308);
	has(c, "\r\nLocation: https://h.test/v1?x\r\n");
	peer_free(c);
	peer_free(is_answered("GET /v1 HTTP/1.1\r\nHost: h\r\n\r\n", 204));
	c = peer_connect(t->run->addrs[2].port); /* without a name, and no rule for it: the default pool */
	peer_say(c, "GET /v1 HTTP/1.1\r\nHost: h\r\n\r\n");
	serve(A, "x");
	peer_answer(c, 200);
	peer_free(c);
}
END_TEST

/* ---- split ---- */

START_TEST(split_by_weight)
{
	two_pools();
	start("routes: [{path: /, split: [default=3, api=1]}]\n");
	struct peer *c = client(), *b[2] = {NULL, NULL};
	int n[2] = {0, 0};
	for (int i = 0; i < 400; i++) {
		peer_say(c, GET);
		struct pollfd w[4] = {{.fd = t->back[A].fd, .events = POLLIN}, {.fd = t->back[B].fd, .events = POLLIN},
				      {.fd = b[0] ? b[0]->fd : -1, .events = POLLIN},
				      {.fd = b[1] ? b[1]->fd : -1, .events = POLLIN}};
		ck_assert_int_gt(poll(w, 4, RIG_WAIT_MS), 0);
		int who = w[0].revents || w[2].revents ? A : B;
		if (!b[who])
			b[who] = accept_at(who);
		peer_request(b[who]);
		answers(b[who], "x");
		peer_answer(c, 200);
		n[who]++;
	}
	/* 300 and 100 are to be expected, sigma 8.7 */
	ck_assert_msg(n[0] > 250 && n[0] < 350, "%d and %d", n[0], n[1]);
	peer_free(c);
	peer_free(b[0]);
	peer_free(b[1]);
}
END_TEST

START_TEST(split_by_client)
{
	two_pools();
	start(KEEP "routes: [{path: /, split: [default=1, api=1], split-by: client}]\ntrusted-proxies: [127.0.0.1]\n");
	int seen[2] = {0, 0};
	for (int i = 0; i < 16; i++) {
		char text[200];
		int first = -1;
		for (int k = 0; k < 3; k++) {
			snprintf(text, sizeof(text), "GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 192.0.2.%d\r\n\r\n", i);
			struct peer *c = asks(text);
			struct pollfd w[2] = {{.fd = t->back[A].fd, .events = POLLIN}, {.fd = t->back[B].fd, .events = POLLIN}};
			ck_assert_int_gt(poll(w, 2, RIG_WAIT_MS), 0);
			int who = w[0].revents ? A : B;
			first = first < 0 ? who : first;
			ck_assert_int_eq(who, first);
			serve(who, "x");
			peer_answer(c, 200);
			peer_free(c);
		}
		seen[first]++;
	}
	ck_assert(seen[0] > 0 && seen[1] > 0);
}
END_TEST

/* ---- what a route answers ---- */

static void redirects(const char *extra, const char *request, int status, const char *location)
{
	start(extra);
	struct peer *c = is_answered(request, status);
	has(c, location);
	peer_free(c);
	not_asked(A);
}

START_TEST(redirect)
{
	redirects("routes: [{path: /old, redirect: \"https://{host}/new{rest}{query}\"}]\n",
		  "GET /old/a/%2e/b?x=1 HTTP/1.1\r\nHost: h.test:80\r\n\r\n", 308,
		  "\r\nLocation: https://h.test:80/new/a/b?x=1\r\n");
}
END_TEST

START_TEST(redirect_with_status)
{
	redirects("routes: [{path: /old, redirect: \"{scheme}://other.test{uri}\", status: 302, answer-headers: {set: [\"X-A: b, c\"]}}]\n",
		  "POST /old HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello", 302,
		  "\r\nLocation: http://other.test/old\r\nX-A: b, c\r\n");
}
END_TEST

/* "//other/" in a Location would be another host (an open redirect). */
START_TEST(redirect_stays_here)
{
	redirects("routes: [{path: /old, redirect: \"{rest}\"}]\n", "GET /old//evil.test/x HTTP/1.1\r\nHost: h\r\n\r\n", 308,
		  "\r\nLocation: /.//evil.test/x\r\n");
}
END_TEST

/* What follows the rule is empty: an empty Location would lead to the same place again. */
START_TEST(redirect_to_the_root)
{
	start("routes: [{path: /old, redirect: \"{rest}{query}\"}]\n");
	struct peer *c = is_answered("GET /old HTTP/1.1\r\nHost: h\r\n\r\n", 308);
	has(c, "\r\nLocation: /\r\n");
	peer_free(c);
	c = is_answered("GET /old?x=1 HTTP/1.1\r\nHost: h\r\n\r\n", 308);
	has(c, "\r\nLocation: /?x=1\r\n");
	peer_free(c);
}
END_TEST

static unsigned count(const char *head, const char *name)
{
	unsigned n = 0;
	for (const char *p = head; (p = strstr(p, name)); p++)
		n++;
	return n;
}

/* A rule's fields stand in place of those that are made here, not beside them. */
/* A pool that became empty would leave its route without anybody, and could not be filled again. */
START_TEST(the_last_of_a_pool_stays)
{
	t->back[B].options = ", pool: api";
	start("routes: [{path: /v1, pool: api}]\n");
	admin("DELETE", "/-/backends/b", 409);
	admin("DELETE", "/-/backends/a", 409);
	struct peer *c = asks("GET /v1 HTTP/1.1\r\nHost: h\r\n\r\n"), *b = asked(B);
	answers(b, "x");
	peer_answer(c, 200);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(fields_of_what_is_said_here)
{
	start("routes: [{path: /old, redirect: /a, answer-headers: {set: ['Location: /b']}},\n"
	      "  {path: /no, status: 403, name: closed, answer-headers: {set: ['Content-Type: text/html'], remove: [X-B], add: ['X-A: 1']}}]\n");
	struct peer *c = is_answered("GET /old HTTP/1.1\r\nHost: h\r\n\r\n", 308);
	has(c, "\r\nLocation: /b\r\n");
	ck_assert_uint_eq(count(c->head, "\r\nLocation:"), 1);
	peer_free(c);
	c = asks("GET /no HTTP/1.1\r\nHost: h\r\n\r\n");
	ck_assert_str_eq(peer_answer(c, 403), "403 Forbidden: route closed\n");
	has(c, "\r\nContent-Type: text/html\r\n");
	has(c, "\r\nX-A: 1\r\n");
	has(c, "\r\nProxy-Status: sdlab; error=http_request_denied; details=\"route closed\"\r\n");
	ck_assert_uint_eq(count(c->head, "\r\nContent-Type:"), 1);
	/* the next answer on this connection knows nothing of it */
	peer_say(c, "GET /else HTTP/1.1\r\nHost: h\r\n\r\n");
	struct peer *b = asked(A);
	answers(b, "x");
	peer_answer(c, 200);
	ck_assert_uint_eq(count(c->head, "X-A"), 0);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(says)
{
	start("routes: [{path: /down, status: 503, body: \"closed for today\\n\", answer-headers: {set: [\"Retry-After: 60\"]}}]\n");
	struct peer *c = is_answered("GET /down HTTP/1.1\r\nHost: h\r\n\r\n", 503);
	has(c, "\r\nRetry-After: 60\r\n");
	ck_assert_str_eq(c->body, "closed for today\n");
	/* the connection goes on */
	peer_say(c, "GET /down HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_answer(c, 503);
	peer_free(c);
}
END_TEST

START_TEST(empty_answer)
{
	start("routes: [{path: /empty, status: 204}]\n");
	struct peer *c = is_answered("GET /empty HTTP/1.1\r\nHost: h\r\n\r\n", 204);
	has_not(c, "Content-Length");
	peer_say(c, "GET /empty HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_answer(c, 204);
	peer_free(c);
}
END_TEST

/* ---- what a route changes ---- */

START_TEST(rewrite)
{
	static const struct {
		const char *rule, *rewrite, *target, *line;
	} all[] = {
	    {"/v1", "/", "/v1/a?b", "/a?b"},	{"/v1", "/", "/v1", "/"},	  {"/v1", "/v2", "/v1/a", "/v2/a"},
	    {"/v1/", "/v2/", "/v1/a", "/v2/a"}, {"/", "/base", "/a/b?", "/base/a/b?"}, {"/v1", "/", "/v1//x", "//x"},
	    {"/v1", "/x", "/%761/%2e/a", "/x/a"},
	};
	char extra[200];
	snprintf(extra, sizeof(extra), KEEP "routes: [{path: %s, rewrite: %s}]\n", all[_i].rule, all[_i].rewrite);
	start(extra);
	peer_free(goes("h", all[_i].target, A, all[_i].line));
}
END_TEST

START_TEST(request_headers)
{
	start(KEEP "request-headers: {set: [\"X-Env: prod\", \"X-Who: {client} {method} {host}{uri}\"], remove: [Cookie, X-None]}\n"
		   "routes: [{path: /v1, request-headers: {set: [\"Host: inner.test\", \"X-Env: route\"], add: [\"X-More: 1\", \"X-More: 2, 3\"]}}]\n");
	static const char *const of[] = {"GET /v1/a?b HTTP/1.1\r\nHost: h\r\nX-Env: mine\r\nx-env: too\r\nCOOKIE: s=1\r\nX-More: 0\r\n\r\n",
					 "GET /a HTTP/1.1\r\nHost: h\r\nX-Env: mine\r\nCookie: s=1\r\n\r\n"};
	struct peer *c = asks(of[0]), *b = asked(A);
	has(b, "\r\nHost: inner.test\r\n");
	has(b, "\r\nX-Forwarded-Host: h\r\n");
	has(b, "\r\nX-Env: route\r\n");
	has(b, "\r\nX-Who: 127.0.0.1 GET h/v1/a?b\r\n");
	has(b, "\r\nX-More: 0\r\n");
	has(b, "\r\nX-More: 1\r\nX-More: 2, 3\r\n");
	has_not(b, "mine");
	has_not(b, "too");
	has_not(b, "s=1");
	has_not(b, "prod");
	answers(b, "x");
	peer_answer(c, 200);
	peer_free(b);
	peer_free(c);
	c = asks(of[1]);
	b = asked(B);
	has(b, "\r\nHost: h\r\n");
	has(b, "\r\nX-Env: prod\r\n");
	has_not(b, "s=1");
	has_not(b, "mine");
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(answer_headers)
{
	start(KEEP "answer-headers: {set: [\"X-Frame-Options: DENY\"], remove: [Server]}\n"
		   "routes: [{path: /v1, answer-headers: {add: [\"Cache-Control: no-store\"]}}]\n");
	static const char *const targets[] = {"/v1", "/v2"};
	for (int i = 0; i < 2; i++) {
		char text[100];
		snprintf(text, sizeof(text), "GET %s HTTP/1.1\r\nHost: h\r\n\r\n", targets[i]);
		struct peer *c = asks(text), *b = asked(i);
		peer_say(b, "HTTP/1.1 200 OK\r\nServer: x/1\r\nX-Frame-Options: ALLOW\r\nCache-Control: private\r\n"
			    "Content-Length: 1\r\n\r\n1");
		peer_answer(c, 200);
		has(c, "\r\nX-Frame-Options: DENY\r\n");
		has(c, "\r\nCache-Control: private\r\n");
		has_not(c, "ALLOW");
		has_not(c, "Server");
		if (i == 0)
			has(c, "\r\nCache-Control: no-store\r\n");
		else
			has_not(c, "no-store");
		peer_free(b);
		peer_free(c);
	}
}
END_TEST

/* What the client sends cannot become a line of its own. */
START_TEST(values_stay_in_their_line)
{
	start(KEEP "request-headers: {set: [\"X-Path: {path}|{query}\"]}\n");
	struct peer *c = asks("GET /a%0d%0aX-Evil:1?%0d%0aX:2 HTTP/1.1\r\nHost: h\r\n\r\n"), *b = asked(A);
	has(b, "\r\nX-Path: /a%0d%0aX-Evil:1|?%0d%0aX:2\r\n");
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(body_limits)
{
	start(KEEP "max-body: 10\nroutes: [{path: /big, max-body: 20}, {path: /small, max-body: 3}, {path: /any, max-body: 0}]\n");
	static const struct {
		const char *request;
		bool ok;
	} all[] = {
	    {"POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: 15\r\n\r\n012345678901234", true},
	    {"POST /big HTTP/1.1\r\nHost: h\r\nContent-Length: 21\r\n\r\n", false},
	    {"POST /small HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n", false},
	    {"POST /else HTTP/1.1\r\nHost: h\r\nContent-Length: 11\r\n\r\n", false},
	    {"POST /any HTTP/1.1\r\nHost: h\r\nContent-Length: 25\r\n\r\n0123456789012345678901234", true},
	};
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		struct peer *c = asks(all[i].request);
		if (all[i].ok)
			serve(i == 0 ? A : B, "x");
		peer_answer(c, all[i].ok ? 200 : 413);
		peer_free(c);
	}
	/* of a length nobody said */
	struct peer *c = asks("POST /small HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n4\r\n0123\r\n0\r\n\r\n");
	peer_answer(c, 413);
	peer_free(c);
}
END_TEST

/* ---- what is told ---- */

START_TEST(why)
{
	two_pools();
	start(KEEP API);
	struct peer *c = asks("GET /v1 HTTP/1.1\r\nHost: h\r\nX-Sdlab-Why: 1\r\n\r\n");
	serve(B, "x");
	peer_answer(c, 200);
	has(c, "pool=api;");
	peer_free(c);
}
END_TEST

/* ---- reload ---- */

static void reload_with(const char *extra, bool ok)
{
	t->extra = extra;
	write_text(extra);
	admin("POST", "/-/reload", ok ? 200 : 400);
}

START_TEST(changed_while_it_runs)
{
	two_pools();
	start(KEEP API);
	struct peer *held = asks("GET /v1/slow HTTP/1.1\r\nHost: h\r\n\r\n"), *b = asked(B);
	t->back[B].options = ", pool: other";
	reload_with(KEEP "routes: [{path: /v2, pool: other, rewrite: /v1}]\n", true);
	wait_metric("sdlab_lb_backend_up", "pool=\"other\",backend=\"b\"", 1);
	peer_free(goes("h", "/v2/x", B, "/v1/x"));
	goes_to("h", "/v1", A);
	answers(b, "late"); /* begun under the old rules */
	peer_answer(held, 200);
	peer_free(b);
	peer_free(held);
	is_metric("sdlab_lb_route_requests_total", "route=\"/v1\"", 1);
	is_metric("sdlab_lb_route_requests_total", "route=\"/v2\"", 1);
}
END_TEST

START_TEST(waiting_for_a_pool_that_goes)
{
	t->back[B].options = ", max-connections: 1, pool: api";
	start(KEEP API);
	struct peer *c1 = asks("GET /v1/1 HTTP/1.1\r\nHost: h\r\n\r\n"), *b = asked(B);
	struct peer *c2 = asks("GET /v1/2 HTTP/1.1\r\nHost: h\r\n\r\n");
	wait_metric("sdlab_lb_queue_length", "", 1);
	t->nback = 1;
	reload_with(KEEP, true);
	peer_answer(c2, 503);
	answers(b, "x");
	peer_answer(c1, 200);
	peer_free(b);
	peer_free(c1);
	peer_free(c2);
}
END_TEST

START_TEST(refused_reload)
{
	two_pools();
	start(KEEP API);
	reload_with(KEEP "routes: [{path: /v1, pool: nope}]\n", false);
	goes_to("h", "/v1", B);
}
END_TEST

/* ---- at run time ---- */

static struct peer *admin_post(const char *body, int status)
{
	char text[512];
	struct peer *c = peer_connect(sd_admin_addr(t->run->admin)->port);
	snprintf(text, sizeof(text), "POST /-/backends HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %zu\r\n\r\n%s",
		 strlen(body), body);
	peer_say(c, text);
	peer_answer(c, status);
	return c;
}

START_TEST(added_to_a_pool)
{
	char body[200];
	two_pools();
	start(KEEP API);
	snprintf(body, sizeof(body), "{\"address\": \"127.0.0.1:%d\", \"name\": \"c\", \"pool\": \"api\"}", t->back[C].port);
	peer_free(admin_post(body, 201));
	goes_to("h", "/v1", B);
	goes_to("h", "/v1", C);
	goes_to("h", "/", A);
	snprintf(body, sizeof(body), "{\"address\": \"127.0.0.1:%d\", \"name\": \"d\", \"pool\": \"none\"}", t->back[C].port);
	struct peer *c = admin_post(body, 409); /* it would never get a request */
	ck_assert_msg(strstr(c->body, "there is no such pool"), "%s", c->body);
	peer_free(c);
	c = admin_call("GET", "/-/status", 200);
	ck_assert_msg(strstr(c->body, "api/c"), "%s", c->body);
	peer_free(c);
}
END_TEST

/* ---- bad rules ---- */

static const struct {
	const char *extra, *why;
} bad[] = {
    {"routes: [{path: v1}]\n", "path: expected the beginning of a path such as /v1"},
    {"routes: [{path: /a/../b}]\n", "requests are judged by \"/b\""},
    {"routes: [{path: /%zz}]\n", "path: expected a path"},
    {"routes: [{host: \"a b\"}]\n", "host: expected a name"},
    {"routes: [{pool: nope}]\n", "no backend is in a pool \"nope\""},
    {"routes: [{pool: api, redirect: /x}]\n", "a route has one of pool and redirect, not both"},
    {"routes: [{split: [api=1], pool: api}]\n", "a route has one of pool and split, not both"},
    {"routes: [{split: [api=x]}]\n", "expected POOL=WEIGHT"},
    {"routes: [{split: [api=0]}]\n", "expected a weight above 0"},
    {"routes: [{redirect: \"{nope}\"}, {path: /a, pool: api}]\n", "redirect: expected one of {scheme}"},
    {"routes: [{redirect: \"/a b\"}]\n", "redirect: expected a URL without spaces"},
    {"routes: [{redirect: /x, status: 200}]\n", "status: expected 301, 302, 303, 307 or 308"},
    {"routes: [{redirect: /x, rewrite: /y}]\n", "rewrite: there is no backend to send it to"},
    {"routes: [{body: x}]\n", "body: expected the status of the answer as well"},
    {"routes: [{pool: api, status: 200}]\n", "status: goes with redirect"},
    {"routes: [{pool: api, request-headers: {set: [\"Content-Length: 3\"]}}]\n", "Content-Length is the proxy's own business"},
    {"routes: [{pool: api, request-headers: {set: [\"X-A {host}\"]}}]\n", "expected a field such as X-Env: prod"},
    {"routes: [{pool: api, request-headers: {remove: [\"X-A: b\"]}}]\n", "expected the name of a field"},
    {"routes: [{pool: api, answer-headers: {set: [\"X: a\\rb\"]}}]\n", "a control byte in the value of X"},
    {"routes: [{path: /v1, pool: default}]\n", "no route leads to pool \"api\""},
    {"", "no route leads to pool \"api\""},
    {API "pools: [{name: apx}]\n", "pool \"apx\" has no backends"},
    {API "pools: [{name: api}, {name: api}]\n", "pool \"api\" is there twice"},
    {API "pools: [{name: \"a b\"}]\n", "name: expected 1 to 31 letters"},
    {API "pools: [{name: api, health: {path: x}}]\n", "health path: expected a path such as /health"},
    {API "pools: [{name: api, hash: {on: header}}]\n", "expected the name of the header"},
    {API "listeners: [{address: \"127.0.0.1:0\", name: x}, {address: \"127.0.0.1:0\", name: x}]\n", "listeners: expected a name of its own"},
    {API "listeners: [{address: \"127.0.0.1:0\", name: main}]\n", "listeners: expected a name of its own"},
    {API "listeners: [\"some.host:80\"]\n", "listeners: expected an IP address"},
    {"routes: [{pool: api, listener: [nope]}]\n", "listener: expected main or the name of a listener"},
    {"mode: tcp\n" API, "path: expected mode: http"},
    {"mode: tcp\nroutes: [{host: h, redirect: /}]\n", "redirect: expected mode: http"},
};

START_TEST(bad_input)
{
	struct sd_error e = {0};
	two_pools();
	write_text(bad[_i].extra);
	enum sd_err err = make_conf(&t->conf, &e);
	err = err ? err : sd_run_check(t->conf, &e);
	ck_assert_msg(err == SD_EINVAL && strstr(e.text, bad[_i].why), "%s: expected \"%s\", found %d \"%s\"", bad[_i].extra,
		      bad[_i].why, err, e.text);
	sd_conf_free(t->conf);
	start(KEEP API); /* for the teardown, and the one that is right */
}
END_TEST

static void add(Suite *s, const char *name, TCase **t_)
{
	*t_ = tcase_create(name);
	tcase_add_checked_fixture(*t_, setup, teardown);
	tcase_set_timeout(*t_, 60);
	suite_add_tcase(s, *t_);
}

int main(void)
{
	Suite *s = suite_create("lb_routes");
	TCase *c;
	add(s, "pools", &c);
	tcase_add_test(c, by_path);
	tcase_add_test(c, by_host);
	tcase_add_test(c, judged_in_normal_form);
	tcase_add_test(c, as_it_came_without_routes);
	tcase_add_test(c, no_route);
	tcase_add_test(c, a_failed_backend_of_the_pool);
	tcase_add_test(c, retries_of_the_pool);
	tcase_add_test(c, queues_apart);
	tcase_add_test(c, own_algorithm);
	tcase_add_test(c, by_listener);
	add(s, "split", &c);
	tcase_add_test(c, split_by_weight);
	tcase_add_test(c, split_by_client);
	add(s, "answers", &c);
	tcase_add_test(c, redirect);
	tcase_add_test(c, redirect_with_status);
	tcase_add_test(c, redirect_stays_here);
	tcase_add_test(c, redirect_to_the_root);
	tcase_add_test(c, fields_of_what_is_said_here);
	tcase_add_test(c, the_last_of_a_pool_stays);
	tcase_add_test(c, says);
	tcase_add_test(c, empty_answer);
	add(s, "changes", &c);
	tcase_add_loop_test(c, rewrite, 0, 7);
	tcase_add_test(c, request_headers);
	tcase_add_test(c, answer_headers);
	tcase_add_test(c, values_stay_in_their_line);
	tcase_add_test(c, body_limits);
	add(s, "told", &c);
	tcase_add_test(c, why);
	add(s, "reload", &c);
	tcase_add_test(c, changed_while_it_runs);
	tcase_add_test(c, waiting_for_a_pool_that_goes);
	tcase_add_test(c, refused_reload);
	add(s, "runtime", &c);
	tcase_add_test(c, added_to_a_pool);
	add(s, "bad", &c);
	tcase_add_loop_test(c, bad_input, 0, (int)(sizeof(bad) / sizeof(bad[0])));
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
