/* ring_svg.c - the picture: the circle in the colours of who owns what, and who has how much. It loads nothing, and follows
 * the reader's light or dark. */
#include <inttypes.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/text.h"
#include "ring.h"

#define CX      230.0
#define CY      240.0
#define OUTER   180.0
#define INNER   140.0
#define MOST    3000 /* arcs; with more the circle is cut into so many */
#define TICKS   1200 /* points, each with a mark of its own */
#define LEGEND  14   /* nodes */
#define PI      3.14159265358979323846

struct svg {
	struct sd_text t;
	const struct ring_state *state;
	const struct sd_ring *ring;
};

/* Text of others stays text: no tags, no bytes that XML does not have. */
static void add_text(struct sd_text *t, const char *p)
{
	for (; *p; p++) {
		unsigned char c = (unsigned char)*p;
		if (c == '&' || c == '<' || c == '>')
			sd_text_format(t, "&#%d;", c);
		else if (c < ' ' || c >= 127)
			sd_text_add(t, "?", 1);
		else
			sd_text_add(t, p, 1);
	}
}

/* Parts of the circle begin at the top and go with the clock. */
static double x_at(double part, double radius)
{
	return CX + radius * sin(2 * PI * part);
}

static double y_at(double part, double radius)
{
	return CY - radius * cos(2 * PI * part);
}

/* ---- the circle ---- */

static void add_arc(struct svg *s, double from, double to, size_t node)
{
	/* A path from a point to itself is nothing. */
	double end = to - from > 0.9999 ? from + 0.9999 : to;
	int large = end - from > 0.5;
	sd_text_format(&s->t,
		       "<path fill=\"%s\" d=\"M%.2f %.2fA%.0f %.0f 0 %d 1 %.2f %.2fL%.2f %.2fA%.0f %.0f 0 %d 0 %.2f %.2fZ\"/>\n",
		       ring_rgb(node), x_at(from, OUTER), y_at(from, OUTER), OUTER, OUTER, large, x_at(end, OUTER),
		       y_at(end, OUTER), x_at(end, INNER), y_at(end, INNER), INNER, INNER, large, x_at(from, INNER),
		       y_at(from, INNER));
}

static double part_of(uint64_t place)
{
	return ldexp((double)place, -64);
}

/* Neighbours of one owner are one arc. What lies between the last point and the first begins before the top. */
static void arcs_by_points(struct svg *s)
{
	size_t n = sd_ring_points(s->ring);
	double from = part_of(sd_ring_place(s->ring, n - 1)) - 1;
	for (size_t i = 0; i < n; i++) {
		size_t owner = (size_t)sd_ring_lookup(s->ring, sd_ring_place(s->ring, i));
		double to = part_of(sd_ring_place(s->ring, i));
		if (i + 1 < n && (size_t)sd_ring_lookup(s->ring, sd_ring_place(s->ring, i + 1)) == owner)
			continue;
		add_arc(s, from, to, owner);
		from = to;
	}
}

static void arcs_by_steps(struct svg *s)
{
	int begun = 0, owner = sd_ring_lookup(s->ring, 0);
	for (int i = 1; i <= MOST; i++) {
		int now = i < MOST ? sd_ring_lookup(s->ring, (uint64_t)ldexp((double)i / MOST, 64)) : -1;
		if (now == owner)
			continue;
		add_arc(s, (double)begun / MOST, (double)i / MOST, (size_t)owner);
		begun = i;
		owner = now;
	}
}

/* Without places only the shares can be shown. */
static void arcs_by_share(struct svg *s)
{
	double at = 0;
	for (size_t i = 0; i < s->state->n; i++) {
		double share = sd_ring_share(s->ring, i);
		if (share > 0)
			add_arc(s, at, at + share, i);
		at += share;
	}
}

static void add_ticks(struct svg *s)
{
	size_t n = sd_ring_points(s->ring);
	for (size_t i = 0; n <= TICKS && i < n; i++) {
		double at = part_of(sd_ring_place(s->ring, i));
		size_t node = (size_t)sd_ring_lookup(s->ring, sd_ring_place(s->ring, i));
		sd_text_format(&s->t, "<path stroke=\"%s\" d=\"M%.2f %.2fL%.2f %.2f\"/>\n", ring_rgb(node), x_at(at, OUTER + 2),
			       y_at(at, OUTER + 2), x_at(at, OUTER + 9), y_at(at, OUTER + 9));
	}
}

static void add_circle(struct svg *s)
{
	size_t n = sd_ring_points(s->ring);
	if (!n)
		arcs_by_share(s);
	else if (n <= MOST)
		arcs_by_points(s);
	else
		arcs_by_steps(s);
	if (n && s->state->conf.kind != SD_RING_MAGLEV)
		add_ticks(s);
}

static void add_quarters(struct svg *s)
{
	unsigned bits = sd_ring_bits(s->ring);
	const struct {
		double part;
		const char *anchor;
		double dx, dy;
	} at[] = {{0, "middle", 0, -6}, {0.25, "start", 6, 4}, {0.5, "middle", 0, 16}, {0.75, "end", -6, 4}};
	for (int i = 0; i < 4 && sd_ring_points(s->ring); i++) {
		sd_text_format(&s->t, "<text class=\"dim\" text-anchor=\"%s\" x=\"%.1f\" y=\"%.1f\">", at[i].anchor,
			       x_at(at[i].part, OUTER + 10) + at[i].dx, y_at(at[i].part, OUTER + 10) + at[i].dy);
		if (i == 0)
			sd_text_format(&s->t, "0");
		else
			sd_text_format(&s->t, "%s2<tspan class=\"up\" dy=\"-5\">%u</tspan>", i == 3 ? "3·" : "",
				       i == 2 ? bits - 1 : bits - 2);
		sd_text_format(&s->t, "</text>\n");
	}
}

static void add_middle(struct svg *s)
{
	size_t n = sd_ring_points(s->ring);
	const char *hash = ring_hash_name(s->state);
	sd_text_format(&s->t, "<text class=\"big\" text-anchor=\"middle\" x=\"%.0f\" y=\"%.0f\">%zu node%s</text>\n", CX, CY - 4,
		       s->state->n, s->state->n == 1 ? "" : "s");
	sd_text_format(&s->t, "<text class=\"dim\" text-anchor=\"middle\" x=\"%.0f\" y=\"%.0f\">", CX, CY + 18);
	if (n)
		sd_text_format(&s->t, "%zu %s</text>\n", n, s->state->conf.kind == SD_RING_MAGLEV ? "slots" : "virtual nodes");
	else
		sd_text_format(&s->t, "no places, only shares</text>\n");
	sd_text_format(&s->t, "<text class=\"dim\" text-anchor=\"middle\" x=\"%.0f\" y=\"%.0f\">%s%s%s</text>\n", CX, CY + 36,
		       ring_algorithm(s->state), hash ? ", " : "", hash ? hash : "");
}

/* ---- a key ---- */

/* From its place with the clock to the point that owns it. */
static void add_key(struct svg *s, const char *key)
{
	uint64_t hash = sd_ring_hash(s->ring, key, strlen(key));
	size_t owner = (size_t)sd_ring_lookup(s->ring, hash);
	double at = part_of(hash), r = INNER - 12;
	char shown[36];
	snprintf(shown, sizeof(shown), "%.28s%s", key, strlen(key) > 28 ? "..." : "");
	if (sd_ring_points(s->ring))
		sd_text_format(&s->t,
			       "<path class=\"key\" d=\"M%.2f %.2fL%.2f %.2f\"/>"
			       "<circle fill=\"%s\" class=\"dot\" cx=\"%.2f\" cy=\"%.2f\" r=\"6\"/>\n",
			       x_at(at, r), y_at(at, r), x_at(at, INNER), y_at(at, INNER), ring_rgb(owner), x_at(at, r),
			       y_at(at, r));
	sd_text_format(&s->t, "<text text-anchor=\"middle\" x=\"%.0f\" y=\"%.0f\">", CX, CY - 62);
	add_text(&s->t, shown);
	sd_text_format(&s->t, "</text>\n<text text-anchor=\"middle\" x=\"%.0f\" y=\"%.0f\">→ ", CX, CY - 42);
	sd_text_format(&s->t, "<tspan fill=\"%s\" font-weight=\"bold\">", ring_rgb(owner));
	snprintf(shown, sizeof(shown), "%.28s%s", s->state->nodes[owner].name,
		 strlen(s->state->nodes[owner].name) > 28 ? "..." : "");
	add_text(&s->t, shown);
	sd_text_format(&s->t, "</tspan></text>\n");
}

/* ---- who has how much ---- */

struct scale {
	double most, weights;
};

static void add_legend_row(struct svg *s, size_t i, double y, const struct scale *scale)
{
	double share = sd_ring_share(s->ring, i), width = 270 / scale->most;
	double fair = scale->weights > 0 ? sd_ring_node(s->ring, i)->weight / scale->weights : 0;
	char name[40];
	snprintf(name, sizeof(name), "%.32s%s", s->state->nodes[i].name, strlen(s->state->nodes[i].name) > 32 ? "..." : "");
	sd_text_format(&s->t, "<text x=\"470\" y=\"%.1f\">", y);
	add_text(&s->t, name);
	sd_text_format(&s->t, "</text><text text-anchor=\"end\" x=\"740\" y=\"%.1f\">%.1f%%</text>\n", y, 100 * share);
	sd_text_format(&s->t, "<rect fill=\"%s\" x=\"470\" y=\"%.1f\" width=\"%.1f\" height=\"6\" rx=\"2\"/>", ring_rgb(i), y + 5,
		       share * width);
	sd_text_format(&s->t, "<path class=\"fair\" d=\"M%.1f %.1fv10\"/>\n", 470 + fair * width, y + 3);
}

static void add_legend(struct svg *s)
{
	struct scale scale = {0};
	size_t rows = s->state->n < LEGEND ? s->state->n : LEGEND;
	for (size_t i = 0; i < s->state->n; i++) {
		double weight = sd_ring_node(s->ring, i)->weight, share = sd_ring_share(s->ring, i);
		scale.weights += weight;
		scale.most = share > scale.most ? share : scale.most;
	}
	for (size_t i = 0; i < s->state->n; i++) {
		double fair = sd_ring_node(s->ring, i)->weight / scale.weights;
		scale.most = fair > scale.most ? fair : scale.most;
	}
	double y = CY - (double)rows * 14 + 10;
	for (size_t i = 0; i < rows; i++, y += 28)
		add_legend_row(s, i, y, &scale);
	sd_text_format(&s->t, "<text class=\"dim\" x=\"470\" y=\"%.1f\">", y + 8);
	if (s->state->n > rows)
		sd_text_format(&s->t, "and %zu more. ", s->state->n - rows);
	sd_text_format(&s->t, "The mark is what its weight says.</text>\n");
}

static void begin(struct svg *s)
{
	sd_text_format(&s->t, "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 780 480\" width=\"780\" height=\"480\" "
			      "role=\"img\" aria-label=\"A consistent hashing ring\">\n"
			      "<style>\n"
			      "text{font:14px system-ui,sans-serif;fill:#222}.big{font-size:22px;font-weight:600}\n"
			      ".dim{font-size:12px;fill:#777}.up{font-size:9px}.back{fill:#fff}\n"
			      ".fair,.key{stroke:#222;stroke-width:1.5;fill:none}.dot{stroke:#222;stroke-width:1.5}\n"
			      "@media(prefers-color-scheme:dark){text{fill:#ddd}.dim{fill:#999}.back{fill:#1b1b1b}"
			      ".fair,.key,.dot{stroke:#ddd}}\n"
			      "</style>\n<rect class=\"back\" width=\"780\" height=\"480\"/>\n");
}

char *ring_svg(const struct ring_state *state, const struct sd_ring *ring, const char *key, size_t *n)
{
	struct svg s = {.state = state, .ring = ring};
	begin(&s);
	add_circle(&s);
	add_quarters(&s);
	add_middle(&s);
	if (key)
		add_key(&s, key);
	add_legend(&s);
	sd_text_format(&s.t, "</svg>\n");
	return sd_text_take(&s.t, n);
}
