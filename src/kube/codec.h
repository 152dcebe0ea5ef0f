/*
 * Packs the texts of one resource's objects. Objects of a kind say nearly the same: against the
 * first of them as dictionary, a Deployment of 4 KB becomes some 300 bytes (Zstandard, RFC 8878).
 * Ten thousand Models with their children stay in the caches of a small process that way.
 *
 *	first text ─► dictionary        every further one ─► packed against it
 *
 * Ownership: reference-counted; each packed object holds one. Threads: kube_codec_pack() one thread
 * at a time (the loop's); kube_codec_unpack() any. Limits: what shrinks by less than a quarter, or
 * is shorter than KUBE_CODEC_LEAST, stays as it is.
 */
#ifndef KUBE_CODEC_H
#define KUBE_CODEC_H

#include "base/auto.h"

enum { KUBE_CODEC_LEAST = 256 };

struct kube_codec;

struct kube_codec *kube_codec_new(void);
struct kube_codec *kube_codec_ref(struct kube_codec *codec);
void kube_codec_unref(struct kube_codec *codec);
DEFINE_AUTO(kube_codec, kube_codec_unref)

/* The packed form, the caller's; NULL: not worth it. */
char *kube_codec_pack(struct kube_codec *codec, const char *text, gsize len, gsize *ret_len);

/* What was packed, `len` bytes and a NUL, the caller's. Only for what this codec has packed. */
char *kube_codec_unpack(struct kube_codec *codec, const char *packed, gsize packed_len, gsize len);

#endif
