/* balance_int.h - what the files of the balancer share. */
#ifndef SD_CORE_BALANCE_INT_H
#define SD_CORE_BALANCE_INT_H

#include "rng.h"
#include "sdlab/balance.h"

/* Shares and weights are counted in these parts, so that one that warms up can have a fraction of weight 1. */
#define SD_BALANCE_WHOLE 1024u

struct sd_balance_state {
	struct sd_balance_target t;
	bool in; /* in the running: tier, panic and weight say so */
	int64_t current; /* smooth round-robin: what it has saved up, in parts */
	double ewma;     /* ns, as it was at `heard` */
	int64_t heard_ns;
	bool known;
};

struct sd_balancer {
	struct sd_balance_conf conf;
	struct sd_balance_tier tier;
	struct sd_rng rng;
	size_t n, turn; /* turn: where ties begin to be looked at */
	int64_t warm_ns; /* from here on nobody warms up */
	struct sd_balance_state *targets;
	/* two choices: running sums of the weights of those in the running, for a search; and of the backups, which take
	 * over when all primaries were tried */
	uint32_t *sums;
	uint32_t total;
};

/* The part of its weight, of SD_BALANCE_WHOLE. */
uint32_t sd_balance_part(const struct sd_balancer *b, size_t i, int64_t now_ns);
/* Does it count for this request? spill: the backups do, though primaries are usable. */
bool sd_balance_may(const struct sd_balancer *b, const uint64_t *skip, size_t i, bool spill);
/* (load + 1) / weight as a fraction a / b, the load of one that warms up grown by as much as its share is small. */
struct sd_balance_fill {
	uint64_t a;
	uint32_t b;
};
struct sd_balance_fill sd_balance_fill(const struct sd_balancer *b, const struct sd_balance_ask *ask, size_t i);
double sd_balance_cost(const struct sd_balancer *b, const struct sd_balance_ask *ask, size_t i);
/* Hash: what is with all candidates, and their weights. */
struct sd_balance_sums {
	uint64_t load, weight;
};
struct sd_balance_sums sd_balance_sums(const struct sd_balancer *b, const struct sd_balance_ask *ask, bool spill);
bool sd_balance_has_room(const struct sd_balancer *b, const struct sd_balance_ask *ask, size_t i,
			 const struct sd_balance_sums *sums);
/* Hash: does one that warms up take this key already? */
bool sd_balance_takes_key(const struct sd_balancer *b, uint64_t key, size_t i, int64_t now_ns);

#endif
