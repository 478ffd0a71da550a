/* mq_int.h - what the files of the engine need of each other. */
#ifndef MQ_INT_H
#define MQ_INT_H

#include <stdlib.h>

#include "mq.h"

#define MQ_REPLY_QUEUE "amq.rabbitmq.reply-to"
#define MQ_EXTEND_KEY  "amq.sdlab.extend"
#define MQ_DLQ_SUFFIX  ".dlq"
#define MQ_DELAY_MAX   ((int64_t)1 << 47) /* ms: beyond any calendar, and within what the wheel can tell */
#define MQ_NEVER       INT64_MAX

static inline struct sd_slice mq_name(const struct sd_dict_entry *e, const char *name)
{
	return (struct sd_slice){name, e->klen};
}
#define MQ_NAME(thing) mq_name(&(thing)->e, (thing)->name)
/* For "%.*s". */
#define MQ_ARG(slice) (int)(slice).n, (slice).p

static inline bool mq_same(struct sd_slice a, struct sd_slice b)
{
	return a.n == b.n && (a.n == 0 || memcmp(a.p, b.p, a.n) == 0);
}
/* For the dictionaries: a name without a byte stands somewhere, too. */
static inline struct sd_slice mq_key(struct sd_slice name)
{
	return name.n ? name : (struct sd_slice){"", 0};
}
/* As a string of C, for free; NULL: out of memory. */
static inline char *mq_copy_name(struct sd_slice name)
{
	char *copy = malloc(name.n + 1);
	if (copy && name.n)
		memcpy(copy, name.p, name.n);
	if (copy)
		copy[name.n] = '\0';
	return copy;
}
/* A copy for free; true also for an empty one. */
bool mq_slice_copy(struct sd_slice from, struct sd_slice *to);
void mq_say(struct mq *b, const char *event, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- mq_log.c: what the journal is told, and the records it gives ---- */

/* 0: it takes nothing. Also while nothing is journalled: then `wanted` is false. */
bool mq_log_wanted(const struct mq *b);
uint64_t mq_log_publish(struct mq *b, struct mq_message *m, struct mq_entry *const *entries, size_t n, const struct mq_entry *from);
void mq_log_settle(struct mq *b, const struct mq_entry *e);
void mq_log_failed(struct mq *b, const struct mq_entry *e);
void mq_log_purged(struct mq *b, const struct mq_queue *q, uint64_t upto_seq);
void mq_log_ended(struct mq *b, struct mq_entry *e);
void mq_log_define(struct mq *b, enum mq_define what, bool gone, const void *thing);
void mq_log_define_text(struct mq *b, enum mq_define what, bool gone, struct sd_slice text);

/* ---- mq_message.c ---- */

struct mq_message *mq_message_make(struct sd_slice exchange, struct sd_slice key, struct sd_slice raw, struct sd_slice body,
				   const struct sd_amqp_properties *p);
/* A message again, with other names and properties: the body is copied. NULL: no memory, or the body cannot be read. */
struct mq_message *mq_message_again(struct mq *b, struct mq_message *m, struct sd_slice exchange, struct sd_slice key,
				    struct sd_slice raw);
/* expiration as RabbitMQ reads it. False: why[] says what is wrong with it. */
bool mq_expiration(struct sd_slice text, int64_t *ms, char *why, size_t room);
/* Times that properties name; needs published_ms. */
void mq_message_times(struct mq_message *m, const struct sd_amqp_properties *p);
/* Its body is there, or is brought; false: it cannot be had. */
bool mq_body_load(struct mq *b, struct mq_message *m);
void mq_body_count(struct mq *b, struct mq_message *m);
/* It was used: beyond the budget it goes again. */
void mq_body_used(struct mq *b, struct mq_message *m);
/* Journalled just now: beyond the budget its body goes when it is on the disk. */
void mq_body_cool(struct mq *b, struct mq_message *m);
void mq_body_stored(struct mq *b);
/* It leaves memory whatever the budget, if the disk has it. */
void mq_body_leave(struct mq *b, struct mq_message *m);
void mq_body_uncool(struct mq *b);

/* ---- mq_entry.c: places of messages ---- */

/* Not in the queue yet. NULL: no memory. */
struct mq_entry *mq_entry_new(struct mq_queue *q, struct mq_message *m);
/* Into the queue: ready, or delayed. */
void mq_entry_place(struct mq_entry *e);
/* Likewise for one that the log had. */
void mq_entry_restore(struct mq_entry *e);
/* Out of the lists it is in; LEAVING then. */
void mq_entry_out(struct mq_entry *e);
/* The end of one that is LEAVING; nothing is journalled. */
void mq_entry_free(struct mq_entry *e);
/* Out, settled in the log, freed. */
void mq_entry_settle(struct mq_entry *e);
/* One that is LEAVING, to its old place; at once, or when its not_before_ms comes. */
void mq_entry_back(struct mq_entry *e);
/* READY (or, a shadow, LEAVING) to UNACKED of this channel; consumer may be NULL. False: no memory, and it is as it was. */
bool mq_entry_take(struct mq_entry *e, struct mq_channel *ch, struct mq_consumer *c);
/* It counts in its queue, or (-1) no more. */
void mq_entry_count(struct mq_entry *e, int n);
/* What stands in place of a tag whose message came back by itself, or is gone with its queue: to settle it is no error, and does
 * nothing. */
extern const char mq_timed_out[1];
#define MQ_TIMED_OUT ((void *)(uintptr_t)mq_timed_out)
/* An unacknowledged one of a channel came back: failed, delayed, too often? */
void mq_entry_returned(struct mq_entry *e);
/* Its time has come. */
void mq_entry_due(struct mq_entry *e);
/* When a time by the wall is, by the other clock. */
int64_t mq_wall_due(const struct mq *b, int64_t wall_ms);
/* Somebody turned the wall's clock. */
void mq_entries_rewind(struct mq *b);

/* ---- mq_ready.c: the order of what is ready ---- */

void mq_ready_add(struct mq_entry *e);	/* for the first time: behind all of its priority */
void mq_ready_back(struct mq_entry *e); /* to its place by order */
void mq_ready_remove(struct mq_entry *e);
struct mq_entry *mq_ready_head(const struct mq_queue *q);

/* ---- mq_define.c ---- */

void mq_vhost_end(struct mq_vhost *v, bool journal);
/* A queue of this name, which is not there; whatever its name. */
bool mq_queue_make(struct mq_vhost *v, const struct mq_queue_decl *d, struct mq_queue **out, struct mq_error *e);

/* ---- mq_queue.c ---- */

static inline bool mq_queue_stays(const struct mq_queue *q)
{
	return q->durable && !q->exclusive;
}
struct mq_queue *mq_queue_new(struct mq_vhost *v, const struct mq_queue_decl *d, const struct mq_limits *limits, uint64_t id,
			      struct mq_error *e);
/* It ends: consumers are cancelled, messages and bindings go. journal: the log hears of it. */
void mq_queue_end(struct mq_queue *q, bool journal);
size_t mq_queue_clear(struct mq_queue *q);
/* It has something, or somebody who can take something. */
void mq_queue_touch(struct mq_queue *q);
/* Somebody used it: x-expires begins again. */
void mq_queue_used(struct mq_queue *q);
void mq_queue_release(struct mq_queue *q); /* its last consumer left: auto-delete */
bool mq_queue_locked(const struct mq_queue *q, struct mq_error *e);
bool mq_queue_access(const struct mq_queue *q, const void *connection, struct mq_error *e);
bool mq_no_queue(const struct mq_vhost *v, struct sd_slice name, struct mq_error *e);
bool mq_no_exchange(const struct mq_vhost *v, struct sd_slice name, struct mq_error *e);
bool mq_no_memory(struct mq_error *e);

/* ---- mq_deliver.c ---- */

void mq_count_delivery(struct mq_queue *q, struct mq_consumer *c, const struct mq_entry *e);
/* Behind the others of its priority. */
void mq_consumer_turned(struct mq_queue *q, struct mq_consumer *c);

/* ---- mq_limits.c ---- */

bool mq_limits_read(const struct mq_vhost *v, const struct mq_queue_decl *d, struct mq_limits *out, struct mq_error *e);
extern const char *const mq_queue_arguments[]; /* those that a second declaration must have alike; NULL at the end */
/* Would another message be refused? */
bool mq_queue_full(const struct mq_queue *q, const struct mq_message *m);
/* Drops from its head what is too much; what that moves may be too much elsewhere: queue after queue, never one within another. */
void mq_queue_trim(struct mq_queue *q);
/* Later: with the next mq_queue_trim. */
void mq_queue_trim_later(struct mq_queue *q);
void mq_trim_all(struct mq *b);
void mq_press(struct mq *b, struct mq_queue *q);

/* ---- mq_equal.c: declarations against what there is ---- */

/* "longstr", as RabbitMQ calls the type of a field. */
const char *mq_kind_name(char kind);
bool mq_equal_bool(const char *arg, const char *kind, struct sd_slice name, struct sd_slice vhost, bool got, bool is, struct mq_error *e);
bool mq_equal_text(const char *arg, const char *kind, struct sd_slice name, struct sd_slice vhost, struct sd_slice got,
		   struct sd_slice is, struct mq_error *e);
bool mq_equal_arguments(const char *const *which, const char *kind, struct sd_slice name, struct sd_slice vhost,
			struct sd_slice got, struct sd_slice is, struct mq_error *e);

/* ---- exchanges ---- */

struct mq_routing {
	struct sd_slice key, headers;
};
struct mq_exchange_type {
	const char *name, *inner; /* inner: of x-delayed-message, the x-delayed-type */
	bool (*begin)(struct mq_exchange *x);
	void (*end)(struct mq_exchange *x);
	/* NULL: the arguments are fine; else what is wrong, in room[]. */
	const char *(*check)(struct sd_slice arguments, char *room, size_t n);
	bool (*bind)(struct mq_exchange *x, struct mq_binding *bi);
	void (*unbind)(struct mq_exchange *x, struct mq_binding *bi);
	void (*route)(struct mq_exchange *x, const struct mq_routing *m, struct mq_route *r);
};
/* NULL: there is none of this name. */
const struct mq_exchange_type *mq_exchange_type_find(struct sd_slice name, struct sd_slice arguments);
struct mq_exchange *mq_exchange_new(struct mq_vhost *v, const struct mq_exchange_decl *d, const struct mq_exchange_type *type);
void mq_exchange_end(struct mq_exchange *x, bool journal);
/* mq_topic.c */
bool mq_topic_begin(struct mq_exchange *x);
void mq_topic_end(struct mq_exchange *x);
bool mq_topic_bind(struct mq_exchange *x, struct mq_binding *bi);
void mq_topic_unbind(struct mq_exchange *x, struct mq_binding *bi);
void mq_topic_route(struct mq_exchange *x, const struct mq_routing *m, struct mq_route *r);
/* mq_headers.c */
const char *mq_headers_check(struct sd_slice arguments, char *room, size_t n);
void mq_headers_route(struct mq_exchange *x, const struct mq_routing *m, struct mq_route *r);

/* ---- mq_binding.c ---- */

bool mq_bind(struct mq_exchange *from, struct mq_queue *to_queue, struct mq_exchange *to_exchange, struct sd_slice key,
	     struct sd_slice arguments, bool journal, struct mq_error *e);
bool mq_is_bound(struct mq_exchange *from, struct mq_queue *to, struct sd_slice key, struct sd_slice arguments);
/* True also when there is none. */
bool mq_unbind(struct mq_exchange *from, struct mq_queue *to_queue, struct mq_exchange *to_exchange, struct sd_slice key,
	       struct sd_slice arguments, bool journal);
void mq_binding_free(struct mq_binding *bi);

/* ---- mq_route.c: where a message goes ---- */

struct mq_route {
	struct mq_queue **queues;
	struct mq_entry **entries; /* as much room as queues */
	size_t n, room;
	struct mq_exchange **todo;
	size_t ntodo, todo_room;
	uint64_t mark, pass; /* of queues seen in this routing; of exchanges with this key */
	size_t hits;
	bool full; /* out of memory on the way */
	bool rejected; /* a queue took it not: x-overflow */
	bool pressed;  /* one of them is */
	uint64_t record;
};
struct mq_route *mq_route_new(void);
void mq_route_free(struct mq_route *r);
void mq_route_begin(struct mq *b);
/* Adds the queues that a message with this key comes to by way of x. */
void mq_route_through(struct mq *b, struct mq_exchange *x, struct sd_slice key, struct sd_slice headers);
/* Likewise by the key and those that the headers CC and BCC name. */
void mq_route_message(struct mq *b, struct mq_exchange *x, struct sd_slice key, struct sd_slice headers);
/* For the types. */
void mq_route_to(struct mq_route *r, const struct mq_binding *bi);
void mq_route_queue(struct mq_route *r, struct mq_queue *q);

/* ---- mq_publish.c ---- */

/* Puts m into the queues of b->route; from: the entry that it replaces. Its record is in b->route->record, 0: nothing of it is
 * durable. False: no memory, or the log refuses, and nothing changed. Queues that hold too much now wait for mq_trim_all. */
bool mq_put(struct mq *b, struct mq_message *m, const struct mq_entry *from);
/* A publication that was checked: routed, put, returned, confirmed. */
bool mq_publish_now(struct mq_channel *ch, struct mq_exchange *x, struct mq_message *m, struct sd_slice headers, bool mandatory,
		    uint64_t seq, struct mq_error *e);

/* ---- mq_confirm.c ---- */

bool mq_confirm_reserve(struct mq_channel *ch);
void mq_confirm_add(struct mq_channel *ch, uint64_t seq, uint64_t record);
void mq_confirm_refuse(struct mq_channel *ch, uint64_t seq);
void mq_confirm_say(struct mq *b); /* the end of a turn */
void mq_confirm_stored(struct mq *b);
void mq_confirm_failed(struct mq *b);
void mq_confirm_commit(struct mq_channel *ch, uint64_t record);

/* ---- mq_consumer.c ---- */

void mq_consumer_wake(struct mq_consumer *c);
void mq_consumer_rest(struct mq_consumer *c);
void mq_channel_wake(struct mq_channel *ch);
bool mq_consumer_can(const struct mq_consumer *c);
/* In its channel, of no queue yet; a tag is made if there is none. */
struct mq_consumer *mq_consumer_new(struct mq_channel *ch, struct sd_slice tag, struct sd_slice arguments, struct mq_error *e);
/* Out of its queue and channel; told: the channel hears of it. */
void mq_consumer_end(struct mq_consumer *c, bool told);

/* ---- mq_dead.c ---- */

enum mq_reason { MQ_REJECTED, MQ_EXPIRED, MQ_MAXLEN, MQ_TOO_OFTEN };
/* One that is LEAVING: to where its queue's dead letters go, or nowhere; freed. False: it could not be done, and it is as it was. */
bool mq_dead_letter(struct mq_entry *e, enum mq_reason why);
/* x-death. Adds headers to out: those of m, changed. */
bool mq_death_properties(struct mq_entry *e, enum mq_reason why, struct sd_text *out);
/* Would this be a circle that no consumer broke? */
bool mq_death_cycle(struct sd_slice headers, const struct mq_queue *to);
/* Where it died last. */
bool mq_death_queue(struct sd_slice headers, struct sd_slice *queue);

/* ---- mq_reply.c: direct reply-to ---- */

bool mq_is_reply(struct sd_slice queue);
bool mq_reply_consume(struct mq_channel *ch, struct sd_slice tag, bool no_ack, struct mq_consumer **out, struct mq_error *e);
/* The properties with the channel's own address in reply-to. False: e. */
bool mq_reply_address(struct mq_channel *ch, struct sd_amqp_properties *p, struct sd_text *t, struct mq_error *e);
void mq_reply_end(struct mq_channel *ch);
/* To whom this key is; NULL: nobody. */
struct mq_channel *mq_reply_to(struct mq *b, struct sd_slice key);

/* ---- mq_tx.c ---- */

bool mq_tx_publish(struct mq_channel *ch, struct mq_message *m, bool mandatory, struct mq_error *e);
bool mq_tx_settle(struct mq_channel *ch, struct mq_entry *entry, enum mq_settle how, struct mq_error *e);
void mq_tx_drop(struct mq_channel *ch);
/* What an acknowledgement does at last. */
void mq_settle_entry(struct mq_entry *e, enum mq_settle how);

#endif
