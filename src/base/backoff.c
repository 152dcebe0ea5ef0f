#include "base/backoff.h"

gint64 backoff_next_ms(struct backoff *backoff, GRand *random)
{
	double delay_ms = (double)backoff->base_ms;

	/* Growth is what ends this early: without it the loop would run once per failure. */
	for (guint i = 0; i < backoff->failures && backoff->factor > 1 && delay_ms > 0 &&
			  delay_ms < (double)backoff->cap_ms;
	    i++)
		delay_ms *= backoff->factor;
	if (backoff->failures < G_MAXUINT)
		backoff->failures++;
	delay_ms = MIN(delay_ms, (double)backoff->cap_ms);
	if (random != NULL && backoff->jitter > 0)
		delay_ms += g_rand_double(random) * backoff->jitter * delay_ms;
	return delay_ms < (double)G_MAXINT64 ? (gint64)delay_ms : G_MAXINT64;
}

void backoff_reset(struct backoff *backoff)
{
	backoff->failures = 0;
}
