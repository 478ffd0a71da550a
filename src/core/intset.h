/* intset.h - a sorted set of integers in one piece of memory, as Redis keeps and stores small sets of numbers.
 *
 *	| encoding: 2, 4 or 8 | length | value | value | ...          all little-endian, header of two 32-bit words
 *
 * Values take as many bytes as the widest needed when it was added; taking that one out does not narrow the others. Finding
 * is O(log n), adding and removing O(n). The bytes are those of Redis 7 (its RDB type 11), bit for bit. Allocates nothing: the
 * caller asks how much room is needed, and gives it.
 */
#ifndef SD_CORE_INTSET_H
#define SD_CORE_INTSET_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SD_INTSET_EMPTY 8u /* bytes of one that has nothing in it */

/* Makes an empty one in SD_INTSET_EMPTY bytes. */
void sd_intset_init(uint8_t *s);
/* Bytes that are one: a length that fits the values, and these strictly ascending. All other functions take it for granted. */
bool sd_intset_valid(const uint8_t *p, size_t n);
uint32_t sd_intset_count(const uint8_t *s);
size_t sd_intset_bytes(const uint8_t *s);
/* i below the count; values ascend. */
int64_t sd_intset_at(const uint8_t *s, uint32_t i);
/* at, when not NULL: where it is, or would go. */
bool sd_intset_find(const uint8_t *s, int64_t v, uint32_t *at);
/* Bytes once v has been added. */
size_t sd_intset_bytes_with(const uint8_t *s, int64_t v);
/* v is not in it, s has room for sd_intset_bytes_with, and the count is below UINT32_MAX. */
void sd_intset_add(uint8_t *s, int64_t v);
/* Takes out the i-th. */
void sd_intset_remove_at(uint8_t *s, uint32_t i);

#endif
