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

/* Where a way down is, and what it goes to. */
struct way {
	double score;
	struct sd_slice member;
	struct path path;
	struct sd_skip_node *at;
	uint32_t rank;
};

/* It will be looked at, most likely: in a long list that is a wait for memory, and several go on at the same time. */
static void fetch(const struct sd_skip_level *step)
{
	if (step->next)
		__builtin_prefetch(&step->next->score);
}

static struct sd_skip_level *begin_level(const struct sd_skiplist *l, const struct way *w, unsigned i)
{
	struct sd_skip_level *step = step_from(l, w->at, i);
	if (i)
		fetch(step_from(l, w->at, i - 1));
	return step;
}

/* One step on this level, if there is one more; else this level's place in the path is known. */
static bool advance(struct way *w, struct sd_skip_level **step, unsigned i)
{
	struct sd_skip_node *next = (*step)->next;
	if (!next || !is_before(next, w->score, w->member)) {
		w->path.node[i] = w->at;
		w->path.rank[i] = w->rank;
		return false;
	}
	w->rank += (*step)->span;
	w->at = next;
	*step = level_of(next, i);
	fetch(*step);
	if (i)
		fetch(level_of(next, i - 1));
	return true;
}

static void find_path(const struct sd_skiplist *l, struct way *w)
{
	w->path.node[0] = NULL;
	w->path.rank[0] = 0;
	for (unsigned i = l->height; i-- > 0;) {
		struct sd_skip_level *step = begin_level(l, w, i);
		while (advance(w, &step, i))
			;
	}
}

/* Both in turn: each goes on while the other waits for memory. */
static void find_both(const struct sd_skiplist *l, struct way *a, struct way *b)
{
	for (unsigned i = l->height; i-- > 0;) {
		struct sd_skip_level *of_a = begin_level(l, a, i), *of_b = begin_level(l, b, i);
		bool more_a = true, more_b = true;
		while (more_a || more_b) {
			more_a = more_a && advance(a, &of_a, i);
			more_b = more_b && advance(b, &of_b, i);
		}
	}
}

void sd_skiplist_init(struct sd_skiplist *l)
{
	*l = (struct sd_skiplist){.height = 1};
}

static void link_in(struct sd_skiplist *l, struct sd_skip_node *n, struct path *p)
{
	for (; l->height < n->height; l->height++) {
		p->node[l->height] = NULL;
		p->rank[l->height] = 0;
		l->head[l->height] = (struct sd_skip_level){NULL, l->count};
	}
	for (unsigned i = 0; i < l->height; i++) {
		struct sd_skip_level *from = step_from(l, p->node[i], i);
		uint32_t before = p->rank[0] - p->rank[i];
		if (i >= n->height) {
			from->span++;
			continue;
		}
		*level_of(n, i) = (struct sd_skip_level){from->next, from->span - before};
		*from = (struct sd_skip_level){n, before + 1};
	}
	n->back = p->node[0];
	if (sd_skip_next(n))
		sd_skip_next(n)->back = n;
	else
		l->last = n;
	l->count++;
}

static void take_out(struct sd_skiplist *l, struct sd_skip_node *n, const struct path *p)
{
	for (unsigned i = 0; i < l->height; i++) {
		struct sd_skip_level *from = step_from(l, p->node[i], i);
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

void sd_skiplist_add(struct sd_skiplist *l, struct sd_skip_node *n)
{
	struct way w = {.score = n->score, .member = sd_skip_member(n)};
	find_path(l, &w);
	link_in(l, n, &w.path);
}

void sd_skiplist_remove(struct sd_skiplist *l, struct sd_skip_node *n)
{
	struct way w = {.score = n->score, .member = sd_skip_member(n)};
	find_path(l, &w);
	take_out(l, n, &w.path);
}

/* What the path to another place is when the node that `was` leads to is gone. */
static void without(struct path *p, const struct path *was, const struct sd_skip_node *n, unsigned height)
{
	for (unsigned i = 0; i < height; i++) {
		if (p->node[i] == n) {
			p->node[i] = was->node[i];
			p->rank[i] = was->rank[i];
		} else if (p->rank[i] > was->rank[0]) {
			p->rank[i]--;
		}
	}
}

void sd_skiplist_set_score(struct sd_skiplist *l, struct sd_skip_node *n, double score)
{
	const struct sd_skip_node *next = sd_skip_next(n);
	if ((!n->back || n->back->score < score) && (!next || next->score > score)) {
		n->score = score;
		return;
	}
	struct way was = {.score = n->score, .member = sd_skip_member(n)}, to = was;
	to.score = score;
	find_both(l, &was, &to);
	without(&to.path, &was.path, n, l->height);
	take_out(l, n, &was.path);
	n->score = score;
	link_in(l, n, &to.path);
}

/* ---- places ---- */

uint32_t sd_skiplist_rank(const struct sd_skiplist *l, const struct sd_skip_node *n)
{
	struct way w = {.score = n->score, .member = sd_skip_member(n)};
	find_path(l, &w);
	return w.path.rank[0];
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
