/* conf_changes.h - what a reload changed, in words. */
#ifndef SD_APP_CONF_CHANGES_H
#define SD_APP_CONF_CHANGES_H

#include "conf.h"

/* "algorithm round-robin -> least-connections; added web-3; removed web-1; weight of web-2 1 -> 3; needs a restart: port";
 * "" when nothing differs. Rows of a table are known by their name, else by their first value. No longer than about 900
 * bytes: what does not fit is counted ("and 7 more"). The caller frees it; NULL: out of memory. */
char *sd_conf_changes(const struct sd_conf *before, const struct sd_conf *after);

#endif
