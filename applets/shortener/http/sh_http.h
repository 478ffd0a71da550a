/* sh_http.h - what a worker answers: redirects by itself, the rest as calls to the control loop.
 *
 *	sh_http.c      the way of a request: redirect, page or call
 *	sh_redirect.c  the head of a redirect, and what is said where there is none
 *	sh_call.c      a call: gathered on the worker, run on the control loop, answered on the worker
 *	sh_routes.c    the table of all operations; dispatch, checks and /openapi.json come from its rows
 *	sh_openapi.c   the document
 *	sh_links.c     links made, listed, changed
 *	sh_link_json.c a link as JSON, and what of a link may be said in JSON
 *	sh_stats_json.c statistics as JSON
 *	sh_members.c   bodies and queries against the tables
 *	sh_small.c     what needs no database
 *	sh_json.c      JSON as people read it
 *	sh_problem.c   errors (RFC 9457)
 *	sh_qr.c        a QR code as SVG
 *	sh_page*.c     pages for people; their streams of events
 */
#ifndef SH_HTTP_H
#define SH_HTTP_H

#include <cjson/cJSON.h>

#include "../shortener.h"
#include "core/text.h"

#define SH_BODY_MAX (64 * 1024)

/* ---- on a worker ---- */

/* server->arg is a struct sh_worker. */
extern const struct sd_http_handler sh_http_handler;

/* x->user of every exchange that is not answered at once points to one, first in a struct of whoever answers it. The functions
 * are as in struct sd_http_handler; each may be NULL. */
struct sh_waiter {
	void (*body)(struct sd_http_exchange *x, const char *p, size_t n);
	void (*end)(struct sd_http_exchange *x);
	void (*drained)(struct sd_http_exchange *x);
	void (*gone)(struct sd_http_exchange *x);
};

/* ---- errors ---- */

/* name of its type, status, title */
#define SH_PROBLEM_LIST(X)                                                             \
	X(SH_NOT_JSON, "not-json", 400, "Not a JSON object")                           \
	X(SH_NO_URL, "no-url", 400, "No URL")                                          \
	X(SH_BAD_MEMBER, "bad-member", 400, "A member has a value that cannot be")     \
	X(SH_BAD_QUERY, "bad-query", 400, "A parameter has a value that cannot be")    \
	X(SH_NO_KEY, "no-key", 401, "An API key is needed")                            \
	X(SH_CROSS_ORIGIN, "cross-origin", 403, "Not from another site's page")        \
	X(SH_UNKNOWN_CODE, "unknown-code", 404, "No such link")                        \
	X(SH_UNKNOWN_PATH, "unknown-path", 404, "Nothing is here")                     \
	X(SH_NOT_YET, "not-yet", 404, "The link is not valid yet")                     \
	X(SH_BAD_METHOD, "bad-method", 405, "Not with this method")                    \
	X(SH_ALIAS_TAKEN, "alias-taken", 409, "The alias is taken")                    \
	X(SH_EXPIRED, "expired", 410, "The link has expired")                          \
	X(SH_DISABLED, "disabled", 410, "The link is disabled")                        \
	X(SH_USED_UP, "used-up", 410, "The link was visited as often as it may be")    \
	X(SH_TOO_LARGE, "too-large", 413, "The body is too large")                     \
	X(SH_BAD_URL, "bad-url", 422, "The URL is refused")                            \
	X(SH_BAD_ALIAS, "bad-alias", 422, "The alias is refused")                      \
	X(SH_TOO_MANY, "too-many", 429, "Too many links in this time")                 \
	X(SH_INTERNAL, "internal", 500, "It failed here")                              \
	X(SH_DB_AWAY, "database-away", 503, "The database cannot be reached")          \
	X(SH_DB_BUSY, "database-busy", 503, "The database is locked")                  \
	X(SH_DB_READ_ONLY, "database-read-only", 503, "The database is read-only")     \
	X(SH_DB_FULL, "database-full", 507, "There is no room in the database")

enum sh_problem {
#define X(id, name, status, title) id,
	SH_PROBLEM_LIST(X)
#undef X
	    SH_PROBLEMS
};

struct sh_problem_row {
	const char *name, *title;
	int status;
};
extern const struct sh_problem_row sh_problems[SH_PROBLEMS];

/* The document; member: of the body or the query that is meant, NULL: none. NULL: out of memory. */
cJSON *sh_problem_json(enum sh_problem p, const char *member, const char *detail);
/* What the store's failures are to a client. */
enum sh_problem sh_problem_of(enum sd_err err);

/* ---- a call ---- */

struct sh_route;

/* Made on a worker, which hands it to the control loop; there route->run is called once, and answers at once or later, also on
 * another turn, with one of sh_answer*, after which the call is not its any more. The slices are valid until then. */
struct sh_call {
	struct sh_waiter waiter; /* the worker's */
	struct sd_http_exchange *x; /* the worker's; NULL: the client left */
	struct sd_task task;
	struct sh_worker *w;
	struct sh *sh;
	const struct sh_route *route;
	void *mine; /* of whoever runs it */
	/* what was asked */
	enum sd_http_method method;
	struct sd_slice path, query, host, accept, cookie, origin;
	struct sd_slice key;  /* X-Api-Key, or Authorization: Bearer */
	struct sd_slice user_agent, csrf; /* csrf: X-Csrf-Token */
	struct sd_slice forwarded; /* X-Forwarded-For, as it came */
	char arg[SH_CODE_MAX + 1]; /* what stands for {code} or {name} in the path */
	struct sd_text body;
	struct sd_peer peer;
	bool secure, asked, too_large;
	bool key_good; /* key was checked */
	/* what is answered */
	int status;
	struct sd_text extra; /* lines with CRLF */
	const char *type;
	char *out;
	size_t out_n;
	char *bytes; /* that the slices point to */
	void (*then)(struct sh_call *c, struct sd_http_exchange *x);
};

/* On the control loop. */
void sh_answer(struct sh_call *c, int status, const char *type, char *out, size_t n); /* out is its from now on */
void sh_answer_json(struct sh_call *c, int status, cJSON *tree); /* the tree too; NULL: out of memory */
void sh_answer_problem(struct sh_call *c, enum sh_problem p, const char *member, const char *format, ...)
    __attribute__((format(printf, 4, 5)));
void sh_answer_failed(struct sh_call *c, enum sd_err err, const struct sd_error *e);
/* A field of the answer's head, before it is answered. */
void sh_answer_field(struct sh_call *c, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* Instead of an answer: fn is called on the call's worker and answers there, as long as it likes. x->user is NULL and fn's to set;
 * the call ends when fn returns. A client that has left is not told of. */
void sh_answer_there(struct sh_call *c, void (*fn)(struct sh_call *c, struct sd_http_exchange *x));

/* The parameter's value, unescaped, or NULL. */
char *sh_query_get(struct sd_slice query, const char *name, char *out, size_t room);

/* ---- the table of operations ---- */

enum sh_needs { SH_OPEN, SH_STATS, SH_CHANGE }; /* who may: anybody; with keys required one who has one; as soon as there is a key */

/* A parameter of the query, or a member of a body: what is checked and what is documented. */
enum sh_value { SH_END, SH_TEXT, SH_INT, SH_BOOL, SH_TIME, SH_DAY, SH_TEXTS };
struct sh_member {
	const char *name;
	enum sh_value type;
	int64_t min, max;    /* of a number, or bytes of a text */
	bool required, null; /* null: it may be null, which is none */
	const char *choices; /* "a|b", NULL: any */
	const char *help;
};

struct sh_route {
	enum sd_http_method method;
	const char *path; /* "/api/links/{code}" */
	enum sh_needs needs;
	void (*run)(struct sh_call *c);
	/* the document */
	const char *id, *summary;
	const struct sh_member *query, *body;
	int good;            /* status when all is well */
	const char *type;    /* of the answer, "a|b" for either; NULL: it has no body */
	const char *schema;  /* of the answer, a name in components; NULL: text */
	uint64_t problems;   /* a bit for each enum sh_problem, besides those that any may have */
	const struct sh_member *form; /* a body as forms of a page send it */
	uint16_t pages[3];   /* other statuses, whose answer is a page; ended by 0 */
};
extern const struct sh_route sh_routes[];      /* ended by path NULL */
extern const struct sh_route sh_page_routes[]; /* those of the dashboard */

/* Finds what the method and path ask for; with NULL, *allow says the methods that there are, "" when the path is unknown. */
const struct sh_route *sh_route_find(enum sd_http_method method, struct sd_slice path, char arg[SH_CODE_MAX + 1], char allow[64]);
/* Words that no alias may be, since they are the first part of a path of ours. */
bool sh_reserved(struct sd_slice word);

/* ---- JSON ---- */

/* Members of the whole a line each, elements of a list of objects too. For free; NULL: out of memory. Takes the tree. */
char *sh_json_text(cJSON *tree, size_t *n);
char *sh_openapi(size_t *n); /* the document, for free */

#endif
