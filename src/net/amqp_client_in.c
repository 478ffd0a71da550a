#include <stdlib.h>

#include "amqp_client_int.h"

#define LARGEST	     (512u << 20) /* no broker takes larger messages */
#define LARGEST_KEPT (64 * 1024)

void amqp_client_free_held(struct held *h)
{
	if (!h)
		return;
	free(h->method.p);
	free(h->header.p);
	free(h->body.p);
	free(h);
}

/* One is kept, with its memory: who takes thousands takes them one after the other. */
void amqp_client_drop(struct sd_amqp_client *c, struct held *h)
{
	if (!h || c->spare || h->body.room > LARGEST_KEPT) {
		amqp_client_free_held(h);
		return;
	}
	h->method.n = h->header.n = h->body.n = 0;
	h->event = (struct sd_amqp_event){0};
	c->spare = h;
}

/* ---- events ---- */

/* An event is whole: to the function, or to those that wait. */
static void tell(struct sd_amqp_client *c, struct held *h)
{
	if (c->fn) {
		c->fn(c->arg, &h->event);
		amqp_client_drop(c, h);
		return;
	}
	sd_list_add(&c->came, &h->link);
	if (!c->asking)
		sd_waited_wake(&c->conn);
}

/* The arguments again, of the method's own bytes, which stay. NULL: the connection is over. */
static struct held *hold(struct sd_amqp_client *c, const struct sd_amqp_frame *f, enum sd_amqp_event_kind kind,
			 struct sd_amqp_arg args[SD_AMQP_ARGS])
{
	const struct sd_amqp_method_info *info;
	uint32_t id;
	struct held *h = c->spare ? c->spare : calloc(1, sizeof(*h));
	c->spare = NULL;
	if (h)
		sd_text_add(&h->method, f->payload.p, f->payload.n);
	if (!h || h->method.full) {
		amqp_client_free_held(h);
		sd_waited_end(&c->conn, SD_ENOMEM, "out of memory");
		return NULL;
	}
	h->event.kind = kind;
	sd_amqp_get_method((struct sd_slice){h->method.p, h->method.n}, &id, &info, args);
	return h;
}

static void on_confirm(struct sd_amqp_client *c, const struct sd_amqp_frame *f, const struct sd_amqp_arg *args, uint32_t id)
{
	struct held h = {.event = {.kind = SD_AMQP_CONFIRMED, .tag = args[0].n, .multiple = args[1].n,
				   .refused = id == SD_AMQP_BASIC_NACK}};
	struct sd_amqp_arg own[SD_AMQP_ARGS];
	struct held *kept = c->fn ? NULL : hold(c, f, SD_AMQP_CONFIRMED, own);
	if (c->fn) {
		c->fn(c->arg, &h.event);
	} else if (kept) {
		kept->event = h.event;
		tell(c, kept);
	}
}

static void on_word(struct sd_amqp_client *c, const struct sd_amqp_frame *f, const struct sd_amqp_arg *args, uint32_t id)
{
	struct sd_amqp_arg own[SD_AMQP_ARGS];
	struct held *h = hold(c, f, id == SD_AMQP_BASIC_CANCEL ? SD_AMQP_CANCELLED : id == SD_AMQP_CONNECTION_BLOCKED ? SD_AMQP_BLOCKED
				    : SD_AMQP_UNBLOCKED, own);
	if (id == SD_AMQP_BASIC_CANCEL && !args[1].n)
		sd_amqp_client_send(c, SD_AMQP_BASIC_CANCEL_OK, args);
	if (!h)
		return;
	if (id != SD_AMQP_CONNECTION_UNBLOCKED)
		h->event.text = own[0].s;
	tell(c, h);
}

/* ---- contents ---- */

static void begin(struct sd_amqp_client *c, struct held *h)
{
	c->building = h;
	c->has_header = false;
}

static void on_deliver(struct sd_amqp_client *c, const struct sd_amqp_frame *f, const struct sd_amqp_arg *unused, uint32_t id)
{
	struct sd_amqp_arg a[SD_AMQP_ARGS];
	(void)unused;
	(void)id;
	struct held *h = hold(c, f, SD_AMQP_DELIVERED, a);
	if (!h)
		return;
	h->event.text = a[0].s;
	h->event.tag = a[1].n;
	h->event.redelivered = a[2].n;
	h->event.exchange = a[3].s;
	h->event.key = a[4].s;
	begin(c, h);
}

static void on_get_ok(struct sd_amqp_client *c, const struct sd_amqp_frame *f, const struct sd_amqp_arg *unused, uint32_t id)
{
	struct sd_amqp_arg a[SD_AMQP_ARGS];
	(void)unused;
	(void)id;
	struct held *h = hold(c, f, SD_AMQP_GOT, a);
	if (!h)
		return;
	h->event.tag = a[0].n;
	h->event.redelivered = a[1].n;
	h->event.exchange = a[2].s;
	h->event.key = a[3].s;
	h->event.left = (uint32_t)a[4].n;
	begin(c, h);
}

static void on_return(struct sd_amqp_client *c, const struct sd_amqp_frame *f, const struct sd_amqp_arg *unused, uint32_t id)
{
	struct sd_amqp_arg a[SD_AMQP_ARGS];
	(void)unused;
	(void)id;
	struct held *h = hold(c, f, SD_AMQP_RETURNED, a);
	if (!h)
		return;
	h->event.code = (unsigned)a[0].n;
	h->event.text = a[1].s;
	h->event.exchange = a[2].s;
	h->event.key = a[3].s;
	begin(c, h);
}

/* All of its body is there. */
static void finish(struct sd_amqp_client *c)
{
	struct held *h = c->building;
	h->event.body = (struct sd_slice){h->body.p, h->body.n};
	c->building = NULL;
	tell(c, h);
	if (c->asking && c->want == SD_AMQP_BASIC_GET_EMPTY && h->event.kind == SD_AMQP_GOT) {
		c->got = h;
		c->answered = true;
		sd_waited_wake(&c->conn);
	}
}

static void on_header(struct sd_amqp_client *c, struct sd_slice payload)
{
	struct held *h = c->building;
	uint16_t class_id;
	if (!h || c->has_header)
		return sd_waited_end(&c->conn, SD_EPROTO, "the broker sent a header that belongs to no message");
	sd_text_add(&h->header, payload.p, payload.n);
	if (!sd_amqp_get_header((struct sd_slice){h->header.p, h->header.n}, &class_id, &c->body_size, &h->event.raw,
				&h->event.properties))
		return sd_waited_end(&c->conn, SD_EPROTO, "the broker sent a header that is none");
	if (c->body_size > LARGEST)
		return sd_waited_end(&c->conn, SD_ETOOBIG, "the broker sent a message of more than %u MiB", LARGEST >> 20);
	c->has_header = true;
	if (!c->body_size)
		finish(c);
}

static void on_body(struct sd_amqp_client *c, struct sd_slice payload)
{
	struct held *h = c->building;
	if (!h || !c->has_header || payload.n > c->body_size - h->body.n)
		return sd_waited_end(&c->conn, SD_EPROTO, "the broker sent a body that belongs to no message");
	sd_text_add(&h->body, payload.p, payload.n);
	if (h->body.full)
		return sd_waited_end(&c->conn, SD_ENOMEM, "out of memory");
	if (h->body.n == c->body_size)
		finish(c);
}

/* ---- the connection ---- */

static enum sd_err err_of(uint64_t code)
{
	static const struct {
		unsigned code;
		enum sd_err err;
	} rows[] = {{403, SD_EPERM}, {404, SD_ENOTFOUND}, {405, SD_EINUSE}, {406, SD_EINVAL}, {530, SD_EPERM}, {320, SD_ECANCELED}};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].code == code)
			return rows[i].err;
	return SD_EPROTO;
}

static void on_connection_close(struct sd_amqp_client *c, const struct sd_amqp_frame *f, const struct sd_amqp_arg *args, uint32_t id)
{
	(void)f;
	(void)id;
	sd_amqp_client_send(c, SD_AMQP_CONNECTION_CLOSE_OK, NULL);
	amqp_client_flush(c);
	sd_waited_end(&c->conn, err_of(args[0].n), "%.*s", (int)args[1].s.n, args[1].s.p);
}

static void on_channel_close(struct sd_amqp_client *c, const struct sd_amqp_frame *f, const struct sd_amqp_arg *args, uint32_t id)
{
	(void)f;
	(void)id;
	sd_amqp_client_send(c, SD_AMQP_CHANNEL_CLOSE_OK, NULL);
	c->channel_open = false;
	c->channel_err = sd_fail(&c->channel_why, err_of(args[0].n), "%.*s", (int)args[1].s.n, args[1].s.p);
	sd_waited_wake(&c->conn);
}

static void on_flow(struct sd_amqp_client *c, const struct sd_amqp_frame *f, const struct sd_amqp_arg *args, uint32_t id)
{
	(void)f;
	(void)id;
	sd_amqp_client_send(c, SD_AMQP_CHANNEL_FLOW_OK, args);
}

static const struct {
	uint32_t id;
	void (*fn)(struct sd_amqp_client *c, const struct sd_amqp_frame *f, const struct sd_amqp_arg *args, uint32_t id);
} by_itself[] = {
    {SD_AMQP_BASIC_DELIVER, on_deliver},
    {SD_AMQP_BASIC_ACK, on_confirm},
    {SD_AMQP_BASIC_NACK, on_confirm},
    {SD_AMQP_BASIC_GET_OK, on_get_ok},
    {SD_AMQP_BASIC_RETURN, on_return},
    {SD_AMQP_BASIC_CANCEL, on_word},
    {SD_AMQP_CONNECTION_BLOCKED, on_word},
    {SD_AMQP_CONNECTION_UNBLOCKED, on_word},
    {SD_AMQP_CONNECTION_CLOSE, on_connection_close},
    {SD_AMQP_CHANNEL_CLOSE, on_channel_close},
    {SD_AMQP_CHANNEL_FLOW, on_flow},
};

/* Its bytes are kept, and the arguments are of these. */
static void on_answer(struct sd_amqp_client *c, const struct sd_amqp_frame *f, uint32_t id)
{
	const struct sd_amqp_method_info *info;
	c->answer.n = 0;
	sd_text_add(&c->answer, f->payload.p, f->payload.n);
	if (c->answer.full)
		return sd_waited_end(&c->conn, SD_ENOMEM, "out of memory");
	sd_amqp_get_method((struct sd_slice){c->answer.p, c->answer.n}, &id, &info, c->args);
	c->answered = true;
	sd_waited_wake(&c->conn);
}

static void on_method(struct sd_amqp_client *c, const struct sd_amqp_frame *f)
{
	const struct sd_amqp_method_info *info;
	struct sd_amqp_arg args[SD_AMQP_ARGS];
	uint32_t id;
	enum sd_amqp_read read = sd_amqp_get_method(f->payload, &id, &info, args);
	if (read != SD_AMQP_READ)
		return sd_waited_end(&c->conn, SD_EPROTO, "the broker sent a method that %s", read == SD_AMQP_UNKNOWN ? "nobody knows" : "is none");
	for (size_t i = 0; i < sizeof(by_itself) / sizeof(by_itself[0]); i++)
		if (by_itself[i].id == id)
			return by_itself[i].fn(c, f, args, id);
	if (c->asking && !c->answered && id == c->want)
		return on_answer(c, f, id);
	if (c->channel_open || id >> 16 == 10) /* else: what was still on its way before the channel's end */
		sd_waited_end(&c->conn, SD_EPROTO, "the broker sent %s, which nobody asked for", info->name);
}

static void on_frame(struct sd_amqp_client *c, const struct sd_amqp_frame *f)
{
	if (f->type == SD_AMQP_METHOD)
		on_method(c, f);
	else if (f->type == SD_AMQP_HEADER)
		on_header(c, f->payload);
	else if (f->type == SD_AMQP_BODY)
		on_body(c, f->payload);
}

/* What begins like no frame: an old broker tells what it speaks, and other servers anything. */
static void not_a_frame(struct sd_amqp_client *c, enum sd_amqp_took why, struct sd_slice in)
{
	if (why == SD_AMQP_BAD_TYPE && in.n >= 8 && memcmp(in.p, "AMQP", 4) == 0)
		sd_waited_end(&c->conn, SD_EPROTO, "the server speaks AMQP %d-%d-%d, not 0-9-1", in.p[5], in.p[6], in.p[7]);
	else if (why == SD_AMQP_BAD_TYPE && in.n >= 2 && in.p[0] == 21 && in.p[1] == 3) /* an alert */
		sd_waited_end(&c->conn, SD_EPROTO, "what answers speaks TLS: amqps://");
	else if (why == SD_AMQP_BAD_TYPE)
		sd_waited_end(&c->conn, SD_EPROTO, "what answers does not speak AMQP");
	else
		sd_waited_end(&c->conn, SD_EPROTO, "the broker sent a frame that %s",
				why == SD_AMQP_TOO_LARGE ? "is larger than agreed on" : "does not end where it should");
}

/* Those who take events one by one leave the rest where it is. */
static bool has_enough(const struct sd_amqp_client *c)
{
	return c->conn.err || c->stopped || (!c->fn && !c->asking && !sd_list_empty(&c->came));
}

size_t amqp_client_take(struct sd_amqp_client *c, const char *p, size_t n)
{
	struct sd_slice in = {p, n};
	struct sd_amqp_frame f;
	c->quiet = 0;
	while (!has_enough(c)) {
		enum sd_amqp_took took = sd_amqp_take(&in, c->frame_max, &f);
		if (took == SD_AMQP_TOOK) {
			on_frame(c, &f);
			continue;
		}
		if (took != SD_AMQP_MORE && !(took == SD_AMQP_BAD_TYPE && in.n < 8 && *in.p == 'A'))
			not_a_frame(c, took, in);
		break;
	}
	return c->conn.err ? n : n - in.n;
}
