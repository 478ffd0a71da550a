/* text.h - a text that grows. */
#ifndef SD_CORE_TEXT_H
#define SD_CORE_TEXT_H

#include <stdbool.h>
#include <stddef.h>

struct sd_text {
	char *p; /* n bytes and a 0; NULL before the first */
	size_t n, room;
	bool full; /* out of memory: what comes is dropped, and sd_text_take gives NULL */
};

void sd_text_add(struct sd_text *t, const char *bytes, size_t n);
void sd_text_format(struct sd_text *t, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* n times the same character. */
void sd_text_fill(struct sd_text *t, char c, size_t n);
/* The text, for free; *n (unless NULL) its length. NULL: out of memory on the way. */
char *sd_text_take(struct sd_text *t, size_t *n);

#endif
