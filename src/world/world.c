/* world.c - the calls of world.h, through the table of the world they are asked of. */
#include "world.h"

#include "world_int.h"

void sd_world_free(struct sd_world *w)
{
	if (w)
		w->ops->free(w);
}

int64_t sd_world_mono_ns(struct sd_world *w)
{
	return w->ops->mono_ns(w);
}

int64_t sd_world_wall_ns(struct sd_world *w)
{
	return w->ops->wall_ns(w);
}

int64_t sd_world_thread_cpu_ns(struct sd_world *w)
{
	return w->ops->thread_cpu_ns(w);
}

void sd_world_random(struct sd_world *w, void *out, size_t n)
{
	w->ops->random(w, out, n);
}

void sd_world_sleep_ns(struct sd_world *w, int64_t ns)
{
	w->ops->sleep_ns(w, ns);
}

void sd_world_compute_ns(struct sd_world *w, int64_t ns)
{
	w->ops->compute_ns(w, ns);
}

bool sd_world_print(struct sd_world *w, int fd, const char *text, size_t n)
{
	return w->ops->print(w, fd, text, n);
}

size_t sd_world_raise_files(struct sd_world *w)
{
	return w->ops->raise_files(w);
}

enum sd_err sd_world_drop_to_user(struct sd_world *w, const char *user, struct sd_error *e)
{
	return w->ops->drop_to_user(w, user, e);
}

enum sd_err sd_world_read_file(struct sd_world *w, const char *name, size_t max, char **out, size_t *len,
			       struct sd_error *e)
{
	return w->ops->read_file(w, name, max, out, len, e);
}

bool sd_world_file_mode(struct sd_world *w, const char *name, unsigned *mode)
{
	return w->ops->file_mode(w, name, mode);
}

enum sd_err sd_world_mkdir(struct sd_world *w, const char *name, unsigned mode, struct sd_error *e)
{
	return w->ops->mkdir(w, name, mode, e);
}

char **sd_world_list_dir(struct sd_world *w, const char *name)
{
	return w->ops->list_dir(w, name);
}
