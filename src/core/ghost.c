/* ghost.c - a slot is 16 bits: ten of the hash, and the epoch, 1 to 63, in which it was put in; 0 is an empty one. */
#include "ghost.h"

#include <stdlib.h>

#include "mix.h"

#define PLACES    8  /* slots of a bucket */
#define EPOCHS    63
#define WINDOW    16 /* epochs that are remembered; what is older lies there until somebody writes over it */
#define REACH_MIN 64

void sd_ghost_init(struct sd_ghost *g)
{
	*g = (struct sd_ghost){.epoch = 1};
}

void sd_ghost_free(struct sd_ghost *g)
{
	free(g->now.slots);
	free(g->was.slots);
	sd_ghost_init(g);
}

static size_t table_memory(const struct sd_ghost_table *t)
{
	return t->slots ? (size_t)t->buckets * PLACES * sizeof(t->slots[0]) : 0;
}

size_t sd_ghost_memory(const struct sd_ghost *g)
{
	return table_memory(&g->now) + table_memory(&g->was);
}

/* The bits of the hash choose a dictionary's bucket too, so they are stirred. */
static uint16_t *bucket_of(const struct sd_ghost_table *t, uint32_t hash, uint16_t *tag)
{
	uint64_t h = sd_mix(hash);
	*tag = (uint16_t)(h & 0x3ff);
	return t->slots + (size_t)(((h >> 32) * t->buckets) >> 32) * PLACES;
}

static unsigned age(const struct sd_ghost *g, uint16_t slot)
{
	unsigned epoch = slot >> 10;
	return epoch ? (g->epoch + EPOCHS - epoch) % EPOCHS : EPOCHS;
}

/* ---- size ---- */

/* 1.25 slots for each that is remembered, so that few buckets overflow. */
static uint32_t buckets_for(size_t reach)
{
	size_t n = (reach + reach / 4) / PLACES + 1;
	return n > UINT32_MAX ? UINT32_MAX : (uint32_t)n;
}

static bool fits(const struct sd_ghost_table *t, size_t reach)
{
	uint32_t want = buckets_for(reach);
	return t->slots && want <= t->buckets && want >= t->buckets / 3;
}

/* A new table begins empty; the one before is asked for as long as it may know something. One change at a time. */
static void resize(struct sd_ghost *g, size_t reach)
{
	if (g->was.slots || fits(&g->now, reach))
		return;
	struct sd_ghost_table t = {.buckets = buckets_for(reach + reach / 4)};
	t.slots = calloc((size_t)t.buckets * PLACES, sizeof(t.slots[0]));
	if (!t.slots)
		return;
	g->was = g->now;
	g->was_left = reach;
	g->now = t;
}

static void age_old_table(struct sd_ghost *g)
{
	if (!g->was.slots || --g->was_left)
		return;
	free(g->was.slots);
	g->was = (struct sd_ghost_table){0};
}

/* ---- hashes ---- */

void sd_ghost_insert(struct sd_ghost *g, uint32_t hash, size_t reach)
{
	uint16_t tag;
	if (reach < REACH_MIN)
		reach = REACH_MIN;
	resize(g, reach);
	age_old_table(g);
	if (!g->now.slots)
		return;
	if (++g->in_epoch >= reach / WINDOW) {
		g->in_epoch = 0;
		g->epoch = (uint8_t)(g->epoch % EPOCHS + 1);
	}
	uint16_t *b = bucket_of(&g->now, hash, &tag), *oldest = b;
	for (int i = 1; i < PLACES; i++)
		if (age(g, b[i]) > age(g, *oldest))
			oldest = &b[i];
	*oldest = (uint16_t)(g->epoch << 10 | tag);
}

static bool take_from(const struct sd_ghost *g, const struct sd_ghost_table *t, uint32_t hash)
{
	uint16_t tag;
	if (!t->slots)
		return false;
	uint16_t *b = bucket_of(t, hash, &tag);
	for (int i = 0; i < PLACES; i++)
		if ((b[i] & 0x3ff) == tag && age(g, b[i]) < WINDOW) {
			b[i] = 0;
			return true;
		}
	return false;
}

bool sd_ghost_take(struct sd_ghost *g, uint32_t hash)
{
	return take_from(g, &g->now, hash) || take_from(g, &g->was, hash);
}
