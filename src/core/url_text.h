/* url_text.h - what stands in a URL with %40 for an @, as the text it means. */
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

#endif
