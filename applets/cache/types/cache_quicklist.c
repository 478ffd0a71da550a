#include "cache_quicklist.h"

#include <string.h>

#define LEAST_SLACK 8 /* bytes more than needed, when a node grows */

/* ---- nodes ---- */

static size_t count_of(const struct quicklist_node *n)
{
	return sd_listpack_count(quicklist_pack(n));
}

static size_t bytes_of(const struct quicklist_node *n)
{
	return sd_listpack_bytes(quicklist_pack(n));
}

/* A size that leaves nothing of what the allocator rounds up to. */
static size_t rounded(size_t room)
{
	return (room + 15) / 16 * 16;
}

/* An empty one in front of next; NULL: at the end. */
static struct quicklist_node *add_node(struct cache_memory *m, struct quicklist *q, struct quicklist_node *next, size_t bytes)
{
	size_t room = rounded(bytes);
	struct quicklist_node *n = cache_alloc(m, sizeof(*n) + room);
	if (!n)
		return NULL;
	*n = (struct quicklist_node){.prev = next ? next->prev : q->tail, .next = next, .room = (uint32_t)room};
	*(n->prev ? &n->prev->next : &q->head) = n;
	*(next ? &next->prev : &q->tail) = n;
	sd_listpack_init(n->buf);
	return n;
}

static void remove_node(struct cache_memory *m, struct quicklist *q, struct quicklist_node *n)
{
	*(n->prev ? &n->prev->next : &q->head) = n->next;
	*(n->next ? &n->next->prev : &q->tail) = n->prev;
	cache_free(m, n);
}

static void slide(struct quicklist_node *n, size_t to)
{
	if (to == n->start)
		return;
	memmove(n->buf + to, quicklist_pack(n), bytes_of(n));
	n->start = (uint32_t)to;
}

/* What is in it comes first; it moves. NULL: out of memory. */
static struct quicklist_node *resize(struct cache_memory *m, struct quicklist *q, struct quicklist_node *n, size_t room)
{
	slide(n, 0);
	n = cache_realloc(m, n, sizeof(*n) + room);
	if (!n)
		return NULL;
	n->room = (uint32_t)room;
	*(n->prev ? &n->prev->next : &q->head) = n;
	*(n->next ? &n->next->prev : &q->tail) = n;
	return n;
}

/* A quarter more than needed, though not beyond what a node may hold. */
static size_t room_for(const struct quicklist *q, size_t bytes)
{
	size_t room = rounded(bytes + bytes / 4 + LEAST_SLACK), most = rounded(q->max_bytes);
	return room > most && rounded(bytes) <= most ? most : room;
}

/* Room for so many bytes more on this side. What is free on the other side is taken when it is much, so that what is moved for
 * it was paid for by as many values that went. NULL: out of memory. */
static struct quicklist_node *make_room(struct cache_memory *m, struct quicklist *q, struct quicklist_node *n, size_t more,
					bool front)
{
	size_t bytes = bytes_of(n), before = n->start, behind = n->room - n->start - bytes;
	if ((front ? before : behind) >= more)
		return n;
	if ((front ? behind : before) < more + bytes / 4) {
		size_t room = room_for(q, bytes + more);
		n = resize(m, q, n, room > n->room ? room : n->room);
	}
	if (n)
		slide(n, front ? n->room - bytes : 0);
	return n;
}

/* After values went: memory goes too, when it is more than half. Where there is none for less, it stays. */
static struct quicklist_node *give_back(struct cache_memory *m, struct quicklist *q, struct quicklist_node *n)
{
	size_t bytes = bytes_of(n);
	struct quicklist_node *less = n->room > 2 * bytes + 64 ? resize(m, q, n, room_for(q, bytes)) : n;
	return less ? less : n;
}

static bool has_place(const struct quicklist *q, const struct quicklist_node *n, size_t more)
{
	return n && bytes_of(n) + more <= q->max_bytes && count_of(n) < q->max_count;
}

/* ---- life ---- */

/* -1 to -5: 4, 8, 16, 32, 64 KiB; else so many values in up to 8 KiB. */
static void set_fill(struct quicklist *q, int64_t fill)
{
	if (fill < 0)
		q->max_bytes = 2048u << (fill < -5 ? 5 : -fill);
	else
		q->max_bytes = 8192;
	q->max_count = fill < 0 || fill > INT16_MAX ? INT16_MAX : fill ? (uint32_t)fill : 1;
}

struct quicklist *quicklist_new(struct cache_memory *m, int64_t fill)
{
	struct quicklist *q = cache_alloc(m, sizeof(*q));
	if (!q)
		return NULL;
	*q = (struct quicklist){0};
	set_fill(q, fill);
	return q;
}

bool quicklist_free_some(struct cache_memory *m, struct quicklist *q, size_t *most)
{
	for (struct quicklist_node *n = q->head; n; n = q->head) {
		if (!*most)
			return false;
		q->head = n->next;
		cache_free(m, n);
		--*most;
	}
	cache_free(m, q);
	return true;
}

void quicklist_free(struct cache_memory *m, struct quicklist *q)
{
	size_t all = SIZE_MAX;
	quicklist_free_some(m, q, &all);
}

bool quicklist_add_pack(struct cache_memory *m, struct quicklist *q, const unsigned char *lp)
{
	struct quicklist_node *n = add_node(m, q, NULL, sd_listpack_bytes(lp));
	if (!n)
		return false;
	memcpy(n->buf, lp, sd_listpack_bytes(lp));
	q->count += count_of(n);
	return true;
}

struct quicklist *quicklist_copy(struct cache_memory *m, const struct quicklist *q)
{
	struct quicklist *copy = cache_alloc(m, sizeof(*copy));
	if (!copy)
		return NULL;
	*copy = (struct quicklist){.max_bytes = q->max_bytes, .max_count = q->max_count};
	for (const struct quicklist_node *n = q->head; n; n = n->next)
		if (!quicklist_add_pack(m, copy, quicklist_pack(n))) {
			quicklist_free(m, copy);
			return NULL;
		}
	return copy;
}

/* ---- looking ---- */

#define LINE 64 /* bytes that memory comes in */

/* A value that is pushed in front comes to stand before the listpack. */
static void fetch_pack(const struct quicklist_node *n)
{
	__builtin_prefetch(quicklist_pack(n));
	__builtin_prefetch((const void *)((uintptr_t)quicklist_pack(n) - LINE), 1);
}

void quicklist_fetch(const struct quicklist *q, unsigned step)
{
	if (!q->head)
		return;
	if (step == 0) {
		__builtin_prefetch(q->head);
		__builtin_prefetch(q->tail);
		return;
	}
	fetch_pack(q->head);
	if (q->tail != q->head)
		fetch_pack(q->tail);
}

struct quicklist_at quicklist_seek(const struct quicklist *q, int64_t index)
{
	int64_t count = (int64_t)q->count;
	index += index < 0 ? count : 0;
	if (index < 0 || index >= count)
		return (struct quicklist_at){0};
	struct quicklist_node *n = q->head;
	if (index < count / 2) {
		for (; index >= (int64_t)count_of(n); n = n->next)
			index -= (int64_t)count_of(n);
	} else {
		index -= count; /* from the end */
		for (n = q->tail; -index > (int64_t)count_of(n); n = n->prev)
			index += (int64_t)count_of(n);
	}
	return (struct quicklist_at){n, sd_listpack_seek(quicklist_pack(n), index)};
}

struct quicklist_at quicklist_next(struct quicklist_at at)
{
	at.at = sd_listpack_next(quicklist_pack(at.node), at.at);
	if (at.at == 0) {
		at.node = at.node->next;
		at.at = SD_LISTPACK_HEADER;
	}
	return at;
}

struct quicklist_at quicklist_prev(struct quicklist_at at)
{
	at.at = sd_listpack_prev(quicklist_pack(at.node), at.at);
	if (at.at == 0) {
		at.node = at.node->prev;
		at.at = at.node ? sd_listpack_last(quicklist_pack(at.node)) : 0;
	}
	return at;
}

/* ---- changing ---- */

static void put(struct quicklist *q, struct quicklist_node *n, const struct sd_listpack_new *e, bool front)
{
	unsigned char *lp = quicklist_pack(n);
	if (front)
		n->start = (uint32_t)(sd_listpack_push_front(lp, e) - n->buf);
	else
		sd_listpack_insert(lp, sd_listpack_end(lp), e);
	q->count++;
}

/* A node of its own, in front of next. */
static bool put_alone(struct cache_memory *m, struct quicklist *q, struct quicklist_node *next, const struct sd_listpack_new *e)
{
	struct quicklist_node *n = add_node(m, q, next, SD_LISTPACK_EMPTY + e->size);
	if (n)
		put(q, n, e, false);
	return n != NULL;
}

bool quicklist_push(struct cache_memory *m, struct quicklist *q, struct sd_slice value, bool front)
{
	struct quicklist_node *n = front ? q->head : q->tail;
	struct sd_listpack_new e;
	if (!sd_listpack_encode(value, &e))
		return false;
	if (!has_place(q, n, e.size))
		return put_alone(m, q, front ? q->head : NULL, &e);
	if (!(n = make_room(m, q, n, e.size, front)))
		return false;
	put(q, n, &e, front);
	return true;
}

/* What is from `at` on becomes the next node. False: out of memory. */
static bool split(struct cache_memory *m, struct quicklist *q, struct quicklist_node *n, size_t at)
{
	size_t count = SIZE_MAX, bytes = sd_listpack_span(quicklist_pack(n), at, &count);
	struct quicklist_node *right = add_node(m, q, n->next, SD_LISTPACK_EMPTY + bytes);
	if (!right)
		return false;
	sd_listpack_append(right->buf, quicklist_pack(n), at, bytes, count);
	sd_listpack_delete(quicklist_pack(n), at, count);
	give_back(m, q, n);
	return true;
}

/* Between two nodes of which one may be NULL: in either when it has place, else in one of its own. */
static bool put_between(struct cache_memory *m, struct quicklist *q, struct quicklist_node *left, struct quicklist_node *right,
			const struct sd_listpack_new *e)
{
	bool front = !has_place(q, left, e->size);
	struct quicklist_node *n = front ? right : left;
	if (!has_place(q, n, e->size))
		return put_alone(m, q, right, e);
	if (!(n = make_room(m, q, n, e->size, front)))
		return false;
	put(q, n, e, front);
	return true;
}

static bool insert(struct cache_memory *m, struct quicklist *q, struct quicklist_node *n, size_t at,
		   const struct sd_listpack_new *e)
{
	if (has_place(q, n, e->size)) {
		if (!(n = make_room(m, q, n, e->size, false)))
			return false;
		sd_listpack_insert(quicklist_pack(n), at, e);
		q->count++;
		return true;
	}
	if (at == SD_LISTPACK_HEADER)
		return put_between(m, q, n->prev, n, e);
	struct quicklist_node *right = n->next;
	if (at < sd_listpack_end(quicklist_pack(n))) {
		struct quicklist_node *before = n->prev;
		if (!split(m, q, n, at))
			return false;
		n = before ? before->next : q->head; /* it may have moved */
		right = n->next;
	}
	return put_between(m, q, n, right, e);
}

bool quicklist_insert(struct cache_memory *m, struct quicklist *q, struct quicklist_at at, struct sd_slice value, bool after)
{
	struct sd_listpack_new e;
	if (!sd_listpack_encode(value, &e))
		return false;
	return insert(m, q, at.node, after ? at.at + sd_listpack_size(quicklist_pack(at.node), at.at) : at.at, &e);
}

bool quicklist_replace(struct cache_memory *m, struct quicklist *q, int64_t index, struct sd_slice value)
{
	struct sd_listpack_new e;
	struct quicklist_at at = quicklist_seek(q, index);
	struct quicklist_node *n = at.node;
	if (!n || !sd_listpack_encode(value, &e))
		return false;
	size_t was = sd_listpack_size(quicklist_pack(n), at.at);
	if (e.size > was && count_of(n) > 1 && bytes_of(n) - was + e.size > q->max_bytes) {
		if (!insert(m, q, n, at.at, &e))
			return false;
		/* what was there is the one behind now, counted from either end */
		quicklist_delete(m, q, index < 0 ? q->count - (size_t)-index : (size_t)index + 1, 1);
		return true;
	}
	if (e.size > was && !(n = make_room(m, q, n, e.size - was, false)))
		return false;
	sd_listpack_replace(quicklist_pack(n), at.at, &e);
	give_back(m, q, n);
	return true;
}

/* Of up to n values from `at` on; the node goes with its last one. Returns how many there were; *node, when not NULL, where the
 * node is then, or NULL. */
static size_t delete_in(struct cache_memory *m, struct quicklist *q, struct quicklist_at at, size_t n, struct quicklist_node **node)
{
	struct quicklist_node *k = at.node;
	if (!k)
		return 0;
	if (at.at == SD_LISTPACK_HEADER && n >= count_of(k)) {
		n = count_of(k);
		remove_node(m, q, k);
		k = NULL;
	} else {
		n = sd_listpack_delete(quicklist_pack(k), at.at, n);
		k = give_back(m, q, k);
	}
	q->count -= n;
	if (node)
		*node = k;
	return n;
}

void quicklist_pop(struct cache_memory *m, struct quicklist *q, bool front)
{
	struct quicklist_node *n = front ? q->head : q->tail;
	if (!front || count_of(n) == 1) {
		delete_in(m, q, (struct quicklist_at){n, sd_listpack_last(quicklist_pack(n))}, 1, NULL);
		return;
	}
	n->start = (uint32_t)(sd_listpack_pop_front(quicklist_pack(n)) - n->buf);
	q->count--;
	give_back(m, q, n);
}

struct quicklist_at quicklist_remove(struct cache_memory *m, struct quicklist *q, struct quicklist_at at, bool back)
{
	struct quicklist_node *prev = at.node->prev, *next = at.node->next, *n;
	size_t before = sd_listpack_prev(quicklist_pack(at.node), at.at);
	delete_in(m, q, at, 1, &n);
	if (back && before)
		return (struct quicklist_at){n, before};
	if (back)
		return (struct quicklist_at){prev, prev ? sd_listpack_last(quicklist_pack(prev)) : 0};
	if (n && at.at < sd_listpack_end(quicklist_pack(n)))
		return (struct quicklist_at){n, at.at};
	return (struct quicklist_at){next, SD_LISTPACK_HEADER};
}

void quicklist_delete(struct cache_memory *m, struct quicklist *q, size_t index, size_t n)
{
	size_t gone;
	while (n && (gone = delete_in(m, q, quicklist_seek(q, (int64_t)index), n, NULL)))
		n -= gone;
}
