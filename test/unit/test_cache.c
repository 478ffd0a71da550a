/* The engine of the cache without sockets and with a clock of its own: what commands say, when keys end, what memory does. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/cache/engine/cache.h"

#define START 1700000000000

static struct cache cache;
static struct cache_session me;
static int64_t now;

static void setup(void)
{
	now = START;
	cache_init(&cache, 1, now);
	cache_session_begin(&cache, &me);
}

static void teardown(void)
{
	cache_session_end(&me);
	cache_end(&cache);
}

/* The reply to words between spaces, with CRLF as '|'. */
static const char *say(const char *words)
{
	static char reply[8192];
	char text[1024];
	struct sd_slice argv[32];
	size_t argc = 0, n = 0;
	char *save = NULL;
	snprintf(text, sizeof(text), "%s", words);
	for (char *p = strtok_r(text, " ", &save); p; p = strtok_r(NULL, " ", &save))
		argv[argc++] = strcmp(p, "''") == 0 ? (struct sd_slice){"", 0} : sd_slice_of(p);
	me.out.n = 0;
	cache_call(&me, argc, argv, now);
	for (size_t i = 0; i < me.out.n && n + 1 < sizeof(reply); i++)
		if (me.out.p[i] != '\n')
			reply[n++] = me.out.p[i] == '\r' ? '|' : me.out.p[i];
	reply[n] = '\0';
	return reply;
}

struct turn {
	const char *request, *reply;
};

static void play(const struct turn *t, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		const char *got = say(t[i].request);
		ck_assert_msg(strcmp(got, t[i].reply) == 0, "%s: expected %s, found %s", t[i].request, t[i].reply, got);
	}
}
#define PLAY(t) play(t, sizeof(t) / sizeof((t)[0]))

START_TEST(strings)
{
	static const struct turn t[] = {
	    {"GET a", "$-1|"}, {"SET a hello", "+OK|"}, {"GET a", "$5|hello|"}, {"SET a x NX", "$-1|"}, {"SET a x NX GET", "$5|hello|"},
	    {"GET a", "$5|hello|"}, {"SET b x XX", "$-1|"}, {"SET a y XX GET", "$5|hello|"}, {"GETSET a z", "$1|y|"}, {"GETDEL a", "$1|z|"},
	    {"GETDEL a", "$-1|"}, {"SETNX a 1", ":1|"}, {"SETNX a 2", ":0|"}, {"MSET a 1 b 2", "+OK|"}, {"MGET a c b", "*3|$1|1|$-1|$1|2|"},
	    {"MSETNX c 1 a 2", ":0|"}, {"EXISTS c", ":0|"}, {"MSETNX c 1 d 2", ":1|"}, {"MSET a", "-ERR wrong number of arguments for 'mset' command|"},
	    {"APPEND n ab", ":2|"}, {"APPEND n cd", ":4|"}, {"STRLEN n", ":4|"}, {"GETRANGE n 1 -2", "$2|bc|"}, {"GETRANGE n 3 1", "$0||"},
	    {"GETRANGE n -100 0", "$1|a|"}, {"SETRANGE n 6 xy", ":8|"}, {"SETRANGE n -1 x", "-ERR offset is out of range|"},
	    {"SETRANGE none 0 ''", ":0|"}, {"EXISTS none", ":0|"},
	    {"SETRANGE n 536870912 x", "-ERR string exceeds maximum allowed size (proto-max-bulk-len)|"},
	    {"SET a 1 NX XX", "-ERR syntax error|"}, {"SET a 1 EX 1 PX 1", "-ERR syntax error|"}, {"SET a 1 KEEPTTL EX 1", "-ERR syntax error|"},
	    {"SET a 1 EX", "-ERR syntax error|"}, {"SET a 1 EX 0", "-ERR invalid expire time in 'set' command|"},
	    {"SET a 1 EX 9223372036854775807", "-ERR invalid expire time in 'set' command|"}, {"SETEX a -1 v", "-ERR invalid expire time in 'setex' command|"},
	    {"SET a 1 EX x", "-ERR value is not an integer or out of range|"}, {"GETEX a PERSIST EX 1", "-ERR syntax error|"},
	};
	PLAY(t);
}
END_TEST

START_TEST(numbers)
{
	static const struct turn t[] = {
	    {"INCR n", ":1|"}, {"INCRBY n 41", ":42|"}, {"DECRBY n 2", ":40|"}, {"DECR n", ":39|"}, {"SET n 9223372036854775807", "+OK|"},
	    {"INCR n", "-ERR increment or decrement would overflow|"}, {"GET n", "$19|9223372036854775807|"},
	    {"DECRBY n -9223372036854775808", "-ERR decrement would overflow|"}, {"SET n 01", "+OK|"},
	    {"INCR n", "-ERR value is not an integer or out of range|"}, {"INCRBY n 1.5", "-ERR value is not an integer or out of range|"},
	    {"INCRBYFLOAT f 10.5", "$4|10.5|"}, {"INCRBYFLOAT f 0.1", "$4|10.6|"}, {"INCRBYFLOAT f -10.6", "$1|0|"},
	    {"INCRBYFLOAT f nan", "-ERR value is not a valid float|"}, {"INCRBYFLOAT f inf", "-ERR increment would produce NaN or Infinity|"},
	    {"SET f abc", "+OK|"}, {"INCRBYFLOAT f 1", "-ERR value is not a valid float|"},
	};
	PLAY(t);
}
END_TEST

START_TEST(keys)
{
	static const struct turn t[] = {
	    {"MSET a 1 b 2", "+OK|"}, {"DEL a c", ":1|"}, {"RENAME a b", "-ERR no such key|"}, {"RENAME b a", "+OK|"}, {"RENAMENX a a", ":0|"},
	    {"COPY a c", ":1|"}, {"COPY a c", ":0|"}, {"COPY a c REPLACE", ":1|"}, {"COPY a a", "-ERR source and destination objects are the same|"},
	    {"COPY a x DB 16", "-ERR DB index is out of range|"}, {"MOVE a 1", ":1|"}, {"MOVE a 1", ":0|"}, {"DBSIZE", ":1|"},
	    {"MOVE c 0", "-ERR source and destination objects are the same|"}, {"SELECT 1", "+OK|"}, {"GET a", "$1|2|"}, {"KEYS [a-b]", "*1|$1|a|"},
	    {"KEYS b*", "*0|"}, {"SCAN 0", "*2|$1|0|*1|$1|a|"}, {"SCAN 0 TYPE hash", "*2|$1|0|*0|"}, {"SCAN x", "-ERR invalid cursor|"},
	    {"SCAN 0 COUNT 0", "-ERR syntax error|"}, {"TYPE a", "+string|"}, {"TYPE b", "+none|"}, {"RANDOMKEY", "$1|a|"},
	    {"OBJECT ENCODING a", "$3|int|"}, {"OBJECT ENCODING b", "$-1|"}, {"FLUSHDB", "+OK|"}, {"RANDOMKEY", "$-1|"}, {"FLUSHALL x", "-ERR syntax error|"},
	    {"SELECT 16", "-ERR DB index is out of range|"}, {"SELECT x", "-ERR value is not an integer or out of range|"},
	    {"SELECT 2147483648", "-ERR value is out of range, value must between -2147483648 and 2147483647|"},
	    {"foo a b", "-ERR unknown command 'foo', with args beginning with: 'a' 'b' |"},
	    {"OBJECT foo", "-ERR unknown subcommand 'foo'. Try OBJECT HELP.|"}, {"GET", "-ERR wrong number of arguments for 'get' command|"},
	    {"OBJECT FREQ", "-ERR wrong number of arguments for 'object|freq' command|"},
	};
	PLAY(t);
}
END_TEST

START_TEST(expiry)
{
	static const struct turn t[] = {
	    {"SET a 1 PX 1500", "+OK|"}, {"PTTL a", ":1500|"}, {"TTL a", ":2|"}, {"PEXPIRETIME a", ":1700000001500|"},
	    {"EXPIRETIME a", ":1700000002|"}, {"EXPIRE a 10 NX", ":0|"}, {"EXPIRE a 1 GT", ":0|"}, {"EXPIRE a 10 GT", ":1|"},
	    {"EXPIRE a 20 LT", ":0|"}, {"EXPIRE a 5 LT XX", ":1|"}, {"TTL a", ":5|"}, {"SET a 2 KEEPTTL", "+OK|"}, {"TTL a", ":5|"},
	    {"RENAME a b", "+OK|"}, {"TTL b", ":5|"}, {"GETEX b PERSIST", "$1|2|"}, {"TTL b", ":-1|"}, {"EXPIRE b 1 GT", ":0|"},
	    {"EXPIRE b 1 LT", ":1|"}, {"PERSIST b", ":1|"}, {"PERSIST b", ":0|"}, {"TTL none", ":-2|"}, {"EXPIRE none 1", ":0|"},
	    {"EXPIRE b 1 NX XX", "-ERR NX and XX, GT or LT options at the same time are not compatible|"},
	    {"EXPIRE b 1 GT LT", "-ERR GT and LT options at the same time are not compatible|"}, {"EXPIRE b 1 foo", "-ERR Unsupported option foo|"},
	    {"EXPIRE b 9223372036854775807", "-ERR invalid expire time in 'expire' command|"}, {"EXPIRE b -1", ":1|"}, {"EXISTS b", ":0|"},
	    {"PEXPIREAT none 1", ":0|"}, {"SET c 1 PXAT 1700000000100", "+OK|"}, {"SET d 1 EXAT 1700000001", "+OK|"},
	};
	PLAY(t);
	now = START + 99;
	ck_assert_str_eq(say("EXISTS c d"), ":2|");
	now = START + 100; /* nobody took it away yet, and it is not there */
	ck_assert_str_eq(say("GET c"), "$-1|");
	ck_assert_str_eq(say("DBSIZE"), ":1|");
	ck_assert_int_le(cache_tick(&cache, START + 999, 100), START + 1000);
	ck_assert_uint_eq(sd_dict_count(&cache.dbs[0].keys), 1);
	ck_assert(cache_tick(&cache, START + 1000, 100) == INT64_MAX);
	ck_assert_uint_eq(sd_dict_count(&cache.dbs[0].keys), 0);
	ck_assert_uint_eq(cache.stats.expired, 2);
}
END_TEST

/* Ten thousand keys of all sizes that end at all times: memory comes back to the last byte, by the clock alone. */
START_TEST(memory)
{
	static char bytes[900];
	size_t before = cache.memory.used;
	memset(bytes, 'v', sizeof(bytes) - 1);
	for (int i = 0; i < 10000; i++) {
		struct sd_slice argv[5];
		char key[32], end[32];
		snprintf(key, sizeof(key), "key:%d", i);
		snprintf(end, sizeof(end), "%d", 1 + i * 7 % 10000);
		argv[0] = sd_slice_of("SET");
		argv[1] = sd_slice_of(key);
		argv[2] = (struct sd_slice){bytes, (size_t)(i % 900)};
		argv[3] = sd_slice_of("PX");
		argv[4] = sd_slice_of(end);
		me.out.n = 0;
		cache_call(&me, 5, argv, now);
		ck_assert_uint_eq(me.out.n, 5);
	}
	ck_assert_uint_gt(cache.memory.used, before + 10000 * 450);
	ck_assert_uint_eq(sd_dict_count(&cache.dbs[0].keys), 10000);
	cache_tick(&cache, START + 5000, 100000);
	ck_assert_uint_eq(sd_dict_count(&cache.dbs[0].keys), 5000);
	cache_tick(&cache, START + 10000, 100); /* so many at most */
	ck_assert_uint_eq(sd_dict_count(&cache.dbs[0].keys), 4900);
	cache_tick(&cache, START + 10000, 100000);
	ck_assert_uint_eq(sd_dict_count(&cache.dbs[0].keys), 0);
	ck_assert_uint_eq(cache.memory.used, before + sd_dict_memory(&cache.dbs[0].keys));
	ck_assert_uint_eq(cache.dbs[0].expires, 0);
}
END_TEST

START_TEST(full)
{
	ck_assert_str_eq(say("SET a 1"), "+OK|");
	ck_assert_str_eq(say("CONFIG SET maxmemory 1"), "+OK|");
	ck_assert_str_eq(say("SET b 1"), "-OOM command not allowed when used memory > 'maxmemory'.|");
	ck_assert_str_eq(say("GET a"), "$1|1|");
	ck_assert_str_eq(say("EXPIRE a 1"), ":1|");
	ck_assert_str_eq(say("DEL a"), ":1|");
	ck_assert_str_eq(say("CONFIG SET maxmemory 1gb"), "+OK|");
	ck_assert_str_eq(say("CONFIG GET maxmemory"), "*2|$9|maxmemory|$10|1073741824|");
	ck_assert_str_eq(say("SET b 1"), "+OK|");
}
END_TEST

START_TEST(connection)
{
	static const struct turn locked[] = {
	    {"GET a", "-NOAUTH Authentication required.|"}, {"PING", "-NOAUTH Authentication required.|"},
	    {"AUTH wrong", "-WRONGPASS invalid username-password pair or user is disabled.|"},
	    {"AUTH secretsecret", "-WRONGPASS invalid username-password pair or user is disabled.|"},
	    {"AUTH other secret", "-WRONGPASS invalid username-password pair or user is disabled.|"}, {"GET a", "-NOAUTH Authentication required.|"},
	    {"AUTH default secret", "+OK|"}, {"GET a", "$-1|"}, {"RESET", "+RESET|"}, {"GET a", "-NOAUTH Authentication required.|"},
	};
	static const struct turn open[] = {
	    {"CLIENT GETNAME", "$-1|"}, {"CLIENT SETNAME x", "+OK|"}, {"CLIENT GETNAME", "$1|x|"}, {"PING", "+PONG|"}, {"PING a", "$1|a|"},
	    {"CLIENT REPLY SKIP", ""}, {"PING", ""}, {"PING", "+PONG|"}, {"CLIENT REPLY OFF", ""}, {"PING", ""}, {"FOO", ""},
	    {"CLIENT REPLY ON", "+OK|"}, {"HELLO 4", "-NOPROTO unsupported protocol version|"}, {"CLIENT KILL 1:1", "-ERR No such client|"},
	    {"CLIENT KILL ID 77", ":0|"}, {"CLIENT KILL ID 0", "-ERR client-id should be greater than 0|"},
	    {"CONFIG GET hz HZ", "*2|$2|hz|$2|10|"}, {"CONFIG SET hz x", "-ERR CONFIG SET failed (possibly related to argument 'hz') - argument couldn't be parsed into an integer|"},
	    {"CONFIG SET hash-max-ziplist-entries 7", "+OK|"}, {"CONFIG GET hash-max-listpack-entries", "*2|$25|hash-max-listpack-entries|$1|7|"},
	    {"CONFIG SET appendonly YES nothing 1", "-ERR Unknown option or number of arguments for CONFIG SET - 'nothing'|"},
	    {"CONFIG GET appendonly", "*2|$10|appendonly|$2|no|"},
	    {"CONFIG SET requirepass x", "-ERR CONFIG SET failed (possibly related to argument 'requirepass') - can't set immutable config|"},
	    {"COMMAND GETKEYS MSET a 1 b 2", "*2|$1|a|$1|b|"},
	};
	PLAY(open);
	cache.password = "secret";
	me.flags &= ~(uint32_t)CACHE_AUTHENTICATED;
	PLAY(locked);
	ck_assert(!(me.flags & CACHE_DROP));
	ck_assert_str_eq(say("POST / HTTP/1.1"), "");
	ck_assert(me.flags & CACHE_DROP);
}
END_TEST

START_TEST(patterns)
{
	static const struct {
		const char *pattern, *text;
		bool fits;
	} t[] = {
	    {"*", "", false}, {"", "", true}, {"*", "a", true}, {"h?llo", "hello", true}, {"h[^e]llo", "hello", false}, {"h[a-f]llo", "hello", true},
	    {"h[f-a]llo", "hello", true}, {"h\\*", "h*", true}, {"h\\*", "hx", false}, {"*a*a*a*a*a*b", "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa", false},
	    {"[", "[", false}, {"a[", "a", false}, {"*llo", "hello hello", true},
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++)
		ck_assert_msg(sd_redis_matches(sd_slice_of(t[i].pattern), sd_slice_of(t[i].text)) == t[i].fits, "%s %s", t[i].pattern, t[i].text);
}
END_TEST

/* Says it for another session: what it was replied is in its out. */
static void other_says(struct cache_session *s, const char *a, const char *b, const char *c)
{
	struct sd_slice argv[] = {sd_slice_of(a), sd_slice_of(b ? b : ""), sd_slice_of(c ? c : "")};
	cache_call(s, 1u + (b != NULL) + (c != NULL), argv, now);
}

START_TEST(transactions)
{
	static const struct turn t[] = {
	    {"EXEC", "-ERR EXEC without MULTI|"}, {"SET a 1", "+OK|"}, {"MULTI", "+OK|"}, {"INCR a", "+QUEUED|"}, {"GET a", "+QUEUED|"},
	    {"EXEC", "*2|:2|$1|2|"}, {"MULTI", "+OK|"}, {"INCR a", "+QUEUED|"}, {"nonsense", "-ERR unknown command 'nonsense', with args beginning with: |"},
	    {"EXEC", "-EXECABORT Transaction discarded because of previous errors.|"}, {"GET a", "$1|2|"},
	};
	static const struct turn watched[] = {{"WATCH a e", "+OK|"}, {"MULTI", "+OK|"}, {"INCR a", "+QUEUED|"}};
	static const struct turn off[] = {{"EXEC", "*-1|"}, {"GET a", "$1|3|"}};
	struct cache_session other;
	cache_session_begin(&cache, &other);
	PLAY(t);
	PLAY(watched);
	other_says(&other, "INCR", "a", NULL);
	PLAY(off);
	/* a key whose time ends between WATCH and EXEC has changed; one that was over before has not */
	static const struct turn ends[] = {{"SET e 1 PX 100", "+OK|"}, {"WATCH e", "+OK|"}, {"MULTI", "+OK|"}, {"PING", "+QUEUED|"}};
	PLAY(ends);
	now += 100;
	ck_assert_str_eq(say("EXEC"), "*-1|");
	static const struct turn was_over[] = {{"WATCH e", "+OK|"}, {"MULTI", "+OK|"}, {"PING", "+QUEUED|"}, {"EXEC", "*1|+PONG|"}};
	PLAY(was_over);
	/* what a session leaves behind goes with it */
	size_t used = cache_used_memory(&cache);
	other_says(&other, "WATCH", "a", "b");
	other_says(&other, "MULTI", NULL, NULL);
	other_says(&other, "SET", "a", "1");
	ck_assert_uint_gt(cache_used_memory(&cache), used);
	cache_session_end(&other);
	ck_assert_uint_eq(cache_used_memory(&cache), used);
	ck_assert_uint_eq(cache.watching, 0);
}
END_TEST

/* WATCH hears of every kind of change, and of nothing else. */
START_TEST(changes)
{
	static const struct {
		const char *name, *b, *c;
		bool changes;
	} t[] = {{"SET", "k", "1", true}, {"SETNX", "k", "2", false}, {"INCR", "k", NULL, true}, {"GETEX", "k", NULL, false}, {"GETEX", "k", "PERSIST", false},
		 {"PERSIST", "k", NULL, false}, {"EXPIRE", "k", "100", true}, {"GETEX", "k", "PERSIST", true}, {"GETEX", "k", "PERSIST", false},
		 {"EXPIRE", "k", "100", true}, {"PERSIST", "k", NULL, true}, {"INCRBY", "k", "x", false}, {"GETSET", "k", "x", true}, {"INCR", "k", NULL, false},
		 {"APPEND", "k", "y", true}, {"STRLEN", "k", NULL, false}, {"GETDEL", "k", NULL, true}, {"GETDEL", "k", NULL, false}};
	struct cache_session other;
	cache_session_begin(&cache, &other);
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		say("WATCH k");
		other_says(&other, t[i].name, t[i].b, t[i].c);
		say("MULTI");
		bool changed = strcmp(say("EXEC"), "*-1|") == 0;
		ck_assert_msg(changed == t[i].changes, "%zu: %s", i, t[i].name);
	}
	cache_session_end(&other);
}
END_TEST

static int64_t fake_us;
static int64_t tell_us(void *arg)
{
	(void)arg;
	return fake_us += 600;
}

START_TEST(slow_commands)
{
	char long_arg[300], request[400];
	cache.clock_us = tell_us;
	static const struct turn t[] = {
	    {"SLOWLOG LEN", ":0|"}, {"CONFIG SET slowlog-log-slower-than 500 slowlog-max-len 2", "+OK|"}, {"SET a 1", "+OK|"}, {"SLOWLOG LEN", ":1|"},
	    {"SLOWLOG RESET", "+OK|"}, {"GET a", "$1|1|"}, {"CONFIG SET slowlog-log-slower-than 1000", "+OK|"}, {"GET a", "$1|1|"},
	};
	PLAY(t);
	ck_assert_str_eq(say("SLOWLOG GET 1"), "*1|*6|:4|:1700000000|:600|*4|$6|CONFIG|$3|SET|$23|slowlog-log-slower-than|$4|1000|$0||$0||");
	memset(long_arg, 'x', sizeof(long_arg) - 1);
	long_arg[sizeof(long_arg) - 1] = '\0';
	say("CONFIG SET slowlog-log-slower-than 0");
	snprintf(request, sizeof(request), "GET %s", long_arg);
	say(request);
	ck_assert_ptr_nonnull(strstr(say("SLOWLOG GET"), "... (171 more bytes)|"));
	ck_assert_str_eq(say("SLOWLOG LEN"), ":2|");
}
END_TEST

START_TEST(listeners)
{
	struct cache_session other;
	char reply[400];
	cache_session_begin(&cache, &other);
	snprintf(other.address, sizeof(other.address), "1.2.3.4:5");
	other_says(&other, "PSUBSCRIBE", "n*", NULL);
	other_says(&other, "SUBSCRIBE", "news", NULL);
	other.out.n = 0;
	ck_assert_str_eq(say("PUBLISH news hello"), ":2|");
	ck_assert_ptr_eq(cache.woken.next, &other.woken);
	const char *want = "*3\r\n$7\r\nmessage\r\n$4\r\nnews\r\n$5\r\nhello\r\n*4\r\n$8\r\npmessage\r\n$2\r\nn*\r\n";
	ck_assert_mem_eq(other.out.p, want, strlen(want));
	ck_assert_str_eq(say("PUBSUB NUMSUB news x"), "*4|$4|news|:1|$1|x|:0|");
	say("MONITOR");
	me.out.n = 0;
	other_says(&other, "PING", "\x01\"b", NULL);
	snprintf(reply, sizeof(reply), "%.*s", (int)me.out.n, me.out.p);
	ck_assert_str_eq(reply, "+1700000000.000000 [0 1.2.3.4:5] \"PING\" \"\\x01\\\"b\"\r\n");
	cache_session_end(&other);
	ck_assert_str_eq(say("PUBSUB NUMPAT") + strlen("+1700000000.000000 [0 ] \"PUBSUB\" \"NUMPAT\"|"), ":0|");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cache");
	TCase *t = tcase_create("engine");
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, strings);
	tcase_add_test(t, numbers);
	tcase_add_test(t, keys);
	tcase_add_test(t, expiry);
	tcase_add_test(t, memory);
	tcase_add_test(t, full);
	tcase_add_test(t, connection);
	tcase_add_test(t, patterns);
	tcase_add_test(t, transactions);
	tcase_add_test(t, changes);
	tcase_add_test(t, slow_commands);
	tcase_add_test(t, listeners);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
