/* mq_topic.c - the topic exchange: binding patterns as a trie of words, * for one word, # for any number of them.
 *
 * A key walks the trie as a set of places, word by word: a node is in the set once, whatever the ways to it. So a key of w
 * words costs at most w times the nodes of the trie, also for patterns such as #.a.#.b.# with which a walk that tries one way
 * after another takes time without end. The sets have room from the day a node is made: routing allocates nothing. */
#include <stdlib.h>

#include "mq_int.h"

struct topic_node {
	struct sd_dict_entry e; /* of its parent's children, by word */
	struct topic_node *parent;
	struct sd_dict children;
	struct topic_node *star, *hash; /* of the children, those with a meaning */
	struct sd_link bindings;	/* struct mq_binding.of_route */
	uint64_t mark;
	char word[];
};

struct topic {
	struct topic_node *root;
	struct topic_node **set, **next; /* room each */
	size_t nodes, room;
	uint64_t mark;
};

static struct topic_node *new_node(struct mq_exchange *x, struct topic_node *parent, struct sd_slice word)
{
	struct topic_node *n = calloc(1, sizeof(*n) + word.n);
	if (!n)
		return NULL;
	sd_dict_init(&n->children, offsetof(struct topic_node, word), &x->vhost->mq->hash_key);
	sd_list_init(&n->bindings);
	n->parent = parent;
	if (word.n)
		memcpy(n->word, word.p, word.n);
	n->e.klen = (uint32_t)word.n;
	return n;
}

static bool make_room(struct topic *t)
{
	if (t->nodes < t->room)
		return true;
	size_t room = t->room ? 2 * t->room : 16;
	struct topic_node **set = reallocarray(t->set, room, sizeof(struct topic_node *));
	if (set)
		t->set = set;
	struct topic_node **next = set ? reallocarray(t->next, room, sizeof(struct topic_node *)) : NULL;
	if (!next)
		return false;
	t->next = next;
	t->room = room;
	return true;
}

bool mq_topic_begin(struct mq_exchange *x)
{
	struct topic *t = calloc(1, sizeof(*t));
	if (t && make_room(t) && (t->root = new_node(x, NULL, (struct sd_slice){0}))) {
		t->nodes = 1;
		x->routes = t;
		return true;
	}
	if (t) {
		free(t->set);
		free(t->next);
	}
	free(t);
	return false;
}

void mq_topic_end(struct mq_exchange *x)
{
	struct topic *t = x->routes;
	sd_dict_free(&t->root->children);
	free(t->root);
	free(t->set);
	free(t->next);
	free(t);
}

/* The next word of a key; false: that was all. An empty key has none, "a." has two. */
static bool next_word(struct sd_slice *rest, struct sd_slice *word)
{
	if (!rest->p)
		return false;
	const char *dot = memchr(rest->p, '.', rest->n);
	*word = (struct sd_slice){rest->p, dot ? (size_t)(dot - rest->p) : rest->n};
	*rest = dot ? (struct sd_slice){dot + 1, rest->n - word->n - 1} : (struct sd_slice){0};
	return true;
}

static struct sd_slice words_of(struct sd_slice key)
{
	return key.n ? key : (struct sd_slice){0};
}

static struct topic_node *child(struct topic_node *n, struct sd_slice word)
{
	if (!sd_dict_count(&n->children))
		return NULL;
	struct sd_dict_entry *e = sd_dict_find(&n->children, word, sd_dict_hash(&n->children, word));
	return e ? sd_container(e, struct topic_node, e) : NULL;
}

/* ---- patterns ---- */

static struct topic_node *add_child(struct mq_exchange *x, struct topic_node *n, struct sd_slice word)
{
	struct topic *t = x->routes;
	struct topic_node *c = make_room(t) ? new_node(x, n, word) : NULL;
	if (!c)
		return NULL;
	c->e.hash = sd_dict_hash(&n->children, word);
	if (!sd_dict_add(&n->children, &c->e)) {
		free(c);
		return NULL;
	}
	if (sd_slice_eq(word, "*"))
		n->star = c;
	if (sd_slice_eq(word, "#"))
		n->hash = c;
	t->nodes++;
	return c;
}

/* Nodes that lead nowhere any more go. */
static void prune(struct topic *t, struct topic_node *n)
{
	while (n->parent && sd_list_empty(&n->bindings) && !sd_dict_count(&n->children)) {
		struct topic_node *up = n->parent;
		if (up->star == n)
			up->star = NULL;
		if (up->hash == n)
			up->hash = NULL;
		sd_dict_remove(&up->children, &n->e);
		sd_dict_free(&n->children);
		free(n);
		t->nodes--;
		n = up;
	}
}

bool mq_topic_bind(struct mq_exchange *x, struct mq_binding *bi)
{
	struct topic *t = x->routes;
	struct topic_node *n = t->root;
	struct sd_slice rest = words_of((struct sd_slice){bi->key, bi->key_n}), word;
	while (next_word(&rest, &word)) {
		struct topic_node *c = child(n, word);
		if (!c && !(c = add_child(x, n, word))) {
			prune(t, n);
			return false;
		}
		n = c;
	}
	sd_list_add(&n->bindings, &bi->of_route);
	return true;
}

void mq_topic_unbind(struct mq_exchange *x, struct mq_binding *bi)
{
	struct topic *t = x->routes;
	struct topic_node *n = t->root;
	struct sd_slice rest = words_of((struct sd_slice){bi->key, bi->key_n}), word;
	while (n && next_word(&rest, &word))
		n = child(n, word);
	sd_list_del(&bi->of_route);
	if (n)
		prune(t, n);
}

/* ---- keys ---- */

/* A # stands for no word, too: whoever is before it is behind it. */
static void enter(struct topic *t, struct topic_node **set, size_t *n, struct topic_node *node)
{
	for (; node && node->mark != t->mark; node = node->hash) {
		node->mark = t->mark;
		set[(*n)++] = node;
	}
}

static bool is_hash(const struct topic_node *n)
{
	return n->parent && n->parent->hash == n;
}

void mq_topic_route(struct mq_exchange *x, const struct mq_routing *m, struct mq_route *r)
{
	struct topic *t = x->routes;
	struct sd_slice rest = words_of(m->key), word;
	size_t n = 0, more;
	t->mark++;
	enter(t, t->set, &n, t->root);
	for (; n && next_word(&rest, &word); n = more) {
		more = 0;
		t->mark++;
		for (size_t i = 0; i < n; i++) {
			struct topic_node *from = t->set[i], *c = child(from, word);
			if (is_hash(from))
				enter(t, t->next, &more, from);
			if (c && c != from->star && c != from->hash) /* a key may have a word "*" of its own */
				enter(t, t->next, &more, c);
			enter(t, t->next, &more, from->star);
			enter(t, t->next, &more, from->hash);
		}
		struct topic_node **swap = t->set;
		t->set = t->next;
		t->next = swap;
	}
	for (size_t i = 0; i < n; i++)
		for (struct sd_link *l = t->set[i]->bindings.next; l != &t->set[i]->bindings; l = l->next)
			mq_route_to(r, sd_container(l, struct mq_binding, of_route));
}
