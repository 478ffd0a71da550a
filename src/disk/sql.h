/* sql.h - a database of rows behind one interface: SQLite in a file, or PostgreSQL at postgres://. All of it is asynchronous.
 *
 * A job is a list of statements that happens as a whole or not at all. It is built, handed over, and answered exactly once, on
 * a later turn of the loop:
 *
 *	struct sd_sql_job *j = sd_sql_write(sql);
 *	sd_sql_add(j, "UPDATE links SET uses = uses + 1 WHERE id = $1 RETURNING uses", 1, SD_SQL_ARGS(sd_sql_int(id)));
 *	sd_sql_expect(j, SD_ENOTFOUND, "no such link");
 *	sd_sql_run(j, on_used, arg);
 *
 * Jobs that write run one after another in the order of sd_sql_run, and those that wait become one transaction of the database,
 * so that many of them cost one sync of the disk. Each still has a result of its own: one that fails takes back what it did, and
 * nothing else. SD_OK is said after the commit. Jobs that only read run beside them on connections of their own and see what was
 * committed; between the statements of one such job somebody may commit. sd_sql_alone keeps a job out of a shared transaction.
 *
 *	SQLite       the file in WAL mode, synchronous=FULL unless told otherwise; a helper thread for each connection; locks of other
 *	             processes are waited for (busy_ms)
 *	PostgreSQL   libpq.so.5, loaded when first needed; connections on the loop in pipeline mode. One that broke comes back after
 *	             a back-off; while it is away jobs are refused at once (SD_EUNREACHABLE); before the first try has ended they wait
 *
 * Statements are SQL that both take: $1, $2 ... for values, in any order; RETURNING; ON CONFLICT; BIGINT, TEXT. What differs (types of
 * keys and blobs, locks) has sd_sql_is_postgres, and words of its own in migrations.
 *
 * Errors: SD_EEXISTS a unique key is taken; SD_EAGAIN locked by somebody else too long; SD_ENOSPC disk or database full; SD_EPERM
 * read-only, or not allowed; SD_EDAMAGED not a database, or a broken one; SD_ENOTFOUND it is not there (and could not be made);
 * SD_EUNREACHABLE away, nothing was done; SD_ERESET it went away meanwhile, and whether a write was done is not known;
 * SD_ETIMEOUT no answer in timeout_ns, same; SD_ETOOBIG more came than max_bytes; SD_EINVAL the statement is wrong; SD_EIO else.
 * The text names the database as it may be shown: a password is never in it.
 */
#ifndef SD_DISK_SQL_H
#define SD_DISK_SQL_H

#include "core/backoff.h"
#include "sdlab/slice.h"
#include "world/loop.h"

struct sd_sql;
struct sd_sql_job;

struct sd_sql_conf {
	const char *url; /* PATH, sqlite:PATH, ":memory:" (one connection, gone when closed), postgres://[USER[:PASSWORD]@][HOST][:PORT]/NAME[?...]; copied */
	unsigned readers;     /* connections that only read, from 1 */
	size_t batch;         /* jobs in one transaction at most, from 1 */
	size_t most;          /* jobs that wait or run at once; more are refused with SD_EAGAIN */
	size_t max_bytes;     /* of one job's results */
	int64_t timeout_ns;   /* PostgreSQL: for each try to connect, and for an answer */
	unsigned busy_ms;     /* SQLite: how long to wait for the lock of another process */
	bool fast;            /* SQLite: synchronous=NORMAL; a power cut may then take the last commits, but not break anything */
	uint64_t max_pages;   /* SQLite: the file grows no further; 0: as far as the disk goes */
	struct sd_backoff backoff; /* PostgreSQL: between tries, in nanoseconds */
	/* It answers; it went away, or the first of several tries in a row failed: said once until the other. On the loop, never
	 * from within a function of this header. A file that was opened is up, said once. NULL: nobody asks. */
	void (*up)(void *arg);
	void (*down)(void *arg, const char *why);
	void *arg;
};
/* 2 readers, 256 jobs a transaction, 100000 waiting, 64 MiB, 5 s, 5000 ms, 50 ms to 2 s between tries. */
#define SD_SQL_DEFAULTS                                                                                      \
	{                                                                                                    \
		.readers = 2, .batch = 256, .most = 100000, .max_bytes = 64u << 20, .timeout_ns = 5000000000, .busy_ms = 5000, \
		.backoff = {.first = 50000000, .max = 2000000000, .growth = SD_GROW_DOUBLING, .jitter = 0.5} \
	}
extern const struct sd_sql_conf sd_sql_defaults;

/* SQLite: opens or makes the file now, which may block for a moment, and fails when that does. PostgreSQL: begins to connect; fails only for
 * a URL that is wrong (SD_EUSAGE) or a library that is missing (SD_EUNSUPPORTED, "needs package libpq5"). */
enum sd_err sd_sql_open(struct sd_loop *l, const struct sd_sql_conf *conf, struct sd_sql **out, struct sd_error *e);
/* What was not answered is, with SD_ECANCELED, from within; what runs is waited for. Not from within a callback of its own. NULL is fine. */
void sd_sql_close(struct sd_sql *s);
bool sd_sql_is_postgres(const struct sd_sql *s);
/* The database as it may be printed: without user and password. */
const char *sd_sql_shown(const struct sd_sql *s);
/* Does it answer, as far as is known? */
bool sd_sql_stands(const struct sd_sql *s);
/* Why it does not; "" when nothing failed yet. */
const char *sd_sql_why(const struct sd_sql *s);
/* SQLite: the file was found not to be writable, and since then nothing was written; what writes fails with SD_EPERM. It is looked at anew with
 * each job that writes, and `up` is said again when it can be. */
bool sd_sql_is_read_only(const struct sd_sql *s);
struct sd_loop *sd_sql_loop(const struct sd_sql *s);

struct sd_sql_counts {
	uint64_t reads, writes, failed; /* jobs that were answered; those of them that failed */
	uint64_t commits;               /* transactions of jobs that write */
	uint64_t connects;              /* PostgreSQL: connections that were made */
	size_t waiting;                 /* jobs that wait or run */
};
struct sd_sql_counts sd_sql_counts(const struct sd_sql *s);

/* ---- values ---- */

enum sd_sql_kind { SD_SQL_NULL, SD_SQL_INT, SD_SQL_REAL, SD_SQL_TEXT, SD_SQL_BLOB };

/* One that was read: of text p is NUL-terminated (n does not count that); both valid until the callback returns. */
struct sd_sql_value {
	enum sd_sql_kind kind;
	union {
		int64_t i;
		double real;
	};
	const char *p;
	size_t n;
};

static inline struct sd_sql_value sd_sql_null(void)
{
	return (struct sd_sql_value){.kind = SD_SQL_NULL};
}
static inline struct sd_sql_value sd_sql_int(int64_t i)
{
	return (struct sd_sql_value){.kind = SD_SQL_INT, .i = i};
}
static inline struct sd_sql_value sd_sql_real(double d)
{
	return (struct sd_sql_value){.kind = SD_SQL_REAL, .real = d};
}
/* UTF-8 without a zero byte. */
static inline struct sd_sql_value sd_sql_slice(struct sd_slice s)
{
	return (struct sd_sql_value){.kind = SD_SQL_TEXT, .p = s.p, .n = s.n};
}
/* NULL is NULL. */
static inline struct sd_sql_value sd_sql_text(const char *s)
{
	return s ? sd_sql_slice(sd_slice_of(s)) : sd_sql_null();
}
static inline struct sd_sql_value sd_sql_blob(const void *p, size_t n)
{
	return (struct sd_sql_value){.kind = SD_SQL_BLOB, .p = p, .n = n};
}
#define SD_SQL_ARGS(...) ((const struct sd_sql_value[]){__VA_ARGS__})

/* ---- jobs ---- */

/* NULL: out of memory; the functions below take it, and sd_sql_run then returns SD_ENOMEM. */
struct sd_sql_job *sd_sql_write(struct sd_sql *s);
struct sd_sql_job *sd_sql_read(struct sd_sql *s);
/* A statement. text is kept by its address and stays prepared: a constant of the program's, one statement. The values are copied; there may be
 * more than it uses, but of those none that is NULL (PostgreSQL could not know its type). At most 64. */
void sd_sql_add(struct sd_sql_job *j, const char *text, size_t n, const struct sd_sql_value *values);
/* One that is made at run time and seldom runs again: copied, not kept prepared. */
void sd_sql_add_once(struct sd_sql_job *j, const char *text, size_t n, const struct sd_sql_value *values);
/* The statement added last must change or give a row, or the job fails like this and is taken back. why: a constant. */
void sd_sql_expect(struct sd_sql_job *j, enum sd_err err, const char *why);
/* In a transaction of its own, for jobs that are long or take locks. */
void sd_sql_alone(struct sd_sql_job *j);
/* Never to be run. NULL is fine. */
void sd_sql_drop(struct sd_sql_job *j);

/* e->code SD_OK: done and, when it wrote, committed. The job and what it holds go when the callback returns; it may run others,
 * not close the database. */
typedef void sd_sql_done(void *arg, const struct sd_error *e, const struct sd_sql_job *j);
/* SD_OK: fn will be called, on a later turn (NULL: nobody asks). Otherwise it will not, and the job is gone: SD_EUNREACHABLE, it is
 * away; SD_EAGAIN, too many wait; SD_ENOMEM, also while the job was built. */
enum sd_err sd_sql_run(struct sd_sql_job *j, sd_sql_done *fn, void *arg);

/* Of a job that was done: the statements count from 0 in the order they were added. */
size_t sd_sql_rows(const struct sd_sql_job *j, size_t statement);
size_t sd_sql_columns(const struct sd_sql_job *j, size_t statement);
/* Rows that it inserted, updated or deleted. */
int64_t sd_sql_changed(const struct sd_sql_job *j, size_t statement);
/* A cell; NULL of SQL for one that is not there. */
const struct sd_sql_value *sd_sql_cell(const struct sd_sql_job *j, size_t statement, size_t row, size_t column);
static inline int64_t sd_sql_cell_int(const struct sd_sql_job *j, size_t statement, size_t row, size_t column)
{
	const struct sd_sql_value *v = sd_sql_cell(j, statement, row, column);
	return v->kind == SD_SQL_INT ? v->i : v->kind == SD_SQL_REAL ? (int64_t)v->real : 0;
}
/* NULL for NULL, and for numbers. */
static inline const char *sd_sql_cell_text(const struct sd_sql_job *j, size_t statement, size_t row, size_t column)
{
	const struct sd_sql_value *v = sd_sql_cell(j, statement, row, column);
	return v->kind == SD_SQL_TEXT || v->kind == SD_SQL_BLOB ? v->p : NULL;
}

/* ---- schema ---- */

/* One version: its statements, NULL at the end. Words in them that the two databases spell differently:
 *
 *	@id         a whole number that is the primary key   INTEGER PRIMARY KEY   BIGINT PRIMARY KEY
 *	@text       text in the order of its bytes           TEXT                  TEXT COLLATE "C"
 *	@blob       bytes                                    BLOB                  BYTEA
 *	@real       a double                                 REAL                  DOUBLE PRECISION
 *	@clustered  behind a table that is kept in the order of its primary key: WITHOUT ROWID, nothing */
struct sd_sql_migration {
	int64_t version; /* from 1, each one more than the one before */
	const char *const *statements;
};

/* Brings the tables of `part` to the last of n versions, each in a transaction, whoever else does the same at the same time; the table
 * sdlab_schema keeps the versions. fn as in sd_sql_run, with a job of no statements. A newer version there: SD_EUNSUPPORTED, "links.db has
 * version 7 of links, and this program knows 3". part and the rows: constants. */
enum sd_err sd_sql_migrate(struct sd_sql *s, const char *part, const struct sd_sql_migration *rows, size_t n, sd_sql_done *fn, void *arg);

#endif
