#include "skiplist.h"

#include <string.h>

/* ---- nodes ---- */

unsigned sd_skip_height(struct sd_rng *rng)
{
	uint64_t r = sd_rng_next(rng) | 1ull << (2 * (SD_SKIP_LEVELS - 1));
	return 1 + (unsigned)__builtin_ctzll(r) / 2;
}

size_t sd_skip_node_bytes(unsigned height, size_t member_n)
{
	size_t n = offsetof(struct sd_skip_node, member) + member_n;
	return height * sizeof(struct sd_skip_level) + (n < sizeof(struct sd_skip_node) ? sizeof(struct sd_skip_node) : n);
}

struct sd_skip_node *sd_skip_node_init(void *memory, unsigned height, double score, struct sd_slice member)
{
	struct sd_skip_node *n = (struct sd_skip_node *)((struct sd_skip_level *)memory + height);
	*n = (struct sd_skip_node){.e.klen = (uint32_t)member.n, .score = score, .height = (uint8_t)height};
	if (member.n)
		memcpy(n->member, member.p, member.n);
	return n;
}

void *sd_skip_node_memory(struct sd_skip_node *n)
{
	return (struct sd_skip_level *)n - n->height;
}

/* Levels stand in front of the node, the lowest next to it, so that the member's place is the same in all. */
static struct sd_skip_level *level_of(const struct sd_skip_node *n, unsigned i)
{
	return (struct sd_skip_level *)n - 1 - i;
}

static struct sd_skip_level *step_from(const struct sd_skiplist *l, const struct sd_skip_node *n, unsigned i)
{
	return n ? level_of(n, i) : (struct sd_skip_level *)&l->head[i];
}

/* ---- order ---- */

static int compare_bytes(struct sd_slice a, struct sd_slice b)
{
	size_t n = a.n < b.n ? a.n : b.n;
	int c = n ? memcmp(a.p, b.p, n) : 0;
	return c ? c : (a.n > b.n) - (a.n < b.n);
}

static bool is_before(const struct sd_skip_node *n, double score, struct sd_slice member)
{
	return n->score < score || (n->score == score && compare_bytes(sd_skip_member(n), member) < 0);
}

/* ---- changes ---- */

/* On each level the last one before a place; NULL is the head. */
struct path {
	struct sd_skip_node *node[SD_SKIP_LEVELS];
	uint32_t rank[SD_SKIP_LEVELS]; /* places from the head */
};

static void find_path(const struct sd_skiplist *l, double score, struct sd_slice member, struct path *p)
{
	struct sd_skip_node *at = NULL;
	uint32_t rank = 0;
	p->node[0] = NULL;
	p->rank[0] = 0;
	for (unsigned i = l->height; i-- > 0;) {
		const struct sd_skip_level *step = step_from(l, at, i);
		while (step->next && is_before(step->next, score, member)) {
			rank += step->span;
			at = step->next;
			step = level_of(at, i);
		}
		p->node[i] = at;
		p->rank[i] = rank;
	}
}

void sd_skiplist_init(struct sd_skiplist *l)
{
	*l = (struct sd_skiplist){.height = 1};
}

void sd_skiplist_add(struct sd_skiplist *l, struct sd_skip_node *n)
{
	struct path p;
	find_path(l, n->score, sd_skip_member(n), &p);
	for (; l->height < n->height; l->height++) {
		p.node[l->height] = NULL;
		p.rank[l->height] = 0;
		l->head[l->height] = (struct sd_skip_level){NULL, l->count};
	}
	for (unsigned i = 0; i < l->height; i++) {
		struct sd_skip_level *from = step_from(l, p.node[i], i);
		uint32_t before = p.rank[0] - p.rank[i];
		if (i >= n->height) {
			from->span++;
			continue;
		}
		*level_of(n, i) = (struct sd_skip_level){from->next, from->span - before};
		*from = (struct sd_skip_level){n, before + 1};
	}
	n->back = p.node[0];
	if (sd_skip_next(n))
		sd_skip_next(n)->back = n;
	else
		l->last = n;
	l->count++;
}

void sd_skiplist_remove(struct sd_skiplist *l, struct sd_skip_node *n)
{
	struct path p;
	find_path(l, n->score, sd_skip_member(n), &p);
	for (unsigned i = 0; i < l->height; i++) {
		struct sd_skip_level *from = step_from(l, p.node[i], i);
		if (from->next == n)
			*from = (struct sd_skip_level){level_of(n, i)->next, from->span + level_of(n, i)->span - 1};
		else
			from->span--;
	}
	if (sd_skip_next(n))
		sd_skip_next(n)->back = n->back;
	else
		l->last = n->back;
	while (l->height > 1 && !l->head[l->height - 1].next)
		l->height--;
	l->count--;
}

void sd_skiplist_set_score(struct sd_skiplist *l, struct sd_skip_node *n, double score)
{
	const struct sd_skip_node *next = sd_skip_next(n);
	if ((!n->back || n->back->score < score) && (!next || next->score > score)) {
		n->score = score;
		return;
	}
	sd_skiplist_remove(l, n);
	n->score = score;
	sd_skiplist_add(l, n);
}

/* ---- places ---- */

uint32_t sd_skiplist_rank(const struct sd_skiplist *l, const struct sd_skip_node *n)
{
	struct path p;
	find_path(l, n->score, sd_skip_member(n), &p);
	return p.rank[0];
}

struct sd_skip_node *sd_skiplist_at(const struct sd_skiplist *l, uint32_t rank)
{
	struct sd_skip_node *at = NULL;
	uint32_t left = rank + 1;
	if (rank >= l->count)
		return NULL;
	for (unsigned i = l->height; i-- > 0;) {
		const struct sd_skip_level *step = step_from(l, at, i);
		for (; step->next && step->span <= left; step = level_of(at, i)) {
			left -= step->span;
			at = step->next;
		}
	}
	return at;
}

int sd_skip_compare(const struct sd_skip_bound *b, double score, struct sd_slice member)
{
	if (!b->lex)
		return (score > b->score) - (score < b->score);
	return b->infinite ? -b->infinite : compare_bytes(member, b->member);
}

/* The last one whose place against the bound is below least; how many that are. */
static uint32_t walk(const struct sd_skiplist *l, const struct sd_skip_bound *b, int least, struct sd_skip_node **n)
{
	struct sd_skip_node *at = NULL;
	uint32_t rank = 0;
	for (unsigned i = l->height; i-- > 0;) {
		const struct sd_skip_level *step = step_from(l, at, i);
		while (step->next && sd_skip_compare(b, step->next->score, sd_skip_member(step->next)) < least) {
			rank += step->span;
			at = step->next;
			step = level_of(at, i);
		}
	}
	*n = at;
	return rank;
}

uint32_t sd_skiplist_below(const struct sd_skiplist *l, const struct sd_skip_bound *min, struct sd_skip_node **n)
{
	struct sd_skip_node *last;
	uint32_t rank = walk(l, min, min->exclusive ? 1 : 0, &last);
	if (n)
		*n = step_from(l, last, 0)->next;
	return rank;
}

uint32_t sd_skiplist_up_to(const struct sd_skiplist *l, const struct sd_skip_bound *max, struct sd_skip_node **n)
{
	struct sd_skip_node *last;
	uint32_t rank = walk(l, max, max->exclusive ? 0 : 1, &last);
	if (n)
		*n = last;
	return rank;
}
