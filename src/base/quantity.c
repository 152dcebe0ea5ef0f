#include "base/quantity.h"

#include <string.h>

enum {
	INTEGER_DIGITS_MAX = 19,  /* of 2^63; leading zeros do not count */
	FRACTION_DIGITS_MAX = 18, /* further ones only decide whether to round up */
	EXPONENT_MAX = 18,
};

/* sign * mantissa * 2^binary * 10^decimal, with a little more than that if `more` is set. */
struct number {
	unsigned __int128 mantissa;
	int binary;
	int decimal;
	gboolean negative;
	gboolean more;
};

static const struct {
	const char *suffix;
	int binary;
	int decimal;
} suffixes[] = {
    {"", 0, 0},
    {"n", 0, -9},
    {"u", 0, -6},
    {"m", 0, -3},
    {"k", 0, 3},
    {"M", 0, 6},
    {"G", 0, 9},
    {"T", 0, 12},
    {"P", 0, 15},
    {"E", 0, 18},
    {"Ki", 10, 0},
    {"Mi", 20, 0},
    {"Gi", 30, 0},
    {"Ti", 40, 0},
    {"Pi", 50, 0},
    {"Ei", 60, 0},
};

static void add_fraction_digit(struct number *number, int digit)
{
	if (number->decimal == -FRACTION_DIGITS_MAX) {
		number->more |= digit != 0;
		return;
	}
	number->mantissa = number->mantissa * 10 + (guint)digit;
	number->decimal--;
}

/* Digits with a point among, before or after them. */
static gboolean take_digits(const char **text, struct number *number)
{
	const char *p = *text;
	int integer_digits = 0;
	gboolean any = FALSE;

	for (; g_ascii_isdigit(*p); p++) {
		any = TRUE;
		number->mantissa = number->mantissa * 10 + (guint)(*p - '0');
		if (number->mantissa != 0 && ++integer_digits > INTEGER_DIGITS_MAX)
			return FALSE;
	}
	if (*p == '.') {
		for (p++; g_ascii_isdigit(*p); p++) {
			any = TRUE;
			add_fraction_digit(number, *p - '0');
		}
	}
	*text = p;
	return any;
}

/* e3, E-3, e+3. The whole rest of the text. */
static gboolean take_exponent(const char *text, struct number *number)
{
	gboolean negative = *text == '-';
	int exponent = 0;

	if (*text == '-' || *text == '+')
		text++;
	if (!g_ascii_isdigit(*text))
		return FALSE;
	for (; g_ascii_isdigit(*text); text++) {
		exponent = exponent * 10 + (*text - '0');
		if (exponent > EXPONENT_MAX)
			return FALSE;
	}
	number->decimal += negative ? -exponent : exponent;
	return *text == '\0';
}

static gboolean take_suffix(const char *text, struct number *number)
{
	for (gsize i = 0; i < G_N_ELEMENTS(suffixes); i++) {
		if (strcmp(suffixes[i].suffix, text) == 0) {
			number->binary = suffixes[i].binary;
			number->decimal += suffixes[i].decimal;
			return TRUE;
		}
	}
	if (*text == 'e' || *text == 'E')
		return take_exponent(text + 1, number);
	return FALSE;
}

/*
 * Away from zero, as Kubernetes rounds. What overflows 128 bits on the way would overflow 64 in
 * the end: the fraction has at most 18 digits and thousandths are the finest unit asked for.
 */
static gboolean to_integer(struct number number, gint64 *ret_value)
{
	unsigned __int128 value = number.mantissa, power = 1;

	if (__builtin_mul_overflow(value, (unsigned __int128)1 << number.binary, &value))
		return FALSE;
	for (int i = 0; i < number.decimal; i++) {
		if (__builtin_mul_overflow(value, (unsigned __int128)10, &value))
			return FALSE;
	}
	for (int i = 0; i > number.decimal; i--) {
		if (__builtin_mul_overflow(power, (unsigned __int128)10, &power))
			return FALSE;
	}
	value = value / power + (value % power != 0 || number.more ? 1 : 0);
	if (value > G_MAXINT64)
		return FALSE;
	*ret_value = number.negative ? -(gint64)value : (gint64)value;
	return TRUE;
}

static gboolean parse(const char *text, int decimal, gint64 *ret_value)
{
	struct number number = {.negative = *text == '-'};

	if (*text == '-' || *text == '+')
		text++;
	if (!take_digits(&text, &number) || !take_suffix(text, &number))
		return FALSE;
	number.decimal += decimal;
	return to_integer(number, ret_value);
}

gboolean quantity_parse_milli(const char *text, gint64 *ret_milli)
{
	return parse(text, 3, ret_milli);
}

gboolean quantity_parse(const char *text, gint64 *ret_value)
{
	return parse(text, 0, ret_value);
}

char *quantity_format_bytes(gint64 bytes)
{
	static const char *const names[] = {"", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"};
	guint step = 0;

	while (bytes != 0 && bytes % 1024 == 0 && step + 1 < G_N_ELEMENTS(names)) {
		bytes /= 1024;
		step++;
	}
	return g_strdup_printf("%" G_GINT64_FORMAT "%s", bytes, names[step]);
}

char *quantity_human_bytes(gint64 bytes)
{
	static const char *const names[] = {"B", "KB", "MB", "GB", "TB"};
	gint64 unit = 1;
	guint step = 0;

	while (bytes / unit >= 1000 && step + 1 < G_N_ELEMENTS(names)) {
		unit *= 1000;
		step++;
	}
	if (bytes / unit >= 10 || bytes % unit == 0)
		return g_strdup_printf("%" G_GINT64_FORMAT " %s", bytes / unit, names[step]);
	return g_strdup_printf("%.1f %s", (double)bytes / (double)unit, names[step]);
}
