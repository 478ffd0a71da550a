#include "core/media_type.h"

#include <stdlib.h>

struct row {
	const char *extension, *type;
};

#define TEXT(subtype) "text/" subtype "; charset=utf-8"

/* In order of the extension: it is searched. */
static const struct row rows[] = {
    {"7z", "application/x-7z-compressed"},
    {"aac", "audio/aac"},
    {"atom", "application/atom+xml"},
    {"avi", "video/x-msvideo"},
    {"avif", "image/avif"},
    {"bin", "application/octet-stream"},
    {"bmp", "image/bmp"},
    {"bz2", "application/x-bzip2"},
    {"css", TEXT("css")},
    {"csv", TEXT("csv")},
    {"doc", "application/msword"},
    {"eot", "application/vnd.ms-fontobject"},
    {"epub", "application/epub+zip"},
    {"flac", "audio/flac"},
    {"gif", "image/gif"},
    {"gz", "application/gzip"},
    {"htm", TEXT("html")},
    {"html", TEXT("html")},
    {"ico", "image/vnd.microsoft.icon"},
    {"ics", TEXT("calendar")},
    {"jar", "application/java-archive"},
    {"jpeg", "image/jpeg"},
    {"jpg", "image/jpeg"},
    {"js", TEXT("javascript")},
    {"json", "application/json"},
    {"jsonld", "application/ld+json"},
    {"log", TEXT("plain")},
    {"m4a", "audio/mp4"},
    {"map", "application/json"},
    {"md", TEXT("markdown")},
    {"mid", "audio/midi"},
    {"mjs", TEXT("javascript")},
    {"mp3", "audio/mpeg"},
    {"mp4", "video/mp4"},
    {"mpeg", "video/mpeg"},
    {"oga", "audio/ogg"},
    {"ogg", "audio/ogg"},
    {"ogv", "video/ogg"},
    {"opus", "audio/ogg"},
    {"otf", "font/otf"},
    {"pdf", "application/pdf"},
    {"png", "image/png"},
    {"rss", "application/rss+xml"},
    {"rtf", "application/rtf"},
    {"svg", "image/svg+xml"},
    {"tar", "application/x-tar"},
    {"tif", "image/tiff"},
    {"tiff", "image/tiff"},
    {"toml", "application/toml"},
    {"ts", "video/mp2t"},
    {"ttf", "font/ttf"},
    {"txt", TEXT("plain")},
    {"vtt", TEXT("vtt")},
    {"wasm", "application/wasm"},
    {"wav", "audio/wav"},
    {"weba", "audio/webm"},
    {"webm", "video/webm"},
    {"webmanifest", "application/manifest+json"},
    {"webp", "image/webp"},
    {"woff", "font/woff"},
    {"woff2", "font/woff2"},
    {"xhtml", "application/xhtml+xml"},
    {"xml", "application/xml"},
    {"xz", "application/x-xz"},
    {"yaml", "application/yaml"},
    {"yml", "application/yaml"},
    {"zip", "application/zip"},
    {"zst", "application/zstd"},
};

/* Against a slice, without regard to case. */
static int compare(const void *key, const void *row)
{
	const struct sd_slice *k = key;
	const char *extension = ((const struct row *)row)->extension;
	size_t n = strlen(extension);
	int c = strncasecmp(k->p, extension, k->n < n ? k->n : n);
	return c ? c : (k->n > n) - (k->n < n);
}

const char *sd_media_type(struct sd_slice name)
{
	size_t at = name.n;
	while (at > 0 && name.p[at - 1] != '.' && name.p[at - 1] != '/')
		at--;
	const struct row *row = NULL;
	if (at > 0 && name.p[at - 1] == '.' && at < name.n) {
		struct sd_slice extension = {name.p + at, name.n - at};
		row = bsearch(&extension, rows, sizeof(rows) / sizeof(rows[0]), sizeof(rows[0]), compare);
	}
	return row ? row->type : "application/octet-stream";
}

static bool ends(struct sd_slice s, const char *suffix)
{
	size_t n = strlen(suffix);
	return s.n > n && strncasecmp(s.p + s.n - n, suffix, n) == 0;
}

bool sd_media_compressible(struct sd_slice type)
{
	static const char *const whole[] = {
	    "application/json",	      "application/javascript", "application/xml",  "application/wasm",
	    "application/x-javascript", "application/yaml",	"application/toml", "application/rtf",
	    "application/x-ndjson",     "image/bmp",		"font/ttf",	    "font/otf",
	    "image/vnd.microsoft.icon", "application/vnd.ms-fontobject"};
	size_t n = 0;
	while (n < type.n && type.p[n] != ';' && type.p[n] != ' ' && type.p[n] != '\t')
		n++;
	type.n = n;
	if (sd_slice_ieq(type, "text/event-stream"))
		return false;
	if ((type.n > 5 && strncasecmp(type.p, "text/", 5) == 0) || ends(type, "+json") || ends(type, "+xml"))
		return true;
	for (size_t i = 0; i < sizeof(whole) / sizeof(whole[0]); i++)
		if (sd_slice_ieq(type, whole[i]))
			return true;
	return false;
}
