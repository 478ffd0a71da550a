/* resp_cli.c - a client: which server is meant, and commands as they are typed. */
#include "resp_cli.h"

#include <inttypes.h>
#include <stdlib.h>

#include "core/units.h"

int sd_resp_cli_fail(const struct sd_resp_cli *cli, const char *text)
{
	fflush(cli->call->out);
	fprintf(cli->call->err, "sdlab %s: %s\n", cli->kind->applet, text);
	return 1;
}

/* ---- which server ---- */

/* --server, else the variable; NULL: neither. */
static const char *url_of(const struct sd_resp_cli *cli, const char **whose)
{
	const char *given = sd_conf_string(cli->call->conf, "server"), *name = cli->kind->variable;
	size_t n = strlen(name);
	*whose = given ? "--server" : name;
	for (const char *const *v = given ? NULL : cli->call->environ; v && *v; v++)
		if (strncmp(*v, name, n) == 0 && (*v)[n] == '=' && (*v)[n + 1])
			return *v + n + 1;
	return given;
}

static enum sd_err set_address(struct sd_resp_cli *cli, const char *host, uint16_t port, struct sd_error *e)
{
	char text[320];
	const char *bare = *host == '[' ? host + 1 : host;
	bool six = *host != '[' && strchr(host, ':') && strncmp(host, "unix:", 5) != 0;
	snprintf(cli->host, sizeof(cli->host), "%.*s", (int)strcspn(bare, "]"), bare);
	if (strncmp(host, "unix:", 5) == 0)
		snprintf(text, sizeof(text), "%.300s", host);
	else
		snprintf(text, sizeof(text), six ? "[%.250s]:%u" : "%.250s:%u", host, port);
	enum sd_err err = sd_addr_parse(text, "127.0.0.1", &cli->target.addr, e);
	if (!err)
		sd_addr_format(&cli->target.addr, cli->shown);
	return err;
}

/* The URL, and what stands beside it on the command line, which counts more. */
static enum sd_err find(struct sd_resp_cli *cli, struct sd_error *e)
{
	const struct sd_conf *conf = cli->call->conf;
	struct sd_resp_url url = {0};
	char host[256] = "127.0.0.1";
	const char *whose, *text = url_of(cli, &whose), *colon;
	int64_t port = cli->kind->port;
	enum sd_err err = text ? sd_resp_url_parse(text, &url, e) : SD_OK;
	if (err)
		return sd_wrap(e, "%s", whose);
	if (url.host.n) {
		colon = url.has_port ? memrchr(url.host.p, ':', url.host.n) : NULL;
		size_t n = colon ? (size_t)(colon - url.host.p) : url.host.n;
		char digits[8];
		snprintf(host, sizeof(host), "%.*s", (int)n, url.host.p);
		snprintf(digits, sizeof(digits), "%.*s", colon ? (int)(url.host.n - n - 1) : 0, colon ? colon + 1 : "");
		if (colon && (sd_parse_int(digits, &port) || port < 1 || port > 65535))
			return sd_fail(e, SD_EUSAGE, "%s: expected a port from 1 to 65535, found \"%s\"", whose, digits);
	}
	if (sd_conf_has(conf, "host"))
		snprintf(host, sizeof(host), "%.250s", sd_conf_string(conf, "host"));
	if (sd_conf_has(conf, "port"))
		port = sd_conf_int(conf, "port");
	snprintf(cli->user, sizeof(cli->user), "%s", sd_conf_has(conf, "user") ? sd_conf_string(conf, "user") : url.user);
	snprintf(cli->password, sizeof(cli->password), "%s", url.password);
	explicit_bzero(url.password, sizeof(url.password));
	cli->target.db = sd_conf_has(conf, "db") ? sd_conf_int(conf, "db") : url.db;
	cli->target.tls_name = url.secure || sd_conf_bool(conf, "tls") ? cli->host : NULL;
	return set_address(cli, host, (uint16_t)port, e);
}

static enum sd_err make_tls(struct sd_resp_cli *cli, struct sd_error *e)
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

int sd_resp_cli_connect(struct sd_resp_cli *cli)
{
	struct sd_error e = {0};
	char line[760];
	if (sd_resp_client_open(cli->call->world, &cli->target, &cli->conn, &e) == SD_OK)
		return 0;
	int n = snprintf(line, sizeof(line), "no %s at %.150s: %.400s", cli->kind->what, cli->shown, e.text);
	if (e.code == SD_EREFUSED && n > 0)
		snprintf(line + n, sizeof(line) - (size_t)n, " (--port, --server URL or %s says where it is)", cli->kind->variable);
	return sd_resp_cli_fail(cli, line);
}

int sd_resp_cli_begin(struct sd_resp_cli *cli, const struct sd_resp_cli_kind *kind, struct sd_verb_call *call)
{
	struct sd_error e = {0};
	const char *file = sd_conf_string(call->conf, "password-file");
	size_t n;
	*cli = (struct sd_resp_cli){.kind = kind, .call = call};
	cli->screen = sd_world_is_terminal(call->world, 1);
	cli->target.timeout_ns = sd_conf_int(call->conf, "timeout");
	enum sd_err err = cli->target.timeout_ns > 0 ? find(cli, &e) : sd_fail(&e, SD_EUSAGE, "--timeout: expected more than 0");
	if (err)
		return sd_resp_cli_fail(cli, e.text) + 1;
	if (file && sd_secret_read(call->world, file, 1, cli->password, &n, &e))
		return sd_resp_cli_fail(cli, e.text);
	cli->target.user = cli->user;
	cli->target.password = cli->password;
	if (cli->target.tls_name && make_tls(cli, &e))
		return sd_resp_cli_fail(cli, e.text);
	return sd_resp_cli_connect(cli);
}

void sd_resp_cli_end(struct sd_resp_cli *cli)
{
	sd_resp_client_close(cli->conn);
	if (cli->tls)
		sd_tls_client_release(cli->tls);
	explicit_bzero(cli->password, sizeof(cli->password));
}

const struct sd_resp_value *sd_resp_cli_ask(struct sd_resp_cli *cli, const char *const *words, size_t n)
{
	struct sd_error e = {0};
	const struct sd_resp_value *v;
	if (sd_resp_client_say(cli->conn, words, n, &v, &e)) {
		sd_resp_cli_fail(cli, e.text);
		return NULL;
	}
	if (!sd_resp_is_error(v->kind))
		return v;
	sd_resp_cli_fail(cli, v->text.p);
	return NULL;
}

/* ---- commands ---- */

/* Some are answered by messages without end. */
static bool goes_on(struct sd_slice command)
{
	static const char *const words[] = {"subscribe", "psubscribe", "ssubscribe", "monitor"};
	for (size_t i = 0; i < sizeof(words) / sizeof(words[0]); i++)
		if (sd_slice_ieq(command, words[i]))
			return true;
	return false;
}

void sd_resp_cli_answer(struct sd_resp_cli *cli, const struct sd_resp_value *v, int *status)
{
	if (sd_resp_is_error(v->kind))
		*status = sd_resp_cli_fail(cli, v->text.p);
	else
		sd_resp_show(cli->call->out, v, cli->screen);
}

/* Sends one and shows its answer. SD_OK with *status 1: the answer was an error. */
static enum sd_err run_command(struct sd_resp_cli *cli, size_t argc, const struct sd_slice *argv, int *status, struct sd_error *e)
{
	const struct sd_resp_value *v;
	bool done = false;
	enum sd_err err = cli->kind->special ? cli->kind->special(cli, argc, argv, &done, status, e) : SD_OK;
	if (err || done)
		return err;
	err = sd_resp_client_ask(cli->conn, argc, argv, &v, e);
	while (!err) {
		sd_resp_cli_answer(cli, v, status);
		if (sd_resp_is_error(v->kind) || !goes_on(argv[0]))
			break;
		fflush(cli->call->out);
		err = sd_resp_client_next(cli->conn, SD_NEVER, &v, e);
	}
	return err;
}

bool sd_resp_cli_ttl(struct sd_resp_cli *cli, struct sd_slice *argv, size_t *argc)
{
	const char *text = sd_conf_string(cli->call->conf, "ttl");
	int64_t n = 0, ns = 0;
	bool seconds = text && sd_parse_int(text, &n) == SD_OK;
	if (!text)
		return true;
	if (!sd_slice_ieq(argv[0], "set") || *argc < 3) {
		sd_resp_cli_fail(cli, "--ttl: only with SET KEY VALUE");
		return false;
	}
	if (!seconds && sd_parse_duration(text, &ns) == SD_OK)
		n = ns / 1000000;
	if (n <= 0) {
		sd_resp_cli_fail(cli, "--ttl: expected seconds such as 3600, or a duration such as 90s");
		return false;
	}
	snprintf(cli->spare, sizeof(cli->spare), "%" PRId64, n);
	argv[(*argc)++] = sd_slice_of(seconds ? "EX" : "PX");
	argv[(*argc)++] = sd_slice_of(cli->spare);
	return true;
}

static int run_words(struct sd_resp_cli *cli)
{
	const struct sd_verb_call *call = cli->call;
	struct sd_slice *argv = calloc((size_t)call->nargs + SD_RESP_CLI_MORE, sizeof(*argv));
	size_t argc = 0;
	struct sd_error e = {0};
	int status = 0;
	if (!argv)
		return sd_resp_cli_fail(cli, "out of memory");
	for (; argc < (size_t)call->nargs; argc++)
		argv[argc] = sd_slice_of(call->args[argc]);
	if (cli->kind->more && !cli->kind->more(cli, argv, &argc))
		status = 2;
	else if (run_command(cli, argc, argv, &status, &e))
		status = sd_resp_cli_fail(cli, e.text);
	free(argv);
	return status;
}

/* ---- commands from standard input ---- */

struct typed {
	struct sd_resp_cli *cli;
	struct sd_resp_reader words;
	char *p; /* what was read and not run yet */
	size_t n, room;
	bool ended;
	int status;
};

static void prompt(const struct typed *t)
{
	if (!t->cli->prompts)
		return;
	fprintf(t->cli->call->out, "%s> ", t->cli->shown);
	fflush(t->cli->call->out);
}

/* False: the connection is gone, and it is not made again. */
static bool run_line(struct typed *t)
{
	struct sd_error e = {0};
	const struct sd_resp_reader *r = &t->words;
	if (r->argc == 0)
		return true;
	if (sd_slice_ieq(r->argv[0], "exit") || sd_slice_ieq(r->argv[0], "quit")) {
		t->ended = true;
		return true;
	}
	if (!t->cli->conn && sd_resp_cli_connect(t->cli))
		return t->cli->prompts;
	int status = 0;
	if (run_command(t->cli, r->argc, r->argv, &status, &e)) {
		status = sd_resp_cli_fail(t->cli, e.text);
		sd_resp_client_close(t->cli->conn);
		t->cli->conn = NULL;
		if (!t->cli->prompts)
			t->ended = true;
	}
	t->status = status ? status : t->status;
	return true;
}

/* Runs the lines that are whole. */
static bool run_lines(struct typed *t)
{
	static const struct sd_resp_limits limits = {SD_RESP_MAX_ARGS, SD_RESP_MAX_BULK, false};
	size_t at = 0;
	const char *lf;
	bool good = true;
	while (good && !t->ended && (lf = memchr(t->p + at, '\n', t->n - at))) {
		size_t n = (size_t)(lf - t->p) + 1 - at;
		/* a first byte of '*' would begin a request of another form */
		ssize_t took = t->p[at] == '*' ? SD_RESP_BAD : sd_resp_read(&t->words, t->p + at, n, &limits);
		if (took > 0)
			good = run_line(t);
		else
			t->status = sd_resp_cli_fail(t->cli, t->p[at] == '*' ? "expected a command" : t->words.error);
		sd_resp_reader_reset(&t->words);
		at += n;
		if (good && !t->ended)
			prompt(t);
	}
	memmove(t->p, t->p + at, t->n - at);
	t->n -= at;
	return good && !t->ended;
}

static bool read_more(struct typed *t, struct sd_error *e)
{
	size_t got = 0;
	if (t->room - t->n < 4096) {
		char *p = realloc(t->p, t->room * 2 + 8192);
		if (!p) {
			sd_fail(e, SD_ENOMEM, "out of memory");
			return false;
		}
		t->p = p;
		t->room = t->room * 2 + 8192;
	}
	if (sd_world_input(t->cli->call->world, t->p + t->n, t->room - t->n - 1, &got, e))
		return false;
	if (!got && t->n) /* the last line has no end */
		t->p[t->n++] = '\n';
	t->n += got;
	t->ended = !got && !t->n;
	return !t->ended;
}

static int run_input(struct sd_resp_cli *cli)
{
	struct sd_world *w = cli->call->world;
	struct sd_error e = {0};
	struct typed t = {.cli = cli};
	cli->prompts = cli->screen && sd_world_is_terminal(w, 0);
	prompt(&t);
	while (read_more(&t, &e) && run_lines(&t))
		continue;
	if (e.code)
		t.status = sd_resp_cli_fail(cli, e.text);
	if (cli->prompts && !t.ended)
		fputc('\n', cli->call->out);
	sd_resp_reader_free(&t.words);
	free(t.p);
	return t.status;
}

int sd_resp_cli_run(const struct sd_resp_cli_kind *kind, struct sd_verb_call *call)
{
	struct sd_resp_cli cli;
	int status = sd_resp_cli_begin(&cli, kind, call);
	if (!status)
		status = call->nargs ? run_words(&cli) : run_input(&cli);
	sd_resp_cli_end(&cli);
	return status;
}
