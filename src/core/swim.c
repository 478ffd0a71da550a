/* swim.c - members, pings, suspicions, news. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/rng.h"
#include "core/swim_int.h"

#define ILL_MAX     7
#define NEWS_EACH   5 /* rounds of news in an interval */
#define NEWS_TO     3
#define RELAYS      32
#define MAX_OF_MIN  6 /* a suspicion nobody shares lasts so many times as long */

/* The ping of this round. */
struct probe {
	bool on, asked, acked;
	struct sd_swim_id id;
	uint32_t number;
	int64_t began_ns, ask_ns, ends_ns;
	unsigned helpers, nacks;
};

/* A ping for somebody else. */
struct relay {
	uint32_t number, for_number;
	struct sd_swim_end to;
	int64_t ends_ns; /* 0: free */
};

struct sd_swim {
	struct sd_swim_conf conf;
	struct sd_swim_host host;
	struct sd_rng rng;
	int64_t now_ns, ticked_ns, due_ns;
	struct sd_swim_member **m; /* [0]: itself */
	size_t n, room;
	struct sd_swim_member **order; /* of pings: all others, shuffled each time around */
	size_t order_n, order_at;
	struct probe probe;
	struct relay relays[RELAYS];
	struct sd_swim_end seeds[SD_SWIM_SEEDS];
	unsigned nseeds, ill;
	uint32_t number;
	int64_t seed_ns, news_ns, sync_ns, reach_ns;
	struct sd_swim_stats stats;
};

struct sd_swim_conf sd_swim_conf_default(void)
{
	return (struct sd_swim_conf){.interval_ns = 500000000, .timeout_ns = 250000000, .indirect = 3, .lambda = 4, .suspicion = 4,
				     .sync_ns = 10000000000, .reach_ns = 5000000000, .keep_ns = 3600000000000};
}

/* ---- members ---- */

static struct sd_swim_member *self(const struct sd_swim *s)
{
	return s->m[0];
}

static bool is_self(const struct sd_swim *s, const struct sd_swim_id *id)
{
	return sd_swim_id_compare(id, &self(s)->facts.id) == 0;
}

static bool is_up(const struct sd_swim_member *m)
{
	return m->state <= SD_SWIM_SUSPECT;
}

static struct sd_swim_member *find(const struct sd_swim *s, const struct sd_swim_id *id)
{
	for (size_t i = 0; i < s->n; i++)
		if (sd_swim_id_compare(&s->m[i]->facts.id, id) == 0)
			return s->m[i];
	return NULL;
}

size_t sd_swim_alive(const struct sd_swim *s)
{
	size_t n = 0;
	for (size_t i = 0; i < s->n; i++)
		n += is_up(s->m[i]);
	return n;
}

static double scale(const struct sd_swim *s, double more)
{
	return log10((double)sd_swim_alive(s) + more);
}

/* What is said of a member from now on. */
static void tell(struct sd_swim *s, struct sd_swim_member *m)
{
	m->told = 0;
	m->tell = (uint16_t)ceil(s->conf.lambda * fmax(1, ceil(scale(s, 1))));
}

static bool grow(struct sd_swim *s)
{
	size_t room = s->room ? 2 * s->room : 8;
	struct sd_swim_member **m = reallocarray(s->m, room, sizeof(*m));
	if (!m)
		return false;
	s->m = m;
	m = reallocarray(s->order, room, sizeof(*m));
	if (!m)
		return false;
	s->order = m;
	s->room = room;
	return true;
}

/* A new one; it gets its turn at some moment of this round. */
static struct sd_swim_member *add(struct sd_swim *s, const struct swim_entry *e)
{
	if (s->n == SD_SWIM_MEMBERS || (s->n == s->room && !grow(s))) {
		s->stats.full++;
		return NULL;
	}
	struct sd_swim_member *m = calloc(1, sizeof(*m));
	if (!m)
		return NULL;
	m->facts = e->facts;
	m->heard_ns = INT64_MIN;
	m->in = UINT64_MAX;
	m->told_ns = s->now_ns - s->conf.interval_ns;
	m->rtt_ns = -1;
	s->m[s->n++] = m;
	if (s->n == 1)
		return m;
	size_t left = s->order_n - s->order_at, at = s->order_at + sd_rng_below(&s->rng, (uint32_t)left + 1);
	s->order[s->order_n++] = s->order[at];
	s->order[at] = m;
	return m;
}

static void drop(struct sd_swim *s, struct sd_swim_member *m)
{
	size_t i = 1, k = 0;
	while (s->m[i] != m)
		i++;
	s->m[i] = s->m[--s->n];
	while (s->order[k] != m)
		k++;
	s->order_at -= k < s->order_at;
	memmove(s->order + k, s->order + k + 1, (--s->order_n - k) * sizeof(struct sd_swim_member *));
	if (s->host.forgotten)
		s->host.forgotten(s->host.arg, m);
	free(m);
}

/* Some of those who fit, each as likely as another. */
static size_t pick(struct sd_swim *s, bool (*fits)(const struct sd_swim *s, const struct sd_swim_member *m),
		   struct sd_swim_member **out, size_t most)
{
	size_t seen = 0, n = 0;
	for (size_t i = 1; i < s->n; i++) {
		if (!fits(s, s->m[i]))
			continue;
		uint32_t at = sd_rng_below(&s->rng, (uint32_t)++seen);
		if (n < most)
			out[n++] = s->m[i];
		else if (at < most)
			out[at] = s->m[i];
	}
	return n;
}

static bool fits_up(const struct sd_swim *s, const struct sd_swim_member *m)
{
	(void)s;
	return is_up(m);
}

static bool fits_dead(const struct sd_swim *s, const struct sd_swim_member *m)
{
	(void)s;
	return m->state == SD_SWIM_DEAD;
}

static bool fits_helper(const struct sd_swim *s, const struct sd_swim_member *m)
{
	return m->state == SD_SWIM_ALIVE && sd_swim_id_compare(&m->facts.id, &s->probe.id) != 0;
}

/* ---- datagrams out ---- */

static void begin(const struct sd_swim *s, struct swim_out *o, enum swim_kind kind, uint32_t number)
{
	struct swim_head h = {s->conf.cluster, &self(s)->facts.id, kind, number};
	swim_begin(o, SD_SWIM_DATAGRAM - (s->host.mac ? SD_SWIM_MAC : 0), &h);
}

static void send_out(struct sd_swim *s, struct swim_out *o, const struct sd_swim_end *to)
{
	if (s->host.mac) {
		s->host.mac(s->host.arg, o->b, o->n, o->b + o->n);
		o->n += SD_SWIM_MAC;
	}
	s->stats.sent++;
	s->host.send(s->host.arg, to, o->b, o->n);
}

static bool put_member(struct swim_out *o, const struct sd_swim_member *m)
{
	struct swim_entry e = {.facts = m->facts, .incarnation = m->incarnation, .state = m->state};
	if (m->state == SD_SWIM_SUSPECT && m->naccusers)
		e.accuser = m->accusers[m->naccusers - 1];
	return swim_put_entry(o, &e);
}

/* What is told least of what is still to be told and not in this datagram; NULL: none. */
static struct sd_swim_member *next_news(const struct sd_swim *s)
{
	struct sd_swim_member *next = NULL;
	for (size_t i = 0; i < s->n; i++) {
		struct sd_swim_member *m = s->m[i];
		if (m->told < m->tell && m->in != s->stats.sent && (!next || m->told < next->told))
			next = m;
	}
	return next;
}

/* As many news as there is room for, those told least first. */
static void put_news(struct sd_swim *s, struct swim_out *o)
{
	struct sd_swim_member *m;
	while ((m = next_news(s)) && put_member(o, m)) {
		m->told++;
		m->in = s->stats.sent;
	}
}

/* Whoever is not up in our eyes is told so first of all, so that it can object. */
static void put_opinion(struct swim_out *o, const struct sd_swim_member *about)
{
	if (about && about->state != SD_SWIM_ALIVE)
		put_member(o, about);
}

static void send_ping(struct sd_swim *s, const struct sd_swim_id *id, const struct sd_swim_end *to, uint32_t number,
		      const struct sd_swim_member *about)
{
	struct swim_out o;
	begin(s, &o, SWIM_PING, number);
	swim_put_id(&o, id);
	put_opinion(&o, about);
	put_news(s, &o);
	s->stats.pings++;
	send_out(s, &o, to);
}

static void send_ack(struct sd_swim *s, const struct sd_swim_end *to, uint32_t number, const struct sd_swim_member *about)
{
	struct swim_out o;
	begin(s, &o, SWIM_ACK, number);
	put_opinion(&o, about);
	put_news(s, &o);
	s->stats.acks++;
	send_out(s, &o, to);
}

static void send_bare(struct sd_swim *s, const struct sd_swim_end *to, enum swim_kind kind, uint32_t number)
{
	struct swim_out o;
	begin(s, &o, kind, number);
	send_out(s, &o, to);
}

static void send_news(struct sd_swim *s, const struct sd_swim_member *to)
{
	struct swim_out o;
	begin(s, &o, SWIM_NEWS, 0);
	size_t empty = o.n;
	put_opinion(&o, to);
	put_news(s, &o);
	if (o.n > empty)
		send_out(s, &o, &to->facts.bus);
}

/* All that is known, in as many datagrams as it takes: only the last one asks for an answer, or is one. */
static void send_all(struct sd_swim *s, const struct sd_swim_end *to, enum swim_kind kind)
{
	struct swim_out o;
	size_t i = 0;
	do {
		begin(s, &o, SWIM_NEWS, 0);
		while (i < s->n && put_member(&o, s->m[i]))
			i++;
		if (i == s->n)
			o.b[32] = (uint8_t)kind;
		send_out(s, &o, to);
	} while (i < s->n);
}

/* ---- what changes ---- */

static void sicken(struct sd_swim *s, int by)
{
	int ill = (int)s->ill + by;
	s->ill = ill < 0 ? 0u : ill > ILL_MAX ? ILL_MAX : (unsigned)ill;
}

/* Shorter with every member that shares it. */
static int64_t suspicion_ns(const struct sd_swim *s, unsigned shared_by)
{
	double least = s->conf.suspicion * fmax(1, scale(s, 0)) * (double)s->conf.interval_ns;
	size_t others = sd_swim_alive(s) > 2 ? sd_swim_alive(s) - 2 : 0;
	unsigned want = s->conf.suspicion > 2 ? s->conf.suspicion - 2 : 0;
	if (want > SD_SWIM_ACCUSERS - 1)
		want = SD_SWIM_ACCUSERS - 1;
	if (others < want) /* nobody to share it with */
		return (int64_t)least;
	double part = want ? log(shared_by) / log(want + 1.0) : 1; /* by one: 0; by all that are wanted: 1 */
	double t = MAX_OF_MIN * least - part * (MAX_OF_MIN - 1) * least;
	return (int64_t)fmax(least, t);
}

/* One more who suspects it. False: that one did already, or there are enough. */
static bool accuse(struct sd_swim *s, struct sd_swim_member *m, const struct sd_swim_id *by)
{
	for (unsigned i = 0; i < m->naccusers; i++)
		if (sd_swim_id_compare(&m->accusers[i], by) == 0)
			return false;
	if (m->naccusers == SD_SWIM_ACCUSERS)
		return false;
	m->accusers[m->naccusers++] = *by;
	m->dies_ns = m->since_ns + suspicion_ns(s, m->naccusers);
	tell(s, m);
	return true;
}

static void set_state(struct sd_swim *s, struct sd_swim_member *m, enum sd_swim_state state)
{
	if (m->state != state)
		m->since_ns = s->now_ns;
	m->state = state;
	m->naccusers = 0;
	tell(s, m);
}

static void suspect(struct sd_swim *s, struct sd_swim_member *m)
{
	if (m->state == SD_SWIM_SUSPECT) {
		accuse(s, m, &self(s)->facts.id);
		return;
	}
	if (m->state != SD_SWIM_ALIVE)
		return;
	struct sd_swim_member was = *m;
	set_state(s, m, SD_SWIM_SUSPECT);
	accuse(s, m, &self(s)->facts.id);
	s->stats.suspected++;
	s->host.changed(s->host.arg, &was, m);
}

static bool same_facts(const struct sd_swim_facts *a, const struct sd_swim_facts *b)
{
	return sd_swim_end_equal(&a->client, &b->client) && sd_swim_end_equal(&a->bus, &b->bus) && a->epoch == b->epoch &&
	       a->weight == b->weight && a->npayload == b->npayload && memcmp(a->payload, b->payload, a->npayload) == 0;
}

/* The others know the address that ours comes from, where we do not. */
static void learn_ip(struct sd_swim_end *mine, const struct sd_swim_end *theirs)
{
	if (!swim_ip_is_zero(mine) || swim_ip_is_zero(theirs))
		return;
	memcpy(mine->ip, theirs->ip, sizeof(mine->ip));
	mine->v6 = theirs->v6;
}

/* Somebody says something of us: what is not so is put right by a higher incarnation. */
static void about_self(struct sd_swim *s, const struct swim_entry *e)
{
	struct sd_swim_member *me = self(s);
	if (e->incarnation < me->incarnation)
		return;
	learn_ip(&me->facts.bus, &e->facts.bus);
	learn_ip(&me->facts.client, &e->facts.client);
	if (e->incarnation == me->incarnation && e->state == me->state && same_facts(&e->facts, &me->facts))
		return;
	if (s->conf.never_refute)
		return;
	bool accused = e->state == SD_SWIM_SUSPECT || e->state == SD_SWIM_DEAD;
	me->incarnation = e->incarnation + 1;
	tell(s, me);
	s->stats.refuted += accused;
	sicken(s, accused);
}

static void apply(struct sd_swim *s, const struct swim_entry *e)
{
	struct sd_swim_member *m = find(s, &e->facts.id), was;
	bool fresh = !m;
	if (fresh && e->state >= SD_SWIM_DEAD)
		return; /* nobody who is gone comes back by hearsay */
	if (fresh && !(m = add(s, e)))
		return;
	if (!fresh && (e->incarnation < m->incarnation || (e->incarnation == m->incarnation && e->state <= m->state))) {
		if (e->incarnation == m->incarnation && e->state == SD_SWIM_SUSPECT && m->state == SD_SWIM_SUSPECT)
			accuse(s, m, &e->accuser);
		return;
	}
	was = *m;
	m->facts = e->facts;
	m->incarnation = e->incarnation;
	set_state(s, m, e->state);
	if (fresh)
		m->since_ns = s->now_ns;
	if (e->state == SD_SWIM_SUSPECT)
		accuse(s, m, &e->accuser);
	if (fresh || was.state != m->state || !same_facts(&was.facts, &m->facts))
		s->host.changed(s->host.arg, fresh ? NULL : &was, m);
}

/* ---- datagrams in ---- */

static void take_news(struct sd_swim *s, struct swim_message *msg, const struct sd_swim_end *from)
{
	for (size_t i = 0; i < msg->nentries; i++) {
		struct swim_entry *e = &msg->entries[i];
		if (is_self(s, &e->facts.id)) {
			about_self(s, e);
			continue;
		}
		learn_ip(&e->facts.bus, from);
		learn_ip(&e->facts.client, from);
		apply(s, e);
	}
}

static uint32_t next_number(struct sd_swim *s)
{
	return ++s->number ? s->number : ++s->number; /* 0 is nobody's */
}

static void on_ping(struct sd_swim *s, const struct swim_message *msg, const struct sd_swim_end *from)
{
	if (!swim_id_is_zero(&msg->target) && !is_self(s, &msg->target))
		return; /* for somebody who was here before */
	if (self(s)->state == SD_SWIM_LEFT)
		return;
	const struct sd_swim_member *m = find(s, &msg->sender);
	send_ack(s, from, msg->number, m);
	if (!m)
		send_all(s, from, SWIM_SYNC);
}

static void on_ping_req(struct sd_swim *s, const struct swim_message *msg, const struct sd_swim_end *from)
{
	for (unsigned i = 0; i < RELAYS; i++) {
		struct relay *r = &s->relays[i];
		if (r->ends_ns)
			continue;
		*r = (struct relay){next_number(s), msg->number, *from, s->now_ns + s->conf.timeout_ns};
		send_ping(s, &msg->target, &msg->target_end, r->number, find(s, &msg->target));
		return;
	}
}

static void on_ack(struct sd_swim *s, const struct swim_message *msg)
{
	struct probe *p = &s->probe;
	if (p->on && p->number == msg->number) {
		struct sd_swim_member *m = find(s, &p->id);
		if (!p->acked && !p->asked) {
			sicken(s, -1);
			if (m)
				m->rtt_ns = s->now_ns - p->began_ns;
		}
		p->acked = true;
		return;
	}
	for (unsigned i = 0; i < RELAYS; i++) {
		struct relay *r = &s->relays[i];
		if (!r->ends_ns || r->number != msg->number)
			continue;
		send_ack(s, &r->to, r->for_number, NULL);
		r->ends_ns = 0;
	}
}

/* Somebody speaks who is gone in our eyes: it is to know. Not more than once an interval, since it may think the same of us. */
static void object(struct sd_swim *s, struct sd_swim_member *m)
{
	if (!m || is_up(m) || s->now_ns < m->told_ns + s->conf.interval_ns)
		return;
	m->told_ns = s->now_ns;
	send_news(s, m);
}

static void on_message(struct sd_swim *s, struct swim_message *msg, const struct sd_swim_end *from)
{
	struct sd_swim_member *m;
	take_news(s, msg, from);
	m = find(s, &msg->sender);
	if (m)
		m->heard_ns = s->now_ns;
	switch (msg->kind) {
	case SWIM_PING:
		on_ping(s, msg, from);
		break;
	case SWIM_PING_REQ:
		on_ping_req(s, msg, from);
		break;
	case SWIM_ACK:
		on_ack(s, msg);
		break;
	case SWIM_NACK:
		s->probe.nacks += s->probe.on && s->probe.number == msg->number;
		break;
	case SWIM_SYNC:
		send_all(s, from, SWIM_SYNC_ANSWER);
		break;
	case SWIM_SYNC_ANSWER:
	case SWIM_NEWS:
		object(s, m);
		break;
	case SWIM_REFUSED:
		break; /* counted before */
	}
}

static bool is_sealed(const struct sd_swim *s, const uint8_t *p, size_t *n)
{
	uint8_t mac[SD_SWIM_MAC];
	unsigned diff = 0;
	if (*n < SD_SWIM_MAC)
		return false;
	*n -= SD_SWIM_MAC;
	s->host.mac(s->host.arg, p, *n, mac);
	for (size_t i = 0; i < SD_SWIM_MAC; i++)
		diff |= mac[i] ^ p[*n + i];
	return diff == 0;
}

void sd_swim_receive(struct sd_swim *s, const struct sd_swim_end *from, const void *p, size_t n, int64_t now_ns)
{
	struct swim_message msg;
	uint64_t cluster;
	s->now_ns = now_ns;
	s->stats.received++;
	if (n > SD_SWIM_DATAGRAM || !swim_read_cluster(p, n, &cluster)) {
		s->stats.bad++;
	} else if (s->host.mac && !is_sealed(s, p, &n)) {
		s->stats.forged++;
	} else if (!swim_read(p, n, &msg)) {
		s->stats.bad++;
	} else if (cluster != s->conf.cluster || msg.kind == SWIM_REFUSED) {
		s->stats.foreign++;
		s->stats.last_foreign = *from;
		if (msg.kind == SWIM_SYNC)
			send_bare(s, from, SWIM_REFUSED, 0);
	} else if (is_self(s, &msg.sender)) {
		s->stats.own++;
	} else {
		on_message(s, &msg, from);
	}
}

/* ---- what is due ---- */

static void shuffle(struct sd_swim *s)
{
	for (size_t i = s->order_n; i > 1; i--) {
		size_t k = sd_rng_below(&s->rng, (uint32_t)i);
		struct sd_swim_member *m = s->order[i - 1];
		s->order[i - 1] = s->order[k];
		s->order[k] = m;
	}
	s->order_at = 0;
}

static struct sd_swim_member *next_to_ping(struct sd_swim *s)
{
	for (size_t tries = 0; tries <= s->order_n; tries++) {
		if (s->order_at == s->order_n)
			shuffle(s);
		if (s->order_n && is_up(s->order[s->order_at++]))
			return s->order[s->order_at - 1];
	}
	return NULL;
}

static void begin_probe(struct sd_swim *s)
{
	struct sd_swim_member *m = next_to_ping(s);
	int64_t times = 1 + (int64_t)s->ill;
	s->probe = (struct probe){.on = m, .number = next_number(s), .began_ns = s->now_ns,
				  .ask_ns = s->now_ns + s->conf.timeout_ns * times,
				  .ends_ns = s->now_ns + s->conf.interval_ns * times};
	if (!m)
		return;
	s->probe.id = m->facts.id;
	send_ping(s, &m->facts.id, &m->facts.bus, s->probe.number, m);
}

static void ask_others(struct sd_swim *s)
{
	struct sd_swim_member *m = find(s, &s->probe.id), *helpers[16] = {0};
	struct swim_out o;
	s->probe.asked = true;
	if (!m)
		return;
	s->probe.helpers = (unsigned)pick(s, fits_helper, helpers, s->conf.indirect < 16 ? s->conf.indirect : 16);
	for (unsigned i = 0; i < s->probe.helpers; i++) {
		begin(s, &o, SWIM_PING_REQ, s->probe.number);
		swim_put_id(&o, &m->facts.id);
		swim_put_end(&o, &m->facts.bus);
		put_news(s, &o);
		send_out(s, &o, &helpers[i]->facts.bus);
	}
}

/* No answer: either it is ill, or we are. Helpers that say they got none either speak for the first. */
static void end_probe(struct sd_swim *s)
{
	struct probe *p = &s->probe;
	struct sd_swim_member *m = p->on ? find(s, &p->id) : NULL;
	p->on = false;
	if (!m || p->acked)
		return;
	if (p->helpers == 0)
		sicken(s, 1);
	else if (p->nacks < p->helpers)
		sicken(s, (int)(p->helpers - p->nacks));
	suspect(s, m);
}

static int64_t do_probe(struct sd_swim *s)
{
	struct probe *p = &s->probe;
	if (p->on && !p->acked && !p->asked && s->now_ns >= p->ask_ns)
		ask_others(s);
	if (s->now_ns >= p->ends_ns) {
		end_probe(s);
		if (self(s)->state != SD_SWIM_LEFT)
			begin_probe(s);
		else
			p->ends_ns = s->now_ns + s->conf.interval_ns;
	}
	return p->on && !p->acked && !p->asked ? p->ask_ns : p->ends_ns;
}

static int64_t do_relays(struct sd_swim *s)
{
	int64_t next = INT64_MAX;
	for (unsigned i = 0; i < RELAYS; i++) {
		struct relay *r = &s->relays[i];
		if (r->ends_ns && s->now_ns >= r->ends_ns) {
			send_bare(s, &r->to, SWIM_NACK, r->for_number);
			r->ends_ns = 0;
		}
		if (r->ends_ns && r->ends_ns < next)
			next = r->ends_ns;
	}
	return next;
}

/* Suspects whose time is over, and the dead that nobody needs to remember. */
static int64_t do_ends(struct sd_swim *s)
{
	int64_t next = INT64_MAX;
	for (size_t i = s->n; i-- > 1;) {
		struct sd_swim_member *m = s->m[i], was = *m;
		int64_t at = m->state == SD_SWIM_SUSPECT ? m->dies_ns : m->state >= SD_SWIM_DEAD ? m->since_ns + s->conf.keep_ns : INT64_MAX;
		if (s->now_ns >= at && m->state == SD_SWIM_SUSPECT) {
			set_state(s, m, SD_SWIM_DEAD);
			s->stats.died++;
			s->host.changed(s->host.arg, &was, m);
			at = m->since_ns + s->conf.keep_ns;
		} else if (s->now_ns >= at) {
			drop(s, m);
			continue;
		}
		next = at < next ? at : next;
	}
	return next;
}

static bool any_news(const struct sd_swim *s)
{
	for (size_t i = 0; i < s->n; i++)
		if (s->m[i]->told < s->m[i]->tell)
			return true;
	return false;
}

static int64_t do_news(struct sd_swim *s)
{
	struct sd_swim_member *to[NEWS_TO];
	if (s->now_ns < s->news_ns)
		return s->news_ns;
	s->news_ns = s->now_ns + s->conf.interval_ns / NEWS_EACH;
	if (!any_news(s))
		return s->news_ns;
	size_t n = pick(s, fits_up, to, NEWS_TO);
	for (size_t i = 0; i < n; i++)
		send_news(s, to[i]);
	return s->news_ns;
}

static int64_t do_sync(struct sd_swim *s)
{
	struct sd_swim_member *m;
	if (s->now_ns < s->sync_ns)
		return s->sync_ns;
	s->sync_ns = s->now_ns + s->conf.sync_ns;
	if (self(s)->state == SD_SWIM_ALIVE && pick(s, fits_up, &m, 1))
		send_all(s, &m->facts.bus, SWIM_SYNC);
	return s->sync_ns;
}

/* Is anybody alive at this address? */
static bool is_known(const struct sd_swim *s, const struct sd_swim_end *e)
{
	for (size_t i = 0; i < s->n; i++)
		if (is_up(s->m[i]) && sd_swim_end_equal(&s->m[i]->facts.bus, e))
			return true;
	return false;
}

static int64_t do_seeds(struct sd_swim *s)
{
	if (s->now_ns < s->seed_ns)
		return s->seed_ns;
	s->seed_ns = s->now_ns + 2 * s->conf.interval_ns;
	bool alone = sd_swim_alive(s) == 1 && s->nseeds;
	for (unsigned i = 0; alone && i < s->nseeds && self(s)->state == SD_SWIM_ALIVE; i++)
		if (!is_known(s, &s->seeds[i]))
			send_all(s, &s->seeds[i], SWIM_SYNC);
	return s->seed_ns;
}

/* What was torn apart grows together only if somebody asks who seems to be gone. */
static int64_t do_reach(struct sd_swim *s)
{
	struct sd_swim_member *m;
	if (s->now_ns < s->reach_ns)
		return s->reach_ns;
	s->reach_ns = s->now_ns + s->conf.reach_ns;
	if (self(s)->state != SD_SWIM_ALIVE)
		return s->reach_ns;
	if (pick(s, fits_dead, &m, 1))
		send_all(s, &m->facts.bus, SWIM_SYNC);
	const struct sd_swim_end *seed = s->nseeds ? &s->seeds[sd_rng_below(&s->rng, s->nseeds)] : NULL;
	if (seed && !is_known(s, seed))
		send_all(s, seed, SWIM_SYNC);
	return s->reach_ns;
}

/* Were we stopped for a while? Then nobody is to blame for what we did not hear. */
static void awake(struct sd_swim *s)
{
	int64_t slept = s->now_ns - s->due_ns;
	if (slept < s->conf.interval_ns)
		return;
	for (size_t i = 1; i < s->n; i++)
		if (s->m[i]->state == SD_SWIM_SUSPECT)
			s->m[i]->dies_ns += slept;
	for (unsigned i = 0; i < RELAYS; i++)
		s->relays[i].ends_ns = 0;
	s->probe.on = false;
	sicken(s, 1);
}

int64_t sd_swim_tick(struct sd_swim *s, int64_t now_ns)
{
	static int64_t (*const all[])(struct sd_swim *s) = {do_probe, do_relays, do_ends, do_news, do_sync, do_seeds, do_reach};
	int64_t next = INT64_MAX;
	s->now_ns = now_ns;
	awake(s);
	for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
		int64_t at = all[i](s);
		next = at < next ? at : next;
	}
	s->due_ns = next > now_ns ? next : now_ns + 1;
	return s->due_ns;
}

/* ---- what its owner does ---- */

struct sd_swim *sd_swim_new(const struct sd_swim_conf *conf, const struct sd_swim_facts *facts, const struct sd_swim_host *host,
			    uint64_t seed, int64_t now_ns)
{
	struct sd_swim *s = calloc(1, sizeof(*s));
	struct swim_entry me = {.facts = *facts};
	if (!s)
		return NULL;
	s->conf = *conf;
	s->host = *host;
	sd_rng_seed(&s->rng, seed);
	s->number = (uint32_t)sd_rng_next(&s->rng);
	s->now_ns = s->due_ns = s->news_ns = s->seed_ns = now_ns;
	s->probe.ends_ns = now_ns;
	s->sync_ns = now_ns + (int64_t)(sd_rng_unit(&s->rng) * (double)conf->sync_ns);
	s->reach_ns = now_ns + (int64_t)(sd_rng_unit(&s->rng) * (double)conf->reach_ns);
	if (!add(s, &me)) {
		sd_swim_free(s);
		return NULL;
	}
	self(s)->incarnation = 1;
	self(s)->since_ns = self(s)->heard_ns = now_ns;
	tell(s, self(s));
	return s;
}

void sd_swim_free(struct sd_swim *s)
{
	if (!s)
		return;
	for (size_t i = 0; i < s->n; i++)
		free(s->m[i]);
	free(s->m);
	free(s->order);
	free(s);
}

bool sd_swim_join(struct sd_swim *s, const struct sd_swim_end *seed, int64_t now_ns)
{
	s->now_ns = now_ns;
	for (unsigned i = 0; i < s->nseeds; i++)
		if (sd_swim_end_equal(&s->seeds[i], seed))
			return true;
	if (s->nseeds == SD_SWIM_SEEDS)
		return false;
	s->seeds[s->nseeds++] = *seed;
	if (!is_known(s, seed))
		send_all(s, seed, SWIM_SYNC);
	return true;
}

void sd_swim_say(struct sd_swim *s, const struct sd_swim_facts *facts, int64_t now_ns)
{
	struct sd_swim_facts next = *facts;
	s->now_ns = now_ns;
	next.id = self(s)->facts.id;
	if (same_facts(&next, &self(s)->facts))
		return;
	self(s)->facts = next;
	self(s)->incarnation++;
	tell(s, self(s));
}

void sd_swim_leave(struct sd_swim *s, int64_t now_ns)
{
	struct sd_swim_member *me = self(s);
	s->now_ns = now_ns;
	if (me->state == SD_SWIM_LEFT)
		return;
	me->incarnation++;
	set_state(s, me, SD_SWIM_LEFT);
	me->tell = (uint16_t)(me->tell + sd_swim_alive(s)); /* each of the others now, and the rounds of news after that */
	for (size_t i = 1; i < s->n; i++)
		if (is_up(s->m[i]))
			send_news(s, s->m[i]);
}

bool sd_swim_forget(struct sd_swim *s, const struct sd_swim_id *id)
{
	struct sd_swim_member *m = find(s, id);
	if (!m || is_up(m) || m == self(s))
		return false;
	drop(s, m);
	return true;
}

size_t sd_swim_count(const struct sd_swim *s)
{
	return s->n;
}

const struct sd_swim_member *sd_swim_at(const struct sd_swim *s, size_t i)
{
	return s->m[i];
}

const struct sd_swim_member *sd_swim_find(const struct sd_swim *s, const struct sd_swim_id *id)
{
	return find(s, id);
}

unsigned sd_swim_ill(const struct sd_swim *s)
{
	return s->ill;
}

const struct sd_swim_stats *sd_swim_stats(const struct sd_swim *s)
{
	return &s->stats;
}
