/* The store of the shortener: on SQLite and, with SQL_TEST_URL (test/interop/shortener_postgres.sh), on PostgreSQL. */
#include <sqlite3.h>

#include "../../applets/shortener/store/sh_store.h"
#include "core/rng.h"
#include "sql_rig.h"

static struct sql_rig rig, *const r = &rig;
static struct sh_store *st;

/* Of the last answer. */
static struct {
	struct sd_error e;
	char code[100], url[200], title[100], tags[200];
	struct sh_link link;
	bool created;
	unsigned answers, wanted;
	char changed[100];
	unsigned changes;
	uint64_t links, total, clicks, first, n;
	char list[400], key[SH_KEY_TEXT];
	bool fatal;
	struct sd_siphash_key secret;
} got;

static void answered(const struct sd_error *e)
{
	got.e = *e;
	if (++got.answers >= got.wanted)
		rig_stop(r);
}

/* Waits for so many answers; the last one's error. */
static enum sd_err wait_for(unsigned n)
{
	got.wanted = got.answers + n;
	rig_wait(r);
	return got.e.code;
}

static void on_changed(void *arg, const char *code)
{
	(void)arg;
	got.changes++;
	snprintf(got.changed, sizeof(got.changed), "%s", code);
}

static void on_up(void *arg, uint64_t links)
{
	(void)arg;
	got.links = links;
	answered(&(struct sd_error){0});
}

static void on_down(void *arg, const struct sd_error *e, bool fatal)
{
	(void)arg;
	got.fatal = fatal;
	answered(e);
}

static bool reserved(const char *code)
{
	return strcmp(code, "openapi") == 0 || code[0] == 'a'; /* as many as can be seen */
}

static struct sh_store_conf conf_of(void)
{
	struct sh_store_conf conf = sh_store_defaults;
	conf.sql.url = r->url;
	conf.changed = on_changed;
	conf.up = on_up;
	conf.down = on_down;
	return conf;
}

static enum sd_err open_store(const struct sh_store_conf *conf, struct sh_store **out)
{
	enum sd_err err = sh_store_open(r->loop, conf, out, &got.e);
	return err ? err : wait_for(1);
}

static void setup(void)
{
	struct sh_store_conf conf;
	memset(&got, 0, sizeof(got));
	rig_make(r);
	if (rig_postgres()) {
		struct sd_sql_conf sql = rig_conf(r);
		rig_open_with(r, &sql);
		rig_empty(r);
		sd_sql_close(r->sql);
		r->sql = NULL;
	}
	conf = conf_of();
	ck_assert_msg(open_store(&conf, &st) == SD_OK, "%s", got.e.text);
	ck_assert_uint_eq(got.links, 0);
	ck_assert(sh_store_ready(st, NULL));
}

static void teardown(void)
{
	sh_store_close(st);
	rig_close(r);
}

static void reopen(const struct sh_store_conf *conf)
{
	sh_store_close(st);
	ck_assert_msg(open_store(conf, &st) == SD_OK, "%s", got.e.text);
}

/* ---- answers ---- */

static void keep(const struct sh_link *l)
{
	got.link = *l;
	snprintf(got.code, sizeof(got.code), "%s", l->code);
	snprintf(got.url, sizeof(got.url), "%s", l->url);
	snprintf(got.title, sizeof(got.title), "%s", l->title ? l->title : "NULL");
	got.tags[0] = '\0';
	for (size_t i = 0; i < l->ntags; i++)
		snprintf(got.tags + strlen(got.tags), sizeof(got.tags) - strlen(got.tags), "%s,", l->tags[i]);
}

static void on_link(void *arg, const struct sd_error *e, const struct sh_link *l)
{
	(void)arg;
	ck_assert_int_eq(l != NULL, e->code == SD_OK);
	if (l)
		keep(l);
	answered(e);
}

static void on_created(void *arg, const struct sd_error *e, const struct sh_link *l, bool created)
{
	got.created = created;
	on_link(arg, e, l);
}

static void on_done(void *arg, const struct sd_error *e)
{
	(void)arg;
	answered(e);
}

static void on_written(void *arg, const struct sd_error *e, const struct sd_sql_job *j)
{
	(void)arg;
	(void)j;
	answered(e);
}

static void write_now(struct sd_sql_job *j)
{
	ck_assert_int_eq(sd_sql_run(j, on_written, NULL), SD_OK);
	ck_assert_msg(wait_for(1) == SD_OK, "%s", got.e.text);
}

static enum sd_err create(const struct sh_link *l, bool find)
{
	sh_store_create(st, l, find, on_created, NULL);
	return wait_for(1);
}

static enum sd_err create_url(const char *url, const char *alias)
{
	return create(&(struct sh_link){.url = (char *)(uintptr_t)url, .code = (char *)(uintptr_t)alias}, false);
}

static enum sd_err get(const char *code)
{
	sh_store_get(st, code, on_link, NULL);
	return wait_for(1);
}

/* ---- links ---- */

START_TEST(a_link_is_kept_as_it_is)
{
	char *tags[] = {(char *)"news", (char *)"\xc3\xa4 b"};
	struct sh_link l = {.url = (char *)"https://example.com/?q='", .title = (char *)"A \"title\"", .tags = tags, .ntags = 2, .status = 308,
			    .disabled = true, .forward_query = true, .valid_from_ms = 5, .valid_until_ms = 1ll << 42, .max_visits = 7,
			    .clicks = 99, .uses = 99, .id = 12345};
	ck_assert_int_eq(create(&l, false), SD_OK);
	ck_assert(got.created);
	ck_assert_uint_eq(strlen(got.code), 7);
	ck_assert_str_eq(got.changed, got.code);
	char code[100];
	snprintf(code, sizeof(code), "%.19s", got.code);
	ck_assert_int_eq(get(code), SD_OK);
	ck_assert_str_eq(got.url, "https://example.com/?q='");
	ck_assert_str_eq(got.title, "A \"title\"");
	ck_assert_str_eq(got.tags, "news,\xc3\xa4 b,");
	ck_assert(got.link.status == 308 && got.link.disabled && got.link.forward_query && !got.link.alias);
	ck_assert(got.link.valid_from_ms == 5 && got.link.valid_until_ms == 1ll << 42 && got.link.max_visits == 7);
	ck_assert(got.link.clicks == 0 && got.link.uses == 0 && got.link.id != 12345 && got.link.id > 0);
	int64_t now = sd_world_wall_ns(r->world) / 1000000;
	ck_assert(got.link.created_ms > now - 60000 && got.link.created_ms <= now && got.link.changed_ms == got.link.created_ms);
	ck_assert_int_eq(get("nothing"), SD_ENOTFOUND);
	ck_assert_int_eq(get("' OR 1=1 --"), SD_ENOTFOUND);
}
END_TEST

START_TEST(an_alias_is_of_one_link)
{
	ck_assert(sh_store_alias_free(st, "mine"));
	ck_assert_int_eq(create_url("https://a.example/", "mine"), SD_OK);
	ck_assert_str_eq(got.code, "mine");
	ck_assert(got.link.alias);
	ck_assert(!sh_store_alias_free(st, "mine"));
	ck_assert_int_eq(create_url("https://b.example/", "mine"), SD_EEXISTS);
	ck_assert_str_eq(got.e.text, "mine is taken");
	ck_assert_int_eq(create_url("https://b.example/", "Mine"), SD_OK); /* letters count */
	struct sh_store_conf conf = conf_of();
	reopen(&conf);
	ck_assert_uint_eq(got.links, 2);
	ck_assert(!sh_store_alias_free(st, "mine"));
	ck_assert(sh_store_alias_free(st, "other"));
	/* one that another server made since then: the filter does not know it, the database does */
	struct sh_store *mine = st, *other = NULL;
	ck_assert_int_eq(open_store(&conf, &other), SD_OK);
	st = other;
	ck_assert_int_eq(create_url("https://c.example/", "theirs"), SD_OK);
	st = mine;
	ck_assert(sh_store_alias_free(st, "theirs"));
	ck_assert_int_eq(create_url("https://d.example/", "theirs"), SD_EEXISTS);
	ck_assert_int_eq(get("theirs"), SD_OK);
	ck_assert_str_eq(got.url, "https://c.example/");
	sh_store_close(other);
}
END_TEST

START_TEST(limits_are_kept)
{
	char long_code[80], *tags[40], long_url[9000] = "https://e.com/";
	memset(long_code, 'x', 79);
	long_code[79] = '\0';
	ck_assert_int_eq(create_url("https://e.com/", long_code), SD_EINVAL);
	long_code[64] = '\0';
	ck_assert_int_eq(create_url("https://e.com/", long_code), SD_OK);
	memset(long_url + 14, 'y', 8192 - 14);
	ck_assert_int_eq(create_url(long_url, NULL), SD_OK);
	long_url[8192] = 'y';
	ck_assert_int_eq(create_url(long_url, NULL), SD_EINVAL);
	ck_assert_int_eq(create_url("", NULL), SD_EINVAL);
	ck_assert_int_eq(create_url(NULL, NULL), SD_EINVAL);
	ck_assert_int_eq(create_url("https://e.com/\n", NULL), SD_EINVAL);
	for (int i = 0; i < 40; i++)
		tags[i] = (char *)(i % 2 ? "a" : "b");
	struct sh_link l = {.url = (char *)"https://e.com/", .tags = tags, .ntags = 33};
	ck_assert_int_eq(create(&l, false), SD_EINVAL);
	l.ntags = 32; /* the same ones again are one */
	ck_assert_int_eq(create(&l, false), SD_OK);
	tags[3] = (char *)"a\nb";
	ck_assert_int_eq(create(&l, false), SD_EINVAL);
	l.ntags = 0;
	l.max_visits = -1;
	ck_assert_int_eq(create(&l, false), SD_EINVAL);
}
END_TEST

START_TEST(the_same_link_is_found_again)
{
	struct sh_link l = {.url = (char *)"https://same.example/", .max_visits = 3};
	ck_assert_int_eq(create(&l, true), SD_OK);
	ck_assert(got.created);
	uint64_t id = got.link.id;
	ck_assert_int_eq(create(&l, true), SD_OK);
	ck_assert(!got.created);
	ck_assert_uint_eq(got.link.id, id);
	unsigned changes = got.changes;
	l.max_visits = 4; /* another one */
	ck_assert_int_eq(create(&l, true), SD_OK);
	ck_assert(got.created);
	ck_assert_uint_eq(got.changes, changes + 1);
	l.max_visits = 3;
	l.code = (char *)"named";
	ck_assert_int_eq(create(&l, true), SD_OK);
	ck_assert(got.created);
	ck_assert_int_eq(create(&l, true), SD_OK);
	ck_assert(!got.created);
	l.url = (char *)"https://other.example/"; /* the name is taken by another URL */
	ck_assert_int_eq(create(&l, true), SD_EEXISTS);
	l.url = (char *)"https://same.example/";
	l.code = NULL;
	ck_assert_int_eq(create(&l, false), SD_OK); /* nobody asked to look */
	ck_assert(got.created);
}
END_TEST

static void on_list(void *arg, const struct sd_error *e, const struct sh_link *links, size_t n, uint64_t total)
{
	(void)arg;
	got.list[0] = '\0';
	for (size_t i = 0; i < n; i++)
		snprintf(got.list + strlen(got.list), sizeof(got.list) - strlen(got.list), "%s ", links[i].code);
	got.total = total;
	answered(e);
}

static const char *list(const struct sh_filter *f)
{
	sh_store_list(st, f, on_list, NULL);
	ck_assert_msg(wait_for(1) == SD_OK, "%s", got.e.text);
	return got.list;
}

START_TEST(codes_of_generated_links_are_free)
{
	struct sh_store_conf conf = conf_of();
	char codes[60][12];
	conf.min_length = 4;
	conf.lease = 7;
	conf.reserved = reserved;
	reopen(&conf);
	for (int i = 0; i < 60; i++) {
		ck_assert_int_eq(create_url("https://e.com/", NULL), SD_OK);
		snprintf(codes[i], sizeof(codes[i]), "%.11s", got.code);
		ck_assert_uint_eq(strlen(codes[i]), 4);
		ck_assert_int_ne(codes[i][0], 'a');
		for (int k = 0; k < i; k++)
			ck_assert_str_ne(codes[i], codes[k]);
	}
}
END_TEST

/* The numbers go back to the beginning, as if somebody had restored an old counter: each code that is taken costs one number more. */
START_TEST(a_code_that_is_taken_costs_a_number)
{
	char before[20];
	struct sh_store_conf conf = conf_of();
	ck_assert_int_eq(create_url("https://one.example/", NULL), SD_OK);
	snprintf(before, sizeof(before), "%.19s", got.code);
	uint64_t id = got.link.id;
	struct sd_sql_job *j = sd_sql_write(sh_store_sql(st));
	/* an alias that is what the next number will be, and a first link that gives its number back */
	sd_sql_add(j, "UPDATE links SET id = 0, alias = 1", 0, NULL);
	sd_sql_add(j, "UPDATE counters SET next = $1", 1, SD_SQL_ARGS(sd_sql_int((int64_t)id)));
	write_now(j);
	reopen(&conf);
	ck_assert_int_eq(create_url("https://two.example/", NULL), SD_OK);
	ck_assert_str_ne(got.code, before);
	ck_assert_uint_eq(got.link.id, id + 1);
	ck_assert_int_eq(get(before), SD_OK);
	ck_assert_str_eq(got.url, "https://one.example/");
}
END_TEST

/* A counter that was set back while a server had its block: numbers that another link has are passed over, and that link keeps what it has. */
START_TEST(a_number_that_is_taken_costs_a_number)
{
	struct sh_store_conf conf = conf_of();
	char *tags[] = {(char *)"mine"}, *others[] = {(char *)"others"};
	struct sh_link l = {.url = (char *)"https://one.example/", .tags = tags, .ntags = 1};
	conf.method = (enum sh_code_method)_i;
	reopen(&conf);
	ck_assert_int_eq(create(&l, false), SD_OK);
	uint64_t id = got.link.id;
	struct sd_sql_job *j = sd_sql_write(sh_store_sql(st));
	sd_sql_add(j, "UPDATE links SET id = id + 1, code = 'one'", 0, NULL); /* as another server made it of our next number */
	sd_sql_add(j, "UPDATE link_tags SET link = link + 1", 0, NULL);
	write_now(j);
	l = (struct sh_link){.url = (char *)"https://two.example/", .tags = others, .ntags = 1};
	ck_assert_msg(create(&l, false) == SD_OK, "%s", got.e.text);
	ck_assert(got.created);
	ck_assert_uint_eq(got.link.id, id + 2);
	if (conf.method == SH_CODE_MD5_HEX)
		ck_assert_str_eq(got.code, "e1c401a");
	ck_assert_str_eq(list(&(struct sh_filter){.per_page = 9, .tag = "mine"}), "one ");
	char two[100];
	snprintf(two, sizeof(two), "%.19s ", got.code);
	ck_assert_str_eq(list(&(struct sh_filter){.per_page = 9, .tag = "others"}), two);
	ck_assert_uint_eq(got.total, 1);
	/* an alias too, which is no fault of the alias */
	j = sd_sql_write(sh_store_sql(st));
	sd_sql_add(j, "UPDATE links SET id = id + 2 WHERE code = 'one'", 0, NULL);
	write_now(j);
	ck_assert_msg(create_url("https://three.example/", "three") == SD_OK, "%s", got.e.text);
	ck_assert_uint_eq(got.link.id, id + 4);
	ck_assert_int_eq(create_url("https://four.example/", "three"), SD_EEXISTS);
}
END_TEST

START_TEST(a_counter_that_was_set_back_goes_on_behind_the_links)
{
	struct sh_store_conf conf = conf_of();
	for (int i = 0; i < 150; i++)
		ck_assert_int_eq(create_url("https://one.example/", NULL), SD_OK);
	uint64_t id = got.link.id;
	struct sd_sql_job *j = sd_sql_write(sh_store_sql(st));
	sd_sql_add(j, "UPDATE counters SET next = 1", 0, NULL);
	write_now(j);
	reopen(&conf);
	ck_assert_msg(create_url("https://two.example/", NULL) == SD_OK, "%s", got.e.text);
	ck_assert_uint_eq(got.link.id, id + 1);
}
END_TEST

START_TEST(when_no_number_is_free_it_says_so)
{
	ck_assert_int_eq(create_url("https://one.example/", NULL), SD_OK);
	struct sd_sql_job *j = sd_sql_write(sh_store_sql(st));
	for (int i = 1; i <= 100; i++)
		sd_sql_add(j, "INSERT INTO links SELECT id + $1, 'x' || (id + $1), url, url_hash, title, tags, status, disabled, forward_query, alias,"
			      " created_ms, changed_ms, valid_from_ms, valid_until_ms, max_visits, clicks, uses FROM links WHERE code NOT LIKE 'x%'", 1,
			   SD_SQL_ARGS(sd_sql_int(i)));
	write_now(j);
	ck_assert_int_eq(create_url("https://two.example/", NULL), SD_EEXHAUSTED);
	ck_assert_str_eq(got.e.text, "no free number or code in 100 tries");
	ck_assert_msg(create_url("https://two.example/", NULL) == SD_OK, "%s", got.e.text);
}
END_TEST

/* ---- two servers, one database ---- */

static struct {
	uint64_t first, n;
} leases[400];
static unsigned nleases;

static void on_lease(void *arg, const struct sd_error *e, uint64_t first)
{
	ck_assert_msg(e->code == SD_OK, "%s", e->text);
	leases[nleases].first = first;
	leases[nleases++].n = (uint64_t)(uintptr_t)arg;
	answered(e);
}

START_TEST(two_servers_never_meet)
{
	struct sh_store *other = NULL;
	struct sh_store_conf conf = conf_of();
	struct sd_rng rng;
	sd_rng_seed(&rng, 1);
	ck_assert_int_eq(open_store(&conf, &other), SD_OK);
	for (int i = 0; i < 400; i++) {
		uint64_t n = 1 + sd_rng_below(&rng, 5000);
		sh_store_lease(sd_rng_below(&rng, 2) ? st : other, n, on_lease, (void *)(uintptr_t)n);
	}
	wait_for(400);
	for (unsigned i = 0; i < nleases; i++)
		for (unsigned k = 0; k < i; k++)
			ck_assert_msg(leases[i].first >= leases[k].first + leases[k].n || leases[k].first >= leases[i].first + leases[i].n,
				      "%llu+%llu and %llu+%llu", (unsigned long long)leases[i].first, (unsigned long long)leases[i].n,
				      (unsigned long long)leases[k].first, (unsigned long long)leases[k].n);
	sh_store_close(other);
}
END_TEST

START_TEST(two_servers_make_links_at_once)
{
	struct sh_store *other = NULL;
	struct sh_store_conf conf = conf_of();
	struct sh_link l = {.url = (char *)"https://e.com/"}, race = {.url = (char *)"https://race.example/"};
	conf.lease = 10;
	reopen(&conf);
	ck_assert_int_eq(open_store(&conf, &other), SD_OK);
	for (int i = 0; i < 200; i++)
		sh_store_create(i % 2 ? st : other, i % 10 ? &l : &race, i % 10 == 0, on_created, NULL);
	for (int i = 5; i < 200; i += 10)
		sh_store_create(st, &race, true, on_created, NULL);
	wait_for(220);
	ck_assert_int_eq(got.e.code, SD_OK);
	list(&(struct sh_filter){.per_page = 1, .search = "race.example"});
	ck_assert_uint_eq(got.total, 1);
	list(&(struct sh_filter){.per_page = 1});
	ck_assert_uint_eq(got.total, 181);
	sh_store_close(other);
}
END_TEST

static unsigned uses_taken;
static void on_use(void *arg, const struct sd_error *e)
{
	(void)arg;
	uses_taken += e->code == SD_OK;
	ck_assert_msg(e->code == SD_OK || e->code == SD_EEXHAUSTED, "%s", e->text);
	answered(e);
}

START_TEST(visits_are_counted_exactly)
{
	struct sh_store *other = NULL;
	struct sh_store_conf conf = conf_of();
	struct sh_link l = {.url = (char *)"https://e.com/", .max_visits = 17};
	ck_assert_int_eq(open_store(&conf, &other), SD_OK);
	ck_assert_int_eq(create(&l, false), SD_OK);
	uint64_t id = got.link.id;
	char code[20];
	snprintf(code, sizeof(code), "%.19s", got.code);
	uses_taken = 0;
	for (int i = 0; i < 60; i++)
		sh_store_use(i % 2 ? st : other, id, on_use, NULL);
	wait_for(60);
	ck_assert_uint_eq(uses_taken, 17);
	ck_assert_int_eq(get(code), SD_OK);
	ck_assert_int_eq(got.link.uses, 17);
	sh_store_use(st, id + 999999, on_done, NULL);
	ck_assert_int_eq(wait_for(1), SD_ENOTFOUND);
	l.max_visits = 0;
	ck_assert_int_eq(create(&l, false), SD_OK);
	sh_store_use(st, got.link.id, on_done, NULL);
	ck_assert_int_eq(wait_for(1), SD_OK);
	sh_store_close(other);
}
END_TEST

/* ---- changing and listing ---- */

static enum sd_err change(const char *code, const struct sh_link *to, unsigned fields)
{
	sh_store_change(st, code, to, fields, on_link, NULL);
	return wait_for(1);
}

START_TEST(only_what_is_set_changes)
{
	char *tags[] = {(char *)"one", (char *)"two"}, *more[] = {(char *)"three"};
	struct sh_link l = {.url = (char *)"https://old.example/", .code = (char *)"x", .title = (char *)"old", .tags = tags, .ntags = 2,
			    .status = 302, .max_visits = 9};
	struct sh_link to = {.url = (char *)"https://new.example/", .tags = more, .ntags = 1, .status = 307, .disabled = true,
			     .forward_query = true, .valid_from_ms = 1, .valid_until_ms = 2, .max_visits = 3};
	ck_assert_int_eq(create(&l, false), SD_OK);
	ck_assert_int_eq(change("x", &to, SH_SET_TITLE), SD_OK);
	ck_assert_str_eq(got.title, "NULL");
	ck_assert_str_eq(got.url, "https://old.example/");
	ck_assert_str_eq(got.tags, "one,two,");
	ck_assert(got.link.status == 302 && !got.link.disabled && got.link.max_visits == 9 && !got.link.forward_query);
	unsigned changes = got.changes;
	ck_assert_int_eq(change("x", &to, SH_SET_URL | SH_SET_TAGS | SH_SET_STATUS | SH_SET_DISABLED), SD_OK);
	ck_assert_uint_eq(got.changes, changes + 1);
	ck_assert_str_eq(got.changed, "x");
	ck_assert_str_eq(got.url, "https://new.example/");
	ck_assert_str_eq(got.tags, "three,");
	ck_assert(got.link.status == 307 && got.link.disabled && got.link.valid_from_ms == 0);
	ck_assert_int_eq(change("x", &to, SH_SET_FORWARD_QUERY | SH_SET_VALID_FROM | SH_SET_VALID_UNTIL | SH_SET_MAX_VISITS), SD_OK);
	ck_assert(got.link.forward_query && got.link.valid_from_ms == 1 && got.link.valid_until_ms == 2 && got.link.max_visits == 3);
	ck_assert_str_eq(list(&(struct sh_filter){.per_page = 9, .tag = "three"}), "x ");
	ck_assert_str_eq(list(&(struct sh_filter){.per_page = 9, .tag = "two"}), "");
	/* the new URL is what is found */
	ck_assert_int_eq(change("x", &(struct sh_link){0}, SH_SET_DISABLED), SD_OK);
	to.disabled = false;
	to.code = NULL;
	to.ntags = 0;
	ck_assert_int_eq(create(&to, true), SD_OK);
	ck_assert(!got.created);
	ck_assert_int_eq(change("nothing", &to, SH_SET_URL), SD_ENOTFOUND);
	ck_assert_int_eq(change("x", &(struct sh_link){.url = (char *)""}, SH_SET_URL), SD_EINVAL);
}
END_TEST

START_TEST(what_is_deleted_is_gone)
{
	char *tags[] = {(char *)"t"};
	struct sh_link l = {.url = (char *)"https://e.com/", .code = (char *)"gone", .tags = tags, .ntags = 1};
	ck_assert_int_eq(create(&l, false), SD_OK);
	uint64_t id = got.link.id;
	sh_store_delete(st, "gone", on_link, NULL);
	ck_assert_int_eq(wait_for(1), SD_OK);
	ck_assert_str_eq(got.code, "gone");
	ck_assert_str_eq(got.changed, "gone");
	ck_assert_int_eq(get("gone"), SD_ENOTFOUND);
	ck_assert_str_eq(list(&(struct sh_filter){.per_page = 9, .tag = "t"}), "");
	unsigned changes = got.changes;
	sh_store_delete(st, "gone", on_link, NULL);
	ck_assert_int_eq(wait_for(1), SD_ENOTFOUND);
	ck_assert_uint_eq(got.changes, changes);
	ck_assert_int_eq(create(&l, false), SD_OK); /* the alias is free again, for another link */
	ck_assert_uint_ne(got.link.id, id);
}
END_TEST

static void on_tags(void *arg, const struct sd_error *e, const struct sh_tag_count *tags, size_t n)
{
	(void)arg;
	got.list[0] = '\0';
	for (size_t i = 0; i < n; i++)
		snprintf(got.list + strlen(got.list), sizeof(got.list) - strlen(got.list), "%s=%u ", tags[i].tag, (unsigned)tags[i].links);
	answered(e);
}

static void on_totals(void *arg, const struct sd_error *e, const struct sh_totals *t)
{
	(void)arg;
	if (t)
		got.total = t->links, got.clicks = t->clicks;
	answered(e);
}

static uint64_t totals(void)
{
	sh_store_totals(st, on_totals, NULL);
	ck_assert_int_eq(wait_for(1), SD_OK);
	return got.total;
}

START_TEST(lists_have_pages_order_and_filters)
{
	static const char *const names[] = {"b1", "a2", "d3", "c4", "e_5"};
	char *tags[] = {(char *)"even", (char *)"all"};
	for (int i = 0; i < 5; i++) {
		char url[60], title[20];
		snprintf(url, sizeof(url), "https://e.com/Path%d%%20", i);
		snprintf(title, sizeof(title), "Title %c", 'z' - i);
		struct sh_link l = {.url = url, .code = (char *)(uintptr_t)names[i], .title = title, .tags = i % 2 ? tags : tags + 1,
				    .ntags = i % 2 ? 2 : 1};
		ck_assert_int_eq(create(&l, false), SD_OK);
		struct sd_sql_job *j = sd_sql_write(sh_store_sql(st));
		sd_sql_add(j, "UPDATE links SET clicks = $1, created_ms = $2, changed_ms = $3 WHERE code = $4", 4,
			   SD_SQL_ARGS(sd_sql_int((i * 3) % 5), sd_sql_int(1000 + i), sd_sql_int(5000 - i), sd_sql_text(names[i])));
		write_now(j);
	}
	static const struct {
		struct sh_filter f;
		const char *codes;
		uint64_t total;
	} rows[] = {
	    {{.per_page = 10}, "e_5 c4 d3 a2 b1 ", 5},
	    {{.per_page = 10, .order = SH_OLDEST}, "b1 a2 d3 c4 e_5 ", 5},
	    {{.per_page = 10, .order = SH_BY_CODE}, "a2 b1 c4 d3 e_5 ", 5},
	    {{.per_page = 10, .order = SH_BY_TITLE}, "e_5 c4 d3 a2 b1 ", 5},
	    {{.per_page = 10, .order = SH_MOST_CLICKS}, "c4 a2 e_5 d3 b1 ", 5},
	    {{.per_page = 10, .order = SH_FEWEST_CLICKS}, "b1 d3 e_5 a2 c4 ", 5},
	    {{.per_page = 10, .order = SH_CHANGED}, "b1 a2 d3 c4 e_5 ", 5},
	    {{.per_page = 2, .page = 1}, "e_5 c4 ", 5},
	    {{.per_page = 2, .page = 3}, "b1 ", 5},
	    {{.per_page = 2, .page = 4}, "", 5},
	    {{.per_page = 2, .page = UINT64_MAX}, "", 5},
	    {{.per_page = 0}, "e_5 ", 5},
	    {{.per_page = 10, .tag = "even"}, "c4 a2 ", 2},
	    {{.per_page = 1, .tag = "all"}, "e_5 ", 5},
	    {{.per_page = 10, .tag = "Even"}, "", 0},
	    {{.per_page = 10, .search = "path3"}, "c4 ", 1},
	    {{.per_page = 10, .search = "TITLE Y"}, "a2 ", 1},
	    {{.per_page = 10, .search = "eve"}, "c4 a2 ", 2},
	    {{.per_page = 10, .search = "_"}, "e_5 ", 1},
	    {{.per_page = 10, .search = "2%20"}, "d3 ", 1},
	    {{.per_page = 10, .search = "\\"}, "", 0},
	    {{.per_page = 10, .search = "path", .tag = "even", .order = SH_OLDEST}, "a2 c4 ", 2},
	    {{.per_page = 10, .search = "' OR 1=1 --"}, "", 0},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		ck_assert_msg(strcmp(list(&rows[i].f), rows[i].codes) == 0, "row %zu: %s", i, got.list);
		ck_assert_uint_eq(got.total, rows[i].total);
	}
	sh_store_tags(st, on_tags, NULL);
	wait_for(1);
	ck_assert_str_eq(got.list, "all=5 even=2 ");
	ck_assert_uint_eq(totals(), 5);
	ck_assert_int_eq(create_url("https://e.com/", NULL), SD_OK);
	ck_assert_uint_eq(totals(), 6);
}
END_TEST

/* What any server on the database counted shows at once, however lately it was asked. */
START_TEST(totals_are_those_of_the_database)
{
	ck_assert_int_eq(create_url("https://e.com/", NULL), SD_OK);
	for (int64_t clicks = 0; clicks < 3; clicks++) {
		struct sd_sql_job *j = sd_sql_write(sh_store_sql(st));
		sd_sql_add(j, "UPDATE counters SET next = $1 WHERE name = 'clicks'", 1, SD_SQL_ARGS(sd_sql_int(clicks)));
		write_now(j);
		ck_assert_uint_eq(totals(), 1);
		ck_assert_int_eq((int64_t)got.clicks, clicks);
	}
	sh_store_delete(st, got.code, on_link, NULL);
	wait_for(1);
	ck_assert_uint_eq(totals(), 0);
	ck_assert_uint_eq(got.clicks, 2);
}
END_TEST

/* Version 2 had no total of clicks. It is what the days of all links say, or what the links do: days are dropped, and so are links. */
START_TEST(totals_of_an_older_database)
{
	struct sh_store_conf conf = conf_of();
	struct sd_sql_job *j = sd_sql_write(sh_store_sql(st));
	ck_assert_int_eq(create_url("https://e.com/1", NULL), SD_OK);
	ck_assert_int_eq(create_url("https://e.com/2", NULL), SD_OK);
	sd_sql_add(j, "UPDATE links SET clicks = 4", 0, NULL);
	for (int64_t day = 1; day <= 3; day++)
		sd_sql_add(j, "INSERT INTO click_days (link, day, clicks, bots, previews, prefetches) VALUES (0, $1, $2, 1, 1, 1)", 2,
			   SD_SQL_ARGS(sd_sql_int(day), sd_sql_int(_i ? 5 : 2)));
	sd_sql_add(j, "DELETE FROM counters WHERE name = 'clicks'", 0, NULL);
	sd_sql_add(j, "UPDATE sdlab_schema SET version = 2 WHERE part = 'links'", 0, NULL);
	write_now(j);
	reopen(&conf);
	ck_assert_uint_eq(totals(), 2);
	ck_assert_uint_eq(got.clicks, _i ? 15 : 8);
	reopen(&conf);
	ck_assert_uint_eq(totals(), 2);
	ck_assert_uint_eq(got.clicks, _i ? 15 : 8);
}
END_TEST

/* ---- hashes ---- */

START_TEST(the_hash_method_of_the_seed)
{
	struct sh_store_conf conf = conf_of();
	conf.method = SH_CODE_MD5_HEX;
	reopen(&conf);
	/* echo -n https://example.com | md5sum: c984d06aafbecf6bc55569f964148ea3 */
	ck_assert_int_eq(create_url("https://example.com", NULL), SD_OK);
	ck_assert_str_eq(got.code, "c984d06");
	ck_assert(got.created);
	ck_assert_int_eq(create_url("https://example.com", NULL), SD_OK);
	ck_assert_str_eq(got.code, "c984d06");
	ck_assert(!got.created);
	/* the place is taken by another URL: hashed again, with a number */
	ck_assert_int_eq(change("c984d06", &(struct sh_link){.url = (char *)"https://other.example/"}, SH_SET_URL), SD_OK);
	ck_assert_int_eq(create_url("https://example.com", NULL), SD_OK);
	ck_assert_str_ne(got.code, "c984d06");
	ck_assert_uint_eq(strlen(got.code), 7);
	ck_assert(got.created);
	conf.method = SH_CODE_MD5_BASE62;
	reopen(&conf);
	ck_assert_int_eq(create_url("https://example.com", NULL), SD_OK);
	ck_assert_uint_eq(strlen(got.code), 7);
	ck_assert_int_eq(create_url("https://example.com", "named"), SD_OK);
	ck_assert_str_eq(got.code, "named");
}
END_TEST

/* ---- keys and secrets ---- */

static void on_key(void *arg, const struct sd_error *e, const char *key)
{
	(void)arg;
	snprintf(got.key, sizeof(got.key), "%s", key ? key : "");
	answered(e);
}

static void on_keys(void *arg, const struct sd_error *e, const struct sh_key *keys, size_t n)
{
	(void)arg;
	got.list[0] = '\0';
	for (size_t i = 0; i < n; i++)
		snprintf(got.list + strlen(got.list), sizeof(got.list) - strlen(got.list), "%s:%s ", keys[i].name, keys[i].hint);
	answered(e);
}

static enum sd_err check(const char *key)
{
	sh_store_key_check(st, sd_slice_of(key), on_done, NULL);
	return wait_for(1);
}

START_TEST(keys_open_and_are_not_kept)
{
	char want[60];
	sh_store_key_add(st, "ci", on_key, NULL);
	ck_assert_int_eq(wait_for(1), SD_OK);
	ck_assert_uint_eq(strlen(got.key), 47);
	ck_assert_int_eq(check(got.key), SD_OK);
	got.key[20] = got.key[20] == 'x' ? 'y' : 'x';
	ck_assert_int_eq(check(got.key), SD_EPERM);
	ck_assert_int_eq(check(""), SD_EPERM);
	snprintf(want, sizeof(want), "ci:%.7s ", got.key);
	sh_store_key_list(st, on_keys, NULL);
	wait_for(1);
	ck_assert_str_eq(got.list, want);
	sh_store_key_add(st, "ci", on_key, NULL);
	ck_assert_int_eq(wait_for(1), SD_EEXISTS);
	ck_assert_str_eq(got.key, "");
	sh_store_key_put(st, "page", "a password that is long", on_done, NULL);
	ck_assert_int_eq(wait_for(1), SD_OK);
	sh_store_key_put(st, "page", "a password that is long", on_done, NULL);
	ck_assert_int_eq(wait_for(1), SD_OK);
	sh_store_key_put(st, "page", "another one of some length", on_done, NULL);
	ck_assert_int_eq(wait_for(1), SD_EEXISTS);
	sh_store_key_put(st, "short", "short", on_done, NULL);
	ck_assert_int_eq(wait_for(1), SD_EINVAL);
	ck_assert_int_eq(check("a password that is long"), SD_OK);
	sh_store_key_delete(st, "page", on_done, NULL);
	ck_assert_int_eq(wait_for(1), SD_OK);
	ck_assert_int_eq(check("a password that is long"), SD_EPERM);
	sh_store_key_delete(st, "page", on_done, NULL);
	ck_assert_int_eq(wait_for(1), SD_ENOTFOUND);
}
END_TEST

static void on_secret(void *arg, const struct sd_error *e, const struct sd_siphash_key *key)
{
	(void)arg;
	if (key)
		got.secret = *key;
	answered(e);
}

START_TEST(secrets_are_made_once)
{
	struct sh_store_conf conf = conf_of();
	struct sd_siphash_key first;
	sh_store_secret(st, "visitors", on_secret, NULL);
	ck_assert_int_eq(wait_for(1), SD_OK);
	first = got.secret;
	ck_assert(first.k0 != 0 && first.k1 != 0 && first.k0 != first.k1);
	sh_store_secret(st, "other", on_secret, NULL);
	wait_for(1);
	ck_assert(got.secret.k0 != first.k0);
	reopen(&conf);
	sh_store_secret(st, "visitors", on_secret, NULL);
	wait_for(1);
	ck_assert(got.secret.k0 == first.k0 && got.secret.k1 == first.k1);
}
END_TEST

/* ---- bad days ---- */

START_TEST(a_newer_schema_is_refused)
{
	struct sh_store_conf conf = conf_of();
	struct sh_store *other = NULL;
	struct sd_sql_job *j = sd_sql_write(sh_store_sql(st));
	sd_sql_add(j, "UPDATE sdlab_schema SET version = 1000", 0, NULL);
	write_now(j);
	ck_assert_int_eq(get("x"), SD_ENOTFOUND);
	ck_assert_int_eq(open_store(&conf, &other), SD_EUNSUPPORTED);
	ck_assert_msg(strstr(got.e.text, "has version 1000 of links"), "%s", got.e.text);
	ck_assert(got.fatal);
	ck_assert(!sh_store_ready(other, NULL));
	sh_store_get(other, "x", on_link, NULL);
	ck_assert_int_eq(wait_for(1), SD_EUNSUPPORTED);
	sh_store_close(other);
}
END_TEST

START_TEST(closing_answers_what_waits)
{
	struct sh_link l = {.url = (char *)"https://e.com/"};
	struct sh_store_conf conf = conf_of();
	unsigned before = got.answers;
	got.wanted = UINT32_MAX;
	for (int i = 0; i < 20; i++) {
		sh_store_create(st, &l, i % 2, on_created, NULL);
		sh_store_get(st, "x", on_link, NULL);
		sh_store_totals(st, on_totals, NULL);
		sh_store_use(st, 1, on_done, NULL);
	}
	sh_store_close(st);
	ck_assert_uint_eq(got.answers - before, 80);
	ck_assert_int_eq(open_store(&conf, &st), SD_OK);
	/* not open yet */
	sh_store_close(st);
	ck_assert_int_eq(sh_store_open(r->loop, &conf, &st, NULL), SD_OK);
	sh_store_get(st, "x", on_link, NULL);
	ck_assert_int_eq(wait_for(1), SD_EUNREACHABLE);
}
END_TEST

START_TEST(a_file_that_cannot_be_written)
{
	struct sh_store_conf conf = conf_of();
	char url[400];
	ck_assert_int_eq(create_url("https://e.com/", "there"), SD_OK);
	sh_store_close(st);
	snprintf(url, sizeof(url), "file:%s?mode=ro", r->url);
	conf.sql.url = url;
	/* what is there is read, and nothing else made */
	ck_assert_msg(open_store(&conf, &st) == SD_OK, "%s", got.e.text);
	ck_assert_uint_eq(got.links, 1);
	ck_assert(sd_sql_is_read_only(sh_store_sql(st)));
	ck_assert_int_eq(get("there"), SD_OK);
	ck_assert_int_eq(create_url("https://e.com/", "more"), SD_EPERM);
	sh_store_delete(st, "there", on_link, NULL);
	ck_assert_int_eq(wait_for(1), SD_EPERM);
	sh_store_secret(st, "never-asked-for", on_secret, NULL);
	ck_assert_int_eq(wait_for(1), SD_EPERM);
	ck_assert_int_eq(get("there"), SD_OK);
}
END_TEST

START_TEST(away_at_the_start)
{
	struct sh_store_conf conf = conf_of();
	const char *why;
	sh_store_close(st);
	conf.sql.url = "postgres://me:geheim@127.0.0.1:1/links";
	ck_assert_int_eq(open_store(&conf, &st), SD_EUNREACHABLE);
	ck_assert(!got.fatal);
	ck_assert(!sh_store_ready(st, &why) && strstr(why, "refused") && !strstr(why, "geheim"));
	ck_assert_int_eq(create_url("https://e.com/", NULL), SD_EUNREACHABLE);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("sh_store");
	TCase *c = tcase_create(rig_postgres() ? "postgres" : "sqlite");
	tcase_add_checked_fixture(c, setup, teardown);
	tcase_add_test(c, a_link_is_kept_as_it_is);
	tcase_add_test(c, an_alias_is_of_one_link);
	tcase_add_test(c, limits_are_kept);
	tcase_add_test(c, the_same_link_is_found_again);
	tcase_add_test(c, codes_of_generated_links_are_free);
	tcase_add_test(c, a_code_that_is_taken_costs_a_number);
	tcase_add_loop_test(c, a_number_that_is_taken_costs_a_number, SH_CODE_COUNTER, SH_CODE_MD5_HEX + 1);
	tcase_add_test(c, a_counter_that_was_set_back_goes_on_behind_the_links);
	tcase_add_test(c, when_no_number_is_free_it_says_so);
	tcase_add_test(c, two_servers_never_meet);
	tcase_add_test(c, two_servers_make_links_at_once);
	tcase_add_test(c, visits_are_counted_exactly);
	tcase_add_test(c, only_what_is_set_changes);
	tcase_add_test(c, what_is_deleted_is_gone);
	tcase_add_test(c, lists_have_pages_order_and_filters);
	tcase_add_test(c, totals_are_those_of_the_database);
	tcase_add_loop_test(c, totals_of_an_older_database, 0, 2);
	tcase_add_test(c, the_hash_method_of_the_seed);
	tcase_add_test(c, keys_open_and_are_not_kept);
	tcase_add_test(c, secrets_are_made_once);
	tcase_add_test(c, a_newer_schema_is_refused);
	tcase_add_test(c, closing_answers_what_waits);
	if (rig_postgres())
		tcase_add_test(c, away_at_the_start);
	else
		tcase_add_test(c, a_file_that_cannot_be_written);
	tcase_set_timeout(c, 60);
	suite_add_tcase(s, c);
	SRunner *sr = srunner_create(s);
	srunner_run_all(sr, CK_NORMAL);
	int failed = srunner_ntests_failed(sr);
	srunner_free(sr);
	return failed != 0;
}
