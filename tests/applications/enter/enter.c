/*
 * enter [threads] [files=N]: reads descriptor 3 to its end as the module does
 * (pam/enter.c), and says what it read, and how many descriptors more it has open
 * then; with a second thread, or at most N open files.
 */
#include "../../../pam/enter.h"

#include <dirent.h>
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

static void *sleep_long(void *unused)
{
	sleep(60);
	return unused;
}

static int open_files(void)
{
	DIR *dir = opendir("/proc/self/fd");
	int count = 0;

	while (dir != NULL && readdir(dir) != NULL)
		count++;
	if (dir != NULL)
		closedir(dir);
	return count;
}

int main(int argc, char *argv[])
{
	struct rlimit files, few;
	int before = open_files(), i;
	char text[256];
	pthread_t t;
	ssize_t n;

	getrlimit(RLIMIT_NOFILE, &files);
	for (i = 1; i < argc; i++) {
		if (strcmp(argv[i], "threads") == 0) {
			pthread_create(&t, NULL, sleep_long, NULL);
		} else if (strncmp(argv[i], "files=", 6) == 0) {
			few = files;
			few.rlim_cur = (rlim_t)atoi(argv[i] + 6);
			setrlimit(RLIMIT_NOFILE, &few);
		}
	}
	while ((n = receive_and_enter(3, text, sizeof(text))) > 0)
		printf("%.*s", (int)n, text);
	setrlimit(RLIMIT_NOFILE, &files);
	printf("%s, %d descriptors more\n", n == 0 ? "end" : strerror(errno), open_files() - before);
	return 0;
}
