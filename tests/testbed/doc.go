// Package testbed is the machine on which tier 2 runs: this one, with its real
// kernel and its real cgroups, but with an /etc, /dev, /run, /home and /var/log
// of the tests' own.
//
// Main re-executes the test binary in a private mount namespace and puts those
// in place, so that a test can add users, write /etc/pam.d files and read what
// is logged to /dev/log without the machine noticing. Only the cgroups are the
// machine's own: tests make users with names of their own, and every test ends
// with a look that nothing of them is left.
package testbed
