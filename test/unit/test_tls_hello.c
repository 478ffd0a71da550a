/* ClientHellos: made by hand and by OpenSSL, over records of every size, byte by byte, cut off everywhere, and with what
 * breaks a rule. */
#include <check.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/ssl.h>

#include "core/tls_hello.h"
#include "guard.h"

static struct guard guard;
static struct sd_tls_hello h;

static void setup(void)
{
	guard = guard_new(8 * SD_TLS_HELLO_MAX);
}

static void teardown(void)
{
	guard_free(&guard);
}

/* ---- making one ---- */

struct bytes {
	unsigned char b[8 * SD_TLS_HELLO_MAX];
	size_t n;
};

static void put(struct bytes *o, const void *p, size_t n)
{
	ck_assert_uint_le(o->n + n, sizeof(o->b));
	memcpy(o->b + o->n, p, n);
	o->n += n;
}

static void put_int(struct bytes *o, size_t v, unsigned bytes)
{
	while (bytes--)
		put(o, &(unsigned char){(unsigned char)(v >> 8 * bytes)}, 1);
}

static void put_vector(struct bytes *o, const void *p, size_t n, unsigned length_bytes)
{
	put_int(o, n, length_bytes);
	put(o, p, n);
}

static void put_extension(struct bytes *o, size_t type, const struct bytes *data)
{
	put_int(o, type, 2);
	put_vector(o, data->b, data->n, 2);
}

static void put_name(struct bytes *o, const void *name, size_t n)
{
	static struct bytes list, entry;
	list.n = entry.n = 0;
	put_int(&entry, 0, 1);
	put_vector(&entry, name, n, 2);
	put_vector(&list, entry.b, entry.n, 2);
	put_extension(o, 0, &list);
}

static void put_alpn(struct bytes *o, const char *wire)
{
	static struct bytes list;
	list.n = 0;
	put_vector(&list, wire, strlen(wire), 2);
	put_extension(o, 16, &list);
}

/* A body with these extensions; NULL: none, not even their length. */
static void put_body(struct bytes *o, const struct bytes *extensions)
{
	char random[32] = "random";
	put_int(o, 0x0303, 2);
	put(o, random, 32);
	put_vector(o, "session", 7, 1);
	put_vector(o, "\x13\x01\xc0\x2b", 4, 2);
	put_vector(o, "\0", 1, 1);
	if (extensions)
		put_vector(o, extensions->b, extensions->n, 2);
}

static void put_message(struct bytes *o, const struct bytes *body)
{
	put_int(o, 1, 1);
	put_vector(o, body->b, body->n, 3);
}

/* In records of at most `size` bytes. */
static void put_records(struct bytes *o, const struct bytes *message, size_t size)
{
	for (size_t at = 0; at < message->n; at += size) {
		put_int(o, 0x160301, 3);
		put_vector(o, message->b + at, message->n - at < size ? message->n - at : size, 2);
	}
}

static void make(struct bytes *o, const struct bytes *extensions, size_t record)
{
	static struct bytes body, message;
	body.n = message.n = o->n = 0;
	put_body(&body, extensions);
	put_message(&message, &body);
	put_records(o, &message, record);
}

/* ---- reading it ---- */

static enum sd_tls_hello_is look(const void *p, size_t n)
{
	h = (struct sd_tls_hello){0};
	return sd_tls_hello_read(&h, guard_put(&guard, p, n), n);
}

static enum sd_tls_hello_is look_at(const struct bytes *o)
{
	return look(o->b, o->n);
}

/* Everything that was said of it, for comparing. */
static void is_read(enum sd_tls_hello_is is, enum sd_tls_hello_is want, const char *name)
{
	ck_assert_msg(is == want, "expected %d, found %d: %s", want, is, h.why ? h.why : "");
	ck_assert_str_eq(h.name, name);
}

/* Whole; all but the last bytes, for every number of them; and as it grows byte by byte. */
static void in_every_way(const struct bytes *o, enum sd_tls_hello_is want, const char *name)
{
	is_read(look_at(o), want, name);
	for (size_t n = 0; n < o->n; n++)
		is_read(look(o->b, n), SD_TLS_HELLO_MORE, "");
	h = (struct sd_tls_hello){0};
	for (size_t n = 0; n < o->n; n++)
		is_read(sd_tls_hello_read(&h, guard_put(&guard, o->b, n), n), SD_TLS_HELLO_MORE, "");
	is_read(sd_tls_hello_read(&h, guard_put(&guard, o->b, o->n), o->n), want, name);
}

static void offers(const char *const *names)
{
	size_t n;
	for (size_t i = 0; names[i]; i++) {
		const uint8_t *p = sd_tls_hello_protocol(&h, i, &n);
		ck_assert_msg(p && n == strlen(names[i]) && memcmp(p, names[i], n) == 0, "%s is not offered", names[i]);
	}
	for (size_t i = 0; i < 3; i++)
		if (!names[i]) {
			ck_assert_ptr_null(sd_tls_hello_protocol(&h, i, &n));
			return;
		}
}

static struct bytes hello, extensions;

START_TEST(by_hand)
{
	static const size_t sizes[] = {16384, 100, 50, 7, 4, 3, 2, 1};
	extensions.n = 0;
	put_extension(&extensions, 0x0a0a, &(struct bytes){.n = 0});
	put_name(&extensions, "Api.TEST", 8);
	put_alpn(&extensions, "\x02h2\x08http/1.1");
	for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
		make(&hello, &extensions, sizes[i]);
		in_every_way(&hello, SD_TLS_HELLO_NAMED, "api.test");
		offers((const char *const[]){"h2", "http/1.1", NULL});
	}
	/* what the client says behind its hello is nothing of it */
	make(&hello, &extensions, 16384);
	put(&hello, "\x14\x03\x03\0\x01\x01", 6);
	is_read(look_at(&hello), SD_TLS_HELLO_NAMED, "api.test");
}
END_TEST

START_TEST(without_a_name)
{
	extensions.n = 0;
	make(&hello, NULL, 16384);
	in_every_way(&hello, SD_TLS_HELLO_NO_NAME, "");
	make(&hello, &extensions, 16384);
	in_every_way(&hello, SD_TLS_HELLO_NO_NAME, "");
	put_alpn(&extensions, "\x01x");
	make(&hello, &extensions, 9);
	in_every_way(&hello, SD_TLS_HELLO_NO_NAME, "");
	offers((const char *const[]){"x", NULL});
}
END_TEST

/* A name of n labels of 63 bytes, and one of `last`. */
static const char *long_name(int n, int last)
{
	static char name[400];
	size_t at = 0;
	for (int i = 0; i <= n; i++) {
		int len = i == n ? last : 63;
		memset(name + at, 'a' + i, (size_t)len);
		at += (size_t)len;
		name[at++] = '.';
	}
	name[at - 1] = '\0';
	return name;
}

static void is_name(const char *name, bool good)
{
	extensions.n = 0;
	put_name(&extensions, name, strlen(name));
	make(&hello, &extensions, 16384);
	is_read(look_at(&hello), good ? SD_TLS_HELLO_NAMED : SD_TLS_HELLO_BAD, good ? name : "");
}

START_TEST(names)
{
	static const char *const good[] = {"a", "localhost", "a.b", "x--y.example", "_dmarc.example", "1.2.3.example", "0x7f.a1",
					   "xn--bcher-kva.example"};
	static const char *const bad[] = {"",	     ".",	 "a.",	     ".a",     "a..b",	 "a b",	    "a\xc3\xa9.test",
					  "*.test",  "a/b",	 "a:443",    "10.0.0.1", "1.2.3", "[::1]", "::1",
					  "a\r\nb", "example.0"};
	for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++)
		is_name(good[i], true);
	for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		is_name(bad[i], false);
	is_name(long_name(3, 61), true); /* 253 */
	is_name(long_name(3, 62), false);
	is_name(long_name(0, 64), false);
	extensions.n = 0;
	put_name(&extensions, "api.test\0.evil", 14);
	make(&hello, &extensions, 16384);
	is_read(look_at(&hello), SD_TLS_HELLO_BAD, "");
}
END_TEST

static void is_refused(const struct bytes *o, const char *why)
{
	is_read(look_at(o), SD_TLS_HELLO_BAD, "");
	ck_assert_msg(strstr(h.why, why), "expected \"%s\", found \"%s\"", why, h.why);
	ck_assert_uint_eq(h.alpn_n, 0);
}

START_TEST(twice)
{
	struct bytes list = {.n = 0};
	extensions.n = 0;
	put_name(&extensions, "a.test", 6);
	put_name(&extensions, "b.test", 6);
	make(&hello, &extensions, 16384);
	is_refused(&hello, "a name twice");
	extensions.n = 0;
	put_int(&list, 18, 2);
	put(&list, "\0\0\6a.test\0\0\6b.test", 18);
	put_extension(&extensions, 0, &list);
	make(&hello, &extensions, 16384);
	is_refused(&hello, "more than one name");
	extensions.n = 0;
	put_alpn(&extensions, "\1x");
	put_alpn(&extensions, "\1x");
	make(&hello, &extensions, 16384);
	is_refused(&hello, "(ALPN) are there twice");
}
END_TEST

START_TEST(lists_that_are_odd)
{
	static const struct {
		size_t type;
		const char *data;
		size_t n;
		const char *why;
	} odd[] = {
	    {0, "", 0, "lengths"},
	    {0, "\0\0", 2, "lengths"},
	    {0, "\0\4\1\0\1a", 6, "no host name"},
	    {0, "\0\5\0\0\1a", 6, "lengths"},
	    {0, "\0\4\0\0\2a", 6, "lengths"},
	    {0, "\0\4\0\0\1aX", 7, "lengths"},
	    {16, "", 0, "lengths"},
	    {16, "\0\0", 2, "is empty"},
	    {16, "\0\1\0", 3, "without a name"},
	    {16, "\0\2\2x", 4, "lengths"},
	    {16, "\0\2\1xX", 5, "lengths"},
	};
	for (size_t i = 0; i < sizeof(odd) / sizeof(odd[0]); i++) {
		struct bytes data = {.n = 0};
		put(&data, odd[i].data, odd[i].n);
		extensions.n = 0;
		put_extension(&extensions, odd[i].type, &data);
		put_extension(&extensions, 1000, &(struct bytes){.n = 0});
		make(&hello, &extensions, 16384);
		is_refused(&hello, odd[i].why);
	}
}
END_TEST

/* Every length in the message one more or one less; only those that no other length has to agree with may pass. */
START_TEST(lengths_that_do_not_fit)
{
	static const size_t at[] = {43, 52, 57, 60}; /* id, suites, compressions, extensions */
	extensions.n = 0;
	put_name(&extensions, "a.test", 6);
	for (size_t i = 0; i < sizeof(at) / sizeof(at[0]); i++)
		for (int by = -1; by <= 1; by += 2) {
			make(&hello, &extensions, 16384);
			hello.b[at[i]] = (unsigned char)(hello.b[at[i]] + by);
			is_read(look_at(&hello), SD_TLS_HELLO_BAD, "");
		}
}
END_TEST

/* The vectors in front of the extensions, as long as they may be, and longer or shorter. */
static void of_lengths(size_t id, size_t suites, size_t compressions, bool good)
{
	static struct bytes body, message;
	static const char zeros[300];
	body.n = message.n = hello.n = 0;
	put_int(&body, 0x0303, 2);
	put(&body, zeros, 32);
	put_vector(&body, zeros, id, 1);
	put_vector(&body, zeros, suites, 2);
	put_vector(&body, zeros, compressions, 1);
	put_message(&message, &body);
	put_records(&hello, &message, 16384);
	is_read(look_at(&hello), good ? SD_TLS_HELLO_NO_NAME : SD_TLS_HELLO_BAD, "");
}

START_TEST(vectors)
{
	of_lengths(32, 2, 1, true);
	of_lengths(0, 300, 255, true);
	of_lengths(33, 2, 1, false);
	of_lengths(32, 0, 1, false);
	of_lengths(32, 3, 1, false);
	of_lengths(32, 2, 0, false);
}
END_TEST

START_TEST(records)
{
	extensions.n = 0;
	put_name(&extensions, "a.test", 6);
	/* nothing, or something else, between two */
	make(&hello, &extensions, 40);
	static struct bytes with;
	with.n = 0;
	put(&with, hello.b, 45);
	put(&with, "\x16\x03\x01\0\0", 5);
	put(&with, hello.b + 45, hello.n - 45);
	is_refused(&with, "empty");
	make(&hello, &extensions, 40);
	hello.b[45] = 0x17;
	is_refused(&hello, "between its records");
	/* something behind it in its record */
	make(&hello, &extensions, 16384);
	hello.b[4]++;
	put_int(&hello, 0, 1);
	is_refused(&hello, "behind it");
	/* another message */
	make(&hello, &extensions, 16384);
	hello.b[5] = 2;
	is_refused(&hello, "no ClientHello");
	/* longer than a record may be */
	make(&hello, &extensions, 16384);
	hello.b[3] = 0x40;
	hello.b[4] = 1;
	is_refused(&hello, "too long");
}
END_TEST

START_TEST(another_protocol)
{
	static const char *const other[] = {"GET / HTTP/1.1\r\n", "\r\n", "SSH-2.0-x", "\x16\x02\x01", "\x15\x03\x01", "PROXY TCP4 ", "\x80\x2e\x01\x03"};
	for (size_t i = 0; i < sizeof(other) / sizeof(other[0]); i++) {
		ck_assert_int_eq(look(other[i], strlen(other[i])), SD_TLS_HELLO_NOT_TLS);
		ck_assert_ptr_nonnull(h.why);
	}
	ck_assert_int_eq(look("", 0), SD_TLS_HELLO_MORE);
	ck_assert_int_eq(look("\x16", 1), SD_TLS_HELLO_MORE);
}
END_TEST

/* Up to 16 KiB with its records; beyond, refused as soon as its length is told, or at the latest when so much came. */
START_TEST(bounded)
{
	static struct bytes pad;
	extensions.n = 0;
	put_name(&extensions, "a.test", 6);
	for (size_t room = SD_TLS_HELLO_MAX - 2; room <= SD_TLS_HELLO_MAX + 7; room++) {
		extensions.n = 15;
		make(&hello, &extensions, 16384);
		pad.n = room - hello.n - 4;
		put_extension(&extensions, 21, &pad);
		make(&hello, &extensions, 16384);
		ck_assert_uint_eq(hello.n - room, room - 5 > 16384 ? 5 : 0);
		enum sd_tls_hello_is want = room <= SD_TLS_HELLO_MAX ? SD_TLS_HELLO_NAMED : SD_TLS_HELLO_BAD;
		is_read(look_at(&hello), want, want == SD_TLS_HELLO_NAMED ? "a.test" : "");
		make(&hello, &extensions, 1); /* six bytes for one */
		is_refused(&hello, "16 KiB");
		if (room <= SD_TLS_HELLO_MAX)
			ck_assert_int_eq(look(hello.b, SD_TLS_HELLO_MAX - 1), SD_TLS_HELLO_MORE);
	}
	/* a length of 16 MiB is refused at its fourth byte */
	ck_assert_int_eq(look("\x16\x03\x01\0\4\1\xff\xff\xff", 9), SD_TLS_HELLO_BAD);
}
END_TEST

/* More protocols than are kept: those that fit are told. */
START_TEST(many_protocols)
{
	char wire[600];
	size_t n = 0, len;
	for (int i = 0; i < 40; i++)
		n += (size_t)snprintf(wire + n, sizeof(wire) - n, "\x09proto-%03d", i);
	extensions.n = 0;
	put_alpn(&extensions, wire);
	make(&hello, &extensions, 100);
	is_read(look_at(&hello), SD_TLS_HELLO_NO_NAME, "");
	ck_assert_ptr_nonnull(sd_tls_hello_protocol(&h, 24, &len));
	ck_assert_ptr_null(sd_tls_hello_protocol(&h, 25, &len));
}
END_TEST

/* ---- OpenSSL's ---- */

static void by_openssl(int min, int max, const char *name, bool alpn)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	SSL_CTX_set_min_proto_version(ctx, min);
	SSL_CTX_set_max_proto_version(ctx, max);
	SSL *ssl = SSL_new(ctx);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());
	SSL_set_bio(ssl, in, out);
	if (name)
		SSL_set_tlsext_host_name(ssl, name);
	if (alpn)
		SSL_set_alpn_protos(ssl, (const unsigned char *)"\x02h2\x08http/1.1", 12);
	SSL_set_connect_state(ssl);
	ck_assert_int_ne(SSL_do_handshake(ssl), 1);
	hello.n = (size_t)BIO_read(out, hello.b, sizeof(hello.b));
	ck_assert_uint_gt(hello.n, 50);
	in_every_way(&hello, name ? SD_TLS_HELLO_NAMED : SD_TLS_HELLO_NO_NAME, name ? name : "");
	offers(alpn ? (const char *const[]){"h2", "http/1.1", NULL} : (const char *const[]){NULL});
	SSL_free(ssl);
	SSL_CTX_free(ctx);
}

START_TEST(openssl)
{
	for (int i = 0; i < 4; i++) {
		by_openssl(TLS1_2_VERSION, TLS1_2_VERSION, i & 1 ? "web.example.test" : NULL, i & 2);
		by_openssl(TLS1_3_VERSION, TLS1_3_VERSION, i & 1 ? "web.example.test" : NULL, i & 2);
		by_openssl(TLS1_2_VERSION, TLS1_3_VERSION, i & 1 ? "a" : NULL, i & 2);
	}
}
END_TEST

/* Whatever one byte of it is changed to: it is read or refused, and what is read is a name. */
START_TEST(every_byte)
{
	extensions.n = 0;
	put_name(&extensions, "api.test", 8);
	put_alpn(&extensions, "\x02h2");
	make(&hello, &extensions, 64);
	for (size_t i = 0; i < hello.n; i++)
		for (int v = 0; v < 256; v++) {
			unsigned char was = hello.b[i];
			hello.b[i] = (unsigned char)v;
			enum sd_tls_hello_is is = look_at(&hello);
			ck_assert_int_eq(h.why != NULL, is >= SD_TLS_HELLO_NOT_TLS);
			ck_assert_int_eq(h.name[0] != '\0', is == SD_TLS_HELLO_NAMED);
			hello.b[i] = was;
		}
}
END_TEST

int main(void)
{
	Suite *s = suite_create("tls_hello");
	TCase *t = tcase_create("tls_hello");
	tcase_set_timeout(t, 60);
	tcase_add_checked_fixture(t, setup, teardown);
	const TTest *tests[] = {by_hand, without_a_name, names,	  twice,	  lists_that_are_odd, lengths_that_do_not_fit, vectors,
				records, another_protocol, bounded, many_protocols, openssl,	       every_byte};
	for (size_t i = 0; i < sizeof(tests) / sizeof(tests[0]); i++)
		tcase_add_test(t, tests[i]);
	suite_add_tcase(s, t);
	SRunner *r = srunner_create(s);
	srunner_run_all(r, CK_NORMAL);
	int failed = srunner_ntests_failed(r);
	srunner_free(r);
	return failed != 0;
}
