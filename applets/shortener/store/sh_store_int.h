/* sh_store_int.h - what the files of the store share.
 *
 *	sh_store.c         opening, settings, numbers, totals
 *	sh_store_row.c     links as rows and back
 *	sh_store_create.c  new links
 *	sh_store_links.c   reading, changing, deleting and listing them
 *	sh_store_keys.c    API keys
 */
#ifndef SH_STORE_INT_H
#define SH_STORE_INT_H

#include "core/bloom.h"
#include "sh_store.h"

struct sh_store {
	struct sd_loop *loop;
	struct sh_store_conf conf;
	struct sd_sql *sql;
	bool closing, opening, open, fatal;
	struct sd_error why; /* not open */
	struct sd_timer again;
	struct sd_siphash_key code_key, mac_key;
	struct sd_bloom aliases;
	char last_alias[SH_CODE_MAX + 1]; /* while they are read */
	/* numbers: from next to end, then the spare block */
	uint64_t next, end, spare;
	bool leasing, has_spare;
	struct sh_ask *wait_number, **wait_number_tail;
	/* totals */
	struct sh_totals totals;
	bool counting, counted;
	int64_t count_begun_ns, count_fresh_until_ns;
	struct sh_ask *wait_totals;
};

/* One request on its way. What it needs of its kind stands behind it in a struct of its own. */
struct sh_ask {
	struct sh_store *st;
	struct sh_ask *next;
	struct sd_task task;
	struct sd_error e;
	/* Says what came of it and frees it; j is NULL when e says that nothing came. */
	void (*end)(struct sh_ask *a, const struct sd_sql_job *j);
	void *arg;
};

/* size: of the struct that begins with it. NULL: out of memory. */
void *sh_ask_new(struct sh_store *st, size_t size, void (*end)(struct sh_ask *a, const struct sd_sql_job *j), void *arg);
/* Runs a job for it; a->end follows, on a later turn. */
void sh_ask_run(struct sh_ask *a, struct sd_sql_job *j);
/* a->end follows on a later turn, without a job. */
void sh_ask_fail(struct sh_ask *a, enum sd_err err, const char *why);
/* The same when the store is not open; true: it failed. */
bool sh_ask_refused(struct sh_ask *a);

/* A number for a new link: SD_OK, or the ask waits and a->task runs when there may be one. */
bool sh_number_take(struct sh_ask *a, uint64_t *number);
void sh_totals_add(struct sh_store *st, int64_t links);
/* Counts the links anew when their number is old; it is told to nobody. */
void sh_totals_refresh(struct sh_store *st);
void sh_changed(struct sh_store *st, const char *code);
int64_t sh_store_now_ms(struct sh_store *st);

/* ---- rows ---- */

#define SH_COLUMNS                                                                                                            \
	"id, code, url, title, tags, status, disabled, forward_query, alias, created_ms, changed_ms, valid_from_ms, valid_until_ms, " \
	"max_visits, clicks, uses"

/* A link from a row of SH_COLUMNS. Its texts are the job's, its tags its own: sh_row_free. False: out of memory. */
bool sh_row_read(const struct sd_sql_job *j, size_t statement, size_t row, struct sh_link *out);
void sh_row_free(struct sh_link *link);
/* A link of one's own with all it points to; NULL: out of memory. */
struct sh_link *sh_link_copy(const struct sh_link *link);
void sh_link_free(struct sh_link *link);
/* Its tags, one a line; NULL: out of memory. The caller's. */
char *sh_tags_join(const struct sh_link *link);
/* NULL, or what breaks a limit of shortener.h. */
const char *sh_link_fault(const struct sh_link *link);
int64_t sh_url_hash(const char *url);

#endif
