/* head_edit.h - fields that a proxy sets, adds and takes out of heads that pass through it.
 *
 * An edit is made once, from lines such as "X-Env: prod", and never changed afterwards. Later steps see what earlier ones
 * did: a field that was added and then removed is not there.
 *
 *	set       every field of that name goes, and this one comes
 *	add       this one comes as well
 *	remove    every field of that name goes
 *
 * Fields that say how the message is framed, how the connection goes on, or who brought it are the proxy's own business and
 * refused: Connection and what belongs to it, Content-Length, Transfer-Encoding, TE, Trailer, Upgrade, Expect, Via,
 * Forwarded, X-Forwarded-*, traceparent, tracestate, Date, and Host in an answer.
 */
#ifndef SD_CORE_HEAD_EDIT_H
#define SD_CORE_HEAD_EDIT_H

#include <stdbool.h>
#include <stddef.h>

#include "core/http_template.h"
#include "sdlab/err.h"
#include "sdlab/slice.h"

#define SD_HEAD_EDIT_MAX 64 /* steps of one edit */

enum sd_head_step { SD_HEAD_SET, SD_HEAD_ADD, SD_HEAD_REMOVE };

struct sd_head_edit_field {
	char *name;
	char *value; /* a template in requests; NULL: the field only goes */
	bool drops;  /* those of the message go */
};

struct sd_head_edit {
	size_t n;
	struct sd_head_edit_field *fields;
};

/* Is this "Name: value" (or "Name", to remove) well formed and allowed? A text of what was expected. */
enum sd_err sd_head_edit_check(enum sd_head_step step, const char *line, bool request, struct sd_error *e);
/* The line was checked. SD_ENOMEM; SD_ERANGE: more than SD_HEAD_EDIT_MAX. */
enum sd_err sd_head_edit_step(struct sd_head_edit *edit, enum sd_head_step step, const char *line);
void sd_head_edit_free(struct sd_head_edit *edit);

/* Does a field of the message with this name go? edit may be NULL. */
bool sd_head_edit_drops(const struct sd_head_edit *edit, struct sd_slice name);
/* The fields that come, as lines; vars NULL: values are written as they are. Host, which has a place of its own, is left
 * out. Writes at most room bytes, and returns how many there are. */
size_t sd_head_edit_write(const struct sd_head_edit *edit, char *out, size_t room, const struct sd_http_vars *vars);
/* What Host is set to, a template; NULL: it is not. */
const char *sd_head_edit_host(const struct sd_head_edit *edit);

#endif
