/* Objects for the tests of the room operator, from YAML that reads like a manifest. */
#ifndef TESTS_OPERATOR_FIXTURES_H
#define TESTS_OPERATOR_FIXTURES_H

#include "model/resource.h"
#include "operator/plan.h"
#include "operator/pulls.h"

/* An API object from YAML; fails the test when it does not parse. */
struct kube_object *object_from_yaml(const char *yaml);

/* A Model default/phi with the given spec (YAML in flow style, "{image: phi}") and status. */
struct model *model_with(const char *spec, const char *status);

/* A document from YAML, freed by the caller. */
yyjson_doc *doc_from_yaml(const char *yaml);

const struct operator_settings *test_settings(void);

/* A wall clock's time in microseconds that all these tests share: 2026-11-23T10:00:00Z. */
#define TEST_NOW_US (G_GINT64_CONSTANT(1795428000) * G_USEC_PER_SEC)

#endif
