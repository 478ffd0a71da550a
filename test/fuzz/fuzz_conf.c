/* A configuration as text, through the document and the option table. What is accepted must print as YAML
 * that is accepted too and prints as the same text again; JSON must be made of it; nothing may crash or leak.
 * A first byte of 1 to 9 makes that many of the lines that follow words of the command line instead. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/conf.h"

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size);

static const struct sd_option tls[] = {
    {"cert", SD_OPT_FILE, NULL, "certificate", .required = true},
    {"min", SD_OPT_ENUM, "1.2", "lowest version", .choices = "1.2|1.3"},
    {0},
};

static const struct sd_option health[] = {
    {"interval", SD_OPT_DURATION, "5s", "how often", .min = 1000, .max = INT64_MAX},
    {"path", SD_OPT_STRING, "/", "what to ask for"},
    {"tls", SD_OPT_GROUP, .sub = tls},
    {0},
};

static const struct sd_option rules[] = {
    {"match", SD_OPT_STRING, NULL, "what it is for", .required = true},
    {"share", SD_OPT_PERCENT, "100%", "how much of it"},
    {0},
};

static const struct sd_option backend[] = {
    {"address", SD_OPT_ADDRESS, NULL, "where it is", .required = true},
    {"name", SD_OPT_STRING, NULL, "what it is called"},
    {"weight", SD_OPT_INT, "1", "its share", .min = 0, .max = 256},
    {"tags", SD_OPT_LIST, NULL, "labels"},
    {"tls", SD_OPT_GROUP, .sub = tls},
    {"rules", SD_OPT_TABLE, NULL, "rules", .sub = rules, .cli = "rule"},
    {0},
};

static const struct sd_option table[] = {
    {"port", SD_OPT_PORT, "8080", "where to listen", .letter = 'p'},
    {"name", SD_OPT_STRING, NULL, "its name"},
    {"verbose", SD_OPT_BOOL, "false", "say more", .letter = 'v'},
    {"offset", SD_OPT_INT, NULL, "any number"},
    {"factor", SD_OPT_NUMBER, NULL, "a factor"},
    {"share", SD_OPT_PERCENT, NULL, "a share"},
    {"body", SD_OPT_SIZE, NULL, "a size"},
    {"every", SD_OPT_DURATION, NULL, "a duration"},
    {"rate", SD_OPT_RATE, NULL, "a rate"},
    {"upstream", SD_OPT_ADDRESS, NULL, "where to send"},
    {"algorithm", SD_OPT_ENUM, "round-robin", "how to choose", .choices = "round-robin|least|random"},
    {"log", SD_OPT_FILE, NULL, "where to write"},
    {"tags", SD_OPT_LIST, "a,b", "labels"},
    {"peers", SD_OPT_LIST, NULL, "others", .cli = "peer", .pattern = "address"},
    {"health", SD_OPT_GROUP, .sub = health},
    {"tls", SD_OPT_GROUP, .sub = tls},
    {"backends", SD_OPT_TABLE, NULL, "where to send", .sub = backend, .cli = "backend"},
    {"secret", SD_OPT_STRING, NULL, "in no help", .hidden = true},
    {0},
};

static void require(int good, const char *what, const char *text)
{
	if (good)
		return;
	fprintf(stderr, "%s\n%s\n", what, text);
	abort();
}

static bool resolve(void *arg, const char *name, char *out, size_t size)
{
	(void)arg;
	if (strcmp(name, "web") == 0)
		return snprintf(out, size, "inproc:a,:1,[::1]:2") > 0;
	return strcmp(name, "db") == 0 && snprintf(out, size, "inproc:db") > 0;
}

static struct sd_conf *make(const char *text, size_t n, int argc, const char *const *argv, bool names,
			    struct sd_error *e)
{
	struct sd_doc *doc;
	struct sd_conf *conf = NULL;

	if (sd_doc_parse("f.yaml", text, n, &doc, e) != SD_OK)
		return NULL;
	struct sd_conf_sources from = {
	    .applet = "x", .doc = doc, .argc = argc, .argv = argv, .resolve_name = names ? resolve : NULL};
	sd_conf_make(table, NULL, &from, &conf, NULL, NULL, e);
	sd_doc_free(doc);
	return conf;
}

static void check(const struct sd_conf *conf)
{
	struct sd_error e = {SD_OK, ""};
	char *once = sd_conf_print_yaml(conf, false), *origins = sd_conf_print_yaml(conf, true);
	char *json = sd_conf_print_json(conf);

	require(once && origins && json, "cannot print", "");
	struct sd_conf *again = make(once, strlen(once), 0, NULL, false, &e);
	require(again != NULL, e.text, once);
	char *twice = sd_conf_print_yaml(again, false);
	require(strcmp(once, twice) == 0, "differs", once);
	sd_conf_free(again);
	again = make(origins, strlen(origins), 0, NULL, false, &e);
	require(again != NULL, e.text, origins);
	sd_conf_free(again);
	free(once);
	free(twice);
	free(origins);
	free(json);
}

int LLVMFuzzerTestOneInput(const unsigned char *data, size_t size)
{
	struct sd_error e = {SD_OK, ""};
	char *copy = malloc(size + 1), *p = copy;
	const char *argv[9];
	int argc = 0, words = size && data[0] <= 9 ? data[0] : 0;

	if (!copy)
		return 0;
	memcpy(copy, data, size);
	copy[size] = '\0';
	p += words > 0;
	for (; argc < words && strchr(p, '\n'); argc++) {
		argv[argc] = p;
		p = strchr(p, '\n');
		*p++ = '\0';
	}
	struct sd_conf *conf = make(p, (size_t)(copy + size - p), argc, argv, true, &e);
	if (conf)
		check(conf);
	else
		require(e.code != SD_OK && e.text[0] && !strchr(e.text, '\n'), "an error without a line",
			e.text);
	sd_conf_free(conf);
	free(copy);
	return 0;
}
