#include "core/slots.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "sdlab/ring.h"

/* ---- keys ---- */

uint16_t sd_crc16(const void *p, size_t n)
{
	const uint8_t *b = p;
	uint16_t crc = 0;
	for (size_t i = 0; i < n; i++) {
		/* the polynomial's few bits make a byte a handful of shifts, without a table */
		uint8_t x = (uint8_t)(crc >> 8) ^ b[i];
		x ^= x >> 4;
		crc = (uint16_t)((crc << 8) ^ (x << 12) ^ (x << 5) ^ x);
	}
	return crc;
}

unsigned sd_slot_of(struct sd_slice key)
{
	const char *open = key.n ? memchr(key.p, '{', key.n) : NULL;
	if (open) {
		size_t left = key.n - (size_t)(open + 1 - key.p);
		const char *close = left ? memchr(open + 1, '}', left) : NULL;
		if (close && close > open + 1)
			key = (struct sd_slice){open + 1, (size_t)(close - open - 1)};
	}
	return sd_crc16(key.p, key.n) % SD_SLOTS;
}

/* ---- the map ---- */

struct making {
	const struct sd_slots_conf *conf;
	const struct sd_slots_node *nodes;
	struct sd_ring *ring;
	uint32_t *load, *cap;
};

/* What each may have; without a bound all. */
static void set_caps(struct making *m, size_t n)
{
	uint64_t weights = 0;
	for (size_t i = 0; i < n; i++)
		weights += m->nodes[i].weight;
	for (size_t i = 0; i < n; i++)
		m->cap[i] = m->conf->bound > 0
				? (uint32_t)ceil(m->conf->bound * SD_SLOTS * m->nodes[i].weight / (double)(weights ? weights : 1))
				: SD_SLOTS;
}

/* The first on the ring with room has it, then come the others in their order. */
static void own(struct making *m, unsigned slot, uint16_t *out)
{
	struct sd_ring_walk walk;
	uint16_t passed[SD_SLOTS_COPIES];
	size_t npassed = 0, n = 0;
	int node;
	sd_ring_walk_begin(&walk, m->ring, ((uint64_t)slot << 50) + (1ull << 49));
	while ((node = sd_ring_walk_next(&walk)) >= 0) {
		if (m->load[node] < m->cap[node])
			break;
		if (npassed < SD_SLOTS_COPIES)
			passed[npassed++] = (uint16_t)node;
	}
	if (node >= 0) {
		m->load[node]++;
		out[n++] = (uint16_t)node;
	}
	for (size_t i = 0; i < npassed && n < m->conf->copies; i++)
		out[n++] = passed[i];
	while (n && n < m->conf->copies && (node = sd_ring_walk_next(&walk)) >= 0)
		out[n++] = (uint16_t)node;
	while (n < m->conf->copies)
		out[n++] = SD_SLOTS_NONE;
}

static enum sd_err build_ring(struct making *m, size_t n)
{
	struct sd_ring_conf conf = {.kind = SD_RING_VNODES, .vnodes = m->conf->vnodes};
	struct sd_ring_node *nodes = calloc(n + 1, sizeof(*nodes));
	if (!nodes)
		return SD_ENOMEM;
	for (size_t i = 0; i < n; i++)
		nodes[i] = (struct sd_ring_node){.id = i, .name = m->nodes[i].name, .weight = m->nodes[i].weight};
	enum sd_err err = sd_ring_build(&conf, nodes, n, &m->ring);
	free(nodes);
	return err;
}

enum sd_err sd_slots_make(const struct sd_slots_conf *conf, const struct sd_slots_node *nodes, size_t n, struct sd_slots *out)
{
	struct making m = {.conf = conf, .nodes = nodes};
	*out = (struct sd_slots){0};
	if (conf->copies < 1 || conf->copies > SD_SLOTS_COPIES)
		return SD_ERANGE;
	enum sd_err err = build_ring(&m, n);
	if (err)
		return err;
	m.load = calloc(n + 1, sizeof(*m.load));
	m.cap = calloc(n + 1, sizeof(*m.cap));
	out->copies = conf->copies;
	out->owners = malloc(sizeof(*out->owners) * SD_SLOTS * conf->copies);
	if (m.load && m.cap && out->owners) {
		set_caps(&m, n);
		for (unsigned s = 0; s < SD_SLOTS; s++)
			own(&m, s, out->owners + s * conf->copies);
	} else {
		err = SD_ENOMEM;
		sd_slots_free(out);
	}
	free(m.load);
	free(m.cap);
	sd_ring_release(m.ring);
	return err;
}

void sd_slots_free(struct sd_slots *m)
{
	free(m->owners);
	*m = (struct sd_slots){0};
}

int sd_slots_rank(const struct sd_slots *m, unsigned slot, uint16_t node)
{
	for (unsigned i = 0; m->owners && i < m->copies; i++)
		if (m->owners[slot * m->copies + i] == node)
			return (int)i;
	return -1;
}

unsigned sd_slots_range(const struct sd_slots *m, unsigned from, const uint16_t **owners)
{
	unsigned to = from + 1;
	*owners = sd_slots_owners(m, from);
	while (to < SD_SLOTS && memcmp(sd_slots_owners(m, to), *owners, m->copies * sizeof(**owners)) == 0)
		to++;
	return to;
}

unsigned sd_slots_range_of_owner(const struct sd_slots *m, unsigned from, uint16_t *owner)
{
	unsigned to = from + 1;
	*owner = sd_slots_owner(m, from);
	while (to < SD_SLOTS && sd_slots_owner(m, to) == *owner)
		to++;
	return to;
}

size_t sd_slots_count(const struct sd_slots *m, uint16_t node)
{
	size_t n = 0;
	for (unsigned s = 0; s < SD_SLOTS; s++)
		n += sd_slots_owner(m, s) == node;
	return n;
}
