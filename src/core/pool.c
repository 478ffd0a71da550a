/* pool.c - the engine. Between two calls it is true that
 *
 *   1. pool_size(p) <= max_size, unless max_size was lowered
 *   2. when somebody waits, nothing is idle, or as many are being checked as wait
 *   3. nothing more could be opened for who waits without breaking max_size, max_opening or the backoff
 *   4. the queue has at most max_waiters more than are being opened, checked and closed
 *   5. lent is in the order of lending, idle in the order of coming back; so the first of either is the next that is due
 */
#include "pool_int.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backoff.h"

#define SECOND_NS 1000000000ll

const struct sd_pool_conf sd_pool_defaults = {
    .max_size = 10,
    .max_idle = SD_POOL_NO_LIMIT,
    .max_waiters = 1000,
    .max_opening = 4,
    .idle_timeout_ns = 300 * SECOND_NS,
    .max_lifetime_ns = 1800 * SECOND_NS,
    .jitter = 0.1,
    .check_after_ns = SECOND_NS / 2,
    .backoff_ns = SECOND_NS / 10,
    .max_backoff_ns = 10 * SECOND_NS,
    .leak_ns = SD_POOL_NEVER,
    .reclaim_ns = SD_POOL_NEVER,
    .histogram = true,
};

/* ---- slots ---- */

/* a + b, where either may be forever. */
static int64_t after(int64_t a, int64_t b)
{
	return b >= SD_POOL_NEVER - a ? SD_POOL_NEVER : a + b;
}

static void state(struct sd_pool *p, struct slot *s, enum slot_state to)
{
	p->n[s->state]--;
	p->n[to]++;
	s->state = (uint8_t)to;
}

static struct slot *more_slots(struct sd_pool *p)
{
	if (p->nslots == p->room) {
		uint32_t room = p->room ? 2 * p->room : 8;
		struct slot **slots = realloc(p->slots, room * sizeof(struct slot *));
		if (!slots)
			return NULL;
		p->slots = slots;
		p->room = room;
	}
	struct slot *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	s->index = p->nslots;
	sd_list_init(&s->link);
	p->slots[p->nslots++] = s;
	p->n[SLOT_FREE]++;
	return s;
}

static struct slot *new_slot(struct sd_pool *p)
{
	if (sd_list_empty(&p->free))
		return more_slots(p);
	struct slot *s = sd_container(p->free.next, struct slot, link);
	sd_list_del(&s->link);
	return s;
}

static void free_slot(struct sd_pool *p, struct slot *s)
{
	sd_list_del(&s->link);
	s->resource = NULL;
	s->number = 0;
	state(p, s, SLOT_FREE);
	sd_list_push(&p->free, &s->link);
}

static void begin_life(struct sd_pool *p, struct slot *s, int64_t now_ns)
{
	int64_t life = p->conf.max_lifetime_ns;
	p->count.opened++;
	if (life < SD_POOL_NEVER && p->conf.jitter > 0)
		life -= (int64_t)((double)life * p->conf.jitter * sd_rng_unit(&p->rng));
	s->expires_ns = after(now_ns, life);
	if (s->expires_ns < p->lives_due_ns)
		p->lives_due_ns = s->expires_ns;
}

/* Takes it out of what it is in. */
static void detach(struct sd_pool *p, struct slot *s)
{
	if (p->unsaid == s)
		p->unsaid = s->link.next == &p->lent ? NULL : sd_container(s->link.next, struct slot, link);
	sd_list_del(&s->link);
}

static void to_close(struct sd_pool *p, struct slot *s, enum sd_pool_why why)
{
	detach(p, s);
	s->why = (uint8_t)why;
	s->number = 0;
	p->count.closed[why]++;
	p->count.destroyed++;
	state(p, s, SLOT_CLOSING);
	sd_list_add(&p->todo, &s->link);
}

static bool quiet(const struct sd_pool *p, const struct slot *s)
{
	return !p->conf.quiet || p->conf.quiet(p->conf.arg, s->resource);
}

/* ---- lending ---- */

static void lend(struct sd_pool *p, struct slot *s, int64_t now_ns, const struct sd_pool_holder *holder, struct sd_pool_lease *out)
{
	detach(p, s);
	sd_list_add(&p->lent, &s->link);
	state(p, s, SLOT_LENT);
	if (!p->unsaid)
		p->unsaid = s;
	s->number = ++p->issued;
	s->since_ns = now_ns;
	s->holder = *holder;
	*out = (struct sd_pool_lease){s->resource, s->number, s->index};
}

static void grant(struct sd_pool *p, struct slot *s, int64_t now_ns)
{
	struct sd_pool_waiter *w = p->queue.first;
	int64_t waited = now_ns - w->since_ns;
	lend(p, s, now_ns, &w->holder, &w->lease);
	p->count.waited++;
	p->count.wait_ns += waited;
	if (waited > p->count.longest_wait_ns)
		p->count.longest_wait_ns = waited;
	if (p->waits)
		sd_hdr_record(p->waits, waited, 1);
	pool_answer(p, w, SD_OK);
}

static void to_check(struct sd_pool *p, struct slot *s)
{
	detach(p, s);
	state(p, s, SLOT_CHECKING);
	sd_list_add(&p->todo, &s->link);
}

static void to_idle(struct sd_pool *p, struct slot *s, int64_t now_ns)
{
	if (p->n[SLOT_IDLE] >= p->conf.max_idle || pool_size(p) > p->conf.max_size) {
		to_close(p, s, SD_POOL_SURPLUS);
		return;
	}
	detach(p, s);
	state(p, s, SLOT_IDLE);
	s->number = 0;
	s->since_ns = now_ns;
	if (s->expires_ns < p->lives_due_ns)
		p->lives_due_ns = s->expires_ns;
	sd_list_push(&p->idle, &s->link);
}

/* What came back, was opened, or passed its check (`sure`: it needs none) goes to who waits, or is idle. */
static void offer(struct sd_pool *p, struct slot *s, int64_t now_ns, bool sure)
{
	if (p->shut)
		to_close(p, s, SD_POOL_SHUT);
	else if (now_ns >= s->expires_ns)
		to_close(p, s, SD_POOL_LIFETIME);
	else if (!p->nwaiting)
		to_idle(p, s, now_ns);
	else if (pool_size(p) > p->conf.max_size)
		to_close(p, s, SD_POOL_SURPLUS);
	else if (!quiet(p, s))
		to_close(p, s, SD_POOL_NOT_QUIET);
	else if (!sure && p->conf.check_after_ns == 0)
		to_check(p, s);
	else
		grant(p, s, now_ns);
}

/* The idle one to be lent next; what is not fit for it is closed on the way. NULL: none. */
static struct slot *candidate(struct sd_pool *p, int64_t now_ns)
{
	while (!sd_list_empty(&p->idle)) {
		struct sd_link *k = p->conf.fifo ? p->idle.prev : p->idle.next;
		struct slot *s = sd_container(k, struct slot, link);
		if (now_ns >= s->expires_ns)
			to_close(p, s, SD_POOL_LIFETIME);
		else if (now_ns - s->since_ns >= p->conf.idle_timeout_ns && p->n[SLOT_IDLE] > p->conf.min_idle)
			to_close(p, s, SD_POOL_IDLE_TIMEOUT);
		else if (!quiet(p, s))
			to_close(p, s, SD_POOL_NOT_QUIET);
		else
			return s;
	}
	return NULL;
}

static bool wants_check(const struct sd_pool *p, const struct slot *s, int64_t now_ns)
{
	return now_ns - s->since_ns >= p->conf.check_after_ns;
}

/* ---- opening ---- */

static bool may_open(const struct sd_pool *p, int64_t now_ns)
{
	uint32_t at_once = p->failures ? 1 : p->conf.max_opening;
	return !p->shut && now_ns >= p->retry_ns && p->n[SLOT_OPENING] < at_once && pool_size(p) < p->conf.max_size;
}

/* Opened and checked for who waits, or ahead. */
static uint32_t coming(const struct sd_pool *p)
{
	return p->n[SLOT_OPENING] + p->n[SLOT_CHECKING];
}

static bool lacks(const struct sd_pool *p)
{
	return (uint64_t)p->n[SLOT_IDLE] + coming(p) < (uint64_t)p->nwaiting + p->conf.min_idle;
}

static void failed(struct sd_pool *p, int64_t now_ns, const char *why)
{
	struct sd_backoff wait = {p->conf.backoff_ns, p->conf.max_backoff_ns, SD_GROW_DOUBLING, 0.5};
	p->failures++;
	p->count.open_failures++;
	p->retry_ns = after(now_ns, sd_backoff(&wait, p->failures, sd_rng_unit(&p->rng)));
	snprintf(p->last_failure, sizeof(p->last_failure), "%s", why);
}

static bool open_one(struct sd_pool *p, int64_t now_ns)
{
	struct slot *s = new_slot(p);
	if (!s) {
		failed(p, now_ns, "out of memory");
		return false;
	}
	state(p, s, SLOT_OPENING);
	sd_list_add(&p->todo, &s->link);
	return true;
}

/* How many may wait: for each room that is being made, one more. */
static uint64_t most_waiting(const struct sd_pool *p)
{
	return (uint64_t)p->conf.max_waiters + coming(p) + p->n[SLOT_CLOSING];
}

/* Those for whom nothing is coming any more. */
static void refuse_last(struct sd_pool *p)
{
	while (p->nwaiting > most_waiting(p)) {
		p->count.refused++;
		pool_answer(p, p->queue.last, SD_EEXHAUSTED);
	}
}

/* Makes 2, 3 and 4 true again. */
static void provide(struct sd_pool *p, int64_t now_ns)
{
	/* Also when enough are being opened: a check is sooner done. */
	while (p->nwaiting > p->n[SLOT_CHECKING]) {
		struct slot *s = candidate(p, now_ns);
		if (!s)
			break;
		if (wants_check(p, s, now_ns))
			to_check(p, s);
		else
			grant(p, s, now_ns);
	}
	while (lacks(p) && may_open(p, now_ns) && open_one(p, now_ns))
		;
	if (p->nwaiting > p->conf.max_waiters)
		refuse_last(p);
}

static void settle(struct sd_pool *p, int64_t now_ns)
{
	if (lacks(p))
		provide(p, now_ns);
}

/* ---- a pool ---- */

static const char *wrong(const struct sd_pool_conf *c)
{
	if (c->max_size < 1)
		return "max_size: expected 1 or more";
	if (c->max_opening < 1)
		return "max_opening: expected 1 or more";
	if (c->min_idle > c->max_size || c->min_idle > c->max_idle)
		return "min_idle: expected no more than max_size and max_idle";
	if (!(c->jitter >= 0 && c->jitter < 1))
		return "jitter: expected 0 or more, below 1";
	if (c->idle_timeout_ns < 0 || c->max_lifetime_ns < 1 || c->check_after_ns < 0)
		return "idle_timeout_ns, max_lifetime_ns, check_after_ns: expected a time or SD_POOL_NEVER";
	if (c->backoff_ns < 0 || c->max_backoff_ns < c->backoff_ns || c->max_backoff_ns > SD_POOL_NEVER / 4)
		return "backoff_ns: expected no more than max_backoff_ns, and that to end one day";
	if (c->leak_ns < 1 || c->reclaim_ns < 1)
		return "leak_ns, reclaim_ns: expected a time above 0 or SD_POOL_NEVER";
	return NULL;
}

enum sd_err sd_pool_new(const struct sd_pool_conf *conf, uint64_t seed, struct sd_pool **out, struct sd_error *e)
{
	const char *why = wrong(conf);
	*out = NULL;
	if (why)
		return sd_fail(e, SD_EINVAL, "%s", why);
	struct sd_pool *p = calloc(1, sizeof(*p));
	if (p && conf->histogram)
		p->waits = sd_hdr_new(1000, 3600 * SECOND_NS, 2);
	if (!p || (conf->histogram && !p->waits)) {
		free(p);
		return sd_fail(e, SD_ENOMEM, "out of memory");
	}
	p->conf = *conf;
	p->lives_due_ns = conf->min_idle ? 0 : SD_POOL_NEVER; /* what is opened ahead is due at once */
	sd_rng_seed(&p->rng, seed);
	sd_list_init(&p->free);
	sd_list_init(&p->idle);
	sd_list_init(&p->lent);
	sd_list_init(&p->todo);
	*out = p;
	return SD_OK;
}

void sd_pool_free(struct sd_pool *p)
{
	if (!p)
		return;
	for (uint32_t i = 0; i < p->nslots; i++)
		free(p->slots[i]);
	free(p->slots);
	sd_hdr_free(p->waits);
	free(p);
}

enum sd_err sd_pool_configure(struct sd_pool *p, const struct sd_pool_conf *conf, int64_t now_ns, struct sd_error *e)
{
	const char *why = wrong(conf);
	if (why)
		return sd_fail(e, SD_EINVAL, "%s", why);
	p->conf = *conf;
	while (!sd_list_empty(&p->idle) && (p->n[SLOT_IDLE] > conf->max_idle || pool_size(p) - p->n[SLOT_CLOSING] > conf->max_size))
		to_close(p, sd_container(p->idle.prev, struct slot, link), SD_POOL_SURPLUS);
	provide(p, now_ns);
	return SD_OK;
}

/* ---- what is asked ---- */

enum sd_err sd_pool_take(struct sd_pool *p, int64_t now_ns, const struct sd_pool_holder *holder, struct sd_pool_lease *out)
{
	struct slot *s = p->nwaiting ? NULL : candidate(p, now_ns);
	if (!s || wants_check(p, s, now_ns))
		return p->shut ? SD_ECANCELED : SD_EAGAIN;
	lend(p, s, now_ns, holder, out);
	p->count.reused++;
	p->served_at_once++;
	if (p->conf.min_idle)
		settle(p, now_ns);
	return SD_OK;
}

enum sd_err sd_pool_borrow(struct sd_pool *p, int64_t now_ns, struct sd_pool_waiter *w)
{
	w->err = sd_pool_take(p, now_ns, &w->holder, &w->lease);
	w->since_ns = now_ns;
	if (w->err != SD_EAGAIN)
		return w->err;
	if (sd_list_empty(&p->idle) && p->nwaiting >= most_waiting(p) && !may_open(p, now_ns)) {
		p->count.refused++;
		w->ahead = p->nwaiting;
		return w->err = SD_EEXHAUSTED;
	}
	pool_enqueue(p, w, now_ns);
	provide(p, now_ns);
	return SD_EAGAIN;
}

enum sd_err sd_pool_add(struct sd_pool *p, int64_t now_ns, void *resource, const struct sd_pool_holder *holder,
			struct sd_pool_lease *out)
{
	if (p->shut)
		return SD_ECANCELED;
	if (p->nwaiting || pool_size(p) >= p->conf.max_size)
		return SD_EEXHAUSTED;
	struct slot *s = new_slot(p);
	if (!s)
		return SD_ENOMEM;
	s->resource = resource;
	begin_life(p, s, now_ns);
	lend(p, s, now_ns, holder, out);
	p->served_at_once++;
	return SD_OK;
}

bool sd_pool_leave(struct sd_pool *p, int64_t now_ns, struct sd_pool_waiter *w)
{
	if (w->pool.place == WAITER_DONE)
		pool_forget_done(p, w);
	if (w->pool.place != WAITER_QUEUED)
		return false;
	pool_dequeue(p, w);
	if (now_ns >= w->deadline_ns)
		p->count.timeouts++;
	else
		p->count.gave_up++;
	return true;
}

/* The slot of a lease that still is one; NULL: *err says why not. */
static struct slot *slot_of(struct sd_pool *p, const struct sd_pool_lease *lease, enum sd_err *err)
{
	struct slot *s = lease->slot < p->nslots ? p->slots[lease->slot] : NULL;
	*err = SD_EINVAL;
	if (!s || !lease->number)
		return NULL;
	if (s->state == SLOT_LENT && s->number == lease->number) {
		*err = SD_OK;
		return s;
	}
	for (unsigned i = 0; i < RECLAIMED_KEPT; i++)
		if (s->reclaimed[i] == lease->number) {
			s->reclaimed[i] = 0;
			p->count.late++;
			*err = SD_ECANCELED;
		}
	return NULL;
}

enum sd_err sd_pool_put(struct sd_pool *p, int64_t now_ns, const struct sd_pool_lease *lease, bool broken)
{
	enum sd_err err;
	struct slot *s = slot_of(p, lease, &err);
	if (!s)
		return err;
	p->count.held_ns += now_ns - s->since_ns;
	if (broken)
		to_close(p, s, SD_POOL_BROKEN);
	else
		offer(p, s, now_ns, false);
	settle(p, now_ns);
	return SD_OK;
}

static void forget(struct sd_pool *p, struct slot *s, int64_t now_ns)
{
	detach(p, s);
	free_slot(p, s);
	settle(p, now_ns);
}

enum sd_err sd_pool_take_out(struct sd_pool *p, int64_t now_ns, const struct sd_pool_lease *lease)
{
	enum sd_err err;
	struct slot *s = slot_of(p, lease, &err);
	if (!s)
		return err;
	p->count.held_ns += now_ns - s->since_ns;
	forget(p, s, now_ns);
	return SD_OK;
}

void sd_pool_lost(struct sd_pool *p, int64_t now_ns, uint32_t slot)
{
	struct slot *s = slot < p->nslots ? p->slots[slot] : NULL;
	if (!s || (s->state != SLOT_IDLE && s->state != SLOT_LENT))
		return;
	p->count.destroyed++;
	forget(p, s, now_ns);
}

static void reclaim(struct sd_pool *p, struct slot *s, enum sd_pool_why why)
{
	s->reclaimed[s->reclaims++ % RECLAIMED_KEPT] = s->number;
	to_close(p, s, why);
}

static void close_all(struct sd_pool *p, struct sd_link *list, enum sd_pool_why why)
{
	while (!sd_list_empty(list)) {
		struct slot *s = sd_container(list->next, struct slot, link);
		if (s->state == SLOT_LENT)
			reclaim(p, s, why);
		else
			to_close(p, s, why);
	}
}

void sd_pool_trim(struct sd_pool *p, int64_t now_ns)
{
	close_all(p, &p->idle, SD_POOL_SURPLUS);
	settle(p, now_ns);
}

void sd_pool_shut(struct sd_pool *p, int64_t now_ns, bool lent)
{
	(void)now_ns;
	p->shut = true;
	while (p->queue.first)
		pool_answer(p, p->queue.first, SD_ECANCELED);
	close_all(p, &p->idle, SD_POOL_SHUT);
	if (lent)
		close_all(p, &p->lent, SD_POOL_SHUT);
}

/* ---- what is reported ---- */

static struct slot *slot_in(const struct sd_pool *p, uint32_t slot, enum slot_state want)
{
	return slot < p->nslots && p->slots[slot]->state == want ? p->slots[slot] : NULL;
}

void sd_pool_opened(struct sd_pool *p, int64_t now_ns, uint32_t slot, void *resource)
{
	struct slot *s = slot_in(p, slot, SLOT_OPENING);
	if (!s)
		return;
	p->failures = 0;
	p->retry_ns = 0;
	s->resource = resource;
	s->since_ns = now_ns;
	begin_life(p, s, now_ns);
	offer(p, s, now_ns, true);
	settle(p, now_ns);
}

void sd_pool_open_failed(struct sd_pool *p, int64_t now_ns, uint32_t slot, const char *why)
{
	struct slot *s = slot_in(p, slot, SLOT_OPENING);
	if (!s)
		return;
	free_slot(p, s);
	failed(p, now_ns, why);
	provide(p, now_ns);
}

void sd_pool_checked(struct sd_pool *p, int64_t now_ns, uint32_t slot, bool good)
{
	struct slot *s = slot_in(p, slot, SLOT_CHECKING);
	if (!s)
		return;
	if (good)
		offer(p, s, now_ns, true);
	else
		to_close(p, s, SD_POOL_BAD);
	provide(p, now_ns);
}

void sd_pool_closed(struct sd_pool *p, int64_t now_ns, uint32_t slot)
{
	struct slot *s = slot_in(p, slot, SLOT_CLOSING);
	if (!s)
		return;
	free_slot(p, s);
	settle(p, now_ns);
}

/* ---- what is to be done ---- */

static int64_t idle_due(const struct sd_pool *p)
{
	if (p->n[SLOT_IDLE] <= p->conf.min_idle)
		return SD_POOL_NEVER;
	return after(sd_container(p->idle.prev, struct slot, link)->since_ns, p->conf.idle_timeout_ns);
}

static int64_t lent_due(const struct sd_pool *p)
{
	int64_t due = SD_POOL_NEVER;
	if (p->unsaid)
		due = after(p->unsaid->since_ns, p->conf.leak_ns);
	if (p->conf.reclaim_ns < SD_POOL_NEVER && !sd_list_empty(&p->lent)) {
		int64_t reclaim = after(sd_container(p->lent.next, struct slot, link)->since_ns, p->conf.reclaim_ns);
		if (reclaim < due)
			due = reclaim;
	}
	return due;
}

static int64_t time_due(const struct sd_pool *p)
{
	int64_t due = idle_due(p), other = lent_due(p);
	due = other < due ? other : due;
	other = pool_waiters_due(p);
	due = other < due ? other : due;
	due = p->lives_due_ns < due ? p->lives_due_ns : due;
	/* Until then nothing is opened, so that it may be only this that is waited for. */
	if (p->retry_ns && p->retry_ns < due && lacks(p) && may_open(p, p->retry_ns))
		due = p->retry_ns;
	return due;
}

bool sd_pool_pending(const struct sd_pool *p)
{
	return p->done.first || !sd_list_empty(&p->todo);
}

int64_t sd_pool_due(const struct sd_pool *p)
{
	return sd_pool_pending(p) ? 0 : time_due(p);
}

static void end_lives(struct sd_pool *p, int64_t now_ns)
{
	int64_t due = SD_POOL_NEVER;
	for (uint32_t i = 0; i < p->nslots; i++) {
		struct slot *s = p->slots[i];
		if (s->state != SLOT_IDLE)
			continue; /* others are looked at when they come back */
		if (now_ns >= s->expires_ns)
			to_close(p, s, SD_POOL_LIFETIME);
		else if (s->expires_ns < due)
			due = s->expires_ns;
	}
	p->lives_due_ns = due;
}

static void pass_time(struct sd_pool *p, int64_t now_ns)
{
	while (now_ns >= idle_due(p))
		to_close(p, sd_container(p->idle.prev, struct slot, link), SD_POOL_IDLE_TIMEOUT);
	if (now_ns >= p->lives_due_ns)
		end_lives(p, now_ns);
	while (!sd_list_empty(&p->lent)) {
		struct slot *s = sd_container(p->lent.next, struct slot, link);
		if (now_ns < after(s->since_ns, p->conf.reclaim_ns))
			break;
		reclaim(p, s, SD_POOL_RECLAIMED);
	}
	if (now_ns >= pool_waiters_due(p))
		pool_expire_waiters(p, now_ns);
	provide(p, now_ns);
}

static bool pop_leak(struct sd_pool *p, int64_t now_ns, struct sd_pool_act *out)
{
	struct slot *s = p->unsaid;
	if (!s || now_ns < after(s->since_ns, p->conf.leak_ns))
		return false;
	*out = (struct sd_pool_act){.what = SD_POOL_LEAK,
				    .slot = s->index,
				    .resource = s->resource,
				    .held = {s->holder, now_ns - s->since_ns, s->number}};
	p->count.leaks++;
	p->unsaid = s->link.next == &p->lent ? NULL : sd_container(s->link.next, struct slot, link);
	return true;
}

static bool pop_todo(struct sd_pool *p, int64_t now_ns, struct sd_pool_act *out)
{
	if (sd_list_empty(&p->todo))
		return false;
	struct slot *s = sd_container(p->todo.next, struct slot, link);
	sd_list_del(&s->link);
	*out = (struct sd_pool_act){
	    .what = s->state == SLOT_OPENING    ? SD_POOL_OPEN
		    : s->state == SLOT_CHECKING ? SD_POOL_CHECK
						: SD_POOL_CLOSE,
	    .slot = s->index,
	    .resource = s->resource,
	    .why = (enum sd_pool_why)s->why,
	    .age_ns = now_ns - s->since_ns,
	};
	return true;
}

static bool pop(struct sd_pool *p, int64_t now_ns, struct sd_pool_act *out)
{
	struct sd_pool_waiter *w = pool_pop_done(p);
	if (w) {
		*out = (struct sd_pool_act){.what = SD_POOL_GRANT, .waiter = w, .resource = w->lease.resource};
		return true;
	}
	return pop_todo(p, now_ns, out);
}

struct sd_pool_waiter *sd_pool_next_grant(struct sd_pool *p)
{
	return pool_pop_done(p);
}

bool sd_pool_next(struct sd_pool *p, int64_t now_ns, struct sd_pool_act *out)
{
	if (pop(p, now_ns, out))
		return true;
	if (now_ns < time_due(p))
		return false;
	if (pop_leak(p, now_ns, out))
		return true; /* before it is taken back */
	pass_time(p, now_ns);
	return pop(p, now_ns, out);
}
