/* The same promises on SQLite and, with SQL_TEST_URL (test/interop/shortener_postgres.sh), on PostgreSQL. */
#include <fcntl.h>
#include <sqlite3.h>

#if __has_include(<postgresql/libpq-fe.h>)
#include <postgresql/libpq-fe.h>
_Static_assert((int)CONNECTION_OK == 0, "as in sql_pq.h");
_Static_assert((int)PGRES_COMMAND_OK == 1 && (int)PGRES_TUPLES_OK == 2 && (int)PGRES_FATAL_ERROR == 7, "as in sql_pq.h");
_Static_assert((int)PGRES_PIPELINE_SYNC == 10 && (int)PGRES_PIPELINE_ABORTED == 11, "as in sql_pq.h");
_Static_assert(PG_DIAG_SQLSTATE == 'C' && PG_DIAG_MESSAGE_PRIMARY == 'M', "as in sql_pq.h");
_Static_assert(sizeof(PQconninfoOption) == 7 * sizeof(char *), "as struct pq_option");
#endif

#include "sql_rig.h"

static struct sql_rig rig, *const r = &rig;

static void setup(void)
{
	rig_open(r);
}

static void teardown(void)
{
	rig_close(r);
}

START_TEST(values_come_back)
{
	static const char bytes[] = {'a', 0, (char)0xff, '\''};
	rig_must(r, rig_postgres() ? "CREATE TABLE v (i BIGINT, d DOUBLE PRECISION, t TEXT, b BYTEA)"
				   : "CREATE TABLE v (i BIGINT, d REAL, t TEXT, b BLOB)");
	for (int i = 0; i < 2; i++) {
		struct sd_sql_job *j = sd_sql_write(r->sql);
		/* values in another order than their numbers, one twice */
		sd_sql_add(j, "INSERT INTO v (t, d, i, b) SELECT $3, $2, $1, $4 WHERE $1 = $1 RETURNING i, d, t, b", 4,
			   SD_SQL_ARGS(sd_sql_int(INT64_MIN + i), sd_sql_real(-0.5), sd_sql_text("\xc3\xa4'\"; --"), sd_sql_blob(bytes, 4)));
		ck_assert_int_eq(rig_run(r, j), SD_OK);
		ck_assert_str_eq(r->cells[0][0], i ? "-9223372036854775807" : "-9223372036854775808");
		ck_assert_str_eq(r->cells[0][1], "-0.5");
		ck_assert_str_eq(r->cells[0][2], "\xc3\xa4'\"; --");
		ck_assert_int_eq(r->changed, 1);
	}
	struct sd_sql_job *j = sd_sql_write(r->sql);
	sd_sql_add(j, "INSERT INTO v (t, d, i, b) VALUES ($1, $2, $3, $4) RETURNING i, d, t, b", 4,
		   SD_SQL_ARGS(sd_sql_text(NULL), sd_sql_null(), sd_sql_null(), sd_sql_null()));
	ck_assert_int_eq(rig_run(r, j), SD_OK);
	for (int i = 0; i < 4; i++)
		ck_assert_str_eq(r->cells[0][i], "NULL");
}
END_TEST

static size_t blob_n;
static void on_blob(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	(void)arg;
	ck_assert_int_eq(e->code, SD_OK);
	blob_n = sd_sql_cell(j, 0, 0, 0)->n;
	ck_assert_mem_eq(sd_sql_cell_text(j, 0, 0, 0), "a\0b", 3);
	ck_assert_int_eq(sd_sql_cell_int(j, 0, 0, 1), 7);
	ck_assert_ptr_null(sd_sql_cell_text(j, 0, 0, 2));
	ck_assert_int_eq(sd_sql_cell(j, 0, 1, 0)->kind, SD_SQL_NULL);
	ck_assert_int_eq(sd_sql_cell(j, 1, 0, 0)->kind, SD_SQL_NULL);
	rig_stop(r);
}

START_TEST(bytes_come_back)
{
	struct sd_sql_job *j = sd_sql_read(r->sql);
	sd_sql_add(j, "SELECT $1, $2, $3", 3, SD_SQL_ARGS(sd_sql_blob("a\0b", 3), sd_sql_int(7), sd_sql_null()));
	ck_assert_int_eq(sd_sql_run(j, on_blob, NULL), SD_OK);
	rig_wait(r);
	ck_assert_uint_eq(blob_n, 3);
}
END_TEST

START_TEST(errors_have_a_kind)
{
	rig_must(r, "CREATE TABLE k (name TEXT PRIMARY KEY)");
	rig_must(r, "INSERT INTO k VALUES ('a')");
	ck_assert_int_eq(rig_exec(r, "INSERT INTO k VALUES ('a')"), SD_EEXISTS);
	ck_assert_ptr_nonnull(strstr(r->e.text, "already there"));
	ck_assert_int_eq(rig_exec(r, "INSERT INTO nowhere VALUES ('a')"), SD_EINVAL);
	ck_assert_int_eq(rig_exec(r, "this is no statement"), SD_EINVAL);
	ck_assert_int_eq(rig_read(r, "SELECT * FROM nowhere"), SD_EINVAL);
	if (!rig_postgres())
		ck_assert_int_eq(rig_read(r, "INSERT INTO k VALUES ('b')"), SD_EPERM);
	ck_assert_int_eq(rig_read(r, "SELECT name FROM k"), SD_OK);
	ck_assert_uint_eq(r->rows, 1);
}
END_TEST

/* ---- many at once ---- */

#define MANY 100
static unsigned good, taken, missed;
static void on_one(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	(void)arg;
	(void)j;
	good += e->code == SD_OK;
	taken += e->code == SD_EEXISTS;
	missed += e->code == SD_ENOTFOUND;
	if (good + taken + missed == MANY)
		rig_stop(r);
	ck_assert_msg(e->code == SD_OK || e->code == SD_EEXISTS || e->code == SD_ENOTFOUND, "%s", e->text);
}

/* Of a hundred jobs that write some break a key and some miss what they expect; each takes back its own first statement, and no other. */
START_TEST(each_of_many_has_its_own_result)
{
	rig_must(r, "CREATE TABLE k (n BIGINT PRIMARY KEY)");
	rig_must(r, "CREATE TABLE log (n BIGINT)");
	struct sd_sql_counts before = sd_sql_counts(r->sql);
	good = taken = missed = 0;
	for (int i = 0; i < MANY; i++) {
		struct sd_sql_job *j = sd_sql_write(r->sql);
		sd_sql_add(j, "INSERT INTO log VALUES ($1)", 1, SD_SQL_ARGS(sd_sql_int(i)));
		sd_sql_add(j, "INSERT INTO k VALUES ($1)", 1, SD_SQL_ARGS(sd_sql_int(i % 10 == 3 ? 0 : i)));
		sd_sql_add(j, "UPDATE k SET n = n WHERE n = $1", 1, SD_SQL_ARGS(sd_sql_int(i % 10 == 5 ? -1 : i)));
		if (i % 2)
			sd_sql_expect(j, SD_ENOTFOUND, "no such number");
		ck_assert_int_eq(sd_sql_run(j, on_one, NULL), SD_OK);
	}
	rig_wait(r);
	ck_assert_uint_eq(taken, 10);
	ck_assert_uint_eq(missed, 10);
	ck_assert_uint_eq(good, MANY - 20);
	ck_assert_int_eq(rig_read(r, "SELECT count(*), CAST(sum(n) AS BIGINT) FROM log WHERE n % 10 <> 3 AND n % 10 <> 5"), SD_OK);
	ck_assert_str_eq(r->cells[0][0], "80");
	ck_assert_int_eq(rig_read(r, "SELECT count(*), CAST(sum(n) AS BIGINT) FROM log"), SD_OK);
	ck_assert_str_eq(r->cells[0][0], "80");
	ck_assert_int_eq(rig_read(r, "SELECT count(*) FROM k"), SD_OK);
	ck_assert_str_eq(r->cells[0][0], "80");
	struct sd_sql_counts after = sd_sql_counts(r->sql);
	ck_assert_uint_eq(after.writes - before.writes, MANY);
	ck_assert_uint_eq(after.failed - before.failed, 20);
	ck_assert_uint_eq(after.waiting, 0);
}
END_TEST

START_TEST(many_writes_are_few_transactions)
{
	rig_must(r, "CREATE TABLE log (n BIGINT)");
	struct sd_sql_counts before = sd_sql_counts(r->sql);
	good = taken = missed = 0;
	for (int i = 0; i < MANY; i++) {
		struct sd_sql_job *j = sd_sql_write(r->sql);
		sd_sql_add(j, "INSERT INTO log VALUES ($1)", 1, SD_SQL_ARGS(sd_sql_int(i)));
		ck_assert_int_eq(sd_sql_run(j, on_one, NULL), SD_OK);
	}
	rig_wait(r);
	ck_assert_uint_eq(good, MANY);
	ck_assert_uint_le(sd_sql_counts(r->sql).commits - before.commits, 2);
	ck_assert_int_eq(rig_read(r, "SELECT count(*) FROM log"), SD_OK);
	ck_assert_str_eq(r->cells[0][0], "100");
}
END_TEST

/* A write is done before the next begins, in the order of asking, whatever becomes a batch. */
START_TEST(writes_keep_their_order)
{
	rig_must(r, "CREATE TABLE o (n BIGINT)");
	rig_must(r, "INSERT INTO o VALUES (0)");
	good = taken = missed = 0;
	for (int i = 0; i < MANY; i++) {
		struct sd_sql_job *j = sd_sql_write(r->sql);
		if (i % 7 == 0)
			sd_sql_alone(j);
		sd_sql_add(j, "UPDATE o SET n = $1 WHERE n = $2", 2, SD_SQL_ARGS(sd_sql_int(i + 1), sd_sql_int(i)));
		sd_sql_expect(j, SD_ENOTFOUND, "out of order");
		ck_assert_int_eq(sd_sql_run(j, on_one, NULL), SD_OK);
	}
	rig_wait(r);
	ck_assert_uint_eq(good, MANY);
}
END_TEST

/* What one reader asks wrongly is not the fault of the others that leave with it. */
START_TEST(readers_fail_each_for_itself)
{
	rig_must(r, "CREATE TABLE k (n BIGINT)");
	good = taken = missed = 0;
	for (int i = 0; i < MANY + MANY / 2; i++) {
		struct sd_sql_job *j = sd_sql_read(r->sql);
		if (i % 3 == 0)
			sd_sql_add(j, "SELECT n FROM k WHERE nothing = $1", 1, SD_SQL_ARGS(sd_sql_int(i)));
		sd_sql_add(j, "SELECT n FROM k WHERE n = $1", 1, SD_SQL_ARGS(sd_sql_int(i)));
		ck_assert_int_eq(sd_sql_run(j, i % 3 ? on_one : NULL, NULL), SD_OK);
	}
	rig_wait(r);
	ck_assert_uint_eq(good, MANY);
}
END_TEST

START_TEST(what_is_asked_for_is_bounded)
{
	struct sd_sql_conf conf = rig_conf(r);
	sd_sql_close(r->sql);
	conf.max_bytes = 10000;
	conf.most = 3;
	r->ups = 0;
	rig_open_with(r, &conf);
	ck_assert_int_eq(rig_read(r, "WITH RECURSIVE t (n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM t WHERE n < 100000) SELECT n FROM t"),
			 SD_ETOOBIG);
	ck_assert_int_eq(rig_read(r, "SELECT 1"), SD_OK);
	for (int i = 0; i < 4; i++) {
		struct sd_sql_job *j = sd_sql_read(r->sql);
		sd_sql_add(j, "SELECT 1", 0, NULL);
		ck_assert_int_eq(sd_sql_run(j, NULL, NULL), i < 3 ? SD_OK : SD_EAGAIN);
	}
	ck_assert_int_eq(sd_sql_run(NULL, NULL, NULL), SD_ENOMEM);
	sd_sql_drop(NULL);
}
END_TEST

static void on_cancelled(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	(void)j;
	unsigned *n = arg;
	ck_assert_msg(e->code == SD_ECANCELED || e->code == SD_OK, "%s", e->text);
	++*n;
}

START_TEST(closing_answers_all)
{
	unsigned answered = 0;
	rig_must(r, "CREATE TABLE c (n BIGINT)");
	for (int i = 0; i < 50; i++) {
		struct sd_sql_job *j = i % 2 ? sd_sql_read(r->sql) : sd_sql_write(r->sql);
		sd_sql_add(j, "SELECT 1", 0, NULL);
		ck_assert_int_eq(sd_sql_run(j, on_cancelled, &answered), SD_OK);
		if (i == 25)
			sd_loop_flush(r->loop); /* some have begun */
	}
	sd_sql_close(r->sql);
	r->sql = NULL;
	ck_assert_uint_eq(answered, 50);
}
END_TEST

/* ---- migrations ---- */

static const char *const first[] = {"CREATE TABLE a (id @id, t @text, b @blob, d @real)", "INSERT INTO a (id, t) VALUES (1, 'x@y')", NULL};
static const char *const second[] = {"CREATE TABLE ab (a @text, b BIGINT, PRIMARY KEY (a, b)) @clustered", NULL};
static const char *const broken[] = {"CREATE TABLE c (n BIGINT)", "INSERT INTO nowhere VALUES (1)", NULL};
static const struct sd_sql_migration rows[] = {{1, first}, {2, second}, {3, broken}};

static enum sd_err migrate(size_t n)
{
	r->waiting = 1;
	ck_assert_int_eq(sd_sql_migrate(r->sql, "things", rows, n, rig_answer, r), SD_OK);
	rig_wait(r);
	return r->e.code;
}

START_TEST(a_schema_moves_on)
{
	ck_assert_int_eq(migrate(1), SD_OK);
	ck_assert_int_eq(migrate(1), SD_OK);
	ck_assert_int_eq(rig_read(r, "SELECT t FROM a"), SD_OK);
	ck_assert_str_eq(r->cells[0][0], "x@y");
	ck_assert_int_eq(migrate(2), SD_OK);
	rig_must(r, "INSERT INTO ab VALUES ('z', 1)");
	/* one that fails is not there at all */
	ck_assert_int_eq(migrate(3), SD_EINVAL);
	ck_assert_int_eq(rig_read(r, "SELECT n FROM c"), SD_EINVAL);
	ck_assert_int_eq(rig_read(r, "SELECT version FROM sdlab_schema WHERE part = 'things'"), SD_OK);
	ck_assert_str_eq(r->cells[0][0], "2");
	/* the program of before */
	ck_assert_int_eq(migrate(1), SD_EUNSUPPORTED);
	ck_assert_msg(strstr(r->e.text, "has version 2 of things, and this program knows 1"), "%s", r->e.text);
}
END_TEST

static unsigned migrated;
static void on_migrated(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	(void)arg;
	(void)j;
	ck_assert_msg(e->code == SD_OK, "%s", e->text);
	if (++migrated == 3)
		rig_stop(r);
}

/* Three servers that start at once on an empty database. */
START_TEST(several_may_move_it_on)
{
	struct sd_sql *other[2];
	struct sd_sql_conf conf = rig_conf(r);
	conf.up = NULL;
	migrated = 0;
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(sd_sql_open(r->loop, &conf, &other[i], NULL), SD_OK);
	ck_assert_int_eq(sd_sql_migrate(r->sql, "things", rows, 2, on_migrated, NULL), SD_OK);
	for (int i = 0; i < 2; i++)
		ck_assert_int_eq(sd_sql_migrate(other[i], "things", rows, 2, on_migrated, NULL), SD_OK);
	rig_wait(r);
	ck_assert_int_eq(rig_read(r, "SELECT count(*) FROM a"), SD_OK);
	ck_assert_str_eq(r->cells[0][0], "1");
	for (int i = 0; i < 2; i++)
		sd_sql_close(other[i]);
}
END_TEST

/* ---- bad days of a file ---- */

static sqlite3 *other_process(void)
{
	sqlite3 *db = NULL;
	ck_assert_int_eq(sqlite3_open(r->url, &db), SQLITE_OK);
	return db;
}

START_TEST(locked_by_another)
{
	struct sd_sql_conf conf = rig_conf(r);
	sd_sql_close(r->sql);
	conf.busy_ms = 30;
	r->ups = 0;
	rig_open_with(r, &conf);
	rig_must(r, "CREATE TABLE k (n BIGINT)");
	sqlite3 *db = other_process();
	ck_assert_int_eq(sqlite3_exec(db, "BEGIN IMMEDIATE; INSERT INTO k VALUES (1)", NULL, NULL, NULL), SQLITE_OK);
	ck_assert_int_eq(rig_exec(r, "INSERT INTO k VALUES (2)"), SD_EAGAIN);
	ck_assert_msg(strstr(r->e.text, "links.db: locked by another process"), "%s", r->e.text);
	ck_assert_int_eq(rig_read(r, "SELECT count(*) FROM k"), SD_OK); /* readers do not care */
	ck_assert_int_eq(sqlite3_exec(db, "COMMIT", NULL, NULL, NULL), SQLITE_OK);
	sqlite3_close(db);
	rig_must(r, "INSERT INTO k VALUES (2)");
}
END_TEST

/* What does not fit is refused, each for itself; what was there stays, and there is room again afterwards. */
START_TEST(full)
{
	struct sd_sql_conf conf = rig_conf(r);
	sd_sql_close(r->sql);
	conf.max_pages = 20;
	r->ups = 0;
	rig_open_with(r, &conf);
	rig_must(r, "CREATE TABLE k (t TEXT)");
	char *big = malloc(50001);
	memset(big, 'x', 50000);
	big[50000] = '\0';
	unsigned answered = 0, refused = 0;
	for (int i = 0; i < 4; i++) {
		struct sd_sql_job *j = sd_sql_write(r->sql);
		sd_sql_add(j, "INSERT INTO k VALUES ($1)", 1, SD_SQL_ARGS(sd_sql_text(i == 1 ? "small" : big)));
		enum sd_err err = rig_run(r, j);
		answered += err == SD_OK;
		refused += err == SD_ENOSPC;
	}
	ck_assert_uint_eq(answered, 2);
	ck_assert_uint_eq(refused, 2);
	ck_assert_msg(strstr(r->e.text, "full"), "%s", r->e.text);
	good = taken = missed = 0;
	/* in one transaction: the large one does not take the small ones with it */
	for (int i = 0; i < MANY; i++) {
		struct sd_sql_job *j = sd_sql_write(r->sql);
		sd_sql_add(j, "INSERT INTO k VALUES ($1)", 1, SD_SQL_ARGS(sd_sql_text(i == 50 ? big : "s")));
		ck_assert_int_eq(sd_sql_run(j, i == 50 ? NULL : on_one, NULL), SD_OK);
	}
	struct sd_sql_job *j = sd_sql_write(r->sql);
	sd_sql_add(j, "INSERT INTO k VALUES ('s')", 0, NULL);
	ck_assert_int_eq(sd_sql_run(j, on_one, NULL), SD_OK);
	rig_wait(r);
	ck_assert_uint_eq(good, MANY);
	rig_must(r, "DELETE FROM k WHERE length(t) > 100");
	j = sd_sql_write(r->sql);
	sd_sql_add(j, "INSERT INTO k VALUES ($1)", 1, SD_SQL_ARGS(sd_sql_text(big)));
	ck_assert_int_eq(rig_run(r, j), SD_OK);
	free(big);
}
END_TEST

START_TEST(read_only)
{
	struct sd_sql_conf conf = rig_conf(r);
	char url[400];
	rig_must(r, "CREATE TABLE k (n BIGINT)");
	ck_assert_int_eq(migrate(1), SD_OK);
	sd_sql_close(r->sql);
	snprintf(url, sizeof(url), "file:%s?mode=ro", r->url);
	conf.url = url;
	r->ups = 0;
	rig_open_with(r, &conf);
	ck_assert_int_eq(rig_exec(r, "INSERT INTO k VALUES (1)"), SD_EPERM);
	ck_assert_msg(strstr(r->e.text, "read-only"), "%s", r->e.text);
	ck_assert_int_eq(rig_read(r, "SELECT * FROM k"), SD_OK);
	ck_assert_int_eq(migrate(1), SD_OK); /* there is nothing to do */
	ck_assert_int_eq(migrate(2), SD_EPERM);
}
END_TEST

static void put(const char *name, const char *bytes, size_t n, off_t at)
{
	int fd = open(name, O_WRONLY | O_CREAT, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(pwrite(fd, bytes, n, at), (ssize_t)n);
	close(fd);
}

static void cannot_open(const char *url, enum sd_err want, const char *says)
{
	struct sd_sql_conf conf = rig_conf(r);
	struct sd_error e = {0};
	struct sd_sql *s = NULL;
	conf.url = url;
	ck_assert_int_eq(sd_sql_open(r->loop, &conf, &s, &e), want);
	ck_assert_ptr_null(s);
	ck_assert_msg(strstr(e.text, says), "%s", e.text);
}

START_TEST(damaged)
{
	char junk[8192], name[400];
	memset(junk, 'j', sizeof(junk));
	rig_must(r, "CREATE TABLE k (t TEXT)");
	rig_must(r, "INSERT INTO k VALUES ('a')");
	sd_sql_close(r->sql);
	r->sql = NULL;
	/* a page in the middle */
	put(r->url, junk, 4096, 4096);
	struct sd_sql_conf conf = rig_conf(r);
	r->ups = 0;
	rig_open_with(r, &conf);
	ck_assert_int_eq(rig_read(r, "SELECT * FROM k"), SD_EDAMAGED);
	ck_assert_msg(strstr(r->e.text, "damaged"), "%s", r->e.text);
	ck_assert_int_eq(rig_exec(r, "INSERT INTO k VALUES ('b')"), SD_EDAMAGED);
	sd_sql_close(r->sql);
	r->sql = NULL;
	/* the first page: it is no database any more */
	put(r->url, junk, sizeof(junk), 0);
	cannot_open(r->url, SD_EDAMAGED, "not a database of SQLite, or damaged");
	cannot_open("/tmp/sdlab-no-such-folder/x.db", SD_ENOTFOUND, "cannot be opened");
	cannot_open("/tmp", SD_ENOTFOUND, "cannot be opened");
	snprintf(name, sizeof(name), "%s/links.db", r->dir);
	unlink(name);
}
END_TEST

START_TEST(in_memory)
{
	struct sd_sql_conf conf = rig_conf(r);
	sd_sql_close(r->sql);
	conf.url = ":memory:";
	r->ups = 0;
	rig_open_with(r, &conf);
	rig_must(r, "CREATE TABLE k (n BIGINT)");
	rig_must(r, "INSERT INTO k VALUES (5)");
	ck_assert_int_eq(rig_read(r, "SELECT n FROM k"), SD_OK);
	ck_assert_str_eq(r->cells[0][0], "5");
}
END_TEST

/* ---- bad days of a server ---- */

START_TEST(a_url_that_is_wrong)
{
	cannot_open("postgres://me:geheim@host:port:1/%zz?x=%", SD_EUSAGE, "expected postgres://");
	struct sd_sql_conf conf = rig_conf(r);
	struct sd_error e = {0};
	struct sd_sql *s = NULL;
	conf.url = "postgres://me:geheim@host/%zz";
	sd_sql_open(r->loop, &conf, &s, &e);
	ck_assert_ptr_null(strstr(e.text, "geheim"));
}
END_TEST

/* Nobody listens: what waits is refused when the first try failed, what comes then at once, and no word of the password. */
START_TEST(away)
{
	struct sd_sql_conf conf = rig_conf(r);
	sd_sql_close(r->sql);
	r->ups = r->downs = 0;
	conf.url = "postgres://me:geheim@127.0.0.1:1/links";
	ck_assert_int_eq(sd_sql_open(r->loop, &conf, &r->sql, &r->e), SD_OK);
	ck_assert_str_eq(sd_sql_shown(r->sql), "postgres://127.0.0.1:1/links");
	ck_assert_int_eq(rig_read(r, "SELECT 1"), SD_EUNREACHABLE);
	ck_assert_msg(strstr(r->e.text, "refused") && !strstr(r->e.text, "geheim"), "%s", r->e.text);
	if (r->downs == 0)
		rig_wait(r);
	ck_assert_uint_eq(r->downs, 1);
	ck_assert_uint_eq(r->ups, 0);
	ck_assert(!sd_sql_stands(r->sql));
	ck_assert_ptr_null(strstr(sd_sql_why(r->sql), "geheim"));
	ck_assert_int_eq(rig_exec(r, "SELECT 1"), SD_EUNREACHABLE);
}
END_TEST

/* All connections of this program are ended: what comes next may be refused, then they are there again. */
START_TEST(connections_come_back)
{
	rig_must(r, "CREATE TABLE k (n BIGINT)");
	r->ups = r->downs = 0;
	rig_exec(r, "SELECT pg_terminate_backend(pid)::int FROM pg_stat_activity WHERE datname = current_database()");
	ck_assert_msg(r->e.code == SD_ERESET || r->e.code == SD_EUNREACHABLE, "%d %s", r->e.code, r->e.text);
	while (r->ups == 0)
		rig_wait(r);
	ck_assert_uint_le(r->downs, 1);
	rig_must(r, "INSERT INTO k VALUES (1)"); /* prepared anew */
	ck_assert_uint_ge(sd_sql_counts(r->sql).connects, 4);
}
END_TEST

/* Two writers that take the same rows in another order: one is told to go again by the server, and nobody notices. */
START_TEST(deadlocks_are_tried_again)
{
	struct sd_sql *other = NULL;
	struct sd_sql_conf conf = rig_conf(r);
	conf.up = NULL;
	rig_must(r, "ALTER DATABASE links SET deadlock_timeout = 10");
	rig_must(r, "CREATE TABLE k (n BIGINT PRIMARY KEY, v BIGINT)");
	rig_must(r, "INSERT INTO k VALUES (1, 0), (2, 0)");
	ck_assert_int_eq(sd_sql_open(r->loop, &conf, &other, NULL), SD_OK);
	good = taken = missed = 0;
	for (int i = 0; i < MANY; i++) {
		struct sd_sql_job *j = sd_sql_write(i % 2 ? r->sql : other);
		sd_sql_alone(j);
		sd_sql_add(j, "UPDATE k SET v = v + 1 WHERE n = $1", 1, SD_SQL_ARGS(sd_sql_int(1 + i % 2)));
		sd_sql_add(j, "SELECT count(*) FROM generate_series(1, 50000)", 0, NULL); /* so much to do that each has one when it asks for the other */
		sd_sql_add(j, "UPDATE k SET v = v + 1 WHERE n = $1", 1, SD_SQL_ARGS(sd_sql_int(2 - i % 2)));
		ck_assert_int_eq(sd_sql_run(j, on_one, NULL), SD_OK);
	}
	rig_wait(r);
	ck_assert_uint_eq(good, MANY);
	ck_assert_int_eq(rig_read(r, "SELECT CAST(sum(v) AS BIGINT) FROM k"), SD_OK);
	ck_assert_str_eq(r->cells[0][0], "200");
	sd_sql_close(other);
}
END_TEST

/* The server does not answer within the time set: it waits for a lock that somebody else keeps. */
START_TEST(silent_servers_are_given_up)
{
	struct sd_sql_conf conf = rig_conf(r);
	struct sd_sql *keeper = NULL;
	conf.up = NULL;
	conf.down = NULL;
	ck_assert_int_eq(sd_sql_open(r->loop, &conf, &keeper, NULL), SD_OK);
	struct sd_sql_job *j = sd_sql_write(keeper);
	sd_sql_add(j, "SELECT CAST(pg_advisory_lock(7) AS TEXT)", 0, NULL); /* until its connection ends */
	ck_assert_int_eq(rig_run(r, j), SD_OK);
	sd_sql_close(r->sql);
	conf = rig_conf(r);
	conf.timeout_ns = 100000000;
	r->ups = 0;
	rig_open_with(r, &conf);
	ck_assert_int_eq(rig_exec(r, "SELECT CAST(pg_advisory_lock(7) AS TEXT)"), SD_ETIMEOUT);
	sd_sql_close(keeper);
	r->ups = 0;
	while (r->ups == 0)
		rig_wait(r);
	rig_must(r, "SELECT 1");
}
END_TEST

START_TEST(read_only_servers)
{
	rig_must(r, "CREATE TABLE k (n BIGINT)");
	rig_must(r, "SET default_transaction_read_only = on");
	ck_assert_int_eq(rig_exec(r, "INSERT INTO k VALUES (1)"), SD_EPERM);
	ck_assert_msg(strstr(r->e.text, "read-only") && !strstr(r->e.text, "secret"), "%s", r->e.text);
	ck_assert_int_eq(rig_read(r, "SELECT 2.5"), SD_EINVAL); /* numeric: as nothing that is known here */
	ck_assert_msg(strstr(r->e.text, "must be cast"), "%s", r->e.text);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sql");
	TCase *c = tcase_create(rig_postgres() ? "postgres" : "sqlite");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, values_come_back);
	tcase_add_test(c, bytes_come_back);
	tcase_add_test(c, errors_have_a_kind);
	tcase_add_test(c, each_of_many_has_its_own_result);
	tcase_add_test(c, many_writes_are_few_transactions);
	tcase_add_test(c, writes_keep_their_order);
	tcase_add_test(c, readers_fail_each_for_itself);
	tcase_add_test(c, what_is_asked_for_is_bounded);
	tcase_add_test(c, closing_answers_all);
	tcase_add_test(c, a_schema_moves_on);
	tcase_add_test(c, several_may_move_it_on);
	if (rig_postgres()) {
		tcase_add_test(c, connections_come_back);
		tcase_add_test(c, deadlocks_are_tried_again);
		tcase_add_test(c, silent_servers_are_given_up);
		tcase_add_test(c, read_only_servers);
		tcase_add_test(c, away);
	} else {
		tcase_add_test(c, locked_by_another);
		tcase_add_test(c, full);
		tcase_add_test(c, read_only);
		tcase_add_test(c, damaged);
		tcase_add_test(c, in_memory);
	}
	if (rig_postgres())
		tcase_add_test(c, a_url_that_is_wrong);
	tcase_set_timeout(c, 60);
	suite_add_tcase(s, c);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
