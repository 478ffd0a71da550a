/* The load generator in virtual time, against a server whose every answer can be foretold: what it reports is held against
 * the closed form, and no machine is too slow for that.
 */
#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/load/load.h"
#include "load_conf.h"
#include "net/http_server.h"
#include "world/sim.h"

#define US     1000ll
#define SECOND 1000000000ll
#define WIRE   (50 * US) /* one way */
#define JITTER (20 * US) /* between kernel and program, over all hops and a backlog of requests */

/* ---- a server on a machine of its own, with one thread ---- */

#define MAX_WAITING 4096

struct server {
	struct sd_loop *loop;
	struct sd_http_server http;
	bool silent;
	int64_t work_ns;         /* each request takes it, one after the other */
	int64_t every, stall;    /* in the first `stall` of each `every` nothing is answered until it is over */
	int64_t from;            /* when the first of them began */
	int64_t busy_until;
	struct sd_timer timer;
	struct waiting {
		struct sd_http_exchange *x; /* NULL: it left */
		int64_t at;
	} waiting[MAX_WAITING];
	size_t first, n;
	uint64_t requests;
	int64_t last; /* gaps between requests */
	double gaps, squares;
	uint64_t long_gaps; /* over twice as long as they are on average, which is long_gap / 2 */
	int64_t long_gap;
};

static struct sd_sim *sim;
static struct sd_world *client, *host;
static struct server *server;

static void serve(void)
{
	int64_t now = sd_loop_now_ns(server->loop);
	while (server->n > 0 && server->waiting[server->first].at <= now) {
		struct sd_http_exchange *x = server->waiting[server->first].x;
		server->first = (server->first + 1) % MAX_WAITING;
		server->n--;
		if (x)
			sd_http_respond(x, 200, NULL, "text/plain", "hello\n", 6);
	}
	if (server->n > 0)
		sd_loop_timer_set(server->loop, &server->timer, server->waiting[server->first].at);
}

static void on_timer(struct sd_timer *t)
{
	(void)t;
	serve();
}

static void note_gap(int64_t now)
{
	int64_t gap = now - server->last;
	if (server->requests++ > 0) {
		server->gaps += (double)gap;
		server->squares += (double)gap * (double)gap;
		server->long_gaps += gap > server->long_gap;
	}
	server->last = now;
}

static void on_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	int64_t now = sd_loop_now_ns(server->loop), at = now;
	(void)head;
	note_gap(now);
	if (server->silent)
		return;
	int64_t in = server->every ? (now - server->from) % server->every : server->stall;
	if (in < server->stall)
		at = now - in + server->stall;
	if (server->busy_until > at)
		at = server->busy_until;
	server->busy_until = at += server->work_ns;
	ck_assert_uint_lt(server->n, MAX_WAITING);
	server->waiting[(server->first + server->n++) % MAX_WAITING] = (struct waiting){x, at};
	serve();
}

static void on_gone(struct sd_http_exchange *x)
{
	for (size_t i = 0; i < server->n; i++) {
		struct waiting *w = &server->waiting[(server->first + i) % MAX_WAITING];
		if (w->x == x)
			w->x = NULL;
	}
}

static const struct sd_http_handler handler = {.request = on_request, .gone = on_gone};

static void begin(void)
{
	struct sd_error e = {0};
	struct sd_addr at = {.kind = SD_ADDR_INET, .port = 80};
	sim = sd_sim_new(1);
	client = sd_sim_node(sim, "client");
	host = sd_sim_node(sim, "server");
	*sd_sim_wire(client, host) = *sd_sim_wire(host, client) = (struct sd_sim_wire){.latency_ns = WIRE};
	server = calloc(1, sizeof(*server));
	server->timer.fn = on_timer;
	server->loop = sd_loop_new(host, &e);
	sd_http_server_init(&server->http, server->loop, &sd_http_server_defaults, &handler, NULL);
	ck_assert_msg(sd_http_server_listen(&server->http, &at, false, &e) == SD_OK, "%s", e.text);
	ck_assert_int_eq(sd_loop_start(server->loop, "server", &e), SD_OK);
	server->from = sd_world_mono_ns(host);
}

static void end(void)
{
	sd_http_server_stop(&server->http);
	sd_loop_timer_cancel(server->loop, &server->timer);
	sd_loop_flush(server->loop);
	sd_loop_free(server->loop);
	sd_sim_free(sim);
	free(server);
}

static struct load_result *run(const char *options)
{
	struct sd_error e = {0};
	struct load_plan plan;
	struct load_result *r;
	struct sd_conf *conf = rig_conf("", options);
	ck_assert_msg(load_plan_make(client, conf, "http://10.0.0.2/", &plan, &e) == SD_OK, "%s", e.text);
	ck_assert_msg(load_run(client, &plan, NULL, &r, &e) == SD_OK, "%s", e.text);
	load_plan_free(&plan);
	sd_conf_free(conf);
	ck_assert_ptr_null(r->limited);
	ck_assert_uint_eq(r->late, 0);
	return r;
}

static void is_about(const char *what, double found, double expected, double tolerance)
{
	ck_assert_msg(fabs(found - expected) <= tolerance, "%s is %.6g, not %.6g", what, found, expected);
}

static int64_t percentile(const struct sd_hdr *h, double p)
{
	return sd_hdr_percentile(h, p);
}

/* ---- the stall ---- */

/* At 1000/s over one connection, each second begins with a stall of 200 ms. The request that is due at its beginning is
 * held until its end, and comes back a wire later. The k-th after it is due k ms later and leaves when the one before it was
 * answered; an answer takes two wires and the time from kernel to program. So it waits
 *
 *	200 ms + wire - k * (1 ms - 2 wires)		until that is down to 2 wires,
 *
 * and the (1 - p) * 1000-th is the percentile p. But only one in a thousand requests is ever at the server in a stall.
 */
START_TEST(the_corrected_distribution_is_the_closed_form)
{
	static const struct {
		double p;
		int k;
	} rows[] = {{99.9, 1}, {99, 10}, {95, 50}, {90, 100}, {80, 200}};
	static const struct {
		const char *options;
		uint64_t seconds;
	} runs[] = {{"-d 10s -c 1 -r 1000/s", 10}, {"-d 10m -c 1 -r 1000/s", 600}};
	double answer = 2 * WIRE + US; /* two hops of half a microsecond on average */
	begin();
	server->every = SECOND;
	server->stall = 200 * MS;
	struct load_result *r = run(runs[_i].options);
	ck_assert_uint_eq(r->answers, runs[_i].seconds * 1000);
	ck_assert_uint_eq(r->answers, server->requests);
	ck_assert_uint_eq(load_total_errors(r), 0);
	ck_assert_uint_eq(r->nseconds, runs[_i].seconds);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		double expected = 200 * MS + WIRE - rows[i].k * (MS - answer);
		is_about("corrected percentile", (double)percentile(r->response, rows[i].p), expected,
			 expected * 0.001 + JITTER);
		is_about("raw percentile", (double)percentile(r->service, rows[i].p), 2 * WIRE, 5 * US);
	}
	is_about("corrected p50", (double)percentile(r->response, 50), 2 * WIRE, 5 * US);
	is_about("raw maximum", (double)sd_hdr_max(r->service), 200 * MS, 200 * MS * 0.001 + JITTER);
	is_about("rate", r->window.rate, 1000, 0.2);
	load_result_free(r);
	end();
}
END_TEST

START_TEST(both_distributions_are_alike_without_a_stall)
{
	begin();
	struct load_result *r = run("-d 10s -c 4 -r 500/s");
	ck_assert_uint_eq(r->answers, 5000);
	ck_assert_uint_eq(r->answers, server->requests);
	for (double p = 10; p < 100; p += 10) {
		is_about("response", (double)percentile(r->response, p), 2 * WIRE, 5 * US);
		is_about("service", (double)percentile(r->service, p), 2 * WIRE, 5 * US);
	}
	load_result_free(r);
	end();
}
END_TEST

/* ---- arrivals ---- */

/* Gaps between independent arrivals: as long as they vary, and e^-2 of them over twice as long as their mean. */
START_TEST(arrivals)
{
	begin();
	server->long_gap = 20 * MS;
	struct load_result *r = run(_i ? "-n 20000 -c 50 -r 100/s --arrivals poisson --seed 5" : "-n 20000 -c 50 -r 100/s");
	double n = (double)(server->requests - 1), mean = server->gaps / n;
	double deviation = sqrt(fmax(server->squares / n - mean * mean, 0));
	ck_assert_uint_eq(r->answers, 20000);
	ck_assert_uint_eq(r->answers, server->requests);
	is_about("mean gap in ms", mean / 1e6, 10, _i ? 0.3 : 0.001);
	is_about("deviation in ms", deviation / 1e6, _i ? 10 : 0, _i ? 0.4 : 0.01);
	is_about("share of long gaps", (double)server->long_gaps / n, _i ? 0.1353 : 0, _i ? 0.01 : 0);
	load_result_free(r);
	end();
}
END_TEST

/* ---- a rate that cannot be met ---- */

/* 200/s are due, 100/s are answered, for 10 seconds: the k-th request waits k * (10 - 5) ms. */
START_TEST(a_rate_that_is_not_met)
{
	begin();
	server->work_ns = 10 * MS;
	struct load_result *r = run("-d 10s -c 10 -r 200/s --timeout 30s");
	ck_assert_uint_eq(r->answers, 2000);
	ck_assert_uint_eq(r->answers, server->requests);
	is_about("rate", r->window.rate, 100, 0.2);
	is_about("p50 in s", (double)percentile(r->response, 50) / 1e9, 5, 0.03);
	is_about("p99 in s", (double)percentile(r->response, 99) / 1e9, 9.9, 0.03);
	is_about("raw p99 in s", (double)percentile(r->service, 99) / 1e9, 0.1, 0.001);
	is_about("elapsed s", (double)r->elapsed_ns / 1e9, 20, 0.02);
	is_about("window s", (double)r->window.ns / 1e9, 10, 0);
	load_result_free(r);
	end();
}
END_TEST

/* Waited for is no longer than the timeout: what is due by then and not answered is timed out. */
START_TEST(patience_ends_with_the_timeout)
{
	begin();
	server->work_ns = 10 * MS;
	struct load_result *r = run("-d 10s -c 10 -r 200/s --timeout 2s");
	is_about("answers", (double)r->answers, 1200, 1);
	ck_assert_uint_eq(r->answers + r->errors[LOAD_TIMEOUT], 2000);
	ck_assert_uint_eq(load_total_errors(r), r->errors[LOAD_TIMEOUT]);
	ck_assert_uint_eq(server->requests, r->sent);
	load_result_free(r);
	end();
}
END_TEST

START_TEST(a_server_that_never_answers)
{
	begin();
	server->silent = true;
	int64_t from = sd_sim_now_ns(sim);
	struct load_result *r = run("-n 4 -c 2 --timeout 100ms");
	ck_assert_uint_eq(r->answers, 0);
	ck_assert_uint_eq(r->errors[LOAD_TIMEOUT], 4);
	ck_assert_uint_eq(load_total_errors(r), 4);
	ck_assert_uint_eq(server->requests, 4);
	ck_assert_int_eq(sd_hdr_count(r->service), 0);
	is_about("ms", (double)(sd_sim_now_ns(sim) - from) / 1e6, 200, 1);
	load_result_free(r);
	end();
}
END_TEST

/* ---- what counts ---- */

/* A server that does 100/s, asked by 100 connections: whatever the warm-up, and whatever is on its way at either end of what
 * counts, it does 100/s; each request waits for the 99 before it. */
START_TEST(throughput_is_what_was_done_in_the_window)
{
	static const struct {
		const char *options;
		double window_s;
	} rows[] = {
	    {"-c 100 -d 1s", 1},
	    {"-c 100 --warmup 1s -d 1s", 1},
	    {"-c 100 --warmup 1s -d 5s", 5},
	    {"-c 100 --warmup 500ms -d 1s -t 4", 1},
	    {"-c 100 --warmup 1s -n 300", 2}, /* of 3 s in all */
	    {"-c 100 --warmup 1s -n 300 -d 1s", 1},
	    {"-c 100 --warmup 1s -n 300 -d 10s", 2},
	    {"-c 100 --warmup 1s -d 2s -r 1000/s", 2},
	    {"-c 100 --warmup 1s -d 2s --no-keep-alive", 2},
	};
	begin();
	server->work_ns = 10 * MS;
	struct load_result *r = run(rows[_i].options);
	is_about("window s", (double)r->window.ns / 1e9, rows[_i].window_s, 0.002);
	is_about("answers in it", (double)r->window.answers, 100 * rows[_i].window_s, 1);
	is_about("rate", r->window.rate, 100, 1);
	if (load_total_errors(r) == 0) /* at 1000/s some never leave */
		ck_assert_uint_eq(r->answers + r->warmup_answers, server->requests);
	ck_assert_uint_eq(r->bytes_in % r->answers, 0);
	is_about("bytes a second", r->window.rate_in, 100.0 * (double)(r->bytes_in / r->answers), 200);
	if ((_i >= 1 && _i <= 3) || _i == 7) /* in others all connections ask at once, or stop asking */
		is_about("bytes out a second", r->window.rate_out, 100.0 * (double)(r->bytes_out / r->sent), 200);
	char text[160];
	ck_assert_msg(!load_rule_fails("rate<99/s", r, text, sizeof(text)), "%s", text);
	uint64_t seconds = 0;
	for (size_t i = 0; i < r->nseconds && i < (size_t)rows[_i].window_s; i++)
		seconds += r->seconds[i].answers;
	is_about("answers in its seconds", (double)seconds, (double)r->window.answers, 1);
	load_result_free(r);
	end();
}
END_TEST

/* In a warm-up that is all there was nothing counts, and nothing is divided by it. */
START_TEST(nothing_counts_before_the_window)
{
	begin();
	struct load_result *r = run("-n 100 -c 5 --warmup 10s");
	ck_assert_uint_eq(server->requests, 100);
	ck_assert_uint_eq(r->warmup_answers, 100);
	ck_assert_uint_eq(r->answers, 0);
	ck_assert_int_eq(r->window.ns, 0);
	ck_assert_int_eq(r->elapsed_ns, 0);
	ck_assert(r->window.rate == 0 && r->window.rate_in == 0 && r->window.rate_out == 0);
	load_result_free(r);
	end();
}
END_TEST

START_TEST(requests_count_by_when_they_were_due)
{
	begin();
	struct load_result *r = run("-d 2s --warmup 1s -c 5 -r 500/s");
	ck_assert_uint_eq(r->warmup_answers, 500);
	ck_assert_uint_eq(r->answers, 1000);
	ck_assert_uint_eq(server->requests, 1500);
	ck_assert_uint_eq(r->nseconds, 2);
	is_about("rate", r->window.rate, 500, 0.5);
	load_result_free(r);
	end();
}
END_TEST

/* ---- the generator about itself ---- */

START_TEST(processor_time_is_what_callbacks_take)
{
	begin();
	sd_sim_slow(client, 100 * US);
	struct sd_error e = {0};
	struct load_plan plan;
	struct load_result *r;
	struct sd_conf *conf = rig_conf("", _i ? "-d 2s -c 50 -r 40000/s --timeout 1s" : "-d 2s -c 50 -r 1000/s");
	ck_assert_int_eq(load_plan_make(client, conf, "http://10.0.0.2/", &plan, &e), SD_OK);
	ck_assert_msg(load_run(client, &plan, NULL, &r, &e) == SD_OK, "%s", e.text);
	if (_i)
		ck_assert_ptr_nonnull(r->limited);
	else
		is_about("processor", r->cpu, 0.2, 0.05);
	load_plan_free(&plan);
	sd_conf_free(conf);
	load_result_free(r);
	end();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("load in virtual time");
	TCase *t = tcase_create("runs");
	tcase_set_timeout(t, 600);
	tcase_add_loop_test(t, the_corrected_distribution_is_the_closed_form, 0, 2);
	tcase_add_test(t, both_distributions_are_alike_without_a_stall);
	tcase_add_loop_test(t, arrivals, 0, 2);
	tcase_add_test(t, a_rate_that_is_not_met);
	tcase_add_test(t, patience_ends_with_the_timeout);
	tcase_add_test(t, a_server_that_never_answers);
	tcase_add_loop_test(t, throughput_is_what_was_done_in_the_window, 0, 9);
	tcase_add_test(t, nothing_counts_before_the_window);
	tcase_add_test(t, requests_count_by_when_they_were_due);
	tcase_add_loop_test(t, processor_time_is_what_callbacks_take, 0, 2);
	suite_add_tcase(suite, t);
	SRunner *runner = srunner_create(suite);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed ? 1 : 0;
}
