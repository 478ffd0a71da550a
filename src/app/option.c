#include "option.h"

#include <stdio.h>
#include <string.h>

#include "conf_int.h"

#define NAME_MAX_LEN 128

bool sd_option_choice(const char *choices, size_t i, const char **text, size_t *n)
{
	const char *p = choices;

	for (; i > 0; i--) {
		p = strchr(p, '|');
		if (!p)
			return false;
		p++;
	}
	*text = p;
	*n = strcspn(p, "|");
	return true;
}

const char *sd_option_arg(const struct sd_option *opt)
{
	return opt->cli ? opt->cli : opt->name;
}

bool sd_option_shadowed(const struct sd_option *table, const struct sd_option *opt)
{
	for (; table && table->type != SD_OPT_END; table++)
		if (strcmp(table->name, opt->name) == 0 ||
		    strcmp(sd_option_arg(table), sd_option_arg(opt)) == 0)
			return true;
	return false;
}

struct walk {
	sd_option_fn *fn;
	void *arg;
};

static void walk_one(const struct walk *w, const struct sd_option *opt, const char *arg_prefix,
		     const char *path_prefix)
{
	char arg_name[NAME_MAX_LEN], path[NAME_MAX_LEN];

	snprintf(arg_name, sizeof arg_name, "%s%s%s", arg_prefix, *arg_prefix ? "-" : "", sd_option_arg(opt));
	snprintf(path, sizeof path, "%s%s%s", path_prefix, *path_prefix ? "." : "", opt->name);
	if (opt->type != SD_OPT_GROUP) {
		w->fn(w->arg, opt, arg_name, path);
		return;
	}
	for (const struct sd_option *sub = opt->sub; sub && sub->type != SD_OPT_END; sub++)
		walk_one(w, sub, arg_name, path);
}

void sd_option_walk_one(const struct sd_option *opt, sd_option_fn *fn, void *arg)
{
	walk_one(&(struct walk){fn, arg}, opt, "", "");
}

void sd_option_walk(const struct sd_option *table, sd_option_fn *fn, void *arg)
{
	for (; table && table->type != SD_OPT_END; table++)
		sd_option_walk_one(table, fn, arg);
}
