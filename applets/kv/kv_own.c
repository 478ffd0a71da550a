/* kv_own.c - folders read through the store itself: those of our own format, since it knows what ends, what lies apart and what was
 * removed by range; and whether it would open one at all. */
#include <stdlib.h>

#include "kv.h"
#include "sdlab/kv.h"

bool kv_is_own(const struct sd_verb_call *call)
{
	struct sd_text path = {0};
	unsigned mode;
	sd_text_format(&path, "%s/SDLAB", call->args[0]);
	bool own = !path.full && sd_world_file_mode(call->world, path.p, &mode);
	free(path.p);
	return own;
}

static void on_event(void *arg, const struct sd_kv_event *event)
{
	const struct sd_verb_call *call = arg;
	if (event->kind == SD_KV_EVENT_TORN)
		fprintf(call->err, "%s: torn tail at %llu\n", event->name, (unsigned long long)event->bytes);
}

/* quiet: what is odd was told before. */
static enum sd_err open_to_read(const struct sd_verb_call *call, bool quiet, struct sd_kv **kv, struct sd_error *e)
{
	struct sd_kv_conf conf = {
	    .mode = SD_KV_READ_ONLY,
	    .background = SD_KV_BY_HAND,
	    .world = call->world,
	    .event = quiet ? NULL : on_event,
	    .arg = (void *)(uintptr_t)call,
	};
	return sd_kv_open(call->args[0], &conf, kv, e);
}

/* "L0_000007.sst L1_000009.sst" */
static void take_explained(const struct sd_kv_explain *x, struct sd_lsm_answer *found)
{
	found->there = x->there;
	found->seq = x->seq;
	found->looked = x->looked;
	snprintf(found->where, sizeof(found->where), "%.60s", strcmp(x->where, "memtable") == 0 ? "the log" : x->where);
	if (x->spared > 0)
		sd_text_format(&found->spared, " %s", x->spared_by);
}

enum sd_err kv_own_find(struct sd_verb_call *call, struct sd_slice key, struct sd_lsm_answer *found, struct sd_error *e)
{
	struct sd_kv *kv = NULL;
	struct sd_kv_explain x = {0};
	struct sd_kv_value v = {0};
	enum sd_err err = open_to_read(call, false, &kv, e);
	if (!err)
		err = sd_kv_explain(kv, key, &x, e);
	if (!err && x.there)
		err = sd_kv_get(kv, NULL, key, &v, e);
	if (!err) {
		take_explained(&x, found);
		sd_text_add(&found->value, v.p, v.n);
	}
	sd_kv_value_free(&v);
	sd_kv_close(kv, NULL);
	return err;
}

static enum sd_err walk(struct sd_kv *kv, struct sd_slice from, kv_each *each, void *arg, struct sd_error *e)
{
	struct sd_kv_iter *i = NULL;
	struct sd_kv_span span = {.from = &from, .passing = true};
	enum sd_err err = sd_kv_iter_new(kv, &span, &i, e);
	for (bool there = !err && sd_kv_iter_first(i); there && !err; there = !err && sd_kv_iter_next(i)) {
		struct sd_slice value = sd_kv_iter_value(i);
		err = sd_kv_iter_err(i, e);
		if (!err)
			err = each(arg, sd_kv_iter_key(i), value, e);
	}
	if (!err && i)
		err = sd_kv_iter_err(i, e);
	sd_kv_iter_free(i);
	return err;
}

enum sd_err kv_own_walk(struct sd_verb_call *call, struct sd_slice from, kv_each *each, void *arg, struct sd_error *e)
{
	struct sd_kv *kv = NULL;
	enum sd_err err = open_to_read(call, false, &kv, e);
	if (!err)
		err = walk(kv, from, each, arg, e);
	sd_kv_close(kv, NULL);
	return err;
}

enum sd_err kv_opens(const struct sd_verb_call *call, struct sd_error *e)
{
	struct sd_kv *kv = NULL;
	enum sd_err err = open_to_read(call, true, &kv, e);
	sd_kv_close(kv, NULL);
	return err;
}

static enum sd_err fine(void *arg, struct sd_slice key, struct sd_slice value, struct sd_error *e)
{
	(void)arg, (void)key, (void)value, (void)e;
	return SD_OK;
}

enum sd_err kv_own_values(const struct sd_verb_call *call, struct sd_error *e)
{
	struct sd_kv *kv = NULL;
	enum sd_err err = open_to_read(call, true, &kv, e);
	if (!err)
		err = walk(kv, (struct sd_slice){"", 0}, fine, NULL, e);
	sd_kv_close(kv, NULL);
	return err;
}
