/* sh_small.c - answers that need no database: what is where, the document, what errors mean, crawlers. */
#include <stdio.h>
#include <stdlib.h>

#include "sh_api.h"

void sh_run_index(struct sh_call *c)
{
	cJSON *o = cJSON_CreateObject();
	cJSON_AddStringToObject(o, "dashboard", "/dashboard");
	cJSON_AddStringToObject(o, "openapi", "/openapi.json");
	sh_answer_json(c, 200, o);
}

void sh_run_openapi(struct sh_call *c)
{
	size_t n = 0;
	char *text = sh_openapi(&n);
	sh_answer(c, 200, "application/json", text, n);
}

void sh_run_problem(struct sh_call *c)
{
	struct sd_text t = {0};
	for (size_t i = 0; i < SH_PROBLEMS; i++)
		if (strcmp(sh_problems[i].name, c->arg) == 0)
			sd_text_format(&t, "%d %s: %s\n", sh_problems[i].status, sh_problems[i].name, sh_problems[i].title);
	if (!t.n) {
		sh_answer_problem(c, SH_UNKNOWN_PATH, NULL, "There is no such type of error.");
		return;
	}
	size_t n = 0;
	char *text = sd_text_take(&t, &n);
	sh_answer(c, 200, "text/plain; charset=utf-8", text, n);
}

void sh_run_robots(struct sh_call *c)
{
	static const char text[] = "User-agent: *\nDisallow: /api/\nDisallow: /dashboard\nDisallow: /stats\n";
	sh_answer(c, 200, "text/plain; charset=utf-8", strdup(text), sizeof(text) - 1);
}
