#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/dispatch.h"
#include "world/world.h"

/* ---- applets that are none ---- */

struct sd_service {
	int unused;
};

static const struct sd_service fake_service;

static const struct sd_option health[] = {
    {"interval", SD_OPT_DURATION, "5s", "between two checks", .min = 1000000, .max = 3600000000000,
     .reload = true},
    {0},
};

static const struct sd_option backend_rows[] = {
    {"address", SD_OPT_ADDRESS, NULL, "where it listens", .required = true},
    {"weight", SD_OPT_INT, "1", "its share", .min = 0, .max = 256},
    {0},
};

static const struct sd_option lb_options[] = {
    {"port", SD_OPT_PORT, "8080", "where to listen", .letter = 'p'},
    {"algorithm", SD_OPT_ENUM, "round-robin", "how a backend is chosen",
     .choices = "round-robin|least|random"},
    {"cert", SD_OPT_FILE, NULL, "certificate"},
    {"keep", SD_OPT_BOOL, "true", "keep connections"},
    {"health", SD_OPT_GROUP, .sub = health},
    {"backends", SD_OPT_TABLE, NULL, "where to send", .sub = backend_rows, .cli = "backend"},
    {"secret", SD_OPT_STRING, NULL, "hidden", .hidden = true},
    {0},
};

static const struct sd_option get_options[] = {
    {"json", SD_OPT_BOOL, NULL, "print JSON"},
    {"server", SD_OPT_STRING, "http://127.0.0.1:8080", "http://HOST to ask", .meta = "URL"},
    {0},
};

static const struct sd_option load_options[] = {
    {"number", SD_OPT_INT, "100", "requests in all", .letter = 'n', .min = 1, .max = INT64_MAX},
    {0},
};

static const struct sd_option up_options[] = {
    {"file", SD_OPT_FILE, NULL, "the stack", .required = true},
    {"isolate", SD_OPT_BOOL, "false", "a process each"},
    {0},
};

static const struct sd_option common_options[] = {
    {"threads", SD_OPT_INT, "1", "worker threads", .min = 1, .max = 64},
    {"cert", SD_OPT_STRING, NULL, "hidden by that of lb"},
    {0},
};

static int run_verb(struct sd_verb_call *call)
{
	fprintf(call->out, "%s:", call->applet->name);
	for (int i = 0; i < call->nargs; i++)
		fprintf(call->out, " %s", call->args[i]);
	fputc('\n', call->out);
	return 7;
}

static int run_load(struct sd_verb_call *call)
{
	fprintf(call->out, "load %lld %s\n", (long long)sd_conf_int(call->conf, "number"), call->args[0]);
	return 0;
}

static const struct sd_verb lb_verbs[] = {
    {"status", "", "print what is up", get_options, 0, 0, run_verb, false},
    {"weight", "NAME N", "change a weight", NULL, 2, 2, run_verb, false},
    {"debug", "", "not for everybody", NULL, 0, -1, run_verb, true},
    {NULL, NULL, NULL, NULL, 0, 0, NULL, false},
};

static const struct sd_verb cache_verbs[] = {
    {"get", "KEY", "print a value", get_options, 1, 1, run_verb, false},
    {"set", "KEY VALUE...", "store a value", NULL, 2, -1, run_verb, false},
    {NULL, NULL, NULL, NULL, 0, 0, NULL, false},
};

static const struct sd_verb load_verbs[] = {
    {"", "URL", "make load", load_options, 1, 1, run_load, false},
    {"compare", "FILE FILE", "compare two results", NULL, 2, 2, run_verb, false},
    {NULL, NULL, NULL, NULL, 0, 0, NULL, false},
};

static const struct sd_alias lb_aliases[] = {{"loadbalancer", NULL}, {NULL, NULL}};
static const struct sd_alias cache_aliases[] = {{"cache-cli", "*"}, {"cache-get", "get"}, {NULL, NULL}};

static enum sd_err check_lb(const struct sd_conf *conf, struct sd_error *e)
{
	if (sd_conf_int(conf, "port") == 666)
		return sd_fail(e, SD_EINVAL, "%s: not this port", sd_conf_origin(conf, "port"));
	return SD_OK;
}

static enum sd_err check_stack(struct sd_world *world, const struct sd_doc *doc, struct sd_error *e)
{
	(void)world;
	if (!sd_node_get(doc->root, "services"))
		return sd_node_fail(doc, doc->root, e, "expected services");
	return SD_OK;
}

static const struct sd_applet cache = {
    .name = "cache",
    .summary = "a cache",
    .aliases = cache_aliases,
    .verbs = cache_verbs,
};
static const struct sd_applet lb = {
    .name = "lb",
    .summary = "a load balancer",
    .description = "Spreads connections over backends.\n\nMore of it.",
    .examples = "sdlab lb --backend :8081",
    .aliases = lb_aliases,
    .options = lb_options,
    .service = &fake_service,
    .verbs = lb_verbs,
    .check = check_lb,
};
static const struct sd_applet load = {
    .name = "load",
    .summary = "a load generator",
    .verbs = load_verbs,
};
static const struct sd_applet up = {
    .name = "up",
    .summary = "a stack from one file",
    .options = up_options,
    .service = &fake_service,
    .check_file = check_stack,
};
static const struct sd_applet *const fake_applets[] = {&cache, &lb, &load, &up, NULL};

/* ---- calling ---- */

static struct {
	struct sd_world *world;
	char dir[64];
	char *out, *err;
	size_t out_n, err_n;
	int status;
	bool colour;
	const char *const *environ;
} t;

static int serve(struct sd_dispatch *d, const struct sd_applet *applet, const struct sd_conf *conf,
		 struct sd_conf_loader *loader)
{
	struct sd_conf *again;
	struct sd_error e;

	fprintf(d->out, "serve %s", applet->name);
	if (applet == &lb)
		fprintf(d->out, " %lld %lld %zu", (long long)sd_conf_int(conf, "port"),
			(long long)sd_conf_int(conf, "threads"), sd_conf_count(conf, "backends"));
	else
		fprintf(d->out, " %s", sd_conf_string(conf, "file"));
	fprintf(d->out, " %s\n", loader->file ? loader->file : "-");
	ck_assert_int_eq(loader->load(loader, &again, &e), SD_OK);
	ck_assert_ptr_ne(again, conf);
	char *a = sd_conf_print_yaml(conf, false), *b = sd_conf_print_yaml(again, false);
	ck_assert_str_eq(a, b);
	free(a);
	free(b);
	sd_conf_free(again);
	return 3;
}

static void setup(void)
{
	snprintf(t.dir, sizeof t.dir, "/tmp/sdlab-test-XXXXXX");
	ck_assert_ptr_nonnull(mkdtemp(t.dir));
	t.world = sd_world_real();
	t.colour = false;
	t.environ = NULL;
}

static void teardown(void)
{
	char command[128];

	free(t.out);
	free(t.err);
	t.out = t.err = NULL;
	sd_world_free(t.world);
	snprintf(command, sizeof command, "rm -rf '%s'", t.dir);
	ck_assert_int_eq(system(command), 0);
}

static void call(const char *const *argv)
{
	struct sd_dispatch d = {
	    .world = t.world,
	    .applets = fake_applets,
	    .common = common_options,
	    .environ = t.environ,
	    .colour = t.colour,
	    .serve = serve,
	};
	int argc = 0;

	free(t.out);
	free(t.err);
	t.out = t.err = NULL;
	d.out = open_memstream(&t.out, &t.out_n);
	d.err = open_memstream(&t.err, &t.err_n);
	while (argv[argc])
		argc++;
	t.status = sd_dispatch_main(&d, argc, argv);
	fclose(d.out);
	fclose(d.err);
}

#define CALL(...)  call((const char *const[]){__VA_ARGS__, NULL})
#define SDLAB(...) CALL("/usr/bin/sdlab", __VA_ARGS__)

static void expect(int status, const char *out, const char *err)
{
	ck_assert_str_eq(t.err, err);
	ck_assert_str_eq(t.out, out);
	ck_assert_int_eq(t.status, status);
}

static const char *file(const char *name, const char *text)
{
	static char path[128];

	snprintf(path, sizeof path, "%s/%s", t.dir, name);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fputs(text, f);
	fclose(f);
	return path;
}

/* ---- the program's own words ---- */

START_TEST(alone)
{
	CALL("sdlab");
	ck_assert_int_eq(t.status, 0);
	ck_assert_ptr_nonnull(strstr(t.out, "usage: sdlab NAME [serve] [options]"));
	ck_assert_ptr_nonnull(strstr(t.out, "\n  lb     a load balancer\n"));
	char *once = strdup(t.out);
	SDLAB("--help");
	ck_assert_str_eq(t.out, once);
	SDLAB("help");
	ck_assert_str_eq(t.out, once);
	free(once);
	call((const char *const[]){NULL});
	ck_assert_int_eq(t.status, 0);
}
END_TEST

START_TEST(list)
{
	SDLAB("list");
	expect(0,
	       "  cache  a cache\n  lb     a load balancer\n  load   a load generator\n  up     a stack from "
	       "one file\n",
	       "");
	SDLAB("--list");
	ck_assert_int_eq(t.status, 0);
	SDLAB("list", "--names");
	expect(0, "cache\ncache-cli\ncache-get\nlb\nloadbalancer\nload\nup\n", "");
	SDLAB("list", "--json");
	ck_assert_int_eq(t.status, 0);
	ck_assert_ptr_nonnull(strstr(t.out, "\"aliases\":\t[\"cache-cli\", \"cache-get\"]"));
	ck_assert_ptr_nonnull(strstr(t.out, "\"service\":\ttrue"));
	ck_assert_ptr_null(strstr(t.out, "debug"));
	SDLAB("list", "--all");
	expect(2, "", "sdlab list: expected --names, --json or nothing, found \"--all\"\n");
}
END_TEST

START_TEST(version)
{
	SDLAB("version");
	expect(0, "sdlab 0.1.0\n", "");
	SDLAB("--version");
	expect(0, "sdlab 0.1.0\n", "");
	SDLAB("version", "--short");
	expect(0, "0.1.0\n", "");
	SDLAB("version", "x");
	expect(2, "", "sdlab version: expected --short or nothing, found \"x\"\n");
}
END_TEST

START_TEST(unknown)
{
	SDLAB("lbb");
	expect(127, "", "sdlab: no applet called \"lbb\"; did you mean lb? (sdlab list shows all)\n");
	SDLAB("loadbalancr");
	expect(
	    127, "",
	    "sdlab: no applet called \"loadbalancr\"; did you mean loadbalancer? (sdlab list shows all)\n");
	SDLAB("lsit");
	expect(127, "", "sdlab: no applet called \"lsit\"; did you mean list? (sdlab list shows all)\n");
	SDLAB("postgres");
	expect(127, "", "sdlab: no applet called \"postgres\" (sdlab list shows all)\n");
	SDLAB("help", "lbb");
	expect(127, "", "sdlab: no applet called \"lbb\"; did you mean lb? (sdlab list shows all)\n");
	SDLAB("--lsit");
	expect(2, "", "sdlab: unknown option --lsit; did you mean --list?\n");
	SDLAB("-x");
	expect(2, "", "sdlab: unknown option -x\n");
}
END_TEST

/* ---- services ---- */

START_TEST(service)
{
	SDLAB("lb");
	expect(3, "serve lb 8080 1 0 -\n", "");
	SDLAB("lb", "serve", "--port", "81");
	expect(3, "serve lb 81 1 0 -\n", "");
	SDLAB("lb", "-p", "81", "--threads=4", "--backend", ":1", "--backend=:2");
	expect(3, "serve lb 81 4 2 -\n", "");
	CALL("/usr/bin/lb", "--port=82");
	expect(3, "serve lb 82 1 0 -\n", "");
	CALL("./loadbalancer", "serve");
	expect(3, "serve lb 8080 1 0 -\n", "");
	SDLAB("loadbalancer");
	expect(3, "serve lb 8080 1 0 -\n", "");
	t.environ = (const char *const[]){"SDLAB_LB_PORT=83", NULL};
	SDLAB("lb");
	expect(3, "serve lb 83 1 0 -\n", "");
}
END_TEST

START_TEST(service_errors)
{
	SDLAB("lb", "--prot=1");
	expect(2, "", "sdlab lb: unknown option --prot; did you mean --port?\n");
	SDLAB("lb", "--confg", "x");
	expect(2, "", "sdlab lb: unknown option --confg; did you mean --config?\n");
	SDLAB("lb", "--port", "x");
	expect(2, "", "sdlab lb: --port: expected a port from 0 to 65535, found \"x\"\n");
	SDLAB("lb", "serve", "x");
	expect(2, "", "sdlab lb: unexpected argument \"x\"\n");
	SDLAB("lb", "statsu");
	expect(2, "",
	       "sdlab lb: no verb called \"statsu\"; did you mean status? (sdlab lb --help shows all)\n");
	SDLAB("lb", "zzz");
	expect(2, "", "sdlab lb: no verb called \"zzz\" (sdlab lb --help shows all)\n");
	SDLAB("lb", "--config");
	expect(2, "", "sdlab lb: --config: expected the name of a file, found nothing\n");
	SDLAB("lb", "--check-config=yes");
	expect(2, "", "sdlab lb: --check-config: expected no value, found \"yes\"\n");
	SDLAB("lb", "--config", "/nowhere/lb.yaml");
	expect(1, "", "sdlab lb: cannot open /nowhere/lb.yaml: No such file or directory\n");
	SDLAB("lb", "--port=666");
	expect(1, "", "sdlab lb: --port: not this port\n");
	t.environ = (const char *const[]){"SDLAB_LB_PORT=x", NULL};
	SDLAB("lb");
	expect(1, "", "sdlab lb: SDLAB_LB_PORT: expected a port from 0 to 65535, found \"x\"\n");
}
END_TEST

START_TEST(config)
{
	const char *path = file("lb.yaml", "port: 90\nbackends: [':1', ':2', ':3']\n");
	char line[256], env[256];

	snprintf(line, sizeof line, "serve lb 90 1 3 %s\n", path);
	SDLAB("lb", "--config", path);
	expect(3, line, "");
	SDLAB("lb", "-c", path);
	expect(3, line, "");
	snprintf(env, sizeof env, "SDLAB_LB_CONFIG=%s", path);
	t.environ = (const char *const[]){env, NULL};
	SDLAB("lb");
	expect(3, line, "");
	t.environ = NULL;
	snprintf(env, sizeof env, "--config=%s", path);
	snprintf(line, sizeof line, "serve lb 91 1 1 %s\n", path);
	SDLAB("lb", "--port=91", env, "--backend=:9");
	expect(3, line, "");
	/* As the value of another option it is a word like any other. */
	SDLAB("lb", "--secret", "--config");
	expect(3, "serve lb 8080 1 0 -\n", "");
}
END_TEST

START_TEST(check_config)
{
	char line[256];
	const char *path = file("lb.yaml", "port: 90\n");

	snprintf(line, sizeof line, "%s: ok\n", path);
	SDLAB("lb", "--config", path, "--check-config");
	expect(0, line, "");
	SDLAB("lb", "--check-config");
	expect(0, "sdlab lb: ok\n", "");
	SDLAB("lb", "--check-config", "--port=x");
	expect(2, "", "sdlab lb: --port: expected a port from 0 to 65535, found \"x\"\n");
	file("lb.yaml", "port: 90\nhealth:\n  interval: soon\n");
	snprintf(
	    line, sizeof line,
	    "sdlab lb: %s:3:13: interval: expected a duration such as 5s from 1ms to 1h, found \"soon\"\n",
	    path);
	SDLAB("lb", "--config", path, "--check-config");
	expect(1, "", line);
	file("lb.yaml", "port: 666\n");
	snprintf(line, sizeof line, "sdlab lb: %s:1:7: not this port\n", path);
	SDLAB("lb", "--config", path, "--check-config");
	expect(1, "", line);
}
END_TEST

START_TEST(print_config)
{
	SDLAB("lb", "--print-config", "--port=1", "--backend=:1");
	expect(0,
	       "port: 1  # --port\n"
	       "algorithm: round-robin  # default\n"
	       "cert: null  # not set\n"
	       "keep: true  # default\n"
	       "health:\n"
	       "  interval: 5s  # default\n"
	       "backends:  # --backend\n"
	       "  - address: \":1\"  # --backend\n"
	       "    weight: 1  # default\n"
	       "threads: 1  # default\n",
	       "");
}
END_TEST

START_TEST(file_of_its_own)
{
	char line[256], env[256];
	const char *path = file("stack.yaml", "services: {}\n");

	snprintf(line, sizeof line, "serve up %s -\n", path);
	SDLAB("up", path);
	expect(3, line, "");
	SDLAB("up", "--isolate", "--", path);
	expect(3, line, "");
	SDLAB("up", "--file", path);
	expect(3, line, "");
	snprintf(line, sizeof line, "serve up %s %s\n", path, path);
	SDLAB("up", "--config", path);
	expect(3, line, "");
	snprintf(env, sizeof env, "SDLAB_UP_CONFIG=%s", path);
	t.environ = (const char *const[]){env, NULL};
	SDLAB("up");
	expect(3, line, "");
	t.environ = NULL;
	snprintf(line, sizeof line, "%s: ok\n", path);
	SDLAB("up", path, "--check-config");
	expect(0, line, "");
	file("stack.yaml", "service: {}\n");
	snprintf(line, sizeof line, "sdlab up: %s:1:1: expected services\n", path);
	SDLAB("up", path, "--check-config");
	expect(1, "", line);
	SDLAB("up", path, "more");
	expect(2, "", "sdlab up: unexpected argument \"more\"\n");
	SDLAB("up");
	expect(2, "", "sdlab up: --file: required: expected the name of a file, found nothing\n");
}
END_TEST

/* ---- verbs ---- */

START_TEST(verbs)
{
	SDLAB("cache", "get", "k");
	expect(7, "cache: k\n", "");
	SDLAB("cache", "get", "--json", "k");
	expect(7, "cache: k\n", "");
	SDLAB("cache", "set", "k", "-5", "--", "--x");
	expect(7, "cache: k -5 --x\n", "");
	CALL("cache", "get", "k");
	expect(7, "cache: k\n", "");
	CALL("cache-cli", "GET", "k");
	expect(7, "cache: k\n", "");
	SDLAB("cache-cli", "Get", "k");
	expect(7, "cache: k\n", "");
	CALL("cache-get", "k");
	expect(7, "cache: k\n", "");
	SDLAB("lb", "status");
	expect(7, "lb:\n", "");
	SDLAB("lb", "debug", "a", "b");
	expect(7, "lb: a b\n", "");
}
END_TEST

START_TEST(verb_errors)
{
	SDLAB("cache");
	expect(2, "", "sdlab cache: expected a verb: get or set (sdlab cache --help explains)\n");
	SDLAB("cache", "--json");
	expect(2, "", "sdlab cache: expected a verb: get or set (sdlab cache --help explains)\n");
	CALL("cache-cli");
	expect(2, "", "sdlab cache: expected a verb: get or set (sdlab cache --help explains)\n");
	SDLAB("cache", "GET", "k");
	expect(2, "",
	       "sdlab cache: no verb called \"GET\"; did you mean get? (sdlab cache --help shows all)\n");
	CALL("cache-cli", "gett", "k");
	expect(2, "",
	       "sdlab cache: no verb called \"gett\"; did you mean get? (sdlab cache --help shows all)\n");
	SDLAB("cache", "get");
	expect(2, "", "sdlab cache get: expected KEY, found nothing (sdlab cache get --help explains)\n");
	SDLAB("cache", "get", "a", "b");
	expect(2, "", "sdlab cache get: expected KEY, found 2 arguments (sdlab cache get --help explains)\n");
	SDLAB("lb", "status", "a");
	expect(
	    2, "",
	    "sdlab lb status: expected no arguments, found 1 argument (sdlab lb status --help explains)\n");
	SDLAB("cache", "get", "--jsno", "k");
	expect(2, "", "sdlab cache get: unknown option --jsno; did you mean --json?\n");
	SDLAB("cache", "get", "--hlep");
	expect(2, "", "sdlab cache get: unknown option --hlep; did you mean --help?\n");
}
END_TEST

START_TEST(plain_verb)
{
	SDLAB("load", "http://x/");
	expect(0, "load 100 http://x/\n", "");
	SDLAB("load", "-n", "5", "http://x/");
	expect(0, "load 5 http://x/\n", "");
	SDLAB("load", "compare", "a", "b");
	expect(7, "load: a b\n", "");
	SDLAB("load");
	expect(2, "", "sdlab load: expected URL, found nothing (sdlab load --help explains)\n");
	t.environ = (const char *const[]){"SDLAB_LOAD_NUMBER=9", NULL};
	SDLAB("load", "u");
	expect(0, "load 9 u\n", "");
}
END_TEST

/* ---- help ---- */

static const char lb_help[] =
    "sdlab lb: a load balancer\n"
    "\n"
    "usage: sdlab lb [serve] [options]\n"
    "       sdlab lb VERB [options] ...\n"
    "\n"
    "Spreads connections over backends.\n"
    "\n"
    "More of it.\n"
    "\n"
    "Verbs\n"
    "  status                   print what is up\n"
    "  weight NAME N            change a weight\n"
    "\n"
    "Options\n"
    "  -p, --port PORT          where to listen (default 8080)\n"
    "      --algorithm WORD     how a backend is chosen (one of round-robin, least or\n"
    "                           random; default round-robin)\n"
    "      --cert FILE          certificate\n"
    "      --[no-]keep          keep connections\n"
    "      --health-interval DURATION\n"
    "                           between two checks (from 1ms to 1h; default 5s)\n"
    "      --backend ADDRESS    where to send (repeatable)\n"
    "          address=ADDRESS  where it listens (required)\n"
    "          weight=N         its share (from 0 to 256; default 1)\n"
    "\n"
    "Common options\n"
    "      --threads N          worker threads (from 1 to 64; default 1)\n"
    "  -c, --config FILE        read options from this YAML or JSON file\n"
    "      --check-config       say whether the configuration is right, and exit\n"
    "      --print-config       print every value and where it comes from, and exit\n"
    "  -h, --help               print this help, and exit\n"
    "\n"
    "Every option is also a key of the file and a variable SDLAB_LB_OPTION. The\n"
    "command line wins over the environment, that over the file, that over the\n"
    "default; rows given on the command line replace all rows of the file.\n"
    "\n"
    "Examples\n"
    "  sdlab lb --backend :8081\n"
    "\n"
    "Also answers to\n"
    "  loadbalancer          sdlab lb\n";

START_TEST(help)
{
	SDLAB("lb", "--help");
	expect(0, lb_help, "");
	SDLAB("help", "lb");
	expect(0, lb_help, "");
	SDLAB("lb", "--port=1", "-h");
	expect(0, lb_help, "");
	SDLAB("help", "loadbalancer");
	expect(0, lb_help, "");
	CALL("lb", "--help");
	expect(0, lb_help, "");
	t.colour = true;
	SDLAB("lb", "--help");
	ck_assert_ptr_nonnull(strstr(t.out, "\n\033[1mOptions\033[0m\n"));
}
END_TEST

START_TEST(help_of_verbs)
{
	static const char get_help[] =
	    "sdlab cache get: print a value\n"
	    "\n"
	    "usage: sdlab cache get [options] KEY\n"
	    "\n"
	    "Options\n"
	    "      --json        print JSON\n"
	    "      --server URL  http://HOST to ask (default http://127.0.0.1:8080)\n"
	    "  -h, --help        print this help, and exit\n"
		   "\nAlso called cache-get.\n";

	SDLAB("cache", "get", "--help");
	expect(0, get_help, "");
	SDLAB("help", "cache", "get");
	expect(0, get_help, "");
	SDLAB("help", "cache-get");
	expect(0, get_help, "");
	CALL("cache-get", "-h");
	expect(0, get_help, "");
	SDLAB("help", "cache", "gte");
	expect(2, "", "sdlab help: cache has no verb called \"gte\" (sdlab cache --help shows all)\n");
	SDLAB("cache", "--help");
	ck_assert_ptr_nonnull(strstr(t.out, "usage: sdlab cache VERB [options] ...\n"));
	ck_assert_ptr_nonnull(strstr(t.out, "  cache-cli             sdlab cache VERB\n"));
	CALL("cache-cli", "--help");
	ck_assert_ptr_nonnull(strstr(t.out, "\nVerbs\n  get KEY           print a value\n"));
	SDLAB("load", "--help");
	ck_assert_ptr_nonnull(strstr(t.out, "usage: sdlab load [options] URL\n       sdlab load VERB"));
	ck_assert_ptr_nonnull(strstr(t.out, "  -n, --number N"));
}
END_TEST

/* ---- completion ---- */

START_TEST(completion)
{
	SDLAB("completion", "bash");
	ck_assert_int_eq(t.status, 0);
	ck_assert_ptr_nonnull(
	    strstr(t.out, "for _sdlab_name in cache cache-cli cache-get lb loadbalancer load up; do\n"));
	SDLAB("completion", "zsh");
	expect(2, "", "sdlab completion: expected bash, found zsh\n");
	SDLAB("completion");
	expect(2, "", "sdlab completion: expected bash, found nothing\n");
}
END_TEST

static void completes(const char *const *words, const char *expected)
{
	const char *argv[12] = {"sdlab", "complete"};
	size_t n = 2;

	for (; *words; words++)
		argv[n++] = *words;
	call(argv);
	expect(0, expected, "");
}

#define COMPLETES(expected, ...) completes((const char *const[]){__VA_ARGS__, NULL}, expected)

START_TEST(complete)
{
	COMPLETES("lb\nloadbalancer\nload\nlist\n", "sdlab", "l");
	COMPLETES("--list\n", "sdlab", "--l");
	COMPLETES("status\n", "sdlab", "lb", "st");
	COMPLETES("status\nweight\nserve\n", "sdlab", "lb", "");
	COMPLETES("status\n", "/usr/bin/lb", "st");
	COMPLETES("--port\n--print-config\n", "lb", "--p");
	COMPLETES("--keep\n", "lb", "--k");
	COMPLETES("--no-keep\n", "lb", "--no");
	COMPLETES("--health-interval\n", "lb", "--hea");
	COMPLETES("round-robin\nrandom\n", "lb", "--algorithm", "r");
	COMPLETES("--algorithm=least\n", "lb", "--algorithm=l");
	COMPLETES(":files\n", "lb", "--config", "");
	COMPLETES(":files\n", "lb", "-c", "x");
	COMPLETES(":files\n", "sdlab", "lb", "--cert=");
	COMPLETES("", "lb", "--port", "");
	COMPLETES("--json\n", "sdlab", "cache", "get", "--j");
	COMPLETES("get\n", "cache-cli", "g");
	COMPLETES("--json\n", "cache-cli", "GET", "--j");
	COMPLETES("--json\n", "cache-get", "--j");
	COMPLETES("", "sdlab", "lb", "--sec");
	COMPLETES("compare\n", "load", "c");
	COMPLETES("--number\n", "load", "--n");
	COMPLETES(":files\n", "load", "compare", "a");
	COMPLETES(":files\n", "up", "--isolate", "st");
	COMPLETES("bash\n", "sdlab", "completion", "");
	COMPLETES(":folders\n", "sdlab", "install", "-s", "x");
	COMPLETES("get\nset\n", "sdlab", "help", "cache", "");
	COMPLETES("lb\nloadbalancer\nload\n", "sdlab", "help", "l");
	COMPLETES("", "sdlab", "nothing", "");
}
END_TEST

/* ---- the manual ---- */

START_TEST(man_options)
{
	SDLAB("man-options", "lb");
	expect(0,
	       ".Bl -tag -width Ds\n"
	       ".It Fl p , Fl -port Ar PORT\n"
	       "Where to listen.\n"
	       "The default is\n"
	       ".Cm 8080 .\n"
	       ".It Fl -algorithm Ar WORD\n"
	       "How a backend is chosen.\n"
	       "One of\n"
	       ".Cm round\\-robin ,\n"
	       ".Cm least ,\n"
	       ".Cm random .\n"
	       "The default is\n"
	       ".Cm round\\-robin .\n"
	       ".It Fl -cert Ar FILE\n"
	       "Certificate.\n"
	       ".It Fl -keep\n"
	       "Keep connections.\n"
	       "The default is\n"
	       ".Cm true .\n"
	       ".It Fl -health-interval Ar DURATION\n"
	       "Between two checks.\n"
	       "From 1ms to 1h.\n"
	       "The default is\n"
	       ".Cm 5s .\n"
	       "A reload may change it.\n"
	       ".It Fl -backend Ar ADDRESS\n"
	       "Where to send.\n"
	       "May be given several times.\n"
	       "The keys of a row, of which the first may stand alone:\n"
	       ".Bl -tag -width Ds\n"
	       ".It Cm address Ns = Ns Ar ADDRESS\n"
	       "Where it listens.\n"
	       "Required.\n"
	       ".It Cm weight Ns = Ns Ar N\n"
	       "Its share.\n"
	       "From 0 to 256.\n"
	       "The default is\n"
	       ".Cm 1 .\n"
	       ".El\n"
	       ".El\n"
	       "The options that every service has are in\n"
	       ".Xr sdlab 1 .\n"
	       ".Ss Options of status\n"
	       ".Bl -tag -width Ds\n"
	       ".It Fl -json\n"
	       "Print JSON.\n"
	       ".It Fl -server Ar URL\n"
	       "http://HOST to ask.\n"
	       "The default is\n"
	       ".Cm http://127.0.0.1:8080 .\n"
	       ".El\n",
	       "");
	SDLAB("man-options");
	ck_assert_ptr_nonnull(strstr(t.out, ".It Fl c , Fl -config Ar FILE\n"));
	SDLAB("man-options", "lbb");
	ck_assert_int_eq(t.status, 127);
}
END_TEST

/* ---- links ---- */

START_TEST(install)
{
	char dir[128], path[160], line[512];

	snprintf(dir, sizeof dir, "%s/a/bin", t.dir);
	SDLAB("install", "-s", dir);
	snprintf(line, sizeof line, "7 symbolic links in %s; try: %s/cache --help\n", dir, dir);
	expect(0, line, "");
	snprintf(path, sizeof path, "%s/cache-cli", dir);
	ck_assert_int_eq(access(path, X_OK), 0);
	SDLAB("--install", "-s", dir);
	expect(0, line, "");
	snprintf(path, sizeof path, "%s/lb", dir);
	ck_assert_int_eq(unlink(path), 0);
	FILE *f = fopen(path, "w");
	ck_assert_ptr_nonnull(f);
	fclose(f);
	SDLAB("install", "-s", dir);
	snprintf(line, sizeof line, "6 symbolic links in %s, 1 not made\n", dir);
	ck_assert_str_eq(t.out, line);
	ck_assert_int_eq(t.status, 1);
	ck_assert_int_eq(strncmp(t.err, "sdlab install: ", 15), 0);
	SDLAB("install");
	expect(2, "", "sdlab install: expected [-s] DIR, found no folder\n");
	SDLAB("install", "-x", dir);
	expect(2, "", "sdlab install: expected [-s] DIR, found \"-x\"\n");
	SDLAB("install", dir, "more");
	expect(2, "", "sdlab install: expected [-s] DIR, found \"more\"\n");
}
END_TEST

START_TEST(full_disk)
{
	struct sd_dispatch d = {.world = t.world, .applets = fake_applets, .out = fopen("/dev/full", "w")};

	d.err = open_memstream(&t.err, &t.err_n);
	t.status = sd_dispatch_main(&d, 2, (const char *const[]){"sdlab", "list", NULL});
	fclose(d.out);
	fclose(d.err);
	ck_assert_str_eq(t.err, "sdlab: cannot write the output\n");
	ck_assert_int_eq(t.status, 1);
}
END_TEST

static void add_services(TCase *c)
{
	tcase_add_test(c, service);
	tcase_add_test(c, service_errors);
	tcase_add_test(c, config);
	tcase_add_test(c, check_config);
	tcase_add_test(c, print_config);
	tcase_add_test(c, file_of_its_own);
}

static void add_others(TCase *c)
{
	tcase_add_test(c, alone);
	tcase_add_test(c, list);
	tcase_add_test(c, version);
	tcase_add_test(c, unknown);
	tcase_add_test(c, verbs);
	tcase_add_test(c, verb_errors);
	tcase_add_test(c, plain_verb);
	tcase_add_test(c, help);
	tcase_add_test(c, help_of_verbs);
	tcase_add_test(c, completion);
	tcase_add_test(c, complete);
	tcase_add_test(c, man_options);
	tcase_add_test(c, install);
	tcase_add_test(c, full_disk);
}

int main(void)
{
	Suite *s = suite_create("dispatch");
	TCase *c = tcase_create("dispatch");

	tcase_add_checked_fixture(c, setup, teardown);
	add_services(c);
	add_others(c);
	suite_add_tcase(s, c);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
