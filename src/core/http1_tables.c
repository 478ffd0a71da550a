/* http1_tables.c - byte classes, methods, field names and reason phrases. */
#include <string.h>

#include "core/http1_int.h"

#define T SD_H1_TOKEN
#define V SD_H1_VALUE
#define G SD_H1_TARGET
#define R SD_H1_REGNAME

const uint8_t sd_h1_class[256] = {
    ['\t'] = V,
    [' '] = V,
    ['!'] = T | V | G | R,
    ['"'] = V | G,
    ['#'] = T | V,
    ['$'] = T | V | G | R,
    ['%'] = T | V | G,
    ['&'] = T | V | G | R,
    ['\''] = T | V | G | R,
    ['('] = V | G | R,
    [')'] = V | G | R,
    ['*'] = T | V | G | R,
    ['+'] = T | V | G | R,
    [','] = V | G | R,
    ['-'] = T | V | G | R,
    ['.'] = T | V | G | R,
    ['/'] = V | G,
    ['0' ... '9'] = T | V | G | R | SD_H1_HEX | SD_H1_DIGIT,
    [':'] = V | G,
    [';'] = V | G | R,
    ['<'] = V | G,
    ['='] = V | G | R,
    ['>'] = V | G,
    ['?'] = V | G,
    ['@'] = V | G,
    ['A' ... 'F'] = T | V | G | R | SD_H1_HEX,
    ['G' ... 'Z'] = T | V | G | R,
    ['['] = V | G,
    ['\\'] = V | G,
    [']'] = V | G,
    ['^'] = T | V | G,
    ['_'] = T | V | G | R,
    ['`'] = T | V | G,
    ['a' ... 'f'] = T | V | G | R | SD_H1_HEX,
    ['g' ... 'z'] = T | V | G | R,
    ['{'] = V | G,
    ['|'] = T | V | G,
    ['}'] = V | G,
    ['~'] = T | V | G | R,
    [0x80 ... 0xff] = V,
};

static const struct sd_slice methods[] = {
    [SD_HTTP_GET] = {"GET", 3},         [SD_HTTP_HEAD] = {"HEAD", 4},     [SD_HTTP_POST] = {"POST", 4},
    [SD_HTTP_PUT] = {"PUT", 3},         [SD_HTTP_DELETE] = {"DELETE", 6}, [SD_HTTP_CONNECT] = {"CONNECT", 7},
    [SD_HTTP_OPTIONS] = {"OPTIONS", 7}, [SD_HTTP_TRACE] = {"TRACE", 5},   [SD_HTTP_PATCH] = {"PATCH", 5},
};

enum sd_http_method sd_h1_method(const char *p, size_t n)
{
	for (size_t i = SD_HTTP_GET; i <= SD_HTTP_PATCH; i++)
		if (methods[i].n == n && memcmp(methods[i].p, p, n) == 0)
			return (enum sd_http_method)i;
	return SD_HTTP_OTHER;
}

bool sd_http_method_idempotent(enum sd_http_method method)
{
	switch (method) {
	case SD_HTTP_GET:
	case SD_HTTP_HEAD:
	case SD_HTTP_OPTIONS:
	case SD_HTTP_TRACE:
	case SD_HTTP_PUT:
	case SD_HTTP_DELETE:
		return true;
	default:
		return false;
	}
}

static const char *const field_names[] = {[SD_HTTP_F_OTHER] = "",
#define X(id, name) [id] = name,
					  SD_HTTP_FIELD_LIST(X)
#undef X
};

/* The names of each length, 0-terminated. Two of the same length never begin with the same letter, so a name
 * is compared in full once at most. A name that is put on the list needs its place here; test_http1 looks. */
static const uint8_t by_length[][4] = {
    [2] = {SD_HTTP_F_TE},
    [3] = {SD_HTTP_F_VIA},
    [4] = {SD_HTTP_F_HOST, SD_HTTP_F_DATE},
    [6] = {SD_HTTP_F_SERVER, SD_HTTP_F_EXPECT},
    [7] = {SD_HTTP_F_UPGRADE, SD_HTTP_F_TRAILER},
    [9] = {SD_HTTP_F_FORWARDED},
    [10] = {SD_HTTP_F_CONNECTION, SD_HTTP_F_KEEP_ALIVE, SD_HTTP_F_TRACESTATE},
    [11] = {SD_HTTP_F_TRACEPARENT},
    [12] = {SD_HTTP_F_CONTENT_TYPE, SD_HTTP_F_MAX_FORWARDS},
    [14] = {SD_HTTP_F_CONTENT_LENGTH},
    [15] = {SD_HTTP_F_X_FORWARDED_FOR},
    [16] = {SD_HTTP_F_X_FORWARDED_HOST, SD_HTTP_F_PROXY_CONNECTION},
    [17] = {SD_HTTP_F_TRANSFER_ENCODING, SD_HTTP_F_X_FORWARDED_PROTO},
};

static inline uint64_t load8(const char *p)
{
	uint64_t x;
	memcpy(&x, p, sizeof x);
	return x;
}

static inline uint32_t load4(const char *p)
{
	uint32_t x;
	memcpy(&x, p, sizeof x);
	return x;
}

/* Is the token p, in lower case, the name? Among token bytes only a letter becomes a letter by setting bit 5,
 * and only '-' becomes '-', so that is exact. The two loads overlap when n is not 16 or 8. */
static bool same_name(const char *p, const char *name, size_t n)
{
	const uint64_t low = 0x2020202020202020;
	if (n >= 8) {
		if (n > 16 && (p[8] | 0x20) != name[8])
			return false;
		return (load8(p) | low) == load8(name) && (load8(p + n - 8) | low) == load8(name + n - 8);
	}
	if (n >= 4)
		return (load4(p) | (uint32_t)low) == load4(name) &&
		       (load4(p + n - 4) | (uint32_t)low) == load4(name + n - 4);
	for (size_t i = 0; i < n; i++)
		if ((p[i] | 0x20) != name[i])
			return false;
	return true;
}

enum sd_http_field_id sd_h1_field_id(const char *p, size_t n)
{
	if (n >= sizeof by_length / sizeof by_length[0])
		return SD_HTTP_F_OTHER;
	for (const uint8_t *id = by_length[n]; *id; id++)
		if (field_names[*id][0] == (p[0] | 0x20) && same_name(p, field_names[*id], n))
			return (enum sd_http_field_id) * id;
	return SD_HTTP_F_OTHER;
}

/* The IANA registry of status codes. */
static const char *const phrases[] = {
    [100] = "Continue",
    [101] = "Switching Protocols",
    [102] = "Processing",
    [103] = "Early Hints",
    [104] = "Upload Resumption Supported",
    [200] = "OK",
    [201] = "Created",
    [202] = "Accepted",
    [203] = "Non-Authoritative Information",
    [204] = "No Content",
    [205] = "Reset Content",
    [206] = "Partial Content",
    [207] = "Multi-Status",
    [208] = "Already Reported",
    [226] = "IM Used",
    [300] = "Multiple Choices",
    [301] = "Moved Permanently",
    [302] = "Found",
    [303] = "See Other",
    [304] = "Not Modified",
    [305] = "Use Proxy",
    [307] = "Temporary Redirect",
    [308] = "Permanent Redirect",
    [400] = "Bad Request",
    [401] = "Unauthorized",
    [402] = "Payment Required",
    [403] = "Forbidden",
    [404] = "Not Found",
    [405] = "Method Not Allowed",
    [406] = "Not Acceptable",
    [407] = "Proxy Authentication Required",
    [408] = "Request Timeout",
    [409] = "Conflict",
    [410] = "Gone",
    [411] = "Length Required",
    [412] = "Precondition Failed",
    [413] = "Content Too Large",
    [414] = "URI Too Long",
    [415] = "Unsupported Media Type",
    [416] = "Range Not Satisfiable",
    [417] = "Expectation Failed",
    [421] = "Misdirected Request",
    [422] = "Unprocessable Content",
    [423] = "Locked",
    [424] = "Failed Dependency",
    [425] = "Too Early",
    [426] = "Upgrade Required",
    [428] = "Precondition Required",
    [429] = "Too Many Requests",
    [431] = "Request Header Fields Too Large",
    [451] = "Unavailable For Legal Reasons",
    [500] = "Internal Server Error",
    [501] = "Not Implemented",
    [502] = "Bad Gateway",
    [503] = "Service Unavailable",
    [504] = "Gateway Timeout",
    [505] = "HTTP Version Not Supported",
    [506] = "Variant Also Negotiates",
    [507] = "Insufficient Storage",
    [508] = "Loop Detected",
    [510] = "Not Extended",
    [511] = "Network Authentication Required",
};

const char *sd_http_status_text(int status)
{
	const int n = sizeof phrases / sizeof phrases[0];
	return status >= 0 && status < n && phrases[status] ? phrases[status] : "Unknown";
}
