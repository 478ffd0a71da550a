/* What a register, a counter, a set and a queue do, one operation after the other. Locks: lin_model_lock.c.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/lin_int.h"

static bool done(const struct sd_operation *op)
{
	return op->outcome == SD_OUTCOME_OK;
}

/* Whether what was answered, if anything, is this. */
static bool answers(const struct sd_operation *op, int64_t result)
{
	return !done(op) || op->result == result;
}

static void value_text(int64_t v, char *text, size_t size)
{
	if (v == SD_NIL)
		snprintf(text, size, "nil");
	else
		snprintf(text, size, "%lld", (long long)v);
}

static size_t init_nil(int64_t *state)
{
	state[0] = SD_NIL;
	return 1;
}

static size_t init_zero(int64_t *state)
{
	state[0] = 0;
	return 1;
}

static void describe_value(const int64_t *state, size_t n, char *text, size_t size)
{
	(void)n;
	value_text(state[0], text, size);
}

/* Numbers in order, and where they came from. */
struct pair {
	int64_t value, other;
};

static int by_value(const void *a, const void *b)
{
	const struct pair *x = a, *y = b;
	if (x->value != y->value)
		return x->value < y->value ? -1 : 1;
	return x->other < y->other ? -1 : x->other > y->other;
}

/* The first with this value; n: none. */
static size_t find(const struct pair *pairs, size_t n, int64_t value)
{
	size_t low = 0, high = n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (pairs[middle].value < value)
			low = middle + 1;
		else
			high = middle;
	}
	return low < n && pairs[low].value == value ? low : n;
}

/* ---- register ---- */

enum { READ, WRITE, CAS };

static bool register_step(const int64_t *state, size_t n, const struct sd_operation *op, int64_t *next,
			  size_t *nnext)
{
	(void)n;
	bool equal = state[0] == op->arg[0];
	next[0] = op->kind == READ || (op->kind == CAS && !equal) ? state[0] : op->arg[op->kind == CAS];
	*nnext = 1;
	if (op->kind == READ)
		return answers(op, state[0]);
	if (op->kind == CAS)
		return done(op) ? op->result == equal : equal;
	return true;
}

static unsigned register_traits(const struct sd_operation *op)
{
	bool pure = op->kind == READ || (op->kind == CAS && done(op) && op->result == 0);
	return pure ? SD_LIN_PURE | SD_LIN_EAGER : 0;
}

/* Values that some operation depends on; false: one depends on whatever there is. */
static bool observed_values(const struct sd_operation *ops, size_t n, struct pair *seen, size_t *nseen)
{
	*nseen = 0;
	for (size_t i = 0; i < n; i++) {
		if (ops[i].kind == CAS && done(&ops[i]) && ops[i].result == 0)
			return false;
		if (ops[i].kind != WRITE)
			seen[(*nseen)++].value = ops[i].kind == READ ? ops[i].result : ops[i].arg[0];
	}
	return true;
}

/* What wrote a value that nobody saw may go: what came after it in an order, up to the next change, depended
 * on nothing. A compare-and-set that said no depends on every value but one, so then all stay. */
static bool register_sets(const struct sd_operation *ops, size_t n, uint32_t *set)
{
	struct pair *seen = calloc(n + 1, sizeof(*seen));
	size_t nseen;
	if (!seen)
		return false;
	bool known = observed_values(ops, n, seen, &nseen);
	qsort(seen, nseen, sizeof(*seen), by_value);
	for (size_t i = 0; i < n; i++)
		if (known && ops[i].kind != READ &&
		    find(seen, nseen, ops[i].arg[ops[i].kind == CAS]) == nseen)
			set[i] = (uint32_t)i + 1;
	free(seen);
	return true;
}

static const struct sd_lin_kind register_kinds[] = {
    {"read", 0, SD_ANSWER_VALUE}, {"write", 1, SD_ANSWER_NONE}, {"cas", 2, SD_ANSWER_YESNO}, {0}};

const struct sd_lin_model sd_lin_register = {
    .name = "register",
    .kinds = register_kinds,
    .init = init_nil,
    .step = register_step,
    .traits = register_traits,
    .sets = register_sets,
    .describe = describe_value,
};

/* ---- counter ---- */

enum { ADD, COUNT };

static bool counter_step(const int64_t *state, size_t n, const struct sd_operation *op, int64_t *next,
			 size_t *nnext)
{
	(void)n;
	int64_t add = op->kind == ADD ? op->arg[0] : 0;
	next[0] = (int64_t)((uint64_t)state[0] + (uint64_t)add);
	*nnext = 1;
	return answers(op, next[0]) || (op->kind == ADD && op->result == SD_NIL);
}

static unsigned counter_traits(const struct sd_operation *op)
{
	return op->kind == COUNT || op->arg[0] == 0 ? SD_LIN_PURE | SD_LIN_EAGER : 0;
}

static const struct sd_lin_kind counter_kinds[] = {
    {"add", 1, SD_ANSWER_VALUE}, {"read", 0, SD_ANSWER_VALUE}, {0}};

const struct sd_lin_model sd_lin_counter = {
    .name = "counter",
    .kinds = counter_kinds,
    .init = init_zero,
    .step = counter_step,
    .traits = counter_traits,
    .describe = describe_value,
};

/* ---- set: one element ---- */

enum { PUT, REMOVE, CONTAINS };

static bool set_step(const int64_t *state, size_t n, const struct sd_operation *op, int64_t *next,
		     size_t *nnext)
{
	(void)n;
	next[0] = op->kind == PUT || (op->kind == CONTAINS && state[0]);
	*nnext = 1;
	bool changes = next[0] != state[0];
	return answers(op, op->kind == CONTAINS ? state[0] : changes);
}

static unsigned set_traits(const struct sd_operation *op)
{
	bool pure = op->kind == CONTAINS || (done(op) && op->result == 0);
	return pure ? SD_LIN_PURE | SD_LIN_EAGER : 0;
}

static void set_describe(const int64_t *state, size_t n, char *text, size_t size)
{
	(void)n;
	snprintf(text, size, "%s", state[0] ? "there" : "missing");
}

static const struct sd_lin_kind set_kinds[] = {
    {"add", 0, SD_ANSWER_YESNO}, {"remove", 0, SD_ANSWER_YESNO}, {"contains", 0, SD_ANSWER_YESNO}, {0}};

const struct sd_lin_model sd_lin_set = {
    .name = "set",
    .kinds = set_kinds,
    .init = init_zero,
    .step = set_step,
    .traits = set_traits,
    .describe = set_describe,
};

/* ---- queue: the state is what is in it, the first one first ---- */

enum { ENQUEUE, DEQUEUE };

static size_t queue_init(int64_t *state)
{
	(void)state;
	return 0;
}

static bool queue_step(const int64_t *state, size_t n, const struct sd_operation *op, int64_t *next,
		       size_t *nnext)
{
	if (op->kind == ENQUEUE) {
		memcpy(next, state, n * sizeof(*state));
		next[n] = op->arg[0];
		*nnext = n + 1;
		return true;
	}
	*nnext = n > 0 ? n - 1 : 0;
	if (n == 0)
		return done(op) && op->result == SD_NIL;
	if (!answers(op, state[0]) || (done(op) && op->result == SD_NIL))
		return false;
	memcpy(next, state + 1, *nnext * sizeof(*state));
	return true;
}

/* A dequeue that finds its value in front is eager: until then no other dequeue gets on, and enqueues do not
 * mind. */
static unsigned queue_traits(const struct sd_operation *op)
{
	if (op->kind != DEQUEUE || !done(op))
		return 0;
	return op->result == SD_NIL ? SD_LIN_PURE | SD_LIN_EAGER : SD_LIN_EAGER;
}

/* By value: the operations of one kind that were told it. */
static size_t collect(const struct sd_operation *ops, size_t n, uint8_t kind, struct pair *pairs)
{
	size_t found = 0;
	for (size_t i = 0; i < n; i++) {
		if (ops[i].kind != kind || (kind == DEQUEUE && (!done(&ops[i]) || ops[i].result == SD_NIL)))
			continue;
		pairs[found++] = (struct pair){kind == ENQUEUE ? ops[i].arg[0] : ops[i].result, (int64_t)i};
	}
	qsort(pairs, found, sizeof(*pairs), by_value);
	return found;
}

static bool alone(const struct pair *pairs, size_t n, size_t at)
{
	return at + 1 >= n || pairs[at + 1].value != pairs[at].value;
}

/* A value that was enqueued once and dequeued at most once may go with both: the others do not change places,
 * and a queue is not made fuller. */
static bool queue_sets(const struct sd_operation *ops, size_t n, uint32_t *set)
{
	struct pair *in = malloc((n + 1) * sizeof(*in)), *out = malloc((n + 1) * sizeof(*out));
	if (in && out) {
		size_t nin = collect(ops, n, ENQUEUE, in), nout = collect(ops, n, DEQUEUE, out);
		for (size_t i = 0; i < nin; i++) {
			size_t at = find(out, nout, in[i].value);
			if (find(in, nin, in[i].value) != i || !alone(in, nin, i) ||
			    (at < nout && !alone(out, nout, at)))
				continue;
			set[in[i].other] = (uint32_t)in[i].other + 1;
			if (at < nout)
				set[out[at].other] = (uint32_t)in[i].other + 1;
		}
	}
	bool fine = in && out;
	free(in);
	free(out);
	return fine;
}

static void queue_describe(const int64_t *state, size_t n, char *text, size_t size)
{
	char value[32];
	size_t used = (size_t)snprintf(text, size, n ? "[" : "empty");
	for (size_t i = 0; i < n && used < size; i++) {
		value_text(state[i], value, sizeof(value));
		bool fits = used + strlen(value) + 8 < size;
		used +=
		    (size_t)snprintf(text + used, size - used, "%s%s", i ? ", " : "", fits ? value : "...");
		if (!fits)
			break;
	}
	if (n && used < size)
		snprintf(text + used, size - used, "]");
}

static const struct sd_lin_kind queue_kinds[] = {
    {"enqueue", 1, SD_ANSWER_NONE}, {"dequeue", 0, SD_ANSWER_VALUE}, {0}};

const struct sd_lin_model sd_lin_queue = {
    .name = "queue",
    .kinds = queue_kinds,
    .init = queue_init,
    .step = queue_step,
    .traits = queue_traits,
    .rank = sd_lin_queue_rank,
    .sets = queue_sets,
    .describe = queue_describe,
};
