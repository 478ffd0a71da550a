#include "core/http_cond.h"

#include <string.h>

#include "core/http_date.h"

/* ---- entity tags ---- */

static struct sd_slice opaque(struct sd_slice tag)
{
	if (tag.n >= 2 && tag.p[0] == 'W' && tag.p[1] == '/')
		return (struct sd_slice){tag.p + 2, tag.n - 2};
	return tag;
}

bool sd_http_etag_weak(struct sd_slice a, struct sd_slice b)
{
	a = opaque(a);
	b = opaque(b);
	return a.n > 0 && a.n == b.n && memcmp(a.p, b.p, a.n) == 0;
}

bool sd_http_etag_strong(struct sd_slice a, struct sd_slice b)
{
	return opaque(a).n == a.n && opaque(b).n == b.n && sd_http_etag_weak(a, b);
}

static bool etag_char(char c)
{
	unsigned char u = (unsigned char)c;
	return u == 0x21 || (u >= 0x23 && u != 0x7f);
}

/* The next of a list of tags; a backslash in one is an ordinary character, unlike in a quoted string. False at the end, or
 * where the list is malformed. */
static bool next_tag(struct sd_slice *list, struct sd_slice *tag)
{
	const char *p = list->p, *end = list->p + list->n;
	while (p < end && (*p == ',' || *p == ' ' || *p == '\t'))
		p++;
	const char *start = p;
	if (end - p >= 2 && p[0] == 'W' && p[1] == '/')
		p += 2;
	if (p == end || *p++ != '"')
		return false;
	while (p < end && etag_char(*p))
		p++;
	if (p == end || *p++ != '"')
		return false;
	*tag = (struct sd_slice){start, (size_t)(p - start)};
	while (p < end && (*p == ' ' || *p == '\t'))
		p++;
	if (p < end && *p != ',')
		return false;
	*list = (struct sd_slice){p, (size_t)(end - p)};
	return true;
}

static bool any_matches(struct sd_slice list, struct sd_slice etag, bool (*same)(struct sd_slice, struct sd_slice))
{
	struct sd_slice tag;
	if (sd_slice_eq(list, "*"))
		return true;
	while (next_tag(&list, &tag))
		if (same(tag, etag))
			return true;
	return false;
}

/* ---- fields ---- */

/* A list may be spread over several lines. */
static bool field_matches(const struct sd_http_head *head, const char *name, struct sd_slice etag,
			  bool (*same)(struct sd_slice, struct sd_slice))
{
	for (size_t i = 0; i < head->nfields; i++)
		if (sd_slice_ieq(head->fields[i].name, name) && any_matches(head->fields[i].value, etag, same))
			return true;
	return false;
}

/* The only field of this name. */
static const struct sd_http_field *single(const struct sd_http_head *head, const char *name)
{
	const struct sd_http_field *found = NULL;
	for (size_t i = 0; i < head->nfields; i++) {
		if (!sd_slice_ieq(head->fields[i].name, name))
			continue;
		if (found)
			return NULL;
		found = &head->fields[i];
	}
	return found;
}

static bool date_of(const struct sd_http_head *head, const char *name, int64_t now_s, int64_t *date)
{
	const struct sd_http_field *f = single(head, name);
	return f && sd_http_read_date(f->value, now_s, date);
}

static bool is_read(const struct sd_http_head *head)
{
	return head->method == SD_HTTP_GET || head->method == SD_HTTP_HEAD;
}

int sd_http_precondition(const struct sd_http_head *head, const struct sd_http_validators *v, int64_t now_s)
{
	int64_t date;
	bool dated = v->modified_s != SD_HTTP_NO_DATE;
	if (sd_http_find_name(head, "if-match")) {
		if (!field_matches(head, "if-match", v->etag, sd_http_etag_strong))
			return 412;
	} else if (dated && date_of(head, "if-unmodified-since", now_s, &date) && v->modified_s > date) {
		return 412;
	}
	if (sd_http_find_name(head, "if-none-match")) {
		if (field_matches(head, "if-none-match", v->etag, sd_http_etag_weak))
			return is_read(head) ? 304 : 412;
	} else if (dated && is_read(head) && date_of(head, "if-modified-since", now_s, &date) && v->modified_s <= date) {
		return 304;
	}
	return 200;
}

bool sd_http_if_range(const struct sd_http_head *head, const struct sd_http_validators *v, int64_t now_s)
{
	int64_t date;
	if (!sd_http_find_name(head, "if-range"))
		return true;
	const struct sd_http_field *f = single(head, "if-range");
	if (!f)
		return false;
	if (sd_http_read_date(f->value, now_s, &date))
		return date == v->modified_s && date < now_s;
	return sd_http_etag_strong(f->value, v->etag);
}
