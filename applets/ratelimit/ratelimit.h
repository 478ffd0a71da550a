/* ratelimit.h - what the files of the rate limiter share.
 *
 *	ratelimit.c           its face and its life as a service
 *	ratelimit_options.c   everything that can be set
 *	ratelimit_policy.c    from a configuration to rules that never change
 *	ratelimit_decide.c    which rules a request comes under, whose it is, and what they say
 *	ratelimit_fields.c    what is told of that in the fields of an answer
 *	ratelimit_http.c      the way of a request: refused, answered here, or passed on to the upstream
 *	ratelimit_api.c       decisions for others, over HTTP (ratelimit_peers.c: as envoy's and gubernator's clients ask)
 *	ratelimit_resp.c      decisions for others, over RESP: CL.THROTTLE
 *	ratelimit_store*.c    limits that several servers share (ratelimit_store.h)
 *	ratelimit_metrics.c   counters
 *
 * The table of keys (sdlab/ratelimit.h) is one for all workers. Rules are a snapshot that a reload replaces whole.
 */
#ifndef RATELIMIT_H
#define RATELIMIT_H

#include "app/run.h"
#include "core/head_edit.h"
#include "core/text.h"
#include "net/http_client.h"
#include "sdlab/ratelimit.h"

#define RL_RULES   SD_RATELIMIT_TOGETHER
#define RL_PARTS   4   /* of a key */
#define RL_NAME    64  /* bytes of a rule's name, with its NUL */
#define RL_TALLIES 128 /* rules of different names in the life of a process */
#define RL_LINES   4096
#define RL_BODY    (256 * 1024) /* of a question over HTTP */

/* ---- rules ---- */

enum rl_part_kind { RL_ADDRESS, RL_API_KEY, RL_PATH, RL_METHOD, RL_HOST, RL_ALL, RL_HEADER };

struct rl_part {
	enum rl_part_kind kind;
	char *name; /* of a header */
};

/* "key" or "key=value", of a descriptor that others ask about; value NULL: any. */
struct rl_entry {
	char *key, *value;
};

struct rl_rule {
	char name[RL_NAME];
	struct sd_ratelimit_limit limit;
	struct sd_ratelimit_limit share; /* of this server, while the store of all is down */
	uint64_t scope; /* from its name, so that a reload finds its keys again */
	uint32_t cost;
	bool shadow; /* counts and tells, but does not refuse */
	char *path, *host, *method; /* NULL: any */
	struct rl_part parts[RL_PARTS];
	size_t nparts;
	struct rl_entry entries[RL_PARTS];
	size_t nentries; /* above 0: it is for descriptors, not for requests */
	char *domain;
	unsigned tally;
};

/* Bits of a policy's headers. */
enum { RL_X = 1, RL_DRAFT6 = 2, RL_DRAFT7 = 4, RL_DRAFT8 = 8 };

struct rl_policy {
	int refs;
	unsigned headers;
	size_t n;
	struct rl_rule rules[RL_RULES];
	struct sd_cidr *trusted;
	size_t ntrusted;
};

/* NULL: *e says why. Holds one reference. Rules have no tally yet. */
struct rl_policy *rl_policy_make(const struct sd_conf *conf, struct sd_error *e);
struct rl_policy *rl_policy_hold(struct rl_policy *p);
void rl_policy_release(struct rl_policy *p);
const struct rl_rule *rl_policy_find(const struct rl_policy *p, struct sd_slice name);
/* Keys of this scope are those of a rule with this name. */
uint64_t rl_scope_of(struct sd_slice name);
/* "http://HOST:PORT" or an address. */
enum sd_err rl_upstream_parse(const char *text, struct sd_addr *out, struct sd_error *e);
/* "Token bucket: 10 tokens/sec, burst 20" */
void rl_rule_describe(const struct rl_rule *rule, char *out, size_t n);
enum sd_err rl_check(const struct sd_conf *conf, struct sd_error *e);
extern const struct sd_option rl_options[];

/* ---- the service ---- */

enum rl_count { RL_ALLOWED, RL_REFUSED, RL_SHADOWED, RL_COUNTS };

struct rl;
struct rl_store;

/* What happens while there is no store. */
enum rl_store_down { RL_DOWN_OPEN, RL_DOWN_CLOSED, RL_DOWN_LOCAL };

struct rl_worker {
	struct rl *rl;
	struct sd_worker *w;
	struct rl_policy *policy;
	struct sd_http_server server, api;
	struct sd_http_pool pool; /* of the upstream */
	struct sd_http_head head; /* of its answers */
	struct sd_listener *resp;
	struct sd_link conns;    /* struct rl_conn.link */
	struct sd_link requests; /* struct rl_request.link */
	uint64_t counts[RL_TALLIES][RL_COUNTS];
	uint64_t asked;          /* by others */
	struct rl_store *store;  /* NULL: limits are kept here */
	uint64_t stored[2];      /* decisions of the store, and without it */
	bool store_up;
	char path[16 * 1024];
};

struct rl {
	struct sd_run *run;
	struct sd_log *log;
	struct sd_ratelimit *table;
	int64_t wall_ns; /* to be added to the loop's time: windows that are aligned follow the clock on the wall */
	struct rl_policy *policy;
	char tallies[RL_TALLIES][RL_NAME];
	unsigned ntallies;
	bool has_upstream;
	struct sd_addr upstream, api_addr, resp_addr;
	bool has_api, has_resp;
	bool has_store, store_told;
	enum rl_store_down store_down;
	unsigned stores_down;     /* links of workers */
	char store_text[SD_ADDR_TEXT]; /* without its password */
	struct sd_head_edit drop; /* fields of the upstream that are told here */
	unsigned nworkers;
	struct rl_worker **workers;
	struct sd_timer sweep;
	size_t sweep_at, sweeping, live; /* keys seen in this round, and in the last one */
};

static inline int64_t rl_now(const struct rl_worker *w)
{
	return sd_loop_now_ns(w->w->loop) + w->rl->wall_ns;
}

/* Whole seconds, rounded up. */
static inline int64_t rl_seconds(int64_t ns)
{
	return ns <= 0 ? 0 : (ns - 1) / 1000000000 + 1;
}

/* ---- decisions ---- */

struct rl_verdict {
	bool allowed;
	bool unknown; /* the store is down, and so nothing is let through */
	int64_t delay_ns;
	size_t n; /* rules that were asked and count */
	const struct rl_rule *rules[RL_RULES];
	struct sd_ratelimit_answer answers[RL_RULES];
};

/* False: the path is not well formed, and *why says how. */
bool rl_decide(struct rl_worker *w, const struct sd_http_head *head, const struct sd_peer *peer, struct rl_verdict *v,
	       const char **why);
/* From where the store is asked. The policy and the verdict are there until it returns. */
typedef void rl_decided(void *arg, const struct rl_policy *p, const struct rl_verdict *v);
struct rl_asked;
/* The same with a store. fn is called once, perhaps before this returns, or never when it says false. */
bool rl_decide_later(struct rl_worker *w, const struct sd_http_head *head, const struct sd_peer *peer, rl_decided *fn, void *arg,
		     struct rl_asked **asked, const char **why);
/* Counts what was decided, and finds the longest delay. */
void rl_judge(struct rl_worker *w, struct rl_verdict *v);
void rl_counted(struct rl_worker *w, const struct rl_rule *rule, bool allowed);
/* Lines with CRLF into out, terminated; their length. */
size_t rl_fields(const struct rl_policy *p, const struct rl_verdict *v, int64_t now_ns, char out[RL_LINES]);

/* ---- ways in ---- */

extern const struct sd_http_handler rl_http_handler, rl_api_handler;
void rl_http_stop(struct rl_worker *w);

struct rl_api_call;
/* What a question's body becomes; the answer is written to x. */
struct cJSON;
typedef void (*rl_api_fn)(struct rl_worker *w, struct sd_http_exchange *x, const struct cJSON *body);
void rl_api_fail(struct sd_http_exchange *x, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
void rl_api_json(struct sd_http_exchange *x, int status, struct cJSON *tree);
/* A number that may be written as a number or as text, as int64 is in JSON of protocol buffers. False: it is neither. */
bool rl_json_int(const struct cJSON *object, const char *name, int64_t def, int64_t *out);
void rl_api_envoy(struct rl_worker *w, struct sd_http_exchange *x, const struct cJSON *body);
void rl_api_gubernator(struct rl_worker *w, struct sd_http_exchange *x, const struct cJSON *body);

enum sd_err rl_resp_listen(struct rl_worker *w, struct sd_error *e);
void rl_resp_stop(struct rl_worker *w);

enum sd_err rl_store_check(const struct sd_conf *conf, struct sd_error *e);
enum sd_err rl_store_open(struct rl_worker *w, const struct sd_conf *conf, struct sd_error *e);
void rl_store_close(struct rl_worker *w); /* who still waits is told as if it were down */
/* fn NULL: only counts. *handle, which may be NULL, is set before fn is called; after that it is gone. */
void rl_store_ask(struct rl_worker *w, const struct rl_rule *const *rules, const struct sd_ratelimit_ask *asks, size_t n,
		  rl_decided *fn, void *arg, struct rl_asked **handle);
/* Nobody waits for it any more; NULL is fine. */
void rl_store_forget(struct rl_asked *a);

void rl_metrics(void *self, struct sd_metrics *m);
/* The row of counters for this name; RL_TALLIES: there were too many. */
unsigned rl_tally(struct rl *rl, const char *name);

#endif
