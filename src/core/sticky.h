/* sticky.h - the value of a cookie that names a backend without telling which.
 *
 *	ID "." TAG      each 16 hexadecimal digits in lower case
 *	ID  = SipHash(key, 'i' name)   says nothing of the name to whom the key is not known
 *	TAG = SipHash(key, 't' ID)     nobody without the key can make one
 *
 * The same key and name give the same value, today and in another process. Pure.
 */
#ifndef SD_CORE_STICKY_H
#define SD_CORE_STICKY_H

#include <stdbool.h>

#include "sdlab/slice.h"
#include "siphash.h"

#define SD_STICKY_TEXT       33
#define SD_STICKY_MIN_SECRET 16

/* A key from a secret of any length from SD_STICKY_MIN_SECRET on. It is as hard to guess as the secret is. */
struct sd_siphash_key sd_sticky_key(const void *secret, size_t n);
uint64_t sd_sticky_id(const struct sd_siphash_key *key, const char *name);
void sd_sticky_write(const struct sd_siphash_key *key, uint64_t id, char out[SD_STICKY_TEXT + 1]);
/* False: not one of ours. Takes the same time wherever the tag is wrong. */
bool sd_sticky_read(const struct sd_siphash_key *key, struct sd_slice text, uint64_t *id);

/* The value of the first NAME=VALUE with this name in a list with this separator: ';' for the value of a Cookie field (RFC
 * 6265 section 4.2.1; quotes around the value are taken off), '&' for a query. Names are compared byte by byte. */
bool sd_pairs_find(struct sd_slice list, char separator, const char *name, struct sd_slice *value);

#endif
