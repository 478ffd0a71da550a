/* sh_clicks_int.h - what the files of clicks share.
 *
 *	sh_record.c   a worker: clicks of a turn, written to its journal before its answers leave
 *	sh_journal.c  the journals: opening them, reading them on a helper thread, opening them again after the disk was full
 *	sh_clicks.c   the control loop: journals to the database, or to a queue; retention
 *	sh_events.c   to a queue, with confirms
 *	sh_worker.c   from a queue to the database: `sdlab shortener worker`
 *	sh_entry.c, sh_fold.c, sh_apply.c   bytes of clicks; many as few rows; into the database exactly once
 *	sh_stats.c    what is asked for
 *
 * A journal belongs to its worker's thread once that runs; its reader to the control loop, and to a helper thread while a batch is read.
 */
#ifndef SH_CLICKS_INT_H
#define SH_CLICKS_INT_H

#include "../store/sh_store.h"
#include "core/siphash.h"
#include "disk/geo.h"
#include "disk/wal.h"
#include "sh_apply.h"
#include "sh_clicks.h"

#define SH_AGENTS	 1024 /* User-Agents whose meaning a worker remembers */
/* Of a batch, about. To a queue it goes in small ones; to the database in large ones, since what many clicks of a link add to is
 * written once for all of them. */
#define SH_BATCH_SENT	 (1u << 20) /* bytes */
#define SH_BATCH_ADDED	 (8u << 20)
#define SH_SEGMENT	 (16u << 20)
#define SH_SLOTS	 256

struct sh_agent {
	uint64_t hash; /* of the text; 0: none */
	struct sd_user_agent is;
};

enum sh_slot_state { SH_SLOT_OK, SH_SLOT_FAILED, SH_SLOT_OPENING };

/* One journal with the worker that writes it; without one (there were more workers before) it is only read. */
struct sh_clicks_worker {
	struct sh_clicks *clicks;
	unsigned index;
	char dir[512];

	/* the worker's */
	struct sd_loop *loop; /* NULL: nobody writes */
	struct sd_wal *wal;   /* NULL: it could not be opened */
	uint64_t run;	      /* chance: of this process and journal since it was opened */
	uint8_t *buf;	      /* what of this turn is not written; the run stands first */
	size_t n, room;
	unsigned pending;     /* clicks in it */
	struct sd_stream_gate gate;
	struct sd_task late;
	struct sd_siphash_key secret, day_key;
	int64_t day; /* of day_key; -1: none */
	struct sh_agent *agents;
	uint64_t seed;

	/* written by the worker, read by the control loop (atomic) */
	uint64_t clicks_n, turns, lost;
	uint64_t written; /* the last record that the kernel has */
	int state;	  /* enum sh_slot_state */
	struct sd_error why; /* FAILED: filled in before state says so */

	/* from the control loop to the worker and back */
	struct sd_task secret_task, drop_task, reopen_task, reopened_task;
	struct sd_siphash_key new_secret;
	uint64_t drop_below;	/* atomic */
	struct sd_wal_wait drop_wait;
	bool dropping;
	struct sd_wal_reader *new_reader;
	uint64_t new_next;
	enum sd_err reopened_err;

	/* the control loop's */
	struct sd_wal_reader *reader; /* NULL: none now */
	uint64_t next;		      /* the first record that was not read */
	bool mending, told;
};

/* Records read from journals, and the blocks that point into them. */
struct sh_batch {
	struct sd_text bytes;
	struct sh_block *blocks;
	size_t n, room;
	bool more; /* there is more to be read */
	enum sd_err err;
	struct sd_error why;
};

struct sh_clicks {
	struct sh *sh;
	struct sd_loop *loop;
	struct sd_world *world;
	struct sd_helpers *helpers;
	struct sd_geo *geo; /* NULL: countries are not known */
	enum sd_wal_sync sync;
	char dir[400];
	struct sh_clicks_worker *slots[SH_SLOTS];
	unsigned nslots, nstarted;
	struct sd_timer timer, sync_timer;
	struct sh_keep *keep;
	struct sd_work read_work, sync_work;
	bool reading, syncing, sync_failed, secret_asked, closing, closed;
	struct sh_batch batch;
	void (*batch_read)(struct sh_clicks *c);
	struct sh_apply apply;
	struct sh_events *events; /* NULL: clicks are added up here */
	bool told_down, told_early, held; /* held: c->batch was read and is not kept elsewhere yet */
	int64_t retry_ns, mend_ns;
	int64_t began_ns, rest_ns; /* when the batch in hand was given on; until when no other is taken */
};

/* ---- a worker ---- */

bool sh_record_init(struct sh_clicks_worker *w);
void sh_record_free(struct sh_clicks_worker *w);

/* ---- journals ---- */

enum sd_err sh_journals_open(struct sh_clicks *c, unsigned nworkers, struct sd_error *e);
void sh_journals_close(struct sh_clicks *c);
/* Is anything there that was not read? */
bool sh_journals_have(const struct sh_clicks *c);
/* Reads the next batch on a helper thread: then c->batch is filled, and fn called on the loop. */
void sh_journals_read(struct sh_clicks *c, void (*fn)(struct sh_clicks *c));
/* Everything that was read is kept elsewhere now: segments below may go. */
void sh_journals_drop(struct sh_clicks *c);
/* With --click-sync interval: what the kernel has goes to the disk, on a helper thread. */
void sh_journals_sync(struct sh_clicks *c);
/* Journals that failed are opened again, one step a call. */
void sh_journals_mend(struct sh_clicks *c);
void sh_batch_clear(struct sh_batch *b);
bool sh_batch_add(struct sh_batch *b, struct sd_slice record, uint64_t seq);

/* ---- to a queue ---- */

struct sh_events;
enum sd_err sh_events_open(struct sh_clicks *c, const char *url, const char *queue, struct sh_events **out, struct sd_error *e);
void sh_events_close(struct sh_events *v);
bool sh_events_stands(const struct sh_events *v);
const char *sh_events_why(const struct sh_events *v); /* it does not */
/* May another batch be given? */
bool sh_events_idle(const struct sh_events *v);
/* Publishes what c->batch holds; done: all of it is confirmed, or not (then it is to be given again, later). */
void sh_events_publish(struct sh_events *v, void (*done)(struct sh_clicks *c, const struct sd_error *e));
void sh_events_metrics(const struct sh_events *v, struct sd_metrics *m, const char *label);

/* ---- retention ---- */

/* Once an hour: hours older than a fortnight, and days older than the retention, go, one day's at a time. What failed is said, and tried again
 * in a minute. */
struct sh_keep;
struct sh_keep_conf {
	struct sd_loop *loop;
	struct sd_log *log;
	struct sd_sql *(*sql)(void *arg); /* NULL while there is none */
	void *arg;
	int64_t retention_ms; /* 0: days are kept for ever */
};
struct sh_keep *sh_keep_new(const struct sh_keep_conf *conf); /* NULL: out of memory */
uint64_t sh_keep_failed(const struct sh_keep *k);
/* Also while the database is asked, which then answers nobody. NULL is fine. */
void sh_keep_free(struct sh_keep *k);
/* What it asks. */
struct sd_sql_job *sh_keep_job(struct sd_sql *sql, int64_t now_ms, int64_t retention_ms);

#endif
