/* io_front.h - an io with bytes in front of it: those that were read too early, or those that must go out first.
 *
 * Both are thin: once the bytes are gone every call goes straight through. What stands on top (a stream, TLS) does not
 * notice. On failure the io is closed and NULL returned.
 */
#ifndef SD_NET_IO_FRONT_H
#define SD_NET_IO_FRONT_H

#include "world/loop.h"

#define SD_IO_FRONT_MAX 1024

/* The first n bytes that are read are these; n is at most SD_IO_FRONT_MAX. */
struct sd_io *sd_io_read_first(struct sd_io *io, const void *p, size_t n);
/* The first n bytes that are sent are these, once it is connected; n is at most SD_IO_FRONT_MAX. */
struct sd_io *sd_io_send_first(struct sd_io *io, const void *p, size_t n);

#endif
