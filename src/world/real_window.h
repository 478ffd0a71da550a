/* real_window.h - memory that is a part of a file: small pieces are written to it without a call of the kernel's.
 *
 * A file may lose what is behind its memory: it is cut, or the file system fails. Whoever then writes to that memory gets SIGBUS. A handler
 * for it is set with the first window; it ends a write that was under way, which goes by the kernel then and hears from it what is wrong.
 * Any other SIGBUS goes where it went before.
 */
#ifndef SD_WORLD_REAL_WINDOW_H
#define SD_WORLD_REAL_WINDOW_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/uio.h>

struct real_window {
	char *p; /* NULL: none */
	uint64_t from, to;
};

/* From about `from` to `to`, where room was set aside; none where that is not worth it or not safe. The one before is closed. */
void real_window_open(struct real_window *w, int fd, uint64_t from, uint64_t to);
void real_window_close(struct real_window *w);
/* False: it is not all in the window, or went wrong; nothing was written that a write by the kernel does not replace. */
bool real_window_write(struct real_window *w, int fd, const struct iovec *iov, int niov, uint64_t off);

#endif
