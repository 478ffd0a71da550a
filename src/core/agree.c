/* agree.c - configurations, one round of Paxos for each.
 *
 * Why two nodes never have different members for one epoch: by induction. Who knows configuration e and is a member of it answers rounds
 * for e + 1 and no other; all of them have the same members of e; two majorities of these have one in common; that one tells
 * in its promise what it accepted under a lower ballot, and the proposer takes the highest of those told. Ballots of two nodes
 * are different, since the id is part of them.
 */
#include "agree.h"

#include <stdlib.h>
#include <string.h>

#include "bytes.h"
#include "rng.h"
#include "sdlab/slice.h"
#include "text.h"

#define HEADS	4 /* peers that are told at a time */
#define LEFT_MOST 16 /* lineages given up: what was promised in them is not known any more */

enum kind { HEAD = 1, PREPARE, PROMISE, REFUSE, ACCEPT, ACCEPTED, DECIDED };
enum phase { IDLE, PREPARING, ACCEPTING };

struct ballot {
	uint64_t number;
	struct sd_swim_id id;
};

struct peer {
	struct sd_swim_id id;
	bool with; /* it is of our lineage */
};

struct sd_agree {
	struct sd_agree_conf conf;
	struct sd_agree_host host;
	struct sd_swim_id self;
	struct sd_rng rng;
	struct sd_agree_stats stats;
	uint64_t lineage, left[LEFT_MOST];
	size_t nleft;
	bool strong;
	struct sd_agree_config *kept[SD_AGREE_KEPT]; /* the last one is the latest */
	size_t nkept;
	/* as an acceptor, for the epoch after the last */
	struct ballot promised, accepted;
	struct sd_agree_config *value; /* accepted; NULL: nothing */
	/* as a proposer */
	struct sd_agree_config *want;
	int64_t try_ns, head_ns;
	enum phase phase;
	struct ballot ballot, best; /* best: of the promises, the one with the highest ballot has chosen */
	struct sd_agree_config *chosen;
	uint64_t seen;	/* highest number of a ballot */
	uint8_t *said;	/* by member of the last one: answered in this phase */
	struct peer *peers;
	size_t npeers, next_peer;
	struct sd_swim_id *forgotten;
	size_t nforgotten;
};

struct sd_agree_conf sd_agree_conf_default(void)
{
	return (struct sd_agree_conf){.strong = 2, .interval_ns = 200000000, .settle_ns = 300000000, .round_ns = 1000000000};
}

/* ---- configurations ---- */

static struct sd_agree_config *config_new(uint64_t epoch, const struct sd_agree_member *members, size_t n)
{
	struct sd_agree_config *c = malloc(sizeof(*c) + n * sizeof(*members));
	if (!c)
		return NULL;
	c->epoch = epoch;
	c->n = n;
	if (n)
		memcpy(c->members, members, n * sizeof(*members));
	return c;
}

static bool same_members(const struct sd_agree_config *a, const struct sd_agree_config *b)
{
	if (a->n != b->n)
		return false;
	for (size_t i = 0; i < a->n; i++)
		if (sd_swim_id_compare(&a->members[i].id, &b->members[i].id) || a->members[i].role != b->members[i].role)
			return false;
	return true;
}

int sd_agree_find(const struct sd_agree_config *c, const struct sd_swim_id *id)
{
	for (size_t i = 0; c && i < c->n; i++)
		if (sd_swim_id_compare(&c->members[i].id, id) == 0)
			return (int)i;
	return -1;
}

const struct sd_agree_config *sd_agree_last(const struct sd_agree *a)
{
	return a->nkept ? a->kept[a->nkept - 1] : NULL;
}

const struct sd_agree_config *sd_agree_at(const struct sd_agree *a, uint64_t epoch)
{
	for (size_t i = 0; i < a->nkept; i++)
		if (a->kept[i]->epoch == epoch)
			return a->kept[i];
	return NULL;
}

static uint64_t epoch_of(const struct sd_agree *a)
{
	return a->nkept ? a->kept[a->nkept - 1]->epoch : 0;
}

/* ---- messages ---- */

static void put(struct sd_text *t, uint64_t v, size_t n)
{
	char b[8];
	sd_put_le(b, v, n);
	sd_text_add(t, b, n);
}

static void put_ballot(struct sd_text *t, const struct ballot *b)
{
	put(t, b->number, 8);
	sd_text_add(t, (const char *)b->id.b, SD_SWIM_ID);
}

static void put_members(struct sd_text *t, const struct sd_agree_config *c)
{
	put(t, c->n, 2);
	for (size_t i = 0; i < c->n; i++) {
		sd_text_add(t, (const char *)c->members[i].id.b, SD_SWIM_ID);
		put(t, c->members[i].role, 1);
	}
}

static void begin(const struct sd_agree *a, struct sd_text *t, enum kind kind, uint64_t epoch)
{
	t->n = 0;
	put(t, kind, 1);
	put(t, a->strong, 1);
	put(t, a->lineage, 8);
	put(t, epoch, 8);
}

static void post(const struct sd_agree *a, const struct sd_swim_id *to, const struct sd_text *t)
{
	if (!t->full)
		a->host.send(a->host.arg, to, t->p, t->n);
}

static bool get(struct sd_slice *p, size_t n, uint64_t *out)
{
	if (p->n < n)
		return false;
	*out = sd_get_le(p->p, n);
	*p = (struct sd_slice){p->p + n, p->n - n};
	return true;
}

static bool get_id(struct sd_slice *p, struct sd_swim_id *id)
{
	if (p->n < SD_SWIM_ID)
		return false;
	memcpy(id->b, p->p, SD_SWIM_ID);
	*p = (struct sd_slice){p->p + SD_SWIM_ID, p->n - SD_SWIM_ID};
	return true;
}

static bool get_ballot(struct sd_slice *p, struct ballot *b)
{
	return get(p, 8, &b->number) && get_id(p, &b->id);
}

/* NULL: it is none, or there is no memory. */
static struct sd_agree_config *get_members(struct sd_slice *p, uint64_t epoch)
{
	uint64_t n, role = 0;
	if (!get(p, 2, &n) || n < 1 || n > SD_AGREE_MEMBERS || p->n < n * (SD_SWIM_ID + 1))
		return NULL;
	struct sd_agree_config *c = malloc(sizeof(*c) + n * sizeof(c->members[0]));
	if (!c)
		return NULL;
	c->epoch = epoch;
	c->n = n;
	for (size_t i = 0; i < n; i++) {
		get_id(p, &c->members[i].id);
		get(p, 1, &role);
		c->members[i].role = (uint8_t)role;
		if (role >= SD_AGREE_ROLES || (i && sd_swim_id_compare(&c->members[i - 1].id, &c->members[i].id) >= 0)) {
			free(c);
			return NULL;
		}
	}
	return c;
}

static int compare(const struct ballot *a, const struct ballot *b)
{
	if (a->number != b->number)
		return a->number < b->number ? -1 : 1;
	return sd_swim_id_compare(&a->id, &b->id);
}

/* ---- what is known ---- */

static void stop_round(struct sd_agree *a)
{
	a->phase = IDLE;
	free(a->chosen);
	a->chosen = NULL;
	free(a->said);
	a->said = NULL;
}

static void fresh_epoch(struct sd_agree *a)
{
	stop_round(a);
	a->promised = a->accepted = (struct ballot){0};
	free(a->value);
	a->value = NULL;
	free(a->want); /* it was meant for the one before */
	a->want = NULL;
	a->seen = 0;
}

static void adopt(struct sd_agree *a, struct sd_agree_config *c)
{
	if (a->nkept == SD_AGREE_KEPT) {
		free(a->kept[0]);
		memmove(a->kept, a->kept + 1, --a->nkept * sizeof(struct sd_agree_config *));
	}
	a->kept[a->nkept++] = c;
	a->strong |= c->n >= a->conf.strong;
	a->stats.decided++;
	a->head_ns = 0;
	fresh_epoch(a);
	a->host.decided(a->host.arg, c);
}

static bool has_left(const struct sd_agree *a, uint64_t lineage)
{
	for (size_t i = 0; i < a->nleft && i < LEFT_MOST; i++)
		if (a->left[i] == lineage)
			return true;
	return false;
}

static void give_up(struct sd_agree *a)
{
	a->left[a->nleft++ % LEFT_MOST] = a->lineage;
	while (a->nkept)
		free(a->kept[--a->nkept]);
	a->lineage = 0;
	a->strong = false;
	for (size_t i = 0; i < a->npeers; i++)
		a->peers[i].with = false;
	fresh_epoch(a);
	a->host.gave_up(a->host.arg);
}

/* All that is known of what comes behind this epoch. */
static void tell(const struct sd_agree *a, const struct sd_swim_id *to, uint64_t behind)
{
	struct sd_text t = {0};
	if (!a->nkept || epoch_of(a) <= behind)
		return;
	begin(a, &t, DECIDED, epoch_of(a));
	for (size_t i = 0; i < a->nkept; i++) {
		if (a->kept[i]->epoch <= behind)
			continue;
		put(&t, a->kept[i]->epoch, 8);
		put_members(&t, a->kept[i]);
	}
	post(a, to, &t);
	free(t.p);
}

static void tell_head(const struct sd_agree *a, const struct sd_swim_id *to)
{
	struct sd_text t = {0};
	begin(a, &t, HEAD, epoch_of(a));
	post(a, to, &t);
	free(t.p);
}

static void on_decided(struct sd_agree *a, uint64_t lineage, struct sd_slice p)
{
	uint64_t epoch;
	struct sd_agree_config *c;
	if (!a->lineage)
		a->lineage = lineage;
	while (p.n && get(&p, 8, &epoch) && (c = get_members(&p, epoch))) {
		if (epoch == epoch_of(a) + 1 || (!a->nkept && epoch))
			adopt(a, c);
		else
			free(c);
	}
}

/* ---- rounds ---- */

static bool is_forgotten(const struct sd_agree *a, const struct sd_swim_id *id)
{
	for (size_t i = 0; i < a->nforgotten; i++)
		if (sd_swim_id_compare(&a->forgotten[i], id) == 0)
			return true;
	return false;
}

static bool is_majority(const struct sd_agree *a)
{
	const struct sd_agree_config *c = sd_agree_last(a);
	size_t said = 0, all = 0;
	for (size_t i = 0; i < c->n; i++) {
		bool counts = !is_forgotten(a, &c->members[i].id);
		said += counts && a->said[i];
		all += counts;
	}
	return a->conf.enough ? said >= a->conf.enough || said == all : said * 2 > all;
}

static bool to_members(struct sd_agree *a, const struct sd_text *t)
{
	const struct sd_agree_config *c = sd_agree_last(a);
	free(a->said);
	a->said = calloc(c->n, 1);
	for (size_t i = 0; a->said && i < c->n; i++)
		if (sd_swim_id_compare(&c->members[i].id, &a->self))
			post(a, &c->members[i].id, t);
	return a->said;
}

static void retry(struct sd_agree *a, int64_t now)
{
	stop_round(a);
	a->try_ns = now + a->conf.settle_ns / 2 + (int64_t)sd_rng_below(&a->rng, (uint32_t)(a->conf.settle_ns / 1000) + 1) * 1000;
}

static void finish(struct sd_agree *a)
{
	struct sd_agree_config *c = a->chosen;
	const struct sd_agree_config *was = sd_agree_last(a);
	size_t n = was->n;
	struct sd_swim_id *ids = malloc((n + 1) * sizeof(*ids));
	for (size_t i = 0; ids && i < n; i++)
		ids[i] = was->members[i].id;
	a->chosen = NULL;
	adopt(a, c);
	for (size_t i = 0; ids && i < n; i++)
		if (sd_swim_id_compare(&ids[i], &a->self))
			tell(a, &ids[i], c->epoch - 1);
	free(ids);
	for (size_t i = 0; i < a->npeers; i++)
		if (sd_agree_find(c, &a->peers[i].id) >= 0)
			tell_head(a, &a->peers[i].id);
}

static void accepted_by(struct sd_agree *a, const struct sd_swim_id *who)
{
	int i = sd_agree_find(sd_agree_last(a), who);
	if (a->phase != ACCEPTING || i < 0)
		return;
	a->said[i] = 1;
	if (is_majority(a))
		finish(a);
}

static void ask_to_accept(struct sd_agree *a, int64_t now)
{
	struct sd_text t = {0};
	if (!a->chosen)
		a->chosen = a->want ? config_new(epoch_of(a) + 1, a->want->members, a->want->n) : NULL;
	if (!a->chosen || compare(&a->promised, &a->ballot) > 0) {
		retry(a, now);
		return;
	}
	a->phase = ACCEPTING;
	begin(a, &t, ACCEPT, epoch_of(a) + 1);
	put_ballot(&t, &a->ballot);
	put_members(&t, a->chosen);
	struct sd_agree_config *own = config_new(epoch_of(a) + 1, a->chosen->members, a->chosen->n);
	bool ok = to_members(a, &t) && own;
	free(t.p);
	if (!ok) {
		free(own);
		retry(a, now);
		return;
	}
	free(a->value);
	a->value = own;
	a->accepted = a->ballot;
	accepted_by(a, &a->self);
}

static void promised_by(struct sd_agree *a, const struct sd_swim_id *who, const struct ballot *accepted, struct sd_agree_config *value,
			int64_t now)
{
	int i = sd_agree_find(sd_agree_last(a), who);
	if (a->phase != PREPARING || i < 0) {
		free(value);
		return;
	}
	a->said[i] = 1;
	if (value && compare(accepted, &a->best) > 0) {
		free(a->chosen);
		a->chosen = value;
		a->best = *accepted;
	} else {
		free(value);
	}
	if (is_majority(a))
		ask_to_accept(a, now);
}

static void begin_round(struct sd_agree *a, int64_t now)
{
	struct sd_text t = {0};
	stop_round(a);
	a->phase = PREPARING;
	a->ballot = (struct ballot){++a->seen, a->self};
	a->best = (struct ballot){0};
	a->promised = a->ballot; /* the highest number seen, and more */
	a->try_ns = now + a->conf.round_ns;
	a->stats.rounds++;
	begin(a, &t, PREPARE, epoch_of(a) + 1);
	put_ballot(&t, &a->ballot);
	bool ok = to_members(a, &t);
	free(t.p);
	if (!ok) {
		retry(a, now);
		return;
	}
	struct sd_agree_config *own = a->value ? config_new(a->value->epoch, a->value->members, a->value->n) : NULL;
	promised_by(a, &a->self, &a->accepted, own, now);
}

/* ---- as an acceptor ---- */

static void refuse(const struct sd_agree *a, const struct sd_swim_id *to, struct sd_text *t)
{
	begin(a, t, REFUSE, epoch_of(a) + 1);
	put_ballot(t, &a->promised);
	post(a, to, t);
}

static void on_prepare(struct sd_agree *a, const struct sd_swim_id *from, const struct ballot *b)
{
	struct sd_text t = {0};
	if (compare(b, &a->promised) < 0) {
		refuse(a, from, &t);
		free(t.p);
		return;
	}
	a->promised = *b;
	begin(a, &t, PROMISE, epoch_of(a) + 1);
	put_ballot(&t, b);
	put_ballot(&t, &a->accepted);
	if (a->value)
		put_members(&t, a->value);
	post(a, from, &t);
	free(t.p);
}

static void on_accept(struct sd_agree *a, const struct sd_swim_id *from, const struct ballot *b, struct sd_agree_config *c)
{
	struct sd_text t = {0};
	if (compare(b, &a->promised) < 0 && !a->conf.breaks_promises) {
		free(c);
		refuse(a, from, &t);
		free(t.p);
		return;
	}
	a->promised = a->accepted = *b;
	free(a->value);
	a->value = c;
	begin(a, &t, ACCEPTED, c->epoch);
	put_ballot(&t, b);
	post(a, from, &t);
	free(t.p);
}

/* A round of what is decided next; its ballot is taken off. */
static void on_round(struct sd_agree *a, const struct sd_swim_id *from, enum kind kind, struct sd_slice p, int64_t now)
{
	struct ballot b, accepted = {0};
	struct sd_agree_config *c = NULL;
	bool member = sd_agree_find(sd_agree_last(a), &a->self) >= 0;
	bool good = get_ballot(&p, &b) && b.number > 0 && (kind != PROMISE || get_ballot(&p, &accepted));
	bool has = kind == ACCEPT || (kind == PROMISE && accepted.number > 0);
	if (good && has)
		good = (c = get_members(&p, epoch_of(a) + 1));
	if (!good || p.n) {
		a->stats.bad++;
		free(c);
		return;
	}
	a->seen = b.number > a->seen ? b.number : a->seen;
	bool ours = a->phase != IDLE && compare(&b, &a->ballot) == 0;
	if (kind == PREPARE && member)
		on_prepare(a, from, &b);
	else if (kind == ACCEPT && member) {
		on_accept(a, from, &b, c);
		c = NULL;
	} else if (kind == PROMISE && ours) {
		promised_by(a, from, &accepted, c, now);
		c = NULL;
	} else if (kind == ACCEPTED && ours)
		accepted_by(a, from);
	else if (kind == REFUSE && a->phase != IDLE && compare(&b, &a->ballot) > 0)
		retry(a, now);
	free(c);
}

/* ---- what comes ---- */

static void note_peer(struct sd_agree *a, const struct sd_swim_id *id, uint64_t lineage)
{
	for (size_t i = 0; i < a->npeers; i++)
		if (sd_swim_id_compare(&a->peers[i].id, id) == 0)
			a->peers[i].with = lineage && lineage == a->lineage;
}

static bool is_weaker(const struct sd_agree *a, uint64_t lineage, bool strong)
{
	if (a->strong != strong)
		return strong;
	return a->lineage > lineage;
}

/* Of another lineage, or none. */
static void meet(struct sd_agree *a, const struct sd_swim_id *from, enum kind kind, uint64_t lineage, bool strong, struct sd_slice rest)
{
	if (lineage && a->lineage && is_weaker(a, lineage, strong))
		give_up(a);
	if (lineage && !a->lineage && kind == DECIDED && !has_left(a, lineage))
		on_decided(a, lineage, rest);
	else if (lineage && kind == HEAD) /* with none it is told all; a weaker one gives up */
		tell_head(a, from);
	else if (!lineage)
		tell(a, from, 0);
}

void sd_agree_receive(struct sd_agree *a, const struct sd_swim_id *from, const void *bytes, size_t n, int64_t now_ns)
{
	struct sd_slice p = {bytes, n};
	uint64_t kind, flags, lineage, epoch;
	bool good = get(&p, 1, &kind) && get(&p, 1, &flags) && get(&p, 8, &lineage) && get(&p, 8, &epoch);
	if (!good || kind < HEAD || kind > DECIDED || flags > 1 || (kind == HEAD && p.n)) {
		a->stats.bad++;
		return;
	}
	note_peer(a, from, lineage);
	if (lineage != a->lineage || !lineage) {
		if (lineage || a->lineage)
			meet(a, from, (enum kind)kind, lineage, flags, p);
		return;
	}
	if (kind == DECIDED) {
		on_decided(a, lineage, p);
		return;
	}
	uint64_t known = kind == HEAD ? epoch : epoch - 1;
	if (known < epoch_of(a))
		tell(a, from, known);
	else if (known > epoch_of(a))
		tell_head(a, from);
	else if (kind != HEAD)
		on_round(a, from, (enum kind)kind, p, now_ns);
}

/* ---- what this node does by itself ---- */

static int by_id(const void *a, const void *b)
{
	return sd_swim_id_compare(&((const struct sd_agree_member *)a)->id, &((const struct sd_agree_member *)b)->id);
}

/* How many of the members that would stay come before this one. */
static int64_t rank(const struct sd_agree *a)
{
	const struct sd_agree_config *c = sd_agree_last(a);
	int64_t n = 0;
	for (size_t i = 0; i < c->n && sd_swim_id_compare(&c->members[i].id, &a->self); i++)
		n += sd_agree_find(a->want, &c->members[i].id) >= 0;
	return n;
}

void sd_agree_propose(struct sd_agree *a, const struct sd_agree_member *members, size_t n, int64_t now_ns)
{
	const struct sd_agree_config *last = sd_agree_last(a);
	struct sd_agree_config *want = last && n && n <= SD_AGREE_MEMBERS ? config_new(last->epoch + 1, members, n) : NULL;
	if (want)
		qsort(want->members, want->n, sizeof(want->members[0]), by_id);
	if (want && (same_members(want, last) || sd_agree_find(last, &a->self) < 0)) {
		free(want);
		want = NULL;
	}
	bool fresh = want && !a->want;
	free(a->want);
	a->want = want;
	if (fresh && a->phase == IDLE)
		a->try_ns = now_ns + a->conf.settle_ns * (1 + rank(a));
}

void sd_agree_peers(struct sd_agree *a, const struct sd_swim_id *ids, size_t n)
{
	struct peer *peers = calloc(n + 1, sizeof(*peers));
	size_t k = 0;
	if (!peers)
		return;
	for (size_t i = 0; i < n; i++)
		if (sd_swim_id_compare(&ids[i], &a->self))
			peers[k++] = (struct peer){ids[i], sd_agree_is_with(a, &ids[i])};
	free(a->peers);
	a->peers = peers;
	a->npeers = k;
}

static void tell_some(struct sd_agree *a)
{
	size_t n = a->npeers < HEADS ? a->npeers : HEADS;
	for (size_t i = 0; i < n; i++)
		tell_head(a, &a->peers[(a->next_peer + i) % a->npeers].id);
	a->next_peer = a->npeers ? (a->next_peer + n) % a->npeers : 0;
}

int64_t sd_agree_tick(struct sd_agree *a, int64_t now_ns)
{
	if (now_ns >= a->head_ns) {
		a->head_ns = now_ns + a->conf.interval_ns;
		tell_some(a);
	}
	bool trying = a->want || a->phase != IDLE;
	if (trying && now_ns >= a->try_ns && a->want)
		begin_round(a, now_ns);
	else if (trying && now_ns >= a->try_ns)
		stop_round(a);
	trying = a->want || a->phase != IDLE;
	return trying && a->try_ns < a->head_ns ? a->try_ns : a->head_ns;
}

void sd_agree_forget(struct sd_agree *a, const struct sd_swim_id *id)
{
	struct sd_swim_id *more = is_forgotten(a, id) ? NULL : realloc(a->forgotten, (a->nforgotten + 1) * sizeof(*more));
	if (!more)
		return;
	a->forgotten = more;
	a->forgotten[a->nforgotten++] = *id;
}

/* ---- life ---- */

struct sd_agree *sd_agree_new(const struct sd_agree_conf *conf, const struct sd_swim_id *self, const struct sd_agree_host *host,
			      uint64_t seed)
{
	struct sd_agree *a = calloc(1, sizeof(*a));
	if (!a)
		return NULL;
	a->conf = *conf;
	a->self = *self;
	a->host = *host;
	sd_rng_seed(&a->rng, seed);
	return a;
}

bool sd_agree_found(struct sd_agree *a, uint64_t lineage, uint8_t role)
{
	struct sd_agree_member me = {a->self, role};
	struct sd_agree_config *c = a->nkept || !lineage ? NULL : config_new(1, &me, 1);
	if (!c)
		return false;
	a->lineage = lineage;
	adopt(a, c);
	return true;
}

void sd_agree_free(struct sd_agree *a)
{
	if (!a)
		return;
	fresh_epoch(a);
	while (a->nkept)
		free(a->kept[--a->nkept]);
	free(a->peers);
	free(a->forgotten);
	free(a);
}

uint64_t sd_agree_lineage(const struct sd_agree *a)
{
	return a->lineage;
}

bool sd_agree_is_with(const struct sd_agree *a, const struct sd_swim_id *id)
{
	for (size_t i = 0; i < a->npeers; i++)
		if (sd_swim_id_compare(&a->peers[i].id, id) == 0)
			return a->peers[i].with;
	return false;
}

const struct sd_agree_stats *sd_agree_stats(const struct sd_agree *a)
{
	return &a->stats;
}
