#include "cache_keep.h"

#include <string.h>

#include "../engine/cache.h"
#include "../engine/cache_config.h"
#include "cache_save.h"

#define RETRY_MS 5000 /* after one that failed */

const char cache_misconf[] =
    "MISCONF Redis is configured to save RDB snapshots, but it's currently unable to persist to disk. Commands that may modify "
    "the data set are disabled, because this instance is configured to report errors during writes if RDB snapshotting fails "
    "(stop-writes-on-bgsave-error option). Please check the Redis logs for details about the RDB error.";

void cache_keep_begin(struct cache *c)
{
	c->keep = (struct cache_keep){.took_ms = -1, .saved_ms = c->now_ms};
}

/* ---- when ---- */

static bool next_number(struct sd_slice *rest, int64_t *v)
{
	const char *space = rest->n ? memchr(rest->p, ' ', rest->n) : NULL;
	struct sd_slice word = {rest->p, space ? (size_t)(space - rest->p) : rest->n};
	*rest = space ? (struct sd_slice){space + 1, rest->n - word.n - 1} : (struct sd_slice){NULL, 0};
	return sd_resp_parse_int(word, v);
}

bool cache_keep_points(struct cache *c, struct sd_slice text)
{
	struct cache_save_point points[CACHE_SAVE_POINTS];
	size_t n = 0;
	struct sd_slice rest = text;
	for (bool more = text.n > 0; more; more = rest.p != NULL) {
		if (n == CACHE_SAVE_POINTS || !next_number(&rest, &points[n].seconds) || points[n].seconds < 1 || !rest.p ||
		    !next_number(&rest, &points[n].changes) || points[n].changes < 0)
			return false;
		n++;
	}
	if (!c)
		return true;
	if (n)
		memcpy(c->keep.points, points, n * sizeof(points[0]));
	c->keep.npoints = n;
	return true;
}

bool cache_keep_is_due(const struct cache *c, int64_t now_ms)
{
	const struct cache_keep *k = &c->keep;
	uint64_t changes = c->dirty - k->saved_dirty;
	if (!k->ops || k->running)
		return false;
	if (k->scheduled)
		return true;
	if (k->failed && now_ms - k->tried_ms <= RETRY_MS)
		return false;
	for (size_t i = 0; i < k->npoints; i++)
		if (changes >= (uint64_t)k->points[i].changes && now_ms - k->saved_ms > k->points[i].seconds * 1000)
			return true;
	return false;
}

void cache_keep_saved(struct cache *c, bool ok, uint64_t dirty, int64_t now_ms)
{
	struct cache_keep *k = &c->keep;
	k->running = false;
	k->failed = !ok;
	k->took_ms = now_ms - k->began_ms;
	if (!ok)
		return;
	k->saved_ms = now_ms;
	k->saved_dirty = dirty;
	k->saves++;
}

bool cache_keep_refuses(const struct cache *c, const struct cache_command *k)
{
	return c->keep.failed && c->keep.npoints && c->keep.ops && (k->is->flags & SD_REDIS_WRITE || strcmp(k->is->name, "ping") == 0) &&
	       strcmp(cache_config_text(c, "stop-writes-on-bgsave-error"), "yes") == 0;
}

/* ---- commands ---- */

static bool can_save(struct cache_call *c)
{
	if (c->cache->keep.ops)
		return true;
	sd_resp_error(c->out, "ERR There is no folder to save to; start with --data-dir");
	return false;
}

static void cmd_save(struct cache_call *c)
{
	if (!can_save(c))
		return;
	if (c->cache->keep.running)
		sd_resp_error(c->out, "ERR Background save already in progress");
	else if (c->cache->keep.ops->save(c->cache->keep.arg))
		sd_resp_simple(c->out, "OK");
	else
		sd_resp_error(c->out, "ERR");
}

static void cmd_bgsave(struct cache_call *c)
{
	struct cache_keep *k = &c->cache->keep;
	if (c->argc > 2 || (c->argc == 2 && !cache_is(c->argv[1], "schedule"))) {
		sd_resp_error(c->out, sd_redis_syntax);
		return;
	}
	if (!can_save(c))
		return;
	if (k->running) {
		sd_resp_error(c->out, "ERR Background save already in progress");
	} else if (c->in_exec) { /* the moment is behind the transaction, not in it */
		k->scheduled = true;
		sd_resp_simple(c->out, "Background saving scheduled");
	} else if (k->ops->begin(k->arg)) {
		sd_resp_simple(c->out, "Background saving started");
	} else {
		sd_resp_error(c->out, "ERR");
	}
}

static void cmd_lastsave(struct cache_call *c)
{
	sd_resp_int(c->out, c->cache->keep.saved_ms / 1000);
}

enum { NOSAVE = 1, SAVE = 2, NOW = 4, FORCE = 8, ABORT = 16 };

static bool shutdown_words(struct cache_call *c, unsigned *flags)
{
	static const struct {
		const char *word;
		unsigned flag;
	} words[] = {{"nosave", NOSAVE}, {"save", SAVE}, {"now", NOW}, {"force", FORCE}, {"abort", ABORT}};
	*flags = 0;
	for (size_t i = 1, k; i < c->argc; i++) {
		for (k = 0; k < 5 && !cache_is(c->argv[i], words[k].word); k++)
			;
		*flags |= k < 5 ? words[k].flag : NOSAVE | SAVE;
	}
	if (!(*flags & NOSAVE && *flags & SAVE) && !(*flags & ABORT && *flags != ABORT))
		return true;
	sd_resp_error(c->out, sd_redis_syntax);
	return false;
}

/* Nothing is replied when it works: the connection ends. */
static void cmd_shutdown(struct cache_call *c)
{
	struct cache_keep *k = &c->cache->keep;
	unsigned flags;
	if (!shutdown_words(c, &flags))
		return;
	if (flags & ABORT) {
		sd_resp_error(c->out, "ERR No shutdown in progress.");
		return;
	}
	bool save = k->ops && (flags & SAVE || (k->npoints && !(flags & NOSAVE)));
	if (flags & SAVE && !can_save(c))
		return;
	bool saved = save && k->ops->save(k->arg);
	if ((save && !saved && !(flags & FORCE)) || !c->cache->shut_down || !c->cache->shut_down(c->cache->shut_down_arg)) {
		sd_resp_error(c->out, "ERR Errors trying to SHUTDOWN. Check logs.");
		return;
	}
	k->no_save = flags & NOSAVE;
	c->session->flags |= CACHE_DROP;
}

/* ---- INFO ---- */

void cache_keep_info(const struct cache *c, struct sd_text *t)
{
	const struct cache_keep *k = &c->keep;
	sd_text_format(t, "loading:0\r\ncurrent_save_keys_processed:%llu\r\nrdb_changes_since_last_save:%llu\r\n"
			  "rdb_bgsave_in_progress:%d\r\nrdb_last_save_time:%lld\r\nrdb_last_bgsave_status:%s\r\n"
			  "rdb_last_bgsave_time_sec:%lld\r\nrdb_current_bgsave_time_sec:%lld\r\nrdb_saves:%llu\r\n",
		       c->save ? (unsigned long long)c->save->keys : 0, (unsigned long long)(c->dirty - k->saved_dirty), k->running,
		       (long long)(k->saved_ms / 1000), k->failed ? "err" : "ok",
		       (long long)(k->took_ms < 0 ? -1 : k->took_ms / 1000),
		       (long long)(k->running ? (c->now_ms - k->began_ms) / 1000 : -1), (unsigned long long)k->saves);
	sd_text_format(t, "rdb_last_load_keys_expired:%llu\r\nrdb_last_load_keys_loaded:%llu\r\naof_enabled:0\r\n",
		       (unsigned long long)k->load_expired, (unsigned long long)k->loaded);
}

const struct cache_command cache_keep_commands[] = {
    {SD_REDIS(BGSAVE), cmd_bgsave},
    {SD_REDIS(LASTSAVE), cmd_lastsave},
    {SD_REDIS(SAVE), cmd_save},
    {SD_REDIS(SHUTDOWN), cmd_shutdown},
    {0},
};
