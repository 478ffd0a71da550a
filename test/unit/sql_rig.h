/* sql_rig.h - a database and its loop in one thread: each call waits for its answer. SQLite in a folder of its own; PostgreSQL when the
 * environment variable SQL_TEST_URL names one, which is emptied before each test. */
#ifndef SQL_RIG_H
#define SQL_RIG_H

#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "disk/sql.h"

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wunused-function"

struct sql_rig {
	struct sd_world *world;
	struct sd_loop *loop;
	struct sd_sql *sql;
	struct sd_timer late;
	char dir[64], url[300];
	struct sd_error e; /* of the last answer */
	unsigned ups, downs;
	unsigned waiting;
	/* cells of the last answer's last statement, as text */
	char cells[8][8][200];
	size_t rows;
	int64_t changed;
};

static const char *rig_postgres(void)
{
	return getenv("SQL_TEST_URL");
}

static void rig_too_late(struct sd_timer *t)
{
	(void)t;
	ck_abort_msg("no answer in 20 s");
}

static void rig_wait(struct sql_rig *r)
{
	r->late = (struct sd_timer){.fn = rig_too_late};
	sd_loop_timer_set(r->loop, &r->late, sd_world_mono_ns(r->world) + 20000000000);
	sd_loop_run(r->loop);
	sd_loop_timer_cancel(r->loop, &r->late);
}

static void rig_stop(struct sql_rig *r)
{
	sd_loop_stop(r->loop);
}

static void rig_up(void *arg)
{
	struct sql_rig *r = arg;
	r->ups++;
	rig_stop(r);
}

static void rig_down(void *arg, const char *why)
{
	struct sql_rig *r = arg;
	ck_assert_ptr_nonnull(why);
	r->downs++;
	rig_stop(r);
}

static void rig_print(char *to, size_t room, const struct sd_sql_value *v)
{
	switch (v->kind) {
	case SD_SQL_INT:
		snprintf(to, room, "%lld", (long long)v->i);
		break;
	case SD_SQL_REAL:
		snprintf(to, room, "%g", v->real);
		break;
	case SD_SQL_NULL:
		snprintf(to, room, "NULL");
		break;
	default:
		ck_assert_int_eq(v->p[v->n], '\0');
		snprintf(to, room, "%s", v->p);
	}
}

static void rig_answer(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	struct sql_rig *r = arg;
	size_t last = 0;
	r->e = *e;
	r->rows = 0;
	r->changed = 0;
	if (j && e->code == SD_OK) {
		while (sd_sql_columns(j, last + 1) || sd_sql_changed(j, last + 1) || sd_sql_rows(j, last + 1))
			last++;
		r->rows = sd_sql_rows(j, last);
		r->changed = sd_sql_changed(j, last);
		for (size_t i = 0; i < r->rows && i < 8; i++)
			for (size_t k = 0; k < sd_sql_columns(j, last) && k < 8; k++)
				rig_print(r->cells[i][k], sizeof(r->cells[i][k]), sd_sql_cell(j, last, i, k));
	}
	r->waiting--;
	if (r->waiting == 0)
		rig_stop(r);
}

static enum sd_err rig_run(struct sql_rig *r, struct sd_sql_job *j)
{
	r->waiting = 1;
	enum sd_err err = sd_sql_run(j, rig_answer, r);
	if (err)
		return r->e.code = err;
	rig_wait(r);
	return r->e.code;
}

static enum sd_err rig_exec(struct sql_rig *r, const char *text)
{
	struct sd_sql_job *j = sd_sql_write(r->sql);
	sd_sql_add_once(j, text, 0, NULL);
	return rig_run(r, j);
}

static enum sd_err rig_read(struct sql_rig *r, const char *text)
{
	struct sd_sql_job *j = sd_sql_read(r->sql);
	sd_sql_add_once(j, text, 0, NULL);
	return rig_run(r, j);
}

static void rig_must(struct sql_rig *r, const char *text)
{
	enum sd_err err = rig_exec(r, text);
	ck_assert_msg(err == SD_OK, "%s: %s", text, r->e.text);
}

/* The loop and a place; nothing is open. */
static void rig_make(struct sql_rig *r)
{
	*r = (struct sql_rig){.world = sd_world_real()};
	r->loop = sd_loop_new(r->world, NULL);
	ck_assert_ptr_nonnull(r->loop);
	snprintf(r->dir, sizeof(r->dir), "/tmp/sdlab-sql.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(r->dir));
	if (rig_postgres())
		snprintf(r->url, sizeof(r->url), "%s", rig_postgres());
	else
		snprintf(r->url, sizeof(r->url), "%s/links.db", r->dir);
}

static struct sd_sql_conf rig_conf(struct sql_rig *r)
{
	struct sd_sql_conf conf = sd_sql_defaults;
	conf.url = r->url;
	conf.up = rig_up;
	conf.down = rig_down;
	conf.arg = r;
	return conf;
}

static void rig_open_with(struct sql_rig *r, const struct sd_sql_conf *conf)
{
	enum sd_err err = sd_sql_open(r->loop, conf, &r->sql, &r->e);
	ck_assert_msg(err == SD_OK, "%s", r->e.text);
	rig_wait(r);
	ck_assert_msg(r->ups == 1, "%s", sd_sql_why(r->sql));
}

static void rig_empty(struct sql_rig *r)
{
	if (!rig_postgres())
		return;
	rig_must(r, "DROP SCHEMA public CASCADE");
	rig_must(r, "CREATE SCHEMA public");
}

static void rig_open(struct sql_rig *r)
{
	struct sd_sql_conf conf;
	rig_make(r);
	conf = rig_conf(r);
	rig_open_with(r, &conf);
	rig_empty(r);
}

static void rig_close(struct sql_rig *r)
{
	char name[360];
	static const char *const ends[] = {"", "-wal", "-shm", "-journal"};
	sd_sql_close(r->sql);
	for (size_t i = 0; i < 4; i++) {
		snprintf(name, sizeof(name), "%s/links.db%s", r->dir, ends[i]);
		unlink(name);
	}
	ck_assert_int_eq(rmdir(r->dir), 0);
	sd_loop_free(r->loop);
	sd_world_free(r->world);
}

#pragma GCC diagnostic pop

#endif
