/* sh_store.c - opening the store, and what servers on one database share: settings, numbers, totals. */
#include "sh_store_int.h"

#include <stdio.h>
#include <stdlib.h>

#include "core/list.h"
#include "sh_schema.h"

#define RETRY_NS   1000000000
#define ALIAS_PAGE 10000

const struct sh_store_conf sh_store_defaults = {
    .sql = SD_SQL_DEFAULTS,
    .method = SH_CODE_COUNTER,
    .min_length = 7,
    .lease = 1000,
};

/* ---- requests ---- */

static void on_ask_task(struct sd_task *t)
{
	struct sh_ask *a = sd_container(t, struct sh_ask, task);
	a->end(a, NULL);
}

void *sh_ask_new(struct sh_store *st, size_t size, void (*end)(struct sh_ask *a, const struct sd_sql_job *j), void *arg)
{
	struct sh_ask *a = calloc(1, size);
	if (a)
		*a = (struct sh_ask){.st = st, .end = end, .arg = arg, .task = {.fn = on_ask_task}};
	return a;
}

static void on_ask_done(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	struct sh_ask *a = arg;
	a->e = *e;
	a->end(a, e->code ? NULL : j);
}

void sh_ask_fail(struct sh_ask *a, enum sd_err err, const char *why)
{
	sd_fail(&a->e, err, "%s", why);
	a->task.fn = on_ask_task;
	sd_loop_post(a->st->loop, &a->task);
}

void sh_ask_run(struct sh_ask *a, struct sd_sql_job *j)
{
	enum sd_err err = sd_sql_run(j, on_ask_done, a);
	bool away = err == SD_EUNREACHABLE && *sd_sql_why(a->st->sql);
	if (err)
		sh_ask_fail(a, err, away ? sd_sql_why(a->st->sql) : err == SD_EAGAIN ? "too much waits for the database" : sd_err_text(err));
}

bool sh_ask_refused(struct sh_ask *a)
{
	struct sh_store *st = a->st;
	if (st->open)
		return false;
	sh_ask_fail(a, st->fatal ? st->why.code : SD_EUNREACHABLE, st->why.text);
	return true;
}

void sh_changed(struct sh_store *st, const char *code)
{
	if (st->conf.changed)
		st->conf.changed(st->conf.arg, code);
}

int64_t sh_store_now_ms(struct sh_store *st)
{
	return sd_world_wall_ns(sd_loop_world(st->loop)) / 1000000;
}

/* ---- settings ---- */

struct secret_ask {
	struct sh_ask ask;
	sh_store_secret_fn *fn;
	const char *name;
	size_t at; /* the statement that reads it */
};

static bool read_hex(const char *text, struct sd_siphash_key *key)
{
	char half[17];
	if (!text || strlen(text) != 32 || strspn(text, "0123456789abcdef") != 32)
		return false;
	snprintf(half, sizeof(half), "%.16s", text);
	*key = (struct sd_siphash_key){strtoull(half, NULL, 16), strtoull(text + 16, NULL, 16)};
	return true;
}

static const char *const keep_secret = "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO NOTHING";
static const char *const renew_secret = "INSERT INTO settings (name, value) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET value = excluded.value";

/* Made when it is not there: of several who do that at once the first one's stays. Or anew. */
static void make_secret(struct secret_ask *s, const char *statement)
{
	struct sh_store *st = s->ask.st;
	uint64_t chance[2];
	char text[33];
	sd_world_random(sd_loop_world(st->loop), chance, sizeof(chance));
	snprintf(text, sizeof(text), "%016llx%016llx", (unsigned long long)chance[0], (unsigned long long)chance[1]);
	struct sd_sql_job *j = sd_sql_write(st->sql);
	sd_sql_add(j, statement, 2, SD_SQL_ARGS(sd_sql_text(s->name), sd_sql_text(text)));
	sd_sql_add(j, "SELECT value FROM settings WHERE name = $1", 1, SD_SQL_ARGS(sd_sql_text(s->name)));
	s->at = 1;
	sh_ask_run(&s->ask, j);
}

static void secret_end(struct sh_ask *a, const struct sd_sql_job *j)
{
	struct secret_ask *s = sd_container(a, struct secret_ask, ask);
	struct sd_siphash_key key = {0, 0};
	if (j && !s->at && !sd_sql_rows(j, 0)) {
		make_secret(s, keep_secret);
		return;
	}
	if (j && !read_hex(sd_sql_cell_text(j, s->at, 0, 0), &key))
		sd_fail(&a->e, SD_EDAMAGED, "%s: a secret in settings is not 32 hexadecimal digits", sd_sql_shown(a->st->sql));
	s->fn(a->arg, &a->e, a->e.code ? NULL : &key);
	free(s);
}

/* NULL: fn was called, or will be. inside: also while the store opens. name: a constant. */
static struct secret_ask *secret_ask_new(struct sh_store *st, const char *name, sh_store_secret_fn *fn, void *arg, bool inside)
{
	static const struct sd_error nomem = {SD_ENOMEM, "out of memory"};
	struct secret_ask *s = sh_ask_new(st, sizeof(*s), secret_end, arg);
	if (!s) {
		fn(arg, &nomem, NULL);
		return NULL;
	}
	s->fn = fn;
	s->name = name;
	return inside || !sh_ask_refused(&s->ask) ? s : NULL;
}

/* Reading comes first: of a database that is read-only the secrets are there. */
static void ask_secret(struct sh_store *st, const char *name, sh_store_secret_fn *fn, void *arg, bool inside)
{
	struct secret_ask *s = secret_ask_new(st, name, fn, arg, inside);
	if (!s)
		return;
	struct sd_sql_job *j = sd_sql_read(st->sql);
	sd_sql_add(j, "SELECT value FROM settings WHERE name = $1", 1, SD_SQL_ARGS(sd_sql_text(name)));
	sh_ask_run(&s->ask, j);
}

void sh_store_secret(struct sh_store *st, const char *name, sh_store_secret_fn *fn, void *arg)
{
	ask_secret(st, name, fn, arg, false);
}

void sh_store_secret_renew(struct sh_store *st, const char *name, sh_store_secret_fn *fn, void *arg)
{
	struct secret_ask *s = secret_ask_new(st, name, fn, arg, false);
	if (s)
		make_secret(s, renew_secret);
}

/* ---- numbers ---- */

struct lease_ask {
	struct sh_ask ask;
	sh_store_lease_fn *fn;
	uint64_t n;
};

static void lease_end(struct sh_ask *a, const struct sd_sql_job *j)
{
	struct lease_ask *l = sd_container(a, struct lease_ask, ask);
	uint64_t next = j ? (uint64_t)sd_sql_cell_int(j, 0, 0, 0) : 0;
	if (j && (int64_t)next <= (int64_t)l->n)
		sd_fail(&a->e, SD_EDAMAGED, "%s: the counter of links is not above 0", sd_sql_shown(a->st->sql));
	l->fn(a->arg, &a->e, a->e.code ? 0 : next - l->n);
	free(l);
}

void sh_store_lease(struct sh_store *st, uint64_t n, sh_store_lease_fn *fn, void *arg)
{
	static const struct sd_error nomem = {SD_ENOMEM, "out of memory"};
	struct lease_ask *l = sh_ask_new(st, sizeof(*l), lease_end, arg);
	if (!l) {
		fn(arg, &nomem, 0);
		return;
	}
	l->fn = fn;
	l->n = n;
	if (sh_ask_refused(&l->ask))
		return;
	struct sd_sql_job *j = sd_sql_write(st->sql);
	/* a counter that was set back (a table restored from a backup) goes behind the links that are there */
	sd_sql_add(j,
		   "UPDATE counters SET next = $1 + CASE WHEN next > (SELECT COALESCE(MAX(id), 0) FROM links) THEN next"
		   " ELSE (SELECT MAX(id) FROM links) + 1 END WHERE name = 'links' RETURNING next",
		   1, SD_SQL_ARGS(sd_sql_int((int64_t)n)));
	sd_sql_expect(j, SD_EDAMAGED, "the counter of links is not in the database");
	sh_ask_run(&l->ask, j);
}

/* Those that waited try again; with an error they end. */
static void wake_waiting(struct sh_store *st, const struct sd_error *e)
{
	struct sh_ask *a = st->wait_number;
	st->wait_number = NULL;
	st->wait_number_tail = &st->wait_number;
	while (a) {
		struct sh_ask *next = a->next;
		a->e = *e;
		if (e->code)
			a->task.fn = on_ask_task;
		sd_loop_post(st->loop, &a->task);
		a = next;
	}
}

static void on_block(void *arg, const struct sd_error *e, uint64_t first)
{
	struct sh_store *st = arg;
	st->leasing = false;
	if (e->code == SD_OK && st->next < st->end) {
		st->spare = first;
		st->has_spare = true;
	} else if (e->code == SD_OK) {
		st->next = first;
		st->end = first + st->conf.lease;
	}
	wake_waiting(st, e);
}

bool sh_number_take(struct sh_ask *a, uint64_t *number)
{
	struct sh_store *st = a->st;
	if (st->next == st->end && st->has_spare) {
		st->next = st->spare;
		st->end = st->spare + st->conf.lease;
		st->has_spare = false;
	}
	bool there = st->next < st->end;
	if (there) {
		*number = st->next++;
	} else {
		a->next = NULL;
		*st->wait_number_tail = a;
		st->wait_number_tail = &a->next;
	}
	if (!st->leasing && !st->has_spare && st->end - st->next <= st->conf.lease / 4) {
		st->leasing = true;
		sh_store_lease(st, st->conf.lease, on_block, st);
	}
	return there;
}

/* ---- totals ---- */

struct totals_ask {
	struct sh_ask ask;
	sh_store_totals_fn *fn;
};

static void totals_end(struct sh_ask *a, const struct sd_sql_job *j)
{
	struct totals_ask *t = sd_container(a, struct totals_ask, ask);
	(void)j;
	t->fn(a->arg, &a->e, a->e.code ? NULL : &a->st->totals);
	free(t);
}

void sh_totals_add(struct sh_store *st, int64_t links)
{
	st->totals.links += (uint64_t)links;
}

static void tell_totals(struct sh_store *st, const struct sd_error *e)
{
	struct sh_ask *a = st->wait_totals;
	st->wait_totals = NULL;
	while (a) {
		struct sh_ask *next = a->next;
		a->e = *e;
		a->end(a, NULL);
		a = next;
	}
}

static void on_counted(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	struct sh_store *st = arg;
	int64_t now = sd_loop_now_ns(st->loop);
	st->counting = false;
	if (e->code == SD_OK) {
		st->totals.clicks = (uint64_t)sd_sql_cell_int(j, 0, 0, 0);
	}
	if (e->code == SD_OK && sd_sql_rows(j, 1)) {
		st->totals.links = (uint64_t)sd_sql_cell_int(j, 1, 0, 0);
		st->counted = true;
		st->count_fresh_until_ns = now + 100 * (now - st->count_begun_ns);
	}
	tell_totals(st, e);
}

static bool links_fresh(const struct sh_store *st)
{
	return st->counted && sd_loop_now_ns(st->loop) < st->count_fresh_until_ns;
}

static void count_now(struct sh_store *st)
{
	struct sd_error e = {0};
	if (st->counting)
		return;
	struct sd_sql_job *j = sd_sql_read(st->sql);
	sd_sql_add(j, "SELECT next FROM counters WHERE name = 'clicks'", 0, NULL);
	if (!links_fresh(st))
		sd_sql_add(j, "SELECT count(*) FROM links", 0, NULL);
	st->counting = true;
	st->count_begun_ns = sd_loop_now_ns(st->loop);
	enum sd_err err = sd_sql_run(j, on_counted, st);
	if (!err)
		return;
	st->counting = false;
	sd_fail(&e, err, "%s", sd_err_text(err));
	tell_totals(st, &e);
}

static void totals_task(struct sd_task *task)
{
	struct sh_ask *a = sd_container(task, struct sh_ask, task);
	struct sh_store *st = a->st;
	a->next = st->wait_totals;
	st->wait_totals = a;
	count_now(st);
}

void sh_totals_refresh(struct sh_store *st)
{
	if (!links_fresh(st))
		count_now(st);
}

void sh_store_totals(struct sh_store *st, sh_store_totals_fn *fn, void *arg)
{
	static const struct sd_error nomem = {SD_ENOMEM, "out of memory"};
	struct totals_ask *t = sh_ask_new(st, sizeof(*t), totals_end, arg);
	if (!t) {
		fn(arg, &nomem, NULL);
		return;
	}
	t->fn = fn;
	if (sh_ask_refused(&t->ask))
		return;
	t->ask.task.fn = totals_task;
	sd_loop_post(st->loop, &t->ask.task);
}

/* ---- opening: schema, secrets, aliases, totals ---- */

static bool passing(enum sd_err err)
{
	return err == SD_EUNREACHABLE || err == SD_ERESET || err == SD_ETIMEOUT || err == SD_EAGAIN;
}

static void open_failed(struct sh_store *st, const struct sd_error *e)
{
	st->opening = false;
	if (st->closing || e->code == SD_ECANCELED)
		return;
	st->why = *e;
	st->fatal = !passing(e->code);
	if (st->conf.down)
		st->conf.down(st->conf.arg, e, st->fatal);
	if (!st->fatal)
		sd_loop_timer_set(st->loop, &st->again, sd_loop_now_ns(st->loop) + RETRY_NS);
}

static bool failed(struct sh_store *st, enum sd_err err)
{
	struct sd_error e = {0};
	if (!err)
		return false;
	sd_fail(&e, err, "%s: %s", sd_sql_shown(st->sql), sd_err_text(err));
	open_failed(st, &e);
	return true;
}

static void say_open(struct sh_store *st)
{
	st->opening = false;
	st->open = true;
	if (st->conf.up)
		st->conf.up(st->conf.arg, st->totals.links);
}

static void read_aliases(struct sh_store *st);

static void on_aliases(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	struct sh_store *st = arg;
	size_t n = e->code ? 0 : sd_sql_rows(j, 0);
	if (e->code) {
		open_failed(st, e);
		return;
	}
	for (size_t i = 0; i < n; i++)
		sd_bloom_add(&st->aliases, sd_slice_of(sd_sql_cell_text(j, 0, i, 0)));
	if (n < ALIAS_PAGE) {
		say_open(st);
		return;
	}
	snprintf(st->last_alias, sizeof(st->last_alias), "%s", sd_sql_cell_text(j, 0, n - 1, 0));
	read_aliases(st);
}

static void read_aliases(struct sh_store *st)
{
	struct sd_sql_job *j = sd_sql_read(st->sql);
	sd_sql_add(j, "SELECT code FROM links WHERE alias = 1 AND code > $1 ORDER BY code LIMIT $2", 2,
		   SD_SQL_ARGS(sd_sql_text(st->last_alias), sd_sql_int(ALIAS_PAGE)));
	failed(st, sd_sql_run(j, on_aliases, st));
}

static void on_first_count(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	struct sh_store *st = arg;
	if (e->code) {
		open_failed(st, e);
		return;
	}
	st->totals.links = (uint64_t)sd_sql_cell_int(j, 0, 0, 0);
	sd_bloom_free(&st->aliases);
	st->last_alias[0] = '\0';
	if (!sd_bloom_init(&st->aliases, (size_t)sd_sql_cell_int(j, 1, 0, 0) * 2 + 1024))
		failed(st, SD_ENOMEM);
	else
		read_aliases(st);
}

static void on_mac_key(void *arg, const struct sd_error *e, const struct sd_siphash_key *key)
{
	struct sh_store *st = arg;
	if (e->code) {
		open_failed(st, e);
		return;
	}
	st->mac_key = *key;
	struct sd_sql_job *j = sd_sql_read(st->sql);
	sd_sql_add(j, "SELECT count(*) FROM links", 0, NULL);
	sd_sql_add(j, "SELECT count(*) FROM links WHERE alias = 1", 0, NULL);
	failed(st, sd_sql_run(j, on_first_count, st));
}

static void on_code_key(void *arg, const struct sd_error *e, const struct sd_siphash_key *key)
{
	struct sh_store *st = arg;
	if (e->code) {
		open_failed(st, e);
		return;
	}
	st->code_key = *key;
	ask_secret(st, "api_keys", on_mac_key, st, true);
}

static void on_schema(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	struct sh_store *st = arg;
	(void)j;
	if (e->code)
		open_failed(st, e);
	else
		ask_secret(st, "codes", on_code_key, st, true);
}

static void begin_opening(struct sh_store *st)
{
	if (st->open || st->opening || st->closing || !sd_sql_stands(st->sql))
		return;
	st->opening = true;
	failed(st, sd_sql_migrate(st->sql, "links", sh_schema, sh_schema_versions, on_schema, st));
}

static void on_again(struct sd_timer *t)
{
	begin_opening(sd_container(t, struct sh_store, again));
}

static void on_up(void *arg)
{
	struct sh_store *st = arg;
	if (st->open && st->conf.up)
		st->conf.up(st->conf.arg, st->totals.links);
	begin_opening(st);
}

static void on_down(void *arg, const char *why)
{
	struct sh_store *st = arg;
	sd_fail(&st->why, SD_EUNREACHABLE, "%s", why);
	if (st->conf.down)
		st->conf.down(st->conf.arg, &st->why, false);
}

enum sd_err sh_store_open(struct sd_loop *l, const struct sh_store_conf *conf, struct sh_store **out, struct sd_error *e)
{
	struct sh_store *st = calloc(1, sizeof(*st));
	*out = NULL;
	if (!st)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	*st = (struct sh_store){.loop = l, .conf = *conf, .again = {.fn = on_again}};
	st->wait_number_tail = &st->wait_number;
	st->conf.lease = conf->lease ? conf->lease : 1;
	st->conf.sql.up = on_up;
	st->conf.sql.down = on_down;
	st->conf.sql.arg = st;
	sd_fail(&st->why, SD_EUNREACHABLE, "the database is not open yet");
	enum sd_err err = sd_sql_open(l, &st->conf.sql, &st->sql, e);
	if (err) {
		free(st);
		return err;
	}
	*out = st;
	return SD_OK;
}

void sh_store_close(struct sh_store *st)
{
	static const struct sd_error closed = {SD_ECANCELED, "the store was closed"};
	if (!st)
		return;
	st->closing = true;
	sd_loop_timer_cancel(st->loop, &st->again);
	wake_waiting(st, &closed);
	sd_sql_close(st->sql);
	tell_totals(st, &closed);
	sd_bloom_free(&st->aliases);
	free(st);
}

bool sh_store_ready(struct sh_store *st, const char **why)
{
	bool ready = st->open && sd_sql_stands(st->sql);
	if (why)
		*why = ready ? "" : st->why.text;
	return ready;
}

struct sd_sql *sh_store_sql(struct sh_store *st)
{
	return st->sql;
}

bool sh_store_alias_free(struct sh_store *st, const char *alias)
{
	return st->open && !sd_bloom_has(&st->aliases, sd_slice_of(alias));
}
