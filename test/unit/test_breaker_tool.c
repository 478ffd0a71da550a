/* The tool in virtual time, against a server that fails when it is told to: what it prints, to the letter. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/applet.h"
#include "net/http_server.h"
#include "world/sim.h"

#define MS 1000000ll

static struct sd_sim *sim;
static struct sd_world *client, *host;

/* ---- a flaky server ---- */

static struct flaky {
	struct sd_loop *loop;
	struct sd_http_server http;
	uint64_t n;
	uint64_t from, to; /* these fail */
	int status;	   /* how; 0: without an answer */
	const char *fields;
} flaky;

static void on_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	(void)head;
	bool fails = ++flaky.n >= flaky.from && flaky.n <= flaky.to;
	if (!fails) {
		sd_http_respond(x, 200, NULL, "text/plain", "hello\n", 6);
	} else if (flaky.status) {
		sd_http_begin(x, flaky.status, (struct sd_slice){0});
		if (flaky.fields)
			sd_http_field_text(x, "Retry-After", flaky.fields);
		sd_http_head_done(x, 0);
		sd_http_finish(x);
	}
}

static void on_gone(struct sd_http_exchange *x)
{
	(void)x;
}

static const struct sd_http_handler handler = {.request = on_request, .gone = on_gone};

static void begin(uint64_t from, uint64_t to, int status, const char *fields)
{
	struct sd_error e = {0};
	struct sd_addr at = {.kind = SD_ADDR_INET, .port = 80};
	sim = sd_sim_new(1);
	client = sd_sim_node(sim, "client");
	host = sd_sim_node(sim, "server");
	*sd_sim_wire(client, host) = *sd_sim_wire(host, client) = (struct sd_sim_wire){.latency_ns = 50000};
	flaky = (struct flaky){.from = from, .to = to, .status = status, .fields = fields};
	flaky.loop = sd_loop_new(host, &e);
	sd_http_server_init(&flaky.http, flaky.loop, &sd_http_server_defaults, &handler, NULL);
	ck_assert_msg(sd_http_server_listen(&flaky.http, &at, false, &e) == SD_OK, "%s", e.text);
	ck_assert_int_eq(sd_loop_start(flaky.loop, "server", &e), SD_OK);
}

static void end(void)
{
	sd_http_server_stop(&flaky.http);
	sd_loop_flush(flaky.loop);
	sd_loop_free(flaky.loop);
	sd_sim_free(sim);
}

/* What a person types after circuit-test, and what that prints. */
static int run(const char *words, char **out)
{
	static char copy[512];
	const char *argv[48];
	int argc = 0;
	size_t n;
	struct sd_error e = {0};
	struct sd_conf *conf;
	const struct sd_alias *alias;
	const struct sd_applet *applet = sd_applet_find("circuit-test", &alias);
	ck_assert_str_eq(alias->verb, "");
	snprintf(copy, sizeof(copy), "%s", words);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	struct sd_conf_sources from = {.applet = "breaker", .argc = argc, .argv = argv};
	ck_assert_msg(sd_conf_make(applet->verbs[0].options, NULL, &from, &conf, NULL, NULL, &e) == SD_OK, "%s", e.text);
	FILE *f = open_memstream(out, &n);
	struct sd_verb_call call = {.world = client, .applet = applet, .conf = conf, .out = f, .err = f};
	int status = applet->verbs[0].run(&call);
	fclose(f);
	sd_conf_free(conf);
	return status;
}

/* The seed's lines: with what it types, to the number of the request that is let through again. */
START_TEST(the_lesson)
{
	char *out;
	begin(3, 7, 500, NULL);
	ck_assert_int_eq(run("--url http://10.0.0.2 --requests 49", &out), 0);
	ck_assert_str_eq(out, "Request 1: OK (circuit: CLOSED)\n"
			      "Request 2: OK (circuit: CLOSED)\n"
			      "Request 3: FAIL (circuit: CLOSED, failures: 1/5)\n"
			      "Request 4: FAIL (circuit: CLOSED, failures: 2/5)\n"
			      "Request 5: FAIL (circuit: CLOSED, failures: 3/5)\n"
			      "Request 6: FAIL (circuit: CLOSED, failures: 4/5)\n"
			      "Request 7: FAIL (circuit: CLOSED, failures: 5/5)\n"
			      "Request 8: REJECTED (circuit: OPEN) ← Fast fail, didn't even try\n"
			      "Request 9: REJECTED (circuit: OPEN)\n"
			      "...\n"
			      "[30 seconds later]\n"
			      "Request 47: TRYING (circuit: HALF-OPEN)\n"
			      "Request 47: OK (circuit: HALF-OPEN, successes: 1/2)\n"
			      "Request 48: OK (circuit: HALF-OPEN, successes: 2/2)\n"
			      "Request 49: OK (circuit: CLOSED) ← Recovered!\n"
			      "\n"
			      "49 requests in 36.0 s: 5 ok, 5 failed, 39 rejected without a try\n"
			      "The circuit opened 1 time and was not closed for 30.8 s.\n"
			      "Now CLOSED: 0 of 1 failed\n"
			      "Last failures: 500, 500, 500, 500, 500\n");
	ck_assert_uint_eq(flaky.n, 10); /* the rest was never asked */
	free(out);
	end();
}
END_TEST

/* Probes that fail, and an open time that grows; it ends open. */
START_TEST(not_yet)
{
	char *out;
	begin(1, 99, 500, NULL);
	ck_assert_int_eq(run("--url http://10.0.0.2 --consecutive 2 --open 1s --growth doubling --interval 500ms --requests 11", &out), 1);
	ck_assert_str_eq(out, "Request 1: FAIL (circuit: CLOSED, failures: 1/2)\n"
			      "Request 2: FAIL (circuit: CLOSED, failures: 2/2)\n"
			      "Request 3: REJECTED (circuit: OPEN) ← Fast fail, didn't even try\n"
			      "Request 4: TRYING (circuit: HALF-OPEN)\n"
			      "Request 4: FAIL (circuit: HALF-OPEN, successes: 0/2)\n"
			      "Request 5: REJECTED (circuit: OPEN) ← Fast fail, didn't even try\n"
			      "Request 6: REJECTED (circuit: OPEN)\n"
			      "...\n"
			      "[2 seconds later]\n"
			      "Request 8: TRYING (circuit: HALF-OPEN)\n"
			      "Request 8: FAIL (circuit: HALF-OPEN, successes: 0/2)\n"
			      "Request 9: REJECTED (circuit: OPEN) ← Fast fail, didn't even try\n"
			      "Request 10: REJECTED (circuit: OPEN)\n"
			      "...\n"
			      "\n"
			      "11 requests in 5.0 s: 0 ok, 4 failed, 7 rejected without a try\n"
			      "The circuit opened 3 times and was not closed for 4.5 s.\n"
			      "Now OPEN: opened 1500 ms ago: a probe answered 500, next probe in 3 s\n"
			      "Last failures: 500, 500, 500, 500\n");
	free(out);
	end();
}
END_TEST

static void expect_part(const char *out, const char *part)
{
	ck_assert_msg(strstr(out, part) != NULL, "expected \"%s\" in %s", part, out);
}

START_TEST(what_failed)
{
	static const struct {
		const char *options;
		int status;
		const char *fields, *part;
		int exit;
	} rows[] = {
	    {"", 0, NULL, "opened 0 ms ago: 5 of 5 timed out, next probe in 30 s", 1},
	    {"", 503, "40", "opened 0 ms ago: 5 of 5 answered 503, next probe in 40 s, as it asked", 1},
	    {"--retry-opens", 429, "40", "a call answered 429", 1},
	    {"--retry-max 0", 503, "40", "5 of 5 answered 503, next probe in 30 s\n", 1},
	    {"", 404, NULL, "5 ok, 0 failed", 0},
	    {"", 501, NULL, "5 ok, 0 failed", 0},
	    {"--consecutive 9", 500, NULL, "failures: 5/9)", 0},
	    {"--failure-rate 50% --minimum 6", 500, NULL, "failures: 5 of 5)", 0},
	    {"--failure-rate 50% --minimum 4 --window-time 20s", 500, NULL, "opened 500 ms ago: 4 of 4 answered 500", 1},
	    {"--slow-rate 50% --slow 1us --minimum 5", 404, NULL, "opened 0 ms ago: 5 of 5 took 1 ms or longer", 1},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		char *out, words[300];
		begin(1, 99, rows[i].status, rows[i].fields);
		snprintf(words, sizeof(words), "--url http://10.0.0.2/x --timeout 2s --interval 500ms --requests 5 %s", rows[i].options);
		ck_assert_msg(run(words, &out) == rows[i].exit, "%s: %s", rows[i].options, out);
		expect_part(out, rows[i].part);
		free(out);
		end();
	}
}
END_TEST

START_TEST(json)
{
	char *out;
	begin(3, 7, 500, NULL);
	ck_assert_int_eq(run("--url http://10.0.0.2 --requests 49 --json", &out), 0);
	expect_part(out, "{\"requests\":49,\"ok\":5,\"failed\":5,\"ignored\":0,\"rejected\":39,");
	expect_part(out, "\"state\":\"CLOSED\"");
	expect_part(out, "\"from\":\"CLOSED\",\"to\":\"OPEN\",\"why\":\"opened 0 ms ago: 5 of 7 answered 500, next probe in 30 s\"");
	expect_part(out, "\"from\":\"HALF-OPEN\",\"to\":\"CLOSED\"");
	ck_assert_ptr_null(strchr(strchr(out, '\n') + 1, '\n')); /* one line */
	free(out);
	end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("breaker_tool");
	TCase *t = tcase_create("breaker_tool");
	tcase_add_test(t, the_lesson);
	tcase_add_test(t, not_yet);
	tcase_add_test(t, what_failed);
	tcase_add_test(t, json);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
