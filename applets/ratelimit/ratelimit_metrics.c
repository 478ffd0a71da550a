/* ratelimit_metrics.c - counters. */
#include <stdio.h>
#include <string.h>

#include "ratelimit.h"

unsigned rl_tally(struct rl *rl, const char *name)
{
	unsigned i = 0;
	while (i < rl->ntallies && strcmp(rl->tallies[i], name) != 0)
		i++;
	if (i == rl->ntallies && i < RL_TALLIES)
		snprintf(rl->tallies[rl->ntallies++], RL_NAME, "%s", name);
	return i;
}

static uint64_t sum(const struct rl *rl, unsigned tally, enum rl_count what)
{
	uint64_t n = 0;
	for (unsigned i = 0; i < rl->nworkers; i++)
		n += sd_count_read(&rl->workers[i]->counts[tally][what]);
	return n;
}

static void decisions(const struct rl *rl, struct sd_metrics *m, const char *label)
{
	static const char *const names[] = {"allowed", "refused", "shadowed"};
	uint64_t asked = 0;
	sd_metrics_family(m, "sdlab_ratelimit_decisions_total", "counter", "Decisions of each rule; shadowed: it would have refused");
	for (unsigned i = 0; i < rl->ntallies; i++)
		for (int k = 0; k < RL_COUNTS; k++)
			sd_metrics_add(m, (double)sum(rl, i, (enum rl_count)k), "%s,rule=\"%s\",decision=\"%s\"", label, rl->tallies[i],
				       names[k]);
	for (unsigned i = 0; i < rl->nworkers; i++)
		asked += sd_count_read(&rl->workers[i]->asked);
	sd_metrics_family(m, "sdlab_ratelimit_asked_total", "counter", "Questions of others, over HTTP and RESP");
	sd_metrics_add(m, (double)asked, "%s", label);
}

static void store(const struct rl *rl, struct sd_metrics *m, const char *label)
{
	uint64_t n[2] = {0};
	bool up = true;
	if (!rl->has_store)
		return;
	for (unsigned i = 0; i < rl->nworkers; i++) {
		up &= __atomic_load_n(&rl->workers[i]->store_up, __ATOMIC_RELAXED);
		for (int k = 0; k < 2; k++)
			n[k] += sd_count_read(&rl->workers[i]->stored[k]);
	}
	sd_metrics_family(m, "sdlab_ratelimit_store_up", "gauge", "1 while all threads reach the store of shared limits");
	sd_metrics_add(m, up, "%s", label);
	sd_metrics_family(m, "sdlab_ratelimit_store_decisions_total", "counter", "Decisions of the store, and those made without it");
	sd_metrics_add(m, (double)n[0], "%s,by=\"store\"", label);
	sd_metrics_add(m, (double)n[1], "%s,by=\"itself\"", label);
}

void rl_metrics(void *self, struct sd_metrics *m)
{
	struct rl *rl = self;
	const struct sd_http_server *servers[64];
	struct sd_ratelimit_stats s;
	char label[160];
	for (unsigned i = 0; i < rl->nworkers; i++)
		servers[i] = &rl->workers[i]->server;
	sd_run_http_metrics(rl->run, m, servers, rl->nworkers);
	sd_run_label(rl->run, label, sizeof(label));
	decisions(rl, m, label);
	store(rl, m, label);
	sd_ratelimit_stats(rl->table, &s);
	sd_metrics_family(m, "sdlab_ratelimit_keys", "gauge", "Keys for which something counts, as of the last look at all");
	sd_metrics_add(m, (double)rl->live, "%s", label);
	sd_metrics_family(m, "sdlab_ratelimit_keys_max", "gauge", "Places for keys");
	sd_metrics_add(m, (double)s.max_keys, "%s", label);
	sd_metrics_family(m, "sdlab_ratelimit_evicted_total", "counter", "Keys forgotten before their time, for want of places");
	sd_metrics_add(m, (double)s.evicted, "%s", label);
	sd_metrics_family(m, "sdlab_ratelimit_log_bytes", "gauge", "Memory of sliding logs");
	sd_metrics_add(m, (double)s.log_bytes, "%s", label);
	sd_metrics_family(m, "sdlab_ratelimit_log_coarser_total", "counter", "Moments of sliding logs joined for want of memory");
	sd_metrics_add(m, (double)s.coarser, "%s", label);
}
