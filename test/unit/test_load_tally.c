/* --tally: which answers came how often, however their bodies are framed and cut. */
#include "load_rig.h"

static struct sd_world *world;

/* ---- lines ---- */

/* As the row that comes of it. */
static void check_line(const char *bytes, size_t n, size_t step, const char *want)
{
	struct load_line line = {{0}};
	struct load_tally t = {0};
	for (size_t at = 0; at < n; at += step)
		load_line_take(&line, (struct sd_slice){bytes + at, n - at < step ? n - at : step});
	load_tally_add(&t, &line);
	ck_assert_uint_eq(t.n, 1);
	ck_assert_uint_eq(t.rows[0].count, 1);
	ck_assert_msg(strcmp(t.rows[0].text, want) == 0, "found <%s> for <%.*s> in steps of %zu", t.rows[0].text, (int)n,
		      bytes, step);
}

START_TEST(the_first_line_of_a_body)
{
	static const struct {
		const char *bytes, *want;
	} rows[] = {
	    {"", ""},
	    {"\n", ""},
	    {"\r\n", ""},
	    {"\nsecond", ""},
	    {"Response from A", "Response from A"},
	    {"Response from A\n", "Response from A"},
	    {"Response from A\r\n", "Response from A"},
	    {"Response from A\nand more\n", "Response from A"},
	    {"a\rb\n", "a?b"},
	    {"a\tb\033[2Jc\x7f\n", "a?b?[2Jc?"},
	    {"na\xc3\xafve \xc2\x9b" "1m", "na\xc3\xafve \xc2?1m"},
	    {"12345678901234567890123456789012345678901234567890123456789012345678901234567890",
	     "12345678901234567890123456789012345678901234567890123456789012345678901234567890"},
	    {"12345678901234567890123456789012345678901234567890123456789012345678901234567890more",
	     "12345678901234567890123456789012345678901234567890123456789012345678901234567890"},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		for (size_t step = 1; step <= 100; step += 9)
			check_line(rows[i].bytes, strlen(rows[i].bytes), step, rows[i].want);
	check_line("a\0b\nc", 5, 1, "a?b");
}
END_TEST

static void add(struct load_tally *t, const char *text)
{
	struct load_line line = {{0}};
	load_line_take(&line, sd_slice_of(text));
	load_tally_add(t, &line);
}

static void add_number(struct load_tally *t, int i)
{
	char text[16];
	snprintf(text, sizeof(text), "answer %02d", i);
	add(t, text);
}

START_TEST(beyond_64_it_is_other)
{
	struct load_tally a = {0}, b = {0};
	for (int i = 99; i >= 0; i--)
		add_number(&a, i);
	ck_assert_uint_eq(a.n, 64);
	ck_assert_uint_eq(a.other, 36);
	add_number(&a, 99); /* one that has its row */
	add_number(&a, 0);  /* one that has none */
	ck_assert_uint_eq(a.rows[0].count, 2);
	ck_assert_uint_eq(a.other, 37);
	/* the same when threads are added up: 30 to 99 here, of which 36 to 99 have a row there */
	for (int i = 30; i < 94; i++)
		add_number(&b, i);
	b.other = 5;
	load_tally_merge(&a, &b);
	ck_assert_uint_eq(a.n, 64);
	ck_assert_uint_eq(a.other, 37 + 6 + 5);
	load_tally_sort(&a);
	ck_assert_str_eq(a.rows[0].text, "answer 36");
	ck_assert_uint_eq(a.rows[0].count, 2);
	ck_assert_str_eq(a.rows[63].text, "answer 99");
	ck_assert_uint_eq(a.rows[63].count, 2);
	ck_assert_str_eq(a.rows[62].text, "answer 98");
	ck_assert_uint_eq(a.rows[62].count, 1);
}
END_TEST

/* ---- answers ---- */

static const char *by_length(size_t n, bool *close)
{
	(void)close;
	return n % 3 == 0   ? "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nfirst\nno"
	       : n % 3 == 1 ? "HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 500 Not OK\r\nContent-Length: 6\r\n\r\nsecond"
			    : "HTTP/1.1 204 No Content\r\n\r\n";
}

static const char *in_chunks(size_t n, bool *close)
{
	(void)close;
	return n % 3 == 0   ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2;x=y\r\nfi\r\n1\r\nr\r\n5\r\nst\r\nn\r\n1\r\no\r\n0\r\n\r\n"
	       : n % 3 == 1 ? "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\nsecond\r\n0\r\nA: trailer\r\n\r\n"
			    : "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n";
}

static const char *until_closed(size_t n, bool *close)
{
	*close = true;
	return n % 3 == 0 ? "HTTP/1.1 200 OK\r\n\r\nfirst\nno" : n % 3 == 1 ? "HTTP/1.1 200 OK\r\n\r\nsecond" : "HTTP/1.1 200 OK\r\n\r\n";
}

static struct load_result *run(const struct rig *rig, const char *words, bool tally)
{
	struct sd_conf *conf = rig_conf("", words);
	struct sd_error e = {0};
	struct load_plan plan;
	struct load_result *r;
	char url[64];
	snprintf(url, sizeof(url), "http://127.0.0.1:%u/", rig->addr.port);
	ck_assert_msg(load_plan_make(world, conf, url, &plan, &e) == SD_OK, "%s", e.text);
	plan.tally = tally;
	ck_assert_msg(load_run(world, &plan, NULL, &r, &e) == SD_OK, "%s", e.text);
	load_plan_free(&plan);
	sd_conf_free(conf);
	return r;
}

START_TEST(every_framing_is_counted)
{
	static const char *(*const answers[])(size_t n, bool *close) = {by_length, in_chunks, until_closed};
	struct rig *rig = rig_start(world, answers[_i]);
	struct load_result *r = run(rig, "-n 90 -c 3 -t 2", true);
	rig_stop(rig);
	free(rig);
	ck_assert_uint_eq(r->answers, 90);
	ck_assert_uint_eq(load_total_errors(r), 0);
	ck_assert_uint_eq(r->tally->n, 3);
	ck_assert_uint_eq(r->tally->other, 0);
	static const char *const texts[] = {"", "first", "second"};
	for (int i = 0; i < 3; i++) {
		ck_assert_str_eq(r->tally->rows[i].text, texts[i]);
		ck_assert_uint_eq(r->tally->rows[i].count, 30);
	}
	load_result_free(r);
}
END_TEST

static const char *cut_off(size_t n, bool *close)
{
	*close = n % 2 == 0;
	return n % 2 == 0 ? "HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf" : "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood";
}

START_TEST(half_an_answer_is_none)
{
	struct rig *rig = rig_start(world, cut_off);
	struct load_result *r = run(rig, "-n 10 -c 1", true);
	rig_stop(rig);
	free(rig);
	ck_assert_uint_eq(r->errors[LOAD_SHORT], 5);
	ck_assert_uint_eq(r->tally->n, 1);
	ck_assert_str_eq(r->tally->rows[0].text, "good");
	ck_assert_uint_eq(r->tally->rows[0].count, 5);
	load_result_free(r);
}
END_TEST

START_TEST(off_there_is_none)
{
	struct rig *rig = rig_start(world, by_length);
	struct load_result *r = run(rig, "-n 9 -c 1", false);
	rig_stop(rig);
	free(rig);
	ck_assert_uint_eq(r->answers, 9);
	ck_assert_ptr_null(r->tally);
	load_result_free(r);
}
END_TEST

START_TEST(the_warm_up_is_not_counted)
{
	struct rig *rig = rig_start(world, by_length);
	struct load_result *r = run(rig, "-d 100ms --warmup 100ms -c 1 -r 300/s", true);
	uint64_t sum = r->tally->other;
	rig_stop(rig);
	free(rig);
	for (size_t i = 0; i < r->tally->n; i++)
		sum += r->tally->rows[i].count;
	ck_assert_uint_gt(r->warmup_answers, 0);
	ck_assert_uint_eq(sum, r->answers);
	load_result_free(r);
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("load_tally");
	TCase *t = tcase_create("tally");
	world = sd_world_real();
	tcase_set_timeout(t, 60);
	tcase_add_test(t, the_first_line_of_a_body);
	tcase_add_test(t, beyond_64_it_is_other);
	tcase_add_loop_test(t, every_framing_is_counted, 0, 3);
	tcase_add_test(t, half_an_answer_is_none);
	tcase_add_test(t, off_there_is_none);
	tcase_add_test(t, the_warm_up_is_not_counted);
	suite_add_tcase(suite, t);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	sd_world_free(world);
	return failed ? 1 : 0;
}
