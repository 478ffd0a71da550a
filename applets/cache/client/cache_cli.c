/* cache_cli.c - the commands of clients, and what a cache that is many says of them besides: where a value was stored, where it came from. */
#include "cache_cli.h"

#include <inttypes.h>
#include <stdlib.h>

/* " (stored on node 7002)" behind the OK of a SET, of a server that is in a cluster; nothing of others. */
static enum sd_err show_stored(struct sd_resp_cli *cli, struct sd_slice key, struct sd_error *e)
{
	struct sd_slice locate[] = {sd_slice_of("CLUSTER"), sd_slice_of("LOCATE"), key};
	const struct sd_resp_value *v;
	enum sd_err err = sd_resp_client_ask(cli->conn, 3, locate, &v, e);
	fputs("OK", cli->call->out);
	/* the slot, then address, port and id of each node that has it */
	if (!err && v->kind == SD_RESP_ARRAY && v->span >= 6 && v[2].kind == SD_RESP_ARRAY && v[4].kind == SD_RESP_INT)
		fprintf(cli->call->out, " (stored on node %" PRId64 ")", v[4].n);
	fputc('\n', cli->call->out);
	return err;
}

/* What GET found, and " (from replica on 7003)" when the node that wrote it is gone. */
static enum sd_err show_found(struct sd_resp_cli *cli, struct sd_slice key, const struct sd_resp_value *found, struct sd_error *e)
{
	struct sd_slice origin[] = {sd_slice_of("CLUSTER"), sd_slice_of("ORIGIN"), key};
	struct sd_resp_value value = *found; /* the next answer takes its place */
	const struct sd_resp_value *v;
	char *text = malloc(value.text.n + 1);
	if (!text)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	if (value.text.n)
		memcpy(text, value.text.p, value.text.n);
	value.text.p = text;
	enum sd_err err = sd_resp_client_ask(cli->conn, 3, origin, &v, e);
	if (!err && v->kind == SD_RESP_ARRAY && v->span >= 3 && v[1].kind == SD_RESP_INT && v[2].kind == SD_RESP_NULL) {
		fwrite(text, 1, value.text.n, cli->call->out);
		fprintf(cli->call->out, " (from replica on %" PRId64 ")\n", v[1].n);
	} else {
		sd_resp_show(cli->call->out, &value, cli->screen);
	}
	free(text);
	return err;
}

/* SET and GET, as operands. */
static enum sd_err special(struct sd_resp_cli *cli, size_t argc, const struct sd_slice *argv, bool *done, int *status, struct sd_error *e)
{
	const struct sd_resp_value *v;
	bool set = sd_slice_ieq(argv[0], "set");
	if (!cli->call->nargs || !(set || sd_slice_ieq(argv[0], "get")))
		return SD_OK;
	*done = true;
	enum sd_err err = sd_resp_client_ask(cli->conn, argc, argv, &v, e);
	if (err)
		return err;
	if (set && v->kind == SD_RESP_SIMPLE && sd_slice_eq(v->text, "OK"))
		return show_stored(cli, argv[1], e);
	if (!set && v->kind == SD_RESP_BULK)
		return show_found(cli, argv[1], v, e);
	sd_resp_cli_answer(cli, v, status);
	return SD_OK;
}

const struct sd_resp_cli_kind cache_cli_kind = {
    .applet = "cache",
    .what = "cache",
    .variable = "SDLAB_CACHE_URL",
    .port = 7001,
    .more = sd_resp_cli_ttl,
    .special = special,
};

static int run_any(struct sd_verb_call *call)
{
	return sd_resp_cli_run(&cache_cli_kind, call);
}

static const struct sd_option any_options[] = {
    SD_RESP_CLI_TTL,
    CACHE_SERVER_OPTIONS,
    {0},
};

static const struct sd_option look_options[] = {
    {"interval", SD_OPT_DURATION, "1s", "between two looks", .letter = 'i', .min = 1000000, .max = 86400000000000},
    {"count", SD_OPT_INT, "0", "looks in all; 0: until it is ended", .letter = 'c', .max = INT64_MAX},
    CACHE_SERVER_OPTIONS,
    {0},
};

static const struct sd_option stats_options[] = {
    {"json", SD_OPT_BOOL, "false", "print JSON"},
    CACHE_SERVER_OPTIONS,
    {0},
};

static const struct sd_option server_options[] = {
    CACHE_SERVER_OPTIONS,
    {0},
};

const struct sd_verb cache_verbs[] = {
    {"*", "COMMAND [ARGUMENT...]", "send a command and show the answer: get KEY, set KEY VALUE --ttl 3600, ...", any_options, 0, -1,
     run_any},
    {"hotkeys", NULL, "show the keys that are read and written most", server_options, 0, 0, cache_run_hotkeys},
    {"monitor", NULL, "show what is asked, as it happens", server_options, 0, 0, cache_run_monitor},
    {"stats", NULL, "show hits, misses, evictions, memory and the way there and back", stats_options, 0, 0, cache_run_stats},
    {"top", NULL, "the same again and again, with what happens a second", look_options, 0, 0, cache_run_top},
    {0},
};
