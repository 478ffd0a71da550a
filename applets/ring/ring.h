/* ring.h - the tool: a ring in a file, what is where, and what moves. The ring itself is include/sdlab/ring.h.
 *
 *	ring.c         options and verbs
 *	ring_state.c   the file, sdlab-ring(5)
 *	ring_change.c  init, add, remove, weigh
 *	ring_keys.c    keys from a file, a line each
 *	ring_lookup.c  where keys are
 *	ring_moves.c   what goes from whom to whom between two rings; diff
 *	ring_balance.c who has how much
 *	ring_draw.c    the drawing for a terminal; ring_svg.c the picture
 */
#ifndef RING_H
#define RING_H

#include <cjson/cJSON.h>

#include "app/applet.h"
#include "sdlab/ring.h"
#include "world/world.h"

#define RING_MAX_NAME 255
#define RING_VNODES   150

#define RING_ALGORITHMS "vnodes|jump|rendezvous|maglev|libketama|twemproxy|nginx|textbook" /* as enum sd_ring_kind */
#define RING_HASHES     "xxh3|siphash|md5"                                                 /* as enum sd_ring_hash_by */

struct ring_node {
	char *name, *zone; /* zone: NULL, or where it stands */
	uint32_t vnodes, weight;
};

struct ring_state {
	struct sd_ring_conf conf; /* but for vnodes, which each node has */
	uint32_t replicas;
	struct ring_node *nodes;
	size_t n;
	bool there; /* the file was */
};

/* ---- the file ---- */

/* A file that is not there is an empty ring. */
enum sd_err ring_load(struct sd_world *w, const char *file, struct ring_state *s, struct sd_error *e);
enum sd_err ring_save(struct sd_world *w, const char *file, const struct ring_state *s, struct sd_error *e);
void ring_free(struct ring_state *s);
/* The ring of a state; says what does not fit. */
enum sd_err ring_make(const struct ring_state *s, struct sd_ring **out, struct sd_error *e);
/* Loads and makes; SD_ENOTFOUND when nobody made one yet. */
enum sd_err ring_open(struct sd_world *w, const char *file, struct ring_state *s, struct sd_ring **out, struct sd_error *e);
/* A copy, with room for one node more; false: out of memory. */
bool ring_copy(const struct ring_state *s, struct ring_state *out);
/* Takes a copy of name and zone (or NULL); the array has room. */
bool ring_append(struct ring_state *s, const char *name, const char *zone, uint32_t vnodes, uint32_t weight);
void ring_drop(struct ring_state *s, size_t i);
/* SIZE_MAX: none. */
size_t ring_find(const struct ring_state *s, const char *name);
enum sd_err ring_check_name(const char *what, const char *name, struct sd_error *e);
bool ring_parse_key(const char *text, uint64_t *low, uint64_t *high);
const char *ring_algorithm(const struct ring_state *s);
const char *ring_hash_name(const struct ring_state *s); /* NULL: the algorithm has its own */

/* ---- keys ---- */

struct ring_keys {
	char *text;
	size_t n, at;
};
/* "-" is standard input. */
enum sd_err ring_keys_open(struct sd_world *w, const char *file, struct ring_keys *k, struct sd_error *e);
/* The next line that is not empty. */
bool ring_keys_next(struct ring_keys *k, struct sd_slice *key);
void ring_keys_close(struct ring_keys *k);

/* ---- what moves ---- */

struct ring_flow {
	uint32_t from, to; /* nodes of the old and of the new one; UINT32_MAX: nobody */
	double amount;     /* of the circle, or keys */
};

/* Nodes are the same when they are called the same. */
struct ring_moves {
	struct ring_flow *flows; /* sorted: the most first; only what moves */
	size_t n;
	double total;    /* 1, or how many keys */
	double moved;    /* in the same unit, as are the next two */
	double needless; /* moved between two nodes that were there before as they are now */
	double least;    /* what had to move to come from these shares to the new ones */
	double fair;     /* a part from 0 to 1: what has to move by weights alone */
	bool exact;      /* false: of keys made up */
};
/* keys NULL: of the whole circle. */
enum sd_err ring_compare(const struct ring_state *a, const struct sd_ring *ra, const struct ring_state *b,
			 const struct sd_ring *rb, struct ring_keys *keys, struct ring_moves *out, struct sd_error *e);
void ring_moves_free(struct ring_moves *m);

/* ---- drawing ---- */

#define RING_COLORS 10
/* Of the terminal (256 colours) and of the picture; repeats after RING_COLORS. */
int ring_color(size_t node);
const char *ring_rgb(size_t node);
/* What all names begin with, up to a '-', '.', ':' or '/', need not be repeated. */
size_t ring_common_prefix(const struct ring_state *s);
/* A bar of so many columns' part, in eighths; colored when the caller says so. */
void ring_bar(FILE *out, double part, int columns, int color);
void ring_draw(FILE *out, const struct ring_state *s, const struct sd_ring *r, const char *key, bool color);
char *ring_svg(const struct ring_state *s, const struct sd_ring *r, const char *key, size_t *n);

/* ---- verbs ---- */

int ring_init(struct sd_verb_call *call);
int ring_add(struct sd_verb_call *call);
int ring_remove(struct sd_verb_call *call);
int ring_weigh(struct sd_verb_call *call);
int ring_lookup(struct sd_verb_call *call);
int ring_visualize(struct sd_verb_call *call);
int ring_balance(struct sd_verb_call *call);
int ring_diff(struct sd_verb_call *call);

/* Prints "sdlab ring VERB: cause" and returns 1, or 2 when the command line is wrong. */
int ring_fail(const struct sd_verb_call *call, const char *verb, const struct sd_error *e);
/* Prints it as one line, and frees it. */
int ring_print_json(struct sd_verb_call *call, cJSON *json);
bool ring_colored(const struct sd_verb_call *call);

#endif
