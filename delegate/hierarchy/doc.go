// Package hierarchy finds the cgroup hierarchies of a machine: which are
// mounted where, with which controllers, and below which cgroup (the base)
// sessions are made in each; and it picks from them what a controller list
// such as "freezer,memory,name=systemd" asks for.
//
// It only reads (/proc/PID/mountinfo, /proc/PID/cgroup, cgroup.controllers),
// and takes nothing that it reads on trust. It must not know what a session is
// nor change any file.
package hierarchy
