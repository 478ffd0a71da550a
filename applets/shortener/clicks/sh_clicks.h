/* sh_clicks.h - what was clicked: written down before it is answered, added up afterwards, and asked for.
 *
 *	worker    sh_clicks_add --> journal of this worker (sdlab-shortener-clicks(5)) --> the kernel has it --> the answer leaves
 *	control   journals --> the database, each click once            (sh_clicks_fold.c)
 *	          journals --> a queue --> `sdlab shortener worker`     (--events)
 *
 * A click that was answered is counted exactly once, whatever dies in between: the journal keeps it until the transaction that
 * counted it, or the queue that confirmed it, says so; and the transaction stores how far it read.
 *
 * Addresses are never stored, not in the journal either: a worker makes a keyed hash of the day out of them, and a country.
 */
#ifndef SH_CLICKS_H
#define SH_CLICKS_H

#include "../shortener.h"
#include "core/user_agent.h"

#define SH_CLICK_DAY_MS 86400000ll

/* One redirect, or one request for a code that is none. Slices need to be valid during the call only. */
struct sh_click {
	uint64_t link;		     /* sh_link.id; 0: an orphan, and path says what was asked for */
	int64_t time_ms;
	const struct sd_peer *from;  /* the client, not the proxy before it */
	struct sd_slice path;
	struct sd_slice referer, user_agent;
	struct sd_slice purpose;     /* Sec-Purpose, else Purpose */
	bool head;
};

/* ---- a worker: all on its loop's thread ---- */

/* Records a click that the caller answers in this callback, on this stream: what is written to the stream from now on leaves only
 * when the kernel has the click. Never waits, and never fails for the caller: a journal that cannot be written counts what it
 * loses, says so once, and sh_clicks_ready tells. w NULL (analytics are off): nothing happens. */
void sh_clicks_add(struct sh_clicks_worker *w, const struct sh_click *click, struct sd_stream *answer);

/* ---- the control loop ---- */

/* Before the workers start; the store is open, but its database may be away. */
enum sd_err sh_clicks_open(struct sh *sh, const struct sd_conf *conf, struct sh_clicks **out, struct sd_error *e);
/* From the service's start(): the part of one worker, freed by sh_clicks_close; NULL with SD_OK: analytics are off. */
enum sd_err sh_clicks_start(struct sh_clicks *c, struct sd_loop *loop, struct sh_clicks_worker **out, struct sd_error *e);
/* When no worker runs any more: what was not added up stays in the journal. Before or after the store. NULL is fine. */
void sh_clicks_close(struct sh_clicks *c);

/* False: clicks are being lost, or pile up; why is one sentence. */
bool sh_clicks_ready(const struct sh_clicks *c, char *why, size_t n);
/* The same of the queue; true when there is none to go to. */
bool sh_clicks_queue_ready(const struct sh_clicks *c, char *why, size_t n);
void sh_clicks_metrics(const struct sh_clicks *c, struct sd_metrics *m, const char *label);

/* ---- statistics ---- */

struct sh_tally {
	int64_t clicks;	  /* of persons: what is meant by clicks elsewhere */
	int64_t bots, previews, prefetches;
	int64_t visitors; /* persons told apart by address and browser, each day anew, about 1.6 % off; -1: not known for this span */
};
struct sh_span {
	int64_t at_ms; /* when the day or hour begins, UTC */
	struct sh_tally n;
};
struct sh_share {
	const char *name; /* "google.com", "DE", "mobile"; "" for referrers: none was sent, for countries: not known */
	int64_t clicks;
};
enum sh_share_kind { SH_REFERRERS, SH_COUNTRIES, SH_DEVICES, SH_BROWSERS, SH_SYSTEMS, SH_SHARES };

/* Valid until fn returns. */
struct sh_stats {
	struct sh_tally total;	/* of the days asked for */
	int64_t clicks_ever;
	size_t ndays, nhours;	/* with anything in them; oldest first */
	struct sh_span *days, *hours;
	size_t nshares[SH_SHARES];
	struct sh_share *shares[SH_SHARES]; /* most first, of the days asked for */
};

typedef void sh_stats_fn(void *arg, enum sd_err err, const struct sh_stats *stats);
/* What is known of a link (id 0: of all links together; orphans are no clicks) on the days from `from_ms` to `to_ms` (UTC; 0: no bound). fn is called on a later
 * turn; SD_EUNREACHABLE: the database is away. */
void sh_stats(struct sh_clicks *c, uint64_t link, int64_t from_ms, int64_t to_ms, sh_stats_fn *fn, void *arg);

/* What changed since, for the live view: counts of all servers on this database show. */
struct sh_live_row {
	const char *code;
	int64_t clicks;
};
struct sh_live {
	int64_t cursor; /* for the next call */
	int64_t clicks; /* of all links */
	int64_t links;
	size_t n;
	const struct sh_live_row *rows;
};
typedef void sh_live_fn(void *arg, enum sd_err err, const struct sh_live *live);
/* cursor 0: no rows, only where it stands now. At most 256 rows, those that changed last. */
void sh_stats_since(struct sh_clicks *c, int64_t cursor, sh_live_fn *fn, void *arg);

/* Requests for codes that are none. */
struct sh_orphan {
	const char *path;
	int64_t n, last_ms;
};
typedef void sh_orphans_fn(void *arg, enum sd_err err, const struct sh_orphan *rows, size_t n);
void sh_stats_orphans(struct sh_clicks *c, unsigned most, sh_orphans_fn *fn, void *arg);

#endif
