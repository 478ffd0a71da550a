/* mq.h - the engine of the broker: exchanges, queues, messages, consumers. Pure: requests and time come in; deliveries, confirms
 * and records for the log go out.
 *
 *	            amqp/ (channels as bytes), http/                          store/ (the log)
 *	publish --> mq_publish --> route --> entries in queues --journal.publish--> record n
 *	deliver <-- mq_turn: queues with messages and consumers with room        mq_stored(n)
 *	confirm <-----------------------------------------------------------------------'
 *	ack     --> mq_ack --> entry ends --journal.settle--> record
 *
 * A message is one publication, shared by the queues it went to; an entry is its place in one of them.
 *
 *	            publish                    deliver                      ack
 *	(delayed) ----------> READY ----------------------> UNACKED -----------------> gone
 *	    due                ^  |  ttl, max-length           |  nack, reject, channel ends, visibility timeout:
 *	                       |  '--> dead-lettered           |     failures + 1
 *	                       '---- requeued, in its place ---+---> more than delivery-limit: dead-lettered
 *	                             (after its back-off)      '---> requeue false: dead-lettered
 *
 * What is promised. A persistent message in a durable queue is confirmed when its record is on the disk, everything else
 * when it is in its queues. Order in a queue is that of arrival; what comes back takes its old place and is delivered with
 * `redelivered`. A message leaves its queue when it was acknowledged, expired, or is in the queue it was dead-lettered to
 * (and there on the disk, if it was here): at least once, never less.
 *
 * A queue of type stream (mq_stream.h) keeps its messages: many consumers read the same ones, each from where it wants, or groups of
 * consumers share them; what is acknowledged stays. A message leaves a stream from its front, by age and size.
 *
 * One broker belongs to one thread. Names in answers and errors are RabbitMQ's, and so are the texts.
 */
#ifndef MQ_H
#define MQ_H

#include "core/amqp.h"
#include "core/dict.h"
#include "core/list.h"
#include "core/wheel.h"
#include "mq_index.h"

#define MQ_NAME_MAX	  255
#define MQ_RETRY_LIMIT	  3 /* failed deliveries before a message goes to NAME.dlq */
#define MQ_PRIORITY_MAX	  255
#define MQ_NO_LIMIT	  (-1)
#define MQ_PARTITIONS_MAX 1024
#define MQ_EXCHANGE_DELAY "x-delayed-message" /* an exchange type; any exchange obeys x-delay */

/* ---- what goes wrong ---- */

/* An AMQP reply code and text: "NOT_FOUND - no queue 'x' in vhost '/'". code 0: nothing is wrong. */
struct mq_error {
	uint16_t code;
	char text[SD_AMQP_SHORT_MAX + 1];
};
/* Sets both, with the code's name in front of the text; false, for `return mq_fail(...)`. */
bool mq_fail(struct mq_error *e, unsigned code, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* ---- messages ---- */

struct mq_message {
	uint32_t refs; /* entries, channels, the log while it writes */
	uint32_t body_n;
	uint64_t record;	/* of the log: where its body can be read again; 0: it is in memory only */
	uint64_t at;		/* the store's own; 0 in a new one */
	int64_t published_ms;	/* wall */
	int64_t expiration_ms;	/* its own; MQ_NO_LIMIT: none */
	int64_t not_before_ms;	/* wall: x-delay, x-deliver-at; 0: none */
	struct mq_message *colder; /* of mq.cold */
	bool persistent;
	bool by_wall; /* not_before_ms is a time that somebody named, not a delay */
	bool cooling; /* its body leaves memory when it is on the disk */
	bool counted; /* its body is in mq.body_memory */
	uint8_t priority;
	uint8_t exchange_n, key_n;
	uint32_t properties_n;
	char *body;		/* NULL: on the disk (mq_body brings it back), or body_n is 0 */
	char bytes[];		/* exchange, routing key, properties as on the wire */
};
static inline struct sd_slice mq_message_exchange(const struct mq_message *m)
{
	return (struct sd_slice){m->bytes, m->exchange_n};
}
static inline struct sd_slice mq_message_key(const struct mq_message *m)
{
	return (struct sd_slice){m->bytes + m->exchange_n, m->key_n};
}
static inline struct sd_slice mq_message_properties(const struct mq_message *m)
{
	return (struct sd_slice){m->bytes + m->exchange_n + m->key_n, m->properties_n};
}

enum mq_where { MQ_READY, MQ_UNACKED, MQ_DELAYED, MQ_LEAVING };
struct mq_entry {
	union {
		struct sd_link link; /* READY: of its priority in the queue; UNACKED, DELAYED: of the queue */
		struct {
			struct mq_entry *next, *prev; /* READY and came back: in the queue's heap */
		};
	};
	struct sd_wheel_entry due; /* expires, is due, or is to come back */
	struct mq_message *message;
	struct mq_queue *queue;
	union {
		struct mq_consumer *consumer; /* UNACKED: who has it; NULL: basic.get, or the consumer is gone */
		struct mq_entry *child;	      /* in the heap */
		uint64_t partition;	      /* in a stream */
	};
	struct mq_channel *channel; /* UNACKED */
	uint64_t seq;		    /* its name in the log together with the queue's id */
	uint64_t order;		    /* its place in the queue, once it was ready */
	uint64_t tag;		    /* UNACKED: delivery tag on the channel; in a stream: its place in the partition */
	int64_t expires_ms;	    /* wall; INT64_MAX: never */
	int64_t not_before_ms;	    /* wall: a delay or a back-off ends then; 0: there is none. Set before publish and failed are journalled */
	uint16_t failures;	    /* deliveries that came back */
	uint8_t where;		    /* enum mq_where */
	bool redelivered, durable;  /* durable: the log has it */
	bool came_back;		    /* READY: in the heap */
	bool limited;		    /* UNACKED: global_prefetch counts it */
	bool settling;		    /* UNACKED: a transaction will settle it */
	bool shadow;		    /* UNACKED: a delivery of what stays in its stream: struct mq_shadow */
};

/* ---- the log ---- */

enum mq_define { MQ_DEFINE_VHOST, MQ_DEFINE_EXCHANGE, MQ_DEFINE_QUEUE, MQ_DEFINE_BINDING, MQ_DEFINE_USER, MQ_DEFINE_STREAM };

/* What must stay. Each call returns at once with the number of a record, which grows; mq_stored tells when it is on the disk. 0:
 * the log takes no more (mq_journal_failed was or will be called). NULL hooks: nothing stays. */
struct mq_journal {
	void *arg;
	/* A message into n queues; entries[i]->queue and ->seq. Sets m->record and m->at. moved_from (may be NULL): the entry that it
	 * replaces elsewhere, which ends with the same record: dead-lettering loses nothing between the two. */
	uint64_t (*publish)(void *arg, struct mq_message *m, struct mq_entry *const *entries, size_t n, const struct mq_entry *moved_from);
	/* Done with in this queue. */
	uint64_t (*settle)(void *arg, const struct mq_queue *q, uint64_t seq);
	/* It came back once more: failures, not_before_ms. */
	uint64_t (*failed)(void *arg, const struct mq_entry *e);
	/* All of it is gone. */
	uint64_t (*purged)(void *arg, const struct mq_queue *q, uint64_t upto_seq);
	/* A durable thing is there, or gone. text: mq_define_put's. */
	uint64_t (*define)(void *arg, enum mq_define what, bool gone, struct sd_slice text);
	/* A durable entry is about to be freed, whatever ended it (acknowledged, moved, purged, its queue deleted): behind the record that
	 * says so, and nothing is written for it. The store keeps pointers to entries until then. Not called by mq_free. */
	void (*ended)(void *arg, struct mq_entry *e);
	/* Brings the body of a message back: sets m->body. False: it cannot be read (counted, and said). */
	bool (*fetch)(void *arg, struct mq_message *m);
};

/* ---- what there is ---- */

struct mq_vhost {
	struct sd_dict_entry e;
	struct mq *mq;
	struct sd_dict exchanges, queues;
	uint64_t messages; /* ready and unacked */
	bool going;	   /* being deleted */
	char name[];
};

struct mq_exchange_type; /* mq_exchange.c: direct, fanout, topic, headers, x-delayed-message */
struct mq_exchange {
	struct sd_dict_entry e;
	struct mq_vhost *vhost;
	const struct mq_exchange_type *type;
	bool durable, auto_delete, internal, predeclared;
	struct sd_slice arguments; /* as declared; its own memory */
	char *alternate;	   /* alternate-exchange; NULL: none */
	struct sd_link bindings;   /* struct mq_binding.of_source */
	struct sd_dict all;	   /* the same by key and destination */
	struct sd_link arriving;   /* bindings whose destination it is */
	void *routes;		   /* the type's own index of bindings */
	uint64_t mark;		   /* the last routing that came by */
	struct mq_exchange *going; /* the next one that ends with it */
	uint64_t published_in, published_out;
	char name[]; /* and a 0 */
};
struct mq_binding {
	struct sd_dict_entry e; /* of mq_exchange.all */
	struct sd_link of_source, of_destination;
	struct sd_link of_route; /* the type's own */
	struct mq_exchange *source;
	struct mq_exchange *to_exchange; /* one of the two */
	struct mq_queue *to_queue;
	struct sd_slice arguments;
	uint8_t key_n;
	char key[]; /* key_n bytes; behind them the name of the destination: by both it is found */
};

enum mq_overflow { MQ_DROP_HEAD, MQ_REJECT_PUBLISH, MQ_REJECT_PUBLISH_DLX };

/* A queue's arguments, read once. MQ_NO_LIMIT: none was given. */
struct mq_limits {
	int64_t ttl_ms, expires_ms;	    /* x-message-ttl, x-expires */
	int64_t max_length, max_bytes;	    /* x-max-length, x-max-length-bytes */
	enum mq_overflow overflow;	    /* x-overflow */
	int max_priority;		    /* x-max-priority */
	int64_t delivery_limit;		    /* x-delivery-limit, or the broker's retry limit */
	int64_t visibility_ms;		    /* x-visibility-timeout, x-consumer-timeout: an unacked message comes back */
	int64_t retry_min_ms, retry_max_ms; /* x-delayed-retry-min, -max: back-off of what failed, doubling, with full jitter */
	bool single_active;		    /* x-single-active-consumer */
	bool stream;			    /* x-queue-type: stream */
	bool no_dlq;			    /* x-dead-letter-exchange was given: the queue's own, not NAME.dlq */
	int64_t max_age_ms;		    /* x-max-age, of a stream */
	int64_t segment_bytes;		    /* x-stream-max-segment-size-bytes: for others to see, the log has segments of its own */
	int64_t cluster_size;		    /* x-initial-cluster-size: of one */
	int64_t partitions;		    /* x-stream-partitions: 1 to MQ_PARTITIONS_MAX */
};

/* What happened to messages, and how often a second lately. */
struct mq_rate_counts {
	uint64_t publish, deliver, ack;
};
struct mq_rates {
	float publish, deliver, ack;
};

struct mq_queue {
	struct sd_dict_entry e;
	struct mq_vhost *vhost;
	uint64_t id; /* its name in the log, never used again */
	bool durable, exclusive, auto_delete, going;
	const void *owner; /* exclusive: the connection */
	struct sd_slice arguments;
	struct mq_limits limits;
	char *dead_exchange, *dead_key; /* x-dead-letter-exchange, -routing-key; NULL: none */
	struct sd_link *ready;		/* one list for each priority, 0 to max_priority: what was never out */
	unsigned npriorities;
	uint64_t filled[4];		/* a bit for each list that has something */
	struct mq_entry *back;		/* a heap: what came back to its place */
	struct sd_link unacked, delayed;
	size_t nready, nunacked, ndelayed;
	uint64_t ready_bytes, bytes; /* of bodies */
	uint64_t next_seq, next_order;
	uint64_t mark;		      /* the last routing that came by */
	struct sd_link consumers;     /* by priority, then by age */
	struct sd_link able;	      /* those with room, by priority, then by whose turn it is */
	size_t nconsumers;
	bool had_consumers;	      /* auto-delete waits for the first */
	struct sd_link bindings;      /* struct mq_binding.of_destination */
	struct sd_link busy;	      /* of mq: something may be delivered */
	struct sd_wheel_entry unused; /* x-expires, or x-max-age of a stream's first message: of mq.queue_wheel */
	bool pressed;		      /* mq.pressed said so */
	struct sd_link of_pressed, of_exclusive;
	struct sd_link trim;	      /* of mq.trim: it may hold too much */
	int64_t idle_since_ms;
	struct { uint64_t published, delivered, delivered_no_ack, got, got_no_ack, acked, redelivered, returned, expired, dead,
			dropped, rejected; } count;
	struct mq_rate_counts sampled; /* http/: when rates were taken the last time */
	struct mq_rates rates;
	struct mq_stream *stream; /* NULL: no stream; else what it has instead of the lists above */
	char name[];
};

/* ---- who uses it ---- */

struct mq_consumer {
	struct sd_dict_entry e; /* of mq_channel.by_tag */
	struct sd_link of_queue, of_channel;
	struct sd_link of_able; /* next NULL: not there */
	struct mq_queue *queue; /* NULL: direct reply-to */
	struct mq_channel *channel;
	bool no_ack, exclusive, active; /* active: of those of a single-active-consumer queue it is the one */
	int32_t priority;		/* x-priority */
	uint32_t prefetch, unacked;	/* 0: no limit */
	struct sd_slice arguments;
	uint64_t delivered;
	struct mq_reader *reader; /* of a stream: where it is */
	uint8_t tag_n;
	char tag[];
};

/* What a channel gives the engine; all but room are called from mq_turn and from within calls of the same channel. */
struct mq_channel_ops {
	/* Writes basic.deliver. The entry is as it is now: after the call a no_ack one is gone. */
	void (*deliver)(struct mq_channel *ch, struct mq_consumer *c, const struct mq_entry *e);
	/* Publications up to seq (multiple) or this one are safe, or were refused. */
	void (*confirm)(struct mq_channel *ch, uint64_t seq, bool multiple, bool refused);
	/* A mandatory one that went nowhere, before its confirm. 312 NO_ROUTE; 313 NO_CONSUMERS. */
	void (*returned)(struct mq_channel *ch, unsigned code, const char *text, const struct mq_message *m);
	/* The queue is gone, or another consumer took over: the consumer is too, after the call. */
	void (*cancelled)(struct mq_channel *ch, const struct mq_consumer *c);
	/* An answer to a direct reply-to: basic.deliver to that consumer tag. */
	void (*replied)(struct mq_channel *ch, struct sd_slice tag, const struct mq_message *m);
	/* Is there room for more in what waits to be sent? It says so again with mq_channel_ready. */
	bool (*room)(struct mq_channel *ch);
	/* A commit is on the disk: tx.commit-ok. */
	void (*committed)(struct mq_channel *ch);
	/* It will never be: the log failed. The channel is to be closed with 541. NULL: nobody asks. */
	void (*commit_failed)(struct mq_channel *ch);
};

struct mq_confirm { /* a publication that waits for the disk */
	uint64_t seq, record;
};
struct mq_channel {
	struct mq_vhost *vhost;
	const struct mq_channel_ops *ops;
	const void *connection;	   /* for exclusive queues; only compared */
	struct sd_slice user;	   /* name of its user: user-id must be it */
	struct sd_link consumers;
	struct sd_dict by_tag;	   /* consumers by their tag */
	struct mq_index unacked;   /* entries by delivery tag */
	size_t nunacked, nlimited; /* nlimited: those that global_prefetch counts */
	uint64_t next_tag;	   /* from 1 */
	uint32_t prefetch, global_prefetch; /* of new consumers; of all together */
	bool confirming, transaction;
	uint64_t published;	   /* in confirm mode: the last one's number */
	uint64_t safe, nsafe;	   /* up to this one they are, and the turn's end will say so; 0: nothing to say */
	struct mq_confirm *confirms; /* a ring of confirm_room, a power of two */
	uint32_t confirm_first, confirm_n, confirm_room;
	struct sd_link waiting;	   /* of mq: something of it waits for the disk */
	struct sd_link saying;	   /* of mq: `safe` is to be said */
	struct sd_link tx;	   /* publications and acknowledgements until commit */
	uint64_t commit;	   /* a commit waits for this record; 0: none does */
	bool committing;
	bool pressed;		   /* the last publication went to a queue that is pressed: whoever sent it is to be slowed */
	char *last_queue;	   /* what an empty queue name means; NULL: none yet */
	char *reply_tag;	   /* it consumes amq.rabbitmq.reply-to */
	uint64_t reply_id;
};

/* ---- the broker ---- */

struct mq_conf {
	int64_t retry_limit;	   /* MQ_RETRY_LIMIT; MQ_NO_LIMIT: none, as RabbitMQ's classic queues */
	int64_t visibility_ms;	   /* MQ_NO_LIMIT: none */
	size_t memory;		   /* bodies kept in memory; beyond it those of durable messages are on the disk alone */
	size_t high_water;	   /* memory at which queues push back, the largest first; 0: none */
	uint32_t message_max;	   /* largest body: 128 MiB */
	size_t queues_max;
};
struct mq_conf mq_conf_default(void);

struct mq {
	struct mq_conf conf;
	struct mq_journal journal;
	struct sd_siphash_key hash_key;
	struct sd_rng rng;
	struct sd_dict vhosts;
	int64_t now_ms, wall_ms;
	struct sd_wheel wheel, queue_wheel; /* entries; queues that nobody uses */
	struct sd_link busy;	  /* queues with something to deliver */
	struct sd_link waiting;	  /* channels that wait for the disk */
	struct sd_link saying;	  /* channels with confirms for the end of the turn */
	struct sd_link pressed_queues, exclusive_queues;
	struct sd_link trim;	  /* queues that may hold too much */
	struct sd_link retain;	  /* streams that do */
	struct sd_link moved;	  /* groups that the log is to hear of */
	struct sd_link unstored;  /* streams whose last messages are not on the disk */
	bool trimming;
	bool quiet;		  /* nothing is journalled: before mq_restore_end */
	uint64_t logged;	  /* the last record that the log was given */
	struct mq_index queues_by_id, replies;
	struct mq_index_pool pool;
	struct mq_route *route;	  /* room for where a message goes: mq_route.c */
	struct mq_message *cold, **cold_end;
	uint64_t next_reply_id, mark;
	uint64_t next_queue_id;
	uint64_t stored;	  /* the log's last word */
	bool failed;		  /* the log takes no more: persistent publications are refused */
	bool out_of_memory;	  /* while it was restored */
	size_t body_memory, entries, messages;
	struct { uint64_t published, confirmed, refused, unroutable, returned, delivered, acked, redelivered, expired, dead, fetched,
			fetch_failed; } count;
	/* "Message xyz789 exceeded retry limit (3), moved to orders.dlq": a line for people. NULL: nobody listens. */
	void (*say)(void *arg, const char *event, const char *text);
	/* A queue's fill passed its mark, or is below it again: those who publish to it are to be slowed, or not any more. */
	void (*pressed)(void *arg, struct mq_queue *q, bool on);
	/* Users are no matter of the engine, but stand in its log: one was restored; a dump is to put all. NULL: there are none. */
	void (*user)(void *arg, bool gone, struct sd_slice text);
	void (*users)(void *arg, const struct mq_journal *to);
	void *arg;
};

/* NULL: out of memory. The vhost "/" with its predeclared exchanges is there. Nothing is journalled before mq_restore_end was called. */
struct mq *mq_new(const struct mq_conf *conf, const struct mq_journal *journal, uint64_t seed, int64_t now_ms, int64_t wall_ms);
void mq_free(struct mq *b);
/* Time goes on: things end, come back, are due. At the beginning of each turn. */
void mq_time(struct mq *b, int64_t now_ms, int64_t wall_ms);
/* When mq_time has something to do; INT64_MAX: nothing. */
int64_t mq_next(const struct mq *b);
/* The end of a turn: deliveries, and confirms of what needs no disk. True: there is more to do at once. */
bool mq_turn(struct mq *b);
/* Records up to n are on the disk. Confirms follow. */
void mq_stored(struct mq *b, uint64_t record);
/* Nothing more will be: what waits for the disk is refused, and so is what comes. */
void mq_journal_failed(struct mq *b);
/* The body; false: it cannot be had. It may go again with the next turn. */
bool mq_body(struct mq *b, struct mq_message *m, struct sd_slice *out);

/* ---- making and ending things: mq_define.c. False: e says why ---- */

struct mq_vhost *mq_vhost_find(struct mq *b, struct sd_slice name);
struct mq_vhost *mq_vhost_add(struct mq *b, struct sd_slice name, struct mq_error *e);
bool mq_vhost_remove(struct mq *b, struct sd_slice name, struct mq_error *e);

struct mq_exchange *mq_exchange_find(struct mq_vhost *v, struct sd_slice name);
struct mq_queue *mq_queue_find(struct mq_vhost *v, struct sd_slice name);

/* "direct", "topic" ... as it was declared. */
const char *mq_exchange_type_name(const struct mq_exchange *x);
struct mq_exchange_decl {
	struct sd_slice name, type, arguments;
	bool passive, durable, auto_delete, internal;
};
bool mq_exchange_declare(struct mq_vhost *v, const struct mq_exchange_decl *d, struct mq_error *e);
bool mq_exchange_delete(struct mq_vhost *v, struct sd_slice name, bool if_unused, struct mq_error *e);
bool mq_exchange_bind(struct mq_vhost *v, struct sd_slice destination, struct sd_slice source, struct sd_slice key,
		      struct sd_slice arguments, struct mq_error *e);
bool mq_exchange_unbind(struct mq_vhost *v, struct sd_slice destination, struct sd_slice source, struct sd_slice key,
			struct sd_slice arguments, struct mq_error *e);

struct mq_queue_decl {
	struct sd_slice name, arguments; /* name empty: amq.gen-... */
	bool passive, durable, exclusive, auto_delete;
	const void *connection; /* who asks */
};
bool mq_queue_declare(struct mq_vhost *v, const struct mq_queue_decl *d, struct mq_queue **out, struct mq_error *e);
bool mq_queue_bind(struct mq_vhost *v, const void *connection, struct sd_slice queue, struct sd_slice exchange, struct sd_slice key,
		   struct sd_slice arguments, struct mq_error *e);
bool mq_queue_unbind(struct mq_vhost *v, const void *connection, struct sd_slice queue, struct sd_slice exchange, struct sd_slice key,
		     struct sd_slice arguments, struct mq_error *e);
bool mq_queue_purge(struct mq_vhost *v, const void *connection, struct sd_slice queue, uint64_t *purged, struct mq_error *e);
bool mq_queue_delete(struct mq_vhost *v, const void *connection, struct sd_slice queue, bool if_unused, bool if_empty,
		     uint64_t *deleted, struct mq_error *e);
/* A connection ended: its exclusive queues go. */
void mq_connection_end(struct mq *b, const void *connection);

/* ---- channels ---- */

void mq_channel_begin(struct mq_channel *ch, struct mq_vhost *v, const struct mq_channel_ops *ops, const void *connection,
		      struct sd_slice user);
/* What it had unacknowledged comes back, its consumers go. */
void mq_channel_end(struct mq_channel *ch);
/* There is room again. */
void mq_channel_ready(struct mq_channel *ch);
/* What an empty queue name means: the queue declared last. False: there is none, 404. mq_consume and mq_get do it themselves. */
bool mq_channel_queue(const struct mq_channel *ch, struct sd_slice *name, struct mq_error *e);
/* Remembers it. False: out of memory. */
bool mq_channel_declared(struct mq_channel *ch, struct sd_slice name);

struct mq_publication {
	struct sd_slice exchange, key, properties, body; /* properties as on the wire, and right */
	bool mandatory, immediate;
};
/* False: e says why, and the channel is to be closed. */
bool mq_publish(struct mq_channel *ch, const struct mq_publication *p, struct mq_error *e);
/* tag empty: one is made, and is in (*out)->tag. */
bool mq_consume(struct mq_channel *ch, struct sd_slice queue, struct sd_slice tag, bool no_local, bool no_ack, bool exclusive,
		struct sd_slice arguments, struct mq_consumer **out, struct mq_error *e);
/* True also when there is none of this tag. */
bool mq_cancel(struct mq_channel *ch, struct sd_slice tag);
/* *out NULL: the queue is empty. *left: how many are behind it. A no_ack entry is good until the next call of anything: its message
 * is held in *out. */
bool mq_get(struct mq_channel *ch, struct sd_slice queue, bool no_ack, struct mq_entry **out, uint64_t *left, struct mq_error *e);
void mq_got(struct mq_channel *ch, struct mq_entry *e); /* after a no_ack get, when it was sent */
/* tag 0 with multiple: all. MQ_RETURN: it goes back to its place, and that is no failure (somebody only looked at it). */
enum mq_settle { MQ_ACK, MQ_REQUEUE, MQ_DISCARD, MQ_RETURN };
bool mq_settle(struct mq_channel *ch, uint64_t tag, bool multiple, enum mq_settle how, struct mq_error *e);
/* Is the message of this tag still with the channel? What took too long has gone back; settling it then is right and does nothing. */
bool mq_holds(const struct mq_channel *ch, uint64_t tag);
/* All of the channel come back. */
void mq_recover(struct mq_channel *ch);
/* Gives an unacknowledged message so much time from now, also where the queue sets none. */
bool mq_extend(struct mq_channel *ch, uint64_t tag, int64_t ms, struct mq_error *e);
bool mq_qos(struct mq_channel *ch, uint32_t size, uint32_t count, bool global, struct mq_error *e);
bool mq_confirm_select(struct mq_channel *ch, struct mq_error *e);
bool mq_tx_select(struct mq_channel *ch, struct mq_error *e);
/* ops->committed follows, at once or when the disk has it. */
bool mq_tx_commit(struct mq_channel *ch, struct mq_error *e);
bool mq_tx_rollback(struct mq_channel *ch, struct mq_error *e);

/* Dead letters of a queue go back to where they died: `sdlab mq dlq replay orders`. How many. */
bool mq_replay(struct mq_vhost *v, struct sd_slice queue, uint64_t max, uint64_t *moved, struct mq_error *e);

/* ---- streams: groups. Declared as a queue, published to as a queue; mq_consume with x-stream-offset reads one, and with x-stream-group
 * as a member of a group ---- */

struct mq_share_state { /* of one partition */
	unsigned partition;
	uint64_t offset, end; /* of the first message that the group is not done with; behind the last one of the stream */
	uint64_t lag, out;    /* messages that it is not done with; those of them that are out for delivery */
	const struct mq_consumer *consumer; /* NULL: nobody's, or it is on its way to another */
};
struct mq_group_state {
	const char *name;
	uint64_t lag;
	size_t members;
};
/* Each group, by name, and each partition of it; NULL: nobody asks for those. */
void mq_groups(const struct mq_queue *q, void (*group)(void *arg, const struct mq_group_state *g),
	       void (*share)(void *arg, const struct mq_share_state *s), void *arg);
/* Every partition of the group goes on at this offset: first, last, next, a number, a time or an interval, as x-stream-offset has it. The
 * group is made when it is not there. What is out for delivery comes to nothing when it is acknowledged. */
bool mq_group_reset(struct mq_vhost *v, struct sd_slice queue, struct sd_slice group, const struct sd_amqp_field *offset,
		    struct mq_error *e);
/* Forgets where it was; not while it has members. */
bool mq_group_delete(struct mq_vhost *v, struct sd_slice queue, struct sd_slice group, struct mq_error *e);
/* The properties of what is delivered from a stream, with headers x-stream-offset and, where there are several, x-stream-partition.
 * False: out of memory. */
bool mq_stream_properties(const struct mq_entry *e, struct sd_text *out);
unsigned mq_stream_partitions(const struct mq_queue *q);
/* Offsets of the first message, and behind the last. */
void mq_stream_range(const struct mq_queue *q, uint64_t *first, uint64_t *end);

/* ---- coming back: what the store calls while it opens its log; nothing is journalled ---- */

/* One that define was given, in the order in which they were; some may be given twice, or name what is not there (any more). False: it
 * could not be done. */
bool mq_restore_define(struct mq *b, enum mq_define what, bool gone, struct sd_slice text);
/* A place of a message that is not settled. */
struct mq_place {
	uint64_t queue, seq;
	int64_t not_before_ms;
	uint16_t failures;
	bool redelivered; /* it may have been delivered before */
};
/* Behind all definitions, and for each queue in the order of seq. Takes a reference of m, which has record set and usually no body
 * (fetch brings it). The entry is durable. NULL: its queue is gone, or there is no memory (b->out_of_memory). */
struct mq_entry *mq_restore_entry(struct mq *b, struct mq_message *m, const struct mq_place *at);
/* The end: times begin to run, limits hold; journalling begins. Durable queues and messages there are. */
void mq_restore_end(struct mq *b, uint64_t *queues, uint64_t *messages);
/* Every durable thing (no messages), in an order in which they can be restored: define of `to` is called. */
void mq_dump(struct mq *b, const struct mq_journal *to);
/* Likewise a piece at a time: about n definitions, and once the exchanges. False: that was all. What is made, changed and ended in
 * between is journalled as always, behind what it follows. */
struct mq_dump { /* all zeros at first */
	bool begun;
	uint64_t next, end; /* ids of queues */
};
bool mq_dump_some(struct mq *b, struct mq_dump *at, size_t n, const struct mq_journal *to);
/* The log is there again after mq_journal_failed: persistent publications are taken. Records up to this one are on the disk. */
void mq_journal_again(struct mq *b, uint64_t stored);

struct mq_message *mq_message_new(struct sd_slice exchange, struct sd_slice key, struct sd_slice properties, struct sd_slice body);
static inline struct mq_message *mq_message_hold(struct mq_message *m)
{
	m->refs++;
	return m;
}
void mq_message_drop(struct mq *b, struct mq_message *m);

/* Definitions as bytes (mq_define_text.c); what the log and the HTTP side's export and import share. */
void mq_define_put(struct sd_text *t, enum mq_define what, const void *thing);

#endif
