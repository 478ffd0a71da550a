/* sql_job.c - jobs while they are built and read: statements, values and results in pieces of memory that go with the job. */
#include <stdlib.h>
#include <string.h>

#include "core/list.h"
#include "sql_int.h"

#define CHUNK 1000

/* ---- memory ---- */

void *sql_job_alloc(struct sd_sql_job *j, size_t n)
{
	struct sql_chunk *c = j->chunks;
	n = (n + 15) / 16 * 16;
	if (!c || c->room - c->n < n) {
		size_t room = n > CHUNK ? n : CHUNK;
		c = malloc(sizeof(*c) + room);
		if (!c)
			return NULL;
		c->n = 0;
		c->room = room;
		/* one that is for a single large thing does not end the one that has room */
		bool behind = n > CHUNK && j->chunks;
		c->next = behind ? j->chunks->next : j->chunks;
		if (behind)
			j->chunks->next = c;
		else
			j->chunks = c;
	}
	void *p = c->p + c->n;
	c->n += n;
	return p;
}

static const char *copy(struct sd_sql_job *j, const void *p, size_t n)
{
	char *to = sql_job_alloc(j, n + 1);
	if (!to)
		return NULL;
	if (n)
		memcpy(to, p, n);
	to[n] = '\0';
	return to;
}

void sql_job_free(struct sd_sql_job *j)
{
	for (struct sql_statement *st = j->first; st; st = st->next)
		free(st->cells);
	while (j->chunks) {
		struct sql_chunk *c = j->chunks;
		j->chunks = c->next;
		free(c);
	}
	free(j);
}

/* ---- building ---- */

static struct sd_sql_job *job_new(struct sd_sql *s, bool write)
{
	struct sd_sql_job *j = calloc(1, sizeof(*j));
	if (!j)
		return NULL;
	j->sql = s;
	j->write = write;
	j->tail = &j->first;
	return j;
}

struct sd_sql_job *sd_sql_write(struct sd_sql *s)
{
	return job_new(s, true);
}

struct sd_sql_job *sd_sql_read(struct sd_sql *s)
{
	return job_new(s, false);
}

static bool has_bytes(const struct sd_sql_value *v)
{
	return v->kind == SD_SQL_TEXT || v->kind == SD_SQL_BLOB;
}

static bool copy_values(struct sd_sql_job *j, struct sql_statement *st, size_t n, const struct sd_sql_value *values)
{
	st->n = n;
	st->values = sql_job_alloc(j, (n + 1) * sizeof(*values));
	if (!st->values)
		return false;
	for (size_t i = 0; i < n; i++) {
		st->values[i] = values[i];
		if (has_bytes(&values[i]) && !(st->values[i].p = copy(j, values[i].p, values[i].n)))
			return false;
	}
	return true;
}

static void add(struct sd_sql_job *j, const char *text, bool once, size_t n, const struct sd_sql_value *values)
{
	if (!j || j->broken)
		return;
	struct sql_statement *st = sql_job_alloc(j, sizeof(*st));
	if (st) {
		*st = (struct sql_statement){.text = once ? copy(j, text, strlen(text)) : text, .once = once};
		*j->tail = st;
		j->tail = &st->next;
		j->n++;
	}
	j->broken = !st || !st->text || !copy_values(j, st, n, values);
}

void sd_sql_add(struct sd_sql_job *j, const char *text, size_t n, const struct sd_sql_value *values)
{
	add(j, text, false, n, values);
}

void sd_sql_add_once(struct sd_sql_job *j, const char *text, size_t n, const struct sd_sql_value *values)
{
	add(j, text, true, n, values);
}

void sd_sql_expect(struct sd_sql_job *j, enum sd_err err, const char *why)
{
	if (!j || !j->first || j->broken)
		return;
	struct sql_statement *st = sd_container(j->tail, struct sql_statement, next);
	st->expect = err;
	st->why = why;
}

void sd_sql_alone(struct sd_sql_job *j)
{
	if (j)
		j->alone = true;
}

void sd_sql_drop(struct sd_sql_job *j)
{
	if (j)
		sql_job_free(j);
}

/* ---- results ---- */

void sql_job_reset(struct sd_sql_job *j)
{
	for (struct sql_statement *st = j->first; st; st = st->next) {
		st->rows = st->columns = 0;
		st->changed = 0;
	}
	j->bytes = 0;
	j->error.code = SD_OK;
	j->error.text[0] = '\0';
}

struct sd_sql_value *sql_row_add(struct sd_sql_job *j, struct sql_statement *st, size_t columns)
{
	size_t used = st->rows * columns;
	st->columns = columns;
	j->bytes += columns * sizeof(*st->cells);
	if (j->bytes > j->sql->conf.max_bytes)
		return NULL;
	if (used + columns > st->room) {
		size_t room = (used + columns) * 2;
		struct sd_sql_value *cells = realloc(st->cells, room * sizeof(*cells));
		if (!cells)
			return NULL;
		st->cells = cells;
		st->room = room;
	}
	st->rows++;
	memset(&st->cells[used], 0, columns * sizeof(*st->cells));
	return &st->cells[used];
}

const char *sql_bytes_keep(struct sd_sql_job *j, const void *p, size_t n)
{
	j->bytes += n;
	return j->bytes > j->sql->conf.max_bytes ? NULL : copy(j, p, n);
}

enum sd_err sql_no_room(struct sd_sql_job *j)
{
	if (j->bytes > j->sql->conf.max_bytes)
		return sd_fail(&j->error, SD_ETOOBIG, "%s: more than %zu bytes came for one request", j->sql->shown, j->sql->conf.max_bytes);
	return sd_fail(&j->error, SD_ENOMEM, "out of memory");
}

static const struct sql_statement *statement_of(const struct sd_sql_job *j, size_t i)
{
	const struct sql_statement *st = j->first;
	while (st && i-- > 0)
		st = st->next;
	return st;
}

size_t sd_sql_rows(const struct sd_sql_job *j, size_t statement)
{
	const struct sql_statement *st = statement_of(j, statement);
	return st ? st->rows : 0;
}

size_t sd_sql_columns(const struct sd_sql_job *j, size_t statement)
{
	const struct sql_statement *st = statement_of(j, statement);
	return st ? st->columns : 0;
}

int64_t sd_sql_changed(const struct sd_sql_job *j, size_t statement)
{
	const struct sql_statement *st = statement_of(j, statement);
	return st ? st->changed : 0;
}

const struct sd_sql_value *sd_sql_cell(const struct sd_sql_job *j, size_t statement, size_t row, size_t column)
{
	static const struct sd_sql_value nothing = {.kind = SD_SQL_NULL};
	const struct sql_statement *st = statement_of(j, statement);
	return st && row < st->rows && column < st->columns ? &st->cells[row * st->columns + column] : &nothing;
}
