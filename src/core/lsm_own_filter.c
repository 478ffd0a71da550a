/* lsm_own_filter.c - the high half of a key's hash says which line, nine bits at a time of the low half, multiplied on, which bits in it. */
#include "lsm_own.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#define LINE 64u

uint64_t sd_lsm_own_hash(struct sd_slice user)
{
	return XXH3_64bits(user.p, user.n);
}

static size_t line_of(uint64_t hash, size_t bytes)
{
	return (size_t)((hash >> 32) * (bytes / LINE) >> 32) * LINE;
}

bool sd_lsm_own_filter_may(struct sd_slice filter, uint64_t hash)
{
	if (filter.n < LINE)
		return true;
	const uint8_t *line = (const uint8_t *)filter.p + line_of(hash, filter.n);
	uint32_t h = (uint32_t)hash;
	for (int i = 0; i < SD_LSM_OWN_FILTER_PROBES; i++, h *= 0x9e3779b9u)
		if (!(line[h >> 26] >> (h >> 23 & 7) & 1))
			return false;
	return true;
}

void sd_lsm_own_filter_put(const uint64_t *hashes, size_t n, struct sd_text *out)
{
	size_t bytes = (n * SD_LSM_OWN_FILTER_BITS + 8 * LINE - 1) / (8 * LINE) * LINE, at = out->n;
	sd_text_fill(out, 0, bytes);
	for (size_t k = 0; k < n && !out->full; k++) {
		char *line = out->p + at + line_of(hashes[k], bytes);
		uint32_t h = (uint32_t)hashes[k];
		for (int i = 0; i < SD_LSM_OWN_FILTER_PROBES; i++, h *= 0x9e3779b9u)
			line[h >> 26] |= (char)(1 << (h >> 23 & 7));
	}
}
