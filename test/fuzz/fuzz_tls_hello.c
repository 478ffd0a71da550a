/* A ClientHello. Byte by byte or at once it is read the same, needs more until it is over, and what it asks for is a name in
 * lower case. The same bytes are also put into a record, so that the fuzzer need not find its head.
 */
#include <stdlib.h>
#include <string.h>

#include "core/tls_hello.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Unlike assert, stays with NDEBUG. */
#define HOLDS(condition) ((condition) ? (void)0 : abort())

static void look(const uint8_t *data, size_t size)
{
	static const char allowed[] = "abcdefghijklmnopqrstuvwxyz0123456789-_.";
	struct sd_tls_hello whole = {0}, grown = {0};
	enum sd_tls_hello_is want = sd_tls_hello_read(&whole, data, size), is = SD_TLS_HELLO_MORE;
	size_t n = 0;
	for (; n <= size && is == SD_TLS_HELLO_MORE; n++)
		is = sd_tls_hello_read(&grown, data, n);
	HOLDS(is == want || (is >= SD_TLS_HELLO_NOT_TLS && want >= SD_TLS_HELLO_NOT_TLS));
	HOLDS(strcmp(whole.name, grown.name) == 0 && whole.alpn_n == grown.alpn_n);
	HOLDS((want == SD_TLS_HELLO_NAMED) == (whole.name[0] != '\0'));
	HOLDS((want >= SD_TLS_HELLO_NOT_TLS) == (whole.why != NULL));
	HOLDS(want != SD_TLS_HELLO_MORE || size < SD_TLS_HELLO_MAX);
	HOLDS(strspn(whole.name, allowed) == strlen(whole.name));
	const uint8_t *p;
	size_t len, sum = 0;
	for (size_t i = 0; (p = sd_tls_hello_protocol(&whole, i, &len)); i++) {
		HOLDS(len > 0 && p > whole.alpn && p + len <= whole.alpn + whole.alpn_n);
		sum += 1 + len;
	}
	HOLDS(sum == whole.alpn_n);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static uint8_t wrapped[SD_TLS_HELLO_MAX];
	look(data, size);
	if (size < 2 || size > sizeof(wrapped) - 9)
		return 0;
	memcpy(wrapped, (const uint8_t[]){22, 3, 1, (uint8_t)((size + 4) >> 8), (uint8_t)(size + 4), 1, 0, (uint8_t)(size >> 8), (uint8_t)size}, 9);
	memcpy(wrapped + 9, data, size);
	look(wrapped, size + 9);
	return 0;
}
