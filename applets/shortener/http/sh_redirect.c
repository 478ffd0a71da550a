/* sh_redirect.c - from a code to an answer, on a worker.
 *
 * The usual way asks nobody: the code is found in this worker's memory, the click is gathered, the head is written. What is not in
 * memory, and a link with a limit of visits, is waited for with a copy of what the answer needs of the request.
 */
#include "sh_redirect.h"

#include <stdio.h>
#include <stdlib.h>

#include "../clicks/sh_clicks.h"
#include "../lookup/sh_lookup.h"
#include "core/proxy_head.h"
#include "sh_query.h"
#include "sh_said.h"

/* What the answer needs of a request. */
struct visit {
	struct sd_slice code, path, query, referer, user_agent, purpose, accept;
	struct sd_peer from;
	bool head;
};

/* ---- what a path is ---- */

static bool is_code_char(unsigned char c)
{
	static const bool good[256] = {
	    ['-'] = 1, ['0' ... '9'] = 1, ['A' ... 'Z'] = 1, ['_'] = 1, ['a' ... 'z'] = 1,
	};
	return good[c];
}

bool sh_redirect_is_code(struct sd_slice path, struct sd_slice *code)
{
	size_t n = path.n;
	if (n > 2 && path.p[n - 1] == '/')
		n--;
	if (n < 2 || n > SH_CODE_MAX + 1 || path.p[0] != '/')
		return false;
	for (size_t i = 1; i < n; i++)
		if (!is_code_char((unsigned char)path.p[i]))
			return false;
	*code = (struct sd_slice){path.p + 1, n - 1};
	return !sh_reserved(*code);
}

static void read_visit(struct sh_worker *w, const struct sd_http_exchange *x, const struct sd_http_head *head, struct visit *v)
{
	for (size_t i = 0; i < head->nfields; i++) {
		const struct sd_http_field *f = &head->fields[i];
		if (f->id != SD_HTTP_F_OTHER)
			continue;
		if (f->name.n == 10 && strncasecmp(f->name.p, "user-agent", 10) == 0)
			v->user_agent = f->value;
		else if (f->name.n == 7 && strncasecmp(f->name.p, "referer", 7) == 0)
			v->referer = f->value;
		else if (f->name.n == 6 && strncasecmp(f->name.p, "accept", 6) == 0)
			v->accept = f->value;
		else if (f->name.n == 11 && strncasecmp(f->name.p, "sec-purpose", 11) == 0)
			v->purpose = f->value;
		else if (f->name.n == 7 && !v->purpose.n && strncasecmp(f->name.p, "purpose", 7) == 0)
			v->purpose = f->value;
	}
	v->path = head->path;
	v->query = head->query;
	v->head = head->method == SD_HTTP_HEAD;
	v->from = x->stream->io->peer;
	if (w->sh->ntrusted)
		v->from = sd_proxy_client(head, &v->from, w->sh->trusted, w->sh->ntrusted);
}

/* ---- answers ---- */

static void record(struct sh_worker *w, struct sd_http_exchange *x, const struct visit *v, uint64_t link, int64_t now_ms)
{
	struct sh_click click = {.link = link,
				 .time_ms = now_ms,
				 .from = &v->from,
				 .path = v->path,
				 .referer = v->referer,
				 .user_agent = v->user_agent,
				 .purpose = v->purpose,
				 .head = v->head};
	sh_clicks_add(w->clicks, &click, x->stream);
}

static void go(struct sh_worker *w, struct sd_http_exchange *x, const struct visit *v, const struct sh_target *t, int64_t now_ms)
{
	struct sd_slice to = t->url;
	if (t->forward_query && v->query.n) {
		size_t n = sh_query_merge(to, v->query, w->room, sizeof(w->room));
		if (n)
			to = (struct sd_slice){w->room, n};
	}
	record(w, x, v, t->id, now_ms);
	sd_count(&w->redirects, 1);
	sd_http_begin(x, t->status ? t->status : w->status, (struct sd_slice){0});
	sd_http_field(x, (struct sd_slice){"Location", 8}, to);
	sd_http_field(x, (struct sd_slice){"Cache-Control", 13}, (struct sd_slice){"no-store", 8});
	sd_http_date(x);
	sd_http_head_done(x, 0);
	sd_http_finish(x);
}

static void say(struct sh_worker *w, struct sd_http_exchange *x, const struct visit *v, enum sh_problem p, int64_t now_ms)
{
	char code[SH_CODE_MAX + 1];
	snprintf(code, sizeof(code), "%.*s", (int)v->code.n, v->code.p);
	if (p == SH_UNKNOWN_CODE)
		record(w, x, v, 0, now_ms);
	sd_count(&w->refused, 1);
	sh_say_problem(x, p, sh_wants_page(v->accept), code);
}

/* ---- those who wait ---- */

/* Waits for the look-up, with a copy of the visit. */
struct waiting {
	struct sh_waiter waiter;
	struct sh_lookup_wait look;
	struct sh_worker *w;
	struct sd_http_exchange *x;
	struct visit v;
	char bytes[];
};

static struct sd_slice keep(char **to, struct sd_slice s)
{
	struct sd_slice kept = {*to, s.n};
	if (s.n)
		memcpy(*to, s.p, s.n);
	*to += s.n;
	return kept;
}

static void on_gone(struct sd_http_exchange *x)
{
	struct waiting *q = sd_container(x->user, struct waiting, waiter);
	x->user = NULL;
	sh_lookup_forget(&q->look);
	free(q);
}

static struct waiting *wait_with(struct sh_worker *w, struct sd_http_exchange *x, const struct visit *v)
{
	size_t n = v->code.n + v->path.n + v->query.n + v->referer.n + v->user_agent.n + v->purpose.n + v->accept.n;
	struct waiting *q = calloc(1, sizeof(*q) + n + 1);
	if (!q)
		return NULL;
	char *to = q->bytes;
	q->waiter.gone = on_gone;
	q->w = w;
	q->x = x;
	q->v = *v;
	q->v.code = keep(&to, v->code);
	q->v.path = keep(&to, v->path);
	q->v.query = keep(&to, v->query);
	q->v.referer = keep(&to, v->referer);
	q->v.user_agent = keep(&to, v->user_agent);
	q->v.purpose = keep(&to, v->purpose);
	q->v.accept = keep(&to, v->accept);
	x->user = &q->waiter;
	return q;
}

/* ---- the way of a visit ---- */

static void answer(struct sh_worker *w, struct sd_http_exchange *x, const struct visit *v, enum sh_look look, const struct sh_target *t,
		   int64_t now_ms)
{
	static const enum sh_problem problems[] = {
	    [SH_LOOK_UNKNOWN] = SH_UNKNOWN_CODE, [SH_LOOK_NOT_YET] = SH_NOT_YET, [SH_LOOK_EXPIRED] = SH_EXPIRED,
	    [SH_LOOK_DISABLED] = SH_DISABLED,	 [SH_LOOK_USED_UP] = SH_USED_UP, [SH_LOOK_AWAY] = SH_DB_AWAY,
	};
	if (look == SH_LOOK_FOUND)
		go(w, x, v, t, now_ms);
	else
		say(w, x, v, problems[look], now_ms);
}

static void on_looked_up(struct sh_lookup_wait *look, enum sh_look found, const struct sh_target *t)
{
	struct waiting *q = sd_container(look, struct waiting, look);
	q->x->user = NULL;
	answer(q->w, q->x, &q->v, found, t, sh_now_ms(q->w->sh));
	free(q);
}

void sh_redirect(struct sh_worker *w, struct sd_http_exchange *x, const struct sd_http_head *head, struct sd_slice code)
{
	struct visit v = {.code = code};
	struct sh_target t;
	int64_t now_ms = sh_now_ms(w->sh);
	read_visit(w, x, head, &v);
	enum sh_look look = sh_lookup_now(w->lookup, code, now_ms, &t);
	if (look != SH_LOOK_ASK) {
		answer(w, x, &v, look, &t, now_ms);
		return;
	}
	struct waiting *q = wait_with(w, x, &v);
	if (!q) {
		answer(w, x, &v, SH_LOOK_AWAY, NULL, now_ms);
		return;
	}
	q->look.done = on_looked_up;
	q->look.visit = true;
	if (sh_lookup_ask(w->lookup, q->v.code, now_ms, &q->look))
		return;
	x->user = NULL;
	answer(w, x, &v, SH_LOOK_AWAY, NULL, now_ms);
	free(q);
}
