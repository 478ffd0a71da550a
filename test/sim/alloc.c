#include "alloc.h"

#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t fail_at, count;
static void *place;
static int rests;

void alloc_fail_at(uint64_t n)
{
	fail_at = n;
	count = 0;
	place = NULL;
}

uint64_t alloc_count(void)
{
	return count;
}

int alloc_failed(void)
{
	return fail_at && count >= fail_at;
}

void *alloc_place(void)
{
	return place;
}

void alloc_rest(int yes)
{
	rests = yes;
}

static int fails(void *from)
{
	if (rests)
		return 0;
	if (++count != fail_at)
		return 0;
	place = from;
	return 1;
}

#define FAILS() fails(__builtin_return_address(0))

void *test_malloc(size_t n);
void *test_calloc(size_t n, size_t size);
void *test_realloc(void *p, size_t n);
void *test_reallocarray(void *p, size_t n, size_t size);
char *test_strdup(const char *s);
char *test_strndup(const char *s, size_t n);
void *test_aligned_alloc(size_t align, size_t n);
FILE *test_open_memstream(char **p, size_t *n);
int test_vasprintf(char **out, const char *fmt, va_list ap);
int test_asprintf(char **out, const char *fmt, ...);
int test___vasprintf_chk(char **out, int flag, const char *fmt, va_list ap);
int test___asprintf_chk(char **out, int flag, const char *fmt, ...);

void *test_malloc(size_t n)
{
	return FAILS() ? NULL : malloc(n);
}

void *test_calloc(size_t n, size_t size)
{
	return FAILS() ? NULL : calloc(n, size);
}

void *test_realloc(void *p, size_t n)
{
	return FAILS() ? NULL : realloc(p, n);
}

void *test_reallocarray(void *p, size_t n, size_t size)
{
	return FAILS() ? NULL : reallocarray(p, n, size);
}

char *test_strdup(const char *s)
{
	return FAILS() ? NULL : strdup(s);
}

char *test_strndup(const char *s, size_t n)
{
	return FAILS() ? NULL : strndup(s, n);
}

void *test_aligned_alloc(size_t align, size_t n)
{
	return FAILS() ? NULL : aligned_alloc(align, n);
}

FILE *test_open_memstream(char **p, size_t *n)
{
	return FAILS() ? NULL : open_memstream(p, n);
}

int test_vasprintf(char **out, const char *fmt, va_list ap)
{
	return FAILS() ? -1 : vasprintf(out, fmt, ap);
}

int test_asprintf(char **out, const char *fmt, ...)
{
	va_list ap;
	if (FAILS())
		return -1;
	va_start(ap, fmt);
	int n = vasprintf(out, fmt, ap);
	va_end(ap);
	return n;
}

int test___vasprintf_chk(char **out, int flag, const char *fmt, va_list ap)
{
	(void)flag;
	return FAILS() ? -1 : vasprintf(out, fmt, ap);
}

int test___asprintf_chk(char **out, int flag, const char *fmt, ...)
{
	va_list ap;
	(void)flag;
	if (FAILS())
		return -1;
	va_start(ap, fmt);
	int n = vasprintf(out, fmt, ap);
	va_end(ap);
	return n;
}
