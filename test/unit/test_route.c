/* Which rule a request falls under, against the obvious search through all of them. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/http_template.h"
#include "core/rng.h"
#include "core/route.h"

#define RULE(h, p) {{h, sizeof(h) - 1}, {p, sizeof(p) - 1}, SD_ROUTE_ANYWHERE}

static size_t find(const struct sd_route_set *set, const char *host, const char *path)
{
	return sd_route_find(set, 0, sd_slice_of(host), sd_slice_of(path));
}

static const struct sd_route_rule rules[] = {
    RULE("", "/"),            RULE("", "/v1"),     RULE("", "/v1/x/"),        RULE("api.test", "/v1"),
    RULE("*.test", "/"),      RULE("*.a.test", "/deep"), RULE("[::1]", "/"), RULE("127.0.0.1", "/"),
};

static const struct {
	const char *host, *path;
	size_t found;
} cases[] = {
    {"other", "/", 0},
    {"", "/", 0},
    {"other", "*", 0},
    {"other", "", 0},
    {"other", "/v1", 1},
    {"other", "/v1/", 1},
    {"other", "/v1/x", 1},
    {"other", "/v1/x/", 2},
    {"other", "/v1/x/y/z", 2},
    {"other", "/v1x", 0},
    {"other", "/v", 0},
    {"other", "/V1", 0},
    {"api.test", "/v1/a", 3},
    {"API.Test:8080", "/v1", 3},
    {"api.test.", "/v1", 3},
    {"api.test", "/v2", 4}, /* its own rules have none: the next host is asked */
    {"x.api.test", "/v1", 4},
    {"test", "/v1", 1},
    {".test", "/v1", 1},
    {"b.a.test", "/deep/er", 5},
    {"b.a.test", "/", 4},
    {"a.test", "/deep", 4},
    {"[::1]:80", "/v1", 6},
    {"[::1]", "/", 6},
    {"127.0.0.1:1", "/", 7},
    {"notest", "/", 0},
};

START_TEST(the_most_particular)
{
	struct sd_route_set *set = sd_route_set_new(rules, sizeof(rules) / sizeof(rules[0]));
	ck_assert_ptr_nonnull(set);
	ck_assert_msg(find(set, cases[_i].host, cases[_i].path) == cases[_i].found, "%s%s: %zu instead of %zu", cases[_i].host,
		      cases[_i].path, find(set, cases[_i].host, cases[_i].path), cases[_i].found);
	sd_route_set_free(set);
}
END_TEST

START_TEST(places_and_order)
{
	static const struct sd_route_rule r[] = {
	    {{"", 0}, {"/a", 2}, 1}, {{"", 0}, {"/a", 2}, 2}, {{"", 0}, {"/a", 2}, 3}, {{"", 0}, {"/", 1}, 4}};
	struct sd_route_set *set = sd_route_set_new(r, 4);
	ck_assert_uint_eq(sd_route_find(set, 0, sd_slice_of("h"), sd_slice_of("/a")), 0);
	ck_assert_uint_eq(sd_route_find(set, 1, sd_slice_of("h"), sd_slice_of("/a")), 1);
	ck_assert_uint_eq(sd_route_find(set, 2, sd_slice_of("h"), sd_slice_of("/a")), 3);
	ck_assert_uint_eq(sd_route_find(set, 3, sd_slice_of("h"), sd_slice_of("/a")), SD_ROUTE_NONE);
	ck_assert_uint_eq(sd_route_find(set, 77, sd_slice_of("h"), sd_slice_of("/a")), SD_ROUTE_NONE);
	sd_route_set_free(set);
	set = sd_route_set_new(NULL, 0);
	ck_assert_uint_eq(find(set, "h", "/"), SD_ROUTE_NONE);
	sd_route_set_free(set);
}
END_TEST

/* ---- against the obvious ---- */

static bool covers(struct sd_slice rule, const char *path)
{
	size_t n = strlen(path);
	if (n < rule.n || memcmp(rule.p, path, rule.n) != 0)
		return false;
	return n == rule.n || rule.p[rule.n - 1] == '/' || path[rule.n] == '/';
}

/* How particular: 0 does not fit. */
static size_t host_rank(struct sd_slice rule, const char *host)
{
	size_t n = strlen(host);
	if (rule.n == 0)
		return 1;
	if (rule.p[0] != '*')
		return sd_slice_eq(rule, host) ? 1000 : 0;
	return n > rule.n - 1 && memcmp(host + n - (rule.n - 1), rule.p + 1, rule.n - 1) == 0 ? 1 + rule.n : 0;
}

static size_t obvious(const struct sd_route_rule *r, size_t n, const char *host, const char *path)
{
	size_t best = SD_ROUTE_NONE, best_rank = 0;
	for (size_t i = 0; i < n; i++) {
		size_t rank = covers(r[i].path, path) ? host_rank(r[i].host, host) : 0;
		if (rank && rank * 2000 + r[i].path.n > best_rank) {
			best_rank = rank * 2000 + r[i].path.n;
			best = i;
		}
	}
	return best;
}

static void random_path(struct sd_rng *rng, char *out, bool rule)
{
	static const char *const segments[] = {"a", "b", "ab", "a-long-one", ""};
	size_t n = 0, count = sd_rng_below(rng, 5);
	for (size_t i = 0; i < count; i++)
		n += (size_t)snprintf(out + n, 128 - n, "/%s", segments[sd_rng_below(rng, 5)]);
	if (n == 0 || (!rule && sd_rng_below(rng, 4) == 0))
		n += (size_t)snprintf(out + n, 128 - n, "/");
	out[n] = '\0';
}

START_TEST(as_the_obvious_search)
{
	static const char *const hosts[] = {"", "a.test", "b.test", "x.a.test", "*.test", "*.a.test", "test", "*.x.a.test"};
	struct sd_rng rng;
	sd_rng_seed(&rng, (uint64_t)_i);
	char paths[24][128], path[128];
	struct sd_route_rule r[24];
	size_t n = sd_rng_below(&rng, 25);
	for (size_t i = 0; i < n; i++) {
		random_path(&rng, paths[i], true);
		r[i] = (struct sd_route_rule){sd_slice_of(hosts[sd_rng_below(&rng, 8)]), sd_slice_of(paths[i]), SD_ROUTE_ANYWHERE};
		ck_assert_int_eq(sd_route_check(&r[i], NULL), SD_OK);
	}
	struct sd_route_set *set = sd_route_set_new(r, n);
	for (int k = 0; k < 300; k++) {
		const char *host = hosts[sd_rng_below(&rng, 8)];
		host = host[0] == '*' ? "y.x.a.test" : host;
		random_path(&rng, path, false);
		size_t want = obvious(r, n, host, path), got = find(set, host, path);
		ck_assert_msg(got == want, "%s%s: rule %zu instead of %zu", host, path, got, want);
	}
	sd_route_set_free(set);
}
END_TEST

START_TEST(bad_rules)
{
	static const struct sd_route_rule bad[] = {
	    RULE("", ""),	     RULE("", "v1"),	   RULE("", "/a b"),	  RULE("", "/a?b"),   RULE("", "/a#"),
	    RULE("", "/*"),	     RULE("a b", "/"),	   RULE("a.test:80", "/"), RULE("*", "/"),    RULE("a.*.test", "/"),
	    RULE("a..test", "/"), RULE("test.", "/"), RULE("*.", "/"),	  RULE("http://a", "/"), RULE("[::1", "/"),
	};
	struct sd_error e = {0};
	ck_assert_int_eq(sd_route_check(&bad[_i], &e), SD_EINVAL);
	ck_assert_msg(strstr(e.text, "expected"), "%s", e.text);
}
END_TEST

/* ---- templates ---- */

static const char *written(const char *text)
{
	static char out[200];
	static const struct sd_http_vars v = {{{"https", 5}, {"h.test:1", 8}, {"h.test", 6}, {"/p", 2}, {"?q=1", 4}, {"/p?q=1", 6}, {"/r", 2},
					       {"192.0.2.1", 9}, {"GET", 3}}};
	out[sd_http_template_write(out, sizeof(out) - 1, text, &v)] = '\0';
	return out;
}

START_TEST(templates)
{
	ck_assert_str_eq(written("{scheme}://{hostname}{uri}{host}"), "https://h.test/p?q=1h.test:1");
	ck_assert_str_eq(written("a{{b}{rest}|{path}|{query}|{client}|{method}"), "a{b}/r|/p|?q=1|192.0.2.1|GET");
	ck_assert_str_eq(written(""), "");
	ck_assert_str_eq(written("}"), "}");
	char small[4] = "xxx";
	ck_assert_uint_eq(sd_http_template_write(small, 2, "abcd", NULL), 4);
	ck_assert_str_eq(small, "abx");
	static const char *const bad[] = {"{", "{host", "{Host}", "{}", "a{nope}b", "{host}{"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		struct sd_error e = {0};
		ck_assert_msg(sd_http_template_check(bad[i], &e) == SD_EINVAL, "%s", bad[i]);
	}
	ck_assert_int_eq(sd_http_template_check("{{{host}}", NULL), SD_OK);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("route");
	TCase *t = tcase_create("rules");
	tcase_add_loop_test(t, the_most_particular, 0, (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_test(t, places_and_order);
	tcase_add_loop_test(t, as_the_obvious_search, 0, 200);
	tcase_add_loop_test(t, bad_rules, 0, 15);
	tcase_add_test(t, templates);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
