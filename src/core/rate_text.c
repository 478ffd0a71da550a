#include "rate_text.h"

#include <stdio.h>
#include <string.h>

#include "units.h"

#define SECOND INT64_C(1000000000)

static const struct {
	const char *name;
	int64_t ns;
} units[] = {
    {"s", SECOND},       {"sec", SECOND},       {"second", SECOND},        {"m", 60 * SECOND},      {"min", 60 * SECOND},
    {"minute", 60 * SECOND}, {"h", 3600 * SECOND}, {"hour", 3600 * SECOND}, {"d", 86400 * SECOND}, {"day", 86400 * SECOND},
};

static enum sd_err parse_period(const char *text, int64_t *ns)
{
	for (size_t i = 0; i < sizeof(units) / sizeof(units[0]); i++)
		if (strcmp(text, units[i].name) == 0) {
			*ns = units[i].ns;
			return SD_OK;
		}
	enum sd_err err = sd_parse_duration(text, ns);
	return err ? err : *ns > 0 ? SD_OK : SD_ERANGE;
}

enum sd_err sd_parse_quota(const char *text, uint32_t *count, int64_t *period_ns)
{
	const char *slash = strchr(text, '/');
	size_t n = slash ? (size_t)(slash - text) : strlen(text);
	char digits[24];
	int64_t v, period = SECOND;
	if (n >= sizeof(digits))
		return SD_ERANGE;
	snprintf(digits, sizeof(digits), "%.*s", (int)n, text);
	enum sd_err err = sd_parse_int(digits, &v);
	if (!err && slash)
		err = parse_period(slash + 1, &period);
	if (!err && (v <= 0 || v > UINT32_MAX))
		err = SD_ERANGE;
	if (err)
		return err;
	*count = (uint32_t)v;
	*period_ns = period;
	return SD_OK;
}
