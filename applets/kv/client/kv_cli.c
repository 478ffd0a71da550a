/* kv_cli.c - SET, GET and COMPACT say what they took (EXPLAIN), to a person: as operands, or at a prompt. Everything else, and every other
 * server of this protocol, is shown as it answers. */
#include "kv_cli.h"

#include <inttypes.h>

#define EXPLAINED 16 /* words of a command, at most */
#define PAIRS 5 /* of EXPLAIN's answer: reply, where, entries, spared, read; sdlab-kv(1) */

struct explained {
	const struct sd_resp_value *reply, *where, *entries, *spared;
};

/* False: it is of another form. */
static bool read_explained(const struct sd_resp_value *v, struct explained *x)
{
	static const char *const names[PAIRS] = {"reply", "where", "entries", "spared", "read"};
	const struct sd_resp_value *values[PAIRS], *at = v + 1;
	if (!(v->kind == SD_RESP_ARRAY || v->kind == SD_RESP_MAP) || v->items != (size_t)2 * PAIRS)
		return false;
	for (size_t i = 0; i < PAIRS; i++) {
		if (sd_resp_has_items(at->kind) || !sd_slice_eq(at->text, names[i]))
			return false;
		values[i] = sd_resp_after(at);
		at = sd_resp_after(values[i]);
	}
	*x = (struct explained){values[0], values[1], values[2], values[3]};
	return x->entries->kind == SD_RESP_INT && x->spared->kind == SD_RESP_ARRAY && values[4]->kind == SD_RESP_ARRAY;
}

static void say_spared(const struct sd_resp_cli *cli, const struct sd_resp_value *spared, const char *before)
{
	const struct sd_resp_value *name = spared + 1;
	fprintf(cli->call->out, "%sfilters spared", before);
	for (size_t i = 0; i < spared->items; i++, name = sd_resp_after(name)) {
		fputc(' ', cli->call->out);
		if (!sd_resp_has_items(name->kind))
			sd_resp_show_text(cli->call->out, name->text, cli->screen);
	}
}

/* {"name": "Alice"} (from L1_000007.sst; filters spared L0_000004.sst) */
static void say_found(const struct sd_resp_cli *cli, const struct explained *x)
{
	FILE *out = cli->call->out;
	bool there = x->reply->kind == SD_RESP_BULK;
	if (there)
		sd_resp_show_text(out, x->reply->text, cli->screen);
	else
		fputs("(nil)", out);
	if (x->where->kind == SD_RESP_NULL && x->spared->items == 0) {
		fputc('\n', out);
		return;
	}
	fputs(" (", out);
	if (x->where->kind != SD_RESP_NULL) {
		fputs(there ? "from " : "removed in ", out);
		sd_resp_show_text(out, x->where->text, cli->screen);
	}
	if (x->spared->items > 0)
		say_spared(cli, x->spared, x->where->kind != SD_RESP_NULL ? "; " : "");
	fputs(")\n", out);
}

static void say_explained(struct sd_resp_cli *cli, const struct explained *x, bool set, int *status)
{
	bool stored = x->reply->kind == SD_RESP_SIMPLE && sd_slice_eq(x->reply->text, "OK") && x->where->kind != SD_RESP_NULL;
	if (set && stored) {
		fputs("OK (wrote to ", cli->call->out);
		sd_resp_show_text(cli->call->out, x->where->text, cli->screen);
		fprintf(cli->call->out, ", %" PRId64 " entries)\n", x->entries->n);
	} else if (!set && (x->reply->kind == SD_RESP_BULK || x->reply->kind == SD_RESP_NULL)) {
		say_found(cli, x);
	} else {
		sd_resp_cli_answer(cli, x->reply, status);
	}
}

static bool is_unknown(const struct sd_resp_value *v)
{
	return sd_resp_is_error(v->kind) && sd_slice_starts(v->text, "ERR unknown command");
}

/* Not done when the server does not know the word: then the command goes there as it is. */
static enum sd_err explain(struct sd_resp_cli *cli, size_t argc, const struct sd_slice *argv, bool *done, int *status, struct sd_error *e)
{
	struct sd_slice words[EXPLAINED + 1] = {sd_slice_of("EXPLAIN")};
	const struct sd_resp_value *v;
	struct explained x;
	if (argc > EXPLAINED)
		return SD_OK;
	memcpy(words + 1, argv, argc * sizeof(*argv));
	enum sd_err err = sd_resp_client_ask(cli->conn, argc + 1, words, &v, e);
	if (err || is_unknown(v))
		return err;
	*done = true;
	if (read_explained(v, &x))
		say_explained(cli, &x, sd_slice_ieq(argv[0], "set"), status);
	else
		sd_resp_cli_answer(cli, v, status);
	return SD_OK;
}

/* How long that takes nobody knows beforehand: it is waited for, unless somebody said for how long. */
static enum sd_err ask_to_compact(struct sd_resp_cli *cli, size_t argc, const struct sd_slice *argv, const struct sd_resp_value **v,
				  struct sd_error *e)
{
	if (sd_conf_is_set(cli->call->conf, "timeout"))
		return sd_resp_client_ask(cli->conn, argc, argv, v, e);
	sd_resp_client_send(cli->conn, argc, argv);
	return sd_resp_client_next(cli->conn, SD_NEVER, v, e);
}

/* The lines of the log. */
static enum sd_err compact(struct sd_resp_cli *cli, size_t argc, const struct sd_slice *argv, bool *done, int *status, struct sd_error *e)
{
	const struct sd_resp_value *v, *line;
	enum sd_err err = ask_to_compact(cli, argc, argv, &v, e);
	if (err)
		return err;
	*done = true;
	if (v->kind != SD_RESP_ARRAY) {
		sd_resp_cli_answer(cli, v, status);
		return SD_OK;
	}
	if (v->items == 0)
		fputs("Nothing to compact\n", cli->call->out);
	line = v + 1;
	for (size_t i = 0; i < v->items; i++, line = sd_resp_after(line)) {
		fputs("[LSM] ", cli->call->out);
		if (!sd_resp_has_items(line->kind))
			sd_resp_show_text(cli->call->out, line->text, cli->screen);
		fputc('\n', cli->call->out);
	}
	return SD_OK;
}

static enum sd_err special(struct sd_resp_cli *cli, size_t argc, const struct sd_slice *argv, bool *done, int *status, struct sd_error *e)
{
	if (!(cli->call->nargs || cli->prompts) || sd_conf_bool(cli->call->conf, "raw"))
		return SD_OK;
	if (sd_slice_ieq(argv[0], "set") || sd_slice_ieq(argv[0], "get"))
		return explain(cli, argc, argv, done, status, e);
	return sd_slice_ieq(argv[0], "compact") ? compact(cli, argc, argv, done, status, e) : SD_OK;
}

const struct sd_resp_cli_kind kv_cli_kind = {
    .applet = "kv",
    .what = "store",
    .variable = "SDLAB_KV_URL",
    .port = 6379,
    .more = sd_resp_cli_ttl,
    .special = special,
};

const struct sd_option kv_cli_options[] = {
    SD_RESP_CLI_TTL,
    {"raw", SD_OPT_BOOL, "false", "answers as the server gives them, without where they came from"},
    KV_SERVER_OPTIONS,
    {0},
};

int kv_cli(struct sd_verb_call *call)
{
	return sd_resp_cli_run(&kv_cli_kind, call);
}
