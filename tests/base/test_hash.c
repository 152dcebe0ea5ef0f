#include "base/hash.h"

#include <string.h>

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

/*
 * Computed by another implementation of SipHash-1-3 (checked in turn against CPython's, whose
 * str hash is SipHash-1-3) with the key of hash_stable(). Names of objects in clusters hang on
 * these values: they may never change.
 */
static void stable_hash_is_siphash_1_3(void **state)
{
	static const struct {
		const char *text;
		guint64 hash;
	} cases[] = {
	    {"", 0x328b50fe7b7b05ed},
	    {"a", 0x8b135c1ffae2ed09},
	    {"abcdefg", 0xbac021e51f12b596},
	    {"abcdefgh", 0xce3264d7d4e28a45},
	    {"model-default/llama3.2:1b", 0xc8625398347231f1},
	};
	unsigned char bytes[64];

	(void)state;
	for (gsize i = 0; i < G_N_ELEMENTS(cases); i++)
		assert_true(hash_stable(cases[i].text, strlen(cases[i].text)) == cases[i].hash);
	for (gsize i = 0; i < sizeof(bytes); i++)
		bytes[i] = (unsigned char)i;
	assert_true(hash_stable(bytes, sizeof(bytes)) == 0x835fc2be846d2b20);
}

static void same_bytes_same_hash_anywhere_in_memory(void **state)
{
	char buffer[32];

	(void)state;
	for (gsize shift = 0; shift < 8; shift++) {
		memcpy(buffer + shift, "default/phi-3", 14);
		assert_true(hash_bytes(buffer + shift, 13) == hash_bytes("default/phi-3", 13));
		assert_int_equal(hash_str(buffer + shift), hash_str("default/phi-3"));
	}
}

static void seed_of_the_process_is_not_the_stable_key(void **state)
{
	(void)state;
	assert_true(hash_bytes("default/phi", 11) != hash_stable("default/phi", 11));
	assert_true(hash_bytes("a", 1) != hash_bytes("a\0", 2));
}

/* 64,000 similar keys over 64 buckets: each within a quarter of the mean of 1,000. */
static void spreads_similar_keys(void **state)
{
	guint buckets[64] = {0};

	(void)state;
	for (int i = 0; i < 64000; i++) {
		g_autofree char *key = g_strdup_printf("default/model-%d", i);

		buckets[hash_str(key) % 64]++;
	}
	for (gsize i = 0; i < 64; i++)
		assert_in_range(buckets[i], 750, 1250);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(stable_hash_is_siphash_1_3),
	    cmocka_unit_test(same_bytes_same_hash_anywhere_in_memory),
	    cmocka_unit_test(seed_of_the_process_is_not_the_stable_key),
	    cmocka_unit_test(spreads_similar_keys),
	};

	return cmocka_run_group_tests_name("base/hash", tests, NULL, NULL);
}
