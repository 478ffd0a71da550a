/* http_path.c - one way to write each path of a URL.
 *
 * One pass, a byte written for each that was read or fewer. A segment is looked at when the '/' behind it, or the end, is
 * reached: by then it is decoded, so that "%2e." is what it means.
 */
#include "core/http_path.h"

#include <stdbool.h>
#include <string.h>

struct writer {
	char *out;
	size_t n, room;
	size_t segment; /* where the last segment begins, behind its '/' */
	const char *why;
};

static int hex(char c)
{
	if (c >= '0' && c <= '9')
		return c - '0';
	c |= 0x20;
	return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

static bool unreserved(int c)
{
	return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
	       c == '_' || c == '~';
}

static void put(struct writer *w, char c)
{
	if (w->n == w->room)
		w->why = "path is too long";
	else
		w->out[w->n++] = c;
}

/* p is at a '%' with left bytes from there on. */
static void put_encoded(struct writer *w, const char *p, size_t left)
{
	static const char digits[] = "0123456789ABCDEF";
	int high = left >= 3 ? hex(p[1]) : -1;
	int low = left >= 3 ? hex(p[2]) : -1;
	if (high < 0 || low < 0) {
		w->why = "'%' in the path without two hex digits (RFC 3986 2.1)";
		return;
	}
	int c = high * 16 + low;
	if (c == 0)
		w->why = "NUL in the path";
	else if (c == '\\')
		w->why = "backslash in the path";
	else if (unreserved(c)) {
		put(w, (char)c);
	} else {
		put(w, '%');
		put(w, digits[high]);
		put(w, digits[low]);
	}
}

static void put_raw(struct writer *w, char c)
{
	unsigned char u = (unsigned char)c;
	if (c == '\\')
		w->why = "backslash in the path";
	else if (u <= ' ' || u >= 0x7f || c == '#' || c == '?')
		w->why = "byte in the path that must be percent-encoded (RFC 3986 3.3)";
	else
		put(w, c);
}

/* Takes the last segment away when it is "." or "..", which takes the one before it, too; then `segment` is where the next
 * one goes. */
static void end_segment(struct writer *w)
{
	size_t n = w->n - w->segment;
	const char *s = w->out + w->segment;
	bool dot = n == 1 && s[0] == '.', dots = n == 2 && s[0] == '.' && s[1] == '.';
	if (!dot && !dots)
		return;
	w->n = w->segment;
	if (!dots)
		return;
	if (w->segment == 1) {
		w->why = "path goes above the root";
		return;
	}
	const char *slash = memrchr(w->out, '/', w->segment - 1);
	w->n = w->segment = (size_t)(slash - w->out) + 1;
}

/* After end_segment a dot segment has left its '/' behind, and the next one is not written twice. */
static void put_slash(struct writer *w)
{
	size_t before = w->n - w->segment;
	end_segment(w);
	bool gone = before > 0 && w->n == w->segment;
	if (!gone && !w->why)
		put(w, '/');
	w->segment = w->n;
}

ssize_t sd_http_path_normalise(struct sd_slice path, char *out, size_t room, const char **why)
{
	struct writer w = {out, 0, room, 0, NULL};
	if (path.n == 0 || path.p[0] != '/')
		w.why = "path does not begin with '/'";
	else
		put(&w, '/');
	w.segment = w.n;
	for (size_t i = 1; i < path.n && !w.why; i++) {
		if (path.p[i] == '/') {
			put_slash(&w);
		} else if (path.p[i] == '%') {
			put_encoded(&w, path.p + i, path.n - i);
			i += 2;
		} else {
			put_raw(&w, path.p[i]);
		}
	}
	if (!w.why)
		end_segment(&w);
	if (w.why && why)
		*why = w.why;
	return w.why ? -1 : (ssize_t)w.n;
}

/* Is this a segment that a file or folder may be called by? What begins with a dot is not for everybody. */
static bool names_file(const char *s, size_t n, bool last)
{
	if (n == 0)
		return last;
	return s[0] != '.' || (n == 11 && memcmp(s, ".well-known", 11) == 0);
}

/* Decodes; returns the length, or -1 for what no name may hold. */
static ssize_t decode(struct sd_slice path, char *out)
{
	size_t n = 0;
	for (size_t i = 0; i < path.n; i++) {
		char c = path.p[i];
		if (c == '%') {
			int high = path.n - i >= 3 ? hex(path.p[i + 1]) : -1;
			int low = path.n - i >= 3 ? hex(path.p[i + 2]) : -1;
			c = high < 0 || low < 0 ? '\0' : (char)(high * 16 + low);
			if (c == '/')
				return -1;
			i += 2;
		}
		if (c == '\0')
			return -1;
		out[n++] = c;
	}
	out[n] = '\0';
	return (ssize_t)n;
}

ssize_t sd_http_path_file(struct sd_slice path, char *out, size_t room)
{
	if (path.n > 0 && path.p[0] == '/')
		path = (struct sd_slice){path.p + 1, path.n - 1};
	if (path.n >= room)
		return -1;
	ssize_t n = decode(path, out);
	for (ssize_t from = 0; from <= n;) {
		const char *slash = memchr(out + from, '/', (size_t)(n - from));
		ssize_t to = slash ? slash - out : n;
		if (!names_file(out + from, (size_t)(to - from), !slash))
			return -1;
		from = to + 1;
	}
	return n;
}
