/* ratelimit_api.h - a question over HTTP, from its body to its answer. */
#ifndef RATELIMIT_API_H
#define RATELIMIT_API_H

#include <cjson/cJSON.h>

#include "ratelimit_ask.h"

struct rl_api_call;
/* What a question becomes. It ends with rl_api_answer or rl_api_refuse, at once or later. */
typedef void rl_api_fn(struct rl_api_call *c, const cJSON *body);

struct rl_api_call {
	struct rl_worker *w;
	struct sd_http_exchange *x;
	rl_api_fn *fn;
	struct sd_text body;
	cJSON *tree;                /* of it; texts of a question may point into it until the call ends */
	struct rl_asked *asked;     /* of what asks one thing */
	void *state;                /* of what asks several */
	void (*gone)(void *state);  /* nobody waits for it any more */
};

/* An answer from where there is no call. */
void rl_api_json(struct sd_http_exchange *x, int status, cJSON *tree);
/* These end the call. */
void rl_api_answer(struct rl_api_call *c, int status, cJSON *tree);
void rl_api_refuse(struct rl_api_call *c, int status, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

/* A number that may be written as a number or as text, as int64 is in JSON of protocol buffers. False: it is neither. */
bool rl_json_int(const cJSON *object, const char *name, int64_t def, int64_t *out);
const char *rl_json_text(const cJSON *object, const char *name); /* NULL: it is none */
/* NULL, or what was expected. */
const char *rl_api_read(const struct sd_limits *policy, int64_t now_ns, const cJSON *body, struct rl_question *q);

/* ratelimit_foreign.c */
void rl_api_envoy(struct rl_api_call *c, const cJSON *body);
void rl_api_gubernator(struct rl_api_call *c, const cJSON *body);

#endif
