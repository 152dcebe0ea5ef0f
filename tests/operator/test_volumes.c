/* Where a Model's weights are for its pods. */
#include "fixtures.h"
#include "operator/children.h"
#include "operator/volumes.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include <cmocka.h>

#define RESTRICTED "{metadata: {name: default, labels: {" LABEL_ENFORCE ": restricted}}}"
#define BASELINE "{metadata: {name: default, labels: {" LABEL_ENFORCE ": baseline}}}"
#define PRIVILEGED "{metadata: {name: default, labels: {" LABEL_ENFORCE ": privileged}}}"
#define CLAIM_OF(modes)                                                                    \
	"{spec: {accessModes: [" modes "], storageClassName: fast, resources: {requests: " \
	"{storage: 100Gi}}}}"

/* What is worked out for a Model from YAML; NULL stands for what is not there. */
struct scene {
	struct model *model;
	yyjson_doc *claim, *namespace;
	char *claim_name;
	struct volume_choice choice;
};

static void scene_done(struct scene *scene)
{
	model_free(scene->model);
	yyjson_doc_free(scene->claim);
	yyjson_doc_free(scene->namespace);
	g_free(scene->claim_name);
}

static struct scene scene_of(const char *spec, const char *claim, const char *namespace)
{
	struct scene scene = {.model = model_with(spec, NULL)};

	scene.claim = claim == NULL ? NULL : doc_from_yaml(claim);
	scene.namespace = namespace == NULL ? NULL : doc_from_yaml(namespace);
	scene.claim_name = volumes_claim_name(scene.model);
	scene.choice = volumes_choose(scene.model, scene.claim_name,
	    yyjson_doc_get_root(scene.claim), yyjson_doc_get_root(scene.namespace));
	return scene;
}

static yyjson_doc *deployment_in(
    const struct scene *scene, const struct operator_settings *settings)
{
	const struct child_facts facts = {.volumes = &scene->choice};
	g_autoptr(GError) error = NULL;
	g_autoptr(yyjson_mut_doc) doc = child_deployment(scene->model, settings, &facts, &error);

	if (doc == NULL)
		fail_msg("%s", error->message);
	return yyjson_mut_doc_imut_copy(doc, NULL);
}

static yyjson_val *named(yyjson_val *list, const char *name)
{
	yyjson_arr_iter iter;
	yyjson_val *entry;

	yyjson_arr_iter_init(list, &iter);
	while ((entry = yyjson_arr_iter_next(&iter)) != NULL) {
		if (g_strcmp0(json_str(entry, "name", NULL), name) == 0)
			return entry;
	}
	return NULL;
}

static gboolean has_text(yyjson_val *list, const char *text)
{
	yyjson_arr_iter iter;
	yyjson_val *entry;

	yyjson_arr_iter_init(list, &iter);
	while ((entry = yyjson_arr_iter_next(&iter)) != NULL) {
		if (yyjson_equals_str(entry, text))
			return TRUE;
	}
	return FALSE;
}

static void which_volume_when(void **state)
{
	static const struct {
		const char *spec, *claim, *namespace;
		enum volume_kind kind;
		const char *name;
		gboolean shared, read_only, one_node, one_pod;
	} table[] = {
	    {"{image: phi}", NULL, NULL, VOLUME_HOST, NULL, 0, 0, 0, 0},
	    {"{image: phi}", NULL, PRIVILEGED, VOLUME_HOST, NULL, 0, 0, 0, 0},
	    {"{image: phi}", NULL, BASELINE, VOLUME_POD, NULL, 0, 0, 0, 0},
	    {"{image: phi}", NULL, RESTRICTED, VOLUME_POD, NULL, 0, 0, 0, 0},
	    {"{image: phi, storageClassName: fast}", NULL, RESTRICTED, VOLUME_CLAIM, SHARED_CLAIM,
		1, 0, 1, 0},
	    {"{image: phi, persistentVolume: {}}", NULL, NULL, VOLUME_HOST, NULL, 0, 0, 0, 0},
	    {"{image: phi, persistentVolume: {accessMode: ReadWriteMany}}", NULL, NULL,
		VOLUME_CLAIM, SHARED_CLAIM, 1, 0, 0, 0},
	    {"{image: phi, persistentVolume: {accessMode: ReadWriteOncePod}}", NULL, NULL,
		VOLUME_CLAIM, SHARED_CLAIM, 1, 0, 1, 1},
	    /* What the claim is counts, where it is known. */
	    {"{image: phi, storageClassName: fast}", CLAIM_OF("ReadWriteMany"), NULL, VOLUME_CLAIM,
		SHARED_CLAIM, 1, 0, 0, 0},
	    {"{image: phi, persistentVolumeClaim: {claimName: own}}", NULL, NULL, VOLUME_CLAIM,
		"own", 0, 0, 1, 0},
	    {"{image: phi, persistentVolumeClaim: {claimName: own}}", CLAIM_OF("ReadWriteOnce"),
		NULL, VOLUME_CLAIM, "own", 0, 0, 1, 0},
	    {"{image: phi, persistentVolumeClaim: {claimName: own}}",
		CLAIM_OF("ReadWriteOnce, ReadWriteMany"), NULL, VOLUME_CLAIM, "own", 0, 0, 0, 0},
	    {"{image: phi, persistentVolumeClaim: {claimName: own}}", CLAIM_OF("ReadWriteOncePod"),
		NULL, VOLUME_CLAIM, "own", 0, 0, 1, 1},
	    {"{image: phi, persistentVolumeClaim: {claimName: own, readOnly: true}}",
		CLAIM_OF("ReadOnlyMany"), RESTRICTED, VOLUME_CLAIM, "own", 0, 1, 0, 0},
	    {"{image: phi, persistentVolumeClaim: {claimName: own, readOnly: true}}",
		CLAIM_OF("ReadWriteOnce"), NULL, VOLUME_CLAIM, "own", 0, 1, 1, 0},
	};

	(void)state;
	for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
		struct scene scene = scene_of(table[i].spec, table[i].claim, table[i].namespace);
		const struct volume_choice *choice = &scene.choice;

		if (choice->kind != table[i].kind || g_strcmp0(choice->claim, table[i].name) != 0 ||
		    choice->is_shared != table[i].shared ||
		    choice->is_read_only != table[i].read_only ||
		    choice->one_node != table[i].one_node || choice->one_pod != table[i].one_pod)
			fail_msg(
			    "case %u, %s: kind %d, claim %s, shared %d, read-only %d, one node %d, "
			    "one pod %d",
			    i, table[i].spec, choice->kind, choice->claim ?: "none",
			    choice->is_shared, choice->is_read_only, choice->one_node,
			    choice->one_pod);
		scene_done(&scene);
	}
}

static void a_claim_of_another_kind_is_left_to_others(void **state)
{
	static const struct {
		const char *spec;
		gboolean fits;
	} table[] = {
	    {"{image: phi, storageClassName: fast}", TRUE},
	    {"{image: phi, storageClassName: slow}", FALSE},
	    {"{image: phi, persistentVolume: {accessMode: ReadWriteOnce}}", TRUE},
	    {"{image: phi, persistentVolume: {accessMode: ReadWriteMany}}", FALSE},
	    {"{image: phi, storageClassName: fast, persistentVolume: {accessMode: ReadWriteOnce}}",
		TRUE},
	    {"{image: phi, persistentVolumeClaim: {claimName: own}}", TRUE},
	};
	AUTO(model) slow = model_with("{image: phi, storageClassName: slow}", NULL);
	AUTO(model) same = model_with("{image: qwen, storageClassName: slow}", NULL);
	AUTO(model) other = model_with("{image: phi, storageClassName: slower}", NULL);
	g_autoptr(yyjson_doc) claim = doc_from_yaml(CLAIM_OF("ReadWriteOnce"));
	g_autofree char *a = volumes_other_claim_name(slow);
	g_autofree char *b = volumes_other_claim_name(same);
	g_autofree char *c = volumes_other_claim_name(other);

	(void)state;
	for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
		AUTO(model) model = model_with(table[i].spec, NULL);

		if (volumes_claim_fits(model, yyjson_doc_get_root(claim)) != table[i].fits)
			fail_msg("%s", table[i].spec);
	}
	assert_true(g_str_has_prefix(a, SHARED_CLAIM "-"));
	assert_string_equal(a, b);
	assert_string_not_equal(a, c);
}

static void the_shared_claim_is_made_and_grown_but_never_shrunk(void **state)
{
	struct operator_settings settings = *test_settings();
	static const struct {
		const char *has, *size, *wanted; /* `wanted` NULL: nothing is to be said */
	} table[] = {
	    {NULL, NULL, "100Gi"},
	    {NULL, "5Gi", "5Gi"},
	    {CLAIM_OF("ReadWriteOnce"), NULL, NULL},
	    {CLAIM_OF("ReadWriteOnce"), "102400Mi", NULL},
	    {CLAIM_OF("ReadWriteOnce"), "50Gi", NULL},
	    {CLAIM_OF("ReadWriteOnce"), "200Gi", "200Gi"},
	    {"{metadata: {deletionTimestamp: x}, spec: {}}", "200Gi", NULL},
	};

	(void)state;
	for (guint i = 0; i < G_N_ELEMENTS(table); i++) {
		struct scene scene =
		    scene_of("{image: phi, storageClassName: fast}", table[i].has, NULL);
		g_autoptr(yyjson_mut_doc) doc = NULL;
		g_autoptr(yyjson_doc) body = NULL;
		yyjson_val *spec;

		settings.claim_size = table[i].size;
		doc = volumes_shared_claim(
		    scene.model, &settings, &scene.choice, yyjson_doc_get_root(scene.claim));
		if ((doc == NULL) != (table[i].wanted == NULL))
			fail_msg("case %u", i);
		body = doc == NULL ? NULL : yyjson_mut_doc_imut_copy(doc, NULL);
		spec = json_at(yyjson_doc_get_root(body), "spec", NULL);
		if (doc != NULL) {
			assert_string_equal(
			    json_str(spec, "resources", "requests", "storage", NULL),
			    table[i].wanted);
			assert_string_equal(json_str(spec, "storageClassName", NULL), "fast");
			assert_true(has_text(json_at(spec, "accessModes", NULL), "ReadWriteOnce"));
			assert_null(json_at(
			    yyjson_doc_get_root(body), "metadata", "ownerReferences", NULL));
		}
		scene_done(&scene);
	}
}

static void claims_that_users_name_are_not_ours_to_make(void **state)
{
	struct scene scene =
	    scene_of("{image: phi, persistentVolumeClaim: {claimName: own}}", NULL, NULL);

	(void)state;
	assert_null(volumes_shared_claim(scene.model, test_settings(), &scene.choice, NULL));
	scene_done(&scene);
}

static void a_pod_of_its_own_volume_is_what_restricted_allows(void **state)
{
	struct scene scene = scene_of("{image: phi}", NULL, RESTRICTED);
	g_autoptr(yyjson_doc) doc = deployment_in(&scene, test_settings());
	yyjson_val *pod = json_at(yyjson_doc_get_root(doc), "spec", "template", "spec", NULL);
	yyjson_val *volumes = json_at(pod, "volumes", NULL);
	yyjson_val *server = named(json_at(pod, "containers", NULL), "server");
	yyjson_val *fetch = named(json_at(pod, "initContainers", NULL), "fetch");
	yyjson_val *mount = named(json_at(server, "volumeMounts", NULL), "models");
	yyjson_arr_iter iter;
	yyjson_val *volume;

	(void)state;
	yyjson_arr_iter_init(volumes, &iter);
	while ((volume = yyjson_arr_iter_next(&iter)) != NULL)
		assert_null(json_at(volume, "hostPath", NULL));
	assert_non_null(json_at(named(volumes, "models"), "emptyDir", NULL));
	assert_null(json_at(mount, "subPathExpr", NULL));
	assert_true(json_bool(mount, FALSE, "readOnly", NULL));
	mount = named(json_at(fetch, "volumeMounts", NULL), "models");
	assert_string_equal(json_str(mount, "mountPath", NULL), "/models");
	assert_false(json_bool(mount, FALSE, "readOnly", NULL));
	assert_true(has_text(json_at(fetch, "args", NULL), "--into"));
	assert_true(has_text(json_at(fetch, "args", NULL), "/models"));
	assert_false(has_text(json_at(fetch, "args", NULL), "--read-only"));
	assert_null(json_at(pod, "affinity", NULL));
	scene_done(&scene);
}

static void pods_of_one_claim_stay_together(void **state)
{
	struct scene scene = scene_of("{image: phi, storageClassName: fast, podTemplate: {spec: "
				      "{affinity: {podAffinity: {requiredDuringScheduling"
				      "IgnoredDuringExecution: [{topologyKey: zone}]}}}}}",
	    NULL, NULL);
	struct operator_settings settings = *test_settings();
	g_autoptr(yyjson_doc) doc = NULL;
	yyjson_val *template, *terms, *fetch;

	(void)state;
	settings.registry_mirrors = "a=http://b";
	doc = deployment_in(&scene, &settings);
	template = json_at(yyjson_doc_get_root(doc), "spec", "template", NULL);
	fetch = named(json_at(template, "spec", "initContainers", NULL), "fetch");
	assert_string_equal(
	    json_str(template, "metadata", "labels", LABEL_CLAIM, NULL), SHARED_CLAIM);
	terms = json_at(template, "spec", "affinity", "podAffinity",
	    "requiredDuringSchedulingIgnoredDuringExecution", NULL);
	/* The user's own rule holds beside ours. */
	assert_int_equal(yyjson_arr_size(terms), 2);
	assert_string_equal(
	    json_str(yyjson_arr_get(terms, 1), "topologyKey", NULL), "kubernetes.io/hostname");
	assert_string_equal(
	    json_str(yyjson_arr_get(terms, 1), "labelSelector", "matchLabels", LABEL_CLAIM, NULL),
	    SHARED_CLAIM);
	assert_string_equal(json_str(named(json_at(template, "spec", "volumes", NULL), "models"),
				"persistentVolumeClaim", "claimName", NULL),
	    SHARED_CLAIM);
	assert_string_equal(
	    json_str(named(json_at(fetch, "env", NULL), "OLLAMA_REGISTRY_MIRRORS"), "value", NULL),
	    "a=http://b");
	assert_null(named(json_at(fetch, "env", NULL), "OLLAMA_INSECURE_REGISTRIES"));
	scene_done(&scene);
}

static void a_claim_for_one_pod_makes_room_before_it_fills_it(void **state)
{
	struct scene scene =
	    scene_of("{image: phi, persistentVolumeClaim: {claimName: own, readOnly: true}}",
		CLAIM_OF("ReadWriteOncePod"), NULL);
	g_autoptr(yyjson_doc) doc = deployment_in(&scene, test_settings());
	yyjson_val *spec = json_at(yyjson_doc_get_root(doc), "spec", NULL);
	yyjson_val *pod = json_at(spec, "template", "spec", NULL);
	yyjson_val *fetch = named(json_at(pod, "initContainers", NULL), "fetch");

	(void)state;
	assert_int_equal(json_int(spec, -1, "strategy", "rollingUpdate", "maxSurge", NULL), 0);
	assert_int_equal(
	    json_int(spec, -1, "strategy", "rollingUpdate", "maxUnavailable", NULL), 1);
	assert_true(json_bool(named(json_at(pod, "volumes", NULL), "models"), FALSE,
	    "persistentVolumeClaim", "readOnly", NULL));
	assert_true(json_bool(
	    named(json_at(fetch, "volumeMounts", NULL), "models"), FALSE, "readOnly", NULL));
	assert_true(has_text(json_at(fetch, "args", NULL), "--read-only"));
	scene_done(&scene);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
	    cmocka_unit_test(which_volume_when),
	    cmocka_unit_test(a_claim_of_another_kind_is_left_to_others),
	    cmocka_unit_test(the_shared_claim_is_made_and_grown_but_never_shrunk),
	    cmocka_unit_test(claims_that_users_name_are_not_ours_to_make),
	    cmocka_unit_test(a_pod_of_its_own_volume_is_what_restricted_allows),
	    cmocka_unit_test(pods_of_one_claim_stay_together),
	    cmocka_unit_test(a_claim_for_one_pod_makes_room_before_it_fills_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
