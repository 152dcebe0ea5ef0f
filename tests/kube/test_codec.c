/* Packed texts come back as they were, and are small where objects are alike. */
#include "kube/codec.h"
#include "kube/object.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

/* Something like a Deployment of 2 KB: the same but for its names. */
static char *alike(int number)
{
	GString *text = g_string_new(NULL);

	g_string_append_printf(text,
	    "{\"metadata\":{\"name\":\"m-%d\",\"namespace\":\"n\",\"uid\":\"%d-uid\"},\"spec\":[",
	    number, number * 7919);
	for (int i = 0; i < 40; i++)
		g_string_append_printf(text, "%s{\"name\":\"env-%d\",\"value\":\"of m-%d\"}",
		    i == 0 ? "" : ",", i, number);
	g_string_append(text, "]}");
	return g_string_free(text, FALSE);
}

static void round_trips_and_is_small(void **state)
{
	AUTO(kube_codec) codec = kube_codec_new();

	(void)state;
	for (int i = 0; i < 100; i++) {
		g_autofree char *text = alike(i);
		gsize len = strlen(text), packed_len = 0;
		g_autofree char *packed = kube_codec_pack(codec, text, len, &packed_len);
		g_autofree char *back = NULL;

		assert_non_null(packed);
		assert_true(packed_len < len / 5);
		back = kube_codec_unpack(codec, packed, packed_len, len);
		assert_string_equal(back, text);
	}
}

static void leaves_what_is_short_or_like_noise(void **state)
{
	AUTO(kube_codec) codec = kube_codec_new();
	g_autofree char *first = alike(1);
	g_autofree char *packed = NULL;
	char noise[2000];
	GRand *random = g_rand_new_with_seed(1);
	gsize packed_len = 0;

	(void)state;
	for (gsize i = 0; i < sizeof(noise); i++)
		noise[i] = (char)g_rand_int_range(random, 1, 256);
	g_rand_free(random);
	assert_null(kube_codec_pack(codec, "{}", 2, &packed_len));
	packed = kube_codec_pack(codec, first, strlen(first), &packed_len);
	assert_non_null(packed);
	assert_null(kube_codec_pack(codec, noise, sizeof(noise), &packed_len));
}

static void objects_outlive_who_packed_them(void **state)
{
	struct kube_codec *codec = kube_codec_new();
	g_autofree char *text = alike(3);
	g_autoptr(yyjson_doc) doc = json_parse(text, strlen(text), NULL);
	AUTO(kube_object) object = kube_object_new_packed(yyjson_doc_get_root(doc), NULL, codec);
	g_autoptr(yyjson_doc) parsed = NULL;

	(void)state;
	kube_codec_unref(codec);
	assert_true(object->packed_len > 0);
	assert_true(object->packed_len < object->json_len);
	assert_string_equal(object->key, "n/m-3");
	parsed = kube_object_parse(object);
	assert_true(yyjson_equals(yyjson_doc_get_root(parsed), yyjson_doc_get_root(doc)));
}

struct race {
	struct kube_codec *codec;
	char *packed, *text;
	gsize packed_len;
};

static void *unpack_often(void *data)
{
	const struct race *race = data;

	for (int i = 0; i < 2000; i++) {
		g_autofree char *text = kube_codec_unpack(
		    race->codec, race->packed, race->packed_len, strlen(race->text));

		if (strcmp(text, race->text) != 0)
			return (void *)(guintptr)1;
	}
	return NULL;
}

static void many_threads_unpack_while_one_packs(void **state)
{
	AUTO(kube_codec) codec = kube_codec_new();
	g_autofree char *first = alike(1);
	struct race race = {.codec = codec, .text = alike(2)};
	GThread *threads[4];
	gsize unused;

	(void)state;
	g_free(kube_codec_pack(codec, first, strlen(first), &unused));
	race.packed = kube_codec_pack(codec, race.text, strlen(race.text), &race.packed_len);
	for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
		threads[i] = g_thread_new("unpack", unpack_often, &race);
	for (int i = 0; i < 500; i++) {
		g_autofree char *text = alike(i);

		g_free(kube_codec_pack(codec, text, strlen(text), &unused));
	}
	for (gsize i = 0; i < G_N_ELEMENTS(threads); i++)
		assert_null(g_thread_join(threads[i]));
	g_free(race.packed);
	g_free(race.text);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(round_trips_and_is_small),
	    cmocka_unit_test(leaves_what_is_short_or_like_noise),
	    cmocka_unit_test(objects_outlive_who_packed_them),
	    cmocka_unit_test(many_threads_unpack_while_one_packs),
	};

	return cmocka_run_group_tests_name("codec", tests, NULL, NULL);
}
