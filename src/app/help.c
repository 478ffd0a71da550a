/* Pages of help, out of the option tables. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "dispatch_int.h"
#include "sdlab/version.h"

#define WIDTH    80
#define MAX_LEFT 30

/* One line of two columns. */
struct row {
	char *left, *right;
};

struct rows {
	struct row *row;
	size_t n;
	bool failed;
};

static void add_row(struct rows *rows, char *left, char *right)
{
	struct row *more = reallocarray(rows->row, rows->n + 1, sizeof *more);

	if (more)
		rows->row = more;
	if (!more || !left || !right) {
		rows->failed = true;
		free(left);
		free(right);
		return;
	}
	rows->row[rows->n++] = (struct row){left, right};
}

static void free_rows(struct rows *rows)
{
	for (size_t i = 0; i < rows->n; i++) {
		free(rows->row[i].left);
		free(rows->row[i].right);
	}
	free(rows->row);
}

/* Words of text from column `column` on, the lines after the first indented to it. */
static void print_wrapped(FILE *out, const char *text, size_t column)
{
	size_t at = column;

	while (*text) {
		size_t n = strcspn(text, " ");
		if (at > column && at + 1 + n > WIDTH) {
			fprintf(out, "\n%*s", (int)column, "");
			at = column;
		} else if (at > column) {
			fputc(' ', out);
			at++;
		}
		fwrite(text, 1, n, out);
		at += n;
		text += n;
		text += strspn(text, " ");
	}
	fputc('\n', out);
}

static size_t left_width(const struct rows *rows)
{
	size_t width = 0;

	for (size_t i = 0; i < rows->n; i++) {
		size_t n = strlen(rows->row[i].left);
		if (n <= MAX_LEFT && n > width)
			width = n;
	}
	return width;
}

static void print_rows(const struct sd_dispatch *d, const struct rows *rows, size_t width)
{
	for (size_t i = 0; i < rows->n; i++) {
		const char *left = rows->row[i].left;
		if (!*rows->row[i].right) {
			fprintf(d->out, "%s\n", left);
			continue;
		}
		if (strlen(left) > width)
			fprintf(d->out, "%s\n%*s", left, (int)width + 2, "");
		else
			fprintf(d->out, "%-*s  ", (int)width, left);
		print_wrapped(d->out, rows->row[i].right, width + 2);
	}
	if (rows->failed)
		fputs("(out of memory)\n", d->out);
}

static void heading(const struct sd_dispatch *d, const char *text)
{
	fprintf(d->out, d->colour ? "\n\033[1m%s\033[0m\n" : "\n%s\n", text);
}

/* ---- options ---- */

const char *sd_help_meta(const struct sd_option *opt)
{
	bool addresses = opt->type == SD_OPT_LIST && opt->pattern && strcmp(opt->pattern, "address") == 0;

	if (opt->meta)
		return opt->meta;
	if (opt->type == SD_OPT_TABLE && opt->sub)
		return sd_help_meta(opt->sub);
	return addresses ? "ADDRESS" : sd_conf_type_of(opt)->meta;
}

static char *format(const char *fmt, ...) __attribute__((format(printf, 1, 2)));

static char *format(const char *fmt, ...)
{
	va_list ap;
	char *text;

	va_start(ap, fmt);
	if (vasprintf(&text, fmt, ap) < 0)
		text = NULL;
	va_end(ap);
	return text;
}

/* "where to listen (from 1 to 9; default 5; repeatable)". */
static char *describe(const struct sd_option *opt)
{
	char expected[512], *text = NULL;
	const char *base = sd_conf_type_of(opt)->expected;
	size_t n = 0, start;
	FILE *out = open_memstream(&text, &n);

	if (!out)
		return NULL;
	fprintf(out, "%s (", opt->help ? opt->help : "");
	fflush(out);
	start = n;
	sd_conf_type_expected(opt, false, expected, sizeof expected);
	if (opt->type == SD_OPT_ENUM)
		fprintf(out, "%s; ", expected);
	else if (opt->min != opt->max && strlen(expected) > strlen(base))
		fprintf(out, "%s; ", expected + strlen(base) + 1);
	if (opt->required)
		fputs("required; ", out);
	if (opt->def && *opt->def && opt->type != SD_OPT_BOOL)
		fprintf(out, "default %s; ", opt->def);
	if (opt->type == SD_OPT_LIST || opt->type == SD_OPT_TABLE)
		fputs("repeatable; ", out);
	if (fclose(out) != 0 || !text || n < start || start < 2) {
		free(text);
		return NULL;
	}
	/* Without details the bracket goes, else its end replaces the last "; ". */
	memcpy(text + n - 2, n == start ? "" : ")", n == start ? 1 : 2);
	return text;
}

struct lister {
	struct rows *rows;
	int indent;
	bool in_row; /* rows of a table are written key=VALUE */
};

static void add_option(void *arg, const struct sd_option *opt, const char *arg_name, const char *path);

static void add_sub(struct lister *l, const struct sd_option *table)
{
	struct lister sub = {l->rows, l->indent + 8, true};

	sd_option_walk(table, add_option, &sub);
}

static void add_option(void *arg, const struct sd_option *opt, const char *arg_name, const char *path)
{
	struct lister *l = arg;
	char letter[5] = "    ";
	bool flag = opt->type == SD_OPT_BOOL;

	(void)path;
	if (opt->hidden)
		return;
	if (opt->letter)
		snprintf(letter, sizeof letter, "-%c, ", opt->letter);
	if (l->in_row)
		add_row(l->rows, format("%*s%s=%s", l->indent, "", arg_name, sd_help_meta(opt)),
			describe(opt));
	else if (flag)
		add_row(l->rows,
			format("  %s--%s%s", letter, opt->def && strcmp(opt->def, "true") == 0 ? "[no-]" : "",
			       arg_name),
			describe(opt));
	else
		add_row(l->rows, format("  %s--%s %s", letter, arg_name, sd_help_meta(opt)), describe(opt));
	if (opt->type == SD_OPT_TABLE)
		add_sub(l, opt->sub);
}

/* But for those that `before` has too. */
static void add_table(struct rows *rows, const struct sd_option *table, const struct sd_option *before)
{
	for (; table && table->type != SD_OPT_END; table++)
		if (!sd_option_shadowed(before, table))
			sd_option_walk_one(table, add_option, &(struct lister){rows, 2, false});
}

/* ---- pages ---- */

/* The first line of a page says "usage:", the others stand below it. */
static void usage_line(const struct sd_dispatch *d, bool *first, const struct sd_applet *applet,
		       const char *fmt, ...) __attribute__((format(printf, 4, 5)));

static void usage_line(const struct sd_dispatch *d, bool *first, const struct sd_applet *applet,
		       const char *fmt, ...)
{
	va_list ap;

	fprintf(d->out, "%s sdlab %s", *first ? "usage:" : "      ", applet->name);
	va_start(ap, fmt);
	vfprintf(d->out, fmt, ap);
	va_end(ap);
	fputc('\n', d->out);
	*first = false;
}

static void verb_usage(const struct sd_dispatch *d, bool *first, const struct sd_applet *applet,
		       const struct sd_verb *verb)
{
	const char *usage = verb->usage ? verb->usage : "";

	const char *name = strcmp(verb->name, "*") == 0 ? "" : verb->name;

	usage_line(d, first, applet, "%s%s%s%s%s", *name ? " " : "", name,
		   verb->options ? " [options]" : "", *usage ? " " : "", usage);
}

/* Of a verb, or of the whole applet. */
static void print_usage(const struct sd_dispatch *d, const struct sd_applet *applet,
			const struct sd_verb *verb)
{
	bool first = true, has_verbs = false;

	if (verb) {
		verb_usage(d, &first, applet, verb);
		return;
	}
	for (const struct sd_verb *v = applet->verbs; v && v->name; v++)
		has_verbs |= *v->name && !v->hidden;
	if (applet->service)
		usage_line(d, &first, applet, " [serve] [options]%s", applet->check_file ? " FILE" : "");
	else if (sd_verb_find(applet, "", false))
		verb_usage(d, &first, applet, sd_verb_find(applet, "", false));
	if (has_verbs)
		usage_line(d, &first, applet, " VERB [options] ...");
}

static void add_verbs(struct rows *rows, const struct sd_applet *applet)
{
	for (const struct sd_verb *v = applet->verbs; v && v->name; v++)
		if (*v->name && !v->hidden)
			add_row(rows,
				format("  %s%s%s", strcmp(v->name, "*") == 0 ? "" : v->name,
				       v->usage && *v->usage && strcmp(v->name, "*") != 0 ? " " : "",
				       v->usage ? v->usage : ""),
				format("%s", v->summary ? v->summary : ""));
}

static void print_aliases(const struct sd_dispatch *d, const struct sd_applet *applet)
{
	if (!applet->aliases || !applet->aliases->name)
		return;
	heading(d, "Also answers to");
	for (const struct sd_alias *a = applet->aliases; a->name; a++)
		fprintf(d->out, "  %-20s  sdlab %s%s%s\n", a->name, applet->name, a->verb ? " " : "",
			!a->verb                    ? ""
			: strcmp(a->verb, "*") == 0 ? "VERB"
						    : a->verb);
}

/* The names that go straight to one verb. */
static void print_aliases_of(const struct sd_dispatch *d, const struct sd_applet *applet, const struct sd_verb *verb)
{
	for (const struct sd_alias *a = applet->aliases; a && a->name; a++)
		if (a->verb && strcmp(a->verb, verb->name) == 0)
			fprintf(d->out, "\nAlso called %s.\n", a->name);
}

/* Lines as they stand, indented. */
static void print_lines(FILE *out, const char *text)
{
	while (*text) {
		size_t n = strcspn(text, "\n");
		fprintf(out, "%s%.*s\n", n ? "  " : "", (int)n, text);
		text += n + (text[n] == '\n');
	}
}

/* Paragraphs, each wrapped. */
static void print_paragraphs(const struct sd_dispatch *d, const char *text)
{
	while (text && *text) {
		size_t n = strcspn(text, "\n");
		char *line = format("%.*s", (int)n, text);
		if (line)
			print_wrapped(d->out, line, 0);
		free(line);
		text += n + (text[n] == '\n');
	}
}

static void print_manners(const struct sd_dispatch *d, const struct sd_applet *applet)
{
	if (!applet->manners || !applet->manners->name)
		return;
	heading(d, "As another program");
	for (const struct sd_manner *m = applet->manners; m->name; m++)
		fprintf(d->out, "  sdlab %-4s ...        %s\n", m->name, m->summary);
	fputc('\n', d->out);
	char *text = format("The same under a link called %s, which is never made for you, as it stands before the "
			    "program itself: ln -s \"$(command -v sdlab)\" ~/bin/%s",
			    applet->manners->name, applet->manners->name);
	print_paragraphs(d, text);
	free(text);
}

static void print_section(const struct sd_dispatch *d, const char *title, const struct rows *rows,
			  size_t width)
{
	if (rows->n == 0)
		return;
	heading(d, title);
	print_rows(d, rows, width);
}

static void print_sources(const struct sd_dispatch *d, const struct sd_applet *applet)
{
	char prefix[SD_WHO_MAX];

	sd_conf_env_name(prefix, sizeof prefix, "sdlab", applet->name);
	fputc('\n', d->out);
	char *text = format(
	    "Every option is also a key of the file and a variable %s_OPTION. The command line wins over "
	    "the environment, that over the file, that over the default; rows given on the command "
	    "line replace all rows of the file.",
	    prefix);
	print_paragraphs(d, text);
	free(text);
}

/* One column for all sections of a page. */
static size_t widest(size_t a, size_t b, size_t c)
{
	size_t ab = a > b ? a : b;

	return ab > c ? ab : c;
}

static void print_service(const struct sd_dispatch *d, const struct sd_applet *applet)
{
	struct rows own = {0}, common = {0}, verbs = {0};

	if (applet->service) {
		add_table(&own, applet->options, NULL);
		add_table(&common, sd_dispatch_common(d, applet), applet->options);
		add_table(&common, sd_dispatch_service_options, applet->options);
	}
	add_verbs(&verbs, applet);
	size_t width = widest(left_width(&own), left_width(&common), left_width(&verbs));
	print_section(d, "Verbs", &verbs, width);
	print_section(d, "Options", &own, width);
	print_section(d, "Common options", &common, width);
	if (applet->service)
		print_sources(d, applet);
	free_rows(&own);
	free_rows(&common);
	free_rows(&verbs);
}

static void print_verb(const struct sd_dispatch *d, const struct sd_verb *verb)
{
	struct rows own = {0};

	add_table(&own, verb->options, NULL);
	add_table(&own, sd_dispatch_verb_options, verb->options);
	print_section(d, "Options", &own, left_width(&own));
	free_rows(&own);
}

void sd_help_applet(const struct sd_dispatch *d, const struct sd_applet *applet, const struct sd_verb *verb)
{
	const struct sd_verb *plain = applet->service ? NULL : sd_verb_find(applet, "", false);
	bool whole = !verb || !*verb->name;

	bool rest = !whole && strcmp(verb->name, "*") == 0;
	fprintf(d->out, "sdlab %s%s%s: %s\n\n", applet->name, whole || rest ? "" : " ", whole || rest ? "" : verb->name,
		whole           ? applet->summary
		: verb->summary ? verb->summary
				: "");
	print_usage(d, applet, whole ? NULL : verb);
	if (whole && applet->description) {
		fputc('\n', d->out);
		print_paragraphs(d, applet->description);
	}
	if (whole)
		print_service(d, applet);
	if (!whole || plain)
		print_verb(d, whole ? plain : verb);
	else if (!applet->service)
		fprintf(d->out, "\n  sdlab %s VERB --help lists the options of one.\n", applet->name);
	if (whole && applet->examples) {
		heading(d, "Examples");
		print_lines(d->out, applet->examples);
	}
	if (whole) {
		print_aliases(d, applet);
		print_manners(d, applet);
	} else {
		print_aliases_of(d, applet, verb);
	}
}

void sd_help_overview(const struct sd_dispatch *d)
{
	fprintf(d->out,
		"sdlab %s: one binary with the parts large systems are made of\n"
		"\n"
		"usage: sdlab NAME [serve] [options]     run a service\n"
		"       sdlab NAME VERB [options] ...    be its client, or use a tool\n"
		"       sdlab help NAME [VERB]           explain one (also: sdlab NAME --help)\n"
		"       sdlab list [--names | --json]    what there is\n"
		"       sdlab install [-s] DIR           make a link for each name (-s: symbolic)\n"
		"       sdlab completion bash            print a script for the shell\n"
		"       sdlab version [--short]\n",
		SDLAB_VERSION);
	heading(d, "Applets");
	sd_list_table(d);
}

/* The flags of another program are known to the manner alone. */
static int help_manner(const struct sd_dispatch *d, const struct sd_applet *applet, const struct sd_manner *manner)
{
	static const char *const args[] = {"--help"};
	struct sd_verb_call call = {d->world, applet, NULL, args, 1, d->environ, d->out, d->err};

	return manner->run(&call);
}

static bool is_own_word(const char *word)
{
	for (const struct sd_builtin *b = sd_builtins; b->name; b++)
		if (!b->hidden && strcmp(b->name, word) == 0)
			return true;
	return false;
}

int sd_dispatch_help(struct sd_dispatch *d, int argc, const char *const *argv)
{
	const struct sd_alias *alias = NULL;
	const struct sd_applet *applet;
	const struct sd_verb *verb = NULL;

	if (argc == 0) {
		sd_help_overview(d);
		return 0;
	}
	const struct sd_manner *manner = sd_manner_find_in(d->applets, argv[0], &applet);
	if (manner)
		return help_manner(d, applet, manner);
	if (is_own_word(argv[0])) {
		sd_help_overview(d);
		return 0;
	}
	if (!(applet = sd_dispatch_find(d, argv[0])))
		return SD_EXIT_UNKNOWN;
	sd_applet_find_in(d->applets, argv[0], &alias);
	const char *name = argc > 1                                                ? argv[1]
			   : alias && alias->verb && strcmp(alias->verb, "*") != 0 ? alias->verb
										   : NULL;
	if (name && !(verb = sd_verb_find(applet, name, true)) && strcmp(name, "serve") != 0)
		return sd_dispatch_fail(d, "sdlab help", SD_EXIT_USAGE,
					"%s has no verb called \"%s\" (sdlab %s --help shows all)",
					applet->name, name, applet->name);
	sd_help_applet(d, applet, verb);
	return 0;
}
