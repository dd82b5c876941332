/*
 * pam_data: a PAM module that appends to a file, when a session is opened, what
 * pam_systemd would find on the handle then: a line "NAME=VALUE" for each of its
 * items, and "." after them.
 *
 *	session required pam_data.so /path/of/the/file
 */
#include <stdio.h>

#include <security/pam_modules.h>

int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	/* pam_sm_open_session in systemd's src/login/pam_systemd.c */
	static const char *const names[] = {
		"systemd.memory_max", "systemd.tasks_max", "systemd.cpu_weight", "systemd.io_weight", "systemd.runtime_max_sec",
	};
	FILE *file = argc == 1 ? fopen(argv[0], "a") : NULL;
	size_t i;

	(void)flags;
	if (file == NULL)
		return PAM_SESSION_ERR;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		const void *value = NULL;

		if (pam_get_data(pamh, names[i], &value) == PAM_SUCCESS && value != NULL)
			fprintf(file, "%s=%s\n", names[i], (const char *)value);
	}
	fputs(".\n", file);
	return fclose(file) == 0 ? PAM_SUCCESS : PAM_SESSION_ERR;
}

int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	(void)pamh;
	(void)flags;
	(void)argc;
	(void)argv;
	return PAM_SUCCESS;
}
