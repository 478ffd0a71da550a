/* cache_copies_compare.c - do two nodes have the same of the slots that both own? One with the lower id begins.
 *
 *	SUMMARY: a number for each 256 slots -------------->
 *	<------------ DIGESTS of the slots where they differ
 *	ASK for those that differ ------------------------->   and offers its own
 *	<------------------------------ offers what it was asked
 *
 * Both must be of the same view, since the slots that both own come from it.
 */
#include <stdlib.h>

#include "cache_copies_int.h"
#include "core/mix.h"

static bool is_shared(const struct cache_copies *cc, unsigned slot, int member)
{
	return copies_rank(cc, slot) >= 0 && cache_view_rank(cc->view, slot, (size_t)member) >= 0;
}

static void summarize(const struct cache_copies *cc, const struct copies_peer *p, uint64_t out[COPIES_GROUPS])
{
	int member = copies_member(cc->view, &p->id);
	for (unsigned s = 0; s < SD_SLOTS; s++) {
		unsigned g = s / (SD_SLOTS / COPIES_GROUPS);
		if (s % (SD_SLOTS / COPIES_GROUPS) == 0)
			out[g] = 0;
		if (member >= 0 && cc->slots[s].count && is_shared(cc, s, member))
			out[g] ^= sd_mix_in(cc->slots[s].digest + cc->slots[s].count, s);
	}
}

void copies_compare(struct cache_copies *cc, struct copies_peer *p)
{
	struct sd_text t = {0};
	uint64_t sums[COPIES_GROUPS];
	if (cc->conf.never_compare)
		return;
	copies_flush(cc, true);
	summarize(cc, p, sums);
	copies_put(&t, cc->view->digest, 8);
	for (int g = 0; g < COPIES_GROUPS; g++)
		copies_put(&t, sums[g], 8);
	p->comparing = cc->turn - 1;
	cc->stats.compared++;
	copies_send(cc, p, COPIES_SUMMARY, &t);
	free(t.p);
}

static void put_digests(const struct cache_copies *cc, struct sd_text *t, int member, unsigned group)
{
	unsigned each = SD_SLOTS / COPIES_GROUPS;
	for (unsigned s = group * each; s < (group + 1) * each; s++) {
		if (!is_shared(cc, s, member))
			continue;
		copies_put(t, s, 2);
		copies_put(t, cc->slots[s].count, 4);
		copies_put(t, cc->slots[s].digest, 8);
	}
}

static void is_sure(struct cache_copies *cc, struct copies_peer *p)
{
	if (p->comparing > p->sure)
		p->sure = p->comparing;
	copies_wake(cc, copies_release(cc));
}

void copies_on_summary(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body)
{
	struct sd_text t = {0};
	uint64_t sums[COPIES_GROUPS], digest, theirs;
	int member = copies_member(cc->view, &p->id);
	copies_get(&body, 8, &digest);
	if (digest != cc->view->digest || member < 0 || cc->conf.never_compare)
		return;
	copies_flush(cc, true);
	summarize(cc, p, sums);
	copies_put(&t, digest, 8);
	for (unsigned g = 0; g < COPIES_GROUPS; g++) {
		copies_get(&body, 8, &theirs);
		if (theirs != sums[g])
			put_digests(cc, &t, member, g);
	}
	p->comparing = cc->turn - 1;
	copies_send(cc, p, COPIES_DIGESTS, &t);
	if (t.n == 8)
		is_sure(cc, p);
	free(t.p);
}

void copies_on_digests(struct cache_copies *cc, struct copies_peer *p, struct sd_slice body)
{
	struct copies_set *set = calloc(1, sizeof(*set));
	struct sd_text t = {0};
	uint64_t digest, slot, count, theirs;
	copies_get(&body, 8, &digest);
	p->compare_ns = copies_now(cc) + cc->conf.compare_ms * 1000000;
	while (set && copies_get(&body, 2, &slot) && copies_get(&body, 4, &count) && copies_get(&body, 8, &theirs)) {
		const struct copies_slot *s = &cc->slots[slot];
		if (s->count == count && s->digest == theirs)
			continue;
		cc->stats.differed++;
		copies_add(set, (unsigned)slot);
		copies_offer(cc, p, (unsigned)slot);
	}
	if (set && set->n) {
		p->settles = true;
		copies_put(&t, 1, 1);
		copies_put_set(&t, set);
		copies_send(cc, p, COPIES_ASK, &t);
	} else if (set && digest == cc->view->digest) {
		is_sure(cc, p);
	}
	free(t.p);
	free(set);
}
