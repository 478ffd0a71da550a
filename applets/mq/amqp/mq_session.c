/* mq_session.c - a channel: opened, used, closed, and what the engine has for it.
 *
 *	(none) --open--> OPEN --close--> close-ok --> (none)
 *	                  |
 *	                  '-- an error: close is sent --> closing --close-ok--> (none)
 *	                                                     | everything else is passed over; close is answered
 */
#include <stdlib.h>

#include "mq_conn_int.h"

/* ---- what the engine has for it ---- */

static bool send_with(struct mq_session *s, uint32_t id, const struct sd_amqp_arg *args, const struct mq_message *m,
		      struct sd_slice properties)
{
	struct mq_conn *c = s->conn;
	struct sd_slice body;
	if (!mq_body(c->hub->mq, (struct mq_message *)m, &body))
		return false;
	mq_conn_put(c, s->number, id, args);
	sd_amqp_put_header(&c->out, s->number, body.n, properties);
	sd_amqp_put_body(&c->out, s->number, body, c->frame_max);
	return true;
}

bool mq_session_send(struct mq_session *s, uint32_t id, const struct sd_amqp_arg *args, const struct mq_message *m)
{
	return send_with(s, id, args, m, mq_message_properties(m));
}

static bool deliver_of_stream(struct mq_session *s, const struct sd_amqp_arg *args, const struct mq_entry *n)
{
	struct sd_text properties = {0};
	bool sent = mq_stream_properties(n, &properties) &&
		    send_with(s, SD_AMQP_BASIC_DELIVER, args, n->message, (struct sd_slice){properties.p, properties.n});
	free(properties.p);
	return sent;
}

/* Called from within the engine: a connection whose message cannot be read ends later. */
static void deliver(struct mq_channel *ch, struct mq_consumer *c, const struct mq_entry *n)
{
	struct mq_session *s = mq_session_of(ch);
	mq_args args = {{.s = {c->tag, c->tag_n}}, {.n = n->tag}, {.n = n->redelivered}, {.s = mq_message_exchange(n->message)},
			{.s = mq_message_key(n->message)}};
	if (n->shadow ? deliver_of_stream(s, args, n) : mq_session_send(s, SD_AMQP_BASIC_DELIVER, args, n->message))
		return;
	s->conn->broken = true;
	mq_conn_woken(s->conn);
}

static void confirm(struct mq_channel *ch, uint64_t seq, bool multiple, bool refused)
{
	uint32_t id = refused ? SD_AMQP_BASIC_NACK : SD_AMQP_BASIC_ACK;
	mq_reply(mq_session_of(ch), id, (mq_args){{.n = seq}, {.n = multiple}, {.n = 0}});
}

static void returned(struct mq_channel *ch, unsigned code, const char *text, const struct mq_message *m)
{
	mq_args args = {{.n = code}, {.s = sd_slice_of(text)}, {.s = mq_message_exchange(m)}, {.s = mq_message_key(m)}};
	mq_session_send(mq_session_of(ch), SD_AMQP_BASIC_RETURN, args, m);
}

static void cancelled(struct mq_channel *ch, const struct mq_consumer *c)
{
	struct mq_session *s = mq_session_of(ch);
	if (s->conn->can_cancel)
		mq_reply(s, SD_AMQP_BASIC_CANCEL, (mq_args){{.s = {c->tag, c->tag_n}}, {.n = 1}});
}

static void replied(struct mq_channel *ch, struct sd_slice tag, const struct mq_message *m)
{
	mq_args args = {{.s = tag}, {.n = ch->next_tag++}, {.n = 0}, {.s = mq_message_exchange(m)}, {.s = mq_message_key(m)}};
	mq_session_send(mq_session_of(ch), SD_AMQP_BASIC_DELIVER, args, m);
}

static bool room(struct mq_channel *ch)
{
	struct mq_conn *c = mq_session_of(ch)->conn;
	bool room = c->out.n + c->unsent < MQ_ROOM;
	c->held |= !room;
	return room;
}

static void committed(struct mq_channel *ch)
{
	mq_reply(mq_session_of(ch), SD_AMQP_TX_COMMIT_OK, NULL);
}

/* From within the engine: the connection ends at the end of the turn. */
static void commit_failed(struct mq_channel *ch)
{
	struct mq_session *s = mq_session_of(ch);
	s->conn->broken = true;
	mq_conn_woken(s->conn);
}

const struct mq_channel_ops mq_session_ops = {
    .deliver = deliver,
    .confirm = confirm,
    .returned = returned,
    .cancelled = cancelled,
    .replied = replied,
    .room = room,
    .committed = committed,
    .commit_failed = commit_failed,
};

/* ---- opening and closing ---- */

static struct mq_session *find(const struct mq_conn *c, unsigned number)
{
	return number < c->room ? c->sessions[number] : NULL;
}

static bool make_room(struct mq_conn *c, unsigned number)
{
	size_t room = c->room ? c->room : 8;
	while (room <= number)
		room *= 2;
	if (room == c->room)
		return true;
	struct mq_session **grown = realloc(c->sessions, room * sizeof(*grown));
	if (!grown)
		return false;
	memset(grown + c->room, 0, (room - c->room) * sizeof(*grown));
	c->sessions = grown;
	c->room = room;
	return true;
}

/* As many at a time as was agreed on, whatever their numbers are. */
static bool open_session(struct mq_conn *c, unsigned number, struct mq_error *e)
{
	if (c->channel_max && c->nsessions >= c->channel_max)
		return mq_fail(e, 530, "number of channels opened (%zu) has reached the negotiated channel_max (%u)", c->nsessions,
			       c->channel_max);
	struct mq_session *s = make_room(c, number) ? calloc(1, sizeof(*s)) : NULL;
	if (!s)
		return mq_fail(e, 541, "out of memory");
	s->conn = c;
	s->number = (uint16_t)number;
	mq_channel_begin(&s->ch, c->vhost, &mq_session_ops, c, mq_user_name(c->user));
	c->sessions[number] = s;
	c->nsessions++;
	c->hub->nchannels++;
	c->hub->count.channels++;
	mq_reply(s, SD_AMQP_CHANNEL_OPEN_OK, (mq_args){{.n = 0}});
	return true;
}

/* What it had goes back; its number is taken until the client confirmed. */
static void end(struct mq_session *s)
{
	if (s->closing)
		return;
	s->closing = true;
	mq_channel_end(&s->ch);
	free(s->held.p);
	s->held = (struct sd_text){0};
}

void mq_session_free(struct mq_session *s)
{
	struct mq_conn *c = s->conn;
	end(s);
	c->sessions[s->number] = NULL;
	c->nsessions--;
	c->hub->nchannels--;
	free(s);
}

static void fail(struct mq_session *s, const struct mq_error *e, uint32_t method)
{
	mq_args args = {{.n = e->code}, {.s = sd_slice_of(e->text)}, {.n = method >> 16}, {.n = method & 0xffff}};
	s->conn->hub->count.errors++;
	end(s);
	mq_reply(s, SD_AMQP_CHANNEL_CLOSE, args);
}

/* ---- frames ---- */

/* Only a method that opens it is for a channel that is not there. */
static bool first_frame(struct mq_conn *c, unsigned number, uint32_t *method, struct mq_error *e)
{
	if (*method != SD_AMQP_CHANNEL_OPEN)
		return mq_fail(e, 504, "expected 'channel.open'");
	*method = 0; /* not the method, the number of channels is what may be wrong */
	return open_session(c, number, e);
}

/* Both sides closed it at once: it is gone but for a close-ok. */
static bool is_last_word(struct mq_session **s, uint32_t method)
{
	if (!*s || !(*s)->crossed)
		return false;
	mq_session_free(*s);
	*s = NULL;
	return method == SD_AMQP_CHANNEL_CLOSE_OK;
}

/* Opening, closing: what a channel may hear in any state. True: it was that. */
static bool take_close(struct mq_session *s, uint32_t id)
{
	bool asks = id == SD_AMQP_CHANNEL_CLOSE;
	if (!asks && !(s->closing && id == SD_AMQP_CHANNEL_CLOSE_OK))
		return false;
	struct mq_conn *c = s->conn;
	unsigned number = s->number;
	if (asks)
		mq_conn_put(c, number, SD_AMQP_CHANNEL_CLOSE_OK, NULL);
	s->crossed = asks && s->closing; /* its close-ok comes yet */
	if (!s->crossed)
		mq_session_free(s);
	return true;
}

static bool run(struct mq_session *s, uint32_t id, const struct sd_amqp_arg *a, struct mq_error *e)
{
	mq_method_fn *fn = mq_method_of(id);
	if (id == SD_AMQP_CHANNEL_OPEN)
		return mq_fail(e, 504, "second 'channel.open' seen");
	if (!fn)
		return mq_fail(e, 503, "unimplemented method");
	return fn(s, a, e);
}

bool mq_session_decode(const struct sd_amqp_frame *f, uint32_t *id, struct sd_amqp_arg *a, struct mq_error *e)
{
	const struct sd_amqp_method_info *info;
	char octets[200];
	switch (sd_amqp_get_method(f->payload, id, &info, a)) {
	case SD_AMQP_READ:
		return true;
	case SD_AMQP_UNKNOWN:
		return mq_fail(e, 503, "no method %u of class %u", *id & 0xffff, *id >> 16);
	default:
		if (f->payload.n < 4) /* not even which one */
			return mq_fail(e, 501, "type 1, all octets = %s: unknown_frame", mq_octets(f->payload, true, octets, sizeof(octets)));
		return mq_fail(e, 501, "cannot decode %s",
			       mq_octets((struct sd_slice){f->payload.p + 4, f->payload.n - 4}, false, octets, sizeof(octets)));
	}
}

/* One that ends the channel only is told to the channel. */
static bool settle_error(struct mq_session *s, const struct mq_error *e, uint32_t method)
{
	if (sd_amqp_code_is_hard(e->code))
		return false;
	fail(s, e, method);
	return true;
}

static bool content(struct mq_session *s, const struct sd_amqp_frame *f, struct mq_error *e, uint32_t *method)
{
	*method = SD_AMQP_BASIC_PUBLISH;
	return mq_content_frame(s, f, e) || settle_error(s, e, *method);
}

bool mq_session_frame(struct mq_conn *c, const struct sd_amqp_frame *f, struct mq_error *e, uint32_t *method)
{
	struct mq_session *s = find(c, f->channel);
	struct sd_amqp_arg a[SD_AMQP_ARGS];
	*method = 0;
	if (s && !s->closing && s->expect != MQ_EXPECT_METHOD)
		return content(s, f, e, method);
	if (f->type != SD_AMQP_METHOD)
		return (s && s->closing) || mq_fail(e, 505, "expected method frame, got non method frame instead");
	if (!mq_session_decode(f, method, a, e))
		return false;
	if (is_last_word(&s, *method))
		return true;
	if (!s)
		return first_frame(c, f->channel, method, e);
	if (take_close(s, *method) || s->closing)
		return true;
	return run(s, *method, a, e) || settle_error(s, e, *method);
}

void mq_conn_each_channel(const struct mq_conn *c, void (*fn)(void *arg, const struct mq_conn *c, unsigned number, const struct mq_channel *ch),
			  void *arg)
{
	for (size_t i = 0; i < c->room; i++)
		if (c->sessions[i] && !c->sessions[i]->closing)
			fn(arg, c, (unsigned)i, &c->sessions[i]->ch);
}
