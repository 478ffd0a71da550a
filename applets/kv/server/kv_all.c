/* kv_all.c - all keys in their order, as commands see them: those in the store, and over them what the transaction in hand has
 * written and the store does not have yet. It is one batch, so nothing of it may be written before all of it is known.
 *
 * Outside of a transaction what waits is written first, and there is nothing over the store.
 */
#include <stdlib.h>

#include "core/lsm.h"
#include "kv_server.h"

/* The keys of a batch are put in order for each command that goes over them. A transaction with many keys and many such commands would
 * hold up everybody, however small they are: all of it together may take so many. */
#define GONE_OVER_MOST (4u << 20)

/* ---- keys of the batch ---- */

/* It puts the key, which has not ended. */
static bool lives(const struct kv_all *a, size_t at)
{
	struct sd_slice value;
	int64_t until_ms;
	return sd_kv_batch_find(a->s->batch, a->keys[at], &value, &until_ms) == SD_OK && (!until_ms || until_ms > a->now_ms);
}

static void skip_over(struct kv_all *a)
{
	while (a->at < a->n && !lives(a, a->at))
		a->at++;
}

/* The first that is not before it. */
static size_t place_of(const struct kv_all *a, struct sd_slice key)
{
	size_t low = 0, high = a->n;
	while (low < high) {
		size_t middle = low + (high - low) / 2;
		if (sd_lsm_bytewise(a->keys[middle], key) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	return low;
}

/* ---- keys of the store ---- */

/* The batch says something of the key that the store's iterator stands on. */
static bool hidden(const struct kv_all *a)
{
	struct sd_slice value;
	int64_t until_ms;
	return a->over && sd_kv_batch_find(a->s->batch, sd_kv_iter_key(a->it), &value, &until_ms) != SD_EAGAIN;
}

static void skip_store(struct kv_all *a, bool more)
{
	while (more && hidden(a))
		more = sd_kv_iter_next(a->it);
	a->in_store = more;
}

/* ---- both ---- */

static bool stand(struct kv_all *a)
{
	bool batch = a->at < a->n;
	if (batch && a->in_store)
		batch = sd_lsm_bytewise(a->keys[a->at], sd_kv_iter_key(a->it)) < 0; /* they are never the same */
	a->in_batch = batch;
	a->key = batch ? a->keys[a->at] : a->in_store ? sd_kv_iter_key(a->it) : (struct sd_slice){"", 0};
	return batch || a->in_store;
}

bool kv_all_first(struct kv_all *a)
{
	a->at = 0;
	skip_over(a);
	if (a->it)
		skip_store(a, sd_kv_iter_first(a->it));
	return stand(a);
}

bool kv_all_seek(struct kv_all *a, struct sd_slice key)
{
	a->at = place_of(a, key);
	skip_over(a);
	if (a->it)
		skip_store(a, sd_kv_iter_seek(a->it, key));
	return stand(a);
}

bool kv_all_next(struct kv_all *a)
{
	if (a->in_batch) {
		a->at++;
		skip_over(a);
	} else {
		skip_store(a, sd_kv_iter_next(a->it));
	}
	return stand(a);
}

bool kv_all_last(struct kv_all *a)
{
	size_t at = a->n;
	while (at > 0 && !lives(a, at - 1))
		at--;
	bool more = a->it && sd_kv_iter_last(a->it);
	while (more && hidden(a))
		more = sd_kv_iter_prev(a->it);
	a->in_store = more;
	a->in_batch = at > 0 && (!more || sd_lsm_bytewise(a->keys[at - 1], sd_kv_iter_key(a->it)) > 0);
	a->key = a->in_batch ? a->keys[at - 1] : more ? sd_kv_iter_key(a->it) : (struct sd_slice){"", 0};
	return a->in_batch || more;
}

/* ---- begin and end ---- */

static enum sd_err open_all(struct kv_all *a, struct sd_error *e)
{
	struct sd_kv_span span = {.passing = true, .keys_only = true};
	if (a->over && a->s->gone_over >= GONE_OVER_MOST)
		return sd_fail(e, SD_ETOOBIG, "the transaction goes over the keys that it writes too often");
	if (a->over && !sd_kv_batch_keys(a->s->batch, &a->keys, &a->n))
		return sd_fail(e, SD_ENOMEM, "out of memory");
	a->s->gone_over += a->n;
	return a->over && a->s->emptied ? SD_OK : sd_kv_iter_new(a->s->db, &span, &a->it, e);
}

bool kv_all_begin(struct kv_call *c, struct kv_all *a)
{
	struct sd_error e;
	*a = (struct kv_all){.s = c->s, .now_ms = c->now_ms};
	if (!kv_commit_first(c))
		return false;
	a->over = sd_kv_batch_count(c->s->batch) > 0;
	c->depends |= a->over;
	if (open_all(a, &e) == SD_OK)
		return true;
	kv_all_end(a);
	sd_resp_errorf(c->out, "ERR %s", e.text);
	return false;
}

bool kv_all_failed(struct kv_call *c, const struct kv_all *a)
{
	struct sd_error e;
	if (!a->it || sd_kv_iter_err(a->it, &e) == SD_OK)
		return false;
	sd_resp_errorf(c->out, "ERR %s", e.text);
	return true;
}

void kv_all_end(struct kv_all *a)
{
	sd_kv_iter_free(a->it);
	free(a->keys);
	*a = (struct kv_all){0};
}
