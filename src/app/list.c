/* What there is: for people, for scripts that make links, for programs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cjson/cJSON.h>

#include "dispatch_int.h"

void sd_list_table(const struct sd_dispatch *d)
{
	size_t width = 0;

	for (const struct sd_applet *const *a = d->applets; *a; a++)
		if (strlen((*a)->name) > width)
			width = strlen((*a)->name);
	for (const struct sd_applet *const *a = d->applets; *a; a++)
		fprintf(d->out, "  %-*s  %s\n", (int)width, (*a)->name, (*a)->summary);
}

void sd_list_manners(const struct sd_dispatch *d)
{
	const char *before = "\nAs another program, by sdlab NAME ... or a link that you make yourself:\n";

	for (const struct sd_applet *const *a = d->applets; *a; a++) {
		for (const struct sd_manner *m = (*a)->manners; m && m->name; m++) {
			fprintf(d->out, "%s  %-4s  %s: %s\n", before, m->name, (*a)->name, m->summary);
			before = "";
		}
	}
}

static void list_names(const struct sd_dispatch *d)
{
	for (const struct sd_applet *const *a = d->applets; *a; a++) {
		fprintf(d->out, "%s\n", (*a)->name);
		for (const struct sd_alias *alias = (*a)->aliases; alias && alias->name; alias++)
			fprintf(d->out, "%s\n", alias->name);
	}
}

static bool add_verbs(cJSON *map, const struct sd_applet *applet)
{
	cJSON *list = cJSON_AddArrayToObject(map, "verbs");
	bool good = list;

	for (const struct sd_verb *v = applet->verbs; good && v && v->name; v++) {
		cJSON *verb = v->hidden ? NULL : cJSON_CreateObject();
		if (v->hidden)
			continue;
		good = cJSON_AddItemToArray(list, verb) && cJSON_AddStringToObject(verb, "name", v->name) &&
		       cJSON_AddStringToObject(verb, "usage", v->usage ? v->usage : "") &&
		       cJSON_AddStringToObject(verb, "summary", v->summary ? v->summary : "");
	}
	return good;
}

static bool add_aliases(cJSON *map, const struct sd_applet *applet)
{
	cJSON *list = cJSON_AddArrayToObject(map, "aliases");
	bool good = list;

	for (const struct sd_alias *a = applet->aliases; good && a && a->name; a++)
		good = cJSON_AddItemToArray(list, cJSON_CreateString(a->name));
	return good;
}

static bool add_manners(cJSON *map, const struct sd_applet *applet)
{
	cJSON *list = cJSON_AddArrayToObject(map, "manners");
	bool good = list;

	for (const struct sd_manner *m = applet->manners; good && m && m->name; m++)
		good = cJSON_AddItemToArray(list, cJSON_CreateString(m->name));
	return good;
}

static bool add_applet(cJSON *list, const struct sd_applet *applet)
{
	cJSON *map = cJSON_CreateObject();

	return cJSON_AddItemToArray(list, map) && cJSON_AddStringToObject(map, "name", applet->name) &&
	       cJSON_AddStringToObject(map, "summary", applet->summary) &&
	       cJSON_AddBoolToObject(map, "service", applet->service != NULL) && add_aliases(map, applet) &&
	       add_manners(map, applet) && add_verbs(map, applet);
}

static int list_json(const struct sd_dispatch *d)
{
	cJSON *list = cJSON_CreateArray();
	bool good = list;

	for (const struct sd_applet *const *a = d->applets; good && *a; a++)
		good = add_applet(list, *a);
	char *text = good ? cJSON_Print(list) : NULL;
	cJSON_Delete(list);
	if (!text)
		return sd_dispatch_fail(d, "sdlab list", SD_EXIT_FAILURE, "out of memory");
	fprintf(d->out, "%s\n", text);
	free(text);
	return 0;
}

int sd_dispatch_list(struct sd_dispatch *d, int argc, const char *const *argv)
{
	if (argc == 0) {
		sd_list_table(d);
		sd_list_manners(d);
	} else if (argc == 1 && strcmp(argv[0], "--names") == 0) {
		list_names(d);
	} else if (argc == 1 && strcmp(argv[0], "--json") == 0) {
		return list_json(d);
	} else {
		return sd_dispatch_fail(d, "sdlab list", SD_EXIT_USAGE,
					"expected --names, --json or nothing, found \"%s\"",
					argv[argc > 1 ? 1 : 0]);
	}
	return 0;
}
