/* lsm_mem_list.c
 *
 * Walking a skip list waits for memory: each step asks a node that is in no cache. So a link carries, beside where it goes, eight
 * bytes of the key there (its head), and a step is nearly always decided before the node is touched. Keys of one store often begin
 * alike, so the head is taken behind what all keys have in common, less a margin; a key that is outside of it has the least or the
 * greatest head. Heads never contradict the order of keys; where they are equal the keys decide.
 *
 * How readers are safe. A step is whole before a link to it is published, and steps are never taken out. The one who puts publishes
 * where a link goes before its head, and readers take the head first: so the step they then find is the one of that head or one that
 * was put in between later and is before it. Going on to it is right when the head is before the key that is sought. When it is
 * behind, a step that was just put in may be missed, which is newer than anything the reader must see; on the lowest level the node
 * itself is asked.
 */
#include "lsm_mem_list.h"

#define MARGIN 2 /* bytes of what is in common that heads keep, for keys that come later */

/* ---- keys ---- */

struct sought {
	uint64_t head;
	struct sd_slice user;
};

static uint64_t first_bytes(const char *p, size_t n)
{
	return n >= 8 ? sd_get_be(p, 8) : n ? sd_get_be(p, n) << 8 * (8 - n) : 0;
}

uint64_t sd_lsm_list_head(const struct sd_lsm_list *l, struct sd_slice user)
{
	size_t n = user.n < l->common_n ? user.n : l->common_n;
	int c = n ? memcmp(user.p, l->common, n) : 0;
	if (c > 0)
		return UINT64_MAX;
	if (c < 0 || user.n < l->common_n)
		return 0;
	return first_bytes(user.p + n, user.n - n);
}

static bool node_before(const struct sd_lsm_node *n, const struct sought *s)
{
	return sd_lsm_bytewise(sd_lsm_node_user(n), s->user) < 0;
}

/* ---- walking ---- */

static struct sd_lsm_step *follow(struct sd_lsm_link *l)
{
	return atomic_load_explicit(&l->to, memory_order_acquire);
}

static uint64_t head_there(struct sd_lsm_link *l)
{
	return atomic_load_explicit(&l->head, memory_order_acquire);
}

/* The link of a level, which stands in front of the step; one level down is the next link. */
static struct sd_lsm_link *link_of(struct sd_lsm_step *t, unsigned level)
{
	return (struct sd_lsm_link *)t - 1 - level;
}

static struct sd_lsm_link *begin_of(struct sd_lsm_list *l, unsigned level)
{
	return &l->ends[SD_LSM_LIST_HEIGHT - 1 - level];
}

/* Whether the node that the link goes to is before what is sought; an end has the greatest head, and is not. */
static bool goes_before(struct sd_lsm_link *l, const struct sought *s)
{
	uint64_t head = head_there(l);
	if (head != s->head)
		return head < s->head;
	const struct sd_lsm_step *to = follow(l);
	return to && node_before(to->node, s);
}

/* From a link of a level down to the last one of level 0 that belongs to a node before what is sought. Each level's goes to path. */
static struct sd_lsm_link *walk(struct sd_lsm_link *at, unsigned level, const struct sought *s, struct sd_lsm_link **path)
{
	for (;; at++, level--) {
		while (goes_before(at, s))
			at = link_of(follow(at), level);
		if (path)
			path[level] = at;
		if (level == 0)
			return at;
	}
}

static struct sd_lsm_link *walk_down(struct sd_lsm_list *l, const struct sought *s, struct sd_lsm_link **path)
{
	unsigned top = atomic_load_explicit(&l->height, memory_order_relaxed) - 1;
	return walk(begin_of(l, top), top, s, path);
}

static struct sd_lsm_step *owner(struct sd_lsm_list *l, struct sd_lsm_link *at)
{
	return at == begin_of(l, 0) ? NULL : (struct sd_lsm_step *)(at + 1);
}

struct sd_lsm_step *sd_lsm_list_first(struct sd_lsm_list *l)
{
	return follow(begin_of(l, 0));
}

struct sd_lsm_step *sd_lsm_list_next(struct sd_lsm_step *t)
{
	return follow(link_of(t, 0));
}

struct sd_lsm_step *sd_lsm_list_find(struct sd_lsm_list *l, struct sd_slice user)
{
	struct sought s = {sd_lsm_list_head(l, user), user};
	struct sd_lsm_step *t = follow(walk_down(l, &s, NULL));
	while (t && node_before(t->node, &s))
		t = sd_lsm_list_next(t);
	return t;
}

struct sd_lsm_step *sd_lsm_list_before(struct sd_lsm_list *l, struct sd_slice user)
{
	struct sought s = {sd_lsm_list_head(l, user), user};
	return owner(l, walk_down(l, &s, NULL));
}

struct sd_lsm_step *sd_lsm_list_last(struct sd_lsm_list *l)
{
	unsigned level = atomic_load_explicit(&l->height, memory_order_relaxed) - 1;
	for (struct sd_lsm_link *at = begin_of(l, level);; at++, level--) {
		for (struct sd_lsm_step *to; (to = follow(at));)
			at = link_of(to, level);
		if (level == 0)
			return owner(l, at);
	}
}

/* ---- putting ---- */

struct sd_lsm_list *sd_lsm_list_new(struct sd_lsm_arena *a, struct sd_slice common)
{
	struct sd_lsm_list *l = sd_lsm_arena_take(a, sizeof(*l));
	if (!l)
		return NULL;
	l->common_n = common.n < SD_LSM_LIST_COMMON ? common.n : SD_LSM_LIST_COMMON;
	if (common.n > 0)
		memcpy(l->common, common.p, l->common_n);
	atomic_init(&l->height, 1);
	for (unsigned i = 0; i < SD_LSM_LIST_HEIGHT; i++) {
		atomic_init(&l->ends[i].head, UINT64_MAX);
		atomic_init(&l->ends[i].to, NULL);
	}
	return l;
}

void sd_lsm_list_stand(struct sd_lsm_list_at *at, struct sd_lsm_list *l)
{
	at->list = l;
	at->last = NULL;
	for (unsigned i = 0; i < SD_LSM_LIST_HEIGHT; i++)
		at->before[i] = begin_of(l, i);
}

/* Moves `before` to where a key belongs: from where the last was, when that is before it, as far up as needed. */
static void move_to(struct sd_lsm_list_at *at, const struct sought *s)
{
	unsigned top = atomic_load_explicit(&at->list->height, memory_order_relaxed), up = 0;
	if (!at->last || at->last_head > s->head || (at->last_head == s->head && !node_before(at->last, s))) {
		walk_down(at->list, s, at->before);
		return;
	}
	while (up < top && goes_before(at->before[up], s))
		up++;
	if (up > 0)
		walk(at->before[up - 1], up - 1, s, at->before);
}

/* One in four has another level. */
static unsigned some_height(struct sd_lsm_list_at *at)
{
	at->chance = at->chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	unsigned zeros = (unsigned)__builtin_ctzll(at->chance >> 32 | UINT64_C(1) << (2 * SD_LSM_LIST_HEIGHT - 2));
	return 1 + zeros / 2;
}

static void link_in(struct sd_lsm_list_at *at, struct sd_lsm_step *t, unsigned height, uint64_t head)
{
	if (height > atomic_load_explicit(&at->list->height, memory_order_relaxed))
		atomic_store_explicit(&at->list->height, height, memory_order_relaxed);
	for (unsigned i = 0; i < height; i++) {
		struct sd_lsm_link *b = at->before[i], *own = link_of(t, i);
		atomic_init(&own->head, atomic_load_explicit(&b->head, memory_order_relaxed));
		atomic_init(&own->to, atomic_load_explicit(&b->to, memory_order_relaxed));
		atomic_store_explicit(&b->to, t, memory_order_release);
		atomic_store_explicit(&b->head, head, memory_order_release);
		at->before[i] = own;
	}
	at->last = t->node;
	at->last_head = head;
}

bool sd_lsm_list_put(struct sd_lsm_list_at *at, struct sd_lsm_arena *a, struct sd_lsm_node *n, uint64_t head)
{
	struct sought s = {head, sd_lsm_node_user(n)};
	unsigned height = some_height(at);
	size_t links = height * sizeof(struct sd_lsm_link);
	char *p = sd_lsm_arena_take(a, links + sizeof(struct sd_lsm_step));
	if (!p)
		return false;
	struct sd_lsm_step *t = (struct sd_lsm_step *)(p + links);
	t->node = n;
	move_to(at, &s);
	link_in(at, t, height, head);
	return true;
}

/* ---- what is in common ---- */

static size_t in_common(struct sd_slice a, struct sd_slice b)
{
	size_t n = a.n < b.n ? a.n : b.n, i = 0;
	while (i < n && i < SD_LSM_LIST_COMMON && a.p[i] == b.p[i])
		i++;
	return i;
}

size_t sd_lsm_list_granted(size_t in_common)
{
	return in_common > MARGIN ? in_common - MARGIN : 0;
}

bool sd_lsm_list_is_off(struct sd_lsm_list *l, struct sd_slice *common)
{
	struct sd_lsm_step *first = sd_lsm_list_first(l), *last = sd_lsm_list_last(l);
	if (!first)
		return false;
	size_t n = in_common(sd_lsm_node_user(first->node), sd_lsm_node_user(last->node));
	*common = (struct sd_slice){first->node->first.bytes, sd_lsm_list_granted(n)};
	return l->common_n > n || l->common_n + 1 < common->n;
}
