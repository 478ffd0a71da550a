#include "run_clients.h"

#include "run.h"

/* Any worker: one line a second at most, however many are refused. */
static void on_refused(void *arg, const struct sd_peer *who, uint32_t limit)
{
	struct sd_run *run = arg;
	struct sd_run_clients *c = &run->clients;
	int64_t second = sd_world_mono_ns(run->spec.world) / 1000000000;
	if (__atomic_exchange_n(&c->told_second, second, __ATOMIC_RELAXED) == second) {
		__atomic_add_fetch(&c->skipped, 1, __ATOMIC_RELAXED);
		return;
	}
	char ip[46], more[48] = "";
	uint64_t skipped = __atomic_exchange_n(&c->skipped, 0, __ATOMIC_RELAXED);
	sd_peer_format(who, ip);
	if (skipped)
		snprintf(more, sizeof(more), " (and %llu more)", (unsigned long long)skipped);
	struct sd_field f[] = {{"client", ip, 0}, {"limit", NULL, limit}, {"skipped", NULL, (int64_t)skipped}, {0}};
	sd_event(run->log, SD_WARN, "client_refused", f,
		 "Refused a connection from %s, which has %u already (max-connections-per-client)%s", ip, limit, more);
}

static uint32_t limit_of(const struct sd_conf *conf)
{
	return (uint32_t)sd_conf_int(conf, "max-connections-per-client");
}

enum sd_err run_clients_prepare(struct sd_run *run, const struct sd_conf *conf, struct sd_error *e)
{
	struct sd_siphash_key secret;
	if (!limit_of(conf))
		return SD_OK;
	run->clients.gate.tell = on_refused;
	run->clients.gate.arg = run;
	sd_world_random(run->spec.world, &secret, sizeof(secret));
	return sd_client_gate_open(&run->clients.gate, &secret) ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
}

void run_clients_commit(struct sd_run *run, const struct sd_conf *conf)
{
	sd_client_gate_set(&run->clients.gate, limit_of(conf));
}

void run_clients_metrics(struct sd_run *run, struct sd_metrics *m)
{
	char label[160];
	const struct sd_client_gate *gate = &run->clients.gate;
	if (!gate->clients)
		return;
	sd_run_label(run, label, sizeof(label));
	sd_metrics_family(m, "sdlab_client_limit_refused_total", "counter",
			  "Connections refused because their client has as many as it may");
	sd_metrics_add(m, (double)__atomic_load_n(&gate->refused, __ATOMIC_RELAXED), "%s", label);
	sd_metrics_family(m, "sdlab_client_limit_uncounted_total", "counter",
			  "Connections let in uncounted, since too many clients are connected");
	sd_metrics_add(m, (double)__atomic_load_n(&gate->uncounted, __ATOMIC_RELAXED), "%s", label);
}
