/* real_helpers.c - threads for what blocks, and the name look-ups that use them. */
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "real.h"

struct real_helpers {
	struct sd_helpers helpers;
	pthread_mutex_t lock;
	pthread_cond_t more;
	struct sd_work *first, **tail;
	struct sd_work *running;
	unsigned waiting, idle, n, max; /* works, threads without one, threads */
	bool stopping;
	struct real_thread **threads;
};

static struct real_helpers *helpers_of(struct sd_helpers *h)
{
	return sd_container(h, struct real_helpers, helpers);
}

struct sd_helpers *real_helpers_new(struct sd_world *w, unsigned max_threads)
{
	struct real_helpers *h = calloc(1, sizeof(*h));
	if (!h)
		return NULL;
	h->helpers.world = w;
	h->max = max_threads;
	h->tail = &h->first;
	h->threads = calloc(max_threads, sizeof(*h->threads));
	pthread_mutex_init(&h->lock, NULL);
	pthread_cond_init(&h->more, NULL);
	return &h->helpers;
}

static struct sd_work *take(struct real_helpers *h)
{
	struct sd_work *work = NULL;
	pthread_mutex_lock(&h->lock);
	while (!h->first && !h->stopping)
		pthread_cond_wait(&h->more, &h->lock);
	h->idle--;
	if (!h->stopping) {
		work = h->first;
		h->first = work->next;
		h->waiting--;
		if (!h->first)
			h->tail = &h->first;
		work->next = h->running;
		h->running = work;
	}
	pthread_mutex_unlock(&h->lock);
	return work;
}

static void drop(struct sd_work *work)
{
	if (work->dropped)
		work->dropped(work);
}

/* Back to its loop, unless that is gone. The thread is idle before the loop knows: it needs no second one for its next work. */
static void hand_back(struct real_helpers *h, struct sd_work *work)
{
	pthread_mutex_lock(&h->lock);
	h->idle++;
	struct sd_work **at = &h->running;
	while (*at != work)
		at = &(*at)->next;
	*at = work->next;
	bool gone = !work->loop;
	if (!gone)
		sd_loop_post(work->loop, &work->task);
	pthread_mutex_unlock(&h->lock);
	if (gone)
		drop(work);
}

void real_helpers_forget(struct sd_helpers *helpers, const struct sd_loop *l)
{
	struct real_helpers *h = helpers_of(helpers);
	pthread_mutex_lock(&h->lock);
	for (struct sd_work *work = h->running; work; work = work->next)
		if (work->loop == l)
			work->loop = NULL;
	struct sd_work **at = &h->first;
	while (*at) {
		struct sd_work *work = *at;
		if (work->loop != l) {
			at = &work->next;
			continue;
		}
		*at = work->next;
		h->waiting--;
		drop(work);
	}
	h->tail = at;
	pthread_mutex_unlock(&h->lock);
}

static void on_done(struct sd_task *t)
{
	struct sd_work *work = sd_container(t, struct sd_work, task);
	work->done(work);
}

static void helper_main(void *arg)
{
	struct real_helpers *h = arg;
	struct sd_work *work;
	pthread_mutex_lock(&h->lock);
	h->idle++;
	pthread_mutex_unlock(&h->lock);
	while ((work = take(h))) {
		work->run(work);
		hand_back(h, work);
	}
}

bool real_submit(struct sd_helpers *helpers, struct sd_loop *l, struct sd_work *work)
{
	struct real_helpers *h = helpers_of(helpers);
	work->loop = l;
	work->task = (struct sd_task){.fn = on_done};
	work->next = NULL;
	pthread_mutex_lock(&h->lock);
	*h->tail = work;
	h->tail = &work->next;
	h->waiting++;
	/* An idle thread may have been woken for an earlier work and not have taken it yet. */
	if (h->waiting > h->idle && h->n < h->max && h->threads &&
	    real_thread_start("sdlab-helper", helper_main, h, &h->threads[h->n], NULL) == SD_OK)
		h->n++;
	bool ok = h->n > 0;
	if (!ok) {
		h->first = NULL;
		h->tail = &h->first;
		h->waiting = 0;
	}
	pthread_mutex_unlock(&h->lock);
	pthread_cond_signal(&h->more); /* not before: who wakes would wait for the lock */
	return ok;
}

void real_helpers_free(struct sd_helpers *helpers)
{
	struct real_helpers *h = helpers_of(helpers);
	pthread_mutex_lock(&h->lock);
	h->stopping = true;
	pthread_cond_broadcast(&h->more);
	pthread_mutex_unlock(&h->lock);
	for (unsigned i = 0; i < h->n; i++)
		real_thread_join(h->threads[i]);
	while (h->first) {
		struct sd_work *work = h->first;
		h->first = work->next;
		drop(work);
	}
	pthread_cond_destroy(&h->more);
	pthread_mutex_destroy(&h->lock);
	free(h->threads);
	free(h);
}

/* ---- name look-ups ---- */

static void resolve_run(struct sd_work *work)
{
	struct sd_resolve *r = sd_container(work, struct sd_resolve, work);
	struct addrinfo hints = {.ai_socktype = SOCK_STREAM, .ai_flags = AI_ADDRCONFIG}, *list = NULL;
	int err = getaddrinfo(r->host, NULL, &hints, &list);
	r->nfound = 0;
	if (err) {
		snprintf(r->err, sizeof(r->err), "cannot resolve %.60s: %.50s", r->host, gai_strerror(err));
		return;
	}
	for (struct addrinfo *a = list; a && r->nfound < 8; a = a->ai_next) {
		struct sockaddr_storage ss;
		memcpy(&ss, a->ai_addr, a->ai_addrlen);
		real_addr_of(&ss, &r->found[r->nfound]);
		if (r->found[r->nfound].kind == SD_ADDR_INET)
			r->found[r->nfound++].port = r->port;
	}
	freeaddrinfo(list);
	if (r->nfound == 0)
		snprintf(r->err, sizeof(r->err), "cannot resolve %.60s: no address", r->host);
}

static void resolve_done(struct sd_work *work)
{
	struct sd_resolve *r = sd_container(work, struct sd_resolve, work);
	r->done(r);
}

static void resolve_dropped(struct sd_work *work)
{
	struct sd_resolve *r = sd_container(work, struct sd_resolve, work);
	if (r->dropped)
		r->dropped(r);
}

bool real_resolve(struct sd_loop *l, struct sd_resolve *r)
{
	struct real_world *w = real_world(l->world);
	r->work = (struct sd_work){.run = resolve_run, .done = resolve_done, .dropped = resolve_dropped};
	pthread_mutex_lock(&w->lock);
	if (!w->resolver)
		w->resolver = real_helpers_new(l->world, 2);
	pthread_mutex_unlock(&w->lock);
	return w->resolver && real_submit(w->resolver, l, &r->work);
}
