/* sh_keep.c - what is not kept for ever. Days are counted beside hours from the first, so that rolling hours up into days is to let the hours
 * go.
 *
 * A clock that jumps ahead by years makes all of it look old. So each time the oldest day alone goes, of each table for itself: there are hours
 * left to see it and to set the clock right, and a long time off is made up for at the same pace. */
#include <stdlib.h>

#include "sh_clicks_int.h"

#define HOURS_DAYS   14
#define MOST_ORPHANS 10000
#define FIRST_NS     10000000000ll
#define DAY	     "86400000" /* in milliseconds */
#define EVERY_NS     3600000000000ll
#define AGAIN_NS     60000000000ll

struct sh_keep {
	struct sh_keep_conf conf;
	struct sd_timer timer;
	uint64_t failed;
	bool asked, told, closed; /* asked: the database, which will answer yet */
};

struct sd_sql_job *sh_keep_job(struct sd_sql *sql, int64_t now_ms, int64_t retention_ms)
{
	struct sd_sql_job *j = sd_sql_write(sql);
	int64_t day = now_ms / SH_DAY_MS, last = day - retention_ms / SH_DAY_MS;
	struct sd_sql_value oldest = sd_sql_int(last), oldest_ms = sd_sql_int(last * SH_DAY_MS);
	sd_sql_alone(j);
	sd_sql_add(j, "DELETE FROM click_hours WHERE hour < $1 AND hour < (SELECT MIN(hour) FROM click_hours) + 24", 1,
		   SD_SQL_ARGS(sd_sql_int((day - HOURS_DAYS) * 24)));
	sd_sql_add(j, "DELETE FROM click_orphans WHERE path IN (SELECT path FROM click_orphans ORDER BY last_ms DESC, path LIMIT 1000000000 OFFSET $1)", 1,
		   SD_SQL_ARGS(sd_sql_int(MOST_ORPHANS)));
	if (retention_ms > 0) {
		sd_sql_add(j, "DELETE FROM click_days WHERE day < $1 AND day = (SELECT MIN(day) FROM click_days)", 1, &oldest);
		sd_sql_add(j, "DELETE FROM click_shares WHERE day < $1 AND day = (SELECT MIN(day) FROM click_shares)", 1, &oldest);
		sd_sql_add(j, "DELETE FROM click_visitors WHERE day < $1 AND day = (SELECT MIN(day) FROM click_visitors)", 1, &oldest);
		sd_sql_add(j, "DELETE FROM click_orphans WHERE last_ms < $1 AND last_ms < (SELECT MIN(last_ms) FROM click_orphans) + " DAY, 1, &oldest_ms);
		sd_sql_add(j, "DELETE FROM click_sources WHERE seen_ms < $1 AND seen_ms < (SELECT MIN(seen_ms) FROM click_sources) + " DAY, 1, &oldest_ms);
	}
	return j;
}

static void again(struct sh_keep *k, int64_t ns)
{
	sd_loop_timer_set(k->conf.loop, &k->timer, sd_loop_now_ns(k->conf.loop) + ns);
}

static void failed(struct sh_keep *k, const char *why)
{
	k->failed++;
	if (!k->told)
		sd_event(k->conf.log, SD_WARN, "retention_failed", NULL, "Old statistics could not be deleted, and will be: %s", why);
	k->told = true;
	again(k, AGAIN_NS);
}

static void on_done(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	struct sh_keep *k = arg;
	(void)j;
	k->asked = false;
	if (k->closed) {
		free(k);
		return;
	}
	if (e->code) {
		failed(k, e->text);
		return;
	}
	if (k->told)
		sd_event(k->conf.log, SD_INFO, "retention_goes_on", NULL, "Old statistics are deleted again");
	k->told = false;
	again(k, EVERY_NS);
}

static void on_timer(struct sd_timer *t)
{
	struct sh_keep *k = sd_container(t, struct sh_keep, timer);
	struct sd_sql *sql = k->conf.sql(k->conf.arg);
	if (!sql) { /* that it is away was said */
		again(k, AGAIN_NS);
		return;
	}
	int64_t now_ms = sd_world_wall_ns(sd_loop_world(k->conf.loop)) / 1000000;
	enum sd_err err = sd_sql_run(sh_keep_job(sql, now_ms, k->conf.retention_ms), on_done, k);
	k->asked = err == SD_OK;
	if (err)
		failed(k, sd_err_text(err));
}

struct sh_keep *sh_keep_new(const struct sh_keep_conf *conf)
{
	struct sh_keep *k = calloc(1, sizeof(*k));
	if (!k)
		return NULL;
	k->conf = *conf;
	k->timer.fn = on_timer;
	again(k, FIRST_NS);
	return k;
}

uint64_t sh_keep_failed(const struct sh_keep *k)
{
	return k->failed;
}

void sh_keep_free(struct sh_keep *k)
{
	if (!k)
		return;
	sd_loop_timer_cancel(k->conf.loop, &k->timer);
	k->closed = true;
	if (!k->asked)
		free(k);
}
