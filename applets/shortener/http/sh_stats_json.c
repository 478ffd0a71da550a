/* sh_stats_json.c - statistics: first what the seed has, then all that is known. */
#include <stdio.h>
#include <stdlib.h>

#include "../clicks/sh_clicks.h"
#include "../store/sh_store.h"
#include "core/time_text.h"
#include "sh_api.h"

#define TOP 10 /* referrers that are named first */

const struct sh_member sh_stats_members[] = {
    {"from", SH_DAY, .help = "the first day, UTC; else from the beginning"},
    {"to", SH_DAY, .help = "the last day, not before from"},
    {0},
};

/* Of a query that was checked: when the day begins; 0: it is not there. */
static int64_t day_of(struct sd_slice query, const char *name)
{
	char day[32], whole[64];
	int64_t ns;
	if (!sh_query_get(query, name, day, sizeof(day)))
		return 0;
	snprintf(whole, sizeof(whole), "%sT00:00:00Z", day);
	return sd_time_parse(whole, &ns) ? 0 : ns / 1000000;
}

/* ---- written ---- */

static void add_top(cJSON *o, const struct sh_stats *s)
{
	cJSON *list = cJSON_AddArrayToObject(o, "top_referrers");
	int named = 0;
	for (size_t i = 0; i < s->nshares[SH_REFERRERS] && named < TOP; i++) {
		const char *name = s->shares[SH_REFERRERS][i].name;
		if (!name[0])
			continue;
		cJSON_AddItemToArray(list, cJSON_CreateString(name));
		named++;
	}
}

static void add_days(cJSON *o, const struct sh_stats *s)
{
	cJSON *days = cJSON_AddObjectToObject(o, "clicks_by_day");
	char text[SD_TIME_TEXT];
	for (size_t i = 0; i < s->ndays; i++) {
		sd_time_text(text, s->days[i].at_ms * 1000000);
		text[10] = '\0';
		cJSON_AddNumberToObject(days, text, (double)s->days[i].n.clicks);
	}
}

static void add_tally(cJSON *o, const struct sh_tally *t)
{
	cJSON_AddItemToObject(o, "visitors", t->visitors < 0 ? cJSON_CreateNull() : cJSON_CreateNumber((double)t->visitors));
	cJSON_AddNumberToObject(o, "bots", (double)t->bots);
	cJSON_AddNumberToObject(o, "previews", (double)t->previews);
	cJSON_AddNumberToObject(o, "prefetches", (double)t->prefetches);
}

static void add_spans(cJSON *o, const char *name, const struct sh_span *spans, size_t n)
{
	cJSON *list = cJSON_AddArrayToObject(o, name);
	for (size_t i = 0; i < n; i++) {
		cJSON *span = cJSON_CreateObject();
		sh_json_time(span, "at", spans[i].at_ms);
		cJSON_AddNumberToObject(span, "clicks", (double)spans[i].n.clicks);
		add_tally(span, &spans[i].n);
		cJSON_AddItemToArray(list, span);
	}
}

static void add_shares(cJSON *o, const struct sh_stats *s)
{
	static const char *const names[SH_SHARES] = {
	    [SH_REFERRERS] = "referrers", [SH_COUNTRIES] = "countries", [SH_DEVICES] = "devices",
	    [SH_BROWSERS] = "browsers",	  [SH_SYSTEMS] = "systems",
	};
	for (size_t kind = 0; kind < SH_SHARES; kind++) {
		cJSON *list = cJSON_AddArrayToObject(o, names[kind]);
		for (size_t i = 0; i < s->nshares[kind]; i++) {
			cJSON *share = cJSON_CreateObject();
			cJSON_AddStringToObject(share, "name", s->shares[kind][i].name);
			cJSON_AddNumberToObject(share, "clicks", (double)s->shares[kind][i].clicks);
			cJSON_AddItemToArray(list, share);
		}
	}
}

/* ---- of one link ---- */

/* A call that knows its link and waits for the numbers. */
struct asking {
	struct sh_call *c;
	int64_t created_ms;
};

static void on_stats(void *arg, enum sd_err err, const struct sh_stats *s)
{
	struct asking *a = arg;
	struct sh_call *c = a->c;
	if (err) {
		sh_answer_failed(c, err, NULL);
		free(a);
		return;
	}
	cJSON *o = cJSON_CreateObject();
	cJSON_AddNumberToObject(o, "clicks", (double)s->total.clicks);
	sh_json_time(o, "created_at", a->created_ms);
	add_top(o, s);
	add_days(o, s);
	cJSON_AddStringToObject(o, "code", c->arg);
	cJSON_AddNumberToObject(o, "clicks_ever", (double)s->clicks_ever);
	add_tally(o, &s->total);
	add_spans(o, "days", s->days, s->ndays);
	add_spans(o, "hours", s->hours, s->nhours);
	add_shares(o, s);
	sh_answer_json(c, 200, o);
	free(a);
}

static void on_link(void *arg, const struct sd_error *e, const struct sh_link *link)
{
	struct sh_call *c = arg;
	struct asking *a = e->code ? NULL : calloc(1, sizeof(*a));
	if (e->code || !a) {
		sh_answer_failed(c, e->code ? e->code : SD_ENOMEM, e);
		return;
	}
	a->c = c;
	a->created_ms = link->created_ms;
	sh_stats(c->sh->clicks, link->id, day_of(c->query, "from"), day_of(c->query, "to"), on_stats, a);
}

/* Of a query that was checked: days of ten bytes each, so that their texts are in the order of their times. */
static bool check_order(struct sh_call *c)
{
	char from[32], to[32];
	if (!sh_query_get(c->query, "from", from, sizeof(from)) || !sh_query_get(c->query, "to", to, sizeof(to)) || strcmp(from, to) <= 0)
		return true;
	sh_answer_problem(c, SH_BAD_QUERY, "from", "from: expected a day that is not after to, %s, found %s", to, from);
	return false;
}

void sh_run_stats(struct sh_call *c)
{
	if (sh_query_check(c, sh_stats_members) && check_order(c))
		sh_store_get(c->sh->store, c->arg, on_link, c);
}

/* ---- of all ---- */

static void on_totals(void *arg, const struct sd_error *e, const struct sh_totals *t)
{
	struct sh_call *c = arg;
	if (e->code) {
		sh_answer_failed(c, e->code, e);
		return;
	}
	cJSON *o = cJSON_CreateObject();
	cJSON_AddNumberToObject(o, "urls", (double)t->links);
	cJSON_AddNumberToObject(o, "clicks", (double)t->clicks);
	sh_answer_json(c, 200, o);
}

void sh_run_totals(struct sh_call *c)
{
	sh_store_totals(c->sh->store, on_totals, c);
}
