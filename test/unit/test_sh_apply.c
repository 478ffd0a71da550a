/* Clicks into the database: each exactly once, by one server or two at once, whichever statement fails, and with the answer to a commit lost.
 * SQLite; PostgreSQL when SQL_TEST_URL names one, which is emptied before each test. */
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
#include "world/sim.h"

static struct sd_world *world;
static struct sd_loop *loop;
static struct sd_helpers *helpers;
static char file[] = "/tmp/sdlab-apply-XXXXXX", name[300];
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

static void write_to(struct sd_sql *sql, const char *text)
{
	struct sd_sql_job *j = sd_sql_write(sql);
	sd_sql_add_once(j, text, 0, NULL);
	ck_assert_int_eq(sd_sql_run(j, on_done, NULL), SD_OK);
	wait_over();
	ck_assert_msg(!last.code, "%s: %s", text, last.text);
}

static const char *postgres(void)
{
	return getenv("SQL_TEST_URL");
}

static struct sd_sql *open_database(bool empty)
{
	struct sd_sql_conf conf = sd_sql_defaults;
	struct sd_error e = {0};
	struct sd_sql *sql;
	conf.url = name;
	conf.fast = true;
	ck_assert_msg(sd_sql_open(loop, &conf, &sql, &e) == SD_OK, "%s", e.text);
	if (empty && postgres()) {
		write_to(sql, "DROP SCHEMA public CASCADE");
		write_to(sql, "CREATE SCHEMA public");
	}
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
	write_to(databases[0], text);
}

static void setup(void)
{
	struct sd_error e = {0};
	int fd = mkstemp(file);
	close(fd);
	unlink(file);
	snprintf(name, sizeof(name), "%s", postgres() ? postgres() : file);
	world = sd_world_real();
	loop = sd_loop_new(world, &e);
	helpers = sd_helpers_new(world, 2);
	for (int i = 0; i < 2; i++)
		databases[i] = open_database(i == 0);
	tell("INSERT INTO links VALUES (7, 'seven', 'u', 0, NULL, '', 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0)");
}

static void teardown(void)
{
	char path[320];
	for (int i = 0; i < 2; i++)
		sd_sql_close(databases[i]);
	sd_helpers_free(helpers);
	sd_loop_flush(loop);
	sd_loop_free(loop);
	sd_world_free(world);
	for (const char *const *end = (const char *const[]){"", "-wal", "-shm", NULL}; *end; end++) {
		snprintf(path, sizeof(path), "%s%s", file, *end);
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
	ck_assert_int_eq(ask("SELECT CAST(SUM(clicks) AS BIGINT) FROM click_hours WHERE link = 7"), clicks);
	ck_assert_int_eq(ask("SELECT clicks FROM click_shares WHERE link = 7 AND kind = 0 AND name = 'a.example'"), clicks);
	ck_assert_int_eq(ask("SELECT clicks FROM links WHERE id = 7"), clicks);
	ck_assert_int_eq(ask("SELECT next FROM counters WHERE name = 'clicks'"), clicks);
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
		if (postgres() && i == 0)
			tell("CREATE FUNCTION refuse() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RAISE EXCEPTION ''no''; END'");
		snprintf(text, sizeof(text), "CREATE TRIGGER t BEFORE INSERT ON %s %s", tables[i],
			 postgres() ? "FOR EACH ROW EXECUTE FUNCTION refuse()" : "BEGIN SELECT RAISE(ABORT, 'no'); END");
		tell(text);
		ck_assert_int_ne(apply(&a, &s), SD_OK);
		if (i)
			counted(2 * i);
		snprintf(text, sizeof(text), postgres() ? "DROP TRIGGER t ON %s" : "DROP TRIGGER t", tables[i]);
		tell(text);
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

/* ---- retention: a loop of the simulated world, whose hours take no time, on the same database ---- */

static struct sd_sim *sim;
static struct sd_loop *virtual;
static struct sd_sql *kept;
static char said[2000];

static void on_event(struct sd_event_listener *self, const char *event, const char *json, size_t n)
{
	size_t at = strlen(said);
	(void)self;
	(void)json;
	(void)n;
	snprintf(said + at, sizeof(said) - at, "%s ", event);
}

static struct sd_sql *kept_of(void *arg)
{
	(void)arg;
	return kept;
}

/* Lets virtual time pass; the helper thread of the database is a virtual one too. */
static void pass(int64_t seconds)
{
	sd_sim_run_to(sim, sd_sim_now_ns(sim) + seconds * 1000000000);
}

/* Ended while the database is asked, at the moment of the timer: it answers nobody. */
static void in_the_middle(struct sh_keep *k)
{
	(void)k;
	ck_assert_uint_eq(sd_sql_counts(kept).waiting, 1);
}

/* Keeps, from that day (since 1970) on, while `then` looks. */
static void keep_at(int64_t day, int64_t retention_days, void (*then)(struct sh_keep *k))
{
	struct sd_event_listener listener = {.fn = on_event};
	struct sd_sql_conf conf = sd_sql_defaults;
	struct sd_error e = {0};
	sim = sd_sim_new(1);
	struct sd_world *w = sd_sim_node(sim, "a");
	virtual = sd_loop_new(w, &e);
	ck_assert_int_eq(sd_loop_start(virtual, "loop", &e), SD_OK);
	sd_sim_set_wall(w, day * 86400000000000 - sd_world_wall_ns(w));
	struct sd_events *bus = sd_events_new(virtual, false, false);
	sd_events_listen(bus, &listener);
	conf.url = name;
	conf.busy_ms = 1;
	ck_assert_int_eq(sd_sql_open(virtual, &conf, &kept, &e), SD_OK);
	said[0] = '\0';
	struct sh_keep *k = sh_keep_new(&(struct sh_keep_conf){
	    .loop = virtual, .log = sd_log_new(bus, "URL", "shortener", NULL, 0), .sql = kept_of, .retention_ms = retention_days * SH_DAY_MS});
	sd_sim_run_to(sim, sd_sim_now_ns(sim) + (then == in_the_middle ? 10000000000 : 11000000000));
	then(k);
	sh_keep_free(k);
	sd_sql_close(kept);
	sd_events_unlisten(&listener);
	sd_events_free(bus);
	sd_loop_free(virtual);
	sd_sim_free(sim);
}

static void three_clicks(void)
{
	struct sh_apply a = applier(0);
	s = (struct source){0};
	put_block(&s, 1, 1, 3);
	ck_assert_int_eq(apply(&a, &s), SD_OK);
}

static void keep_on(int64_t day, int64_t retention_days)
{
	ck_assert_int_eq(sd_sql_run(sh_keep_job(databases[0], day * SH_DAY_MS, retention_days * SH_DAY_MS), on_done, NULL), SD_OK);
	wait_over();
	ck_assert_msg(!last.code, "%s", last.text);
}

/* The total of before comes from days, or from links where days are no longer kept; it stays when both are gone. */
START_TEST(the_total_of_an_older_database)
{
	static const char *const less[] = {"UPDATE counters SET next = 0", "UPDATE links SET clicks = 0", "UPDATE click_days SET clicks = 1"};
	three_clicks();
	for (size_t i = 0; i < sizeof(less) / sizeof(less[0]); i++) {
		tell(less[i]);
		if (i == 2)
			tell("UPDATE links SET clicks = 3");
		tell("DELETE FROM counters WHERE name = 'clicks'");
		tell("UPDATE sdlab_schema SET version = 2");
		ck_assert_int_eq(sd_sql_migrate(databases[0], "links", sh_schema, sh_schema_versions, on_done, NULL), SD_OK);
		wait_over();
		ck_assert_msg(!last.code, "%s", last.text);
		ck_assert_int_eq(ask("SELECT next FROM counters WHERE name = 'clicks'"), 3);
	}
	tell("DELETE FROM links");
	keep_on(20401, 400);
	ck_assert_int_eq(ask("SELECT next FROM counters WHERE name = 'clicks'"), 3);
}
END_TEST

START_TEST(hours_and_days_end)
{
	three_clicks();
	keep_on(20014, 400);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_hours"), 2);
	keep_on(20015, 400);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_hours"), 0);
	keep_on(20400, 400);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_days"), 2);
	keep_on(20401, 0);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_days"), 2);
	keep_on(20401, 400);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_days"), 0);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_visitors"), 0);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_shares"), 0);
	ck_assert_int_eq(ask("SELECT clicks FROM links WHERE id = 7"), 3);
}
END_TEST

/* Days 20000 to 20004 with clicks, and their hours. */
static void five_days(void)
{
	static const char *const copies[] = {
	    "INSERT INTO click_days SELECT link, day + $1, clicks, bots, previews, prefetches FROM click_days WHERE day = 20000",
	    "INSERT INTO click_shares SELECT link, day + $1, kind, name, clicks FROM click_shares WHERE day = 20000",
	    "INSERT INTO click_visitors SELECT link, day + $1, sketch FROM click_visitors WHERE day = 20000",
	    "INSERT INTO click_hours SELECT link, hour + 24 * $1, clicks, bots, previews, prefetches FROM click_hours WHERE hour = 480000"};
	three_clicks();
	for (int i = 1; i < 5; i++) {
		struct sd_sql_job *j = sd_sql_write(databases[0]);
		for (size_t k = 0; k < sizeof(copies) / sizeof(copies[0]); k++)
			sd_sql_add(j, copies[k], 1, SD_SQL_ARGS(sd_sql_int(i)));
		ck_assert_int_eq(sd_sql_run(j, on_done, NULL), SD_OK);
		wait_over();
		ck_assert_msg(!last.code, "%s", last.text);
	}
}

static void days_left(int64_t days)
{
	ck_assert_int_eq(ask("SELECT COUNT(DISTINCT day) FROM click_days"), days);
	ck_assert_int_eq(ask("SELECT COUNT(DISTINCT day) FROM click_shares"), days);
	ck_assert_int_eq(ask("SELECT COUNT(DISTINCT day) FROM click_visitors"), days);
	ck_assert_int_eq(ask("SELECT COUNT(DISTINCT hour) FROM click_hours"), days);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_days WHERE day = 20004"), days ? 2 : 0);
}

/* Ten years ahead: the oldest day alone goes each time, and what journals and orphans were seen last of all. */
START_TEST(a_clock_that_jumps_ahead_takes_a_day_at_a_time)
{
	five_days();
	tell("DELETE FROM click_sources");
	tell("INSERT INTO click_sources VALUES (1, 5, 1728000000000)");
	tell("INSERT INTO click_sources VALUES (2, 5, 1728100000000)");
	tell("INSERT INTO click_orphans VALUES ('a', 1, 1728000000000)");
	tell("INSERT INTO click_orphans VALUES ('b', 1, 1728100000000)");
	for (int64_t left = 4; left >= 0; left--) {
		keep_on(23650, 400);
		days_left(left);
		ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_sources"), left == 4);
		ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_orphans"), left == 4);
	}
	ck_assert_int_eq(ask("SELECT clicks FROM links WHERE id = 7"), 3);
}
END_TEST

/* Back behind all that is there, also to before 1970: nothing is old, and clicks of that time are kept beside the others until they are. */
START_TEST(a_clock_that_is_set_back_deletes_nothing)
{
	five_days();
	static const int64_t days[] = {19999, 10000, 0, -5};
	for (size_t i = 0; i < sizeof(days) / sizeof(days[0]); i++) {
		keep_on(days[i], 400);
		days_left(5);
	}
	tell("INSERT INTO click_days VALUES (7, 0, 1, 0, 0, 0)"); /* of a clock at its beginning */
	keep_on(20004, 400);
	days_left(5);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_days WHERE day = 0"), 0);
}
END_TEST

/* Clicks of one journal, recorded while the clock went back, also to before 1970: each counts, on the day that the clock showed. */
START_TEST(clicks_while_the_clock_is_set_back)
{
	static const int64_t times[] = {20001 * SH_DAY_MS + 5, 20000 * SH_DAY_MS + 5, 0, -5};
	struct sh_apply a = applier(0);
	s = (struct source){0};
	for (uint64_t i = 0; i < 4; i++) {
		struct sh_block *b = &s.blocks[s.nblocks++];
		struct sh_entry e = {.link = 7, .time_ms = times[i], .visitor = 5, .flags = SH_ENTRY_VISITOR, .host = sd_slice_of("a.example")};
		*b = (struct sh_block){.source = 1, .seq = i + 1, .floor = i, .clicks = {(const char *)s.bytes + s.n, 0}};
		b->clicks.n = sh_entry_put(s.bytes + s.n, &e);
		s.n += b->clicks.n;
	}
	ck_assert_int_eq(apply(&a, &s), SD_OK);
	ck_assert_int_eq(ask("SELECT clicks FROM links WHERE id = 7"), 4);
	ck_assert_int_eq(ask("SELECT clicks FROM click_days WHERE link = 7 AND day = 20001"), 1);
	ck_assert_int_eq(ask("SELECT clicks FROM click_days WHERE link = 7 AND day = 20000"), 1);
	ck_assert_int_eq(ask("SELECT clicks FROM click_days WHERE link = 7 AND day = 0"), 2);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_days WHERE day < 0"), 0);
}
END_TEST

/* The timer, in hours of a clock that jumps: one day an hour, and none any more once it is right. */
static void while_it_is_wrong(struct sh_keep *k)
{
	struct sd_world *w = sd_loop_world(virtual);
	days_left(4);
	pass(3605);
	days_left(3);
	sd_sim_set_wall(w, 0);
	sd_sim_set_wall(w, 20005 * 86400000000000 - sd_world_wall_ns(w));
	pass(3 * 3605);
	ck_assert_int_eq(ask("SELECT COUNT(DISTINCT day) FROM click_days"), 3);
	sd_sim_set_wall(w, 0);
	sd_sim_set_wall(w, -sd_world_wall_ns(w) - 86400000000000);
	pass(3 * 3605);
	ck_assert_int_eq(ask("SELECT COUNT(DISTINCT day) FROM click_days"), 3);
	ck_assert_uint_eq(sh_keep_failed(k), 0);
}

START_TEST(a_clock_that_jumped_can_be_set_right)
{
	five_days();
	keep_at(23650, 400, while_it_is_wrong);
}
END_TEST

/* It failed once: a minute later it is tried again, and an hour after that. */
static void after_a_failure(struct sh_keep *k)
{
	ck_assert_uint_eq(sh_keep_failed(k), 1);
	pass(65);
	ck_assert_uint_eq(sh_keep_failed(k), 2);
	ck_assert_str_eq(said, "retention_failed ");
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_days"), 2);
	tell("ALTER TABLE click_sources_away RENAME TO click_sources");
	pass(65);
	ck_assert_uint_eq(sh_keep_failed(k), 2);
	ck_assert_str_eq(said, "retention_failed retention_goes_on ");
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_days"), 0);
	tell("INSERT INTO click_days VALUES (7, 20000, 1, 0, 0, 0)");
	pass(3500);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_days"), 1);
	pass(200);
	ck_assert_int_eq(ask("SELECT COUNT(*) FROM click_days"), 0);
}

START_TEST(what_could_not_be_deleted_is_said_and_deleted_later)
{
	three_clicks();
	tell("ALTER TABLE click_sources RENAME TO click_sources_away");
	keep_at(20401, 400, after_a_failure);
}
END_TEST

START_TEST(retention_ends_in_the_middle)
{
	three_clicks();
	keep_at(20401, 400, in_the_middle);
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
	tcase_add_test(t, the_total_of_an_older_database);
	tcase_add_test(t, a_clock_that_jumps_ahead_takes_a_day_at_a_time);
	tcase_add_test(t, a_clock_that_is_set_back_deletes_nothing);
	tcase_add_test(t, clicks_while_the_clock_is_set_back);
	if (!postgres()) { /* which is not in the simulated world */
		tcase_add_test(t, what_could_not_be_deleted_is_said_and_deleted_later);
		tcase_add_test(t, retention_ends_in_the_middle);
		tcase_add_test(t, a_clock_that_jumped_can_be_set_right);
	}
	tcase_add_test(t, statistics);
	suite_add_tcase(suite, t);
	SRunner *r = srunner_create(suite);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed ? EXIT_FAILURE : EXIT_SUCCESS;
}
