/* lb_limits.h - how many requests are taken: the limits of the configuration (app/limits.h), and what is said of them.
 *
 *	rows --> limits, in each snapshot --> a worker asks them --no--> 429
 *	                                           |
 *	         one table of keys for all workers, from the first configuration with limits to the end
 *
 * In TCP mode a connection is asked for by its address, before a byte of it is read.
 */
#ifndef LB_LIMITS_H
#define LB_LIMITS_H

#include "app/limits.h"
#include "core/timers.h"

#define LB_MAX_LIMITS   256
#define LB_LIMIT_TEXT   (SD_LIMIT_NAME + 8)
#define LB_LIMIT_FIELDS (SD_LIMITS_LINES + 512) /* with Proxy-Status and Cache-Control */

struct cJSON;
struct lb;
struct lb_request;
struct lb_route;
struct lb_snapshot;
struct lb_told;
struct lb_worker;

/* What the control loop keeps. */
struct lb_limiting {
	struct sd_limits *now, *was; /* of the configuration in force; the one before, until a change is settled */
	bool changing;
	struct sd_ratelimit *table; /* NULL: there were never limits */
	struct sd_limits_tallies tallies;
	int64_t wall_ns; /* to be added to the loop's time: windows that are aligned follow the clock on the wall */
	struct sd_timer sweep;
	size_t sweep_at, sweeping, live; /* keys seen in this round, and in the last one */
};

/* What limits would say, for an explanation; it points into the snapshot's. */
struct lb_limits_seen {
	size_t n;
	const struct sd_limit *rules[SD_RATELIMIT_TOGETHER];
	struct sd_ratelimit_answer answers[SD_RATELIMIT_TOGETHER];
};

enum sd_err lb_limits_check(const struct sd_conf *conf, struct sd_error *e);
/* Puts those of conf into lb->limiting.now, for snapshots to take; then keep it, or go back. Going back from what failed is fine. */
enum sd_err lb_limits_change(struct lb *lb, const struct sd_conf *conf, struct sd_error *e);
void lb_limits_settle(struct lb *lb, bool keep);
void lb_limits_end(struct lb *lb);
void lb_limits_metrics(const struct lb *lb, struct sd_metrics *m, const char *label);

/* ---- on a worker, where the snapshot has limits ---- */
/* NULL, with what was decided; else the path is none, and that is why. */
const char *lb_limits_ask(const struct lb_request *r, const struct sd_http_head *head, const struct lb_told *told,
			  struct sd_limits_verdict *v);
/* Of a request that is refused: fields of its answer with CRLF, terminated, and why in a few words. */
void lb_limits_refusal(const struct lb_request *r, const struct sd_limits_verdict *v, char fields[LB_LIMIT_FIELDS],
		       char why[LB_LIMIT_TEXT]);
/* In TCP mode; also without limits. */
bool lb_limits_accept(struct lb_worker *w, const struct sd_peer *who);
/* Takes nothing; also without limits. route: NULL or the one that counts; path as it chose. */
void lb_limits_peek(struct lb_worker *w, const struct lb_route *route, const struct sd_http_head *head, struct sd_slice path,
		    const struct sd_peer *who, struct lb_limits_seen *out);
/* As "limits" of an explanation; nothing when there are none. */
void lb_limits_tell(struct cJSON *o, const struct lb_limits_seen *seen);

#endif
