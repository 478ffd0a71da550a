/* sh_limit.h - how many links somebody may make in a time. On the control loop. */
#ifndef SH_LIMIT_H
#define SH_LIMIT_H

#include "shortener.h"

struct sh_limit;

/* All its options. SD_EUSAGE. */
enum sd_err sh_limit_check(const struct sd_conf *conf, struct sd_error *e);
enum sd_err sh_limit_open(struct sh *sh, const struct sd_conf *conf, struct sh_limit **out, struct sd_error *e);
/* No store decides any more; who waits for it is answered, by this server. NULL is fine. */
void sh_limit_stop(struct sh_limit *l);
void sh_limit_close(struct sh_limit *l); /* NULL is fine */
/* Another --create-limit; on a failure the old one stays. What was counted counts on. */
enum sd_err sh_limit_set(struct sh_limit *l, const struct sd_conf *conf, struct sd_error *e);
/* wait_s 0: it may, and one was taken; else when to come again. fn is called once, perhaps before this returns. key.n 0: who it
 * is is told by the address. */
void sh_limit_ask(struct sh_limit *l, struct sd_slice key, const struct sd_peer *from, void (*fn)(void *arg, int64_t wait_s), void *arg);
/* False: its store does not decide, and *why says why, "" when it was not reached yet. */
bool sh_limit_ready(const struct sh_limit *l, const char **why);
void sh_limit_metrics(const struct sh_limit *l, struct sd_metrics *m, const char *label);

#endif
