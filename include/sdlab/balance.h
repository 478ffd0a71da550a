/* balance.h - which backend takes the next request.
 *
 * A balancer knows targets by number, with weights and whether they may be used, and picks one. It opens no socket and
 * reads no clock; chance comes from a seed, load from a function the caller gives. One balancer belongs to one thread.
 *
 *   round-robin          smooth and weighted: each turn every target gains its weight, the richest is picked and pays
 *                        the sum. Weights 5,1,1 give a a b a c a a, not a a a a a b c
 *   least-connections    the smallest (load + 1) / weight; ties go round
 *   random-two-choices   two different targets at random (by weight), the less loaded of them: nearly as even as
 *                        least-connections, without everybody choosing the same one at once
 *                        (Mitzenmacher, The Power of Two Choices in Randomized Load Balancing, 2001)
 *
 * Cost of a pick: O(targets) for the first two, O(1) typical for the third.
 */
#ifndef SDLAB_BALANCE_H
#define SDLAB_BALANCE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "err.h"

#define SD_BALANCE_MAX        1024 /* targets */
#define SD_BALANCE_MAX_WEIGHT 256

enum sd_balance_algorithm {
	SD_BALANCE_ROUND_ROBIN,
	SD_BALANCE_LEAST_CONNECTIONS,
	SD_BALANCE_RANDOM_TWO,
};

/* One target. id is the caller's name for it and carries state over a sd_balancer_set. */
struct sd_balance_target {
	uint64_t id;
	uint32_t weight; /* 0 to SD_BALANCE_MAX_WEIGHT; 0: never picked */
	bool usable;
};

/* How many requests the target at this index has now. */
typedef uint32_t (*sd_balance_load)(void *arg, size_t index);

struct sd_balancer;

/* seed: from the caller's source of chance; the same seed and calls give the same picks. NULL: out of memory. */
struct sd_balancer *sd_balancer_new(uint64_t seed);
void sd_balancer_free(struct sd_balancer *b);

/* Replaces algorithm and targets; targets with an id that was there keep their place in the rotation. SD_ERANGE for more
 * than SD_BALANCE_MAX targets or too large a weight, SD_ENOMEM; the old ones stay then. */
enum sd_err sd_balancer_set(struct sd_balancer *b, enum sd_balance_algorithm algorithm,
			    const struct sd_balance_target *targets, size_t n);

/* The index of the target that takes the next request; -1 when none may be used. skip (may be NULL) has one bit a
 * target, SD_BALANCE_MAX bits: targets whose bit is set are passed over (already tried). load may be NULL for
 * SD_BALANCE_ROUND_ROBIN. */
int sd_balancer_pick(struct sd_balancer *b, const uint64_t *skip, sd_balance_load load, void *arg);

#endif
