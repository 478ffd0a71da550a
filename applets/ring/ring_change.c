/* ring_change.c - init, add, remove, weigh: load, change a copy, compare, write, tell. */
#include <stdlib.h>
#include <string.h>

#include "ring.h"
#include "world/file.h"

#define PATH 4096
#define ROWS 20 /* shares that are printed */

struct change {
	struct sd_verb_call *call;
	const char *verb, *file;
	struct sd_file *lock;
	struct ring_state before, after;
	struct sd_ring *rb, *ra;
	struct ring_moves moves;
};

typedef enum sd_err change_fn(struct change *c, struct sd_error *e);

/* Two that change it at once would lose what one of them did. */
static enum sd_err lock_state(struct change *c, struct sd_error *e)
{
	char name[PATH];
	if (snprintf(name, sizeof(name), "%s.lock", c->file) >= (int)sizeof(name))
		return sd_fail(e, SD_EUSAGE, "--state: the name is too long");
	enum sd_err err = sd_file_open(c->call->world, name, SD_FILE_WRITE | SD_FILE_CREATE, &c->lock, e);
	return err ? err : sd_file_lock(c->lock, e);
}

static enum sd_err compare(struct change *c, struct sd_error *e)
{
	enum sd_err err = ring_make(&c->after, &c->ra, e);
	return err ? err : ring_compare(&c->before, c->rb, &c->after, c->ra, NULL, &c->moves, e);
}

static enum sd_err run(struct change *c, change_fn *fn, struct sd_error *e)
{
	enum sd_err err = lock_state(c, e);
	if (!err)
		err = ring_load(c->call->world, c->file, &c->before, e);
	if (!err && ring_make(&c->before, &c->rb, e))
		err = sd_wrap(e, "%s", c->file);
	if (!err && !ring_copy(&c->before, &c->after))
		err = sd_fail(e, SD_ENOMEM, "out of memory");
	if (!err)
		err = fn(c, e);
	if (!err)
		err = compare(c, e);
	if (!err)
		err = ring_save(c->call->world, c->file, &c->after, e);
	return err;
}

static void end(struct change *c)
{
	sd_file_close(c->lock);
	ring_moves_free(&c->moves);
	sd_ring_release(c->rb);
	sd_ring_release(c->ra);
	ring_free(&c->before);
	ring_free(&c->after);
}

/* ---- telling ---- */

static void print_shares(const struct change *c)
{
	for (size_t i = 0; i < c->after.n && i < ROWS; i++)
		fprintf(c->call->out, "[RING] %s owns %.1f%% of ring\n", c->after.nodes[i].name, 100 * sd_ring_share(c->ra, i));
	if (c->after.n > ROWS)
		fprintf(c->call->out, "[RING] ... and %zu more; sdlab ring balance shows all\n", c->after.n - ROWS);
}

/* whose: "only node-B's keys", when no others moved. */
static void print_moved(const struct change *c, const char *whose)
{
	const struct ring_moves *m = &c->moves;
	fprintf(c->call->out, "[RING] Keys moved: %s%.1f%%", m->exact ? "" : "about ", 100 * m->moved / m->total);
	if (m->needless > 1e-9)
		fprintf(c->call->out, " (%.1f%% between nodes that stay; %.1f%% had to move)\n", 100 * m->needless / m->total,
			100 * m->least / m->total);
	else
		fprintf(c->call->out, " (%s)\n", whose);
}

static int print_json(struct change *c, const char *what, int operands)
{
	cJSON *o = cJSON_CreateObject(), *names = cJSON_AddArrayToObject(o, what);
	for (int i = 0; i < operands; i++)
		cJSON_AddItemToArray(names, cJSON_CreateString(c->call->args[i]));
	cJSON_AddNumberToObject(o, "moved", c->moves.moved / c->moves.total);
	cJSON_AddNumberToObject(o, "least", c->moves.least / c->moves.total);
	cJSON_AddNumberToObject(o, "between_unchanged", c->moves.needless / c->moves.total);
	cJSON_AddBoolToObject(o, "exact", c->moves.exact);
	cJSON *nodes = cJSON_AddArrayToObject(o, "nodes");
	for (size_t i = 0; i < c->after.n; i++) {
		cJSON *n = cJSON_CreateObject();
		cJSON_AddStringToObject(n, "name", c->after.nodes[i].name);
		cJSON_AddNumberToObject(n, "weight", c->after.nodes[i].weight);
		cJSON_AddNumberToObject(n, "points", (double)sd_ring_points_of(c->ra, i));
		cJSON_AddNumberToObject(n, "share", sd_ring_share(c->ra, i));
		cJSON_AddItemToArray(nodes, n);
	}
	return ring_print_json(c->call, o);
}

/* ---- add ---- */

static enum sd_err add_nodes(struct change *c, struct sd_error *e)
{
	const struct sd_conf *conf = c->call->conf;
	const char *zone = sd_conf_string(conf, "zone");
	uint32_t vnodes = (uint32_t)sd_conf_int(conf, "vnodes"), weight = (uint32_t)sd_conf_int(conf, "weight");
	enum sd_err err = zone ? ring_check_name("zone", zone, e) : SD_OK;
	struct ring_node *p = realloc(c->after.nodes, (c->after.n + (size_t)c->call->nargs) * sizeof(*p));
	if (!p)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	c->after.nodes = p;
	if (sd_conf_is_set(conf, "vnodes") && c->after.conf.kind != SD_RING_VNODES)
		return sd_fail(e, SD_EUSAGE, "--vnodes: %s has its own number of virtual nodes, or none",
			       ring_algorithm(&c->after));
	for (int i = 0; !err && i < c->call->nargs; i++) {
		const char *name = c->call->args[i];
		err = ring_check_name("name", name, e);
		if (!err && ring_find(&c->after, name) != SIZE_MAX)
			err = sd_fail(e, SD_EEXISTS, "%s is there already; sdlab ring weigh changes its weight", name);
		if (!err && !ring_append(&c->after, name, zone, vnodes, weight))
			err = sd_fail(e, SD_ENOMEM, "out of memory");
	}
	return err;
}

static void print_added(const struct change *c)
{
	for (int k = 0; k < c->call->nargs; k++) {
		size_t i = ring_find(&c->after, c->call->args[k]), points = sd_ring_points_of(c->ra, i);
		fprintf(c->call->out, "[RING] Added %s", c->call->args[k]);
		if (points)
			fprintf(c->call->out, " with %zu %s", points,
				c->after.conf.kind == SD_RING_MAGLEV ? "slots" : "virtual nodes");
		if (c->after.nodes[i].weight != 1)
			fprintf(c->call->out, " (weight %u)", c->after.nodes[i].weight);
		fputc('\n', c->call->out);
	}
	/* What the seed's way of hashing keeps is not worth a line; what others do not keep is. */
	if (c->moves.needless > 1e-9)
		print_moved(c, "");
	print_shares(c);
}

int ring_add(struct sd_verb_call *call)
{
	struct change c = {.call = call, .verb = "add", .file = sd_conf_string(call->conf, "state")};
	struct sd_error e = {0};
	int status = 0;
	if (run(&c, add_nodes, &e))
		status = ring_fail(call, c.verb, &e);
	else if (sd_conf_bool(call->conf, "json"))
		status = print_json(&c, "added", call->nargs);
	else
		print_added(&c);
	end(&c);
	return status;
}

/* ---- remove ---- */

static enum sd_err remove_node(struct change *c, struct sd_error *e)
{
	size_t i = ring_find(&c->after, c->call->args[0]);
	if (i == SIZE_MAX)
		return sd_fail(e, SD_ENOTFOUND, "%.80s is not in %s", c->call->args[0], c->file);
	ring_drop(&c->after, i);
	return SD_OK;
}

int ring_remove(struct sd_verb_call *call)
{
	struct change c = {.call = call, .verb = "remove", .file = sd_conf_string(call->conf, "state")};
	struct sd_error e = {0};
	char whose[RING_MAX_NAME + 32];
	int status = 0;
	if (run(&c, remove_node, &e)) {
		status = ring_fail(call, c.verb, &e);
	} else if (sd_conf_bool(call->conf, "json")) {
		status = print_json(&c, "removed", 1);
	} else {
		fprintf(call->out, "[RING] Removed %s\n", call->args[0]);
		snprintf(whose, sizeof(whose), "only %s's keys", call->args[0]);
		print_moved(&c, whose);
		print_shares(&c);
	}
	end(&c);
	return status;
}

/* ---- weigh ---- */

static enum sd_err weigh_node(struct change *c, struct sd_error *e)
{
	int64_t weight = -1;
	const char *text = c->call->args[1];
	size_t i = ring_find(&c->after, c->call->args[0]), n = strspn(text, "0123456789");
	if (i == SIZE_MAX)
		return sd_fail(e, SD_ENOTFOUND, "%.80s is not in %s", c->call->args[0], c->file);
	if (n > 0 && n <= 5 && !text[n])
		weight = strtol(text, NULL, 10);
	if (weight < 0 || weight > 65535)
		return sd_fail(e, SD_EUSAGE, "WEIGHT: expected a number from 0 to 65535");
	c->after.nodes[i].weight = (uint32_t)weight;
	return SD_OK;
}

int ring_weigh(struct sd_verb_call *call)
{
	struct change c = {.call = call, .verb = "weigh", .file = sd_conf_string(call->conf, "state")};
	struct sd_error e = {0};
	char whose[RING_MAX_NAME + 32];
	int status = 0;
	if (run(&c, weigh_node, &e)) {
		status = ring_fail(call, c.verb, &e);
	} else if (sd_conf_bool(call->conf, "json")) {
		status = print_json(&c, "weighed", 1);
	} else {
		size_t i = ring_find(&c.after, call->args[0]);
		bool more = c.after.nodes[i].weight > c.before.nodes[i].weight;
		fprintf(call->out, "[RING] %s has weight %u, had %u\n", call->args[0], c.after.nodes[i].weight,
			c.before.nodes[i].weight);
		snprintf(whose, sizeof(whose), "all %s %s", more ? "to" : "from", call->args[0]);
		print_moved(&c, c.moves.moved > 0 ? whose : "none");
		print_shares(&c);
	}
	end(&c);
	return status;
}

/* ---- init ---- */

static enum sd_err choose_key(struct change *c, struct sd_error *e)
{
	const struct sd_conf *conf = c->call->conf;
	struct sd_ring_conf *out = &c->after.conf;
	const char *key = sd_conf_string(conf, "key");
	if (key && out->hash != SD_RING_SIPHASH)
		return sd_fail(e, SD_EUSAGE, "--key: only --hash siphash has a key");
	if (sd_conf_is_set(conf, "seed") && out->hash != SD_RING_XXH3)
		return sd_fail(e, SD_EUSAGE, "--seed: only --hash xxh3 has a seed");
	out->seed = (uint64_t)sd_conf_int(conf, "seed");
	if (out->hash == SD_RING_SIPHASH && !key) {
		sd_world_random(c->call->world, &out->seed, sizeof(out->seed));
		sd_world_random(c->call->world, &out->seed_high, sizeof(out->seed_high));
	}
	if (key && !ring_parse_key(key, &out->seed, &out->seed_high))
		return sd_fail(e, SD_EUSAGE, "--key: expected 32 hexadecimal digits");
	return SD_OK;
}

static enum sd_err begin_ring(struct change *c, struct sd_error *e)
{
	const struct sd_conf *conf = c->call->conf;
	struct sd_ring_conf *out = &c->after.conf;
	if (c->before.there)
		return sd_fail(e, SD_EEXISTS, "%s is there already; expected another --state, or no such file", c->file);
	out->kind = (enum sd_ring_kind)sd_conf_int(conf, "algorithm");
	out->hash = (enum sd_ring_hash_by)sd_conf_int(conf, "hash");
	out->slots = (uint32_t)sd_conf_int(conf, "slots");
	c->after.replicas = (uint32_t)sd_conf_int(conf, "replicas");
	if (sd_conf_is_set(conf, "hash") && !ring_hash_name(&c->after))
		return sd_fail(e, SD_EUSAGE, "--hash: %s has its own", ring_algorithm(&c->after));
	if (out->slots && out->kind != SD_RING_MAGLEV)
		return sd_fail(e, SD_EUSAGE, "--slots: only maglev has slots");
	return choose_key(c, e);
}

int ring_init(struct sd_verb_call *call)
{
	struct change c = {.call = call, .verb = "init", .file = sd_conf_string(call->conf, "state")};
	struct sd_error e = {0};
	int status = 0;
	if (run(&c, begin_ring, &e))
		status = ring_fail(call, c.verb, &e);
	else
		fprintf(call->out, "[RING] Initial ring with 0 nodes\n");
	end(&c);
	return status;
}
