/* sh_api.h - what the rows of the table run, and what they take. All on the control loop. */
#ifndef SH_API_H
#define SH_API_H

#include "sh_http.h"

extern const struct sh_member sh_new_members[], sh_change_members[], sh_list_members[], sh_qr_members[], sh_stats_members[];

void sh_run_create(struct sh_call *c);	    /* answers as the seed has it */
void sh_run_create_link(struct sh_call *c); /* with the whole link */
void sh_run_list(struct sh_call *c);
void sh_run_get(struct sh_call *c);
void sh_run_change(struct sh_call *c);
void sh_run_delete(struct sh_call *c);
void sh_run_tags(struct sh_call *c);
void sh_run_qr(struct sh_call *c);
void sh_run_stats(struct sh_call *c);	/* of one link */
void sh_run_totals(struct sh_call *c);
void sh_run_index(struct sh_call *c);
void sh_run_openapi(struct sh_call *c);
void sh_run_problem(struct sh_call *c);
void sh_run_robots(struct sh_call *c);

/* ---- checks ---- */

/* The body as an object whose members are those of the table; NULL: it was answered. For cJSON_Delete. */
cJSON *sh_body_read(struct sh_call *c, const struct sh_member *members);
/* False: it was answered. */
bool sh_query_check(struct sh_call *c, const struct sh_member *members);
/* Of a query that was checked. */
int64_t sh_query_int(struct sd_slice query, const char *name, int64_t def);

/* ---- links as JSON ---- */

/* Of an object that was read. What is not there is left as it is; which there are is told in SH_SET_ bits. Texts stay those of the
 * object; tags point into tags[]. False: it was answered. */
bool sh_link_read(struct sh_call *c, const cJSON *o, struct sh_link *link, unsigned *fields, char *tags[SH_TAGS_MAX]);
cJSON *sh_link_json(const struct sh_call *c, const struct sh_link *link);
/* As {"short_url", "original_url", "expires_at"} first. */
cJSON *sh_shortened_json(const struct sh_call *c, const struct sh_link *link);
/* "http://localhost:8080/abc123" */
void sh_short_url(const struct sh_call *c, const char *code, char *out, size_t room);
/* "2026-11-21T22:13:57Z", null for 0. */
void sh_json_time(cJSON *o, const char *name, int64_t ms);

#endif
