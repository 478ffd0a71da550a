/* idn.h - names of hosts in any script (IDNA2008 with the mapping of UTS 46, by libidn2). */
#ifndef SD_NET_IDN_H
#define SD_NET_IDN_H

#include <stdbool.h>

#include "core/link_url.h"

/* To A-labels: "bücher.example" to "xn--bcher-kva.example", in small letters, with a NUL. False: it cannot be a name. */
bool sd_idn_to_ascii(struct sd_slice host, char out[SD_HOST_MAX + 1]);
/* For people: to UTF-8 where that is unambiguous; else as it is. Returns the length; out has room bytes and always a NUL. */
size_t sd_idn_to_text(const char *host, char *out, size_t room);

#endif
