#include "core/hlc.h"

#include "core/mix.h"

#define NODES ((uint64_t)1 << SD_HLC_NODE_BITS)

void sd_hlc_init(struct sd_hlc *c, const void *id, unsigned n)
{
	const unsigned char *p = id;
	uint64_t h = n;
	for (unsigned i = 0; i < n; i++)
		h = sd_mix_in(h, p[i]);
	*c = (struct sd_hlc){.node = h % NODES};
}

uint64_t sd_hlc_next(struct sd_hlc *c, int64_t wall_ms)
{
	uint64_t wall = wall_ms > 0 ? (uint64_t)wall_ms << SD_HLC_WALL_BITS : 0;
	c->last = wall > c->last ? wall : c->last + NODES;
	return c->last | c->node;
}

void sd_hlc_seen(struct sd_hlc *c, uint64_t stamp)
{
	stamp &= ~(NODES - 1);
	if (stamp > c->last)
		c->last = stamp;
}
