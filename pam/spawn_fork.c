/*
 * worker_spawn by fork: the child makes itself a clean process, starts the Go
 * runtime that lies in this library, and with it the worker.
 *
 * The runtime must not start in the application: its threads and signal handlers
 * hung sudo, and its failing at start killed su (docs/architecture.md).
 */
#include "child.h"

#include <string.h>
#include <unistd.h>

extern char **environ;

/* Where start.ld put the runtime's .init_array entries. */
typedef void (*init_entry)(int argc, char **argv, char **envp);
extern const init_entry go_start_begin[] __attribute__((visibility("hidden")));
extern const init_entry go_start_end[] __attribute__((visibility("hidden")));

/*
 * Starts the runtime, which runs the worker and ends the process (init in main.go).
 * It reads its arguments and environment as from a process's first stack: the auxiliary
 * vector follows; an empty one makes it read /proc/self/auxv.
 */
static _Noreturn void start_runtime(char *const argv[], int argc)
{
	char *environment[] = { WORKER_ENVIRONMENT };
	char *start[argc + 1 + WORKER_ENVIRONMENT_LEN + 2]; /* the first stack has them in one piece */
	const init_entry *entry;

	memcpy(start, argv, (size_t)(argc + 1) * sizeof(*start));
	memcpy(start + argc + 1, environment, sizeof(environment));
	start[argc + 1 + WORKER_ENVIRONMENT_LEN] = NULL; /* AT_NULL */
	start[argc + 1 + WORKER_ENVIRONMENT_LEN + 1] = NULL;
	environ = start + argc + 1;
	/* cppcheck-suppress comparePointers ; start.ld makes one array of what is between them */
	for (entry = go_start_begin; entry < go_start_end; entry++)
		(*entry)(argc, start, environ);
	for (;;)
		pause(); /* the runtime has a thread of its own */
}

pid_t worker_spawn(char *const argv[], int reply_fd, bool detached)
{
	pid_t application = getpid(), pid = fork();
	int argc = 0;

	if (pid != 0)
		return pid;
	if (detached)
		become_detached_worker(application, reply_fd);
	else
		become_worker(application, reply_fd);
	while (argv[argc] != NULL)
		argc++;
	start_runtime(argv, argc);
}
