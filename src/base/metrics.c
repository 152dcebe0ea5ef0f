#include "base/metrics.h"

#include "base/hash.h"

#include <math.h>
#include <string.h>

enum metric_kind { METRIC_COUNTER, METRIC_GAUGE, METRIC_HISTOGRAM };

enum { LABEL_VALUE_MAX = 256 };

struct collector {
	void (*collect)(void *data);
	void *data;
	GDestroyNotify destroy;
};

struct metrics {
	GMutex lock;
	GPtrArray *all; /* struct metric */
	GArray *collectors;
	struct metric *dropped;
};

struct metric {
	struct metrics *registry;
	enum metric_kind kind;
	const char *name;
	const char *help;
	const char *labels[METRIC_MAX_LABELS];
	guint n_labels;
	const double *bounds;
	guint n_bounds;
	GHashTable *series; /* label text -> struct series */
	GPtrArray *order;   /* the same, as they came; owns them */
};

struct series {
	char *labels; /* 'code="200",verb="GET"', "" without labels */
	double value; /* of a histogram: the sum */
	guint64 count;
	guint64 buckets[];
};

static void series_free(gpointer data)
{
	struct series *series = data;

	g_free(series->labels);
	g_free(series);
}

static void metric_free(gpointer data)
{
	struct metric *metric = data;

	g_hash_table_unref(metric->series);
	g_ptr_array_unref(metric->order);
	g_free(metric);
}

static struct metric *register_metric(struct metrics *metrics, enum metric_kind kind,
    const char *name, const char *help, va_list labels)
{
	struct metric *metric = g_new0(struct metric, 1);
	const char *label;

	metric->registry = metrics;
	metric->kind = kind;
	metric->name = name;
	metric->help = help;
	while ((label = va_arg(labels, const char *)) != NULL) {
		g_assert(metric->n_labels < METRIC_MAX_LABELS);
		metric->labels[metric->n_labels++] = label;
	}
	metric->series = g_hash_table_new(hash_str, g_str_equal);
	metric->order = g_ptr_array_new_with_free_func(series_free);
	g_mutex_lock(&metrics->lock);
	g_ptr_array_add(metrics->all, metric);
	g_mutex_unlock(&metrics->lock);
	return metric;
}

struct metrics *metrics_new(void)
{
	struct metrics *metrics = g_new0(struct metrics, 1);

	g_mutex_init(&metrics->lock);
	metrics->all = g_ptr_array_new_with_free_func(metric_free);
	metrics->collectors = g_array_new(FALSE, FALSE, sizeof(struct collector));
	metrics->dropped = metrics_counter(metrics, "metrics_series_dropped_total",
	    "Samples left out because their metric has too many label combinations.", NULL);
	return metrics;
}

void metrics_free(struct metrics *metrics)
{
	if (metrics == NULL)
		return;
	for (guint i = 0; i < metrics->collectors->len; i++) {
		const struct collector *collector =
		    &g_array_index(metrics->collectors, struct collector, i);

		if (collector->destroy != NULL)
			collector->destroy(collector->data);
	}
	g_ptr_array_unref(metrics->all);
	g_array_unref(metrics->collectors);
	g_mutex_clear(&metrics->lock);
	g_free(metrics);
}

struct metric *metrics_counter(struct metrics *metrics, const char *name, const char *help, ...)
{
	struct metric *metric;
	va_list labels;

	va_start(labels, help);
	metric = register_metric(metrics, METRIC_COUNTER, name, help, labels);
	va_end(labels);
	return metric;
}

struct metric *metrics_gauge(struct metrics *metrics, const char *name, const char *help, ...)
{
	struct metric *metric;
	va_list labels;

	va_start(labels, help);
	metric = register_metric(metrics, METRIC_GAUGE, name, help, labels);
	va_end(labels);
	return metric;
}

struct metric *metrics_histogram(struct metrics *metrics, const char *name, const char *help,
    const double *bounds, guint n_bounds, ...)
{
	struct metric *metric;
	va_list labels;

	va_start(labels, n_bounds);
	metric = register_metric(metrics, METRIC_HISTOGRAM, name, help, labels);
	va_end(labels);
	metric->bounds = bounds;
	metric->n_bounds = n_bounds;
	return metric;
}

/* ---- samples ---- */

/* Backslash, quote and newline are escaped; bytes that are no UTF-8 become U+FFFD. */
static void append_label_value(GString *out, const char *value)
{
	g_autofree char *cut = g_strndup(value, LABEL_VALUE_MAX);
	g_autofree char *text = g_utf8_make_valid(cut, -1);

	for (const char *p = text; *p != '\0'; p++) {
		if (*p == '\n') {
			g_string_append(out, "\\n");
			continue;
		}
		if (*p == '\\' || *p == '"')
			g_string_append_c(out, '\\');
		g_string_append_c(out, *p);
	}
}

static GString *label_text(const struct metric *metric, va_list values)
{
	GString *text = g_string_new(NULL);

	for (guint i = 0; i < metric->n_labels; i++) {
		const char *value = va_arg(values, const char *);

		g_string_append_printf(text, "%s%s=\"", i == 0 ? "" : ",", metric->labels[i]);
		append_label_value(text, value == NULL ? "" : value);
		g_string_append_c(text, '"');
	}
	return text;
}

/* With the lock held. NULL: there are too many already. */
static struct series *find_series(struct metric *metric, const char *labels)
{
	struct series *series = g_hash_table_lookup(metric->series, labels);

	if (series != NULL)
		return series;
	if (metric->order->len >= METRIC_MAX_SERIES) {
		if (metric != metric->registry->dropped)
			find_series(metric->registry->dropped, "")->value += 1;
		return NULL;
	}
	series = g_malloc0(sizeof(*series) + metric->n_bounds * sizeof(series->buckets[0]));
	series->labels = g_strdup(labels);
	g_hash_table_insert(metric->series, series->labels, series);
	g_ptr_array_add(metric->order, series);
	return series;
}

enum change { CHANGE_ADD, CHANGE_SET, CHANGE_OBSERVE };

static void apply(
    const struct metric *metric, struct series *series, enum change change, double value)
{
	if (change == CHANGE_SET) {
		series->value = value;
		return;
	}
	series->value += value;
	if (change != CHANGE_OBSERVE)
		return;
	series->count++;
	for (guint i = 0; i < metric->n_bounds; i++)
		series->buckets[i] += value <= metric->bounds[i];
}

static void sample(struct metric *metric, enum change change, double value, va_list values)
{
	g_autoptr(GString) labels = label_text(metric, values);
	struct series *series;

	g_mutex_lock(&metric->registry->lock);
	series = find_series(metric, labels->str);
	if (series != NULL)
		apply(metric, series, change, value);
	g_mutex_unlock(&metric->registry->lock);
}

#define DEFINE_SAMPLE(function, change)                         \
	void function(struct metric *metric, double value, ...) \
	{                                                       \
		va_list values;                                 \
                                                                \
		if (metric == NULL)                             \
			return;                                 \
		va_start(values, value);                        \
		sample(metric, change, value, values);          \
		va_end(values);                                 \
	}

DEFINE_SAMPLE(metric_add, CHANGE_ADD)
DEFINE_SAMPLE(metric_set, CHANGE_SET)
DEFINE_SAMPLE(metric_observe, CHANGE_OBSERVE)

/* ---- text ---- */

void metrics_on_collect(
    struct metrics *metrics, void (*collect)(void *data), void *data, GDestroyNotify destroy)
{
	struct collector collector = {collect, data, destroy};

	g_mutex_lock(&metrics->lock);
	g_array_append_val(metrics->collectors, collector);
	g_mutex_unlock(&metrics->lock);
}

static void append_number(GString *out, double value)
{
	char buffer[G_ASCII_DTOSTR_BUF_SIZE];

	if (isinf(value))
		g_string_append(out, value > 0 ? "+Inf" : "-Inf");
	else
		g_string_append(out, g_ascii_formatd(buffer, sizeof(buffer), "%.15g", value));
}

/* name{labels,extra} value */
static void append_line(GString *out, const char *name, const char *suffix, const char *labels,
    const char *extra, double value)
{
	g_string_append(out, name);
	g_string_append(out, suffix);
	if (*labels != '\0' || *extra != '\0')
		g_string_append_printf(
		    out, "{%s%s%s}", labels, *labels != '\0' && *extra != '\0' ? "," : "", extra);
	g_string_append_c(out, ' ');
	append_number(out, value);
	g_string_append_c(out, '\n');
}

static void append_histogram(GString *out, const struct metric *metric, const struct series *series)
{
	for (guint i = 0; i <= metric->n_bounds; i++) {
		g_autoptr(GString) bound = g_string_new("le=\"");
		gboolean last = i == metric->n_bounds;

		append_number(bound, last ? INFINITY : metric->bounds[i]);
		g_string_append_c(bound, '"');
		append_line(out, metric->name, "_bucket", series->labels, bound->str,
		    (double)(last ? series->count : series->buckets[i]));
	}
	append_line(out, metric->name, "_sum", series->labels, "", series->value);
	append_line(out, metric->name, "_count", series->labels, "", (double)series->count);
}

static void append_metric(GString *out, const struct metric *metric)
{
	static const char *const kinds[] = {"counter", "gauge", "histogram"};

	g_string_append_printf(out, "# HELP %s %s\n# TYPE %s %s\n", metric->name, metric->help,
	    metric->name, kinds[metric->kind]);
	for (guint i = 0; i < metric->order->len; i++) {
		const struct series *series = metric->order->pdata[i];

		if (metric->kind == METRIC_HISTOGRAM)
			append_histogram(out, metric, series);
		else
			append_line(out, metric->name, "", series->labels, "", series->value);
	}
}

static void run_collectors(struct metrics *metrics)
{
	g_autoptr(GArray) collectors = NULL;

	g_mutex_lock(&metrics->lock);
	collectors = g_array_copy(metrics->collectors);
	g_mutex_unlock(&metrics->lock);
	for (guint i = 0; i < collectors->len; i++) {
		const struct collector *collector = &g_array_index(collectors, struct collector, i);

		collector->collect(collector->data);
	}
}

char *metrics_text(struct metrics *metrics)
{
	GString *out = g_string_new(NULL);

	run_collectors(metrics);
	g_mutex_lock(&metrics->lock);
	for (guint i = 0; i < metrics->all->len; i++)
		append_metric(out, metrics->all->pdata[i]);
	g_mutex_unlock(&metrics->lock);
	return g_string_free(out, FALSE);
}
