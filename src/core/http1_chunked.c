/* http1_chunked.c - the chunked coding (RFC 9112 section 7.1), a byte at a time around the data.
 *
 *              hex            ;            CR        LF
 *   START --> SIZE --> [PAD] --> EXT --> SIZE_LF --> DATA --> DATA_CR --> DATA_LF --> START
 *               `-------- CR ---------------^  |
 *                                              | size 0
 *                                              v
 *                          .--> LINE --> NAME --> VALUE --> VALUE_LF --.
 *                          |      | CR                                |
 *                          |      v                                   |
 *                          |   LAST_LF --> DONE                       |
 *                          `------------------------------------------'
 *
 * Where the grammar has a choice that two parsers may read differently, the stricter reading is taken: a
 * space is let pass only in front of an extension, and a line may not end inside a quoted extension value.
 */
#include "core/http1_int.h"

#define MAX_DIGITS    16
#define MAX_EXTENSION 256
#define MAX_TRAILERS  8192

enum state {
	START, /* zero: what a zeroed decoder is in */
	SIZE,
	PAD, /* spaces after the size, for an extension that must follow */
	EXT,
	EXT_QUOTED,
	EXT_ESCAPE, /* after a backslash in a quoted value */
	SIZE_LF,
	DATA,
	DATA_CR,
	DATA_LF,
	LINE, /* first byte of a trailer line or of the last line */
	NAME,
	VALUE,
	VALUE_LF,
	LAST_LF,
	DONE,
};

static int refuse(struct sd_http_chunked *c, const char *why)
{
	c->error = why;
	return SD_HTTP_BAD;
}

static int go(struct sd_http_chunked *c, enum state next)
{
	c->state = (uint8_t)next;
	return 0;
}

static int expect(struct sd_http_chunked *c, char got, char want, enum state next, const char *why)
{
	return got == want ? go(c, next) : refuse(c, why);
}

static unsigned hex_value(char b)
{
	return b <= '9' ? (unsigned)(b - '0') : (unsigned)((b | 0x20) - 'a') + 10;
}

static int on_digit(struct sd_http_chunked *c, char b)
{
	if (c->line_bytes == MAX_DIGITS)
		return refuse(c, "chunk size of more than 16 digits (RFC 9112 7.1)");
	if (c->left > (uint64_t)INT64_MAX >> 4)
		return refuse(c, "chunk size beyond 2^63 - 1 (RFC 9112 7.1)");
	c->line_bytes++;
	c->left = c->left << 4 | hex_value(b);
	return go(c, SIZE);
}

/* START, SIZE and PAD. The extension's bytes are counted from here. */
static int on_size(struct sd_http_chunked *c, char b)
{
	if (c->state != PAD && sd_h1_is(b, SD_H1_HEX))
		return on_digit(c, b);
	if (c->state == START)
		return refuse(c, "chunk size is not a hexadecimal number (RFC 9112 7.1)");
	if (c->state == SIZE)
		c->line_bytes = 0;
	if (b == '\r' && c->state == SIZE)
		return go(c, SIZE_LF);
	if (++c->line_bytes > MAX_EXTENSION)
		return refuse(c, "chunk extension too long (RFC 9112 7.1.1)");
	if (b == ';')
		return go(c, EXT);
	return expect(c, b, ' ', PAD, "junk after a chunk size (RFC 9112 7.1)");
}

static int on_extension(struct sd_http_chunked *c, char b)
{
	if (b == '\r' && c->state == EXT)
		return go(c, SIZE_LF);
	if (b == '\t' || !sd_h1_is(b, SD_H1_VALUE))
		return refuse(c, "control byte in a chunk extension (RFC 9112 7.1.1)");
	if (++c->line_bytes > MAX_EXTENSION)
		return refuse(c, "chunk extension too long (RFC 9112 7.1.1)");
	if (c->state == EXT_ESCAPE)
		return go(c, EXT_QUOTED);
	if (b == '"')
		return go(c, c->state == EXT ? EXT_QUOTED : EXT);
	return b == '\\' && c->state == EXT_QUOTED ? go(c, EXT_ESCAPE) : 0;
}

static int on_trailer(struct sd_http_chunked *c, char b)
{
	if (c->state == LINE && b == '\r')
		return go(c, LAST_LF);
	if (c->state == VALUE) {
		if (b == '\r')
			return go(c, VALUE_LF);
		return sd_h1_is(b, SD_H1_VALUE) ? 0 : refuse(c, "control byte in a trailer (RFC 9110 5.5)");
	}
	if (c->state == NAME && b == ':')
		return go(c, VALUE);
	return sd_h1_is(b, SD_H1_TOKEN) ? go(c, NAME) : refuse(c, "malformed trailer (RFC 9112 7.1.2)");
}

/* Takes one byte that is not data. */
static int step(struct sd_http_chunked *c, char b)
{
	static const char no_lf[] = "bare CR in the chunked coding (RFC 9112 2.2)";
	if (c->state >= LINE && ++c->trailer_bytes > MAX_TRAILERS)
		return refuse(c, "trailer section too long (RFC 9112 7.1.2)");
	switch ((enum state)c->state) {
	case START:
	case SIZE:
	case PAD:
		return on_size(c, b);
	case EXT:
	case EXT_QUOTED:
	case EXT_ESCAPE:
		return on_extension(c, b);
	case SIZE_LF:
		c->line_bytes = 0;
		return expect(c, b, '\n', c->left ? DATA : LINE, no_lf);
	case DATA_CR:
		return expect(c, b, '\r', DATA_LF, "no CRLF after the data of a chunk (RFC 9112 7.1)");
	case DATA_LF:
		return expect(c, b, '\n', START, no_lf);
	case LINE:
	case NAME:
	case VALUE:
		return on_trailer(c, b);
	case VALUE_LF:
		return expect(c, b, '\n', LINE, no_lf);
	case LAST_LF:
		c->done = b == '\n';
		return expect(c, b, '\n', DONE, no_lf);
	case DATA:
	case DONE:
		break;
	}
	return refuse(c, "chunked decoder in a state it cannot be in");
}

static const char *take_data(struct sd_http_chunked *c, const char *p, const char *end, struct sd_slice *data)
{
	size_t n = (size_t)(end - p);
	if (n >= c->left) {
		n = (size_t)c->left;
		c->state = DATA_CR;
	}
	c->left -= n;
	*data = (struct sd_slice){p, n};
	return p + n;
}

ssize_t sd_http_chunked_decode(struct sd_http_chunked *c, const char *in, size_t n, struct sd_slice *data)
{
	const char *p = in, *end = in + n;
	*data = (struct sd_slice){in, 0};
	if (c->error)
		return SD_HTTP_BAD;
	while (p < end && !c->done) {
		if (c->state != DATA) {
			if (step(c, *p++) == 0)
				continue;
			*data = (struct sd_slice){in, 0};
			return SD_HTTP_BAD;
		}
		if (data->n) /* the next run is for the next call */
			break;
		p = take_data(c, p, end, data);
	}
	return p - in;
}
