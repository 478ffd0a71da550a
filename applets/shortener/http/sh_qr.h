/* sh_qr.h - QR codes, for the API and for the terminal. */
#ifndef SH_QR_H
#define SH_QR_H

#include <qrencode.h>
#include <stdbool.h>
#include <stddef.h>

struct sh_qr_look {
	int size, margin; /* pixels; modules */
	char level;	  /* L, M, Q or H */
	const char *color, *background; /* hexadecimal digits; background NULL: none */
};

bool sh_qr_colour(const char *text);
/* For free; NULL: out of memory, or the text is too long for a code. */
char *sh_qr_svg(const char *text, const struct sh_qr_look *look, size_t *n);
/* For QRcode_free. The lowest bit of each module says dark. */
QRcode *sh_qr_make(const char *text, char level);

#endif
