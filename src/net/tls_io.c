/* tls_io.c - one TLS connection.
 *
 *	CONNECTING --the lower io stands--> HANDSHAKE --> OPEN
 *	     |                                 |           |
 *	     +---------------- BROKEN <--------+-----------+   err says why; what OpenSSL still had to say (an alert) is sent
 *
 * OpenSSL writes into `out`, which goes down in one call at the end of each operation. Bytes count as written when the
 * lower io has taken all of `out`: else one byte is held back, so that the owner knows that something is still on its way
 * and comes again. It comes with the same bytes, of which the held one is then skipped (struct sd_stream does so).
 *
 * OpenSSL may hold more plain text than was read. The lower io cannot tell of that, so a deferred task does (`more`), and
 * that read takes nothing from below (`frozen`): one fast sender must not keep the loop to itself.
 */
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "core/list.h"
#include "tls_int.h"

#define RECORD    16384
#define OUT_LIMIT 65536

enum { CONNECTING, HANDSHAKE, OPEN, BROKEN };

struct tls_io {
	struct sd_io io;
	struct sd_io *lower;
	SSL *ssl;
	struct sd_tls_server *server; /* one of the two */
	struct sd_tls_target *target;
	struct sd_tls_watch *watch;
	struct sd_task again;
	char *out;
	uint32_t out_off, out_n, out_cap;
	uint8_t state, wanted, lower_wanted, held;
	uint8_t err, lower_err; /* enum sd_err */
	bool lower_eof, frozen, more, shut, closed;
	char *refused; /* subject of the certificate that was not accepted */
	char text[SD_TLS_TEXT];
};

static const struct sd_io_ops tls_io_ops;

static struct tls_io *of(struct sd_io *io)
{
	return sd_container(io, struct tls_io, io);
}

static void count(uint64_t *c)
{
	__atomic_add_fetch(c, 1, __ATOMIC_RELAXED);
}

/* ---- what OpenSSL writes, on its way down ---- */

static void out_drop(struct tls_io *t)
{
	if (t->out_cap == SD_LOOP_BLOCK)
		sd_loop_block_free(t->io.loop, t->out);
	else
		free(t->out);
	t->out = NULL;
	t->out_off = t->out_n = t->out_cap = 0;
}

static bool out_add(struct tls_io *t, const char *p, size_t n)
{
	size_t end = t->out_off + (size_t)t->out_n;
	if (end + n > t->out_cap) {
		size_t cap = SD_LOOP_BLOCK;
		while (cap < t->out_n + n)
			cap *= 2;
		if (cap > SD_LOOP_BLOCK && cap < 2 * RECORD)
			cap = 2 * RECORD;
		char *more = cap == SD_LOOP_BLOCK ? sd_loop_block(t->io.loop) : malloc(cap);
		if (!more)
			return false;
		uint32_t had = t->out_n;
		if (had)
			memcpy(more, t->out + t->out_off, had);
		out_drop(t);
		t->out = more;
		t->out_cap = (uint32_t)cap;
		t->out_n = had;
		end = had;
	}
	memcpy(t->out + end, p, n);
	t->out_n += (uint32_t)n;
	return true;
}

/* SD_OK also when some of it is left. */
static enum sd_err flush(struct tls_io *t)
{
	while (t->out_n > 0) {
		struct iovec v = {t->out + t->out_off, t->out_n};
		ssize_t put = t->lower->ops->writev(t->lower, &v, 1);
		if (put == -SD_EAGAIN)
			return SD_OK;
		if (put < 0) {
			out_drop(t);
			return (enum sd_err)-put;
		}
		t->out_off += (uint32_t)put;
		t->out_n -= (uint32_t)put;
	}
	if (t->out)
		out_drop(t);
	return SD_OK;
}

static int bio_write(BIO *b, const char *p, int n)
{
	struct tls_io *t = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	if (n > 0 && out_add(t, p, (size_t)n))
		return n;
	t->lower_err = SD_ENOMEM;
	return -1;
}

static int bio_read(BIO *b, char *p, int n)
{
	struct tls_io *t = BIO_get_data(b);
	BIO_clear_retry_flags(b);
	ssize_t got = t->frozen ? -SD_EAGAIN : t->lower->ops->read(t->lower, p, (size_t)n);
	if (got > 0)
		return (int)got;
	if (got == 0)
		t->lower_eof = true;
	else if (got == -SD_EAGAIN)
		BIO_set_retry_read(b);
	else
		t->lower_err = (uint8_t)-got;
	return got == 0 ? 0 : -1;
}

static long bio_ctrl(BIO *b, int what, long n, void *p)
{
	const struct tls_io *t = BIO_get_data(b);
	(void)n;
	(void)p;
	if (what == BIO_CTRL_EOF)
		return t->lower_eof;
	return what == BIO_CTRL_FLUSH;
}

BIO_METHOD *tls_bio_method(void)
{
	BIO_METHOD *m = BIO_meth_new(BIO_TYPE_SOURCE_SINK | 120, "sdlab");
	if (m && BIO_meth_set_write(m, bio_write) && BIO_meth_set_read(m, bio_read) && BIO_meth_set_ctrl(m, bio_ctrl))
		return m;
	BIO_meth_free(m);
	return NULL;
}

int64_t tls_io_now_ns(SSL *ssl)
{
	const struct tls_io *t = SSL_get_app_data(ssl);
	return sd_loop_now_ns(t->io.loop);
}

struct sd_tls_server *tls_io_server(SSL *ssl)
{
	return ((struct tls_io *)SSL_get_app_data(ssl))->server;
}

struct sd_tls_target *tls_io_target(SSL *ssl)
{
	return ((struct tls_io *)SSL_get_app_data(ssl))->target;
}

int tls_on_verify(int good, X509_STORE_CTX *store)
{
	SSL *ssl = X509_STORE_CTX_get_ex_data(store, SSL_get_ex_data_X509_STORE_CTX_idx());
	struct tls_io *t = SSL_get_app_data(ssl);
	X509 *cert = X509_STORE_CTX_get_current_cert(store);
	if (good)
		return 1;
	char subject[140];
	tls_subject(cert ? cert : X509_STORE_CTX_get0_cert(store), subject, sizeof(subject));
	free(t->refused);
	t->refused = strdup(subject);
	return 0;
}

const char *tls_io_refused(SSL *ssl)
{
	const struct tls_io *t = SSL_get_app_data(ssl);
	return t->refused ? t->refused : "no name";
}

/* ---- what is asked of the lower io ---- */

static void settle(struct tls_io *t)
{
	unsigned want = t->out_n > 0 ? SD_IO_WRITE : 0;
	if (t->state == CONNECTING)
		want = SD_IO_WRITE;
	else if (t->state == HANDSHAKE && t->wanted)
		want |= SD_IO_READ;
	else if (t->state != HANDSHAKE)
		want |= t->wanted;
	if (want != t->lower_wanted) {
		t->lower_wanted = (uint8_t)want;
		t->lower->ops->want(t->lower, want);
	}
	if (t->more && (t->wanted & SD_IO_READ))
		sd_loop_defer(t->io.loop, &t->again);
}

/* ---- the handshake ---- */

static void broken(struct tls_io *t, enum sd_err err)
{
	t->state = BROKEN;
	t->err = (uint8_t)err;
	t->more = true; /* the owner is to hear of it, whatever the lower io has to say */
}

static void handshake_failed(struct tls_io *t)
{
	char why[SD_TLS_TEXT];
	enum sd_tls_reason reason = tls_explain(t->ssl, t->lower_eof || t->lower_err, why);
	memcpy(t->text, "TLS: ", 6);
	memcpy(t->text + 5, why, sizeof(t->text) - 6);
	t->text[sizeof(t->text) - 1] = '\0';
	broken(t, t->lower_err && t->lower_err != SD_ERESET ? (enum sd_err)t->lower_err : SD_ETLS);
	if (!t->watch)
		return;
	count(&t->watch->failed[reason]);
	if (t->watch->on_failure)
		t->watch->on_failure(t->watch->arg, &t->io.peer, reason, t->text);
}

static void drive(struct tls_io *t)
{
	ERR_clear_error();
	int done = SSL_do_handshake(t->ssl);
	int what = done == 1 ? SSL_ERROR_NONE : SSL_get_error(t->ssl, done);
	if (done == 1) {
		t->state = OPEN;
		t->more = true; /* what came with its last message */
		if (t->watch) {
			count(&t->watch->handshakes);
			if (SSL_session_reused(t->ssl))
				count(&t->watch->resumed);
		}
	} else if (what != SSL_ERROR_WANT_READ) {
		handshake_failed(t);
	}
	ERR_clear_error();
	enum sd_err err = flush(t);
	if (err && t->state == HANDSHAKE) {
		t->lower_err = (uint8_t)err;
		handshake_failed(t);
	}
}

static bool begun(struct tls_io *t)
{
	if (t->state == CONNECTING) {
		enum sd_err err = t->lower->ops->connected(t->lower);
		if (err == SD_EAGAIN)
			return false;
		t->state = HANDSHAKE;
		if (err)
			broken(t, err);
	}
	if (t->state == HANDSHAKE)
		drive(t);
	return t->state >= OPEN;
}

/* ---- the owner's calls ---- */

/* Nothing more can be read: the end, or why not. */
static ssize_t at_end(struct tls_io *t, int what)
{
	if (what == SSL_ERROR_ZERO_RETURN)
		return 0;
	bool cut = t->lower_eof;
	ERR_clear_error();
	if (t->lower_err)
		broken(t, (enum sd_err)t->lower_err);
	else
		broken(t, SD_ETLS);
	memcpy(t->text, "TLS: the connection was cut (no close_notify)", 46);
	if (!cut)
		memcpy(t->text, "TLS: bytes came that are no good record", 40);
	if (cut && t->watch)
		count(&t->watch->truncated);
	return -(ssize_t)t->err;
}

static ssize_t read_some(struct tls_io *t, char *to, size_t n)
{
	size_t got = 0, k;
	ERR_clear_error();
	while (got < n && SSL_read_ex(t->ssl, to + got, n - got, &k))
		got += k;
	t->more = got == n;
	if (t->more)
		return (ssize_t)got;
	int what = SSL_get_error(t->ssl, 0);
	if (what == SSL_ERROR_WANT_READ)
		return got ? (ssize_t)got : -SD_EAGAIN;
	if (got == 0)
		return at_end(t, what);
	t->more = true; /* how it ended comes with the next read */
	return (ssize_t)got;
}

static ssize_t tls_read(struct sd_io *io, void *buf, size_t n)
{
	struct tls_io *t = of(io);
	ssize_t got = -SD_EAGAIN;
	if (t->state < OPEN)
		begun(t);
	t->more = false;
	if (t->state == BROKEN)
		got = -(ssize_t)t->err;
	else if (t->state == OPEN)
		got = read_some(t, buf, n);
	t->frozen = false;
	if (t->out_n)
		flush(t); /* an answer to a change of keys, or an alert */
	settle(t);
	return got;
}

/* The next record's worth from the pieces, from `at` on: in place when one piece has it, else gathered in buf. */
static const char *next_record(const struct iovec *iov, int niov, size_t at, char *buf, size_t *n)
{
	*n = 0;
	for (int i = 0; i < niov && *n < RECORD; i++) {
		size_t len = iov[i].iov_len;
		if (at >= len) {
			at -= len;
			continue;
		}
		const char *from = (const char *)iov[i].iov_base + at;
		size_t take = len - at < RECORD - *n ? len - at : RECORD - *n;
		bool last = i + 1 == niov || take == RECORD;
		if (*n == 0 && last) {
			*n = take;
			return from;
		}
		memcpy(buf + *n, from, take);
		*n += take;
		at = 0;
	}
	return buf;
}

/* Encrypts from `at` on while there is room; how far it came, or < 0. */
static ssize_t seal(struct tls_io *t, const struct iovec *iov, int niov, size_t at)
{
	char buf[RECORD];
	while (t->out_n < OUT_LIMIT) {
		size_t n, put;
		const char *from = next_record(iov, niov, at, buf, &n);
		if (n == 0)
			break;
		ERR_clear_error();
		if (!SSL_write_ex(t->ssl, from, n, &put)) {
			ERR_clear_error();
			return -(t->lower_err ? (ssize_t)t->lower_err : SD_ETLS);
		}
		at += put;
	}
	return (ssize_t)at;
}

/* close_notify, behind what is in out. */
static void add_end(struct tls_io *t)
{
	if (t->state != OPEN || (SSL_get_shutdown(t->ssl) & SSL_SENT_SHUTDOWN))
		return;
	ERR_clear_error();
	SSL_shutdown(t->ssl);
	ERR_clear_error();
}

static size_t sum_of(const struct iovec *iov, int niov)
{
	size_t n = 0;
	for (int i = 0; i < niov; i++)
		n += iov[i].iov_len;
	return n;
}

static ssize_t write_some(struct tls_io *t, const struct iovec *iov, int niov, bool last)
{
	enum sd_err err = flush(t);
	if (err)
		return -(ssize_t)err;
	if (t->out_n)
		return -SD_EAGAIN;
	ssize_t at = seal(t, iov, niov, t->held);
	if (at < 0)
		return at;
	t->held = 0;
	if (last && (size_t)at == sum_of(iov, niov))
		add_end(t);
	if ((err = flush(t)))
		return -(ssize_t)err;
	t->held = t->out_n > 0;
	at -= t->held;
	return at > 0 ? at : -SD_EAGAIN;
}

static ssize_t write_with(struct sd_io *io, const struct iovec *iov, int n, bool last)
{
	struct tls_io *t = of(io);
	ssize_t put = -SD_EAGAIN;
	if (t->state < OPEN)
		begun(t);
	if (t->state == BROKEN)
		put = -(ssize_t)t->err;
	else if (t->state == OPEN)
		put = write_some(t, iov, n, last);
	settle(t);
	return put;
}

static ssize_t tls_writev(struct sd_io *io, const struct iovec *iov, int n)
{
	return write_with(io, iov, n, false);
}

static ssize_t tls_write_last(struct sd_io *io, const struct iovec *iov, int n)
{
	return write_with(io, iov, n, true);
}

static void tls_want(struct sd_io *io, unsigned what)
{
	struct tls_io *t = of(io);
	t->wanted = (uint8_t)what;
	settle(t);
}

static enum sd_err tls_connected(struct sd_io *io)
{
	const struct tls_io *t = of(io);
	if (t->state == BROKEN)
		return (enum sd_err)t->err;
	return t->state == OPEN ? SD_OK : SD_EAGAIN;
}

static void say_end(struct tls_io *t)
{
	add_end(t);
	flush(t);
}

static void tls_shutdown_write(struct sd_io *io)
{
	struct tls_io *t = of(io);
	say_end(t);
	if (t->out_n)
		t->shut = true; /* when it has gone */
	else
		t->lower->ops->shutdown_write(t->lower);
	settle(t);
}

static void io_free(struct tls_io *t)
{
	if (t->ssl) {
		/* A session is none the worse for how its connection ended. */
		if (t->state == OPEN)
			SSL_set_shutdown(t->ssl, SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
		SSL_free(t->ssl);
	}
	if (t->out)
		out_drop(t);
	free(t->refused);
	sd_tls_server_release(t->server);
	if (t->target)
		tls_target_release(t->target);
	free(t);
}

static void tls_close(struct sd_io *io, bool reset)
{
	struct tls_io *t = of(io);
	if (!reset)
		say_end(t);
	t->lower->ops->close(t->lower, reset);
	t->closed = true;
	if (!t->again.queued)
		io_free(t);
}

static const char *tls_why(struct sd_io *io)
{
	const struct tls_io *t = of(io);
	return t->text[0] ? t->text : NULL;
}

static bool tls_pending(struct sd_io *io)
{
	const struct tls_io *t = of(io);
	return t->shut && t->out_n > 0;
}

static void tls_local(struct sd_io *io)
{
	io->local = sd_io_local(of(io)->lower);
}

/* What it reads for itself (a ticket, a change of keys) is taken for bytes as well: only reading would tell. */
static bool tls_quiet(struct sd_io *io)
{
	const struct tls_io *t = of(io);
	return t->state == OPEN && !t->more && t->lower->ops->quiet(t->lower);
}

static const struct sd_io_ops tls_io_ops = {
    .read = tls_read,
    .writev = tls_writev,
    .write_last = tls_write_last,
    .want = tls_want,
    .connected = tls_connected,
    .shutdown_write = tls_shutdown_write,
    .close = tls_close,
    .why = tls_why,
    .pending = tls_pending,
    .local = tls_local,
    .quiet = tls_quiet,
};

/* ---- the lower io's calls ---- */

static void on_again(struct sd_task *task)
{
	struct tls_io *t = sd_container(task, struct tls_io, again);
	if (t->closed) {
		io_free(t);
		return;
	}
	if (!t->more || !(t->wanted & SD_IO_READ))
		return;
	t->frozen = true;
	t->io.ready(&t->io, SD_IO_READ);
}

static void on_lower_ready(struct sd_io *lower, unsigned what)
{
	struct tls_io *t = lower->owner;
	unsigned tell = what & (t->wanted | SD_IO_ERROR);
	if (t->state < OPEN) {
		tell = begun(t) ? t->wanted : 0;
	} else if (what & SD_IO_WRITE) {
		flush(t); /* an error comes again with the next write or read */
		if (t->out_n)
			tell &= ~SD_IO_WRITE;
		else if (t->shut) {
			t->shut = false;
			t->lower->ops->shutdown_write(t->lower);
		}
	}
	t->frozen = false;
	settle(t);
	if (tell)
		t->io.ready(&t->io, tell);
}

/* ---- making ---- */

static struct sd_io *fail_new(struct tls_io *t, struct sd_io *lower)
{
	if (t)
		io_free(t);
	lower->ops->close(lower, true);
	return NULL;
}

static bool attach(struct tls_io *t, SSL_CTX *ctx, BIO_METHOD *method)
{
	t->ssl = SSL_new(ctx);
	BIO *b = t->ssl ? BIO_new(method) : NULL;
	if (!b)
		return false;
	BIO_set_data(b, t);
	BIO_set_init(b, 1);
	SSL_set_bio(t->ssl, b, b);
	SSL_set_app_data(t->ssl, t);
	SSL_set_read_ahead(t->ssl, 1);
	int64_t wall_s = sd_world_wall_ns(sd_loop_world(t->io.loop)) / 1000000000;
	X509_VERIFY_PARAM_set_time(SSL_get0_param(t->ssl), (time_t)wall_s);
	return true;
}

static struct tls_io *io_new(struct sd_io *lower, struct sd_tls_watch *watch)
{
	struct tls_io *t = calloc(1, sizeof(*t));
	if (!t)
		return NULL;
	t->io = (struct sd_io){.ops = &tls_io_ops, .loop = lower->loop, .peer = lower->peer};
	t->lower = lower;
	t->watch = watch;
	t->again.fn = on_again;
	return t;
}

static struct sd_io *take_over(struct tls_io *t, uint8_t state)
{
	t->state = state;
	t->lower->owner = t;
	t->lower->ready = on_lower_ready;
	return &t->io;
}

struct sd_io *sd_tls_accept(struct sd_tls_server *s, struct sd_io *lower)
{
	struct tls_io *t = io_new(lower, s->watch);
	if (t)
		t->server = sd_tls_server_hold(s);
	if (!t || !attach(t, s->ctx[0], s->bio))
		return fail_new(t, lower);
	SSL_set_accept_state(t->ssl);
	return take_over(t, HANDSHAKE);
}

static bool set_name(SSL *ssl, const struct sd_tls_target *target)
{
	if (target->is_ip)
		return X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(ssl), target->name) == 1;
	SSL_set_hostflags(ssl, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return SSL_set_tlsext_host_name(ssl, target->name) == 1 && SSL_set1_host(ssl, target->name) == 1;
}

struct sd_io *sd_tls_connect(struct sd_tls_target *target, struct sd_io *lower)
{
	struct sd_tls_client *c = target->client;
	struct tls_io *t = io_new(lower, c->watch);
	if (t) {
		t->target = target;
		target->refs++;
	}
	if (!t || !attach(t, c->ctx, c->bio) || !set_name(t->ssl, target))
		return fail_new(t, lower);
	if (target->session)
		SSL_set_session(t->ssl, target->session);
	SSL_set_connect_state(t->ssl);
	return take_over(t, CONNECTING);
}

/* ---- looking at it ---- */

bool sd_tls_is(const struct sd_io *io)
{
	return io->ops == &tls_io_ops;
}

/* A name with a NUL inside would be taken for another one: there is none then. */
static void put_common_name(X509 *cert, char *out, size_t n)
{
	int len = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, out, (int)n);
	if (len < 0 || strlen(out) != (size_t)len)
		out[0] = '\0';
}

static void describe_peer(X509 *cert, struct sd_tls_info *out)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	out->has_cert = true;
	tls_subject(cert, out->subject, sizeof(out->subject));
	put_common_name(cert, out->common_name, sizeof(out->common_name));
	if (!X509_digest(cert, EVP_sha256(), digest, &n))
		return;
	for (unsigned i = 0; i < n && i < 32; i++) {
		out->fingerprint[2 * i] = "0123456789abcdef"[digest[i] >> 4];
		out->fingerprint[2 * i + 1] = "0123456789abcdef"[digest[i] & 15];
	}
}

static void copy(char *to, size_t room, const void *from, size_t n)
{
	if (n >= room)
		n = room - 1;
	if (n)
		memcpy(to, from, n);
	to[n] = '\0';
}

bool sd_tls_info(struct sd_io *io, struct sd_tls_info *out)
{
	const unsigned char *alpn = NULL;
	unsigned n = 0;
	memset(out, 0, sizeof(*out));
	if (!sd_tls_is(io) || of(io)->state != OPEN)
		return false;
	SSL *ssl = of(io)->ssl;
	const char *sni = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	out->version = SSL_get_version(ssl);
	out->cipher = SSL_get_cipher_name(ssl);
	out->resumed = SSL_session_reused(ssl) == 1;
	SSL_get0_alpn_selected(ssl, &alpn, &n);
	copy(out->alpn, sizeof(out->alpn), alpn, n);
	copy(out->sni, sizeof(out->sni), sni, sni ? strlen(sni) : 0);
	X509 *cert = SSL_get0_peer_certificate(ssl);
	if (cert)
		describe_peer(cert, out);
	return true;
}

char *sd_tls_peer_chain(struct sd_io *io)
{
	STACK_OF(X509) *chain = sd_tls_is(io) ? SSL_get_peer_cert_chain(of(io)->ssl) : NULL;
	BIO *b = chain ? BIO_new(BIO_s_mem()) : NULL;
	char *text = NULL, *p;
	if (!b)
		return NULL;
	for (int i = 0; i < sk_X509_num(chain); i++)
		PEM_write_bio_X509(b, sk_X509_value(chain, i));
	long n = BIO_get_mem_data(b, &p);
	if (n > 0)
		text = tls_text(p, (size_t)n);
	BIO_free(b);
	return text;
}
