/* quantity_parse, duration_parse_ms and time_parse, whose inputs are short texts of one kind. */
#include "base/duration.h"
#include "base/quantity.h"
#include "base/timefmt.h"
#include "fuzz.h"

static void check_quantity(const char *text)
{
	gint64 value, milli, back;

	if (!quantity_parse(text, &value))
		return;
	if (quantity_parse_milli(text, &milli))
		g_assert(milli / 1000 + (milli % 1000 > 0) - (milli % 1000 < 0) == value);
	if (value != G_MININT64) {
		g_autofree char *written = quantity_format_bytes(value);

		g_assert(quantity_parse(written, &back) && back == value);
	}
}

static void check_duration(const char *text)
{
	gint64 ms;
	g_autofree char *written = NULL;

	if (!duration_parse_ms(text, &ms))
		return;
	written = duration_format_ms(ms);
	g_assert(duration_parse_ms(written, &ms));
}

static void check_time(const char *text)
{
	gint64 wall_us, back;
	g_autofree char *written = NULL;

	/* An offset may lead out of the years that can be written. */
	if (!time_parse(text, &wall_us) || wall_us < -62135596800000000 ||
	    wall_us > 253402300799999999)
		return;
	written = time_rfc3339_us(wall_us);
	g_assert(time_parse(written, &back) && back == wall_us);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	g_autofree char *text = g_strndup((const char *)data, size);

	check_quantity(text);
	check_duration(text);
	check_time(text);
	return 0;
}
