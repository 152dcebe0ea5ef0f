/*
 * The threads that inspect models for others (store/inspect.h), and what they remember.
 *
 * Ownership: inspector_new/inspector_free; what the options point to must outlive it. Threads: any
 * for inspector_ask(); `done` is called on one of the inspector's own, and must only post.
 * Limits: INSPECTOR_MAX_WAITING questions, INSPECTOR_REMEMBERED answers, the latest used.
 */
#ifndef STORE_INSPECTOR_H
#define STORE_INSPECTOR_H

#include "store/inspect.h"

enum { INSPECTOR_MAX_WAITING = 1024, INSPECTOR_REMEMBERED = 512 };

struct inspector;

struct inspector *inspector_new(
    const struct content *content, const struct registry_options *registry);
/* Breaks off what is under way; whoever waits hears CANCELLED. Joins the threads. */
void inspector_free(struct inspector *inspector);
DEFINE_AUTO(inspector, inspector_free)

/*
 * Exactly once for each question: the text and no error, or an error and no text; both borrowed.
 */
typedef void (*inspector_done_fn)(void *data, const char *text, const GError *error);

/* FALSE: too many wait, and `done` will not be called. */
gboolean inspector_ask(struct inspector *inspector, const struct reference *reference,
    enum pull_policy policy, inspector_done_fn done, void *data) G_GNUC_WARN_UNUSED_RESULT;

#endif
