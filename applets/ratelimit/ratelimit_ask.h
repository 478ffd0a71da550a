/* ratelimit_ask.h - one question about limits, wherever they are kept.
 *
 *	ratelimit_ask.c      who is asked, what happens when nobody answers, and the end of every question
 *	ratelimit_store.c    a server of RESP that keeps them (ratelimit_store.h)
 *	ratelimit_ring*.c    servers like this one, each of which owns a part of the keys (ratelimit_ring.h)
 *
 *	question --> kept here? -----------------------------------------> the table --> answer
 *	               | no, in a store or among peers
 *	               +--> asked there --+-- answered ------------------> the table, for keys that are this server's --> answer
 *	                                  +-- not: open, closed, or the share of this server from its table
 */
#ifndef RATELIMIT_ASK_H
#define RATELIMIT_ASK_H

#include "app/limit_store.h"
#include "ratelimit.h"

/* Its scope, and what it is called: a name that is too long by its scope alone. */
void rl_item_name(struct sd_limit_item *item, const char *name, uint64_t scope, const char *tail);

struct rl_question {
	enum sd_limit_op op;
	bool strict; /* what the store cannot do is told; else it counts as if the store were down */
	size_t n;
	struct sd_limit_item items[RL_RULES];
};

enum rl_how {
	RL_DECIDED,
	RL_NOBODY, /* there is nobody who decides, and so nothing passes */
	RL_UNABLE, /* the store cannot do that, and why says what */
};

/* Items are bits of a mask. */
struct rl_outcome {
	enum rl_how how;
	bool allowed; /* all of them */
	size_t n;
	const struct sd_limit_item *items;
	const struct sd_ratelimit_answer *answers; /* after SETTLE and FORGET, how they are then */
	uint32_t open; /* those that passed because nobody was there to ask */
	const char *why;
};

/* Called once; what it points at is gone when it returns. */
typedef void rl_answered(void *arg, const struct rl_outcome *o);
struct rl_asked;

/* fn may be called before this returns. *handle is set before that, NULL when nothing waits. It may be NULL. */
void rl_ask(struct rl_worker *w, const struct rl_question *q, rl_answered *fn, void *arg, struct rl_asked **handle);
/* Nobody waits for it any more; what was asked happens all the same. NULL is fine. */
void rl_ask_forget(struct rl_asked *a);
/* By the table of this server, at once; all of `items`. */
bool rl_ask_here(struct rl_worker *w, enum sd_limit_op op, const struct sd_limit_item *items, size_t n, struct sd_ratelimit_answer *answers);
/* The part of a limit that one of so many servers lets pass by itself: buckets filled so much slower, windows with so much less,
 * or, where that is less than a request costs, of one request in so much longer. Together they let pass, in any period: of a bucket
 * at most count + the larger of burst and servers * cost, of windows what one has that has the larger of count and servers * cost. */
struct sd_ratelimit_limit rl_ask_share(const struct sd_ratelimit_limit *limit, uint32_t cost, uint32_t servers);

/* ---- for those who carry questions ---- */

struct rl_asked {
	struct rl_worker *w;
	struct sd_limit_call call; /* the store's */
	rl_answered *fn;         /* NULL: nobody waits for it any more */
	void *arg;
	enum sd_limit_op op;
	enum rl_how how;
	size_t n, left;          /* items; the ring's answers that did not come */
	uint32_t own, lost;      /* items that this server owns; that nobody answered for */
	bool strict;
	struct sd_error why;     /* RL_UNABLE */
	struct sd_limit_item *items;
	struct sd_ratelimit_answer *answers;
	size_t ngroups;          /* the ring's, at most as many as items */
	struct rl_group *groups;
	struct sd_slice *keys;   /* the store's, which end with those of items */
};

/* All that was to come has: decides what is left to decide here, tells and frees it. */
void rl_asked_end(struct rl_asked *a);

#endif
