/* sh_clicks.c - the control loop's side: what was read from the journals goes to the database or to the queue, batch by batch.
 *
 *	every TICK: nothing read and something there --> read (helper thread) --> HELD --> add up, or publish --> kept --> drop
 *	                                                   ^                        |
 *	                                                   +---- RETRY, it failed --+
 */
#include "sh_clicks.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "core/list.h"
#include "sh_clicks_int.h"

#define TICK_NS	  200000000ll
#define RETRY_NS  1000000000ll
#define REST_MOST_NS 5000000000ll
#define REST_TIMES 9 /* as long as the last batch took: a tenth of the time is spent on it */
#define SYNC_NS	  1000000000ll

static void work(struct sh_clicks *c);

/* ---- a batch ---- */

static void say_down(struct sh_clicks *c, const char *why)
{
	if (!c->told_down)
		sd_event(c->sh->log, SD_WARN, "clicks_wait", NULL, "Clicks wait in the journal: %s", why);
	c->told_down = true;
}

static void say_up(struct sh_clicks *c)
{
	if (c->told_down)
		sd_event(c->sh->log, SD_INFO, "clicks_go_on", NULL, "Clicks are counted again");
	c->told_down = false;
}

static void really_free(struct sh_clicks *c)
{
	free(c->batch.bytes.p);
	free(c->batch.blocks);
	free(c);
}

/* A row of a statistic costs the same for one click and for a thousand: clicks of many links gather before they are added, and who
 * looks sees them a moment later. Not when there are more than go into a batch already. */
static void rest(struct sh_clicks *c)
{
	int64_t now = sd_loop_now_ns(c->loop), ns = (now - c->began_ns) * REST_TIMES;
	if (!c->batch.more && !c->events)
		c->rest_ns = now + (ns < REST_MOST_NS ? ns : REST_MOST_NS);
}

static void on_kept(struct sh_clicks *c, const struct sd_error *e)
{
	if (c->closed)
		return really_free(c);
	if (c->closing)
		return;
	if (e->code) {
		say_down(c, e->text);
		c->retry_ns = sd_loop_now_ns(c->loop) + RETRY_NS;
		return;
	}
	say_up(c);
	c->held = false;
	rest(c);
	sh_journals_drop(c);
	work(c);
}

static void on_applied(void *arg, const struct sd_error *e)
{
	on_kept(arg, e);
}

static void keep(struct sh_clicks *c)
{
	c->began_ns = sd_loop_now_ns(c->loop);
	if (c->events)
		sh_events_publish(c->events, on_kept);
	else
		sh_apply_run(&c->apply, c->batch.blocks, c->batch.n, on_applied, c);
}

static void on_read(struct sh_clicks *c)
{
	if (c->closing)
		return;
	if (c->batch.err)
		say_down(c, c->batch.why.text);
	c->held = c->batch.n > 0;
	if (c->held)
		keep(c);
}

static bool is_busy(const struct sh_clicks *c)
{
	return c->reading || c->apply.busy || (c->events && !sh_events_idle(c->events));
}

static void work(struct sh_clicks *c)
{
	if (c->closing || is_busy(c) || sd_loop_now_ns(c->loop) < c->retry_ns)
		return;
	if (c->events ? !sh_events_stands(c->events) : !c->apply.sql(c))
		return; /* that was said, and will be when it is back */
	if (c->held)
		keep(c);
	else if (sd_loop_now_ns(c->loop) >= c->rest_ns && sh_journals_have(c))
		sh_journals_read(c, on_read);
}

/* ---- journals that failed ---- */

static void look_at(struct sh_clicks *c, struct sh_clicks_worker *w)
{
	int state = __atomic_load_n(&w->state, __ATOMIC_ACQUIRE);
	uint64_t lost = __atomic_load_n(&w->lost, __ATOMIC_RELAXED);
	if (state == SH_SLOT_FAILED && !w->told && !w->mending)
		sd_event(c->sh->log, SD_ERROR, "clicks_lost", NULL, "Clicks are not recorded, redirects go on: %s", w->why.text);
	else if (state == SH_SLOT_OK && w->told)
		sd_event(c->sh->log, SD_INFO, "clicks_recorded", NULL, "Clicks are recorded again; %" PRIu64 " were lost", lost);
	w->told = state == SH_SLOT_FAILED && (w->told || !w->mending);
}

static bool look(struct sh_clicks *c)
{
	bool failed = false;
	for (unsigned i = 0; i < c->nslots; i++) {
		if (!c->slots[i])
			continue;
		look_at(c, c->slots[i]);
		failed |= c->slots[i]->told;
	}
	return failed;
}

/* ---- the key of visitors ---- */

static void on_worker_secret(struct sd_task *t)
{
	struct sh_clicks_worker *w = sd_container(t, struct sh_clicks_worker, secret_task);
	w->secret = w->new_secret;
	w->day = -1;
}

static void on_secret(void *arg, const struct sd_error *e, const struct sd_siphash_key *key)
{
	struct sh_clicks *c = arg;
	if (c->closing)
		return;
	c->secret_asked = e->code == SD_OK;
	for (unsigned i = 0; i < c->nslots && !e->code; i++) {
		struct sh_clicks_worker *w = c->slots[i];
		if (!w || !w->loop)
			continue;
		w->new_secret = *key;
		w->secret_task.fn = on_worker_secret;
		sd_loop_post(w->loop, &w->secret_task);
	}
}

static void ask_secret(struct sh_clicks *c)
{
	if (c->secret_asked || !c->sh->store || !sh_store_ready(c->sh->store, NULL))
		return;
	c->secret_asked = true;
	sh_store_secret(c->sh->store, "visitors", on_secret, c);
}

/* ---- time ---- */

static void arm(struct sh_clicks *c, struct sd_timer *t, void (*fn)(struct sd_timer *t), int64_t ns)
{
	t->fn = fn;
	sd_loop_timer_set(c->loop, t, sd_loop_now_ns(c->loop) + ns);
}

static void on_tick(struct sd_timer *t)
{
	struct sh_clicks *c = sd_container(t, struct sh_clicks, timer);
	bool failed = look(c);
	ask_secret(c);
	work(c);
	if (failed && !is_busy(c) && !c->held && sd_loop_now_ns(c->loop) >= c->mend_ns) {
		c->mend_ns = sd_loop_now_ns(c->loop) + RETRY_NS;
		sh_journals_mend(c);
	}
	arm(c, t, on_tick, TICK_NS);
}

static void on_sync(struct sd_timer *t)
{
	struct sh_clicks *c = sd_container(t, struct sh_clicks, sync_timer);
	sh_journals_sync(c);
	arm(c, t, on_sync, SYNC_NS);
}

/* ---- life ---- */

static struct sd_sql *sql_of(void *arg)
{
	struct sh_clicks *c = arg;
	return !c->closing && c->sh->store && sh_store_ready(c->sh->store, NULL) ? sh_store_sql(c->sh->store) : NULL;
}

static enum sd_wal_sync sync_of(const char *word)
{
	return strcmp(word, "always") == 0 ? SD_WAL_ALWAYS : strcmp(word, "interval") == 0 ? SD_WAL_INTERVAL : SD_WAL_NEVER;
}

static enum sd_err set_up(struct sh_clicks *c, const struct sd_conf *conf, struct sd_error *e)
{
	const char *geo = sd_conf_string(conf, "geo"), *events = sd_conf_string(conf, "events");
	c->helpers = sd_helpers_new(c->world, 2);
	if (!c->helpers)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	c->apply = (struct sh_apply){.loop = c->loop, .helpers = c->helpers, .sql = sql_of, .sql_arg = c};
	c->keep = sh_keep_new(&(struct sh_keep_conf){.loop = c->loop,
						     .log = c->sh->log,
						     .sql = sql_of,
						     .arg = c,
						     .retention_ms = sd_conf_int(conf, "click-retention") / 1000000});
	if (!c->keep)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	if (geo && sd_geo_open(geo, &c->geo, e))
		return sd_wrap(e, "%s", sd_conf_at(conf, "geo"));
	enum sd_err err = sh_journals_open(c, c->sh->nworkers, e);
	if (!err && events)
		err = sh_events_open(c, events, sd_conf_string(conf, "click-queue"), &c->events, e);
	return err;
}

enum sd_err sh_clicks_open(struct sh *sh, const struct sd_conf *conf, struct sh_clicks **out, struct sd_error *e)
{
	*out = NULL;
	if (!sd_conf_bool(conf, "analytics"))
		return SD_OK;
	struct sh_clicks *c = calloc(1, sizeof(*c));
	if (!c)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	c->sh = sh;
	c->loop = sh->control;
	c->world = sh->run->spec.world;
	c->sync = sync_of(sd_conf_string(conf, "click-sync"));
	snprintf(c->dir, sizeof(c->dir), "%s/clicks", sd_conf_string(conf, "data-dir"));
	enum sd_err err = set_up(c, conf, e);
	if (err) {
		sh_clicks_close(c);
		return err;
	}
	arm(c, &c->timer, on_tick, 0);
	if (c->sync == SD_WAL_INTERVAL)
		arm(c, &c->sync_timer, on_sync, SYNC_NS);
	*out = c;
	return SD_OK;
}

enum sd_err sh_clicks_start(struct sh_clicks *c, struct sd_loop *loop, struct sh_clicks_worker **out, struct sd_error *e)
{
	*out = NULL;
	if (!c)
		return SD_OK;
	if (c->nstarted == c->nslots)
		return sd_fail(e, SD_ERANGE, "there are %u journals for clicks, and more threads", c->nslots);
	*out = c->slots[c->nstarted++];
	(*out)->loop = loop;
	return SD_OK;
}

/* The workers are gone, so their journals are ours; tasks of theirs that were posted here, and work that ran, come back first. */
void sh_clicks_close(struct sh_clicks *c)
{
	if (!c)
		return;
	c->closing = true;
	sd_loop_timer_cancel(c->loop, &c->timer);
	sd_loop_timer_cancel(c->loop, &c->sync_timer);
	sh_keep_free(c->keep);
	c->keep = NULL;
	sh_events_close(c->events);
	sd_helpers_free(c->helpers);
	c->helpers = c->apply.helpers = NULL;
	sd_loop_flush(c->loop);
	sh_journals_close(c);
	sd_geo_close(c->geo);
	c->geo = NULL;
	c->closed = true;
	if (sh_apply_close(&c->apply))
		really_free(c); /* else when the database has answered */
}

/* ---- how it is ---- */

static uint64_t sum(const struct sh_clicks *c, size_t at)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < c->nslots; i++)
		if (c->slots[i])
			n += __atomic_load_n((const uint64_t *)(const void *)((const char *)c->slots[i] + at), __ATOMIC_RELAXED);
	return n;
}

bool sh_clicks_ready(const struct sh_clicks *c, char *why, size_t n)
{
	for (unsigned i = 0; c && i < c->nslots; i++) {
		const struct sh_clicks_worker *w = c->slots[i];
		if (!w || __atomic_load_n(&w->state, __ATOMIC_ACQUIRE) != SH_SLOT_FAILED)
			continue;
		snprintf(why, n, "clicks are not recorded: %s", w->why.text);
		return false;
	}
	return true;
}

bool sh_clicks_queue_ready(const struct sh_clicks *c, char *why, size_t n)
{
	if (!c || !c->events || sh_events_stands(c->events))
		return true;
	snprintf(why, n, "clicks wait here: %s", sh_events_why(c->events));
	return false;
}

static const struct {
	const char *name, *help;
	size_t at;
} worker_rows[] = {
    {"sdlab_shortener_clicks_total", "Clicks written to the journal", offsetof(struct sh_clicks_worker, clicks_n)},
    {"sdlab_shortener_click_writes_total", "Writes of the journal", offsetof(struct sh_clicks_worker, turns)},
    {"sdlab_shortener_clicks_lost_total", "Clicks that could not be written", offsetof(struct sh_clicks_worker, lost)},
};

void sh_clicks_metrics(const struct sh_clicks *c, struct sd_metrics *m, const char *label)
{
	if (!c)
		return;
	for (size_t i = 0; i < sizeof(worker_rows) / sizeof(worker_rows[0]); i++) {
		sd_metrics_family(m, worker_rows[i].name, "counter", worker_rows[i].help);
		sd_metrics_add(m, (double)sum(c, worker_rows[i].at), "%s", label);
	}
	sd_metrics_family(m, "sdlab_shortener_clicks_counted_total", "counter", "Clicks added up in the database by this server");
	sd_metrics_add(m, (double)c->apply.clicks, "%s", label);
	sd_metrics_family(m, "sdlab_shortener_retention_failures_total", "counter", "Tries to delete old statistics that failed");
	sd_metrics_add(m, (double)sh_keep_failed(c->keep), "%s", label);
	if (c->events)
		sh_events_metrics(c->events, m, label);
}
