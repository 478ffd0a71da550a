/* Replies as a client reads them: every type, every cut, what is refused, and replies as a whole. */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/resp_reply.h"
#include "guard.h"

#define S(text) text, sizeof(text) - 1

static const struct sd_resp_reply_limits limits = {.max_bulk = 64, .max_items = 8, .max_bytes = 200};

/* A reply as one line: +OK  :1  $"a"  *[...]  ~[...]  >[...]  _ */
static size_t show(const struct sd_resp_value *v, char *out, size_t room)
{
	size_t n = (size_t)snprintf(out, room, "%c", (char)v->kind);
	if (!sd_resp_has_items(v->kind))
		return n + (size_t)snprintf(out + n, room - n, "%.*s ", (int)v->text.n, v->text.p ? v->text.p : "");
	n += (size_t)snprintf(out + n, room - n, "%zu[", v->items);
	const struct sd_resp_value *item = v + 1;
	for (size_t i = 0; i < v->items; i++, item = sd_resp_after(item))
		n += show(item, out + n, room - n);
	ck_assert_ptr_eq(item, sd_resp_after(v));
	return n + (size_t)snprintf(out + n, room - n, "]");
}

/* Feeds p up to `first` bytes, then the rest; returns what was understood, or the error. */
static const char *read_cut(struct guard *g, const char *p, size_t n, size_t first)
{
	static char out[512];
	struct sd_resp_replies r = {0};
	struct sd_resp_tree tree = {0};
	struct sd_resp_token t = {0};
	size_t at = 0, have = first;
	snprintf(out, sizeof(out), "incomplete");
	while (at < n) {
		ssize_t took = sd_resp_next(&r, guard_put(g, p + at, have - at), have - at, &limits, &t);
		if (took == SD_RESP_INCOMPLETE && have == n)
			break;
		if (took == SD_RESP_INCOMPLETE) {
			have = n;
			continue;
		}
		if (took == SD_RESP_BAD) {
			snprintf(out, sizeof(out), "%s", r.error);
			break;
		}
		ck_assert_int_gt(took, 0);
		ck_assert_int_eq(sd_resp_tree_add(&tree, &t), SD_OK);
		at += (size_t)took;
		if (!t.last)
			continue;
		ck_assert_uint_eq(at, n);
		ck_assert_int_eq(t.push, tree.values[0].kind == SD_RESP_PUSH);
		show(tree.values, out, sizeof(out));
	}
	sd_resp_tree_free(&tree);
	return out;
}

static const struct {
	const char *p;
	size_t n;
	const char *want;
} cases[] = {
    {S("+OK\r\n"), "+OK "},
    {S("-ERR no such key\r\n"), "-ERR no such key "},
    {S(":-42\r\n"), ":-42 "},
    {S(":+7\r\n"), ":+7 "},
    {S("$5\r\na\r\nbc\r\n"), "$a\r\nbc "},
    {S("$0\r\n\r\n"), "$ "},
    {S("$-1\r\n"), "_ "},
    {S("*-1\r\n"), "_ "},
    {S("_\r\n"), "_ "},
    {S("#t\r\n"), "#t "},
    {S("#f\r\n"), "#f "},
    {S(",-1.5e3\r\n"), ",-1.5e3 "},
    {S(",inf\r\n"), ",inf "},
    {S("(12345678901234567890123\r\n"), "(12345678901234567890123 "},
    {S("!8\r\nERR a\r\nb\r\n"), "!ERR a\r\nb "},
    {S("=6\r\ntxt:hi\r\n"), "=hi "},
    {S("*0\r\n"), "*0[]"},
    {S("*2\r\n$1\r\na\r\n*2\r\n:1\r\n*0\r\n"), "*2[$a *2[:1 *0[]]]"},
    {S("%1\r\n+k\r\n~1\r\n_\r\n"), "%2[+k ~1[_ ]]"},
    {S(">2\r\n+message\r\n+x\r\n"), ">2[+message +x ]"},
    {S("|1\r\n+ttl\r\n*1\r\n:5\r\n$1\r\na\r\n"), "$a "},
    {S("*2\r\n|0\r\n:1\r\n|1\r\n+a\r\n|1\r\n+x\r\n+y\r\n+b\r\n:2\r\n"), "*2[:1 :2 ]"},
    /* refused */
    {S("OK\r\n"), "expected a reply, found byte 0x4f"},
    {S("+a\nb\r\n"), "a line that does not end with CRLF"},
    {S("+a\rb\r\n"), "a line that does not end with CRLF"},
    {S(":\r\n"), "expected an integer after ':'"},
    {S(":1x\r\n"), "expected an integer after ':'"},
    {S(":9223372036854775808\r\n"), "expected an integer after ':'"},
    {S("#x\r\n"), "expected t or f after '#'"},
    {S("_x\r\n"), "expected nothing after '_'"},
    {S(",0x1p3\r\n"), "expected a number after ','"},
    {S(",\r\n"), "expected a number after ','"},
    {S(",1.\r\n"), ",1. "},
    {S("(1.5\r\n"), "expected an integer after '('"},
    {S("$x\r\n"), "expected a length after '$'"},
    {S("$?\r\n"), "expected a length after '$'"},
    {S("$-2\r\n"), "a negative length"},
    {S("!-1\r\n"), "a negative length"},
    {S("$65\r\n"), "a string longer than is taken"},
    {S("$1\r\nabc\r\n"), "a string is longer than announced"},
    {S("=3\r\ntxt\r\n"), "a verbatim string without its kind"},
    {S("*-2\r\n"), "a negative number of items"},
    {S("%-1\r\n"), "a negative number of items"},
    {S("*9\r\n"), "more items than are taken"},
    {S("%5\r\n"), "more items than are taken"},
    {S("*9223372036854775807\r\n"), "more items than are taken"},
    {S("*4\r\n*4\r\n*4\r\n"), "more items than are taken"},
    {S("*1\r\n>1\r\n+a\r\n"), "a push inside a reply"},
    {S("*3\r\n$60\r\n012345678901234567890123456789012345678901234567890123456789\r\n"
       "$60\r\n012345678901234567890123456789012345678901234567890123456789\r\n"
       "$60\r\n012345678901234567890123456789012345678901234567890123456789\r\n"),
     "a reply longer than is taken"},
};

START_TEST(every_cut)
{
	struct guard g = guard_new(4096);
	for (size_t cut = 0; cut <= cases[_i].n; cut++)
		ck_assert_str_eq(read_cut(&g, cases[_i].p, cases[_i].n, cut), cases[_i].want);
	guard_free(&g);
}
END_TEST

/* With one byte at a time a string comes in as many pieces, and no prefix of a reply is one. */
START_TEST(byte_by_byte)
{
	struct sd_resp_replies r = {0};
	struct sd_resp_token t;
	struct sd_resp_tree tree = {0};
	size_t at = 0, n = cases[_i].n;
	ssize_t took = SD_RESP_INCOMPLETE;
	for (size_t have = 1; have <= n && took != SD_RESP_BAD; have++)
		while (at < have && (took = sd_resp_next(&r, cases[_i].p + at, have - at, &limits, &t)) > 0) {
			ck_assert_int_eq(sd_resp_tree_add(&tree, &t), SD_OK);
			at += (size_t)took;
			ck_assert_msg(!t.last || at == n, "over after %zu of %zu", at, n);
		}
	char out[512];
	if (took == SD_RESP_BAD) {
		ck_assert_str_eq(r.error, cases[_i].want);
	} else {
		ck_assert(t.last);
		show(tree.values, out, sizeof(out));
		ck_assert_str_eq(out, cases[_i].want);
	}
	sd_resp_tree_free(&tree);
}
END_TEST

START_TEST(a_line_without_an_end)
{
	struct sd_resp_replies r = {0};
	struct sd_resp_token t;
	size_t n = SD_RESP_MAX_LINE + 2;
	char *p = malloc(n);
	memset(p, '+', n);
	ck_assert_int_eq(sd_resp_next(&r, p, n - 2, &sd_resp_reply_usual, &t), SD_RESP_INCOMPLETE);
	ck_assert_int_eq(sd_resp_next(&r, p, n, &sd_resp_reply_usual, &t), SD_RESP_BAD);
	ck_assert_str_eq(r.error, "a line without an end");
	free(p);
}
END_TEST

START_TEST(too_deep)
{
	struct sd_resp_replies r = {0};
	struct sd_resp_token t;
	for (unsigned i = 0; i < SD_RESP_MAX_DEPTH; i++) {
		ck_assert_int_eq(sd_resp_next(&r, S("*1\r\n"), &sd_resp_reply_usual, &t), 4);
		ck_assert_uint_eq(t.depth, i);
	}
	struct sd_resp_replies deeper = r;
	ck_assert_int_eq(sd_resp_next(&deeper, S("*1\r\n"), &sd_resp_reply_usual, &t), SD_RESP_BAD);
	ck_assert_int_eq(sd_resp_next(&r, S(":1\r\n"), &sd_resp_reply_usual, &t), 4);
	ck_assert(t.last);
}
END_TEST

/* A long string is handed on where it came, and the reader looks at no byte of it. */
START_TEST(strings_are_not_copied)
{
	struct sd_resp_replies r = {0};
	struct sd_resp_token t;
	char head[] = "$1000000\r\nab", body[] = "cdef";
	ck_assert_int_eq(sd_resp_next(&r, head, sizeof(head) - 1, &sd_resp_reply_usual, &t), (ssize_t)sizeof(head) - 1);
	ck_assert_ptr_eq(t.text.p, head + 10);
	ck_assert_uint_eq(t.text.n, 2);
	ck_assert(t.more && !t.last);
	ck_assert_int_eq(t.n, 1000000);
	ck_assert_int_eq(sd_resp_next(&r, body, 4, &sd_resp_reply_usual, &t), 4);
	ck_assert_ptr_eq(t.text.p, body);
}
END_TEST

START_TEST(numbers)
{
	struct sd_resp_replies r = {0};
	struct sd_resp_token t;
	ck_assert_int_gt(sd_resp_next(&r, S(":-9223372036854775808\r\n"), &limits, &t), 0);
	ck_assert_int_eq(t.n, INT64_MIN);
	ck_assert_int_gt(sd_resp_next(&r, S(",-2.5\r\n"), &limits, &t), 0);
	ck_assert_double_eq(t.number, -2.5);
	ck_assert_int_gt(sd_resp_next(&r, S(",-inf\r\n"), &limits, &t), 0);
	ck_assert(isinf(t.number) && t.number < 0);
	ck_assert_int_gt(sd_resp_next(&r, S("#t\r\n"), &limits, &t), 0);
	ck_assert_int_eq(t.n, 1);
}
END_TEST

/* The same tree for one reply after the other, of which limits count each for itself. */
START_TEST(one_after_the_other)
{
	static const char p[] = "*2\r\n:1\r\n:2\r\n+OK\r\n*8\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n:1\r\n$-1\r\n";
	struct sd_resp_replies r = {0};
	struct sd_resp_token t;
	struct sd_resp_tree tree = {0};
	char out[256] = "";
	size_t n = 0;
	for (size_t at = 0; at < sizeof(p) - 1;) {
		ssize_t took = sd_resp_next(&r, p + at, sizeof(p) - 1 - at, &limits, &t);
		ck_assert_int_gt(took, 0);
		ck_assert_int_eq(sd_resp_tree_add(&tree, &t), SD_OK);
		at += (size_t)took;
		if (t.last) {
			n += show(tree.values, out + n, sizeof(out) - n);
			sd_resp_tree_reset(&tree);
		}
	}
	ck_assert_str_eq(out, "*2[:1 :2 ]+OK *8[:1 :1 :1 :1 :1 :1 :1 :1 ]_ ");
	sd_resp_tree_free(&tree);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("resp_reply");
	TCase *t = tcase_create("replies");
	tcase_add_loop_test(t, every_cut, 0, (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_loop_test(t, byte_by_byte, 0, (int)(sizeof(cases) / sizeof(cases[0])));
	tcase_add_test(t, a_line_without_an_end);
	tcase_add_test(t, too_deep);
	tcase_add_test(t, strings_are_not_copied);
	tcase_add_test(t, numbers);
	tcase_add_test(t, one_after_the_other);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
