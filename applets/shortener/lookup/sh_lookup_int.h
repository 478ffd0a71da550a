/* sh_lookup_int.h - between the files of the lookup.
 *
 *	sh_lookup.c   a worker: its table, who waits, its inbox
 *	sh_flight.c   the control loop: flights, changes, life
 *	sh_shared.c   the cache that servers share, and what they tell each other
 *	sh_lookup_conf.c  options, metrics, readiness
 *	sh_lookup_open.c  with the store behind it
 */
#ifndef SH_LOOKUP_INT_H
#define SH_LOOKUP_INT_H

#include "../store/sh_store.h"
#include "sh_table.h"

#define SH_WAITS_MOST	16384 /* of a worker, at once */
#define SH_FLIGHTS_MOST 16384

/* ---- messages ---- */

enum sh_note_kind {
	SH_NOTE_ANSWER, /* to an ask */
	SH_NOTE_DROP,	/* the code was changed */
	SH_NOTE_FLUSH,	/* anything may have been */
	SH_NOTE_DEAF,	/* changes elsewhere are not heard of from now on */
	SH_NOTE_HEARS,
};

/* From the control loop to a worker; allocated but those in an ask. */
struct sh_note {
	struct sh_note *next;
	enum sh_note_kind kind;
	struct sh_lookup_ask *ask;
	size_t n;
	const char *code; /* behind it */
};

/* From a worker to the control loop and back, as often as needed: its own, and freed by it; by the control loop once workers have stopped. */
struct sh_lookup_ask {
	struct sd_dict_entry e; /* in worker->asks while others may join */
	struct sd_task task;
	struct sd_link link; /* of a flight; on the worker in worker->answered */
	struct sh_lookup_worker *w;
	struct sd_link waits;
	bool joinable, use; /* use: takes a visit of rec->id, for one who waits */
	/* the answer */
	enum sh_look look; /* FOUND: rec says more; AWAY; of a use: USED_UP, UNKNOWN too */
	struct sh_record *rec; /* its own; NULL when AWAY */
	bool keep, local; /* local: out of the table, nobody was asked */
	int64_t came_ns, life_ns;
	size_t code_n;
	char code[SH_CODE_MAX + 1];
	struct sh_note note;
};

/* ---- a worker ---- */

struct sh_lookup_worker {
	struct sh_lookup *k;
	struct sd_loop *loop;
	struct sh_note *inbox; /* newest first; the control loop adds, the worker takes all */
	struct sd_task arrived;
	bool stopped;
	struct sh_note flush; /* when there is no memory for another; `flushing` as long as it is in the inbox */
	bool flushing;
	struct sh_table table;
	struct sd_dict asks;
	struct sd_link answered; /* those who wait for them are to be called */
	size_t waiting;
	int64_t away_until_ns; /* nobody answered just now */
	struct sh_lookup_counts {
		uint64_t hits, none_hits, misses, stale, away, visits, refused;
	} n;
	uint64_t gauges[4]; /* links, none, bytes, evicted: as they were a while ago, for others to read */
};

/* On the control loop. */
void sh_worker_note(struct sh_lookup_worker *w, enum sh_note_kind kind, struct sd_slice code);
void sh_worker_free(struct sh_lookup_worker *w);
void sh_worker_post(struct sh_lookup_worker *w, struct sh_note *note);
void sh_ask_free(struct sh_lookup_ask *a);

/* ---- the control loop ---- */

/* Where links come from; for tests another one than the store. */
struct sh_source {
	void (*get)(void *arg, const char *code, sh_store_link_fn *fn, void *fn_arg);
	void (*use)(void *arg, uint64_t id, sh_store_done_fn *fn, void *fn_arg);
	void *arg;
};

struct sh_lookup_conf {
	struct sd_loop *control;
	struct sd_log *log;
	unsigned nworkers;
	size_t size; /* bytes of all tables */
	int64_t life_ns, none_life_ns, stale_ns, timeout_ns;
	const char *cache, *prefix; /* cache NULL: none */
	int64_t cache_timeout_ns;
	struct sh_source source;
};

struct sh_flight;
struct sh_shared;

struct sh_lookup {
	struct sh_lookup_conf conf;
	struct sd_rng rng;
	struct sh_shared *shared; /* NULL: no --cache */
	struct sh_lookup_worker **workers;
	unsigned nworkers; /* started */
	struct sd_dict flights;
	struct sd_siphash_key key;
	struct sd_link by_age; /* flights nobody was answered for, oldest first */
	struct sd_link all;    /* flights, also those that were answered */
	struct sd_link uses;   /* visits that were not answered, oldest first */
	size_t nflights;
	struct sd_timer timer;
	bool deaf, closing;
	bool store_away; /* as the last answer had it */
	char why[256];
	struct sh_flight_counts {
		uint64_t flights, changes, heard, store_none, store_errors, timeouts, refused;
		uint64_t cache_hits, cache_misses, cache_errors, cache_fills, told, untold, lost;
	} n;
};

enum sd_err sh_lookup_new(const struct sh_lookup_conf *conf, struct sh_lookup **out, struct sd_error *e);
/* From a worker: its ask is the control loop's until it comes back. */
void sh_flight_on_ask(struct sd_task *t);
/* Somebody said that this link was changed: 1 and 2 of sh_lookup.h. */
void sh_flight_changed(struct sh_lookup *k, struct sd_slice code);
void sh_flight_hears(struct sh_lookup *k, bool hears);

/* ---- the cache ---- */

/* Is this a URL of a cache? */
enum sd_err sh_shared_check(const char *url, struct sd_error *e);
enum sd_err sh_shared_open(struct sh_lookup *k, struct sh_shared **out, struct sd_error *e);
void sh_shared_close(struct sh_shared *s); /* NULL is fine; what was asked is answered */
/* fn: once, on a later turn; rec NULL: the cache does not say. A record's life_ns is what is left of it there. False: it will not be
 * called. fillable: what the store says may be put there. */
typedef void sh_shared_fn(void *arg, const struct sh_record *rec, int64_t life_ns, bool fillable);
bool sh_shared_get(struct sh_shared *s, struct sd_slice code, sh_shared_fn *fn, void *arg);
/* asked_ns: when the store was. */
void sh_shared_fill(struct sh_shared *s, struct sd_slice code, const struct sh_record *rec, int64_t asked_ns, int64_t life_ns);
/* 3, 4 and 6. */
void sh_shared_changed(struct sh_shared *s, struct sd_slice code);
/* False: why it does not answer. */
bool sh_shared_ready(const struct sh_shared *s, char *why, size_t n);

#endif
