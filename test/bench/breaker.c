/* What a breaker costs a call that goes well: allow and done, by kind of window, on one thread and on two; beside the same rules
 * behind a mutex. Prints lines of: what, threads, nanoseconds a call (CPU time of one thread).
 *
 *	breaker [SECONDS]      for each figure
 */
#include <pthread.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sdlab/breaker.h"

#define BATCH 4096

static double cpu_s(void)
{
	struct timespec t;
	clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
	return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

/* Consecutive failures and a window of calls, the plain way. */
struct locked {
	pthread_mutex_t lock;
	int state;
	uint32_t in_a_row, n, failures;
	uint8_t window[100];
};

static bool locked_allow(struct locked *l)
{
	pthread_mutex_lock(&l->lock);
	bool let = l->state == 0;
	pthread_mutex_unlock(&l->lock);
	return let;
}

static void locked_done(struct locked *l, bool good)
{
	pthread_mutex_lock(&l->lock);
	uint32_t at = l->n++ % 100;
	l->failures += !good - l->window[at];
	l->window[at] = !good;
	l->in_a_row = good ? 0 : l->in_a_row + 1;
	if (l->failures > 50)
		l->state = 1;
	pthread_mutex_unlock(&l->lock);
}

struct job {
	pthread_t thread;
	struct sd_breaker *b; /* NULL: locked */
	struct locked *locked;
	double seconds, ns;
	int cpu;
	bool bad; /* every hundredth call fails */
};

static void batch(struct job *j, int64_t *now)
{
	static const struct sd_breaker_outcome good = {.kind = SD_BREAKER_SUCCESS}, bad = {.kind = SD_BREAKER_TIMEOUT};
	for (int i = 0; i < BATCH; i++) {
		bool fails = j->bad && i % 100 == 0;
		struct sd_breaker_ticket t;
		*now += 1000;
		if (!j->b) {
			if (locked_allow(j->locked))
				locked_done(j->locked, !fails);
		} else if (!sd_breaker_allow(j->b, *now, &t, NULL)) {
			sd_breaker_done(j->b, &t, fails ? &bad : &good, *now);
		}
	}
}

static void *run(void *arg)
{
	struct job *j = arg;
	cpu_set_t cpu;
	CPU_ZERO(&cpu);
	CPU_SET(j->cpu, &cpu);
	pthread_setaffinity_np(pthread_self(), sizeof(cpu), &cpu); /* two threads are to meet; where it cannot be, they do as they may */
	int64_t now = 1000000000;
	double n = 0, begun = cpu_s(), took;
	do {
		batch(j, &now);
		n += BATCH;
		took = cpu_s() - begun;
	} while (took < j->seconds);
	j->ns = took / n * 1e9;
	return NULL;
}

static void measure(const char *name, struct sd_breaker *b, int threads, double seconds, bool bad)
{
	static struct locked locked = {.lock = PTHREAD_MUTEX_INITIALIZER};
	struct job jobs[2];
	double ns = 0;
	for (int i = 0; i < threads; i++) {
		jobs[i] = (struct job){.b = b, .locked = &locked, .seconds = seconds, .cpu = i, .bad = bad};
		pthread_create(&jobs[i].thread, NULL, run, &jobs[i]);
	}
	for (int i = 0; i < threads; i++) {
		pthread_join(jobs[i].thread, NULL);
		ns += jobs[i].ns / threads;
	}
	printf("%s,%d,%.1f\n", name, threads, ns);
}

static const struct {
	const char *name;
	struct sd_breaker_conf conf;
	bool bad;
} rows[] = {
    {"in a row", {.consecutive = 5}, false},
    {"of 100 calls", {.consecutive = 5, .failure_rate = 0.5, .window = 100, .minimum = 10}, false},
    {"of 100 calls 1% failing", {.consecutive = 5, .failure_rate = 0.5, .window = 100, .minimum = 10}, true},
    {"of 10 s", {.consecutive = 5, .failure_rate = 0.5, .window_ns = 10000000000, .minimum = 10}, false},
    {"of 10 s 1% failing", {.consecutive = 5, .failure_rate = 0.5, .window_ns = 10000000000, .minimum = 10}, true},
    {"in a row with a bulkhead", {.consecutive = 5, .bulkhead = 100}, false},
};

int main(int argc, char **argv)
{
	double seconds = argc > 1 ? strtod(argv[1], NULL) : 0.5;
	for (int threads = 1; threads <= 2; threads++) {
		for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
			struct sd_breaker_conf c = rows[i].conf;
			struct sd_breaker *b;
			struct sd_error e;
			c.open_ns = 1;
			if (sd_breaker_new(&c, &b, &e)) {
				fprintf(stderr, "breaker: %s\n", e.text);
				return 1;
			}
			measure(rows[i].name, b, threads, seconds, rows[i].bad);
			sd_breaker_free(b);
		}
		measure("mutex of 100 calls", NULL, threads, seconds, false);
	}
	return 0;
}
