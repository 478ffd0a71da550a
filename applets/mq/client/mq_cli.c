/* mq_cli.c - a client: which broker is meant, and what all verbs need. */
#include "mq_cli.h"

#include <stdarg.h>
#include <stdlib.h>

#include "core/units.h"

int mq_cli_fail(const struct mq_cli *cli, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	fflush(cli->call->out);
	fputs("sdlab mq: ", cli->call->err);
	vfprintf(cli->call->err, format, args);
	fputc('\n', cli->call->err);
	va_end(args);
	return 1;
}

int mq_cli_usage(const struct mq_cli *cli, const char *text)
{
	return mq_cli_fail(cli, "%s", text) + 1;
}

/* ---- which broker ---- */

/* --server, else SDLAB_MQ_URL; NULL: neither. */
static const char *url_of(const struct sd_verb_call *call, const char **whose)
{
	const char *given = sd_conf_string(call->conf, "server");
	*whose = given ? "--server" : "SDLAB_MQ_URL";
	for (const char *const *v = given ? NULL : call->environ; v && *v; v++)
		if (strncmp(*v, "SDLAB_MQ_URL=", 13) == 0 && (*v)[13])
			return *v + 13;
	return given;
}

/* The host and port of the URL, each where there is one. */
static enum sd_err split_host(const struct sd_amqp_url *url, const char *whose, char host[256], int64_t *port, struct sd_error *e)
{
	const char *colon = url->has_port ? memrchr(url->host.p, ':', url->host.n) : NULL;
	size_t n = colon ? (size_t)(colon - url->host.p) : url->host.n;
	char digits[8];
	if (n)
		snprintf(host, 256, "%.*s", (int)n, url->host.p);
	snprintf(digits, sizeof(digits), "%.*s", colon ? (int)(url->host.n - n - 1) : 0, colon ? colon + 1 : "");
	if (colon && (sd_parse_int(digits, port) || *port < 1 || *port > 65535))
		return sd_fail(e, SD_EUSAGE, "%s: expected a port from 1 to 65535, found \"%s\"", whose, digits);
	return SD_OK;
}

static enum sd_err set_address(struct mq_cli *cli, const char *host, int64_t port, struct sd_error *e)
{
	char text[320];
	const char *bare = *host == '[' ? host + 1 : host;
	bool path = strncmp(host, "unix:", 5) == 0, six = *host != '[' && strchr(host, ':');
	snprintf(cli->host, sizeof(cli->host), "%.*s", (int)strcspn(bare, "]"), bare);
	if (path)
		snprintf(text, sizeof(text), "%.300s", host);
	else
		snprintf(text, sizeof(text), six ? "[%.250s]:%d" : "%.250s:%d", host, (int)port);
	enum sd_err err = sd_addr_parse(text, "127.0.0.1", &cli->target.addr, e);
	if (!err)
		sd_addr_format(&cli->target.addr, cli->shown);
	return err;
}

/* What stands on the command line, else what the URL says, else the usual. */
static void choose(const struct sd_conf *conf, const char *option, const char *from_url, const char *usual, char *out, size_t room)
{
	const char *given = sd_conf_has(conf, option) ? sd_conf_string(conf, option) : from_url;
	snprintf(out, room, "%s", *given ? given : usual);
}

/* The URL, and what stands beside it on the command line, which counts more. */
static enum sd_err find(struct mq_cli *cli, struct sd_error *e)
{
	const struct sd_conf *conf = cli->call->conf;
	struct sd_amqp_url url = {0};
	char host[256] = "127.0.0.1";
	const char *whose, *text = url_of(cli->call, &whose);
	int64_t port = 0;
	enum sd_err err = text ? sd_amqp_url_parse(text, &url, e) : SD_OK;
	if (err)
		return sd_wrap(e, "%s", whose);
	bool secure = url.secure || sd_conf_bool(conf, "tls");
	port = secure ? SD_AMQP_TLS_PORT : SD_AMQP_PORT;
	err = split_host(&url, whose, host, &port, e);
	if (sd_conf_has(conf, "host"))
		snprintf(host, sizeof(host), "%.250s", sd_conf_string(conf, "host"));
	if (sd_conf_has(conf, "port"))
		port = sd_conf_int(conf, "port");
	choose(conf, "user", url.user, "guest", cli->user, sizeof(cli->user));
	choose(conf, "vhost", url.vhost, "/", cli->vhost, sizeof(cli->vhost));
	snprintf(cli->password, sizeof(cli->password), "%s", url.has_login ? url.password : "guest");
	explicit_bzero(url.password, sizeof(url.password));
	cli->target.tls_name = secure ? cli->host : NULL;
	return err ? err : set_address(cli, host, port, e);
}

static enum sd_err make_tls(struct mq_cli *cli, struct sd_error *e)
{
	const struct sd_conf *conf = cli->call->conf;
	struct sd_tls_client_conf c = {
	    .ca = sd_conf_string(conf, "ca"),
	    .cert = sd_conf_string(conf, "cert"),
	    .key = sd_conf_string(conf, "key"),
	    .insecure = sd_conf_bool(conf, "insecure"),
	};
	cli->tls = sd_tls_client_new(cli->call->world, &c, e);
	cli->target.tls = cli->tls;
	return cli->tls ? SD_OK : e->code;
}

static int reach(struct mq_cli *cli)
{
	struct sd_error e = {0};
	if (sd_amqp_client_open(cli->call->world, &cli->target, &cli->conn, &e) == SD_OK)
		return 0;
	return mq_cli_fail(cli, "no broker at %s: %.400s%s", cli->shown, e.text,
			   e.code == SD_EREFUSED ? " (--port, --server URL or SDLAB_MQ_URL says where it is)" : "");
}

int mq_cli_begin(struct mq_cli *cli, struct sd_verb_call *call, unsigned heartbeat_s)
{
	struct sd_error e = {0};
	const char *file = sd_conf_string(call->conf, "password-file");
	size_t n;
	*cli = (struct mq_cli){.call = call};
	cli->target.timeout_ns = sd_conf_int(call->conf, "timeout");
	enum sd_err err = cli->target.timeout_ns > 0 ? find(cli, &e) : sd_fail(&e, SD_EUSAGE, "--timeout: expected more than 0");
	if (err)
		return mq_cli_usage(cli, e.text);
	if (file && sd_secret_read(call->world, file, 1, cli->password, &n, &e))
		return mq_cli_fail(cli, "%s", e.text);
	cli->target.user = cli->user;
	cli->target.password = cli->password;
	cli->target.vhost = cli->vhost;
	cli->target.name = "sdlab mq";
	cli->target.heartbeat_s = heartbeat_s;
	if (cli->target.tls_name && make_tls(cli, &e))
		return mq_cli_fail(cli, "%s", e.text);
	return reach(cli);
}

void mq_cli_end(struct mq_cli *cli)
{
	fflush(cli->call->out);
	sd_amqp_client_close(cli->conn);
	if (cli->tls)
		sd_tls_client_release(cli->tls);
	explicit_bzero(cli->password, sizeof(cli->password));
}

/* ---- what all verbs need ---- */

const struct sd_amqp_arg *mq_cli_ask(struct mq_cli *cli, uint32_t id, const struct sd_amqp_arg *args, uint32_t want)
{
	struct sd_error e = {0};
	const struct sd_amqp_arg *answer;
	if (sd_amqp_client_ask(cli->conn, id, args, want, &answer, &e) == SD_OK)
		return answer;
	mq_cli_fail(cli, "%s", e.text);
	return NULL;
}

enum sd_err mq_cli_look(struct mq_cli *cli, const char *queue, uint64_t *messages, uint64_t *consumers, struct sd_error *e)
{
	struct sd_amqp_arg passive[] = {{0}, {.s = sd_slice_of(queue)}, {.n = 1}, {0}, {0}, {0}, {0}, {0}};
	const struct sd_amqp_arg *a;
	enum sd_err err = sd_amqp_client_ask(cli->conn, SD_AMQP_QUEUE_DECLARE, passive, SD_AMQP_QUEUE_DECLARE_OK, &a, e);
	if (!err && messages)
		*messages = a[1].n;
	if (!err && consumers)
		*consumers = a[2].n;
	return err;
}

int mq_cli_need_queue(struct mq_cli *cli, const char *queue)
{
	struct sd_amqp_arg durable[] = {{0}, {.s = sd_slice_of(queue)}, {0}, {.n = 1}, {0}, {0}, {0}, {0}};
	struct sd_error e = {0};
	enum sd_err err = mq_cli_look(cli, queue, NULL, NULL, &e);
	if (err && err != SD_ENOTFOUND)
		return mq_cli_fail(cli, "%s", e.text);
	return err && !mq_cli_ask(cli, SD_AMQP_QUEUE_DECLARE, durable, SD_AMQP_QUEUE_DECLARE_OK);
}

int mq_cli_confirm_mode(struct mq_cli *cli)
{
	return !mq_cli_ask(cli, SD_AMQP_CONFIRM_SELECT, (const struct sd_amqp_arg[]){{0}}, SD_AMQP_CONFIRM_SELECT_OK);
}

enum sd_err mq_cli_publish_one(struct mq_cli *cli, struct sd_slice exchange, struct sd_slice key, struct sd_slice raw,
			       struct sd_slice body, struct sd_error *e)
{
	const struct sd_amqp_event *m;
	struct sd_error returned = {0};
	sd_amqp_client_publish(cli->conn, exchange, key, true, raw, body);
	for (;;) {
		enum sd_err err = sd_amqp_client_next(cli->conn, cli->target.timeout_ns, &m, e);
		if (err)
			return err;
		if (m->kind == SD_AMQP_RETURNED)
			sd_fail(&returned, SD_ENOTFOUND, "it went nowhere: %.*s", (int)m->text.n, m->text.p);
		if (m->kind == SD_AMQP_BLOCKED)
			mq_cli_fail(cli, "the broker takes nothing for now: %.*s", (int)m->text.n, m->text.p);
		if (m->kind == SD_AMQP_CONFIRMED)
			break;
	}
	if (m->refused)
		return sd_fail(e, SD_EPERM, "the broker refused it");
	return returned.code ? sd_fail(e, returned.code, "%s", returned.text) : SD_OK;
}

void mq_cli_answer(struct mq_cli *cli, uint64_t tag, bool multiple, enum mq_answer how)
{
	struct sd_amqp_arg args[] = {{.n = tag}, {.n = multiple}, {.n = how == MQ_ANSWER_REQUEUE}};
	sd_amqp_client_send(cli->conn, how == MQ_ANSWER_ACK ? SD_AMQP_BASIC_ACK : SD_AMQP_BASIC_NACK, args);
}

/* An acknowledgement has no answer; what is asked behind it on the channel has one. A global prefetch of 0 is what there is. */
enum sd_err mq_cli_settled(struct mq_cli *cli, struct sd_error *e)
{
	struct sd_amqp_arg same[] = {{0}, {0}, {.n = 1}};
	return sd_amqp_client_ask(cli->conn, SD_AMQP_BASIC_QOS, same, SD_AMQP_BASIC_QOS_OK, NULL, e);
}

bool mq_cli_put_pair(struct sd_text *table, const char *pair)
{
	const char *eq = strchr(pair, '=');
	char name[SD_AMQP_SHORT_MAX + 1];
	int64_t n;
	if (!eq || eq == pair || eq - pair > SD_AMQP_SHORT_MAX)
		return false;
	snprintf(name, sizeof(name), "%.*s", (int)(eq - pair), pair);
	if (sd_parse_int(eq + 1, &n) == SD_OK)
		sd_amqp_put_int(table, name, n);
	else if (strcmp(eq + 1, "true") == 0 || strcmp(eq + 1, "false") == 0)
		sd_amqp_put_bool(table, name, eq[1] == 't');
	else
		sd_amqp_put_string(table, name, sd_slice_of(eq + 1));
	return true;
}

int mq_cli_put_pairs(const struct mq_cli *cli, const char *option, struct sd_text *table)
{
	for (size_t i = 0; i < sd_conf_count(cli->call->conf, option); i++) {
		const char *pair = sd_conf_list_item(cli->call->conf, option, i);
		if (!mq_cli_put_pair(table, pair))
			return mq_cli_fail(cli, "--%s: expected NAME=VALUE, found \"%s\"", option, pair) + 1;
	}
	return table->full ? mq_cli_fail(cli, "out of memory") : 0;
}

void mq_cli_make_id(struct sd_world *w, char id[MQ_ID + 1])
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz0123456789";
	uint64_t chance;
	sd_world_random(w, &chance, sizeof(chance));
	for (size_t i = 0; i < MQ_ID; i++, chance /= 36)
		id[i] = letters[chance % 36];
	id[MQ_ID] = '\0';
}

struct sd_slice mq_cli_name_of(const struct sd_amqp_event *m, char room[24])
{
	if (m->properties.message_id.n)
		return m->properties.message_id;
	snprintf(room, 24, "%llu", (unsigned long long)m->tag);
	return sd_slice_of(room);
}
