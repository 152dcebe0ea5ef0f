#include "model/reference.h"

#include <string.h>

enum { HOST_MAX_BYTES = 350, PART_MAX_BYTES = 80 };

enum part { PART_HOST, PART_NAMESPACE, PART_MODEL, PART_TAG };

static const struct {
	const char *name;
	const char *fallback; /* NULL: must be there */
	const char *more;     /* allowed after the first byte, beyond letters, digits and "_-" */
	gsize max_bytes;
} PARTS[] = {
    [PART_HOST] = {"host", "registry.ollama.ai", ".:", HOST_MAX_BYTES},
    [PART_NAMESPACE] = {"namespace", "library", "", PART_MAX_BYTES},
    [PART_MODEL] = {"model", NULL, ".", PART_MAX_BYTES},
    [PART_TAG] = {"tag", "latest", ".", PART_MAX_BYTES},
};

GQuark model_error_quark(void)
{
	return g_quark_from_static_string("model-error");
}

/* The name as it may be shown in a sentence: cut, and without bytes that a terminal acts on. */
static char *printable(const char *text)
{
	g_autofree char *valid = g_utf8_make_valid(text, -1);
	GString *out = g_string_new(NULL);
	guint n = 0;

	for (const char *p = valid; *p != '\0'; p = g_utf8_next_char(p)) {
		gunichar c = g_utf8_get_char(p);

		if (n++ == 120) {
			g_string_append(out, "…");
			break;
		}
		g_string_append_unichar(out, g_unichar_isprint(c) ? c : '?');
	}
	return g_string_free(out, FALSE);
}

static gboolean is_word(char c)
{
	return g_ascii_isalnum(c) || c == '_';
}

static gboolean chars_are_valid(enum part kind, const char *text)
{
	if (!is_word(text[0]))
		return FALSE;
	for (const char *p = text + 1; *p != '\0'; p++)
		if (!is_word(*p) && *p != '-' && strchr(PARTS[kind].more, *p) == NULL)
			return FALSE;
	return TRUE;
}

/* Checks one part; "" means that the name promised it ("phi:") and did not give it. */
static gboolean check_part(enum part kind, const char *text, const char *whole, GError **error)
{
	g_autofree char *shown = NULL;

	if (text[0] != '\0' && strlen(text) <= PARTS[kind].max_bytes && chars_are_valid(kind, text))
		return TRUE;
	shown = printable(whole);
	if (text[0] == '\0')
		g_set_error(error, MODEL_ERROR, MODEL_ERROR_REFERENCE,
		    "\"%s\" is no model name: its %s is empty, "
		    "the form is [host/][namespace/]model[:tag]",
		    shown, PARTS[kind].name);
	else if (strlen(text) > PARTS[kind].max_bytes)
		g_set_error(error, MODEL_ERROR, MODEL_ERROR_REFERENCE,
		    "\"%s\" is no model name: its %s is longer than %zu bytes", shown,
		    PARTS[kind].name, PARTS[kind].max_bytes);
	else
		g_set_error(error, MODEL_ERROR, MODEL_ERROR_REFERENCE,
		    "\"%s\" is no model name: its %s may have letters, digits, \"_\"%s%s and "
		    "\"-\", "
		    "and begins with one of the first three",
		    shown, PARTS[kind].name, strchr(PARTS[kind].more, '.') != NULL ? ", \".\"" : "",
		    strchr(PARTS[kind].more, ':') != NULL ? ", \":\"" : "");
	return FALSE;
}

/* Cuts what follows the last `separator` off `text`; NULL: there is none. */
static char *cut_last(char *text, char separator)
{
	char *at = strrchr(text, separator);

	if (at == NULL)
		return NULL;
	*at = '\0';
	return at + 1;
}

/* Takes the parts out of `text` (which it cuts into pieces); missing ones stay NULL. */
static void split(char *text, char *parts[4])
{
	char *colon = strrchr(text, ':');
	char *slash = strrchr(text, '/');
	char *scheme_end;

	memset(parts, 0, 4 * sizeof(parts[0]));
	if (colon != NULL && (slash == NULL || colon > slash))
		parts[PART_TAG] = cut_last(text, ':');
	parts[PART_MODEL] = cut_last(text, '/');
	if (parts[PART_MODEL] == NULL) {
		parts[PART_MODEL] = text;
		return;
	}
	parts[PART_NAMESPACE] = cut_last(text, '/');
	if (parts[PART_NAMESPACE] == NULL) {
		parts[PART_NAMESPACE] = text;
		return;
	}
	scheme_end = strstr(text, "://");
	parts[PART_HOST] = scheme_end == NULL ? text : scheme_end + strlen("://");
}

struct reference *reference_parse(const char *text, GError **error)
{
	g_autofree char *pieces = g_strdup(text);
	struct reference *reference;
	char *parts[4];

	split(pieces, parts);
	for (guint i = 0; i < G_N_ELEMENTS(parts); i++)
		if (parts[i] != NULL && !check_part((enum part)i, parts[i], text, error))
			return NULL;
	reference = g_new0(struct reference, 1);
	reference->host = g_strdup(parts[PART_HOST] ?: PARTS[PART_HOST].fallback);
	reference->namespace = g_strdup(parts[PART_NAMESPACE] ?: PARTS[PART_NAMESPACE].fallback);
	reference->model = g_strdup(parts[PART_MODEL]);
	reference->tag = g_strdup(parts[PART_TAG] ?: PARTS[PART_TAG].fallback);
	return reference;
}

void reference_free(struct reference *reference)
{
	if (reference == NULL)
		return;
	g_free(reference->host);
	g_free(reference->namespace);
	g_free(reference->model);
	g_free(reference->tag);
	g_free(reference);
}

char *reference_full(const struct reference *reference)
{
	return g_strdup_printf(
	    "%s/%s/%s:%s", reference->host, reference->namespace, reference->model, reference->tag);
}

char *reference_short(const struct reference *reference)
{
	if (g_ascii_strcasecmp(reference->host, PARTS[PART_HOST].fallback) != 0)
		return reference_full(reference);
	if (g_ascii_strcasecmp(reference->namespace, PARTS[PART_NAMESPACE].fallback) != 0)
		return g_strdup_printf(
		    "%s/%s:%s", reference->namespace, reference->model, reference->tag);
	return g_strdup_printf("%s:%s", reference->model, reference->tag);
}

char *reference_key(const struct reference *reference)
{
	g_autofree char *full = reference_full(reference);

	return g_ascii_strdown(full, -1);
}

char *reference_manifest_path(const struct reference *reference)
{
	return g_strdup_printf("manifests/%s/%s/%s/%s", reference->host, reference->namespace,
	    reference->model, reference->tag);
}
