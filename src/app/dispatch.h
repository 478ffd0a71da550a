/* dispatch.h - from argv to an applet, a verb, or a page of help.
 *
 * `sdlab`, `sdlab list` (`--list`), `sdlab help [NAME]`, `sdlab NAME [VERB] --help`, `sdlab version`,
 * `sdlab install [-s] DIR` (`--install`), `sdlab completion bash`, `sdlab man-options NAME` (hidden: the OPTIONS part
 * of the man page, as mdoc), and applets by name, alias, or basename of argv[0] through a link.
 * Exit status: 0, 1 failure at run time, 2 wrong usage, 127 no such applet.
 */
#ifndef SD_APP_DISPATCH_H
#define SD_APP_DISPATCH_H

#include <stdio.h>

#include "applet.h"

/* Makes a service's configuration again from the same command line, environment and file. */
struct sd_conf_loader {
	enum sd_err (*load)(struct sd_conf_loader *self, struct sd_conf **out, struct sd_error *e);
	const char *file; /* the --config file, NULL: none */
};

struct sd_dispatch {
	struct sd_world *world;
	const struct sd_applet *const *applets; /* normally sd_applets */
	const struct sd_option *common;         /* the options every service shares */
	const char *const *environ;
	FILE *out, *err;
	bool colour; /* out is a terminal and NO_COLOR is not set */
	/* Runs a service with its finished configuration; `load` makes the configuration anew for a reload. conf
	 * and load stay the caller's and live until it returns; what load makes is serve's to free. */
	int (*serve)(struct sd_dispatch *d, const struct sd_applet *applet, const struct sd_conf *conf,
		     struct sd_conf_loader *load);
	void *arg;
};

int sd_dispatch_main(struct sd_dispatch *d, int argc, const char *const *argv);

/* A page of help for an applet, or for one of its verbs (verb not NULL). */
void sd_help_applet(const struct sd_dispatch *d, const struct sd_applet *applet, const struct sd_verb *verb);

#endif
