/* resp_cli.h - a client verb that sends commands to a server which speaks the protocol of Redis, as they are typed: one as operands, or many from
 * standard input, with a prompt at a terminal. What is special to one applet's servers it hands in.
 */
#ifndef SD_APP_RESP_CLI_H
#define SD_APP_RESP_CLI_H

#include "applet.h"
#include "core/resp_url.h"
#include "net/resp_client.h"
#include "secret.h"

/* Rows of the option table: which server. Both are texts in quotes: "SDLAB_CACHE_URL", "7001". */
#define SD_RESP_CLI_OPTIONS(variable, usual_port)                                                                     \
	{"server", SD_OPT_STRING, NULL,                                                                               \
	 "redis://[[USER:]PASSWORD@]HOST[:PORT][/DB]; else " variable ", else this machine", .meta = "URL"},          \
	    {"host", SD_OPT_STRING, NULL, "where it is; else 127.0.0.1, or unix:PATH"},                               \
	    {"port", SD_OPT_PORT, NULL, "its port; else " usual_port, .letter = 'p'},                                 \
	    {"db", SD_OPT_INT, NULL, "number of the database; else 0", .letter = 'n', .min = 0, .max = 1000000},      \
	    {"user", SD_OPT_STRING, NULL, "who we are, when it knows more than one"},                                 \
	    {"password-file", SD_OPT_FILE, NULL, "file with the password"},                                           \
	    {"tls", SD_OPT_BOOL, "false", "speak TLS"},                                                               \
	    {"ca", SD_OPT_FILE, NULL, "TLS: PEM file with the CAs to trust; else those of the system"},               \
	    {"cert", SD_OPT_FILE, NULL, "TLS: PEM file with a certificate of our own"},                               \
	    {"key", SD_OPT_FILE, NULL, "TLS: its private key; else in the file of the certificate"},                  \
	    {"insecure", SD_OPT_BOOL, "false", "TLS: whoever answers is believed"},                                   \
	    {"timeout", SD_OPT_DURATION, "10s", "to connect, and for each answer"}

#define SD_RESP_CLI_TTL {"ttl", SD_OPT_STRING, NULL, "SET: how long the value stays: seconds such as 3600, or a duration such as 90s", .meta = "TIME"}

#define SD_RESP_CLI_MORE 4 /* words that `more` may add */

struct sd_resp_cli;

struct sd_resp_cli_kind {
	const char *applet;   /* "cache": what error lines begin with */
	const char *what;     /* "cache": "no cache at 127.0.0.1:7001: connection refused" */
	const char *variable; /* of the environment, with the URL */
	uint16_t port;
	/* Adds words to a command out of the operands; false: it was told why not. NULL: none. */
	bool (*more)(struct sd_resp_cli *cli, struct sd_slice *argv, size_t *argc);
	/* Runs a command that is shown in a way of its own, and sets *done; or does nothing, and it is sent and shown as any. NULL: none. */
	enum sd_err (*special)(struct sd_resp_cli *cli, size_t argc, const struct sd_slice *argv, bool *done, int *status,
			       struct sd_error *e);
};

/* A server as the options name it. */
struct sd_resp_cli {
	const struct sd_resp_cli_kind *kind;
	struct sd_verb_call *call;
	struct sd_resp_target target;
	struct sd_resp_client *conn; /* NULL: not connected */
	struct sd_tls_client *tls;
	bool screen;  /* standard output is a terminal */
	bool prompts; /* a person types the commands */
	char host[SD_TLS_NAME], user[SD_RESP_SECRET], password[SD_SECRET_MAX + 1];
	char shown[SD_ADDR_TEXT]; /* "127.0.0.1:7001" */
	char spare[24];		  /* for a word of `more` */
};

/* The whole verb: the exit status. */
int sd_resp_cli_run(const struct sd_resp_cli_kind *kind, struct sd_verb_call *call);

/* Which server; connects too. Otherwise says why not and returns the exit status, 1 or 2; 0: all is well. */
int sd_resp_cli_begin(struct sd_resp_cli *cli, const struct sd_resp_cli_kind *kind, struct sd_verb_call *call);
int sd_resp_cli_connect(struct sd_resp_cli *cli);
void sd_resp_cli_end(struct sd_resp_cli *cli);
/* One line for what went wrong; returns 1. */
int sd_resp_cli_fail(const struct sd_resp_cli *cli, const char *text);
/* The answer, which is no error; NULL after it was told why there is none. */
const struct sd_resp_value *sd_resp_cli_ask(struct sd_resp_cli *cli, const char *const *words, size_t n);
/* Shows an answer; an error goes to standard error and makes *status 1. */
void sd_resp_cli_answer(struct sd_resp_cli *cli, const struct sd_resp_value *v, int *status);

/* A `more`: the option "ttl" of the verb (3600, 90s) becomes the end of what SET stores. */
bool sd_resp_cli_ttl(struct sd_resp_cli *cli, struct sd_slice *argv, size_t *argc);

/* ---- resp_show.c ---- */
/* screen: for a terminal: items numbered, control bytes as \x1b; else each value as it is, one a line. */
void sd_resp_show(FILE *out, const struct sd_resp_value *v, bool screen);
/* Bytes of others on a terminal. */
void sd_resp_show_text(FILE *out, struct sd_slice s, bool screen);

#endif
