/* pool_top.c - a pool to watch while users come and go. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "pool.h"

#define FRAME_NS 500000000ll
#define BAR      40
#define HOLDERS  5

static void bar(FILE *out, const struct sd_pool_stats *p, uint32_t conns)
{
	uint32_t lent = p->lent * BAR / conns, idle = p->idle * BAR / conns;
	fputc('[', out);
	for (uint32_t i = 0; i < BAR; i++)
		fputc(i < lent ? '#' : i < lent + idle ? '-' : ' ', out);
	fprintf(out, "] %u in use, %u idle of %u\n", p->lent, p->idle, conns);
}

static void holders(struct crowd *c, FILE *out)
{
	struct sd_pool_held held[HOLDERS];
	size_t n = sd_pool_shared_holders(c->pool, held, HOLDERS);
	fputs("held longest:\n", out);
	for (size_t i = 0; i < n; i++) {
		const char *slash = strrchr(held[i].holder.site->file, '/');
		fprintf(out, "  %8.1f ms  %s:%d %s, thread %" PRIu64 "\n", (double)held[i].age_ns / 1e6,
			slash ? slash + 1 : held[i].holder.site->file, held[i].holder.site->line, held[i].holder.tag, held[i].holder.who);
	}
}

static void frame(struct crowd *c, struct sd_pool_stats *before, double seconds)
{
	FILE *out = c->call->out;
	struct sd_pool_stats p;
	sd_pool_shared_stats(c->pool, &p);
	bar(out, &p, c->nconns);
	fprintf(out, "%u waiting, %.0f leases/s, %" PRIu64 " timeouts, %" PRIu64 " opened, %" PRIu64 " closed\n", p.waiting,
		(double)(p.leases - before->leases) / seconds, p.timeouts, p.opened, p.destroyed);
	fprintf(out, "waited: %.1f ms at the median, %.1f ms at 99 %%, %.1f ms the longest\n",
		(double)sd_pool_shared_wait_at(c->pool, 50) / 1e6, (double)sd_pool_shared_wait_at(c->pool, 99) / 1e6,
		(double)p.longest_wait_ns / 1e6);
	holders(c, out);
	*before = p;
}

int pool_top(struct crowd *c, int64_t duration_ns)
{
	struct sd_pool_stats before = {0};
	bool terminal = sd_world_is_terminal(c->world, 1);
	int64_t last = sd_world_mono_ns(c->world), end = last + duration_ns;
	if (pool_crowd_begin(c, &c->e))
		return c->failed = 1;
	while (last < end && !__atomic_load_n(&c->failed, __ATOMIC_ACQUIRE)) {
		sd_world_sleep_ns(c->world, end - last < FRAME_NS ? end - last : FRAME_NS);
		int64_t now = sd_world_mono_ns(c->world);
		if (terminal)
			fputs("\033[H\033[2J", c->call->out);
		frame(c, &before, (double)(now - last) / 1e9);
		fputs("\n", c->call->out);
		fflush(c->call->out);
		last = now;
	}
	return c->failed != 0;
}
