/* mq_list.c - queues: by name over AMQP; all there are over the management API, as AMQP has no word for that. */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdlib.h>

#include "core/base64.h"
#include "mq_cli.h"
#include "net/http_fetch.h"

/* ---- by name ---- */

static void head(FILE *out, int width)
{
	fprintf(out, "%-*s %12s %12s %12s\n", width, "QUEUE", "READY", "UNACKED", "CONSUMERS");
}

static int width_of(int width, const char *name)
{
	int n = (int)strlen(name);
	return n > width ? n : width;
}

static int list_named(struct mq_cli *cli)
{
	const struct sd_verb_call *call = cli->call;
	int width = 20, status = 0;
	for (int i = 0; i < call->nargs; i++)
		width = width_of(width, call->args[i]);
	head(call->out, width);
	for (int i = 0; i < call->nargs; i++) {
		uint64_t messages, consumers;
		struct sd_error e = {0};
		if (mq_cli_look(cli, call->args[i], &messages, &consumers, &e))
			status = mq_cli_fail(cli, "%s", e.text);
		else /* how many are unacknowledged nobody says here */
			fprintf(call->out, "%-*s %12" PRIu64 " %12s %12" PRIu64 "\n", width, call->args[i], messages, "-", consumers);
	}
	return status;
}

/* ---- all ---- */

static void put_authorization(const struct mq_cli *cli, char *out, size_t room)
{
	char login[SD_AMQP_SECRET + SD_SECRET_MAX + 2], coded[(sizeof(login) + 2) / 3 * 4 + 1];
	snprintf(login, sizeof(login), "%s:%s", cli->user, cli->password);
	sd_base64(coded, (const uint8_t *)login, strlen(login));
	snprintf(out, room, "Authorization: Basic %s\r\n", coded);
	explicit_bzero(login, sizeof(login));
	explicit_bzero(coded, sizeof(coded));
}

/* A name as a part of a path. */
void mq_cli_put_escaped(struct sd_text *t, const char *name)
{
	for (; *name; name++)
		if (strchr("-._~", *name) || (*name >= '0' && *name <= '9') || ((*name | 32) >= 'a' && (*name | 32) <= 'z'))
			sd_text_add(t, name, 1);
		else
			sd_text_format(t, "%%%02X", (unsigned char)*name);
}

/* What the API says of it, in its words; else the number. */
static void refused(struct mq_cli *cli, const char *where, int status, const char *body)
{
	cJSON *o = cJSON_Parse(body);
	const char *reason = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, "reason"));
	if (reason)
		mq_cli_fail(cli, "%s", reason);
	else
		mq_cli_fail(cli, "the management API at %s answered %d", where, status);
	cJSON_Delete(o);
}

char *mq_cli_fetch(struct mq_cli *cli, const char *method, const char *path, const char *sent, int due)
{
	struct sd_addr addr = cli->target.addr;
	struct sd_error e = {0};
	char where[SD_ADDR_TEXT], fields[7000], *body = NULL;
	int status = 0;
	size_t n;
	addr.port = (uint16_t)sd_conf_int(cli->call->conf, "http-port");
	enum sd_err err = addr.kind == SD_ADDR_NAME ? sd_resolve_wait(cli->call->world, &addr, &e) : SD_OK;
	sd_addr_format(&addr, where);
	put_authorization(cli, fields, sizeof(fields));
	if (!err)
		err = sd_http_fetch_fields(cli->call->world, where, method, path, fields, sd_slice_of(sent), cli->target.timeout_ns, &status,
					   &body, &n, &e);
	explicit_bzero(fields, sizeof(fields));
	if (err)
		mq_cli_fail(cli, "no management API at %s: %s (--http-port says where it is; queues given by name need none)", where, e.text);
	else if (status != due)
		refused(cli, where, status, body);
	else
		return body;
	free(body);
	return NULL;
}

static double number_of(const cJSON *queue, const char *member)
{
	const cJSON *n = cJSON_GetObjectItemCaseSensitive(queue, member);
	return cJSON_IsNumber(n) ? n->valuedouble : 0;
}

static const char *name_of(const cJSON *queue)
{
	const char *name = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(queue, "name"));
	return name ? name : "";
}

static int show_all(struct mq_cli *cli, const cJSON *queues)
{
	const cJSON *q;
	int width = 20;
	if (!cJSON_IsArray(queues))
		return mq_cli_fail(cli, "the management API answered no list of queues");
	for (q = queues->child; q; q = q->next)
		width = width_of(width, name_of(q));
	head(cli->call->out, width);
	for (q = queues->child; q; q = q->next)
		fprintf(cli->call->out, "%-*s %12.0f %12.0f %12.0f\n", width, name_of(q), number_of(q, "messages_ready"),
			number_of(q, "messages_unacknowledged"), number_of(q, "consumers"));
	return 0;
}

static int list_all(struct mq_cli *cli)
{
	struct sd_text path = {0};
	sd_text_format(&path, "/api/queues/");
	mq_cli_put_escaped(&path, cli->vhost);
	char *body = path.full ? NULL : mq_cli_fetch(cli, "GET", path.p, "", 200);
	cJSON *queues = body ? cJSON_Parse(body) : NULL;
	int status = body ? show_all(cli, queues) : 1;
	cJSON_Delete(queues);
	free(body);
	free(path.p);
	return status;
}

int mq_run_list(struct sd_verb_call *call)
{
	struct mq_cli cli;
	int status = mq_cli_begin(&cli, call, 0);
	if (!status)
		status = call->nargs ? list_named(&cli) : list_all(&cli);
	mq_cli_end(&cli);
	return status;
}
