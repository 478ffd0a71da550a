/* world.h - everything outside the program, passed in.
 *
 * Clocks, chance, files (those that must stay: file.h), processes and the terminal are reached through a struct sd_world;
 * sockets, timers and threads through the loops it makes (loop.h). The real world calls the kernel and is made once, in
 * main. A simulated one (sim.h) has virtual time, seeded chance, a network and disks of its own; what is about the process
 * that runs everything (links, terminals, children) fails there. Nothing outside src/world calls the kernel.
 */
#ifndef SD_WORLD_WORLD_H
#define SD_WORLD_WORLD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "sdlab/err.h"

struct sd_world;

/* The kernel's. One a process; free it last. */
struct sd_world *sd_world_real(void);
void sd_world_free(struct sd_world *w);

/* Nanoseconds since some fixed point; never goes back. */
int64_t sd_world_mono_ns(struct sd_world *w);
/* Nanoseconds since 1970-01-01 UTC. */
int64_t sd_world_wall_ns(struct sd_world *w);
/* Processor time of the calling thread. */
int64_t sd_world_thread_cpu_ns(struct sd_world *w);
/* Chance good enough for keys (the kernel's generator). */
void sd_world_random(struct sd_world *w, void *out, size_t n);
/* Blocks the calling thread; only for work that is meant to block (backend --mode single). */
void sd_world_sleep_ns(struct sd_world *w, int64_t ns);
/* Keeps the calling thread computing until it has used so much processor time. */
void sd_world_compute_ns(struct sd_world *w, int64_t ns);

/* ---- files ---- */

/* Reads a whole file of at most max bytes, NUL-terminated; *out is the caller's to free. name "-" reads
 * standard input. Errors say "cannot open NAME: No such file or directory". */
enum sd_err sd_world_read_file(struct sd_world *w, const char *name, size_t max, char **out, size_t *len,
			       struct sd_error *e);
/* Its permission bits. False when it cannot be looked at. */
bool sd_world_file_mode(struct sd_world *w, const char *name, unsigned *mode);
/* Writes a file anew, with mode 0644. */
enum sd_err sd_world_write_file(struct sd_world *w, const char *name, const char *text, size_t n, struct sd_error *e);
/* Makes `name` a symbolic link to target; SD_EEXISTS when name is there and is something else. A link that
 * already points there is fine. */
enum sd_err sd_world_symlink(struct sd_world *w, const char *target, const char *name, struct sd_error *e);
enum sd_err sd_world_hardlink(struct sd_world *w, const char *target, const char *name, struct sd_error *e);
/* Makes a folder and its parents; fine when it is there. mode is of the last one. */
enum sd_err sd_world_mkdir(struct sd_world *w, const char *name, unsigned mode, struct sd_error *e);
/* Makes a folder that only this user may enter (0700); refuses one that is there and somebody else could use. */
enum sd_err sd_world_private_dir(struct sd_world *w, const char *name, struct sd_error *e);
enum sd_err sd_world_unlink(struct sd_world *w, const char *name);
/* The names in a folder, sorted, NULL-terminated; free each and the array. NULL: cannot be read; never a part. */
char **sd_world_list_dir(struct sd_world *w, const char *name);
/* Writes all bytes to descriptor 1 or 2; false when it cannot. */
bool sd_world_print(struct sd_world *w, int fd, const char *text, size_t n);
/* Reads what is there on standard input, after waiting for the first byte. *got is 0 at its end. */
enum sd_err sd_world_input(struct sd_world *w, void *buf, size_t n, size_t *got, struct sd_error *e);
bool sd_world_is_terminal(struct sd_world *w, int fd);
/* The path of the running program; false when unknown. */
bool sd_world_self_path(struct sd_world *w, char *out, size_t n);

/* ---- this process ---- */

int64_t sd_world_pid(struct sd_world *w);
unsigned sd_world_uid(struct sd_world *w);
/* Lifts the soft limit of open files to the hard one; returns the limit. */
size_t sd_world_raise_files(struct sd_world *w);
/* Becomes this user and its group for good; for programs started as root. */
enum sd_err sd_world_drop_to_user(struct sd_world *w, const char *user, struct sd_error *e);

#endif
