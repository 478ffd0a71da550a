/* What the load generator says about a run: fabricated results, and every form of report on them. */
#include <check.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/load/load.h"
#include "../../applets/load/load_compare.h"
#include "../../applets/load/load_curve.h"

#define US  1000ll
#define MS  1000000ll
#define S   1000000000ll
#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

/* ---- a run that never was ---- */

static struct load_request mix[] = {{.name = (char *)"GET /", .weight = 1}};
static struct load_second seconds[] = {{300, 0, 9 * MS}, {400, 2, 20 * MS}, {300, 0, 10 * MS}};

struct run {
	struct load_plan plan;
	struct load_result r;
};

static struct sd_hdr *histogram(void)
{
	struct sd_hdr *h = sd_hdr_new(1, LOAD_HIGHEST_NS, 3);
	ck_assert_ptr_nonnull(h);
	return h;
}

/* n values: from, from + step ... */
static void fill(struct sd_hdr *h, int n, int64_t from, int64_t step)
{
	for (int i = 0; i < n; i++)
		sd_hdr_record(h, from + i * step, 1);
}

/* 1000 answers of 10 us to 10 ms, a 503 among them, two errors. */
static void run_make(struct run *run, bool open_loop)
{
	memset(run, 0, sizeof(*run));
	run->plan = (struct load_plan){.url = (char *)"http://127.0.0.1:8080/", .requests = mix, .nrequests = 1, .conns = 50,
				       .threads = 2, .pipeline = 1, .keep_alive = true, .duration_ns = 3 * S,
				       .timeout_ns = 10 * S, .seed = 18446744073709551615u};
	struct load_result *r = &run->r;
	r->service = histogram();
	r->first_byte = histogram();
	r->connect = histogram();
	fill(r->service, 1000, 10 * US, 10 * US);
	fill(r->first_byte, 1000, 5 * US, 5 * US);
	fill(r->connect, 50, 100 * US, 0);
	if (open_loop) {
		run->plan.rate = 333.5;
		r->response = histogram();
		r->lag = histogram();
		fill(r->response, 1000, 100 * US, 100 * US);
		fill(r->lag, 1000, 20 * US, 0);
		r->late = 3;
	}
	r->answers = 1000;
	r->status[200] = 999;
	r->status[503] = 1;
	r->errors[LOAD_TIMEOUT] = 2;
	r->connects = 50;
	r->sent = 1002;
	r->bytes_in = 3000000;
	r->bytes_out = 300000;
	r->elapsed_ns = 3 * S;
	r->window = (struct load_window){.ns = 3 * S, .answers = 1000, .bytes_in = 3000000, .bytes_out = 300000};
	load_window_rates(&r->window);
	r->cpu = 0.25;
	r->seconds = seconds;
	r->nseconds = COUNT(seconds);
	r->started_wall_ns = 1700000000 * S + 123 * MS;
}

static void run_free(struct run *run)
{
	struct sd_hdr *all[] = {run->r.service, run->r.response, run->r.first_byte, run->r.connect, run->r.lag};
	for (size_t i = 0; i < COUNT(all); i++)
		sd_hdr_free(all[i]);
}

typedef void report_fn(FILE *out, const struct load_plan *plan, const struct load_result *r);

/* (Not inlined: gcc 12 takes what open_memstream writes through &text for the address of text.) */
static __attribute__((noinline)) char *report(report_fn *fn, const struct run *run)
{
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);
	fn(out, &run->plan, &run->r);
	fclose(out);
	return text;
}

static void plain(FILE *out, const struct load_plan *plan, const struct load_result *r)
{
	load_text_summary(out, plan, r, false);
}

static void coloured(FILE *out, const struct load_plan *plan, const struct load_result *r)
{
	load_text_summary(out, plan, r, true);
}

static void hdr_log(FILE *out, const struct load_plan *plan, const struct load_result *r)
{
	(void)plan;
	load_export_hdr(out, r);
}

static void has(const char *text, const char *part)
{
	ck_assert_msg(strstr(text, part), "lacks <%s> in:\n%s", part, text);
}

static void lacks(const char *text, const char *part)
{
	ck_assert_msg(!strstr(text, part), "has <%s> in:\n%s", part, text);
}

static void fits(const char *text, size_t width)
{
	for (const char *p = text; *p;) {
		size_t n = strcspn(p, "\n");
		ck_assert_msg(n <= width, "a line of %zu columns: %.*s", n, (int)n, p);
		p += n + (p[n] == '\n');
	}
}

/* ---- text ---- */

START_TEST(text_open)
{
	static const char *const lines[] = {
	    "  Target      http://127.0.0.1:8080/\n",
	    "  Loop        open: 333.5/s due, constant gaps, 50 connections, 2 threads\n",
	    "  Requests    1,002 in 3.00s: 1,000 answered, 2 failed\n",
	    "  Rate        333.3/s of 333.5/s asked for\n",
	    "  Bytes       1.00MB/s in, 100kB/s out (3.00MB and 300kB in all)\n",
	    "  Generator   busiest thread 25% of a core; p99 of lag 20.0us, 3 left late\n",
	    "\nStatuses\n  200             999   99.90%\n  503               1    0.10%\n",
	    "\nErrors\n  timeout           2    0.20%  no complete answer in time\n",
	    "               response      service   first byte      connect\n"
	    "              corrected          raw\n"
	    "  min             100us       10.0us       5.00us        100us\n",
	    "  p50            50.0ms       5.00ms       2.50ms        100us\n",
	    "  p90            90.0ms       9.00ms       4.50ms        100us\n",
	    "  p99.99          100ms       10.0ms       5.00ms        100us\n",
	    "  max             100ms       10.0ms       5.00ms        100us\n",
	    "\nResponse time, at or below\n",
	    "They differ: requests had to wait for a free connection.",
	};
	struct run run;
	run_make(&run, true);
	char *text = report(plain, &run);
	for (size_t i = 0; i < COUNT(lines); i++)
		has(text, lines[i]);
	lacks(text, "generator-limited");
	lacks(text, "interrupted");
	lacks(text, "Closed loop");
	lacks(text, "Warm-up");
	lacks(text, "\033");
	fits(text, 80);
	free(text);
	run_free(&run);
}
END_TEST

START_TEST(text_closed)
{
	struct run run;
	run_make(&run, false);
	run.plan.warmup_ns = 2 * S;
	run.plan.keep_alive = false;
	run.r.warmup_answers = 1234567;
	char *text = report(plain, &run);
	has(text, "  Loop        closed: 50 connections, 2 threads, no keep-alive\n");
	has(text, "  Warm-up     2s and its 1,234,567 answers are excluded\n");
	has(text, "  Rate        333.3/s\n");
	has(text, "                service   first byte      connect\n  min            10.0us       5.00us        100us\n");
	has(text, "\nService time, at or below\n");
	has(text, "Latency at saturation is not what users see");
	has(text, "try --rate");
	lacks(text, "response");
	fits(text, 80);
	free(text);
	run_free(&run);
}
END_TEST

START_TEST(text_marks)
{
	struct run run;
	run_make(&run, true);
	run.r.limited = "12% of the requests left late";
	run.r.interrupted = true;
	char *text = report(plain, &run);
	ck_assert(strncmp(text, "generator-limited: 12% of the requests left late\ninterrupted: partial result\n", 77) == 0);
	free(text);
	text = report(coloured, &run);
	has(text, "\033[31mgenerator-limited: 12% of the requests left late\033[0m\n");
	has(text, "\033[31m503\033[0m");
	free(text);
	run_free(&run);
}
END_TEST

/* Nothing answered: no division, no made-up zeros. */
START_TEST(text_nothing)
{
	struct run run;
	for (int open_loop = 0; open_loop < 2; open_loop++) {
		run_make(&run, open_loop);
		struct sd_hdr *all[] = {run.r.service, run.r.response, run.r.first_byte, run.r.connect, run.r.lag};
		for (size_t i = 0; i < COUNT(all); i++)
			if (all[i])
				sd_hdr_reset(all[i]);
		run.r.answers = run.r.status[200] = run.r.status[503] = run.r.nseconds = 0;
		run.r.elapsed_ns = 0;
		run.r.window = (struct load_window){0};
		char *text = report(plain, &run);
		has(text, "  none: no request was answered\n");
		has(text, "  Rate        0.00/s");
		has(text, "  p99                 -            -");
		lacks(text, "at or below");
		lacks(text, "nan");
		free(text);
		text = report(load_export_html, &run);
		lacks(text, "<svg");
		lacks(text, "nan");
		free(text);
		text = report(load_export_csv, &run);
		has(text, "p99,,,,\n");
		free(text);
		text = report(load_export_json, &run);
		cJSON *root = cJSON_Parse(text);
		ck_assert(cJSON_IsNull(cJSON_GetObjectItem(cJSON_GetObjectItem(root, "latency"), "service")));
		cJSON_Delete(root);
		free(text);
		free(report(hdr_log, &run));
		run_free(&run);
	}
}
END_TEST

/* Rows of the distribution add up to all, in any range. */
START_TEST(distribution)
{
	static const struct {
		int n;
		int64_t from, step;
	} shapes[] = {{1, 0, 0}, {1, 7, 0}, {1000, 1 * MS, 0}, {1000, 1 * MS, 50}, {1000, 1, 1}, {5000, 100, 700 * MS},
		      {100, LOAD_HIGHEST_NS, 0}};
	for (size_t i = 0; i < COUNT(shapes); i++) {
		struct run run;
		run_make(&run, false);
		sd_hdr_reset(run.r.service);
		fill(run.r.service, shapes[i].n, shapes[i].from, shapes[i].step);
		char *text = report(plain, &run), *p = strstr(text, "at or below\n") + 12;
		long sum = 0;
		int rows = 0;
		for (; *p == ' '; rows++) {
			char count[32], end[32], *o = count;
			float percent;
			ck_assert_int_eq(sscanf(p, "%31s %31s %f%%", end, count, &percent), 3);
			for (char *c = count; *c; c++)
				if (*c != ',')
					*o++ = *c;
			*o = '\0';
			sum += strtol(count, NULL, 10);
			p += strcspn(p, "\n") + 1;
		}
		ck_assert_int_eq(sum, shapes[i].n);
		ck_assert_int_le(rows, 14);
		ck_assert_int_ge(rows, 1);
		fits(text, 80);
		free(text);
		run_free(&run);
	}
}
END_TEST

static char *progress(const struct load_plan *plan, uint64_t answers, uint64_t errors, int64_t elapsed,
		      const struct load_second *of, size_t n)
{
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);
	load_text_progress(out, plan, answers, errors, elapsed, of, n);
	fclose(out);
	return text;
}

static size_t columns(const char *text)
{
	size_t n = 0;
	for (; *text; text++)
		n += (*text & 0xc0) != 0x80;
	return n;
}

START_TEST(progress_line)
{
	struct load_second many[500];
	struct load_plan plan = {.duration_ns = 10 * S};
	struct load_second few[] = {{0, 0, 0}, {700, 0, 0}, {350, 0, 0}, {10, 0, 0}};
	char *text = progress(&plan, 12345, 1, 5 * S + 1, few, 4);
	ck_assert_str_eq(text, "   5s [======>     ]  50%  12.3k done  350/s  1 error  \u2581\u2588\u2585");
	free(text);
	for (size_t i = 0; i < COUNT(many); i++)
		many[i] = (struct load_second){i * i * 1000, 0, 0};
	plan.max_requests = 1000;
	text = progress(&plan, UINT64_MAX, UINT64_MAX, INT64_MAX, many, COUNT(many));
	ck_assert_uint_le(columns(text), 79);
	has(text, "[============] 100%");
	free(text);
	text = progress(&plan, 0, 0, 0, NULL, 0);
	ck_assert_str_eq(text, "   0s [>           ]   0%  0 done  0/s  0 errors  ");
	free(text);
	text = progress(&plan, 123400, 0, 100 * S, many, COUNT(many));
	ck_assert_uint_gt(columns(text), 70);
	ck_assert_uint_le(columns(text), 79);
	lacks(text, "\n");
	free(text);
}
END_TEST

/* ---- for programs ---- */

static const cJSON *at(const cJSON *o, const char *path)
{
	char copy[128], *save = NULL;
	snprintf(copy, sizeof(copy), "%s", path);
	for (char *key = strtok_r(copy, "/", &save); key; key = strtok_r(NULL, "/", &save)) {
		o = cJSON_GetObjectItemCaseSensitive(o, key);
		ck_assert_msg(o, "no %s in %s", key, path);
	}
	return o;
}

static void number_is(const cJSON *root, const char *path, double expected, double tolerance)
{
	ck_assert_msg(cJSON_IsNumber(at(root, path)), "%s is no number", path);
	ck_assert_double_eq_tol(at(root, path)->valuedouble, expected, tolerance + 1e-9);
}

START_TEST(json)
{
	struct run run;
	struct sd_hdr *back;
	run_make(&run, true);
	run.plan.url = (char *)"http://h/\xff\"<\xc3\xa9\xed\xa0\x80";
	char *text = report(load_export_json, &run);
	has(text, "\"seed\":\t18446744073709551615");
	cJSON *root = cJSON_Parse(text);
	ck_assert_ptr_nonnull(root);
	ck_assert_str_eq(at(root, "format")->valuestring, "sdlab-load");
	number_is(root, "version", 1, 0);
	ck_assert_str_eq(at(root, "url")->valuestring, "http://h/\xef\xbf\xbd\"<\xc3\xa9\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd");
	ck_assert_str_eq(at(root, "started")->valuestring, "2023-11-14T22:13:20.123Z");
	ck_assert_str_eq(at(root, "loop")->valuestring, "open");
	ck_assert(cJSON_IsFalse(at(root, "interrupted")));
	number_is(root, "plan/rate", 333.5, 0);
	number_is(root, "plan/duration_s", 3, 0);
	ck_assert(cJSON_IsNull(at(root, "plan/requests")));
	ck_assert_str_eq(at(root, "plan/arrivals")->valuestring, "constant");
	ck_assert_str_eq(at(cJSON_GetArrayItem(at(root, "plan/mix"), 0), "name")->valuestring, "GET /");
	number_is(root, "summary/answers", 1000, 0);
	number_is(root, "summary/errors", 2, 0);
	number_is(root, "summary/error_share", 2.0 / 1002, 1e-9);
	number_is(root, "summary/rate", 333.333, 0);
	number_is(root, "latency/service/percentiles/p50", 5, 0.005);
	number_is(root, "latency/response/percentiles/p99.9", 99.9, 0.1);
	number_is(root, "latency/response/count", 1000, 0);
	number_is(root, "latency/first_byte/max", 5, 0.005);
	number_is(root, "statuses/503", 1, 0);
	number_is(root, "errors/timeout", 2, 0);
	number_is(root, "errors/refused", 0, 0);
	ck_assert_int_eq(cJSON_GetArraySize(at(root, "seconds")), 3);
	number_is(cJSON_GetArrayItem(at(root, "seconds"), 1), "max", 20, 0);
	number_is(root, "generator/cpu", 0.25, 0);
	number_is(root, "generator/late", 3, 0);
	ck_assert(cJSON_IsNull(at(root, "generator/limited")));
	ck_assert_int_eq(sd_hdr_decode(at(root, "hdr/response")->valuestring, &back, NULL), SD_OK);
	ck_assert_int_eq(sd_hdr_percentile(back, 99), sd_hdr_percentile(run.r.response, 99));
	sd_hdr_free(back);
	cJSON_Delete(root);
	free(text);
	run_free(&run);
}
END_TEST

START_TEST(json_closed)
{
	struct run run;
	run_make(&run, false);
	run.r.limited = "why";
	char *text = report(load_export_json, &run);
	cJSON *root = cJSON_Parse(text);
	ck_assert_str_eq(at(root, "loop")->valuestring, "closed");
	ck_assert(cJSON_IsNull(at(root, "plan/rate")) && cJSON_IsNull(at(root, "plan/arrivals")));
	ck_assert(cJSON_IsNull(at(root, "latency/response")) && cJSON_IsNull(at(root, "hdr/response")));
	ck_assert(cJSON_IsNull(at(root, "generator/lag")));
	ck_assert_str_eq(at(root, "generator/limited")->valuestring, "why");
	cJSON_Delete(root);
	free(text);
	run_free(&run);
}
END_TEST

START_TEST(csv)
{
	struct run run;
	run_make(&run, false);
	char *text = report(load_export_csv, &run);
	ck_assert(strncmp(text, "statistic,response_ms,service_ms,first_byte_ms,connect_ms\nmin,,0.01", 67) == 0);
	has(text, "\np50,,5.00");
	has(text, "\n\nsecond,answers,errors,max_ms\n0,300,0,9.000000\n1,400,2,20.000000\n2,300,0,10.000000\n");
	lacks(text, "interrupted");
	free(text);
	run.r.interrupted = true;
	text = report(load_export_csv, &run);
	has(text, "\n\ninterrupted\n");
	free(text);
	text = report(hdr_log, &run);
	has(text, "\n#[Interrupted]\n");
	free(text);
	run_free(&run);
}
END_TEST

START_TEST(log_of_histograms)
{
	struct run run;
	for (int open_loop = 0; open_loop < 2; open_loop++) {
		run_make(&run, open_loop);
		char *text = report(hdr_log, &run);
		ck_assert(strncmp(text, "#[Histogram log format version 1.3]\n", 36) == 0);
		has(text, "\n#[StartTime: 1700000000.123 (seconds since epoch), 2023-11-14T22:13:20.123Z]\n");
		has(text, "\n\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n");
		has(text, open_loop ? "\n0.000,3.000,100.0" : "\n0.000,3.000,10.0");
		has(text, ",HISTFAAA");
		lacks(text, "Interrupted");
		ck_assert(open_loop == (strstr(text, "\nTag=service,0.000,3.000,10.0") != NULL));
		free(text);
		run_free(&run);
	}
}
END_TEST

static int times_in(const char *text, const char *part)
{
	int n = 0;
	while ((text = strstr(text, part)) != NULL) {
		n++;
		text += strlen(part);
	}
	return n;
}

START_TEST(html)
{
	static const char *const outside[] = {"src=", "href=", "url(", "@import", "<script", "<link", "<iframe", "://", "nan", "inf"};
	struct run run;
	for (int open_loop = 0; open_loop < 2; open_loop++) {
		run_make(&run, open_loop);
		run.plan.url = (char *)"host/?a=<script>'\"&\x01";
		run.r.limited = "<b>late</b>";
		char *text = report(load_export_html, &run);
		for (size_t i = 0; i < COUNT(outside); i++)
			lacks(text, outside[i]);
		ck_assert_int_eq(times_in(text, "host/?a=&lt;script&gt;&#39;&quot;&amp;&#xfffd;"), 2);
		has(text, "generator-limited: &lt;b&gt;late&lt;/b&gt;");
		has(text, "prefers-color-scheme:dark");
		has(text, "<tr><th>503</th><td>1</td><td>0.10%</td></tr>");
		ck_assert_int_eq(times_in(text, "<svg"), 3);
		ck_assert_int_eq(times_in(text, "</svg>"), 3);
		ck_assert_int_eq(times_in(text, "class=\"line b\""), 1);
		ck_assert_int_eq(times_in(text, "class=\"line a\""), open_loop ? 3 : 2);
		has(text, "</html>\n");
		free(text);
		run_free(&run);
	}
}
END_TEST

/* A day of seconds is drawn with as many points as fit. */
START_TEST(html_long)
{
	struct run run;
	run_make(&run, true);
	run.r.nseconds = 86400;
	run.r.elapsed_ns = run.r.window.ns = 86400 * S;
	run.r.seconds = calloc(run.r.nseconds, sizeof(*run.r.seconds));
	for (size_t i = 0; i < run.r.nseconds; i++)
		run.r.seconds[i] = (struct load_second){1000 + i % 7, 0, 5 * MS};
	char *text = report(load_export_html, &run);
	ck_assert_uint_lt(strlen(text), 100000);
	has(text, ">80k</text>");
	free(text);
	free(run.r.seconds);
	run_free(&run);
}
END_TEST

/* ---- replay and tally, in every form ---- */

static struct load_due schedule[] = {{0, 0, 0}, {250 * MS, 0, 1}};

/* 700 from A, 200 with what would be a tag, 60 with an empty body, 40 of other kinds. */
static void make_replay(struct run *run, struct load_tally *tally)
{
	run_make(run, true);
	run->plan.rate = 0;
	run->plan.schedule = schedule;
	run->plan.nschedule = COUNT(schedule);
	run->plan.log = (char *)"<i>.json";
	run->plan.speed = 2.5;
	*tally = (struct load_tally){.rows = {{"", 60}, {"<b>\xff", 200}, {"from A", 700}}, .n = 3, .other = 40};
	run->r.tally = tally;
}

START_TEST(replay_text)
{
	struct run run;
	struct load_tally tally;
	make_replay(&run, &tally);
	char *text = report(plain, &run);
	has(text, "  Replayed    2 requests of <i>.json at 2.5x, 1 different\n");
	has(text, "  Loop        open: as recorded, 50 connections");
	has(text, "\nAnswers\n  (empty)        60    6.00%\n  <b>\xff          200   20.00%\n");
	has(text, "\n  from A        700   70.00%\n  (other)        40    4.00%\n");
	lacks(text, "asked for");
	lacks(text, "Mix");
	free(text);
	run.r.interrupted = true;
	text = report(plain, &run);
	lacks(text, "Replayed");
	free(text);
	run_free(&run);
	run_make(&run, true);
	text = report(plain, &run);
	lacks(text, "Replay");
	lacks(text, "Answers");
	free(text);
	run_free(&run);
}
END_TEST

START_TEST(replay_json)
{
	struct run run;
	struct load_tally tally;
	make_replay(&run, &tally);
	char *text = report(load_export_json, &run);
	cJSON *root = cJSON_Parse(text);
	ck_assert_str_eq(at(root, "loop")->valuestring, "open");
	ck_assert(cJSON_IsNull(at(root, "plan/rate")));
	ck_assert_str_eq(at(root, "plan/arrivals")->valuestring, "recorded");
	ck_assert_str_eq(at(root, "plan/replay/file")->valuestring, "<i>.json");
	number_is(root, "plan/replay/speed", 2.5, 0);
	number_is(root, "plan/replay/span_s", 0.25, 0);
	number_is(root, "plan/replay/kinds", 1, 0);
	ck_assert_int_eq(cJSON_GetArraySize(at(root, "tally/answers")), 3);
	ck_assert_str_eq(at(cJSON_GetArrayItem(at(root, "tally/answers"), 1), "text")->valuestring, "<b>\xef\xbf\xbd");
	number_is(cJSON_GetArrayItem(at(root, "tally/answers"), 2), "count", 700, 0);
	number_is(root, "tally/other", 40, 0);
	cJSON_Delete(root);
	free(text);
	run_free(&run);
	run_make(&run, false);
	text = report(load_export_json, &run);
	root = cJSON_Parse(text);
	ck_assert(cJSON_IsNull(at(root, "plan/replay")) && cJSON_IsNull(at(root, "tally")));
	cJSON_Delete(root);
	free(text);
	run_free(&run);
}
END_TEST

START_TEST(replay_html)
{
	struct run run;
	struct load_tally tally;
	make_replay(&run, &tally);
	char *text = report(load_export_html, &run);
	has(text, "open: 2 requests as recorded, at 2.5x");
	has(text, "<td>&lt;i&gt;.json</td>");
	has(text, "<tr><th>(empty)</th><td>60</td></tr>");
	has(text, "<tr><th>&lt;b&gt;");
	has(text, "<tr><th>(other)</th><td>40</td></tr>");
	lacks(text, "<b>");
	lacks(text, "<i>");
	free(text);
	run_free(&run);
}
END_TEST

/* ---- curves ---- */

static const struct load_curve bent = {
    .verb = "sweep", .x_name = "connections", .url = "h/?<script>", .started_wall_ns = 1700000000 * S, .n = 3, .knee = 1,
    .points = {{.x = 1, .rate = 1000, .in_flight = 1, .p50_ns = MS, .p99_ns = 2 * MS, .answers = 3000},
	       {.x = 10, .rate = 9000.1234, .in_flight = 10, .p50_ns = MS, .p99_ns = 2 * MS, .answers = 27000, .errors = 4},
	       {.x = 100, .rate = 9100, .in_flight = 99.5, .p50_ns = 10 * MS, .p99_ns = 25 * MS, .answers = 27300, .limited = true}},
};

static __attribute__((noinline)) char *curve(void (*fn)(FILE *out, const struct load_curve *c), const struct load_curve *c)
{
	char *text = NULL;
	size_t n;
	FILE *out = open_memstream(&text, &n);
	fn(out, c);
	fclose(out);
	return text;
}

START_TEST(curve_json)
{
	struct load_curve straight = bent;
	char *text = curve(load_export_curve, &bent);
	cJSON *root = cJSON_Parse(text), *p = cJSON_GetArrayItem(at(root, "points"), 1);
	ck_assert_str_eq(at(root, "format")->valuestring, "sdlab-load-curve");
	ck_assert_str_eq(at(root, "verb")->valuestring, "sweep");
	ck_assert_str_eq(at(root, "url")->valuestring, "h/?<script>");
	ck_assert_str_eq(at(root, "started")->valuestring, "2023-11-14T22:13:20.000Z");
	ck_assert_int_eq(cJSON_GetArraySize(at(root, "points")), 3);
	number_is(p, "x", 10, 0);
	number_is(p, "rate", 9000.123, 0);
	number_is(p, "p50", 1, 0);
	number_is(p, "p99", 2, 0);
	number_is(p, "answers", 27000, 0);
	number_is(p, "errors", 4, 0);
	number_is(p, "in_flight", 10, 0);
	ck_assert(cJSON_IsFalse(at(p, "limited")));
	ck_assert(cJSON_IsTrue(at(cJSON_GetArrayItem(at(root, "points"), 2), "limited")));
	number_is(root, "knee", 10, 0);
	cJSON_Delete(root);
	free(text);
	straight.knee = straight.n;
	text = curve(load_export_curve, &straight);
	root = cJSON_Parse(text);
	ck_assert(cJSON_IsNull(at(root, "knee")));
	cJSON_Delete(root);
	free(text);
}
END_TEST

START_TEST(curve_html)
{
	struct load_curve c = bent;
	char *text = curve(load_html_curve, &c);
	ck_assert_int_eq(times_in(text, "<svg"), 2);
	/* throughput; p99 and p50 */
	ck_assert_int_eq(times_in(text, "class=\"line a\""), 2);
	ck_assert_int_eq(times_in(text, "class=\"line b\""), 1);
	/* by ratio: 10 is half way from 1 to 100 */
	has(text, "M64.0 ");
	has(text, "L384.0 ");
	has(text, "L704.0 ");
	has(text, "Knee (inflection point): 10 connections.");
	has(text, "generator-limited");
	lacks(text, "<script");
	for (c.n = 0; c.n <= 1; c.n++) {
		c.knee = c.n;
		free(text);
		text = curve(load_html_curve, &c);
		has(text, "No knee.");
		lacks(text, "nan");
		lacks(text, "inf");
	}
	free(text);
}
END_TEST

/* ---- rules ---- */

START_TEST(rules)
{
	/* p99 is 99 ms, service p99 9.9 ms; 2 of 1002 failed; one 503 of 1000; 333.33/s */
	static const struct {
		const char *rule;
		bool fails;
		const char *text;
	} rows[] = {
	    {"p99>50ms", true, "p99 is 99.02ms"},
	    {"p99>100ms", false, "p99 is 99.02ms"},
	    {"p99 > 50ms", true, "p99 is 99.02ms"},
	    {"p99.9>=1s", false, NULL},
	    {"p50<1ms", false, NULL},
	    {"p50<=1s", true, NULL},
	    {"p100>=100ms", true, NULL},
	    {"min<1ms", true, "min is 99.97us"},
	    {"mean>50ms", true, NULL},
	    {"max>1s", false, NULL},
	    {"stddev>1m30s", false, NULL},
	    {"errors>0.1%", true, "errors is 0.1996% (2 of 1002)"},
	    {"errors>0.2%", false, NULL},
	    {"errors>1", true, "errors is 2"},
	    {"errors>2", false, "errors is 2"},
	    {"errors>=2", true, NULL},
	    {"errors.timeout>0", true, "errors.timeout is 2"},
	    {"errors.refused>0", false, "errors.refused is 0"},
	    {"errors.timeout>=50%", false, NULL},
	    {"status.5xx>0", true, "status.5xx is 1"},
	    {"status.5xx>0.1%", false, NULL},
	    {"status.503>=0.1%", true, "status.503 is 0.1% (1 of 1000)"},
	    {"status.200<1000", true, "status.200 is 999"},
	    {"status.404>0", false, "status.404 is 0"},
	    {"rate<1000/s", true, "rate is 333/s"},
	    {"rate<20001/min", true, "rate is 333/s"},
	    {"rate<333/s", false, NULL},
	};
	struct run run;
	run_make(&run, true);
	for (size_t i = 0; i < COUNT(rows); i++) {
		char text[160];
		ck_assert_int_eq(load_rule_check(rows[i].rule, NULL), SD_OK);
		bool fails = load_rule_fails(rows[i].rule, &run.r, text, sizeof(text));
		ck_assert_msg(fails == rows[i].fails, "%s: %s", rows[i].rule, text);
		if (rows[i].text)
			ck_assert_str_eq(text, rows[i].text);
	}
	run_free(&run);
}
END_TEST

START_TEST(rules_refused)
{
	static const struct {
		const char *rule, *why;
	} rows[] = {
	    {"", "expected pN, min"},
	    {"p99", "expected <, <=, > or >= after p99, found \"\""},
	    {"p99=5ms", "expected <, <=, > or >= after p99, found \"=5ms\""},
	    {"p99==5ms", "expected <, <=, > or >= after p99"},
	    {"p99>", "p99: expected a duration such as 50ms, found \"\""},
	    {"p99>>5ms", "p99: expected a duration such as 50ms, found \">5ms\""},
	    {"p99=>5ms", "expected <, <=, > or >= after p99"},
	    {"p99>50", "p99: expected a duration such as 50ms, found \"50\""},
	    {"p99>50 ms", "found \"50 ms\""},
	    {"p99>-1ms", "p99: expected a duration"},
	    {"p99>5%", "p99: expected a duration"},
	    {"p0>5ms", "expected pN, min"},
	    {"p101>5ms", "found \"p101>5ms\""},
	    {"p>5ms", "expected pN, min"},
	    {"p9e1>5ms", "expected pN, min"},
	    {"p099>5ms", "expected pN, min"},
	    {"p-5>5ms", "expected pN, min"},
	    {"P99>5ms", "expected pN, min"},
	    {"latency>5ms", "found \"latency>5ms\""},
	    {"errors>-1", "errors: expected a count such as 10, or a share such as 0.1%"},
	    {"errors>0.5", "errors: expected a count"},
	    {"errors>101%", "errors: expected a count"},
	    {"errors>5ms", "errors: expected a count"},
	    {"errors.nothing>0", "errors.CLASS"},
	    {"status.6xx>0", "status.Nxx"},
	    {"status.5x>0", "status.Nxx"},
	    {"status.20>0", "status.Nxx"},
	    {"status.xxx>0", "status.Nxx"},
	    {"rate<1000", "rate: expected a rate such as 1000/s, found \"1000\""},
	    {"rate>1ms", "rate: expected a rate"},
	    {"p99>5ms and more", "found \"5ms and more\""},
	    {"averyveryveryveryverylongmetricname>5", "expected pN, min"},
	};
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct sd_error e = {0};
		ck_assert_int_eq(load_rule_check(rows[i].rule, &e), SD_EUSAGE);
		has(e.text, rows[i].why);
	}
}
END_TEST

/* A run that answered nothing passes no rule about what it would have answered. */
START_TEST(rules_unknown)
{
	static const char *const unknown[] = {"p99>1h", "max>1h", "mean<1ns", "status.5xx>50%"};
	struct run run;
	char text[160];
	run_make(&run, true);
	sd_hdr_reset(run.r.response);
	run.r.answers = run.r.status[200] = run.r.status[503] = 0;
	for (size_t i = 0; i < COUNT(unknown); i++) {
		ck_assert(load_rule_fails(unknown[i], &run.r, text, sizeof(text)));
		has(text, " is unknown: no request was answered");
	}
	ck_assert(load_rule_fails("errors>=100%", &run.r, text, sizeof(text)));
	ck_assert(!load_rule_fails("status.5xx>0", &run.r, text, sizeof(text)));
	ck_assert(load_rule_fails("nonsense", &run.r, text, sizeof(text)));
	run_free(&run);
}
END_TEST

/* ---- compare ---- */

/* Latencies around `middle`, long in the tail; the same seed is the same run. */
static void run_drawn(struct run *run, uint64_t seed, int n, double middle, uint64_t answers)
{
	static struct load_second even[2][20];
	struct sd_rng rng;
	run_make(run, false);
	sd_hdr_reset(run->r.service);
	sd_rng_seed(&rng, seed);
	for (int i = 0; i < n; i++) {
		double sum = 0;
		for (int k = 0; k < 12; k++)
			sum += sd_rng_unit(&rng);
		sd_hdr_record(run->r.service, (int64_t)(middle * (0.5 + sum * sum / 72)), 1);
	}
	run->r.seconds = even[seed % 2];
	run->r.nseconds = 20;
	run->r.elapsed_ns = run->r.window.ns = 20 * S;
	run->r.answers = run->r.window.answers = answers * 20;
	load_window_rates(&run->r.window);
	for (size_t i = 0; i < 20; i++)
		run->r.seconds[i] = (struct load_second){answers - 20 + sd_rng_below(&rng, 41), 0, 0};
}

struct outcome {
	int status;
	char *out, *err;
};

static struct outcome compare(const char *a, const char *b)
{
	struct outcome o;
	size_t n;
	FILE *out = open_memstream(&o.out, &n), *err = open_memstream(&o.err, &n);
	o.status = load_compare(out, err, a, b, "a.json", "b.json");
	fclose(out);
	fclose(err);
	return o;
}

static void outcome_free(struct outcome *o)
{
	free(o->out);
	free(o->err);
}

static struct outcome compare_drawn(double middle, uint64_t rate, uint64_t seed)
{
	struct run a, b;
	run_drawn(&a, seed, 20000, 5e6, 1000);
	run_drawn(&b, seed + 1, 20000, middle, rate);
	char *a_text = report(load_export_json, &a), *b_text = report(load_export_json, &b);
	struct outcome o = compare(a_text, b_text);
	free(a_text);
	free(b_text);
	run_free(&a);
	run_free(&b);
	ck_assert_int_eq(o.status, 0);
	ck_assert_str_eq(o.err, "");
	return o;
}

START_TEST(compare_different)
{
	struct outcome o = compare_drawn(4e6, 1200, 1);
	has(o.out, "B beside A: faster\n");
	ck_assert_int_eq(times_in(o.out, "  faster\n"), 5);
	fits(o.out, 80);
	outcome_free(&o);
	o = compare_drawn(6e6, 800, 1);
	has(o.out, "B beside A: slower\n");
	ck_assert_int_eq(times_in(o.out, "  slower\n"), 5);
	outcome_free(&o);
	o = compare_drawn(6e6, 1200, 1);
	has(o.out, "B beside A: faster in some, slower in others\n");
	outcome_free(&o);
}
END_TEST

/* Halves of one distribution: an interval of 95 % is wrong one time in twenty. Of 40 pairs and five numbers each, 10 are
 * expected to be so, fewer where the histogram's precision widens them; 22 would be as rare as four times the spread.
 */
START_TEST(compare_same)
{
	int different = 0;
	for (uint64_t seed = 2; seed < 82; seed += 2) {
		struct outcome o = compare_drawn(5e6, 1000, seed);
		different += 5 - times_in(o.out, "  no difference\n");
		outcome_free(&o);
	}
	ck_assert_int_le(different, 22);
	struct outcome o = compare_drawn(5e6, 1000, 4);
	has(o.out, "B beside A: no difference that the data can show\n");
	outcome_free(&o);
}
END_TEST

/* The interval of a percentile is as wide as theory says: for even draws the spread of the median is 1 / (2 sqrt n). */
START_TEST(compare_interval)
{
	struct run run;
	double ratio, low, high;
	run_make(&run, false);
	sd_hdr_reset(run.r.service);
	fill(run.r.service, 10000, 1 * MS, 100);
	char *text = report(load_export_json, &run);
	struct outcome o = compare(text, text);
	/* values 1 to 2 ms, median 1.5: one side's error 0.005 ms, 0.0033 of it; of the ratio that times sqrt 2 */
	ck_assert_int_eq(sscanf(strstr(o.out, "  p50"), "  p50 %*s %*s %lf %lf to %lf", &ratio, &low, &high), 3);
	ck_assert_double_eq(ratio, 1);
	ck_assert_double_eq_tol(high - 1, 1.96 * 0.00471 + 0.001, 0.0012);
	ck_assert_double_eq_tol(1 - low, 1.96 * 0.00471 + 0.001, 0.0012);
	struct outcome again = compare(text, text);
	ck_assert_str_eq(o.out, again.out);
	outcome_free(&o);
	outcome_free(&again);
	free(text);
	run_free(&run);
}
END_TEST

START_TEST(compare_notes)
{
	struct run a, b;
	run_make(&a, false);
	run_make(&b, true);
	b.r.limited = "late";
	b.r.interrupted = true;
	b.plan.conns = 20;
	char *a_text = report(load_export_json, &a), *b_text = report(load_export_json, &b);
	struct outcome o = compare(a_text, b_text);
	has(o.out, "note: B is generator-limited (late)");
	has(o.out, "note: B was interrupted\n");
	has(o.out, "note: 0.20% of the requests of A failed");
	has(o.out, "note: an open and a closed loop ask different questions; service times are compared\n");
	has(o.out, "note: they were run with different numbers of connections\n");
	outcome_free(&o);
	o = compare(b_text, b_text);
	has(o.out, "open loop at 333.5/s");
	has(o.out, "  p50        50.0ms      50.0ms");
	outcome_free(&o);
	free(a_text);
	free(b_text);
	run_free(&a);
	run_free(&b);
}
END_TEST

START_TEST(compare_refused)
{
	static const struct {
		const char *text, *why;
	} rows[] = {
	    {"", "b.json: expected a result that sdlab load --json wrote"},
	    {"[]", "expected a result"},
	    {"{\"format\": 5}", "expected a result"},
	    {"{\"format\":\"sdlab-load\",\"version\":2}", "expected a result of version 1"},
	    {"{\"format\":\"sdlab-load\",\"version\":1}", "it has no histogram (hdr.service)"},
	    {"{\"format\":\"sdlab-load\",\"version\":1,\"hdr\":{\"service\":\"HISTF\"}}", "b.json: hdr.service: "},
	    {"{\"format\":\"sdlab-load\",\"version\":1,\"hdr\":{\"service\":7},\"seconds\":3}", "no histogram"},
	};
	struct run run;
	run_make(&run, false);
	char *good = report(load_export_json, &run);
	for (size_t i = 0; i < COUNT(rows); i++) {
		struct outcome o = compare(good, rows[i].text);
		ck_assert_int_eq(o.status, 1);
		ck_assert_str_eq(o.out, "");
		has(o.err, "sdlab load compare: b.json: ");
		has(o.err, rows[i].why);
		ck_assert_int_eq(times_in(o.err, "\n"), 1);
		outcome_free(&o);
	}
	sd_hdr_reset(run.r.service);
	char *empty = report(load_export_json, &run);
	struct outcome o = compare(empty, good);
	has(o.err, "a.json: no request was answered");
	outcome_free(&o);
	free(empty);
	free(good);
	run_free(&run);
}
END_TEST

int main(void)
{
	const TTest *const tests[] = {
	    text_open, text_closed, text_marks, text_nothing, distribution, progress_line, json, json_closed, csv,
	    log_of_histograms, html, html_long, rules, rules_refused, rules_unknown, compare_different, compare_same,
	    compare_interval, compare_notes, compare_refused, replay_text, replay_json, replay_html, curve_json, curve_html,
	};
	Suite *s = suite_create("load_report");
	TCase *t = tcase_create("load_report");
	tcase_set_timeout(t, 60);
	for (size_t i = 0; i < COUNT(tests); i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
