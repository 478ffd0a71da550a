#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "conf_int.h"

/* ---- YAML ---- */

struct printer {
	FILE *out;
	bool origins;
};

#define SECRET "***" /* what stands for a value that nobody may read */

static void print_conf(const struct printer *p, const struct sd_conf *conf, int indent, bool in_row);

/* Words and numbers that a reader of YAML would take for something else than text. */
static bool looks_like_value(const char *text)
{
	static const char *const words[] = {"null", "true", "false", "yes", "no", "on", "off", "y", "n"};
	char *end;

	for (size_t i = 0; i < sizeof words / sizeof *words; i++)
		if (strcasecmp(text, words[i]) == 0)
			return true;
	strtod(text, &end);
	return *end == '\0';
}

static bool is_plain(const char *text)
{
	static const char first[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./";
	static const char later[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_./@%+-:";
	size_t n = strlen(text);

	if (n == 0 || !strchr(first, text[0]) || strspn(text, later) != n || text[n - 1] == ':')
		return false;
	return !looks_like_value(text);
}

static unsigned decode(const unsigned char **p)
{
	const unsigned char *s = *p;
	int more = s[0] < 0x80 ? 0 : s[0] < 0xe0 ? 1 : s[0] < 0xf0 ? 2 : 3;
	unsigned c = more == 0 ? s[0] : s[0] & (0x3fu >> more);

	for (int i = 1; i <= more; i++)
		c = c << 6 | (s[i] & 0x3f);
	*p += more + 1;
	return c;
}

/* In double quotes, with everything escaped that a reader would fold or refuse. */
static void print_quoted(FILE *out, const char *text)
{
	const unsigned char *p = (const unsigned char *)text;

	fputc('"', out);
	while (*p) {
		const unsigned char *start = p;
		unsigned c = decode(&p);
		if (c == '"' || c == '\\')
			fprintf(out, "\\%c", (int)c);
		else if (c == '\n' || c == '\t')
			fputs(c == '\n' ? "\\n" : "\\t", out);
		else if (c < 0x20 || (c >= 0x7f && c <= 0xa0))
			fprintf(out, "\\x%02X", c);
		else if (c == 0x2028 || c == 0x2029 || c == 0xfeff || c == 0xfffe || c == 0xffff)
			fprintf(out, "\\u%04X", c);
		else
			fwrite(start, 1, (size_t)(p - start), out);
	}
	fputc('"', out);
}

static void print_text(FILE *out, const char *text)
{
	if (is_plain(text))
		fputs(text, out);
	else
		print_quoted(out, text);
}

static void print_scalar(FILE *out, const struct sd_conf_value *v)
{
	const struct sd_conf_type *type = sd_conf_type_of(v->opt);
	char text[SD_UNIT_TEXT];

	if (!v->has)
		fputs("null", out);
	else if (type->format)
		fputs(type->format(v, text), out);
	else
		print_text(out, v->opt->secret ? SECRET : v->text);
}

/* A group that lacks something it requires is one that nobody set. Printed as if it were there, it would be
 * refused when read back. */
static bool is_absent(const struct sd_conf_value *v)
{
	for (size_t i = 0; i < v->group->count; i++)
		if (sd_conf_is_missing(&v->group->values[i]))
			return true;
	return false;
}

static void end_line(const struct printer *p, const struct sd_conf_value *v)
{
	if (p->origins && (!v->group || is_absent(v))) {
		fputs("  # ", p->out);
		for (const char *o = v->group || !v->has ? "not set"
				     : v->origin         ? v->origin
							 : "default";
		     *o; o++)
			fputc((unsigned char)*o < 0x20 || *o == 0x7f ? '?' : *o, p->out);
	}
	fputc('\n', p->out);
}

static void print_many(const struct printer *p, const struct sd_conf_value *v, int indent)
{
	fputs(!v->has ? " null" : v->count == 0 ? " []" : "", p->out);
	end_line(p, v);
	for (size_t i = 0; i < v->count; i++) {
		fprintf(p->out, "%*s- ", indent + 2, "");
		if (v->opt->type == SD_OPT_TABLE) {
			print_conf(p, v->rows[i], indent + 4, true);
		} else {
			print_text(p->out, v->items[i]);
			fputc('\n', p->out);
		}
	}
}

static bool is_shown(const struct sd_conf_value *v)
{
	if (!v->opt->hidden)
		return true;
	for (size_t i = 0; v->group && i < v->group->count; i++)
		if (v->group->values[i].rank != SD_CONF_DEFAULT)
			return true;
	return v->rank != SD_CONF_DEFAULT;
}

static void print_value(const struct printer *p, const struct sd_conf_value *v, int indent)
{
	fprintf(p->out, "%s:", v->opt->name);
	if (v->group) {
		fputs(is_absent(v) ? " null" : "", p->out);
		end_line(p, v);
		if (!is_absent(v))
			print_conf(p, v->group, indent + 2, false);
	} else if (v->opt->type == SD_OPT_LIST || v->opt->type == SD_OPT_TABLE) {
		print_many(p, v, indent);
	} else {
		fputc(' ', p->out);
		print_scalar(p->out, v);
		end_line(p, v);
	}
}

/* The first line of a row stands behind its dash. */
static void print_conf(const struct printer *p, const struct sd_conf *conf, int indent, bool in_row)
{
	bool first = true;

	for (size_t i = 0; i < conf->count; i++) {
		if (!is_shown(&conf->values[i]))
			continue;
		if (!in_row || !first)
			fprintf(p->out, "%*s", indent, "");
		print_value(p, &conf->values[i], indent);
		first = false;
	}
	if (in_row && first)
		fputs("{}\n", p->out);
}

char *sd_conf_print_yaml(const struct sd_conf *conf, bool origins)
{
	char *text = NULL;
	size_t n = 0;
	struct printer p = {open_memstream(&text, &n), origins};

	if (!p.out)
		return NULL;
	print_conf(&p, conf, 0, false);
	bool bad = ferror(p.out);
	if (fclose(p.out) != 0 || bad) {
		free(text);
		return NULL;
	}
	return text;
}

/* ---- JSON ---- */

static cJSON *json_conf(const struct sd_conf *conf);

static cJSON *json_scalar(const struct sd_conf_value *v)
{
	const struct sd_conf_type *type = sd_conf_type_of(v->opt);
	char text[SD_UNIT_TEXT];

	if (!v->has)
		return cJSON_CreateNull();
	if (!type->format)
		return cJSON_CreateString(v->opt->secret ? SECRET : v->text);
	/* Raw, because a double would round whole numbers beyond 2^53. */
	return type->bare ? cJSON_CreateRaw(type->format(v, text))
			  : cJSON_CreateString(type->format(v, text));
}

static cJSON *json_many(const struct sd_conf_value *v)
{
	cJSON *list = v->has ? cJSON_CreateArray() : cJSON_CreateNull();

	for (size_t i = 0; list && i < v->count; i++) {
		cJSON *item =
		    v->opt->type == SD_OPT_TABLE ? json_conf(v->rows[i]) : cJSON_CreateString(v->items[i]);
		if (!item || !cJSON_AddItemToArray(list, item)) {
			cJSON_Delete(item);
			cJSON_Delete(list);
			return NULL;
		}
	}
	return list;
}

static cJSON *json_value(const struct sd_conf_value *v)
{
	if (v->group)
		return is_absent(v) ? cJSON_CreateNull() : json_conf(v->group);
	if (v->opt->type == SD_OPT_LIST || v->opt->type == SD_OPT_TABLE)
		return json_many(v);
	return json_scalar(v);
}

static cJSON *json_conf(const struct sd_conf *conf)
{
	cJSON *map = cJSON_CreateObject();

	for (size_t i = 0; map && i < conf->count; i++) {
		if (!is_shown(&conf->values[i]))
			continue;
		cJSON *item = json_value(&conf->values[i]);
		if (!item || !cJSON_AddItemToObject(map, conf->values[i].opt->name, item)) {
			cJSON_Delete(item);
			cJSON_Delete(map);
			return NULL;
		}
	}
	return map;
}

char *sd_conf_print_json(const struct sd_conf *conf)
{
	cJSON *map = json_conf(conf);
	char *text = map ? cJSON_Print(map) : NULL;

	cJSON_Delete(map);
	return text;
}
