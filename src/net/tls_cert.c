/* tls_cert.c - making certificates to try things with, and saying what is in one. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>

#include "core/text.h"
#include "core/time_text.h"
#include "tls_int.h"

void sd_tls_pair_free(struct sd_tls_pair *p)
{
	if (p->key)
		OPENSSL_cleanse(p->key, strlen(p->key));
	free(p->key);
	free(p->cert);
	*p = (struct sd_tls_pair){0};
}

/* ---- making ---- */

static bool add_ext(X509 *cert, X509 *issuer, int nid, const char *value)
{
	X509V3_CTX ctx;
	X509V3_set_ctx(&ctx, issuer, cert, NULL, NULL, 0);
	X509_EXTENSION *x = X509V3_EXT_conf_nid(NULL, &ctx, nid, value);
	bool good = x && X509_add_ext(cert, x, -1) == 1;
	X509_EXTENSION_free(x);
	return good;
}

static bool add_names(X509 *cert, const char *const *names)
{
	struct sd_text text = {0};
	for (size_t i = 0; names[i]; i++) {
		uint8_t ip[16];
		bool v6;
		bool is_ip = sd_ip_parse(sd_slice_of(names[i]), ip, &v6);
		sd_text_format(&text, "%s%s:%s", i ? "," : "", is_ip ? "IP" : "DNS", names[i]);
	}
	char *list = sd_text_take(&text, NULL);
	bool good = list && add_ext(cert, NULL, NID_subject_alt_name, list);
	free(list);
	return good;
}

static bool set_serial(X509 *cert)
{
	BIGNUM *n = BN_new();
	bool good = n && BN_rand(n, 127, BN_RAND_TOP_ANY, BN_RAND_BOTTOM_ANY) && BN_to_ASN1_INTEGER(n, X509_get_serialNumber(cert));
	BN_free(n);
	return good;
}

static bool set_subject(X509 *cert, const char *cn)
{
	return X509_NAME_add_entry_by_txt(X509_get_subject_name(cert), "CN", MBSTRING_UTF8, (const unsigned char *)cn, -1, -1, 0);
}

static bool add_uses(X509 *cert, X509 *issuer, const struct sd_tls_wish *wish)
{
	if (!wish->names)
		return add_ext(cert, issuer, NID_basic_constraints, "critical,CA:TRUE,pathlen:0") &&
		       add_ext(cert, issuer, NID_key_usage, "critical,keyCertSign,cRLSign") &&
		       add_ext(cert, issuer, NID_subject_key_identifier, "hash");
	return add_ext(cert, issuer, NID_basic_constraints, "critical,CA:FALSE") &&
	       add_ext(cert, issuer, NID_key_usage, "critical,digitalSignature") &&
	       add_ext(cert, issuer, NID_ext_key_usage, "serverAuth,clientAuth") &&
	       add_ext(cert, issuer, NID_subject_key_identifier, "hash") &&
	       (issuer == cert || add_ext(cert, issuer, NID_authority_key_identifier, "keyid:always")) &&
	       add_names(cert, wish->names);
}

static X509 *sign(const struct sd_tls_wish *wish, EVP_PKEY *key, X509 *issuer, EVP_PKEY *issuer_key)
{
	X509 *cert = X509_new();
	if (!cert)
		return NULL;
	if (!issuer) {
		issuer = cert;
		issuer_key = key;
	}
	bool good = X509_set_version(cert, X509_VERSION_3) && set_serial(cert) && set_subject(cert, wish->common_name) &&
		    X509_set_issuer_name(cert, X509_get_subject_name(issuer)) &&
		    ASN1_TIME_set(X509_getm_notBefore(cert), (time_t)wish->from_s) &&
		    ASN1_TIME_set(X509_getm_notAfter(cert), (time_t)wish->until_s) && X509_set_pubkey(cert, key) &&
		    add_uses(cert, issuer, wish) && X509_sign(cert, issuer_key, EVP_sha256());
	if (good)
		return cert;
	X509_free(cert);
	return NULL;
}

char *tls_text(const char *p, size_t n)
{
	char *text = malloc(n + 1);
	if (!text)
		return NULL;
	memcpy(text, p, n);
	text[n] = '\0';
	return text;
}

static char *take_text(BIO *b)
{
	char *p;
	long n = BIO_get_mem_data(b, &p);
	return n > 0 ? tls_text(p, (size_t)n) : NULL;
}

static bool write_pair(X509 *cert, EVP_PKEY *key, struct sd_tls_pair *out)
{
	BIO *c = BIO_new(BIO_s_mem()), *k = BIO_new(BIO_s_mem());
	if (c && k && PEM_write_bio_X509(c, cert) && PEM_write_bio_PrivateKey(k, key, NULL, NULL, 0, NULL, NULL))
		*out = (struct sd_tls_pair){take_text(c), take_text(k)};
	BIO_free(c);
	BIO_free(k);
	return out->cert && out->key;
}

static X509 *parse_cert(const char *pem)
{
	BIO *b = BIO_new_mem_buf(pem, -1);
	X509 *cert = b ? PEM_read_bio_X509(b, NULL, NULL, NULL) : NULL;
	BIO_free(b);
	return cert;
}

static EVP_PKEY *parse_key(const char *pem)
{
	BIO *b = BIO_new_mem_buf(pem, -1);
	EVP_PKEY *key = b ? PEM_read_bio_PrivateKey(b, NULL, NULL, NULL) : NULL;
	BIO_free(b);
	return key;
}

enum sd_err sd_tls_make(const struct sd_tls_wish *wish, const struct sd_tls_pair *by, struct sd_tls_pair *out,
			struct sd_error *e)
{
	char why[SD_TLS_TEXT];
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	ERR_clear_error();
	*out = (struct sd_tls_pair){0};
	EVP_PKEY *key = EVP_EC_gen("P-256"), *issuer_key = by ? parse_key(by->key) : NULL;
	X509 *issuer = by ? parse_cert(by->cert) : NULL;
	X509 *cert = key && (!by || (issuer && issuer_key)) ? sign(wish, key, issuer, issuer_key) : NULL;
	bool good = cert && write_pair(cert, key, out);
	X509_free(cert);
	X509_free(issuer);
	EVP_PKEY_free(key);
	EVP_PKEY_free(issuer_key);
	if (good)
		return SD_OK;
	sd_tls_pair_free(out);
	return sd_fail(e, SD_EINVAL, "cannot make a certificate for %.100s: %s", wish->common_name, tls_first_error(why));
}

/* ---- showing ---- */

static void put_name(struct sd_text *t, const char *what, X509_NAME *name)
{
	BIO *b = BIO_new(BIO_s_mem());
	char *text = NULL;
	if (b && X509_NAME_print_ex(b, name, 0, XN_FLAG_ONELINE & ~ASN1_STRFLGS_ESC_MSB) >= 0)
		text = take_text(b);
	sd_text_format(t, "  %-12s %s\n", what, text ? text : "(empty)");
	free(text);
	BIO_free(b);
}

static void put_ip(struct sd_text *t, const ASN1_OCTET_STRING *ip)
{
	struct sd_addr a = {.kind = SD_ADDR_INET, .v6 = ASN1_STRING_length(ip) == 16};
	char text[SD_ADDR_TEXT];
	memcpy(a.ip, ASN1_STRING_get0_data(ip), a.v6 ? 16 : 4);
	sd_addr_format_host(&a, text);
	sd_text_format(t, "%s", text);
}

static void put_names(struct sd_text *t, X509 *cert)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	bool first = true;
	for (int i = 0; i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		bool ip = g->type == GEN_IPADD && (ASN1_STRING_length(g->d.iPAddress) == 4 || ASN1_STRING_length(g->d.iPAddress) == 16);
		if (g->type != GEN_DNS && !ip)
			continue;
		sd_text_format(t, first ? "  %-12s " : ", ", "names");
		first = false;
		if (ip)
			put_ip(t, g->d.iPAddress);
		else
			sd_text_format(t, "%.*s", ASN1_STRING_length(g->d.dNSName),
				       (const char *)ASN1_STRING_get0_data(g->d.dNSName));
	}
	if (!first)
		sd_text_add(t, "\n", 1);
	GENERAL_NAMES_free(names);
}

static int64_t seconds_of(const ASN1_TIME *at)
{
	int days = 0, seconds = 0;
	ASN1_TIME *epoch = ASN1_TIME_set(NULL, 0);
	if (epoch)
		ASN1_TIME_diff(&days, &seconds, epoch, at);
	ASN1_TIME_free(epoch);
	return (int64_t)days * 86400 + seconds;
}

static void put_day(struct sd_text *t, int64_t at_s)
{
	int year;
	unsigned month, day;
	int64_t days = at_s / 86400 - (at_s % 86400 < 0);
	sd_civil_from_days(days, &year, &month, &day);
	sd_text_format(t, "%04d-%02u-%02u", year, month, day);
}

static void put_dates(struct sd_text *t, X509 *cert, int64_t now_s)
{
	int64_t from = seconds_of(X509_get0_notBefore(cert)), until = seconds_of(X509_get0_notAfter(cert));
	sd_text_format(t, "  %-12s ", "valid");
	put_day(t, from);
	sd_text_format(t, " to ");
	put_day(t, until);
	if (until < now_s)
		sd_text_format(t, ": EXPIRED %lld days ago\n", (long long)((now_s - until) / 86400));
	else if (from > now_s)
		sd_text_format(t, ": NOT YET\n");
	else
		sd_text_format(t, ": %lld days left\n", (long long)((until - now_s) / 86400));
}

static void put_key(struct sd_text *t, X509 *cert)
{
	EVP_PKEY *key = X509_get0_pubkey(cert);
	char group[40] = "";
	if (key && EVP_PKEY_is_a(key, "EC"))
		EVP_PKEY_get_group_name(key, group, sizeof(group), NULL);
	sd_text_format(t, "  %-12s %s %d bits%s%s%s\n", "key", key ? EVP_PKEY_get0_type_name(key) : "unknown",
		       key ? EVP_PKEY_get_bits(key) : 0, group[0] ? " (" : "", group, group[0] ? ")" : "");
}

static void put_cert(struct sd_text *t, X509 *cert, int number, int64_t now_s)
{
	unsigned char digest[EVP_MAX_MD_SIZE];
	unsigned n = 0;
	sd_text_format(t, "certificate %d%s\n", number, X509_check_ca(cert) ? " (a CA)" : "");
	put_name(t, "subject", X509_get_subject_name(cert));
	put_name(t, "issuer", X509_get_issuer_name(cert));
	put_names(t, cert);
	put_dates(t, cert, now_s);
	put_key(t, cert);
	X509_digest(cert, EVP_sha256(), digest, &n);
	sd_text_format(t, "  %-12s ", "sha256");
	for (unsigned i = 0; i < n; i++)
		sd_text_format(t, "%02x", digest[i]);
	sd_text_add(t, "\n", 1);
}

char *sd_tls_describe(const char *pem, size_t n, int64_t now_s, struct sd_error *e)
{
	struct sd_text t = {0};
	int k = 0;
	OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG, NULL);
	BIO *b = BIO_new_mem_buf(pem, (int)n);
	for (X509 *cert; b && (cert = PEM_read_bio_X509(b, NULL, NULL, NULL)); X509_free(cert))
		put_cert(&t, cert, ++k, now_s);
	BIO_free(b);
	ERR_clear_error();
	char *text = sd_text_take(&t, NULL);
	if (k == 0) {
		free(text);
		sd_fail(e, SD_EINVAL, "expected a certificate in PEM (-----BEGIN CERTIFICATE-----), found none");
		return NULL;
	}
	if (!text)
		sd_fail(e, SD_ENOMEM, "out of memory");
	return text;
}
