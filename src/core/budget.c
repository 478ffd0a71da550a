#include "budget.h"

#include <string.h>

static void clear(struct sd_budget *b, int64_t slot)
{
	size_t i = (size_t)(slot % SD_BUDGET_SLOTS);
	b->nrequests -= b->requests[i];
	b->nretries -= b->retries[i];
	b->requests[i] = b->retries[i] = 0;
}

/* Makes room for the present second. Returns its place. */
static size_t advance(struct sd_budget *b, int64_t now_ns)
{
	int64_t slot = now_ns / SD_BUDGET_SLOT_NS;
	if (slot - b->slot >= SD_BUDGET_SLOTS) {
		memset(b, 0, sizeof(*b));
		b->slot = slot;
	}
	while (b->slot < slot)
		clear(b, ++b->slot);
	return (size_t)(b->slot % SD_BUDGET_SLOTS);
}

void sd_budget_asked(struct sd_budget *b, int64_t now_ns)
{
	b->requests[advance(b, now_ns)]++;
	b->nrequests++;
}

bool sd_budget_take(struct sd_budget *b, const struct sd_budget_rules *rules, int64_t now_ns)
{
	size_t at = advance(b, now_ns);
	double by_share = rules->share * (double)b->nrequests;
	double least = rules->min_per_second * SD_BUDGET_SLOTS * ((double)SD_BUDGET_SLOT_NS / 1e9);
	if ((double)b->nretries + 1 > (by_share > least ? by_share : least))
		return false;
	b->retries[at]++;
	b->nretries++;
	return true;
}
