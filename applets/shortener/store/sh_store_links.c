/* sh_store_links.c - links that are there: reading, changing, deleting, listing, and taking one of their visits. */
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/list.h"
#include "core/text.h"
#include "sh_store_int.h"

#define EXACT_TOTAL 100000 /* up to so many links all of them are counted for a list without a filter */

static const struct sd_error nomem = {SD_ENOMEM, "out of memory"};

/* ---- one link ---- */

struct link_ask {
	struct sh_ask ask;
	sh_store_link_fn *fn;
	size_t statement; /* that has the row */
	bool wrote, deletes;
};

static void link_end(struct sh_ask *a, const struct sd_sql_job *j)
{
	struct link_ask *l = sd_container(a, struct link_ask, ask);
	struct sh_link link = {0};
	if (j && sd_sql_rows(j, l->statement) == 0)
		sd_fail(&a->e, SD_ENOTFOUND, "no such link");
	else if (j && !sh_row_read(j, l->statement, 0, &link))
		sd_fail(&a->e, SD_ENOMEM, "out of memory");
	bool ok = a->e.code == SD_OK;
	if (ok && l->deletes)
		sh_totals_add(a->st, -1);
	if (ok && l->wrote)
		sh_changed(a->st, link.code);
	l->fn(a->arg, &a->e, ok ? &link : NULL);
	sh_row_free(&link);
	free(l);
}

static struct link_ask *link_ask(struct sh_store *st, sh_store_link_fn *fn, void *arg)
{
	struct link_ask *l = sh_ask_new(st, sizeof(*l), link_end, arg);
	if (!l)
		fn(arg, &nomem, NULL);
	else
		l->fn = fn;
	return l && !sh_ask_refused(&l->ask) ? l : NULL;
}

void sh_store_get(struct sh_store *st, const char *code, sh_store_link_fn *fn, void *arg)
{
	struct link_ask *l = link_ask(st, fn, arg);
	if (!l)
		return;
	struct sd_sql_job *j = sd_sql_read(st->sql);
	sd_sql_add(j, "SELECT " SH_COLUMNS " FROM links WHERE code = $1", 1, SD_SQL_ARGS(sd_sql_text(code)));
	sh_ask_run(&l->ask, j);
}

static const char update[] =
    "UPDATE links SET changed_ms = $13,"
    " url = CASE WHEN ($2 & 1) <> 0 THEN $3 ELSE url END,"
    " url_hash = CASE WHEN ($2 & 1) <> 0 THEN $4 ELSE url_hash END,"
    " title = CASE WHEN ($2 & 2) <> 0 THEN $5 ELSE title END,"
    " tags = CASE WHEN ($2 & 4) <> 0 THEN $6 ELSE tags END,"
    " status = CASE WHEN ($2 & 8) <> 0 THEN $7 ELSE status END,"
    " disabled = CASE WHEN ($2 & 16) <> 0 THEN $8 ELSE disabled END,"
    " forward_query = CASE WHEN ($2 & 32) <> 0 THEN $9 ELSE forward_query END,"
    " valid_from_ms = CASE WHEN ($2 & 64) <> 0 THEN $10 ELSE valid_from_ms END,"
    " valid_until_ms = CASE WHEN ($2 & 128) <> 0 THEN $11 ELSE valid_until_ms END,"
    " max_visits = CASE WHEN ($2 & 256) <> 0 THEN $12 ELSE max_visits END"
    " WHERE code = $1 RETURNING " SH_COLUMNS;

static void add_update(struct sh_store *st, struct sd_sql_job *j, const char *code, const struct sh_link *to, unsigned fields,
		       const char *tags)
{
	const char *url = fields & SH_SET_URL ? to->url : "";
	sd_sql_add(j, update, 13,
		   SD_SQL_ARGS(sd_sql_text(code), sd_sql_int(fields), sd_sql_text(url), sd_sql_int(sh_url_hash(url)),
			       sd_sql_text(fields & SH_SET_TITLE ? to->title : NULL), sd_sql_text(tags), sd_sql_int(to->status),
			       sd_sql_int(to->disabled), sd_sql_int(to->forward_query), sd_sql_int(to->valid_from_ms),
			       sd_sql_int(to->valid_until_ms), sd_sql_int(to->max_visits), sd_sql_int(sh_store_now_ms(st))));
	sd_sql_expect(j, SD_ENOTFOUND, "no such link");
	if (!(fields & SH_SET_TAGS))
		return;
	sd_sql_add(j, "DELETE FROM link_tags WHERE link = (SELECT id FROM links WHERE code = $1)", 1, SD_SQL_ARGS(sd_sql_text(code)));
	for (size_t i = 0; i < to->ntags; i++)
		sd_sql_add(j, "INSERT INTO link_tags (tag, link) SELECT $1, id FROM links WHERE code = $2 ON CONFLICT DO NOTHING", 2,
			   SD_SQL_ARGS(sd_sql_text(to->tags[i]), sd_sql_text(code)));
}

/* Only what is set is looked at. */
static const char *change_fault(const struct sh_link *to, unsigned fields)
{
	struct sh_link is = *to;
	is.code = NULL;
	is.url = fields & SH_SET_URL ? to->url : NULL;
	is.title = fields & SH_SET_TITLE ? to->title : NULL;
	is.ntags = fields & SH_SET_TAGS ? to->ntags : 0;
	if (fields & SH_SET_URL && (!to->url || !*to->url))
		return "expected a URL";
	return sh_link_fault(&is);
}

void sh_store_change(struct sh_store *st, const char *code, const struct sh_link *to, unsigned fields, sh_store_link_fn *fn, void *arg)
{
	struct link_ask *l = link_ask(st, fn, arg);
	if (!l)
		return;
	const char *fault = change_fault(to, fields);
	struct sh_link only_tags = {.tags = to->tags, .ntags = fields & SH_SET_TAGS ? to->ntags : 0};
	char *tags = fault ? NULL : sh_tags_join(&only_tags);
	if (!tags) {
		sh_ask_fail(&l->ask, fault ? SD_EINVAL : SD_ENOMEM, fault ? fault : "out of memory");
		return;
	}
	struct sd_sql_job *j = sd_sql_write(st->sql);
	add_update(st, j, code, to, fields, tags);
	free(tags);
	l->wrote = true;
	sh_ask_run(&l->ask, j);
}

void sh_store_delete(struct sh_store *st, const char *code, sh_store_link_fn *fn, void *arg)
{
	struct link_ask *l = link_ask(st, fn, arg);
	if (!l)
		return;
	struct sd_sql_job *j = sd_sql_write(st->sql);
	sd_sql_add(j, "DELETE FROM link_tags WHERE link = (SELECT id FROM links WHERE code = $1)", 1, SD_SQL_ARGS(sd_sql_text(code)));
	sd_sql_add(j, "DELETE FROM links WHERE code = $1 RETURNING " SH_COLUMNS, 1, SD_SQL_ARGS(sd_sql_text(code)));
	sd_sql_expect(j, SD_ENOTFOUND, "no such link");
	l->statement = 1;
	l->wrote = l->deletes = true;
	sh_ask_run(&l->ask, j);
}

/* ---- lists ---- */

struct list_ask {
	struct sh_ask ask;
	sh_store_list_fn *fn;
	bool filtered;
};

static void list_end(struct sh_ask *a, const struct sd_sql_job *j)
{
	struct list_ask *l = sd_container(a, struct list_ask, ask);
	size_t n = j ? sd_sql_rows(j, 0) : 0, read = 0;
	struct sh_link *links = n ? calloc(n, sizeof(*links)) : NULL;
	while (links && read < n && sh_row_read(j, 0, read, &links[read]))
		read++;
	if (read < n)
		sd_fail(&a->e, SD_ENOMEM, "out of memory");
	bool ok = a->e.code == SD_OK;
	uint64_t total = ok && sd_sql_rows(j, 1) ? (uint64_t)sd_sql_cell_int(j, 1, 0, 0) : a->st->totals.links;
	l->fn(a->arg, &a->e, ok ? links : NULL, ok ? n : 0, ok ? total : 0);
	for (size_t i = 0; links && i < n; i++)
		sh_row_free(&links[i]);
	free(links);
	free(l);
}

static const char *const orders[] = {
    [SH_NEWEST] = "created_ms DESC, id DESC",
    [SH_OLDEST] = "created_ms, id",
    [SH_MOST_CLICKS] = "clicks DESC, id DESC",
    [SH_FEWEST_CLICKS] = "clicks, id",
    [SH_BY_CODE] = "code",
    [SH_BY_TITLE] = "lower(COALESCE(title, '')), id",
    [SH_CHANGED] = "changed_ms DESC, id DESC",
};

/* %TEXT% for LIKE, in small letters, with what LIKE takes for more than itself behind a backslash. */
static char *pattern_of(const char *search)
{
	struct sd_text t = {0};
	sd_text_add(&t, "%", 1);
	for (const char *p = search; *p; p++) {
		char c = (char)tolower((unsigned char)*p);
		if (strchr("%_\\", c))
			sd_text_add(&t, "\\", 1);
		sd_text_add(&t, (unsigned char)*p < 0x80 ? &c : p, 1);
	}
	sd_text_add(&t, "%", 1);
	return sd_text_take(&t, NULL);
}

#define LIKE(column) "lower(" column ") LIKE $1 ESCAPE '\\'"
static char *where_of(bool search, bool tag)
{
	struct sd_text t = {0};
	sd_text_format(&t, " FROM links WHERE 1 = 1%s%s",
		       search ? " AND (" LIKE("code") " OR " LIKE("url") " OR " LIKE("COALESCE(title, '')") " OR " LIKE("tags") ")" : "",
		       tag ? " AND id IN (SELECT link FROM link_tags WHERE tag = $2)" : "");
	return sd_text_take(&t, NULL);
}

static void add_list(struct list_ask *l, struct sd_sql_job *j, const struct sh_filter *f, const char *pattern, const char *where)
{
	char text[1200];
	uint64_t page = f->page ? f->page - 1 : 0;
	unsigned per = f->per_page < 1 ? 1 : f->per_page > 1000 ? 1000 : f->per_page;
	int64_t offset = page > INT64_MAX / 1000 ? INT64_MAX : (int64_t)page * per;
	const struct sd_sql_value values[] = {sd_sql_text(pattern), sd_sql_text(f->tag ? f->tag : ""), sd_sql_int(per), sd_sql_int(offset)};
	snprintf(text, sizeof(text), "SELECT " SH_COLUMNS "%s ORDER BY %s LIMIT $3 OFFSET $4", where, orders[f->order]);
	sd_sql_add_once(j, text, 4, values);
	if (!l->filtered && l->ask.st->totals.links > EXACT_TOTAL) {
		sh_totals_refresh(l->ask.st);
		return;
	}
	snprintf(text, sizeof(text), "SELECT count(*)%s", where);
	sd_sql_add_once(j, text, 2, values);
}

void sh_store_list(struct sh_store *st, const struct sh_filter *f, sh_store_list_fn *fn, void *arg)
{
	bool search = f->search && *f->search, tag = f->tag && *f->tag;
	struct list_ask *l = sh_ask_new(st, sizeof(*l), list_end, arg);
	if (!l) {
		fn(arg, &nomem, NULL, 0, 0);
		return;
	}
	l->fn = fn;
	l->filtered = search || tag;
	if (sh_ask_refused(&l->ask))
		return;
	char *pattern = pattern_of(search ? f->search : ""), *where = where_of(search, tag);
	struct sd_sql_job *j = pattern && where ? sd_sql_read(st->sql) : NULL;
	if (j)
		add_list(l, j, f, pattern, where);
	free(pattern);
	free(where);
	sh_ask_run(&l->ask, j);
}

struct tags_ask {
	struct sh_ask ask;
	sh_store_tags_fn *fn;
};

static void tags_end(struct sh_ask *a, const struct sd_sql_job *j)
{
	struct tags_ask *t = sd_container(a, struct tags_ask, ask);
	struct sh_tag_count tags[1000];
	size_t n = j ? sd_sql_rows(j, 0) : 0;
	for (size_t i = 0; i < n; i++)
		tags[i] = (struct sh_tag_count){sd_sql_cell_text(j, 0, i, 0), (uint64_t)sd_sql_cell_int(j, 0, i, 1)};
	t->fn(a->arg, &a->e, tags, n);
	free(t);
}

void sh_store_tags(struct sh_store *st, sh_store_tags_fn *fn, void *arg)
{
	struct tags_ask *t = sh_ask_new(st, sizeof(*t), tags_end, arg);
	if (!t) {
		fn(arg, &nomem, NULL, 0);
		return;
	}
	t->fn = fn;
	if (sh_ask_refused(&t->ask))
		return;
	struct sd_sql_job *j = sd_sql_read(st->sql);
	sd_sql_add(j, "SELECT tag, count(*) FROM link_tags GROUP BY tag ORDER BY 2 DESC, 1 LIMIT 1000", 0, NULL);
	sh_ask_run(&t->ask, j);
}

/* ---- visits ---- */

struct use_ask {
	struct sh_ask ask;
	sh_store_done_fn *fn;
};

static void use_end(struct sh_ask *a, const struct sd_sql_job *j)
{
	struct use_ask *u = sd_container(a, struct use_ask, ask);
	if (j && sd_sql_rows(j, 1) == 0)
		sd_fail(&a->e, SD_ENOTFOUND, "no such link");
	else if (j && sd_sql_changed(j, 0) == 0 && sd_sql_cell_int(j, 1, 0, 0) > 0)
		sd_fail(&a->e, SD_EEXHAUSTED, "all visits of this link are used up");
	u->fn(a->arg, &a->e);
	free(u);
}

void sh_store_use(struct sh_store *st, uint64_t id, sh_store_done_fn *fn, void *arg)
{
	struct use_ask *u = sh_ask_new(st, sizeof(*u), use_end, arg);
	if (!u) {
		fn(arg, &nomem);
		return;
	}
	u->fn = fn;
	if (sh_ask_refused(&u->ask))
		return;
	struct sd_sql_job *j = sd_sql_write(st->sql);
	sd_sql_add(j, "UPDATE links SET uses = uses + 1 WHERE id = $1 AND max_visits > 0 AND uses < max_visits", 1,
		   SD_SQL_ARGS(sd_sql_int((int64_t)id)));
	sd_sql_add(j, "SELECT max_visits FROM links WHERE id = $1", 1, SD_SQL_ARGS(sd_sql_int((int64_t)id)));
	sh_ask_run(&u->ask, j);
}
