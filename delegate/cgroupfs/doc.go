// Package cgroupfs is file access to cgroup hierarchies: opening, reading,
// writing, making and removing, always through directory descriptors.
//
// Root walks trees here that a user owns and may change at any moment, so
// nothing is ever opened by a path of more than one component: every step is
// an openat of a single name with O_NOFOLLOW, and must stay on the hierarchy's
// own device. That gives what openat2's RESOLVE_BENEATH, RESOLVE_NO_SYMLINKS
// and RESOLVE_NO_XDEV would, also on kernels and under seccomp filters that
// lack openat2.
//
// The package knows files and directories of a cgroup file system. It must not
// know what a session, a user or a PAM host is, nor which hierarchies exist.
package cgroupfs
