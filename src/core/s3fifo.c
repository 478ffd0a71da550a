#include "s3fifo.h"

#include <stdlib.h>
#include <string.h>

#include "mix.h"

#define ENTRIES  202 /* of a chunk, which so is 1 KiB with what the allocator adds */
#define GONE_MIN 256 /* left alone, however few others there are */

struct sd_s3fifo_chunk {
	struct sd_s3fifo_chunk *next;
	uint16_t from, to; /* entries in use */
	uint32_t hash[ENTRIES];
	uint8_t size[ENTRIES];
};

void sd_s3fifo_init(struct sd_s3fifo *q)
{
	*q = (struct sd_s3fifo){0};
	sd_ghost_init(&q->ghost);
}

/* ---- sizes: three bits of the number behind its highest one, and where that is ---- */

static uint8_t size_class(size_t bytes)
{
	if (bytes < 8)
		return 0;
	unsigned shift = 60 - (unsigned)__builtin_clzll(bytes);
	return (uint8_t)(shift > 31 ? 255 : (shift << 3 | ((bytes >> shift) & 7)));
}

static uint64_t class_bytes(uint8_t c)
{
	return (uint64_t)(8 | (c & 7)) << (c >> 3);
}

/* ---- queues ---- */

static struct sd_s3fifo_chunk *add_chunk(struct sd_s3fifo_queue *q)
{
	struct sd_s3fifo_chunk *k = malloc(sizeof(*k));
	if (!k)
		return NULL;
	k->next = NULL;
	k->from = k->to = 0;
	if (q->tail)
		q->tail->next = k;
	else
		q->head = k;
	q->tail = k;
	q->chunks++;
	return k;
}

static bool push(struct sd_s3fifo_queue *q, uint32_t hash, size_t bytes)
{
	struct sd_s3fifo_chunk *k = q->tail;
	if ((!k || k->to == ENTRIES) && !(k = add_chunk(q)))
		return false;
	k->hash[k->to] = hash;
	k->size[k->to] = size_class(bytes);
	q->bytes += class_bytes(k->size[k->to++]);
	q->n++;
	return true;
}

/* before: the chunk in front of it; NULL: it is the head. */
static void drop_chunk(struct sd_s3fifo *s, struct sd_s3fifo_queue *q, struct sd_s3fifo_chunk *k, struct sd_s3fifo_chunk *before)
{
	if (before)
		before->next = k->next;
	else
		q->head = k->next;
	if (q->tail == k)
		q->tail = before;
	if (s->swept == k)
		s->swept = before;
	q->chunks--;
	free(k);
}

static uint32_t pop(struct sd_s3fifo *s, struct sd_s3fifo_queue *q)
{
	struct sd_s3fifo_chunk *k = q->head;
	uint32_t hash = k->hash[k->from];
	q->bytes -= class_bytes(k->size[k->from++]);
	q->n--;
	if (k->from == k->to)
		drop_chunk(s, q, k, NULL);
	return hash;
}

static void free_queue(struct sd_s3fifo *s, struct sd_s3fifo_queue *q)
{
	while (q->head)
		drop_chunk(s, q, q->head, NULL);
}

/* ---- what is gone ---- */

struct sd_s3fifo_gone_slot {
	uint32_t hash, n; /* n 0: empty */
};

static size_t gone_size(const struct sd_s3fifo_gone *g)
{
	return g->slots ? (size_t)1 << g->bits : 0;
}

/* The slot of the hash, or the empty one where it would be. */
static size_t gone_slot(const struct sd_s3fifo_gone *g, uint32_t hash)
{
	size_t mask = gone_size(g) - 1, i = sd_mix(hash) & mask;
	while (g->slots[i].n && g->slots[i].hash != hash)
		i = (i + 1) & mask;
	return i;
}

static bool gone_resize(struct sd_s3fifo_gone *g, unsigned bits)
{
	struct sd_s3fifo_gone to = {.used = g->used, .n = g->n, .bits = (uint8_t)bits};
	to.slots = calloc((size_t)1 << bits, sizeof(to.slots[0]));
	if (!to.slots)
		return false;
	for (size_t i = 0; i < gone_size(g); i++)
		if (g->slots[i].n)
			to.slots[gone_slot(&to, g->slots[i].hash)] = g->slots[i];
	free(g->slots);
	*g = to;
	return true;
}

/* Without memory it is forgotten: then a later item of the same key goes a little early. */
static void gone_add(struct sd_s3fifo_gone *g, uint32_t hash)
{
	if ((g->used + 1) * 4 > gone_size(g) * 3 && !gone_resize(g, g->slots ? g->bits + 1u : 6))
		return;
	struct sd_s3fifo_gone_slot *s = &g->slots[gone_slot(g, hash)];
	g->used += s->n == 0;
	s->hash = hash;
	s->n++;
	g->n++;
}

/* Closes the gap at i, so that everything behind it is found from where it belongs. */
static void gone_close(struct sd_s3fifo_gone *g, size_t i)
{
	size_t mask = gone_size(g) - 1;
	for (size_t k = (i + 1) & mask; g->slots[k].n; k = (k + 1) & mask) {
		size_t home = sd_mix(g->slots[k].hash) & mask;
		if (((k - home) & mask) < ((k - i) & mask))
			continue;
		g->slots[i] = g->slots[k];
		i = k;
	}
	g->slots[i].n = 0;
}

/* True: an entry of this hash is one whose item is gone, and that is one less. */
static bool gone_take(struct sd_s3fifo_gone *g, uint32_t hash)
{
	if (!g->n)
		return false;
	size_t i = gone_slot(g, hash);
	if (!g->slots[i].n)
		return false;
	g->n--;
	if (--g->slots[i].n)
		return true;
	g->used--;
	gone_close(g, i);
	return true;
}

/* ---- sweeping ---- */

/* True: something went. */
static bool sweep_chunk(struct sd_s3fifo_queue *q, struct sd_s3fifo_gone *g, struct sd_s3fifo_chunk *k)
{
	uint16_t to = k->from;
	for (uint16_t i = k->from; i < k->to; i++) {
		if (gone_take(g, k->hash[i])) {
			q->bytes -= class_bytes(k->size[i]);
			q->n--;
			continue;
		}
		k->hash[to] = k->hash[i];
		k->size[to++] = k->size[i];
	}
	bool some = to < k->to;
	k->to = to;
	return some;
}

/* Puts what is left of k behind what is in the chunk before it, if there is room. */
static bool join_chunks(struct sd_s3fifo_chunk *before, const struct sd_s3fifo_chunk *k)
{
	size_t n = k->to - k->from;
	if (n && (!before || before->to + n > ENTRIES))
		return false;
	if (!n)
		return true;
	memcpy(before->hash + before->to, k->hash + k->from, n * sizeof(k->hash[0]));
	memcpy(before->size + before->to, k->size + k->from, n);
	before->to = (uint16_t)(before->to + n);
	return true;
}

/* After a sweep that found nothing, what is noted has no entry (there was no memory to queue it), and would be looked for
 * for ever. */
static void end_sweep(struct sd_s3fifo *s)
{
	struct sd_s3fifo_gone *g = &s->gone[s->sweeping_main];
	if (!s->swept_some) {
		free(g->slots);
		*g = (struct sd_s3fifo_gone){0};
	}
	s->swept = NULL;
	s->swept_some = false;
	s->sweeping_main = !s->sweeping_main;
}

static void sweep(struct sd_s3fifo *s)
{
	struct sd_s3fifo_queue *q = &s->queues[s->sweeping_main];
	struct sd_s3fifo_chunk *before = s->swept, *k = before ? before->next : q->head;
	if (!k || !s->gone[s->sweeping_main].n) {
		end_sweep(s);
		return;
	}
	s->swept_some |= sweep_chunk(q, &s->gone[s->sweeping_main], k);
	s->swept = k;
	if (join_chunks(before, k))
		drop_chunk(s, q, k, before);
}

/* ---- items ---- */

bool sd_s3fifo_insert(struct sd_s3fifo *q, uint32_t hash, size_t bytes)
{
	bool main = sd_ghost_take(&q->ghost, hash);
	push(&q->queues[main], hash, bytes);
	return main;
}

void sd_s3fifo_remove(struct sd_s3fifo *q, uint32_t hash, bool main)
{
	gone_add(&q->gone[main], hash);
	if (q->gone[0].n + q->gone[1].n > GONE_MIN + sd_s3fifo_count(q) / 8)
		sweep(q);
}

bool sd_s3fifo_next(struct sd_s3fifo *q, struct sd_s3fifo_entry *e)
{
	do {
		const struct sd_s3fifo_queue *small = &q->queues[0], *main = &q->queues[1];
		if (!small->n && !main->n)
			return false;
		e->main = !small->n || (main->n && small->bytes * 10 < small->bytes + main->bytes);
		e->hash = pop(q, &q->queues[e->main]);
	} while (gone_take(&q->gone[e->main], e->hash));
	return true;
}

bool sd_s3fifo_keep(struct sd_s3fifo *q, const struct sd_s3fifo_entry *e, unsigned *freq, size_t bytes)
{
	bool stays = e->main ? *freq > 0 && q->turns < SD_S3FIFO_TURNS : *freq > 1;
	*freq = e->main && *freq ? *freq - 1 : 0;
	if (stays && push(&q->queues[1], e->hash, bytes)) {
		q->turns += e->main;
		return true;
	}
	q->turns = 0;
	if (!e->main)
		sd_ghost_insert(&q->ghost, e->hash, sd_s3fifo_count(q));
	return false;
}

void sd_s3fifo_free(struct sd_s3fifo *q)
{
	for (int i = 0; i < 2; i++) {
		free_queue(q, &q->queues[i]);
		free(q->gone[i].slots);
	}
	sd_ghost_free(&q->ghost);
	sd_s3fifo_init(q);
}

size_t sd_s3fifo_memory(const struct sd_s3fifo *q)
{
	size_t slots = gone_size(&q->gone[0]) + gone_size(&q->gone[1]);
	return (q->queues[0].chunks + q->queues[1].chunks) * sizeof(struct sd_s3fifo_chunk) +
	       slots * sizeof(struct sd_s3fifo_gone_slot) + sd_ghost_memory(&q->ghost);
}
