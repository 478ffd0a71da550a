/* url_text.h - a URL that names a server: its parts, and what stands in them with %40 for an @ as the text it means. Pure. */
#ifndef SD_CORE_URL_TEXT_H
#define SD_CORE_URL_TEXT_H

#include <stdbool.h>
#include <stddef.h>

#include "sdlab/slice.h"

/* Into out, with a NUL. A percent sign that no two hexadecimal digits follow stands for itself. False: it is too long, or has a
 * zero byte, at which a text would end. */
bool sd_url_unescape(struct sd_slice s, char *out, size_t room);
/* USER:PASSWORD; a login without a colon is the password alone when password_first, else the user alone. Each has so much room. */
bool sd_url_login(struct sd_slice login, bool password_first, char *user, char *password, size_t room);

struct sd_url_scheme {
	const char *name; /* "redis://" */
	bool secure;
};
/* The slices point into the URL. */
struct sd_url_parts {
	bool secure, has_port;
	struct sd_slice login; /* p NULL: there is none */
	struct sd_slice host;  /* with port when there is one: "[::1]:7001"; may be empty */
	struct sd_slice rest;  /* from the host's end on: "/0", "" */
};
/* False: it begins with none of n schemes, in letters of either case. out may be NULL. */
bool sd_url_split(const char *url, const struct sd_url_scheme *schemes, size_t n, struct sd_url_parts *out);

#endif
