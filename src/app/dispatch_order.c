/* A verb behind its options: "sdlab cache --tls get k" means the service, which knows no word get. Who writes so is told. */
#include <string.h>

#include "conf_int.h"
#include "dispatch_int.h"

/* How many words an option takes with its value, by this table; 0: it knows none of this name. */
static int width_in(const struct sd_option *table, const struct sd_option *common, const char *arg)
{
	struct sd_conf_mem mem = {NULL};
	struct sd_conf *conf = sd_conf_blank(&mem, table, common);
	int width = conf && sd_conf_knows_arg(conf, arg) ? sd_conf_arg_width(conf, arg) : 0;

	sd_conf_mem_free(&mem);
	return width;
}

static int width_of(const struct sd_dispatch *d, const struct sd_applet *applet, const char *arg)
{
	int width = width_in(applet->options, sd_dispatch_common(d, applet), arg);

	for (const struct sd_option *o = sd_dispatch_service_options; !width && o->type != SD_OPT_END; o++)
		if (strncmp(arg, "--", 2) == 0 && strcmp(arg + 2, o->name) == 0)
			width = o->type == SD_OPT_FILE ? 2 : 1;
	for (const struct sd_verb *v = applet->verbs; !width && v && v->name; v++)
		if (v->options)
			width = width_in(v->options, NULL, arg);
	return width;
}

const char *sd_dispatch_late_verb(const struct sd_dispatch *d, const struct sd_applet *applet, int argc,
				  const char *const *argv)
{
	for (int i = 0; i < argc && strcmp(argv[i], "--") != 0;) {
		if (argv[i][0] != '-')
			return sd_verb_find(applet, argv[i], false) || sd_verb_find(applet, "*", false) ? argv[i] : NULL;
		int width = width_of(d, applet, argv[i]);
		if (!width)
			return NULL;
		i += width;
	}
	return NULL;
}
