#include "core/http_range.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

struct cursor {
	const char *p, *end;
};

static bool is_digit(const struct cursor *c)
{
	return c->p < c->end && *c->p >= '0' && *c->p <= '9';
}

/* 1*DIGIT; what is larger than any file is the largest number. */
static bool number(struct cursor *c, uint64_t *out)
{
	uint64_t v = 0;
	if (!is_digit(c))
		return false;
	for (; is_digit(c); c->p++)
		if (__builtin_mul_overflow(v, 10, &v) || __builtin_add_overflow(v, (uint64_t)(*c->p - '0'), &v))
			v = UINT64_MAX;
	*out = v;
	return true;
}

static void skip_blanks(struct cursor *c)
{
	while (c->p < c->end && (*c->p == ' ' || *c->p == '\t'))
		c->p++;
}

/* The overlap or touch: nothing is between them. */
static bool meet(const struct sd_http_range *a, const struct sd_http_range *b)
{
	return a->first <= b->last + 1 && b->first <= a->last + 1; /* last < size, so there is no overflow */
}

static void take_out(struct sd_http_ranges *r, unsigned i)
{
	memmove(&r->range[i], &r->range[i + 1], (--r->n - i) * sizeof(r->range[0]));
}

/* What the i-th meets is made one with it; as it grows it may meet another. */
static void join(struct sd_http_ranges *r, unsigned i)
{
	struct sd_http_range *a = &r->range[i];
	for (unsigned k = i + 1; k < r->n;) {
		const struct sd_http_range b = r->range[k];
		if (!meet(a, &b)) {
			k++;
			continue;
		}
		a->first = a->first < b.first ? a->first : b.first;
		a->last = a->last > b.last ? a->last : b.last;
		take_out(r, k);
		k = i + 1;
	}
}

/* One range-spec. False: malformed. *there: something of it is in the representation. */
static bool range_spec(struct cursor *c, uint64_t size, struct sd_http_range *out, bool *there)
{
	if (c->p < c->end && *c->p == '-') {
		uint64_t n;
		c->p++;
		if (!number(c, &n))
			return false;
		*there = n > 0 && size > 0;
		*out = (struct sd_http_range){n < size ? size - n : 0, size - 1};
		return true;
	}
	if (!number(c, &out->first) || c->p == c->end || *c->p++ != '-')
		return false;
	out->last = UINT64_MAX;
	if (is_digit(c) && (!number(c, &out->last) || out->last < out->first))
		return false;
	*there = out->first < size;
	if (out->last >= size)
		out->last = size - 1;
	return true;
}

/* Fills out with what is there. False: malformed, or too many. */
static bool range_set(struct cursor *c, uint64_t size, struct sd_http_ranges *out)
{
	unsigned asked = 0;
	while (c->p < c->end) {
		struct sd_http_range one;
		bool there = false;
		skip_blanks(c);
		if (c->p < c->end && *c->p != ',') {
			if (++asked > SD_HTTP_RANGES || !range_spec(c, size, &one, &there))
				return false;
			skip_blanks(c);
		}
		if (c->p < c->end && *c->p++ != ',')
			return false;
		if (there)
			out->range[out->n++] = one;
	}
	return asked > 0;
}

enum sd_http_range_verdict sd_http_read_ranges(struct sd_slice value, uint64_t size, struct sd_http_ranges *out)
{
	struct cursor c = {value.p, value.p + value.n};
	out->n = 0;
	if (value.n < 6 || strncasecmp(value.p, "bytes=", 6) != 0)
		return SD_HTTP_RANGE_WHOLE;
	c.p += 6;
	if (!range_set(&c, size, out))
		return SD_HTTP_RANGE_WHOLE;
	for (unsigned i = 0; i < out->n; i++)
		join(out, i);
	return out->n ? SD_HTTP_RANGE_PARTS : SD_HTTP_RANGE_NONE;
}

size_t sd_http_write_content_range(char out[SD_HTTP_CONTENT_RANGE], const struct sd_http_range *range, uint64_t size)
{
	unsigned long long total = size;
	int n = range ? snprintf(out, SD_HTTP_CONTENT_RANGE, "bytes %llu-%llu/%llu", (unsigned long long)range->first,
				 (unsigned long long)range->last, total)
		      : snprintf(out, SD_HTTP_CONTENT_RANGE, "bytes */%llu", total);
	return (size_t)n;
}
