/* ratelimit_metrics.c - counters. */
#include "ratelimit_ring.h"

static void decisions(const struct rl *rl, struct sd_metrics *m, const char *label)
{
	const struct sd_limits_counts *counts[64];
	uint64_t asked = 0;
	for (unsigned i = 0; i < rl->nworkers; i++) {
		counts[i] = &rl->workers[i]->counts;
		asked += sd_count_read(&rl->workers[i]->asked);
	}
	sd_limits_metrics(&rl->tallies, counts, rl->nworkers, m, "sdlab_ratelimit_decisions_total", label);
	sd_metrics_family(m, "sdlab_ratelimit_asked_total", "counter", "Questions of others, over HTTP and RESP");
	sd_metrics_add(m, (double)asked, "%s", label);
}

static void by(const struct rl *rl, struct sd_metrics *m, const char *label, const char *family, const char *help, const char *who)
{
	uint64_t n[2] = {0};
	for (unsigned i = 0; i < rl->nworkers; i++)
		for (int k = 0; k < 2; k++)
			n[k] += sd_count_read(&rl->workers[i]->stored[k]);
	sd_metrics_family(m, family, "counter", help);
	sd_metrics_add(m, (double)n[0], "%s,by=\"%s\"", label, who);
	sd_metrics_add(m, (double)n[1], "%s,by=\"itself\"", label);
}

static void store(const struct rl *rl, struct sd_metrics *m, const char *label)
{
	bool up = true;
	if (!rl->has_store)
		return;
	for (unsigned i = 0; i < rl->nworkers; i++)
		up &= __atomic_load_n(&rl->workers[i]->store_up, __ATOMIC_RELAXED);
	sd_metrics_family(m, "sdlab_ratelimit_store_up", "gauge", "1 while all threads reach the store of shared limits");
	sd_metrics_add(m, up, "%s", label);
	by(rl, m, label, "sdlab_ratelimit_store_decisions_total", "Decisions of the store, and those made without it", "store");
}

static void peers(const struct rl *rl, struct sd_metrics *m, const char *label)
{
	uint64_t asked = 0, strays = 0;
	if (!rl->members)
		return;
	rl_ring_metrics(rl, m, label);
	for (unsigned i = 0; i < rl->nworkers; i++) {
		asked += sd_count_read(&rl->workers[i]->asked_by_peers);
		strays += sd_count_read(&rl->workers[i]->strays);
	}
	by(rl, m, label, "sdlab_ratelimit_peer_decisions_total", "Decisions of who owns the keys, and those made without an owner", "owner");
	sd_metrics_family(m, "sdlab_ratelimit_peer_asked_total", "counter", "Questions of peers");
	sd_metrics_add(m, (double)asked, "%s", label);
	sd_metrics_family(m, "sdlab_ratelimit_peer_strays_total", "counter", "Keys that a peer asked for and that are another's: lists differ");
	sd_metrics_add(m, (double)strays, "%s", label);
}

void rl_metrics(void *self, struct sd_metrics *m)
{
	struct rl *rl = self;
	const struct sd_http_server *servers[64];
	char label[160];
	for (unsigned i = 0; i < rl->nworkers; i++)
		servers[i] = &rl->workers[i]->server;
	sd_run_http_metrics(rl->run, m, servers, rl->nworkers);
	sd_run_label(rl->run, label, sizeof(label));
	decisions(rl, m, label);
	store(rl, m, label);
	peers(rl, m, label);
	sd_metrics_family(m, "sdlab_ratelimit_keys", "gauge", "Keys for which something counts, as of the last look at all");
	sd_metrics_add(m, (double)rl->live, "%s", label);
	sd_limits_table_metrics(rl->table, m, "sdlab_ratelimit", label);
}
