#include "proxy_protocol.h"

#include <stdio.h>
#include <string.h>

#include "crc32c.h"

static const char signature[12] = "\r\n\r\n\0\r\nQUIT\n";

enum { HEAD2 = 16, SHORTEST = 15 /* "PROXY UNKNOWN" CRLF; no v2 is shorter */ };
enum { LOCAL = 0x20, PROXY = 0x21 };
enum { UNSPEC = 0x00, TCP4 = 0x11, TCP6 = 0x21, UNIX = 0x31 };
enum { TLV_ALPN = 1, TLV_AUTHORITY = 2, TLV_CRC32C = 3, TLV_NOOP = 4, TLV_UNIQUE_ID = 5, TLV_SSL = 0x20, TLV_NETNS = 0x30 };
/* So that the longest header, with its addresses and checksum, fits into SD_PP_WRITE_MAX. */
enum { TLV_WRITE_MAX = 255, SSL_WRITE_MAX = 448 };
_Static_assert(HEAD2 + 36 + 2 * (3 + TLV_WRITE_MAX) + SSL_WRITE_MAX + 7 <= SD_PP_WRITE_MAX, "a header may not fit");
enum { SSL_VERSION = 0x21, SSL_CN, SSL_CIPHER, SSL_SIGNATURE, SSL_KEY };

static ssize_t bad(struct sd_pp_header *h, const char *why)
{
	h->why = why;
	return SD_PP_BAD;
}

static uint16_t get16(const char *p)
{
	return (uint16_t)((uint8_t)p[0] << 8 | (uint8_t)p[1]);
}

static uint32_t get32(const char *p)
{
	return (uint32_t)get16(p) << 16 | get16(p + 2);
}

static void put16(char *p, uint16_t v)
{
	p[0] = (char)(v >> 8);
	p[1] = (char)v;
}

static void put32(char *p, uint32_t v)
{
	put16(p, (uint16_t)(v >> 16));
	put16(p + 2, (uint16_t)v);
}

/* ---- version 1 ---- */

/* The next word, and the space behind it. */
static bool word(struct sd_slice *line, struct sd_slice *out)
{
	const char *end = memchr(line->p, ' ', line->n);
	*out = (struct sd_slice){line->p, end ? (size_t)(end - line->p) : line->n};
	line->p += out->n + (end != NULL);
	line->n -= out->n + (end != NULL);
	return end != NULL;
}

static bool parse_port(struct sd_slice s, uint16_t *out)
{
	uint32_t v = 0;
	if (s.n == 0 || s.n > 5 || (s.n > 1 && s.p[0] == '0'))
		return false;
	for (size_t i = 0; i < s.n; i++) {
		if (s.p[i] < '0' || s.p[i] > '9')
			return false;
		v = v * 10 + (uint32_t)(s.p[i] - '0');
	}
	*out = (uint16_t)v;
	return v <= 65535;
}

static bool parse_ip(struct sd_slice s, bool want_v6, struct sd_peer *out)
{
	out->kind = SD_ADDR_INET;
	return sd_ip_parse(s, out->ip, &out->v6) && out->v6 == want_v6;
}

static ssize_t addresses_v1(struct sd_slice line, bool v6, struct sd_pp_header *h)
{
	struct sd_slice from, to, from_port, to_port;
	if (!word(&line, &from) || !word(&line, &to) || !word(&line, &from_port) || word(&line, &to_port))
		return bad(h, "expected two addresses and two ports, a space between each");
	if (!parse_ip(from, v6, &h->from) || !parse_ip(to, v6, &h->to))
		return bad(h, "an address is not one of the family that is named");
	if (!parse_port(from_port, &h->from.port) || !parse_port(to_port, &h->to.port))
		return bad(h, "a port is not a number from 0 to 65535");
	return 0;
}

/* What is between "PROXY " and CRLF. */
static ssize_t line_v1(struct sd_slice line, struct sd_pp_header *h)
{
	struct sd_slice family;
	for (size_t i = 0; i < line.n; i++)
		if (line.p[i] < ' ' || line.p[i] > '~')
			return bad(h, "a byte in the line that is no text");
	bool more = word(&line, &family);
	if (sd_slice_eq(family, "UNKNOWN")) {
		h->local = true;
		return 0;
	}
	bool v6 = sd_slice_eq(family, "TCP6");
	if (!v6 && !sd_slice_eq(family, "TCP4"))
		return bad(h, "expected TCP4, TCP6 or UNKNOWN");
	return more ? addresses_v1(line, v6, h) : bad(h, "no addresses");
}

static ssize_t parse_v1(const char *p, size_t n, struct sd_pp_header *h)
{
	size_t max = n < SD_PP_MAX_V1 ? n : SD_PP_MAX_V1;
	const char *cr = memchr(p, '\r', max), *lf = memchr(p, '\n', max);
	h->version = 1;
	if (lf && (!cr || lf != cr + 1))
		return bad(h, "a line end that is not CR LF");
	if (cr && (size_t)(cr - p) + 1 < n && cr[1] != '\n')
		return bad(h, "a line end that is not CR LF");
	if (!lf)
		return n >= SD_PP_MAX_V1 ? bad(h, "the line is longer than 107 bytes") : SD_PP_INCOMPLETE;
	ssize_t r = line_v1((struct sd_slice){p + 6, (size_t)(cr - p) - 6}, h);
	return r ? r : lf + 1 - p;
}

/* ---- version 2: TLVs ---- */

/* The next TLV. False at the end, and when what is left is none. */
static bool tlv_next(struct sd_slice *rest, uint8_t *type, struct sd_slice *value)
{
	if (rest->n < 3)
		return false;
	size_t n = get16(rest->p + 1);
	if (n > rest->n - 3)
		return false;
	*type = (uint8_t)rest->p[0];
	*value = (struct sd_slice){rest->p + 3, n};
	rest->p += 3 + n;
	rest->n -= 3 + n;
	return true;
}

static ssize_t keep(struct sd_pp_header *h, struct sd_slice *to, struct sd_slice value)
{
	if (to->p)
		return bad(h, "a TLV is there twice");
	*to = value;
	return 0;
}

static ssize_t ssl_sub(struct sd_pp_header *h, uint8_t type, struct sd_slice value)
{
	struct sd_slice *const to[] = {&h->ssl.version, &h->ssl.name, &h->ssl.cipher, &h->ssl.signature, &h->ssl.key};
	return type >= SSL_VERSION && type <= SSL_KEY ? keep(h, to[type - SSL_VERSION], value) : 0;
}

static ssize_t ssl_tlv(struct sd_pp_header *h, struct sd_slice v)
{
	struct sd_slice value;
	uint8_t type;
	if (h->ssl.there)
		return bad(h, "a TLV is there twice");
	if (v.n < 5)
		return bad(h, "the SSL TLV is shorter than five bytes");
	h->ssl.there = true;
	h->ssl.client = (uint8_t)v.p[0];
	h->ssl.verify = get32(v.p + 1);
	v.p += 5;
	v.n -= 5;
	while (tlv_next(&v, &type, &value)) {
		ssize_t r = ssl_sub(h, type, value);
		if (r)
			return r;
	}
	return v.n ? bad(h, "the TLVs of the SSL TLV do not fill its length") : 0;
}

/* The checksum is that of the header with zeros in its place. */
static ssize_t check_crc(struct sd_pp_header *h, struct sd_slice all, struct sd_slice value)
{
	static const char zeros[4];
	if (value.n != 4)
		return bad(h, "the CRC32C TLV is not four bytes long");
	if (h->checked)
		return bad(h, "a TLV is there twice");
	size_t before = (size_t)(value.p - all.p), behind = all.n - before - 4;
	uint32_t crc = sd_crc32c(sd_crc32c(0, all.p, before), zeros, 4);
	crc = sd_crc32c(crc, value.p + 4, behind);
	h->checked = true;
	return crc == get32(value.p) ? 0 : bad(h, "its CRC32C is not that of its bytes");
}

static ssize_t take_tlv(struct sd_pp_header *h, struct sd_slice all, uint8_t type, struct sd_slice value)
{
	switch (type) {
	case TLV_ALPN:
		return keep(h, &h->alpn, value);
	case TLV_AUTHORITY:
		return keep(h, &h->authority, value);
	case TLV_CRC32C:
		return check_crc(h, all, value);
	case TLV_UNIQUE_ID:
		return value.n > 128 ? bad(h, "the unique ID is longer than 128 bytes") : keep(h, &h->unique_id, value);
	case TLV_SSL:
		return ssl_tlv(h, value);
	case TLV_NETNS:
		return keep(h, &h->netns, value);
	default:
		return 0; /* NOOP, and what others have agreed on */
	}
}

static ssize_t take_tlvs(struct sd_pp_header *h, struct sd_slice all, struct sd_slice rest)
{
	struct sd_slice value;
	uint8_t type;
	while (tlv_next(&rest, &type, &value)) {
		ssize_t r = take_tlv(h, all, type, value);
		if (r)
			return r;
	}
	return rest.n ? bad(h, "the TLVs do not fill its length") : 0;
}

/* ---- version 2: addresses ---- */

static size_t addresses_size(uint8_t family)
{
	switch (family) {
	case UNSPEC:
		return 0;
	case TCP4:
		return 12;
	case TCP6:
		return 36;
	case UNIX:
		return 216;
	default:
		return SIZE_MAX;
	}
}

static struct sd_peer inet(const char *ip, size_t n, const char *port)
{
	struct sd_peer p = {.kind = SD_ADDR_INET, .v6 = n == 16, .port = get16(port)};
	memcpy(p.ip, ip, n);
	return p;
}

static struct sd_slice path(const char *p)
{
	return (struct sd_slice){p, strnlen(p, 108)};
}

static void take_addresses(struct sd_pp_header *h, uint8_t family, const char *p)
{
	size_t n = family == TCP4 ? 4 : 16;
	switch (family) {
	case UNSPEC:
		h->local = true;
		return;
	case UNIX:
		h->from.kind = h->to.kind = SD_ADDR_UNIX;
		h->from_path = path(p);
		h->to_path = path(p + 108);
		return;
	default:
		h->from = inet(p, n, p + 2 * n);
		h->to = inet(p + n, n, p + 2 * n + 2);
	}
}

/* All of a LOCAL header is to be passed over, whatever it holds (section 2.2); a checksum that can be found must be right. */
static ssize_t take_local(struct sd_pp_header *h, struct sd_slice all)
{
	size_t n = addresses_size((uint8_t)all.p[13]);
	struct sd_pp_header seen = {0};
	if (n <= all.n - HEAD2 && take_tlvs(&seen, all, (struct sd_slice){all.p + HEAD2 + n, all.n - HEAD2 - n}) == 0)
		h->checked = seen.checked;
	else if (seen.checked)
		return bad(h, seen.why);
	h->local = true;
	return 0;
}

static ssize_t take_proxy(struct sd_pp_header *h, struct sd_slice all)
{
	uint8_t family = (uint8_t)all.p[13];
	size_t n = addresses_size(family);
	if (n > all.n - HEAD2)
		return bad(h, "it is too short for its addresses");
	take_addresses(h, family, all.p + HEAD2);
	return take_tlvs(h, all, (struct sd_slice){all.p + HEAD2 + n, all.n - HEAD2 - n});
}

static ssize_t parse_v2(const char *p, size_t n, struct sd_pp_header *h)
{
	uint8_t command = n > 12 ? (uint8_t)p[12] : PROXY;
	h->version = 2;
	if (command != LOCAL && command != PROXY)
		return bad(h, command >> 4 != 2 ? "its version is not 2" : "a command that is neither LOCAL nor PROXY");
	if (n > 13 && command == PROXY && addresses_size((uint8_t)p[13]) == SIZE_MAX)
		return bad(h, "a family or transport other than TCP over IPv4 or IPv6, or UNIX streams");
	if (n < HEAD2)
		return SD_PP_INCOMPLETE;
	struct sd_slice all = {p, HEAD2 + (size_t)get16(p + 14)};
	if (all.n > SD_PP_MAX)
		return bad(h, "it is longer than 4096 bytes");
	if (n < all.n)
		return SD_PP_INCOMPLETE;
	ssize_t r = command == LOCAL ? take_local(h, all) : take_proxy(h, all);
	return r ? r : (ssize_t)all.n;
}

/* ---- either ---- */

ssize_t sd_pp_parse(const void *bytes, size_t n, struct sd_pp_header *out)
{
	const char *p = bytes;
	*out = (struct sd_pp_header){0};
	if (n == 0)
		return SD_PP_INCOMPLETE;
	if (memcmp(p, signature, n < 12 ? n : 12) == 0)
		return n < 12 ? SD_PP_INCOMPLETE : parse_v2(p, n, out);
	if (memcmp(p, "PROXY ", n < 6 ? n : 6) == 0)
		return n < 6 ? SD_PP_INCOMPLETE : parse_v1(p, n, out);
	out->foreign = true;
	return bad(out, "there is none");
}

/* Each space that is still to come has a byte behind it, and the line ends with two. */
static size_t need_v1(const char *p, size_t n)
{
	size_t spaces = 0;
	for (size_t i = 0; i < n; i++)
		spaces += p[i] == ' ';
	size_t need = p[n - 1] == '\r' ? 1 : 2;
	if (n > 10 && memcmp(p + 6, "TCP", 3) == 0 && spaces < 5)
		need += 2 * (5 - spaces);
	return n + need > SD_PP_MAX_V1 ? SD_PP_MAX_V1 - n : need;
}

size_t sd_pp_need(const void *bytes, size_t n)
{
	const char *p = bytes;
	if (n < SHORTEST)
		return SHORTEST - n;
	if (p[0] == 'P')
		return need_v1(p, n);
	return n < HEAD2 ? HEAD2 - n : HEAD2 + (size_t)get16(p + 14) - n;
}

/* ---- writing ---- */

static struct sd_peer mapped(struct sd_peer p)
{
	if (p.v6)
		return p;
	memcpy(p.ip + 12, p.ip, 4);
	memset(p.ip, 0, 10);
	p.ip[10] = p.ip[11] = 0xff;
	p.v6 = true;
	return p;
}

/* One family for both ends; an end that is not known is all zeros. */
static bool make_pair(struct sd_peer *from, struct sd_peer *to)
{
	if (from->kind != SD_ADDR_INET)
		return false;
	if (to->kind != SD_ADDR_INET)
		*to = (struct sd_peer){.kind = SD_ADDR_INET, .v6 = from->v6};
	if (from->v6 != to->v6) {
		*from = mapped(*from);
		*to = mapped(*to);
	}
	return true;
}

static size_t write_v1(char *out, const struct sd_peer *from, const struct sd_peer *to)
{
	char a[46], b[46];
	sd_peer_format(from, a);
	sd_peer_format(to, b);
	int n = snprintf(out, SD_PP_WRITE_MAX, "PROXY %s %s %s %u %u\r\n", from->v6 ? "TCP6" : "TCP4", a, b, from->port,
			 to->port);
	return (size_t)n;
}

static size_t put_tlv(char *out, uint8_t type, struct sd_slice value)
{
	if (value.n == 0 || value.n > TLV_WRITE_MAX)
		return 0;
	out[0] = (char)type;
	put16(out + 1, (uint16_t)value.n);
	memcpy(out + 3, value.p, value.n);
	return 3 + value.n;
}

static size_t put_ssl(char *out, const struct sd_pp_ssl *ssl)
{
	const struct sd_slice sub[] = {ssl->version, ssl->name, ssl->cipher, ssl->signature, ssl->key};
	size_t n = 8;
	if (!ssl->there)
		return 0;
	out[0] = TLV_SSL;
	out[3] = (char)ssl->client;
	put32(out + 4, ssl->verify);
	for (uint8_t i = 0; i < 5; i++)
		if (n + 3 + sub[i].n <= SSL_WRITE_MAX)
			n += put_tlv(out + n, (uint8_t)(SSL_VERSION + i), sub[i]);
	put16(out + 1, (uint16_t)(n - 3));
	return n;
}

static size_t put_extra(char *out, const struct sd_pp_extra *extra)
{
	size_t n = 0;
	if (!extra)
		return 0;
	n += put_tlv(out + n, TLV_ALPN, extra->alpn);
	n += put_tlv(out + n, TLV_AUTHORITY, extra->authority);
	return n + put_ssl(out + n, &extra->ssl);
}

static size_t write_v2(char *out, uint8_t command, uint8_t family, const struct sd_peer *from, const struct sd_peer *to,
		       const struct sd_pp_extra *extra)
{
	size_t ip = family == TCP4 ? 4 : 16, n = HEAD2;
	memcpy(out, signature, sizeof(signature));
	out[12] = (char)command;
	out[13] = (char)family;
	if (family != UNSPEC) {
		memcpy(out + n, from->ip, ip);
		memcpy(out + n + ip, to->ip, ip);
		n += 2 * ip;
		put16(out + n, from->port);
		put16(out + n + 2, to->port);
		n += 4;
	}
	n += put_extra(out + n, extra);
	put16(out + 14, (uint16_t)(n + 7 - HEAD2));
	out[n] = TLV_CRC32C;
	put16(out + n + 1, 4);
	put32(out + n + 3, 0);
	put32(out + n + 3, sd_crc32c(0, out, n + 7));
	return n + 7;
}

static size_t write_unknown(char *out)
{
	static const char line[] = "PROXY UNKNOWN\r\n";
	memcpy(out, line, sizeof(line) - 1);
	return sizeof(line) - 1;
}

size_t sd_pp_write(char out[SD_PP_WRITE_MAX], int version, const struct sd_peer *from, const struct sd_peer *to)
{
	return sd_pp_write_with(out, version, from, to, NULL);
}

size_t sd_pp_write_with(char out[SD_PP_WRITE_MAX], int version, const struct sd_peer *from, const struct sd_peer *to,
			const struct sd_pp_extra *extra)
{
	struct sd_peer f = *from, t = *to;
	bool known = make_pair(&f, &t);
	if (version == 1)
		return known ? write_v1(out, &f, &t) : write_unknown(out);
	return write_v2(out, PROXY, !known ? UNSPEC : f.v6 ? TCP6 : TCP4, &f, &t, extra);
}

size_t sd_pp_write_local(char out[SD_PP_WRITE_MAX], int version)
{
	return version == 1 ? write_unknown(out) : write_v2(out, LOCAL, UNSPEC, NULL, NULL, NULL);
}
