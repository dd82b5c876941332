package check

import (
	"errors"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// knowsKey tells whether this version of LXC has a key that some version has. Where the version
// is not known, it has.
func knowsKey(version []int, key string) machine.Answer {
	before, since, isLater := lxcconf.Since(key)
	switch {
	case len(version) == 0 || !isLater || slices.Compare(version, since) >= 0:
		return machine.Found
	case before != nil && slices.Compare(version, before) <= 0:
		return machine.Absent
	}
	return machine.Unknown
}

// laterKeys is the result for keys that only later versions of LXC have, of which this is the
// first: LXC stops at each.
func (f *Facts) laterKeys(first lxcconf.Item, version string) Result {
	r := failed("LXC " + version + " does not know the key " + first.Key + " yet, and refuses to start the container")
	var latest []int
	keys := 0
	var edits []Command
	for i, item := range f.Config.Items {
		if !lxcconf.IsKey(item.Key) || knowsKey(versionNumbers(version), item.Key) != machine.Absent {
			continue
		}
		r.Evidence = append(r.Evidence, itemEvidence(item))
		if !slices.ContainsFunc(f.Config.Items[:i], func(o lxcconf.Item) bool { return o.Key == item.Key }) {
			keys++
		}
		edits = withCommand(edits, f.editAny(item.File))
		if _, since, _ := lxcconf.Since(item.Key); slices.Compare(since, latest) > 0 {
			latest = since
		}
	}
	var numbers []string
	for _, n := range append(slices.Clone(latest), 0)[:max(2, len(latest))] {
		numbers = append(numbers, strconv.Itoa(n))
	}
	line, it := "that line", "it"
	if len(r.Evidence) > 1 {
		line = "those lines"
	}
	if keys > 1 {
		r.Says = "LXC " + version + " does not know keys of later versions yet, such as " + first.Key + ", and refuses to start the container"
		it = "all of them"
	}
	return r.fixed("remove "+line+", or install a later LXC: "+strings.Join(numbers, ".")+" knows "+it, edits...).certain()
}

// untoldKey is the result for a key of which nobody has looked whether this version of LXC has
// it.
func untoldKey(item lxcconf.Item, version string) Result {
	r := unknown("it cannot be told whether LXC "+version+" knows the key "+item.Key, errors.New("later versions do"))
	r.Evidence = []Evidence{itemEvidence(item)}
	return r
}
