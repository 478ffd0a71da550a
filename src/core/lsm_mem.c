/* lsm_mem.c - nodes found by their keys (lsm_mem_hash.h), and, when somebody wants that, in the order of their keys (lsm_mem_order.h);
 * and ranges.
 *
 * Point reads go by the hash. So does a write, which then only adds a version to a node, or a node to those that wait for their order.
 * A version is whole before the hash leads to it, and that before who reads learns of its sequence number.
 */
#include "lsm_mem.h"

#include <stdlib.h>

#include "lsm_mem_hash.h"
#include "lsm_mem_order.h"

#define BLOCK_MIN (size_t)4096
#define BLOCK_MAX ((size_t)1 << 20)
#define RUNS	  32 /* sets of ranges; each is at least as large as all behind it together */

/* The ranges so far: the union of these sets. Never changes. */
struct runs {
	struct runs *older; /* to be freed in the end */
	size_t n;
	struct sd_lsm_ranges *sets[RUNS];
};

struct sd_lsm_mem {
	atomic_uint refs;
	_Atomic(struct runs *) runs;
	struct sd_lsm_mem_hash hash;
	struct sd_lsm_mem_order order;

	char apart[64]; /* what the writer changes all the time is in no cache line of readers */
	_Atomic size_t bytes; /* apart from the arena, the hash and the order */
	_Atomic uint64_t entries, range_count;
	struct sd_lsm_arena arena;
};

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

static bool begin(struct sd_lsm_mem *m, size_t room, const struct sd_lsm_mem *like)
{
	struct sd_slice common = {NULL, 0};
	m->arena.block_bytes = room / 64 < BLOCK_MIN ? BLOCK_MIN : room / 64 > BLOCK_MAX ? BLOCK_MAX : room / 64;
	if (like) {
		const struct sd_lsm_list *l = atomic_load_explicit(&like->order.list, memory_order_acquire);
		common = (struct sd_slice){l->common, l->common_n};
	}
	return sd_lsm_mem_order_begin(&m->order, m->arena.block_bytes, common) && sd_lsm_mem_hash_begin(&m->hash, like ? like->hash.keys : 0);
}

struct sd_lsm_mem *sd_lsm_mem_new(size_t room, const struct sd_lsm_mem *like)
{
	struct sd_lsm_mem *m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	atomic_init(&m->refs, 1);
	atomic_init(&m->bytes, sizeof(*m));
	if (!begin(m, room, like)) {
		sd_lsm_mem_unref(m);
		return NULL;
	}
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
	sd_lsm_mem_hash_end(&m->hash);
	sd_lsm_mem_order_end(&m->order);
	sd_lsm_arena_end(&m->arena);
	free(m);
}

static bool add_key(struct sd_lsm_mem *m, uint64_t hash, uint64_t tail, struct sd_slice key, struct sd_slice value)
{
	struct sd_lsm_node *n = sd_lsm_mem_hash_room(&m->hash) ? sd_lsm_node_new(&m->arena, key, tail, value) : NULL;
	if (!n)
		return false;
	sd_lsm_mem_hash_put(&m->hash, n, hash);
	sd_lsm_mem_order_add(&m->order, n);
	return true;
}

bool sd_lsm_mem_add(struct sd_lsm_mem *m, uint64_t seq, enum sd_lsm_kind kind, struct sd_slice key, struct sd_slice value)
{
	if (kind == SD_LSM_RANGE_GONE)
		return add_range(m, &(struct sd_lsm_range){key, value, seq});
	uint64_t hash = sd_lsm_mem_hash_of(key), tail = seq << 8 | kind;
	struct sd_lsm_node *n = sd_lsm_mem_hash_find(&m->hash, key, hash);
	if (!(n ? sd_lsm_node_put(&m->arena, n, tail, value) : add_key(m, hash, tail, key, value)))
		return false;
	atomic_store_explicit(&m->entries, atomic_load_explicit(&m->entries, memory_order_relaxed) + 1, memory_order_relaxed);
	return true;
}

void sd_lsm_mem_expect(const struct sd_lsm_mem *m, struct sd_slice user)
{
	sd_lsm_mem_hash_expect(&m->hash, sd_lsm_mem_hash_of(user));
}

bool sd_lsm_mem_get(const struct sd_lsm_mem *m, struct sd_slice user, uint64_t seq, struct sd_lsm_found *out)
{
	const struct sd_lsm_node *n = sd_lsm_mem_hash_find(&m->hash, user, sd_lsm_mem_hash_of(user));
	const struct sd_lsm_version *v;
	*out = (struct sd_lsm_found){SD_LSM_RANGE_GONE, sd_lsm_mem_hides(m, user, seq), {NULL, 0}};
	if (!n || !sd_lsm_node_find(n, seq << 8 | SD_LSM_KIND_SEEK, &v))
		return out->seq > 0;
	const struct sd_lsm_entry *e = v ? &v->e : &n->first;
	uint64_t tail = sd_lsm_entry_tail(e);
	if (tail >> 8 >= out->seq)
		*out = (struct sd_lsm_found){(enum sd_lsm_kind)(tail & 0xff), tail >> 8, sd_lsm_entry_value(e)};
	return true;
}

size_t sd_lsm_mem_bytes(const struct sd_lsm_mem *m)
{
	return atomic_load_explicit(&m->bytes, memory_order_relaxed) + atomic_load_explicit(&m->arena.bytes, memory_order_relaxed) +
	       atomic_load_explicit(&m->hash.bytes, memory_order_relaxed) + atomic_load_explicit(&m->order.arena.bytes, memory_order_relaxed);
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

bool sd_lsm_mem_waits(const struct sd_lsm_mem *m)
{
	return sd_lsm_mem_order_waits(&m->order);
}

bool sd_lsm_mem_order(struct sd_lsm_mem *m)
{
	return sd_lsm_mem_order_all(&m->order);
}

struct mem_iter {
	struct sd_lsm_iter i;
	struct sd_lsm_mem *m;
	struct sd_lsm_list *list;
	struct sd_lsm_step *step;
	const struct sd_lsm_version *version; /* NULL: the first */
};

static void stand_on(struct mem_iter *t, struct sd_lsm_step *step, const struct sd_lsm_version *v)
{
	t->step = step;
	t->version = v;
	t->i.valid = step != NULL;
	if (!step)
		return;
	struct sd_lsm_step *next = sd_lsm_list_next(step);
	if (next)
		__builtin_prefetch(next->node); /* for the next step, while this node is looked at */
	const struct sd_lsm_entry *e = v ? &v->e : &step->node->first;
	t->i.key = (struct sd_slice){e->bytes, e->key_n + SD_LSM_TAIL};
	t->i.value = sd_lsm_entry_value(e);
}

static void stand_on_newest(struct mem_iter *t, struct sd_lsm_step *step)
{
	stand_on(t, step, step ? sd_lsm_node_newest(step->node) : NULL);
}

static void mem_first(struct sd_lsm_iter *i)
{
	struct mem_iter *t = (struct mem_iter *)i;
	stand_on_newest(t, sd_lsm_list_first(t->list));
}

static void mem_last(struct sd_lsm_iter *i)
{
	struct mem_iter *t = (struct mem_iter *)i;
	stand_on(t, sd_lsm_list_last(t->list), NULL);
}

static void mem_seek(struct sd_lsm_iter *i, struct sd_slice internal)
{
	struct mem_iter *t = (struct mem_iter *)i;
	struct sd_slice user = sd_lsm_user(internal);
	struct sd_lsm_step *step = sd_lsm_list_find(t->list, user);
	const struct sd_lsm_version *v;
	if (!step || sd_lsm_bytewise(sd_lsm_node_user(step->node), user) != 0)
		stand_on_newest(t, step);
	else if (sd_lsm_node_find(step->node, sd_lsm_tail(internal), &v))
		stand_on(t, step, v);
	else
		stand_on_newest(t, sd_lsm_list_next(step));
}

static void mem_next(struct sd_lsm_iter *i)
{
	struct mem_iter *t = (struct mem_iter *)i;
	if (t->version)
		stand_on(t, t->step, t->version->older);
	else
		stand_on_newest(t, sd_lsm_list_next(t->step));
}

static void mem_prev(struct sd_lsm_iter *i)
{
	struct mem_iter *t = (struct mem_iter *)i;
	const struct sd_lsm_version *newer = sd_lsm_node_newer(t->step->node, t->version);
	if (newer)
		stand_on(t, t->step, newer);
	else
		stand_on(t, sd_lsm_list_before(t->list, sd_lsm_node_user(t->step->node)), NULL);
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
	t->list = atomic_load_explicit(&m->order.list, memory_order_acquire);
	return &t->i;
}
