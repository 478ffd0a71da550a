/* sql_postgres.c - connections to a server of PostgreSQL, on the loop, in pipeline mode.
 *
 *	CONNECTING (on a helper thread: names, TLS and logins may block) --+--> IDLE <-------------+
 *	     ^                                                             |     | a batch         | done
 *	     +-- after a back-off -- AWAY <--failed, broke, silent---------+     v                 |
 *	                                                                       STATEMENTS -> COMMIT or ROLLBACK
 *
 * A batch that writes leaves as one pipeline: BEGIN, all statements, and COMMIT when nothing must be looked at first. When a job of it
 * failed all of it is rolled back, and each job goes again by itself: so each has a result of its own, and the usual case is one
 * round trip, or two. A batch of readers is a pipeline too, each job with a synchronization point of its own.
 *
 * Results come in the order in which things were sent: `sent` says what the next one is of.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/bytes.h"
#include "core/list.h"
#include "core/mix.h"
#include "sql_int.h"
#include "sql_pq.h"

#define MAX_VALUES 64
#define MAX_TRIES  10

/* Numbers of types that do not change (pg_type.dat). */
enum { T_BOOL = 16, T_BYTEA = 17, T_INT8 = 20, T_INT2 = 21, T_INT4 = 23, T_TEXT = 25, T_FLOAT4 = 700, T_FLOAT8 = 701, T_VARCHAR = 1043 };

/* Prepared: the same text with values of other types is another. */
struct prepared {
	const char *text; /* NULL: free */
	uint64_t kinds;
	unsigned number;
	bool asked, ready;
};

enum sent_kind { SENT_CONTROL, SENT_PREPARE, SENT_STATEMENT, SENT_SYNC };
struct sent {
	enum sent_kind kind;
	struct sd_sql_job *job; /* NULL: none */
	struct sql_statement *st;
	unsigned number; /* of what is prepared */
};

enum phase { PG_NONE, PG_STATEMENTS, PG_END, PG_PAUSE };

struct pg {
	struct sql_lane *lane;
	struct pq *pq;
	PGconn *conn;
	struct sd_watch *watch;
	struct sd_timer timer; /* a batch: when it is too late, or a job of it goes again; away: when to try again */
	unsigned tries;
	struct sd_task start; /* begin, or done, on a later turn */
	/* connecting */
	struct sd_work work;
	bool connecting;
	/* the batch */
	enum phase phase;
	bool committing;  /* COMMIT was sent */
	bool rolled_back; /* the END phase is a ROLLBACK */
	bool control_failed;
	struct sd_error control; /* of what is of no job */
	struct sd_sql_job *now, *later, *done; /* in the pipeline; to go by themselves; answered */
	struct sent *sent;
	size_t nsent, at, sent_room;
	struct prepared *table;
	size_t n, room;
};

struct pg_all {
	struct pq pq;
	struct sd_helpers *helpers;
	struct pg *lanes;
	char seconds[16];
};

static void go_on(struct pg *c);
static void connect_later(struct pg *c);

/* ---- errors ---- */

static const struct {
	const char *state; /* the beginning of an SQLSTATE */
	enum sd_err err;
	const char *says;
} kinds[] = {
    {"23505", SD_EEXISTS, "already there"},
    {"55P03", SD_EAGAIN, "locked by somebody else"},
    {"40", SD_EAGAIN, "others changed the same at the same time"},
    {"26", SD_EAGAIN, "what was prepared is not there"}, /* what should have prepared it did not get that far */
    {"53100", SD_ENOSPC, "the disk is full"},
    {"53200", SD_ENOMEM, "the server is out of memory"},
    {"53", SD_EAGAIN, NULL},
    {"25006", SD_EPERM, "read-only"},
    {"42501", SD_EPERM, NULL},
    {"28", SD_EPERM, NULL},
    {"XX001", SD_EDAMAGED, NULL},
    {"XX002", SD_EDAMAGED, NULL},
    {"57014", SD_ETIMEOUT, NULL},
    {"57P", SD_EUNREACHABLE, NULL},
    {"08", SD_EUNREACHABLE, NULL},
    {"58030", SD_EIO, NULL},
    {"22", SD_EINVAL, NULL},
    {"42", SD_EINVAL, NULL},
    {"23", SD_EINVAL, NULL},
};

static bool retryable(const struct sd_error *e, const char *state)
{
	return e->code == SD_EAGAIN && (strncmp(state, "40", 2) == 0 || strncmp(state, "26", 2) == 0);
}

static void read_error(struct pg *c, const PGresult *r, struct sd_error *e)
{
	const char *state = c->pq->PQresultErrorField(r, PQ_DIAG_SQLSTATE), *says = c->pq->PQresultErrorField(r, PQ_DIAG_MESSAGE);
	const char *shown = c->lane->sql->shown;
	for (size_t i = 0; state && i < sizeof(kinds) / sizeof(kinds[0]); i++)
		if (strncmp(state, kinds[i].state, strlen(kinds[i].state)) == 0) {
			sd_fail(e, kinds[i].err, "%s: %s", shown, kinds[i].says ? kinds[i].says : says ? says : state);
			return;
		}
	sd_fail(e, SD_EIO, "%s: %s", shown, says ? says : "the server says no reason");
}

/* ---- sending ---- */

static struct sent *note(struct pg *c, enum sent_kind kind, struct sd_sql_job *j, struct sql_statement *st)
{
	if (c->nsent == c->sent_room) {
		size_t room = c->sent_room ? c->sent_room * 2 : 64;
		struct sent *more = realloc(c->sent, room * sizeof(*more));
		if (!more)
			return NULL;
		c->sent = more;
		c->sent_room = room;
	}
	c->sent[c->nsent] = (struct sent){.kind = kind, .job = j, .st = st};
	return &c->sent[c->nsent++];
}

static bool send_control(struct pg *c, const char *text)
{
	return note(c, SENT_CONTROL, NULL, NULL) && c->pq->PQsendQueryParams(c->conn, text, 0, NULL, NULL, NULL, NULL, 0);
}

static bool send_sync(struct pg *c, struct sd_sql_job *j)
{
	return note(c, SENT_SYNC, j, NULL) && c->pq->PQpipelineSync(c->conn);
}

/* The values as libpq wants them. */
struct arguments {
	unsigned types[MAX_VALUES];
	const char *values[MAX_VALUES];
	int lengths[MAX_VALUES], formats[MAX_VALUES];
	char numbers[MAX_VALUES][8];
	uint64_t kinds;
};

static void put_argument(struct arguments *a, size_t i, const struct sd_sql_value *v)
{
	static const unsigned types[] = {
	    [SD_SQL_NULL] = 0, [SD_SQL_INT] = T_INT8, [SD_SQL_REAL] = T_FLOAT8, [SD_SQL_TEXT] = T_TEXT, [SD_SQL_BLOB] = T_BYTEA};
	bool number = v->kind == SD_SQL_INT || v->kind == SD_SQL_REAL;
	uint64_t bits = (uint64_t)v->i;
	if (v->kind == SD_SQL_REAL)
		memcpy(&bits, &v->real, sizeof(bits));
	sd_put_be(a->numbers[i], bits, 8);
	a->types[i] = types[v->kind];
	a->values[i] = v->kind == SD_SQL_NULL ? NULL : number ? a->numbers[i] : v->p;
	a->lengths[i] = number ? 8 : (int)v->n;
	a->formats[i] = 1;
	a->kinds = a->kinds * 5 + v->kind;
}

static struct prepared *slot_of(struct pg *c, const char *text, uint64_t of_kinds)
{
	size_t i = (size_t)sd_mix_in((uint64_t)(uintptr_t)text, of_kinds) & (c->room - 1);
	while (c->table[i].text && (c->table[i].text != text || c->table[i].kinds != of_kinds))
		i = (i + 1) & (c->room - 1);
	return &c->table[i];
}

static struct prepared *find_prepared(struct pg *c, const char *text, uint64_t of_kinds)
{
	if (c->n * 2 >= c->room) {
		struct prepared *old = c->table;
		size_t was = c->room, room = was ? was * 2 : 64;
		struct prepared *table = calloc(room, sizeof(*table));
		if (!table)
			return NULL;
		c->table = table;
		c->room = room;
		for (size_t i = 0; i < was; i++)
			if (old[i].text)
				*slot_of(c, old[i].text, old[i].kinds) = old[i];
		free(old);
	}
	struct prepared *p = slot_of(c, text, of_kinds);
	if (!p->text)
		*p = (struct prepared){.text = text, .kinds = of_kinds, .number = (unsigned)c->n++};
	return p;
}

static bool send_prepare(struct pg *c, struct prepared *p, const char *name, size_t n, const unsigned *types)
{
	if (p->ready || p->asked)
		return true;
	struct sent *s = note(c, SENT_PREPARE, NULL, NULL);
	p->asked = true;
	if (!s)
		return false;
	s->number = p->number;
	return c->pq->PQsendPrepare(c->conn, name, p->text, (int)n, types);
}

static bool send_statement(struct pg *c, struct sd_sql_job *j, struct sql_statement *st)
{
	struct arguments a;
	char name[24];
	a.kinds = 0;
	if (st->n > MAX_VALUES)
		return false;
	for (size_t i = 0; i < st->n; i++)
		put_argument(&a, i, &st->values[i]);
	if (st->once)
		return note(c, SENT_STATEMENT, j, st) &&
		       c->pq->PQsendQueryParams(c->conn, st->text, (int)st->n, a.types, a.values, a.lengths, a.formats, 1);
	struct prepared *p = find_prepared(c, st->text, a.kinds);
	if (!p)
		return false;
	snprintf(name, sizeof(name), "s%u", p->number);
	return send_prepare(c, p, name, st->n, a.types) && note(c, SENT_STATEMENT, j, st) &&
	       c->pq->PQsendQueryPrepared(c->conn, name, (int)st->n, a.values, a.lengths, a.formats, 1);
}

static bool send_job(struct pg *c, struct sd_sql_job *j)
{
	bool ok = true;
	sql_job_reset(j);
	for (struct sql_statement *st = j->first; st && ok; st = st->next)
		ok = send_statement(c, j, st);
	return ok;
}

static bool must_look(const struct sd_sql_job *j)
{
	for (; j; j = j->next)
		for (const struct sql_statement *st = j->first; st; st = st->next)
			if (st->expect)
				return true;
	return false;
}

static bool send_writes(struct pg *c)
{
	struct sd_sql_job *first = c->now;
	bool plain = !first->next && first->n == 1 && !must_look(first);
	bool ok = plain || send_control(c, "BEGIN");
	for (struct sd_sql_job *j = first; j && ok; j = j->next)
		ok = send_job(c, j);
	c->committing = plain || !must_look(first);
	if (c->committing && !plain)
		ok = ok && send_control(c, "COMMIT");
	return ok && send_sync(c, NULL);
}

static bool send_reads(struct pg *c)
{
	bool ok = true;
	for (struct sd_sql_job *j = c->now; j && ok; j = j->next)
		ok = send_job(c, j) && send_sync(c, j);
	return ok;
}

/* ---- losing a connection ---- */

static void disconnect(struct pg *c)
{
	sd_watch_free(c->watch);
	c->watch = NULL;
	if (c->conn)
		c->pq->PQfinish(c->conn);
	c->conn = NULL;
	free(c->table);
	c->table = NULL;
	c->n = c->room = 0;
	c->nsent = c->at = 0;
}

static struct sd_sql_job **end_of(struct sd_sql_job **list)
{
	while (*list)
		list = &(*list)->next;
	return list;
}

/* All that is left of the batch ends like this. */
static void fail_all(struct pg *c, enum sd_err err, const char *why)
{
	enum sd_err mine = c->committing && err == SD_EUNREACHABLE ? SD_ERESET : err;
	for (struct sd_sql_job *j = c->now; j; j = j->next) {
		sql_job_reset(j);
		sd_fail(&j->error, j->write ? mine : err, "%s", why);
	}
	for (struct sd_sql_job *j = c->later; j; j = j->next) {
		sql_job_reset(j);
		sd_fail(&j->error, err, "%s", why);
	}
	*end_of(&c->now) = c->later;
	*end_of(&c->done) = c->now;
	c->now = c->later = NULL;
	c->phase = PG_NONE;
}

static void finish(struct pg *c)
{
	c->lane->batch = c->done;
	c->done = NULL;
	c->phase = PG_NONE;
	sd_loop_timer_cancel(c->lane->sql->loop, &c->timer);
	sql_lane_done(c->lane);
}

/* The connection is gone. */
static void lost(struct pg *c, enum sd_err err, const char *cause)
{
	char why[400];
	snprintf(why, sizeof(why), "%s: %.*s", c->lane->sql->shown, (int)strcspn(cause, "\n"), cause);
	disconnect(c);
	sql_lane_state(c->lane, SQL_AWAY, why);
	bool busy = c->lane->busy;
	if (busy)
		fail_all(c, err, why);
	sql_lane_refuse(c->lane, SD_EUNREACHABLE, why);
	if (busy)
		finish(c);
	connect_later(c);
}

/* ---- receiving ---- */

static bool read_number(const char *p, size_t n, unsigned type, struct sd_sql_value *out)
{
	uint64_t bits = sd_get_be(p, n);
	float narrow;
	uint32_t half = (uint32_t)bits;
	switch (type) {
	case T_BOOL:
		*out = sd_sql_int((int64_t)bits);
		return true;
	case T_INT2:
		*out = sd_sql_int((int16_t)bits);
		return true;
	case T_INT4:
		*out = sd_sql_int((int32_t)bits);
		return true;
	case T_INT8:
		*out = sd_sql_int((int64_t)bits);
		return true;
	case T_FLOAT4:
		memcpy(&narrow, &half, sizeof(narrow));
		*out = sd_sql_real((double)narrow);
		return true;
	case T_FLOAT8:
		*out = sd_sql_real(0);
		memcpy(&out->real, &bits, sizeof(bits));
		return true;
	default:
		return false;
	}
}

static enum sd_err read_cell(struct pg *c, struct sd_sql_job *j, const PGresult *r, int row, int column, struct sd_sql_value *out)
{
	unsigned type = c->pq->PQftype(r, column);
	size_t n = (size_t)c->pq->PQgetlength(r, row, column);
	const char *p = c->pq->PQgetvalue(r, row, column);
	if (c->pq->PQgetisnull(r, row, column))
		return SD_OK;
	if (n <= 8 && read_number(p, n, type, out))
		return SD_OK;
	if (type != T_TEXT && type != T_VARCHAR && type != T_BYTEA)
		return sd_fail(&j->error, SD_EINVAL, "%s: a column of type %u must be cast to BIGINT, DOUBLE PRECISION or TEXT",
			       c->lane->sql->shown, type);
	*out = (struct sd_sql_value){.kind = type == T_BYTEA ? SD_SQL_BLOB : SD_SQL_TEXT, .p = sql_bytes_keep(j, p, n), .n = n};
	return out->p ? SD_OK : sql_no_room(j);
}

static void read_rows(struct pg *c, struct sd_sql_job *j, struct sql_statement *st, const PGresult *r)
{
	int rows = c->pq->PQntuples(r), columns = c->pq->PQnfields(r);
	for (int i = 0; i < rows; i++) {
		struct sd_sql_value *cells = sql_row_add(j, st, (size_t)columns);
		for (int k = 0; k < columns; k++)
			if (cells ? read_cell(c, j, r, i, k, &cells[k]) : sql_no_room(j))
				return;
	}
}

static void take_statement(struct pg *c, const struct sent *s, PGresult *r)
{
	struct sd_sql_job *j = s->job;
	int status = c->pq->PQresultStatus(r);
	const char *command = c->pq->PQcmdStatus(r);
	if (j->error.code || status == PQ_PIPELINE_ABORTED) {
		if (!j->error.code)
			sd_fail(&j->error, SD_ECANCELED, "%s: something before it failed", c->lane->sql->shown);
		return;
	}
	if (status != PQ_TUPLES_OK && status != PQ_COMMAND_OK) {
		const char *state = c->pq->PQresultErrorField(r, PQ_DIAG_SQLSTATE);
		read_error(c, r, &j->error);
		if (state && retryable(&j->error, state) && j->tries++ < MAX_TRIES)
			j->error.text[0] = '\0'; /* which says that it may go again */
		return;
	}
	if (strncmp(command, "SELECT", 6) != 0)
		s->st->changed = strtoll(c->pq->PQcmdTuples(r), NULL, 10);
	read_rows(c, j, s->st, r);
	if (!j->error.code && s->st->expect && s->st->changed == 0 && s->st->rows == 0)
		sd_fail(&j->error, s->st->expect, "%s", s->st->why);
}

static void take_prepare(struct pg *c, const struct sent *s, const PGresult *r)
{
	bool ok = c->pq->PQresultStatus(r) == PQ_COMMAND_OK;
	for (size_t i = 0; i < c->room; i++)
		if (c->table[i].text && c->table[i].number == s->number) {
			c->table[i].ready = ok;
			c->table[i].asked = false;
		}
	/* The statement behind it is told that the pipeline was aborted; why is said here. */
	const struct sent *next = s + 1;
	if (!ok && c->pq->PQresultStatus(r) == PQ_FATAL_ERROR && c->at + 1 < c->nsent && next->job && !next->job->error.code)
		read_error(c, r, &next->job->error);
}

static void take_control(struct pg *c, PGresult *r)
{
	if (c->pq->PQresultStatus(r) == PQ_COMMAND_OK)
		return;
	if (!c->control_failed && c->pq->PQresultStatus(r) != PQ_PIPELINE_ABORTED)
		read_error(c, r, &c->control);
	c->control_failed = true;
}

static void take(struct pg *c, const struct sent *s, PGresult *r)
{
	if (s->kind == SENT_STATEMENT)
		take_statement(c, s, r);
	else if (s->kind == SENT_PREPARE)
		take_prepare(c, s, r);
	else if (s->kind == SENT_CONTROL)
		take_control(c, r);
}

/* Takes what came. False: the connection makes no sense any more. */
static bool receive(struct pg *c)
{
	unsigned nothing = 0;
	while (c->at < c->nsent && !c->pq->PQisBusy(c->conn)) {
		PGresult *r = c->pq->PQgetResult(c->conn);
		if (!r) { /* one stands between the results of two; more: nothing is there */
			if (++nothing > 1)
				return c->pq->PQstatus(c->conn) == PQ_CONNECTION_OK;
			continue;
		}
		nothing = 0;
		const struct sent *s = &c->sent[c->at];
		bool sync = c->pq->PQresultStatus(r) == PQ_PIPELINE_SYNC;
		bool fits = sync == (s->kind == SENT_SYNC);
		if (fits)
			take(c, s, r);
		c->pq->PQclear(r);
		if (!fits)
			return false;
		c->at++;
	}
	return true;
}

/* ---- a batch, step by step ---- */

static bool flush(struct pg *c)
{
	int more = c->pq->PQflush(c->conn);
	if (more >= 0)
		sd_watch_want(c->watch, SD_IO_READ | (more ? SD_IO_WRITE : 0));
	return more >= 0;
}

static void watch_time(struct pg *c)
{
	struct sd_loop *l = c->lane->sql->loop;
	sd_loop_timer_set(l, &c->timer, sd_loop_now_ns(l) + c->lane->sql->conf.timeout_ns);
}

static void begin_phase(struct pg *c, enum phase phase, bool sent)
{
	c->phase = phase;
	if (!sent || !flush(c)) {
		lost(c, SD_EUNREACHABLE, sent ? c->pq->PQerrorMessage(c->conn) : "out of memory, or more than 64 values");
		return;
	}
	watch_time(c);
}

static void send_statements(struct pg *c)
{
	c->nsent = c->at = 0;
	c->committing = c->rolled_back = c->control_failed = false;
	c->control.code = SD_OK;
	begin_phase(c, PG_STATEMENTS, c->now->write ? send_writes(c) : send_reads(c));
}

static void send_end(struct pg *c, const char *how)
{
	c->nsent = c->at = 0;
	c->rolled_back = how[0] == 'R';
	c->committing = !c->rolled_back;
	c->control_failed = false;
	begin_phase(c, PG_END, send_control(c, how) && send_sync(c, NULL));
}

static bool may_retry(const struct sd_sql_job *j)
{
	return j->error.code == SD_EAGAIN && !j->error.text[0];
}

/* Puts what is to go again in front of what waits for it, and what has its answer to the others. */
static void sort_out(struct pg *c, bool all_again)
{
	struct sd_sql_job *j = c->now, *again = NULL, **tail = &again;
	c->now = NULL;
	while (j) {
		struct sd_sql_job *next = j->next;
		j->next = NULL;
		if (all_again || may_retry(j)) {
			*tail = j;
			tail = &j->next;
		} else {
			*end_of(&c->done) = j;
		}
		j = next;
	}
	*tail = c->later;
	c->later = again;
}

static bool any_failed(const struct sd_sql_job *j)
{
	for (; j; j = j->next)
		if (j->error.code)
			return true;
	return false;
}

/* No job did anything wrong, and yet it was not committed. */
static void fail_control(struct pg *c)
{
	for (struct sd_sql_job *j = c->now; j; j = j->next)
		if (!j->error.code) {
			sql_job_reset(j);
			j->error = c->control;
			if (!j->error.code)
				sd_fail(&j->error, SD_EIO, "%s: could not be committed", c->lane->sql->shown);
		}
}

static double chance(const struct pg *c)
{
	uint64_t bits;
	sd_world_random(sd_loop_world(c->lane->sql->loop), &bits, sizeof(bits));
	return (double)(bits >> 11) * 0x1.0p-53;
}

static void one_of_later(struct pg *c)
{
	c->now = c->later;
	c->later = c->now->next;
	c->now->next = NULL;
	send_statements(c);
}

/* What others were in the way of goes again a little later, each after a time of its own: at once the same two would meet again. */
static void next_of_later(struct pg *c)
{
	static const struct sd_backoff backoff = {2000000, 500000000, SD_GROW_DOUBLING, 1.0};
	struct sd_loop *l = c->lane->sql->loop;
	if (!c->later) {
		finish(c);
	} else if (c->later->tries == 0) {
		one_of_later(c);
	} else {
		c->phase = PG_PAUSE;
		sd_loop_timer_set(l, &c->timer, sd_loop_now_ns(l) + sd_backoff(&backoff, c->later->tries, chance(c)));
	}
}

static void statements_done(struct pg *c)
{
	bool plain = c->nsent > 0 && c->sent[0].kind != SENT_CONTROL;
	bool bad = any_failed(c->now) || c->control_failed;
	if (!c->now->write || plain) {
		c->lane->sql->counts.commits += c->now->write && !bad;
		sort_out(c, false);
		next_of_later(c);
	} else if (bad) {
		send_end(c, "ROLLBACK");
	} else if (c->committing) {
		c->lane->sql->counts.commits++;
		sort_out(c, false);
		next_of_later(c);
	} else {
		send_end(c, "COMMIT");
	}
}

static void end_done(struct pg *c)
{
	if (c->rolled_back && c->now->next) {
		sort_out(c, true); /* one of them did it: each by itself now */
	} else {
		if (c->rolled_back ? !any_failed(c->now) : c->control_failed)
			fail_control(c);
		c->lane->sql->counts.commits += !c->rolled_back && !c->control_failed;
		sort_out(c, false);
	}
	next_of_later(c);
}

static void go_on(struct pg *c)
{
	if (c->at < c->nsent)
		return;
	if (c->phase == PG_STATEMENTS)
		statements_done(c);
	else if (c->phase == PG_END)
		end_done(c);
}

static void on_ready(void *arg, unsigned what)
{
	struct pg *c = arg;
	bool ok = !(what & SD_IO_READ) || c->pq->PQconsumeInput(c->conn);
	ok = ok && flush(c) && receive(c) && c->pq->PQstatus(c->conn) == PQ_CONNECTION_OK;
	if (!ok)
		lost(c, SD_EUNREACHABLE, c->pq->PQerrorMessage(c->conn));
	else if (c->lane->busy)
		go_on(c);
}

static void begin_later(struct sd_task *t)
{
	struct pg *c = sd_container(t, struct pg, start);
	if (c->lane->sql->closing)
		return;
	c->now = c->lane->batch;
	c->lane->batch = NULL;
	if (c->conn) {
		send_statements(c);
		return;
	}
	fail_all(c, SD_EUNREACHABLE, c->lane->sql->why);
	finish(c);
}

static void begin(struct sql_lane *lane)
{
	struct pg *c = lane->own;
	sd_loop_defer(lane->sql->loop, &c->start);
}

/* ---- connecting ---- */

static void on_notice(void *arg, const char *text)
{
	(void)arg; /* "relation exists already, skipping": nobody asked */
	(void)text;
}

static void connect_run(struct sd_work *w)
{
	struct pg *c = sd_container(w, struct pg, work);
	struct pg_all *all = c->lane->sql->own;
	const char *const keys[] = {"dbname", "connect_timeout", "client_encoding", "fallback_application_name", NULL};
	const char *const values[] = {c->lane->sql->url, all->seconds, "UTF8", "sdlab", NULL};
	c->conn = c->pq->PQconnectdbParams(keys, values, 1);
}

static bool take_connection(struct pg *c, struct sd_error *e)
{
	struct sd_sql *s = c->lane->sql;
	if (!c->conn)
		return !sd_fail(e, SD_ENOMEM, "out of memory");
	if (c->pq->PQstatus(c->conn) != PQ_CONNECTION_OK)
		return !sd_fail(e, SD_EUNREACHABLE, "%s", c->pq->PQerrorMessage(c->conn));
	c->pq->PQsetNoticeProcessor(c->conn, on_notice, NULL);
	if (c->pq->PQsetnonblocking(c->conn, 1) != 0 || !c->pq->PQenterPipelineMode(c->conn))
		return !sd_fail(e, SD_EUNREACHABLE, "%s", c->pq->PQerrorMessage(c->conn));
	return sd_loop_watch(s->loop, c->pq->PQsocket(c->conn), on_ready, c, &c->watch, e) == SD_OK;
}

static void connect_done(struct sd_work *w)
{
	struct pg *c = sd_container(w, struct pg, work);
	struct sd_error e = {0};
	c->connecting = false;
	if (c->lane->sql->closing)
		return;
	if (!take_connection(c, &e)) {
		lost(c, SD_EUNREACHABLE, e.text);
		return;
	}
	c->tries = 0;
	c->lane->sql->counts.connects++;
	sql_lane_state(c->lane, SQL_STANDS, "");
}

static void connect_now(struct pg *c)
{
	struct pg_all *all = c->lane->sql->own;
	c->work = (struct sd_work){.run = connect_run, .done = connect_done};
	c->connecting = true;
	if (sd_helpers_submit(all->helpers, c->lane->sql->loop, &c->work))
		return;
	c->connecting = false;
	lost(c, SD_EUNREACHABLE, "cannot start a thread");
}

static void connect_later(struct pg *c)
{
	struct sd_sql *s = c->lane->sql;
	int64_t wait = sd_backoff(&s->conf.backoff, ++c->tries, chance(c));
	sd_loop_timer_set(s->loop, &c->timer, sd_loop_now_ns(s->loop) + wait);
}

static void on_timer(struct sd_timer *t)
{
	struct pg *c = sd_container(t, struct pg, timer);
	if (!c->conn && !c->connecting)
		connect_now(c);
	else if (c->phase == PG_PAUSE)
		one_of_later(c);
	else if (c->lane->busy)
		lost(c, SD_ETIMEOUT, "no answer in time");
}

/* ---- life ---- */

/* Tells how it may be shown, and whether it is a URL at all. libpq's own complaint would repeat what is in it. */
static enum sd_err read_url(struct sd_sql *s, const struct pq *pq, struct sd_error *e)
{
	const char *host = "", *port = "", *name = "";
	char *complaint = NULL;
	struct pq_option *options = pq->PQconninfoParse(s->url, &complaint);
	if (complaint)
		pq->PQfreemem(complaint);
	if (!options)
		return sd_fail(e, SD_EUSAGE, "expected postgres://[USER:PASSWORD@]HOST[:PORT]/NAME for the database");
	for (struct pq_option *o = options; o->keyword; o++) {
		if (!o->val)
			continue;
		host = strcmp(o->keyword, "host") == 0 ? o->val : host;
		port = strcmp(o->keyword, "port") == 0 ? o->val : port;
		name = strcmp(o->keyword, "dbname") == 0 ? o->val : name;
	}
	bool v6 = strchr(host, ':') != NULL;
	snprintf(s->shown, sizeof(s->shown), "postgres://%s%.100s%s%s%.20s/%.100s", v6 ? "[" : "", host, v6 ? "]" : "", *port ? ":" : "", port,
		 name);
	pq->PQconninfoFree(options);
	return SD_OK;
}

static enum sd_err open_all(struct sd_sql *s, struct sd_error *e)
{
	struct pg_all *all = calloc(1, sizeof(*all));
	s->own = all;
	if (!all || !(all->lanes = calloc(s->nlanes, sizeof(*all->lanes))))
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = pq_load(&all->pq, e);
	if (!err)
		err = read_url(s, &all->pq, e);
	if (err)
		return err;
	all->helpers = sd_helpers_new(sd_loop_world(s->loop), s->nlanes);
	if (!all->helpers)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	snprintf(all->seconds, sizeof(all->seconds), "%lld", (long long)((s->conf.timeout_ns + 999999999) / 1000000000));
	for (unsigned i = 0; i < s->nlanes; i++) {
		struct pg *c = &all->lanes[i];
		*c = (struct pg){.lane = &s->lanes[i], .pq = &all->pq, .timer = {.fn = on_timer}, .start = {.fn = begin_later}};
		s->lanes[i].own = c;
		sd_loop_timer_set(s->loop, &c->timer, sd_loop_now_ns(s->loop));
	}
	return SD_OK;
}

static void close_one(struct pg *c)
{
	sd_loop_timer_cancel(c->lane->sql->loop, &c->timer);
	disconnect(c);
	free(c->sent);
	if (!c->lane->batch) {
		fail_all(c, SD_ECANCELED, "the database was closed");
		c->lane->batch = c->done;
	}
}

static void close_all(struct sd_sql *s)
{
	struct pg_all *all = s->own;
	if (!all)
		return;
	sd_helpers_free(all->helpers);
	sd_loop_flush(s->loop);
	for (unsigned i = 0; i < s->nlanes && all->lanes; i++)
		if (all->lanes[i].lane)
			close_one(&all->lanes[i]);
	free(all->lanes);
	pq_unload(&all->pq);
	free(all);
}

const struct sql_ops sql_pg_ops = {open_all, begin, close_all};
