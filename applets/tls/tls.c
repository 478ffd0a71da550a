/* tls - certificates for people who want to try TLS, and what a certificate or a server says. */
#include "tls.h"

#include <stdlib.h>
#include <string.h>

#include "net/tls.h"
#include "world/file.h"

static const struct sd_option selfsigned_options[] = {
    {"name", SD_OPT_LIST, NULL, "host name or IP the certificate is for", .required = true, .meta = "NAME"},
    {"days", SD_OPT_INT, "90", "how long it is good", .min = 1, .max = 3650},
    {"out", SD_OPT_FILE, NULL, "folder for ca.pem, cert.pem and key.pem; made when it is not there", .required = true,
     .meta = "DIR"},
    {0},
};

static const struct sd_option show_options[] = {
    {"ca", SD_OPT_FILE, NULL, "PEM file with the CAs to trust; else those of the system"},
    {"name", SD_OPT_STRING, NULL, "the name to ask for and to check; else the host", .meta = "NAME"},
    {"timeout", SD_OPT_DURATION, "5s", "for each connection"},
    {0},
};

/* ---- selfsigned ---- */

enum { CA, CERT, KEY, FILES };
static const char *const file_names[FILES] = {"ca.pem", "cert.pem", "key.pem"};

struct folder {
	char path[FILES][512];
};

static enum sd_err check_names(const struct sd_conf *conf, struct sd_error *e)
{
	for (size_t i = 0; i < sd_conf_count(conf, "name"); i++) {
		const char *name = sd_conf_list_item(conf, "name", i);
		size_t n = strlen(name);
		if (n == 0 || n > 63 || strspn(name, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._*:") != n)
			return sd_fail(e, SD_EUSAGE, "--name: expected a host name such as lb.test, *.lb.test, or an IP, found \"%.80s\"",
				       name);
	}
	return SD_OK;
}

static enum sd_err open_folder(struct sd_world *w, const char *dir, struct folder *f, struct sd_error *e)
{
	unsigned mode;
	for (int i = 0; i < FILES; i++) {
		if (snprintf(f->path[i], sizeof(f->path[i]), "%s/%s", dir, file_names[i]) >= (int)sizeof(f->path[i]))
			return sd_fail(e, SD_EUSAGE, "--out: the name of the folder is too long");
		if (sd_world_file_mode(w, f->path[i], &mode))
			return sd_fail(e, SD_EEXISTS, "%s is there already; expected a folder without %s, %s and %s", f->path[i],
				       file_names[CA], file_names[CERT], file_names[KEY]);
	}
	return sd_world_mkdir(w, dir, 0755, e);
}

/* Nobody else may ever read it, not even for a moment. */
static enum sd_err write_key(struct sd_world *w, const char *name, const char *text, struct sd_error *e)
{
	struct sd_file *f;
	struct iovec v = {(char *)(uintptr_t)text, strlen(text)};
	enum sd_err err = sd_file_open(w, name, SD_FILE_WRITE | SD_FILE_CREATE | SD_FILE_NEW, &f, e);
	if (err)
		return err;
	err = sd_file_write(f, &v, 1, 0, e);
	sd_file_close(f);
	return err;
}

static enum sd_err make_pairs(struct sd_verb_call *call, struct sd_tls_pair *ca, struct sd_tls_pair *own, struct sd_error *e)
{
	const struct sd_conf *conf = call->conf;
	size_t n = sd_conf_count(conf, "name");
	const char **names = calloc(n + 1, sizeof(*names));
	if (!names)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	for (size_t i = 0; i < n; i++)
		names[i] = sd_conf_list_item(conf, "name", i);
	/* Clocks of two machines differ a little. */
	int64_t from = sd_world_wall_ns(call->world) / 1000000000 - 3600;
	int64_t until = from + 3600 + sd_conf_int(conf, "days") * 86400;
	struct sd_tls_wish wish = {.common_name = "sdlab test CA", .from_s = from, .until_s = until};
	enum sd_err err = sd_tls_make(&wish, NULL, ca, e);
	wish.common_name = names[0];
	wish.names = names;
	if (!err)
		err = sd_tls_make(&wish, ca, own, e);
	free(names);
	return err;
}

static enum sd_err write_pairs(struct sd_verb_call *call, const struct folder *f, const struct sd_tls_pair *ca,
			       const struct sd_tls_pair *own, struct sd_error *e)
{
	if (!own->key || !own->cert || !ca->cert)
		return sd_fail(e, SD_ENOMEM, "out of memory");
	enum sd_err err = write_key(call->world, f->path[KEY], own->key, e);
	if (!err)
		err = sd_world_write_file(call->world, f->path[CERT], own->cert, strlen(own->cert), e);
	if (!err)
		err = sd_world_write_file(call->world, f->path[CA], ca->cert, strlen(ca->cert), e);
	return err;
}

static enum sd_err write_all(struct sd_verb_call *call, const struct folder *f, struct sd_error *e)
{
	struct sd_tls_pair ca = {0}, own = {0};
	enum sd_err err = make_pairs(call, &ca, &own, e);
	if (!err)
		err = write_pairs(call, f, &ca, &own, e);
	/* The key of the CA goes: nobody can sign anything else that people were told to trust. */
	sd_tls_pair_free(&ca);
	sd_tls_pair_free(&own);
	return err;
}

static void say_next(struct sd_verb_call *call, const struct folder *f)
{
	const char *name = sd_conf_list_item(call->conf, "name", 0);
	fprintf(call->out, "Wrote %s, %s and %s, good for %d days.\n", f->path[CA], f->path[CERT], f->path[KEY],
		(int)sd_conf_int(call->conf, "days"));
	fprintf(call->out, "Try:\n");
	fprintf(call->out, "  sdlab backend --port 8443 --tls-cert %s --tls-key %s\n", f->path[CERT], f->path[KEY]);
	fprintf(call->out, "  curl --cacert %s --connect-to %s:443:127.0.0.1:8443 https://%s/\n", f->path[CA], name, name);
	fprintf(call->out, "  sdlab tls show 127.0.0.1:8443 --ca %s --name %s\n", f->path[CA], name);
}

int tls_selfsigned(struct sd_verb_call *call)
{
	struct sd_error e = {0};
	struct folder f;
	enum sd_err err = check_names(call->conf, &e);
	if (!err)
		err = open_folder(call->world, sd_conf_string(call->conf, "out"), &f, &e);
	if (!err)
		err = write_all(call, &f, &e);
	if (!err) {
		say_next(call, &f);
		return 0;
	}
	fprintf(call->err, "sdlab tls selfsigned: %s\n", e.text);
	return err == SD_EUSAGE ? 2 : 1;
}

/* ---- the applet ---- */

static const struct sd_verb verbs[] = {
    {"selfsigned", "", "make a certificate, its key and a CA that signed it", selfsigned_options, 0, 0, tls_selfsigned, false},
    {"show", "FILE|HOST:PORT", "say what is in a certificate, or what a server presents", show_options, 1, 1, tls_show, false},
    {0},
};

const struct sd_applet sd_applet_tls = {
    .name = "tls",
    .summary = "certificates to try TLS with, and a look at others",
    .description = "Makes a certificate signed by a small CA of its own, for trying TLS on one machine, and shows what a "
		   "certificate says or what a server presents: its chain, whether it is trusted, version, cipher, and "
		   "whether sessions are taken up again.",
    .examples = "sdlab tls selfsigned --name lb.test --out certs\n"
		"sdlab tls show certs/cert.pem\n"
		"sdlab tls show 127.0.0.1:8443 --ca certs/ca.pem --name lb.test",
    .no_common = true,
    .verbs = verbs,
};
