/*
 * worker_spawn by fork: the child makes itself a clean process, starts the Go
 * runtime that lies in this library and calls the exported Go function.
 *
 * The runtime must not start in the application: its threads and signal handlers
 * hung sudo, and its failing at start killed su (docs/architecture.md).
 */
#include "child.h"

#include <elf.h>
#include <stddef.h>
#include <unistd.h>

/* cgdeleg_worker, in main.go. */
extern int cgdeleg_worker(int argc, char *argv[]);

/* Where start.ld put the runtime's .init_array entries. */
typedef void (*init_entry)(int argc, char **argv, char **envp);
extern const init_entry go_start_begin[] __attribute__((visibility("hidden")));
extern const init_entry go_start_end[] __attribute__((visibility("hidden")));

/*
 * What the runtime sees in place of the application's arguments and environment.
 * As on a process's first stack, the auxiliary vector follows; an empty one makes
 * the runtime read /proc/self/auxv.
 */
static struct {
	char *argv[2];
	char *envp[WORKER_ENVIRONMENT_LEN];
	size_t auxv[2];
} start = {
	.argv = { "pam_cgdeleg", NULL },
	.envp = { WORKER_ENVIRONMENT },
	.auxv = { AT_NULL, 0 },
};
_Static_assert(offsetof(__typeof__(start), auxv) == (2 + WORKER_ENVIRONMENT_LEN) * sizeof(char *),
	       "the runtime finds auxv behind envp");

extern char **environ;

pid_t worker_spawn(char *const argv[], int reply_fd)
{
	pid_t application = getpid(), pid = fork();
	const init_entry *entry;
	int argc = 0;

	if (pid != 0)
		return pid;
	become_worker(application, reply_fd);
	environ = start.envp;
	for (entry = go_start_begin; entry < go_start_end; entry++)
		(*entry)(1, start.argv, start.envp);
	while (argv[argc] != NULL)
		argc++;
	_exit(cgdeleg_worker(argc, (char **)argv));
}
