/* mq_conn_int.h - what the files of a connection share; for applets/mq/amqp only. */
#ifndef MQ_CONN_INT_H
#define MQ_CONN_INT_H

#include "mq_conn.h"

#define MQ_ROOM	 (256 * 1024)	   /* above this no more is delivered to a connection */
#define MQ_STUCK (16 * 1024 * 1024) /* above this nothing more is read from it: it does not read what it asked for */

enum mq_expect { MQ_EXPECT_METHOD, MQ_EXPECT_HEADER, MQ_EXPECT_BODY };

/* A channel. */
struct mq_session {
	struct mq_channel ch;
	struct mq_conn *conn;
	uint16_t number;
	bool closing; /* close was sent: all but close and close-ok is passed over */
	bool crossed; /* ... and the client's close came meanwhile, and was answered */
	/* mq_content.c: a publication that is coming */
	enum mq_expect expect;
	struct sd_text held; /* exchange, key, properties; the body when it comes in pieces */
	uint8_t exchange_n, key_n;
	bool mandatory, immediate;
	uint32_t properties_n;
	uint64_t size; /* of the body, as its header says */
};

typedef bool mq_method_fn(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e);
typedef const struct sd_amqp_arg mq_args[SD_AMQP_ARGS];

/* mq_conn.c: writing, and ends */
void mq_conn_put(struct mq_conn *c, unsigned channel, uint32_t id, const struct sd_amqp_arg *args);
void mq_conn_woken(struct mq_conn *c);
/* An error of the connection: close is sent, all channels end. method 0: it was none. */
void mq_conn_fail(struct mq_conn *c, const struct mq_error *e, uint32_t method);
/* The connection ends without a word more. */
void mq_conn_drop(struct mq_conn *c, const char *why);
void mq_conn_say(struct mq_conn *c, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* mq_login.c: channel 0 until the connection runs. False: an error, e says which */
bool mq_login_step(struct mq_conn *c, uint32_t id, const struct sd_amqp_arg *a, struct mq_error *e);
void mq_login_start(struct mq_conn *c);

/* mq_session.c: a frame of a channel; its end */
bool mq_session_frame(struct mq_conn *c, const struct sd_amqp_frame *f, struct mq_error *e, uint32_t *method);
void mq_session_free(struct mq_session *s);
bool mq_session_decode(const struct sd_amqp_frame *f, uint32_t *id, struct sd_amqp_arg *a, struct mq_error *e);
extern const struct mq_channel_ops mq_session_ops;
static inline struct mq_session *mq_session_of(struct mq_channel *ch)
{
	return sd_container(ch, struct mq_session, ch);
}
/* A message behind the method that announces it. False: its body cannot be had. */
bool mq_session_send(struct mq_session *s, uint32_t id, const struct sd_amqp_arg *args, const struct mq_message *m);
static inline void mq_reply(struct mq_session *s, uint32_t id, const struct sd_amqp_arg *args)
{
	mq_conn_put(s->conn, s->number, id, args);
}

/* mq_content.c */
bool mq_content_begin(struct mq_session *s, const struct sd_amqp_arg *a, struct mq_error *e);
bool mq_content_frame(struct mq_session *s, const struct sd_amqp_frame *f, struct mq_error *e);

/* mq_methods.c: which functions they have. NULL: it is not a client's. */
mq_method_fn *mq_method_of(uint32_t id);
/* mq_declare.c, mq_basic.c */
/* An empty name is that of the queue declared last. */
bool mq_expand_queue(const struct mq_session *s, struct sd_slice *queue, struct mq_error *e);
mq_method_fn mq_do_exchange_declare, mq_do_exchange_delete, mq_do_exchange_bind, mq_do_exchange_unbind;
mq_method_fn mq_do_queue_declare, mq_do_queue_bind, mq_do_queue_unbind, mq_do_queue_purge, mq_do_queue_delete;
mq_method_fn mq_do_qos, mq_do_consume, mq_do_cancel, mq_do_get, mq_do_ack, mq_do_nack, mq_do_reject, mq_do_recover, mq_do_recover_async;
mq_method_fn mq_do_confirm, mq_do_tx_select, mq_do_tx_commit, mq_do_tx_rollback, mq_do_flow;

/* mq_access.c: 403 unless the user of the channel may */
bool mq_may_queue(struct mq_session *s, enum mq_right right, struct sd_slice name, struct mq_error *e);
bool mq_may_exchange(struct mq_session *s, enum mq_right right, struct sd_slice name, struct mq_error *e);

/* mq_octets.c: "<<0,60>>", or "<<"text">>" when printable is set and it is. Always fits into out, cut. */
char *mq_octets(struct sd_slice bytes, bool printable, char *out, size_t n);

#endif
