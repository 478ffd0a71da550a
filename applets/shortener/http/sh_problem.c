/* sh_problem.c - errors as RFC 9457 has them. A type is a path of this server, which says what it means. */
#include <stdarg.h>
#include <stdio.h>

#include "sh_http.h"

const struct sh_problem_row sh_problems[SH_PROBLEMS] = {
#define X(id, name, status, title) [id] = {name, title, status},
    SH_PROBLEM_LIST(X)
#undef X
};

cJSON *sh_problem_json(enum sh_problem p, const char *member, const char *detail)
{
	const struct sh_problem_row *row = &sh_problems[p];
	cJSON *o = cJSON_CreateObject();
	char type[64];
	snprintf(type, sizeof(type), "/problems/%s", row->name);
	cJSON_AddStringToObject(o, "type", type);
	cJSON_AddStringToObject(o, "title", row->title);
	cJSON_AddNumberToObject(o, "status", row->status);
	if (detail)
		cJSON_AddStringToObject(o, "detail", detail);
	if (member)
		cJSON_AddStringToObject(o, "member", member);
	return o;
}

enum sh_problem sh_problem_of(enum sd_err err)
{
	static const struct {
		enum sd_err err;
		enum sh_problem problem;
	} rows[] = {
	    {SD_ENOTFOUND, SH_UNKNOWN_CODE}, {SD_EEXISTS, SH_ALIAS_TAKEN}, {SD_EUNREACHABLE, SH_DB_AWAY}, {SD_EREFUSED, SH_DB_AWAY},
	    {SD_ERESET, SH_DB_AWAY},         {SD_ETIMEOUT, SH_DB_AWAY},    {SD_ECANCELED, SH_DB_AWAY},    {SD_EAGAIN, SH_DB_BUSY},
	    {SD_EINUSE, SH_DB_BUSY},         {SD_EPERM, SH_DB_READ_ONLY},  {SD_ENOSPC, SH_DB_FULL},
	};
	for (size_t i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (rows[i].err == err)
			return rows[i].problem;
	return SH_INTERNAL;
}

void sh_answer_problem(struct sh_call *c, enum sh_problem p, const char *member, const char *format, ...)
{
	char detail[512];
	va_list args;
	va_start(args, format);
	vsnprintf(detail, sizeof(detail), format, args);
	va_end(args);
	if (sh_problems[p].status == 503)
		sh_answer_field(c, "Retry-After", "1");
	if (p == SH_NO_KEY)
		sh_answer_field(c, "WWW-Authenticate", "Bearer realm=\"sdlab shortener\"");
	size_t n = 0;
	char *text = sh_json_text(sh_problem_json(p, member, detail), &n);
	sh_answer(c, sh_problems[p].status, "application/problem+json", text, n);
}

void sh_answer_failed(struct sh_call *c, enum sd_err err, const struct sd_error *e)
{
	enum sh_problem p = sh_problem_of(err);
	if (p == SH_UNKNOWN_CODE)
		sh_answer_problem(c, p, NULL, "There is no link %s.", c->arg);
	else
		sh_answer_problem(c, p, NULL, "%s", e && e->text[0] ? e->text : sd_err_text(err));
}
