/* Limits that somebody wrote down, put to requests in time that is told: what passes, whose it is, what is told of it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/limits.h"
#include "core/rng.h"

#define SECOND INT64_C(1000000000)
#define GIVEN(text) text

static const struct sd_option row_options[] = {SD_LIMIT_MATCH_ROWS SD_LIMIT_ROWS(GIVEN, NULL, true) {0}};
static const struct sd_option options[] = {{"limits", SD_OPT_TABLE, NULL, "", .sub = row_options}, {0}};

static struct sd_limits *limits;
static struct sd_ratelimit *table;
static struct sd_limits_counts counts;
static struct sd_limits_tallies tallies;
static struct sd_limits_verdict v;
static struct sd_http_head head;
static char request[4096];
static int64_t now;
static uint32_t place;

static void setup(void)
{
	struct sd_ratelimit_conf conf = {1000, 1 << 20, {1, 2}};
	ck_assert_int_eq(sd_ratelimit_new(&conf, &table), SD_OK);
	limits = NULL;
	memset(&counts, 0, sizeof(counts));
	memset(&tallies, 0, sizeof(tallies));
	now = 100 * SECOND;
	place = SD_LIMITS_ANYWHERE;
}

static void teardown(void)
{
	sd_limits_release(limits);
	sd_ratelimit_free(table);
}

/* Rows of YAML; an error is in *e. */
static enum sd_err make(const char *yaml, struct sd_error *e)
{
	struct sd_doc *doc;
	struct sd_conf *conf;
	struct sd_conf_sources from = {.applet = "x"};
	ck_assert_int_eq(sd_doc_parse("x.yaml", yaml, strlen(yaml), &doc, e), SD_OK);
	from.doc = doc;
	ck_assert_msg(sd_conf_make(options, NULL, &from, &conf, NULL, NULL, e) == SD_OK, "%s", e->text);
	size_t n = sd_conf_count(conf, "limits");
	sd_limits_release(limits);
	limits = sd_limits_new(n);
	ck_assert_ptr_nonnull(limits);
	enum sd_err err = sd_limits_read_headers(limits, NULL, NULL, e);
	for (size_t i = 0; !err && i < n; i++) {
		const struct sd_conf *row = sd_conf_row(conf, "limits", i);
		err = sd_limits_add(limits, row, row, e);
	}
	sd_conf_free(conf);
	sd_doc_free(doc);
	return err;
}

static void rules(const char *yaml)
{
	struct sd_error e = {SD_OK, ""};
	ck_assert_msg(make(yaml, &e) == SD_OK, "%s", e.text);
	ck_assert_int_eq(sd_limits_tally(limits, &tallies, &e), SD_OK);
}

/* Does a request pass? from: its address; fields: lines with CRLF. */
static bool asks(const char *from, const char *line, const char *fields)
{
	struct sd_peer who = {.kind = SD_ADDR_INET};
	ck_assert(sd_ip_parse(sd_slice_of(from), who.ip, &who.v6));
	int n = snprintf(request, sizeof(request), "%s HTTP/1.1\r\nHost: a.test\r\n%s\r\n", line, fields);
	ck_assert_int_eq(sd_http_parse_request(request, (size_t)n, 0, NULL, &head), n);
	struct sd_limits_request r = {.head = &head, .path = head.path, .who = &who, .place = place};
	sd_limits_decide(limits, table, &r, now, &counts, &v);
	return v.allowed;
}

static bool get(const char *path)
{
	char line[200];
	snprintf(line, sizeof(line), "GET %s", path);
	return asks("192.0.2.1", line, "");
}

static uint64_t counted(const char *name, enum sd_limit_count what)
{
	for (unsigned i = 0; i < tallies.n; i++)
		if (strcmp(tallies.names[i], name) == 0)
			return counts.n[i][what];
	ck_abort_msg("no counter %s", name);
}

/* ---- decisions ---- */

/* The example of the project: 25 requests, of which 20 pass, and one more each tenth of a second. */
START_TEST(twenty_of_twentyfive)
{
	rules("limits: [{name: a, rate: 10, burst: 20}]");
	for (int i = 0; i < 25; i++)
		ck_assert_int_eq(get("/"), i < 20);
	ck_assert_int_eq(v.answers[0].retry_ns, SECOND / 10);
	now += SECOND / 10 - 1;
	ck_assert(!get("/"));
	now += 1;
	ck_assert(get("/"));
	ck_assert(!get("/"));
	ck_assert_uint_eq(counted("a", SD_LIMIT_ALLOWED), 21);
	ck_assert_uint_eq(counted("a", SD_LIMIT_REFUSED), 7);
}
END_TEST

/* Whatever comes when: of any time t no more than burst + rate * t pass, and those that may pass do. */
START_TEST(never_more_than_the_limit)
{
	struct sd_rng rng;
	int64_t first = now;
	double tokens = 5;
	uint64_t passed = 0;
	sd_rng_seed(&rng, 7);
	rules("limits: [{name: a, rate: 100, burst: 5}]");
	for (int i = 0; i < 20000; i++) {
		int64_t pause = sd_rng_below(&rng, 3) ? (int64_t)sd_rng_below(&rng, 20) * (SECOND / 1000) : 0;
		now += pause;
		tokens = tokens + (double)pause / 1e7 < 5 ? tokens + (double)pause / 1e7 : 5;
		bool fits = tokens > 1 - 1e-9;
		ck_assert_int_eq(get("/"), fits);
		tokens -= fits;
		passed += fits;
	}
	ck_assert_uint_le(passed, 5 + (uint64_t)((now - first) / (SECOND / 100)));
	ck_assert_uint_gt(passed, 1000);
}
END_TEST

START_TEST(all_or_none)
{
	rules("limits:\n  - {name: wide, rate: 10/h}\n  - {name: narrow, rate: 2/h, path: /in}\n");
	ck_assert(get("/in") && get("/in"));
	for (int i = 0; i < 5; i++)
		ck_assert(!get("/in"));
	ck_assert_uint_eq(v.n, 2);
	ck_assert(v.answers[0].allowed && !v.answers[1].allowed);
	ck_assert_uint_eq(v.answers[0].remaining, 8);
	ck_assert_str_eq(v.rules[sd_limits_tightest(&v)]->name, "narrow");
	ck_assert_uint_eq(counted("wide", SD_LIMIT_ALLOWED), 2);
	ck_assert_uint_eq(counted("wide", SD_LIMIT_REFUSED), 0);
	for (int i = 0; i < 8; i++)
		ck_assert(get("/out"));
	ck_assert(!get("/out"));
}
END_TEST

/* One in shadow refuses nobody, keeps no other from counting, and goes on by itself. */
START_TEST(shadow)
{
	rules("limits:\n  - {name: trial, rate: 1/h, shadow: true}\n  - {name: real, rate: 3/h}\n");
	for (int i = 0; i < 5; i++)
		ck_assert_int_eq(get("/"), i < 3);
	ck_assert_uint_eq(v.n, 1);
	ck_assert_uint_eq(counted("trial", SD_LIMIT_ALLOWED), 1);
	ck_assert_uint_eq(counted("trial", SD_LIMIT_SHADOWED), 4);
	ck_assert_uint_eq(counted("trial", SD_LIMIT_REFUSED), 0);
}
END_TEST

START_TEST(which_come_under_it)
{
	rules("limits: [{name: a, rate: 1/h, path: /a, host: A.test, method: POST}]");
	static const struct {
		const char *line;
		bool under;
	} cases[] = {{"POST /a", true},	    {"POST /a/b", true}, {"POST /ab", false},
		     {"GET /a", false},     {"POST /", false},   {"POST http://b.test/a", false}};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		asks("192.0.2.1", cases[i].line, "");
		ck_assert_msg((v.n == 1) == cases[i].under, "%s", cases[i].line);
	}
	ck_assert(limits->by_path);
	rules("limits: [{name: below, rate: 1/h, key: [address, path]}]");
	ck_assert(limits->by_path);
	rules("limits: [{name: below, rate: 1/h, method: GET}]");
	ck_assert(!limits->by_path);
	rules("limits: [{name: below, rate: 1/h, path: /a/}]");
	get("/a");
	ck_assert_uint_eq(v.n, 0);
	get("/a/");
	ck_assert_uint_eq(v.n, 1);
}
END_TEST

START_TEST(places)
{
	rules("limits: [{name: here, rate: 1/h}, {name: all, rate: 9/h}]");
	limits->rules[0].place = 3;
	ck_assert(get("/") && get("/"));
	place = 3;
	ck_assert(get("/") && !get("/"));
	place = 2;
	ck_assert(get("/"));
}
END_TEST

/* Of a connection only the address is known. */
START_TEST(without_a_head)
{
	struct sd_peer who = {.kind = SD_ADDR_INET, .ip = {192, 0, 2, 1}};
	struct sd_limits_request r = {.who = &who};
	rules("limits: [{name: a, rate: 2/h}, {name: b, rate: 1/h, path: /}, {name: c, rate: 9/h, key: all}]");
	for (int i = 0; i < 3; i++) {
		sd_limits_decide(limits, table, &r, now, NULL, &v);
		ck_assert_int_eq(v.allowed, i < 2);
		ck_assert_uint_eq(v.n, 2);
	}
	ck_assert_uint_eq(counted("a", SD_LIMIT_ALLOWED), 0);
}
END_TEST

/* ---- whose it is ---- */

/* Pairs of requests of which the second has the first's key, or one of its own. */
static const struct {
	const char *key, *from[2], *line[2], *fields[2];
	bool same;
} keys[] = {
    {"address", {"192.0.2.1", "192.0.2.1"}, {"GET /a", "POST /b"}, {"", ""}, true},
    {"address", {"192.0.2.1", "192.0.2.2"}, {"GET /", "GET /"}, {"", ""}, false},
    {"address", {"2001:db8::1", "2001:db8::f:2"}, {"GET /", "GET /"}, {"", ""}, true},
    {"address", {"2001:db8::1", "2001:db8:0:1::1"}, {"GET /", "GET /"}, {"", ""}, false},
    {"all", {"192.0.2.1", "192.0.2.2"}, {"GET /", "GET /x"}, {"", ""}, true},
    {"path", {"192.0.2.1", "192.0.2.2"}, {"GET /?a", "PUT /?b"}, {"", ""}, true},
    {"path", {"192.0.2.1", "192.0.2.1"}, {"GET /a", "GET /b"}, {"", ""}, false},
    {"method", {"192.0.2.1", "192.0.2.2"}, {"GET /a", "GET /b"}, {"", ""}, true},
    {"method", {"192.0.2.1", "192.0.2.1"}, {"GET /", "PUT /"}, {"", ""}, false},
    {"header:X-User", {"192.0.2.1", "192.0.2.2"}, {"GET /", "GET /"}, {"x-user: 7\r\n", "X-USER: 7\r\n"}, true},
    {"header:X-User", {"192.0.2.1", "192.0.2.1"}, {"GET /", "GET /"}, {"X-User: 7\r\n", "X-User: 8\r\n"}, false},
    {"header:X-User", {"192.0.2.1", "192.0.2.2"}, {"GET /", "GET /"}, {"", ""}, false}, /* without it: by address */
    {"header:X-User", {"192.0.2.1", "192.0.2.1"}, {"GET /", "GET /"}, {"", "X-User:\r\n"}, true},
    {"api-key", {"192.0.2.1", "192.0.2.2"}, {"GET /", "GET /"}, {"X-API-Key: k\r\n", "X-API-Key: k\r\n"}, true},
    {"api-key", {"192.0.2.1", "192.0.2.2"}, {"GET /", "GET /"}, {"Authorization: k\r\n", "X-API-Key: k\r\n"}, true},
    {"api-key", {"192.0.2.1", "192.0.2.1"}, {"GET /", "GET /"}, {"Authorization: k\r\n", "Authorization: l\r\n"}, false},
    {"[header:A, header:B]", {"192.0.2.1", "192.0.2.1"}, {"GET /", "GET /"}, {"A: xy\r\nB: z\r\n", "A: x\r\nB: yz\r\n"}, false},
    {"[path, method]", {"192.0.2.1", "192.0.2.1"}, {"GET /", "PUT /"}, {"", ""}, false},
};

START_TEST(whose)
{
	char yaml[200];
	snprintf(yaml, sizeof(yaml), "limits: [{name: a, rate: 1/h, key: %s}]", keys[_i].key);
	rules(yaml);
	ck_assert(asks(keys[_i].from[0], keys[_i].line[0], keys[_i].fields[0]));
	ck_assert_int_eq(asks(keys[_i].from[1], keys[_i].line[1], keys[_i].fields[1]), !keys[_i].same);
}
END_TEST

/* A value that is longer than a key has room for counts by all of it. */
START_TEST(long_values)
{
	char a[1500], b[1500];
	rules("limits: [{name: a, rate: 1/h, key: [header:A, header:B, header:C, header:D]}]");
	memset(a, 'x', sizeof(a));
	memcpy(a, "A: ", 3);
	memcpy(a + sizeof(a) - 3, "\r\n", 3);
	memcpy(b, a, sizeof(a));
	b[sizeof(b) - 5] = 'y';
	ck_assert(asks("192.0.2.1", "GET /", a));
	ck_assert(!asks("192.0.2.1", "GET /", a));
	ck_assert(asks("192.0.2.1", "GET /", b));
}
END_TEST

/* ---- changes ---- */

/* By name: as much counts as counted before. */
START_TEST(other_limits)
{
	rules("limits: [{name: a, rate: 4/h}]");
	ck_assert(get("/") && get("/") && get("/"));
	rules("limits: [{name: b, rate: 1/h}, {name: a, rate: 6/h}]");
	ck_assert(get("/"));
	ck_assert_uint_eq(v.answers[1].remaining, 2);
	ck_assert(!get("/"));
	ck_assert_uint_eq(counted("a", SD_LIMIT_ALLOWED), 4);
	ck_assert_uint_eq(counted("b", SD_LIMIT_REFUSED), 1);
}
END_TEST

START_TEST(too_many_names)
{
	struct sd_error e = {SD_OK, ""};
	char yaml[64];
	for (int i = 0; i < SD_LIMITS_TALLIES; i++) {
		snprintf(yaml, sizeof(yaml), "limits: [{name: n%d, rate: 1}]", i);
		rules(yaml);
	}
	ck_assert_int_eq(make("limits: [{name: more, rate: 1}]", &e), SD_OK);
	ck_assert_int_eq(sd_limits_tally(limits, &tallies, &e), SD_ERANGE);
	rules("limits: [{name: n5, rate: 1}]");
}
END_TEST

/* ---- one option ---- */

START_TEST(a_quota)
{
	struct sd_error e = {SD_OK, ""};
	limits = sd_limits_new(1);
	ck_assert_int_eq(sd_limits_add_quota(limits, "create", "2/min", "api-key", &e), SD_OK);
	ck_assert(asks("192.0.2.1", "POST /", "X-API-Key: k\r\n") && asks("192.0.2.9", "POST /", "X-API-Key: k\r\n"));
	ck_assert(!asks("192.0.2.1", "POST /", "X-API-Key: k\r\n"));
	ck_assert(asks("192.0.2.1", "POST /", ""));
	ck_assert_int_eq(v.answers[0].retry_ns, 0);
	ck_assert_int_eq(sd_limits_add_quota(limits, "more", "2/min", "api-key", &e), SD_EINVAL);
	ck_assert_str_eq(e.text, "limit: name: there is no room for more rules");
}
END_TEST

static const struct {
	const char *quota, *key, *text;
} bad_quotas[] = {
    {"many", "address", "expected a count such as 10, 100/min or 1000/10m, found \"many\""},
    {"0/s", "address", "expected a count such as 10, 100/min or 1000/10m, found \"0/s\""},
    {"1/s", "ip", "expected address, api-key, header:NAME, path, method, host or all, found \"ip\""},
    {"1/s", "header:", "expected address, api-key, header:NAME, path, method, host or all, found \"header:\""},
};

START_TEST(no_quota)
{
	struct sd_error e = {SD_OK, ""};
	limits = sd_limits_new(1);
	ck_assert_int_eq(sd_limits_add_quota(limits, "a", bad_quotas[_i].quota, bad_quotas[_i].key, &e), SD_EINVAL);
	ck_assert_str_eq(e.text, bad_quotas[_i].text);
}
END_TEST

/* ---- what is told ---- */

START_TEST(fields)
{
	char out[SD_LIMITS_LINES];
	rules("limits: [{name: wide, rate: 100/min}, {name: narrow, rate: 3/min}]");
	ck_assert(get("/"));
	ck_assert_uint_eq(sd_limits_fields(limits, &v, now, out), strlen(out));
	ck_assert_str_eq(out, "X-RateLimit-Limit: 3\r\nX-RateLimit-Remaining: 2\r\nX-RateLimit-Reset: 120\r\n"
			      "RateLimit-Policy: \"wide\";q=100;w=60, \"narrow\";q=3;w=60\r\n"
			      "RateLimit: \"wide\";r=99;t=1, \"narrow\";r=2;t=20\r\n");
	ck_assert(get("/") && get("/") && !get("/"));
	sd_limits_fields(limits, &v, now, out);
	ck_assert_ptr_nonnull(strstr(out, "Retry-After: 20\r\n"));
	now += 1;
	ck_assert(!get("/"));
	sd_limits_fields(limits, &v, now, out);
	ck_assert_msg(strstr(out, "Retry-After: 20\r\n") != NULL, "rounded up: %s", out);
	now += SECOND;
	ck_assert(!get("/"));
	sd_limits_fields(limits, &v, now, out);
	ck_assert_msg(strstr(out, "Retry-After: 19\r\n") != NULL, "a second later: %s", out);
}
END_TEST

static const struct {
	const char *yaml, *text;
} bad_rows[] = {
    {"limits:\n  - {name: a, rate: x}\n", "x.yaml:2:21: rate: expected a count such as 10, 100/min or 1000/10m, found \"x\""},
    {"limits:\n  - {name: '', rate: 1}\n", "x.yaml:2:12: name: expected 1 to 63 printable characters without quotes"},
    {"limits:\n  - {name: 'a\"b', rate: 1}\n", "x.yaml:2:12: name: expected 1 to 63 printable characters without quotes"},
    {"limits:\n  - {name: a, rate: 1}\n  - {name: a, rate: 2}\n", "x.yaml:3:12: name: there is a rule a already"},
    {"limits:\n  - {name: a, rate: 1, path: b}\n", "x.yaml:2:30: path: expected it to begin with /, found \"b\""},
    {"limits:\n  - {name: a, rate: 1, key: []}\n", "x.yaml:2:29: key: expected 1 to 4 parts"},
    {"limits:\n  - {name: a, rate: 1, cost: 2}\n", "x.yaml:2:21: cost: expected at most 1, which is all there can be"},
};

START_TEST(rows_that_cannot_be)
{
	struct sd_error e = {SD_OK, ""};
	ck_assert_int_eq(make(bad_rows[_i].yaml, &e), SD_EINVAL);
	ck_assert_str_eq(e.text, bad_rows[_i].text);
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

int main(void)
{
	Suite *s = suite_create("limits");
	TCase *t = tcase_create("limits");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_set_timeout(t, 60);
	tcase_add_test(t, twenty_of_twentyfive);
	tcase_add_test(t, never_more_than_the_limit);
	tcase_add_test(t, all_or_none);
	tcase_add_test(t, shadow);
	tcase_add_test(t, which_come_under_it);
	tcase_add_test(t, places);
	tcase_add_test(t, without_a_head);
	tcase_add_loop_test(t, whose, 0, COUNT(keys));
	tcase_add_test(t, long_values);
	tcase_add_test(t, other_limits);
	tcase_add_test(t, too_many_names);
	tcase_add_test(t, a_quota);
	tcase_add_loop_test(t, no_quota, 0, COUNT(bad_quotas));
	tcase_add_test(t, fields);
	tcase_add_loop_test(t, rows_that_cannot_be, 0, COUNT(bad_rows));
	suite_add_tcase(s, t);
	SRunner *runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
