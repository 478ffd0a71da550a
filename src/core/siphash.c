#include "siphash.h"

#include <endian.h>
#include <string.h>

static inline uint64_t rotate(uint64_t x, int bits)
{
	return x << bits | x >> (64 - bits);
}

struct state {
	uint64_t a, b, c, d;
};

static inline struct state one_round(struct state v)
{
	v.a += v.b;
	v.c += v.d;
	v.b = rotate(v.b, 13) ^ v.a;
	v.d = rotate(v.d, 16) ^ v.c;
	v.a = rotate(v.a, 32);
	v.c += v.b;
	v.a += v.d;
	v.b = rotate(v.b, 17) ^ v.c;
	v.d = rotate(v.d, 21) ^ v.a;
	v.c = rotate(v.c, 32);
	return v;
}

/* Up to eight bytes, little-endian. */
static inline uint64_t get(const unsigned char *p, size_t n)
{
	uint64_t x = 0;
	for (size_t i = 0; i < n; i++)
		x |= (uint64_t)p[i] << (8 * i);
	return x;
}

/* The same of eight; as a loop it would be one, at the level of optimisation that is used. */
static inline uint64_t get8(const unsigned char *p)
{
	uint64_t x;
	memcpy(&x, p, sizeof(x));
	return le64toh(x);
}

/* What is left behind the last whole word, by looking back over bytes that were taken already. */
static inline uint64_t rest(const unsigned char *p, size_t left, size_t n)
{
	if (left == 0)
		return 0;
	return n >= 8 ? get8(p + left - 8) >> (8 * (8 - left)) : get(p, left);
}

static inline struct state begin(const struct sd_siphash_key *key)
{
	return (struct state){key->k0 ^ 0x736f6d6570736575u, key->k1 ^ 0x646f72616e646f6du, key->k0 ^ 0x6c7967656e657261u,
			      key->k1 ^ 0x7465646279746573u};
}

static inline struct state absorb(struct state v, uint64_t word)
{
	v.d ^= word;
	v = one_round(one_round(v));
	v.a ^= word;
	return v;
}

static inline uint64_t finish(struct state v, uint64_t last, size_t n)
{
	v = absorb(v, last | (uint64_t)n << 56);
	v.c ^= 0xff;
	v = one_round(one_round(one_round(one_round(v))));
	return v.a ^ v.b ^ v.c ^ v.d;
}

uint64_t sd_siphash(const struct sd_siphash_key *key, const void *data, size_t n)
{
	const unsigned char *p = data;
	struct state v = begin(key);
	size_t left = n;
	for (; left >= 8; left -= 8, p += 8)
		v = absorb(v, get8(p));
	return finish(v, rest(p, left, n), n);
}

uint64_t sd_siphash_short(const struct sd_siphash_key *key, uint64_t bytes, size_t n)
{
	return finish(begin(key), bytes, n);
}
