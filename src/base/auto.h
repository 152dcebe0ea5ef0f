/*
 * g_autoptr for structs without a typedef.
 *
 *	DEFINE_AUTO(loop, loop_free)        once, in the header of `struct loop`
 *	AUTO(loop) loop = loop_new();       freed when the scope is left
 *
 * g_steal_pointer(&loop) gives it away as usual.
 */
#ifndef BASE_AUTO_H
#define BASE_AUTO_H

#include <glib.h>

#define DEFINE_AUTO(name, free_fn)                                    \
	static inline void name##_auto_cleanup(struct name **pointer) \
	{                                                             \
		if (*pointer != NULL)                                 \
			free_fn(*pointer);                            \
	}

/* "unused": some values are only kept for what their cleanup does. */
#define AUTO(name) __attribute__((cleanup(name##_auto_cleanup), unused)) struct name *

#endif
