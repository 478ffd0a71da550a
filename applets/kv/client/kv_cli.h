/* kv_cli.h - the verbs that talk to a store which serves, or measure one.
 *
 *	kv_cli.c         commands as they are typed, and where their answers came from
 *	kv_top.c         levels, memory, stalls, live
 *	kv_bench.c       a benchmark: its options and its report
 *	kv_bench_dir.c     of the engine in this process
 *	kv_bench_net.c     of a server
 */
#ifndef KV_CLI_H
#define KV_CLI_H

#include "app/resp_cli.h"
#include "core/kv_load.h"

#define KV_SERVER_OPTIONS SD_RESP_CLI_OPTIONS("SDLAB_KV_URL", "6379")

extern const struct sd_resp_cli_kind kv_cli_kind;

extern const struct sd_option kv_cli_options[], kv_top_options[], kv_bench_options[];
int kv_cli(struct sd_verb_call *call);
int kv_top(struct sd_verb_call *call);
int kv_bench(struct sd_verb_call *call);

/* What a workload took, for the report. */
struct kv_bench_result {
	uint64_t ops, found, entries;
	double seconds;
	int64_t p50_ns, p99_ns, max_ns;
	double cpu_us;		   /* an operation; < 0: unknown */
	double written, on_disk;   /* bytes written for each of the user's, bytes in the folder for each that is alive; < 0: unknown */
	uint64_t resident, peak;   /* 0: unknown */
};
void kv_bench_say(const struct sd_verb_call *call, const struct sd_kv_load_conf *conf, const struct kv_bench_result *r);
/* Each runs workloads, a name after another, on one store; the exit status. */
int kv_bench_dir(struct sd_verb_call *call, const struct sd_kv_workload *const *workloads, size_t n, const struct sd_kv_load_conf *conf);
int kv_bench_net(struct sd_verb_call *call, const struct sd_kv_workload *const *workloads, size_t n, const struct sd_kv_load_conf *conf);
/* The configuration of a workload: how many operations. */
struct sd_kv_load_conf kv_bench_conf(const struct sd_kv_load_conf *all, const struct sd_kv_workload *w, size_t nth);

#endif
