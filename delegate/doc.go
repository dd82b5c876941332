// Package delegate gives a user cgroups of its own for the time of a login,
// and takes them away again.
//
// A session is the cgroup BASE/user/NAME/N, made in every hierarchy that was
// asked for with the same number N, owned by the user, with the login's
// processes inside: on v1 in that cgroup itself, on v2 in its leaf init.scope,
// because a v2 cgroup with processes can give its children no controllers.
//
// Open makes a session and moves a process in, Close moves it back and removes
// what is empty, Sweep removes sessions that ended in another way, Sessions
// lists what there is. Nothing here ever kills a process or waits for one
// without a bound.
//
// The package knows cgroups, and the rules of LXC and systemd for them. It must
// not know PAM, command lines or D-Bus; it has no package state, logs nothing
// and prints nothing. Errors carry the path and the errno; words for people
// are the callers'.
package delegate
