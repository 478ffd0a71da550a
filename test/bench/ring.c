/* Lookups a second on a ring, time to build it, bytes, and how evenly keys lie: as one line for each number of nodes.
 *
 *	ring [SECONDS]
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "core/rng.h"
#include "sdlab/ring.h"

#define KEYS 65536

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static struct sd_ring *build(size_t n)
{
	static struct sd_ring_node nodes[SD_RING_MAX_NODES];
	static char names[SD_RING_MAX_NODES][32];
	struct sd_ring *r;
	for (size_t i = 0; i < n; i++) {
		snprintf(names[i], sizeof(names[i]), "10.0.%zu.%zu:8080", i / 250, i % 250);
		nodes[i] = (struct sd_ring_node){.id = i, .name = sd_slice_of(names[i]), .weight = 1};
	}
	return sd_ring_build(&(struct sd_ring_conf){.seed = 1}, nodes, n, &r) ? NULL : r;
}

static uint32_t load_of(void *arg, size_t i)
{
	return ((uint32_t *)arg)[i];
}

/* A key of 16 bytes is hashed each time; bounded: every node has the same, so the owner has room. */
static double lookups(const struct sd_ring *r, double seconds, bool bounded)
{
	static uint64_t keys[KEYS][2];
	static uint32_t loads[SD_RING_MAX_NODES];
	struct sd_ring_bound bound = {1.25, load_of, loads};
	struct sd_rng rng;
	unsigned sum = 0;
	double n = 0, begun, took;
	sd_rng_seed(&rng, 7);
	for (size_t k = 0; k < KEYS; k++)
		keys[k][0] = sd_rng_next(&rng);
	begun = now_s();
	do {
		size_t batch = bounded ? 1024 : KEYS;
		for (size_t k = 0; k < batch; k++) {
			uint64_t hash = sd_ring_hash(r, keys[k], sizeof(keys[k]));
			sum += (unsigned)(bounded ? sd_ring_lookup_bounded(r, hash, &bound) : sd_ring_lookup(r, hash));
		}
		n += (double)batch;
		took = now_s() - begun;
	} while (took < seconds);
	return sum == 1 ? 0 : n / took;
}

int main(int argc, char **argv)
{
	static const size_t counts[] = {3, 10, 100, 1000};
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
	printf("%6s %8s %14s %16s %10s %8s %10s\n", "nodes", "points", "lookups/s", "bounded/s", "build ms", "KiB", "max/mean");
	for (size_t i = 0; i < sizeof(counts) / sizeof(counts[0]); i++) {
		size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
		double begun = now_s(), most = 0;
		struct sd_ring *r = build(counts[i]);
		double took = now_s() - begun;
		size_t bytes = mallinfo2().uordblks + mallinfo2().hblkhd - before;
		if (!r)
			return 1;
		for (size_t k = 0; k < counts[i]; k++)
			most = sd_ring_share(r, k) > most ? sd_ring_share(r, k) : most;
		printf("%6zu %8zu %14.0f %16.0f %10.2f %8zu %10.3f\n", counts[i], sd_ring_points(r), lookups(r, seconds, false),
		       lookups(r, seconds, true), took * 1e3, bytes / 1024, most * (double)counts[i]);
		sd_ring_release(r);
	}
	return 0;
}
