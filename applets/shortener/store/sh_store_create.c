/* sh_store_create.c - new links: a number, a code made of it, and rows that are there together or not at all.
 *
 * A code or a number that is taken costs another number, or another hash; an alias that is taken is refused. With find_if_exists looking and inserting
 * are one transaction; on PostgreSQL it holds a lock of the URL's hash, since there two such may run beside each other. */
#include <stdio.h>
#include <stdlib.h>

#include "core/base62.h"
#include "core/bytes.h"
#include "core/list.h"
#include "core/md5.h"
#include "core/permute.h"
#include "sh_store_int.h"

#define MAX_TRIES 100

struct create_ask {
	struct sh_ask ask;
	sh_store_created_fn *fn;
	struct sh_link *link; /* a copy: what is asked for */
	char *tags;
	bool find;
	unsigned tries, collisions; /* collisions: of hashes */
	size_t inserts, finds; /* statements of the job */
	char code[SH_CODE_MAX + 1];
};

static void create_free(struct create_ask *c)
{
	sh_link_free(c->link);
	free(c->tags);
	free(c);
}

static void answer(struct create_ask *c, const struct sd_sql_job *j, size_t statement, bool created)
{
	struct sh_store *st = c->ask.st;
	struct sh_link link = {0};
	if (!sh_row_read(j, statement, 0, &link)) {
		sd_fail(&c->ask.e, SD_ENOMEM, "out of memory");
		c->fn(c->ask.arg, &c->ask.e, NULL, false);
	} else {
		if (created && link.alias)
			sd_bloom_add(&st->aliases, sd_slice_of(link.code));
		if (created) {
			sh_totals_add(st, 1);
			sh_changed(st, link.code);
		}
		c->fn(c->ask.arg, &c->ask.e, &link, created);
	}
	sh_row_free(&link);
	create_free(c);
}

static void fail_now(struct create_ask *c)
{
	c->fn(c->ask.arg, &c->ask.e, NULL, false);
	create_free(c);
}

static void go(struct create_ask *c);
static void look_for_alias(struct create_ask *c);

static bool by_hash(const struct create_ask *c)
{
	return !c->link->alias && c->ask.st->conf.method != SH_CODE_COUNTER;
}

static void try_again(struct create_ask *c)
{
	if (++c->tries >= MAX_TRIES) {
		sd_fail(&c->ask.e, SD_EEXHAUSTED, "no free number or code in %d tries", MAX_TRIES);
		fail_now(c);
	} else if (c->link->alias) {
		look_for_alias(c);
	} else {
		go(c);
	}
}

static void create_end(struct sh_ask *a, const struct sd_sql_job *j)
{
	struct create_ask *c = sd_container(a, struct create_ask, ask);
	if (!j) {
		fail_now(c);
	} else if (sd_sql_rows(j, c->inserts) == 1) {
		answer(c, j, c->inserts, true);
	} else if (c->finds && sd_sql_rows(j, c->finds) == 1 &&
		   (!by_hash(c) || strcmp(sd_sql_cell_text(j, c->finds, 0, 2), c->link->url) == 0)) {
		answer(c, j, c->finds, false);
	} else {
		c->collisions += by_hash(c) && sd_sql_rows(j, c->finds) == 1;
		try_again(c);
	}
}

/* ---- the job ---- */

#define INTO                                                                                                                    \
	"INSERT INTO links (id, code, url, title, tags, status, disabled, forward_query, alias, created_ms, changed_ms, valid_from_ms, " \
	"valid_until_ms, max_visits, clicks, uses, url_hash) "
#define SAME                                                                                                                \
	"url_hash = $14 AND url = $3 AND status = $6 AND forward_query = $8 AND valid_from_ms = $11 AND valid_until_ms = $12 " \
	"AND max_visits = $13 AND disabled = 0 AND ($15 = '' OR code = $15)"
#define VALUES "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $10, $11, $12, $13, 0, 0, $14"

static const char insert[] = INTO "VALUES (" VALUES ") ON CONFLICT DO NOTHING RETURNING " SH_COLUMNS;
static const char insert_unless[] = INTO "SELECT " VALUES " WHERE NOT EXISTS (SELECT 1 FROM links WHERE " SAME
					 ") ON CONFLICT DO NOTHING RETURNING " SH_COLUMNS;
static const char find_same[] = "SELECT " SH_COLUMNS " FROM links WHERE " SAME " ORDER BY id LIMIT 1";
static const char find_code[] = "SELECT " SH_COLUMNS " FROM links WHERE code = $1";

/* Only when it was inserted: a number that is taken is another link's, whose tags stay as they are. */
static void add_tags(struct create_ask *c, struct sd_sql_job *j, const struct sd_sql_value *values)
{
	for (size_t i = 0; i < c->link->ntags; i++)
		sd_sql_add(j,
			   "INSERT INTO link_tags (tag, link) SELECT $1, id FROM links WHERE id = $2 AND code = $3 AND url = $4 AND created_ms = $5"
			   " ON CONFLICT DO NOTHING",
			   5, SD_SQL_ARGS(sd_sql_text(c->link->tags[i]), values[0], values[1], values[2], values[9]));
}

static void run_job(struct create_ask *c, uint64_t id)
{
	struct sh_store *st = c->ask.st;
	const struct sh_link *l = c->link;
	struct sd_sql_value values[] = {
	    sd_sql_int((int64_t)id),
	    sd_sql_text(c->code),
	    sd_sql_text(l->url),
	    sd_sql_text(l->title),
	    sd_sql_text(c->tags),
	    sd_sql_int(l->status),
	    sd_sql_int(l->disabled),
	    sd_sql_int(l->forward_query),
	    sd_sql_int(l->alias),
	    sd_sql_int(sh_store_now_ms(st)),
	    sd_sql_int(l->valid_from_ms),
	    sd_sql_int(l->valid_until_ms),
	    sd_sql_int(l->max_visits),
	    sd_sql_int(sh_url_hash(l->url)),
	    sd_sql_text(l->alias ? c->code : ""),
	};
	struct sd_sql_job *j = sd_sql_write(st->sql);
	bool find = c->find && !by_hash(c), lock = find && sd_sql_is_postgres(st->sql);
	if (lock)
		sd_sql_add(j, "SELECT 1 FROM (SELECT pg_advisory_xact_lock($1)) AS locked", 1, &values[13]);
	c->inserts = lock;
	sd_sql_add(j, find ? insert_unless : insert, 15, values);
	add_tags(c, j, values);
	c->finds = find || by_hash(c) ? c->inserts + l->ntags + 1 : 0;
	values[3] = sd_sql_text(""); /* it is not asked for, and PostgreSQL must know a type */
	if (find)
		sd_sql_add(j, find_same, 15, values);
	else if (by_hash(c))
		sd_sql_add(j, find_code, 1, &values[1]);
	c->ask.end = create_end;
	sh_ask_run(&c->ask, j);
}

/* ---- codes ---- */

/* The first seven digits of the hash of the URL, with the number of the try behind it from the second one on. */
static void hash_code(struct create_ask *c)
{
	unsigned char sum[SD_MD5_BYTES];
	char *text = NULL, digits[2 * SD_MD5_BYTES + 1];
	size_t room = strlen(c->link->url) + 16;
	text = malloc(room);
	if (!text)
		return;
	int n = c->collisions ? snprintf(text, room, "%s#%u", c->link->url, c->collisions) : snprintf(text, room, "%s", c->link->url);
	sd_md5(text, (size_t)n, sum);
	free(text);
	if (c->ask.st->conf.method == SH_CODE_MD5_HEX) {
		for (size_t i = 0; i < SD_MD5_BYTES; i++)
			snprintf(digits + 2 * i, 3, "%02x", sum[i]);
	} else {
		sd_base62_put(sd_get_be(sum, 8) % UINT64_C(3521614606208), 7, digits);
	}
	snprintf(c->code, sizeof(c->code), "%.7s", digits);
}

static bool is_reserved(const struct create_ask *c)
{
	const struct sh_store *st = c->ask.st;
	return st->conf.reserved && st->conf.reserved(c->code);
}

static void on_number(struct sd_task *t)
{
	go(sd_container(t, struct create_ask, ask.task));
}

static void go(struct create_ask *c)
{
	struct sh_store *st = c->ask.st;
	uint64_t number;
	size_t n = 1;
	if (st->closing) {
		sh_ask_fail(&c->ask, SD_ECANCELED, "the store was closed");
		return;
	}
	do {
		c->ask.task.fn = on_number; /* where it goes on when it has to wait */
		if (!sh_number_take(&c->ask, &number))
			return;
		if (c->link->alias)
			snprintf(c->code, sizeof(c->code), "%s", c->link->code);
		else if (by_hash(c))
			hash_code(c);
		else
			c->code[n = sd_code_put(&st->code_key, st->conf.min_length, number, c->code)] = '\0';
	} while (!c->link->alias && is_reserved(c) && ++c->collisions && ++c->tries < MAX_TRIES);
	if (n == 0 || !*c->code)
		sh_ask_fail(&c->ask, SD_EEXHAUSTED, "there are no codes left");
	else
		run_job(c, number);
}

/* ---- asking ---- */

/* The filter said that it may be taken, or nothing was inserted: a reader finds out, so that the writer is not bothered. When it is free, it was
 * the number that somebody has. */
static void alias_end(struct sh_ask *a, const struct sd_sql_job *j)
{
	struct create_ask *c = sd_container(a, struct create_ask, ask);
	if (j && sd_sql_rows(j, 0) > 0)
		sd_fail(&a->e, SD_EEXISTS, "%s is taken", c->link->code);
	a->end = create_end;
	if (a->e.code)
		fail_now(c);
	else
		go(c);
}

static void look_for_alias(struct create_ask *c)
{
	struct sd_sql_job *j = sd_sql_read(c->ask.st->sql);
	sd_sql_add(j, "SELECT 1 FROM links WHERE code = $1", 1, SD_SQL_ARGS(sd_sql_text(c->link->code)));
	c->ask.end = alias_end;
	sh_ask_run(&c->ask, j);
}

void sh_store_create(struct sh_store *st, const struct sh_link *link, bool find_if_exists, sh_store_created_fn *fn, void *arg)
{
	static const struct sd_error nomem = {SD_ENOMEM, "out of memory"};
	struct create_ask *c = sh_ask_new(st, sizeof(*c), create_end, arg);
	if (c) {
		c->fn = fn;
		c->find = find_if_exists;
		c->link = sh_link_copy(link);
		c->tags = sh_tags_join(link);
	}
	if (!c || !c->link || !c->tags) {
		fn(arg, &nomem, NULL, false);
		if (c)
			create_free(c);
		return;
	}
	const char *fault = sh_link_fault(c->link);
	c->link->alias = *c->link->code != '\0';
	if (sh_ask_refused(&c->ask))
		return;
	if (fault || !*c->link->url) {
		sh_ask_fail(&c->ask, SD_EINVAL, fault ? fault : "expected a URL");
	} else if (c->link->alias && !c->find && sd_bloom_has(&st->aliases, sd_slice_of(c->link->code))) {
		look_for_alias(c);
	} else {
		go(c);
	}
}
