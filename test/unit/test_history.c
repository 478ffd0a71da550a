#include <check.h>
#include <stdlib.h>

#include "guard.h"
#include "lin_rig.h"

static struct sd_history *h;
static struct sd_error e;

static void setup(void)
{
	h = sd_history_new(&sd_lin_register);
	ck_assert_ptr_nonnull(h);
}

static void teardown(void)
{
	sd_history_free(h);
}

static int64_t invoke(const char *key, unsigned kind, int64_t a, int64_t b, int64_t at)
{
	int64_t arg[2] = {a, b};
	return sd_history_invoke(h, 1, sd_slice_of(key), kind, arg, at);
}

START_TEST(recording)
{
	int64_t first = invoke("x", 1, 5, 0, -1), second = invoke("y", 0, 0, 0, -1);
	ck_assert_int_eq(first, 0);
	ck_assert_int_eq(second, 1);
	ck_assert_int_eq(sd_history_complete(h, second, SD_OUTCOME_OK, SD_NIL, -1), SD_OK);
	ck_assert_int_eq(sd_history_complete(h, first, SD_OUTCOME_OK, 77, 100), SD_OK);
	const struct sd_operation *op = sd_history_at(h, 0);
	ck_assert_int_eq(op->invoked, 0);
	ck_assert_int_eq(op->answered, 100);
	ck_assert_int_eq(op->result, SD_NIL); /* a write has none */
	ck_assert_int_eq(sd_history_at(h, 1)->invoked, 1);
	ck_assert_int_eq(sd_history_at(h, 1)->answered, 2);
	ck_assert_int_eq(invoke("x", 0, 0, 0, -1), 2);
	ck_assert_int_eq(sd_history_at(h, 2)->invoked, 101);
	ck_assert_int_eq(sd_history_at(h, 2)->answered, SD_NEVER);
	ck_assert_int_eq(sd_history_at(h, 2)->outcome, SD_OUTCOME_UNKNOWN);
	ck_assert_uint_eq(sd_history_keys(h), 2);
	ck_assert_uint_eq(sd_history_at(h, 2)->key, sd_history_at(h, 0)->key);
	ck_assert(sd_slice_eq(sd_history_key(h, 1), "y"));
}
END_TEST

START_TEST(recording_refuses)
{
	char longest[SD_HISTORY_KEY_MOST + 2];
	memset(longest, 'k', sizeof(longest));
	longest[SD_HISTORY_KEY_MOST + 1] = '\0';
	ck_assert_int_eq(invoke("", 0, 0, 0, 1), -SD_EINVAL);
	ck_assert_int_eq(invoke(longest, 0, 0, 0, 1), -SD_EINVAL);
	ck_assert_int_eq(invoke("\xc3", 0, 0, 0, 1), -SD_EINVAL);
	ck_assert_int_eq(invoke("\xed\xa0\x80", 0, 0, 0, 1), -SD_EINVAL);
	ck_assert_int_eq(invoke("x", 3, 0, 0, 1), -SD_EINVAL);
	ck_assert_int_eq(sd_history_invoke(h, 1, (struct sd_slice){"a\0b", 3}, 0, NULL, 1), -SD_EINVAL);
	ck_assert_uint_eq(sd_history_count(h), 0);
	ck_assert_int_eq(invoke(longest + 1, 2, 1, 2, 10), 0);
	ck_assert_int_eq(sd_history_complete(h, 1, SD_OUTCOME_OK, 1, 20), SD_ENOTFOUND);
	ck_assert_int_eq(sd_history_complete(h, -1, SD_OUTCOME_OK, 1, 20), SD_ENOTFOUND);
	ck_assert_int_eq(sd_history_complete(h, 0, SD_OUTCOME_OK, 1, 9), SD_EINVAL);
	ck_assert_int_eq(sd_history_complete(h, 0, SD_OUTCOME_OK, 2, 20), SD_EINVAL);
	ck_assert_int_eq(sd_history_complete(h, 0, (enum sd_outcome)3, 1, 20), SD_EINVAL);
	ck_assert_int_eq(sd_history_complete(h, 0, SD_OUTCOME_UNKNOWN, 1, 20), SD_OK);
	ck_assert_int_eq(sd_history_complete(h, 0, SD_OUTCOME_OK, 1, 20), SD_OK);
	ck_assert_int_eq(sd_history_complete(h, 0, SD_OUTCOME_OK, 1, 20), SD_EEXISTS);
}
END_TEST

START_TEST(many_keys)
{
	char key[32];
	for (int round = 0; round < 2; round++) {
		for (int i = 0; i < 5000; i++) {
			snprintf(key, sizeof(key), "user:%d", i);
			ck_assert_int_ge(invoke(key, 0, 0, 0, -1), 0);
			ck_assert_uint_eq(sd_history_at(h, sd_history_count(h) - 1)->key, (uint32_t)i);
		}
	}
	ck_assert_uint_eq(sd_history_keys(h), 5000);
	ck_assert(sd_slice_eq(sd_history_key(h, 4321), "user:4321"));
}
END_TEST

/* ---- text ---- */

static const char sample[] = "{\"client\":1,\"key\":\"x\",\"op\":\"write\",\"args\":[5],\"invoked\":1,"
			     "\"answered\":4,\"outcome\":\"ok\"}\n"
			     "{\"client\":2,\"key\":\"x\",\"op\":\"read\",\"invoked\":2,\"answered\":3,"
			     "\"outcome\":\"ok\",\"result\":null}\n"
			     "{\"client\":4294967295,\"key\":\"a\\\"\\\\\\u0001\xc3\xbc\",\"op\":\"cas\","
			     "\"args\":[-3,null],\"invoked\":5,\"outcome\":"
			     "\"unknown\"}\n"
			     "{\"client\":1,\"key\":\"x\",\"op\":\"cas\",\"args\":[9223372036854775806,0],"
			     "\"invoked\":6,\"answered\":6,\"outcome\":"
			     "\"failed\"}\n";

static struct sd_history *read_text(const char *text, size_t n)
{
	struct sd_history *out;
	enum sd_err err = sd_history_read(&sd_lin_register, text, n, &out, &e);
	ck_assert_msg((err == SD_OK) == (out != NULL), "%d", err);
	return out;
}

static void same(const struct sd_history *a, const struct sd_history *b)
{
	ck_assert_uint_eq(sd_history_count(a), sd_history_count(b));
	for (size_t i = 0; i < sd_history_count(a); i++) {
		const struct sd_operation *x = sd_history_at(a, i), *y = sd_history_at(b, i);
		ck_assert_int_eq(x->invoked, y->invoked);
		ck_assert_int_eq(x->answered, y->answered);
		ck_assert_int_eq(x->arg[0], y->arg[0]);
		ck_assert_int_eq(x->arg[1], y->arg[1]);
		ck_assert_int_eq(x->result, y->result);
		ck_assert_uint_eq(x->client, y->client);
		ck_assert_uint_eq(x->key, y->key);
		ck_assert_uint_eq(x->kind, y->kind);
		ck_assert_uint_eq(x->outcome, y->outcome);
		struct sd_slice k = sd_history_key(a, x->key), l = sd_history_key(b, y->key);
		ck_assert_uint_eq(k.n, l.n);
		ck_assert_mem_eq(k.p, l.p, k.n);
	}
}

START_TEST(text_both_ways)
{
	size_t n;
	struct sd_history *got = read_text(sample, sizeof(sample) - 1);
	ck_assert_ptr_nonnull(got);
	char *text = sd_history_write(got, &n);
	ck_assert_uint_eq(n, sizeof(sample) - 1);
	ck_assert_str_eq(text, sample);
	ck_assert_int_eq(sd_history_at(got, 2)->arg[1], SD_NIL);
	ck_assert(sd_slice_eq(sd_history_key(got, 1), "a\"\\\x01\xc3\xbc"));
	free(text);
	sd_history_free(got);
}
END_TEST

START_TEST(simulated_both_ways)
{
	for (int m = 0; m < MODELS; m++) {
		struct plan p = {models[m], 5, 4, 300, 0, 50, 50};
		struct sd_history *out, *ours = simulate(&p, 3);
		size_t n;
		char *text = sd_history_write(ours, &n);
		ck_assert_int_eq(sd_history_read(models[m], text, n, &out, &e), SD_OK);
		same(ours, out);
		free(text);
		sd_history_free(out);
		sd_history_free(ours);
	}
}
END_TEST

/* Cut anywhere, and ending at a page that cannot be read: whole lines are a history, others are an error. */
START_TEST(cut_anywhere)
{
	struct guard g = guard_new(sizeof(sample));
	for (size_t n = 0; n < sizeof(sample); n++) {
		struct sd_history *got = read_text(guard_put(&g, sample, n), n);
		bool whole = n == 0 || sample[n - 1] == '\n' || sample[n] == '\n';
		ck_assert_msg((got != NULL) == whole, "%zu bytes", n);
		ck_assert(got || strncmp(e.text, "history: line ", 14) == 0);
		sd_history_free(got);
	}
	guard_free(&g);
}
END_TEST

START_TEST(other_ways_to_write_it)
{
	static const char text[] = "\n \r\n { \"outcome\" : \"ok\" "
				   ",\t\"answered\":4,\"invoked\":1,\"args\":[ 5 ],\"op\":\"\\u0077rite\","
				   "\"key\":\"\\ud83d\\ude00\\/\",\"client\":1 } \r\n";
	struct sd_history *got = read_text(text, sizeof(text) - 1);
	ck_assert_msg(got != NULL, "%s", e.text);
	ck_assert_uint_eq(sd_history_count(got), 1);
	ck_assert(sd_slice_eq(sd_history_key(got, 0), "\xf0\x9f\x98\x80/"));
	sd_history_free(got);
}
END_TEST

#define HEAD "{\"client\":1,\"key\":\"x\",\"op\":"
#define READ HEAD "\"read\",\"invoked\":3,"

static const struct {
	const char *line, *why;
} refused[] = {
    {"[]", "expected {, found '['"},
    {"{}", "expected a text in quotes, found '}'"},
    {READ "\"answered\":4,\"outcome\":\"ok\"}", "read with outcome ok: \"result\" is missing"},
    {READ "\"answered\":4,\"outcome\":\"ok\",\"result\":1}x", "expected the end of the line, found 'x'"},
    {READ "\"answered\":4,\"outcome\":\"ok\",\"result\":1,}", "expected a text in quotes, found '}'"},
    {READ "\"answered\":4,\"outcome\":\"ok\",\"result\":1.5}", "expected a whole number, found '.'"},
    {READ "\"answered\":4,\"outcome\":\"ok\",\"result\":1e3}", "expected a whole number, found 'e'"},
    {READ "\"answered\":4,\"outcome\":\"ok\",\"result\":01}", "a number that begins with 0"},
    {READ "\"answered\":4,\"outcome\":\"ok\",\"result\":-0}", "a number that begins with 0"},
    {READ "\"answered\":4,\"outcome\":\"ok\",\"result\":9223372036854775807}", "a number beyond 2^63 - 2"},
    {READ "\"answered\":4,\"outcome\":\"ok\",\"result\":99999999999999999999}", "a number beyond 2^63 - 2"},
    {READ "\"answered\":4,\"outcome\":\"ok\",\"result\":true}", "expected a whole number or null, found 't'"},
    {READ "\"answered\":2,\"outcome\":\"ok\",\"result\":1}",
     "expected a key of 1 byte or more without 0, an answer not before its invocation, and 0 or 1 as result "
     "where yes or "
     "no is meant"},
    {READ "\"answered\":-4,\"outcome\":\"ok\",\"result\":1}", "a time below 0"},
    {READ "\"answered\":4,\"outcome\":\"unknown\"}",
     "read with outcome unknown: \"answered\" does not belong"},
    {READ "\"answered\":4,\"outcome\":\"failed\",\"result\":1}",
     "read with outcome failed: \"result\" does not belong"},
    {READ "\"outcome\":\"failed\"}", "read with outcome failed: \"answered\" is missing"},
    {READ "\"outcome\":\"maybe\"}", "outcome: expected ok, failed or unknown"},
    {READ "\"invoked\":3}", "\"invoked\" twice"},
    {READ "\"color\":3}", "a field that no operation has"},
    {READ "\"args\":[1],\"outcome\":\"unknown\"}", "read with outcome unknown: \"args\" does not belong"},
    {HEAD "\"cas\",\"args\":[1],\"invoked\":3,\"outcome\":\"unknown\"}", "cas: expected 2 args"},
    {HEAD "\"cas\",\"args\":[1,2,3],\"invoked\":3,\"outcome\":\"unknown\"}", "args: more than two"},
    {HEAD "\"enqueue\",\"args\":[1]}", "op: a register has no such operation"},
    {HEAD "\"re\\qd\"}", "expected an escape such as \\n, found 'q'"},
    {HEAD "\"\\ud800x\"}", "half of a surrogate pair"},
    {HEAD "\"\\udc00\"}", "half of a surrogate pair"},
    {HEAD "\"\\u12g4\"}", "expected four hexadecimal digits, found 'g'"},
    {HEAD "\"\xff\"}", "expected UTF-8 without control characters, found byte 0xff"},
    {HEAD "\"a\tb\"}", "expected UTF-8 without control characters, found byte 0x09"},
    {"{\"client\":4294967296}", "client: expected 0 to 4294967295"},
    {"{\"client\":-1}", "client: expected 0 to 4294967295"},
    {"{\"client\" 1}", "expected :, found '1'"},
};

START_TEST(refused_lines)
{
	struct sd_history *out;
	char text[1024], want[600];
	snprintf(text, sizeof(text), "\n%s\n", refused[_i].line);
	ck_assert_int_eq(sd_history_read(&sd_lin_register, text, strlen(text), &out, &e), SD_EPROTO);
	ck_assert_ptr_null(out);
	snprintf(want, sizeof(want), "history: line 2: %s", refused[_i].why);
	ck_assert_str_eq(e.text, want);
}
END_TEST

START_TEST(too_long)
{
	char text[SD_HISTORY_LINE_MOST + 10];
	struct sd_history *out;
	memset(text, ' ', sizeof(text));
	ck_assert_int_eq(sd_history_read(&sd_lin_register, text, SD_HISTORY_LINE_MOST, &out, &e), SD_OK);
	sd_history_free(out);
	ck_assert_int_eq(sd_history_read(&sd_lin_register, text, sizeof(text), &out, &e), SD_ETOOBIG);
	ck_assert_str_eq(e.text, "history: line 1: longer than 4096 bytes");
	int n = snprintf(text, sizeof(text), "{\"key\":\"");
	memset(text + n, 'k', 256);
	memcpy(text + n + 256, "\"}", 3);
	ck_assert_int_eq(sd_history_read(&sd_lin_register, text, strlen(text), &out, &e), SD_ETOOBIG);
	ck_assert_str_eq(e.text, "history: line 1: a text of more than 255 bytes");
}
END_TEST

START_TEST(operations_as_people_write_them)
{
	static const struct {
		struct sd_operation op;
		const char *text;
	} cases[] = {
	    {{.kind = 0, .result = 5, .outcome = SD_OUTCOME_OK}, "read() -> 5"},
	    {{.kind = 0, .result = SD_NIL, .outcome = SD_OUTCOME_OK}, "read() -> nil"},
	    {{.kind = 1, .arg = {SD_NIL}, .result = SD_NIL, .outcome = SD_OUTCOME_OK}, "write(nil)"},
	    {{.kind = 1, .arg = {3}, .result = SD_NIL, .outcome = SD_OUTCOME_FAILED}, "write(3) -> failed"},
	    {{.kind = 2, .arg = {1, -2}, .result = 1, .outcome = SD_OUTCOME_OK}, "cas(1, -2) -> yes"},
	    {{.kind = 2, .arg = {1, 2}, .result = 0, .outcome = SD_OUTCOME_OK}, "cas(1, 2) -> no"},
	    {{.kind = 2, .arg = {1, 2}, .result = SD_NIL, .outcome = SD_OUTCOME_UNKNOWN}, "cas(1, 2) -> ?"},
	};
	char text[64];
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		sd_operation_text(&sd_lin_register, &cases[i].op, text, sizeof(text));
		ck_assert_str_eq(text, cases[i].text);
		sd_operation_text(&sd_lin_register, &cases[i].op, text, 5);
		ck_assert_uint_eq(strlen(text), 4);
	}
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("history");
	TCase *t = tcase_create("history");
	tcase_set_timeout(t, 20);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, recording);
	tcase_add_test(t, recording_refuses);
	tcase_add_test(t, many_keys);
	tcase_add_test(t, text_both_ways);
	tcase_add_test(t, simulated_both_ways);
	tcase_add_test(t, cut_anywhere);
	tcase_add_test(t, other_ways_to_write_it);
	tcase_add_loop_test(t, refused_lines, 0, sizeof(refused) / sizeof(refused[0]));
	tcase_add_test(t, too_long);
	tcase_add_test(t, operations_as_people_write_them);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *r = srunner_create(suite());
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
