/* http_files.c - from a request to a file: names, folders, what stands beside it, and who waits for the disk. */
#include "http_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/http_path.h"
#include "http_files_int.h"

/* ---- the server of files ---- */

enum sd_err sd_http_files_new(struct sd_world *w, struct sd_helpers *helpers, const struct sd_http_files_conf *conf,
			      struct sd_http_files **out, struct sd_error *e)
{
	struct sd_http_files *f = calloc(1, sizeof(*f));
	char *index = conf->index ? strdup(conf->index) : NULL;
	if (!f || (conf->index && !index)) {
		free(index);
		free(f);
		return sd_fail(e, SD_ENOMEM, "out of memory");
	}
	enum sd_err err = sd_dir_open(w, conf->root, conf->links ? 0 : SD_DIR_NO_LINKS, &f->dir, e);
	if (err) {
		free(index);
		free(f);
		return err;
	}
	f->world = w;
	f->helpers = helpers;
	f->index = index;
	f->precompressed = conf->precompressed;
	f->refs = 1;
	*out = f;
	return SD_OK;
}

void sd_http_files_unref(struct sd_http_files *f)
{
	if (!f || __atomic_sub_fetch(&f->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	sd_dir_close(f->dir);
	free(f->index);
	free(f);
}

const char *sd_http_files_root(const struct sd_http_files *f)
{
	return sd_dir_name(f->dir);
}

/* ---- the life of an answer ---- */

static void answer_free(struct sd_file_answer *a)
{
	sd_file_close(a->found.file);
	sd_http_encode_free(a->encode);
	sd_http_files_unref(a->files);
	free(a->kept);
	free(a->piece);
	free(a);
}

void files_over(struct sd_file_answer *a, bool cut)
{
	sd_http_encode_free(a->encode);
	a->encode = NULL;
	if (a->over)
		a->over(a->arg, a->x, a->status, cut, a->sent);
}

/* After a step: what the handler is to hold from now on. */
static struct sd_file_answer *still(struct sd_file_answer *a, bool goes_on)
{
	if (goes_on)
		return a;
	answer_free(a);
	return NULL;
}

/* ---- helpers ---- */

static void on_dropped(struct sd_work *work)
{
	answer_free(sd_container(work, struct sd_file_answer, work));
}

static void on_done(struct sd_work *work);

bool files_submit(struct sd_file_answer *a, void (*run)(struct sd_work *work))
{
	a->work = (struct sd_work){.run = run, .done = on_done, .dropped = on_dropped};
	a->working = sd_helpers_submit(a->files->helpers, a->x->server->loop, &a->work);
	return a->working;
}

/* ---- looking ---- */

/* What stands beside the file and the client takes: it must be a file, too, else the plain one is as good. */
static enum sd_err find_coded(struct sd_file_answer *a, const char *name, bool now, struct found *out)
{
	static const char *const suffix[] = {[SD_CODING_ZSTD] = ".zst", [SD_CODING_GZIP] = ".gz"};
	for (int coding = SD_CODING_ZSTD; coding <= SD_CODING_GZIP; coding++) {
		char beside[FILES_NAME + 8];
		struct found f = {.coding = (enum sd_http_coding)coding};
		if (!(a->codings & SD_CODING_BIT(coding)))
			continue;
		snprintf(beside, sizeof(beside), "%s%s", name, suffix[coding]);
		f.err = sd_dir_find(a->files->dir, beside, now, &f.file, &f.info, NULL);
		if (f.err == SD_EAGAIN)
			return SD_EAGAIN;
		if (f.err || !f.file)
			continue;
		sd_file_close(out->file);
		*out = f;
		return SD_OK;
	}
	return SD_OK;
}

/* Looks up the name; SD_EAGAIN when a helper has to do it. Anything else is told in a->found. */
static enum sd_err look(struct sd_file_answer *a, bool now)
{
	struct found f = {.coding = SD_CODING_IDENTITY};
	f.err = sd_dir_find(a->files->dir, a->name, now, &f.file, &f.info, NULL);
	if (f.err == SD_EAGAIN)
		return SD_EAGAIN;
	if (f.file && a->codings && find_coded(a, a->name, now, &f) == SD_EAGAIN) {
		sd_file_close(f.file);
		return SD_EAGAIN;
	}
	a->found = f;
	return SD_OK;
}

static void look_run(struct sd_work *work)
{
	struct sd_file_answer *a = sd_container(work, struct sd_file_answer, work);
	if (look(a, false) == SD_EAGAIN)
		a->found.err = SD_EIO;
}

/* It was looked up: answers. False when x is gone. */
static bool found(struct sd_file_answer *a, const struct sd_http_head *head)
{
	return files_decide(a, head) && files_send(a);
}

static void on_done(struct sd_work *work)
{
	struct sd_file_answer *a = sd_container(work, struct sd_file_answer, work);
	a->working = false;
	if (!a->x) {
		answer_free(a);
		return;
	}
	if (!a->kept) {
		still(a, files_piece_read(a));
		return;
	}
	struct sd_http_head *head = a->kept;
	a->kept = NULL;
	bool goes_on = found(a, head);
	free(head);
	still(a, goes_on);
}

/* ---- what must outlive the call in which a head is there ---- */

static bool is_kept(struct sd_slice name)
{
	static const char *const names[] = {"if-match", "if-none-match", "if-modified-since", "if-unmodified-since",
					    "if-range", "range", "accept-encoding"};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (sd_slice_ieq(name, names[i]))
			return true;
	return false;
}

static struct sd_slice copied(char **to, struct sd_slice s)
{
	struct sd_slice copy = {*to, s.n};
	memcpy(*to, s.p, s.n);
	*to += s.n;
	return copy;
}

/* The fields that the answer depends on, with their text. NULL: out of memory. */
static struct sd_http_head *keep_head(const struct sd_http_head *head)
{
	size_t n = 0;
	for (size_t i = 0; i < head->nfields; i++)
		if (is_kept(head->fields[i].name))
			n += head->fields[i].name.n + head->fields[i].value.n;
	struct sd_http_head *kept = calloc(1, sizeof(*kept) + n);
	if (!kept)
		return NULL;
	char *text = (char *)(kept + 1);
	kept->method = head->method;
	for (size_t i = 0; i < head->nfields; i++) {
		const struct sd_http_field *f = &head->fields[i];
		if (is_kept(f->name))
			kept->fields[kept->nfields++] =
			    (struct sd_http_field){copied(&text, f->name), copied(&text, f->value), f->id};
	}
	return kept;
}

/* ---- asking ---- */

/* The name that is looked for. False when the path can name none. */
static bool set_name(struct sd_file_answer *a, struct sd_slice path, size_t skip)
{
	struct sd_slice rest = {path.p + skip, path.n - skip};
	const char *index = a->files->index;
	ssize_t n = sd_http_path_file(rest, a->name, sizeof(a->name));
	bool folder = path.n > 0 && path.p[path.n - 1] == '/';
	if (n < 0 || !folder)
		return n >= 0;
	if (!index || strlen(index) >= sizeof(a->name) - (size_t)n)
		return false;
	memcpy(a->name + n, index, strlen(index) + 1);
	return true;
}

/* Where a folder is that was asked for without '/'. Empty when it is too long to say, or would be read as another host. */
static void set_location(struct sd_file_answer *a, struct sd_slice path, struct sd_slice query)
{
	bool folder = path.n > 0 && path.p[path.n - 1] == '/';
	if (folder || path.n + query.n + 3 > sizeof(a->location) || sd_slice_starts(path, "//"))
		return;
	snprintf(a->location, sizeof(a->location), "%.*s/%s%.*s", (int)path.n, path.p, query.n ? "?" : "", (int)query.n,
		 query.p ? query.p : "");
}

static unsigned codings_of(const struct sd_http_files *f, const struct sd_http_head *head)
{
	unsigned both = SD_CODING_BIT(SD_CODING_ZSTD) | SD_CODING_BIT(SD_CODING_GZIP), set = 0;
	if (!f->precompressed)
		return 0;
	for (enum sd_http_coding best; both; both &= ~SD_CODING_BIT(best)) {
		best = sd_http_choose_coding(head, both);
		if (best == SD_CODING_IDENTITY)
			break;
		set |= SD_CODING_BIT(best);
	}
	return set;
}

/* The first look-up: at once, or on a helper. False when x is gone. */
static bool begin(struct sd_file_answer *a, const struct sd_file_request *r)
{
	if (r->head->method != SD_HTTP_GET && r->head->method != SD_HTTP_HEAD) {
		files_refuse(a, 405, "Allow: GET, HEAD\r\n", "files are only read: GET and HEAD");
		return false;
	}
	if (!set_name(a, r->path, r->skip)) {
		files_refuse(a, 404, NULL, "there is no such file");
		return false;
	}
	set_location(a, r->path, r->head->query);
	a->codings = codings_of(a->files, r->head);
	if (look(a, true) == SD_OK)
		return found(a, r->head);
	a->kept = keep_head(r->head);
	if (a->kept && files_submit(a, look_run))
		return true;
	files_refuse(a, 503, NULL, "no thread to look for the file");
	return false;
}

struct sd_file_answer *sd_http_files_answer(struct sd_http_files *f, struct sd_http_exchange *x,
					    const struct sd_file_request *r)
{
	struct sd_file_answer *a = calloc(1, sizeof(*a));
	if (!a) {
		if (r->over)
			r->over(r->arg, x, 503, false, 0);
		sd_http_refuse(x, 503, "out of memory");
		return NULL;
	}
	__atomic_add_fetch(&f->refs, 1, __ATOMIC_RELAXED);
	a->files = f;
	a->x = x;
	a->over = r->over;
	a->arg = r->arg;
	a->encode_conf = r->encode;
	a->encoding = SD_CODING_IDENTITY;
	return still(a, begin(a, r));
}

struct sd_file_answer *sd_http_files_drained(struct sd_file_answer *a)
{
	if (a->working)
		return a;
	return still(a, files_send(a));
}

void sd_http_files_gone(struct sd_file_answer *a)
{
	sd_http_encode_free(a->encode);
	a->encode = NULL;
	a->x = NULL;
	if (!a->working)
		answer_free(a);
}
