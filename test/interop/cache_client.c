/* Ordinary use of a cache with hiredis: cache_client PORT. Says READY, then LOST when the server is gone and BACK when it
 * answers again. */
#include <hiredis/hiredis.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define HOLDS(condition)                                                                                     \
	do {                                                                                                 \
		if (!(condition)) {                                                                          \
			fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                              \
			exit(1);                                                                             \
		}                                                                                            \
	} while (0)

static redisReply *ask(redisContext *c, const char *format, const char *a)
{
	redisReply *r = redisCommand(c, format, a);
	if (!r)
		fprintf(stderr, "%s: %s\n", format, c->errstr);
	HOLDS(r);
	return r;
}

static void said(redisContext *c, const char *format, const char *a, int type, const char *text, long long number)
{
	redisReply *r = ask(c, format, a);
	if (r->type != type || (text && strcmp(r->str, text) != 0) || (!text && r->integer != number)) {
		fprintf(stderr, "%s: type %d, %s, %lld\n", format, r->type, r->str ? r->str : "", r->integer);
		exit(1);
	}
	freeReplyObject(r);
}

static void use(redisContext *c)
{
	char *big = malloc(3000001);
	redisReply *r;
	said(c, "FLUSHALL", NULL, REDIS_REPLY_STATUS, "OK", 0);
	said(c, "SET s %s", "two words", REDIS_REPLY_STATUS, "OK", 0);
	said(c, "GET s", NULL, REDIS_REPLY_STRING, "two words", 0);
	said(c, "GET nothing", NULL, REDIS_REPLY_NIL, NULL, 0);
	said(c, "RPUSH l a b c", NULL, REDIS_REPLY_INTEGER, NULL, 3);
	said(c, "INCR s", NULL, REDIS_REPLY_ERROR, "ERR value is not an integer or out of range", 0);
	memset(big, 'x', 3000000);
	big[3000000] = '\0';
	said(c, "SET big %s", big, REDIS_REPLY_STATUS, "OK", 0);
	said(c, "GET big", NULL, REDIS_REPLY_STRING, big, 0);
	r = ask(c, "LRANGE l 0 -1", NULL);
	HOLDS(r->type == REDIS_REPLY_ARRAY && r->elements == 3 && strcmp(r->element[2]->str, "c") == 0);
	freeReplyObject(r);
	for (int i = 0; i < 10000; i++)
		HOLDS(redisAppendCommand(c, "INCR n") == REDIS_OK);
	for (int i = 0; i < 10000; i++) {
		HOLDS(redisGetReply(c, (void **)&r) == REDIS_OK && r->integer == i + 1);
		freeReplyObject(r);
	}
	said(c, "ZADD z 2.5 a", NULL, REDIS_REPLY_INTEGER, NULL, 1);
	said(c, "ZSCORE z a", NULL, REDIS_REPLY_STRING, "2.5", 0);
	free(big);
}

int main(int argc, char **argv)
{
	HOLDS(argc == 2);
	int port = (int)strtol(argv[1], NULL, 10);
	redisContext *c = redisConnect("127.0.0.1", port);
	HOLDS(c && !c->err);
	use(c);
	puts("READY");
	fflush(stdout);
	void *r;
	while ((r = redisCommand(c, "PING")))
		freeReplyObject(r);
	HOLDS(c->err == REDIS_ERR_EOF || c->err == REDIS_ERR_IO);
	puts("LOST");
	fflush(stdout);
	/* also one that is reset while it starts */
	for (r = NULL; !r; r = c->err ? NULL : redisCommand(c, "PING")) {
		redisFree(c);
		c = redisConnect("127.0.0.1", port);
		HOLDS(c);
	}
	freeReplyObject(r);
	said(c, "SET back 1", NULL, REDIS_REPLY_STATUS, "OK", 0);
	puts("BACK");
	redisFree(c);
	return 0;
}
