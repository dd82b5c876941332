/*
 * muslapp LIBRARY: loads it, as an application's libpam would, and prints how
 * many threads and signal handlers there are before and after.
 */
#include <dirent.h>
#include <dlfcn.h>
#include <signal.h>
#include <stdio.h>

static void count(const char *when)
{
	DIR *tasks = opendir("/proc/self/task");
	int threads = -2, handlers = 0, sig;
	struct sigaction sa;

	while (tasks && readdir(tasks))
		threads++;
	if (tasks)
		closedir(tasks);
	for (sig = 1; sig < NSIG; sig++)
		if (sigaction(sig, NULL, &sa) == 0 && sa.sa_handler != SIG_DFL)
			handlers++;
	printf("%s: threads=%d handlers=%d\n", when, threads, handlers);
}

int main(int argc, char **argv)
{
	void *library;

	if (argc != 2)
		return 2;
	count("before");
	library = dlopen(argv[1], RTLD_NOW);
	if (!library) {
		printf("%s\n", dlerror());
		return 1;
	}
	count("after");
	return dlsym(library, "pam_sm_open_session") ? 0 : 1;
}
