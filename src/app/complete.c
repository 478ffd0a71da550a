/* Completion in the shell. The script is short and knows nothing: it hands the words that are there to
 * `sdlab complete`, which prints what may come next, one a line; ":files" and ":folders" ask the shell for
 * names of its own.
 */
#include <stdio.h>
#include <string.h>

#include "dispatch_int.h"

struct want {
	FILE *out;
	const char *word; /* the one that is being typed */
	const char *lead; /* stands in front of each candidate: "--name=" */
};

static void offer(const struct want *w, const char *candidate)
{
	if (strncmp(candidate, w->word, strlen(w->word)) == 0)
		fprintf(w->out, "%s%s\n", w->lead, candidate);
}

static void offer_value(const struct want *w, const struct sd_option *opt)
{
	const char *choice;
	size_t n;
	char text[128];

	if (opt->type == SD_OPT_FILE) {
		fputs(":files\n", w->out);
	} else if (opt->type == SD_OPT_ENUM) {
		for (size_t i = 0; sd_option_choice(opt->choices, i, &choice, &n); i++) {
			snprintf(text, sizeof text, "%.*s", (int)n, choice);
			offer(w, text);
		}
	} else if (opt->type == SD_OPT_BOOL) {
		offer(w, "true");
		offer(w, "false");
	}
}

static void offer_option(void *arg, const struct sd_option *opt, const char *arg_name, const char *path)
{
	char text[140];

	(void)path;
	if (opt->hidden)
		return;
	snprintf(text, sizeof text, "--%s", arg_name);
	offer(arg, text);
	if (opt->type == SD_OPT_BOOL && opt->def && strcmp(opt->def, "true") == 0) {
		snprintf(text, sizeof text, "--no-%s", arg_name);
		offer(arg, text);
	}
}

/* The tables that hold at one place of the command line. */
struct tables {
	const struct sd_option *own, *common, *meta;
};

struct lookup {
	const char *name;
	size_t n;
	const struct sd_option *found;
};

static void match(void *arg, const struct sd_option *opt, const char *arg_name, const char *path)
{
	struct lookup *l = arg;

	(void)path;
	if (strlen(arg_name) == l->n && memcmp(arg_name, l->name, l->n) == 0)
		l->found = opt;
}

/* The option of "--name", "--name=..." or "-n"; NULL when the word is none. */
static const struct sd_option *find_option(const struct tables *t, const char *word)
{
	const struct sd_option *const tables[] = {t->meta, t->common, t->own};
	struct lookup l = {word + 2, 0, NULL};

	for (size_t i = 0; i < 3; i++) {
		if (strncmp(word, "--", 2) == 0) {
			l.n = strcspn(word + 2, "=");
			sd_option_walk(tables[i], match, &l);
			continue;
		}
		for (const struct sd_option *o = tables[i]; o && o->type != SD_OPT_END && word[0] == '-'; o++)
			if (o->letter && o->letter == word[1] && !word[2])
				l.found = o;
	}
	return l.found;
}

static void offer_options(const struct want *w, const struct tables *t)
{
	const struct sd_option *const tables[] = {t->common, t->meta};

	sd_option_walk(t->own, offer_option, (void *)w);
	for (size_t i = 0; i < 2; i++)
		for (const struct sd_option *o = tables[i]; o && o->type != SD_OPT_END; o++)
			if (!sd_option_shadowed(t->own, o))
				sd_option_walk_one(o, offer_option, (void *)w);
}

/* What may stand after the names: a value, an option, or an operand, of which only files are known. */
static void offer_rest(const struct want *w, const struct tables *t, const char *before, bool files)
{
	const struct sd_option *opt = before ? find_option(t, before) : NULL;
	const char *equals = strchr(w->word, '=');
	char lead[160];

	if (opt && opt->type != SD_OPT_BOOL && !strchr(before, '=')) {
		offer_value(w, opt);
	} else if (w->word[0] == '-' && equals) {
		snprintf(lead, sizeof lead, "%.*s=", (int)(equals - w->word), w->word);
		opt = find_option(t, w->word);
		if (opt)
			offer_value(&(struct want){w->out, equals + 1, lead}, opt);
	} else if (w->word[0] == '-') {
		offer_options(w, t);
	} else if (files) {
		fputs(":files\n", w->out);
	}
}

static void offer_verbs(const struct want *w, const struct sd_applet *applet)
{
	for (const struct sd_verb *v = applet->verbs; v && v->name; v++)
		if (*v->name && !v->hidden && *v->name != '*')
			offer(w, v->name);
	if (applet->service)
		offer(w, "serve");
}

static void complete_verb(const struct want *w, const struct sd_verb *verb, int argc, const char *const *argv)
{
	struct tables t = {verb->options, NULL, sd_dispatch_verb_options};

	offer_rest(w, &t, argc > 1 ? argv[argc - 2] : NULL, verb->usage && strstr(verb->usage, "FILE"));
}

/* argv is what follows the applet's name; its last is the word that is being typed. */
static void complete_applet(const struct sd_dispatch *d, const struct want *w, const struct sd_applet *applet,
			    const struct sd_alias *alias, int argc, const char *const *argv)
{
	bool client = alias && alias->verb && strcmp(alias->verb, "*") == 0;
	const struct sd_verb *verb =
	    alias && alias->verb && !client ? sd_verb_find(applet, alias->verb, false) : NULL;

	if (!verb && argc > 1)
		verb = sd_verb_find(applet, argv[0], client);
	if (!verb && argc == 1 && w->word[0] != '-')
		offer_verbs(w, applet);
	if (!verb && (client || (argc > 1 && *argv[0] != '-' && strcmp(argv[0], "serve") != 0)))
		verb = sd_verb_find(applet, "*", false);
	if (!verb && !applet->service)
		verb = sd_verb_find(applet, "", false);
	if (verb) {
		complete_verb(w, verb, argc, argv);
	} else if (applet->service && !client) {
		struct tables t = {applet->options, sd_dispatch_common(d, applet),
				   sd_dispatch_service_options};
		offer_rest(w, &t, argc > 1 ? argv[argc - 2] : NULL, applet->check_file);
	}
}

static void offer_names(const struct sd_dispatch *d, const struct want *w, bool builtins)
{
	for (const struct sd_applet *const *a = d->applets; *a; a++) {
		offer(w, (*a)->name);
		for (const struct sd_alias *alias = (*a)->aliases; alias && alias->name; alias++)
			offer(w, alias->name);
	}
	for (const struct sd_applet *const *a = d->applets; *a; a++)
		for (const struct sd_manner *m = (*a)->manners; m && m->name; m++)
			offer(w, m->name);
	for (const struct sd_builtin *b = sd_builtins; builtins && b->name; b++) {
		if (!b->hidden)
			offer(w, b->name);
		if (b->option && w->word[0] == '-')
			offer(w, b->option);
	}
}

/* The second and later words of `sdlab help lb`, `sdlab install -s DIR` and the like. */
static void complete_builtin(const struct sd_dispatch *d, const struct want *w, const char *name, int argc,
			     const char *const *argv)
{
	const struct sd_applet *applet = argc == 2 ? sd_applet_find_in(d->applets, argv[0], NULL) : NULL;

	if (strcmp(name, "help") == 0 && argc == 1)
		offer_names(d, w, false);
	else if (strcmp(name, "help") == 0 && applet)
		offer_verbs(w, applet);
	else if (strcmp(name, "completion") == 0 && argc == 1)
		offer(w, "bash");
	else if (strcmp(name, "version") == 0 && argc == 1)
		offer(w, "--short");
	else if (strcmp(name, "install") == 0 || strcmp(name, "--install") == 0)
		fputs(":folders\n", w->out);
	if ((strcmp(name, "list") == 0 || strcmp(name, "--list") == 0) && argc == 1) {
		offer(w, "--names");
		offer(w, "--json");
	}
}

/* argv: the name the program was called by, then the words up to and with the one that is being typed. */
int sd_dispatch_complete(struct sd_dispatch *d, int argc, const char *const *argv)
{
	struct want w = {d->out, argc > 0 ? argv[argc - 1] : "", ""};
	const struct sd_alias *alias;

	if (argc < 2)
		return SD_EXIT_USAGE;
	const char *slash = strrchr(argv[0], '/');
	const struct sd_applet *applet = sd_applet_find_in(d->applets, slash ? slash + 1 : argv[0], &alias);
	if (applet) {
		complete_applet(d, &w, applet, alias, argc - 1, argv + 1);
		return 0;
	}
	if (argc == 2) {
		offer_names(d, &w, true);
		return 0;
	}
	applet = sd_applet_find_in(d->applets, argv[1], &alias);
	if (applet)
		complete_applet(d, &w, applet, alias, argc - 2, argv + 2);
	else
		complete_builtin(d, &w, argv[1], argc - 2, argv + 2);
	return 0;
}

static const char script_head[] =
    "# bash completion for sdlab and the links that `sdlab install` makes\n"
    "_sdlab() {\n"
    "\tlocal run=sdlab cut= line\n"
    "\tlocal -a words\n"
    "\t[[ ${COMP_WORDS[0]##*/} == sdlab && -x ${COMP_WORDS[0]} ]] && run=${COMP_WORDS[0]}\n"
    "\tread -ra words <<<\"${COMP_LINE:0:COMP_POINT}\"\n"
    "\t[[ ${COMP_LINE:COMP_POINT-1:1} == ' ' ]] && words+=('')\n"
    "\tlocal cur=${words[-1]}\n"
    "\t# what readline takes for words of their own is not to be repeated\n"
    "\t[[ $COMP_WORDBREAKS == *[=:]* ]] && cut=${cur%\"${cur##*[=:]}\"}\n"
    "\tCOMPREPLY=()\n"
    "\twhile IFS= read -r line; do\n"
    "\t\tcase $line in\n"
    "\t\t:files) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -f -- \"${cur#\"$cut\"}\") ;;\n"
    "\t\t:folders) compopt -o filenames; mapfile -t COMPREPLY < <(compgen -d -- \"${cur#\"$cut\"}\") ;;\n"
    "\t\t*) COMPREPLY+=(\"${line#\"$cut\"}\") ;;\n"
    "\t\tesac\n"
    "\tdone < <(\"$run\" complete \"${words[@]}\" 2>/dev/null)\n"
    "}\n"
    "complete -F _sdlab sdlab\n";

/* A link may be called like a command of the shell itself (jobs), which then keeps its own completion. */
static const char script_tail[] =
    "; do\n"
    "\t[[ $'\\n'$_sdlab_own$'\\n' == *$'\\n'$_sdlab_name$'\\n'* ]] || complete -F _sdlab \"$_sdlab_name\"\n"
    "done\n"
    "unset _sdlab_own _sdlab_name\n";

int sd_dispatch_completion(struct sd_dispatch *d, int argc, const char *const *argv)
{
	if (argc != 1 || strcmp(argv[0], "bash") != 0)
		return sd_dispatch_fail(d, "sdlab completion", SD_EXIT_USAGE, "expected bash, found %s",
					argc > 0 ? argv[0] : "nothing");
	fputs(script_head, d->out);
	fputs("_sdlab_own=$(compgen -bk)\nfor _sdlab_name in", d->out);
	for (const struct sd_applet *const *a = d->applets; *a; a++) {
		fprintf(d->out, " %s", (*a)->name);
		for (const struct sd_alias *alias = (*a)->aliases; alias && alias->name; alias++)
			fprintf(d->out, " %s", alias->name);
	}
	fputs(script_tail, d->out);
	return 0;
}
