/* sh_cli.h - the verbs: a client of the API, and the keys of the database.
 *
 *	sh_cli.c        which server, what is asked of it, and what it says when it refuses
 *	sh_cli_links.c  shorten, edit, delete, disable, enable
 *	sh_cli_show.c   list, show, stats
 *	sh_cli_qr.c     qr
 *	sh_cli_keys.c   key: in the database itself, since without a key nobody could make the first one
 *	sh_verbs.c      the table of verbs with their options
 */
#ifndef SH_CLI_H
#define SH_CLI_H

#include <cjson/cJSON.h>

#include "app/applet.h"
#include "core/text.h"
#include "sdlab/http1.h"
#include "world/world.h"

extern const struct sd_verb sh_verbs[];

int sh_cli_fail(const struct sd_verb_call *call, const char *format, ...) __attribute__((format(printf, 2, 3))); /* returns 1 */
int sh_cli_usage(const struct sd_verb_call *call, const char *format, ...) __attribute__((format(printf, 2, 3))); /* returns 2 */

/* Asks the server that the options name; takes `sent`, which may be NULL. The answer's body, for free, when its status is 2xx; else
 * NULL, *status is the exit status, and it was told why. */
char *sh_cli_ask(struct sd_verb_call *call, const char *method, const char *path, cJSON *sent, int *status);
/* The same, as a tree for cJSON_Delete. */
cJSON *sh_cli_ask_json(struct sd_verb_call *call, const char *method, const char *path, cJSON *sent, int *status);
/* "/api/links/CODE" and what follows; of a whole short URL the code is taken. For free; NULL: it was told. */
char *sh_cli_link_path(struct sd_verb_call *call, const char *front, const char *code, const char *behind);
/* A name as a part of a path or query. */
void sh_cli_put_escaped(struct sd_text *t, const char *text);
/* Prints the tree when --json was given, and says so. */
bool sh_cli_json(const struct sd_verb_call *call, const cJSON *tree);
const char *sh_cli_text(const cJSON *o, const char *name, const char *none);
double sh_cli_number(const cJSON *o, const char *name);

int sh_cli_shorten(struct sd_verb_call *call);
int sh_cli_edit(struct sd_verb_call *call);
int sh_cli_delete(struct sd_verb_call *call);
int sh_cli_disable(struct sd_verb_call *call);
int sh_cli_enable(struct sd_verb_call *call);
int sh_cli_list(struct sd_verb_call *call);
int sh_cli_show(struct sd_verb_call *call);
int sh_cli_stats(struct sd_verb_call *call);
int sh_cli_qr(struct sd_verb_call *call);
int sh_cli_key(struct sd_verb_call *call);

#endif
