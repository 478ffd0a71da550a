/* sh_page.h - the dashboard: a page for people, who may see it, and its stream of what changes.
 *
 *	sh_page.c        the page and its parts, as the files under page/ have them
 *	sh_page_login.c  passwords and sessions
 *	sh_live.c        /api/live: what changed, once a second to everybody who listens
 *
 * A session is a cookie that this program signed (HttpOnly, SameSite=Strict); no list of them is kept, so that all servers on one
 * database know it. Its key is made of a secret of the database and of the password: another password ends all sessions. With
 * a password, a session is what follows a login; without one, whoever opens the page from this machine gets one. Calls that
 * change something need, beside the cookie, a token that only the page knows (X-Csrf-Token).
 */
#ifndef SH_PAGE_H
#define SH_PAGE_H

#include "../shortener.h"

struct sh_page;
struct sh_call;
struct sh_stream;

/* ---- the control loop ---- */

/* Also when only the settings are checked. */
enum sd_err sh_page_check(const struct sd_conf *conf, struct sd_error *e);
/* Before the workers start; the store need not be open yet. */
enum sd_err sh_page_open(struct sh *sh, const struct sd_conf *conf, struct sh_page **out, struct sd_error *e);
void sh_page_close(struct sh_page *p); /* after the store; NULL is fine */
/* Is there a password? Then the API wants a key or a session, also when there are no keys. */
bool sh_page_guards(const struct sh_page *p);

/* Is the call made by who has a session (and the token, when it changes something)? Says so at once or on a later turn. */
typedef void sh_page_session_fn(struct sh_call *c, bool good);
void sh_page_session(struct sh_call *c, sh_page_session_fn *fn);

/* What rows of the table of operations run. */
void sh_run_dashboard(struct sh_call *c); /* GET /dashboard: the page, or the form for the password */
void sh_run_page_file(struct sh_call *c); /* GET /dashboard/{name}: its style and script */
void sh_run_login(struct sh_call *c);	  /* POST /dashboard/login: a form with "password" */
void sh_run_logout(struct sh_call *c);	  /* POST /dashboard/logout: a form with "token" */
void sh_run_logout_all(struct sh_call *c); /* POST /dashboard/logout-everywhere: the same form */
void sh_run_live(struct sh_call *c);	  /* GET /api/live */

/* ---- the live stream ---- */

enum sd_err sh_live_open(struct sh *sh, struct sh_stream **out, struct sd_error *e);
void sh_live_close(struct sh_stream *l); /* when no worker runs any more, after the clicks and the store; NULL is fine */
/* On a worker that drains: its streams end, and browsers come back to another server. */
void sh_live_drain(struct sh_worker *w);
/* On the control loop: all streams end, and who may not listen any more is refused when it comes back. */
void sh_live_end_all(struct sh *sh);

#endif
