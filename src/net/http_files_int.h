/* http_files_int.h - what the files of the file server share. Private to src/net.
 *
 *	http_files.c        from a request to a file: names, folders, what stands beside it, and who waits for the disk
 *	http_files_head.c   from a file to a head: conditions, ranges, errors
 *	http_files_send.c   bodies
 *
 *	FIND --here--> decide --> SEND --all sent--> over
 *	  |  ^                     |  ^
 *	  v  |  on a helper        v  |  on a helper
 *	 WAIT                     WAIT
 *
 * Gone while a helper works for it, an answer only loses its x, and is freed when the work comes back.
 */
#ifndef SD_NET_HTTP_FILES_INT_H
#define SD_NET_HTTP_FILES_INT_H

#include "core/http_coding.h"
#include "core/http_cond.h"
#include "core/http_range.h"
#include "http_files.h"

#define FILES_NAME  1024
#define FILES_PIECE 65536
#define FILES_ETAG  64
#define FILES_SPAN  (32 * FILES_PIECE) /* sent by the kernel at once */
#define FILES_TURN  (32 * FILES_PIECE) /* then others have their turn */
#define FILES_PROBE (4 * FILES_PIECE)  /* the kernel reads ahead that much or more, so what is between is there, too */
#define FILES_SMALL 32768              /* up to here it is cheaper to read a file and to send it with its head */
#define BOUNDARY    16

struct sd_http_files {
	struct sd_dir *dir;
	struct sd_helpers *helpers;
	struct sd_world *world;
	char *index;
	bool precompressed;
	unsigned refs; /* atomic */
};

/* What a name led to. */
struct found {
	enum sd_err err;
	struct sd_file *file;
	struct sd_file_info info;
	enum sd_http_coding coding;
};

struct sd_file_answer {
	struct sd_http_files *files;
	struct sd_http_exchange *x; /* NULL: gone */
	struct sd_work work;
	bool working;
	int status;
	struct sd_http_head *kept; /* while a helper looks: what the request said, with its text behind it */
	char name[FILES_NAME], location[FILES_NAME];
	size_t name_n;
	unsigned codings; /* that may be looked for beside the file */
	struct found found;
	/* body */
	struct sd_http_ranges ranges;
	unsigned part;
	bool multipart, no_span; /* no_span: this stream takes no bytes from the kernel */
	char boundary[BOUNDARY + 1];
	uint64_t at, left; /* of the part that is sent */
	char *piece;       /* read by a helper: FILES_PIECE */
	size_t piece_n;
	uint64_t sent;     /* of the body */
	const struct sd_http_encode_conf *encode_conf;
	struct sd_http_encode *encode;
	enum sd_http_coding encoding; /* on the way */
	void (*over)(void *arg, struct sd_http_exchange *x, int status, bool cut, uint64_t bytes);
	void *arg;
};

/* ---- http_files_head.c ---- */
/* Writes the head of the answer; true when a body is to follow, false when all is said and x is gone. */
bool files_decide(struct sd_file_answer *a, const struct sd_http_head *head);
void files_refuse(struct sd_file_answer *a, int status, const char *extra, const char *why);
/* The lines in front of a part of a multipart answer. */
#define FILES_PART_HEAD 320
size_t files_part_head(const struct sd_file_answer *a, unsigned part, char out[FILES_PART_HEAD]);
size_t files_parts_end(const struct sd_file_answer *a, char out[FILES_PART_HEAD]);

/* ---- http_files_send.c ---- */
/* Sends what can be sent now; false when x is gone. */
bool files_send(struct sd_file_answer *a);
/* A helper read the next piece. */
bool files_piece_read(struct sd_file_answer *a);

/* ---- http_files.c ---- */
/* Has a helper run this; false when none can be had. */
bool files_submit(struct sd_file_answer *a, void (*run)(struct sd_work *work));
/* Just before x ends. */
void files_over(struct sd_file_answer *a, bool cut);

#endif
