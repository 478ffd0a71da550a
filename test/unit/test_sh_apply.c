/* Clicks into the database: each exactly once, by one server or two at once, whichever statement fails, and with the answer to a commit lost. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../../applets/shortener/clicks/sh_apply.h"
#include "../../applets/shortener/clicks/sh_clicks_int.h"
#include "../../applets/shortener/store/sh_schema.h"
#include "core/list.h"
#include "core/rng.h"

static struct sd_world *world;
static struct sd_loop *loop;
static struct sd_helpers *helpers;
static char file[] = "/tmp/sdlab-apply-XXXXXX", name[64];
static struct sd_error last;
static bool over;
static struct sd_sql *databases[2];

/* ---- a database ---- */

static void on_done(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	(void)arg;
	(void)j;
	last = *e;
	over = true;
	sd_loop_stop(loop);
}

static void wait_over(void)
{
	while (!over)
		sd_loop_run(loop);
	over = false;
}

static struct sd_sql *open_database(void)
{
	struct sd_sql_conf conf = sd_sql_defaults;
	struct sd_error e = {0};
	struct sd_sql *sql;
	conf.url = name;
	conf.fast = true;
	ck_assert_msg(sd_sql_open(loop, &conf, &sql, &e) == SD_OK, "%s", e.text);
	ck_assert_int_eq(sd_sql_migrate(sql, "links", sh_schema, sh_schema_versions, on_done, NULL), SD_OK);
	wait_over();
	ck_assert_msg(!last.code, "%s", last.text);
	return sql;
}

static int64_t number;

static void on_number(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	number = e->code ? -1 : sd_sql_cell_int(j, 0, 0, 0);
	on_done(arg, e, j);
}

static int64_t ask(const char *text)
{
	struct sd_sql_job *j = sd_sql_read(databases[0]);
	sd_sql_add_once(j, text, 0, NULL);
	ck_assert_int_eq(sd_sql_run(j, on_number, NULL), SD_OK);
	wait_over();
	ck_assert_msg(!last.code, "%s: %s", text, last.text);
	return number;
}

static void tell(const char *text)
{
	struct sd_sql_job *j = sd_sql_write(databases[0]);
	sd_sql_add_once(j, text, 0, NULL);
	ck_assert_int_eq(sd_sql_run(j, on_done, NULL), SD_OK);
	wait_over();
	ck_assert_msg(!last.code, "%s: %s", text, last.text);
}

static void setup(void)
{
	struct sd_error e = {0};
	int fd = mkstemp(file);
	close(fd);
	unlink(file);
	snprintf(name, sizeof(name), "%s", file);
	world = sd_world_real();
	loop = sd_loop_new(world, &e);
	helpers = sd_helpers_new(world, 2);
	for (int i = 0; i < 2; i++)
		databases[i] = open_database();
	tell("INSERT INTO links VALUES (7, 'seven', 'u', 0, NULL, '', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)");
}

static void teardown(void)
{
	char path[80];
	for (int i = 0; i < 2; i++)
		sd_sql_close(databases[i]);
	sd_helpers_free(helpers);
	sd_loop_flush(loop);
	sd_loop_free(loop);
	sd_world_free(world);
	for (const char *const *end = (const char *const[]){"", "-wal", "-shm", NULL}; *end; end++) {
		snprintf(path, sizeof(path), "%s%s", name, *end);
		unlink(path);
	}
	memcpy(strrchr(file, '-'), "-XXXXXX", 8);
}

/* ---- batches ---- */

struct source {
	uint8_t bytes[65536];
	size_t n;
	struct sh_block blocks[128];
	size_t nblocks;
};

static void put_block(struct source *s, uint64_t run, uint64_t seq, unsigned clicks)
{
	struct sh_block *b = &s->blocks[s->nblocks++];
	*b = (struct sh_block){.source = run, .seq = seq, .floor = seq - 1, .clicks = {(const char *)s->bytes + s->n, 0}};
	for (unsigned i = 0; i < clicks; i++) {
		struct sh_entry e = {.link = 7, .time_ms = 20000 * SH_DAY_MS + 5, .visitor = (run * 1000 + seq * 10 + i) * 0x9e3779b97f4a7c15u,
				     .flags = SH_ENTRY_VISITOR, .host = sd_slice_of("a.example"), .country = {'D', 'E'}};
		b->clicks.n += sh_entry_put(s->bytes + s->n + b->clicks.n, &e);
	}
	s->n += b->clicks.n;
}

static struct sd_sql *sql_of(void *arg)
{
	return arg;
}

static struct sh_apply applier(int which)
{
	return (struct sh_apply){.loop = loop, .helpers = helpers, .sql = sql_of, .sql_arg = databases[which]};
}

static void on_applied(void *arg, const struct sd_error *e)
{
	on_done(arg, e, NULL);
}

static enum sd_err apply(struct sh_apply *a, const struct source *s)
{
	sh_apply_run(a, s->blocks, s->nblocks, on_applied, NULL);
	wait_over();
	return last.code;
}

static void counted(int64_t clicks)
{
	ck_assert_int_eq(ask("SELECT clicks FROM click_days WHERE link = 7 AND day = 20000"), clicks);
	ck_assert_int_eq(ask("SELECT clicks FROM click_days WHERE link = 0 AND day = 20000"), clicks);
	ck_assert_int_eq(ask("SELECT SUM(clicks) FROM click_hours WHERE link = 7"), clicks);
	ck_assert_int_eq(ask("SELECT clicks FROM click_shares WHERE link = 7 AND kind = 0 AND name = 'a.example'"), clicks);
	ck_assert_int_eq(ask("SELECT clicks FROM links WHERE id = 7"), clicks);
}

static struct source s;

START_TEST(a_batch_counts_once)
{
	struct sh_apply a = applier(0);
	s = (struct source){0};
	put_block(&s, 1, 1, 3);
	put_block(&s, 2, 1, 4);
	for (int round = 0; round < 3; round++) {
		ck_assert_msg(apply(&a, &s) == SD_OK, "%s", last.text);
		counted(7);
	}
	ck_assert_uint_eq(a.clicks, 7);
	ck_assert_uint_eq(a.again, 4);
	put_block(&s, 1, 2, 5); /* with old ones before it */
	ck_assert_int_eq(apply(&a, &s), SD_OK);
	counted(12);
	ck_assert_int_eq(ask("SELECT seq FROM click_sources WHERE source = 1"), 2);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_links WHERE link = 7"), 1);
}
END_TEST

/* Each table in turn refuses: then nothing at all was done, and the next try does all of it. */
START_TEST(what_fails_is_done_again_as_a_whole)
{
	static const char *const tables[] = {"click_sources", "click_hours", "click_days", "click_shares", "click_visitors", "click_links"};
	struct sh_apply a = applier(0);
	char text[200];
	for (unsigned i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		s = (struct source){0};
		put_block(&s, 1, i + 1, 2);
		snprintf(text, sizeof(text), "CREATE TRIGGER t BEFORE INSERT ON %s BEGIN SELECT RAISE(ABORT, 'no'); END", tables[i]);
		tell(text);
		ck_assert_int_ne(apply(&a, &s), SD_OK);
		if (i)
			counted(2 * i);
		tell("DROP TRIGGER t");
		ck_assert_msg(apply(&a, &s) == SD_OK, "%s", last.text);
		counted(2 * (i + 1));
	}
}
END_TEST

/* Two servers add their own to one database at the same time; the sketch of a day has the visitors of both. */
struct racer {
	struct sh_apply a;
	struct source s;
	uint64_t run, seq;
	unsigned left;
	unsigned *running;
};

static void race(struct racer *r);

static void on_raced(void *arg, const struct sd_error *e)
{
	struct racer *r = arg;
	ck_assert_msg(!e->code, "%s", e->text);
	if (--r->left) {
		race(r);
		return;
	}
	if (--*r->running == 0) {
		over = true;
		sd_loop_stop(loop);
	}
}

static void race(struct racer *r)
{
	r->s.n = r->s.nblocks = 0;
	put_block(&r->s, r->run, ++r->seq, 5);
	sh_apply_run(&r->a, r->s.blocks, r->s.nblocks, on_raced, r);
}

START_TEST(two_servers_at_once)
{
	static struct racer racers[2];
	unsigned running = 2;
	for (unsigned i = 0; i < 2; i++) {
		racers[i] = (struct racer){.a = applier((int)i), .run = i + 1, .left = 20, .running = &running};
		race(&racers[i]);
	}
	wait_over();
	counted(200);
	ck_assert_uint_eq(racers[0].a.clicks + racers[1].a.clicks, 200);
	int64_t n = ask("SELECT LENGTH(sketch) FROM click_visitors WHERE link = 7 AND day = 20000");
	ck_assert_int_ge(n, 1 + 3 * 180); /* 200 visitors in 4096 registers: few share one */
}
END_TEST

/* The same batch by two at once (a worker that was taken for dead): once. */
START_TEST(the_same_by_two)
{
	struct sh_apply a = applier(0), b = applier(1);
	for (unsigned i = 1; i <= 10; i++) {
		unsigned running = 2;
		struct racer one = {.left = 1, .running = &running}, two = {.left = 1, .running = &running};
		s = (struct source){0};
		put_block(&s, 3, i, 4);
		sh_apply_run(&a, s.blocks, 1, on_raced, &one);
		sh_apply_run(&b, s.blocks, 1, on_raced, &two);
		wait_over();
		counted(4 * i);
	}
}
END_TEST

START_TEST(hours_and_days_end)
{
	struct sh_apply a = applier(0);
	s = (struct source){0};
	put_block(&s, 1, 1, 3);
	ck_assert_int_eq(apply(&a, &s), SD_OK);
	sh_keep_run(databases[0], 20014 * SH_DAY_MS, 400 * SH_DAY_MS);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_hours"), 2);
	sh_keep_run(databases[0], 20015 * SH_DAY_MS, 400 * SH_DAY_MS);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_hours"), 0);
	sh_keep_run(databases[0], 20400 * SH_DAY_MS, 400 * SH_DAY_MS);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_days"), 2);
	sh_keep_run(databases[0], 20401 * SH_DAY_MS, 0);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_days"), 2);
	sh_keep_run(databases[0], 20401 * SH_DAY_MS, 400 * SH_DAY_MS);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_days"), 0);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_visitors"), 0);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_shares"), 0);
	ck_assert_int_eq(ask("SELECT clicks FROM links WHERE id = 7"), 3);
}
END_TEST

/* ---- what is asked for ---- */

static void on_stats(void *arg, enum sd_err err, const struct sh_stats *st)
{
	(void)arg;
	ck_assert_int_eq(err, SD_OK);
	ck_assert_int_eq(st->total.clicks, 30);
	ck_assert_int_eq(st->clicks_ever, 30);
	ck_assert_int_ge(st->total.visitors, 29);
	ck_assert_int_le(st->total.visitors, 31);
	ck_assert_uint_eq(st->ndays, 1);
	ck_assert_int_eq(st->days[0].at_ms, 20000 * SH_DAY_MS);
	ck_assert_int_eq(st->days[0].n.clicks, 30);
	ck_assert_int_eq(st->days[0].n.visitors, st->total.visitors);
	ck_assert_uint_eq(st->nhours, 1);
	ck_assert_uint_eq(st->nshares[SH_REFERRERS], 1);
	ck_assert_str_eq(st->shares[SH_REFERRERS][0].name, "a.example");
	ck_assert_str_eq(st->shares[SH_COUNTRIES][0].name, "DE");
	ck_assert_int_eq(st->shares[SH_DEVICES][0].clicks, 30);
	over = true;
	sd_loop_stop(loop);
}

static void on_nothing(void *arg, enum sd_err err, const struct sh_stats *st)
{
	(void)arg;
	ck_assert_int_eq(err, SD_OK);
	ck_assert_uint_eq(st->ndays, 0);
	ck_assert_int_eq(st->total.clicks, 0);
	ck_assert_int_eq(st->total.visitors, 0);
	over = true;
	sd_loop_stop(loop);
}

START_TEST(statistics)
{
	struct sh_clicks c = {.loop = loop, .apply = applier(0)};
	s = (struct source){0};
	for (unsigned i = 1; i <= 6; i++)
		put_block(&s, 1, i, 5);
	ck_assert_int_eq(apply(&c.apply, &s), SD_OK);
	for (unsigned link = 0; link <= 7; link += 7) {
		sh_stats(&c, link, 0, 0, on_stats, NULL);
		wait_over();
	}
	sh_stats(&c, 7, 20001 * SH_DAY_MS, 0, on_nothing, NULL);
	wait_over();
	sh_stats(&c, 8, 0, 0, on_nothing, NULL);
	wait_over();
}
END_TEST

int main(void)
{
	Suite *suite = suite_create("sh_apply");
	TCase *t = tcase_create("sh_apply");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	tcase_add_test(t, a_batch_counts_once);
	tcase_add_test(t, what_fails_is_done_again_as_a_whole);
	tcase_add_test(t, two_servers_at_once);
	tcase_add_test(t, the_same_by_two);
	tcase_add_test(t, hours_and_days_end);
	tcase_add_test(t, statistics);
	suite_add_tcase(suite, t);
	SRunner *r = srunner_create(suite);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
