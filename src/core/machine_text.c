#include "machine_text.h"

#include <string.h>

#include "sdlab/slice.h"

#define PATH_TEXT 1024
/* Version 1 writes "no limit" as the largest number of pages in bytes. */
#define HUGE_LIMIT (INT64_C(1) << 62)

/* ---- numbers ---- */

static bool is_blank(char c)
{
	return c == ' ' || c == '\t' || c == '\n';
}

static bool is_digit(char c)
{
	return c >= '0' && c <= '9';
}

static const char *skip_blanks(const char *p)
{
	while (is_blank(*p))
		p++;
	return p;
}

/* The digits at p, which a blank or the end must follow. */
static int64_t number_at(const char *p)
{
	int64_t v = 0;
	if (!is_digit(*p))
		return SD_UNKNOWN;
	for (; is_digit(*p); p++)
		v = v > (INT64_MAX - (*p - '0')) / 10 ? SD_UNLIMITED : v * 10 + (*p - '0');
	return *p == '\0' || is_blank(*p) ? v : SD_UNKNOWN;
}

int64_t sd_text_number(const char *text, unsigned i)
{
	if (!text)
		return SD_UNKNOWN;
	for (text = skip_blanks(text); i > 0 && *text; i--) {
		while (*text && !is_blank(*text))
			text++;
		text = skip_blanks(text);
	}
	return number_at(text);
}

int64_t sd_meminfo_bytes(const char *text, const char *key)
{
	size_t n = strlen(key);
	for (; text && *text; text = strchr(text, '\n'), text += text != NULL) {
		if (strncmp(text, key, n) != 0 || text[n] != ':')
			continue;
		int64_t kb = number_at(skip_blanks(text + n + 1));
		return kb >= 0 && kb <= INT64_MAX / 1024 ? kb * 1024 : SD_UNKNOWN;
	}
	return SD_UNKNOWN;
}

int64_t sd_limit_min(int64_t a, int64_t b)
{
	if (a < 0 || b < 0)
		return a < 0 ? b : a;
	return a < b ? a : b;
}

/* ---- limits of control groups ---- */

/* Does the text begin with this word? */
static bool begins(const char *text, const char *word)
{
	size_t n = strlen(word);
	return strncmp(text, word, n) == 0 && (text[n] == '\0' || is_blank(text[n]));
}

int64_t sd_cgroup_limit(const char *text)
{
	if (!text)
		return SD_UNKNOWN;
	if (begins(text, "max") || begins(text, "-1"))
		return SD_UNLIMITED;
	int64_t v = number_at(text);
	return v >= HUGE_LIMIT ? SD_UNLIMITED : v;
}

static int64_t thousandths(int64_t quota, int64_t period)
{
	if (quota == SD_UNLIMITED || quota < 0)
		return quota;
	if (period <= 0 || period == SD_UNLIMITED || quota > INT64_MAX / 1000)
		return SD_UNKNOWN;
	return quota * 1000 / period;
}

int64_t sd_cgroup_cpu_max(const char *text)
{
	return thousandths(sd_cgroup_limit(text), sd_text_number(text, 1));
}

int64_t sd_cgroup_cpu_quota(const char *quota, const char *period)
{
	return thousandths(sd_cgroup_limit(quota), sd_text_number(period, 0));
}

/* ---- lines of words ---- */

/* The next line of *text, without its end; false when there is none. */
static bool next_line(const char **text, struct sd_slice *line)
{
	if (!*text || !**text)
		return false;
	line->p = *text;
	line->n = strcspn(*text, "\n");
	*text += line->n + ((*text)[line->n] == '\n');
	return true;
}

/* Takes what stands before the next `stop` off the line. */
static struct sd_slice take(struct sd_slice *line, char stop)
{
	const char *end = line->n ? memchr(line->p, stop, line->n) : NULL;
	struct sd_slice word = {line->p, end ? (size_t)(end - line->p) : line->n};
	size_t used = word.n + (end != NULL);
	line->p += used;
	line->n -= used;
	return word;
}

static bool list_has(struct sd_slice list, const char *name)
{
	while (list.n)
		if (sd_slice_eq(take(&list, ','), name))
			return true;
	return false;
}

/* Mount points hold blanks and backslashes as three octal digits. False: does not fit. */
static bool unescape(struct sd_slice in, char *out, size_t size)
{
	size_t n = 0;
	for (size_t i = 0; i < in.n; i++) {
		unsigned char c = (unsigned char)in.p[i];
		if (c == '\\' && i + 3 < in.n && in.p[i + 1] >= '0' && in.p[i + 1] <= '3' && is_digit(in.p[i + 2]) &&
		    is_digit(in.p[i + 3])) {
			c = (unsigned char)((in.p[i + 1] - '0') * 64 + (in.p[i + 2] - '0') * 8 + (in.p[i + 3] - '0'));
			i += 3;
		}
		if (n + 1 >= size)
			return false;
		out[n++] = (char)c;
	}
	out[n] = '\0';
	return true;
}

/* ---- mounts ---- */

struct mount {
	char root[PATH_TEXT], point[PATH_TEXT];
	struct sd_slice type, options; /* of the filesystem: "rw,memory" */
};

/* ID PARENT MAJOR:MINOR ROOT POINT OPTIONS [FIELD...] - TYPE SOURCE OPTIONS */
static bool read_mount(struct sd_slice line, struct mount *m)
{
	struct sd_slice root, point;
	for (int i = 0; i < 3; i++)
		take(&line, ' ');
	root = take(&line, ' ');
	point = take(&line, ' ');
	while (line.n && !sd_slice_eq(take(&line, ' '), "-"))
		;
	m->type = take(&line, ' ');
	take(&line, ' ');
	m->options = take(&line, ' ');
	return m->type.n && root.n && point.n && unescape(root, m->root, sizeof(m->root)) &&
	       unescape(point, m->point, sizeof(m->point));
}

/* Is path dir, or below it? What is left of it then begins at *rest: "" or "/..." */
static bool below(const char *path, const char *dir, const char **rest)
{
	size_t n = strlen(dir);
	if (n == 1 && dir[0] == '/')
		n = 0;
	*rest = path + n;
	return strncmp(path, dir, n) == 0 && (path[n] == '\0' || path[n] == '/');
}

bool sd_mount_type(const char *mountinfo, const char *path, char *out, size_t n)
{
	struct sd_slice line;
	struct mount m;
	const char *rest;
	size_t best = 0;
	while (next_line(&mountinfo, &line)) {
		/* the longest that fits; of equal ones the last, for it lies over the others */
		if (!read_mount(line, &m) || !below(path, m.point, &rest) || strlen(m.point) < best || m.type.n >= n)
			continue;
		best = strlen(m.point);
		memcpy(out, m.type.p, m.type.n);
		out[m.type.n] = '\0';
	}
	return best > 0;
}

/* ---- where a control group is ---- */

/* The path behind "ID:controllers:" of the line that has the controller; NULL: the line of version 2, which has none. */
static bool group_path(const char *cgroup, const char *controller, char *out, size_t n)
{
	struct sd_slice line;
	while (next_line(&cgroup, &line)) {
		take(&line, ':');
		struct sd_slice list = take(&line, ':');
		if ((controller ? list_has(list, controller) : list.n == 0) && line.n && line.n < n) {
			memcpy(out, line.p, line.n);
			out[line.n] = '\0';
			return true;
		}
	}
	return false;
}

static bool find_group(const char *cgroup, const char *mountinfo, const char *controller, struct sd_cgroup_place *out)
{
	char path[PATH_TEXT];
	struct sd_slice line;
	struct mount m;
	if (!group_path(cgroup, controller, path, sizeof(path)))
		return false;
	while (next_line(&mountinfo, &line)) {
		const char *rest = "";
		if (!read_mount(line, &m) || !sd_slice_eq(m.type, controller ? "cgroup" : "cgroup2") ||
		    (controller && !list_has(m.options, controller)))
			continue;
		/* A container often sees its own group as the root of the mount, under a path that the host knows. */
		if (!below(path, m.root, &rest) || strcmp(rest, "/") == 0)
			rest = "";
		size_t top = strlen(m.point), more = strlen(rest);
		if (top + more >= sizeof(out->dir))
			continue;
		memcpy(out->dir, m.point, top);
		memcpy(out->dir + top, rest, more + 1);
		out->top = top;
		out->v2 = !controller;
		return true;
	}
	return false;
}

bool sd_cgroup_find(const char *cgroup, const char *mountinfo, const char *controller, struct sd_cgroup_place *out)
{
	return cgroup && mountinfo &&
	       (find_group(cgroup, mountinfo, controller, out) || find_group(cgroup, mountinfo, NULL, out));
}
