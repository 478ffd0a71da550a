#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "conf_int.h"

enum sd_err sd_conf_no_memory(struct sd_conf_maker *m)
{
	return sd_fail(m->e, SD_ENOMEM, "out of memory");
}

enum sd_err sd_conf_fail(struct sd_conf_maker *m, const struct sd_conf_place *at, const char *fmt, ...)
{
	char text[sizeof m->e->text];
	const char *key = at->key ? at->key : "", *colon = at->key ? ": " : "";
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof text, fmt, ap);
	va_end(ap);
	switch (at->rank) {
	case SD_CONF_FILE:
		return sd_node_fail(at->doc, at->node, m->e, "%s%s%s", key, colon, text);
	case SD_CONF_ENV:
		return sd_fail(m->e, SD_EINVAL, "%s: %s", at->name, text);
	case SD_CONF_ARGS:
		return sd_fail(m->e, SD_EUSAGE, "%s: %s%s%s", at->name, key, colon, text);
	case SD_CONF_DEFAULT:
		break;
	}
	fprintf(stderr, "sdlab: the default of the option \"%s\" is wrong: %s\n", key, text);
	abort();
}

enum sd_err sd_conf_unexpected(struct sd_conf_maker *m, const struct sd_conf_place *at,
			       const struct sd_option *opt, const char *found)
{
	char expected[sizeof m->e->text];
	bool names = m->from && m->from->resolve_name;

	sd_conf_type_expected(opt, names, expected, sizeof expected);
	return sd_conf_fail(m, at, "expected %s, found %s", expected, found);
}

static enum sd_err unexpected_text(struct sd_conf_maker *m, const struct sd_conf_place *at,
				   const struct sd_option *opt, const char *text)
{
	char found[80], expected[sizeof m->e->text];
	struct sd_suggest s;
	const char *choice;
	size_t n;

	sd_conf_quote(text, found, sizeof found);
	if (opt->type != SD_OPT_ENUM)
		return sd_conf_unexpected(m, at, opt, found);
	sd_suggest_init(&s, text);
	for (size_t i = 0; sd_option_choice(opt->choices, i, &choice, &n); i++) {
		const char *copy = sd_conf_text(m->mem, choice, n);
		if (!copy)
			return sd_conf_no_memory(m);
		sd_suggest_offer(&s, copy);
	}
	if (!s.best)
		return sd_conf_unexpected(m, at, opt, found);
	sd_conf_type_expected(opt, false, expected, sizeof expected);
	return sd_conf_fail(m, at, "expected %s, found %s; did you mean %s?", expected, found, s.best);
}

static const char *origin_of(struct sd_conf_maker *m, const struct sd_conf_place *at)
{
	if (at->rank == SD_CONF_FILE)
		return sd_conf_textf(m->mem, "%s:%d:%d", at->doc->name, at->node->line, at->node->column);
	return sd_conf_text(m->mem, at->name, strlen(at->name));
}

/* The name of an option says where it is by itself. */
static const char *place_of(struct sd_conf_maker *m, const struct sd_conf_value *v, const struct sd_conf_place *at)
{
	return at->rank == SD_CONF_FILE || at->key ? sd_conf_textf(m->mem, "%s: %s", v->origin, v->opt->name) : v->origin;
}

/* The value is now what the place says; what lower ranks said is forgotten. */
static enum sd_err begin(struct sd_conf_maker *m, struct sd_conf_value *v, const struct sd_conf_place *at)
{
	if (v->has && v->rank == at->rank)
		return SD_OK;
	v->has = true;
	v->rank = at->rank;
	v->count = 0;
	v->origin = v->place = NULL;
	if (at->rank == SD_CONF_DEFAULT)
		return SD_OK;
	v->origin = origin_of(m, at);
	if (v->origin)
		v->place = place_of(m, v, at);
	return v->place ? SD_OK : sd_conf_no_memory(m);
}

/* ---- addresses that are names ---- */

static bool is_name(const char *text)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._";

	return *text && text[strspn(text, letters)] == '\0';
}

/* The i-th of "a,b,c", copied. */
static const char *nth(struct sd_conf_maker *m, const char *list, size_t i)
{
	for (; i > 0; i--)
		list += strcspn(list, ",") + 1;
	return sd_conf_text(m->mem, list, strcspn(list, ","));
}

/* When *text names a service: *list becomes its addresses, *n their number, else *n is 0. */
static enum sd_err resolve(struct sd_conf_maker *m, const char *text, const char **list, size_t *n)
{
	char out[8192] = "";

	*n = 0;
	if (!m->from || !m->from->resolve_name || !is_name(text) ||
	    !m->from->resolve_name(m->from->resolve_arg, text, out, sizeof out) || !*out)
		return SD_OK;
	for (const char *p = out; p; p = strchr(p + 1, ','))
		++*n;
	*list = sd_conf_text(m->mem, out, strlen(out));
	return *list ? SD_OK : sd_conf_no_memory(m);
}

/* One address of the service *text names; which of several is decided by the row in hand. */
static enum sd_err resolve_one(struct sd_conf_maker *m, const struct sd_conf_place *at, const char **text)
{
	const char *list = NULL;
	size_t n;
	enum sd_err err = resolve(m, *text, &list, &n);

	if (err != SD_OK || n == 0)
		return err;
	if (n > 1 && !m->pick.in_row)
		return sd_conf_fail(m, at, "expected one address, found \"%s\", which has %zu", *text, n);
	if (n > 1 && m->pick.count > 1 && m->pick.count != n)
		return sd_conf_fail(m, at, "\"%s\" has %zu addresses, another service of this row has %zu",
				    *text, n, m->pick.count);
	if (m->pick.in_row) {
		m->pick.service = sd_conf_text(m->mem, *text, strlen(*text));
		if (!m->pick.service)
			return sd_conf_no_memory(m);
		if (n > 1)
			m->pick.count = n;
	}
	*text = nth(m, list, n > 1 ? m->pick.index : 0);
	return *text ? SD_OK : sd_conf_no_memory(m);
}

/* ---- scalars ---- */

/* A file that a file names lies beside it. */
static const char *beside(struct sd_conf_maker *m, const struct sd_conf_place *at, const char *text)
{
	const char *slash = at->rank == SD_CONF_FILE ? strrchr(at->doc->name, '/') : NULL;

	if (!slash || *text == '/' || strcmp(text, "-") == 0)
		return sd_conf_text(m->mem, text, strlen(text));
	return sd_conf_textf(m->mem, "%.*s/%s", (int)(slash - at->doc->name), at->doc->name, text);
}

static bool is_file(const struct sd_option *opt, const char *text)
{
	return opt->type == SD_OPT_FILE || (opt->pattern && !strchr(text, ':')); /* else a URL */
}

static enum sd_err set_scalar(struct sd_conf_maker *m, struct sd_conf_value *v,
			      const struct sd_conf_place *at, const char *text)
{
	struct sd_conf_value new = {.opt = v->opt};
	enum sd_err err = SD_OK;

	if (!sd_conf_is_utf8(text))
		return unexpected_text(m, at, v->opt, text);
	if (v->opt->type == SD_OPT_ADDRESS)
		err = resolve_one(m, at, &text);
	if (err != SD_OK)
		return err;
	if (sd_conf_type_parse(&new, text) != SD_OK)
		return unexpected_text(m, at, v->opt, text);
	if (new.text) {
		new.text = is_file(v->opt, text) ? beside(m, at, text) : sd_conf_text(m->mem, text, strlen(text));
		if (!new.text)
			return sd_conf_no_memory(m);
	}
	*v = new;
	return begin(m, v, at);
}

/* ---- lists ---- */

static enum sd_err push_item(struct sd_conf_maker *m, struct sd_conf_value *v, const char *text)
{
	if (v->count == v->room) {
		size_t room = v->room ? 2 * v->room : 8;
		const char **items = sd_conf_alloc(m->mem, room, sizeof *items);
		if (!items)
			return sd_conf_no_memory(m);
		if (v->count)
			memcpy(items, v->items, v->count * sizeof *items);
		v->items = items;
		v->room = room;
	}
	v->items[v->count++] = text;
	return text ? SD_OK : sd_conf_no_memory(m);
}

static enum sd_err add_item(struct sd_conf_maker *m, struct sd_conf_value *v, const struct sd_conf_place *at,
			    const char *text)
{
	static const struct sd_option address = {.type = SD_OPT_ADDRESS};
	bool addresses = v->opt->pattern && strcmp(v->opt->pattern, "address") == 0;
	const char *list = NULL;
	size_t n = 0;
	enum sd_err err = SD_OK;

	if (!sd_conf_is_utf8(text))
		return unexpected_text(m, at, v->opt, text);
	if (addresses)
		err = resolve(m, text, &list, &n);
	for (size_t i = 0; i < n && err == SD_OK; i++)
		err = push_item(m, v, nth(m, list, i));
	if (err != SD_OK || n > 0)
		return err;
	if (addresses && !sd_conf_address_ok(text))
		return unexpected_text(m, at, &address, text);
	if (v->opt->pattern && strcmp(v->opt->pattern, "file") == 0)
		return push_item(m, v, beside(m, at, text));
	return push_item(m, v, sd_conf_text(m->mem, text, strlen(text)));
}

/* "a, b": blanks around an item do not count; "" has none. */
static enum sd_err add_items(struct sd_conf_maker *m, struct sd_conf_value *v, const struct sd_conf_place *at,
			     const char *text)
{
	enum sd_err err = begin(m, v, at);

	for (const char *p = text; err == SD_OK && *text;) {
		p += strspn(p, " \t");
		size_t n = strcspn(p, v->opt->whole ? "" : ","), trimmed = n;
		while (trimmed > 0 && (p[trimmed - 1] == ' ' || p[trimmed - 1] == '\t'))
			trimmed--;
		const char *item = sd_conf_text(m->mem, p, trimmed);
		if (!item)
			return sd_conf_no_memory(m);
		if (trimmed == 0)
			return unexpected_text(m, at, v->opt, text);
		err = add_item(m, v, at, item);
		if (p[n] == '\0')
			break;
		p += n + 1;
	}
	return err;
}

/* ---- from text, from a node ---- */

enum sd_err sd_conf_set_text(struct sd_conf_maker *m, struct sd_conf_value *v, const struct sd_conf_place *at,
			     const char *text)
{
	enum sd_err err;

	switch (sd_conf_type_of(v->opt)->store) {
	case SD_STORE_LIST:
		return add_items(m, v, at, text);
	case SD_STORE_TABLE:
		err = begin(m, v, at);
		return err == SD_OK ? sd_conf_add_row(m, v, at, text) : err;
	case SD_STORE_GROUP:
		return unexpected_text(m, at, v->opt, text);
	default:
		return set_scalar(m, v, at, text);
	}
}

static bool is_null(const struct sd_node *node)
{
	return node->kind == SD_NODE_SCALAR && !node->quoted && !*node->text;
}

static enum sd_err unexpected_node(struct sd_conf_maker *m, const struct sd_conf_place *at,
				   const struct sd_option *opt)
{
	const struct sd_node *node = at->node;

	if (node->kind != SD_NODE_SCALAR)
		return sd_conf_unexpected(m, at, opt, node->kind == SD_NODE_LIST ? "a list" : "a map");
	if (is_null(node))
		return sd_conf_unexpected(m, at, opt, "nothing");
	return unexpected_text(m, at, opt, node->text);
}

static enum sd_err set_list(struct sd_conf_maker *m, struct sd_conf_value *v, const struct sd_conf_place *at)
{
	bool table = v->opt->type == SD_OPT_TABLE;
	enum sd_err err = begin(m, v, at);

	for (size_t i = 0; i < at->node->count && err == SD_OK; i++) {
		struct sd_conf_place item = *at;
		item.node = at->node->items[i];
		if (table)
			err = sd_conf_add_row(m, v, &item, NULL);
		else if (item.node->kind != SD_NODE_SCALAR || is_null(item.node))
			err = unexpected_node(m, &item, &(struct sd_option){.type = SD_OPT_STRING});
		else
			err = add_item(m, v, &item, item.node->text);
	}
	return err;
}

static enum sd_err set_node_scalar(struct sd_conf_maker *m, struct sd_conf_value *v,
				   const struct sd_conf_place *at)
{
	char found[100] = "the quoted ";

	if (at->node->kind != SD_NODE_SCALAR)
		return unexpected_node(m, at, v->opt);
	if (is_null(at->node))
		return v->opt->def ? unexpected_node(m, at, v->opt) : SD_OK;
	if (at->node->quoted && sd_conf_type_of(v->opt)->bare) {
		sd_conf_quote(at->node->text, found + strlen(found), sizeof found - strlen(found));
		return sd_conf_unexpected(m, at, v->opt, found);
	}
	return set_scalar(m, v, at, at->node->text);
}

enum sd_err sd_conf_set_node(struct sd_conf_maker *m, struct sd_conf_value *v, const struct sd_conf_place *at)
{
	const struct sd_node *node = at->node;

	switch (sd_conf_type_of(v->opt)->store) {
	case SD_STORE_GROUP:
		if (is_null(node))
			return SD_OK;
		if (node->kind != SD_NODE_MAP)
			return unexpected_node(m, at, v->opt);
		return sd_conf_apply_map(m, v->group, at, NULL);
	case SD_STORE_LIST:
		if (node->kind == SD_NODE_SCALAR && !is_null(node))
			return add_items(m, v, at, node->text);
		/* fall through */
	case SD_STORE_TABLE:
		if (is_null(node) && !v->opt->def)
			return SD_OK;
		if (is_null(node) || node->kind == SD_NODE_LIST)
			return set_list(m, v, at);
		return unexpected_node(m, at, v->opt);
	default:
		return set_node_scalar(m, v, at);
	}
}
