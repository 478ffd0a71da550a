/* http_files.h - answers requests with the files below one folder.
 *
 *	GET, HEAD            others: 405 with Allow
 *	a folder             its index when the path ends in '/', else 308 to the path with '/'; there are no listings
 *	404                  what is not there or is no regular file; segments that begin with '.' but .well-known
 *	403                  what may not be read, and symbolic links that lead out of the folder
 *	ETag, Last-Modified  from the file's number, size and time of change; conditions as in core/http_cond.h
 *	Range                206, multipart/byteranges for several, 416; only for GET
 *	compression          on the way, where the request says so (http_encode.h); then no ranges are offered
 *	NAME.zst, NAME.gz    sent instead to those that take them, with Vary, where conf.precompressed is set
 *
 * What is in memory is read on the loop, without ever waiting for the disk; the rest on a helper thread. At most 64 KiB of
 * a file are held for one answer besides what the stream holds. A file that becomes shorter while it is sent, or cannot be
 * read any more, ends the connection.
 */
#ifndef SD_NET_HTTP_FILES_H
#define SD_NET_HTTP_FILES_H

#include "http_encode.h"
#include "http_server.h"
#include "world/dir.h"

struct sd_http_files;
struct sd_file_answer;

struct sd_http_files_conf {
	const char *root;
	const char *index;  /* name of the file that stands for a folder; NULL: none does */
	bool links;         /* symbolic links that stay inside are followed */
	bool precompressed;
};

/* Serves any number of loops; helpers are the caller's and outlive it. One reference is the caller's. */
enum sd_err sd_http_files_new(struct sd_world *w, struct sd_helpers *helpers, const struct sd_http_files_conf *conf,
			      struct sd_http_files **out, struct sd_error *e);
void sd_http_files_unref(struct sd_http_files *f); /* NULL is fine; answers in progress keep it */

const char *sd_http_files_root(const struct sd_http_files *f);

/* A request for a file. */
struct sd_file_request {
	const struct sd_http_head *head;
	struct sd_slice path; /* in normal form (sd_http_path_normalise) */
	size_t skip;          /* bytes at the beginning of path that are no part of the name */
	const struct sd_http_encode_conf *encode; /* what may be compressed; NULL: nothing is */
	/* Called once, just before the answer ends and x with it; cut: it ends before it is complete; bytes
	 * of the body were written. Not after
	 * sd_http_files_gone. May be NULL. */
	void (*over)(void *arg, struct sd_http_exchange *x, int status, bool cut, uint64_t bytes);
	void *arg;
};

/* Answers x (and heeds its edit and lines, which are the caller's until `over`), which must have no body that anybody wants. NULL: done, x is gone. Else the answer goes on, and the handler tells
 * it what it hears of x: drained and gone. */
struct sd_file_answer *sd_http_files_answer(struct sd_http_files *f, struct sd_http_exchange *x,
					    const struct sd_file_request *r);
/* NULL, or the same: as above. */
struct sd_file_answer *sd_http_files_drained(struct sd_file_answer *a);
void sd_http_files_gone(struct sd_file_answer *a);

#endif
