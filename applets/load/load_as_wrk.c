/* load_as_wrk.c - flags and report of wrk 4, and the --rate of wrk2. */
#include <ctype.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "load_as.h"

#define TEXT 40

static const struct load_flag flags[] = {
    {'c', "connections", "N", load_take_count, "connections to keep open (10)", NULL, LOAD_AT(conns)},
    {'d', "duration", "TIME", load_take_time, "how long (10s)", NULL, LOAD_AT(duration_ns)},
    {'t', "threads", "N", load_take_count, "threads (2)", NULL, LOAD_AT(threads)},
    {'R', "rate", "N", load_take_rate, "requests a second, all together, on schedule, as wrk2 has it", NULL, LOAD_AT(rate)},
    {'H', "header", "LINE", load_take_header, "a header line; repeatable", NULL, 0},
    {'L', "latency", NULL, load_take_true, "print the distribution of latency", NULL, LOAD_AT(latency)},
    {0, "timeout", "TIME", load_take_time, "for an answer (2s)", NULL, LOAD_AT(timeout_ns)},
    {'v', "version", NULL, load_take_true, "print the version", NULL, LOAD_AT(version)},
    {'h', "help", NULL, load_take_true, "print this", NULL, LOAD_AT(help)},
    {'s', "script", "FILE", load_take_refuse, NULL,
     "there is no Lua; sdlab load --requests-file FILE sends a mix of requests, --method, --body and --header one", 0},
    {0},
};

static enum sd_err check(struct load_as *as, struct sd_error *e)
{
	if (as->conns < as->threads)
		return sd_fail(e, SD_EUSAGE, "number of connections must be >= threads");
	if (as->duration_ns == 0 || as->timeout_ns == 0)
		return sd_fail(e, SD_EUSAGE, "-d, --timeout: expected more than 0");
	return SD_OK;
}

static void adjust(struct load_as *as, struct load_plan *plan)
{
	(void)as;
	plan->detail = true;
	plan->patience = LOAD_NEEDS_ONE;
}

/* ---- amounts in wrk's units: a step up from 85 % of the next ---- */

struct units {
	double scale;
	const char *names[6];
};

static const struct units metric = {1000, {"", "k", "M", "G", "T", "P"}};
static const struct units binary = {1024, {"", "K", "M", "G", "T", "P"}};
static const struct units short_times = {1000, {"us", "ms", "s"}};
static const struct units long_times = {60, {"s", "m", "h"}};

static const char *scaled(double v, const struct units *u, int decimals, char out[TEXT])
{
	size_t i = 0;
	for (; i + 1 < sizeof(u->names) / sizeof(u->names[0]) && u->names[i + 1] && v >= u->scale * 0.85; i++)
		v /= u->scale;
	snprintf(out, TEXT, "%.*f%s", decimals, v, u->names[i]);
	return out;
}

static const char *time_text(double us, char out[TEXT])
{
	return us >= 1e6 ? scaled(us / 1e6, &long_times, 2, out) : scaled(us, &short_times, 2, out);
}

static const char *count_text(double v, char out[TEXT])
{
	return scaled(v, &metric, 2, out);
}

typedef const char *text_of(double v, char out[TEXT]);

/* Digits end in one column, and the unit takes what is left of `width` behind them. */
static void put_units(FILE *out, double v, text_of *fn, int width)
{
	char text[TEXT];
	size_t n = strlen(fn(v, text));
	int pad = 2 - (isalpha((unsigned char)text[n - 1]) != 0) - (n > 1 && isalpha((unsigned char)text[n - 2]) != 0);
	fprintf(out, "%*s%.*s", width - pad, text, pad, "  ");
}

/* ---- the report ---- */

static void begin(struct load_as *as, const struct load_plan *plan)
{
	char text[TEXT];
	fprintf(as->call->out, "Running %s test @ %s\n  %" PRId64 " threads and %u connections\n",
		scaled((double)plan->duration_ns / 1e9, &long_times, 0, text), plan->url, as->threads, plan->conns);
}

/* Per cent of all that are no further than a standard deviation from the mean. */
static double within_deviation(const struct sd_hdr *h)
{
	int64_t low = (int64_t)(sd_hdr_mean(h) - sd_hdr_stddev(h)), high = (int64_t)(sd_hdr_mean(h) + sd_hdr_stddev(h));
	int64_t below = low > 0 ? sd_hdr_count_at_or_below(h, low - 1) : 0;
	if (sd_hdr_count(h) == 0)
		return 0;
	return 100.0 * (double)(sd_hdr_count_at_or_below(h, high) - below) / (double)sd_hdr_count(h);
}

static void put_stats(FILE *out, const char *name, const struct sd_hdr *h, double unit, text_of *fn)
{
	fprintf(out, "    %-10s", name);
	put_units(out, sd_hdr_mean(h) / unit, fn, 8);
	put_units(out, sd_hdr_stddev(h) / unit, fn, 10);
	put_units(out, (double)sd_hdr_max(h) / unit, fn, 9);
	fprintf(out, "%8.2f%%\n", within_deviation(h));
}

static void put_distribution(FILE *out, const struct sd_hdr *h)
{
	static const int percentiles[] = {50, 75, 90, 99};
	fputs("  Latency Distribution\n", out);
	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]); i++) {
		fprintf(out, "%7d%%", percentiles[i]);
		put_units(out, (double)sd_hdr_percentile(h, percentiles[i]) / 1e3, time_text, 10);
		fputc('\n', out);
	}
}

static void put_errors(FILE *out, const struct load_result *r)
{
	uint64_t connect = r->errors[LOAD_REFUSED] + r->errors[LOAD_PORTS], timeout = r->errors[LOAD_TIMEOUT], bad = 0;
	uint64_t all = load_total_errors(r);
	if (all)
		fprintf(out, "  Socket errors: connect %" PRIu64 ", read %" PRIu64 ", write 0, timeout %" PRIu64 "\n", connect,
			all - connect - timeout, timeout);
	for (int s = 400; s < 600; s++)
		bad += r->status[s];
	if (bad)
		fprintf(out, "  Non-2xx or 3xx responses: %" PRIu64 "\n", bad);
}

static int report(struct load_as *as, const struct load_plan *plan, const struct load_result *r)
{
	FILE *out = as->call->out;
	const struct load_window *w = &r->window;
	char text[TEXT];
	(void)plan;
	if (r->answers == 0 && r->errors[LOAD_REFUSED] && !r->interrupted) {
		fprintf(as->call->err, "wrk: unable to connect to %s: Connection refused\n", as->url);
		return 1;
	}
	fputs("  Thread Stats   Avg      Stdev     Max   +/- Stdev\n", out);
	put_stats(out, "Latency", load_latency(r), 1e3, time_text);
	put_stats(out, "Req/Sec", r->detail->rates, 1, count_text);
	if (as->latency)
		put_distribution(out, load_latency(r));
	fprintf(out, "  %" PRIu64 " requests in %s, ", r->answers, time_text((double)w->ns / 1e3, text));
	fprintf(out, "%sB read\n", scaled((double)r->bytes_in, &binary, 2, text));
	put_errors(out, r);
	fprintf(out, "Requests/sec: %9.2f\n", w->rate);
	fprintf(out, "Transfer/sec: %10sB\n", scaled(w->rate_in, &binary, 2, text));
	return 0;
}

static const struct load_manner wrk = {
    .name = "wrk",
    .usage = "wrk [flags] http://HOST[:PORT]/PATH",
    .as = "wrk 4, with the --rate of wrk2",
    .style = LOAD_LONG,
    .flags = flags,
    .check = check,
    .adjust = adjust,
    .begin = begin,
    .report = report,
};

int load_as_wrk(struct sd_verb_call *call)
{
	struct load_as as = {.call = call,
			     .m = &wrk,
			     .conns = 10,
			     .threads = 2,
			     .duration_ns = 10000000000,
			     .timeout_ns = 2000000000};
	return load_as_run(&as);
}
