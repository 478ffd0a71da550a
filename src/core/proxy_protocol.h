/* proxy_protocol.h - the PROXY protocol of HAProxy, versions 1 and 2: who the client is that a balancer in front speaks for.
 *
 * Pure: bytes in, slices out; nothing is allocated. A header is taken whole or not at all, and one that breaks a rule is
 * refused with the reason. What the specification leaves open is refused: a leading zero in a port, a TLV of a known type
 * that comes twice, TLVs that do not fill the length.
 *
 *	v1   "PROXY" SP ("TCP4" | "TCP6") SP from SP to SP from-port SP to-port CRLF, at most 107 bytes;
 *	     "PROXY UNKNOWN" anything CRLF: use the addresses of the connection
 *	v2   12 bytes signature, version and command, family and transport, u16 length of the rest; addresses; TLVs
 *	     (u8 type, u16 length, value), all big-endian. Command LOCAL: use the addresses of the connection
 */
#ifndef SD_CORE_PROXY_PROTOCOL_H
#define SD_CORE_PROXY_PROTOCOL_H

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "core/addr.h"

#define SD_PP_MAX        4096 /* bytes of a header that is taken */
#define SD_PP_MAX_V1     107
#define SD_PP_WRITE_MAX  1024 /* bytes of a header that is written */
#define SD_PP_INCOMPLETE (-2)
#define SD_PP_BAD        (-1)

/* The SSL TLV: how the client's connection to the sender was protected. */
struct sd_pp_ssl {
	bool there;
	uint8_t client;  /* bits: 1 over TLS, 2 certificate on this connection, 4 in this session */
	uint32_t verify; /* 0: the client's certificate was good */
	struct sd_slice version, name, cipher, signature, key;
};

struct sd_pp_header {
	uint8_t version;         /* 1 or 2 */
	bool local;              /* nobody is spoken for: the addresses of the connection count */
	bool checked;            /* its CRC32C was there, and right */
	struct sd_peer from, to; /* kind NONE when not said */
	struct sd_slice from_path, to_path; /* UNIX sockets */
	struct sd_slice alpn, authority, unique_id, netns;
	struct sd_pp_ssl ssl;
	/* after a refusal */
	const char *why; /* static, for people */
	bool foreign;    /* what came does not begin as a header does: another protocol */
};

/* Returns the length of the header and fills *out, whose slices point into bytes; or SD_PP_INCOMPLETE; or SD_PP_BAD after
 * filling why and foreign. */
ssize_t sd_pp_parse(const void *bytes, size_t n, struct sd_pp_header *out);
/* When n bytes are incomplete: how many more surely belong to the header, at least 1, so that nobody need read beyond it.
 * At most SD_PP_MAX - n. */
size_t sd_pp_need(const void *bytes, size_t n);

/* Writes a header that speaks for a client; returns its length. An IPv4 address beside an IPv6 one is written mapped;
 * where `from` is no IP, UNKNOWN (v1) or UNSPEC (v2) says that there is none. v2 ends with a CRC32C. */
size_t sd_pp_write(char out[SD_PP_WRITE_MAX], int version, const struct sd_peer *from, const struct sd_peer *to);
/* The same, and in v2 what is known of the client's connection; what is empty, or longer than 255 bytes, is left out. */
struct sd_pp_extra {
	struct sd_slice alpn, authority; /* the protocol that was agreed on, the name that was asked for (SNI) */
	struct sd_pp_ssl ssl;
};
size_t sd_pp_write_with(char out[SD_PP_WRITE_MAX], int version, const struct sd_peer *from, const struct sd_peer *to,
			const struct sd_pp_extra *extra);
/* One that speaks for nobody: LOCAL, or UNKNOWN in v1. For health checks. */
size_t sd_pp_write_local(char out[SD_PP_WRITE_MAX], int version);

#endif
