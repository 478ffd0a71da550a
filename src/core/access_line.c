#include "access_line.h"

#include <string.h>

#include "core/http1_write.h"
#include "core/time_text.h"
#include "core/utf8.h"

/* Most bytes a text may take in a line, escaped. Eight of them, a target and what stands between fit SD_ACCESS_LINE_MAX. */
#define TEXT_MAX   384
#define TARGET_MAX 4096

static char *put(char *o, const char *text)
{
	size_t n = strlen(text);
	memcpy(o, text, n);
	return o + n;
}

static char *put_number(char *o, uint64_t v)
{
	return o + sd_u64_dec(o, v);
}

/* Milliseconds with three decimals. */
static char *put_ms(char *o, int64_t ns)
{
	uint64_t us = ns > 0 ? (uint64_t)ns / 1000 : 0;
	o = put_number(o, us / 1000);
	*o++ = '.';
	*o++ = (char)('0' + us / 100 % 10);
	*o++ = (char)('0' + us / 10 % 10);
	*o++ = (char)('0' + us % 10);
	return o;
}

static char hex(unsigned v)
{
	return "0123456789abcdef"[v & 15];
}

/* ---- texts ---- */

/* One step of escaping: up to 6 bytes to `to` for what *used bytes of p say. */
typedef size_t (*escape)(char to[6], const char *p, size_t n, size_t *used);

static size_t escape_json(char to[6], const char *p, size_t n, size_t *used)
{
	unsigned char c = (unsigned char)*p;
	size_t length = sd_utf8_length(p, n);
	*used = length ? length : 1;
	if (c == '"' || c == '\\') {
		to[0] = '\\';
		to[1] = (char)c;
		return 2;
	}
	if (length && c >= ' ' && c != 127) {
		memcpy(to, p, length);
		return length;
	}
	memcpy(to, length ? "\\u00" : "\\ufffd", length ? 4 : 6);
	if (!length)
		return 6;
	to[4] = hex(c >> 4);
	to[5] = hex(c);
	return 6;
}

static size_t escape_plain(char to[6], const char *p, size_t n, size_t *used)
{
	unsigned char c = (unsigned char)*p;
	(void)n;
	*used = 1;
	to[0] = (char)c;
	if (c >= ' ' && c < 127 && c != '"' && c != '\\')
		return 1;
	to[0] = '\\';
	to[1] = (char)c;
	if (c == '"' || c == '\\')
		return 2;
	to[1] = 'x';
	to[2] = hex(c >> 4);
	to[3] = hex(c);
	return 4;
}

/* At most max bytes; *cut when that was not all. */
static char *put_text(char *o, struct sd_slice s, escape step, size_t max, bool *cut)
{
	const char *end = o + max;
	for (size_t i = 0, used; i < s.n; i += used) {
		char to[6];
		size_t n = step(to, s.p + i, s.n - i, &used);
		if (n > (size_t)(end - o)) {
			if (cut)
				*cut = true;
			break;
		}
		memcpy(o, to, n);
		o += n;
	}
	return o;
}

static char *put_or_dash(char *o, struct sd_slice s, size_t max)
{
	return s.n ? put_text(o, s, escape_plain, max, NULL) : put(o, "-");
}

/* A word of a line made of words: a blank in it would make two. */
static char *put_word(char *o, struct sd_slice s)
{
	char *from = o;
	o = put_or_dash(o, s, TEXT_MAX);
	for (; from < o; from++)
		if (*from == ' ')
			*from = '_';
	return o;
}

/* ---- json ---- */

static const char *const ends[] = {
    [SD_ACCESS_DONE] = "done",
    [SD_ACCESS_LOCAL] = "answered here",
    [SD_ACCESS_BACKEND_FAILED] = "backend failed",
    [SD_ACCESS_CLIENT_GONE] = "client gone",
    [SD_ACCESS_REFUSED] = "refused",
};

static char *json_text(char *o, const char *key, struct sd_slice s, size_t max, bool *cut)
{
	if (!s.n)
		return o;
	o = put(o, ",\"");
	o = put(o, key);
	o = put(o, "\":\"");
	o = put_text(o, s, escape_json, max, cut);
	*o++ = '"';
	return o;
}

static char *json_number(char *o, const char *key, uint64_t v)
{
	o = put(o, ",\"");
	o = put(o, key);
	o = put(o, "\":");
	return put_number(o, v);
}

static char *json_ms(char *o, const char *key, int64_t ns)
{
	if (ns == SD_ACCESS_NONE)
		return o;
	o = put(o, ",\"");
	o = put(o, key);
	o = put(o, "\":");
	return put_ms(o, ns);
}

static char *json_times(char *o, const struct sd_access_line *l)
{
	o = json_ms(o, "queue_ms", l->queue_ns);
	o = json_ms(o, "connect_ms", l->connect_ns);
	o = json_ms(o, "first_byte_ms", l->first_byte_ns);
	return json_ms(o, "total_ms", l->total_ns);
}

static char *put_json(char *o, const struct sd_access_line *l)
{
	bool cut = false;
	o = put(o, "{\"time\":\"");
	o += sd_time_text(o, l->wall_ns);
	*o++ = '"';
	o = json_text(o, "client", l->client, TEXT_MAX, NULL);
	o = json_text(o, "method", l->method, TEXT_MAX, NULL);
	o = json_text(o, "target", l->target, TARGET_MAX, &cut);
	o = json_text(o, "host", l->host, TEXT_MAX, NULL);
	o = json_text(o, "protocol", sd_slice_of(l->minor ? "HTTP/1.1" : "HTTP/1.0"), TEXT_MAX, NULL);
	o = json_number(o, "status", (uint64_t)(l->status > 0 ? l->status : 0));
	o = json_number(o, "bytes_in", l->bytes_in);
	o = json_number(o, "bytes_out", l->bytes_out);
	o = json_times(o, l);
	o = json_text(o, "backend", l->backend, TEXT_MAX, NULL);
	o = json_number(o, "retries", l->retries);
	o = json_text(o, "end", sd_slice_of(ends[l->end]), TEXT_MAX, NULL);
	o = json_text(o, "why", l->why, TEXT_MAX, NULL);
	o = json_text(o, "trace", l->trace, TEXT_MAX, NULL);
	o = json_text(o, "referer", l->referer, TEXT_MAX, NULL);
	o = json_text(o, "user_agent", l->user_agent, TEXT_MAX, NULL);
	return put(o, cut ? ",\"cut\":true}" : "}");
}

/* ---- for people ---- */

static char *human_time(char *o, const char *name, int64_t ns)
{
	if (ns == SD_ACCESS_NONE)
		return o;
	o = put(o, o[-1] == '(' ? "" : ", ");
	o = put(o, name);
	return put_ms(o, ns);
}

static char *human_rest(char *o, const struct sd_access_line *l)
{
	if (l->retries) {
		o = put(o, " retries ");
		o = put_number(o, l->retries);
	}
	if (l->end != SD_ACCESS_DONE) {
		o = put(o, " (");
		o = put(o, ends[l->end]);
		if (l->why.n) {
			o = put(o, ": ");
			o = put_text(o, l->why, escape_plain, TEXT_MAX, NULL);
		}
		*o++ = ')';
	}
	if (l->trace.n) {
		o = put(o, " trace ");
		o = put_word(o, l->trace);
	}
	return o;
}

static char *put_human(char *o, const struct sd_access_line *l)
{
	o += sd_time_text(o, l->wall_ns);
	*o++ = ' ';
	o = put_word(o, l->client);
	*o++ = ' ';
	o = put_word(o, l->method);
	*o++ = ' ';
	o = put_or_dash(o, l->target, TARGET_MAX);
	*o++ = ' ';
	o = put_number(o, (uint64_t)(l->status > 0 ? l->status : 0));
	*o++ = ' ';
	o = put_number(o, l->bytes_out);
	o = put(o, "B ");
	o = put_word(o, l->backend);
	*o++ = ' ';
	o = put_ms(o, l->total_ns);
	o = put(o, "ms");
	char *times = put(o, " (");
	char *all = human_time(times, "queue ", l->queue_ns);
	all = human_time(all, "connect ", l->connect_ns);
	all = human_time(all, "first byte ", l->first_byte_ns);
	if (all > times) {
		o = all;
		*o++ = ')';
	}
	return human_rest(o, l);
}

/* ---- common log format ---- */

static char *two(char *o, unsigned v)
{
	*o++ = (char)('0' + v / 10 % 10);
	*o++ = (char)('0' + v % 10);
	return o;
}

static char *put_clock(char *o, int64_t wall_ns)
{
	static const char months[] = "JanFebMarAprMayJunJulAugSepOctNovDec";
	int64_t s = wall_ns / 1000000000;
	unsigned day, month, second = (unsigned)(s % 86400);
	int year;
	sd_civil_from_days(s / 86400, &year, &month, &day);
	o = two(o, day);
	*o++ = '/';
	memcpy(o, months + 3 * (month - 1), 3);
	o += 3;
	*o++ = '/';
	o = two(o, (unsigned)year / 100);
	o = two(o, (unsigned)year);
	*o++ = ':';
	o = two(o, second / 3600);
	*o++ = ':';
	o = two(o, second / 60 % 60);
	*o++ = ':';
	o = two(o, second % 60);
	return put(o, " +0000");
}

static char *put_common(char *o, const struct sd_access_line *l)
{
	o = put_word(o, l->client);
	o = put(o, " - - [");
	o = put_clock(o, l->wall_ns);
	o = put(o, "] \"");
	if (l->method.n) {
		o = put_text(o, l->method, escape_plain, TEXT_MAX, NULL);
		*o++ = ' ';
		o = put_text(o, l->target, escape_plain, TARGET_MAX, NULL);
		o = put(o, l->minor ? " HTTP/1.1" : " HTTP/1.0");
	} else {
		*o++ = '-';
	}
	o = put(o, "\" ");
	o = put_number(o, (uint64_t)(l->status > 0 ? l->status : 0));
	*o++ = ' ';
	return l->bytes_out ? put_number(o, l->bytes_out) : put(o, "-");
}

static char *put_combined(char *o, const struct sd_access_line *l)
{
	o = put_common(o, l);
	o = put(o, " \"");
	o = put_or_dash(o, l->referer, TEXT_MAX);
	o = put(o, "\" \"");
	o = put_or_dash(o, l->user_agent, TEXT_MAX);
	return put(o, "\"");
}

size_t sd_access_line_write(char out[SD_ACCESS_LINE_MAX], enum sd_access_format format, const struct sd_access_line *line)
{
	static char *(*const writers[])(char *, const struct sd_access_line *) = {
	    [SD_ACCESS_HUMAN] = put_human,
	    [SD_ACCESS_JSON] = put_json,
	    [SD_ACCESS_COMMON] = put_common,
	    [SD_ACCESS_COMBINED] = put_combined,
	};
	char *o = writers[format](out, line);
	*o++ = '\n';
	return (size_t)(o - out);
}
