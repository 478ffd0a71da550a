/* tls_hello.c
 *
 *	record     u8 type (22), u16 version (3.x), u16 length, that many bytes of the message
 *	message    u8 type (1), u24 length, that many bytes of the body
 *	body       u16 version, 32 bytes, id<0..32>, suites<2..2^16-2>, compressions<1..255>, extensions<0..2^16-1>
 *	extension  u16 type, data<0..2^16-1>
 *
 * First the records are walked until the message is whole; what was walked is not walked again when more comes. Then the
 * body is read once, through a cursor that steps over the heads of the records.
 */
#include "tls_hello.h"

#include <string.h>

enum { RECORD_HEAD = 5, MESSAGE_HEAD = 4, RECORD_MAX = 16384 };
enum { HANDSHAKE = 22, CLIENT_HELLO = 1 };
enum { SERVER_NAME = 0, ALPN = 16 };
enum { HOST_NAME = 0 };

static size_t get16(const uint8_t *p)
{
	return (size_t)p[0] << 8 | p[1];
}

static enum sd_tls_hello_is fail(struct sd_tls_hello *h, enum sd_tls_hello_is what, const char *why)
{
	h->why = why;
	return what;
}

/* ---- the cursor ---- */

struct cursor {
	const uint8_t *p, *record_end;
	size_t left; /* bytes of the message that belong to what is read now */
	bool bad;
};

static uint8_t next_byte(struct cursor *c)
{
	if (c->p == c->record_end) {
		c->record_end = c->p + RECORD_HEAD + get16(c->p + 3);
		c->p += RECORD_HEAD;
	}
	return *c->p++;
}

static uint32_t get(struct cursor *c, unsigned bytes)
{
	uint32_t v = 0;
	if (c->left < bytes) {
		c->bad = true;
		c->left = 0;
		return 0;
	}
	c->left -= bytes;
	while (bytes--)
		v = v << 8 | next_byte(c);
	return v;
}

static void skip(struct cursor *c, size_t n)
{
	while (n-- > 0 && !c->bad)
		get(c, 1);
}

/* A vector whose length is told in so many bytes: what is inside becomes c->left. Returns what is behind it, for leave(). */
static size_t enter(struct cursor *c, unsigned length_bytes)
{
	size_t n = get(c, length_bytes), behind = c->left - n;
	if (n > c->left) {
		c->bad = true;
		c->left = 0;
		return 0;
	}
	c->left = n;
	return behind;
}

/* What is inside must have been read to its end. */
static void leave(struct cursor *c, size_t behind)
{
	c->bad |= c->left != 0;
	c->left = behind;
}

/* Of items that are `unit` bytes long. */
static void skip_vector(struct cursor *c, unsigned length_bytes, size_t low, size_t high, size_t unit)
{
	size_t behind = enter(c, length_bytes);
	c->bad |= c->left < low || c->left > high || c->left % unit;
	skip(c, c->left);
	leave(c, behind);
}

/* ---- names ---- */

static bool may_be_in_label(uint8_t c)
{
	return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '_';
}

/* Labels of 1 to 63 bytes; the last is not all digits, since that would be an address (RFC 6066 section 3). */
static bool is_host_name(const char *s)
{
	size_t label = 0;
	bool digits = true;
	for (; *s; s++) {
		if (*s == '.' && (label == 0 || s[1] == '\0'))
			return false;
		if (*s != '.' && (!may_be_in_label((uint8_t)*s) || label == 63))
			return false;
		label = *s == '.' ? 0 : label + 1;
		digits = *s == '.' || (digits && *s >= '0' && *s <= '9');
	}
	return label > 0 && !digits;
}

static const char *read_name(struct cursor *c, struct sd_tls_hello *h)
{
	size_t behind_list = enter(c, 2), n = 0;
	if (h->name[0])
		return "it asks for a name twice";
	if (get(c, 1) != HOST_NAME || c->bad)
		return "its server_name is no host name";
	size_t behind_name = enter(c, 2);
	if (c->left == 0 || c->left >= SD_TLS_HELLO_NAME)
		return "the name is not 1 to 253 bytes long";
	while (c->left) {
		uint8_t byte = (uint8_t)get(c, 1);
		h->name[n++] = (char)(byte >= 'A' && byte <= 'Z' ? byte | 0x20 : byte);
	}
	h->name[n] = '\0';
	leave(c, behind_name);
	if (c->left)
		return "it asks for more than one name";
	leave(c, behind_list);
	return strlen(h->name) == n && is_host_name(h->name) ? NULL : "the name it asks for is no host name";
}

/* ---- protocols ---- */

static const char *read_alpn(struct cursor *c, struct sd_tls_hello *h)
{
	size_t behind_list = enter(c, 2);
	if (c->left == 0)
		return "its list of protocols (ALPN) is empty";
	while (c->left) {
		size_t behind = enter(c, 1), n = c->left;
		bool fits = h->alpn_n + 1 + n <= SD_TLS_HELLO_ALPN;
		if (n == 0)
			return "a protocol (ALPN) without a name";
		if (fits)
			h->alpn[h->alpn_n++] = (uint8_t)n;
		while (c->left) {
			uint8_t byte = (uint8_t)get(c, 1);
			if (fits)
				h->alpn[h->alpn_n++] = byte;
		}
		leave(c, behind);
	}
	leave(c, behind_list);
	return NULL;
}

const uint8_t *sd_tls_hello_protocol(const struct sd_tls_hello *h, size_t i, size_t *n)
{
	for (size_t at = 0; at < h->alpn_n; at += 1u + h->alpn[at])
		if (i-- == 0) {
			*n = h->alpn[at];
			return h->alpn + at + 1;
		}
	return NULL;
}

/* ---- the body ---- */

static const char *read_extensions(struct cursor *c, struct sd_tls_hello *h)
{
	bool has_alpn = false;
	while (c->left && !c->bad) {
		uint32_t type = get(c, 2);
		size_t behind = enter(c, 2);
		const char *why = NULL;
		if (type == SERVER_NAME) {
			why = read_name(c, h);
		} else if (type == ALPN) {
			why = has_alpn ? "its protocols (ALPN) are there twice" : read_alpn(c, h);
			has_alpn = true;
		} else {
			skip(c, c->left);
		}
		if (why)
			return why;
		leave(c, behind);
	}
	return NULL;
}

static const char *read_body(struct cursor *c, struct sd_tls_hello *h)
{
	static const char lengths[] = "the lengths in it do not fit";
	const char *why = NULL;
	skip(c, 2 + 32);
	skip_vector(c, 1, 0, 32, 1);
	skip_vector(c, 2, 2, 65534, 2);
	skip_vector(c, 1, 1, 255, 1);
	if (!c->bad && c->left) {
		size_t behind = enter(c, 2);
		why = read_extensions(c, h);
		if (!why)
			leave(c, behind);
	}
	if (why)
		return c->bad ? lengths : why;
	return c->bad || c->left ? lengths : NULL;
}

static enum sd_tls_hello_is read_message(struct sd_tls_hello *h, const uint8_t *p, size_t length)
{
	struct cursor c = {.p = p, .record_end = p, .left = MESSAGE_HEAD + length};
	skip(&c, MESSAGE_HEAD);
	const char *why = read_body(&c, h);
	if (why) {
		h->name[0] = '\0';
		h->alpn_n = 0;
		return fail(h, SD_TLS_HELLO_BAD, why);
	}
	return h->name[0] ? SD_TLS_HELLO_NAMED : SD_TLS_HELLO_NO_NAME;
}

/* ---- the records ---- */

/* What can be told of a record by the bytes that are there. */
static enum sd_tls_hello_is look_at_head(struct sd_tls_hello *h, const uint8_t *p, size_t n)
{
	bool first = h->walked == 0;
	if (p[0] != HANDSHAKE || (n > 1 && p[1] != 3))
		return first ? fail(h, SD_TLS_HELLO_NOT_TLS, "it does not begin with a handshake of TLS")
			     : fail(h, SD_TLS_HELLO_BAD, "something else stands between its records");
	if (n > 4 && (get16(p + 3) == 0 || get16(p + 3) > RECORD_MAX))
		return fail(h, SD_TLS_HELLO_BAD, "a record that is empty or too long");
	if (first && n > RECORD_HEAD && p[RECORD_HEAD] != CLIENT_HELLO)
		return fail(h, SD_TLS_HELLO_BAD, "its first message is no ClientHello");
	return SD_TLS_HELLO_MORE;
}

/* Takes note of n bytes of the message at p. Its length, where it is known, else SIZE_MAX. */
static size_t gather(struct sd_tls_hello *h, const uint8_t *p, size_t n)
{
	for (size_t i = 0; i < n && h->gathered + i < MESSAGE_HEAD; i++)
		h->head[h->gathered + i] = p[i];
	h->gathered += (uint32_t)n;
	return h->gathered < MESSAGE_HEAD ? SIZE_MAX : (size_t)h->head[1] << 16 | get16(h->head + 2);
}

enum sd_tls_hello_is sd_tls_hello_read(struct sd_tls_hello *h, const void *bytes, size_t n)
{
	const uint8_t *p = bytes;
	if (n > SD_TLS_HELLO_MAX)
		n = SD_TLS_HELLO_MAX;
	while (n > h->walked) {
		const uint8_t *record = p + h->walked;
		size_t there = n - h->walked;
		enum sd_tls_hello_is is = look_at_head(h, record, there);
		if (is != SD_TLS_HELLO_MORE)
			return is;
		if (there < RECORD_HEAD || there < RECORD_HEAD + get16(record + 3))
			break;
		size_t length = gather(h, record + RECORD_HEAD, get16(record + 3));
		h->walked += (uint32_t)(RECORD_HEAD + get16(record + 3));
		if (length == SIZE_MAX)
			continue;
		if (MESSAGE_HEAD + length > SD_TLS_HELLO_MAX - RECORD_HEAD)
			return fail(h, SD_TLS_HELLO_BAD, "it is longer than 16 KiB");
		if (h->gathered > MESSAGE_HEAD + length)
			return fail(h, SD_TLS_HELLO_BAD, "something stands behind it in its record");
		if (h->gathered == MESSAGE_HEAD + length)
			return read_message(h, p, length);
	}
	return n < SD_TLS_HELLO_MAX ? SD_TLS_HELLO_MORE : fail(h, SD_TLS_HELLO_BAD, "it is longer than 16 KiB");
}
