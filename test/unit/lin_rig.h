/* lin_rig.h - atomic objects written once more, simulated clients on them, and a check by trying every order.
 */
#ifndef SDLAB_TEST_LIN_RIG_H
#define SDLAB_TEST_LIN_RIG_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "core/rng.h"
#include "sdlab/history.h"

enum { MODELS = 6, QUEUE_MOST = 1 << 14 };

static const struct sd_lin_model *const models[MODELS] = {
    &sd_lin_register, &sd_lin_counter, &sd_lin_set, &sd_lin_queue, &sd_lin_lock, &sd_lin_fenced_lock};

/* ---- objects ---- */

struct object {
	int64_t value; /* of register, counter and set */
	int64_t owner, token;
	bool veiled; /* the owner's token was told to nobody; it is more than token */
	uint32_t first, last;
};

static inline struct object object_new(const struct sd_lin_model *model)
{
	return (struct object){
	    .value = model == &sd_lin_register ? SD_NIL : 0, .owner = SD_NIL, .token = SD_NIL};
}

/* Does the operation. Its result, or whether it had an effect, is not known to it beforehand: only the fenced
 * lock looks at op->result, which is the token to give (SD_NIL: the next). `queue` has room for all that is
 * ever put in. */
static inline int64_t object_do(const struct sd_lin_model *model, struct object *o, int64_t *queue,
				const struct sd_operation *op)
{
	int64_t a = op->arg[0], b = op->arg[1], old = o->value;
	if (model == &sd_lin_register) {
		if (op->kind == 0)
			return old;
		if (op->kind == 1 || old == a)
			o->value = op->kind == 1 ? a : b;
		return op->kind == 1 ? SD_NIL : old == a;
	}
	if (model == &sd_lin_counter)
		return o->value += op->kind == 0 ? a : 0;
	if (model == &sd_lin_set) {
		o->value = op->kind == 0 ? 1 : op->kind == 1 ? 0 : old;
		return op->kind == 0 ? !old : old;
	}
	if (model == &sd_lin_queue) {
		if (op->kind == 0)
			queue[o->last++] = a;
		else if (o->first < o->last)
			return queue[o->first++];
		return SD_NIL;
	}
	if (op->kind == 1) {
		bool mine = o->owner != SD_NIL && o->owner == a;
		if (model == &sd_lin_fenced_lock && b != SD_NIL)
			mine &= o->veiled ? b > o->token : b == o->token;
		if (!mine)
			return 0;
		if (o->veiled && b != SD_NIL)
			o->token = b;
		o->owner = SD_NIL;
		o->veiled = false;
		return 1;
	}
	bool gets = o->owner == SD_NIL;
	if (model == &sd_lin_lock) {
		o->owner = gets ? a : o->owner;
		return gets;
	}
	if (!gets)
		return SD_NIL;
	o->owner = a;
	o->veiled = op->outcome == SD_OUTCOME_UNKNOWN;
	if (o->veiled)
		return SD_NIL;
	int64_t next = op->result != SD_NIL ? op->result : o->token == SD_NIL ? 1 : o->token + 1;
	if (next <= o->token)
		return SD_NIL; /* not what was answered */
	return o->token = next;
}

/* ---- every order ---- */

static inline bool may_be_next(const struct sd_operation *ops, size_t n, unsigned used, size_t i)
{
	if (used & 1u << i || ops[i].outcome == SD_OUTCOME_FAILED)
		return false;
	for (size_t k = 0; k < n; k++)
		if (!(used & 1u << k) && ops[k].outcome == SD_OUTCOME_OK && ops[k].answered < ops[i].invoked)
			return false;
	return true;
}

static inline bool answer_fits(const struct sd_lin_model *model, const struct object *before, int64_t result,
			       const struct sd_operation *op)
{
	if (op->outcome != SD_OUTCOME_OK)
		return true;
	if (model == &sd_lin_counter && op->kind == 0 && op->result == SD_NIL)
		return true;
	/* A veiled token may or may not be the one that was shown. */
	if (model == &sd_lin_fenced_lock && op->kind == 1 && op->result == 0 && before->veiled &&
	    op->arg[1] != SD_NIL)
		return true;
	return model->kinds[op->kind].answer == SD_ANSWER_NONE || op->result == result;
}

static inline bool some_order(const struct sd_lin_model *model, const struct sd_operation *ops, size_t n,
			      unsigned used, struct object o, int64_t *queue)
{
	bool all = true;
	for (size_t i = 0; i < n; i++)
		all &= ops[i].outcome != SD_OUTCOME_OK || used & 1u << i;
	for (size_t i = 0; !all && i < n; i++) {
		struct object after = o;
		if (!may_be_next(ops, n, used, i))
			continue;
		int64_t result = object_do(model, &after, queue, &ops[i]);
		if (!answer_fits(model, &o, result, &ops[i]))
			continue;
		bool refused = model == &sd_lin_fenced_lock && ops[i].kind == 1 &&
			       ops[i].outcome == SD_OUTCOME_OK && ops[i].result == 0;
		all = some_order(model, ops, n, used | 1u << i, refused ? o : after, queue);
	}
	return all;
}

/* For up to 31 operations on one key. */
static inline bool brute_force(const struct sd_lin_model *model, const struct sd_operation *ops, size_t n)
{
	int64_t queue[64];
	return some_order(model, ops, n, 0, object_new(model), queue);
}

/* ---- clients of an atomic object ---- */

struct plan {
	const struct sd_lin_model *model;
	uint32_t clients, keys;
	size_t n;         /* operations */
	uint32_t values;  /* different ones that are written; 0: every one another */
	uint32_t unknown; /* in a thousand */
	uint32_t failed;
};

struct client {
	int64_t id; /* of its operation; -1: idle */
	bool done;
	int64_t result;
};

static inline struct sd_operation random_operation(const struct plan *p, struct sd_rng *rng, uint32_t client,
						   int64_t fresh)
{
	struct sd_operation op = {.client = client, .answered = SD_NEVER, .result = SD_NIL};
	uint32_t kinds = p->model == &sd_lin_register || p->model == &sd_lin_set ? 3 : 2;
	op.kind = (uint8_t)sd_rng_below(rng, kinds);
	uint8_t nargs = p->model->kinds[op.kind].nargs;
	int64_t value = p->values ? sd_rng_below(rng, p->values) : fresh;
	if (p->model == &sd_lin_lock || p->model == &sd_lin_fenced_lock)
		op.arg[0] = client;
	else if (nargs)
		op.arg[0] = op.kind == 2 && !p->values ? fresh - 1 - sd_rng_below(rng, 4) : value;
	if (nargs == 2)
		op.arg[1] = p->model == &sd_lin_register ? fresh : SD_NIL;
	return op;
}

/* What the client finds out: the answer, or in some cases nothing. */
static inline void learn(struct sd_history *h, struct client *c, const struct plan *p, struct sd_rng *rng)
{
	enum sd_outcome outcome = SD_OUTCOME_OK;
	if (!c->done)
		outcome = SD_OUTCOME_FAILED;
	else if (sd_rng_below(rng, 1000) < p->unknown)
		outcome = SD_OUTCOME_UNKNOWN;
	ck_assert_int_eq(sd_history_complete(h, c->id, outcome, c->result, -1), SD_OK);
	c->id = -1;
}

/* The fenced lock does not know how a grant ends that its client never hears of: no unknown ones for it. */
static inline struct sd_history *simulate(const struct plan *p, uint64_t seed)
{
	static int64_t queues[8][QUEUE_MOST];
	struct object objects[256];
	struct client clients[32];
	struct sd_rng rng;
	struct sd_history *h = sd_history_new(p->model);
	ck_assert_ptr_nonnull(h);
	sd_rng_seed(&rng, seed);
	for (uint32_t k = 0; k < p->keys; k++)
		objects[k] = object_new(p->model);
	for (uint32_t c = 0; c < p->clients; c++)
		clients[c] = (struct client){.id = -1};
	for (size_t started = 0, busy = 0; started < p->n || busy > 0;) {
		uint32_t who = sd_rng_below(&rng, p->clients);
		struct client *c = &clients[who];
		if (c->id < 0 && started < p->n) {
			char key[16];
			int n = snprintf(key, sizeof(key), "k%u", sd_rng_below(&rng, p->keys));
			struct sd_operation op = random_operation(p, &rng, who, (int64_t)++started);
			c->id =
			    sd_history_invoke(h, who, (struct sd_slice){key, (size_t)n}, op.kind, op.arg, -1);
			ck_assert_int_ge(c->id, 0);
			c->done = false;
			busy++;
		} else if (c->id >= 0 && (c->done || sd_rng_below(&rng, 1000) < p->failed)) {
			learn(h, c, p, &rng);
			busy--;
		} else if (c->id >= 0) {
			const struct sd_operation *op = sd_history_at(h, (size_t)c->id);
			struct sd_operation given = *op;
			given.outcome = SD_OUTCOME_OK;
			c->result = object_do(p->model, &objects[op->key], queues[op->key % 8], &given);
			c->done = true;
		}
	}
	return h;
}

/* The same history with one operation changed. */
static inline struct sd_history *changed(const struct sd_history *h, size_t which,
					 const struct sd_operation *to)
{
	struct sd_history *out = sd_history_new(sd_history_model(h));
	ck_assert_ptr_nonnull(out);
	for (size_t i = 0; i < sd_history_count(h); i++) {
		const struct sd_operation *op = sd_history_at(h, i);
		ck_assert_int_eq(sd_history_add(out, sd_history_key(h, op->key), i == which ? to : op),
				 SD_OK);
	}
	return out;
}

#endif
