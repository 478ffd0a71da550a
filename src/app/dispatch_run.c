/* Runs a service or a verb: options in, configuration made, exit status out. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch_int.h"
#include "run.h"
#include "run_tls.h"
#include "world/world.h"

#define MAX_FILE     (1u << 20)
#define MAX_OPERANDS 64

const struct sd_option sd_dispatch_service_options[] = {
    {"config", SD_OPT_FILE, NULL, "read options from this YAML or JSON file", .letter = 'c'},
    {"check-config", SD_OPT_BOOL, NULL, "say whether the configuration is right, and exit"},
    {"print-config", SD_OPT_BOOL, NULL, "print every value and where it comes from, and exit"},
    {"help", SD_OPT_BOOL, NULL, "print this help, and exit", .letter = 'h'},
    {0},
};

const struct sd_option sd_dispatch_verb_options[] = {
    {"help", SD_OPT_BOOL, NULL, "print this help, and exit", .letter = 'h'},
    {0},
};

/* A command line after the options that are answered here were taken out of it. */
struct line {
	int argc;
	const char **argv; /* to be freed; the texts are the caller's */
	const char *config;
	bool check, print, help;
	bool has_file; /* an applet with a file of its own got one */
	const char **words; /* of a verb "*": its operands, and nwords of them; to be freed */
	int nwords;
};

/* ---- taking out ---- */

/* The row of `table` that this word means, unless the applet has an option of this name itself. */
static const struct sd_option *find_meta(const struct sd_option *table, const struct sd_conf *own,
					 const char *arg)
{
	if (arg[0] != '-' || !arg[1])
		return NULL;
	bool is_long = arg[1] == '-';
	size_t n = strcspn(arg, "=");

	for (; table->type != SD_OPT_END; table++) {
		if (is_long && n == strlen(table->name) + 2 && memcmp(arg + 2, table->name, n - 2) == 0)
			return sd_conf_find_arg(own, arg + 2, n - 2) ? NULL : table;
		if (!is_long && table->letter && arg[1] == table->letter && !arg[2])
			return sd_conf_find_letter(own, table->letter) ? NULL : table;
	}
	return NULL;
}

static enum sd_err set_meta(struct line *line, const struct sd_option *meta, const char *value,
			    struct sd_error *e)
{
	if (meta->type == SD_OPT_FILE) {
		if (!value || !*value)
			return sd_fail(e, SD_EUSAGE, "--%s: expected the name of a file, found nothing",
				       meta->name);
		line->config = value;
		return SD_OK;
	}
	if (value)
		return sd_fail(e, SD_EUSAGE, "--%s: expected no value, found \"%.60s\"", meta->name, value);
	line->help |= strcmp(meta->name, "help") == 0;
	line->check |= strcmp(meta->name, "check-config") == 0;
	line->print |= strcmp(meta->name, "print-config") == 0;
	return SD_OK;
}

static void push(struct line *line, const char *arg)
{
	line->argv[line->argc++] = arg;
}

/* The first operand of an applet with a file of its own is its --file. */
static void push_operand(struct line *line, const char *arg, bool takes_file)
{
	if (takes_file && !line->has_file) {
		push(line, "--file");
		line->has_file = true;
	}
	push(line, arg);
}

static enum sd_err split(struct line *line, const struct sd_option *metas, const struct sd_conf *own,
			 bool takes_file, int argc, const char *const *argv, struct sd_error *e)
{
	bool all_operands = false;

	for (int i = 0; i < argc; i++) {
		const struct sd_option *meta = all_operands ? NULL : find_meta(metas, own, argv[i]);
		int width = all_operands ? 0 : sd_conf_arg_width(own, argv[i]);
		const char *equals = strchr(argv[i], '=');
		if (meta) {
			const char *value = equals && argv[i][1] == '-' ? equals + 1 : NULL;
			if (meta->type == SD_OPT_FILE && !value && i + 1 < argc)
				value = argv[++i];
			enum sd_err err = set_meta(line, meta, value, e);
			if (err != SD_OK)
				return err;
		} else if (width > 0) {
			push(line, argv[i]);
			if (width == 2 && i + 1 < argc)
				push(line, argv[++i]);
		} else if (!all_operands && strcmp(argv[i], "--") == 0) {
			all_operands = true;
			if (!takes_file)
				push(line, "--");
		} else {
			push_operand(line, argv[i], takes_file);
		}
	}
	return SD_OK;
}

/* For a verb "*": what is no option is a word of a command that others made, "-inf" too. */
static enum sd_err split_words(struct line *line, const struct sd_option *table, int argc, const char *const *argv,
			       struct sd_error *e)
{
	struct sd_conf_mem mem = {NULL};
	struct sd_conf *own = sd_conf_blank(&mem, table, NULL);
	bool all = false;

	line->argv = calloc((size_t)argc + 1, sizeof *line->argv);
	line->words = calloc((size_t)argc + 1, sizeof *line->words);
	if (!own || !line->argv || !line->words) {
		sd_conf_mem_free(&mem);
		return sd_fail(e, SD_ENOMEM, "out of memory");
	}
	for (int i = 0; i < argc; i++) {
		bool known = !all && sd_conf_knows_arg(own, argv[i]);
		if (!all && !known && strcmp(argv[i], "--") == 0) {
			all = true;
		} else if (!all && !known && find_meta(sd_dispatch_verb_options, own, argv[i])) {
			line->help = true;
		} else if (known) {
			bool two = sd_conf_arg_width(own, argv[i]) == 2 && i + 1 < argc;
			push(line, argv[i]);
			if (two)
				push(line, argv[++i]);
		} else {
			line->words[line->nwords++] = argv[i];
		}
	}
	sd_conf_mem_free(&mem);
	return SD_OK;
}

static enum sd_err read_line(struct line *line, const struct sd_option *table, const struct sd_option *common,
			     const struct sd_option *metas, bool takes_file, int argc,
			     const char *const *argv, struct sd_error *e)
{
	struct sd_conf_mem mem = {NULL};
	struct sd_conf *own = sd_conf_blank(&mem, table, common);

	/* At most "--file" comes in addition, with its value. */
	line->argv = calloc((size_t)argc + 3, sizeof *line->argv);
	enum sd_err err = own && line->argv ? split(line, metas, own, takes_file, argc, argv, e)
					    : sd_fail(e, SD_ENOMEM, "out of memory");
	sd_conf_mem_free(&mem);
	return err;
}

/* ---- services ---- */

struct service {
	struct sd_conf_loader loader; /* first: what serve gets is this */
	const struct sd_dispatch *d;
	const struct sd_applet *applet;
	struct line line;
};

static enum sd_err read_doc(struct sd_world *world, const char *file, struct sd_doc **doc, struct sd_error *e)
{
	char *text = NULL;
	size_t len = 0;
	enum sd_err err = sd_world_read_file(world, file, MAX_FILE, &text, &len, e);

	if (err != SD_OK)
		return err;
	err = sd_doc_parse(file, text, len, doc, e);
	free(text);
	return err;
}

static enum sd_err load(struct sd_conf_loader *self, struct sd_conf **out, struct sd_error *e)
{
	struct service *s = (struct service *)self;
	const struct sd_applet *applet = s->applet;
	struct sd_doc *doc = NULL;
	struct sd_conf_sources from = {
	    .applet = applet->name,
	    .environ = s->d->environ,
	    .argc = s->line.argc,
	    .argv = s->line.argv,
	    .elsewhere = sd_dispatch_service_options,
	};
	enum sd_err err = SD_OK;

	*out = NULL;
	if (self->file && !applet->check_file)
		err = read_doc(s->d->world, self->file, &doc, e);
	from.doc = doc;
	if (err == SD_OK)
		err = sd_conf_make(applet->options, sd_dispatch_common(s->d, applet), &from, out, NULL, NULL,
				   e);
	sd_doc_free(doc);
	if (err == SD_OK && sd_dispatch_common(s->d, applet) == sd_common_options)
		err = sd_run_check(*out, e);
	if (err == SD_OK && applet->check)
		err = applet->check(*out, e);
	if (err != SD_OK) {
		sd_conf_free(*out);
		*out = NULL;
	}
	return err;
}

static const char *find_config(const struct service *s)
{
	char name[SD_WHO_MAX], prefix[SD_WHO_MAX];

	if (s->line.config)
		return s->line.config;
	sd_conf_env_name(prefix, sizeof prefix, "sdlab", s->applet->name);
	sd_conf_env_name(name, sizeof name, prefix, "config");
	for (const char *const *env = s->d->environ; env && *env; env++)
		if (strncmp(*env, name, strlen(name)) == 0 && (*env)[strlen(name)] == '=')
			return (*env)[strlen(name) + 1] ? *env + strlen(name) + 1 : NULL;
	return NULL;
}

/* Splits the command line and finds the file. */
static enum sd_err prepare(struct service *s, int argc, const char *const *argv, struct sd_error *e)
{
	bool takes_file = s->applet->check_file;
	enum sd_err err = read_line(&s->line, s->applet->options, sd_dispatch_common(s->d, s->applet),
				    sd_dispatch_service_options, takes_file, argc, argv, e);

	if (err != SD_OK)
		return err;
	s->loader.file = find_config(s);
	if (takes_file && s->loader.file && !s->line.has_file) {
		push(&s->line, "--file");
		push(&s->line, s->loader.file);
	}
	return SD_OK;
}

/* --check-config; conf itself is right already. */
static int check_config(const struct service *s, const struct sd_conf *conf, const char *who)
{
	const struct sd_dispatch *d = s->d;
	const char *file = s->applet->check_file ? sd_conf_string(conf, "file") : s->loader.file;
	struct sd_error e = {SD_OK, ""};
	struct sd_doc *doc = NULL;
	enum sd_err err = SD_OK;

	if (s->applet->check_file && file) {
		err = read_doc(d->world, file, &doc, &e);
		if (err == SD_OK)
			err = s->applet->check_file(d->world, doc, &e);
		sd_doc_free(doc);
	}
	if (err == SD_OK && sd_dispatch_common(d, s->applet) == sd_common_options)
		err = sd_run_tls_check(d->world, conf, &e);
	if (err == SD_OK && s->applet->check_files)
		err = s->applet->check_files(d->world, conf, &e);
	if (err != SD_OK)
		return sd_dispatch_report(d, who, &e);
	fprintf(d->out, "%s: ok\n", file ? file : who);
	return 0;
}

static int print_config(const struct sd_dispatch *d, const struct sd_conf *conf, const char *who)
{
	char *text = sd_conf_print_yaml(conf, true);

	if (!text)
		return sd_dispatch_fail(d, who, SD_EXIT_FAILURE, "out of memory");
	fputs(text, d->out);
	free(text);
	return 0;
}

static int run_service(struct sd_dispatch *d, struct service *s, const char *who)
{
	struct sd_error e = {SD_OK, ""};
	struct sd_conf *conf;
	int status;

	if (load(&s->loader, &conf, &e) != SD_OK)
		return sd_dispatch_report(d, who, &e);
	if (s->line.check)
		status = check_config(s, conf, who);
	else if (s->line.print)
		status = print_config(d, conf, who);
	else
		status = d->serve(d, s->applet, conf, &s->loader);
	sd_conf_free(conf);
	return status;
}

int sd_dispatch_service(struct sd_dispatch *d, const struct sd_applet *applet, int argc,
			const char *const *argv)
{
	struct service s = {.loader = {.load = load}, .d = d, .applet = applet};
	struct sd_error e = {SD_OK, ""};
	char who[SD_WHO_MAX];
	int status = 0;

	snprintf(who, sizeof who, "sdlab %s", applet->name);
	if (prepare(&s, argc, argv, &e) != SD_OK)
		status = sd_dispatch_report(d, who, &e);
	else if (s.line.help)
		sd_help_applet(d, applet, NULL);
	else
		status = run_service(d, &s, who);
	free(s.line.argv);
	return status;
}

/* ---- verbs ---- */

static int wrong_count(const struct sd_dispatch *d, const char *who, const struct sd_verb *verb, int n)
{
	char found[40] = "nothing";

	if (n > 0)
		snprintf(found, sizeof found, "%d argument%s", n, n == 1 ? "" : "s");
	return sd_dispatch_fail(d, who, SD_EXIT_USAGE, "expected %s, found %s (%s --help explains)",
				verb->usage && *verb->usage ? verb->usage : "no arguments", found, who);
}

/* sdlab load sweeep URL: one word too many, of which the first is nearly a verb. */
static bool misspelt(const struct sd_applet *applet, const struct sd_verb *verb, const char *const *operands, int n)
{
	return !*verb->name && n > 1 && sd_dispatch_near_verb(applet, operands[0]);
}

static int call_verb(struct sd_dispatch *d, const struct sd_applet *applet, const struct sd_verb *verb,
		     const struct line *line, const char *who)
{
	const char *operands[MAX_OPERANDS], *const *args = line->words ? line->words : operands;
	int n = 0;
	struct sd_error e = {SD_OK, ""};
	struct sd_conf *conf;
	struct sd_conf_sources from = {
	    .applet = applet->name,
	    /* A variable SDLAB_CACHE_PORT is meant for the service, not for each of its clients. */
	    .environ = *verb->name ? NULL : d->environ,
	    .argc = line->argc,
	    .argv = line->argv,
	    .elsewhere = sd_dispatch_verb_options,
	};

	if (sd_conf_make(verb->options, NULL, &from, &conf, operands, &n, &e) != SD_OK)
		return sd_dispatch_report(d, who, &e);
	int status;
	if (line->words)
		n = line->nwords;
	if (!line->words && (n < verb->min_args || (verb->max_args >= 0 && n > verb->max_args))) {
		status = misspelt(applet, verb, operands, n) ? sd_dispatch_unknown_verb(d, applet, operands[0])
								: wrong_count(d, who, verb, n);
	} else {
		struct sd_verb_call call = {d->world, applet, conf, args, n, d->environ, d->out, d->err};
		status = verb->run(&call);
	}
	sd_conf_free(conf);
	return status;
}

int sd_dispatch_verb(struct sd_dispatch *d, const struct sd_applet *applet, const struct sd_verb *verb,
		     int argc, const char *const *argv)
{
	struct line line = {0};
	struct sd_error e = {SD_OK, ""};
	char who[SD_WHO_MAX];
	int status = 0;

	bool rest = strcmp(verb->name, "*") == 0;
	snprintf(who, sizeof who, "sdlab %s%s%s", applet->name, *verb->name && !rest ? " " : "", rest ? "" : verb->name);
	if ((rest || verb->words ? split_words(&line, verb->options, argc, argv, &e)
		  : read_line(&line, verb->options, NULL, sd_dispatch_verb_options, false, argc, argv, &e)) != SD_OK)
		status = sd_dispatch_report(d, who, &e);
	else if (line.help)
		sd_help_applet(d, applet, verb);
	else
		status = call_verb(d, applet, verb, &line, who);
	free(line.argv);
	free(line.words);
	return status;
}
