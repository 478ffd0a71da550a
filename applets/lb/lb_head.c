/* lb_head.c - what becomes of a request's head: who asks, as part of which trace, where to, and what the backend is told. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "lb_http.h"

/* ---- reading ---- */

/* What the request says of its trace, or the beginning of one; false when none is to be passed on. */
static bool next_trace(struct lb_request *r, const struct sd_http_head *head, struct lb_told *told)
{
	told->trace_begins = !sd_traceparent_find(head, &told->trace);
	if (!r->snap->trace)
		return !told->trace_begins;
	if (told->trace_begins)
		sd_traceparent_begin(&told->trace, &r->w->rng);
	else
		sd_traceparent_next(&told->trace, &r->w->rng);
	return true;
}

void lb_head_read(struct lb_request *r, unsigned place, const struct sd_http_head *head, struct lb_told *told)
{
	const struct lb_snapshot *s = r->snap;
	const struct sd_peer *peer = &r->x->stream->io->peer;
	told->who = s->routes || s->limits || s->access >= 0 ? sd_proxy_client(head, peer, s->trusted, s->ntrusted) : *peer;
	told->client_n = sd_peer_format(&told->who, told->client);
	bool traced = next_trace(r, head, told);
	if (s->access >= 0)
		r->log = lb_log_begin(&r->w->log, head, (struct sd_slice){told->client, told->client_n},
				      traced ? &told->trace : NULL, (enum sd_access_format)s->access);
	lb_route_choose(r->w, place, head, &told->who, &told->choice);
	r->pool = told->choice.pool;
	r->route = told->choice.route;
	r->routes = lb_routes_hold(s->routes);
	if (r->route)
		lb_route_counted(r->w, r->route);
}

/* ---- what may become of it ---- */

static bool may_change_to(const struct lb_snapshot *s, struct sd_slice name)
{
	static const char *const never[] = {"h2", "http", "tls"}; /* they carry requests that nobody here would see */
	struct sd_slice list = sd_slice_of(s->upgrades), item;
	if (name.n >= LB_UPGRADE)
		return false;
	for (size_t i = 0; i < sizeof(never) / sizeof(never[0]); i++)
		if (name.n >= strlen(never[i]) && strncasecmp(name.p, never[i], strlen(never[i])) == 0)
			return false;
	while (sd_http_list_next(&list, &item))
		if (sd_slice_ieq(item, "any") || (item.n == name.n && strncasecmp(item.p, name.p, name.n) == 0))
			return !memchr(name.p, ' ', name.n) && !memchr(name.p, '"', name.n);
	return false;
}

/* The first protocol the client offers that is allowed. One with a body, or a WebSocket by another method than GET (RFC
 * 6455 section 4.1), is an ordinary request: whoever does not upgrade passes over the offer (RFC 9110 section 7.8). */
static void choose_upgrade(struct lb_request *r, const struct sd_http_head *head)
{
	struct sd_slice list = head->upgrade, item;
	bool body = head->framing == SD_HTTP_BODY_CHUNKED || head->content_length > 0;
	if (!head->connection_upgrade || body)
		return;
	while (sd_http_list_next(&list, &item)) {
		if (!may_change_to(r->snap, item) || (sd_slice_ieq(item, "websocket") && head->method != SD_HTTP_GET))
			continue;
		memcpy(r->upgrade, item.p, item.n);
		r->upgrade[item.n] = '\0';
		return;
	}
}

/* ---- writing ---- */

static const struct lb_edits *edits_of(const struct lb_request *r)
{
	return r->route ? &r->route->edits : r->routes ? &r->routes->edits : NULL;
}

/* What the rule, or all rules, change in a request. The lines are in a text of their own: they may be longer than any
 * scratch. False: out of memory. */
static bool edit(struct lb_request *r, const struct sd_http_head *head, const struct lb_told *told, struct sd_proxy_hop *hop,
		 char **lines)
{
	const struct lb_edits *edits = edits_of(r);
	struct sd_http_vars vars;
	if (!edits || edits->request.n == 0)
		return true;
	hop->edit = &edits->request;
	lb_route_vars(r->w, &told->choice, head, r->x->secure, (struct sd_slice){told->client, told->client_n}, &vars);
	const char *host = sd_head_edit_host(hop->edit);
	size_t n = sd_head_edit_write(hop->edit, NULL, 0, &vars);
	size_t hn = host ? sd_http_template_write(NULL, 0, host, &vars) : 0;
	*lines = malloc(n + hn + 1);
	if (!*lines)
		return false;
	sd_head_edit_write(hop->edit, *lines, n, &vars);
	if (host)
		sd_http_template_write(*lines + n, hn, host, &vars);
	hop->lines = (struct sd_slice){*lines, n};
	hop->set_host = (struct sd_slice){*lines + n, hn};
	return true;
}

bool lb_head_write(struct lb_request *r, const struct sd_http_head *head, const struct lb_told *told)
{
	char traceparent[SD_TRACEPARENT], *lines = NULL;
	struct sd_proxy_hop hop = {
	    .client = &r->x->stream->io->peer,
	    .proto = sd_slice_of(r->x->secure ? "https" : "http"),
	    .via = {"sdlab", 5},
	    .host = {"localhost", 9},
	    .style = r->snap->forwarded,
	    .trace_begins = told->trace_begins,
	};
	hop.trusted = sd_proxy_is_trusted(hop.client, r->snap->trusted, r->snap->ntrusted);
	if (r->snap->trace) {
		sd_traceparent_write(traceparent, &told->trace);
		hop.traceparent = (struct sd_slice){traceparent, sizeof(traceparent)};
	}
	choose_upgrade(r, head);
	hop.upgrade = sd_slice_of(r->upgrade);
	hop.target = lb_route_target(r->w, &told->choice, head);
	char *to = edit(r, head, told, &hop, &lines) ? lb_request_reserve(r, sd_proxy_request_bound(head, &hop)) : NULL;
	if (to)
		r->n = sd_proxy_request_head(to, head, &hop);
	free(lines);
	return to != NULL;
}

struct sd_proxy_hop lb_head_back(const struct lb_request *r)
{
	const struct lb_edits *edits = edits_of(r);
	struct sd_proxy_hop hop = {.via = {"sdlab", 5}};
	if (edits && edits->answer.n) {
		hop.edit = &edits->answer;
		hop.lines = (struct sd_slice){edits->lines, edits->nlines};
	}
	return hop;
}

/* An empty {rest} is the root: without its slash the URL would be where the client is already. "//host/x" would lead to
 * another host although the rule says none; as "/.//host/x" it does not (RFC 3986 5.2.4). */
void lb_head_location(struct sd_text *t, const char *template, const struct sd_http_vars *vars)
{
	size_t n = sd_http_template_write(NULL, 0, template, vars);
	char *url = malloc(n + 1);
	if (!url) {
		t->full = true;
		return;
	}
	sd_http_template_write(url, n, template, vars);
	bool leads_away = n > 1 && url[0] == '/' && (url[1] == '/' || url[1] == '\\') && template[0] == '{';
	bool bare = strncmp(template, "{rest}", 6) == 0 && (n == 0 || url[0] != '/');
	sd_text_format(t, "%s", leads_away ? "/." : bare ? "/" : "");
	sd_text_add(t, url, n);
	free(url);
}

char *lb_head_of_answer(struct lb_request *r, const struct sd_http_head *head, const struct lb_told *told)
{
	struct sd_text t = {0};
	struct sd_http_vars vars;
	lb_route_vars(r->w, &told->choice, head, r->x->secure, (struct sd_slice){told->client, told->client_n}, &vars);
	if (r->route->action == LB_REDIRECT) {
		sd_text_format(&t, "Location: ");
		lb_head_location(&t, r->route->text, &vars);
		sd_text_format(&t, "\r\n");
	}
	if (r->route->status >= 400) {
		char line[SD_PROXY_STATUS], why[LB_ROUTE_NAME + 16];
		snprintf(why, sizeof(why), "route %s", r->route->name);
		sd_proxy_status_write(line, r->route->status < 500 ? SD_PROXY_HTTP_REQUEST_DENIED : SD_PROXY_INTERNAL_RESPONSE, why);
		sd_text_format(&t, "%s", line);
	}
	return sd_text_take(&t, NULL);
}

/* ---- what is said of it ---- */

void lb_head_refused(struct sd_http_exchange *x, const struct sd_http_head *head, int status, const char *why)
{
	struct lb_worker *w = x->server->arg;
	char client[46];
	struct sd_peer who = x->stream->io->peer;
	if (head)
		who = sd_proxy_client(head, &who, w->snap->trusted, w->snap->ntrusted);
	struct sd_access_line line = {
	    .wall_ns = sd_world_wall_ns(sd_loop_world(w->loop)),
	    .client = {client, sd_peer_format(&who, client)},
	    .method = head ? head->method_text : (struct sd_slice){0},
	    .target = head ? head->target : (struct sd_slice){0},
	    .host = head ? head->host : (struct sd_slice){0},
	    .minor = head ? head->minor : 1,
	    .status = status,
	    .queue_ns = SD_ACCESS_NONE,
	    .connect_ns = SD_ACCESS_NONE,
	    .first_byte_ns = SD_ACCESS_NONE,
	    .end = SD_ACCESS_REFUSED,
	    .why = sd_slice_of(why),
	};
	if (w->snap->access >= 0)
		lb_log_line(&w->log, (enum sd_access_format)w->snap->access, &line);
}

/* It asks which backends were weighed, and may know. */
bool lb_head_wants_why(const struct lb_request *r, const struct sd_http_head *head)
{
	const struct sd_peer *peer = &r->x->stream->io->peer;
	const struct sd_http_field *f = r->snap->why ? sd_http_find_name(head, "x-sdlab-why") : NULL;
	if (!f || !sd_slice_eq(f->value, "1"))
		return false;
	static const struct sd_cidr here[] = {{.ip = {127}, .bits = 8}, {.ip = {[15] = 1}, .bits = 128, .v6 = true}};
	return sd_cidr_has(&here[0], peer->ip, peer->v6) || sd_cidr_has(&here[1], peer->ip, peer->v6) || sd_proxy_is_trusted(peer, r->snap->trusted, r->snap->ntrusted);
}

