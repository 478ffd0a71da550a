#include "sdlab/err.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

const char *sd_err_text(enum sd_err code)
{
	switch (code) {
#define X(name, text)                                                                                        \
	case name:                                                                                           \
		return text;
		SD_ERR_LIST(X)
#undef X
	}
	return "unknown error";
}

/* A text that was cut in the middle of a UTF-8 character ends before it. */
static void trim_partial(char *text)
{
	size_t n = strlen(text), back = 0;

	while (back < 3 && back < n && ((unsigned char)text[n - 1 - back] & 0xc0) == 0x80)
		back++;
	if (back < n && (unsigned char)text[n - 1 - back] >= 0xc0)
		text[n - 1 - back] = '\0';
}

/* Copies with cutting; src may not overlap dst. */
static void put(char *dst, size_t size, const char *src)
{
	size_t n = strlen(src);

	if (n < size) {
		memcpy(dst, src, n + 1);
		return;
	}
	memcpy(dst, src, size - 1);
	dst[size - 1] = '\0';
	trim_partial(dst);
}

enum sd_err sd_fail(struct sd_error *e, enum sd_err code, const char *fmt, ...)
{
	/* cppcheck-suppress ctunullpointer; only its size is asked for */
	char text[sizeof e->text]; /* the arguments may point into *e */
	va_list ap;

	if (!e)
		return code;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (n >= (int)sizeof text)
		trim_partial(text);
	e->code = code;
	put(e->text, sizeof e->text, n < 0 ? sd_err_text(code) : text);
	return code;
}

enum sd_err sd_wrap(struct sd_error *e, const char *fmt, ...)
{
	char text[2 * sizeof e->text + 2];
	va_list ap;

	if (!e)
		return SD_EINVAL;
	va_start(ap, fmt);
	int n = vsnprintf(text, sizeof e->text, fmt, ap);
	va_end(ap);
	if (n < 0)
		return e->code;
	size_t used = strlen(text);
	memcpy(text + used, ": ", 2);
	memcpy(text + used + 2, e->text, strlen(e->text) + 1);
	put(e->text, sizeof e->text, text);
	return e->code;
}
