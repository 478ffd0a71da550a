#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_int.h"

void *sd_conf_alloc(struct sd_conf_mem *mem, size_t count, size_t size)
{
	size_t n;

	if (__builtin_mul_overflow(count, size, &n) ||
	    __builtin_add_overflow(n, sizeof(struct sd_conf_block), &n))
		return NULL;
	struct sd_conf_block *block = calloc(1, n);
	if (!block)
		return NULL;
	block->next = mem->blocks;
	mem->blocks = block;
	return block + 1;
}

char *sd_conf_text(struct sd_conf_mem *mem, const char *text, size_t n)
{
	char *copy = sd_conf_alloc(mem, n + 1, 1);

	if (copy && n)
		memcpy(copy, text, n);
	return copy;
}

char *sd_conf_textf(struct sd_conf_mem *mem, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	int n = vsnprintf(NULL, 0, fmt, ap);
	va_end(ap);
	char *text = n < 0 ? NULL : sd_conf_alloc(mem, (size_t)n + 1, 1);
	if (!text)
		return NULL;
	va_start(ap, fmt);
	vsnprintf(text, (size_t)n + 1, fmt, ap);
	va_end(ap);
	return text;
}

void sd_conf_mem_free(struct sd_conf_mem *mem)
{
	for (struct sd_conf_block *b = mem->blocks, *next; b; b = next) {
		next = b->next;
		free(b);
	}
	mem->blocks = NULL;
}
