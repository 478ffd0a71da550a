#include "proxy_head.h"

#include "core/http1_write.h"

static inline char *put(char *o, const char *p, size_t n)
{
	if (!p || n == 0)
		return o;
	memcpy(o, p, n);
	return o + n;
}

#define PUT_TEXT(o, text) put(o, text, sizeof(text) - 1)

static inline char *put_slice(char *o, struct sd_slice s)
{
	return put(o, s.p, s.n);
}

/* Name, colon, value and CRLF lie side by side in what the client sent, but for optional white space. */
static char *put_field(char *o, const struct sd_http_field *f)
{
	o = put_slice(o, f->name);
	o = PUT_TEXT(o, ": ");
	o = put_slice(o, f->value);
	return PUT_TEXT(o, "\r\n");
}

static size_t fields_size(const struct sd_http_head *head)
{
	size_t n = 0;
	for (size_t i = 0; i < head->nfields; i++)
		n += head->fields[i].name.n + head->fields[i].value.n + 4;
	return n;
}

size_t sd_proxy_request_bound(const struct sd_http_head *head, const struct sd_proxy_hop *hop)
{
	size_t chain = 0; /* an address of two bytes becomes an element of twelve */
	for (size_t i = 0; i < head->nfields; i++)
		chain += head->fields[i].id == SD_HTTP_F_X_FORWARDED_FOR ? 7 * head->fields[i].value.n + 16 : 0;
	/* method, target, "HTTP/1.1", Host, X-Forwarded-* with an IP, Via; Host may stand three times more (its own line
	 * when made from the target, X-Forwarded-Host, and Forwarded) */
	return fields_size(head) + head->method_text.n + head->target.n + 3 * head->host.n + hop->host.n + 2 * hop->via.n +
	       2 * hop->proto.n + hop->upgrade.n + hop->traceparent.n + hop->target.n + hop->set_host.n + hop->lines.n + chain +
	       512;
}

static char *put_request_line(char *o, const struct sd_http_head *head, struct sd_slice target)
{
	o = put_slice(o, head->method_text);
	*o++ = ' ';
	if (target.n) {
		o = put_slice(o, target);
	} else if (head->target.n && head->target.p[0] == '/') {
		o = put_slice(o, head->target);
	} else {
		/* absolute form becomes origin form; "*" is its own path */
		o = put_slice(o, head->path);
		if (head->query.p)
			*o++ = '?';
		o = put_slice(o, head->query);
	}
	return PUT_TEXT(o, " HTTP/1.1\r\n");
}

static char *put_host(char *o, struct sd_slice host)
{
	o = PUT_TEXT(o, "Host: ");
	o = put_slice(o, host);
	return PUT_TEXT(o, "\r\n");
}

/* X-Forwarded-For: the chain a trusted proxy brought, then the client we see. One that came over a UNIX socket or from
 * inside the process has no address to add. */
static char *put_forwarded_for(char *o, const struct sd_http_head *head, const struct sd_proxy_hop *hop)
{
	static const char name[] = "X-Forwarded-For: ";
	char ip[46], *start = o;
	bool first = true;
	o = PUT_TEXT(o, name);
	for (size_t i = 0; hop->trusted && i < head->nfields; i++) {
		if (head->fields[i].id != SD_HTTP_F_X_FORWARDED_FOR || !head->fields[i].value.n)
			continue;
		if (!first)
			o = PUT_TEXT(o, ", ");
		o = put_slice(o, head->fields[i].value);
		first = false;
	}
	if (hop->client->kind == SD_ADDR_INET) {
		if (!first)
			o = PUT_TEXT(o, ", ");
		o = put(o, ip, sd_peer_format(hop->client, ip));
		first = false;
	}
	return first ? start : PUT_TEXT(o, "\r\n");
}

/* ---- Forwarded ---- */

static bool is_token(struct sd_slice s)
{
	static const char others[] = "!#$%&'*+-.^_`|~";
	for (size_t i = 0; i < s.n; i++) {
		char c = s.p[i], lower = (char)(c | 0x20);
		if (!(c >= '0' && c <= '9') && !(lower >= 'a' && lower <= 'z') && !memchr(others, c, sizeof(others) - 1))
			return false;
	}
	return s.n > 0;
}

/* for=ADDRESS; IPv6 in brackets, and whatever has a colon in quotes (RFC 7239 section 6). Port 0: none. */
static char *put_node(char *o, const struct sd_peer *p)
{
	char ip[46];
	o = PUT_TEXT(o, "for=");
	if (p->kind != SD_ADDR_INET)
		return PUT_TEXT(o, "unknown");
	bool quoted = p->v6 || p->port;
	if (quoted)
		*o++ = '"';
	o = p->v6 ? PUT_TEXT(o, "[") : o;
	o = put(o, ip, sd_peer_format(p, ip));
	o = p->v6 ? PUT_TEXT(o, "]") : o;
	if (p->port) {
		*o++ = ':';
		o += sd_u64_dec(o, p->port);
	}
	if (quoted)
		*o++ = '"';
	return o;
}

/* An address of X-Forwarded-For or Forwarded: "1.2.3.4", "1.2.3.4:80", "::1", "[::1]", "[::1]:80". */
static bool parse_node(struct sd_slice s, struct sd_peer *out)
{
	*out = (struct sd_peer){.kind = SD_ADDR_INET};
	if (s.n > 1 && s.p[0] == '[') {
		const char *end = memchr(s.p, ']', s.n);
		if (!end || (end + 1 < s.p + s.n && end[1] != ':'))
			return false;
		return sd_ip_parse((struct sd_slice){s.p + 1, (size_t)(end - s.p) - 1}, out->ip, &out->v6) && out->v6;
	}
	if (memchr(s.p, '\0', s.n))
		return false;
	if (sd_ip_parse(s, out->ip, &out->v6))
		return true;
	const char *colon = memchr(s.p, ':', s.n);
	return colon && sd_ip_parse((struct sd_slice){s.p, (size_t)(colon - s.p)}, out->ip, &out->v6) && !out->v6;
}

static char *put_comma(char *o, bool *first)
{
	if (!*first)
		o = PUT_TEXT(o, ", ");
	*first = false;
	return o;
}

/* What a trusted proxy brought: its Forwarded, else its X-Forwarded-For in these words. */
static char *put_chain(char *o, const struct sd_http_head *head, bool *first)
{
	bool own = sd_http_find(head, SD_HTTP_F_FORWARDED) != NULL;
	for (size_t i = 0; i < head->nfields; i++) {
		const struct sd_http_field *f = &head->fields[i];
		struct sd_slice list = f->value, item;
		struct sd_peer p;
		if (own && f->id == SD_HTTP_F_FORWARDED && f->value.n)
			o = put_slice(put_comma(o, first), f->value);
		while (!own && f->id == SD_HTTP_F_X_FORWARDED_FOR && sd_http_list_next(&list, &item)) {
			if (!parse_node(item, &p))
				p.kind = SD_ADDR_NONE;
			o = put_node(put_comma(o, first), &p);
		}
	}
	return o;
}

static char *put_rfc7239(char *o, const struct sd_http_head *head, const struct sd_proxy_hop *hop)
{
	bool first = true, token = is_token(head->host);
	o = PUT_TEXT(o, "Forwarded: ");
	if (hop->trusted)
		o = put_chain(o, head, &first);
	o = put_node(put_comma(o, &first), hop->client);
	o = PUT_TEXT(o, ";proto=");
	o = put_slice(o, hop->proto);
	if (head->host.n) {
		o = token ? PUT_TEXT(o, ";host=") : PUT_TEXT(o, ";host=\"");
		o = put_slice(o, head->host); /* no quote and no backslash is in a host */
		o = token ? o : PUT_TEXT(o, "\"");
	}
	o = PUT_TEXT(o, ";by=_");
	o = put_slice(o, hop->via);
	return PUT_TEXT(o, "\r\n");
}

/* ---- the client ---- */

bool sd_proxy_is_trusted(const struct sd_peer *peer, const struct sd_cidr *trusted, size_t n)
{
	if (peer->kind != SD_ADDR_INET)
		return true;
	for (size_t i = 0; i < n; i++)
		if (sd_cidr_has(&trusted[i], peer->ip, peer->v6))
			return true;
	return false;
}

struct search {
	const struct sd_cidr *trusted;
	size_t n;
	struct sd_peer found; /* kind NONE: what stood there is no address */
	struct sd_peer next;  /* behind it; kind NONE: nothing yet */
	bool any;
};

/* From left to right, so the last one that counts wins. */
static void look_at(struct search *s, struct sd_slice node)
{
	struct sd_peer p;
	bool address = parse_node(node, &p);
	if (!s->any || !address || !sd_proxy_is_trusted(&p, s->trusted, s->n)) {
		s->any = true;
		s->found = address ? p : (struct sd_peer){0};
		s->next = (struct sd_peer){0};
	} else if (s->next.kind == SD_ADDR_NONE) {
		s->next = p;
	}
}

/* The for parameter of one element; empty when it has none. */
static struct sd_slice node_of(struct sd_slice element)
{
	while (element.n) {
		const char *semi = memchr(element.p, ';', element.n);
		struct sd_slice pair = {element.p, semi ? (size_t)(semi - element.p) : element.n};
		element.p += pair.n + (semi != NULL);
		element.n -= pair.n + (semi != NULL);
		while (pair.n && pair.p[0] == ' ')
			pair = (struct sd_slice){pair.p + 1, pair.n - 1};
		if (pair.n < 4 || strncasecmp(pair.p, "for=", 4) != 0)
			continue;
		pair = (struct sd_slice){pair.p + 4, pair.n - 4};
		bool quoted = pair.n > 1 && pair.p[0] == '"' && pair.p[pair.n - 1] == '"';
		return quoted ? (struct sd_slice){pair.p + 1, pair.n - 2} : pair;
	}
	return (struct sd_slice){"", 0};
}

struct sd_peer sd_proxy_client(const struct sd_http_head *head, const struct sd_peer *peer, const struct sd_cidr *trusted,
			       size_t n)
{
	struct search s = {.trusted = trusted, .n = n};
	bool x = sd_http_find(head, SD_HTTP_F_X_FORWARDED_FOR) != NULL;
	if (!sd_proxy_is_trusted(peer, trusted, n))
		return *peer;
	for (size_t i = 0; i < head->nfields; i++) {
		const struct sd_http_field *f = &head->fields[i];
		struct sd_slice list = f->value, item;
		if (f->id != (x ? SD_HTTP_F_X_FORWARDED_FOR : SD_HTTP_F_FORWARDED))
			continue;
		while (sd_http_list_next(&list, &item))
			look_at(&s, x ? item : node_of(item));
	}
	if (s.any && s.found.kind == SD_ADDR_INET)
		return s.found;
	return s.any && s.next.kind == SD_ADDR_INET ? s.next : *peer;
}

/* ---- request heads ---- */

static char *put_x_forwarded(char *o, const struct sd_http_head *head, const struct sd_proxy_hop *hop, bool has_proto,
			     bool has_host)
{
	o = put_forwarded_for(o, head, hop);
	if (!has_proto) {
		o = PUT_TEXT(o, "X-Forwarded-Proto: ");
		o = put_slice(o, hop->proto);
		o = PUT_TEXT(o, "\r\n");
	}
	if (!has_host && head->host.n) {
		o = PUT_TEXT(o, "X-Forwarded-Host: ");
		o = put_slice(o, head->host);
		o = PUT_TEXT(o, "\r\n");
	}
	return o;
}

/* Is this what the request says of its trace, where something else stands in its place? */
static bool is_old_trace(const struct sd_http_field *f, const struct sd_proxy_hop *hop)
{
	return hop->traceparent.n && (f->id == SD_HTTP_F_TRACEPARENT || (f->id == SD_HTTP_F_TRACESTATE && hop->trace_begins));
}

static char *put_trace(char *o, const struct sd_proxy_hop *hop)
{
	if (!hop->traceparent.n)
		return o;
	o = PUT_TEXT(o, "traceparent: ");
	o = put_slice(o, hop->traceparent);
	return PUT_TEXT(o, "\r\n");
}

static char *put_via(char *o, int minor, const struct sd_proxy_hop *hop)
{
	o = minor ? PUT_TEXT(o, "Via: 1.1 ") : PUT_TEXT(o, "Via: 1.0 ");
	o = put_slice(o, hop->via);
	return PUT_TEXT(o, "\r\n");
}

/* A Max-Forwards that is a number, in a request whose method it counts for. */
static bool counts_hops(const struct sd_http_head *head, const struct sd_http_field *f)
{
	if (f->id != SD_HTTP_F_MAX_FORWARDS || (head->method != SD_HTTP_OPTIONS && head->method != SD_HTTP_TRACE))
		return false;
	for (size_t i = 0; i < f->value.n; i++)
		if (f->value.p[i] < '0' || f->value.p[i] > '9')
			return false;
	return f->value.n > 0;
}

static bool is_zero(struct sd_slice number)
{
	while (number.n && number.p[number.n - 1] == '0')
		number.n--;
	return number.n == 0;
}

bool sd_proxy_is_last_hop(const struct sd_http_head *head)
{
	for (size_t i = 0; i < head->nfields; i++)
		if (counts_hops(head, &head->fields[i]) && is_zero(head->fields[i].value))
			return true;
	return false;
}

/* One less, in as many digits, so that no number is too large. */
static char *put_hops_left(char *o, struct sd_slice number)
{
	o = PUT_TEXT(o, "Max-Forwards: ");
	o = put_slice(o, number);
	char *digit = o - 1;
	for (; *digit == '0'; digit--)
		*digit = '9';
	--*digit;
	return PUT_TEXT(o, "\r\n");
}

size_t sd_proxy_request_head(char *out, const struct sd_http_head *head, const struct sd_proxy_hop *hop)
{
	bool has_proto = false, has_host = false;
	char *o = put_request_line(out, head, hop->target);
	o = put_host(o, hop->set_host.n ? hop->set_host : head->host.n ? head->host : hop->host);
	for (size_t i = 0; i < head->nfields; i++) {
		const struct sd_http_field *f = &head->fields[i];
		switch (f->id) {
		case SD_HTTP_F_HOST:
			continue; /* written anew */
		case SD_HTTP_F_X_FORWARDED_FOR:
			if (hop->style != SD_PROXY_FORWARDED || !hop->trusted)
				continue;
			break;
		case SD_HTTP_F_FORWARDED:
			if (hop->style != SD_PROXY_X_FORWARDED)
				continue;
			break;
		case SD_HTTP_F_X_FORWARDED_PROTO:
			has_proto |= hop->trusted;
			break;
		case SD_HTTP_F_X_FORWARDED_HOST:
			has_host |= hop->trusted;
			break;
		default:
			break;
		}
		bool claim = f->id == SD_HTTP_F_X_FORWARDED_PROTO || f->id == SD_HTTP_F_X_FORWARDED_HOST ||
			     f->id == SD_HTTP_F_FORWARDED;
		if ((claim && !hop->trusted) || is_old_trace(f, hop) || sd_http_hop_by_hop(head, f) ||
		    (hop->edit && sd_head_edit_drops(hop->edit, f->name)))
			continue;
		bool counted = counts_hops(head, f) && !is_zero(f->value);
		o = counted ? put_hops_left(o, f->value) : put_field(o, f);
	}
	if (hop->style != SD_PROXY_FORWARDED)
		o = put_x_forwarded(o, head, hop, has_proto, has_host);
	if (hop->style != SD_PROXY_X_FORWARDED)
		o = put_rfc7239(o, head, hop);
	o = put_trace(o, hop);
	o = put_slice(o, hop->lines);
	o = put_via(o, head->minor, hop);
	if (hop->upgrade.n) {
		o = PUT_TEXT(o, "Connection: Upgrade\r\nUpgrade: ");
		o = put_slice(o, hop->upgrade);
		o = PUT_TEXT(o, "\r\n");
	}
	if (head->framing == SD_HTTP_BODY_CHUNKED)
		o = PUT_TEXT(o, "Transfer-Encoding: chunked\r\n");
	o = PUT_TEXT(o, "\r\n");
	return (size_t)(o - out);
}

size_t sd_proxy_answer_bound(const struct sd_http_head *head, const struct sd_proxy_hop *hop)
{
	return fields_size(head) + hop->via.n + hop->lines.n + 16;
}

size_t sd_proxy_answer_fields(char *out, const struct sd_http_head *head, const struct sd_proxy_hop *hop)
{
	char *o = out;
	for (size_t i = 0; i < head->nfields; i++) {
		const struct sd_http_field *f = &head->fields[i];
		if (f->id == SD_HTTP_F_CONTENT_LENGTH || sd_http_hop_by_hop(head, f) ||
		    (hop->edit && sd_head_edit_drops(hop->edit, f->name)))
			continue;
		o = put_field(o, f);
	}
	o = put_slice(o, hop->lines);
	o = put_via(o, head->minor, hop);
	return (size_t)(o - out);
}
