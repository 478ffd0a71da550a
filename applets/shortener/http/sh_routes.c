/* sh_routes.c - the table of all operations: dispatch, checks and /openapi.json come from its rows. */
#include <stdlib.h>

#include "../store/sh_store.h"
#include "sh_api.h"
#include "sh_call.h"
#include "sh_page.h"

#define BIT(problem) (UINT64_C(1) << (problem))
#define BODY	     (BIT(SH_NOT_JSON) | BIT(SH_BAD_MEMBER) | BIT(SH_TOO_LARGE))
#define WRITES	     (BIT(SH_DB_READ_ONLY) | BIT(SH_DB_FULL))
#define CREATES	     (BODY | WRITES | BIT(SH_NO_URL) | BIT(SH_BAD_URL) | BIT(SH_BAD_ALIAS) | BIT(SH_ALIAS_TAKEN) | BIT(SH_TOO_MANY))
#define JSON	     "application/json"

const struct sh_route sh_routes[] = {
    {SD_HTTP_POST, "/api/shorten", SH_CHANGE, sh_run_create, "shorten", "make a short URL", NULL, sh_new_members, 201, JSON, "Shortened",
     CREATES},
    {SD_HTTP_POST, "/", SH_CHANGE, sh_run_create, "shortenAtRoot", "the same", NULL, sh_new_members, 201, JSON, "Shortened", CREATES},
    {SD_HTTP_GET, "/", SH_OPEN, sh_run_index, "index", "what is where", NULL, NULL, 200, JSON, "Index", 0},
    {SD_HTTP_GET, "/api/links", SH_CHANGE, sh_run_list, "listLinks", "links, a page at a time", sh_list_members, NULL, 200, JSON, "Links",
     BIT(SH_BAD_QUERY)},
    {SD_HTTP_POST, "/api/links", SH_CHANGE, sh_run_create_link, "createLink", "make a link, and tell all of it", NULL, sh_new_members, 201,
     JSON, "Link", CREATES},
    {SD_HTTP_GET, "/api/links/{code}", SH_CHANGE, sh_run_get, "getLink", "one link", NULL, NULL, 200, JSON, "Link", BIT(SH_UNKNOWN_CODE)},
    {SD_HTTP_PATCH, "/api/links/{code}", SH_CHANGE, sh_run_change, "changeLink", "change what is named, leave the rest", NULL,
     sh_change_members, 200, JSON, "Link", BODY | WRITES | BIT(SH_UNKNOWN_CODE) | BIT(SH_BAD_URL)},
    {SD_HTTP_DELETE, "/api/links/{code}", SH_CHANGE, sh_run_delete, "deleteLink", "take a link away", NULL, NULL, 204, NULL, NULL,
     WRITES | BIT(SH_UNKNOWN_CODE)},
    {SD_HTTP_GET, "/api/links/{code}/qr.svg", SH_OPEN, sh_run_qr, "qrCode", "the short URL as a QR code", sh_qr_members, NULL, 200,
     "image/svg+xml", NULL, BIT(SH_UNKNOWN_CODE) | BIT(SH_BAD_QUERY)},
    {SD_HTTP_GET, "/api/tags", SH_CHANGE, sh_run_tags, "listTags", "tags, and how many links have them", NULL, NULL, 200, JSON, "Tags", 0},
    {SD_HTTP_GET, "/api/stats/{code}", SH_STATS, sh_run_stats, "linkStats", "who followed a link, and when", sh_stats_members, NULL, 200,
     JSON, "Stats", BIT(SH_UNKNOWN_CODE) | BIT(SH_BAD_QUERY)},
    {SD_HTTP_GET, "/stats/{code}", SH_STATS, sh_run_stats, "linkStatsAtRoot", "the same", sh_stats_members, NULL, 200, JSON, "Stats",
     BIT(SH_UNKNOWN_CODE) | BIT(SH_BAD_QUERY)},
    {SD_HTTP_GET, "/api/stats", SH_STATS, sh_run_totals, "totals", "how many links and clicks there are", NULL, NULL, 200, JSON, "Totals", 0},
    {SD_HTTP_GET, "/stats", SH_STATS, sh_run_totals, "totalsAtRoot", "the same", NULL, NULL, 200, JSON, "Totals", 0},
    {SD_HTTP_GET, "/openapi.json", SH_OPEN, sh_run_openapi, "openapi", "this document", NULL, NULL, 200, JSON, NULL, 0},
    {SD_HTTP_GET, "/problems/{name}", SH_OPEN, sh_run_problem, "problem", "what a type of error means", NULL, NULL, 200,
     "text/plain; charset=utf-8", NULL, BIT(SH_UNKNOWN_PATH)},
    {SD_HTTP_GET, "/robots.txt", SH_OPEN, sh_run_robots, "robots", "what crawlers may ask for", NULL, NULL, 200,
     "text/plain; charset=utf-8", NULL, 0},
    {0},
};

bool sh_reserved(struct sd_slice word)
{
	static const char *const words[] = {"-",      "api",	"stats",  "dashboard", "problems", "login",  "logout", "metrics",
					    "admin",  "static",	"assets", "docs",      "help",	   "health", "ready",  "robots",
					    "status", "openapi", "favicon", "sitemap", "index"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (sd_slice_ieq(word, words[i]))
			return true;
	return false;
}

/* ---- finding a row ---- */

/* Takes the first part off both; false when there is none. */
static bool next_part(struct sd_slice *rest, struct sd_slice *part)
{
	if (!rest->n || rest->p[0] != '/')
		return false;
	const char *end = memchr(rest->p + 1, '/', rest->n - 1);
	*part = (struct sd_slice){rest->p + 1, end ? (size_t)(end - rest->p - 1) : rest->n - 1};
	rest->p += part->n + 1;
	rest->n -= part->n + 1;
	return true;
}

static bool fits(const char *pattern, struct sd_slice path, char arg[SH_CODE_MAX + 1])
{
	struct sd_slice want = sd_slice_of(pattern), a, b;
	while (next_part(&want, &a)) {
		if (!next_part(&path, &b))
			return false;
		bool any = a.n && a.p[0] == '{';
		if (any && (!b.n || b.n > SH_CODE_MAX))
			return false;
		if (any)
			snprintf(arg, SH_CODE_MAX + 1, "%.*s", (int)b.n, b.p);
		else if (a.n != b.n || memcmp(a.p, b.p, a.n) != 0)
			return false;
	}
	return path.n == 0;
}

static const char *method_name(enum sd_http_method m)
{
	static const char *const names[] = {[SD_HTTP_GET] = "GET", [SD_HTTP_POST] = "POST", [SD_HTTP_PATCH] = "PATCH", [SD_HTTP_DELETE] = "DELETE"};
	return names[m];
}

/* What there is with other methods is added to allow. */
static const struct sh_route *find_in(const struct sh_route *r, enum sd_http_method method, struct sd_slice path, char arg[SH_CODE_MAX + 1],
				      char allow[64])
{
	for (; r->path; r++) {
		if (!fits(r->path, path, arg))
			continue;
		if (r->method == method)
			return r;
		size_t n = strlen(allow);
		snprintf(allow + n, 64 - n, "%s%s%s", n ? ", " : "", method_name(r->method), r->method == SD_HTTP_GET ? ", HEAD" : "");
	}
	return NULL;
}

const struct sh_route *sh_route_find(enum sd_http_method method, struct sd_slice path, char arg[SH_CODE_MAX + 1], char allow[64])
{
	static const struct sh_route *const tables[] = {sh_routes, sh_page_routes};
	allow[0] = '\0';
	arg[0] = '\0';
	if (method == SD_HTTP_HEAD)
		method = SD_HTTP_GET;
	for (size_t i = 0; i < sizeof(tables) / sizeof(tables[0]); i++) {
		const struct sh_route *r = find_in(tables[i], method, path, arg, allow);
		if (r)
			return r;
	}
	return NULL;
}

/* ---- who may ---- */

static void refuse_key(struct sh_call *c)
{
	sh_answer_problem(c, SH_NO_KEY, NULL, c->key.n ? "The API key is none of this service." :
							 "Send it as X-Api-Key, or as Authorization: Bearer.");
}

static void on_keys(void *arg, const struct sd_error *e, const struct sh_key *keys, size_t n)
{
	struct sh_call *c = arg;
	(void)keys;
	if (e->code)
		sh_answer_failed(c, e->code, e);
	else if (n || c->sh->key_required || sh_page_guards(c->sh->page))
		refuse_key(c);
	else
		c->route->run(c);
}

static void on_key_checked(void *arg, const struct sd_error *e)
{
	struct sh_call *c = arg;
	if (!e->code) {
		c->key_good = true;
		c->route->run(c);
	} else if (e->code == SD_EPERM) {
		sh_store_key_list(c->sh->store, on_keys, c);
	} else {
		sh_answer_failed(c, e->code, e);
	}
}

static void on_session(struct sh_call *c, bool good)
{
	if (good)
		c->route->run(c);
	else if (c->key.n)
		sh_store_key_check(c->sh->store, c->key, on_key_checked, c);
	else
		sh_store_key_list(c->sh->store, on_keys, c);
}

static void authorise(struct sh_call *c)
{
	enum sh_needs needs = c->route->needs;
	if (needs == SH_OPEN || (needs == SH_STATS && !c->sh->key_required && !sh_page_guards(c->sh->page)))
		c->route->run(c);
	else
		sh_page_session(c, on_session);
}

/* ---- one call ---- */

/* A page of another site must not change anything with what a browser sends by itself. */
static bool from_elsewhere(const struct sh_call *c)
{
	if (!c->origin.n || c->method == SD_HTTP_GET || c->method == SD_HTTP_HEAD)
		return false;
	size_t scheme = sd_slice_starts(c->origin, "https://") ? 8 : 7;
	return c->origin.n <= scheme || c->origin.n - scheme != c->host.n ||
	       strncasecmp(c->origin.p + scheme, c->host.p, c->host.n) != 0;
}

void sh_call_run(struct sh_call *c)
{
	char allow[64];
	c->route = sh_route_find(c->method, c->path, c->arg, allow);
	if (c->route && c->too_large) {
		sh_answer_problem(c, SH_TOO_LARGE, NULL, "At most %d bytes are taken.", SH_BODY_MAX);
	} else if (c->route && from_elsewhere(c)) {
		sh_answer_problem(c, SH_CROSS_ORIGIN, NULL, "The request comes from a page of %.*s.", (int)c->origin.n, c->origin.p);
	} else if (c->route) {
		authorise(c);
	} else if (allow[0]) {
		sh_answer_field(c, "Allow", "%s", allow);
		sh_answer_problem(c, SH_BAD_METHOD, NULL, "Here it may be %s.", allow);
	} else {
		sh_answer_problem(c, SH_UNKNOWN_PATH, NULL, "What there is stands in /openapi.json.");
	}
}
