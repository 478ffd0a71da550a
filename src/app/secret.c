#include "secret.h"

#include <stdlib.h>
#include <string.h>

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

enum sd_err sd_secret_of(struct sd_world *world, const struct sd_conf *conf, const char *text, const char *file, char **out,
			 struct sd_error *e)
{
	const char *said = sd_conf_string(conf, text), *name = sd_conf_string(conf, file);
	char buf[SD_SECRET_MAX + 1];
	size_t n = 0;
	*out = NULL;
	if (!said && !name)
		return SD_OK;
	if (!said && sd_secret_read(world, name, 1, buf, &n, e))
		return sd_wrap(e, "%s", sd_conf_at(conf, file));
	*out = strdup(said ? said : buf);
	explicit_bzero(buf, n);
	return *out ? SD_OK : sd_fail(e, SD_ENOMEM, "out of memory");
}
