/* ring_draw.c - the ring for a terminal: eight of its points, a key, and who has how much. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "ring.h"

#define INSIDE 30 /* columns within the frame */
#define LABEL  24 /* columns of a label at its left */
#define SIDES  8
#define ROWS   40 /* nodes that are listed */

static const int colors[RING_COLORS] = {67, 208, 71, 167, 73, 221, 139, 217, 137, 250};
static const char *const rgbs[RING_COLORS] = {"#4e79a7", "#f28e2b", "#59a14f", "#e15759", "#76b7b2",
					      "#edc948", "#b07aa1", "#ff9da7", "#9c755f", "#8c8c8c"};

int ring_color(size_t node)
{
	return colors[node % RING_COLORS];
}

const char *ring_rgb(size_t node)
{
	return rgbs[node % RING_COLORS];
}

size_t ring_common_prefix(const struct ring_state *s)
{
	size_t n = s->n > 1 ? strlen(s->nodes[0].name) : 0;
	for (size_t i = 1; i < s->n; i++) {
		size_t same = 0;
		while (same < n && s->nodes[i].name[same] == s->nodes[0].name[same])
			same++;
		n = same;
	}
	while (n > 0 && !strchr("-.:/", s->nodes[0].name[n - 1]))
		n--;
	return n;
}

void ring_bar(FILE *out, double part, int columns, int color)
{
	static const char *const eighths[] = {"", "▏", "▎", "▍", "▌", "▋", "▊", "▉"};
	int n = (int)lround(part * columns * 8);
	n = n < 0 ? 0 : n > columns * 8 ? columns * 8 : n;
	if (color >= 0)
		fprintf(out, "\033[38;5;%dm", color);
	for (int i = 0; i < n / 8; i++)
		fputs("█", out);
	fputs(eighths[n % 8], out);
	if (color >= 0)
		fputs("\033[0m", out);
}

struct label {
	char text[RING_MAX_NAME + 16];
	int color;
};

struct drawing {
	FILE *out;
	const struct ring_state *state;
	const struct sd_ring *ring;
	const char *key;
	bool color;
	struct label labels[SIDES]; /* clockwise, the first at the top */
	char inside[128];	    /* the key, as it is drawn */
	int inside_columns, inside_row;
	bool inside_right;
};

/* The first point at or behind the start of each eighth of the circle. */
static void name_points(struct drawing *d)
{
	size_t prefix = ring_common_prefix(d->state), n = sd_ring_points(d->ring), at = 0;
	char mark = d->state->conf.kind == SD_RING_MAGLEV ? 's' : 'v';
	for (int i = 0; i < SIDES; i++) {
		uint64_t start = (uint64_t)i << 61;
		while (at < n && sd_ring_place(d->ring, at) < start)
			at++;
		struct sd_ring_point p = sd_ring_point(d->ring, at < n ? at : 0);
		const char *name = d->state->nodes[p.node].name;
		bool whole = i == 0 || i == SIDES / 2;
		snprintf(d->labels[i].text, sizeof(d->labels[i].text), "%s-%c%u", whole ? name : name + prefix, mark, p.number);
		d->labels[i].color = ring_color(p.node);
	}
}

/* Columns of UTF-8, all taken to be one wide. */
static int columns(const char *text)
{
	int n = 0;
	for (; *text; text++)
		n += ((unsigned char)*text & 0xc0) != 0x80;
	return n;
}

static void place_key(struct drawing *d)
{
	char shown[64];
	size_t n = 0;
	int wide = 0;
	for (const char *c = d->key; *c && n + 8 < sizeof(shown); c++) {
		bool begins = ((unsigned char)*c & 0xc0) != 0x80;
		if (begins && wide == 20) {
			memcpy(shown + n, "…", 3);
			n += 3;
			break;
		}
		wide += begins;
		shown[n++] = (char)((unsigned char)*c < ' ' || *c == 127 ? '?' : *c);
	}
	shown[n] = '\0';
	double f = ldexp((double)sd_ring_hash(d->ring, d->key, strlen(d->key)), -64);
	d->inside_right = f < 0.5;
	d->inside_row = (int)lround((f < 0.5 ? f : 1 - f) * 2 * 4);
	snprintf(d->inside, sizeof(d->inside), d->inside_right ? "[%s] →" : "← [%s]", shown);
	d->inside_columns = columns(d->inside);
}

static void pad(FILE *out, int n)
{
	fprintf(out, "%*s", n > 0 ? n : 0, "");
}

static void put_label(const struct drawing *d, const struct label *l, int width)
{
	int n = (int)strlen(l->text);
	pad(d->out, width - n);
	if (d->color)
		fprintf(d->out, "\033[38;5;%dm", l->color);
	/* A long name shows its end, where the number is. */
	fputs(width > 0 && n > width ? l->text + n - width : l->text, d->out);
	if (d->color)
		fputs("\033[0m", d->out);
}

static void put_middle(const struct drawing *d, const struct label *l)
{
	pad(d->out, LABEL + 2 + (INSIDE - (int)strlen(l->text)) / 2);
	put_label(d, l, 0);
	fputc('\n', d->out);
}

static void put_edge(const struct drawing *d, const char *left, const char *right)
{
	pad(d->out, LABEL + 1);
	fputs(left, d->out);
	for (int i = 0; i < INSIDE; i++)
		fputs("─", d->out);
	fprintf(d->out, "%s\n", right);
}

/* left NULL: a row without labels. */
static void put_row(const struct drawing *d, int row, const struct label *left, const struct label *right)
{
	const char *inside = d->key && d->inside_row == row ? d->inside : "";
	int room = INSIDE - 2 - (*inside ? d->inside_columns : 0);
	if (left)
		put_label(d, left, LABEL);
	else
		pad(d->out, LABEL);
	fputs(left ? " ┤" : " │", d->out);
	pad(d->out, d->inside_right ? room + 1 : 1);
	fputs(inside, d->out);
	pad(d->out, d->inside_right ? 1 : room + 1);
	fputs(right ? "├ " : "│", d->out);
	if (right)
		put_label(d, right, 0);
	fputc('\n', d->out);
}

static void put_frame(const struct drawing *d)
{
	const struct label *l = d->labels;
	fprintf(d->out, "Ring (0 to 2^%u):\n", sd_ring_bits(d->ring));
	put_middle(d, &l[0]);
	put_edge(d, "╭", "╮");
	put_row(d, 0, &l[7], &l[1]);
	put_row(d, 1, NULL, NULL);
	put_row(d, 2, &l[6], &l[2]);
	put_row(d, 3, NULL, NULL);
	put_row(d, 4, &l[5], &l[3]);
	put_edge(d, "╰", "╯");
	put_middle(d, &l[4]);
}

static void put_owner(const struct drawing *d)
{
	uint64_t hash = sd_ring_hash(d->ring, d->key, strlen(d->key));
	unsigned bits = sd_ring_bits(d->ring);
	fprintf(d->out, "\n[");
	for (const char *c = d->key; *c; c++)
		fputc((unsigned char)*c < ' ' || *c == 127 ? '?' : *c, d->out);
	fprintf(d->out, "] at 0x%0*" PRIX64 " belongs to %s\n", (int)bits / 4, hash >> (64 - bits),
		d->state->nodes[sd_ring_lookup(d->ring, hash)].name);
}

static void put_shares(const struct drawing *d)
{
	int width = 0;
	double most = 0;
	for (size_t i = 0; i < d->state->n; i++) {
		int n = (int)strlen(d->state->nodes[i].name);
		double share = sd_ring_share(d->ring, i);
		width = n > width ? n : width;
		most = share > most ? share : most;
	}
	fputc('\n', d->out);
	for (size_t i = 0; i < d->state->n && i < ROWS; i++) {
		double share = sd_ring_share(d->ring, i);
		fprintf(d->out, "%-*s %6.1f%%  ", width, d->state->nodes[i].name, 100 * share);
		ring_bar(d->out, most > 0 ? share / most : 0, 40, d->color ? ring_color(i) : -1);
		fputc('\n', d->out);
	}
	if (d->state->n > ROWS)
		fprintf(d->out, "... and %zu more; sdlab ring balance shows all\n", d->state->n - ROWS);
}

void ring_draw(FILE *out, const struct ring_state *s, const struct sd_ring *r, const char *key, bool color)
{
	struct drawing d = {.out = out, .state = s, .ring = r, .key = key, .color = color};
	if (sd_ring_points(r)) {
		name_points(&d);
		if (key)
			place_key(&d);
		put_frame(&d);
	} else {
		fprintf(out, "No ring to draw: %s finds nodes without places.\n", ring_algorithm(s));
	}
	if (key)
		put_owner(&d);
	put_shares(&d);
}

/* ---- the verb ---- */

static enum sd_err write_picture(struct sd_verb_call *call, const char *file, const struct ring_state *s, const struct sd_ring *r,
				 const char *key, struct sd_error *e)
{
	size_t n;
	char *text = ring_svg(s, r, key, &n);
	enum sd_err err = text ? sd_world_write_file(call->world, file, text, n, e) : sd_fail(e, SD_ENOMEM, "out of memory");
	free(text);
	if (!err)
		fprintf(call->out, "Wrote %s\n", file);
	return err;
}

static enum sd_err draw_state(struct sd_verb_call *call, const struct ring_state *s, const struct sd_ring *r, struct sd_error *e)
{
	const char *svg = sd_conf_string(call->conf, "svg"), *key = call->nargs ? call->args[0] : NULL;
	if (sd_ring_lookup(r, 0) < 0) {
		fprintf(call->out, "[RING] Initial ring with %zu nodes\n", s->n);
		return svg ? sd_fail(e, SD_ENOTFOUND, "there is nothing to draw; add nodes with: sdlab ring add NAME") : SD_OK;
	}
	if (svg)
		return write_picture(call, svg, s, r, key, e);
	ring_draw(call->out, s, r, key, ring_colored(call));
	return SD_OK;
}

int ring_visualize(struct sd_verb_call *call)
{
	struct ring_state s;
	struct sd_ring *r = NULL;
	struct sd_error e = {0};
	const char *file = sd_conf_string(call->conf, "state");
	enum sd_err err = ring_load(call->world, file, &s, &e);
	if (!err && ring_make(&s, &r, &e))
		err = sd_wrap(&e, "%s", file);
	if (!err)
		err = draw_state(call, &s, r, &e);
	sd_ring_release(r);
	ring_free(&s);
	return err ? ring_fail(call, "visualize", &e) : 0;
}
