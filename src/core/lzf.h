/* lzf.h - what LZF packed, unpacked. Redis packs strings of its files with it.
 *
 * A piece begins with a byte c. Below 32: c + 1 bytes follow as they are. Else a copy of what came out before:
 *
 *	length   (c >> 5) + 2, and when c >> 5 is 7 so much more as the next byte says
 *	back     ((c & 31) << 8 | next byte) + 1 bytes from here; the copy may run into itself
 */
#ifndef SD_CORE_LZF_H
#define SD_CORE_LZF_H

#include <stdbool.h>
#include <stddef.h>

/* Nothing packs more tightly: three bytes can stand for 264. Whoever is told a length checks it against this before
 * there is memory for it. */
#define SD_LZF_BEST 88

/* Unpacks n bytes into exactly `want`. False: they are not that, and `out` holds no one knows what. */
bool sd_lzf_unpack(const void *from, size_t n, void *out, size_t want);

#endif
