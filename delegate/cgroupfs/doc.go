// Package cgroupfs is file access to cgroup hierarchies: opening, reading,
// writing, making and removing, always through directory descriptors.
//
// Root walks trees here that a user owns and may change at any moment. So every
// path is resolved from a directory that is open, with openat2(2)'s RESOLVE_BENEATH,
// RESOLVE_NO_SYMLINKS and RESOLVE_NO_XDEV; where a kernel or a seccomp filter lacks
// that call, by an openat of a single name each with O_NOFOLLOW, and a look whether
// it is still the same device.
//
// The package knows files and directories of a cgroup file system. It must not
// know what a session, a user or an application is, nor which hierarchies exist.
package cgroupfs
