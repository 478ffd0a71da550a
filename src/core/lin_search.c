/* The search for one key.
 *
 * The calls and returns form a list in the order of time. What stands before the first return in it may come
 * next; to try an operation is to take its call and return out of the list, and to give up is to put them
 * back (Wing and Gong). Which operations were taken is told by the front, the first return in the list, and
 * by those that were taken although their return comes later: everything that returned before the front was
 * taken, and nothing that was called after it. This short form, with the state, is what is remembered (Lowe):
 * no branch is entered twice, and the memory for one does not grow with the history.
 *
 * Invariants:
 *   1. The list holds the calls and returns of just those operations that are not on the trail.
 *   2. ahead[] holds those on the trail whose return is after the front.
 *   3. An eager operation that is possible is taken at once, and no other is tried in its place (see
 * SD_LIN_EAGER).
 *   4. Each frame has a configuration of its own, in the memo, which holds its state.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lin_int.h"

#define NOWHERE UINT32_MAX

struct event {
	uint32_t prev, next;
	uint32_t op;
	bool is_return;
};

struct frame {
	uint32_t config;      /* in the memo */
	uint32_t front;       /* event */
	uint32_t trail;       /* its length before what led here */
	uint32_t choice, end; /* in choices[]: next to try, behind the last */
};

enum { DEEPEST_MOST = 64 };

struct search {
	const struct sd_lin_model *model;
	const struct sd_operation *ops;
	uint32_t n;
	struct event *events; /* 0 is before all, nevents - 1 behind all */
	uint32_t nevents;
	uint32_t *call, *ret; /* by operation: its events; ret NOWHERE when there is no answer */
	int64_t *rank;
	unsigned char *traits;
	uint32_t *trail, ntrail;
	uint32_t *ahead, nahead;
	uint32_t *place; /* by operation: in ahead[] */
	struct frame *frames;
	uint32_t nframes;
	uint32_t *choices; /* of all frames */
	size_t nchoices, choices_room;
	int64_t *state, *next; /* two states of nstate and up to GROWTH words more */
	size_t nstate;
	int64_t *key; /* a configuration in the making */
	struct sd_lin_memo memo;
	uint64_t steps, most;
	size_t bytes;     /* beside the memo */
	uint32_t deepest; /* front that was reached; in which configurations */
	uint32_t at_deepest[DEEPEST_MOST], nat_deepest;
};

/* ---- the list ---- */

static void lift_event(struct search *s, uint32_t at)
{
	struct event *e = &s->events[at];
	s->events[e->prev].next = e->next;
	s->events[e->next].prev = e->prev;
}

static void drop_event(struct search *s, uint32_t at)
{
	struct event *e = &s->events[at];
	s->events[e->prev].next = at;
	s->events[e->next].prev = at;
}

static void take_op(struct search *s, uint32_t op)
{
	lift_event(s, s->call[op]);
	if (s->ret[op] != NOWHERE)
		lift_event(s, s->ret[op]);
	s->trail[s->ntrail++] = op;
}

static void untake_op(struct search *s)
{
	uint32_t op = s->trail[--s->ntrail];
	if (s->ret[op] != NOWHERE)
		drop_event(s, s->ret[op]);
	drop_event(s, s->call[op]);
}

/* ---- what is ahead of the front ---- */

static void ahead_add(struct search *s, uint32_t op)
{
	s->place[op] = s->nahead;
	s->ahead[s->nahead++] = op;
}

static void ahead_del(struct search *s, uint32_t op)
{
	uint32_t last = s->ahead[--s->nahead];
	s->ahead[s->place[op]] = last;
	s->place[last] = s->place[op];
}

/* After the operations from `trail` on were taken, the front moves. */
static void advance(struct search *s, uint32_t trail, uint32_t from, uint32_t to)
{
	for (uint32_t i = trail; i < s->ntrail; i++)
		if (s->ret[s->trail[i]] > from)
			ahead_add(s, s->trail[i]);
	for (uint32_t at = from + 1; at < to; at++)
		if (s->events[at].is_return)
			ahead_del(s, s->events[at].op);
}

/* As if advance and what was taken had not been. */
static void retreat(struct search *s, uint32_t trail, uint32_t from, uint32_t to)
{
	for (uint32_t at = to - 1; to > 0 && at > from; at--)
		if (s->events[at].is_return)
			ahead_add(s, s->events[at].op);
	while (s->ntrail > trail) {
		uint32_t op = s->trail[s->ntrail - 1];
		if (s->ret[op] > from)
			ahead_del(s, op);
		untake_op(s);
	}
}

/* ---- steps ---- */

/* Whether op is possible in s->state; what comes after is in s->next. Long states cost more. */
static bool possible(struct search *s, uint32_t op, size_t *nnext)
{
	s->steps += 1 + s->nstate / 16;
	return s->model->step(s->state, s->nstate, &s->ops[op], s->next, nnext);
}

static void enter_next(struct search *s, size_t nnext)
{
	int64_t *state = s->state;
	s->state = s->next;
	s->next = state;
	s->nstate = nnext;
}

/* Takes what is pure and possible; *eager is the one to take next of those that are only eager, the first
 * answered. Returns the front. */
static uint32_t take_pure(struct search *s, uint32_t *eager)
{
	size_t nnext;
	uint32_t before = 0, at; /* before: stays in the list, whatever is taken */
	*eager = NOWHERE;
	while (at = s->events[before].next, !s->events[at].is_return) {
		uint32_t op = s->events[at].op;
		unsigned traits = s->traits[op];
		bool first = *eager == NOWHERE || s->ret[op] < s->ret[*eager];
		s->steps++;
		if (traits & SD_LIN_PURE && possible(s, op, &nnext)) {
			take_op(s, op);
			continue;
		}
		if (traits == SD_LIN_EAGER && first && possible(s, op, &nnext))
			*eager = op;
		before = at;
	}
	return at;
}

static uint32_t take_eager(struct search *s)
{
	uint32_t op, front;
	size_t nnext = 0;
	while ((front = take_pure(s, &op)), op != NOWHERE) {
		possible(s, op, &nnext);
		enter_next(s, nnext);
		take_op(s, op);
	}
	return front;
}

/* ---- configurations ---- */

static int by_number(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;
	return x < y ? -1 : x > y;
}

enum { KEY_HEAD = 2 };

/* Front and how many are ahead; length of the state; the state; those ahead, in order, two a word. */
static size_t make_key(struct search *s, uint32_t front)
{
	int64_t *k = s->key;
	uint32_t *sorted =
	    s->trail + s->ntrail; /* free up to n, and what is ahead is on the trail: see new_search */
	memcpy(sorted, s->ahead, s->nahead * sizeof(*sorted));
	if (s->nahead > 1)
		qsort(sorted, s->nahead, sizeof(*sorted), by_number);
	*k++ = (int64_t)((uint64_t)s->nahead << 32 | front);
	*k++ = (int64_t)s->nstate;
	memcpy(k, s->state, s->nstate * sizeof(*k));
	k += s->nstate;
	for (uint32_t i = 0; i < s->nahead; i += 2)
		*k++ = (int64_t)((uint64_t)sorted[i] << 32 | (i + 1 < s->nahead ? sorted[i + 1] : NOWHERE));
	return (size_t)(k - s->key);
}

static void load_state(struct search *s, uint32_t config)
{
	const int64_t *k = sd_lin_memo_words(&s->memo, config);
	s->nstate = (size_t)k[1];
	memcpy(s->state, k + KEY_HEAD, s->nstate * sizeof(*k));
}

static void note_depth(struct search *s, uint32_t front, uint32_t config)
{
	if (front > s->deepest) {
		s->deepest = front;
		s->nat_deepest = 0;
	}
	if (front == s->deepest && s->nat_deepest < DEEPEST_MOST)
		s->at_deepest[s->nat_deepest++] = config;
}

static bool grow_choices(struct search *s)
{
	size_t room = s->choices_room ? 2 * s->choices_room : 64;
	uint32_t *choices = realloc(s->choices, room * sizeof(*choices));
	if (!choices)
		return false;
	s->bytes += (room - s->choices_room) * sizeof(*choices);
	s->choices = choices;
	s->choices_room = room;
	return true;
}

/* Insertion, because there are few and they come almost in order. */
static void sort_choices(struct search *s, size_t first)
{
	for (size_t i = first + 1; i < s->nchoices; i++) {
		uint32_t op = s->choices[i];
		size_t at = i;
		for (; at > first && s->rank[s->choices[at - 1]] > s->rank[op]; at--)
			s->choices[at] = s->choices[at - 1];
		s->choices[at] = op;
		s->steps += (i - at) / 16;
	}
}

/* What may be tried in the present configuration, which becomes a frame. */
static bool push_frame(struct search *s, uint32_t config, uint32_t front, uint32_t trail)
{
	size_t first = s->nchoices;
	for (uint32_t at = s->events[0].next; !s->events[at].is_return; at = s->events[at].next) {
		s->steps++;
		if (s->traits[s->events[at].op])
			continue;
		if ((s->nchoices == s->choices_room && !grow_choices(s)) || s->nchoices >= NOWHERE)
			return false;
		s->choices[s->nchoices++] = s->events[at].op;
	}
	sort_choices(s, first);
	s->frames[s->nframes++] =
	    (struct frame){config, front, trail, (uint32_t)first, (uint32_t)s->nchoices};
	return true;
}

static void pop_frame(struct search *s)
{
	const struct frame *f = &s->frames[--s->nframes];
	uint32_t from = s->nframes ? s->frames[s->nframes - 1].front : 0;
	retreat(s, f->trail, from, f->front);
	s->nchoices = s->nframes ? s->frames[s->nframes - 1].end : 0;
}

/* ---- the search ---- */

enum went { DEEPER, BACK, DONE, NO_STEPS, NO_BYTES };

/* After something was taken from `trail` on, in a frame whose front was `from`: what is eager, and a frame of
 * its own if it leads to something new. */
static enum went settle(struct search *s, uint32_t trail, uint32_t from)
{
	uint32_t config, front = take_eager(s);
	if (front == s->nevents - 1)
		return DONE;
	advance(s, trail, from, front);
	enum sd_lin_put put = sd_lin_memo_put(&s->memo, s->key, make_key(s, front), &config);
	if (put == SD_LIN_SEEN) {
		retreat(s, trail, from, front);
		return BACK;
	}
	if (put == SD_LIN_FULL)
		return NO_BYTES;
	note_depth(s, front, config);
	return push_frame(s, config, front, trail) ? DEEPER : NO_BYTES;
}

static enum went try_choice(struct search *s, struct frame *f)
{
	uint32_t op = s->choices[f->choice++], trail = s->ntrail;
	size_t nnext = 0;
	load_state(s, f->config);
	if (!possible(s, op, &nnext))
		return BACK;
	enter_next(s, nnext);
	take_op(s, op);
	return settle(s, trail, f->front);
}

static enum went run(struct search *s)
{
	s->nstate = s->model->init(s->state);
	enum went went = settle(s, 0, 0);
	while (went <= BACK && s->nframes > 0) {
		struct frame *f = &s->frames[s->nframes - 1];
		if (s->steps > s->most)
			return NO_STEPS;
		if (s->bytes + s->memo.bytes > s->memo.most)
			return NO_BYTES;
		if (f->choice < f->end)
			went = try_choice(s, f);
		else
			pop_frame(s);
	}
	return went;
}

/* ---- making ready ---- */

struct stamp {
	int64_t at;
	uint32_t op;
	bool is_return;
};

/* Calls before returns of the same time: these overlap. */
static int by_time(const void *a, const void *b)
{
	const struct stamp *x = a, *y = b;
	if (x->at != y->at)
		return x->at < y->at ? -1 : 1;
	if (x->is_return != y->is_return)
		return x->is_return ? 1 : -1;
	return x->op < y->op ? -1 : x->op > y->op;
}

static uint32_t stamp_all(struct search *s, struct stamp *stamps)
{
	uint32_t n = 0;
	for (uint32_t i = 0; i < s->n; i++) {
		stamps[n++] = (struct stamp){s->ops[i].invoked, i, false};
		if (s->ops[i].outcome == SD_OUTCOME_OK)
			stamps[n++] = (struct stamp){s->ops[i].answered, i, true};
	}
	qsort(stamps, n, sizeof(*stamps), by_time);
	return n;
}

static bool link_events(struct search *s)
{
	struct stamp *stamps = malloc((2 * (size_t)s->n + 1) * sizeof(*stamps));
	if (!stamps)
		return false;
	uint32_t n = stamp_all(s, stamps);
	memset(s->ret, 0xff, s->n * sizeof(*s->ret));
	s->nevents = n + 2;
	for (uint32_t i = 0; i < s->nevents; i++)
		s->events[i] = (struct event){i - 1, i + 1, NOWHERE, i > 0};
	for (uint32_t i = 1; i <= n; i++) {
		const struct stamp *t = &stamps[i - 1];
		s->events[i].op = t->op;
		s->events[i].is_return = t->is_return;
		*(t->is_return ? &s->ret[t->op] : &s->call[t->op]) = i;
	}
	free(stamps);
	return true;
}

static void rank_all(struct search *s)
{
	for (uint32_t i = 0; i < s->n; i++) {
		s->traits[i] = (unsigned char)s->model->traits(&s->ops[i]);
		s->rank[i] = s->ops[i].answered;
	}
	if (s->model->rank)
		s->model->rank(s->ops, s->n, s->rank);
}

static void *part(struct search *s, size_t n, size_t size)
{
	s->bytes += n * size;
	return malloc(n * size);
}

static bool allocate(struct search *s)
{
	size_t n = s->n + 1;
	s->events = part(s, 2 * n, sizeof(*s->events));
	s->call = part(s, n, sizeof(*s->call));
	s->ret = part(s, n, sizeof(*s->ret));
	s->rank = part(s, n, sizeof(*s->rank));
	s->traits = part(s, n, 1);
	s->trail = part(s, 2 * n, sizeof(*s->trail)); /* twice: make_key sorts behind it */
	s->ahead = part(s, n, sizeof(*s->ahead));
	s->place = part(s, n, sizeof(*s->place));
	s->frames = part(s, n, sizeof(*s->frames));
	s->state = part(s, n * SD_LIN_GROWTH, sizeof(*s->state));
	s->next = part(s, n * SD_LIN_GROWTH, sizeof(*s->next));
	s->key = part(s, n * (SD_LIN_GROWTH + 1) + KEY_HEAD, sizeof(*s->key));
	return s->events && s->call && s->ret && s->rank && s->traits && s->trail && s->ahead && s->place &&
	       s->frames && s->state && s->next && s->key;
}

static void release(struct search *s)
{
	void *parts[] = {s->events, s->call,   s->ret,   s->rank, s->traits, s->trail,  s->ahead,
			 s->place,  s->frames, s->state, s->next, s->key,    s->choices};
	for (size_t i = 0; i < sizeof(parts) / sizeof(parts[0]); i++)
		free(parts[i]);
	sd_lin_memo_free(&s->memo);
}

/* ---- what was found ---- */

static void add_state(struct sd_lin_found *found, const char *text)
{
	for (size_t i = 0; i < found->nstates; i++)
		if (strcmp(found->states[i], text) == 0)
			return;
	if (found->nstates == SD_LIN_STATES_MOST) {
		found->more_states = true;
		return;
	}
	snprintf(found->states[found->nstates++], sizeof(found->states[0]), "%s", text);
}

static void tell_violation(struct search *s, struct sd_lin_found *found)
{
	char text[sizeof(found->states[0])];
	found->verdict = SD_VERDICT_VIOLATED;
	found->stuck = s->events[s->deepest].op;
	for (uint32_t i = 0; i < s->nat_deepest; i++) {
		load_state(s, s->at_deepest[i]);
		s->model->describe(s->state, s->nstate, text, sizeof(text));
		add_state(found, text);
	}
	found->more_states |= s->nat_deepest == DEEPEST_MOST;
}

static void tell(struct search *s, enum went went, struct sd_lin_found *found)
{
	if (went == DONE)
		found->verdict = SD_VERDICT_OK;
	else if (went == NO_STEPS)
		found->why = "out of steps";
	else if (went == NO_BYTES)
		found->why = "out of memory for configurations";
	else
		tell_violation(s, found);
	found->steps = s->steps;
	found->bytes = s->bytes + s->memo.bytes;
}

void sd_lin_search(const struct sd_lin_model *model, const struct sd_operation *ops, size_t n, uint64_t steps,
		   size_t bytes, struct sd_lin_found *found)
{
	struct search s = {.model = model, .ops = ops, .n = (uint32_t)n, .most = steps, .memo.most = bytes};
	*found = (struct sd_lin_found){.verdict = SD_VERDICT_UNKNOWN, .why = "out of memory"};
	if (n <= SD_HISTORY_MOST && allocate(&s) && link_events(&s)) {
		rank_all(&s);
		found->why = NULL;
		tell(&s, run(&s), found);
	}
	release(&s);
}
