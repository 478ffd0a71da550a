/* sh_page.c - the dashboard as it is sent: files that the build put into the program, with a few values filled in. */
#include <stdio.h>
#include <stdlib.h>

#include "app/pages.h"
#include "app/secret.h"
#include "sh_page_int.h"

#define FOLDER "applets/shortener/http/page/"

/* Only what this service itself serves, and no markup made by a script. */
static const char policy[] = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
			     "form-action 'self'; base-uri 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; "
			     "trusted-types 'none'";

#define HTML   "text/html; charset=utf-8"
#define CSS    "text/css; charset=utf-8"
#define SCRIPT "text/javascript; charset=utf-8"

static const struct sh_member login_members[] = {
    {"password", SH_TEXT, 1, SD_SECRET_MAX, .required = true, .help = "the one of --dashboard-password"}, {0}};
static const struct sh_member logout_members[] = {
    {"token", SH_TEXT, 1, SH_TOKEN_MAX - 1, .required = true, .help = "what the page of this session was given"}, {0}};

#define BIT(problem) (UINT64_C(1) << (problem))
#define NEEDS_KEY    (BIT(SH_DB_AWAY) | BIT(SH_DB_BUSY) | BIT(SH_DB_READ_ONLY) | BIT(SH_INTERNAL))

const struct sh_route sh_page_routes[] = {
    {SD_HTTP_GET, "/dashboard", SH_OPEN, sh_run_dashboard, "dashboard", "the page, or the form that asks for its password", .good = 200,
     .type = HTML, .problems = NEEDS_KEY, .pages = {403}},
    {SD_HTTP_GET, "/dashboard/{name}", SH_OPEN, sh_run_page_file, "dashboardFile", "its style and scripts", .good = 200,
     .type = CSS "|" SCRIPT, .problems = BIT(SH_UNKNOWN_PATH)},
    {SD_HTTP_POST, "/dashboard/login", SH_OPEN, sh_run_login, "login", "give the password, and go to the page", .good = 303,
     .form = login_members, .problems = NEEDS_KEY, .pages = {403, 429}},
    {SD_HTTP_POST, "/dashboard/logout", SH_OPEN, sh_run_logout, "logout", "end this session", .good = 303, .form = logout_members,
     .problems = NEEDS_KEY},
    {SD_HTTP_POST, "/dashboard/logout-everywhere", SH_OPEN, sh_run_logout_all, "logoutEverywhere", "end all sessions, in all browsers", .good = 303,
     .form = logout_members, .problems = NEEDS_KEY},
    {SD_HTTP_GET, "/api/live", SH_CHANGE, sh_run_live, "live", "what changes, once a second for as long as one listens", .good = 200,
     .type = "text/event-stream", .schema = "Live", .problems = NEEDS_KEY},
    {0},
};

static const struct sd_page_file *find(const char *name)
{
	for (const struct sd_page_file *f = sd_page_files; f->name; f++)
		if (strncmp(f->name, FOLDER, sizeof(FOLDER) - 1) == 0 && strcmp(f->name + sizeof(FOLDER) - 1, name) == 0)
			return f;
	return NULL;
}

/* ---- values filled in ---- */

static void put_escaped(struct sd_text *t, const char *s)
{
	for (; *s; s++)
		switch (*s) {
		case '<': sd_text_add(t, "&lt;", 4); break;
		case '>': sd_text_add(t, "&gt;", 4); break;
		case '&': sd_text_add(t, "&amp;", 5); break;
		case '"': sd_text_add(t, "&quot;", 6); break;
		default: sd_text_add(t, s, 1);
		}
}

static void put_value(struct sd_text *t, struct sd_slice name, const struct sh_page_value *values, size_t n)
{
	for (size_t i = 0; i < n; i++)
		if (sd_slice_eq(name, values[i].name))
			put_escaped(t, values[i].value);
}

static void fill(struct sd_text *t, struct sd_slice page, const struct sh_page_value *values, size_t n)
{
	while (page.n) {
		const char *from = memmem(page.p, page.n, "{{", 2);
		const char *to = from ? memmem(from, page.n - (size_t)(from - page.p), "}}", 2) : NULL;
		size_t plain = to ? (size_t)(from - page.p) : page.n, taken = to ? (size_t)(to + 2 - page.p) : page.n;
		sd_text_add(t, page.p, plain);
		if (to)
			put_value(t, (struct sd_slice){from + 2, (size_t)(to - from) - 2}, values, n);
		page.p += taken;
		page.n -= taken;
	}
}

void sh_page_answer(struct sh_call *c, int status, const char *file, const struct sh_page_value *values, size_t n)
{
	const struct sd_page_file *f = find(file);
	struct sd_text t = {0};
	size_t length = 0;
	if (f)
		fill(&t, (struct sd_slice){(const char *)f->bytes, f->n}, values, n);
	char *text = sd_text_take(&t, &length);
	sh_answer_field(c, "Content-Security-Policy", "%s", policy);
	/* Not no-referrer: a browser would then say of its own form that it comes from "null". */
	sh_answer_field(c, "Referrer-Policy", "same-origin");
	sh_answer_field(c, "Cross-Origin-Opener-Policy", "same-origin");
	sh_answer_field(c, "Cache-Control", "no-store");
	sh_answer(c, status, HTML, text, length);
}

void sh_page_login_form(struct sh_call *c, int status, const char *why)
{
	const struct sh_page_value values[] = {{"why", why}, {"wrong", *why ? "" : "hidden"}};
	sh_page_answer(c, status, "login.html", values, 2);
}

/* ---- the page ---- */

static void show(struct sh_call *c, bool has_key)
{
	const char *password = c->sh->page->password;
	struct sh_session s = {0};
	if (!has_key) {
		sh_answer_problem(c, SH_DB_AWAY, NULL, "The dashboard needs the database.");
	} else if (!password && !sh_page_is_near(c)) {
		sh_page_answer(c, 403, "closed.html", NULL, 0);
	} else if (!sh_session_read(c, &s) && password) {
		sh_page_login_form(c, 200, "");
	} else if (!sh_session_read(c, &s) && !sh_session_make(c, &s)) {
		sh_answer_problem(c, SH_INTERNAL, NULL, "out of memory");
	} else {
		const struct sh_page_value values[] = {
		    {"token", s.token}, {"open", password ? "hidden" : ""}, {"logout", password ? "" : "hidden"}};
		sh_page_answer(c, 200, "dashboard.html", values, 3);
	}
}

void sh_run_dashboard(struct sh_call *c)
{
	sh_page_with_key(c, show);
}

static const char *type_of(const char *name)
{
	const char *end = strrchr(name, '.');
	return !end ? NULL : strcmp(end, ".css") == 0 ? CSS : strcmp(end, ".js") == 0 ? SCRIPT : NULL;
}

void sh_run_page_file(struct sh_call *c)
{
	const char *type = type_of(c->arg);
	const struct sd_page_file *f = type ? find(c->arg) : NULL;
	if (!f) {
		sh_answer_problem(c, SH_UNKNOWN_PATH, NULL, "The dashboard has no such file.");
		return;
	}
	char *text = malloc(f->n);
	if (text)
		memcpy(text, f->bytes, f->n);
	sh_answer_field(c, "Cache-Control", "no-cache");
	sh_answer(c, 200, type, text, f->n);
}
