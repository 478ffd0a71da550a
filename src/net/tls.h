/* tls.h - TLS 1.2 and 1.3 over any struct sd_io, on OpenSSL.
 *
 * A TLS connection is a struct sd_io over another one: a stream on top of it notices nothing. OpenSSL gets its bytes from
 * that lower io, its files, its time and the keys of its tickets from the world, so this runs in the simulated one too; only
 * the chance inside handshakes is OpenSSL's own, so that two runs of one seed differ in those bytes.
 *
 * Contexts are immutable and counted: whoever reloads makes a new one and releases the old; connections keep theirs.
 *
 *	sd_tls_server   certificates chosen by the name the client asks for (exact, then wildcard, then the first), ALPN,
 *	                tickets, client certificates
 *	sd_tls_client   whom to trust, an own certificate
 *	sd_tls_target   a client for one name, of one loop: remembers the last session, so that the next handshake is short
 *
 * Handshakes happen in reads and writes; their deadline is the owner's. An end without close_notify is SD_ETLS and not an
 * end of stream: somebody may have cut it. Renegotiation, compression and early data are off.
 */
#ifndef SD_NET_TLS_H
#define SD_NET_TLS_H

#include "world/loop.h"

struct sd_tls_server;
struct sd_tls_client;
struct sd_tls_target;
struct sd_tls_keys;

#define SD_TLS_NAME 256
#define SD_TLS_TEXT 256

/* Why a handshake failed: one word a counter. Append only. */
#define SD_TLS_REASON_LIST(X)                                                                                \
	X(SD_TLS_EXPIRED, "expired")                                                                         \
	X(SD_TLS_WRONG_NAME, "name")                                                                         \
	X(SD_TLS_UNTRUSTED, "untrusted")                                                                     \
	X(SD_TLS_NO_CERTIFICATE, "no_certificate")                                                           \
	X(SD_TLS_VERSION, "version")                                                                         \
	X(SD_TLS_CIPHER, "cipher")                                                                           \
	X(SD_TLS_ALPN, "alpn")                                                                               \
	X(SD_TLS_NOT_TLS, "not_tls")                                                                         \
	X(SD_TLS_ALERT, "alert")                                                                             \
	X(SD_TLS_CLOSED, "closed")                                                                           \
	X(SD_TLS_OTHER, "other")
enum sd_tls_reason {
#define X(code, text) code,
	SD_TLS_REASON_LIST(X)
#undef X
	    SD_TLS_REASONS
};
const char *sd_tls_reason_text(enum sd_tls_reason r);

/* Counters of any number of connections, from any thread, and who hears of failures. Must outlive them. */
struct sd_tls_watch {
	uint64_t handshakes, resumed, truncated; /* atomic */
	uint64_t failed[SD_TLS_REASONS];
	/* On the connection's thread; text is one line: "TLS: certificate has expired (CN=a.test)". NULL: nobody asks. */
	void (*on_failure)(void *arg, const struct sd_peer *peer, enum sd_tls_reason why, const char *text);
	void *arg;
};

/* What a person is told though it works all the same. */
typedef void sd_tls_warn(void *arg, const char *text);

enum sd_tls_ask { SD_TLS_ASK_NONE, SD_TLS_ASK_OPTIONAL, SD_TLS_ASK_REQUIRED };

struct sd_tls_server_conf {
	size_t ncerts;
	const char *const *certs; /* names of PEM files, the own certificate first, then the chain */
	const char *const *keys;  /* as many; NULL: each key is in the file of its certificate */
	const char *client_ca;    /* PEM file; needed unless ask is NONE */
	enum sd_tls_ask ask;
	bool only_13;             /* TLS 1.3 only; else 1.2 as well */
	struct sd_tls_keys *keys_of_tickets; /* NULL: no tickets */
	const char *const *alpn;  /* most wanted first, ended by NULL; NULL: ALPN is not answered */
	struct sd_tls_watch *watch;          /* or NULL */
	sd_tls_warn *warn;                   /* or NULL */
	void *warn_arg;
};

/* NULL: *e says which file and why. */
struct sd_tls_server *sd_tls_server_new(struct sd_world *w, const struct sd_tls_server_conf *conf, struct sd_error *e);
struct sd_tls_server *sd_tls_server_hold(struct sd_tls_server *s); /* returns it; from any thread */
void sd_tls_server_release(struct sd_tls_server *s);               /* NULL is fine; from any thread */

struct sd_tls_client_conf {
	const char *ca; /* PEM file; NULL: those of the system */
	const char *cert, *key; /* own ones, or NULL; key NULL: in the file of cert */
	bool insecure;  /* whoever answers is believed */
	bool only_13;
	const char *const *alpn;
	struct sd_tls_watch *watch;
	sd_tls_warn *warn;
	void *warn_arg;
};
struct sd_tls_client *sd_tls_client_new(struct sd_world *w, const struct sd_tls_client_conf *conf, struct sd_error *e);
struct sd_tls_client *sd_tls_client_hold(struct sd_tls_client *c);
void sd_tls_client_release(struct sd_tls_client *c);
/* Were they made of the same wishes, and of files that held the same? */
bool sd_tls_client_same(const struct sd_tls_client *a, const struct sd_tls_client *b);

/* name: a host name, or an IP as text; it is asked for (SNI) and checked. NULL: out of memory. */
struct sd_tls_target *sd_tls_target_new(struct sd_tls_client *c, const char *name);
void sd_tls_target_free(struct sd_tls_target *t); /* its connections go on; NULL is fine */

/* The keys of tickets: made in memory, replaced after period_ns; those before stay good for as long again. Counted and safe
 * from any thread; they outlive reloads, so that sessions do. NULL: out of memory. */
struct sd_tls_keys *sd_tls_keys_new(struct sd_world *w, int64_t period_ns);
void sd_tls_keys_release(struct sd_tls_keys *k);
#define SD_TLS_KEYS_PERIOD_NS (6 * 3600 * 1000000000ll)

/* ---- connections ---- */

/* The server's side on a connection that was accepted, the client's on one that may still be connecting. They take the
 * lower io: on failure it is closed and NULL returned. */
struct sd_io *sd_tls_accept(struct sd_tls_server *s, struct sd_io *lower);
struct sd_io *sd_tls_connect(struct sd_tls_target *t, struct sd_io *lower);

struct sd_tls_info {
	const char *version, *cipher; /* "TLSv1.3", "TLS_AES_128_GCM_SHA256" */
	char alpn[32], sni[SD_TLS_NAME];
	bool resumed;
	/* of the peer's certificate; empty when it sent none */
	bool has_cert;
	char subject[SD_TLS_TEXT];
	char common_name[SD_TLS_TEXT]; /* as it stands in the subject; "" when there is none */
	char fingerprint[65]; /* SHA-256, hexadecimal */
};
/* False when io is not TLS, or its handshake is not over. */
bool sd_tls_info(struct sd_io *io, struct sd_tls_info *out);
bool sd_tls_is(const struct sd_io *io);
/* The chain the peer sent, as PEM; the caller frees it. NULL: none, or not TLS. */
char *sd_tls_peer_chain(struct sd_io *io);

/* ---- certificates (tls_cert.c) ---- */

/* PEM texts, to be freed by sd_tls_pair_free. */
struct sd_tls_pair {
	char *cert, *key;
};
void sd_tls_pair_free(struct sd_tls_pair *p);

struct sd_tls_wish {
	const char *common_name;
	const char *const *names; /* host names and IPs, ended by NULL; NULL: a CA */
	int64_t from_s, until_s;  /* since 1970 */
};
/* An EC P-256 key and a certificate, signed by `by`, or by itself when that is NULL. */
enum sd_err sd_tls_make(const struct sd_tls_wish *wish, const struct sd_tls_pair *by, struct sd_tls_pair *out,
			struct sd_error *e);

/* A few lines a certificate of the PEM text: subject, issuer, names, dates, key, fingerprint. The caller frees it. NULL: *e. */
char *sd_tls_describe(const char *pem, size_t n, int64_t now_s, struct sd_error *e);

#endif
