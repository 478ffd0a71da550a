/* lb_log.h - the access log: one line a request, written by a thread that nobody waits for.
 *
 *	each worker: lines --> chunk --full, or a moment old, by message--> one helper thread --> the file, or standard output
 *
 * A worker has at most LB_LOG_CHUNKS chunks on their way; when the disk falls behind further than that, lines are dropped
 * and counted. What belongs to the helper thread (file, offset) changes only there: a reload sends it the file it opened.
 */
#ifndef LB_LOG_H
#define LB_LOG_H

#include "app/conf.h"
#include "app/metrics.h"
#include "core/access_line.h"
#include "core/list.h"
#include "core/traceparent.h"
#include "net/http_server.h"

#define LB_LOG_CHUNK  65536
#define LB_LOG_CHUNKS 16

struct lb;
struct lb_log;
struct lb_log_chunk;

/* A worker's side. */
struct lb_log_side {
	struct lb_log *log; /* of the snapshot in force or an earlier one; NULL: there was never one */
	struct sd_loop *loop;
	struct lb_log_chunk *now; /* being filled */
	struct sd_link sent;      /* chunks on their way */
	unsigned nsent;
	struct sd_timer timer; /* a line waits no longer than this */
	uint64_t lines, dropped;
};

/* What a line will say, from the request's head on; the texts are copies. */
struct lb_log_entry {
	struct sd_access_line line;
	enum sd_access_format format;
	int64_t begun_ns;
	size_t size; /* of all, with the bytes */
	char trace[33], client[46], backend[128];
	char bytes[];
};

/* ---- control loop ---- */
/* Opens the file of the configuration: at start, and anew at each reload, so that a log can be moved away. Nothing changes
 * unless all is well: then lb_log_commit takes what was opened into use. */
enum sd_err lb_log_open(struct lb *lb, const struct sd_conf *conf, struct sd_error *e);
void lb_log_commit(struct lb *lb);
void lb_log_cancel(struct lb *lb);
/* Writes what is left; no worker runs any more, and their sides end with it. */
void lb_log_free(struct lb *lb);
void lb_log_metrics(const struct lb *lb, struct sd_metrics *m, const char *label);

/* ---- a worker's thread ---- */
void lb_log_side_init(struct lb_log_side *s, struct sd_loop *loop);
/* Sends what waits. */
void lb_log_side_flush(struct lb_log_side *s);
/* NULL: out of memory, and the request has no line. client: who it is taken to be. */
struct lb_log_entry *lb_log_begin(struct lb_log_side *s, const struct sd_http_head *head, struct sd_slice client,
				  const struct sd_traceparent *trace, enum sd_access_format format);
/* Writes the line and frees the entry. */
void lb_log_end(struct lb_log_side *s, struct lb_log_entry *entry);
void lb_log_line(struct lb_log_side *s, enum sd_access_format format, const struct sd_access_line *line);

#endif
