/* Who the client is, as the balancer hears and tells it: PROXY headers in and out, Forwarded; and requests that change
 * their protocol: the tunnels they become.
 */
#include "core/proxy_protocol.h"
#include "lb_rig.h"

/* ---- PROXY headers in ---- */

#define FROM_HERE "proxy-from: [127.0.0.0/8]\n"
#define REQUIRE   "proxy-protocol: require\n" FROM_HERE
#define ACCEPT	  "proxy-protocol: accept\n" FROM_HERE
#define V1	  "PROXY TCP4 10.1.2.3 10.9.9.9 4711 443\r\n"

static size_t v2_of(char *out, const char *ip)
{
	struct sd_peer from = {.kind = SD_ADDR_INET, .port = 4711}, to = from;
	ck_assert(sd_ip_parse(sd_slice_of(ip), from.ip, &from.v6));
	ck_assert(sd_ip_parse(sd_slice_of("10.9.9.9"), to.ip, &to.v6));
	return sd_pp_write(out, 2, &from, &to);
}

/* The client sends this in pieces of n bytes; the backend hears who it is. */
static void is_heard_as(const char *bytes, size_t len, size_t n, const char *who)
{
	char want[128];
	struct peer *c = client();
	for (size_t i = 0; i < len; i += n)
		peer_send(c, bytes + i, len - i < n ? len - i : n);
	peer_say(c, GET);
	struct peer *b = asked(A);
	snprintf(want, sizeof(want), "X-Forwarded-For: %s", who);
	ck_assert_msg(peer_has(b, want), "expected %s: %s", want, b->head);
	answers(b, "hi");
	ck_assert_str_eq(peer_answer(c, 200), "hi");
	/* the connection stays that client's */
	peer_say(c, GET);
	peer_free(b);
	b = asked(A);
	ck_assert_msg(peer_has(b, want), "expected %s: %s", want, b->head);
	answers(b, "again");
	ck_assert_str_eq(peer_answer(c, 200), "again");
	peer_free(b);
	peer_free(c);
}

START_TEST(headers_in)
{
	char v2[SD_PP_WRITE_MAX];
	t->nback = 1;
	start(REQUIRE NO_IDLE);
	size_t n = v2_of(v2, "2001:db8::7");
	is_heard_as(V1, strlen(V1), 1000, "10.1.2.3");
	is_heard_as(V1, strlen(V1), 1, "10.1.2.3");
	is_heard_as(v2, n, 1000, "2001:db8::7");
	is_heard_as(v2, n, 1, "2001:db8::7");
	is_metric("sdlab_proxy_headers_total", "of=\"client\"", 4);
	n = sd_pp_write_local(v2, 2);
	is_heard_as(v2, n, 5, "127.0.0.1");
	is_heard_as("PROXY UNKNOWN\r\n", 15, 4, "127.0.0.1");
	is_metric("sdlab_proxy_headers_total", "of=\"sender\"", 2);
	is_metric("sdlab_proxy_refused_total", "", 0);
	is_metric("sdlab_http_refused_total", "", 0);
}
END_TEST

/* Header and request in one packet. */
START_TEST(header_and_request)
{
	start(REQUIRE);
	struct peer *c = asks("PROXY TCP6 ::7 ::8 1 2\r\nGET /x HTTP/1.1\r\nHost: h\r\n\r\n"), *b = asked(A);
	ck_assert(peer_has(b, "X-Forwarded-For: ::7"));
	peer_free(b);
	peer_free(c);
}
END_TEST

static void refused(const char *bytes, size_t n, const char *reason)
{
	char part[64];
	snprintf(part, sizeof(part), "reason=\"%s\"", reason);
	double before = metric("sdlab_proxy_refused_total", part);
	struct peer *c = client();
	if (n)
		peer_send(c, bytes, n);
	peer_is_closed(c);
	ck_assert_uint_eq(c->n, 0);
	wait_metric("sdlab_proxy_refused_total", part, before + 1);
	peer_free(c);
}

START_TEST(refused_in_require)
{
	char v2[SD_PP_WRITE_MAX];
	start(REQUIRE "head-timeout: 60ms\n");
	size_t n = v2_of(v2, "10.1.2.3");
	refused(GET, strlen(GET), "missing");
	wait_said("Closed a connection from 127.0.0.1: PROXY header: it began with something else");
	refused("\r\n", 2, "timeout");
	refused("", 0, "timeout");
	refused("PROXY TCP4 10.0.0.1", 19, "timeout");
	refused(v2, n - 1, "timeout");
	refused("PROXY TCP4 10.0.0.1 10.0.0.2 1 99999\r\n", 38, "invalid");
	v2[n - 1] ^= 1;
	refused(v2, n, "invalid");
	/* half a header, then the end; and one who says nothing at all is no error */
	struct peer *c = asks("PROXY TC");
	peer_shut(c);
	peer_is_closed(c);
	peer_free(c);
	wait_metric("sdlab_proxy_refused_total", "reason=\"partial\"", 1);
	double sum = metric("sdlab_proxy_refused_total", "");
	c = client();
	peer_shut(c);
	peer_is_closed(c);
	peer_free(c);
	is_metric("sdlab_proxy_refused_total", "", sum);
	not_asked(A);
	not_asked(B);
}
END_TEST

static int times_said(const char *what)
{
	static char text[1 << 16];
	int times = 0;
	ssize_t n = pread(t->out, text, sizeof(text) - 1, 0);
	text[n > 0 ? n : 0] = '\0';
	for (const char *at = text; (at = strstr(at, what)); at++)
		times++;
	return times;
}

START_TEST(one_line_for_many)
{
	start(REQUIRE);
	for (int i = 0; i < 20; i++)
		refused("XXXXXXXXXXXXXXXX", 16, "missing");
	wait_said("Closed a connection from");
	ck_assert_int_eq(times_said("Closed a connection from"), 1);
	is_metric("sdlab_proxy_refused_total", "reason=\"missing\"", 20);
}
END_TEST

START_TEST(untrusted_senders)
{
	start("proxy-protocol: require\nproxy-from: [10.0.0.0/8, \"::1\"]\n");
	refused("", 0, "untrusted"); /* closed before it said anything */
	wait_said("PROXY header: it is not one of proxy-from");
}
END_TEST

START_TEST(untrusted_senders_in_accept)
{
	start("proxy-protocol: accept\nproxy-from: [10.0.0.0/8]\n");
	refused(V1, strlen(V1), "untrusted");
	/* without a header they are clients like any other */
	struct peer *c = asks(GET), *b = asked(A);
	ck_assert(peer_has(b, "X-Forwarded-For: 127.0.0.1"));
	answers(b, "hi");
	peer_answer(c, 200);
	is_metric("sdlab_proxy_plain_total", "", 1);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(accept_either)
{
	t->nback = 1;
	start(ACCEPT NO_IDLE "head-timeout: 60ms\nidle-timeout: 10s\n");
	is_heard_as(V1, strlen(V1), 1, "10.1.2.3");
	is_heard_as("", 0, 1, "127.0.0.1");
	/* what looks like one at first is not taken for one, byte by byte */
	static const char propfind[] = "PROPFIND /x HTTP/1.1\r\nHost: h\r\n\r\n";
	struct peer *c = client();
	for (size_t i = 0; i < sizeof(propfind) - 1; i++)
		peer_send(c, propfind + i, 1);
	struct peer *b = asked(A);
	ck_assert_msg(strncmp(b->head, "PROPFIND /x HTTP/1.1\r\n", 22) == 0, "%s", b->head);
	peer_free(b);
	peer_free(c);
	/* one that says nothing for a while goes on as it is */
	c = client();
	wait_metric("sdlab_proxy_plain_total", "", 3);
	peer_say(c, GET);
	b = asked(A);
	peer_free(b);
	peer_free(c);
	/* a broken one is refused all the same */
	refused("PROXY TCP9 1 2 3 4\r\n", 20, "invalid");
	refused("PROXY TCP4 1.", 13, "timeout");
}
END_TEST

/* Connections that wait for their header count against max-connections. */
START_TEST(waiting_headers_count)
{
	start(REQUIRE "max-connections: 2\nhead-timeout: 10s\n");
	struct peer *one = asks("PROXY"), *two = asks("PROXY"), *three = client();
	peer_say(three, V1);
	peer_say(three, GET);
	not_asked(A);
	peer_reset(one);
	struct peer *b = asked(A);
	ck_assert(peer_has(b, "X-Forwarded-For: 10.1.2.3"));
	peer_free(b);
	peer_free(one);
	peer_free(two);
	peer_free(three);
}
END_TEST

START_TEST(headers_in_tcp_mode)
{
	t->nback = 1;
	start("mode: tcp\n" REQUIRE "head-timeout: 60ms\n");
	struct peer *c = asks(V1 "hello"), *b = accept_at(A);
	peer_append_body(b, 5);
	ck_assert_str_eq(b->body, "hello");
	peer_say(b, "back");
	peer_append_body(c, 4);
	peer_free(b);
	peer_free(c);
	refused("hello, I am no header", 21, "missing");
	refused("PROXY TCP4", 10, "timeout");
	not_asked(A);
	wait_metric("sdlab_lb_tunnels", "", 0);
}
END_TEST

START_TEST(bad_options)
{
	static const struct {
		const char *extra, *error;
	} bad[] = {
	    {"proxy-protocol: require\n", "expected proxy-from to name who may send a header"},
	    {"proxy-protocol: accept\nproxy-from: []\n", "expected proxy-from to name who may send a header"},
	    {"proxy-from: [10.0.0.0/33]\n", "prefix length"},
	};
	struct sd_error e;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_text(bad[i].extra);
		ck_assert_int_eq(make_conf(&t->conf, &e), SD_OK);
		ck_assert_msg(sd_run_check(t->conf, &e) == SD_EINVAL, "%s was taken", bad[i].extra);
		ck_assert_msg(strstr(e.text, bad[i].error) && strstr(e.text, "lb.yaml:"), "%s", e.text);
		sd_conf_free(t->conf);
	}
	static const char *const upgrades[] = {"[h2c]", "[H2]", "[HTTP/2.0]", "[TLS/1.2]", "[\"web socket\"]", "[\"\"]",
					       "[abcdefghijklmnopqrstuvwxyzabcdefghijkl]"};
	for (size_t i = 0; i < sizeof(upgrades) / sizeof(upgrades[0]); i++) {
		char extra[128];
		snprintf(extra, sizeof(extra), "upgrades: %s\n", upgrades[i]);
		write_text(extra);
		t->conf = NULL;
		ck_assert_msg(make_conf(&t->conf, &e) == SD_EINVAL, "%s was taken", extra);
		ck_assert_msg(strstr(e.text, "upgrades"), "%s", e.text);
		sd_conf_free(t->conf);
	}
	t->conf = NULL;
	start("");
}
END_TEST

/* ---- PROXY headers out ---- */

/* Reads the header a backend got. */
static void said(struct peer *b, struct sd_pp_header *h)
{
	for (size_t n = 1;; n++) {
		peer_need(b, n);
		ssize_t r = sd_pp_parse(b->in, n, h);
		ck_assert_msg(r != SD_PP_BAD, "%s: %.*s", h->why, (int)b->n, b->in);
		if (r > 0) {
			peer_take(b, (size_t)r);
			return;
		}
	}
}

static void said_of(struct peer *b, int version, struct peer *c)
{
	struct sd_pp_header h;
	struct sockaddr_in from;
	socklen_t n = sizeof(from);
	ck_assert_int_eq(getsockname(c->fd, (struct sockaddr *)&from, &n), 0);
	said(b, &h);
	ck_assert_int_eq(h.version, version);
	ck_assert(!h.local && h.checked == (version == 2));
	ck_assert_uint_eq(h.from.port, ntohs(from.sin_port));
	ck_assert_uint_eq(h.to.port, t->run->addrs[0].port);
	ck_assert(memcmp(h.from.ip, "\x7f\0\0\1", 4) == 0 && memcmp(h.to.ip, "\x7f\0\0\1", 4) == 0);
}

START_TEST(headers_out)
{
	int version = _i;
	t->nback = 1;
	t->back[A].options = version == 1 ? ", send-proxy: v1" : ", send-proxy: v2";
	start("");
	/* each request on a connection of its own: one that is kept would speak for the wrong client */
	struct peer *one = client(), *two = client();
	for (int i = 0; i < 4; i++) {
		struct peer *c = i % 2 ? one : two;
		peer_say(c, i < 2 ? GET : POST);
		struct peer *b = accept_at(A);
		said_of(b, version, c);
		peer_request(b);
		answers(b, "hi");
		peer_answer(c, 200);
		peer_ends(b);
		peer_free(b);
	}
	peer_free(one);
	peer_free(two);
}
END_TEST

START_TEST(headers_out_in_tcp_mode)
{
	int version = _i;
	t->nback = 1;
	t->back[A].options = version == 1 ? ", send-proxy: v1" : ", send-proxy: v2";
	start("mode: tcp\n");
	/* before anybody said anything: the server may be the one who speaks first */
	struct peer *c = client(), *b = accept_at(A);
	said_of(b, version, c);
	peer_say(b, "220 hello");
	peer_append_body(c, 9);
	peer_say(c, "quit");
	peer_append_body(b, 4);
	ck_assert_str_eq(b->body, "quit");
	peer_free(b);
	peer_free(c);
}
END_TEST

/* What came in goes out: through two balancers the client is still the client. */
START_TEST(headers_passed_on)
{
	struct sd_pp_header h;
	char ip[46];
	t->nback = 1;
	t->back[A].options = ", send-proxy: v2";
	start(_i ? "mode: tcp\n" REQUIRE : REQUIRE);
	struct peer *c = asks(V1);
	peer_say(c, GET);
	struct peer *b = accept_at(A);
	said(b, &h);
	sd_peer_format(&h.from, ip);
	ck_assert_str_eq(ip, "10.1.2.3");
	ck_assert_uint_eq(h.from.port, 4711);
	sd_peer_format(&h.to, ip);
	ck_assert_str_eq(ip, "10.9.9.9");
	ck_assert_uint_eq(h.to.port, 443);
	peer_request(b);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(checks_speak_for_nobody)
{
	struct sd_pp_header h;
	t->nback = 1;
	t->back[A].options = ", send-proxy: v2";
	start(_i ? "mode: tcp\nhealth: {interval: 5ms}\n" : "health: {interval: 5ms}\n");
	struct peer *b = accept_at(A);
	said(b, &h);
	ck_assert(h.local && h.checked && h.version == 2);
	if (_i)
		peer_ends(b);
	else
		peer_request(b);
	peer_free(b);
}
END_TEST

/* A retry elsewhere begins with a header of its own. */
START_TEST(headers_of_retries)
{
	t->back[A].options = t->back[B].options = ", send-proxy: v1";
	start("");
	struct peer *c = asks(GET), *b = accept_at(A);
	said_of(b, 1, c);
	peer_request(b);
	peer_reset(b);
	peer_free(b);
	b = accept_at(B);
	said_of(b, 1, c);
	peer_request(b);
	answers(b, "hi");
	peer_answer(c, 200);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* ---- Forwarded ---- */

START_TEST(forwarded)
{
	static const char *const styles[] = {"x-forwarded", "forwarded", "both"};
	char extra[64], want[256];
	struct sockaddr_in from;
	socklen_t n = sizeof(from);
	snprintf(extra, sizeof(extra), "forwarded: %s\n", styles[_i]);
	start(extra);
	struct peer *c = asks("GET / HTTP/1.1\r\nHost: h:1\r\nForwarded: for=6.6.6.6\r\nX-Forwarded-For: 6.6.6.6\r\n\r\n");
	ck_assert_int_eq(getsockname(c->fd, (struct sockaddr *)&from, &n), 0);
	snprintf(want, sizeof(want), "Forwarded: for=\"127.0.0.1:%u\";proto=http;host=\"h:1\";by=_sdlab", ntohs(from.sin_port));
	struct peer *b = asked(A);
	ck_assert_int_eq(peer_has(b, "X-Forwarded-For: 127.0.0.1"), _i != 1);
	ck_assert_int_eq(peer_has(b, want), _i != 0);
	ck_assert_msg(!strstr(b->head, "6.6.6.6"), "%s", b->head);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* ---- tunnels of requests ---- */

#define OFFER(what)                                                                                          \
	"GET /chat HTTP/1.1\r\nHost: h\r\nConnection: keep-alive, Upgrade\r\nUpgrade: " what                 \
	"\r\nSec-WebSocket-Key: k\r\n\r\n"
#define SWITCH(to) "HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: " to "\r\nSec-WebSocket-Accept: a\r\n\r\n"

/* A WebSocket through the balancer: both ends of it. */
static void open_tunnel(struct peer **c, struct peer **b)
{
	*c = asks(OFFER("websocket"));
	*b = asked(A);
	ck_assert(peer_has(*b, "Connection: Upgrade") && peer_has(*b, "Upgrade: websocket"));
	peer_say(*b, SWITCH("websocket"));
	peer_answer(*c, 101);
}

static void both_ways(struct peer *c, struct peer *b)
{
	peer_say(c, "ping");
	b->body_n = c->body_n = 0;
	peer_append_body(b, 4);
	ck_assert_str_eq(b->body, "ping");
	peer_say(b, "pong!");
	peer_append_body(c, 5);
	ck_assert_str_eq(c->body, "pong!");
}

START_TEST(websocket)
{
	struct peer *c, *b;
	start("");
	open_tunnel(&c, &b);
	ck_assert(peer_has(c, "Connection: Upgrade") && peer_has(c, "Upgrade: websocket"));
	ck_assert(peer_has(c, "Sec-WebSocket-Accept: a") && peer_has(c, "Via: 1.1 sdlab"));
	ck_assert(!strstr(c->head, "Content-Length") && !strstr(c->head, "Transfer-Encoding"));
	both_ways(c, b);
	is_metric("sdlab_lb_tunnels", "", 1);
	is_metric("sdlab_lb_upgrades_total", "", 1);
	is_metric("sdlab_lb_backend_inflight", "", 1);
	is_metric("sdlab_http_connections", "", 1);
	is_metric("sdlab_lb_backend_answers_total", "1xx", 1);
	/* half-close: the backend still speaks when the client has no more to say */
	peer_shut(c);
	peer_ends(b);
	peer_say(b, "last words");
	peer_append_body(c, 10);
	peer_shut(b);
	peer_ends(c);
	wait_metric("sdlab_lb_tunnels", "", 0);
	is_metric("sdlab_lb_backend_inflight", "", 0);
	is_metric("sdlab_http_connections", "", 0);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* The backend says something right behind its head, the client right behind its request; on a connection used before. */
START_TEST(bytes_behind_the_heads)
{
	t->nback = 1;
	start("");
	struct peer *c = asks(GET), *b = asked(A);
	answers(b, "hi");
	peer_answer(c, 200);
	peer_say(c, OFFER("WebSocket") "from the client");
	peer_request(b);
	ck_assert(peer_has(b, "Upgrade: WebSocket"));
	peer_say(b, SWITCH("websocket") "from the backend");
	peer_answer(c, 101);
	peer_append_body(c, 16);
	ck_assert_str_eq(c->body + c->body_n - 16, "from the backend");
	b->body_n = 0;
	peer_append_body(b, 15);
	ck_assert_str_eq(b->body, "from the client");
	peer_reset(b);
	peer_is_cut(c);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(refused_by_the_backend)
{
	start("");
	struct peer *c = asks(OFFER("websocket")), *b = asked(A);
	peer_say(b, "HTTP/1.1 426 Upgrade Required\r\nSec-WebSocket-Version: 13\r\nContent-Length: 2\r\n\r\nno");
	ck_assert_str_eq(peer_answer(c, 426), "no");
	/* still HTTP: what follows is a request, and seen as one */
	peer_say(c, "GET /admin HTTP/1.1\r\nHost: h\r\nBad Field: 1\r\n\r\n");
	peer_answer(c, 400);
	is_metric("sdlab_lb_tunnels_total", "", 0);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* These are passed on as ordinary requests, without the offer; a 101 to them is an error. */
static const char *const not_upgraded[] = {
    OFFER("h2c"),
    OFFER("H2C"),
    OFFER("h2"),
    OFFER("HTTP/2.0"),
    OFFER("TLS/1.2"),
    OFFER("other"),
    "GET / HTTP/1.1\r\nHost: h\r\nUpgrade: websocket\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\n\r\n",
    "GET / HTTP/1.0\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "POST / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nContent-Length: 2\r\n\r\nhi",
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
    "GET / HTTP/1.1\r\nHost: h\r\nConnection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABk\r\n\r\n",
};

START_TEST(not_an_upgrade)
{
	t->nback = 1;
	start("");
	struct peer *c = asks(not_upgraded[_i]), *b = asked(A);
	ck_assert_msg(!strstr(b->head, "Upgrade") && !strstr(b->head, "HTTP2-Settings"), "%s", b->head);
	peer_say(b, SWITCH("websocket"));
	peer_answer(c, 502);
	is_metric("sdlab_lb_tunnels_total", "", 0);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* 101 must say the protocol that was offered. */
START_TEST(switched_to_something_else)
{
	static const char *const wrong[] = {
	    SWITCH("h2c"), SWITCH("websocket, h2c"), "HTTP/1.1 101 Yes\r\nConnection: Upgrade\r\n\r\n",
	    "HTTP/1.1 101 Yes\r\nUpgrade: websocket\r\n\r\n"};
	t->nback = 1;
	start("retries: 0\n");
	struct peer *c = asks(OFFER("websocket")), *b = asked(A);
	peer_say(b, wrong[_i]);
	peer_answer(c, 502);
	ck_assert_msg(strstr(c->body, "protocol that nobody asked for"), "%s", c->body);
	peer_is_closed(b);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(other_protocols)
{
	start(_i ? "upgrades: [any]\n" : "upgrades: [raw, websocket]\n");
	struct peer *c = asks("POST / HTTP/1.1\r\nHost: h\r\nConnection: upgrade\r\nUpgrade: h2c, raw\r\n\r\n"), *b = asked(A);
	ck_assert_msg(peer_has(b, "Upgrade: raw"), "%s", b->head);
	peer_say(b, SWITCH("raw"));
	peer_answer(c, 101);
	both_ways(c, b);
	peer_free(b);
	peer_free(c);
	/* and never one that carries requests */
	c = asks(OFFER("h2c"));
	b = asked(B);
	ck_assert_msg(!strstr(b->head, "Upgrade"), "%s", b->head);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(none_allowed)
{
	start("upgrades: []\n");
	struct peer *c = asks(OFFER("websocket")), *b = asked(A);
	ck_assert_msg(!strstr(b->head, "Upgrade"), "%s", b->head);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(connect_stays_refused)
{
	start("upgrades: [any]\n");
	struct peer *c = asks("CONNECT h:1 HTTP/1.1\r\nHost: h:1\r\n\r\n");
	peer_answer(c, 405);
	not_asked(A);
	peer_free(c);
}
END_TEST

/* A slow reader holds the other side back, and gets all of it. */
START_TEST(tunnel_back_pressure)
{
	/* far more than the kernel's own buffers grow to on the way, which is up to 33 MiB a socket */
	enum { CHUNK = 64 * 1024, LIMIT = 4096 };
	static char chunk[CHUNK];
	struct peer *c, *b;
	size_t put = 0;
	start("");
	open_tunnel(&c, &b);
	memset(chunk, 'x', sizeof(chunk));
	/* until nothing more is taken for a while */
	while (put < (size_t)CHUNK * LIMIT) {
		struct pollfd w = {.fd = b->fd, .events = POLLOUT};
		if (poll(&w, 1, 100) != 1)
			break;
		ssize_t n = peer_send_some(b, chunk, sizeof(chunk));
		ck_assert_int_ge(n, 0);
		put += (size_t)n;
	}
	ck_assert_msg(put < (size_t)CHUNK * LIMIT, "256 MiB were taken for a client that reads nothing");
	peer_shut(b);
	size_t got = 0;
	while (peer_fill(c, RIG_WAIT_MS) || c->n) {
		got += c->n;
		c->n = 0;
	}
	ck_assert_uint_eq(got, put);
	ck_assert(c->eof);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* Bytes of a large flow, each at its place, that a slow reader takes in uneven pieces. */
static void large_flow(struct peer *from, struct peer *to, size_t total)
{
	static unsigned char chunk[100000];
	size_t put = 0, got = 0;
	while (got < total) {
		size_t n = total - put < sizeof(chunk) ? total - put : sizeof(chunk);
		for (size_t i = 0; i < n; i++)
			chunk[i] = (unsigned char)((put + i) * 7 >> 3);
		ssize_t took = n ? peer_send_some(from, chunk, n) : 0;
		ck_assert_int_ge(took, 0);
		put += (size_t)took;
		if (took == 0 || put == total)
			peer_need(to, 1);
		size_t wrong = 0;
		for (size_t i = 0; i < to->n; i++)
			wrong += (unsigned char)to->in[i] != (unsigned char)((got + i) * 7 >> 3);
		ck_assert_msg(wrong == 0, "%zu bytes are not what they should be after byte %zu", wrong, got);
		got += to->n;
		to->n = 0;
	}
}

/* Large flows go over to the kernel; order, half-close and what is said the other way stay as they are. */
START_TEST(spliced)
{
	struct peer *c, *b;
	start("mode: tcp\n");
	c = client();
	b = accept_at(A);
	both_ways(c, b);
	is_metric("sdlab_lb_spliced_total", "", 0);
	large_flow(c, b, 8 << 20);
	wait_metric("sdlab_lb_spliced_total", "", 1);
	both_ways(c, b);
	large_flow(b, c, 8 << 20);
	wait_metric("sdlab_lb_spliced_total", "", 2);
	both_ways(c, b);
	peer_shut(c);
	peer_ends(b);
	large_flow(b, c, 1 << 20);
	peer_shut(b);
	peer_ends(c);
	wait_metric("sdlab_lb_tunnels", "", 0);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* One side breaks while bytes are on their way in the kernel. */
START_TEST(spliced_and_cut)
{
	static char chunk[100000];
	struct peer *c, *b;
	t->nback = 1;
	start("mode: tcp\n");
	for (int round = 0; round < 8; round++) {
		c = client();
		b = accept_at(A);
		struct peer *from = round & 1 ? c : b, *to = round & 1 ? b : c;
		/* until nothing more is taken: sockets and pipe are full */
		for (struct pollfd w = {.fd = from->fd, .events = POLLOUT}; poll(&w, 1, 50) == 1;)
			ck_assert_int_ge(peer_send_some(from, chunk, sizeof(chunk)), 0);
		peer_reset(round & 2 ? from : to);
		peer_is_closed(round & 2 ? to : from);
		peer_free(b);
		peer_free(c);
		wait_metric("sdlab_lb_tunnels", "", 0);
	}
	ck_assert(metric("sdlab_lb_spliced_total", "") >= 8);
	/* what is said afterwards on others is nothing of theirs */
	c = client();
	b = accept_at(A);
	large_flow(c, b, 1 << 20);
	large_flow(b, c, 1 << 20);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(tunnel_idle_too_long)
{
	struct peer *c, *b;
	start("tunnel-timeout: 60ms\n");
	open_tunnel(&c, &b);
	peer_is_cut(c);
	peer_is_cut(b);
	is_metric("sdlab_lb_tunnel_timeouts_total", "", 1);
	wait_metric("sdlab_lb_tunnels", "", 0);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(tunnel_over_reloads)
{
	struct peer *c, *b;
	start("");
	open_tunnel(&c, &b);
	for (int i = 0; i < 10; i++) {
		admin("POST", "/-/reload", 200);
		both_ways(c, b);
	}
	/* its backend leaves the configuration; the tunnel stays */
	t->back[A].port = t->back[B].port;
	t->nback = 1;
	write_text("");
	admin("POST", "/-/reload", 200);
	both_ways(c, b);
	is_metric("sdlab_lb_tunnels", "", 1);
	peer_shut(c);
	peer_shut(b);
	peer_ends(c);
	peer_ends(b);
	wait_metric("sdlab_lb_tunnels", "", 0);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(tunnel_is_drained)
{
	struct peer *c, *b;
	start("drain-timeout: 10s\n");
	open_tunnel(&c, &b);
	rig_call(&t->rig, begin_drain, NULL);
	both_ways(c, b);
	ck_assert(!SEEN(&t->rig, t->drained));
	peer_shut(c);
	peer_shut(b);
	rig_wait(&t->rig, "the drain to end", is_drained, NULL);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(tunnel_drained_too_long)
{
	struct peer *c, *b;
	start("drain-timeout: 60ms\n");
	open_tunnel(&c, &b);
	rig_call(&t->rig, begin_drain, NULL);
	rig_wait(&t->rig, "the drain to end", is_drained, NULL);
	both_ways(c, b); /* until it is told to stop */
	halt();
	peer_is_closed(c);
	peer_is_closed(b);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* They count against max-connections, of the listener and of the backend. */
START_TEST(tunnels_count)
{
	struct peer *c, *b;
	t->nback = 1;
	t->back[A].options = ", max-connections: 1";
	start("max-connections: 2\nqueue: {timeout: 60ms}\n" NO_IDLE);
	open_tunnel(&c, &b);
	struct peer *second = asks(GET);
	peer_answer(second, 503);
	struct peer *third = asks(GET); /* waits in the kernel's queue */
	peer_is_quiet(third);
	peer_reset(c);
	peer_is_closed(b);
	serve(A, "hi");
	peer_answer(third, 200);
	peer_free(third);
	peer_free(second);
	peer_free(b);
	peer_free(c);
}
END_TEST

#define TESTS(...) ((const TTest *const[]){__VA_ARGS__, NULL})

static TCase *make(const char *name, const TTest *const *tests)
{
	TCase *c = tcase_create(name);
	tcase_add_checked_fixture(c, setup, teardown);
	for (; *tests; tests++)
		tcase_add_test(c, *tests);
	return c;
}

int main(void)
{
	TCase *in = make("proxy_in", TESTS(headers_in, header_and_request, refused_in_require, one_line_for_many,
					   untrusted_senders, untrusted_senders_in_accept, accept_either, waiting_headers_count, headers_in_tcp_mode,
					   bad_options));
	TCase *out = make("proxy_out", TESTS(headers_of_retries));
	tcase_add_loop_test(out, headers_out, 1, 3);
	tcase_add_loop_test(out, headers_out_in_tcp_mode, 1, 3);
	tcase_add_loop_test(out, headers_passed_on, 0, 2);
	tcase_add_loop_test(out, checks_speak_for_nobody, 0, 2);
	tcase_add_loop_test(out, forwarded, 0, 3);
	TCase *tunnels = make("tunnels", TESTS(websocket, bytes_behind_the_heads, refused_by_the_backend, none_allowed,
					       connect_stays_refused, tunnel_back_pressure, spliced, spliced_and_cut, tunnel_idle_too_long,
					       tunnel_over_reloads, tunnel_is_drained, tunnel_drained_too_long,
					       tunnels_count));
	tcase_add_loop_test(tunnels, not_an_upgrade, 0, sizeof(not_upgraded) / sizeof(not_upgraded[0]));
	tcase_add_loop_test(tunnels, switched_to_something_else, 0, 4);
	tcase_add_loop_test(tunnels, other_protocols, 0, 2);
	TCase *cases[] = {in, out, tunnels};
	return rig_main_of(cases, 3, "lb_proxy");
}
