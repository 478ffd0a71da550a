/* sh_stats.c - what is asked for: one job that reads, and its rows as a struct. */
#include <math.h>
#include <stdlib.h>

#include "core/list.h"
#include "sh_clicks_int.h"

#define LIVE_ROWS   256
#define FOREVER_DAY 10000000 /* a day in the year 29349: what a database can be asked for */

struct ask {
	struct sh_clicks *c;
	union {
		sh_stats_fn *stats;
		sh_live_fn *live;
		sh_orphans_fn *orphans;
	};
	void *arg;
	int64_t cursor, links;
};

/* ---- asking ---- */

static struct ask *ask_new(struct sh_clicks *c, void *arg)
{
	struct ask *a = calloc(1, sizeof(*a));
	if (a)
		*a = (struct ask){.c = c, .arg = arg};
	return a;
}

static struct sd_sql *database(struct sh_clicks *c)
{
	return c->apply.sql(c->apply.sql_arg);
}

/* A refusal comes on a later turn too. */
struct refusal {
	struct sd_task task;
	struct ask *ask;
	void (*tell)(struct ask *a, enum sd_err err);
	enum sd_err err;
};

static void on_refusal(struct sd_task *t)
{
	struct refusal *r = sd_container(t, struct refusal, task);
	r->tell(r->ask, r->err);
	free(r->ask);
	free(r);
}

static void refuse(struct ask *a, enum sd_err err, void (*tell)(struct ask *a, enum sd_err err))
{
	struct refusal *r = calloc(1, sizeof(*r));
	if (!r) {
		tell(a, SD_ENOMEM);
		free(a);
		return;
	}
	*r = (struct refusal){.task.fn = on_refusal, .ask = a, .tell = tell, .err = err};
	sd_loop_defer(a->c->loop, &r->task);
}

/* ---- of a link ---- */

static void read_tally(const struct sd_sql_job *j, size_t statement, size_t row, struct sh_tally *t)
{
	int64_t *n[] = {&t->clicks, &t->bots, &t->previews, &t->prefetches};
	for (size_t k = 0; k < sizeof(n) / sizeof(n[0]); k++)
		*n[k] = sd_sql_cell_int(j, statement, row, k + 1);
}

static void add_tally(struct sh_tally *to, const struct sh_tally *t)
{
	to->clicks += t->clicks;
	to->bots += t->bots;
	to->previews += t->previews;
	to->prefetches += t->prefetches;
}

static struct sh_span *read_spans(const struct sd_sql_job *j, size_t statement, int64_t unit_ms, size_t *n, struct sh_tally *total)
{
	*n = sd_sql_rows(j, statement);
	struct sh_span *spans = calloc(*n + 1, sizeof(*spans));
	if (!spans)
		return NULL;
	for (size_t i = 0; i < *n; i++) {
		spans[i].at_ms = sd_sql_cell_int(j, statement, i, 0) * unit_ms;
		read_tally(j, statement, i, &spans[i].n);
		spans[i].n.visitors = -1;
		if (total)
			add_tally(total, &spans[i].n);
	}
	return spans;
}

/* Sketches are in the order of days, as days are; a day without persons has none. */
static void read_visitors(const struct sd_sql_job *j, size_t statement, struct sh_stats *s)
{
	struct sd_hll all = {{0}};
	size_t at = 0;
	for (size_t d = 0; d < s->ndays; d++)
		s->days[d].n.visitors = 0;
	for (size_t i = 0; i < sd_sql_rows(j, statement); i++) {
		const struct sd_sql_value *v = sd_sql_cell(j, statement, i, 1);
		int64_t day_ms = sd_sql_cell_int(j, statement, i, 0) * SH_DAY_MS;
		struct sd_hll one = {{0}};
		if (v->kind != SD_SQL_BLOB || !sd_hll_get(&one, (const uint8_t *)v->p, v->n))
			continue;
		sd_hll_merge(&all, &one);
		while (at < s->ndays && s->days[at].at_ms < day_ms)
			at++;
		if (at < s->ndays && s->days[at].at_ms == day_ms)
			s->days[at].n.visitors = llround(sd_hll_count(&one));
	}
	s->total.visitors = llround(sd_hll_count(&all));
}

/* In the order of their kinds, most first. */
static struct sh_share *read_shares(const struct sd_sql_job *j, size_t statement, struct sh_stats *s)
{
	size_t n = sd_sql_rows(j, statement);
	struct sh_share *rows = calloc(n + 1, sizeof(*rows));
	if (!rows)
		return NULL;
	for (size_t k = 0; k < SH_SHARES; k++)
		s->shares[k] = rows;
	for (size_t i = 0; i < n; i++) {
		int64_t kind = sd_sql_cell_int(j, statement, i, 0);
		const char *name = sd_sql_cell_text(j, statement, i, 1);
		if (kind < 0 || kind >= SH_SHARES)
			continue;
		if (!s->nshares[kind]++)
			s->shares[kind] = &rows[i];
		rows[i] = (struct sh_share){name ? name : "", sd_sql_cell_int(j, statement, i, 2)};
	}
	return rows;
}

static void tell_stats(struct ask *a, enum sd_err err)
{
	a->stats(a->arg, err, NULL);
}

static void on_stats(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	struct ask *a = arg;
	struct sh_stats s = {0};
	struct sh_share *shares = NULL;
	enum sd_err err = e->code;
	if (!err) {
		s.days = read_spans(j, 0, SH_DAY_MS, &s.ndays, &s.total);
		s.hours = read_spans(j, 1, SH_HOUR_MS, &s.nhours, NULL);
		s.clicks_ever = sd_sql_cell_int(j, 4, 0, 0);
		shares = read_shares(j, 3, &s);
		err = s.days && s.hours && shares ? SD_OK : SD_ENOMEM;
	}
	if (!err)
		read_visitors(j, 2, &s);
	a->stats(a->arg, err, err ? NULL : &s);
	free(s.days);
	free(s.hours);
	free(shares);
	free(a);
}

static const char *const ever_of_link = "SELECT clicks FROM links WHERE id = $1";
static const char *const ever_of_all = "SELECT next FROM counters WHERE name = 'clicks' AND CAST($1 AS BIGINT) = 0";

static void add_questions(struct sd_sql_job *j, uint64_t link, int64_t from, int64_t to)
{
	const struct sd_sql_value days[] = {sd_sql_int((int64_t)link), sd_sql_int(from), sd_sql_int(to)};
	const struct sd_sql_value hours[] = {sd_sql_int((int64_t)link), sd_sql_int(from * 24), sd_sql_int(to * 24 + 23)};
	sd_sql_add(j, "SELECT day, clicks, bots, previews, prefetches FROM click_days WHERE link = $1 AND day >= $2 AND day <= $3 ORDER BY day",
		   3, days);
	sd_sql_add(j, "SELECT hour, clicks, bots, previews, prefetches FROM click_hours WHERE link = $1 AND hour >= $2 AND hour <= $3 ORDER BY hour",
		   3, hours);
	sd_sql_add(j, "SELECT day, sketch FROM click_visitors WHERE link = $1 AND day >= $2 AND day <= $3 ORDER BY day", 3, days);
	sd_sql_add(j, "SELECT kind, name, CAST(SUM(clicks) AS BIGINT) AS n FROM click_shares WHERE link = $1 AND day >= $2 AND day <= $3"
		      " GROUP BY kind, name ORDER BY kind, n DESC, name LIMIT 5000",
		   3, days);
	sd_sql_add(j, link ? ever_of_link : ever_of_all, 1, days);
}

void sh_stats(struct sh_clicks *c, uint64_t link, int64_t from_ms, int64_t to_ms, sh_stats_fn *fn, void *arg)
{
	struct ask *a = ask_new(c, arg);
	struct sd_sql *sql = database(c);
	if (!a)
		return fn(arg, SD_ENOMEM, NULL);
	a->stats = fn;
	if (!sql)
		return refuse(a, SD_EUNREACHABLE, tell_stats);
	struct sd_sql_job *j = sd_sql_read(sql);
	add_questions(j, link, from_ms > 0 ? from_ms / SH_DAY_MS : 0, to_ms > 0 ? to_ms / SH_DAY_MS : FOREVER_DAY);
	enum sd_err err = sd_sql_run(j, on_stats, a);
	if (err)
		refuse(a, err, tell_stats);
}

/* ---- live ---- */

static void tell_live(struct ask *a, enum sd_err err)
{
	a->live(a->arg, err, NULL);
}

static void on_live(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	struct ask *a = arg;
	struct sh_live_row rows[LIVE_ROWS];
	struct sh_live live = {.rows = rows, .links = a->links};
	if (!e->code) {
		live.cursor = sd_sql_cell_int(j, 0, 0, 0);
		live.clicks = sd_sql_cell_int(j, 2, 0, 0);
		live.n = sd_sql_rows(j, 1) < LIVE_ROWS ? sd_sql_rows(j, 1) : LIVE_ROWS;
	}
	for (size_t i = 0; i < live.n; i++) {
		const char *code = sd_sql_cell_text(j, 1, i, 0);
		rows[i] = (struct sh_live_row){code ? code : "", sd_sql_cell_int(j, 1, i, 1)};
	}
	a->live(a->arg, e->code, e->code ? NULL : &live);
	free(a);
}

static void on_totals(void *arg, const struct sd_error *e, const struct sh_totals *t)
{
	struct ask *a = arg;
	struct sd_sql *sql = e->code ? NULL : database(a->c);
	if (!sql) {
		tell_live(a, e->code ? e->code : SD_EUNREACHABLE);
		free(a);
		return;
	}
	a->links = (int64_t)t->links;
	struct sd_sql_job *j = sd_sql_read(sql);
	sd_sql_add(j, "SELECT version FROM click_state WHERE id = 1", 0, NULL);
	sd_sql_add(j, "SELECT l.code, l.clicks FROM click_links v JOIN links l ON l.id = v.link WHERE v.version > $1 ORDER BY v.version DESC LIMIT 256", 1,
		   SD_SQL_ARGS(sd_sql_int(a->cursor ? a->cursor : INT64_MAX)));
	sd_sql_add(j, ever_of_all, 1, SD_SQL_ARGS(sd_sql_int(0)));
	enum sd_err err = sd_sql_run(j, on_live, a);
	if (err)
		refuse(a, err, tell_live);
}

void sh_stats_since(struct sh_clicks *c, int64_t cursor, sh_live_fn *fn, void *arg)
{
	struct ask *a = ask_new(c, arg);
	if (!a)
		return fn(arg, SD_ENOMEM, NULL);
	a->live = fn;
	a->cursor = cursor;
	if (!database(c))
		return refuse(a, SD_EUNREACHABLE, tell_live);
	sh_store_totals(c->sh->store, on_totals, a);
}

/* ---- orphans ---- */

static void tell_orphans(struct ask *a, enum sd_err err)
{
	a->orphans(a->arg, err, NULL, 0);
}

static void on_orphans(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	struct ask *a = arg;
	size_t n = e->code ? 0 : sd_sql_rows(j, 0);
	struct sh_orphan *rows = calloc(n + 1, sizeof(*rows));
	for (size_t i = 0; rows && i < n; i++) {
		const char *path = sd_sql_cell_text(j, 0, i, 0);
		rows[i] = (struct sh_orphan){path ? path : "", sd_sql_cell_int(j, 0, i, 1), sd_sql_cell_int(j, 0, i, 2)};
	}
	a->orphans(a->arg, e->code ? e->code : rows ? SD_OK : SD_ENOMEM, rows, rows ? n : 0);
	free(rows);
	free(a);
}

void sh_stats_orphans(struct sh_clicks *c, unsigned most, sh_orphans_fn *fn, void *arg)
{
	struct ask *a = ask_new(c, arg);
	struct sd_sql *sql = database(c);
	if (!a)
		return fn(arg, SD_ENOMEM, NULL, 0);
	a->orphans = fn;
	if (!sql)
		return refuse(a, SD_EUNREACHABLE, tell_orphans);
	struct sd_sql_job *j = sd_sql_read(sql);
	sd_sql_add(j, "SELECT path, n, last_ms FROM click_orphans ORDER BY n DESC, path LIMIT $1", 1, SD_SQL_ARGS(sd_sql_int(most)));
	enum sd_err err = sd_sql_run(j, on_orphans, a);
	if (err)
		refuse(a, err, tell_orphans);
}
