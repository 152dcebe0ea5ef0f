/*
 * Names of models as Ollama reads them: [scheme://][host/][namespace/]model[:tag].
 * Defaults: registry.ollama.ai, library, latest. Equality ignores case; spelling is kept.
 *
 * Ownership: the caller's; immutable. Threads: any. Limits: host 350 bytes, other parts 80.
 * Source: Ollama's types/model/name.go.
 */
#ifndef MODEL_REFERENCE_H
#define MODEL_REFERENCE_H

#include "base/auto.h"

enum model_error {
	MODEL_ERROR_REFERENCE,  /* no model name */
	MODEL_ERROR_MANIFEST,   /* no Ollama manifest */
	MODEL_ERROR_RESOURCE,   /* a Model object that cannot be acted on */
	MODEL_ERROR_GGUF,       /* weights whose header cannot be read */
	MODEL_ERROR_GGUF_SHORT, /* more of the header is needed */
};
#define MODEL_ERROR (model_error_quark())
GQuark model_error_quark(void);

struct reference {
	char *host;      /* "registry.ollama.ai", "localhost:5000" */
	char *namespace; /* "library" */
	char *model;
	char *tag;
};

/* Errors: REFERENCE with a sentence that says which part is wrong and what is allowed. */
struct reference *reference_parse(const char *text, GError **error) G_GNUC_WARN_UNUSED_RESULT;
void reference_free(struct reference *reference);
DEFINE_AUTO(reference, reference_free)

/* All four parts: "registry.ollama.ai/library/phi:latest". The caller's. */
char *reference_full(const struct reference *reference);
/* As Ollama lists it: default host and namespace left out, always with its tag: "phi:latest". */
char *reference_short(const struct reference *reference);
/* reference_full() in lower case: equal for equal models. */
char *reference_key(const struct reference *reference);
/* "manifests/<host>/<ns>/<model>/<tag>": where Ollama keeps it below its models directory. */
char *reference_manifest_path(const struct reference *reference);

#endif
