/* sim_text.c - the table that a person reads: the limit, its value here, and what it means for a server. */
#include <inttypes.h>
#include <stdarg.h>
#include <string.h>

#include "sim.h"

#define TEXT     32
#define NAME     20 /* columns */
#define VALUE    34
#define MAX_ROWS 24

struct row {
	const char *name;
	char value[96], means[160];
};

struct table {
	struct row rows[MAX_ROWS];
	size_t n;
};

/* ---- amounts ---- */

struct unit {
	double size;
	const char *name;
};

static const struct unit times[] = {{1e9, " s"}, {1e6, " ms"}, {1e3, " us"}, {1, " ns"}};
static const struct unit bytes[] = {{1099511627776.0, " TiB"}, {1073741824.0, " GiB"}, {1048576.0, " MiB"},
				    {1024.0, " KiB"},          {1, " B"}};

/* Three digits: 23.5 GiB, 870 us. */
static const char *scaled(int64_t v, const struct unit *u, char out[TEXT])
{
	if (v < 0)
		return "unknown";
	if (v == SD_UNLIMITED)
		return "unlimited";
	while (u->size > 1 && (double)v < u->size)
		u++;
	double n = (double)v / u->size;
	snprintf(out, TEXT, "%.*f%s", u->size <= 1 || n >= 99.95 ? 0 : n >= 9.995 ? 1 : 2, n, u->name);
	return out;
}

static const char *count(int64_t v, char out[TEXT])
{
	char digits[24];
	if (v < 0)
		return "unknown";
	if (v == SD_UNLIMITED)
		return "unlimited";
	int n = snprintf(digits, sizeof(digits), "%" PRId64, v), o = 0;
	for (int i = 0; i < n; i++) {
		if (i && (n - i) % 3 == 0)
			out[o++] = ',';
		out[o++] = digits[i];
	}
	out[o] = '\0';
	return out;
}

/* 1.5 of thousandths. */
static const char *cores(int64_t milli, char out[TEXT])
{
	if (milli < 0 || milli == SD_UNLIMITED)
		return count(milli, out);
	snprintf(out, TEXT, "%.4g", (double)milli / 1000);
	return out;
}

static bool is_number(int64_t v)
{
	return v >= 0 && v != SD_UNLIMITED;
}

/* ---- rows ---- */

static void add(struct table *t, const char *name, const char *fmt, ...) __attribute__((format(printf, 3, 4)));
static void means(struct table *t, const char *fmt, ...) __attribute__((format(printf, 2, 3)));

static void add(struct table *t, const char *name, const char *fmt, ...)
{
	va_list ap;
	struct row *row = &t->rows[t->n++];
	row->name = name;
	row->means[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(row->value, sizeof(row->value), fmt, ap);
	va_end(ap);
}

/* Of the last row. */
static void means(struct table *t, const char *fmt, ...)
{
	va_list ap;
	struct row *row = &t->rows[t->n - 1];
	va_start(ap, fmt);
	vsnprintf(row->means, sizeof(row->means), fmt, ap);
	va_end(ap);
}

static void add_files(struct table *t, const struct sd_machine *m)
{
	char a[TEXT], b[TEXT];
	add(t, "open files", "%s (up to %s)", count(m->files_soft, a), count(m->files_hard, b));
	means(t, "connections and files of a process; `ulimit -n` raises it");
	add(t, "open files, all", "%s of %s in use", count(m->files_in_use, a), count(m->files_system, b));
	means(t, "of all processes together");
}

static void add_tasks(struct table *t, const struct sd_machine *m)
{
	char a[TEXT];
	add(t, "processes, threads", "%s", count(sim_tasks(m), a));
	means(t, "where a thread for each connection ends");
}

static void add_ports(struct table *t, const struct sd_machine *m)
{
	char a[TEXT], b[TEXT];
	int64_t n = sim_ports(m);
	if (n < 0) {
		add(t, "local ports", "unknown");
	} else {
		add(t, "local ports", "%s (%" PRId64 " to %" PRId64 ")", count(n, a), m->port_low, m->port_high);
		means(t, "connections out to one address; %s new ones a second,", count(n / SIM_TIME_WAIT_S, b));
		add(t, "", "%s", "");
		means(t, "for each holds its port %d s longer (TIME_WAIT)", SIM_TIME_WAIT_S);
	}
	add(t, "listen backlog", "%s", count(m->backlog, a));
	means(t, "connections that wait to be accepted; more try again after 1 s");
}

static void add_cores(struct table *t, const struct sd_machine *m)
{
	char a[TEXT], b[TEXT], c[TEXT];
	int64_t usable = sim_cores_milli(m);
	bool quota = is_number(m->cores_quota_milli);
	add(t, "cores", "%s of %s%s%s", cores(usable, a), count(m->cores_online, b), quota ? ", quota " : "",
	    quota ? cores(m->cores_quota_milli, c) : "");
	if (is_number(usable))
		means(t, "10 ms of computing a request: at most %s requests a second", count(usable / 10, b));
}

static void add_memory(struct table *t, const struct sd_machine *m, const struct sim_measured *x)
{
	char a[TEXT], b[TEXT];
	int64_t usable = sim_memory(m);
	add(t, "memory", "%s, %s available", scaled(m->memory_total, bytes, a), scaled(m->memory_available, bytes, b));
	if (is_number(usable))
		means(t, "%s connections of 64 KiB each", count(usable / 65536, a));
	add(t, "memory, cgroup", "%s", m->memory_group == SD_UNLIMITED ? "no limit" : scaled(m->memory_group, bytes, a));
	if (is_number(m->memory_group))
		means(t, "beyond it the kernel kills the process");
	add(t, "memory copy", "%s%s", scaled(x->copy_rate, bytes, a), x->copy_rate < 0 ? "" : "/s");
	if (x->copy_rate > 0)
		means(t, "one core; copying a 64 KiB answer once costs %s",
		      scaled((int64_t)(65536e9 / (double)x->copy_rate), times, b));
}

static void add_disk(struct table *t, const struct sim_report *r)
{
	char a[TEXT], b[TEXT];
	const struct sim_measured *x = &r->measured;
	bool in_memory = strcmp(r->fs.type, "tmpfs") == 0 || strcmp(r->fs.type, "ramfs") == 0;
	add(t, "filesystem", "%s, %s free", *r->fs.type ? r->fs.type : "unknown", scaled(r->fs.free, bytes, a));
	means(t, "of %.80s%s", r->dir, in_memory ? ": memory, not a disk; try --dir" : "");
	if (x->sync_p50_ns < 0)
		add(t, "disk sync", "unknown");
	else
		add(t, "disk sync", "p50 %s, p99 %s", scaled(x->sync_p50_ns, times, a), scaled(x->sync_p99_ns, times, b));
	if (x->commits_rate >= 0)
		means(t, "%s commits a second, one sync each; group commit for more", count(x->commits_rate, a));
	add(t, "disk write", "%s%s", scaled(x->write_rate, bytes, a), x->write_rate < 0 ? "" : "/s");
	means(t, "no log grows faster");
}

static void add_loopback(struct table *t, const struct sim_measured *x)
{
	char a[TEXT], b[TEXT], c[TEXT];
	add(t, "loopback connect", "%s%s", count(x->connect_rate, a), x->connect_rate < 0 ? "" : "/s");
	if (x->connect_rate > 0)
		means(t, "one after another; without keep-alive each request pays %s",
		      scaled(1000000000 / x->connect_rate, times, b));
	add(t, "loopback round trip", "%s%s", count(x->trip_rate, a), x->trip_rate < 0 ? "" : "/s");
	if (x->trip_rate >= 0)
		means(t, "p50 %s, p99 %s: the least that asking another process costs", scaled(x->trip_p50_ns, times, b),
		      scaled(x->trip_p99_ns, times, c));
	add(t, "loopback stream", "%s%s", scaled(x->stream_rate, bytes, a), x->stream_rate < 0 ? "" : "/s");
	means(t, "one connection, without a network");
}

static void add_clock(struct table *t, const struct sim_report *r)
{
	char a[TEXT], b[TEXT];
	add(t, "clock", "steps of %s, %s to read", scaled(r->machine.clock_step_ns, times, a),
	    scaled(r->measured.clock_read_ns, times, b));
	means(t, "nothing shorter can be timed");
	add(t, "kernel", "%s", *r->machine.kernel ? r->machine.kernel : "unknown");
}

void sim_text_report(FILE *out, const struct sim_report *r)
{
	struct table t = {.n = 0};
	add_files(&t, &r->machine);
	add_tasks(&t, &r->machine);
	add_ports(&t, &r->machine);
	add_cores(&t, &r->machine);
	add_memory(&t, &r->machine, &r->measured);
	add_disk(&t, r);
	add_loopback(&t, &r->measured);
	add_clock(&t, r);
	fprintf(out, "%-*s %-*s %s\n", NAME, "limit", VALUE, "here", "what it means for a server");
	for (size_t i = 0; i < t.n; i++) {
		const struct row *row = &t.rows[i];
		if (*row->means)
			fprintf(out, "%-*s %-*s %s\n", NAME, row->name, VALUE, row->value, row->means);
		else
			fprintf(out, "%-*s %s\n", NAME, row->name, row->value);
	}
	if (*r->why)
		fprintf(out, "\nunknown, because: %s\n", r->why);
	fputs("\nTry next, to see what one server makes of it:\n"
	      "  sdlab backend --port 8081 --mode single --work 10ms &\n"
	      "  sdlab load sweep http://127.0.0.1:8081/\n",
	      out);
}
