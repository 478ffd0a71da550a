/* Lookups a second on rings of every kind, with hashing the key, time to build, bytes, how evenly keys lie, and what moves
 * when a node goes; then beside libmemcached, where it was compiled in (-DWITH_LIBMEMCACHED).
 *
 *	ring [SECONDS]      for each figure
 */
#include <malloc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "core/rng.h"
#include "sdlab/ring.h"

#define KEYS 65536
#define NAME 32

static char names[SD_RING_MAX_NODES][NAME];
static char keys[KEYS][16]; /* of 15 bytes */

static double now_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void make_texts(void)
{
	struct sd_rng rng;
	sd_rng_seed(&rng, 7);
	for (size_t i = 0; i < SD_RING_MAX_NODES; i++)
		snprintf(names[i], NAME, "10.0.%zu.%zu:8080", i / 250, i % 250);
	for (size_t i = 0; i < KEYS; i++)
		snprintf(keys[i], sizeof(keys[i]), "user:%010u", (unsigned)(sd_rng_next(&rng) % 10000000000u % 4294967295u));
}

static struct sd_ring *build(const struct sd_ring_conf *conf, size_t n, size_t gone)
{
	static struct sd_ring_node nodes[SD_RING_MAX_NODES];
	struct sd_ring *r;
	for (size_t i = 0; i < n; i++)
		nodes[i] = (struct sd_ring_node){.id = i, .name = sd_slice_of(names[i]), .weight = i != gone};
	return sd_ring_build(conf, nodes, n, &r) ? NULL : r;
}

static uint32_t load_of(void *arg, size_t i)
{
	return ((uint32_t *)arg)[i];
}

/* bounded: every node has the same, so the owner has room, but all are asked. */
static double lookups(const struct sd_ring *r, double seconds, bool bounded)
{
	static uint32_t loads[SD_RING_MAX_NODES];
	struct sd_ring_bound bound = {1.25, load_of, loads};
	volatile unsigned sum = 0;
	double n = 0, begun = now_s(), took;
	size_t batch = 1024;
	for (size_t at = 0;; at = (at + batch) % KEYS) {
		for (size_t k = at; k < at + batch; k++) {
			uint64_t hash = sd_ring_hash(r, keys[k], sizeof(keys[k]) - 1);
			sum += (unsigned)(bounded ? sd_ring_lookup_bounded(r, hash, &bound) : sd_ring_lookup(r, hash));
		}
		n += (double)batch;
		took = now_s() - begun;
		if (took >= seconds)
			return n / took;
	}
}

/* Of the keys, when one of n nodes goes. */
static double moved(const struct sd_ring_conf *conf, const struct sd_ring *r, size_t n)
{
	struct sd_ring *s = build(conf, n, n / 2);
	double count = 0;
	for (size_t k = 0; s && k < KEYS; k++) {
		uint64_t hash = sd_ring_hash(r, keys[k], sizeof(keys[k]) - 1);
		count += sd_ring_lookup(r, hash) != sd_ring_lookup(s, hash);
	}
	sd_ring_release(s);
	return count / KEYS;
}

struct row {
	const char *name;
	struct sd_ring_conf conf;
};

static const struct row rows[] = {
    {"vnodes xxh3", {.kind = SD_RING_VNODES, .seed = 1}},
    {"vnodes siphash", {.kind = SD_RING_VNODES, .seed = 1, .seed_high = 2, .hash = SD_RING_SIPHASH}},
    {"vnodes md5", {.kind = SD_RING_VNODES, .hash = SD_RING_MD5}},
    {"rendezvous", {.kind = SD_RING_RENDEZVOUS, .seed = 1}},
    {"maglev", {.kind = SD_RING_MAGLEV, .seed = 1}},
    {"jump", {.kind = SD_RING_JUMP, .seed = 1}},
    {"libketama", {.kind = SD_RING_LIBKETAMA}},
    {"twemproxy", {.kind = SD_RING_TWEMPROXY}},
    {"nginx", {.kind = SD_RING_NGINX}},
};

static const size_t counts[] = {3, 10, 100, 1000};
#define COUNTS (sizeof(counts) / sizeof(counts[0]))

static int measure(const struct row *row, size_t n, double seconds)
{
	size_t before = mallinfo2().uordblks + mallinfo2().hblkhd;
	double begun = now_s(), most = 0;
	struct sd_ring *r = build(&row->conf, n, n);
	double took = now_s() - begun;
	size_t bytes = mallinfo2().uordblks + mallinfo2().hblkhd - before;
	if (!r)
		return 1;
	for (size_t k = 0; k < n; k++)
		most = sd_ring_share(r, k) > most ? sd_ring_share(r, k) : most;
	printf("%-15s %6zu %8zu %12.0f %12.0f %9.2f %8zu %9.3f %8.2f%% %6.2f%%\n", row->name, n, sd_ring_points(r),
	       lookups(r, seconds, false), lookups(r, seconds, true), took * 1e3, bytes / 1024, most * (double)n,
	       100 * moved(&row->conf, r, n), 100 / (double)n);
	sd_ring_release(r);
	return 0;
}

#ifdef WITH_LIBMEMCACHED
#include <libmemcached/memcached.h>

#define ROUNDS 7

static memcached_st *theirs(size_t n)
{
	memcached_st *m = memcached_create(NULL);
	memcached_server_list_st list = NULL;
	memcached_return_t rc;
	memcached_behavior_set(m, MEMCACHED_BEHAVIOR_KETAMA_WEIGHTED, 1);
	for (size_t i = 0; i < n; i++) {
		char host[NAME];
		snprintf(host, sizeof(host), "%.*s", (int)strcspn(names[i], ":"), names[i]);
		list = memcached_server_list_append_with_weight(list, host, 8080, 1, &rc);
	}
	memcached_server_push(m, list);
	memcached_server_list_free(list);
	return m;
}

static double their_lookups(const memcached_st *m, double seconds)
{
	volatile unsigned sum = 0;
	double n = 0, begun = now_s(), took;
	for (size_t at = 0;; at = (at + 1024) % KEYS) {
		for (size_t k = at; k < at + 1024; k++)
			sum += memcached_generate_hash(m, keys[k], sizeof(keys[k]) - 1);
		n += 1024;
		took = now_s() - begun;
		if (took >= seconds)
			return n / took;
	}
}

static int compare_doubles(const void *a, const void *b)
{
	const double *x = a, *y = b;
	return *x < *y ? -1 : *x > *y;
}

/* In turns; the ratio of what a lookup costs, ours to theirs, pair by pair. First, that both do the same. */
static int beside(const struct row *row, size_t n, double seconds, bool same)
{
	struct sd_ring *r = build(&row->conf, n, n);
	memcached_st *m = theirs(n);
	double ours[ROUNDS], them[ROUNDS], ratio[ROUNDS];
	for (size_t k = 0; same && k < KEYS; k++)
		if (sd_ring_lookup(r, sd_ring_hash(r, keys[k], 15)) != (int)memcached_generate_hash(m, keys[k], 15)) {
			fprintf(stderr, "%s is not where libmemcached has it\n", keys[k]);
			return 1;
		}
	for (int i = 0; i < ROUNDS; i++) {
		ours[i] = 1e9 / lookups(r, seconds, false);
		them[i] = 1e9 / their_lookups(m, seconds);
		ratio[i] = ours[i] / them[i];
	}
	qsort(ours, ROUNDS, sizeof(double), compare_doubles);
	qsort(them, ROUNDS, sizeof(double), compare_doubles);
	qsort(ratio, ROUNDS, sizeof(double), compare_doubles);
	printf("%-15s %6zu %12.1f %14.1f %8.2f   %.2f to %.2f\n", row->name, n, ours[ROUNDS / 2], them[ROUNDS / 2], ratio[ROUNDS / 2],
	       ratio[0], ratio[ROUNDS - 1]);
	memcached_free(m);
	sd_ring_release(r);
	return 0;
}

static int beside_all(double seconds)
{
	printf("\nBeside libmemcached %s (weighted ketama), %d rounds in turns: ns of CPU a lookup\n%-15s %6s %12s %14s %8s   %s\n",
	       LIBMEMCACHED_VERSION_STRING, ROUNDS, "ours", "nodes", "ours", "libmemcached", "ratio", "least to most");
	/* It takes no more than 100 servers. */
	static const size_t servers[] = {3, 10, 30, 100};
	for (size_t k = 0; k < COUNTS; k++)
		if (beside(&rows[7], servers[k], seconds, true) || beside(&rows[0], servers[k], seconds, false))
			return 1;
	return 0;
}
#else
static int beside_all(double seconds)
{
	(void)seconds;
	printf("\nlibmemcached: needs package libmemcached-dev\n");
	return 0;
}
#endif

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 1;
	make_texts();
	printf("%-15s %6s %8s %12s %12s %9s %8s %9s %9s %7s\n", "kind", "nodes", "points", "lookups/s", "bounded/s", "build ms", "KiB",
	       "max/mean", "moved", "least");
	for (size_t k = 0; k < sizeof(rows) / sizeof(rows[0]); k++)
		for (size_t i = 0; i < COUNTS; i++)
			if (measure(&rows[k], counts[i], seconds))
				return 1;
	return beside_all(seconds);
}
