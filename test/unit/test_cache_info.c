/* INFO of the cache, under a clock of its own: what it counts, how fast things go, and which sections it tells. */
#include "cache_rig.h"

/* The value of a field in a section. */
static const char *field(const char *section, const char *name)
{
	static char value[256];
	char begin[100];
	const char *info = rig_sayf("INFO %s", section);
	snprintf(begin, sizeof(begin), "|%s:", name);
	const char *at = strstr(info, begin);
	ck_assert_msg(at != NULL, "no %s in %s", name, info);
	snprintf(value, sizeof(value), "%.*s", (int)strcspn(at + strlen(begin), "|"), at + strlen(begin));
	return value;
}

static void expect(const char *section, const char *name, const char *want)
{
	const char *got = field(section, name);
	ck_assert_msg(strcmp(got, want) == 0, "%s: expected %s, found %s", name, want, got);
}

static long long number(const char *section, const char *name)
{
	return strtoll(field(section, name), NULL, 10);
}

/* The titles that INFO tells for these words. */
static const char *titles(const char *words)
{
	static char found[512];
	size_t n = 0;
	found[0] = '\0';
	for (const char *p = strstr(rig_sayf("INFO %s", words), "# "); p; p = strstr(p + 1, "|# "))
		n += (size_t)snprintf(found + n, sizeof(found) - n, "%.*s ", (int)strcspn(p + 2 + (*p == '|'), "|"), p + 2 + (*p == '|'));
	return found;
}

START_TEST(test_sections)
{
	static const char usual[] = "Server Clients Memory Persistence Stats Replication CPU Modules Errorstats Cluster Keyspace ";
	static const char all[] =
	    "Server Clients Memory Persistence Stats Replication CPU Modules Commandstats Errorstats Cluster Keyspace ";
	ck_assert_str_eq(titles(""), usual);
	ck_assert_str_eq(titles("default"), usual);
	ck_assert_str_eq(titles("all"), all);
	ck_assert_str_eq(titles("EVERYTHING"), all);
	ck_assert_str_eq(titles("default commandstats"), all);
	ck_assert_str_eq(titles("stats nonsense Clients"), "Clients Stats ");
	ck_assert_str_eq(rig_sayf("INFO nonsense"), "$0||");
}
END_TEST

/* 50 commands a second: once more than 1.6 seconds are seen, INFO tells about so many, and 0 after as long a silence. */
START_TEST(test_ops_per_second)
{
	for (int i = 0; i < 150; i++, now += 20)
		rig_sayf("PING");
	ck_assert_int_ge(number("stats", "instantaneous_ops_per_sec"), 47);
	ck_assert_int_le(number("stats", "instantaneous_ops_per_sec"), 52);
	now += 800;
	ck_assert_int_ge(number("stats", "instantaneous_ops_per_sec"), 23);
	ck_assert_int_le(number("stats", "instantaneous_ops_per_sec"), 27);
	now += 5000;
	expect("stats", "instantaneous_ops_per_sec", "0");
	now -= 100000; /* the clock was set back */
	ck_assert_int_le(number("stats", "instantaneous_ops_per_sec"), 10);
	now += 5000;
	expect("stats", "instantaneous_ops_per_sec", "0");
}
END_TEST

START_TEST(test_network)
{
	rig_sayf("PING");
	cache.stats.net_in += 4096;
	cache.stats.net_out += 8192;
	now += 1000;
	expect("stats", "total_net_input_bytes", "4096");
	expect("stats", "total_net_output_bytes", "8192");
	expect("stats", "instantaneous_input_kbps", "4.00");
	expect("stats", "instantaneous_output_kbps", "8.00");
	now += 5000;
	expect("stats", "instantaneous_input_kbps", "0.00");
}
END_TEST

static int64_t ticking(void *arg)
{
	return *(int64_t *)arg += 7; /* between two looks */
}

START_TEST(test_commandstats)
{
	static int64_t clock;
	rig_sayf("SET a b");
	rig_sayf("LPUSH a x");
	rig_sayf("GET");
	rig_sayf("CLIENT GETNAME");
	rig_sayf("NONSENSE");
	expect("commandstats", "cmdstat_set", "calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0");
	expect("commandstats", "cmdstat_lpush", "calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=1");
	expect("commandstats", "cmdstat_get", "calls=0,usec=0,usec_per_call=0.00,rejected_calls=1,failed_calls=0");
	expect("commandstats", "cmdstat_client|getname", "calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0");
	ck_assert_ptr_null(strstr(rig_sayf("INFO commandstats"), "cmdstat_mget"));
	cache.clock_us = ticking;
	cache.clock_arg = &clock;
	rig_sayf("GET a");
	rig_sayf("GET a");
	expect("commandstats", "cmdstat_get", "calls=2,usec=14,usec_per_call=7.00,rejected_calls=1,failed_calls=0");
	rig_sayf("CONFIG SET slowlog-log-slower-than -1"); /* nobody looks at the clock */
	rig_sayf("GET a");
	expect("commandstats", "cmdstat_get", "calls=3,usec=14,usec_per_call=4.67,rejected_calls=1,failed_calls=0");
}
END_TEST

/* Each command of a transaction counts by itself, and its errors with it. */
START_TEST(test_transaction)
{
	rig_sayf("SET a b");
	rig_sayf("MULTI");
	rig_sayf("LPUSH a x");
	rig_sayf("PING");
	rig_sayf("EXEC");
	expect("commandstats", "cmdstat_lpush", "calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=1");
	expect("commandstats", "cmdstat_exec", "calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=0");
	expect("errorstats", "errorstat_WRONGTYPE", "count=1");
	expect("stats", "total_error_replies", "1");
}
END_TEST

START_TEST(test_errorstats)
{
	ck_assert_str_eq(rig_sayf("INFO errorstats"), "$14|# Errorstats||");
	rig_sayf("SET a b");
	rig_sayf("LPUSH a x");
	rig_sayf("NONSENSE");
	rig_sayf("GET");
	rig_sayf("HELLO 9");
	ck_assert_str_eq(rig_sayf("INFO errorstats"),
			 "$93|# Errorstats|errorstat_ERR:count=2|errorstat_NOPROTO:count=1|errorstat_WRONGTYPE:count=1||");
	expect("stats", "total_error_replies", "4");
}
END_TEST

/* One who waits and is turned away got an error of its command. */
START_TEST(test_waiting)
{
	rig_say(&sessions[1], "BLPOP a 0");
	expect("clients", "blocked_clients", "1");
	rig_sayf("CLIENT UNBLOCK %llu ERROR", (unsigned long long)sessions[1].id);
	expect("clients", "blocked_clients", "0");
	expect("errorstats", "errorstat_UNBLOCKED", "count=1");
	expect("commandstats", "cmdstat_blpop", "calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,failed_calls=1");
}
END_TEST

START_TEST(test_resetstat)
{
	rig_sayf("SET a b");
	rig_sayf("GET a");
	rig_sayf("GET none");
	rig_sayf("LPUSH a x");
	cache.stats.net_in = 1000;
	long long peak = number("memory", "used_memory_peak");
	rig_sayf("CONFIG RESETSTAT");
	ck_assert_str_eq(rig_sayf("INFO commandstats errorstats"),
			 "$124|# Commandstats|cmdstat_config|resetstat:calls=1,usec=0,usec_per_call=0.00,rejected_calls=0,"
			 "failed_calls=0||# Errorstats||");
	expect("stats", "keyspace_hits", "0");
	expect("stats", "keyspace_misses", "0");
	expect("stats", "total_net_input_bytes", "0");
	expect("stats", "total_error_replies", "0");
	ck_assert_int_ge(number("memory", "used_memory_peak"), peak);
	now += 50;
	ck_assert_int_le(number("stats", "instantaneous_ops_per_sec"), 100); /* never of what was before */
}
END_TEST

START_TEST(test_memory)
{
	static char value[3000];
	memset(value, 'x', sizeof(value) - 1);
	for (int i = 0; i < 1000; i++)
		rig_sayf("SET key:%d %s", i, value);
	now += 200;
	long long used = number("memory", "used_memory");
	ck_assert_int_gt(used, 3000000);
	ck_assert_int_ge(number("memory", "used_memory_peak"), used);
	expect("memory", "used_memory_peak_perc", "100.00%");
	rig_sayf("FLUSHALL SYNC");
	ck_assert_int_lt(number("memory", "used_memory"), used / 2);
	ck_assert_int_ge(number("memory", "used_memory_peak"), used);
	ck_assert_double_lt(strtod(field("memory", "used_memory_peak_perc"), NULL), 50);
	rig_sayf("CONFIG SET maxmemory 1572864");
	expect("memory", "maxmemory_human", "1.50M");
	rig_sayf("CONFIG SET maxmemory 0");
	expect("memory", "maxmemory_human", "0B");
	ck_assert_ptr_null(strstr(rig_sayf("INFO memory"), "used_memory_rss")); /* nobody knows it here */
}
END_TEST

static void look(void *arg, struct cache_process *p)
{
	*(int *)arg += 1;
	p->resident = 8 << 20;
	p->user_us = 1500000;
	p->system_us = 42;
}

START_TEST(test_process)
{
	int looks = 0;
	ck_assert_str_eq(rig_sayf("INFO cpu"), "$7|# CPU||");
	ck_assert_ptr_null(strstr(rig_sayf("INFO server"), "process_id"));
	cache.look_at_process = look;
	cache.look_arg = &looks;
	cache.process.pid = 77;
	expect("cpu", "used_cpu_user", "1.500000");
	expect("cpu", "used_cpu_sys", "0.000042");
	expect("memory", "used_memory_rss_human", "8.00M");
	expect("server", "process_id", "77");
	ck_assert_int_eq(looks, 4);
	ck_assert_uint_eq(strspn(field("server", "run_id"), "0123456789abcdef"), 40);
	now += 2 * 86400000ll + 5000;
	expect("server", "uptime_in_days", "2");
	expect("server", "uptime_in_seconds", "172805");
}
END_TEST

/* The mean of what the keys that have an end have left, whichever way their ends were set and lost. */
START_TEST(test_average_ttl)
{
	rig_sayf("SET a x PX 1000");
	rig_sayf("SET b x PX 3000");
	rig_sayf("SET c x");
	expect("keyspace", "db0", "keys=3,expires=2,avg_ttl=2000");
	now += 500;
	expect("keyspace", "db0", "keys=3,expires=2,avg_ttl=1500");
	rig_sayf("PEXPIRE b 500");
	expect("keyspace", "db0", "keys=3,expires=2,avg_ttl=500");
	rig_sayf("PERSIST b");
	rig_sayf("PEXPIRE c 1500");
	expect("keyspace", "db0", "keys=3,expires=2,avg_ttl=1000");
	rig_sayf("DEL a");
	expect("keyspace", "db0", "keys=2,expires=1,avg_ttl=1500");
	rig_sayf("PEXPIREAT b 9223372036854775000"); /* sums of such ends are not cut */
	rig_sayf("PEXPIREAT c 9223372036854775000");
	ck_assert_ptr_nonnull(strstr(field("keyspace", "db0"), "avg_ttl=92233703"));
	rig_sayf("FLUSHALL");
	rig_sayf("SET d x PX 700");
	expect("keyspace", "db0", "keys=1,expires=1,avg_ttl=700");
	now += 700;
	cache_tick(&cache, now, 100);
	rig_sayf("SET e x PX 70");
	expect("keyspace", "db0", "keys=1,expires=1,avg_ttl=70");
}
END_TEST

START_TEST(test_subscribers)
{
	rig_say(&sessions[1], "SUBSCRIBE a b");
	rig_say(&sessions[2], "PSUBSCRIBE c*");
	expect("stats", "pubsub_channels", "2");
	expect("stats", "pubsub_patterns", "1");
	expect("clients", "connected_clients", "4");
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cache_info");
	TCase *t = tcase_create("info");
	tcase_add_checked_fixture(t, rig_setup, rig_teardown);
	tcase_add_test(t, test_sections);
	tcase_add_test(t, test_ops_per_second);
	tcase_add_test(t, test_network);
	tcase_add_test(t, test_commandstats);
	tcase_add_test(t, test_transaction);
	tcase_add_test(t, test_errorstats);
	tcase_add_test(t, test_waiting);
	tcase_add_test(t, test_resetstat);
	tcase_add_test(t, test_memory);
	tcase_add_test(t, test_process);
	tcase_add_test(t, test_average_ttl);
	tcase_add_test(t, test_subscribers);
	suite_add_tcase(s, t);
	return rig_run(s);
}
