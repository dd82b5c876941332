/*
 * noscope UID <CGROUPS: ends with 0 if has_no_scope of the module (pam/systemd.c)
 * says so of these lines of /proc/PID/cgroup, and with 1 if not.
 */
#include "../../../pam/systemd.h"

#include <stdio.h>
#include <stdlib.h>

int main(int argc, char *argv[])
{
	char text[8192];
	size_t len = fread(text, 1, sizeof(text) - 1, stdin);

	if (argc != 2)
		return 2;
	text[len] = '\0';
	return !has_no_scope(text, (uid_t)strtoul(argv[1], NULL, 10));
}
