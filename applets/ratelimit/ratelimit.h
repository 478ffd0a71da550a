/* ratelimit.h - what the files of the rate limiter share.
 *
 *	ratelimit.c           its face and its life as a service
 *	ratelimit_options.c   everything that can be set
 *	ratelimit_policy.c    from a configuration to rules that never change (app/limits.h)
 *	ratelimit_decide.c    a request put to the rules: those kept here, or in a store
 *	ratelimit_http.c      the way of a request: refused, answered here, or passed on to the upstream
 *	ratelimit_api.c       decisions for others, over HTTP (ratelimit_foreign.c: as envoy's and gubernator's clients ask)
 *	ratelimit_resp.c      decisions for others, over RESP: CL.THROTTLE
 *	ratelimit_ask.c       who decides: the table here, a store, or the servers that own the keys (ratelimit_ask.h)
 *	ratelimit_store.c     limits that several servers share in a store (ratelimit_store.h)
 *	ratelimit_ring*.c     and among themselves (ratelimit_ring.h)
 *	ratelimit_rules.c     the rules of a request, asked there
 *	ratelimit_metrics.c   counters
 *
 * The table of keys (sdlab/ratelimit.h) is one for all workers. Rules are a snapshot that a reload replaces whole.
 */
#ifndef RATELIMIT_H
#define RATELIMIT_H

#include "app/limits.h"
#include "app/resp_front.h"
#include "app/run.h"
#include "core/head_edit.h"
#include "core/text.h"
#include "net/http_client.h"

#define RL_RULES SD_RATELIMIT_TOGETHER
#define RL_BODY  (256 * 1024) /* of a question over HTTP */

/* ---- rules ---- */

/* NULL: *e says why. Holds one reference. Rules have no tally yet. */
struct sd_limits *rl_policy_make(const struct sd_conf *conf, struct sd_error *e);
/* "http://HOST:PORT" or an address. */
enum sd_err rl_upstream_parse(const char *text, struct sd_addr *out, struct sd_error *e);
enum sd_err rl_check(const struct sd_conf *conf, struct sd_error *e);
extern const struct sd_option rl_options[];

/* ---- the service ---- */

struct rl;
struct rl_store;
struct rl_ring;
struct rl_members;

/* What happens while there is no store. */
enum rl_store_down { RL_DOWN_OPEN, RL_DOWN_CLOSED, RL_DOWN_LOCAL };

struct rl_worker {
	struct rl *rl;
	struct sd_worker *w;
	struct sd_limits *policy;
	struct sd_http_server server, api;
	struct sd_http_pool pool; /* of the upstream */
	struct sd_http_head head; /* of its answers */
	struct sd_listener *resp;
	struct sd_resp_front front; /* of resp */
	struct sd_link requests; /* struct rl_request.link */
	struct sd_limits_counts counts;
	uint64_t asked;          /* by others */
	struct rl_store *store;  /* both NULL: limits are kept here */
	struct rl_ring *ring;
	uint64_t stored[2];      /* decisions of the store or the owners, and without them */
	uint64_t asked_by_peers, strays; /* of these, for keys that are another's as this server has it */
	bool store_up;
	char path[16 * 1024];
};

struct rl {
	struct sd_run *run;
	struct sd_log *log;
	struct sd_ratelimit *table;
	int64_t wall_ns; /* to be added to the loop's time: windows that are aligned follow the clock on the wall */
	struct sd_limits *policy;
	struct sd_limits_tallies tallies;
	bool has_upstream;
	struct sd_addr upstream, api_addr, resp_addr;
	bool has_api, has_resp;
	bool has_store, store_told;
	enum rl_store_down store_down;
	unsigned stores_down;     /* links of workers */
	unsigned untried;         /* links that were neither up nor down yet */
	uint32_t servers;         /* that share a store */
	struct rl_members *members; /* that share limits among themselves */
	unsigned nmembers;
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

/* Is there somebody to be asked before a decision? */
static inline bool rl_is_shared(const struct rl_worker *w)
{
	return w->store || w->ring;
}

/* How many let a share pass where nobody can be asked. */
static inline uint32_t rl_servers(const struct rl *rl)
{
	return rl->nmembers ? rl->nmembers : __atomic_load_n(&rl->servers, __ATOMIC_RELAXED);
}

/* ---- decisions ---- */

/* False: the path is not well formed, and *why says how. */
bool rl_decide(struct rl_worker *w, const struct sd_http_head *head, const struct sd_peer *peer, struct sd_limits_verdict *v,
	       const char **why);
/* The policy and the verdict are there until it returns. */
typedef void rl_decided(void *arg, const struct sd_limits *p, const struct sd_limits_verdict *v);
struct rl_rules_asked;
/* The same where limits are shared. fn is called once, perhaps before this returns, or never when it says false. */
bool rl_decide_later(struct rl_worker *w, const struct sd_http_head *head, const struct sd_peer *peer, rl_decided *fn, void *arg,
		     struct rl_rules_asked **asked, const char **why);
/* Counts what was decided, and finds the longest delay. */
void rl_judge(struct rl_worker *w, struct sd_limits_verdict *v);
void rl_counted(struct rl_worker *w, const struct sd_limit *rule, bool allowed);
/* ---- ways in ---- */

extern const struct sd_http_handler rl_http_handler, rl_api_handler;
void rl_http_stop(struct rl_worker *w);

enum sd_err rl_resp_listen(struct rl_worker *w, struct sd_error *e);
void rl_resp_stop(struct rl_worker *w);

/* Rules of the policy in force, of a request; fn NULL: only counts. *handle is set before fn is called; after that it is gone. It
 * may be NULL. */
void rl_rules_ask(struct rl_worker *w, const struct sd_limit *const *rules, const struct sd_ratelimit_ask *asks, size_t n,
		  rl_decided *fn, void *arg, struct rl_rules_asked **handle);
/* Nobody waits for it any more; NULL is fine. */
void rl_rules_forget(struct rl_rules_asked *a);

void rl_metrics(void *self, struct sd_metrics *m);

#endif
