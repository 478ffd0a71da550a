/* sim_names.c - folders and names of a simulated disk, now and after a power cut. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_disk.h"

static struct sim_name **find_name(struct sim_name **list, const char *path)
{
	while (*list && strcmp((*list)->path, path) < 0)
		list = &(*list)->next;
	return list;
}

static struct sim_inode *name_in(struct sim_name *list, const char *path)
{
	struct sim_name *at = *find_name(&list, path);
	return at && strcmp(at->path, path) == 0 ? at->inode : NULL;
}

static void name_set(struct sim_name **list, const char *path, struct sim_inode *inode)
{
	struct sim_name **at = find_name(list, path), *old = *at;
	sim_inode_ref(inode);
	if (old && strcmp(old->path, path) == 0) {
		sim_inode_unref(old->inode);
		old->inode = inode;
		if (inode)
			return;
		*at = old->next;
		free(old);
	} else if (inode) {
		size_t len = strlen(path) + 1;
		struct sim_name *name = malloc(sizeof(*name) + len);
		if (!name)
			abort();
		*name = (struct sim_name){old, inode};
		memcpy(name->path, path, len);
		*at = name;
	}
}

static void names_free(struct sim_name **list)
{
	while (*list) {
		struct sim_name *at = *list;
		*list = at->next;
		sim_inode_unref(at->inode);
		free(at);
	}
}

/* The folder of a path: its length, 0 for the one everything starts from. */
static size_t folder_len(const char *path)
{
	const char *slash = strrchr(path, '/');
	return slash ? (size_t)(slash - path) : 0;
}

static bool folder_in(struct sim_name *list, const char *path)
{
	char folder[256];
	size_t n = folder_len(path);
	if (n == 0)
		return true;
	snprintf(folder, sizeof(folder), "%.*s", (int)n, path);
	const struct sim_inode *i = name_in(list, folder);
	return i && i->folder;
}

struct sim_inode *sim_name_get(const struct sim_node *n, const char *path)
{
	return name_in(n->names, path);
}

bool sim_has_folder(const struct sim_node *n, const char *path)
{
	return folder_in(n->names, path);
}

bool sim_path(const char *name, char out[SIM_PATH])
{
	size_t n = 0;
	for (const char *c = name; *c; c++) {
		if (c[0] == '.' && (c[1] == '/' || !c[1]) && (c == name || c[-1] == '/'))
			continue;
		if (*c == '/' && ((n == 0 && c != name) || (n && out[n - 1] == '/')))
			continue;
		if (n == 255)
			return false;
		out[n++] = *c;
	}
	while (n && out[n - 1] == '/')
		n--;
	out[n] = '\0';
	return true;
}

void sim_name_change(struct sim_node *n, const char *path, struct sim_inode *inode, const char *gone)
{
	struct sim_change *c = calloc(1, sizeof(*c));
	if (!c || !(c->path = strdup(path)) || (gone && !(c->gone = strdup(gone))))
		abort();
	c->inode = sim_inode_ref(inode);
	*n->changes_tail = c;
	n->changes_tail = &c->next;
	name_set(&n->names, path, inode);
	if (gone)
		name_set(&n->names, gone, NULL);
}

static void apply(struct sim_node *n, const struct sim_change *c)
{
	name_set(&n->synced, c->path, c->inode);
	if (c->gone)
		name_set(&n->synced, c->gone, NULL);
}

static void change_free(struct sim_change *c)
{
	sim_inode_unref(c->inode);
	free(c->path);
	free(c->gone);
	free(c);
}

bool sim_in_folder(const char *path, const char *folder)
{
	size_t n = folder_len(path);
	return n == strlen(folder) && memcmp(path, folder, n) == 0;
}

void sim_names_sync(struct sim_node *n, const char *folder)
{
	struct sim_change **at = &n->changes;
	while (*at) {
		struct sim_change *c = *at;
		if (!sim_in_folder(c->path, folder)) {
			at = &c->next;
			continue;
		}
		apply(n, c);
		*at = c->next;
		change_free(c);
	}
	n->changes_tail = at;
}

/* All changes are there, or the first ones, or some. */
static void cut_names(struct sim_node *n)
{
	struct sd_sim *s = n->sim;
	uint64_t how = sim_below(s, 3), count = 0, keep;
	for (struct sim_change *c = n->changes; c; c = c->next)
		count++;
	keep = how == 1 ? sim_below(s, count + 1) : count;
	for (uint64_t i = 0; n->changes; i++) {
		struct sim_change *c = n->changes;
		n->changes = c->next;
		if (i < keep && (how != 2 || sim_below(s, 2)))
			apply(n, c);
		change_free(c);
	}
	n->changes_tail = &n->changes;
}

/* What is in a folder that is not there is not there; parents come before their children in the order of names. */
static void drop_orphans(struct sim_node *n)
{
	struct sim_name **at = &n->synced;
	while (*at) {
		struct sim_name *name = *at;
		if (folder_in(n->synced, name->path)) {
			at = &name->next;
			continue;
		}
		*at = name->next;
		sim_inode_unref(name->inode);
		free(name);
	}
}

void sim_disk_power_cut(struct sim_node *n)
{
	cut_names(n);
	drop_orphans(n);
	for (struct sim_name *at = n->synced; at; at = at->next)
		sim_inode_cut(n, at->inode);
	names_free(&n->names);
	for (struct sim_name *at = n->synced; at; at = at->next)
		name_set(&n->names, at->path, at->inode);
}

void sim_disk_free(struct sim_node *n)
{
	while (n->changes) {
		struct sim_change *c = n->changes;
		n->changes = c->next;
		change_free(c);
	}
	names_free(&n->names);
	names_free(&n->synced);
}

uint64_t sd_sim_unsynced(const struct sd_world *node)
{
	struct sim_node *n = sim_node(node);
	uint64_t sum = 0;
	for (struct sim_change *c = n->changes; c; c = c->next)
		sum++;
	for (struct sim_name *at = n->names; at; at = at->next)
		sum += at->inode->ndirty;
	return sum;
}

bool sd_sim_flip(struct sd_world *node, const char *name, uint64_t bit)
{
	struct sim_node *n = sim_node(node);
	char path[256];
	struct sim_inode *i = sim_path(name, path) ? sim_name_get(n, path) : NULL;
	if (!i || bit / 8 >= i->size)
		return false;
	i->data[bit / 8] ^= (unsigned char)(1u << bit % 8);
	i->disk[bit / 8] ^= (unsigned char)(1u << bit % 8);
	sim_record(n->sim, "flipped bit", n, NULL, (int64_t)bit);
	return true;
}
