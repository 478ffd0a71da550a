/* loop.h - one thread's turn of events: sockets, timers, messages from other threads.
 *
 * A loop belongs to the thread that runs it; only sd_loop_post and sd_loop_stop may be called from elsewhere. What a
 * callback wants done after itself it defers: deferred tasks run before the loop waits again, so no callback
 * ever calls back into the room that called it.
 */
#ifndef SD_WORLD_LOOP_H
#define SD_WORLD_LOOP_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>
#include <sys/uio.h>

#include "core/addr.h"
#include "core/timers.h"
#include "world.h"

struct sd_loop;
struct sd_file;

struct sd_loop *sd_loop_new(struct sd_world *w, struct sd_error *e);
void sd_loop_free(struct sd_loop *l);
void sd_loop_run(struct sd_loop *l); /* until sd_loop_stop; then it may be run again */
void sd_loop_stop(struct sd_loop *l); /* from any thread */
/* Runs it on a thread of its own that takes no signals. Then sd_loop_stop and sd_loop_join, which waits for the end. */
enum sd_err sd_loop_start(struct sd_loop *l, const char *name, struct sd_error *e);
void sd_loop_join(struct sd_loop *l); /* fine when it was not started */
/* Runs what was posted and deferred, without waiting. By the loop's thread, or after it ended. */
void sd_loop_flush(struct sd_loop *l);
struct sd_world *sd_loop_world(struct sd_loop *l);
/* Is the caller on the thread that runs the loop (before it runs: that made it)? */
bool sd_loop_is_mine(struct sd_loop *l);
/* Monotonic time of the callback that runs: read once, when first asked for. */
int64_t sd_loop_now_ns(struct sd_loop *l);
/* Bytes any callback may use until it returns: SD_LOOP_SCRATCH of them, one buffer a loop. */
#define SD_LOOP_SCRATCH 65536
char *sd_loop_scratch(struct sd_loop *l);

/* Blocks of SD_LOOP_BLOCK bytes, kept for reuse, so that idle connections own no buffers. NULL: out of memory. */
#define SD_LOOP_BLOCK 4096
char *sd_loop_block(struct sd_loop *l);
void sd_loop_block_free(struct sd_loop *l, char *block);

/* ---- timers ---- */
void sd_loop_timer_set(struct sd_loop *l, struct sd_timer *t, int64_t due_ns);
void sd_loop_timer_cancel(struct sd_loop *l, struct sd_timer *t);

/* ---- tasks ---- */
struct sd_task {
	void (*fn)(struct sd_task *task);
	struct sd_task *next;
	bool queued; /* deferring one that is already queued does nothing */
	bool posted; /* so does posting one that was posted and has not begun to run */
};
/* Runs on the loop's thread, in order of posting. From any thread. The task must live until it ran; zero all but fn before its first use. */
void sd_loop_post(struct sd_loop *l, struct sd_task *t);
/* Runs at the end of the current callback. */
void sd_loop_defer(struct sd_loop *l, struct sd_task *t);

/* Runs once a turn, when everything that was ready when the loop looked has been handed over: for what many connections share
 * (one write for all of them). In the simulated world a turn is one callback. A task is in one of the two queues. */
void sd_loop_defer_late(struct sd_loop *l, struct sd_task *t);

/* ---- sockets ---- */
#define SD_IO_READ  1u
#define SD_IO_WRITE 2u
#define SD_IO_ERROR 4u /* only to ready(): the socket has an error; a read tells which */

/* A non-blocking byte stream. A TLS layer is one of these over another. */
struct sd_io {
	const struct sd_io_ops *ops;
	struct sd_loop *loop;
	void (*ready)(struct sd_io *io, unsigned what);
	void *owner;
	struct sd_peer peer;  /* the other end, or the client that a PROXY header speaks for */
	struct sd_peer local; /* this end, or what the client connected to; kind NONE until sd_io_local asked */
};

struct sd_io_ops {
	/* > 0: bytes; 0: end of stream; < 0: minus an enum sd_err, -SD_EAGAIN when nothing is there */
	ssize_t (*read)(struct sd_io *io, void *buf, size_t n);
	ssize_t (*writev)(struct sd_io *io, const struct iovec *iov, int n);
	/* As writev; once it took everything, shutdown_write or close follows at once: what TLS
	 * says of the end leaves with the bytes, not in a packet of its own. NULL: writev does it all. */
	ssize_t (*write_last)(struct sd_io *io, const struct iovec *iov, int n);
	/* Which of SD_IO_READ and SD_IO_WRITE call ready() from now on, each time they are possible. */
	void (*want)(struct sd_io *io, unsigned what);
	/* After sd_loop_connect, when first writable: did it work? */
	enum sd_err (*connected)(struct sd_io *io);
	void (*shutdown_write)(struct sd_io *io);
	/* Why it broke, in words, until it is closed; NULL (or no such function): the code says it all. */
	const char *(*why)(struct sd_io *io);
	/* Frees it; `reset` drops what the kernel has not sent (RST). No callback comes afterwards. */
	void (*close)(struct sd_io *io, bool reset);
	/* From one socket to another without a copy through this program: into a pipe of this io, and out of it to another.
	 * As read and writev; what was taken in stays in the pipe until it is out. -SD_EUNSUPPORTED: not with these, or
	 * there is no pipe to be had; nothing moved. NULL: never. */
	ssize_t (*splice_in)(struct sd_io *io, size_t n);
	ssize_t (*splice_out)(struct sd_io *io, struct sd_io *to, size_t n);
	/* Sends front (iov_len may be 0) and then n bytes of a file from off, by the kernel alone: what went, front included, as
	 * writev tells it; -SD_EEOF: all of front went before, and the file ends at off. NULL: never. */
	ssize_t (*send_file)(struct sd_io *io, const struct iovec *front, struct sd_file *f, uint64_t off, size_t n);
	/* Is something still on its way that shutdown_write said? ready(SD_IO_WRITE) tells when not. NULL: never. */
	bool (*pending)(struct sd_io *io);
	/* Fills in io->local, where this can be known. NULL: it cannot, or was told from the beginning. */
	void (*local)(struct sd_io *io);
	/* Is nothing there to be read, neither bytes nor an end? One look, which takes nothing. */
	bool (*quiet)(struct sd_io *io);
};

/* write_last, where there is one. */
static inline ssize_t sd_io_write_last(struct sd_io *io, const struct iovec *iov, int n)
{
	return io->ops->write_last ? io->ops->write_last(io, iov, n) : io->ops->writev(io, iov, n);
}

/* The address of this end; kind NONE when nobody knows. */
static inline struct sd_peer sd_io_local(struct sd_io *io)
{
	if (io->local.kind == SD_ADDR_NONE && io->ops->local)
		io->ops->local(io);
	return io->local;
}

/* Begins to connect; ready(SD_IO_WRITE) or (SD_IO_ERROR) says it ended. addr->kind is not SD_ADDR_NAME. */
enum sd_err sd_loop_connect(struct sd_loop *l, const struct sd_addr *addr, struct sd_io **out,
			    struct sd_error *e);

/* A listening socket of one loop. */
struct sd_listener;
struct sd_listener_events {
	/* A new connection; the callee owns io and sets ready, owner and want. */
	void (*accepted)(void *arg, struct sd_io *io);
	/* Accepting paused because descriptors ran out (true), or goes on (false). NULL: nobody asks. */
	void (*starved)(void *arg, bool paused);
	void *arg;
};
/* shared: several loops listen on the same port (SO_REUSEPORT). addr->port 0 is replaced by the one chosen. */
enum sd_err sd_loop_listen(struct sd_loop *l, struct sd_addr *addr, bool shared,
			   const struct sd_listener_events *events, struct sd_listener **out, struct sd_error *e);
/* Stops and starts accepting without closing. */
void sd_listener_pause(struct sd_listener *s, bool paused);
void sd_listener_close(struct sd_listener *s);

/* ---- datagrams ---- */

/* A UDP socket of one loop. What it sends may be lost, come twice, or late; nobody is told. */
struct sd_datagrams;
struct sd_datagrams_events {
	/* One came; p is valid until the callback returns. */
	void (*received)(void *arg, const struct sd_addr *from, const void *p, size_t n);
	void *arg;
};
/* addr->port 0 is replaced by the one chosen. */
enum sd_err sd_loop_datagrams(struct sd_loop *l, struct sd_addr *addr, const struct sd_datagrams_events *events,
			      struct sd_datagrams **out, struct sd_error *e);
void sd_datagrams_send(struct sd_datagrams *d, const struct sd_addr *to, const void *p, size_t n);
void sd_datagrams_close(struct sd_datagrams *d); /* NULL is fine */

/* ---- descriptors of libraries that read and write for themselves ---- */

struct sd_watch;
/* Calls ready(arg, what) each time what is wanted is possible, reading at first. The descriptor stays the caller's, who closes it after
 * sd_watch_free. SD_EUNSUPPORTED in the simulated world: nobody there knows such descriptors. */
enum sd_err sd_loop_watch(struct sd_loop *l, int fd, void (*ready)(void *arg, unsigned what), void *arg, struct sd_watch **out,
			  struct sd_error *e);
/* Which of SD_IO_READ and SD_IO_WRITE from now on. */
void sd_watch_want(struct sd_watch *w, unsigned what);
void sd_watch_free(struct sd_watch *w); /* also from within ready; NULL is fine */

/* ---- signals; the loop of the main thread only ---- */
struct sd_signal;
struct sd_signal *sd_loop_signal(struct sd_loop *l, int signo, void (*fn)(void *arg, int signo), void *arg);
void sd_signal_free(struct sd_signal *s);

/* ---- what blocks ---- */

/* Up to max_threads helper threads that run what would stop a loop. */
struct sd_helpers;
struct sd_helpers *sd_helpers_new(struct sd_world *w, unsigned max_threads);
void sd_helpers_free(struct sd_helpers *h); /* waits for what runs; what waits is dropped */

struct sd_work {
	void (*run)(struct sd_work *work);  /* on a helper thread */
	void (*done)(struct sd_work *work); /* back on the loop */
	/* Instead of done when the loop or the helpers were freed before, on any thread: the last call for it. NULL: nobody
	 * asks. */
	void (*dropped)(struct sd_work *work);
	struct sd_loop *loop;
	struct sd_task task;
	struct sd_work *next;
};
/* False when no thread can be had. */
bool sd_helpers_submit(struct sd_helpers *h, struct sd_loop *l, struct sd_work *work);

/* Looks a host name up on a helper thread of the world's. */
struct sd_resolve {
	struct sd_work work;
	char host[256];
	uint16_t port;
	struct sd_addr found[8];
	int nfound; /* 0: see err */
	char err[128];
	void (*done)(struct sd_resolve *r);
	void (*dropped)(struct sd_resolve *r); /* as in struct sd_work */
};
bool sd_resolve_start(struct sd_loop *l, struct sd_resolve *r);
/* Looks addr's name up, waits for it, and puts the first address found in its place. SD_ENOTFOUND. */
enum sd_err sd_resolve_wait(struct sd_world *w, struct sd_addr *addr, struct sd_error *e);

/* ---- child processes ---- */
struct sd_process;
struct sd_process_events {
	void (*output)(void *arg, bool is_stderr, const char *p, size_t n);
	/* How it ended: status >= 0 its exit status, < 0 minus the signal. The process is freed afterwards. */
	void (*exited)(void *arg, int status);
	void *arg;
};
/* Runs argv[0] (a path) in a process group of its own; it gets SIGTERM if this process dies. */
enum sd_err sd_process_start(struct sd_loop *l, const char *const *argv, const char *const *env,
			     const struct sd_process_events *events, struct sd_process **out, struct sd_error *e);
int64_t sd_process_pid(const struct sd_process *p);
void sd_process_signal(struct sd_process *p, int signo);

#endif
