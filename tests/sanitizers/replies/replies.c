/*
 * replies: what the C side reads of others, as a target of libFuzzer (clang
 * -fsanitize=fuzzer), or with -DREPLAY as a program that takes files of its corpus. The
 * first byte says of which the rest is: a worker's reply, the module's options, or
 * /proc/self/cgroup. PAM is a stand-in that looks at what it is given.
 */
#include "../../../pam/module.c"

#include <assert.h>
#include <stdarg.h>
#include <stdint.h>

/* one line, that no reply can forge another with, and not without an end */
void pam_syslog(const pam_handle_t *pamh, int priority, const char *format, ...)
{
	char text[4 * 1024];
	va_list args;
	int len;

	(void)pamh;
	va_start(args, format);
	len = vsnprintf(text, sizeof(text), format, args);
	va_end(args);
	assert(len >= 0 && strchr(text, '\n') == NULL);
	assert(priority == LOG_DEBUG || priority == LOG_WARNING || priority == LOG_ERR);
}

/* What was set by the name, for one input. */
static struct { char name[64]; void *data; void (*cleanup)(pam_handle_t *, void *, int); } kept[4];

int pam_set_data(pam_handle_t *pamh, const char *name, void *data, void (*cleanup)(pam_handle_t *, void *, int))
{
	size_t i;

	assert(strcmp(name, TICKETS_NAME) == 0 || strncmp(name, "systemd.", 8) == 0);
	for (i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		if (kept[i].data != NULL && strncmp(kept[i].name, name, sizeof(kept[i].name) - 1) != 0)
			continue;
		if (kept[i].data != NULL)
			kept[i].cleanup(pamh, kept[i].data, PAM_DATA_REPLACE);
		snprintf(kept[i].name, sizeof(kept[i].name), "%s", name);
		kept[i].data = data;
		kept[i].cleanup = cleanup;
		return PAM_SUCCESS;
	}
	return PAM_BUF_ERR; /* there is no room: the module frees it */
}

int pam_get_data(const pam_handle_t *pamh, const char *name, const void **data)
{
	size_t i;

	(void)pamh;
	for (i = 0; i < sizeof(kept) / sizeof(*kept); i++) {
		if (kept[i].data != NULL && strcmp(kept[i].name, name) == 0) {
			*data = kept[i].data;
			return PAM_SUCCESS;
		}
	}
	return PAM_NO_MODULE_DATA;
}

static void forget(pam_handle_t *pamh)
{
	size_t i;

	for (i = 0; i < sizeof(kept) / sizeof(*kept); i++)
		if (kept[i].data != NULL)
			kept[i].cleanup(pamh, kept[i].data, 0);
	memset(kept, 0, sizeof(kept));
}

int pam_putenv(pam_handle_t *pamh, const char *variable)
{
	(void)pamh;
	assert(strncmp(variable, SESSION_VARIABLE "=", strlen(SESSION_VARIABLE "=")) == 0);
	assert(strchr(variable, '\n') == NULL && strlen(variable) <= strlen(SESSION_VARIABLE "=") + NAME_MAX);
	return PAM_SUCCESS;
}

int pam_get_item(const pam_handle_t *pamh, int type, const void **item)
{
	(void)pamh;
	(void)type;
	*item = NULL;
	return PAM_SUCCESS;
}

struct passwd *pam_modutil_getpwnam(pam_handle_t *pamh, const char *user)
{
	(void)pamh;
	(void)user;
	return NULL;
}

void worker_run(char *const argv[], unsigned timeout, struct worker_reply *reply)
{
	(void)argv;
	(void)timeout;
	memset(reply, 0, sizeof(*reply));
}

bool worker_detach(char *const argv[])
{
	(void)argv;
	return false;
}

bool server_ask(char *const argv[], long long timeout, struct worker_reply *reply)
{
	(void)argv;
	(void)timeout;
	(void)reply;
	return false;
}

void tell_user(pam_handle_t *pamh, uid_t uid, int flags)
{
	(void)pamh;
	(void)uid;
	(void)flags;
}

/* The ticket is a part of the reply, of the last attempt, and has no empty lines between. */
static void try_reply(pam_handle_t *pamh, char *text)
{
	size_t len = strlen(text);
	bool has_result = strstr(text, "result ") != NULL;
	struct outcome out = read_reply(pamh, text);

	assert(out.ticket == NULL || (strlen(out.ticket) <= len && out.ticket[0] != '\n'));
	assert(has_result || !out.answered);
	assert(out.answered || out.result == PAM_SESSION_ERR);
	push_ticket(pamh, out.ticket);
	forget(pamh);
}

static void try_options(char *text)
{
	const char *argv[64];
	unsigned timeout;
	char *word, *next;
	int argc = 0;

	for (word = strtok_r(text, "\n", &next); word != NULL && argc < 64; word = strtok_r(NULL, "\n", &next))
		argv[argc++] = word;
	timeout = timeout_option(argc, argv);
	assert(timeout >= 1 && timeout <= MAX_TIMEOUT);
	assert(server_timeout(argc, argv) < timeout * 1000LL);
}

static void try_cgroups(const char *text)
{
	bool has_scope = strstr(text, "/session-") != NULL && strstr(text, "/user-1000.slice/") != NULL;

	/* who is in a scope of the user's is none for systemd alone */
	assert(has_scope || strncmp(text, "0::/", 4) != 0 || strchr(text, '\n') == NULL ||
	       strchr(text, '\n')[1] != '\0' || has_no_scope(text, 1000));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static char handle; /* nobody looks into it */
	pam_handle_t *pamh = (pam_handle_t *)&handle;
	char *text;

	if (size == 0)
		return 0;
	text = malloc(size); /* exactly, so that a byte too far is seen */
	if (text == NULL)
		return 0;
	memcpy(text, data + 1, size - 1);
	text[size - 1] = '\0';
	switch (data[0] % 3) {
	case 0:
		try_reply(pamh, text);
		break;
	case 1:
		try_options(text);
		break;
	default:
		try_cgroups(text);
	}
	free(text);
	return 0;
}

#ifdef REPLAY
int main(int argc, char **argv)
{
	static uint8_t data[1 << 20];
	int i;

	for (i = 1; i < argc; i++) {
		FILE *file = fopen(argv[i], "r");
		size_t size = file ? fread(data, 1, sizeof(data), file) : 0;

		if (file == NULL) {
			perror(argv[i]);
			return 1;
		}
		fclose(file);
		LLVMFuzzerTestOneInput(data, size);
	}
	printf("replies: %d inputs\n", argc - 1);
	return 0;
}
#endif
