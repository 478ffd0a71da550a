/* http1.c - walks the bytes of a head once and cuts it into slices.
 *
 * The walk takes bytes in order and refuses at the first that cannot be right, so its verdict on a message
 * depends on the bytes up to there and not on how they were split. A call with seen > 0 only searches the new
 * bytes (is_news) and starts the walk again, from the first byte, when there is something to say: an end, a
 * forbidden byte, or no room for more. That happens once a head (and once more for each skipped empty line),
 * so a message that comes in pieces is walked twice at most, beside the searching.
 *
 * Steps return 0 to go on, SD_HTTP_INCOMPLETE or SD_HTTP_BAD.
 */
#include <string.h>

#include "core/http1_int.h"

#define DEFAULT_MAX_HEAD   32768
#define DEFAULT_MAX_TARGET 8192
#define MAX_EMPTY_LINES    2

__attribute__((cold, noinline)) int sd_h1_refuse(struct sd_h1 *h, int status, const char *why)
{
	h->head->error_status = h->response ? 502 : status;
	h->head->error_reason = why;
	return SD_HTTP_BAD;
}

/* Refuses the byte at p: by its own name if it is forbidden anywhere, otherwise for not fitting there. */
__attribute__((cold, noinline)) static int refuse_byte(struct sd_h1 *h, const char *p, const char *why)
{
	if (*p == '\n')
		why = "bare LF (RFC 9112 2.2)";
	else if (*p == '\0')
		why = "NUL (RFC 9110 5.5)";
	else if (*p != '\r' && !sd_h1_is(*p, SD_H1_VALUE))
		why = "control byte (RFC 9110 5.5)";
	return sd_h1_refuse(h, 400, why);
}

__attribute__((cold, noinline)) static int no_line_end(struct sd_h1 *h, const char *why)
{
	if (h->p == h->end)
		return SD_HTTP_INCOMPLETE;
	if (*h->p != '\r')
		return refuse_byte(h, h->p, why);
	if (h->p + 1 == h->end)
		return SD_HTTP_INCOMPLETE;
	return sd_h1_refuse(h, 400, "bare CR (RFC 9112 2.2)");
}

/* CRLF, where nothing else may stand. */
static inline int line_end(struct sd_h1 *h, const char *why)
{
	if (h->end - h->p < 2 || memcmp(h->p, "\r\n", 2) != 0)
		return no_line_end(h, why);
	h->p += 2;
	return 0;
}

/* ---- fields ---- */

#define EACH(byte) (0x0101010101010101u * (byte))

static inline uint64_t load_little(const char *p)
{
	uint64_t x;
	memcpy(&x, p, sizeof x);
#if __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
	x = __builtin_bswap64(x);
#endif
	return x;
}

/* The top bit of each byte of x that is below 0x20 or is 0x7f. Bytes above the first such one may be marked
 * without cause (a borrow ran into them), so only the lowest mark counts. */
static inline uint64_t mark_controls(uint64_t x)
{
	uint64_t del = x ^ EACH(0x7f);
	return (((x - EACH(0x20)) & ~x) | ((del - EACH(0x01)) & ~del)) & EACH(0x80);
}

/* The first byte of [p, end) that no field value may hold, or end; eight at a time. */
static inline const char *skip_value(const char *p, const char *end)
{
	while (end - p >= 8) {
		uint64_t marks = mark_controls(load_little(p));
		if (!marks) {
			p += 8;
			continue;
		}
		p += __builtin_ctzll(marks) / 8;
		if (*p != '\t')
			return p;
		p++;
	}
	return sd_h1_skip(p, end, SD_H1_VALUE);
}

__attribute__((cold, noinline)) static int refuse_name(struct sd_h1 *h, const char *p)
{
	if (sd_h1_is_blank(*p) && p == h->p)
		return sd_h1_refuse(h, 400, "line begins with white space, obs-fold (RFC 9112 5.2)");
	if (sd_h1_is_blank(*p))
		return sd_h1_refuse(h, 400, "white space in or after a field name (RFC 9112 5.1)");
	if (*p == ':')
		return sd_h1_refuse(h, 400, "empty field name (RFC 9112 5)");
	if (*p == '\r')
		return sd_h1_refuse(h, 400, "field line without a colon, or bare CR (RFC 9112 5)");
	return refuse_byte(h, p, "field name is not a token (RFC 9110 5.1)");
}

static int field_line(struct sd_h1 *h)
{
	const char *name = h->p, *end = h->end;
	const char *colon = sd_h1_skip(name, end, SD_H1_TOKEN);
	if (colon == end)
		return SD_HTTP_INCOMPLETE;
	if (*colon != ':' || colon == name)
		return refuse_name(h, colon);
	const char *value = colon + 1;
	while (value < end && sd_h1_is_blank(*value))
		value++;
	h->p = skip_value(value, end);
	const char *last = h->p;
	int r = line_end(h, "");
	if (r)
		return r;
	while (last > value && sd_h1_is_blank(last[-1]))
		last--;
	struct sd_http_field *f = &h->head->fields[h->head->nfields++];
	f->name = (struct sd_slice){name, (size_t)(colon - name)};
	f->value = (struct sd_slice){value, (size_t)(last - value)};
	f->id = sd_h1_field_id(name, f->name.n);
	return f->id == SD_HTTP_F_OTHER ? 0 : sd_h1_field(h, f);
}

/* All field lines and the empty line. */
static int fields(struct sd_h1 *h)
{
	for (;;) {
		if (h->p == h->end)
			return SD_HTTP_INCOMPLETE;
		if (*h->p == '\r')
			return line_end(h, "");
		if (h->head->nfields == h->max_fields)
			return sd_h1_refuse(h, 431, "too many fields (RFC 6585 5)");
		int r = field_line(h);
		if (r)
			return r;
	}
}

/* ---- start lines ---- */

/* HTTP/d.d; that it is a version of ours is checked after the line, so that a malformed line is called that.
 */
static int version(struct sd_h1 *h)
{
	static const char shape[] = "HTTP/d.d";
	const char *p = h->p;
	if (h->end - p >= 8 && memcmp(p, "HTTP/1.1", 8) == 0) {
		h->head->minor = 1;
		h->p += 8;
		return 0;
	}
	for (int i = 0; i < 8; i++) {
		if (p + i == h->end)
			return SD_HTTP_INCOMPLETE;
		if (shape[i] == 'd' ? !sd_h1_is(p[i], SD_H1_DIGIT) : p[i] != shape[i])
			return refuse_byte(h, p + i, "malformed HTTP version (RFC 9112 2.3)");
	}
	h->odd_version = p[5] != '1' || p[7] > '1';
	h->head->minor = p[7] - '0';
	h->p += 8;
	return 0;
}

static int check_version(struct sd_h1 *h)
{
	return h->odd_version ? sd_h1_refuse(h, 505, "not HTTP/1.0 or HTTP/1.1 (RFC 9110 15.6.6)") : 0;
}

static int skip_empty_lines(struct sd_h1 *h)
{
	for (int i = 0; i < MAX_EMPTY_LINES; i++) {
		if (h->p < h->end && *h->p != '\r')
			return 0;
		int r = line_end(h, "");
		if (r)
			return r;
	}
	return 0;
}

static int method(struct sd_h1 *h)
{
	const char *start = h->p;
	const char *p = sd_h1_skip(start, h->end, SD_H1_TOKEN);
	if (p == h->end)
		return SD_HTTP_INCOMPLETE;
	if (*p != ' ' || p == start)
		return refuse_byte(h, p,
				   "request line does not begin with a method and a space (RFC 9112 3)");
	h->head->method_text = (struct sd_slice){start, (size_t)(p - start)};
	h->head->method = sd_h1_method(start, (size_t)(p - start));
	h->p = p + 1;
	return 0;
}

static int target(struct sd_h1 *h)
{
	const char *start = h->p;
	bool room = (size_t)(h->end - start) > h->max_target;
	const char *p = sd_h1_skip(start, room ? start + h->max_target : h->end, SD_H1_TARGET);
	if (p == h->end)
		return SD_HTTP_INCOMPLETE;
	if (sd_h1_is(*p, SD_H1_TARGET))
		return sd_h1_refuse(h, 414, "request target too long (RFC 9112 3)");
	if (*p == '\r')
		return sd_h1_refuse(h, 400, "request line ends without an HTTP version (RFC 9112 3)");
	if (*p != ' ')
		return refuse_byte(h, p, "byte that a request target may not hold (RFC 9112 3.2)");
	if (p == start)
		return sd_h1_refuse(h, 400, "empty request target (RFC 9112 3)");
	h->head->target = (struct sd_slice){start, (size_t)(p - start)};
	h->p = p + 1;
	return 0;
}

static int request_line(struct sd_h1 *h)
{
	int r;
	if ((r = skip_empty_lines(h)) || (r = method(h)) || (r = target(h)) || (r = version(h)) ||
	    (r = line_end(h, "malformed HTTP version (RFC 9112 2.3)")) || (r = check_version(h)))
		return r;
	return sd_h1_target(h);
}

/* SP 3DIGIT; codes outside 100..599 are invalid (RFC 9110 section 15). */
static int status_code(struct sd_h1 *h)
{
	int code = 0;
	for (int i = 0; i < 4; i++, h->p++) {
		if (h->p == h->end)
			return SD_HTTP_INCOMPLETE;
		if (i == 0 ? *h->p != ' ' : !sd_h1_is(*h->p, SD_H1_DIGIT))
			return refuse_byte(h, h->p, "malformed status line (RFC 9112 4)");
		code = i ? code * 10 + (*h->p - '0') : 0;
	}
	if (code < 100 || code > 599)
		return sd_h1_refuse(h, 502, "status code outside 100 to 599 (RFC 9110 15)");
	h->head->status = code;
	return 0;
}

/* [SP reason] CRLF: many servers leave out the space together with the phrase, and nothing hangs on it. */
static int reason(struct sd_h1 *h)
{
	if (h->p < h->end && *h->p == ' ') {
		const char *start = h->p + 1;
		h->p = skip_value(start, h->end);
		h->head->reason = (struct sd_slice){start, (size_t)(h->p - start)};
	}
	return line_end(h, "malformed status line (RFC 9112 4)");
}

static int status_line(struct sd_h1 *h)
{
	int r;
	if ((r = version(h)) || (r = status_code(h)) || (r = reason(h)))
		return r;
	return check_version(h);
}

/* ---- whole heads ---- */

static int walk(struct sd_h1 *h)
{
	struct sd_http_head *head = h->head;
	memset(head, 0, offsetof(struct sd_http_head, fields));
	head->error_status = 0;
	head->error_reason = NULL;
	int r;
	if ((r = h->response ? status_line(h) : request_line(h)) || (r = fields(h)))
		return r;
	return sd_h1_finish(h);
}

/* Is there a reason to walk, in the bytes from seen > 0 on: an empty line, or a byte that cannot be right?
 * Relies on the bytes before having been found in order. */
static bool is_news(const char *buf, size_t len, size_t seen)
{
	for (const char *p = buf + seen, *end = buf + len; (p = skip_value(p, end)) < end; p++) {
		if (*p == '\n' && p[-1] == '\r' && !(p - buf >= 2 && p[-2] == '\n'))
			continue;
		if (*p != '\r' || (p + 1 < end && p[1] != '\n'))
			return true;
	}
	return seen < len && buf[seen - 1] == '\r' && buf[seen] != '\n';
}

static ssize_t parse(struct sd_h1 *h, const char *buf, size_t len, size_t seen,
		     const struct sd_http_limits *l)
{
	size_t max_head = l && l->max_head ? l->max_head : DEFAULT_MAX_HEAD;
	if (len == 0)
		return SD_HTTP_INCOMPLETE;
	if (seen > 0 && len < max_head && !is_news(buf, len, seen < len ? seen : len))
		return SD_HTTP_INCOMPLETE;
	h->p = buf;
	h->end = buf + (len < max_head ? len : max_head);
	h->max_target = l && l->max_target ? l->max_target : DEFAULT_MAX_TARGET;
	h->max_fields =
	    l && l->max_fields && l->max_fields < SD_HTTP_MAX_FIELDS ? l->max_fields : SD_HTTP_MAX_FIELDS;
	int r = walk(h);
	if (r == SD_HTTP_INCOMPLETE && len >= max_head)
		return sd_h1_refuse(h, 431, "head too long (RFC 6585 5)");
	return r ? r : h->p - buf;
}

ssize_t sd_http_parse_request(const char *buf, size_t len, size_t seen, const struct sd_http_limits *limits,
			      struct sd_http_head *head)
{
	struct sd_h1 h = {.head = head};
	return parse(&h, buf, len, seen, limits);
}

ssize_t sd_http_parse_response(const char *buf, size_t len, size_t seen, const struct sd_http_limits *limits,
			       enum sd_http_method method_asked, struct sd_http_head *head)
{
	struct sd_h1 h = {.head = head, .response = true, .asked = method_asked};
	return parse(&h, buf, len, seen, limits);
}
