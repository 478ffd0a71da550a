/* sh_lookup.h - from a code to its target: in the worker's own table, in a cache that servers share, in the store.
 *
 *	sh_lookup_now     this worker's table (sh_table.h): nobody else is asked, nothing is allocated, nothing is locked
 *	      | ASK
 *	sh_lookup_ask --message--> the control loop: one flight for each code, whoever waits for it on whatever worker
 *	                               |
 *	                               +--> the cache (--cache): GET; failures of it are counted and it is passed over
 *	                               +--> the store: sh_store_get
 *	      done <--message--        the answer, which the cache and the tables of the workers keep
 *
 * What is kept may be out of date. This is why it is not for longer than is promised:
 *
 *  1. One server. A change is told (sh_lookup_changed) after it was committed and before the client has its answer. That puts a
 *     note into the inbox of each worker and raises a counter that sh_lookup_now reads before it looks: a worker that has notes
 *     takes them first. So whoever has the answer to a change finds no older target on any connection.
 *  2. A flight that began before a change may carry what was before it. The change takes all flights of its code out of the list:
 *     those that wait for them began before the change had its answer and may have either, but what they bring is kept nowhere,
 *     and whoever asks from now on has a new flight, which asks the store after the commit. Answers and notes reach
 *     a worker in the order in which the control loop sent them.
 *  3. The cache, which other servers fill. A change puts a tombstone over the key, for SH_TOMBSTONE_MS; a fill is SET ... NX, and comes at
 *     most SH_FILL_MS after the store was asked, or not at all. A fill with an old target asked the store before the commit, so that
 *     it arrives less than SH_FILL_MS after the commit: before the tombstone, which then lies over it, or while it lies there, and
 *     NX keeps it out. (SH_TOMBSTONE_MS leaves room for a request that was long on its way.) Readers take a tombstone for nothing.
 *  4. Tables of other servers. After the tombstone the change is published; whoever hears it does as in 1 and 2. A reader that had the
 *     old target out of the cache before the tombstone hears of the change after it asked: then its flight goes as in 2, or
 *     its answer is here already and is dropped.
 *  5. Whoever cannot hear (the subscription is lost, found out by PING within SH_DEAF_MS) keeps nothing longer than SH_DEAF_LIFE_MS
 *     from when it came; once it hears again all that came before is out of date.
 *  6. Whoever cannot tell (the cache does not answer) keeps the codes and tells them when it can, up to SH_UNTOLD of them; beyond that, and
 *     for whatever else goes wrong, what a table or the cache has ends at --cache-life after the store was asked: a value from the cache
 *     is kept in a table for what is left of its life there only.
 *
 * While neither cache nor store answer, what is out of date is served for --stale-while-down more; what is not in the table has no answer
 * (SH_LOOK_AWAY: 503), never "there is no such link".
 */
#ifndef SH_LOOKUP_H
#define SH_LOOKUP_H

#include "../shortener.h"
#include "core/list.h"

#define SH_TOMBSTONE_MS	 30000
#define SH_FILL_MS	 10000
#define SH_DEAF_MS	 4000
#define SH_DEAF_LIFE_MS	 5000
#define SH_UNTOLD	 65536
#define SH_RETRY_AFTER_S 2 /* to say with a 503 */

enum sh_look {
	SH_LOOK_FOUND,
	SH_LOOK_UNKNOWN, /* there is no such link */
	SH_LOOK_NOT_YET, /* out is filled from here */
	SH_LOOK_EXPIRED,
	SH_LOOK_DISABLED,
	SH_LOOK_USED_UP, /* only from sh_lookup_ask with a visit; to here */
	SH_LOOK_AWAY,	 /* nobody knows now: 503 with Retry-After: SH_RETRY_AFTER_S */
	SH_LOOK_ASK,	 /* only from sh_lookup_now: sh_lookup_ask will tell */
};

/* url: valid until the next call of a function for this worker, or until done() returns. */
struct sh_target {
	struct sd_slice url;
	uint64_t id;
	uint16_t status; /* 0: as the service is set */
	bool forward_query;
	bool limited; /* it has max_visits */
	bool stale;   /* served since nobody can be asked */
	int64_t valid_from_ms, valid_until_ms; /* 0: none; for caching headers */
};

/* Somebody who waits; the caller's, until done() was called or it was forgotten. */
struct sh_lookup_wait {
	/* On the worker's loop, on a later turn, once. t is NULL unless `look` is one that fills it. */
	void (*done)(struct sh_lookup_wait *wait, enum sh_look look, const struct sh_target *t);
	bool visit; /* takes one of the link's max_visits, when it has a limit; exact whatever servers do so at once */
	/* inside */
	struct sd_link link;
	struct sh_lookup_ask *ask;
	int64_t now_ms;
};

/* ---- a worker: all on its loop's thread ---- */

/* now_ms: of the wall clock, what times of the link are compared with. Links with a limit are always ASK. */
enum sh_look sh_lookup_now(struct sh_lookup_worker *w, struct sd_slice code, int64_t now_ms, struct sh_target *out);
/* wait->done and wait->visit are set. The code is copied. False: too many wait already, done will not be called; as SH_LOOK_AWAY. */
bool sh_lookup_ask(struct sh_lookup_worker *w, struct sd_slice code, int64_t now_ms, struct sh_lookup_wait *wait);
/* Nobody waits any more: done() will not be called. */
void sh_lookup_forget(struct sh_lookup_wait *wait);

/* From the service's start() and stop(). After stop() nobody who waits is called any more. */
enum sd_err sh_lookup_start(struct sh_lookup *k, struct sd_loop *loop, struct sh_lookup_worker **out, struct sd_error *e);
void sh_lookup_stop(struct sh_lookup_worker *w);

/* ---- the control loop ---- */

/* For the applet's check: is what --cache and the others say possible? */
enum sd_err sh_lookup_check(const struct sd_conf *conf, struct sd_error *e);
/* From create(): sh->control, log and nworkers are set; sh->store may come later. */
enum sd_err sh_lookup_open(struct sh *sh, const struct sd_conf *conf, struct sh_lookup **out, struct sd_error *e);
/* From destroy(), before the store is closed. NULL is fine. */
void sh_lookup_close(struct sh_lookup *k);
/* After each create, change and delete of a link here: the store's `changed`. */
void sh_lookup_changed(struct sh_lookup *k, const char *code);
/* False: why, in a sentence. Redirects of links that it has go on. */
bool sh_lookup_ready(const struct sh_lookup *k, char *why, size_t n);
void sh_lookup_metrics(const struct sh_lookup *k, struct sd_metrics *m, const char *label);

#endif
