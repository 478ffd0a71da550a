/* http1_fields.c - what fields mean to the message: framing, persistence, Host, Expect; and lists in values.
 */
#include <string.h>
#include <strings.h>

#include "core/http1_int.h"

static struct sd_slice trim(const char *p, const char *end)
{
	while (p < end && sd_h1_is_blank(*p))
		p++;
	while (end > p && sd_h1_is_blank(end[-1]))
		end--;
	return (struct sd_slice){p, (size_t)(end - p)};
}

/* s without regard to case; lower is in lower case, of n bytes. */
static inline bool is_word(struct sd_slice s, const char *lower, size_t n)
{
	return s.n == n && strncasecmp(s.p, lower, n) == 0;
}

#define IS(slice, word) is_word(slice, word, sizeof(word) - 1)

/* The comma that ends the element at p, or end. A quoted string may hide commas, and a backslash in it a
 * quote. */
static const char *element_end(const char *p, const char *end)
{
	bool quoted = false;
	for (; p < end; p++) {
		if (*p == '"')
			quoted = !quoted;
		else if (quoted && *p == '\\' && p + 1 < end)
			p++;
		else if (*p == ',' && !quoted)
			break;
	}
	return p;
}

bool sd_http_list_next(struct sd_slice *list, struct sd_slice *item)
{
	while (list->n) {
		const char *end = list->p + list->n;
		const char *comma = element_end(list->p, end);
		*item = trim(list->p, comma);
		list->p = comma < end ? comma + 1 : end;
		list->n = (size_t)(end - list->p);
		if (item->n)
			return true;
	}
	return false;
}

const struct sd_http_field *sd_http_find(const struct sd_http_head *head, enum sd_http_field_id id)
{
	for (size_t i = 0; i < head->nfields; i++)
		if (head->fields[i].id == id)
			return &head->fields[i];
	return NULL;
}

const struct sd_http_field *sd_http_find_name(const struct sd_http_head *head, const char *name)
{
	size_t n = strlen(name);
	for (size_t i = 0; i < head->nfields; i++)
		if (is_word(head->fields[i].name, name, n))
			return &head->fields[i];
	return NULL;
}

static bool list_has(struct sd_slice list, struct sd_slice name)
{
	struct sd_slice item;
	while (sd_http_list_next(&list, &item))
		if (is_word(item, name.p, name.n))
			return true;
	return false;
}

bool sd_http_connection_names(const struct sd_http_head *head, struct sd_slice name)
{
	for (size_t i = 0; i < head->nfields; i++)
		if (head->fields[i].id == SD_HTTP_F_CONNECTION && list_has(head->fields[i].value, name))
			return true;
	return false;
}

static int host(struct sd_h1 *h, struct sd_slice value)
{
	if (h->host)
		return sd_h1_refuse(h, 400, "Host repeated (RFC 9112 3.2)");
	h->host = true;
	if (!sd_h1_authority(value, false))
		return sd_h1_refuse(h, 400, "empty or invalid Host (RFC 9112 3.2)");
	if (h->head->host.n == 0) /* otherwise the target named it, and wins */
		h->head->host = value;
	return 0;
}

static int content_length(struct sd_h1 *h, struct sd_slice value)
{
	const char *end = value.p + value.n;
	bool huge = false;
	uint64_t v = 0;
	if (h->head->has_content_length)
		return sd_h1_refuse(h, 400, "Content-Length repeated (RFC 9112 6.3)");
	if (value.n == 0 || sd_h1_skip(value.p, end, SD_H1_DIGIT) != end)
		return sd_h1_refuse(h, 400, "Content-Length is not a decimal number (RFC 9110 8.6)");
	for (const char *p = value.p; p < end && !huge; p++) {
		uint64_t digit = (uint64_t)(*p - '0');
		huge = v > (INT64_MAX - digit) / 10;
		v = v * 10 + digit;
	}
	if (huge)
		return sd_h1_refuse(h, 413, "Content-Length beyond 2^63 - 1 (RFC 9110 8.6)");
	h->head->has_content_length = true;
	h->head->content_length = v;
	return 0;
}

/* One element of Transfer-Encoding. Only the bare word chunked is chunked; parameters are let pass on codings
 * that end up refused anyway. */
static int coding(struct sd_h1 *h, struct sd_slice s)
{
	const char *end = s.p + s.n;
	const char *p = sd_h1_skip(s.p, end, SD_H1_TOKEN);
	bool chunked = IS(((struct sd_slice){s.p, (size_t)(p - s.p)}), "chunked");
	bool plain = p == end;
	if (p == s.p || (chunked && !plain) || (!plain && *p != ';' && !sd_h1_is_blank(*p)))
		return sd_h1_refuse(h, 400, "malformed Transfer-Encoding (RFC 9112 6.1)");
	h->te_ends = chunked;
	h->te_other |= !chunked;
	h->nchunked += chunked;
	return 0;
}

/* Not sd_http_list_next: an empty element is refused here, since peers differ in what they make of one. */
static int transfer_encoding(struct sd_h1 *h, struct sd_slice value)
{
	const char *p = value.p, *end = value.p + value.n;
	if (h->head->minor == 0)
		return sd_h1_refuse(h, 400, "Transfer-Encoding in HTTP/1.0 (RFC 9112 6.1)");
	h->te = true;
	for (;;) {
		const char *comma = memchr(p, ',', (size_t)(end - p));
		int r = coding(h, trim(p, comma ? comma : end));
		if (r || !comma)
			return r;
		p = comma + 1;
	}
}

/* Takes in an option that changes what this parser says. */
static bool connection_option(struct sd_h1 *h, struct sd_slice option)
{
	if (IS(option, "keep-alive"))
		h->persist = true;
	else if (IS(option, "close"))
		h->close = true;
	else if (IS(option, "upgrade"))
		h->wants_upgrade = true;
	else
		return false;
	return true;
}

__attribute__((noinline)) static void connection_list(struct sd_h1 *h, struct sd_slice list)
{
	struct sd_slice option;
	while (sd_http_list_next(&list, &option))
		if (!connection_option(h, option))
			h->head->connection_nominates = true;
}

/* Nearly always the value is one option; then no list is walked. */
static void connection(struct sd_h1 *h, struct sd_slice value)
{
	if (!connection_option(h, value))
		connection_list(h, value);
}

static int expect(struct sd_h1 *h, struct sd_slice value)
{
	if (!IS(value, "100-continue"))
		return sd_h1_refuse(h, 417, "Expect other than 100-continue (RFC 9110 10.1.1)");
	h->head->expect_continue =
	    h->head->minor >= 1; /* 1.0 clients do not wait, and would not understand 100 */
	return 0;
}

/* "trailers" has no parameters, so an element is it or is not. */
__attribute__((noinline)) static void te(struct sd_h1 *h, struct sd_slice value)
{
	if (list_has(value, sd_slice_of("trailers")))
		h->head->te_trailers = true;
}

/* Fields that mean something in requests only. */
static int request_field(struct sd_h1 *h, const struct sd_http_field *f)
{
	switch (f->id) {
	case SD_HTTP_F_HOST:
		return host(h, f->value);
	case SD_HTTP_F_EXPECT:
		return expect(h, f->value);
	case SD_HTTP_F_TE:
		te(h, f->value);
		return 0;
	default:
		return 0;
	}
}

int sd_h1_field(struct sd_h1 *h, const struct sd_http_field *f)
{
	switch (f->id) {
	case SD_HTTP_F_CONNECTION:
		connection(h, f->value);
		return 0;
	case SD_HTTP_F_CONTENT_LENGTH:
		return content_length(h, f->value);
	case SD_HTTP_F_TRANSFER_ENCODING:
		return transfer_encoding(h, f->value);
	case SD_HTTP_F_UPGRADE:
		if (h->head->upgrade.n == 0)
			h->head->upgrade = f->value;
		return 0;
	default:
		return h->response ? 0 : request_field(h, f);
	}
}

static int check_transfer_encoding(struct sd_h1 *h)
{
	if (h->head->has_content_length)
		return sd_h1_refuse(h, 400, "Content-Length with Transfer-Encoding (RFC 9112 6.1)");
	if (!h->te_ends)
		return sd_h1_refuse(h, 400, "Transfer-Encoding does not end in chunked (RFC 9112 6.3)");
	if (h->nchunked > 1)
		return sd_h1_refuse(h, 400, "chunked applied twice (RFC 9112 6.1)");
	if (h->te_other)
		return sd_h1_refuse(h, 501, "transfer coding other than chunked (RFC 9112 6.1)");
	return 0;
}

static enum sd_http_framing framing_by_fields(const struct sd_h1 *h)
{
	if (h->te)
		return SD_HTTP_BODY_CHUNKED;
	if (h->head->has_content_length)
		return SD_HTTP_BODY_LENGTH;
	return h->response ? SD_HTTP_BODY_CLOSE : SD_HTTP_BODY_NONE;
}

static int finish_request(struct sd_h1 *h)
{
	struct sd_http_head *head = h->head;
	if (!h->host && head->minor >= 1)
		return sd_h1_refuse(h, 400, "no Host (RFC 9112 3.2)");
	head->framing = framing_by_fields(h);
	if (head->method == SD_HTTP_CONNECT && (h->te || head->content_length > 0))
		return sd_h1_refuse(h, 400, "CONNECT with content (RFC 9110 9.3.6)");
	head->connection_upgrade &= head->minor >= 1; /* RFC 9110 section 7.8 */
	return 0;
}

/* RFC 9112 section 6.3, rules 1 and 2: these end with the head, whatever their fields say. */
static bool never_has_body(const struct sd_h1 *h)
{
	int status = h->head->status;
	return h->asked == SD_HTTP_HEAD || status < 200 || status == 204 || status == 304 ||
	       (h->asked == SD_HTTP_CONNECT && status < 300);
}

static void finish_response(struct sd_h1 *h)
{
	struct sd_http_head *head = h->head;
	head->framing = never_has_body(h) ? SD_HTTP_BODY_NONE : framing_by_fields(h);
	if (head->framing == SD_HTTP_BODY_CLOSE)
		head->keep_alive = false;
}

int sd_h1_finish(struct sd_h1 *h)
{
	struct sd_http_head *head = h->head;
	int r = h->te ? check_transfer_encoding(h) : 0;
	if (r)
		return r;
	head->keep_alive = !h->close && (head->minor >= 1 || h->persist);
	head->connection_upgrade = h->wants_upgrade && head->upgrade.n > 0;
	if (!h->response)
		return finish_request(h);
	finish_response(h);
	return 0;
}
