/* main.c - puts the real world together and dispatches. */
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/dispatch.h"
#include "app/run.h"
#include "app/serve.h"
#include "world/world.h"

static bool wants_colour(struct sd_world *w, char **env)
{
	for (; *env; env++)
		if (strncmp(*env, "NO_COLOR=", 9) == 0 && (*env)[9])
			return false;
	return sd_world_is_terminal(w, 1);
}

int main(int argc, char **argv)
{
	struct sd_world *world = sd_world_real();
	if (!world) {
		fputs("sdlab: out of memory\n", stderr);
		return 1;
	}
	struct sd_dispatch d = {
	    .world = world,
	    .applets = sd_applets,
	    .common = sd_common_options,
	    .environ = (const char *const *)environ,
	    .out = stdout,
	    .err = stderr,
	    .colour = wants_colour(world, environ),
	    .serve = sd_serve,
	};
	int status = sd_dispatch_main(&d, argc, (const char *const *)argv);
	if (fflush(stdout) != 0 && status == 0)
		status = 1;
	sd_world_free(world);
	return status;
}
