#include "wheel.h"

#define BITS 6

void sd_wheel_init(struct sd_wheel *w, int64_t now_ms)
{
	*w = (struct sd_wheel){.now_ms = now_ms};
	sd_list_init(&w->due);
	for (int k = 0; k < SD_WHEEL_LEVELS; k++)
		for (int i = 0; i < SD_WHEEL_SLOTS; i++)
			sd_list_init(&w->slots[k][i]);
}

/* Into the slot of the highest level in which its time differs from now. */
static void place(struct sd_wheel *w, struct sd_wheel_entry *e)
{
	if (e->due_ms <= w->now_ms) {
		sd_list_add(&w->due, &e->link);
		return;
	}
	int bit = 63 - __builtin_clzll((uint64_t)e->due_ms ^ (uint64_t)w->now_ms), level = bit / BITS;
	if (level >= SD_WHEEL_LEVELS)
		level = SD_WHEEL_LEVELS - 1;
	unsigned slot = (unsigned)((uint64_t)e->due_ms >> (level * BITS)) % SD_WHEEL_SLOTS;
	if (level == SD_WHEEL_LEVELS - 1 && bit / BITS > level) /* beyond the last level: as far off as that reaches */
		slot = ((unsigned)((uint64_t)w->now_ms >> (level * BITS)) + SD_WHEEL_SLOTS - 1) % SD_WHEEL_SLOTS;
	sd_list_add(&w->slots[level][slot], &e->link);
	w->full[level] |= 1ull << slot;
}

void sd_wheel_set(struct sd_wheel *w, struct sd_wheel_entry *e, int64_t due_ms)
{
	sd_wheel_cancel(w, e);
	e->due_ms = due_ms;
	w->n++;
	place(w, e);
}

/* The bit of a slot that became empty stays until it is looked at. */
void sd_wheel_cancel(struct sd_wheel *w, struct sd_wheel_entry *e)
{
	if (!sd_wheel_is_set(e))
		return;
	sd_list_del(&e->link);
	e->link.next = NULL;
	w->n--;
}

/* The first slot from `from` on that is not empty, of this turn of the level; -1: none. */
static int first_full(const struct sd_wheel *w, int level, unsigned from)
{
	uint64_t bits = from < SD_WHEEL_SLOTS ? w->full[level] >> from : 0;
	return bits ? (int)from + __builtin_ctzll(bits) : -1;
}

static unsigned slot_now(const struct sd_wheel *w, int level)
{
	return (unsigned)((uint64_t)w->now_ms >> (level * BITS)) % SD_WHEEL_SLOTS;
}

/* When the next slot begins that is not empty: its level and number. INT64_MAX: all are. */
static int64_t next_slot(const struct sd_wheel *w, int *level, unsigned *slot)
{
	for (*level = 0; *level < SD_WHEEL_LEVELS; ++*level) {
		unsigned now = slot_now(w, *level);
		int at = first_full(w, *level, now + 1);
		int64_t unit = 1ll << (*level * BITS), turn = unit << BITS;
		int64_t begin = (int64_t)((uint64_t)w->now_ms & ~((uint64_t)turn - 1));
		if (at < 0 && *level == SD_WHEEL_LEVELS - 1) { /* it alone goes round */
			at = first_full(w, *level, 0);
			begin += turn;
		}
		if (at < 0)
			continue;
		*slot = (unsigned)at;
		return begin + at * unit;
	}
	return INT64_MAX;
}

int64_t sd_wheel_next(const struct sd_wheel *w)
{
	int level;
	unsigned slot;
	if (!sd_list_empty(&w->due))
		return w->now_ms;
	return w->n ? next_slot(w, &level, &slot) : INT64_MAX;
}

/* Time comes to the beginning of this slot: what is in it finds its place anew, on a lower level or among the due. */
static void open_slot(struct sd_wheel *w, int level, unsigned slot, int64_t at)
{
	struct sd_link *from = &w->slots[level][slot], all;
	w->now_ms = at;
	w->full[level] &= ~(1ull << slot);
	sd_list_init(&all);
	while (!sd_list_empty(from)) {
		struct sd_link *l = from->next;
		sd_list_del(l);
		sd_list_add(&all, l);
	}
	while (!sd_list_empty(&all)) {
		struct sd_link *l = all.next;
		sd_list_del(l);
		place(w, sd_container(l, struct sd_wheel_entry, link));
	}
}

struct sd_wheel_entry *sd_wheel_pop(struct sd_wheel *w, int64_t now_ms)
{
	int level;
	unsigned slot;
	while (sd_list_empty(&w->due)) {
		int64_t at = next_slot(w, &level, &slot);
		if (at > now_ms) {
			if (now_ms > w->now_ms && at == INT64_MAX)
				w->now_ms = now_ms;
			return NULL;
		}
		open_slot(w, level, slot, at);
	}
	struct sd_wheel_entry *e = sd_container(w->due.next, struct sd_wheel_entry, link);
	sd_wheel_cancel(w, e);
	return e;
}

/* ---- looking at what is not due ---- */

/* Its first entry becomes the last. */
static struct sd_wheel_entry *in_turn(struct sd_link *slot)
{
	struct sd_link *l = slot->next;
	if (l == slot)
		return NULL;
	sd_list_del(l);
	sd_list_add(slot, l);
	return sd_container(l, struct sd_wheel_entry, link);
}

/* The first slot that has something, in the order of time; NULL: none has. */
static struct sd_link *first_slot(struct sd_wheel *w)
{
	if (!sd_list_empty(&w->due))
		return &w->due;
	for (int level = 0; level < SD_WHEEL_LEVELS; level++)
		for (int at = first_full(w, level, slot_now(w, level) + 1); at >= 0; at = first_full(w, level, (unsigned)at + 1))
			if (!sd_list_empty(&w->slots[level][at]))
				return &w->slots[level][at];
	/* what is beyond the last level may stand before now there */
	for (int at = first_full(w, SD_WHEEL_LEVELS - 1, 0); at >= 0; at = first_full(w, SD_WHEEL_LEVELS - 1, (unsigned)at + 1))
		if (!sd_list_empty(&w->slots[SD_WHEEL_LEVELS - 1][at]))
			return &w->slots[SD_WHEEL_LEVELS - 1][at];
	return NULL;
}

size_t sd_wheel_soon(struct sd_wheel *w, struct sd_wheel_entry **out, size_t max)
{
	struct sd_link *slot = w->n ? first_slot(w) : NULL;
	size_t n = 0;
	while (slot && n < max) {
		struct sd_wheel_entry *e = in_turn(slot);
		if (n && e == out[0])
			break;
		out[n++] = e;
	}
	return n;
}

struct sd_wheel_entry *sd_wheel_any(struct sd_wheel *w, uint64_t random)
{
	struct sd_wheel_entry *e = NULL;
	unsigned level = (unsigned)(random % SD_WHEEL_LEVELS), from = (unsigned)(random >> 32) % SD_WHEEL_SLOTS;
	for (int k = 0; w->n && !e && k < SD_WHEEL_LEVELS; k++, level = (level + 1) % SD_WHEEL_LEVELS)
		for (int half = 0; !e && half < 2; half++) /* from there on, then from the beginning */
			for (int at = first_full(w, (int)level, half ? 0 : from); at >= 0 && !e;
			     at = first_full(w, (int)level, (unsigned)at + 1))
				e = in_turn(&w->slots[level][at]);
	return e ? e : in_turn(&w->due);
}
