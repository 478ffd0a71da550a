#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/doc.h"

static struct sd_doc *parse(const char *text)
{
	struct sd_doc *doc = NULL;
	struct sd_error e = {SD_OK, ""};

	ck_assert_msg(sd_doc_parse("lb.yaml", text, strlen(text), &doc, &e) == SD_OK, "%s: %s", text, e.text);
	ck_assert_ptr_nonnull(doc);
	return doc;
}

static void refused_n(const char *text, size_t n, enum sd_err err, const char *message)
{
	struct sd_doc *doc = (struct sd_doc *)&doc;
	struct sd_error e = {SD_OK, ""};

	ck_assert_int_eq(sd_doc_parse("lb.yaml", text, n, &doc, &e), err);
	ck_assert_ptr_null(doc);
	ck_assert_str_eq(e.text, message);
	ck_assert_int_eq(sd_doc_parse("lb.yaml", text, n, &doc, NULL), err);
}

static void refused(const char *text, const char *message)
{
	refused_n(text, strlen(text), SD_EINVAL, message);
}

START_TEST(block)
{
	struct sd_doc *doc = parse("# a comment\n"
				   "port: 8080\n"
				   "health:\n"
				   "  interval: 5s\n"
				   "backends:\n"
				   "  - address: 127.0.0.1:8081\n"
				   "    name: 'A b'\n"
				   "  - :8082\n");
	const struct sd_node *n = doc->root;

	ck_assert_str_eq(doc->name, "lb.yaml");
	ck_assert_int_eq(n->kind, SD_NODE_MAP);
	ck_assert_uint_eq(n->count, 3);
	ck_assert_str_eq(n->keys[1], "health");
	ck_assert_int_eq(n->key_lines[1], 3);
	ck_assert_int_eq(n->key_columns[1], 1);
	n = sd_node_get(sd_node_get(doc->root, "health"), "interval");
	ck_assert_str_eq(n->text, "5s");
	ck_assert_int_eq(n->line, 4);
	ck_assert_int_eq(n->column, 13);
	ck_assert(!n->quoted);
	n = sd_node_get(doc->root, "backends");
	ck_assert_int_eq(n->kind, SD_NODE_LIST);
	ck_assert_uint_eq(n->count, 2);
	ck_assert_str_eq(sd_node_get(n->items[0], "address")->text, "127.0.0.1:8081");
	ck_assert(sd_node_get(n->items[0], "name")->quoted);
	ck_assert_str_eq(n->items[1]->text, ":8082");
	ck_assert_ptr_null(sd_node_get(doc->root, "nothing"));
	ck_assert_ptr_null(sd_node_get(n, "name"));
	ck_assert_ptr_null(sd_node_get(NULL, "name"));
	sd_doc_free(doc);
}
END_TEST

START_TEST(flow_and_json)
{
	struct sd_doc *doc = parse("{\"port\":80,\n\t\"name\": \"a\\u00e9\\/\\n\", \"list\": [1,2 , "
				   "\"3\"],\"none\":null,\"m\":{},\"l\":[]}");

	ck_assert_str_eq(sd_node_get(doc->root, "port")->text, "80");
	ck_assert(!sd_node_get(doc->root, "port")->quoted);
	ck_assert_str_eq(sd_node_get(doc->root, "name")->text, "a\xc3\xa9/\n");
	ck_assert_uint_eq(sd_node_get(doc->root, "list")->count, 3);
	ck_assert(sd_node_get(doc->root, "list")->items[2]->quoted);
	ck_assert_str_eq(sd_node_get(doc->root, "none")->text, "");
	ck_assert(!sd_node_get(doc->root, "none")->quoted);
	ck_assert_uint_eq(sd_node_get(doc->root, "m")->count, 0);
	ck_assert_uint_eq(sd_node_get(doc->root, "l")->count, 0);
	sd_doc_free(doc);
	doc = parse("{address: 127.0.0.1:8081, url: redis://h:1}");
	ck_assert_str_eq(sd_node_get(doc->root, "address")->text, "127.0.0.1:8081");
	ck_assert_str_eq(sd_node_get(doc->root, "url")->text, "redis://h:1");
	sd_doc_free(doc);
}
END_TEST

START_TEST(nothing)
{
	static const char *const empty[] = {"",  "\n\n",   "# only a comment\n", "---\n",
					    "~", "null\n", "---\n...\n"};

	for (size_t i = 0; i < sizeof empty / sizeof *empty; i++) {
		struct sd_doc *doc = parse(empty[i]);
		ck_assert_int_eq(doc->root->kind, SD_NODE_MAP);
		ck_assert_uint_eq(doc->root->count, 0);
		ck_assert_int_eq(doc->root->line, 1);
		sd_doc_free(doc);
	}
	struct sd_doc *doc = parse("\"\"");
	ck_assert_int_eq(doc->root->kind, SD_NODE_SCALAR);
	sd_doc_free(doc);
	sd_doc_free(NULL);
}
END_TEST

START_TEST(core_tags)
{
	struct sd_doc *doc =
	    parse("a: !!str 5\nb: !!int 5\nc: !!map {}\nd: !!seq []\ne: ! 5\nf: !!null ''\n");

	ck_assert(sd_node_get(doc->root, "a")->quoted);
	ck_assert(!sd_node_get(doc->root, "b")->quoted);
	ck_assert(sd_node_get(doc->root, "e")->quoted);
	sd_doc_free(doc);
	refused("a: !secret x\n", "lb.yaml:1:4: the tag !secret is not supported here");
	refused("a: !!python/object x\n",
		"lb.yaml:1:4: the tag tag:yaml.org,2002:python/object is not supported here");
	refused("a: !!map x\n", "lb.yaml:1:4: the tag tag:yaml.org,2002:map is not supported here");
	refused("a: !!str [x]\n", "lb.yaml:1:4: the tag tag:yaml.org,2002:str is not supported here");
}
END_TEST

START_TEST(duplicates)
{
	refused("port: 1\nname: a\nport: 2\nname: b\n",
		"lb.yaml:3:1: the key \"port\" is there twice (first in line 1)");
	refused("a:\n  x: 1\n  \"x\": 2\n", "lb.yaml:3:3: the key \"x\" is there twice (first in line 2)");
	refused("{a: 1, a: 2, a: 3}", "lb.yaml:1:8: the key \"a\" is there twice (first in line 1)");
}
END_TEST

START_TEST(anchors)
{
	refused("a: &x 1\n", "lb.yaml:1:4: anchors and aliases are not supported: &x");
	refused("a: &x [1]\n", "lb.yaml:1:4: anchors and aliases are not supported: &x");
	refused("a: &x {b: 1}\n", "lb.yaml:1:4: anchors and aliases are not supported: &x");
	refused("a: *x\n", "lb.yaml:1:4: anchors and aliases are not supported: *x");
	refused("? *x\n: 1\n", "lb.yaml:1:3: anchors and aliases are not supported: *x");
	refused("&x a: 1\n", "lb.yaml:1:1: anchors and aliases are not supported: &x");
}
END_TEST

START_TEST(documents)
{
	refused("a: 1\n---\nb: 2\n", "lb.yaml:2:1: a second document begins here; one is expected");
	struct sd_doc *doc = parse("---\na: 1\n...\n");
	sd_doc_free(doc);
}
END_TEST

START_TEST(wrong_form)
{
	refused("a: [1\n", "lb.yaml:2:1: did not find expected ',' or ']', while parsing a flow sequence");
	refused(
	    "a:\n\t- b\n",
	    "lb.yaml:2:1: found character that cannot start any token, while scanning for the next token");
	refused("port: 1\n bad: 2\n", "lb.yaml:2:5: mapping values are not allowed in this context");
	refused("? [a]\n: b\n", "lb.yaml:1:3: expected a key, found a list");
	refused("? {a: 1}\n: b\n", "lb.yaml:1:3: expected a key, found a map");
	refused("a: \"x\\0y\"\n", "lb.yaml:1:4: a text with a NUL character in it");
	refused("\"a\\0\": 1\n", "lb.yaml:1:1: a text with a NUL character in it");
	refused("a: 1\nb: \xff\n", "lb.yaml:2:4: not text in UTF-8: invalid leading UTF-8 octet");
	refused("\xc3\xa4: 1\n\xc3\xa4: \xff\n",
		"lb.yaml:2:4: not text in UTF-8: invalid leading UTF-8 octet");
	refused("a: \x01\n", "lb.yaml:1:4: not text in UTF-8: control characters are not allowed");
}
END_TEST

static char *nested(size_t depth)
{
	char *text = calloc(2 * depth + 1, 1);

	memset(text, '[', depth);
	memset(text + depth, ']', depth);
	return text;
}

START_TEST(depth)
{
	char *text = nested(33);
	struct sd_doc *doc = parse(text);

	sd_doc_free(doc);
	free(text);
	text = nested(34);
	refused(text, "lb.yaml:1:34: nested deeper than 32");
	free(text);
	text = nested(100000);
	refused(text, "lb.yaml:1:34: nested deeper than 32");
	free(text);
}
END_TEST

START_TEST(too_big)
{
	size_t n = 1u << 20;
	char *text = malloc(n + 1);
	struct sd_doc *doc;

	memset(text, ' ', n + 1);
	ck_assert_int_eq(sd_doc_parse("lb.yaml", text, n, &doc, NULL), SD_OK);
	sd_doc_free(doc);
	refused_n(text, n + 1, SD_ETOOBIG, "lb.yaml: larger than 1 MiB");
	free(text);
}
END_TEST

/* Many keys must not take quadratic time. */
START_TEST(many_keys)
{
	size_t size = 1u << 20, n = 0, keys = 0;
	char *text = malloc(size);

	while (n + 16 < size)
		n += (size_t)snprintf(text + n, size - n, "k%zu:\n", keys++);
	struct sd_doc *doc;
	ck_assert_int_eq(sd_doc_parse("lb.yaml", text, n, &doc, NULL), SD_OK);
	ck_assert_uint_eq(doc->root->count, keys);
	sd_doc_free(doc);
	free(text);
}
END_TEST

START_TEST(fail)
{
	struct sd_doc *doc = parse("a: b\n");
	struct sd_error e;

	ck_assert_int_eq(sd_node_fail(doc, sd_node_get(doc->root, "a"), &e, "no %s", "way"), SD_EINVAL);
	ck_assert_str_eq(e.text, "lb.yaml:1:4: no way");
	ck_assert_int_eq(sd_node_fail(doc, NULL, &e, "no %s", "way"), SD_EINVAL);
	ck_assert_str_eq(e.text, "lb.yaml: no way");
	sd_doc_free(doc);
}
END_TEST

int main(void)
{
	Suite *s = suite_create("doc");
	TCase *t = tcase_create("doc");

	tcase_add_test(t, block);
	tcase_add_test(t, flow_and_json);
	tcase_add_test(t, nothing);
	tcase_add_test(t, core_tags);
	tcase_add_test(t, duplicates);
	tcase_add_test(t, anchors);
	tcase_add_test(t, documents);
	tcase_add_test(t, wrong_form);
	tcase_add_test(t, depth);
	tcase_add_test(t, too_big);
	tcase_add_test(t, many_keys);
	tcase_add_test(t, fail);
	tcase_set_timeout(t, 60);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
