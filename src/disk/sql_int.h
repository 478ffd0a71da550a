/* sql_int.h - what the files of the databases share. Private to src/disk.
 *
 *	sql.c            opening, jobs on their way to a connection and back
 *	sql_job.c        jobs while they are built and read
 *	sql_migrate.c    versions of a schema
 *	sql_sqlite.c     connections to a file, each on a helper thread while it works
 *	sql_postgres.c   connections to a server, on the loop; sql_pq.c is the library for it
 *
 * A lane is a connection with its queue. Lane 0 is the one that writes; what one takes from its queue at once is a batch, and
 * belongs to the maker of the database until sql_lane_done.
 */
#ifndef SD_DISK_SQL_INT_H
#define SD_DISK_SQL_INT_H

#include "sql.h"

struct sql_statement {
	struct sql_statement *next;
	const char *text;
	bool once;
	size_t n; /* values */
	struct sd_sql_value *values;
	enum sd_err expect; /* SD_OK: nothing */
	const char *why;
	/* what came of it */
	int64_t changed;
	size_t rows, columns, room; /* room: cells that are allocated */
	struct sd_sql_value *cells;
};

struct sql_chunk {
	struct sql_chunk *next;
	size_t n, room;
	_Alignas(16) char p[];
};

struct sd_sql_job {
	struct sd_sql *sql;
	struct sd_sql_job *next;
	bool write, alone, broken; /* broken: out of memory while it was built */
	unsigned tries;
	size_t n, bytes; /* statements; of results */
	struct sql_statement *first, **tail;
	struct sql_chunk *chunks;
	struct sd_error error;
	sd_sql_done *fn;
	void *arg;
};

enum sql_state {
	SQL_TRYING, /* for the first time: jobs wait */
	SQL_STANDS,
	SQL_AWAY,   /* jobs are refused */
};

struct sql_lane {
	struct sd_sql *sql;
	bool write, busy;
	enum sql_state state;
	struct sd_sql_job *first, **tail; /* they wait */
	size_t waiting;
	struct sd_sql_job *batch; /* while busy */
	struct sd_task start;
	void *own; /* the maker's */
};

/* A maker of connections. */
struct sql_ops {
	enum sd_err (*open)(struct sd_sql *s, struct sd_error *e);
	/* Begins with lane->batch; sql_lane_done later, not from within. */
	void (*begin)(struct sql_lane *lane);
	/* Nothing runs any more after it. */
	void (*close)(struct sd_sql *s);
};
extern const struct sql_ops sql_lite_ops, sql_pg_ops;

struct sd_sql {
	struct sd_loop *loop;
	struct sd_sql_conf conf;
	const struct sql_ops *ops;
	char *url;
	char shown[256], why[512];
	bool postgres, closing, said_down, said_up, read_only;
	unsigned nlanes;
	struct sql_lane *lanes;
	size_t jobs;
	struct sd_sql_counts counts;
	struct sd_task tell;
	void *own; /* the maker's */
};

/* ---- sql.c ---- */
/* The batch is done: each job has its error or its results. On the loop. */
void sql_lane_done(struct sql_lane *lane);
/* It stands, or it does not and why. */
void sql_lane_state(struct sql_lane *lane, enum sql_state state, const char *why);
/* Answers what waits. */
void sql_lane_refuse(struct sql_lane *lane, enum sd_err err, const char *why);

/* ---- sql_job.c ---- */
/* Bytes that live as long as the job; NULL: out of memory. */
void *sql_job_alloc(struct sd_sql_job *j, size_t n);
/* Takes back what came of it, before it runs again. */
void sql_job_reset(struct sd_sql_job *j);
/* One row more, of so many columns: its cells are there to be filled, or NULL: out of memory, or too much. */
struct sd_sql_value *sql_row_add(struct sd_sql_job *j, struct sql_statement *st, size_t columns);
/* Bytes of a result with a NUL behind them, counted. NULL: as above. */
const char *sql_bytes_keep(struct sd_sql_job *j, const void *p, size_t n);
/* Says why one of the two above was NULL. */
enum sd_err sql_no_room(struct sd_sql_job *j);
void sql_job_free(struct sd_sql_job *j);

#endif
