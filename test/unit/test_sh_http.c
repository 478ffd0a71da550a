/* The shortener's way of a request, as far as it is pure: which paths are codes, which rows answer, queries merged, what Accept
 * asks for, JSON as people read it. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../applets/shortener/http/sh_http.h"
#include "../../applets/shortener/http/sh_query.h"
#include "../../applets/shortener/http/sh_redirect.h"
#include "../../applets/shortener/http/sh_said.h"

#define S(text) ((struct sd_slice){text, sizeof(text) - 1})

START_TEST(paths_that_are_codes)
{
	static const struct {
		const char *path, *code; /* NULL: it is none */
	} rows[] = {
	    {"/a", "a"},	  {"/abc123", "abc123"}, {"/A-z_9", "A-z_9"}, {"/abc/", "abc"}, {"/", NULL},	   {"//", NULL},
	    {"/abc//", NULL},	  {"/a/b", NULL},	 {"/a.b", NULL},      {"/%61", NULL},	{"/api", NULL},	   {"/STATS", NULL},
	    {"/dashboard", NULL}, {"/-", NULL},		 {"/api2", "api2"},   {"*", NULL},	{"/-a", "-a"},
	};
	struct sd_slice code;
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		bool is = sh_redirect_is_code(sd_slice_of(rows[i].path), &code);
		ck_assert_msg(is == (rows[i].code != NULL), "%s", rows[i].path);
		if (is)
			ck_assert_msg(sd_slice_eq(code, rows[i].code), "%s: %.*s", rows[i].path, (int)code.n, code.p);
	}
	char longest[SH_CODE_MAX + 2];
	memset(longest, 'a', sizeof(longest));
	longest[0] = '/';
	ck_assert(sh_redirect_is_code((struct sd_slice){longest, SH_CODE_MAX + 1}, &code));
	ck_assert(!sh_redirect_is_code((struct sd_slice){longest, SH_CODE_MAX + 2}, &code));
}
END_TEST

/* No row of one part may be hidden by a code of the same letters. */
START_TEST(no_row_is_a_code)
{
	struct sd_slice code;
	for (const struct sh_route *r = sh_routes; r->path; r++) {
		bool is = sh_redirect_is_code(sd_slice_of(r->path), &code);
		ck_assert_msg(!is, "%s could be an alias", r->path);
	}
}
END_TEST

START_TEST(finding_a_row)
{
	char arg[SH_CODE_MAX + 1], allow[64];
	const struct sh_route *r = sh_route_find(SD_HTTP_GET, S("/api/links/abc"), arg, allow);
	ck_assert_ptr_nonnull(r);
	ck_assert_str_eq(r->id, "getLink");
	ck_assert_str_eq(arg, "abc");
	r = sh_route_find(SD_HTTP_HEAD, S("/api/links/abc/qr.svg"), arg, allow);
	ck_assert_str_eq(r->id, "qrCode");
	ck_assert_ptr_null(sh_route_find(SD_HTTP_PUT, S("/api/links/abc"), arg, allow));
	ck_assert_str_eq(allow, "GET, HEAD, PATCH, DELETE");
	static const char *const none[] = {"/api/links/", "/api/links/a/b", "/api", "", "*", "/api/shorten/", "api/shorten", "//api/shorten"};
	for (size_t i = 0; i < sizeof(none) / sizeof(none[0]); i++) {
		ck_assert_msg(!sh_route_find(SD_HTTP_GET, sd_slice_of(none[i]), arg, allow), "%s", none[i]);
		ck_assert_msg(!allow[0], "%s: %s", none[i], allow);
	}
}
END_TEST

START_TEST(queries)
{
	static const struct {
		const char *target, *query, *want;
	} rows[] = {
	    {"https://a/", "b=1", "https://a/?b=1"},
	    {"https://a/?b=1", "b=2", "https://a/?b=2"},
	    {"https://a/?b=1&c=3#f", "b=2", "https://a/?c=3&b=2#f"},
	    {"https://a/?b=1&b=2", "c", "https://a/?b=1&b=2&c"},
	    {"https://a/#f?b=1", "c=1", "https://a/?c=1#f?b=1"},
	    {"https://a/?", "", "https://a/"},
	    {"https://a/?b", "b", "https://a/?b"},
	    {"https://a/?bb=1", "b=2", "https://a/?bb=1&b=2"},
	    {"https://a/?x=1", "&&x=2&&", "https://a/?x=2"},
	    {"https://a/?=1", "=2", "https://a/?=2"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char out[64];
		size_t n = sh_query_merge(sd_slice_of(rows[i].target), sd_slice_of(rows[i].query), out, sizeof(out));
		ck_assert_msg(sd_slice_eq((struct sd_slice){out, n}, rows[i].want), "%s + %s: %.*s", rows[i].target, rows[i].query, (int)n, out);
		n = strlen(rows[i].want);
		ck_assert_uint_eq(sh_query_merge(sd_slice_of(rows[i].target), sd_slice_of(rows[i].query), out, n), n);
		ck_assert_uint_eq(sh_query_merge(sd_slice_of(rows[i].target), sd_slice_of(rows[i].query), out, n - 1), 0);
	}
}
END_TEST

/* A target with very many parameters is not dear to follow: beyond some of them nothing is compared. */
START_TEST(queries_that_are_long)
{
	enum { PARTS = 4000 };
	char *target = malloc(2 * PARTS + 16), *query = malloc(2 * PARTS), *out = malloc(4 * PARTS + 32);
	memcpy(target, "https://a/?", 11);
	for (size_t i = 0; i < PARTS; i++) {
		memcpy(target + 11 + 2 * i, "a&", 2);
		memcpy(query + 2 * i, "a&", 2);
	}
	size_t n = sh_query_merge((struct sd_slice){target, 11 + 2 * PARTS}, (struct sd_slice){query, 2 * PARTS}, out, 4 * PARTS + 32);
	ck_assert_uint_eq(n, 10 + 2 * (2 * PARTS - 100)); /* a hundred of the target's were replaced */
	free(target);
	free(query);
	free(out);
}
END_TEST

START_TEST(accept)
{
	static const struct {
		const char *accept;
		bool page;
	} rows[] = {
	    {"", false},
	    {"*/*", false},
	    {"text/html", true},
	    {"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", true},
	    {"application/json", false},
	    {"application/json, text/html;q=0.9", false},
	    {"application/json;q=0.5, text/html;q=0.55", true},
	    {"text/html;q=0", false},
	    {"text/html;level=1;q=0.001", true},
	    {"application/problem+json, text/html", false},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		ck_assert_msg(sh_wants_page(sd_slice_of(rows[i].accept)) == rows[i].page, "%s", rows[i].accept);
}
END_TEST

START_TEST(parameters)
{
	char out[16];
	struct sd_slice q = S("a=1&b=x%20y+z%2B&c=&d");
	ck_assert_str_eq(sh_query_get(q, "a", out, sizeof(out)), "1");
	ck_assert_str_eq(sh_query_get(q, "b", out, sizeof(out)), "x y z+");
	ck_assert_ptr_null(sh_query_get(q, "d", out, sizeof(out)));
	ck_assert_ptr_null(sh_query_get(q, "x", out, sizeof(out)));
	ck_assert_ptr_null(sh_query_get(S("a=%00"), "a", out, sizeof(out)));
	ck_assert_ptr_null(sh_query_get(S("a=12345678901234567"), "a", out, sizeof(out)));
}
END_TEST

START_TEST(json)
{
	size_t n = 0;
	char *text = sh_json_text(cJSON_Parse("{\"a\":1,\"b\":[\"x\",\"y\"],\"c\":{\"d\":null,\"e\":{}},\"f\":[],\"g\":[{\"h\":1},{\"i\":[{\"j\":2}]}]}"), &n);
	ck_assert_str_eq(text, "{\n  \"a\": 1,\n  \"b\": [\"x\", \"y\"],\n  \"c\": {\"d\": null, \"e\": {}},\n  \"f\": [],\n  \"g\": [\n"
			       "    {\"h\": 1},\n    {\"i\": [\n        {\"j\": 2}\n      ]}\n  ]\n}\n");
	ck_assert_uint_eq(n, strlen(text));
	free(text);
	ck_assert_ptr_null(sh_json_text(NULL, &n));
}
END_TEST

/* Types of errors are told apart, and each has a status that says so. */
START_TEST(problems)
{
	for (unsigned i = 0; i < SH_PROBLEMS; i++) {
		ck_assert_int_ge(sh_problems[i].status, 400);
		for (unsigned k = 0; k < i; k++)
			ck_assert_str_ne(sh_problems[i].name, sh_problems[k].name);
	}
	ck_assert_int_eq(sh_problem_of(SD_EUNREACHABLE), SH_DB_AWAY);
	ck_assert_int_eq(sh_problem_of(SD_EAGAIN), SH_DB_BUSY);
	ck_assert_int_eq(sh_problem_of(SD_EPERM), SH_DB_READ_ONLY);
	ck_assert_int_eq(sh_problem_of(SD_ENOSPC), SH_DB_FULL);
	ck_assert_int_eq(sh_problem_of(SD_EIO), SH_INTERNAL);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sh_http");
	TCase *t = tcase_create("all");
	tcase_add_test(t, paths_that_are_codes);
	tcase_add_test(t, no_row_is_a_code);
	tcase_add_test(t, finding_a_row);
	tcase_add_test(t, queries);
	tcase_add_test(t, queries_that_are_long);
	tcase_add_test(t, accept);
	tcase_add_test(t, parameters);
	tcase_add_test(t, json);
	tcase_add_test(t, problems);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
