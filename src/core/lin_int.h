/* lin_int.h - the pieces of the checker: configurations it has been in, the search for one key, making short.
 */
#ifndef SD_CORE_LIN_INT_H
#define SD_CORE_LIN_INT_H

#include "sdlab/history.h"

/* ---- configurations (lin_memo.c) ---- */

/* A set of arrays of words, which stay where they are numbered. */
struct sd_lin_memo {
	int64_t *words; /* all of them, one after the other */
	size_t nwords, words_room;
	struct sd_lin_config {
		uint64_t hash;
		size_t at;  /* in words */
		uint32_t n; /* words */
	} * configs;
	uint32_t nconfigs, configs_room;
	uint32_t *slots; /* open addressing: number + 1; a power of two */
	uint32_t nslots;
	size_t bytes, most; /* of memory: now, allowed */
};

enum sd_lin_put { SD_LIN_NEW, SD_LIN_SEEN, SD_LIN_FULL };

/* Adds the words unless they are there; *number says which it is. SD_LIN_FULL: beyond `most`, or out of
 * memory. */
enum sd_lin_put sd_lin_memo_put(struct sd_lin_memo *m, const int64_t *words, size_t n, uint32_t *number);
const int64_t *sd_lin_memo_words(const struct sd_lin_memo *m, uint32_t number);
void sd_lin_memo_free(struct sd_lin_memo *m);

/* ---- search (lin_search.c) ---- */

struct sd_lin_found {
	enum sd_verdict verdict;
	const char *why; /* unknown: which budget */
	uint64_t steps;  /* taken */
	size_t bytes;    /* used */
	/* Violated: no order gets past the answer of this operation, and in which states the tries got to it.
	 */
	size_t stuck;
	char states[SD_LIN_STATES_MOST][64];
	size_t nstates;
	bool more_states;
};

/* Whether these operations, all on one key, have an order. In any order; none that failed. */
void sd_lin_search(const struct sd_lin_model *model, const struct sd_operation *ops, size_t n, uint64_t steps,
		   size_t bytes, struct sd_lin_found *found);

/* An operation that can make no difference: it failed, or nobody knows the answer of what changes nothing. */
static inline bool sd_lin_idle(const struct sd_lin_model *model, const struct sd_operation *op)
{
	return op->outcome == SD_OUTCOME_FAILED ||
	       (op->outcome == SD_OUTCOME_UNKNOWN && model->traits(op) & SD_LIN_PURE);
}

/* ---- in which order values went through a queue (lin_queue_rank.c) ---- */

void sd_lin_queue_rank(const struct sd_operation *ops, size_t n, int64_t *rank);

/* ---- making short (lin_shrink.c) ---- */

struct sd_lin_shrink {
	const struct sd_lin_model *model;
	struct sd_operation *ops; /* the history, which is violated; becomes shorter */
	size_t n;
	uint64_t steps; /* left */
	size_t bytes;
	bool unsure;               /* a try ended without a verdict */
	struct sd_lin_found found; /* of ops */
};

/* False: out of memory; ops are violated all the same. */
bool sd_lin_shrink(struct sd_lin_shrink *s);

#endif
