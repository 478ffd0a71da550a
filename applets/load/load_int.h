/* load_int.h - the generator's inside: what load_run.c and load_conn.c share. */
#ifndef LOAD_INT_H
#define LOAD_INT_H

#include "core/count.h"
#include "core/resp_reply.h"
#include "load.h"
#include "net/stream.h"

/* One request on its way. */
struct load_slot {
	int64_t due_ns, sent_ns;
	uint32_t request;
	uint16_t status; /* once its head is here */
	bool settled;	 /* answered, while one in front of it is not */
};

struct load_conn {
	struct load_worker *w;
	struct sd_stream *stream; /* NULL: not connected (between two attempts, or without keep-alive) */
	struct sd_link link;      /* in worker->idle when it may take a request */
	struct sd_timer retry;
	struct load_slot *slots;  /* ring of plan->pipeline */
	uint32_t first, count;
	int64_t idle_since_ns, connect_ns, connected_ns, first_byte_ns;
	uint64_t body; /* bytes of it, so far */
	struct sd_http_chunked chunked;
	uint64_t left;
	uint32_t seen;
	uint8_t framing;
	bool in_body, got_first, keep, listed, fresh; /* fresh: no answer came on it yet */
	struct sd_resp_replies *replies; /* of a cache; else NULL */
	struct load_amqp *amqp;		 /* of a broker; else NULL */
	unsigned greetings;              /* replies to what was said first that did not come yet */
	bool refused;                    /* the reply in progress is an error */
	struct load_line *line; /* of the body in progress; NULL: no tally */
};

struct load_worker {
	const struct load_plan *plan;
	struct sd_loop *loop;
	struct sd_tls_target *tls; /* NULL: plain */
	struct sd_world *world;
	struct load_conn *conns;
	unsigned nconns;
	struct sd_link idle; /* connections that may take a request */
	struct sd_rng rng;
	struct sd_http_head head;
	/* the schedule */
	bool open;
	unsigned index;                 /* among the threads */
	double gap_ns, next_due;        /* open loop by rate */
	uint64_t quota, begun, ended;   /* requests of this thread; quota 0: no limit */
	int64_t start_ns, count_from_ns, end_ns;
	struct sd_timer due_timer, end_timer;
	bool ending, done;
	/* what came of it; read by others only after the thread ended, but for the two progress counters */
	struct load_result *result;
	uint64_t answers, errors; /* progress */
	int64_t cpu_ns, last_ns;  /* last_ns: the last answer or error that counts */
	int64_t over_ns;          /* when it was done */
	size_t room; /* of result->seconds */
	struct sd_task interrupt;
	struct sd_task done_task;
	struct load_job *job;
};

/* ---- load_conn.c ---- */
enum sd_err load_conns_make(struct load_worker *w);
void load_conns_free(struct load_worker *w);
/* Lets connections take what is due; called whenever one is free, a request is due, or the end came. */
void load_pump(struct load_worker *w);
/* For those who read answers. Everything in progress on the connection failed; it is made anew. */
void load_conn_failed(struct load_conn *c, enum load_error why);
/* It may take a request; false: it is gone. */
bool load_conn_free(struct load_conn *c);
/* Bytes that came. */
void load_conn_count(const struct load_conn *c, uint64_t n);

/* ---- load_run.c ---- */
/* The next request of this thread; false when none may begin now. */
bool load_next(struct load_worker *w, const struct load_conn *c, struct load_slot *slot);
void load_answered(struct load_worker *w, const struct load_slot *slot, int status, int64_t now_ns);
void load_failed(struct load_worker *w, const struct load_slot *slot, enum load_error why, int64_t now_ns);
/* Latency, counts and errors are those of requests that were due in the counted part ... */
bool load_counts(const struct load_worker *w, const struct load_slot *slot);
/* ... and throughput is what happens in it. */
bool load_in_window(const struct load_worker *w, int64_t now_ns);

#endif
