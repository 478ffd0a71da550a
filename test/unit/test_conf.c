#include <check.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/conf.h"

/* ---- a table with a row of every type ---- */

static const struct sd_option tls[] = {
    {"cert", SD_OPT_FILE, NULL, "certificate", .required = true},
    {"min", SD_OPT_ENUM, "1.2", "lowest version", .choices = "1.2|1.3", .reload = true},
    {0},
};

static const struct sd_option health[] = {
    {"interval", SD_OPT_DURATION, "5s", "how often", .reload = true, .min = 1000000, .max = 3600000000000},
    {"path", SD_OPT_STRING, "/", "what to ask for"},
    {0},
};

static const struct sd_option backend[] = {
    {"address", SD_OPT_ADDRESS, NULL, "where it is", .required = true},
    {"name", SD_OPT_STRING, NULL, "what it is called"},
    {"weight", SD_OPT_INT, "1", "its share", .min = 0, .max = 256},
    {"tags", SD_OPT_LIST, NULL, "labels"},
    {"tls", SD_OPT_GROUP, .sub = tls},
    {0},
};

static const struct sd_option table[] = {
    {"port", SD_OPT_PORT, "8080", "where to listen", .letter = 'p'},
    {"name", SD_OPT_STRING, NULL, "its name"},
    {"verbose", SD_OPT_BOOL, "false", "say more", .letter = 'v', .reload = true},
    {"retries", SD_OPT_INT, "2", "how often again", .min = 0, .max = 10, .letter = 'n'},
    {"offset", SD_OPT_INT, NULL, "any number"},
    {"factor", SD_OPT_NUMBER, "1.5", "a factor", .min = 1, .max = INT64_MAX},
    {"error-rate", SD_OPT_PERCENT, "0%", "share of errors"},
    {"max-body", SD_OPT_SIZE, "64KiB", "largest body"},
    {"rate", SD_OPT_RATE, "100/min", "how many"},
    {"upstream", SD_OPT_ADDRESS, NULL, "where to send"},
    {"algorithm", SD_OPT_ENUM, "round-robin", "how to choose", .choices = "round-robin|least|random",
     .reload = true},
    {"log", SD_OPT_FILE, NULL, "where to write"},
    {"db", SD_OPT_STRING, NULL, "a file or a URL", .pattern = "file", .hidden = true},
    {"tags", SD_OPT_LIST, "a,b", "labels"},
    {"peers", SD_OPT_LIST, NULL, "others", .cli = "peer", .pattern = "address"},
    {"health", SD_OPT_GROUP, .sub = health},
    {"tls", SD_OPT_GROUP, .sub = tls},
    {"backends", SD_OPT_TABLE, NULL, "where to send", .sub = backend, .cli = "backend", .reload = true},
    {"secret", SD_OPT_STRING, NULL, "for tests", .hidden = true},
    {0},
};

static const struct sd_option common[] = {
    {"threads", SD_OPT_INT, "1", "workers", .min = 1, .max = 64},
    {"port", SD_OPT_INT, "1", "hidden by the other"},
    {0},
};

/* ---- making ---- */

struct made {
	struct sd_conf *conf;
	struct sd_doc *doc;
	struct sd_error e;
	enum sd_err err;
	const char *operands[64];
	int noperands;
};

static struct made make_full(const char *file, const char *text, struct sd_conf_sources from,
			     const char *const *argv, bool operands)
{
	struct made m = {.e = {SD_OK, ""}};

	if (text)
		ck_assert_msg(sd_doc_parse(file, text, strlen(text), &m.doc, &m.e) == SD_OK, "%s", m.e.text);
	from.applet = "lb-x";
	from.doc = m.doc;
	from.argv = argv;
	while (argv && argv[from.argc])
		from.argc++;
	m.err = sd_conf_make(table, common, &from, &m.conf, operands ? m.operands : NULL,
			     operands ? &m.noperands : NULL, &m.e);
	return m;
}

static void done(struct made *m)
{
	sd_conf_free(m->conf);
	sd_doc_free(m->doc);
}

#define ARGS(...) ((const char *const[]){__VA_ARGS__, NULL})

static struct made make(const char *text, const char *const *argv)
{
	struct made m = make_full("lb.yaml", text, (struct sd_conf_sources){0}, argv, false);

	ck_assert_msg(m.err == SD_OK, "%s", m.e.text);
	return m;
}

static void check_refused(struct made m, enum sd_err err, const char *message)
{
	ck_assert_str_eq(m.e.text, message);
	ck_assert_int_eq(m.err, err);
	ck_assert_int_eq(m.e.code, err);
	ck_assert_ptr_null(m.conf);
	done(&m);
}

static void refused(const char *text, const char *message)
{
	check_refused(make_full("lb.yaml", text, (struct sd_conf_sources){0}, NULL, false), SD_EINVAL,
		      message);
}

static void refused_args(const char *const *argv, const char *message)
{
	check_refused(make_full("lb.yaml", NULL, (struct sd_conf_sources){0}, argv, false), SD_EUSAGE,
		      message);
}

static void refused_env(const char *var, const char *message)
{
	check_refused(make_full("lb.yaml", NULL, (struct sd_conf_sources){.environ = ARGS("PATH=/bin", var)},
				NULL, false),
		      SD_EINVAL, message);
}

/* ---- values ---- */

START_TEST(defaults)
{
	struct made m = make(NULL, NULL);
	const struct sd_conf *c = m.conf;

	ck_assert_int_eq(sd_conf_int(c, "port"), 8080);
	ck_assert_int_eq(sd_conf_int(c, "threads"), 1);
	ck_assert_ptr_null(sd_conf_string(c, "name"));
	ck_assert(!sd_conf_has(c, "name"));
	ck_assert(sd_conf_has(c, "port"));
	ck_assert(!sd_conf_is_set(c, "port"));
	ck_assert_str_eq(sd_conf_origin(c, "port"), "default");
	ck_assert_str_eq(sd_conf_at(c, "port"), "port");
	ck_assert(!sd_conf_bool(c, "verbose"));
	ck_assert_int_eq(sd_conf_int(c, "verbose"), 0);
	ck_assert_int_eq(sd_conf_int(c, "offset"), 0);
	ck_assert(sd_conf_number(c, "factor") == 1.5);
	ck_assert(sd_conf_number(c, "error-rate") == 0);
	ck_assert_int_eq(sd_conf_int(c, "max-body"), 65536);
	ck_assert(sd_conf_number(c, "rate") == 100 / 60.0);
	ck_assert_int_eq(sd_conf_int(c, "algorithm"), 0);
	ck_assert_str_eq(sd_conf_string(c, "algorithm"), "round-robin");
	ck_assert_uint_eq(sd_conf_count(c, "tags"), 2);
	ck_assert_str_eq(sd_conf_list_item(c, "tags", 1), "b");
	ck_assert_uint_eq(sd_conf_count(c, "peers"), 0);
	ck_assert(!sd_conf_has(c, "peers"));
	ck_assert_int_eq(sd_conf_int(c, "health.interval"), 5000000000);
	ck_assert(sd_conf_has(c, "health"));
	ck_assert(!sd_conf_is_set(c, "health"));
	ck_assert(!sd_conf_is_set(c, "tls"));
	ck_assert_uint_eq(sd_conf_count(c, "backends"), 0);
	done(&m);
}
END_TEST

START_TEST(from_file)
{
	struct made m = make("port: 0\n"
			     "name: 123\n"
			     "verbose: yes\n"
			     "offset: -9223372036854775808\n"
			     "factor: 2.5\n"
			     "error-rate: 5%\n"
			     "max-body: 4MB\n"
			     "rate: 10/s\n"
			     "upstream: unix:/run/x\n"
			     "algorithm: random\n"
			     "tags: [x, \"y,z\", '']\n"
			     "peers: a:1, [::1]:2\n"
			     "health: {interval: 1m30s}\n"
			     "tls: {cert: c.pem}\n"
			     "backends:\n"
			     "  - 127.0.0.1:8081\n"
			     "  - address: :8082\n"
			     "    weight: 3\n"
			     "    tags: q\n"
			     "    tls: {cert: d, min: 1.3}\n",
			     NULL);
	const struct sd_conf *c = m.conf;

	sd_doc_free(m.doc); /* nothing of it is needed any more */
	m.doc = NULL;
	ck_assert_int_eq(sd_conf_int(c, "port"), 0);
	ck_assert_str_eq(sd_conf_origin(c, "port"), "lb.yaml:1:7");
	ck_assert_str_eq(sd_conf_at(c, "port"), "lb.yaml:1:7: port");
	ck_assert_str_eq(sd_conf_string(c, "name"), "123");
	ck_assert(sd_conf_bool(c, "verbose"));
	ck_assert(sd_conf_int(c, "offset") == INT64_MIN);
	ck_assert(sd_conf_number(c, "factor") == 2.5);
	ck_assert(sd_conf_number(c, "error-rate") == 0.05);
	ck_assert_int_eq(sd_conf_int(c, "max-body"), 4000000);
	ck_assert(sd_conf_number(c, "rate") == 10);
	ck_assert_str_eq(sd_conf_string(c, "upstream"), "unix:/run/x");
	ck_assert_int_eq(sd_conf_int(c, "algorithm"), 2);
	ck_assert_uint_eq(sd_conf_count(c, "tags"), 3);
	ck_assert_str_eq(sd_conf_list_item(c, "tags", 1), "y,z");
	ck_assert_str_eq(sd_conf_list_item(c, "tags", 2), "");
	ck_assert_uint_eq(sd_conf_count(c, "peers"), 2);
	ck_assert_str_eq(sd_conf_list_item(c, "peers", 1), "[::1]:2");
	ck_assert_int_eq(sd_conf_int(c, "health.interval"), 90000000000);
	ck_assert(sd_conf_is_set(c, "health"));
	ck_assert_str_eq(sd_conf_string(c, "tls.cert"), "c.pem");
	ck_assert_uint_eq(sd_conf_count(c, "backends"), 2);
	const struct sd_conf *row = sd_conf_row(c, "backends", 1);
	ck_assert_str_eq(sd_conf_string(row, "address"), ":8082");
	ck_assert_str_eq(sd_conf_origin(row, "address"), "lb.yaml:17:14");
	ck_assert_int_eq(sd_conf_int(row, "weight"), 3);
	ck_assert_str_eq(sd_conf_list_item(row, "tags", 0), "q");
	ck_assert_str_eq(sd_conf_string(row, "tls.min"), "1.3");
	row = sd_conf_row(c, "backends", 0);
	ck_assert_str_eq(sd_conf_string(row, "address"), "127.0.0.1:8081");
	ck_assert_int_eq(sd_conf_int(row, "weight"), 1);
	ck_assert_str_eq(sd_conf_origin(row, "weight"), "default");
	done(&m);
}
END_TEST

START_TEST(from_json)
{
	struct made m = make(
	    "{\"port\": 81, \"verbose\": true, \"health\": {\"interval\": \"2s\"}, \"name\": null,\n"
	    "\t\"backends\": [{\"address\": \"a:1\", \"weight\": 2}], \"tags\": [], \"error-rate\": 0.25}",
	    NULL);

	ck_assert_int_eq(sd_conf_int(m.conf, "port"), 81);
	ck_assert(sd_conf_bool(m.conf, "verbose"));
	ck_assert_int_eq(sd_conf_int(m.conf, "health.interval"), 2000000000);
	ck_assert(!sd_conf_has(m.conf, "name"));
	ck_assert_int_eq(sd_conf_int(sd_conf_row(m.conf, "backends", 0), "weight"), 2);
	ck_assert(sd_conf_has(m.conf, "tags"));
	ck_assert_uint_eq(sd_conf_count(m.conf, "tags"), 0);
	ck_assert(sd_conf_number(m.conf, "error-rate") == 0.25);
	done(&m);
}
END_TEST

START_TEST(nulls)
{
	struct made m = make("name:\ntags: null\npeers: ~\nhealth:\nbackends:\nlog: null\n", NULL);

	ck_assert(!sd_conf_has(m.conf, "name"));
	ck_assert(sd_conf_has(m.conf, "tags"));
	ck_assert_uint_eq(sd_conf_count(m.conf, "tags"), 0);
	ck_assert(!sd_conf_has(m.conf, "peers"));
	ck_assert_uint_eq(sd_conf_count(m.conf, "backends"), 0);
	done(&m);
	refused("port:\n", "lb.yaml:1:6: port: expected a port from 0 to 65535, found nothing");
}
END_TEST

START_TEST(from_args)
{
	struct made m = make(NULL, ARGS("--port=81", "-v", "-n3", "--name", "--x", "--health-interval", "7s",
					"--tags", "a, b ,c", "--tags=d", "--peer", "h:1", "--no-verbose",
					"--error-rate=0.1", "--tls-cert=x"));
	const struct sd_conf *c = m.conf;

	ck_assert_int_eq(sd_conf_int(c, "port"), 81);
	ck_assert_str_eq(sd_conf_origin(c, "port"), "--port");
	ck_assert(!sd_conf_bool(c, "verbose"));
	ck_assert(sd_conf_is_set(c, "verbose"));
	ck_assert_int_eq(sd_conf_int(c, "retries"), 3);
	ck_assert_str_eq(sd_conf_string(c, "name"), "--x");
	ck_assert_int_eq(sd_conf_int(c, "health.interval"), 7000000000);
	ck_assert_uint_eq(sd_conf_count(c, "tags"), 4);
	ck_assert_str_eq(sd_conf_list_item(c, "tags", 1), "b");
	ck_assert_str_eq(sd_conf_list_item(c, "tags", 3), "d");
	ck_assert_str_eq(sd_conf_list_item(c, "peers", 0), "h:1");
	ck_assert_str_eq(sd_conf_string(c, "tls.cert"), "x");
	done(&m);
	m = make(NULL, ARGS("-p", "1", "--port", "2", "--verbose=true", "--tags="));
	ck_assert_int_eq(sd_conf_int(m.conf, "port"), 2);
	ck_assert(sd_conf_bool(m.conf, "verbose"));
	ck_assert_uint_eq(sd_conf_count(m.conf, "tags"), 0);
	done(&m);
}
END_TEST

START_TEST(rows_from_args)
{
	struct made m = make("backends: [{address: a:1}, {address: b:2}]",
			     ARGS("--backend", "127.0.0.1:8081", "--backend",
				  "name=A,address=127.0.0.1:8082,weight=2,tags=x,y",
				  "--backend=c:3,weight=0,tls-cert=k"));
	const struct sd_conf *row;

	ck_assert_uint_eq(sd_conf_count(m.conf, "backends"), 3);
	ck_assert_str_eq(sd_conf_origin(m.conf, "backends"), "--backend");
	row = sd_conf_row(m.conf, "backends", 0);
	ck_assert_str_eq(sd_conf_string(row, "address"), "127.0.0.1:8081");
	row = sd_conf_row(m.conf, "backends", 1);
	ck_assert_str_eq(sd_conf_string(row, "name"), "A");
	ck_assert_int_eq(sd_conf_int(row, "weight"), 2);
	ck_assert_uint_eq(sd_conf_count(row, "tags"), 2);
	ck_assert_str_eq(sd_conf_list_item(row, "tags", 1), "y");
	row = sd_conf_row(m.conf, "backends", 2);
	ck_assert_str_eq(sd_conf_string(row, "address"), "c:3");
	ck_assert_int_eq(sd_conf_int(row, "weight"), 0);
	ck_assert_str_eq(sd_conf_string(row, "tls.cert"), "k");
	done(&m);
}
END_TEST

START_TEST(precedence)
{
	const char *text = "port: 1\ntags: [f]\nhealth: {interval: 1s, path: /f}\n";
	struct sd_conf_sources from = {
	    .environ = ARGS("SDLAB_LB_X_PORT=2", "SDLAB_LB_X_HEALTH_INTERVAL=2s", "SDLAB_LB_X_TAGS=e,e",
			    "SDLAB_LB_X_NAME=", "SDLAB_LB_X_ERROR_RATE=1%", "SDLAB_LB_X_VERBOSE=1",
			    "SDLAB_LB_X_BACKENDS=a:1", "SDLAB_LB_X_THREADS=2")};
	struct made m = make_full("lb.yaml", text, from, ARGS("--port=3"), false);
	const struct sd_conf *c = m.conf;

	ck_assert_msg(m.err == SD_OK, "%s", m.e.text);
	ck_assert_int_eq(sd_conf_int(c, "port"), 3);
	ck_assert_int_eq(sd_conf_int(c, "health.interval"), 2000000000);
	ck_assert_str_eq(sd_conf_origin(c, "health.interval"), "SDLAB_LB_X_HEALTH_INTERVAL");
	ck_assert_str_eq(sd_conf_string(c, "health.path"), "/f");
	ck_assert_uint_eq(sd_conf_count(c, "tags"), 2);
	ck_assert_str_eq(sd_conf_list_item(c, "tags", 0), "e");
	ck_assert(!sd_conf_has(c, "name"));
	ck_assert(sd_conf_number(c, "error-rate") == 0.01);
	ck_assert(sd_conf_bool(c, "verbose"));
	ck_assert_int_eq(sd_conf_int(c, "threads"), 2);
	ck_assert_uint_eq(sd_conf_count(c, "backends"), 0);
	done(&m);
}
END_TEST

START_TEST(operands)
{
	struct made m = make_full(NULL, NULL, (struct sd_conf_sources){0},
				  ARGS("a", "-5", "-", "--port", "1", "b", "--", "--port", "-v", "--"), true);

	ck_assert_int_eq(m.err, SD_OK);
	ck_assert_int_eq(m.noperands, 7);
	ck_assert_str_eq(m.operands[1], "-5");
	ck_assert_str_eq(m.operands[2], "-");
	ck_assert_str_eq(m.operands[3], "b");
	ck_assert_str_eq(m.operands[4], "--port");
	ck_assert_str_eq(m.operands[6], "--");
	ck_assert(!sd_conf_bool(m.conf, "verbose"));
	done(&m);
	const char *many[70];
	for (int i = 0; i < 69; i++)
		many[i] = "x";
	many[69] = NULL;
	check_refused(make_full(NULL, NULL, (struct sd_conf_sources){0}, many, true), SD_EUSAGE,
		      "more than 64 arguments");
	many[64] = NULL;
	m = make_full(NULL, NULL, (struct sd_conf_sources){0}, many, true);
	ck_assert_int_eq(m.noperands, 64);
	done(&m);
}
END_TEST

START_TEST(files)
{
	struct sd_conf_sources none = {0};
	static const char text[] =
	    "log: logs/x\ntls: {cert: /abs}\nbackends: [{address: a:1, tls: {cert: ../k}}]\n";
	struct made m = make_full("etc/lb.yaml", text, none, NULL, false);

	ck_assert_str_eq(sd_conf_string(m.conf, "log"), "etc/logs/x");
	ck_assert_str_eq(sd_conf_string(m.conf, "tls.cert"), "/abs");
	ck_assert_str_eq(sd_conf_string(sd_conf_row(m.conf, "backends", 0), "tls.cert"), "etc/../k");
	done(&m);
	m = make_full("/lb.yaml", text, none, ARGS("--log", "here"), false);
	ck_assert_str_eq(sd_conf_string(m.conf, "log"), "here");
	ck_assert_str_eq(sd_conf_string(sd_conf_row(m.conf, "backends", 0), "tls.cert"), "/../k");
	done(&m);
	m = make_full("etc/lb.yaml", "db: data/links.db\n", none, NULL, false);
	ck_assert_str_eq(sd_conf_string(m.conf, "db"), "etc/data/links.db");
	done(&m);
	m = make_full("etc/lb.yaml", "db: 'x://y/z'\n", none, NULL, false);
	ck_assert_str_eq(sd_conf_string(m.conf, "db"), "x://y/z");
	done(&m);
	m = make_full("etc/lb.yaml", "db: data/links.db\n", none, ARGS("--db", "here"), false);
	ck_assert_str_eq(sd_conf_string(m.conf, "db"), "here");
	done(&m);
	m = make_full("etc/lb.yaml", "log: '-'\n", none, NULL, false);
	ck_assert_str_eq(sd_conf_string(m.conf, "log"), "-");
	done(&m);
}
END_TEST

START_TEST(part_of_a_stack)
{
	const char *text =
	    "services:\n  web:\n    applet: lb\n    port: 5\n  bad:\n    applet: lb\n    prot: 5\n  none:\n";
	struct sd_doc *doc;
	struct sd_conf *conf;
	struct sd_error e;

	ck_assert_int_eq(sd_doc_parse("s.yaml", text, strlen(text), &doc, &e), SD_OK);
	const struct sd_node *services = sd_node_get(doc->root, "services");
	struct sd_conf_sources from = {.applet = "lb", .doc = doc, .ignore_keys = ARGS("applet")};
	from.node = sd_node_get(services, "web");
	ck_assert_int_eq(sd_conf_make(table, common, &from, &conf, NULL, NULL, &e), SD_OK);
	ck_assert_int_eq(sd_conf_int(conf, "port"), 5);
	sd_conf_free(conf);
	from.node = sd_node_get(services, "bad");
	ck_assert_int_eq(sd_conf_make(table, common, &from, &conf, NULL, NULL, &e), SD_EINVAL);
	ck_assert_str_eq(e.text, "s.yaml:7:5: unknown key \"prot\"; did you mean port?");
	from.node = sd_node_get(services, "none");
	ck_assert_int_eq(sd_conf_make(table, common, &from, &conf, NULL, NULL, &e), SD_OK);
	sd_conf_free(conf);
	sd_doc_free(doc);
}
END_TEST

/* ---- errors ---- */

#define ADDRESS "an address: HOST:PORT, [IPV6]:PORT, :PORT, unix:PATH or inproc:NAME"

START_TEST(errors_in_files)
{
	static const char *const t[][2] = {
	    {"port: soon", "lb.yaml:1:7: port: expected a port from 0 to 65535, found \"soon\""},
	    {"port: 65536", "lb.yaml:1:7: port: expected a port from 0 to 65535, found \"65536\""},
	    {"port: '80'", "lb.yaml:1:7: port: expected a port from 0 to 65535, found the quoted \"80\""},
	    {"port: [80]", "lb.yaml:1:7: port: expected a port from 0 to 65535, found a list"},
	    {"port: {}", "lb.yaml:1:7: port: expected a port from 0 to 65535, found a map"},
	    {"prot: 80", "lb.yaml:1:1: unknown key \"prot\"; did you mean port?"},
	    {"secrte: 80", "lb.yaml:1:1: unknown key \"secrte\""},
	    {"zzz: 80", "lb.yaml:1:1: unknown key \"zzz\""},
	    {"verbose: maybe", "lb.yaml:1:10: verbose: expected true or false, found \"maybe\""},
	    {"verbose: \"true\"", "lb.yaml:1:10: verbose: expected true or false, found the quoted \"true\""},
	    {"retries: 11", "lb.yaml:1:10: retries: expected a whole number from 0 to 10, found \"11\""},
	    {"retries: 1.5", "lb.yaml:1:10: retries: expected a whole number from 0 to 10, found \"1.5\""},
	    {"offset: 9223372036854775808",
	     "lb.yaml:1:9: offset: expected a whole number, found \"9223372036854775808\""},
	    {"factor: 0.5", "lb.yaml:1:9: factor: expected a number of at least 1, found \"0.5\""},
	    {"error-rate: 7", "lb.yaml:1:13: error-rate: expected a share such as 5% or 0.05, found \"7\""},
	    {"max-body: 64x", "lb.yaml:1:11: max-body: expected a size such as 64KiB, found \"64x\""},
	    {"rate: 100", "lb.yaml:1:7: rate: expected a rate such as 100/min, found \"100\""},
	    {"upstream: localhost", "lb.yaml:1:11: upstream: expected " ADDRESS ", found \"localhost\""},
	    {"upstream: 1.2.3:80", "lb.yaml:1:11: upstream: expected " ADDRESS ", found \"1.2.3:80\""},
	    {"upstream: http://x:80", "lb.yaml:1:11: upstream: expected " ADDRESS ", found \"http://x:80\""},
	    {"upstream: a:1,b:2", "lb.yaml:1:11: upstream: expected " ADDRESS ", found \"a:1,b:2\""},
	    {"upstream: h:99999", "lb.yaml:1:11: upstream: expected " ADDRESS ", found \"h:99999\""},
	    {"upstream: '::1:80'", "lb.yaml:1:11: upstream: expected " ADDRESS ", found \"::1:80\""},
	    {"upstream: 'unix:'", "lb.yaml:1:11: upstream: expected " ADDRESS ", found \"unix:\""},
	    {"algorithm: rond-robin",
	     "lb.yaml:1:12: algorithm: expected one of round-robin, least or random, found "
	     "\"rond-robin\"; did you mean round-robin?"},
	    {"algorithm: x",
	     "lb.yaml:1:12: algorithm: expected one of round-robin, least or random, found \"x\""},
	    {"log: ''", "lb.yaml:1:6: log: expected the name of a file, found \"\""},
	    {"tags: {a: b}", "lb.yaml:1:7: tags: expected a list, found a map"},
	    {"tags: [[a]]", "lb.yaml:1:8: tags: expected a text, found a list"},
	    {"tags: [a, ]\nport: x", "lb.yaml:2:7: port: expected a port from 0 to 65535, found \"x\""},
	    {"tags: [~]", "lb.yaml:1:8: tags: expected a text, found nothing"},
	    {"tags: a,,b", "lb.yaml:1:7: tags: expected a list, found \"a,,b\""},
	    {"peers: [a:1, b]", "lb.yaml:1:14: peers: expected " ADDRESS ", found \"b\""},
	    {"health: 5s", "lb.yaml:1:9: health: expected a map, found \"5s\""},
	    {"health: [a]", "lb.yaml:1:9: health: expected a map, found a list"},
	    {"health:\n  interval: soon\n",
	     "lb.yaml:2:13: interval: expected a duration such as 5s from 1ms to 1h, found \"soon\""},
	    {"health:\n  intervall: 5s\n", "lb.yaml:2:3: unknown key \"intervall\"; did you mean interval?"},
	    {"health: {interval: 2h}",
	     "lb.yaml:1:20: interval: expected a duration such as 5s from 1ms to 1h, found \"2h\""},
	    {"tls: {min: 1.3}",
	     "lb.yaml:1:1: tls.cert: required: expected the name of a file, found nothing"},
	    {"backends: a:1", "lb.yaml:1:11: backends: expected a list, found \"a:1\""},
	    {"backends: {address: a:1}", "lb.yaml:1:11: backends: expected a list, found a map"},
	    {"backends: [[a]]", "lb.yaml:1:12: backends: expected a map, found a list"},
	    {"backends: [~]", "lb.yaml:1:12: backends: expected a map, found nothing"},
	    {"backends:\n  - weight: 3\n",
	     "lb.yaml:2:5: address: required: expected " ADDRESS ", found nothing"},
	    {"backends:\n  - x\n", "lb.yaml:2:5: address: expected " ADDRESS ", found \"x\""},
	    {"backends:\n  - {address: a:1, wieght: 3}\n",
	     "lb.yaml:2:20: unknown key \"wieght\"; did you mean weight?"},
	    {"backends:\n  - {address: a:1, weight: 999}\n",
	     "lb.yaml:2:28: weight: expected a whole number from 0 to 256, found \"999\""},
	    {"backends:\n  - {address: a:1, tls: {min: 1.3}}\n",
	     "lb.yaml:2:5: tls.cert: required: expected the name of a file, found nothing"},
	    {"[1]", "lb.yaml:1:1: expected a map of options, found a list"},
	    {"hello", "lb.yaml:1:1: expected a map of options, found a text"},
	    {"name: \"a\\tb\\x01\\\"\"\nport: \"\\x01\\t\\\"\\\\\"",
	     "lb.yaml:2:7: port: expected a port from 0 to 65535, found the quoted \"\\x01\\t\\\"\\\\\""},
	    {"port: abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
	     "lb.yaml:1:7: port: expected a port from 0 to 65535, found "
	     "\"abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyzabcdefg...\""},
	};

	for (size_t i = 0; i < sizeof t / sizeof *t; i++)
		refused(t[i][0], t[i][1]);
}
END_TEST

START_TEST(errors_in_arguments)
{
	refused_args(ARGS("--port", "soon"), "--port: expected a port from 0 to 65535, found \"soon\"");
	refused_args(ARGS("--port"), "--port: expected a port from 0 to 65535, found nothing");
	refused_args(ARGS("-p"), "-p: expected a port from 0 to 65535, found nothing");
	refused_args(ARGS("-px"), "-p: expected a port from 0 to 65535, found \"x\"");
	refused_args(ARGS("-q"), "unknown option -q");
	refused_args(ARGS("-vv"), "unknown option -vv");
	refused_args(ARGS("--prot=1"), "unknown option --prot; did you mean --port?");
	refused_args(ARGS("--backends", "x"), "unknown option --backends; did you mean --backend?");
	refused_args(ARGS("--health-intervall=1s"),
		     "unknown option --health-intervall; did you mean --health-interval?");
	refused_args(ARGS("--health"), "unknown option --health; did you mean --health-interval?");
	refused_args(ARGS("--secrte=1"), "unknown option --secrte");
	refused_args(ARGS("--zzz"), "unknown option --zzz");
	refused_args(ARGS("--verb"), "unknown option --verb; did you mean --verbose?");
	refused_args(ARGS("--verbose=maybe"), "--verbose: expected true or false, found \"maybe\"");
	refused_args(ARGS("--no-verbose=1"), "--no-verbose: expected no value, found \"1\"");
	refused_args(ARGS("--no-port"), "unknown option --no-port; did you mean --port?");
	refused_args(ARGS("foo"), "unexpected argument \"foo\"");
	refused_args(ARGS("--name=\xff"), "--name: expected a text, found \"\\xff\"");
	refused_args(ARGS("--name=\xe0\x80\x80"), "--name: expected a text, found \"\\xe0\\x80\\x80\"");
	refused_args(ARGS("--tags=\xed\xa0\x80"), "--tags: expected a list, found \"\\xed\\xa0\\x80\"");
	refused_args(ARGS("--tags", "a,"), "--tags: expected a list, found \"a,\"");
	refused_args(ARGS("--peer", "x"), "--peer: expected " ADDRESS ", found \"x\"");
	refused_args(ARGS("--tls-min=1.3"),
		     "--tls-cert: required: expected the name of a file, found nothing");
	refused_args(ARGS("--backend", "x"), "--backend: address: expected " ADDRESS ", found \"x\"");
	refused_args(ARGS("--backend", "a:1,b:2"),
		     "--backend: address: expected " ADDRESS ", found \"a:1,b:2\"");
	refused_args(ARGS("--backend", "weigth=1,address=a:1"),
		     "--backend: unknown key \"weigth\"; did you mean weight?");
	refused_args(ARGS("--backend", "zzz=1"), "--backend: unknown key \"zzz\"");
	refused_args(ARGS("--backend", "weight=3"),
		     "--backend: address: required: expected " ADDRESS ", found nothing");
	refused_args(ARGS("--backend", "a:1,weight=x"),
		     "--backend: weight: expected a whole number from 0 to 256, found \"x\"");
	static const struct sd_option other[] = {{"config", SD_OPT_FILE, NULL, "", .letter = 'c'}, {0}};
	check_refused(
	    make_full(NULL, NULL, (struct sd_conf_sources){.elsewhere = other}, ARGS("--confg"), false),
	    SD_EUSAGE, "unknown option --confg; did you mean --config?");
}
END_TEST

START_TEST(errors_in_environment)
{
	refused_env("SDLAB_LB_X_PORT=x", "SDLAB_LB_X_PORT: expected a port from 0 to 65535, found \"x\"");
	refused_env("SDLAB_LB_X_HEALTH_INTERVAL=x",
		    "SDLAB_LB_X_HEALTH_INTERVAL: expected a duration such as 5s from 1ms to 1h, found \"x\"");
	refused_env("SDLAB_LB_X_PEERS=a:1,b", "SDLAB_LB_X_PEERS: expected " ADDRESS ", found \"b\"");
}
END_TEST

START_TEST(required)
{
	static const struct sd_option need[] = {
	    {"url", SD_OPT_STRING, NULL, "", .required = true},
	    {0},
	};
	static const struct sd_option rows[] = {
	    {"backends", SD_OPT_TABLE, NULL, "", .sub = backend, .cli = "backend", .required = true},
	    {0},
	};
	struct sd_conf_sources from = {.applet = "x"};
	struct sd_conf *conf;
	struct sd_error e;

	ck_assert_int_eq(sd_conf_make(need, NULL, &from, &conf, NULL, NULL, &e), SD_EUSAGE);
	ck_assert_str_eq(e.text, "--url: required: expected a text, found nothing");
	ck_assert_int_eq(sd_conf_make(rows, NULL, &from, &conf, NULL, NULL, &e), SD_EUSAGE);
	ck_assert_str_eq(e.text, "--backend: required: expected a list, found nothing");
	ck_assert_int_eq(sd_conf_make(NULL, NULL, &from, &conf, NULL, NULL, &e), SD_OK);
	sd_conf_free(conf);
	sd_conf_free(NULL);
}
END_TEST

/* ---- names of services ---- */

static bool resolve(void *arg, const char *name, char *out, size_t size)
{
	(void)arg;
	if (strcmp(name, "web") == 0)
		return snprintf(out, size, "inproc:web-1,127.0.0.1:2,[::1]:3") > 0;
	if (strcmp(name, "two") == 0)
		return snprintf(out, size, "a:1,b:2") > 0;
	if (strcmp(name, "db") == 0)
		return snprintf(out, size, "inproc:db") > 0;
	return false;
}

static struct made make_names(const char *text, const char *const *argv)
{
	return make_full("s.yaml", text, (struct sd_conf_sources){.resolve_name = resolve}, argv, false);
}

START_TEST(names)
{
	struct made m = make_names("upstream: db\n"
				   "peers: [web, x:1]\n"
				   "backends:\n"
				   "  - {address: web, name: W, weight: 2}\n"
				   "  - db\n"
				   "  - {address: two}\n"
				   "  - {address: db, name: D}\n"
				   "  - localhost:5\n",
				   NULL);
	static const char *const expected[][2] = {
	    {"inproc:web-1", "W-1"}, {"127.0.0.1:2", "W-2"}, {"[::1]:3", "W-3"}, {"inproc:db", "db"},
	    {"a:1", "two-1"},        {"b:2", "two-2"},       {"inproc:db", "D"}, {"localhost:5", NULL}};

	ck_assert_msg(m.err == SD_OK, "%s", m.e.text);
	ck_assert_str_eq(sd_conf_string(m.conf, "upstream"), "inproc:db");
	ck_assert_uint_eq(sd_conf_count(m.conf, "peers"), 4);
	ck_assert_str_eq(sd_conf_list_item(m.conf, "peers", 2), "[::1]:3");
	ck_assert_uint_eq(sd_conf_count(m.conf, "backends"), 8);
	for (size_t i = 0; i < 8; i++) {
		const struct sd_conf *row = sd_conf_row(m.conf, "backends", i);
		ck_assert_str_eq(sd_conf_string(row, "address"), expected[i][0]);
		ck_assert_pstr_eq(sd_conf_string(row, "name"), expected[i][1]);
		ck_assert_int_eq(sd_conf_int(row, "weight"), i < 3 ? 2 : 1);
	}
	done(&m);
	m = make_names(NULL, ARGS("--backend", "web,weight=3"));
	ck_assert_msg(m.err == SD_OK, "%s", m.e.text);
	ck_assert_uint_eq(sd_conf_count(m.conf, "backends"), 3);
	ck_assert_str_eq(sd_conf_string(sd_conf_row(m.conf, "backends", 2), "name"), "web-3");
	done(&m);
}
END_TEST

START_TEST(names_refused)
{
	check_refused(make_names("upstream: nobody\n", NULL), SD_EINVAL,
		      "s.yaml:1:11: upstream: expected " ADDRESS
		      ", or the name of a service, found \"nobody\"");
	check_refused(make_names("upstream: web\n", NULL), SD_EINVAL,
		      "s.yaml:1:11: upstream: expected one address, found \"web\", which has 3");
	check_refused(make_names("peers: [nobody]\n", NULL), SD_EINVAL,
		      "s.yaml:1:9: peers: expected " ADDRESS ", or the name of a service, found \"nobody\"");
}
END_TEST

/* ---- printing ---- */

/* `once` is what conf prints as; frees `text`, which is to read back to the same. */
static void check_reads_back(const char *once, char *text)
{
	struct made m = make(text, NULL);
	char *twice = sd_conf_print_yaml(m.conf, false);

	ck_assert_str_eq(once, twice);
	done(&m);
	free(text);
	free(twice);
}

START_TEST(print_yaml)
{
	struct made m =
	    make("name: 'yes'\nrate: 5/h\nhealth: {path: '/a b'}\ntags: []\n"
		 "backends: [{address: ':1', name: \"\\n\\u2028\\u0085\\\"\\\\\", tags: [x, 'y: z']}]\n",
		 ARGS("--port=1"));
	char *text = sd_conf_print_yaml(m.conf, true);

	ck_assert_str_eq(text, "port: 1  # --port\n"
			       "name: \"yes\"  # lb.yaml:1:7\n"
			       "verbose: false  # default\n"
			       "retries: 2  # default\n"
			       "offset: null  # not set\n"
			       "factor: 1.5  # default\n"
			       "error-rate: 0%  # default\n"
			       "max-body: 64KiB  # default\n"
			       "rate: 5/h  # lb.yaml:2:7\n"
			       "upstream: null  # not set\n"
			       "algorithm: round-robin  # default\n"
			       "log: null  # not set\n"
			       "tags: []  # lb.yaml:4:7\n"
			       "peers: null  # not set\n"
			       "health:\n"
			       "  interval: 5s  # default\n"
			       "  path: \"/a b\"  # lb.yaml:3:16\n"
			       "tls: null  # not set\n"
			       "backends:  # lb.yaml:5:11\n"
			       "  - address: \":1\"  # lb.yaml:5:22\n"
			       "    name: \"\\n\\u2028\\x85\\\"\\\\\"  # lb.yaml:5:34\n"
			       "    weight: 1  # default\n"
			       "    tags:  # lb.yaml:5:62\n"
			       "      - x\n"
			       "      - \"y: z\"\n"
			       "    tls: null  # not set\n"
			       "threads: 1  # default\n");
	free(text);
	text = sd_conf_print_yaml(m.conf, false);
	check_reads_back(text, strdup(text));
	free(text);
	done(&m);
}
END_TEST

START_TEST(print_round_trips)
{
	static const char *const texts[] = {
	    "",
	    "~",
	    "null",
	    "true",
	    "no",
	    "123",
	    "1.5",
	    "0x1f",
	    "-",
	    "- a",
	    "a: b",
	    "a:",
	    "# x",
	    "a # b",
	    "'",
	    "\"",
	    "\\",
	    " a",
	    "a ",
	    "[",
	    "{}",
	    "&a",
	    "*a",
	    "!a",
	    "%",
	    "@",
	    "`",
	    "\t",
	    "a\nb",
	    "\r",
	    "\x7f",
	    "\xc2\x80",
	    "\xef\xbb\xbf",
	    "\xef\xbf\xbe",
	    "\xf0\x9f\x98\x80",
	    "1e9",
	    "inf",
	    ".nan",
	    "127.0.0.1:80",
	    "a,b",
	    "?",
	    "...",
	    "---",
	};

	for (size_t i = 0; i < sizeof texts / sizeof *texts; i++) {
		char arg[64];
		snprintf(arg, sizeof arg, "--name=%s", texts[i]);
		struct made m = make(NULL, ARGS(arg, "--secret=x"));
		char *yaml = sd_conf_print_yaml(m.conf, false);
		struct made n = make(yaml, NULL);
		ck_assert_str_eq(sd_conf_string(n.conf, "name"), texts[i]);
		ck_assert_str_eq(sd_conf_string(n.conf, "secret"), "x");
		free(yaml);
		done(&m);
		done(&n);
	}
}
END_TEST

START_TEST(print_json)
{
	struct made m = make(NULL, ARGS("--offset=9007199254740993", "--backend=a:1", "--verbose"));
	char *text = sd_conf_print_json(m.conf);

	ck_assert_ptr_nonnull(strstr(text, "\"offset\":\t9007199254740993,"));
	ck_assert_ptr_nonnull(strstr(text, "\"verbose\":\ttrue,"));
	ck_assert_ptr_nonnull(strstr(text, "\"max-body\":\t\"64KiB\","));
	ck_assert_ptr_nonnull(strstr(text, "\"name\":\tnull,"));
	ck_assert_ptr_nonnull(strstr(text, "\"address\":\t\"a:1\","));
	char *yaml = sd_conf_print_yaml(m.conf, false);
	check_reads_back(yaml, text);
	free(yaml);
	done(&m);
}
END_TEST

/* ---- the difference of two ---- */

#define NOTES_MAX 512

static void note(void *arg, const char *path)
{
	char *out = arg;

	size_t n = strlen(out);
	snprintf(out + n, NOTES_MAX - n, "%s ", path);
}

static void check_diff(const char *const *a, const char *const *b, const char *expected)
{
	struct made m = make(NULL, a), n = make(NULL, b);
	char out[NOTES_MAX] = "";

	sd_conf_diff_fixed(m.conf, n.conf, note, out);
	ck_assert_str_eq(out, expected);
	done(&m);
	done(&n);
}

START_TEST(diff_fixed)
{
	check_diff(NULL, NULL, "");
	check_diff(NULL, ARGS("--port=8080"), "");
	check_diff(ARGS("--port=1"), ARGS("--port=2"), "port ");
	check_diff(ARGS("--verbose"), ARGS("--algorithm=random"), "");
	check_diff(ARGS("--health-interval=1s"), ARGS("--health-path=/x"), "health.path ");
	check_diff(ARGS("--backend=a:1"), ARGS("--backend=b:1"), "");
	check_diff(ARGS("--tags=a"), ARGS("--tags=a,b", "--factor=2", "--name=x"), "name factor tags ");
	check_diff(ARGS("--tags=a,c"), ARGS("--tags=a,b"), "tags ");
	check_diff(ARGS("--tls-cert=a"), ARGS("--tls-cert=b", "--tls-min=1.3"), "tls.cert ");
	check_diff(ARGS("--name=a"), ARGS("--name=a"), "");
}
END_TEST

/* ---- faults of the program ---- */

START_TEST(abort_unknown)
{
	struct made m = make(NULL, NULL);

	sd_conf_int(m.conf, "prot");
}
END_TEST

START_TEST(abort_type)
{
	struct made m = make(NULL, NULL);

	sd_conf_int(m.conf, "name");
}
END_TEST

START_TEST(abort_item)
{
	struct made m = make(NULL, NULL);

	sd_conf_row(m.conf, "backends", 0);
}
END_TEST

START_TEST(abort_default)
{
	static const struct sd_option bad[] = {{"port", SD_OPT_PORT, "x", ""}, {0}};
	struct sd_conf_sources from = {.applet = "x"};
	struct sd_conf *conf;

	sd_conf_make(bad, NULL, &from, &conf, NULL, NULL, NULL);
}
END_TEST

/* ---- all ---- */

static TCase *values(void)
{
	TCase *t = tcase_create("values");

	tcase_add_test(t, defaults);
	tcase_add_test(t, from_file);
	tcase_add_test(t, from_json);
	tcase_add_test(t, nulls);
	tcase_add_test(t, from_args);
	tcase_add_test(t, rows_from_args);
	tcase_add_test(t, precedence);
	tcase_add_test(t, operands);
	tcase_add_test(t, files);
	tcase_add_test(t, part_of_a_stack);
	tcase_add_test(t, names);
	return t;
}

static TCase *errors(void)
{
	TCase *t = tcase_create("errors");

	tcase_add_test(t, errors_in_files);
	tcase_add_test(t, errors_in_arguments);
	tcase_add_test(t, errors_in_environment);
	tcase_add_test(t, required);
	tcase_add_test(t, names_refused);
	tcase_add_test_raise_signal(t, abort_unknown, SIGABRT);
	tcase_add_test_raise_signal(t, abort_type, SIGABRT);
	tcase_add_test_raise_signal(t, abort_item, SIGABRT);
	tcase_add_test_raise_signal(t, abort_default, SIGABRT);
	return t;
}

static TCase *output(void)
{
	TCase *t = tcase_create("output");

	tcase_add_test(t, print_yaml);
	tcase_add_test(t, print_round_trips);
	tcase_add_test(t, print_json);
	tcase_add_test(t, diff_fixed);
	return t;
}

int main(void)
{
	Suite *s = suite_create("conf");

	suite_add_tcase(s, values());
	suite_add_tcase(s, errors());
	suite_add_tcase(s, output());
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
