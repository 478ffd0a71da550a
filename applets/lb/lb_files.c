#include "lb_files.h"

#define FILE_THREADS 4 /* that wait for the disk, for all workers */

/* ---- files ---- */

enum sd_err lb_files_check(const struct sd_conf *row, struct sd_error *e)
{
	static const char *const only_files[] = {"index", "precompressed", "links"};
	const char *index = sd_conf_string(row, "index");
	for (size_t i = 0; i < sizeof(only_files) / sizeof(only_files[0]); i++)
		if (sd_conf_is_set(row, only_files[i]) && !sd_conf_has(row, "files"))
			return sd_fail(e, SD_EINVAL, "%s: expected a folder (files) as well", sd_conf_at(row, only_files[i]));
	if (index && strchr(index, '/'))
		return sd_fail(e, SD_EINVAL, "%s: expected the name of a file, without '/'", sd_conf_at(row, "index"));
	return SD_OK;
}

enum sd_err lb_files_find(struct sd_world *w, const struct sd_conf *row, struct sd_error *e)
{
	struct sd_dir *dir = NULL;
	const char *root = sd_conf_string(row, "files");
	enum sd_err err = root ? sd_dir_open(w, root, 0, &dir, e) : SD_OK;
	sd_dir_close(dir);
	return err ? sd_wrap(e, "%s", sd_conf_at(row, "files")) : SD_OK;
}

enum sd_err lb_files_make(struct lb *lb, const struct sd_conf *row, struct sd_http_files **out, struct sd_error *e)
{
	const char *index = sd_conf_string(row, "index");
	struct sd_http_files_conf conf = {
	    .root = sd_conf_string(row, "files"),
	    .index = index && *index ? index : NULL,
	    .links = sd_conf_bool(row, "links"),
	    .precompressed = sd_conf_bool(row, "precompressed"),
	};
	struct sd_world *w = lb->run->spec.world;
	if (!conf.root)
		return SD_OK;
	if (!lb->file_helpers)
		lb->file_helpers = sd_helpers_new(w, FILE_THREADS);
	if (!lb->file_helpers)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = sd_http_files_new(w, lb->file_helpers, &conf, out, e);
	return err ? sd_wrap(e, "%s", sd_conf_at(row, "files")) : SD_OK;
}

void lb_files_end(struct lb *lb)
{
	if (lb->file_helpers)
		sd_helpers_free(lb->file_helpers);
	lb->file_helpers = NULL;
}

void lb_files_answer(struct lb_request *r, const struct sd_http_head *head, const struct lb_told *told,
		     void (*over)(void *r, struct sd_http_exchange *x, int status, bool cut, uint64_t bytes))
{
	struct sd_file_request ask = {
	    .head = head,
	    .path = told->choice.path,
	    .skip = told->choice.path.n - lb_route_rest(&told->choice).n,
	    .encode = r->route->compress ? &sd_http_encode_defaults : NULL,
	    .over = over,
	    .arg = r,
	};
	r->x->user = r;
	struct sd_file_answer *a = sd_http_files_answer(r->route->files, r->x, &ask);
	if (a)
		r->file = a; /* else r is gone */
}

/* ---- compression ---- */

void lb_encode_ask(struct lb_request *r, const struct sd_http_head *head)
{
	r->compress = r->route && r->route->compress;
	if (r->compress)
		r->coding = (uint8_t)sd_http_choose_coding(head, sd_http_encode_defaults.codings);
}

static uint64_t length_of(const struct sd_http_head *head)
{
	if (head->has_content_length || head->framing == SD_HTTP_BODY_LENGTH)
		return head->content_length;
	return SD_LENGTH_UNKNOWN;
}

const struct sd_http_head *lb_encode_begin(struct lb_request *r, const struct sd_http_head *head, struct sd_http_head *left)
{
	enum sd_http_coding coding = (enum sd_http_coding)r->coding;
	bool coded = coding != SD_CODING_IDENTITY;
	r->encoded = false;
	if (!r->compress || !sd_http_encodable(&sd_http_encode_defaults, head, length_of(head)))
		return head;
	if (coded && r->method != SD_HTTP_HEAD)
		r->encode = sd_http_encode_new(&sd_http_encode_defaults, coding, r->x);
	if (coded && !r->encode && r->method != SD_HTTP_HEAD)
		return head; /* no memory: as it came */
	r->encoded = coded;
	sd_http_encode_fields(r->x, coding, head);
	*left = *head;
	left->nfields = 0;
	for (size_t i = 0; i < head->nfields; i++)
		if (!sd_http_encode_field(r->x, coding, &head->fields[i]))
			left->fields[left->nfields++] = head->fields[i];
	return left;
}
