/* Stands in for a libpam that was built with musl: only so that the module can
 * be loaded. */
void pam_get_data(void) {}
void pam_get_item(void) {}
void pam_modutil_getpwnam(void) {}
void pam_prompt(void) {}
void pam_putenv(void) {}
void pam_set_data(void) {}
void pam_syslog(void) {}
