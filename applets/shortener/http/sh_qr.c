/* sh_qr.c - the short URL as a QR code: the matrix is libqrencode's, the drawing ours. One path, so that it is small. */
#include "sh_qr.h"

#include <qrencode.h>
#include <stdio.h>
#include <stdlib.h>

#include "../store/sh_store.h"
#include "sh_api.h"
#include "sh_call.h"

const struct sh_member sh_qr_members[] = {
    {"size", SH_INT, 32, 4096, .help = "width and height in pixels, 256 when not said"},
    {"margin", SH_INT, 0, 64, .help = "of quiet around it, in modules; 4 when not said, as readers want it"},
    {"level", SH_TEXT, 1, 1, .choices = "L|M|Q|H", .help = "how much of it may be lost: 7 %, 15 % (when not said), 25 %, 30 %"},
    {"color", SH_TEXT, 3, 9, .help = "000000 when not said: 3 or 6 hexadecimal digits"},
    {"background", SH_TEXT, 3, 11, .help = "ffffff when not said, or transparent"},
    {0},
};

QRcode *sh_qr_make(const char *text, char level)
{
	static const char levels[] = "LMQH";
	const char *l = strchr(levels, level);
	return QRcode_encodeString8bit(text, 0, (QRecLevel)(l && level ? l - levels : 1));
}

/* Runs of dark modules of a row as one rectangle each. */
static void put_row(struct sd_text *t, const unsigned char *row, int width, int y, int margin)
{
	for (int x = 0, from; x < width; x++) {
		if (!(row[x] & 1))
			continue;
		for (from = x; x < width && row[x] & 1; x++)
			;
		sd_text_format(t, "M%d %dh%dv1h-%dz", from + margin, y + margin, x - from, x - from);
	}
}

char *sh_qr_svg(const char *text, const struct sh_qr_look *look, size_t *n)
{
	QRcode *qr = sh_qr_make(text, look->level);
	struct sd_text t = {.full = !qr};
	if (qr) {
		int whole = qr->width + 2 * look->margin;
		sd_text_format(&t, "<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"%d\" height=\"%d\" viewBox=\"0 0 %d %d\" "
				   "shape-rendering=\"crispEdges\">",
			       look->size, look->size, whole, whole);
		if (look->background)
			sd_text_format(&t, "<path fill=\"#%s\" d=\"M0 0h%dv%dh-%dz\"/>", look->background, whole, whole, whole);
		sd_text_format(&t, "<path fill=\"#%s\" d=\"", look->color);
		for (int y = 0; y < qr->width; y++)
			put_row(&t, qr->data + (size_t)y * (size_t)qr->width, qr->width, y, look->margin);
		sd_text_format(&t, "\"/></svg>\n");
	}
	QRcode_free(qr);
	return sd_text_take(&t, n);
}

bool sh_qr_colour(const char *text)
{
	size_t n = strlen(text);
	return (n == 3 || n == 6) && strspn(text, "0123456789abcdefABCDEF") == n;
}

static void on_link(void *arg, const struct sd_error *e, const struct sh_link *link)
{
	struct sh_call *c = arg;
	char url[1024], color[1024] = "000000", background[1024] = "ffffff", level[1024] = "M";
	if (e->code) {
		sh_answer_failed(c, e->code, e);
		return;
	}
	sh_query_get(c->query, "color", color, sizeof(color));
	sh_query_get(c->query, "background", background, sizeof(background));
	sh_query_get(c->query, "level", level, sizeof(level));
	struct sh_qr_look look = {(int)sh_query_int(c->query, "size", 256), (int)sh_query_int(c->query, "margin", 4), level[0], color,
				  strcmp(background, "transparent") == 0 ? NULL : background};
	sh_short_url(c, link->code, url, sizeof(url));
	size_t n = 0;
	char *svg = sh_qr_svg(url, &look, &n);
	sh_answer_field(c, "Cache-Control", "public, max-age=3600");
	sh_answer(c, 200, "image/svg+xml", svg, n);
}

void sh_run_qr(struct sh_call *c)
{
	static const char *const colours[] = {"color", "background"};
	char text[1024];
	if (!sh_query_check(c, sh_qr_members))
		return;
	for (size_t i = 0; i < 2; i++) {
		const char *v = sh_query_get(c->query, colours[i], text, sizeof(text));
		if (v && !sh_qr_colour(v) && (i == 0 || strcmp(v, "transparent") != 0)) {
			sh_answer_problem(c, SH_BAD_QUERY, colours[i], "%s: expected 3 or 6 hexadecimal digits such as 1a2b3c", colours[i]);
			return;
		}
	}
	sh_store_get(c->sh->store, c->arg, on_link, c);
}
