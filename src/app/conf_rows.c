/* The rows of tables. */
#include <stdio.h>
#include <string.h>

#include "conf_int.h"

/* How long a key is when p begins with "key=", else 0. */
static size_t key_length(const char *p)
{
	size_t n = strspn(p, "abcdefghijklmnopqrstuvwxyz0123456789-");

	return n > 0 && p[0] >= 'a' && p[n] == '=' ? n : 0;
}

/* Up to the comma that is followed by the next "key=": other commas belong to the value. */
static size_t piece_length(const char *p)
{
	size_t n = strcspn(p, ",");

	while (p[n] && !key_length(p + n + 1))
		n += 1 + strcspn(p + n + 1, ",");
	return n;
}

static enum sd_err unknown_key(struct sd_conf_maker *m, const struct sd_conf_place *at,
			       const struct sd_option *table, const char *key, size_t n)
{
	const char *word = sd_conf_text(m->mem, key, n);
	struct sd_suggest s;

	if (!word)
		return sd_conf_no_memory(m);
	sd_suggest_init(&s, word);
	for (; table->type != SD_OPT_END; table++)
		if (!table->hidden)
			sd_suggest_offer(&s, table->name);
	if (s.best)
		return sd_conf_fail(m, at, "unknown key \"%s\"; did you mean %s?", word, s.best);
	return sd_conf_fail(m, at, "unknown key \"%s\"", word);
}

/* "127.0.0.1:8081", "127.0.0.1:8081,weight=2" or "name=A,address=127.0.0.1:8081". */
static enum sd_err row_from_text(struct sd_conf_maker *m, const struct sd_conf_value *table,
				 const struct sd_conf_place *at, const char *text, struct sd_conf *row)
{
	enum sd_err err = SD_OK;

	for (const char *p = text; err == SD_OK; p++) {
		size_t key = key_length(p), n = piece_length(p);
		struct sd_conf_value *v = &row->values[0];
		if (key && !(v = sd_conf_find_arg(row, p, key)))
			return unknown_key(m, at, table->opt->sub, p, key);
		size_t skip = key ? key + 1 : 0;
		const char *value = sd_conf_text(m->mem, p + skip, n - skip);
		if (!value)
			return sd_conf_no_memory(m);
		struct sd_conf_place part = *at;
		part.key = v->opt->name;
		err = sd_conf_set_text(m, v, &part, value);
		p += n;
		if (!*p)
			break;
	}
	return err;
}

static enum sd_err row_from_node(struct sd_conf_maker *m, const struct sd_conf_value *table,
				 const struct sd_conf_place *at, struct sd_conf *row)
{
	struct sd_conf_place part = *at;

	if (at->node->kind == SD_NODE_MAP)
		return sd_conf_apply_map(m, row, at, NULL);
	if (at->node->kind == SD_NODE_LIST)
		return sd_conf_fail(m, at, "expected a map, found a list");
	if (!at->node->quoted && !*at->node->text)
		return sd_conf_fail(m, at, "expected a map, found nothing");
	part.key = table->opt->sub->name;
	return sd_conf_set_node(m, &row->values[0], &part);
}

/* A row that stands for a service is called like it, and numbered when there are several. */
static enum sd_err name_row(struct sd_conf_maker *m, struct sd_conf *row, const struct sd_conf_place *at)
{
	struct sd_conf_value *name = sd_conf_find_arg(row, "name", 4);

	if (!name || name->opt->type != SD_OPT_STRING || !m->pick.service)
		return SD_OK;
	bool named = name->has && *name->text;
	if (named && m->pick.count <= 1)
		return SD_OK;
	const char *base = named ? name->text : m->pick.service;
	const char *text =
	    m->pick.count > 1 ? sd_conf_textf(m->mem, "%s-%zu", base, m->pick.index + 1) : base;
	return text ? sd_conf_set_text(m, name, at, text) : sd_conf_no_memory(m);
}

static enum sd_err make_row(struct sd_conf_maker *m, const struct sd_conf_value *v,
			    const struct sd_conf_place *at, const char *text, struct sd_conf **out)
{
	struct sd_conf *row = *out = sd_conf_blank(m->mem, v->opt->sub, NULL);

	if (!row)
		return sd_conf_no_memory(m);
	enum sd_err err = sd_conf_set_defaults(m, row);
	if (err == SD_OK)
		err = text ? row_from_text(m, v, at, text, row) : row_from_node(m, v, at, row);
	if (err == SD_OK)
		err = name_row(m, row, at);
	if (err == SD_OK)
		err = sd_conf_check_required(m, row, at);
	return err;
}

static enum sd_err push_row(struct sd_conf_maker *m, struct sd_conf_value *v, struct sd_conf *row)
{
	if (v->count == v->room) {
		size_t room = v->room ? 2 * v->room : 8;
		struct sd_conf **rows = sd_conf_alloc(m->mem, room, sizeof(*rows));
		if (!rows)
			return sd_conf_no_memory(m);
		if (v->count)
			memcpy(rows, v->rows, v->count * sizeof(*rows));
		v->rows = rows;
		v->room = room;
	}
	v->rows[v->count++] = row;
	return SD_OK;
}

enum sd_err sd_conf_add_row(struct sd_conf_maker *m, struct sd_conf_value *v, const struct sd_conf_place *at,
			    const char *text)
{
	struct sd_conf_pick outer = m->pick;
	enum sd_err err = SD_OK;

	m->pick = (struct sd_conf_pick){.in_row = true};
	do {
		struct sd_conf *row;
		err = make_row(m, v, at, text, &row);
		if (err == SD_OK)
			err = push_row(m, v, row);
	} while (err == SD_OK && ++m->pick.index < m->pick.count);
	m->pick = outer;
	return err;
}
