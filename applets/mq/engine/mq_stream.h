/* mq_stream.h - queues that keep their messages: streams. What the files of the engine share of them.
 *
 *	mq_stream.c        its life: messages come in at the end and leave at the front
 *	mq_stream_args.c   arguments of declarations and of consumers
 *	mq_stream_read.c   consumers: who reads what, deliveries and their ends
 *	mq_stream_group.c  groups: sharing partitions, offsets and their records
 *
 *	            begin                                                         end
 *	all           | e0 e1 e2 e3 e4 e5 e6 e7 e8 e9 ...  . . . . . .  | e998 e999 |      a consumer alone reads here
 *	partition 0   | e0       e3    e5          e9                         e999        a group has a share of each partition:
 *	partition 1   |    e1 e2    e4    e6 e7 e8                       e998                 done | window | not looked at
 *
 * An offset is the number that a message has in its stream, from 0, whatever its partition; it is never used again. A partition
 * is the messages whose keys have the same hash, in the order in which they came. Nobody gets a message before the disk has it: after a
 * crash an offset means the message that it meant.
 *
 * A share belongs to one consumer of its group. `window` is what was given out since the first message that is not done with:
 *
 *	OUT --ack, discard--> DONE      the window begins behind those that are done at its front, and that is the offset which the log
 *	 ^ '--comes back--> BACK         has of the group: a message that is not done with is always behind it
 *	 '-------------------'
 *
 * It goes to another consumer when nothing of it is OUT: messages with one key are never at two consumers at a time.
 */
#ifndef MQ_STREAM_H
#define MQ_STREAM_H

#include "mq_int.h"

#define MQ_WINDOW_MAX  65536	   /* of a share: who acknowledges all but the first message waits for that */
#define MQ_STREAM_WARM (8u << 20) /* bytes of a stream's last bodies that are in memory: for those who read its end */

struct mq_line { /* entries by their place, which grows: begin <= place < end */
	struct mq_entry **ring; /* of `room`, a power of two */
	size_t room;
	uint64_t begin, end;
};
static inline struct mq_entry *mq_line_at(const struct mq_line *l, uint64_t place)
{
	return l->ring[place & (l->room - 1)];
}

struct mq_stream {
	struct mq_queue *q;
	unsigned n;	       /* partitions */
	struct mq_line all;
	struct mq_line *parts; /* n of them; NULL: one, which is all */
	char *by;	       /* the header that is the key; NULL: the routing key is */
	struct sd_dict groups;
	struct sd_link idle;	 /* readers who have seen all */
	struct sd_link retain;	 /* of mq */
	struct sd_link unstored; /* of mq */
	uint64_t warm, warm_bytes; /* from this place on bodies are in memory */
	uint64_t kept;		   /* what has a lower seq is gone */
	bool unclean;		   /* the broker died: what was there may have been delivered */
};

enum mq_shadow_state { MQ_OUT, MQ_BACK, MQ_DONE };
struct mq_share;
struct mq_shadow { /* a delivery */
	struct mq_entry e;     /* UNACKED while it is OUT; seq is that of the message */
	struct sd_link window; /* of the share */
	struct mq_share *share; /* NULL: a consumer alone has it, or the group was sent elsewhere meanwhile */
	enum mq_shadow_state state;
	bool grouped;
};
static inline struct mq_shadow *mq_shadow_of(const struct mq_entry *e)
{
	return sd_container(e, struct mq_shadow, e);
}

struct mq_group;
struct mq_share { /* what a group has of a partition */
	struct mq_group *group;
	struct sd_link of_owner; /* struct mq_reader.shares */
	struct mq_reader *owner, *wanted; /* wanted: whose it is to be */
	uint64_t next;		 /* place in the partition of what was never out */
	uint64_t at;		 /* as the log has it: seq of the first message that is not done with */
	uint64_t seen, logged;	 /* up to this seq messages were out once; as the log has it */
	struct sd_link window;	 /* struct mq_shadow.window, by seq */
	size_t nwindow, nout, nback;
};

struct mq_group {
	struct sd_dict_entry e;
	struct mq_stream *stream;
	struct sd_link members; /* struct mq_reader.of_group */
	struct sd_link moved;	/* of mq */
	size_t nmembers;
	struct mq_share *shares; /* one for each partition */
	char name[];
};

struct mq_reader { /* a consumer of a stream */
	struct mq_consumer *consumer;
	struct sd_link idle;
	uint64_t next; /* place in all of what is next; alone */
	struct mq_group *group; /* NULL: alone */
	struct sd_link of_group, shares;
	size_t nwanted; /* shares that are to be its */
};

/* ---- mq_stream.c ---- */

static inline struct mq_line *mq_stream_line(struct mq_stream *s, unsigned partition)
{
	return s->parts ? &s->parts[partition] : &s->all;
}
/* False: no memory. */
bool mq_stream_begin(struct mq_queue *q);
void mq_stream_end(struct mq_queue *q); /* before what is out is dropped */
/* Finds its partition, and room; false: no memory. */
bool mq_stream_reserve(struct mq_entry *e);
void mq_stream_append(struct mq_entry *e);
/* Its first message may be too old. */
void mq_stream_aged(struct mq_queue *q);
/* Everything was restored. */
void mq_stream_restored(struct mq_queue *q);
bool mq_stream_restore(struct mq *b, bool gone, struct sd_slice t);
void mq_stream_dump(struct mq_queue *q, const struct mq_journal *to);
/* The end of a turn: what is too much goes, and the log hears of groups. */
void mq_streams_turn(struct mq *b);
/* The disk has more. */
void mq_streams_stored(struct mq *b);
/* The place of the first message with this seq or behind it. */
uint64_t mq_line_from(const struct mq_line *l, uint64_t seq);
void mq_define_stream(struct mq_stream *s);

/* ---- mq_stream_args.c ---- */

/* "7D" in ms; 0: it is none. */
int64_t mq_age_ms(struct sd_slice text);
/* The first argument that queues of this type have not, as an error. */
bool mq_queue_args_check(const struct mq_vhost *v, const struct mq_queue_decl *d, bool stream, struct mq_error *e);
bool mq_stream_check(const struct mq_vhost *v, const struct mq_queue_decl *d, struct mq_error *e);
bool mq_consume_check(const struct mq_queue *q, const struct mq_channel *ch, bool no_ack, struct sd_slice arguments, struct mq_error *e);
/* The seq at which somebody begins who asks for this offset; f NULL: next. False: it is no offset. */
bool mq_stream_seek(const struct mq_stream *s, const struct sd_amqp_field *f, uint64_t *seq);
bool mq_bad_offset(const struct mq_queue *q, const struct sd_amqp_field *f, struct mq_error *e);

/* ---- mq_stream_read.c ---- */

bool mq_stream_consume(struct mq_consumer *c, struct mq_error *e);
void mq_stream_leave(struct mq_consumer *c);
bool mq_stream_deliver(struct mq_queue *q);
void mq_stream_settle(struct mq_entry *e, enum mq_settle how);
/* Who reads alone has nowhere to put a message back to: 540, as RabbitMQ. True for all that is in no stream. */
bool mq_stream_may_settle(const struct mq_entry *e, enum mq_settle how, struct mq_error *error);
/* "basic.get not supported by stream queues ..." */
bool mq_stream_cannot(const struct mq_queue *q, const char *what, struct mq_error *e);
/* Those who have seen all look again. */
void mq_stream_wake(struct mq_stream *s);
/* Has the disk got it? */
bool mq_stream_visible(const struct mq_entry *e);

/* ---- mq_stream_group.c ---- */

struct mq_group *mq_group_find(struct mq_stream *s, struct sd_slice name);
struct mq_group *mq_group_make(struct mq_stream *s, struct sd_slice name, uint64_t seq);
void mq_group_free(struct mq_group *g);
void mq_group_join(struct mq_group *g, struct mq_reader *r);
void mq_group_part(struct mq_reader *r);
/* Something was done with: the log is to know. */
void mq_group_moved(struct mq_group *g);
void mq_group_log(struct mq_group *g);
void mq_groups_log(struct mq *b);
/* Nothing of it is out: is it to be another's? */
void mq_share_settled(struct mq_share *s);
/* The seq of the first message that it is not done with. */
uint64_t mq_share_at(const struct mq_share *s);
void mq_share_seek(struct mq_share *s, uint64_t seq);
void mq_group_restored(struct mq_group *g);
bool mq_group_restore(struct mq_stream *s, bool gone, struct sd_slice t);
void mq_group_dump(struct mq_group *g, const struct mq_journal *to);

#endif
