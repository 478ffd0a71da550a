/* load_rules.c - --fail-if: METRIC OPERATOR VALUE, as p99>50ms.
 *
 *	pN min mean stddev max              of the latency a user sees; a duration
 *	errors errors.CLASS                 a count, or a share of all requests
 *	status.NNN status.Nxx               a count, or a share of the answers
 *	rate                                answers a second
 *
 * What cannot be known fails: a run without an answer has no p99 that could be good.
 */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "core/units.h"
#include "load.h"

enum measure { DURATION, AMOUNT, RATE };

struct rule {
	char metric[32];
	enum measure measure;
	double (*of)(const struct sd_hdr *h); /* a latency, if not a percentile */
	double percentile;
	int from, to; /* statuses, or classes of errors */
	bool less, equal, is_share;
	double value; /* ns, a count, a share from 0 to 1, or a second */
};

/* ---- metrics ---- */

static double least(const struct sd_hdr *h)
{
	return (double)sd_hdr_min(h);
}

static double most(const struct sd_hdr *h)
{
	return (double)sd_hdr_max(h);
}

static bool read_percentile(struct rule *r)
{
	return r->metric[0] == 'p' && sd_parse_number(r->metric + 1, &r->percentile) == SD_OK && r->percentile > 0 &&
	       r->percentile <= 100 && !strpbrk(r->metric, "eE");
}

static bool read_latency(struct rule *r)
{
	static const struct {
		const char *name;
		double (*of)(const struct sd_hdr *h);
	} words[] = {{"min", least}, {"mean", sd_hdr_mean}, {"stddev", sd_hdr_stddev}, {"max", most}};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (strcmp(r->metric, words[i].name) == 0)
			r->of = words[i].of;
	r->measure = DURATION;
	return r->of || read_percentile(r);
}

static bool read_errors(struct rule *r)
{
	r->measure = AMOUNT;
	r->to = LOAD_ERRORS - 1;
	if (strcmp(r->metric, "errors") == 0)
		return true;
	for (int i = 0; i < LOAD_ERRORS && strncmp(r->metric, "errors.", 7) == 0; i++)
		if (strcmp(r->metric + 7, load_error_names[i]) == 0) {
			r->from = r->to = i;
			return true;
		}
	return false;
}

static bool read_status(struct rule *r)
{
	const char *s = r->metric + 7;
	int64_t code;
	r->measure = AMOUNT;
	if (strncmp(r->metric, "status.", 7) != 0 || strlen(s) != 3 || *s < '1' || *s > '5')
		return false;
	r->from = (*s - '0') * 100;
	r->to = r->from + 99;
	if (strcmp(s + 1, "xx") == 0)
		return true;
	if (sd_parse_int(s, &code) != SD_OK)
		return false;
	r->from = r->to = (int)code;
	return true;
}

static bool read_rate(struct rule *r)
{
	r->measure = RATE;
	return strcmp(r->metric, "rate") == 0;
}

static bool (*const kinds[])(struct rule *r) = {read_latency, read_errors, read_status, read_rate};

static bool read_metric(struct rule *r, const char *text, size_t n)
{
	if (n == 0 || n >= sizeof(r->metric))
		return false;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
		*r = (struct rule){0};
		memcpy(r->metric, text, n);
		if (kinds[i](r))
			return true;
	}
	return false;
}

/* ---- values ---- */

static enum sd_err read_amount(struct rule *r, const char *text)
{
	int64_t n;
	enum sd_err err;
	r->is_share = strchr(text, '%') != NULL;
	if (r->is_share)
		return sd_parse_percent(text, &r->value);
	err = sd_parse_int(text, &n);
	if (!err && n < 0)
		return SD_ERANGE;
	if (!err)
		r->value = (double)n;
	return err;
}

static enum sd_err read_value(struct rule *r, const char *text)
{
	int64_t ns;
	enum sd_err err;
	if (r->measure == AMOUNT)
		return read_amount(r, text);
	if (r->measure == RATE)
		return sd_parse_rate(text, &r->value);
	err = sd_parse_duration(text, &ns);
	if (!err)
		r->value = (double)ns;
	return err;
}

static enum sd_err read_rule(const char *text, struct rule *r, struct sd_error *e)
{
	static const char *const expected[] = {
	    [DURATION] = "a duration such as 50ms",
	    [AMOUNT] = "a count such as 10, or a share such as 0.1%",
	    [RATE] = "a rate such as 1000/s",
	};
	size_t n = strcspn(text, "<>= \t");
	const char *op = text + n + strspn(text + n, " ");
	if (!read_metric(r, text, n))
		return sd_fail(e, SD_EUSAGE,
			       "expected pN, min, mean, stddev, max, rate, errors, errors.CLASS, status.NNN or "
			       "status.Nxx before the operator, found \"%.60s\"",
			       text);
	if (*op != '<' && *op != '>')
		return sd_fail(e, SD_EUSAGE, "expected <, <=, > or >= after %s, found \"%.60s\"", r->metric, op);
	r->less = *op == '<';
	r->equal = op[1] == '=';
	const char *value = op + 1 + r->equal;
	value += strspn(value, " ");
	if (read_value(r, value) != SD_OK)
		return sd_fail(e, SD_EUSAGE, "%s: expected %s, found \"%.60s\"", r->metric, expected[r->measure],
			       value);
	return SD_OK;
}

/* Its caller says which option it was. */
enum sd_err load_rule_check(const char *rule, struct sd_error *e)
{
	struct rule r;
	return read_rule(rule, &r, e);
}

/* ---- what was found ---- */

/* Four digits: enough to see on which side of the value it is, nearly always. */
static const char *round_duration(double ns, char out[SD_UNIT_TEXT])
{
	int64_t v = (int64_t)(ns + 0.5), step = 1;
	while (v / step >= 10000)
		step *= 10;
	return sd_format_duration((v + step / 2) / step * step, out);
}

static uint64_t sum(const uint64_t *counts, int from, int to)
{
	uint64_t n = 0;
	for (int i = from; i <= to; i++)
		n += counts[i];
	return n;
}

/* False: it cannot be known. */
static bool find_latency(const struct rule *rule, const struct load_result *r, double *found, char *text, size_t n)
{
	const struct sd_hdr *h = load_latency(r);
	char value[SD_UNIT_TEXT];
	if (sd_hdr_count(h) == 0)
		return false;
	*found = rule->of ? rule->of(h) : (double)sd_hdr_percentile(h, rule->percentile);
	snprintf(text, n, "%s is %s", rule->metric, round_duration(*found, value));
	return true;
}

static bool find_amount(const struct rule *rule, const struct load_result *r, double *found, char *text, size_t n)
{
	bool errors = strncmp(rule->metric, "errors", 6) == 0;
	uint64_t part = sum(errors ? r->errors : r->status, rule->from, rule->to);
	uint64_t whole = errors ? r->answers + load_total_errors(r) : r->answers;
	*found = (double)part;
	snprintf(text, n, "%s is %" PRIu64, rule->metric, part);
	if (!rule->is_share)
		return true;
	*found = whole ? (double)part / (double)whole : 0;
	snprintf(text, n, "%s is %.4g%% (%" PRIu64 " of %" PRIu64 ")", rule->metric, *found * 100, part, whole);
	return whole > 0;
}

static bool find_rate(const struct rule *rule, const struct load_result *r, double *found, char *text, size_t n)
{
	*found = r->window.rate;
	snprintf(text, n, "%s is %.*f/s", rule->metric, *found < 100 ? 2 : 0, *found);
	return r->window.ns > 0;
}

static bool holds(const struct rule *r, double found)
{
	if (r->equal && found == r->value)
		return true;
	return r->less ? found < r->value : found > r->value;
}

bool load_rule_fails(const char *rule, const struct load_result *r, char *text, size_t n)
{
	static bool (*const find[])(const struct rule *, const struct load_result *, double *, char *, size_t) = {
	    [DURATION] = find_latency, [AMOUNT] = find_amount, [RATE] = find_rate};
	struct rule parsed = {0};
	struct sd_error e;
	double found = 0;
	if (read_rule(rule, &parsed, &e)) {
		snprintf(text, n, "%s", e.text);
		return true;
	}
	if (find[parsed.measure](&parsed, r, &found, text, n))
		return holds(&parsed, found);
	snprintf(text, n, "%s is unknown: no request was answered", parsed.metric);
	return true;
}
