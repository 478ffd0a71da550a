/* Hashes: what commands say, when a listpack becomes a table, chance, scans, memory. What redis-server says is compared with it by
 * test/interop/cache.sh. */
#include "cache_rig.h"

#define LONG "vvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvvv" /* 64 bytes */

START_TEST(commands)
{
	static const struct rig_turn t[] = {
	    {"HSET h a 1 b 2 a 3", ":2|"}, {"HGETALL h", "*4|$1|a|$1|3|$1|b|$1|2|"}, {"HKEYS h", "*2|$1|a|$1|b|"}, {"HVALS h", "*2|$1|3|$1|2|"},
	    {"HSET h a", "-ERR wrong number of arguments for 'hset' command|"}, {"HMSET h c 4 d", "-ERR wrong number of arguments for 'hmset' command|"},
	    {"HMSET h c 4", "+OK|"}, {"HSETNX h c 5", ":0|"}, {"HSETNX h d 5", ":1|"}, {"HMGET h a x d", "*3|$1|3|$-1|$1|5|"},
	    {"HLEN h", ":4|"}, {"HSTRLEN h a", ":1|"}, {"HEXISTS h a", ":1|"}, {"HEXISTS h x", ":0|"}, {"HGET h b", "$1|2|"},
	    {"HINCRBY h b 40", ":42|"}, {"HINCRBY h b 9223372036854775807", "-ERR increment or decrement would overflow|"},
	    {"HINCRBYFLOAT h b 0.5", "$4|42.5|"}, {"HINCRBY h b 1", "-ERR hash value is not an integer|"},
	    {"HINCRBYFLOAT h b inf", "-ERR value is NaN or Infinity|"}, {"HINCRBY h new x", "-ERR value is not an integer or out of range|"},
	    {"HSET h b word", ":0|"}, {"HINCRBYFLOAT h b 1", "-ERR hash value is not a float|"}, {"HINCRBY none f -3", ":-3|"}, {"HDEL none f", ":1|"},
	    {"EXISTS none", ":0|"}, {"HDEL h a b x", ":2|"}, {"HGETALL h", "*4|$1|c|$1|4|$1|d|$1|5|"}, {"TYPE h", "+hash|"},
	    {"GET h", "-WRONGTYPE Operation against a key holding the wrong kind of value|"}, {"SET s 1", "+OK|"},
	    {"HSET s a 1", "-WRONGTYPE Operation against a key holding the wrong kind of value|"},
	    {"HGET s a", "-WRONGTYPE Operation against a key holding the wrong kind of value|"}, {"GET s", "$1|1|"},
	    {"HGETALL none", "*0|"}, {"HRANDFIELD none", "$-1|"}, {"HRANDFIELD none 3", "*0|"}, {"HRANDFIELD h 0", "*0|"},
	    {"HRANDFIELD h 9 WITHVALUES", "*4|$1|c|$1|4|$1|d|$1|5|"}, {"HRANDFIELD h 1 2", "-ERR syntax error|"},
	    {"HSCAN none 0 MATCH", "*2|$1|0|*0|"}, {"HSCAN h 0 MATCH d*", "*2|$1|0|*2|$1|d|$1|5|"}, {"HSCAN h x", "-ERR invalid cursor|"},
	    {"HSCAN h 0 TYPE hash", "-ERR syntax error|"}, {"COPY h g", ":1|"}, {"HSET g c 9", ":0|"}, {"HGET h c", "$1|4|"},
	    {"HELLO 3", NULL}, {"HGETALL h", "%2|$1|c|$1|4|$1|d|$1|5|"}, {"HGETALL none", "%0|"},
	    {"HRANDFIELD h 2 WITHVALUES", "*2|*2|$1|c|$1|4|*2|$1|d|$1|5|"}, {"HKEYS none", "*0|"},
	};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		const char *got = rig_say(&sessions[0], t[i].request);
		ck_assert_msg(!t[i].reply || strcmp(got, t[i].reply) == 0, "%s: expected %s, found %s", t[i].request, t[i].reply, got);
	}
}
END_TEST

/* By the length of a field, of a value, and by their number; never back. */
START_TEST(encodings)
{
	static const struct rig_turn t[] = {
	    {"HSET a f " LONG, ":1|"}, {"OBJECT ENCODING a", "$8|listpack|"}, {"HSET a f " LONG "v", ":0|"}, {"OBJECT ENCODING a", "$9|hashtable|"},
	    {"HSET a f 1", ":0|"}, {"OBJECT ENCODING a", "$9|hashtable|"}, {"HGET a f", "$1|1|"}, {"HSET b " LONG "v 1", ":1|"},
	    {"OBJECT ENCODING b", "$9|hashtable|"}, {"CONFIG SET hash-max-listpack-entries 3", "+OK|"}, {"HSET c 1 a 2 b 3 c", ":3|"},
	    {"OBJECT ENCODING c", "$8|listpack|"}, {"HSET c 3 d", ":0|"}, {"OBJECT ENCODING c", "$8|listpack|"}, {"HSET c 4 e", ":1|"},
	    {"OBJECT ENCODING c", "$9|hashtable|"}, {"HMGET c 1 2 3 4 5", "*5|$1|a|$1|b|$1|d|$1|e|$-1|"}, {"HDEL c 1 2 3 4", ":4|"},
	    {"EXISTS c", ":0|"}, {"COPY a d", ":1|"}, {"OBJECT ENCODING d", "$9|hashtable|"}, {"HSET d f 2", ":0|"}, {"HGET a f", "$1|1|"},
	};
	RIG_PLAY(t);
}
END_TEST

static unsigned seen[1000];

/* Counts fields "$4|f123|" of a reply; returns how many there were. */
static size_t note_fields(const char *reply)
{
	size_t n = 0;
	for (const char *p = reply; (p = strstr(p, "|f")); p += 2, n++) {
		unsigned i = (unsigned)strtoul(p + 2, NULL, 10);
		ck_assert_uint_lt(i, 1000);
		seen[i]++;
	}
	return n;
}

/* Of so many fields, each about as often as another; several at a time are different ones. */
static void chance(unsigned fields, const char *count, bool differ, unsigned rounds)
{
	size_t given = 0;
	memset(seen, 0, sizeof(seen));
	for (unsigned k = 0; k < rounds; k++) {
		unsigned before[1000];
		memcpy(before, seen, sizeof(seen));
		given += note_fields(rig_sayf("HRANDFIELD h %s", count));
		for (unsigned i = 0; differ && i < fields; i++)
			if (seen[i] > before[i] + 1)
				ck_abort_msg("field %u twice", i);
	}
	ck_assert_uint_eq(given, rounds * (unsigned)labs(strtol(count, NULL, 10)));
	double want = (double)given / fields;
	for (unsigned i = 0; i < fields; i++)
		if (seen[i] < want * 0.6 || seen[i] > want * 1.6)
			ck_abort_msg("field %u of %u: %u times, expected about %.0f", i, fields, seen[i], want);
}

START_TEST(random_fields)
{
	for (unsigned i = 0; i < 50; i++)
		rig_sayf("HSET h f%u %u", i, i);
	chance(50, "7", true, 2000);
	chance(50, "-7", false, 2000);
	ck_assert_str_eq(rig_sayf("CONFIG SET hash-max-listpack-entries 10"), "+OK|");
	for (unsigned i = 50; i < 64; i++)
		rig_sayf("HSET h f%u %u", i, i);
	ck_assert_str_eq(rig_sayf("OBJECT ENCODING h"), "$9|hashtable|");
	chance(64, "7", true, 8000);  /* few of many */
	chance(64, "60", true, 1000); /* most of them */
	chance(64, "-100", false, 1000);
}
END_TEST

/* A field that is there all the time is given, while others come and go and the table grows and shrinks. */
START_TEST(scan_of_a_table)
{
	ck_assert_str_eq(rig_sayf("CONFIG SET hash-max-listpack-entries 1"), "+OK|");
	for (unsigned i = 0; i < 200; i++)
		rig_sayf("HSET h f%u x", i);
	for (unsigned round = 0; round < 20; round++) {
		unsigned long long cursor = 0;
		unsigned k = 0;
		memset(seen, 0, sizeof(seen));
		do {
			const char *reply = rig_sayf("HSCAN h %llu COUNT 5", cursor);
			note_fields(reply);
			cursor = strtoull(strchr(strchr(reply, '|') + 1, '|') + 1, NULL, 10);
			for (unsigned i = 0; i < 30; i++)
				rig_sayf(round % 2 ? "HSET h g%u x" : "HDEL h g%u", k++);
		} while (cursor);
		for (unsigned i = 0; i < 200; i++)
			ck_assert_uint_ge(seen[i], 1);
	}
}
END_TEST

/* Everything that was taken is given back, whatever happened to it. */
START_TEST(memory)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, 3);
	size_t before = cache.memory.used;
	ck_assert_str_eq(rig_sayf("CONFIG SET hash-max-listpack-entries 20"), "+OK|");
	for (int i = 0; i < 20000; i++) {
		unsigned key = sd_rng_below(&rng, 20), field = sd_rng_below(&rng, 60), what = sd_rng_below(&rng, 100);
		if (what < 60)
			rig_sayf("HSET k%u f%u %0*d", key, field, 1 + (int)sd_rng_below(&rng, 100), i);
		else if (what < 95)
			rig_sayf("HDEL k%u f%u", key, field);
		else if (what < 97)
			rig_sayf("DEL k%u", key);
		else
			rig_sayf("COPY k%u k%u REPLACE", key, sd_rng_below(&rng, 20));
	}
	ck_assert_uint_gt(cache.memory.used, before + 10000);
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
	} t[] = {{"HSET h a 1", true}, {"HGET h a", false}, {"HSETNX h a 2", false}, {"HSETNX h b 2", true}, {"HINCRBY h a 1", true},
		 {"HINCRBYFLOAT h a 1", true}, {"HINCRBY h a x", false}, {"HDEL h x", false}, {"HDEL h a", true}, {"HDEL h b", true}};
	for (size_t i = 0; i < sizeof(t) / sizeof(t[0]); i++) {
		rig_say(&sessions[1], "WATCH h");
		rig_say(&sessions[0], t[i].request);
		rig_say(&sessions[1], "MULTI");
		bool changed = strcmp(rig_say(&sessions[1], "EXEC"), "*-1|") == 0;
		ck_assert_msg(changed == t[i].changes, "%s", t[i].request);
	}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cache_hash");
	TCase *t = tcase_create("hash");
	tcase_set_timeout(t, 120);
	tcase_add_checked_fixture(t, rig_setup, rig_teardown);
	tcase_add_test(t, commands);
	tcase_add_test(t, encodings);
	tcase_add_test(t, random_fields);
	tcase_add_test(t, scan_of_a_table);
	tcase_add_test(t, memory);
	tcase_add_test(t, changes);
	suite_add_tcase(s, t);
	return rig_run(s);
}
