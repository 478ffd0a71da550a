#include "traceparent.h"

#include <string.h>

/* Lower case only, as section 3.2.2 asks. */
static int digit(char c)
{
	return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool read_hex(const char *p, uint8_t *out, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		int high = digit(p[2 * i]), low = digit(p[2 * i + 1]);
		if (high < 0 || low < 0)
			return false;
		out[i] = (uint8_t)(high << 4 | low);
	}
	return true;
}

static char *put_hex(char *o, const uint8_t *p, size_t n)
{
	static const char digits[] = "0123456789abcdef";
	for (size_t i = 0; i < n; i++) {
		*o++ = digits[p[i] >> 4];
		*o++ = digits[p[i] & 15];
	}
	return o;
}

static bool is_zero(const uint8_t *p, size_t n)
{
	uint8_t any = 0;
	for (size_t i = 0; i < n; i++)
		any |= p[i];
	return any == 0;
}

bool sd_traceparent_parse(struct sd_slice text, struct sd_traceparent *out)
{
	struct sd_traceparent t;
	uint8_t version;
	const char *p = text.p;
	if (text.n < SD_TRACEPARENT || !read_hex(p, &version, 1) || version == 0xff)
		return false;
	if (text.n > SD_TRACEPARENT && (version == 0 || p[SD_TRACEPARENT] != '-'))
		return false;
	if (p[2] != '-' || p[35] != '-' || p[52] != '-')
		return false;
	if (!read_hex(p + 3, t.trace, 16) || !read_hex(p + 36, t.parent, 8) || !read_hex(p + 53, &t.flags, 1))
		return false;
	if (is_zero(t.trace, 16) || is_zero(t.parent, 8))
		return false;
	*out = t;
	return true;
}

bool sd_traceparent_find(const struct sd_http_head *head, struct sd_traceparent *out)
{
	const struct sd_http_field *found = NULL;
	for (size_t i = 0; i < head->nfields; i++) {
		if (head->fields[i].id != SD_HTTP_F_TRACEPARENT)
			continue;
		if (found)
			return false;
		found = &head->fields[i];
	}
	return found && sd_traceparent_parse(found->value, out);
}

void sd_traceparent_next(struct sd_traceparent *t, struct sd_rng *rng)
{
	do {
		uint64_t v = sd_rng_next(rng);
		memcpy(t->parent, &v, sizeof(v));
	} while (is_zero(t->parent, sizeof(t->parent)));
}

void sd_traceparent_begin(struct sd_traceparent *t, struct sd_rng *rng)
{
	do {
		uint64_t v[2] = {sd_rng_next(rng), sd_rng_next(rng)};
		memcpy(t->trace, v, sizeof(v));
	} while (is_zero(t->trace, sizeof(t->trace)));
	sd_traceparent_next(t, rng);
	t->flags = 1;
}

void sd_traceparent_write(char *out, const struct sd_traceparent *t)
{
	uint8_t version = 0, flags = t->flags & 1;
	char *o = put_hex(out, &version, 1);
	*o++ = '-';
	o = put_hex(o, t->trace, 16);
	*o++ = '-';
	o = put_hex(o, t->parent, 8);
	*o++ = '-';
	put_hex(o, &flags, 1);
}

void sd_traceparent_id(char out[33], const struct sd_traceparent *t)
{
	*put_hex(out, t->trace, 16) = '\0';
}
