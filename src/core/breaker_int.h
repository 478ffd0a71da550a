/* breaker_int.h - what the files of the breaker share.
 *
 *	breaker.c         the states and what moves between them
 *	breaker_window.c  counting
 *	breaker_conf.c    what makes no sense
 *	breaker_reason.c  saying why
 *
 * The word holds all that decides:
 *
 *	 63 ........ 24 | 23 .. 14 | 13 .. 4 |  3   | 2 . 0
 *	 generation     | probed   | lent    | busy | state
 *
 * Invariants:
 *
 *   1. It changes by compare-and-swap alone, and every change of state or of who holds permits adds one to the generation. So
 *      lent <= permits in each generation, and the done of an older one finds another generation and leaves.
 *   2. OPEN|BUSY is entered by one thread, which alone then writes what an opening is (opened_ns to how), and leaves it by
 *      OPEN. Others refuse meanwhile; nobody waits but sd_breaker_force.
 *   3. lease_ns is raised before a permit is lent, and never falls: a thread that lost the swap has only made leases longer.
 *      When the permits are all out and it is over, all are lost at once, for it began with the one lent last.
 *   4. What is counted carries its generation. Whoever puts an entry takes the one it replaces out of the sums, if that is of
 *      the same generation as these; so at rest the sums are those of the entries, whatever ran at the same time.
 */
#ifndef SD_CORE_BREAKER_INT_H
#define SD_CORE_BREAKER_INT_H

#include <stdatomic.h>

#include "rng.h"
#include "sdlab/breaker.h"

#define WORD_STATE  7ull
#define WORD_BUSY   8ull
#define WORD_LENT   (1ull << 4)
#define WORD_PROBED (1ull << 14)
#define WORD_GEN    24
#define WORD_TEN    1023ull

static inline enum sd_breaker_state word_state(uint64_t w)
{
	return (enum sd_breaker_state)(w & WORD_STATE);
}

static inline uint64_t word_gen(uint64_t w)
{
	return w >> WORD_GEN;
}

static inline uint32_t word_lent(uint64_t w)
{
	return (uint32_t)(w / WORD_LENT & WORD_TEN);
}

static inline uint32_t word_probed(uint64_t w)
{
	return (uint32_t)(w / WORD_PROBED & WORD_TEN);
}

/* The first word of the next generation. */
static inline uint64_t word_next(uint64_t w, enum sd_breaker_state state)
{
	return (word_gen(w) + 1) << WORD_GEN | (uint64_t)state;
}

#define BUCKETS 10

/* A bucket of time: each word is 12 bits of the generation, 28 of the number of the window, 24 of a count. */
struct bucket {
	_Atomic uint64_t calls, failures, slow;
};

enum rule { RULE_CONSECUTIVE, RULE_FAILURES, RULE_RATE, RULE_SLOW, RULE_RETRY, RULE_PROBE, RULE_TOLD };

struct counts {
	uint32_t calls, failures, slow, in_a_row;
};

struct sd_breaker {
	/* read by every call */
	_Atomic uint64_t word;
	_Atomic uint64_t in_a_row; /* failures: 32 bits of the generation, 32 of a count; while all is well nobody writes it */
	struct sd_breaker_conf conf;
	int64_t bucket_ns;
	_Atomic uint32_t *slots; /* of a window that counts: what came of each call */
	struct bucket *buckets;	 /* of one of time */

	/* written by every call, where there is a window or a bulkhead */
	_Alignas(64) _Atomic uint32_t next; /* slot */
	_Atomic uint32_t out;
	_Atomic uint64_t sums;	   /* of the slots: 16 bits each of the generation, calls, slow, failures */
	_Atomic uint64_t epoch;	   /* number of the bucket of the last call */

	/* written by failures and changes */
	_Alignas(64) _Atomic int64_t lease_ns;
	_Atomic int64_t retry_ns, closed_ns;
	_Atomic uint64_t failures, refused, late, opened, lost;
	_Atomic int64_t last_at[SD_BREAKER_LAST];
	_Atomic uint64_t last_what[SD_BREAKER_LAST]; /* 40 bits of the generation, 8 of the kind, 16 of the code */

	/* written while BUSY */
	struct sd_rng rng;
	_Atomic int64_t opened_ns, until_ns;
	_Atomic uint32_t openings;
	_Atomic uint32_t why_calls, why_failures, why_slow, why_in_a_row;
	_Atomic uint8_t why_rule;
	_Atomic bool asked; /* until_ns is what the other side asked for */
	_Atomic uint64_t why_gen;
};

#define READ(field)	  atomic_load_explicit(&(field), memory_order_relaxed)
#define WRITE(field, x)	  atomic_store_explicit(&(field), (x), memory_order_relaxed)
#define COUNT(field)	  atomic_fetch_add_explicit(&(field), 1, memory_order_relaxed)
#define SWAP(field, was, is) \
	atomic_compare_exchange_weak_explicit(&(field), (was), (is), memory_order_acq_rel, memory_order_acquire)

/* ---- breaker_conf.c ---- */
enum sd_err sd_breaker_conf_check(const struct sd_breaker_conf *c, struct sd_error *e);

/* ---- breaker_window.c ---- */
/* Counts a call of this generation; true when the sums are others than before, and *sum what they are. */
bool sd_breaker_count(struct sd_breaker *b, uint64_t gen, bool failed, bool slow, int64_t now_ns, struct counts *sum);
/* Nothing of before is left that could be taken for what is counted when the tags have gone round. Of this generation comes none. */
void sd_breaker_count_anew(struct sd_breaker *b, uint64_t gen);
void sd_breaker_counts(const struct sd_breaker *b, uint64_t gen, int64_t now_ns, struct counts *sum);

/* ---- breaker_reason.c ---- */
void sd_breaker_note(struct sd_breaker *b, uint64_t gen, const struct sd_breaker_outcome *how, int64_t now_ns);

#endif
