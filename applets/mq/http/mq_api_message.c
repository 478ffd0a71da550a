/* mq_api_message.c - messages by HTTP: publish, get, ack. */
#include <stdlib.h>

#include "core/base64.h"
#include "mq_api_int.h"

#define HELD_MS 30000 /* a message that was got to be acknowledged by hand comes back after it, unless it was said otherwise */

/* ---- publish ---- */

struct mq_api_publish {
	struct sd_link link;
	struct mq_channel channel;
	struct mq_api_wait *wait; /* NULL: answered, or nobody is there any more */
	bool returned, done;
};

static struct mq_api_publish *publish_of(struct mq_channel *ch)
{
	return sd_container(ch, struct mq_api_publish, channel);
}

static void on_confirm(struct mq_channel *ch, uint64_t seq, bool multiple, bool refused)
{
	(void)seq;
	(void)multiple;
	struct mq_api_publish *p = publish_of(ch);
	struct mq_api_wait *w = p->wait;
	p->done = true;
	p->wait = NULL;
	if (!w)
		return;
	w->publish = NULL;
	cJSON *o = cJSON_CreateObject();
	if (refused)
		cJSON_AddStringToObject(o, "reason", "the broker did not take it: a queue is full, or the disk is");
	cJSON_AddBoolToObject(o, "routed", !p->returned && !refused);
	w->answer(w, refused ? 503 : 200, o);
}

static void on_returned(struct mq_channel *ch, unsigned code, const char *text, const struct mq_message *m)
{
	(void)code;
	(void)text;
	(void)m;
	publish_of(ch)->returned = true;
}

static bool always(struct mq_channel *ch)
{
	(void)ch;
	return true;
}

static const struct mq_channel_ops publish_ops = {.confirm = on_confirm, .returned = on_returned, .room = always};

static void end_publish(struct mq_api_publish *p)
{
	sd_list_del(&p->link);
	mq_channel_end(&p->channel);
	free(p);
}

/* A channel is not ended from within its own callback. */
static void sweep(struct mq_api *a)
{
	struct sd_link *l = a->publishing.next;
	while (l != &a->publishing) {
		struct mq_api_publish *p = sd_container(l, struct mq_api_publish, link);
		l = l->next;
		if (p->done)
			end_publish(p);
	}
}

void mq_api_end_publishing(struct mq_api *a)
{
	while (!sd_list_empty(&a->publishing))
		end_publish(sd_container(a->publishing.next, struct mq_api_publish, link));
}

void mq_api_forget(struct mq_api_wait *w)
{
	if (w->publish)
		w->publish->wait = NULL;
	w->publish = NULL;
}

/* The payload, decoded into *own when it must be. False: it is no base64. */
static bool payload(const cJSON *body, struct sd_slice *out, char **own)
{
	*out = mq_json_slice(body, "payload", "");
	*own = NULL;
	if (!sd_slice_eq(mq_json_slice(body, "payload_encoding", "string"), "base64"))
		return true;
	*own = malloc(out->n + 1);
	bool right = *own && sd_base64_read((uint8_t *)*own, *out, &out->n);
	out->p = *own;
	return right;
}

static void publish(struct mq_api_call *c, struct mq_vhost *v, struct mq_publication *m)
{
	struct mq_api_publish *p = calloc(1, sizeof(*p));
	struct mq_error e = {0};
	if (!p) {
		mq_api_refuse(c, 503, "out of memory");
		return;
	}
	mq_channel_begin(&p->channel, v, &publish_ops, c->api, sd_slice_of(c->request->user));
	sd_list_add(&c->api->publishing, &p->link);
	p->wait = c->wait;
	c->wait->publish = p;
	if (mq_confirm_select(&p->channel, &e) && mq_publish(&p->channel, m, &e))
		return;
	p->wait = NULL;
	p->done = true;
	c->wait->publish = NULL;
	mq_api_refuse_error(c, &e);
}

void mq_api_publish(struct mq_api_call *c)
{
	struct mq_vhost *v = mq_api_vhost(c, 1);
	struct sd_text properties = {0};
	struct mq_publication m = {.key = mq_json_slice(c->body, "routing_key", ""), .mandatory = true};
	const char *why = NULL;
	char *own = NULL;
	if (!v)
		return;
	sweep(c->api);
	m.exchange = mq_api_exchange_name(c->parts[2]);
	if (!cJSON_IsString(cJSON_GetObjectItemCaseSensitive(c->body, "payload")))
		why = "payload: expected a string";
	else if (m.key.n > SD_AMQP_SHORT_MAX)
		why = "routing_key: expected at most 255 bytes";
	else if (!payload(c->body, &m.body, &own))
		why = "payload: expected base64, as payload_encoding says";
	if (!why)
		mq_json_to_properties(&properties, cJSON_GetObjectItemCaseSensitive(c->body, "properties"), &why);
	m.properties = (struct sd_slice){properties.p, properties.n};
	if (why)
		mq_api_refuse(c, 400, why);
	else
		publish(c, v, &m);
	free(properties.p);
	free(own);
}

/* ---- get ---- */

/* What holds messages that were got by hand: one channel for each virtual host. */
struct hand {
	struct sd_link link;
	struct mq_channel channel;
};

static const struct mq_channel_ops hand_ops = {.room = always};

static struct hand *hand_of(struct mq_api *a, struct mq_vhost *v)
{
	for (struct sd_link *l = a->hands.next; l != &a->hands; l = l->next) {
		struct hand *h = sd_container(l, struct hand, link);
		if (h->channel.vhost == v)
			return h;
	}
	struct hand *h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	mq_channel_begin(&h->channel, v, &hand_ops, a, sd_slice_of(""));
	sd_list_add(&a->hands, &h->link);
	return h;
}

static void end_hand(struct hand *h)
{
	sd_list_del(&h->link);
	mq_channel_end(&h->channel);
	free(h);
}

void mq_api_end_hands(struct mq_api *a)
{
	while (!sd_list_empty(&a->hands))
		end_hand(sd_container(a->hands.next, struct hand, link));
}

void mq_api_leave_vhost(struct mq_api *a, const struct mq_vhost *v)
{
	struct sd_link *l = a->hands.next;
	while (l != &a->hands) {
		struct hand *h = sd_container(l, struct hand, link);
		l = l->next;
		if (h->channel.vhost == v)
			end_hand(h);
	}
	l = a->publishing.next;
	while (l != &a->publishing) {
		struct mq_api_publish *p = sd_container(l, struct mq_api_publish, link);
		l = l->next;
		if (p->channel.vhost != v)
			continue;
		on_confirm(&p->channel, 1, false, true);
		end_publish(p);
	}
}

/* What happens to a message after it was shown. */
static const struct ack_mode {
	const char *name;
	enum mq_settle how;
	bool manual; /* nothing: it is held */
} ack_modes[] = {
    {"ack_requeue_true", MQ_RETURN, false},     {"ack_requeue_false", MQ_ACK, false},
    {"reject_requeue_true", MQ_REQUEUE, false}, {"reject_requeue_false", MQ_DISCARD, false},
    {"manual", MQ_ACK, true},
};

static const struct ack_mode *ack_mode(const cJSON *body)
{
	struct sd_slice name = mq_json_slice(body, "ackmode", "ack_requeue_true");
	for (size_t i = 0; i < sizeof(ack_modes) / sizeof(ack_modes[0]); i++)
		if (sd_slice_eq(name, ack_modes[i].name))
			return &ack_modes[i];
	return NULL;
}

static cJSON *json_message(struct mq_api_call *c, const struct mq_entry *e, uint64_t left, bool manual)
{
	cJSON *o = cJSON_CreateObject();
	struct mq_message *m = e->message;
	struct sd_slice body;
	if (!mq_body(c->api->conf.mq, m, &body))
		body = sd_slice_of("");
	int64_t truncate = mq_json_int(c->body, "truncate", INT32_MAX);
	mq_json_payload(o, body, sd_slice_eq(mq_json_slice(c->body, "encoding", "auto"), "base64"), truncate < 0 ? 0 : (size_t)truncate);
	cJSON_AddBoolToObject(o, "redelivered", e->redelivered);
	mq_json_add(o, "exchange", mq_message_exchange(m));
	mq_json_add(o, "routing_key", mq_message_key(m));
	cJSON_AddNumberToObject(o, "message_count", (double)left);
	cJSON_AddItemToObject(o, "properties", mq_json_properties(mq_message_properties(m)));
	if (manual)
		cJSON_AddNumberToObject(o, "delivery_tag", (double)e->tag);
	return o;
}

struct got {
	uint64_t *tags;
	size_t n;
	cJSON *array;
};

static bool get_all(struct mq_api_call *c, struct hand *h, int64_t count, bool manual, struct got *g, struct mq_error *e)
{
	struct mq_entry *entry;
	uint64_t left;
	for (int64_t i = 0; i < count; i++) {
		if (!mq_get(&h->channel, c->parts[2], false, &entry, &left, e))
			return false;
		if (!entry)
			break;
		g->tags[g->n++] = entry->tag;
		cJSON_AddItemToArray(g->array, json_message(c, entry, left, manual));
	}
	return true;
}

static void settle_all(struct mq_api_call *c, struct hand *h, const struct ack_mode *mode, const struct got *g)
{
	struct mq_error e;
	int64_t held = mq_json_int(c->body, "visibility_timeout", HELD_MS);
	for (size_t i = 0; i < g->n; i++)
		if (mode->manual)
			mq_extend(&h->channel, g->tags[i], held, &e);
		else
			mq_settle(&h->channel, g->tags[i], false, mode->how, &e);
}

void mq_api_get(struct mq_api_call *c)
{
	struct mq_vhost *v = mq_api_vhost(c, 1);
	const struct ack_mode *mode = ack_mode(c->body);
	int64_t count = mq_json_int(c->body, "count", 1);
	struct mq_error e = {0};
	if (!v)
		return;
	if (!mode || count < 1 || count > MQ_API_GET_MAX) {
		mq_api_refuse(c, 400, !mode ? "ackmode: expected ack_requeue_true, ack_requeue_false, reject_requeue_true, "
					      "reject_requeue_false or manual"
					    : "count: expected 1 to 10000");
		return;
	}
	struct hand *h = hand_of(c->api, v);
	struct got g = {.tags = calloc((size_t)count, sizeof(uint64_t)), .array = cJSON_CreateArray()};
	bool right = h && g.tags && get_all(c, h, count, mode->manual, &g, &e);
	if (h && g.tags)
		settle_all(c, h, mode, &g);
	if (right) {
		mq_api_answer(c, 200, g.array);
	} else {
		cJSON_Delete(g.array);
		if (!e.code)
			mq_api_refuse(c, 503, "out of memory");
		else
			mq_api_refuse_error(c, &e);
	}
	free(g.tags);
}

/* ---- ack, extend, replay ---- */

/* The channel that has the tag of the body. NULL: refused. */
static struct hand *tagged(struct mq_api_call *c, uint64_t *tag)
{
	struct mq_vhost *v = mq_api_vhost(c, 1);
	int64_t n = mq_json_int(c->body, "delivery_tag", 0);
	if (!v)
		return NULL;
	if (n <= 0) {
		mq_api_refuse(c, 400, "delivery_tag: expected the number that get with ackmode \"manual\" gave");
		return NULL;
	}
	*tag = (uint64_t)n;
	struct hand *h = hand_of(c->api, v);
	if (!h)
		mq_api_refuse(c, 503, "out of memory");
	else if (!mq_holds(&h->channel, *tag))
		mq_api_refuse(c, 404, "delivery_tag: no message is held under it; its visibility timeout may have ended");
	else
		return h;
	return NULL;
}

static void say_done(struct mq_api_call *c, bool right, const struct mq_error *e)
{
	if (right)
		mq_api_answer(c, 204, NULL);
	else
		mq_api_refuse_error(c, e);
}

void mq_api_ack(struct mq_api_call *c)
{
	uint64_t tag;
	struct hand *h = tagged(c, &tag);
	struct mq_error e = {0};
	enum mq_settle how = mq_json_bool(c->body, "requeue", false) ? MQ_REQUEUE : mq_json_bool(c->body, "reject", false) ? MQ_DISCARD : MQ_ACK;
	if (h)
		say_done(c, mq_settle(&h->channel, tag, false, how, &e), &e);
}

void mq_api_extend(struct mq_api_call *c)
{
	uint64_t tag;
	int64_t ms = mq_json_int(c->body, "visibility_timeout", HELD_MS);
	struct hand *h = tagged(c, &tag);
	struct mq_error e = {0};
	if (h)
		say_done(c, mq_extend(&h->channel, tag, ms, &e), &e);
}

void mq_api_replay(struct mq_api_call *c)
{
	struct mq_vhost *v = mq_api_vhost(c, 1);
	struct mq_error e = {0};
	uint64_t moved = 0;
	int64_t max = mq_json_int(c->body, "count", 0);
	if (!v)
		return;
	if (!mq_replay(v, c->parts[2], max > 0 ? (uint64_t)max : UINT64_MAX, &moved, &e)) {
		mq_api_refuse_error(c, &e);
		return;
	}
	cJSON *o = cJSON_CreateObject();
	cJSON_AddNumberToObject(o, "replayed", (double)moved);
	mq_api_answer(c, 200, o);
}
