/* load_text.c - the summary a person reads, and the line that moves while it runs. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/units.h"
#include "load.h"

#define TEXT        32
#define BAR         44 /* columns of the longest bar of the distribution */
#define MAX_ROWS    14
#define LINE        79 /* columns of a terminal that a progress line may take */
#define PROGRESS    12
#define MAX_SPARKS  30

const char *const load_error_names[LOAD_ERRORS] = {
#define X(id, name, text) [id] = name,
    LOAD_ERROR_LIST(X)
#undef X
};

const char *const load_error_texts[LOAD_ERRORS] = {
#define X(id, name, text) [id] = text,
    LOAD_ERROR_LIST(X)
#undef X
};

uint64_t load_total_errors(const struct load_result *r)
{
	uint64_t sum = 0;
	for (int i = 0; i < LOAD_ERRORS; i++)
		sum += r->errors[i];
	return sum;
}

const struct sd_hdr *load_latency(const struct load_result *r)
{
	return r->response ? r->response : r->service;
}

/* ---- amounts, with three digits or with commas ---- */

struct unit {
	double size;
	const char *name;
};

static const struct unit times[] = {{1e9, "s"}, {1e6, "ms"}, {1e3, "us"}, {1, "ns"}};
static const struct unit bytes[] = {{1e12, "TB"}, {1e9, "GB"}, {1e6, "MB"}, {1e3, "kB"}, {1, "B"}};
static const struct unit counts[] = {{1e12, "T"}, {1e9, "G"}, {1e6, "M"}, {1e3, "k"}, {1, ""}};

static const char *scaled(double v, const struct unit *u, char out[TEXT])
{
	while (u->size > 1 && v < u->size * 0.9995)
		u++;
	double n = v / u->size;
	int decimals = u->size <= 1 || n >= 99.95 ? 0 : n >= 9.995 ? 1 : 2;
	snprintf(out, TEXT, "%.*f%s", decimals, n, u->name);
	return out;
}

static const char *commas(uint64_t v, char out[TEXT])
{
	char digits[24];
	int n = snprintf(digits, sizeof(digits), "%" PRIu64, v), o = 0;
	for (int i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			out[o++] = ',';
		out[o++] = digits[i];
	}
	out[o] = '\0';
	return out;
}

static const char *rate_text(double v, char out[TEXT])
{
	if (v >= 1000 && v < 1e15)
		return commas((uint64_t)(v + 0.5), out);
	snprintf(out, TEXT, v < 10 ? "%.2f" : "%.1f", v);
	return out;
}

const char *load_interrupted(const struct load_result *r)
{
	return r->window.ns > 0 ? "partial result" : "in the warm-up, so that nothing is counted";
}

static double share(uint64_t part, uint64_t whole)
{
	return whole ? 100.0 * (double)part / (double)whole : 0;
}

/* ---- the head: what was asked, and how much came back ---- */

struct report {
	FILE *out;
	const struct load_plan *plan;
	const struct load_result *r;
	bool colour;
};

enum paint { PLAIN, BOLD, RED, YELLOW };

static const char *paint(const struct report *p, enum paint which)
{
	static const char *const codes[] = {"\033[0m", "\033[1m", "\033[31m", "\033[33m"};
	return p->colour ? codes[which] : "";
}

static void put_heading(const struct report *p, const char *text)
{
	fprintf(p->out, "\n%s%s%s\n", paint(p, BOLD), text, paint(p, PLAIN));
}

static void put_marks(const struct report *p)
{
	if (p->r->limited)
		fprintf(p->out, "%sgenerator-limited: %s%s\n", paint(p, RED), p->r->limited, paint(p, PLAIN));
	if (p->r->interrupted)
		fprintf(p->out, "%sinterrupted: %s%s\n", paint(p, YELLOW), load_interrupted(p->r), paint(p, PLAIN));
}

static void put_replay(const struct report *p)
{
	const struct load_plan *plan = p->plan;
	char n[TEXT], kinds[TEXT], speed[SD_UNIT_TEXT];
	if (!plan->schedule)
		return;
	fprintf(p->out, "  %s %s requests of %s at %sx, %s different\n", p->r->interrupted ? "Replaying  " : "Replayed   ",
		commas(plan->nschedule, n), plan->log, sd_format_number(plan->speed, speed), commas(plan->nrequests, kinds));
}

static void put_loop(const struct report *p)
{
	const struct load_plan *plan = p->plan;
	char asked[TEXT];
	fprintf(p->out, "  Target      %s\n", plan->url);
	if (plan->nrequests > 1 && !plan->schedule)
		fprintf(p->out, "  Mix         %zu kinds of requests, by weight\n", plan->nrequests);
	put_replay(p);
	if (plan->schedule)
		fputs("  Loop        open: as recorded, ", p->out);
	else if (plan->rate > 0)
		fprintf(p->out, "  Loop        open: %s/s due, %s gaps, ", rate_text(plan->rate, asked),
			plan->poisson ? "Poisson" : "constant");
	else
		fputs("  Loop        closed: ", p->out);
	fprintf(p->out, "%u connection%s, %u thread%s%s\n", plan->conns, plan->conns == 1 ? "" : "s", plan->threads,
		plan->threads == 1 ? "" : "s", plan->keep_alive ? "" : ", no keep-alive");
	if (plan->pipeline > 1)
		fprintf(p->out, "  Pipeline    %u requests at a time on each connection\n", plan->pipeline);
}

static void put_counts(const struct report *p)
{
	const struct load_result *r = p->r;
	uint64_t failed = load_total_errors(r);
	char total[TEXT], answered[TEXT], lost[TEXT], rate[TEXT], asked[TEXT], warm[SD_UNIT_TEXT];
	fprintf(p->out, "  Requests    %s in %.2fs: %s answered, %s failed\n", commas(r->answers + failed, total),
		(double)r->elapsed_ns / 1e9, commas(r->answers, answered), commas(failed, lost));
	if (p->plan->warmup_ns > 0)
		fprintf(p->out, "  Warm-up     %s and its %s answers are excluded\n",
			sd_format_duration(p->plan->warmup_ns, warm), commas(r->warmup_answers, total));
	fprintf(p->out, "  Rate        %s/s", rate_text(r->window.rate, rate));
	if (p->plan->rate > 0)
		fprintf(p->out, " of %s/s asked for", rate_text(p->plan->rate, asked));
	if (r->window.answers != r->answers)
		fprintf(p->out, ": %s answers came in %.2fs", commas(r->window.answers, answered),
			(double)r->window.ns / 1e9);
	fputc('\n', p->out);
}

static void put_bytes(const struct report *p)
{
	const struct load_result *r = p->r;
	char in[TEXT], out[TEXT], in_all[TEXT], out_all[TEXT];
	fprintf(p->out, "  Bytes       %s/s in, %s/s out (%s and %s in all)\n",
		scaled(r->window.rate_in, bytes, in),
		scaled(r->window.rate_out, bytes, out), scaled((double)r->bytes_in, bytes, in_all),
		scaled((double)r->bytes_out, bytes, out_all));
}

/* The generator about itself: a reader can judge what is left when it was not the limit. */
static void put_generator(const struct report *p)
{
	const struct load_result *r = p->r;
	char lag[TEXT], late[TEXT];
	fprintf(p->out, "  Generator   busiest thread %.0f%% of a core", r->cpu * 100);
	if (r->lag && sd_hdr_count(r->lag) > 0)
		fprintf(p->out, "; p99 of lag %s, %s left late",
			scaled((double)sd_hdr_percentile(r->lag, 99), times, lag), commas(r->late, late));
	fputc('\n', p->out);
}

static enum paint status_paint(int status)
{
	return status >= 500 ? RED : status >= 400 ? YELLOW : PLAIN;
}

static void put_statuses(const struct report *p)
{
	char n[TEXT];
	if (!load_plan_http(p->plan))
		return;
	put_heading(p, "Statuses");
	for (int s = 0; s < 600; s++)
		if (p->r->status[s])
			fprintf(p->out, "  %s%03d%s %15s %7.2f%%\n", paint(p, status_paint(s)), s, paint(p, PLAIN),
				commas(p->r->status[s], n), share(p->r->status[s], p->r->answers));
	if (p->r->answers == 0)
		fputs("  none: no request was answered\n", p->out);
}

static void put_tally(const struct report *p, const char *title, const struct load_tally *t, uint64_t whole)
{
	struct load_tally_row other = {.text = "(other)"};
	size_t width = strlen(other.text);
	char n[TEXT];
	if (!t || (t->n == 0 && t->other == 0))
		return;
	put_heading(p, title);
	for (size_t i = 0; i < t->n; i++)
		width = strlen(t->rows[i].text) > width ? strlen(t->rows[i].text) : width;
	other.count = t->other;
	for (size_t i = 0; i < t->n + (t->other > 0); i++) {
		const struct load_tally_row *row = i < t->n ? &t->rows[i] : &other;
		fprintf(p->out, "  %-*s %9s %7.2f%%\n", (int)width, *row->text ? row->text : "(empty)",
			commas(row->count, n), share(row->count, whole));
	}
}

static void put_errors(const struct report *p)
{
	uint64_t failed = load_total_errors(p->r);
	char n[TEXT];
	if (failed == 0)
		return;
	put_heading(p, "Errors");
	for (int i = 0; i < LOAD_ERRORS; i++)
		if (p->r->errors[i])
			fprintf(p->out, "  %s%-8s%s %10s %7.2f%%  %s\n", paint(p, RED), load_error_names[i],
				paint(p, PLAIN), commas(p->r->errors[i], n),
				share(p->r->errors[i], p->r->answers + failed), load_error_texts[i]);
}

/* ---- the table of latencies ---- */

static double least(const struct sd_hdr *h)
{
	return (double)sd_hdr_min(h);
}

static double most(const struct sd_hdr *h)
{
	return (double)sd_hdr_max(h);
}

static const struct row {
	const char *name;
	double (*of)(const struct sd_hdr *h); /* NULL: the percentile */
	double percentile;
} rows[] = {
    {"min", least, 0}, {"mean", sd_hdr_mean, 0}, {"stddev", sd_hdr_stddev, 0}, {"p50", NULL, 50},
    {"p90", NULL, 90}, {"p95", NULL, 95},        {"p99", NULL, 99},            {"p99.9", NULL, 99.9},
    {"p99.99", NULL, 99.99}, {"max", most, 0},
};

struct column {
	const char *title, *note;
	const struct sd_hdr *h;
};

static int columns_of(const struct load_result *r, struct column out[4])
{
	int n = 0;
	if (r->response)
		out[n++] = (struct column){"response", "corrected", r->response};
	out[n++] = (struct column){"service", r->response ? "raw" : "", r->service};
	out[n++] = (struct column){"first byte", "", r->first_byte};
	out[n++] = (struct column){"connect", "", r->connect};
	return n;
}

static void put_cell(FILE *out, const struct row *row, const struct sd_hdr *h)
{
	char text[TEXT];
	bool empty = !h || sd_hdr_count(h) == 0;
	double v = empty ? 0 : row->of ? row->of(h) : (double)sd_hdr_percentile(h, row->percentile);
	fprintf(out, "%13s", empty ? "-" : scaled(v, times, text));
}

static void put_latencies(const struct report *p)
{
	struct column columns[4];
	int n = columns_of(p->r, columns);
	put_heading(p, "Latency");
	fprintf(p->out, "  %-8s", "");
	for (int c = 0; c < n; c++)
		fprintf(p->out, "%13s", columns[c].title);
	if (p->r->response) {
		fprintf(p->out, "\n  %-8s", "");
		for (int c = 0; c < 2; c++)
			fprintf(p->out, "%13s", columns[c].note);
	}
	fputc('\n', p->out);
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fprintf(p->out, "  %-8s", rows[i].name);
		for (int c = 0; c < n; c++)
			put_cell(p->out, &rows[i], columns[c].h);
		fputc('\n', p->out);
	}
}

/* ---- the distribution: rows whose upper ends grow by a like factor ---- */

/* Upper ends within a decade, in tenths; the first that needs no more than MAX_ROWS rows is taken. */
static const struct series {
	int n;
	int tenths[24];
} series[] = {
    {24, {10, 11, 12, 13, 15, 16, 18, 20, 22, 24, 27, 30, 33, 36, 39, 43, 47, 51, 56, 62, 68, 75, 82, 91}},
    {12, {10, 12, 15, 18, 22, 27, 33, 39, 47, 56, 68, 82}},
    {6, {10, 15, 20, 30, 50, 70}},
    {3, {10, 20, 50}},
    {1, {10}},
};

static int64_t edge(const struct series *s, int i)
{
	int64_t decade = 1;
	for (int k = i / s->n; k > 0; k--)
		decade *= 10;
	return decade * s->tenths[i % s->n] / 10;
}

static int row_of(const struct series *s, int64_t value)
{
	int i = 0;
	while (edge(s, i) < value)
		i++;
	return i;
}

static void put_bar(FILE *out, int64_t n, int64_t longest)
{
	int width = (int)((double)n / (double)longest * BAR + 0.5);
	if (n > 0 && width == 0)
		fputs("  .", out);
	else if (width > 0)
		fprintf(out, "  %.*s", width, "############################################");
	fputc('\n', out);
}

static void put_rows(const struct report *p, const struct sd_hdr *h, const struct series *s, int first, int last)
{
	int64_t n[MAX_ROWS] = {0}, below = 0, longest = 1;
	char end[TEXT], count[TEXT];
	for (int i = first; i <= last; i++) {
		int64_t upto = i == last ? sd_hdr_count(h) : sd_hdr_count_at_or_below(h, edge(s, i));
		n[i - first] = upto - below;
		below = upto;
		if (n[i - first] > longest)
			longest = n[i - first];
	}
	for (int i = first; i <= last; i++) {
		fprintf(p->out, "  %8s %13s %6.2f%%", scaled((double)edge(s, i), times, end),
			commas((uint64_t)n[i - first], count), share((uint64_t)n[i - first], (uint64_t)sd_hdr_count(h)));
		put_bar(p->out, n[i - first], longest);
	}
}

static void put_distribution(const struct report *p)
{
	const struct sd_hdr *h = load_latency(p->r);
	const struct series *s = series;
	if (sd_hdr_count(h) == 0)
		return;
	while (s->n > 1 && row_of(s, sd_hdr_max(h)) - row_of(s, sd_hdr_min(h)) >= MAX_ROWS)
		s++;
	int first = row_of(s, sd_hdr_min(h)), last = row_of(s, sd_hdr_max(h));
	while (last > first && sd_hdr_count_at_or_below(h, edge(s, last - 1)) == sd_hdr_count(h))
		last--; /* the maximum is that of its slot, which may reach over an edge */
	put_heading(p, p->r->response ? "Response time, at or below" : "Service time, at or below");
	put_rows(p, h, s, first, last);
}

/* ---- what the numbers mean ---- */

static void put_meaning(const struct report *p)
{
	const struct load_result *r = p->r;
	if (r->answers == 0)
		return;
	if (!r->response) {
		fputs("\nClosed loop: each connection waits for its answer before it asks again, so a\n"
		      "slow server is asked less. Latency at saturation is not what users see; for\n"
		      "that, try --rate with less than the rate above.\n",
		      p->out);
		return;
	}
	fputs("\nResponse time counts from the moment a request was due, as a user counts;\n"
	      "service time from the moment it left.\n",
	      p->out);
	if (sd_hdr_count(r->response) > 0 &&
	    sd_hdr_percentile(r->response, 99) > 2 * sd_hdr_percentile(r->service, 99))
		fprintf(p->out,
			"They differ: requests had to wait for a free connection. More connections\n"
			"(--conns), a lower --%s or a faster server bring them together.\n",
			p->plan->schedule ? "speed" : "rate");
}

void load_text_summary(FILE *out, const struct load_plan *plan, const struct load_result *r, bool colour)
{
	struct report p = {out, plan, r, colour};
	put_marks(&p);
	put_loop(&p);
	put_counts(&p);
	put_bytes(&p);
	put_generator(&p);
	put_statuses(&p);
	put_tally(&p, "Answers", r->tally, r->answers);
	put_errors(&p);
	put_tally(&p, plan->amqp ? "Errors of the broker" : "Errors of the cache", r->refusals, load_tally_total(r->refusals));
	put_latencies(&p);
	put_distribution(&p);
	put_meaning(&p);
}

/* ---- the line that moves ---- */

/* How much of it is done, 0 to 1: of the time or of the requests, whichever ends it first. */
static double done(const struct load_plan *plan, uint64_t ended, int64_t elapsed_ns)
{
	double whole = (double)plan->warmup_ns + (double)plan->duration_ns;
	double time = plan->duration_ns > 0 ? (double)elapsed_ns / whole : 0;
	double count = plan->max_requests ? (double)ended / (double)plan->max_requests : 0;
	double most_of = time > count ? time : count;
	return most_of < 0 ? 0 : most_of > 1 ? 1 : most_of;
}

/* Of the last second that is over, since the one that runs is not full yet. */
static double rate_now(uint64_t answers, int64_t elapsed_ns, const struct load_second *seconds, size_t n)
{
	if (n >= 2)
		return (double)seconds[n - 2].answers;
	return elapsed_ns > 0 ? (double)answers * 1e9 / (double)elapsed_ns : 0;
}

static void put_sparks(FILE *out, const struct load_second *seconds, size_t n, size_t room)
{
	static const char *const levels[] = {"▁", "▂", "▃", "▄", "▅", "▆", "▇", "█"};
	size_t over = n ? n - 1 : 0, from = over > room ? over - room : 0;
	uint64_t top = 1;
	for (size_t i = from; i < over; i++)
		if (seconds[i].answers > top)
			top = seconds[i].answers;
	for (size_t i = from; i < over; i++)
		fputs(levels[(int)((double)seconds[i].answers / (double)top * 7 + 0.5)], out);
}

void load_text_progress(FILE *out, const struct load_plan *plan, uint64_t answers, uint64_t errors, int64_t elapsed_ns,
			const struct load_second *seconds, size_t nseconds)
{
	char line[LINE + 1], ended[TEXT], rate[TEXT], failed[TEXT], bar[PROGRESS + 1];
	double part = done(plan, answers + errors, elapsed_ns);
	int full = (int)(part * PROGRESS);
	for (int i = 0; i < PROGRESS; i++)
		bar[i] = i < full ? '=' : i == full ? '>' : ' ';
	bar[PROGRESS] = '\0';
	int n = snprintf(line, sizeof(line), "%4" PRId64 "s [%s] %3.0f%%  %s done  %s/s  %s error%s",
			 elapsed_ns > 0 ? elapsed_ns / 1000000000 : 0, bar, part * 100,
			 scaled((double)answers, counts, ended),
			 scaled(rate_now(answers, elapsed_ns, seconds, nseconds), counts, rate),
			 scaled((double)errors, counts, failed), errors == 1 ? "" : "s");
	fputs(line, out);
	if (n < 0 || n + 3 > LINE)
		return;
	fputs("  ", out);
	size_t room = (size_t)(LINE - n - 2);
	put_sparks(out, seconds, nseconds, room < MAX_SPARKS ? room : MAX_SPARKS);
}
