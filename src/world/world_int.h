/* world_int.h - the seam between the one interface and its two makers. Private to src/world.
 *
 *	world.h, loop.h, file.h, dir.h   what the rest of the program sees
 *	world.c, loop.c, file.c, dir.c   what both worlds share, and the calls through the tables below
 *	real_*.c                    the kernel's world, on libevent
 *	sim*.c                      the simulated one
 *
 * Each maker puts the struct of the seam first in a struct of its own.
 */
#ifndef SD_WORLD_WORLD_INT_H
#define SD_WORLD_WORLD_INT_H

#include "dir.h"
#include "loop.h"

struct sd_world_ops {
	void (*free)(struct sd_world *w);
	int64_t (*mono_ns)(struct sd_world *w);
	int64_t (*wall_ns)(struct sd_world *w);
	int64_t (*thread_cpu_ns)(struct sd_world *w);
	void (*random)(struct sd_world *w, void *out, size_t n);
	void (*sleep_ns)(struct sd_world *w, int64_t ns);
	void (*compute_ns)(struct sd_world *w, int64_t ns);
	bool (*print)(struct sd_world *w, int fd, const char *text, size_t n);
	struct sd_loop *(*loop_new)(struct sd_world *w, struct sd_error *e);
	struct sd_helpers *(*helpers_new)(struct sd_world *w, unsigned max_threads);
	void (*helpers_free)(struct sd_helpers *h);
	bool (*submit)(struct sd_helpers *h, struct sd_loop *l, struct sd_work *work);
	bool (*resolve)(struct sd_loop *l, struct sd_resolve *r);
	size_t (*raise_files)(struct sd_world *w);
	enum sd_err (*drop_to_user)(struct sd_world *w, const char *user, struct sd_error *e);
	/* files */
	enum sd_err (*read_file)(struct sd_world *w, const char *name, size_t max, char **out, size_t *len,
				 struct sd_error *e);
	bool (*file_mode)(struct sd_world *w, const char *name, unsigned *mode);
	enum sd_err (*mkdir)(struct sd_world *w, const char *name, unsigned mode, struct sd_error *e);
	char **(*list_dir)(struct sd_world *w, const char *name);
	int (*open)(struct sd_world *w, const char *name, unsigned flags, struct sd_file **out); /* 0 or errno, as below */
	int (*unlink)(struct sd_world *w, const char *name);
	int (*rename)(struct sd_world *w, const char *from, const char *to);
	int (*sync_dir)(struct sd_world *w, const char *dir);
	int (*disk_room)(struct sd_world *w, const char *dir, uint64_t *bytes);
	void (*unmap)(struct sd_world *w, const void *p, size_t n);
	int (*dir_open)(struct sd_world *w, const char *name, unsigned flags, struct sd_dir **out);
};

struct sd_world {
	const struct sd_world_ops *ops;
	bool real;
};

struct sd_file_ops {
	void (*close)(struct sd_file *f);
	ssize_t (*read)(struct sd_file *f, void *buf, size_t n, uint64_t off); /* bytes or -errno */
	ssize_t (*read_now)(struct sd_file *f, void *buf, size_t n, uint64_t off); /* the same, or -EAGAIN */
	ssize_t (*write)(struct sd_file *f, const struct iovec *iov, int niov, uint64_t off);
	int (*sync)(struct sd_file *f);
	int (*size)(struct sd_file *f, uint64_t *size);
	int (*truncate)(struct sd_file *f, uint64_t size);
	int (*allocate)(struct sd_file *f, uint64_t size);
	void (*expect)(struct sd_file *f, uint64_t from, uint64_t to); /* NULL: nothing comes of it */
	int (*lock)(struct sd_file *f);
	bool (*is_at)(struct sd_file *f, const char *name); /* true as well when that cannot be known */
	int (*map)(struct sd_file *f, size_t n, const void **out);
};

struct sd_file {
	const struct sd_file_ops *ops;
	char *name;
};

struct sd_dir_ops {
	void (*close)(struct sd_dir *d);
	/* 0 or errno; *out stays NULL for what is no regular file. The name is known to be below. */
	int (*find)(struct sd_dir *d, const char *name, bool now, struct sd_file **out, struct sd_file_info *info);
};

struct sd_dir {
	const struct sd_dir_ops *ops;
	char *name;
};

/* What a person is told of an errno about a file. */
enum sd_err file_result(int err, struct sd_error *e, const char *what, const char *name);

struct sd_loop_ops {
	void (*free)(struct sd_loop *l);
	void (*run)(struct sd_loop *l);
	void (*stop)(struct sd_loop *l);
	enum sd_err (*start)(struct sd_loop *l, const char *name, struct sd_error *e);
	void (*join)(struct sd_loop *l);
	bool (*is_mine)(struct sd_loop *l);
	void (*run_posted)(struct sd_loop *l);
	void (*post)(struct sd_loop *l, struct sd_task *t);
	/* The earliest timer may have moved. */
	void (*arm)(struct sd_loop *l);
	/* loop_run_late is to run when this turn is over. NULL: turns are callbacks, loop_leave does it. */
	void (*arm_late)(struct sd_loop *l);
	enum sd_err (*connect)(struct sd_loop *l, const struct sd_addr *addr, struct sd_io **out, struct sd_error *e);
	enum sd_err (*listen)(struct sd_loop *l, struct sd_addr *addr, bool shared,
			      const struct sd_listener_events *events, struct sd_listener **out, struct sd_error *e);
	enum sd_err (*datagrams)(struct sd_loop *l, struct sd_addr *addr, const struct sd_datagrams_events *events,
				 struct sd_datagrams **out, struct sd_error *e);
	/* NULL: not in this world */
	enum sd_err (*watch)(struct sd_loop *l, int fd, void (*ready)(void *arg, unsigned what), void *arg, struct sd_watch **out,
			     struct sd_error *e);
};

/* Only the real world makes some. */
void real_watch_want(struct sd_watch *w, unsigned what);
void real_watch_free(struct sd_watch *w);

struct sd_loop {
	const struct sd_loop_ops *ops;
	struct sd_world *world;
	int64_t now_ns;
	bool now_valid; /* now_ns is of the callback that runs */
	struct sd_timers timers;
	int64_t round_ns; /* while timers run: those due by then; else INT64_MIN */
	struct sd_task *deferred, **deferred_tail;
	struct sd_task *late, **late_tail;
	char *scratch;
	char *free_blocks; /* linked through their first bytes */
	unsigned nfree_blocks;
};

struct sd_listener_ops {
	void (*pause)(struct sd_listener *s, bool paused);
	void (*close)(struct sd_listener *s);
};

struct sd_listener {
	const struct sd_listener_ops *ops;
	struct sd_loop *loop;
	struct sd_listener_events events;
};

struct sd_datagrams_ops {
	void (*send)(struct sd_datagrams *d, const struct sd_addr *to, const void *p, size_t n);
	void (*close)(struct sd_datagrams *d);
};

struct sd_datagrams {
	const struct sd_datagrams_ops *ops;
	struct sd_loop *loop;
	struct sd_datagrams_events events;
};

struct sd_helpers {
	struct sd_world *world;
};

/* False: out of memory; loop_end all the same. */
bool loop_init(struct sd_loop *l, struct sd_world *w, const struct sd_loop_ops *ops);
void loop_end(struct sd_loop *l);
/* Every callback from outside begins and ends with these. */
static inline void loop_enter(struct sd_loop *l)
{
	l->now_valid = false;
}
void loop_leave(struct sd_loop *l);
void loop_run_late(struct sd_loop *l); /* before loop_leave */
/* Runs what is due now; a timer that one of these sets for now runs in the next round, so sockets get their turn. */
void loop_run_timers(struct sd_loop *l);
/* Runs posted tasks, taken off the loop's list. */
void loop_run_list(struct sd_task *t);

#endif
