/* zipf.c - under the curve x^-s from 0.5 to n + 0.5 a point is drawn and its column taken; what is above the column's own share is drawn
 * again, which is rare. */
#include "zipf.h"

#include <math.h>

/* log(1 + x) / x and (exp(x) - 1) / x, also where x is next to nothing. */
static double log_share(double x)
{
	return fabs(x) > 1e-8 ? log1p(x) / x : 1 - x / 2;
}

static double exp_share(double x)
{
	return fabs(x) > 1e-8 ? expm1(x) / x : 1 + x / 2;
}

static double height(const struct sd_zipf *z, double x)
{
	return exp(-z->s * log(x));
}

static double integral(const struct sd_zipf *z, double x)
{
	double l = log(x);
	return exp_share((1 - z->s) * l) * l;
}

static double inverse(const struct sd_zipf *z, double y)
{
	double t = y * (1 - z->s);
	return exp(log_share(t < -1 ? -1 : t) * y);
}

void sd_zipf_grow(struct sd_zipf *z, uint64_t n)
{
	z->n = n;
	z->to = integral(z, (double)n + 0.5);
}

void sd_zipf_init(struct sd_zipf *z, uint64_t n, double s)
{
	z->s = s;
	z->from = integral(z, 1.5) - 1;
	z->near = 2 - inverse(z, integral(z, 2.5) - height(z, 2));
	sd_zipf_grow(z, n);
}

uint64_t sd_zipf_next(const struct sd_zipf *z, struct sd_rng *rng)
{
	for (;;) {
		double y = z->to + sd_rng_unit(rng) * (z->from - z->to), x = inverse(z, y);
		double k = floor(x + 0.5);
		k = k < 1 ? 1 : k > (double)z->n ? (double)z->n : k;
		if (k - x <= z->near || y >= integral(z, k + 0.5) - height(z, k))
			return (uint64_t)k - 1;
	}
}
