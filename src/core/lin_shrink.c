/* Making a violation short, without making it another one: see sd_lin_check in sdlab/history.h for why this
 * is sound. */
#include <stdlib.h>
#include <string.h>

#include "core/lin_int.h"

static int by_invocation(const void *a, const void *b)
{
	const struct sd_operation *x = a, *y = b;
	if (x->invoked != y->invoked)
		return x->invoked < y->invoked ? -1 : 1;
	return x->answered < y->answered ? -1 : x->answered > y->answered;
}

/* Whether these are violated for certain. What was found is kept if so. */
static bool violated(struct sd_lin_shrink *s, const struct sd_operation *ops, size_t n)
{
	struct sd_lin_found found;
	sd_lin_search(s->model, ops, n, s->steps, s->bytes, &found);
	s->steps -= found.steps < s->steps ? found.steps : s->steps;
	s->unsure |= found.verdict == SD_VERDICT_UNKNOWN;
	if (found.verdict == SD_VERDICT_VIOLATED)
		s->found = found;
	return found.verdict == SD_VERDICT_VIOLATED;
}

/* ---- the shortest prefix ---- */

/* What had happened until `end`. */
static size_t cut(const struct sd_lin_shrink *s, int64_t end, struct sd_operation *to)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++) {
		struct sd_operation op = s->ops[i];
		if (op.invoked > end)
			continue;
		if (op.answered > end) {
			op.answered = SD_NEVER;
			op.outcome = SD_OUTCOME_UNKNOWN;
			op.result = SD_NIL;
		}
		if (!sd_lin_idle(s->model, &op))
			to[n++] = op;
	}
	return n;
}

static int by_value(const void *a, const void *b)
{
	int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
	return x < y ? -1 : x > y;
}

/* Times of answers from `least` on, each once, in order. */
static size_t ends_from(const struct sd_lin_shrink *s, int64_t least, int64_t *ends)
{
	size_t n = 0, kept = 0;
	for (size_t i = 0; i < s->n; i++)
		if (s->ops[i].answered != SD_NEVER && s->ops[i].answered >= least)
			ends[n++] = s->ops[i].answered;
	qsort(ends, n, sizeof(*ends), by_value);
	for (size_t i = 0; i < n; i++)
		if (kept == 0 || ends[kept - 1] != ends[i])
			ends[kept++] = ends[i];
	return kept;
}

/* The first end whose prefix is violated; the last one's is. It is nearly always the first: hence in growing
 * strides, then halving. */
static size_t first_end(struct sd_lin_shrink *s, const int64_t *ends, size_t n, struct sd_operation *room)
{
	size_t good = 0, bad = 0, stride = 1; /* good: so many ends are known not to be violated */
	while (bad + 1 < n && !violated(s, room, cut(s, ends[bad], room))) {
		good = bad + 1;
		bad = n - 1 - bad > stride ? bad + stride : n - 1;
		stride *= 2;
	}
	while (good < bad) {
		size_t middle = good + (bad - good) / 2;
		if (violated(s, room, cut(s, ends[middle], room)))
			bad = middle;
		else
			good = middle + 1;
	}
	return bad;
}

/* No prefix that ends before the answer that nothing gets past is violated: what got that far is an order of
 * it. */
static bool shorten(struct sd_lin_shrink *s, struct sd_operation *room)
{
	int64_t *ends = malloc((s->n + 1) * sizeof(*ends));
	if (!ends)
		return false;
	size_t n = ends_from(s, s->ops[s->found.stuck].answered, ends);
	size_t end = first_end(s, ends, n, room);
	struct sd_lin_found whole = s->found;
	n = cut(s, ends[end], room);
	if (violated(s, room, n)) {
		memcpy(s->ops, room, n * sizeof(*room));
		s->n = n;
	} else {
		s->found = whole; /* out of steps: the whole history it is */
		s->unsure = true;
	}
	free(ends);
	return true;
}

/* ---- fewer operations ---- */

/* Without the sets that have a member in [from, to). */
static size_t without(const struct sd_lin_shrink *s, const uint32_t *set, size_t from, size_t to, bool *gone,
		      struct sd_operation *left)
{
	size_t n = 0;
	memset(gone, 0, s->n + 1);
	for (size_t i = from; i < to; i++)
		gone[set[i]] = true;
	gone[0] = false;
	for (size_t i = 0; i < s->n; i++)
		if (!gone[set[i]])
			left[n++] = s->ops[i];
	return n;
}

static void keep_numbers(const struct sd_lin_shrink *s, uint32_t *set, const bool *gone)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++)
		if (!gone[set[i]])
			set[n++] = set[i];
}

/* Keeps what is left if it is violated. */
static bool keep_if_violated(struct sd_lin_shrink *s, uint32_t *set, const bool *gone,
			     const struct sd_operation *left, size_t n)
{
	if (n == s->n || !violated(s, left, n))
		return false;
	keep_numbers(s, set, gone);
	memcpy(s->ops, left, n * sizeof(*left));
	s->n = n;
	return true;
}

/* Often the answer that fits nowhere shows it all by itself. */
static void drop_most(struct sd_lin_shrink *s, uint32_t *set, bool *gone, struct sd_operation *left)
{
	uint32_t kept = set[s->found.stuck];
	for (size_t i = 0; kept && i < s->n; i++)
		set[i] = set[i] == kept ? 0 : set[i];
	keep_if_violated(s, set, gone, left, without(s, set, 0, s->n, gone, left));
}

static bool any(const uint32_t *set, size_t from, size_t to)
{
	while (from < to && set[from] == 0)
		from++;
	return from < to;
}

/* Tries to do without large pieces, then smaller ones. True: something went. */
static bool drop_sets(struct sd_lin_shrink *s, uint32_t *set, bool *gone, struct sd_operation *left)
{
	size_t before = s->n;
	for (size_t size = s->n; size > 0 && s->steps > 0; size /= 2) {
		for (size_t at = 0; at < s->n && s->steps > 0;) {
			size_t to = s->n - at < size ? s->n : at + size;
			if (!any(set, at, to) ||
			    !keep_if_violated(s, set, gone, left, without(s, set, at, to, gone, left)))
				at = to;
		}
	}
	return s->n < before;
}

static bool number_sets(const struct sd_lin_shrink *s, bool pure, uint32_t *set)
{
	for (size_t i = 0; i < s->n; i++)
		set[i] = pure && s->model->traits(&s->ops[i]) & SD_LIN_PURE ? (uint32_t)i + 1 : 0;
	return pure || !s->model->sets || s->model->sets(s->ops, s->n, set);
}

/* Reads first: what nobody reads any more may go next. */
static bool drop_all(struct sd_lin_shrink *s, struct sd_operation *room)
{
	uint32_t *set = malloc((s->n + 1) * sizeof(*set));
	bool *gone = malloc(s->n + 1), more = true, fine = set && gone;
	while (fine && more && s->steps > 0) {
		more = false;
		for (int pure = 1; fine && pure >= 0; pure--) {
			size_t before = s->n;
			fine = number_sets(s, pure, set);
			if (fine)
				drop_most(s, set, gone, room);
			fine = fine && number_sets(s, pure, set);
			more |= fine && drop_sets(s, set, gone, room);
			more |= s->n < before;
		}
	}
	free(set);
	free(gone);
	return fine;
}

bool sd_lin_shrink(struct sd_lin_shrink *s)
{
	struct sd_operation *room = malloc((s->n + 1) * sizeof(*room));
	if (!room)
		return false;
	bool fine = shorten(s, room);
	qsort(s->ops, s->n, sizeof(*s->ops), by_invocation);
	fine = fine && violated(s, s->ops, s->n) && drop_all(s, room);
	s->unsure |= s->steps == 0;
	free(room);
	return fine;
}
