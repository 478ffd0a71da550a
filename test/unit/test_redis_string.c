/* What commands about strings mean: options of SET and GETEX, numbers and how they overflow, parts of a value. */
#include "core/redis_string.h"
#include "redis_rig.h"

#define NOW    1000
#define SYNTAX "-ERR syntax error"
#define NO_INT "-ERR value is not an integer or out of range"

/* ---- SET and GETEX ---- */

static const struct set {
	const char *line, *error; /* NULL: it is right */
	unsigned flags;
	int64_t at_ms;
} sets[] = {
    {"set k v", NULL, 0, -1},
    {"set k v nX", NULL, SD_SET_NX, -1},
    {"set k v XX get", NULL, SD_SET_XX | SD_SET_GET, -1},
    {"set k v NX GET", NULL, SD_SET_NX | SD_SET_GET, -1},
    {"set k v KEEPTTL", NULL, SD_SET_KEEPTTL, -1},
    {"set k v EX 10", NULL, SD_SET_EX, NOW + 10000},
    {"set k v EX 5 EX 10", NULL, SD_SET_EX, NOW + 10000},
    {"set k v PX 10 NX", NULL, SD_SET_PX | SD_SET_NX, NOW + 10},
    {"set k v EXAT 10", NULL, SD_SET_EXAT, 10000},
    {"set k v PXAT 10", NULL, SD_SET_PXAT, 10},
    {"set k v NX XX", SYNTAX, 0, 0},
    {"set k v XX NX", SYNTAX, 0, 0},
    {"set k v EX", SYNTAX, 0, 0},
    {"set k v EX 1 PX 1", SYNTAX, 0, 0},
    {"set k v EX 1 KEEPTTL", SYNTAX, 0, 0},
    {"set k v KEEPTTL PXAT 1", SYNTAX, 0, 0},
    {"set k v PERSIST", SYNTAX, 0, 0},
    {"set k v ''", SYNTAX, 0, 0},
    {"set k v EX x", NO_INT, 0, 0},
    {"set k v EX ''", NO_INT, 0, 0},
    {"set k v EX 0", "-ERR invalid expire time in 'set' command", 0, 0},
    {"set k v PXAT -1", "-ERR invalid expire time in 'set' command", 0, 0},
    {"set k v EX 9223372036854776", "-ERR invalid expire time in 'set' command", 0, 0},
    {"set k v PX 9223372036854774807", NULL, SD_SET_PX, INT64_MAX},
    {"set k v PX 9223372036854774808", "-ERR invalid expire time in 'set' command", 0, 0},
    {"set k v PXAT 9223372036854775807", NULL, SD_SET_PXAT, INT64_MAX},
    {"getex k", NULL, 0, -1},
    {"getex k PERSIST", NULL, SD_SET_PERSIST, -1},
    {"getex k EX 2", NULL, SD_SET_EX, NOW + 2000},
    {"getex k PERSIST EX 2", SYNTAX, 0, 0},
    {"getex k EXAT 2 PERSIST", SYNTAX, 0, 0},
    {"getex k NX", SYNTAX, 0, 0},
    {"getex k KEEPTTL", SYNTAX, 0, 0},
    {"getex k PX -5", "-ERR invalid expire time in 'getex' command", 0, 0},
};

START_TEST(test_set)
{
	for (size_t i = 0; i < sizeof(sets) / sizeof(sets[0]); i++) {
		const struct set *s = &sets[i];
		struct sd_redis_args a = words(s->line[0] == 's' ? SD_REDIS(SET) : SD_REDIS(GETEX), s->line);
		struct sd_redis_set o;
		int64_t at_ms = -1;
		bool ok = sd_redis_set_options(&a, &o) && sd_redis_set_time(&a, &o, NOW, &at_ms);
		ck_assert_str_eq(replied(), s->error ? s->error : "");
		ck_assert_msg(ok == !s->error, "%s", s->line);
		if (!ok)
			continue;
		ck_assert_msg(o.flags == s->flags, "%s", s->line);
		ck_assert_int_eq(at_ms, s->at_ms);
		ck_assert_int_eq(sd_redis_set_fits(&o, true), !(s->flags & SD_SET_NX));
		ck_assert_int_eq(sd_redis_set_fits(&o, false), !(s->flags & SD_SET_XX));
	}
	out_end();
}
END_TEST

START_TEST(test_pairs)
{
	struct sd_redis_args a = words(SD_REDIS(MSET), "mset a 1 b 2");
	ck_assert(sd_redis_pairs(&a));
	a = words(SD_REDIS(MSETNX), "msetnx a 1 b");
	ck_assert(!sd_redis_pairs(&a));
	ck_assert_str_eq(replied(), "-ERR wrong number of arguments for 'msetnx' command");
	out_end();
}
END_TEST

/* ---- numbers ---- */

#define OVER "-ERR increment or decrement would overflow"

static const struct incr {
	enum sd_redis_id id;
	const char *line, *had, *error;
	int64_t sum;
} incrs[] = {
    {SD_REDIS_ID_INCR, "incr k", NULL, NULL, 1},
    {SD_REDIS_ID_INCR, "incr k", "41", NULL, 42},
    {SD_REDIS_ID_INCR, "incr k", "9223372036854775807", OVER, 0},
    {SD_REDIS_ID_INCR, "incr k", "", NO_INT, 0},
    {SD_REDIS_ID_INCR, "incr k", " 1", NO_INT, 0},
    {SD_REDIS_ID_INCR, "incr k", "01", NO_INT, 0},
    {SD_REDIS_ID_INCR, "incr k", "9223372036854775808", NO_INT, 0},
    {SD_REDIS_ID_DECR, "decr k", "-9223372036854775807", NULL, INT64_MIN},
    {SD_REDIS_ID_DECR, "decr k", "-9223372036854775808", OVER, 0},
    {SD_REDIS_ID_INCRBY, "incrby k -3", "1", NULL, -2},
    {SD_REDIS_ID_INCRBY, "incrby k -9223372036854775808", "0", NULL, INT64_MIN},
    {SD_REDIS_ID_INCRBY, "incrby k -9223372036854775808", "-1", OVER, 0},
    {SD_REDIS_ID_INCRBY, "incrby k 1.5", "1", NO_INT, 0},
    {SD_REDIS_ID_DECRBY, "decrby k 3", "1", NULL, -2},
    {SD_REDIS_ID_DECRBY, "decrby k -3", "1", NULL, 4},
    {SD_REDIS_ID_DECRBY, "decrby k 9223372036854775807", "-1", NULL, INT64_MIN},
    {SD_REDIS_ID_DECRBY, "decrby k -9223372036854775808", "-5", "-ERR decrement would overflow", 0},
    {SD_REDIS_ID_DECRBY, "decrby k ''", "1", NO_INT, 0},
};

START_TEST(test_incr)
{
	for (size_t i = 0; i < sizeof(incrs) / sizeof(incrs[0]); i++) {
		const struct incr *t = &incrs[i];
		struct sd_redis_args a = words(&sd_redis_commands[t->id], t->line);
		int64_t v = 0, by;
		bool ok = sd_redis_arg_incr(&a, &by) && (!t->had || sd_redis_value_int(&out, sd_slice_of(t->had), &v)) &&
			  sd_redis_add_int(&out, &v, by);
		ck_assert_str_eq(replied(), t->error ? t->error : "");
		ck_assert_msg(ok == !t->error, "%s to %s", t->line, t->had);
		if (ok)
			ck_assert_int_eq(v, t->sum);
	}
	out_end();
}
END_TEST

#define NO_FLOAT "-ERR value is not a valid float"
#define NAN_INF	 "-ERR increment would produce NaN or Infinity"

static const struct {
	const char *had, *by, *sum, *error;
} floats[] = {
    {NULL, "1.5", "1.5", NULL},
    {"10.50", "0.1", "10.6", NULL},
    {"5.0e3", "2.0e2", "5200", NULL},
    {"-1", "1", "0", NULL},
    {"1", "-0.00000000000000000001", "1", NULL},
    {"", "1", NULL, NO_FLOAT},
    {"1", "''", NULL, NO_FLOAT},
    {"1", "nan", NULL, NO_FLOAT},
    {"x", "1", NULL, NO_FLOAT},
    {" 1", "1", NULL, NO_FLOAT},
    {NULL, "inf", NULL, NAN_INF},
    {"inf", "-inf", NULL, NAN_INF},
};

START_TEST(test_incr_float)
{
	static struct sd_redis_float sum;
	for (size_t i = 0; i < sizeof(floats) / sizeof(floats[0]); i++) {
		char line[100];
		snprintf(line, sizeof(line), "incrbyfloat k %s", floats[i].by);
		struct sd_redis_args a = words(SD_REDIS(INCRBYFLOAT), line);
		bool ok = sd_redis_incr_float(&a, sd_slice_of(floats[i].had), &sum);
		ck_assert_str_eq(replied(), floats[i].error ? floats[i].error : "");
		ck_assert_int_eq(ok, floats[i].sum != NULL);
		if (ok)
			ck_assert_msg(sd_slice_eq((struct sd_slice){sum.text, sum.n}, floats[i].sum), "%.*s", (int)sum.n, sum.text);
	}
	out_end();
}
END_TEST

/* ---- parts ---- */

/* Every pair of ends against what a person would count, one byte after the other. */
START_TEST(test_part)
{
	static const int64_t far[] = {INT64_MIN, INT64_MIN + 1, INT64_MAX - 1, INT64_MAX};
	const char *text = "abcde";
	for (int64_t n = 0; n <= 5; n++) {
		for (int64_t i = -8 - 2; i <= 8 + 2; i++) {
			for (int64_t j = -8 - 2; j <= 8 + 2; j++) {
				int64_t from = i < -8 ? far[i + 10] : i > 8 ? far[i - 7] : i, to = j < -8 ? far[j + 10] : j > 8 ? far[j - 7] : j;
				char want[8] = "";
				size_t m = 0;
				/* an end before the beginning is the first byte, unless both count from the end and cross */
				bool crossed = from < 0 && to < 0 && from > to;
				for (int64_t at = 0; at < n && !crossed; at++)
					if ((from < 0 ? at - n >= from : at >= from) && (to < 0 ? at - n <= to || (at == 0 && to < -n) : at <= to))
						want[m++] = text[at];
				struct sd_slice got = sd_redis_part((struct sd_slice){text, (size_t)n}, (struct sd_redis_range){from, to});
				ck_assert_msg(got.n == m && memcmp(got.p, want, m) == 0, "%ld bytes, %ld to %ld: %.*s, not %s", (long)n, (long)from,
					      (long)to, (int)got.n, got.p, want);
			}
		}
	}
}
END_TEST

START_TEST(test_places)
{
	struct sd_redis_range r;
	size_t at;
	struct sd_redis_args a = words(SD_REDIS(GETRANGE), "getrange k -3 7");
	ck_assert(sd_redis_arg_range(&a, &r) && r.from == -3 && r.to == 7);
	a = words(SD_REDIS(GETRANGE), "getrange k 0 x");
	ck_assert(!sd_redis_arg_range(&a, &r));
	ck_assert_str_eq(replied(), NO_INT);
	a = words(SD_REDIS(SETRANGE), "setrange k 9223372036854775807 v");
	ck_assert(sd_redis_arg_offset(&a, &at));
	ck_assert_uint_eq(at, INT64_MAX);
	a = words(SD_REDIS(SETRANGE), "setrange k -1 v");
	ck_assert(!sd_redis_arg_offset(&a, &at));
	ck_assert_str_eq(replied(), "-ERR offset is out of range");
	a = words(SD_REDIS(SETRANGE), "setrange k 1x v");
	ck_assert(!sd_redis_arg_offset(&a, &at));
	ck_assert_str_eq(replied(), NO_INT);
	out_end();
}
END_TEST

START_TEST(test_fits)
{
	words(SD_REDIS(APPEND), "append k v");
	ck_assert(sd_redis_fits(&out, 90, 10, 100) && sd_redis_fits(&out, 100, 0, 100) && sd_redis_fits(&out, 0, 100, 100));
	ck_assert_uint_eq(out.n, 0);
	ck_assert(!sd_redis_fits(&out, INT64_MAX, SIZE_MAX, 100));
	ck_assert_str_eq(replied(), "-ERR string exceeds maximum allowed size (proto-max-bulk-len)");
	ck_assert(!sd_redis_fits(&out, 90, 11, 100) && !sd_redis_fits(&out, 101, 0, 100) && !sd_redis_fits(&out, SIZE_MAX, 1, 100));
	out_end();
}
END_TEST

int main(void)
{
	Suite *s = suite_create("redis_string");
	TCase *tc = tcase_create("redis_string");
	tcase_add_test(tc, test_set);
	tcase_add_test(tc, test_pairs);
	tcase_add_test(tc, test_incr);
	tcase_add_test(tc, test_incr_float);
	tcase_add_test(tc, test_part);
	tcase_add_test(tc, test_places);
	tcase_add_test(tc, test_fits);
	suite_add_tcase(s, tc);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
