/* cache_cli.h - the verbs: a client of this cache, or of another that speaks the protocol of Redis.
 *
 *	cache_cli.c      which server, commands as they are typed, one or many
 *	cache_show.c     replies for people
 *	cache_stats.c    INFO as figures: stats, top, hotkeys
 *	cache_monitor.c  what others ask, as it happens
 */
#ifndef CACHE_CLI_H
#define CACHE_CLI_H

#include "app/applet.h"
#include "app/secret.h"
#include "core/resp_url.h"
#include "net/resp_client.h"

#define CACHE_SERVER_OPTIONS                                                                                              \
	{"server", SD_OPT_STRING, NULL,                                                                                   \
	 "redis://[[USER:]PASSWORD@]HOST[:PORT][/DB]; else SDLAB_CACHE_URL, else this machine", .meta = "URL"},           \
	    {"host", SD_OPT_STRING, NULL, "where it is; else 127.0.0.1, or unix:PATH"},                                   \
	    {"port", SD_OPT_PORT, NULL, "its port; else 7001", .letter = 'p'},                                            \
	    {"db", SD_OPT_INT, NULL, "number of the database; else 0", .letter = 'n', .min = 0, .max = 1000000},          \
	    {"user", SD_OPT_STRING, NULL, "who we are, when it knows more than one"},                                     \
	    {"password-file", SD_OPT_FILE, NULL, "file with the password"},                                               \
	    {"tls", SD_OPT_BOOL, "false", "speak TLS"},                                                                   \
	    {"ca", SD_OPT_FILE, NULL, "TLS: PEM file with the CAs to trust; else those of the system"},                   \
	    {"cert", SD_OPT_FILE, NULL, "TLS: PEM file with a certificate of our own"},                                   \
	    {"key", SD_OPT_FILE, NULL, "TLS: its private key; else in the file of the certificate"},                      \
	    {"insecure", SD_OPT_BOOL, "false", "TLS: whoever answers is believed"},                                       \
	    {"timeout", SD_OPT_DURATION, "10s", "to connect, and for each answer"}

/* A server as the options name it. */
struct cache_cli {
	struct sd_verb_call *call;
	struct sd_resp_target target;
	struct sd_resp_client *conn; /* NULL: not connected */
	struct sd_tls_client *tls;
	char host[SD_TLS_NAME], user[SD_RESP_SECRET], password[SD_SECRET_MAX + 1];
	char shown[SD_ADDR_TEXT]; /* "127.0.0.1:7001" */
};

/* Which server; connects too. Otherwise says why not and returns the exit status, 1 or 2; 0: all is well. */
int cache_cli_begin(struct cache_cli *cli, struct sd_verb_call *call);
int cache_cli_connect(struct cache_cli *cli);
void cache_cli_end(struct cache_cli *cli);
/* One line for what went wrong; returns 1. */
int cache_cli_fail(const struct cache_cli *cli, const char *text);
/* The answer, which is no error; NULL after it was told why there is none. */
const struct sd_resp_value *cache_cli_ask(struct cache_cli *cli, const char *const *words, size_t n);

/* ---- cache_show.c ---- */
/* screen: for a terminal: items numbered, control bytes as \x1b; else each value as it is, one a line. */
void cache_show(FILE *out, const struct sd_resp_value *v, bool screen);
/* Bytes of others on a terminal. */
void cache_show_text(FILE *out, struct sd_slice s, bool screen);

/* ---- cache_stats.c, cache_monitor.c ---- */
int cache_run_stats(struct sd_verb_call *call);
int cache_run_top(struct sd_verb_call *call);
int cache_run_hotkeys(struct sd_verb_call *call);
int cache_run_monitor(struct sd_verb_call *call);

extern const struct sd_verb cache_verbs[];

#endif
