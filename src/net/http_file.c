/*
 * An answer's bytes from a file: read on libuv's thread pool, written by the connection.
 *
 *	pool:  [ piece n+1 being read ]        socket: [ piece n waiting to be written ]
 *
 * A new piece is read only while at most one waits, so two are held at most.
 */
#include "net/http_server_priv.h"

#include <unistd.h>

struct http_file {
	struct http_exchange *exchange; /* NULL: detached */
	uv_fs_t request;
	int fd;
	gint64 offset, left;
	char *piece; /* being read */
	gboolean reading;
};

static void file_free(struct http_file *file)
{
	g_free(file->piece);
	close(file->fd);
	g_free(file);
}

struct http_file *file_new(
    struct http_exchange *exchange, int take_fd, gint64 offset, gint64 length)
{
	struct http_file *file = g_new0(struct http_file, 1);

	file->exchange = exchange;
	file->fd = take_fd;
	file->offset = offset;
	file->left = length;
	return file;
}

static void on_piece(uv_fs_t *request)
{
	struct http_file *file = request->data;
	struct http_exchange *exchange = file->exchange;
	ssize_t count = request->result;

	uv_fs_req_cleanup(request);
	file->reading = FALSE;
	if (exchange == NULL) {
		file_free(file);
		return;
	}
	if (count <= 0) {
		/* Unreadable, or shorter than was said. */
		http_exchange_abort(exchange);
		return;
	}
	file->offset += count;
	file->left -= count;
	exchange->left -= count;
	conn_write_take(exchange->conn, g_steal_pointer(&file->piece), (gsize)count);
	conn_advance(exchange->conn);
}

static void read_piece(struct http_file *file)
{
	uv_loop_t *uv = loop_uv(file->exchange->conn->server->loop);
	gsize len = (gsize)MIN(file->left, HTTP_FILE_PIECE_BYTES);
	uv_buf_t buffer;

	file->piece = g_malloc(len);
	buffer = uv_buf_init(file->piece, (unsigned)len);
	file->request.data = file;
	file->reading = TRUE;
	if (uv_fs_read(uv, &file->request, file->fd, &buffer, 1, file->offset, on_piece) != 0) {
		file->reading = FALSE;
		http_exchange_abort(file->exchange);
	}
}

void file_advance(struct http_file *file)
{
	struct http_exchange *exchange = file->exchange;

	if (file->reading || exchange->conn->broken || exchange->conn->pieces > 1)
		return;
	if (file->left > 0) {
		read_piece(file);
		return;
	}
	exchange->file = NULL;
	file_free(file);
	http_exchange_end(exchange);
}

void file_detach(struct http_file *file)
{
	file->exchange = NULL;
	if (!file->reading) {
		file_free(file);
		return;
	}
	/* Where it is too late to cancel, on_piece() comes all the same. */
	uv_cancel((uv_req_t *)&file->request);
}
