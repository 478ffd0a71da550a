#include "units.h"

#include <inttypes.h>
#include <math.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#define COUNT(a) (sizeof(a) / sizeof((a)[0]))

__extension__ typedef unsigned __int128 wide;

struct unit {
	const char *name;
	int64_t size;
};

/* Largest first: durations are written and read in this order. */
static const struct unit durations[] = {
    {"d", 86400000000000}, {"h", 3600000000000}, {"m", 60000000000}, {"s", 1000000000},
    {"ms", 1000000},       {"us", 1000},         {"ns", 1},
};

static const struct unit sizes[] = {
    {"TiB", INT64_C(1) << 40},
    {"GiB", 1 << 30},
    {"MiB", 1 << 20},
    {"KiB", 1 << 10},
    {"TB", 1000000000000},
    {"GB", 1000000000},
    {"MB", 1000000},
    {"KB", 1000},
    {"kB", 1000},
    {"B", 1},
    {"", 1},
};

/* In any case, where it is none of the above. */
static const struct unit redis_sizes[] = {
    {"k", 1000}, {"kb", 1 << 10}, {"m", 1000000}, {"mb", 1 << 20}, {"g", 1000000000}, {"gb", 1 << 30},
};

/* The first name of a size is the one that is written. */
static const struct unit rates[] = {
    {"s", 1},      {"min", 60}, {"h", 3600},    {"d", 86400},   {"sec", 1},
    {"second", 1}, {"m", 60},   {"minute", 60}, {"hour", 3600}, {"day", 86400},
};

static const struct unit *find_unit(const struct unit *units, size_t n, const char *name, size_t len)
{
	for (size_t i = 0; i < n; i++)
		if (strlen(units[i].name) == len && memcmp(units[i].name, name, len) == 0)
			return &units[i];
	return NULL;
}

static const struct unit *find_size(const char *name)
{
	const struct unit *u = find_unit(sizes, COUNT(sizes), name, strlen(name));
	for (size_t i = 0; i < COUNT(redis_sizes) && !u; i++)
		if (strcasecmp(redis_sizes[i].name, name) == 0)
			u = &redis_sizes[i];
	return u;
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

/* Where a run of digits ends; NULL when there is none, or when it begins with a zero that says nothing. */
static const char *skip_whole(const char *p)
{
	if (!is_digit(p[0]) || (p[0] == '0' && is_digit(p[1])))
		return NULL;
	while (is_digit(*p))
		p++;
	return p;
}

/* Where a decimal number with an optional fraction and exponent ends; NULL when it is none. */
static const char *skip_number(const char *p)
{
	p = skip_whole(p);
	if (p && *p == '.') {
		if (!is_digit(*++p))
			return NULL;
		while (is_digit(*p))
			p++;
	}
	if (p && (*p == 'e' || *p == 'E')) {
		p++;
		if (*p == '+' || *p == '-')
			p++;
		if (!is_digit(*p))
			return NULL;
		while (is_digit(*p))
			p++;
	}
	return p;
}

enum sd_err sd_parse_bool(const char *text, bool *out)
{
	static const char *const words[] = {"false", "true", "no", "yes", "off", "on", "0", "1"};

	for (size_t i = 0; i < COUNT(words); i++) {
		if (strcmp(text, words[i]) == 0) {
			*out = i % 2;
			return SD_OK;
		}
	}
	return SD_EINVAL;
}

enum sd_err sd_parse_int(const char *text, int64_t *out)
{
	bool negative = *text == '-';
	const char *p = text + negative, *end = skip_whole(p);
	int64_t v = 0;

	if (!end || *end)
		return SD_EINVAL;
	for (; p < end; p++) {
		int digit = *p - '0';
		if (__builtin_mul_overflow(v, 10, &v) ||
		    __builtin_add_overflow(v, negative ? -digit : digit, &v))
			return SD_ERANGE;
	}
	*out = v;
	return SD_OK;
}

/* The number at the start of text; *end is set to what follows it. */
static enum sd_err scan_number(const char *text, const char **end, double *out)
{
	char *stop;

	*end = skip_number(text);
	if (!*end)
		return SD_EINVAL;
	double v = strtod(text, &stop);
	if (stop != *end)
		return SD_EINVAL;
	if (!isfinite(v))
		return SD_ERANGE;
	*out = v;
	return SD_OK;
}

enum sd_err sd_parse_number(const char *text, double *out)
{
	const char *end;
	bool negative = *text == '-';
	double v = 0;
	enum sd_err err = scan_number(text + negative, &end, &v);

	if (err == SD_EINVAL || *end)
		return SD_EINVAL;
	if (err == SD_OK)
		*out = negative ? -v : v;
	return err;
}

enum sd_err sd_parse_percent(const char *text, double *out)
{
	const char *end;
	double v = 0;
	enum sd_err err = scan_number(text, &end, &v);

	if (err == SD_EINVAL || (*end && strcmp(end, "%") != 0))
		return SD_EINVAL;
	if (*end)
		v /= 100;
	if (err != SD_OK || v > 1)
		return SD_ERANGE;
	*out = v;
	return SD_OK;
}

/* whole + part / scale, exactly. */
struct amount {
	int64_t whole;
	uint64_t part, scale;
};

static enum sd_err scan_amount(const char **text, struct amount *a)
{
	const char *p = *text, *end = skip_whole(p);
	enum sd_err err = SD_OK;

	*a = (struct amount){0, 0, 1};
	if (!end)
		return SD_EINVAL;
	for (; p < end; p++)
		if (__builtin_mul_overflow(a->whole, 10, &a->whole) ||
		    __builtin_add_overflow(a->whole, *p - '0', &a->whole))
			err = SD_ERANGE;
	if (*p == '.') {
		const char *digits = ++p;
		for (; is_digit(*p); p++) {
			if (p - digits == 18)
				return SD_EINVAL;
			a->part = a->part * 10 + (uint64_t)(*p - '0');
			a->scale *= 10;
		}
		if (p == digits)
			return SD_EINVAL;
	}
	*text = p;
	return err;
}

/* *total += a * unit. A fraction that is no whole number of units is not rounded: SD_EINVAL. */
static enum sd_err add_amount(int64_t *total, const struct amount *a, int64_t unit)
{
	wide part = (wide)a->part * (wide)unit;
	int64_t v;

	if (part % a->scale)
		return SD_EINVAL;
	if (__builtin_mul_overflow(a->whole, unit, &v) ||
	    __builtin_add_overflow(v, (int64_t)(part / a->scale), &v) ||
	    __builtin_add_overflow(*total, v, total))
		return SD_ERANGE;
	return SD_OK;
}

static size_t letters(const char *p)
{
	return strspn(p, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ");
}

enum sd_err sd_parse_duration(const char *text, int64_t *ns)
{
	const struct unit *last = NULL;
	int64_t total = 0;
	enum sd_err result = SD_OK;

	if (strcmp(text, "0") == 0) {
		*ns = 0;
		return SD_OK;
	}
	for (const char *p = text; *p || p == text;) {
		struct amount a;
		enum sd_err err = scan_amount(&p, &a);
		size_t n = letters(p);
		const struct unit *u = find_unit(durations, COUNT(durations), p, n);
		if (err == SD_EINVAL || !u || (last && u <= last))
			return SD_EINVAL;
		p += n;
		if (a.scale > 1 && *p)
			return SD_EINVAL;
		if (err == SD_OK)
			err = add_amount(&total, &a, u->size);
		if (err == SD_EINVAL)
			return err;
		if (err != SD_OK)
			result = err;
		last = u;
	}
	if (result == SD_OK)
		*ns = total;
	return result;
}

enum sd_err sd_parse_size(const char *text, int64_t *bytes)
{
	struct amount a;
	int64_t total = 0;
	enum sd_err err = scan_amount(&text, &a);
	const struct unit *u = find_size(text);

	if (err == SD_EINVAL || !u)
		return SD_EINVAL;
	if (err == SD_OK)
		err = add_amount(&total, &a, u->size);
	if (err == SD_OK)
		*bytes = total;
	return err;
}

enum sd_err sd_parse_rate(const char *text, double *per_second)
{
	const char *end;
	double v = 0;
	enum sd_err err = scan_number(text, &end, &v);

	if (err == SD_EINVAL || *end != '/')
		return SD_EINVAL;
	const struct unit *u = find_unit(rates, COUNT(rates), end + 1, strlen(end + 1));
	if (!u)
		return SD_EINVAL;
	if (err == SD_OK)
		*per_second = v / (double)u->size;
	return err;
}

char *sd_format_number(double value, char out[SD_UNIT_TEXT])
{
	for (int digits = 15; digits <= 17; digits++) {
		snprintf(out, SD_UNIT_TEXT, "%.*g", digits, value);
		if (strtod(out, NULL) == value)
			break;
	}
	return out;
}

char *sd_format_percent(double value, char out[SD_UNIT_TEXT])
{
	double back;

	snprintf(out, SD_UNIT_TEXT, "%.15g%%", value * 100);
	if (sd_parse_percent(out, &back) == SD_OK && back == value)
		return out;
	return sd_format_number(value, out);
}

/* "1.5s": an amount of one unit with the decimals it needs. */
static int format_part(char *out, size_t size, int64_t amount, const struct unit *u)
{
	int64_t whole = amount / u->size, rest = amount % u->size;
	int n = snprintf(out, size, "%" PRId64, whole);

	if (rest) {
		int digits = 0;
		for (int64_t s = u->size; s > 1; s /= 10)
			digits++;
		n += snprintf(out + n, size - (size_t)n, ".%0*" PRId64, digits, rest);
		while (out[n - 1] == '0')
			n--;
	}
	return n + snprintf(out + n, size - (size_t)n, "%s", u->name);
}

char *sd_format_duration(int64_t ns, char out[SD_UNIT_TEXT])
{
	size_t n = 0;

	if (ns == 0 || ns == INT64_MIN) /* the one has no unit that fits, the other no positive number */
		snprintf(out, SD_UNIT_TEXT, "%s", ns == 0 ? "0s" : "-106751d23h47m16.854775808s");
	else if (ns < 0)
		out[n++] = '-';
	ns = ns == INT64_MIN ? 0 : ns < 0 ? -ns : ns;
	for (size_t i = 0; ns > 0; i++) {
		const struct unit *u = &durations[i];
		if (ns < u->size)
			continue;
		/* From seconds down the rest is decimals, before that it is the next unit. */
		int64_t part = u->size > 1000000000 ? ns - ns % u->size : ns;
		n += (size_t)format_part(out + n, SD_UNIT_TEXT - n, part, u);
		ns -= part;
	}
	return out;
}

char *sd_format_size(int64_t bytes, char out[SD_UNIT_TEXT])
{
	const struct unit *best = find_unit(sizes, COUNT(sizes), "B", 1);

	/* The unit with the smallest whole number; of two alike the first, which is the binary one. */
	for (size_t i = 0; i < COUNT(sizes); i++)
		if (bytes && bytes % sizes[i].size == 0 && sizes[i].size > best->size)
			best = &sizes[i];
	snprintf(out, SD_UNIT_TEXT, "%" PRId64 "%s", bytes / best->size, best->name);
	return out;
}

char *sd_format_rate(double per_second, char out[SD_UNIT_TEXT])
{
	char number[SD_UNIT_TEXT];
	const struct unit *best = &rates[0];
	double back;

	/* The unit that takes the fewest digits: 100/min, not 6000/h and not 1.666666666666667/s. */
	sd_format_number(per_second, out);
	for (size_t i = 1; i < 4; i++) {
		snprintf(number, sizeof number, "%.15g", per_second * (double)rates[i].size);
		if (strlen(number) < strlen(out) && sd_parse_number(number, &back) == SD_OK &&
		    back / (double)rates[i].size == per_second) {
			memcpy(out, number, sizeof number);
			best = &rates[i];
		}
	}
	size_t n = strlen(out);
	snprintf(out + n, SD_UNIT_TEXT - n, "/%s", best->name);
	return out;
}
