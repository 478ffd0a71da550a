#include "mq_keep.h"

#include <stdlib.h>

#include "../store/mq_store.h"

#define LOOK_NS 1000000000

struct mq_keep {
	struct mq_shell *shell;
	struct sd_helpers *helpers;
	struct mq_store *store;
	const char *dir;
	struct sd_timer look; /* each second: is there room on the disk? */
	bool low, failed;     /* was said */
	bool closing;
	void (*done)(void *arg);
	void *done_arg;
};

static void look_again(struct mq_keep *k)
{
	sd_loop_timer_set(k->shell->loop, &k->look, sd_loop_now_ns(k->shell->loop) + LOOK_NS);
}

/* ---- room on the disk ---- */

static void tell_low(struct mq_keep *k, bool low)
{
	struct sd_log *log = k->shell->run->log;
	if (low == k->low)
		return;
	k->low = low;
	mq_hub_block(&k->shell->hub, low ? "low on disk" : NULL);
	if (low)
		sd_event(log, SD_WARN, "disk_low", NULL, "%s: less room on the disk than disk-free-min: publishers wait", k->dir);
	else
		sd_event(log, SD_INFO, "disk_ok", NULL, "%s: there is room on the disk again: publishers go on", k->dir);
}

static void tell_failed(struct mq_keep *k, bool full)
{
	const struct sd_error *why = mq_store_failure(k->store);
	if (k->failed)
		return;
	k->failed = true;
	sd_event(k->shell->run->log, SD_ERROR, "log_failed", NULL, "%s: persistent messages are refused%s: %s", k->dir,
		 full ? " until there is room" : "", why ? why->text : "the log failed");
}

static void try_again(struct mq_keep *k)
{
	struct sd_error e;
	if (mq_store_retry(k->store, &e))
		return;
	k->failed = false;
	sd_event(k->shell->run->log, SD_INFO, "log_again", NULL, "%s: persistent messages are taken again", k->dir);
	mq_shell_turn(k->shell);
}

static void look(struct mq_keep *k)
{
	struct mq_store_stats st;
	mq_store_look(k->store);
	mq_store_stats(k->store, &st);
	if (st.failed)
		tell_failed(k, st.full);
	if (st.full && st.failed)
		try_again(k);
	tell_low(k, st.low);
}

static void on_look(struct sd_timer *t)
{
	struct mq_keep *k = sd_container(t, struct mq_keep, look);
	look(k);
	look_again(k);
}

/* ---- opening ---- */

/* Confirms are to be sent. */
static void on_stored(void *arg)
{
	mq_shell_turn(arg);
}

static void make_conf(const struct sd_conf *conf, struct mq_store_conf *out)
{
	static const enum sd_wal_sync policies[] = {SD_WAL_ALWAYS, SD_WAL_INTERVAL, SD_WAL_NEVER};
	*out = (struct mq_store_conf){.dir = sd_conf_string(conf, "data-dir"),
				      .sync = policies[sd_conf_int(conf, "sync")],
				      .interval_ns = sd_conf_int(conf, "sync-interval"),
				      .disk_free_min = (uint64_t)sd_conf_int(conf, "disk-free-min"),
				      .salvage = sd_conf_bool(conf, "salvage"),
				      .stored = on_stored};
}

enum sd_err mq_keep_new(struct mq_shell *s, struct mq_keep **out, struct sd_error *e)
{
	struct mq_store_conf conf;
	struct sd_world *world = sd_loop_world(s->loop);
	*out = NULL;
	if (!sd_conf_has(s->run->conf, "data-dir")) {
		sd_event(s->run->log, SD_WARN, "nothing_kept", NULL, "Without --data-dir nothing is kept: queues and messages end with this process");
		return SD_OK;
	}
	struct mq_keep *k = *out = calloc(1, sizeof(*k));
	if (!k)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	make_conf(s->run->conf, &conf);
	conf.arg = s;
	k->shell = s;
	k->dir = conf.dir;
	k->look.fn = on_look;
	k->helpers = sd_helpers_new(world, 2);
	k->store = k->helpers ? mq_store_new(world, s->loop, k->helpers, &conf) : NULL;
	return k->store ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
}

struct mq_journal mq_keep_journal(struct mq_keep *k)
{
	return k ? mq_store_journal(k->store) : (struct mq_journal){0};
}

static void say_found(const struct mq_keep *k, const struct mq_store_found *found)
{
	struct sd_log *log = k->shell->run->log;
	struct sd_field f[] = {{"queues", NULL, (int64_t)found->queues}, {"messages", NULL, (int64_t)found->messages}, {0}};
	sd_event(log, SD_INFO, "wal_initialized", NULL, "WAL initialized at %s", k->dir);
	if (*found->wal.text)
		sd_event(log, SD_WARN, "wal_repaired", NULL, "%s", found->wal.text);
	if (*found->salvaged)
		sd_event(log, SD_WARN, "wal_salvaged", NULL, "%s", found->salvaged);
	sd_event(log, SD_INFO, "recovered", f, "Recovered %llu queue%s, %llu pending message%s", (unsigned long long)found->queues,
		 found->queues == 1 ? "" : "s", (unsigned long long)found->messages, found->messages == 1 ? "" : "s");
}

/* The log is damaged: what it says of that is told as it is. */
static enum sd_err name_way_out(const struct mq_shell *s, struct sd_error *e)
{
	struct sd_error why = *e;
	if (sd_conf_bool(s->run->conf, "salvage"))
		return e->code;
	return sd_fail(e, why.code, "%s (--salvage starts without it)", why.text);
}

enum sd_err mq_keep_open(struct mq_shell *s, struct sd_error *e)
{
	struct mq_store_found found;
	struct mq_keep *k = s->keep;
	if (!k) {
		uint64_t none;
		mq_restore_end(s->mq, &none, &none);
		return SD_OK;
	}
	enum sd_err err = mq_store_open(k->store, s->mq, &found, e);
	if (err)
		return err == SD_EINVAL ? name_way_out(s, e) : err;
	say_found(k, &found);
	look_again(k);
	return SD_OK;
}

void mq_keep_turn(struct mq_keep *k)
{
	if (k && !k->closing)
		mq_store_turn(k->store);
}

/* ---- closing ---- */

static void on_closed(void *arg, enum sd_err err)
{
	struct mq_keep *k = arg;
	if (err)
		sd_event(k->shell->run->log, SD_ERROR, "wal_close", NULL, "%s: cannot be closed: %s", k->dir, sd_err_text(err));
	k->done(k->done_arg);
}

void mq_keep_close(struct mq_keep *k, void (*done)(void *arg), void *arg)
{
	if (!k) {
		done(arg);
		return;
	}
	k->closing = true;
	k->done = done;
	k->done_arg = arg;
	mq_store_close(k->store, on_closed, k);
}

void mq_keep_stop(struct mq_keep *k)
{
	if (k)
		sd_loop_timer_cancel(k->shell->loop, &k->look);
}

/* What the helpers had under way comes back to the loop yet. */
void mq_keep_free(struct mq_keep *k)
{
	if (!k)
		return;
	mq_store_free(k->store);
	if (k->helpers)
		sd_helpers_free(k->helpers);
	sd_loop_flush(k->shell->loop);
	free(k);
}
