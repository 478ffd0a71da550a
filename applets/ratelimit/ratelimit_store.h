/* ratelimit_store.h - limits that several servers share, in a server of RESP (app/limit_store.h); each worker has a link of its own. Without
 * it --store-down decides.
 */
#ifndef RATELIMIT_STORE_H
#define RATELIMIT_STORE_H

#include "app/limit_store.h"
#include "ratelimit_ask.h"

enum sd_err rl_store_check(const struct sd_conf *conf, struct sd_error *e);
enum sd_err rl_store_open(struct rl_worker *w, const struct sd_conf *conf, struct sd_error *e);
void rl_store_close(struct rl_worker *w); /* who still waits is told as if it were down */
void rl_store_send(struct rl_asked *a);

#endif
