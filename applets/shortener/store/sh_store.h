/* sh_store.h - links, tags, API keys and counters, in SQLite or PostgreSQL (src/disk/sql.h).
 *
 * All functions belong to the control loop. Each that takes a callback calls it exactly once, on a later turn; what it is
 * given is valid until it returns. e->code tells the kind, e->text says it in a sentence:
 *
 *	SD_OK            done
 *	SD_ENOTFOUND     no such link, or key
 *	SD_EEXISTS       the alias is taken
 *	SD_EINVAL        what was given breaks a limit of shortener.h
 *	SD_EEXHAUSTED    all visits of a link are used up; of a new one: no number or code was free in a hundred tries
 *	SD_EUNREACHABLE  the database is away, or not opened yet; nothing was done. SD_ERESET, SD_ETIMEOUT: it may have been
 *	SD_EAGAIN        locked by somebody else too long, or too much waits
 *	SD_ENOSPC, SD_EPERM, SD_EDAMAGED, SD_EIO   full, read-only, broken
 *	SD_ECANCELED     the store was closed
 *
 * A new link takes a number from a block that the database leased to this server, so that no two servers ever have the same; its
 * code is that number under a keyed permutation, in base62, at least conf.min_length characters. No look-up is needed to know that it is
 * free but for an alias of the same letters, a reserved word, or a counter that was set back, which cost the next number.
 */
#ifndef SH_STORE_H
#define SH_STORE_H

#include "../shortener.h"
#include "core/siphash.h"
#include "disk/sql.h"

enum sh_code_method {
	SH_CODE_COUNTER, /* base62 of a permuted counter */
	SH_CODE_MD5_HEX, /* the seed's: first 7 hexadecimal digits of the URL's MD5; on a collision with another URL again, with a number behind it */
	SH_CODE_MD5_BASE62, /* the same, 7 characters of base62 */
};

struct sh_store_conf {
	struct sd_sql_conf sql;  /* url and the rest; up, down and arg are the store's own */
	enum sh_code_method method;
	unsigned min_length;     /* of codes that are not aliases, 4 to 10 */
	uint64_t lease;          /* counter numbers taken at a time, from 1 */
	/* Not to be given as a code: words the service itself answers at. NULL: none. */
	bool (*reserved)(const char *code);
	/* After each create, change and delete here, before its callback: for invalidation. NULL: nobody asks. */
	void (*changed)(void *arg, const char *code);
	/* Open, with so many links; said again whenever it was away. Then ready(NULL) holds. */
	void (*up)(void *arg, uint64_t links);
	/* Away, or cannot be opened at all: fatal, and no try will be made again (a newer version, a broken schema). */
	void (*down)(void *arg, const struct sd_error *why, bool fatal);
	void *arg;
};
extern const struct sh_store_conf sh_store_defaults;

/* As sd_sql_open; then the schema is brought up to date, and `up` said. */
enum sd_err sh_store_open(struct sd_loop *l, const struct sh_store_conf *conf, struct sh_store **out, struct sd_error *e);
/* What was not answered is, with SD_ECANCELED. NULL is fine. */
void sh_store_close(struct sh_store *st);
/* Open, and the database answers. *why (may be NULL): a sentence when not; valid until the next call. */
bool sh_store_ready(struct sh_store *st, const char **why);
/* For tables of other parts: their versions stand in sh_schema.c. */
struct sd_sql *sh_store_sql(struct sh_store *st);

/* ---- links ---- */

/* link NULL when e->code is not SD_OK. */
typedef void sh_store_link_fn(void *arg, const struct sd_error *e, const struct sh_link *link);
void sh_store_get(struct sh_store *st, const char *code, sh_store_link_fn *fn, void *arg);

/* created false: find_if_exists found this one. */
typedef void sh_store_created_fn(void *arg, const struct sd_error *e, const struct sh_link *link, bool created);
/* Copies the link. Of it url is needed (normalised, see core/link_url.h); code NULL or "": one is made, else it is an alias, letters, digits,
 * '-', '_' and what the caller allowed. id, created_ms, changed_ms, clicks, uses and alias are the store's. find_if_exists: an enabled link
 * with the same url, status, forward_query, times and max_visits (and code, when one is given) is returned instead; exact also when
 * several servers ask at once. The hash methods always return the link that has this URL and this code. */
void sh_store_create(struct sh_store *st, const struct sh_link *link, bool find_if_exists, sh_store_created_fn *fn, void *arg);

#define SH_SET_URL           1u
#define SH_SET_TITLE         2u
#define SH_SET_TAGS          4u
#define SH_SET_STATUS        8u
#define SH_SET_DISABLED      16u
#define SH_SET_FORWARD_QUERY 32u
#define SH_SET_VALID_FROM    64u
#define SH_SET_VALID_UNTIL   128u
#define SH_SET_MAX_VISITS    256u
/* Sets these fields (SH_SET_...) of the link to those of `to`, which is copied. Gives the link as it is then. */
void sh_store_change(struct sh_store *st, const char *code, const struct sh_link *to, unsigned fields, sh_store_link_fn *fn, void *arg);
/* Gives the link as it was. */
void sh_store_delete(struct sh_store *st, const char *code, sh_store_link_fn *fn, void *arg);

enum sh_order { SH_NEWEST, SH_OLDEST, SH_MOST_CLICKS, SH_FEWEST_CLICKS, SH_BY_CODE, SH_BY_TITLE, SH_CHANGED };
struct sh_filter {
	const char *search; /* in code, URL, title and tags, without regard to ASCII case; NULL or "": all */
	const char *tag;    /* exactly this one; NULL or "": any */
	uint64_t page;      /* from 1 */
	unsigned per_page;  /* 1 to 1000 */
	enum sh_order order;
};
/* links: n of this page; total: of all pages. */
typedef void sh_store_list_fn(void *arg, const struct sd_error *e, const struct sh_link *links, size_t n, uint64_t total);
void sh_store_list(struct sh_store *st, const struct sh_filter *f, sh_store_list_fn *fn, void *arg);

struct sh_tag_count {
	const char *tag;
	uint64_t links;
};
typedef void sh_store_tags_fn(void *arg, const struct sd_error *e, const struct sh_tag_count *tags, size_t n);
/* All tags that links have, most used first, 1000 at most. */
void sh_store_tags(struct sh_store *st, sh_store_tags_fn *fn, void *arg);

typedef void sh_store_done_fn(void *arg, const struct sd_error *e);
/* Takes one of the link's max_visits: exact whatever servers ask at once. SD_EEXHAUSTED: there was none; SD_ENOTFOUND: no such link. Links without
 * a limit: SD_OK, and nothing is counted. */
void sh_store_use(struct sh_store *st, uint64_t id, sh_store_done_fn *fn, void *arg);

struct sh_totals {
	uint64_t links;
	uint64_t clicks; /* that were ever counted */
};
typedef void sh_store_totals_fn(void *arg, const struct sd_error *e, const struct sh_totals *t);
/* Of the whole database, whatever servers there are. Clicks are read each time. Counting links takes the longer the more there are, so that
 * their number may be as old as a hundred times what counting took; what was created and deleted here shows at once. */
void sh_store_totals(struct sh_store *st, sh_store_totals_fn *fn, void *arg);

/* May this be taken as an alias? By the Bloom filter alone, without asking the database: true is sure to be free as far as this server
 * knows (aliases that others made since it started are found out by sh_store_create); false: ask. */
bool sh_store_alias_free(struct sh_store *st, const char *alias);

/* ---- numbers and settings ---- */

/* err SD_OK: first to first + n - 1 belong to the caller, and to nobody else ever. */
typedef void sh_store_lease_fn(void *arg, const struct sd_error *e, uint64_t first);
void sh_store_lease(struct sh_store *st, uint64_t n, sh_store_lease_fn *fn, void *arg);

/* A key that all servers on this database share and that was made by chance when first asked for, by name: for hashes. key is
 * NULL when e->code is not SD_OK. */
typedef void sh_store_secret_fn(void *arg, const struct sd_error *e, const struct sd_siphash_key *key);
void sh_store_secret(struct sh_store *st, const char *name, sh_store_secret_fn *fn, void *arg);

/* The same, after another one was made in place of it. */
void sh_store_secret_renew(struct sh_store *st, const char *name, sh_store_secret_fn *fn, void *arg);

/* ---- API keys: only a MAC of each is kept ---- */

#define SH_KEY_TEXT 56 /* room for a key and its NUL */
struct sh_key {
	const char *name;
	const char *hint; /* its first characters, to tell keys apart */
	int64_t created_ms;
};
/* key: the only time that it can be seen. SD_EEXISTS: a key has this name. */
typedef void sh_store_key_fn(void *arg, const struct sd_error *e, const char *key);
void sh_store_key_add(struct sh_store *st, const char *name, sh_store_key_fn *fn, void *arg);
/* Keeps a key that somebody else chose, of at least 16 characters: one from a file, or the login of the page. Fine when it is there under
 * the same name. */
void sh_store_key_put(struct sh_store *st, const char *name, const char *key, sh_store_done_fn *fn, void *arg);
typedef void sh_store_keys_fn(void *arg, const struct sd_error *e, const struct sh_key *keys, size_t n);
void sh_store_key_list(struct sh_store *st, sh_store_keys_fn *fn, void *arg);
void sh_store_key_delete(struct sh_store *st, const char *name, sh_store_done_fn *fn, void *arg);
/* SD_OK: it is one; SD_EPERM: it is none. */
void sh_store_key_check(struct sh_store *st, struct sd_slice key, sh_store_done_fn *fn, void *arg);

#endif
