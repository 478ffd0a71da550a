/* real_window.c - writing to a file through memory. */
#include "real_window.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stddef.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/vfs.h>
#include <ucontext.h>
#include <unistd.h>

#define WINDOW_LEAST (64u << 10) /* smaller ones cost more than they spare */

/* ---- memory that is no more ---- */

struct guard {
	sigjmp_buf back;
	const char *from, *to;
};
static _Thread_local struct guard *volatile guarded; /* this thread writes there now */
static struct sigaction before;

static void pass_on(int number, siginfo_t *info, void *context)
{
	if (before.sa_flags & SA_SIGINFO) {
		before.sa_sigaction(number, info, context);
	} else if (before.sa_handler != SIG_DFL && before.sa_handler != SIG_IGN) {
		before.sa_handler(number);
	} else {
		sigaction(SIGBUS, &before, NULL); /* comes again, or is raised again when this returns */
		raise(number);
	}
}

static void on_bus(int number, siginfo_t *info, void *context)
{
	struct guard *g = guarded;
	const char *at = info->si_addr;
	if (g && info->si_code > 0 && at >= g->from && at < g->to) {
		pthread_sigmask(SIG_SETMASK, &((const ucontext_t *)context)->uc_sigmask, NULL); /* as it was: nothing stays blocked */
		siglongjmp(g->back, 1);
	}
	pass_on(number, info, context);
}

static void set_handler(void)
{
	struct sigaction action = {.sa_flags = SA_SIGINFO};
	action.sa_sigaction = on_bus;
	sigemptyset(&action.sa_mask);
	sigaction(SIGBUS, &action, &before);
}

static bool copy(char *to, const struct iovec *iov)
{
	struct guard g = {.from = to, .to = to + iov->iov_len};
	bool done = sigsetjmp(g.back, 0) == 0;
	if (done) {
		guarded = &g;
		memcpy(to, iov->iov_base, iov->iov_len);
		__asm__ volatile("" ::: "memory"); /* before it is no longer guarded */
	}
	guarded = NULL;
	return done;
}

/* ---- windows ---- */

/* Room that was set aside stays set aside there, also when a page goes to the disk and is written to again. Elsewhere (copy on write, the
 * network) a page may then find the disk full. */
static bool keeps_room(int fd)
{
	struct statfs st;
	return fstatfs(fd, &st) == 0 && (st.f_type == 0xef53 /* ext4 */ || st.f_type == 0x01021994 /* tmpfs */);
}

/* All of its pages are fetched now, by a call that can fail. */
void real_window_open(struct real_window *w, int fd, uint64_t from, uint64_t to)
{
	static pthread_once_t once = PTHREAD_ONCE_INIT;
	real_window_close(w);
	from -= from % (uint64_t)sysconf(_SC_PAGESIZE);
	if (to < from + WINDOW_LEAST || !keeps_room(fd) || pthread_once(&once, set_handler))
		return;
	size_t n = (size_t)(to - from);
	char *p = mmap(NULL, n, PROT_READ | PROT_WRITE, MAP_SHARED, fd, (off_t)from);
	if (p == MAP_FAILED)
		return;
	*w = (struct real_window){p, from, to};
	if (madvise(p, n, MADV_POPULATE_WRITE) < 0)
		real_window_close(w);
}

void real_window_close(struct real_window *w)
{
	if (w->p)
		munmap(w->p, (size_t)(w->to - w->from));
	w->p = NULL;
}

/* A file that is shorter by now is written to by the kernel: of its last page memory would take what the file does not. */
bool real_window_write(struct real_window *w, int fd, const struct iovec *iov, int niov, uint64_t off)
{
	if (!w->p || niov != 1 || off < w->from || off > w->to || iov->iov_len > w->to - off)
		return false;
	if (lseek(fd, 0, SEEK_END) >= (off_t)w->to && copy(w->p + (off - w->from), iov))
		return true;
	real_window_close(w);
	return false;
}
