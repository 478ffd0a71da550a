/* http1_target.c - the four forms of a request target (RFC 9112 section 3.2), and what a host may look like.
 */
#include <string.h>
#include <strings.h>

#include "core/http1_int.h"

/* dec-octet "." dec-octet "." dec-octet "." dec-octet, and nothing else. */
static bool is_ipv4(const char *p, const char *end)
{
	for (int i = 0; i < 4; i++) {
		const char *start = p;
		int v = 0;
		while (p < end && p - start < 3 && sd_h1_is(*p, SD_H1_DIGIT))
			v = v * 10 + *p++ - '0';
		if (p == start || v > 255 || (*start == '0' && p - start > 1))
			return false;
		if (i < 3 && (p == end || *p++ != '.'))
			return false;
	}
	return p == end;
}

/* After a group: its colon, and the "::" that may come once. NULL when that is not what stands there. */
static const char *after_group(const char *p, const char *end, bool *gap)
{
	if (*p++ != ':' || p == end)
		return NULL;
	if (*p != ':')
		return p;
	if (*gap)
		return NULL;
	*gap = true;
	return p + 1;
}

/* Eight groups of one to four hex digits, fewer with one "::"; the last two may be written as IPv4. Zones and
 * IPvFuture are refused: neither has a meaning between hosts. */
static bool is_ipv6(const char *p, const char *end)
{
	int groups = 0;
	bool gap = end - p >= 2 && p[0] == ':' && p[1] == ':';
	p += gap ? 2 : 0;
	while (p < end) {
		const char *start = p;
		while (p < end && p - start < 4 && sd_h1_is(*p, SD_H1_HEX))
			p++;
		if (p == start)
			return false;
		groups++;
		if (p == end)
			break;
		if (*p == '.') {
			if (!is_ipv4(start, end))
				return false;
			groups++;
			break;
		}
		p = after_group(p, end, &gap);
		if (!p)
			return false;
	}
	return gap ? groups < 8 : groups == 8;
}

/* The byte after "[...]", or NULL. */
static const char *skip_literal(const char *p, const char *end)
{
	const char *close = memchr(p, ']', (size_t)(end - p));
	return close && is_ipv6(p + 1, close) ? close + 1 : NULL;
}

/* The byte after a registered name or IPv4 address, or NULL. */
static const char *skip_name(const char *p, const char *end)
{
	for (;;) {
		p = sd_h1_skip(p, end, SD_H1_REGNAME);
		if (p == end || *p != '%')
			return p;
		if (end - p < 3 || !sd_h1_is(p[1], SD_H1_HEX) || !sd_h1_is(p[2], SD_H1_HEX))
			return NULL;
		p += 3;
	}
}

/* The grammar lets a port be empty; a CONNECT needs one that can be connected to (RFC 9110 section 9.3.6). */
static bool is_port(const char *p, const char *end, bool needed)
{
	unsigned v = 0;
	for (; p < end && v <= 65535; p++) {
		if (!sd_h1_is(*p, SD_H1_DIGIT))
			return false;
		v = v * 10 + (unsigned)(*p - '0');
	}
	return v <= 65535 && (v > 0 || !needed);
}

bool sd_h1_authority(struct sd_slice s, bool port_needed)
{
	if (s.n == 0)
		return false;
	const char *end = s.p + s.n;
	const char *p = *s.p == '[' ? skip_literal(s.p, end) : skip_name(s.p, end);
	if (!p || p == s.p)
		return false;
	if (p == end)
		return !port_needed;
	return *p == ':' && is_port(p + 1, end, port_needed);
}

static void split_query(struct sd_http_head *head, const char *p, const char *end)
{
	const char *mark = memchr(p, '?', (size_t)(end - p));
	head->path = (struct sd_slice){p, (size_t)((mark ? mark : end) - p)};
	if (mark)
		head->query = (struct sd_slice){mark + 1, (size_t)(end - mark - 1)};
}

/* The byte after "http://" or "https://" in any case, or NULL. */
static const char *skip_scheme(struct sd_slice t)
{
	if (t.n >= 7 && strncasecmp(t.p, "http://", 7) == 0)
		return t.p + 7;
	if (t.n >= 8 && strncasecmp(t.p, "https://", 8) == 0)
		return t.p + 8;
	return NULL;
}

static int absolute_form(struct sd_h1 *h)
{
	struct sd_http_head *head = h->head;
	const char *end = head->target.p + head->target.n;
	const char *host = skip_scheme(head->target);
	if (!host)
		return sd_h1_refuse(h, 400, "request target of no known form (RFC 9112 3.2)");
	const char *p = host;
	while (p < end && *p != '/' && *p != '?')
		p++;
	head->host = (struct sd_slice){host, (size_t)(p - host)};
	if (!sd_h1_authority(head->host, false))
		return sd_h1_refuse(h, 400, "request target with an empty or invalid host (RFC 9110 4.2)");
	split_query(head, p, end);
	if (p == end && head->method == SD_HTTP_OPTIONS)
		head->path = (struct sd_slice){"*", 1}; /* RFC 9112 section 3.2.4 */
	else if (head->path.n == 0)
		head->path = (struct sd_slice){"/", 1};
	return 0;
}

static int authority_form(struct sd_h1 *h)
{
	if (!sd_h1_authority(h->head->target, true))
		return sd_h1_refuse(h, 400, "CONNECT to something other than host:port (RFC 9110 9.3.6)");
	h->head->host = h->head->target;
	return 0;
}

int sd_h1_target(struct sd_h1 *h)
{
	struct sd_http_head *head = h->head;
	struct sd_slice t = head->target;
	if (head->method == SD_HTTP_CONNECT)
		return authority_form(h);
	if (t.p[0] == '/') {
		split_query(head, t.p, t.p + t.n);
		return 0;
	}
	if (t.n != 1 || t.p[0] != '*')
		return absolute_form(h);
	if (head->method != SD_HTTP_OPTIONS)
		return sd_h1_refuse(h, 400, "target \"*\" without OPTIONS (RFC 9112 3.2.4)");
	head->path = t;
	return 0;
}
