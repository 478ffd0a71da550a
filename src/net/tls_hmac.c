#include "tls_hmac.h"

#include <openssl/evp.h>

bool sd_hmac_sha256(struct sd_slice key, const void *p, size_t n, uint8_t out[SD_HMAC_BYTES])
{
	size_t len = 0;
	bool ok = EVP_Q_mac(NULL, "HMAC", NULL, "SHA256", NULL, key.p, key.n, p, n, out, SD_HMAC_BYTES, &len) != NULL;
	if (!ok || len != SD_HMAC_BYTES)
		memset(out, 0, SD_HMAC_BYTES);
	return ok && len == SD_HMAC_BYTES;
}
