/* load - a load generator that cannot lie. Its face; how it works is in load.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load.h"
#include "load_as.h"
#include "load_compare.h"
#include "load_curve.h"
#include "world/machine.h"

#define OPTION_CONNS {"conns", SD_OPT_INT, "10", "connections", .letter = 'c', .min = 1, .max = 100000}

#define OPTIONS_OF_AMOUNT(text)                                                                              \
	{"requests", SD_OPT_INT, "0", "requests in all; 0: until the duration is over", .letter = 'n',       \
	 .max = INT64_MAX},                                                                                  \
	    {"duration", SD_OPT_DURATION, "0s", text, .letter = 'd'}

#define OPTION_ARRIVALS                                                                                      \
	{"arrivals", SD_OPT_ENUM, "constant", "how requests of an open loop are spaced",                     \
	 .choices = "constant|poisson"}

#define OPTIONS_OF_REQUEST                                                                                   \
	{"method", SD_OPT_STRING, NULL, "GET, or POST with a body", .letter = 'm', .meta = "METHOD"},        \
	    {"body", SD_OPT_STRING, NULL, "what to send, or @FILE; {{seq}}, {{rand}} and {{key}} become ten digits", \
	     .letter = 'b'},                                                                                 \
	    {"requests-file", SD_OPT_FILE, NULL,                                                             \
	     "lines of WEIGHT METHOD /PATH [BODY], or of [WEIGHT] COMMAND, picked at random"},               \
	    {"command", SD_OPT_LIST, NULL,                                                                   \
	     "redis: \"[WEIGHT] COMMAND\", picked at random; without it nine GET to a SET",                  \
	     .meta = "LINE", .whole = true},                                                                 \
	    {"size", SD_OPT_SIZE, "64", "redis: bytes of a {{value}}; amqp: of a message without --body", .max = 16 << 20}, \
	    {"queue", SD_OPT_STRING, "sdlab-load", "amqp: the queue; it is declared unless it is there", .meta = "NAME"}, \
	    {"measure", SD_OPT_ENUM, "confirm",                                                              \
	     "amqp: time to the confirm of a publish, to its delivery on a queue of the connection, or of a get", \
	     .choices = "confirm|delivery|get"},                                                             \
	    {"transient", SD_OPT_BOOL, "false", "amqp: messages that need not outlive the broker"},          \
	    {"keys", SD_OPT_INT, "100000", "{{key}} is one of so many", .min = 1, .max = 10000000000},       \
	    {"seed", SD_OPT_INT, "0", "of chance; 0 takes it from the system", .max = INT64_MAX}

#define OPTION_PIPELINE                                                                                      \
	{"pipeline", SD_OPT_INT, "1", "requests on their way on a connection", .min = 1, .max = 1024}

#define OPTIONS_OF_TARGET                                                                                    \
	{"threads", SD_OPT_INT, "1", "generator threads", .letter = 't', .min = 1, .max = LOAD_MAX_THREADS}, \
	    {"header", SD_OPT_LIST, NULL, "a header line, such as \"Accept: text/html\"", .letter = 'H',     \
	     .meta = "LINE", .whole = true},                                                                 \
	    {"keep-alive", SD_OPT_BOOL, "true", "use connections again"},                                    \
	    {"unix", SD_OPT_STRING, NULL, "connect to this UNIX socket", .meta = "PATH"},                    \
    {"insecure", SD_OPT_BOOL, "false", "https: whoever answers is believed"},                         \
    {"ca", SD_OPT_FILE, NULL, "https: PEM file with the CAs to trust; else those of the system"},     \
    {"cert", SD_OPT_FILE, NULL, "https: PEM file with a certificate of our own"},                     \
    {"key", SD_OPT_FILE, NULL, "https: its private key; else in the file of the certificate"},        \
	    {"timeout", SD_OPT_DURATION, "10s", "for an answer, from when the request left"},                \
	    {"warmup", SD_OPT_DURATION, "0s", "time at the start that is not counted"},                      \
	    {"quiet", SD_OPT_BOOL, "false", "no progress line", .letter = 'q'}

#define OPTIONS_OF_REPORT                                                                                    \
	{"tally", SD_OPT_BOOL, "false", "count answers by the first line of their body"},                    \
	    {"json", SD_OPT_STRING, NULL, "write the result as JSON; - for standard output",                 \
	     .meta = "FILE"},                                                                                \
	    {"csv", SD_OPT_STRING, NULL, "write it as CSV", .meta = "FILE"},                                 \
	    {"html", SD_OPT_STRING, NULL, "write a page with plots", .meta = "FILE"},                        \
	    {"hdr", SD_OPT_STRING, NULL, "write a histogram log", .meta = "FILE"},                           \
	    {"fail-if", SD_OPT_LIST, NULL,                                                                   \
	     "exit with 1 when this holds: p99>50ms, errors>0.1%, rate<1000/s", .meta = "RULE"},             \
	    {"strict", SD_OPT_BOOL, "false", "exit with 1 when the generator was the limit"}

#define OPTIONS_OF_CURVE                                                                                     \
	{"json", SD_OPT_STRING, NULL, "write the points as JSON; - for standard output", .meta = "FILE"},    \
	    {"html", SD_OPT_STRING, NULL, "write a page with plots", .meta = "FILE"}

const struct sd_option load_run_options[] = {
    OPTION_CONNS,
    OPTIONS_OF_AMOUNT("how long; 10s when there is no --requests"),
    {"rate", SD_OPT_RATE, NULL,
     "requests a second, on schedule (open loop); without it each connection asks again when it was answered (closed loop)",
     .letter = 'r'},
    OPTION_ARRIVALS,
    OPTIONS_OF_REQUEST,
    OPTION_PIPELINE,
    OPTIONS_OF_TARGET,
    OPTIONS_OF_REPORT,
    {0},
};

static const struct sd_option replay_options[] = {
    {"speed", SD_OPT_NUMBER, "1", "how many times faster than recorded", .letter = 's', .max = 1000000},
    OPTION_CONNS,
    OPTIONS_OF_TARGET,
    OPTIONS_OF_REPORT,
    {0},
};

static const struct sd_option sweep_options[] = {
    {"conns", SD_OPT_LIST, "1,10,50,100", "numbers of connections to try, rising", .letter = 'c', .meta = "N"},
    OPTIONS_OF_AMOUNT("how long each; 3s when there is no --requests"),
    OPTIONS_OF_REQUEST,
    OPTION_PIPELINE,
    OPTIONS_OF_TARGET,
    OPTIONS_OF_CURVE,
    {0},
};

static const struct sd_option ramp_options[] = {
    {"from", SD_OPT_RATE, "100/s", "the first rate"},
    {"to", SD_OPT_RATE, "10000/s", "the last"},
    {"points", SD_OPT_INT, "8", "how many rates, spaced evenly in ratio", .min = 2, .max = LOAD_MAX_POINTS},
    OPTION_CONNS,
    OPTIONS_OF_AMOUNT("how long each; 3s when there is no --requests"),
    OPTION_ARRIVALS,
    OPTIONS_OF_REQUEST,
    OPTIONS_OF_TARGET,
    OPTIONS_OF_CURVE,
    {0},
};

int load_fail(const struct sd_verb_call *call, const char *verb, const struct sd_error *e)
{
	fprintf(call->err, "sdlab load%s%s: %s\n", *verb ? " " : "", verb, e->text);
	return e->code == SD_EUSAGE ? 2 : 1;
}

/* ---- one run ---- */

static void show_progress(void *arg, const struct load_plan *plan, uint64_t answers, uint64_t errors, int64_t elapsed_ns,
			  const struct load_second *seconds, size_t nseconds)
{
	FILE *err = arg;
	fputs("\r\033[K", err);
	load_text_progress(err, plan, answers, errors, elapsed_ns, seconds, nseconds);
	fflush(err);
}

/* Runs a plan with the progress line of a terminal. */
enum sd_err load_run_shown(struct sd_verb_call *call, const struct load_plan *plan, struct load_result **r,
			     struct sd_error *e)
{
	bool show = sd_world_is_terminal(call->world, 2) && !sd_conf_bool(call->conf, "quiet");
	struct load_progress progress = {show_progress, call->err};
	enum sd_err err = load_run(call->world, plan, show ? &progress : NULL, r, e);
	if (show)
		fputs("\r\033[K", call->err);
	return err;
}

typedef void export_fn(FILE *out, const struct load_plan *plan, const struct load_result *r);

static void export_hdr(FILE *out, const struct load_plan *plan, const struct load_result *r)
{
	(void)plan;
	load_export_hdr(out, r);
}

static const struct {
	const char *option;
	export_fn *fn;
} exports[] = {
    {"json", load_export_json},
    {"csv", load_export_csv},
    {"html", load_export_html},
    {"hdr", export_hdr},
};
#define NEXPORTS (sizeof(exports) / sizeof(exports[0]))

static bool to_stdout(const struct sd_conf *conf)
{
	for (size_t i = 0; i < NEXPORTS; i++) {
		const char *file = sd_conf_string(conf, exports[i].option);
		if (file && strcmp(file, "-") == 0)
			return true;
	}
	return false;
}

enum sd_err load_put_file(struct sd_verb_call *call, const char *file, const char *text, size_t n, struct sd_error *e)
{
	if (strcmp(file, "-") != 0)
		return sd_world_write_file(call->world, file, text, n, e);
	fwrite(text, 1, n, call->out);
	return SD_OK;
}

enum sd_err load_can_put(struct sd_verb_call *call, const char *option, struct sd_error *e)
{
	const char *file = sd_conf_string(call->conf, option);
	const char *slash = file ? strrchr(file, '/') : NULL;
	unsigned mode;
	if (!file || strcmp(file, "-") == 0 || sd_world_file_mode(call->world, file, &mode))
		return SD_OK;
	char *dir = slash ? strndup(file, slash == file ? 1 : (size_t)(slash - file)) : strdup(".");
	enum sd_err err = dir ? sd_machine_can_write(call->world, dir, e) : sd_fail(e, SD_ENOMEM, "out of memory");
	free(dir);
	if (err)
		sd_wrap(e, "--%s", option);
	return err;
}

static enum sd_err write_export(struct sd_verb_call *call, size_t i, const struct load_plan *plan,
				const struct load_result *r, struct sd_error *e)
{
	const char *file = sd_conf_string(call->conf, exports[i].option);
	char *text = NULL;
	size_t n = 0;
	if (!file)
		return SD_OK;
	FILE *out = open_memstream(&text, &n);
	if (!out)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	exports[i].fn(out, plan, r);
	enum sd_err err = fclose(out) == 0 ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
	if (!err)
		err = load_put_file(call, file, text, n, e);
	free(text);
	return err;
}

static int judge(struct sd_verb_call *call, const struct load_result *r)
{
	int status = r->interrupted || r->answers == 0 ? 1 : 0;
	for (size_t i = 0; i < sd_conf_count(call->conf, "fail-if"); i++) {
		const char *rule = sd_conf_list_item(call->conf, "fail-if", i);
		char text[160];
		if (load_rule_fails(rule, r, text, sizeof(text))) {
			fprintf(call->err, "sdlab load: failed by %s: %s\n", rule, text);
			status = 1;
		}
	}
	if (r->limited && sd_conf_bool(call->conf, "strict")) {
		fprintf(call->err, "sdlab load: generator-limited: %s\n", r->limited);
		status = 1;
	}
	return status;
}

static int report(struct sd_verb_call *call, const struct load_plan *plan, const struct load_result *r)
{
	struct sd_error e = {0};
	if (!to_stdout(call->conf))
		load_text_summary(call->out, plan, r, sd_world_is_terminal(call->world, 1));
	fflush(call->out);
	for (size_t i = 0; i < NEXPORTS; i++)
		if (write_export(call, i, plan, r, &e))
			return load_fail(call, "", &e);
	return judge(call, r);
}

static enum sd_err check_rules(const struct sd_conf *conf, struct sd_error *e)
{
	for (size_t i = 0; i < sd_conf_count(conf, "fail-if"); i++) {
		enum sd_err err = load_rule_check(sd_conf_list_item(conf, "fail-if", i), e);
		if (err) {
			sd_wrap(e, "--fail-if");
			e->code = SD_EUSAGE;
			return SD_EUSAGE;
		}
	}
	return SD_OK;
}

static enum sd_err check_files(struct sd_verb_call *call, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	for (size_t i = 0; i < NEXPORTS && !err; i++)
		err = load_can_put(call, exports[i].option, e);
	return err;
}

static enum sd_err plan_load(struct sd_verb_call *call, struct load_plan *plan, struct sd_error *e)
{
	return load_plan_make(call->world, call->conf, call->args[0], plan, e);
}

static enum sd_err plan_replay(struct sd_verb_call *call, struct load_plan *plan, struct sd_error *e)
{
	return load_replay_make(call->world, call->conf, call->args[0], call->args[1], plan, e);
}

static int run_one(struct sd_verb_call *call, const char *verb,
		   enum sd_err (*make)(struct sd_verb_call *call, struct load_plan *plan, struct sd_error *e))
{
	struct sd_error e = {0};
	struct load_plan plan;
	struct load_result *r;
	sd_world_raise_files(call->world);
	if (check_rules(call->conf, &e) || check_files(call, &e) || make(call, &plan, &e))
		return load_fail(call, verb, &e);
	plan.tally = sd_conf_bool(call->conf, "tally");
	int status = load_run_shown(call, &plan, &r, &e) ? load_fail(call, verb, &e) : report(call, &plan, r);
	if (!e.code)
		load_result_free(r);
	load_plan_free(&plan);
	return status;
}

static int run_load(struct sd_verb_call *call)
{
	return run_one(call, "", plan_load);
}

static int run_replay(struct sd_verb_call *call)
{
	return run_one(call, "replay", plan_replay);
}

/* ---- compare ---- */

static int run_compare(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	char *text[2] = {NULL, NULL};
	size_t n;
	int status = 1;
	for (int i = 0; i < 2 && !e.code; i++)
		sd_world_read_file(call->world, call->args[i], 64 << 20, &text[i], &n, &e);
	if (e.code)
		status = load_fail(call, "compare", &e);
	else
		status = load_compare(call->out, call->err, text[0], text[1], call->args[0], call->args[1]);
	free(text[0]);
	free(text[1]);
	return status;
}

static const struct sd_verb verbs[] = {
    {"", "URL", "send requests to URL and report", load_run_options, 1, 1, run_load},
    {"replay", "ACCESS.json URL", "send a recorded access log again, at its own pace or faster", replay_options, 2, 2,
     run_replay},
    {"sweep", "URL", "the same at several numbers of connections: finds the knee", sweep_options, 1, 1, load_sweep},
    {"ramp", "URL", "the same at rising rates: finds where they are no longer met", ramp_options, 1, 1, load_ramp},
    {"compare", "A.json B.json", "do two results differ, and by how much?", NULL, 2, 2, run_compare},
    {0},
};

static const struct sd_alias aliases[] = {{"load-test", ""}, {0}};

static const struct sd_manner manners[] = {
    {"ab", "flags and report of ApacheBench", load_as_ab},
    {"wrk", "flags and report of wrk, and --rate of wrk2", load_as_wrk},
    {"hey", "flags and report of hey", load_as_hey},
    {0},
};

const struct sd_applet sd_applet_load = {
    .name = "load",
    .summary = "a load generator that cannot lie",
    .description = "Sends HTTP requests, commands to a cache, or messages to a broker, and reports what came of them. With --rate requests leave on schedule and their "
		   "time counts from the moment they were due, which is what users of a slow server see; without it every "
		   "connection waits for its answer before it asks again, and the report says so.",
    .examples = "sdlab load http://127.0.0.1:8080/ -c 50 -d 10s\n"
		"sdlab load http://127.0.0.1:8080/ -r 2000/s -d 30s --fail-if 'p99>50ms'\n"
		"sdlab load redis://127.0.0.1:7001 -c 50 --pipeline 16 --command 'INCR counter:{{key}}'\n"
		"sdlab load amqp://127.0.0.1:5672 -r 2000/s --pipeline 100 --measure delivery --size 1KiB\n"
		"sdlab load sweep http://127.0.0.1:8080/ --conns 1,10,50,100\n"
		"sdlab load replay access.json http://127.0.0.1:8080 --speed 2\n"
		"sdlab load ramp http://127.0.0.1:8080/ --from 100/s --to 20000/s",
    .next = "man sdlab-load",
    .aliases = aliases,
    .manners = manners,
    .verbs = verbs,
};
