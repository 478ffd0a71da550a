/* An access log. What is handed on can be sent as it is: a token, a path that fits the first line of a request, a time that
 * counts; and a log written from it in the plainest form reads back as the same entries. What is refused says where, in one
 * line.
 */
#include <cjson/cJSON.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../../applets/load/load_access.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert, stays with NDEBUG. */
#define HOLDS(condition) ((condition) ? (void)0 : abort())

struct logs {
	FILE *plain; /* NULL: the second time round */
	size_t n;
	uint64_t sum;
};

static uint64_t mix(uint64_t sum, struct sd_slice s)
{
	for (size_t i = 0; i < s.n; i++)
		sum = (sum ^ (unsigned char)s.p[i]) * 0x100000001b3u;
	return sum * 31 + s.n;
}

static void put(FILE *out, const char *key, struct sd_slice s)
{
	char *copy = strndup(s.n ? s.p : "", s.n);
	cJSON *text = cJSON_CreateString(copy);
	char *json = cJSON_PrintUnformatted(text);
	HOLDS(copy && json);
	fprintf(out, "\"%s\":%s", key, json);
	free(json);
	free(copy);
	cJSON_Delete(text);
}

static enum sd_err take(void *arg, const struct load_access *a, struct sd_error *e)
{
	struct logs *l = arg;
	bool options = sd_slice_eq(a->method, "OPTIONS") && sd_slice_eq(a->path, "*");
	(void)e;
	HOLDS(a->at_ns >= 0 && a->method.n > 0 && a->path.n > 0 && (a->path.p[0] == '/' || options));
	HOLDS(!memchr(a->method.p, ' ', a->method.n));
	for (size_t i = 0; i < a->path.n; i++)
		HOLDS((unsigned char)a->path.p[i] > ' ' && a->path.p[i] != 127);
	l->n++;
	l->sum = mix(mix(mix(l->sum, a->method), a->path), a->body);
	if (l->plain) {
		fputs("{\"ts\":1,", l->plain);
		put(l->plain, "method", a->method);
		fputc(',', l->plain);
		put(l->plain, "path", a->path);
		fputc(',', l->plain);
		put(l->plain, "body", a->body);
		fputs("}\n", l->plain);
	}
	return SD_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct sd_error e = {SD_OK, ""};
	struct logs first = {0}, second = {0};
	char *text = NULL;
	size_t n;
	first.plain = open_memstream(&text, &n);
	HOLDS(first.plain != NULL);
	enum sd_err err = load_access_read("f", (const char *)data, size, take, &first, &e);
	fclose(first.plain);
	if (err)
		HOLDS(err == SD_EINVAL && strncmp(e.text, "f:", 2) == 0 && !strchr(e.text, '\n'));
	HOLDS(load_access_read("f", text, n, take, &second, &e) == SD_OK);
	HOLDS(first.n == second.n && first.sum == second.sum);
	free(text);
	return 0;
}
