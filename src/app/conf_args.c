#include <stdio.h>
#include <string.h>

#include "conf_int.h"

#define MAX_OPERANDS 64

struct args {
	struct sd_conf_maker *m;
	struct sd_conf *conf;
	int argc, next;
	const char *const *argv;
	const char **operands;
	int *noperands;
};

/* ---- finding ---- */

struct sd_conf_value *sd_conf_find_arg(const struct sd_conf *conf, const char *name, size_t n)
{
	for (size_t i = 0; i < conf->count; i++) {
		struct sd_conf_value *v = &conf->values[i];
		const char *own = sd_option_arg(v->opt);
		size_t len = strlen(own);
		if (len > n || memcmp(own, name, len) != 0)
			continue;
		if (!v->group && len == n)
			return v;
		if (v->group && n > len + 1 && name[len] == '-') {
			struct sd_conf_value *sub = sd_conf_find_arg(v->group, name + len + 1, n - len - 1);
			if (sub)
				return sub;
		}
	}
	return NULL;
}

struct sd_conf_value *sd_conf_find_letter(const struct sd_conf *conf, char letter)
{
	for (size_t i = 0; i < conf->count; i++) {
		struct sd_conf_value *v = &conf->values[i];
		struct sd_conf_value *found = v->group ? sd_conf_find_letter(v->group, letter) : v;
		if (found && found->opt->letter == letter)
			return found;
	}
	return NULL;
}

/* The option of "--name" or "--name=value"; --no-name turns a BOOL off. */
static struct sd_conf_value *find_long(const struct sd_conf *conf, const char *arg, bool *off)
{
	size_t n = strcspn(arg, "=");
	struct sd_conf_value *v = sd_conf_find_arg(conf, arg, n);

	*off = false;
	if (v || n <= 3 || strncmp(arg, "no-", 3) != 0)
		return v;
	v = sd_conf_find_arg(conf, arg + 3, n - 3);
	*off = v && v->opt->type == SD_OPT_BOOL;
	return *off ? v : NULL;
}

/* "-" is an operand, and so is a negative number unless a letter is a digit. */
static bool is_letter_option(const struct sd_conf *conf, const char *arg)
{
	if (arg[0] != '-' || !arg[1] || arg[1] == '-')
		return false;
	return !(arg[1] >= '0' && arg[1] <= '9') || sd_conf_find_letter(conf, arg[1]);
}

int sd_conf_arg_width(const struct sd_conf *conf, const char *arg)
{
	const struct sd_conf_value *v;
	bool off;

	if (strncmp(arg, "--", 2) == 0) {
		if (!arg[2])
			return 0;
		v = find_long(conf, arg + 2, &off);
		return v && v->opt->type != SD_OPT_BOOL && !strchr(arg, '=') ? 2 : 1;
	}
	if (!is_letter_option(conf, arg))
		return 0;
	v = sd_conf_find_letter(conf, arg[1]);
	return v && v->opt->type != SD_OPT_BOOL && !arg[2] ? 2 : 1;
}

bool sd_conf_knows_arg(const struct sd_conf *conf, const char *arg)
{
	bool off;

	if (strncmp(arg, "--", 2) == 0)
		return arg[2] && find_long(conf, arg + 2, &off);
	return is_letter_option(conf, arg) && !arg[2] && sd_conf_find_letter(conf, arg[1]);
}

/* ---- did you mean ---- */

struct offer {
	struct sd_suggest suggest;
	char best[128];
};

static void offer_name(void *arg, const struct sd_option *opt, const char *arg_name, const char *path)
{
	struct offer *o = arg;

	(void)path;
	if (opt->hidden)
		return;
	sd_suggest_offer(&o->suggest, arg_name);
	if (o->suggest.best == arg_name) {
		snprintf(o->best, sizeof o->best, "%s", arg_name);
		o->suggest.best = o->best;
	}
}

static enum sd_err unknown_option(struct args *a, const char *arg)
{
	char word[SD_SUGGEST_MAX + 2], shown[80];
	struct offer o;
	size_t n = strcspn(arg, "=");

	snprintf(word, sizeof word, "%.*s", (int)n, arg);
	sd_suggest_init(&o.suggest, word);
	for (size_t i = 0; i < a->conf->count; i++)
		sd_option_walk_one(a->conf->values[i].opt, offer_name, &o);
	sd_option_walk(a->m->from->elsewhere, offer_name, &o);
	snprintf(shown, sizeof shown, "--%.60s", word);
	if (o.suggest.best)
		return sd_fail(a->m->e, SD_EUSAGE, "unknown option %s; did you mean --%s?", shown,
			       o.suggest.best);
	return sd_fail(a->m->e, SD_EUSAGE, "unknown option %s", shown);
}

/* ---- taking them ---- */

/* value NULL: it is the next word. */
static enum sd_err set_value(struct args *a, struct sd_conf_value *v, const char *name, const char *value)
{
	struct sd_conf_place at = {.rank = SD_CONF_ARGS, .name = name};

	if (!value && a->next < a->argc)
		value = a->argv[a->next++];
	if (!value)
		return sd_conf_unexpected(a->m, &at, v->opt, "nothing");
	return sd_conf_set_text(a->m, v, &at, value);
}

static enum sd_err take_long(struct args *a, const char *arg)
{
	const char *equals = strchr(arg, '=');
	bool off;
	struct sd_conf_value *v = find_long(a->conf, arg, &off);
	char name[136];

	if (!v)
		return unknown_option(a, arg);
	snprintf(name, sizeof name, "--%.*s", (int)strcspn(arg, "="), arg);
	if (off && equals)
		return sd_fail(a->m->e, SD_EUSAGE, "%s: expected no value, found \"%.60s\"", name,
			       equals + 1);
	if (v->opt->type == SD_OPT_BOOL && !equals)
		return set_value(a, v, name, off ? "false" : "true");
	return set_value(a, v, name, equals ? equals + 1 : NULL);
}

static enum sd_err take_letter(struct args *a, const char *arg)
{
	struct sd_conf_value *v = sd_conf_find_letter(a->conf, arg[0]);
	char name[3] = {'-', arg[0], '\0'};

	if (!v || (v->opt->type == SD_OPT_BOOL && arg[1]))
		return sd_fail(a->m->e, SD_EUSAGE, "unknown option -%.60s", arg);
	if (v->opt->type == SD_OPT_BOOL)
		return set_value(a, v, name, "true");
	return set_value(a, v, name, arg[1] ? arg + 1 : NULL);
}

static enum sd_err take_operand(struct args *a, const char *arg)
{
	char shown[80];

	if (!a->operands || !a->noperands)
		return sd_fail(a->m->e, SD_EUSAGE, "unexpected argument %s",
			       sd_conf_quote(arg, shown, sizeof shown));
	if (*a->noperands == MAX_OPERANDS)
		return sd_fail(a->m->e, SD_EUSAGE, "more than %d arguments", MAX_OPERANDS);
	a->operands[(*a->noperands)++] = arg;
	return SD_OK;
}

enum sd_err sd_conf_apply_args(struct sd_conf_maker *m, struct sd_conf *conf, const char **operands,
			       int *noperands)
{
	struct args a = {m, conf, m->from->argc, 0, m->from->argv, operands, noperands};
	enum sd_err err = SD_OK;
	bool all_operands = false;

	if (noperands)
		*noperands = 0;
	while (a.next < a.argc && err == SD_OK) {
		const char *arg = a.argv[a.next++];
		if (!all_operands && strcmp(arg, "--") == 0)
			all_operands = true;
		else if (!all_operands && strncmp(arg, "--", 2) == 0)
			err = take_long(&a, arg + 2);
		else if (!all_operands && is_letter_option(conf, arg))
			err = take_letter(&a, arg + 1);
		else
			err = take_operand(&a, arg);
	}
	return err;
}
