/* lb_files.h - answers that need more than passing on: files of a route, and answers compressed on their way. */
#ifndef LB_FILES_H
#define LB_FILES_H

#include "lb_http.h"
#include "net/http_encode.h"
#include "net/http_files.h"

/* ---- files ---- */

/* Is the folder there? */
enum sd_err lb_files_find(struct sd_world *w, const struct sd_conf *row, struct sd_error *e);
enum sd_err lb_files_check(const struct sd_conf *row, struct sd_error *e);
/* *out NULL with SD_OK: the row has none. */
enum sd_err lb_files_make(struct lb *lb, const struct sd_conf *row, struct sd_http_files **out, struct sd_error *e);
void lb_files_end(struct lb *lb); /* the threads that wait for the disk; once no worker runs */

/* Takes r over; over is called with r just before the exchange ends. */
void lb_files_answer(struct lb_request *r, const struct sd_http_head *head, const struct lb_told *told,
		     void (*over)(void *r, struct sd_http_exchange *x, int status, bool cut, uint64_t bytes));

/* ---- compression ---- */

/* What a backend's answer to this request may be compressed by. */
void lb_encode_ask(struct lb_request *r, const struct sd_http_head *head);
/* If this answer is to be compressed or might have been: fills *left with its head less what goes another way, for which
 * lines are written already, and returns it; else head. */
const struct sd_http_head *lb_encode_begin(struct lb_request *r, const struct sd_http_head *head, struct sd_http_head *left);

#endif
