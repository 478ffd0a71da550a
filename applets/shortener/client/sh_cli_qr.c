/* sh_cli_qr.c - a short URL as a QR code: in the terminal, two rows of modules a line, or as SVG in a file. */
#include <stdlib.h>

#include "../http/sh_qr.h"
#include "sh_cli.h"

#define QUIET 2 /* modules around it; on a screen fewer than on paper will do */

/* Light modules are drawn and dark ones left away, as on a terminal that is dark; --invert is for light ones. */
static bool lit(const QRcode *qr, int x, int y, bool invert)
{
	bool dark = x >= 0 && y >= 0 && x < qr->width && y < qr->width && qr->data[y * qr->width + x] & 1;
	return dark == invert;
}

static void draw(FILE *out, const QRcode *qr, bool invert)
{
	static const char *const blocks[] = {" ", "\u2580", "\u2584", "\u2588"};
	for (int y = -QUIET; y < qr->width + QUIET; y += 2) {
		for (int x = -QUIET; x < qr->width + QUIET; x++)
			fputs(blocks[lit(qr, x, y, invert) | lit(qr, x, y + 1, invert) << 1], out);
		fputc('\n', out);
	}
}

static int write_svg(struct sd_verb_call *call, const char *url, const char *name)
{
	struct sh_qr_look look = {256, 4, 'M', "000000", "ffffff"};
	struct sd_error e = {0};
	size_t n = 0;
	char *svg = sh_qr_svg(url, &look, &n);
	int status = !svg ? sh_cli_fail(call, "the URL is too long for a QR code") : 0;
	if (svg && strcmp(name, "-") == 0)
		fwrite(svg, 1, n, call->out);
	else if (svg && sd_world_write_file(call->world, name, svg, n, &e))
		status = sh_cli_fail(call, "%s", e.text);
	free(svg);
	return status;
}

static int show(struct sd_verb_call *call, const char *url)
{
	const char *file = sd_conf_string(call->conf, "svg");
	if (file)
		return write_svg(call, url, file);
	QRcode *qr = sh_qr_make(url, 'M');
	if (!qr)
		return sh_cli_fail(call, "the URL is too long for a QR code");
	draw(call->out, qr, sd_conf_bool(call->conf, "invert"));
	fprintf(call->out, "%s\n", url);
	QRcode_free(qr);
	return 0;
}

int sh_cli_qr(struct sd_verb_call *call)
{
	int status = 1;
	char *path = sh_cli_link_path(call, "/api/links/", call->args[0], "");
	cJSON *link = path ? sh_cli_ask_json(call, "GET", path, NULL, &status) : NULL;
	if (link)
		status = show(call, sh_cli_text(link, "short_url", ""));
	cJSON_Delete(link);
	free(path);
	return status;
}
