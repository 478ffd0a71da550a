/* mq_cli.h - the verbs: a client of this broker, or of another that speaks AMQP 0-9-1.
 *
 *	mq_cli.c      which broker, and what all verbs need
 *	mq_verbs.c    the table of verbs with their options
 *	mq_publish.c  publish
 *	mq_consume.c  consume, tail
 *	mq_keys.c     what a person types at consume
 *	mq_define.c   declare, bind, unbind, purge, delete
 *	mq_list.c     list, and asking the management API
 *	mq_groups.c   groups; what consumers and declarations say of streams
 *	mq_dlq.c      dlq list, dlq replay
 *	mq_bench.c    bench
 *	mq_work.c     work
 *	mq_show.c     messages as JSON
 */
#ifndef MQ_CLI_H
#define MQ_CLI_H

#include "app/applet.h"
#include "app/secret.h"
#include "core/amqp_url.h"
#include "net/amqp_client.h"

#define MQ_ID 6 /* characters of a message id that we make */

/* A broker as the options name it. */
struct mq_cli {
	struct sd_verb_call *call;
	struct sd_amqp_target target;
	struct sd_amqp_client *conn;
	struct sd_tls_client *tls;
	char host[SD_TLS_NAME], user[SD_AMQP_SECRET], password[SD_SECRET_MAX + 1], vhost[SD_AMQP_SHORT_MAX + 1];
	char shown[SD_ADDR_TEXT]; /* "127.0.0.1:5672" */
};

/* Which broker; connects too. heartbeat_s 0: while a person thinks nobody may send any. Otherwise says why not and returns the exit
 * status, 1 or 2; 0: all is well. */
int mq_cli_begin(struct mq_cli *cli, struct sd_verb_call *call, unsigned heartbeat_s);
void mq_cli_end(struct mq_cli *cli);
#define MQ_HEARTBEAT_S 60
/* One line for what went wrong; returns 1. */
int mq_cli_fail(const struct mq_cli *cli, const char *format, ...) __attribute__((format(printf, 2, 3)));
int mq_cli_usage(const struct mq_cli *cli, const char *text); /* returns 2 */

/* Asks, and tells what went wrong. NULL then. */
const struct sd_amqp_arg *mq_cli_ask(struct mq_cli *cli, uint32_t id, const struct sd_amqp_arg *args, uint32_t want);
/* Is there a queue of this name? SD_OK: with so many messages and consumers (either may be NULL); SD_ENOTFOUND. */
enum sd_err mq_cli_look(struct mq_cli *cli, const char *queue, uint64_t *messages, uint64_t *consumers, struct sd_error *e);
/* One that is not there is made, durable. 0, or 1 after it was told why not. */
int mq_cli_need_queue(struct mq_cli *cli, const char *queue);
int mq_cli_confirm_mode(struct mq_cli *cli);
/* Publishes one and waits until the broker answers for it: the channel is in confirm mode, with nothing on its way. */
enum sd_err mq_cli_publish_one(struct mq_cli *cli, struct sd_slice exchange, struct sd_slice key, struct sd_slice raw,
			       struct sd_slice body, struct sd_error *e);
/* Acknowledges, or gives back or refuses, and knows that the broker did it. */
enum mq_answer { MQ_ANSWER_ACK, MQ_ANSWER_REQUEUE, MQ_ANSWER_DISCARD };
void mq_cli_answer(struct mq_cli *cli, uint64_t tag, bool multiple, enum mq_answer how);
enum sd_err mq_cli_settled(struct mq_cli *cli, struct sd_error *e);
/* NAME=VALUE into a table: whole numbers and true, false as such, all else as a string. False: it is not of this form. */
bool mq_cli_put_pair(struct sd_text *table, const char *pair);
/* Those of an option that is a list of them. 0, or 2 after it was told which is wrong. */
int mq_cli_put_pairs(const struct mq_cli *cli, const char *option, struct sd_text *table);
/* Six characters of a to z and 0 to 9. */
void mq_cli_make_id(struct sd_world *w, char id[MQ_ID + 1]);
/* Its message-id, or the delivery tag as text. */
struct sd_slice mq_cli_name_of(const struct sd_amqp_event *m, char room[24]);

/* ---- mq_show.c ---- */
void mq_show_string(struct sd_text *t, struct sd_slice s); /* as JSON; what is no UTF-8 loses what is not */
/* One line, without its end: all that is known about a message. queue "": not told. */
void mq_show_json(struct sd_text *t, const char *queue, const struct sd_amqp_event *m);
/* The body and a line's end. On a terminal control bytes are shown as \x1b. */
void mq_show_body(FILE *out, struct sd_slice body, bool screen);

/* ---- mq_keys.c ---- */
struct mq_keys {
	char line[256];
	size_t n, at;
	bool ended;
};
/* What a person chose, of these letters; the last of them when input ended. Asks until it is one. */
char mq_keys_ask(struct mq_keys *k, struct mq_cli *cli, const char *letters);

/* ---- mq_list.c ---- */

/* A name as a part of a path. */
void mq_cli_put_escaped(struct sd_text *t, const char *name);
/* The answer of the management API, for free; NULL: it was told why not. due: the status that is right. */
char *mq_cli_fetch(struct mq_cli *cli, const char *method, const char *path, const char *sent, int due);

/* ---- mq_groups.c ---- */

/* --type, --partitions ...; --group, --offset: as arguments. 0, or 1 or 2 after it was told why not. */
int mq_cli_put_declaration(const struct mq_cli *cli, struct sd_text *table);
int mq_cli_put_reading(const struct mq_cli *cli, struct sd_text *table);

int mq_run_groups(struct sd_verb_call *call);
int mq_run_publish(struct sd_verb_call *call);
int mq_run_consume(struct sd_verb_call *call);
int mq_run_tail(struct sd_verb_call *call);
int mq_run_declare(struct sd_verb_call *call);
int mq_run_bind(struct sd_verb_call *call);
int mq_run_unbind(struct sd_verb_call *call);
int mq_run_purge(struct sd_verb_call *call);
int mq_run_delete(struct sd_verb_call *call);
int mq_run_list(struct sd_verb_call *call);
int mq_run_dlq(struct sd_verb_call *call);
int mq_run_bench(struct sd_verb_call *call);
int mq_run_work(struct sd_verb_call *call);

#endif
