/* tls_ctx.c - what a service and a client of TLS are set up with. Files are read through the world, never by OpenSSL. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <openssl/x509v3.h>

#include "tls_int.h"

#define MAX_PEM (4u << 20)

/* Forward secrecy and authenticated encryption, nothing else. */
#define CIPHERS_12 "ECDHE+AESGCM:ECDHE+CHACHA20"
#define GROUPS     "X25519:P-256:P-384"

/* ---- PEM files ---- */

struct loader {
	struct sd_world *w;
	sd_tls_warn *warn;
	void *warn_arg;
	unsigned char *sum; /* what is read is added to it; NULL: nobody compares */
};

/* The digest of the last one and this. */
static void add_to_sum(const struct loader *l, const void *p, size_t n)
{
	unsigned char both[2 * SHA256_DIGEST_LENGTH];
	if (!l->sum)
		return;
	memcpy(both, l->sum, SHA256_DIGEST_LENGTH);
	SHA256(p, n, both + SHA256_DIGEST_LENGTH);
	SHA256(both, sizeof(both), l->sum);
}

static void warn(const struct loader *l, const char *fmt, ...) __attribute__((format(printf, 2, 3)));
static void warn(const struct loader *l, const char *fmt, ...)
{
	struct sd_error e;
	va_list ap;
	if (!l->warn)
		return;
	va_start(ap, fmt);
	vsnprintf(e.text, sizeof(e.text), fmt, ap);
	va_end(ap);
	l->warn(l->warn_arg, e.text);
}

static BIO *open_pem(const struct loader *l, const char *file, char **text, struct sd_error *e)
{
	size_t n;
	if (sd_world_read_file(l->w, file, MAX_PEM, text, &n, e))
		return NULL;
	add_to_sum(l, *text, n);
	BIO *b = BIO_new_mem_buf(*text, (int)n);
	if (!b)
		sd_fail(e, SD_ENOMEM, "out of memory");
	return b;
}

static void close_pem(BIO *b, char *text)
{
	BIO_free(b);
	if (text)
		OPENSSL_cleanse(text, strlen(text));
	free(text);
	ERR_clear_error();
}

/* A key with a passphrase is refused and not asked for. */
static int no_passphrase(char *buf, int size, int writing, void *arg)
{
	(void)buf;
	(void)size;
	(void)writing;
	*(bool *)arg = true;
	return -1;
}

static void check_dates(const struct loader *l, X509 *cert, const char *file)
{
	time_t now = (time_t)(sd_world_wall_ns(l->w) / 1000000000);
	char subject[140];
	tls_subject(cert, subject, sizeof(subject));
	if (X509_cmp_time(X509_get0_notAfter(cert), &now) < 0)
		warn(l, "%s: the certificate has expired (%s)", file, subject);
	else if (X509_cmp_time(X509_get0_notBefore(cert), &now) > 0)
		warn(l, "%s: the certificate is not valid yet (%s)", file, subject);
}

/* The own certificate, then the chain. */
static enum sd_err load_chain(const struct loader *l, SSL_CTX *ctx, const char *file, struct sd_error *e)
{
	char *text = NULL;
	BIO *b = open_pem(l, file, &text, e);
	int n = 0;
	bool good = b;
	for (X509 *cert; good && (cert = PEM_read_bio_X509(b, NULL, NULL, NULL)); n++) {
		if (n == 0)
			check_dates(l, cert, file);
		good = n == 0 ? SSL_CTX_use_certificate(ctx, cert) == 1 : SSL_CTX_add1_chain_cert(ctx, cert) == 1;
		X509_free(cert);
	}
	char why[SD_TLS_TEXT];
	enum sd_err err = SD_OK;
	if (!b)
		err = e ? e->code : SD_EIO;
	else if (n == 0)
		err = sd_fail(e, SD_EINVAL, "%s: expected a certificate in PEM (-----BEGIN CERTIFICATE-----), found none", file);
	else if (!good)
		err = sd_fail(e, SD_EINVAL, "%s: certificate %d cannot be used: %s", file, n, tls_first_error(why));
	close_pem(b, text);
	return err;
}

static void check_mode(const struct loader *l, const char *file)
{
	unsigned mode;
	if (sd_world_file_mode(l->w, file, &mode) && (mode & 07))
		warn(l, "%s: everybody may read this private key (mode %04o); try: chmod 600 %s", file, mode & 07777, file);
}

static enum sd_err load_key(const struct loader *l, SSL_CTX *ctx, const char *file, const char *cert_file,
			    struct sd_error *e)
{
	char *text = NULL, why[SD_TLS_TEXT];
	bool locked = false;
	BIO *b = open_pem(l, file, &text, e);
	EVP_PKEY *key = b ? PEM_read_bio_PrivateKey(b, NULL, no_passphrase, &locked) : NULL;
	enum sd_err err = SD_OK;
	if (!b)
		err = e ? e->code : SD_EIO;
	else if (!key && locked)
		err = sd_fail(e, SD_EINVAL, "%s: the private key has a passphrase; expected one without", file);
	else if (!key)
		err = sd_fail(e, SD_EINVAL, "%s: expected a private key in PEM (-----BEGIN PRIVATE KEY-----), found none", file);
	else if (X509_check_private_key(SSL_CTX_get0_certificate(ctx), key) != 1)
		err = sd_fail(e, SD_EINVAL, "%s: the private key does not fit the certificate in %s", file, cert_file);
	else if (SSL_CTX_use_PrivateKey(ctx, key) != 1)
		err = sd_fail(e, SD_EINVAL, "%s: the private key cannot be used: %s", file, tls_first_error(why));
	else
		check_mode(l, file);
	EVP_PKEY_free(key);
	close_pem(b, text);
	return err;
}

static enum sd_err load_own(const struct loader *l, SSL_CTX *ctx, const char *cert, const char *key, struct sd_error *e)
{
	enum sd_err err = load_chain(l, ctx, cert, e);
	return err ? err : load_key(l, ctx, key ? key : cert, cert, e);
}

/* Adds all certificates of the file to those that are trusted; ask: says to clients which ones. *digest sums them up. */
static enum sd_err load_trusted(const struct loader *l, SSL_CTX *ctx, const char *file, bool ask, unsigned char *digest,
				struct sd_error *e)
{
	char *text = NULL;
	BIO *b = open_pem(l, file, &text, e);
	int n = 0;
	if (!b)
		return e ? e->code : SD_EIO;
	if (digest)
		SHA256((const unsigned char *)text, strlen(text), digest);
	for (X509 *cert; (cert = PEM_read_bio_X509_AUX(b, NULL, NULL, NULL)); n++) {
		X509_STORE_add_cert(SSL_CTX_get_cert_store(ctx), cert);
		if (ask)
			SSL_CTX_add_client_CA(ctx, cert);
		X509_free(cert);
	}
	close_pem(b, text);
	return n ? SD_OK : sd_fail(e, SD_EINVAL, "%s: expected certificates of CAs in PEM, found none", file);
}

static enum sd_err load_system(const struct loader *l, SSL_CTX *ctx, struct sd_error *e)
{
	static const char *const places[] = {"/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt",
					     "/etc/ssl/cert.pem", "/etc/ssl/ca-bundle.pem"};
	for (size_t i = 0; i < sizeof(places) / sizeof(places[0]); i++)
		if (load_trusted(l, ctx, places[i], false, NULL, NULL) == SD_OK)
			return SD_OK;
	return sd_fail(e, SD_ENOTFOUND, "this system has no list of CAs (such as %s); name a file of your own", places[0]);
}

/* ---- what both sides have ---- */

static unsigned char *alpn_wire(const char *const *names, size_t *n)
{
	*n = 0;
	for (size_t i = 0; names[i]; i++)
		*n += 1 + strlen(names[i]);
	unsigned char *wire = malloc(*n + 1), *o = wire;
	for (size_t i = 0; wire && names[i]; i++) {
		size_t len = strlen(names[i]);
		*o++ = (unsigned char)len;
		memcpy(o, names[i], len);
		o += len;
	}
	return wire;
}

static SSL_CTX *ctx_new(bool server, bool only_13, struct sd_error *e)
{
	/* Not the system's openssl.cnf: a service is what its own configuration says. */
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	SSL_CTX *ctx = SSL_CTX_new(server ? TLS_server_method() : TLS_client_method());
	if (!ctx || SSL_CTX_set_min_proto_version(ctx, only_13 ? TLS1_3_VERSION : TLS1_2_VERSION) != 1 ||
	    SSL_CTX_set_cipher_list(ctx, CIPHERS_12) != 1 || SSL_CTX_set1_groups_list(ctx, GROUPS) != 1) {
		char why[SD_TLS_TEXT];
		sd_fail(e, SD_ENOMEM, "cannot set TLS up: %s", tls_first_error(why));
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_security_level(ctx, 2);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
				     SSL_OP_PRIORITIZE_CHACHA);
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	return ctx;
}

/* ---- servers: callbacks of the handshake ---- */

static SSL_CTX *choose(const struct sd_tls_server *s, const char *name)
{
	static const unsigned flags[] = {X509_CHECK_FLAG_NO_WILDCARDS, X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS};
	for (int pass = 0; pass < 2; pass++)
		for (size_t i = 0; i < s->n; i++)
			if (X509_check_host(SSL_CTX_get0_certificate(s->ctx[i]), name, 0, flags[pass], NULL) == 1)
				return s->ctx[i];
	return s->ctx[0];
}

static int on_name(SSL *ssl, int *alert, void *arg)
{
	const struct sd_tls_server *s = tls_io_server(ssl);
	const char *name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	(void)alert;
	(void)arg;
	if (!name)
		return SSL_TLSEXT_ERR_NOACK;
	SSL_CTX *ctx = s->n > 1 ? choose(s, name) : s->ctx[0];
	if (ctx != SSL_get_SSL_CTX(ssl))
		SSL_set_SSL_CTX(ssl, ctx);
	return SSL_TLSEXT_ERR_OK;
}

static int on_alpn(SSL *ssl, const unsigned char **out, unsigned char *out_n, const unsigned char *in, unsigned n, void *arg)
{
	const struct sd_tls_server *s = tls_io_server(ssl);
	unsigned char *chosen;
	(void)arg;
	if (SSL_select_next_proto(&chosen, out_n, s->alpn, (unsigned)s->alpn_n, in, n) != OPENSSL_NPN_NEGOTIATED)
		return SSL_TLSEXT_ERR_ALERT_FATAL;
	*out = chosen;
	return SSL_TLSEXT_ERR_OK;
}

static int on_ticket_key(SSL *ssl, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac,
			 int encrypt)
{
	int found = tls_ticket_key(tls_io_server(ssl)->keys, tls_io_now_ns(ssl), name, iv, cipher, mac, encrypt);
	/* Clients use a ticket of TLS 1.3 once (RFC 8446 section 8.1): each visit must give the next. */
	return !encrypt && found == 1 && SSL_version(ssl) >= TLS1_3_VERSION ? 2 : found;
}

/* ---- servers ---- */

static enum sd_err ask_clients(const struct loader *l, SSL_CTX *ctx, const struct sd_tls_server_conf *conf,
			       struct sd_error *e)
{
	unsigned char id[SHA256_DIGEST_LENGTH] = {0};
	enum sd_err err = SD_OK;
	if (conf->ask != SD_TLS_ASK_NONE) {
		err = load_trusted(l, ctx, conf->client_ca, true, id, e);
		SSL_CTX_set_verify(ctx, SSL_VERIFY_PEER | (conf->ask == SD_TLS_ASK_REQUIRED ? SSL_VERIFY_FAIL_IF_NO_PEER_CERT : 0),
				   tls_on_verify);
	}
	/* A session that was agreed on under other rules is not taken up again. */
	id[0] ^= (unsigned char)conf->ask;
	SSL_CTX_set_session_id_context(ctx, id, sizeof(id));
	return err;
}

static void set_tickets(SSL_CTX *ctx, bool wanted)
{
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	if (wanted) {
		SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, on_ticket_key);
		SSL_CTX_set_num_tickets(ctx, 1);
	} else {
		SSL_CTX_set_options(ctx, SSL_OP_NO_TICKET);
		SSL_CTX_set_num_tickets(ctx, 0);
	}
}

static enum sd_err add_cert(const struct loader *l, struct sd_tls_server *s, const struct sd_tls_server_conf *conf, size_t i,
			    struct sd_error *e)
{
	SSL_CTX *ctx = ctx_new(true, conf->only_13, e);
	if (!ctx)
		return SD_ENOMEM;
	s->ctx[s->n++] = ctx;
	SSL_CTX_set_tlsext_servername_callback(ctx, on_name);
	if (s->alpn)
		SSL_CTX_set_alpn_select_cb(ctx, on_alpn, NULL);
	set_tickets(ctx, s->keys != NULL);
	enum sd_err err = load_own(l, ctx, conf->certs[i], conf->keys ? conf->keys[i] : NULL, e);
	return err ? err : ask_clients(l, ctx, conf, e);
}

static enum sd_err server_fill(const struct loader *l, struct sd_tls_server *s, const struct sd_tls_server_conf *conf,
			       struct sd_error *e)
{
	if (conf->ask != SD_TLS_ASK_NONE && !conf->client_ca)
		return sd_fail(e, SD_EINVAL, "client certificates are asked for: expected a file with the CAs that sign them");
	for (size_t i = 0; i < conf->ncerts; i++) {
		enum sd_err err = add_cert(l, s, conf, i, e);
		if (err)
			return err;
	}
	return SD_OK;
}

struct sd_tls_server *sd_tls_server_new(struct sd_world *w, const struct sd_tls_server_conf *conf, struct sd_error *e)
{
	struct loader l = {w, conf->warn, conf->warn_arg, NULL};
	struct sd_tls_server *s = calloc(1, sizeof(*s));
	if (s) {
		s->refs = 1;
		s->bio = tls_bio_method();
		s->ctx = calloc(conf->ncerts ? conf->ncerts : 1, sizeof(*s->ctx)); /* NOLINT(bugprone-sizeof-expression) */
		s->keys = tls_keys_hold(conf->keys_of_tickets);
		s->watch = conf->watch;
		s->alpn = conf->alpn ? alpn_wire(conf->alpn, &s->alpn_n) : NULL;
	}
	if (!s || !s->bio || !s->ctx || (conf->alpn && !s->alpn))
		sd_fail(e, SD_ENOMEM, "out of memory");
	else if (server_fill(&l, s, conf, e) == SD_OK)
		return s;
	sd_tls_server_release(s);
	return NULL;
}

struct sd_tls_server *sd_tls_server_hold(struct sd_tls_server *s)
{
	if (s)
		__atomic_add_fetch(&s->refs, 1, __ATOMIC_RELAXED);
	return s;
}

void sd_tls_server_release(struct sd_tls_server *s)
{
	if (!s || __atomic_sub_fetch(&s->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	for (size_t i = 0; i < s->n; i++)
		SSL_CTX_free(s->ctx[i]);
	free(s->ctx);
	free(s->alpn);
	BIO_meth_free(s->bio);
	sd_tls_keys_release(s->keys);
	free(s);
}

/* ---- clients ---- */

static int on_session(SSL *ssl, SSL_SESSION *session)
{
	struct sd_tls_target *t = tls_io_target(ssl);
	if (!t || t->gone)
		return 0;
	/* A copy: OpenSSL spoils its own when the connection ends without close_notify, as many servers end them. */
	SSL_SESSION *copy = SSL_SESSION_dup(session);
	if (!copy)
		return 0;
	SSL_SESSION_free(t->session);
	t->session = copy;
	return 0;
}

static enum sd_err client_fill(const struct loader *l, struct sd_tls_client *c, const struct sd_tls_client_conf *conf,
			       struct sd_error *e)
{
	enum sd_err err = SD_OK;
	const bool wishes[] = {conf->insecure, conf->only_13, conf->ca, conf->cert, conf->alpn};
	add_to_sum(l, wishes, sizeof(wishes));
	if (conf->insecure)
		SSL_CTX_set_verify(c->ctx, SSL_VERIFY_NONE, NULL);
	else
		SSL_CTX_set_verify(c->ctx, SSL_VERIFY_PEER, tls_on_verify);
	if (!conf->insecure)
		err = conf->ca ? load_trusted(l, c->ctx, conf->ca, false, NULL, e) : load_system(l, c->ctx, e);
	if (!err && conf->cert)
		err = load_own(l, c->ctx, conf->cert, conf->key, e);
	if (!err && conf->alpn) {
		size_t n;
		unsigned char *wire = alpn_wire(conf->alpn, &n);
		if (wire)
			add_to_sum(l, wire, n);
		if (!wire || SSL_CTX_set_alpn_protos(c->ctx, wire, (unsigned)n) != 0)
			err = sd_fail(e, SD_ENOMEM, "out of memory");
		free(wire);
	}
	SSL_CTX_set_session_cache_mode(c->ctx, SSL_SESS_CACHE_CLIENT | SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(c->ctx, on_session);
	return err;
}

struct sd_tls_client *sd_tls_client_new(struct sd_world *w, const struct sd_tls_client_conf *conf, struct sd_error *e)
{
	struct sd_tls_client *c = calloc(1, sizeof(*c));
	struct loader l = {w, conf->warn, conf->warn_arg, c ? c->sum : NULL};
	if (c) {
		c->refs = 1;
		c->bio = tls_bio_method();
		c->watch = conf->watch;
		c->insecure = conf->insecure;
	}
	if (!c || !c->bio)
		sd_fail(e, SD_ENOMEM, "out of memory");
	else if ((c->ctx = ctx_new(false, conf->only_13, e)) && client_fill(&l, c, conf, e) == SD_OK)
		return c;
	sd_tls_client_release(c);
	return NULL;
}

struct sd_tls_client *sd_tls_client_hold(struct sd_tls_client *c)
{
	if (c)
		__atomic_add_fetch(&c->refs, 1, __ATOMIC_RELAXED);
	return c;
}

void sd_tls_client_release(struct sd_tls_client *c)
{
	if (!c || __atomic_sub_fetch(&c->refs, 1, __ATOMIC_ACQ_REL) > 0)
		return;
	SSL_CTX_free(c->ctx);
	BIO_meth_free(c->bio);
	free(c);
}

bool sd_tls_client_same(const struct sd_tls_client *a, const struct sd_tls_client *b)
{
	return a->watch == b->watch && memcmp(a->sum, b->sum, sizeof(a->sum)) == 0;
}

struct sd_tls_target *sd_tls_target_new(struct sd_tls_client *c, const char *name)
{
	struct sd_tls_target *t = calloc(1, sizeof(*t));
	uint8_t ip[16];
	bool v6;
	if (!t)
		return NULL;
	t->refs = 1;
	t->client = sd_tls_client_hold(c);
	t->is_ip = sd_ip_parse(sd_slice_of(name), ip, &v6);
	snprintf(t->name, sizeof(t->name), "%s", name);
	return t;
}

void tls_target_release(struct sd_tls_target *t)
{
	if (--t->refs > 0)
		return;
	SSL_SESSION_free(t->session);
	sd_tls_client_release(t->client);
	free(t);
}

void sd_tls_target_free(struct sd_tls_target *t)
{
	if (!t)
		return;
	t->gone = true;
	tls_target_release(t);
}
