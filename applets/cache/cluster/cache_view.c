/* cache_view.c - views made from members. Pure. */
#include "cache_view.h"

#include <stdlib.h>
#include <string.h>

#include "cache_facts.h"
#include "cache_view_make.h"
#include "core/mix.h"

static int by_id(const void *a, const void *b)
{
	const struct cache_view_member *x = a, *y = b;
	return sd_swim_id_compare(&x->id, &y->id);
}

int cache_view_find(const struct cache_view *v, const struct sd_swim_id *id)
{
	size_t low = 0, high = v->n;
	while (low < high) {
		size_t mid = (low + high) / 2;
		int c = sd_swim_id_compare(&v->members[mid].id, id);
		if (c == 0)
			return (int)mid;
		if (c < 0)
			low = mid + 1;
		else
			high = mid;
	}
	return -1;
}

static void take_members(struct cache_view *v, const struct sd_swim *swim)
{
	unsigned quorum = cache_facts_quorum(&sd_swim_self(swim)->facts);
	for (size_t i = 0; i < sd_swim_count(swim); i++) {
		const struct sd_swim_member *m = sd_swim_at(swim, i);
		if (m->state > SD_SWIM_SUSPECT || cache_facts_quorum(&m->facts) != quorum)
			continue;
		v->members[v->n++] = (struct cache_view_member){m->facts.id, m->facts.client, m->facts.bus, m->facts.weight,
								m->facts.epoch, false};
		v->epoch = m->facts.epoch > v->epoch ? m->facts.epoch : v->epoch;
	}
	qsort(v->members, v->n, sizeof(*v->members), by_id);
}

static uint64_t digest_of(const struct cache_view *v)
{
	uint64_t h = v->slots.copies;
	for (size_t i = 0; i < v->n; i++) {
		uint64_t part[3] = {0};
		memcpy(part, v->members[i].id.b, SD_SWIM_ID);
		h = sd_mix_in(sd_mix_in(sd_mix_in(sd_mix_in(h, part[0]), part[1]), part[2]), v->members[i].weight);
	}
	return h;
}

static enum sd_err make_slots(struct cache_view *v, unsigned copies)
{
	struct sd_slots_conf conf = {.copies = copies, .bound = CACHE_VIEW_BOUND};
	struct sd_slots_node *nodes = calloc(v->n + 1, sizeof(*nodes));
	char(*names)[2 * SD_SWIM_ID + 1] = calloc(v->n + 1, sizeof(*names));
	enum sd_err err = SD_ENOMEM;
	if (nodes && names) {
		for (size_t i = 0; i < v->n; i++) {
			sd_swim_id_text(&v->members[i].id, names[i]);
			nodes[i] = (struct sd_slots_node){{names[i], 2 * SD_SWIM_ID}, v->members[i].weight};
		}
		err = sd_slots_make(&conf, nodes, v->n, &v->slots);
	}
	free(nodes);
	free(names);
	return err;
}

struct cache_view *cache_view_make(const struct sd_swim *swim, unsigned copies, const struct cache_view *before)
{
	struct cache_view *v = calloc(1, sizeof(*v));
	if (!v)
		return NULL;
	v->members = calloc(sd_swim_count(swim), sizeof(*v->members));
	v->number = before ? before->number + 1 : 1;
	if (!v->members || (take_members(v, swim), make_slots(v, copies))) {
		cache_view_free(v);
		return NULL;
	}
	int self = cache_view_find(v, &sd_swim_self(swim)->facts.id);
	v->self = self < 0 ? v->n : (size_t)self;
	v->digest = digest_of(v);
	if (!before || before->digest != v->digest)
		v->epoch++;
	return v;
}

void cache_view_free(struct cache_view *v)
{
	if (!v)
		return;
	sd_slots_free(&v->slots);
	free(v->members);
	free(v);
}
