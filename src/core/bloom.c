#include "bloom.h"

#include <stdlib.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#define PROBES       7
#define BITS_PER_KEY 10

bool sd_bloom_init(struct sd_bloom *b, size_t keys)
{
	size_t room = keys < 64 ? 64 : keys;
	if (room > SIZE_MAX / BITS_PER_KEY - 64)
		return false;
	size_t nwords = (room * BITS_PER_KEY + 63) / 64;
	*b = (struct sd_bloom){.words = calloc(nwords, sizeof(*b->words)), .nbits = nwords * 64, .room = room};
	return b->words != NULL;
}

void sd_bloom_free(struct sd_bloom *b)
{
	free(b->words);
	*b = (struct sd_bloom){0};
}

/* Where the i-th probe looks: the high half of the product spreads over any number of bits. */
static uint64_t place(const struct sd_bloom *b, XXH128_hash_t h, unsigned i)
{
	uint64_t spread = h.low64 + i * (h.high64 | 1);
	return (uint64_t)(((unsigned __int128)spread * b->nbits) >> 64);
}

void sd_bloom_add(struct sd_bloom *b, struct sd_slice key)
{
	XXH128_hash_t h = XXH3_128bits(key.p, key.n);
	for (unsigned i = 0; i < PROBES; i++) {
		uint64_t bit = place(b, h, i);
		b->words[bit / 64] |= UINT64_C(1) << bit % 64;
	}
	b->keys++;
}

bool sd_bloom_has(const struct sd_bloom *b, struct sd_slice key)
{
	XXH128_hash_t h = XXH3_128bits(key.p, key.n);
	for (unsigned i = 0; i < PROBES; i++) {
		uint64_t bit = place(b, h, i);
		if (!(b->words[bit / 64] >> bit % 64 & 1))
			return false;
	}
	return true;
}
