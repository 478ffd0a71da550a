/* sh_lookup_conf.c - what can be set, what is counted, and what is said of it. */
#include <stdio.h>

#include "sh_lookup_int.h"

#define MS 1000000ll

/* ---- options ---- */

/* Times of which the argument in sh_lookup.h makes use. */
static const struct {
	const char *name;
	int64_t min_ms, max_ms;
	const char *expected;
} times[] = {
    {"cache-life", 1000, 86400000, "from 1s to 24h"},
    {"unknown-life", 100, 86400000, "from 100ms to 24h"},
    {"stale-while-down", 0, 30 * 86400000ll, "up to 720h"},
    {"lookup-timeout", 10, SH_FILL_MS, "from 10ms to 10s"},
    {"cache-timeout", 1, SH_FILL_MS, "from 1ms to 10s"},
};

enum sd_err sh_lookup_check(const struct sd_conf *conf, struct sd_error *e)
{
	for (size_t i = 0; i < sizeof(times) / sizeof(times[0]); i++) {
		int64_t ms = sd_conf_int(conf, times[i].name) / MS;
		if (ms < times[i].min_ms || ms > times[i].max_ms)
			return sd_fail(e, SD_EUSAGE, "%s: expected a time %s", sd_conf_at(conf, times[i].name),
				       times[i].expected);
	}
	const char *prefix = sd_conf_string(conf, "cache-prefix");
	size_t n = strlen(prefix);
	if (n > 100 || strpbrk(prefix, " \t\r\n"))
		return sd_fail(e, SD_EUSAGE, "%s: expected at most 100 bytes without blanks", sd_conf_at(conf, "cache-prefix"));
	if (sd_conf_has(conf, "cache") && sh_shared_check(sd_conf_string(conf, "cache"), e))
		return sd_wrap(e, "%s", sd_conf_at(conf, "cache"));
	return SD_OK;
}

/* ---- what is said of it ---- */

bool sh_lookup_ready(const struct sh_lookup *k, char *why, size_t n)
{
	if (k->store_away) {
		snprintf(why, n, "links that are at hand redirect, for others the database does not answer: %s", k->why);
		return false;
	}
	return !k->shared || sh_shared_ready(k->shared, why, n);
}

enum { WORKER, FLIGHTS, GAUGE };

static uint64_t sum(const struct sh_lookup *k, int from, size_t at)
{
	uint64_t n = 0;
	if (from == FLIGHTS)
		return sd_count_read((const uint64_t *)(const void *)((const char *)&k->n + at));
	for (unsigned i = 0; i < k->nworkers; i++) {
		const char *base = from == WORKER ? (const char *)&k->workers[i]->n : (const char *)k->workers[i]->gauges;
		n += sd_count_read((const uint64_t *)(const void *)(base + at));
	}
	return n;
}

#define W(field) WORKER, offsetof(struct sh_lookup_counts, field)
#define F(field) FLIGHTS, offsetof(struct sh_flight_counts, field)
#define G(i)	 GAUGE, (i) * sizeof(uint64_t)

static const struct {
	const char *family, *type, *help; /* family NULL: that before it */
	const char *label;
	int from;
	size_t at;
} rows[] = {
    {"sdlab_shortener_lookups_total", "counter", "Redirects and codes that are none, by where the answer was", "from=\"hand\"", W(hits)},
    {NULL, NULL, NULL, "from=\"hand-unknown\"", W(none_hits)},
    {NULL, NULL, NULL, "from=\"elsewhere\"", W(misses)},
    {"sdlab_shortener_lookup_stale_total", "counter", "Answers that were out of date while the database was away", NULL, W(stale)},
    {"sdlab_shortener_lookup_away_total", "counter", "Answers that nobody could give", NULL, W(away)},
    {"sdlab_shortener_lookup_refused_total", "counter", "Answers not given since too many waited", "where=\"worker\"", W(refused)},
    {NULL, NULL, NULL, "where=\"control\"", F(refused)},
    {"sdlab_shortener_visits_total", "counter", "Visits of links with a limit that the database was asked for", NULL, W(visits)},
    {"sdlab_shortener_flights_total", "counter", "Questions for a code, however many waited for each", NULL, F(flights)},
    {"sdlab_shortener_flight_timeouts_total", "counter", "Of these, not answered in time", NULL, F(timeouts)},
    {"sdlab_shortener_store_errors_total", "counter", "Questions that the database did not answer", NULL, F(store_errors)},
    {"sdlab_shortener_cache_lookups_total", "counter", "What the shared cache said", "result=\"hit\"", F(cache_hits)},
    {NULL, NULL, NULL, "result=\"miss\"", F(cache_misses)},
    {NULL, NULL, NULL, "result=\"error\"", F(cache_errors)},
    {"sdlab_shortener_cache_fills_total", "counter", "Links put into the shared cache", NULL, F(cache_fills)},
    {"sdlab_shortener_changes_total", "counter", "Changes of links", "from=\"here\"", F(changes)},
    {NULL, NULL, NULL, "from=\"elsewhere\"", F(heard)},
    {"sdlab_shortener_changes_told_total", "counter", "Changes that other servers were told", NULL, F(told)},
    {"sdlab_shortener_changes_untold_total", "counter", "Changes to be told later since the shared cache did not take them", NULL, F(untold)},
    {"sdlab_shortener_changes_lost_total", "counter", "Changes that others hear of when their time is over only", NULL, F(lost)},
    {"sdlab_shortener_at_hand", "gauge", "Links, and codes that are none, at hand", "kind=\"link\"", G(0)},
    {NULL, NULL, NULL, "kind=\"unknown\"", G(1)},
    {"sdlab_shortener_at_hand_bytes", "gauge", "Memory for these", NULL, G(2)},
    {"sdlab_shortener_evicted_total", "counter", "Of these, pushed out", NULL, G(3)},
};

void sh_lookup_metrics(const struct sh_lookup *k, struct sd_metrics *m, const char *label)
{
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].family)
			sd_metrics_family(m, rows[i].family, rows[i].type, rows[i].help);
		sd_metrics_add(m, (double)sum(k, rows[i].from, rows[i].at), "%s%s%s", label, rows[i].label ? "," : "",
			       rows[i].label ? rows[i].label : "");
	}
}
