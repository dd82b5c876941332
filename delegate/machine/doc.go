// Package machine answers what /proc, /sys, /etc and the like say, of the
// running machine or of one that was recorded as ordinary files.
//
// There are three answers to a question: the thing is found, it is absent, or
// nobody can tell, because it may not be looked at or was not recorded. The last
// is never taken for the second: ErrNotRecorded is not fs.ErrNotExist.
//
// A Machine can note what was asked (Notes), so that what a program read of one
// machine is also the list of what has to be recorded to ask it again elsewhere.
//
// What a user has a hand in, files below a home and what those name, is looked at
// as that user (As): its paths may lead anywhere, and root may read everything.
//
// /proc/PID/stat, status and comm are parsed here and nowhere else. The package
// must not know what a cgroup hierarchy, a session or a user's login is.
package machine
