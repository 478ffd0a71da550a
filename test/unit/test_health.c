#include <check.h>

#include "core/health.h"

static const struct sd_health_rules rules = {.fall = 3, .rise = 2, .eject_ns = 100};

#define SAME     SD_HEALTH_SAME
#define DOWN     SD_HEALTH_WENT_DOWN
#define UP       SD_HEALTH_CAME_UP
#define EJECTED  SD_HEALTH_EJECTED
#define RETURNED SD_HEALTH_RETURNED

/* One event after the other, and what must come of it. */
struct step {
	char what; /* '+' a check passed, '-' one failed, 'f' too many requests failed, 't' time passed */
	int64_t now;
	enum sd_health_change change;
	bool usable;
	uint32_t n;
};

static void walk(struct sd_health *h, const struct sd_health_rules *r, const struct step *s)
{
	for (int i = 0; s[i].what; i++) {
		enum sd_health_change got = SAME;
		if (s[i].what == 't')
			got = sd_health_tick(h, s[i].now);
		else if (s[i].what == 'f')
			got = sd_health_eject(h, r, &(struct sd_health_eject){0}, s[i].now);
		else
			got = sd_health_checked(h, r, s[i].what == '+', s[i].now);
		ck_assert_msg(got == s[i].change, "step %d: expected change %d, found %d", i, s[i].change, got);
		ck_assert_msg(sd_health_usable(h) == s[i].usable, "step %d: usable is %d", i, !s[i].usable);
	}
}

START_TEST(checks)
{
	struct sd_health h = {0};
	ck_assert(sd_health_usable(&h)); /* until somebody says otherwise */
	static const struct step steps[] = {
	    {'-', 1, SAME, true, 0},  {'-', 2, SAME, true, 0},   {'+', 3, SAME, true, 0},  {'-', 4, SAME, true, 0},
	    {'-', 5, SAME, true, 0},  {'-', 6, DOWN, false, 0},  {'-', 7, SAME, false, 0}, {'+', 8, SAME, false, 0},
	    {'-', 9, SAME, false, 0}, {'+', 10, SAME, false, 0}, {'+', 11, UP, true, 0},   {'+', 12, SAME, true, 0},
	    {'-', 13, SAME, true, 0}, {'-', 14, SAME, true, 0},  {'-', 15, DOWN, false, 0}, {0},
	};
	walk(&h, &rules, steps);
	ck_assert_uint_eq(h.bad, 3);
	ck_assert_uint_eq(h.good, 0);
}
END_TEST

START_TEST(one_is_enough)
{
	static const struct sd_health_rules quick = {.fall = 1, .rise = 1};
	struct sd_health h = {0};
	static const struct step steps[] = {
	    {'-', 1, DOWN, false, 0}, {'+', 2, UP, true, 0}, {'-', 3, DOWN, false, 0}, {0}};
	walk(&h, &quick, steps);
}
END_TEST

START_TEST(ejection_and_time)
{
	struct sd_health h = {0};
	static const struct step steps[] = {
	    {'f', 1000, EJECTED, false, 5}, {'f', 1001, SAME, false, 5},
	    {'t', 1099, SAME, false, 0},  {'t', 1100, RETURNED, true, 0}, {'t', 1101, SAME, true, 0},
	    /* again: twice as long, then three times */
	    {'f', 1200, EJECTED, false, 9}, {'t', 1399, SAME, false, 0},  {'t', 1400, RETURNED, true, 0},
	    {'f', 1400, EJECTED, false, 5}, {'t', 1699, SAME, false, 0},  {'t', 1700, RETURNED, true, 0},
	    /* not yet long enough in peace */
	    {'f', 2700, EJECTED, false, 5}, {'t', 3099, SAME, false, 0},  {'t', 3100, RETURNED, true, 0},
	    /* ten times the base time without one: begins anew */
	    {'f', 4101, EJECTED, false, 5}, {'t', 4200, SAME, false, 0},  {'t', 4201, RETURNED, true, 0}, {0},
	};
	walk(&h, &rules, steps);
	ck_assert_uint_eq(h.ejections, 1);
}
END_TEST

START_TEST(passed_checks_end_an_ejection)
{
	struct sd_health h = {0};
	static const struct step steps[] = {
	    {'+', 1, SAME, true, 0}, {'+', 2, SAME, true, 0}, {'+', 3, SAME, true, 0},
	    {'f', 10, EJECTED, false, 5},
	    {'+', 11, SAME, false, 0}, /* those before it do not count */
	    {'-', 12, SAME, false, 0}, {'+', 13, SAME, false, 0}, {'+', 14, RETURNED, true, 0},
	    {'t', 200, SAME, true, 0}, {0},
	};
	walk(&h, &rules, steps);
}
END_TEST

/* Down and ejected: one reason less is not enough. */
START_TEST(both)
{
	struct sd_health h = {0};
	static const struct step steps[] = {
	    {'f', 10, EJECTED, false, 5}, {'-', 11, SAME, false, 0}, {'-', 12, SAME, false, 0}, {'-', 13, DOWN, false, 0},
	    {'t', 110, RETURNED, false, 0}, /* the time is over, but it is down */
	    {'f', 111, SAME, false, 5},     /* nobody asks it, so nothing can fail */
	    {'+', 112, SAME, false, 0},   {'+', 113, UP, true, 0},
	    {'f', 120, EJECTED, false, 5}, {'-', 121, SAME, false, 0}, {'-', 122, SAME, false, 0},
	    {'-', 123, DOWN, false, 0},   {'+', 124, SAME, false, 0}, {'+', 125, UP, true, 0}, /* ends both */
	    {'t', 1000, SAME, true, 0},   {0},
	};
	walk(&h, &rules, steps);
}
END_TEST

START_TEST(factor_stops_growing)
{
	struct sd_health h = {0};
	int64_t now = 0, last = 0;
	for (int i = 0; i < 50; i++) {
		ck_assert_int_eq(sd_health_eject(&h, &rules, &(struct sd_health_eject){0}, now), EJECTED);
		last = h.ejected_until_ns - now;
		ck_assert_int_eq(last, 100 * (i < 30 ? i + 1 : 30));
		now = h.ejected_until_ns;
		ck_assert_int_eq(sd_health_tick(&h, now), RETURNED);
	}
}
END_TEST

static int64_t eject_for(struct sd_health *h, const struct sd_health_rules *r, int64_t at_least, double chance, int64_t now)
{
	struct sd_health_eject how = {.at_least_ns = at_least, .chance = chance};
	ck_assert_int_eq(sd_health_eject(h, r, &how, now), EJECTED);
	ck_assert_int_eq(h->ejected_ns, now);
	return h->ejected_until_ns - now;
}

START_TEST(how_long)
{
	struct sd_health_rules r = {.fall = 3, .rise = 2, .eject_ns = 100, .eject_max_ns = 250, .eject_jitter = 0.5};
	struct sd_health h = {0};
	static const int64_t grown[] = {100, 200, 250, 250};
	for (int i = 0; i < 4; i++) {
		ck_assert_int_eq(eject_for(&h, &r, 0, 0, 1000 * i), grown[i]);
		h.ejected_until_ns = 0;
		h.returned_ns = 1000 * i + 999;
	}
	ck_assert_int_eq(eject_for(&h, &r, 0, 0.5, 4500), 250 - 62); /* half of what jitter may take */
	h.ejected_until_ns = 0;
	ck_assert_int_eq(eject_for(&h, &r, 251, 0.5, 4500), 251); /* jitter takes nothing of what was asked for */
	h.ejected_until_ns = 0;
	ck_assert_int_eq(eject_for(&h, &r, 10, 0, 4500), 250);
	/* one that is out already asks for more, or for less */
	struct sd_health_eject more = {.at_least_ns = 300}, less = {.at_least_ns = 299};
	ck_assert_int_eq(sd_health_eject(&h, &r, &more, 4501), SAME);
	ck_assert_int_eq(h.ejected_until_ns, 4801);
	ck_assert_int_eq(sd_health_eject(&h, &r, &less, 4501), SAME);
	ck_assert_int_eq(h.ejected_until_ns, 4801);
	r.eject_max_ns = 50; /* less than the first: it does not grow */
	h.ejected_until_ns = 0;
	ck_assert_int_eq(eject_for(&h, &r, 0, 0, 4900), 100);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("health");
	TCase *t = tcase_create("health");
	tcase_add_test(t, checks);
	tcase_add_test(t, one_is_enough);
	tcase_add_test(t, how_long);
	tcase_add_test(t, ejection_and_time);
	tcase_add_test(t, passed_checks_end_an_ejection);
	tcase_add_test(t, both);
	tcase_add_test(t, factor_stops_growing);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
