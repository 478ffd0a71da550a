/* sh_links.c - links made, listed, changed, and taken away. */
#include <stdio.h>
#include <stdlib.h>

#include "../sh_limit.h"
#include "../store/sh_store.h"
#include "core/http_url.h"
#include "core/link_url.h"
#include "net/idn.h"
#include "sh_api.h"
#include "sh_call.h"

const struct sh_member sh_list_members[] = {
    {"search", SH_TEXT, 0, 200, .help = "in code, URL, title and tags"},
    {"tag", SH_TEXT, 0, SH_TAG_MAX, .help = "only links with this tag"},
    {"page", SH_INT, 1, 1000000, .help = "from 1"},
    {"per_page", SH_INT, 1, 200, .help = "links a page, 20 when not said"},
    {"order", SH_TEXT, 1, 20, .choices = "newest|oldest|most-clicks|fewest-clicks|code|title|changed", .help = "newest first when not said"},
    {0},
};

/* ---- what both making and changing need ---- */

/* A target, as it is kept; NULL: it was answered. For free. */
static char *target(struct sh_call *c, const char *text)
{
	char host[300];
	struct sd_http_url base;
	const char *own[2];
	struct sd_link_url_conf conf = {.max = SH_URL_MAX, .own = own, .to_ascii = sd_idn_to_ascii};
	struct sd_error e = {0};
	char mine[300], *url = NULL;
	snprintf(host, sizeof(host), "%.*s", (int)c->host.n, c->host.p);
	own[conf.nown++] = host;
	if (c->sh->base_url[0] && sd_http_url_parse(c->sh->base_url, &base)) {
		snprintf(mine, sizeof(mine), "%.*s", (int)base.host.n, base.host.p);
		own[conf.nown++] = mine;
	}
	if (sd_link_url(sd_slice_of(text), &conf, &url, &e) == SD_OK)
		return url;
	sh_answer_problem(c, e.code == SD_ENOMEM ? SH_INTERNAL : SH_BAD_URL, "url", "url: %s", e.text);
	return NULL;
}

static bool good_alias(struct sh_call *c, const char *alias)
{
	size_t n = strlen(alias);
	bool letters = strspn(alias, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_") == n;
	if (!letters)
		sh_answer_problem(c, SH_BAD_ALIAS, "alias", "alias: expected letters of ASCII, digits, - and _, found \"%s\"", alias);
	else if (sh_reserved(sd_slice_of(alias)))
		sh_answer_problem(c, SH_BAD_ALIAS, "alias", "alias: expected a word that is not reserved, found %s", alias);
	else
		return true;
	return false;
}

/* ---- making ---- */

struct making {
	struct sh_call *c;
	cJSON *body;
	char *url, *tags[SH_TAGS_MAX];
	struct sh_link link;
	bool find;
};

static void end_making(struct making *m)
{
	cJSON_Delete(m->body);
	free(m->url);
	free(m);
}

static void on_created(void *arg, const struct sd_error *e, const struct sh_link *link, bool created)
{
	struct making *m = arg;
	struct sh_call *c = m->c;
	int status = created ? 201 : 200;
	if (e->code == SD_EEXISTS) {
		sh_answer_problem(c, SH_ALIAS_TAKEN, "alias", "alias: %s is taken", m->link.code ? m->link.code : "it");
	} else if (e->code) {
		sh_answer_failed(c, e->code, e);
	} else {
		c->sh->created += created;
		if (created)
			sh_answer_field(c, "Location", "/api/links/%s", link->code);
		sh_answer_json(c, status, c->mine ? sh_link_json(c, link) : sh_shortened_json(c, link));
	}
	end_making(m);
}

static void on_allowed(void *arg, int64_t wait_s)
{
	struct making *m = arg;
	if (!wait_s) {
		sh_store_create(m->c->sh->store, &m->link, m->find, on_created, m);
		return;
	}
	m->c->sh->limited++;
	sh_answer_field(m->c, "Retry-After", "%lld", (long long)wait_s);
	sh_answer_problem(m->c, SH_TOO_MANY, NULL, "Try again in %lld s.", (long long)wait_s);
	end_making(m);
}

/* False: it was answered. */
static bool prepare(struct making *m)
{
	struct sh_call *c = m->c;
	unsigned fields = 0;
	if (!(m->body = sh_body_read(c, sh_new_members)) || !sh_link_read(c, m->body, &m->link, &fields, m->tags))
		return false;
	const cJSON *alias = cJSON_GetObjectItemCaseSensitive(m->body, "alias");
	m->find = cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(m->body, "find_if_exists")) ||
		  cJSON_IsTrue(cJSON_GetObjectItemCaseSensitive(m->body, "findIfExists"));
	if (cJSON_IsString(alias) && alias->valuestring[0]) {
		m->link.code = alias->valuestring;
		if (!good_alias(c, m->link.code))
			return false;
	}
	if (m->link.valid_until_ms && m->link.valid_until_ms <= sh_now_ms(c->sh)) {
		sh_answer_problem(c, SH_BAD_MEMBER, "expires_at", "expires_at: expected a time that is still to come");
		return false;
	}
	m->url = target(c, m->link.url);
	m->link.url = m->url;
	return m->url != NULL;
}

static void make(struct sh_call *c)
{
	struct making *m = calloc(1, sizeof(*m));
	if (!m) {
		sh_answer_problem(c, SH_INTERNAL, NULL, "out of memory");
		return;
	}
	m->c = c;
	if (prepare(m))
		sh_limit_ask(c->sh->limit, c->key_good ? c->key : (struct sd_slice){"", 0}, &c->peer, on_allowed, m);
	else
		end_making(m);
}

void sh_run_create(struct sh_call *c)
{
	c->mine = NULL;
	make(c);
}

void sh_run_create_link(struct sh_call *c)
{
	c->mine = c; /* the whole of it is told */
	make(c);
}

/* ---- one link ---- */

static void on_link(void *arg, const struct sd_error *e, const struct sh_link *link)
{
	struct sh_call *c = arg;
	if (e->code)
		sh_answer_failed(c, e->code, e);
	else
		sh_answer_json(c, 200, sh_link_json(c, link));
}

void sh_run_get(struct sh_call *c)
{
	sh_store_get(c->sh->store, c->arg, on_link, c);
}

static void on_deleted(void *arg, const struct sd_error *e, const struct sh_link *link)
{
	struct sh_call *c = arg;
	(void)link;
	if (e->code)
		sh_answer_failed(c, e->code, e);
	else
		sh_answer(c, 204, NULL, NULL, 0);
}

void sh_run_delete(struct sh_call *c)
{
	sh_store_delete(c->sh->store, c->arg, on_deleted, c);
}

void sh_run_change(struct sh_call *c)
{
	struct sh_link to = {0};
	unsigned fields = 0;
	char *tags[SH_TAGS_MAX], *url = NULL;
	cJSON *o = sh_body_read(c, sh_change_members);
	if (!o)
		return;
	bool good = sh_link_read(c, o, &to, &fields, tags);
	if (good && to.url) {
		url = target(c, to.url);
		to.url = url;
		good = url != NULL;
	}
	if (good && fields)
		sh_store_change(c->sh->store, c->arg, &to, fields, on_link, c);
	else if (good)
		sh_store_get(c->sh->store, c->arg, on_link, c);
	free(url);
	cJSON_Delete(o);
}

/* ---- many ---- */

static void on_list(void *arg, const struct sd_error *e, const struct sh_link *links, size_t n, uint64_t total)
{
	struct sh_call *c = arg;
	if (e->code) {
		sh_answer_failed(c, e->code, e);
		return;
	}
	int64_t page = sh_query_int(c->query, "page", 1), per_page = sh_query_int(c->query, "per_page", 20);
	uint64_t pages = (total + (uint64_t)per_page - 1) / (uint64_t)per_page;
	cJSON *o = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(o, "links");
	for (size_t i = 0; i < n; i++)
		cJSON_AddItemToArray(list, sh_link_json(c, &links[i]));
	cJSON_AddNumberToObject(o, "page", (double)page);
	cJSON_AddNumberToObject(o, "per_page", (double)per_page);
	cJSON_AddNumberToObject(o, "pages", (double)pages);
	cJSON_AddNumberToObject(o, "total", (double)total);
	sh_answer_json(c, 200, o);
}

void sh_run_list(struct sh_call *c)
{
	static const char *const orders[] = {"newest", "oldest", "most-clicks", "fewest-clicks", "code", "title", "changed"};
	char search[1024], tag[1024], order[1024];
	if (!sh_query_check(c, sh_list_members))
		return;
	struct sh_filter f = {
	    .search = sh_query_get(c->query, "search", search, sizeof(search)),
	    .tag = sh_query_get(c->query, "tag", tag, sizeof(tag)),
	    .page = (uint64_t)sh_query_int(c->query, "page", 1),
	    .per_page = (unsigned)sh_query_int(c->query, "per_page", 20),
	};
	for (size_t i = 0; sh_query_get(c->query, "order", order, sizeof(order)) && i < sizeof(orders) / sizeof(orders[0]); i++)
		if (strcmp(order, orders[i]) == 0)
			f.order = (enum sh_order)i;
	sh_store_list(c->sh->store, &f, on_list, c);
}

static void on_tags(void *arg, const struct sd_error *e, const struct sh_tag_count *tags, size_t n)
{
	struct sh_call *c = arg;
	if (e->code) {
		sh_answer_failed(c, e->code, e);
		return;
	}
	cJSON *o = cJSON_CreateObject(), *list = cJSON_AddArrayToObject(o, "tags");
	for (size_t i = 0; i < n; i++) {
		cJSON *t = cJSON_CreateObject();
		cJSON_AddStringToObject(t, "tag", tags[i].tag);
		cJSON_AddNumberToObject(t, "links", (double)tags[i].links);
		cJSON_AddItemToArray(list, t);
	}
	sh_answer_json(c, 200, o);
}

void sh_run_tags(struct sh_call *c)
{
	sh_store_tags(c->sh->store, on_tags, c);
}
