/* The HTTP API of the broker without HTTP: what rabbitmqadmin and curl ask for, with the engine behind it. */
#include <check.h>
#include <cjson/cJSON.h>
#include <stdio.h>
#include <stdlib.h>

#include "../../applets/mq/http/mq_api.h"

static struct mq *mq;
static struct mq_api *api;
static struct answer {
	struct mq_api_wait wait;
	bool answered;
	int status;
	cJSON *tree;
} last;

static void on_answer(struct mq_api_wait *w, int status, cJSON *tree)
{
	(void)w;
	last.answered = true;
	last.status = status;
	last.tree = tree;
}

static void set_up(void)
{
	struct mq_conf conf = mq_conf_default();
	struct mq_journal none = {0};
	mq = mq_new(&conf, &none, 1, 1000, 1700000000000);
	ck_assert_ptr_nonnull(mq);
	api = mq_api_new(&(struct mq_api_conf){.mq = mq});
	ck_assert_ptr_nonnull(api);
}

static void forget_answer(void)
{
	cJSON_Delete(last.tree);
	last = (struct answer){.wait.answer = on_answer};
}

static void tear_down(void)
{
	forget_answer();
	mq_api_free(api);
	mq_free(mq);
}

static void ask_query(enum sd_http_method method, const char *path, const char *query, const char *body)
{
	struct mq_api_request r = {.method = method, .path = sd_slice_of(path), .query = sd_slice_of(query), .body = sd_slice_of(body),
				   .user = "guest"};
	forget_answer();
	mq_api_ask(api, &r, &last.wait);
	while (mq_turn(mq))
		;
}

static void ask(enum sd_http_method method, const char *path, const char *body)
{
	ask_query(method, path, "", body);
}

#define expect(want)                                                                                                             \
	do {                                                                                                                     \
		ck_assert(last.answered);                                                                                        \
		ck_assert_int_eq(last.status, want);                                                                             \
	} while (0)

static const char *text_of(const cJSON *o, const char *name)
{
	const char *s = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));
	return s ? s : "(none)";
}
static double number_of(const cJSON *o, const char *name)
{
	const cJSON *n = cJSON_GetObjectItemCaseSensitive(o, name);
	ck_assert_msg(cJSON_IsNumber(n), "%s is no number", name);
	return n->valuedouble;
}
static const cJSON *at(int i)
{
	return cJSON_GetArrayItem(last.tree, i);
}

START_TEST(queues_come_and_go)
{
	ask(SD_HTTP_PUT, "/api/queues/%2f/orders", "{\"durable\":\"true\",\"arguments\":{\"x-max-length\":5}}");
	expect(201);
	ask(SD_HTTP_PUT, "/api/queues/%2F/orders", "{\"durable\":true,\"arguments\":{\"x-max-length\":5}}");
	expect(204);
	ask(SD_HTTP_PUT, "/api/queues/%2f/orders", "{\"durable\":false}");
	expect(400);
	ck_assert_str_eq(text_of(last.tree, "error"), "bad_request");
	ck_assert_ptr_nonnull(strstr(text_of(last.tree, "reason"), "inequivalent arg 'durable'"));
	ask(SD_HTTP_GET, "/api/queues/%2f/orders", "");
	expect(200);
	ck_assert_str_eq(text_of(last.tree, "name"), "orders");
	ck_assert_str_eq(text_of(last.tree, "vhost"), "/");
	ck_assert_double_eq(number_of(cJSON_GetObjectItem(last.tree, "arguments"), "x-max-length"), 5);
	ask(SD_HTTP_GET, "/api/queues", "");
	expect(200);
	ck_assert_int_eq(cJSON_GetArraySize(last.tree), 1);
	ask(SD_HTTP_DELETE, "/api/queues/%2f/orders", "");
	expect(204);
	ask(SD_HTTP_GET, "/api/queues/%2f/orders", "");
	expect(404);
	ask(SD_HTTP_DELETE, "/api/queues/%2f/orders", "");
	expect(404);
}
END_TEST

static void publish(const char *queue, const char *payload)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "routing_key", queue);
	cJSON_AddStringToObject(o, "payload", payload);
	cJSON_AddStringToObject(o, "payload_encoding", "string");
	cJSON_AddItemToObject(o, "properties", cJSON_Parse("{\"delivery_mode\":2,\"headers\":{\"n\":7,\"s\":\"x\",\"list\":[true,null]}}"));
	char *body = cJSON_PrintUnformatted(o);
	ask(SD_HTTP_POST, "/api/exchanges/%2f/amq.default/publish", body);
	free(body);
	cJSON_Delete(o);
}

static void make_queue(void)
{
	ask(SD_HTTP_PUT, "/api/queues/%2f/q", "{}");
	expect(201);
}

START_TEST(publish_and_get)
{
	make_queue();
	publish("q", "one");
	expect(200);
	ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(last.tree, "routed")));
	publish("nowhere", "lost");
	expect(200);
	ck_assert(cJSON_IsFalse(cJSON_GetObjectItem(last.tree, "routed")));
	publish("q", "two");
	/* Looking does not take, nor does it count as a failure. */
	for (int i = 0; i < 10; i++) {
		ask(SD_HTTP_POST, "/api/queues/%2f/q/get", "{\"count\":\"5\",\"ackmode\":\"ack_requeue_true\",\"encoding\":\"auto\"}");
		expect(200);
		ck_assert_int_eq(cJSON_GetArraySize(last.tree), 2);
		ck_assert_str_eq(text_of(at(0), "payload"), "one");
		ck_assert_str_eq(text_of(at(1), "payload"), "two");
		ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(at(0), "redelivered")) == (i > 0));
	}
	const cJSON *p = cJSON_GetObjectItem(at(0), "properties"), *h = cJSON_GetObjectItem(p, "headers");
	ck_assert_double_eq(number_of(p, "delivery_mode"), 2);
	ck_assert_double_eq(number_of(h, "n"), 7);
	ck_assert_str_eq(text_of(h, "s"), "x");
	ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(h, "list")), 2);
	ask(SD_HTTP_POST, "/api/queues/%2f/q/get", "{\"count\":1,\"ackmode\":\"ack_requeue_false\"}");
	ck_assert_str_eq(text_of(at(0), "payload"), "one");
	ck_assert_double_eq(number_of(at(0), "message_count"), 1);
	ask(SD_HTTP_GET, "/api/queues/%2f/q", "");
	ck_assert_double_eq(number_of(last.tree, "messages"), 1);
	ask(SD_HTTP_DELETE, "/api/queues/%2f/q/contents", "");
	expect(204);
	ask(SD_HTTP_POST, "/api/queues/%2f/q/get", "{\"count\":1,\"ackmode\":\"ack_requeue_true\"}");
	ck_assert_int_eq(cJSON_GetArraySize(last.tree), 0);
}
END_TEST

START_TEST(by_hand)
{
	char body[96];
	make_queue();
	publish("q", "work");
	ask(SD_HTTP_POST, "/api/queues/%2f/q/get", "{\"ackmode\":\"manual\",\"visibility_timeout\":5000}");
	expect(200);
	double tag = number_of(at(0), "delivery_tag");
	snprintf(body, sizeof(body), "{\"delivery_tag\":%.0f}", tag);
	ask(SD_HTTP_POST, "/api/queues/%2f/q/get", "{\"ackmode\":\"manual\"}");
	ck_assert_int_eq(cJSON_GetArraySize(last.tree), 0);
	/* It comes back at its time, not before. */
	mq_time(mq, 1000 + 4999, 1700000004999);
	ask(SD_HTTP_POST, "/api/queues/%2f/q/get", "{\"ackmode\":\"manual\"}");
	ck_assert_int_eq(cJSON_GetArraySize(last.tree), 0);
	mq_time(mq, 1000 + 5000, 1700000005000);
	ask(SD_HTTP_POST, "/api/queues/%2f/q/ack", body);
	expect(404);
	ask(SD_HTTP_POST, "/api/queues/%2f/q/get", "{\"ackmode\":\"manual\"}");
	ck_assert_int_eq(cJSON_GetArraySize(last.tree), 1);
	ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(at(0), "redelivered")));
	snprintf(body, sizeof(body), "{\"delivery_tag\":%.0f}", number_of(at(0), "delivery_tag"));
	ask(SD_HTTP_POST, "/api/queues/%2f/q/ack", body);
	expect(204);
	ask(SD_HTTP_GET, "/api/queues/%2f/q", "");
	ck_assert_double_eq(number_of(last.tree, "messages"), 0);
}
END_TEST

START_TEST(bytes_that_are_no_text)
{
	make_queue();
	ask(SD_HTTP_POST, "/api/exchanges/%2f/amq.default/publish",
	    "{\"routing_key\":\"q\",\"payload\":\"/wAB\",\"payload_encoding\":\"base64\",\"properties\":{}}");
	expect(200);
	ask(SD_HTTP_POST, "/api/queues/%2f/q/get", "{\"ackmode\":\"ack_requeue_true\"}");
	ck_assert_str_eq(text_of(at(0), "payload"), "/wAB");
	ck_assert_str_eq(text_of(at(0), "payload_encoding"), "base64");
	ck_assert_double_eq(number_of(at(0), "payload_bytes"), 3);
	ask(SD_HTTP_POST, "/api/queues/%2f/q/get", "{\"ackmode\":\"ack_requeue_true\",\"truncate\":1}");
	ck_assert_str_eq(text_of(at(0), "payload"), "/w==");
	ck_assert_double_eq(number_of(at(0), "payload_bytes"), 3);
}
END_TEST

START_TEST(exchanges_and_bindings)
{
	make_queue();
	ask(SD_HTTP_PUT, "/api/exchanges/%2f/logs", "{\"type\":\"topic\",\"durable\":\"true\"}");
	expect(201);
	ask(SD_HTTP_PUT, "/api/exchanges/%2f/none", "{\"type\":\"round\"}");
	expect(400);
	ask(SD_HTTP_POST, "/api/bindings/%2f/e/logs/q/q", "{\"routing_key\":\"*.error\",\"arguments\":{\"a\":1}}");
	expect(201);
	ask(SD_HTTP_POST, "/api/bindings/%2f/e/logs/q/q", "{\"routing_key\":\"\"}");
	expect(201);
	ask(SD_HTTP_POST, "/api/exchanges/%2f/logs/publish", "{\"routing_key\":\"app.error\",\"payload\":\"x\",\"properties\":{}}");
	ck_assert(cJSON_IsTrue(cJSON_GetObjectItem(last.tree, "routed")));
	ask(SD_HTTP_GET, "/api/bindings/%2f/e/logs/q/q", "");
	ck_assert_int_eq(cJSON_GetArraySize(last.tree), 2);
	char *keys[2] = {NULL, NULL}, path[256];
	for (int i = 0; i < 2; i++)
		keys[i] = strdup(text_of(at(i), "properties_key"));
	ck_assert(strcmp(keys[0], "~") == 0 || strcmp(keys[1], "~") == 0);
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "/api/bindings/%%2f/e/logs/q/q/%s", keys[i]);
		ask(SD_HTTP_DELETE, path, "");
		expect(204);
		ask(SD_HTTP_DELETE, path, "");
		expect(404);
		free(keys[i]);
	}
	ask(SD_HTTP_GET, "/api/bindings", "");
	ck_assert_int_eq(cJSON_GetArraySize(last.tree), 1); /* the default exchange's */
	ask(SD_HTTP_GET, "/api/exchanges", "");
	ck_assert_int_ge(cJSON_GetArraySize(last.tree), 7);
}
END_TEST

START_TEST(out_and_in)
{
	make_queue();
	ask(SD_HTTP_PUT, "/api/vhosts/other", "");
	expect(201);
	ask(SD_HTTP_PUT, "/api/queues/other/jobs", "{\"arguments\":{\"x-message-ttl\":60000,\"x-dead-letter-exchange\":\"dead\"}}");
	ask(SD_HTTP_PUT, "/api/exchanges/other/dead", "{\"type\":\"fanout\"}");
	ask(SD_HTTP_POST, "/api/bindings/other/e/dead/q/jobs", "{\"routing_key\":\"k\"}");
	ask(SD_HTTP_GET, "/api/definitions", "");
	expect(200);
	char *first = cJSON_PrintUnformatted(last.tree);
	tear_down();
	last.tree = NULL;
	set_up();
	ask(SD_HTTP_POST, "/api/definitions", first);
	expect(204);
	ask(SD_HTTP_GET, "/api/definitions", "");
	char *again = cJSON_PrintUnformatted(last.tree);
	ck_assert_str_eq(first, again);
	free(first);
	free(again);
	ask(SD_HTTP_DELETE, "/api/vhosts/other", "");
	expect(204);
	ask(SD_HTTP_GET, "/api/queues/other", "");
	expect(404);
}
END_TEST

static const struct {
	enum sd_http_method method;
	const char *path, *body;
	int status;
} bad[] = {
    {SD_HTTP_GET, "/api", "", 404},
    {SD_HTTP_GET, "/api/nothing", "", 404},
    {SD_HTTP_GET, "/api/queues/%2", "", 404},
    {SD_HTTP_GET, "/api/queues/%2f/a/b/c/d/e/f/g/h/i/j", "", 404},
    {SD_HTTP_POST, "/api/overview", "{}", 405},
    {SD_HTTP_PUT, "/api/queues/%2f/x", "not json", 400},
    {SD_HTTP_PUT, "/api/queues/%2f/x", "[1]", 400},
    {SD_HTTP_PUT, "/api/queues/%2f/x", "{\"arguments\":7}", 400},
    {SD_HTTP_PUT, "/api/queues/%2f/x", "{\"arguments\":{\"x-message-ttl\":-1}}", 400},
    {SD_HTTP_PUT, "/api/queues/none/x", "{}", 404},
    {SD_HTTP_PUT, "/api/queues/%2f/amq.mine", "{}", 401},
    {SD_HTTP_POST, "/api/exchanges/%2f/amq.default/publish", "{\"routing_key\":\"q\"}", 400},
    {SD_HTTP_POST, "/api/exchanges/%2f/amq.default/publish", "{\"payload\":\"x\",\"payload_encoding\":\"base64\"}", 400},
    {SD_HTTP_POST, "/api/exchanges/%2f/amq.default/publish", "{\"payload\":\"x\",\"properties\":{\"colour\":\"red\"}}", 400},
    {SD_HTTP_POST, "/api/exchanges/%2f/amq.default/publish", "{\"payload\":\"x\",\"properties\":{\"priority\":256}}", 400},
    {SD_HTTP_POST, "/api/exchanges/%2f/missing/publish", "{\"payload\":\"x\"}", 404},
    {SD_HTTP_POST, "/api/queues/%2f/missing/get", "{}", 404},
    {SD_HTTP_POST, "/api/queues/%2f/q/get", "{\"count\":0}", 400},
    {SD_HTTP_POST, "/api/queues/%2f/q/get", "{\"ackmode\":\"keep\"}", 400},
    {SD_HTTP_POST, "/api/queues/%2f/q/ack", "{}", 400},
    {SD_HTTP_POST, "/api/queues/%2f/q/ack", "{\"delivery_tag\":99}", 404},
    {SD_HTTP_POST, "/api/bindings/%2f/e/missing/q/q", "{}", 404},
    {SD_HTTP_DELETE, "/api/exchanges/%2f/amq.direct", "", 401},
};

START_TEST(what_is_wrong)
{
	make_queue();
	ask(bad[_i].method, bad[_i].path, bad[_i].body);
	expect(bad[_i].status);
	if (bad[_i].status != 204)
		ck_assert_str_ne(text_of(last.tree, "reason"), "(none)");
	ask(SD_HTTP_GET, "/api/overview", "");
	expect(200);
	ck_assert_double_eq(number_of(cJSON_GetObjectItem(last.tree, "object_totals"), "queues"), 1);
}
END_TEST

START_TEST(rates)
{
	make_queue();
	mq_api_sample(api);
	for (int i = 0; i < 20; i++)
		publish("q", "x");
	mq_time(mq, 3000, 1700000002000);
	mq_api_sample(api);
	ask(SD_HTTP_GET, "/api/queues/%2f/q", "");
	const cJSON *s = cJSON_GetObjectItem(last.tree, "message_stats");
	ck_assert_double_eq(number_of(s, "publish"), 20);
	ck_assert_double_eq(number_of(cJSON_GetObjectItem(s, "publish_details"), "rate"), 10);
	char *live = mq_api_live(api);
	ck_assert_ptr_nonnull(strstr(live, "\"ready\":20"));
	ck_assert_ptr_nonnull(strstr(live, "\"in\":10"));
	free(live);
}
END_TEST

/* ---- streams ---- */

START_TEST(groups_of_a_stream)
{
	ask(SD_HTTP_PUT, "/api/queues/%2f/s", "{\"durable\":true,\"arguments\":{\"x-queue-type\":\"stream\",\"x-stream-partitions\":2}}");
	expect(201);
	ask(SD_HTTP_PUT, "/api/queues/%2f/q", "{\"durable\":true}");
	publish("s", "one");
	publish("s", "two");
	ask(SD_HTTP_PUT, "/api/queues/%2f/s/groups/late", "{\"offset\":\"next\"}");
	expect(204);
	ask(SD_HTTP_PUT, "/api/queues/%2f/s/groups/early", "{\"offset\":0}");
	expect(204);
	ask(SD_HTTP_GET, "/api/queues/%2f/s/groups", "");
	expect(200);
	ck_assert_int_eq(cJSON_GetArraySize(last.tree), 2);
	ck_assert_str_eq(text_of(at(0), "name"), "early");
	ck_assert_double_eq(number_of(at(0), "lag"), 2);
	ck_assert_str_eq(text_of(at(1), "name"), "late");
	ck_assert_double_eq(number_of(at(1), "lag"), 0);
	const cJSON *shares = cJSON_GetObjectItem(at(1), "partitions");
	ck_assert_int_eq(cJSON_GetArraySize(shares), 2);
	ck_assert_double_eq(number_of(cJSON_GetArrayItem(shares, 1), "partition"), 1);
	ck_assert_double_eq(number_of(cJSON_GetArrayItem(shares, 1), "offset"), 2);
	ck_assert_double_eq(number_of(cJSON_GetArrayItem(shares, 1), "end"), 2);
	ask(SD_HTTP_GET, "/api/queues/%2f/s", "");
	ck_assert_str_eq(text_of(last.tree, "type"), "stream");
	ck_assert_double_eq(number_of(last.tree, "messages"), 2);
	ck_assert_double_eq(number_of(last.tree, "next_offset"), 2);
	ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(last.tree, "groups")), 2);
	ask(SD_HTTP_DELETE, "/api/queues/%2f/s/groups/late", "");
	expect(204);
	ask(SD_HTTP_DELETE, "/api/queues/%2f/s/groups/late", "");
	expect(404);
}
END_TEST

START_TEST(what_a_stream_refuses)
{
	static const struct {
		enum sd_http_method method;
		const char *path, *body;
		int status;
	} rows[] = {
	    {SD_HTTP_POST, "/api/queues/%2f/s/get", "{\"count\":1,\"ackmode\":\"ack_requeue_true\",\"encoding\":\"auto\"}", 400},
	    {SD_HTTP_DELETE, "/api/queues/%2f/s/contents", "", 400},
	    {SD_HTTP_PUT, "/api/queues/%2f/s/groups/g", "{\"offset\":\"1w\"}", 400},
	    {SD_HTTP_PUT, "/api/queues/%2f/s/groups/g", "{\"offset\":-1}", 400},
	    {SD_HTTP_PUT, "/api/queues/%2f/s/groups/g", "", 400},
	    {SD_HTTP_GET, "/api/queues/%2f/q/groups", "", 400},
	    {SD_HTTP_GET, "/api/queues/%2f/none/groups", "", 404},
	    {SD_HTTP_DELETE, "/api/queues/%2f/s/groups/g", "", 404},
	};
	ask(SD_HTTP_PUT, "/api/queues/%2f/s", "{\"durable\":true,\"arguments\":{\"x-queue-type\":\"stream\"}}");
	ask(SD_HTTP_PUT, "/api/queues/%2f/q", "{\"durable\":true}");
	publish("s", "one");
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ask(rows[i].method, rows[i].path, rows[i].body);
		expect(rows[i].status);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mq_api");
	TCase *t = tcase_create("mq_api");
	tcase_add_checked_fixture(t, set_up, tear_down);
	tcase_add_test(t, queues_come_and_go);
	tcase_add_test(t, groups_of_a_stream);
	tcase_add_test(t, what_a_stream_refuses);
	tcase_add_test(t, publish_and_get);
	tcase_add_test(t, by_hand);
	tcase_add_test(t, bytes_that_are_no_text);
	tcase_add_test(t, exchanges_and_bindings);
	tcase_add_test(t, out_and_in);
	tcase_add_test(t, rates);
	tcase_add_loop_test(t, what_is_wrong, 0, sizeof(bad) / sizeof(bad[0]));
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
