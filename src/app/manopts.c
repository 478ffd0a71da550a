/* sdlab man-options NAME: the options of an applet and of its verbs as mdoc, for the manual page to hold
 * between the lines `.\" options begin` and `.\" options end`. Without NAME: the options every service has.
 */
#include <stdio.h>
#include <string.h>

#include "dispatch_int.h"

/* Text that mdoc leaves alone: backslashes, quotes, and a dot or quote that begins a line. */
static void put_text(FILE *out, const char *text, bool line_start)
{
	if (line_start && (*text == '.' || *text == '\''))
		fputs("\\&", out);
	for (; *text; text++) {
		if (*text == '\\')
			fputs("\\e", out);
		else if (*text == '"')
			fputs("\\(dq", out);
		else if (*text == '-')
			fputs("\\-", out);
		else
			fputc(*text, out);
	}
}

/* Would mdoc take this word for a macro of its own (No, Ar) or for punctuation? */
static bool is_special(const char *text)
{
	bool letter = (*text >= 'a' && *text <= 'z') || (*text >= 'A' && *text <= 'Z');
	bool digit = *text >= '0' && *text <= '9';
	size_t n = strlen(text);

	return (!letter && !digit) || (letter && n >= 2 && n <= 3 && *text < 'a' && text[1] >= 'a');
}

/* One argument of a macro. */
static void put_arg(FILE *out, const char *text)
{
	const char *quote = strchr(text, ' ') ? "\"" : "";

	fprintf(out, " %s%s", quote, is_special(text) ? "\\&" : "");
	put_text(out, text, false);
	fputs(quote, out);
}

/* "redis://HOST": that is no word which begins a sentence. */
static bool is_url(const char *text)
{
	return strncmp(text + strspn(text, "abcdefghijklmnopqrstuvwxyz"), "://", 3) == 0;
}

/* "Where to listen." on a line of its own. */
static void put_sentence(FILE *out, const char *text)
{
	char first[2] = {*text, '\0'};

	if (!*text)
		return;
	if (first[0] >= 'a' && first[0] <= 'z' && !is_url(text))
		first[0] = (char)(first[0] - 'a' + 'A');
	put_text(out, first, true);
	put_text(out, text + 1, false);
	fputs(".\n", out);
}

static void put_choices(FILE *out, const char *choices)
{
	const char *choice, *after;
	size_t n, after_n;
	char text[128];

	fputs("One of\n", out);
	for (size_t i = 0; sd_option_choice(choices, i, &choice, &n); i++) {
		bool last = !sd_option_choice(choices, i + 1, &after, &after_n);
		snprintf(text, sizeof text, "%.*s", (int)n, choice);
		fputs(".Cm", out);
		put_arg(out, text);
		fputs(last ? " .\n" : " ,\n", out);
	}
}

static void put_details(FILE *out, const struct sd_option *opt)
{
	char expected[512];
	const char *base = sd_conf_type_of(opt)->expected;

	put_sentence(out, opt->help ? opt->help : "");
	if (opt->type == SD_OPT_ENUM)
		put_choices(out, opt->choices);
	sd_conf_type_expected(opt, false, expected, sizeof expected);
	if (opt->type != SD_OPT_ENUM && opt->min != opt->max && strlen(expected) > strlen(base))
		put_sentence(out, expected + strlen(base) + 1);
	if (opt->required)
		fputs("Required.\n", out);
	if (opt->type == SD_OPT_LIST || opt->type == SD_OPT_TABLE)
		fputs("May be given several times.\n", out);
	if (opt->def && *opt->def) {
		fputs("The default is\n.Cm", out);
		put_arg(out, opt->def);
		fputs(" .\n", out);
	}
	if (opt->reload)
		fputs("A reload may change it.\n", out);
}

static void put_row(void *arg, const struct sd_option *opt, const char *arg_name, const char *path)
{
	FILE *out = arg;

	(void)path;
	if (opt->hidden)
		return;
	fputs(".It Cm", out);
	put_arg(out, arg_name);
	fputs(" Ns = Ns Ar", out);
	put_arg(out, sd_help_meta(opt));
	fputc('\n', out);
	put_details(out, opt);
}

static void put_option(void *arg, const struct sd_option *opt, const char *arg_name, const char *path)
{
	FILE *out = arg;

	(void)path;
	if (opt->hidden)
		return;
	fputs(".It", out);
	if (opt->letter)
		fprintf(out, " Fl %c ,", opt->letter);
	fprintf(out, " Fl -%s", arg_name);
	if (opt->type != SD_OPT_BOOL) {
		fputs(" Ar", out);
		put_arg(out, sd_help_meta(opt));
	}
	fputc('\n', out);
	put_details(out, opt);
	if (opt->type == SD_OPT_TABLE) {
		fputs("The keys of a row, of which the first may stand alone:\n.Bl -tag -width Ds\n", out);
		sd_option_walk(opt->sub, put_row, out);
		fputs(".El\n", out);
	}
}

static void put_table(FILE *out, const struct sd_option *table, const struct sd_option *more)
{
	fputs(".Bl -tag -width Ds\n", out);
	sd_option_walk(table, put_option, out);
	sd_option_walk(more, put_option, out);
	fputs(".El\n", out);
}

static bool is_empty(const struct sd_option *table)
{
	return !table || table->type == SD_OPT_END;
}

static void put_verbs(FILE *out, const struct sd_applet *applet)
{
	for (const struct sd_verb *v = applet->verbs; v && v->name; v++) {
		if (v->hidden || is_empty(v->options))
			continue;
		if (*v->name)
			fprintf(out, ".Ss Options of %s\n", strcmp(v->name, "*") == 0 ? "commands" : v->name);
		put_table(out, v->options, NULL);
	}
}

int sd_dispatch_man_options(struct sd_dispatch *d, int argc, const char *const *argv)
{
	if (argc == 0) {
		put_table(d->out, d->common, sd_dispatch_service_options);
		return 0;
	}
	const struct sd_applet *applet = sd_dispatch_find(d, argv[0]);
	if (!applet)
		return SD_EXIT_UNKNOWN;
	if (applet->service) {
		if (!is_empty(applet->options))
			put_table(d->out, applet->options,
				  applet->no_common ? sd_dispatch_service_options : NULL);
		if (!applet->no_common)
			fputs("The options that every service has are in\n.Xr sdlab 1 .\n", d->out);
	}
	put_verbs(d->out, applet);
	return 0;
}
