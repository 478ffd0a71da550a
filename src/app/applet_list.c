/* Apart from applet.c, so that only who asks for the built applets needs them linked. */
#include "dispatch_int.h"

const struct sd_applet *sd_applet_find(const char *name, const struct sd_alias **alias)
{
	return sd_applet_find_in(sd_applets, name, alias);
}
