/* What kv_states_shim.sh puts before a real server, with LD_PRELOAD: syncs that fail, and a wall clock that is set.
 *
 *	STATES/fail    while it is there, the next sync fails, and takes it away
 *	STATES/clock   seconds that are added to the wall clock
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

static const char *at(const char *name, char path[4096])
{
	const char *dir = getenv("STATES");
	snprintf(path, 4096, "%s/%s", dir ? dir : ".", name);
	return path;
}

int fdatasync(int fd)
{
	static int (*real)(int);
	char path[4096];
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "fdatasync");
	if (unlink(at("fail", path)) < 0)
		return real(fd);
	errno = EIO;
	return -1;
}

/* Half a file, as it is while it is written anew, is the one before. */
static long ahead(void)
{
	static _Atomic long last;
	char path[4096], text[32] = "";
	int fd = open(at("clock", path), O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return 0;
	ssize_t n = read(fd, text, sizeof(text) - 1);
	close(fd);
	if (n > 0 && text[n - 1] == '\n')
		last = strtol(text, NULL, 10);
	return last;
}

int clock_gettime(clockid_t id, struct timespec *ts)
{
	static int (*real)(clockid_t, struct timespec *);
	if (!real)
		*(void **)&real = dlsym(RTLD_NEXT, "clock_gettime");
	int err = real(id, ts);
	if (!err && id == CLOCK_REALTIME)
		ts->tv_sec += ahead();
	return err;
}
