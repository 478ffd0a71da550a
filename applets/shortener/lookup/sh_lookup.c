/* sh_lookup.c - a worker: its table, who waits for what, and what the control loop tells it. */
#include <stdlib.h>
#include <string.h>

#include "sh_lookup_int.h"

#define AWAY_NS 1000000000ll /* so long nobody is asked again for what is served out of date */

/* ---- the inbox ---- */

void sh_worker_post(struct sh_lookup_worker *w, struct sh_note *note)
{
	note->next = __atomic_load_n(&w->inbox, __ATOMIC_RELAXED);
	while (!__atomic_compare_exchange_n(&w->inbox, &note->next, note, true, __ATOMIC_RELEASE, __ATOMIC_RELAXED))
		;
	sd_loop_post(w->loop, &w->arrived);
}

/* A worker that cannot be told what was changed is told that everything may have been. */
void sh_worker_note(struct sh_lookup_worker *w, enum sh_note_kind kind, struct sd_slice code)
{
	struct sh_note *n = malloc(sizeof(*n) + code.n);
	if (n) {
		*n = (struct sh_note){.kind = kind, .n = code.n, .code = (char *)(n + 1)};
		if (code.n)
			memcpy(n + 1, code.p, code.n);
		sh_worker_post(w, n);
	} else if (!__atomic_exchange_n(&w->flushing, true, __ATOMIC_SEQ_CST)) {
		sh_worker_post(w, &w->flush);
	}
}

void sh_ask_free(struct sh_lookup_ask *a)
{
	free(a->rec);
	free(a);
}

/* From here on whoever asks for the code asks anew. */
static void close_ask(struct sh_lookup_worker *w, struct sh_lookup_ask *a)
{
	if (!a->joinable)
		return;
	a->joinable = false;
	sd_dict_remove(&w->asks, &a->e);
}

static struct sh_lookup_ask *find_ask(struct sh_lookup_worker *w, struct sd_slice code, uint32_t *hash)
{
	*hash = sd_dict_hash(&w->asks, code);
	return sd_dict_count(&w->asks) ? sd_container(sd_dict_find(&w->asks, code, *hash), struct sh_lookup_ask, e) : NULL;
}

static void take_answer(struct sh_lookup_worker *w, struct sh_lookup_ask *a)
{
	struct sd_slice code = {a->code, a->code_n};
	close_ask(w, a);
	if (a->keep)
		sh_table_put(&w->table, code, a->rec, a->came_ns, a->life_ns);
	if (a->look == SH_LOOK_AWAY)
		w->away_until_ns = sd_loop_now_ns(w->loop) + AWAY_NS;
	sd_list_add(&w->answered, &a->link);
}

static void take_drop(struct sh_lookup_worker *w, const struct sh_note *note)
{
	struct sd_slice code = {note->code, note->n};
	uint32_t hash;
	struct sh_lookup_ask *a = find_ask(w, code, &hash);
	sh_table_drop(&w->table, code);
	if (a)
		close_ask(w, a);
}

static void close_each(void *arg, struct sd_dict_entry *e)
{
	close_ask(arg, sd_container(e, struct sh_lookup_ask, e));
}

static void take_flush(struct sh_lookup_worker *w)
{
	sh_table_flush(&w->table);
	sd_dict_each(&w->asks, close_each, w);
}

static void take_note(struct sh_lookup_worker *w, struct sh_note *note)
{
	switch (note->kind) {
	case SH_NOTE_ANSWER: take_answer(w, note->ask); return; /* it is in the ask */
	case SH_NOTE_DROP: take_drop(w, note); break;
	case SH_NOTE_FLUSH: /* the worker's own; what is changed after this was seen queues it again */
		__atomic_store_n(&w->flushing, false, __ATOMIC_SEQ_CST);
		take_flush(w);
		return;
	case SH_NOTE_DEAF: sh_table_deaf(&w->table, true); break;
	case SH_NOTE_HEARS:
		take_flush(w);
		sh_table_deaf(&w->table, false);
		break;
	}
	free(note);
}

static void take_notes(struct sh_lookup_worker *w)
{
	struct sh_note *n = __atomic_exchange_n(&w->inbox, NULL, __ATOMIC_ACQUIRE), *oldest = NULL;
	while (n) {
		struct sh_note *next = n->next;
		n->next = oldest;
		oldest = n;
		n = next;
	}
	while ((n = oldest)) {
		oldest = n->next;
		take_note(w, n);
	}
}

/* One load from a line that changes when a link does. */
static inline void look_into_inbox(struct sh_lookup_worker *w)
{
	if (__builtin_expect(__atomic_load_n(&w->inbox, __ATOMIC_ACQUIRE) != NULL, 0))
		take_notes(w);
}

/* ---- looking at what is here ---- */

enum sh_look sh_lookup_now(struct sh_lookup_worker *w, struct sd_slice code, int64_t now_ms, struct sh_target *out)
{
	struct sh_record rec;
	int64_t now_ns = sd_loop_now_ns(w->loop);
	look_into_inbox(w);
	if (!code.n || code.n > SH_CODE_MAX)
		return SH_LOOK_UNKNOWN;
	enum sh_kept kept = sh_table_find(&w->table, code, now_ns, &rec);
	bool stale = kept == SH_KEPT_OLD && now_ns < w->away_until_ns;
	if ((kept != SH_KEPT_FRESH && !stale) || rec.limited)
		return SH_LOOK_ASK;
	sd_count(rec.none ? &w->n.none_hits : &w->n.hits, 1);
	if (stale)
		sd_count(&w->n.stale, 1);
	enum sh_look look = sh_record_judge(&rec, now_ms, out);
	out->stale = stale;
	return look;
}

/* ---- asking ---- */

static struct sh_lookup_ask *new_ask(struct sh_lookup_worker *w, struct sd_slice code)
{
	struct sh_lookup_ask *a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->w = w;
	a->task.fn = sh_flight_on_ask;
	a->note = (struct sh_note){.kind = SH_NOTE_ANSWER, .ask = a};
	a->code_n = code.n;
	memcpy(a->code, code.p, code.n);
	sd_list_init(&a->waits);
	sd_list_init(&a->link);
	return a;
}

static void join(struct sh_lookup_ask *a, struct sh_lookup_wait *wait)
{
	wait->ask = a;
	sd_list_add(&a->waits, &wait->link);
}

/* What is in the table, to be told on a later turn. */
static struct sh_lookup_ask *ask_nobody(struct sh_lookup_worker *w, struct sd_slice code, const struct sh_record *rec)
{
	struct sh_lookup_ask *a = new_ask(w, code);
	if (!a || !(a->rec = sh_record_copy(rec))) {
		free(a);
		return NULL;
	}
	a->local = true;
	a->look = SH_LOOK_FOUND;
	sd_list_add(&w->answered, &a->link);
	sd_loop_post(w->loop, &w->arrived);
	return a;
}

static struct sh_lookup_ask *ask_control(struct sh_lookup_worker *w, struct sd_slice code)
{
	uint32_t hash;
	struct sh_lookup_ask *a = find_ask(w, code, &hash);
	if (a)
		return a;
	if (!(a = new_ask(w, code)))
		return NULL;
	a->e.hash = hash;
	a->e.klen = (uint32_t)code.n;
	a->joinable = sd_dict_add(&w->asks, &a->e);
	sd_loop_post(w->k->conf.control, &a->task);
	return a;
}

bool sh_lookup_ask(struct sh_lookup_worker *w, struct sd_slice code, int64_t now_ms, struct sh_lookup_wait *wait)
{
	struct sh_record rec;
	struct sh_lookup_ask *a;
	sd_list_init(&wait->link);
	wait->ask = NULL;
	wait->now_ms = now_ms;
	look_into_inbox(w);
	if (w->stopped || w->waiting >= SH_WAITS_MOST || !code.n || code.n > SH_CODE_MAX) {
		sd_count(&w->n.refused, 1);
		return false;
	}
	if (sh_table_find(&w->table, code, sd_loop_now_ns(w->loop), &rec) == SH_KEPT_FRESH)
		a = ask_nobody(w, code, &rec);
	else
		a = ask_control(w, code);
	if (!a)
		return false;
	sd_count(&w->n.misses, !a->local);
	w->waiting++;
	join(a, wait);
	return true;
}

void sh_lookup_forget(struct sh_lookup_wait *wait)
{
	if (!wait->ask)
		return;
	wait->ask->w->waiting--;
	wait->ask = NULL;
	sd_list_del(&wait->link);
}

/* ---- answering ---- */

static void tell(struct sh_lookup_worker *w, struct sh_lookup_wait *wait, enum sh_look look, const struct sh_target *t)
{
	wait->ask = NULL;
	w->waiting--;
	wait->done(wait, look, t);
}

/* Nobody answered: what is out of date will do. */
static void tell_away(struct sh_lookup_worker *w, const struct sh_lookup_ask *a, struct sh_lookup_wait *wait)
{
	struct sh_record rec;
	struct sh_target t;
	if (sh_table_find(&w->table, (struct sd_slice){a->code, a->code_n}, sd_loop_now_ns(w->loop), &rec) == SH_KEPT_NONE ||
	    (rec.limited && wait->visit)) {
		sd_count(&w->n.away, 1);
		tell(w, wait, SH_LOOK_AWAY, NULL);
		return;
	}
	enum sh_look look = sh_record_judge(&rec, wait->now_ms, &t);
	t.stale = true;
	sd_count(&w->n.stale, 1);
	tell(w, wait, look, &t);
}

/* One visit for one who waits, told when it was taken. */
static void take_visit(struct sh_lookup_worker *w, const struct sh_lookup_ask *a, struct sh_lookup_wait *wait)
{
	struct sh_lookup_ask *use = new_ask(w, (struct sd_slice){a->code, a->code_n});
	if (!use || !(use->rec = sh_record_copy(a->rec))) {
		free(use);
		tell(w, wait, SH_LOOK_AWAY, NULL);
		return;
	}
	use->use = true;
	sd_count(&w->n.visits, 1);
	join(use, wait);
	sd_loop_post(w->k->conf.control, &use->task);
}

static void tell_found(struct sh_lookup_worker *w, const struct sh_lookup_ask *a, struct sh_lookup_wait *wait)
{
	struct sh_target t;
	enum sh_look look = sh_record_judge(a->rec, wait->now_ms, &t);
	if (look == SH_LOOK_FOUND && t.limited && wait->visit && !a->use)
		take_visit(w, a, wait);
	else
		tell(w, wait, look, look == SH_LOOK_UNKNOWN ? NULL : &t);
}

static void tell_all(struct sh_lookup_worker *w, struct sh_lookup_ask *a)
{
	while (!sd_list_empty(&a->waits)) {
		struct sh_lookup_wait *wait = sd_container(a->waits.next, struct sh_lookup_wait, link);
		sd_list_del(&wait->link);
		if (w->stopped)
			continue;
		if (a->look == SH_LOOK_FOUND)
			tell_found(w, a, wait);
		else if (a->look == SH_LOOK_AWAY && !a->use)
			tell_away(w, a, wait);
		else
			tell(w, wait, a->look, NULL);
	}
	sh_ask_free(a);
}

static void show(struct sh_lookup_worker *w)
{
	const uint64_t now[] = {sh_table_count(&w->table, false), sh_table_count(&w->table, true), sh_table_bytes(&w->table), w->table.evicted};
	for (int i = 0; i < 4; i++)
		__atomic_store_n(&w->gauges[i], now[i], __ATOMIC_RELAXED);
}

static void on_arrived(struct sd_task *t)
{
	struct sh_lookup_worker *w = sd_container(t, struct sh_lookup_worker, arrived);
	look_into_inbox(w);
	while (!sd_list_empty(&w->answered)) {
		struct sh_lookup_ask *a = sd_container(w->answered.next, struct sh_lookup_ask, link);
		sd_list_del(&a->link);
		tell_all(w, a);
	}
	show(w);
}

/* ---- life ---- */

enum sd_err sh_lookup_start(struct sh_lookup *k, struct sd_loop *loop, struct sh_lookup_worker **out, struct sd_error *e)
{
	struct sh_lookup_worker *w = k->nworkers < k->conf.nworkers ? calloc(1, sizeof(*w)) : NULL;
	struct sd_siphash_key key;
	if (!w)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	sd_world_random(sd_loop_world(loop), &key, sizeof(key));
	w->k = k;
	w->loop = loop;
	w->arrived.fn = on_arrived;
	w->flush.kind = SH_NOTE_FLUSH;
	sd_list_init(&w->answered);
	sh_table_init(&w->table, k->conf.size / k->conf.nworkers, key, sd_loop_now_ns(loop), k->conf.stale_ns, SH_DEAF_LIFE_MS * 1000000ll);
	sh_table_deaf(&w->table, k->deaf);
	sd_dict_init(&w->asks, offsetof(struct sh_lookup_ask, code), &k->key);
	k->workers[k->nworkers++] = w;
	*out = w;
	return SD_OK;
}

/* What was on its way to it is its own again. */
void sh_worker_free(struct sh_lookup_worker *w)
{
	w->stopped = true;
	take_notes(w);
	while (!sd_list_empty(&w->answered)) {
		struct sh_lookup_ask *a = sd_container(w->answered.next, struct sh_lookup_ask, link);
		sd_list_del(&a->link);
		sh_ask_free(a);
	}
	sd_dict_free(&w->asks);
	sh_table_free(&w->table);
	free(w);
}

/* Those who wait were told by their connections' end, or are not told at all. */
void sh_lookup_stop(struct sh_lookup_worker *w)
{
	if (w)
		w->stopped = true;
}
