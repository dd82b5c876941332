/*
 * pam_cgdeleg: the entry points that PAM calls (pam_sm_open_session(3)). They
 * ask PAM for what the worker needs, run it, write its words to the system log
 * and keep its state for the close.
 *
 * Whatever becomes of the worker, these return in time and leave the host as
 * it was.
 */
#define PAM_SM_SESSION
#include "worker.h"

#include <errno.h>
#include <pwd.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <syslog.h>
#include <unistd.h>

#include <security/pam_ext.h>
#include <security/pam_modules.h>
#include <security/pam_modutil.h>

#define STATE_NAME "pam_cgdeleg_state"
#define DEFAULT_TIMEOUT 5 /* seconds */
#define MAX_TIMEOUT 60
#define MAX_LOG_LINES 20
#define NO_CGROUPS "this session has no cgroups of its own"

/* The last valid timeout=N. The worker, which reads all the options, complains
 * of others. */
static unsigned timeout_option(int argc, const char **argv)
{
	unsigned timeout = DEFAULT_TIMEOUT;
	int i;

	for (i = 0; i < argc; i++) {
		char *end;
		long n;

		if (strncmp(argv[i], "timeout=", 8) != 0)
			continue;
		n = strtol(argv[i] + 8, &end, 10);
		if (*end == '\0' && n >= 1 && n <= MAX_TIMEOUT)
			timeout = (unsigned)n;
	}
	return timeout;
}

static void free_state(pam_handle_t *pamh, void *data, int error_status)
{
	(void)pamh;
	(void)error_status;
	free(data);
}

/* Why there is no reply, in words. */
static void log_failure(pam_handle_t *pamh, const struct worker_reply *r, unsigned timeout)
{
	if (r->failure == ETIMEDOUT)
		pam_syslog(pamh, LOG_ERR, "worker did not finish in %u s (timeout=); " NO_CGROUPS, timeout);
	else if (r->failure != 0)
		pam_syslog(pamh, LOG_ERR, "worker could not be run: %s; " NO_CGROUPS, strerror(r->failure));
	else if (r->status != -1 && WIFSIGNALED(r->status))
		pam_syslog(pamh, LOG_ERR, "worker was killed by signal %d; " NO_CGROUPS, WTERMSIG(r->status));
	else if (r->status != -1)
		pam_syslog(pamh, LOG_ERR, "worker ended early with status %d; " NO_CGROUPS, WEXITSTATUS(r->status));
	else
		pam_syslog(pamh, LOG_ERR, "worker ended early; " NO_CGROUPS);
}

/* Writes one "LEVEL TEXT" to the log. */
static void log_line(pam_handle_t *pamh, const char *line)
{
	static const struct { const char *name; size_t len; int priority; } levels[] = {
		{ "debug ", 6, LOG_DEBUG }, { "warning ", 8, LOG_WARNING }, { "error ", 6, LOG_ERR },
	};
	size_t i;

	for (i = 0; i < sizeof(levels) / sizeof(levels[0]); i++)
		if (strncmp(line, levels[i].name, levels[i].len) == 0)
			pam_syslog(pamh, levels[i].priority, "%s", line + levels[i].len);
}

struct outcome {
	int result; /* a PAM return value; -1 if the worker did not come to say */
	char *state; /* for the close, to be freed; NULL if there is none */
};

static int result_value(const char *name)
{
	if (strcmp(name, "success") == 0)
		return PAM_SUCCESS;
	if (strcmp(name, "unknown-user") == 0)
		return PAM_USER_UNKNOWN;
	return PAM_SESSION_ERR;
}

/* Takes the reply apart, writes its log lines, gathers its state lines. */
static struct outcome read_reply(pam_handle_t *pamh, char *text)
{
	struct outcome out = { .result = -1 };
	size_t used = 0, size = strlen(text) + 1;
	char *line, *rest;
	bool said = false;
	int logged = 0;

	out.state = calloc(1, size);
	for (line = strtok_r(text, "\n", &rest); line != NULL; line = strtok_r(NULL, "\n", &rest)) {
		if (strncmp(line, "state ", 6) == 0 && out.state != NULL)
			used += (size_t)snprintf(out.state + used, size - used, "%s\n", line + 6);
		else if (strncmp(line, "result ", 7) == 0)
			out.result = result_value(line + 7);
		else if (strncmp(line, "log ", 4) == 0) {
			if (logged++ < MAX_LOG_LINES)
				log_line(pamh, line + 4);
		} else if (!said) {
			/* the first line of a dying runtime says why; stacks follow */
			said = true;
			pam_syslog(pamh, LOG_ERR, "worker said: %.200s", line);
		}
	}
	if (used == 0) {
		free(out.state);
		out.state = NULL;
	}
	return out;
}

/* Runs the worker for one verb and returns what it says and leaves. */
static struct outcome ask_worker(pam_handle_t *pamh, const char *verb, const char *service, int argc, const char **options)
{
	const char *user = NULL, *state = NULL;
	char pid[24], uid[24] = "", gid[24] = "";
	unsigned timeout = timeout_option(argc, options);
	struct outcome out = { .result = PAM_SESSION_ERR };
	struct worker_reply reply;
	const struct passwd *pw;
	char **argv;

	pam_get_item(pamh, PAM_USER, (const void **)&user);
	pam_get_data(pamh, STATE_NAME, (const void **)&state);
	pw = user ? pam_modutil_getpwnam(pamh, user) : NULL;
	snprintf(pid, sizeof(pid), "%ld", (long)getpid());
	if (pw != NULL) {
		snprintf(uid, sizeof(uid), "%lu", (unsigned long)pw->pw_uid);
		snprintf(gid, sizeof(gid), "%lu", (unsigned long)pw->pw_gid);
	}
	argv = calloc((size_t)argc + 9, sizeof(*argv));
	if (argv == NULL) {
		pam_syslog(pamh, LOG_ERR, "out of memory; " NO_CGROUPS);
		return out;
	}
	argv[0] = "pam_cgdeleg";
	argv[1] = (char *)verb;
	argv[2] = pid;
	argv[3] = uid;
	argv[4] = gid;
	argv[5] = (char *)(user ? user : "");
	argv[6] = (char *)service;
	argv[7] = (char *)(state ? state : "");
	if (argc > 0)
		memcpy(argv + 8, options, (size_t)argc * sizeof(*argv));

	worker_run(argv, timeout, &reply);
	free(argv);
	if (reply.text != NULL)
		out = read_reply(pamh, reply.text);
	if (reply.text == NULL || out.result < 0) {
		log_failure(pamh, &reply, timeout);
		out.result = PAM_SESSION_ERR;
	}
	free(reply.text);
	return out;
}

/* systemd's user manager has its own, delegated cgroup (user@.service). */
static bool is_user_manager(const char *service)
{
	return strcmp(service, "systemd-user") == 0;
}

static const char *service_of(pam_handle_t *pamh)
{
	const char *service = NULL;

	pam_get_item(pamh, PAM_SERVICE, (const void **)&service);
	return service ? service : "";
}

int pam_sm_open_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	const char *service = service_of(pamh);
	struct outcome out;

	(void)flags;
	if (is_user_manager(service))
		return PAM_SUCCESS;
	out = ask_worker(pamh, "open", service, argc, argv);
	if (out.state != NULL && pam_set_data(pamh, STATE_NAME, out.state, free_state) != PAM_SUCCESS)
		free(out.state); /* the close finds the session by the process */
	return out.result;
}

int pam_sm_close_session(pam_handle_t *pamh, int flags, int argc, const char **argv)
{
	const char *service = service_of(pamh);
	struct outcome out;

	(void)flags;
	if (is_user_manager(service))
		return PAM_SUCCESS;
	out = ask_worker(pamh, "close", service, argc, argv);
	free(out.state);
	pam_set_data(pamh, STATE_NAME, NULL, NULL);
	return out.result;
}
