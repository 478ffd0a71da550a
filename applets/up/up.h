/* up.h - what the files of the stack runner share.
 *
 * A member is one instance of a service. Its states:
 *
 *	WAITING --start--> STARTING --it listens--> READY --drain--> STOPPING --> STOPPED
 *	                     |                        | died (own process only)
 *	                     | died                   v
 *	                     v                      RESTING --restart-delay, doubling--> STARTING
 *	                   the stack fails
 *
 * In one process a member is a struct sd_run. With --isolate it is a child, `sdlab up FILE --child NAME`, that runs
 * this one instance and writes its events as JSON lines, which are said again here.
 */
#ifndef UP_H
#define UP_H

#include "app/admin.h"
#include "app/dispatch.h"
#include "app/serve.h"
#include "app/stack.h"

enum up_state { UP_WAITING, UP_STARTING, UP_READY, UP_RESTING, UP_STOPPING, UP_STOPPED };

struct up;

struct up_member {
	struct up *up;
	const struct sd_stack_instance *inst;
	const struct sd_applet *applet;
	enum up_state state;
	struct sd_log *log;
	uint32_t restarts;
	int64_t since_ns;
	uint32_t deaths; /* one soon after the other */
	struct sd_timer timer; /* restart */
	struct sd_task came_up;
	struct sd_task drained; /* free it outside of its own callbacks */
	/* in one process */
	struct sd_conf_loader loader;
	struct sd_conf *conf;
	struct sd_run *run;
	/* a process of its own */
	struct sd_process *process;
	char line[2][4096]; /* stdout, stderr: what has no end yet */
	size_t line_n[2];
};

struct up {
	struct sd_dispatch *d;
	const struct sd_conf *conf;
	struct sd_loop *control;
	struct sd_events *events;
	struct sd_log *log;
	struct sd_stack *stack;
	struct sd_admin *socket, *admin;
	struct sd_stop_signals signals;
	char dir[80], socket_addr[140];
	const char *child; /* this process runs only that instance; NULL: the whole stack */
	bool stopping, said_ready;
	int status;
	unsigned n;
	struct up_member members[SD_STACK_MAX];
};

/* up_run.c */
int up_process(struct sd_dispatch *d, const struct sd_applet *applet, const struct sd_conf *conf);
enum sd_err up_load_stack(struct sd_world *w, const struct sd_conf *conf, struct sd_stack **out, struct sd_error *e);
void up_stop(struct up *up, bool now);
void up_reload(struct up *up);
/* The next that may start is started; says so when all are ready. */
void up_start_next(struct up *up);
void up_stop_next(struct up *up);
void up_fail(struct up *up, const char *who, const char *text);

/* up_member.c */
void up_member_start(struct up_member *m);
void up_member_ready(struct up_member *m);
void up_member_stop(struct up_member *m, bool now);
bool up_member_gone(const struct up_member *m);

/* up_child.c */
enum sd_err up_child_start(struct up_member *m, struct sd_error *e);

/* up_admin.c */
extern const struct sd_admin_route up_routes[];
void up_metrics(void *arg, struct sd_metrics *m);
bool up_ready(void *arg);

/* up_client.c */
extern const struct sd_verb up_verbs[];
/* Where stacks of this user keep their sockets. */
void up_dir(struct sd_world *w, const char *const *environ, char *out, size_t n);

#endif
