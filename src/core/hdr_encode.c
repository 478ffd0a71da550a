/* A histogram as text, and back. From the inside out:
 *
 *   counts    each count as ZigZag LEB128, in the order of the slots, up to the last that is not 0;
 *             below 0: so many slots that are 0. The ninth byte of a number has eight bits and ends it
 *   payload   cookie, length of the counts, 0, digits (32 bits each), lowest, highest, the double 1.0; counts
 *   zlib      2 bytes, blocks of type "stored" of up to 65535 bytes, Adler-32 (RFC 1950, RFC 1951)
 *   wrapper   cookie, length of the zlib stream
 *   text      base64 (RFC 4648) with padding
 *
 * Numbers are big-endian but for the lengths of stored blocks. Stored blocks do not compress, and every
 * inflate reads them: zero runs make the payload small already, and no zlib is needed here.
 */
#include "hdr_int.h"

#include <math.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base64.h"

enum {
	COOKIE = 0x1c849303 | 0x10,
	COOKIE_COMPRESSED = 0x1c849304 | 0x10,
	PAYLOAD_HEADER = 40,
	WRAPPER_HEADER = 8,
	ZLIB_HEADER = 2,
	BLOCK_HEADER = 5,
	BLOCK_MOST = 65535,
	ADLER = 4,
	COUNT_MOST = 9, /* bytes of one count */
};

#define RATIO    0x3ff0000000000000ull /* 1.0 */
#define TEXT_MAX ((size_t)128 << 20)   /* more than 5 digits of all 63 bits take */

/* ---- bytes ---- */

static uint8_t *put_be(uint8_t *p, uint64_t v, int bytes)
{
	while (bytes-- > 0)
		*p++ = (uint8_t)(v >> (8 * bytes));
	return p;
}

static uint64_t get_be(const uint8_t *p, int bytes)
{
	uint64_t v = 0;
	while (bytes-- > 0)
		v = v << 8 | *p++;
	return v;
}

static uint32_t adler32(const uint8_t *p, size_t n)
{
	uint32_t a = 1, b = 0;
	while (n > 0) {
		size_t part = n < 5552 ? n : 5552; /* so many fit into 32 bits */
		n -= part;
		while (part-- > 0) {
			a += *p++;
			b += a;
		}
		a %= 65521;
		b %= 65521;
	}
	return b << 16 | a;
}

/* ---- counts ---- */

static uint8_t *put_count(uint8_t *p, int64_t count)
{
	uint64_t v = (uint64_t)count << 1 ^ (count < 0 ? UINT64_MAX : 0);
	for (int i = 0; i < COUNT_MOST - 1; i++) {
		if (v < 0x80) {
			*p++ = (uint8_t)v;
			return p;
		}
		*p++ = (uint8_t)(v | 0x80);
		v >>= 7;
	}
	*p++ = (uint8_t)v;
	return p;
}

/* NULL: cut off. */
static const uint8_t *get_count(const uint8_t *p, const uint8_t *end, int64_t *count)
{
	uint64_t v = 0;
	for (int i = 0;; i++) {
		if (p == end)
			return NULL;
		uint64_t byte = *p++;
		bool more = i < COUNT_MOST - 1 && byte & 0x80;
		v |= (more ? byte & 0x7f : byte) << (7 * i);
		if (!more)
			break;
	}
	*count = (int64_t)(v >> 1 ^ (v & 1 ? UINT64_MAX : 0));
	return p;
}

static uint8_t *put_counts(uint8_t *p, const struct sd_hdr *h)
{
	int64_t i = h->first;
	if (h->last < 0)
		return put_count(p, 0);
	if (i > 0)
		p = put_count(p, i > 1 ? -i : 0);
	while (i <= h->last) {
		int64_t zeros = 0;
		while (h->counts[i + zeros] == 0)
			zeros++;
		p = put_count(p, zeros > 1 ? -zeros : h->counts[i]);
		i += zeros > 1 ? zeros : 1;
	}
	return p;
}

static enum sd_err get_counts(struct sd_hdr *h, const uint8_t *p, const uint8_t *end, struct sd_error *e)
{
	for (int64_t i = 0, count; p < end;) {
		p = get_count(p, end, &count);
		if (!p)
			return sd_fail(e, SD_EPROTO, "the last count is cut off");
		uint64_t slots = count < 0 ? -(uint64_t)count : 1;
		if (slots > (uint64_t)(h->n - i))
			return sd_fail(e, SD_EPROTO, "more counts than its range has");
		if (count > 0 && !sd_hdr_add(h, i, count))
			return sd_fail(e, SD_EPROTO, "the counts do not fit into 63 bits");
		i += (int64_t)slots;
	}
	return SD_OK;
}

/* ---- payload ---- */

/* Enough for the slots that are used: a count follows at most one number for zeros. */
static size_t payload_most(const struct sd_hdr *h)
{
	return PAYLOAD_HEADER + (size_t)(h->last < 0 ? 1 : h->last - h->first + 2) * COUNT_MOST;
}

static size_t put_payload(uint8_t *p, const struct sd_hdr *h)
{
	size_t counts = (size_t)(put_counts(p + PAYLOAD_HEADER, h) - (p + PAYLOAD_HEADER));
	p = put_be(p, COOKIE, 4);
	p = put_be(p, counts, 4);
	p = put_be(p, 0, 4);
	p = put_be(p, (uint64_t)h->digits, 4);
	p = put_be(p, (uint64_t)h->lowest, 8);
	p = put_be(p, (uint64_t)h->highest, 8);
	put_be(p, RATIO, 8);
	return PAYLOAD_HEADER + counts;
}

static struct sd_hdr *make(const uint8_t *p, struct sd_error *e)
{
	uint64_t digits = get_be(p + 12, 4), lowest = get_be(p + 16, 8), highest = get_be(p + 24, 8);
	struct sd_hdr *h = NULL;
	if (digits > 5 || lowest > INT64_MAX || highest > INT64_MAX ||
	    !sd_hdr_possible((int64_t)lowest, (int64_t)highest, (int)digits))
		sd_fail(e, SD_EPROTO, "impossible range or digits");
	else if (!(h = sd_hdr_new((int64_t)lowest, (int64_t)highest, (int)digits)))
		sd_fail(e, SD_ENOMEM, "out of memory");
	return h;
}

enum sd_err sd_hdr_read_payload(const uint8_t *p, size_t n, struct sd_hdr **out, struct sd_error *e)
{
	if (n < PAYLOAD_HEADER)
		return sd_fail(e, SD_EPROTO, "the header is cut off");
	if (get_be(p, 4) != COOKIE)
		return sd_fail(e, SD_EUNSUPPORTED, "not the V2 encoding");
	if (get_be(p + 4, 4) != n - PAYLOAD_HEADER)
		return sd_fail(e, SD_EPROTO, "the length of the counts is wrong");
	if (get_be(p + 8, 4) != 0 || get_be(p + 32, 8) != RATIO)
		return sd_fail(e, SD_EUNSUPPORTED, "counts that are shifted or scaled");
	struct sd_error why = {SD_OK, ""};
	struct sd_hdr *h = make(p, &why);
	if (!h || get_counts(h, p + PAYLOAD_HEADER, p + n, &why) != SD_OK) {
		sd_hdr_free(h);
		return sd_fail(e, why.code, "%s", why.text);
	}
	*out = h;
	return SD_OK;
}

/* ---- wrapper ---- */

static size_t blocks_of(size_t n)
{
	return n > BLOCK_MOST ? (n + BLOCK_MOST - 1) / BLOCK_MOST : 1;
}

static size_t wrapped_size(size_t n)
{
	return WRAPPER_HEADER + ZLIB_HEADER + blocks_of(n) * BLOCK_HEADER + n + ADLER;
}

static void wrap(uint8_t *to, const uint8_t *p, size_t n)
{
	uint32_t sum = adler32(p, n);
	to = put_be(to, COOKIE_COMPRESSED, 4);
	to = put_be(to, wrapped_size(n) - WRAPPER_HEADER, 4);
	to = put_be(to, 0x7801, ZLIB_HEADER); /* deflate, window of 32 KiB, fastest */
	for (size_t blocks = blocks_of(n); blocks-- > 0;) {
		size_t part = n < BLOCK_MOST ? n : BLOCK_MOST;
		uint8_t head[BLOCK_HEADER] = {blocks == 0, (uint8_t)part, (uint8_t)(part >> 8),
					      (uint8_t)~part, (uint8_t)(~part >> 8)};
		memcpy(to, head, BLOCK_HEADER);
		memcpy(to + BLOCK_HEADER, p, part);
		to += BLOCK_HEADER + part;
		p += part;
		n -= part;
	}
	put_be(to, sum, ADLER);
}

/* Moves what the blocks hold to the front of p and gives its length. */
static enum sd_err unblock(uint8_t *p, size_t n, size_t *length, struct sd_error *e)
{
	size_t at = 0, to = 0;
	for (bool last = false; !last;) {
		if (n - at < BLOCK_HEADER)
			return sd_fail(e, SD_EPROTO, "a deflate block is cut off");
		const uint8_t *head = p + at;
		if (head[0] > 1)
			return sd_fail(e, SD_EUNSUPPORTED, "deflate blocks that are not stored ones");
		last = head[0] == 1;
		size_t part = head[1] | (size_t)head[2] << 8;
		if ((head[3] | (size_t)head[4] << 8) != (part ^ 0xffff))
			return sd_fail(e, SD_EPROTO, "the length of a deflate block is wrong");
		at += BLOCK_HEADER;
		if (part > n - at)
			return sd_fail(e, SD_EPROTO, "a deflate block is cut off");
		memmove(p + to, p + at, part);
		at += part;
		to += part;
	}
	*length = to;
	return at == n ? SD_OK : sd_fail(e, SD_EPROTO, "bytes after the last deflate block");
}

static enum sd_err unwrap(uint8_t *p, size_t n, size_t *length, struct sd_error *e)
{
	const size_t around = WRAPPER_HEADER + ZLIB_HEADER + ADLER;
	if (n < around)
		return sd_fail(e, SD_EPROTO, "cut off");
	if (get_be(p, 4) != COOKIE_COMPRESSED)
		return sd_fail(e, SD_EUNSUPPORTED, "not the V2 compressed encoding");
	if (get_be(p + 4, 4) != n - WRAPPER_HEADER)
		return sd_fail(e, SD_EPROTO, "the length of the zlib stream is wrong");
	uint64_t zlib = get_be(p + WRAPPER_HEADER, ZLIB_HEADER);
	if ((zlib & 0x0f00) != 0x0800 || zlib >> 12 > 7 || zlib & 0x20 || zlib % 31 != 0)
		return sd_fail(e, SD_EPROTO, "not a zlib stream");
	uint64_t sum = get_be(p + n - ADLER, ADLER);
	uint8_t *data = p + WRAPPER_HEADER + ZLIB_HEADER;
	enum sd_err err = unblock(data, n - around, length, e);
	if (err != SD_OK)
		return err;
	memmove(p, data, *length);
	return adler32(p, *length) == sum ? SD_OK : sd_fail(e, SD_EPROTO, "the checksum is wrong");
}

/* ---- both ways ---- */

char *sd_hdr_encode(const struct sd_hdr *h)
{
	uint8_t *payload = malloc(payload_most(h)), *bytes = NULL;
	char *text = NULL;
	if (!payload)
		return NULL;
	size_t n = put_payload(payload, h), size = wrapped_size(n);
	bytes = malloc(size);
	text = malloc((size + 2) / 3 * 4 + 1);
	if (bytes && text) {
		wrap(bytes, payload, n);
		sd_base64(text, bytes, size);
	} else {
		free(text);
		text = NULL;
	}
	free(payload);
	free(bytes);
	return text;
}

enum sd_err sd_hdr_decode(const char *text, struct sd_hdr **out, struct sd_error *e)
{
	*out = NULL;
	size_t n = strnlen(text, TEXT_MAX + 1);
	if (n > TEXT_MAX)
		return sd_fail(e, SD_ETOOBIG, "histogram: longer than any can be");
	if (n == 0 || n % 4 != 0)
		return sd_fail(e, SD_EPROTO, "histogram: base64 of a length that is no multiple of 4");
	uint8_t *bytes = calloc(1, n / 4 * 3);
	if (!bytes)
		return sd_fail(e, SD_ENOMEM, "histogram: out of memory");
	struct sd_error why = {SD_EPROTO, "not base64"};
	size_t length = 0;
	enum sd_err err = SD_EPROTO;
	if (sd_base64_read(bytes, (struct sd_slice){text, n}, &n))
		err = unwrap(bytes, n, &length, &why);
	if (err == SD_OK)
		err = sd_hdr_read_payload(bytes, length, out, &why);
	free(bytes);
	return err == SD_OK ? SD_OK : sd_fail(e, err, "histogram: %s", why.text);
}

/* ---- the distribution as text ---- */

struct text {
	char *p;
	size_t n, room;
	bool full; /* out of memory */
};

/* Room for another n bytes. */
static bool grow(struct text *t, size_t n)
{
	if (t->full || t->room - t->n >= n)
		return !t->full;
	size_t room = 2 * t->room + n;
	char *p = realloc(t->p, room);
	if (!p) {
		t->full = true;
		return false;
	}
	t->p = p;
	t->room = room;
	return true;
}

__attribute__((format(printf, 2, 3))) static void add(struct text *t, const char *format, ...)
{
	enum { LINE = 1024 }; /* two doubles of 308 digits and more */
	if (!grow(t, LINE))
		return;
	va_list args;
	va_start(args, format);
	int n = vsnprintf(t->p + t->n, LINE, format, args);
	va_end(args);
	t->n += n < 0 ? 0 : n < LINE ? (size_t)n : LINE - 1;
}

char *sd_hdr_spectrum(const struct sd_hdr *h, int ticks, double scale)
{
	struct text t = {0};
	struct sd_hdr_step it = {0};
	if (!(scale > 0) || !isfinite(scale))
		scale = 1;
	add(&t, "%12s %14s %10s %14s\n\n", "Value", "Percentile", "TotalCount", "1/(1-Percentile)");
	while (sd_hdr_next(h, ticks, &it)) {
		add(&t, "%12.*f %2.12f %10lld", h->digits, (double)it.value / scale, it.percentile / 100,
		    (long long)it.count);
		if (it.percentile < 100)
			add(&t, " %14.2f", 1 / (1 - it.percentile / 100));
		add(&t, "\n");
	}
	add(&t, "#[Mean    = %12.*f, StdDeviation   = %12.*f]\n", h->digits, sd_hdr_mean(h) / scale,
	    h->digits, sd_hdr_stddev(h) / scale);
	add(&t, "#[Max     = %12.*f, Total count    = %12lld]\n", h->digits, (double)sd_hdr_max(h) / scale,
	    (long long)h->total);
	add(&t, "#[Buckets = %12d, SubBuckets     = %12d]\n", h->buckets, 2 << h->half);
	if (t.full) {
		free(t.p);
		return NULL;
	}
	return t.p;
}
