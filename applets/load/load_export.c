/* load_export.c - results for programs: JSON, CSV and the log of HdrHistogram. sdlab-load.json(5) describes the first
 * two; what is written there stays, new keys may come.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/time_text.h"
#include "load.h"
#include "load_curve.h"

#define FORMAT_VERSION 1
#define MAX_MIX        4096 /* a replay may have a million */

static const struct {
	const char *name;
	double percentile;
} percentiles[] = {
    {"p10", 10}, {"p25", 25}, {"p50", 50}, {"p75", 75},     {"p90", 90},
    {"p95", 95}, {"p99", 99}, {"p99.9", 99.9}, {"p99.99", 99.99},
};
#define NPERCENTILES (sizeof(percentiles) / sizeof(percentiles[0]))

static double ms_of(double ns)
{
	return (double)(int64_t)(ns + 0.5) / 1e6;
}

static double s_of(int64_t ns)
{
	return (double)ns / 1e9;
}

/* To three decimals, so that no digits are printed that say nothing. */
static double thousandths(double v)
{
	return v < 1e12 ? (double)(int64_t)(v * 1000 + 0.5) / 1000 : v;
}

/* ---- text that may hold any bytes ---- */

/* How many bytes of UTF-8 the character at p takes; 0: it is none (RFC 3629: no surrogates, nothing overlong). */
static size_t utf8_length(const unsigned char *p)
{
	static const struct {
		unsigned char first, last, from, to;
		size_t n;
	} forms[] = {
	    {0x01, 0x7f, 0, 0xff, 1},    {0xc2, 0xdf, 0x80, 0xbf, 2}, {0xe0, 0xe0, 0xa0, 0xbf, 3},
	    {0xe1, 0xec, 0x80, 0xbf, 3}, {0xed, 0xed, 0x80, 0x9f, 3}, {0xee, 0xef, 0x80, 0xbf, 3},
	    {0xf0, 0xf0, 0x90, 0xbf, 4}, {0xf1, 0xf3, 0x80, 0xbf, 4}, {0xf4, 0xf4, 0x80, 0x8f, 4},
	};
	for (size_t i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
		if (*p < forms[i].first || *p > forms[i].last)
			continue;
		bool good = forms[i].n == 1 || (p[1] >= forms[i].from && p[1] <= forms[i].to);
		for (size_t k = 2; good && k < forms[i].n; k++)
			good = p[k] >= 0x80 && p[k] <= 0xbf;
		return good ? forms[i].n : 0;
	}
	return 0;
}

/* JSON is UTF-8, a URL need not be: what is not becomes U+FFFD. */
static void add_text(cJSON *o, const char *key, const char *text)
{
	char *clean = NULL;
	size_t n;
	FILE *out = open_memstream(&clean, &n);
	for (const char *p = text; out && *p;) {
		size_t len = utf8_length((const unsigned char *)p);
		fwrite(len ? p : "\xef\xbf\xbd", 1, len ? len : 3, out);
		p += len ? len : 1;
	}
	if (out && fclose(out) == 0)
		cJSON_AddStringToObject(o, key, clean);
	free(clean);
}

/* ---- JSON ---- */

static void add_count(cJSON *o, const char *key, uint64_t n)
{
	char text[24];
	snprintf(text, sizeof(text), "%" PRIu64, n); /* a double would round large ones */
	cJSON_AddRawToObject(o, key, text);
}

/* null when there is none to give. */
static void add_limit(cJSON *o, const char *key, double v)
{
	cJSON_AddItemToObject(o, key, v > 0 ? cJSON_CreateNumber(v) : cJSON_CreateNull());
}

static void add_distribution(cJSON *o, const char *key, const struct sd_hdr *h)
{
	if (!h || sd_hdr_count(h) == 0) {
		cJSON_AddNullToObject(o, key);
		return;
	}
	cJSON *d = cJSON_AddObjectToObject(o, key);
	add_count(d, "count", (uint64_t)sd_hdr_count(h));
	cJSON_AddNumberToObject(d, "min", ms_of((double)sd_hdr_min(h)));
	cJSON_AddNumberToObject(d, "mean", ms_of(sd_hdr_mean(h)));
	cJSON_AddNumberToObject(d, "stddev", ms_of(sd_hdr_stddev(h)));
	cJSON_AddNumberToObject(d, "max", ms_of((double)sd_hdr_max(h)));
	cJSON *p = cJSON_AddObjectToObject(d, "percentiles");
	for (size_t i = 0; i < NPERCENTILES; i++)
		cJSON_AddNumberToObject(p, percentiles[i].name,
					ms_of((double)sd_hdr_percentile(h, percentiles[i].percentile)));
}

static void add_replay(cJSON *o, const struct load_plan *plan)
{
	if (!plan->schedule) {
		cJSON_AddNullToObject(o, "replay");
		return;
	}
	cJSON *r = cJSON_AddObjectToObject(o, "replay");
	add_text(r, "file", plan->log);
	cJSON_AddNumberToObject(r, "speed", plan->speed);
	cJSON_AddNumberToObject(r, "span_s", s_of(plan->schedule[plan->nschedule - 1].offset_ns));
	add_count(r, "kinds", plan->nrequests);
}

static void add_plan(cJSON *root, const struct load_plan *plan)
{
	cJSON *o = cJSON_AddObjectToObject(root, "plan");
	cJSON_AddNumberToObject(o, "connections", plan->conns);
	cJSON_AddNumberToObject(o, "threads", plan->threads);
	cJSON_AddNumberToObject(o, "pipeline", plan->pipeline);
	cJSON_AddBoolToObject(o, "keep_alive", plan->keep_alive);
	add_limit(o, "rate", plan->rate);
	cJSON_AddItemToObject(o, "arrivals",
			      !load_plan_open(plan) ? cJSON_CreateNull()
						    : cJSON_CreateString(plan->schedule  ? "recorded"
									 : plan->poisson ? "poisson"
											 : "constant"));
	add_limit(o, "requests", (double)plan->max_requests);
	add_limit(o, "duration_s", s_of(plan->duration_ns));
	cJSON_AddNumberToObject(o, "warmup_s", s_of(plan->warmup_ns));
	cJSON_AddNumberToObject(o, "timeout_s", s_of(plan->timeout_ns));
	add_count(o, "seed", plan->seed);
	add_replay(o, plan);
	cJSON *mix = cJSON_AddArrayToObject(o, "mix");
	for (size_t i = 0; i < plan->nrequests && i < MAX_MIX; i++) {
		cJSON *row = cJSON_CreateObject();
		add_text(row, "name", plan->requests[i].name);
		cJSON_AddNumberToObject(row, "weight", plan->requests[i].weight);
		cJSON_AddItemToArray(mix, row);
	}
}

static void add_summary(cJSON *root, const struct load_result *r)
{
	uint64_t failed = load_total_errors(r), all = r->answers + failed;
	cJSON *o = cJSON_AddObjectToObject(root, "summary");
	cJSON_AddNumberToObject(o, "elapsed_s", s_of(r->elapsed_ns));
	add_count(o, "answers", r->answers);
	add_count(o, "errors", failed);
	cJSON_AddNumberToObject(o, "error_share", all ? (double)failed / (double)all : 0);
	cJSON_AddNumberToObject(o, "window_s", s_of(r->window.ns));
	add_count(o, "window_answers", r->window.answers);
	cJSON_AddNumberToObject(o, "rate", thousandths(r->window.rate));
	add_count(o, "sent", r->sent);
	add_count(o, "connects", r->connects);
	add_count(o, "bytes_in", r->bytes_in);
	add_count(o, "bytes_out", r->bytes_out);
	cJSON_AddNumberToObject(o, "bytes_in_per_s", thousandths(r->window.rate_in));
	cJSON_AddNumberToObject(o, "bytes_out_per_s", thousandths(r->window.rate_out));
	add_count(o, "warmup_answers", r->warmup_answers);
}

static void add_outcomes(cJSON *root, const struct load_result *r)
{
	char key[16];
	cJSON *o = cJSON_AddObjectToObject(root, "statuses");
	for (int s = 0; s < 600; s++) {
		if (r->status[s] == 0)
			continue;
		snprintf(key, sizeof(key), "%03d", s);
		add_count(o, key, r->status[s]);
	}
	o = cJSON_AddObjectToObject(root, "errors");
	for (int i = 0; i < LOAD_ERRORS; i++)
		add_count(o, load_error_names[i], r->errors[i]);
}

static void add_tally(cJSON *root, const char *key, const struct load_tally *t)
{
	if (!t) {
		cJSON_AddNullToObject(root, key);
		return;
	}
	cJSON *o = cJSON_AddObjectToObject(root, key), *list = cJSON_AddArrayToObject(o, "answers");
	for (size_t i = 0; i < t->n; i++) {
		cJSON *row = cJSON_CreateObject();
		add_text(row, "text", t->rows[i].text);
		add_count(row, "count", t->rows[i].count);
		cJSON_AddItemToArray(list, row);
	}
	add_count(o, "other", t->other);
}

static void add_seconds(cJSON *root, const struct load_result *r)
{
	cJSON *list = cJSON_AddArrayToObject(root, "seconds");
	for (size_t i = 0; i < r->nseconds; i++) {
		cJSON *o = cJSON_CreateObject();
		add_count(o, "second", i);
		add_count(o, "answers", r->seconds[i].answers);
		add_count(o, "errors", r->seconds[i].errors);
		cJSON_AddNumberToObject(o, "max", ms_of((double)r->seconds[i].max_ns));
		cJSON_AddItemToArray(list, o);
	}
}

static void add_generator(cJSON *root, const struct load_result *r)
{
	cJSON *o = cJSON_AddObjectToObject(root, "generator");
	cJSON_AddNumberToObject(o, "cpu", (double)(int64_t)(r->cpu * 10000 + 0.5) / 10000);
	add_count(o, "late", r->late);
	add_distribution(o, "lag", r->lag);
	cJSON_AddItemToObject(o, "limited", r->limited ? cJSON_CreateString(r->limited) : cJSON_CreateNull());
}

static void add_encoding(cJSON *o, const char *key, const struct sd_hdr *h)
{
	char *text = h ? sd_hdr_encode(h) : NULL;
	cJSON_AddItemToObject(o, key, text ? cJSON_CreateString(text) : cJSON_CreateNull());
	free(text);
}

static cJSON *result_json(const struct load_plan *plan, const struct load_result *r)
{
	char started[SD_TIME_TEXT];
	cJSON *root = cJSON_CreateObject(), *o;
	sd_time_text(started, r->started_wall_ns);
	cJSON_AddStringToObject(root, "format", "sdlab-load");
	cJSON_AddNumberToObject(root, "version", FORMAT_VERSION);
	add_text(root, "url", plan->url);
	cJSON_AddStringToObject(root, "started", started);
	cJSON_AddStringToObject(root, "loop", r->response ? "open" : "closed");
	cJSON_AddBoolToObject(root, "interrupted", r->interrupted);
	add_plan(root, plan);
	add_summary(root, r);
	o = cJSON_AddObjectToObject(root, "latency");
	add_distribution(o, "service", r->service);
	add_distribution(o, "response", r->response);
	add_distribution(o, "first_byte", r->first_byte);
	add_distribution(o, "connect", r->connect);
	add_outcomes(root, r);
	add_tally(root, "tally", r->tally);
	add_tally(root, "refusals", r->refusals);
	add_seconds(root, r);
	add_generator(root, r);
	o = cJSON_AddObjectToObject(root, "hdr");
	add_encoding(o, "service", r->service);
	add_encoding(o, "response", r->response);
	return root;
}

/* Frees it. */
static void print_json(FILE *out, cJSON *root)
{
	char *text = cJSON_Print(root);
	cJSON_Delete(root);
	if (text)
		fprintf(out, "%s\n", text);
	free(text);
}

void load_export_json(FILE *out, const struct load_plan *plan, const struct load_result *r)
{
	print_json(out, result_json(plan, r));
}

/* ---- JSON of a curve ---- */

static cJSON *point_json(const struct load_point *p)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddNumberToObject(o, "x", thousandths(p->x));
	cJSON_AddNumberToObject(o, "rate", thousandths(p->rate));
	cJSON_AddNumberToObject(o, "p50", ms_of((double)p->p50_ns));
	cJSON_AddNumberToObject(o, "p99", ms_of((double)p->p99_ns));
	add_count(o, "answers", p->answers);
	add_count(o, "errors", p->errors);
	cJSON_AddNumberToObject(o, "in_flight", thousandths(p->in_flight));
	cJSON_AddBoolToObject(o, "limited", p->limited);
	return o;
}

void load_export_curve(FILE *out, const struct load_curve *c)
{
	char started[SD_TIME_TEXT];
	cJSON *root = cJSON_CreateObject(), *points;
	sd_time_text(started, c->started_wall_ns);
	cJSON_AddStringToObject(root, "format", "sdlab-load-curve");
	cJSON_AddNumberToObject(root, "version", FORMAT_VERSION);
	cJSON_AddStringToObject(root, "verb", c->verb);
	add_text(root, "url", c->url);
	cJSON_AddStringToObject(root, "started", started);
	cJSON_AddBoolToObject(root, "interrupted", c->interrupted);
	points = cJSON_AddArrayToObject(root, "points");
	for (size_t i = 0; i < c->n; i++)
		cJSON_AddItemToArray(points, point_json(&c->points[i]));
	cJSON_AddItemToObject(root, "knee",
			      c->knee < c->n ? cJSON_CreateNumber(thousandths(c->points[c->knee].x)) : cJSON_CreateNull());
	print_json(out, root);
}

/* ---- CSV ---- */

static double least(const struct sd_hdr *h)
{
	return (double)sd_hdr_min(h);
}

static double most(const struct sd_hdr *h)
{
	return (double)sd_hdr_max(h);
}

/* One row: a cell for each distribution, empty where nothing was recorded. */
static void put_row(FILE *out, const struct load_result *r, const char *name, double (*of)(const struct sd_hdr *),
		    double percentile)
{
	const struct sd_hdr *const cells[] = {r->response, r->service, r->first_byte, r->connect};
	fputs(name, out);
	for (size_t i = 0; i < sizeof(cells) / sizeof(cells[0]); i++) {
		const struct sd_hdr *h = cells[i];
		fputc(',', out);
		if (h && sd_hdr_count(h) > 0)
			fprintf(out, "%.6f", (of ? of(h) : (double)sd_hdr_percentile(h, percentile)) / 1e6);
	}
	fputs("\n", out);
}

void load_export_csv(FILE *out, const struct load_plan *plan, const struct load_result *r)
{
	(void)plan;
	fputs("statistic,response_ms,service_ms,first_byte_ms,connect_ms\n", out);
	put_row(out, r, "min", least, 0);
	put_row(out, r, "mean", sd_hdr_mean, 0);
	put_row(out, r, "stddev", sd_hdr_stddev, 0);
	for (size_t i = 0; i < NPERCENTILES; i++)
		put_row(out, r, percentiles[i].name, NULL, percentiles[i].percentile);
	put_row(out, r, "max", most, 0);
	fputs("\nsecond,answers,errors,max_ms\n", out);
	for (size_t i = 0; i < r->nseconds; i++)
		fprintf(out, "%zu,%" PRIu64 ",%" PRIu64 ",%.6f\n", i, r->seconds[i].answers, r->seconds[i].errors,
			(double)r->seconds[i].max_ns / 1e6);
	if (r->interrupted)
		fputs("\ninterrupted\n", out);
}

/* ---- the log of HdrHistogram ---- */

static void put_interval(FILE *out, const char *tag, const struct load_result *r, const struct sd_hdr *h)
{
	char *text = sd_hdr_encode(h);
	if (text)
		fprintf(out, "%s%.3f,%.3f,%.3f,%s\n", tag, 0.0, s_of(r->elapsed_ns), (double)sd_hdr_max(h) / 1e6, text);
	free(text);
}

/* The interval without a tag is what a user sees; an open loop adds the raw one under a tag, which readers that know no
 * tags and those that ask for none leave alone.
 */
void load_export_hdr(FILE *out, const struct load_result *r)
{
	char started[SD_TIME_TEXT];
	sd_time_text(started, r->started_wall_ns);
	fprintf(out, "#[Histogram log format version 1.3]\n");
	fprintf(out, "#[StartTime: %.3f (seconds since epoch), %s]\n", s_of(r->started_wall_ns), started);
	if (r->interrupted)
		fputs("#[Interrupted]\n", out);
	fprintf(out, "\"StartTimestamp\",\"Interval_Length\",\"Interval_Max\",\"Interval_Compressed_Histogram\"\n");
	put_interval(out, "", r, load_latency(r));
	if (r->response)
		put_interval(out, "Tag=service,", r, r->service);
}
