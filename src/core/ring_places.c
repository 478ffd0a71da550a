#include "ring_int.h"

#include <math.h>
#include <stdio.h>

#define XXH_INLINE_ALL
#include <xxhash.h>

#include "crc32.h"
#include "md5.h"
#include "siphash.h"

static void put64(unsigned char *out, uint64_t v)
{
	for (int i = 0; i < 8; i++)
		out[i] = (unsigned char)(v >> (8 * i));
}

static uint64_t get_big(const unsigned char *p, int n)
{
	uint64_t v = 0;
	for (int i = 0; i < 8; i++)
		v = v << 8 | (i < n ? p[i] : 0);
	return v;
}

static uint64_t get_little32(const unsigned char *p)
{
	return (uint64_t)(p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24) << 32;
}

/* ---- names ---- */

/* To clients of memcached its own port goes without saying. */
struct sd_slice sd_ring_spelt(const struct sd_ring_conf *conf, struct sd_slice name)
{
	static const char port[] = ":11211";
	size_t n = sizeof(port) - 1;
	if (conf->kind == SD_RING_TWEMPROXY && name.n > n && memcmp(name.p + name.n - n, port, n) == 0)
		name.n -= n;
	return name;
}

static uint64_t keyed(const struct sd_ring_conf *conf, const void *p, size_t n)
{
	struct sd_siphash_key key = {conf->seed, conf->seed_high};
	return conf->hash == SD_RING_SIPHASH ? sd_siphash(&key, p, n) : XXH3_64bits_withSeed(p, n, conf->seed);
}

uint64_t sd_ring_ident(const struct sd_ring_conf *conf, const struct sd_ring_node *node)
{
	unsigned char id[8];
	struct sd_slice name = sd_ring_spelt(conf, node->name);
	if (name.n)
		return keyed(conf, name.p, name.n);
	put64(id, node->id);
	return keyed(conf, id, sizeof(id));
}

void sd_ring_places_begin(struct sd_ring_places *p, const struct sd_ring_conf *conf, const struct sd_ring_node *node)
{
	*p = (struct sd_ring_places){.conf = conf, .way = sd_ring_way(conf), .name = sd_ring_spelt(conf, node->name)};
	p->ident = sd_ring_ident(conf, node);
}

/* ---- points ---- */

static uint64_t next_keyed(struct sd_ring_places *p)
{
	unsigned char both[16];
	put64(both, p->ident);
	put64(both + 8, p->k++);
	return keyed(p->conf, both, sizeof(both));
}

/* MD5 of the name, a mark and a number. */
static void digest(struct sd_ring_places *p, char mark, uint32_t number)
{
	char text[SD_RING_MAX_NAME + 16];
	memcpy(text, p->name.p, p->name.n);
	int n = snprintf(text + p->name.n, 16, "%c%u", mark, number);
	sd_md5(text, p->name.n + (size_t)n, p->digest);
}

static uint64_t next_md5(struct sd_ring_places *p)
{
	digest(p, '-', ++p->k);
	return get_big(p->digest, 4);
}

static uint64_t next_textbook(struct sd_ring_places *p)
{
	digest(p, ':', p->k++);
	return get_big(p->digest, 8);
}

/* Each digest gives four points. */
static uint64_t next_ketama(struct sd_ring_places *p)
{
	if (p->k % 4 == 0)
		digest(p, '-', p->k / 4);
	return get_little32(p->digest + 4 * (p->k++ % 4));
}

/* Cache::Memcached::Fast, which nginx follows: each point is the CRC of the host, a zero, the port and the point before.
 * The CRC of what does not change is taken once. */
static void begin_nginx(struct sd_ring_places *p)
{
	const char *s = p->name.p, *port = "";
	size_t n = p->name.n, digits = 0;
	bool path = n >= 5 && strncasecmp(s, "unix:", 5) == 0;
	while (digits < n && s[n - 1 - digits] >= '0' && s[n - 1 - digits] <= '9')
		digits++;
	if (path) {
		s += 5;
		n -= 5;
		digits = 0;
	} else if (digits < n && s[n - 1 - digits] == ':') {
		port = s + n - digits;
		n -= digits + 1;
	} else {
		digits = 0;
	}
	p->state = sd_crc32_add(SD_CRC32_BEGIN, s, n);
	p->state = sd_crc32_add(p->state, "", 1);
	p->state = sd_crc32_add(p->state, port, digits);
}

static uint64_t next_nginx(struct sd_ring_places *p)
{
	unsigned char before[8];
	if (p->k++ == 0)
		begin_nginx(p);
	put64(before, p->last);
	p->last = sd_crc32_end(sd_crc32_add(p->state, before, 4));
	return (uint64_t)p->last << 32;
}

/* ---- how many ---- */

static uint64_t count_vnodes(const struct sd_ring_conf *conf, uint32_t weight, uint64_t weights, size_t live)
{
	(void)weights;
	(void)live;
	return (uint64_t)weight * conf->vnodes;
}

static uint64_t count_nginx(const struct sd_ring_conf *conf, uint32_t weight, uint64_t weights, size_t live)
{
	(void)conf;
	(void)weights;
	(void)live;
	return (uint64_t)weight * 160;
}

static uint64_t count_textbook(const struct sd_ring_conf *conf, uint32_t weight, uint64_t weights, size_t live)
{
	(void)conf;
	(void)weights;
	(void)live;
	return (uint64_t)weight * 100;
}

/* The two differ in what is float and what is double, so in whether a share that is nearly whole is cut. */
static uint64_t count_libketama(const struct sd_ring_conf *conf, uint32_t weight, uint64_t weights, size_t live)
{
	(void)conf;
	float part = (float)weight / (float)weights;
	return (uint64_t)floorf((float)((double)part * 40.0 * (double)live)) * 4;
}

static uint64_t count_twemproxy(const struct sd_ring_conf *conf, uint32_t weight, uint64_t weights, size_t live)
{
	(void)conf;
	float part = (float)weight / (float)weights;
	float digests = part * 160 / 4 * (float)live;
	return (uint64_t)floorf((float)((double)digests + 0.0000000001)) * 4;
}

/* ---- keys ---- */

static uint64_t key_keyed(const struct sd_ring_conf *conf, const void *key, size_t n)
{
	return keyed(conf, key, n);
}

static uint64_t key_big32(const struct sd_ring_conf *conf, const void *key, size_t n)
{
	unsigned char md[SD_MD5_BYTES];
	(void)conf;
	sd_md5(key, n, md);
	return get_big(md, 4);
}

static uint64_t key_big64(const struct sd_ring_conf *conf, const void *key, size_t n)
{
	unsigned char md[SD_MD5_BYTES];
	(void)conf;
	sd_md5(key, n, md);
	return get_big(md, 8);
}

static uint64_t key_little32(const struct sd_ring_conf *conf, const void *key, size_t n)
{
	unsigned char md[SD_MD5_BYTES];
	(void)conf;
	sd_md5(key, n, md);
	return get_little32(md);
}

static uint64_t key_crc32(const struct sd_ring_conf *conf, const void *key, size_t n)
{
	(void)conf;
	return (uint64_t)sd_crc32_end(sd_crc32_add(SD_CRC32_BEGIN, key, n)) << 32;
}

/* ---- the kinds ---- */

#define POINTS SD_RING_BY_POINTS

static const struct sd_ring_way ways[] = {
    [SD_RING_VNODES] = {POINTS, true, false, 64, count_vnodes, next_keyed, key_keyed},
    [SD_RING_JUMP] = {SD_RING_BY_JUMP, true, false, 64, NULL, NULL, key_keyed},
    [SD_RING_RENDEZVOUS] = {SD_RING_BY_SCORE, true, false, 64, NULL, NULL, key_keyed},
    [SD_RING_MAGLEV] = {SD_RING_BY_SLOTS, true, false, 64, NULL, NULL, key_keyed},
    [SD_RING_LIBKETAMA] = {POINTS, false, true, 32, count_libketama, next_ketama, key_little32},
    [SD_RING_TWEMPROXY] = {POINTS, false, true, 32, count_twemproxy, next_ketama, key_little32},
    [SD_RING_NGINX] = {POINTS, false, true, 32, count_nginx, next_nginx, key_crc32},
    [SD_RING_TEXTBOOK] = {POINTS, false, true, 64, count_textbook, next_textbook, key_big64},
};

/* The same by MD5: nodes keep their idents, so only points and keys differ. */
static const struct sd_ring_way md5_ways[] = {
    [SD_RING_VNODES] = {POINTS, true, true, 32, count_vnodes, next_md5, key_big32},
    [SD_RING_JUMP] = {SD_RING_BY_JUMP, true, false, 64, NULL, NULL, key_big64},
    [SD_RING_RENDEZVOUS] = {SD_RING_BY_SCORE, true, false, 64, NULL, NULL, key_big64},
    [SD_RING_MAGLEV] = {SD_RING_BY_SLOTS, true, false, 64, NULL, NULL, key_big64},
};

const struct sd_ring_way *sd_ring_way(const struct sd_ring_conf *conf)
{
	const struct sd_ring_way *w = &ways[conf->kind];
	return w->free && conf->hash == SD_RING_MD5 ? &md5_ways[conf->kind] : w;
}
