/* pool_users.c - threads as users, and the connections they share. */
#include "pool.h"

#include <stdlib.h>
#include <string.h>

#include "core/list.h"
#include "world/pool_socket.h"

#define SECOND_NS 1000000000ll
#define STEP_NS   200000 /* how often a user who keeps one looks whether it may give it back */

/* ---- connections ---- */

struct conn {
	int fd, other; /* other: the end that a server would have; -1: it is elsewhere */
};

static enum sd_err conn_open(void *arg, void **out, struct sd_error *e)
{
	const struct crowd *c = arg;
	struct conn *k = malloc(sizeof(*k));
	int ends[2] = {-1, -1};
	if (!k)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = c->target.kind == SD_ADDR_NONE ? sd_pool_socket_pair(ends, e)
							 : sd_pool_socket_open(&c->target, 2 * SECOND_NS, &ends[0], e);
	if (err) {
		free(k);
		return err;
	}
	*k = (struct conn){ends[0], ends[1]};
	*out = k;
	return SD_OK;
}

static void conn_close(void *arg, void *resource, enum sd_pool_why why)
{
	struct conn *k = resource;
	(void)arg;
	(void)why; /* nothing is reclaimed here */
	sd_pool_socket_close(k->fd);
	if (k->other >= 0)
		sd_pool_socket_close(k->other);
	free(k);
}

static bool conn_quiet(void *arg, void *resource)
{
	(void)arg;
	return sd_pool_socket_quiet(((const struct conn *)resource)->fd);
}

static void conn_leak(void *arg, const struct sd_pool_held *held)
{
	struct crowd *c = arg;
	if (__atomic_fetch_add(&c->leaking, 1, __ATOMIC_ACQ_REL) == 0) {
		c->leak = *held;
		c->leak.holder.tag = NULL; /* gone when this returns */
	}
	__atomic_add_fetch(&c->leaks, 1, __ATOMIC_RELEASE);
}

/* ---- the clock of the pool ---- */

static int64_t clock_now(void *arg)
{
	struct crowd *c = arg;
	int64_t frozen = __atomic_load_n(&c->frozen_ns, __ATOMIC_ACQUIRE);
	return (frozen ? frozen : sd_world_mono_ns(c->world)) + __atomic_load_n(&c->ahead_ns, __ATOMIC_ACQUIRE);
}

void pool_clock_freeze(struct crowd *c)
{
	__atomic_store_n(&c->frozen_ns, sd_world_mono_ns(c->world), __ATOMIC_RELEASE);
}

void pool_clock_ahead(struct crowd *c, int64_t ns)
{
	__atomic_add_fetch(&c->ahead_ns, ns, __ATOMIC_RELEASE);
	sd_pool_shared_wake(c->pool);
}

/* ---- users ---- */

static void keep(struct crowd *c, uint32_t stage)
{
	while (__atomic_load_n(&c->stage, __ATOMIC_ACQUIRE) < stage)
		sd_world_sleep_ns(c->world, STEP_NS);
}

static void fails(struct crowd *c, const struct sd_error *e)
{
	if (__atomic_fetch_add(&c->failed, 1, __ATOMIC_ACQ_REL) == 0)
		c->e = *e; /* read when all users are gone */
}

static bool visit(struct pool_user *u)
{
	struct crowd *c = u->crowd;
	struct sd_pool_holder me = {SD_POOL_HERE, "visit", u->number};
	struct sd_pool_lease lease;
	struct sd_error e;
	if (sd_pool_shared_get(c->pool, c->timeout_ns, &me, &lease, &e)) {
		fails(c, &e);
		return false;
	}
	uint32_t nth = __atomic_add_fetch(&c->served, 1, __ATOMIC_ACQ_REL);
	if (!c->again)
		keep(c, POOL_FLOWS);
	sd_world_sleep_ns(c->world, c->hold_ns);
	if (!c->again && nth > c->nusers - (c->nusers < c->nconns ? c->nusers : c->nconns) + c->early)
		keep(c, POOL_EMPTIES);
	sd_pool_give(c->pool, &lease);
	return true;
}

static void user_main(struct sd_work *work)
{
	struct pool_user *u = sd_container(work, struct pool_user, work);
	while (visit(u) && u->crowd->again && !__atomic_load_n(&u->crowd->over, __ATOMIC_ACQUIRE))
		;
	__atomic_add_fetch(&u->crowd->gone, 1, __ATOMIC_ACQ_REL);
}

static void user_done(struct sd_work *work)
{
	(void)work;
}

enum sd_err pool_user_forgets(struct crowd *c, uint64_t number, struct sd_error *e)
{
	struct sd_pool_lease lease;
	struct sd_pool_holder me = {SD_POOL_HERE, "forgotten", number};
	return sd_pool_shared_get(c->pool, c->timeout_ns, &me, &lease, e);
}

enum sd_err pool_crowd_open(struct crowd *c, const struct sd_pool_conf *conf, struct sd_error *e)
{
	struct sd_pool_hooks hooks = {.open = conn_open, .close = conn_close, .leak = conn_leak, .now = clock_now, .arg = c};
	struct sd_pool_conf with = *conf;
	with.quiet = conn_quiet;
	c->users = calloc(c->nusers, sizeof(*c->users));
	c->loop = sd_loop_new(c->world, e);
	c->threads = c->loop ? sd_helpers_new(c->world, c->nusers) : NULL;
	if (!c->users || !c->threads)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	return sd_pool_shared_new(&with, &hooks, &c->pool, e);
}

enum sd_err pool_crowd_begin(struct crowd *c, struct sd_error *e)
{
	for (uint32_t i = 0; i < c->nusers; i++) {
		c->users[i] = (struct pool_user){.work = {.run = user_main, .done = user_done}, .crowd = c, .number = i + 1};
		if (!sd_helpers_submit(c->threads, c->loop, &c->users[i].work))
			return sd_fail(e, SD_ENOMEM, "cannot start a thread");
	}
	return SD_OK;
}

void pool_crowd_close(struct crowd *c)
{
	__atomic_store_n(&c->over, true, __ATOMIC_RELEASE);
	__atomic_store_n(&c->stage, POOL_EMPTIES, __ATOMIC_RELEASE);
	if (c->threads)
		sd_helpers_free(c->threads);
	sd_pool_shared_free(c->pool);
	if (c->loop) {
		sd_loop_flush(c->loop);
		sd_loop_free(c->loop);
	}
	free(c->users);
}
