#include "support.h"

#include "base/hash.h"
#include "ctl/cache.h"

static void put(struct cache *cache, const char *name, const char *version, const char *owner,
    const char *label)
{
	AUTO(kube_object) object = object_make("ns", name, version, owner, label);

	kube_object_unref(cache_put(cache, object));
}

static void assert_version(struct cache *cache, const char *key, const char *version)
{
	AUTO(kube_object) object = cache_get(cache, key);

	if (version == NULL) {
		assert_null(object);
		return;
	}
	assert_non_null(object);
	assert_string_equal(object->resource_version, version);
}

static guint count(GPtrArray *take_objects)
{
	guint length = take_objects->len;

	g_ptr_array_unref(take_objects);
	return length;
}

static void test_put_get_remove(void **state)
{
	AUTO(cache) cache = cache_new(NULL);
	AUTO(kube_object) first = object_make("ns", "a", "1", NULL, NULL);
	AUTO(kube_object) second = object_make("ns", "a", "2", NULL, NULL);
	AUTO(kube_object) none = cache_put(cache, first);
	AUTO(kube_object) replaced = cache_put(cache, second);
	AUTO(kube_object) removed = NULL;

	(void)state;
	assert_null(none);
	assert_ptr_equal(replaced, first);
	assert_version(cache, "ns/a", "2");
	assert_version(cache, "a", NULL);
	assert_int_equal(cache_size(cache), 1);
	removed = cache_remove(cache, "ns/a");
	assert_ptr_equal(removed, second);
	assert_null(cache_remove(cache, "ns/a"));
	assert_version(cache, "ns/a", NULL);
	assert_int_equal(cache_size(cache), 0);
}

static void test_cluster_scoped_key(void **state)
{
	AUTO(cache) cache = cache_new(NULL);
	AUTO(kube_object) node = object_make("", "node-1", "7", NULL, NULL);
	AUTO(kube_object) old = cache_put(cache, node);

	(void)state;
	assert_null(old);
	assert_version(cache, "node-1", "7");
}

static void test_owner(void **state)
{
	AUTO(cache) cache = cache_new(NULL);

	(void)state;
	put(cache, "a", "1", "u1", NULL);
	put(cache, "b", "1", "u1", NULL);
	put(cache, "c", "1", "u2", NULL);
	put(cache, "d", "1", NULL, NULL);
	assert_int_equal(count(cache_by_owner(cache, "u1")), 2);
	assert_int_equal(count(cache_by_owner(cache, "u2")), 1);
	assert_int_equal(count(cache_by_owner(cache, "u3")), 0);
	assert_int_equal(count(cache_by_owner(cache, "")), 0);
	put(cache, "a", "2", "u2", NULL); /* the chain's head changes hands */
	assert_int_equal(count(cache_by_owner(cache, "u1")), 1);
	assert_int_equal(count(cache_by_owner(cache, "u2")), 2);
	put(cache, "a", "3", NULL, NULL);
	assert_int_equal(count(cache_by_owner(cache, "u2")), 1);
	assert_int_equal(count(cache_list(cache)), 4);
}

static void test_index(void **state)
{
	AUTO(cache) cache = cache_new(index_label);
	AUTO(cache) plain = cache_new(NULL);

	(void)state;
	put(cache, "a", "1", NULL, "x");
	put(cache, "b", "1", NULL, "x");
	put(cache, "c", "1", NULL, NULL);
	assert_int_equal(count(cache_by_index(cache, "x")), 2);
	assert_int_equal(count(cache_by_index(cache, "y")), 0);
	put(cache, "a", "2", NULL, "y");
	put(cache, "b", "2", NULL, NULL);
	assert_int_equal(count(cache_by_index(cache, "x")), 0);
	assert_int_equal(count(cache_by_index(cache, "y")), 1);
	put(plain, "a", "1", NULL, "x");
	assert_int_equal(count(cache_by_index(plain, "x")), 0);
}

/* References outlive the cache and what happens to it. */
static void test_snapshots_stay(void **state)
{
	struct cache *cache = cache_new(NULL);
	g_autoptr(GPtrArray) snapshot = NULL;
	AUTO(kube_object) held = NULL;

	(void)state;
	put(cache, "a", "1", "u", NULL);
	held = cache_get(cache, "ns/a");
	snapshot = cache_by_owner(cache, "u");
	put(cache, "a", "2", "u", NULL);
	cache_free(cache);
	assert_string_equal(held->resource_version, "1");
	assert_ptr_equal(g_ptr_array_index(snapshot, 0), held);
}

/* ---- Against a model that searches everything ---- */

enum { KEYS = 40, STEPS = 20000 };

struct model {
	int owner[KEYS]; /* 0: not there; 1: no owner */
	int label[KEYS]; /* 0: none */
};

static void assert_chain(GPtrArray *take_objects, const int *want, const int *present, int value)
{
	int expected = 0;

	for (int i = 0; i < KEYS; i++) {
		gboolean wanted = present[i] != 0 && want[i] == value;

		expected += wanted;
		for (guint j = 0; wanted && j < take_objects->len; j++) {
			const struct kube_object *object = g_ptr_array_index(take_objects, j);

			if (g_ascii_strtoll(object->name + 1, NULL, 10) == i)
				break;
			assert_true(j + 1 < take_objects->len);
		}
	}
	assert_int_equal(take_objects->len, expected);
	g_ptr_array_unref(take_objects);
}

static void assert_model(struct cache *cache, const struct model *model)
{
	for (int value = 2; value < 6; value++) {
		g_autofree char *name = g_strdup_printf("v%d", value);

		assert_chain(cache_by_owner(cache, name), model->owner, model->owner, value);
		assert_chain(cache_by_index(cache, name), model->label, model->owner, value);
	}
}

static void random_step(struct cache *cache, struct model *model, GRand *random, int step)
{
	int i = g_rand_int_range(random, 0, KEYS);
	g_autofree char *name = g_strdup_printf("k%d", i);
	g_autofree char *key = g_strdup_printf("ns/%s", name);

	if (g_rand_int_range(random, 0, 4) == 0) {
		AUTO(kube_object) old = cache_remove(cache, key);

		assert_int_equal(old != NULL, model->owner[i] != 0);
		model->owner[i] = 0;
	} else {
		g_autofree char *version = g_strdup_printf("%d", step);
		g_autofree char *owner = NULL;
		g_autofree char *label = NULL;

		model->owner[i] = g_rand_int_range(random, 1, 6);
		model->label[i] = g_rand_int_range(random, 1, 6);
		if (model->owner[i] > 1)
			owner = g_strdup_printf("v%d", model->owner[i]);
		if (model->label[i] > 1)
			label = g_strdup_printf("v%d", model->label[i]);
		put(cache, name, version, owner, label);
		assert_version(cache, key, version);
	}
}

static void test_random(void **state)
{
	AUTO(cache) cache = cache_new(index_label);
	struct model model = {0};
	GRand *random = g_rand_new_with_seed(1);

	(void)state;
	for (int step = 0; step < STEPS; step++) {
		random_step(cache, &model, random, step);
		if (step % 16 == 0)
			assert_model(cache, &model);
	}
	g_rand_free(random);
}

/* ---- Threads: one writes, some read; for the sanitizers ---- */

struct shared {
	struct cache *cache;
	gint writing;
};

static gpointer read_all(gpointer data)
{
	struct shared *shared = data;
	guint seen = 0;

	while (g_atomic_int_get(&shared->writing)) {
		g_autoptr(GPtrArray) objects = cache_by_owner(shared->cache, "u");

		for (guint i = 0; i < objects->len; i++) {
			const struct kube_object *object = g_ptr_array_index(objects, i);
			g_autoptr(yyjson_doc) body = kube_object_parse(object);

			seen +=
			    json_str(yyjson_doc_get_root(body), "metadata", "name", NULL) != NULL;
		}
	}
	return GUINT_TO_POINTER(seen);
}

static void test_threads(void **state)
{
	AUTO(cache) cache = cache_new(index_label);
	struct shared shared = {cache, TRUE};
	GThread *readers[3];

	(void)state;
	hash_str("draws the seed");
	for (guint i = 0; i < G_N_ELEMENTS(readers); i++)
		readers[i] = g_thread_new("reader", read_all, &shared);
	for (int i = 0; i < 3000; i++) {
		g_autofree char *name = g_strdup_printf("k%d", i % 20);

		put(cache, name, "1", i % 3 == 0 ? "w" : "u", "x");
	}
	g_atomic_int_set(&shared.writing, FALSE);
	for (guint i = 0; i < G_N_ELEMENTS(readers); i++)
		g_thread_join(readers[i]);
	assert_int_equal(cache_size(cache), 20);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(test_put_get_remove),
	    cmocka_unit_test(test_cluster_scoped_key),
	    cmocka_unit_test(test_owner),
	    cmocka_unit_test(test_index),
	    cmocka_unit_test(test_snapshots_stay),
	    cmocka_unit_test(test_random),
	    cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests_name("cache", tests, NULL, NULL);
}
