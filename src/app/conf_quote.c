#include <stdio.h>
#include <string.h>

#include "conf_int.h"

/* Longer texts are cut in messages. */
#define SHOWN 60

/* The length of the UTF-8 character at p, or 0 when it is none (overlong forms and surrogates are none). */
static size_t utf8_length(const unsigned char *p)
{
	if (p[0] < 0x80)
		return 1;
	if (p[0] >= 0xc2 && p[0] <= 0xdf)
		return (p[1] & 0xc0) == 0x80 ? 2 : 0;
	if ((p[0] & 0xf0) == 0xe0) {
		if ((p[0] == 0xe0 && p[1] < 0xa0) || (p[0] == 0xed && p[1] > 0x9f))
			return 0;
		return (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80 ? 3 : 0;
	}
	if (p[0] >= 0xf0 && p[0] <= 0xf4) {
		if ((p[0] == 0xf0 && p[1] < 0x90) || (p[0] == 0xf4 && p[1] > 0x8f))
			return 0;
		return (p[1] & 0xc0) == 0x80 && (p[2] & 0xc0) == 0x80 && (p[3] & 0xc0) == 0x80 ? 4 : 0;
	}
	return 0;
}

bool sd_conf_is_utf8(const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	while (*p) {
		size_t n = utf8_length(p);
		if (n == 0)
			return false;
		p += n;
	}
	return true;
}

/* One character of the text, escaped when it is no printable one; the number of bytes it took. */
static size_t show_one(const unsigned char *p, char out[8])
{
	size_t n = utf8_length(p);

	if (*p == '"' || *p == '\\')
		snprintf(out, 8, "\\%c", *p);
	else if (n == 0 || *p < 0x20 || *p == 0x7f)
		snprintf(out, 8, *p == '\n' ? "\\n" : *p == '\t' ? "\\t" : "\\x%02x", *p);
	else
		snprintf(out, 8, "%.*s", (int)n, (const char *)p);
	return n ? n : 1;
}

char *sd_conf_quote(const char *text, char *out, size_t size)
{
	const unsigned char *p = (const unsigned char *)text;
	size_t n = 0, shown = size < SHOWN + 8 ? size - 8 : SHOWN;

	out[n++] = '"';
	while (*p) {
		char one[8];
		size_t took = show_one(p, one), len = strlen(one);
		if (n + len > shown) {
			memcpy(out + n, "...", 3);
			n += 3;
			break;
		}
		memcpy(out + n, one, len);
		n += len;
		p += took;
	}
	memcpy(out + n, "\"", 2);
	return out;
}
