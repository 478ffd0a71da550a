/* Seeded simulation of a cluster of caches: engines, views and the data side in one process and in virtual time, with a network that
 * keeps the order on a link and loses what is on the way when it breaks. Views come from the test, to each node at another time.
 *
 *	1  nodes come and leave in good order: no acknowledged write is lost, every read gives the last one acknowledged
 *	   (control: a slot handed over before its keys), and only the share that must moves
 *	2  nodes crash with their memory, pause, are parted from the others, links break: what is lost was acknowledged at most
 *	   LOSS_MS before a crash, and was on its way (control: no comparison). With a write quorum: sim_cache_quorum.c
 *	3  deleted keys do not come back with a node that missed it (control: no tombstones)
 *
 * A third of the keys each are strings, counters and lists. The last write wins, whole: of two sides that counted or pushed apart from each
 * other one stays as it was there, and nothing is merged.
 *
 * After each, when all is whole and quiet: all nodes have the same of every slot they own, value and stamp, each slot has as
 * many copies as there are to be, nobody keeps what it does not own, and one node holds each slot: its first owner.
 */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/cache/cluster/cache_copies_int.h"
#include "seeds.h"

#define MS	 1000000ll
#define SECOND	 (1000 * MS)
#define EPOCH_MS 1700000000000ll
#define NODES	 7
#define CLIENTS	 4
#define KEYS	 240
#define LATENCY	 (2 * MS) /* at most */
#define LOSS_MS	 6
#define VIEWS	 256

enum event_kind { MESSAGE, LINK, VIEW, TICK, ASK, FAULT };

struct event {
	int64_t at;
	uint64_t order;
	enum event_kind kind;
	int node, from;
	uint64_t generation, epoch;
	unsigned what; /* kind of a message, members of a view */
	char *p;
	size_t n;
};

struct world;

struct node {
	struct world *w;
	int index;
	bool alive, leaving;
	int64_t paused_until, skew_ms, left_at;
	struct sd_swim_id id;
	struct cache cache;
	struct cache_copies *cc;
	struct cache_view *view;
	uint64_t number;
	struct cache_session sessions[CLIENTS];
	uint64_t ticks;
};

struct link {
	bool broken; /* and nobody has noticed: what is sent is lost */
	uint64_t generation;
	int64_t last;
};

enum op { GET, SET, SETPX, DEL, INCR, PUSH, POP, RANGE, EXPIRE };

/* A client's command in progress. */
struct client {
	int node; /* which runs it; -1: none */
	int key;
	bool chosen;
	enum op op;
	/* behind it, where it ran */
	uint64_t stamp, image;
	bool ends;
	int64_t asked;
	char value[24];
};

struct key {
	uint64_t acked; /* the highest stamp of an acknowledged write */
	uint64_t image; /* of the value that has it, when known; 0: none */
	int64_t acked_at;
	bool ends;	 /* it may be gone by itself */
	bool known, sure; /* sure: value is what it must be */
	char value[160]; /* "": none; items of a list with a space between two */
};

struct rules {
	int nodes, quorum, replicas;
	bool calm, partings, deletes_only;
	struct cache_copies_conf conf;
};

struct world {
	struct sd_rng rng;
	struct rules rules;
	int64_t now, faults_until, ends, busy_since;
	uint64_t order, ids, epoch;
	struct event *heap;
	size_t n, room;
	struct node nodes[NODES];
	struct link links[NODES][NODES];
	unsigned side; /* nodes on one side of a parting; 0: none */
	struct client clients[CLIENTS];
	struct key keys[KEYS];
	struct {
		uint64_t digest;
		struct sd_slots slots;
	} maps[VIEWS];
	size_t nmaps;
	bool asking;
	/* what came of it */
	int doomed; /* a node that crashes behind its next answer; -1: none */
	int ops[EXPIRE + 1]; /* writes */
	int acked, lost, late, misses, refused, gave_up, crashes, faults, moved;
	char wrong[160];
};

static void went_wrong(struct world *w, const char *what, int a, int b)
{
	if (!*w->wrong)
		snprintf(w->wrong, sizeof(w->wrong), "%.2f s: %s (%d, %d)", (double)w->now / (double)SECOND, what, a, b);
}

/* ---- events ---- */

static bool before(const struct event *a, const struct event *b)
{
	return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void put(struct world *w, struct event e)
{
	if (w->n == w->room) {
		w->room = w->room ? w->room * 2 : 256;
		w->heap = realloc(w->heap, w->room * sizeof(*w->heap));
	}
	size_t i = w->n++;
	for (; i && before(&e, &w->heap[(i - 1) / 2]); i = (i - 1) / 2)
		w->heap[i] = w->heap[(i - 1) / 2];
	w->heap[i] = e;
}

static struct event take(struct world *w)
{
	struct event top = w->heap[0], last = w->heap[--w->n];
	size_t i = 0;
	for (size_t k; (k = 2 * i + 1) < w->n; i = k) {
		if (k + 1 < w->n && before(&w->heap[k + 1], &w->heap[k]))
			k++;
		if (!before(&w->heap[k], &last))
			break;
		w->heap[i] = w->heap[k];
	}
	if (w->n)
		w->heap[i] = last;
	return top;
}

static void soon(struct world *w, struct event e, int64_t after)
{
	e.at = w->now + after;
	e.order = ++w->order;
	put(w, e);
}

static int64_t some(struct world *w, int64_t most)
{
	return (int64_t)(sd_rng_next(&w->rng) % (uint64_t)most) + 1;
}

/* ---- the network ---- */

static bool reachable(const struct world *w, int a, int b)
{
	return w->nodes[a].alive && w->nodes[b].alive && !((w->side >> a ^ w->side >> b) & 1 && w->side);
}

static void break_link(struct world *w, int a, int b)
{
	struct link *l = &w->links[a][b];
	l->generation++;
	if (l->broken || !w->nodes[a].alive)
		return;
	l->broken = true;
	soon(w, (struct event){.kind = LINK, .node = a, .from = b, .generation = w->nodes[a].number}, some(w, 30 * MS));
}

static int node_of(const struct world *w, const struct sd_swim_id *id)
{
	for (int i = 0; i < NODES; i++)
		if (w->nodes[i].alive && memcmp(&w->nodes[i].id, id, sizeof(*id)) == 0)
			return i;
	return -1;
}

static const struct cache_view *peers_view(void *arg)
{
	return ((struct node *)arg)->view;
}

static bool peers_send(void *arg, const struct sd_swim_id *to, unsigned kind, const struct sd_slice *parts, size_t nparts)
{
	struct node *me = arg;
	struct world *w = me->w;
	int b = node_of(w, to);
	struct event e = {.kind = MESSAGE, .node = b, .from = me->index, .what = kind};
	if (b < 0 || !me->view || copies_member(me->view, to) < 0 || !reachable(w, me->index, b))
		return false;
	struct link *l = &w->links[me->index][b];
	if (l->broken)
		return true;
	for (size_t i = 0; i < nparts; i++)
		e.n += parts[i].n;
	e.p = malloc(e.n + 1);
	for (size_t i = 0, at = 0; i < nparts; at += parts[i++].n)
		if (parts[i].n)
			memcpy(e.p + at, parts[i].p, parts[i].n);
	int64_t at = w->now + LATENCY / 10 + some(w, LATENCY - LATENCY / 10);
	l->last = e.at = at > l->last ? at : l->last;
	e.generation = l->generation;
	e.order = ++w->order;
	put(w, e);
	return true;
}

static size_t peers_backlog(void *arg, const struct sd_swim_id *to)
{
	(void)arg;
	(void)to;
	return 0;
}

static void peers_wake(void *arg, int64_t at)
{
	struct node *me = arg;
	struct world *w = me->w;
	soon(w, (struct event){.kind = TICK, .node = me->index, .generation = ++me->ticks}, at > w->now ? at - w->now : MS / 10);
}

static int64_t peers_now(void *arg)
{
	return ((struct node *)arg)->w->now;
}

static int64_t peers_wall(void *arg)
{
	const struct node *me = arg;
	return EPOCH_MS + me->w->now / MS + me->skew_ms;
}

static void peers_say(void *arg, const char *name, const char *text)
{
	(void)arg;
	(void)name;
	(void)text;
}

/* ---- nodes and views ---- */

static void start(struct world *w, int i, bool joins)
{
	struct node *me = &w->nodes[i];
	struct cache_peers peers = {me, peers_view, peers_send, peers_backlog, peers_wake, peers_now, peers_wall, peers_say};
	struct cache_copies_conf conf = w->rules.conf;
	uint64_t number = me->number;
	*me = (struct node){.w = w, .index = i, .alive = true, .number = number + 1000};
	for (int k = 0; k < NODES; k++)
		w->links[i][k].broken = false;
	me->skew_ms = (int64_t)sd_rng_below(&w->rng, 5);
	for (int k = 0; k < SD_SWIM_ID; k++)
		me->id.b[k] = (uint8_t)sd_rng_next(&w->rng);
	conf.joins = joins;
	conf.quorum = (unsigned)w->rules.quorum;
	cache_init(&me->cache, sd_rng_next(&w->rng), peers_wall(me));
	me->cc = cache_copies_new(&me->cache, &conf, &peers, &me->id, sd_rng_next(&w->rng));
	for (int c = 0; c < CLIENTS; c++)
		cache_session_begin(&me->cache, &me->sessions[c]);
}

static void free_view(struct cache_view *v)
{
	if (v)
		free(v->members);
	free(v);
}

static void stop(struct world *w, int i)
{
	struct node *me = &w->nodes[i];
	if (w->doomed == i)
		w->doomed = -1;
	for (int c = 0; c < CLIENTS; c++) {
		cache_session_end(&me->sessions[c]);
		if (w->clients[c].node == i)
			w->clients[c].node = -1;
	}
	cache_copies_free(me->cc);
	cache_end(&me->cache);
	free_view(me->view);
	me->view = NULL;
	me->alive = false;
	for (int k = 0; k < NODES; k++) {
		w->links[i][k].broken = false;
		w->links[i][k].generation++;
		break_link(w, k, i);
	}
}

static int by_id(const void *a, const void *b)
{
	return memcmp(&((const struct cache_view_member *)a)->id, &((const struct cache_view_member *)b)->id, sizeof(struct sd_swim_id));
}

static struct sd_slots map_of(struct world *w, const struct cache_view *v)
{
	struct sd_slots_node nodes[NODES];
	struct sd_slots_conf conf = {(unsigned)w->rules.replicas + 1, 20, 0};
	for (size_t i = 0; i < w->nmaps; i++)
		if (w->maps[i].digest == v->digest)
			return w->maps[i].slots;
	ck_assert_uint_lt(w->nmaps, VIEWS);
	for (size_t i = 0; i < v->n; i++)
		nodes[i] = (struct sd_slots_node){{(const char *)v->members[i].id.b, SD_SWIM_ID}, 1};
	w->maps[w->nmaps].digest = v->digest;
	ck_assert_int_eq(sd_slots_make(&conf, nodes, v->n, &w->maps[w->nmaps].slots), SD_OK);
	return w->maps[w->nmaps++].slots;
}

static void show_view(struct world *w, struct node *me, unsigned members, uint64_t epoch)
{
	struct cache_view *v = calloc(1, sizeof(*v)), *was = me->view;
	v->members = calloc(NODES, sizeof(*v->members));
	for (int i = 0; i < NODES; i++)
		if (members >> i & 1 && w->nodes[i].alive)
			v->members[v->n++] = (struct cache_view_member){.id = w->nodes[i].id, .bus.port = (uint16_t)(17000 + i)};
	qsort(v->members, v->n, sizeof(*v->members), by_id);
	for (size_t i = 0; i < v->n; i++)
		v->digest = v->digest * 31 + copies_hash((struct sd_slice){(char *)v->members[i].id.b, SD_SWIM_ID}, i, false);
	int self = copies_member(v, &me->id);
	v->self = self < 0 ? v->n : (size_t)self;
	if (self < 0)
		me->left_at = w->now;
	v->number = was ? was->number + 1 : 1;
	v->epoch = epoch;
	v->slots = map_of(w, v);
	me->view = v;
	cache_copies_data(me->cc)->view_changed(me->cc, was, v);
	free_view(was);
}

/* Everybody hears of who is there now, at some time soon. */
static void tell(struct world *w, int64_t least, int64_t most)
{
	w->epoch++;
	for (int i = 0; i < NODES; i++) {
		unsigned members = 0;
		if (!w->nodes[i].alive)
			continue;
		for (int k = 0; k < NODES; k++)
			if (reachable(w, i, k) && !(w->nodes[k].paused_until > w->now && k != i) && !w->nodes[k].leaving)
				members |= 1u << k;
		soon(w, (struct event){.kind = VIEW, .node = i, .what = members, .epoch = w->epoch, .generation = w->nodes[i].number},
		     least + some(w, most));
	}
}

/* ---- clients ---- */

static struct cache_item *item_at(struct node *n, int key, char name[16])
{
	struct sd_dict *d = &n->cache.dbs[0].keys;
	snprintf(name, 16, "key:%d", key);
	struct sd_slice k = sd_slice_of(name);
	return (struct cache_item *)sd_dict_find(d, k, sd_dict_hash(d, k));
}

static uint64_t stamp_at(struct node *n, int key)
{
	char name[16];
	bool gone;
	const struct cache_item *it = item_at(n, key, name);
	return it ? cache_stamp(it) : copies_stamp_of(n->cc, sd_slice_of(name), &gone);
}

/* Which node runs it now; -1: nobody can. */
static int route(struct world *w, int at, unsigned slot, bool write)
{
	struct cache_asked asked = {.slot = slot, .write = write};
	for (int hops = 0; hops < CACHE_HOPS; hops++) {
		struct node *n = &w->nodes[at];
		struct sd_swim_id other;
		if (!n->alive || n->paused_until > w->now || !n->view)
			return -1;
		enum cache_serving s = copies_serving(n->cc, &asked, &other);
		if (s == CACHE_SERVE)
			return at;
		int next = s == CACHE_ELSEWHERE ? node_of(w, &other) : -1;
		if (next < 0 || !reachable(w, at, next))
			return -1;
		at = next;
		asked.sent_on = true;
	}
	return -1;
}

static uint64_t hash_of(const struct cache_item *it)
{
	struct sd_text image = {0};
	copies_put_image(&image, it);
	uint64_t h = copies_hash((struct sd_slice){image.p, image.n}, 1, false);
	free(image.p);
	return h;
}

static bool is_write(enum op op)
{
	return op != GET && op != RANGE;
}

/* Not everything that may change something did. */
static bool did_write(const struct client *c, const struct cache_session *s)
{
	if (c->op == DEL || c->op == EXPIRE)
		return memcmp(s->out.p, ":0", 2) != 0;
	return is_write(c->op) && (c->op != POP || memcmp(s->out.p, "$-1", 3) != 0);
}

/* ---- what one node alone would say ---- */

static int count_items(const char *value)
{
	int n = *value != '\0';
	for (; *value; value++)
		n += *value == ' ';
	return n;
}

static int put_bulk(char *out, size_t room, const char *p, size_t n)
{
	return snprintf(out, room, "$%zu\r\n%.*s\r\n", n, (int)n, p);
}

static int put_items(char *out, size_t room, const char *value)
{
	int at = snprintf(out, room, "*%d\r\n", count_items(value));
	for (size_t n; *value; value += n + (value[n] == ' ')) {
		n = strcspn(value, " ");
		at += put_bulk(out + at, room - (size_t)at, value, n);
	}
	return at;
}

/* The reply to a command, before it changes what is known of the key. */
static int put_reply(char *out, size_t room, const struct client *c, const struct key *k)
{
	bool none = !*k->value;
	switch (c->op) {
	case GET:
	case POP:
		return none ? snprintf(out, room, "$-1\r\n") : put_bulk(out, room, k->value, strcspn(k->value, " "));
	case INCR:
		return snprintf(out, room, ":%lld\r\n", strtoll(k->value, NULL, 10) + 1);
	case PUSH:
		return snprintf(out, room, ":%d\r\n", count_items(k->value) + 1);
	case RANGE:
		return put_items(out, room, k->value);
	case DEL:
	case EXPIRE:
		return snprintf(out, room, ":%d\r\n", !none);
	default:
		return snprintf(out, room, "+OK\r\n");
	}
}

static void change(const struct client *c, struct key *k)
{
	size_t n = strlen(k->value);
	if (c->op == SET || c->op == SETPX)
		snprintf(k->value, sizeof(k->value), "%s", c->value);
	else if (c->op == DEL)
		k->value[0] = '\0';
	else if (c->op == INCR)
		snprintf(k->value, sizeof(k->value), "%lld", strtoll(k->value, NULL, 10) + 1);
	else if (c->op == PUSH)
		snprintf(k->value + n, sizeof(k->value) - n, n ? " %s" : "%s", c->value);
	else if (c->op == POP) {
		size_t first = strcspn(k->value, " ");
		memmove(k->value, k->value + first + (k->value[first] == ' '), n - first - (k->value[first] == ' ') + 1);
	}
}

/* ---- replies ---- */

/* What a reply means for what is known of the key. */
static void answered(struct world *w, struct client *c, const struct cache_session *s)
{
	struct key *k = &w->keys[c->key];
	char want[512];
	if (s->out.n && s->out.p[0] == '-') {
		w->refused++;
		if (is_write(c->op))
			k->known = k->sure = false; /* it may have been done */
		return;
	}
	int n = put_reply(want, sizeof(want), c, k);
	if (w->rules.calm && k->sure && (s->out.n != (size_t)n || memcmp(s->out.p, want, (size_t)n) != 0)) {
		w->misses++;
		went_wrong(w, "a reply is not that of one node", c->key, c->op);
	}
	change(c, k);
	k->sure |= c->op == SET || c->op == DEL;
	if (!did_write(c, s))
		return;
	w->acked++;
	w->ops[c->op]++;
	if (c->stamp <= k->acked) /* two answer for it for a while, and this one is behind */
		return;
	k->acked = c->stamp;
	k->acked_at = w->now;
	k->ends = c->ends;
	k->image = c->image;
	k->known = true;
}

static void collect(struct world *w, struct client *c)
{
	struct node *n = &w->nodes[c->node];
	struct cache_session *s = &n->sessions[c - w->clients];
	if (!s->out.n)
		return;
	answered(w, c, s);
	s->out.n = 0;
	c->node = -1;
}

static void crash(struct world *w, int i);

static size_t words_of(const struct client *c, const char *name, struct sd_slice argv[5])
{
	static const char *const words[][4] = {[GET] = {"GET"}, [SET] = {"SET"}, [SETPX] = {"SET", "PX", "1500"}, [DEL] = {"DEL"},
					       [INCR] = {"INCR"}, [PUSH] = {"RPUSH"}, [POP] = {"LPOP"}, [RANGE] = {"LRANGE", "0", "-1"},
					       [EXPIRE] = {"PEXPIRE", "1500"}};
	size_t n = 2;
	argv[0] = sd_slice_of(words[c->op][0]);
	argv[1] = sd_slice_of(name);
	if (c->op == SET || c->op == SETPX || c->op == PUSH)
		argv[n++] = sd_slice_of(c->value);
	for (size_t i = 1; words[c->op][i]; i++)
		argv[n++] = sd_slice_of(words[c->op][i]);
	return n;
}

static void run(struct world *w, struct client *c, int at)
{
	struct node *n = &w->nodes[at];
	struct cache_session *s = &n->sessions[c - w->clients];
	struct sd_slice argv[5];
	char name[16], found[16];
	snprintf(name, sizeof(name), "key:%d", c->key);
	c->node = at;
	cache_call(s, words_of(c, name, argv), argv, peers_wall(n));
	const struct cache_item *it = item_at(n, c->key, found);
	c->stamp = is_write(c->op) ? stamp_at(n, c->key) : 0;
	c->image = it ? hash_of(it) : 0;
	c->ends = it && cache_expires_at(it) >= 0;
	cache_copies_turn(n->cc);
	collect(w, c);
	if (w->doomed == at && is_write(c->op) && w->now < w->faults_until) {
		w->doomed = -1;
		crash(w, at);
	}
}

static void choose(struct world *w, struct client *c)
{
	static const enum op ops[3][10] = {{GET, GET, GET, SET, SET, SET, SET, DEL, SETPX, EXPIRE},
					   {GET, GET, INCR, INCR, INCR, INCR, INCR, INCR, DEL, EXPIRE},
					   {RANGE, RANGE, PUSH, PUSH, PUSH, PUSH, POP, POP, DEL, EXPIRE}};
	int me = (int)(c - w->clients), nth = (int)sd_rng_below(&w->rng, KEYS / CLIENTS);
	c->key = nth * CLIENTS + me;
	c->asked = w->now;
	c->chosen = true;
	c->op = ops[nth % 3][sd_rng_below(&w->rng, w->rules.calm ? (nth % 3 ? 9 : 8) : 10)];
	if (c->op == PUSH && strlen(w->keys[c->key].value) > 100)
		c->op = POP;
	snprintf(c->value, sizeof(c->value), "%d.%llu", me, (unsigned long long)++w->order);
}

static void ask(struct world *w, struct client *c)
{
	char name[16];
	int me = (int)(c - w->clients);
	int64_t next = some(w, 4 * MS);
	if (c->node >= 0) { /* its reply is held */
		soon(w, (struct event){.kind = ASK, .node = me}, MS);
		return;
	}
	if (!w->asking)
		return;
	if (!c->chosen)
		choose(w, c);
	snprintf(name, sizeof(name), "key:%d", c->key);
	int from = (int)sd_rng_below(&w->rng, NODES), at = route(w, from, sd_slot_of(sd_slice_of(name)), is_write(c->op));
	if (at >= 0) {
		run(w, c, at);
		c->chosen = false;
	} else if (w->now - c->asked > 8 * SECOND) {
		w->gave_up++;
		c->chosen = false;
	}
	soon(w, (struct event){.kind = ASK, .node = me}, next);
}

/* ---- what goes wrong ---- */

static bool is_quiet(const struct world *w)
{
	if (w->side || w->doomed >= 0)
		return false;
	for (int i = 0; i < NODES; i++) {
		const struct node *n = &w->nodes[i];
		if (n->alive && (!cache_copies_quiet(n->cc) || n->paused_until > w->now || n->leaving))
			return false;
	}
	return true;
}

/* All owners of every slot have the same. */
static bool is_whole(const struct world *w)
{
	for (int i = 0; i < NODES; i++) {
		const struct node *n = &w->nodes[i];
		if (!n->alive)
			continue;
		for (unsigned s = 0; s < SD_SLOTS; s++) {
			struct copies_peer *to[SD_SLOTS_COPIES];
			size_t k = n->cc->slots[s].count && copies_rank(n->cc, s) >= 0 ? copies_owners(n->cc, s, to) : 0;
			while (k--) {
				int other = node_of(w, &to[k]->id);
				if (other < 0 || w->nodes[other].cc->slots[s].digest != n->cc->slots[s].digest)
					return false;
			}
		}
	}
	return true;
}

static int count_alive(const struct world *w)
{
	int n = 0;
	for (int i = 0; i < NODES; i++)
		n += w->nodes[i].alive;
	return n;
}

static int any_node(struct world *w, bool alive)
{
	int i = (int)sd_rng_below(&w->rng, NODES);
	while (w->nodes[i].alive != alive)
		i = (i + 1) % NODES;
	return i;
}

static void left(void *arg)
{
	struct node *n = arg;
	n->leaving = true;
	tell(n->w, MS, 100 * MS);
}

static void one_more(struct world *w)
{
	if (count_alive(w) == w->rules.nodes)
		return;
	start(w, any_node(w, false), true);
	w->moved++;
	for (int i = 0; i < NODES; i++) /* for a moment it is alone */
		if (w->nodes[i].alive && !w->nodes[i].view)
			show_view(w, &w->nodes[i], 1u << i, w->epoch);
	tell(w, MS, 200 * MS);
}

/* Nobody has what was acknowledged: it went with the node. */
static void note_loss(struct world *w, struct key *k, int key)
{
	uint64_t best = 0;
	for (int i = 0; i < NODES; i++) {
		uint64_t here = w->nodes[i].alive ? stamp_at(&w->nodes[i], key) : 0;
		best = here > best ? here : best;
	}
	if (k->ends || best >= k->acked)
		return;
	w->lost++;
	w->late += w->now - k->acked_at > LOSS_MS * MS;
	k->acked = best;
	k->known = k->sure = false;
}

static void crash(struct world *w, int i)
{
	w->crashes++;
	stop(w, i);
	for (int k = 0; k < KEYS; k++)
		note_loss(w, &w->keys[k], k);
	tell(w, 200 * MS, 500 * MS);
}

static void pause_node(struct world *w, int i)
{
	int64_t most = sd_rng_below(&w->rng, 2) ? 400 * MS : 4 * SECOND, lasts = some(w, most);
	w->nodes[i].paused_until = w->now + lasts;
	if (lasts > SECOND)
		tell(w, 500 * MS, 500 * MS);
	soon(w, (struct event){.kind = FAULT, .what = 1}, lasts + MS);
}

static void part(struct world *w)
{
	w->side = (unsigned)some(w, (1 << NODES) - 2);
	for (int a = 0; a < NODES; a++)
		for (int b = 0; b < NODES; b++)
			if (!reachable(w, a, b))
				break_link(w, a, b);
	tell(w, 300 * MS, 500 * MS);
	soon(w, (struct event){.kind = FAULT, .what = 1}, 500 * MS + some(w, 4 * SECOND));
}

static void fault(struct world *w)
{
	unsigned dice = (unsigned)sd_rng_below(&w->rng, 10);
	int i = any_node(w, true);
	w->faults++;
	if (w->rules.calm) {
		if (count_alive(w) > 2 && dice < 5 && w->nodes[i].view && w->nodes[i].view->n > 2)
			cache_copies_data(w->nodes[i].cc)->leave(w->nodes[i].cc, left, &w->nodes[i]);
		else
			one_more(w);
	} else if (dice < 3 && count_alive(w) > 3 && !w->rules.deletes_only) {
		w->doomed = i;
	} else if (dice < 5) {
		one_more(w);
	} else if (dice < 7) {
		pause_node(w, i);
	} else if (w->rules.partings) {
		part(w);
	}
}

static void mend(struct world *w)
{
	w->side = 0;
	tell(w, MS, 300 * MS);
}

static bool is_counted_on(const struct world *w, int i)
{
	for (int k = 0; k < NODES; k++)
		if (w->nodes[k].alive && w->nodes[k].view && copies_member(w->nodes[k].view, &w->nodes[i].id) >= 0)
			return true;
	return false;
}

static void on_fault(struct world *w, unsigned what)
{
	if (what) {
		mend(w);
		return;
	}
	int a = any_node(w, true), b = any_node(w, true);
	if (!w->rules.calm && a != b)
		break_link(w, a, b);
	for (int i = 0; i < NODES; i++)
		if (w->nodes[i].alive && w->nodes[i].leaving && !is_counted_on(w, i) && w->now - w->nodes[i].left_at > 10 * LATENCY)
			stop(w, i);
	/* one thing at a time: the next when all is whole */
	bool whole = w->rules.conf.never_compare || w->rules.conf.no_tombstones || w->rules.conf.ack_first || (is_quiet(w) && is_whole(w));
	if (w->now < w->faults_until && (whole || w->now - w->busy_since > 60 * SECOND)) {
		w->busy_since = w->now;
		fault(w);
	}
	if (w->now < w->faults_until)
		soon(w, (struct event){.kind = FAULT}, 100 * MS + some(w, 600 * MS));
}

/* ---- running ---- */

static void deliver(struct world *w, struct event *e)
{
	struct node *n = &w->nodes[e->node];
	const struct link *l = &w->links[e->from][e->node];
	if (!n->alive || l->generation != e->generation)
		return;
	cache_copies_data(n->cc)->message(n->cc, &w->nodes[e->from].id, e->what, (struct sd_slice){e->p, e->n});
}

static void tell_link(struct world *w, const struct event *e)
{
	struct node *n = &w->nodes[e->node];
	if (!n->alive || n->number != e->generation)
		return;
	w->links[e->node][e->from].broken = false;
	for (size_t i = 0; i < n->cc->nothers; i++) /* of a node that is no more, too */
		if (n->cc->others[i] && node_of(w, &n->cc->others[i]->id) == (w->nodes[e->from].alive ? e->from : -1))
			cache_copies_data(n->cc)->link(n->cc, &n->cc->others[i]->id, false);
}

static void step(struct world *w)
{
	struct event e = take(w);
	w->now = e.at;
	bool of_node = e.kind == MESSAGE || e.kind == TICK || e.kind == LINK || e.kind == VIEW;
	struct node *n = &w->nodes[of_node ? e.node : 0];
	if (of_node && n->alive && n->paused_until > w->now) {
		e.at = n->paused_until;
		put(w, e);
		return;
	}
	if (e.kind == MESSAGE)
		deliver(w, &e);
	else if (e.kind == LINK)
		tell_link(w, &e);
	else if (e.kind == VIEW && n->alive && n->number == e.generation && (!n->view || n->view->epoch <= e.epoch))
		show_view(w, n, e.what, e.epoch);
	else if (e.kind == TICK && n->alive && n->ticks == e.generation)
		cache_copies_data(n->cc)->tick(n->cc);
	else if (e.kind == ASK)
		ask(w, &w->clients[e.node]);
	else if (e.kind == FAULT)
		on_fault(w, e.what);
	free(e.p);
	for (int c = 0; of_node && n->alive && c < CLIENTS; c++)
		if (w->clients[c].node == e.node)
			collect(w, &w->clients[c]);
	if (of_node && n->alive)
		cache_tick(&n->cache, peers_wall(n), 100);
}

/* ---- what must be at the end ---- */

static void check_slot(struct world *w, unsigned s)
{
	uint64_t digest = 0;
	uint32_t count = 0;
	int holders = 0, owners = 0;
	for (int i = 0; i < NODES; i++) {
		const struct node *n = &w->nodes[i];
		if (!n->alive)
			continue;
		int rank = copies_rank(n->cc, s);
		holders += cache_copies_holds(n->cc, s);
		if (cache_copies_holds(n->cc, s) && rank != 0)
			went_wrong(w, "a slot is held by another one than its first owner", (int)s, i);
		if (rank < 0 && cache_copies_count(n->cc, s))
			went_wrong(w, "a node keeps what it does not own", (int)s, i);
		if (rank < 0)
			continue;
		if (owners++ && (digest != cache_copies_digest(n->cc, s) || count != cache_copies_count(n->cc, s)))
			went_wrong(w, "owners of a slot differ", (int)s, i);
		digest = cache_copies_digest(n->cc, s);
		count = cache_copies_count(n->cc, s);
	}
	int want = w->rules.replicas + 1 < count_alive(w) ? w->rules.replicas + 1 : count_alive(w);
	if (holders != 1 || owners != want)
		went_wrong(w, "a slot has not one holder and all owners", (int)s, holders * 100 + owners);
}

static void check_key(struct world *w, int key)
{
	struct sd_text image = {0};
	const struct key *k = &w->keys[key];
	uint64_t stamp = 0, hash = 0;
	int64_t ends = -1;
	for (int i = 0; i < NODES; i++) {
		struct sd_text one = {0};
		char name[16];
		if (!w->nodes[i].alive)
			continue;
		const struct cache_item *it = item_at(&w->nodes[i], key, name);
		uint64_t here = stamp_at(&w->nodes[i], key);
		stamp = here > stamp ? here : stamp;
		if (it) {
			copies_put_image(&one, it);
			hash = hash_of(it);
		}
		if (it && image.n && (image.n != one.n || memcmp(image.p, one.p, one.n) != 0 || ends != cache_expires_at(it)))
			went_wrong(w, "values differ", key, i);
		if (it && !image.n) {
			image = one;
			ends = cache_expires_at(it);
		} else {
			free(one.p);
		}
	}
	if (stamp < k->acked && !k->ends) {
		w->lost++; /* and no crash took it */
		w->late++;
	}
	if (k->known && !k->ends && stamp == k->acked && hash != k->image)
		went_wrong(w, "a value is not the one of its stamp", key, 0);
	free(image.p);
}

static void check(struct world *w)
{
	for (unsigned s = 0; s < SD_SLOTS; s++)
		check_slot(w, s);
	for (int i = 0; i < KEYS; i++)
		check_key(w, i);
	if (w->rules.calm && w->gave_up)
		went_wrong(w, "requests nobody answered", w->gave_up, 0);
	if ((w->rules.calm || w->rules.quorum > 1) && w->lost)
		went_wrong(w, "acknowledged writes are lost", w->lost, 0);
	if (w->late)
		went_wrong(w, "writes are lost that were acknowledged long before a crash", w->late, w->lost);
}

static void end(struct world *w)
{
	for (int i = 0; i < NODES; i++)
		if (w->nodes[i].alive)
			stop(w, i);
	while (w->n)
		free(w->heap[--w->n].p);
	free(w->heap);
	for (size_t i = 0; i < w->nmaps; i++)
		sd_slots_free(&w->maps[i].slots);
}

static void play(struct world *w, uint64_t seed, const struct rules *rules)
{
	*w = (struct world){.rules = *rules, .asking = true, .doomed = -1};
	sd_rng_seed(&w->rng, seed);
	w->now = SECOND;
	w->faults_until = 40 * SECOND;
	w->ends = 60 * SECOND;
	int begin = 3 + (int)sd_rng_below(&w->rng, (uint32_t)rules->nodes - 2);
	for (int i = 0; i < begin; i++)
		start(w, i, false);
	for (int i = 0; i < begin; i++)
		show_view(w, &w->nodes[i], (1u << begin) - 1, 1);
	w->epoch = 1;
	for (int i = 0; i < KEYS; i++)
		w->keys[i].sure = true; /* there is nothing */
	for (int c = 0; c < CLIENTS; c++) {
		w->clients[c].node = -1;
		soon(w, (struct event){.kind = ASK, .node = c}, SECOND);
	}
	soon(w, (struct event){.kind = FAULT}, 2 * SECOND);
	while (w->n && w->now < w->ends) {
		w->asking = w->now < w->faults_until;
		step(w);
	}
	/* those that left may not have ended yet */
	for (int i = 0; i < NODES; i++)
		if (w->nodes[i].alive && w->nodes[i].leaving)
			stop(w, i);
	check(w);
	end(w);
}

/* A seed takes a second here, and a hundred times less in the simulations that SEEDS is meant for. */
static unsigned seeds(unsigned fallback)
{
	if (sim_number("SEED", 0))
		return 1;
	if (sim_number("SEEDS", 0))
		return (unsigned)sim_number("SEEDS", 0) / 8 + 1;
#ifdef SD_SANITIZED
	return fallback / 4 + 1;
#else
	return fallback;
#endif
}

static uint64_t first_seed(void)
{
	uint64_t seed = sim_number("SEED", 0), from = sim_number("SEED_FROM", 0);
	return seed ? seed : from ? from : 1;
}

/* Few seeds, or one: what happens in many need not. */
static bool chosen(void)
{
#ifdef SD_SANITIZED
	return true;
#else
	return sim_number("SEED", 0) || sim_number("SEEDS", 0);
#endif
}

static struct rules rules_of(int quorum, bool calm)
{
	struct rules r = {.nodes = NODES, .quorum = quorum, .replicas = 1, .calm = calm, .partings = !calm, .conf = cache_copies_conf_default()};
	r.conf.compare_ms = 2000;
	return r;
}

/* How many seeds went wrong, with a word on the first. most: enough of them. */
static unsigned count_wrong(const struct rules *r, uint64_t from, unsigned n, unsigned most, struct world *sum, char first[200])
{
	unsigned wrong = 0;
	struct world *w = malloc(sizeof(*w));
	*sum = (struct world){0};
	for (uint64_t seed = from; seed < from + n && wrong < most; seed++) {
		play(w, seed, r);
		sum->acked += w->acked;
		sum->lost += w->lost;
		sum->refused += w->refused;
		sum->crashes += w->crashes;
		sum->faults += w->faults;
		for (int op = 0; op <= EXPIRE; op++)
			sum->ops[op] += w->ops[op];
		if (*w->wrong && !wrong++)
			snprintf(first, 200, "seed %llu: %s", (unsigned long long)seed, w->wrong);
	}
	free(w);
	if (getenv("TELL"))
		fprintf(stderr, "%u seeds: %u wrong; %d acked, %d refused, %d lost, %d faults, %d crashes; %s\n", n, wrong, sum->acked,
			sum->refused, sum->lost, sum->faults, sum->crashes, wrong ? first : "");
	return wrong;
}

static unsigned wrong_of(const struct rules *r, unsigned n, struct world *sum, char first[200])
{
	return count_wrong(r, first_seed(), n, UINT32_MAX, sum, first);
}

static struct world sum;

/* Writes of every kind were among those that were judged. */
static void check_ops(enum op last)
{
	for (int op = SET; op <= (int)last; op++)
		ck_assert_msg(op == RANGE || (last != EXPIRE && op == SETPX) || sum.ops[op] > 100, "kind %d: only %d were written", op, sum.ops[op]);
}

/* What is broken on purpose must go wrong in one of the first seeds. */
static void must_fail(const struct rules *r, unsigned within)
{
	char first[200] = "";
#ifdef SD_SANITIZED /* the same seeds go wrong there in the same way: what is broken on purpose is not looked at again */
	(void)first;
	(void)r;
	(void)within;
#else
	ck_assert_msg(count_wrong(r, 1, within, 1, &sum, first) > 0, "the control was fine");
#endif
}

START_TEST(coming_and_leaving_loses_nothing)
{
	char first[200] = "";
	struct rules r = rules_of(1, true);
	for (r.replicas = 0; r.replicas <= 2; r.replicas++) {
		unsigned wrong = wrong_of(&r, seeds(3), &sum, first);
		ck_assert_msg(wrong == 0, "replicas %d: %s", r.replicas, first);
		ck_assert_int_gt(sum.acked, 1000);
		check_ops(POP);
	}
	/* a node that left gave a key to one that knew nothing of its leaving yet, and held it for a stray */
	r.replicas = 0;
	ck_assert_msg(count_wrong(&r, 2384017555, 1, 1, &sum, first) == 0, "%s", first);
	r.replicas = 1;
	r.conf.handover_first = true;
	must_fail(&r, 6);
}
END_TEST

START_TEST(without_a_quorum_little_is_lost)
{
	char first[200] = "";
	struct rules r = rules_of(1, false);
	ck_assert_msg(wrong_of(&r, seeds(8), &sum, first) == 0, "%s", first);
	check_ops(EXPIRE);
	if (!chosen())
		ck_assert_int_gt(sum.crashes, 10);
	if (!chosen())
		ck_assert_msg(sum.lost > 0, "nothing was lost: the check sees nothing");
	r.conf.never_compare = true;
	must_fail(&r, 8);
}
END_TEST

START_TEST(deleted_keys_stay_deleted)
{
	char first[200] = "";
	struct rules r = rules_of(1, false);
	r.deletes_only = true;
	ck_assert_msg(wrong_of(&r, seeds(3), &sum, first) == 0, "%s", first);
	r.conf.no_tombstones = true;
	must_fail(&r, 8);
	if (!chosen())
		ck_assert_int_gt(sum.lost, 0);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("cache");
	TCase *t = tcase_create("copies");
	tcase_set_timeout(t, 600);
	tcase_add_test(t, coming_and_leaving_loses_nothing);
	tcase_add_test(t, without_a_quorum_little_is_lost);
	tcase_add_test(t, deleted_keys_stay_deleted);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_ENV);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
