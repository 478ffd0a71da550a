/* seeds.h - which seeds a simulation plays, and the suite that plays them:
 *
 *	SEEDS=n      how many; a default without it
 *	SEED_FROM=k  the one before the first: 0
 *	SEED=k       only this one
 *	ONLY=name    only simulations whose name has this in it
 */
#ifndef SIM_SEEDS_H
#define SIM_SEEDS_H

#include <check.h>
#include <stdbool.h>
#include <stdint.h>

/* A number of the environment. */
uint64_t sim_number(const char *name, uint64_t otherwise);
/* From the first to the last, both played. */
void sim_seeds(uint64_t usually, uint64_t *from, uint64_t *to);
/* Was this simulation asked for? */
bool sim_is_wanted(const char *name);
/* A case of its own, for CK_RUN_CASE; it may take so many seconds when seeds were asked for, else two minutes. */
void sim_add(Suite *s, const char *name, const TTest *test, double most_s);
/* Runs it and frees it; what main returns. */
int sim_run(Suite *s);

#endif
