/* What it costs to borrow and return: the engine alone, and the pool for threads, by one thread and by two, at sizes from 1 to 1000.
 *
 *	pool [SECONDS]      for each figure; prints WHAT,SIZE,NS a row
 */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sdlab/pool.h"

#define BATCH 4096

static int64_t now_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000000ll + t.tv_nsec;
}

/* Processor time of all threads: what else runs on the machine does not count. */
static double cpu_ns(void)
{
	struct timespec t;
	clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
	return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

static enum sd_err open_one(void *arg, void **out, struct sd_error *e)
{
	(void)arg;
	(void)e;
	*out = malloc(1);
	return SD_OK;
}

static void close_one(void *arg, void *resource, enum sd_pool_why why)
{
	(void)arg;
	(void)why;
	free(resource);
}

static const struct sd_pool_hooks hooks = {.open = open_one, .close = close_one};
static double seconds = 1;

static struct sd_pool_conf of_size(uint32_t n)
{
	struct sd_pool_conf conf = sd_pool_defaults;
	conf.max_size = n;
	conf.max_opening = 8;
	conf.leak_ns = 60000000000ll;
	return conf;
}

static double engine(uint32_t n)
{
	struct sd_pool_conf conf = of_size(n);
	struct sd_pool_holder me = {SD_POOL_HERE, "bench", 1};
	struct sd_pool_lease l, *all = calloc(n, sizeof(*all));
	struct sd_pool *p;
	double pairs = 0;
	int64_t t = 1;
	if (!all || sd_pool_new(&conf, 1, &p, NULL))
		exit(1);
	for (uint32_t i = 0; i < n; i++)
		sd_pool_add(p, t, &all[i], &me, &all[i]);
	for (uint32_t i = 0; i < n; i++)
		sd_pool_put(p, t, &all[i], false);
	double begun = cpu_ns(), end = begun + seconds * 1e9, now = begun;
	for (; now < end; now = cpu_ns(), pairs += BATCH)
		for (int i = 0; i < BATCH; i++) {
			if (sd_pool_take(p, ++t, &me, &l))
				exit(1);
			sd_pool_put(p, ++t, &l, false);
		}
	sd_pool_free(p);
	free(all);
	return (now - begun) / pairs;
}

struct worker {
	pthread_t id;
	struct sd_pool_shared *pool;
	double pairs;
};

static void *work(void *arg)
{
	struct worker *w = arg;
	struct sd_pool_lease l;
	int64_t begun = now_ns(), end = begun + (int64_t)(seconds * 1e9), now = begun;
	for (; now < end; now = now_ns(), w->pairs += BATCH)
		for (int i = 0; i < BATCH; i++) {
			if (sd_pool_get(w->pool, SD_POOL_NEVER, "bench", &l, NULL))
				exit(1);
			sd_pool_give(w->pool, &l);
		}
	return NULL;
}

/* Processor time of all threads for each pair. */
static double shared(uint32_t n, int threads)
{
	struct sd_pool_conf conf = of_size(n);
	struct worker w[8] = {0};
	struct sd_pool_shared *p;
	struct sd_pool_lease *all = calloc(n, sizeof(*all));
	double pairs = 0;
	if (!all || sd_pool_shared_new(&conf, &hooks, &p, NULL))
		exit(1);
	for (uint32_t i = 0; i < n; i++)
		sd_pool_get(p, SD_POOL_NEVER, NULL, &all[i], NULL);
	for (uint32_t i = 0; i < n; i++)
		sd_pool_give(p, &all[i]);
	double begun = cpu_ns();
	for (int i = 0; i < threads; i++) {
		w[i].pool = p;
		pthread_create(&w[i].id, NULL, work, &w[i]);
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(w[i].id, NULL);
		pairs += w[i].pairs;
	}
	double ns = cpu_ns() - begun;
	sd_pool_shared_free(p);
	free(all);
	return ns / pairs;
}

/* What any such pool must pay: a lock and a look at the clock, twice. */
static double least(void)
{
	pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	volatile int64_t sum = 0;
	double pairs = 0;
	double begun = cpu_ns(), end = begun + seconds * 1e9, now = begun;
	for (; now < end; now = cpu_ns(), pairs += BATCH)
		for (int i = 0; i < 2 * BATCH; i++) {
			pthread_mutex_lock(&lock);
			sum += now_ns();
			pthread_mutex_unlock(&lock);
		}
	return (now - begun) / pairs;
}

int main(int argc, char **argv)
{
	static const uint32_t sizes[] = {1, 10, 100, 1000};
	if (argc > 1)
		seconds = strtod(argv[1], NULL);
	printf("least,0,%.1f\n", least());
	for (size_t i = 0; i < 4; i++) {
		printf("engine,%u,%.1f\n", sizes[i], engine(sizes[i]));
		printf("one,%u,%.1f\n", sizes[i], shared(sizes[i], 1));
		printf("two,%u,%.1f\n", sizes[i], shared(sizes[i], 2));
	}
	return 0;
}
