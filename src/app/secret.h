/* secret.h - secrets that stand in a file of their own. */
#ifndef SD_APP_SECRET_H
#define SD_APP_SECRET_H

#include "conf.h"
#include "world/file.h"

#define SD_SECRET_MAX 4096

/* The file's bytes without line ends behind them, into out (terminated); the caller wipes it (explicit_bzero) when it is done.
 * SD_EINVAL when it has fewer than `least`. */
enum sd_err sd_secret_read(struct sd_world *world, const char *name, size_t least, char out[SD_SECRET_MAX + 1], size_t *n,
			   struct sd_error *e);
/* What the option `text` says, or the file that the option `file` names; *out is for free(), NULL: neither is set. An error begins with
 * where the file was named. */
enum sd_err sd_secret_of(struct sd_world *world, const struct sd_conf *conf, const char *text, const char *file, char **out,
			 struct sd_error *e);

#endif
