/* A file of several services: what it means, and the words with which a wrong one is refused. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/stack.h"
#include "core/addr.h"

#define LIST(...) ((const char *const[]){__VA_ARGS__, NULL})
#define NONE      ((const char *const[]){NULL})

static size_t length(const char *const *list)
{
	size_t n = 0;
	while (list[n])
		n++;
	return n;
}

static enum sd_err make(const char *file, const char *text, const char *const *scale, const char *const *only,
			struct sd_stack **out, struct sd_error *e)
{
	struct sd_doc *doc;
	struct sd_stack_spec spec = {
	    .file = file, .scale = scale, .nscale = length(scale), .only = only, .nonly = length(only)};
	*e = (struct sd_error){0};
	*out = NULL;
	enum sd_err err = sd_doc_parse(file, text, strlen(text), &doc, e);
	return err ? err : sd_stack_make(doc, &spec, out, e);
}

static struct sd_stack *made(const char *text, const char *const *scale, const char *const *only)
{
	struct sd_stack *s;
	struct sd_error e;
	ck_assert_msg(make("s.yaml", text, scale, only, &s, &e) == SD_OK, "%s", e.text);
	return s;
}

static void refused_with(const char *text, const char *const *scale, const char *const *only,
			 enum sd_err code, const char *message)
{
	struct sd_stack *s;
	struct sd_error e;
	enum sd_err err = make("s.yaml", text, scale, only, &s, &e);
	ck_assert_str_eq(e.text, message);
	ck_assert_int_eq(err, code);
	ck_assert_int_eq(e.code, code);
	ck_assert_ptr_null(s);
}

static void refused(const char *text, const char *message)
{
	refused_with(text, NONE, NONE, SD_EINVAL, message);
}

/* The instances in their order, those that --only leaves out in brackets. */
static void is_order(const struct sd_stack *s, const char *want)
{
	char got[4096] = "";
	size_t n = 0;
	for (unsigned i = 0; i < s->ninstances; i++) {
		const struct sd_stack_instance *inst = &s->instances[i];
		n += (size_t)snprintf(got + n, sizeof(got) - n, inst->wanted ? "%s%s" : "%s(%s)",
				      i ? " " : "", inst->name);
	}
	ck_assert_str_eq(got, want);
}

static void order(const char *text, const char *want)
{
	struct sd_stack *s = made(text, NONE, NONE);
	is_order(s, want);
	sd_stack_free(s);
}

static struct sd_conf *conf_of(const struct sd_stack *s, const char *instance)
{
	struct sd_conf *conf;
	struct sd_error e = {0};
	for (unsigned i = 0; i < s->ninstances; i++) {
		if (strcmp(s->instances[i].name, instance) != 0)
			continue;
		ck_assert_msg(sd_stack_conf(s, &s->instances[i], &conf, &e) == SD_OK, "%s", e.text);
		return conf;
	}
	ck_abort_msg("no instance called %s", instance);
}

#define LB(more) "{applet: lb, backends: [" more "]}\n"

/* ---- order ---- */

START_TEST(order_of_the_file)
{
	order("services:\n  b: {applet: backend}\n  a: {applet: backend}\n  c: {applet: backend}\n", "b a c");
}
END_TEST

START_TEST(order_by_addresses)
{
	order("services:\n  front: " LB("{address: web}") "  web: {applet: backend}\n", "web front");
	order("services:\n  one: " LB("{address: two}") "  two: " LB(
		  "{address: three}") "  three: {applet: backend}\n",
	      "three two one");
	order("services:\n  front: " LB("{address: web-2}") "  web: {applet: backend, replicas: 2}\n",
	      "web-1 web-2 front");
	/* what has a port is an address of its own, not a service */
	order("services:\n  front: " LB("{address: \"web:80\"}") "  web: {applet: backend}\n", "front web");
}
END_TEST

START_TEST(order_by_after)
{
	order("services:\n  a: {applet: backend, after: b}\n  b: {applet: backend}\n", "b a");
	order("services:\n  a: {applet: backend, after: [c, b]}\n  b: {applet: backend}\n  c: {applet: "
	      "backend}\n",
	      "b c a");
	order("services:\n  a: {applet: backend, after: []}\n  b: {applet: backend}\n", "a b");
	order("services:\n  a: {applet: backend, after: b-2}\n  b: {applet: backend, replicas: 2}\n",
	      "b-1 b-2 a");
	/* by both ways */
	order("services:\n  a: {applet: lb, after: c, backends: [{address: b}]}\n  b: {applet: backend}\n"
	      "  c: {applet: backend}\n",
	      "b c a");
}
END_TEST

START_TEST(a_service_may_name_itself)
{
	order("services:\n  a: " LB("{address: a}"), "a");
}
END_TEST

START_TEST(cycles)
{
	refused("services:\n  a: {applet: backend, after: b}\n  b: {applet: backend, after: [a]}\n",
		"s.yaml:2:6: a needs, over others, itself: services cannot start in any order");
	refused("services:\n  a: {applet: backend}\n  b: {applet: backend, after: b}\n",
		"s.yaml:3:6: b needs, over others, itself: services cannot start in any order");
	refused("services:\n  a: " LB("{address: b}") "  b: " LB(
		    "{address: c}") "  c: {applet: backend, after: a}\n",
		"s.yaml:2:6: a needs, over others, itself: services cannot start in any order");
	/* one that only waits for a cycle is not to blame */
	refused("services:\n  x: {applet: backend, after: a}\n  a: {applet: backend, after: b}\n"
		"  b: {applet: backend, after: a}\n",
		"s.yaml:3:6: a needs, over others, itself: services cannot start in any order");
}
END_TEST

START_TEST(after_is_wrong)
{
	refused("services:\n  web: {applet: backend, after: [we]}\n",
		"s.yaml:2:34: after: no service called \"we\"; did you mean web?");
	refused("services:\n  web: {applet: backend, after: elsewhere}\n",
		"s.yaml:2:33: after: no service called \"elsewhere\"");
	refused("services:\n  web: {applet: backend, after: {a: b}}\n",
		"s.yaml:2:33: after: expected names of services");
	refused("services:\n  web: {applet: backend, after: [[web]]}\n",
		"s.yaml:2:34: after: expected names of services");
	refused("services:\n  a: {applet: backend, after: b-3}\n  b: {applet: backend, replicas: 2}\n",
		"s.yaml:2:31: after: no service called \"b-3\"");
	refused("services:\n  a: {applet: backend, after: b-02}\n  b: {applet: backend, replicas: 2}\n",
		"s.yaml:2:31: after: no service called \"b-02\"");
}
END_TEST

/* ---- what a file may say ---- */

START_TEST(top)
{
	struct sd_stack *s = made("services: {web: {applet: backend}}\n", NONE, NONE);
	ck_assert_str_eq(s->name, "s");
	ck_assert_str_eq(s->file, "s.yaml");
	ck_assert(!s->isolate);
	ck_assert_int_eq(s->restart_delay_ns, 1000000000);
	ck_assert_uint_eq(s->nservices, 1);
	ck_assert_str_eq(s->services[0].applet->name, "backend");
	sd_stack_free(s);
	s = made("name: my_Demo-1\nisolate: true\nrestart-delay: 250ms\nservices: {web: {applet: backend}}\n",
		 NONE, NONE);
	ck_assert_str_eq(s->name, "my_Demo-1");
	ck_assert(s->isolate);
	ck_assert_int_eq(s->restart_delay_ns, 250000000);
	sd_stack_free(s);
	sd_stack_free(NULL);
}
END_TEST

static void named(const char *file, const char *want)
{
	struct sd_stack *s;
	struct sd_error e;
	char name[SD_STACK_NAME_MAX];
	ck_assert_int_eq(make(file, "services: {web: {applet: backend}}\n", NONE, NONE, &s, &e), SD_OK);
	ck_assert_str_eq(s->name, want);
	sd_stack_free(s);
	sd_stack_name_from_file(file, name);
	ck_assert_str_eq(name, want);
}

START_TEST(name_of_the_file)
{
	named("demo.yaml", "demo");
	named("examples/a.b/demo.stack.yaml", "demo");
	named("/demo", "demo");
	named("my demo.yaml", "stack");
	named(".yaml", "stack");
	named("-", "-");
	named("a23456789-b23456789-c23456789-d23456789.yaml", "a23456789-b23456789-c23456789-");
}
END_TEST

START_TEST(top_is_wrong)
{
	static const char want[] = "services: expected at least one service, such as web: {applet: backend}";
	char message[200];
	snprintf(message, sizeof(message), "s.yaml:1:1: %s", want);
	refused("", message);
	refused("name: a\n", message);
	snprintf(message, sizeof(message), "s.yaml:1:11: %s", want);
	refused("services: {}\n", message);
	refused("services: [web]\n", message);
	refused("services: web\n", message);
	refused("[a]\n", "s.yaml:1:1: expected a map with services:");
	refused("name: a b\n", "s.yaml:1:7: name: expected letters, digits, - and _");
	refused("name: \"\"\n", "s.yaml:1:7: name: expected letters, digits, - and _");
	refused("name: [a]\n", "s.yaml:1:7: name: expected a single value");
	refused("isolate: maybe\n", "s.yaml:1:10: isolate: expected true or false, found \"maybe\"");
	refused("isolate: {a: b}\n", "s.yaml:1:10: isolate: expected a single value");
	refused("restart-delay: soon\n",
		"s.yaml:1:16: restart-delay: expected a duration such as 1s, found \"soon\"");
	refused("restart-delay: 0s\n",
		"s.yaml:1:16: restart-delay: expected a duration such as 1s, found \"0s\"");
	refused("servces: {}\n", "s.yaml:1:1: unknown key \"servces\"; did you mean services?");
	refused("\n  colour: red\n", "s.yaml:2:3: unknown key \"colour\"");
}
END_TEST

START_TEST(services_that_are_wrong)
{
	refused(
	    "services:\n  web: {applet: bakend}\n",
	    "s.yaml:2:17: applet: no service called \"bakend\"; did you mean backend (sdlab list shows all)");
	refused("services:\n  web: {applet: nothing-like-it}\n",
		"s.yaml:2:17: applet: no service called \"nothing-like-it\" (sdlab list shows all)");
	/* a stack is no part of a stack */
	refused("services:\n  web: {applet: up}\n",
		"s.yaml:2:17: applet: no service called \"up\" (sdlab list shows all)");
	refused("services:\n  web: {port: 1}\n",
		"s.yaml:2:8: web: expected applet: NAME, such as applet: backend");
	refused("services:\n  web: {applet: [backend]}\n",
		"s.yaml:2:17: web: expected applet: NAME, such as applet: backend");
	refused("services:\n  web: backend\n", "s.yaml:2:8: web: expected a map with applet: and options");
	refused("services:\n  web: {applet: backend, dely: 1s}\n",
		"s.yaml:2:26: unknown key \"dely\"; did you mean delay?");
	refused("services:\n  web: {applet: backend, delay: soon}\n",
		"s.yaml:2:33: delay: expected a duration such as 5s, found \"soon\"");
	refused_with("services:\n  web: {applet: lb}\n", NONE, NONE, SD_EUSAGE,
		     "service web: no backends: expected at least one, such as --backend 127.0.0.1:8081 or, "
		     "in the file, "
		     "backends: [{address: 127.0.0.1:8081}]");
	refused("services:\n  web: {applet: backend}\n  web: {applet: backend}\n",
		"s.yaml:3:3: the key \"web\" is there twice (first in line 2)");
	refused("services:\n  a: " LB("{address: x}"),
		"s.yaml:2:40: address: expected an address: HOST:PORT, [IPV6]:PORT, :PORT, unix:PATH or "
		"inproc:NAME, or the "
		"name of a service, found \"x\"");
}
END_TEST

START_TEST(names)
{
	order("services:\n  a-B_9: {applet: backend}\n", "a-B_9");
	order("services:\n  a2345678901234567890123456789012345: {applet: backend}\n",
	      "a2345678901234567890123456789012345");
	refused("services:\n  a.b: {applet: backend}\n",
		"s.yaml:2:3: \"a.b\": expected a name of letters, digits, - and _, at most 35 of them");
	refused("services:\n  \"\": {applet: backend}\n",
		"s.yaml:2:3: \"\": expected a name of letters, digits, - and _, at most 35 of them");
	refused("services:\n  a23456789012345678901234567890123456: {applet: backend}\n",
		"s.yaml:2:3: \"a23456789012345678901234567890123456\": expected a name of letters, digits, - "
		"and _, at most 35 "
		"of them");
}
END_TEST

START_TEST(long_names_stay_apart)
{
	struct sd_stack *s = made("services:\n"
				  "  a234567890123456789012345678901234X: {applet: backend, replicas: 2}\n"
				  "  a234567890123456789012345678901234Y: {applet: backend, replicas: 2}\n",
				  NONE, NONE);
	is_order(s, "a234567890123456789012345678901234X-1 a234567890123456789012345678901234X-2 "
		    "a234567890123456789012345678901234Y-1 a234567890123456789012345678901234Y-2");
	sd_stack_free(s);
}
END_TEST

START_TEST(replicas_and_services_share_names)
{
	refused("services:\n  web: {applet: backend, replicas: 2}\n  web-2: {applet: backend}\n",
		"s.yaml:2:8: web: a replica would be called web-2, as another service is");
	refused_with("services:\n  web-1: {applet: backend}\n  web: {applet: backend}\n", LIST("web=3"), NONE,
		     SD_EINVAL, "s.yaml:3:8: web: a replica would be called web-1, as another service is");
	order("services:\n  web: {applet: backend, replicas: 2}\n  web-3: {applet: backend}\n",
	      "web-1 web-2 web-3");
	order("services:\n  web-1: {applet: backend}\n  web: {applet: backend}\n", "web-1 web");
}
END_TEST

/* ---- replicas and scale ---- */

START_TEST(replicas)
{
	struct sd_stack *s =
	    made("services:\n  web: {applet: backend, replicas: 3}\n  x: {applet: backend}\n", NONE, NONE);
	char addr[SD_ADDR_TEXT];
	is_order(s, "web-1 web-2 web-3 x");
	ck_assert_uint_eq(s->instances[2].index, 2);
	ck_assert_uint_eq(s->instances[2].service, 0);
	ck_assert_uint_eq(s->instances[3].service, 1);
	ck_assert_str_eq(sd_stack_address(s, "web-2", addr, sizeof(addr)), "inproc:web-2");
	snprintf(s->address_format, sizeof(s->address_format), "unix:/run/%%s.sock");
	ck_assert_str_eq(sd_stack_address(s, "x", addr, sizeof(addr)), "unix:/run/x.sock");
	sd_stack_free(s);
}
END_TEST

START_TEST(replicas_that_are_wrong)
{
	static const char *const bad[] = {"0", "65", "-1", "some", "\"\"", "[1]", "{a: b}"};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char text[100];
		snprintf(text, sizeof(text), "services:\n  web: {applet: backend, replicas: %s}\n", bad[i]);
		refused(text, "s.yaml:2:36: replicas: expected a number from 1 to 64");
	}
}
END_TEST

START_TEST(scale)
{
	static const char text[] =
	    "services:\n  web: {applet: backend, replicas: 3}\n  x: {applet: backend}\n";
	struct sd_stack *s = made(text, LIST("web=2", "x=2"), NONE);
	is_order(s, "web-1 web-2 x-1 x-2");
	sd_stack_free(s);
	s = made(text, LIST("web=1"), NONE);
	is_order(s, "web x");
	sd_stack_free(s);
}
END_TEST

START_TEST(scale_that_is_wrong)
{
	static const char text[] = "services:\n  web: {applet: backend}\n  y: {applet: backend}\n";
	static const char *const bad[] = {"web", "web=", "web=0", "web=65", "web=two", "=", ""};
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		char message[200];
		snprintf(message, sizeof(message),
			 "--scale: expected NAME=N with N from 1 to 64, found \"%s\"", bad[i]);
		refused_with(text, LIST(bad[i]), NONE, SD_EUSAGE, message);
	}
	refused_with(text, LIST("wep=2"), NONE, SD_EUSAGE,
		     "--scale: no service called \"wep\"; did you mean web?");
	refused_with(text, LIST("=2"), NONE, SD_EUSAGE, "--scale: no service called \"\"");
	refused_with(text, LIST("web-1=2"), NONE, SD_EUSAGE,
		     "--scale: no service called \"web-1\"; did you mean web?");
	refused_with(text, LIST("a-name-of-more-than-forty-letters-is-not-a-name=2"), NONE, SD_EUSAGE,
		     "--scale: no service called \"a-name-of-more-than-forty-letters-is-no\"");
}
END_TEST

/* Ports of replicas count up from what the file says. */
START_TEST(ports)
{
	struct sd_stack *s =
	    made("services:\n"
		 "  web: {applet: backend, replicas: 3, port: 9000, admin: \"127.0.0.1:9100\"}\n"
		 "  six: {applet: backend, replicas: 2, admin: \"[::1]:9200\"}\n"
		 "  any: {applet: backend, replicas: 2, port: 0}\n",
		 NONE, NONE);
	static const struct {
		const char *instance, *admin;
		int port;
	} want[] = {
	    {"web-1", "127.0.0.1:9100", 9000},
	    {"web-2", "127.0.0.1:9101", 9001},
	    {"web-3", "127.0.0.1:9102", 9002},
	    {"six-1", "[::1]:9200", 8081},
	    {"six-2", "[::1]:9201", 8081},
	    {"any-1", NULL, 0},
	    {"any-2", NULL, 0},
	};
	for (size_t i = 0; i < sizeof(want) / sizeof(want[0]); i++) {
		struct sd_conf *conf = conf_of(s, want[i].instance);
		ck_assert_int_eq(sd_conf_int(conf, "port"), want[i].port);
		if (want[i].admin)
			ck_assert_str_eq(sd_conf_string(conf, "admin"), want[i].admin);
		sd_conf_free(conf);
	}
	struct sd_error e = {0};
	ck_assert_int_eq(sd_stack_check(s, &e), SD_OK);
	sd_stack_free(s);
}
END_TEST

START_TEST(ports_run_out)
{
	struct sd_stack *s =
	    made("services:\n  web: {applet: backend, replicas: 2, port: 65535}\n", NONE, NONE);
	struct sd_error e = {0};
	ck_assert_int_eq(sd_stack_check(s, &e), SD_EUSAGE);
	ck_assert_str_eq(e.text, "service web-2: --port: expected a port from 0 to 65535, found \"65536\"");
	sd_stack_free(s);
}
END_TEST

/* ---- names as addresses ---- */

static void is_row(const struct sd_conf *conf, size_t i, const char *address, const char *name, int weight)
{
	const struct sd_conf *row = sd_conf_row(conf, "backends", i);
	ck_assert_str_eq(sd_conf_string(row, "address"), address);
	ck_assert_str_eq(sd_conf_string(row, "name"), name);
	ck_assert_int_eq(sd_conf_int(row, "weight"), weight);
}

START_TEST(a_name_becomes_backends)
{
	struct sd_stack *s =
	    made("services:\n"
		 "  web: {applet: backend, replicas: 3}\n"
		 "  one: {applet: backend}\n"
		 "  front: " LB("{address: web, weight: 5}, {address: one}, {address: web-2, name: again}, "
				"{address: \"127.0.0.1:80\", name: far}"),
		 NONE, NONE);
	struct sd_conf *conf = conf_of(s, "front");
	ck_assert_uint_eq(sd_conf_count(conf, "backends"), 6);
	is_row(conf, 0, "inproc:web-1", "web-1", 5);
	is_row(conf, 1, "inproc:web-2", "web-2", 5);
	is_row(conf, 2, "inproc:web-3", "web-3", 5);
	is_row(conf, 3, "inproc:one", "one", 1);
	is_row(conf, 4, "inproc:web-2", "again", 1);
	is_row(conf, 5, "127.0.0.1:80", "far", 1);
	sd_conf_free(conf);
	/* one process each */
	snprintf(s->address_format, sizeof(s->address_format), "unix:/run/%%s.sock");
	conf = conf_of(s, "front");
	is_row(conf, 2, "unix:/run/web-3.sock", "web-3", 5);
	is_row(conf, 3, "unix:/run/one.sock", "one", 1);
	sd_conf_free(conf);
	sd_stack_free(s);
}
END_TEST

/* A file that names the first replica still works when there is only one. */
START_TEST(the_only_replica)
{
	struct sd_stack *s =
	    made("services:\n  front: " LB("{address: web-1}") "  web: {applet: backend, replicas: 2}\n",
		 LIST("web=1"), NONE);
	is_order(s, "web front");
	struct sd_conf *conf = conf_of(s, "front");
	ck_assert_str_eq(sd_conf_string(sd_conf_row(conf, "backends", 0), "address"), "inproc:web");
	sd_conf_free(conf);
	sd_stack_free(s);
}
END_TEST

START_TEST(a_full_service_as_backends)
{
	char address[40];
	struct sd_stack *s = made(
	    "services:\n  front: " LB(
		"{address: a2345678901234567890123456789012345}") "  a2345678901234567890123456789012345: "
								  "{applet: backend, replicas: 63}\n",
	    NONE, NONE);
	char dir[SD_STACK_NAME_MAX * 2];
	struct sd_conf *conf = conf_of(s, "front");
	ck_assert_uint_eq(sd_conf_count(conf, "backends"), 63);
	snprintf(address, sizeof(address), "a2345678901234567890123456789012345-%d", 63);
	ck_assert_str_eq(sd_conf_string(sd_conf_row(conf, "backends", 62), "name"), address);
	sd_conf_free(conf);
	/* with the longest folder of sockets */
	memset(dir, 'd', sizeof(dir));
	snprintf(s->address_format, sizeof(s->address_format), "unix:/%.54s/%%s.sock", dir);
	conf = conf_of(s, "front");
	ck_assert_uint_eq(sd_conf_count(conf, "backends"), 63);
	sd_conf_free(conf);
	sd_stack_free(s);
}
END_TEST

START_TEST(one_address_is_wanted)
{
	refused("services:\n  web: {applet: backend, replicas: 2}\n  x: {applet: backend, admin: web}\n",
		"s.yaml:3:31: admin: expected one address, found \"web\", which has 2");
	order("services:\n  web: {applet: backend, replicas: 2}\n  x: {applet: backend, admin: web-2}\n",
	      "web-1 web-2 x");
}
END_TEST

/* ---- --only ---- */

START_TEST(only)
{
	static const char text[] = "services:\n"
				   "  one: " LB("{address: two}") "  two: " LB(
				       "{address: three}") "  three: {applet: backend}\n"
							   "  four: {applet: backend, after: five}\n"
							   "  five: {applet: backend, replicas: 2}\n";
	static const struct {
		const char *only[3], *want;
	} cases[] = {
	    {{"three"}, "three (two) (one) (five-1) (five-2) (four)"},
	    {{"one"}, "three two one (five-1) (five-2) (four)"},
	    {{"two", "four"}, "three two (one) five-1 five-2 four"},
	    {{"five", "five"}, "(three) (two) (one) five-1 five-2 (four)"},
	};
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		struct sd_stack *s = made(text, NONE, cases[i].only);
		is_order(s, cases[i].want);
		sd_stack_free(s);
	}
	refused_with(text, NONE, LIST("one", "tree"), SD_EUSAGE,
		     "--only: no service called \"tree\"; did you mean three?");
	refused_with(text, NONE, LIST("five-1"), SD_EUSAGE,
		     "--only: no service called \"five-1\"; did you mean five?");
}
END_TEST

/* ---- limits ---- */

static char *many(int n, const char *more)
{
	static char text[8192];
	size_t k = (size_t)snprintf(text, sizeof(text), "services:\n");
	for (int i = 0; i < n; i++)
		k += (size_t)snprintf(text + k, sizeof(text) - k,
				      "  s%02d: {applet: backend, after: s%02d}\n", i, i + 1 < n ? i + 1 : 0);
	/* the last needs nothing */
	char *last = strrchr(text, ',');
	snprintf(last, sizeof(text) - (size_t)(last - text), "%s}\n", more);
	return text;
}

START_TEST(many_services)
{
	struct sd_stack *s = made(many(64, ""), NONE, NONE);
	ck_assert_uint_eq(s->nservices, 64);
	ck_assert_uint_eq(s->ninstances, 64);
	ck_assert_str_eq(s->instances[0].name, "s63");
	ck_assert_str_eq(s->instances[63].name, "s00");
	ck_assert(s->services[0].needs == 2);
	sd_stack_free(s);
	s = made(many(64, ""), NONE, LIST("s62"));
	ck_assert(s->instances[0].wanted && s->instances[1].wanted && !s->instances[2].wanted);
	sd_stack_free(s);
	refused(many(65, ""), "s.yaml:66:3: more than 64 services");
}
END_TEST

START_TEST(many_instances)
{
	struct sd_stack *s = made("services:\n  web: {applet: backend, replicas: 64}\n", NONE, NONE);
	ck_assert_uint_eq(s->ninstances, 64);
	ck_assert_str_eq(s->instances[63].name, "web-64");
	sd_stack_free(s);
	refused_with(many(64, ", replicas: 2"), NONE, NONE, SD_ERANGE,
		     "s.yaml: 65 instances: expected at most 64");
	refused_with(many(2, ""), LIST("s00=64", "s01=64"), NONE, SD_ERANGE,
		     "s.yaml: 128 instances: expected at most 64");
}
END_TEST

int main(void)
{
	const struct {
		const char *name;
		const TTest *tests[12];
	} cases[] = {
	    {"order",
	     {order_of_the_file, order_by_addresses, order_by_after, a_service_may_name_itself, cycles,
	      after_is_wrong}},
	    {"file",
	     {top, name_of_the_file, top_is_wrong, services_that_are_wrong, names, long_names_stay_apart,
	      replicas_and_services_share_names}},
	    {"replicas",
	     {replicas, replicas_that_are_wrong, scale, scale_that_is_wrong, ports, ports_run_out}},
	    {"addresses",
	     {a_name_becomes_backends, the_only_replica, a_full_service_as_backends, one_address_is_wanted}},
	    {"limits", {only, many_services, many_instances}},
	};
	Suite *s = suite_create("stack");
	for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		TCase *c = tcase_create(cases[i].name);
		for (const TTest *const *t = cases[i].tests; *t; t++)
			tcase_add_test(c, *t);
		suite_add_tcase(s, c);
	}
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
