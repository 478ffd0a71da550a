#include "doc.h"

#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <yaml.h>

#define MAX_BYTES (1u << 20)
#define MAX_DEPTH 32

struct reader {
	yaml_parser_t parser;
	const char *name;
	const char *text;
	size_t len;
	struct sd_error *e;
};

static void node_free(struct sd_node *node)
{
	if (!node)
		return;
	for (size_t i = 0; i < node->count; i++) {
		node_free(node->items[i]);
		if (node->kind == SD_NODE_MAP)
			free(node->keys[i]);
	}
	free(node->text);
	free(node->items);
	free(node->keys);
	free(node->key_lines);
	free(node->key_columns);
	free(node);
}

void sd_doc_free(struct sd_doc *doc)
{
	if (!doc)
		return;
	node_free(doc->root);
	free(doc->name);
	free(doc);
}

const struct sd_node *sd_node_get(const struct sd_node *map, const char *key)
{
	if (!map || map->kind != SD_NODE_MAP)
		return NULL;
	for (size_t i = 0; i < map->count; i++)
		if (strcmp(map->keys[i], key) == 0)
			return map->items[i];
	return NULL;
}

enum sd_err sd_node_fail(const struct sd_doc *doc, const struct sd_node *node, struct sd_error *e,
			 const char *fmt, ...)
{
	char text[sizeof e->text];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	if (!node)
		return sd_fail(e, SD_EINVAL, "%s: %s", doc->name, text);
	return sd_fail(e, SD_EINVAL, "%s:%d:%d: %s", doc->name, node->line, node->column, text);
}

static enum sd_err no_memory(struct reader *r)
{
	return sd_fail(r->e, SD_ENOMEM, "%s: out of memory", r->name);
}

static enum sd_err fail_at(struct reader *r, const yaml_mark_t *mark, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static enum sd_err fail_at(struct reader *r, const yaml_mark_t *mark, const char *fmt, ...)
{
	char text[sizeof r->e->text];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	return sd_fail(r->e, SD_EINVAL, "%s:%zu:%zu: %s", r->name, mark->line + 1, mark->column + 1, text);
}

/* Bytes that are no text have only an offset; finds line and column of it. */
static yaml_mark_t mark_of(const struct reader *r, size_t offset)
{
	yaml_mark_t mark = {.index = offset};

	for (size_t i = 0; i < offset && i < r->len; i++) {
		if (r->text[i] == '\n') {
			mark.line++;
			mark.column = 0;
		} else if (((unsigned char)r->text[i] & 0xc0) != 0x80) {
			mark.column++;
		}
	}
	return mark;
}

/* The library found the text wrong. */
static enum sd_err fail_parser(struct reader *r)
{
	const yaml_parser_t *p = &r->parser;

	if (p->error == YAML_MEMORY_ERROR)
		return no_memory(r);
	if (p->error == YAML_READER_ERROR) {
		yaml_mark_t mark = mark_of(r, p->problem_offset);
		return fail_at(r, &mark, "not text in UTF-8: %s", p->problem);
	}
	return fail_at(r, &p->problem_mark, "%s%s%s", p->problem ? p->problem : "not YAML",
		       p->context ? ", " : "", p->context ? p->context : "");
}

static enum sd_err next(struct reader *r, yaml_event_t *event)
{
	if (!yaml_parser_parse(&r->parser, event))
		return fail_parser(r);
	return SD_OK;
}

/* Only the tags that say what the value is anyway. */
static enum sd_err check_tag(struct reader *r, const yaml_event_t *event, const yaml_char_t *tag,
			     enum sd_node_kind kind)
{
	static const char core[] = "tag:yaml.org,2002:";
	static const char *const known[][6] = {
	    [SD_NODE_SCALAR] = {"str", "int", "float", "bool", "null"},
	    [SD_NODE_LIST] = {"seq"},
	    [SD_NODE_MAP] = {"map"},
	};
	const char *text = (const char *)tag;

	if (!text || strcmp(text, "!") == 0)
		return SD_OK;
	if (strncmp(text, core, sizeof core - 1) == 0)
		for (size_t i = 0; known[kind][i]; i++)
			if (strcmp(text + sizeof core - 1, known[kind][i]) == 0)
				return SD_OK;
	return fail_at(r, &event->start_mark, "the tag %.80s is not supported here", text);
}

static enum sd_err check_anchor(struct reader *r, const yaml_event_t *event, const yaml_char_t *anchor)
{
	if (!anchor)
		return SD_OK;
	return fail_at(r, &event->start_mark, "anchors and aliases are not supported: &%.80s",
		       (const char *)anchor);
}

static bool is_null(const char *text)
{
	return strcmp(text, "~") == 0 || strcmp(text, "null") == 0 || strcmp(text, "Null") == 0 ||
	       strcmp(text, "NULL") == 0;
}

static enum sd_err read_scalar(struct reader *r, const yaml_event_t *event, struct sd_node *node)
{
	const char *text = (const char *)event->data.scalar.value;
	const char *tag = (const char *)event->data.scalar.tag;
	size_t len = event->data.scalar.length;
	enum sd_err err = check_anchor(r, event, event->data.scalar.anchor);

	if (err == SD_OK)
		err = check_tag(r, event, event->data.scalar.tag, SD_NODE_SCALAR);
	if (err != SD_OK)
		return err;
	if (memchr(text, 0, len))
		return fail_at(r, &event->start_mark, "a text with a NUL character in it");
	node->quoted = event->data.scalar.style != YAML_PLAIN_SCALAR_STYLE ||
		       (tag && (strcmp(tag, "!") == 0 || strcmp(tag, YAML_STR_TAG) == 0));
	node->text = strdup(!node->quoted && is_null(text) ? "" : text);
	return node->text ? SD_OK : no_memory(r);
}

/* The array with room for one more; NULL when out of memory (then the old one still stands). */
static void *grown(void *array, size_t count, size_t size)
{
	/* Room for 4, then twice as much whenever a power of two is full. */
	if (count != 0 && (count < 4 || (count & (count - 1))))
		return array;
	return reallocarray(array, count ? 2 * count : 4, size);
}

static bool grow_keys(struct sd_node *map)
{
	char **keys = grown(map->keys, map->count, sizeof *keys);
	if (keys)
		map->keys = keys;
	int *lines = grown(map->key_lines, map->count, sizeof *lines);
	if (lines)
		map->key_lines = lines;
	int *columns = grown(map->key_columns, map->count, sizeof *columns);
	if (columns)
		map->key_columns = columns;
	return keys && lines && columns;
}

/* Makes room for one more child; its slot is NULL and counted, so that freeing works at any point. */
static enum sd_err add_slot(struct reader *r, struct sd_node *node)
{
	struct sd_node **items = grown(node->items, node->count, sizeof(*items));

	if (!items)
		return no_memory(r);
	node->items = items;
	if (node->kind == SD_NODE_MAP) {
		if (!grow_keys(node))
			return no_memory(r);
		node->keys[node->count] = NULL;
	}
	node->items[node->count++] = NULL;
	return SD_OK;
}

static enum sd_err read_key(struct reader *r, yaml_event_t *event, struct sd_node *map)
{
	struct sd_node scalar = {.kind = SD_NODE_SCALAR};

	if (event->type == YAML_ALIAS_EVENT)
		return fail_at(r, &event->start_mark, "anchors and aliases are not supported: *%.80s",
			       (const char *)event->data.alias.anchor);
	if (event->type != YAML_SCALAR_EVENT)
		return fail_at(r, &event->start_mark, "expected a key, found a %s",
			       event->type == YAML_SEQUENCE_START_EVENT ? "list" : "map");
	enum sd_err err = read_scalar(r, event, &scalar);
	if (err == SD_OK)
		err = add_slot(r, map);
	if (err != SD_OK) {
		free(scalar.text);
		return err;
	}
	map->keys[map->count - 1] = scalar.text;
	map->key_lines[map->count - 1] = (int)event->start_mark.line + 1;
	map->key_columns[map->count - 1] = (int)event->start_mark.column + 1;
	return SD_OK;
}

struct key_index {
	const char *key;
	size_t index;
};

static int compare_keys(const void *a, const void *b)
{
	const struct key_index *x = a, *y = b;
	int by_key = strcmp(x->key, y->key);

	return by_key ? by_key : (x->index > y->index) - (x->index < y->index);
}

/* Sorted, not compared each with each: a file may hold a hundred thousand keys. */
static enum sd_err check_duplicates(struct reader *r, const struct sd_node *map)
{
	struct key_index *sorted = calloc(map->count + 1, sizeof *sorted);
	size_t first = 0, second = SIZE_MAX;

	if (!sorted)
		return no_memory(r);
	for (size_t i = 0; i < map->count; i++)
		sorted[i] = (struct key_index){map->keys[i], i};
	qsort(sorted, map->count, sizeof *sorted, compare_keys);
	for (size_t i = 1; i < map->count; i++) {
		if (strcmp(sorted[i].key, sorted[i - 1].key) == 0 && sorted[i].index < second) {
			first = sorted[i - 1].index;
			second = sorted[i].index;
		}
	}
	free(sorted);
	if (second == SIZE_MAX)
		return SD_OK;
	yaml_mark_t mark = {.line = (size_t)map->key_lines[second] - 1,
			    .column = (size_t)map->key_columns[second] - 1};
	return fail_at(r, &mark, "the key \"%.80s\" is there twice (first in line %d)", map->keys[second],
		       map->key_lines[first]);
}

static enum sd_err read_node(struct reader *r, yaml_event_t *event, int depth, struct sd_node **out);

/* Reads children up to the end event of the list or map. */
static enum sd_err read_children(struct reader *r, struct sd_node *node, yaml_event_type_t end, int depth)
{
	for (;;) {
		yaml_event_t event;
		enum sd_err err = next(r, &event);
		if (err != SD_OK)
			return err;
		if (event.type == end) {
			yaml_event_delete(&event);
			return node->kind == SD_NODE_MAP ? check_duplicates(r, node) : SD_OK;
		}
		if (node->kind == SD_NODE_MAP) {
			err = read_key(r, &event, node);
			yaml_event_delete(&event);
			if (err == SD_OK)
				err = next(r, &event);
			if (err != SD_OK)
				return err;
		} else if ((err = add_slot(r, node)) != SD_OK) {
			yaml_event_delete(&event);
			return err;
		}
		err = read_node(r, &event, depth + 1, &node->items[node->count - 1]);
		yaml_event_delete(&event);
		if (err != SD_OK)
			return err;
	}
}

static enum sd_err read_list(struct reader *r, const yaml_event_t *event, struct sd_node *node, int depth)
{
	enum sd_err err = check_anchor(r, event, event->data.sequence_start.anchor);

	node->kind = SD_NODE_LIST;
	if (err == SD_OK)
		err = check_tag(r, event, event->data.sequence_start.tag, SD_NODE_LIST);
	return err == SD_OK ? read_children(r, node, YAML_SEQUENCE_END_EVENT, depth) : err;
}

static enum sd_err read_map(struct reader *r, const yaml_event_t *event, struct sd_node *node, int depth)
{
	enum sd_err err = check_anchor(r, event, event->data.mapping_start.anchor);

	node->kind = SD_NODE_MAP;
	if (err == SD_OK)
		err = check_tag(r, event, event->data.mapping_start.tag, SD_NODE_MAP);
	return err == SD_OK ? read_children(r, node, YAML_MAPPING_END_EVENT, depth) : err;
}

/* Reads the node that begins with this event; the event stays the caller's. */
static enum sd_err read_node(struct reader *r, yaml_event_t *event, int depth, struct sd_node **out)
{
	if (event->type == YAML_ALIAS_EVENT)
		return fail_at(r, &event->start_mark, "anchors and aliases are not supported: *%.80s",
			       (const char *)event->data.alias.anchor);
	if (depth > MAX_DEPTH)
		return fail_at(r, &event->start_mark, "nested deeper than %d", MAX_DEPTH);
	struct sd_node *node = *out = calloc(1, sizeof *node);
	if (!node)
		return no_memory(r);
	node->line = (int)event->start_mark.line + 1;
	node->column = (int)event->start_mark.column + 1;
	switch (event->type) {
	case YAML_SCALAR_EVENT:
		return read_scalar(r, event, node);
	case YAML_SEQUENCE_START_EVENT:
		return read_list(r, event, node, depth);
	default:
		return read_map(r, event, node, depth);
	}
}

/* The next event, which tells only of the frame: the stream's or document's start or end. */
static enum sd_err skip_event(struct reader *r, yaml_event_type_t *type, yaml_mark_t *mark)
{
	yaml_event_t event;
	enum sd_err err = next(r, &event);

	if (err != SD_OK)
		return err;
	*type = event.type;
	*mark = event.start_mark;
	yaml_event_delete(&event);
	return SD_OK;
}

static bool is_nothing(const struct sd_node *node)
{
	return node && node->kind == SD_NODE_SCALAR && !node->quoted && node->text && !*node->text;
}

/* An empty document is an empty map. */
static enum sd_err make_empty(struct reader *r, struct sd_node **root)
{
	node_free(*root);
	*root = calloc(1, sizeof **root);
	if (!*root)
		return no_memory(r);
	(*root)->kind = SD_NODE_MAP;
	(*root)->line = (*root)->column = 1;
	return SD_OK;
}

static enum sd_err read_document(struct reader *r, struct sd_node **root)
{
	yaml_event_type_t type;
	yaml_mark_t mark;
	yaml_event_t event;
	enum sd_err err = skip_event(r, &type, &mark); /* the stream's start */

	if (err == SD_OK)
		err = skip_event(r, &type, &mark);
	if (err != SD_OK)
		return err;
	if (type == YAML_STREAM_END_EVENT)
		return make_empty(r, root);
	if ((err = next(r, &event)) != SD_OK)
		return err;
	err = read_node(r, &event, 0, root);
	yaml_event_delete(&event);
	if (err == SD_OK)
		err = skip_event(r, &type, &mark); /* the document's end */
	if (err == SD_OK)
		err = skip_event(r, &type, &mark);
	if (err == SD_OK && type != YAML_STREAM_END_EVENT)
		return fail_at(r, &mark, "a second document begins here; one is expected");
	return err == SD_OK && is_nothing(*root) ? make_empty(r, root) : err;
}

enum sd_err sd_doc_parse(const char *name, const char *text, size_t len, struct sd_doc **out,
			 struct sd_error *e)
{
	struct reader r = {.name = name, .text = text, .len = len, .e = e};

	*out = NULL;
	if (len > MAX_BYTES)
		return sd_fail(e, SD_ETOOBIG, "%s: larger than 1 MiB", name);
	struct sd_doc *doc = calloc(1, sizeof *doc);
	if (!doc || !(doc->name = strdup(name)) || !yaml_parser_initialize(&r.parser)) {
		sd_doc_free(doc);
		return no_memory(&r);
	}
	yaml_parser_set_encoding(&r.parser, YAML_UTF8_ENCODING);
	yaml_parser_set_input_string(&r.parser, (const unsigned char *)text, len);
	enum sd_err err = read_document(&r, &doc->root);
	yaml_parser_delete(&r.parser);
	if (err != SD_OK) {
		sd_doc_free(doc);
		return err;
	}
	*out = doc;
	return SD_OK;
}
