/* lb_affinity.h - which backend a request would rather have: the owner of its key on the ring, or the one its cookie names.
 *
 *	request --> cookie of ours? --yes--> that backend, if it is well; also when an operator drains it, so that its
 *	               |                     sessions end by themselves
 *	               | no, or forged, or that backend is down or gone
 *	               v
 *	            as the algorithm says (hash: by the request's key) --> the answer carries a new cookie
 */
#ifndef LB_AFFINITY_H
#define LB_AFFINITY_H

#include "core/budget.h"
#include "core/sticky.h"
#include "net/http_server.h"
#include "sdlab/balance.h"

#define LB_NAME 64
#define LB_POOL 32 /* bytes of the name of a pool */

enum lb_hash_on { LB_HASH_CLIENT, LB_HASH_HEADER, LB_HASH_COOKIE, LB_HASH_QUERY, LB_HASH_PATH };

/* What a snapshot says of it. */
struct lb_affinity_rules {
	bool hash, sticky;
	enum lb_hash_on on;
	char name[LB_NAME]; /* of the header, cookie or query key */
	char cookie[LB_NAME + LB_POOL];
	struct sd_siphash_key key;
	int64_t max_age_s; /* 0: until the browser closes */
};

/* What a request says. */
struct lb_affinity {
	uint64_t key;
	uint64_t pin; /* sticky id; 0: none */
	bool has_key, had_cookie, secure;
};

/* Where a value of a pool is read: its row, when that sets it, else the configuration as a whole. */
struct lb_scope {
	const struct sd_conf *conf, *row; /* row NULL: the pool has none */
};
const struct sd_conf *lb_from(const struct lb_scope *scope, const char *path);

struct lb;
struct lb_entry;
struct lb_backend;
struct lb_snapshot;
struct lb_worker;
struct sd_conf;

enum sd_err lb_affinity_check(const struct lb_scope *scope, struct sd_error *e);
/* Is the file with the secret there? */
enum sd_err lb_affinity_find(struct sd_world *w, const struct sd_conf *conf, struct sd_error *e);
/* Reads or makes the key of the cookies; at start and in a reload. */
enum sd_err lb_affinity_key(struct lb *lb, const struct sd_conf *conf, struct sd_error *e);
void lb_affinity_make(const struct lb *lb, const struct lb_scope *scope, const char *pool, struct lb_affinity_rules *out);

/* tls: the client's connection here is one. */
void lb_affinity_of(struct lb_worker *w, uint32_t pool, const struct sd_http_head *head, const struct sd_peer *peer, bool tls,
		    struct lb_affinity *out);
/* In TCP mode. */
void lb_affinity_of_client(const struct lb_worker *w, uint32_t pool, const struct sd_peer *client, struct lb_affinity *out);
/* The backend that a cookie names and that may take it, counted from the pool's first; -1. tried as in lb_worker_take. */
int lb_affinity_pinned(const struct lb_snapshot *s, uint32_t pool, const struct lb_affinity *a, const uint64_t *tried);
/* Between sd_http_begin and sd_http_head_done: the cookie, when the client has not the right one. */
void lb_affinity_answer(struct lb_worker *w, uint32_t pool, struct sd_http_exchange *x, const struct lb_affinity *a,
			const struct lb_backend *b);

#endif
