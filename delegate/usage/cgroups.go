package usage

import (
	"path"
	"slices"

	"github.com/cgdeleg/pam_cgdeleg/delegate"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// OfCgroups returns what is used in these cgroups together, one of a hierarchy each. It
// fails as hierarchy.Find does.
func OfCgroups(m machine.Machine, cgroups []delegate.Cgroup) (Usage, error) {
	g, done, err := groupOf(m, cgroups)
	if err != nil {
		return Usage{}, err
	}
	defer done()
	return g.usage(), nil
}

func groupOf(m machine.Machine, cgroups []delegate.Cgroup) (g group, done func(), err error) {
	set, err := hierarchy.Find(m)
	if err != nil {
		return g, nil, err
	}
	g.reader = &reader{set: set, files: map[file]content{}}
	for _, c := range cgroups {
		if h := set.ByName(c.Hierarchy); h != nil {
			g.cgroups = append(g.cgroups, cgroup{h, c.Path})
		}
	}
	return g, set.Close, nil
}

// MemoryLimit is a limit of memory, how often it was reached, and the most that there was.
type MemoryLimit struct {
	Limit
	hits, peak Count
}

// memoryFile is a file that limits memory, where it is counted that it was reached, and
// where the most is that there was.
type memoryFile struct {
	limitFile
	counted string
	count   parser
	peak    string
}

// On v2 the limit was reached and nothing could be freed; v1 counts also what could be.
var (
	memoryFilesV2 = []memoryFile{
		{limitFile{name: "memory.max", parse: numberOrMax, used: "memory.current"}, "memory.events", keyed("oom"), "memory.peak"},
	}
	memoryFilesV1 = []memoryFile{
		{limitFile{name: "memory.limit_in_bytes", parse: bytesV1, used: "memory.usage_in_bytes"}, "memory.failcnt", number, "memory.max_usage_in_bytes"},
		{limitFile{name: "memory.memsw.limit_in_bytes", parse: bytesV1, used: "memory.memsw.usage_in_bytes"}, "memory.memsw.failcnt", number, "memory.memsw.max_usage_in_bytes"},
	}
)

// MemoryLimits returns the limits of memory that hold in a cgroup that NewSubgroup made:
// its own and those above, the nearest first. It fails as hierarchy.Find does.
func MemoryLimits(m machine.Machine, cgroups []delegate.Cgroup) (all []MemoryLimit, err error) {
	g, done, err := groupOf(m, cgroups)
	if err != nil {
		return nil, err
	}
	defer done()
	at, ok := g.with("memory")
	if !ok {
		return nil, nil
	}
	files := memoryFilesV1
	if at.h.IsUnified() {
		files = memoryFilesV2
	}
	for each := at; ; each.path = path.Dir(each.path) {
		for _, f := range files {
			n, isKnown := g.one(each, f.name, f.parse).Known()
			if !isKnown || n == unlimited {
				continue
			}
			all = append(all, MemoryLimit{Limit{
				Answer: machine.Found, IsSet: true, N: n, File: f.name, Hierarchy: each.h.Name,
				Path: each.path, FromBase: each.h.FromBase(each.path), IsOwn: each == at, Used: g.one(each, f.used, number),
			}, g.one(each, f.counted, f.count), g.one(each, f.peak, number)})
		}
		if each.path == "/" {
			return all, nil
		}
	}
}

// batch is how much memory the kernel takes for a cgroup at once (MEMCG_CHARGE_BATCH), with
// pages of 4 KiB: a limit that was reached had no more left.
const batch = 64 << 12

// isFull tells whether there was as much as the limit allows.
func (l MemoryLimit) isFull() bool {
	peak, isKnown := l.peak.Known()
	return isKnown && peak > l.N-batch
}

// Reached returns the nearest of the limits that was reached between two looks; ok is
// false if none was, or if that is not counted. Linux 6.18 does not count it of v1's limit
// for memory and swap space together: that was reached if as much was in use, and no other
// limit was reached.
func Reached(before, after []MemoryLimit) (l Limit, ok bool) {
	for _, now := range after {
		hits, isKnown := now.hits.Known()
		i := slices.IndexFunc(before, now.isSame)
		if !isKnown || i < 0 {
			continue
		}
		if n, isKnown := before[i].hits.Known(); isKnown && hits > n {
			return now.Limit, true
		}
	}
	for _, now := range after {
		if i := slices.IndexFunc(before, now.isSame); i >= 0 && now.isFull() && !before[i].isFull() {
			return now.Limit, true
		}
	}
	return Limit{}, false
}

// isSame tells whether both are the same file.
func (l MemoryLimit) isSame(other MemoryLimit) bool {
	return l.File == other.File && l.Hierarchy == other.Hierarchy && l.Path == other.Path
}
