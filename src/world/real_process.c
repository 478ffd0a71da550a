/* real_process.c - child processes with their output read through the loop. */
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "real.h"

struct sd_process {
	struct sd_loop *loop;
	pid_t pid;
	int pidfd;
	struct sd_process_events events;
	struct event *exit_ev;
	int out_fd[2];           /* our ends of its stdout and stderr, -1 when at their end */
	struct event *out_ev[2];
};

static void close_output(struct sd_process *p, int i)
{
	if (p->out_ev[i])
		event_free(p->out_ev[i]);
	if (p->out_fd[i] >= 0)
		close(p->out_fd[i]);
	p->out_ev[i] = NULL;
	p->out_fd[i] = -1;
}

static bool read_output(struct sd_process *p, int i)
{
	char buf[4096];
	ssize_t n = read(p->out_fd[i], buf, sizeof(buf));
	if (n > 0)
		p->events.output(p->events.arg, i == 1, buf, (size_t)n);
	else if (n == 0 || (errno != EAGAIN && errno != EINTR))
		close_output(p, i);
	return n > 0;
}

static void on_output(evutil_socket_t fd, short what, void *arg)
{
	(void)what;
	struct sd_process *p = arg;
	struct sd_loop *l = p->loop;
	loop_enter(l);
	read_output(p, fd == p->out_fd[1]);
	loop_leave(l);
}

static void process_free(struct sd_process *p)
{
	close_output(p, 0);
	close_output(p, 1);
	if (p->exit_ev)
		event_free(p->exit_ev);
	if (p->pidfd >= 0)
		close(p->pidfd);
	free(p);
}

static void on_exit_event(evutil_socket_t fd, short what, void *arg)
{
	(void)fd;
	(void)what;
	struct sd_process *p = arg;
	struct sd_loop *l = p->loop;
	int st = 0;
	loop_enter(l);
	if (waitpid(p->pid, &st, WNOHANG) == p->pid) {
		/* What it said last is still in the pipes. */
		for (int i = 0; i < 2; i++)
			while (p->out_fd[i] >= 0 && read_output(p, i))
				;
		p->events.exited(p->events.arg, WIFSIGNALED(st) ? -WTERMSIG(st) : WEXITSTATUS(st));
		process_free(p);
	}
	loop_leave(l);
}

/* A signal that waits for the child must not reach a handler of the parent's: it would tell the parent. */
static void forget_handlers(void)
{
	for (int i = 1; i < NSIG; i++) {
		struct sigaction now;
		if (sigaction(i, NULL, &now) == 0 && now.sa_handler != SIG_IGN)
			signal(i, SIG_DFL);
	}
	signal(SIGPIPE, SIG_DFL);
}

/* Between fork and exec only calls that are safe there. Signals are blocked. */
static void child_main(const char *const *argv, const char *const *env, const int *out, const int *err,
		       pid_t parent)
{
	sigset_t none;
	sigemptyset(&none);
	setpgid(0, 0);
	prctl(PR_SET_PDEATHSIG, SIGTERM);
	if (getppid() != parent)
		_exit(126);
	int null = open("/dev/null", O_RDONLY);
	if (null >= 0)
		dup2(null, 0);
	dup2(out[1], 1);
	dup2(err[1], 2);
	forget_handlers();
	sigprocmask(SIG_SETMASK, &none, NULL);
	execve(argv[0], (char *const *)(uintptr_t)argv, (char *const *)(uintptr_t)env);
	_exit(127);
}

static bool watch(struct sd_process *p)
{
	p->pidfd = (int)syscall(SYS_pidfd_open, p->pid, 0);
	if (p->pidfd < 0)
		return false;
	fcntl(p->pidfd, F_SETFD, FD_CLOEXEC);
	p->exit_ev = event_new(real_loop(p->loop)->base, p->pidfd, EV_READ | EV_PERSIST, on_exit_event, p);
	for (int i = 0; i < 2; i++) {
		fcntl(p->out_fd[i], F_SETFL, O_NONBLOCK);
		p->out_ev[i] = event_new(real_loop(p->loop)->base, p->out_fd[i], EV_READ | EV_PERSIST, on_output, p);
		if (!p->out_ev[i])
			return false;
		event_add(p->out_ev[i], NULL);
	}
	return p->exit_ev && event_add(p->exit_ev, NULL) == 0;
}

static void close_pair(const int *fd)
{
	for (int i = 0; i < 2; i++)
		if (fd[i] >= 0)
			close(fd[i]);
}

enum sd_err sd_process_start(struct sd_loop *l, const char *const *argv, const char *const *env,
			     const struct sd_process_events *events, struct sd_process **out, struct sd_error *e)
{
	int so[2] = {-1, -1}, se[2] = {-1, -1};
	struct sd_process *p = calloc(1, sizeof(*p));
	if (!p || pipe2(so, O_CLOEXEC) < 0 || pipe2(se, O_CLOEXEC) < 0) {
		int err = errno;
		close_pair(so);
		close_pair(se);
		free(p);
		return sd_fail(e, real_err(err), "cannot start %s: %s", argv[0], strerror(err));
	}
	sigset_t all, old;
	sigfillset(&all);
	pid_t parent = getpid();
	pthread_sigmask(SIG_SETMASK, &all, &old);
	pid_t pid = fork();
	if (pid == 0)
		child_main(argv, env, so, se, parent);
	pthread_sigmask(SIG_SETMASK, &old, NULL);
	close(so[1]);
	close(se[1]);
	*p = (struct sd_process){.loop = l, .pid = pid, .pidfd = -1, .events = *events, .out_fd = {so[0], se[0]}};
	if (pid < 0 || !watch(p)) {
		int err = errno;
		if (pid > 0) {
			kill(pid, SIGKILL);
			waitpid(pid, NULL, 0);
		}
		process_free(p);
		return sd_fail(e, real_err(err), "cannot start %s: %s", argv[0], strerror(err));
	}
	*out = p;
	return SD_OK;
}

int64_t sd_process_pid(const struct sd_process *p)
{
	return p->pid;
}

void sd_process_signal(struct sd_process *p, int signo)
{
	kill(p->pid, signo);
}
