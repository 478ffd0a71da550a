/* The table of a worker in virtual time beside a list of everything that was ever put: nothing is given that was dropped, flushed, replaced or
 * is over; memory is bounded; codes that are none push out no link. And what is written for the shared cache. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/shortener/lookup/sh_table.h"

#ifdef SD_SANITIZED /* memory and rules of C are looked at; what comes out of many more steps is looked at in the plain build */
#define MANY 25000
#define STEPS 5000
#else
#define MANY 100000
#define STEPS 20000
#endif

#define SECOND 1000000000ll
#define STALE  (100 * SECOND)
#define DEAF   (5 * SECOND)
#define CODES  64

static struct sh_table table;
static const struct sd_siphash_key key = {1, 2};

/* ---- the model ---- */

static struct {
	bool in, flushed;
	struct sh_record rec;
	char url[64];
	int64_t came, life;
} model[CODES];

static struct sd_slice code_of(unsigned i, char out[16])
{
	return (struct sd_slice){out, (size_t)snprintf(out, 16, "code-%u", i)};
}

static void put(unsigned i, struct sd_rng *rng, int64_t now)
{
	static const uint16_t statuses[] = {0, 301, 302, 307, 308};
	struct sh_record *r = &model[i].rec;
	char code[16];
	*r = (struct sh_record){.none = sd_rng_below(rng, 4) == 0};
	if (!r->none) {
		r->id = sd_rng_next(rng) | 1;
		r->status = statuses[sd_rng_below(rng, 5)];
		r->disabled = sd_rng_below(rng, 2);
		r->forward_query = sd_rng_below(rng, 2);
		r->limited = sd_rng_below(rng, 2);
		r->valid_from_ms = sd_rng_below(rng, 2) ? (int64_t)(sd_rng_next(rng) >> 2) : 0;
		r->valid_until_ms = sd_rng_below(rng, 2) ? (int64_t)(sd_rng_next(rng) >> 2) : 0;
		r->url = (struct sd_slice){model[i].url, (size_t)snprintf(model[i].url, 64, "http://%llu.example/", (unsigned long long)sd_rng_next(rng))};
	}
	model[i].in = true;
	model[i].flushed = false;
	model[i].came = now;
	model[i].life = (int64_t)(1 + sd_rng_below(rng, 30)) * SECOND;
	sh_table_put(&table, code_of(i, code), r, now, model[i].life);
}

static void same(const struct sh_record *a, const struct sh_record *b)
{
	ck_assert_int_eq(a->none, b->none);
	ck_assert_int_eq(a->disabled, b->disabled);
	ck_assert_int_eq(a->forward_query, b->forward_query);
	ck_assert_int_eq(a->limited, b->limited);
	ck_assert_uint_eq(a->status, b->status);
	ck_assert_uint_eq(a->id, b->id);
	ck_assert_int_eq(a->valid_from_ms, b->valid_from_ms);
	ck_assert_int_eq(a->valid_until_ms, b->valid_until_ms);
	ck_assert_uint_eq(a->url.n, b->url.n);
	ck_assert_int_eq(a->url.n ? memcmp(a->url.p, b->url.p, a->url.n) : 0, 0);
}

/* The least that has to be fresh, so that the model is not satisfied by a table that has nothing: nine tenths of a life, and the times' grain. */
static void look(unsigned i, int64_t now)
{
	char code[16];
	struct sh_record rec;
	enum sh_kept kept = sh_table_find(&table, code_of(i, code), now, &rec);
	int64_t age = now - model[i].came;
	bool may = model[i].in && !model[i].flushed && age < model[i].life && !(table.deaf && age >= DEAF);
	bool must = may && age < model[i].life * 9 / 10 - SECOND / 5 && !(table.deaf && age >= DEAF - SECOND / 5);
	ck_assert(!must || kept == SH_KEPT_FRESH);
	ck_assert(may || kept != SH_KEPT_FRESH);
	if (!model[i].in)
		ck_assert_int_eq(kept, SH_KEPT_NONE);
	else if (age < model[i].life * 9 / 10 + STALE - SECOND / 5)
		ck_assert_int_ne(kept, SH_KEPT_NONE);
	else if (age >= model[i].life + STALE)
		ck_assert_int_eq(kept, SH_KEPT_NONE);
	if (kept != SH_KEPT_NONE)
		same(&rec, &model[i].rec);
}

static void change(struct sd_rng *rng, int64_t now)
{
	unsigned i = sd_rng_below(rng, CODES);
	char code[16];
	switch (sd_rng_below(rng, 40)) {
	case 0:
		sh_table_flush(&table);
		for (i = 0; i < CODES; i++)
			model[i].flushed = true;
		return;
	case 1: sh_table_deaf(&table, !table.deaf); return;
	default: break;
	}
	if (sd_rng_below(rng, 3)) {
		put(i, rng, now);
	} else {
		sh_table_drop(&table, code_of(i, code));
		model[i].in = false;
	}
}

START_TEST(as_the_model)
{
	struct sd_rng rng;
	int64_t now = 7 * SECOND;
	sd_rng_seed(&rng, (uint64_t)_i + 1);
	memset(model, 0, sizeof(model));
	sh_table_init(&table, 1 << 20, key, now, STALE, DEAF);
	for (int step = 0; step < STEPS; step++) {
		now += (int64_t)sd_rng_below(&rng, 1000) * SECOND / 2000;
		if (sd_rng_below(&rng, 200) == 0)
			now += (int64_t)sd_rng_below(&rng, 200) * SECOND;
		if (sd_rng_below(&rng, 3) == 0)
			change(&rng, now);
		look(sd_rng_below(&rng, CODES), now);
	}
	ck_assert_uint_eq(table.evicted, 0);
	sh_table_free(&table);
}
END_TEST

/* All generations of flushes once round. */
START_TEST(flushed_often)
{
	char code[16];
	struct sd_rng rng;
	struct sh_record rec;
	sd_rng_seed(&rng, 1);
	sh_table_init(&table, 1 << 20, key, 0, STALE, DEAF);
	put(1, &rng, 0);
	for (unsigned i = 0; i < 65536; i++) {
		sh_table_flush(&table);
		ck_assert_int_ne(sh_table_find(&table, code_of(1, code), 1, &rec), SH_KEPT_FRESH);
	}
	put(2, &rng, 0);
	ck_assert_int_eq(sh_table_find(&table, code_of(2, code), 1, &rec), SH_KEPT_FRESH);
	sh_table_free(&table);
}
END_TEST

/* ---- room ---- */

static void put_n(uint64_t n, bool none)
{
	char code[24], url[64];
	struct sh_record rec = {.none = none, .id = n + 1};
	if (!none)
		rec.url = (struct sd_slice){url, (size_t)snprintf(url, sizeof(url), "https://www.example.com/articles/%07llu", (unsigned long long)n)};
	sh_table_put(&table, (struct sd_slice){code, (size_t)snprintf(code, sizeof(code), none ? "none-%llu" : "%07llu", (unsigned long long)n)}, &rec,
		     SECOND, 1000 * SECOND);
}

static bool has(uint64_t n)
{
	char code[24];
	struct sh_record rec;
	struct sd_slice c = {code, (size_t)snprintf(code, sizeof(code), "%07llu", (unsigned long long)n)};
	return sh_table_find(&table, c, 2 * SECOND, &rec) == SH_KEPT_FRESH;
}

START_TEST(bounded)
{
	const size_t max = 1 << 20;
	sh_table_init(&table, max, key, 0, STALE, DEAF);
	for (uint64_t n = 0; n < MANY; n++) {
		put_n(n, false);
		put_n(n, true);
		ck_assert_uint_le(sh_table_bytes(&table), max + max / 8); /* a bucket array that just doubled */
	}
	ck_assert_uint_le(sh_table_bytes(&table), max);
	ck_assert_uint_gt(sh_table_count(&table, false), max / 160);
	ck_assert_uint_gt(table.evicted, MANY);
	printf("bytes a link of 7 and 40: %zu\n", (table.shelves[0].used + sd_s3fifo_memory(&table.shelves[0].queues)) / sh_table_count(&table, false));
	sh_table_free(&table);
	ck_assert_uint_eq(sh_table_count(&table, false), 0);
}
END_TEST

/* Whoever tries a million codes pushes out no link; whoever follows a million links once, none of those that are followed often. */
START_TEST(scans)
{
	unsigned kept = 0;
	sh_table_init(&table, 1 << 20, key, 0, STALE, DEAF);
	for (uint64_t n = 0; n < 2000; n++)
		put_n(n, false);
	for (int round = 0; round < 3; round++)
		for (uint64_t n = 0; n < 2000; n++)
			ck_assert(has(n));
	for (uint64_t n = 0; n < 10 * MANY; n++)
		put_n(n, true);
	ck_assert_uint_eq(sh_table_count(&table, false), 2000);
	for (uint64_t n = 0; n < 50000; n++)
		put_n(10000 + n, false);
	for (uint64_t n = 0; n < 2000; n++)
		kept += has(n);
	ck_assert_uint_gt(kept, 1900);
	sh_table_free(&table);
}
END_TEST

/* Lives of what came at once end over a tenth of the time. */
START_TEST(jitter)
{
	unsigned at[3] = {0};
	sh_table_init(&table, 1 << 20, key, 0, STALE, DEAF);
	for (uint64_t n = 0; n < 1000; n++)
		put_n(n, false);
	for (int i = 0; i < 3; i++) {
		static const int64_t when[] = {900, 950, 1000};
		for (uint64_t n = 0; n < 1000; n++) {
			struct sh_record rec;
			char code[24];
			struct sd_slice c = {code, (size_t)snprintf(code, sizeof(code), "%07llu", (unsigned long long)n)};
			at[i] += sh_table_find(&table, c, SECOND + when[i] * SECOND, &rec) == SH_KEPT_FRESH;
		}
	}
	ck_assert_uint_gt(at[0], 950);
	ck_assert(at[1] > 400 && at[1] < 600);
	ck_assert_uint_eq(at[2], 0);
	sh_table_free(&table);
}
END_TEST

/* ---- as text ---- */

START_TEST(written_and_read)
{
	struct sd_rng rng;
	char text[SH_RECORD_TEXT];
	struct sh_record back;
	sd_rng_seed(&rng, 3);
	sh_table_init(&table, 1 << 20, key, 0, STALE, DEAF);
	for (int i = 0; i < 2000; i++) {
		put(0, &rng, SECOND);
		size_t n = sh_record_write(&model[0].rec, text);
		ck_assert_uint_gt(n, 0);
		ck_assert(sh_record_read((struct sd_slice){text, n}, &back));
		same(&back, &model[0].rec);
		/* cut off anywhere it is none, or one with a shorter URL */
		for (size_t m = 0; m < n; m++)
			ck_assert(!sh_record_read((struct sd_slice){text, m}, &back) || (!back.none && back.url.n < model[0].rec.url.n));
	}
	sh_table_free(&table);
}
END_TEST

START_TEST(refused)
{
	static const char *const bad[] = {
	    "",		      "1",		 "1x",		     "2:1:301:::0:http://a/", "2-",		     "1--",
	    "1:",	      "1:1",		 "1:1:::::",	     "1:0::::::http://a/",    "1:x:::::http://a/",   "1:1:200::::http://a/",
	    "1:1::z:::http://a/", "1:1::dd:::http://a/", "1:1:::-1::http://a/", "1:1::::99999999999999999999:http://a/",
	    "1:18446744073709551616:::::http://a/", "1:1:::::http://a/\r\nSet-Cookie: x", "1:1:::::http://a b/", "1:1:::::\x7f",
	};
	struct sh_record rec;
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		ck_assert_msg(!sh_record_read(sd_slice_of(bad[i]), &rec), "%s", bad[i]);
	ck_assert(sh_record_read(sd_slice_of("1:18446744073709551615:::::h"), &rec));
}
END_TEST

START_TEST(judged)
{
	struct sh_target t;
	struct sh_record r = {.id = 5, .valid_from_ms = 100, .valid_until_ms = 200, .url = sd_slice_of("http://a/")};
	ck_assert_int_eq(sh_record_judge(&r, 99, &t), SH_LOOK_NOT_YET);
	ck_assert_int_eq(sh_record_judge(&r, 100, &t), SH_LOOK_FOUND);
	ck_assert_int_eq(sh_record_judge(&r, 199, &t), SH_LOOK_FOUND);
	ck_assert_int_eq(sh_record_judge(&r, 200, &t), SH_LOOK_EXPIRED);
	ck_assert_int_eq(sh_record_judge(&r, 150, &t), SH_LOOK_FOUND); /* the clock was set back: by the clock that is */
	ck_assert_int_eq(sh_record_judge(&r, -1, &t), SH_LOOK_NOT_YET);
	ck_assert_uint_eq(t.id, 5);
	r.disabled = true;
	ck_assert_int_eq(sh_record_judge(&r, 150, NULL), SH_LOOK_DISABLED);
	r = (struct sh_record){.none = true};
	ck_assert_int_eq(sh_record_judge(&r, 150, NULL), SH_LOOK_UNKNOWN);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sh_table");
	TCase *t = tcase_create("sh_table");
	tcase_set_timeout(t, 60);
	tcase_add_loop_test(t, as_the_model, 0, 10);
	tcase_add_test(t, flushed_often);
	tcase_add_test(t, bounded);
	tcase_add_test(t, scans);
	tcase_add_test(t, jitter);
	tcase_add_test(t, written_and_read);
	tcase_add_test(t, refused);
	tcase_add_test(t, judged);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
