/* sh_http.c - the way of a request: redirected at once, or handed to the API. */
#include "sh_http.h"

static void on_request(struct sd_http_exchange *x, const struct sd_http_head *head)
{
	(void)head;
	sd_http_respond_text(x, 404, "no such link\n");
}

const struct sd_http_handler sh_http_handler = {.request = on_request};
