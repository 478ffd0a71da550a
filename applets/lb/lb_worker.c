/* lb_worker.c - one worker's view: peers, who is picked, who waits. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/retry_after.h"
#include "lb.h"

/* ---- peers ---- */

static struct lb_peer *peer_new(struct lb_worker *w, const struct lb_entry *entry, const struct sd_http_pool_conf *conf)
{
	struct lb_peer *p = calloc(1, sizeof(*p));
	if (!p)
		return NULL;
	p->backend = entry->backend;
	__atomic_add_fetch(&p->backend->refs, 1, __ATOMIC_RELAXED);
	p->cell = &p->backend->cells[w->w->index];
	p->worker = w;
	sd_list_init(&p->link);
	sd_http_pool_init(&p->pool, w->loop, &entry->addr, conf, &w->answer_head);
	return p;
}

static void peer_free(struct lb_peer *p)
{
	sd_list_del(&p->link);
	sd_http_pool_free(&p->pool);
	lb_tls_end(&p->tls);
	sd_breaker_free(p->breaker);
	lb_backend_release(p->backend);
	free(p);
}

static struct lb_peer *peer_of(struct lb_worker *w, const struct lb_backend *b)
{
	for (size_t i = 0; w->snap && i < w->snap->n; i++)
		if (w->peers[i] && w->peers[i]->backend == b)
			return w->peers[i];
	/* one that was taken out and came back before its last call ended */
	for (struct sd_link *k = w->leaving.next; k != &w->leaving; k = k->next) {
		struct lb_peer *p = sd_container(k, struct lb_peer, link);
		if (p->backend == b)
			return p;
	}
	return NULL;
}

/* Whether a backend is left out is for the control loop to say, which knows how many are already: so the breaker is told not to
 * open, and counts anew. */
static bool may_open(void *arg, int64_t now_ns)
{
	struct lb_peer *p = arg;
	struct sd_breaker_stats st;
	char why[LB_EJECT_WHY];
	sd_breaker_stats(p->breaker, now_ns, &st);
	if (p->asked_ns)
		snprintf(why, sizeof(why), "503 with Retry-After");
	else if (p->eject.consecutive && st.in_a_row >= p->eject.consecutive)
		snprintf(why, sizeof(why), "%u failed requests in a row", st.in_a_row);
	else
		snprintf(why, sizeof(why), "%u of %u requests failed", st.failures, st.calls);
	lb_tell_failed(p->worker, p->backend, why, p->asked_ns);
	return false;
}

static void breaker_update(struct lb_peer *p, const struct lb_snapshot *s)
{
	const struct sd_breaker_conf *is = &s->eject;
	if (p->breaker && s->ejects && p->eject.consecutive == is->consecutive && p->eject.failure_rate == is->failure_rate &&
	    p->eject.window_ns == is->window_ns && p->eject.minimum == is->minimum && p->eject.retry_max_ns == is->retry_max_ns)
		return;
	sd_breaker_free(p->breaker);
	p->breaker = NULL;
	p->eject = *is;
	p->eject.hooks = (struct sd_breaker_hooks){.may_open = may_open, .arg = p};
	if (s->ejects)
		sd_breaker_new(&p->eject, &p->breaker, NULL); /* without memory it is not ejected */
}

static void peer_update(struct lb_peer *p, const struct lb_snapshot *s, uint32_t pool, size_t i)
{
	const struct lb_entry *entry = &s->entries[i];
	struct sd_http_pool_conf conf = s->pools[pool].http;
	p->index = i;
	p->in_pool = pool;
	p->max_connections = entry->max_connections;
	breaker_update(p, s);
	p->send_proxy = entry->send_proxy;
	if (p->send_proxy)
		conf.max_idle = 0; /* a connection speaks for one client */
	sd_http_pool_configure(&p->pool, &conf);
	bool other_tls = lb_tls_follow(&p->tls, entry->tls);
	p->pool.tls = p->tls.target;
	if (other_tls || !sd_addr_equal(&p->pool.addr, &entry->addr)) {
		p->pool.addr = entry->addr;
		sd_http_pool_close_idle(&p->pool);
	}
	if (lb_tls_lacks(&p->tls))
		p->pool.addr.kind = SD_ADDR_NONE;
	/* One that is not used needs no idle connections: they would only hold its port open. */
	if (!entry->usable)
		sd_http_pool_close_idle(&p->pool);
}

/* ---- snapshots ---- */

static void targets_set(struct lb_view *v, const struct lb_snapshot *s, const struct lb_pool *pool)
{
	struct sd_balance_target targets[SD_BALANCE_MAX];
	const struct lb_entry *entries = &s->entries[pool->first];
	for (size_t i = 0; i < pool->n; i++)
		targets[i] = (struct sd_balance_target){
		    .id = entries[i].backend->id,
		    .weight = entries[i].weight,
		    .usable = entries[i].usable,
		    .in_reach = entries[i].in_reach,
		    .backup = entries[i].backup,
		    .since_ns = entries[i].since_ns,
		};
	v->first = pool->first;
	sd_balancer_set(v->balancer, &pool->balance, targets, pool->n);
}

/* ---- pools ---- */

static struct lb_view *view_new(struct lb_worker *w, const char *name)
{
	struct lb_view *v = calloc(1, sizeof(*v));
	if (v)
		v->balancer = sd_balancer_new(sd_rng_next(&w->rng));
	if (!v || !v->balancer) {
		free(v);
		return NULL;
	}
	v->w = w;
	snprintf(v->name, sizeof(v->name), "%s", name);
	sd_list_init(&v->queue);
	return v;
}

static void view_free(struct lb_view *v)
{
	sd_balancer_free(v->balancer);
	free(v);
}

static struct lb_view *view_of(const struct lb_worker *w, const char *name)
{
	for (size_t i = 0; w->snap && i < w->snap->npools; i++)
		if (strcmp(w->views[i]->name, name) == 0)
			return w->views[i];
	return NULL;
}

/* Those that are there already keep their rotation and what they know of latencies. NULL: out of memory. */
static struct lb_view **views_make(struct lb_worker *w, const struct lb_snapshot *s)
{
	struct lb_view **views = calloc(s->npools, sizeof(*views));
	for (size_t i = 0; views && i < s->npools; i++) {
		views[i] = view_of(w, s->pools[i].name);
		if (views[i] || (views[i] = view_new(w, s->pools[i].name)))
			continue;
		for (size_t k = 0; k < i; k++)
			if (!view_of(w, views[k]->name))
				view_free(views[k]);
		free(views);
		return NULL;
	}
	return views;
}

/* Those who wait for a pool that is gone find out. */
static void views_end(struct lb_view **views, size_t n)
{
	for (size_t i = 0; i < n; i++) {
		struct lb_view *v = views[i];
		while (!v->kept && !sd_list_empty(&v->queue)) {
			struct lb_waiter *first = sd_container(v->queue.next, struct lb_waiter, link);
			lb_worker_dequeue(v->w, first);
			first->go(first);
		}
		if (!v->kept)
			view_free(v);
	}
	free(views);
}

static void views_set(struct lb_worker *w, struct lb_view **views, size_t nold, struct lb_view **old)
{
	for (size_t i = 0; i < nold; i++)
		old[i]->kept = false;
	w->views = views;
	for (size_t i = 0; i < w->snap->npools; i++) {
		views[i]->kept = true;
		targets_set(views[i], w->snap, &w->snap->pools[i]);
	}
	views_end(old, nold);
}

static void let_go(struct lb_worker *w, struct lb_peer *p)
{
	p->index = SIZE_MAX;
	struct sd_http_pool_conf conf = p->pool.conf;
	conf.max_idle = 0;
	sd_http_pool_configure(&p->pool, &conf);
	sd_list_del(&p->link);
	if (p->cell->inflight == 0)
		peer_free(p);
	else
		sd_list_add(&w->leaving, &p->link);
}

static void serve_queue(struct lb_worker *w);

/* NULL: out of memory; peers made for nothing go with the worker. */
static struct lb_peer **peers_make(struct lb_worker *w, const struct lb_snapshot *s)
{
	struct lb_peer **peers = calloc(s->n ? s->n : 1, sizeof(*peers));
	for (size_t i = 0; peers && i < s->n; i++) {
		peers[i] = peer_of(w, s->entries[i].backend);
		if (peers[i])
			continue;
		peers[i] = peer_new(w, &s->entries[i], &s->pools[0].http);
		if (!peers[i]) {
			free(peers);
			return NULL;
		}
		sd_list_add(&w->leaving, &peers[i]->link); /* until this has worked */
	}
	return peers;
}

void lb_worker_adopt(struct lb_worker *w, struct lb_snapshot *s)
{
	struct lb_peer **peers = peers_make(w, s);
	struct lb_view **views = peers ? views_make(w, s) : NULL, **old = w->views;
	size_t nold = w->snap ? w->snap->npools : 0;
	if (!views) {
		/* the old one stays */
		free(peers);
		lb_snapshot_release(s);
		return;
	}
	for (size_t i = 0; w->snap && i < w->snap->n; i++)
		w->peers[i]->index = SIZE_MAX;
	for (uint32_t p = 0; p < s->npools; p++)
		for (size_t i = s->pools[p].first; i < s->pools[p].first + s->pools[p].n; i++) {
			peer_update(peers[i], s, p, i);
			sd_list_del(&peers[i]->link);
		}
	for (size_t i = 0; w->snap && i < w->snap->n; i++)
		if (w->peers[i]->index == SIZE_MAX)
			let_go(w, w->peers[i]);
	free(w->peers);
	lb_snapshot_release(w->snap);
	w->peers = peers;
	w->snap = s;
	w->log.log = s->log;
	if (s->routes)
		w->server.conf.max_body = s->routes->max_body;
	views_set(w, views, nold, old);
	serve_queue(w);
}

/* ---- picking ---- */

static uint32_t load_of(void *arg, size_t i)
{
	const struct lb_view *v = arg;
	const struct lb_backend *b = v->w->snap->entries[v->first + i].backend;
	uint32_t sum = 0;
	for (unsigned k = 0; k < b->nthreads; k++)
		sum += sd_gauge_read(&b->cells[k].inflight);
	return sum;
}

/* Takes one of the backend's connections, if it has a limit and one is left. */
static bool take_connection(struct lb_peer *p)
{
	if (p->max_connections == 0)
		return true;
	uint32_t n = __atomic_load_n(&p->backend->conns, __ATOMIC_SEQ_CST);
	while (n < p->max_connections)
		if (__atomic_compare_exchange_n(&p->backend->conns, &n, n + 1, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST))
			return true;
	return false;
}

static struct sd_balance_ask ask_for(struct lb_view *v, const uint64_t *skip, const struct lb_affinity *want)
{
	return (struct sd_balance_ask){
	    .skip = skip,
	    .load = load_of,
	    .arg = v,
	    .now_ns = sd_loop_now_ns(v->w->loop),
	    .key = want->key,
	    .has_key = want->has_key,
	};
}

/* Takes a permit, if it is half-open and the pool can do without it. */
static bool take_permit(struct lb_worker *w, const struct lb_peer *p, struct lb_hold *hold)
{
	struct lb_trial *trial = w->snap->entries[p->index].trial;
	*hold = (struct lb_hold){0};
	return !trial || w->snap->pools[p->in_pool].tier.panic || lb_trial_take(trial, sd_loop_now_ns(w->loop), hold);
}

static bool take_one(struct lb_worker *w, struct lb_peer *p, struct lb_hold *hold)
{
	static const struct sd_breaker_outcome unused = {.kind = SD_BREAKER_IGNORED};
	if (!take_permit(w, p, hold))
		return false;
	if (take_connection(p))
		return true;
	lb_trial_done(hold, &unused, sd_loop_now_ns(w->loop));
	return false;
}

static int taken(const struct lb_peer *p, struct lb_hold *hold)
{
	hold->counted = p->max_connections > 0;
	sd_gauge(&p->cell->inflight, 1);
	sd_count(&p->cell->requests, 1);
	return (int)p->index;
}

int lb_worker_take(struct lb_worker *w, uint32_t pool, const uint64_t *tried, const struct lb_affinity *want, struct lb_hold *hold)
{
	uint64_t skip[SD_BALANCE_MAX / 64];
	if (pool == LB_NO_POOL)
		return LB_NONE;
	struct lb_view *v = w->views[pool];
	struct lb_peer **peers = w->peers + v->first;
	int pinned = lb_affinity_pinned(w->snap, pool, want, tried);
	if (pinned >= 0 && take_one(w, peers[pinned], hold))
		return taken(peers[pinned], hold);
	if (pinned >= 0 && !w->snap->entries[v->first + (size_t)pinned].trial)
		return LB_FULL;
	memcpy(skip, tried, sizeof(skip));
	struct sd_balance_ask ask = ask_for(v, skip, want);
	for (bool full = false;; full = true) {
		int i = sd_balancer_pick(v->balancer, &ask);
		if (i < 0)
			return full ? LB_FULL : LB_NONE;
		if (take_one(w, peers[i], hold))
			return taken(peers[i], hold);
		/* a backup is no place to wait in; but whoever finds no permit does not wait */
		ask.stay = ask.stay || !w->snap->entries[v->first + (size_t)i].trial;
		skip[i / 64] |= 1ull << (i % 64);
	}
}

size_t lb_worker_explain(struct lb_worker *w, uint32_t pool, const uint64_t *tried, const struct lb_affinity *want,
			 struct sd_balance_candidate *out, size_t room)
{
	struct sd_balance_ask ask = ask_for(w->views[pool], tried, want);
	return sd_balancer_explain(w->views[pool]->balancer, &ask, out, room);
}

void lb_worker_asked(struct lb_worker *w)
{
	sd_budget_asked(&w->budget, sd_loop_now_ns(w->loop));
}

bool lb_worker_may_retry(struct lb_worker *w)
{
	if (sd_budget_take(&w->budget, &w->snap->budget, sd_loop_now_ns(w->loop)))
		return true;
	sd_count(&w->budget_exhausted, 1);
	return false;
}

static void wake(struct lb_worker *w)
{
	if (!__atomic_exchange_n(&w->wake_posted, true, __ATOMIC_SEQ_CST))
		sd_loop_post(w->loop, &w->wake);
}

/* A worker that finds all connections taken says first that it is hungry and then looks once more; one that frees a
 * connection frees it first and then looks who is hungry. So one of the two sees the other. */
static void set_hungry(struct lb_worker *w, bool hungry)
{
	__atomic_store_n(&w->hungry, hungry, __ATOMIC_SEQ_CST);
}

static void wake_others(struct lb_worker *w)
{
	struct lb *lb = w->lb;
	for (unsigned i = 0; i < lb->nworkers; i++) {
		struct lb_worker *o = lb->workers[i];
		if (o && o != w && __atomic_load_n(&o->hungry, __ATOMIC_SEQ_CST))
			wake(o);
	}
}

void lb_worker_give_back(struct lb_worker *w, struct lb_peer *p, struct lb_hold *hold)
{
	static const struct sd_breaker_outcome unheard = {.kind = SD_BREAKER_IGNORED};
	bool counted = hold->counted, frees = counted || hold->trial;
	lb_trial_done(hold, &unheard, sd_loop_now_ns(w->loop));
	sd_gauge(&p->cell->inflight, -1);
	if (counted)
		__atomic_sub_fetch(&p->backend->conns, 1, __ATOMIC_SEQ_CST);
	if (p->index == SIZE_MAX && p->cell->inflight == 0)
		peer_free(p);
	if (w->nqueued)
		serve_queue(w);
	if (frees && w->nqueued == 0 && w->lb->nworkers > 1)
		wake_others(w);
}

/* While it is half-open only trial requests say how it is: others began before. */
static bool is_late(const struct lb_worker *w, const struct lb_peer *p)
{
	return p->index != SIZE_MAX && w->snap->entries[p->index].trial;
}

/* What the breaker of the worker makes of a result, and the trial if it was one. */
static void judge(struct lb_worker *w, struct lb_peer *p, struct lb_hold *hold, const struct sd_breaker_outcome *how)
{
	int64_t now = sd_loop_now_ns(w->loop), most = p->eject.retry_max_ns;
	p->asked_ns = how->retry_after_ns < most ? how->retry_after_ns : most;
	if (p->breaker && (p->asked_ns || !is_late(w, p)))
		sd_breaker_record(p->breaker, how, 0, now);
	p->asked_ns = 0;
	lb_trial_done(hold, how, now);
}

void lb_worker_succeeded(struct lb_worker *w, struct lb_peer *p, struct lb_hold *hold)
{
	static const struct sd_breaker_outcome good = {.kind = SD_BREAKER_SUCCESS};
	judge(w, p, hold, &good);
}

/* Retry-After of a 503, where it is heeded: that of a 429 is for the one who asked. Below 0: none. */
static int64_t asked_ns(struct lb_worker *w, const struct sd_http_head *head)
{
	if (head->status != 503 || !w->snap->eject.retry_opens)
		return -1;
	const struct sd_http_field *f = sd_http_find_name(head, "retry-after");
	return f ? sd_retry_after(f->value, sd_world_wall_ns(w->lb->run->spec.world) / 1000000000) : -1;
}

void lb_worker_answered(struct lb_worker *w, struct lb_peer *p, struct lb_hold *hold, const struct sd_http_head *head)
{
	int64_t retry = asked_ns(w, head);
	struct sd_breaker_outcome how = sd_breaker_http(head->status, retry);
	if (!w->snap->observe && retry <= 0)
		how = (struct sd_breaker_outcome){.kind = SD_BREAKER_SUCCESS};
	judge(w, p, hold, &how);
}

void lb_worker_took(struct lb_worker *w, struct lb_peer *p, int64_t took_ns, bool ok)
{
	if (p->index == SIZE_MAX)
		return;
	struct lb_view *v = w->views[p->in_pool];
	sd_balancer_sample(v->balancer, p->index - v->first, took_ns, ok, sd_loop_now_ns(w->loop));
}

void lb_worker_failed(struct lb_worker *w, struct lb_peer *p, struct lb_hold *hold, enum sd_err why)
{
	struct lb_cell *c = p->cell;
	lb_worker_took(w, p, why == SD_ETIMEOUT ? p->pool.conf.answer_timeout_ns : 0, false);
	sd_count(why == SD_EREFUSED ? &c->refused
		 : why == SD_ETIMEOUT ? &c->timeouts
		 : why == SD_EPROTO   ? &c->garbage
				      : &c->broken,
		 1);
	struct sd_breaker_outcome how = sd_breaker_error(why);
	judge(w, p, hold, &how);
}

/* ---- waiting for a connection ---- */

static void queue_timer_set(struct lb_worker *w)
{
	int64_t next = SD_NEVER;
	for (size_t i = 0; i < w->snap->npools; i++) {
		const struct sd_link *queue = &w->views[i]->queue;
		if (sd_list_empty(queue))
			continue;
		int64_t until = sd_container(queue->next, struct lb_waiter, link)->until_ns;
		next = until < next ? until : next;
	}
	sd_loop_timer_set(w->loop, &w->queue_timer, next);
}

static void give_up_late(struct lb_worker *w, struct sd_link *queue, int64_t now)
{
	while (!sd_list_empty(queue)) {
		struct lb_waiter *first = sd_container(queue->next, struct lb_waiter, link);
		if (first->until_ns > now)
			break;
		lb_worker_dequeue(w, first);
		sd_count(&w->queue_timeouts, 1);
		first->give_up(first, true);
	}
}

static void on_queue_timer(struct sd_timer *t)
{
	struct lb_worker *w = sd_container(t, struct lb_worker, queue_timer);
	int64_t now = sd_loop_now_ns(w->loop);
	for (size_t i = 0; i < w->snap->npools; i++)
		give_up_late(w, &w->views[i]->queue, now);
	queue_timer_set(w);
}

bool lb_worker_enqueue(struct lb_worker *w, uint32_t pool, struct lb_waiter *waiter)
{
	if (w->nqueued >= w->snap->queue_size) {
		sd_count(&w->queue_full, 1);
		return false;
	}
	waiter->until_ns = sd_loop_now_ns(w->loop) + w->snap->queue_timeout_ns;
	waiter->waiting = true;
	sd_list_add(&w->views[pool]->queue, &waiter->link);
	sd_gauge(&w->nqueued, 1);
	if (!w->queue_timer.slot)
		queue_timer_set(w);
	if (!w->serving && w->lb->nworkers > 1) {
		set_hungry(w, true);
		wake(w);
	}
	return true;
}

void lb_worker_dequeue(struct lb_worker *w, struct lb_waiter *waiter)
{
	if (!waiter->waiting)
		return;
	waiter->waiting = false;
	sd_list_del(&waiter->link);
	sd_gauge(&w->nqueued, -1);
	if (!w->serving && w->nqueued == 0)
		set_hungry(w, false);
}

static void serve_in_order(struct lb_worker *w, struct sd_link *queue)
{
	struct sd_link kept; /* those that wait again go back to the front, with the time they had left */
	bool stop = false;
	sd_list_init(&kept);
	for (uint32_t n = w->nqueued; n > 0 && !stop && !sd_list_empty(queue); n--) {
		struct lb_waiter *first = sd_container(queue->next, struct lb_waiter, link);
		int64_t until = first->until_ns;
		lb_worker_dequeue(w, first);
		first->go(first); /* may end it; or it waits again, as the last */
		if (sd_list_empty(queue) || sd_container(queue->prev, struct lb_waiter, link) != first)
			continue;
		sd_list_del(&first->link);
		sd_list_add(&kept, &first->link);
		first->until_ns = until;
		stop = !first->picky;
	}
	while (!sd_list_empty(&kept)) {
		struct sd_link *last = kept.prev;
		sd_list_del(last);
		sd_list_push(queue, last);
	}
}

/* Lets those who wait try, in order, until one has to wait again for want of any backend of its pool. */
static void serve_queue(struct lb_worker *w)
{
	bool outer = !w->serving;
	w->serving = true;
	for (size_t i = 0; i < w->snap->npools; i++)
		serve_in_order(w, &w->views[i]->queue);
	if (!outer)
		return;
	w->serving = false;
	set_hungry(w, w->nqueued > 0);
}

static void on_wake(struct sd_task *t)
{
	struct lb_worker *w = sd_container(t, struct lb_worker, wake);
	__atomic_store_n(&w->wake_posted, false, __ATOMIC_SEQ_CST);
	serve_queue(w);
}

/* ---- life ---- */

struct lb_worker *lb_worker_new(struct lb *lb, struct sd_worker *sw, struct sd_error *e)
{
	struct lb_worker *w = calloc(1, sizeof(*w));
	struct sd_http_server_conf conf;
	uint64_t seed;
	sd_world_random(lb->run->spec.world, &seed, sizeof(seed));
	if (!w) {
		sd_fail(e, SD_ENOMEM, "out of memory");
		return NULL;
	}
	w->lb = lb;
	w->w = sw;
	w->loop = sw->loop;
	w->wake.fn = on_wake;
	w->queue_timer.fn = on_queue_timer;
	sd_list_init(&w->leaving);
	sd_list_init(&w->tunnels);
	sd_run_http_conf(lb->run, &conf);
	sd_http_server_init(&w->server, sw->loop, &conf, &lb_http_handler, w);
	w->server.proxy = true;
	lb_log_side_init(&w->log, sw->loop);
	sd_rng_seed(&w->rng, seed + 1);
	return w;
}

void lb_worker_free(struct lb_worker *w)
{
	size_t npools = w->snap ? w->snap->npools : 0;
	for (size_t i = 0; w->snap && i < w->snap->n; i++)
		peer_free(w->peers[i]);
	while (!sd_list_empty(&w->leaving))
		peer_free(sd_container(w->leaving.next, struct lb_peer, link));
	lb_http_free(w);
	lb_snapshot_release(w->snap);
	for (size_t i = 0; i < npools; i++)
		view_free(w->views[i]);
	free(w->views);
	free(w->peers);
	free(w);
}
