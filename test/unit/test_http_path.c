#include <check.h>
#include <stdlib.h>
#include <string.h>

#include "core/http_path.h"
#include "core/rng.h"
#include "guard.h"

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

static const struct {
	const char *path, *normal; /* normal NULL: refused */
} cases[] = {
    {"/", "/"},
    {"/index.html", "/index.html"},
    {"/a/b/", "/a/b/"},
    /* encoding */
    {"/%41%7a%30%2D%2e%5f%7E", "/Az0-._~"},
    {"/caf%c3%a9", "/caf%C3%A9"},
    {"/a%2fb", "/a%2Fb"},
    {"/a%2F..%2Fb", "/a%2F..%2Fb"},
    {"/%25", "/%25"},
    {"/%2541", "/%2541"},
    {"/%3F%23%20", "/%3F%23%20"},
    {"/a+b;c=d,e!f'(g)*:@&=$", "/a+b;c=d,e!f'(g)*:@&=$"},
    /* dot segments */
    {"/.", "/"},
    {"/./", "/"},
    {"/a/.", "/a/"},
    {"/a/./b", "/a/b"},
    {"/a/..", "/"},
    {"/a/../", "/"},
    {"/a/../b", "/b"},
    {"/a/b/../c", "/a/c"},
    {"/a/b/../../c", "/c"},
    {"/a/b/..", "/a/"},
    {"/a/%2e", "/a/"},
    {"/a/%2E./b", "/b"},
    {"/a/.%2e/b", "/b"},
    {"/a/%2e%2E/b", "/b"},
    {"/...", "/..."},
    {"/..a", "/..a"},
    {"/a..", "/a.."},
    {"/.a/.b", "/.a/.b"},
    {"/%252e%252e/x", "/%252e%252e/x"},
    /* empty segments */
    {"//", "//"},
    {"/a//b", "/a//b"},
    {"//a", "//a"},
    {"/a//../b", "/a/b"},
    {"//..", "/"},
    {"/a/..//b", "//b"},
    {"/a/.//b", "/a//b"},
    {"/a//.", "/a//"},
    /* refused */
    {"", NULL},
    {"*", NULL},
    {"a/b", NULL},
    {"/..", NULL},
    {"/../x", NULL},
    {"/%2e%2e/x", NULL},
    {"/./../x", NULL},
    {"/a/../../x", NULL},
    {"/a/../../a/x", NULL},
    {"/%", NULL},
    {"/%4", NULL},
    {"/%4g", NULL},
    {"/%g4", NULL},
    {"/%%41", NULL},
    {"/%00", NULL},
    {"/a\\b", NULL},
    {"/..\\x", NULL},
    {"/%5cx", NULL},
    {"/%5C", NULL},
    {"/a b", NULL},
    {"/a#b", NULL},
    {"/a?b", NULL},
    {"/a\tb", NULL},
    {"/a\x7f", NULL},
    {"/caf\xc3\xa9", NULL},
};

START_TEST(table)
{
	struct guard in = guard_new(256);
	for (size_t i = 0; i < COUNT(cases); i++) {
		char out[256];
		const char *why = NULL;
		size_t n = strlen(cases[i].path);
		struct sd_slice path = {guard_put(&in, cases[i].path, n), n};
		ssize_t got = sd_http_path_normalise(path, out, sizeof out, &why);
		if (!cases[i].normal) {
			ck_assert_msg(got == -1 && why && *why, "%s", cases[i].path);
			continue;
		}
		ck_assert_msg(got == (ssize_t)strlen(cases[i].normal) && memcmp(out, cases[i].normal, (size_t)got) == 0,
			      "%s: %.*s", cases[i].path, (int)(got < 0 ? 0 : got), out);
		ck_assert_ptr_null(why);
	}
	guard_free(&in);
}
END_TEST

START_TEST(nul_and_reasons)
{
	char out[16];
	const char *why = NULL;
	ck_assert_int_eq(sd_http_path_normalise((struct sd_slice){"/a\0b", 4}, out, sizeof out, &why), -1);
	ck_assert_int_eq(sd_http_path_normalise(sd_slice_of("/../x"), out, sizeof out, &why), -1);
	ck_assert_str_eq(why, "path goes above the root");
	ck_assert_int_eq(sd_http_path_normalise(sd_slice_of("/%00"), out, sizeof out, &why), -1);
	ck_assert_str_eq(why, "NUL in the path");
	ck_assert_int_eq(sd_http_path_normalise(sd_slice_of("/.."), out, sizeof out, NULL), -1);
}
END_TEST

/* The result fits exactly, ends at a page that cannot be written beyond, and one byte less is refused. */
START_TEST(exact_room)
{
	struct guard g = guard_new(256);
	for (size_t i = 0; i < COUNT(cases); i++) {
		struct sd_slice path = sd_slice_of(cases[i].path);
		for (size_t room = 0; room <= path.n; room++) {
			char *out = g.base + g.size - room;
			ssize_t got = sd_http_path_normalise(path, out, room, NULL);
			ck_assert_msg(got <= (ssize_t)room, "%s", cases[i].path);
			if (room == path.n)
				ck_assert_msg((got >= 0) == (cases[i].normal != NULL), "%s", cases[i].path);
		}
	}
	const char *why = NULL;
	char out[3];
	ck_assert_int_eq(sd_http_path_normalise(sd_slice_of("/abc"), out, 3, &why), -1);
	ck_assert_str_eq(why, "path is too long");
	guard_free(&g);
}
END_TEST

static bool has_dot_segment(const char *p, size_t n)
{
	for (size_t from = 1; from <= n;) {
		const char *slash = memchr(p + from, '/', n - from);
		size_t to = slash ? (size_t)(slash - p) : n;
		if (to - from >= 1 && to - from <= 2 && memcmp(p + from, "..", to - from) == 0)
			return true;
		from = to + 1;
	}
	return false;
}

/* Paths of pieces that could trip it: the result is a fixed point, in place too, and has no dot segment. */
START_TEST(idempotent)
{
	static const char *const pieces[] = {"/",   "/",   "/",   ".",   "..",	"%2e", "%2E", "%2f", "%2F",
					     "a",   "%61", "%25", "2e",	 "%c3", "~",   "%7e", "%5",  "%5C",
					     "%00", "\\",  "%",	  "%41", "%2b", "%3A"};
	struct sd_rng rng;
	sd_rng_seed(&rng, 1);
	size_t taken = 0;
	for (int round = 0; round < 200000; round++) {
		char path[64] = "/", once[64], twice[64];
		size_t n = 1;
		for (uint32_t k = sd_rng_below(&rng, 12); k > 0; k--) {
			const char *piece = pieces[sd_rng_below(&rng, round % 4 ? 17 : COUNT(pieces))];
			size_t len = strlen(piece);
			memcpy(path + n, piece, len);
			n += len;
		}
		ssize_t got = sd_http_path_normalise((struct sd_slice){path, n}, once, sizeof once, NULL);
		if (got >= 0) {
			taken++;
			ck_assert(got >= 1 && (size_t)got <= n && once[0] == '/');
			ck_assert_msg(!has_dot_segment(once, (size_t)got), "%.*s", (int)n, path);
			ssize_t again = sd_http_path_normalise((struct sd_slice){once, (size_t)got}, twice, sizeof twice, NULL);
			ck_assert_msg(again == got && memcmp(once, twice, (size_t)got) == 0, "%.*s", (int)n, path);
		}
		ck_assert_int_eq(sd_http_path_normalise((struct sd_slice){path, n}, path, n, NULL), got);
		ck_assert(got < 0 || memcmp(path, once, (size_t)got) == 0);
	}
	ck_assert_uint_gt(taken, 50000);
}
END_TEST

START_TEST(files)
{
	static const struct {
		const char *path, *name; /* name NULL: none */
	} t[] = {
	    {"/", ""},
	    {"", ""},
	    {"/a", "a"},
	    {"/a/b.html", "a/b.html"},
	    {"/a/", "a/"},
	    {"a/b", "a/b"},
	    {"/caf%C3%A9%20x", "caf\xc3\xa9 x"},
	    {"/a%25", "a%"},
	    {"/a%2525", "a%25"},
	    {"/.well-known/acme", ".well-known/acme"},
	    {"/a..b", "a..b"},
	    {"//", NULL},
	    {"//a", NULL},
	    {"/a//b", NULL},
	    {"/a//", NULL},
	    {"/a%2Fb", NULL},
	    {"/a%2fb", NULL},
	    {"/%2F", NULL},
	    {"/a%00", NULL},
	    {"/%", NULL},
	    {"/%4", NULL},
	    {"/%4g", NULL},
	    {"/.git/config", NULL},
	    {"/a/.htaccess", NULL},
	    {"/.", NULL},
	    {"/..", NULL},
	    {"/a/../b", NULL},
	    {"/%2e%2e/b", NULL},
	    {"/%2Egit", NULL},
	    {"/.well-knownx", NULL},
	    {"/.well-know", NULL},
	};
	struct guard in = guard_new(256);
	for (size_t i = 0; i < COUNT(t); i++) {
		char out[64] = "";
		size_t n = strlen(t[i].path);
		ssize_t got = sd_http_path_file((struct sd_slice){guard_put(&in, t[i].path, n), n}, out, sizeof out);
		ck_assert_msg(got == (t[i].name ? (ssize_t)strlen(t[i].name) : -1), "%s: %zd %s", t[i].path, got, out);
		ck_assert_msg(got < 0 || strcmp(out, t[i].name) == 0, "%s: %s", t[i].path, out);
	}
	char small[4];
	ck_assert_int_eq(sd_http_path_file(sd_slice_of("/abc"), small, 4), 3);
	ck_assert_int_eq(sd_http_path_file(sd_slice_of("/abcd"), small, 4), -1);
	ck_assert_int_eq(sd_http_path_file(sd_slice_of("/"), small, 0), -1);
	guard_free(&in);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("http_path");
	TCase *t = tcase_create("http_path");

	tcase_add_test(t, table);
	tcase_add_test(t, nul_and_reasons);
	tcase_add_test(t, exact_room);
	tcase_add_test(t, idempotent);
	tcase_add_test(t, files);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
