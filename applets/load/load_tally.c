/* load_tally.c - which answers came how often. */
#include <stdlib.h>
#include <string.h>

#include "load.h"

/* What must not reach a terminal: control bytes, and C1 in its UTF-8 form. */
static bool is_control(unsigned char before, unsigned char c)
{
	return c < ' ' || c == 127 || (before == 0xc2 && c >= 0x80 && c <= 0x9f);
}

void load_line_take(struct load_line *line, struct sd_slice data)
{
	for (size_t i = 0; i < data.n && !line->ended; i++) {
		char before = line->n ? line->text[line->n - 1] : '\0', c = data.p[i];
		line->ended = c == '\n' || line->n == LOAD_TALLY_TEXT;
		if (!line->ended)
			line->text[line->n++] = is_control((unsigned char)before, (unsigned char)c) && c != '\r' ? '?' : c;
	}
}

static void add_text(struct load_tally *t, const char *text, uint64_t count)
{
	size_t i = 0;
	while (i < t->n && strcmp(t->rows[i].text, text) != 0)
		i++;
	if (i == LOAD_TALLY_ROWS) {
		t->other += count;
		return;
	}
	if (i == t->n)
		memcpy(t->rows[t->n++].text, text, strlen(text) + 1);
	t->rows[i].count += count;
}

void load_tally_add(struct load_tally *t, const struct load_line *line)
{
	char text[LOAD_TALLY_TEXT + 1];
	size_t n = line->n;
	if (n && line->text[n - 1] == '\r')
		n--;
	for (size_t i = 0; i < n; i++)
		text[i] = line->text[i] == '\r' ? '?' : line->text[i];
	text[n] = '\0';
	add_text(t, text, 1);
}

void load_tally_add_word(struct load_tally *t, struct sd_slice text)
{
	struct load_line line = {0};
	const char *blank = memchr(text.p, ' ', text.n);
	load_line_take(&line, (struct sd_slice){text.p, blank ? (size_t)(blank - text.p) : text.n});
	load_tally_add(t, &line);
}

void load_tally_merge(struct load_tally *to, const struct load_tally *from)
{
	for (size_t i = 0; i < from->n; i++)
		add_text(to, from->rows[i].text, from->rows[i].count);
	to->other += from->other;
}

uint64_t load_tally_total(const struct load_tally *t)
{
	uint64_t n = t ? t->other : 0;
	for (size_t i = 0; t && i < t->n; i++)
		n += t->rows[i].count;
	return n;
}

static int by_text(const void *a, const void *b)
{
	return strcmp(((const struct load_tally_row *)a)->text, ((const struct load_tally_row *)b)->text);
}

void load_tally_sort(struct load_tally *t)
{
	qsort(t->rows, t->n, sizeof(t->rows[0]), by_text);
}
