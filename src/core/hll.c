/* hll.c - as bytes: one that tells the form, then
 *
 *	1  a list: three bytes an entry, lowest first: register << 6 | value, in the order of registers, no value 0
 *	2  all registers: 6 bits each, lowest first
 */
#include "hll.h"

#include <math.h>
#include <string.h>

#include "bytes.h"

#define VALUE_BITS 6
#define VALUE_MASK ((1u << VALUE_BITS) - 1)
#define LARGEST	   (64 - SD_HLL_BITS + 1)

enum { LIST = 1, ALL = 2 };

void sd_hll_add(struct sd_hll *h, uint64_t hash)
{
	size_t at = hash >> (64 - SD_HLL_BITS);
	uint64_t rest = hash << SD_HLL_BITS | 1ull << (SD_HLL_BITS - 1); /* never 0, so that no value is above LARGEST */
	uint8_t value = (uint8_t)(__builtin_clzll(rest) + 1);
	if (value > h->at[at])
		h->at[at] = value;
}

void sd_hll_merge(struct sd_hll *into, const struct sd_hll *from)
{
	for (size_t i = 0; i < SD_HLL_REGISTERS; i++)
		if (from->at[i] > into->at[i])
			into->at[i] = from->at[i];
}

/* ---- the estimate ---- */

/* x + x^2 + 2 x^4 + 4 x^8 + ... : for the registers that are still zero. */
static double sigma(double x)
{
	double y = 1, z = x, before;
	if (x == 1)
		return INFINITY;
	do {
		x *= x;
		before = z;
		z += x * y;
		y += y;
	} while (z != before);
	return z;
}

/* (1 - x - sum of (1 - x^(2^-k))^2 2^-k) / 3: for those that can grow no more. */
static double tau(double x)
{
	double y = 1, z = 1 - x, before;
	if (x == 0 || x == 1)
		return 0;
	do {
		x = sqrt(x);
		before = z;
		y *= 0.5;
		z -= (1 - x) * (1 - x) * y;
	} while (z != before);
	return z / 3;
}

double sd_hll_count(const struct sd_hll *h)
{
	unsigned of[LARGEST + 1] = {0};
	double m = SD_HLL_REGISTERS;
	for (size_t i = 0; i < SD_HLL_REGISTERS; i++)
		of[h->at[i]]++;
	double z = m * tau(1 - of[LARGEST] / m);
	for (int k = LARGEST - 1; k >= 1; k--)
		z = 0.5 * (z + of[k]);
	z += m * sigma(of[0] / m);
	return m * m / (2 * log(2)) / z;
}

/* ---- bytes ---- */

static size_t put_list(const struct sd_hll *h, uint8_t *out)
{
	size_t n = 1;
	out[0] = LIST;
	for (size_t i = 0; i < SD_HLL_REGISTERS; i++) {
		if (!h->at[i])
			continue;
		sd_put_le(out + n, i << VALUE_BITS | h->at[i], 3);
		n += 3;
	}
	return n;
}

/* Four registers are three bytes. */
static size_t put_all(const struct sd_hll *h, uint8_t *out)
{
	out[0] = ALL;
	for (size_t i = 0; i < SD_HLL_REGISTERS; i += 4) {
		const uint8_t *a = h->at + i;
		uint32_t four = a[0] | (uint32_t)a[1] << 6 | (uint32_t)a[2] << 12 | (uint32_t)a[3] << 18;
		sd_put_le(out + 1 + i / 4 * 3, four, 3);
	}
	return SD_HLL_DENSE;
}

size_t sd_hll_put(const struct sd_hll *h, uint8_t out[SD_HLL_DENSE])
{
	size_t set = 0;
	for (size_t i = 0; i < SD_HLL_REGISTERS; i++)
		set += h->at[i] != 0;
	return set < SD_HLL_SPARSE ? put_list(h, out) : put_all(h, out);
}

static bool get_list(struct sd_hll *h, const uint8_t *p, size_t n)
{
	uint32_t next = 0; /* no register below it may come */
	if (n % 3 != 0 || n / 3 >= SD_HLL_SPARSE)
		return false;
	for (size_t i = 0; i < n; i += 3) {
		uint32_t entry = (uint32_t)sd_get_le(p + i, 3), at = entry >> VALUE_BITS, value = entry & VALUE_MASK;
		if (at < next || at >= SD_HLL_REGISTERS || value == 0 || value > LARGEST)
			return false;
		h->at[at] = (uint8_t)value;
		next = at + 1;
	}
	return true;
}

static bool get_all(struct sd_hll *h, const uint8_t *p, size_t n)
{
	if (n != SD_HLL_DENSE - 1)
		return false;
	for (size_t i = 0; i < SD_HLL_REGISTERS; i++) {
		uint32_t four = (uint32_t)sd_get_le(p + i / 4 * 3, 3);
		h->at[i] = (uint8_t)(four >> (i % 4 * VALUE_BITS) & VALUE_MASK);
		if (h->at[i] > LARGEST)
			return false;
	}
	return true;
}

bool sd_hll_get(struct sd_hll *into, const uint8_t *p, size_t n)
{
	struct sd_hll read = {{0}};
	bool ok = n > 0 && ((p[0] == LIST && get_list(&read, p + 1, n - 1)) || (p[0] == ALL && get_all(&read, p + 1, n - 1)));
	if (ok)
		sd_hll_merge(into, &read);
	return ok;
}
