/* sh_parts.c - store, lookup, clicks and page: opened, started on each worker, and closed in the right order. */
#include "sh_parts.h"

#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>

#include "clicks/sh_clicks.h"
#include "clicks/sh_queue.h"
#include "http/sh_http.h"
#include "http/sh_page.h"
#include "lookup/sh_lookup.h"
#include "sh_limit.h"
#include "store/sh_store.h"

#define BUSY_MS 2000 /* how long a request waits while somebody else has locked the file */

/* ---- the database ---- */

static bool reserved(const char *code)
{
	return sh_reserved(sd_slice_of(code));
}

static void db_said(struct sh *sh)
{
	bool first = !sh->db_said;
	sh->db_said = true;
	if (first && sh->listening)
		sh_let_in(sh);
}

static void on_link_changed(void *arg, const char *code)
{
	struct sh *sh = arg;
	sh_lookup_changed(sh->lookup, code);
}

static void on_up(void *arg, uint64_t links)
{
	struct sh *sh = arg;
	struct sd_field f[] = {{"links", NULL, (int64_t)links}, {0}};
	sh->db_seen = true;
	sh->db_why[0] = '\0';
	sd_event(sh->log, SD_INFO, "database_up", f, "Database connected, %" PRIu64 " link%s stored", links, links == 1 ? "" : "s");
	if (sd_sql_is_read_only(sh_store_sql(sh->store)))
		sd_event(sh->log, SD_WARN, "database_read_only", NULL, "Database is read-only: links redirect, none can be made or changed");
	db_said(sh);
}

static void on_down(void *arg, const struct sd_error *why, bool fatal)
{
	struct sh *sh = arg;
	struct sd_field f[] = {{"why", why->text, 0}, {0}};
	snprintf(sh->db_why, sizeof(sh->db_why), "%.255s", why->text);
	sd_event(sh->log, SD_ERROR, "database_down", f, fatal ? "Database cannot be used: %s" : "Database away: %s", why->text);
	if (!fatal || !sd_run_fail(sh->run))
		db_said(sh);
}

/* SQLite would take the URL of anything else for a path. What is behind the scheme may be a secret. */
enum sd_err sh_parts_check_db(const struct sd_conf *conf, struct sd_error *e)
{
	const char *url = sd_conf_string(conf, "db"), *slashes = url ? strstr(url, "://") : NULL;
	size_t n = slashes ? (size_t)(slashes - url) : 0;
	struct sd_slice scheme = {url, n};
	if (!slashes || memchr(url, '/', n) || sd_slice_eq(scheme, "postgres") || sd_slice_eq(scheme, "postgresql") || sd_slice_eq(scheme, "file"))
		return SD_OK;
	return sd_fail(e, SD_EUSAGE, "%s: expected a file of SQLite or postgres://[USER:PASSWORD@]HOST[:PORT]/NAME, found %.*s://",
		       sd_conf_at(conf, "db"), (int)(n < 40 ? n : 40), url);
}

enum sd_err sh_parts_check(const struct sd_conf *conf, struct sd_error *e)
{
	enum sd_err err = sh_parts_check_db(conf, e);
	return err ? err : sh_queue_check(conf, e);
}

enum sd_err sh_parts_store_conf(struct sd_world *world, const struct sd_conf *conf, struct sh_store_conf *out, char path[SH_PATH_MAX],
				struct sd_error *e)
{
	const char *url = sd_conf_string(conf, "db"), *dir = sd_conf_string(conf, "data-dir");
	*out = sh_store_defaults;
	out->reserved = reserved;
	if (!url) {
		enum sd_err err = sd_world_mkdir(world, dir, 0755, e);
		if (err)
			return err;
		snprintf(path, SH_PATH_MAX, "%s/links.db", dir);
		url = path;
	}
	out->sql.url = url;
	out->sql.busy_ms = BUSY_MS;
	return SD_OK;
}

static enum sh_code_method method_of(const char *word)
{
	return strcmp(word, "md5-hex") == 0 ? SH_CODE_MD5_HEX : strcmp(word, "md5-base62") == 0 ? SH_CODE_MD5_BASE62 : SH_CODE_COUNTER;
}

static enum sd_err open_store(struct sh *sh, const struct sd_conf *conf, struct sd_error *e)
{
	struct sh_store_conf c;
	char path[SH_PATH_MAX];
	enum sd_err err = sh_parts_store_conf(sh->run->spec.world, conf, &c, path, e);
	c.method = method_of(sd_conf_string(conf, "code-method"));
	c.changed = on_link_changed;
	c.up = on_up;
	c.down = on_down;
	c.arg = sh;
	return err ? err : sh_store_open(sh->control, &c, &sh->store, e);
}

/* ---- all of them ---- */

enum sd_err sh_parts_open(struct sh *sh, const struct sd_conf *conf, struct sd_error *e)
{
	enum sd_err err = open_store(sh, conf, e);
	if (!err)
		err = sh_clicks_open(sh, conf, &sh->clicks, e);
	if (!err)
		err = sh_page_open(sh, conf, &sh->page, e);
	if (!err)
		err = sh_live_open(sh, &sh->live, e);
	return err ? err : sh_lookup_open(sh, conf, &sh->lookup, e);
}

enum sd_err sh_parts_start(struct sh_worker *w, struct sd_error *e)
{
	enum sd_err err = sh_clicks_start(w->sh->clicks, w->w->loop, &w->clicks, e);
	return err ? err : sh_lookup_start(w->sh->lookup, w->w->loop, &w->lookup, e);
}

void sh_parts_stop(struct sh_worker *w)
{
	sh_lookup_stop(w->lookup);
}

void sh_parts_drain(struct sh_worker *w)
{
	sh_live_drain(w);
}

void sh_parts_close(struct sh *sh)
{
	sh_lookup_close(sh->lookup);
	sh_clicks_close(sh->clicks);
	sh_store_close(sh->store);
	sh->store = NULL;
	sh_live_close(sh->live);
	sh_page_close(sh->page);
}

void sh_parts_metrics(struct sh *sh, struct sd_metrics *m, const char *label)
{
	sh_lookup_metrics(sh->lookup, m, label);
	sh_clicks_metrics(sh->clicks, m, label);
	sd_metrics_family(m, "sdlab_shortener_database_up", "gauge", "1 while the database answers");
	sd_metrics_add(m, sh_store_ready(sh->store, NULL) ? 1 : 0, "%s", label);
	sd_metrics_family(m, "sdlab_shortener_database_read_only", "gauge", "1 while the database can be read and not written");
	sd_metrics_add(m, sd_sql_is_read_only(sh_store_sql(sh->store)) ? 1 : 0, "%s", label);
}

void sh_parts_add_need(cJSON *out, const char *name, bool up, const char *why)
{
	cJSON *o = cJSON_AddObjectToObject(out, name);
	cJSON_AddBoolToObject(o, "up", up);
	if (!up)
		cJSON_AddStringToObject(o, "why", why && *why ? why : "it was not reached yet");
}

void sh_parts_needs(void *self, cJSON *out)
{
	struct sh *sh = self;
	char text[256];
	const char *why = sh->db_why;
	bool up = sh_store_ready(sh->store, &why);
	sh_parts_add_need(out, "database", up, why);
	if (up && sd_sql_is_read_only(sh_store_sql(sh->store)))
		cJSON_AddTrueToObject(cJSON_GetObjectItem(out, "database"), "read_only");
	up = sh_lookup_ready(sh->lookup, text, sizeof(text));
	if (sd_conf_has(sh->run->conf, "cache"))
		sh_parts_add_need(out, "cache", up, text);
	up = sh_limit_ready(sh->limit, &why);
	if (sd_conf_has(sh->run->conf, "create-limit-store"))
		sh_parts_add_need(out, "create_limit", up, why);
	up = sh_clicks_ready(sh->clicks, text, sizeof(text));
	sh_parts_add_need(out, "clicks", up, text);
	up = sh_clicks_queue_ready(sh->clicks, text, sizeof(text));
	if (sd_conf_has(sh->run->conf, "events"))
		sh_parts_add_need(out, "queue", up, text);
}
