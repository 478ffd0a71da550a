/* cache_tie.c - who is tied to a name: watched keys, keys waited for, channels and patterns. */
#include <string.h>

#include "cache.h"

void cache_names_init(struct sd_dict *names, struct cache *c)
{
	sd_dict_init(names, offsetof(struct cache_name, text), &c->hash_key);
	sd_dict_count_in(names, &c->memory.used);
}

struct cache_name *cache_name(struct sd_dict *names, struct sd_slice text)
{
	if (sd_dict_count(names) == 0)
		return NULL;
	return (struct cache_name *)sd_dict_find(names, text, sd_dict_hash(names, text));
}

static struct cache_name *make_name(struct cache *c, struct sd_dict *names, struct sd_slice text)
{
	struct cache_name *n = cache_alloc(&c->memory, sizeof(*n) + text.n);
	if (!n)
		return NULL;
	*n = (struct cache_name){.e = {.hash = sd_dict_hash(names, text), .klen = (uint32_t)text.n}};
	memcpy(n->text, text.p, text.n);
	sd_list_init(&n->ties);
	sd_list_init(&n->ready);
	if (sd_dict_add(names, &n->e))
		return n;
	cache_free(&c->memory, n);
	return NULL;
}

static void maybe_free_name(struct cache *c, struct sd_dict *names, struct cache_name *n)
{
	if (n->nties)
		return;
	sd_list_del(&n->ready);
	sd_dict_remove(names, &n->e);
	cache_free(&c->memory, n);
	if (sd_dict_count(names) == 0)
		sd_dict_free(names);
}

/* Looks at the shorter of both lists. */
struct cache_tie *cache_tied(struct sd_dict *names, struct sd_slice text, const struct sd_link *ties, size_t n,
			     const struct cache_session *s)
{
	struct cache_name *name = cache_name(names, text);
	if (!name)
		return NULL;
	if (name->nties <= n) {
		for (struct sd_link *k = name->ties.next; k != &name->ties; k = k->next) {
			struct cache_tie *t = sd_container(k, struct cache_tie, of_name);
			if (t->session == s)
				return t;
		}
		return NULL;
	}
	for (struct sd_link *k = ties->next; k != ties; k = k->next) {
		struct cache_tie *t = sd_container(k, struct cache_tie, of_session);
		if (t->name == name)
			return t;
	}
	return NULL;
}

struct cache_tie *cache_tie(struct sd_dict *names, struct sd_slice text, struct sd_link *ties, struct cache_session *s)
{
	struct cache *c = s->cache;
	struct cache_name *name = cache_name(names, text);
	if (!name && !(name = make_name(c, names, text)))
		return NULL;
	struct cache_tie *t = cache_alloc(&c->memory, sizeof(*t));
	if (!t) {
		maybe_free_name(c, names, name);
		return NULL;
	}
	*t = (struct cache_tie){.name = name, .names = names, .session = s};
	sd_list_add(&name->ties, &t->of_name);
	sd_list_add(ties, &t->of_session);
	name->nties++;
	return t;
}

void cache_untie(struct cache *c, struct cache_tie *t)
{
	sd_list_del(&t->of_name);
	sd_list_del(&t->of_session);
	t->name->nties--;
	maybe_free_name(c, t->names, t->name);
	cache_free(&c->memory, t);
}
