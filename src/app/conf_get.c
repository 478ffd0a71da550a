#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_int.h"

#define BIT(type) (1u << (type))

/* ---- getters ---- */

static void fault(const char *path, const char *what)
{
	fprintf(stderr, "sdlab: fault of the program: the option \"%s\" %s\n", path, what);
	abort();
}

static const struct sd_conf_value *find(const struct sd_conf *conf, const char *path)
{
	size_t n = strcspn(path, ".");

	for (size_t i = 0; i < conf->count; i++) {
		const struct sd_conf_value *v = &conf->values[i];
		if (strncmp(v->opt->name, path, n) != 0 || v->opt->name[n])
			continue;
		if (!path[n])
			return v;
		return v->group ? find(v->group, path + n + 1) : NULL;
	}
	return NULL;
}

/* The value of one of these types, or the end of the program. */
static const struct sd_conf_value *get(const struct sd_conf *conf, const char *path, unsigned types)
{
	const struct sd_conf_value *v = find(conf, path);

	if (!v)
		fault(path, "is in no table");
	else if (!(BIT(v->opt->type) & types))
		fault(path, "is asked for as something else than it is");
	return v;
}

static bool any(const struct sd_conf_value *v, bool (*test)(const struct sd_conf_value *v))
{
	if (!v->group)
		return test(v);
	for (size_t i = 0; i < v->group->count; i++)
		if (any(&v->group->values[i], test))
			return true;
	return false;
}

static bool has(const struct sd_conf_value *v)
{
	return v->has;
}

static bool is_set(const struct sd_conf_value *v)
{
	return v->has && v->rank != SD_CONF_DEFAULT;
}

bool sd_conf_has(const struct sd_conf *conf, const char *path)
{
	return any(get(conf, path, ~0u), has);
}

bool sd_conf_is_set(const struct sd_conf *conf, const char *path)
{
	return any(get(conf, path, ~0u), is_set);
}

bool sd_conf_bool(const struct sd_conf *conf, const char *path)
{
	return get(conf, path, BIT(SD_OPT_BOOL))->i != 0;
}

int64_t sd_conf_int(const struct sd_conf *conf, const char *path)
{
	return get(conf, path,
		   BIT(SD_OPT_INT) | BIT(SD_OPT_PORT) | BIT(SD_OPT_SIZE) | BIT(SD_OPT_DURATION) |
		       BIT(SD_OPT_ENUM) | BIT(SD_OPT_BOOL))
	    ->i;
}

double sd_conf_number(const struct sd_conf *conf, const char *path)
{
	return get(conf, path, BIT(SD_OPT_NUMBER) | BIT(SD_OPT_PERCENT) | BIT(SD_OPT_RATE))->d;
}

const char *sd_conf_string(const struct sd_conf *conf, const char *path)
{
	return get(conf, path, BIT(SD_OPT_STRING) | BIT(SD_OPT_ADDRESS) | BIT(SD_OPT_ENUM) | BIT(SD_OPT_FILE))
	    ->text;
}

size_t sd_conf_count(const struct sd_conf *conf, const char *path)
{
	return get(conf, path, BIT(SD_OPT_LIST) | BIT(SD_OPT_TABLE))->count;
}

const char *sd_conf_list_item(const struct sd_conf *conf, const char *path, size_t i)
{
	const struct sd_conf_value *v = get(conf, path, BIT(SD_OPT_LIST));

	if (i >= v->count)
		fault(path, "has no such item");
	return v->items[i];
}

const struct sd_conf *sd_conf_row(const struct sd_conf *conf, const char *path, size_t i)
{
	const struct sd_conf_value *v = get(conf, path, BIT(SD_OPT_TABLE));

	if (i >= v->count)
		fault(path, "has no such row");
	return v->rows[i];
}

const char *sd_conf_origin(const struct sd_conf *conf, const char *path)
{
	const struct sd_conf_value *v = get(conf, path, ~0u);

	return v->origin ? v->origin : "default";
}

const char *sd_conf_at(const struct sd_conf *conf, const char *path)
{
	const struct sd_conf_value *v = get(conf, path, ~0u);
	return v->place ? v->place : v->opt->name;
}

/* ---- the difference of two ---- */

static bool same_conf(const struct sd_conf *a, const struct sd_conf *b);

static bool same_text(const char *a, const char *b)
{
	return a && b ? strcmp(a, b) == 0 : a == b;
}

static bool same_value(const struct sd_conf_value *a, const struct sd_conf_value *b)
{
	if (a->group)
		return same_conf(a->group, b->group);
	if (a->has != b->has || a->i != b->i || a->count != b->count || !same_text(a->text, b->text))
		return false;
	if (a->d < b->d || a->d > b->d)
		return false;
	for (size_t i = 0; i < a->count; i++)
		if (a->rows ? !same_conf(a->rows[i], b->rows[i]) : !same_text(a->items[i], b->items[i]))
			return false;
	return true;
}

static bool same_conf(const struct sd_conf *a, const struct sd_conf *b)
{
	for (size_t i = 0; i < a->count; i++)
		if (!same_value(&a->values[i], &b->values[i]))
			return false;
	return true;
}

struct diff {
	void (*fn)(void *arg, const char *path);
	void *arg;
};

static void diff(const struct diff *d, const struct sd_conf *a, const struct sd_conf *b, const char *prefix)
{
	for (size_t i = 0; i < a->count; i++) {
		const struct sd_conf_value *x = &a->values[i], *y = &b->values[i];
		char path[256];
		if (x->opt->reload || same_value(x, y))
			continue;
		snprintf(path, sizeof path, "%s%s%s", prefix, *prefix ? "." : "", x->opt->name);
		if (x->group)
			diff(d, x->group, y->group, path);
		else
			d->fn(d->arg, path);
	}
}

void sd_conf_diff_fixed(const struct sd_conf *before, const struct sd_conf *after,
			void (*fn)(void *arg, const char *path), void *arg)
{
	diff(&(struct diff){fn, arg}, before, after, "");
}
