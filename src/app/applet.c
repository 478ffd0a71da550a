#include "applet.h"

#include <string.h>

#include "dispatch_int.h"

const struct sd_applet *sd_applet_find_in(const struct sd_applet *const *applets, const char *name,
					  const struct sd_alias **alias)
{
	if (alias)
		*alias = NULL;
	for (const struct sd_applet *const *a = applets; *a; a++)
		if (strcmp((*a)->name, name) == 0)
			return *a;
	for (const struct sd_applet *const *a = applets; *a; a++) {
		for (const struct sd_alias *other = (*a)->aliases; other && other->name; other++) {
			if (strcmp(other->name, name) != 0)
				continue;
			if (alias)
				*alias = other;
			return *a;
		}
	}
	return NULL;
}

const struct sd_manner *sd_manner_find_in(const struct sd_applet *const *applets, const char *name,
					  const struct sd_applet **applet)
{
	for (const struct sd_applet *const *a = applets; *a; a++) {
		for (const struct sd_manner *m = (*a)->manners; m && m->name; m++) {
			if (strcmp(m->name, name) != 0)
				continue;
			if (applet)
				*applet = *a;
			return m;
		}
	}
	return NULL;
}

const struct sd_verb *sd_verb_find(const struct sd_applet *applet, const char *name, bool any_case)
{
	for (const struct sd_verb *v = applet->verbs; v && v->name; v++)
		if (strcmp(v->name, name) == 0 || (any_case && strcasecmp(v->name, name) == 0))
			return v;
	return NULL;
}
