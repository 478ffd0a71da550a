/* The load balancer as it runs, between raw clients and raw backends that do what a script says.
 *
 * Most tests are one script on one thread: the client sends, the backend that must be asked accepts, reads, answers or
 * misbehaves, and the client reads what became of it.
 */
#include "lb_rig.h"

static double failures(int i, const char *reason)
{
	char part[64];
	snprintf(part, sizeof(part), "backend=\"%c\",reason=\"%s\"", 'a' + i, reason);
	return metric("sdlab_lb_backend_failures_total", part);
}

/* ---- what passes through ---- */

START_TEST(heads)
{
	start("");
	struct peer *c = asks("GET /p?q=1 HTTP/1.1\r\nHost: example.org:99\r\nX-Forwarded-For: 6.6.6.6\r\n"
			      "X-Forwarded-Proto: https\r\nX-Forwarded-Host: evil\r\nForwarded: for=6.6.6.6\r\n"
			      "Connection: keep-alive, X-Hop\r\nX-Hop: 1\r\nKeep-Alive: timeout=5\r\nTE: trailers\r\n"
			      "Proxy-Connection: keep-alive\r\nUpgrade: h2c\r\nVia: 1.0 other\r\nX-Kept: yes\r\n\r\n");
	struct peer *b = asked(A);
	ck_assert_msg(strncmp(b->head, "GET /p?q=1 HTTP/1.1\r\n", 21) == 0, "%s", b->head);
	ck_assert(peer_has(b, "Host: example.org:99"));
	ck_assert(peer_has(b, "X-Forwarded-For: 127.0.0.1"));
	ck_assert(peer_has(b, "X-Forwarded-Proto: http"));
	ck_assert(peer_has(b, "X-Forwarded-Host: example.org:99"));
	ck_assert(peer_has(b, "Via: 1.0 other"));
	ck_assert(peer_has(b, "Via: 1.1 sdlab"));
	ck_assert(peer_has(b, "X-Kept: yes"));
	ck_assert_msg(!strstr(b->head, "6.6.6.6") && !strstr(b->head, "evil") && !strstr(b->head, "https"), "%s", b->head);
	ck_assert_msg(!strstr(b->head, "X-Hop") && !strstr(b->head, "Keep-Alive") && !strstr(b->head, "TE:") &&
			  !strstr(b->head, "Upgrade") && !strstr(b->head, "onnection:"),
		      "%s", b->head);
	peer_say(b, "HTTP/1.1 200 Very Well\r\nContent-Length: 2\r\nConnection: keep-alive, X-Back\r\nX-Back: 1\r\n"
		    "Keep-Alive: max=3\r\nX-Kept: yes\r\nSet-Cookie: a=1\r\nSet-Cookie: b=2\r\n\r\nhi");
	ck_assert_str_eq(peer_answer(c, 200), "hi");
	ck_assert_msg(strncmp(c->head, "HTTP/1.1 200 Very Well\r\n", 24) == 0, "%s", c->head);
	ck_assert(peer_has(c, "Set-Cookie: a=1") && peer_has(c, "Set-Cookie: b=2") && peer_has(c, "X-Kept: yes"));
	ck_assert(peer_has(c, "Via: 1.1 sdlab"));
	ck_assert_ptr_nonnull(strstr(c->head, "\r\nDate: "));
	ck_assert_msg(!strstr(c->head, "X-Back") && !strstr(c->head, "Keep-Alive") && !strstr(c->head, "Connection"), "%s",
		      c->head);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(date_is_not_doubled)
{
	start("");
	struct peer *c = asks(GET), *b = asked(A);
	peer_say(b, "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nContent-Length: 0\r\n\r\n");
	peer_answer(c, 200);
	const char *date = strstr(c->head, "\r\nDate: ");
	ck_assert_ptr_nonnull(date);
	ck_assert_ptr_null(strstr(date + 4, "\r\nDate: "));
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(trusted_proxy)
{
	start("trusted-proxies: [127.0.0.0/8]\n");
	struct peer *c = asks("GET / HTTP/1.1\r\nHost: h\r\nX-Forwarded-For: 1.2.3.4, 5.6.7.8\r\n"
			      "X-Forwarded-Proto: https\r\nX-Forwarded-Host: outside\r\nForwarded: for=1.2.3.4\r\n\r\n");
	struct peer *b = asked(A);
	ck_assert(peer_has(b, "X-Forwarded-For: 1.2.3.4, 5.6.7.8, 127.0.0.1"));
	ck_assert(peer_has(b, "X-Forwarded-Proto: https"));
	ck_assert(peer_has(b, "X-Forwarded-Host: outside"));
	ck_assert(peer_has(b, "Forwarded: for=1.2.3.4"));
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(absolute_form)
{
	start("");
	struct peer *c = asks("GET http://real.example/p?q HTTP/1.1\r\nHost: other\r\n\r\n");
	struct peer *b = asked(A);
	ck_assert_msg(strncmp(b->head, "GET /p?q HTTP/1.1\r\nHost: real.example\r\n", 39) == 0, "%s", b->head);
	ck_assert(!peer_has(b, "Host: other"));
	peer_free(b);
	peer_free(c);
	c = asks("CONNECT h:443 HTTP/1.1\r\nHost: h:443\r\n\r\n");
	peer_answer(c, 405);
	ck_assert(peer_has(c, "Allow:")); /* RFC 9110 section 15.5.6; an authority takes none at all */
	peer_free(c);
}
END_TEST

START_TEST(last_hop)
{
	start("");
	struct peer *c = asks("OPTIONS / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n");
	ck_assert_ptr_nonnull(strstr(peer_answer(c, 200), "Max-Forwards is 0"));
	peer_say(c, "TRACE / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 0\r\n\r\n");
	peer_answer(c, 501);
	peer_say(c, "OPTIONS / HTTP/1.1\r\nHost: h\r\nMax-Forwards: 1\r\n\r\n");
	struct peer *b = asked(A); /* the first that it hears of any */
	ck_assert(peer_has(b, "Max-Forwards: 0"));
	answers(b, "here");
	ck_assert_str_eq(peer_answer(c, 200), "here");
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(takes_turns)
{
	t->nback = 3;
	t->back[B].options = ", weight: 2";
	start(NO_IDLE);
	static const int turns[] = {B, A, C, B, B, A, C, B};
	for (size_t i = 0; i < sizeof(turns) / sizeof(turns[0]); i++) {
		struct peer *c = asks(GET);
		serve(turns[i], "x");
		peer_answer(c, 200);
		peer_free(c);
	}
}
END_TEST

START_TEST(connections_are_kept)
{
	t->nback = 1;
	start("");
	struct peer *c = asks(GET), *b = asked(A);
	for (int i = 0; i < 5; i++) {
		answers(b, "again");
		ck_assert_str_eq(peer_answer(c, 200), "again");
		peer_say(c, POST);
		peer_request(b);
		ck_assert_str_eq(b->body, "hello");
	}
	not_asked(A);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* ---- bodies ---- */

START_TEST(chunked_is_framed_anew)
{
	start("");
	struct peer *c = asks("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n3;ext=1\r\nabc\r\n");
	struct peer *b = accept_at(A);
	peer_head(b);
	ck_assert(peer_has(b, "Transfer-Encoding: chunked"));
	ck_assert_ptr_null(strstr(b->head, "Content-Length"));
	peer_need(b, 8);
	ck_assert_int_eq(memcmp(b->in, "3\r\nabc\r\n", 8), 0);
	peer_say(c, "4\r\ndefg\r\n0\r\nX-Trailer: 1\r\n\r\n");
	peer_body(b);
	ck_assert_str_eq(b->body, "abcdefg");
	ck_assert_uint_eq(b->n, 0);
	peer_say(b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n");
	peer_head(c);
	ck_assert(peer_has(c, "Transfer-Encoding: chunked"));
	peer_say(b, "1;x\r\n!\r\n0\r\n\r\n");
	peer_body(c);
	ck_assert_str_eq(c->body, "hi!");
	peer_say(c, GET);
	peer_free(b);
	b = asked(B);
	answers(b, "next");
	ck_assert_str_eq(peer_answer(c, 200), "next");
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(chunked_answer_to_http_1_0)
{
	start("");
	struct peer *c = asks("GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	struct peer *b = asked(A);
	ck_assert(peer_has(b, "Via: 1.0 sdlab"));
	ck_assert(peer_has(b, "Host: localhost"));
	peer_say(b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhi\r\n1\r\n!\r\n0\r\n\r\n");
	peer_head(c);
	ck_assert(peer_has(c, "Connection: close"));
	ck_assert_ptr_null(strstr(c->head, "chunked"));
	peer_append_body(c, 3);
	ck_assert_str_eq(c->body, "hi!");
	peer_ends(c);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(answers_without_a_body)
{
	t->nback = 1;
	start("");
	struct peer *c = asks("HEAD / HTTP/1.1\r\nHost: h\r\n\r\n"), *b = asked(A);
	peer_say(b, "HTTP/1.1 200 OK\r\nContent-Length: 1234\r\n\r\n");
	peer_head(c);
	ck_assert(peer_has(c, "Content-Length: 1234"));
	static const char *const statuses[] = {"204 No Content\r\n", "304 Not Modified\r\nContent-Length: 99\r\n"};
	for (int i = 0; i < 2; i++) {
		char text[128];
		peer_say(c, GET);
		peer_request(b);
		snprintf(text, sizeof(text), "HTTP/1.1 %s\r\n", statuses[i]);
		peer_say(b, text);
		peer_head(c);
		ck_assert_int_eq(peer_status(c), i ? 304 : 204);
		ck_assert_int_eq(strstr(c->head, "Content-Length") != NULL, i);
	}
	peer_say(c, GET);
	peer_request(b);
	answers(b, "still in step");
	ck_assert_str_eq(peer_answer(c, 200), "still in step");
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(answer_until_the_end)
{
	start("");
	struct peer *c = asks(GET), *b = asked(A);
	peer_say(b, "HTTP/1.0 200 OK\r\n\r\nall ");
	peer_head(c);
	ck_assert(peer_has(c, "Transfer-Encoding: chunked"));
	ck_assert(peer_has(c, "Via: 1.0 sdlab"));
	peer_say(b, "of it");
	peer_close(b);
	peer_body(c);
	ck_assert_str_eq(c->body, "all of it");
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(interim_answers)
{
	t->nback = 1;
	start("");
	struct peer *c = asks("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
	struct peer *b = accept_at(A);
	peer_head(b);
	ck_assert(peer_has(b, "Expect: 100-continue"));
	peer_is_quiet(c); /* the backend decides */
	peer_say(b, "HTTP/1.1 100 Continue\r\n\r\n");
	peer_answer(c, 100);
	peer_say(c, "hello");
	peer_body(b);
	ck_assert_str_eq(b->body, "hello");
	peer_say(b, "HTTP/1.1 103 Early Hints\r\nLink: </a>\r\nConnection: X\r\nX: 1\r\n\r\n");
	peer_answer(c, 103);
	ck_assert(peer_has(c, "Link: </a>"));
	ck_assert_ptr_null(strstr(c->head, "X: 1"));
	answers(b, "done");
	ck_assert_str_eq(peer_answer(c, 200), "done");
	/* unasked 100s are for the balancer only */
	peer_say(c, GET);
	peer_request(b);
	peer_say(b, "HTTP/1.1 100 Continue\r\n\r\n");
	answers(b, "done");
	ck_assert_str_eq(peer_answer(c, 200), "done");
	peer_free(c);
	c = asks("GET / HTTP/1.0\r\n\r\n");
	peer_request(b);
	peer_say(b, "HTTP/1.1 103 Early Hints\r\n\r\n");
	answers(b, "old");
	ck_assert_str_eq(peer_answer(c, 200), "old");
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(body_refused_by_the_backend)
{
	start("");
	struct peer *c = asks("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\n");
	struct peer *b = accept_at(A);
	peer_head(b);
	peer_say(b, "HTTP/1.1 403 Forbidden\r\nContent-Length: 2\r\n\r\nno");
	ck_assert_str_eq(peer_answer(c, 403), "no");
	peer_ends(c);
	peer_is_closed(b);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* The backend answers, reads no more and closes: what it said must reach the client, who is still sending. */
START_TEST(answered_before_the_body_was_sent)
{
	enum { PIECE = 1 << 16 };
	char *body = calloc(1, PIECE);
	start("");
	for (int round = 0; round < 10; round++) {
		struct peer *c = asks("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000000\r\n\r\n");
		struct peer *b = accept_at(round % 2 ? B : A);
		peer_head(b);
		for (int i = 0; i < 8; i++)
			peer_send_some(c, body, PIECE);
		peer_need(b, 1000);
		peer_say(b, "HTTP/1.1 413 Too Much\r\nContent-Length: 4\r\nConnection: close\r\n\r\nmuch");
		peer_close(b); /* with unread bytes: a reset */
		peer_head(c);
		ck_assert_int_eq(peer_status(c), 413);
		peer_body(c);
		ck_assert_str_eq(c->body, "much");
		peer_free(b);
		peer_free(c);
	}
	is_metric("sdlab_lb_backend_failures_total", "", 0);
	free(body);
}
END_TEST

START_TEST(answered_before_a_small_body_was_sent)
{
	start("");
	struct peer *c = asks("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhe"), *b = accept_at(A);
	peer_head(b);
	peer_say(b, "HTTP/1.1 403 No\r\nContent-Length: 2\r\n\r\nno");
	ck_assert_str_eq(peer_answer(c, 403), "no");
	peer_say(c, "llo");
	peer_say(c, GET);
	peer_free(b);
	b = asked(B);
	answers(b, "yes");
	ck_assert_str_eq(peer_answer(c, 200), "yes");
	peer_free(b);
	peer_free(c);
}
END_TEST

/* ---- backends that fail ---- */

/* A backend where nobody listens: anything may go elsewhere, since nothing was sent. */
START_TEST(refused)
{
	stop_listening(A);
	start(NO_IDLE);
	struct peer *c = asks(GET);
	serve(B, "from b");
	ck_assert_str_eq(peer_answer(c, 200), "from b");
	is_metric("sdlab_lb_retries_total", "", 1);
	ck_assert(failures(A, "refused") == 1);
	is_metric("sdlab_lb_backend_retried_total", "backend=\"a\"", 1);
	/* b's turn, then a's again, with a body */
	peer_say(c, GET);
	serve(B, "b");
	peer_answer(c, 200);
	peer_say(c, POST);
	struct peer *b = asked(B);
	ck_assert_str_eq(b->body, "hello");
	answers(b, "posted");
	ck_assert_str_eq(peer_answer(c, 200), "posted");
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(refused_without_retries)
{
	stop_listening(A);
	start(NO_IDLE "retries: 0\n");
	struct peer *c = asks(GET);
	ck_assert_ptr_nonnull(strstr(peer_answer(c, 502), "refused"));
	not_asked(B);
	is_metric("sdlab_lb_retries_total", "", 0);
	peer_free(c);
}
END_TEST

START_TEST(all_refused)
{
	stop_listening(A);
	stop_listening(B);
	start("retries: 5\n");
	struct peer *c = asks(GET);
	ck_assert_str_eq(peer_answer(c, 502), "502 Bad Gateway: the backend failed and no other is left\n");
	peer_say(c, GET);
	peer_answer(c, 502);
	ck_assert(failures(A, "refused") == 2 && failures(B, "refused") == 2);
	peer_free(c);
}
END_TEST

static void talks_garbage(struct peer *b)
{
	peer_say(b, "SSH-2.0-OpenSSH_9.2\r\n\r\n");
	peer_close(b);
}

static void says_nothing(struct peer *b)
{
	peer_close(b);
}

static void dies(struct peer *b)
{
	peer_reset(b);
}

static void begins_a_head(struct peer *b)
{
	peer_say(b, "HTTP/1.1 200 OK\r\nContent-");
	peer_close(b);
}

static void bends_the_framing(struct peer *b)
{
	peer_say(b, "HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!");
	peer_close(b);
}

static void bends_a_chunk(struct peer *b)
{
	peer_say(b, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n0x5\r\n");
	peer_close(b);
}

static void switches_protocols(struct peer *b)
{
	peer_say(b, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\n");
	peer_close(b);
}

static const struct {
	void (*misbehave)(struct peer *b);
	const char *reason;
} faults[] = {
    {talks_garbage, "garbage"}, {says_nothing, "broken"},       {dies, "broken"},
    {begins_a_head, "broken"},  {bends_the_framing, "garbage"}, {switches_protocols, "garbage"},
    {bends_a_chunk, "garbage"},
};
enum { NFAULTS = sizeof(faults) / sizeof(faults[0]) };

/* Killed under a request before a byte of an answer: a reader notices nothing. */
START_TEST(idempotent_requests_go_elsewhere)
{
	start(NO_IDLE);
	struct peer *c = asks(GET), *b = asked(A);
	faults[_i].misbehave(b);
	peer_free(b);
	serve(B, "from b");
	ck_assert_str_eq(peer_answer(c, 200), "from b");
	is_metric("sdlab_lb_retries_total", "", 1);
	ck_assert(failures(A, faults[_i].reason) == 1);
	peer_free(c);
}
END_TEST

/* What that is worth: without retries the same is an error that the client sees. */
START_TEST(idempotent_requests_without_retries)
{
	start(NO_IDLE "retries: 0\n");
	struct peer *c = asks(GET), *b = asked(A);
	faults[_i].misbehave(b);
	peer_free(b);
	peer_answer(c, 502);
	not_asked(B);
	ck_assert(failures(A, faults[_i].reason) == 1);
	peer_say(c, GET); /* and the connection goes on */
	serve(B, "b");
	peer_answer(c, 200);
	peer_free(c);
}
END_TEST

/* It may have been done already. */
START_TEST(others_do_not)
{
	start(NO_IDLE);
	struct peer *c = asks(POST), *b = asked(A);
	faults[_i].misbehave(b);
	peer_free(b);
	peer_answer(c, 502);
	not_asked(B);
	is_metric("sdlab_lb_retries_total", "", 0);
	peer_free(c);
}
END_TEST

static const char *const halves[][2] = {
    {"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf", ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", ""},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", "nonsense\r\n"},
};

/* Once something went to the client, only a cut connection says that the rest is missing. */
START_TEST(half_an_answer)
{
	start(NO_IDLE);
	struct peer *c = asks(_i % 2 ? "GET / HTTP/1.0\r\n\r\n" : GET), *b = asked(A);
	peer_say(b, halves[_i / 2][0]);
	peer_head(c);
	peer_say(b, halves[_i / 2][1]);
	peer_close(b);
	peer_is_cut(c);
	not_asked(B);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(half_an_answer_until_the_end)
{
	start(NO_IDLE);
	struct peer *c = asks("GET / HTTP/1.0\r\n\r\n"), *b = asked(A);
	peer_say(b, "HTTP/1.1 200 OK\r\n\r\nhalf");
	peer_head(c);
	peer_need(c, 4);
	peer_reset(b);
	peer_is_cut(c);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(never_answers)
{
	start(NO_IDLE "answer-timeout: 80ms\n");
	struct peer *c = asks(GET), *b = asked(A);
	ck_assert_str_eq(peer_answer(c, 504), "504 Gateway Timeout: no answer in time\n");
	peer_is_closed(b);
	not_asked(B);
	ck_assert(failures(A, "timeout") == 1);
	peer_free(b);
	peer_say(c, GET);
	b = asked(B);
	peer_say(b, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
	peer_head(c);
	peer_is_cut(c);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* Nor does it read: the request cannot even be sent. */
START_TEST(never_reads)
{
	enum { PIECE = 1 << 16 };
	char *body = calloc(1, PIECE);
	int small = 4096;
	setsockopt(t->back[A].fd, SOL_SOCKET, SO_RCVBUF, &small, sizeof(small));
	start(NO_IDLE "answer-timeout: 80ms\n");
	struct peer *c = asks("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1000000000\r\n\r\n"), *b = accept_at(A);
	int64_t end = rig_now_ns() + RIG_WAIT_MS * MS;
	while (!rig_readable(c->fd, 0)) {
		peer_send_some(c, body, PIECE);
		ck_assert_msg(rig_now_ns() < end, "the balancer waits for ever");
		poll(NULL, 0, 1);
	}
	peer_answer(c, 504);
	ck_assert(failures(A, "timeout") == 1);
	free(body);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* A backend whose queue of connections is full does not refuse: connecting takes too long, and goes elsewhere. */
static void fill_queue(int i, int *fds, int n)
{
	struct sockaddr_in a = rig_sockaddr(t->back[i].port);
	listen(t->back[i].fd, 0);
	for (int k = 0; k < n; k++) {
		fds[k] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(fds[k], (struct sockaddr *)&a, sizeof(a));
	}
	struct pollfd last = {.fd = fds[n - 1], .events = POLLOUT};
	ck_assert_msg(poll(&last, 1, 50) == 0, "the queue takes more than it should");
}

START_TEST(connecting_takes_too_long)
{
	int fds[4];
	fill_queue(A, fds, 4);
	start(NO_IDLE "connect-timeout: 80ms\n");
	struct peer *c = asks(POST), *b = asked(B);
	ck_assert_str_eq(b->body, "hello");
	answers(b, "from b");
	ck_assert_str_eq(peer_answer(c, 200), "from b");
	ck_assert(failures(A, "timeout") == 1);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* The body filled the backlog of the one that did not connect and is paused for it; the next takes all at once, and the
 * rest must follow. */
START_TEST(paused_for_one_that_failed)
{
	enum { BODY = 66500 };
	int fds[4];
	char head[128], *body = malloc(BODY);
	memset(body, 'z', BODY);
	start("connect-timeout: 80ms\n");
	struct peer *c = asks(GET), *a = asked(A), *b;
	peer_say(a, "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
	peer_answer(c, 200);
	peer_free(a);
	peer_say(c, GET);
	b = asked(B);
	answers(b, "kept");
	peer_answer(c, 200);
	fill_queue(A, fds, 4);
	snprintf(head, sizeof(head), "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n", BODY);
	peer_say(c, head);
	peer_send(c, body, BODY);
	peer_request(b);
	ck_assert_uint_eq(b->body_n, BODY);
	answers(b, "all of it");
	ck_assert_str_eq(peer_answer(c, 200), "all of it");
	for (int i = 0; i < 4; i++)
		close(fds[i]);
	free(body);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* The body is sent again as long as it is still at hand. */
static void put(size_t n, bool again)
{
	char head[128], *body = malloc(n);
	for (size_t i = 0; i < n; i++)
		body[i] = (char)('a' + i % 19);
	snprintf(head, sizeof(head), "PUT / HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n\r\n", n);
	struct peer *c = asks(head), *b;
	peer_send(c, body, n);
	b = asked(A);
	peer_close(b);
	if (again) {
		peer_free(b);
		b = asked(B);
		ck_assert_uint_eq(b->body_n, n);
		ck_assert_int_eq(memcmp(b->body, body, n), 0);
		answers(b, "b");
		peer_answer(c, 200);
	} else {
		peer_answer(c, 502);
		not_asked(B);
	}
	free(body);
	peer_free(b);
	peer_free(c);
}

START_TEST(body_is_sent_again)
{
	start(NO_IDLE "retry-buffer: 64KiB\n");
	put(60000, true);
}
END_TEST

START_TEST(body_is_too_large_to_be_sent_again)
{
	start(NO_IDLE "retry-buffer: 64KiB\n");
	put(80000, false);
}
END_TEST

/* ---- connections that had been idle ---- */

/* Closed by the backend just when it is used: the same backend on a new connection; nobody failed. */
START_TEST(stale_connection)
{
	t->nback = 1;
	start("retries: 0\n");
	struct peer *c = asks(GET), *b = asked(A);
	answers(b, "one");
	peer_answer(c, 200);
	peer_say(c, GET);
	peer_request(b);
	peer_close(b);
	peer_free(b);
	b = asked(A);
	answers(b, "two");
	ck_assert_str_eq(peer_answer(c, 200), "two");
	is_metric("sdlab_lb_stale_connections_total", "", 1);
	is_metric("sdlab_lb_retries_total", "", 0);
	is_metric("sdlab_lb_backend_failures_total", "", 0);
	/* not for a request that may have been done, */
	peer_say(c, POST);
	peer_request(b);
	peer_close(b);
	peer_answer(c, 502);
	peer_free(b);
	/* and only once: a new connection that is closed as well is a failure */
	peer_say(c, GET);
	b = asked(A);
	peer_close(b);
	peer_answer(c, 502);
	is_metric("sdlab_lb_stale_connections_total", "", 1);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(closed_while_idle)
{
	t->nback = 1;
	start("retries: 0\n");
	struct peer *c = asks(GET);
	for (int i = 0; i < 20; i++) {
		struct peer *b = asked(A);
		answers(b, "x");
		peer_answer(c, 200);
		peer_close(b);
		peer_free(b);
		peer_say(c, GET);
	}
	is_metric("sdlab_lb_backend_failures_total", "", 0);
	peer_free(c);
}
END_TEST

/* Bytes that nobody asked for must not be taken for the next answer. */
START_TEST(surplus_bytes)
{
	t->nback = 1;
	start("");
	struct peer *c = asks(GET), *b = asked(A);
	peer_say(b, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhiHTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nevil");
	ck_assert_str_eq(peer_answer(c, 200), "hi");
	peer_is_closed(b);
	peer_free(b);
	peer_say(c, GET);
	b = asked(A);
	answers(b, "good");
	ck_assert_str_eq(peer_answer(c, 200), "good");
	peer_free(b);
	peer_free(c);
}
END_TEST

/* ---- limits and the queue ---- */

START_TEST(queue_in_order)
{
	t->nback = 1;
	t->back[A].options = ", max-connections: 1";
	start("");
	struct peer *c[4], *b;
	char text[64];
	for (int i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "GET /%d HTTP/1.1\r\nHost: h\r\n\r\n", i);
		c[i] = asks(text);
		wait_metric("sdlab_lb_queue_length", "", i);
	}
	b = asked(A);
	for (int i = 0; i < 4; i++) {
		snprintf(text, sizeof(text), "GET /%d HTTP", i);
		ck_assert_msg(strncmp(b->head, text, strlen(text)) == 0, "%s", b->head);
		not_asked(A);
		answers(b, "x");
		peer_answer(c[i], 200);
		if (i < 3)
			peer_request(b);
	}
	is_metric("sdlab_lb_queue_timeouts_total", "", 0);
	for (int i = 0; i < 4; i++)
		peer_free(c[i]);
	peer_free(b);
}
END_TEST

START_TEST(queue_takes_too_long)
{
	t->nback = 1;
	t->back[A].options = ", max-connections: 1";
	start("queue: {timeout: 60ms, size: 1}\n");
	struct peer *first = asks(GET), *b = asked(A), *second = asks(GET);
	ck_assert_ptr_nonnull(strstr(peer_answer(second, 503), "waited too long"));
	ck_assert(peer_has(second, "Retry-After: 5"));
	answers(b, "x");
	peer_answer(first, 200);
	is_metric("sdlab_lb_queue_timeouts_total", "", 1);
	is_metric("sdlab_lb_queue_full_total", "", 0);
	peer_free(b);
	peer_free(first);
	peer_free(second);
}
END_TEST

/* Whoever waits stays there until it is seen, so the time for that has no end. */
START_TEST(queue_is_full)
{
	t->nback = 1;
	t->back[A].options = ", max-connections: 1";
	start("queue: {timeout: 1h, size: 1}\n");
	struct peer *first = asks(GET), *b = asked(A), *second = asks(GET);
	wait_metric("sdlab_lb_queue_length", "", 1);
	struct peer *third = asks(GET);
	ck_assert_ptr_nonnull(strstr(peer_answer(third, 503), "the queue is full"));
	ck_assert(peer_has(third, "Retry-After: 5"));
	answers(b, "x");
	peer_answer(first, 200);
	peer_request(b);
	answers(b, "y");
	ck_assert_str_eq(peer_answer(second, 200), "y");
	is_metric("sdlab_lb_queue_timeouts_total", "", 0);
	is_metric("sdlab_lb_queue_full_total", "", 1);
	peer_free(b);
	peer_free(first);
	peer_free(second);
	peer_free(third);
}
END_TEST

/* A client that gives up leaves the queue; its body waits outside meanwhile. */
START_TEST(queue_is_left)
{
	t->nback = 1;
	t->back[A].options = ", max-connections: 1";
	start("");
	struct peer *first = asks(GET), *b = asked(A);
	struct peer *second = asks(GET);
	wait_metric("sdlab_lb_queue_length", "", 1);
	peer_reset(second);
	wait_metric("sdlab_lb_queue_length", "", 0);
	struct peer *third = asks("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 100000\r\n\r\n");
	char *body = calloc(1, 100000);
	wait_metric("sdlab_lb_queue_length", "", 1);
	peer_send(third, body, 100000);
	answers(b, "x");
	peer_answer(first, 200);
	peer_request(b);
	ck_assert_uint_eq(b->body_n, 100000);
	answers(b, "y");
	ck_assert_str_eq(peer_answer(third, 200), "y");
	free(body);
	peer_free(b);
	peer_free(first);
	peer_free(second);
	peer_free(third);
}
END_TEST

/* Several threads share the limit: never more than it at a time, and whoever frees one tells the others. A wake-up that
 * is lost would be a wait of a minute. */
START_TEST(limit_shared_by_threads)
{
	enum { CLIENTS = 12, ROUNDS = 150, LIMIT = 2 };
	t->nback = 1;
	t->threads = 3;
	t->back[A].options = ", max-connections: 2";
	start("queue: {timeout: 1m}\n");
	struct peer *c[CLIENTS], *b[64];
	int asked_for[CLIENTS] = {0}, nb = 0, answered = 0, busy[64] = {0};
	for (int i = 0; i < CLIENTS; i++)
		c[i] = asks(GET);
	int64_t end = rig_now_ns() + 4 * RIG_WAIT_MS * MS;
	while (answered < CLIENTS * ROUNDS) {
		int now = 0;
		ck_assert_msg(rig_now_ns() < end, "after %d answers nobody is asked any more", answered);
		while (rig_readable(t->back[A].fd, 0))
			b[nb++] = accept_at(A);
		ck_assert_int_lt(nb, 60);
		for (int i = 0; i < nb; i++) {
			if (!busy[i] && peer_fill(b[i], 0)) {
				peer_request(b[i]);
				busy[i] = 1;
			}
			now += busy[i];
		}
		ck_assert_int_le(now, LIMIT);
		for (int i = 0; i < nb; i++) {
			if (busy[i])
				answers(b[i], "x");
			busy[i] = 0;
		}
		for (int i = 0; i < CLIENTS; i++) {
			if (!peer_fill(c[i], 0) && !c[i]->n)
				continue;
			peer_answer(c[i], 200);
			answered++;
			if (++asked_for[i] < ROUNDS)
				peer_say(c[i], GET);
		}
	}
	for (int i = 0; i < CLIENTS; i++)
		peer_free(c[i]);
	for (int i = 0; i < nb; i++)
		peer_free(b[i]);
}
END_TEST

/* ---- nobody left ---- */

#define NOBODY (-1)

/* Who has the request of this client: a backend, by a new connection, or nobody: the balancer answered. */
static int who_has(const struct peer *c)
{
	struct pollfd p[] = {{.fd = c->fd, .events = POLLIN},
			     {.fd = t->back[A].fd, .events = POLLIN},
			     {.fd = t->back[B].fd, .events = POLLIN}};
	ck_assert_int_eq(poll(p, 3, RIG_WAIT_MS), 1);
	return p[0].revents ? NOBODY : p[1].revents ? A : B;
}

/* The threads hear of a command some time after the one who gave it: asks until the answer is as it should be then. */
static void ask_until(struct peer *c, int who)
{
	int64_t end = rig_now_ns() + RIG_WAIT_MS * MS;
	for (int by = who - 1; by != who;) {
		ck_assert_msg(rig_now_ns() < end, "no request ever came to the right one");
		peer_say(c, GET);
		by = who_has(c);
		struct peer *b = by == NOBODY ? NULL : asked(by);
		if (b)
			answers(b, "x");
		peer_answer(c, b ? 200 : 503);
		if (b)
			peer_free(b);
	}
}

START_TEST(no_backend_is_left)
{
	start(NO_IDLE);
	admin("GET", "/-/ready", 200);
	admin("POST", "/-/backends/a/drain", 200);
	admin("POST", "/-/backends/b/drain", 200);
	admin("GET", "/-/ready", 503);
	struct peer *c = client();
	ask_until(c, NOBODY);
	ck_assert_str_eq(c->body, "503 Service Unavailable: no backend is available\n");
	ck_assert(peer_has(c, "Retry-After: 5"));
	peer_say(c, "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 3\r\n\r\nabc");
	peer_answer(c, 503);
	is_metric("sdlab_lb_unavailable_total", "", 2);
	admin("POST", "/-/backends/b/ready", 200);
	ask_until(c, B);
	peer_free(c);
}
END_TEST

START_TEST(drain_of_one_backend)
{
	start("");
	struct peer *c = asks(GET), *a = asked(A);
	admin("GET", "/-/backends/a/drain", 405);
	admin("POST", "/-/backends/nobody/drain", 404);
	admin("POST", "/-/backends/a/drain", 200);
	wait_said("Draining %d: it gets no new requests", t->back[A].port);
	wait_state(A, "drained");
	struct peer *d = asks(GET), *b = asked(B);
	answers(b, "b");
	peer_answer(d, 200);
	peer_say(d, GET);
	peer_request(b);
	answers(b, "b");
	peer_answer(d, 200);
	answers(a, "still a"); /* what was in progress goes on, */
	ck_assert_str_eq(peer_answer(c, 200), "still a");
	peer_free(a);
	peer_free(b);
	admin("POST", "/-/backends/a/ready", 200);
	ask_until(c, A); /* and it comes back */
	peer_free(c);
	peer_free(d);
}
END_TEST

/* ---- health ---- */

static void checked(int i, const char *status)
{
	char text[64];
	struct peer *b = asked(i);
	ck_assert_msg(strncmp(b->head, "GET /health HTTP/1.1\r\n", 22) == 0, "%s", b->head);
	snprintf(text, sizeof(text), "HTTP/1.1 %s\r\nContent-Length: 100\r\n\r\n", status); /* nobody reads the body */
	peer_say(b, text);
	peer_free(b);
}

START_TEST(active_checks)
{
	t->nback = 1;
	start("health: {type: http, interval: 5ms, fall: 3, rise: 2, path: /health, status: 200-299}\n");
	for (int i = 0; i < 3; i++)
		checked(A, "500 Bad");
	wait_said("[LB] Backend %d failed health check (3 consecutive failures)\n", t->back[A].port);
	wait_said("[LB] Removed %d from pool\n", t->back[A].port);
	wait_state(A, "down");
	is_metric("sdlab_lb_backend_up", "backend=\"a\"", 0);
	struct peer *c = asks(GET);
	peer_answer(c, 503);
	peer_free(c);
	checked(A, "204 Good");
	checked(A, "302 Found");
	checked(A, "200 Good");
	checked(A, "200 Good");
	wait_said("[LB] Backend %d passed health check (2 in a row)\n", t->back[A].port);
	wait_said("[LB] Added %d to pool\n", t->back[A].port);
	wait_state(A, "up");
}
END_TEST

START_TEST(checks_that_fail_in_other_ways)
{
	t->nback = 1;
	start("health: {type: http, interval: 5ms, timeout: 60ms, fall: 4}\n");
	struct peer *silent = asked(A); /* no answer in time */
	struct peer *b = asked(A);
	talks_garbage(b);
	peer_free(b);
	b = asked(A);
	peer_free(b);
	stop_listening(A);
	wait_state(A, "down");
	peer_free(silent);
}
END_TEST

START_TEST(tcp_checks)
{
	t->nback = 1;
	start("health: {type: tcp, interval: 5ms, fall: 2, rise: 1}\n");
	peer_free(accept_at(A));
	peer_free(accept_at(A));
	wait_state(A, "up");
	stop_listening(A);
	wait_state(A, "down");
	t->back[A].fd = rig_listen(&t->back[A].port);
	wait_state(A, "up");
}
END_TEST

/* Checks that are turned off leave nobody down for ever. */
START_TEST(checks_turned_off)
{
	t->nback = 1;
	stop_listening(A);
	start("health: {type: tcp, interval: 5ms, fall: 2}\n");
	wait_state(A, "down");
	write_text("health: {type: none}\n");
	admin("POST", "/-/reload", 200);
	wait_state(A, "up");
}
END_TEST

START_TEST(ejection)
{
	start(NO_IDLE "eject: {failures: 2, time: 300ms}\n");
	struct peer *c = client();
	for (int i = 0; i < 2; i++) { /* a's turns fail and go to b; b has its own between them */
		struct peer *b;
		peer_say(c, GET);
		b = asked(A);
		peer_close(b);
		peer_free(b);
		serve(B, "b");
		peer_answer(c, 200);
		if (i == 1)
			break;
		peer_say(c, GET);
		serve(B, "b");
		peer_answer(c, 200);
	}
	wait_said("[LB] Ejected %d for 300ms (2 failed requests in a row)\n", t->back[A].port);
	wait_state(A, "ejected");
	for (int i = 0; i < 4; i++) {
		peer_say(c, GET);
		serve(B, "b");
		peer_answer(c, 200);
	}
	wait_state(A, "up");
	wait_said("[LB] Returned %d to pool\n", t->back[A].port);
	peer_free(c);
}
END_TEST

/* At most half of them are left out, however much they fail. */
/* One that fails every second request never fails two in a row. */
START_TEST(ejection_by_rate)
{
	start(NO_IDLE "eject: {failures: 0, rate: 0.5, window: 1h, minimum: 4, time: 1m}\n");
	struct peer *c = client();
	for (int i = 0; i < 4; i++) {
		peer_say(c, GET);
		if (i % 2 == 0) {
			serve(A, "a");
		} else {
			struct peer *b = asked(A);
			peer_close(b);
			peer_free(b);
			serve(B, "b");
		}
		peer_answer(c, 200);
		if (i == 3)
			break;
		peer_say(c, GET);
		serve(B, "b");
		peer_answer(c, 200);
	}
	wait_said("[LB] Ejected %d for 1m (2 of 4 requests failed)\n", t->back[A].port);
	wait_state(A, "ejected");
	peer_free(c);
}
END_TEST

START_TEST(ejection_has_a_cap)
{
	stop_listening(A);
	stop_listening(B);
	start(NO_IDLE "eject: {failures: 1, time: 1m}\n");
	struct peer *c = asks(GET);
	peer_answer(c, 502);
	wait_state(A, "ejected");
	for (int i = 0; i < 5; i++) {
		peer_say(c, GET);
		peer_answer(c, 502); /* not 503: b is still asked */
	}
	wait_state(B, "up");
	ck_assert(failures(B, "refused") >= 5);
	peer_free(c);
}
END_TEST

/* ---- reload ---- */

START_TEST(reload_under_a_request)
{
	t->threads = _i;
	start("");
	struct peer *c = asks(GET), *a = asked(A);
	admin("POST", "/-/backends/b/drain", 200);
	t->nback = 3;
	t->back[C].options = ", weight: 5";
	write_text("algorithm: least-connections\n");
	admin("POST", "/-/reload", 200);
	wait_said("[LB] Reloaded lb.yaml: ");
	answers(a, "from before");
	ck_assert_str_eq(peer_answer(c, 200), "from before");
	is_metric("sdlab_lb_backend_requests_total", "backend=\"a\"", 1); /* counters go on, */
	wait_state(B, "drained");                                         /* so does what an operator said */
	peer_say(c, GET); /* and the client's connection */
	struct peer *n = asked(C);
	answers(n, "new");
	ck_assert_str_eq(peer_answer(c, 200), "new");
	is_metric("sdlab_reloads_total", "result=\"ok\"", 1);
	peer_free(a);
	peer_free(n);
	peer_free(c);
}
END_TEST

START_TEST(health_survives_a_reload)
{
	stop_listening(A);
	start(NO_IDLE "eject: {failures: 1, time: 1m}\n");
	struct peer *c = asks(GET);
	serve(B, "b");
	peer_answer(c, 200);
	wait_state(A, "ejected");
	write_text(NO_IDLE "eject: {failures: 1, time: 1m}\nretries: 0\n");
	admin("POST", "/-/reload", 200);
	wait_state(A, "ejected");
	for (int i = 0; i < 3; i++) {
		peer_say(c, GET);
		serve(B, "b");
		peer_answer(c, 200);
	}
	peer_free(c);
}
END_TEST

START_TEST(removed_under_a_request)
{
	start("");
	struct peer *c = asks(GET), *a = asked(A);
	t->back[A] = t->back[B];
	t->back[A].fd = dup(t->back[B].fd);
	t->nback = 1;
	write_text("");
	admin("POST", "/-/reload", 200);
	struct peer *list = admin_call("GET", "/-/backends", 200);
	ck_assert_ptr_null(strstr(list->body, "\"b\""));
	peer_free(list);
	answers(a, "farewell");
	ck_assert_str_eq(peer_answer(c, 200), "farewell");
	peer_ends(a); /* not kept */
	peer_say(c, GET);
	struct peer *b = asked(A);
	answers(b, "b");
	peer_answer(c, 200);
	peer_free(a);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(bad_reload)
{
	start(NO_IDLE);
	static const struct {
		const char *extra, *why;
	} bad[] = {
	    {"algorithm: best\n", "algorithm: expected"},
	    {"healht: {interval: 1s}\n", "health"},
	    {"health: {type: none, interval: soon}\n", "lb.yaml:5:"},
	    {"health: {type: none, status: 99}\n", "health status: expected a status"},
	    {"x: [\n", "lb.yaml"},
	};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		write_text(bad[i].extra);
		struct peer *r = admin_call("POST", "/-/reload", 400);
		ck_assert_msg(strstr(r->body, bad[i].why) != NULL, "%s", r->body);
		peer_free(r);
		struct peer *c = asks(GET);
		serve(i % 2 ? B : A, "as before");
		peer_answer(c, 200);
		peer_free(c);
	}
	is_metric("sdlab_reloads_total", "result=\"failed\"", sizeof(bad) / sizeof(bad[0]));
	wait_said("Reload failed, the old configuration stays: lb.yaml:");
}
END_TEST

struct asker {
	pthread_t thread;
	uint16_t port;
	int answered;
	bool stop; /* atomic */
};

static void *keep_asking(void *arg)
{
	struct asker *a = arg;
	struct peer *c = peer_connect(a->port);
	while (!__atomic_load_n(&a->stop, __ATOMIC_ACQUIRE)) {
		peer_say(c, GET);
		peer_answer(c, 200);
		a->answered++;
	}
	peer_free(c);
	return NULL;
}

struct answerer {
	pthread_t thread;
	int fd;
	bool stop; /* atomic */
};

/* A backend that works, on a thread of its own. */
static void *keep_answering(void *arg)
{
	struct answerer *a = arg;
	struct peer *b[256];
	int n = 0;
	while (!__atomic_load_n(&a->stop, __ATOMIC_ACQUIRE)) {
		if (rig_readable(a->fd, n ? 0 : 1)) {
			ck_assert_int_lt(n, 256);
			b[n] = peer_new(accept(a->fd, NULL, NULL));
			n++;
		}
		for (int i = 0; i < n; i++) {
			if (b[i]->fd < 0 || !peer_fill(b[i], 0)) {
				if (b[i]->eof || b[i]->err)
					peer_close(b[i]);
				continue;
			}
			peer_request(b[i]);
			answers(b[i], "x");
		}
	}
	for (int i = 0; i < n; i++)
		peer_free(b[i]);
	return NULL;
}

/* Weights, algorithm and backends change under traffic, and no request fails. */
START_TEST(reloads_under_load)
{
	enum { ASKERS = 3, RELOADS = 30 };
	struct asker askers[ASKERS] = {0};
	struct answerer answerers[2] = {0};
	t->threads = 2;
	start("");
	for (int i = 0; i < 2; i++) {
		answerers[i].fd = t->back[i].fd;
		pthread_create(&answerers[i].thread, NULL, keep_answering, &answerers[i]);
	}
	for (int i = 0; i < ASKERS; i++) {
		askers[i].port = t->run->addrs[0].port;
		pthread_create(&askers[i].thread, NULL, keep_asking, &askers[i]);
	}
	static const char *const ways[] = {"", "algorithm: random-two-choices\n", "algorithm: least-connections\n"};
	for (int i = 0; i < RELOADS; i++) {
		t->nback = 1 + i % 2;
		t->back[A].options = i % 3 ? "" : ", weight: 3";
		write_text(ways[i % 3]);
		admin("POST", "/-/reload", 200);
	}
	for (int i = 0; i < ASKERS; i++) {
		__atomic_store_n(&askers[i].stop, true, __ATOMIC_RELEASE);
		pthread_join(askers[i].thread, NULL);
		ck_assert_int_gt(askers[i].answered, 0);
	}
	is_metric("sdlab_lb_backend_failures_total", "backend=\"a\"", 0);
	is_metric("sdlab_lb_unavailable_total", "", 0);
	for (int i = 0; i < 2; i++) {
		__atomic_store_n(&answerers[i].stop, true, __ATOMIC_RELEASE);
		pthread_join(answerers[i].thread, NULL);
	}
}
END_TEST

/* ---- clients ---- */

START_TEST(slow_clients)
{
	start(NO_IDLE "head-timeout: 60ms\nbody-timeout: 60ms\n");
	struct peer *c = asks("GET / HTTP/1.1\r\nHo");
	peer_answer(c, 408);
	not_asked(A);
	peer_free(c);
	c = asks("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf");
	struct peer *b = accept_at(A);
	peer_head(b);
	peer_answer(c, 408);
	peer_is_closed(b);
	is_metric("sdlab_http_timeouts_total", "", 2);
	is_metric("sdlab_lb_backend_failures_total", "", 0);
	is_metric("sdlab_lb_backend_inflight", "", 0);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(client_goes_away)
{
	start(NO_IDLE);
	struct peer *c = asks(GET), *b = asked(A);
	peer_reset(c);
	peer_is_closed(b);
	peer_free(b);
	peer_free(c);
	c = asks(GET);
	b = asked(B);
	peer_say(b, "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf");
	peer_head(c);
	peer_reset(c);
	peer_is_closed(b);
	wait_metric("sdlab_http_aborted_total", "", 2);
	is_metric("sdlab_lb_backend_failures_total", "", 0);
	is_metric("sdlab_lb_backend_inflight", "", 0);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* A client that does not read stops the backend, not the balancer's memory. */
START_TEST(slow_reader)
{
	enum { PIECE = 1 << 16, LENGTH = 256 << 20 };
	char *piece = calloc(1, PIECE);
	start("");
	struct peer *c = peer_connect_with(t->run->addrs[0].port, 4096);
	peer_say(c, GET);
	struct peer *b = asked(A);
	peer_say(b, "HTTP/1.1 200 OK\r\nContent-Length: 268435456\r\n\r\n");
	size_t sent = 0;
	struct pollfd w = {.fd = b->fd, .events = POLLOUT};
	while (poll(&w, 1, 100) == 1) { /* until it is stuck */
		ssize_t put = peer_send_some(b, piece, PIECE);
		ck_assert_int_ge(put, 0);
		sent += (size_t)put;
	}
	ck_assert_uint_lt(sent, 40u << 20); /* in the buffers of the kernel on four sockets */
	peer_head(c);
	peer_reset(c);
	peer_is_closed(b);
	free(piece);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(endless_header)
{
	start("");
	struct peer *c = asks("GET / HTTP/1.1\r\nHost: h\r\nX: ");
	char *filler = malloc(1 << 15);
	memset(filler, 'x', 1 << 15);
	peer_send(c, filler, 1 << 15);
	peer_answer(c, 431);
	not_asked(A);
	is_metric("sdlab_http_refused_total", "", 1);
	free(filler);
	peer_free(c);
}
END_TEST

START_TEST(a_thousand_clients)
{
	enum { N = 1000 };
	struct rlimit r;
	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	t->threads = 2;
	start("");
	struct sockaddr_in a = rig_sockaddr(t->run->addrs[0].port);
	int *fds = calloc(N, sizeof(*fds));
	for (int i = 0; i < N; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_eq(connect(fds[i], (struct sockaddr *)&a, sizeof(a)), 0);
	}
	wait_metric("sdlab_http_connections", "", N);
	struct peer *c = asks(GET);
	struct pollfd p[2] = {{.fd = t->back[A].fd, .events = POLLIN}, {.fd = t->back[B].fd, .events = POLLIN}};
	ck_assert_int_eq(poll(p, 2, RIG_WAIT_MS), 1);
	struct peer *b = asked(p[0].revents ? A : B);
	answers(b, "x");
	peer_answer(c, 200);
	for (int i = 0; i < N; i++)
		close(fds[i]);
	free(fds);
	wait_metric("sdlab_http_connections", "", 1);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* Without a descriptor for the backend: nobody's fault but ours. */
START_TEST(out_of_descriptors)
{
	struct rlimit before, r;
	getrlimit(RLIMIT_NOFILE, &before);
	start(NO_IDLE);
	struct peer *c = client(), *m;
	peer_say(c, GET);
	serve(A, "x");
	peer_answer(c, 200);
	int top = dup(0), taken[4096], n = 0;
	r = before;
	r.rlim_cur = (rlim_t)top + 1;
	setrlimit(RLIMIT_NOFILE, &r);
	for (int fd; n < 4096 && (fd = dup(0)) >= 0;)
		taken[n++] = fd;
	peer_say(c, GET);
	ck_assert_str_eq(peer_answer(c, 503), "503 Service Unavailable: out of descriptors\n");
	ck_assert(peer_has(c, "Retry-After: 5"));
	setrlimit(RLIMIT_NOFILE, &before);
	while (n > 0)
		close(taken[--n]);
	close(top);
	is_metric("sdlab_lb_backend_failures_total", "", 0);
	m = asks(GET);
	struct pollfd p[2] = {{.fd = t->back[A].fd, .events = POLLIN}, {.fd = t->back[B].fd, .events = POLLIN}};
	ck_assert_int_eq(poll(p, 2, RIG_WAIT_MS), 1);
	serve(p[0].revents ? A : B, "again");
	ck_assert_str_eq(peer_answer(m, 200), "again");
	peer_free(m);
	peer_free(c);
}
END_TEST

/* ---- names ---- */

START_TEST(a_name_is_looked_up)
{
	char host[256] = "";
	struct addrinfo hints = {.ai_family = AF_INET, .ai_socktype = SOCK_STREAM}, *list = NULL;
	gethostname(host, sizeof(host) - 1);
	if (getaddrinfo(host, NULL, &hints, &list) != 0)
		return; /* this machine does not know its own name */
	struct sockaddr_in a;
	memcpy(&a, list->ai_addr, sizeof(a));
	freeaddrinfo(list);
	t->nback = 1;
	close(t->back[A].fd);
	t->back[A].fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	socklen_t n = sizeof(a);
	a.sin_port = 0;
	ck_assert_int_eq(bind(t->back[A].fd, (struct sockaddr *)&a, sizeof(a)), 0);
	ck_assert_int_eq(listen(t->back[A].fd, 16), 0);
	getsockname(t->back[A].fd, (struct sockaddr *)&a, &n);
	t->back[A].port = ntohs(a.sin_port);
	t->back[A].host = host;
	start(NO_IDLE);
	wait_state(A, "up");
	struct peer *c = asks(GET);
	serve(A, "found");
	ck_assert_str_eq(peer_answer(c, 200), "found");
	peer_free(c);
}
END_TEST

START_TEST(a_name_that_nobody_knows)
{
	t->nback = 1;
	t->back[A].host = "no-such-host.invalid";
	start(NO_IDLE);
	struct peer *c = asks(GET);
	peer_answer(c, 503);
	wait_state(A, "unresolved");
	peer_free(c);
}
END_TEST

/* ---- the end ---- */

START_TEST(drain_of_the_service)
{
	t->threads = _i;
	start("");
	struct peer *idle = client(), *c = asks(GET);
	struct pollfd p[2] = {{.fd = t->back[A].fd, .events = POLLIN}, {.fd = t->back[B].fd, .events = POLLIN}};
	ck_assert_int_eq(poll(p, 2, RIG_WAIT_MS), 1);
	struct peer *b = asked(p[0].revents ? A : B);
	wait_metric("sdlab_http_connections", "", 2);
	rig_call(&t->rig, begin_drain, NULL);
	peer_ends(idle);
	admin("GET", "/-/ready", 503);
	answers(b, "last");
	ck_assert_str_eq(peer_answer(c, 200), "last");
	ck_assert(peer_has(c, "Connection: close"));
	peer_ends(c);
	rig_wait(&t->rig, "the drain to end", is_drained, NULL);
	peer_free(idle);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* Everything at once is in progress when it ends; nothing may be left behind. */
START_TEST(ended_in_the_middle)
{
	t->threads = _i;
	t->back[B].options = ", max-connections: 1";
	start("health: {type: http, interval: 20ms, fall: 1000}\n");
	struct peer *c[6];
	for (int i = 0; i < 5; i++)
		c[i] = asks(i % 2 ? GET : "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 10\r\n\r\nhalf");
	c[5] = asks("GET / HT");
	struct peer *a = accept_at(A), *b = accept_at(B);
	wait_metric("sdlab_http_connections", "", 6);
	halt();
	for (int i = 0; i < 6; i++) {
		peer_is_closed(c[i]);
		peer_free(c[i]);
	}
	peer_free(a);
	peer_free(b);
}
END_TEST

/* ---- TCP mode ---- */

START_TEST(tcp_both_ways)
{
	start("mode: tcp\n");
	struct peer *c = asks("to the backend"), *b = accept_at(A);
	peer_append_body(b, 14);
	ck_assert_str_eq(b->body, "to the backend");
	peer_say(b, "to the client");
	peer_append_body(c, 13);
	ck_assert_str_eq(c->body, "to the client");
	/* each end shuts by itself, and the other goes on */
	peer_shut(c);
	peer_ends(b);
	peer_say(b, "afterwards");
	peer_append_body(c, 10);
	is_metric("sdlab_lb_tunnels", "", 1);
	peer_shut(b);
	peer_ends(c);
	wait_metric("sdlab_lb_tunnels", "", 0);
	peer_free(b);
	peer_free(c);
	c = client();
	b = accept_at(B);
	peer_say(b, "hello");
	peer_shut(b);
	peer_append_body(c, 5);
	peer_ends(c);
	peer_say(c, "still here");
	peer_append_body(b, 10);
	peer_shut(c);
	peer_ends(b);
	wait_metric("sdlab_lb_tunnels", "", 0);
	is_metric("sdlab_lb_tunnels_total", "", 2);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* Both have shut while a rest waits for a slow reader: it still comes, and then the tunnel ends. */
START_TEST(tcp_shut_behind_a_rest)
{
	enum { REST = 60000 };
	char *rest = calloc(1, REST);
	start("mode: tcp\n");
	for (int fd = 3; fd < 64; fd++) { /* accepted sockets get the listener's buffer */
		int listens = 0, size = 4096;
		socklen_t n = sizeof(listens);
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) == 0 && listens)
			setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	}
	struct peer *c = peer_connect_with(t->run->addrs[0].port, 2048), *b = accept_at(A);
	peer_shut(c);
	peer_ends(b);
	peer_send(b, rest, REST);
	peer_close(b);
	while (peer_fill(c, RIG_WAIT_MS))
		;
	ck_assert_uint_eq(c->n, REST);
	ck_assert(c->eof);
	wait_metric("sdlab_lb_tunnels", "", 0);
	is_metric("sdlab_lb_backend_inflight", "", 0);
	free(rest);
	peer_free(b);
	peer_free(c);
}
END_TEST

struct pipe_end {
	struct peer *p;
	size_t sent, got;
	uint64_t sum_out, sum_in;
	bool shut;
};

static void pump(struct pipe_end *e, size_t total, bool may_read)
{
	static unsigned char piece[1 << 16];
	struct pollfd p = {.fd = e->p->fd, .events = (short)((e->sent < total ? POLLOUT : 0) | (may_read ? POLLIN : 0))};
	if (poll(&p, 1, 0) <= 0)
		return;
	if (p.revents & POLLOUT) {
		size_t n = total - e->sent < sizeof(piece) ? total - e->sent : sizeof(piece);
		for (size_t i = 0; i < n; i++)
			piece[i] = (unsigned char)((e->sent + i) * 7 + ((e->sent + i) >> 13));
		ssize_t put = peer_send_some(e->p, piece, n);
		ck_assert_int_ge(put, 0);
		for (ssize_t i = 0; i < put; i++)
			e->sum_out = e->sum_out * 31 + piece[i];
		e->sent += (size_t)put;
		if (e->sent == total && !e->shut) {
			peer_shut(e->p);
			e->shut = true;
		}
	}
	if ((p.revents & POLLIN) && peer_fill(e->p, 0)) {
		for (size_t i = 0; i < e->p->n; i++)
			e->sum_in = e->sum_in * 31 + (unsigned char)e->p->in[i];
		e->got += e->p->n;
		e->p->n = 0;
	}
}

START_TEST(tcp_large_transfers)
{
	enum { LENGTH = 12 << 20 };
	start("mode: tcp\n");
	struct pipe_end c = {.p = peer_connect_with(t->run->addrs[0].port, 16384)}, b = {.p = accept_at(A)};
	int64_t end = rig_now_ns() + 3 * RIG_WAIT_MS * MS;
	for (unsigned turn = 0; !c.p->eof || !b.p->eof; turn++) {
		pump(&c, LENGTH, turn % 16 == 0 || c.sent == LENGTH); /* reads rarely */
		pump(&b, LENGTH, true);
		ck_assert_msg(rig_now_ns() < end, "stuck at %zu and %zu bytes", c.got, b.got);
	}
	ck_assert_uint_eq(c.got, LENGTH);
	ck_assert_uint_eq(b.got, LENGTH);
	ck_assert(c.sum_in == b.sum_out && b.sum_in == c.sum_out);
	wait_metric("sdlab_lb_tunnels", "", 0);
	peer_free(c.p);
	peer_free(b.p);
}
END_TEST

START_TEST(tcp_connect_retry)
{
	stop_listening(A);
	start("mode: tcp\n");
	struct peer *c = asks("hello"), *b = accept_at(B);
	peer_append_body(b, 5);
	is_metric("sdlab_lb_retries_total", "", 1);
	ck_assert(failures(A, "refused") == 1);
	peer_free(b);
	peer_free(c);
	stop_listening(B);
	c = client();
	peer_is_closed(c);
	ck_assert_uint_eq(c->n, 0);
	wait_metric("sdlab_lb_tunnels", "", 0);
	peer_free(c);
}
END_TEST

START_TEST(tcp_no_backend)
{
	start("mode: tcp\nretries: 0\n");
	stop_listening(A);
	struct peer *c = client();
	peer_is_closed(c); /* without retries that is the end */
	not_asked(B);
	peer_free(c);
	admin("POST", "/-/backends/a/drain", 200);
	admin("POST", "/-/backends/b/drain", 200);
	c = client();
	peer_is_closed(c);
	is_metric("sdlab_lb_unavailable_total", "", 1);
	peer_free(c);
}
END_TEST

START_TEST(tcp_ends_are_passed_on)
{
	start("mode: tcp\n");
	struct peer *c = client(), *b = accept_at(A);
	peer_reset(c);
	peer_is_cut(b);
	peer_free(b);
	peer_free(c);
	c = client();
	b = accept_at(B);
	peer_say(b, "part");
	peer_append_body(c, 4);
	peer_reset(b);
	peer_is_cut(c);
	wait_metric("sdlab_lb_tunnels", "", 0);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(tcp_queue)
{
	t->nback = 1;
	t->back[A].options = ", max-connections: 1";
	start("mode: tcp\nqueue: {timeout: 60ms}\n");
	struct peer *c = client(), *b = accept_at(A), *d = asks("second");
	peer_is_closed(d); /* waited too long */
	is_metric("sdlab_lb_queue_timeouts_total", "", 1);
	peer_free(d);
	d = asks("third");
	wait_metric("sdlab_lb_queue_length", "", 1);
	peer_shut(c);
	peer_free(b); /* now there is room */
	b = accept_at(A);
	peer_append_body(b, 5);
	ck_assert_str_eq(b->body, "third");
	peer_free(b);
	peer_free(c);
	peer_free(d);
}
END_TEST

START_TEST(tcp_idle_too_long)
{
	start("mode: tcp\ntunnel-timeout: 60ms\n");
	struct peer *c = client(), *b = accept_at(A);
	peer_is_closed(c);
	peer_is_closed(b);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(tcp_drain)
{
	start("mode: tcp\n");
	struct peer *c = client(), *b = accept_at(A);
	wait_metric("sdlab_lb_tunnels", "", 1);
	rig_call(&t->rig, begin_drain, NULL);
	peer_say(c, "goes on");
	peer_append_body(b, 7);
	ck_assert(!SEEN(&t->rig, t->drained));
	peer_shut(c);
	peer_shut(b);
	rig_wait(&t->rig, "the drain to end", is_drained, NULL);
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(tcp_ended_in_the_middle)
{
	t->threads = _i;
	t->nback = 1;
	start("mode: tcp\n");
	struct peer *c = asks("x"), *b = accept_at(A);
	peer_append_body(b, 1);
	halt();
	peer_is_closed(c);
	peer_is_closed(b);
	peer_free(b);
	peer_free(c);
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
	TCase *passing = make("passing", TESTS(heads, date_is_not_doubled, trusted_proxy, absolute_form, takes_turns,
					       connections_are_kept));
	TCase *bodies =
	    make("bodies", TESTS(chunked_is_framed_anew, chunked_answer_to_http_1_0, answers_without_a_body,
				 answer_until_the_end, last_hop, interim_answers, body_refused_by_the_backend,
				 answered_before_the_body_was_sent, answered_before_a_small_body_was_sent));
	TCase *failing = make("failing", TESTS(refused, refused_without_retries, all_refused, half_an_answer_until_the_end,
					       never_answers, never_reads, connecting_takes_too_long,
					       paused_for_one_that_failed, body_is_sent_again,
					       body_is_too_large_to_be_sent_again, stale_connection, closed_while_idle,
					       surplus_bytes));
	TCase *waiting = make("waiting", TESTS(queue_in_order, queue_takes_too_long, queue_is_full, queue_is_left,
					       limit_shared_by_threads, no_backend_is_left, drain_of_one_backend));
	TCase *health = make("health", TESTS(active_checks, checks_that_fail_in_other_ways, tcp_checks, checks_turned_off,
					     ejection, ejection_by_rate, ejection_has_a_cap));
	TCase *reload =
	    make("reload", TESTS(health_survives_a_reload, removed_under_a_request, bad_reload, reloads_under_load));
	TCase *clients = make("clients", TESTS(slow_clients, client_goes_away, slow_reader, endless_header,
					       a_thousand_clients, out_of_descriptors));
	TCase *names = make("names", TESTS(a_name_is_looked_up, a_name_that_nobody_knows));
	TCase *end = tcase_create("end");
	TCase *tcp = make("tcp", TESTS(tcp_both_ways, tcp_shut_behind_a_rest, tcp_large_transfers, tcp_connect_retry,
				       tcp_no_backend, tcp_ends_are_passed_on, tcp_queue, tcp_idle_too_long, tcp_drain));
	tcase_add_checked_fixture(end, setup, teardown);
	tcase_add_loop_test(failing, idempotent_requests_go_elsewhere, 0, NFAULTS);
	tcase_add_loop_test(failing, idempotent_requests_without_retries, 0, NFAULTS);
	tcase_add_loop_test(failing, others_do_not, 0, NFAULTS);
	tcase_add_loop_test(failing, half_an_answer, 0, 6);
	tcase_add_loop_test(reload, reload_under_a_request, 1, 2);
	tcase_add_loop_test(end, drain_of_the_service, 1, 4);
	tcase_add_loop_test(end, ended_in_the_middle, 1, 4);
	tcase_add_loop_test(tcp, tcp_ended_in_the_middle, 1, 4);
	TCase *cases[] = {passing, bodies, failing, waiting, health, reload, clients, names, end, tcp};
	return rig_main_of(cases, sizeof(cases) / sizeof(cases[0]), "lb");
}
