/* Where messages go: each type of exchange against what its rules say, and against a walk that tries every way. */
#include "mq_rig.h"

static struct rig r;
static struct rig_client a;

static void setup(void)
{
	rig_start(&r, mq_conf_default(), false);
	rig_open(&r, &a);
}

static void teardown(void)
{
	rig_close(&a);
	rig_end(&r);
}

static size_t ready(const char *queue)
{
	return mq_queue_find(r.v, sd_slice_of(queue))->nready;
}

/* A message with this key comes into these of the queues a, b, c ..., each once. */
static void goes_to(const char *exchange, const char *key, const char *headers, const char *queues)
{
	uint64_t n;
	char got[32] = {0};
	rig_publish(&r, &a, exchange, key, "x", "", headers);
	for (char name[2] = "a"; *name <= 'z' && mq_queue_find(r.v, sd_slice_of(name)); ++*name) {
		ck_assert_uint_le(ready(name), 1);
		if (ready(name))
			got[strlen(got)] = *name;
		ck_assert(mq_queue_purge(r.v, &a, sd_slice_of(name), &n, &r.e));
	}
	ck_assert_msg(strcmp(got, queues) == 0, "key \"%s\" headers \"%s\": expected \"%s\", found \"%s\"", key, headers, queues, got);
}

static void make(const char *names)
{
	for (; *names; names++)
		rig_queue(&r, &a, (char[]){*names, 0}, "", "");
}

START_TEST(direct_and_fanout)
{
	make("abc");
	rig_bind(&r, &a, "a", "amq.direct", "k", "");
	rig_bind(&r, &a, "b", "amq.direct", "k", "");
	rig_bind(&r, &a, "b", "amq.direct", "l", "");
	rig_bind(&r, &a, "b", "amq.direct", "l", ""); /* twice is once */
	rig_bind(&r, &a, "a", "amq.fanout", "x", "");
	rig_bind(&r, &a, "a", "amq.fanout", "y", "");
	rig_bind(&r, &a, "c", "amq.fanout", "", "");
	goes_to("amq.direct", "k", "", "ab");
	goes_to("amq.direct", "l", "", "b");
	goes_to("amq.direct", "", "", "");
	goes_to("amq.fanout", "whatever", "", "ac");
	goes_to("", "c", "", "c");
	ck_assert(mq_queue_unbind(r.v, &a, sd_slice_of("b"), sd_slice_of("amq.direct"), sd_slice_of("l"), (struct sd_slice){0}, &r.e));
	goes_to("amq.direct", "l", "", "");
	goes_to("amq.direct", "k", "", "ab");
}
END_TEST

START_TEST(topic)
{
	static const char *const patterns[] = {"a.b", "a.*", "a.#", "#", "*", "#.c", "a.#.c", "*.*", "#.b.#", ""};
	make("abcdefghij");
	for (size_t i = 0; i < sizeof(patterns) / sizeof(patterns[0]); i++)
		rig_bind(&r, &a, (char[]){(char)('a' + i), 0}, "amq.topic", patterns[i], "");
	goes_to("amq.topic", "a.b", "", "abcdhi");
	goes_to("amq.topic", "a", "", "cde");
	goes_to("amq.topic", "", "", "dj");
	goes_to("amq.topic", "a.b.c", "", "cdfgi");
	goes_to("amq.topic", "a.c", "", "bcdfgh");
	goes_to("amq.topic", "c", "", "def");
	goes_to("amq.topic", "x.b.y.b", "", "di");
	goes_to("amq.topic", "a.", "", "bcdh");
	goes_to("amq.topic", "*", "", "de");
	goes_to("amq.topic", "a.#", "", "bcdh");
	goes_to("amq.topic", "a.*.c", "", "cdfg");
}
END_TEST

/* The rules, tried one way after another. */
static bool fits(const char *pattern, const char *key)
{
	size_t p = strcspn(pattern, "."), k = strcspn(key, ".");
	bool last_p = !pattern[p], last_k = !key[k];
	const char *more_p = last_p ? NULL : pattern + p + 1, *more_k = last_k ? NULL : key + k + 1;
	if (p == 1 && *pattern == '#') {
		if (last_p)
			return true;
		for (;; key = more_k, k = strcspn(key, "."), more_k = key[k] ? key + k + 1 : NULL) {
			if (fits(more_p, key))
				return true;
			if (!more_k)
				return strspn(more_p, "#.") == strlen(more_p); /* what is left stands for nothing */
		}
	}
	if (!(p == 1 && *pattern == '*') && (p != k || memcmp(pattern, key, p) != 0))
		return false;
	if (last_k)
		return last_p || strspn(more_p, "#.") == strlen(more_p);
	return !last_p && fits(more_p, more_k);
}

static void random_words(struct sd_rng *rng, const char *const *words, unsigned n, char *out, size_t room)
{
	unsigned count = 1 + sd_rng_below(rng, 5);
	size_t at = 0;
	for (unsigned i = 0; i < count; i++)
		at += (size_t)snprintf(out + at, room - at, "%s%s", i ? "." : "", words[sd_rng_below(rng, n)]);
}

START_TEST(topic_as_if_every_way_was_tried)
{
	static const char *const words[] = {"a", "b", "c", "*", "#"};
	struct sd_rng rng;
	char patterns[20][32], key[32], want[32];
	make("abcdefghijklmnopqrst");
	for (uint64_t seed = 1; seed <= 60; seed++) {
		sd_rng_seed(&rng, seed);
		for (int i = 0; i < 20; i++) {
			random_words(&rng, words, 5, patterns[i], sizeof(patterns[i]));
			rig_bind(&r, &a, (char[]){(char)('a' + i), 0}, "amq.topic", patterns[i], "");
		}
		for (int n = 0; n < 40; n++) {
			random_words(&rng, words, 3, key, sizeof(key));
			memset(want, 0, sizeof(want));
			for (int i = 0; i < 20; i++)
				if (fits(patterns[i], key))
					want[strlen(want)] = (char)('a' + i);
			goes_to("amq.topic", key, "", want);
		}
		for (int i = 0; i < 20; i++)
			ck_assert(mq_queue_unbind(r.v, &a, (struct sd_slice){(char[]){(char)('a' + i)}, 1}, sd_slice_of("amq.topic"),
						  sd_slice_of(patterns[i]), (struct sd_slice){0}, &r.e));
		goes_to("amq.topic", "a.b", "", "");
	}
}
END_TEST

/* Takes time without end where one way is tried after another. */
START_TEST(topic_with_many_hashes)
{
	char pattern[200], key[256];
	int n = 0;
	make("a");
	for (int i = 0; i < 30; i++)
		n += snprintf(pattern + n, sizeof(pattern) - (size_t)n, "#.a.");
	snprintf(pattern + n, sizeof(pattern) - (size_t)n, "b");
	n = 0;
	for (int i = 0; i < 120; i++)
		n += snprintf(key + n, sizeof(key) - (size_t)n, "%s", i ? ".a" : "a");
	rig_bind(&r, &a, "a", "amq.topic", pattern, "");
	for (int i = 0; i < 100; i++)
		goes_to("amq.topic", key, "", "");
	snprintf(key + n, sizeof(key) - (size_t)n, ".b");
	goes_to("amq.topic", key, "", "a");
}
END_TEST

START_TEST(headers)
{
	make("abcdef");
	rig_bind(&r, &a, "a", "amq.headers", "", "x-match=all k=1 l=text");
	rig_bind(&r, &a, "b", "amq.headers", "", "x-match=any k=1 l=text");
	rig_bind(&r, &a, "c", "amq.headers", "", "k=1 x-own=5");
	rig_bind(&r, &a, "d", "amq.headers", "", "x-match=all-with-x k=1 x-own=5");
	rig_bind(&r, &a, "e", "amq.headers", "", "x-match=any-with-x x-own=5");
	rig_bind(&r, &a, "f", "amq.headers", "", "x-match=any");
	goes_to("amq.headers", "", "k=1 l=text", "abc");
	goes_to("amq.headers", "", "k=1", "bc");
	goes_to("amq.headers", "", "l=text", "b");
	goes_to("amq.headers", "", "k=2", "");
	goes_to("amq.headers", "", "k=1 x-own=5", "bcde");
	goes_to("amq.headers", "", "x-own=5", "e");
	goes_to("amq.headers", "", "", "");
	ck_assert(!rig_bind(&r, &a, "a", "amq.headers", "", "x-match=some"));
	failed_with(&r, "PRECONDITION_FAILED - Invalid x-match field value <<\"some\">>; expected all, any, all-with-x, or any-with-x");
}
END_TEST

static void bind_exchange(const char *to, const char *from, const char *key)
{
	ck_assert(mq_exchange_bind(r.v, sd_slice_of(to), sd_slice_of(from), sd_slice_of(key), (struct sd_slice){0}, &r.e));
}

START_TEST(from_exchange_to_exchange)
{
	make("ab");
	ck_assert(rig_try_exchange(&r, "x", "fanout", "", ""));
	ck_assert(rig_try_exchange(&r, "y", "direct", "i", ""));
	bind_exchange("y", "x", "");
	bind_exchange("x", "y", "k"); /* round in a circle */
	rig_bind(&r, &a, "a", "x", "", "");
	rig_bind(&r, &a, "a", "y", "k", "");
	rig_bind(&r, &a, "b", "y", "k", "");
	goes_to("x", "k", "", "ab");
	goes_to("x", "l", "", "a");
	ck_assert(!rig_try_publish(&r, &a, "y", "k", "x", "", ""));
	failed_with(&r, "ACCESS_REFUSED - cannot publish to internal exchange 'y' in vhost '/'");
	ck_assert(mq_exchange_unbind(r.v, sd_slice_of("y"), sd_slice_of("x"), sd_slice_of(""), (struct sd_slice){0}, &r.e));
	goes_to("x", "k", "", "a");
	ck_assert(!mq_exchange_delete(r.v, sd_slice_of("x"), true, &r.e));
	failed_with(&r, "PRECONDITION_FAILED - exchange 'x' in vhost '/' in use");
	ck_assert(mq_exchange_delete(r.v, sd_slice_of("x"), false, &r.e));
	ck_assert(mq_exchange_delete(r.v, sd_slice_of("x"), false, &r.e));
}
END_TEST

START_TEST(the_other_exchange)
{
	make("ab");
	ck_assert(rig_try_exchange(&r, "last", "fanout", "", ""));
	ck_assert(rig_try_exchange(&r, "x", "direct", "", "alternate-exchange=last"));
	rig_bind(&r, &a, "a", "x", "k", "");
	rig_bind(&r, &a, "b", "last", "", "");
	goes_to("x", "k", "", "a");
	goes_to("x", "l", "", "b");
	ck_assert(mq_exchange_delete(r.v, sd_slice_of("last"), false, &r.e));
	goes_to("x", "l", "", "");
}
END_TEST

START_TEST(exchanges_that_go_by_themselves)
{
	char name[16], next[16];
	make("a");
	for (int i = 0; i < 2000; i++) {
		snprintf(name, sizeof(name), "x%d", i);
		ck_assert(rig_try_exchange(&r, name, "fanout", "a", ""));
		snprintf(next, sizeof(next), "x%d", i - 1);
		if (i)
			bind_exchange(next, name, "");
	}
	rig_bind(&r, &a, "a", "x0", "", "");
	goes_to("x1999", "", "", "a");
	ck_assert(mq_queue_unbind(r.v, &a, sd_slice_of("a"), sd_slice_of("x0"), sd_slice_of(""), (struct sd_slice){0}, &r.e));
	ck_assert_ptr_null(mq_exchange_find(r.v, sd_slice_of("x0")));
	ck_assert_ptr_null(mq_exchange_find(r.v, sd_slice_of("x1999")));
}
END_TEST

static void publish_to_keys(const char *key, const char *cc, const char *bcc, const char *queue_headers)
{
	struct sd_text raw = {0}, h = {0};
	struct sd_amqp_properties p = {.has = SD_AMQP_HEADERS};
	size_t at = sd_amqp_begin_field(&h, "CC", 'A');
	sd_amqp_put_string(&h, NULL, sd_slice_of(cc));
	sd_amqp_end_field(&h, at);
	at = sd_amqp_begin_field(&h, "BCC", 'A');
	sd_amqp_put_string(&h, NULL, sd_slice_of(bcc));
	sd_amqp_end_field(&h, at);
	p.headers = rig_slice(&h);
	sd_amqp_put_properties(&raw, &p);
	struct mq_publication pub = {.key = sd_slice_of(key), .properties = rig_slice(&raw)};
	ck_assert(mq_publish(&a.ch, &pub, &r.e));
	struct mq_queue *q = mq_queue_find(r.v, sd_slice_of(queue_headers));
	struct mq_entry *e = sd_container(q->ready[0].next, struct mq_entry, link);
	struct sd_amqp_field f;
	ck_assert(sd_amqp_get_properties(mq_message_properties(e->message), &p));
	ck_assert(sd_amqp_find(p.headers, "CC", &f));
	ck_assert(!sd_amqp_find(p.headers, "BCC", &f));
	free(raw.p);
	free(h.p);
}

START_TEST(other_keys)
{
	make("abcd");
	publish_to_keys("a", "b", "c", "c");
	ck_assert_uint_eq(ready("a") + ready("b") + ready("c"), 3);
	ck_assert_uint_eq(ready("d"), 0);
	ck_assert(!rig_try_publish(&r, &a, "", "a", "x", "", "CC=b"));
	failed_with(&r, "PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,\"CC\",longstr}");
}
END_TEST

static Suite *suite(void)
{
	Suite *s = suite_create("mq_routes");
	TCase *t = tcase_create("routes");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, direct_and_fanout);
	tcase_add_test(t, topic);
	tcase_add_test(t, topic_as_if_every_way_was_tried);
	tcase_add_test(t, topic_with_many_hashes);
	tcase_add_test(t, headers);
	tcase_add_test(t, from_exchange_to_exchange);
	tcase_add_test(t, the_other_exchange);
	tcase_add_test(t, exchanges_that_go_by_themselves);
	tcase_add_test(t, other_keys);
	suite_add_tcase(s, t);
	return s;
}

int main(void)
{
	SRunner *runner = srunner_create(suite());
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
