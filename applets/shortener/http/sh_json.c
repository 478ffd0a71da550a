/* sh_json.c - JSON as people read it: members of the whole a line each, what is in them on that line, but objects of a list. */
#include <stdlib.h>

#include "sh_http.h"

static void put_value(struct sd_text *t, const cJSON *v)
{
	char *text = cJSON_PrintUnformatted(v);
	if (text)
		sd_text_add(t, text, strlen(text));
	else
		t->full = true;
	free(text);
}

static void put_name(struct sd_text *t, const cJSON *v)
{
	if (!v->string)
		return;
	cJSON *name = cJSON_CreateStringReference(v->string);
	if (name)
		put_value(t, name);
	else
		t->full = true;
	cJSON_Delete(name);
	sd_text_add(t, ": ", 2);
}

static void put(struct sd_text *t, const cJSON *v, unsigned depth);

/* lines: each on its own, so deep. */
static void put_children(struct sd_text *t, const cJSON *v, unsigned depth, bool lines)
{
	bool object = cJSON_IsObject(v);
	sd_text_add(t, object ? "{" : "[", 1);
	for (const cJSON *c = v->child; c; c = c->next) {
		if (lines) {
			sd_text_add(t, "\n", 1);
			sd_text_fill(t, ' ', 2 * ((size_t)depth + 1));
		}
		put_name(t, c);
		put(t, c, depth + 1);
		if (c->next)
			sd_text_add(t, ", ", lines ? 1 : 2);
	}
	if (lines) {
		sd_text_add(t, "\n", 1);
		sd_text_fill(t, ' ', 2 * (size_t)depth);
	}
	sd_text_add(t, object ? "}" : "]", 1);
}

static void put(struct sd_text *t, const cJSON *v, unsigned depth)
{
	if (cJSON_IsObject(v) || cJSON_IsArray(v))
		put_children(t, v, depth, v->child && (depth == 0 || (cJSON_IsArray(v) && cJSON_IsObject(v->child))));
	else
		put_value(t, v);
}

char *sh_json_text(cJSON *tree, size_t *n)
{
	struct sd_text t = {.full = !tree};
	if (tree)
		put(&t, tree, 0);
	sd_text_add(&t, "\n", 1);
	cJSON_Delete(tree);
	return sd_text_take(&t, n);
}
