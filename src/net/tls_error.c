/* tls_error.c - OpenSSL's reasons in words for people, and in classes for counters. */
#include <stdio.h>
#include <string.h>

#include <openssl/err.h>
#include <openssl/x509v3.h>

#include "tls_int.h"

const char *sd_tls_reason_text(enum sd_tls_reason r)
{
	static const char *const texts[] = {
#define X(code, text) text,
	    SD_TLS_REASON_LIST(X)
#undef X
	};
	return r < SD_TLS_REASONS ? texts[r] : "other";
}

/* ---- names ---- */

static bool common_name(X509 *cert, char *out, size_t n)
{
	int len = X509_NAME_get_text_by_NID(X509_get_subject_name(cert), NID_commonName, out, (int)n);
	for (int i = 0; i < len && (size_t)i < n; i++)
		if ((unsigned char)out[i] < ' ' || out[i] == 127)
			out[i] = '?'; /* it goes into a line of the log */
	return len > 0;
}

static bool first_name(X509 *cert, char *out, size_t n)
{
	GENERAL_NAMES *names = X509_get_ext_d2i(cert, NID_subject_alt_name, NULL, NULL);
	bool found = false;
	for (int i = 0; !found && i < sk_GENERAL_NAME_num(names); i++) {
		const GENERAL_NAME *g = sk_GENERAL_NAME_value(names, i);
		if (g->type != GEN_DNS)
			continue;
		snprintf(out, n, "%.*s", ASN1_STRING_length(g->d.dNSName), (const char *)ASN1_STRING_get0_data(g->d.dNSName));
		found = true;
	}
	GENERAL_NAMES_free(names);
	return found;
}

void tls_subject(X509 *cert, char *out, size_t n)
{
	char name[128];
	if (common_name(cert, name, sizeof(name)))
		snprintf(out, n, "CN=%s", name);
	else if (first_name(cert, name, sizeof(name)))
		snprintf(out, n, "%s", name);
	else
		snprintf(out, n, "no name");
}

const char *tls_first_error(char out[SD_TLS_TEXT])
{
	unsigned long code = ERR_get_error();
	const char *text = code ? ERR_reason_error_string(code) : NULL;
	snprintf(out, SD_TLS_TEXT, "%s", text ? text : "unknown reason");
	ERR_clear_error();
	return out;
}

/* ---- certificates that were not accepted ---- */

static enum sd_tls_reason class_of(long verify)
{
	switch (verify) {
	case X509_V_ERR_CERT_HAS_EXPIRED:
	case X509_V_ERR_CERT_NOT_YET_VALID:
		return SD_TLS_EXPIRED;
	case X509_V_ERR_HOSTNAME_MISMATCH:
	case X509_V_ERR_IP_ADDRESS_MISMATCH:
		return SD_TLS_WRONG_NAME;
	default:
		return SD_TLS_UNTRUSTED;
	}
}

static enum sd_tls_reason explain_certificate(SSL *ssl, long verify, char out[SD_TLS_TEXT])
{
	struct sd_tls_target *target = tls_io_target(ssl);
	const char *subject = tls_io_refused(ssl);
	const char *who = target ? "certificate" : "client certificate";
	enum sd_tls_reason reason = class_of(verify);
	if (verify == X509_V_ERR_CERT_HAS_EXPIRED)
		snprintf(out, SD_TLS_TEXT, "%s has expired (%s)", who, subject);
	else if (verify == X509_V_ERR_CERT_NOT_YET_VALID)
		snprintf(out, SD_TLS_TEXT, "%s is not valid yet (%s)", who, subject);
	else if (reason == SD_TLS_WRONG_NAME)
		snprintf(out, SD_TLS_TEXT, "%s is not for %.80s (%s)", who, target ? target->name : "this name", subject);
	else
		snprintf(out, SD_TLS_TEXT, "%s is not trusted: %.90s (%s)", who, X509_verify_cert_error_string(verify), subject);
	return reason;
}

/* ---- everything else ---- */

static const struct {
	int reason;
	enum sd_tls_reason class;
	const char *text;
} causes[] = {
    {SSL_R_PEER_DID_NOT_RETURN_A_CERTIFICATE, SD_TLS_NO_CERTIFICATE, "the client sent no certificate"},
    {SSL_R_UNSUPPORTED_PROTOCOL, SD_TLS_VERSION, "the peer speaks only versions that are not allowed here"},
    {SSL_R_VERSION_TOO_LOW, SD_TLS_VERSION, "the peer speaks only versions that are not allowed here"},
    {SSL_R_TLSV1_ALERT_PROTOCOL_VERSION, SD_TLS_VERSION, "the peer refused our versions"},
    {SSL_R_NO_SHARED_CIPHER, SD_TLS_CIPHER, "no cipher in common"},
    {SSL_R_NO_SUITABLE_SIGNATURE_ALGORITHM, SD_TLS_CIPHER, "no signature algorithm in common"},
    {SSL_R_NO_SHARED_GROUPS, SD_TLS_CIPHER, "no group for key exchange in common"},
    {SSL_R_NO_SUITABLE_KEY_SHARE, SD_TLS_CIPHER, "no group for key exchange in common"},
    {SSL_R_NO_APPLICATION_PROTOCOL, SD_TLS_ALPN, "no application protocol (ALPN) in common"},
    {SSL_R_TLSV1_ALERT_NO_APPLICATION_PROTOCOL, SD_TLS_ALPN, "the peer has no application protocol (ALPN) in common"},
    {SSL_R_HTTP_REQUEST, SD_TLS_NOT_TLS, "a plain HTTP request came"},
    {SSL_R_WRONG_VERSION_NUMBER, SD_TLS_NOT_TLS, "what came is not TLS"},
    {SSL_R_PACKET_LENGTH_TOO_LONG, SD_TLS_NOT_TLS, "what came is not TLS"},
    {SSL_R_HTTPS_PROXY_REQUEST, SD_TLS_NOT_TLS, "a request to a proxy came"},
    {SSL_R_BAD_RECORD_TYPE, SD_TLS_NOT_TLS, "what came is not TLS"},
    {SSL_R_TLSV1_ALERT_UNKNOWN_CA, SD_TLS_ALERT, "the peer does not trust our certificate (unknown CA)"},
    {SSL_R_SSLV3_ALERT_BAD_CERTIFICATE, SD_TLS_ALERT, "the peer refused our certificate"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_EXPIRED, SD_TLS_ALERT, "the peer says that our certificate has expired"},
    {SSL_R_SSLV3_ALERT_CERTIFICATE_UNKNOWN, SD_TLS_ALERT, "the peer refused our certificate"},
    {SSL_R_TLSV13_ALERT_CERTIFICATE_REQUIRED, SD_TLS_NO_CERTIFICATE, "the peer wants a certificate of ours"},
    {SSL_R_SSLV3_ALERT_HANDSHAKE_FAILURE, SD_TLS_ALERT, "the peer ended the handshake (no cipher in common, or no certificate)"},
    {SSL_R_UNEXPECTED_EOF_WHILE_READING, SD_TLS_CLOSED, "the peer closed during the handshake"},
};

static enum sd_tls_reason explain_code(unsigned long code, char out[SD_TLS_TEXT])
{
	int reason = ERR_GET_REASON(code);
	for (size_t i = 0; i < sizeof(causes) / sizeof(causes[0]); i++)
		if (causes[i].reason == reason) {
			snprintf(out, SD_TLS_TEXT, "%s", causes[i].text);
			return causes[i].class;
		}
	const char *text = ERR_reason_error_string(code);
	snprintf(out, SD_TLS_TEXT, "the handshake failed: %.200s", text ? text : "unknown reason");
	return reason > SSL_AD_REASON_OFFSET ? SD_TLS_ALERT : SD_TLS_OTHER;
}

enum sd_tls_reason tls_explain(SSL *ssl, bool ended, char out[SD_TLS_TEXT])
{
	unsigned long code = ERR_peek_error();
	long verify = SSL_get_verify_result(ssl);
	if (code && ERR_GET_LIB(code) == ERR_LIB_SSL && ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED &&
	    verify != X509_V_OK)
		return explain_certificate(ssl, verify, out);
	if (code && ERR_GET_LIB(code) == ERR_LIB_SSL)
		return explain_code(code, out);
	if (ended) {
		snprintf(out, SD_TLS_TEXT, "the peer closed during the handshake");
		return SD_TLS_CLOSED;
	}
	char text[SD_TLS_TEXT];
	snprintf(out, SD_TLS_TEXT, "the handshake failed: %.200s", tls_first_error(text));
	return SD_TLS_OTHER;
}
