/* balance.h - which backend takes the next request.
 *
 * A balancer knows targets by number, with weights and whether they may be used, and picks one. It opens no socket and
 * reads no clock: chance comes from a seed, load from a function the caller gives, time with each question. One balancer
 * belongs to one thread.
 *
 *   round-robin          smooth and weighted: each turn every target gains its weight, the richest is picked and pays
 *                        the sum. Weights 5,1,1 give a a b a c a a, not a a a a a b c
 *   least-connections    the smallest (load + 1) / weight; ties go round
 *   random-two-choices   two different targets at random (by weight), the less loaded of them: nearly as even as
 *                        least-connections, without everybody choosing the same one at once
 *                        (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001)
 *   least-latency        of two different targets at random, the one with the smaller cost (load + 1) * latency / weight.
 *                        The latency of a target is an average that follows a slower answer at once and forgets it with
 *                        time (peak EWMA, decay SD_BALANCE_DECAY_NS). Of one that is not known, or of which nothing was
 *                        heard for long, one request at a time finds out
 *   hash                 the owner of the request's key on a ring (ring.h), or the next on it while the owner has more
 *                        than `bound` times its fair part of the requests
 *
 * Who may be picked, in this order:
 *
 *   tier         the primaries, as long as one of them is usable; else the backups
 *   panic        when fewer of the tier are usable than the threshold: all that are in reach, or none
 *   slow start   one that came back gets a part of its share that rises from a tenth to the whole
 *
 * Cost of a pick: O(targets) for the first two, O(1) typical for two choices and least-latency, O(log points) for hash and
 * O(targets) when its owner is busy. Nothing is allocated.
 */
#ifndef SDLAB_BALANCE_H
#define SDLAB_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"
#include "ring.h"

#ifdef __cplusplus
extern "C" {
#endif

#define SD_BALANCE_MAX        1024 /* targets */
#define SD_BALANCE_MAX_WEIGHT 256
#define SD_BALANCE_DECAY_NS   10000000000ll /* 10 s */
#define SD_BALANCE_FAILURE_NS 1000000000ll  /* what a failure counts as, at least */
#define SD_BALANCE_LONG_AGO   INT64_MIN

enum sd_balance_algorithm {
	SD_BALANCE_ROUND_ROBIN,
	SD_BALANCE_LEAST_CONNECTIONS,
	SD_BALANCE_RANDOM_TWO,
	SD_BALANCE_LEAST_LATENCY,
	SD_BALANCE_HASH,
};

/* One target. id is the caller's name for it and carries state over a sd_balancer_set. */
struct sd_balance_target {
	uint64_t id;
	uint32_t weight; /* 0 to SD_BALANCE_MAX_WEIGHT; 0: never picked */
	bool usable;     /* in reach and healthy */
	bool in_reach;   /* in panic it may be used although it is not usable; true goes without saying when usable */
	bool backup;
	int64_t since_ns; /* slow start counts from here; SD_BALANCE_LONG_AGO: it has its whole share */
};

enum sd_balance_panic { SD_BALANCE_PANIC_ALL, SD_BALANCE_PANIC_NONE };

struct sd_balance_conf {
	enum sd_balance_algorithm algorithm;
	double panic_threshold; /* 0 to 1; 0: no panic */
	enum sd_balance_panic panic;
	int64_t slow_start_ns; /* 0: none */
	/* SD_BALANCE_HASH: a ring whose nodes are the targets, index by index; the balancer holds it. bound: above 1, or 0
	 * for none */
	struct sd_ring *ring;
	double bound;
};

/* Which of them are in the running. */
struct sd_balance_tier {
	bool backup, panic;
	size_t usable, of; /* of the tier, weight 0 and those that are not in reach left out */
};
struct sd_balance_tier sd_balance_tier(const struct sd_balance_conf *conf, const struct sd_balance_target *targets,
				       size_t n);

/* How many requests the target at this index has now. */
typedef uint32_t (*sd_balance_load)(void *arg, size_t index);

/* One request. */
struct sd_balance_ask {
	const uint64_t *skip; /* one bit a target, SD_BALANCE_MAX bits: passed over (already tried); may be NULL */
	sd_balance_load load; /* may be NULL for round-robin, and for hash without a bound */
	void *arg;
	int64_t now_ns;
	uint64_t key; /* SD_BALANCE_HASH: from sd_ring_hash */
	bool has_key; /* without one its place is a random one */
	bool stay;    /* when all that are left of the primaries are passed over: none, instead of a backup */
};

struct sd_balancer;

/* seed: from the caller's source of chance; the same seed and calls give the same picks. NULL: out of memory. */
struct sd_balancer *sd_balancer_new(uint64_t seed);
void sd_balancer_free(struct sd_balancer *b);

/* Replaces everything; targets with an id that was there keep their place in the rotation and their latency. SD_ERANGE for
 * more than SD_BALANCE_MAX targets or too large a weight, SD_EINVAL for SD_BALANCE_HASH without a ring of n nodes,
 * SD_ENOMEM; the old ones stay then. */
enum sd_err sd_balancer_set(struct sd_balancer *b, const struct sd_balance_conf *conf,
			    const struct sd_balance_target *targets, size_t n);

/* The index of the target that takes the request; -1 when none may be used. */
int sd_balancer_pick(struct sd_balancer *b, const struct sd_balance_ask *ask);

/* The target at this index answered after took_ns; or (ok false) it failed, and how fast it did so is no merit. */
void sd_balancer_sample(struct sd_balancer *b, size_t index, int64_t took_ns, bool ok, int64_t now_ns);
/* What its latency counts as now, in ns; 0: not known. */
double sd_balancer_latency(const struct sd_balancer *b, size_t index, int64_t now_ns);

/* ---- why ---- */

enum sd_balance_reason {
	SD_BALANCE_MAY,         /* it may be picked: the smaller its score the sooner */
	SD_BALANCE_WARMING,     /* it may, with a part of its share: slow start */
	SD_BALANCE_SKIPPED,     /* already tried */
	SD_BALANCE_NO_WEIGHT,
	SD_BALANCE_NOT_USABLE,
	SD_BALANCE_IN_RESERVE,  /* a backup, while primaries are usable */
	SD_BALANCE_OUT_OF_TIER, /* a primary in reach, while the backups serve */
	SD_BALANCE_NO_PANIC,    /* usable, but too few of them are, and then none is used */
	SD_BALANCE_OVER_BOUND,  /* hash: it has its part */
};

/* A sentence for each. */
const char *sd_balance_reason_text(enum sd_balance_reason reason);

struct sd_balance_candidate {
	enum sd_balance_reason reason;
	/* round-robin: how many turns of its own it is short of the richest; least-connections, two choices: (load + 1) /
	 * weight; least-latency: the cost in ms, 0 for one not known; hash: its rank on the ring from the key, 0 the
	 * owner */
	double score;
	double share;      /* of its weight, 1 unless it warms up */
	double latency_ms; /* 0: not known */
	uint32_t load;
	bool next; /* it would be picked now; with two choices, which look at two at random, it is only the best */
};

/* What each target is to a request, without picking: fills out[0 .. n), as many as there are targets, and returns their
 * number (0 when out has room for fewer). */
size_t sd_balancer_explain(const struct sd_balancer *b, const struct sd_balance_ask *ask,
			   struct sd_balance_candidate *out, size_t room);

#ifdef __cplusplus
}
#endif

#endif
