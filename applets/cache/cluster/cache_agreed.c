/* cache_agreed.c - what to propose, and views of what was decided. */
#include "cache_agreed.h"

#include <stdlib.h>
#include <string.h>

#include "cache_view_make.h"
#include "core/mix.h"

struct cache_agreed {
	struct cache_agreed_conf conf;
	struct cache_agreed_host host;
	struct cache_view_member self;
	struct sd_agree *agree;
	struct cache_agreed_node *nodes; /* that are there */
	size_t nnodes;
	struct cache_view_member *known; /* ends of all that were seen */
	size_t nknown;
	struct sd_swim_id *forgotten;
	size_t nforgotten;
	uint64_t number, resets;
};

/* ---- who is there ---- */

static const struct cache_agreed_node *node_of(const struct cache_agreed *ag, const struct sd_swim_id *id)
{
	for (size_t i = 0; i < ag->nnodes; i++)
		if (sd_swim_id_compare(&ag->nodes[i].m.id, id) == 0)
			return &ag->nodes[i];
	return NULL;
}

static void note_ends(struct cache_agreed *ag, const struct cache_view_member *m)
{
	size_t i = 0;
	while (i < ag->nknown && sd_swim_id_compare(&ag->known[i].id, &m->id))
		i++;
	if (i == ag->nknown) {
		struct cache_view_member *more = realloc(ag->known, (i + 1) * sizeof(*more));
		if (!more)
			return;
		ag->known = more;
		ag->nknown++;
	}
	ag->known[i] = *m;
}

/* Those that are no members and not there are forgotten. */
static void drop_ends(struct cache_agreed *ag)
{
	const struct sd_agree_config *c = sd_agree_last(ag->agree);
	for (size_t i = 0; i < ag->nknown;) {
		const struct sd_swim_id *id = &ag->known[i].id;
		if (sd_agree_find(c, id) < 0 && !node_of(ag, id) && sd_swim_id_compare(id, &ag->self.id))
			ag->known[i] = ag->known[--ag->nknown];
		else
			i++;
	}
}

static struct cache_view_member member_of(const struct cache_agreed *ag, const struct sd_swim_id *id)
{
	for (size_t i = 0; i < ag->nknown; i++)
		if (sd_swim_id_compare(&ag->known[i].id, id) == 0)
			return ag->known[i];
	return (struct cache_view_member){.id = *id, .weight = 1};
}

/* ---- views ---- */

struct map {
	struct sd_slots slots;
	uint16_t *of; /* index in the view, by index in the map */
};

/* Members with one of two roles. */
static enum sd_err make_map(const struct cache_agreed *ag, const struct cache_view *v, const struct sd_agree_config *c, enum cache_role a,
			    enum cache_role b, struct map *out)
{
	struct sd_slots_conf conf = ag->conf.map;
	struct sd_slots_node *nodes = calloc(v->n + 1, sizeof(*nodes));
	char(*names)[2 * SD_SWIM_ID + 1] = calloc(v->n + 1, sizeof(*names));
	size_t n = 0;
	enum sd_err err = SD_ENOMEM;
	out->of = calloc(v->n + 1, sizeof(*out->of));
	conf.copies = ag->conf.copies;
	for (size_t i = 0; nodes && names && out->of && i < v->n; i++) {
		if (c && c->members[i].role != a && c->members[i].role != b)
			continue;
		sd_swim_id_text(&v->members[i].id, names[n]);
		nodes[n] = (struct sd_slots_node){{names[n], 2 * SD_SWIM_ID}, 1};
		out->of[n++] = (uint16_t)i;
	}
	if (nodes && names && out->of)
		err = sd_slots_make(&conf, nodes, n, &out->slots);
	free(nodes);
	free(names);
	return err;
}

static bool has_role(const struct sd_agree_config *c, enum cache_role role)
{
	for (size_t i = 0; c && i < c->n; i++)
		if (c->members[i].role == role)
			return true;
	return false;
}

/* Who answers, by one map, then the owners by the other. */
static void join_maps(struct cache_view *v, const struct map *answers, const struct map *owns)
{
	for (unsigned s = 0; s < SD_SLOTS; s++) {
		uint16_t *row = v->slots.owners + s * v->slots.copies, first = sd_slots_owner(&answers->slots, s);
		unsigned n = 0;
		for (unsigned k = 0; k < v->slots.copies; k++)
			row[k] = SD_SLOTS_NONE;
		if (first != SD_SLOTS_NONE)
			row[n++] = answers->of[first];
		for (unsigned k = 0; k < owns->slots.copies && n < v->slots.copies; k++) {
			uint16_t m = sd_slots_owners(&owns->slots, s)[k];
			if (m != SD_SLOTS_NONE && owns->of[m] != row[0])
				row[n++] = owns->of[m];
		}
	}
}

static bool make_slots(const struct cache_agreed *ag, struct cache_view *v, const struct sd_agree_config *c)
{
	struct map answers = {0}, owns = {0};
	bool joint = has_role(c, CACHE_JOINING) || (has_role(c, CACHE_LEAVING) && has_role(c, CACHE_FULL));
	bool ok = !make_map(ag, v, c, CACHE_FULL, CACHE_LEAVING, &answers);
	if (ok && joint && make_map(ag, v, c, CACHE_FULL, CACHE_JOINING, &owns))
		ok = false;
	unsigned copies = ag->conf.copies + joint;
	v->slots.copies = copies < SD_SLOTS_COPIES ? copies : SD_SLOTS_COPIES;
	v->slots.owners = ok ? malloc(SD_SLOTS * v->slots.copies * sizeof(uint16_t)) : NULL;
	if (v->slots.owners)
		join_maps(v, &answers, joint ? &owns : &answers);
	sd_slots_free(&answers.slots);
	sd_slots_free(&owns.slots);
	free(answers.of);
	free(owns.of);
	return v->slots.owners;
}

static void give_view(struct cache_agreed *ag, struct cache_view *v, const struct sd_agree_config *c)
{
	v->number = ++ag->number;
	v->digest = sd_mix_in(sd_mix_in(sd_agree_lineage(ag->agree) + 1, v->epoch), v->epoch ? 0 : ag->resets);
	int self = cache_view_find(v, &ag->self.id);
	v->self = self < 0 ? v->n : (size_t)self;
	if (make_slots(ag, v, c))
		ag->host.view(ag->host.arg, v);
	else
		cache_view_free(v); /* out of memory: it stands still in the one it has, and acknowledges nothing in the new one */
}

static void show(struct cache_agreed *ag, const struct sd_agree_config *c)
{
	struct cache_view *v = calloc(1, sizeof(*v));
	if (v)
		v->members = calloc(c ? c->n : 1, sizeof(*v->members));
	if (!v || !v->members) {
		free(v);
		return;
	}
	v->n = c ? c->n : 1;
	v->epoch = c ? c->epoch : 0;
	for (size_t i = 0; c && i < c->n; i++)
		v->members[i] = member_of(ag, &c->members[i].id);
	for (size_t i = 0; c && i < c->n; i++)
		v->members[i].retired = c->members[i].role == CACHE_RETIRED;
	if (!c)
		v->members[0] = ag->self;
	give_view(ag, v, c);
}

static void on_decided(void *arg, const struct sd_agree_config *c)
{
	struct cache_agreed *ag = arg;
	show(ag, c);
}

static void on_gave_up(void *arg)
{
	struct cache_agreed *ag = arg;
	ag->resets++;
	show(ag, NULL);
}

static void on_send(void *arg, const struct sd_swim_id *to, const void *p, size_t n)
{
	struct cache_agreed *ag = arg;
	ag->host.send(ag->host.arg, to, p, n);
}

/* ---- what to propose ---- */

static bool is_forgotten(const struct cache_agreed *ag, const struct sd_swim_id *id)
{
	for (size_t i = 0; i < ag->nforgotten; i++)
		if (sd_swim_id_compare(&ag->forgotten[i], id) == 0)
			return true;
	return false;
}

/* What becomes of a member; false: it goes. */
static bool next_role(const struct cache_agreed *ag, const struct sd_agree_member *m, enum cache_readiness ready, bool others_stay, uint8_t *role)
{
	const struct cache_agreed_node *n = node_of(ag, &m->id);
	*role = m->role;
	if (!n || is_forgotten(ag, &m->id))
		return false;
	bool leaves = n->leaving && others_stay, whole = ready == CACHE_WHOLE;
	if (m->role == CACHE_RETIRED)
		return !(leaves && whole);
	if (leaves && m->role == CACHE_FULL)
		*role = CACHE_LEAVING;
	else if (leaves && (m->role == CACHE_JOINING || whole))
		*role = CACHE_RETIRED;
	else if (m->role == CACHE_JOINING && ready)
		*role = CACHE_FULL;
	return true;
}

static size_t next_members(const struct cache_agreed *ag, const struct sd_agree_config *c, enum cache_readiness ready, struct sd_agree_member *out)
{
	size_t n = 0, answering = 0, staying = 0;
	for (size_t i = 0; i < ag->nnodes; i++)
		staying += !ag->nodes[i].leaving && sd_agree_find(c, &ag->nodes[i].m.id) >= 0;
	for (size_t i = 0; i < c->n; i++) {
		uint8_t role;
		if (!next_role(ag, &c->members[i], ready, staying, &role))
			continue;
		out[n++] = (struct sd_agree_member){c->members[i].id, role};
		answering += role == CACHE_FULL || role == CACHE_LEAVING;
	}
	for (size_t i = 0; !answering && i < n; i++)
		out[i].role = out[i].role == CACHE_JOINING ? CACHE_FULL : out[i].role;
	for (size_t i = 0; i < ag->nnodes && n < SD_AGREE_MEMBERS; i++) {
		const struct sd_swim_id *id = &ag->nodes[i].m.id;
		bool leaving = ag->nodes[i].leaving; /* it may still have what somebody waits for */
		if (sd_agree_find(c, id) < 0 && !(leaving && ready) && sd_agree_is_with(ag->agree, id) && !is_forgotten(ag, id))
			out[n++] = (struct sd_agree_member){*id, leaving ? CACHE_RETIRED : CACHE_JOINING};
	}
	return n;
}

static void propose(struct cache_agreed *ag, enum cache_readiness ready, int64_t now_ns)
{
	const struct sd_agree_config *c = sd_agree_last(ag->agree);
	struct sd_agree_member *out = c ? malloc((c->n + ag->nnodes) * sizeof(*out)) : NULL;
	if (out)
		sd_agree_propose(ag->agree, out, next_members(ag, c, ready, out), now_ns);
	free(out);
}

/* ---- life ---- */

void cache_agreed_see(struct cache_agreed *ag, const struct cache_agreed_node *nodes, size_t n)
{
	struct cache_agreed_node *copy = malloc((n + 1) * sizeof(*copy));
	struct sd_swim_id *ids = malloc((n + 1) * sizeof(*ids));
	if (copy && ids) {
		memcpy(copy, nodes, n * sizeof(*copy));
		for (size_t i = 0; i < n; i++) {
			ids[i] = nodes[i].m.id;
			note_ends(ag, &nodes[i].m);
		}
		free(ag->nodes);
		ag->nodes = copy;
		ag->nnodes = n;
		copy = NULL;
		sd_agree_peers(ag->agree, ids, n);
		drop_ends(ag);
	}
	free(copy);
	free(ids);
}

void cache_agreed_receive(struct cache_agreed *ag, const struct sd_swim_id *from, const void *p, size_t n, int64_t now_ns)
{
	sd_agree_receive(ag->agree, from, p, n, now_ns);
}

int64_t cache_agreed_tick(struct cache_agreed *ag, enum cache_readiness ready, int64_t now_ns)
{
	propose(ag, ready, now_ns);
	return sd_agree_tick(ag->agree, now_ns);
}

void cache_agreed_forget(struct cache_agreed *ag, const struct sd_swim_id *id)
{
	struct sd_swim_id *more = is_forgotten(ag, id) ? NULL : realloc(ag->forgotten, (ag->nforgotten + 1) * sizeof(*more));
	if (!more)
		return;
	ag->forgotten = more;
	ag->forgotten[ag->nforgotten++] = *id;
	sd_agree_forget(ag->agree, id);
}

bool cache_agreed_found(struct cache_agreed *ag, uint64_t lineage)
{
	return sd_agree_found(ag->agree, lineage, CACHE_FULL);
}

uint64_t cache_agreed_lineage(const struct cache_agreed *ag)
{
	return sd_agree_lineage(ag->agree);
}

struct cache_agreed *cache_agreed_new(const struct cache_agreed_conf *conf, const struct cache_view_member *self,
				      const struct cache_agreed_host *host, uint64_t seed)
{
	struct sd_agree_conf ac = sd_agree_conf_default();
	struct cache_agreed *ag = calloc(1, sizeof(*ag));
	if (!ag)
		return NULL;
	struct sd_agree_host ah = {ag, on_send, on_decided, on_gave_up};
	ac.strong = conf->quorum;
	ac.enough = conf->unagreed;
	ag->conf = *conf;
	ag->host = *host;
	ag->self = *self;
	ag->agree = sd_agree_new(&ac, &self->id, &ah, seed);
	if (!ag->agree) {
		free(ag);
		return NULL;
	}
	note_ends(ag, self);
	show(ag, NULL);
	return ag;
}

void cache_agreed_free(struct cache_agreed *ag)
{
	if (!ag)
		return;
	sd_agree_free(ag->agree);
	free(ag->nodes);
	free(ag->known);
	free(ag->forgotten);
	free(ag);
}
