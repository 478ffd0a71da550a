/* kv_metrics.c - counters, for /metrics. */
#include "core/count.h"
#include "kv_server.h"

static void of_levels(const struct sd_kv_stats *x, struct sd_metrics *m, const char *label)
{
	sd_metrics_family(m, "sdlab_kv_level_tables", "gauge", "Tables of a level");
	for (int i = 0; i < SD_KV_LEVELS; i++)
		sd_metrics_add(m, (double)x->levels[i].tables, "%s,level=\"%d\"", label, i);
	sd_metrics_family(m, "sdlab_kv_level_bytes", "gauge", "Bytes of a level's tables");
	for (int i = 0; i < SD_KV_LEVELS; i++)
		sd_metrics_add(m, (double)x->levels[i].bytes, "%s,level=\"%d\"", label, i);
}

void kv_metrics(void *self, struct sd_metrics *m)
{
	struct kv_server *s = self;
	struct sd_kv_stats x;
	char label[160];
	if (!s->db)
		return;
	sd_run_label(s->run, label, sizeof(label));
	sd_kv_stats_get(s->db, &x);
	const struct {
		const char *name, *type, *help;
		double value;
	} rows[] = {
	    {"sdlab_kv_commands_total", "counter", "Commands run", (double)sd_count_read(&s->counts[KV_COMMANDS])},
	    {"sdlab_kv_errors_total", "counter", "Replies that were an error", (double)sd_count_read(&s->counts[KV_ERRORS])},
	    {"sdlab_kv_hits_total", "counter", "Reads that found their key", (double)sd_count_read(&s->counts[KV_HITS])},
	    {"sdlab_kv_misses_total", "counter", "Reads that did not", (double)sd_count_read(&s->counts[KV_MISSES])},
	    {"sdlab_kv_refused_total", "counter", "Connections told that nothing was written", (double)sd_count_read(&s->counts[KV_REFUSED])},
	    {"sdlab_kv_rejected_connections_total", "counter", "Connections refused, there were too many", (double)sd_count_read(&s->front.rejected)},
	    {"sdlab_kv_accept_pauses_total", "counter", "Times accepting paused because descriptors ran out",
	     (double)sd_count_read(&s->streams.starved)},
	    {"sdlab_kv_keys", "gauge", "Keys, about", (double)x.keys},
	    {"sdlab_kv_memtable_bytes", "gauge", "Bytes of the memtable", (double)x.memtable_bytes},
	    {"sdlab_kv_memtables_waiting", "gauge", "Memtables that wait to be tables", (double)x.immutables},
	    {"sdlab_kv_log_bytes", "gauge", "Bytes of logs that are needed", (double)x.log_bytes},
	    {"sdlab_kv_blob_bytes", "gauge", "Bytes of files of large values", (double)x.blob_file_bytes},
	    {"sdlab_kv_write_amplification", "gauge", "Bytes written to the disk for each byte of keys and values", sd_kv_write_amplification(&x)},
	    {"sdlab_kv_debt_bytes", "gauge", "Bytes that compaction owes", (double)x.debt_bytes},
	    {"sdlab_kv_user_bytes_total", "counter", "Bytes of keys and values written", (double)x.user_bytes},
	    {"sdlab_kv_compacted_bytes_total", "counter", "Bytes that compaction wrote", (double)x.compacted_bytes},
	    {"sdlab_kv_flushes_total", "counter", "Memtables that became tables", (double)x.flushes},
	    {"sdlab_kv_compactions_total", "counter", "Compactions", (double)x.compactions},
	    {"sdlab_kv_syncs_total", "counter", "Times that the log was put on the disk", (double)x.syncs},
	    {"sdlab_kv_cache_bytes", "gauge", "Bytes of blocks in the cache", (double)x.cache_bytes},
	    {"sdlab_kv_cache_hits_total", "counter", "Blocks that were in the cache", (double)x.cache_hits},
	    {"sdlab_kv_cache_misses_total", "counter", "Blocks that were read from the disk", (double)x.cache_misses},
	    {"sdlab_kv_filter_spared_total", "counter", "Tables that a filter spared", (double)x.filter_spared},
	    {"sdlab_kv_filter_wrong_total", "counter", "Tables read for nothing in spite of a filter", (double)x.filter_wrong},
	    {"sdlab_kv_stalls_total", "counter", "Writes that were delayed", (double)x.stalls},
	    {"sdlab_kv_stall_seconds_total", "counter", "How long writes were delayed together", (double)x.stall_us / 1e6},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		sd_metrics_family(m, rows[i].name, rows[i].type, rows[i].help);
		sd_metrics_add(m, rows[i].value, "%s", label);
	}
	of_levels(&x, m, label);
}
