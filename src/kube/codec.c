#include "kube/codec.h"

#include <zstd.h>

enum { LEVEL = 3 };

struct kube_codec {
	gint refs;
	ZSTD_CCtx *packer;
	ZSTD_CDict *pack_dictionary; /* NULL until the first text came */
	GMutex lock;                 /* of what follows */
	ZSTD_DCtx *unpacker;
	ZSTD_DDict *unpack_dictionary;
};

struct kube_codec *kube_codec_new(void)
{
	struct kube_codec *codec = g_new0(struct kube_codec, 1);

	codec->refs = 1;
	g_mutex_init(&codec->lock);
	return codec;
}

struct kube_codec *kube_codec_ref(struct kube_codec *codec)
{
	g_atomic_int_inc(&codec->refs);
	return codec;
}

void kube_codec_unref(struct kube_codec *codec)
{
	if (codec == NULL || !g_atomic_int_dec_and_test(&codec->refs))
		return;
	ZSTD_freeCCtx(codec->packer);
	ZSTD_freeCDict(codec->pack_dictionary);
	ZSTD_freeDCtx(codec->unpacker);
	ZSTD_freeDDict(codec->unpack_dictionary);
	g_mutex_clear(&codec->lock);
	g_free(codec);
}

/* FALSE: no memory for it, and texts stay as they are. */
static gboolean learn(struct kube_codec *codec, const char *text, gsize len)
{
	ZSTD_DDict *unpack_dictionary = ZSTD_createDDict(text, len);
	ZSTD_DCtx *unpacker = ZSTD_createDCtx();

	codec->packer = ZSTD_createCCtx();
	codec->pack_dictionary = ZSTD_createCDict(text, len, LEVEL);
	g_mutex_lock(&codec->lock);
	codec->unpacker = unpacker;
	codec->unpack_dictionary = unpack_dictionary;
	g_mutex_unlock(&codec->lock);
	return codec->packer != NULL && codec->pack_dictionary != NULL && unpacker != NULL &&
	       unpack_dictionary != NULL;
}

char *kube_codec_pack(struct kube_codec *codec, const char *text, gsize len, gsize *ret_len)
{
	g_autofree char *packed = NULL;
	gsize bound = len - len / 4;
	gsize packed_len;

	if (len < KUBE_CODEC_LEAST)
		return NULL;
	if (codec->pack_dictionary == NULL && !learn(codec, text, len))
		return NULL;
	packed = g_malloc(bound);
	/* Too small a room is an error here, and the sign that packing is not worth it. */
	packed_len = ZSTD_compress_usingCDict(
	    codec->packer, packed, bound, text, len, codec->pack_dictionary);
	if (ZSTD_isError(packed_len))
		return NULL;
	*ret_len = packed_len;
	return g_steal_pointer(&packed);
}

char *kube_codec_unpack(struct kube_codec *codec, const char *packed, gsize packed_len, gsize len)
{
	char *text = g_malloc(len + 1);
	gsize got;

	g_mutex_lock(&codec->lock);
	got = ZSTD_decompress_usingDDict(
	    codec->unpacker, text, len, packed, packed_len, codec->unpack_dictionary);
	g_mutex_unlock(&codec->lock);
	g_assert(got == len);
	text[len] = '\0';
	return text;
}
