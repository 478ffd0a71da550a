/* snappy.c - literals and copies of what came before. */
#include "snappy.h"

#include <string.h>

#include "bytes.h"
#include "varint.h"

enum { LITERAL, COPY_1, COPY_2, COPY_4 };

struct expander {
	const uint8_t *in, *in_end;
	uint8_t *begin, *out, *out_end;
};

bool sd_snappy_length(const void *p, size_t n, size_t *length)
{
	uint64_t v;
	if (!sd_get_varint(p, n, UINT32_MAX, &v))
		return false;
	*length = (size_t)v;
	return true;
}

static size_t left(const struct expander *x)
{
	return (size_t)(x->in_end - x->in);
}

/* Lengths above 60 follow the tag, less one, in one to four bytes. */
static bool literal(struct expander *x, uint8_t tag)
{
	size_t n = tag >> 2, more = n < 60 ? 0 : n - 59;
	if (more > left(x))
		return false;
	if (more)
		n = (size_t)sd_get_le(x->in, more);
	n++;
	x->in += more;
	if (n > left(x) || n > (size_t)(x->out_end - x->out))
		return false;
	memcpy(x->out, x->in, n);
	x->in += n;
	x->out += n;
	return true;
}

/* A copy may reach into what it writes itself: then it repeats. */
static bool copy(struct expander *x, size_t offset, size_t n)
{
	if (offset == 0 || offset > (size_t)(x->out - x->begin) || n > (size_t)(x->out_end - x->out))
		return false;
	for (const uint8_t *from = x->out - offset; n > 0; n--)
		*x->out++ = *from++;
	return true;
}

static bool element(struct expander *x)
{
	static const uint8_t follow[] = {0, 1, 2, 4};
	uint8_t tag = *x->in++, kind = tag & 3;
	if (kind == LITERAL)
		return literal(x, tag);
	if (left(x) < follow[kind])
		return false;
	size_t offset = (size_t)sd_get_le(x->in, follow[kind]);
	x->in += follow[kind];
	if (kind == COPY_1)
		return copy(x, offset | (size_t)(tag >> 5) << 8, 4 + (tag >> 2 & 7));
	return copy(x, offset, (size_t)(tag >> 2) + 1);
}

bool sd_snappy_expand(const void *p, size_t n, void *out, size_t room)
{
	uint64_t length;
	size_t head = sd_get_varint(p, n, UINT32_MAX, &length);
	if (!head || length != room)
		return false;
	struct expander x = {(const uint8_t *)p + head, (const uint8_t *)p + n, out, out, (uint8_t *)out + room};
	while (x.in < x.in_end)
		if (!element(&x))
			return false;
	return x.out == x.out_end;
}
