/* err.h - results and causes.
 *
 * Every function that can fail returns an enum sd_err. Where a person should learn the cause, the caller also
 * hands in a struct sd_error; the callee fills it and returns its code, and each floor on the way up may put
 * its own words in front, so that what is printed once at the end reads
 *
 *     cannot load lb.yaml: line 12, column 5: interval: expected a duration such as 5s, found "soon"
 */
#ifndef SDLAB_ERR_H
#define SDLAB_ERR_H

#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

/* One list for the code and its text. Codes are stable: append only. */
#define SD_ERR_LIST(X)                                                                                       \
	X(SD_OK, "ok")                                                                                       \
	X(SD_ENOMEM, "out of memory")                                                                        \
	X(SD_EINVAL, "invalid value")                                                                        \
	X(SD_ERANGE, "out of range")                                                                         \
	X(SD_ENOTFOUND, "not found")                                                                         \
	X(SD_EEXISTS, "already exists")                                                                      \
	X(SD_EINUSE, "address already in use")                                                               \
	X(SD_EAGAIN, "try again")                                                                            \
	X(SD_EEOF, "end of stream")                                                                          \
	X(SD_ETIMEOUT, "timed out")                                                                          \
	X(SD_EREFUSED, "connection refused")                                                                 \
	X(SD_ERESET, "connection reset")                                                                     \
	X(SD_EUNREACHABLE, "unreachable")                                                                    \
	X(SD_ENOFILES, "out of file descriptors")                                                            \
	X(SD_EPERM, "permission denied")                                                                     \
	X(SD_EIO, "input/output error")                                                                      \
	X(SD_EPROTO, "protocol error")                                                                       \
	X(SD_ETOOBIG, "too large")                                                                           \
	X(SD_ECANCELED, "canceled")                                                                          \
	X(SD_EUNSUPPORTED, "not supported")                                                                  \
	X(SD_EUSAGE, "wrong usage")                                                                          \
	X(SD_ENOSPC, "no space left on the disk")                                                            \
	X(SD_ETLS, "TLS failed")                                                                             \
	X(SD_ECIRCUIT, "circuit open")                                                                       \
	X(SD_EEXHAUSTED, "all in use")                                                                       \
	X(SD_EDAMAGED, "damaged")

enum sd_err {
#define X(code, text) code,
	SD_ERR_LIST(X)
#undef X
};

/* The text of a code, in lower case, without a full stop. Never NULL. */
const char *sd_err_text(enum sd_err code);

/* A code with the sentence that explains it. The caller owns it; it needs no freeing. */
struct sd_error {
	enum sd_err code;
	char text[512];
};

/* Fills *e (which may be NULL) from a printf format and returns code, so that a failing function can end
 * `return sd_fail(e, SD_EINVAL, "expected %s", what);`. Text that does not fit is cut. */
enum sd_err sd_fail(struct sd_error *e, enum sd_err code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

/* Puts "<formatted>: " in front of the text that is already there and returns e's code (SD_EINVAL for NULL). */
enum sd_err sd_wrap(struct sd_error *e, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

#ifdef __cplusplus
}
#endif

#endif
