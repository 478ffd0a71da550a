/* sh_cli_show.c - links and their statistics, for people. */
#include <stdlib.h>

#include "sh_cli.h"

/* ---- lists ---- */

static void put_query(struct sd_text *t, const char *name, const char *value)
{
	if (!value || !value[0])
		return;
	sd_text_format(t, "%s%s=", t->n && strchr(t->p, '?') ? "&" : "?", name);
	sh_cli_put_escaped(t, value);
}

static void put_number(struct sd_text *t, const struct sd_conf *conf, const char *option, const char *name)
{
	char text[24];
	snprintf(text, sizeof(text), "%lld", (long long)sd_conf_int(conf, option));
	put_query(t, name, text);
}

static void put_order(struct sd_text *t, const struct sd_conf *conf)
{
	static const char *const orders[] = {"newest", "oldest", "most-clicks", "fewest-clicks", "code", "title", "changed"};
	put_query(t, "order", orders[sd_conf_int(conf, "order")]);
}

/* "" as long as it redirects. */
static const char *state(const cJSON *link)
{
	return cJSON_IsFalse(cJSON_GetObjectItemCaseSensitive(link, "enabled")) ? "  (disabled)" : "";
}

static void show_list(const struct sd_verb_call *call, const cJSON *page)
{
	const cJSON *links = cJSON_GetObjectItemCaseSensitive(page, "links"), *l;
	int width = 8;
	cJSON_ArrayForEach(l, links) {
		int n = (int)strlen(sh_cli_text(l, "code", ""));
		width = n > width ? n : width;
	}
	fprintf(call->out, "%-*s %10s  %s\n", width, "CODE", "CLICKS", "URL");
	cJSON_ArrayForEach(l, links) {
		fprintf(call->out, "%-*s %10.0f  %s%s\n", width, sh_cli_text(l, "code", ""), sh_cli_number(l, "clicks"),
			sh_cli_text(l, "original_url", ""), state(l));
	}
	if (sh_cli_number(page, "pages") > 1)
		fprintf(call->out, "page %.0f of %.0f, %.0f links\n", sh_cli_number(page, "page"), sh_cli_number(page, "pages"),
			sh_cli_number(page, "total"));
}

int sh_cli_list(struct sd_verb_call *call)
{
	struct sd_text path = {0};
	int status = 1;
	sd_text_format(&path, "/api/links");
	put_query(&path, "search", sd_conf_string(call->conf, "search"));
	put_query(&path, "tag", sd_conf_string(call->conf, "tag"));
	put_number(&path, call->conf, "page", "page");
	put_number(&path, call->conf, "per-page", "per_page");
	put_order(&path, call->conf);
	cJSON *page = path.full ? NULL : sh_cli_ask_json(call, "GET", path.p, NULL, &status);
	if (page && !sh_cli_json(call, page))
		show_list(call, page);
	cJSON_Delete(page);
	free(path.p);
	return status;
}

/* ---- one ---- */

static cJSON *fetch(struct sd_verb_call *call, const char *front, int *status)
{
	*status = 1;
	char *path = sh_cli_link_path(call, front, call->args[0], "");
	cJSON *o = path ? sh_cli_ask_json(call, "GET", path, NULL, status) : NULL;
	free(path);
	return o;
}

static void show_value(FILE *out, const cJSON *v)
{
	char *text = cJSON_IsString(v) ? NULL : cJSON_PrintUnformatted(v);
	if (!cJSON_IsNull(v))
		fprintf(out, "%-14s %s\n", v->string, text ? text : cJSON_GetStringValue(v) ? cJSON_GetStringValue(v) : "");
	free(text);
}

int sh_cli_show(struct sd_verb_call *call)
{
	int status;
	cJSON *link = fetch(call, "/api/links/", &status);
	if (link && !sh_cli_json(call, link))
		for (const cJSON *v = link->child; v; v = v->next)
			show_value(call->out, v);
	cJSON_Delete(link);
	return status;
}

/* ---- statistics ---- */

#define BAR 40

static void show_days(FILE *out, const cJSON *days)
{
	double most = 1;
	const cJSON *d;
	cJSON_ArrayForEach(d, days)
		most = d->valuedouble > most ? d->valuedouble : most;
	cJSON_ArrayForEach(d, days) {
		int n = (int)(d->valuedouble * BAR / most);
		fprintf(out, "  %s %8.0f ", d->string, d->valuedouble);
		while (n-- > 0)
			fputc('#', out);
		fputc('\n', out);
	}
}

int sh_cli_stats(struct sd_verb_call *call)
{
	int status;
	const cJSON *r;
	cJSON *stats = fetch(call, "/api/stats/", &status);
	if (stats && !sh_cli_json(call, stats)) {
		fprintf(call->out, "%.0f clicks since %s\n", sh_cli_number(stats, "clicks"), sh_cli_text(stats, "created_at", "it was made"));
		show_days(call->out, cJSON_GetObjectItemCaseSensitive(stats, "clicks_by_day"));
		cJSON_ArrayForEach(r, cJSON_GetObjectItemCaseSensitive(stats, "top_referrers")) {
			const char *from = cJSON_GetStringValue(r);
			fprintf(call->out, "  from %s\n", from ? from : "");
		}
	}
	cJSON_Delete(stats);
	return status;
}
