/* What a lock does, one operation after the other; with and without fencing tokens. */
#include <stdio.h>
#include <stdlib.h>

#include "core/lin_int.h"

enum { ACQUIRE, RELEASE };

static bool done(const struct sd_operation *op)
{
	return op->outcome == SD_OUTCOME_OK;
}

/* ---- making short ---- */

/* By owner, then in the order of invocations. */
struct turn {
	int64_t owner, invoked;
	size_t op;
};

static int by_owner(const void *a, const void *b)
{
	const struct turn *x = a, *y = b;
	if (x->owner != y->owner)
		return x->owner < y->owner ? -1 : 1;
	return x->invoked < y->invoked ? -1 : x->invoked > y->invoked;
}

/* The turns of one owner. One after the other, each acquire that worked may go with the release behind it; if
 * some overlap, nobody can tell which belong together, and all go or none. */
static void owner_sets(const struct sd_operation *ops, const struct turn *turns, size_t n, uint32_t *set)
{
	bool apart = true;
	for (size_t i = 0; i + 1 < n; i++)
		apart &= ops[turns[i].op].answered < turns[i + 1].invoked;
	for (size_t i = 0; i < n; i++) {
		const struct sd_operation *op = &ops[turns[i].op];
		if (!apart)
			set[turns[i].op] = (uint32_t)turns[0].op + 1;
		else if (op->kind == RELEASE && i > 0 && done(op) && ops[turns[i - 1].op].kind == ACQUIRE)
			set[turns[i].op] = set[turns[i - 1].op] = (uint32_t)turns[i].op + 1;
	}
}

static unsigned lock_traits(const struct sd_operation *op)
{
	return done(op) && op->result == 0 ? SD_LIN_PURE | SD_LIN_EAGER : 0;
}

/* 0 is a token as good as any. */
static unsigned fenced_traits(const struct sd_operation *op)
{
	return done(op) && op->result == (op->kind == ACQUIRE ? SD_NIL : 0) ? SD_LIN_PURE | SD_LIN_EAGER : 0;
}

/* While an owner has it, nobody else does anything that works, and tokens that grow still grow with fewer of
 * them. What was told no may depend on who had it: then all stay. */
static bool sets_of(unsigned (*traits)(const struct sd_operation *op), const struct sd_operation *ops,
		    size_t n, uint32_t *set)
{
	struct turn *turns = malloc((n + 1) * sizeof(*turns));
	bool refused = false;
	if (!turns)
		return false;
	for (size_t i = 0; i < n; i++) {
		refused |= traits(&ops[i]) != 0;
		turns[i] = (struct turn){ops[i].arg[0], ops[i].invoked, i};
	}
	qsort(turns, n, sizeof(*turns), by_owner);
	for (size_t first = 0, end; !refused && first < n; first = end) {
		for (end = first + 1; end < n && turns[end].owner == turns[first].owner;)
			end++;
		owner_sets(ops, turns + first, end - first, set);
	}
	free(turns);
	return true;
}

static bool lock_sets(const struct sd_operation *ops, size_t n, uint32_t *set)
{
	return sets_of(lock_traits, ops, n, set);
}

static bool fenced_sets(const struct sd_operation *ops, size_t n, uint32_t *set)
{
	return sets_of(fenced_traits, ops, n, set);
}

/* ---- lock: the state is the owner ---- */

static size_t lock_init(int64_t *state)
{
	state[0] = SD_NIL;
	return 1;
}

static bool lock_step(const int64_t *state, size_t n, const struct sd_operation *op, int64_t *next,
		      size_t *nnext)
{
	(void)n;
	bool works = op->kind == ACQUIRE ? state[0] == SD_NIL : state[0] == op->arg[0];
	next[0] = !works ? state[0] : op->kind == ACQUIRE ? op->arg[0] : SD_NIL;
	*nnext = 1;
	return done(op) ? op->result == works : works;
}

static void lock_describe(const int64_t *state, size_t n, char *text, size_t size)
{
	(void)n;
	if (state[0] == SD_NIL)
		snprintf(text, size, "free");
	else
		snprintf(text, size, "held by %lld", (long long)state[0]);
}

static const struct sd_lin_kind lock_kinds[] = {
    {"acquire", 1, SD_ANSWER_YESNO}, {"release", 1, SD_ANSWER_YESNO}, {0}};

const struct sd_lin_model sd_lin_lock = {
    .name = "lock",
    .kinds = lock_kinds,
    .init = lock_init,
    .step = lock_step,
    .traits = lock_traits,
    .sets = lock_sets,
    .describe = lock_describe,
};

/* ---- fenced lock ---- */

/* VEILED: the owner has a token that nobody was told, of which only is known that it is larger than TOKEN. */
enum { OWNER, TOKEN, VEILED, FENCED_WORDS };

static size_t fenced_init(int64_t *state)
{
	state[OWNER] = SD_NIL;
	state[TOKEN] = SD_NIL; /* smaller than any */
	state[VEILED] = 0;
	return FENCED_WORDS;
}

static bool fenced_acquire(const int64_t *state, const struct sd_operation *op, int64_t *next)
{
	bool is_free = state[OWNER] == SD_NIL;
	if (done(op) && op->result == SD_NIL)
		return !is_free;
	if (!is_free || (done(op) && op->result <= state[TOKEN]))
		return false;
	next[OWNER] = op->arg[0];
	next[TOKEN] = done(op) ? op->result : state[TOKEN];
	next[VEILED] = !done(op);
	return true;
}

static bool fenced_release(const int64_t *state, const struct sd_operation *op, int64_t *next)
{
	int64_t token = op->arg[1];
	bool fits = token == SD_NIL || (state[VEILED] ? token > state[TOKEN] : token == state[TOKEN]);
	bool works = state[OWNER] != SD_NIL && state[OWNER] == op->arg[0] && fits;
	/* A token that may or may not be the veiled one may also be refused. */
	if (done(op) && op->result == 0)
		return !works || (state[VEILED] && token != SD_NIL);
	if (!works)
		return false;
	next[OWNER] = SD_NIL;
	next[TOKEN] = state[VEILED] && token != SD_NIL ? token : state[TOKEN];
	next[VEILED] = 0;
	return true;
}

static bool fenced_step(const int64_t *state, size_t n, const struct sd_operation *op, int64_t *next,
			size_t *nnext)
{
	*nnext = n;
	for (size_t i = 0; i < n; i++)
		next[i] = state[i];
	return op->kind == ACQUIRE ? fenced_acquire(state, op, next) : fenced_release(state, op, next);
}

static void fenced_describe(const int64_t *state, size_t n, char *text, size_t size)
{
	char token[48] = "no token yet";
	(void)n;
	if (state[TOKEN] != SD_NIL)
		snprintf(token, sizeof(token), "%s %lld", state[VEILED] ? "token above" : "last token",
			 (long long)state[TOKEN]);
	else if (state[VEILED])
		snprintf(token, sizeof(token), "token not told");
	if (state[OWNER] == SD_NIL)
		snprintf(text, size, "free, %s", token);
	else
		snprintf(text, size, "held by %lld, %s", (long long)state[OWNER], token);
}

static const struct sd_lin_kind fenced_kinds[] = {
    {"acquire", 1, SD_ANSWER_VALUE}, {"release", 2, SD_ANSWER_YESNO}, {0}};

const struct sd_lin_model sd_lin_fenced_lock = {
    .name = "fenced lock",
    .kinds = fenced_kinds,
    .init = fenced_init,
    .step = fenced_step,
    .traits = fenced_traits,
    .sets = fenced_sets,
    .describe = fenced_describe,
};
