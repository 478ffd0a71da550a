/* sql_sqlite.c - connections to a file of SQLite, each on a helper thread while it works.
 *
 * The writer's batch is one transaction in which each job has a savepoint. When something takes the whole transaction back (the
 * disk is full, the commit fails), each job of it runs again in a transaction of its own, so that each has a result of its own.
 *
 * A file, folder or disk that cannot be written is read all the same. A connection that found it so looks before each job that writes
 * whether it is over; then the writer opens the file anew, and readers do after it. In a folder that cannot be written, SQLite reads a WAL
 * database only as one that nobody changes (immutable), which is right when it has no log beside it; else it is refused.
 */
#include <errno.h>
#include <sqlite3.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/list.h"
#include "core/mix.h"
#include "sql_int.h"

#define MAX_VALUES 64
#define RETRY_NS   20000000

/* A prepared statement: found by the address of its text. */
struct prepared {
	const char *text;
	sqlite3_stmt *st;
	uint8_t place[MAX_VALUES]; /* of $1, $2 ... among those that SQLite counts; 0: not in it */
};

struct lite {
	struct sql_lane *lane;
	sqlite3 *db;
	bool read_only, immutable;
	unsigned opened; /* lite_all.opened when it was */
	struct sd_work work;
	struct prepared *table; /* open addressing */
	size_t n, room;
};

struct lite_all {
	struct sd_helpers *helpers;
	struct lite *lanes;
	unsigned opened; /* atomic: how often the writer opened the file anew, since it can be written again */
};

/* ---- errors ---- */

static const struct {
	int code;
	enum sd_err err;
	const char *says;
} kinds[] = {
    {SQLITE_BUSY, SD_EAGAIN, "locked by another process"},
    {SQLITE_LOCKED, SD_EAGAIN, "locked by another process"},
    {SQLITE_FULL, SD_ENOSPC, "the disk is full, or the database as large as it may be"},
    {SQLITE_READONLY, SD_EPERM, "read-only"},
    {SQLITE_PERM, SD_EPERM, "not allowed"},
    {SQLITE_AUTH, SD_EPERM, "not allowed"},
    {SQLITE_CORRUPT, SD_EDAMAGED, "damaged"},
    {SQLITE_NOTADB, SD_EDAMAGED, "not a database of SQLite, or damaged"},
    {SQLITE_NOMEM, SD_ENOMEM, "out of memory"},
    {SQLITE_TOOBIG, SD_ETOOBIG, "too large"},
    {SQLITE_IOERR, SD_EIO, "the disk failed"},
    {SQLITE_ERROR, SD_EINVAL, NULL},
    {SQLITE_MISUSE, SD_EINVAL, NULL},
    {SQLITE_RANGE, SD_EINVAL, NULL},
    {SQLITE_MISMATCH, SD_EINVAL, NULL},
};

static bool is_taken(int extended)
{
	return extended == SQLITE_CONSTRAINT_UNIQUE || extended == SQLITE_CONSTRAINT_PRIMARYKEY || extended == SQLITE_CONSTRAINT_ROWID;
}

static enum sd_err cannot_open(sqlite3 *db, const char *shown, struct sd_error *e)
{
	int cause = sqlite3_system_errno(db);
	bool perm = cause == EACCES || cause == EPERM || cause == EROFS;
	return sd_fail(e, perm ? SD_EPERM : cause == ENOSPC ? SD_ENOSPC : SD_ENOTFOUND, "%s: cannot be opened: %s", shown,
		       perm ? "not allowed" : cause == ENOSPC ? "the disk is full" : "no such folder, or not a file");
}

static enum sd_err fail(struct lite *c, int code, struct sd_error *e)
{
	const char *shown = c->lane->sql->shown;
	int first = code & 0xff;
	if (is_taken(code))
		return sd_fail(e, SD_EEXISTS, "%s: already there", shown);
	if (first == SQLITE_CANTOPEN)
		return cannot_open(c->db, shown, e);
	int cause = first == SQLITE_IOERR ? sqlite3_system_errno(c->db) : 0;
	if (cause == ENOSPC || cause == EDQUOT)
		first = SQLITE_FULL;
	if (cause == EROFS)
		first = SQLITE_READONLY;
	for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (kinds[i].code == first)
			return sd_fail(e, kinds[i].err, "%s: %s", shown, kinds[i].says ? kinds[i].says : sqlite3_errmsg(c->db));
	return sd_fail(e, SD_EIO, "%s: %s", shown, sqlite3_errmsg(c->db));
}

/* ---- prepared statements ---- */

static struct prepared *slot_of(const struct lite *c, const char *text)
{
	size_t i = (size_t)sd_mix((uint64_t)(uintptr_t)text) & (c->room - 1);
	while (c->table[i].text && c->table[i].text != text)
		i = (i + 1) & (c->room - 1);
	return &c->table[i];
}

static bool make_room(struct lite *c)
{
	struct prepared *old = c->table;
	size_t was = c->room, room = was ? was * 2 : 64;
	if (c->n * 2 < was)
		return true;
	struct prepared *table = calloc(room, sizeof(*table));
	if (!table)
		return false;
	c->table = table;
	c->room = room;
	for (size_t i = 0; i < was; i++)
		if (old[i].text)
			*slot_of(c, old[i].text) = old[i];
	free(old);
	return true;
}

static int compile(struct lite *c, const char *text, unsigned flags, struct prepared *p)
{
	int code = sqlite3_prepare_v3(c->db, text, -1, flags, &p->st, NULL);
	if (code != SQLITE_OK)
		return code;
	for (int i = 0; i < MAX_VALUES; i++) {
		char name[16];
		snprintf(name, sizeof(name), "$%d", i + 1);
		p->place[i] = (uint8_t)sqlite3_bind_parameter_index(p->st, name);
	}
	return SQLITE_OK;
}

/* once: the caller finalizes p->st; else it is the table's. */
static int prepare(struct lite *c, const char *text, bool once, struct prepared *p)
{
	if (once)
		return compile(c, text, 0, p);
	if (!make_room(c))
		return SQLITE_NOMEM;
	struct prepared *slot = slot_of(c, text);
	if (!slot->text) {
		int code = compile(c, text, SQLITE_PREPARE_PERSISTENT, slot);
		if (code != SQLITE_OK)
			return code;
		slot->text = text;
		c->n++;
	}
	*p = *slot;
	return SQLITE_OK;
}

/* ---- one statement ---- */

static int bind_one(sqlite3_stmt *st, int at, const struct sd_sql_value *v)
{
	switch (v->kind) {
	case SD_SQL_INT:
		return sqlite3_bind_int64(st, at, v->i);
	case SD_SQL_REAL:
		return sqlite3_bind_double(st, at, v->real);
	case SD_SQL_TEXT:
		return sqlite3_bind_text64(st, at, v->p, v->n, SQLITE_STATIC, SQLITE_UTF8);
	case SD_SQL_BLOB:
		return sqlite3_bind_blob64(st, at, v->p, v->n, SQLITE_STATIC);
	case SD_SQL_NULL:
		break;
	}
	return sqlite3_bind_null(st, at);
}

static int bind_all(const struct prepared *p, const struct sql_statement *s)
{
	int code = SQLITE_OK;
	if (s->n > MAX_VALUES)
		return SQLITE_RANGE;
	for (size_t i = 0; i < s->n && code == SQLITE_OK; i++)
		if (p->place[i])
			code = bind_one(p->st, p->place[i], &s->values[i]);
	return code;
}

static bool read_cell(struct sd_sql_job *j, sqlite3_stmt *st, int column, struct sd_sql_value *out)
{
	int type = sqlite3_column_type(st, column);
	if (type == SQLITE_INTEGER) {
		*out = sd_sql_int(sqlite3_column_int64(st, column));
	} else if (type == SQLITE_FLOAT) {
		*out = sd_sql_real(sqlite3_column_double(st, column));
	} else if (type != SQLITE_NULL) {
		const void *p = type == SQLITE_TEXT ? (const void *)sqlite3_column_text(st, column) : sqlite3_column_blob(st, column);
		size_t n = (size_t)sqlite3_column_bytes(st, column);
		*out = (struct sd_sql_value){.kind = type == SQLITE_TEXT ? SD_SQL_TEXT : SD_SQL_BLOB, .p = sql_bytes_keep(j, p, n), .n = n};
		return out->p != NULL;
	}
	return true;
}

static enum sd_err read_row(struct sd_sql_job *j, struct sql_statement *s, sqlite3_stmt *st)
{
	int columns = sqlite3_column_count(st);
	struct sd_sql_value *cells = sql_row_add(j, s, (size_t)columns);
	for (int i = 0; i < columns; i++)
		if (!cells || !read_cell(j, st, i, &cells[i]))
			return sql_no_room(j);
	return SD_OK;
}

static enum sd_err step_all(struct lite *c, struct sd_sql_job *j, struct sql_statement *s, sqlite3_stmt *st)
{
	int code;
	while ((code = sqlite3_step(st)) == SQLITE_ROW) {
		enum sd_err err = read_row(j, s, st);
		if (err)
			return err;
	}
	return code == SQLITE_DONE ? SD_OK : fail(c, sqlite3_extended_errcode(c->db), &j->error);
}

static enum sd_err run_statement(struct lite *c, struct sd_sql_job *j, struct sql_statement *s)
{
	struct prepared p = {0};
	int code = prepare(c, s->text, s->once, &p);
	if (code == SQLITE_OK)
		code = bind_all(&p, s);
	if (code != SQLITE_OK) {
		if (s->once)
			sqlite3_finalize(p.st);
		return fail(c, code, &j->error);
	}
	int64_t before = sqlite3_total_changes64(c->db);
	enum sd_err err = step_all(c, j, s, p.st);
	s->changed = sqlite3_total_changes64(c->db) - before;
	if (s->once) {
		sqlite3_finalize(p.st);
	} else {
		sqlite3_reset(p.st);
		sqlite3_clear_bindings(p.st); /* the values go with the job */
	}
	if (!err && s->expect && s->changed == 0 && s->rows == 0)
		err = sd_fail(&j->error, s->expect, "%s", s->why);
	return err;
}

static enum sd_err run_job(struct lite *c, struct sd_sql_job *j)
{
	enum sd_err err = SD_OK;
	for (struct sql_statement *s = j->first; s && !err; s = s->next)
		err = run_statement(c, j, s);
	return err;
}

/* ---- transactions; on a helper thread ---- */

static int exec(struct lite *c, const char *text)
{
	struct prepared p;
	int code = prepare(c, text, false, &p);
	if (code != SQLITE_OK)
		return code;
	code = sqlite3_step(p.st);
	sqlite3_reset(p.st);
	return code == SQLITE_DONE || code == SQLITE_ROW ? SQLITE_OK : sqlite3_extended_errcode(c->db);
}

static bool in_transaction(const struct lite *c)
{
	return !sqlite3_get_autocommit(c->db);
}

static void roll_back(struct lite *c)
{
	if (in_transaction(c))
		exec(c, "ROLLBACK");
}

static void run_alone(struct lite *c, struct sd_sql_job *j)
{
	sql_job_reset(j);
	int code = exec(c, "BEGIN IMMEDIATE");
	if (code == SQLITE_OK && run_job(c, j) == SD_OK)
		code = exec(c, "COMMIT");
	if (code != SQLITE_OK)
		fail(c, code, &j->error);
	roll_back(c);
}

/* False: the transaction is gone, and what was done in it. */
static bool run_in_savepoint(struct lite *c, struct sd_sql_job *j)
{
	int code = exec(c, "SAVEPOINT job");
	if (code != SQLITE_OK)
		return false;
	if (run_job(c, j) != SD_OK) {
		if (!in_transaction(c))
			return false;
		code = exec(c, "ROLLBACK TO job");
	}
	return code == SQLITE_OK && exec(c, "RELEASE job") == SQLITE_OK;
}

/* Somebody else has locked it for all of them: one wait is enough. */
static void all_locked(struct lite *c, struct sd_sql_job *j, int code)
{
	for (; j; j = j->next) {
		sql_job_reset(j);
		fail(c, code, &j->error);
	}
}

static bool run_together(struct lite *c, struct sd_sql_job *j)
{
	int code = exec(c, "BEGIN IMMEDIATE");
	if ((code & 0xff) == SQLITE_BUSY)
		all_locked(c, j, code);
	if (code != SQLITE_OK)
		return (code & 0xff) == SQLITE_BUSY;
	for (; j; j = j->next) {
		sql_job_reset(j);
		if (!run_in_savepoint(c, j)) {
			roll_back(c);
			return false;
		}
	}
	if (exec(c, "COMMIT") == SQLITE_OK)
		return true;
	roll_back(c);
	return false;
}

static void run_writes(struct lite *c)
{
	struct sd_sql_job *first = c->lane->batch;
	if (first->next && run_together(c, first))
		return;
	for (struct sd_sql_job *j = first; j; j = j->next) {
		run_alone(c, j);
		if (j->error.code == SD_EAGAIN) {
			all_locked(c, j->next, SQLITE_BUSY);
			return;
		}
	}
}

static void open_anew(struct lite *c);

static void run_batch(struct sd_work *w)
{
	struct lite *c = sd_container(w, struct lite, work);
	if (c->read_only)
		open_anew(c);
	if (c->lane->write && c->lane->batch->write) {
		run_writes(c);
		return;
	}
	for (struct sd_sql_job *j = c->lane->batch; j; j = j->next)
		run_job(c, j);
}

static void batch_done(struct sd_work *w)
{
	struct lite *c = sd_container(w, struct lite, work);
	struct sd_sql *s = c->lane->sql;
	s->counts.commits += c->lane->batch->write;
	if (c->lane->write && s->read_only && !c->read_only) { /* said again */
		s->read_only = s->said_up = false;
		sd_loop_post(s->loop, &s->tell);
	}
	sql_lane_done(c->lane);
}

static void on_late(struct sd_task *t)
{
	batch_done(sd_container(t, struct sd_work, task));
}

static void begin(struct sql_lane *lane)
{
	struct lite *c = lane->own;
	struct lite_all *all = lane->sql->own;
	c->work = (struct sd_work){.run = run_batch, .done = batch_done};
	if (sd_helpers_submit(all->helpers, lane->sql->loop, &c->work))
		return;
	run_batch(&c->work); /* no thread is to be had: better late than not at all */
	c->work.task = (struct sd_task){.fn = on_late};
	sd_loop_post(lane->sql->loop, &c->work.task);
}

/* ---- opening ---- */

/* Only who is alone with a new file can make it a WAL one, and waiting for that is not what the busy timeout does. */
static int set_wal(struct lite *c)
{
	struct sd_sql *s = c->lane->sql;
	int64_t left = (int64_t)s->conf.busy_ms * 1000000;
	int code;
	while ((code = sqlite3_exec(c->db, "PRAGMA journal_mode = WAL", NULL, NULL, NULL)) == SQLITE_BUSY && left > 0) {
		sd_world_sleep_ns(sd_loop_world(s->loop), RETRY_NS);
		left -= RETRY_NS;
	}
	return code;
}

static int set_up(struct lite *c)
{
	const struct sd_sql_conf *conf = &c->lane->sql->conf;
	char text[200];
	sqlite3_extended_result_codes(c->db, 1);
	sqlite3_busy_timeout(c->db, (int)conf->busy_ms);
	bool read_only = sqlite3_db_readonly(c->db, "main") == 1;
	int code = c->lane->write && !read_only ? set_wal(c) : SQLITE_OK;
	if (code != SQLITE_OK)
		return code;
	snprintf(text, sizeof(text), "PRAGMA synchronous = %s; PRAGMA journal_size_limit = 67108864; PRAGMA temp_store = MEMORY; %s",
		 conf->fast ? "NORMAL" : "FULL", c->lane->write ? "" : "PRAGMA query_only = 1;");
	code = sqlite3_exec(c->db, text, NULL, NULL, NULL);
	if (code != SQLITE_OK || conf->max_pages == 0)
		return code;
	snprintf(text, sizeof(text), "PRAGMA max_page_count = %llu", (unsigned long long)conf->max_pages);
	return sqlite3_exec(c->db, text, NULL, NULL, NULL);
}

static const char *path_of(const char *url)
{
	return strncmp(url, "sqlite://", 9) == 0 ? url + 9 : strncmp(url, "sqlite:", 7) == 0 ? url + 7 : url;
}

/* The same file as one that nobody changes; false: not to be, or too long. */
static bool as_immutable(const char *path, char *out, size_t room)
{
	static const char end[] = "?immutable=1";
	sqlite3_vfs *vfs = sqlite3_vfs_find(NULL);
	char wal[4096 + 8];
	int there = 0, log = 0;
	size_t n = 5;
	if (strncmp(path, "file:", 5) == 0 || strlen(path) >= sizeof(wal) - 8)
		return false;
	snprintf(wal, sizeof(wal), "%s-wal", path);
	if (vfs->xAccess(vfs, path, SQLITE_ACCESS_EXISTS, &there) || !there || vfs->xAccess(vfs, wal, SQLITE_ACCESS_EXISTS, &log) || log)
		return false;
	snprintf(out, room, "file:");
	for (; *path && n + 3 + sizeof(end) < room; path++)
		n += (size_t)snprintf(out + n, room - n, strchr("%?#", *path) ? "%%%02X" : "%c", (unsigned char)*path);
	snprintf(out + n, room - n, "%s", end);
	return !*path;
}

static int open_file(struct lite *c, const char *name)
{
	int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_CREATE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_URI | SQLITE_OPEN_EXRESCODE;
	int code = sqlite3_open_v2(name, &c->db, flags, NULL);
	c->read_only = code == SQLITE_OK && sqlite3_db_readonly(c->db, "main") == 1;
	return code;
}

/* Reads from it too, so that what is wrong shows now. */
static int begin_use(struct lite *c)
{
	int code = set_up(c);
	return code != SQLITE_OK ? code : sqlite3_exec(c->db, "SELECT 1 FROM sqlite_schema LIMIT 1", NULL, NULL, NULL);
}

static bool is_closed_to_us(const struct lite *c, int code)
{
	int first = code & 0xff;
	return first == SQLITE_CANTOPEN || first == SQLITE_READONLY || first == SQLITE_PERM ||
	       (first == SQLITE_IOERR && sqlite3_system_errno(c->db) == EROFS);
}

/* Where it cannot be written, files beside it would be made as read-only as it is, and stay in the way afterwards. */
static enum sd_err open_one(struct lite *c, struct sd_error *e)
{
	const char *path = path_of(c->lane->sql->url);
	char name[3 * 4096 + 32];
	int code = open_file(c, path);
	bool quiet = code == SQLITE_OK && c->read_only && as_immutable(path, name, sizeof(name));
	if (code == SQLITE_OK && !quiet)
		code = begin_use(c);
	if (quiet || (code != SQLITE_OK && c->db && is_closed_to_us(c, code) && as_immutable(path, name, sizeof(name)))) {
		sqlite3_close(c->db);
		code = open_file(c, name);
		c->read_only = c->immutable = true;
		code = code == SQLITE_OK ? begin_use(c) : code;
	}
	if (code != SQLITE_OK)
		return c->db ? fail(c, code, e) : sd_fail(e, SD_ENOMEM, "out of memory");
	return SD_OK;
}

static void close_one(struct lite *c);

/* On a helper thread: can it be written meanwhile? Readers ask whether the writer found that; one that believes that nobody changes the
 * file believes it no longer than for one batch. */
static void open_anew(struct lite *c)
{
	struct lite_all *all = c->lane->sql->own;
	unsigned opened = __atomic_load_n(&all->opened, __ATOMIC_ACQUIRE);
	bool writes = c->lane->write && c->lane->batch->write;
	struct lite fresh = {.lane = c->lane};
	struct sd_error e = {0};
	if (!writes && !c->immutable && opened == c->opened)
		return;
	if (open_one(&fresh, &e) != SD_OK) {
		sqlite3_close(fresh.db);
		return;
	}
	close_one(c);
	c->db = fresh.db;
	c->table = NULL;
	c->n = c->room = 0;
	c->read_only = fresh.read_only;
	c->immutable = fresh.immutable;
	c->opened = opened;
	if (c->lane->write && !c->read_only)
		__atomic_store_n(&all->opened, opened + 1, __ATOMIC_RELEASE);
}

static enum sd_err open_all(struct sd_sql *s, struct sd_error *e)
{
	struct lite_all *all = calloc(1, sizeof(*all));
	s->own = all;
	snprintf(s->shown, sizeof(s->shown), "%s", path_of(s->url));
	if (!all || !(all->lanes = calloc(s->nlanes, sizeof(*all->lanes))))
		return sd_fail(e, SD_ENOMEM, "out of memory");
	all->helpers = sd_helpers_new(sd_loop_world(s->loop), s->nlanes);
	if (!all->helpers)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	for (unsigned i = 0; i < s->nlanes; i++) {
		all->lanes[i].lane = &s->lanes[i];
		s->lanes[i].own = &all->lanes[i];
		enum sd_err err = open_one(&all->lanes[i], e);
		if (err)
			return err;
	}
	s->read_only = all->lanes[0].read_only;
	for (unsigned i = 0; i < s->nlanes; i++)
		sql_lane_state(&s->lanes[i], SQL_STANDS, "");
	return SD_OK;
}

static void close_one(struct lite *c)
{
	for (size_t i = 0; i < c->room; i++)
		if (c->table[i].text)
			sqlite3_finalize(c->table[i].st);
	free(c->table);
	sqlite3_close(c->db);
}

static void close_all(struct sd_sql *s)
{
	struct lite_all *all = s->own;
	if (!all)
		return;
	sd_helpers_free(all->helpers);
	sd_loop_flush(s->loop); /* what ran is answered with what came of it */
	/* readers first: the last one to go puts the log into the file */
	for (unsigned i = s->nlanes; i-- > 0 && all->lanes;)
		close_one(&all->lanes[i]);
	free(all->lanes);
	free(all);
}

const struct sql_ops sql_lite_ops = {open_all, begin, close_all};
