/* mq_groups.c - streams: what consumers and declarations say of them, and how far their groups are. */
#include <cjson/cJSON.h>
#include <stdlib.h>

#include "core/units.h"
#include "mq_cli.h"

/* ---- as arguments ---- */

static void put_text(const struct sd_conf *conf, const char *option, struct sd_text *table, const char *argument)
{
	if (sd_conf_has(conf, option))
		sd_amqp_put_string(table, argument, sd_slice_of(sd_conf_string(conf, option)));
}

static void put_number(const struct sd_conf *conf, const char *option, struct sd_text *table, const char *argument)
{
	if (sd_conf_has(conf, option))
		sd_amqp_put_int(table, argument, sd_conf_int(conf, option));
}

static int whole(const struct mq_cli *cli, const struct sd_text *table)
{
	return table->full ? mq_cli_fail(cli, "out of memory") : 0;
}

int mq_cli_put_declaration(const struct mq_cli *cli, struct sd_text *table)
{
	const struct sd_conf *conf = cli->call->conf;
	put_text(conf, "type", table, "x-queue-type");
	put_text(conf, "max-age", table, "x-max-age");
	put_text(conf, "partition-by", table, "x-stream-partition-by");
	put_number(conf, "partitions", table, "x-stream-partitions");
	put_number(conf, "max-bytes", table, "x-max-length-bytes");
	return whole(cli, table);
}

int mq_cli_put_reading(const struct mq_cli *cli, struct sd_text *table)
{
	const struct sd_conf *conf = cli->call->conf;
	int64_t n;
	put_text(conf, "group", table, "x-stream-group");
	if (sd_conf_has(conf, "offset") && sd_parse_int(sd_conf_string(conf, "offset"), &n) == SD_OK)
		sd_amqp_put_int(table, "x-stream-offset", n);
	else
		put_text(conf, "offset", table, "x-stream-offset");
	return whole(cli, table);
}

/* ---- how far they are ---- */

static double number_of(const cJSON *o, const char *member)
{
	const cJSON *n = cJSON_GetObjectItemCaseSensitive(o, member);
	return cJSON_IsNumber(n) ? n->valuedouble : 0;
}

static const char *text_of(const cJSON *o, const char *member)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, member));
	return text ? text : "-";
}

static void show(FILE *out, const cJSON *groups)
{
	fprintf(out, "%-20s %9s %12s %12s %12s %12s  %s\n", "GROUP", "PARTITION", "OFFSET", "END", "LAG", "UNACKED", "CONSUMER");
	for (const cJSON *g = groups->child; g; g = g->next) {
		const cJSON *shares = cJSON_GetObjectItemCaseSensitive(g, "partitions");
		for (const cJSON *s = shares ? shares->child : NULL; s; s = s->next)
			fprintf(out, "%-20s %9.0f %12.0f %12.0f %12.0f %12.0f  %s\n", text_of(g, "name"), number_of(s, "partition"),
				number_of(s, "offset"), number_of(s, "end"), number_of(s, "lag"), number_of(s, "unacknowledged"),
				text_of(s, "consumer_tag"));
	}
}

static int list(struct mq_cli *cli, const char *path)
{
	char *body = mq_cli_fetch(cli, "GET", path, "", 200);
	cJSON *groups = body ? cJSON_Parse(body) : NULL;
	int status = 1;
	if (body && !cJSON_IsArray(groups)) {
		mq_cli_fail(cli, "the management API answered no list of groups");
	} else if (body) {
		status = 0;
		if (sd_conf_bool(cli->call->conf, "json"))
			fprintf(cli->call->out, "%s\n", body);
		else
			show(cli->call->out, groups);
	}
	cJSON_Delete(groups);
	free(body);
	return status;
}

/* ---- changing ---- */

static int done(struct mq_cli *cli, char *body, const char *said)
{
	if (!body)
		return 1;
	free(body);
	fprintf(cli->call->out, "%s group '%s' of '%s'\n", said, cli->call->args[2], cli->call->args[1]);
	return 0;
}

static int reset(struct mq_cli *cli, const char *path)
{
	struct sd_text t = {0};
	int64_t n;
	const char *offset = cli->call->args[3];
	sd_text_format(&t, "{\"offset\":");
	if (sd_parse_int(offset, &n) == SD_OK)
		sd_text_format(&t, "%lld", (long long)n);
	else
		mq_show_string(&t, sd_slice_of(offset));
	sd_text_format(&t, "}");
	int status = t.full ? mq_cli_fail(cli, "out of memory") : done(cli, mq_cli_fetch(cli, "PUT", path, t.p, 204), "Reset");
	free(t.p);
	return status;
}

static int forget(struct mq_cli *cli, const char *path)
{
	return done(cli, mq_cli_fetch(cli, "DELETE", path, "", 204), "Deleted");
}

static const struct action {
	const char *name;
	int nargs;
	const char *expected;
	int (*fn)(struct mq_cli *cli, const char *path);
} actions[] = {
    {"list", 2, "groups list STREAM", list},
    {"reset", 4, "groups reset STREAM GROUP OFFSET", reset},
    {"delete", 3, "groups delete STREAM GROUP", forget},
};

static int run(struct mq_cli *cli, const struct action *a)
{
	struct sd_text path = {0};
	sd_text_format(&path, "/api/queues/");
	mq_cli_put_escaped(&path, cli->vhost);
	sd_text_format(&path, "/");
	mq_cli_put_escaped(&path, cli->call->args[1]);
	sd_text_format(&path, "/groups");
	if (a->nargs > 2) {
		sd_text_format(&path, "/");
		mq_cli_put_escaped(&path, cli->call->args[2]);
	}
	int status = path.full ? mq_cli_fail(cli, "out of memory") : a->fn(cli, path.p);
	free(path.p);
	return status;
}

int mq_run_groups(struct sd_verb_call *call)
{
	struct mq_cli cli = {.call = call};
	const struct action *a = actions, *end = actions + sizeof(actions) / sizeof(actions[0]);
	while (a < end && strcmp(a->name, call->args[0]) != 0)
		a++;
	if (a == end)
		return mq_cli_fail(&cli, "groups: expected list, reset or delete, found \"%s\"", call->args[0]) + 1;
	if (call->nargs != a->nargs)
		return mq_cli_fail(&cli, "groups: expected %s", a->expected) + 1;
	int status = mq_cli_begin(&cli, call, 0);
	if (!status)
		status = run(&cli, a);
	mq_cli_end(&cli);
	return status;
}
