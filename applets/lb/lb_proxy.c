/* lb_proxy.c - the PROXY header that a backend's connections begin with. */
#include "lb.h"

/* Bits of sd_pp_ssl.client. */
enum { OVER_TLS = 1, CERT_HERE = 2, CERT_IN_SESSION = 4 };

/* TLS that ended here. A certificate that is not good ended its handshake. */
static void tell_tls(const struct sd_tls_info *info, struct sd_pp_extra *out)
{
	*out = (struct sd_pp_extra){
	    .alpn = sd_slice_of(info->alpn),
	    .authority = sd_slice_of(info->sni),
	    .ssl = {.there = true,
		    .client = OVER_TLS,
		    .verify = !info->has_cert,
		    .version = sd_slice_of(info->version),
		    .name = sd_slice_of(info->common_name),
		    .cipher = sd_slice_of(info->cipher)},
	};
	if (info->has_cert)
		out->ssl.client |= info->resumed ? CERT_IN_SESSION : CERT_HERE | CERT_IN_SESSION;
}

size_t lb_proxy_write(char out[SD_PP_WRITE_MAX], int version, struct sd_io *client, const struct sd_tls_hello *hello)
{
	struct sd_peer to = sd_io_local(client);
	struct sd_pp_extra extra = {0};
	struct sd_tls_info info;
	if (version == 2 && sd_tls_info(client, &info))
		tell_tls(&info, &extra);
	else if (hello)
		extra.authority = sd_slice_of(hello->name);
	return sd_pp_write_with(out, version, &client->peer, &to, &extra);
}
