/* One request, waited for: against raw servers on a thread of their own. */
#include <sys/un.h>

#include "core/list.h"
#include "net/http_fetch.h"
#include "net_rig.h"

#define SECOND 1000000000ll

static struct {
	struct sd_world *world;
	int fd;
	uint16_t port;
	pthread_t thread;
	bool running;
	const char *answer; /* NULL: none */
	bool stays;         /* open until the client closes */
	char request[20000];
} * t;

static void setup(void)
{
	t = calloc(1, sizeof(*t));
	t->world = sd_world_real();
	t->fd = rig_listen(&t->port);
}

static void join(void)
{
	if (t->running)
		pthread_join(t->thread, NULL);
	t->running = false;
}

static void teardown(void)
{
	join();
	sd_world_free(t->world);
	close(t->fd);
	free(t);
}

/* One connection: reads the request, answers as told. */
static void *serve(void *arg)
{
	(void)arg;
	struct peer *p = peer_accept(t->fd);
	snprintf(t->request, sizeof(t->request), "%s", peer_request(p));
	if (t->answer)
		peer_say(p, t->answer);
	if (t->stays)
		peer_is_closed(p);
	peer_free(p);
	return NULL;
}

static void answer_with(const char *answer)
{
	join();
	t->answer = answer;
	ck_assert_int_eq(pthread_create(&t->thread, NULL, serve, NULL), 0);
	t->running = true;
}

struct fetched {
	enum sd_err err;
	int status;
	char *body;
	size_t n;
	struct sd_error e;
};

static struct fetched fetch_at(const char *addr, const char *method, const char *path, int64_t timeout_ns)
{
	struct fetched f = {0};
	f.err = sd_http_fetch(t->world, addr, method, path, timeout_ns, &f.status, &f.body, &f.n, &f.e);
	return f;
}

static struct fetched fetch(const char *method, const char *path, int64_t timeout_ns)
{
	char addr[40];
	snprintf(addr, sizeof(addr), "127.0.0.1:%d", t->port);
	struct fetched f = fetch_at(addr, method, path, timeout_ns);
	join();
	return f;
}

static void answers(const char *answer, int status, const char *body)
{
	answer_with(answer);
	struct fetched f = fetch("GET", "/", 10 * SECOND);
	ck_assert_msg(f.err == SD_OK, "%s", f.e.text);
	ck_assert_int_eq(f.status, status);
	ck_assert_str_eq(f.body, body);
	ck_assert_uint_eq(f.n, strlen(body));
	free(f.body);
}

static void fails(struct fetched f, enum sd_err err, const char *message)
{
	ck_assert_str_eq(f.e.text, message);
	ck_assert_int_eq(f.err, err);
	ck_assert_ptr_null(f.body);
}

START_TEST(bodies)
{
	answers("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello");
	answers("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "");
	answers("HTTP/1.1 204 No Content\r\n\r\n", 204, "");
	answers("HTTP/1.1 200 OK\r\n\r\nuntil the end", 200, "until the end");
	answers("HTTP/1.0 200 OK\r\n\r\n", 200, "");
	answers("HTTP/1.1 503 Busy\r\nContent-Length: 3\r\n\r\nno\n", 503, "no\n");
	answers("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.1 404 Not Found\r\nContent-Length: 1\r\n\r\nx", 404,
	     "x");
	t->stays = true;
	answers("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhello", 200, "hello");
}
END_TEST

START_TEST(chunks)
{
	t->stays = true;
	answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: "
	     "chunked\r\n\r\n3\r\nabc\r\nA;x=y\r\n0123456789\r\n0\r\nT: x\r\n\r\n",
	     200, "abc0123456789");
	answers("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 200, "");
}
END_TEST

START_TEST(requests)
{
	answers("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, "");
	ck_assert_str_eq(
	    t->request,
	    "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 0\r\n\r\n");
	answer_with("HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\n1");
	struct fetched f = fetch("POST", "/-/stop?x=1", 10 * SECOND);
	ck_assert_int_eq(f.err, SD_OK);
	ck_assert_int_eq(strncmp(t->request, "POST /-/stop?x=1 HTTP/1.1\r\n", 27), 0);
	free(f.body);
}
END_TEST

START_TEST(broken_answers)
{
	answer_with("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel");
	fails(fetch("GET", "/", 10 * SECOND), SD_ERESET, "the server closed in the middle of its answer");
	answer_with("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n");
	fails(fetch("GET", "/", 10 * SECOND), SD_ERESET, "the server closed in the middle of its answer");
	answer_with(NULL);
	fails(fetch("GET", "/", 10 * SECOND), SD_ERESET, "the server closed without an answer");
	answer_with("SSH-2.0-x\r\n\r\n");
	struct fetched f = fetch("GET", "/", 10 * SECOND);
	ck_assert_int_eq(f.err, SD_EPROTO);
	ck_assert(f.e.text[0] && !f.body);
}
END_TEST

/* ---- large ones ---- */

static void *serve_large(void *arg)
{
	size_t left = *(size_t *)arg;
	char head[100], block[65536];
	struct peer *p = peer_accept(t->fd);
	peer_request(p);
	snprintf(head, sizeof(head), "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\n\r\n", left);
	peer_say(p, head);
	memset(block, 'x', sizeof(block));
	while (left > 0) {
		size_t n = left < sizeof(block) ? left : sizeof(block);
		struct pollfd w = {.fd = p->fd, .events = POLLOUT};
		ck_assert_int_eq(poll(&w, 1, RIG_WAIT_MS), 1);
		ssize_t put = peer_send_some(p, block, n);
		if (put < 0)
			break; /* enough for the client */
		left -= (size_t)put;
	}
	peer_free(p);
	return NULL;
}

static struct fetched fetch_large(size_t n)
{
	ck_assert_int_eq(pthread_create(&t->thread, NULL, serve_large, &n), 0);
	t->running = true;
	return fetch("GET", "/", 10 * SECOND);
}

START_TEST(as_large_as_may_be)
{
	struct fetched f = fetch_large(SD_FETCH_MAX);
	ck_assert_msg(f.err == SD_OK, "%s", f.e.text);
	ck_assert_uint_eq(f.n, SD_FETCH_MAX);
	ck_assert_uint_eq(strlen(f.body), SD_FETCH_MAX);
	free(f.body);
}
END_TEST

START_TEST(too_large)
{
	fails(fetch_large(SD_FETCH_MAX + 1), SD_ETOOBIG, "the answer is too large");
}
END_TEST

/* ---- nobody answers ---- */

START_TEST(refused)
{
	char addr[40], message[100];
	uint16_t port = 0;
	int held = rig_hold(&port);
	snprintf(addr, sizeof(addr), "127.0.0.1:%d", port);
	struct fetched f = fetch_at(addr, "GET", "/", 10 * SECOND);
	ck_assert_int_eq(f.err, SD_EREFUSED);
	ck_assert_str_eq(f.e.text, "connection refused");
	close(held);
	snprintf(addr, sizeof(addr), "unix:/nowhere/%d.sock", port);
	snprintf(message, sizeof(message), "cannot connect to %s: No such file or directory", addr);
	fails(fetch_at(addr, "GET", "/", 10 * SECOND), SD_EREFUSED, message);
	fails(fetch_at("inproc:nobody", "GET", "/", 10 * SECOND), SD_EREFUSED,
	      "cannot connect to inproc:nobody: nobody listens");
}
END_TEST

START_TEST(bad_addresses)
{
	struct fetched f = fetch_at("", "GET", "/", 10 * SECOND);
	ck_assert_int_eq(f.err, SD_EINVAL);
	ck_assert(f.e.text[0]);
	fails(fetch_at("example.com:80", "GET", "/", 10 * SECOND), SD_EINVAL,
	      "expected an IP address, found \"example.com:80\"");
}
END_TEST

START_TEST(path_is_too_long)
{
	char path[10000];
	memset(path, 'x', sizeof(path));
	path[0] = '/';
	path[sizeof(path) - 1] = '\0';
	fails(fetch("GET", path, 10 * SECOND), SD_EINVAL, "the path is too long");
	/* without a place for the reason */
	int status;
	char *body;
	size_t n;
	ck_assert_int_eq(
	    sd_http_fetch(t->world, "127.0.0.1:1", "GET", path, SECOND, &status, &body, &n, NULL), SD_EINVAL);
	ck_assert_int_ne(sd_http_fetch(t->world, "inproc:x", "GET", "/", SECOND, &status, &body, &n, NULL),
			 SD_OK);
}
END_TEST

START_TEST(timeouts)
{
	static const char *const answers[] = {NULL, "HTTP/1.1 200 OK\r\n", "HTTP/1.1 200 OK\r\n\r\n",
					      "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nhel"};
	t->stays = true;
	for (size_t i = 0; i < sizeof(answers) / sizeof(answers[0]); i++) {
		int64_t begun = rig_now_ns();
		answer_with(answers[i]);
		fails(fetch("GET", "/", 30 * MS), SD_ETIMEOUT, "no answer in time");
		ck_assert_int_ge(rig_now_ns() - begun, 30 * MS);
	}
}
END_TEST

START_TEST(unix_socket)
{
	char folder[] = "/tmp/sdlab-fetch.XXXXXX", addr[100];
	ck_assert_ptr_nonnull(mkdtemp(folder));
	struct sockaddr_un un = {.sun_family = AF_UNIX};
	snprintf(un.sun_path, sizeof(un.sun_path), "%s/s", folder);
	close(t->fd);
	t->fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
	ck_assert_int_eq(bind(t->fd, (struct sockaddr *)&un, sizeof(un)), 0);
	ck_assert_int_eq(listen(t->fd, 10), 0);
	answer_with("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi");
	snprintf(addr, sizeof(addr), "unix:%s/s", folder);
	struct fetched f = fetch_at(addr, "GET", "/", 10 * SECOND);
	ck_assert_msg(f.err == SD_OK, "%s", f.e.text);
	ck_assert_str_eq(f.body, "hi");
	free(f.body);
	unlink(un.sun_path);
	rmdir(folder);
}
END_TEST

int main(void)
{
	TCase *good = tcase_create("answers"), *bad = tcase_create("failures");
	TCase *cases[] = {good, bad};
	tcase_add_checked_fixture(good, setup, teardown);
	tcase_add_checked_fixture(bad, setup, teardown);
	tcase_add_test(good, bodies);
	tcase_add_test(good, chunks);
	tcase_add_test(good, requests);
	tcase_add_test(good, as_large_as_may_be);
	tcase_add_test(good, unix_socket);
	tcase_add_test(bad, broken_answers);
	tcase_add_test(bad, too_large);
	tcase_add_test(bad, refused);
	tcase_add_test(bad, bad_addresses);
	tcase_add_test(bad, path_is_too_long);
	tcase_add_test(bad, timeouts);
	return rig_main_of(cases, 2, "http_fetch");
}
