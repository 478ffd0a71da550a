/* alloc.h - memory that runs out when a test says so.
 *
 * sim_alloc is linked with objects in which malloc and its kin are these (test/sim/alloc.syms names them); the simulated
 * world's own and those of libraries are not. Heaps of timers are left out too: a loop that
 * cannot keep a deadline stops the program, on purpose. */
#ifndef SIM_ALLOC_H
#define SIM_ALLOC_H

#include <stdint.h>

/* The n-th allocation from now on fails (0: none does). */
void alloc_fail_at(uint64_t n);
/* Since alloc_fail_at: how many were asked for, and whether one failed. */
uint64_t alloc_count(void);
int alloc_failed(void);
/* Until the next call nothing fails, nor is counted: for what looks at the state. */
void alloc_rest(int yes);
/* Where the one that failed was asked for: an address for addr2line. */
void *alloc_place(void);

/* alloc_mq.c: the broker's engine, with each of its allocations failing in turn. How many there were. */
uint64_t alloc_mq(void);
/* alloc_cache.c: likewise the cache's. */
uint64_t alloc_cache(void);

#endif
