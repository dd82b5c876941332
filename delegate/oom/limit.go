package oom

// files are those of a limit.
type files struct{ limit, usage, peak string }

// The limits: of v2 (cgroup-v2.rst; memory.peak since Linux 5.19, pids.peak since 6.10),
// and of v1 (cgroup-v1/memory.rst), where the third counts swap as well.
var (
	memoryMax  = files{"memory.max", "memory.current", "memory.peak"}
	memoryV1   = files{"memory.limit_in_bytes", "memory.usage_in_bytes", "memory.max_usage_in_bytes"}
	memoryswV1 = files{"memory.memsw.limit_in_bytes", "memory.memsw.usage_in_bytes", "memory.memsw.max_usage_in_bytes"}
	pidsMax    = files{"pids.max", "pids.current", "pids.peak"}
)

// unlimited is from which value on a limit of v1 is none: the largest multiple of the
// page size, of whichever size that is.
const unlimited = 1<<63 - 1<<20

// limitAt reads a limit; false if there is none there.
func (c *comparison) limitAt(below string, f files) (l Limit, ok bool) {
	dir, err := c.now.h.OpenBelow(below)
	if err != nil {
		return l, false
	}
	defer dir.Close()
	value := number(dir, f.limit)
	if value < 0 || value >= unlimited {
		return l, false
	}
	return Limit{File: f.limit, Path: below, Dir: dir.Path(), Value: value, Usage: number(dir, f.usage), Peak: number(dir, f.peak)}, true
}

var unknown = Limit{Value: -1, Usage: -1, Peak: -1}

// limitOf returns the limit of which the log tells.
func (c *comparison) limitOf(r record, u *userTree) Limit {
	if r.limit == "" {
		return Limit{Machine: true, Value: -1, Usage: -1, Peak: -1}
	}
	for _, f := range c.memoryFiles(c.now.groups[r.limit], u) {
		if l, ok := c.limitAt(r.limit, f); ok {
			return l
		}
	}
	l := unknown // the cgroup has ended
	l.File, l.Path = memoryMax.limit, r.limit
	if !c.now.h.IsUnified() {
		l.File = memoryV1.limit
	}
	return l
}

// memoryFiles returns the limits of a cgroup that may have been reached, first the one
// that was.
func (c *comparison) memoryFiles(g *group, u *userTree) []files {
	switch {
	case c.now.h.IsUnified():
		return []files{memoryMax}
	case g != nil && c.rise(g, u, swapFails) > 0 && c.rise(g, u, fails) == 0:
		return []files{memoryswV1, memoryV1}
	}
	return []files{memoryV1, memoryswV1}
}

// memoryLimit returns the nearest limit from a cgroup up that was reached.
func (c *comparison) memoryLimit(g *group, u *userTree) Limit {
	for ; g != nil; g = g.parent {
		reached := c.rise(g, u, ooms) > 0
		if !c.now.h.IsUnified() {
			reached = c.rise(g, u, fails) > 0 || c.rise(g, u, swapFails) > 0
		}
		if !reached {
			continue
		}
		for _, f := range c.memoryFiles(g, u) {
			if l, ok := c.limitAt(g.path, f); ok {
				return l
			}
		}
	}
	return unknown
}

// pidsLimit returns the nearest limit from a cgroup up that has been reached. Before
// pids.peak (Linux 6.10) that can only be told while it is; then it is the nearest.
func (c *comparison) pidsLimit(g *group) Limit {
	nearest := unknown
	for ; g != nil; g = g.parent {
		l, ok := c.limitAt(g.path, pidsMax)
		switch {
		case !ok:
		case max(l.Usage, l.Peak) >= l.Value:
			return l
		case nearest.File == "" && l.Peak < 0:
			nearest = l
		}
	}
	return nearest
}
