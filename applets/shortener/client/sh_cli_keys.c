/* sh_cli_keys.c - API keys, in the database itself: who may write to it may give them out. The service need not run, and one that
 * runs knows of a change at once. */
#include <stdlib.h>

#include "../sh_parts.h"
#include "../store/sh_store.h"
#include "core/time_text.h"
#include "sh_cli.h"

struct keys {
	struct sd_verb_call *call;
	struct sd_loop *loop;
	struct sh_store *store;
	int status;
};

static void end(struct keys *k, int status)
{
	k->status = status;
	sd_loop_stop(k->loop);
}

static bool failed(struct keys *k, const struct sd_error *e)
{
	if (e->code)
		end(k, sh_cli_fail(k->call, "%s", e->text[0] ? e->text : sd_err_text(e->code)));
	return e->code;
}

static void on_added(void *arg, const struct sd_error *e, const char *key)
{
	struct keys *k = arg;
	if (failed(k, e))
		return;
	fprintf(k->call->out, "%s\n", key);
	end(k, 0);
}

static void on_removed(void *arg, const struct sd_error *e)
{
	struct keys *k = arg;
	if (e->code == SD_ENOTFOUND)
		end(k, sh_cli_fail(k->call, "there is no key %s", k->call->args[1]));
	else if (!failed(k, e)) {
		fprintf(k->call->out, "The key %s is removed\n", k->call->args[1]);
		end(k, 0);
	}
}

static void on_listed(void *arg, const struct sd_error *e, const struct sh_key *keys, size_t n)
{
	struct keys *k = arg;
	char since[SD_TIME_TEXT];
	if (failed(k, e))
		return;
	for (size_t i = 0; i < n; i++) {
		sd_time_text(since, keys[i].created_ms * 1000000);
		fprintf(k->call->out, "%-20s %s...  since %s\n", keys[i].name, keys[i].hint, since);
	}
	end(k, 0);
}

static void on_up(void *arg, uint64_t links)
{
	struct keys *k = arg;
	const char *what = k->call->args[0];
	(void)links;
	if (strcmp(what, "add") == 0)
		sh_store_key_add(k->store, k->call->args[1], on_added, k);
	else if (strcmp(what, "remove") == 0)
		sh_store_key_delete(k->store, k->call->args[1], on_removed, k);
	else
		sh_store_key_list(k->store, on_listed, k);
}

static void on_down(void *arg, const struct sd_error *why, bool fatal)
{
	struct keys *k = arg;
	(void)fatal;
	end(k, sh_cli_fail(k->call, "%s", why->text));
}

static int with_store(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	struct sh_store_conf c;
	char path[SH_PATH_MAX];
	struct keys k = {.call = call, .loop = sd_loop_new(call->world, &e), .status = 1};
	enum sd_err err = k.loop ? sh_parts_store_conf(call->world, call->conf, &c, path, &e) : SD_ENOMEM;
	if (!err) {
		c.up = on_up;
		c.down = on_down;
		c.arg = &k;
		err = sh_store_open(k.loop, &c, &k.store, &e);
	}
	if (err)
		sh_cli_fail(call, "%s", e.text[0] ? e.text : sd_err_text(err));
	else
		sd_loop_run(k.loop);
	sh_store_close(k.store);
	sd_loop_free(k.loop);
	return k.status;
}

int sh_cli_key(struct sd_verb_call *call)
{
	const char *what = call->args[0];
	bool list = strcmp(what, "list") == 0;
	if (!list && strcmp(what, "add") != 0 && strcmp(what, "remove") != 0)
		return sh_cli_usage(call, "key: expected add, list or remove, found \"%s\"", what);
	if (call->nargs != (list ? 1 : 2))
		return sh_cli_usage(call, list ? "key list takes no name" : "key %s: expected a NAME", what);
	struct sd_error e = {0};
	return sh_parts_check_db(call->conf, &e) ? sh_cli_usage(call, "%s", e.text) : with_store(call);
}
