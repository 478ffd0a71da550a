/* cache_facts.h - what a node says of itself in gossip beside where it is: flags 1 (1: it is about to leave), write quorum 1. Bytes that
 * are not there are 0, and without a quorum there are none. */
#ifndef CACHE_FACTS_H
#define CACHE_FACTS_H

#include "core/swim.h"

#define CACHE_FACTS_LEAVING 1

static inline bool cache_facts_leaving(const struct sd_swim_facts *f)
{
	return f->npayload > 0 && f->payload[0] & CACHE_FACTS_LEAVING;
}

/* 0: none. Nodes that have another one are no members of the same cluster. */
static inline unsigned cache_facts_quorum(const struct sd_swim_facts *f)
{
	return f->npayload > 1 ? f->payload[1] : 0;
}

/* With a quorum only. */
static inline void cache_facts_put(struct sd_swim_facts *f, bool leaving, unsigned quorum)
{
	f->npayload = 2;
	f->payload[0] = leaving ? CACHE_FACTS_LEAVING : 0;
	f->payload[1] = (uint8_t)quorum;
}

#endif
