// Package delegate gives a user cgroups of its own for the time of a login,
// and takes them away again.
//
// A session is the cgroup BASE/user/NAME/N, made in every hierarchy that was
// asked for with the same number N, owned by the user, with the login's
// processes inside: on v1 in that cgroup itself, on v2 in its leaf init.scope,
// because a v2 cgroup with processes can give its children no controllers.
//
// The package is a few verbs over the packages below it. What there is is read
// once (machine, hierarchy), then it is decided what is to be done (plan, manager),
// then that is done (apply), and what is dead is removed later and outside of any
// lock that others wait for (cleanup, lock). Open makes a session and moves a
// process in, Close moves it back and removes what is empty, Undo takes back an
// Open that did not come to its end, Plan tells what Open would do, Cleanup removes
// sessions that ended in another way, Sessions lists what there is. Nothing here
// ever kills a process or waits for one without a bound.
//
// It knows cgroups, and the rules of LXC and systemd for them. It must not know
// PAM, command lines or D-Bus; it has no package state, logs nothing and prints
// nothing. Errors carry the path and the errno; words for people are in package
// messages.
//
// The API is not promised yet: the module and cgdeleg are its only users, and it
// changes with them.
package delegate
