#include <stdio.h>
#include <string.h>

#include "conf_int.h"
#include "core/addr.h"

static enum sd_err parse_bool(struct sd_conf_value *v, const char *text)
{
	bool on;
	enum sd_err err = sd_parse_bool(text, &on);

	if (err == SD_OK)
		v->i = on;
	return err;
}

static enum sd_err parse_int(struct sd_conf_value *v, const char *text)
{
	return sd_parse_int(text, &v->i);
}

static enum sd_err parse_port(struct sd_conf_value *v, const char *text)
{
	int64_t port = 0;
	enum sd_err err = sd_parse_int(text, &port);

	if (err == SD_OK && (port < 0 || port > 65535))
		return SD_ERANGE;
	v->i = port;
	return err;
}

static enum sd_err parse_duration(struct sd_conf_value *v, const char *text)
{
	return sd_parse_duration(text, &v->i);
}

static enum sd_err parse_size(struct sd_conf_value *v, const char *text)
{
	return sd_parse_size(text, &v->i);
}

static enum sd_err parse_number(struct sd_conf_value *v, const char *text)
{
	return sd_parse_number(text, &v->d);
}

static enum sd_err parse_percent(struct sd_conf_value *v, const char *text)
{
	return sd_parse_percent(text, &v->d);
}

static enum sd_err parse_rate(struct sd_conf_value *v, const char *text)
{
	return sd_parse_rate(text, &v->d);
}

static enum sd_err parse_text(struct sd_conf_value *v, const char *text)
{
	v->text = text;
	return SD_OK;
}

static enum sd_err parse_address(struct sd_conf_value *v, const char *text)
{
	v->text = text;
	return sd_conf_address_ok(text) ? SD_OK : SD_EINVAL;
}

static enum sd_err parse_file(struct sd_conf_value *v, const char *text)
{
	v->text = text;
	return *text ? SD_OK : SD_EINVAL;
}

static enum sd_err parse_enum(struct sd_conf_value *v, const char *text)
{
	const char *choice;
	size_t n;

	for (size_t i = 0; sd_option_choice(v->opt->choices, i, &choice, &n); i++) {
		if (strlen(text) == n && memcmp(choice, text, n) == 0) {
			v->i = (int64_t)i;
			v->text = text;
			return SD_OK;
		}
	}
	return SD_EINVAL;
}

static char *format_bool(const struct sd_conf_value *v, char out[SD_UNIT_TEXT])
{
	snprintf(out, SD_UNIT_TEXT, "%s", v->i ? "true" : "false");
	return out;
}

static char *format_int(const struct sd_conf_value *v, char out[SD_UNIT_TEXT])
{
	snprintf(out, SD_UNIT_TEXT, "%lld", (long long)v->i);
	return out;
}

static char *format_duration(const struct sd_conf_value *v, char out[SD_UNIT_TEXT])
{
	return sd_format_duration(v->i, out);
}

static char *format_size(const struct sd_conf_value *v, char out[SD_UNIT_TEXT])
{
	return sd_format_size(v->i, out);
}

static char *format_number(const struct sd_conf_value *v, char out[SD_UNIT_TEXT])
{
	return sd_format_number(v->d, out);
}

static char *format_percent(const struct sd_conf_value *v, char out[SD_UNIT_TEXT])
{
	return sd_format_percent(v->d, out);
}

static char *format_rate(const struct sd_conf_value *v, char out[SD_UNIT_TEXT])
{
	return sd_format_rate(v->d, out);
}

static const struct sd_conf_type types[] = {
    [SD_OPT_BOOL] = {"BOOL", "true or false", SD_STORE_INT, true, parse_bool, format_bool},
    [SD_OPT_INT] = {"N", "a whole number", SD_STORE_INT, true, parse_int, format_int},
    [SD_OPT_NUMBER] = {"N", "a number", SD_STORE_REAL, true, parse_number, format_number},
    [SD_OPT_PERCENT] = {"SHARE", "a share such as 5% or 0.05", SD_STORE_REAL, false, parse_percent,
			format_percent},
    [SD_OPT_STRING] = {"TEXT", "a text", SD_STORE_TEXT, false, parse_text, NULL},
    [SD_OPT_DURATION] = {"DURATION", "a duration such as 5s", SD_STORE_INT, false, parse_duration,
			 format_duration},
    [SD_OPT_SIZE] = {"SIZE", "a size such as 64KiB", SD_STORE_INT, false, parse_size, format_size},
    [SD_OPT_RATE] = {"RATE", "a rate such as 100/min", SD_STORE_REAL, false, parse_rate, format_rate},
    [SD_OPT_PORT] = {"PORT", "a port", SD_STORE_INT, true, parse_port, format_int},
    [SD_OPT_ADDRESS] = {"ADDRESS", "an address: HOST:PORT, [IPV6]:PORT, :PORT, unix:PATH or inproc:NAME",
			SD_STORE_TEXT, false, parse_address, NULL},
    [SD_OPT_ENUM] = {"WORD", NULL, SD_STORE_TEXT, false, parse_enum, NULL},
    [SD_OPT_FILE] = {"FILE", "the name of a file", SD_STORE_TEXT, false, parse_file, NULL},
    [SD_OPT_LIST] = {"LIST", "a list", SD_STORE_LIST, false, NULL, NULL},
    [SD_OPT_GROUP] = {"GROUP", "a map", SD_STORE_GROUP, false, NULL, NULL},
    [SD_OPT_TABLE] = {"ROW", "a list", SD_STORE_TABLE, false, NULL, NULL},
};

const struct sd_conf_type *sd_conf_type_of(const struct sd_option *opt)
{
	return &types[opt->type];
}

enum sd_err sd_conf_type_parse(struct sd_conf_value *v, const char *text)
{
	const struct sd_option *opt = v->opt;
	enum sd_err err = types[opt->type].parse(v, text);

	if (err != SD_OK || opt->min == opt->max)
		return err;
	if (types[opt->type].store == SD_STORE_INT && (v->i < opt->min || v->i > opt->max))
		return SD_ERANGE;
	if (types[opt->type].store == SD_STORE_REAL && (v->d < (double)opt->min || v->d > (double)opt->max))
		return SD_ERANGE;
	return SD_OK;
}

static bool is_host(const char *p, size_t n)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";

	/* What has only digits and dots, and is no IPv4 address, is a slip and not a name. */
	return strspn(p, letters) == n && strspn(p, "0123456789.") < n && p[0] != '.' && p[0] != '-';
}

bool sd_conf_address_ok(const char *text)
{
	struct sd_addr addr;

	if (sd_addr_parse(text, "0.0.0.0", &addr, NULL) != SD_OK)
		return false;
	return addr.kind != SD_ADDR_NAME || is_host(addr.name, strlen(addr.name));
}

struct cut {
	char *out;
	size_t size, n;
};

static void put(struct cut *c, const char *text, size_t n)
{
	for (size_t i = 0; i < n && c->n + 1 < c->size; i++)
		c->out[c->n++] = text[i];
	c->out[c->n] = '\0';
}

static void put_choices(struct cut *c, const char *choices)
{
	const char *text, *after;
	size_t n, after_n;

	for (size_t i = 0; sd_option_choice(choices, i, &text, &n); i++) {
		bool last = !sd_option_choice(choices, i + 1, &after, &after_n);
		const char *glue = i == 0 ? "" : last ? " or " : ", ";
		put(c, glue, strlen(glue));
		put(c, text, n);
	}
}

/* A bound in the form of the type: 1s, 64KiB, 5/s, 10. */
static void put_bound(struct cut *c, const struct sd_option *opt, int64_t bound)
{
	const struct sd_conf_type *type = &types[opt->type];
	struct sd_conf_value v = {.opt = opt, .i = bound, .d = (double)bound};
	char text[SD_UNIT_TEXT];

	type->format(&v, text);
	put(c, text, strlen(text));
}

static void put_range(struct cut *c, const struct sd_option *opt)
{
	int64_t min = opt->min, max = opt->max;

	if (opt->type == SD_OPT_PORT && min == max)
		max = 65535;
	if (min == max || !types[opt->type].format || opt->type == SD_OPT_BOOL)
		return;
	const char *words = max == INT64_MAX ? " of at least " : min == INT64_MIN ? " of at most " : " from ";
	put(c, words, strlen(words));
	put_bound(c, opt, min == INT64_MIN ? max : min);
	if (min != INT64_MIN && max != INT64_MAX) {
		put(c, " to ", 4);
		put_bound(c, opt, max);
	}
}

char *sd_conf_type_expected(const struct sd_option *opt, bool names, char *out, size_t size)
{
	struct cut c = {out, size, 0};
	const char *base = types[opt->type].expected;

	out[0] = '\0';
	if (opt->type == SD_OPT_ENUM) {
		if (strchr(opt->choices, '|') != strrchr(opt->choices, '|'))
			put(&c, "one of ", 7);
		put_choices(&c, opt->choices);
	} else {
		put(&c, base, strlen(base));
		put_range(&c, opt);
	}
	if (names && opt->type == SD_OPT_ADDRESS)
		put(&c, ", or the name of a service", 26);
	return out;
}
