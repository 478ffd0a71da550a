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
	/* method, target, "HTTP/1.1", Host, X-Forwarded-* with an IP, Via; Host may stand twice more (its own line when
	 * made from the target, and X-Forwarded-Host) */
	return fields_size(head) + head->method_text.n + head->target.n + 2 * head->host.n + hop->host.n + hop->via.n +
	       hop->proto.n + hop->traceparent.n + 336;
}

static char *put_request_line(char *o, const struct sd_http_head *head)
{
	o = put_slice(o, head->method_text);
	*o++ = ' ';
	if (head->target.n && head->target.p[0] == '/') {
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

static char *put_forwarded(char *o, const struct sd_http_head *head, const struct sd_proxy_hop *hop, bool has_proto,
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

size_t sd_proxy_request_head(char *out, const struct sd_http_head *head, const struct sd_proxy_hop *hop)
{
	bool has_proto = false, has_host = false;
	char *o = put_request_line(out, head);
	o = put_host(o, head->host.n ? head->host : hop->host);
	for (size_t i = 0; i < head->nfields; i++) {
		const struct sd_http_field *f = &head->fields[i];
		switch (f->id) {
		case SD_HTTP_F_HOST:
		case SD_HTTP_F_X_FORWARDED_FOR:
			continue; /* written anew */
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
		if ((claim && !hop->trusted) || is_old_trace(f, hop) || sd_http_hop_by_hop(head, f))
			continue;
		o = put_field(o, f);
	}
	o = put_forwarded(o, head, hop, has_proto, has_host);
	o = put_trace(o, hop);
	o = put_via(o, head->minor, hop);
	if (head->framing == SD_HTTP_BODY_CHUNKED)
		o = PUT_TEXT(o, "Transfer-Encoding: chunked\r\n");
	o = PUT_TEXT(o, "\r\n");
	return (size_t)(o - out);
}

size_t sd_proxy_answer_bound(const struct sd_http_head *head, const struct sd_proxy_hop *hop)
{
	return fields_size(head) + hop->via.n + 16;
}

size_t sd_proxy_answer_fields(char *out, const struct sd_http_head *head, const struct sd_proxy_hop *hop)
{
	char *o = out;
	for (size_t i = 0; i < head->nfields; i++) {
		const struct sd_http_field *f = &head->fields[i];
		if (f->id == SD_HTTP_F_CONTENT_LENGTH || sd_http_hop_by_hop(head, f))
			continue;
		o = put_field(o, f);
	}
	o = put_via(o, head->minor, hop);
	return (size_t)(o - out);
}
