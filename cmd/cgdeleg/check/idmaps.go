package check

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/subid"
)

// idMap is a line of the map that a container's configuration wants (user_namespaces(7)).
type idMap struct {
	kind                   byte // 'u' or 'g'
	inside, outside, count uint64
	at                     Evidence
}

// isOwnID tells whether the line maps nothing but the subject's own ID, which needs no
// subordinate one.
func (m *idMap) isOwnID(s Subject) bool {
	return m.count == 1 && (m.kind == 'u' && m.outside == uint64(s.UID) || m.kind == 'g' && m.outside == uint64(s.GID))
}

// wants tells whether the map has a line of that kind for these very IDs.
func (maps *idMaps) wants(kind byte, m idMap) bool {
	return slices.ContainsFunc(maps.lines, func(o idMap) bool { return o.kind == kind && o.outside == m.outside && o.count == m.count })
}

// idMaps is a map as a kind of configuration has it, with the words for that.
type idMaps struct {
	lines   []idMap
	name    string // "lxc.idmap"
	missing string // "there is no line for %s IDs (%c)"
	isWhole bool   // there is no more of the configuration than was read
}

// checkIDMaps looks whether the kernel would take a map, and newuidmap and newgidmap give
// the subject its IDs.
func (f *Facts) checkIDMaps(maps idMaps) Result {
	both, err := f.subIDs()
	if err != nil {
		return unknown("subordinate IDs cannot be read", err)
	}
	if r := f.checkMapItself(maps, both); r.Status != OK {
		return r
	}
	var evidence []Evidence
	canGive, isSeen, isOver := true, true, true
	var groups, files []string
	var commands []Command
	for _, m := range maps.lines {
		own := both[0]
		if m.kind == 'g' {
			own = both[1]
		}
		isKnown := !f.Partial || f.ownsIDs(&own) && (m.count > 1 || f.Subject.UID >= 0)
		if m.isOwnID(f.Subject) || !isKnown || subid.Covers(own.own, m.outside, m.count) {
			isSeen = isSeen && isKnown
			continue
		}
		evidence = append(evidence, m.at, own.evidence())
		isOver = isOver && subid.Covers(own.own, m.outside, 1)
		kinds := slices.DeleteFunc(slices.Clone(both), func(s subIDs) bool { return !maps.wants(s.kind, m) })
		switch isGroup := f.isOwnGroup(m); {
		case isGroup:
			kinds = both[1:]
			groups = append(groups, strconv.FormatUint(m.outside, 10))
		case !f.mayGive(both, m.outside, m.count):
			canGive = false
		}
		for _, s := range kinds {
			if !slices.Contains(files, s.file) {
				files = append(files, s.file)
			}
		}
		for _, c := range f.giveSubIDs(kinds, m.outside, m.count) {
			commands = withCommand(commands, c)
		}
	}
	if len(evidence) == 0 {
		return ok("").certainIf(isSeen && maps.isWhole && both[0].extents != nil && both[1].extents != nil)
	}
	r := failed("IDs in the container's "+maps.name+" are not among "+f.Subject.Called()+"'s subordinate IDs: newuidmap or newgidmap refuses them, and the container does not start", evidence...)
	if !canGive {
		ranges, edit := f.ownRangesFor(maps, both)
		return r.fixed("these IDs may be those of other users: write "+f.Subject.Called()+"'s own into "+maps.name+ranges, edit).certainIf(f.Partial)
	}
	slices.Sort(files)
	slices.Reverse(files)
	fix := &Fix{Text: "give " + f.Subject.Called() + " these IDs in " + Listed(files), Commands: commands}
	if r.Fix = fix; isOver && len(groups) == 0 && maps.name == lxcIDMap {
		if ranges, _ := f.ownRangesFor(maps, both); ranges != "" {
			fix.Text += "; or write those that " + f.Subject.Called() + " has into " + maps.name + ranges
		}
	}
	if len(groups) > 0 {
		group, line, it := "group", "this line", "it"
		if len(groups) > 1 {
			group, line, it = "groups", "these lines", "them"
		}
		fix.Text += fmt.Sprintf("; %s is in the %s %s, and with %s the container's root is in %s as well", f.Subject.Called(), group, Listed(groups), line, it)
	}
	return r.certainIf(f.Partial)
}

// isOwnGroup tells whether the line maps nothing but a group that the subject is in, as for a
// device's files. newgidmap wants a line for that in /etc/subgid, which gives the subject no
// more than it has.
func (f *Facts) isOwnGroup(m idMap) bool {
	isIn := func(gid int) bool { return gid > 0 && uint64(gid) == m.outside }
	return m.kind == 'g' && m.count == 1 && slices.ContainsFunc(f.Subject.Groups, isIn)
}

// checkMapItself looks whether the kernel would take the map, whoever's the IDs are
// (user_namespaces(7)): lines that share no ID on either side, each inside of one line of
// this user namespace's own map.
func (f *Facts) checkMapItself(maps idMaps, both []subIDs) Result {
	edit := f.editAny(maps.lines[0].at.file())
	share := func(a, b, count, other uint64) bool { return a < b+other && b < a+count }
	for i, m := range maps.lines {
		for _, other := range maps.lines[i+1:] {
			if m.kind == other.kind && (share(m.inside, other.inside, m.count, other.count) || share(m.outside, other.outside, m.count, other.count)) {
				return failed("two lines of "+maps.name+" have an ID in common, and the kernel takes no ID twice", m.at, other.at).
					fixed("write the two lines so that they do not overlap: leave an ID that has a line of its own out of the range", edit).certain()
			}
		}
		own := &both[0]
		if m.kind == 'g' {
			own = &both[1]
		}
		if own.extents != nil && len(subid.Inside([]subid.Range{{First: m.outside, Count: m.count}}, own.extents)) == 0 {
			return failed("a range of "+maps.name+" is not wholly within a single line of "+own.mapFile+" (the IDs of the container in which this runs), and the kernel refuses such a map", m.at, own.mapEvidence()).
				fixed("outside, give this container more IDs ("+f.keeper().ids+"); or write only IDs into "+maps.name+" that "+own.mapFile+" has here", edit).certain()
		}
	}
	for kind, word := range map[byte]string{'u': "user", 'g': "group"} {
		if !slices.ContainsFunc(maps.lines, func(m idMap) bool { return m.kind == kind }) {
			text, add := f.addOwnRange(maps, both, kind)
			return failed(fmt.Sprintf(maps.missing, word, kind), maps.lines[0].at).fixed("add a line with "+f.Subject.Called()+"'s range of "+word+" IDs"+text, add).certainIf(maps.isWhole)
		}
	}
	return ok("")
}

// rangeOf returns the subject's range of a kind for a container, if it is known.
func (f *Facts) rangeOf(both []subIDs, kind byte) (r subid.Range, isKnown bool) {
	for _, s := range both {
		if s.kind == kind && (!f.Partial || f.ownsIDs(&s)) {
			return largest(s.mapped)
		}
	}
	return r, false
}

// ownRangesFor says which ranges belong into a map in place of those that are there, as ": "
// and the lines, and writes them if that has a line for each kind, and no more. A bundle's are
// JSON, and there the container's root has to be the user itself (checkContainerRoot).
func (f *Facts) ownRangesFor(maps idMaps, both []subIDs) (text string, edit Command) {
	file := maps.lines[0].at.file()
	edit = f.editAny(file)
	var lines []string
	args := []string{"sed", "-i"}
	for _, kind := range []byte{'u', 'g'} {
		r, isKnown := f.rangeOf(both, kind)
		if !isKnown {
			return "", edit
		}
		line := fmt.Sprintf("%c 0 %d %d", kind, r.First, r.Count)
		if maps.name != lxcIDMap {
			line = f.ownMap(kind, r)
		}
		lines = append(lines, line)
	}
	for _, m := range maps.lines {
		i := slices.IndexFunc(lines, func(line string) bool { return line[0] == m.kind })
		number, isNumber := strings.CutPrefix(m.at.Path, file+":")
		if maps.name == lxcIDMap && isNumber && m.inside == 0 {
			args = append(args, "-e", fmt.Sprintf("%ss/=.*/= %s/", number, lines[i]))
		}
	}
	if args = append(args, file); maps.name == lxcIDMap && len(maps.lines) == len(lines) && len(args) == len(edit.Args)+5 {
		edit.Args = args
	}
	return ": " + strings.Join(lines, ", and "), edit
}

// addOwnRange says which line of a kind is missing in a map, and adds it.
func (f *Facts) addOwnRange(maps idMaps, both []subIDs, kind byte) (text string, add Command) {
	file := maps.lines[0].at.file()
	add = f.editAny(file)
	r, isKnown := f.rangeOf(both, kind)
	if !isKnown || maps.name != lxcIDMap {
		return "", add
	}
	line := fmt.Sprintf("%s = %c 0 %d %d", lxcIDMap, kind, r.First, r.Count)
	add.Args = []string{"sh", "-c", fmt.Sprintf(`printf '\n%s\n' >>%s`, line, quote(file))} // the last line may lack its newline
	return ": " + line, add
}

// lxcIDMap is LXC's key.
const lxcIDMap = "lxc.idmap"

// noIDMap is the result for a container's configuration that maps no IDs.
func (f *Facts) noIDMap() Result {
	r := failed("the configuration has no lxc.idmap: only root can start the container")
	text := "add lines lxc.idmap with " + f.Subject.Called() + "'s ranges to the configuration"
	both, err := f.subIDs()
	var lines []string
	for _, s := range both {
		if first, isLarge := largest(s.mapped); isLarge && (!f.Partial || f.ownsIDs(&s)) {
			lines = append(lines, fmt.Sprintf("lxc.idmap = %c 0 %d %d", s.kind, first.First, first.Count))
		}
	}
	if err != nil || len(lines) != len(both) {
		return r.fixed(text+", in "+f.Config.File, f.editAny(f.Config.File)).certainIf(f.isWholeConfig())
	}
	add := f.editAny(f.Config.File)
	add.Args = []string{"sh", "-c", fmt.Sprintf(`printf '\n%s\n%s\n' >>%s`, lines[0], lines[1], quote(f.Config.File))} // the last line may lack its newline
	return r.fixed(text+": "+strings.Join(lines, ", and "), add).certainIf(f.isWholeConfig())
}

// largest returns the first range that is enough for a container, or else the largest.
func largest(ranges []subid.Range) (r subid.Range, isAny bool) {
	for _, o := range ranges {
		if r.Count < oneContainer && o.Count > r.Count {
			r = o
		}
	}
	return r, r.Count > 0
}
