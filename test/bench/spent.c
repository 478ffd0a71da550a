/* spent.c - runs a command and says what it took.
 *
 * spent FILE COMMAND [ARGUMENT...]: writes one line to FILE: microseconds of CPU, user and system; microseconds that
 * passed; and the most memory that was resident, in KiB. Children that the command waited for are counted too. Exit
 * status: that of the command, or 125 when it could not be run.
 *
 * A shell cannot do this: the kernel carries the peak of what called exec over into what was called, so a command that
 * needs less than the shell would show the shell's. This program needs less than any that it measures.
 */
#include <errno.h>
#include <spawn.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

static long long us_now(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

static long long us_of(struct timeval t)
{
	return t.tv_sec * 1000000LL + t.tv_usec;
}

static int write_down(const char *path, const struct rusage *used, long long passed)
{
	FILE *f = fopen(path, "w");
	if (!f)
		return -1;
	fprintf(f, "%lld %lld %ld\n", us_of(used->ru_utime) + us_of(used->ru_stime), passed, used->ru_maxrss);
	return fclose(f);
}

int main(int argc, char **argv)
{
	pid_t pid;
	int status = 0;
	struct rusage used;
	if (argc < 3) {
		fprintf(stderr, "usage: spent FILE COMMAND [ARGUMENT...]\n");
		return 125;
	}
	long long begin = us_now();
	int failed = posix_spawnp(&pid, argv[2], NULL, NULL, argv + 2, environ);
	if (failed) {
		fprintf(stderr, "spent: cannot run %s: %s\n", argv[2], strerror(failed));
		return 125;
	}
	while (wait4(pid, &status, 0, &used) < 0)
		if (errno != EINTR)
			return 125;
	if (write_down(argv[1], &used, us_now() - begin) != 0) {
		fprintf(stderr, "spent: cannot write %s: %s\n", argv[1], strerror(errno));
		return 125;
	}
	return WIFEXITED(status) ? WEXITSTATUS(status) : 125;
}
