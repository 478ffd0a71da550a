/* Files and compressed answers through a running balancer. */
#include <sys/stat.h>
#include <zlib.h>

#include "lb_rig.h"

static char root[64];

static void setup_files(void)
{
	setup();
	snprintf(root, sizeof(root), "/tmp/sdlab-lbf.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(root));
}

static void teardown_files(void)
{
	char command[128];
	teardown();
	snprintf(command, sizeof(command), "rm -rf %s", root);
	ck_assert_int_eq(system(command), 0);
}

static void put_n(const char *name, size_t n)
{
	char path[128], *bytes = malloc(n);
	snprintf(path, sizeof(path), "%s/%s", root, name);
	for (size_t i = 0; i < n; i++)
		bytes[i] = (char)('a' + i % 23);
	ck_assert_int_eq(sd_world_write_file(t->rig.world, path, bytes, n, NULL), SD_OK);
	free(bytes);
}

static const char *rules(const char *more)
{
	static char text[512];
	snprintf(text, sizeof(text), "keep-idle: 0\nroutes: [{path: /f, files: %s%s}, {path: /, compress: true}]\n", root, more);
	return text;
}

static void has(const struct peer *p, const char *text)
{
	ck_assert_msg(strstr(p->head, text), "no %s in %s", text, p->head);
}

static void has_not(const struct peer *p, const char *text)
{
	ck_assert_msg(!strcasestr(p->head, text), "found %s in %s", text, p->head);
}

static size_t gunzip(const struct peer *c, char *out, size_t room)
{
	z_stream z = {.next_in = (unsigned char *)c->body, .avail_in = (uInt)c->body_n, .next_out = (unsigned char *)out, .avail_out = (uInt)room};
	ck_assert_int_eq(inflateInit2(&z, 15 + 16), Z_OK);
	int r = inflate(&z, Z_SYNC_FLUSH);
	inflateEnd(&z);
	ck_assert_msg(r == Z_STREAM_END, "gzip ends with %d", r);
	return room - z.avail_out;
}

#define BIG (8u << 20)

/* A folder that a reload takes away is served from until the answer is over; nobody asks a backend. */
START_TEST(a_reload_while_a_file_is_sent)
{
	put_n("big", BIG);
	put_n("small", 10);
	start(rules(""));
	struct peer *c = peer_connect_with(t->run->addrs[0].port, 4096);
	peer_say(c, "GET /f/big HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_head(c);
	write_text("keep-idle: 0\n");
	admin("POST", "/-/reload", 200);
	static const char small[] = "GET /f/small HTTP/1.1\r\nHost: h\r\n\r\n";
	struct peer *other = asks(small);
	while (!rig_readable(t->back[A].fd, 5)) { /* until the worker has heard of it, it answers by the old rules */
		if (!rig_readable(other->fd, 0))
			continue;
		peer_answer(other, 200);
		peer_say(other, small);
	}
	struct peer *b = asked(A);
	answers(b, "x");
	peer_answer(other, 200);
	peer_body(c);
	ck_assert_uint_eq(c->body_n, BIG);
	for (size_t i = 0; i < BIG; i += 4093)
		ck_assert_int_eq(c->body[i], (char)('a' + i % 23));
	peer_free(b);
	peer_free(other);
	peer_free(c);
}
END_TEST

/* Bytes and status of files are in the log, with the name of the route. */
START_TEST(in_the_access_log)
{
	char more[1024];
	put_n("ten", 10);
	snprintf(more, sizeof(more), "access-log: '-'\naccess-log-format: json\n%s", rules(", name: site"));
	start(more);
	struct peer *c = asks("GET /f/ten HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_answer(c, 200);
	peer_say(c, "GET /f/none HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_answer(c, 404);
	wait_said("/f/ten");
	wait_said("/f/none");
	wait_said("\"bytes_out\":10");
	is_metric("sdlab_lb_route_requests_total", "route=\"site\"", 2);
	not_asked(A);
	peer_free(c);
}
END_TEST

START_TEST(fields_of_the_route)
{
	put_n("ten", 10);
	put_n("text.txt", 5000);
	start(rules(", compress: true, answer-headers: {add: ['X-Own: kept'], set: ['Content-Type: a/b'], remove: [Last-Modified]}"));
	struct peer *c = asks("GET /f/ten HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_answer(c, 200);
	has(c, "\r\nX-Own: kept\r\n");
	has(c, "\r\nContent-Type: a/b\r\n");
	has_not(c, "\r\nContent-Type: application/");
	has_not(c, "\r\nLast-Modified:");
	peer_say(c, "GET /f/none HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_answer(c, 404);
	has(c, "\r\nX-Own: kept\r\n");
	has(c, "\r\nContent-Type: a/b\r\n");
	has_not(c, "\r\nContent-Type: text/");
	has(c, "\r\nProxy-Status: sdlab; error=http_request_error; details=\"there is no such file\"\r\n");
	peer_say(c, "POST /f/ten HTTP/1.1\r\nHost: h\r\nContent-Length: 2\r\n\r\nhi");
	peer_answer(c, 405);
	has(c, "\r\nAllow: GET, HEAD\r\n");
	has(c, "\r\nX-Own: kept\r\n");
	peer_say(c, "GET /f/text.txt HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
	peer_answer(c, 200);
	char text[6000];
	ck_assert_uint_eq(gunzip(c, text, sizeof(text)), 5000);
	has(c, "\r\nContent-Encoding: gzip\r\n");
	has(c, "\r\nVary: Accept-Encoding\r\n");
	has(c, "\r\nETag: W/\"");
	has_not(c, "\r\nAccept-Ranges:");
	has_not(c, "\r\nContent-Length:");
	peer_say(c, "HEAD /f/text.txt HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
	peer_head(c);
	has(c, "\r\nContent-Encoding: gzip\r\n");
	has_not(c, "\r\nContent-Length:");
	peer_say(c, "GET /f/text.txt HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\nRange: bytes=1-3\r\n\r\n");
	ck_assert_str_eq(peer_answer(c, 206), "bcd");
	has_not(c, "\r\nContent-Encoding:");
	has(c, "\r\nVary: Accept-Encoding\r\n");
	peer_free(c);
}
END_TEST

/* ---- what a backend answers ---- */

static struct peer *asks_for_gzip(const char *method)
{
	char text[128];
	snprintf(text, sizeof(text), "%s /x HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n", method);
	return asks(text);
}

START_TEST(compressed)
{
	char body[3000], text[4000];
	memset(body, 'x', sizeof(body) - 1);
	body[sizeof(body) - 1] = '\0';
	start(rules(""));
	struct peer *c = asks_for_gzip("GET"), *b = asked(A);
	snprintf(text, sizeof(text), "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nETag: \"abc\"\r\nContent-Length: %zu\r\n\r\n%s",
		 strlen(body), body);
	peer_say(b, text);
	peer_answer(c, 200);
	has(c, "\r\nContent-Encoding: gzip\r\n");
	has(c, "\r\nETag: W/\"abc\"\r\n");
	has(c, "\r\nVary: Accept-Encoding\r\n");
	has_not(c, "\r\nContent-Length:");
	ck_assert_uint_eq(gunzip(c, text, sizeof(text)), strlen(body));
	ck_assert(memcmp(text, body, strlen(body)) == 0);
	peer_free(b);
	peer_free(c);
	/* the same for a HEAD, without a body */
	c = asks_for_gzip("HEAD");
	b = asked(B);
	peer_say(b, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 2999\r\n\r\n");
	peer_head(c);
	has(c, "\r\nContent-Encoding: gzip\r\n");
	has_not(c, "\r\nContent-Length:");
	peer_say(c, "GET /x HTTP/1.1\r\nHost: h\r\n\r\n"); /* nothing stands in front of the next answer */
	struct peer *again = asked(A);
	answers(again, "plain");
	ck_assert_str_eq(peer_answer(c, 200), "plain");
	peer_free(again);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* A backend that breaks off: the client must not take what came for the whole. */
START_TEST(cut_off)
{
	start(rules(""));
	struct peer *c = asks_for_gzip("GET"), *b = asked(A);
	peer_say(b, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: 5000\r\n\r\nbegun");
	peer_head(c);
	has(c, "\r\nContent-Encoding: gzip\r\n");
	peer_reset(b);
	peer_is_cut(c);
	ck_assert(!memmem(c->in, c->n, "\r\n0\r\n\r\n", 7));
	peer_free(b);
	peer_free(c);
}
END_TEST

START_TEST(the_client_leaves)
{
	start(rules(""));
	struct peer *c = asks_for_gzip("GET"), *b = asked(A);
	peer_say(b, "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\nbegun");
	peer_head(c);
	peer_reset(c);
	peer_is_closed(b);
	peer_free(b);
	peer_free(c);
}
END_TEST

int main(void)
{
	TCase *c = tcase_create("lb_files");
	tcase_add_checked_fixture(c, setup_files, teardown_files);
	tcase_add_test(c, a_reload_while_a_file_is_sent);
	tcase_add_test(c, in_the_access_log);
	tcase_add_test(c, fields_of_the_route);
	tcase_add_test(c, compressed);
	tcase_add_test(c, cut_off);
	tcase_add_test(c, the_client_leaves);
	return rig_main_of(&c, 1, "lb_files");
}
