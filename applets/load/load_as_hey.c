/* load_as_hey.c - flags and report of hey 0.1. Names are looked up before anything is measured, and a write is not timed
 * apart from what follows it, so these two lines of its details are 0.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "load_as.h"

#define MAX_ROWS    1000000 /* as hey keeps */
#define BUCKETS     10
#define BAR         40
#define NO_LIMIT_NS 86400000000000

static const struct load_flag flags[] = {
    {0, "n", "N", load_take_count, "requests in all (200)", NULL, LOAD_AT(requests)},
    {0, "c", "N", load_take_count, "workers, each with a connection (50)", NULL, LOAD_AT(conns)},
    {0, "q", "N", load_take_rate, "requests a second of each worker, on schedule", NULL, LOAD_AT(worker_rate)},
    {0, "z", "TIME", load_take_time, "how long; -n does not count then", NULL, LOAD_AT(duration_ns)},
    {0, "o", "csv", load_take_text, "write a line for each request instead of the summary", NULL, LOAD_AT(output)},
    {0, "m", "METHOD", load_take_text, "GET, POST, PUT, DELETE, HEAD, OPTIONS", NULL, LOAD_AT(method)},
    {0, "H", "LINE", load_take_header, "a header line; repeatable", NULL, 0},
    {0, "t", "SECONDS", load_take_time, "for an answer (20); 0: any time", NULL, LOAD_AT(timeout_ns)},
    {0, "A", "TYPE", load_take_header, "what to accept", "Accept: ", 0},
    {0, "d", "TEXT", load_take_text, "what to send", NULL, LOAD_AT(body)},
    {0, "D", "FILE", load_take_text, "send what is in this file", NULL, LOAD_AT(body_file)},
    {0, "T", "TYPE", load_take_text, "of what is sent (text/html)", NULL, LOAD_AT(content_type)},
    {0, "U", "TEXT", load_take_header, "what to say as User-Agent", "User-Agent: ", 0},
    {0, "a", "USER:PASSWORD", load_take_auth, "basic authentication", NULL, 0},
    {0, "host", "HOST", load_take_header, "what to say as Host", "Host: ", 0},
    {0, "disable-keepalive", NULL, load_take_true, "a connection for each request", NULL, LOAD_AT(no_keep_alive)},
    {0, "disable-compression", NULL, load_take_nothing, "accepted: no compression is asked for", NULL, 0},
    {0, "disable-redirects", NULL, load_take_nothing, "accepted: redirects are not followed", NULL, 0},
    {0, "cpus", "N", load_take_count, "threads (1)", NULL, LOAD_AT(threads)},
    {0, "h", NULL, load_take_true, "print this", NULL, LOAD_AT(help)},
    {0, "h2", NULL, load_take_refuse, NULL, "HTTP/2 is not in yet", 0},
    {0, "x", "PROXY:PORT", load_take_refuse, NULL, "give the proxy as the URL, and -host HOST", 0},
    {0},
};

static enum sd_err check(struct load_as *as, struct sd_error *e)
{
	if (as->output && strcmp(as->output, "csv") != 0)
		return sd_fail(e, SD_EUSAGE, "-o: expected csv, found \"%.60s\"", as->output);
	if (as->body && *as->body == '@')
		return sd_fail(e, SD_EUSAGE, "-d: a body that begins with @ is not understood here; use -D FILE");
	if (as->duration_ns)
		as->requests = 0;
	else if (as->requests < as->conns)
		return sd_fail(e, SD_EUSAGE, "-n cannot be less than -c");
	as->requests -= as->requests % as->conns; /* every worker sends the same number */
	if (as->conns < as->threads)
		as->threads = as->conns;
	if (as->threads > LOAD_MAX_THREADS)
		as->threads = LOAD_MAX_THREADS;
	if (as->timeout_ns == 0)
		as->timeout_ns = NO_LIMIT_NS;
	if (!as->method)
		as->method = "GET";
	as->rate = as->worker_rate * (double)as->conns;
	return SD_OK;
}

static void adjust(struct load_as *as, struct load_plan *plan)
{
	plan->detail = true;
	plan->max_rows = as->output ? MAX_ROWS : 0;
}

/* ---- the summary ---- */

static double seconds(double ns)
{
	return ns / 1e9;
}

/* As Go writes it. */
static const char *mean_text(const struct sd_hdr *h, char out[32])
{
	if (sd_hdr_count(h) == 0)
		snprintf(out, 32, " NaN");
	else
		snprintf(out, 32, "%4.4f", seconds(sd_hdr_mean(h)));
	return out;
}

static void put_summary(FILE *out, const struct load_result *r)
{
	const struct load_detail *d = r->detail;
	uint64_t all = r->answers + load_total_errors(r);
	char text[32];
	fprintf(out, "\nSummary:\n  Total:\t%4.4f secs\n", seconds((double)r->elapsed_ns));
	fprintf(out, "  Slowest:\t%4.4f secs\n", seconds((double)sd_hdr_max(d->total)));
	fprintf(out, "  Fastest:\t%4.4f secs\n", seconds((double)sd_hdr_min(d->total)));
	fprintf(out, "  Average:\t%s secs\n", mean_text(d->total, text));
	fprintf(out, "  Requests/sec:\t%4.4f\n  \n", (double)all / seconds((double)r->elapsed_ns));
	if (d->body_bytes > 0)
		fprintf(out, "  Total data:\t%" PRIu64 " bytes\n  Size/request:\t%" PRIu64 " bytes\n", d->body_bytes,
			d->body_bytes / r->answers);
}

static void put_histogram(FILE *out, const struct sd_hdr *h)
{
	int64_t n[BUCKETS + 1], most = 1, below = 0;
	double low = (double)sd_hdr_min(h), step = ((double)sd_hdr_max(h) - low) / BUCKETS;
	fputs("\nResponse time histogram:\n", out);
	if (sd_hdr_count(h) == 0)
		return;
	for (int i = 0; i <= BUCKETS; i++) {
		int64_t upto = i == BUCKETS ? sd_hdr_count(h) : sd_hdr_count_at_or_below(h, (int64_t)(low + step * i));
		n[i] = upto - below;
		below = upto;
		most = n[i] > most ? n[i] : most;
	}
	for (int i = 0; i <= BUCKETS; i++) {
		fprintf(out, "  %4.3f [%" PRId64 "]\t|", seconds(low + step * i), n[i]);
		for (int64_t k = (n[i] * BAR + most / 2) / most; k > 0; k--)
			fputs("■", out);
		fputc('\n', out);
	}
}

static void put_percentiles(FILE *out, const struct sd_hdr *h)
{
	static const int percentiles[] = {10, 25, 50, 75, 90, 95, 99};
	fputs("\n\nLatency distribution:\n", out);
	for (size_t i = 0; i < sizeof(percentiles) / sizeof(percentiles[0]) && sd_hdr_count(h) > 0; i++)
		fprintf(out, "  %d%% in %4.4f secs\n", percentiles[i], seconds((double)sd_hdr_percentile(h, percentiles[i])));
}

static void put_detail(FILE *out, const char *name, const struct sd_hdr *h)
{
	char text[32];
	fprintf(out, "\n  %s:\t%s secs, %4.4f secs, %4.4f secs", name, mean_text(h, text), seconds((double)sd_hdr_min(h)),
		seconds((double)sd_hdr_max(h)));
}

static void put_details(FILE *out, const struct load_detail *d)
{
	static const char none[] = "0.0000 secs, 0.0000 secs, 0.0000 secs";
	fputs("\nDetails (average, fastest, slowest):", out);
	put_detail(out, "DNS+dialup", d->connect);
	fprintf(out, "\n  DNS-lookup:\t%s\n  req write:\t%s", none, none);
	put_detail(out, "resp wait", d->waiting);
	put_detail(out, "resp read", d->reading);
}

static void put_outcomes(FILE *out, const struct load_as *as, const struct load_result *r)
{
	fputs("\n\nStatus code distribution:\n", out);
	for (int s = 0; s < 600; s++)
		if (r->status[s])
			fprintf(out, "  [%d]\t%" PRIu64 " responses\n", s, r->status[s]);
	fputc('\n', out);
	if (load_total_errors(r))
		fputs("Error distribution:\n", out);
	else
		fputc('\n', out);
	for (int i = 0; i < LOAD_ERRORS; i++)
		if (r->errors[i])
			fprintf(out, "  [%" PRIu64 "]\t%s \"%s\": %s\n", r->errors[i], as->method, as->url, load_error_texts[i]);
	fputc('\n', out);
}

static void put_csv(FILE *out, const struct load_detail *d)
{
	fputs("response-time,DNS+dialup,DNS,Request-write,Response-delay,Response-read,status-code,offset\n", out);
	for (size_t i = 0; i < d->nrows; i++) {
		const struct load_row *row = &d->rows[i];
		fprintf(out, "%4.4f,%4.4f,0.0000,0.0000,%4.4f,%4.4f,%d,%4.4f\n", seconds((double)row->total_ns),
			seconds((double)row->connect_ns), seconds((double)row->wait_ns), seconds((double)row->read_ns), row->status,
			seconds((double)row->offset_ns));
	}
}

static int report(struct load_as *as, const struct load_plan *plan, const struct load_result *r)
{
	FILE *out = as->call->out;
	(void)plan;
	if (as->output) {
		put_csv(out, r->detail);
		return 0;
	}
	put_summary(out, r);
	put_histogram(out, r->detail->total);
	put_percentiles(out, r->detail->total);
	put_details(out, r->detail);
	put_outcomes(out, as, r);
	return 0;
}

static const struct load_manner hey = {
    .name = "hey",
    .usage = "hey [flags] http://HOST[:PORT]/PATH",
    .as = "hey 0.1",
    .style = LOAD_GO,
    .flags = flags,
    .check = check,
    .adjust = adjust,
    .report = report,
};

int load_as_hey(struct sd_verb_call *call)
{
	struct load_as as = {.call = call,
			     .m = &hey,
			     .requests = 200,
			     .conns = 50,
			     .threads = 1,
			     .timeout_ns = 20000000000,
			     .content_type = "text/html"};
	return load_as_run(&as);
}
