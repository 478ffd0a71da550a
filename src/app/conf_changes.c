#include "conf_changes.h"

#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"

#define MOST  800 /* bytes of text; what comes then is only counted */
#define VALUE 80  /* of one value */

struct report {
	struct sd_text changes, fixed; /* fixed: options that need a restart, each with a ',' in front */
	unsigned more;
};

/* ---- the text ---- */

static void add(struct report *r, const char *text)
{
	if (r->changes.n + strlen(text) > MOST)
		r->more++;
	else
		sd_text_format(&r->changes, "%s%s", r->changes.n ? "; " : "", text);
}

/* A value as a person wrote it. */
static const char *value_text(const cJSON *v, char out[VALUE])
{
	char *json = !v || cJSON_IsNull(v) || cJSON_IsString(v) ? NULL : cJSON_PrintUnformatted(v);
	snprintf(out, VALUE, "%s", v && cJSON_IsString(v) ? v->valuestring : json ? json : "none");
	free(json);
	return out;
}

static void add_value(struct report *r, const char *name, const cJSON *before, const cJSON *after)
{
	char from[VALUE], to[VALUE], line[2 * VALUE + 200];
	snprintf(line, sizeof(line), "%.180s %s -> %s", name, value_text(before, from), value_text(after, to));
	add(r, line);
}

static void on_fixed(void *arg, const char *path)
{
	struct report *r = arg;
	sd_text_format(&r->fixed, ",%s", path);
}

static bool is_fixed(const struct report *r, const char *path)
{
	size_t n = strlen(path);
	for (const char *p = r->fixed.p; p && (p = strchr(p, ',')); p++)
		if (strncmp(p + 1, path, n) == 0 && (p[n + 1] == ',' || p[n + 1] == '\0'))
			return true;
	return false;
}

/* ---- rows ---- */

static const char *row_name(const cJSON *row)
{
	const cJSON *name = cJSON_GetObjectItemCaseSensitive(row, "name");
	if (!cJSON_IsString(name))
		name = row->child;
	return cJSON_IsString(name) ? name->valuestring : "a row";
}

static const cJSON *row_of(const cJSON *table, const char *name)
{
	const cJSON *row;
	cJSON_ArrayForEach(row, table) if (strcmp(row_name(row), name) == 0) return row;
	return NULL;
}

static void add_row(struct report *r, const char *what, const cJSON *row)
{
	char line[160];
	snprintf(line, sizeof(line), "%s %.120s", what, row_name(row));
	add(r, line);
}

static void compare_row(struct report *r, const cJSON *before, const cJSON *after)
{
	const cJSON *v;
	char name[200];
	cJSON_ArrayForEach(v, after)
	{
		const cJSON *old = cJSON_GetObjectItemCaseSensitive(before, v->string);
		if (cJSON_Compare(old, v, true))
			continue;
		snprintf(name, sizeof(name), "%.60s of %.120s", v->string, row_name(after));
		add_value(r, name, old, v);
	}
}

static void compare_table(struct report *r, const cJSON *before, const cJSON *after)
{
	const cJSON *row;
	cJSON_ArrayForEach(row, after) if (!row_of(before, row_name(row))) add_row(r, "added", row);
	cJSON_ArrayForEach(row, before) if (!row_of(after, row_name(row))) add_row(r, "removed", row);
	cJSON_ArrayForEach(row, after)
	{
		const cJSON *old = row_of(before, row_name(row));
		if (old)
			compare_row(r, old, row);
	}
}

/* ---- maps ---- */

static void compare_member(struct report *r, const char *path, const cJSON *before, const cJSON *after)
{
	const cJSON *some = after->child ? after : before;
	if (cJSON_Compare(before, after, true) || is_fixed(r, path))
		return;
	if (cJSON_IsArray(after) && (!before || cJSON_IsArray(before)) && cJSON_IsObject(some ? some->child : NULL))
		compare_table(r, before, after);
	else
		add_value(r, path, before, after);
}

static void compare_map(struct report *r, const char *prefix, const cJSON *before, const cJSON *after)
{
	const cJSON *v;
	cJSON_ArrayForEach(v, after)
	{
		const cJSON *old = cJSON_GetObjectItemCaseSensitive(before, v->string);
		char path[200];
		snprintf(path, sizeof(path), "%.90s%s%.100s", prefix, *prefix ? "." : "", v->string);
		/* Options have groups one deep; no text in them goes further. */
		if (cJSON_IsObject(v) && !*prefix)
			compare_map(r, path, old, v);
		else
			compare_member(r, path, old, v);
	}
}

static cJSON *tree_of(const struct sd_conf *conf)
{
	char *json = sd_conf_print_json(conf);
	cJSON *tree = json ? cJSON_Parse(json) : NULL;
	free(json);
	return tree;
}

char *sd_conf_changes(const struct sd_conf *before, const struct sd_conf *after)
{
	struct report r = {0};
	cJSON *from = tree_of(before), *to = tree_of(after);
	sd_conf_diff_fixed(before, after, on_fixed, &r);
	if (from && to)
		compare_map(&r, "", from, to);
	if (r.more)
		sd_text_format(&r.changes, " and %u more", r.more);
	if (r.fixed.n && !r.fixed.full)
		sd_text_format(&r.changes, "%sneeds a restart: %.100s", r.changes.n ? "; " : "", r.fixed.p + 1);
	bool ok = from && to;
	cJSON_Delete(from);
	cJSON_Delete(to);
	free(r.fixed.p);
	char *text = sd_text_take(&r.changes, NULL);
	if (ok)
		return text;
	free(text);
	return NULL;
}
