/* RESP: requests in every cut, refusals with Redis's words, replies of both versions. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <math.h>

#include "core/resp.h"
#include "core/rng.h"

static const struct sd_resp_limits limits = {SD_RESP_MAX_ARGS, SD_RESP_MAX_BULK};

#define S(text) text, sizeof(text) - 1

/* Arguments with '|' between. */
static const char *joined(const struct sd_resp_reader *r)
{
	static char out[4096];
	size_t n = 0;
	for (size_t i = 0; i < r->argc; i++) {
		n += (size_t)snprintf(out + n, sizeof(out) - n, "%s", i ? "|" : "");
		memcpy(out + n, r->argv[i].p, r->argv[i].n);
		n += r->argv[i].n;
	}
	out[n] = '\0';
	return out;
}

static const struct {
	const char *p;
	size_t n;
	const char *args;
} good[] = {
    {S("*2\r\n$3\r\nGET\r\n$1\r\nk\r\n"), "GET|k"},
    {S("*1\r\n$0\r\n\r\n"), ""},
    {S("*0\r\n"), ""},
    {S("*-1\r\n"), ""},
    {S("PING\r\n"), "PING"},
    {S("PING\n"), "PING"},
    {S("\r\n"), ""},
    {S("  SET  a \t b \r\n"), "SET|a|b"},
    {S("SET a \"b c\\x41\\n\\\"\\q\"\r\n"), "SET|a|b cA\n\"q"},
    {S("SET a 'b c\\x41\\''\r\n"), "SET|a|b c\\x41'"},
    {S("SET a \"\"\r\n"), "SET|a|"},
    {S("*1\r\n$4\r\na\r\nb\r\n"), "a\r\nb"},
};

START_TEST(requests_in_every_cut)
{
	struct sd_resp_reader r = {0};
	for (size_t cut = 1; cut <= good[_i].n; cut++) {
		/* so that a read beyond the end is seen */
		char *p = malloc(cut);
		memcpy(p, good[_i].p, cut);
		ssize_t took = sd_resp_read(&r, p, cut, &limits);
		if (cut < good[_i].n) {
			ck_assert_msg(took == SD_RESP_INCOMPLETE, "%zu bytes: %zd", cut, took);
			ck_assert_uint_gt(r.need, cut);
		} else {
			ck_assert_int_eq(took, (ssize_t)good[_i].n);
			ck_assert_str_eq(joined(&r), good[_i].args);
		}
		free(p);
	}
	sd_resp_reader_reset(&r);
	ck_assert_int_eq(sd_resp_read(&r, good[_i].p, good[_i].n, &limits), (ssize_t)good[_i].n);
	ck_assert_str_eq(joined(&r), good[_i].args);
	sd_resp_reader_free(&r);
}
END_TEST

static const struct {
	const char *p;
	size_t n;
	const char *error;
} refused[] = {
    {S("*3\r\n$3\r\nSET\r\n$1\r\nx\r\nfooz\r\n"), "Protocol error: expected '$', got 'f'"},
    {S("*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$-10\r\n"), "Protocol error: invalid bulk length"},
    {S("*3\r\n$3\r\nSET\r\n$1\r\nx\r\n$2000000000\r\n"), "Protocol error: invalid bulk length"},
    {S("*3\r\n$3\r\nSET\r\n$blabla\r\n"), "Protocol error: invalid bulk length"},
    {S("*1\r\n$ 1\r\n"), "Protocol error: invalid bulk length"},
    {S("*1\r\n$01\r\n"), "Protocol error: invalid bulk length"},
    {S("*1\r\n$+1\r\n"), "Protocol error: invalid bulk length"},
    {S("*3000000000\r\n"), "Protocol error: invalid multibulk length"},
    {S("*x\r\n"), "Protocol error: invalid multibulk length"},
    {S("*99999999999999999999\r\n"), "Protocol error: invalid multibulk length"},
    {S("*\r\n"), "Protocol error: invalid multibulk length"},
    {S("*1\r\n\0"), "Protocol error: expected '$', got '?'"},
    {S("SET a \"b\r\n"), "Protocol error: unbalanced quotes in request"},
    {S("SET a 'b\r\n"), "Protocol error: unbalanced quotes in request"},
    {S("SET \"a\"b\r\n"), "Protocol error: unbalanced quotes in request"},
};

START_TEST(refusals)
{
	struct sd_resp_reader r = {0};
	ck_assert_int_eq(sd_resp_read(&r, refused[_i].p, refused[_i].n, &limits), SD_RESP_BAD);
	ck_assert_str_eq(r.error, refused[_i].error);
	sd_resp_reader_free(&r);
}
END_TEST

/* Lines without an end are not waited for for ever. */
START_TEST(endless)
{
	static const char begin[][8] = {"", "*", "*1\r\n$"};
	static const char *const why[] = {"too big inline request", "too big mbulk count string", "too big bulk count string"};
	size_t n = SD_RESP_MAX_INLINE + 100;
	char *p = malloc(n);
	memset(p, '1', n);
	memcpy(p, begin[_i], strlen(begin[_i]));
	struct sd_resp_reader r = {0};
	ck_assert_int_eq(sd_resp_read(&r, p, 1000, &limits), SD_RESP_INCOMPLETE);
	ck_assert_int_eq(sd_resp_read(&r, p, n, &limits), SD_RESP_BAD);
	ck_assert_msg(strstr(r.error, why[_i]), "%s", r.error);
	sd_resp_reader_free(&r);
	free(p);
}
END_TEST

/* A claim of a million arguments or of 512 MiB takes no memory. */
START_TEST(claims)
{
	struct sd_resp_reader r = {0};
	static const char many[] = "*1048576\r\n$3\r\nSET\r\n", large[] = "*1\r\n$536870912\r\n";
	ck_assert_int_eq(sd_resp_read(&r, S(many), &limits), SD_RESP_INCOMPLETE);
	ck_assert_uint_le(r.room, 8);
	sd_resp_reader_reset(&r);
	ck_assert_int_eq(sd_resp_read(&r, S(large), &limits), SD_RESP_INCOMPLETE);
	ck_assert_uint_eq(r.need, sizeof(large) - 1 + 536870912 + 2);
	sd_resp_reader_free(&r);
}
END_TEST

START_TEST(random_bytes)
{
	static const char alphabet[] = "*$\r\n0123456789-abc\"'\\ x";
	struct sd_rng rng;
	sd_rng_seed(&rng, (uint64_t)_i);
	for (int k = 0; k < 2000; k++) {
		size_t n = sd_rng_below(&rng, 60), cut = n ? sd_rng_below(&rng, (uint32_t)n) : 0;
		char *p = malloc(n + 1);
		for (size_t i = 0; i < n; i++)
			p[i] = alphabet[sd_rng_below(&rng, sizeof(alphabet) - 1)];
		struct sd_resp_reader whole = {0}, parts = {0};
		ssize_t a = sd_resp_read(&whole, p, n, &limits), b = sd_resp_read(&parts, p, cut, &limits);
		if (b == SD_RESP_INCOMPLETE)
			b = sd_resp_read(&parts, p, n, &limits);
		ck_assert_int_eq(a, b);
		if (a > 0)
			ck_assert_uint_eq(whole.argc, parts.argc);
		sd_resp_reader_free(&whole);
		sd_resp_reader_free(&parts);
		free(p);
	}
}
END_TEST

static void all_replies(struct sd_resp_out *o)
{
	sd_resp_simple(o, "OK");
	sd_resp_error(o, "ERR a\r\nb\n\r");
	sd_resp_int(o, INT64_MIN);
	sd_resp_bulk(o, "a\0b", 3);
	sd_resp_null(o);
	sd_resp_null_array(o);
	sd_resp_map(o, 1);
	sd_resp_set(o, 2);
	sd_resp_push(o, 3);
	sd_resp_bool(o, true);
	sd_resp_double(o, 1.5);
	sd_resp_verbatim(o, "txt", "hi");
	size_t place = sd_resp_later(o);
	sd_resp_int(o, 7);
	sd_resp_now(o, place, '%', 12);
}

START_TEST(replies)
{
	static const char two[] = "+OK\r\n-ERR a  b\r\n:-9223372036854775808\r\n$3\r\na\0b\r\n$-1\r\n*-1\r\n*2\r\n*2\r\n*3\r\n:1\r\n"
				  "$3\r\n1.5\r\n$2\r\nhi\r\n*24\r\n:7\r\n";
	static const char three[] = "+OK\r\n-ERR a  b\r\n:-9223372036854775808\r\n$3\r\na\0b\r\n_\r\n_\r\n%1\r\n~2\r\n>3\r\n#t\r\n"
				    ",1.5\r\n=6\r\ntxt:hi\r\n%12\r\n:7\r\n";
	struct sd_resp_out o = {.resp3 = _i};
	all_replies(&o);
	const char *want = _i ? three : two;
	size_t n = _i ? sizeof(three) - 1 : sizeof(two) - 1;
	ck_assert_msg(o.n == n && memcmp(o.p, want, n) == 0, "%.*s", (int)o.n, o.p);
	free(o.p);
}
END_TEST

START_TEST(doubles)
{
	static const struct {
		double v;
		const char *text;
	} all[] = {{0, "0"},  {-0.0, "-0"},   {3, "3"},		  {-3, "-3"}, {0.1, "0.10000000000000001"}, {1e20, "1e+20"},
		   {1.5, "1.5"}, {INFINITY, "inf"}, {-INFINITY, "-inf"}, {NAN, "nan"}, {123456789012345, "123456789012345"}};
	char text[40];
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		ck_assert_uint_eq(sd_resp_double_text(text, all[i].v), strlen(all[i].text));
		ck_assert_str_eq(text, all[i].text);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("resp");
	TCase *t = tcase_create("resp");
	tcase_add_loop_test(t, requests_in_every_cut, 0, (int)(sizeof(good) / sizeof(good[0])));
	tcase_add_loop_test(t, refusals, 0, (int)(sizeof(refused) / sizeof(refused[0])));
	tcase_add_loop_test(t, endless, 0, 3);
	tcase_add_test(t, claims);
	tcase_add_loop_test(t, random_bytes, 0, 10);
	tcase_add_loop_test(t, replies, 0, 2);
	tcase_add_test(t, doubles);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
