/* load_as.c - flags of other tools, and a run with them. */
#include <inttypes.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/units.h"
#include "load_as.h"
#include "load_curve.h"
#include "world/world.h"

#define SECOND_NS  1000000000
#define MAX_TIME_S 31536000

void load_as_note(const struct load_as *as, const char *fmt, ...)
{
	va_list ap;
	fprintf(as->call->err, "%s: note: ", as->m->name);
	va_start(ap, fmt);
	vfprintf(as->call->err, fmt, ap);
	va_end(ap);
	fputc('\n', as->call->err);
}

static int tell(const struct load_as *as, const struct sd_error *e)
{
	fprintf(as->call->err, "%s: %s\n", as->m->name, e->text);
	return e->code == SD_EUSAGE ? 2 : 1;
}

enum sd_err load_as_add(struct load_as *as, struct sd_error *e, const char *fmt, ...)
{
	va_list ap;
	if (as->nargs == as->room) {
		size_t room = as->room ? as->room * 2 : 16;
		char **more = realloc(as->args, room * sizeof(*more));
		if (!more)
			return sd_fail(e, SD_ENOMEM, "out of memory");
		as->args = more;
		as->room = room;
	}
	va_start(ap, fmt);
	int n = vasprintf(&as->args[as->nargs], fmt, ap);
	va_end(ap);
	if (n < 0)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	as->nargs++;
	return SD_OK;
}

/* ---- what flags do ---- */

static void *field_of(struct load_as *as, const struct load_flag *f)
{
	return (char *)as + f->at;
}

/* "-n" or "--latency", as this tool writes it. */
static const char *shown(const struct load_as *as, const struct load_flag *f, char out[40])
{
	if (as->m->style == LOAD_GO)
		snprintf(out, 40, "-%s", f->word);
	else if (f->letter)
		snprintf(out, 40, "-%c", f->letter);
	else
		snprintf(out, 40, "--%s", f->word);
	return out;
}

static enum sd_err unexpected(const struct load_as *as, const struct load_flag *f, const char *expected, const char *value,
			      struct sd_error *e)
{
	char name[40];
	return sd_fail(e, SD_EUSAGE, "%s: expected %s, found \"%.60s\"", shown(as, f, name), expected, value);
}

enum sd_err load_take_true(struct load_as *as, const struct load_flag *f, const char *value, struct sd_error *e)
{
	bool *field = field_of(as, f);
	return sd_parse_bool(value, field) == SD_OK ? SD_OK : unexpected(as, f, "true or false", value, e);
}

enum sd_err load_take_text(struct load_as *as, const struct load_flag *f, const char *value, struct sd_error *e)
{
	const char **field = field_of(as, f);
	(void)e;
	*field = value;
	return SD_OK;
}

/* "5k": the factor of the letter behind it, 1 without one; the rest goes to digits, "" when it is too long. */
static int64_t split_unit(const char *value, char digits[24])
{
	static const struct {
		char letter;
		int64_t factor;
	} units[] = {{'k', 1000}, {'K', 1000}, {'m', 1000000}, {'M', 1000000}, {'g', 1000000000}, {'G', 1000000000}};
	size_t n = strlen(value);
	int64_t factor = 1;
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (n > 1 && value[n - 1] == units[i].letter)
			factor = units[i].factor;
	n -= factor > 1;
	snprintf(digits, 24, "%.*s", n < 24 ? (int)n : 0, value);
	return factor;
}

enum sd_err load_take_count(struct load_as *as, const struct load_flag *f, const char *value, struct sd_error *e)
{
	char digits[24];
	int64_t factor = split_unit(value, digits), v;
	if (sd_parse_int(digits, &v) != SD_OK || v < 1 || v > INT64_MAX / factor)
		return unexpected(as, f, "a whole number from 1", value, e);
	*(int64_t *)field_of(as, f) = v * factor;
	return SD_OK;
}

enum sd_err load_take_rate(struct load_as *as, const struct load_flag *f, const char *value, struct sd_error *e)
{
	char digits[24];
	double factor = (double)split_unit(value, digits), v;
	if (sd_parse_number(digits, &v) != SD_OK || v * factor <= 0 || v * factor > 1e9)
		return unexpected(as, f, "a number of requests a second", value, e);
	*(double *)field_of(as, f) = v * factor;
	return SD_OK;
}

enum sd_err load_take_time(struct load_as *as, const struct load_flag *f, const char *value, struct sd_error *e)
{
	int64_t *field = field_of(as, f), v;
	if (sd_parse_int(value, &v) == SD_OK && v >= 0 && v <= MAX_TIME_S)
		*field = v * SECOND_NS;
	else if (sd_parse_duration(value, &v) == SD_OK && v >= 0)
		*field = v;
	else
		return unexpected(as, f, "a number of seconds, or a time such as 2m", value, e);
	return SD_OK;
}

enum sd_err load_take_header(struct load_as *as, const struct load_flag *f, const char *value, struct sd_error *e)
{
	if (!f->text && (!strchr(value, ':') || *value == ':'))
		return unexpected(as, f, "\"Name: value\"", value, e);
	return load_as_add(as, e, "--header=%s%s", f->text ? f->text : "", value);
}

static char *base64(const char *text)
{
	static const char digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
	size_t n = strlen(text);
	char *out = malloc(n / 3 * 4 + 5), *o = out;
	for (size_t i = 0; out && i < n; i += 3) {
		size_t left = n - i;
		uint32_t v = (uint32_t)(unsigned char)text[i] << 16;
		v |= left > 1 ? (uint32_t)(unsigned char)text[i + 1] << 8 : 0;
		v |= left > 2 ? (uint32_t)(unsigned char)text[i + 2] : 0;
		*o++ = digits[v >> 18];
		*o++ = digits[v >> 12 & 63];
		*o++ = '=';
		*o++ = '=';
		if (left > 1)
			o[-2] = digits[v >> 6 & 63];
		if (left > 2)
			o[-1] = digits[v & 63];
	}
	if (out)
		*o = '\0';
	return out;
}

enum sd_err load_take_auth(struct load_as *as, const struct load_flag *f, const char *value, struct sd_error *e)
{
	if (!strchr(value, ':'))
		return unexpected(as, f, "USER:PASSWORD", value, e);
	char *coded = base64(value);
	if (!coded)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = load_as_add(as, e, "--header=Authorization: Basic %s", coded);
	free(coded);
	return err;
}

enum sd_err load_take_body(struct load_as *as, const struct load_flag *f, const char *value, struct sd_error *e)
{
	(void)e;
	as->body_file = value;
	as->method = f->text;
	return SD_OK;
}

enum sd_err load_take_method(struct load_as *as, const struct load_flag *f, const char *value, struct sd_error *e)
{
	(void)value;
	(void)e;
	as->method = f->text;
	return SD_OK;
}

enum sd_err load_take_nothing(struct load_as *as, const struct load_flag *f, const char *value, struct sd_error *e)
{
	(void)as;
	(void)f;
	(void)value;
	(void)e;
	return SD_OK;
}

enum sd_err load_take_refuse(struct load_as *as, const struct load_flag *f, const char *value, struct sd_error *e)
{
	char name[40];
	(void)value;
	return sd_fail(e, SD_EUSAGE, "%s is not understood here: %s", shown(as, f, name), f->text);
}

/* ---- reading flags ---- */

struct words {
	const char *const *argv;
	int argc, next;
};

static const struct load_flag *by_letter(const struct load_flag *f, char letter)
{
	for (; f->letter || f->word; f++)
		if (f->letter == letter)
			return f;
	return NULL;
}

static const struct load_flag *by_word(const struct load_flag *f, const char *word, size_t n)
{
	for (; f->letter || f->word; f++)
		if (f->word && strlen(f->word) == n && memcmp(f->word, word, n) == 0)
			return f;
	return NULL;
}

static enum sd_err unknown(const struct load_as *as, const char *flag, size_t n, struct sd_error *e)
{
	return sd_fail(e, SD_EUSAGE, "no flag %.*s is known here (%s --help lists them)", (int)(n < 60 ? n : 60), flag,
		       as->m->name);
}

/* value NULL: it is the next word. What is refused needs none, so that the reason is told in any case. */
static enum sd_err take(struct load_as *as, struct words *w, const struct load_flag *f, const char *value,
			struct sd_error *e)
{
	char name[40];
	if (!f->meta)
		return f->take(as, f, value ? value : "true", e);
	if (!value && w->next < w->argc)
		value = w->argv[w->next++];
	if (!value && f->take != load_take_refuse)
		return sd_fail(e, SD_EUSAGE, "%s: expected %s, found nothing", shown(as, f, name), f->meta);
	return f->take(as, f, value, e);
}

static enum sd_err read_word(struct load_as *as, struct words *w, const char *arg, struct sd_error *e)
{
	const char *word = arg + 1 + (arg[1] == '-');
	size_t n = strcspn(word, "=");
	const struct load_flag *f = by_word(as->m->flags, word, n);
	if (!f)
		return unknown(as, arg, n + (size_t)(word - arg), e);
	if (word[n] && !f->meta && as->m->style == LOAD_LONG)
		return sd_fail(e, SD_EUSAGE, "--%s: expected no value, found \"%.60s\"", f->word, word + n + 1);
	return take(as, w, f, word[n] ? word + n + 1 : NULL, e);
}

/* -kn5: letters up to the first that takes a value. */
static enum sd_err read_letters(struct load_as *as, struct words *w, const char *arg, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	for (const char *p = arg + 1; *p && err == SD_OK; p++) {
		const struct load_flag *f = by_letter(as->m->flags, *p);
		char flag[3] = {'-', *p, '\0'};
		if (!f)
			return unknown(as, flag, 2, e);
		if (f->meta)
			return take(as, w, f, p[1] ? p + 1 : NULL, e);
		err = take(as, w, f, NULL, e);
	}
	return err;
}

static enum sd_err read_operand(struct load_as *as, const char *arg, struct sd_error *e)
{
	if (as->url)
		return sd_fail(e, SD_EUSAGE, "expected one URL, and flags in front of it; found also \"%.60s\"", arg);
	as->url = arg;
	return SD_OK;
}

static enum sd_err read_flags(struct load_as *as, struct sd_error *e)
{
	struct words w = {as->call->args, as->call->nargs, 0};
	enum load_style style = as->m->style;
	bool operands_only = false;
	enum sd_err err = SD_OK;
	while (w.next < w.argc && err == SD_OK && !as->help) {
		const char *arg = w.argv[w.next++];
		if (!operands_only && strcmp(arg, "--help") == 0)
			as->help = true;
		else if (!operands_only && strcmp(arg, "--") == 0)
			operands_only = true;
		else if (operands_only || arg[0] != '-' || !arg[1])
			err = read_operand(as, arg, e);
		else if (style == LOAD_GO || (style == LOAD_LONG && arg[1] == '-'))
			err = read_word(as, &w, arg, e);
		else
			err = read_letters(as, &w, arg, e);
		operands_only |= as->url && style != LOAD_LONG;
	}
	if (err || as->help || as->version)
		return err;
	return as->url ? SD_OK : sd_fail(e, SD_EUSAGE, "expected a URL: %s", as->m->usage);
}

static void print_flag(const struct load_as *as, const struct load_flag *f)
{
	char left[48];
	if (as->m->style == LOAD_GO)
		snprintf(left, sizeof(left), "-%s %s", f->word, f->meta ? f->meta : "");
	else if (f->letter && f->word)
		snprintf(left, sizeof(left), "-%c, --%s %s", f->letter, f->word, f->meta ? f->meta : "");
	else if (f->letter)
		snprintf(left, sizeof(left), "-%c %s", f->letter, f->meta ? f->meta : "");
	else
		snprintf(left, sizeof(left), "    --%s %s", f->word, f->meta ? f->meta : "");
	fprintf(as->call->out, "  %-24s %s%s\n", left, f->help ? f->help : "refused: ", f->help ? "" : f->text);
}

static void print_version(const struct load_as *as)
{
	fprintf(as->call->out, "This is sdlab load in the manner of %s\n", as->m->as);
}

static void print_help(const struct load_as *as)
{
	print_version(as);
	fprintf(as->call->out, "\nusage: %s\n\n", as->m->usage);
	for (const struct load_flag *f = as->m->flags; f->letter || f->word; f++)
		print_flag(as, f);
	fputs("\nFor schedules, rules, exports and comparisons: sdlab help load\n", as->call->out);
}

/* ---- what they come to ---- */

static enum sd_err add_numbers(struct load_as *as, struct sd_error *e)
{
	const struct {
		const char *option, *unit;
		int64_t v;
	} numbers[] = {
	    {"requests", "", as->requests},        {"conns", "", as->conns},
	    {"threads", "", as->threads},          {"duration", "ns", as->duration_ns},
	    {"timeout", "ns", as->timeout_ns},
	};
	enum sd_err err = SD_OK;
	for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]) && err == SD_OK; i++)
		if (numbers[i].v > 0)
			err = load_as_add(as, e, "--%s=%" PRId64 "%s", numbers[i].option, numbers[i].v, numbers[i].unit);
	if (err == SD_OK && as->rate > 0)
		err = load_as_add(as, e, "--rate=%f/s", as->rate);
	return err;
}

static enum sd_err add_request(struct load_as *as, struct sd_error *e)
{
	enum sd_err err = SD_OK;
	if (as->method)
		err = load_as_add(as, e, "--method=%s", as->method);
	if (err == SD_OK && as->body_file)
		err = load_as_add(as, e, "--body=@%s", as->body_file);
	else if (err == SD_OK && as->body)
		err = load_as_add(as, e, "--body=%s", as->body);
	if (err == SD_OK && as->content_type)
		err = load_as_add(as, e, "--header=Content-Type: %s", as->content_type);
	if (err == SD_OK && as->no_keep_alive)
		err = load_as_add(as, e, "--no-keep-alive");
	return err;
}

static enum sd_err make_plan(struct load_as *as, struct load_plan *plan, struct sd_error *e)
{
	struct sd_conf *conf = NULL;
	enum sd_err err = as->m->check ? as->m->check(as, e) : SD_OK;
	if (err == SD_OK)
		err = add_numbers(as, e);
	if (err == SD_OK)
		err = add_request(as, e);
	if (err != SD_OK)
		return err;
	struct sd_conf_sources from = {.argc = (int)as->nargs, .argv = (const char *const *)as->args};
	err = sd_conf_make(load_run_options, NULL, &from, &conf, NULL, NULL, e);
	if (err == SD_OK)
		err = strncasecmp(as->url, "https://", 8) == 0
			  ? sd_fail(e, SD_EUNSUPPORTED, "TLS is not in this manner; expected http://, or sdlab load %.100s", as->url)
			  : load_plan_make(as->call->world, conf, as->url, plan, e);
	sd_conf_free(conf);
	if (err == SD_OK && as->m->adjust)
		as->m->adjust(as, plan);
	return err;
}

/* ---- a run ---- */

static void tell_truth(const struct load_as *as, const struct load_plan *plan, const struct load_result *r)
{
	if (r->limited)
		load_as_note(as, "generator-limited: %s", r->limited);
	if (r->answers == 0)
		return;
	if (plan->rate > 0)
		load_as_note(as, "latency counts from the moment a request was due, not from when it left");
	else
		load_as_note(as, "closed loop: this latency is not what users see at a given rate; "
				 "sdlab load URL --rate N/s tells that");
}

static int run_plan(struct load_as *as, const struct load_plan *plan)
{
	struct load_progress progress = {as->m->progress.fn, as};
	struct sd_error e = {0};
	struct load_result *r = NULL;
	if (as->m->begin)
		as->m->begin(as, plan);
	fflush(as->call->out);
	if (load_run(as->call->world, plan, progress.fn ? &progress : NULL, &r, &e))
		return tell(as, &e);
	int status = as->m->report(as, plan, r);
	fflush(as->call->out);
	tell_truth(as, plan, r);
	load_result_free(r);
	return status;
}

int load_as_run(struct load_as *as)
{
	struct sd_error e = {0};
	struct load_plan plan;
	int status = 0;
	if (read_flags(as, &e)) {
		status = tell(as, &e);
	} else if (as->help) {
		print_help(as);
	} else if (as->version) {
		print_version(as);
	} else if (sd_world_raise_files(as->call->world), make_plan(as, &plan, &e)) {
		status = tell(as, &e);
	} else {
		status = run_plan(as, &plan);
		load_plan_free(&plan);
	}
	for (size_t i = 0; i < as->nargs; i++)
		free(as->args[i]);
	free(as->args);
	return status;
}
