/* Lists: what commands say, who waits and is served when, memory. What redis-server says is compared with it by test/interop/cache.sh. */
#include "cache_rig.h"

#define WRONG "-WRONGTYPE Operation against a key holding the wrong kind of value|"

START_TEST(commands)
{
	static const struct rig_turn t[] = {
	    {"RPUSH l a b c", ":3|"}, {"LPUSH l 1 2", ":5|"}, {"LRANGE l 0 -1", "*5|$1|2|$1|1|$1|a|$1|b|$1|c|"}, {"LRANGE l -2 100", "*2|$1|b|$1|c|"},
	    {"LRANGE l 3 1", "*0|"}, {"LLEN l", ":5|"}, {"LINDEX l -1", "$1|c|"}, {"LINDEX l 5", "$-1|"}, {"LINDEX l -6", "$-1|"},
	    {"LSET l 0 x", "+OK|"}, {"LSET l 5 x", "-ERR index out of range|"}, {"LSET none 0 x", "-ERR no such key|"},
	    {"LINSERT l BEFORE a 0", ":6|"}, {"LINSERT l AFTER c z", ":7|"}, {"LINSERT l AFTER none z", ":-1|"}, {"LINSERT none AFTER a z", ":0|"},
	    {"LINSERT l IN a z", "-ERR syntax error|"}, {"LRANGE l 0 -1", "*7|$1|x|$1|1|$1|0|$1|a|$1|b|$1|c|$1|z|"}, {"LPOP l", "$1|x|"},
	    {"RPOP l 2", "*2|$1|z|$1|c|"}, {"LPOP l 0", "*0|"}, {"LPOP l -1", "-ERR value is out of range, must be positive|"}, {"LPOP none", "$-1|"},
	    {"LPOP none 1", "*-1|"}, {"LPUSHX none a", ":0|"}, {"RPUSHX l a a", ":6|"}, {"LREM l -1 a", ":1|"}, {"LREM l 0 a", ":2|"},
	    {"LRANGE l 0 -1", "*3|$1|1|$1|0|$1|b|"}, {"LTRIM l 1 1", "+OK|"}, {"LRANGE l 0 -1", "*1|$1|0|"}, {"LTRIM l 5 9", "+OK|"}, {"EXISTS l", ":0|"},
	    {"RPUSH p a b a c a", ":5|"}, {"LPOS p a", ":0|"}, {"LPOS p a RANK -1", ":4|"}, {"LPOS p a RANK 2 COUNT 0", "*2|:2|:4|"},
	    {"LPOS p a RANK -2 COUNT 2", "*2|:2|:0|"}, {"LPOS p a MAXLEN 2 COUNT 0", "*1|:0|"}, {"LPOS p x", "$-1|"}, {"LPOS p x COUNT 0", "*0|"},
	    {"LPOS p a RANK 0", "-ERR RANK can't be zero: use 1 to start from the first match, 2 from the second ... or use negative to start from the end of the list|"},
	    {"LMOVE p q LEFT RIGHT", "$1|a|"}, {"RPOPLPUSH p q", "$1|a|"}, {"LRANGE q 0 -1", "*2|$1|a|$1|a|"}, {"LMOVE p p LEFT RIGHT", "$1|b|"},
	    {"LRANGE p 0 -1", "*3|$1|a|$1|c|$1|b|"}, {"LMOVE p p LEFT LEFT", "$1|a|"}, {"LRANGE p 0 -1", "*3|$1|a|$1|c|$1|b|"},
	    {"LMPOP 2 none p RIGHT COUNT 2", "*2|$1|p|*2|$1|b|$1|c|"}, {"LMPOP 1 none LEFT", "*-1|"}, {"LMPOP 2 p LEFT", "-ERR syntax error|"},
	    {"LMPOP 9223372036854775807 p LEFT", "-ERR syntax error|"}, {"OBJECT ENCODING p", "$9|quicklist|"}, {"TYPE p", "+list|"}, {"GET p", WRONG},
	    {"SET s 1", "+OK|"}, {"LPUSH s 1", WRONG}, {"LMOVE p s LEFT LEFT", WRONG}, {"LLEN p", ":1|"}, {"COPY p r", ":1|"}, {"LPUSH r new", ":2|"},
	    {"LRANGE p 0 -1", "*1|$1|a|"},
	};
	RIG_PLAY(t);
}
END_TEST

#define SAID(session, text)                                                                                                   \
	do {                                                                                                                  \
		const char *heard = rig_heard(&sessions[session]);                                                            \
		ck_assert_msg(strcmp(heard, text) == 0, "session %d: expected %s, found %s", session, text, heard);           \
	} while (0)

static void asks(int session, const char *words)
{
	ck_assert_str_eq(rig_say(&sessions[session], words), "");
}

/* In the order they came, each at most once, after the whole command. */
START_TEST(waiting)
{
	asks(1, "BLPOP a b 0");
	asks(2, "BRPOP a 0");
	asks(3, "BLMOVE b c LEFT RIGHT 0");
	ck_assert_uint_eq(cache.nblocked, 3);
	ck_assert_str_eq(rig_sayf("RPUSH a 1 2 3"), ":3|");
	SAID(1, "*2|$1|a|$1|1|");
	SAID(2, "*2|$1|a|$1|3|");
	SAID(3, "");
	ck_assert_str_eq(rig_sayf("LRANGE a 0 -1"), "*1|$1|2|");
	asks(1, "BLPOP c 0");
	ck_assert_str_eq(rig_sayf("LPUSH b x"), ":1|"); /* b to c, and c to who waits for it */
	SAID(3, "$1|x|");
	SAID(1, "*2|$1|c|$1|x|");
	ck_assert_uint_eq(cache.nblocked, 0);
	ck_assert_str_eq(rig_sayf("EXISTS b c"), ":0|");
}
END_TEST

/* A transaction is served afterwards: from the key that came first there, and not when it went again. */
START_TEST(waiting_for_a_transaction)
{
	asks(1, "BLPOP a b 0");
	rig_sayf("MULTI");
	rig_sayf("RPUSH b 1");
	rig_sayf("RPUSH a 2");
	rig_sayf("BLPOP none 0");
	ck_assert_str_eq(rig_sayf("EXEC"), "*3|:1|:1|*-1|");
	SAID(1, "*2|$1|b|$1|1|");
	rig_sayf("DEL a");
	asks(1, "BLPOP a 0");
	rig_sayf("MULTI");
	rig_sayf("RPUSH a 1");
	rig_sayf("DEL a");
	rig_sayf("SET a text");
	ck_assert_str_eq(rig_sayf("EXEC"), "*3|:1|:1|+OK|");
	SAID(1, "");
	ck_assert_uint_eq(cache.nblocked, 1);
}
END_TEST

START_TEST(waiting_ends)
{
	asks(1, "BLPOP a 1.5");
	asks(2, "BLMOVE a b LEFT LEFT 2");
	asks(3, "BLMPOP 0 1 a LEFT");
	now = RIG_START + 1499;
	cache_tick(&cache, now, 100);
	SAID(1, "");
	now++;
	cache_tick(&cache, now, 100);
	SAID(1, "*-1|");
	SAID(2, "");
	rig_sayf("SET b text");
	ck_assert_str_eq(rig_sayf("RPUSH a 1"), ":1|");
	SAID(2, WRONG); /* it cannot have it, and waits no longer */
	SAID(3, "*2|$1|a|*1|$1|1|");
	asks(1, "BLPOP a 0");
	ck_assert_str_eq(rig_sayf("CLIENT UNBLOCK %llu ERROR", (unsigned long long)sessions[1].id), ":1|");
	SAID(1, "-UNBLOCKED client unblocked via CLIENT UNBLOCK|");
	ck_assert_uint_eq(cache.nblocked, 0);
}
END_TEST

/* Everything that was taken is given back, whatever happened to it. */
START_TEST(memory)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, 3);
	size_t before = cache.memory.used;
	for (int i = 0; i < 30000; i++) {
		unsigned key = sd_rng_below(&rng, 10), other = sd_rng_below(&rng, 10), what = sd_rng_below(&rng, 100);
		if (what < 55)
			rig_sayf("%s k%u %0*d", what % 2 ? "LPUSH" : "RPUSH", key, 1 + (int)sd_rng_below(&rng, 100), i);
		else if (what < 80)
			rig_sayf("%s k%u", what % 2 ? "LPOP" : "RPOP", key);
		else if (what < 97)
			rig_sayf("LMOVE k%u k%u %s RIGHT", key, other, what % 2 ? "LEFT" : "RIGHT");
		else
			rig_sayf(what == 97 ? "DEL k%u" : what == 98 ? "LTRIM k%u 3 -3" : "COPY k%u k0 REPLACE", key);
	}
	ck_assert_uint_gt(cache.memory.used, before + 1000);
	ck_assert_str_eq(rig_sayf("FLUSHALL SYNC"), "+OK|");
	ck_assert_uint_eq(cache.memory.used, before);
}
END_TEST

/* WATCH hears of every kind of change, and of nothing else. */
START_TEST(changes)
{
	static const struct {
		const char *request;
		bool changes;
	} t[] = {{"LPUSH l a b c a", true}, {"LRANGE l 0 -1", false}, {"LSET l 0 x", true}, {"LSET l 9 x", false}, {"LINSERT l BEFORE a 1", true},
		 {"LINSERT l BEFORE none 1", false}, {"LREM l 0 none", false}, {"LREM l 1 c", true}, {"LPOP l 0", false}, {"LPOP l", true},
		 {"LMOVE l l LEFT LEFT", true}, {"LMOVE l other LEFT LEFT", true}, {"LMOVE other l LEFT LEFT", true}, {"LPUSHX l y", true},
		 {"LTRIM l 0 1", true}, {"BLPOP l 0", true}, {"LMPOP 1 l LEFT", true}, {"LPUSHX l y", false}, {"RPUSH l y", true}, {"DEL l", true}};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		rig_say(&sessions[1], "WATCH l");
		rig_say(&sessions[0], t[i].request);
		rig_say(&sessions[1], "MULTI");
		bool changed = strcmp(rig_say(&sessions[1], "EXEC"), "*-1|") == 0;
		ck_assert_msg(changed == t[i].changes, "%s", t[i].request);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cache_list");
	TCase *t = tcase_create("list");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, rig_setup, rig_teardown);
	tcase_add_test(t, commands);
	tcase_add_test(t, waiting);
	tcase_add_test(t, waiting_for_a_transaction);
	tcase_add_test(t, waiting_ends);
	tcase_add_test(t, memory);
	tcase_add_test(t, changes);
	suite_add_tcase(s, t);
	return rig_run(s);
}
