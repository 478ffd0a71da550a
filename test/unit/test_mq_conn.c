/* AMQP connections of the broker, without a socket and with a clock of their own: what must hold whatever the pieces are in which bytes
 * come. What each method answers is compared with RabbitMQ in test/interop/mq.sh. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../applets/mq/amqp/mq_conn.h"
#include "core/bytes.h"

static struct mq *mq;
static struct mq_users *users;
static struct mq_hub hub;
static struct mq_conn conn, other;
static int64_t now;
static struct sd_text said; /* what the client says next */
static unsigned woken;

static void on_wake(struct mq_conn *c)
{
	(void)c;
	woken++;
}

static void setup(void)
{
	struct mq_conf conf = mq_conf_default();
	struct mq_journal none = {0};
	struct sd_error e;
	uint64_t n;
	now = 1000;
	conf.message_max = 1000000;
	mq = mq_new(&conf, &none, 7, now, 1700000000000);
	mq_restore_end(mq, &n, &n);
	users = mq_users_new();
	mq_users_add(users, &(struct mq_user_spec){.name = "guest", .password = "guest", .local_only = true}, &e);
	mq_users_add(users, &(struct mq_user_spec){.name = "shop", .password = "s", .patterns = {"^shop", "^shop|amq\\.default", "^shop"}}, &e);
	mq_hub_init(&hub, mq, users);
	hub.wake = on_wake;
	mq_conn_begin(&conn, &hub, "test", true, now);
	mq_conn_begin(&other, &hub, "other", false, now);
	said = (struct sd_text){0};
}

static void teardown(void)
{
	mq_conn_end(&conn);
	mq_conn_end(&other);
	mq_free(mq);
	mq_users_free(users);
	free(said.p);
}

/* ---- saying ---- */

#define NAME(text) {.s = {text, sizeof(text) - 1}}
#define SAY(channel, id, ...) sd_amqp_put_method(&said, channel, SD_AMQP_##id, (struct sd_amqp_arg[SD_AMQP_ARGS]){__VA_ARGS__})

static void say_header(void)
{
	sd_text_add(&said, SD_AMQP_PROTOCOL, 8);
}

static void say_start_ok(const char *user, const char *password, const char *capability)
{
	struct sd_text t = {0}, response = {0};
	size_t at = sd_amqp_begin_field(&t, "capabilities", 'F');
	if (capability)
		sd_amqp_put_bool(&t, capability, true);
	sd_amqp_end_field(&t, at);
	sd_text_add(&response, "", 1);
	sd_text_add(&response, user, strlen(user) + 1);
	sd_text_add(&response, password, strlen(password));
	SAY(0, CONNECTION_START_OK, {.s = {t.p, t.n}}, NAME("PLAIN"), {.s = {response.p, response.n}}, NAME("en_US"));
	free(t.p);
	free(response.p);
}

static void say_login(const char *user, const char *password, unsigned heartbeat)
{
	say_header();
	say_start_ok(user, password, "connection.blocked");
	SAY(0, CONNECTION_TUNE_OK, {.n = 2047}, {.n = 4096}, {.n = heartbeat});
	SAY(0, CONNECTION_OPEN, NAME("/"));
	SAY(1, CHANNEL_OPEN, {.n = 0});
}

static void say_publish(const char *queue, const char *body, size_t n)
{
	static const char no_properties[2];
	SAY(1, BASIC_PUBLISH, {.n = 0}, {.n = 0}, {.s = {queue, strlen(queue)}});
	sd_amqp_put_header(&said, 1, n, (struct sd_slice){no_properties, 2});
	sd_amqp_put_body(&said, 1, (struct sd_slice){body, n}, 4096);
}

/* In pieces of so many bytes, as a stream would hand them over: what is not taken comes again, with more. How many were not. */
static size_t hear(struct mq_conn *c, size_t piece)
{
	size_t at = 0, end = 0;
	while (end < said.n) {
		end = said.n - end < piece ? said.n : end + piece;
		at += mq_conn_input(c, said.p + at, end - at, now);
	}
	size_t left = said.n - at;
	memmove(said.p, said.p + at, left);
	said.n = left;
	mq_turn(mq);
	return left;
}

/* ---- what comes back ---- */

struct heard {
	uint32_t id; /* 0: not a method */
	struct sd_amqp_frame frame;
	struct sd_amqp_arg a[SD_AMQP_ARGS];
};

/* The next frame of what is to be sent. */
static bool next(struct sd_slice *in, struct heard *h)
{
	const struct sd_amqp_method_info *info;
	h->id = 0;
	if (sd_amqp_take(in, 0, &h->frame) != SD_AMQP_TOOK)
		return false;
	if (h->frame.type == SD_AMQP_METHOD)
		ck_assert_int_eq(sd_amqp_get_method(h->frame.payload, &h->id, &info, h->a), SD_AMQP_READ);
	return true;
}

static struct sd_slice out_of(struct mq_conn *c)
{
	return (struct sd_slice){c->out.p, c->out.n};
}

static void sent(struct mq_conn *c)
{
	c->out.n = 0;
	mq_conn_sent(c, 0, now);
}

/* Is the last method this one? */
static bool ends_with(struct mq_conn *c, uint32_t id, struct heard *h)
{
	struct sd_slice in = out_of(c);
	uint32_t last = 0;
	struct heard one;
	while (next(&in, &one))
		if (one.id) {
			*h = one;
			last = one.id;
		}
	return last == id;
}

static void log_in(struct mq_conn *c, const char *user, const char *password, unsigned heartbeat)
{
	struct heard h;
	say_login(user, password, heartbeat);
	ck_assert_uint_eq(hear(c, 1 << 20), 0);
	ck_assert(ends_with(c, SD_AMQP_CHANNEL_OPEN_OK, &h));
	ck_assert_int_eq(c->state, MQ_CONN_RUNNING);
	sent(c);
}

/* ---- tests ---- */

static size_t messages(const char *queue)
{
	const struct mq_queue *q = mq_queue_find(mq_vhost_find(mq, sd_slice_of("/")), sd_slice_of(queue));
	return q ? q->nready + q->nunacked : SIZE_MAX;
}

static const size_t pieces[] = {1, 2, 7, 8, 9, 100, 4095, 4104, 1 << 20};

START_TEST(bytes_in_any_pieces)
{
	static char body[10000];
	struct heard h;
	memset(body, 'b', sizeof(body));
	say_login("guest", "guest", 0);
	SAY(1, QUEUE_DECLARE, {.n = 0}, NAME("q"));
	say_publish("q", body, sizeof(body));
	sd_amqp_put_heartbeat(&said);
	say_publish("q", "", 0);
	say_publish("q", "x", 1);
	SAY(1, BASIC_GET, {.n = 0}, NAME("q"), {.n = 1});
	ck_assert_uint_eq(hear(&conn, pieces[_i]), 0);
	ck_assert(ends_with(&conn, SD_AMQP_BASIC_GET_OK, &h));
	ck_assert_uint_eq(h.a[4].n, 2);
	ck_assert_uint_eq(messages("q"), 2);
	struct sd_slice in = out_of(&conn);
	size_t bytes = 0;
	while (next(&in, &h)) {
		ck_assert_uint_le(h.frame.payload.n + 8, 4096);
		bytes += h.frame.type == SD_AMQP_BODY ? h.frame.payload.n : 0;
	}
	ck_assert_uint_eq(bytes, sizeof(body));
	ck_assert_uint_eq(in.n, 0);
}
END_TEST

START_TEST(heartbeats)
{
	log_in(&conn, "guest", "guest", 10);
	ck_assert_int_eq(mq_conn_next(&conn), now + 5000);
	now += 4999;
	mq_conn_time(&conn, now);
	ck_assert_uint_eq(conn.out.n, 0);
	now += 1;
	mq_conn_time(&conn, now);
	ck_assert_mem_eq(conn.out.p, "\x08\0\0\0\0\0\0\xce", 8);
	sent(&conn);
	sd_amqp_put_heartbeat(&said);
	hear(&conn, 8);
	now += 19999;
	mq_conn_time(&conn, now);
	ck_assert_int_eq(conn.state, MQ_CONN_RUNNING);
	sent(&conn);
	now += 1;
	mq_conn_time(&conn, now);
	ck_assert_int_eq(conn.state, MQ_CONN_CLOSED);
}
END_TEST

START_TEST(no_heartbeats)
{
	log_in(&conn, "guest", "guest", 0);
	ck_assert_int_eq(mq_conn_next(&conn), MQ_CONN_NEVER);
	now += 1000000000;
	mq_conn_time(&conn, now);
	ck_assert_int_eq(conn.state, MQ_CONN_RUNNING);
	ck_assert_uint_eq(conn.out.n, 0);
}
END_TEST

START_TEST(a_handshake_that_takes_too_long)
{
	say_header();
	hear(&conn, 3);
	ck_assert_int_eq(conn.state, MQ_CONN_STARTING);
	now += 9999;
	mq_conn_time(&conn, now);
	ck_assert_int_eq(conn.state, MQ_CONN_STARTING);
	now += 1;
	mq_conn_time(&conn, now);
	ck_assert_int_eq(conn.state, MQ_CONN_CLOSED);
}
END_TEST

START_TEST(guest_is_from_here)
{
	struct heard h;
	say_header();
	say_start_ok("guest", "guest", "authentication_failure_close");
	hear(&other, 1 << 20);
	ck_assert(ends_with(&other, SD_AMQP_CONNECTION_CLOSE, &h));
	ck_assert_uint_eq(h.a[0].n, 403);
	ck_assert_uint_eq(hub.count.refused, 1);
	log_in(&conn, "guest", "guest", 0);
}
END_TEST

START_TEST(rights)
{
	struct heard h;
	log_in(&other, "shop", "s", 0);
	SAY(1, QUEUE_DECLARE, {.n = 0}, NAME("shop.orders"));
	hear(&other, 1 << 20);
	ck_assert(ends_with(&other, SD_AMQP_QUEUE_DECLARE_OK, &h));
	SAY(1, QUEUE_DECLARE, {.n = 0}, NAME("mine"));
	hear(&other, 1 << 20);
	ck_assert(ends_with(&other, SD_AMQP_CHANNEL_CLOSE, &h));
	ck_assert(sd_slice_eq(h.a[1].s, "ACCESS_REFUSED - access to queue 'mine' in vhost '/' refused for user 'shop'"));
	ck_assert_uint_eq(messages("mine"), SIZE_MAX);
	SAY(1, CHANNEL_CLOSE_OK, {.n = 0});
	SAY(1, CHANNEL_OPEN, {.n = 0});
	say_publish("shop.orders", "x", 1);
	SAY(1, BASIC_PUBLISH, {.n = 0}, NAME("amq.direct"), NAME("k"));
	hear(&other, 1 << 20);
	ck_assert(ends_with(&other, SD_AMQP_CHANNEL_CLOSE, &h));
	ck_assert(sd_slice_eq(h.a[1].s, "ACCESS_REFUSED - access to exchange 'amq.direct' in vhost '/' refused for user 'shop'"));
	ck_assert_uint_eq(messages("shop.orders"), 1);
}
END_TEST

/* Publications wait, what stands in front of them does not. */
START_TEST(publishers_wait)
{
	struct heard h;
	log_in(&conn, "guest", "guest", 10);
	SAY(1, QUEUE_DECLARE, {.n = 0}, NAME("q"));
	say_publish("q", "one", 3);
	hear(&conn, 1 << 20);
	sent(&conn);
	mq_hub_block(&hub, "low on disk");
	ck_assert(ends_with(&conn, SD_AMQP_CONNECTION_BLOCKED, &h));
	ck_assert(sd_slice_eq(h.a[0].s, "low on disk"));
	ck_assert_uint_eq(other.out.n, 0); /* it never published */
	sent(&conn);
	SAY(1, BASIC_GET, {.n = 0}, NAME("q"), {.n = 1});
	size_t before = said.n;
	say_publish("q", "two", 3);
	SAY(1, BASIC_GET, {.n = 0}, NAME("q"), {.n = 1});
	size_t after = said.n - before;
	ck_assert_uint_eq(hear(&conn, 1 << 20), after);
	ck_assert(ends_with(&conn, SD_AMQP_BASIC_GET_OK, &h));
	ck_assert_uint_eq(hub.nblocked, 1);
	now += 1000000; /* its heartbeats are among what is not read */
	mq_conn_time(&conn, now);
	ck_assert_int_eq(conn.state, MQ_CONN_RUNNING);
	sent(&conn);
	mq_hub_block(&hub, NULL);
	ck_assert(ends_with(&conn, SD_AMQP_CONNECTION_UNBLOCKED, &h));
	ck_assert_uint_eq(hear(&conn, 1 << 20), 0);
	ck_assert(ends_with(&conn, SD_AMQP_BASIC_GET_OK, &h));
	ck_assert_uint_eq(hub.nblocked, 0);
}
END_TEST

/* Somebody who does not read gets no more than fits. */
START_TEST(deliveries_wait_for_room)
{
	static char body[1000];
	log_in(&conn, "guest", "guest", 0);
	SAY(1, QUEUE_DECLARE, {.n = 0}, NAME("q"));
	for (int i = 0; i < 2000; i++)
		say_publish("q", body, sizeof(body));
	SAY(1, BASIC_CONSUME, {.n = 0}, NAME("q"), NAME("c"), {.n = 0}, {.n = 1});
	hear(&conn, 1 << 24);
	for (int i = 0; i < 20; i++)
		mq_turn(mq);
	size_t first = conn.out.n;
	ck_assert_uint_ge(first, 256 * 1024);
	ck_assert_uint_le(first, 300 * 1024);
	conn.out.n = 0;
	mq_conn_sent(&conn, first, now); /* nothing of it is on its way yet */
	mq_turn(mq);
	ck_assert_uint_eq(conn.out.n, 0);
	mq_conn_sent(&conn, 0, now);
	mq_turn(mq);
	ck_assert_uint_gt(conn.out.n, 0);
	for (int i = 0; i < 20; i++) {
		sent(&conn);
		mq_turn(mq);
	}
	ck_assert_uint_eq(messages("q"), 0);
}
END_TEST

/* What a connection had goes back when it ends, however it ends. */
START_TEST(an_end_gives_back)
{
	log_in(&conn, "guest", "guest", 0);
	SAY(1, QUEUE_DECLARE, {.n = 0}, NAME("q"));
	SAY(1, QUEUE_DECLARE, {.n = 0}, NAME("mine"), {.n = 0}, {.n = 0}, {.n = 1});
	say_publish("q", "x", 1);
	SAY(1, BASIC_GET, {.n = 0}, NAME("q"), {.n = 0});
	if (_i == 0)
		SAY(0, CONNECTION_CLOSE, {.n = 200});
	hear(&conn, 1 << 20);
	if (_i == 1)
		mq_conn_shut(&conn, now);
	mq_conn_end(&conn);
	mq_conn_begin(&conn, &hub, "again", true, now);
	const struct mq_queue *q = mq_queue_find(mq_vhost_find(mq, sd_slice_of("/")), sd_slice_of("q"));
	ck_assert_uint_eq(q->nready, 1);
	ck_assert_uint_eq(q->nunacked, 0);
	ck_assert_uint_eq(messages("mine"), SIZE_MAX);
	ck_assert_uint_eq(hub.nchannels, 0);
}
END_TEST

/* Its close-ok comes behind the answer to the client's close, and its number can be used again. */
START_TEST(both_close_a_channel)
{
	struct heard h;
	log_in(&conn, "guest", "guest", 0);
	SAY(1, QUEUE_PURGE, {.n = 0}, NAME("not there"));
	SAY(1, CHANNEL_CLOSE, {.n = 200});
	hear(&conn, 1 << 20);
	ck_assert(ends_with(&conn, SD_AMQP_CHANNEL_CLOSE_OK, &h));
	if (_i == 0)
		SAY(1, CHANNEL_CLOSE_OK, {.n = 0});
	SAY(1, CHANNEL_OPEN, {.n = 0});
	hear(&conn, 1 << 20);
	ck_assert(ends_with(&conn, SD_AMQP_CHANNEL_OPEN_OK, &h));
	ck_assert_int_eq(conn.state, MQ_CONN_RUNNING);
	ck_assert_uint_eq(hub.nchannels, 1);
}
END_TEST

START_TEST(words_at_the_end)
{
	struct heard h;
	log_in(&conn, "guest", "guest", 0);
	mq_conn_shut(&conn, now);
	ck_assert(ends_with(&conn, SD_AMQP_CONNECTION_CLOSE, &h));
	ck_assert_uint_eq(h.a[0].n, 320);
	ck_assert(sd_slice_eq(h.a[1].s, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"));
	SAY(1, QUEUE_DECLARE, {.n = 0}, NAME("late"));
	hear(&conn, 1 << 20);
	ck_assert_uint_eq(messages("late"), SIZE_MAX);
	ck_assert_int_eq(conn.state, MQ_CONN_CLOSING);
	now += 10000;
	mq_conn_time(&conn, now);
	ck_assert_int_eq(conn.state, MQ_CONN_CLOSED);
}
END_TEST

/* Where RabbitMQ ends the connection without a word. */
START_TEST(words_of_our_own)
{
	static const struct {
		const char *payload;
		size_t n;
		const char *text;
	} bad[] = {
	    {"\0\x3c\0\x63", 4, "COMMAND_INVALID - no method 99 of class 60"},
	    {"\0\x63\0\x01", 4, "COMMAND_INVALID - no method 1 of class 99"},
	    {"\0\x32\0\x0a\0\0\1qx\0\0\0\6\1xI\0\0\0", 19, "FRAME_ERROR - cannot decode <<0,0,1,113,120,0,0,0,6,1,120,73,0,0,0>>"},
	};
	struct heard h;
	log_in(&conn, "guest", "guest", 0);
	size_t at = sd_amqp_begin(&said, SD_AMQP_METHOD, 1);
	sd_text_add(&said, bad[_i].payload, bad[_i].n);
	sd_amqp_end(&said, at);
	hear(&conn, 1 << 20);
	ck_assert(ends_with(&conn, SD_AMQP_CONNECTION_CLOSE, &h));
	char text[256];
	snprintf(text, sizeof(text), "%.*s", (int)h.a[1].s.n, h.a[1].s.p);
	ck_assert_str_eq(text, bad[_i].text);
}
END_TEST

START_TEST(more_body_than_was_said)
{
	static const char no_properties[2];
	struct heard h;
	log_in(&conn, "guest", "guest", 0);
	SAY(1, BASIC_PUBLISH, {.n = 0}, {.n = 0}, NAME("q"));
	sd_amqp_put_header(&said, 1, 3, (struct sd_slice){no_properties, 2});
	sd_amqp_put_body(&said, 1, (struct sd_slice){"ab", 2}, 4096);
	sd_amqp_put_body(&said, 1, (struct sd_slice){"cd", 2}, 4096);
	hear(&conn, 1 << 20);
	ck_assert(ends_with(&conn, SD_AMQP_CONNECTION_CLOSE, &h));
	ck_assert(sd_slice_eq(h.a[1].s, "FRAME_ERROR - expected 1 more octets of content, got 2"));
}
END_TEST

static void extend(const char *tag, int64_t ms)
{
	struct sd_text headers = {0}, raw = {0};
	sd_amqp_put_int(&headers, tag, 1);
	sd_amqp_put_int(&headers, "ms", ms);
	sd_amqp_put_properties(&raw, &(struct sd_amqp_properties){.has = SD_AMQP_HEADERS, .headers = {headers.p, headers.n}});
	SAY(1, BASIC_PUBLISH, {.n = 0}, {.n = 0}, NAME("amq.sdlab.extend"));
	sd_amqp_put_header(&said, 1, 0, (struct sd_slice){raw.p, raw.n});
	free(headers.p);
	free(raw.p);
}

static void pass(int64_t ms)
{
	now += ms;
	mq_time(mq, now, 1700000000000 + now - 1000);
	mq_turn(mq);
}

START_TEST(more_time_for_a_message)
{
	struct heard h;
	log_in(&conn, "guest", "guest", 0);
	mq->conf.visibility_ms = 1000;
	SAY(1, QUEUE_DECLARE, {.n = 0}, NAME("q"));
	say_publish("q", "x", 1);
	SAY(1, BASIC_GET, {.n = 0}, NAME("q"), {.n = 0});
	extend("delivery-tag", 5000);
	hear(&conn, 1 << 20);
	const struct mq_queue *q = mq_queue_find(mq_vhost_find(mq, sd_slice_of("/")), sd_slice_of("q"));
	pass(4900);
	ck_assert_uint_eq(q->nunacked, 1);
	pass(200);
	ck_assert_uint_eq(q->nunacked, 0);
	extend("no tag", 5000);
	hear(&conn, 1 << 20);
	ck_assert(ends_with(&conn, SD_AMQP_CHANNEL_CLOSE, &h));
	ck_assert_uint_eq(h.a[0].n, 406);
}
END_TEST

#define COUNT(a) ((int)(sizeof(a) / sizeof((a)[0])))

int main(void)
{
	Suite *suite = suite_create("mq_conn");
	TCase *t = tcase_create("all");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_loop_test(t, bytes_in_any_pieces, 0, COUNT(pieces));
	tcase_add_test(t, heartbeats);
	tcase_add_test(t, no_heartbeats);
	tcase_add_test(t, a_handshake_that_takes_too_long);
	tcase_add_test(t, guest_is_from_here);
	tcase_add_test(t, rights);
	tcase_add_test(t, publishers_wait);
	tcase_add_test(t, deliveries_wait_for_room);
	tcase_add_loop_test(t, an_end_gives_back, 0, 3);
	tcase_add_loop_test(t, both_close_a_channel, 0, 2);
	tcase_add_test(t, words_at_the_end);
	tcase_add_loop_test(t, words_of_our_own, 0, 3);
	tcase_add_test(t, more_body_than_was_said);
	tcase_add_test(t, more_time_for_a_message);
	suite_add_tcase(suite, t);
	SRunner *r = srunner_create(suite);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? 1 : 0;
}
