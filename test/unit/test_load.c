/* The load generator over real sockets and threads, against servers whose every answer is known. What depends on time is in
 * test_load_sim.c. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/load/load.h"
#include "load_conf.h"
#include "net/http_server.h"

/* ---- a server on a thread of its own ---- */

enum manner { ANSWERS, GARBAGE, SHORT, CLOSES };

struct server {
	struct sd_loop *loop;
	struct sd_http_server http;
	struct sd_listener *raw;
	struct sd_addr addr;
	enum manner manner;
	struct sd_task stop;
	uint64_t requests;
	bool seen[20000];
	uint64_t paths[3];
};

static struct sd_world *world;

static uint64_t digits(const char *p, size_t n)
{
	uint64_t v = 0;
	for (size_t i = 0; i < n && p[i] >= '0' && p[i] <= '9'; i++)
		v = v * 10 + (uint64_t)(p[i] - '0');
	return v;
}

static void note(struct server *s, const struct sd_http_head *head)
{
	if (head->path.n == 14 && memcmp(head->path.p, "/no/", 4) == 0)
		s->seen[digits(head->path.p + 4, 10) % 20000] = true;
	for (int i = 0; i < 3; i++)
		s->paths[i] += head->path.n == 2 && head->path.p[1] == 'a' + i;
}

static void on_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	struct server *s = x->server->arg;
	s->requests++;
	note(s, head);
	sd_http_respond(x, 200, NULL, "text/plain", "hello\n", 6);
}

static const struct sd_http_handler handler = {.request = on_request};

/* Takes a request and says something that is no answer. */
static size_t raw_data(struct sd_stream *st, const char *p, size_t n)
{
	struct server *s = st->owner;
	const char *text = s->manner == GARBAGE ? "hello there, this is no HTTP\r\n\r\n"
			   : s->manner == SHORT ? "HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf"
						: "";
	if (n < 4 || memcmp(p + n - 4, "\r\n\r\n", 4) != 0)
		return 0;
	s->requests++;
	sd_stream_write(st, text, strlen(text));
	sd_stream_finish(st, sd_loop_now_ns(s->loop) + 1000 * MS, false, NULL, NULL);
	return n;
}

static void raw_eof(struct sd_stream *st)
{
	sd_stream_close(st);
}

static void raw_closed(struct sd_stream *st, enum sd_err why)
{
	(void)why;
	sd_stream_close(st);
}

static const struct sd_stream_events raw_events = {.data = raw_data, .eof = raw_eof, .timeout = raw_eof, .closed = raw_closed};

static void raw_accepted(void *arg, struct sd_io *io)
{
	sd_stream_new(io, false, 65536, &raw_events, arg);
}

static void on_stop(struct sd_task *t)
{
	struct server *s = sd_container(t, struct server, stop);
	sd_http_server_stop(&s->http);
	sd_listener_close(s->raw);
	sd_loop_stop(s->loop);
}

static struct server *server_start(enum manner manner)
{
	struct server *s = calloc(1, sizeof(*s));
	struct sd_error e = {0};
	s->manner = manner;
	s->stop.fn = on_stop;
	s->loop = sd_loop_new(world, &e);
	ck_assert_int_eq(sd_addr_parse("127.0.0.1:0", NULL, &s->addr, &e), SD_OK);
	sd_http_server_init(&s->http, s->loop, &sd_http_server_defaults, &handler, s);
	struct sd_listener_events events = {.accepted = raw_accepted, .arg = s};
	enum sd_err err = manner != ANSWERS
			      ? sd_loop_listen(s->loop, &s->addr, false, &events, &s->raw, &e)
			      : sd_http_server_listen(&s->http, &s->addr, false, &e);
	ck_assert_msg(err == SD_OK, "%s", e.text);
	ck_assert_int_eq(sd_loop_start(s->loop, "server", &e), SD_OK);
	return s;
}

static void server_stop(struct server *s)
{
	sd_loop_post(s->loop, &s->stop);
	sd_loop_join(s->loop);
	sd_loop_free(s->loop);
}

/* ---- runs ---- */

static struct load_result *run(const struct server *s, const char *path, const char *options)
{
	char url[200];
	struct sd_error e = {0};
	struct load_plan plan;
	struct load_result *r;
	struct sd_conf *conf = rig_conf("", options);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", s->addr.port, path);
	ck_assert_msg(load_plan_make(world, conf, url, &plan, &e) == SD_OK, "%s", e.text);
	ck_assert_msg(load_run(world, &plan, NULL, &r, &e) == SD_OK, "%s", e.text);
	if (plan.nrequests == 1)
		ck_assert_uint_eq(r->bytes_out, r->sent * plan.requests[0].n);
	load_plan_free(&plan);
	sd_conf_free(conf);
	return r;
}

START_TEST(counts_are_the_servers_own)
{
	static const char *const options[] = {
	    "-n 3000 -c 7",
	    "-n 3000 -c 7 -t 2",
	    "-n 1000 -c 5 --no-keep-alive",
	    "-n 3000 -c 3 --pipeline 8",
	    "-n 10 -c 100",
	    "-n 400 -c 4 -r 4000/s",
	    "-n 400 -c 4 -r 4000/s --arrivals poisson --seed 3",
	};
	struct server *s = server_start(ANSWERS);
	struct load_result *r = run(s, "/", options[_i]);
	server_stop(s);
	ck_assert_uint_eq(r->answers, s->requests);
	ck_assert_uint_eq(r->answers, r->status[200]);
	ck_assert_uint_eq(r->answers, digits(options[_i] + 3, 9));
	ck_assert_uint_eq(load_total_errors(r), 0);
	ck_assert_int_eq(sd_hdr_count(r->service), (int64_t)r->answers);
	ck_assert_int_eq(sd_hdr_count(r->first_byte), (int64_t)r->answers);
	/* all requests are alike, and all answers: whole ones were counted, each once */
	ck_assert_uint_eq(r->sent, r->answers);
	ck_assert_uint_gt(r->bytes_in, 0);
	ck_assert_uint_eq(r->bytes_in % r->answers, 0);
	load_result_free(r);
	free(s);
}
END_TEST

START_TEST(a_duration_counts_what_was_on_its_way)
{
	struct server *s = server_start(ANSWERS);
	struct load_result *r = run(s, "/", _i ? "-d 300ms -c 4 -r 500/s" : "-d 300ms -c 4");
	server_stop(s);
	ck_assert_uint_gt(r->answers, 0);
	ck_assert_uint_eq(r->answers, s->requests);
	if (_i)
		ck_assert_uint_eq(r->answers, 150); /* 500/s for 300 ms, whatever happened meanwhile */
	ck_assert_uint_eq(load_total_errors(r), 0);
	load_result_free(r);
	free(s);
}
END_TEST

START_TEST(the_warm_up_is_left_out)
{
	struct server *s = server_start(ANSWERS);
	struct load_result *r = run(s, "/", "-d 200ms --warmup 200ms -c 2 -r 500/s");
	ck_assert_uint_eq(r->answers + r->warmup_answers, 200);
	ck_assert_uint_ge(r->answers, 99);
	ck_assert_uint_le(r->answers, 101);
	struct load_result *all = run(s, "/", "-n 10 -c 1");
	server_stop(s);
	ck_assert_uint_eq(s->requests, 200 + 10);
	ck_assert_uint_eq(r->bytes_in / r->answers, all->bytes_in / 10);
	load_result_free(all);
	load_result_free(r);
	free(s);
}
END_TEST

START_TEST(errors_have_a_class)
{
	static const struct {
		enum manner manner;
		enum load_error error;
		const char *options;
	} rows[] = {
	    {GARBAGE, LOAD_GARBAGE, "-n 5 -c 1"},
	    {SHORT, LOAD_SHORT, "-n 5 -c 1"},
	    {CLOSES, LOAD_RESET, "-n 5 -c 1"},
	};
	struct server *s = server_start(rows[_i].manner);
	struct load_result *r = run(s, "/", rows[_i].options);
	server_stop(s);
	ck_assert_uint_eq(r->answers, 0);
	ck_assert_uint_eq(r->errors[rows[_i].error], digits(rows[_i].options + 3, 9));
	ck_assert_uint_eq(load_total_errors(r), r->errors[rows[_i].error]);
	ck_assert_uint_eq(s->requests, load_total_errors(r));
	load_result_free(r);
	free(s);
}
END_TEST

START_TEST(nobody_listens)
{
	struct server *s = server_start(ANSWERS);
	server_stop(s);
	struct load_result *r = run(s, "/", _i ? "-n 3 -c 1 --no-keep-alive" : "-n 3 -c 1");
	ck_assert_uint_eq(r->errors[LOAD_REFUSED], 3);
	ck_assert_uint_eq(load_total_errors(r), 3);
	load_result_free(r);
	free(s);
}
END_TEST

START_TEST(each_request_has_its_number)
{
	struct server *s = server_start(ANSWERS);
	struct load_result *r = run(s, "/no/{{seq}}", "-n 500 -c 5");
	server_stop(s);
	unsigned n = 0;
	for (size_t i = 0; i < 20000; i++)
		n += s->seen[i];
	ck_assert_uint_eq(r->answers, 500);
	ck_assert_uint_eq(n, 500);
	load_result_free(r);
	free(s);
}
END_TEST

START_TEST(requests_come_by_weight)
{
	char file[] = "/tmp/sdlab-test-load-XXXXXX", options[200];
	struct sd_error e = {0};
	static const char lines[] = "# weights\n6 GET /a\n3 POST /b a body\n1 GET /c\n";
	int fd = mkstemp(file);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(sd_world_write_file(world, file, lines, sizeof(lines) - 1, &e), SD_OK);
	struct server *s = server_start(ANSWERS);
	snprintf(options, sizeof(options), "-n 2000 -c 4 --seed 7 --requests-file %s", file);
	struct load_result *r = run(s, "/", options);
	server_stop(s);
	sd_world_unlink(world, file);
	ck_assert_uint_eq(s->paths[0] + s->paths[1] + s->paths[2], 2000);
	/* within six sigma of 1200, 600 and 200 */
	ck_assert_uint_gt(s->paths[0], 1065);
	ck_assert_uint_lt(s->paths[0], 1335);
	ck_assert_uint_gt(s->paths[1], 475);
	ck_assert_uint_lt(s->paths[1], 725);
	ck_assert_uint_gt(s->paths[2], 118);
	load_result_free(r);
	free(s);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("load");
	TCase *t = tcase_create("runs");
	world = sd_world_real();
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, counts_are_the_servers_own, 0, 7);
	tcase_add_loop_test(t, a_duration_counts_what_was_on_its_way, 0, 2);
	tcase_add_test(t, the_warm_up_is_left_out);
	tcase_add_loop_test(t, errors_have_a_class, 0, 3);
	tcase_add_loop_test(t, nobody_listens, 0, 2);
	tcase_add_test(t, each_request_has_its_number);
	tcase_add_test(t, requests_come_by_weight);
	suite_add_tcase(suite, t);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	sd_world_free(world);
	return failed ? 1 : 0;
}
