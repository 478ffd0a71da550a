/* lsm_delay.c - smooth all the way. */
#include "lsm_delay.h"

#include <stddef.h>

#define SECOND 1000000000.0
#define SPARE_NS 100000000 /* what was not used lasts so long */

void sd_lsm_delay_defaults(struct sd_lsm_delay_conf *c, uint64_t memtable_bytes)
{
	const uint64_t least = UINT64_C(1) << 20;
	uint64_t unit = memtable_bytes > least ? memtable_bytes : least;
	*c = (struct sd_lsm_delay_conf){
	    .l0 = {8, 24},
	    .owed = {64 * unit, 256 * unit},
	    .mem = {memtable_bytes + memtable_bytes / 2, 2 * memtable_bytes},
	    .rate = UINT64_C(32) << 20,
	};
}

static double way(const struct sd_lsm_limit *l, uint64_t x)
{
	if (x <= l->slow)
		return 0;
	return x >= l->stop ? 1 : (double)(x - l->slow) / (double)(l->stop - l->slow);
}

double sd_lsm_pressure(const struct sd_lsm_delay_conf *c, const struct sd_lsm_debt *d)
{
	double ways[] = {way(&c->l0, d->l0), way(&c->owed, d->owed), way(&c->mem, d->mem)}, worst = 0;
	for (size_t i = 0; i < sizeof(ways) / sizeof(ways[0]); i++)
		worst = ways[i] > worst ? ways[i] : worst;
	return worst;
}

uint64_t sd_lsm_delay_ns(const struct sd_lsm_delay_conf *c, const struct sd_lsm_debt *d, uint64_t bytes)
{
	double p = sd_lsm_pressure(c, d);
	if (p <= 0)
		return 0;
	if (p >= 1)
		return SD_LSM_DELAY_STOP;
	double ns = (double)bytes * SECOND / (double)(c->rate ? c->rate : 1) * p / (1 - p);
	return (uint64_t)(ns < SECOND ? ns : SECOND);
}

uint64_t sd_lsm_rate_take(struct sd_lsm_rate *r, int64_t now_ns, uint64_t bytes)
{
	if (r->bytes_per_s == 0) {
		r->free_ns = 0;
		return 0;
	}
	if (r->free_ns < now_ns - SPARE_NS)
		r->free_ns = now_ns - SPARE_NS;
	r->free_ns += (int64_t)((double)bytes * SECOND / (double)r->bytes_per_s);
	return r->free_ns > now_ns ? (uint64_t)(r->free_ns - now_ns) : 0;
}
