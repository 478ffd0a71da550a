/* dispatch_int.h - what the files of the dispatcher share; for src/app only. */
#ifndef SD_APP_DISPATCH_INT_H
#define SD_APP_DISPATCH_INT_H

#include "conf_int.h"
#include "dispatch.h"

#define SD_EXIT_FAILURE 1
#define SD_EXIT_USAGE   2
#define SD_EXIT_UNKNOWN 127

/* "sdlab", "sdlab lb" or "sdlab cache get": whose error it is. */
#define SD_WHO_MAX 160

/* applet.c */
const struct sd_applet *sd_applet_find_in(const struct sd_applet *const *applets, const char *name,
					  const struct sd_alias **alias);
/* NULL: no applet has it; *applet is which one has (the pointer may be NULL). */
const struct sd_manner *sd_manner_find_in(const struct sd_applet *const *applets, const char *name,
					  const struct sd_applet **applet);
const struct sd_verb *sd_verb_find(const struct sd_applet *applet, const char *name, bool any_case);

/* The options that this service shares with all others; NULL: none. */
static inline const struct sd_option *sd_dispatch_common(const struct sd_dispatch *d,
							 const struct sd_applet *applet)
{
	return applet->no_common ? NULL : d->common;
}

/* dispatch.c: "WHO: <formatted>" on d->err; returns status. */
int sd_dispatch_fail(const struct sd_dispatch *d, const char *who, int status, const char *fmt, ...)
    __attribute__((format(printf, 4, 5)));
/* Tells the error; returns 2 when the command line is wrong, else 1. */
int sd_dispatch_report(const struct sd_dispatch *d, const char *who, const struct sd_error *e);
/* The applet of a name, or a message and NULL. */
const struct sd_applet *sd_dispatch_find(const struct sd_dispatch *d, const char *name);

/* The verb that the word is nearly, or NULL; says that there is none of that name, and returns 2. */
const char *sd_dispatch_near_verb(const struct sd_applet *applet, const char *word);
int sd_dispatch_unknown_verb(const struct sd_dispatch *d, const struct sd_applet *applet, const char *word);

/* dispatch_order.c: the verb that comes behind options which may be its own or the service's; NULL: there is none. */
const char *sd_dispatch_late_verb(const struct sd_dispatch *d, const struct sd_applet *applet, int argc,
				  const char *const *argv);

/* dispatch_run.c: a service; a verb. argv is what follows the names. */
int sd_dispatch_service(struct sd_dispatch *d, const struct sd_applet *applet, int argc,
			const char *const *argv);
int sd_dispatch_verb(struct sd_dispatch *d, const struct sd_applet *applet, const struct sd_verb *verb,
		     int argc, const char *const *argv);
/* --config, --check-config, --print-config, --help of a service; --help of a verb. */
extern const struct sd_option sd_dispatch_service_options[];
extern const struct sd_option sd_dispatch_verb_options[];

/* The words the program itself knows; each is given what follows it. */
typedef int sd_builtin_fn(struct sd_dispatch *d, int argc, const char *const *argv);
sd_builtin_fn sd_dispatch_help;        /* help.c */
sd_builtin_fn sd_dispatch_list;        /* list.c */
sd_builtin_fn sd_dispatch_install;     /* install.c */
sd_builtin_fn sd_dispatch_completion;  /* complete.c: the script */
sd_builtin_fn sd_dispatch_complete;    /* complete.c: what the script asks */
sd_builtin_fn sd_dispatch_man_options; /* manopts.c */

struct sd_builtin {
	const char *name, *option;
	char letter;
	bool hidden;
	sd_builtin_fn *run;
};
extern const struct sd_builtin sd_builtins[];

/* help.c: how to call it, and what there is; the short page. */
void sd_help_overview(const struct sd_dispatch *d);
/* What the value of an option is called: "PORT". */
const char *sd_help_meta(const struct sd_option *opt);
/* list.c: names and summaries in two columns. */
void sd_list_table(const struct sd_dispatch *d);
/* The other programs that applets can be, under a heading; nothing when there are none. */
void sd_list_manners(const struct sd_dispatch *d);

#endif
