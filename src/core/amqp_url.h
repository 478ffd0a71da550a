/* amqp_url.h - where a broker is, as one text: amqp://[USER[:PASSWORD]@][HOST][:PORT][/VHOST]; amqps:// is over TLS. In user,
 * password and vhost %2f stands for a slash, so that amqp://host/%2f is the vhost "/", as is a URL without one. Pure.
 */
#ifndef SD_CORE_AMQP_URL_H
#define SD_CORE_AMQP_URL_H

#include <stdbool.h>

#include "core/amqp.h"
#include "sdlab/err.h"
#include "sdlab/slice.h"

#define SD_AMQP_TLS_PORT 5671
#define SD_AMQP_SECRET	 512

struct sd_amqp_url {
	bool secure, has_login, has_port;
	struct sd_slice host;  /* with port when there is one, as it stands in the URL: "[::1]:5672"; empty: this machine */
	struct sd_slice shown; /* from the host on: what may be printed */
	char user[SD_AMQP_SECRET], password[SD_AMQP_SECRET]; /* "": none; the caller wipes them */
	char vhost[SD_AMQP_SHORT_MAX + 1];		     /* never empty */
};

/* Is it one, by its first letters? */
bool sd_amqp_url_is(const char *url);
/* The slices point into url. *e never has the password in it. SD_EUSAGE. */
enum sd_err sd_amqp_url_parse(const char *url, struct sd_amqp_url *out, struct sd_error *e);

#endif
