/* ring_lookup.c - where keys are. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "ring.h"

struct look {
	struct sd_verb_call *call;
	struct ring_state state;
	struct sd_ring *ring;
	size_t want;
	bool json;
	int *found; /* of `want` */
};

/* "0x7A3F12AB": as many digits as the ring has bits. */
static const char *place_text(const struct sd_ring *r, uint64_t place, char out[32])
{
	unsigned bits = sd_ring_bits(r);
	snprintf(out, 32, "0x%0*" PRIX64, (int)bits / 4, place >> (64 - bits));
	return out;
}

/* A key of somebody's file goes to a terminal: no control bytes. */
static void print_key(FILE *out, struct sd_slice key)
{
	for (size_t i = 0; i < key.n; i++)
		fputc((unsigned char)key.p[i] < ' ' || key.p[i] == 127 ? '?' : key.p[i], out);
}

static void print_text(const struct look *l, struct sd_slice key, uint64_t hash, size_t n)
{
	char place[32];
	FILE *out = l->call->out;
	fputs("Key '", out);
	print_key(out, key);
	fprintf(out, "' → %s (hash: %s)\n", l->state.nodes[l->found[0]].name, place_text(l->ring, hash, place));
	fputs("Replicas: [", out);
	for (size_t i = 0; i < n; i++)
		fprintf(out, "%s%s", i ? ", " : "", l->state.nodes[l->found[i]].name);
	fprintf(out, "] (RF=%zu)\n", n);
}

static int print_json(const struct look *l, struct sd_slice key, uint64_t hash, size_t n)
{
	char place[32], *text = strndup(key.p, key.n);
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "key", text ? text : "");
	cJSON_AddStringToObject(o, "node", l->state.nodes[l->found[0]].name);
	cJSON_AddStringToObject(o, "hash", place_text(l->ring, hash, place));
	cJSON *replicas = cJSON_AddArrayToObject(o, "replicas");
	for (size_t i = 0; i < n; i++)
		cJSON_AddItemToArray(replicas, cJSON_CreateString(l->state.nodes[l->found[i]].name));
	free(text);
	return ring_print_json(l->call, o);
}

/* brief: a line with key and node, for the next program. */
static int look_up(const struct look *l, struct sd_slice key, bool brief)
{
	uint64_t hash = sd_ring_hash(l->ring, key.p, key.n);
	size_t n = sd_ring_lookup_n(l->ring, hash, l->found, brief && !l->json ? 1 : l->want);
	if (l->json)
		return print_json(l, key, hash, n);
	if (!brief) {
		print_text(l, key, hash, n);
		return 0;
	}
	print_key(l->call->out, key);
	fprintf(l->call->out, "\t%s\n", l->state.nodes[l->found[0]].name);
	return 0;
}

static enum sd_err look_up_file(const struct look *l, const char *file, struct sd_error *e)
{
	struct ring_keys keys;
	struct sd_slice key;
	enum sd_err err = ring_keys_open(l->call->world, file, &keys, e);
	while (!err && ring_keys_next(&keys, &key))
		if (look_up(l, key, true))
			err = sd_fail(e, SD_ENOMEM, "out of memory");
	ring_keys_close(&keys);
	return err;
}

static enum sd_err look_up_all(struct look *l, struct sd_error *e)
{
	const char *file = sd_conf_string(l->call->conf, "keys");
	enum sd_err err = SD_OK;
	if (!file && !l->call->nargs)
		return sd_fail(e, SD_EUSAGE, "expected KEY, or --keys FILE");
	if (sd_ring_lookup(l->ring, 0) < 0)
		return sd_fail(e, SD_ENOTFOUND, "the ring has no nodes; add some with: sdlab ring add NAME");
	l->want = sd_conf_has(l->call->conf, "replicas") ? (size_t)sd_conf_int(l->call->conf, "replicas") : l->state.replicas;
	l->found = calloc(l->want, sizeof(*l->found));
	if (!l->found)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	for (int i = 0; !err && i < l->call->nargs; i++)
		if (look_up(l, sd_slice_of(l->call->args[i]), false))
			err = sd_fail(e, SD_ENOMEM, "out of memory");
	return err || !file ? err : look_up_file(l, file, e);
}

int ring_lookup(struct sd_verb_call *call)
{
	struct look l = {.call = call, .json = sd_conf_bool(call->conf, "json")};
	struct sd_error e = {0};
	enum sd_err err = ring_open(call->world, sd_conf_string(call->conf, "state"), &l.state, &l.ring, &e);
	if (!err)
		err = look_up_all(&l, &e);
	free(l.found);
	sd_ring_release(l.ring);
	ring_free(&l.state);
	return err ? ring_fail(call, "lookup", &e) : 0;
}
