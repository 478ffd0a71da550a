/* cache_cluster_cmd.c - CLUSTER, in the words its clients read, and what a connection says of itself. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cache_cluster.h"
#include "core/hlc.h"
#include "core/text.h"

static const char disabled[] = "ERR This instance has cluster support disabled";

static struct cache_cluster *cluster_of(struct cache_call *c)
{
	if (!c->cache->cluster)
		sd_resp_error(c->out, disabled);
	return c->cache->cluster;
}

static void reply_text(struct cache_call *c, struct sd_text *t)
{
	char *text = sd_text_take(t, NULL);
	if (text)
		sd_resp_verbatim(c->out, "txt", text);
	else
		sd_resp_error(c->out, cache_no_memory);
	free(text);
}

static void put_id(struct cache_call *c, const struct sd_swim_id *id)
{
	char text[2 * SD_SWIM_ID + 1];
	sd_swim_id_text(id, text);
	sd_resp_text(c->out, text);
}

static bool arg_slot(struct cache_call *c, size_t i, unsigned *slot)
{
	int64_t n;
	if (!sd_resp_parse_int(c->argv[i], &n) || n < 0 || n >= SD_SLOTS) {
		sd_resp_error(c->out, "ERR Invalid or out of range slot");
		return false;
	}
	*slot = (unsigned)n;
	return true;
}

/* ---- what is there ---- */

static unsigned count_state(const struct sd_swim *s, enum sd_swim_state state)
{
	unsigned n = 0;
	for (size_t i = 0; i < sd_swim_count(s); i++)
		n += sd_swim_at(s, i)->state == state;
	return n;
}

static void cmd_info(struct cache_call *c)
{
	const struct cache_cluster *cl = cluster_of(c);
	struct sd_text t = {0};
	if (!cl)
		return;
	const struct sd_swim_stats *st = sd_swim_stats(cl->swim);
	bool ok = cache_cluster_ready(cl) && cl->view->n;
	sd_text_format(&t, "cluster_state:%s\r\ncluster_slots_assigned:%d\r\ncluster_slots_ok:%d\r\ncluster_slots_pfail:0\r\n"
			   "cluster_slots_fail:0\r\ncluster_known_nodes:%zu\r\ncluster_size:%zu\r\ncluster_current_epoch:%llu\r\n"
			   "cluster_my_epoch:%llu\r\n",
		       ok ? "ok" : "fail", ok ? SD_SLOTS : 0, ok ? SD_SLOTS : 0, sd_swim_count(cl->swim), cl->view->n,
		       (unsigned long long)cl->view->epoch, (unsigned long long)sd_swim_self(cl->swim)->facts.epoch);
	sd_text_format(&t, "cluster_stats_messages_ping_sent:%llu\r\ncluster_stats_messages_pong_sent:%llu\r\n"
			   "cluster_stats_messages_sent:%llu\r\ncluster_stats_messages_received:%llu\r\n"
			   "total_cluster_links_buffer_limit_exceeded:0\r\n",
		       (unsigned long long)st->pings, (unsigned long long)st->acks, (unsigned long long)st->sent,
		       (unsigned long long)st->received);
	sd_text_format(&t, "sdlab_members_suspected:%u\r\nsdlab_members_dead:%u\r\nsdlab_datagrams_bad:%llu\r\n"
			   "sdlab_datagrams_foreign:%llu\r\nsdlab_datagrams_forged:%llu\r\nsdlab_view:%016llx\r\n"
			   "sdlab_slots_moving:%u\r\nsdlab_commands_sent_on:%llu\r\nsdlab_commands_retried:%llu\r\n",
		       count_state(cl->swim, SD_SWIM_SUSPECT), count_state(cl->swim, SD_SWIM_DEAD), (unsigned long long)st->bad,
		       (unsigned long long)st->foreign, (unsigned long long)st->forged, (unsigned long long)cl->view->digest,
		       cl->data.moving ? cl->data.moving(cl->data.arg) : 0, (unsigned long long)cl->sent_on, (unsigned long long)cl->retried);
	if (cl->agreed)
		sd_text_format(&t, "sdlab_lineage:%016llx\r\nsdlab_slots_waiting:%u\r\n",
			       (unsigned long long)cache_agreed_lineage(cl->agreed),
			       cl->data.waiting ? cl->data.waiting(cl->data.arg) : 0);
	reply_text(c, &t);
}

static const char *const flags_of[] = {"master", "master,fail?", "master,fail", "master,noaddr"};

static void put_ranges(const struct cache_view *v, size_t member, struct sd_text *t)
{
	uint16_t owner;
	for (unsigned s = 0, to; s < SD_SLOTS; s = to) {
		to = sd_slots_range_of_owner(&v->slots, s, &owner);
		if (owner != member)
			continue;
		if (to - s == 1)
			sd_text_format(t, " %u", s);
		else
			sd_text_format(t, " %u-%u", s, to - 1);
	}
}

static void put_node(struct cache_cluster *cl, const struct sd_swim_member *m, struct sd_text *t)
{
	char id[2 * SD_SWIM_ID + 1], host[46];
	bool myself = m == sd_swim_self(cl->swim), up = m->state <= SD_SWIM_SUSPECT;
	int64_t heard = m->heard_ns == INT64_MIN ? 0 : (cl->peers.now_ns(cl) - m->heard_ns) / 1000000;
	int member = cache_view_find(cl->view, &m->facts.id);
	sd_swim_id_text(&m->facts.id, id);
	cache_end_host(&m->facts.client, host);
	sd_text_format(t, "%s %s:%u@%u %s%s - 0 %lld %llu %s", id, host, m->facts.client.port, m->facts.bus.port,
		       myself ? "myself," : "", flags_of[m->state],
		       myself ? 0ll : (long long)(cl->peers.wall_ms(cl) - heard), (unsigned long long)m->facts.epoch,
		       up ? "connected" : "disconnected");
	if (member >= 0)
		put_ranges(cl->view, (size_t)member, t);
	sd_text_format(t, "\n");
}

static void cmd_nodes(struct cache_call *c)
{
	struct cache_cluster *cl = cluster_of(c);
	struct sd_text t = {0};
	if (!cl)
		return;
	c->session->flags |= CACHE_AWARE;
	for (size_t i = 0; i < sd_swim_count(cl->swim); i++)
		put_node(cl, sd_swim_at(cl->swim, i), &t);
	reply_text(c, &t);
}

static void put_place(struct cache_call *c, const struct cache_view_member *m)
{
	char host[46];
	cache_end_host(&m->client, host);
	sd_resp_array(c->out, 4);
	sd_resp_text(c->out, host);
	sd_resp_int(c->out, m->client.port);
	put_id(c, &m->id);
	sd_resp_array(c->out, 0);
}

static size_t owners_of(const struct cache_view *v, const uint16_t *owners)
{
	size_t n = 0;
	while (n < v->slots.copies && owners[n] != SD_SLOTS_NONE)
		n++;
	return n;
}

static void put_range(struct cache_call *c, const struct cache_view *v, unsigned from, unsigned to, const uint16_t *owners, size_t n)
{
	sd_resp_array(c->out, 2 + n);
	sd_resp_int(c->out, from);
	sd_resp_int(c->out, to - 1);
	for (size_t i = 0; i < n; i++)
		put_place(c, &v->members[owners[i]]);
}

/* The first slot of each node, in front of all and without copies: python3-redis takes a node for what it is called first, and
 * here each is called a copy as well. Those that were told so are marked. */
static size_t put_firsts(struct cache_call *c, const struct cache_view *v, bool *told)
{
	uint16_t owner;
	size_t n = 0;
	for (unsigned s = 0; n < v->n && s < SD_SLOTS; s = sd_slots_range_of_owner(&v->slots, s, &owner)) {
		const uint16_t *owners = sd_slots_owners(&v->slots, s);
		if (owners[0] == SD_SLOTS_NONE || told[owners[0]])
			continue;
		told[owners[0]] = true;
		put_range(c, v, s, s + 1, owners, 1);
		n++;
	}
	return n;
}

static void cmd_slots(struct cache_call *c)
{
	const struct cache_cluster *cl = cluster_of(c);
	const uint16_t *owners;
	if (!cl)
		return;
	c->session->flags |= CACHE_AWARE;
	const struct cache_view *v = cl->view;
	bool *told = calloc(v->n + 1, sizeof(*told));
	if (!told) {
		sd_resp_error(c->out, cache_no_memory);
		return;
	}
	size_t place = sd_resp_later(c->out), n = put_firsts(c, v, told);
	for (unsigned s = 0, to; s < SD_SLOTS; s = to) {
		to = sd_slots_range(&v->slots, s, &owners);
		size_t count = owners_of(v, owners);
		if (!count)
			continue;
		unsigned from = s + told[owners[0]];
		told[owners[0]] = false;
		if (from == to)
			continue;
		put_range(c, v, from, to, owners, count);
		n++;
	}
	free(told);
	sd_resp_now(c->out, place, '*', n);
}

static void put_shard_slots(struct cache_call *c, const struct cache_view *v, size_t member)
{
	uint16_t owner;
	size_t n = 0, place = sd_resp_later(c->out);
	for (unsigned s = 0, to; s < SD_SLOTS; s = to) {
		to = sd_slots_range_of_owner(&v->slots, s, &owner);
		if (owner != member)
			continue;
		sd_resp_int(c->out, s);
		sd_resp_int(c->out, to - 1);
		n += 2;
	}
	sd_resp_now(c->out, place, '*', n);
}

static void put_shard_node(struct cache_call *c, const struct cache_view_member *m)
{
	char host[46];
	cache_end_host(&m->client, host);
	sd_resp_map(c->out, 7);
	sd_resp_text(c->out, "id");
	put_id(c, &m->id);
	sd_resp_text(c->out, "port");
	sd_resp_int(c->out, m->client.port);
	sd_resp_text(c->out, "ip");
	sd_resp_text(c->out, host);
	sd_resp_text(c->out, "endpoint");
	sd_resp_text(c->out, host);
	sd_resp_text(c->out, "role");
	sd_resp_text(c->out, "master");
	sd_resp_text(c->out, "replication-offset");
	sd_resp_int(c->out, 0);
	sd_resp_text(c->out, "health");
	sd_resp_text(c->out, "online");
}

static void cmd_shards(struct cache_call *c)
{
	const struct cache_cluster *cl = cluster_of(c);
	if (!cl)
		return;
	c->session->flags |= CACHE_AWARE;
	sd_resp_array(c->out, cl->view->n);
	for (size_t i = 0; i < cl->view->n; i++) {
		sd_resp_map(c->out, 2);
		sd_resp_text(c->out, "slots");
		put_shard_slots(c, cl->view, i);
		sd_resp_text(c->out, "nodes");
		sd_resp_array(c->out, 1);
		put_shard_node(c, &cl->view->members[i]);
	}
}

static void cmd_myid(struct cache_call *c)
{
	const struct cache_cluster *cl = cluster_of(c);
	if (cl)
		put_id(c, &cl->conf.id);
}

static void cmd_links(struct cache_call *c)
{
	if (cluster_of(c))
		sd_resp_array(c->out, 0);
}

static const struct sd_swim_member *arg_node(struct cache_call *c, const struct cache_cluster *cl, size_t i)
{
	struct sd_swim_id id;
	const struct sd_swim_member *m = sd_swim_id_parse(c->argv[i].p, c->argv[i].n, &id) ? sd_swim_find(cl->swim, &id) : NULL;
	if (!m)
		sd_resp_errorf(c->out, "ERR Unknown node %.*s", (int)(c->argv[i].n < 128 ? c->argv[i].n : 128), c->argv[i].p);
	return m;
}

/* No node is the replica of another: each has copies of some slots of many. */
static void cmd_replicas(struct cache_call *c)
{
	const struct cache_cluster *cl = cluster_of(c);
	if (cl && arg_node(c, cl, 2))
		sd_resp_array(c->out, 0);
}

static void cmd_failure_reports(struct cache_call *c)
{
	const struct cache_cluster *cl = cluster_of(c);
	const struct sd_swim_member *m = cl ? arg_node(c, cl, 2) : NULL;
	if (m)
		sd_resp_int(c->out, m->state == SD_SWIM_SUSPECT ? m->naccusers : 0);
}

/* ---- keys ---- */

static void cmd_keyslot(struct cache_call *c)
{
	if (cluster_of(c))
		sd_resp_int(c->out, sd_slot_of(c->argv[2]));
}

struct in_slot {
	struct cache_call *c;
	unsigned slot;
	int64_t n, most; /* most: how many are told; -1: they are only counted */
};

static void take_key(void *arg, struct sd_dict_entry *e)
{
	struct in_slot *s = arg;
	struct sd_slice key = cache_key((struct cache_item *)e);
	if (sd_slot_of(key) != s->slot || cache_is_over((struct cache_item *)e, s->c->cache->now_ms) || s->n == s->most)
		return;
	s->n++;
	if (s->most >= 0)
		sd_resp_bulk(s->c->out, key.p, key.n);
}

static void cmd_count_keys(struct cache_call *c)
{
	struct in_slot s = {.c = c, .most = -1};
	if (!cluster_of(c) || !arg_slot(c, 2, &s.slot))
		return;
	sd_dict_each(&c->cache->dbs[0].keys, take_key, &s);
	sd_resp_int(c->out, s.n);
}

static void cmd_get_keys(struct cache_call *c)
{
	struct in_slot s = {.c = c};
	if (!cluster_of(c) || !arg_slot(c, 2, &s.slot))
		return;
	if (!sd_resp_parse_int(c->argv[3], &s.most) || s.most < 0) {
		sd_resp_error(c->out, "ERR Invalid number of keys");
		return;
	}
	size_t place = sd_resp_later(c->out);
	sd_dict_each(&c->cache->dbs[0].keys, take_key, &s);
	sd_resp_now(c->out, place, '*', (size_t)s.n);
}

/* Our own: where a key is, for whoever wants to say so. */
static void cmd_locate(struct cache_call *c)
{
	const struct cache_cluster *cl = cluster_of(c);
	char host[46];
	if (!cl)
		return;
	const struct cache_view *v = cl->view;
	unsigned slot = sd_slot_of(c->argv[2]);
	const uint16_t *owners = sd_slots_owners(&v->slots, slot);
	size_t n = owners_of(v, owners);
	sd_resp_array(c->out, 1 + n);
	sd_resp_int(c->out, slot);
	for (size_t i = 0; i < n; i++) {
		const struct cache_view_member *m = &v->members[owners[i]];
		cache_end_host(&m->client, host);
		sd_resp_array(c->out, 3);
		sd_resp_text(c->out, host);
		sd_resp_int(c->out, m->client.port);
		put_id(c, &m->id);
	}
}

/* The port of the member whose stamps have these bits; 0: it is not there any more. */
static uint16_t writer_of(const struct cache_view *v, uint64_t stamp)
{
	for (size_t i = 0; i < v->n; i++) {
		struct sd_hlc clock;
		sd_hlc_init(&clock, v->members[i].id.b, SD_SWIM_ID);
		if (clock.node == (stamp & ((1u << SD_HLC_NODE_BITS) - 1)))
			return v->members[i].client.port;
	}
	return 0;
}

/* Our own: who answers for a key, and who wrote what is there; it goes where a read of the key would. */
static void cmd_origin(struct cache_call *c)
{
	const struct cache_cluster *cl = c->cache->cluster;
	const struct cache_item *it = cl ? cache_find(c->db, c->argv[2]) : NULL; /* of one alone there is nothing to tell */
	bool known = it && cache_stamp(it) && !cl->agreed; /* stamps of agreed views do not say it */
	uint16_t writer = known ? writer_of(cl->view, cache_stamp(it)) : it && cl->agreed ? 0 : c->cache->port;
	if (!it) {
		sd_resp_null_array(c->out);
		return;
	}
	sd_resp_array(c->out, 2);
	sd_resp_int(c->out, c->cache->port);
	if (writer)
		sd_resp_int(c->out, writer);
	else
		sd_resp_null(c->out);
}

/* ---- what changes it ---- */

static bool arg_port(struct cache_call *c, size_t i, int64_t *out)
{
	return sd_resp_parse_int(c->argv[i], out) && *out > 0 && *out <= 65535;
}

static void cmd_meet(struct cache_call *c)
{
	struct cache_cluster *cl = cluster_of(c);
	struct sd_addr a = {.kind = SD_ADDR_INET};
	int64_t port, bus;
	if (!cl)
		return;
	if (c->argc > 5) {
		sd_resp_error(c->out, "ERR wrong number of arguments for 'cluster|meet' command");
		return;
	}
	bool good = arg_port(c, 3, &port) && sd_ip_parse(c->argv[2], a.ip, &a.v6);
	if (good && c->argc == 5)
		good = arg_port(c, 4, &bus);
	else if (good)
		bus = port + 10000;
	if (!good || bus > 65535) {
		sd_resp_errorf(c->out, "ERR Invalid node address specified: %.*s:%.*s", (int)(c->argv[2].n < 64 ? c->argv[2].n : 64),
			       c->argv[2].p, (int)(c->argv[3].n < 8 ? c->argv[3].n : 8), c->argv[3].p);
		return;
	}
	a.port = (uint16_t)bus;
	if (cache_cluster_meet(cl, &a))
		sd_resp_simple(c->out, "OK");
	else
		sd_resp_errorf(c->out, "ERR %d nodes were met already", SD_SWIM_SEEDS);
}

static void cmd_forget(struct cache_call *c)
{
	struct cache_cluster *cl = cluster_of(c);
	struct sd_swim_id id;
	bool is_id = cl && sd_swim_id_parse(c->argv[2].p, c->argv[2].n, &id);
	bool member = is_id && cl->agreed && cache_view_find(cl->view, &id) >= 0;
	if (!cl || (!member && !arg_node(c, cl, 2)))
		return;
	if (sd_swim_id_compare(&id, &cl->conf.id) == 0)
		sd_resp_error(c->out, "ERR I tried hard but I can't forget myself...");
	else if (cache_cluster_forget(cl, &id))
		sd_resp_simple(c->out, "OK");
	else
		sd_resp_error(c->out, "ERR the node is alive: stop it first, and it leaves by itself");
}

/* The map follows from who is there, and nobody sets it. */
static void cmd_not_by_hand(struct cache_call *c)
{
	if (cluster_of(c))
		sd_resp_errorf(c->out, "ERR %s is not possible here: which node has a slot follows from which nodes there are",
			       c->command->is->name);
}

static void cmd_reset(struct cache_call *c)
{
	if (cluster_of(c))
		sd_resp_error(c->out, "ERR cluster|reset is not possible here: start the node with another --node-id-file or --cluster-name");
}

static void cmd_ok(struct cache_call *c)
{
	if (cluster_of(c))
		sd_resp_simple(c->out, "OK");
}

static void cmd_help(struct cache_call *c)
{
	if (cluster_of(c))
		cache_help(c);
}

/* ---- what a connection says of itself ---- */

static void cmd_asking(struct cache_call *c)
{
	if (!cluster_of(c))
		return;
	c->session->flags |= CACHE_AWARE;
	sd_resp_simple(c->out, "OK");
}

static void cmd_readonly(struct cache_call *c)
{
	if (!cluster_of(c))
		return;
	c->session->flags |= CACHE_AWARE | CACHE_ANY_COPY;
	sd_resp_simple(c->out, "OK");
}

static void cmd_readwrite(struct cache_call *c)
{
	if (!cluster_of(c))
		return;
	c->session->flags &= ~(uint32_t)CACHE_ANY_COPY;
	sd_resp_simple(c->out, "OK");
}

const struct cache_command cache_cluster_commands[] = {
    {SD_REDIS(ASKING), cmd_asking},
    {SD_REDIS(CLUSTER), NULL},
    {SD_REDIS(CLUSTER_ADDSLOTS), cmd_not_by_hand},
    {SD_REDIS(CLUSTER_ADDSLOTSRANGE), cmd_not_by_hand},
    {SD_REDIS(CLUSTER_BUMPEPOCH), cmd_not_by_hand},
    {SD_REDIS(CLUSTER_COUNT_FAILURE_REPORTS), cmd_failure_reports},
    {SD_REDIS(CLUSTER_COUNTKEYSINSLOT), cmd_count_keys},
    {SD_REDIS(CLUSTER_DELSLOTS), cmd_not_by_hand},
    {SD_REDIS(CLUSTER_DELSLOTSRANGE), cmd_not_by_hand},
    {SD_REDIS(CLUSTER_FAILOVER), cmd_not_by_hand},
    {SD_REDIS(CLUSTER_FLUSHSLOTS), cmd_not_by_hand},
    {SD_REDIS(CLUSTER_FORGET), cmd_forget},
    {SD_REDIS(CLUSTER_GETKEYSINSLOT), cmd_get_keys},
    {SD_REDIS(CLUSTER_HELP), cmd_help},
    {SD_REDIS(CLUSTER_INFO), cmd_info},
    {SD_REDIS(CLUSTER_KEYSLOT), cmd_keyslot},
    {SD_REDIS(CLUSTER_LINKS), cmd_links},
    {SD_REDIS(CLUSTER_ORIGIN), cmd_origin},
    {SD_REDIS(CLUSTER_LOCATE), cmd_locate},
    {SD_REDIS(CLUSTER_MEET), cmd_meet},
    {SD_REDIS(CLUSTER_MYID), cmd_myid},
    {SD_REDIS(CLUSTER_NODES), cmd_nodes},
    {SD_REDIS(CLUSTER_REPLICAS), cmd_replicas},
    {SD_REDIS(CLUSTER_REPLICATE), cmd_not_by_hand},
    {SD_REDIS(CLUSTER_RESET), cmd_reset},
    {SD_REDIS(CLUSTER_SAVECONFIG), cmd_ok},
    {SD_REDIS(CLUSTER_SET_CONFIG_EPOCH), cmd_not_by_hand},
    {SD_REDIS(CLUSTER_SETSLOT), cmd_not_by_hand},
    {SD_REDIS(CLUSTER_SHARDS), cmd_shards},
    {SD_REDIS(CLUSTER_SLAVES), cmd_replicas},
    {SD_REDIS(CLUSTER_SLOTS), cmd_slots},
    {SD_REDIS(READONLY), cmd_readonly},
    {SD_REDIS(READWRITE), cmd_readwrite},
    {0},
};
