/* ratelimit_ring.c - servers that share limits among themselves: who owns a key, the links to the others, and who waits for them. */
#include "ratelimit_api.h"
#include "ratelimit_ring.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "net/resp_link.h"
#include "sdlab/ring.h"

#define MOST       8192
#define MOST_BYTES (4 << 20)

struct member {
	char name[SD_ADDR_TEXT]; /* as the list has it: places on the ring come from it */
	struct sd_addr addr;
	unsigned down; /* links of workers that are lost */
};

struct rl_members {
	struct sd_ring *ring;
	unsigned n, self;
	bool differ; /* it was told that somebody has another list */
	struct member list[RL_MEMBERS];
};

struct peer {
	struct rl_worker *w;
	struct member *member;
	struct sd_resp_link *link; /* NULL: this is us */
	enum { FIRST, UP, DOWN } state;
	bool complained; /* about answers, since it stands */
};

struct rl_ring {
	struct rl_members *members;
	struct peer peers[RL_MEMBERS];
};

/* ---- members ---- */

static enum sd_err add_member(struct rl_members *m, const char *text, struct sd_error *e)
{
	struct member *one = &m->list[m->n];
	enum sd_err err = sd_addr_parse(text, "127.0.0.1", &one->addr, e);
	if (err)
		return err;
	if (strlen(text) >= sizeof(one->name))
		return sd_fail(e, SD_EUSAGE, "expected at most %zu characters", sizeof(one->name) - 1);
	for (unsigned i = 0; i < m->n; i++)
		if (strcmp(m->list[i].name, text) == 0)
			return sd_fail(e, SD_EUSAGE, "%s is there twice", text);
	snprintf(one->name, sizeof(one->name), "%s", text);
	m->n++;
	return SD_OK;
}

static enum sd_err find_self(struct rl_members *m, const char *self, struct sd_error *e)
{
	while (m->self < m->n && self && strcmp(m->list[m->self].name, self) != 0)
		m->self++;
	if (!self || m->self == m->n)
		return sd_fail(e, SD_EUSAGE, "self: expected the one of the peers that is this server, as the list has it");
	return SD_OK;
}

/* Places come from names, so that lists in any order agree. */
static enum sd_err make_ring(struct rl_members *m, struct sd_error *e)
{
	struct sd_ring_conf conf = {.kind = SD_RING_VNODES};
	struct sd_ring_node nodes[RL_MEMBERS];
	for (unsigned i = 0; i < m->n; i++)
		nodes[i] = (struct sd_ring_node){.id = i, .name = sd_slice_of(m->list[i].name), .weight = 1};
	enum sd_err err = sd_ring_build(&conf, nodes, m->n, &m->ring);
	return err ? sd_fail(e, err, "peers: %s", sd_err_text(err)) : SD_OK;
}

static enum sd_err read_members(struct rl_members *m, const struct sd_conf *conf, struct sd_error *e)
{
	size_t n = sd_conf_count(conf, "peers");
	if (n > RL_MEMBERS)
		return sd_fail(e, SD_EUSAGE, "%s: expected at most %d", sd_conf_at(conf, "peers"), RL_MEMBERS);
	for (size_t i = 0; i < n; i++)
		if (add_member(m, sd_conf_list_item(conf, "peers", i), e))
			return sd_wrap(e, "%s", sd_conf_at(conf, "peers"));
	return find_self(m, sd_conf_string(conf, "self"), e);
}

enum sd_err rl_ring_check(const struct sd_conf *conf, struct sd_error *e)
{
	if (!sd_conf_count(conf, "peers"))
		return !sd_conf_has(conf, "self") ? SD_OK : sd_fail(e, SD_EUSAGE, "%s: expected peers as well", sd_conf_at(conf, "self"));
	if (sd_conf_has(conf, "store"))
		return sd_fail(e, SD_EUSAGE, "%s: expected a store or peers, not both", sd_conf_at(conf, "peers"));
	if (!sd_conf_has(conf, "resp-port"))
		return sd_fail(e, SD_EUSAGE, "%s: expected resp-port as well, where the others ask", sd_conf_at(conf, "peers"));
	struct rl_members *m = calloc(1, sizeof(*m));
	enum sd_err err = m ? read_members(m, conf, e) : sd_fail(e, SD_ENOMEM, "out of memory");
	free(m);
	return err ? SD_EUSAGE : SD_OK;
}

enum sd_err rl_ring_find(struct rl *rl, const struct sd_conf *conf, struct sd_error *e)
{
	if (!sd_conf_count(conf, "peers"))
		return SD_OK;
	rl->members = calloc(1, sizeof(*rl->members));
	if (!rl->members)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = read_members(rl->members, conf, e);
	rl->nmembers = rl->members->n;
	return err ? err : make_ring(rl->members, e);
}

void rl_ring_free(struct rl *rl)
{
	if (rl->members)
		sd_ring_release(rl->members->ring);
	free(rl->members);
	rl->members = NULL;
}

static unsigned owner_of(const struct rl_members *m, const struct sd_limit_item *item)
{
	char bytes[sizeof(item->scope) + SD_LIMIT_KEY];
	size_t n = item->key.n < SD_LIMIT_KEY ? item->key.n : SD_LIMIT_KEY;
	memcpy(bytes, &item->scope, sizeof(item->scope));
	if (n)
		memcpy(bytes + sizeof(item->scope), item->key.p, n);
	return (unsigned)sd_ring_lookup(m->ring, sd_ring_hash(m->ring, bytes, sizeof(item->scope) + n));
}

/* ---- asking ---- */

static void complain(struct peer *p, const struct sd_resp_value *reply)
{
	bool error = sd_resp_is_error(reply->kind);
	if (p->complained)
		return;
	p->complained = true;
	sd_event(p->w->rl->log, SD_WARN, "peer", NULL, "The peer %s does not decide: %.*s", p->member->name,
		 error ? (int)(reply->text.n < 160 ? reply->text.n : 160) : 26, error ? reply->text.p : "an answer of another form");
}

static void one_less(struct rl_asked *a)
{
	if (--a->left == 0)
		rl_asked_end(a);
}

static void on_answer(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	struct rl_group *g = arg;
	struct rl_asked *a = g->asked;
	bool good = !err && rl_ring_answers(reply, a->items, a->n, g->which, a->answers);
	if (!good)
		a->lost |= g->which;
	if (!good && !err)
		complain(&a->w->ring->peers[g->member], reply);
	one_less(a);
}

/* The items of each owner go to it in one question, which decides all of them or none. */
static void split(struct rl_asked *a)
{
	const struct rl_members *m = a->w->ring->members;
	size_t n = 0;
	for (size_t i = 0; i < a->n; i++) {
		unsigned owner = owner_of(m, &a->items[i]);
		size_t g = 0;
		while (g < n && a->groups[g].member != owner)
			g++;
		if (owner == m->self)
			a->own |= 1u << i;
		else if (g < n)
			a->groups[g].which |= 1u << i;
		else
			a->groups[n++] = (struct rl_group){a, 1u << i, owner};
	}
	a->ngroups = n;
}

static enum sd_err ask(struct rl_asked *a, const struct rl_group *g, enum sd_limit_op op, sd_resp_answered *fn, void *arg)
{
	struct rl_ring_words words;
	const struct peer *p = &a->w->ring->peers[g->member];
	rl_ring_write(&words, p->member->name, op, a->items, a->n, g->which);
	if (!p->link)
		return SD_EUNREACHABLE; /* all are being closed */
	return sd_resp_link_ask(p->link, words.n, words.argv, fn, arg);
}

void rl_ring_send(struct rl_asked *a)
{
	split(a);
	a->left = a->ngroups + 1; /* who is refused at once must not end it */
	for (size_t i = 0; i < a->ngroups; i++) {
		if (ask(a, &a->groups[i], a->op, on_answer, &a->groups[i]) == SD_OK)
			continue;
		a->lost |= a->groups[i].which;
		a->left--;
	}
	one_less(a);
}

static void nobody(void *arg, enum sd_err err, const struct sd_resp_value *reply)
{
	(void)arg;
	(void)err;
	(void)reply;
}

static bool took_all(const struct rl_asked *a, const struct rl_group *g)
{
	for (size_t i = 0; i < a->n; i++)
		if (g->which >> i & 1 && !a->answers[i].allowed)
			return false;
	return true;
}

/* An owner that refused took nothing. What is given back and does not get through was taken for nothing. */
void rl_ring_give_back(struct rl_asked *a)
{
	for (size_t k = 0; k < a->ngroups; k++) {
		struct rl_group *g = &a->groups[k];
		if (g->which & a->lost || !took_all(a, g))
			continue;
		for (size_t i = 0; i < a->n; i++) {
			struct sd_ratelimit_answer *one = &a->answers[i];
			uint32_t cost = a->items[i].cost;
			a->items[i].used = 0;
			if (g->which >> i & 1)
				one->remaining = cost < one->most - one->remaining ? one->remaining + cost : one->most;
		}
		ask(a, g, SD_LIMIT_SETTLE, nobody, NULL);
	}
}

/* ---- being asked ---- */

/* Somebody has another list of members than this one: each of them counts for itself. */
static void look_for_strays(struct rl_worker *w, const struct rl_question *q)
{
	struct rl_members *m = w->rl->members;
	for (size_t i = 0; i < q->n; i++) {
		if (owner_of(m, &q->items[i]) == m->self)
			continue;
		sd_count(&w->strays, 1);
		if (!__atomic_exchange_n(&m->differ, true, __ATOMIC_ACQ_REL))
			sd_event(w->rl->log, SD_WARN, "peers-differ", NULL,
				 "A peer asks for keys that are another's: its list of peers differs from this one");
	}
}

void rl_ring_asked(struct rl_worker *w, size_t argc, const struct sd_slice *argv, struct sd_resp_out *out)
{
	struct sd_ratelimit_answer answers[RL_RULES];
	struct rl_question q;
	const struct rl_members *m = w->rl->members;
	const char *fault = m ? rl_ring_read(argc, argv, &q) : NULL;
	if (!m) {
		sd_resp_error(out, "ERR this server has no peers");
	} else if (fault) {
		sd_resp_errorf(out, "ERR expected %s", fault);
	} else if (!sd_slice_eq(argv[1], m->list[m->self].name)) {
		sd_resp_errorf(out, "ERR this is %s", m->list[m->self].name);
	} else {
		sd_count(&w->asked_by_peers, 1);
		look_for_strays(w, &q);
		rl_ask_here(w, q.op, q.items, q.n, answers);
		rl_ring_reply(out, answers, q.n);
	}
}

/* ---- who is there ---- */

static void enter(struct peer *p, int state)
{
	if (p->state == FIRST)
		__atomic_sub_fetch(&p->w->rl->untried, 1, __ATOMIC_ACQ_REL);
	p->state = state;
	p->complained = false;
}

/* Each worker has a link of its own; the first that loses it tells, and the last that has it again. */
static void on_up(void *arg)
{
	struct peer *p = arg;
	bool was_down = p->state == DOWN;
	enter(p, UP);
	if (was_down && __atomic_sub_fetch(&p->member->down, 1, __ATOMIC_ACQ_REL) == 0)
		sd_event(p->w->rl->log, SD_INFO, "peer-back", NULL, "The peer %s is back", p->member->name);
}

static void on_down(void *arg, const char *why)
{
	static const char *const instead[] = {"all of its keys pass", "none of its keys pass", "each server lets its share pass"};
	struct peer *p = arg;
	bool was_down = p->state == DOWN;
	enter(p, DOWN);
	if (!was_down && __atomic_fetch_add(&p->member->down, 1, __ATOMIC_ACQ_REL) == 0)
		sd_event(p->w->rl->log, SD_WARN, "peer-gone", NULL, "The peer %s is gone, meanwhile %s: %s", p->member->name,
			 instead[p->w->rl->store_down], why);
}

static cJSON *tell_member(const struct rl_members *m, unsigned i)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "name", m->list[i].name);
	cJSON_AddBoolToObject(o, "self", i == m->self);
	cJSON_AddBoolToObject(o, "up", __atomic_load_n(&m->list[i].down, __ATOMIC_RELAXED) == 0);
	cJSON_AddNumberToObject(o, "keys", sd_ring_share(m->ring, i));
	return o;
}

void rl_ring_tell(struct sd_admin_call *call)
{
	const struct rl *rl = call->run->self;
	cJSON *list = cJSON_CreateArray();
	for (unsigned i = 0; i < rl->nmembers; i++)
		cJSON_AddItemToArray(list, tell_member(rl->members, i));
	rl_api_json(call->x, 200, list);
}

void rl_ring_metrics(const struct rl *rl, struct sd_metrics *m, const char *label)
{
	const struct rl_members *all = rl->members;
	sd_metrics_family(m, "sdlab_ratelimit_peer_up", "gauge", "1 while all threads reach this server that limits are shared with");
	for (unsigned i = 0; i < rl->nmembers; i++)
		if (i != all->self)
			sd_metrics_add(m, __atomic_load_n(&all->list[i].down, __ATOMIC_RELAXED) == 0, "%s,peer=\"%s\"", label,
				       all->list[i].name);
}

/* ---- life ---- */

static bool open_peer(struct peer *p, const struct sd_conf *conf)
{
	struct sd_resp_link_conf how = sd_resp_link_defaults;
	how.addr = p->member->addr;
	how.timeout_ns = sd_conf_int(conf, "store-timeout");
	how.most = MOST;
	how.most_bytes = MOST_BYTES;
	how.up = on_up;
	how.down = on_down;
	how.arg = p;
	__atomic_add_fetch(&p->w->rl->untried, 1, __ATOMIC_ACQ_REL);
	p->link = sd_resp_link_open(p->w->w->loop, &how);
	return p->link;
}

enum sd_err rl_ring_open(struct rl_worker *w, const struct sd_conf *conf, struct sd_error *e)
{
	struct rl_members *m = w->rl->members;
	struct rl_ring *r = m ? calloc(1, sizeof(*r)) : NULL;
	bool all = true;
	if (!m)
		return SD_OK;
	if (!r)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	r->members = m;
	w->ring = r;
	for (unsigned i = 0; i < m->n; i++) {
		r->peers[i] = (struct peer){.w = w, .member = &m->list[i]};
		if (i != m->self)
			all &= open_peer(&r->peers[i], conf);
	}
	return all ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
}

void rl_ring_close(struct rl_worker *w)
{
	struct rl_ring *r = w->ring;
	if (!r)
		return;
	for (unsigned i = 0; i < r->members->n; i++) {
		sd_resp_link_close(r->peers[i].link);
		r->peers[i].link = NULL;
	}
	w->ring = NULL;
	free(r);
}
