#include "secret.h"

enum sd_err sd_secret_read(struct sd_world *world, const char *name, size_t least, char out[SD_SECRET_MAX + 1], size_t *n,
			   struct sd_error *e)
{
	struct sd_file *f;
	*n = 0;
	enum sd_err err = sd_file_open(world, name, 0, &f, e);
	if (err)
		return err;
	err = sd_file_read(f, out, SD_SECRET_MAX, 0, n, e);
	sd_file_close(f);
	while (!err && *n > 0 && (out[*n - 1] == '\n' || out[*n - 1] == '\r'))
		--*n;
	out[*n] = '\0';
	if (!err && *n < least)
		return sd_fail(e, SD_EINVAL, "%s: expected at least %zu bytes, found %zu", name, least, *n);
	return err;
}
