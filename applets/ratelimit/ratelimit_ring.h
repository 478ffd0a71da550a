/* ratelimit_ring.h - servers that share limits among themselves: each key has one owner, by consistent hashing over the names of
 * all, and is counted there alone.
 *
 *	ratelimit_ring_words.c   what a server asks the owner, and what that answers: pure
 *	ratelimit_ring.c         who owns what, the links to the others, and who waits for them
 *
 *	RATELIMIT.DECIDE NAME OP (KIND COUNT PERIOD BURST EXTRA SCOPE KEY COST USED AGE)...      1 to 16 limits
 *
 * NAME is whom the question is meant for, as the list of the one who asks has it: another server says so and does not decide.
 * OP: take, peek, settle or forget. KIND: b (buckets), q (queue), f, s, l (windows and log). PERIOD and AGE: nanoseconds. EXTRA: 1 when a
 * window is aligned; of a log the moments that it tells apart. The reply is six integers for each limit: 1 when it lets through,
 * what remains, and nanoseconds until it would pass (-1: never), until one more is there, until all are, until its turn.
 *
 * Who is asked decides and never asks another, whatever it thinks of whose the key is: there are no loops.
 */
#ifndef RATELIMIT_RING_H
#define RATELIMIT_RING_H

#include "core/resp_reply.h"
#include "ratelimit_ask.h"

#define RL_MEMBERS    64
#define RL_RING_WORDS 10 /* of each limit */
#define RL_RING_ARGS  (3 + RL_RULES * RL_RING_WORDS)
#define RL_RING_NAME  "RATELIMIT.DECIDE"

/* What a member was asked of a question. */
struct rl_group {
	struct rl_asked *asked;
	uint32_t which;
	unsigned member;
};

/* ---- words ---- */

struct rl_ring_words {
	size_t n;
	struct sd_slice argv[RL_RING_ARGS];
	char numbers[RL_RULES][RL_RING_WORDS][24];
};

/* Of `items` those of a mask; the slices point into w and at keys. */
void rl_ring_write(struct rl_ring_words *w, const char *member, enum sd_limit_op op, const struct sd_limit_item *items, size_t n, uint32_t which);
/* NULL, or what was expected; keys point into argv. */
const char *rl_ring_read(size_t argc, const struct sd_slice *argv, struct rl_question *q);
void rl_ring_reply(struct sd_resp_out *out, const struct sd_ratelimit_answer *answers, size_t n);
/* False: this is no answer to that. */
bool rl_ring_answers(const struct sd_resp_value *reply, const struct sd_limit_item *items, size_t n, uint32_t which,
		     struct sd_ratelimit_answer *answers);

/* ---- links ---- */

enum sd_err rl_ring_check(const struct sd_conf *conf, struct sd_error *e);
/* For all workers: who is a member, and who of them this is. */
enum sd_err rl_ring_find(struct rl *rl, const struct sd_conf *conf, struct sd_error *e);
void rl_ring_free(struct rl *rl);
enum sd_err rl_ring_open(struct rl_worker *w, const struct sd_conf *conf, struct sd_error *e);
void rl_ring_close(struct rl_worker *w); /* who still waits is told as if all were gone */
void rl_ring_send(struct rl_asked *a);
/* What was taken there, since another refused. */
void rl_ring_give_back(struct rl_asked *a);
/* A question of another member, into out. */
void rl_ring_asked(struct rl_worker *w, size_t argc, const struct sd_slice *argv, struct sd_resp_out *out);
/* GET /-/peers */
void rl_ring_tell(struct sd_admin_call *call);
void rl_ring_metrics(const struct rl *rl, struct sd_metrics *m, const char *label);

#endif
