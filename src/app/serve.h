/* serve.h - one service as a process: signals, and waiting until it is over. */
#ifndef SD_APP_SERVE_H
#define SD_APP_SERVE_H

#include "dispatch.h"
#include "world/loop.h"

/* Runs it until SIGTERM or SIGINT, which drain; a second one ends at once. SIGHUP reloads. The exit status. */
int sd_serve(struct sd_dispatch *d, const struct sd_applet *applet, const struct sd_conf *conf,
	     struct sd_conf_loader *load);

/* Signals of a process that stops in an orderly way: SIGTERM and SIGINT call stop(arg, again), SIGHUP reload(arg). */
struct sd_stop_signals {
	void (*stop)(void *arg, bool again);
	void (*reload)(void *arg);
	void *arg;
	unsigned asked;
	struct sd_signal *signals[3];
};
bool sd_stop_signals_set(struct sd_stop_signals *s, struct sd_loop *control);
void sd_stop_signals_free(struct sd_stop_signals *s);

#endif
