#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "conf_int.h"

#define ENV_NAME_MAX 192

/* ---- a blank one ---- */

static size_t count_rows(const struct sd_option *table)
{
	size_t n = 0;

	while (table && table[n].type != SD_OPT_END)
		n++;
	return n;
}

static bool add_value(struct sd_conf_mem *mem, struct sd_conf *conf, const struct sd_option *opt)
{
	struct sd_conf_value *v = &conf->values[conf->count++];

	v->opt = opt;
	if (opt->type == SD_OPT_GROUP)
		v->group = sd_conf_blank(mem, opt->sub, NULL);
	return opt->type != SD_OPT_GROUP || v->group;
}

struct sd_conf *sd_conf_blank(struct sd_conf_mem *mem, const struct sd_option *table,
			      const struct sd_option *common)
{
	struct sd_conf *conf = sd_conf_alloc(mem, 1, sizeof *conf);
	size_t n = count_rows(table), m = count_rows(common);

	if (conf)
		conf->values = sd_conf_alloc(mem, n + m, sizeof *conf->values);
	if (!conf || !conf->values)
		return NULL;
	for (size_t i = 0; table && i < n; i++)
		if (!add_value(mem, conf, &table[i]))
			return NULL;
	for (size_t i = 0; common && i < m; i++)
		if (!sd_option_shadowed(table, &common[i]) && !add_value(mem, conf, &common[i]))
			return NULL;
	return conf;
}

enum sd_err sd_conf_set_defaults(struct sd_conf_maker *m, struct sd_conf *conf)
{
	enum sd_err err = SD_OK;

	for (size_t i = 0; i < conf->count && err == SD_OK; i++) {
		struct sd_conf_value *v = &conf->values[i];
		struct sd_conf_place at = {.rank = SD_CONF_DEFAULT, .key = v->opt->name};
		if (v->group)
			err = sd_conf_set_defaults(m, v->group);
		else if (v->opt->def)
			err = sd_conf_set_text(m, v, &at, v->opt->def);
	}
	return err;
}

/* ---- the file ---- */

static bool among(const char *const *names, const char *name)
{
	for (; names && *names; names++)
		if (strcmp(*names, name) == 0)
			return true;
	return false;
}

static struct sd_conf_value *find_key(const struct sd_conf *conf, const char *key)
{
	for (size_t i = 0; i < conf->count; i++)
		if (strcmp(conf->values[i].opt->name, key) == 0)
			return &conf->values[i];
	return NULL;
}

static enum sd_err unknown_key(struct sd_conf_maker *m, const struct sd_conf *conf,
			       const struct sd_conf_place *at, const char *key)
{
	char shown[80];
	struct sd_suggest s;

	sd_conf_quote(key, shown, sizeof shown);
	sd_suggest_init(&s, key);
	for (size_t i = 0; i < conf->count; i++)
		if (!conf->values[i].opt->hidden)
			sd_suggest_offer(&s, conf->values[i].opt->name);
	if (s.best)
		return sd_conf_fail(m, at, "unknown key %s; did you mean %s?", shown, s.best);
	return sd_conf_fail(m, at, "unknown key %s", shown);
}

enum sd_err sd_conf_apply_map(struct sd_conf_maker *m, struct sd_conf *conf, const struct sd_conf_place *at,
			      const char *const *ignore_keys)
{
	const struct sd_node *map = at->node;
	enum sd_err err = SD_OK;

	for (size_t i = 0; i < map->count && err == SD_OK; i++) {
		if (among(ignore_keys, map->keys[i]))
			continue;
		struct sd_conf_value *v = find_key(conf, map->keys[i]);
		struct sd_node key = {.line = map->key_lines[i], .column = map->key_columns[i]};
		struct sd_conf_place part = *at;
		part.key = v ? v->opt->name : NULL;
		part.node = v ? map->items[i] : &key;
		err = v ? sd_conf_set_node(m, v, &part) : unknown_key(m, conf, &part, map->keys[i]);
	}
	return err;
}

static enum sd_err apply_file(struct sd_conf_maker *m, struct sd_conf *conf)
{
	const struct sd_conf_sources *from = m->from;
	struct sd_conf_place at = {.rank = SD_CONF_FILE, .doc = from->doc};

	if (!from->doc)
		return SD_OK;
	at.node = from->node ? from->node : from->doc->root;
	if (at.node->kind == SD_NODE_MAP)
		return sd_conf_apply_map(m, conf, &at, from->ignore_keys);
	if (at.node->kind == SD_NODE_SCALAR && !at.node->quoted && !*at.node->text)
		return SD_OK;
	return sd_conf_fail(m, &at, "expected a map of options, found %s",
			    at.node->kind == SD_NODE_LIST ? "a list" : "a text");
}

/* ---- the environment ---- */

static const char *find_env(const char *const *environ, const char *name)
{
	size_t n = strlen(name);

	for (; *environ; environ++)
		if (strncmp(*environ, name, n) == 0 && (*environ)[n] == '=')
			return *environ + n + 1;
	return NULL;
}

void sd_conf_env_name(char *out, size_t size, const char *prefix, const char *name)
{
	snprintf(out, size, "%s_%s", prefix, name);
	for (char *p = out; *p; p++)
		*p = *p == '-' ? '_' : (char)toupper((unsigned char)*p);
}

static enum sd_err apply_env(struct sd_conf_maker *m, struct sd_conf *conf, const char *prefix)
{
	enum sd_err err = SD_OK;

	for (size_t i = 0; i < conf->count && err == SD_OK; i++) {
		struct sd_conf_value *v = &conf->values[i];
		char name[ENV_NAME_MAX];
		sd_conf_env_name(name, sizeof name, prefix, v->opt->name);
		if (v->group) {
			err = apply_env(m, v->group, name);
			continue;
		}
		const char *text = v->opt->type == SD_OPT_TABLE ? NULL : find_env(m->from->environ, name);
		struct sd_conf_place at = {.rank = SD_CONF_ENV, .name = name};
		if (text && *text)
			err = sd_conf_set_text(m, v, &at, text);
	}
	return err;
}

/* ---- what is missing ---- */

static bool any_set(const struct sd_conf *conf)
{
	for (size_t i = 0; i < conf->count; i++) {
		const struct sd_conf_value *v = &conf->values[i];
		if (v->group ? any_set(v->group) : v->has && v->rank != SD_CONF_DEFAULT)
			return true;
	}
	return false;
}

bool sd_conf_is_missing(const struct sd_conf_value *v)
{
	bool many = v->opt->type == SD_OPT_LIST || v->opt->type == SD_OPT_TABLE;

	return v->opt->required && (!v->has || (many && v->count == 0));
}

static enum sd_err fail_missing(struct sd_conf_maker *m, const struct sd_option *opt,
				const struct sd_conf_place *at)
{
	char expected[256];

	sd_conf_type_expected(opt, false, expected, sizeof expected);
	return sd_conf_fail(m, at, "required: expected %s, found nothing", expected);
}

/* path and arg are the names of the group in hand, in a file and on the command line. */
static enum sd_err check_missing(struct sd_conf_maker *m, const struct sd_conf *conf,
				 const struct sd_conf_place *at, const char *path, const char *arg)
{
	enum sd_err err = SD_OK;

	for (size_t i = 0; i < conf->count && err == SD_OK; i++) {
		const struct sd_conf_value *v = &conf->values[i];
		char sub_path[128], sub_arg[128];
		snprintf(sub_path, sizeof sub_path, "%s%s%s", path, *path ? "." : "", v->opt->name);
		snprintf(sub_arg, sizeof sub_arg, "%s-%s", arg, sd_option_arg(v->opt));
		if (v->group && (v->opt->required || any_set(v->group)))
			err = check_missing(m, v->group, at, sub_path, sub_arg);
		if (!sd_conf_is_missing(v))
			continue;
		struct sd_conf_place part = *at;
		/* Without a file and outside of a row it is the command line that lacks an option. */
		if (at->rank == SD_CONF_ARGS && !at->name)
			part.name = sub_arg;
		else
			part.key = sub_path;
		err = fail_missing(m, v->opt, &part);
	}
	return err;
}

enum sd_err sd_conf_check_required(struct sd_conf_maker *m, const struct sd_conf *conf,
				   const struct sd_conf_place *at)
{
	return check_missing(m, conf, at, "", "-");
}

static enum sd_err check_required(struct sd_conf_maker *m, const struct sd_conf *conf)
{
	struct sd_conf_place at = {.rank = SD_CONF_ARGS};

	if (m->from->doc) {
		at.rank = SD_CONF_FILE;
		at.doc = m->from->doc;
		at.node = m->from->node ? m->from->node : m->from->doc->root;
	}
	return sd_conf_check_required(m, conf, &at);
}

/* ---- all of it ---- */

static enum sd_err fill(struct sd_conf_maker *m, struct sd_conf *conf, const char **operands, int *noperands)
{
	char prefix[ENV_NAME_MAX];
	enum sd_err err = sd_conf_set_defaults(m, conf);

	if (err == SD_OK)
		err = apply_file(m, conf);
	if (err == SD_OK && m->from->environ && m->from->applet) {
		sd_conf_env_name(prefix, sizeof prefix, "sdlab", m->from->applet);
		err = apply_env(m, conf, prefix);
	}
	if (err == SD_OK)
		err = sd_conf_apply_args(m, conf, operands, noperands);
	if (err == SD_OK)
		err = check_required(m, conf);
	return err;
}

enum sd_err sd_conf_make(const struct sd_option *table, const struct sd_option *common,
			 const struct sd_conf_sources *from, struct sd_conf **out, const char **operands,
			 int *noperands, struct sd_error *e)
{
	struct sd_conf_mem mem = {NULL};
	struct sd_conf_maker m = {.mem = &mem, .from = from, .e = e};
	struct sd_conf *conf = sd_conf_blank(&mem, table, common);

	*out = NULL;
	enum sd_err err = conf ? fill(&m, conf, operands, noperands) : sd_conf_no_memory(&m);
	if (!conf || err != SD_OK) {
		sd_conf_mem_free(&mem);
		return err;
	}
	conf->mem = mem;
	*out = conf;
	return SD_OK;
}

void sd_conf_free(struct sd_conf *conf)
{
	if (!conf)
		return;
	struct sd_conf_mem mem = conf->mem;
	sd_conf_mem_free(&mem);
}
