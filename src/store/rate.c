#include "store/rate.h"

void rate_note(struct rate *rate, gint64 now_ms, gint64 total_bytes)
{
	guint last = (rate->next + RATE_SAMPLES - 1) % RATE_SAMPLES;

	if (rate->n > 0 && total_bytes < rate->samples[last].bytes)
		rate->n = 0;
	if (rate->n > 0 && now_ms - rate->samples[last].at_ms < RATE_GAP_MS)
		return;
	rate->samples[rate->next].at_ms = now_ms;
	rate->samples[rate->next].bytes = total_bytes;
	rate->next = (rate->next + 1) % RATE_SAMPLES;
	rate->n = MIN(rate->n + 1, RATE_SAMPLES);
}

gint64 rate_per_second(const struct rate *rate, gint64 now_ms, gint64 total_bytes)
{
	guint oldest = (rate->next + RATE_SAMPLES - rate->n) % RATE_SAMPLES;
	gint64 span_ms, bytes;

	if (rate->n == 0)
		return 0;
	span_ms = now_ms - rate->samples[oldest].at_ms;
	bytes = total_bytes - rate->samples[oldest].bytes;
	return span_ms <= 0 || bytes <= 0 ? 0 : (gint64)((double)bytes * 1000.0 / (double)span_ms);
}
