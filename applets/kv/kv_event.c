/* kv_event.c - events of the store as text. */
#include "kv_event.h"

#include <stdio.h>

typedef unsigned long long ull;

static void table(const struct sd_kv_event *e, char *text, size_t size)
{
	char filter[60] = "no filter";
	if (e->filter_rate > 0)
		snprintf(filter, sizeof(filter), "bloom filter: %.2g FP rate", e->filter_rate);
	if (e->from_level < 0)
		snprintf(text, size, "Created SSTable L%d_%s (%llu keys, %s)", e->level, e->name, (ull)e->keys, filter);
	else
		snprintf(text, size, "Created L%d_%s (merged %llu keys)", e->level, e->name, (ull)e->keys);
}

static void compaction(const struct sd_kv_event *e, char *text, size_t size)
{
	char to[60] = "";
	if (e->level != e->from_level)
		snprintf(to, sizeof(to), " + L%d (%llu tables)", e->level, (ull)e->to_tables);
	snprintf(text, size, "Compacting L%d (%llu tables)%s...", e->from_level, (ull)e->tables, to);
}

static void compacted(const struct sd_kv_event *e, char *text, size_t size)
{
	snprintf(text, size, "Deleted %llu old SSTables", (ull)e->gone);
}

bool kv_event_text(const struct sd_kv_event *e, char *text, size_t size)
{
	static void (*const fns[SD_KV_EVENT_KINDS])(const struct sd_kv_event *e, char *text, size_t size) = {
	    [SD_KV_EVENT_TABLE] = table,
	    [SD_KV_EVENT_COMPACTION] = compaction,
	    [SD_KV_EVENT_COMPACTED] = compacted,
	};
	if (e->kind >= SD_KV_EVENT_KINDS || !fns[e->kind])
		return false;
	fns[e->kind](e, text, size);
	return true;
}
