/* cache_cli.h - the verbs: a client of this cache, or of another that speaks the protocol of Redis (app/resp_cli.h).
 *
 *	cache_cli.c      commands as they are typed, one or many
 *	cache_stats.c    INFO as figures: stats, top, hotkeys
 *	cache_monitor.c  what others ask, as it happens
 */
#ifndef CACHE_CLI_H
#define CACHE_CLI_H

#include "app/resp_cli.h"

#define CACHE_SERVER_OPTIONS SD_RESP_CLI_OPTIONS("SDLAB_CACHE_URL", "7001")

extern const struct sd_resp_cli_kind cache_cli_kind;

/* ---- cache_stats.c, cache_monitor.c ---- */
int cache_run_stats(struct sd_verb_call *call);
int cache_run_top(struct sd_verb_call *call);
int cache_run_hotkeys(struct sd_verb_call *call);
int cache_run_monitor(struct sd_verb_call *call);

extern const struct sd_verb cache_verbs[];

#endif
