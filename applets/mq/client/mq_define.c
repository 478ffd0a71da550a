#include <inttypes.h>
#include <stdlib.h>

#include "mq_cli.h"

/* Runs with a connection and the table that --arg makes; NULL: there is no such option. */
static int with_table(struct sd_verb_call *call, const char *option, int (*fn)(struct mq_cli *cli, struct sd_slice table))
{
	struct mq_cli cli;
	struct sd_text table = {0};
	int status = mq_cli_begin(&cli, call, 0);
	if (!status && option)
		status = mq_cli_put_pairs(&cli, option, &table);
	if (!status)
		status = fn(&cli, (struct sd_slice){table.p, table.n});
	free(table.p);
	mq_cli_end(&cli);
	return status;
}

/* ---- declare ---- */

static int declare_exchange(struct mq_cli *cli, const char *type, struct sd_slice table)
{
	const struct sd_conf *conf = cli->call->conf;
	struct sd_amqp_arg args[] = {{0}, {.s = sd_slice_of(cli->call->args[0])}, {.s = sd_slice_of(type)}, {0},
				     {.n = sd_conf_bool(conf, "durable")}, {.n = sd_conf_bool(conf, "auto-delete")}, {0}, {0}, {.s = table}};
	if (!mq_cli_ask(cli, SD_AMQP_EXCHANGE_DECLARE, args, SD_AMQP_EXCHANGE_DECLARE_OK))
		return 1;
	fprintf(cli->call->out, "Declared exchange '%s' (%s)\n", cli->call->args[0], type);
	return 0;
}

static int declare(struct mq_cli *cli, struct sd_slice table)
{
	const struct sd_conf *conf = cli->call->conf;
	const char *type = sd_conf_string(conf, "exchange");
	if (type)
		return declare_exchange(cli, type, table);
	struct sd_amqp_arg args[] = {{0}, {.s = sd_slice_of(cli->call->args[0])}, {0}, {.n = sd_conf_bool(conf, "durable")}, {0},
				     {.n = sd_conf_bool(conf, "auto-delete")}, {0}, {.s = table}};
	const struct sd_amqp_arg *a = mq_cli_ask(cli, SD_AMQP_QUEUE_DECLARE, args, SD_AMQP_QUEUE_DECLARE_OK);
	if (!a)
		return 1;
	fprintf(cli->call->out, "Declared queue '%.*s' (messages: %" PRIu64 ", consumers: %" PRIu64 ")\n", (int)a[0].s.n, a[0].s.p,
		a[1].n, a[2].n);
	return 0;
}

static int declare_with(struct mq_cli *cli, struct sd_slice table)
{
	struct sd_text all = {0};
	if (table.n)
		sd_text_add(&all, table.p, table.n);
	int status = mq_cli_put_declaration(cli, &all);
	if (!status)
		status = declare(cli, (struct sd_slice){all.p, all.n});
	free(all.p);
	return status;
}

int mq_run_declare(struct sd_verb_call *call)
{
	return with_table(call, "arg", declare_with);
}

/* ---- bind, unbind ---- */

static int change_binding(struct mq_cli *cli, struct sd_slice table, bool on)
{
	const char *const *name = cli->call->args;
	const char *key = cli->call->nargs > 2 ? name[2] : "";
	bool exchange = sd_conf_bool(cli->call->conf, "to-exchange");
	/* the same five begin each of the four; unbinding a queue is the one without no-wait */
	struct sd_amqp_arg args[] = {{0}, {.s = sd_slice_of(name[0])}, {.s = sd_slice_of(name[1])}, {.s = sd_slice_of(key)},
				     {0}, {.s = table}};
	uint32_t id = exchange ? (on ? SD_AMQP_EXCHANGE_BIND : SD_AMQP_EXCHANGE_UNBIND)
			       : (on ? SD_AMQP_QUEUE_BIND : SD_AMQP_QUEUE_UNBIND);
	uint32_t want = exchange ? (on ? SD_AMQP_EXCHANGE_BIND_OK : SD_AMQP_EXCHANGE_UNBIND_OK)
				 : (on ? SD_AMQP_QUEUE_BIND_OK : SD_AMQP_QUEUE_UNBIND_OK);
	if (id == SD_AMQP_QUEUE_UNBIND)
		args[4] = args[5];
	if (!mq_cli_ask(cli, id, args, want))
		return 1;
	fprintf(cli->call->out, "%s %s '%s' %s exchange '%s' with key '%s'\n", on ? "Bound" : "Unbound",
		exchange ? "exchange" : "queue", name[0], on ? "to" : "from", name[1], key);
	return 0;
}

static int bind_it(struct mq_cli *cli, struct sd_slice table)
{
	return change_binding(cli, table, true);
}

static int unbind_it(struct mq_cli *cli, struct sd_slice table)
{
	return change_binding(cli, table, false);
}

int mq_run_bind(struct sd_verb_call *call)
{
	return with_table(call, "arg", bind_it);
}

int mq_run_unbind(struct sd_verb_call *call)
{
	return with_table(call, "arg", unbind_it);
}

/* ---- purge, delete ---- */

static int purge(struct mq_cli *cli, struct sd_slice unused)
{
	struct sd_amqp_arg args[] = {{0}, {.s = sd_slice_of(cli->call->args[0])}, {0}};
	(void)unused;
	const struct sd_amqp_arg *a = mq_cli_ask(cli, SD_AMQP_QUEUE_PURGE, args, SD_AMQP_QUEUE_PURGE_OK);
	if (!a)
		return 1;
	fprintf(cli->call->out, "Purged queue '%s' (messages: %" PRIu64 ")\n", cli->call->args[0], a[0].n);
	return 0;
}

int mq_run_purge(struct sd_verb_call *call)
{
	return with_table(call, NULL, purge);
}

static int delete_exchange(struct mq_cli *cli)
{
	struct sd_amqp_arg args[] = {{0}, {.s = sd_slice_of(cli->call->args[0])}, {.n = sd_conf_bool(cli->call->conf, "if-unused")}, {0}};
	if (!mq_cli_ask(cli, SD_AMQP_EXCHANGE_DELETE, args, SD_AMQP_EXCHANGE_DELETE_OK))
		return 1;
	fprintf(cli->call->out, "Deleted exchange '%s'\n", cli->call->args[0]);
	return 0;
}

static int delete_it(struct mq_cli *cli, struct sd_slice unused)
{
	const struct sd_conf *conf = cli->call->conf;
	struct sd_amqp_arg args[] = {{0}, {.s = sd_slice_of(cli->call->args[0])}, {.n = sd_conf_bool(conf, "if-unused")},
				     {.n = sd_conf_bool(conf, "if-empty")}, {0}};
	(void)unused;
	if (sd_conf_bool(conf, "exchange"))
		return delete_exchange(cli);
	const struct sd_amqp_arg *a = mq_cli_ask(cli, SD_AMQP_QUEUE_DELETE, args, SD_AMQP_QUEUE_DELETE_OK);
	if (!a)
		return 1;
	fprintf(cli->call->out, "Deleted queue '%s' (messages: %" PRIu64 ")\n", cli->call->args[0], a[0].n);
	return 0;
}

int mq_run_delete(struct sd_verb_call *call)
{
	return with_table(call, NULL, delete_it);
}
