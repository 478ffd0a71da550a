/* permute.h - numbers in an order that only who has the key knows, and codes made of them. Pure.
 *
 * A Feistel network whose round function is SipHash-2-4 permutes 0 to 4^w - 1, the smallest such range that holds n numbers; what
 * falls outside of n goes through again until it is inside (cycle walking: Black and Rogaway, 2002). So every number below n
 * has a place of its own below n, and none can be told from others without the key. Six rounds.
 */
#ifndef SD_CORE_PERMUTE_H
#define SD_CORE_PERMUTE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/siphash.h"
#include "sdlab/slice.h"

/* x below n. */
uint64_t sd_permute(const struct sd_siphash_key *key, uint64_t n, uint64_t x);
/* The x that it was made of; y below n. */
uint64_t sd_unpermute(const struct sd_siphash_key *key, uint64_t n, uint64_t y);

/* Codes: a number is permuted among all codes of a length, the shortest length (min_length at least) that has a place for it, so that they grow
 * when the short ones are used up. Two numbers never have the same code, not even when min_length was changed between them. */
#define SD_CODE_LONGEST 10
/* Writes no NUL and returns the length; 0: the number is beyond what the longest codes hold (62^10). min_length: 1 to SD_CODE_LONGEST. */
size_t sd_code_put(const struct sd_siphash_key *key, unsigned min_length, uint64_t number, char out[SD_CODE_LONGEST]);
/* The number that it was made of. False: of none, with this min_length. */
bool sd_code_get(const struct sd_siphash_key *key, unsigned min_length, struct sd_slice code, uint64_t *number);

#endif
