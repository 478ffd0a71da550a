/* sim_dir.c - names below a folder of a simulated disk, which has no links. What is asked for now is there by chance. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "sim_disk.h"

struct sim_dir {
	struct sd_dir dir;
	struct sim_node *node;
	char path[SIM_PATH];
};

#define LATER_PPM 250000 /* of what is asked for now */

bool sim_later(struct sim_node *n)
{
	return sim_ppm(n->sim, LATER_PPM);
}

static uint64_t id_of(const char *path)
{
	uint64_t h = 14695981039346656037u; /* FNV-1a */
	for (; *path; path++)
		h = (h ^ (unsigned char)*path) * 1099511628211u;
	return h;
}

static int dir_find(struct sd_dir *dir, const char *name, bool now, struct sd_file **out, struct sd_file_info *info)
{
	struct sim_dir *d = sd_container(dir, struct sim_dir, dir);
	char full[2 * SIM_PATH], path[SIM_PATH];
	if (now && sim_later(d->node))
		return EAGAIN;
	int n = snprintf(full, sizeof(full), "%s/%s", d->path[0] ? d->path : ".", name);
	if (n < 0 || (size_t)n >= sizeof(full) || !sim_path(full, path))
		return ENOENT;
	const struct sim_inode *i = sim_name_get(d->node, path);
	if (!i && path[0])
		return d->node->up ? ENOENT : EIO;
	*info = (struct sd_file_info){.kind = SD_KIND_FOLDER, .id = id_of(path)};
	if (!i || i->folder)
		return 0;
	*info = (struct sd_file_info){.kind = SD_KIND_FILE,
				      .id = id_of(path),
				      .size = i->size,
				      .modified_ns = sd_world_wall_ns(&d->node->world) - d->node->sim->now_ns + i->changed_ns};
	return sim_open(&d->node->world, path, 0, out);
}

static void dir_close(struct sd_dir *dir)
{
	free(sd_container(dir, struct sim_dir, dir));
}

static const struct sd_dir_ops dir_ops = {.close = dir_close, .find = dir_find};

int sim_dir_open(struct sd_world *w, const char *name, unsigned flags, struct sd_dir **out)
{
	struct sim_node *n = sim_node(w);
	char path[SIM_PATH];
	(void)flags;
	if (!n->up || !sim_path(name, path))
		return EIO;
	const struct sim_inode *i = sim_name_get(n, path);
	if (path[0] && (!i || !i->folder))
		return ENOENT;
	struct sim_dir *d = calloc(1, sizeof(*d));
	if (!d)
		return ENOMEM;
	d->dir.ops = &dir_ops;
	d->node = n;
	memcpy(d->path, path, sizeof(path));
	*out = &d->dir;
	return 0;
}
