// Package limits knows the limits that an administrator can give to a user or a session:
// what they are called, how their values are written, what they come to in the files of
// cgroup v2, of cgroup v1, and in the properties of a systemd unit, and how they are set
// and lowered without killing anybody.
//
// It must not know who is given which limit (package limitsconf), nor when.
package limits
