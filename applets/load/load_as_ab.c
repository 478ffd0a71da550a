/* load_as_ab.c - flags and report of ApacheBench 2.3. As with ab, one thread sends HTTP/1.0, a connection a request unless
 * -k is given, and the first request that fails ends the run unless -r is.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/time_text.h"
#include "load_as.h"
#include "world/world.h"

#define TIMED_REQUESTS 50000
#define MAX_ROWS       10000000
#define MANY           150 /* requests, from which on progress is told */
#define TLS            "TLS is not in yet"
#define TABLES         "use sdlab load --html FILE for a page"

static enum sd_err take_time_limit(struct load_as *as, const struct load_flag *f, const char *value, struct sd_error *e)
{
	as->requests = TIMED_REQUESTS; /* a -n behind it still counts */
	return load_take_time(as, f, value, e);
}

static const struct load_flag flags[] = {
    {'n', NULL, "N", load_take_count, "requests in all (1)", NULL, LOAD_AT(requests)},
    {'c', NULL, "N", load_take_count, "requests at a time (1)", NULL, LOAD_AT(conns)},
    {'t', NULL, "SECONDS", take_time_limit, "the longest it may take; means -n 50000", NULL, LOAD_AT(duration_ns)},
    {'s', NULL, "SECONDS", load_take_time, "the longest to wait for an answer (30)", NULL, LOAD_AT(timeout_ns)},
    {'k', NULL, NULL, load_take_true, "keep connections", NULL, LOAD_AT(keep_alive)},
    {'m', NULL, "METHOD", load_take_text, "such as DELETE", NULL, LOAD_AT(method)},
    {'i', NULL, NULL, load_take_method, "HEAD instead of GET", "HEAD", 0},
    {'p', NULL, "FILE", load_take_body, "POST what is in this file", "POST", 0},
    {'u', NULL, "FILE", load_take_body, "PUT what is in this file", "PUT", 0},
    {'T', NULL, "TYPE", load_take_text, "of what is sent (text/plain)", NULL, LOAD_AT(content_type)},
    {'H', NULL, "LINE", load_take_header, "a header line, such as \"Accept-Encoding: gzip\"; repeatable", NULL, 0},
    {'C', NULL, "NAME=VALUE", load_take_header, "a cookie; repeatable", "Cookie: ", 0},
    {'A', NULL, "USER:PASSWORD", load_take_auth, "basic authentication", NULL, 0},
    {'l', NULL, NULL, load_take_true, "answers may differ in length", NULL, LOAD_AT(any_length)},
    {'r', NULL, NULL, load_take_true, "go on when a request fails", NULL, LOAD_AT(lenient)},
    {'d', NULL, NULL, load_take_true, "no table of percentages", NULL, LOAD_AT(no_percentiles)},
    {'S', NULL, NULL, load_take_true, "no median and deviation", NULL, LOAD_AT(no_deviation)},
    {'q', NULL, NULL, load_take_true, "no progress with more than 150 requests", NULL, LOAD_AT(quiet)},
    {'e', NULL, "FILE", load_take_text, "write percentages as CSV", NULL, LOAD_AT(csv)},
    {'g', NULL, "FILE", load_take_text, "write a line for each request, for gnuplot", NULL, LOAD_AT(gnuplot)},
    {'v', NULL, "LEVEL", load_take_nothing, "accepted", NULL, 0},
    {'V', NULL, NULL, load_take_true, "print the version", NULL, LOAD_AT(version)},
    {'h', NULL, NULL, load_take_true, "print this", NULL, LOAD_AT(help)},
    {'w', NULL, NULL, load_take_refuse, NULL, TABLES, 0},
    {'x', NULL, "ATTRIBUTES", load_take_refuse, NULL, TABLES, 0},
    {'y', NULL, "ATTRIBUTES", load_take_refuse, NULL, TABLES, 0},
    {'z', NULL, "ATTRIBUTES", load_take_refuse, NULL, TABLES, 0},
    {'X', NULL, "PROXY:PORT", load_take_refuse, NULL, "give the proxy as the URL, and -H 'Host: ...'", 0},
    {'P', NULL, "USER:PASSWORD", load_take_refuse, NULL, "there is no -X; use -H 'Proxy-Authorization: ...'", 0},
    {'b', NULL, "BYTES", load_take_refuse, NULL, "socket buffers are the system's", 0},
    {'B', NULL, "ADDRESS", load_take_refuse, NULL, "the local address is the system's choice", 0},
    {'I', NULL, NULL, load_take_refuse, NULL, TLS, 0},
    {'Z', NULL, "CIPHERS", load_take_refuse, NULL, TLS, 0},
    {'f', NULL, "PROTOCOL", load_take_refuse, NULL, TLS, 0},
    {'E', NULL, "FILE", load_take_refuse, NULL, TLS, 0},
    {0},
};

static enum sd_err check(struct load_as *as, struct sd_error *e)
{
	if (as->conns > as->requests)
		return sd_fail(e, SD_EUSAGE, "-c %" PRId64 " is greater than the number of requests, -n %" PRId64, as->conns,
			       as->requests);
	if (as->timeout_ns == 0)
		return sd_fail(e, SD_EUSAGE, "-s: expected more than 0");
	if (as->body_file && !as->content_type)
		as->content_type = "text/plain";
	as->no_keep_alive = !as->keep_alive;
	enum sd_err err = load_as_add(as, e, "--header=Accept: */*");
	if (err == SD_OK && as->keep_alive)
		err = load_as_add(as, e, "--header=Connection: Keep-Alive");
	return err;
}

/* To an HTTP/1.1 request a server may answer in chunks, or with other fields: other lengths than ab would report. */
static void speak_http10(struct load_plan *plan)
{
	for (size_t i = 0; i < plan->nrequests; i++) {
		struct load_request *r = &plan->requests[i];
		char *end = memmem(r->bytes, r->n, "HTTP/1.1\r\n", 10);
		if (end)
			end[7] = '0';
	}
}

static void adjust(struct load_as *as, struct load_plan *plan)
{
	speak_http10(plan);
	plan->detail = true;
	plan->max_rows = as->gnuplot ? MAX_ROWS : 0;
	plan->patience = as->lenient ? LOAD_NEEDS_ONE : LOAD_STOPS_AT_ONE;
}

/* ---- before and while it runs ---- */

struct target {
	int host_n;
	const char *host, *port, *path;
	int port_n, path_n;
};

static struct target target_of(const char *url)
{
	const char *host = strncasecmp(url, "http://", 7) == 0 ? url + 7 : url;
	int n = (int)strcspn(host, "/?#");
	const char *bracket = memchr(host, ']', (size_t)n), *colon = memrchr(host, ':', (size_t)n);
	struct target t = {n, host, "80", "/", 2, 1};
	if (colon && (!bracket || colon > bracket)) {
		t.host_n = (int)(colon - host);
		t.port = colon + 1;
		t.port_n = (int)(host + n - t.port);
	}
	if (host[n] == '/') {
		t.path = host + n;
		t.path_n = (int)strcspn(t.path, "#");
	}
	return t;
}

static bool tells_progress(const struct load_as *as)
{
	return !as->quiet && as->requests > MANY;
}

static void begin(struct load_as *as, const struct load_plan *plan)
{
	struct target t = target_of(plan->url);
	fprintf(as->call->out, "This is sdlab load in the manner of ApacheBench 2.3\n\nBenchmarking %.*s (be patient)%s", t.host_n,
		t.host, tells_progress(as) ? "\n" : "...");
}

/* A line for each tenth of all. */
static void tell_marks(struct load_as *as, const struct load_plan *plan, uint64_t done)
{
	uint64_t step = plan->max_requests / 10 < 100 ? 100 : plan->max_requests / 10;
	if (!tells_progress(as))
		return;
	for (as->next_mark += as->next_mark ? 0 : step; done >= as->next_mark; as->next_mark += step)
		fprintf(as->call->err, "Completed %" PRIu64 " requests\n", as->next_mark);
}

static void progress(void *arg, const struct load_plan *plan, uint64_t answers, uint64_t errors, int64_t elapsed_ns,
		     const struct load_second *seconds, size_t nseconds)
{
	(void)elapsed_ns;
	(void)seconds;
	(void)nseconds;
	tell_marks(arg, plan, answers + errors);
}

/* ---- the report ---- */

struct amounts {
	FILE *out;
	const struct load_as *as;
	const struct load_plan *plan;
	const struct load_result *r;
	double seconds;
	uint64_t done, connect, receive, length, exceptions;
};

static struct amounts amounts_of(const struct load_as *as, const struct load_plan *plan, const struct load_result *r)
{
	const uint64_t *e = r->errors;
	struct amounts a = {as->call->out, as, plan, r, .seconds = (double)r->elapsed_ns / 1e9};
	a.connect = e[LOAD_REFUSED] + e[LOAD_PORTS];
	a.receive = e[LOAD_RESET] + e[LOAD_SHORT];
	a.length = as->any_length ? 0 : r->detail->other_lengths;
	a.exceptions = load_total_errors(r) - a.connect - a.receive;
	a.done = r->answers + load_total_errors(r);
	return a;
}

static void put_target(const struct amounts *a)
{
	struct target t = target_of(a->plan->url);
	fprintf(a->out, "Server Software:        %s\n", a->r->detail->server);
	fprintf(a->out, "Server Hostname:        %.*s\n", t.host_n, t.host);
	fprintf(a->out, "Server Port:            %.*s\n\n", t.port_n, t.port);
	fprintf(a->out, "Document Path:          %.*s\n", t.path_n, t.path);
	if (a->as->any_length)
		fputs("Document Length:        Variable\n\n", a->out);
	else
		fprintf(a->out, "Document Length:        %" PRIu64 " bytes\n\n", a->r->detail->first_length);
}

static uint64_t not_2xx(const struct load_result *r)
{
	uint64_t n = r->answers;
	for (int s = 200; s < 300; s++)
		n -= r->status[s];
	return n;
}

static void put_counts(const struct amounts *a)
{
	uint64_t failed = a->connect + a->receive + a->length + a->exceptions, odd = not_2xx(a->r);
	fprintf(a->out, "Concurrency Level:      %u\n", a->plan->conns);
	fprintf(a->out, "Time taken for tests:   %.3f seconds\n", a->seconds);
	fprintf(a->out, "Complete requests:      %" PRIu64 "\n", a->done);
	fprintf(a->out, "Failed requests:        %" PRIu64 "\n", failed);
	if (failed)
		fprintf(a->out,
			"   (Connect: %" PRIu64 ", Receive: %" PRIu64 ", Length: %" PRIu64 ", Exceptions: %" PRIu64 ")\n",
			a->connect, a->receive, a->length, a->exceptions);
	if (odd)
		fprintf(a->out, "Non-2xx responses:      %" PRIu64 "\n", odd);
	if (a->plan->keep_alive)
		fprintf(a->out, "Keep-Alive requests:    %" PRIu64 "\n", a->r->detail->kept);
}

static bool sends_body(const struct amounts *a)
{
	return a->as->body_file;
}

static void put_bytes(const struct amounts *a)
{
	fprintf(a->out, "Total transferred:      %" PRIu64 " bytes\n", a->r->bytes_in);
	if (sends_body(a))
		fprintf(a->out, "Total body sent:        %" PRIu64 "\n", a->r->bytes_out);
	fprintf(a->out, "HTML transferred:       %" PRIu64 " bytes\n", a->r->detail->body_bytes);
}

static void put_rates(const struct amounts *a)
{
	double in = (double)a->r->bytes_in / 1024 / a->seconds, sent = (double)a->r->bytes_out / 1024 / a->seconds;
	double each = a->seconds * 1000 / (double)a->done;
	if (a->done == 0)
		return;
	fprintf(a->out, "Requests per second:    %.2f [#/sec] (mean)\n", (double)a->done / a->seconds);
	fprintf(a->out, "Time per request:       %.3f [ms] (mean)\n", each * a->plan->conns);
	fprintf(a->out, "Time per request:       %.3f [ms] (mean, across all concurrent requests)\n", each);
	fprintf(a->out, "Transfer rate:          %.2f [Kbytes/sec] received\n", in);
	if (sends_body(a))
		fprintf(a->out, "                        %.2f kb/s sent\n                        %.2f kb/s total\n", sent, in + sent);
}

static int64_t ms(double ns)
{
	return (int64_t)(ns / 1e6 + 0.5);
}

static void put_time(const struct amounts *a, const char *name, const struct sd_hdr *h)
{
	int64_t least = ms((double)sd_hdr_min(h)), mean = ms(sd_hdr_mean(h)), most = ms((double)sd_hdr_max(h));
	if (a->as->no_deviation)
		fprintf(a->out, "%-12s%5" PRId64 " %5" PRId64 "%5" PRId64 "\n", name, least, mean, most);
	else
		fprintf(a->out, "%-12s%5" PRId64 " %4" PRId64 " %5.1f %6" PRId64 " %7" PRId64 "\n", name, least, mean,
			sd_hdr_stddev(h) / 1e6, ms((double)sd_hdr_percentile(h, 50)), most);
}

static void put_times(const struct amounts *a)
{
	const struct load_detail *d = a->r->detail;
	fputs("\nConnection Times (ms)\n", a->out);
	fputs(a->as->no_deviation ? "              min   avg   max\n" : "              min  mean[+/-sd] median   max\n", a->out);
	put_time(a, "Connect:", d->connect);
	put_time(a, "Processing:", d->processing);
	put_time(a, "Waiting:", d->waiting);
	put_time(a, "Total:", d->total);
}

static void put_percentages(const struct amounts *a)
{
	static const int percentages[] = {50, 66, 75, 80, 90, 95, 98, 99};
	const struct sd_hdr *h = a->r->detail->total;
	fputs("\nPercentage of the requests served within a certain time (ms)\n", a->out);
	for (size_t i = 0; i < sizeof(percentages) / sizeof(percentages[0]); i++)
		fprintf(a->out, "  %d%%  %5" PRId64 "\n", percentages[i], ms((double)sd_hdr_percentile(h, percentages[i])));
	fprintf(a->out, " 100%%  %5" PRId64 " (longest request)\n", ms((double)sd_hdr_max(h)));
}

/* ---- files ---- */

static void write_csv(FILE *out, const struct load_detail *d)
{
	fputs("Percentage served,Time in ms\n", out);
	for (int i = 0; i <= 100; i++)
		fprintf(out, "%d,%.3f\n", i, (double)(i ? sd_hdr_percentile(d->total, i) : sd_hdr_min(d->total)) / 1e6);
}

static int by_time(const void *a, const void *b)
{
	const struct load_row *x = a, *y = b;
	return (x->total_ns > y->total_ns) - (x->total_ns < y->total_ns);
}

static void write_gnuplot(FILE *out, const struct load_result *r)
{
	const struct load_detail *d = r->detail;
	char text[SD_TIME_TEXT];
	if (d->nrows)
		qsort(d->rows, d->nrows, sizeof(*d->rows), by_time);
	fputs("starttime\tseconds\tctime\tdtime\tttime\twait\n", out);
	for (size_t i = 0; i < d->nrows; i++) {
		const struct load_row *row = &d->rows[i];
		int64_t began = r->started_wall_ns + row->offset_ns;
		sd_time_text(text, began);
		fprintf(out, "%s\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\t%" PRId64 "\n", text, began / 1000000000,
			ms((double)row->connect_ns), ms((double)(row->total_ns - row->connect_ns)), ms((double)row->total_ns),
			ms((double)row->wait_ns));
	}
}

static int write_file(const struct load_as *as, const char *name, const struct load_result *r)
{
	struct sd_error e = {0};
	char *text = NULL;
	size_t n = 0;
	FILE *out = name ? open_memstream(&text, &n) : NULL;
	if (!name)
		return 0;
	if (out && name == as->csv)
		write_csv(out, r->detail);
	else if (out)
		write_gnuplot(out, r);
	enum sd_err err = out && fclose(out) == 0 ? sd_world_write_file(as->call->world, name, text, n, &e)
						  : sd_fail(&e, SD_ENOMEM, "out of memory");
	free(text);
	if (err != SD_OK)
		fprintf(as->call->err, "ab: %s\n", e.text);
	return err != SD_OK;
}

/* ---- the whole ---- */

/* In the words that scripts look for. */
static int gave_up(const struct amounts *a)
{
	static const char *const words[LOAD_ERRORS] = {
	    [LOAD_REFUSED] = "apr_socket_connect(): Connection refused (111)",
	    [LOAD_RESET] = "apr_socket_recv: Connection reset by peer (104)",
	    [LOAD_TIMEOUT] = "apr_pollset_poll: The timeout specified has expired (70007)",
	};
	fputc('\n', a->out);
	fflush(a->out);
	for (int i = 0; i < LOAD_ERRORS; i++)
		if (a->r->errors[i])
			fprintf(a->as->call->err, "ab: %s\n", words[i] ? words[i] : load_error_texts[i]);
	if (a->r->answers)
		fprintf(a->out, "Total of %" PRIu64 " requests completed\n", a->r->answers);
	return 1;
}

static int report(struct load_as *as, const struct load_plan *plan, const struct load_result *r)
{
	struct amounts a = amounts_of(as, plan, r);
	if (load_total_errors(r) && !r->interrupted && (!as->lenient || r->answers == 0))
		return gave_up(&a);
	tell_marks(as, plan, a.done);
	if (tells_progress(as))
		fprintf(as->call->err, "Finished %" PRIu64 " requests\n", a.done);
	fputs(tells_progress(as) ? "\n\n" : "..done\n\n\n", as->call->out);
	put_target(&a);
	put_counts(&a);
	put_bytes(&a);
	put_rates(&a);
	if (r->answers)
		put_times(&a);
	if (r->answers > 1 && !as->no_percentiles)
		put_percentages(&a);
	int status = write_file(as, as->csv, r) | write_file(as, as->gnuplot, r);
	return r->interrupted ? 1 : status;
}

static const struct load_manner ab = {
    .name = "ab",
    .usage = "ab [flags] [http://]HOST[:PORT]/PATH",
    .as = "ApacheBench 2.3",
    .style = LOAD_LETTERS,
    .flags = flags,
    .check = check,
    .adjust = adjust,
    .begin = begin,
    .progress = {progress, NULL},
    .report = report,
};

int load_as_ab(struct sd_verb_call *call)
{
	struct load_as as = {.call = call, .m = &ab, .requests = 1, .conns = 1, .threads = 1, .timeout_ns = 30000000000};
	return load_as_run(&as);
}
