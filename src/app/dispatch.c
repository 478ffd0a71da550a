#include "dispatch.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "dispatch_int.h"
#include "sdlab/version.h"

/* ---- messages ---- */

int sd_dispatch_fail(const struct sd_dispatch *d, const char *who, int status, const char *fmt, ...)
{
	va_list ap;

	fprintf(d->err, "%s: ", who);
	va_start(ap, fmt);
	vfprintf(d->err, fmt, ap);
	va_end(ap);
	fputc('\n', d->err);
	return status;
}

int sd_dispatch_report(const struct sd_dispatch *d, const char *who, const struct sd_error *e)
{
	int status = e->code == SD_EUSAGE ? SD_EXIT_USAGE : SD_EXIT_FAILURE;

	return sd_dispatch_fail(d, who, status, "%s", e->text);
}

static void offer_applets(const struct sd_dispatch *d, struct sd_suggest *s)
{
	for (const struct sd_applet *const *a = d->applets; *a; a++) {
		sd_suggest_offer(s, (*a)->name);
		for (const struct sd_alias *alias = (*a)->aliases; alias && alias->name; alias++)
			sd_suggest_offer(s, alias->name);
		for (const struct sd_manner *m = (*a)->manners; m && m->name; m++)
			sd_suggest_offer(s, m->name);
	}
	for (const struct sd_builtin *b = sd_builtins; b->name; b++)
		if (!b->hidden)
			sd_suggest_offer(s, b->name);
}

static void unknown_applet(const struct sd_dispatch *d, const char *name)
{
	struct sd_suggest s;

	sd_suggest_init(&s, name);
	offer_applets(d, &s);
	if (s.best)
		fprintf(d->err, "sdlab: no applet called \"%s\"; did you mean %s? (sdlab list shows all)\n",
			name, s.best);
	else
		fprintf(d->err, "sdlab: no applet called \"%s\" (sdlab list shows all)\n", name);
}

const struct sd_applet *sd_dispatch_find(const struct sd_dispatch *d, const char *name)
{
	const struct sd_applet *applet = sd_applet_find_in(d->applets, name, NULL);

	if (!applet)
		unknown_applet(d, name);
	return applet;
}

/* ---- verbs ---- */

/* "get, set or del" of those that are no secret. */
static void print_verbs(FILE *out, const struct sd_applet *applet)
{
	size_t left = 0;
	const char *glue = "";

	for (const struct sd_verb *v = applet->verbs; v && v->name; v++)
		left += *v->name && *v->name != '*' && !v->hidden;
	for (const struct sd_verb *v = applet->verbs; v && v->name; v++) {
		if (!*v->name || *v->name == '*' || v->hidden)
			continue;
		fprintf(out, "%s%s", glue, v->name);
		glue = --left == 1 ? " or " : ", ";
	}
}

static int missing_verb(const struct sd_dispatch *d, const struct sd_applet *applet)
{
	fprintf(d->err, "sdlab %s: expected a verb: ", applet->name);
	print_verbs(d->err, applet);
	fprintf(d->err, " (sdlab %s --help explains)\n", applet->name);
	return SD_EXIT_USAGE;
}

const char *sd_dispatch_near_verb(const struct sd_applet *applet, const char *word)
{
	struct sd_suggest s;

	sd_suggest_init(&s, word);
	for (const struct sd_verb *v = applet->verbs; v && v->name; v++)
		if (*v->name && !v->hidden && *v->name != '*')
			sd_suggest_offer(&s, v->name);
	if (applet->service)
		sd_suggest_offer(&s, "serve");
	return s.best;
}

int sd_dispatch_unknown_verb(const struct sd_dispatch *d, const struct sd_applet *applet, const char *word)
{
	char who[SD_WHO_MAX];
	const char *near = sd_dispatch_near_verb(applet, word);

	snprintf(who, sizeof who, "sdlab %s", applet->name);
	return sd_dispatch_fail(
	    d, who, SD_EXIT_USAGE, "no verb called \"%s\"%s%s%s (sdlab %s --help shows all)", word,
	    near ? "; did you mean " : "", near ? near : "", near ? "?" : "", applet->name);
}

static bool is_help(const char *arg)
{
	return strcmp(arg, "--help") == 0 || strcmp(arg, "-h") == 0;
}

/* cache-cli GET k: the verb is the first word, in any case. */
static int run_client(struct sd_dispatch *d, const struct sd_applet *applet, int argc,
		      const char *const *argv)
{
	if (argc > 0 && is_help(argv[0])) {
		sd_help_applet(d, applet, NULL);
		return 0;
	}
	const struct sd_verb *rest = sd_verb_find(applet, "*", false);
	bool named = argc > 0 && argv[0][0] != '-';
	if (!named && !rest)
		return missing_verb(d, applet);
	const struct sd_verb *verb = named ? sd_verb_find(applet, argv[0], true) : NULL;
	if (!verb && rest)
		return sd_dispatch_verb(d, applet, rest, argc, argv);
	return verb ? sd_dispatch_verb(d, applet, verb, argc - 1, argv + 1)
		    : sd_dispatch_unknown_verb(d, applet, argv[0]);
}

static int verb_too_late(const struct sd_dispatch *d, const struct sd_applet *applet, const char *verb, const char *option)
{
	char who[SD_WHO_MAX];

	snprintf(who, sizeof who, "sdlab %s", applet->name);
	return sd_dispatch_fail(d, who, SD_EXIT_USAGE, "expected %s before its options: sdlab %s %s ... %.*s", verb, applet->name,
				verb, (int)strcspn(option, "="), option);
}

static int run_applet(struct sd_dispatch *d, const struct sd_applet *applet, int argc,
		      const char *const *argv)
{
	const char *word = argc > 0 && argv[0][0] && argv[0][0] != '-' ? argv[0] : NULL;
	const struct sd_verb *verb = word ? sd_verb_find(applet, word, false) : NULL;
	const struct sd_verb *plain = sd_verb_find(applet, "", false), *rest = sd_verb_find(applet, "*", false);

	if (verb)
		return sd_dispatch_verb(d, applet, verb, argc - 1, argv + 1);
	if (word && applet->service && strcmp(word, "serve") == 0)
		return sd_dispatch_service(d, applet, argc - 1, argv + 1);
	if (word && rest)
		return sd_dispatch_verb(d, applet, rest, argc, argv);
	const char *late = applet->service && !word && !applet->check_file ? sd_dispatch_late_verb(d, applet, argc, argv) : NULL;
	if (late)
		return verb_too_late(d, applet, late, argv[0]);
	if (applet->service && (!word || applet->check_file))
		return sd_dispatch_service(d, applet, argc, argv);
	if (!applet->service && argc > 0 && is_help(argv[0])) {
		sd_help_applet(d, applet, NULL);
		return 0;
	}
	if (!applet->service && plain)
		return sd_dispatch_verb(d, applet, plain, argc, argv);
	return word ? sd_dispatch_unknown_verb(d, applet, word) : missing_verb(d, applet);
}

static int run_alias(struct sd_dispatch *d, const struct sd_applet *applet, const struct sd_alias *alias,
		     int argc, const char *const *argv)
{
	if (!alias || !alias->verb)
		return run_applet(d, applet, argc, argv);
	if (strcmp(alias->verb, "*") == 0)
		return run_client(d, applet, argc, argv);
	const struct sd_verb *verb = sd_verb_find(applet, alias->verb, false);
	return verb ? sd_dispatch_verb(d, applet, verb, argc, argv) : sd_dispatch_unknown_verb(d, applet, alias->verb);
}

/* Runs the applet as the other program; false: nobody knows it. */
static bool run_manner(struct sd_dispatch *d, const char *name, int argc, const char *const *argv, int *status)
{
	const struct sd_applet *applet;
	const struct sd_manner *manner = sd_manner_find_in(d->applets, name, &applet);

	if (!manner)
		return false;
	struct sd_verb_call call = {d->world, applet, NULL, argv, argc, d->environ, d->out, d->err};
	*status = manner->run(&call);
	return true;
}

/* ---- the program's own words ---- */

static int version(struct sd_dispatch *d, int argc, const char *const *argv)
{
	if (argc == 1 && strcmp(argv[0], "--short") == 0)
		fprintf(d->out, "%s\n", SDLAB_VERSION);
	else if (argc == 0)
		fprintf(d->out, "sdlab %s\n", SDLAB_VERSION);
	else
		return sd_dispatch_fail(d, "sdlab version", SD_EXIT_USAGE,
					"expected --short or nothing, found \"%s\"", argv[0]);
	return 0;
}

const struct sd_builtin sd_builtins[] = {
    {"list", "--list", 0, false, sd_dispatch_list},
    {"help", "--help", 'h', false, sd_dispatch_help},
    {"version", "--version", 'V', false, version},
    {"install", "--install", 0, false, sd_dispatch_install},
    {"completion", NULL, 0, false, sd_dispatch_completion},
    {"complete", NULL, 0, true, sd_dispatch_complete},
    {"man-options", NULL, 0, true, sd_dispatch_man_options},
    {NULL, NULL, 0, false, NULL},
};

static const struct sd_builtin *find_builtin(const char *word)
{
	for (const struct sd_builtin *b = sd_builtins; b->name; b++)
		if (strcmp(word, b->name) == 0 || (b->option && strcmp(word, b->option) == 0) ||
		    (b->letter && word[0] == '-' && word[1] == b->letter && !word[2]))
			return b;
	return NULL;
}

static int unknown_option(const struct sd_dispatch *d, const char *word)
{
	struct sd_suggest s;

	sd_suggest_init(&s, word);
	for (const struct sd_builtin *b = sd_builtins; b->name; b++)
		if (b->option)
			sd_suggest_offer(&s, b->option);
	return sd_dispatch_fail(d, "sdlab", SD_EXIT_USAGE, "unknown option %s%s%s%s", word,
				s.best ? "; did you mean " : "", s.best ? s.best : "", s.best ? "?" : "");
}

static int run_word(struct sd_dispatch *d, int argc, const char *const *argv)
{
	const struct sd_alias *alias;
	const struct sd_builtin *builtin = find_builtin(argv[0]);
	int status;

	if (builtin)
		return builtin->run(d, argc - 1, argv + 1);
	const struct sd_applet *applet = sd_applet_find_in(d->applets, argv[0], &alias);
	if (applet)
		return run_alias(d, applet, alias, argc - 1, argv + 1);
	if (run_manner(d, argv[0], argc - 1, argv + 1, &status))
		return status;
	if (argv[0][0] == '-')
		return unknown_option(d, argv[0]);
	unknown_applet(d, argv[0]);
	return SD_EXIT_UNKNOWN;
}

static int run(struct sd_dispatch *d, int argc, const char *const *argv)
{
	const char *slash = argc > 0 ? strrchr(argv[0], '/') : NULL;
	const char *self = argc > 0 ? (slash ? slash + 1 : argv[0]) : "";
	const struct sd_alias *alias;
	const struct sd_applet *applet = sd_applet_find_in(d->applets, self, &alias);
	int status;

	if (applet)
		return run_alias(d, applet, alias, argc - 1, argv + 1);
	if (run_manner(d, self, argc - 1, argv + 1, &status))
		return status;
	if (argc > 1)
		return run_word(d, argc - 1, argv + 1);
	sd_help_overview(d);
	return 0;
}

int sd_dispatch_main(struct sd_dispatch *d, int argc, const char *const *argv)
{
	int status = run(d, argc, argv);

	/* A full disk or a closed pipe must not look like success; but who closed a pipe knows it. */
	errno = 0;
	if ((fflush(d->out) != 0 || ferror(d->out)) && status == 0)
		return errno == EPIPE ? SD_EXIT_FAILURE : sd_dispatch_fail(d, "sdlab", SD_EXIT_FAILURE, "cannot write the output");
	return status;
}
