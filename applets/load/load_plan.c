/* load_plan.c - from options to what is sent, to whom, how often. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/http_url.h"
#include "core/resp_url.h"
#include "core/units.h"
#include "load_amqp.h"

#define MAX_REQUESTS 4096
#define MAX_FILE     (16u << 20)

/* ---- the target ---- */

struct target {
	struct sd_slice host; /* with port, as in the URL */
	struct sd_slice path; /* with query; "/" when there is none */
	bool secure;          /* https */
	bool resp;            /* a cache */
	bool amqp;            /* a broker */
	struct sd_resp_url cache;
	struct sd_amqp_url broker;
	const char *port;     /* when the URL has none */
};

static enum sd_err split_cache_url(const char *url, struct target *t, struct sd_error *e)
{
	enum sd_err err = sd_resp_url_parse(url, &t->cache, e);
	t->resp = true;
	t->host = t->cache.host;
	t->secure = t->cache.secure;
	t->port = ":6379";
	return err;
}

static enum sd_err split_broker_url(const char *url, struct target *t, struct sd_error *e)
{
	enum sd_err err = sd_amqp_url_parse(url, &t->broker, e);
	t->amqp = true;
	t->host = t->broker.host;
	t->secure = t->broker.secure;
	t->port = t->secure ? ":5671" : ":5672";
	if (!err && t->host.n == 0)
		err = sd_fail(e, SD_EUSAGE, "expected amqp://HOST[:PORT][/VHOST], found no host");
	return err;
}

static enum sd_err split_url(const char *url, struct target *t, struct sd_error *e)
{
	if (sd_resp_url_is(url))
		return split_cache_url(url, t, e);
	if (sd_amqp_url_is(url))
		return split_broker_url(url, t, e);
	struct sd_http_url u;
	if (!sd_http_url_parse(url, &u))
		return sd_fail(e, SD_EUSAGE, "expected http://HOST[:PORT]/PATH, redis://HOST[:PORT] or amqp://HOST[:PORT], found \"%.100s\"", url);
	t->secure = u.secure;
	t->port = t->secure ? ":443" : ":80";
	t->host = u.host;
	t->path = u.path;
	return SD_OK;
}

/* ---- the target; its name is waited for, before anything is measured ---- */

static enum sd_err find_target(struct sd_world *w, const struct sd_conf *conf, const struct target *t, struct sd_addr *out,
			       struct sd_error *e)
{
	struct sd_slice host = t->host;
	char text[300];
	const char *path = sd_conf_string(conf, "unix");
	const char *bracket = memchr(host.p, ']', host.n), *colon = memrchr(host.p, ':', host.n);
	bool has_port = colon && (!bracket || colon > bracket);
	if (path)
		snprintf(text, sizeof(text), "unix:%.250s", path);
	else
		snprintf(text, sizeof(text), "%.*s%s", (int)(host.n < 280 ? host.n : 280), host.p, has_port ? "" : t->port);
	enum sd_err err = sd_addr_parse(text, "127.0.0.1", out, e);
	if (err) {
		sd_wrap(e, path ? "--unix" : "URL");
		return e->code = SD_EUSAGE;
	}
	unsigned mode;
	if (out->kind == SD_ADDR_UNIX && !sd_world_file_mode(w, out->name, &mode))
		return sd_fail(e, SD_ENOTFOUND, "--unix: there is no %s", out->name);
	if (out->kind == SD_ADDR_NAME)
		err = sd_resolve_wait(w, out, e);
	return err;
}

/* ---- TLS ---- */

/* The host of a URL without its port and brackets: what the certificate is to be for. */
static enum sd_err make_tls(struct sd_world *w, const struct sd_conf *conf, struct sd_slice host, bool http, struct load_plan *p,
			    struct sd_error *e)
{
	static const char *const alpn[] = {"http/1.1", NULL};
	bool bracket = host.n && *host.p == '[';
	const char *colon = memrchr(host.p, ':', host.n), *close = memchr(host.p, ']', host.n);
	size_t n = bracket && close ? (size_t)(close - host.p) - 1 : colon ? (size_t)(colon - host.p) : host.n;
	struct sd_tls_client_conf c = {
	    .ca = sd_conf_string(conf, "ca"),
	    .cert = sd_conf_string(conf, "cert"),
	    .key = sd_conf_string(conf, "key"),
	    .insecure = sd_conf_bool(conf, "insecure"),
	    .alpn = http ? alpn : NULL,
	};
	if (n >= sizeof(p->tls_name))
		return sd_fail(e, SD_EUSAGE, "the host name of the URL is too long");
	memcpy(p->tls_name, host.p + bracket, n);
	p->tls = sd_tls_client_new(w, &c, e);
	return p->tls ? SD_OK : e ? e->code : SD_ENOMEM;
}

/* ---- requests ---- */

/* They become ten digits, written anew each time a request leaves. */
static const struct mark {
	const char *word;
	size_t n;
	enum load_mark_kind kind;
} marks[] = {{"{{seq}}", 7, LOAD_SEQ}, {"{{rand}}", 8, LOAD_RAND}, {"{{key}}", 7, LOAD_KEY}};
#define NMARKS (sizeof(marks) / sizeof(marks[0]))

static const struct mark *mark_at(struct sd_slice s)
{
	for (size_t k = 0; k < NMARKS; k++)
		if (s.n >= marks[k].n && memcmp(s.p, marks[k].word, marks[k].n) == 0)
			return &marks[k];
	return NULL;
}

bool load_marks_find(struct load_request *r)
{
	char *at = r->bytes, *end = r->bytes + r->n;
	while ((at = memmem(at, (size_t)(end - at), "{{", 2))) {
		const struct mark *m = mark_at((struct sd_slice){at, (size_t)(end - at)});
		if (!m) {
			at++;
			continue;
		}
		if (r->nmarks == LOAD_MAX_MARKS)
			return false;
		/* the ten digits were made room for: see load_marks_expand */
		memset(at, '0', 10);
		r->marks[r->nmarks++] = (struct load_mark){(uint32_t)(at - r->bytes), m->kind};
		at += 10;
	}
	return true;
}

/* Each mark is padded to ten bytes, so that its digits fit and lengths stay as they are. */
char *load_marks_expand(struct sd_slice in, size_t *n)
{
	char *out = malloc(in.n * 2 + 16), *o = out;
	for (size_t i = 0; out && i < in.n;) {
		const struct mark *m = mark_at((struct sd_slice){in.p + i, in.n - i});
		if (!m) {
			*o++ = in.p[i++];
			continue;
		}
		memcpy(o, m->word, m->n);
		memset(o + m->n, '0', 10 - m->n);
		o += 10;
		i += m->n;
	}
	if (out)
		*n = (size_t)(o - out);
	return out;
}

static bool fits_a_line(struct sd_slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] < ' ' || s.p[i] == 127)
			return false;
	return true;
}

static bool names_field(const struct sd_conf *conf, const char *name)
{
	for (size_t i = 0; i < sd_conf_count(conf, "header"); i++) {
		const char *line = sd_conf_list_item(conf, "header", i);
		if (strncasecmp(line, name, strlen(name)) == 0 && line[strlen(name)] == ':')
			return true;
	}
	return false;
}

static void put_head(FILE *out, const struct load_builder *b, struct sd_slice method, struct sd_slice path, size_t body_n)
{
	const struct sd_conf *conf = b->conf;
	fprintf(out, "%.*s %.*s HTTP/1.1\r\n", (int)method.n, method.p, (int)path.n, path.p);
	if (!names_field(conf, "host"))
		fprintf(out, "Host: %.*s\r\n", (int)b->host.n, b->host.p);
	if (!names_field(conf, "user-agent"))
		fprintf(out, "User-Agent: sdlab-load\r\n");
	for (size_t i = 0; i < sd_conf_count(conf, "header"); i++)
		fprintf(out, "%s\r\n", sd_conf_list_item(conf, "header", i));
	if (body_n || sd_slice_eq(method, "POST") || sd_slice_eq(method, "PUT"))
		fprintf(out, "Content-Length: %zu\r\n", body_n);
	if (!b->plan->keep_alive)
		fprintf(out, "Connection: close\r\n");
	fputs("\r\n", out);
}

static enum sd_http_method method_of(struct sd_slice m)
{
	return sd_slice_eq(m, "HEAD") ? SD_HTTP_HEAD : SD_HTTP_GET; /* only HEAD changes how an answer is read */
}

static bool make_room(struct load_builder *b)
{
	size_t room = b->room ? b->room * 2 : 4;
	if (b->plan->nrequests < b->room)
		return true;
	struct load_request *more = realloc(b->plan->requests, room * sizeof(*more));
	if (!more)
		return false;
	b->plan->requests = more;
	b->room = room;
	return true;
}

static bool write_request(const struct load_builder *b, struct sd_slice method, struct sd_slice path, struct sd_slice body,
			  struct load_request *r)
{
	FILE *out = open_memstream(&r->bytes, &r->n);
	if (!out)
		return false;
	put_head(out, b, method, path, body.n);
	if (body.n)
		fwrite(body.p, 1, body.n, out);
	r->body_n = body.n;
	return fclose(out) == 0;
}

static bool write_marked(const struct load_builder *b, struct sd_slice method, struct sd_slice path, struct sd_slice body,
			 struct load_request *r)
{
	size_t body_n = 0, path_n = 0;
	char *text = load_marks_expand(body, &body_n), *target = load_marks_expand(path, &path_n);
	bool good = text && target &&
		    write_request(b, method, (struct sd_slice){target, path_n}, (struct sd_slice){text, body_n}, r);
	free(text);
	free(target);
	if (good)
		load_marks_find(r); /* those beyond stay as they are */
	return good;
}

enum sd_err load_plan_push(struct load_builder *b, struct load_request *r, struct sd_error *e)
{
	struct load_plan *p = b->plan;
	if (p->nrequests == b->max)
		return sd_fail(e, SD_ERANGE, "expected at most %zu different requests", b->max);
	if (!make_room(b))
		return sd_fail(e, SD_ENOMEM, "out of memory");
	p->requests[p->nrequests++] = *r;
	p->total_weight += r->weight;
	return SD_OK;
}

enum sd_err load_plan_add(struct load_builder *b, uint32_t weight, struct sd_slice method, struct sd_slice path,
			  struct sd_slice body, struct sd_error *e)
{
	struct load_request r = {.weight = weight, .method = method_of(method)};
	enum sd_err err = SD_OK;
	if (!(b->literal ? write_request : write_marked)(b, method, path, body, &r) ||
	    asprintf(&r.name, "%.*s %.*s", (int)method.n, method.p, (int)path.n, path.p) < 0) {
		r.name = NULL;
		err = sd_fail(e, SD_ENOMEM, "out of memory");
	}
	if (!err)
		err = load_plan_push(b, &r, e);
	if (err) {
		free(r.bytes);
		free(r.name);
	}
	return err;
}

static struct sd_slice next_word(struct sd_slice *line)
{
	while (line->n && *line->p == ' ')
		line->p++, line->n--;
	struct sd_slice word = {line->p, 0};
	while (line->n && *line->p != ' ')
		line->p++, line->n--, word.n++;
	return word;
}

/* WEIGHT METHOD PATH [BODY] */
static enum sd_err add_line(struct load_builder *b, const char *file, int number, struct sd_slice line, struct sd_error *e)
{
	struct sd_slice weight = next_word(&line), method = next_word(&line), path = next_word(&line);
	char text[16];
	int64_t w;
	snprintf(text, sizeof(text), "%.*s", (int)(weight.n < 15 ? weight.n : 15), weight.p);
	if (line.n && *line.p == ' ')
		line.p++, line.n--;
	if (sd_parse_int(text, &w) != SD_OK || w < 1 || w > 1000000 || method.n == 0 || path.n == 0 || *path.p != '/' ||
	    !fits_a_line(path))
		return sd_fail(e, SD_EINVAL, "%s:%d: expected WEIGHT METHOD /PATH [BODY], such as 3 GET /cart", file, number);
	return load_plan_add(b, (uint32_t)w, method, path, line, e);
}

static enum sd_err add_file(struct sd_world *world, struct load_builder *b, const char *file, struct sd_error *e)
{
	char *text = NULL;
	size_t n;
	enum sd_err err = sd_world_read_file(world, file, MAX_FILE, &text, &n, e);
	int number = 1;
	for (const char *p = text; !err && *p; number++) {
		size_t len = strcspn(p, "\n");
		size_t used = len && p[len - 1] == '\r' ? len - 1 : len;
		if (used && *p != '#')
			err = add_line(b, file, number, (struct sd_slice){p, used}, e);
		p += len + (p[len] == '\n');
	}
	if (!err && b->plan->nrequests == 0)
		err = sd_fail(e, SD_EINVAL, "%s: expected lines of WEIGHT METHOD /PATH [BODY], found none", file);
	free(text);
	return err;
}

static enum sd_err add_single(struct sd_world *world, struct load_builder *b, struct sd_error *e)
{
	const char *body = sd_conf_string(b->conf, "body"), *method = sd_conf_string(b->conf, "method");
	char *text = NULL;
	size_t n = body ? strlen(body) : 0;
	enum sd_err err = SD_OK;
	if (body && *body == '@')
		err = sd_world_read_file(world, body + 1, MAX_FILE, &text, &n, e);
	if (!err)
		err = load_plan_add(b, 1, sd_slice_of(method ? method : body ? "POST" : "GET"), b->path,
				    (struct sd_slice){text ? text : body, n}, e);
	free(text);
	return err;
}

/* ---- the whole ---- */

/* What a plan for one target has, whatever is sent there. */
static enum sd_err read_target(const struct sd_conf *conf, unsigned conns, struct load_plan *p, struct sd_error *e)
{
	p->conns = conns;
	p->threads = (unsigned)sd_conf_int(conf, "threads");
	p->pipeline = 1;
	p->keep_alive = sd_conf_bool(conf, "keep-alive");
	p->warmup_ns = sd_conf_int(conf, "warmup");
	p->timeout_ns = sd_conf_int(conf, "timeout");
	if (p->threads > p->conns)
		p->threads = p->conns;
	if (p->timeout_ns <= 0)
		return sd_fail(e, SD_EUSAGE, "--timeout: expected more than 0");
	for (size_t i = 0; i < sd_conf_count(conf, "header"); i++) {
		const char *line = sd_conf_list_item(conf, "header", i);
		if (!strchr(line, ':') || line[0] == ':' || !fits_a_line(sd_slice_of(line)))
			return sd_fail(e, SD_EUSAGE, "--header: expected \"Name: value\", found \"%.60s\"", line);
	}
	return SD_OK;
}

static void read_amount(const struct sd_conf *conf, struct load_plan *p)
{
	p->max_requests = (uint64_t)sd_conf_int(conf, "requests");
	p->duration_ns = sd_conf_int(conf, "duration");
	p->seed = (uint64_t)sd_conf_int(conf, "seed");
	p->keys = (uint64_t)sd_conf_int(conf, "keys");
	if (!p->max_requests && !p->duration_ns)
		p->duration_ns = 10000000000;
	if (p->max_requests && p->threads > p->max_requests)
		p->threads = (unsigned)p->max_requests;
}

enum sd_err load_plan_pipeline(const struct sd_conf *conf, struct load_plan *p, struct sd_error *e)
{
	p->pipeline = (unsigned)sd_conf_int(conf, "pipeline");
	if (p->pipeline > 1 && (!p->keep_alive || (p->rate > 0 && !p->amqp)))
		return sd_fail(e, SD_EUSAGE, "--pipeline: only with --keep-alive, and with --rate only for amqp://");
	return SD_OK;
}

static enum sd_err check_text(const struct sd_conf *conf, struct sd_slice path, struct sd_error *e)
{
	const char *method = sd_conf_string(conf, "method");
	if (method && (!*method || strcspn(method, " \t\r\n") != strlen(method)))
		return sd_fail(e, SD_EUSAGE, "--method: expected a word such as GET, found \"%.60s\"", method);
	if (sd_conf_count(conf, "command"))
		return sd_fail(e, SD_EUSAGE, "--command: only for redis://");
	if (!fits_a_line(path) || memchr(path.p, ' ', path.n))
		return sd_fail(e, SD_EUSAGE, "the path has a blank or control byte; write it as %%20");
	return SD_OK;
}

/* As it is shown: without a password. */
static char *shown_url(const char *url, const struct target *t)
{
	char *out;
	if (t->amqp)
		return asprintf(&out, "%s%s", t->secure ? "amqps://" : "amqp://", t->broker.shown.p) < 0 ? NULL : out;
	if (!t->resp)
		return strdup(url);
	return asprintf(&out, "%s%s", t->secure ? "rediss://" : "redis://", t->cache.shown.p) < 0 ? NULL : out;
}

enum sd_err load_plan_begin(struct sd_world *w, const struct sd_conf *conf, const char *url, unsigned conns,
			    struct load_plan *plan, struct load_builder *b, struct sd_error *e)
{
	struct target t = {.host = {"", 0}, .path = {"/", 1}};
	memset(plan, 0, sizeof(*plan));
	enum sd_err err = split_url(url, &t, e);
	plan->resp = t.resp;
	if (!err)
		err = read_target(conf, conns, plan, e);
	if (!err)
		err = find_target(w, conf, &t, &plan->addr, e);
	if (!err && t.secure)
		err = make_tls(w, conf, t.host, !t.resp && !t.amqp, plan, e);
	*b = (struct load_builder){.conf = conf, .plan = plan, .host = t.host, .path = t.path, .max = MAX_REQUESTS};
	if (!err && t.resp)
		err = load_resp_greet(plan, &t.cache, e);
	if (!err && t.amqp)
		err = load_amqp_greeting(plan, &t.broker, e);
	if (!err && !(plan->url = shown_url(url, &t)))
		err = sd_fail(e, SD_ENOMEM, "out of memory");
	return err;
}

enum sd_err load_plan_make_sized(struct sd_world *w, const struct sd_conf *conf, const char *url, unsigned conns,
				 struct load_plan *out, struct sd_error *e)
{
	struct load_builder b;
	const char *file = sd_conf_string(conf, "requests-file");
	enum sd_err err = load_plan_begin(w, conf, url, conns, out, &b, e);
	if (!err && load_plan_http(out))
		err = check_text(conf, b.path, e);
	if (!err)
		read_amount(conf, out);
	if (!err && !out->amqp)
		err = load_amqp_check_others(conf, e);
	if (!err && out->amqp)
		err = load_amqp_requests(w, &b, e);
	else if (!err)
		err = out->resp ? load_resp_commands(w, &b, e) : file ? add_file(w, &b, file, e) : add_single(w, &b, e);
	if (err)
		load_plan_free(out);
	return err;
}

enum sd_err load_plan_make(struct sd_world *w, const struct sd_conf *conf, const char *url, struct load_plan *out,
			   struct sd_error *e)
{
	enum sd_err err = load_plan_make_sized(w, conf, url, (unsigned)sd_conf_int(conf, "conns"), out, e);
	if (err)
		return err;
	out->rate = sd_conf_number(conf, "rate");
	out->poisson = sd_conf_int(conf, "arrivals") == 1;
	err = load_plan_pipeline(conf, out, e);
	if (err)
		load_plan_free(out);
	return err;
}

void load_plan_free(struct load_plan *p)
{
	for (size_t i = 0; i < p->nrequests; i++) {
		free(p->requests[i].bytes);
		free(p->requests[i].name);
	}
	free(p->requests);
	free(p->schedule);
	free(p->log);
	sd_tls_client_release(p->tls);
	load_amqp_plan_free(p->amqp);
	free((char *)p->greeting.p);
	free(p->url);
	memset(p, 0, sizeof(*p));
}
