#include "base/metrics.h"

#include <dirent.h>
#include <string.h>
#include <unistd.h>

/* The three that every dashboard shows; /proc is read when they are asked for. */
struct process_metrics {
	struct metric *cpu_seconds;
	struct metric *resident_bytes;
	struct metric *open_fds;
	double cpu_seconds_told;
};

/* The 14th and 15th field of /proc/self/stat: ticks in user and in system (proc(5)). */
static double read_cpu_seconds(void)
{
	g_autofree char *text = NULL;
	g_auto(GStrv) fields = NULL;
	const char *rest;

	if (!g_file_get_contents("/proc/self/stat", &text, NULL, NULL))
		return 0;
	/* The second field is a name in parentheses and may hold blanks. */
	rest = strrchr(text, ')');
	if (rest == NULL)
		return 0;
	fields = g_strsplit(rest + 2, " ", 14);
	if (g_strv_length(fields) < 14)
		return 0;
	return (g_ascii_strtod(fields[11], NULL) + g_ascii_strtod(fields[12], NULL)) /
	       (double)sysconf(_SC_CLK_TCK);
}

/* The second field of /proc/self/statm: resident pages. */
static double read_resident_bytes(void)
{
	g_autofree char *text = NULL;
	const char *blank;

	if (!g_file_get_contents("/proc/self/statm", &text, NULL, NULL))
		return 0;
	blank = strchr(text, ' ');
	return blank == NULL ? 0 : g_ascii_strtod(blank, NULL) * (double)sysconf(_SC_PAGESIZE);
}

static double count_open_fds(void)
{
	DIR *dir = opendir("/proc/self/fd");
	guint count = 0;

	if (dir == NULL)
		return 0;
	while (readdir(dir) != NULL)
		count++;
	closedir(dir);
	/* Less ".", ".." and the directory's own. */
	return count - 3.0;
}

static void collect(void *data)
{
	struct process_metrics *process = data;
	double cpu_seconds = read_cpu_seconds();

	metric_add(process->cpu_seconds, cpu_seconds - process->cpu_seconds_told);
	process->cpu_seconds_told = cpu_seconds;
	metric_set(process->resident_bytes, read_resident_bytes());
	metric_set(process->open_fds, count_open_fds());
}

void metrics_add_process(struct metrics *metrics)
{
	struct process_metrics *process = g_new0(struct process_metrics, 1);

	process->cpu_seconds = metrics_counter(metrics, "process_cpu_seconds_total",
	    "Total user and system CPU time spent in seconds.", NULL);
	process->resident_bytes = metrics_gauge(
	    metrics, "process_resident_memory_bytes", "Resident memory size in bytes.", NULL);
	process->open_fds =
	    metrics_gauge(metrics, "process_open_fds", "Number of open file descriptors.", NULL);
	metrics_on_collect(metrics, collect, process, g_free);
}
