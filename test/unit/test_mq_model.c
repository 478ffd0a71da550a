/* The broker against a simple model of it: random publications, consumers, settlements, ends and times, from a seed.
 *
 * The model keeps every message in a plain array and looks at all of them for each question. It does not say which
 * consumer gets a message (several may), but judges each delivery: was it this message's turn, was there room, was nobody of
 * a higher priority able, is the flag right? After each step the counts must be alike, nothing may wait for whom it could go to,
 * and the log must hold exactly the durable messages that are there. SEEDS=n for more of them, SEED=k for one. */
#include "mq_rig.h"

#define CLIENTS	  4
#define CONSUMERS 12
#define MESSAGES  20000
#define STEPS	  1500

enum { PRIO, TIMED, SHORT, SINGLE, REFUSES, DEAD, PRIO_DLQ, QUEUES };
static const struct kind {
	const char *name, *args;
	int priorities, limit; /* limit: failures */
	int64_t ttl, visibility, backoff;
	size_t max;
	int dead; /* where its dead letters go; -1: nowhere */
	bool single, refuses, unordered;
} kinds[QUEUES] = {
    [PRIO] = {"prio", "x-max-priority=3", 3, 3, -1, -1, 0, SIZE_MAX, -1, false, false, false},
    [TIMED] = {"timed", "x-message-ttl=40 x-dead-letter-exchange='' x-dead-letter-routing-key=dead x-delivery-limit=5 x-delayed-retry-min=4 "
			"x-delayed-retry-max=20",
	       0, 5, 40, -1, 4, SIZE_MAX, DEAD, false, false, false},
    [SHORT] = {"short", "x-max-length=5 x-dead-letter-exchange='' x-dead-letter-routing-key=dead x-delivery-limit=9", 0, 9, -1, -1, 0, 5, DEAD,
	       false, false, false},
    [SINGLE] = {"single", "x-single-active-consumer=true x-visibility-timeout=30 x-delivery-limit=1000", 0, 1000, -1, 30, 0, SIZE_MAX, -1, true,
		false, false},
    [REFUSES] = {"refuses", "x-max-length=4 x-overflow=reject-publish x-delivery-limit=1000", 0, 1000, -1, -1, 0, 4, -1, false, true, false},
    [DEAD] = {"dead", "x-delivery-limit=100000", 0, 100000, -1, -1, 0, SIZE_MAX, -1, false, false, true},
    [PRIO_DLQ] = {"prio.dlq", "", 0, 100000, -1, -1, 0, SIZE_MAX, -1, false, false, true},
};

enum where { GONE, READY, OUT, DELAYED };
struct message {
	enum where where;
	int queue, priority, client, consumer;
	uint64_t order, tag;
	int64_t expires, due, out_until;
	unsigned failures;
	bool seen, persistent, back;
	bool logged; /* what the log says */
	int logged_queue;
	uint64_t logged_seq;
};
struct consumer {
	bool there, no_ack;
	int client, queue, priority;
	uint32_t prefetch, unacked;
	uint64_t age;
};
struct client {
	struct mq_channel ch; /* first */
	bool blocked;
	uint32_t global, unacked, prefetch;
	uint64_t confirmed; /* publications that were answered */
};

static struct model {
	struct rig r;
	struct client clients[CLIENTS];
	struct consumer consumers[CONSUMERS];
	struct message *m;
	unsigned n;
	uint64_t next_order, next_age, seed, step;
	struct sd_rng rng;
	int active; /* of the single active ones; -1: none */
	/* publications of client 0 in confirm mode */
	struct {
		uint64_t record;
		bool refused, answered;
	} *confirms;
	uint64_t nconfirms, next_record, stored;
	uint64_t deliveries, expired, dropped, dead, refused, redelivered, returned_by_time, get;
} M;

#define right(what, ...) \
	do { \
		if (!(what)) { \
			fprintf(stderr, "seed %llu step %llu: ", (unsigned long long)M.seed, (unsigned long long)M.step); \
			fprintf(stderr, __VA_ARGS__); \
			fputc('\n', stderr); \
			ck_abort_msg("%s", #what); \
		} \
	} while (0)

static uint32_t below(uint32_t n)
{
	return sd_rng_below(&M.rng, n);
}

static int64_t now(void)
{
	return M.r.b->now_ms;
}

/* ---- the model ---- */

static size_t count(int queue, enum where where)
{
	size_t n = 0;
	for (unsigned i = 1; i <= M.n; i++)
		n += M.m[i].queue == queue && M.m[i].where == where;
	return n;
}

static bool first_of(const struct message *a, const struct message *b)
{
	int last = kinds[a->queue].priorities, pa = a->priority < last ? a->priority : last, pb = b->priority < last ? b->priority : last;
	return pa != pb ? pa > pb : a->order < b->order;
}

static struct message *head(int queue)
{
	struct message *best = NULL;
	for (unsigned i = 1; i <= M.n; i++)
		if (M.m[i].queue == queue && M.m[i].where == READY && (!best || first_of(&M.m[i], best)))
			best = &M.m[i];
	return best;
}

static void come(struct message *m, int queue);

static void die(struct message *m, int to)
{
	m->where = GONE;
	M.dead++;
	if (to < 0)
		return;
	m->failures = 0;
	m->seen = m->back = false;
	m->expires = INT64_MAX;
	m->due = 0;
	m->order = 0;
	come(m, to);
}

static void ready(struct message *m)
{
	m->where = READY;
	if (!m->order)
		m->order = ++M.next_order;
	int queue = m->queue; /* it may be the one that goes */
	while (!kinds[queue].refuses && count(queue, READY) > kinds[queue].max) {
		M.dropped++;
		die(head(queue), kinds[queue].dead);
	}
}

static void come(struct message *m, int queue)
{
	m->queue = queue;
	if (m->due > now()) {
		m->where = DELAYED;
		return;
	}
	ready(m);
}

static void unown(struct message *m)
{
	M.clients[m->client].unacked -= m->consumer >= 0;
	if (m->consumer >= 0 && m->consumer < CONSUMERS)
		M.consumers[m->consumer].unacked--;
}

/* A failure: due, when there is a back-off, is what the broker chose; how long it may be is checked. */
static int64_t chosen_due;
static void came_back(struct message *m)
{
	const struct kind *k = &kinds[m->queue];
	unown(m);
	m->where = GONE;
	m->seen = m->back = true;
	if (++m->failures > (unsigned)k->limit) {
		die(m, m->queue == PRIO ? PRIO_DLQ : k->dead);
		return;
	}
	m->due = 0;
	if (k->backoff) {
		int64_t most = k->backoff << (m->failures - 1);
		most = most < 20 ? most : 20;
		right(chosen_due > now() && chosen_due <= now() + most, "back-off %lld of %lld", (long long)(chosen_due - now()), (long long)most);
		m->due = chosen_due;
	}
	come(m, m->queue);
}

static bool able(const struct consumer *c)
{
	const struct client *k = &M.clients[c->client];
	if (!c->there || k->blocked)
		return false;
	if (kinds[c->queue].single && M.active != c - M.consumers)
		return false;
	return c->no_ack || ((!c->prefetch || c->unacked < c->prefetch) && (!k->global || k->unacked < k->global));
}

/* ---- what the broker tells ---- */

static int client_of(const struct mq_channel *ch)
{
	return (int)((const struct client *)(const void *)ch - M.clients);
}

static struct message *message_of(const struct mq_message *m)
{
	char text[16] = "";
	memcpy(text, m->body, m->body_n);
	return &M.m[strtoul(text, NULL, 10)];
}

static void judge(const struct mq_entry *e, const struct message *m)
{
	right(m->where == READY, "message %td is out already, or gone", m - M.m);
	right(strcmp(e->queue->name, kinds[m->queue].name) == 0, "from %s", e->queue->name);
	right(kinds[m->queue].unordered || head(m->queue) == m, "out of turn: %td before %td", m - M.m, head(m->queue) - M.m);
	right(m->expires >= now(), "expired");
	right(e->redelivered == m->seen, "redelivered is %d", e->redelivered);
	M.redelivered += e->redelivered;
}

static void deliver(struct mq_channel *ch, struct mq_consumer *c, const struct mq_entry *e)
{
	struct message *m = message_of(e->message);
	struct consumer *k = &M.consumers[strtoul(c->tag, NULL, 10)];
	judge(e, m);
	right(able(k), "no room at consumer %td", k - M.consumers);
	right(k->client == client_of(ch), "another's channel");
	right(k->queue == m->queue, "another's queue");
	for (int i = 0; i < CONSUMERS; i++)
		right(M.consumers[i].queue != m->queue || !able(&M.consumers[i]) || M.consumers[i].priority <= k->priority, "consumer %d goes first", i);
	M.deliveries++;
	m->where = OUT;
	m->client = k->client;
	m->consumer = (int)(k - M.consumers);
	m->tag = e->tag;
	m->out_until = kinds[m->queue].visibility > 0 ? now() + kinds[m->queue].visibility : INT64_MAX;
	if (k->no_ack) {
		m->where = GONE;
		return;
	}
	k->unacked++;
	M.clients[k->client].unacked++;
}

static void confirm(struct mq_channel *ch, uint64_t seq, bool multiple, bool refused)
{
	right(client_of(ch) == 0 && seq <= M.nconfirms, "confirm of %llu", (unsigned long long)seq);
	for (uint64_t i = multiple ? 1 : seq; i <= seq; i++) {
		if (M.confirms[i].answered) {
			right(multiple, "answered twice: %llu", (unsigned long long)i);
			continue;
		}
		right(M.confirms[i].refused == refused, "publication %llu refused: %d", (unsigned long long)i, refused);
		right(M.confirms[i].record <= M.r.b->stored, "confirmed before it is on the disk");
		M.confirms[i].answered = true;
		M.clients[0].confirmed++;
	}
}

static void none(struct mq_channel *ch)
{
	(void)ch;
	right(false, "no transaction");
}
static void returned(struct mq_channel *ch, unsigned code, const char *text, const struct mq_message *m)
{
	(void)ch, (void)code, (void)text, (void)m;
	right(false, "nothing is mandatory");
}
static void cancelled(struct mq_channel *ch, const struct mq_consumer *c)
{
	(void)ch, (void)c;
	right(false, "no queue goes");
}
static bool room(struct mq_channel *ch)
{
	return !M.clients[client_of(ch)].blocked;
}
static const struct mq_channel_ops ops = {.deliver = deliver, .confirm = confirm, .returned = returned, .cancelled = cancelled, .room = room,
					  .committed = none};

/* ---- the log: which durable messages are there ---- */

static int queue_index(const struct mq_queue *q)
{
	for (int i = 0; i < QUEUES; i++)
		if (strcmp(q->name, kinds[i].name) == 0)
			return i;
	return -1;
}

static uint64_t log_publish(void *arg, struct mq_message *msg, struct mq_entry *const *entries, size_t n, const struct mq_entry *from)
{
	struct message *m = message_of(msg);
	(void)arg;
	right(n == 1, "one queue each");
	if (from)
		right(m->logged && m->logged_queue == queue_index(from->queue) && m->logged_seq == from->seq, "moved from where it is not");
	else
		right(!m->logged, "put twice");
	m->logged = true;
	m->logged_queue = queue_index(entries[0]->queue);
	m->logged_seq = entries[0]->seq;
	return ++M.next_record;
}
static uint64_t log_settle(void *arg, const struct mq_queue *q, uint64_t seq)
{
	(void)arg;
	for (unsigned i = 1; i <= M.n; i++)
		if (M.m[i].logged && M.m[i].logged_seq == seq && M.m[i].logged_queue == queue_index(q)) {
			M.m[i].logged = false;
			return ++M.next_record;
		}
	right(false, "settled what is not there");
	return 0;
}
static uint64_t log_failed(void *arg, const struct mq_entry *e)
{
	(void)arg;
	right(message_of(e->message)->logged, "failed, but not there");
	return ++M.next_record;
}
static uint64_t log_purged(void *arg, const struct mq_queue *q, uint64_t upto)
{
	(void)arg;
	for (unsigned i = 1; i <= M.n; i++)
		if (M.m[i].logged && M.m[i].logged_queue == queue_index(q) && M.m[i].logged_seq <= upto)
			M.m[i].logged = false;
	return ++M.next_record;
}
static uint64_t log_define(void *arg, enum mq_define what, bool gone, struct sd_slice text)
{
	(void)arg, (void)what, (void)gone, (void)text;
	return ++M.next_record;
}

/* ---- both ---- */

static struct mq_queue *queue(int i)
{
	return mq_queue_find(M.r.v, sd_slice_of(kinds[i].name));
}

static void alike(void)
{
	for (int i = 0; i < QUEUES; i++) {
		const struct mq_queue *q = queue(i);
		if (!q)
			continue;
		right(q->nready == count(i, READY), "%s: %zu ready, not %zu", kinds[i].name, q->nready, count(i, READY));
		right(q->nunacked == count(i, OUT), "%s: %zu out, not %zu", kinds[i].name, q->nunacked, count(i, OUT));
		right(q->ndelayed == count(i, DELAYED), "%s: %zu delayed, not %zu", kinds[i].name, q->ndelayed, count(i, DELAYED));
		right(kinds[i].refuses || q->nready <= kinds[i].max, "%s is too long", kinds[i].name);
	}
	for (unsigned i = 1; i <= M.n; i++)
		right(M.m[i].logged == (M.m[i].persistent && M.m[i].where != GONE), "message %u: in the log: %d", i, M.m[i].logged);
}

/* Nothing waits for whom it could go to. */
static void nobody_waits(void)
{
	for (int c = 0; c < CONSUMERS; c++)
		right(!able(&M.consumers[c]) || !count(M.consumers[c].queue, READY), "consumer %d waits for %s", c, kinds[M.consumers[c].queue].name);
}

static void times_come(void)
{
	for (unsigned i = 1; i <= M.n; i++) {
		struct message *m = &M.m[i];
		if (m->where == READY && m->expires <= now()) {
			M.expired++;
			die(m, kinds[m->queue].dead);
		} else if (m->where == OUT && m->out_until <= now()) {
			M.returned_by_time++;
			came_back(m);
		} else if (m->where == DELAYED && m->due <= now()) {
			ready(m);
			if (m->expires <= now() && m->where == READY) {
				M.expired++;
				die(m, kinds[m->queue].dead);
			}
		}
	}
}

static void pass(int64_t ms)
{
	int64_t t = now() + ms;
	mq_time(M.r.b, t, RIG_WALL_MS + t - RIG_START_MS);
	times_come();
}

/* When messages that are given back are due is the broker's choice: it is asked. */
static int64_t due_of(const struct mq_queue *q, const struct message *m)
{
	for (struct sd_link *l = q->delayed.next; l != &q->delayed; l = l->next) {
		struct mq_entry *e = sd_container(l, struct mq_entry, link);
		if (message_of(e->message) == m)
			return e->not_before_ms - (RIG_WALL_MS - RIG_START_MS);
	}
	return 0;
}

/* ---- steps ---- */

static int64_t unused_due(int64_t from)
{
	for (;; from++) {
		bool used = false;
		for (unsigned i = 1; i <= M.n && !used; i++)
			used = M.m[i].where == DELAYED && M.m[i].due == from;
		if (!used)
			return from;
	}
}

static void set_times(struct message *m, char *what, size_t n, char *headers, size_t headers_n)
{
	int64_t ttl = kinds[m->queue].ttl, delay = 0;
	if (m->queue == TIMED && below(3) == 0) {
		int64_t own = below(60);
		snprintf(what, n, "%se%lld", m->persistent ? "p" : "", (long long)own);
		ttl = own < ttl ? own : ttl;
	}
	if (m->queue == TIMED && below(3) == 0) {
		delay = unused_due(now() + 1 + below(30)) - now();
		snprintf(headers, headers_n, "x-delay=%lld", (long long)delay);
	}
	m->due = delay ? now() + delay : 0;
	m->expires = ttl < 0 ? INT64_MAX : now() + delay + ttl;
}

static void publish(void)
{
	char body[16], what[32], headers[32] = "";
	if (M.n + 1 == MESSAGES)
		return;
	struct message *m = &M.m[++M.n];
	struct rig_client *k = (struct rig_client *)(void *)&M.clients[0].ch;
	*m = (struct message){.queue = (int)below(DEAD), .priority = (int)below(6), .persistent = below(2), .expires = INT64_MAX, .consumer = -1};
	snprintf(body, sizeof(body), "%u", M.n);
	snprintf(what, sizeof(what), "%s%d", m->persistent ? "p" : "", m->priority);
	set_times(m, what, sizeof(what), headers, sizeof(headers));
	if (strchr(what, 'e'))
		m->priority = 0;
	bool refused = kinds[m->queue].refuses && count(m->queue, READY) >= kinds[m->queue].max;
	M.nconfirms++;
	M.confirms[M.nconfirms].refused = refused;
	M.confirms[M.nconfirms].record = m->persistent && !refused ? M.next_record + 1 : 0;
	rig_publish(&M.r, k, "", kinds[m->queue].name, body, what, headers);
	M.refused += refused;
	if (!refused)
		come(m, m->queue);
}

static void consume(void)
{
	char tag[8];
	struct mq_consumer *c;
	struct sd_text t = {0};
	char args[32];
	unsigned i = below(CONSUMERS);
	struct consumer *k = &M.consumers[i];
	int q = (int)below(QUEUES);
	if (k->there || !queue(q))
		return;
	*k = (struct consumer){.there = true, .no_ack = below(4) == 0, .client = (int)below(CLIENTS), .queue = q, .priority = (int)below(3),
			       .age = ++M.next_age};
	k->prefetch = M.clients[k->client].prefetch;
	if (kinds[q].single && M.active < 0)
		M.active = (int)i;
	snprintf(tag, sizeof(tag), "%u", i);
	snprintf(args, sizeof(args), "x-priority=%d", k->priority);
	ck_assert(mq_consume(&M.clients[k->client].ch, sd_slice_of(kinds[q].name), sd_slice_of(tag), false, k->no_ack, false,
			     rig_table(&t, args), &c, &M.r.e));
	free(t.p);
}

/* Of those who wait for their turn the one of the highest priority, then the oldest. */
static void next_active(void)
{
	M.active = -1;
	for (int i = 0; i < CONSUMERS; i++) {
		const struct consumer *c = &M.consumers[i], *best = M.active < 0 ? NULL : &M.consumers[M.active];
		if (c->there && kinds[c->queue].single &&
		    (!best || c->priority > best->priority || (c->priority == best->priority && c->age < best->age)))
			M.active = i;
	}
}

static void forget(struct consumer *k)
{
	k->there = false;
	for (unsigned i = 1; i <= M.n; i++)
		if (M.m[i].where == OUT && M.m[i].consumer == (int)(k - M.consumers) && M.m[i].client == k->client)
			M.m[i].consumer = CONSUMERS; /* nobody's, but of the channel */
	if (M.active == k - M.consumers)
		next_active();
}

static void cancel(void)
{
	char tag[24];
	struct consumer *k = &M.consumers[below(CONSUMERS)];
	if (!k->there)
		return;
	snprintf(tag, sizeof(tag), "%td", k - M.consumers);
	mq_cancel(&M.clients[k->client].ch, sd_slice_of(tag));
	forget(k);
}

static void settled(struct message *m, enum mq_settle how)
{
	if (how == MQ_REQUEUE) {
		chosen_due = due_of(queue(m->queue), m);
		came_back(m);
		return;
	}
	unown(m);
	m->where = GONE;
	if (how == MQ_DISCARD)
		die(m, kinds[m->queue].dead);
	if (how == MQ_RETURN) {
		m->seen = true;
		m->due = 0;
		come(m, m->queue);
	}
}

static struct message *by_tag(int client, uint64_t tag)
{
	for (unsigned i = 1; i <= M.n; i++)
		if (M.m[i].where == OUT && M.m[i].client == client && M.m[i].tag == tag)
			return &M.m[i];
	return NULL;
}

static void settle(void)
{
	static const enum mq_settle hows[] = {MQ_ACK, MQ_ACK, MQ_ACK, MQ_REQUEUE, MQ_REQUEUE, MQ_DISCARD, MQ_RETURN};
	int client = (int)below(CLIENTS);
	struct mq_channel *ch = &M.clients[client].ch;
	enum mq_settle how = hows[below(7)];
	uint64_t tag = ch->next_tag > 8 ? ch->next_tag - 1 - below(8) : below(8);
	bool multiple = below(5) == 0, there = by_tag(client, tag) != NULL;
	if (multiple && below(4) == 0)
		tag = 0;
	if (!there && (!multiple || tag)) { /* it may have timed out: then it is no error; else it is */
		mq_settle(ch, tag, false, how, &M.r.e);
		return;
	}
	right(mq_settle(ch, tag, multiple, how, &M.r.e), "%s", M.r.e.text);
	for (uint64_t t = multiple ? 1 : tag; t <= (tag ? tag : ch->next_tag); t++) {
		struct message *m = by_tag(client, t);
		if (m)
			settled(m, how);
	}
}

static void get(void)
{
	struct mq_entry *e;
	uint64_t left;
	int q = (int)below(QUEUES), client = (int)below(CLIENTS);
	bool no_ack = below(2);
	if (!queue(q))
		return;
	ck_assert(mq_get(&M.clients[client].ch, sd_slice_of(kinds[q].name), no_ack, &e, &left, &M.r.e));
	right((e != NULL) == (count(q, READY) > 0), "get found %p", (void *)e);
	if (!e)
		return;
	struct message *m = message_of(e->message);
	judge(e, m);
	M.get++;
	m->where = no_ack ? GONE : OUT;
	m->client = client;
	m->consumer = -1;
	m->tag = e->tag;
	m->out_until = kinds[m->queue].visibility > 0 ? now() + kinds[m->queue].visibility : INT64_MAX;
	if (!no_ack)
		return;
	mq_got(&M.clients[client].ch, e);
}

static void end_channel(void)
{
	int client = 1 + (int)below(CLIENTS - 1);
	struct client *k = &M.clients[client];
	for (int i = 0; i < CONSUMERS; i++)
		if (M.consumers[i].there && M.consumers[i].client == client)
			forget(&M.consumers[i]);
	uint64_t last = k->ch.next_tag;
	mq_channel_end(&k->ch);
	for (uint64_t t = 1; t <= last; t++) {
		struct message *m = by_tag(client, t);
		if (m)
			settled(m, MQ_REQUEUE);
	}
	right(k->unacked == 0, "%u out of a channel that ended", k->unacked);
	*k = (struct client){.blocked = false};
	mq_channel_begin(&k->ch, M.r.v, &ops, k, sd_slice_of("guest"));
}

static void qos(void)
{
	struct client *k = &M.clients[below(CLIENTS)];
	uint32_t n = below(4);
	if (below(2)) {
		k->global = n;
		mq_qos(&k->ch, 0, n, true, &M.r.e);
	} else {
		k->prefetch = n;
		mq_qos(&k->ch, 0, n, false, &M.r.e);
	}
}

static void block(void)
{
	struct client *k = &M.clients[below(CLIENTS)];
	k->blocked = !k->blocked;
	if (!k->blocked)
		mq_channel_ready(&k->ch);
}

static void purge(void)
{
	uint64_t n;
	int q = (int)below(QUEUES);
	if (!queue(q) || below(10))
		return;
	ck_assert(mq_queue_purge(M.r.v, NULL, sd_slice_of(kinds[q].name), &n, &M.r.e));
	right(n == count(q, READY) + count(q, DELAYED), "purged %llu", (unsigned long long)n);
	for (unsigned i = 1; i <= M.n; i++)
		if (M.m[i].queue == q && (M.m[i].where == READY || M.m[i].where == DELAYED))
			M.m[i].where = GONE;
}

static void stored(void)
{
	uint64_t waiting = M.next_record - M.r.b->stored;
	mq_stored(M.r.b, M.r.b->stored + (waiting ? below((uint32_t)waiting + 1) : 0));
}

static void time_passes(void)
{
	unsigned ms = below(12);
	for (unsigned i = 0; i < ms; i++)
		pass(1);
}

static void step(void)
{
	static void (*const steps[])(void) = {publish, publish, publish, publish, publish, publish, consume, consume, cancel, settle, settle,
					      settle, settle, settle, get, end_channel, qos, block, purge, stored, time_passes, time_passes};
	steps[below(sizeof(steps) / sizeof(steps[0]))]();
	pass(0);
	while (mq_turn(M.r.b))
		;
	alike();
	nobody_waits();
}

/* ---- a run ---- */

static void begin(uint64_t seed)
{
	uint64_t *counts[] = {&M.deliveries, &M.expired, &M.dropped, &M.dead, &M.refused, &M.redelivered, &M.returned_by_time, &M.get};
	uint64_t kept[8];
	for (int i = 0; i < 8; i++)
		kept[i] = *counts[i];
	M = (struct model){.seed = seed, .active = -1};
	for (int i = 0; i < 8; i++)
		*counts[i] = kept[i];
	M.m = calloc(MESSAGES, sizeof(*M.m));
	M.confirms = calloc(MESSAGES, sizeof(*M.confirms));
	sd_rng_seed(&M.rng, seed);
	rig_start(&M.r, mq_conf_default(), true);
	M.r.b->journal = (struct mq_journal){.publish = log_publish, .settle = log_settle, .failed = log_failed, .purged = log_purged,
					     .define = log_define};
	for (int i = 0; i < PRIO_DLQ; i++)
		rig_queue(&M.r, NULL, kinds[i].name, "d", kinds[i].args);
	for (int i = 0; i < CLIENTS; i++)
		mq_channel_begin(&M.clients[i].ch, M.r.v, &ops, &M.clients[i], sd_slice_of("guest"));
	mq_confirm_select(&M.clients[0].ch, &M.r.e);
}

/* All that is left is there to be taken, and every publication was answered. */
static void end(void)
{
	mq_stored(M.r.b, M.next_record);
	right(M.clients[0].confirmed == M.nconfirms, "%llu of %llu were answered", (unsigned long long)M.clients[0].confirmed,
	      (unsigned long long)M.nconfirms);
	for (int i = 0; i < CLIENTS; i++)
		mq_channel_end(&M.clients[i].ch);
	mq_free(M.r.b);
	free(M.r.said.p);
	free(M.m);
	free(M.confirms);
}

START_TEST(random_steps)
{
	const char *n = getenv("SEEDS"), *one = getenv("SEED");
	uint64_t first = one ? strtoull(one, NULL, 10) : 1, last = one ? first : n ? strtoull(n, NULL, 10) : 60;
	for (uint64_t seed = first; seed <= last; seed++) {
		begin(seed);
		for (M.step = 1; M.step <= STEPS; M.step++)
			step();
		end();
	}
	if (getenv("TELL"))
		printf("deliveries %llu, again %llu, got %llu, expired %llu, dropped %llu, dead %llu, refused %llu, timed out %llu\n",
		       (unsigned long long)M.deliveries, (unsigned long long)M.redelivered, (unsigned long long)M.get,
		       (unsigned long long)M.expired, (unsigned long long)M.dropped, (unsigned long long)M.dead,
		       (unsigned long long)M.refused, (unsigned long long)M.returned_by_time);
	/* each of them happened: else nothing was judged */
	ck_assert(one || (M.deliveries && M.redelivered && M.get && M.expired && M.dropped && M.dead && M.refused && M.returned_by_time));
}
END_TEST

int main(void)
{
	Suite *s = suite_create("mq_model");
	TCase *t = tcase_create("model");
	tcase_set_timeout(t, 600);
	tcase_add_test(t, random_steps);
	suite_add_tcase(s, t);
	SRunner *runner = srunner_create(s);
	srunner_run_all(runner, CK_NORMAL);
	int failed = srunner_ntests_failed(runner);
	srunner_free(runner);
	return failed != 0;
}
