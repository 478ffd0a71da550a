/* load_amqp_conn.c - a connection to a broker.
 *
 *	protocol --START--> login --TUNE--> open --OPEN_OK--> channel, queue --> (confirms | consumer) --> requests and answers
 *
 * Nothing of that is counted. A queue that is there is taken as it is; one that is not is declared, durable. To measure
 * delivery each connection has a queue of its own, exclusive: then messages come in the order in which they left, and what comes
 * belongs to the request in front.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "load_amqp.h"
#include "load_int.h"

struct load_amqp {
	bool passive;	     /* the queue is looked for */
	bool content;	     /* a message is on its way to us */
	bool has_head;	     /* its header came */
	uint64_t tag;	     /* of it */
	uint64_t left;	     /* of its body */
	uint64_t first;	     /* number of the publish in front */
	uint64_t own;
};

struct load_amqp *load_amqp_new(void)
{
	return calloc(1, sizeof(struct load_amqp));
}

uint64_t load_amqp_own(const struct load_conn *c)
{
	return c->amqp->own;
}

/* ---- saying ---- */

static void say(struct load_conn *c, uint16_t channel, uint32_t id, const struct sd_amqp_arg *args)
{
	struct sd_text t = {0};
	sd_amqp_put_method(&t, channel, id, args);
	if (!t.full)
		sd_stream_write(c->stream, t.p, t.n);
	free(t.p);
}

static void say_declare(struct load_conn *c)
{
	const struct load_amqp_plan *p = c->w->plan->amqp;
	bool own = p->what == LOAD_DELIVERY;
	char name[SD_AMQP_SHORT_MAX + 1];
	if (own)
		snprintf(name, sizeof(name), "%.*s%010llu", (int)strlen(p->queue) - 10, p->queue, (unsigned long long)c->amqp->own);
	else
		snprintf(name, sizeof(name), "%s", p->queue);
	say(c, LOAD_AMQP_CHANNEL, SD_AMQP_QUEUE_DECLARE,
	    (const struct sd_amqp_arg[]){{0}, {.s = sd_slice_of(name)}, {.n = c->amqp->passive}, {.n = true}, {.n = own}, {0}, {0}, {0}});
}

static void open_channel(struct load_conn *c)
{
	say(c, LOAD_AMQP_CHANNEL, SD_AMQP_CHANNEL_OPEN, (const struct sd_amqp_arg[]){{0}});
	say_declare(c);
}

void load_amqp_greet(struct load_conn *c)
{
	struct load_amqp *a = c->amqp;
	*a = (struct load_amqp){.passive = c->w->plan->amqp->what != LOAD_DELIVERY, .first = 1};
	a->own = sd_rng_next(&c->w->rng) % 10000000000u;
	c->greetings = 1;
	c->keep = true;
	sd_stream_write(c->stream, SD_AMQP_PROTOCOL, 8);
}

/* ---- the beginning ---- */

/* False, here and below: the connection is gone. */
typedef bool take_fn(struct load_conn *c, const struct sd_amqp_arg *args);

static bool refused(struct load_conn *c, struct sd_slice text)
{
	if (!c->w->done)
		load_tally_add_word(c->w->result->refusals, text);
	load_conn_failed(c, LOAD_REPLY);
	return false;
}

static bool on_start(struct load_conn *c, const struct sd_amqp_arg *args)
{
	const struct load_amqp_plan *p = c->w->plan->amqp;
	(void)args;
	sd_stream_write(c->stream, p->start_ok, p->start_ok_n);
	return true;
}

static bool on_tune(struct load_conn *c, const struct sd_amqp_arg *args)
{
	const struct load_amqp_plan *p = c->w->plan->amqp;
	uint64_t frame = args[1].n && args[1].n < LOAD_AMQP_FRAME ? args[1].n : LOAD_AMQP_FRAME;
	if (p->largest > frame)
		return refused(c, sd_slice_of("FRAME_MAX")); /* requests are written already */
	say(c, 0, SD_AMQP_CONNECTION_TUNE_OK, (const struct sd_amqp_arg[]){{.n = args[0].n}, {.n = frame}, {0}});
	say(c, 0, SD_AMQP_CONNECTION_OPEN, (const struct sd_amqp_arg[]){{.s = sd_slice_of(p->vhost)}, {0}, {0}});
	return true;
}

static bool on_open(struct load_conn *c, const struct sd_amqp_arg *args)
{
	(void)args;
	open_channel(c);
	return true;
}

static bool ready(struct load_conn *c, const struct sd_amqp_arg *args)
{
	(void)args;
	c->greetings = 0;
	return load_conn_free(c);
}

static bool on_declared(struct load_conn *c, const struct sd_amqp_arg *args)
{
	switch (c->w->plan->amqp->what) {
	case LOAD_CONFIRM:
		say(c, LOAD_AMQP_CHANNEL, SD_AMQP_CONFIRM_SELECT, (const struct sd_amqp_arg[]){{0}});
		return true;
	case LOAD_DELIVERY:
		say(c, LOAD_AMQP_CHANNEL, SD_AMQP_BASIC_CONSUME,
		    (const struct sd_amqp_arg[]){{0}, {.s = args[0].s}, {0}, {0}, {0}, {0}, {0}, {0}});
		return true;
	default:
		return ready(c, args);
	}
}

static bool on_channel_close(struct load_conn *c, const struct sd_amqp_arg *args)
{
	if (!c->greetings || !c->amqp->passive || args[0].n != 404)
		return refused(c, args[1].s);
	c->amqp->passive = false;
	say(c, LOAD_AMQP_CHANNEL, SD_AMQP_CHANNEL_CLOSE_OK, NULL);
	open_channel(c);
	return true;
}

static bool on_close(struct load_conn *c, const struct sd_amqp_arg *args)
{
	return refused(c, args[1].s);
}

static bool on_cancel(struct load_conn *c, const struct sd_amqp_arg *args)
{
	(void)args;
	return refused(c, sd_slice_of("CANCELLED"));
}

/* ---- answers ---- */

/* The i-th of those on their way came to its end; confirms need not come in order. */
static void settle(struct load_conn *c, unsigned i, bool good)
{
	struct load_worker *w = c->w;
	unsigned ring = w->plan->pipeline;
	struct load_slot *slot = &c->slots[(c->first + i) % ring], copy = *slot;
	int64_t now = sd_loop_now_ns(w->loop);
	if (slot->settled)
		return;
	slot->settled = true;
	if (good && load_counts(w, &copy) && !w->done)
		sd_hdr_record(w->result->first_byte, now - copy.sent_ns, 1);
	while (c->count > 0 && c->slots[c->first].settled) {
		c->first = (c->first + 1) % ring;
		c->count--;
		c->amqp->first++;
	}
	c->idle_since_ns = now;
	if (good)
		load_answered(w, &copy, 0, now);
	else
		load_failed(w, &copy, LOAD_REPLY, now);
}

static bool confirmed(struct load_conn *c, const struct sd_amqp_arg *args, bool good)
{
	uint64_t first = c->amqp->first, tag = args[0].n, count = c->count;
	bool multiple = args[1].n;
	if (multiple && tag == 0)
		tag = first + count - 1;
	if (tag < first || tag - first >= count) {
		load_conn_failed(c, LOAD_GARBAGE); /* of nothing that is on its way */
		return false;
	}
	for (uint64_t t = multiple ? first : tag; t <= tag; t++)
		settle(c, (unsigned)(t - c->amqp->first), good);
	return load_conn_free(c);
}

static bool on_ack(struct load_conn *c, const struct sd_amqp_arg *args)
{
	return confirmed(c, args, true);
}

static bool on_nack(struct load_conn *c, const struct sd_amqp_arg *args)
{
	if (!c->w->done)
		load_tally_add_word(c->w->result->refusals, sd_slice_of("NACK"));
	return confirmed(c, args, false);
}

static bool on_deliver(struct load_conn *c, const struct sd_amqp_arg *args)
{
	c->amqp->tag = args[1].n;
	c->amqp->content = true;
	c->amqp->has_head = false;
	return true;
}

static bool on_got(struct load_conn *c, const struct sd_amqp_arg *args)
{
	c->amqp->tag = args[0].n;
	c->amqp->content = true;
	c->amqp->has_head = false;
	return true;
}

static bool on_empty(struct load_conn *c, const struct sd_amqp_arg *args)
{
	(void)args;
	if (c->count == 0) {
		load_conn_failed(c, LOAD_GARBAGE);
		return false;
	}
	if (!c->w->done)
		load_tally_add_word(c->w->result->refusals, sd_slice_of("EMPTY"));
	settle(c, 0, false);
	return load_conn_free(c);
}

static bool message_done(struct load_conn *c)
{
	c->amqp->content = false;
	if (c->count == 0) {
		load_conn_failed(c, LOAD_GARBAGE);
		return false;
	}
	say(c, LOAD_AMQP_CHANNEL, SD_AMQP_BASIC_ACK, (const struct sd_amqp_arg[]){{.n = c->amqp->tag}, {0}});
	settle(c, 0, true);
	return load_conn_free(c);
}

/* ---- frames ---- */

static const struct {
	uint32_t id;
	bool greeting; /* only then */
	take_fn *fn;
} methods[] = {
    {SD_AMQP_BASIC_ACK, false, on_ack},
    {SD_AMQP_BASIC_DELIVER, false, on_deliver},
    {SD_AMQP_BASIC_GET_OK, false, on_got},
    {SD_AMQP_BASIC_GET_EMPTY, false, on_empty},
    {SD_AMQP_BASIC_NACK, false, on_nack},
    {SD_AMQP_BASIC_CANCEL, false, on_cancel},
    {SD_AMQP_CONNECTION_CLOSE, false, on_close},
    {SD_AMQP_CHANNEL_CLOSE, false, on_channel_close},
    {SD_AMQP_CONNECTION_START, true, on_start},
    {SD_AMQP_CONNECTION_TUNE, true, on_tune},
    {SD_AMQP_CONNECTION_OPEN_OK, true, on_open},
    {SD_AMQP_QUEUE_DECLARE_OK, true, on_declared},
    {SD_AMQP_CONFIRM_SELECT_OK, true, ready},
    {SD_AMQP_BASIC_CONSUME_OK, true, ready},
};
#define NMETHODS (sizeof(methods) / sizeof(methods[0]))

static bool take_method(struct load_conn *c, struct sd_slice payload)
{
	uint32_t id;
	const struct sd_amqp_method_info *info;
	struct sd_amqp_arg args[SD_AMQP_ARGS];
	bool good = sd_amqp_get_method(payload, &id, &info, args) == SD_AMQP_READ && !c->amqp->content;
	for (size_t i = 0; good && i < NMETHODS; i++)
		if (methods[i].id == id && (!methods[i].greeting || c->greetings))
			return methods[i].fn(c, args);
	if (good) /* channel.open-ok, and what is told to all */
		return true;
	load_conn_failed(c, LOAD_GARBAGE);
	return false;
}

static bool take_content(struct load_conn *c, const struct sd_amqp_frame *f)
{
	struct load_amqp *a = c->amqp;
	struct sd_amqp_properties properties;
	struct sd_slice raw;
	uint16_t class_id;
	bool head = f->type == SD_AMQP_HEADER;
	bool good = a->content && a->has_head != head;
	good = good && (head ? sd_amqp_get_header(f->payload, &class_id, &a->left, &raw, &properties) : f->payload.n <= a->left);
	if (!good) {
		load_conn_failed(c, LOAD_GARBAGE);
		return false;
	}
	a->has_head = true;
	a->left -= head ? 0 : f->payload.n;
	return a->left > 0 || message_done(c);
}

ssize_t load_amqp_take(struct load_conn *c, const char *p, size_t n)
{
	struct sd_slice in = {p, n};
	struct sd_amqp_frame f;
	enum sd_amqp_took took = sd_amqp_take(&in, LOAD_AMQP_FRAME, &f);
	if (took == SD_AMQP_MORE)
		return 0;
	if (took != SD_AMQP_TOOK) {
		load_conn_failed(c, LOAD_GARBAGE);
		return -1;
	}
	load_conn_count(c, n - in.n);
	bool good = f.type == SD_AMQP_HEARTBEAT || (f.type == SD_AMQP_METHOD ? take_method(c, f.payload) : take_content(c, &f));
	return good ? (ssize_t)(n - in.n) : -1;
}
