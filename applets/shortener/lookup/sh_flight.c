/* sh_flight.c - the control loop: one flight for each code that somebody waits for, and what happens to it when the link is changed. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sh_lookup_int.h"

#define MS 1000000ll

/* What was asked outside comes back to it, also when those who waited were answered long ago, or the lookup was closed. */
struct sh_flight {
	struct sd_dict_entry e; /* while others may join */
	struct sh_lookup *k;	/* NULL: closed */
	struct sd_link link;	/* by age, until it was answered */
	struct sd_link all;
	struct sd_link asks;
	bool joinable, answered;
	bool keep; /* no change of the link came since it began */
	bool fillable;
	unsigned outside; /* questions on their way */
	int64_t began_ns, asked_ns; /* asked: the store */
	size_t code_n;
	char code[SH_CODE_MAX + 1];
};

/* A visit that the store is asked for. */
struct use {
	struct sh_lookup *k;
	struct sh_lookup_ask *ask; /* NULL: answered, or closed */
	struct sd_link link;
	int64_t began_ns;
};

static struct sd_slice code_of(const struct sh_flight *f)
{
	return (struct sd_slice){f->code, f->code_n};
}

/* ---- answers ---- */

static void send_back(struct sh_lookup_ask *a)
{
	if (a->w->k->closing)
		sh_ask_free(a);
	else
		sh_worker_post(a->w, &a->note);
}

static void close_flight(struct sh_lookup *k, struct sh_flight *f)
{
	f->keep = false;
	if (!f->joinable)
		return;
	f->joinable = false;
	sd_dict_remove(&k->flights, &f->e);
}

static void free_if_done(struct sh_flight *f)
{
	if (!f->answered || f->outside)
		return;
	sd_list_del(&f->all);
	free(f);
}

/* rec NULL: nobody knows. */
static void answer(struct sh_flight *f, const struct sh_record *rec, int64_t came_ns, int64_t life_ns)
{
	struct sh_lookup *k = f->k;
	bool keep = f->keep;
	close_flight(k, f);
	f->answered = true;
	sd_list_del(&f->link);
	k->nflights--;
	while (!sd_list_empty(&f->asks)) {
		struct sh_lookup_ask *a = sd_container(f->asks.next, struct sh_lookup_ask, link);
		sd_list_del(&a->link);
		a->rec = rec ? sh_record_copy(rec) : NULL;
		a->look = a->rec ? SH_LOOK_FOUND : SH_LOOK_AWAY;
		a->keep = a->rec && keep;
		a->came_ns = came_ns;
		a->life_ns = life_ns;
		send_back(a);
	}
}

/* ---- the store ---- */

static void store_said(struct sh_lookup *k, enum sd_err err, const char *why)
{
	k->store_away = err && err != SD_ENOTFOUND && err != SD_EINVAL;
	if (!k->store_away)
		return;
	sd_count(&k->n.store_errors, 1);
	snprintf(k->why, sizeof(k->why), "%s", why && *why ? why : sd_err_text(err));
}

static void from_store(struct sh_flight *f, const struct sh_record *rec)
{
	struct sh_lookup *k = f->k;
	int64_t life = rec->none ? k->conf.none_life_ns : k->conf.life_ns;
	if (f->keep && f->fillable && k->shared)
		sh_shared_fill(k->shared, code_of(f), rec, f->asked_ns, life);
	answer(f, rec, f->asked_ns, life);
}

static void on_stored(void *arg, const struct sd_error *e, const struct sh_link *link)
{
	struct sh_flight *f = arg;
	struct sh_record rec = {.none = true};
	f->outside--;
	if (f->k && e->code != SD_ECANCELED)
		store_said(f->k, e->code, e->text);
	if (f->k && !f->answered) {
		if (link)
			sh_record_of(link, &rec);
		sd_count(&f->k->n.store_none, e->code == SD_ENOTFOUND);
		if (f->k->store_away || e->code == SD_ECANCELED)
			answer(f, NULL, 0, 0);
		else
			from_store(f, &rec);
	}
	free_if_done(f);
}

static void ask_store(struct sh_flight *f)
{
	f->asked_ns = sd_loop_now_ns(f->k->conf.control);
	f->outside++;
	f->k->conf.source.get(f->k->conf.source.arg, f->code, on_stored, f);
}

/* ---- the cache ---- */

static void on_cached(void *arg, const struct sh_record *rec, int64_t life_ns, bool fillable)
{
	struct sh_flight *f = arg;
	f->outside--;
	f->fillable = fillable;
	if (f->k && !f->answered) {
		if (rec)
			answer(f, rec, sd_loop_now_ns(f->k->conf.control), life_ns);
		else
			ask_store(f);
	}
	free_if_done(f);
}

/* ---- flights ---- */

static void arm(struct sh_lookup *k)
{
	if (!k->timer.slot)
		sd_loop_timer_set(k->conf.control, &k->timer, sd_loop_now_ns(k->conf.control) + k->conf.timeout_ns);
}

static struct sh_flight *new_flight(struct sh_lookup *k, const struct sh_lookup_ask *a, uint32_t hash)
{
	struct sh_flight *f = k->nflights < SH_FLIGHTS_MOST ? calloc(1, sizeof(*f)) : NULL;
	if (!f)
		return NULL;
	*f = (struct sh_flight){.k = k, .keep = true, .began_ns = sd_loop_now_ns(k->conf.control), .code_n = a->code_n};
	f->e.hash = hash;
	f->e.klen = (uint32_t)a->code_n;
	memcpy(f->code, a->code, a->code_n);
	sd_list_init(&f->asks);
	sd_list_add(&k->by_age, &f->link);
	sd_list_add(&k->all, &f->all);
	f->joinable = sd_dict_add(&k->flights, &f->e);
	k->nflights++;
	sd_count(&k->n.flights, 1);
	arm(k);
	return f;
}

static void take_off(struct sh_flight *f)
{
	f->outside++;
	if (f->k->shared && sh_shared_get(f->k->shared, code_of(f), on_cached, f)) {
		return;
	}
	f->outside--;
	ask_store(f);
}

static void resolve(struct sh_lookup *k, struct sh_lookup_ask *a)
{
	struct sd_slice code = {a->code, a->code_n};
	uint32_t hash = sd_dict_hash(&k->flights, code);
	struct sd_dict_entry *e = sd_dict_count(&k->flights) ? sd_dict_find(&k->flights, code, hash) : NULL;
	struct sh_flight *f = e ? sd_container(e, struct sh_flight, e) : new_flight(k, a, hash);
	if (!f) {
		sd_count(&k->n.refused, 1);
		a->look = SH_LOOK_AWAY;
		send_back(a);
		return;
	}
	sd_list_add(&f->asks, &a->link);
	if (!e)
		take_off(f);
}

/* ---- visits ---- */

static void answer_use(struct use *u, enum sh_look look)
{
	struct sh_lookup_ask *a = u->ask;
	u->ask = NULL;
	sd_list_del(&u->link);
	a->look = look;
	send_back(a);
}

static void on_used(void *arg, const struct sd_error *e)
{
	struct use *u = arg;
	if (u->ask) {
		store_said(u->k, e->code == SD_EEXHAUSTED ? SD_OK : e->code, e->text);
		answer_use(u, e->code == SD_OK		? SH_LOOK_FOUND
			      : e->code == SD_EEXHAUSTED ? SH_LOOK_USED_UP
			      : e->code == SD_ENOTFOUND	? SH_LOOK_UNKNOWN
							: SH_LOOK_AWAY);
	}
	free(u);
}

static void take_visit(struct sh_lookup *k, struct sh_lookup_ask *a)
{
	struct use *u = calloc(1, sizeof(*u));
	if (!u) {
		a->look = SH_LOOK_AWAY;
		send_back(a);
		return;
	}
	*u = (struct use){.k = k, .ask = a, .began_ns = sd_loop_now_ns(k->conf.control)};
	sd_list_add(&k->uses, &u->link);
	arm(k);
	k->conf.source.use(k->conf.source.arg, a->rec->id, on_used, u);
}

void sh_flight_on_ask(struct sd_task *t)
{
	struct sh_lookup_ask *a = sd_container(t, struct sh_lookup_ask, task);
	if (a->use)
		take_visit(a->w->k, a);
	else
		resolve(a->w->k, a);
}

/* ---- time ---- */

/* They are in the order in which they began, and all have the same time. */
static void on_timer(struct sd_timer *t)
{
	struct sh_lookup *k = sd_container(t, struct sh_lookup, timer);
	int64_t began = sd_loop_now_ns(k->conf.control) - k->conf.timeout_ns, next = INT64_MAX;
	while (!sd_list_empty(&k->by_age)) {
		struct sh_flight *f = sd_container(k->by_age.next, struct sh_flight, link);
		if (f->began_ns > began) {
			next = f->began_ns;
			break;
		}
		sd_count(&k->n.timeouts, 1);
		store_said(k, SD_ETIMEOUT, "the database does not answer in time");
		answer(f, NULL, 0, 0); /* what it asked is not answered yet, so it lives on */
	}
	while (!sd_list_empty(&k->uses)) {
		struct use *u = sd_container(k->uses.next, struct use, link);
		if (u->began_ns > began) {
			next = u->began_ns < next ? u->began_ns : next;
			break;
		}
		sd_count(&k->n.timeouts, 1);
		answer_use(u, SH_LOOK_AWAY);
	}
	if (next != INT64_MAX)
		sd_loop_timer_set(k->conf.control, &k->timer, next + k->conf.timeout_ns);
}

/* ---- changes ---- */

void sh_flight_changed(struct sh_lookup *k, struct sd_slice code)
{
	struct sd_dict_entry *e = NULL;
	if (sd_dict_count(&k->flights))
		e = sd_dict_find(&k->flights, code, sd_dict_hash(&k->flights, code));
	if (e)
		close_flight(k, sd_container(e, struct sh_flight, e));
	for (unsigned i = 0; i < k->nworkers; i++)
		sh_worker_note(k->workers[i], SH_NOTE_DROP, code);
}

void sh_lookup_changed(struct sh_lookup *k, const char *code)
{
	struct sd_slice s = sd_slice_of(code);
	if (!k || !s.n || s.n > SH_CODE_MAX)
		return;
	sd_count(&k->n.changes, 1);
	sh_flight_changed(k, s);
	if (k->shared)
		sh_shared_changed(k->shared, s);
}

static void close_each(void *arg, struct sd_dict_entry *e)
{
	close_flight(arg, sd_container(e, struct sh_flight, e));
}

/* Flights that are on their way when it hears again may carry what was changed before. */
void sh_flight_hears(struct sh_lookup *k, bool hears)
{
	k->deaf = !hears;
	if (hears)
		sd_dict_each(&k->flights, close_each, k);
	for (unsigned i = 0; i < k->nworkers; i++)
		sh_worker_note(k->workers[i], hears ? SH_NOTE_HEARS : SH_NOTE_DEAF, (struct sd_slice){0});
}

/* ---- life ---- */

enum sd_err sh_lookup_new(const struct sh_lookup_conf *conf, struct sh_lookup **out, struct sd_error *e)
{
	struct sh_lookup *k = calloc(1, sizeof(*k));
	enum sd_err err = SD_OK;
	*out = NULL;
	if (!k || !(k->workers = calloc(conf->nworkers, sizeof(*k->workers)))) {
		free(k);
		return sd_fail(e, SD_ENOMEM, "out of memory");
	}
	k->conf = *conf;
	k->timer.fn = on_timer;
	sd_list_init(&k->by_age);
	sd_list_init(&k->all);
	sd_list_init(&k->uses);
	sd_world_random(sd_loop_world(conf->control), &k->key, sizeof(k->key));
	sd_rng_seed(&k->rng, k->key.k0);
	sd_dict_init(&k->flights, offsetof(struct sh_flight, code), &k->key);
	if (conf->cache)
		err = sh_shared_open(k, &k->shared, e);
	k->deaf = k->shared != NULL; /* until it hears */
	if (err)
		sh_lookup_close(k);
	else
		*out = k;
	return err;
}

/* What is on its way outside finds out by itself that nobody waits. */
static void let_go(struct sh_lookup *k)
{
	while (!sd_list_empty(&k->all)) {
		struct sh_flight *f = sd_container(k->all.next, struct sh_flight, all);
		sd_list_del(&f->all);
		if (!f->answered)
			answer(f, NULL, 0, 0);
		f->k = NULL;
		free_if_done(f);
	}
	while (!sd_list_empty(&k->uses))
		answer_use(sd_container(k->uses.next, struct use, link), SH_LOOK_AWAY);
}

void sh_lookup_close(struct sh_lookup *k)
{
	if (!k)
		return;
	k->closing = true;
	sd_loop_timer_cancel(k->conf.control, &k->timer);
	let_go(k);
	sh_shared_close(k->shared);
	for (unsigned i = 0; i < k->nworkers; i++)
		sh_worker_free(k->workers[i]);
	sd_dict_free(&k->flights);
	free(k->workers);
	free(k);
}
