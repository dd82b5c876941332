package check

import (
	"errors"
	"fmt"
	"maps"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// checkKeys looks whether LXC knows the keys of the container's configuration. Of a version
// whose keys nobody has listed, one that is not in the list may be known or not.
func (f *Facts) checkKeys() Result {
	version := f.System.Version("lxc")
	major, numbers := 0, versionNumbers(version)
	if len(numbers) > 0 {
		major = numbers[0]
	}
	r := ok("").certain()
	for _, item := range f.Config.Items {
		if lxcconf.IsKey(item.Key) {
			switch knows := knowsKey(numbers, item.Key); {
			case knows == machine.Absent:
				return f.laterKeys(item, version)
			case knows == machine.Unknown && r.Status == OK:
				r = untoldKey(item, version)
			}
			continue
		}
		name, isOld := lxcconf.NewKey(item.Key)
		switch {
		case isOld && major > 0 && major < lxcconf.FirstListed:
		case major >= lxcconf.FirstListed && major <= lxcconf.LastListed && isOld:
			return f.oldKeys(item, name, version)
		case major >= lxcconf.FirstListed && major <= lxcconf.LastListed:
			return f.noKey(item, version)
		case r.Status == OK:
			reason := "its version is not known"
			if version != "" {
				reason = "cgdeleg check has the keys of LXC 3 to 6 only"
			}
			r = unknown("it cannot be told whether "+strings.TrimSpace("LXC "+version)+" knows the key "+item.Key, errors.New(reason))
			r.Evidence = []Evidence{itemEvidence(item)}
		}
	}
	return r
}

// isRefused tells whether a line of the configuration has a key that this LXC knew once, and at
// which it stops: whatever else is wrong with that line is of no use to anybody.
func (f *Facts) isRefused(item lxcconf.Item) bool {
	numbers := versionNumbers(f.System.Version("lxc"))
	_, isOld := lxcconf.NewKey(item.Key)
	return isOld && !lxcconf.IsKey(item.Key) && len(numbers) > 0 && numbers[0] >= lxcconf.FirstListed && numbers[0] <= lxcconf.LastListed
}

// checkPrlimits looks at the limits of processes that the container is to have. LXC sets them
// without any privilege, and starts nothing if it may not (conf.c, setup_resource_limits).
func (f *Facts) checkPrlimits() Result {
	const family = "lxc.prlimit."
	for i, item := range f.Config.Items {
		name, isLimit := strings.CutPrefix(item.Key, family)
		later := func(other lxcconf.Item) bool {
			return other.Key == item.Key || other.Key == strings.TrimSuffix(family, ".")
		}
		if !isLimit || item.Value == "" || slices.ContainsFunc(f.Config.Items[i+1:], later) || rlimitRows[name] == "" {
			continue
		}
		if f.Partial {
			return unknown("it cannot be told whether the shell may set the limit "+name, machine.ErrNotRecorded)
		}
		soft, hard, isPair := strings.Cut(item.Value, ":")
		if !isPair {
			hard = soft
		}
		want := uint64(math.MaxUint64)
		if hard = strings.TrimSpace(hard); hard != "unlimited" {
			var err error
			if want, err = strconv.ParseUint(hard, 10, 64); err != nil {
				return failed("LXC does not understand the value of "+item.Key+", and refuses to start the container", itemEvidence(item)).
					fixed("write SOFT:HARD, each a number or unlimited", f.editAny(item.File))
			}
		}
		if r := f.checkHardLimit("LXC refuses to start the container", name, want, itemEvidence(item), f.editAny(item.File)); r.Status != OK {
			return r
		}
	}
	return ok("")
}

// noKey is the result for a key that LXC has not, and had not before.
func (f *Facts) noKey(item lxcconf.Item, version string) Result {
	const short = len("lxc.group")
	mostEdits := 2
	if len(item.Key) <= short { // lxc.foo is not lxc.hook
		mostEdits = 1
	}
	text := "remove the line of " + item.Key + ", or write a key of lxc.container.conf(5)"
	if name := lxcconf.Near(item.Key, func(a, b string) bool { return edits(a, b) <= mostEdits }); name != "" {
		text = "write " + name + " in place of " + item.Key
	}
	return failed("LXC "+version+" does not know the key "+item.Key+", and refuses to start the container", itemEvidence(item)).
		fixed(text, f.editAny(item.File)).certain()
}

// oldKeys is the result for a file's keys of before LXC 2.1, of which this is the first: LXC
// stops at each, and nobody wants to hear of them one after the other.
func (f *Facts) oldKeys(first lxcconf.Item, name, version string) Result {
	r := failed(fmt.Sprintf("LXC %s no longer knows %s, a key of LXC before 2.1, and refuses to start the container", version, first.Key))
	text := "write " + name + " in place of " + first.Key
	if name == "" {
		text = "remove the line of " + first.Key
	}
	old, gone, isFamily := map[string]string{}, []string{}, false
	for _, item := range f.Config.Items {
		name, isOld := lxcconf.NewKey(item.Key)
		if lxcconf.IsKey(item.Key) || !isOld || item.File != first.File {
			continue
		}
		r.Evidence = append(r.Evidence, itemEvidence(item))
		if old[item.Key] = name; name == "" && !slices.Contains(gone, item.Key) {
			gone = append(gone, item.Key)
		}
		isFamily = isFamily || strings.HasPrefix(item.Key, "lxc.limit.") // of which lxc-update-config does not think
	}
	if len(old) > 1 {
		r.Says = fmt.Sprintf("LXC %s no longer knows keys of LXC before 2.1, such as %s, and refuses to start the container", version, first.Key)
		text = newNames(old, gone)
	}
	edit := f.editAny(first.File)
	const converter = "lxc-update-config"
	switch program, _, answer := f.lookUp(converter); {
	case answer == machine.Absent && !f.isBeforeAbsent() || isFamily:
	case answer == machine.Found && !edit.Root:
		script := "cd " + quote(path.Dir(first.File)) + " && " + quote(program) + " -c " + quote(first.File) // it writes where it is called
		return r.fixed("have "+converter+" write the new keys in place of the old ones; it keeps the old file as "+first.File+".backup", Command{Args: []string{"sh", "-c", script}}).certain()
	default:
		text += "; " + converter + "(1) does that, where LXC brings it"
	}
	return r.fixed(text, edit).certain()
}

// newNames says what to write for old keys, and which to remove.
func newNames(old map[string]string, gone []string) string {
	var written []string
	for _, key := range slices.Sorted(maps.Keys(old)) {
		if old[key] != "" {
			written = append(written, old[key]+" for "+key)
		}
	}
	var parts []string
	if len(written) > 0 {
		parts = append(parts, "write "+strings.Join(written, ", "))
	}
	if len(gone) > 0 {
		parts = append(parts, "remove "+strings.Join(gone, " ")+", which nothing has replaced")
	}
	return strings.Join(parts, "; ")
}
