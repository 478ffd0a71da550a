/* cache_copies_await.c - who waits for copies: WAIT, and with a write quorum the reply to every write, and what is behind it.
 *
 * Replies that are held are kept in their order with what each needs; the first goes when copies have that, or as an error when its
 * time is over. Commands behind are run meanwhile, until much is held.
 */
#include <stdlib.h>
#include <string.h>

#include "cache_copies_int.h"

#define HELD_BYTES   (256u * 1024) /* of one connection, before it is served no more */
#define HELD_REPLIES 4096

struct held {
	struct sd_link link;
	struct copies_mark mark;
	unsigned needs; /* other nodes */
	bool is_wait;	/* its reply is how many have it */
	int64_t deadline_ns;
	size_t n;
	char reply[];
};

struct cache_await {
	struct sd_link link; /* in awaiting, while there is something held */
	struct cache_session *session;
	struct copies_mark wrote; /* by the last command that did */
	uint64_t call;		  /* that one */
	struct sd_link held;
	size_t nheld, bytes, waits;
};

static struct cache_await *await_of(struct cache_session *s)
{
	struct cache_await *a = s->await;
	if (a || !(a = calloc(1, sizeof(*a))))
		return a;
	a->session = s;
	sd_list_init(&a->link);
	sd_list_init(&a->held);
	return s->await = a;
}

static void add_slot(struct copies_mark *m, unsigned slot)
{
	for (unsigned i = 0; i < m->n; i++)
		if (m->slots[i] == slot)
			return;
	if (m->n < COPIES_MARK)
		m->slots[m->n++] = (uint16_t)slot;
	else
		m->many = true;
}

/* Of the command in progress. */
static struct copies_mark *mark_of(struct cache_copies *cc, struct cache_await *a)
{
	if (a->call != cc->cache->calls)
		a->wrote = (struct copies_mark){0};
	a->call = cc->cache->calls;
	a->wrote.turn = cc->turn;
	a->wrote.term = cc->term;
	return &a->wrote;
}

void copies_wrote(struct cache_copies *cc, unsigned slot)
{
	struct cache_await *a = cc->cache->running ? await_of(cc->cache->running) : NULL;
	if (!a)
		return;
	struct copies_mark *m = mark_of(cc, a);
	m->wrote = true;
	add_slot(m, slot);
}

/* With a write quorum whatever looked at a key waits too: for a turn that its owners acknowledge, with the key in it where one of them may
 * not have it. */
void copies_ran(void *arg, struct cache_call *c)
{
	struct cache_copies *cc = arg;
	struct sd_redis_keys keys;
	struct cache_await *a;
	if (cc->conf.reads_at_once || !sd_redis_keys(c->command->is, c->argc, c->argv, &keys) || !(a = await_of(c->session)))
		return;
	for (size_t i = keys.also ? 0 : 1; i <= keys.n; i++) {
		struct sd_slice key = i ? c->argv[keys.first + (i - 1) * keys.step] : c->argv[keys.also];
		unsigned slot = sd_slot_of(key);
		if (cc->slots[slot].held != COPIES_HELD) /* READONLY */
			continue;
		add_slot(mark_of(cc, a), slot);
		copies_poke(cc, slot);
		if (!copies_term_is_clean(cc, slot))
			copies_note(cc, key);
	}
}

/* ---- how many have it ---- */

static unsigned missing(const struct cache_copies *cc, uint64_t turn)
{
	unsigned n = 0;
	for (size_t i = 0; i < cc->nothers; i++)
		n += cc->others[i] && cc->others[i]->member && !copies_has_turn(cc, cc->others[i], turn);
	return n;
}

/* Nodes beside this one. Of many slots: so many at least. */
static unsigned copies_of(const struct cache_copies *cc, const struct copies_mark *m)
{
	unsigned least = cc->view ? cc->view->slots.copies - 1 : 0, none = m->turn ? missing(cc, m->turn) : 0;
	if (m->many)
		return none >= least ? 0 : least - none;
	for (unsigned i = 0; i < m->n; i++) {
		struct copies_peer *to[SD_SLOTS_COPIES];
		size_t n = copies_owners(cc, m->slots[i], to);
		unsigned have = 0;
		for (size_t k = 0; k < n; k++)
			have += copies_has_turn(cc, to[k], m->turn);
		if (have < least)
			least = have;
	}
	if (!m->n) /* it wrote nothing: all who are there have that */
		return cc->view && least > cc->view->n - 1 ? (unsigned)cc->view->n - 1 : least;
	return least;
}

/* ---- holding ---- */

static bool push(struct cache_copies *cc, struct cache_await *a, const struct held *like, const char *p, size_t n)
{
	struct held *h = malloc(sizeof(*h) + n);
	if (!h)
		return false;
	*h = *like;
	h->n = n;
	if (n)
		memcpy(h->reply, p, n);
	sd_list_add(&a->held, &h->link);
	if (a->nheld++ == 0)
		sd_list_add(&cc->awaiting, &a->link);
	a->session->flags |= CACHE_HOLDING;
	a->bytes += n;
	a->waits += h->is_wait;
	if (a->waits || a->bytes > HELD_BYTES || a->nheld > HELD_REPLIES)
		a->session->flags |= CACHE_HELD;
	copies_wake(cc, h->deadline_ns);
	return true;
}

static void pop(struct cache_await *a, struct held *h)
{
	sd_list_del(&h->link);
	a->nheld--;
	a->bytes -= h->n;
	a->waits -= h->is_wait;
	a->session->cache->nblocked -= h->is_wait;
	if (!a->nheld) {
		sd_list_del(&a->link);
		a->session->flags &= ~(uint32_t)CACHE_HOLDING;
	}
	if (!a->waits && a->bytes <= HELD_BYTES / 2 && a->nheld <= HELD_REPLIES / 2)
		a->session->flags &= ~(uint32_t)CACHE_HELD;
	free(h);
}

void copies_called(void *arg, struct cache_session *s, size_t begun)
{
	struct cache_copies *cc = arg;
	struct cache_await *a = s->await;
	size_t n = s->out.n - begun;
	bool wrote = a && a->call == cc->cache->calls && cc->conf.quorum > 1;
	if (!n || !a || (!wrote && !a->nheld) || s->out.full)
		return;
	struct held like = {.deadline_ns = wrote ? copies_now(cc) + cc->conf.write_timeout_ms * 1000000 : INT64_MAX};
	if (wrote) {
		like.mark = a->wrote;
		like.needs = cc->conf.quorum - 1;
	}
	if (push(cc, a, &like, s->out.p + begun, n))
		s->out.n = begun;
	else
		s->out.full = true;
}

void copies_wait(struct cache_call *c, int64_t copies, int64_t deadline_ms)
{
	struct cache_copies *cc = c->cache->follower->arg;
	struct cache_await *a = await_of(c->session);
	struct held like = {.is_wait = true, .deadline_ns = INT64_MAX};
	if (!a) {
		sd_resp_error(c->out, cache_no_memory);
		return;
	}
	copies_flush(cc, true);
	like.mark = a->wrote;
	if (c->session->flags & CACHE_REMOTE) { /* of several clients: what any of them wrote */
		like.mark.turn = cc->turn - 1;
		like.mark.many = true;
	}
	if (like.mark.turn)
		like.mark.turn = cc->turn - 1; /* also what was sent only now, since it is large */
	like.needs = copies < 0 ? 0 : copies > SD_SLOTS ? SD_SLOTS : (unsigned)copies;
	if (deadline_ms)
		like.deadline_ns = copies_now(cc) + (deadline_ms - c->cache->now_ms) * 1000000;
	unsigned have = copies_of(cc, &like.mark);
	if (c->in_exec || (!a->nheld && have >= like.needs)) {
		sd_resp_int(c->out, have);
		return;
	}
	c->cache->nblocked++;
	if (!push(cc, a, &like, "", 0)) {
		c->cache->nblocked--;
		sd_resp_error(c->out, cache_no_memory);
	}
}

/* ---- letting go ---- */

static void no_replicas(struct cache_copies *cc, struct cache_session *s, const struct held *h, unsigned have)
{
	if (!h->mark.wrote) {
		sd_resp_error(&s->out, "TRYAGAIN Not enough nodes said in time that this one still answers for the key");
		return;
	}
	cc->stats.no_replicas++;
	sd_resp_errorf(&s->out, "NOREPLICAS The write stays, but %u of %u nodes have it", have + !cc->agreed, cc->conf.quorum);
}

/* Its turn; true: it is answered. */
static bool answer(struct cache_copies *cc, struct cache_session *s, const struct held *h, int64_t now)
{
	bool held = cc->agreed && h->needs && !h->is_wait && !h->mark.many;
	unsigned have = (h->needs || h->is_wait) && !held ? copies_of(cc, &h->mark) : 0;
	enum copies_fate fate = held ? copies_term_fate(cc, &h->mark, &have) : COPIES_HOPED;
	bool enough = held ? fate == COPIES_DONE : have >= h->needs;
	if (!enough && now < h->deadline_ns && fate != COPIES_LOST)
		return false;
	if (h->is_wait)
		sd_resp_int(&s->out, have);
	else if (enough)
		sd_resp_raw(&s->out, h->reply, h->n);
	else
		no_replicas(cc, s, h, have);
	return true;
}

int64_t copies_release(struct cache_copies *cc)
{
	int64_t now = copies_now(cc), next = INT64_MAX;
	for (struct sd_link *k = cc->awaiting.next, *after; k != &cc->awaiting; k = after) {
		struct cache_await *a = sd_container(k, struct cache_await, link);
		bool any = false;
		after = k->next;
		while (a->nheld) {
			struct held *h = sd_container(a->held.next, struct held, link);
			if (!answer(cc, a->session, h, now)) {
				next = h->deadline_ns < next ? h->deadline_ns : next;
				break;
			}
			pop(a, h);
			any = true;
		}
		if (any)
			cache_wake(a->session);
	}
	return next;
}

void copies_session_ends(void *arg, struct cache_session *s)
{
	struct cache_await *a = s->await;
	(void)arg;
	while (a->nheld)
		pop(a, sd_container(a->held.next, struct held, link));
	free(a);
	s->await = NULL;
}
