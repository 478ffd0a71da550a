/* suggest.h - "did you mean ...?": the nearest of some names to a word that is none of them. */
#ifndef SD_CORE_SUGGEST_H
#define SD_CORE_SUGGEST_H

#include <stddef.h>

/* Words and names longer than this are compared with nothing. */
#define SD_SUGGEST_MAX 64

/* Offer it names one after the other, then look at best. */
struct sd_suggest {
	const char *word;
	const char *best; /* NULL: none is near enough; else one of the pointers that were offered */
	size_t distance;  /* of best */
};

void sd_suggest_init(struct sd_suggest *s, const char *word);
/* name must outlive s. Of names equally near the first one offered stays. */
void sd_suggest_offer(struct sd_suggest *s, const char *name);

/* The nearest of n names, or NULL. */
const char *sd_suggest_of(const char *word, const char *const *names, size_t n);

/* How many letters must be added, dropped, replaced or swapped with their neighbour to make b of a, without
 * regard to case (optimal string alignment). (size_t)-1 when one is longer than SD_SUGGEST_MAX. */
size_t sd_edit_distance(const char *a, const char *b);

#endif
