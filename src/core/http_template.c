#include "http_template.h"

static const char *const names[SD_VAR_COUNT] = {"scheme", "host", "hostname", "path", "query", "uri", "rest", "client", "method"};

static int find(struct sd_slice name)
{
	for (int i = 0; i < SD_VAR_COUNT; i++)
		if (sd_slice_eq(name, names[i]))
			return i;
	return -1;
}

/* The next piece of *text: bytes, or (*var >= 0) a place. False at the end; *var -2: it is not well formed. */
static bool next(const char **text, struct sd_slice *bytes, int *var)
{
	const char *p = *text;
	size_t n = strcspn(p, "{");
	*var = -1;
	*bytes = (struct sd_slice){p, n};
	if (n == 0 && !*p)
		return false;
	if (n) {
		*text = p + n;
		return true;
	}
	if (p[1] == '{') {
		*bytes = (struct sd_slice){p, 1};
		*text = p + 2;
		return true;
	}
	n = strcspn(p, "}");
	*bytes = (struct sd_slice){p, n + (p[n] == '}')};
	*var = p[n] == '}' ? find((struct sd_slice){p + 1, n - 1}) : -1;
	if (*var < 0)
		*var = -2;
	*text = p + bytes->n;
	return true;
}

enum sd_err sd_http_template_check(const char *text, struct sd_error *e)
{
	struct sd_slice s;
	int var;
	while (next(&text, &s, &var))
		if (var == -2)
			return sd_fail(e, SD_EINVAL, "expected one of {scheme} {host} {hostname} {path} {query} {uri} {rest} {client} "
				       "{method}, or {{ for a brace, found \"%.*s\"", (int)(s.n < 40 ? s.n : 40), s.p);
	return SD_OK;
}

size_t sd_http_template_write(char *out, size_t room, const char *text, const struct sd_http_vars *vars)
{
	struct sd_slice s;
	size_t n = 0;
	int var;
	while (next(&text, &s, &var)) {
		if (var >= 0)
			s = vars ? vars->v[var] : (struct sd_slice){"", 0};
		size_t fit = n < room ? room - n : 0;
		if (s.n && fit)
			memcpy(out + n, s.p, s.n < fit ? s.n : fit);
		n += s.n;
	}
	return n;
}
