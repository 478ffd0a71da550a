#include "redis_text.h"

#include <ctype.h>
#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* One class "[a-c]" of a pattern against a byte; *p is behind it afterwards. */
static bool in_class(const char **p, const char *end, char c)
{
	const char *s = *p;
	bool other = s < end && *s == '^', found = false;
	s += other;
	for (; s < end && *s != ']'; s++) {
		if (*s == '\\' && s + 1 < end) {
			found |= *++s == c;
		} else if (s + 2 < end && s[1] == '-') {
			unsigned char a = (unsigned char)s[0], b = (unsigned char)s[2], v = (unsigned char)c;
			found |= (a <= b ? a : b) <= v && v <= (a <= b ? b : a);
			s += 2;
		} else {
			found |= *s == c;
		}
	}
	*p = s < end ? s + 1 : s;
	return found != other;
}

/* Goes back only to the last star: any pattern costs at most their product, and no recursion. */
static bool matches(struct sd_slice pattern, struct sd_slice text)
{
	const char *p = pattern.p, *end = p + pattern.n, *t = text.p, *tend = t + text.n;
	const char *star = NULL, *from = NULL;
	if (tend == t) /* as Redis has it: a star is not for what is empty, but where it stands for all keys */
		return p == end;
	for (;;) {
		if (p < end && *p == '*') {
			star = ++p;
			from = t;
			continue;
		}
		if (t == tend)
			break;
		const char *next = p;
		bool fits = p < end;
		if (fits && *p == '[') {
			next = p + 1;
			fits = in_class(&next, end, *t);
		} else if (fits) {
			next = *p == '\\' && p + 1 < end ? p + 1 : p;
			fits = (*p == '?') || *next == *t;
			next++;
		}
		if (fits) {
			p = next;
			t++;
		} else if (star) {
			p = star;
			t = ++from;
		} else {
			return false;
		}
	}
	return p == end;
}

bool sd_redis_matches(struct sd_slice pattern, struct sd_slice text)
{
	return matches(pattern, text);
}

bool sd_redis_matches_any_case(struct sd_slice pattern, struct sd_slice text)
{
	char p[256];
	if (pattern.n > sizeof(p))
		return false;
	for (size_t i = 0; i < pattern.n; i++)
		p[i] = (char)tolower((unsigned char)pattern.p[i]);
	return matches((struct sd_slice){p, pattern.n}, text);
}

bool sd_redis_parse_double(struct sd_slice s, long double *out)
{
	char text[5120], *end;
	if (s.n == 0 || s.n >= sizeof(text) || isspace((unsigned char)s.p[0]))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	errno = 0;
	*out = strtold(text, &end);
	return end == text + s.n && !isnan(*out) && !(errno == ERANGE && (isinf(*out) || *out == 0));
}

/* As Redis writes it for people: 17 digits behind the point, without the zeros at the end. */
size_t sd_redis_float_text(long double v, char out[SD_REDIS_FLOAT_TEXT])
{
	int n = snprintf(out, SD_REDIS_FLOAT_TEXT, "%.17Lf", v);
	char *end = out + n;
	while (end[-1] == '0')
		end--;
	if (end[-1] == '.')
		end--;
	if (end == out + 2 && out[0] == '-' && out[1] == '0') {
		out[0] = '0';
		end--;
	}
	return (size_t)(end - out);
}

bool sd_redis_parse_cursor(struct sd_slice s, uint64_t *out)
{
	char text[128], *end;
	if (s.n >= sizeof(text) || (s.n && isspace((unsigned char)s.p[0])))
		return false;
	memcpy(text, s.p, s.n);
	text[s.n] = '\0';
	errno = 0;
	*out = strtoull(text, &end, 10);
	return !*end && errno != ERANGE;
}
