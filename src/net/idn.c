#include "idn.h"

#include <idn2.h>
#include <stdio.h>
#include <string.h>

bool sd_idn_to_ascii(struct sd_slice host, char out[SD_HOST_MAX + 1])
{
	char text[4 * SD_HOST_MAX + 1], *name = NULL;
	if (host.n >= sizeof(text) || memchr(host.p, '\0', host.n))
		return false;
	memcpy(text, host.p, host.n);
	text[host.n] = '\0';
	bool ok = idn2_to_ascii_8z(text, &name, IDN2_NFC_INPUT | IDN2_NONTRANSITIONAL) == IDN2_OK && strlen(name) <= SD_HOST_MAX;
	if (ok)
		snprintf(out, SD_HOST_MAX + 1, "%s", name);
	idn2_free(name);
	return ok;
}

size_t sd_idn_to_text(const char *host, char *out, size_t room)
{
	char *name = NULL, back[SD_HOST_MAX + 1];
	bool same = idn2_to_unicode_8z8z(host, &name, 0) == IDN2_OK && strlen(name) < room &&
		    sd_idn_to_ascii(sd_slice_of(name), back) && strcasecmp(back, host) == 0;
	int n = snprintf(out, room, "%s", same ? name : host);
	idn2_free(name);
	return n < 0 ? 0 : (size_t)n < room ? (size_t)n : room - 1;
}
