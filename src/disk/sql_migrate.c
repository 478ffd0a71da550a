/* sql_migrate.c - versions of a schema. The row of the table moves on from the version before in the same transaction as the
 * statements of the new one run, so that of several who try one does, and the others look again. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "sql_int.h"

/* The number of the advisory lock that PostgreSQL needs: there two who make the same table at once may both fail. Any will do. */
#define LOCK 7236824531

struct migration {
	struct sd_sql *sql;
	const char *part;
	const struct sd_sql_migration *rows;
	size_t n;
	sd_sql_done *fn;
	void *arg;
};

static const struct {
	const char *word, *lite, *pg;
} words[] = {
    {"@id", "INTEGER PRIMARY KEY", "BIGINT PRIMARY KEY"},
    {"@text", "TEXT", "TEXT COLLATE \"C\""},
    {"@blob", "BLOB", "BYTEA"},
    {"@real", "REAL", "DOUBLE PRECISION"},
    {"@clustered", "WITHOUT ROWID", ""},
};

/* The length of the word that text begins with, and what it stands for. */
static size_t word_at(const char *text, bool pg, const char **means)
{
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++) {
		size_t n = strlen(words[i].word);
		if (strncmp(text, words[i].word, n) != 0)
			continue;
		*means = pg ? words[i].pg : words[i].lite;
		return n;
	}
	return 0;
}

static char *spelled(const char *text, bool pg)
{
	struct sd_text t = {0};
	while (*text) {
		const char *means = NULL;
		size_t plain = strcspn(text, "@"), n = word_at(text + plain, pg, &means);
		sd_text_add(&t, text, plain);
		text += plain;
		if (means)
			sd_text_add(&t, means, strlen(means));
		else if (*text)
			sd_text_add(&t, text, n = 1);
		text += n;
	}
	return sd_text_take(&t, NULL);
}

static void end(struct migration *m, const struct sd_error *e, const struct sd_sql_job *j)
{
	if (m->fn)
		m->fn(m->arg, e, j);
	free(m);
}

static void end_with(struct migration *m, enum sd_err err)
{
	struct sd_error e = {0};
	sd_fail(&e, err, "%s: %s", m->sql->shown, sd_err_text(err));
	end(m, &e, NULL);
}

static struct sd_sql_job *locked_job(struct migration *m)
{
	struct sd_sql_job *j = sd_sql_write(m->sql);
	sd_sql_alone(j);
	if (m->sql->postgres)
		sd_sql_add(j, "SELECT CAST(pg_advisory_xact_lock($1) AS TEXT)", 1, SD_SQL_ARGS(sd_sql_int(LOCK)));
	return j;
}

static enum sd_err look(struct migration *m);

static void on_moved(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	struct migration *m = arg;
	if (e->code != SD_OK && e->code != SD_ENOTFOUND) { /* not found: somebody else did it */
		end(m, e, j);
		return;
	}
	enum sd_err err = look(m);
	if (err)
		end_with(m, err);
}

static enum sd_err move_on(struct migration *m, int64_t from)
{
	struct sd_sql_job *j = locked_job(m);
	const struct sd_sql_migration *to = &m->rows[from];
	sd_sql_add(j, "UPDATE sdlab_schema SET version = $1 WHERE part = $2 AND version = $3", 3,
		   SD_SQL_ARGS(sd_sql_int(to->version), sd_sql_text(m->part), sd_sql_int(from)));
	sd_sql_expect(j, SD_ENOTFOUND, "somebody else did it");
	for (const char *const *text = to->statements; *text; text++) {
		char *words_in = spelled(*text, m->sql->postgres);
		if (!words_in) {
			sd_sql_drop(j);
			return SD_ENOMEM;
		}
		sd_sql_add_once(j, words_in, 0, NULL);
		free(words_in);
	}
	return sd_sql_run(j, on_moved, m);
}

static void on_version(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	struct migration *m = arg;
	int64_t has = e->code ? 0 : sd_sql_cell_int(j, j->n - 1, 0, 0), knows = (int64_t)m->n;
	struct sd_error newer = {0};
	if (e->code || has == knows) {
		end(m, e, j);
	} else if (has > knows) {
		sd_fail(&newer, SD_EUNSUPPORTED, "%s has version %lld of %s, and this program knows %lld: it needs a newer program", m->sql->shown,
			(long long)has, m->part, (long long)knows);
		end(m, &newer, j);
	} else {
		enum sd_err err = move_on(m, has);
		if (err)
			end_with(m, err);
	}
}

/* Makes the table and the row if need be, and reads it. */
static enum sd_err look(struct migration *m)
{
	struct sd_sql_job *j = locked_job(m);
	sd_sql_add(j, "CREATE TABLE IF NOT EXISTS sdlab_schema (part TEXT PRIMARY KEY, version BIGINT NOT NULL)", 0, NULL);
	sd_sql_add(j, "INSERT INTO sdlab_schema (part, version) VALUES ($1, 0) ON CONFLICT (part) DO NOTHING", 1,
		   SD_SQL_ARGS(sd_sql_text(m->part)));
	sd_sql_add(j, "SELECT version FROM sdlab_schema WHERE part = $1", 1, SD_SQL_ARGS(sd_sql_text(m->part)));
	return sd_sql_run(j, on_version, m);
}

/* First only whether there is something to do: a database that is read-only may be at its last version. */
static void on_peek(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	struct migration *m = arg;
	if (e->code == SD_OK && sd_sql_rows(j, 0) == 1) {
		on_version(m, e, j);
		return;
	}
	enum sd_err err = look(m); /* no such table yet, most likely; if not, it will be said */
	if (err)
		end_with(m, err);
}

enum sd_err sd_sql_migrate(struct sd_sql *s, const char *part, const struct sd_sql_migration *rows, size_t n, sd_sql_done *fn, void *arg)
{
	struct migration *m = calloc(1, sizeof(*m));
	struct sd_sql_job *j = m ? sd_sql_read(s) : NULL;
	if (m)
		*m = (struct migration){.sql = s, .part = part, .rows = rows, .n = n, .fn = fn, .arg = arg};
	sd_sql_add(j, "SELECT version FROM sdlab_schema WHERE part = $1", 1, SD_SQL_ARGS(sd_sql_text(part)));
	enum sd_err err = sd_sql_run(j, on_peek, m);
	if (err)
		free(m);
	return err;
}
