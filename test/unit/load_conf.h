/* load_conf.h - the options of a verb of load, as a person types them. */
#ifndef LOAD_CONF_H
#define LOAD_CONF_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "app/applet.h"

#define MS 1000000ll

static struct sd_conf *rig_conf(const char *verb, const char *words)
{
	static char copy[512];
	const char *argv[32];
	int argc = 0;
	struct sd_error e = {0};
	struct sd_conf *conf;
	const struct sd_applet *applet = sd_applet_find("load", NULL);
	const struct sd_verb *v = applet->verbs;
	while (v->name && strcmp(v->name, verb) != 0)
		v++;
	ck_assert_ptr_nonnull(v->name);
	snprintf(copy, sizeof(copy), "%s", words);
	for (char *word = strtok(copy, " "); word; word = strtok(NULL, " "))
		argv[argc++] = word;
	struct sd_conf_sources from = {.applet = "load", .argc = argc, .argv = argv};
	ck_assert_msg(sd_conf_make(v->options, NULL, &from, &conf, NULL, NULL, &e) == SD_OK, "%s", e.text);
	return conf;
}

#endif
