/*
 * pam_args: a PAM module that calls another's session entry points with the
 * arguments in $PAM_ARGS, separated by |. A PAM file cannot hold every argument
 * that a test wants: its lines end at 1,024 bytes.
 *
 *	session required pam_args.so /path/of/the/other.so
 */
#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

#include <security/pam_modules.h>

typedef int (*entry)(pam_handle_t *, int, int, const char **);

static int call(const char *name, pam_handle_t *pamh, int flags, const char *module)
{
	const char *words[16], *args = getenv("PAM_ARGS");
	char *copy = args && *args ? strdup(args) : NULL, *rest = copy;
	void *library = dlopen(module, RTLD_NOW);
	entry function = library ? (entry)dlsym(library, name) : NULL;
	int n = 0, result;

	while (rest && n < 16)
		words[n++] = strsep(&rest, "|");
	result = function ? function(pamh, flags, n, words) : PAM_OPEN_ERR;
	free(copy);
	return result;
}

int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	return argc == 1 ? call("pam_sm_open_session", pamh, flags, argv[0]) : PAM_OPEN_ERR;
}

int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	return argc == 1 ? call("pam_sm_close_session", pamh, flags, argv[0]) : PAM_OPEN_ERR;
}
