/* Sets and sorted sets: what commands say, how they are kept, who waits for them, memory, and memory that ends. What redis-server says is
 * compared with it by test/interop/cache_peer_sets.py. */
#include "cache_rig.h"

#include "../../applets/cache/types/cache_set.h"
#include "../../applets/cache/types/cache_zset.h"

#define WRONG "-WRONGTYPE Operation against a key holding the wrong kind of value|"

START_TEST(sets)
{
	static const struct rig_turn t[] = {
	    {"SADD s 3 1 2 1", ":3|"}, {"SMEMBERS s", "*3|$1|1|$1|2|$1|3|"}, {"SISMEMBER s 2", ":1|"}, {"SISMEMBER s x", ":0|"},
	    {"SMISMEMBER s 1 x 3", "*3|:1|:0|:1|"}, {"SCARD s", ":3|"}, {"SREM s 2 x", ":1|"}, {"SMOVE s d 1", ":1|"}, {"SMOVE s d 1", ":0|"},
	    {"SMOVE d d 1", ":1|"}, {"SMEMBERS d", "*1|$1|1|"}, {"SMOVE d s 1", ":1|"}, {"EXISTS d", ":0|"}, {"SADD a 1 2 3", ":3|"},
	    {"SINTER s a", "*2|$1|1|$1|3|"}, {"SINTER s none", "*0|"}, {"SINTERCARD 2 s a LIMIT 1", ":1|"}, {"SINTERCARD 2 s a", ":2|"},
	    {"SINTERCARD 0 s", "-ERR numkeys should be greater than 0|"}, {"SDIFF a s", "*1|$1|2|"}, {"SUNION a s none", "*3|$1|1|$1|2|$1|3|"},
	    {"SDIFFSTORE a a s", ":1|"}, {"SMEMBERS a", "*1|$1|2|"}, {"SINTERSTORE a a s", ":0|"}, {"EXISTS a", ":0|"}, {"SET t 1", "+OK|"},
	    {"SADD t 1", WRONG}, {"SUNION s t", WRONG}, {"SUNIONSTORE t s", ":2|"}, {"TYPE t", "+set|"}, {"GET t", WRONG},
	    {"SPOP t 5", "*2|$1|1|$1|3|"}, {"EXISTS t", ":0|"}, {"SPOP t", "$-1|"}, {"SPOP t -1", "-ERR value is out of range, must be positive|"},
	    {"SRANDMEMBER s 9", "*2|$1|1|$1|3|"}, {"SSCAN s 0 MATCH 3", "*2|$1|0|*1|$1|3|"}, {"SREM s 1 3", ":2|"}, {"EXISTS s", ":0|"},
	};
	RIG_PLAY(t);
}
END_TEST

START_TEST(sorted_sets)
{
	static const struct rig_turn t[] = {
	    {"ZADD z 2 b 1 a 3 c", ":3|"}, {"ZRANGE z 0 -1 WITHSCORES", "*6|$1|a|$1|1|$1|b|$1|2|$1|c|$1|3|"}, {"ZADD z CH 2 b 5 a 9 d", ":2|"},
	    {"ZADD z NX 7 a", ":0|"}, {"ZADD z XX 7 x", ":0|"}, {"ZADD z GT CH 4 a", ":0|"}, {"ZADD z LT CH 4 a", ":1|"}, {"ZADD z INCR 0.5 a", "$3|4.5|"},
	    {"ZADD z XX INCR 1 x", "$-1|"}, {"ZADD z NX XX 1 a", "-ERR XX and NX options at the same time are not compatible|"},
	    {"ZADD z 1 a x b", "-ERR value is not a valid float|"}, {"ZINCRBY z inf a", "$3|inf|"},
	    {"ZINCRBY z -inf a", "-ERR resulting score is not a number (NaN)|"}, {"ZREVRANGE z 0 1", "*2|$1|a|$1|d|"}, {"ZRANK z d", ":2|"},
	    {"ZREVRANK z d", ":1|"}, {"ZRANK z x", "$-1|"}, {"ZCOUNT z (2 +inf", ":3|"}, {"ZSCORE z a", "$3|inf|"}, {"ZMSCORE z b x", "*2|$1|2|$-1|"},
	    {"ZRANGEBYSCORE z -inf 3 LIMIT 1 5", "*1|$1|c|"}, {"ZRANGE z +inf (2 BYSCORE REV LIMIT 0 2", "*2|$1|a|$1|d|"},
	    {"ZRANGE z 0 1 LIMIT 1 1", "-ERR syntax error, LIMIT is only supported in combination with either BYSCORE or BYLEX|"},
	    {"ZRANGESTORE y z 1 2", ":2|"}, {"ZRANGE y 0 -1", "*2|$1|c|$1|d|"}, {"ZREMRANGEBYSCORE z 9 +inf", ":2|"}, {"ZPOPMIN z", "*2|$1|b|$1|2|"},
	    {"ZPOPMAX y 5", "*4|$1|d|$1|9|$1|c|$1|3|"}, {"EXISTS y", ":0|"}, {"ZADD l 0 a 0 b 0 c 0 ''", ":4|"}, {"ZRANGEBYLEX l - (b", "*2|$0||$1|a|"},
	    {"ZLEXCOUNT l [b +", ":2|"}, {"ZREMRANGEBYLEX l (a +", ":2|"}, {"ZRANGEBYLEX l a +", "-ERR min or max not valid string range item|"},
	    {"SADD s a x", ":2|"}, {"ZUNION 2 l s WITHSCORES", "*6|$0||$1|0|$1|a|$1|1|$1|x|$1|1|"},
	    {"ZINTERSTORE i 2 l s WEIGHTS 2 3 AGGREGATE MAX", ":1|"}, {"ZSCORE i a", "$1|3|"}, {"ZDIFF 2 s l", "*1|$1|x|"}, {"ZINTERCARD 2 l s", ":1|"},
	    {"ZDIFFSTORE i 2 l l", ":0|"}, {"EXISTS i", ":0|"}, {"ZUNION 0 l", "-ERR at least 1 input key is needed for 'zunion' command|"},
	    {"ZMPOP 2 none z MIN", "*2|$1|z|*1|*2|$1|c|$1|3|"}, {"ZMPOP 1 z MIN", "*-1|"}, {"ZSCAN l 0", "*2|$1|0|*4|$0||$1|0|$1|a|$1|0|"},
	    {"SET str 1", "+OK|"}, {"ZADD str 1 a", WRONG}, {"ZUNION 2 str l", WRONG}, {"ZREM l a ''", ":2|"}, {"EXISTS l", ":0|"},
	};
	RIG_PLAY(t);
}
END_TEST

START_TEST(sorting)
{
	static const struct rig_turn t[] = {
	    {"RPUSH l 3 10 2 1.5", ":4|"}, {"SORT l", "*4|$3|1.5|$1|2|$1|3|$2|10|"}, {"SORT l DESC LIMIT 1 2", "*2|$1|3|$1|2|"},
	    {"SORT_RO l ALPHA", "*4|$3|1.5|$2|10|$1|2|$1|3|"}, {"SORT_RO l STORE x", "-ERR syntax error|"}, {"MSET w_3 1 w_10 2 w_2 -5", "+OK|"},
	    {"SORT l BY w_*", "*4|$1|2|$3|1.5|$1|3|$2|10|"}, {"SORT l BY w_* GET # GET w_* LIMIT 0 2", "*4|$1|2|$2|-5|$3|1.5|$-1|"},
	    {"HSET h_3->x f 1", ":1|"}, {"HSET h_2 f b g 7", ":2|"}, {"SORT l BY h_*->f ALPHA DESC LIMIT 0 1", "*1|$1|2|"},
	    {"SORT l LIMIT 1 1 GET h_*->g", "*1|$1|7|"}, {"SORT l BY nosort", "*4|$1|3|$2|10|$1|2|$3|1.5|"},
	    {"SORT l BY nosort DESC LIMIT 1 2", "*2|$1|2|$2|10|"}, {"SORT l GET w_* STORE out", ":4|"}, {"LRANGE out 0 -1", "*4|$0||$2|-5|$1|1|$1|2|"},
	    {"SORT none STORE out", ":0|"}, {"EXISTS out", ":0|"}, {"SADD s b c a", ":3|"},
	    {"SORT s", "-ERR One or more scores can't be converted into double|"}, {"SORT s ALPHA LIMIT 2 9", "*1|$1|c|"},
	    {"SORT s BY nosort STORE s", ":3|"}, {"LRANGE s 0 -1", "*3|$1|a|$1|b|$1|c|"}, {"ZADD z 3 1 2 2 1 3", ":3|"}, {"SORT z", "*3|$1|1|$1|2|$1|3|"},
	    {"SORT z BY nosort LIMIT 0 2", "*2|$1|3|$1|2|"}, {"SORT z BY nosort DESC LIMIT 0 2", "*2|$1|1|$1|2|"}, {"SORT w_3", WRONG},
	    {"SORT l LIMIT 1", "-ERR syntax error|"}, {"SORT l LIMIT x 1", "-ERR value is not an integer or out of range|"},
	    {"SORT l LIMIT 9223372036854775807 9223372036854775807", "*0|"}, {"COMMAND GETKEYS SORT l BY store GET x STORE d", "*2|$1|l|$1|d|"},
	};
	RIG_PLAY(t);
}
END_TEST

/* By number and by length; never back, but for what is stored anew. */
START_TEST(encodings)
{
	static const struct rig_turn t[] = {
	    {"CONFIG SET set-max-intset-entries 3 zset-max-listpack-entries 3 zset-max-listpack-value 4", "+OK|"}, {"SADD s 1 2 3", ":3|"},
	    {"OBJECT ENCODING s", "$6|intset|"}, {"SADD s 3", ":0|"}, {"OBJECT ENCODING s", "$6|intset|"}, {"SADD s 4", ":1|"},
	    {"OBJECT ENCODING s", "$9|hashtable|"}, {"SREM s 4 3", ":2|"}, {"OBJECT ENCODING s", "$9|hashtable|"}, {"SUNIONSTORE s s", ":2|"},
	    {"OBJECT ENCODING s", "$6|intset|"}, {"SADD s 01", ":1|"}, {"OBJECT ENCODING s", "$9|hashtable|"}, {"ZADD z 1 a 2 b 3 cccc", ":3|"},
	    {"OBJECT ENCODING z", "$8|listpack|"}, {"ZADD z 4 b", ":0|"}, {"OBJECT ENCODING z", "$8|listpack|"}, {"ZADD z 4 d", ":1|"},
	    {"OBJECT ENCODING z", "$8|skiplist|"}, {"ZRANGE z 0 -1", "*4|$1|a|$4|cccc|$1|b|$1|d|"}, {"ZREM z d", ":1|"},
	    {"OBJECT ENCODING z", "$8|skiplist|"}, {"ZUNIONSTORE z 1 z", ":3|"}, {"OBJECT ENCODING z", "$8|listpack|"}, {"ZADD z 1 ccccc", ":1|"},
	    {"OBJECT ENCODING z", "$8|skiplist|"}, {"ZUNIONSTORE y 1 z", ":4|"}, {"ZREMRANGEBYRANK y 3 -1", ":1|"}, {"ZUNIONSTORE y 1 y", ":3|"},
	    {"OBJECT ENCODING y", "$8|skiplist|"}, {"COPY z c", ":1|"}, {"OBJECT ENCODING c", "$8|skiplist|"}, {"ZADD c 9 a", ":0|"},
	    {"ZSCORE z a", "$1|1|"}, {"ZRANK c a", ":3|"},
	};
	RIG_PLAY(t);
}
END_TEST

START_TEST(resp3)
{
	rig_say(&sessions[0], "HELLO 3");
	static const struct rig_turn t[] = {
	    {"SADD s 1", ":1|"}, {"SMEMBERS s", "~1|$1|1|"}, {"SINTER s s", "~1|$1|1|"}, {"SRANDMEMBER s 1", "*1|$1|1|"}, {"SPOP s 1", "~1|$1|1|"},
	    {"SMEMBERS s", "~0|"}, {"ZADD z 1.5 a", ":1|"}, {"ZSCORE z a", ",1.5|"}, {"ZSCORE z b", "_|"}, {"ZRANGE z 0 -1 WITHSCORES", "*1|*2|$1|a|,1.5|"},
	    {"ZADD z INCR 1 a", ",2.5|"}, {"ZRANDMEMBER z 1 WITHSCORES", "*1|*2|$1|a|,2.5|"}, {"ZUNION 1 z WITHSCORES", "*1|*2|$1|a|,2.5|"},
	    {"ZMPOP 1 none MAX", "_|"}, {"ZSCAN z 0", "*2|$1|0|*2|$1|a|$3|2.5|"}, {"ZPOPMIN z 1", "*1|*2|$1|a|,2.5|"}, {"ZADD z 1 a", ":1|"},
	    {"ZPOPMAX z", "*2|$1|a|,1|"}, {"ZPOPMAX z", "*0|"},
	};
	RIG_PLAY(t);
}
END_TEST

/* In the order they came; who waits goes on waiting when the key is something else. */
START_TEST(waiting)
{
	ck_assert_str_eq(rig_say(&sessions[1], "BZPOPMIN x z 0"), "");
	ck_assert_str_eq(rig_say(&sessions[2], "BZMPOP 5 2 z y MAX COUNT 2"), "");
	ck_assert_str_eq(rig_say(&sessions[3], "BZPOPMAX z 1"), "");
	ck_assert_str_eq(rig_sayf("SADD z a"), ":1|");
	ck_assert_str_eq(rig_heard(&sessions[1]), "");
	ck_assert_str_eq(rig_sayf("DEL z"), ":1|");
	ck_assert_str_eq(rig_sayf("ZADD z 1 a 2 b 3 c 4 d"), ":4|");
	ck_assert_str_eq(rig_heard(&sessions[1]), "*3|$1|z|$1|a|$1|1|");
	ck_assert_str_eq(rig_heard(&sessions[2]), "*2|$1|z|*2|*2|$1|d|$1|4|*2|$1|c|$1|3|");
	ck_assert_str_eq(rig_heard(&sessions[3]), "*3|$1|z|$1|b|$1|2|");
	ck_assert_str_eq(rig_sayf("EXISTS z"), ":0|");
	ck_assert_str_eq(rig_say(&sessions[3], "BZPOPMAX z 1"), "");
	cache_tick_waits(&cache, now + 999);
	ck_assert_str_eq(rig_heard(&sessions[3]), "");
	cache_tick_waits(&cache, now + 1000);
	ck_assert_str_eq(rig_heard(&sessions[3]), "*-1|");
	ck_assert_str_eq(rig_say(&sessions[3], "BZPOPMAX z 0"), "");
	ck_assert_str_eq(rig_sayf("ZINCRBY y 1 a"), "$1|1|");
	ck_assert_str_eq(rig_sayf("RENAME y z"), "+OK|"); /* a key that came in another way */
	ck_assert_str_eq(rig_heard(&sessions[3]), "*3|$1|z|$1|a|$1|1|");
	ck_assert_str_eq(rig_sayf("SET w 1"), "+OK|");
	ck_assert_str_eq(rig_say(&sessions[3], "BZPOPMIN w 0"), WRONG);
}
END_TEST

/* Of either kind, so that conversions, copies and results are among it; everything that was taken is given back. */
START_TEST(memory)
{
	static const char *const requests[] = {
	    "SADD s%u %u", "SADD s%u m%u", "SREM s%u %u", "SREM s%u m%u", "ZADD z%u 1 %u", "ZADD z%u 2.5 m%u", "ZADD z%u -1 %uxxxxxxxxxxxxxxxxxxxxxxxx",
	    "ZREM z%u m%u", "ZINCRBY z%u 1 %u", "SPOP s%u", "ZPOPMIN z%u 2", "SUNIONSTORE s%u s1 s2", "SDIFFSTORE s%u s0 s2", "SINTERSTORE s%u s0 s1",
	    "ZUNIONSTORE z%u 2 z0 s1", "ZINTERSTORE z%u 2 z0 z1", "ZDIFFSTORE z%u 2 z0 z2", "ZRANGESTORE z%u z1 2 -2", "ZREMRANGEBYRANK z%u 3 5",
	    "COPY s0 c%u REPLACE", "COPY z0 c%u REPLACE", "DEL s%u", "DEL z%u", "SMOVE s%u s0 %u", "ZUNION 1 z%u", "SRANDMEMBER s%u 2", "ZRANDMEMBER z%u 2",
	    "SORT s%u ALPHA STORE l%u", "SORT z%u BY w%u* ALPHA GET # GET z*", "SORT s%u DESC ALPHA",
	};
	struct sd_rng rng;
	sd_rng_seed(&rng, (uint64_t)_i);
	size_t before = cache.memory.used, most = 0;
	rig_sayf("CONFIG SET set-max-intset-entries 20 zset-max-listpack-entries 20 zset-max-listpack-value 20");
	for (int i = 0; i < 20000; i++) {
		size_t k = sd_rng_below(&rng, 4) ? sd_rng_below(&rng, 9) : sd_rng_below(&rng, sizeof(requests) / sizeof(requests[0]));
		/* the member is left over where the command takes none */
		char text[128];
		snprintf(text, sizeof(text), requests[k], sd_rng_below(&rng, 3), sd_rng_below(&rng, 60));
		ck_assert_msg(rig_say(&sessions[0], text)[0] != '-', "%s", text);
		most = cache.memory.used > most ? cache.memory.used : most;
	}
	ck_assert_uint_gt(most, before + 5000);
	ck_assert_str_eq(rig_sayf("FLUSHALL SYNC"), "+OK|");
	ck_assert_uint_eq(cache.memory.used, before);
}
END_TEST

/* A member of a large sorted set costs one piece of memory, and a place in a table. */
START_TEST(memory_of_a_member)
{
	size_t before = cache.memory.used;
	for (int i = 0; i < 20000; i++)
		rig_sayf("ZADD z %d m%07d", i, i);
	/* 41 bytes of a node, 8 of its member, 21 of its levels, 8 to 16 of the table, and malloc's rounding and word */
	ck_assert_uint_lt((cache.memory.used - before) / 20000, 112);
	before = cache.memory.used;
	for (int i = 0; i < 20000; i++)
		rig_sayf("SADD s m%07d", i);
	ck_assert_uint_lt((cache.memory.used - before) / 20000, 56);
}
END_TEST

/* WATCH hears of every kind of change, and of nothing else. */
START_TEST(changes)
{
	static const struct {
		const char *request;
		bool changes;
	} t[] = {
	    {"SADD k 1", true}, {"SADD k 1", false}, {"SADD k a", true}, {"SREM k x", false}, {"SREM k 1", true}, {"SMOVE k o x", false},
	    {"SMOVE o k a", false}, {"SMOVE k o a", true}, {"SMOVE o k a", true}, {"SPOP k", true}, {"SUNIONSTORE k none", false},
	    {"SADD o 1 2", false}, {"SUNIONSTORE k o", true}, {"SINTERSTORE k none", true}, {"ZADD k 1 a", true}, {"ZADD k 1 a", false},
	    {"ZADD k 2 a", true}, {"ZADD k NX 3 a", false}, {"ZINCRBY k 1 a", true}, {"ZREM k x", false}, {"ZADD k 1 b 2 c 3 d 4 e 5 f", true},
	    {"ZREM k b", true}, {"ZREMRANGEBYRANK k 0 0", true}, {"ZREMRANGEBYSCORE k 90 99", false}, {"ZPOPMIN k", true}, {"BZPOPMAX k 0", true},
	    {"ZMPOP 1 k MIN", true}, {"ZRANGE k 0 -1", false}, {"ZUNIONSTORE k 1 o", true}, {"ZRANGESTORE k none 0 -1", true},
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		rig_say(&sessions[1], "WATCH k");
		rig_say(&sessions[0], t[i].request);
		rig_say(&sessions[1], "MULTI");
		bool changed = strcmp(rig_say(&sessions[1], "EXEC"), "*-1|") == 0;
		ck_assert_msg(changed == t[i].changes, "%s", t[i].request);
	}
}
END_TEST

/* Where keys are, when an argument says it. */
START_TEST(keys_of_commands)
{
	static const struct rig_turn t[] = {
	    {"COMMAND GETKEYS ZUNIONSTORE d 2 a b WEIGHTS 1 2", "*3|$1|d|$1|a|$1|b|"}, {"COMMAND GETKEYS SINTERCARD 1 a LIMIT 1", "*1|$1|a|"},
	    {"COMMAND GETKEYS BZMPOP 0 2 a b MIN", "*2|$1|a|$1|b|"}, {"COMMAND GETKEYS ZMPOP 3 a b MIN", "*3|$1|a|$1|b|$3|MIN|"},
	    {"COMMAND GETKEYS ZMPOP 4 a b MIN", "-ERR Invalid arguments specified for command|"},
	    {"COMMAND GETKEYS ZMPOP x a b MIN", "-ERR Invalid arguments specified for command|"},
	    {"COMMAND GETKEYS BZPOPMIN a b 0", "*2|$1|a|$1|b|"}, {"COMMAND GETKEYS ECHO a", "-ERR The command has no key arguments|"},
	};
	RIG_PLAY(t);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cache_sets");
	TCase *t = tcase_create("sets");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, rig_setup, rig_teardown);
	tcase_add_test(t, sets);
	tcase_add_test(t, sorted_sets);
	tcase_add_test(t, sorting);
	tcase_add_test(t, encodings);
	tcase_add_test(t, resp3);
	tcase_add_test(t, waiting);
	tcase_add_loop_test(t, memory, 0, 4);
	tcase_add_test(t, memory_of_a_member);
	tcase_add_test(t, changes);
	tcase_add_test(t, keys_of_commands);
	suite_add_tcase(s, t);
	return rig_run(s);
}
