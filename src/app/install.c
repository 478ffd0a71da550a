/* sdlab install [-s] DIR: a link to this program for each name it answers to. */
#include <stdio.h>
#include <string.h>

#include "dispatch_int.h"
#include "world/world.h"

#define PATH_LEN 4096

static const char who[] = "sdlab install";

struct links {
	struct sd_dispatch *d;
	const char *dir;
	char self[PATH_LEN];
	bool symbolic;
	unsigned made, failed;
};

static void make_link(struct links *l, const char *name)
{
	char path[PATH_LEN];
	struct sd_error e = {SD_OK, ""};
	enum sd_err err;
	size_t n = strlen(l->dir);

	snprintf(path, sizeof path, "%s%s%s", l->dir, n && l->dir[n - 1] == '/' ? "" : "/", name);
	if (l->symbolic)
		err = sd_world_symlink(l->d->world, l->self, path, &e);
	else
		err = sd_world_hardlink(l->d->world, l->self, path, &e);
	if (err == SD_OK) {
		l->made++;
		return;
	}
	l->failed++;
	sd_dispatch_fail(l->d, who, SD_EXIT_FAILURE, "%s", *e.text ? e.text : sd_err_text(err));
}

static int make_links(struct links *l)
{
	const struct sd_applet *const *first = l->d->applets;

	for (const struct sd_applet *const *a = first; *a; a++) {
		make_link(l, (*a)->name);
		for (const struct sd_alias *alias = (*a)->aliases; alias && alias->name; alias++)
			make_link(l, alias->name);
	}
	fprintf(l->d->out, "%u %s link%s in %s", l->made, l->symbolic ? "symbolic" : "hard",
		l->made == 1 ? "" : "s", l->dir);
	if (l->failed)
		fprintf(l->d->out, ", %u not made\n", l->failed);
	else if (*first)
		fprintf(l->d->out, "; try: %s/%s --help\n", l->dir, (*first)->name);
	else
		fputc('\n', l->d->out);
	return l->failed ? SD_EXIT_FAILURE : 0;
}

int sd_dispatch_install(struct sd_dispatch *d, int argc, const char *const *argv)
{
	struct links l = {.d = d};
	struct sd_error e = {SD_OK, ""};

	for (int i = 0; i < argc; i++) {
		if (strcmp(argv[i], "-s") == 0)
			l.symbolic = true;
		else if (argv[i][0] == '-' || l.dir || !*argv[i])
			return sd_dispatch_fail(d, who, SD_EXIT_USAGE, "expected [-s] DIR, found \"%s\"",
						argv[i]);
		else
			l.dir = argv[i];
	}
	if (!l.dir)
		return sd_dispatch_fail(d, who, SD_EXIT_USAGE, "expected [-s] DIR, found no folder");
	if (!sd_world_self_path(d->world, l.self, sizeof l.self))
		return sd_dispatch_fail(d, who, SD_EXIT_FAILURE, "cannot find out where this program lies");
	if (sd_world_mkdir(d->world, l.dir, 0755, &e) != SD_OK)
		return sd_dispatch_report(d, who, &e);
	return make_links(&l);
}
