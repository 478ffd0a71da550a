/* sql_pq.h - libpq, loaded when it is needed: linked, it would bring Kerberos and LDAP into every start of every part.
 *
 * Its functions as they are documented for PostgreSQL 14 and later, with types of ours: what is used of its interface has not changed
 * since then, and the unit test compares the numbers with the headers where these are installed.
 */
#ifndef SD_DISK_SQL_PQ_H
#define SD_DISK_SQL_PQ_H

#include "sdlab/err.h"

typedef struct pg_conn PGconn;
typedef struct pg_result PGresult;

enum { PQ_CONNECTION_OK = 0 };
enum {
	PQ_COMMAND_OK = 1,
	PQ_TUPLES_OK = 2,
	PQ_FATAL_ERROR = 7,
	PQ_PIPELINE_SYNC = 10,
	PQ_PIPELINE_ABORTED = 11,
};
enum { PQ_DIAG_SQLSTATE = 'C', PQ_DIAG_MESSAGE = 'M' };

/* As PQconninfoOption. */
struct pq_option {
	char *keyword, *envvar, *compiled, *val, *label, *dispchar;
	int dispsize;
};

/* name, result, arguments */
#define PQ_FUNCTIONS(X)                                                                                      \
	X(PQconninfoParse, struct pq_option *, (const char *text, char **error))                             \
	X(PQconninfoFree, void, (struct pq_option * options))                                                \
	X(PQfreemem, void, (void *p))                                                                        \
	X(PQconnectdbParams, PGconn *, (const char *const *keys, const char *const *values, int expand))     \
	X(PQfinish, void, (PGconn * c))                                                                      \
	X(PQstatus, int, (const PGconn *c))                                                                  \
	X(PQsocket, int, (const PGconn *c))                                                                  \
	X(PQerrorMessage, char *, (const PGconn *c))                                                         \
	X(PQsetnonblocking, int, (PGconn * c, int on))                                                       \
	X(PQenterPipelineMode, int, (PGconn * c))                                                            \
	X(PQpipelineSync, int, (PGconn * c))                                                                 \
	X(PQsetNoticeProcessor, void *, (PGconn * c, void (*fn)(void *arg, const char *text), void *arg))    \
	X(PQsendPrepare, int, (PGconn * c, const char *name, const char *text, int n, const unsigned *types)) \
	X(PQsendQueryPrepared, int,                                                                          \
	  (PGconn * c, const char *name, int n, const char *const *values, const int *lengths, const int *formats, int binary)) \
	X(PQsendQueryParams, int,                                                                            \
	  (PGconn * c, const char *text, int n, const unsigned *types, const char *const *values, const int *lengths, \
	   const int *formats, int binary))                                                                  \
	X(PQflush, int, (PGconn * c))                                                                        \
	X(PQconsumeInput, int, (PGconn * c))                                                                 \
	X(PQisBusy, int, (PGconn * c))                                                                       \
	X(PQgetResult, PGresult *, (PGconn * c))                                                             \
	X(PQclear, void, (PGresult * r))                                                                     \
	X(PQresultStatus, int, (const PGresult *r))                                                          \
	X(PQresultErrorField, char *, (const PGresult *r, int field))                                        \
	X(PQntuples, int, (const PGresult *r))                                                               \
	X(PQnfields, int, (const PGresult *r))                                                               \
	X(PQftype, unsigned, (const PGresult *r, int column))                                                \
	X(PQgetisnull, int, (const PGresult *r, int row, int column))                                        \
	X(PQgetvalue, char *, (const PGresult *r, int row, int column))                                      \
	X(PQgetlength, int, (const PGresult *r, int row, int column))                                        \
	X(PQcmdStatus, char *, (PGresult * r))                                                               \
	X(PQcmdTuples, char *, (PGresult * r))

struct pq {
	void *library;
#define X(name, result, arguments) result(*name) arguments;
	PQ_FUNCTIONS(X)
#undef X
};

/* SD_EUNSUPPORTED: it is not there, or too old. */
enum sd_err pq_load(struct pq *pq, struct sd_error *e);
void pq_unload(struct pq *pq);

#endif
