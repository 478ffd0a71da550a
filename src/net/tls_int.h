/* tls_int.h - what the files of TLS share. */
#ifndef SD_NET_TLS_INT_H
#define SD_NET_TLS_INT_H

#include <openssl/ssl.h>

#include "tls.h"

struct sd_tls_server {
	uint32_t refs; /* atomic */
	size_t n;
	SSL_CTX **ctx; /* one a certificate; the first is where connections begin */
	BIO_METHOD *bio;
	struct sd_tls_keys *keys;
	struct sd_tls_watch *watch;
	unsigned char *alpn; /* as on the wire */
	size_t alpn_n;
};

struct sd_tls_client {
	uint32_t refs; /* atomic */
	SSL_CTX *ctx;
	BIO_METHOD *bio;
	struct sd_tls_watch *watch;
	bool insecure;
	unsigned char sum[32]; /* of all that it was made of */
};

struct sd_tls_target {
	uint32_t refs; /* of one loop: its owner's and its connections' */
	struct sd_tls_client *client;
	SSL_SESSION *session; /* the last one that may be taken up again */
	bool gone;            /* the owner is; nothing is remembered any more */
	bool is_ip;
	char name[SD_TLS_NAME];
};

/* ---- tls_keys.c ---- */
struct sd_tls_keys *tls_keys_hold(struct sd_tls_keys *k);
/* For SSL_CTX_set_tlsext_ticket_key_evp_cb, once the time is known. */
int tls_ticket_key(struct sd_tls_keys *k, int64_t now_ns, unsigned char name[16], unsigned char *iv, EVP_CIPHER_CTX *cipher,
		   EVP_MAC_CTX *mac, int encrypt);

/* ---- tls_ctx.c ---- */
void tls_target_release(struct sd_tls_target *t);

/* ---- tls_io.c ---- */
BIO_METHOD *tls_bio_method(void);
int64_t tls_io_now_ns(SSL *ssl);
struct sd_tls_server *tls_io_server(SSL *ssl);
struct sd_tls_target *tls_io_target(SSL *ssl);
/* For SSL_CTX_set_verify: changes nothing, remembers whose certificate was not accepted, for tls_io_refused. */
int tls_on_verify(int good, X509_STORE_CTX *store);
const char *tls_io_refused(SSL *ssl);

/* ---- tls_error.c ---- */
/* What the failed handshake of ssl died of, as a line without "TLS: ", and its class. peer_sent: the lower io ended. */
enum sd_tls_reason tls_explain(SSL *ssl, bool ended, char out[SD_TLS_TEXT]);
/* "CN=a.test", or the first of its names, or the whole subject. */
void tls_subject(X509 *cert, char *out, size_t n);
/* A copy that ends in a NUL, of bytes that need not (a memory BIO's), which strndup could read beyond. NULL: out of memory. */
char *tls_text(const char *p, size_t n);
/* The text of OpenSSL's first error, for lines about files. */
const char *tls_first_error(char out[SD_TLS_TEXT]);

#endif
