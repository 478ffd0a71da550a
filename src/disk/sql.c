/* sql.c - jobs on their way to a connection and back. See the lanes in sql_int.h. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/list.h"
#include "core/url_text.h"
#include "sql_int.h"

const struct sd_sql_conf sd_sql_defaults = SD_SQL_DEFAULTS;

/* ---- answers ---- */

static void answer(struct sd_sql *s, struct sd_sql_job *j)
{
	s->counts.reads += !j->write;
	s->counts.writes += j->write;
	s->counts.failed += j->error.code != SD_OK;
	s->jobs--;
	if (j->fn)
		j->fn(j->arg, &j->error, j);
	sql_job_free(j);
}

static void begin_next(struct sql_lane *lane);

void sql_lane_done(struct sql_lane *lane)
{
	struct sd_sql *s = lane->sql;
	struct sd_sql_job *j = lane->batch;
	lane->batch = NULL;
	/* busy until all were told: what they ask for becomes one batch */
	while (j) {
		struct sd_sql_job *next = j->next;
		answer(s, j);
		j = next;
	}
	lane->busy = false;
	begin_next(lane);
}

static void answer_all(struct sd_sql *s, struct sd_sql_job *j, enum sd_err err, const char *why)
{
	while (j) {
		struct sd_sql_job *next = j->next;
		sql_job_reset(j);
		sd_fail(&j->error, err, "%s", why);
		answer(s, j);
		j = next;
	}
}

void sql_lane_refuse(struct sql_lane *lane, enum sd_err err, const char *why)
{
	struct sd_sql_job *j = lane->first;
	lane->first = NULL;
	lane->tail = &lane->first;
	lane->waiting = 0;
	answer_all(lane->sql, j, err, why);
}

/* ---- lanes ---- */

/* Takes a batch off the queue: writers or readers, and who wants to be alone is. */
static void take_batch(struct sql_lane *lane)
{
	struct sd_sql_job **at = &lane->first;
	size_t n = 0;
	while (*at && n < lane->sql->conf.batch && !((*at)->alone && n > 0) && (*at)->write == lane->first->write) {
		n++;
		bool alone = (*at)->alone;
		at = &(*at)->next;
		if (alone)
			break;
	}
	lane->batch = lane->first;
	lane->first = *at;
	*at = NULL;
	lane->waiting -= n;
	if (!lane->first)
		lane->tail = &lane->first;
}

static void begin_next(struct sql_lane *lane)
{
	if (lane->busy || !lane->first || lane->state != SQL_STANDS || lane->sql->closing)
		return;
	take_batch(lane);
	lane->busy = true;
	lane->sql->ops->begin(lane);
}

static void on_start(struct sd_task *t)
{
	begin_next(sd_container(t, struct sql_lane, start));
}

static void on_tell(struct sd_task *t)
{
	struct sd_sql *s = sd_container(t, struct sd_sql, tell);
	enum sql_state state = s->lanes[0].state;
	if (s->closing)
		return;
	if (state == SQL_STANDS && !s->said_up) {
		s->said_up = true;
		s->said_down = false;
		if (s->conf.up)
			s->conf.up(s->conf.arg);
	} else if (state == SQL_AWAY && !s->said_down) {
		s->said_down = true;
		s->said_up = false;
		if (s->conf.down)
			s->conf.down(s->conf.arg, s->why);
	}
}

void sql_lane_state(struct sql_lane *lane, enum sql_state state, const char *why)
{
	struct sd_sql *s = lane->sql;
	lane->state = state;
	if (lane == s->lanes && why)
		snprintf(s->why, sizeof(s->why), "%s", why);
	if (lane == s->lanes)
		sd_loop_post(s->loop, &s->tell);
	if (state == SQL_STANDS)
		sd_loop_post(s->loop, &lane->start);
}

/* Of the readers that stand the one with the least to do; the writer when there is none. */
static struct sql_lane *lane_for(struct sd_sql *s, bool write)
{
	struct sql_lane *best = &s->lanes[0];
	for (unsigned i = 1; i < s->nlanes && !write; i++) {
		struct sql_lane *l = &s->lanes[i];
		size_t load = l->waiting + l->busy, least = best->waiting + best->busy;
		if (l->state == SQL_STANDS && (best == s->lanes || load < least))
			best = l;
	}
	return best;
}

enum sd_err sd_sql_run(struct sd_sql_job *j, sd_sql_done *fn, void *arg)
{
	enum sd_err err = !j || j->broken ? SD_ENOMEM : SD_OK;
	struct sql_lane *lane = j ? lane_for(j->sql, j->write) : NULL;
	if (!err && (lane->state == SQL_AWAY || j->sql->closing))
		err = j->sql->closing ? SD_ECANCELED : SD_EUNREACHABLE;
	if (!err && j->sql->jobs >= j->sql->conf.most)
		err = SD_EAGAIN;
	if (err) {
		sd_sql_drop(j);
		return err;
	}
	j->fn = fn;
	j->arg = arg;
	j->next = NULL;
	j->sql->jobs++;
	*lane->tail = j;
	lane->tail = &j->next;
	lane->waiting++;
	/* not now: what else comes in this turn goes with it */
	if (!lane->busy)
		sd_loop_post(j->sql->loop, &lane->start);
	return SD_OK;
}

/* ---- life ---- */

static const struct sd_url_scheme schemes[] = {{"postgres://", false}, {"postgresql://", false}};

static bool make_lanes(struct sd_sql *s)
{
	bool one = !s->postgres && strstr(s->url, ":memory:");
	s->nlanes = one ? 1 : 1 + (s->conf.readers ? s->conf.readers : 1);
	s->lanes = calloc(s->nlanes, sizeof(*s->lanes));
	for (unsigned i = 0; i < s->nlanes && s->lanes; i++)
		s->lanes[i] = (struct sql_lane){.sql = s, .write = i == 0, .tail = &s->lanes[i].first, .start = {.fn = on_start}};
	return s->lanes != NULL;
}

enum sd_err sd_sql_open(struct sd_loop *l, const struct sd_sql_conf *conf, struct sd_sql **out, struct sd_error *e)
{
	struct sd_sql *s = calloc(1, sizeof(*s));
	*out = NULL;
	if (!s)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	*s = (struct sd_sql){.loop = l, .conf = *conf, .tell = {.fn = on_tell}};
	s->conf.batch = conf->batch ? conf->batch : 1;
	s->url = strdup(conf->url);
	s->conf.url = s->url;
	if (!s->url || ((s->postgres = sd_url_split(s->url, schemes, 2, NULL)), !make_lanes(s))) {
		sd_sql_close(s);
		return sd_fail(e, SD_ENOMEM, "out of memory");
	}
	s->ops = s->postgres ? &sql_pg_ops : &sql_lite_ops;
	enum sd_err err = s->ops->open(s, e);
	if (err) {
		sd_sql_close(s);
		return err;
	}
	*out = s;
	return SD_OK;
}

void sd_sql_close(struct sd_sql *s)
{
	if (!s)
		return;
	s->closing = true;
	for (unsigned i = 0; i < s->nlanes && s->lanes; i++)
		sql_lane_refuse(&s->lanes[i], SD_ECANCELED, "the database was closed");
	if (s->ops)
		s->ops->close(s);
	for (unsigned i = 0; i < s->nlanes && s->lanes; i++) {
		struct sd_sql_job *j = s->lanes[i].batch;
		s->lanes[i].batch = NULL;
		answer_all(s, j, SD_ECANCELED, "the database was closed");
	}
	if (s->lanes)
		sd_loop_flush(s->loop); /* nothing posted points here any more */
	free(s->lanes);
	free(s->url);
	free(s);
}

/* ---- questions ---- */

bool sd_sql_is_postgres(const struct sd_sql *s)
{
	return s->postgres;
}

const char *sd_sql_shown(const struct sd_sql *s)
{
	return s->shown;
}

bool sd_sql_stands(const struct sd_sql *s)
{
	return s->lanes[0].state == SQL_STANDS;
}

bool sd_sql_is_read_only(const struct sd_sql *s)
{
	return s->read_only;
}

const char *sd_sql_why(const struct sd_sql *s)
{
	return s->why;
}

struct sd_loop *sd_sql_loop(const struct sd_sql *s)
{
	return s->loop;
}

struct sd_sql_counts sd_sql_counts(const struct sd_sql *s)
{
	struct sd_sql_counts c = s->counts;
	c.waiting = s->jobs;
	return c;
}
