/* A recorded access log: what is read from it, what plan it makes, and what a server hears of it. */
#include "../../applets/load/load_access.h"
#include "load_rig.h"

#define S        1000000000ll
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static struct sd_world *world;

/* ---- reading ---- */

struct taken {
	int64_t at_ns[64];
	char text[64][200]; /* "METHOD PATH BODY" */
	size_t n;
};

static enum sd_err take(void *arg, const struct load_access *a, struct sd_error *e)
{
	struct taken *t = arg;
	(void)e;
	ck_assert_uint_lt(t->n, 64);
	t->at_ns[t->n] = a->at_ns;
	snprintf(t->text[t->n++], 200, "%.*s %.*s %.*s", (int)a->method.n, a->method.p, (int)a->path.n, a->path.p,
		 (int)a->body.n, a->body.n ? a->body.p : "");
	return SD_OK;
}

/* From memory of just that size, so that reading beyond it is seen. */
static enum sd_err read_text(const char *text, size_t n, struct taken *t, struct sd_error *e)
{
	char *copy = malloc(n ? n : 1);
	memcpy(copy, text, n);
	t->n = 0;
	enum sd_err err = load_access_read("a.json", copy, n, take, t, e);
	free(copy);
	return err;
}

START_TEST(requests_in_every_form)
{
	static const struct {
		const char *line, *want;
	} rows[] = {
	    {"{\"ts\":1,\"path\":\"/a\"}", "GET /a "},
	    {"{\"ts\":1,\"uri\":\"/a?b=1\",\"method\":\"PUT\"}", "PUT /a?b=1 "},
	    {"{\"ts\":1,\"request_uri\":\"/a\",\"uri\":\"/index\",\"request_method\":\"HEAD\"}", "HEAD /a "},
	    {"{\"ts\":1,\"target\":\"/a\",\"path\":\"/b\"}", "GET /a "},
	    {"{\"ts\":1,\"url\":\"/a#top\"}", "GET /a "},
	    {"{\"ts\":1,\"url\":\"http://h:80/a?b=/c#d\"}", "GET /a?b=/c "},
	    {"{\"ts\":1,\"url\":\"HTTPS://h\"}", "GET / "},
	    {"{\"ts\":1,\"url\":\"https://h?q=1\"}", "GET /?q=1 "},
	    {"{\"ts\":1,\"url\":\"https://h#frag\"}", "GET / "},
	    {"{\"ts\":1,\"request\":\"POST /x HTTP/1.1\",\"uri\":\"/y\",\"method\":\"GET\"}", "POST /x "},
	    {"{\"ts\":1,\"request\":\"GET http://h/x HTTP/1.0\"}", "GET /x "},
	    {"{\"ts\":1,\"request\":\"4f2a-id\",\"path\":\"/a\"}", "GET /a "},
	    {"{\"ts\":1,\"request\":{\"method\":\"DELETE\",\"uri\":\"/c\",\"host\":\"h\",\"headers\":{\"A\":[\"b\"]}},"
	     "\"uri\":\"/no\",\"status\":200}",
	     "DELETE /c "},
	    {"{\"ts\":1,\"request\":{\"uri\":\"/c\"},\"method\":\"PATCH\"}", "PATCH /c "},
	    {"{\"ts\":1,\"path\":\"/a\",\"body\":\"x=\\u00e9\\n\"}", "POST /a x=\xc3\xa9\n"},
	    {"{\"ts\":1,\"path\":\"/a\",\"method\":\"PUT\",\"body\":\"x\"}", "PUT /a x"},
	    {"{\"ts\":1,\"request\":{\"uri\":\"/a\",\"body\":\"in\"}}", "POST /a in"},
	    {"{\"ts\":1,\"path\":\"/a\",\"body\":null,\"method\":\"\",\"uri\":7}", "GET /a "},
	    {"{\"ts\":1,\"path\":\"*\",\"method\":\"OPTIONS\"}", "OPTIONS * "},
	    {"{\"ts\":1,\"path\":\"/{{seq}}\"}", "GET /{{seq}} "},
	    {"{\"ts\":1,\"path\":\"/a\",\"agent\":\"\\\\u0000\"}", "GET /a "},
	};
	struct taken t;
	struct sd_error e = {0};
	for (size_t i = 0; i < COUNT(rows); i++) {
		ck_assert_msg(read_text(rows[i].line, strlen(rows[i].line), &t, &e) == SD_OK, "%s", e.text);
		ck_assert_uint_eq(t.n, 1);
		ck_assert_str_eq(t.text[0], rows[i].want);
	}
}
END_TEST

START_TEST(times_in_every_form)
{
	static const struct {
		const char *fields;
		int64_t ns;
	} rows[] = {
	    {"\"time\":0", 0},
	    {"\"time\":2.25", 2250000000},
	    {"\"ts\":1700000000", 1700000000 * S},
	    {"\"ts\":1700000000.5", 1700000000 * S + S / 2},
	    {"\"ts\":\"1700000000.5\"", 1700000000 * S + S / 2},
	    {"\"timestamp\":1700000000123", 1700000000 * S + 123 * MS},
	    {"\"timestamp\":1700000000123456", 1700000000 * S + 123456000},
	    {"\"timestamp\":1700000000123456768", 1700000000 * S + 123456768},
	    {"\"@timestamp\":\"2023-11-14T22:13:20.000000001Z\"", 1700000000 * S + 1},
	    {"\"@timestamp\":\"2023-11-14T23:13:20+01:00\"", 1700000000 * S},
	    {"\"time\":\"10/Oct/2000:13:55:36 -0700\",\"@timestamp\":\"2023-11-14T22:13:20Z\"", 1700000000 * S},
	    {"\"time\":null,\"ts\":3", 3 * S},
	    {"\"time\":1,\"ts\":3", S},
	    {"\"ts\":9199999999", 9199999999 * S},
	    {"\"ts\":9200000000", 9200000000 * MS},
	};
	struct taken t;
	struct sd_error e = {0};
	char line[200];
	for (size_t i = 0; i < COUNT(rows); i++) {
		int n = snprintf(line, sizeof(line), "{%s,\"path\":\"/\"}", rows[i].fields);
		ck_assert_msg(read_text(line, (size_t)n, &t, &e) == SD_OK, "%s: %s", line, e.text);
		ck_assert_msg(t.at_ns[0] == rows[i].ns, "%s: %lld", line, (long long)t.at_ns[0]);
	}
}
END_TEST

START_TEST(logs_in_every_form)
{
	static const struct {
		const char *text;
		size_t n;
	} rows[] = {
	    {"", 0},
	    {"\n \n", 0},
	    {"[]", 0},
	    {" [ ]\n", 0},
	    {"{\"ts\":1,\"path\":\"/0\"}\n{\"ts\":2,\"path\":\"/1\"}", 2},
	    {"\xef\xbb\xbf{\"ts\":1,\"path\":\"/0\"} \r\n\n\t{\"ts\":2,\"path\":\"/1\"}\n\n", 2},
	    {"[{\"ts\":1,\"path\":\"/0\"},{\"ts\":2,\"path\":\"/1\"}]", 2},
	    {"\n[\n {\n  \"ts\": 1,\n  \"path\": \"/0\"\n }\n ,\n {\"ts\":2,\"path\":\"/1\"}\n]\n", 2},
	};
	struct taken t;
	struct sd_error e = {0};
	char want[40];
	for (size_t i = 0; i < COUNT(rows); i++) {
		ck_assert_msg(read_text(rows[i].text, strlen(rows[i].text), &t, &e) == SD_OK, "%s: %s", rows[i].text, e.text);
		ck_assert_uint_eq(t.n, rows[i].n);
		for (size_t k = 0; k < t.n; k++) {
			snprintf(want, sizeof(want), "GET /%zu ", k);
			ck_assert_str_eq(t.text[k], want);
		}
	}
}
END_TEST

#define GOOD "{\"ts\":1,\"path\":\"/\"}\n"

START_TEST(refused_with_the_line)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
	    {"GET / HTTP/1.1", "a.json:1: expected a JSON object"},
	    {GOOD "\n7\n", "a.json:3: expected a JSON object such as"},
	    {GOOD "[]\n", "a.json:2: expected a JSON object such as"},
	    {GOOD "{\"ts\":1,", "a.json:2: expected a JSON object, complete"},
	    {GOOD "{\"ts\":1,\n\"path\":\"/\"}", "a.json:2: expected a JSON object, complete"},
	    {"{\"ts\":1,\"path\":\"/\"} {\"ts\":2,\"path\":\"/\"}", "a.json:1: expected one JSON object a line"},
	    {GOOD GOOD "{\"ts\":1}", "a.json:3: expected a path such as"},
	    {"{\"ts\":1,\"path\":\"cart\"}", "expected a path such as"},
	    {"{\"ts\":1,\"path\":\"/a b\"}", "without blanks"},
	    {"{\"ts\":1,\"path\":\"/a\\r\\nX: y\"}", "without blanks"},
	    {"{\"ts\":1,\"path\":\"*\"}", "expected a path such as"},
	    {"{\"ts\":1,\"path\":7}", "expected a path such as"},
	    {"{\"ts\":1,\"url\":\"http:///a\"}", "expected a path such as"},
	    {"{\"ts\":1,\"request\":\"\\u0016\\u0003\"}", "expected a path such as"},
	    {"{\"ts\":1,\"path\":\"/\",\"method\":\"G T\"}", "expected a method such as GET"},
	    {"{\"ts\":1,\"path\":\"/\",\"method\":\"CONNECT\"}", "expected a method such as GET"},
	    {"{\"path\":\"/\"}", "expected time, ts, timestamp or @timestamp"},
	    {"{\"ts\":-1,\"path\":\"/\"}", "expected time, ts"},
	    {"{\"ts\":1e30,\"path\":\"/\"}", "expected time, ts"},
	    {"{\"ts\":\"yesterday\",\"path\":\"/\"}", "expected time, ts"},
	    {"{\"ts\":\"1969-12-31T23:59:59Z\",\"path\":\"/\"}", "expected time, ts"},
	    {"{\"ts\":1,\"path\":\"/\",\"body\":{\"a\":1}}", "expected body to be a text"},
	    {"{\"ts\":1,\"path\":\"/\",\"body\":\"a\\u0000b\"}", "expected no \\u0000"},
	    {"{\"ts\":1,\"path\":\"/\",\"body\":\"a\\\\\\u0000b\"}", "expected no \\u0000"},
	    {"[" GOOD "," GOOD, "a.json:3: expected , or ]"},
	    {"[" GOOD GOOD "]", "a.json:2: expected , or ]"},
	    {"[" GOOD ",]", "a.json:2: expected a JSON object"},
	    {"[" GOOD ", 7]", "a.json:2: expected a JSON object such as"},
	    {"[" GOOD "] 7", "a.json:2: expected nothing behind the array"},
	    {"[", "a.json:1: expected , or ]"},
	};
	struct taken t;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sd_error e = {0};
		ck_assert_msg(read_text(rows[i].text, strlen(rows[i].text), &t, &e) == SD_EINVAL, "%s", rows[i].text);
		ck_assert_msg(strstr(e.text, rows[i].why) && !strchr(e.text, '\n'), "%s: %s", rows[i].text, e.text);
	}
}
END_TEST

/* A log that was cut off anywhere gives the entries before, and then says so, or is whole. */
START_TEST(cut_off_anywhere)
{
	static const char line[] = "{\"ts\":1,\"path\":\"/0\"}\n{\"ts\":2,\"request\":{\"uri\":\"/1\"},\"body\":\"\\u00e9\"}\n";
	const size_t first = strlen("{\"ts\":1,\"path\":\"/0\"}"), all = sizeof(line) - 2;
	struct taken t;
	for (size_t n = 0; n < sizeof(line); n++) {
		struct sd_error e = {0};
		enum sd_err err = read_text(line, n, &t, &e);
		ck_assert_uint_eq(t.n, n >= all ? 2 : n >= first ? 1 : 0);
		ck_assert_int_eq(err, n == 0 || n == first || n == first + 1 || n >= all ? SD_OK : SD_EINVAL);
	}
}
END_TEST

/* ---- plans ---- */

static enum sd_err plan_of(const char *text, const char *url, const char *words, struct load_plan *plan, struct sd_error *e)
{
	char file[] = "/tmp/sdlab-test-replay-XXXXXX";
	int fd = mkstemp(file);
	ck_assert_int_ge(fd, 0);
	close(fd);
	ck_assert_int_eq(sd_world_write_file(world, file, text, strlen(text), e), SD_OK);
	struct sd_conf *conf = rig_conf("replay", words);
	enum sd_err err = load_replay_make(world, conf, file, url, plan, e);
	sd_world_unlink(world, file);
	sd_conf_free(conf);
	return err;
}

static const char mixed[] = "{\"ts\":100.5,\"path\":\"/b\"}\n"
			    "{\"ts\":100,\"path\":\"/a\"}\n"
			    "{\"ts\":102,\"path\":\"/a\",\"method\":\"POST\",\"body\":\"1\"}\n"
			    "{\"ts\":101,\"path\":\"/a\"}\n"
			    "{\"ts\":102,\"path\":\"/a\",\"method\":\"POST\",\"body\":\"2\"}\n"
			    "{\"ts\":102,\"path\":\"/a\",\"method\":\"POST\"}\n"
			    "{\"ts\":102,\"path\":\"/{{seq}}\",\"method\":\"POST\",\"body\":\"1\"}\n"
			    "{\"ts\":110,\"path\":\"/a\"}\n";

START_TEST(the_pace_is_that_of_the_log)
{
	static const struct {
		const char *options;
		double speed;
	} rows[] = {{"", 1}, {"--speed 2", 2}, {"--speed 0.5", 0.5}, {"-s 1000000", 1e6}};
	static const double at[] = {0, 0.5, 1, 2, 2, 2, 2, 10};
	static const char *const starts[] = {"GET /a ", "GET /b ", "GET /a ", "POST /a ", "POST /a ", "POST /a ", "POST /{{seq}} ", "GET /a "};
	static const char *const bodies[] = {"", "", "", "1", "2", "", "1", ""};
	struct load_plan p;
	struct sd_error e = {0};
	ck_assert_msg(plan_of(mixed, "http://127.0.0.1:1", rows[_i].options, &p, &e) == SD_OK, "%s", e.text);
	ck_assert_uint_eq(p.nschedule, 8);
	ck_assert_uint_eq(p.max_requests, 8);
	ck_assert_int_eq(p.duration_ns, 0);
	for (size_t i = 0; i < 8; i++) {
		const struct load_request *r = &p.requests[p.schedule[i].request];
		ck_assert_int_eq(p.schedule[i].offset_ns, (int64_t)(at[i] * 1e9 / rows[_i].speed));
		ck_assert_msg(strncmp(r->bytes, starts[i], strlen(starts[i])) == 0, "%zu: %s", i, r->bytes);
		const char *body = strstr(r->bytes, "\r\n\r\n") + 4;
		ck_assert_uint_eq((size_t)(r->bytes + r->n - body), strlen(bodies[i]));
		ck_assert_int_eq(memcmp(body, bodies[i], strlen(bodies[i])), 0);
		ck_assert_uint_eq(r->nmarks, 0);
	}
	load_plan_free(&p);
}
END_TEST

START_TEST(like_requests_are_kept_once)
{
	struct load_plan p;
	struct sd_error e = {0};
	ck_assert_int_eq(plan_of(mixed, "http://127.0.0.1:1/", "", &p, &e), SD_OK);
	/* GET /b, GET /a three times, POST /a with 1, with 2, with nothing, POST /{{seq}} */
	ck_assert_uint_eq(p.nrequests, 6);
	ck_assert_uint_eq(p.total_weight, 8);
	ck_assert_str_eq(p.requests[1].name, "GET /a");
	ck_assert_uint_eq(p.requests[1].weight, 3);
	load_plan_free(&p);
	/* many: the table grows, and nothing is lost or taken for another */
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);
	for (int i = 0; i < 5000; i++)
		fprintf(out, "{\"ts\":%d,\"path\":\"/%d\"}\n", i / 2, i % 1000);
	for (int i = 0; i < 1000; i++)
		fprintf(out, "{\"ts\":5000,\"path\":\"/\",\"body\":\"%04d\"}\n", i);
	fclose(out);
	ck_assert_msg(plan_of(text, "http://127.0.0.1:1/", "", &p, &e) == SD_OK, "%s", e.text);
	free(text);
	ck_assert_uint_eq(p.nrequests, 2000);
	ck_assert_uint_eq(p.nschedule, 6000);
	for (int i = 0; i < 5000; i++) {
		char name[40];
		snprintf(name, sizeof(name), "GET /%d", i % 1000);
		ck_assert_str_eq(p.requests[p.schedule[i].request].name, name); /* equal times stay in order */
		ck_assert_int_eq(p.schedule[i].offset_ns, i / 2 * S);
	}
	load_plan_free(&p);
}
END_TEST

START_TEST(plans_refused)
{
	static const struct {
		const char *text, *url, *options, *why;
		enum sd_err code;
	} rows[] = {
	    {"", "http://127.0.0.1:1", "", "one object a line; found none", SD_EINVAL},
	    {"[]", "http://127.0.0.1:1", "", "found none", SD_EINVAL},
	    {GOOD "x", "http://127.0.0.1:1", "", ":2: expected a JSON object", SD_EINVAL},
	    {GOOD, "http://127.0.0.1:1/base", "", "expected http://HOST[:PORT] alone", SD_EUSAGE},
	    {GOOD, "http://127.0.0.1:1", "--speed 0", "--speed: expected more than 0", SD_EUSAGE},
	    {GOOD "{\"ts\":2678402,\"path\":\"/\"}\n", "http://127.0.0.1:1", "", "at most 31 days to replay, found 31", SD_ERANGE},
	};
	struct load_plan p;
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sd_error e = {0};
		ck_assert_int_eq(plan_of(rows[i].text, rows[i].url, rows[i].options, &p, &e), rows[i].code);
		ck_assert_msg(strstr(e.text, rows[i].why) != NULL, "%s", e.text);
	}
	struct sd_error e = {0};
	ck_assert_msg(plan_of(GOOD "{\"ts\":2678402,\"path\":\"/\"}\n", "http://127.0.0.1:1", "--speed 2", &p, &e) == SD_OK,
		      "%s", e.text);
	load_plan_free(&p);
}
END_TEST

/* ---- runs ---- */

static const char *hello(size_t n, bool *close)
{
	(void)n;
	*close = false;
	return "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
}

static int by_request(const void *a, const void *b)
{
	const struct rig_request *x = a, *y = b;
	int d = strcmp(x->path, y->path);
	d = d ? d : strcmp(x->method, y->method);
	return d ? d : strcmp(x->body, y->body);
}

START_TEST(the_server_hears_the_log)
{
	static const char *const options[] = {"--speed 1000", "--speed 1000 -t 3 -c 3", "--speed 1000 -c 1 --no-keep-alive",
					      "--speed 1000 -t 8 -c 20"};
	static const char *const want[] = {"GET /a ", "GET /a ", "GET /a ", "POST /a ", "POST /a 1", "POST /a 2", "GET /b ",
					   "POST /{{seq}} 1"};
	struct rig *rig = rig_start(world, hello);
	struct load_plan p;
	struct load_result *r;
	struct sd_error e = {0};
	char url[64], got[512];
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", rig->addr.port);
	ck_assert_msg(plan_of(mixed, url, options[_i], &p, &e) == SD_OK, "%s", e.text);
	ck_assert_msg(load_run(world, &p, NULL, &r, &e) == SD_OK, "%s", e.text);
	rig_stop(rig);
	ck_assert_uint_eq(rig->n, 8);
	ck_assert_uint_eq(r->answers, 8);
	ck_assert_uint_eq(r->sent, 8);
	ck_assert_uint_eq(load_total_errors(r), 0);
	ck_assert_ptr_nonnull(r->response);
	ck_assert_int_eq(sd_hdr_count(r->response), 8);
	qsort(rig->log, 8, sizeof(rig->log[0]), by_request);
	for (size_t i = 0; i < 8; i++) {
		snprintf(got, sizeof(got), "%s %s %s", rig->log[i].method, rig->log[i].path, rig->log[i].body);
		ck_assert_str_eq(got, want[i]);
	}
	/* the last was due 10 ms after the first, and response times count from there */
	ck_assert_int_ge(r->elapsed_ns, 10 * MS);
	load_result_free(r);
	load_plan_free(&p);
	free(rig);
}
END_TEST

/* In the order of the log, when one connection sends them all. */
START_TEST(they_come_in_order)
{
	struct rig *rig = rig_start(world, hello);
	struct load_plan p;
	struct load_result *r;
	struct sd_error e = {0};
	char url[64], text[8192] = "", path[40];
	size_t n = 0;
	for (int i = 0; i < 100; i++)
		n += (size_t)snprintf(text + n, sizeof(text) - n, "{\"ts\":%d.5,\"path\":\"/%d\"}\n", 1000 - i, i);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", rig->addr.port);
	ck_assert_msg(plan_of(text, url, "--speed 100000 -c 1", &p, &e) == SD_OK, "%s", e.text);
	ck_assert_msg(load_run(world, &p, NULL, &r, &e) == SD_OK, "%s", e.text);
	rig_stop(rig);
	ck_assert_uint_eq(rig->n, 100);
	for (int i = 0; i < 100; i++) {
		snprintf(path, sizeof(path), "/%d", 99 - i);
		ck_assert_str_eq(rig->log[i].path, path);
	}
	load_result_free(r);
	load_plan_free(&p);
	free(rig);
}
END_TEST

/* Each refused connection fails a request that is due, never one that is still to come: the run lasts as the log does. */
START_TEST(nobody_listens)
{
	struct rig *rig = rig_start(world, hello);
	struct load_plan p;
	struct load_result *r;
	struct sd_error e = {0};
	char url[64];
	rig_stop(rig);
	snprintf(url, sizeof(url), "http://127.0.0.1:%u", rig->addr.port);
	free(rig);
	ck_assert_int_eq(plan_of(mixed, url, _i ? "--speed 50 --no-keep-alive" : "--speed 50 -t 2", &p, &e), SD_OK);
	ck_assert_msg(load_run(world, &p, NULL, &r, &e) == SD_OK, "%s", e.text);
	ck_assert_uint_eq(r->errors[LOAD_REFUSED], 8);
	ck_assert_uint_eq(load_total_errors(r), 8);
	ck_assert_int_ge(r->elapsed_ns, 200 * MS); /* 10 s at 50x */
	load_result_free(r);
	load_plan_free(&p);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("load_replay");
	TCase *t = tcase_create("replay");
	world = sd_world_real();
	tcase_set_timeout(t, 60);
	tcase_add_test(t, requests_in_every_form);
	tcase_add_test(t, times_in_every_form);
	tcase_add_test(t, logs_in_every_form);
	tcase_add_test(t, refused_with_the_line);
	tcase_add_test(t, cut_off_anywhere);
	tcase_add_loop_test(t, the_pace_is_that_of_the_log, 0, 4);
	tcase_add_test(t, like_requests_are_kept_once);
	tcase_add_test(t, plans_refused);
	tcase_add_loop_test(t, the_server_hears_the_log, 0, 4);
	tcase_add_test(t, they_come_in_order);
	tcase_add_loop_test(t, nobody_listens, 0, 2);
	suite_add_tcase(suite, t);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	sd_world_free(world);
	return failed ? 1 : 0;
}
