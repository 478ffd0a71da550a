/* tls_hello.h - reads the ClientHello that a TLS connection begins with, without being part of it: which name does the
 * client ask for, so that somebody who has no key can pass the connection on to who has.
 *
 * Pure: bytes in, text out; nothing is allocated. It reads what RFC 8446 section 4.1.2 (and RFC 5246 before it) and RFC
 * 6066 section 3 say, over any number of records. Two programs that read a hello in two ways would be a way past a rule,
 * so what breaks a rule is refused with the reason: lengths that do not fit, a name or a list that is there twice, an
 * empty record, bytes behind the hello in its record, a name that is no host name in letters of ASCII.
 */
#ifndef SD_CORE_TLS_HELLO_H
#define SD_CORE_TLS_HELLO_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define SD_TLS_HELLO_MAX  16384 /* bytes of a hello that is read, with the heads of its records */
#define SD_TLS_HELLO_NAME 254   /* with the NUL */
#define SD_TLS_HELLO_ALPN 256

enum sd_tls_hello_is {
	SD_TLS_HELLO_MORE,    /* so far it is one; there is more to come */
	SD_TLS_HELLO_NAMED,
	SD_TLS_HELLO_NO_NAME, /* the client asks for none */
	SD_TLS_HELLO_NOT_TLS, /* another protocol */
	SD_TLS_HELLO_BAD,
};

struct sd_tls_hello {
	char name[SD_TLS_HELLO_NAME]; /* lower case, no dot at its end; "" unless NAMED */
	uint8_t alpn[SD_TLS_HELLO_ALPN]; /* the protocols that are offered, a length byte before each; what does not fit is left out */
	uint16_t alpn_n;
	const char *why; /* static, for people; after NOT_TLS and BAD */
	/* where it stands */
	uint32_t walked;  /* bytes of whole records */
	uint32_t gathered; /* of these, bytes of the message */
	uint8_t head[4];  /* its first */
};

/* h is all zeros at first. bytes: all that came since the beginning, n at least what it was before. After anything but MORE
 * it is over. Never MORE once n is SD_TLS_HELLO_MAX. */
enum sd_tls_hello_is sd_tls_hello_read(struct sd_tls_hello *h, const void *bytes, size_t n);

/* The i-th protocol that is offered; NULL: there are not so many. */
const uint8_t *sd_tls_hello_protocol(const struct sd_tls_hello *h, size_t i, size_t *n);

#endif
