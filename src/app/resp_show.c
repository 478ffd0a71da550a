/* resp_show.c - replies for people, and as they are for programs. */
#include <inttypes.h>

#include "resp_cli.h"

/* What must not reach a terminal: control bytes but line ends and tabs, and C1 in its UTF-8 form. */
static bool is_control(struct sd_slice s, size_t i)
{
	unsigned char c = (unsigned char)s.p[i], next = i + 1 < s.n ? (unsigned char)s.p[i + 1] : 0;
	return (c < ' ' && c != '\n' && c != '\t') || c == 127 || (c == 0xc2 && next >= 0x80 && next <= 0x9f);
}

void sd_resp_show_text(FILE *out, struct sd_slice s, bool screen)
{
	size_t from = 0;
	for (size_t i = 0; screen && i < s.n; i++) {
		if (!is_control(s, i))
			continue;
		fwrite(s.p + from, 1, i - from, out);
		fprintf(out, "\\x%02x", (unsigned char)s.p[i]);
		from = i + 1;
	}
	if (s.n > from)
		fwrite(s.p + from, 1, s.n - from, out);
}

static void show_leaf(FILE *out, const struct sd_resp_value *v, bool screen)
{
	switch (v->kind) {
	case SD_RESP_NULL:
		fputs("(nil)", out);
		break;
	case SD_RESP_BOOL:
		fputs(v->n ? "true" : "false", out);
		break;
	case SD_RESP_INT:
		fprintf(out, "%" PRId64, v->n);
		break;
	case SD_RESP_ERROR:
	case SD_RESP_BULK_ERROR:
		fputs("(error) ", out);
		sd_resp_show_text(out, v->text, screen);
		break;
	default:
		sd_resp_show_text(out, v->text, screen);
	}
	fputc('\n', out);
}

static int digits_of(size_t n)
{
	int digits = 1;
	while (n /= 10)
		digits++;
	return digits;
}

/* Numbered, those within further to the right. */
static void show_numbered(FILE *out, const struct sd_resp_value *v, int indent)
{
	const struct sd_resp_value *item = v + 1;
	int width = digits_of(v->items);
	if (!sd_resp_has_items(v->kind)) {
		show_leaf(out, v, true);
		return;
	}
	if (v->items == 0)
		fputs("(empty)\n", out);
	for (size_t i = 0; i < v->items; i++, item = sd_resp_after(item)) {
		fprintf(out, "%*s%*zu) ", i ? indent : 0, "", width, i + 1);
		show_numbered(out, item, indent + width + 2);
	}
}

void sd_resp_show(FILE *out, const struct sd_resp_value *v, bool screen)
{
	if (screen) {
		show_numbered(out, v, 0);
		return;
	}
	for (const struct sd_resp_value *item = v; item < sd_resp_after(v); item++)
		if (!sd_resp_has_items(item->kind))
			show_leaf(out, item, false);
}
