/* slice.h - bytes that somebody else owns. */
#ifndef SDLAB_SLICE_H
#define SDLAB_SLICE_H

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#ifdef __cplusplus
extern "C" {
#endif

/* n bytes at p; not terminated. p may be NULL only when n is 0. Valid as long as the owner says. */
struct sd_slice {
	const char *p;
	size_t n;
};

static inline struct sd_slice sd_slice_of(const char *s)
{
	return (struct sd_slice){s, s ? strlen(s) : 0};
}

static inline bool sd_slice_eq(struct sd_slice a, const char *b)
{
	size_t n = strlen(b);
	return a.n == n && (n == 0 || memcmp(a.p, b, n) == 0);
}

/* ASCII, without regard to case. */
static inline bool sd_slice_ieq(struct sd_slice a, const char *b)
{
	size_t n = strlen(b);
	return a.n == n && (n == 0 || strncasecmp(a.p, b, n) == 0);
}

static inline bool sd_slice_starts(struct sd_slice a, const char *prefix)
{
	size_t n = strlen(prefix);
	return a.n >= n && (n == 0 || memcmp(a.p, prefix, n) == 0);
}

#ifdef __cplusplus
}
#endif

#endif
