/* addr.h - what a person writes for an address, and what a socket needs. Pure. */
#ifndef SD_CORE_ADDR_H
#define SD_CORE_ADDR_H

#include <stdbool.h>
#include <stdint.h>

#include "sdlab/err.h"
#include "sdlab/slice.h"

enum sd_addr_kind {
	SD_ADDR_NONE,
	SD_ADDR_INET,   /* an IPv4 or IPv6 address and a port */
	SD_ADDR_UNIX,   /* a path */
	SD_ADDR_INPROC, /* a name inside this process */
	SD_ADDR_NAME,   /* a host name and a port: to be resolved first */
};

#define SD_ADDR_TEXT 140

struct sd_addr {
	enum sd_addr_kind kind;
	bool v6;
	uint16_t port;
	uint8_t ip[16]; /* network order; IPv4 in the first four */
	char name[108]; /* path, in-process name or host name */
};

/* An address without the room for names, for the many that are kept: peers of connections. */
struct sd_peer {
	uint8_t ip[16];
	uint16_t port;
	uint8_t kind; /* enum sd_addr_kind */
	bool v6;
	uint8_t door; /* where it came in: the number of the listener at its service, 0 the first */
};

/* "127.0.0.1:80", "[::1]:80", "host:80", ":80" (uses default_host), "unix:PATH", "inproc:NAME". */
enum sd_err sd_addr_parse(const char *text, const char *default_host, struct sd_addr *out, struct sd_error *e);
/* The same written back; always fits. */
const char *sd_addr_format(const struct sd_addr *a, char out[SD_ADDR_TEXT]);
/* Only the IP ("127.0.0.1", "::1"), or "unix", "inproc", or the host name. Returns its length. */
size_t sd_addr_format_host(const struct sd_addr *a, char out[SD_ADDR_TEXT]);
bool sd_addr_equal(const struct sd_addr *a, const struct sd_addr *b);
bool sd_addr_is_loopback(const struct sd_addr *a);

struct sd_peer sd_addr_peer(const struct sd_addr *a);
/* The IP of a peer as text, "unix" or "inproc" for the others; returns the length. */
size_t sd_peer_format(const struct sd_peer *p, char out[46]);

/* Parses a bare IP, v4 or v6 (without brackets). */
bool sd_ip_parse(struct sd_slice text, uint8_t ip[16], bool *v6);

/* A network such as 10.0.0.0/8 or ::1; a bare address is a network of one. */
struct sd_cidr {
	uint8_t ip[16];
	uint8_t bits;
	bool v6;
};
enum sd_err sd_cidr_parse(const char *text, struct sd_cidr *out, struct sd_error *e);
bool sd_cidr_has(const struct sd_cidr *c, const uint8_t ip[16], bool v6);

#endif
