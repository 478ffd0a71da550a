/* pool_shared.c - the pool for threads that block.
 *
 * One lock, held for the engine's work alone. Who borrows sleeps on a condition of its own, so that what comes back wakes the
 * one that gets it and nobody else. What takes time (open, check, close) is done by workers: at most max_opening and one more,
 * started when all others are busy.
 *
 * At least one worker that sleeps, if any does, wakes when the engine is due: whoever makes it due earlier, or takes that
 * worker's attention away, wakes another. */
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "core/list.h"
#include "real.h"
#include "sdlab/pool.h"

#define SECOND_NS 1000000000ll
#define TAG_KEPT  64

struct sd_pool_shared {
	struct sd_pool *pool;
	struct sd_pool_hooks hooks;
	pthread_mutex_t lock;
	pthread_cond_t more;
	int64_t due_ns; /* when the worker that fell asleep last will wake */
	unsigned nworkers, max_workers, idle, waking; /* threads; those asleep; signals they have not got yet */
	bool stopping;
	struct real_thread **workers;
};

/* A thread that waits. */
struct seat {
	struct sd_pool_waiter waiter;
	pthread_cond_t answered;
	bool done;
};

static int64_t kernel_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * SECOND_NS + t.tv_nsec;
}

static int64_t now_ns(const struct sd_pool_shared *p)
{
	return p->hooks.now ? p->hooks.now(p->hooks.arg) : kernel_now();
}

static void cond_init(pthread_cond_t *c)
{
	pthread_condattr_t how;
	pthread_condattr_init(&how);
	pthread_condattr_setclock(&how, CLOCK_MONOTONIC);
	pthread_cond_init(c, &how);
	pthread_condattr_destroy(&how);
}

/* Sleeps until due, by the clock of the hooks. False: it is due. */
static bool sleep_until(struct sd_pool_shared *p, pthread_cond_t *c, int64_t due)
{
	if (due == SD_POOL_NEVER)
		return pthread_cond_wait(c, &p->lock) == 0;
	int64_t left = due - now_ns(p);
	if (left <= 0)
		return false;
	int64_t end = kernel_now();
	end = left > SD_POOL_NEVER - end ? SD_POOL_NEVER : end + left;
	struct timespec t = {end / SECOND_NS, end % SECOND_NS};
	return pthread_cond_timedwait(c, &p->lock, &t) == 0;
}

/* Thread numbers never change, and asking the kernel each time costs as much as all the rest. */
static uint64_t my_number(void)
{
	static _Thread_local uint64_t number;
	if (!number)
		number = (uint64_t)gettid();
	return number;
}

/* ---- workers ---- */

static void worker_main(void *arg);

static void wake(struct sd_pool_shared *p)
{
	if (p->idle > p->waking) {
		p->waking++;
		pthread_cond_signal(&p->more);
	} else if (p->waking == 0 && p->nworkers < p->max_workers &&
		   real_thread_start("sdlab-pool", worker_main, p, &p->workers[p->nworkers], NULL) == SD_OK) {
		p->nworkers++;
	}
}

/* After anything was asked of the engine or told to it. */
static void settle(struct sd_pool_shared *p)
{
	struct sd_pool_waiter *w;
	while ((w = sd_pool_next_grant(p->pool))) {
		struct seat *s = sd_container(w, struct seat, waiter);
		s->done = true;
		pthread_cond_signal(&s->answered);
	}
	int64_t due = sd_pool_due(p->pool);
	if (due < p->due_ns) {
		p->due_ns = due ? due : p->due_ns;
		wake(p);
	}
}

static void open_one(struct sd_pool_shared *p, uint32_t slot)
{
	struct sd_error e = {.text = ""};
	void *resource = NULL;
	pthread_mutex_unlock(&p->lock);
	enum sd_err err = p->hooks.open(p->hooks.arg, &resource, &e);
	pthread_mutex_lock(&p->lock);
	if (err)
		sd_pool_open_failed(p->pool, now_ns(p), slot, e.text[0] ? e.text : sd_err_text(err));
	else
		sd_pool_opened(p->pool, now_ns(p), slot, resource);
}

static void check_one(struct sd_pool_shared *p, const struct sd_pool_act *act)
{
	pthread_mutex_unlock(&p->lock);
	bool good = !p->hooks.check || p->hooks.check(p->hooks.arg, act->resource);
	pthread_mutex_lock(&p->lock);
	sd_pool_checked(p->pool, now_ns(p), act->slot, good);
}

static void close_one(struct sd_pool_shared *p, const struct sd_pool_act *act)
{
	pthread_mutex_unlock(&p->lock);
	p->hooks.close(p->hooks.arg, act->resource, act->why);
	pthread_mutex_lock(&p->lock);
	sd_pool_closed(p->pool, now_ns(p), act->slot);
}

/* The tag is the borrower's, who may be gone a moment later. */
static void say_leak(struct sd_pool_shared *p, struct sd_pool_held held)
{
	char tag[TAG_KEPT] = "";
	if (!p->hooks.leak)
		return;
	if (held.holder.tag)
		strncpy(tag, held.holder.tag, sizeof(tag) - 1);
	held.holder.tag = held.holder.tag ? tag : NULL;
	pthread_mutex_unlock(&p->lock);
	p->hooks.leak(p->hooks.arg, &held);
	pthread_mutex_lock(&p->lock);
}

static void perform(struct sd_pool_shared *p, struct sd_pool_act *act)
{
	if (act->what == SD_POOL_GRANT) {
		struct seat *s = sd_container(act->waiter, struct seat, waiter);
		s->done = true;
		pthread_cond_signal(&s->answered);
		return;
	}
	wake(p); /* somebody else looks at the rest, and at the time */
	if (act->what == SD_POOL_OPEN)
		open_one(p, act->slot);
	else if (act->what == SD_POOL_CHECK)
		check_one(p, act);
	else if (act->what == SD_POOL_CLOSE)
		close_one(p, act);
	else
		say_leak(p, act->held);
}

static bool over(const struct sd_pool_shared *p)
{
	struct sd_pool_stats s;
	if (!p->stopping)
		return false;
	sd_pool_stats(p->pool, &s);
	return s.size == 0;
}

static void worker_main(void *arg)
{
	struct sd_pool_shared *p = arg;
	struct sd_pool_act act;
	pthread_mutex_lock(&p->lock);
	while (!over(p)) {
		if (sd_pool_next(p->pool, now_ns(p), &act)) {
			perform(p, &act);
			continue;
		}
		p->due_ns = sd_pool_due(p->pool);
		p->idle++;
		sleep_until(p, &p->more, p->due_ns);
		p->idle--;
		if (p->waking)
			p->waking--;
	}
	pthread_cond_broadcast(&p->more);
	pthread_mutex_unlock(&p->lock);
}

/* ---- a pool ---- */

enum sd_err sd_pool_shared_new(const struct sd_pool_conf *conf, const struct sd_pool_hooks *hooks, struct sd_pool_shared **out,
			       struct sd_error *e)
{
	struct sd_pool_shared *p = calloc(1, sizeof(*p));
	enum sd_err err;
	*out = NULL;
	if (!p)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	p->hooks = *hooks;
	p->due_ns = SD_POOL_NEVER;
	p->max_workers = conf->max_opening < 1023 ? conf->max_opening + 1 : 1024;
	p->workers = calloc(p->max_workers, sizeof(*p->workers));
	err = sd_pool_new(conf, (uint64_t)kernel_now(), &p->pool, e);
	if (!p->workers && !err)
		err = sd_fail(e, SD_ENOMEM, "out of memory");
	pthread_mutexattr_t how;
	pthread_mutexattr_init(&how);
	pthread_mutexattr_settype(&how, PTHREAD_MUTEX_ADAPTIVE_NP);
	pthread_mutex_init(&p->lock, &how);
	pthread_mutexattr_destroy(&how);
	cond_init(&p->more);
	/* One from the beginning: later ones may fail to start, and do no more than help. */
	if (!err) {
		pthread_mutex_lock(&p->lock);
		err = real_thread_start("sdlab-pool", worker_main, p, &p->workers[0], e);
		p->nworkers = err ? 0 : 1;
		pthread_mutex_unlock(&p->lock);
	}
	if (err)
		sd_pool_shared_free(p);
	else
		*out = p;
	return err;
}

void sd_pool_shared_free(struct sd_pool_shared *p)
{
	if (!p)
		return;
	pthread_mutex_lock(&p->lock);
	if (p->pool)
		sd_pool_shut(p->pool, now_ns(p), true);
	p->stopping = true;
	pthread_cond_broadcast(&p->more);
	/* They start no others now: who sees that it stops, and anything to do, has this many already, or does it. */
	p->max_workers = p->nworkers;
	pthread_mutex_unlock(&p->lock);
	for (unsigned i = 0; i < p->nworkers; i++)
		real_thread_join(p->workers[i]);
	pthread_cond_destroy(&p->more);
	pthread_mutex_destroy(&p->lock);
	sd_pool_free(p->pool);
	free(p->workers);
	free(p);
}

/* ---- borrowing ---- */

/* Asleep until it is answered, or its time is over. The lock is held. */
static enum sd_err wait_for(struct sd_pool_shared *p, struct seat *s, struct sd_error *e)
{
	cond_init(&s->answered);
	settle(p);
	while (!s->done && sleep_until(p, &s->answered, s->waiter.deadline_ns))
		;
	int64_t now = now_ns(p);
	if (!s->done && sd_pool_leave(p->pool, now, &s->waiter))
		s->waiter.err = SD_ETIMEOUT;
	pthread_cond_destroy(&s->answered);
	return s->waiter.err ? sd_pool_explain(p->pool, now, &s->waiter, s->waiter.err, e) : SD_OK;
}

enum sd_err sd_pool_shared_get(struct sd_pool_shared *p, int64_t timeout_ns, const struct sd_pool_holder *holder,
			       struct sd_pool_lease *out, struct sd_error *e)
{
	struct seat s;
	struct sd_pool_waiter *w = &s.waiter;
	w->holder = *holder;
	w->holder.who = holder->who ? holder->who : my_number();
	pthread_mutex_lock(&p->lock);
	int64_t now = now_ns(p);
	enum sd_err err = sd_pool_take(p->pool, now, &w->holder, out);
	if (err == SD_OK) {
		settle(p);
		pthread_mutex_unlock(&p->lock);
		return SD_OK;
	}
	w->pool.place = 0;
	w->ahead = 0;
	w->lease = (struct sd_pool_lease){0};
	w->deadline_ns = timeout_ns < SD_POOL_NEVER - now ? now + timeout_ns : SD_POOL_NEVER;
	s.done = false;
	if (err == SD_EAGAIN && timeout_ns <= 0)
		err = SD_EEXHAUSTED;
	else if (err == SD_EAGAIN)
		err = sd_pool_borrow(p->pool, now, w);
	if (err == SD_EAGAIN)
		err = wait_for(p, &s, e);
	else if (err)
		sd_pool_explain(p->pool, now, w, err, e);
	*out = w->lease;
	settle(p);
	pthread_mutex_unlock(&p->lock);
	return err;
}

enum sd_err sd_pool_shared_put(struct sd_pool_shared *p, const struct sd_pool_lease *lease, bool broken)
{
	pthread_mutex_lock(&p->lock);
	enum sd_err err = sd_pool_put(p->pool, now_ns(p), lease, broken);
	settle(p);
	pthread_mutex_unlock(&p->lock);
	return err;
}

void sd_pool_shared_shut(struct sd_pool_shared *p)
{
	pthread_mutex_lock(&p->lock);
	sd_pool_shut(p->pool, now_ns(p), false);
	settle(p);
	pthread_mutex_unlock(&p->lock);
}

/* ---- looking ---- */

void sd_pool_shared_stats(struct sd_pool_shared *p, struct sd_pool_stats *out)
{
	pthread_mutex_lock(&p->lock);
	sd_pool_stats(p->pool, out);
	pthread_mutex_unlock(&p->lock);
}

size_t sd_pool_shared_holders(struct sd_pool_shared *p, struct sd_pool_held *out, size_t n)
{
	pthread_mutex_lock(&p->lock);
	n = sd_pool_holders(p->pool, now_ns(p), out, n);
	pthread_mutex_unlock(&p->lock);
	return n;
}

int64_t sd_pool_shared_wait_at(struct sd_pool_shared *p, double percentile)
{
	pthread_mutex_lock(&p->lock);
	const struct sd_hdr *h = sd_pool_waits(p->pool);
	int64_t ns = h ? sd_hdr_percentile(h, percentile) : 0;
	pthread_mutex_unlock(&p->lock);
	return ns;
}

void sd_pool_shared_wake(struct sd_pool_shared *p)
{
	pthread_mutex_lock(&p->lock);
	wake(p);
	pthread_mutex_unlock(&p->lock);
}
