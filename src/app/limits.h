/* limits.h - limits that somebody wrote down, asked for a request: which of them it comes under, whose it is, whether it passes,
 * and what its answer tells of that. The counting itself is sdlab/ratelimit.h.
 *
 *	options, rows --> struct sd_limits, which never changes (a reload makes another one; keys go on, being known by name)
 *	request ----------------> sd_limits_decide --> struct sd_limits_verdict --> sd_limits_fields: Retry-After, RateLimit ...
 *	struct sd_ratelimit ---------^   (the table of keys: one for all threads)
 *
 * A limit of one option, such as --create-limit 100/min for each API key, or address where none is sent:
 *
 *	struct sd_limits *l = sd_limits_new(1);
 *	sd_limits_add_quota(l, "create", sd_conf_string(conf, "create-limit"), "api-key", e);    // wrap the error with the origin
 *	sd_limits_read_headers(l, NULL, NULL, e);                                                // or of an option
 *	...
 *	struct sd_limits_request r = {.head = head, .path = path, .who = &who};   // who: sd_proxy_client(...)
 *	struct sd_limits_verdict v;
 *	sd_limits_decide(l, table, &r, now_ns, NULL, &v);
 *	if (!v.allowed)
 *		429, with sd_limits_fields(l, &v, wall_ns, lines) and "Cache-Control: no-store"
 *
 * A decision allocates nothing and prints nothing.
 */
#ifndef SD_APP_LIMITS_H
#define SD_APP_LIMITS_H

#include "app/conf.h"
#include "app/metrics.h"
#include "core/addr.h"
#include "sdlab/http1.h"
#include "sdlab/ratelimit.h"

#define SD_LIMIT_PARTS    4   /* of a key */
#define SD_LIMIT_NAME     64  /* bytes of a limit's name, with its NUL */
#define SD_LIMITS_TALLIES 128 /* limits of different names in the life of a process */
#define SD_LIMITS_LINES   4096
#define SD_LIMIT_KEY      1024 /* bytes of a key; a part that is too long for it is hashed */
#define SD_LIMITS_ANYWHERE 0
#define SD_LIMIT_DEFAULT  "default" /* the name of one that people need not be told */

/* ---- what is written down ---- */

enum sd_limit_part_kind {
	SD_LIMIT_BY_ADDRESS,
	SD_LIMIT_BY_API_KEY,
	SD_LIMIT_BY_PATH,
	SD_LIMIT_BY_METHOD,
	SD_LIMIT_BY_HOST,
	SD_LIMIT_BY_ALL,
	SD_LIMIT_BY_HEADER,
};

struct sd_limit_part {
	enum sd_limit_part_kind kind;
	char *name; /* of a header */
};

/* "key" or "key=value", of a descriptor that others ask about; value NULL: any. */
struct sd_limit_entry {
	char *key, *value;
};

struct sd_limit {
	char name[SD_LIMIT_NAME];
	struct sd_ratelimit_limit limit;
	uint64_t scope; /* from its name, so that a reload finds its keys again */
	uint32_t cost;
	uint32_t place; /* SD_LIMITS_ANYWHERE, or only there: a number of the service, such as of a route */
	bool shadow;    /* counts and tells, but does not refuse */
	char *path, *host, *method; /* NULL: any */
	struct sd_limit_part parts[SD_LIMIT_PARTS];
	size_t nparts;
	struct sd_limit_entry entries[SD_LIMIT_PARTS];
	size_t nentries; /* above 0: it is for descriptors, not for requests */
	char *domain;
	unsigned tally; /* sd_limits_tally; a service that counts sets it */
};

/* Bits of headers. */
enum { SD_LIMITS_X = 1, SD_LIMITS_DRAFT6 = 2, SD_LIMITS_DRAFT7 = 4, SD_LIMITS_DRAFT8 = 8 };

struct sd_limits {
	int refs;
	unsigned headers;
	bool by_path; /* one asks for the path */
	struct sd_cidr *trusted;
	size_t ntrusted;
	size_t n, room;
	struct sd_limit rules[];
};

/* In the order of enum sd_ratelimit_kind. */
#define SD_LIMIT_ALGORITHMS "token-bucket|gcra|leaky-bucket|leaky-queue|fixed-window|sliding-counter|sliding-log"

/* Rows of an option table for what a limit is. DEF(text) is text where rows have defaults of their own, else NULL: then
 * what a row leaves away is as in the table around it. RATE: the default of the rate; NEEDED: whether one must be there. */
#define SD_LIMIT_ROWS(DEF, RATE, NEEDED) \
	{"algorithm", SD_OPT_ENUM, DEF("token-bucket"), "how is counted", .choices = SD_LIMIT_ALGORITHMS, .reload = true}, \
	{"rate", SD_OPT_STRING, RATE, "how many: 10 (a second), 100/min, 1000/10m", .required = NEEDED, .reload = true, \
	 .meta = "COUNT/TIME"}, \
	{"burst", SD_OPT_INT, NULL, "of buckets: how many at once; else as many as the rate's count", .min = 1, \
	 .max = UINT32_MAX, .reload = true}, \
	{"key", SD_OPT_LIST, DEF("address"), "whose they are: address, api-key, header:NAME, path, method, host, all; of several, " \
	 "each combination for itself", .reload = true}, \
	{"cost", SD_OPT_INT, DEF("1"), "what a request costs", .min = 1, .max = UINT32_MAX, .reload = true}, \
	{"aligned", SD_OPT_BOOL, DEF("false"), "a fixed window begins with the clock's minute or hour, not with its first request", \
	 .reload = true}, \
	{"resolution", SD_OPT_INT, DEF("0"), "a sliding log tells so many moments of its time apart; 0 for all", \
	 .max = 1000000, .reload = true}, \
	{"shadow", SD_OPT_BOOL, DEF("false"), "only count and tell what would be refused", .reload = true},
/* The first rows of a table of limits: which it is, and which requests come under it. */
#define SD_LIMIT_MATCH_ROWS \
	{"name", SD_OPT_STRING, NULL, "what it is called in fields and metrics", .required = true}, \
	{"path", SD_OPT_STRING, NULL, "only paths that begin so, by whole segments", .reload = true}, \
	{"host", SD_OPT_STRING, NULL, "only this host", .reload = true}, \
	{"method", SD_OPT_STRING, NULL, "only this method", .reload = true},

/* NULL: out of memory. Holds one reference, and room for so many limits. */
struct sd_limits *sd_limits_new(size_t room);
struct sd_limits *sd_limits_hold(struct sd_limits *l);   /* NULL is fine, here and below */
void sd_limits_release(struct sd_limits *l);
/* One of a table with SD_LIMIT_MATCH_ROWS and SD_LIMIT_ROWS; what the row leaves away is as in `all`, which may be the row itself.
 * The caller knows that there is room. Errors begin with where the fault is. */
enum sd_err sd_limits_add(struct sd_limits *l, const struct sd_conf *row, const struct sd_conf *all, struct sd_error *e);
/* One of options with SD_LIMIT_ROWS: for all requests. */
enum sd_err sd_limits_add_named(struct sd_limits *l, const char *name, const struct sd_conf *conf, struct sd_error *e);
/* A token bucket of so many, such as "100/min"; key: one part, as of the option. Errors do not say where the fault is. */
enum sd_err sd_limits_add_quota(struct sd_limits *l, const char *name, const char *quota, const char *key, struct sd_error *e);
/* Options "descriptor", a list, and "domain" of its row: then it is not for requests. */
enum sd_err sd_limit_read_entries(struct sd_limit *rule, const struct sd_conf *row, struct sd_error *e);
/* From an option, a list; conf NULL: x and draft8. */
enum sd_err sd_limits_read_headers(struct sd_limits *l, const struct sd_conf *conf, const char *option, struct sd_error *e);
/* From an option "trusted-proxies", a list. */
enum sd_err sd_limits_read_trusted(struct sd_limits *l, const struct sd_conf *conf, struct sd_error *e);
const struct sd_limit *sd_limits_find(const struct sd_limits *l, struct sd_slice name); /* NULL: none */
/* Keys of this scope are those of a limit with this name. */
uint64_t sd_limits_scope(struct sd_slice name);
/* "Token bucket: 10 tokens/sec, burst 20" */
void sd_limit_describe(const struct sd_limit *l, char *out, size_t n);

/* ---- counting what was decided ---- */

enum sd_limit_count { SD_LIMIT_ALLOWED, SD_LIMIT_REFUSED, SD_LIMIT_SHADOWED, SD_LIMIT_COUNTS };

/* One a thread. */
struct sd_limits_counts {
	uint64_t n[SD_LIMITS_TALLIES][SD_LIMIT_COUNTS];
};

/* Names that were counted since the start. */
struct sd_limits_tallies {
	unsigned n;
	char names[SD_LIMITS_TALLIES][SD_LIMIT_NAME];
};

/* Gives each limit the row of counters of its name. SD_ERANGE: there were too many names. */
enum sd_err sd_limits_tally(struct sd_limits *l, struct sd_limits_tallies *t, struct sd_error *e);
void sd_limit_counted(struct sd_limits_counts *c, const struct sd_limit *l, bool allowed);
/* A family of that name with the labels rule and decision; counts: those of n threads. */
void sd_limits_metrics(const struct sd_limits_tallies *t, const struct sd_limits_counts *const *counts, unsigned n, struct sd_metrics *m,
		       const char *family, const char *label);
/* Families PREFIX_keys_max, PREFIX_evicted_total and so on, of the table. */
void sd_limits_table_metrics(const struct sd_ratelimit *table, struct sd_metrics *m, const char *prefix, const char *label);

/* ---- the table of keys ---- */

/* As many keys as fit into so many bytes. */
size_t sd_limits_keys(int64_t bytes);

/* ---- decisions ---- */

/* A request as limits see it. */
struct sd_limits_request {
	const struct sd_http_head *head; /* NULL: a connection of which nothing but its address is known */
	struct sd_slice path;            /* in normal form */
	const struct sd_peer *who;       /* the client, as trusted proxies say */
	uint32_t place;                  /* where it goes; limits of other places are not asked */
};

struct sd_limit_key {
	char bytes[SD_LIMIT_KEY];
	size_t n;
};

/* What is to be asked for a request: the first n count together, the last nshadow each for itself. */
struct sd_limits_asks {
	size_t n, nshadow;
	const struct sd_limit *rules[SD_RATELIMIT_TOGETHER];
	struct sd_ratelimit_ask asks[SD_RATELIMIT_TOGETHER];
	struct sd_limit_key keys[SD_RATELIMIT_TOGETHER];
};

struct sd_limits_verdict {
	bool allowed;
	bool unknown; /* the store is down, and so nothing is let through */
	int64_t delay_ns;
	size_t n; /* limits that were asked and count */
	const struct sd_limit *rules[SD_RATELIMIT_TOGETHER];
	struct sd_ratelimit_answer answers[SD_RATELIMIT_TOGETHER];
};

/* At most SD_RATELIMIT_TOGETHER limits can apply to a request: more than that are not asked. */
void sd_limits_gather(const struct sd_limits *l, const struct sd_limits_request *r, struct sd_limits_asks *out);
/* Takes of all limits of a request, or of none. counts NULL: nothing is counted. */
void sd_limits_decide(const struct sd_limits *l, struct sd_ratelimit *table, const struct sd_limits_request *r, int64_t now_ns,
		      struct sd_limits_counts *counts, struct sd_limits_verdict *v);
/* Counts what was decided elsewhere, and finds the longest delay. */
void sd_limits_judge(struct sd_limits_verdict *v, struct sd_limits_counts *counts);
/* The one that leaves least, or refuses longest; v->n above 0. */
size_t sd_limits_tightest(const struct sd_limits_verdict *v);
/* Lines with CRLF into out, terminated; their length. now_ns: of the clock on the wall. */
size_t sd_limits_fields(const struct sd_limits *l, const struct sd_limits_verdict *v, int64_t now_ns, char out[SD_LIMITS_LINES]);

/* Whole seconds, rounded up. */
static inline int64_t sd_limits_seconds(int64_t ns)
{
	return ns <= 0 ? 0 : (ns - 1) / 1000000000 + 1;
}

#endif
