/* wheel.h - deadlines of very many things: a hierarchical timer wheel (Varghese and Lauck, 1987). Pure: time is handed in.
 *
 * Setting and cancelling cost O(1) whatever their number, which a heap does not offer; each entry is moved at most once a
 * level on its way to being due. Milliseconds; eight levels of 64 slots reach 2^48 ms, what is further off waits in the last.
 *
 *	level 0: the next 64 ms, a slot each     level 1: the next 4 s, 64 ms a slot     level 2: 4 min, 4 s a slot ...
 */
#ifndef SD_CORE_WHEEL_H
#define SD_CORE_WHEEL_H

#include <stdbool.h>
#include <stdint.h>

#include "core/list.h"

#define SD_WHEEL_LEVELS 8
#define SD_WHEEL_SLOTS  64

struct sd_wheel_entry {
	struct sd_link link; /* next NULL: not set */
	int64_t due_ms;
};

struct sd_wheel {
	int64_t now_ms; /* everything due until then was given out */
	uint64_t full[SD_WHEEL_LEVELS]; /* a bit for each slot that is not empty */
	struct sd_link slots[SD_WHEEL_LEVELS][SD_WHEEL_SLOTS];
	struct sd_link due;
	size_t n;
};

void sd_wheel_init(struct sd_wheel *w, int64_t now_ms);
/* Sets it, or moves it to another time. */
void sd_wheel_set(struct sd_wheel *w, struct sd_wheel_entry *e, int64_t due_ms);
void sd_wheel_cancel(struct sd_wheel *w, struct sd_wheel_entry *e);
static inline bool sd_wheel_is_set(const struct sd_wheel_entry *e)
{
	return e->link.next;
}
/* Takes out one whose time has come by now_ms; NULL: none. Time never goes back. */
struct sd_wheel_entry *sd_wheel_pop(struct sd_wheel *w, int64_t now_ms);
/* Some of those due soonest, of the first slot that has any and so in no order; the next call goes on with others of it. They
 * stay. How many. */
size_t sd_wheel_soon(struct sd_wheel *w, struct sd_wheel_entry **out, size_t max);
/* Any one, by a random number; each slot is gone through in turn, so that in time all come. It stays. NULL: there is none. */
struct sd_wheel_entry *sd_wheel_any(struct sd_wheel *w, uint64_t random);
/* No entry is due before this; INT64_MAX: there is none. It may be earlier than the first one's time, never later. */
int64_t sd_wheel_next(const struct sd_wheel *w);

#endif
