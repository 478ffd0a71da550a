#include "http_fetch.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "http_client.h"

struct fetch {
	struct sd_loop *loop;
	struct sd_http_pool pool;
	struct sd_http_head head;
	int status;
	char *body;
	size_t n;
	enum sd_err err;
	struct sd_error *e;
};

static void on_head(struct sd_http_call *c, const struct sd_http_head *head)
{
	struct fetch *f = c->user;
	f->status = head->status;
}

static void on_body(struct sd_http_call *c, const char *p, size_t n)
{
	struct fetch *f = c->user;
	char *more = f->n + n <= SD_FETCH_MAX ? realloc(f->body, f->n + n + 1) : NULL;
	if (!more) {
		f->err = sd_fail(f->e, SD_ETOOBIG, "the answer is too large");
		sd_http_call_cancel(c);
		sd_loop_stop(f->loop);
		return;
	}
	memcpy(more + f->n, p, n);
	f->body = more;
	f->n += n;
}

static void on_end(struct sd_http_call *c)
{
	struct fetch *f = c->user;
	sd_loop_stop(f->loop);
}

static void on_failed(struct sd_http_call *c, enum sd_http_phase phase, enum sd_err why, const char *text)
{
	struct fetch *f = c->user;
	(void)phase;
	f->err = sd_fail(f->e, why, "%s", text);
	sd_loop_stop(f->loop);
}

static const struct sd_http_caller caller = {.head = on_head, .body = on_body, .end = on_end, .failed = on_failed};

static enum sd_err run(struct fetch *f, const struct sd_addr *addr, const char *method, const char *path, const char *fields,
		       struct sd_slice body, int64_t timeout_ns)
{
	char request[8192];
	struct sd_http_pool_conf conf = sd_http_pool_defaults;
	conf.max_idle = 0;
	conf.connect_timeout_ns = conf.answer_timeout_ns = timeout_ns;
	sd_http_pool_init(&f->pool, f->loop, addr, &conf, &f->head);
	const char *host = strncasecmp(fields, "Host:", 5) == 0 ? "" : "Host: localhost\r\n";
	int n = snprintf(request, sizeof(request), "%s %s HTTP/1.1\r\n%sConnection: close\r\nContent-Length: %zu\r\n%s\r\n", method,
			 path, host, body.n, fields);
	if (n < 0 || (size_t)n >= sizeof(request))
		return sd_fail(f->e, SD_EINVAL, "the path is too long");
	struct sd_http_call *c = sd_http_call_start(&f->pool, SD_HTTP_GET, true, &caller, f, f->e);
	if (!c)
		return f->e ? f->e->code : SD_EREFUSED;
	sd_http_call_write(c, request, (size_t)n);
	if (body.n)
		sd_http_call_write(c, body.p, body.n);
	sd_http_call_sent(c);
	sd_loop_run(f->loop);
	return f->err;
}

enum sd_err sd_http_fetch_fields(struct sd_world *w, const char *addr, const char *method, const char *path, const char *fields,
				 struct sd_slice sent, int64_t timeout_ns, int *status, char **body, size_t *n, struct sd_error *e)
{
	struct sd_addr to;
	enum sd_err err = sd_addr_parse(addr, "127.0.0.1", &to, e);
	if (!err && to.kind == SD_ADDR_NAME)
		err = sd_fail(e, SD_EINVAL, "expected an IP address, found \"%s\"", addr);
	if (err)
		return err;
	struct fetch *f = calloc(1, sizeof(*f));
	if (f)
		f->loop = sd_loop_new(w, e);
	if (!f || !f->loop) {
		free(f);
		return sd_fail(e, SD_ENOMEM, "out of memory");
	}
	f->e = e;
	err = run(f, &to, method, path, fields, sent, timeout_ns);
	sd_http_pool_free(&f->pool);
	sd_loop_free(f->loop);
	if (!err && !f->body)
		f->body = calloc(1, 1);
	if (f->body)
		f->body[f->n] = '\0';
	if (err)
		free(f->body);
	*status = f->status;
	*body = err ? NULL : f->body;
	*n = f->n;
	free(f);
	return err;
}

enum sd_err sd_http_fetch_with(struct sd_world *w, const char *addr, const char *method, const char *path, const char *sent,
			       size_t sent_n, int64_t timeout_ns, int *status, char **body, size_t *n, struct sd_error *e)
{
	return sd_http_fetch_fields(w, addr, method, path, "", (struct sd_slice){sent, sent_n}, timeout_ns, status, body, n, e);
}

enum sd_err sd_http_fetch(struct sd_world *w, const char *addr, const char *method, const char *path, int64_t timeout_ns,
			  int *status, char **body, size_t *n, struct sd_error *e)
{
	return sd_http_fetch_with(w, addr, method, path, NULL, 0, timeout_ns, status, body, n, e);
}
