#include "core/text.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Room for another n bytes and the 0. */
static bool grow(struct sd_text *t, size_t n)
{
	if (!t->full && t->room - t->n > n)
		return true;
	size_t room = 2 * t->room + n + 64;
	char *p = t->full || n > SIZE_MAX / 4 - t->room ? NULL : realloc(t->p, room);
	if (!p) {
		t->full = true;
		return false;
	}
	t->p = p;
	t->room = room;
	return true;
}

void sd_text_add(struct sd_text *t, const char *bytes, size_t n)
{
	if (!grow(t, n))
		return;
	if (n > 0)
		memcpy(t->p + t->n, bytes, n);
	t->n += n;
	t->p[t->n] = '\0';
}

void sd_text_format(struct sd_text *t, const char *format, ...)
{
	va_list args, again;
	va_start(args, format);
	va_copy(again, args);
	int n = vsnprintf(NULL, 0, format, args);
	if (n >= 0 && grow(t, (size_t)n)) {
		vsnprintf(t->p + t->n, (size_t)n + 1, format, again);
		t->n += (size_t)n;
	}
	va_end(again);
	va_end(args);
}

void sd_text_fill(struct sd_text *t, char c, size_t n)
{
	if (!grow(t, n))
		return;
	memset(t->p + t->n, c, n);
	t->n += n;
	t->p[t->n] = '\0';
}

char *sd_text_take(struct sd_text *t, size_t *n)
{
	if (t->full || !grow(t, 0)) {
		free(t->p);
		*t = (struct sd_text){0};
		return NULL;
	}
	t->p[t->n] = '\0';
	char *p = t->p;
	if (n)
		*n = t->n;
	*t = (struct sd_text){0};
	return p;
}
