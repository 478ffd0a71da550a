/* ziplist.h - the ziplist, how Redis before version 7 kept small collections; read only, from its files.
 *
 *	4 bytes  length of all          each entry: length of the one before (1 byte; or 254 and 4 bytes),
 *	4 bytes  where the last begins               what it is:
 *	2 bytes  entries (65535: count) 00llllll  string of l bytes           11000000  2 bytes, a number
 *	entries                         01llllll  and a byte: 14 bits of it   11010000  4
 *	255                             10000000  and 4 bytes of it           11100000  8
 *	                                1111nnnn  the number n - 1, 1 to 13   11110000  3    11111110  1
 *
 * Lengths of strings have their highest byte first, all else its lowest.
 */
#ifndef SD_CORE_ZIPLIST_H
#define SD_CORE_ZIPLIST_H

#include <stdbool.h>
#include <stdint.h>

#include "sdlab/slice.h"

struct sd_ziplist_reader {
	struct sd_slice all;
	size_t at, before; /* where the next entry is; bytes of the one before it */
	size_t n;          /* entries read */
	char number[24];
};

/* Looks at head and end. False: this is no ziplist. */
bool sd_ziplist_begin(struct sd_ziplist_reader *r, struct sd_slice all);
/* 1: *out is the next entry, valid until the next call, numbers as text; 0: there are no more, and all is in order;
 * -1: damaged. */
int sd_ziplist_next(struct sd_ziplist_reader *r, struct sd_slice *out);

#endif
