// Package usage is what users and their sessions use, and how much they may: memory,
// CPU time, processes, IO, pressure and OOM kills, on cgroup v1, v2 and both.
//
// Each value says whether it was found, is absent, because the kernel does not count it
// or no hierarchy does so there, or is unknown, because it may not be read or was not
// recorded. What was not read is never 0.
//
// It only reads, and it must not know who gave a limit (package limitsconf), nor how
// one is set (package limits).
package usage
