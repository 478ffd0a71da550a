/* sh_cli.c - which server is meant, what is asked of it, and what it says when it refuses. */
#include "sh_cli.h"

#include <stdarg.h>
#include <stdlib.h>

#include "app/secret.h"
#include "core/http_url.h"
#include "net/http_fetch.h"

static void say(const struct sd_verb_call *call, const char *format, va_list args)
{
	fflush(call->out);
	fputs("sdlab shortener: ", call->err);
	vfprintf(call->err, format, args);
	fputc('\n', call->err);
}

int sh_cli_fail(const struct sd_verb_call *call, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	say(call, format, args);
	va_end(args);
	return 1;
}

int sh_cli_usage(const struct sd_verb_call *call, const char *format, ...)
{
	va_list args;
	va_start(args, format);
	say(call, format, args);
	va_end(args);
	return 2;
}

/* ---- which server ---- */

static const char *variable(const struct sd_verb_call *call, const char *name)
{
	size_t n = strlen(name);
	for (const char *const *v = call->environ; v && *v; v++)
		if (strncmp(*v, name, n) == 0 && (*v)[n] == '=' && (*v)[n + 1])
			return *v + n + 1;
	return NULL;
}

struct server {
	char addr[SD_ADDR_TEXT], host[300], path[512]; /* path: of the server's URL, without a '/' at its end */
	char key[SD_SECRET_MAX + 1];
};

static int read_key(struct sd_verb_call *call, struct server *s)
{
	const char *file = sd_conf_string(call->conf, "api-key-file"), *given = variable(call, "SDLAB_SHORTENER_KEY");
	struct sd_error e = {0};
	size_t n;
	if (file && sd_secret_read(call->world, file, 1, s->key, &n, &e))
		return sh_cli_fail(call, "%s", e.text);
	if (!file && given)
		snprintf(s->key, sizeof(s->key), "%s", given);
	return strpbrk(s->key, "\r\n") ? sh_cli_usage(call, "the API key has a line end in it") : 0;
}

static int find_server(struct sd_verb_call *call, struct server *s)
{
	const char *text = sd_conf_string(call->conf, "server");
	struct sd_http_url url;
	struct sd_addr addr;
	struct sd_error e = {0};
	text = text ? text : variable(call, "SDLAB_SHORTENER_URL");
	text = text ? text : "http://127.0.0.1:8080";
	if (!sd_http_url_parse(text, &url) || url.host.n >= sizeof(s->host) || url.path.n >= sizeof(s->path))
		return sh_cli_usage(call, "--server: expected a URL such as http://127.0.0.1:8080, found \"%s\"", text);
	if (url.secure)
		return sh_cli_usage(call, "--server: https is not spoken here; name the service itself, as http://HOST:PORT");
	snprintf(s->host, sizeof(s->host), "%.*s", (int)url.host.n, url.host.p);
	size_t n = url.path.n && url.path.p[url.path.n - 1] == '/' ? url.path.n - 1 : url.path.n;
	snprintf(s->path, sizeof(s->path), "%.*s", (int)n, url.path.p);
	enum sd_err err = sd_http_url_addr(&url, &addr, &e);
	if (!err && addr.kind == SD_ADDR_NAME)
		err = sd_resolve_wait(call->world, &addr, &e);
	sd_addr_format(&addr, s->addr);
	return err ? sh_cli_fail(call, "%s", e.text) : 0;
}

/* ---- asking ---- */

/* What the problem says, in its words; else the number. */
static int refused(const struct sd_verb_call *call, int status, const char *body)
{
	cJSON *o = cJSON_Parse(body);
	const char *title = sh_cli_text(o, "title", NULL), *detail = sh_cli_text(o, "detail", NULL);
	if (title)
		sh_cli_fail(call, "%s%s%s", title, detail ? ": " : "", detail ? detail : "");
	else
		sh_cli_fail(call, "the server answered %d", status);
	cJSON_Delete(o);
	return 1;
}

static char *ask(struct sd_verb_call *call, const struct server *s, const char *method, const char *path, const char *sent, int *exit_status)
{
	struct sd_text fields = {0}, whole = {0};
	struct sd_error e = {0};
	char *body = NULL;
	int status = 0;
	size_t n;
	sd_text_format(&fields, "Host: %s\r\nAccept: application/json\r\n", s->host);
	if (sent)
		sd_text_format(&fields, "Content-Type: application/json\r\n");
	if (s->key[0])
		sd_text_format(&fields, "X-Api-Key: %s\r\n", s->key);
	sd_text_format(&whole, "%s%s", s->path, path);
	enum sd_err err = fields.full || whole.full ? SD_ENOMEM :
						      sd_http_fetch_fields(call->world, s->addr, method, whole.p, fields.p,
									   sd_slice_of(sent), sd_conf_int(call->conf, "timeout"), &status,
									   &body, &n, &e);
	if (fields.p)
		explicit_bzero(fields.p, fields.n);
	free(fields.p);
	free(whole.p);
	*exit_status = 0;
	if (err)
		*exit_status = sh_cli_fail(call, "no shortener at %s: %s (--server or SDLAB_SHORTENER_URL says where it is)", s->addr,
					   e.text[0] ? e.text : sd_err_text(err));
	else if (status / 100 != 2)
		*exit_status = refused(call, status, body);
	if (!*exit_status)
		return body;
	free(body);
	return NULL;
}

char *sh_cli_ask(struct sd_verb_call *call, const char *method, const char *path, cJSON *sent, int *status)
{
	struct server s = {0};
	char *text = sent ? cJSON_PrintUnformatted(sent) : NULL, *body = NULL;
	bool lost = sent && !text;
	cJSON_Delete(sent);
	*status = lost ? sh_cli_fail(call, "out of memory") : find_server(call, &s);
	if (!*status)
		*status = read_key(call, &s);
	if (!*status)
		body = ask(call, &s, method, path, text, status);
	explicit_bzero(s.key, sizeof(s.key));
	free(text);
	return body;
}

cJSON *sh_cli_ask_json(struct sd_verb_call *call, const char *method, const char *path, cJSON *sent, int *status)
{
	char *body = sh_cli_ask(call, method, path, sent, status);
	cJSON *o = body ? cJSON_Parse(body) : NULL;
	if (body && !o)
		*status = sh_cli_fail(call, "the server answered no JSON");
	free(body);
	return o;
}

/* ---- what verbs need ---- */

void sh_cli_put_escaped(struct sd_text *t, const char *text)
{
	for (; *text; text++)
		if (strchr("-._~", *text) || (*text >= '0' && *text <= '9') || ((*text | 32) >= 'a' && (*text | 32) <= 'z'))
			sd_text_add(t, text, 1);
		else
			sd_text_format(t, "%%%02X", (unsigned char)*text);
}

char *sh_cli_link_path(struct sd_verb_call *call, const char *front, const char *code, const char *behind)
{
	const char *slash = strstr(code, "://") ? strrchr(code, '/') : NULL;
	struct sd_text t = {0};
	sd_text_format(&t, "%s", front);
	sh_cli_put_escaped(&t, slash ? slash + 1 : code);
	sd_text_format(&t, "%s", behind);
	char *path = sd_text_take(&t, NULL);
	if (!path)
		sh_cli_fail(call, "out of memory");
	return path;
}

bool sh_cli_json(const struct sd_verb_call *call, const cJSON *tree)
{
	char *text = sd_conf_bool(call->conf, "json") ? cJSON_Print(tree) : NULL;
	if (text)
		fprintf(call->out, "%s\n", text);
	free(text);
	return sd_conf_bool(call->conf, "json");
}

const char *sh_cli_text(const cJSON *o, const char *name, const char *none)
{
	const char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(o, name));
	return text ? text : none;
}

double sh_cli_number(const cJSON *o, const char *name)
{
	const cJSON *n = cJSON_GetObjectItemCaseSensitive(o, name);
	return cJSON_IsNumber(n) ? n->valuedouble : 0;
}
