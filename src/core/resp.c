#include "resp.h"

#include <ctype.h>
#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- requests ---- */

#define STRANGER_ARGS 10
#define STRANGER_BULK (16 * 1024)

static ssize_t bad(struct sd_resp_reader *r, const char *why)
{
	snprintf(r->error, sizeof(r->error), "Protocol error: %s", why);
	return SD_RESP_BAD;
}

static ssize_t wait_for(struct sd_resp_reader *r, size_t n)
{
	r->need = n;
	return SD_RESP_INCOMPLETE;
}

/* The line that begins at `at`, without CRLF; *end is behind it. False: it is not complete. As Redis does, whatever stands
 * behind the CR is taken for the LF. */
static bool line(const char *p, size_t n, size_t at, struct sd_slice *out, size_t *end)
{
	const char *cr = n > at ? memchr(p + at, '\r', n - at) : NULL;
	if (!cr || (size_t)(cr - p) + 2 > n)
		return false;
	*out = (struct sd_slice){p + at, (size_t)(cr - p) - at};
	*end = (size_t)(cr - p) + 2;
	return true;
}

bool sd_resp_parse_int(struct sd_slice s, int64_t *out)
{
	bool minus = s.n && s.p[0] == '-';
	uint64_t v = 0;
	size_t i = minus;
	if (s.n == i || s.n > 20 || (s.p[i] == '0' && s.n > 1))
		return false;
	for (; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9' || v > (UINT64_MAX - 9) / 10)
			return false;
		v = v * 10 + (uint64_t)(s.p[i] - '0');
	}
	if (v > (uint64_t)INT64_MAX + minus)
		return false;
	*out = minus ? (int64_t)(0 - v) : (int64_t)v;
	return true;
}

static bool add(struct sd_resp_reader *r, size_t at, size_t n)
{
	if (r->argc == r->room) {
		size_t room = r->room ? r->room * 2 : 8;
		struct sd_resp_place *places = realloc(r->places, room * sizeof(*places));
		if (places)
			r->places = places;
		struct sd_slice *argv = places ? realloc(r->argv, room * sizeof(*argv)) : NULL;
		if (!argv)
			return false;
		r->argv = argv;
		r->room = room;
	}
	r->places[r->argc++] = (struct sd_resp_place){at, n};
	return true;
}

static ssize_t done(struct sd_resp_reader *r, const char *base)
{
	for (size_t i = 0; i < r->argc; i++)
		r->argv[i] = (struct sd_slice){base + r->places[i].at, r->places[i].n};
	return (ssize_t)r->at;
}

/* "$3": how long the next argument is. 0: not there yet; 1: known. */
static int bulk_length(struct sd_resp_reader *r, const char *p, size_t n, const struct sd_resp_limits *limits)
{
	struct sd_slice s;
	size_t end;
	if (r->at < n && p[r->at] != '$') {
		char c = p[r->at];
		snprintf(r->error, sizeof(r->error), "Protocol error: expected '$', got '%c'", c ? c : '?');
		return SD_RESP_BAD;
	}
	if (!line(p, n, r->at, &s, &end)) {
		if (n - r->at > SD_RESP_MAX_INLINE)
			return (int)bad(r, "too big bulk count string");
		r->need = n + 1;
		return 0;
	}
	s = (struct sd_slice){s.p + 1, s.n - 1};
	if (!sd_resp_parse_int(s, &r->bulk) || r->bulk < 0 || r->bulk > limits->max_bulk) {
		r->bulk = -1;
		return (int)bad(r, "invalid bulk length");
	}
	if (limits->stranger && r->bulk > STRANGER_BULK)
		return (int)bad(r, "unauthenticated bulk length");
	r->at = end;
	return 1;
}

static ssize_t read_array(struct sd_resp_reader *r, const char *p, size_t n, const struct sd_resp_limits *limits)
{
	while (r->want > 0) {
		if (r->bulk < 0) {
			int known = bulk_length(r, p, n, limits);
			if (known <= 0)
				return known < 0 ? SD_RESP_BAD : SD_RESP_INCOMPLETE;
		}
		size_t len = (size_t)r->bulk;
		if (n < r->at + len + 2)
			return wait_for(r, r->at + len + 2);
		if (!add(r, r->at, len))
			return bad(r, "out of memory");
		r->at += len + 2; /* what stands for CRLF is not looked at, as Redis does not */
		r->bulk = -1;
		r->want--;
	}
	return done(r, p);
}

static ssize_t begin_array(struct sd_resp_reader *r, const char *p, size_t n, const struct sd_resp_limits *limits)
{
	struct sd_slice s;
	size_t end;
	if (!line(p, n, 0, &s, &end))
		return n > SD_RESP_MAX_INLINE ? bad(r, "too big mbulk count string") : wait_for(r, n + 1);
	s = (struct sd_slice){s.p + 1, s.n - 1};
	if (!sd_resp_parse_int(s, &r->want) || r->want > limits->max_args)
		return bad(r, "invalid multibulk length");
	if (limits->stranger && r->want > STRANGER_ARGS)
		return bad(r, "unauthenticated multibulk length");
	r->at = end;
	r->open = true;
	r->bulk = -1;
	return read_array(r, p, n, limits);
}

/* ---- lines ---- */

static int hex(char c)
{
	c = (char)tolower((unsigned char)c);
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* What a backslash and the next byte stand for inside double quotes. */
static char escaped(char c)
{
	static const char from[] = "nrtba", to[] = "\n\r\t\b\a";
	const char *k = c ? strchr(from, c) : NULL;
	return k ? to[k - from] : c;
}

/* Fewer than are passed over between words: a vertical tab is part of a word, as in Redis. */
static bool ends_word(char c)
{
	return c == ' ' || c == '\t' || c == '\r' || c == '\n';
}

/* One word from *p, up to end, into *to. False: quotes do not close, or something stands right behind them. */
static bool word(const char **p, const char *end, char **to)
{
	const char *s = *p;
	char quote = 0, *o = *to;
	while (s < end && (quote || !ends_word(*s))) {
		if (quote == '"' && *s == '\\' && s + 3 < end && s[1] == 'x' && hex(s[2]) >= 0 && hex(s[3]) >= 0) {
			*o++ = (char)(hex(s[2]) * 16 + hex(s[3]));
			s += 4;
		} else if (quote == '"' && *s == '\\' && s + 1 < end) {
			*o++ = escaped(s[1]);
			s += 2;
		} else if (quote == '\'' && *s == '\\' && s + 1 < end && s[1] == '\'') {
			*o++ = '\'';
			s += 2;
		} else if (quote && *s == quote) {
			s++;
			quote = 0;
			if (s < end && !isspace((unsigned char)*s))
				return false;
			break;
		} else if (!quote && (*s == '"' || *s == '\'')) {
			quote = *s++;
		} else {
			*o++ = *s++;
		}
	}
	*p = s;
	*to = o;
	return !quote;
}

static ssize_t read_line(struct sd_resp_reader *r, const char *p, size_t n)
{
	const char *lf = memchr(p, '\n', n);
	if (!lf)
		return n > SD_RESP_MAX_INLINE ? bad(r, "too big inline request") : wait_for(r, n + 1);
	const char *s = p, *end = lf > p && lf[-1] == '\r' ? lf - 1 : lf;
	if (end - p > SD_RESP_MAX_INLINE)
		return bad(r, "too big inline request");
	char *o = r->words = malloc((size_t)(end - p) + 1);
	if (!o)
		return bad(r, "out of memory");
	for (;;) {
		while (s < end && isspace((unsigned char)*s))
			s++;
		if (s >= end)
			break;
		char *from = o;
		if (!word(&s, end, &o))
			return bad(r, "unbalanced quotes in request");
		if (!add(r, (size_t)(from - r->words), (size_t)(o - from)))
			return bad(r, "out of memory");
	}
	r->at = (size_t)(lf - p) + 1;
	return done(r, r->words);
}

ssize_t sd_resp_read(struct sd_resp_reader *r, const char *p, size_t n, const struct sd_resp_limits *limits)
{
	if (n == 0)
		return wait_for(r, 1);
	if (r->open)
		return read_array(r, p, n, limits);
	return p[0] == '*' ? begin_array(r, p, n, limits) : read_line(r, p, n);
}

void sd_resp_reader_reset(struct sd_resp_reader *r)
{
	if (r->words)
		free(r->words);
	if (r->room > 1024) { /* one large request does not keep its memory for ever */
		free(r->places);
		free(r->argv);
		*r = (struct sd_resp_reader){0};
		return;
	}
	*r = (struct sd_resp_reader){.places = r->places, .argv = r->argv, .room = r->room};
}

void sd_resp_reader_free(struct sd_resp_reader *r)
{
	free(r->words);
	free(r->places);
	free(r->argv);
	*r = (struct sd_resp_reader){0};
}

/* ---- replies ---- */

char *sd_resp_room(struct sd_resp_out *o, size_t more)
{
	if (o->room - o->n >= more)
		return o->p + o->n;
	size_t room = o->room ? o->room : 4096;
	while (room - o->n < more)
		room *= 2;
	char *p = realloc(o->p, room);
	if (!p) {
		o->full = true;
		return NULL;
	}
	o->p = p;
	o->room = room;
	return p + o->n;
}

void sd_resp_raw(struct sd_resp_out *o, const void *p, size_t n)
{
	char *to = n ? sd_resp_room(o, n) : NULL;
	if (!to)
		return;
	memcpy(to, p, n);
	o->n += n;
}

size_t sd_resp_int_text(char out[24], int64_t v)
{
	char digits[20], *to = out;
	size_t n = 0;
	uint64_t u = v < 0 ? 0 - (uint64_t)v : (uint64_t)v;
	if (v < 0)
		*to++ = '-';
	do
		digits[n++] = (char)('0' + u % 10);
	while (u /= 10);
	while (n)
		*to++ = digits[--n];
	return (size_t)(to - out);
}

/* A type, a number, CRLF. */
static void head(struct sd_resp_out *o, char type, int64_t v)
{
	char *to = sd_resp_room(o, 28);
	if (!to)
		return;
	*to = type;
	size_t n = 1 + sd_resp_int_text(to + 1, v);
	to[n] = '\r';
	to[n + 1] = '\n';
	o->n += n + 2;
}

void sd_resp_simple(struct sd_resp_out *o, const char *text)
{
	size_t n = strlen(text);
	char *to = sd_resp_room(o, n + 3);
	if (!to)
		return;
	*to = '+';
	memcpy(to + 1, text, n);
	memcpy(to + 1 + n, "\r\n", 2);
	o->n += n + 3;
}

void sd_resp_error(struct sd_resp_out *o, const char *text)
{
	size_t n = strlen(text);
	while (n && (text[n - 1] == '\r' || text[n - 1] == '\n'))
		n--;
	char *to = sd_resp_room(o, n + 3);
	if (!to)
		return;
	*to++ = '-';
	for (size_t i = 0; i < n; i++)
		*to++ = text[i] == '\r' || text[i] == '\n' ? ' ' : text[i];
	memcpy(to, "\r\n", 2);
	o->n += n + 3;
}

void sd_resp_errorf(struct sd_resp_out *o, const char *format, ...)
{
	char *text;
	va_list ap;
	va_start(ap, format);
	int n = vasprintf(&text, format, ap);
	va_end(ap);
	if (n < 0) {
		o->full = true;
		return;
	}
	sd_resp_error(o, text);
	free(text);
}

void sd_resp_int(struct sd_resp_out *o, int64_t v)
{
	head(o, ':', v);
}

void sd_resp_bulk(struct sd_resp_out *o, const void *p, size_t n)
{
	char *to = sd_resp_room(o, n + 30);
	if (!to)
		return;
	head(o, '$', (int64_t)n);
	to = o->p + o->n;
	if (n)
		memcpy(to, p, n);
	memcpy(to + n, "\r\n", 2);
	o->n += n + 2;
}

void sd_resp_text(struct sd_resp_out *o, const char *text)
{
	sd_resp_bulk(o, text, strlen(text));
}

void sd_resp_null(struct sd_resp_out *o)
{
	sd_resp_raw(o, o->resp3 ? "_\r\n" : "$-1\r\n", o->resp3 ? 3 : 5);
}

void sd_resp_null_array(struct sd_resp_out *o)
{
	sd_resp_raw(o, o->resp3 ? "_\r\n" : "*-1\r\n", o->resp3 ? 3 : 5);
}

void sd_resp_array(struct sd_resp_out *o, size_t n)
{
	head(o, '*', (int64_t)n);
}

void sd_resp_map(struct sd_resp_out *o, size_t pairs)
{
	head(o, o->resp3 ? '%' : '*', (int64_t)(o->resp3 ? pairs : pairs * 2));
}

void sd_resp_set(struct sd_resp_out *o, size_t n)
{
	head(o, o->resp3 ? '~' : '*', (int64_t)n);
}

void sd_resp_push(struct sd_resp_out *o, size_t n)
{
	head(o, o->resp3 ? '>' : '*', (int64_t)n);
}

void sd_resp_bool(struct sd_resp_out *o, bool v)
{
	if (o->resp3)
		sd_resp_raw(o, v ? "#t\r\n" : "#f\r\n", 4);
	else
		sd_resp_int(o, v);
}

size_t sd_resp_double_text(char out[40], double v)
{
	if (isinf(v) || isnan(v))
		return (size_t)snprintf(out, 40, "%s", isnan(v) ? "nan" : v > 0 ? "inf" : "-inf");
	if (v == 0)
		return (size_t)snprintf(out, 40, "%s", signbit(v) ? "-0" : "0");
	if (v > -1e15 && v < 1e15 && v == (double)(int64_t)v) {
		size_t n = sd_resp_int_text(out, (int64_t)v);
		out[n] = '\0';
		return n;
	}
	return (size_t)snprintf(out, 40, "%.17g", v);
}

void sd_resp_double(struct sd_resp_out *o, double v)
{
	char text[40];
	size_t n = sd_resp_double_text(text, v);
	if (!o->resp3) {
		sd_resp_bulk(o, text, n);
		return;
	}
	sd_resp_raw(o, ",", 1);
	sd_resp_raw(o, text, n);
	sd_resp_raw(o, "\r\n", 2);
}

void sd_resp_verbatim(struct sd_resp_out *o, const char *kind, const char *text)
{
	size_t n = strlen(text);
	if (!o->resp3) {
		sd_resp_bulk(o, text, n);
		return;
	}
	head(o, '=', (int64_t)n + 4);
	sd_resp_raw(o, kind, 3);
	sd_resp_raw(o, ":", 1);
	sd_resp_raw(o, text, n);
	sd_resp_raw(o, "\r\n", 2);
}

size_t sd_resp_later(struct sd_resp_out *o)
{
	return o->n;
}

void sd_resp_now(struct sd_resp_out *o, size_t place, char type, size_t n)
{
	size_t body = o->n - place;
	if (o->full)
		return;
	bool map = type == '%';
	type = (type == '%' || type == '~' || type == '>') && !o->resp3 ? '*' : type;
	head(o, type, (int64_t)(map && !o->resp3 ? n * 2 : n));
	if (o->full)
		return;
	size_t h = o->n - place - body;
	char text[24];
	memcpy(text, o->p + place + body, h);
	memmove(o->p + place + h, o->p + place, body);
	memcpy(o->p + place, text, h);
}
