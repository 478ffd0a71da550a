#include "sh_apply.h"

#include <stdlib.h>

#include "core/list.h"

#define TRIES	 20
#define AGAIN_NS 5000000ll
#define ORPHANS	 256 /* of a batch that are stored: who tries all codes does not fill the table */

static void ask(struct sh_apply *a);

/* ---- the end ---- */

static void finish(struct sh_apply *a, const struct sd_error *e)
{
	const struct sh_fold *f = &a->fold;
	if (e->code == SD_OK) {
		a->batches++;
		a->clicks += f->clicks;
		a->again += f->again;
		a->early += f->early;
		a->lost += f->lost;
		a->bad += f->bad;
	}
	a->early_now = f->early;
	sh_fold_free(&a->fold);
	a->busy = false;
	a->done(a->arg, e);
}

static void fail(struct sh_apply *a, enum sd_err err, const char *why)
{
	struct sd_error e;
	sd_fail(&e, err, "%s", why);
	finish(a, &e);
}

/* Of jobs that may be refused at once: whoever called us is not called from within. */
static void on_timer(struct sd_timer *t)
{
	struct sh_apply *a = sd_container(t, struct sh_apply, timer);
	if (a->why.code)
		finish(a, &a->why);
	else
		ask(a);
}

static void later(struct sh_apply *a, int64_t ns)
{
	if (a->closing)
		return fail(a, a->why.code ? a->why.code : SD_ECANCELED, a->why.code ? a->why.text : "closed");
	a->timer.fn = on_timer;
	sd_loop_timer_set(a->loop, &a->timer, sd_loop_now_ns(a->loop) + ns);
}

static void run_job(struct sh_apply *a, struct sd_sql_job *j, sd_sql_done *fn)
{
	enum sd_err err = sd_sql_run(j, fn, a);
	if (!err)
		return;
	sd_fail(&a->why, err, "%s", sd_err_text(err));
	later(a, 0);
}

/* ---- writing ---- */

static const char *const add_days = "INSERT INTO click_days (link, day, clicks, bots, previews, prefetches) VALUES ($1, $2, $3, $4, $5, $6)"
				    " ON CONFLICT (link, day) DO UPDATE SET clicks = click_days.clicks + excluded.clicks,"
				    " bots = click_days.bots + excluded.bots, previews = click_days.previews + excluded.previews,"
				    " prefetches = click_days.prefetches + excluded.prefetches";
static const char *const add_hours = "INSERT INTO click_hours (link, hour, clicks, bots, previews, prefetches) VALUES ($1, $2, $3, $4, $5, $6)"
				     " ON CONFLICT (link, hour) DO UPDATE SET clicks = click_hours.clicks + excluded.clicks,"
				     " bots = click_hours.bots + excluded.bots, previews = click_hours.previews + excluded.previews,"
				     " prefetches = click_hours.prefetches + excluded.prefetches";

static void put_times(struct sd_sql_job *j, const struct sh_row *r, const char *text)
{
	sd_sql_add(j, text, 6,
		   SD_SQL_ARGS(sd_sql_int((int64_t)r->link), sd_sql_int(r->when), sd_sql_int(r->n[SD_CLIENT_PERSON]),
			       sd_sql_int(r->n[SD_CLIENT_BOT]), sd_sql_int(r->n[SD_CLIENT_PREVIEW]), sd_sql_int(r->n[SD_CLIENT_PREFETCH])));
}

static void put_share(struct sd_sql_job *j, const struct sh_row *r)
{
	sd_sql_add(j,
		   "INSERT INTO click_shares (link, day, kind, name, clicks) VALUES ($1, $2, $3, $4, $5)"
		   " ON CONFLICT (link, day, kind, name) DO UPDATE SET clicks = click_shares.clicks + excluded.clicks",
		   5,
		   SD_SQL_ARGS(sd_sql_int((int64_t)r->link), sd_sql_int(r->when), sd_sql_int(r->kind), sd_sql_slice(r->name),
			       sd_sql_int(r->n[0])));
}

static void put_orphan(struct sd_sql_job *j, const struct sh_row *r)
{
	sd_sql_add(j,
		   "INSERT INTO click_orphans (path, n, last_ms) VALUES ($1, $2, $3) ON CONFLICT (path) DO UPDATE SET"
		   " n = click_orphans.n + excluded.n, last_ms = excluded.last_ms",
		   3, SD_SQL_ARGS(sd_sql_slice(r->name), sd_sql_int(r->n[0]), sd_sql_int(r->when)));
}

static void put_row(struct sd_sql_job *j, const struct sh_row *r)
{
	if (r->table == SH_HOURS)
		put_times(j, r, add_hours);
	else if (r->table == SH_DAYS)
		put_times(j, r, add_days);
	else if (r->table == SH_SHARES_TABLE)
		put_share(j, r);
	else
		put_orphan(j, r);
}

/* What the lists of links and the live view read: days of a link stand side by side. */
static void put_links(struct sh_apply *a, struct sd_sql_job *j)
{
	const struct sh_fold *f = &a->fold;
	for (size_t i = 0; i < f->nrows;) {
		const struct sh_row *r = &f->rows[i];
		int64_t n = 0;
		for (; i < f->nrows && f->rows[i].table == r->table && f->rows[i].link == r->link; i++)
			n += f->rows[i].n[SD_CLIENT_PERSON];
		if (r->table != SH_DAYS || !r->link || !n)
			continue;
		sd_sql_add(j, "UPDATE links SET clicks = clicks + $2 WHERE id = $1", 2,
			   SD_SQL_ARGS(sd_sql_int((int64_t)r->link), sd_sql_int(n)));
		sd_sql_add(j, "INSERT INTO click_links (link, version) VALUES ($1, $2) ON CONFLICT (link) DO UPDATE SET version = excluded.version", 2,
			   SD_SQL_ARGS(sd_sql_int((int64_t)r->link), sd_sql_int(a->version + 1)));
	}
}

/* Of all links, also of those that were deleted since. */
static void put_total(struct sh_apply *a, struct sd_sql_job *j)
{
	int64_t n = 0;
	for (size_t i = 0; i < a->fold.nrows; i++)
		if (a->fold.rows[i].table == SH_DAYS && !a->fold.rows[i].link)
			n += a->fold.rows[i].n[SD_CLIENT_PERSON];
	if (n)
		sd_sql_add(j, "UPDATE counters SET next = next + $1 WHERE name = 'clicks'", 1, SD_SQL_ARGS(sd_sql_int(n)));
}

static void put_sources(struct sh_apply *a, struct sd_sql_job *j)
{
	int64_t now = sd_world_wall_ns(sd_loop_world(a->loop)) / 1000000;
	for (size_t i = 0; i < a->fold.npositions; i++) {
		const struct sh_position *p = &a->fold.positions[i];
		if (p->moved)
			sd_sql_add(j,
				   "INSERT INTO click_sources (source, seq, seen_ms) VALUES ($1, $2, $3) ON CONFLICT (source) DO UPDATE SET"
				   " seq = excluded.seq, seen_ms = excluded.seen_ms",
				   3, SD_SQL_ARGS(sd_sql_int((int64_t)p->source), sd_sql_int((int64_t)p->seq), sd_sql_int(now)));
	}
}

static void on_written(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	struct sh_apply *a = arg;
	(void)j;
	if (e->code != SD_EAGAIN || a->tries >= TRIES)
		return finish(a, e);
	a->conflicts++;
	a->tries++;
	sh_fold_free(&a->fold);
	later(a, AGAIN_NS * a->tries);
}

/* One sketch a link and day: what was read of it, and the visits of this batch. *i goes behind them. */
static void put_sketch(struct sh_apply *a, struct sd_sql_job *j, const struct sd_sql_value *old, size_t *i)
{
	const struct sh_visit *v = &a->fold.visits[*i];
	struct sd_hll h = {{0}};
	uint8_t bytes[SD_HLL_DENSE];
	if (old->kind == SD_SQL_BLOB)
		sd_hll_get(&h, (const uint8_t *)old->p, old->n);
	for (; *i < a->fold.nvisits && a->fold.visits[*i].link == v->link && a->fold.visits[*i].day == v->day; (*i)++)
		sd_hll_add(&h, a->fold.visits[*i].hash);
	size_t n = sd_hll_put(&h, bytes);
	sd_sql_add(j,
		   "INSERT INTO click_visitors (link, day, sketch) VALUES ($1, $2, $3) ON CONFLICT (link, day) DO UPDATE SET sketch = excluded.sketch",
		   3, SD_SQL_ARGS(sd_sql_int((int64_t)v->link), sd_sql_int(v->day), sd_sql_blob(bytes, n)));
}

static void write_all(struct sh_apply *a, const struct sd_sql_job *sketches)
{
	struct sd_sql *sql = a->sql(a->sql_arg);
	struct sd_sql_job *j = sql ? sd_sql_write(sql) : NULL;
	if (!sql)
		return fail(a, SD_EUNREACHABLE, "the database is away");
	sd_sql_alone(j);
	sd_sql_add(j, "UPDATE click_state SET version = version + 1 WHERE id = 1 AND version = $1", 1, SD_SQL_ARGS(sd_sql_int(a->version)));
	sd_sql_expect(j, SD_EAGAIN, "somebody else counts clicks too");
	put_sources(a, j);
	for (size_t i = 0, orphans = 0; i < a->fold.nrows; i++)
		if (a->fold.rows[i].table != SH_ORPHANS || orphans++ < ORPHANS)
			put_row(j, &a->fold.rows[i]);
	put_links(a, j);
	put_total(a, j);
	for (size_t i = 0, k = 0; i < a->fold.nvisits; k++)
		put_sketch(a, j, sd_sql_cell(sketches, k, 0, 0), &i);
	run_job(a, j, on_written);
}

/* ---- sketches ---- */

static void on_sketches(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	struct sh_apply *a = arg;
	if (e->code)
		finish(a, e);
	else
		write_all(a, j);
}

static void read_sketches(struct sh_apply *a)
{
	const struct sh_fold *f = &a->fold;
	struct sd_sql *sql = a->sql(a->sql_arg);
	struct sd_sql_job *j = sql ? sd_sql_read(sql) : NULL;
	if (!sql)
		return fail(a, SD_EUNREACHABLE, "the database is away");
	for (size_t i = 0; i < f->nvisits; i++)
		if (!i || f->visits[i].link != f->visits[i - 1].link || f->visits[i].day != f->visits[i - 1].day)
			sd_sql_add(j, "SELECT sketch FROM click_visitors WHERE link = $1 AND day = $2", 2,
				   SD_SQL_ARGS(sd_sql_int((int64_t)f->visits[i].link), sd_sql_int(f->visits[i].day)));
	run_job(a, j, on_sketches);
}

/* ---- folding ---- */

static void fold_run(struct sd_work *work)
{
	struct sh_apply *a = sd_container(work, struct sh_apply, work);
	sh_fold_add(&a->fold, a->blocks, a->n);
	sh_fold_finish(&a->fold);
}

static bool any_moved(const struct sh_fold *f)
{
	for (size_t i = 0; i < f->npositions; i++)
		if (f->positions[i].moved)
			return true;
	return false;
}

static void fold_done(struct sd_work *work)
{
	struct sh_apply *a = sd_container(work, struct sh_apply, work);
	a->folding = false;
	if (a->fold.full)
		fail(a, SD_ENOMEM, "out of memory");
	else if (!any_moved(&a->fold))
		finish(a, &(struct sd_error){0});
	else if (a->fold.nvisits)
		read_sketches(a);
	else
		write_all(a, NULL);
}

static void fold_now(struct sh_apply *a)
{
	a->work = (struct sd_work){.run = fold_run, .done = fold_done};
	a->folding = true;
	if (a->helpers && sd_helpers_submit(a->helpers, a->loop, &a->work))
		return;
	fold_run(&a->work);
	fold_done(&a->work);
}

/* ---- asking ---- */

static void on_asked(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	struct sh_apply *a = arg;
	if (e->code)
		return finish(a, e);
	if (!sd_sql_rows(j, 0))
		return fail(a, SD_EDAMAGED, "the table click_state is empty");
	a->version = sd_sql_cell_int(j, 0, 0, 0);
	for (size_t i = 0; i < a->fold.npositions; i++) {
		struct sh_position *p = &a->fold.positions[i];
		p->known = sd_sql_rows(j, i + 1) > 0;
		p->seq = p->known ? (uint64_t)sd_sql_cell_int(j, i + 1, 0, 0) : 0;
	}
	fold_now(a);
}

/* The version first: what is committed behind it makes the write fail. */
static void ask(struct sh_apply *a)
{
	struct sd_sql *sql = a->sql(a->sql_arg);
	struct sd_sql_job *j = sql ? sd_sql_read(sql) : NULL;
	if (!sql)
		return fail(a, SD_EUNREACHABLE, "the database is away");
	if (!sh_fold_begin(&a->fold, a->blocks, a->n)) {
		sd_sql_drop(j);
		return fail(a, SD_ENOMEM, "out of memory");
	}
	sd_sql_add(j, "SELECT version FROM click_state WHERE id = 1", 0, NULL);
	for (size_t i = 0; i < a->fold.npositions; i++)
		sd_sql_add(j, "SELECT seq FROM click_sources WHERE source = $1", 1, SD_SQL_ARGS(sd_sql_int((int64_t)a->fold.positions[i].source)));
	run_job(a, j, on_asked);
}

void sh_apply_run(struct sh_apply *a, const struct sh_block *blocks, size_t n, void (*done)(void *arg, const struct sd_error *e), void *arg)
{
	a->blocks = blocks;
	a->n = n;
	a->done = done;
	a->arg = arg;
	a->busy = true;
	a->tries = 0;
	a->why = (struct sd_error){0};
	later(a, 0);
}

bool sh_apply_close(struct sh_apply *a)
{
	a->closing = true;
	if (!a->busy || !(a->folding || a->timer.slot))
		return !a->busy;
	sd_loop_timer_cancel(a->loop, &a->timer);
	sh_fold_free(&a->fold);
	a->busy = false;
	return true;
}
