#include "suggest.h"

#include <string.h>
#include <strings.h>

static char lower(char c)
{
	return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

static size_t least(size_t a, size_t b)
{
	return a < b ? a : b;
}

size_t sd_edit_distance(const char *a, const char *b)
{
	size_t na = strlen(a), nb = strlen(b);
	/* Three rows of the table: row i is the cost of the first i letters of a. */
	size_t rows[3][SD_SUGGEST_MAX + 1];

	if (na > SD_SUGGEST_MAX || nb > SD_SUGGEST_MAX)
		return (size_t)-1;
	for (size_t j = 0; j <= nb; j++)
		rows[0][j] = j;
	for (size_t i = 1; i <= na; i++) {
		size_t *row = rows[i % 3];
		const size_t *up = rows[(i + 2) % 3], *up2 = rows[(i + 1) % 3];
		row[0] = i;
		for (size_t j = 1; j <= nb; j++) {
			char x = lower(a[i - 1]), y = lower(b[j - 1]);
			row[j] = least(least(up[j], row[j - 1]) + 1, up[j - 1] + (x != y));
			if (i > 1 && j > 1 && x == lower(b[j - 2]) && lower(a[i - 2]) == y)
				row[j] = least(row[j], up2[j - 2] + 1);
		}
	}
	return rows[na % 3][nb];
}

/* What still counts as a slip: one letter in three, and never the whole word. */
static size_t cutoff(const char *word, const char *name)
{
	size_t n = strlen(word), m = strlen(name), longer = n > m ? n : m;

	return least((longer + 2) / 3, least(n ? n - 1 : 0, 3));
}

void sd_suggest_init(struct sd_suggest *s, const char *word)
{
	*s = (struct sd_suggest){.word = word, .distance = (size_t)-1};
}

void sd_suggest_offer(struct sd_suggest *s, const char *name)
{
	size_t n = strlen(s->word), d = sd_edit_distance(s->word, name), limit = cutoff(s->word, name);

	/* A name that was not typed to its end is meant, however much is missing. */
	if (n >= 3 && n <= SD_SUGGEST_MAX && strncasecmp(s->word, name, n) == 0) {
		d = least(d, 1);
		limit = 1;
	}
	if (d <= limit && d < s->distance) {
		s->best = name;
		s->distance = d;
	}
}

const char *sd_suggest_of(const char *word, const char *const *names, size_t n)
{
	struct sd_suggest s;

	sd_suggest_init(&s, word);
	for (size_t i = 0; i < n; i++)
		sd_suggest_offer(&s, names[i]);
	return s.best;
}
