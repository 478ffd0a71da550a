#include "permute.h"

#include "core/base62.h"

#define ROUNDS 6

/* Bits of half a number: 4^w holds n. */
static unsigned half_bits(uint64_t n)
{
	unsigned w = 1;
	while (w < 32 && (n - 1) >> (2 * w))
		w++;
	return w;
}

/* The MAC of six bytes: round, width, half. */
static uint64_t mix(const struct sd_siphash_key *key, unsigned w, unsigned round, uint64_t half)
{
	return sd_siphash_short(key, round | w << 8 | half << 16, 6) & ((UINT64_C(1) << w) - 1);
}

static uint64_t once(const struct sd_siphash_key *key, unsigned w, uint64_t x)
{
	uint64_t left = x >> w, right = x & ((UINT64_C(1) << w) - 1);
	for (unsigned i = 0; i < ROUNDS; i++) {
		uint64_t next = left ^ mix(key, w, i, right);
		left = right;
		right = next;
	}
	return left << w | right;
}

static uint64_t back_once(const struct sd_siphash_key *key, unsigned w, uint64_t y)
{
	uint64_t left = y >> w, right = y & ((UINT64_C(1) << w) - 1);
	for (unsigned i = ROUNDS; i-- > 0;) {
		uint64_t before = right ^ mix(key, w, i, left);
		right = left;
		left = before;
	}
	return left << w | right;
}

uint64_t sd_permute(const struct sd_siphash_key *key, uint64_t n, uint64_t x)
{
	unsigned w = half_bits(n);
	do
		x = once(key, w, x);
	while (x >= n);
	return x;
}

uint64_t sd_unpermute(const struct sd_siphash_key *key, uint64_t n, uint64_t y)
{
	unsigned w = half_bits(n);
	do
		y = back_once(key, w, y);
	while (y >= n);
	return y;
}

static uint64_t codes_of(unsigned length)
{
	uint64_t n = 1;
	while (length-- > 0)
		n *= 62;
	return n;
}

static unsigned length_for(unsigned min_length, uint64_t number)
{
	unsigned length = min_length;
	while (length <= SD_CODE_LONGEST && number >= codes_of(length))
		length++;
	return length;
}

size_t sd_code_put(const struct sd_siphash_key *key, unsigned min_length, uint64_t number, char out[SD_CODE_LONGEST])
{
	char digits[SD_BASE62_MAX];
	unsigned length = length_for(min_length, number);
	if (length > SD_CODE_LONGEST)
		return 0;
	sd_base62_put(sd_permute(key, codes_of(length), number), length, digits);
	memcpy(out, digits, length);
	return length;
}

bool sd_code_get(const struct sd_siphash_key *key, unsigned min_length, struct sd_slice code, uint64_t *number)
{
	uint64_t place;
	if (code.n < min_length || code.n > SD_CODE_LONGEST || !sd_base62_get(code, &place))
		return false;
	*number = sd_unpermute(key, codes_of((unsigned)code.n), place);
	return length_for(min_length, *number) == code.n;
}
