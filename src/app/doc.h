/* doc.h - a YAML or JSON document as a tree that remembers where everything stood.
 *
 * Read through libyaml (JSON is read as the YAML it is). Anchors and aliases, tags other than the core ones, multiple
 * documents, duplicate keys and nesting beyond 32 are refused, with file, line and column.
 */
#ifndef SD_APP_DOC_H
#define SD_APP_DOC_H

#include <stdbool.h>
#include <stddef.h>

#include "sdlab/err.h"

enum sd_node_kind { SD_NODE_SCALAR, SD_NODE_LIST, SD_NODE_MAP };

struct sd_node {
	enum sd_node_kind kind;
	int line, column;       /* from 1; of the value */
	char *text;             /* scalar: its text; "" for an empty (null) one */
	bool quoted;            /* scalar: was quoted, so never a number, bool or null */
	size_t count;           /* list and map: children */
	struct sd_node **items; /* list: elements; map: values */
	char **keys;            /* map */
	int *key_lines, *key_columns;
};

struct sd_doc {
	char *name; /* the file's name, for messages */
	struct sd_node *root;
};

/* Parses len bytes of text; name is for messages ("lb.yaml:12:5: ..."). An empty document is an empty map.
 * On success *out is the caller's, to be freed with sd_doc_free. */
enum sd_err sd_doc_parse(const char *name, const char *text, size_t len, struct sd_doc **out, struct sd_error *e);
void sd_doc_free(struct sd_doc *doc);

/* The value of a key of a map node, or NULL. */
const struct sd_node *sd_node_get(const struct sd_node *map, const char *key);

/* Fills *e with "NAME:LINE:COLUMN: <formatted>" and returns SD_EINVAL. */
enum sd_err sd_node_fail(const struct sd_doc *doc, const struct sd_node *node, struct sd_error *e, const char *fmt,
			 ...) __attribute__((format(printf, 4, 5)));

#endif
