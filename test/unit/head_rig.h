/* head_rig.h - a request head made of lines, for what looks at fields. */
#ifndef SDLAB_TEST_HEAD_RIG_H
#define SDLAB_TEST_HEAD_RIG_H

#include <check.h>
#include <stdio.h>
#include <string.h>

#include "sdlab/http1.h"

/* fields: lines with CRLF, or "". Valid until the next call. */
static inline const struct sd_http_head *head_of(const char *method, const char *fields)
{
	static char text[4096];
	static struct sd_http_head head;
	int n = snprintf(text, sizeof text, "%s /x HTTP/1.1\r\nHost: h\r\n%s\r\n", method, fields);
	ck_assert_int_lt(n, (int)sizeof text);
	ck_assert_msg(sd_http_parse_request(text, (size_t)n, 0, NULL, &head) == n, "%s", fields);
	return &head;
}

#endif
