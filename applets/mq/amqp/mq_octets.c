/* mq_octets.c - bytes as RabbitMQ's messages show them. */
#include <stdio.h>

#include "mq_conn_int.h"

static bool is_text(struct sd_slice s)
{
	for (size_t i = 0; i < s.n; i++)
		if (s.p[i] < ' ' || s.p[i] > '~')
			return false;
	return s.n;
}

char *mq_octets(struct sd_slice bytes, bool printable, char *out, size_t n)
{
	bool text = printable && is_text(bytes);
	size_t at = (size_t)snprintf(out, n, text ? "<<\"" : "<<");
	for (size_t i = 0; i < bytes.n && at + 12 < n; i++) {
		unsigned char c = (unsigned char)bytes.p[i];
		if (text)
			at += (size_t)snprintf(out + at, n - at, c == '"' || c == '\\' ? "\\%c" : "%c", c);
		else
			at += (size_t)snprintf(out + at, n - at, i ? ",%u" : "%u", c);
	}
	snprintf(out + at, n - at, text ? "\">>" : ">>");
	return out;
}
