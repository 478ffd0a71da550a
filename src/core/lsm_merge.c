/* lsm_merge.c - a heap of the parts that are valid, by their keys; on the way back the greatest is on top.
 *
 * Going forward all other parts stand behind the top's key, going back before it. When the direction changes they are moved there.
 * Beside each part lie the first bytes of its key as a number, which nearly always says which comes first.
 */
#include "lsm_merge.h"

#include <stdlib.h>

struct place {
	uint64_t head;
	struct sd_lsm_iter *it;
	size_t index; /* in parts: the earlier comes first */
};

struct merge {
	struct sd_lsm_iter i;
	struct sd_lsm_iter **parts; /* behind the heap */
	size_t n, used;
	bool back;
	struct place heap[];
};

static struct place place_of(struct merge *m, size_t index)
{
	struct sd_lsm_iter *it = m->parts[index];
	struct sd_slice user = sd_lsm_user(it->key);
	uint64_t head = user.n >= 8 ? sd_get_be(user.p, 8) : sd_get_be(user.p, user.n) << 8 * (7 - user.n) << 8;
	return (struct place){head, it, index};
}

static bool before(const struct merge *m, const struct place *a, const struct place *b)
{
	if (a->head != b->head)
		return (a->head < b->head) != m->back;
	int c = sd_lsm_internal(a->it->key, b->it->key);
	return (c ? c < 0 : a->index < b->index) != m->back;
}

/* Down from the top to where it belongs. */
static void sink(struct merge *m, size_t at)
{
	struct place p = m->heap[at];
	for (size_t child; (child = 2 * at + 1) < m->used; at = child) {
		if (child + 1 < m->used && before(m, &m->heap[child + 1], &m->heap[child]))
			child++;
		if (!before(m, &m->heap[child], &p))
			break;
		m->heap[at] = m->heap[child];
	}
	m->heap[at] = p;
}

static void show(struct merge *m)
{
	m->i.valid = !m->i.err && m->used > 0;
	if (m->i.valid) {
		m->i.key = m->heap[0].it->key;
		m->i.value = m->heap[0].it->value;
	}
}

static bool failed(struct merge *m, const struct sd_lsm_iter *part)
{
	if (part->err && !m->i.err) {
		m->i.err = part->err;
		m->i.why = part->why;
	}
	return m->i.err != SD_OK;
}

/* After all parts were moved. */
static void gather(struct merge *m, bool back)
{
	m->back = back;
	m->used = 0;
	for (size_t k = 0; k < m->n; k++)
		if (!failed(m, m->parts[k]) && m->parts[k]->valid)
			m->heap[m->used++] = place_of(m, k);
	for (size_t k = m->used / 2; k-- > 0;)
		sink(m, k);
	show(m);
}

static void begin(struct merge *m)
{
	m->i.err = SD_OK;
	m->i.why = NULL;
}

static void merge_first(struct sd_lsm_iter *i)
{
	struct merge *m = (struct merge *)i;
	begin(m);
	for (size_t k = 0; k < m->n; k++)
		m->parts[k]->ops->first(m->parts[k]);
	gather(m, false);
}

static void merge_last(struct sd_lsm_iter *i)
{
	struct merge *m = (struct merge *)i;
	begin(m);
	for (size_t k = 0; k < m->n; k++)
		m->parts[k]->ops->last(m->parts[k]);
	gather(m, true);
}

static void merge_seek(struct sd_lsm_iter *i, struct sd_slice internal)
{
	struct merge *m = (struct merge *)i;
	begin(m);
	for (size_t k = 0; k < m->n; k++)
		m->parts[k]->ops->seek(m->parts[k], internal);
	gather(m, false);
}

/* Puts all others on the other side of the top's key; they have to pass it, and of its equals those that come first. */
static void turn(struct merge *m)
{
	size_t top = m->heap[0].index;
	struct sd_lsm_iter *current = m->heap[0].it;
	for (size_t k = 0; k < m->n; k++) {
		struct sd_lsm_iter *it = m->parts[k];
		if (k == top)
			continue;
		it->ops->seek(it, current->key);
		bool equal = it->valid && sd_lsm_internal(it->key, current->key) == 0;
		if (m->back && equal && k < top)
			it->ops->next(it);
		else if (!m->back && it->valid && !(equal && k < top))
			it->ops->prev(it);
		else if (!m->back && !it->err && !it->valid)
			it->ops->last(it);
	}
}

/* After the top moved. */
static void settle(struct merge *m)
{
	if (failed(m, m->heap[0].it)) {
		show(m);
		return;
	}
	if (m->heap[0].it->valid)
		m->heap[0] = place_of(m, m->heap[0].index);
	else
		m->heap[0] = m->heap[--m->used];
	sink(m, 0);
	show(m);
}

static void merge_next(struct sd_lsm_iter *i)
{
	struct merge *m = (struct merge *)i;
	bool turns = m->back;
	if (turns)
		turn(m);
	m->heap[0].it->ops->next(m->heap[0].it);
	if (turns)
		gather(m, false);
	else
		settle(m);
}

static void merge_prev(struct sd_lsm_iter *i)
{
	struct merge *m = (struct merge *)i;
	bool turns = !m->back;
	if (turns)
		turn(m);
	m->heap[0].it->ops->prev(m->heap[0].it);
	if (turns)
		gather(m, true);
	else
		settle(m);
}

static void merge_free(struct sd_lsm_iter *i)
{
	struct merge *m = (struct merge *)i;
	for (size_t k = 0; k < m->n; k++)
		sd_lsm_iter_free(m->parts[k]);
	free(m);
}

static const struct sd_lsm_iter_ops merge_ops = {merge_first, merge_last, merge_seek, merge_next, merge_prev, merge_free};

struct sd_lsm_iter *sd_lsm_merge_new(struct sd_lsm_iter *const *parts, size_t n)
{
	if (n == 1)
		return parts[0];
	struct merge *m = malloc(sizeof(*m) + n * (sizeof(struct place) + sizeof(struct sd_lsm_iter *)));
	if (!m) {
		for (size_t k = 0; k < n; k++)
			sd_lsm_iter_free(parts[k]);
		return NULL;
	}
	*m = (struct merge){.i = {.ops = &merge_ops}, .parts = (struct sd_lsm_iter **)(void *)&m->heap[n], .n = n};
	if (n > 0)
		memcpy(m->parts, parts, n * sizeof(struct sd_lsm_iter *));
	return &m->i;
}
