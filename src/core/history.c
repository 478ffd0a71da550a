#include "sdlab/history.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/mix.h"
#include "core/utf8.h"

struct key {
	char *name;
	uint32_t n;
	uint32_t hash;
};

struct sd_history {
	const struct sd_lin_model *model;
	unsigned kinds; /* rows of model->kinds */
	struct sd_operation *ops;
	size_t n, room;
	struct key *keys;
	uint32_t nkeys, keys_room;
	uint32_t *index; /* open addressing: number of the key + 1; twice as many slots as keys_room */
	int64_t latest;  /* time; -1: none */
};

struct sd_history *sd_history_new(const struct sd_lin_model *model)
{
	struct sd_history *h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->model = model;
	h->latest = -1;
	while (h->kinds < SD_LIN_KINDS_MOST && model->kinds[h->kinds].name)
		h->kinds++;
	return h;
}

void sd_history_free(struct sd_history *h)
{
	if (!h)
		return;
	for (uint32_t i = 0; i < h->nkeys; i++)
		free(h->keys[i].name);
	free(h->keys);
	free(h->index);
	free(h->ops);
	free(h);
}

/* ---- keys ---- */

static bool key_allowed(struct sd_slice key)
{
	if (key.n < 1 || key.n > SD_HISTORY_KEY_MOST)
		return false;
	for (size_t at = 0, length; at < key.n; at += length) {
		length = sd_utf8_length(key.p + at, key.n - at);
		if (length == 0 || key.p[at] == '\0')
			return false;
	}
	return true;
}

static uint32_t key_hash(struct sd_slice key)
{
	uint64_t h = key.n;
	for (size_t i = 0; i < key.n; i++)
		h = (h ^ (unsigned char)key.p[i]) * 0x100000001b3u;
	return (uint32_t)sd_mix(h);
}

static uint32_t slots(const struct sd_history *h)
{
	return 2 * h->keys_room;
}

/* The slot where the key is, or would be. */
static uint32_t *find(const struct sd_history *h, struct sd_slice key, uint32_t hash)
{
	for (uint32_t at = hash;; at++) {
		uint32_t *slot = &h->index[at & (slots(h) - 1)];
		if (*slot == 0)
			return slot;
		const struct key *k = &h->keys[*slot - 1];
		if (k->hash == hash && k->n == key.n && memcmp(k->name, key.p, key.n) == 0)
			return slot;
	}
}

static bool grow_keys(struct sd_history *h)
{
	uint32_t room = h->keys_room ? 2 * h->keys_room : 16;
	struct key *keys = realloc(h->keys, room * sizeof(*keys));
	if (!keys)
		return false;
	h->keys = keys;
	uint32_t *index = calloc(2 * (size_t)room, sizeof(*index));
	if (!index)
		return false;
	free(h->index);
	h->index = index;
	h->keys_room = room;
	for (uint32_t i = 0; i < h->nkeys; i++)
		*find(h, sd_history_key(h, i), keys[i].hash) = i + 1;
	return true;
}

/* The number of the key, which is new perhaps. */
static enum sd_err intern(struct sd_history *h, struct sd_slice key, uint32_t *number)
{
	if (!key_allowed(key))
		return SD_EINVAL;
	if (h->nkeys == h->keys_room && !grow_keys(h))
		return SD_ENOMEM;
	uint32_t hash = key_hash(key), *slot = find(h, key, hash);
	if (*slot == 0) {
		char *name = malloc(key.n);
		if (!name)
			return SD_ENOMEM;
		memcpy(name, key.p, key.n);
		struct key *k = &h->keys[h->nkeys];
		k->name = name;
		k->n = (uint32_t)key.n;
		k->hash = hash;
		*slot = ++h->nkeys;
	}
	*number = *slot - 1;
	return SD_OK;
}

/* ---- operations ---- */

static bool result_allowed(const struct sd_lin_kind *kind, const struct sd_operation *op)
{
	if (op->outcome != SD_OUTCOME_OK || kind->answer == SD_ANSWER_NONE)
		return op->result == SD_NIL;
	return kind->answer == SD_ANSWER_VALUE || op->result == 0 || op->result == 1;
}

static bool allowed(const struct sd_history *h, const struct sd_operation *op)
{
	if (op->kind >= h->kinds || op->outcome > SD_OUTCOME_FAILED || op->invoked < 0 ||
	    op->invoked == SD_NEVER)
		return false;
	const struct sd_lin_kind *kind = &h->model->kinds[op->kind];
	if ((op->outcome == SD_OUTCOME_UNKNOWN) != (op->answered == SD_NEVER) || op->answered < op->invoked)
		return false;
	for (int i = kind->nargs; i < 2; i++)
		if (op->arg[i] != 0)
			return false;
	return result_allowed(kind, op);
}

static bool grow_ops(struct sd_history *h)
{
	size_t room = h->room ? 2 * h->room : 64;
	struct sd_operation *ops = realloc(h->ops, room * sizeof(*ops));
	if (!ops)
		return false;
	h->ops = ops;
	h->room = room;
	return true;
}

static void saw(struct sd_history *h, int64_t at)
{
	if (at != SD_NEVER && at > h->latest)
		h->latest = at;
}

enum sd_err sd_history_add(struct sd_history *h, struct sd_slice key, const struct sd_operation *op)
{
	struct sd_operation copy = *op;
	if (!allowed(h, op))
		return SD_EINVAL;
	if (h->n >= SD_HISTORY_MOST)
		return SD_ETOOBIG;
	if (h->n == h->room && !grow_ops(h))
		return SD_ENOMEM;
	enum sd_err err = intern(h, key, &copy.key);
	if (err != SD_OK)
		return err;
	h->ops[h->n++] = copy;
	saw(h, copy.invoked);
	saw(h, copy.answered);
	return SD_OK;
}

int64_t sd_history_invoke(struct sd_history *h, uint32_t client, struct sd_slice key, unsigned kind,
			  const int64_t *arg, int64_t at)
{
	struct sd_operation op = {
	    .invoked = at < 0 ? h->latest + 1 : at, .answered = SD_NEVER, .result = SD_NIL};
	if (kind >= h->kinds)
		return -(int64_t)SD_EINVAL;
	op.client = client;
	op.kind = (uint8_t)kind;
	for (int i = 0; i < h->model->kinds[kind].nargs && i < 2; i++)
		op.arg[i] = arg[i];
	enum sd_err err = sd_history_add(h, key, &op);
	return err == SD_OK ? (int64_t)h->n - 1 : -(int64_t)err;
}

enum sd_err sd_history_complete(struct sd_history *h, int64_t id, enum sd_outcome outcome, int64_t result,
				int64_t at)
{
	if (id < 0 || (uint64_t)id >= h->n)
		return SD_ENOTFOUND;
	struct sd_operation *op = &h->ops[id], answered = *op;
	if (op->answered != SD_NEVER)
		return SD_EEXISTS;
	bool counts = outcome == SD_OUTCOME_OK && h->model->kinds[op->kind].answer != SD_ANSWER_NONE;
	answered.outcome = (uint8_t)outcome;
	answered.result = counts ? result : SD_NIL;
	if (outcome != SD_OUTCOME_UNKNOWN)
		answered.answered = at < 0 ? h->latest + 1 : at;
	if (!allowed(h, &answered))
		return SD_EINVAL;
	*op = answered;
	saw(h, op->answered);
	return SD_OK;
}

const struct sd_lin_model *sd_history_model(const struct sd_history *h)
{
	return h->model;
}

size_t sd_history_count(const struct sd_history *h)
{
	return h->n;
}

size_t sd_history_keys(const struct sd_history *h)
{
	return h->nkeys;
}

const struct sd_operation *sd_history_at(const struct sd_history *h, size_t id)
{
	return &h->ops[id];
}

struct sd_slice sd_history_key(const struct sd_history *h, uint32_t key)
{
	return (struct sd_slice){h->keys[key].name, h->keys[key].n};
}
