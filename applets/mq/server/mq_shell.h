/* mq_shell.h - the broker as a service: what its files share; for applets/mq/server only.
 *
 *	bytes --> mq_conn_input --+                    +--> mq_conn.out --> stream
 *	timers --> mq_time -------+--> engine, store --+--> one sync for all of the turn
 *
 * A turn is what one callback of the loop brought, and what follows: deliveries, confirms, the log, then what connections have to send.
 */
#ifndef MQ_SHELL_H
#define MQ_SHELL_H

#include "../amqp/mq_conn.h"
#include "app/run_stream.h"
#include "mq_metrics.h"

struct mq_keep;
struct mq_web;

struct mq_shell {
	struct sd_run *run;
	struct sd_loop *loop;
	struct sd_worker *w;
	struct mq *mq;
	struct mq_users *users;
	struct mq_keep *keep; /* what stays, and where; NULL: nothing does */
	struct mq_web *web;   /* NULL: it has no HTTP side */
	struct mq_hub hub;
	struct sd_run_streams streams;
	struct sd_task turn, again;
	struct sd_timer tick;
	int64_t tick_at_ms;
	struct sd_link dirty;  /* struct mq_client.of_dirty */
	struct sd_text spare;  /* whoever answers borrows it, so that idle connections own no buffer */
	struct mq_metrics metrics;
	bool draining;
};

struct mq_client {
	struct mq_conn conn;
	struct mq_shell *shell;
	struct sd_stream *stream;
	struct sd_link of_dirty;
};

/* mq_clients.c */
void mq_clients_begin(struct mq_shell *s);
void mq_clients_accepted(void *arg, struct sd_io *io, bool secure, struct sd_client_pass pass);
/* Does it come from this machine? */
bool mq_clients_is_local(const struct sd_peer *p);
/* Sends what connections have to say, ends those that are over. */
void mq_clients_flush(struct mq_shell *s);
/* Says to all that the broker goes; or not a word more. */
void mq_clients_end(struct mq_shell *s, bool at_once);

/* mq_shell.c: a turn is due at the end of this callback; time goes on */
void mq_shell_turn(struct mq_shell *s);
void mq_shell_time(struct mq_shell *s);
static inline int64_t mq_shell_now_ms(const struct mq_shell *s)
{
	return sd_loop_now_ns(s->loop) / 1000000;
}

/* mq_setup.c */
extern const struct sd_option mq_user_options[];
enum sd_err mq_setup_users(struct mq_shell *s, struct sd_error *e);
enum sd_err mq_setup_vhosts(struct mq_shell *s, struct sd_error *e);
void mq_setup_conf(const struct sd_conf *conf, struct mq_conf *out);
void mq_setup_hub(const struct sd_conf *conf, struct mq_hub *hub);

#endif
