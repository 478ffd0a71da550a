/* The HTTP client and its pool against raw servers that do what a script says. */
#include "net/http_client.h"
#include "net_rig.h"

enum { NCALLS = 4 };

/* What one call heard. */
struct heard {
	struct sd_http_call *call; /* while it is in progress */
	int heads, interims, ends, fails, drains;
	int status;
	char body[4096];
	size_t body_n;
	enum sd_http_phase phase;
	enum sd_err why;
	bool reused;
	char text[128];
	bool pause_at_head, pause_each, again_at_end, take, pours;
	struct sd_stream *taken;
};

static struct {
	struct rig rig;
	struct sd_http_pool pool;
	struct sd_http_pool_conf conf;
	struct sd_http_head head;
	struct heard heard[NCALLS];
	int listener;
	uint16_t port;
} *f;

static const struct sd_http_caller caller;

/* ---- the caller ---- */

static void on_head(struct sd_http_call *c, const struct sd_http_head *head)
{
	struct heard *h = c->user;
	h->heads++;
	h->status = head->status;
	if (h->pause_at_head)
		sd_http_call_pause(c);
	if (h->take) {
		h->call = NULL;
		h->taken = sd_http_call_take_stream(c);
	}
}

static void on_interim(struct sd_http_call *c, const struct sd_http_head *head)
{
	struct heard *h = c->user;
	h->interims++;
	h->status = head->status;
}

static void on_body(struct sd_http_call *c, const char *p, size_t n)
{
	struct heard *h = c->user;
	if (h->body_n + n < sizeof(h->body))
		memcpy(h->body + h->body_n, p, n);
	h->body_n += n;
	if (h->pause_each)
		sd_http_call_pause(c);
}

static struct sd_http_call *begin(struct heard *h, enum sd_http_method method, bool fresh)
{
	struct sd_error e = {0};
	h->call = sd_http_call_start(&f->pool, method, fresh, &caller, h, &e);
	if (!h->call) {
		h->fails++;
		h->why = e.code;
	} else {
		h->reused = h->call->reused;
	}
	return h->call;
}

static const char GET[] = "GET / HTTP/1.1\r\nHost: h\r\n\r\n";

static void get(struct heard *h)
{
	if (!begin(h, SD_HTTP_GET, false))
		return;
	sd_http_call_write(h->call, GET, sizeof(GET) - 1);
	sd_http_call_sent(h->call);
}

static void on_end(struct sd_http_call *c)
{
	struct heard *h = c->user;
	h->ends++;
	h->call = NULL;
	if (h->again_at_end) {
		h->again_at_end = false;
		get(h);
	}
}

static void on_failed(struct sd_http_call *c, enum sd_http_phase phase, enum sd_err why, const char *text)
{
	struct heard *h = c->user;
	h->fails++;
	h->phase = phase;
	h->why = why;
	h->reused = c->reused;
	snprintf(h->text, sizeof(h->text), "%s", text);
	h->call = NULL;
}

/* As much as it takes without waiting. */
static void write_body(void *arg)
{
	struct heard *h = arg;
	static char piece[8192];
	while (h->call && !sd_http_call_backlog(h->call))
		sd_http_call_write(h->call, piece, sizeof(piece));
}

static void on_drained(struct sd_http_call *c)
{
	struct heard *h = c->user;
	h->drains++;
	if (h->pours)
		write_body(h);
}

static const struct sd_http_caller caller = {.head = on_head,
					     .interim = on_interim,
					     .body = on_body,
					     .end = on_end,
					     .failed = on_failed,
					     .drained = on_drained};

/* ---- the client of a test ---- */

static void setup(void)
{
	f = calloc(1, sizeof(*f));
	f->conf = sd_http_pool_defaults;
	f->listener = rig_listen(&f->port);
	rig_make(&f->rig);
}

static void go(void)
{
	char text[32];
	struct sd_addr addr;
	snprintf(text, sizeof(text), "127.0.0.1:%d", f->port);
	ck_assert_int_eq(sd_addr_parse(text, "", &addr, NULL), SD_OK);
	sd_http_pool_init(&f->pool, f->rig.loop, &addr, &f->conf, &f->head);
	rig_run(&f->rig);
}

static void free_pool(void *arg)
{
	(void)arg;
	sd_http_pool_free(&f->pool);
	for (int i = 0; i < NCALLS; i++)
		if (f->heard[i].taken)
			sd_stream_close(f->heard[i].taken);
}

static void teardown(void)
{
	rig_call(&f->rig, free_pool, NULL);
	rig_free(&f->rig);
	if (f->listener >= 0)
		close(f->listener);
	free(f);
	f = NULL;
}

static void get_on_loop(void *arg)
{
	get(arg);
}

static struct heard *ask(int i)
{
	rig_call(&f->rig, get_on_loop, &f->heard[i]);
	return &f->heard[i];
}

static struct peer *asked(void)
{
	struct peer *s = peer_accept(f->listener);
	peer_request(s);
	return s;
}

static bool is_over(void *arg)
{
	const struct heard *h = arg;
	return h->ends + h->fails > 0;
}

static void wait_over(struct heard *h)
{
	rig_wait(&f->rig, "the end of the call", is_over, h);
	ck_assert_int_eq(SEEN(&f->rig, h->ends) + SEEN(&f->rig, h->fails), 1);
}

static void ended(struct heard *h, int status, const char *body)
{
	wait_over(h);
	ck_assert_msg(SEEN(&f->rig, h->ends) == 1, "failed: %s", h->text);
	ck_assert_int_eq(SEEN(&f->rig, h->heads), 1);
	ck_assert_int_eq(SEEN(&f->rig, h->status), status);
	ck_assert_uint_eq(SEEN(&f->rig, h->body_n), strlen(body));
	ck_assert_int_eq(memcmp(h->body, body, SEEN(&f->rig, h->body_n)), 0);
}

static void failed(struct heard *h, enum sd_http_phase phase, enum sd_err why)
{
	wait_over(h);
	ck_assert_int_eq(SEEN(&f->rig, h->fails), 1);
	ck_assert_msg(SEEN(&f->rig, h->why) == why, "expected \"%s\", found \"%s\": %s", sd_err_text(why), sd_err_text(SEEN(&f->rig, h->why)), h->text);
	ck_assert_int_eq(SEEN(&f->rig, h->phase), phase);
}

static const char ANSWER[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

static void read_stats(void *out)
{
	sd_http_pool_stats(&f->pool, out);
}

/* As the loop's thread sees it. */
static struct sd_pool_stats lent(void)
{
	struct sd_pool_stats s;
	rig_call(&f->rig, read_stats, &s);
	return s;
}

struct pool_wish {
	uint32_t idle, busy;
};

static bool pool_is(void *arg)
{
	const struct pool_wish *w = arg;
	struct sd_pool_stats s;
	read_stats(&s);
	return s.idle == w->idle && s.lent == w->busy;
}

static void wait_pool(uint32_t idle, uint32_t busy)
{
	struct pool_wish w = {idle, busy};
	rig_wait(&f->rig, "idle and busy connections", pool_is, &w);
}

/* ---- the pool ---- */

START_TEST(connections_are_used_again)
{
	go();
	struct heard *h = ask(0);
	struct peer *s = asked();
	ck_assert(!SEEN(&f->rig, h->reused));
	peer_say(s, ANSWER);
	ended(h, 200, "hi");
	wait_pool(1, 0);
	h = ask(1);
	peer_request(s);
	ck_assert(SEEN(&f->rig, h->reused));
	peer_say(s, ANSWER);
	ended(h, 200, "hi");
	ck_assert_uint_eq(lent().opened, 1);
	ck_assert_uint_eq(lent().reused, 1);
	peer_free(s);
}
END_TEST

/* From end() already: the connection is back before the caller hears. */
START_TEST(used_again_at_once)
{
	go();
	f->heard[0].again_at_end = true;
	struct heard *h = ask(0);
	struct peer *s = asked();
	peer_say(s, ANSWER);
	peer_request(s);
	peer_say(s, ANSWER);
	wait_pool(1, 0);
	ck_assert_int_eq(SEEN(&f->rig, h->ends), 2);
	ck_assert_uint_eq(lent().opened, 1);
	ck_assert_uint_eq(SEEN(&f->rig, h->body_n), 4);
	peer_free(s);
}
END_TEST

START_TEST(no_more_idle_than_allowed)
{
	f->conf.max_idle = 1;
	go();
	struct heard *h0 = ask(0), *h1 = ask(1);
	struct peer *a = asked(), *b = asked();
	wait_pool(0, 2);
	peer_say(a, ANSWER);
	peer_say(b, ANSWER);
	ended(h0, 200, "hi");
	ended(h1, 200, "hi");
	wait_pool(1, 0);
	ck_assert_uint_eq(lent().opened, 2);
	peer_free(a);
	peer_free(b);
}
END_TEST

START_TEST(idle_for_too_long)
{
	f->conf.idle_timeout_ns = 40 * MS;
	go();
	ask(0);
	struct peer *s = asked();
	peer_say(s, ANSWER);
	peer_ends(s);
	wait_pool(0, 0);
	peer_free(s);
}
END_TEST

START_TEST(server_closes_an_idle_connection)
{
	go();
	ask(0);
	struct peer *s = asked();
	peer_say(s, ANSWER);
	wait_pool(1, 0);
	peer_close(s);
	wait_pool(0, 0);
	struct heard *h = ask(1);
	peer_free(s);
	s = asked();
	ck_assert(!SEEN(&f->rig, h->reused));
	peer_say(s, ANSWER);
	ended(h, 200, "hi");
	ck_assert_uint_eq(SEEN(&f->rig, f->pool.dirty), 0);
	peer_free(s);
}
END_TEST

START_TEST(bytes_that_nobody_asked_for)
{
	go();
	struct heard *h = ask(0);
	struct peer *s = asked();
	peer_say(s, "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi!");
	ended(h, 200, "hi");
	peer_is_closed(s);
	wait_pool(0, 0);
	ck_assert_uint_eq(SEEN(&f->rig, f->pool.dirty), 1);
	peer_free(s);
	ask(1);
	s = asked();
	peer_say(s, ANSWER);
	wait_pool(1, 0);
	peer_say(s, "HTTP/1.1 408 Bye\r\n\r\n");
	wait_pool(0, 0);
	peer_is_closed(s);
	ck_assert_uint_eq(SEEN(&f->rig, f->pool.dirty), 2);
	peer_free(s);
}
END_TEST

/* What the server does to an idle connection, and the next request, in one turn of the loop: it cannot have heard. */
struct ambush {
	struct peer *server;
	const char *says; /* NULL: it ends */
	struct heard *next;
};

/* Until it is where the client reads. */
static void wait_arrived(int fd)
{
	int64_t end = rig_now_ns() + RIG_WAIT_MS * MS;
	struct tcp_info info = {0};
	socklen_t n = sizeof(info);
	do {
		ck_assert_int_eq(getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &n), 0);
		ck_assert_msg(rig_now_ns() < end, "it never arrived");
	} while (info.tcpi_unacked > 0 || info.tcpi_state == TCP_FIN_WAIT1);
}

static void spring(void *arg)
{
	const struct ambush *a = arg;
	if (a->says)
		peer_say(a->server, a->says);
	else
		peer_shut(a->server);
	wait_arrived(a->server->fd);
	get(a->next);
}

static void not_lent(const char *says)
{
	struct heard *h = ask(0);
	struct peer *s = asked();
	peer_say(s, ANSWER);
	ended(h, 200, "hi");
	wait_pool(1, 0);
	struct ambush a = {s, says, &f->heard[1]};
	rig_call(&f->rig, spring, &a);
	ck_assert(!SEEN(&f->rig, a.next->reused));
	ck_assert_uint_eq(lent().closed[SD_POOL_NOT_QUIET], 1);
	struct peer *n = asked();
	peer_is_closed(s);
	peer_say(n, "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nown");
	ended(a.next, 200, "own");
	wait_pool(1, 0);
	peer_free(s);
	peer_free(n);
}

START_TEST(bytes_that_came_just_now)
{
	go();
	not_lent("HTTP/1.1 200 OK\r\nContent-Length: 7\r\n\r\nforeign");
}
END_TEST

START_TEST(an_end_that_came_just_now)
{
	go();
	not_lent(NULL);
}
END_TEST

static void get_fresh(void *arg)
{
	struct heard *h = arg;
	if (begin(h, SD_HTTP_GET, true))
		sd_http_call_write(h->call, GET, sizeof(GET) - 1);
	sd_http_call_sent(h->call);
}

/* The connection was closed just when the request went out: the caller is told that it may try again. */
START_TEST(stale_connection)
{
	go();
	ask(0);
	struct peer *s = asked();
	peer_say(s, ANSWER);
	wait_pool(1, 0);
	struct heard *h = ask(1);
	peer_request(s);
	peer_close(s);
	failed(h, SD_HTTP_SENT, SD_ERESET);
	ck_assert(SEEN(&f->rig, h->reused));
	peer_free(s);
	ask(0);
	s = asked();
	peer_say(s, ANSWER);
	wait_pool(1, 0);
	rig_call(&f->rig, get_fresh, &f->heard[2]);
	struct peer *n = asked();
	ck_assert(!SEEN(&f->rig, f->heard[2].reused));
	peer_say(n, ANSWER);
	wait_pool(2, 0);
	peer_free(s);
	peer_free(n);
}
END_TEST

START_TEST(not_kept)
{
	static const char *const answers[] = {
	    "HTTP/1.1 200 OK\r\nContent-Length: 2\r\nConnection: close\r\n\r\nhi",
	    "HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\nhi",
	};
	go();
	for (int i = 0; i < 2; i++) {
		struct heard *h = ask(i);
		struct peer *s = asked();
		peer_say(s, answers[i]);
		ended(h, 200, "hi");
		peer_is_closed(s);
		wait_pool(0, 0);
		peer_free(s);
	}
}
END_TEST

/* ---- answers ---- */

START_TEST(answers_byte_by_byte)
{
	static const char *const answers[] = {
	    "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world",
	    "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n6;x=y\r\n world\r\n0\r\nT: 1\r\n\r\n",
	    ("HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
	     "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world"),
	};
	go();
	struct peer *s = NULL;
	for (int i = 0; i < 3; i++) {
		struct heard *h = ask(i);
		if (s)
			peer_request(s);
		else
			s = asked();
		for (const char *p = answers[i]; *p; p++)
			peer_send(s, p, 1);
		ended(h, 200, "hello world");
		ck_assert_int_eq(SEEN(&f->rig, h->interims), i == 2 ? 2 : 0);
	}
	ck_assert_uint_eq(lent().opened, 1);
	peer_free(s);
}
END_TEST

/* 100 interim answers are let pass, on each call anew; one more is an error. */
START_TEST(interims_without_end)
{
	go();
	struct peer *s = NULL;
	for (int i = 0; i < 3; i++) {
		struct heard *h = ask(i);
		if (s)
			peer_request(s);
		else
			s = asked();
		for (int n = 0; n < 100 + (i == 2); n++)
			peer_say(s, "HTTP/1.1 103 Early Hints\r\n\r\n");
		peer_say(s, ANSWER);
		if (i < 2)
			ended(h, 200, "hi");
		else
			failed(h, SD_HTTP_ANSWERING, SD_EPROTO);
		ck_assert_int_eq(SEEN(&f->rig, h->interims), 100);
	}
	peer_free(s);
}
END_TEST

START_TEST(answer_until_the_end)
{
	go();
	struct heard *h = ask(0);
	struct peer *s = asked();
	peer_say(s, "HTTP/1.1 200 OK\r\n\r\nhello ");
	peer_say(s, "world");
	peer_close(s);
	ended(h, 200, "hello world");
	wait_pool(0, 0);
	peer_free(s);
}
END_TEST

static bool has_head(void *arg)
{
	const struct heard *h = arg;
	return h->heads > 0;
}

/* Cut with a reset, the same is not complete. */
START_TEST(answer_until_a_reset)
{
	go();
	struct heard *h = ask(0);
	struct peer *s = asked();
	peer_say(s, "HTTP/1.1 200 OK\r\n\r\nhello ");
	rig_wait(&f->rig, "the head", has_head, h);
	peer_reset(s);
	failed(h, SD_HTTP_ANSWERING, SD_ERESET);
	peer_free(s);
}
END_TEST

static void head_request(void *arg)
{
	struct heard *h = arg;
	static const char text[] = "HEAD / HTTP/1.1\r\nHost: h\r\n\r\n";
	if (!begin(h, SD_HTTP_HEAD, false))
		return;
	sd_http_call_write(h->call, text, sizeof(text) - 1);
	sd_http_call_sent(h->call);
}

START_TEST(answers_without_a_body)
{
	go();
	rig_call(&f->rig, head_request, &f->heard[0]);
	struct peer *s = asked();
	peer_say(s, "HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n");
	ended(&f->heard[0], 200, "");
	struct heard *h = ask(1);
	peer_request(s);
	peer_say(s, "HTTP/1.1 204 No Content\r\n\r\n");
	ended(h, 204, "");
	h = ask(2);
	peer_request(s);
	peer_say(s, "HTTP/1.1 304 Not Modified\r\nContent-Length: 7\r\n\r\n");
	ended(h, 304, "");
	ck_assert_uint_eq(lent().opened, 1);
	peer_free(s);
}
END_TEST

/* ---- servers that fail ---- */

static const struct {
	const char *answer;
	enum sd_http_phase phase;
	enum sd_err why;
} bad[] = {
    {"", SD_HTTP_SENT, SD_ERESET},
    {"HTTP/1.1 200 O", SD_HTTP_ANSWERING, SD_ERESET},
    {"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf", SD_HTTP_ANSWERING, SD_ERESET},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n", SD_HTTP_ANSWERING, SD_ERESET},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\nhalfX", SD_HTTP_ANSWERING, SD_EPROTO},
    {"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Length: 4\r\n\r\nhalf", SD_HTTP_ANSWERING, SD_EPROTO},
    {"220 mail.example ESMTP\r\n\r\n", SD_HTTP_ANSWERING, SD_EPROTO},
};

START_TEST(bad_answers)
{
	go();
	struct heard *h = ask(0);
	struct peer *s = asked();
	peer_say(s, bad[_i].answer);
	peer_close(s);
	failed(h, bad[_i].phase, bad[_i].why);
	wait_pool(0, 0);
	peer_free(s);
}
END_TEST

START_TEST(never_answers)
{
	f->conf.answer_timeout_ns = 60 * MS;
	go();
	struct heard *h = ask(0);
	struct peer *s = asked();
	failed(h, SD_HTTP_SENT, SD_ETIMEOUT);
	peer_is_closed(s);
	peer_free(s);
	h = ask(1);
	s = asked();
	peer_say(s, "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf");
	failed(h, SD_HTTP_ANSWERING, SD_ETIMEOUT);
	peer_free(s);
}
END_TEST

START_TEST(refused)
{
	int held = rig_hold(&f->port);
	close(f->listener);
	f->listener = -1;
	go();
	struct heard *h = ask(0);
	failed(h, SD_HTTP_CONNECTING, SD_EREFUSED);
	wait_pool(0, 0);
	close(held);
}
END_TEST

START_TEST(connecting_takes_too_long)
{
	int fds[4];
	struct sockaddr_in a = rig_sockaddr(f->port);
	listen(f->listener, 0);
	for (int i = 0; i < 4; i++) { /* the queue is full: the kernel lets a client wait */
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
		connect(fds[i], (struct sockaddr *)&a, sizeof(a));
	}
	f->conf.connect_timeout_ns = 60 * MS;
	go();
	failed(ask(0), SD_HTTP_CONNECTING, SD_ETIMEOUT);
	for (int i = 0; i < 4; i++)
		close(fds[i]);
}
END_TEST

/* Inside the process nobody of that name: refused in the call itself. */
static void get_nobody(void *arg)
{
	struct sd_addr addr;
	sd_addr_parse("inproc:nobody", "", &addr, NULL);
	f->pool.addr = addr;
	get(arg);
}

START_TEST(refused_at_once)
{
	go();
	rig_call(&f->rig, get_nobody, &f->heard[0]);
	ck_assert_int_eq(SEEN(&f->rig, f->heard[0].fails), 1);
	ck_assert_int_eq(SEEN(&f->rig, f->heard[0].why), SD_EREFUSED);
	wait_pool(0, 0);
}
END_TEST

/* ---- requests with a body ---- */

static void begin_post(void *arg)
{
	struct heard *h = arg;
	static const char text[] = "POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 67108864\r\n\r\n";
	if (begin(h, SD_HTTP_POST, false))
		sd_http_call_write(h->call, text, sizeof(text) - 1);
}

START_TEST(answered_before_the_body_was_sent)
{
	go();
	struct heard *h = &f->heard[0];
	rig_call(&f->rig, begin_post, h);
	struct peer *s = peer_accept(f->listener);
	peer_head(s);
	rig_call(&f->rig, write_body, h);
	peer_say(s, "HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\n\r\nno");
	ended(h, 413, "no");
	wait_pool(0, 0); /* the rest of the body would be taken for a request */
	peer_is_closed(s);
	peer_free(s);
}
END_TEST

/* The same with a server that closes on what it did not read. */
START_TEST(answered_and_reset_before_the_body_was_sent)
{
	go();
	struct heard *h = &f->heard[0];
	rig_call(&f->rig, begin_post, h);
	struct peer *s = peer_accept(f->listener);
	peer_head(s);
	rig_call(&f->rig, write_body, h);
	peer_need(s, 1000);
	peer_say(s, "HTTP/1.1 413 Too Much\r\nContent-Length: 2\r\nConnection: close\r\n\r\nno");
	peer_close(s);
	ended(h, 413, "no");
	wait_pool(0, 0);
	peer_free(s);
}
END_TEST

START_TEST(server_that_never_reads)
{
	f->conf.answer_timeout_ns = 60 * MS;
	go();
	struct heard *h = &f->heard[0];
	h->pours = true;
	rig_call(&f->rig, begin_post, h);
	struct peer *s = peer_accept(f->listener);
	rig_call(&f->rig, write_body, h);
	failed(h, SD_HTTP_SENT, SD_ETIMEOUT);
	peer_free(s);
}
END_TEST

static bool has_drained(void *arg)
{
	const struct heard *h = arg;
	return h->drains > 0;
}

START_TEST(backlog_drains)
{
	go();
	struct heard *h = &f->heard[0];
	rig_call(&f->rig, begin_post, h);
	struct peer *s = peer_accept(f->listener);
	rig_call(&f->rig, write_body, h);
	while (!SEEN(&f->rig, h->drains) && peer_fill(s, 20))
		s->n = 0;
	rig_wait(&f->rig, "drained()", has_drained, h);
	peer_free(s);
}
END_TEST

/* ---- pausing ---- */

static void resume(void *arg)
{
	struct heard *h = arg;
	h->pause_at_head = h->pause_each = false;
	if (h->call)
		sd_http_call_resume(h->call);
}

START_TEST(paused_and_resumed)
{
	f->conf.answer_timeout_ns = 60 * MS; /* not for what the caller does not want yet */
	go();
	struct heard *h = &f->heard[0];
	h->pause_at_head = true;
	ask(0);
	struct peer *s = asked();
	peer_say(s, "HTTP/1.1 200 OK\r\nContent-Length: 11\r\n\r\nhello world");
	if (_i)
		peer_close(s); /* the end comes while it is paused */
	rig_wait(&f->rig, "the head", has_head, h);
	ck_assert(!rig_readable(s->fd, 100)); /* longer than the time for an answer, and nothing ends */
	ck_assert_uint_eq(SEEN(&f->rig, h->body_n), 0);
	ck_assert_int_eq(SEEN(&f->rig, h->ends) + SEEN(&f->rig, h->fails), 0);
	rig_call(&f->rig, resume, h);
	ended(h, 200, "hello world");
	peer_free(s);
}
END_TEST

static void resume_once(void *arg)
{
	struct heard *h = arg;
	if (h->call)
		sd_http_call_resume(h->call);
}

START_TEST(paused_at_each_piece)
{
	go();
	struct heard *h = &f->heard[0];
	h->pause_each = true;
	ask(0);
	struct peer *s = asked();
	peer_say(s, "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n1\r\nc\r\n0\r\n\r\n");
	int64_t end = rig_now_ns() + RIG_WAIT_MS * MS;
	do {
		rig_call(&f->rig, resume_once, h);
		ck_assert(rig_now_ns() < end);
	} while (!SEEN(&f->rig, h->ends));
	ended(h, 200, "abc");
	peer_free(s);
}
END_TEST

/* What a paused call does not take stays with the server. */
START_TEST(paused_for_long)
{
	enum { PIECE = 65536 };
	char *piece = calloc(1, PIECE);
	size_t sent = 0;
	go();
	f->heard[0].pause_at_head = true;
	ask(0);
	struct peer *s = asked();
	peer_say(s, "HTTP/1.1 200 OK\r\nContent-Length: 1000000000\r\n\r\n");
	struct pollfd w = {.fd = s->fd, .events = POLLOUT};
	while (poll(&w, 1, 50) == 1) {
		ssize_t put = peer_send_some(s, piece, PIECE);
		ck_assert_int_ge(put, 0);
		sent += (size_t)put;
	}
	ck_assert_uint_lt(sent, 32u << 20);
	free(piece);
	peer_free(s);
}
END_TEST

/* ---- giving up, taking over ---- */

static void cancel(void *arg)
{
	struct heard *h = arg;
	sd_http_call_cancel(h->call);
	h->call = NULL;
}

static void get_and_cancel(void *arg)
{
	get(arg);
	cancel(arg);
}

START_TEST(canceled_anywhere)
{
	static const char *const sofar[] = {"", "HTTP/1.1 200 OK\r\nConte", "HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nx"};
	go();
	rig_call(&f->rig, get_and_cancel, &f->heard[3]); /* still connecting */
	ck_assert_uint_eq(lent().lent, 0);
	struct peer *s = peer_accept(f->listener);
	peer_is_closed(s);
	peer_free(s);
	for (int i = 0; i < 3; i++) {
		struct heard *h = ask(i);
		s = asked();
		peer_say(s, sofar[i]);
		if (i == 2)
			rig_wait(&f->rig, "the head", has_head, h);
		rig_call(&f->rig, cancel, h);
		peer_is_cut(s);
		ck_assert_int_eq(SEEN(&f->rig, h->ends) + SEEN(&f->rig, h->fails), 0);
		wait_pool(0, 0);
		peer_free(s);
	}
}
END_TEST

static char taken[64];
static size_t taken_n;

static size_t taken_data(struct sd_stream *s, const char *p, size_t n)
{
	(void)s;
	ck_assert_uint_lt(taken_n + n, sizeof(taken));
	memcpy(taken + taken_n, p, n);
	taken_n += n;
	return n;
}

static void ignore(struct sd_stream *s)
{
	(void)s;
}

static void ignore_closed(struct sd_stream *s, enum sd_err why)
{
	(void)s;
	(void)why;
}

static const struct sd_stream_events taken_events = {
    .data = taken_data, .eof = ignore, .timeout = ignore, .closed = ignore_closed};

static bool is_taken(void *arg)
{
	const struct heard *h = arg;
	return h->taken != NULL;
}

static void listen_to_taken(void *arg)
{
	struct heard *h = arg;
	sd_stream_hand_over(h->taken, &taken_events, h, 4096);
	sd_stream_resume(h->taken);
}

static bool all_taken(void *arg)
{
	(void)arg;
	return taken_n == 9;
}

/* Bytes that came with the head of a 101 belong to the new protocol. */
START_TEST(stream_is_taken)
{
	go();
	struct heard *h = &f->heard[0];
	h->take = true;
	ask(0);
	struct peer *s = asked();
	peer_say(s, "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nearly");
	rig_wait(&f->rig, "the stream", is_taken, h);
	rig_call(&f->rig, listen_to_taken, h);
	peer_say(s, "late");
	rig_wait(&f->rig, "what came with and after the head", all_taken, NULL);
	ck_assert_int_eq(memcmp(taken, "earlylate", 9), 0);
	wait_pool(0, 0);
	peer_free(s);
}
END_TEST

static TCase *make(const char *name, const TTest *const *tests)
{
	TCase *t = tcase_create(name);
	tcase_add_checked_fixture(t, setup, teardown);
	for (; *tests; tests++)
		tcase_add_test(t, *tests);
	return t;
}

#define TESTS(...) ((const TTest *const[]){__VA_ARGS__, NULL})

int main(void)
{
	TCase *pool = make("pool", TESTS(connections_are_used_again, used_again_at_once, no_more_idle_than_allowed,
					 idle_for_too_long, server_closes_an_idle_connection, bytes_that_nobody_asked_for,
					 bytes_that_came_just_now, an_end_that_came_just_now,
					 stale_connection, not_kept));
	TCase *answers = make("answers", TESTS(answers_byte_by_byte, interims_without_end, answer_until_the_end, answer_until_a_reset,
					       answers_without_a_body));
	TCase *failures =
	    make("failures", TESTS(never_answers, refused, connecting_takes_too_long, refused_at_once));
	TCase *bodies = make("bodies", TESTS(answered_before_the_body_was_sent,
					     answered_and_reset_before_the_body_was_sent, server_that_never_reads,
					     backlog_drains));
	TCase *pausing = make("pausing", TESTS(paused_at_each_piece, paused_for_long, canceled_anywhere, stream_is_taken));
	tcase_add_loop_test(failures, bad_answers, 0, sizeof(bad) / sizeof(bad[0]));
	tcase_add_loop_test(pausing, paused_and_resumed, 0, 2);
	TCase *cases[] = {pool, answers, failures, bodies, pausing};
	return rig_main_of(cases, sizeof(cases) / sizeof(cases[0]), "http_client");
}
