/* kv_upkeep.c - repair, compact and checkpoint: what is done to a folder that nobody serves. */
#include <inttypes.h>
#include <stdlib.h>

#include "disk/lsm_repair.h"
#include "kv.h"
#include "kv_event.h"
#include "sdlab/kv.h"

/* ---- repair ---- */

static void say_lost(const struct sd_verb_call *call, const struct sd_lsm_repaired *r)
{
	for (const char *p = r->lost.p, *lf; p && (lf = strchr(p, '\n')); p = lf + 1)
		fprintf(call->err, "lost: %.*s\n", (int)(lf - p), p);
}

int kv_repair(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	struct sd_lsm_repaired r = {0};
	enum sd_err err = sd_lsm_repair(call->world, call->args[0], call->args[1], &r, &e);
	say_lost(call, &r);
	if (!err) {
		fprintf(call->out, "%" PRIu64 " keys of %" PRIu64 " tables and %" PRIu64 " logs are in %s\n", r.keys, r.tables, r.logs, call->args[1]);
		if (r.lost_tables + r.lost_blocks + r.lost_records + r.lost_values > 0)
			fprintf(call->out, "not read: %" PRIu64 " tables, %" PRIu64 " blocks, %" PRIu64 " records of logs, %" PRIu64 " values\n",
				r.lost_tables, r.lost_blocks, r.lost_records, r.lost_values);
	}
	free(r.lost.p);
	return err ? kv_fail(call, "repair", &e) : 0;
}

/* ---- a store that is open ---- */

/* The lines of a server. */
static void on_event(void *arg, const struct sd_kv_event *e)
{
	char text[400];
	if (kv_event_text(e, text, sizeof(text)))
		fprintf(((struct sd_verb_call *)arg)->out, "[LSM] %s\n", text);
}

static int with_store(struct sd_verb_call *call, const char *verb, enum sd_err (*run)(struct sd_verb_call *call, struct sd_kv *kv, struct sd_error *e))
{
	struct sd_error e = {0}, closing = {0};
	struct sd_kv_conf conf = {.mode = SD_KV_OPEN, .background = SD_KV_BY_HAND, .world = call->world, .event = on_event, .arg = call};
	struct sd_kv *kv = NULL;
	enum sd_err err = sd_kv_open(call->args[0], &conf, &kv, &e);
	if (!err)
		err = run(call, kv, &e);
	if (kv && sd_kv_close(kv, &closing) && !err) {
		err = closing.code;
		e = closing;
	}
	return err ? kv_fail(call, verb, &e) : 0;
}

static enum sd_err compact(struct sd_verb_call *call, struct sd_kv *kv, struct sd_error *e)
{
	(void)call;
	return sd_kv_compact(kv, NULL, NULL, e);
}

int kv_compact(struct sd_verb_call *call)
{
	return with_store(call, "compact", compact);
}

static enum sd_err checkpoint(struct sd_verb_call *call, struct sd_kv *kv, struct sd_error *e)
{
	return sd_kv_checkpoint(kv, call->args[1], e);
}

int kv_checkpoint(struct sd_verb_call *call)
{
	return with_store(call, "checkpoint", checkpoint);
}
