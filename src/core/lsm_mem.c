/* lsm_mem.c - a skip list in an arena.
 *
 * Walking a skip list waits for memory: each step asks a node that is in no cache. So a link carries, beside where it goes, eight
 * bytes of the key there (its head), and a step is nearly always decided before the node is touched. Keys of one store often begin
 * alike, so the head is taken behind what all keys have in common, less a margin; a key that is outside of it has the least or the
 * greatest head. Heads never contradict the order of keys; where they are equal the keys decide. What is in common is learned: at a
 * few sizes the writer looks again, and when heads say too little it makes the nodes anew in a second list and publishes that.
 * Readers in the first list find what was there when they came, which is all that they may see.
 *
 * How readers are safe. A node is whole before a link to it is published, and nodes are never taken out. The writer publishes where a
 * link goes before its head, and readers take the head first: so the node they then find is the one of that head or one that was put
 * in between later and is before it. Going on to it is right when the head is before the key that is sought. When it is behind, a
 * node that was just put in may be missed, which is newer than anything the reader must see; on the lowest level the node itself is
 * asked.
 */
#include "lsm_mem.h"

#include <stdatomic.h>
#include <stdlib.h>

#define HEIGHT	   12
#define BLOCK_MIN  (size_t)4096
#define BLOCK_MAX  ((size_t)1 << 20)
#define MARGIN	   2  /* bytes of what is in common that heads keep, for keys that come later */
#define COMMON_MAX 64 /* longer is not learned */
#define LEARN_AT   64 /* entries; then at each 8 times as many */
#define LEARN_END  32768
#define RUNS	   32 /* sets of ranges; each is at least as large as all behind it together */

struct node;
struct link {
	_Atomic uint64_t head;
	_Atomic(struct node *) to;
};

struct node {
	uint32_t height : 8;
	uint32_t key_n : 24; /* of the user's key */
	uint32_t value_n;
	struct link links[]; /* height of them, then the internal key and the value */
};

struct list {
	size_t common_n;
	char common[COMMON_MAX];
	atomic_uint height;
	struct link heads[HEIGHT];
};

/* Of the arena. */
struct block {
	struct block *next;
	max_align_t bytes[];
};

/* The ranges so far: the union of these sets. Never changes. */
struct runs {
	struct runs *older; /* to be freed in the end */
	size_t n;
	struct sd_lsm_ranges *sets[RUNS];
};

struct sd_lsm_mem {
	atomic_uint refs;
	_Atomic(struct list *) list;
	_Atomic(struct runs *) runs;
	_Atomic size_t bytes;
	_Atomic uint64_t entries, range_count;

	char apart[64]; /* what the writer changes all the time is in no cache line of readers */
	struct block *blocks;
	char *at, *end;
	size_t block_bytes, learn_bytes;
	uint64_t chance, learn_at;
	uint64_t last_head;	     /* of the key that was added last */
	struct node *last;	     /* it; NULL: none since the list was made */
	struct link *before[HEIGHT]; /* of each level the last link that belongs to it or to a node before it */
};

/* ---- arena ---- */

static char *new_block(struct sd_lsm_mem *m, size_t n)
{
	struct block *b = malloc(sizeof(*b) + n);
	if (!b)
		return NULL;
	b->next = m->blocks;
	m->blocks = b;
	atomic_fetch_add_explicit(&m->bytes, sizeof(*b) + n, memory_order_relaxed);
	return (char *)b->bytes;
}

/* Aligned for a node. What is large has a block of its own, and the one in use stays. */
static void *arena_take(struct sd_lsm_mem *m, size_t n)
{
	n = (n + 7) & ~(size_t)7;
	if (n <= (size_t)(m->end - m->at)) {
		m->at += n;
		return m->at - n;
	}
	if (n > m->block_bytes / 4)
		return new_block(m, n);
	char *p = new_block(m, m->block_bytes);
	if (p) {
		m->at = p + n;
		m->end = p + m->block_bytes;
	}
	return p;
}

/* ---- keys ---- */

struct sought {
	uint64_t head, tail;
	struct sd_slice user;
};

static uint64_t first_bytes(const char *p, size_t n)
{
	return n >= 8 ? sd_get_be(p, 8) : n ? sd_get_be(p, n) << 8 * (8 - n) : 0;
}

static uint64_t head_of(const struct list *l, struct sd_slice user)
{
	size_t n = user.n < l->common_n ? user.n : l->common_n;
	int c = n ? memcmp(user.p, l->common, n) : 0;
	if (c > 0)
		return UINT64_MAX;
	if (c < 0 || user.n < l->common_n)
		return 0;
	return first_bytes(user.p + n, user.n - n);
}

static const char *node_bytes(const struct node *n)
{
	return (const char *)&n->links[n->height];
}

static struct sd_slice node_user(const struct node *n)
{
	return (struct sd_slice){node_bytes(n), n->key_n};
}

static uint64_t node_tail(const struct node *n)
{
	return sd_get_le(node_bytes(n) + n->key_n, SD_LSM_TAIL);
}

static bool node_before(const struct node *n, const struct sought *s)
{
	int c = sd_lsm_bytewise(node_user(n), s->user);
	return c ? c < 0 : node_tail(n) > s->tail;
}

/* ---- walking ---- */

static struct node *follow(struct link *l)
{
	return atomic_load_explicit(&l->to, memory_order_acquire);
}

static uint64_t head_there(struct link *l)
{
	return atomic_load_explicit(&l->head, memory_order_acquire);
}

/* Whether the node that the link goes to is before what is sought; an end has the greatest head, and is not. */
static bool goes_before(struct link *l, const struct sought *s)
{
	uint64_t head = head_there(l);
	if (head != s->head)
		return head < s->head;
	const struct node *to = follow(l);
	return to && node_before(to, s);
}

/* From a link of a level down to the last one of level 0 that belongs to a node before what is sought. Each level's goes to path. */
static struct link *walk(struct link *at, unsigned level, const struct sought *s, struct link **path)
{
	for (;; at--, level--) {
		while (goes_before(at, s))
			at = &follow(at)->links[level];
		if (path)
			path[level] = at;
		if (level == 0)
			return at;
	}
}

static struct link *walk_down(struct list *l, const struct sought *s, struct link **path)
{
	unsigned top = atomic_load_explicit(&l->height, memory_order_relaxed) - 1;
	return walk(&l->heads[top], top, s, path);
}

/* The first node that is not before. */
static struct node *find(struct list *l, const struct sought *s)
{
	struct node *n = follow(walk_down(l, s, NULL));
	while (n && node_before(n, s))
		n = follow(&n->links[0]);
	return n;
}

static struct node *owner(struct list *l, struct link *at)
{
	return at == l->heads ? NULL : (struct node *)((char *)at - offsetof(struct node, links));
}

static struct node *find_before(struct list *l, const struct sought *s)
{
	return owner(l, walk_down(l, s, NULL));
}

static struct node *find_last(struct list *l)
{
	unsigned level = atomic_load_explicit(&l->height, memory_order_relaxed) - 1;
	for (struct link *at = &l->heads[level];; at--, level--) {
		for (struct node *to; (to = follow(at));)
			at = &to->links[level];
		if (level == 0)
			return owner(l, at);
	}
}

/* ---- adding ---- */

static struct list *new_list(struct sd_lsm_mem *m, const char *common, size_t n)
{
	struct list *l = arena_take(m, sizeof(*l));
	if (!l)
		return NULL;
	l->common_n = n;
	if (n > 0)
		memcpy(l->common, common, n);
	atomic_init(&l->height, 1);
	for (unsigned i = 0; i < HEIGHT; i++) {
		atomic_init(&l->heads[i].head, UINT64_MAX);
		atomic_init(&l->heads[i].to, NULL);
	}
	return l;
}

static void stand_at_start(struct sd_lsm_mem *m, struct list *l)
{
	m->last = NULL;
	for (unsigned i = 0; i < HEIGHT; i++)
		m->before[i] = &l->heads[i];
}

/* One in four has another level. */
static unsigned some_height(struct sd_lsm_mem *m)
{
	m->chance = m->chance * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
	unsigned zeros = (unsigned)__builtin_ctzll(m->chance >> 32 | UINT64_C(1) << (2 * HEIGHT - 2));
	return 1 + zeros / 2;
}

static struct node *new_node(struct sd_lsm_mem *m, struct sd_slice user, uint64_t tail, struct sd_slice value, unsigned height)
{
	if (user.n >= (size_t)1 << 24 || value.n > UINT32_MAX)
		return NULL;
	size_t links = height * sizeof(struct link);
	struct node *n = arena_take(m, sizeof(*n) + links + user.n + SD_LSM_TAIL + value.n);
	if (!n)
		return NULL;
	n->height = height & 0xff;
	n->key_n = (uint32_t)user.n & 0xffffff;
	n->value_n = (uint32_t)value.n;
	char *bytes = (char *)n->links + links;
	if (user.n > 0)
		memcpy(bytes, user.p, user.n);
	sd_put_le(bytes + user.n, tail, SD_LSM_TAIL);
	if (value.n > 0)
		memcpy(bytes + user.n + SD_LSM_TAIL, value.p, value.n);
	return n;
}

/* Moves `before` to where a key belongs: from where the last was, when that is before it, as far up as needed. */
static void stand_at(struct sd_lsm_mem *m, struct list *l, const struct sought *s)
{
	unsigned top = atomic_load_explicit(&l->height, memory_order_relaxed), up = 0;
	if (!m->last || m->last_head > s->head || (m->last_head == s->head && !node_before(m->last, s))) {
		walk_down(l, s, m->before);
		return;
	}
	while (up < top && goes_before(m->before[up], s))
		up++;
	if (up > 0)
		walk(m->before[up - 1], up - 1, s, m->before);
}

static void put_in(struct sd_lsm_mem *m, struct list *l, struct node *n, uint64_t head)
{
	if (n->height > atomic_load_explicit(&l->height, memory_order_relaxed))
		atomic_store_explicit(&l->height, n->height, memory_order_relaxed);
	for (unsigned i = 0; i < n->height; i++) {
		struct link *b = m->before[i];
		atomic_init(&n->links[i].head, atomic_load_explicit(&b->head, memory_order_relaxed));
		atomic_init(&n->links[i].to, atomic_load_explicit(&b->to, memory_order_relaxed));
		atomic_store_explicit(&b->to, n, memory_order_release);
		atomic_store_explicit(&b->head, head, memory_order_release);
		m->before[i] = &n->links[i];
	}
	m->last = n;
	m->last_head = head;
}

/* ---- learning what is in common ---- */

static size_t in_common(const struct node *first, const struct node *last)
{
	size_t n = first->key_n < last->key_n ? first->key_n : last->key_n, i = 0;
	const char *a = node_bytes(first), *b = node_bytes(last);
	while (i < n && i < COMMON_MAX && a[i] == b[i])
		i++;
	return i;
}

/* The list anew, with other heads. Out of memory: it stays as it is. */
static void make_anew(struct sd_lsm_mem *m, struct list *old, size_t common)
{
	struct list *l = new_list(m, node_bytes(follow(old->heads)), common);
	if (!l)
		return;
	stand_at_start(m, l);
	for (struct node *n = follow(old->heads); n; n = follow(n->links)) {
		struct sd_slice user = node_user(n), value = {user.p + user.n + SD_LSM_TAIL, n->value_n};
		struct node *again = new_node(m, user, node_tail(n), value, n->height);
		if (!again) {
			stand_at_start(m, old);
			return;
		}
		put_in(m, l, again, head_of(l, user));
	}
	atomic_store_explicit(&m->list, l, memory_order_release);
}

static void learn(struct sd_lsm_mem *m, struct list *l)
{
	m->learn_at = m->learn_at < LEARN_END ? m->learn_at * 8 : UINT64_MAX;
	if (atomic_load_explicit(&m->bytes, memory_order_relaxed) > m->learn_bytes)
		return;
	size_t common = in_common(follow(l->heads), find_last(l));
	size_t wanted = common > MARGIN ? common - MARGIN : 0;
	if (l->common_n > common || l->common_n + 1 < wanted)
		make_anew(m, l, wanted);
}

/* ---- ranges ---- */

static void runs_free(struct runs *r)
{
	for (size_t i = 0; i < r->n; i++)
		sd_lsm_ranges_unref(r->sets[i]);
	free(r);
}

/* Those of `old` and one set more, which takes in all that are no larger, so that there are few and each range moves seldom. */
static bool fill_runs(struct runs *r, const struct runs *old, struct sd_lsm_ranges *set)
{
	size_t n = old ? old->n : 0;
	bool good = true;
	while (good && n > 0 && (n == RUNS || sd_lsm_ranges_count(old->sets[n - 1]) <= sd_lsm_ranges_count(set))) {
		struct sd_lsm_ranges *both[] = {old->sets[--n], set}, *joined;
		good = sd_lsm_ranges_join(both, 2, &joined);
		sd_lsm_ranges_unref(set);
		set = joined;
	}
	for (r->n = 0; r->n < n; r->n++)
		r->sets[r->n] = sd_lsm_ranges_ref(old->sets[r->n]);
	if (good)
		r->sets[r->n++] = set;
	return good;
}

static bool add_range(struct sd_lsm_mem *m, const struct sd_lsm_range *range)
{
	struct runs *old = atomic_load_explicit(&m->runs, memory_order_relaxed);
	struct sd_lsm_ranges *set;
	if (!sd_lsm_ranges_new(range, 1, &set))
		return false;
	if (!set)
		return true;
	struct runs *r = calloc(1, sizeof(*r));
	if (!r || !fill_runs(r, old, set)) {
		if (r)
			runs_free(r);
		else
			sd_lsm_ranges_unref(set);
		return false;
	}
	r->older = old;
	size_t bytes = sizeof(*r) + sd_lsm_ranges_bytes(r->sets[r->n - 1]);
	atomic_fetch_add_explicit(&m->bytes, bytes, memory_order_relaxed);
	atomic_fetch_add_explicit(&m->range_count, 1, memory_order_relaxed);
	atomic_store_explicit(&m->runs, r, memory_order_release);
	return true;
}

uint64_t sd_lsm_mem_hides(const struct sd_lsm_mem *m, struct sd_slice user, uint64_t snapshot)
{
	const struct runs *r = atomic_load_explicit(&m->runs, memory_order_acquire);
	uint64_t best = 0;
	for (size_t i = 0; r && i < r->n; i++) {
		uint64_t seq = sd_lsm_ranges_hides(r->sets[i], user, snapshot);
		best = seq > best ? seq : best;
	}
	return best;
}

bool sd_lsm_mem_ranges(const struct sd_lsm_mem *m, struct sd_lsm_ranges **out)
{
	const struct runs *r = atomic_load_explicit(&m->runs, memory_order_acquire);
	*out = NULL;
	return !r || sd_lsm_ranges_join(r->sets, r->n, out);
}

/* ---- the whole ---- */

static size_t learned_common(const struct sd_lsm_mem *like, const char **bytes)
{
	struct list *l = atomic_load_explicit(&like->list, memory_order_acquire);
	struct node *first = follow(l->heads), *last = find_last(l);
	if (!first || first == last) {
		*bytes = l->common;
		return l->common_n;
	}
	size_t n = in_common(first, last);
	*bytes = node_bytes(first);
	return n > MARGIN ? n - MARGIN : 0;
}

struct sd_lsm_mem *sd_lsm_mem_new(size_t room, const struct sd_lsm_mem *like)
{
	struct sd_lsm_mem *m = calloc(1, sizeof(*m));
	const char *common = NULL;
	if (!m)
		return NULL;
	m->block_bytes = room / 64 < BLOCK_MIN ? BLOCK_MIN : room / 64 > BLOCK_MAX ? BLOCK_MAX : room / 64;
	m->learn_bytes = room / 8;
	m->learn_at = LEARN_AT;
	m->chance = 1;
	atomic_init(&m->refs, 1);
	atomic_init(&m->bytes, sizeof(*m));
	size_t n = like ? learned_common(like, &common) : 0;
	struct list *l = new_list(m, common, n);
	if (!l) {
		sd_lsm_mem_unref(m);
		return NULL;
	}
	atomic_init(&m->list, l);
	stand_at_start(m, l);
	return m;
}

struct sd_lsm_mem *sd_lsm_mem_ref(struct sd_lsm_mem *m)
{
	atomic_fetch_add_explicit(&m->refs, 1, memory_order_relaxed);
	return m;
}

void sd_lsm_mem_unref(struct sd_lsm_mem *m)
{
	if (!m || atomic_fetch_sub_explicit(&m->refs, 1, memory_order_acq_rel) != 1)
		return;
	for (struct runs *r = atomic_load_explicit(&m->runs, memory_order_relaxed), *older; r; r = older) {
		older = r->older;
		runs_free(r);
	}
	for (struct block *b = m->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	free(m);
}

bool sd_lsm_mem_add(struct sd_lsm_mem *m, uint64_t seq, enum sd_lsm_kind kind, struct sd_slice key, struct sd_slice value)
{
	if (kind == SD_LSM_RANGE_GONE)
		return add_range(m, &(struct sd_lsm_range){key, value, seq});
	struct list *l = atomic_load_explicit(&m->list, memory_order_relaxed);
	struct sought s = {head_of(l, key), seq << 8 | kind, key};
	struct node *n = new_node(m, key, s.tail, value, some_height(m));
	if (!n)
		return false;
	stand_at(m, l, &s);
	put_in(m, l, n, s.head);
	uint64_t entries = atomic_load_explicit(&m->entries, memory_order_relaxed) + 1;
	atomic_store_explicit(&m->entries, entries, memory_order_relaxed);
	if (entries == m->learn_at)
		learn(m, l);
	return true;
}

bool sd_lsm_mem_get(const struct sd_lsm_mem *m, struct sd_slice user, uint64_t seq, struct sd_lsm_found *out)
{
	struct list *l = atomic_load_explicit(&m->list, memory_order_acquire);
	struct sought s = {head_of(l, user), seq << 8 | SD_LSM_KIND_SEEK, user};
	const struct node *n = find(l, &s);
	*out = (struct sd_lsm_found){SD_LSM_RANGE_GONE, sd_lsm_mem_hides(m, user, seq), {NULL, 0}};
	if (!n || sd_lsm_bytewise(node_user(n), user) != 0 || node_tail(n) >> 8 < out->seq)
		return out->seq > 0;
	const char *value = node_bytes(n) + n->key_n + SD_LSM_TAIL;
	*out = (struct sd_lsm_found){(enum sd_lsm_kind)(node_tail(n) & 0xff), node_tail(n) >> 8, {value, n->value_n}};
	return true;
}

size_t sd_lsm_mem_bytes(const struct sd_lsm_mem *m)
{
	return atomic_load_explicit(&m->bytes, memory_order_relaxed);
}

uint64_t sd_lsm_mem_entries(const struct sd_lsm_mem *m)
{
	return atomic_load_explicit(&m->entries, memory_order_relaxed);
}

uint64_t sd_lsm_mem_range_count(const struct sd_lsm_mem *m)
{
	return atomic_load_explicit(&m->range_count, memory_order_relaxed);
}

/* ---- a place ---- */

struct mem_iter {
	struct sd_lsm_iter i;
	struct sd_lsm_mem *m;
	struct list *list;
	struct node *node;
};

static void stand_on(struct mem_iter *t, struct node *n)
{
	t->node = n;
	t->i.valid = n != NULL;
	if (!n)
		return;
	__builtin_prefetch(follow(n->links)); /* for the next step, while this node is looked at */
	const char *bytes = node_bytes(n);
	t->i.key = (struct sd_slice){bytes, n->key_n + SD_LSM_TAIL};
	t->i.value = (struct sd_slice){bytes + n->key_n + SD_LSM_TAIL, n->value_n};
}

static struct sought sought_of(const struct list *l, struct sd_slice internal)
{
	struct sd_slice user = sd_lsm_user(internal);
	return (struct sought){head_of(l, user), sd_lsm_tail(internal), user};
}

static void mem_first(struct sd_lsm_iter *i)
{
	struct mem_iter *t = (struct mem_iter *)i;
	stand_on(t, follow(t->list->heads));
}

static void mem_last(struct sd_lsm_iter *i)
{
	struct mem_iter *t = (struct mem_iter *)i;
	stand_on(t, find_last(t->list));
}

static void mem_seek(struct sd_lsm_iter *i, struct sd_slice internal)
{
	struct mem_iter *t = (struct mem_iter *)i;
	struct sought s = sought_of(t->list, internal);
	stand_on(t, find(t->list, &s));
}

static void mem_next(struct sd_lsm_iter *i)
{
	struct mem_iter *t = (struct mem_iter *)i;
	stand_on(t, follow(t->node->links));
}

static void mem_prev(struct sd_lsm_iter *i)
{
	struct mem_iter *t = (struct mem_iter *)i;
	struct sought s = sought_of(t->list, i->key);
	stand_on(t, find_before(t->list, &s));
}

static void mem_free(struct sd_lsm_iter *i)
{
	struct mem_iter *t = (struct mem_iter *)i;
	sd_lsm_mem_unref(t->m);
	free(t);
}

static const struct sd_lsm_iter_ops mem_ops = {mem_first, mem_last, mem_seek, mem_next, mem_prev, mem_free};

struct sd_lsm_iter *sd_lsm_mem_iter(struct sd_lsm_mem *m)
{
	struct mem_iter *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->i.ops = &mem_ops;
	t->m = sd_lsm_mem_ref(m);
	t->list = atomic_load_explicit(&m->list, memory_order_acquire);
	return &t->i;
}
