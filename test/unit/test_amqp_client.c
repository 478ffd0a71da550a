/* A client of brokers, against one that says what a test tells it to, in the simulated world: hours of heartbeats take no time, and
 * reads and writes are cut as they like. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "net/amqp_client.h"
#include "net/amqp_link.h"
#include "net/stream.h"
#include "world/sim.h"

#define SECOND	1000000000ll
#define BYTES(text) {text, sizeof(text) - 1}

struct broker;
struct step {
	uint32_t on; /* enum sd_amqp_method; 0 ends */
	void (*fn)(struct broker *b, const struct sd_amqp_arg *args);
};

static struct broker {
	struct sd_sim *sim;
	struct sd_world *world, *mine; /* the client's, the broker's */
	struct sd_loop *loop;
	struct sd_listener *listener;
	struct sd_stream *stream;
	const struct step *steps; /* of the test; then the usual ones */
	const char *greeting;	  /* instead of connection.start */
	size_t greeting_n;
	uint32_t frame_max, heartbeat;
	bool greeted, silent;
	char said[1000]; /* methods of the client, with a blank behind each */
	size_t beats, bodies, body_bytes, largest;
	struct sd_amqp_arg tuned[3];
	char login[64];
	size_t login_n;
	bool capable;
	struct sd_text body;
} *b;

/* ---- what it says ---- */

static void send_text(struct sd_text *t)
{
	sd_stream_write(b->stream, t->p, t->n);
	free(t->p);
}

static void say(uint16_t channel, uint32_t id, const struct sd_amqp_arg *args)
{
	struct sd_text t = {0};
	sd_amqp_put_method(&t, channel, id, args);
	send_text(&t);
}

static void say_close(uint16_t channel, unsigned code, const char *text)
{
	struct sd_amqp_arg args[] = {{.n = code}, {.s = sd_slice_of(text)}, {0}, {0}};
	say(channel, channel ? SD_AMQP_CHANNEL_CLOSE : SD_AMQP_CONNECTION_CLOSE, args);
}

/* A message: its method, and a body in frames of so many bytes. */
static void say_message(uint32_t id, const struct sd_amqp_arg *args, const char *message_id, struct sd_slice body, uint32_t frame_max)
{
	struct sd_amqp_properties p = {.has = SD_AMQP_MESSAGE_ID, .message_id = sd_slice_of(message_id)};
	struct sd_text t = {0}, raw = {0};
	sd_amqp_put_properties(&raw, &p);
	sd_amqp_put_method(&t, 1, id, args);
	sd_amqp_put_header(&t, 1, body.n, (struct sd_slice){raw.p, raw.n});
	sd_amqp_put_body(&t, 1, body, frame_max);
	free(raw.p);
	send_text(&t);
}

static void deliver(uint64_t tag, const char *message_id, struct sd_slice body)
{
	struct sd_amqp_arg args[] = {{.s = BYTES("tag")}, {.n = tag}, {.n = tag == 2}, {.s = BYTES("x")}, {.s = BYTES("k")}};
	say_message(SD_AMQP_BASIC_DELIVER, args, message_id, body, 11);
}

static void say_start(void)
{
	struct sd_amqp_arg args[] = {{0}, {.n = 9}, {.s = BYTES("\x01xV")}, {.s = BYTES("AMQPLAIN PLAIN")}, {.s = BYTES("en_US")}};
	say(0, SD_AMQP_CONNECTION_START, args);
}

/* ---- what it hears ---- */

static void on_start_ok(struct broker *unused, const struct sd_amqp_arg *args)
{
	struct sd_amqp_field f, g;
	struct sd_amqp_arg tune[] = {{.n = 2047}, {.n = b->frame_max}, {.n = b->heartbeat}};
	(void)unused;
	ck_assert(sd_slice_eq(args[1].s, "PLAIN") && sd_slice_eq(args[3].s, "en_US"));
	ck_assert_uint_lt(args[2].s.n, sizeof(b->login));
	memcpy(b->login, args[2].s.p, b->login_n = args[2].s.n);
	b->capable = sd_amqp_find(args[0].s, "capabilities", &f) && sd_amqp_find(f.s, "publisher_confirms", &g) && g.n == 1 &&
		     sd_amqp_find(f.s, "consumer_cancel_notify", &g) && sd_amqp_find(f.s, "authentication_failure_close", &g) &&
		     sd_amqp_find(args[0].s, "connection_name", &f) && sd_slice_eq(f.s, "test");
	say(0, SD_AMQP_CONNECTION_TUNE, tune);
}

static void on_tune_ok(struct broker *unused, const struct sd_amqp_arg *args)
{
	(void)unused;
	memcpy(b->tuned, args, sizeof(b->tuned));
}

static void on_open(struct broker *unused, const struct sd_amqp_arg *args)
{
	(void)unused;
	ck_assert(sd_slice_eq(args[0].s, "/v"));
	say(0, SD_AMQP_CONNECTION_OPEN_OK, (const struct sd_amqp_arg[]){{0}});
}

static void on_channel_open(struct broker *unused, const struct sd_amqp_arg *args)
{
	(void)unused;
	(void)args;
	say(1, SD_AMQP_CHANNEL_OPEN_OK, (const struct sd_amqp_arg[]){{0}});
}

static void on_close(struct broker *unused, const struct sd_amqp_arg *args)
{
	(void)unused;
	ck_assert_uint_eq(args[0].n, 200);
	say(0, SD_AMQP_CONNECTION_CLOSE_OK, NULL);
}

static const struct step usual[] = {{SD_AMQP_CONNECTION_START_OK, on_start_ok}, {SD_AMQP_CONNECTION_TUNE_OK, on_tune_ok},
				    {SD_AMQP_CONNECTION_OPEN, on_open}, {SD_AMQP_CHANNEL_OPEN, on_channel_open},
				    {SD_AMQP_CONNECTION_CLOSE, on_close}, {0}};

static bool take_step(const struct step *s, uint32_t id, const struct sd_amqp_arg *args)
{
	while (s && s->on && s->on != id)
		s++;
	if (s && s->on)
		s->fn(b, args);
	return s && s->on;
}

static void on_method(const struct sd_amqp_frame *f)
{
	const struct sd_amqp_method_info *info;
	struct sd_amqp_arg args[SD_AMQP_ARGS];
	uint32_t id;
	ck_assert_int_eq(sd_amqp_get_method(f->payload, &id, &info, args), SD_AMQP_READ);
	ck_assert_uint_eq(f->channel, id >> 16 == 10 ? 0 : 1);
	size_t n = strlen(b->said);
	snprintf(b->said + n, sizeof(b->said) - n, "%s ", info->name);
	if (!take_step(b->steps, id, args))
		take_step(usual, id, args);
}

static void on_frame(const struct sd_amqp_frame *f)
{
	b->largest = f->payload.n + 8 > b->largest ? f->payload.n + 8 : b->largest;
	b->beats += f->type == SD_AMQP_HEARTBEAT;
	b->bodies += f->type == SD_AMQP_BODY;
	b->body_bytes += f->type == SD_AMQP_BODY ? f->payload.n : 0;
	if (f->type == SD_AMQP_METHOD)
		on_method(f);
}

static size_t on_data(struct sd_stream *s, const char *p, size_t n)
{
	struct sd_slice in = {p, n};
	struct sd_amqp_frame f;
	if (b->silent)
		return n;
	if (!b->greeted && n < 8)
		return 0;
	if (!b->greeted) {
		ck_assert_mem_eq(p, "AMQP\0\0\x09\x01", 8);
		b->greeted = true;
		in = (struct sd_slice){p + 8, n - 8};
		if (b->greeting)
			sd_stream_write(s, b->greeting, b->greeting_n);
		else
			say_start();
	}
	while (sd_amqp_take(&in, 0, &f) == SD_AMQP_TOOK)
		on_frame(&f);
	return n - in.n;
}

static void on_eof(struct sd_stream *s)
{
	sd_stream_close(s);
	b->stream = NULL;
}

static void on_closed(struct sd_stream *s, enum sd_err why)
{
	(void)why;
	on_eof(s);
}

static const struct sd_stream_events events = {.data = on_data, .eof = on_eof, .closed = on_closed};

static void on_accepted(void *arg, struct sd_io *io)
{
	(void)arg;
	b->stream = sd_stream_new(io, false, 1 << 20, &events, b);
}

static void setup(void)
{
	struct sd_error e = {0};
	struct sd_addr at = {.kind = SD_ADDR_INET, .port = 5672};
	struct sd_listener_events on = {.accepted = on_accepted};
	b = calloc(1, sizeof(*b));
	b->sim = sd_sim_new(7);
	b->world = sd_sim_node(b->sim, "client");
	b->mine = sd_sim_node(b->sim, "broker");
	b->loop = sd_loop_new(b->mine, &e);
	b->frame_max = 131072;
	b->heartbeat = 60;
	ck_assert_int_eq(sd_loop_listen(b->loop, &at, false, &on, &b->listener, &e), SD_OK);
	ck_assert_int_eq(sd_loop_start(b->loop, "broker", &e), SD_OK);
}

static void teardown(void)
{
	if (b->stream)
		sd_stream_close(b->stream);
	sd_listener_close(b->listener);
	sd_loop_stop(b->loop);
	sd_loop_join(b->loop);
	sd_loop_flush(b->loop);
	sd_loop_free(b->loop);
	sd_sim_free(b->sim);
	free(b);
}

/* ---- the client ---- */

static struct sd_amqp_target target(void)
{
	return (struct sd_amqp_target){.addr = {.kind = SD_ADDR_INET, .port = 5672, .ip = {10, 0, 0, 2}}, .user = "u", .password = "p",
				       .vhost = "/v", .name = "test", .heartbeat_s = 10, .timeout_ns = 5 * SECOND};
}

static struct sd_amqp_client *opened(const struct step *steps)
{
	struct sd_amqp_target to = target();
	struct sd_amqp_client *c;
	struct sd_error e = {0};
	b->steps = steps;
	ck_assert_msg(sd_amqp_client_open(b->world, &to, &c, &e) == SD_OK, "%s", e.text);
	*b->said = '\0';
	return c;
}

static void not_opened(enum sd_err err, const char *text)
{
	struct sd_amqp_target to = target();
	struct sd_amqp_client *c;
	struct sd_error e = {0};
	ck_assert_int_eq(sd_amqp_client_open(b->world, &to, &c, &e), err);
	ck_assert_str_eq(e.text, text);
	ck_assert_ptr_null(c);
}

/* What the broker heard in the end. */
static void heard(const char *said)
{
	sd_sim_run_to(b->sim, sd_sim_now_ns(b->sim) + SECOND);
	ck_assert_str_eq(b->said, said);
}

static enum sd_err look(struct sd_amqp_client *c, const struct sd_amqp_arg **answer, struct sd_error *e)
{
	struct sd_amqp_arg args[] = {{0}, {.s = BYTES("q")}, {.n = 1}, {0}, {0}, {0}, {0}, {0}};
	return sd_amqp_client_ask(c, SD_AMQP_QUEUE_DECLARE, args, SD_AMQP_QUEUE_DECLARE_OK, answer, e);
}

static void fails(struct sd_amqp_client *c, enum sd_err err, const char *text)
{
	struct sd_error e = {0};
	ck_assert_int_eq(look(c, NULL, &e), err);
	ck_assert_str_eq(e.text, text);
}

static const struct sd_amqp_event *event(struct sd_amqp_client *c, enum sd_amqp_event_kind kind)
{
	const struct sd_amqp_event *m = NULL;
	struct sd_error e = {0};
	ck_assert_msg(sd_amqp_client_next(c, 5 * SECOND, &m, &e) == SD_OK, "%s", e.text);
	ck_assert_int_eq(m->kind, kind);
	return m;
}

/* ---- the beginning ---- */

START_TEST(hello)
{
	struct sd_amqp_target to = target();
	struct sd_amqp_client *c;
	struct sd_error e = {0};
	ck_assert_msg(sd_amqp_client_open(b->world, &to, &c, &e) == SD_OK, "%s", e.text);
	ck_assert_str_eq(b->said, "connection.start-ok connection.tune-ok connection.open channel.open ");
	ck_assert(b->login_n == 4 && memcmp(b->login, "\0u\0p", 4) == 0);
	ck_assert(b->capable);
	ck_assert(b->tuned[0].n == 2047 && b->tuned[1].n == 131072 && b->tuned[2].n == 10);
	*b->said = '\0';
	sd_amqp_client_close(c);
	ck_assert_str_eq(b->said, "connection.close ");
}
END_TEST

/* Of two wishes the lower, where 0 is none. */
static const struct {
	uint32_t frame_max, heartbeat, tuned_frame, tuned_heartbeat;
} tunes[] = {{0, 60, 131072, 10}, {4096, 5, 4096, 5}, {1 << 20, 0, 131072, 0}};

START_TEST(tuning)
{
	b->frame_max = tunes[_i].frame_max;
	b->heartbeat = tunes[_i].heartbeat;
	struct sd_amqp_client *c = opened(NULL);
	ck_assert_uint_eq(b->tuned[1].n, tunes[_i].tuned_frame);
	ck_assert_uint_eq(b->tuned[2].n, tunes[_i].tuned_heartbeat);
	sd_amqp_client_close(c);
}
END_TEST

START_TEST(frames_too_small)
{
	b->frame_max = 4095;
	not_opened(SD_EPROTO, "the broker wants frames of at most 4095 bytes");
}
END_TEST

static void refuse_login(struct broker *unused, const struct sd_amqp_arg *args)
{
	(void)unused;
	(void)args;
	say_close(0, 403, "ACCESS_REFUSED - no");
}

static void hang_up(struct broker *unused, const struct sd_amqp_arg *args)
{
	(void)unused;
	(void)args;
	sd_stream_shutdown_write(b->stream);
}

START_TEST(not_let_in)
{
	b->steps = (const struct step[]){{SD_AMQP_CONNECTION_START_OK, refuse_login}, {0}};
	not_opened(SD_EPERM, "ACCESS_REFUSED - no");
	heard("connection.start-ok connection.close-ok ");
	b->steps = (const struct step[]){{SD_AMQP_CONNECTION_START_OK, hang_up}, {0}};
	b->greeted = false;
	not_opened(SD_EPERM, "the broker does not let u in");
}
END_TEST

static const struct {
	struct sd_slice greeting;
	enum sd_err err;
	const char *text;
} strangers[] = {
    {BYTES("AMQP\0\x01\0\0"), SD_EPROTO, "the server speaks AMQP 1-0-0, not 0-9-1"},
    {BYTES("HTTP/1.1 400 Bad Request\r\n\r\n"), SD_EPROTO, "what answers does not speak AMQP"},
    {BYTES("AMQP"), SD_ETIMEOUT, "no answer in time"},
    {BYTES("\x01\0\0\0\0\0\x04\0\x0a\0\x0a\xce"), SD_EPROTO, "the broker sent a method that is none"},
    {BYTES("\x01\0\0\0\0\0\x04\0\x0a\0\x0a!"), SD_EPROTO, "the broker sent a frame that does not end where it should"},
    {BYTES("\x01\0\0\0\0\0\x04\0\x0b\0\x0a\xce"), SD_EPROTO, "the broker sent a method that nobody knows"},
    {BYTES("\x01\0\0\0\0\0\x04\0\x0a\0\x33\xce"), SD_EPROTO, "the broker sent connection.close-ok, which nobody asked for"},
    {BYTES("\x01\0\0\0\x02\0\0"), SD_EPROTO, "the broker sent a frame that is larger than agreed on"},
    {BYTES("\x02\0\x01\0\0\0\0\xce"), SD_EPROTO, "the broker sent a header that belongs to no message"},
    {BYTES("\x03\0\x01\0\0\0\x01x\xce"), SD_EPROTO, "the broker sent a body that belongs to no message"},
};

START_TEST(who_is_no_broker)
{
	b->greeting = strangers[_i].greeting.p;
	b->greeting_n = strangers[_i].greeting.n;
	not_opened(strangers[_i].err, strangers[_i].text);
}
END_TEST

START_TEST(nobody_there)
{
	sd_listener_close(b->listener);
	b->listener = NULL;
	not_opened(SD_EREFUSED, "connection refused");
}
END_TEST

/* ---- asking ---- */

static void no_queue(struct broker *unused, const struct sd_amqp_arg *args)
{
	(void)unused;
	(void)args;
	say_close(1, 404, "NOT_FOUND - no queue 'q' in vhost '/v'");
}

START_TEST(channel_ends_and_begins_again)
{
	struct sd_amqp_client *c = opened((const struct step[]){{SD_AMQP_QUEUE_DECLARE, no_queue}, {0}});
	for (int i = 0; i < 2; i++)
		fails(c, SD_ENOTFOUND, "NOT_FOUND - no queue 'q' in vhost '/v'");
	sd_amqp_client_close(c);
	ck_assert_str_eq(b->said, "queue.declare channel.close-ok channel.open queue.declare channel.close-ok connection.close ");
}
END_TEST

static unsigned code;
static void say_code(struct broker *unused, const struct sd_amqp_arg *args)
{
	(void)unused;
	(void)args;
	say_close(1, code, "no");
}

START_TEST(codes_have_their_error)
{
	static const struct {
		unsigned code;
		enum sd_err err;
	} rows[] = {{403, SD_EPERM}, {404, SD_ENOTFOUND}, {405, SD_EINUSE}, {406, SD_EINVAL}, {311, SD_EPROTO}};
	struct sd_amqp_client *c = opened((const struct step[]){{SD_AMQP_QUEUE_DECLARE, say_code}, {0}});
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		code = rows[i].code;
		fails(c, rows[i].err, "no");
	}
	sd_amqp_client_close(c);
}
END_TEST

static void end_connection(struct broker *unused, const struct sd_amqp_arg *args)
{
	(void)unused;
	(void)args;
	say_close(0, 320, "CONNECTION_FORCED - bye");
}

START_TEST(connection_ends)
{
	struct sd_amqp_client *c = opened((const struct step[]){{SD_AMQP_QUEUE_DECLARE, end_connection}, {0}});
	fails(c, SD_ECANCELED, "CONNECTION_FORCED - bye");
	fails(c, SD_ECANCELED, "CONNECTION_FORCED - bye"); /* and stays so */
	sd_amqp_client_close(c);
	heard("queue.declare connection.close-ok ");
	b->greeted = false;
	c = opened((const struct step[]){{SD_AMQP_QUEUE_DECLARE, hang_up}, {0}});
	fails(c, SD_EEOF, "the broker closed the connection");
	sd_amqp_client_close(c);
}
END_TEST

static void nothing(struct broker *unused, const struct sd_amqp_arg *args)
{
	(void)unused;
	(void)args;
}

START_TEST(no_answer)
{
	struct sd_amqp_client *c = opened((const struct step[]){{SD_AMQP_QUEUE_DECLARE, nothing}, {0}});
	int64_t from = sd_sim_now_ns(b->sim);
	fails(c, SD_ETIMEOUT, "no answer in time");
	ck_assert_int_eq((sd_sim_now_ns(b->sim) - from) / SECOND, 5);
	sd_amqp_client_close(c);
}
END_TEST

/* ---- events ---- */

static void deliver_and_answer(struct broker *unused, const struct sd_amqp_arg *args)
{
	struct sd_amqp_arg ok[] = {{.s = args[1].s}, {.n = 5}, {.n = 2}};
	(void)unused;
	deliver(1, "first", sd_slice_of("one"));
	deliver(2, "second", sd_slice_of(""));
	say(1, SD_AMQP_QUEUE_DECLARE_OK, ok);
	deliver(3, "third", sd_slice_of("three is longer than a frame"));
}

START_TEST(events_wait_while_something_is_asked)
{
	static const char *const ids[] = {"first", "second", "third"}, *const bodies[] = {"one", "", "three is longer than a frame"};
	struct sd_amqp_client *c = opened((const struct step[]){{SD_AMQP_QUEUE_DECLARE, deliver_and_answer}, {0}});
	const struct sd_amqp_arg *a;
	const struct sd_amqp_event *m;
	struct sd_error e = {0};
	ck_assert_int_eq(look(c, &a, &e), SD_OK);
	ck_assert(sd_slice_eq(a[0].s, "q") && a[1].n == 5 && a[2].n == 2);
	for (uint64_t i = 0; i < 3; i++) {
		m = event(c, SD_AMQP_DELIVERED);
		ck_assert(m->tag == i + 1 && m->redelivered == (i == 1) && sd_slice_eq(m->body, bodies[i]));
		ck_assert(sd_slice_eq(m->text, "tag") && sd_slice_eq(m->exchange, "x") && sd_slice_eq(m->key, "k"));
		ck_assert(sd_slice_eq(m->properties.message_id, ids[i]) && m->raw.n == 3 + strlen(ids[i]));
	}
	ck_assert_int_eq(sd_amqp_client_next(c, SECOND, &m, &e), SD_ETIMEOUT);
	sd_amqp_client_close(c);
}
END_TEST

static int gets;
static void answer_get(struct broker *unused, const struct sd_amqp_arg *args)
{
	struct sd_amqp_arg ok[] = {{.n = 9}, {.n = 1}, {.s = BYTES("x")}, {.s = BYTES("k")}, {.n = 4}}, empty[] = {{0}};
	(void)unused;
	ck_assert(sd_slice_eq(args[1].s, "q") && !args[2].n);
	deliver(1, "other", sd_slice_of("for a consumer"));
	if (gets++ == 0)
		say_message(SD_AMQP_BASIC_GET_OK, ok, "got", sd_slice_of("body"), 4096);
	else
		say(1, SD_AMQP_BASIC_GET_EMPTY, empty);
}

START_TEST(get_one)
{
	struct sd_amqp_client *c = opened((const struct step[]){{SD_AMQP_BASIC_GET, answer_get}, {0}});
	const struct sd_amqp_event *m;
	struct sd_error e = {0};
	gets = 0;
	ck_assert_msg(sd_amqp_client_get(c, sd_slice_of("q"), false, &m, &e) == SD_OK, "%s", e.text);
	ck_assert(m && m->kind == SD_AMQP_GOT && m->tag == 9 && m->left == 4 && m->redelivered && sd_slice_eq(m->body, "body"));
	ck_assert_int_eq(sd_amqp_client_get(c, sd_slice_of("q"), false, &m, &e), SD_OK);
	ck_assert_ptr_null(m);
	ck_assert(sd_slice_eq(event(c, SD_AMQP_DELIVERED)->body, "for a consumer"));
	ck_assert(sd_slice_eq(event(c, SD_AMQP_DELIVERED)->body, "for a consumer"));
	sd_amqp_client_close(c);
}
END_TEST

static void words(struct broker *unused, const struct sd_amqp_arg *args)
{
	struct sd_amqp_arg ack[] = {{.n = 3}, {.n = 1}}, nack[] = {{.n = 4}, {0}, {0}}, cancel[] = {{.s = BYTES("tag")}, {.n = 1}};
	struct sd_amqp_arg reason[] = {{.s = BYTES("low on memory")}}, flow[] = {{.n = 0}};
	struct sd_amqp_arg back[] = {{.n = 312}, {.s = BYTES("NO_ROUTE")}, {.s = BYTES("x")}, {.s = BYTES("k")}};
	struct sd_amqp_arg ok[] = {{.s = args[1].s}, {0}, {0}};
	(void)unused;
	say(1, SD_AMQP_BASIC_ACK, ack);
	say(1, SD_AMQP_BASIC_NACK, nack);
	say_message(SD_AMQP_BASIC_RETURN, back, "lost", sd_slice_of("body"), 4096);
	say(1, SD_AMQP_CHANNEL_FLOW, flow);
	say(1, SD_AMQP_BASIC_CANCEL, cancel);
	cancel[1].n = 0;
	say(1, SD_AMQP_BASIC_CANCEL, cancel);
	say(0, SD_AMQP_CONNECTION_BLOCKED, reason);
	say(0, SD_AMQP_CONNECTION_UNBLOCKED, NULL);
	say(1, SD_AMQP_QUEUE_DECLARE_OK, ok);
}

START_TEST(what_a_broker_says_by_itself)
{
	struct sd_amqp_client *c = opened((const struct step[]){{SD_AMQP_QUEUE_DECLARE, words}, {0}});
	struct sd_error e = {0};
	ck_assert_msg(look(c, NULL, &e) == SD_OK, "%s", e.text);
	const struct sd_amqp_event *m = event(c, SD_AMQP_CONFIRMED);
	ck_assert(m->tag == 3 && m->multiple && !m->refused);
	m = event(c, SD_AMQP_CONFIRMED);
	ck_assert(m->tag == 4 && !m->multiple && m->refused);
	m = event(c, SD_AMQP_RETURNED);
	ck_assert(m->code == 312 && sd_slice_eq(m->text, "NO_ROUTE") && sd_slice_eq(m->exchange, "x") && sd_slice_eq(m->key, "k"));
	ck_assert(sd_slice_eq(m->properties.message_id, "lost") && sd_slice_eq(m->body, "body"));
	ck_assert(sd_slice_eq(event(c, SD_AMQP_CANCELLED)->text, "tag"));
	ck_assert(sd_slice_eq(event(c, SD_AMQP_CANCELLED)->text, "tag"));
	ck_assert(sd_slice_eq(event(c, SD_AMQP_BLOCKED)->text, "low on memory"));
	event(c, SD_AMQP_UNBLOCKED);
	sd_amqp_client_close(c);
	ck_assert_str_eq(b->said, "queue.declare channel.flow-ok basic.cancel-ok connection.close ");
}
END_TEST

START_TEST(a_body_leaves_in_frames)
{
	char body[10000] = {0};
	struct sd_error e = {0};
	const struct sd_amqp_event *m;
	b->frame_max = 4096;
	struct sd_amqp_client *c = opened(NULL);
	sd_amqp_client_publish(c, sd_slice_of("x"), sd_slice_of("k"), true, (struct sd_slice){"\0\0", 2}, (struct sd_slice){body, sizeof(body)});
	ck_assert_int_eq(sd_amqp_client_next(c, SECOND, &m, &e), SD_ETIMEOUT);
	ck_assert(b->bodies == 3 && b->body_bytes == sizeof(body) && b->largest == 4096);
	ck_assert_str_eq(b->said, "basic.publish ");
	sd_amqp_client_close(c);
}
END_TEST

/* ---- many on their way ---- */

struct flood {
	struct sd_amqp_client *c;
	uint64_t sent, safe;
};

#define FLOOD 3000

static void confirm(struct broker *unused, const struct sd_amqp_arg *args)
{
	static uint64_t n;
	n++;
	struct sd_amqp_arg ack[] = {{.n = n}, {.n = n % 7 == 0}};
	(void)unused;
	(void)args;
	if (n % 7 == 0 || n > FLOOD - 7)
		say(1, SD_AMQP_BASIC_ACK, ack);
}

static void send_one(struct flood *f)
{
	f->sent++;
	sd_amqp_client_publish(f->c, sd_slice_of(""), sd_slice_of("q"), false, (struct sd_slice){"\0\0", 2}, sd_slice_of("x"));
}

static void on_event(void *arg, const struct sd_amqp_event *m)
{
	struct flood *f = arg;
	ck_assert_int_eq(m->kind, SD_AMQP_CONFIRMED);
	ck_assert_uint_gt(m->tag, f->safe);
	f->safe = m->tag;
	while (f->sent < FLOOD && f->sent - f->safe < 100)
		send_one(f);
	if (f->safe == FLOOD)
		sd_amqp_client_stop(f->c);
}

START_TEST(thousands)
{
	struct flood f = {.c = opened((const struct step[]){{SD_AMQP_BASIC_PUBLISH, confirm}, {0}})};
	struct sd_error e = {0};
	while (f.sent < 100)
		send_one(&f);
	ck_assert_msg(sd_amqp_client_run(f.c, on_event, &f, 3600 * SECOND, &e) == SD_OK, "%s", e.text);
	ck_assert_uint_eq(f.safe, FLOOD);
	ck_assert_uint_eq(b->bodies, FLOOD);
	ck_assert_int_eq(sd_amqp_client_run(f.c, on_event, &f, SECOND, &e), SD_ETIMEOUT);
	sd_amqp_client_close(f.c);
}
END_TEST

/* ---- heartbeats ---- */

START_TEST(beats_while_nothing_is_said)
{
	const struct sd_amqp_event *m;
	struct sd_error e = {0};
	struct sd_amqp_client *c = opened(NULL);
	for (int i = 0; i < 100; i++) { /* what the broker says keeps it alive */
		sd_amqp_client_next(c, 10 * SECOND, &m, &e);
		struct sd_text t = {0};
		sd_amqp_put_heartbeat(&t);
		send_text(&t);
		sd_loop_flush(b->loop);
	}
	ck_assert_uint_ge(b->beats, 195); /* one each 5 s */
	ck_assert_uint_le(b->beats, 205);
	sd_amqp_client_close(c);
}
END_TEST

START_TEST(silence_is_the_end)
{
	const struct sd_amqp_event *m;
	struct sd_error e = {0};
	struct sd_amqp_client *c = opened(NULL);
	int64_t from = sd_sim_now_ns(b->sim);
	b->silent = true;
	ck_assert_int_eq(sd_amqp_client_next(c, SD_NEVER, &m, &e), SD_ETIMEOUT);
	ck_assert_str_eq(e.text, "the broker is silent: no heartbeat");
	ck_assert_int_ge(sd_sim_now_ns(b->sim) - from, 20 * SECOND);
	ck_assert_int_le(sd_sim_now_ns(b->sim) - from, 26 * SECOND);
	sd_amqp_client_close(c);
}
END_TEST

START_TEST(none_where_none_were_agreed_on)
{
	const struct sd_amqp_event *m;
	struct sd_error e = {0};
	b->heartbeat = 0;
	struct sd_amqp_client *c = opened(NULL);
	ck_assert_int_eq(sd_amqp_client_next(c, 1000 * SECOND, &m, &e), SD_ETIMEOUT);
	ck_assert_str_eq(e.text, "no answer in time");
	ck_assert_uint_eq(b->beats, 0);
	sd_amqp_client_close(c);
}
END_TEST

#define COUNT(array) ((int)(sizeof(array) / sizeof((array)[0])))

/* ---- a link: the same on a loop that has other things to do ---- */

static struct rider {
	struct sd_loop *loop;
	struct sd_amqp_link *k;
	enum sd_err answers[300];
	unsigned answered[300], ups, downs, deliveries;
	bool discard;
	char why[256], delivered[64];
} rider;

static void on_up(void *arg)
{
	(void)arg;
	rider.ups++;
}

static void on_down(void *arg, const char *why)
{
	(void)arg;
	rider.downs++;
	snprintf(rider.why, sizeof(rider.why), "%s", why);
}

static void on_delivered(void *arg, const struct sd_amqp_event *ev)
{
	(void)arg;
	rider.deliveries++;
	snprintf(rider.delivered, sizeof(rider.delivered), "%.*s", (int)ev->body.n, ev->body.p);
	if (rider.discard)
		sd_amqp_link_discard(rider.k, ev->tag);
	else
		sd_amqp_link_ack(rider.k, ev->tag, false);
}

static void on_answered(void *arg, enum sd_err err)
{
	size_t i = (size_t)((const char *)arg - rider.delivered);
	rider.answers[i] = err;
	rider.answered[i]++;
}

static const struct sd_amqp_arg select_args[] = {{0}};
static const struct sd_amqp_arg consume_args[] = {{0}, {.s = BYTES("q")}, {.s = BYTES("c")}, {0}, {0}, {0}, {0}, {0}};
static const struct sd_amqp_link_ask publishes[] = {{SD_AMQP_CONFIRM_SELECT, select_args, SD_AMQP_CONFIRM_SELECT_OK}, {0}};
static const struct sd_amqp_link_ask consumes[] = {{SD_AMQP_BASIC_CONSUME, consume_args, SD_AMQP_BASIC_CONSUME_OK}, {0}};

static void on_select(struct broker *unused, const struct sd_amqp_arg *args)
{
	(void)unused;
	(void)args;
	say(1, SD_AMQP_CONFIRM_SELECT_OK, NULL);
}

/* The first delivery comes in the same bytes as the answer. */
static void on_consume(struct broker *unused, const struct sd_amqp_arg *args)
{
	(void)unused;
	(void)args;
	say(1, SD_AMQP_BASIC_CONSUME_OK, (const struct sd_amqp_arg[]){{.s = BYTES("c")}});
	deliver(1, "m", (struct sd_slice)BYTES("first one of them"));
}

static void on_refuse(struct broker *unused, const struct sd_amqp_arg *args)
{
	(void)unused;
	(void)args;
	say_close(1, 404, "NOT_FOUND - no queue 'q'");
}

static const struct step link_steps[] = {{SD_AMQP_CONFIRM_SELECT, on_select}, {SD_AMQP_BASIC_CONSUME, on_consume}, {0}};

static void pass(int64_t ns)
{
	sd_sim_run_to(b->sim, sd_sim_now_ns(b->sim) + ns);
}

static void ride(const struct sd_amqp_link_ask *asks, const struct step *steps)
{
	struct sd_amqp_link_conf conf = sd_amqp_link_defaults;
	struct sd_error e = {0};
	rider = (struct rider){.loop = sd_loop_new(b->world, &e)};
	ck_assert_int_eq(sd_loop_start(rider.loop, "rider", &e), SD_OK);
	b->steps = steps;
	conf.to = target();
	conf.setup = asks;
	conf.most = 4;
	conf.up = on_up;
	conf.down = on_down;
	conf.delivered = on_delivered;
	rider.k = sd_amqp_link_open(rider.loop, &conf);
	ck_assert_ptr_nonnull(rider.k);
	pass(SECOND);
}

static void get_off(void)
{
	sd_amqp_link_close(rider.k);
	sd_loop_stop(rider.loop);
	sd_loop_join(rider.loop);
	sd_loop_flush(rider.loop);
	sd_loop_free(rider.loop);
}

/* Publication number i of the test. */
static enum sd_err publish(size_t i)
{
	enum sd_err err = sd_amqp_link_publish(rider.k, (struct sd_slice)BYTES(""), (struct sd_slice)BYTES("q"), (struct sd_slice)BYTES("\0\0"),
					       (struct sd_slice)BYTES("x"), on_answered, rider.delivered + i);
	sd_loop_flush(rider.loop);
	return err;
}

static void told(uint64_t tag, bool multiple, bool refused)
{
	struct sd_amqp_arg args[] = {{.n = tag}, {.n = multiple}, {0}};
	say(1, refused ? SD_AMQP_BASIC_NACK : SD_AMQP_BASIC_ACK, args);
	sd_loop_flush(b->loop);
	pass(SECOND);
}

static void lost_connection(void)
{
	sd_stream_close(b->stream);
	b->stream = NULL;
	b->greeted = false;
	sd_loop_flush(b->loop);
	pass(SECOND);
}

START_TEST(each_publication_is_answered_once)
{
	ride(publishes, link_steps);
	ck_assert_msg(rider.ups == 1 && sd_amqp_link_stands(rider.k), "%s", rider.why);
	for (size_t i = 0; i < 4; i++)
		ck_assert_int_eq(publish(i), SD_OK);
	ck_assert_int_eq(publish(4), SD_EAGAIN); /* so many may be on their way */
	told(3, false, false);
	ck_assert_uint_eq(rider.answered[2], 1);
	ck_assert_int_eq(publish(4), SD_EAGAIN); /* the oldest is still on its way */
	told(2, true, false);
	ck_assert(rider.answered[0] == 1 && rider.answered[1] == 1 && rider.answered[2] == 1 && rider.answered[3] == 0);
	for (size_t i = 4; i < 7; i++)
		ck_assert_int_eq(publish(i), SD_OK);
	told(4, false, true);
	told(99, true, false);	/* of nobody */
	told(2, false, false);	/* again */
	told(6, true, false);
	for (size_t i = 0; i < 6; i++) {
		ck_assert_uint_eq(rider.answered[i], 1);
		ck_assert_int_eq(rider.answers[i], i == 3 ? SD_EAGAIN : SD_OK);
	}
	ck_assert_uint_eq(sd_amqp_link_waiting(rider.k), 1);
	get_off();
	ck_assert(rider.answered[6] == 1 && rider.answers[6] == SD_ECANCELED);
}
END_TEST

START_TEST(a_link_comes_back)
{
	ride(publishes, link_steps);
	ck_assert_int_eq(publish(0), SD_OK);
	ck_assert_int_eq(publish(1), SD_OK);
	pass(SECOND);
	told(2, false, false);
	lost_connection();
	ck_assert(rider.answered[0] == 1 && rider.answers[0] == SD_ERESET);
	ck_assert(rider.answered[1] == 1 && rider.answers[1] == SD_OK);
	ck_assert_uint_eq(rider.downs, 1);
	ck_assert_str_eq(rider.why, "the broker closed the connection");
	pass(10 * SECOND);
	ck_assert_uint_eq(rider.ups, 2);
	ck_assert_int_eq(publish(2), SD_OK); /* numbers begin again */
	pass(SECOND);
	told(1, false, false);
	ck_assert(rider.answered[2] == 1 && rider.answers[2] == SD_OK);
	get_off();
}
END_TEST

START_TEST(a_blocked_link_takes_nothing)
{
	ride(publishes, link_steps);
	say(0, SD_AMQP_CONNECTION_BLOCKED, (const struct sd_amqp_arg[]){{.s = BYTES("low on disk")}});
	sd_loop_flush(b->loop);
	pass(SECOND);
	ck_assert(sd_amqp_link_blocked(rider.k));
	ck_assert_int_eq(publish(0), SD_EAGAIN);
	say(0, SD_AMQP_CONNECTION_UNBLOCKED, NULL);
	sd_loop_flush(b->loop);
	pass(SECOND);
	ck_assert_int_eq(publish(0), SD_OK);
	get_off();
}
END_TEST

START_TEST(a_link_consumes)
{
	for (int discard = 0; discard < 2; discard++) {
		rider.discard = false;
		ride(consumes, link_steps);
		ck_assert_uint_eq(rider.deliveries, 1);
		ck_assert_str_eq(rider.delivered, "first one of them");
		ck_assert_str_eq(b->said, "connection.start-ok connection.tune-ok connection.open channel.open basic.consume basic.ack ");
		rider.discard = discard;
		*b->said = '\0';
		deliver(2, "m", (struct sd_slice)BYTES("and another"));
		sd_loop_flush(b->loop);
		heard(discard ? "basic.reject " : "basic.ack ");
		get_off();
		lost_connection();
		*b->said = '\0';
	}
}
END_TEST

START_TEST(a_link_that_is_refused)
{
	static const struct step steps[] = {{SD_AMQP_BASIC_CONSUME, on_refuse}, {0}};
	ride(consumes, steps);
	ck_assert_uint_eq(rider.downs, 1);
	ck_assert_uint_eq(rider.ups, 0);
	ck_assert_str_eq(rider.why, "NOT_FOUND - no queue 'q'");
	ck_assert_int_eq(publish(0), SD_EUNREACHABLE);
	b->steps = link_steps;
	b->greeted = false;
	pass(10 * SECOND);
	ck_assert_uint_eq(rider.ups, 1);
	get_off();
}
END_TEST

START_TEST(a_silent_broker_is_left)
{
	ride(publishes, link_steps);
	b->heartbeat = 10;
	b->silent = true;
	pass(60 * SECOND);
	ck_assert_uint_eq(rider.downs, 1);
	ck_assert_str_eq(rider.why, "the broker is silent: no heartbeat");
	get_off();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("amqp_client");
	TCase *t = tcase_create("client");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, hello);
	tcase_add_loop_test(t, tuning, 0, COUNT(tunes));
	tcase_add_test(t, frames_too_small);
	tcase_add_test(t, not_let_in);
	tcase_add_loop_test(t, who_is_no_broker, 0, COUNT(strangers));
	tcase_add_test(t, nobody_there);
	tcase_add_test(t, channel_ends_and_begins_again);
	tcase_add_test(t, codes_have_their_error);
	tcase_add_test(t, connection_ends);
	tcase_add_test(t, no_answer);
	tcase_add_test(t, events_wait_while_something_is_asked);
	tcase_add_test(t, get_one);
	tcase_add_test(t, what_a_broker_says_by_itself);
	tcase_add_test(t, a_body_leaves_in_frames);
	tcase_add_test(t, thousands);
	tcase_add_test(t, beats_while_nothing_is_said);
	tcase_add_test(t, silence_is_the_end);
	tcase_add_test(t, none_where_none_were_agreed_on);
	suite_add_tcase(s, t);
	t = tcase_create("link");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, each_publication_is_answered_once);
	tcase_add_test(t, a_link_comes_back);
	tcase_add_test(t, a_blocked_link_takes_nothing);
	tcase_add_test(t, a_link_consumes);
	tcase_add_test(t, a_link_that_is_refused);
	tcase_add_test(t, a_silent_broker_is_left);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
