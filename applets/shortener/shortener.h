/* shortener.h - what the parts of the URL shortener hand each other.
 *
 *	shortener.c          its face and its life as a service
 *	shortener_options.c  everything that can be set; each part has its rows there
 *	sh_role.c            a server, or a worker that counts clicks only
 *	sh_limit.c           how many links somebody may make
 *	sh_parts.c           store, lookup, clicks and page: opened and closed
 *	store/               links, tags, keys and counters in a database
 *	lookup/              from a code to its target: in the process, in a cache, in the store
 *	clicks/              what was clicked: written down, forwarded, added up
 *	http/                redirects, the API, pages
 *
 * Threads: workers answer redirects and hold what they need for it without locks. The control loop owns the store, the
 * cache's connection, limits and statistics; workers reach it by message (sd_loop_post) and are answered by message.
 */
#ifndef SHORTENER_H
#define SHORTENER_H

#include "app/run.h"

struct sh_store;
struct sh_lookup;
struct sh_lookup_worker;
struct sh_clicks;
struct sh_clicks_worker;
struct sh_page;
struct sh_stream;
struct sh_limit;

#define SH_CODE_MAX  64   /* bytes of a code or an alias, without its NUL */
#define SH_URL_MAX   8192 /* of a target */
#define SH_TITLE_MAX 512
#define SH_TAG_MAX   64
#define SH_TAGS_MAX  32

/* A link, as the store has it. Times are milliseconds of the wall clock; 0: none. */
struct sh_link {
	uint64_t id; /* of the row, never used twice: what clicks refer to */
	char *code, *url;
	char *title; /* NULL: none */
	char **tags;
	size_t ntags;
	uint16_t status; /* 301, 302, 307, 308; 0: as the service is set */
	bool disabled;
	bool forward_query; /* the query of a request goes on to the target */
	bool alias;         /* its code was chosen by a person */
	int64_t created_ms, changed_ms;
	int64_t valid_from_ms, valid_until_ms;
	int64_t max_visits; /* 0: any number */
	int64_t clicks;     /* added up so far */
	int64_t uses;       /* taken of max_visits */
};

struct sh_worker {
	struct sh *sh;
	struct sd_worker *w;
	struct sd_http_server server;
	struct sh_lookup_worker *lookup;
	struct sh_clicks_worker *clicks;
	struct sd_task open; /* lets in who waits */
	uint16_t status; /* of links that say none */
	uint64_t redirects, refused, calls; /* counters */
	char room[2 * SH_URL_MAX]; /* for one answer */
};

struct sh {
	struct sd_run *run;
	struct sd_log *log;
	struct sd_loop *control;
	struct sh_store *store;
	struct sh_lookup *lookup;
	struct sh_clicks *clicks;
	struct sh_page *page;
	struct sh_limit *limit;
	struct sh_stream *live;
	unsigned nworkers;
	struct sh_worker **workers;
	bool key_required;
	bool closing; /* no worker runs any more */
	char base_url[512]; /* "": the host that was asked */
	struct sd_cidr *trusted; /* proxies whose word about the client counts */
	size_t ntrusted;
	bool listening, db_seen, db_said; /* db_seen: it was there; db_said: how it is was told */
	char db_why[256];		  /* "": it is there */
	uint64_t created, limited; /* counters of the control loop */
};

extern const struct sd_option sh_options[];

/* It was said how the database is: from now on who comes is answered. Before, a server that was just started would say of each link that
 * nobody knows it now, while another one beside it does. On the control loop. */
void sh_let_in(struct sh *sh);

/* Milliseconds of the wall clock. */
static inline int64_t sh_now_ms(const struct sh *sh)
{
	return sd_world_wall_ns(sh->run->spec.world) / 1000000;
}

#endif
