/* The HTTP server with real sockets: what a client may do, and what becomes of it. */
#include <sys/resource.h>

#include "net/http_server.h"
#include "net_rig.h"

/* ---- a handler that does what the path says ---- */

struct fixture {
	struct rig rig;
	struct sd_http_server server;
	struct sd_addr addr;
	struct sd_http_exchange *held; /* /later, /defer, /pause: what a test does with it comes by rig_call */
	int requests, ends, gone, drains, pauses, resumes;
	size_t body_n, most_backlog;
	uint64_t body_sum;
	int64_t left; /* /big */
	struct sd_stream *taken;
	char text[64];
	size_t text_n;
	bool idle;
};

static struct fixture *f;

static struct sd_slice path_of(const struct sd_http_head *head, const char *prefix)
{
	size_t n = strlen(prefix);
	return (struct sd_slice){head->path.p + n, head->path.n - n};
}

static int64_t number_of(struct sd_slice s)
{
	int64_t v = 0;
	for (size_t i = 0; i < s.n; i++)
		v = v * 10 + (s.p[i] - '0');
	return v;
}

static void note_backlog(struct sd_http_exchange *x)
{
	size_t n = sd_stream_backlog(x->stream);
	if (n > f->most_backlog)
		f->most_backlog = n;
}

#define PIECE 8192

static void pour(struct sd_http_exchange *x)
{
	static char piece[PIECE];
	memset(piece, 'x', sizeof(piece));
	while (f->left > 0 && !sd_http_backlog(x)) {
		size_t n = f->left < PIECE ? (size_t)f->left : PIECE;
		sd_http_write(x, piece, n);
		note_backlog(x);
		f->left -= (int64_t)n;
	}
	if (f->left == 0) {
		f->left = -1;
		sd_http_finish(x);
	}
}

static void begin_stream(struct sd_http_exchange *x, int64_t length)
{
	sd_http_begin(x, 200, (struct sd_slice){0});
	sd_http_head_done(x, length);
}

static size_t taken_data(struct sd_stream *s, const char *p, size_t n)
{
	sd_stream_write(s, "<", 1);
	sd_stream_write(s, p, n);
	sd_stream_write(s, ">", 1);
	return n;
}

static void taken_eof(struct sd_stream *s)
{
	f->taken = NULL;
	sd_stream_close(s);
}

static void taken_closed(struct sd_stream *s, enum sd_err why)
{
	(void)why;
	taken_eof(s);
}

static const struct sd_stream_events taken_events = {
    .data = taken_data, .eof = taken_eof, .timeout = taken_eof, .closed = taken_closed};

static void upgrade(struct sd_http_exchange *x)
{
	sd_http_begin(x, 101, (struct sd_slice){0});
	sd_http_field_text(x, "Upgrade", "angle");
	sd_http_field_text(x, "Connection", "upgrade");
	sd_http_head_done(x, SD_HTTP_UNKNOWN);
	f->taken = sd_http_take_stream(x);
	sd_stream_hand_over(f->taken, &taken_events, f, 4096);
	sd_stream_resume(f->taken);
}

static void on_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	struct sd_slice path = head->path;
	f->requests++;
	f->body_n = 0;
	f->body_sum = 0;
	if (sd_slice_eq(path, "/echo")) {
		x->user = f;
		begin_stream(x, head->framing == SD_HTTP_BODY_LENGTH ? (int64_t)head->content_length : SD_HTTP_UNKNOWN);
	} else if (sd_slice_eq(path, "/collect")) {
		x->user = &f->body_n;
	} else if (sd_slice_eq(path, "/later") || sd_slice_eq(path, "/pause") || sd_slice_eq(path, "/defer")) {
		f->held = x;
		x->user = &f->held;
		x->defer_continue = sd_slice_eq(path, "/defer");
		if (sd_slice_eq(path, "/pause"))
			sd_http_body_pause(x);
	} else if (sd_slice_starts(path, "/big/") || sd_slice_starts(path, "/endless/")) {
		x->user = &f->left;
		f->left = number_of(path_of(head, path.p[1] == 'b' ? "/big/" : "/endless/"));
		begin_stream(x, path.p[1] == 'b' ? f->left : SD_HTTP_UNKNOWN);
		pour(x);
	} else if (sd_slice_starts(path, "/status/")) {
		sd_http_respond_text(x, (int)number_of(path_of(head, "/status/")), "status\n");
	} else if (sd_slice_eq(path, "/upgrade")) {
		upgrade(x);
	} else {
		sd_http_respond(x, 200, NULL, "text/plain", path.p, path.n);
	}
}

static void on_body(struct sd_http_exchange *x, const char *p, size_t n)
{
	f->body_n += n;
	for (size_t i = 0; i < n; i++)
		f->body_sum = f->body_sum * 31 + (unsigned char)p[i];
	if (x->user != f)
		return;
	sd_http_write(x, p, n);
	note_backlog(x);
	if (sd_http_backlog(x)) {
		f->pauses++;
		sd_http_body_pause(x);
	}
}

static void on_end(struct sd_http_exchange *x)
{
	f->ends++;
	if (x->user == f)
		sd_http_finish(x);
	else if (x->user == &f->body_n)
		sd_http_respond_text(x, 200, "%zu\n", f->body_n);
}

static void on_drained(struct sd_http_exchange *x)
{
	f->drains++;
	if (x->user == &f->left)
		pour(x);
	else if (x->user == f)
		sd_http_body_resume(x);
}

static void on_gone(struct sd_http_exchange *x)
{
	f->gone++;
	if (f->held == x)
		f->held = NULL;
}

static const struct sd_http_handler handler = {
    .request = on_request, .body = on_body, .end = on_end, .drained = on_drained, .gone = on_gone};

/* ---- the server of a test ---- */

static struct sd_http_server_conf conf;

static void listen_on_loop(void *arg)
{
	struct sd_error e = {0};
	(void)arg;
	ck_assert_int_eq(sd_addr_parse("127.0.0.1:0", "127.0.0.1", &f->addr, &e), SD_OK);
	sd_http_server_init(&f->server, f->rig.loop, &conf, &handler, f);
	ck_assert_msg(sd_http_server_listen(&f->server, &f->addr, false, &e) == SD_OK, "%s", e.text);
}

static void setup(void)
{
	f = calloc(1, sizeof(*f));
	conf = sd_http_server_defaults;
	rig_make(&f->rig);
}

/* After a test changed conf. */
static void go(void)
{
	listen_on_loop(NULL);
	rig_run(&f->rig);
}

static void stop_on_loop(void *arg)
{
	(void)arg;
	if (f->taken)
		sd_stream_close(f->taken);
	f->taken = NULL;
	sd_http_server_stop(&f->server);
}

#define LOOKED(what) SEEN(&f->rig, f->what)

static void teardown(void)
{
	rig_call(&f->rig, stop_on_loop, NULL);
	rig_free(&f->rig);
	free(f);
	f = NULL;
}

static struct peer *client(void)
{
	return peer_connect(f->addr.port);
}

static bool all_closed(void *arg)
{
	(void)arg;
	return f->server.stats.active == 0;
}

static void wait_closed(void)
{
	rig_wait(&f->rig, "all connections to be closed", all_closed, NULL);
}

static bool is_held(void *arg)
{
	(void)arg;
	return f->held != NULL;
}

static void wait_held(void)
{
	rig_wait(&f->rig, "the request to reach the handler", is_held, NULL);
}

static bool poured(void *arg)
{
	(void)arg;
	return f->left == -1;
}

static bool above_high(void *arg)
{
	(void)arg;
	return f->most_backlog > SD_STREAM_HIGH;
}

static bool one_gone(void *arg)
{
	(void)arg;
	return f->gone == 1 && f->server.stats.active == 0;
}

static void respond_held(void *arg)
{
	struct sd_http_exchange *x = f->held;
	const char *const *text = arg;
	f->held = NULL;
	sd_http_respond(x, 200, NULL, "text/plain", *text, strlen(*text));
}

static void answer_held(const char *text)
{
	rig_call(&f->rig, respond_held, &text);
}

static void post(struct peer *c, const char *path, size_t n, const char *fields)
{
	char head[512];
	snprintf(head, sizeof(head), "POST %s HTTP/1.1\r\nHost: h\r\nContent-Length: %zu\r\n%s\r\n", path, n, fields);
	peer_say(c, head);
}

static char *filled(size_t n)
{
	char *p = malloc(n);
	for (size_t i = 0; i < n; i++)
		p[i] = (char)('a' + i % 23);
	return p;
}

/* ---- keep-alive and pipelining ---- */

START_TEST(keep_alive)
{
	go();
	struct peer *c = client();
	for (int i = 0; i < 5; i++) {
		peer_say(c, "GET /one HTTP/1.1\r\nHost: h\r\n\r\n");
		ck_assert_str_eq(peer_answer(c, 200), "/one");
		ck_assert(peer_has(c, "Content-Length: 4"));
		ck_assert_ptr_null(strstr(c->head, "Connection:"));
		ck_assert_ptr_nonnull(strstr(c->head, "\r\nDate: "));
	}
	peer_say(c, "GET /two HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n");
	ck_assert_str_eq(peer_answer(c, 200), "/two");
	ck_assert(peer_has(c, "Connection: close"));
	peer_ends(c);
	peer_free(c);
	wait_closed();
	ck_assert_int_eq(LOOKED(requests), 6);
	ck_assert_int_eq(LOOKED(gone), 0);
}
END_TEST

START_TEST(http_1_0)
{
	go();
	struct peer *c = client();
	peer_say(c, "GET /kept HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	ck_assert_str_eq(peer_answer(c, 200), "/kept");
	ck_assert(peer_has(c, "Connection: keep-alive"));
	peer_say(c, "GET /closed HTTP/1.0\r\n\r\n");
	ck_assert_str_eq(peer_answer(c, 200), "/closed");
	ck_assert(peer_has(c, "Connection: close"));
	peer_ends(c);
	peer_free(c);
}
END_TEST

/* An answer of unknown length to HTTP/1.0 ends with the connection, also when it was to be kept. */
START_TEST(http_1_0_without_length)
{
	go();
	struct peer *c = client();
	peer_say(c, "GET /endless/100000 HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
	peer_head(c);
	ck_assert(peer_has(c, "Connection: close"));
	ck_assert_ptr_null(strstr(c->head, "Transfer-Encoding"));
	peer_append_body(c, 100000);
	peer_ends(c);
	peer_free(c);
}
END_TEST

enum { MANY = 500 };

static size_t write_many(char *out, size_t size)
{
	size_t n = 0;
	for (int i = 0; i < MANY; i++)
		n += (size_t)(i % 3 ? snprintf(out + n, size - n, "GET /n%d HTTP/1.1\r\nHost: h\r\n\r\n", i)
				    : snprintf(out + n, size - n,
					      "POST /collect HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%0*d", i % 7,
					      i % 7, 0) -
					  (i % 7 == 0));
	return n;
}

static void read_many(struct peer *c)
{
	char want[32];
	for (int i = 0; i < MANY; i++) {
		snprintf(want, sizeof(want), i % 3 ? "/n%d" : "%d\n", i % 3 ? i : i % 7);
		ck_assert_str_eq(peer_answer(c, 200), want);
	}
	ck_assert_uint_eq(c->n, 0);
}

START_TEST(pipelined_in_one_write)
{
	char all[MANY * 80];
	go();
	struct peer *c = client();
	peer_send(c, all, write_many(all, sizeof(all)));
	read_many(c);
	peer_free(c);
}
END_TEST

START_TEST(pipelined_byte_by_byte)
{
	char all[MANY * 80];
	size_t n = write_many(all, sizeof(all));
	go();
	struct peer *c = client();
	for (size_t i = 0; i < n; i++)
		peer_send(c, all + i, 1);
	read_many(c);
	peer_free(c);
	ck_assert_int_eq(LOOKED(requests), MANY);
}
END_TEST

/* What was sent ahead waits while a request is held, in order, also beyond what a stream keeps. */
START_TEST(pipelined_behind_a_slow_one)
{
	char *many = malloc(MANY * 200), name[64];
	size_t n = 0;
	go();
	struct peer *c = client();
	peer_say(c, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
	wait_held();
	for (int i = 0; i < MANY; i++)
		n += (size_t)snprintf(many + n, MANY * 200 - n, "GET /n%d HTTP/1.1\r\nHost: h\r\nPadding: %0100d\r\n\r\n", i, 0);
	peer_send(c, many, n);
	peer_is_quiet(c);
	ck_assert_int_eq(LOOKED(requests), 1);
	answer_held("late");
	ck_assert_str_eq(peer_answer(c, 200), "late");
	for (int i = 0; i < MANY; i++) {
		snprintf(name, sizeof(name), "/n%d", i);
		ck_assert_str_eq(peer_answer(c, 200), name);
	}
	peer_free(c);
	free(many);
}
END_TEST

/* ---- bodies ---- */

START_TEST(chunked_both_ways)
{
	go();
	struct peer *c = client();
	peer_say(c, "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
		    "5;x=1\r\nhello\r\n1\r\n \r\n0005\r\nworld\r\n0\r\nTrailer: gone\r\n\r\n");
	ck_assert_str_eq(peer_answer(c, 200), "hello world");
	ck_assert(peer_has(c, "Transfer-Encoding: chunked"));
	ck_assert_ptr_null(strstr(c->head, "Content-Length"));
	peer_say(c, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
	ck_assert_str_eq(peer_answer(c, 200), "/next");
	peer_free(c);
}
END_TEST

START_TEST(bad_chunk)
{
	go();
	struct peer *c = client();
	peer_say(c, "POST /collect HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhelloX");
	peer_answer(c, 400);
	ck_assert(peer_has(c, "Connection: close"));
	peer_ends(c);
	peer_free(c);
	wait_closed();
	ck_assert_int_eq(LOOKED(gone), 1);
	ck_assert_uint_eq(LOOKED(server.stats.refused), 1);
}
END_TEST

/* Once an answer has begun, a broken body can only be shown by cutting it. */
START_TEST(bad_chunk_after_the_answer_began)
{
	go();
	struct peer *c = client();
	peer_say(c, "POST /echo HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n");
	peer_head(c);
	peer_say(c, "nonsense\r\n");
	peer_is_cut(c);
	peer_free(c);
	wait_closed();
	ck_assert_int_eq(LOOKED(gone), 1);
}
END_TEST

START_TEST(no_body_where_none_belongs)
{
	go();
	struct peer *c = client();
	peer_say(c, "HEAD /abc HTTP/1.1\r\nHost: h\r\n\r\n"
		    "GET /status/204 HTTP/1.1\r\nHost: h\r\n\r\n"
		    "GET /status/304 HTTP/1.1\r\nHost: h\r\n\r\n"
		    "HEAD /endless/100 HTTP/1.1\r\nHost: h\r\n\r\n"
		    "GET /end HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_head(c);
	ck_assert(peer_has(c, "Content-Length: 4"));
	peer_head(c);
	ck_assert_int_eq(peer_status(c), 204);
	ck_assert_ptr_null(strstr(c->head, "Content-Length"));
	peer_head(c);
	ck_assert_int_eq(peer_status(c), 304);
	peer_head(c);
	ck_assert_int_eq(peer_status(c), 200);
	ck_assert_str_eq(peer_answer(c, 200), "/end");
	peer_free(c);
}
END_TEST

/* ---- Expect: 100-continue ---- */

START_TEST(continue_by_itself)
{
	go();
	struct peer *c = client();
	post(c, "/collect", 5, "Expect: 100-continue\r\n");
	peer_answer(c, 100);
	peer_say(c, "hello");
	ck_assert_str_eq(peer_answer(c, 200), "5\n");
	peer_say(c, "GET /kept HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_answer(c, 200);
	peer_free(c);
}
END_TEST

/* The body came without waiting: a 100 would be late but does no harm; the answer must follow. */
START_TEST(continue_not_waited_for)
{
	go();
	struct peer *c = client();
	peer_say(c, "POST /collect HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\nExpect: 100-continue\r\n\r\nhello");
	peer_head(c);
	if (peer_status(c) == 100)
		peer_head(c);
	ck_assert_int_eq(peer_status(c), 200);
	peer_free(c);
}
END_TEST

/* A handler that begins to answer before the body came wants it nevertheless: the client is told to send. */
START_TEST(continue_when_the_answer_begins_early)
{
	go();
	struct peer *c = client();
	post(c, "/echo", 5, "Expect: 100-continue\r\n");
	peer_answer(c, 100);
	peer_head(c);
	ck_assert_int_eq(peer_status(c), 200);
	peer_say(c, "hello");
	peer_body(c);
	ck_assert_str_eq(c->body, "hello");
	peer_say(c, "GET /kept HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_answer(c, 200);
	peer_free(c);
}
END_TEST

static void send_continue(void *arg)
{
	(void)arg;
	sd_http_interim(f->held, 100, "");
}

START_TEST(continue_deferred)
{
	go();
	struct peer *c = client();
	post(c, "/defer", 5, "Expect: 100-continue\r\n");
	wait_held();
	peer_is_quiet(c);
	rig_call(&f->rig, send_continue, NULL);
	peer_answer(c, 100);
	peer_say(c, "hello");
	answer_held("thanks");
	ck_assert_str_eq(peer_answer(c, 200), "thanks");
	peer_free(c);
}
END_TEST

/* A final answer instead: nobody knows whether the body will come, so the connection ends. */
START_TEST(continue_refused)
{
	go();
	struct peer *c = client();
	post(c, "/status/403", 5, "Expect: 100-continue\r\n");
	ck_assert_str_eq(peer_answer(c, 403), "status\n");
	ck_assert(peer_has(c, "Connection: close"));
	peer_ends(c);
	peer_free(c);
	c = client();
	post(c, "/collect", 5, "Expect: something-else\r\n");
	peer_answer(c, 417);
	peer_ends(c);
	peer_free(c);
}
END_TEST

static void resume_held(void *arg)
{
	(void)arg;
	sd_http_body_resume(f->held);
}

START_TEST(continue_after_a_pause)
{
	go();
	struct peer *c = client();
	post(c, "/pause", 5, "Expect: 100-continue\r\n");
	wait_held();
	peer_is_quiet(c);
	rig_call(&f->rig, resume_held, NULL);
	peer_answer(c, 100);
	peer_say(c, "hello");
	answer_held("ok");
	peer_answer(c, 200);
	peer_free(c);
}
END_TEST

/* ---- answers before the body ---- */

START_TEST(early_answer_to_a_small_body)
{
	go();
	struct peer *c = client();
	post(c, "/early", 1000, "");
	ck_assert_str_eq(peer_answer(c, 200), "/early");
	ck_assert_ptr_null(strstr(c->head, "Connection:"));
	char *body = filled(1000);
	peer_send(c, body, 1000);
	peer_say(c, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
	ck_assert_str_eq(peer_answer(c, 200), "/next");
	ck_assert_uint_eq(LOOKED(body_n), 0);
	free(body);
	peer_free(c);
}
END_TEST

/* The client goes on sending for a while and must still be able to read the answer. */
START_TEST(early_answer_to_a_large_body)
{
	go();
	struct peer *c = client();
	post(c, "/status/403", 10 << 20, "");
	char *body = filled(1 << 19);
	peer_send(c, body, 1 << 19);
	ck_assert_str_eq(peer_answer(c, 403), "status\n");
	ck_assert(peer_has(c, "Connection: close"));
	peer_ends(c);
	free(body);
	peer_free(c);
	wait_closed();
}
END_TEST

START_TEST(early_answer_to_a_client_that_never_stops)
{
	go();
	struct peer *c = client();
	post(c, "/status/403", 1u << 30, "");
	char *body = filled(1 << 16);
	size_t sent = 0;
	ssize_t put = 0;
	while (put >= 0) {
		struct pollfd w = {.fd = c->fd, .events = POLLOUT};
		ck_assert_int_eq(poll(&w, 1, RIG_WAIT_MS), 1);
		put = peer_send_some(c, body, 1 << 16);
		sent += put > 0 ? (size_t)put : 0;
		ck_assert_uint_lt(sent, 64u << 20); /* what is thrown away is limited; the rest is in the kernel */
	}
	peer_fill(c, RIG_WAIT_MS);
	ck_assert_msg(c->n > 0 && strncmp(c->in, "HTTP/1.1 403", 12) == 0, "the answer was lost");
	free(body);
	peer_free(c);
	wait_closed();
}
END_TEST

START_TEST(too_large_a_body)
{
	conf.max_body = 1000;
	go();
	struct peer *c = client();
	post(c, "/collect", 1001, "");
	peer_answer(c, 413);
	peer_ends(c);
	peer_free(c);
	ck_assert_int_eq(LOOKED(requests), 0);
	c = client();
	peer_say(c, "POST /collect HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n"
		    "1f4\r\n");
	char *body = filled(501);
	peer_send(c, body, 500);
	peer_say(c, "\r\n1f5\r\n");
	peer_send(c, body, 501);
	peer_answer(c, 413);
	peer_ends(c);
	peer_free(c);
	wait_closed();
	ck_assert_int_eq(LOOKED(gone), 1);
	ck_assert_uint_eq(LOOKED(server.stats.refused), 2);
	c = client();
	post(c, "/collect", 1000, "");
	peer_send(c, body, 500);
	peer_send(c, body, 500);
	ck_assert_str_eq(peer_answer(c, 200), "1000\n");
	free(body);
	peer_free(c);
}
END_TEST

/* ---- slow clients ---- */

START_TEST(slow_head)
{
	conf.head_timeout_ns = 60 * MS;
	go();
	struct peer *c = client();
	peer_say(c, "GET / HTTP/1.1\r\nHo");
	peer_answer(c, 408);
	ck_assert(peer_has(c, "Connection: close"));
	peer_ends(c);
	peer_free(c);
	wait_closed();
	ck_assert_uint_eq(LOOKED(server.stats.timeouts), 1);
	ck_assert_int_eq(LOOKED(requests), 0);
}
END_TEST

/* A byte now and then does not help: the time is for the whole head. */
START_TEST(trickled_head)
{
	static const char head[] = "GET / HTTP/1.1\r\nHost: h\r\nPadding: ";
	conf.head_timeout_ns = 100 * MS;
	go();
	struct peer *c = client();
	int64_t begun = rig_now_ns();
	for (size_t i = 0; !rig_readable(c->fd, 5); i++) {
		ck_assert(rig_now_ns() < begun + RIG_WAIT_MS * MS);
		peer_send_some(c, i < sizeof(head) - 1 ? head + i : "x", 1);
	}
	peer_answer(c, 408);
	ck_assert_int_ge(rig_now_ns() - begun, 90 * MS);
	peer_free(c);
}
END_TEST

START_TEST(slow_body)
{
	conf.body_timeout_ns = 60 * MS;
	go();
	struct peer *c = client();
	post(c, "/collect", 10, "");
	peer_say(c, "12345");
	peer_answer(c, 408);
	peer_ends(c);
	peer_free(c);
	wait_closed();
	ck_assert_int_eq(LOOKED(gone), 1);
	ck_assert_uint_eq(LOOKED(server.stats.timeouts), 1);
}
END_TEST

START_TEST(idle_too_long)
{
	conf.idle_timeout_ns = 50 * MS;
	go();
	struct peer *c = client(), *never = client();
	peer_say(c, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_answer(c, 200);
	peer_ends(c);
	peer_ends(never);
	peer_free(c);
	peer_free(never);
	ck_assert_uint_eq(LOOKED(server.stats.timeouts), 0);
}
END_TEST

/* ---- slow readers ---- */

START_TEST(back_pressure)
{
	enum { LENGTH = 32 << 20 };
	char path[128];
	go();
	struct peer *c = peer_connect_with(f->addr.port, 8192);
	snprintf(path, sizeof(path), "GET /big/%d HTTP/1.1\r\nHost: h\r\n\r\n", LENGTH);
	peer_say(c, path);
	rig_wait(&f->rig, "the kernel to be full", above_high, NULL);
	peer_head(c);
	size_t got = c->n;
	while (got < LENGTH) {
		c->n = 0;
		ck_assert(peer_fill(c, RIG_WAIT_MS));
		got += c->n;
	}
	c->n = 0;
	ck_assert_uint_eq(got, LENGTH);
	ck_assert_uint_le(LOOKED(most_backlog), SD_STREAM_HIGH + PIECE);
	ck_assert_int_gt(LOOKED(drains), 0);
	peer_say(c, "GET /next HTTP/1.1\r\nHost: h\r\n\r\n");
	ck_assert_str_eq(peer_answer(c, 200), "/next");
	peer_free(c);
}
END_TEST

/* Both directions at once: what cannot be written is not read either. */
START_TEST(back_pressure_of_an_echo)
{
	enum { LENGTH = 16 << 20 };
	go();
	struct peer *c = peer_connect_with(f->addr.port, 8192);
	char *body = filled(1 << 16);
	post(c, "/echo", LENGTH, "");
	size_t sent = 0, got = 0;
	bool stuck = false; /* nothing is read until the server stopped reading */
	while (sent < LENGTH || got < LENGTH) {
		stuck = stuck || LOOKED(pauses) > 0;
		struct pollfd p = {.fd = c->fd, .events = (short)((stuck ? POLLIN : 0) | (sent < LENGTH ? POLLOUT : 0))};
		int any = poll(&p, 1, stuck ? RIG_WAIT_MS : 1);
		ck_assert(any == 1 || !stuck);
		if (p.revents & POLLOUT) {
			size_t n = LENGTH - sent < 1 << 16 ? LENGTH - sent : 1 << 16;
			ssize_t put = peer_send_some(c, body, n);
			ck_assert_int_ge(put, 0);
			sent += (size_t)put;
		}
		if (p.revents & POLLIN) {
			if (!got)
				peer_head(c);
			else
				ck_assert(peer_fill(c, 0));
			got += c->n;
			c->n = 0;
		}
	}
	ck_assert_uint_eq(got, LENGTH);
	/* one read of the loop's buffer at most on top of the mark, and the frames of it */
	ck_assert_uint_le(LOOKED(most_backlog), SD_STREAM_HIGH + SD_LOOP_SCRATCH + 4096);
	free(body);
	peer_free(c);
}
END_TEST

START_TEST(reader_that_never_reads)
{
	conf.send_timeout_ns = 80 * MS;
	go();
	struct peer *c = peer_connect_with(f->addr.port, 4096);
	peer_say(c, "GET /big/100000000 HTTP/1.1\r\nHost: h\r\n\r\n");
	rig_wait(&f->rig, "the server to give up", one_gone, NULL);
	ck_assert_uint_eq(LOOKED(server.stats.timeouts), 1);
	peer_is_cut(c);
	peer_free(c);
}
END_TEST

/* The same while its body is paused for that reason: the pause must not stop the clock. */
START_TEST(echo_that_is_never_read)
{
	conf.send_timeout_ns = 80 * MS;
	go();
	struct peer *c = peer_connect_with(f->addr.port, 4096);
	char *body = filled(1 << 16);
	post(c, "/echo", 1 << 30, "");
	int64_t end = rig_now_ns() + RIG_WAIT_MS * MS;
	while (peer_send_some(c, body, 1 << 16) >= 0) {
		ck_assert_msg(rig_now_ns() < end, "the server waits for ever");
		poll(NULL, 0, 1);
	}
	rig_wait(&f->rig, "the server to give up", one_gone, NULL);
	ck_assert_int_gt(LOOKED(pauses), 0);
	free(body);
	peer_free(c);
}
END_TEST

/* ---- half-closed and lost clients ---- */

START_TEST(half_close_after_the_request)
{
	go();
	struct peer *c = client();
	peer_say(c, "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_shut(c);
	ck_assert_str_eq(peer_answer(c, 200), "/a");
	ck_assert_str_eq(peer_answer(c, 200), "/b");
	peer_ends(c);
	peer_free(c);
	c = client();
	peer_say(c, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
	wait_held();
	peer_shut(c);
	peer_is_quiet(c);
	answer_held("late");
	ck_assert_str_eq(peer_answer(c, 200), "late");
	ck_assert(peer_has(c, "Connection: close"));
	peer_ends(c);
	peer_free(c);
	wait_closed();
	ck_assert_int_eq(LOOKED(gone), 0);
}
END_TEST

/* Accepted sockets get the listener's buffer, so that the kernel takes little and the rest waits in the stream. */
static void small_buffers(void)
{
	for (int fd = 3; fd < 64; fd++) {
		int listens = 0, size = 4096;
		socklen_t n = sizeof(listens);
		if (getsockopt(fd, SOL_SOCKET, SO_ACCEPTCONN, &listens, &n) == 0 && listens)
			setsockopt(fd, SOL_SOCKET, SO_SNDBUF, &size, sizeof(size));
	}
}

/* Has an answer written that fits below the stream's mark, but not into the kernel. */
enum { ANSWER = 60000 };

static struct peer *client_of_a_written_answer(void)
{
	small_buffers();
	struct peer *c = peer_connect_with(f->addr.port, 2048);
	peer_say(c, "GET /big/60000 HTTP/1.1\r\nHost: h\r\n\r\n");
	rig_wait(&f->rig, "the answer to be written", poured, NULL);
	ck_assert_uint_gt(LOOKED(most_backlog), ANSWER / 2);
	return c;
}

static void read_the_answer(struct peer *c)
{
	peer_head(c);
	while (peer_fill(c, RIG_WAIT_MS))
		;
	ck_assert_uint_eq(c->n, ANSWER);
	ck_assert_int_eq(c->err, 0);
	peer_free(c);
}

static bool got_eof(void *arg)
{
	(void)arg;
	struct sd_link *k = f->server.connections.next;
	return k == &f->server.connections || sd_container(k, struct sd_http_exchange, link)->stream->got_eof;
}

START_TEST(half_close_while_the_answer_waits)
{
	go();
	struct peer *c = client_of_a_written_answer();
	peer_shut(c);
	rig_wait(&f->rig, "the end to arrive", got_eof, NULL);
	read_the_answer(c);
}
END_TEST

/* The same when the answer was the last anyway. */
START_TEST(half_close_while_the_last_answer_waits)
{
	go();
	small_buffers();
	struct peer *c = peer_connect_with(f->addr.port, 2048);
	peer_say(c, "GET /big/60000 HTTP/1.0\r\n\r\n");
	rig_wait(&f->rig, "the answer to be written", poured, NULL);
	peer_shut(c);
	rig_wait(&f->rig, "the end to arrive", got_eof, NULL);
	read_the_answer(c);
}
END_TEST

START_TEST(gone_in_the_middle_of_a_body)
{
	go();
	struct peer *c = client();
	post(c, "/collect", 100, "");
	peer_say(c, "half");
	peer_close(c);
	rig_wait(&f->rig, "gone()", one_gone, NULL);
	ck_assert_uint_eq(LOOKED(server.stats.aborted), 1);
	ck_assert_int_eq(LOOKED(ends), 0);
	peer_free(c);
}
END_TEST

/* The end of the stream comes while the handler has the body paused: of a length that was told, all that was not sent is missed at
 * once. */
START_TEST(gone_while_paused)
{
	go();
	struct peer *c = client();
	post(c, "/pause", 100, "");
	wait_held();
	peer_say(c, "half");
	peer_shut(c);
	rig_wait(&f->rig, "gone()", one_gone, NULL);
	ck_assert_int_eq(LOOKED(ends), 0);
	peer_free(c);
}
END_TEST

/* Whether the last chunk is there is seen when it is read. */
START_TEST(gone_while_chunks_are_paused)
{
	go();
	struct peer *c = client();
	peer_say(c, "POST /pause HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n");
	wait_held();
	peer_say(c, "8\r\nhalf");
	peer_shut(c);
	rig_wait(&f->rig, "the end to arrive", got_eof, NULL);
	rig_call(&f->rig, resume_held, NULL);
	rig_wait(&f->rig, "gone()", one_gone, NULL);
	ck_assert_int_eq(LOOKED(ends), 0);
	peer_free(c);
}
END_TEST

START_TEST(gone_in_the_middle_of_an_answer)
{
	go();
	struct peer *c = client();
	peer_say(c, "GET /big/1000000000 HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_head(c);
	peer_reset(c);
	rig_wait(&f->rig, "gone()", one_gone, NULL);
	peer_free(c);
}
END_TEST

START_TEST(gone_while_the_answer_is_thought_about)
{
	go();
	struct peer *c = client();
	peer_say(c, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
	wait_held();
	peer_reset(c);
	rig_wait(&f->rig, "gone()", one_gone, NULL);
	ck_assert_ptr_null(LOOKED(held));
	peer_free(c);
}
END_TEST

/* An answer cut short by its handler must not look complete. */
static void abort_held(void *arg)
{
	(void)arg;
	struct sd_http_exchange *x = f->held;
	f->held = NULL;
	begin_stream(x, SD_HTTP_UNKNOWN);
	sd_http_write(x, "part", 4);
	sd_http_abort(x);
}

static void finish_short(void *arg)
{
	(void)arg;
	struct sd_http_exchange *x = f->held;
	f->held = NULL;
	begin_stream(x, 10);
	sd_http_write(x, "part", 4);
	sd_http_finish(x);
}

START_TEST(cut_answers)
{
	void (*const ways[])(void *) = {abort_held, finish_short};
	go();
	for (int i = 0; i < 2; i++) {
		struct peer *c = client();
		peer_say(c, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
		wait_held();
		rig_call(&f->rig, ways[i], NULL);
		peer_is_cut(c);
		peer_free(c);
	}
	wait_closed();
	ck_assert_int_eq(LOOKED(gone), 0);
}
END_TEST

/* ---- upgrade ---- */

START_TEST(upgrade_keeps_what_came_with_it)
{
	go();
	struct peer *c = client();
	peer_say(c, "GET /upgrade HTTP/1.1\r\nHost: h\r\nUpgrade: angle\r\nConnection: upgrade\r\n\r\nearly");
	peer_head(c);
	ck_assert_int_eq(peer_status(c), 101);
	ck_assert(peer_has(c, "Upgrade: angle"));
	peer_append_body(c, 7);
	ck_assert_str_eq(c->body, "<early>");
	peer_say(c, "more");
	peer_append_body(c, 6);
	ck_assert_str_eq(c->body, "<early><more>");
	wait_closed(); /* it is not the server's any more */
	peer_shut(c);
	peer_ends(c);
	peer_free(c);
}
END_TEST

/* ---- draining and limits ---- */

static void on_idle(struct sd_http_server *srv)
{
	(void)srv;
	f->idle = true;
}

static void drain(void *arg)
{
	(void)arg;
	sd_http_server_drain(&f->server, on_idle);
}

static bool is_idle(void *arg)
{
	(void)arg;
	return f->idle;
}

START_TEST(drain_idle_and_busy)
{
	go();
	struct peer *quiet = client(), *busy = client();
	peer_say(quiet, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_answer(quiet, 200);
	peer_say(busy, "GET /later HTTP/1.1\r\nHost: h\r\n\r\n");
	wait_held();
	rig_call(&f->rig, drain, NULL);
	peer_ends(quiet);
	ck_assert(!LOOKED(idle));
	peer_is_quiet(busy);
	answer_held("last");
	ck_assert_str_eq(peer_answer(busy, 200), "last");
	ck_assert(peer_has(busy, "Connection: close"));
	peer_ends(busy);
	rig_wait(&f->rig, "idle()", is_idle, NULL);
	struct sockaddr_in a = rig_sockaddr(f->addr.port);
	int fd = socket(AF_INET, SOCK_STREAM, 0);
	ck_assert_int_lt(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	close(fd);
	peer_free(quiet);
	peer_free(busy);
}
END_TEST

/* A drain waits for what is written and not yet taken, also of a connection that has no request any more. */
START_TEST(drain_waits_for_a_slow_reader)
{
	go();
	struct peer *c = client_of_a_written_answer();
	rig_call(&f->rig, drain, NULL);
	ck_assert(!LOOKED(idle));
	read_the_answer(c);
	rig_wait(&f->rig, "idle()", is_idle, NULL);
}
END_TEST

static bool is_paused(void *arg)
{
	(void)arg;
	return f->server.paused;
}

START_TEST(no_more_than_max_connections)
{
	conf.max_connections = 2;
	go();
	struct peer *a = client(), *b = client();
	peer_say(a, "GET /a HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_answer(a, 200);
	peer_say(b, "GET /b HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_answer(b, 200);
	rig_wait(&f->rig, "accepting to pause", is_paused, NULL);
	struct peer *c = client(); /* waits in the kernel */
	peer_say(c, "GET /c HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_is_quiet(c);
	ck_assert_uint_eq(LOOKED(server.stats.accepted), 2);
	peer_close(a);
	ck_assert_str_eq(peer_answer(c, 200), "/c");
	peer_free(a);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* ---- what is refused ---- */

static void refused(const char *request, size_t n, int status)
{
	struct peer *c = client();
	peer_send(c, request, n);
	peer_answer(c, status);
	ck_assert(peer_has(c, "Connection: close"));
	peer_ends(c);
	peer_free(c);
}

#define REFUSED(text, status) refused(text, sizeof(text) - 1, status)

START_TEST(refusals)
{
	go();
	REFUSED("GET / HTTP/1.1\r\nHost: h\r\nX: a\0b\r\n\r\n", 400);
	REFUSED("GET / HTTP/1.1\r\n\r\n", 400);
	REFUSED("GET / HTTP/1.1\nHost: h\n\n", 400);
	REFUSED("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 400);
	REFUSED("GET / HTTP/2.0\r\nHost: h\r\n\r\n", 505);
	REFUSED("POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n", 400);
	REFUSED("POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: gzip, chunked\r\n\r\n", 501);
	wait_closed();
	ck_assert_uint_eq(LOOKED(server.stats.refused), 7);
	ck_assert_uint_eq(LOOKED(server.stats.requests), 0);
	ck_assert_int_eq(LOOKED(requests), 0);
}
END_TEST

/* A refusal stands behind the answers to what came before it. */
START_TEST(refused_behind_good_ones)
{
	go();
	struct peer *c = client();
	peer_say(c, "GET /a HTTP/1.1\r\nHost: h\r\n\r\nGARBAGE\r\n\r\nGET /b HTTP/1.1\r\nHost: h\r\n\r\n");
	ck_assert_str_eq(peer_answer(c, 200), "/a");
	peer_answer(c, 400);
	peer_ends(c);
	peer_free(c);
	ck_assert_int_eq(LOOKED(requests), 1);
}
END_TEST

/* A header without end: refused as soon as it is too long, whatever else would come. */
START_TEST(endless_header)
{
	go();
	struct peer *c = client();
	char *filler = filled(4096);
	size_t sent = 0;
	peer_say(c, "GET / HTTP/1.1\r\nHost: h\r\nX: ");
	while (!rig_readable(c->fd, 0)) {
		ssize_t put = peer_send_some(c, filler, 1024);
		ck_assert_int_ge(put, 0);
		sent += (size_t)put;
		ck_assert_uint_lt(sent, 64u << 20);
		poll(NULL, 0, 1); /* so that the server sees it piece by piece */
	}
	peer_answer(c, 431);
	ck_assert_uint_le(sent, conf.limits.max_head + (64u << 10));
	peer_ends(c);
	free(filler);
	peer_free(c);
	wait_closed();
	ck_assert_uint_eq(LOOKED(server.stats.refused), 1);
}
END_TEST

/* A limit above what a stream keeps by itself: a long head that comes in pieces must not get stuck. */
START_TEST(long_head_in_pieces)
{
	conf.limits.max_head = 100000;
	go();
	struct peer *c = client();
	char *filler = filled(1000);
	peer_say(c, "GET /long HTTP/1.1\r\nHost: h\r\n");
	for (int i = 0; i < 90; i++) {
		peer_say(c, "X: ");
		peer_send(c, filler, 900);
		peer_say(c, "\r\n");
		poll(NULL, 0, 1);
	}
	peer_say(c, "\r\n");
	ck_assert_str_eq(peer_answer(c, 200), "/long");
	free(filler);
	peer_free(c);
}
END_TEST

/* ---- out of descriptors ---- */

static bool starved_once(void *arg)
{
	(void)arg;
	return f->server.stats.starved > 0;
}

static int64_t cpu_ns(void)
{
	struct timespec ts;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &ts);
	return (int64_t)ts.tv_sec * 1000000000 + ts.tv_nsec;
}

static void limit_files(rlim_t n)
{
	struct rlimit r;
	ck_assert_int_eq(getrlimit(RLIMIT_NOFILE, &r), 0);
	r.rlim_cur = n;
	ck_assert_int_eq(setrlimit(RLIMIT_NOFILE, &r), 0);
}

START_TEST(out_of_descriptors)
{
	enum { N = 8 };
	struct peer *c[N], *late;
	struct rlimit before;
	getrlimit(RLIMIT_NOFILE, &before);
	go();
	for (int i = 0; i < N; i++)
		c[i] = client();
	for (int i = 0; i < N; i++) {
		peer_say(c[i], "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
		peer_answer(c[i], 200);
	}
	/* All descriptors below the limit are taken; the one more that connects has its own already. */
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	int top = dup(0);
	limit_files((rlim_t)top + 1);
	while (dup(0) >= 0)
		;
	struct sockaddr_in a = rig_sockaddr(f->addr.port);
	ck_assert_int_eq(connect(fd, (struct sockaddr *)&a, sizeof(a)), 0);
	late = peer_new(fd);
	peer_say(late, "GET /late HTTP/1.1\r\nHost: h\r\n\r\n");
	rig_wait(&f->rig, "accepting to pause", starved_once, NULL);
	/* It waits, and does not spin: over a quarter of a second it tries a few times at most. */
	int64_t cpu = cpu_ns(), begun = rig_now_ns();
	ck_assert(!rig_readable(late->fd, 250));
	ck_assert_int_lt(cpu_ns() - cpu, 100 * MS);
	uint64_t tries = LOOKED(server.stats.starved);
	ck_assert_uint_le(tries, 2 + (uint64_t)(rig_now_ns() - begun) / (60 * MS)); /* which is longer on a busy machine */
	/* Those that are connected are served meanwhile. */
	peer_say(c[1], "GET /meanwhile HTTP/1.1\r\nHost: h\r\n\r\n");
	ck_assert_str_eq(peer_answer(c[1], 200), "/meanwhile");
	/* A client leaves: its descriptor serves the one that waits. */
	peer_close(c[0]);
	ck_assert_str_eq(peer_answer(late, 200), "/late");
	setrlimit(RLIMIT_NOFILE, &before);
	for (int i = 0; i < N; i++)
		peer_free(c[i]);
	peer_free(late);
}
END_TEST

/* A thousand clients that only connect, and one that is served among them. */
START_TEST(many_idle_connections)
{
	enum { N = 1000 };
	struct rlimit r;
	getrlimit(RLIMIT_NOFILE, &r);
	r.rlim_cur = r.rlim_max;
	setrlimit(RLIMIT_NOFILE, &r);
	ck_assert_uint_gt(r.rlim_cur, 2 * N + 100);
	int *fds = calloc(N, sizeof(*fds));
	struct sockaddr_in a;
	go();
	a = rig_sockaddr(f->addr.port);
	for (int i = 0; i < N; i++) {
		fds[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
		ck_assert_int_ge(fds[i], 0);
		ck_assert_int_eq(connect(fds[i], (struct sockaddr *)&a, sizeof(a)), 0);
	}
	struct peer *c = client();
	peer_say(c, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_answer(c, 200);
	peer_free(c);
	for (int i = 0; i < N; i++)
		close(fds[i]);
	free(fds);
	wait_closed();
	ck_assert_uint_eq(LOOKED(server.stats.accepted), N + 1);
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

int main(void)
{
	TCase *cases[] = {
	    make("requests", (const TTest *const[]){keep_alive, http_1_0, http_1_0_without_length, pipelined_in_one_write,
						    pipelined_byte_by_byte, pipelined_behind_a_slow_one, NULL}),
	    make("bodies",
		 (const TTest *const[]){chunked_both_ways, bad_chunk, bad_chunk_after_the_answer_began,
					no_body_where_none_belongs, continue_by_itself, continue_not_waited_for,
					continue_when_the_answer_begins_early, continue_deferred, continue_refused,
					continue_after_a_pause, early_answer_to_a_small_body, early_answer_to_a_large_body,
					early_answer_to_a_client_that_never_stops, too_large_a_body, NULL}),
	    make("slow clients",
		 (const TTest *const[]){slow_head, trickled_head, slow_body, idle_too_long, back_pressure,
					back_pressure_of_an_echo, reader_that_never_reads, echo_that_is_never_read, NULL}),
	    make("ends", (const TTest *const[]){half_close_after_the_request, half_close_while_the_answer_waits,
						half_close_while_the_last_answer_waits,
						gone_in_the_middle_of_a_body, gone_while_paused, gone_while_chunks_are_paused,
						gone_in_the_middle_of_an_answer, gone_while_the_answer_is_thought_about,
						cut_answers, upgrade_keeps_what_came_with_it, drain_idle_and_busy,
						drain_waits_for_a_slow_reader, no_more_than_max_connections, NULL}),
	    make("refused", (const TTest *const[]){refusals, refused_behind_good_ones, endless_header, long_head_in_pieces,
						   NULL}),
	    make("descriptors", (const TTest *const[]){out_of_descriptors, many_idle_connections, NULL}),
	};
	return rig_main_of(cases, sizeof(cases) / sizeof(cases[0]), "http_server");
}
