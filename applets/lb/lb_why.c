/* lb_why.c - what a client is told that gets no answer from a backend. */
#include "lb.h"

const struct lb_answer lb_answers[] = {
    [LB_NO_BACKEND] = {503, SD_PROXY_DESTINATION_UNAVAILABLE, "no backend is available"},
    [LB_NONE_LEFT] = {502, SD_PROXY_DESTINATION_UNAVAILABLE, "the backend failed and no other is left"},
    [LB_QUEUE_FULL] = {503, SD_PROXY_CONNECTION_LIMIT_REACHED,
		       "every backend is busy (max-connections) and the queue is full (queue.size)"},
    [LB_QUEUE_TIMEOUT] = {503, SD_PROXY_CONNECTION_LIMIT_REACHED,
			  "waited too long for a backend with a free connection (queue.timeout)"},
    [LB_QUEUE_LEFT] = {503, SD_PROXY_DESTINATION_UNAVAILABLE, "no backend is left"},
    [LB_NO_ROOM] = {503, SD_PROXY_INTERNAL_ERROR, "out of descriptors"},
    [LB_BACKEND_REFUSED] = {502, SD_PROXY_CONNECTION_REFUSED, "the backend refused the connection"},
    [LB_FORWARD_PROXY] = {405, SD_PROXY_HTTP_REQUEST_DENIED,
			  "this is not a forward proxy, so CONNECT (RFC 9110 9.3.6) is not for it"},
    [LB_LAST_HOP] = {200, SD_PROXY_OK, "Max-Forwards is 0, so it goes no further (RFC 9110 7.6.2)"},
    [LB_NO_TRACE] = {501, SD_PROXY_HTTP_REQUEST_DENIED,
		     "Max-Forwards is 0 (RFC 9110 7.6.2), and TRACE is not answered here"},
    [LB_NO_ROUTE] = {404, SD_PROXY_DESTINATION_UNAVAILABLE, "no rule is for this host and path (routes)"},
    [LB_TOO_LARGE] = {413, SD_PROXY_HTTP_REQUEST_DENIED, "the body is larger than is taken here (max-body)"},
    [LB_NO_MEMORY] = {503, SD_PROXY_INTERNAL_ERROR, "out of memory"},
};
