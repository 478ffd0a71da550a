/* Files over HTTP with real sockets and a real folder, and the same in the simulated world. */
#include <sys/stat.h>
#include <sys/types.h>
#include <utime.h>

#include "core/http_path.h"
#include "core/rng.h"
#include "net/http_files.h"
#include "net_rig.h"
#include "world/sim.h"

/* ---- a server of one folder ---- */

struct service {
	struct sd_http_server server;
	struct sd_helpers *helpers;
	struct sd_http_files *files;
	struct sd_addr addr;
	int overs, status, cuts, gone;
	uint64_t bytes;
	size_t most_backlog;
	const struct sd_http_encode_conf *encode;
};

struct fixture {
	struct rig rig;
	struct service s;
	char root[64];
	struct sd_http_files_conf conf;
};

static struct fixture *f;

static struct service *service_of(struct sd_http_exchange *x)
{
	return x->server->arg;
}

static void on_over(void *arg, struct sd_http_exchange *x, int status, bool cut, uint64_t bytes)
{
	struct service *s = arg;
	ck_assert_ptr_eq(service_of(x), s);
	x->user = NULL;
	s->overs++;
	s->status = status;
	s->cuts += cut;
	s->bytes = bytes;
}

static void on_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	struct service *s = service_of(x);
	char path[2048];
	ssize_t n = sd_http_path_normalise(head->path, path, sizeof path, NULL);
	struct sd_file_request r = {head, {path, n < 0 ? 0 : (size_t)n}, 0, s->encode, on_over, s};
	if (n < 0) {
		sd_http_refuse(x, 400, "path");
		return;
	}
	struct sd_file_answer *a = sd_http_files_answer(s->files, x, &r);
	if (a)
		x->user = a;
}

static void on_drained(struct sd_http_exchange *x)
{
	struct service *s = service_of(x);
	if (sd_stream_backlog(x->stream) > s->most_backlog)
		s->most_backlog = sd_stream_backlog(x->stream);
	if (x->user)
		sd_http_files_drained(x->user);
}

static void on_gone(struct sd_http_exchange *x)
{
	service_of(x)->gone++;
	if (x->user)
		sd_http_files_gone(x->user);
}

static const struct sd_http_handler handler = {.request = on_request, .drained = on_drained, .gone = on_gone};

static void serve(struct service *s, struct sd_world *w, struct sd_loop *loop, const struct sd_http_files_conf *conf,
		  const char *addr)
{
	struct sd_error e = {0};
	s->helpers = sd_helpers_new(w, 2);
	ck_assert_msg(sd_http_files_new(w, s->helpers, conf, &s->files, &e) == SD_OK, "%s", e.text);
	ck_assert_int_eq(sd_addr_parse(addr, "127.0.0.1", &s->addr, &e), SD_OK);
	sd_http_server_init(&s->server, loop, &sd_http_server_defaults, &handler, s);
	ck_assert_msg(sd_http_server_listen(&s->server, &s->addr, false, &e) == SD_OK, "%s", e.text);
}

static const char *at(const char *name)
{
	static char path[4][256];
	static unsigned next;
	char *out = path[next++ % 4];
	snprintf(out, sizeof path[0], "%s/%s", f->root, name);
	return out;
}

static void put_bytes(const char *name, const void *p, size_t n)
{
	ck_assert_int_eq(sd_world_write_file(f->rig.world, at(name), p, n, NULL), SD_OK);
}

static void put(const char *name, const char *text)
{
	struct utimbuf t = {784111777, 784111777};
	put_bytes(name, text, strlen(text));
	ck_assert_int_eq(utime(at(name), &t), 0);
}

static void setup(void)
{
	f = calloc(1, sizeof *f);
	rig_make(&f->rig);
	snprintf(f->root, sizeof f->root, "/tmp/sdlab-www.XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(f->root));
	ck_assert_int_eq(mkdir(at("d"), 0755), 0);
	put("t.txt", "0123456789");
	put("d/index.html", "<p>index");
	f->conf = (struct sd_http_files_conf){.root = f->root, .index = "index.html", .links = true};
}

static void go(void)
{
	serve(&f->s, f->rig.world, f->rig.loop, &f->conf, "127.0.0.1:0");
	rig_run(&f->rig);
}

static void stop_on_loop(void *arg)
{
	(void)arg;
	sd_http_server_stop(&f->s.server);
}

static void teardown(void)
{
	char command[128];
	rig_call(&f->rig, stop_on_loop, NULL);
	rig_halt(&f->rig);
	sd_http_files_unref(f->s.files);
	sd_helpers_free(f->s.helpers);
	rig_free(&f->rig);
	snprintf(command, sizeof command, "rm -rf %s", f->root);
	ck_assert_int_eq(system(command), 0);
	free(f);
}

static const char *get_with(struct peer *c, const char *method, const char *path, const char *fields, int status)
{
	char head[4096];
	snprintf(head, sizeof head, "%s %s HTTP/1.1\r\nHost: h\r\n%s\r\n", method, path, fields);
	peer_say(c, head);
	if (strcmp(method, "HEAD") != 0)
		return peer_answer(c, status);
	peer_head(c);
	ck_assert_msg(peer_status(c) == status, "expected %d, got: %s", status, c->head);
	return "";
}

static const char *get(struct peer *c, const char *path, int status)
{
	return get_with(c, "GET", path, "", status);
}

static struct peer *client(void)
{
	return peer_connect(f->s.addr.port);
}

static const char *field(const struct peer *c, const char *name)
{
	static char value[512];
	char want[64];
	snprintf(want, sizeof want, "\r\n%s: ", name);
	const char *p = strstr(c->head, want);
	if (!p)
		return "";
	p += strlen(want);
	snprintf(value, sizeof value, "%.*s", (int)strcspn(p, "\r"), p);
	return value;
}

/* ---- what is there ---- */

START_TEST(files_and_folders)
{
	go();
	struct peer *c = client();
	ck_assert_str_eq(get(c, "/t.txt", 200), "0123456789");
	ck_assert(peer_has(c, "Content-Type: text/plain; charset=utf-8"));
	ck_assert(peer_has(c, "Last-Modified: Sun, 06 Nov 1994 08:49:37 GMT"));
	ck_assert(peer_has(c, "Accept-Ranges: bytes"));
	ck_assert(peer_has(c, "Content-Length: 10"));
	ck_assert_str_eq(field(c, "Vary"), "");
	ck_assert_str_eq(get(c, "/t%2etxt?x=y", 200), "0123456789");
	ck_assert_str_eq(get(c, "/d/../d/./index.html", 200), "<p>index");
	ck_assert_str_eq(get(c, "/d/", 200), "<p>index");
	ck_assert(peer_has(c, "Content-Type: text/html; charset=utf-8"));
	get(c, "/d", 308);
	ck_assert_str_eq(field(c, "Location"), "/d/");
	get(c, "/d?a=b", 308);
	ck_assert_str_eq(field(c, "Location"), "/d/?a=b");
	get(c, "/", 404); /* no index there, and no listing */
	get(c, "/nowhere", 404);
	get(c, "/t.txt/", 404);
	get(c, "/t.txt/x", 404);
	ck_assert_int_eq(mkdir(at("e"), 0755), 0);
	ck_assert_int_eq(mkdir(at("e/index.html"), 0755), 0);
	get(c, "/e/", 404); /* an index that is a folder leads nowhere */
	put("empty", "");
	ck_assert_str_eq(get(c, "/empty", 200), "");
	ck_assert(peer_has(c, "Content-Length: 0"));
	ck_assert_int_eq(SEEN(&f->rig, f->s.cuts), 0);
	ck_assert_int_eq(SEEN(&f->rig, f->s.overs), 12);
	peer_free(c);
}
END_TEST

START_TEST(methods)
{
	go();
	struct peer *c = client();
	get_with(c, "HEAD", "/t.txt", "", 200);
	ck_assert(peer_has(c, "Content-Length: 10"));
	get_with(c, "HEAD", "/t.txt", "Range: bytes=0-1\r\n", 200);
	static const char *const others[] = {"DELETE", "OPTIONS", "PATCH", "X"};
	for (size_t i = 0; i < 4; i++) {
		get_with(c, others[i], "/t.txt", "", 405);
		ck_assert(peer_has(c, "Allow: GET, HEAD"));
	}
	get_with(c, "PUT", "/t.txt", "Content-Length: 0\r\n", 405);
	ck_assert_str_eq(get(c, "/t.txt", 200), "0123456789"); /* nothing hangs over */
	peer_free(c);
}
END_TEST

START_TEST(no_way_out)
{
	put(".secret", "secret");
	ck_assert_int_eq(mkdir(at(".git"), 0755), 0);
	ck_assert_int_eq(mkdir(at(".well-known"), 0755), 0);
	put(".git/config", "secret");
	put(".well-known/x", "known");
	ck_assert_int_eq(symlink("/etc/passwd", at("passwd")), 0);
	ck_assert_int_eq(symlink("/", at("slash")), 0);
	ck_assert_int_eq(symlink("../../../../etc", at("d/up")), 0);
	ck_assert_int_eq(symlink("t.txt", at("in.txt")), 0);
	ck_assert_int_eq(mkfifo(at("fifo"), 0644), 0);
	go();
	struct peer *c = client();
	static const struct {
		const char *path;
		int status;
	} t[] = {
	    {"/.secret", 404},	   {"/%2esecret", 404},	  {"/.git/config", 404}, {"/d/../.git/config", 404},
	    {"/passwd", 403},	   {"/slash/etc/passwd", 403}, {"/d/up/passwd", 403}, {"/fifo", 404},
	    {"/..%2f..%2fetc/passwd", 404}, {"/d%2findex.html", 404}, {"//etc/passwd", 404}, {"/d//index.html", 404},
	    {"//d", 404},	   {"/t.txt%20", 404},
	};
	for (size_t i = 0; i < sizeof t / sizeof t[0]; i++)
		ck_assert_ptr_null(strstr(get(c, t[i].path, t[i].status), "root:"));
	ck_assert_str_eq(get(c, "/.well-known/x", 200), "known");
	ck_assert_str_eq(get(c, "/in.txt", 200), "0123456789");
	peer_free(c);
	static const char *const bad[] = {"/../t.txt", "/%2e%2e/etc/passwd", "/d/../../etc/passwd", "/t.txt%00", "/..%5cx"};
	for (size_t i = 0; i < sizeof bad / sizeof bad[0]; i++) {
		c = client();
		get(c, bad[i], 400);
		peer_free(c);
	}
}
END_TEST

START_TEST(no_links_at_all)
{
	ck_assert_int_eq(symlink("t.txt", at("in.txt")), 0);
	f->conf.links = false;
	go();
	struct peer *c = client();
	get(c, "/in.txt", 403);
	ck_assert_str_eq(get(c, "/d/", 200), "<p>index"); /* by a helper: without openat2 nothing is looked up at once */
	get(c, "/d", 308);
	ck_assert_str_eq(get_with(c, "GET", "/t.txt", "Range: bytes=2-3\r\n", 206), "23");
	get_with(c, "GET", "/t.txt", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 304);
	peer_free(c);
}
END_TEST

/* ---- what a client has ---- */

START_TEST(conditions)
{
	char etag[512], line[600];
	go();
	struct peer *c = client();
	get(c, "/t.txt", 200);
	snprintf(etag, sizeof etag, "%s", field(c, "ETag"));
	ck_assert(etag[0] == '"');
	snprintf(line, sizeof line, "If-None-Match: W/\"x\", %s\r\n", etag);
	get_with(c, "GET", "/t.txt", line, 304);
	ck_assert_str_eq(field(c, "ETag"), etag);
	ck_assert_str_ne(field(c, "Last-Modified"), "");
	ck_assert_str_ne(field(c, "Date"), "");
	get_with(c, "HEAD", "/t.txt", line, 304);
	get_with(c, "GET", "/t.txt", "If-None-Match: \"x\"\r\n", 200);
	get_with(c, "GET", "/t.txt", "If-Match: \"x\"\r\n", 412);
	get_with(c, "GET", "/t.txt", "If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 304);
	get_with(c, "GET", "/t.txt", "If-Unmodified-Since: Sun, 06 Nov 1994 08:49:36 GMT\r\n", 412);
	/* the same size and name, another file */
	snprintf(line, sizeof line, "If-None-Match: %s\r\n", etag);
	put_bytes("t.txt", "9876543210", 10);
	ck_assert_str_eq(get_with(c, "GET", "/t.txt", line, 200), "9876543210");
	ck_assert_str_ne(field(c, "ETag"), etag);
	peer_free(c);
}
END_TEST

START_TEST(ranges)
{
	char etag[512], line[600], want[1024], type[256];
	go();
	struct peer *c = client();
	ck_assert_str_eq(get_with(c, "GET", "/t.txt", "Range: bytes=2-4\r\n", 206), "234");
	ck_assert(peer_has(c, "Content-Range: bytes 2-4/10") && peer_has(c, "Content-Length: 3"));
	snprintf(etag, sizeof etag, "%s", field(c, "ETag"));
	ck_assert_str_eq(get_with(c, "GET", "/t.txt", "Range: bytes=-3\r\n", 206), "789");
	ck_assert_str_eq(get_with(c, "GET", "/t.txt", "Range: bytes=0-4,5-\r\n", 206), "0123456789");
	ck_assert(peer_has(c, "Content-Range: bytes 0-9/10"));
	get_with(c, "GET", "/t.txt", "Range: bytes=10-\r\n", 416);
	ck_assert(peer_has(c, "Content-Range: bytes */10"));
	get_with(c, "GET", "/t.txt", "Range: bytes=x\r\n", 200);
	get_with(c, "GET", "/t.txt", "Range: bytes=0-1\r\nRange: bytes=3-4\r\n", 200);
	snprintf(line, sizeof line, "Range: bytes=0-1\r\nIf-Range: %s\r\n", etag);
	ck_assert_str_eq(get_with(c, "GET", "/t.txt", line, 206), "01");
	get_with(c, "GET", "/t.txt", "Range: bytes=0-1\r\nIf-Range: \"x\"\r\n", 200);
	get_with(c, "GET", "/t.txt", "Range: bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 206);
	get_with(c, "GET", "/t.txt", "Range: bytes=0-1\r\nIf-Range: Sun, 06 Nov 1994 08:49:38 GMT\r\n", 200);
	/* several */
	const char *body = get_with(c, "GET", "/t.txt", "Range: bytes=0-1,5-5\r\n", 206);
	snprintf(type, sizeof type, "%s", field(c, "Content-Type"));
	ck_assert(strncmp(type, "multipart/byteranges; boundary=", 31) == 0);
	const char *b = type + 31;
	snprintf(want, sizeof want,
		 "\r\n--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 0-1/10\r\n\r\n01"
		 "\r\n--%s\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Range: bytes 5-5/10\r\n\r\n5"
		 "\r\n--%s--\r\n",
		 b, b, b);
	ck_assert_str_eq(body, want);
	ck_assert_str_eq(get(c, "/t.txt", 200), "0123456789"); /* the length was right */
	peer_free(c);
}
END_TEST

START_TEST(precompressed)
{
	put("a.js", "plain");
	put("a.js.gz", "gzipped");
	put("a.js.zst", "zstandard");
	put("b.js", "plain");
	ck_assert_int_eq(mkdir(at("b.js.gz"), 0755), 0);
	put("only.gz", "gz");
	f->conf.precompressed = true;
	go();
	struct peer *c = client();
	char etag[512], line[600];
	ck_assert_str_eq(get(c, "/a.js", 200), "plain");
	ck_assert(peer_has(c, "Vary: Accept-Encoding") && !*field(c, "Content-Encoding"));
	snprintf(etag, sizeof etag, "%s", field(c, "ETag"));
	ck_assert_str_eq(get_with(c, "GET", "/a.js", "Accept-Encoding: gzip\r\n", 200), "gzipped");
	ck_assert(peer_has(c, "Content-Encoding: gzip") && peer_has(c, "Vary: Accept-Encoding"));
	ck_assert(peer_has(c, "Content-Type: text/javascript; charset=utf-8"));
	ck_assert_str_ne(field(c, "ETag"), etag);
	snprintf(line, sizeof line, "Accept-Encoding: gzip\r\nIf-None-Match: %s\r\n", field(c, "ETag"));
	get_with(c, "GET", "/a.js", line, 304);
	ck_assert(peer_has(c, "Vary: Accept-Encoding") && !*field(c, "Content-Encoding"));
	ck_assert_str_eq(get_with(c, "GET", "/a.js", "Accept-Encoding: gzip, zstd\r\n", 200), "zstandard");
	ck_assert_str_eq(get_with(c, "GET", "/a.js", "Accept-Encoding: gzip;q=0, zstd;q=0\r\n", 200), "plain");
	ck_assert_str_eq(get_with(c, "GET", "/b.js", "Accept-Encoding: gzip, zstd\r\n", 200), "plain");
	get_with(c, "GET", "/only", "Accept-Encoding: gzip\r\n", 404);
	peer_free(c);
}
END_TEST

/* ---- large files ---- */

static char *filled(size_t n)
{
	char *p = malloc(n);
	for (size_t i = 0; i < n; i++)
		p[i] = (char)(i * 7 + i / 251);
	return p;
}

#define BIG (8u << 20)

START_TEST(back_pressure)
{
	char *bytes = filled(BIG);
	put_bytes("big", bytes, BIG);
	go();
	struct peer *c = peer_connect_with(f->s.addr.port, 4096);
	peer_say(c, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_head(c);
	peer_body(c);
	ck_assert_uint_eq(c->body_n, BIG);
	ck_assert(memcmp(c->body, bytes, BIG) == 0);
	ck_assert_uint_le(SEEN(&f->rig, f->s.most_backlog), SD_STREAM_HIGH + 65536);
	ck_assert_str_eq(get(c, "/t.txt", 200), "0123456789");
	free(bytes);
	peer_free(c);
}
END_TEST

static bool one_gone(void *arg)
{
	(void)arg;
	return f->s.gone == 1;
}

START_TEST(a_client_that_leaves)
{
	char *bytes = filled(BIG);
	put_bytes("big", bytes, BIG);
	go();
	struct peer *c = peer_connect_with(f->s.addr.port, 4096);
	peer_say(c, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_head(c);
	peer_reset(c);
	rig_wait(&f->rig, "the client to be missed", one_gone, NULL);
	ck_assert_int_eq(SEEN(&f->rig, f->s.overs), 0);
	free(bytes);
	peer_free(c);
}
END_TEST

/* It was promised whole, so the connection ends short of it, and not in order. */
START_TEST(a_file_that_becomes_shorter)
{
	char *bytes = filled(BIG);
	put_bytes("big", bytes, BIG);
	go();
	struct peer *c = peer_connect_with(f->s.addr.port, 4096);
	peer_say(c, "GET /big HTTP/1.1\r\nHost: h\r\n\r\n");
	peer_head(c);
	ck_assert_int_eq(truncate(at("big"), 100000), 0);
	peer_is_cut(c);
	ck_assert_uint_lt(c->n, BIG);
	ck_assert_int_eq(SEEN(&f->rig, f->s.cuts), 1);
	free(bytes);
	peer_free(c);
}
END_TEST

/* The same where the bytes go through here, to be compressed: there was no length to fall short of. */
START_TEST(a_compressed_file_that_becomes_shorter)
{
	struct sd_rng rng;
	char *bytes = malloc(BIG / 2);
	sd_rng_seed(&rng, 5);
	for (size_t i = 0; i < BIG / 2; i++)
		bytes[i] = (char)(' ' + sd_rng_below(&rng, 90));
	put_bytes("big.txt", bytes, BIG / 2);
	f->s.encode = &sd_http_encode_defaults;
	go();
	struct peer *c = peer_connect_with(f->s.addr.port, 4096);
	peer_say(c, "GET /big.txt HTTP/1.1\r\nHost: h\r\nAccept-Encoding: gzip\r\n\r\n");
	peer_head(c);
	ck_assert(peer_has(c, "Content-Encoding: gzip"));
	ck_assert_int_eq(truncate(at("big.txt"), 100000), 0);
	peer_is_cut(c);
	ck_assert_int_eq(SEEN(&f->rig, f->s.cuts), 1);
	free(bytes);
	peer_free(c);
}
END_TEST

START_TEST(folders_that_are_none)
{
	struct sd_error e = {0};
	struct sd_http_files *none = NULL;
	f->conf.root = at("nowhere");
	ck_assert_int_eq(sd_http_files_new(f->rig.world, NULL, &f->conf, &none, &e), SD_ENOTFOUND);
	ck_assert_ptr_nonnull(strstr(e.text, "cannot open folder "));
	f->conf.root = f->root;
	go();
}
END_TEST

/* ---- the simulated world: each look-up and each read is at once or later, by chance ---- */

struct caller {
	struct sd_stream *stream;
	char *got;
	size_t n;
	bool over;
};

static size_t take(struct sd_stream *s, const char *p, size_t n)
{
	struct caller *c = s->owner;
	c->got = realloc(c->got, c->n + n);
	memcpy(c->got + c->n, p, n);
	c->n += n;
	return n;
}

static void took_all(struct sd_stream *s)
{
	((struct caller *)s->owner)->over = true;
	sd_stream_close(s);
}

static void broke(struct sd_stream *s, enum sd_err why)
{
	(void)why;
	took_all(s);
}

static const struct sd_stream_events caller_events = {.data = take, .eof = took_all, .timeout = took_all, .closed = broke};

#define SIM_BIG 300000

static void sim_put(struct sd_world *w, const char *name, const char *bytes, size_t n)
{
	struct sd_file *file;
	struct iovec v = {(void *)(uintptr_t)bytes, n};
	ck_assert_int_eq(sd_file_open(w, name, SD_FILE_WRITE | SD_FILE_CREATE, &file, NULL), SD_OK);
	ck_assert_int_eq(sd_file_write(file, &v, 1, 0, NULL), SD_OK);
	sd_file_close(file);
}

/* faults: the n-th read of the disk fails; 0: none. Returns how many bytes of body came, with the status. */
static size_t simulated(uint64_t seed, uint64_t fault, int *status, bool *cut)
{
	struct sd_sim *sim = sd_sim_new(seed);
	struct sd_world *w = sd_sim_node(sim, "server"), *cw = sd_sim_node(sim, "client");
	struct sd_http_files_conf conf = {.root = "www", .index = "index.html", .precompressed = true};
	struct service s = {0};
	struct caller c = {0};
	struct sd_io *io;
	struct sd_addr to;
	char *bytes = filled(SIM_BIG);
	ck_assert_int_eq(sd_world_mkdir(w, "www/d", 0755, NULL), SD_OK);
	sim_put(w, "www/d/index.html", bytes, SIM_BIG);
	struct sd_loop *loop = sd_loop_new(w, NULL), *client_loop = sd_loop_new(cw, NULL);
	serve(&s, w, loop, &conf, "10.0.0.1:80");
	ck_assert_int_eq(sd_loop_start(loop, "server", NULL), SD_OK);
	ck_assert_int_eq(sd_loop_start(client_loop, "client", NULL), SD_OK);
	sd_sim_fail(w, SD_SIM_READ, fault, fault ? 1 : 0, EIO);
	ck_assert_int_eq(sd_addr_parse("10.0.0.1:80", NULL, &to, NULL), SD_OK);
	ck_assert_int_eq(sd_loop_connect(client_loop, &to, &io, NULL), SD_OK);
	c.stream = sd_stream_new(io, true, 65536, &caller_events, &c);
	static const char request[] =
	    "GET /d/ HTTP/1.1\r\nHost: h\r\nAccept-Encoding: zstd, gzip\r\nConnection: close\r\n\r\n";
	sd_stream_write(c.stream, request, sizeof request - 1);
	while (!c.over && sd_sim_step(sim))
		;
	ck_assert(c.over);
	const char *body = c.n ? memmem(c.got, c.n, "\r\n\r\n", 4) : NULL;
	size_t n = body ? c.n - (size_t)(body + 4 - c.got) : 0;
	ck_assert(!body || memcmp(body + 4, bytes, n) == 0);
	*status = s.status;
	*cut = s.cuts > 0;
	sd_http_server_stop(&s.server);
	sd_loop_stop(loop);
	sd_loop_stop(client_loop);
	sd_http_files_unref(s.files);
	sd_helpers_free(s.helpers);
	sd_loop_join(loop);
	sd_loop_join(client_loop);
	sd_loop_free(loop);
	sd_loop_free(client_loop);
	sd_sim_free(sim);
	free(bytes);
	free(c.got);
	return n;
}

START_TEST(simulated_world)
{
	int status;
	bool was_cut;
	for (uint64_t seed = 1; seed <= 50; seed++) {
		ck_assert_uint_eq(simulated(seed, 0, &status, &was_cut), SIM_BIG);
		ck_assert(status == 200 && !was_cut);
	}
}
END_TEST

/* Whichever read fails, nobody takes what came for the whole. */
START_TEST(simulated_faults)
{
	int status;
	bool was_cut = true;
	unsigned faults = 0;
	for (uint64_t n = 1; was_cut; n++, faults++) {
		size_t got = simulated(n, n, &status, &was_cut);
		ck_assert_int_eq(status, 200);
		ck_assert(was_cut ? got < SIM_BIG : got == SIM_BIG);
	}
	ck_assert_uint_gt(faults, 4);
}
END_TEST

int main(void)
{
	TCase *real = tcase_create("real"), *simulation = tcase_create("simulated");
	tcase_add_checked_fixture(real, setup, teardown);
	tcase_add_test(real, files_and_folders);
	tcase_add_test(real, methods);
	tcase_add_test(real, no_way_out);
	tcase_add_test(real, no_links_at_all);
	tcase_add_test(real, conditions);
	tcase_add_test(real, ranges);
	tcase_add_test(real, precompressed);
	tcase_add_test(real, back_pressure);
	tcase_add_test(real, a_client_that_leaves);
	tcase_add_test(real, a_file_that_becomes_shorter);
	tcase_add_test(real, a_compressed_file_that_becomes_shorter);
	tcase_add_test(real, folders_that_are_none);
	tcase_add_test(simulation, simulated_world);
	tcase_add_test(simulation, simulated_faults);
	return rig_main_of((TCase *const[]){real, simulation}, 2, "http_files");
}
