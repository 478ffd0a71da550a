/* same_secret.h - is this the secret? In a time that tells nothing about where the first wrong byte is. */
#ifndef SD_CORE_SAME_SECRET_H
#define SD_CORE_SAME_SECRET_H

#include "sdlab/slice.h"

/* given is somebody's claim, and what decides about the time it takes. */
static inline bool sd_same_secret(struct sd_slice given, const char *secret)
{
	size_t n = strlen(secret);
	unsigned diff = given.n != n;
	for (size_t i = 0; i < given.n; i++)
		diff |= (unsigned char)given.p[i] ^ (unsigned char)(n ? secret[i % n] : 1);
	return diff == 0;
}

#endif
