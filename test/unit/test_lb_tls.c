/* TLS at the balancer: taken off in TCP mode, behind a PROXY header and in front of one, in checks, and over reloads. The
 * clients and backends here speak it with OpenSSL on plain blocking sockets.
 */
#include <signal.h>
#include <sys/stat.h>

#include <openssl/pem.h>
#include <openssl/ssl.h>

#include "core/proxy_protocol.h"
#include "lb_rig.h"
#include "net/tls.h"

/* ---- certificates ---- */

static struct {
	char dir[64], ca[96], front[96], front_key[96], back[96], back_key[96], reader[96], reader_key[96], other_ca[96];
	SSL_CTX *client, *server;
	char options[256]; /* of a backend that speaks TLS */
} pki;

static void put_file(const char *name, const char *text)
{
	int fd = open(name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
	ck_assert_int_ge(fd, 0);
	ck_assert_int_eq(write(fd, text, strlen(text)), (ssize_t)strlen(text));
	close(fd);
}

static void make_ca(struct sd_tls_pair *ca, char file[96], const char *name)
{
	struct sd_tls_wish wish = {.common_name = name, .from_s = time(NULL) - 86400, .until_s = time(NULL) + 86400};
	struct sd_error e;
	ck_assert_msg(sd_tls_make(&wish, NULL, ca, &e) == SD_OK, "%s", e.text);
	snprintf(file, 96, "%s/%s.ca.pem", pki.dir, name);
	put_file(file, ca->cert);
}

static void make_cert(const struct sd_tls_pair *ca, const char *name, char cert[96], char key[96])
{
	const char *names[] = {name, NULL};
	struct sd_tls_wish wish = {
	    .common_name = name, .names = names, .from_s = time(NULL) - 86400, .until_s = time(NULL) + 86400};
	struct sd_tls_pair pair;
	struct sd_error e;
	ck_assert_msg(sd_tls_make(&wish, ca, &pair, &e) == SD_OK, "%s", e.text);
	snprintf(cert, 96, "%s/%s.pem", pki.dir, name);
	snprintf(key, 96, "%s/%s.key", pki.dir, name);
	put_file(cert, pair.cert);
	put_file(key, pair.key);
	sd_tls_pair_free(&pair);
}

static void setup_tls(void)
{
	struct sd_tls_pair ca, other;
	setup();
	signal(SIGPIPE, SIG_IGN);
	snprintf(pki.dir, sizeof(pki.dir), "%s/sdlab-lb-tls.XXXXXX", "/tmp");
	ck_assert_ptr_nonnull(mkdtemp(pki.dir));
	make_ca(&ca, pki.ca, "ca");
	make_ca(&other, pki.other_ca, "other");
	make_cert(&ca, "lb.test", pki.front, pki.front_key);
	make_cert(&ca, "back.test", pki.back, pki.back_key);
	make_cert(&ca, "reader", pki.reader, pki.reader_key);
	sd_tls_pair_free(&ca);
	sd_tls_pair_free(&other);
	pki.client = SSL_CTX_new(TLS_client_method());
	pki.server = SSL_CTX_new(TLS_server_method());
	ck_assert_int_eq(SSL_CTX_load_verify_file(pki.client, pki.ca), 1);
	SSL_CTX_set_verify(pki.client, SSL_VERIFY_PEER, NULL);
	ck_assert_int_eq(SSL_CTX_use_certificate_file(pki.client, pki.reader, SSL_FILETYPE_PEM), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(pki.client, pki.reader_key, SSL_FILETYPE_PEM), 1);
	ck_assert_int_eq(SSL_CTX_use_certificate_file(pki.server, pki.back, SSL_FILETYPE_PEM), 1);
	ck_assert_int_eq(SSL_CTX_use_PrivateKey_file(pki.server, pki.back_key, SSL_FILETYPE_PEM), 1);
	snprintf(pki.options, sizeof(pki.options), ", tls: true, tls-ca: \"%s\", tls-name: back.test", pki.ca);
}

static void teardown_tls(void)
{
	const char *const files[] = {pki.ca,	   pki.front,  pki.front_key,  pki.back,
				     pki.back_key, pki.reader, pki.reader_key, pki.other_ca};
	teardown();
	SSL_CTX_free(pki.client);
	SSL_CTX_free(pki.server);
	for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++)
		unlink(files[i]);
	rmdir(pki.dir);
}

/* A configuration in which the balancer takes TLS off. */
static void start_secure(const char *extra)
{
	static char text[1024]; /* the rig keeps it for reloads */
	snprintf(text, sizeof(text), "tls: {cert: \"%s\", key: \"%s\", client-cert: optional, client-ca: \"%s\"}\n%s", pki.front,
		 pki.front_key, pki.ca, extra);
	start(text);
}

/* ---- both ends of TLS ---- */

static SSL *secure(SSL_CTX *ctx, const struct peer *p)
{
	struct timeval wait = {.tv_sec = RIG_WAIT_MS / 1000};
	SSL *s = SSL_new(ctx);
	setsockopt(p->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof(wait));
	setsockopt(p->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof(wait));
	ck_assert_int_eq(SSL_set_fd(s, p->fd), 1);
	return s;
}

static SSL *secure_client(const struct peer *p)
{
	SSL *s = secure(pki.client, p);
	SSL_set_tlsext_host_name(s, "lb.test");
	ck_assert_int_eq(SSL_set1_host(s, "lb.test"), 1);
	ck_assert_msg(SSL_connect(s) == 1, "the handshake of the client failed");
	return s;
}

static SSL *secure_backend(const struct peer *p)
{
	SSL *s = secure(pki.server, p);
	ck_assert_msg(SSL_accept(s) == 1, "the handshake of the backend failed");
	return s;
}

static void says(SSL *s, const void *p, size_t n)
{
	size_t put;
	ck_assert_msg(SSL_write_ex(s, p, n, &put) == 1 && put == n, "could not write");
}

static void hears(SSL *s, const void *want, size_t n)
{
	static char got[1 << 16];
	size_t k, at = 0;
	while (at < n) {
		ck_assert_msg(SSL_read_ex(s, got + at, n - at, &k) == 1, "%zu bytes of %zu came", at, n);
		at += k;
	}
	ck_assert_mem_eq(got, want, n);
}

/* close_notify came: it is the end, and nobody cut it. */
static void hears_the_end(SSL *s)
{
	char c;
	size_t k;
	ck_assert_msg(SSL_read_ex(s, &c, 1, &k) == 0, "expected the end, found \"%c\"", c);
	ck_assert_int_eq(SSL_get_error(s, 0), SSL_ERROR_ZERO_RETURN);
}

static void over(SSL *s, struct peer *p)
{
	SSL_free(s);
	peer_free(p);
}

/* The other end of the tunnel, with TLS or without. */
struct back_end {
	struct peer *p;
	SSL *s;
};

static struct back_end back_end(bool tls)
{
	struct back_end b = {.p = accept_at(A)};
	if (tls)
		b.s = secure_backend(b.p);
	return b;
}

static void back_says(struct back_end *b, const char *text)
{
	if (b->s)
		says(b->s, text, strlen(text));
	else
		peer_say(b->p, text);
}

static void back_hears(struct back_end *b, const char *want, size_t n)
{
	if (b->s) {
		hears(b->s, want, n);
		return;
	}
	b->p->body_n = 0;
	peer_append_body(b->p, n);
	ck_assert_mem_eq(b->p->body, want, n);
}

/* ---- TCP mode: TLS ends here ---- */

START_TEST(taken_off)
{
	static char chunk[16384];
	t->nback = 1;
	if (_i)
		t->back[A].options = pki.options;
	start_secure("mode: tcp\n");
	struct peer *c = client();
	SSL *s = secure_client(c);
	struct back_end b = back_end(_i);
	says(s, "ping", 4);
	back_hears(&b, "ping", 4);
	back_says(&b, "pong");
	hears(s, "pong", 4);
	/* a large flow is copied: the kernel cannot pass it on */
	memset(chunk, 'x', sizeof(chunk));
	for (int i = 0; i < 32; i++) {
		says(s, chunk, sizeof(chunk));
		back_hears(&b, chunk, sizeof(chunk));
	}
	is_metric("sdlab_lb_spliced_total", "", 0);
	/* each end by itself */
	ck_assert_int_eq(SSL_shutdown(s), 0);
	if (b.s)
		hears_the_end(b.s);
	else
		peer_ends(b.p);
	back_says(&b, "last words");
	hears(s, "last words", 10);
	if (b.s)
		ck_assert_int_eq(SSL_shutdown(b.s), 1);
	peer_shut(b.p);
	hears_the_end(s);
	wait_metric("sdlab_lb_tunnels", "", 0);
	is_metric("sdlab_lb_backend_inflight", "", 0);
	is_metric("sdlab_tls_truncated_total", "", 0);
	over(s, c);
	over(b.s, b.p);
}
END_TEST

/* What the client says is there before a backend is; the backend may be who speaks first. */
START_TEST(who_speaks_first)
{
	t->nback = 1;
	start_secure("mode: tcp\n");
	struct peer *c = client();
	SSL *s = secure_client(c);
	struct peer *b = accept_at(A);
	peer_say(b, "220 hello");
	hears(s, "220 hello", 9);
	says(s, "quit", 4);
	ck_assert_int_eq(SSL_shutdown(s), 0);
	peer_append_body(b, 4);
	peer_ends(b);
	over(s, c);
	peer_free(b);
}
END_TEST

/* An end without close_notify may be somebody's who cut it: the backend sees that something is missing. */
START_TEST(cut_off)
{
	t->nback = 1;
	start_secure("mode: tcp\n");
	struct peer *c = client();
	SSL *s = secure_client(c);
	struct peer *b = accept_at(A);
	says(s, "half", 4);
	peer_append_body(b, 4);
	peer_shut(c);
	peer_is_cut(b);
	over(s, c);
	wait_metric("sdlab_tls_truncated_total", "client", 1);
	wait_metric("sdlab_lb_tunnels", "", 0);
	peer_free(b);
}
END_TEST

START_TEST(no_backend_without_a_handshake)
{
	start_secure("mode: tcp\nhead-timeout: 60ms\n");
	struct peer *c = client();
	peer_is_closed(c);
	peer_free(c);
	c = asks("hello, I am no TLS\r\n");
	peer_is_closed(c);
	peer_free(c);
	wait_metric("sdlab_tls_failures_total", "not_tls", 1);
	wait_metric("sdlab_lb_tunnels", "", 0);
	is_metric("sdlab_lb_backend_requests_total", "", 0);
	not_asked(A);
	not_asked(B);
}
END_TEST

/* In TCP mode nobody here knows what is spoken, so nothing is agreed on; in HTTP mode it is http/1.1. */
START_TEST(protocols)
{
	const unsigned char *alpn = NULL;
	unsigned n = 0;
	t->nback = 1;
	start_secure(_i ? "mode: tcp\n" : "");
	ck_assert_int_eq(SSL_CTX_set_alpn_protos(pki.client, (const unsigned char *)"\x02h2\x08http/1.1", 12), 0);
	struct peer *c = client();
	SSL *s = secure_client(c);
	SSL_get0_alpn_selected(s, &alpn, &n);
	ck_assert_uint_eq(n, _i ? 0 : 8);
	over(s, c);
}
END_TEST

/* ---- PROXY headers around it ---- */

/* Reads the header of a connection, and not a byte more. */
static void said(struct peer *b, struct sd_pp_header *h)
{
	static char bytes[SD_PP_MAX];
	for (size_t n = 0; n < sizeof(bytes);) {
		ck_assert_msg(rig_readable(b->fd, RIG_WAIT_MS), "no header came");
		ck_assert_int_eq(recv(b->fd, bytes + n, 1, 0), 1);
		ssize_t r = sd_pp_parse(bytes, ++n, h);
		ck_assert_msg(r != SD_PP_BAD, "%s: %.*s", h->why, (int)n, bytes);
		if (r > 0)
			return;
	}
}

static void is_slice(struct sd_slice s, const char *want)
{
	ck_assert_msg(sd_slice_eq(s, want), "expected %s, found %.*s", want, (int)s.n, s.p);
}

static char row[512];

static void row_of(int version)
{
	snprintf(row, sizeof(row), "%s, send-proxy: v%d", pki.options, version);
	t->nback = 1;
	t->back[A].options = row;
}

/* _i: mode and version. The header stands in the open, in front of the ClientHello. */
START_TEST(in_front_of_the_hello)
{
	struct sd_pp_header h;
	struct sockaddr_in from;
	socklen_t n = sizeof(from);
	int version = 1 + (_i & 1);
	bool tcp = _i & 2;
	row_of(version);
	start(tcp ? "mode: tcp\n" : "");
	struct peer *c = asks(GET);
	ck_assert_int_eq(getsockname(c->fd, (struct sockaddr *)&from, &n), 0);
	struct peer *b = accept_at(A);
	said(b, &h);
	ck_assert(h.version == version && !h.local && h.checked == (version == 2));
	ck_assert_uint_eq(h.from.port, ntohs(from.sin_port));
	ck_assert_uint_eq(h.to.port, t->run->addrs[0].port);
	ck_assert(!h.ssl.there); /* the client's side is plain */
	SSL *s = secure_backend(b);
	hears(s, "GET /x HTTP/1.1\r\n", 17);
	static const char answer[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";
	says(s, answer, sizeof(answer) - 1);
	ck_assert_str_eq(peer_answer(c, 200), "hi");
	over(s, b);
	peer_free(c);
}
END_TEST

/* A retry begins with a header of its own, when the first was taken and the handshake was not. */
START_TEST(retried_in_the_handshake)
{
	struct sd_pp_header h;
	bool tcp = _i;
	row_of(2);
	t->nback = 2;
	t->back[B].options = row;
	start(tcp ? "mode: tcp\n" : "");
	struct peer *c = asks(GET), *b = accept_at(A);
	said(b, &h);
	peer_reset(b);
	peer_free(b);
	b = accept_at(B);
	said(b, &h);
	ck_assert(!h.local);
	SSL *s = secure_backend(b);
	hears(s, "GET /x HTTP/1.1\r\n", 17);
	over(s, b);
	peer_free(c);
}
END_TEST

/* _i: mode and version. Checks say in the open that they speak for nobody, then shake hands. */
START_TEST(checks)
{
	struct sd_pp_header h;
	char extra[96];
	int version = 1 + (_i & 1);
	bool tcp = _i & 2;
	row_of(version);
	snprintf(extra, sizeof(extra), "%shealth: {interval: 5ms, rise: 1, fall: 1}\n", tcp ? "mode: tcp\n" : "");
	start(extra);
	struct peer *b = accept_at(A);
	said(b, &h);
	ck_assert(h.local && h.version == version && h.checked == (version == 2));
	SSL *s = secure_backend(b);
	if (!tcp)
		hears(s, "GET / HTTP/1.1\r\n", 16);
	over(s, b);
	/* one that does not shake hands is down */
	b = accept_at(A);
	said(b, &h);
	peer_reset(b);
	peer_free(b);
	wait_state(A, "down");
}
END_TEST

#define REQUIRE "proxy-protocol: require\nproxy-from: [127.0.0.0/8]\n"
#define V1	"PROXY TCP4 10.1.2.3 10.9.9.9 4711 443\r\n"

/* _i: mode. PROXY header, then TLS from the client; PROXY v2 with all that is known of it, then TLS, to the backend. */
START_TEST(all_that_is_known)
{
	struct sd_pp_header h;
	char ip[46];
	bool tcp = _i;
	row_of(2);
	start_secure(tcp ? "mode: tcp\n" REQUIRE : REQUIRE);
	ck_assert_int_eq(SSL_CTX_set_alpn_protos(pki.client, (const unsigned char *)"\x08http/1.1", 9), 0);
	SSL_CTX_set_max_proto_version(pki.client, TLS1_3_VERSION);
	struct peer *c = asks(V1);
	SSL *s = secure_client(c);
	says(s, GET, strlen(GET));
	struct peer *b = accept_at(A);
	said(b, &h);
	sd_peer_format(&h.from, ip);
	ck_assert_str_eq(ip, "10.1.2.3");
	sd_peer_format(&h.to, ip);
	ck_assert_str_eq(ip, "10.9.9.9");
	ck_assert(h.from.port == 4711 && h.to.port == 443 && h.checked && h.ssl.there);
	ck_assert_uint_eq(h.ssl.client, 7);
	ck_assert_uint_eq(h.ssl.verify, 0);
	is_slice(h.ssl.version, "TLSv1.3");
	is_slice(h.ssl.cipher, SSL_get_cipher_name(s));
	is_slice(h.ssl.name, "reader");
	is_slice(h.authority, "lb.test");
	if (tcp)
		ck_assert_ptr_null(h.alpn.p);
	else
		is_slice(h.alpn, "http/1.1");
	SSL *z = secure_backend(b);
	hears(z, "GET /x HTTP/1.1\r\n", 17);
	over(z, b);
	over(s, c);
}
END_TEST

/* Without a certificate of the client's, without a name, and in version 1, where there is no room for it. */
START_TEST(what_is_not_known)
{
	struct sd_pp_header h;
	row_of(_i);
	start_secure("mode: tcp\n");
	struct peer *c = client();
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *s = secure(ctx, c);
	ck_assert_int_eq(SSL_connect(s), 1);
	struct peer *b = accept_at(A);
	said(b, &h);
	ck_assert_uint_eq(h.to.port, t->run->addrs[0].port);
	ck_assert(h.ssl.there == (_i == 2) && !h.authority.p && !h.alpn.p && !h.ssl.name.p);
	if (_i == 2)
		ck_assert(h.ssl.client == 1 && h.ssl.verify != 0);
	over(s, c);
	peer_free(b);
	SSL_CTX_free(ctx);
}
END_TEST

/* A session that is taken up again: the certificate was shown in it, and not on this connection. */
START_TEST(certificate_of_the_session)
{
	struct sd_pp_header h;
	SSL_SESSION *session = NULL;
	row_of(2);
	start_secure("mode: tcp\n");
	SSL_CTX_set_max_proto_version(pki.client, TLS1_2_VERSION);
	for (int i = 0; i < 2; i++) {
		struct peer *c = client();
		SSL *s = secure(pki.client, c);
		if (session)
			SSL_set_session(s, session);
		ck_assert_int_eq(SSL_connect(s), 1);
		struct peer *b = accept_at(A);
		said(b, &h);
		ck_assert_int_eq(SSL_session_reused(s), i);
		ck_assert_uint_eq(h.ssl.client, i ? 5 : 7);
		ck_assert_uint_eq(h.ssl.verify, 0);
		is_slice(h.ssl.name, "reader");
		is_slice(h.ssl.version, "TLSv1.2");
		SSL_SESSION_free(session);
		session = SSL_get1_session(s);
		SSL_shutdown(s);
		over(s, c);
		peer_free(b);
	}
	SSL_SESSION_free(session);
}
END_TEST

/* A header where TLS was expected, TLS where a header was, and a header inside TLS: none of them reaches a backend. */
START_TEST(in_the_wrong_order)
{
	start_secure(_i ? "mode: tcp\n" REQUIRE : REQUIRE);
	struct peer *c = client();
	SSL *s = secure(pki.client, c);
	ck_assert_int_ne(SSL_connect(s), 1);
	wait_metric("sdlab_proxy_refused_total", "missing", 1);
	over(s, c);
	c = asks(V1 V1);
	peer_is_closed(c);
	peer_free(c);
	wait_metric("sdlab_tls_failures_total", "reason=\"not_tls\"", 1);
	not_asked(A);
	not_asked(B);
}
END_TEST

/* ---- TLS that goes through, by the name it asks for ---- */

#define ROUTES "routes: [{host: api.test, pool: api}, {host: \"*.web.test\", pool: web}]\n"

static struct {
	char bytes[4096];
	size_t n;
} hello;

/* What OpenSSL says first to a server of this name. */
static void make_hello(const char *name)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL *s = SSL_new(ctx);
	BIO *out = BIO_new(BIO_s_mem());
	SSL_set_bio(s, BIO_new(BIO_s_mem()), out);
	if (name)
		SSL_set_tlsext_host_name(s, name);
	SSL_set_connect_state(s);
	SSL_do_handshake(s);
	hello.n = (size_t)BIO_read(out, hello.bytes, sizeof(hello.bytes));
	SSL_free(s);
	SSL_CTX_free(ctx);
}

/* A is of the pool api, B of web, C of the default one, when it is there. */
static void by_name(bool with_default, const char *extra)
{
	static char text[512];
	t->back[A].options = ", pool: api";
	t->back[B].options = ", pool: web";
	t->nback = with_default ? 3 : 2;
	snprintf(text, sizeof(text), "mode: tcp\n" ROUTES "%s", extra);
	start(text);
}

/* The backend gets what the client sends in pieces of so many bytes, as it came; then both talk. */
static void goes_to(int back, const void *bytes, size_t n, size_t piece)
{
	struct peer *c = client();
	for (size_t at = 0; at < n; at += piece)
		peer_send(c, (const char *)bytes + at, n - at < piece ? n - at : piece);
	struct peer *b = accept_at(back);
	peer_need(b, n);
	ck_assert_mem_eq(b->in, bytes, n);
	ck_assert_uint_eq(b->n, n);
	peer_take(b, n);
	peer_say(b, "answer");
	peer_append_body(c, 6);
	peer_say(c, "more");
	peer_shut(c);
	peer_append_body(b, 4);
	peer_ends(b);
	peer_say(b, "last");
	peer_append_body(c, 4);
	peer_shut(b);
	peer_ends(c);
	wait_metric("sdlab_lb_tunnels", "", 0);
	peer_free(b);
	peer_free(c);
}

static void named_goes_to(int back, const char *name)
{
	make_hello(name);
	goes_to(back, hello.bytes, hello.n, hello.n);
	goes_to(back, hello.bytes, hello.n, 1);
}

START_TEST(by_the_name)
{
	by_name(true, "");
	named_goes_to(A, "api.test");
	named_goes_to(A, "API.Test");
	named_goes_to(B, "x.web.test");
	named_goes_to(B, "y.x.web.test");
	named_goes_to(C, "web.test");
	named_goes_to(C, "api.test.evil");
	is_metric("sdlab_lb_hellos_total", "named", 12);
	named_goes_to(C, NULL);
	is_metric("sdlab_lb_hellos_total", "no_name", 2);
	goes_to(C, "220 I am no TLS\r\n", 17, 1);
	is_metric("sdlab_lb_hellos_total", "not_tls", 1);
	make_hello("api.test");
	hello.bytes[5] = 2;
	goes_to(C, hello.bytes, hello.n, hello.n);
	is_metric("sdlab_lb_hellos_total", "bad", 1);
	is_metric("sdlab_lb_hellos_unrouted_total", "", 0);
	is_metric("sdlab_lb_backend_requests_total", "", 16);
	/* what comes right behind the hello, in the same packet */
	make_hello("api.test");
	memcpy(hello.bytes + hello.n, "early data", 10);
	goes_to(A, hello.bytes, hello.n + 10, hello.n + 10);
}
END_TEST

/* The bytes were never taken out of the stream: the kernel passes a large flow on as before. */
START_TEST(spliced_all_the_same)
{
	static char chunk[65536];
	by_name(false, "");
	make_hello("api.test");
	struct peer *c = client();
	peer_send(c, hello.bytes, hello.n);
	struct peer *b = accept_at(A);
	peer_append_body(b, hello.n);
	for (int i = 0; i < 32; i++) {
		peer_send(c, chunk, sizeof(chunk));
		b->body_n = 0;
		peer_append_body(b, sizeof(chunk));
	}
	is_metric("sdlab_lb_spliced_total", "", 1);
	peer_free(b);
	peer_free(c);
}
END_TEST

static void is_turned_away(const void *bytes, size_t n, const char *is)
{
	char part[64];
	double before = metric("sdlab_lb_hellos_unrouted_total", "");
	snprintf(part, sizeof(part), "is=\"%s\"", is);
	double of_these = metric("sdlab_lb_hellos_total", part);
	struct peer *c = client();
	if (n)
		peer_send(c, bytes, n);
	peer_is_closed(c);
	ck_assert_uint_eq(c->n, 0);
	peer_free(c);
	wait_metric("sdlab_lb_hellos_unrouted_total", "", before + 1);
	is_metric("sdlab_lb_hellos_total", part, of_these + 1);
}

START_TEST(without_a_route)
{
	by_name(false, "head-timeout: 60ms\n");
	make_hello("other.test");
	is_turned_away(hello.bytes, hello.n, "named");
	wait_said("Closed a connection from 127.0.0.1: there is no route for other.test");
	make_hello(NULL);
	is_turned_away(hello.bytes, hello.n, "no_name");
	is_turned_away("GET / HTTP/1.1\r\n\r\n", 18, "not_tls");
	is_turned_away("", 0, "silent");
	make_hello("api.test");
	is_turned_away(hello.bytes, hello.n - 1, "silent");
	/* one line for all of them, since the first is not long ago */
	ck_assert(!has_said((void *)(uintptr_t)"asks for no name"));
	not_asked(A);
	not_asked(B);
	/* who connects and says nothing is nobody's error */
	struct peer *c = client();
	peer_shut(c);
	peer_ends(c);
	peer_free(c);
	wait_metric("sdlab_lb_tunnels", "", 0);
	is_metric("sdlab_lb_hellos_unrouted_total", "", 5);
	is_metric("sdlab_lb_backend_requests_total", "", 0);
}
END_TEST

/* Silent clients wait for the timeout, then go where all names go: the server may be who speaks first. */
START_TEST(silent_to_the_default)
{
	by_name(true, "head-timeout: 60ms\n");
	struct peer *c = client(), *b = accept_at(C);
	peer_say(b, "220 hello");
	peer_append_body(c, 9);
	peer_free(b);
	peer_free(c);
	/* half a hello, then the end: all of it is passed on */
	make_hello("api.test");
	c = client();
	peer_send(c, hello.bytes, 20);
	peer_shut(c);
	b = accept_at(C);
	peer_append_body(b, 20);
	ck_assert_mem_eq(b->body, hello.bytes, 20);
	peer_ends(b);
	peer_free(b);
	peer_free(c);
	wait_metric("sdlab_lb_hellos_total", "silent", 2);
}
END_TEST

/* The time for the hello is not the time for what comes after it. */
START_TEST(waiting_behind_the_hello)
{
	by_name(false, "head-timeout: 60ms\ntunnel-timeout: 10s\nqueue: {timeout: 60s}\n");
	t->back[A].options = ", pool: api, max-connections: 1";
	write_text(t->extra);
	admin("POST", "/-/reload", 200);
	make_hello("api.test");
	struct peer *first = client();
	peer_send(first, hello.bytes, hello.n);
	struct peer *b = accept_at(A), *second = client();
	peer_send(second, hello.bytes, hello.n);
	wait_metric("sdlab_lb_queue_length", "", 1);
	/* who says nothing, and came later, is closed before */
	struct peer *silent = client();
	peer_is_closed(silent);
	is_metric("sdlab_lb_queue_length", "", 1);
	peer_reset(first);
	peer_is_closed(b);
	peer_free(b);
	b = accept_at(A);
	peer_append_body(b, hello.n);
	peer_free(b);
	peer_free(first);
	peer_free(second);
	peer_free(silent);
}
END_TEST

/* Where no route has a name nobody looks, and nobody waits. */
START_TEST(nobody_looks)
{
	t->nback = 1;
	t->back[A].options = ", pool: web";
	start("mode: tcp\nroutes: [{pool: web}]\nhead-timeout: 1h\n");
	struct peer *c = client(), *b = accept_at(A);
	peer_say(b, "220 hello");
	peer_append_body(c, 9);
	is_metric("sdlab_lb_hellos_total", "", 0);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* Behind a PROXY header, and with one in front that tells the name; a retry tells it as well. */
START_TEST(with_proxy_headers)
{
	struct sd_pp_header h;
	char ip[46];
	t->back[A].options = t->back[B].options = ", pool: api, send-proxy: v2";
	start("mode: tcp\nroutes: [{host: api.test, pool: api}]\n" REQUIRE);
	make_hello("Api.test");
	stop_listening(A);
	struct peer *c = asks(V1);
	peer_send(c, hello.bytes, hello.n);
	struct peer *b = accept_at(B);
	said(b, &h);
	sd_peer_format(&h.from, ip);
	ck_assert_str_eq(ip, "10.1.2.3");
	is_slice(h.authority, "api.test");
	ck_assert(h.checked && !h.ssl.there);
	peer_append_body(b, hello.n);
	ck_assert_mem_eq(b->body, hello.bytes, hello.n);
	is_metric("sdlab_lb_retries_total", "", 1);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* The routes in force when the name is known decide. */
START_TEST(reloaded_while_looking)
{
	by_name(false, "");
	make_hello("api.test");
	struct peer *c = client();
	peer_send(c, hello.bytes, 100);
	wait_metric("sdlab_lb_tunnels", "", 1);
	t->back[A].options = ", pool: web";
	t->back[B].options = ", pool: api";
	write_text(t->extra);
	admin("POST", "/-/reload", 200);
	peer_send(c, hello.bytes + 100, hello.n - 100);
	struct peer *b = accept_at(B);
	peer_append_body(b, hello.n);
	ck_assert_mem_eq(b->body, hello.bytes, hello.n);
	peer_free(b);
	peer_free(c);
}
END_TEST

/* Where TLS ends here the name is that of the handshake. */
START_TEST(by_the_name_of_the_handshake)
{
	t->back[A].options = ", pool: api";
	t->back[B].options = ", pool: web";
	start_secure("mode: tcp\nroutes: [{host: other.test, pool: api}, {host: lb.test, pool: web}]\n");
	struct peer *c = client();
	SSL *s = secure_client(c);
	says(s, "ping", 4);
	struct peer *b = accept_at(B);
	peer_append_body(b, 4);
	ck_assert_str_eq(b->body, "ping");
	over(s, c);
	peer_free(b);
	/* and without one nothing is found */
	c = client();
	s = secure(pki.client, c);
	ck_assert_int_eq(SSL_connect(s), 1);
	wait_metric("sdlab_lb_hellos_unrouted_total", "", 1);
	wait_said("it asks for no name");
	over(s, c);
	not_asked(A);
}
END_TEST

/* ---- reloads ---- */

static const char HI[] = "HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nhi";

/* One request over a connection that is new to the backend, which then cuts it without close_notify, as many do. Was its
 * session taken up again? */
static void asked_anew(const char *extra_head, bool resumed)
{
	struct peer *c = asks(GET), *b = accept_at(A);
	SSL *s = secure_backend(b);
	ck_assert_msg(SSL_session_reused(s) == resumed, "%s: the session was %staken up again", extra_head, resumed ? "not " : "");
	hears(s, "GET /x HTTP/1.1\r\n", 17);
	says(s, HI, sizeof(HI) - 1);
	peer_answer(c, 200);
	over(s, b);
	peer_free(c);
}

static void append(const char *to, const char *from)
{
	char text[8192];
	int in = open(from, O_RDONLY | O_CLOEXEC), out = open(to, O_WRONLY | O_APPEND | O_CLOEXEC);
	ssize_t n = read(in, text, sizeof(text));
	ck_assert(n > 0 && write(out, text, (size_t)n) == n);
	close(in);
	close(out);
}

/* Idle connections and sessions stay as long as the row and the file say what they said; another CA is another trust. */
START_TEST(sessions_over_reloads)
{
	char rest[4096];
	size_t n;
	t->nback = 1;
	t->back[A].options = pki.options;
	start("");
	asked_anew("first", false);
	asked_anew("second", true);
	/* one that stays idle over a reload */
	struct peer *c = asks(GET), *b = accept_at(A);
	SSL *s = secure_backend(b);
	hears(s, "GET /x HTTP/1.1\r\n", 17);
	SSL_read_ex(s, rest, sizeof(rest), &n);
	says(s, HI, sizeof(HI) - 1);
	peer_answer(c, 200);
	admin("POST", "/-/reload", 200);
	peer_say(c, GET);
	hears(s, "GET /x HTTP/1.1\r\n", 17);
	says(s, HI, sizeof(HI) - 1);
	peer_answer(c, 200);
	over(s, b);
	peer_free(c);
	admin("POST", "/-/reload", 200);
	asked_anew("after a reload", true);
	append(pki.ca, pki.other_ca);
	admin("POST", "/-/reload", 200);
	asked_anew("another CA", false);
	/* the same bytes under other rules */
	char options[320];
	snprintf(options, sizeof(options), "%s, tls-verify: false", pki.options);
	t->back[A].options = options;
	write_text("");
	admin("POST", "/-/reload", 200);
	asked_anew("not verified any more", false);
	admin("POST", "/-/reload", 200);
	asked_anew("not verified, as before", true);
}
END_TEST

static const char *backends(void)
{
	static char text[16384];
	struct peer *c = admin_call("GET", "/-/backends", 200);
	snprintf(text, sizeof(text), "%s", c->body);
	peer_free(c);
	return text;
}

/* A CA file that cannot be read any more: the reload is refused, and nothing is left of it. */
START_TEST(refused_reload)
{
	char gone[128];
	snprintf(gone, sizeof(gone), "%s.gone", pki.ca);
	t->nback = 1;
	t->back[A].options = pki.options;
	start("");
	asked_anew("first", false);
	ck_assert_int_eq(rename(pki.ca, gone), 0);
	/* B is new and needs nothing; A is what fails, and C comes behind it */
	struct back was = t->back[A];
	t->back[A] = t->back[B];
	t->back[B] = was;
	t->nback = 3;
	write_text("");
	for (int i = 0; i < 2; i++) {
		struct peer *c = admin_call("POST", "/-/reload", 400);
		ck_assert_msg(strstr(c->body, pki.ca) && strstr(c->body, "tls"), "%s", c->body);
		peer_free(c);
	}
	char port[16];
	snprintf(port, sizeof(port), ":%u\"", t->back[A].port);
	ck_assert_msg(!strstr(backends(), port), "%s", backends());
	t->back[B] = t->back[A];
	t->back[A] = was;
	/* it goes on as it was, with its sessions */
	asked_anew("after a reload that was refused", true);
	ck_assert_int_eq(rename(gone, pki.ca), 0);
	t->nback = 1;
	write_text("");
	admin("POST", "/-/reload", 200);
	ck_assert_msg(!has_said((void *)(uintptr_t)"no longer in the configuration"), "what was never taken is said to be gone");
	asked_anew("after a reload that was taken", true);
}
END_TEST

/* What was set at run time stays over a reload that is refused. */
START_TEST(refused_reload_and_runtime)
{
	char body[256], text[512];
	t->nback = 1;
	start("");
	for (int bad = 1; bad >= 0; bad--) {
		int n = snprintf(body, sizeof(body), "{\"name\": \"%s\", \"address\": \"127.0.0.1:%u\"%s}", bad ? "bad" : "new",
				 t->back[C].port, bad ? ", \"tls\": true, \"tls-ca\": \"/nowhere\"" : "");
		struct peer *c = peer_connect(sd_admin_addr(t->run->admin)->port);
		snprintf(text, sizeof(text), "POST /-/backends HTTP/1.1\r\nHost: h\r\nContent-Length: %d\r\n\r\n%s", n, body);
		peer_say(c, text);
		peer_answer(c, bad ? 400 : 201);
		peer_free(c);
	}
	t->back[B].options = ", tls: true, tls-ca: /nowhere";
	t->nback = 2;
	write_text("");
	admin("POST", "/-/reload", 400);
	ck_assert_msg(strstr(backends(), "\"new\"") && !strstr(backends(), "\"b\""), "%s", backends());
	/* what the workers know is made anew from what is listed */
	admin("POST", "/-/backends/a/drain", 200);
	wait_state(A, "drained");
	struct peer *c = asks(GET), *b = accept_at(C);
	peer_free(b);
	peer_free(c);
	t->nback = 1;
	write_text("");
	admin("POST", "/-/reload", 200);
	wait_said("new");
	ck_assert(!has_said((void *)(uintptr_t)"Backend  is no longer"));
}
END_TEST

int main(void)
{
	TCase *tcp = tcase_create("tcp"), *proxy = tcase_create("proxy"), *reload = tcase_create("reload");
	tcase_add_checked_fixture(reload, setup_tls, teardown_tls);
	tcase_add_test(reload, sessions_over_reloads);
	tcase_add_test(reload, refused_reload);
	tcase_add_test(reload, refused_reload_and_runtime);
	tcase_add_checked_fixture(tcp, setup_tls, teardown_tls);
	tcase_add_checked_fixture(proxy, setup_tls, teardown_tls);
	tcase_add_loop_test(tcp, taken_off, 0, 2);
	tcase_add_test(tcp, who_speaks_first);
	tcase_add_test(tcp, cut_off);
	tcase_add_test(tcp, no_backend_without_a_handshake);
	tcase_add_loop_test(tcp, protocols, 0, 2);
	tcase_add_loop_test(proxy, in_front_of_the_hello, 0, 4);
	tcase_add_loop_test(proxy, retried_in_the_handshake, 0, 2);
	tcase_add_loop_test(proxy, checks, 0, 4);
	tcase_add_loop_test(proxy, all_that_is_known, 0, 2);
	tcase_add_loop_test(proxy, what_is_not_known, 1, 3);
	tcase_add_test(proxy, certificate_of_the_session);
	tcase_add_loop_test(proxy, in_the_wrong_order, 0, 2);
	TCase *name = tcase_create("name");
	tcase_add_checked_fixture(name, setup_tls, teardown_tls);
	const TTest *names[] = {by_the_name, spliced_all_the_same, without_a_route, silent_to_the_default, waiting_behind_the_hello, nobody_looks,
				with_proxy_headers, reloaded_while_looking, by_the_name_of_the_handshake};
	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		tcase_add_test(name, names[i]);
	TCase *cases[] = {tcp, proxy, reload, name};
	return rig_main_of(cases, 4, "lb_tls");
}
