package check

import (
	"errors"
	"fmt"
	"io/fs"
	"math"
	"path"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/lxcconf"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/subid"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// namespaceChecks look at what unprivileged containers need beside cgroups: a
// user namespace with a range of IDs, and a way to their files.
var namespaceChecks = []*Check{
	{
		Code: "CGD-040", Name: "userns", Title: "Users may make user namespaces",
		Explain: "An unprivileged container is a user namespace. Debian's kernel.unprivileged_userns_clone and user.max_user_namespaces can forbid it (user_namespaces(7)). LXC makes a second one for a moment, to give the container its cgroups. The container has a mount, a PID, a UTS, an IPC, a network and a cgroup namespace as well, if its configuration does not leave one out, and user.max_net_namespaces and its like can forbid these (namespaces(7)); with podman a single container can do without a network or a cgroup namespace of its own. A filter of system calls can forbid user namespaces, as that of Docker does. The kernel lets a user namespace mount a /proc only where one is seen over which nothing is mounted: most container managers hide parts of theirs.",
		needs:   aUser, run: checkUserNamespaces,
	},
	{
		Code: "CGD-041", Name: "apparmor", Title: "AppArmor lets unprivileged programs use their user namespaces",
		Explain:   "Ubuntu since 24.04 takes the capabilities of a user namespace away from programs without an AppArmor profile that allows userns (kernel.apparmor_restrict_unprivileged_userns).",
		DependsOn: []string{"userns"}, needs: anOrdinaryUser, run: checkAppArmor,
	},
	{
		Code: "CGD-042", Name: "idmap-tools", Title: "newuidmap and newgidmap are there and privileged",
		Explain: "newuidmap and newgidmap write a container's ID maps from the ranges in /etc/subuid and /etc/subgid, which the user may not write itself. They need to be set-user-ID root or to have capabilities, and a process under no_new_privs gets neither.",
		needs:   anOrdinaryUser, run: forMaps(checkIDMapTools),
	},
	{
		Code: "CGD-043", Name: "subid", Title: "The user has subordinate IDs, enough for its containers",
		Explain: "A container's users are IDs of a range that /etc/subuid and /etc/subgid give to the user (subuid(5)). A usual container takes 65,536; one in which containers are started in turn takes that many for each level (--nested). In a user namespace the range has to be wholly within a single line of its map; podman maps every line that the user has, so that each of them has to be within a single line of the map, and has to give IDs.",
		needs:   anOrdinaryUser, run: forMaps(andMigrated(checkSubID)),
	},
	{
		Code: "CGD-044", Name: "subid-overlap", Title: "No other user has the same subordinate IDs",
		Explain:   "Users with overlapping ranges can read, change and kill what is in each other's containers.",
		DependsOn: []string{"subid"}, alone: true, needs: anOrdinaryUser, run: andMigrated(checkSubIDOverlap),
	},
	{
		Code: "CGD-045", Name: "paths", Title: "A container's root may go through the home directory",
		Explain: "The container's root is a subordinate ID, and so an \"other\" to every directory between / and the container's files: each of them must be searchable by others (o+x).",
		needs:   aUser, run: checkPaths,
	},
}

func checkUserNamespaces(f *Facts) Result {
	// The kernel has it, and /proc/self/ns/user, only with CONFIG_USER_NS (fs/proc/base.c);
	// user.max_user_namespaces it has also without (kernel/ucount.c).
	const idMap = "/proc/self/uid_map"
	if f.Machine.Find(idMap) == machine.Absent && !f.Partial {
		return failed("this kernel has no user namespaces (CONFIG_USER_NS)", Evidence{idMap, "is not there"}).
			with(f.kernelFix("user namespaces (CONFIG_USER_NS)"), "")
	}
	isKnown := f.Machine.Find(idMap) == machine.Found && !f.Partial
	for _, sysctl := range []struct{ file, name string }{
		{"/proc/sys/kernel/unprivileged_userns_clone", "kernel.unprivileged_userns_clone"},
		{"/proc/sys/user/max_user_namespaces", "user.max_user_namespaces"},
	} {
		isKnown = isKnown || f.Machine.Find(sysctl.file) == machine.Found
		if value := f.readWord(sysctl.file); value == "0" {
			allow := sysctl.name + "=1"
			if sysctl.name == "user.max_user_namespaces" {
				allow = sysctl.name + "=15000"
			}
			return failed(sysctl.name+" forbids user namespaces", Evidence{sysctl.file, value}).
				with(f.sysctlFix("allow user namespaces", sysctl.file, allow), "").certain()
		}
	}
	if !isKnown {
		return unknown("it cannot be told whether users may make user namespaces", machine.ErrNotRecorded)
	}
	others := f.checkOtherNamespaces()
	if r := f.checkConfinement(); r.Status != OK && others.Status != Failed {
		return r
	}
	for _, look := range []func() Result{f.checkSubset, f.checkFewNamespaces} {
		if r := look(); r.Status != OK && others.Status != Failed {
			return r
		}
	}
	return others
}

// kernelFix is what helps where the kernel lacks something.
func (f *Facts) kernelFix(what string) *Fix {
	text := "take a kernel that was built with " + what
	if f.isContainer() {
		return &Fix{Text: "outside, on the machine, " + text}
	}
	return &Fix{Text: text}
}

// sysctlFix sets what that file of /proc/sys has. A user namespace has only user.* of its own
// (Documentation/admin-guide/sysctl/user.rst), and in many containers nobody may write there.
func (f *Facts) sysctlFix(text, file, setting string) *Fix {
	isMachines := f.inUserNamespace() && !strings.HasPrefix(setting, "user.")
	if isMachines || slices.Contains(f.mountOf(file).Options, "ro") {
		return &Fix{Text: "outside of this container, " + text + " (" + setting + " in /etc/sysctl.d)"}
	}
	edited, keep := f.keptSysctl(path.Base(file), setting) // a file for each: none is written over
	if len(edited) > 0 {
		text += " in " + strings.Join(edited, " and ")
	}
	return &Fix{Text: text + ", for every boot and now", Commands: append(keep, asRoot("sysctl", "-w", setting))}
}

// toolDirs are where newuidmap and newgidmap are looked for after the caller's PATH, in
// the order of the usual one: LXC takes the first that it finds there. The last ones are
// NixOS's and Guix's.
var toolDirs = []string{
	"/usr/local/sbin", "/usr/local/bin", "/usr/sbin", "/usr/bin", "/sbin", "/bin",
	"/run/wrappers/bin", "/run/setuid-programs", "/run/privileged/bin",
	"/run/current-system/sw/bin", "/run/current-system/profile/bin",
}

// unfitFor says what these programs lack.
func unfitFor(tools []string) string {
	var capabilities []string
	for _, name := range tools {
		capabilities = append(capabilities, map[string]string{"newuidmap": "cap_setuid", "newgidmap": "cap_setgid"}[name])
	}
	lacks := "it is not set-user-ID root, and does not have the capability "
	if len(tools) > 1 {
		lacks = "they are not set-user-ID root, and do not have the capabilities "
	}
	return strings.Join(tools, " and ") + " cannot set ID maps: " + lacks + strings.Join(capabilities, " and ")
}

// idMapTools are the programs that write ID maps, and the capability that each
// has to have.
var idMapTools = []idMapTool{{"newuidmap", unix.CAP_SETUID}, {"newgidmap", unix.CAP_SETGID}}

type idMapTool struct {
	name       string
	capability int
}

func checkIDMapTools(f *Facts) Result {
	var evidence []Evidence
	var unfit []string               // the names of those in evidence
	foreign, ignored := false, false // files of somebody outside of this container; on a mount with nosuid
	for _, tool := range idMapTools {
		file, st, answer := f.lookUp(tool.name)
		switch {
		case answer == machine.Unknown && f.Subject.noNewPrivs: // wherever it is
			return f.noNewPrivsResult().certain()
		case answer == machine.Unknown:
			return unknown("it cannot be told whether "+tool.name+" is there", machine.ErrNotRecorded)
		case answer == machine.Absent:
			return failed(tool.name+" is neither in PATH nor where distributions have it").
				with(f.installIDMapTool(tool.name), "")
		}
		st.NoSetUID = st.NoSetUID || f.onNoSUID(file)
		if isSetUserIDRoot(st) || st.Gives(tool.capability) {
			continue
		}
		value := ownerAndMode(st) + ", capabilities " + fmt.Sprintf("%x", st.Capabilities)
		if st.NoSetUID {
			value += ", on a mount with nosuid"
		}
		evidence = append(evidence, Evidence{file, value})
		foreign = foreign || f.overflows(st.UID)
		ignored = ignored || st.NoSetUID
		unfit = append(unfit, tool.name)
	}
	tools, cannot := strings.Join(unfit, " and "), unfitFor(unfit)
	switch {
	case foreign:
		return failed("set-user-ID does nothing on "+tools+": the owner is none of this container's users", evidence...).
			fixed("copy "+tools+" to /usr/local/bin, owned by this container's root and set-user-ID", asRoot(append([]string{"install", "-o", "root", "-m", "4755", "-t", "/usr/local/bin"}, paths(evidence)...)...))
	case ignored:
		return failed("set-user-ID and capabilities do nothing on "+tools+": the mount ignores them (nosuid)", evidence...).
			with(f.remounted(evidence[0].Path, "nosuid", "suid"), "")
	case slices.ContainsFunc(evidence, func(e Evidence) bool { return !f.isRootsAlone(e.Path) && !isPackaged(e.Path) }):
		return failed(cannot+"; what PATH leads to is not the system's own", evidence...).
			fixed("remove the directory of " + tools + " from PATH: the system's own come after it")
	case slices.ContainsFunc(evidence, func(e Evidence) bool { return !f.isRootsAlone(e.Path) }):
		return failed(cannot+"; others than root may have changed "+tools, evidence...).
			fixed("install the package of " + tools + " again")
	case len(evidence) > 0:
		var commands []Command
		for _, e := range evidence {
			commands = append(commands, asRoot("chown", "root:root", e.Path), asRoot("chmod", "4755", e.Path))
		}
		return failed(cannot, evidence...).fixed("make "+tools+" set-user-ID root", commands...)
	case f.Subject.noNewPrivs:
		return f.noNewPrivsResult()
	}
	return ok("")
}

func (f *Facts) noNewPrivsResult() Result {
	var commands []Command
	if f.seesSSHD() {
		commands = append(commands, Command{Args: []string{"ssh", "localhost"}, ByHand: true})
	}
	return failed("this process runs under no_new_privs: newuidmap, without which no container starts, cannot set ID maps", Evidence{f.Subject.Proc + "/status", "NoNewPrivs: 1"}).
		fixed("log in again, or remove NoNewPrivileges= from the service that started this process", commands...)
}

// isRootsAlone tells whether a program is in one of the system's directories, and nobody but
// root may have changed it: no other is to be made set-user-ID.
func (f *Facts) isRootsAlone(file string) bool {
	st, err := f.Machine.Stat(file)
	return err == nil && st.UID == 0 && slices.Contains(toolDirs, path.Dir(file)) && st.Mode&0o022 == 0
}

// isPackaged tells whether a program is where distributions' packages have theirs.
func isPackaged(file string) bool {
	dir := path.Dir(file)
	return slices.Contains(toolDirs, dir) && !strings.HasPrefix(dir, "/usr/local/")
}

// onNoSUID tells whether a recorded file was on a mount with nosuid, by mountinfo. Of the
// running machine's files the kernel says it (Stat.NoSetUID).
func (f *Facts) onNoSUID(file string) bool {
	return f.Machine.IsRecorded() && slices.Contains(f.mountOf(file).Options, "nosuid")
}

// lookUp returns the program that is found first. It is absent only if one of the places
// is known not to have it, and none to have it.
func (f *Facts) lookUp(program string) (file string, st machine.Stat, answer machine.Answer) {
	answer = machine.Unknown
	for _, dir := range slices.Concat(f.System.SearchPath(), toolDirs) {
		file = path.Join(dir, program)
		st, err := f.Machine.Stat(file)
		if err == nil {
			return file, st, machine.Found
		}
		switch f.Machine.Find(file) {
		case machine.Found: // whose it is nobody knows
			return file, st, machine.Unknown
		case machine.Absent:
			answer = machine.Absent
		}
	}
	return "", st, answer
}

func paths(evidence []Evidence) (all []string) {
	for _, e := range evidence {
		all = append(all, e.Path)
	}
	return all
}

const (
	subUIDFile = "/etc/subuid"
	subGIDFile = "/etc/subgid"
	// oneContainer is how many IDs a usual container takes: all 16-bit ones.
	oneContainer = 65536
)

// subIDs are the subordinate IDs of the subject and of all.
type subIDs struct {
	file     string
	kind     byte // 'u' or 'g', as in lxc.idmap
	all, own []subid.Range
	// mapped is what of the subject's is in this user namespace.
	mapped    []subid.Range
	mapFile   string
	isAccount func(name string) bool // of this machine's own
	extents   []subid.Range          // all that is
	malformed []*confparse.ParseError
	claimed   []subid.Range // by malformed lines
	isUnread  bool          // the file was not recorded, of a part of a machine
}

// subIDs reads both files. One that is missing has no ranges; lines that are
// malformed are ignored, as newuidmap does.
func (f *Facts) subIDs() (both []subIDs, err error) {
	for _, s := range []subIDs{
		{file: subUIDFile, kind: 'u', mapFile: "/proc/self/uid_map"}, {file: subGIDFile, kind: 'g', mapFile: "/proc/self/gid_map"},
	} {
		s.all, err = subid.Read(f.Machine, s.file)
		s.malformed = parseErrors(err)
		for _, line := range s.malformed {
			s.claimed = append(s.claimed, subid.Claims(line.Text)...)
		}
		s.isUnread = f.isMissing(err)
		if !s.isUnread && err != nil && len(s.malformed) == 0 && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		s.own = subid.Of(s.all, f.Subject.UID, f.names()...)
		s.isAccount = func(name string) bool {
			return slices.ContainsFunc(account.All(f.Machine), func(u user.User) bool { return u.Name == name })
		}
		s.mapped = s.own
		if s.extents = f.extentsOf(s.mapFile); s.extents != nil {
			s.mapped = usable(s.own, s.extents)
		}
		both = append(both, s)
	}
	return both, nil
}

// names returns the subject's name, and others that have the same number.
func (f *Facts) names() []string {
	names := []string{f.Subject.Name}
	for _, u := range account.All(f.Machine) {
		if f.Subject.UID >= 0 && u.Uid == f.Subject.UID && u.Name != f.Subject.Name {
			names = append(names, u.Name)
		}
	}
	return names
}

// usable returns what of the ranges a container can be given: whole ones, and of those that
// go over a border of this user namespace's map the pieces that are enough for one.
func usable(own, extents []subid.Range) (all []subid.Range) {
	for _, r := range own {
		for _, piece := range subid.Within([]subid.Range{r}, extents) {
			if piece.Count == r.Count || piece.Count >= oneContainer {
				all = append(all, piece)
			}
		}
	}
	return all
}

// parseErrors returns those that subid.Read has joined.
func parseErrors(err error) (all []*confparse.ParseError) {
	joined, isJoined := err.(interface{ Unwrap() []error })
	if !isJoined {
		return nil
	}
	for _, e := range joined.Unwrap() {
		var malformed *confparse.ParseError
		if errors.As(e, &malformed) {
			all = append(all, malformed)
		}
	}
	return all
}

// extentsOf returns the IDs that there are in this user namespace, by a line of the map
// each (user_namespaces(7)); nil if that is not known.
func (f *Facts) extentsOf(mapFile string) (extents []subid.Range) {
	data, err := f.Machine.ReadFile(mapFile)
	if err != nil {
		return nil
	}
	for line := range strings.Lines(string(data)) {
		var inside, outside, count uint64
		if n, _ := fmt.Sscan(line, &inside, &outside, &count); n == 3 && count > 0 && inside+count > inside {
			extents = append(extents, subid.Range{First: inside, Count: count})
		}
	}
	return extents
}

// count returns how many IDs a container can be given of these.
func (s *subIDs) count() uint64 { return total(s.mapped) }

// total returns how many IDs there are in the ranges.
func total(ranges []subid.Range) (n uint64) {
	for _, r := range subid.Union(ranges) {
		n += r.Count
	}
	return n
}

// mapEvidence says which IDs this user namespace has.
func (s *subIDs) mapEvidence() Evidence {
	var ranges []string
	for _, e := range s.extents {
		ranges = append(ranges, fmt.Sprintf("%d to %d", e.First, e.First+e.Count-1))
	}
	return Evidence{s.mapFile, strings.Join(ranges, ", ")}
}

// meant returns the lines of a file that somebody may have meant for the subject: those
// that shadow does not take, and those whose owner is the subject's name as other programs
// write it, or with something beside it that no screen shows. To shadow all before the
// first colon is the owner.
func (s *subIDs) meant(who Subject) (evidence []Evidence) {
	isHis := func(owner string) bool { return owner == who.Name || owner == strconv.Itoa(who.UID) }
	for _, line := range s.malformed {
		if isMeantFor(line, who) {
			evidence = append(evidence, Evidence{fmt.Sprintf("%s:%d", s.file, line.Line), strconv.Quote(brief(line.Text)) + ": " + line.Reason})
		}
	}
	for _, r := range s.all {
		at := fmt.Sprintf("%s:%d", s.file, r.Line)
		switch owner := strings.TrimFunc(r.Owner, isUnseen); {
		case slices.Contains(s.own, r):
		case owner != r.Owner && isHis(owner):
			evidence = append(evidence, Evidence{at, "the owner is " + strconv.QuoteToASCII(r.Owner) + ", and the user is called " + who.Name})
		case isSpelling(r.Owner, who.Name) || isShort(r.Owner, who.Name) && !s.isAccount(r.Owner):
			evidence = append(evidence, Evidence{at, lineOf(r) + ", and the user is called " + who.Name})
		}
	}
	return evidence
}

// isUnseen tells whether no screen shows a letter: blanks, and such as the mark by which
// some editors begin a file.
func isUnseen(r rune) bool { return unicode.IsSpace(r) || !unicode.IsPrint(r) }

// cutDomain takes a directory service's name apart: DOMAIN\user, or user@domain.
func cutDomain(name string) (user, domain string, hasDomain bool) {
	if domain, user, hasDomain = strings.Cut(name, `\`); hasDomain {
		return user, domain, true
	}
	return strings.Cut(name, "@")
}

// isShort tells whether a name is that of a directory service's user without its domain.
func isShort(name, of string) bool {
	user, _, hasDomain := cutDomain(of)
	return hasDomain && strings.EqualFold(name, user)
}

// isSpelling tells whether a name is one of a directory service's user in other letters:
// a shell takes the backslash of DOMAIN\user away, and others write user@domain.
func isSpelling(name, of string) bool {
	user, domain, hasDomain := cutDomain(of)
	if !hasDomain {
		return strings.EqualFold(name, of)
	}
	return slices.ContainsFunc([]string{domain + user, domain + `\` + user, user + "@" + domain, domain + "+" + user}, func(spelling string) bool {
		return strings.EqualFold(name, spelling)
	})
}

// lineOf is a range as its file has it (subuid(5)).
func lineOf(r subid.Range) string { return fmt.Sprintf("%s:%d:%d", r.Owner, r.First, r.Count) }

func (s *subIDs) evidence() Evidence {
	var ranges []string
	for _, r := range s.own {
		ranges = append(ranges, lineOf(r))
	}
	if len(ranges) == 0 {
		ranges = []string{"nothing for this user"}
	}
	return Evidence{s.file, strings.Join(first(ranges), " ")}
}

func checkSubID(f *Facts) Result {
	if service := f.subIDService(); service != "" {
		return f.asksServiceResult(service)
	}
	both, err := f.subIDs()
	if err != nil {
		return unknown("subordinate IDs cannot be read", err)
	}
	want := uint64(f.Nested) * oneContainer
	if f.Nested == 1 && f.hasIDMap() {
		want = 0 // how many it takes is the configuration's, and another check's
	}
	if r, isIt := f.fewForPodman(both); isIt {
		return r
	}
	enough := want
	if f.Nested == 1 && f.isPodmanAlone() {
		enough = enoughOfPodmans
	}
	var evidence, meant []Evidence
	isMapped, isKnown := true, true
	for i := range both {
		s := &both[i]
		if s.count() >= enough || s.isUnread {
			continue
		}
		isKnown = isKnown && (!f.Partial || f.ownsIDs(s))
		evidence = append(evidence, s.evidence())
		if total(s.own) >= enough {
			isMapped = false
			evidence = append(evidence, s.mapEvidence())
		}
		meant = append(meant, s.meant(f.Subject)...)
	}
	switch {
	case f.Partial && slices.ContainsFunc(both, f.mayBeEnough):
		return f.subIDSeen(both)
	case f.Partial && (len(evidence) == 0 || !isKnown) && !f.hasAllSubIDs(both):
		return f.subIDSeen(both)
	case len(evidence) == 0:
		if r, isTrouble := f.podmansResult(both, want); isTrouble {
			return r.certain()
		}
		return ok(fmt.Sprintf("%d user IDs, and %d group IDs", both[0].count(), both[1].count()), both[0].evidence(), both[1].evidence()).certain()
	case !isMapped:
		return f.unmappedResult(both, want, evidence).certain()
	}
	if r, isHidden := f.hiddenName(both); isHidden {
		return r
	}
	says := fmt.Sprintf("%s has fewer subordinate IDs than the %d that a container needs", f.Subject.Called(), want)
	if f.Nested > 1 {
		says = fmt.Sprintf("%s has fewer subordinate IDs than the %d that %d levels of containers need", f.Subject.Called(), want, f.Nested)
	}
	if r, isFused := f.fusedResult(says, both, want, evidence); isFused {
		return r.certain()
	}
	if len(meant) > 0 {
		also, give := f.alsoGive(both, filesOf(meant), want)
		return failed(fmt.Sprintf("%s: newuidmap does not take %s for %s's", says, Listed(paths(meant)), f.Subject.Called()), append(meant, evidence...)...).
			fixed("correct "+Listed(paths(meant))+f.rewritten(both, want)+also, append([]Command{byHand(append([]string{f.editor()}, filesOf(meant)...)...)}, give...)...).certain()
	}
	return failed(says, evidence...).with(f.newRangeFix(both, want), "").certain()
}

const nsswitchFile = "/etc/nsswitch.conf"

// nssLines returns the words of each line of a database that has any (nsswitch.conf(5)).
func (f *Facts) nssLines(database string) (all [][]string) {
	data, _ := f.Machine.ReadFile(nsswitchFile)
	for line := range strings.Lines(string(data)) {
		line, _, _ = strings.Cut(line, "#")
		value, isIt := strings.CutPrefix(strings.TrimSpace(line), database+":")
		if words := strings.Fields(value); isIt && len(words) > 0 {
			all = append(all, words)
		}
	}
	return all
}

// subIDService returns the service other than the files that is asked for subordinate IDs:
// then nobody reads the files. shadow takes the first word of the line alone (lib/nss.c); ""
// if that is files, or this shadow does not know the line.
func (f *Facts) subIDService() (service string) {
	for _, words := range f.nssLines("subid") {
		service = words[0]
	}
	if service == "files" || f.isBeforeLibsubid() {
		return ""
	}
	return service
}

// isBeforeLibsubid tells whether it is a release with a shadow before 4.9, which reads the
// files alone.
func (f *Facts) isBeforeLibsubid() bool {
	version := versionNumbers(f.release("VERSION_ID"))
	first := map[string][]int{"debian": {12}, "ubuntu": {22, 10}, "fedora": {35}, "rhel": {9}, "centos": {9}, "rocky": {9}, "almalinux": {9}, "ol": {9}}
	for id, since := range first {
		if f.release("ID") == id && len(version) > 0 {
			return slices.Compare(version, since) < 0
		}
	}
	return false
}

// asksServiceResult is the result where a directory service has the subordinate IDs.
func (f *Facts) asksServiceResult(service string) Result {
	r := Result{
		Status: Unknown, Says: "subordinate IDs come from " + service + ", which cgdeleg check does not ask",
		Evidence: []Evidence{{nsswitchFile, "subid: " + service}},
	}
	const program = "getsubids" // Fedora has it in a package of its own
	if _, _, answer := f.lookUp(program); answer == machine.Absent {
		return r.fixed("look in " + service + " whether " + f.Subject.Called() + " has enough subordinate IDs: those in the files do not count")
	}
	return r.fixed("ask "+service+" for "+f.Subject.Called()+"'s subordinate IDs", Command{Args: []string{program, f.Subject.Name}}, Command{Args: []string{program, "-g", f.Subject.Name}})
}

// unmappedResult is the result where the user has IDs that are none in this user
// namespace.
func (f *Facts) unmappedResult(both []subIDs, want uint64, evidence []Evidence) Result {
	says := "a range of " + f.Subject.Called() + "'s subordinate IDs is not wholly within a single line of this user namespace's map: newuidmap says \"write to uid_map failed\""
	if len(subid.Within(both[0].own, both[0].extents)) == 0 {
		says = "the subordinate IDs of " + f.Subject.Called() + " are none of this user namespace's: newuidmap says \"write to uid_map failed\""
	}
	return failed(says, evidence...).with(f.insideFix(both, want), f.orMoreIDs())
}

// orMoreIDs is what else helps where a container's user namespace has too few of a user's
// IDs; "" on the machine itself, which has all that there are.
func (f *Facts) orMoreIDs() string {
	if !f.inUserNamespace() {
		return ""
	}
	return "or outside, give this container more IDs: " + f.keeper().ids
}

// insideFix takes the subject's lines away that are not wholly in one line of this user
// namespace's map, and gives it a range that is, where too few are left: who maps all that a
// user has, as lxc-usernsexec and podman, would fail for the old ones as before. It is nil if
// the namespace has no range that is free.
func (f *Facts) insideFix(both []subIDs, want uint64) *Fix {
	var drops []Command
	var left []subIDs
	isEnough := true
	for _, s := range both {
		drop, rest := f.dropLines(s, s.isOutside)
		isEnough = isEnough && rest.count() >= want
		drops, left = append(drops, drop...), append(left, rest)
	}
	remove := "remove " + f.Subject.Called() + "'s lines of /etc/subuid and /etc/subgid that are not wholly within a single line of this user namespace's map"
	if isEnough {
		return &Fix{Text: remove, Commands: drops}
	}
	fix := f.rangeFix(left, want)
	if len(fix.Commands) == 0 || fix.Commands[0].ByHand {
		return nil
	}
	return &Fix{Text: remove + ", and give " + f.Subject.Called() + " a free range", Commands: append(drops, fix.Commands...)}
}

// isOutside tells whether a range is not wholly in one line of this user namespace's map.
func (s *subIDs) isOutside(r subid.Range) bool {
	return s.extents != nil && len(subid.Inside([]subid.Range{r}, s.extents)) == 0
}

// dropLines takes away those of the subject's lines, and returns what is left without them.
// usermod does not do that to a user who is logged in. A line that is not written as this
// would write it is left to a person.
func (f *Facts) dropLines(s subIDs, which func(subid.Range) bool) (commands []Command, left subIDs) {
	data, _ := f.Machine.ReadFile(s.file)
	lines := strings.Split(string(data), "\n")
	left = s
	for _, r := range s.own {
		isPlain := strings.Trim(r.Owner, plainNames) == "" && r.Line <= len(lines) && lines[r.Line-1] == lineOf(r) // and so as good in an expression
		command := asRoot("sed", "-i", "/^"+lineOf(r)+"$/d", s.file)
		if !isPlain {
			command = byHand(f.editor(), s.file)
		}
		isKnown := slices.ContainsFunc(commands, func(c Command) bool { return slices.Equal(c.Args, command.Args) })
		if which(r) && !isKnown {
			commands = append(commands, command)
		}
	}
	isDropped := func(r subid.Range) bool { return slices.Contains(s.own, r) && which(r) }
	left.all = slices.DeleteFunc(slices.Clone(s.all), isDropped)
	left.own = slices.DeleteFunc(slices.Clone(s.own), isDropped)
	left.mapped = left.own
	if s.extents != nil {
		left.mapped = usable(left.own, s.extents)
	}
	return commands, left
}

// newRangeFix gives the subject a range, in place of lines that give it the same IDs twice:
// with those beside it podman would fail as before.
func (f *Facts) newRangeFix(both []subIDs, want uint64) *Fix {
	if len(emptyIn(both)) > 0 {
		return f.withoutEmpty(both, want)
	}
	if len(repeatedIn(both)) == 0 {
		return f.rangeFix(both, want)
	}
	var drops []Command
	var left []subIDs
	for _, s := range both {
		isTwice := func(r subid.Range) bool {
			return slices.ContainsFunc(subid.Repeated(s.own), func(pair [2]subid.Range) bool { return pair[0] == r || pair[1] == r })
		}
		drop, rest := f.dropLines(s, isTwice)
		drops, left = append(drops, drop...), append(left, rest)
	}
	fix := f.rangeFix(left, want)
	if len(repeatedIn(left)) > 0 || len(fix.Commands) == 0 || fix.Commands[0].ByHand {
		return &Fix{Text: "correct the lines that give IDs twice, and give " + f.Subject.Called() + " a range of subordinate IDs that nobody has", Commands: []Command{byHand(f.editor(), both[0].file, both[1].file)}}
	}
	return &Fix{Text: "remove the lines that give IDs twice, and give " + f.Subject.Called() + " a free range of subordinate IDs", Commands: append(drops, fix.Commands...)}
}

// podmansResult is the result where the user has enough IDs, and podman would not get them:
// it maps each line of a user's as a whole (GetConfiguredMappings of pkg/rootless), and
// takes for the user's only those with its name or number (pkg/idtools of
// containers/storage). LXC maps what a container's configuration says. isTrouble is false if
// podman is not there, or gets them.
func (f *Facts) podmansResult(both []subIDs, want uint64) (r Result, isTrouble bool) {
	if f.System.Version("podman") == "" || f.hasIDMap() {
		return r, false
	}
	var outside, byOthers []Evidence
	for _, s := range both {
		for _, line := range s.own {
			at := Evidence{fmt.Sprintf("%s:%d", s.file, line.Line), lineOf(line)}
			if s.extents != nil && len(subid.Inside([]subid.Range{line}, s.extents)) == 0 {
				at.Value += ", which is not wholly within a single line of " + s.mapFile
				outside = append(outside, at, s.mapEvidence())
			}
		}
		if len(subid.Of(s.own, f.Subject.UID, f.Subject.Name)) == 0 {
			byOthers = append(byOthers, s.evidence())
		}
	}
	switch {
	case len(outside) > 0:
		return f.asPodman("podman maps each of "+f.Subject.Called()+"'s lines of "+subUIDFile+" and "+subGIDFile+" as a whole, and the kernel refuses a range that is not wholly within a single line of this user namespace's map", outside...).
			with(f.insideFix(both, want), f.orMoreIDs()), true
	case len(byOthers) > 0:
		return f.byOtherName(byOthers), true
	}
	if empty := emptyIn(both); len(empty) > 0 {
		return f.emptyResult(both, want, empty), true
	}
	return f.unparsedResult(both)
}

// byOtherName is the result for lines with another name of the same number, which newuidmap
// takes for the user's and podman does not.
func (f *Facts) byOtherName(lines []Evidence) Result {
	says := fmt.Sprintf("%s's subordinate IDs stand in %s under another name of the same user ID: newuidmap accepts that, podman does not, and finds none", f.Subject.Called(), Listed(filesOf(lines)))
	if f.System.Version("lxc") != "" {
		return Result{Status: Note, Says: says, Evidence: lines}
	}
	return failed(says, lines...).
		fixed(fmt.Sprintf("write %s or %d as the owner in those lines of %s", f.Subject.Name, f.Subject.UID, Listed(filesOf(lines))), byHand(append([]string{f.editor()}, filesOf(lines)...)...))
}

// plainNames is what most names of users are made of.
const plainNames = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-"

// filesOf returns the files of the evidence, each once.
func filesOf(evidence []Evidence) (files []string) {
	for _, e := range evidence {
		if !slices.Contains(files, e.file()) {
			files = append(files, e.file())
		}
	}
	return files
}

// rangeFix gives the subject a range that nobody has and that this user namespace has: the
// one that it has of the other kind, if only one is lacking.
func (f *Facts) rangeFix(both []subIDs, want uint64) *Fix {
	lacking := slices.DeleteFunc(slices.Clone(both), func(s subIDs) bool { return s.count() >= want })
	first, found := f.freeIDs(lacking, both, want)
	for i := range both {
		for _, r := range both[i].mapped {
			isIn := !slices.ContainsFunc(lacking, func(s subIDs) bool { return !s.hasMapped(r.First, want) })
			if both[i].count() >= want && r.Count >= want && isIn && f.mayGive(both, r.First, want) {
				first, found = r.First, true
			}
		}
	}
	switch {
	case !found && f.inUserNamespace():
		return &Fix{Text: "outside, give this container more IDs (" + f.keeper().ids + "); then give " + f.Subject.Called() + " a range of them in /etc/subuid and /etc/subgid here"}
	case !found || !f.mayGive(both, first, want):
		return &Fix{Text: fmt.Sprintf("take a range from another user, and give it to %s: no %d IDs in one piece are free here", f.Subject.Called(), want), Commands: []Command{byHand(f.editor(), both[0].file, both[1].file)}}
	}
	return &Fix{Text: "give " + f.Subject.Called() + " a free range of subordinate IDs", Commands: f.giveSubIDs(lacking, first, want)}
}

// freeIDs returns the first of as many IDs that nobody has, of either kind, neither as
// subordinate ones nor as its own, and that are in one line of the map of each of these kinds.
func (f *Facts) freeIDs(kinds, both []subIDs, want uint64) (first uint64, found bool) {
	extents := []subid.Range{{Count: math.MaxUint32}}
	for _, s := range kinds {
		if s.extents != nil {
			extents = subid.Within(extents, s.extents)
		}
	}
	return subid.FreeIn(extents, want, both[0].all, both[1].all, both[0].claimed, both[1].claimed, f.accountIDs())
}

// hasMapped tells whether the IDs are in one line of the map, as far as that is known.
func (s *subIDs) hasMapped(first, count uint64) bool {
	return s.extents == nil || len(subid.Inside([]subid.Range{{First: first, Count: count}}, s.extents)) > 0
}

// giveSubIDs are the commands that give the subject a range of those kinds of which it has
// not all.
func (f *Facts) giveSubIDs(kinds []subIDs, first, want uint64) (commands []Command) {
	lacking := slices.DeleteFunc(slices.Clone(kinds), func(s subIDs) bool { return len(subid.Missing(s.own, first, want)) == 0 })
	for _, s := range slices.Backward(lacking) {
		if !f.Machine.Exists(s.file) { // usermod does nothing without
			commands = append(commands, asRoot("touch", s.file))
		}
	}
	if f.isLocal() && f.hasUsermod() { // which knows only /etc/passwd
		return append(commands, f.addSubIDs(lacking, first, want))
	}
	for _, s := range lacking {
		for _, r := range subid.Missing(s.own, first, want) {
			r.Owner = strconv.Itoa(f.Subject.UID) // the last line may lack its newline
			commands = append(commands, asRoot("sh", "-c", fmt.Sprintf(`printf '\n%s\n' >>%s`, lineOf(r), s.file)))
		}
	}
	return commands
}

// hasUsermod tells whether usermod is there. Alpine has it in another package than
// newuidmap, and BusyBox has none, as other systems that are not made of one that is known. Of
// recorded machines it is known only there.
func (f *Facts) hasUsermod() bool {
	_, _, answer := f.lookUp("usermod")
	isOfShadow := slices.ContainsFunc(distributions, func(d distribution) bool { return f.isLike(d.ids...) })
	return answer == machine.Found || f.Machine.IsRecorded() && isOfShadow && !f.isLike("alpine")
}

// hasIDMap tells whether a container's configuration says which IDs it takes.
func (f *Facts) hasIDMap() bool {
	if f.Bundle != nil && f.Bundle.Linux != nil && len(f.Bundle.Linux.UIDs) > 0 {
		return true
	}
	if f.Config == nil {
		return false
	}
	maps, err := f.Config.IDMaps()
	return err != nil || len(maps) > 0
}

// isLocal tells whether the user is in /etc/passwd.
func (f *Facts) isLocal() bool {
	return slices.ContainsFunc(account.All(f.Machine), func(u user.User) bool { return u.Name == f.Subject.Name })
}

// leastSubID is the first ID that useradd gives to anybody as a subordinate one
// (login.defs(5), SUB_UID_MIN): those below are people's and services' own.
const leastSubID = 100000

// mayGive tells whether nobody else has any of the IDs, as far as this machine
// knows: with them the user could become whoever has them.
func (f *Facts) mayGive(both []subIDs, firstID, count uint64) bool {
	const end = 1<<32 - 1 // no ID (chown(2))
	if firstID < leastSubID || count == 0 || count > end || firstID+count > end {
		return false
	}
	overlaps := func(first, n uint64) bool { return first < firstID+count && firstID < first+n }
	for _, s := range both {
		if slices.ContainsFunc(s.claimed, func(r subid.Range) bool { return overlaps(r.First, r.Count) }) {
			return false
		}
		for _, r := range s.all {
			isOwn := len(subid.Of([]subid.Range{r}, f.Subject.UID, f.names()...)) > 0
			if !isOwn && overlaps(r.First, r.Count) {
				return false
			}
		}
	}
	return len(f.accountsIn(firstID, count)) == 0
}

// accountIDs returns the user and group IDs of all accounts, each as a range.
func (f *Facts) accountIDs() (ids []subid.Range) {
	for _, u := range account.All(f.Machine) {
		for _, id := range []int{u.Uid, u.Gid} {
			if id >= 0 {
				ids = append(ids, subid.Range{First: uint64(id), Count: 1})
			}
		}
	}
	return ids
}

// accountsIn returns the accounts whose own user or group ID is one of these.
func (f *Facts) accountsIn(firstID, count uint64) (names []string) {
	for _, u := range account.All(f.Machine) {
		for _, id := range []int{u.Uid, u.Gid} {
			if id >= 0 && uint64(id) >= firstID && uint64(id)-firstID < count && !slices.Contains(names, u.Name) {
				names = append(names, u.Name)
			}
		}
	}
	return names
}

// addSubIDs is the command that gives the subject a range of both kinds, of which it may
// have a part.
func (f *Facts) addSubIDs(both []subIDs, firstID, count uint64) Command {
	args := []string{"usermod"}
	for i := range both {
		for _, r := range subid.Missing(both[i].own, firstID, count) {
			ids := fmt.Sprintf("%d-%d", r.First, r.First+r.Count-1)
			args = append(args, map[byte]string{'u': "--add-subuids", 'g': "--add-subgids"}[both[i].kind], ids)
		}
	}
	return asRoot(append(args, f.Subject.Name)...)
}

func checkSubIDOverlap(f *Facts) Result {
	both, err := f.subIDs()
	if err != nil {
		return unknown("subordinate IDs cannot be read", err)
	}
	var evidence []Evidence
	for _, s := range both {
		for _, pair := range subid.Overlaps(s.all, f.Subject.UID, f.names()...) {
			evidence = append(evidence, Evidence{s.file, lineOf(pair[0]) + " and " + lineOf(pair[1])})
		}
	}
	if twice := repeatedIn(both); len(twice) > 0 {
		return f.asPodman("some IDs are given to "+f.Subject.Called()+" twice: podman and rootless Docker map both lines, and the kernel takes no ID twice", twice...).
			with(f.onceFix(both, filesOf(twice)), "").certainIf(f.knowsOwnIDs(both))
	}
	if own := f.ownIDIn(both); len(own) > 0 {
		return f.asPodman(f.Subject.Called()+"'s own ID is in a range of "+f.Subject.Called()+"'s subordinate IDs: podman and rootless Docker map both, and the kernel takes no ID twice", own...).
			fixed("give "+f.Subject.Called()+" another range, without that ID"+f.freeRange(both)+", and change the owners of the containers' files to it", byHand(append([]string{f.editor()}, filesOf(own)...)...)).certainIf(f.knowsOwnIDs(both))
	}
	shared := len(evidence)
	for _, s := range both {
		for _, r := range s.own {
			if names := f.accountsIn(r.First, r.Count); len(names) > 0 {
				evidence = append(evidence, Evidence{s.file, lineOf(r) + " has the IDs of " + strings.Join(first(names), " ")})
			}
		}
	}
	if shared == 0 && len(evidence) > 0 {
		return warning(fmt.Sprintf("IDs of other accounts are among %[1]s's subordinate IDs: %[1]s can become them, and they can change what is in %[1]s's containers", f.Subject.Called()), evidence...).
			fixed("give "+f.Subject.Called()+" another range, without their IDs"+f.freeRange(both)+", and change the owners of the containers' files to it", byHand(append([]string{f.editor()}, filesOf(evidence)...)...)).certainIf(f.knowsOwnIDs(both))
	}
	if len(evidence) > 0 {
		return warning(fmt.Sprintf("another user has some of %[1]s's subordinate IDs, and can change what is in %[1]s's containers", f.Subject.Called()), evidence...).
			fixed("give one of the two another range"+f.freeRange(both)+", and change the owners of that user's containers' files to it", byHand(append([]string{f.editor()}, filesOf(evidence)...)...)).certainIf(f.knowsOwnIDs(both))
	}
	return ok("")
}

// freeRange names a range, as a line of the files, that the subject could have in place of
// another; "" if none is found.
func (f *Facts) freeRange(both []subIDs) string {
	want := uint64(f.Nested) * oneContainer
	first, found := f.freeIDs(both, both, want)
	if !found || !f.mayGive(both, first, want) {
		return ""
	}
	return fmt.Sprintf(" (%d:%d is free)", first, want)
}

// onceFix has the subject's lines give each ID once: of two lines that have some in common
// the second goes, if enough are left.
func (f *Facts) onceFix(both []subIDs, files []string) *Fix {
	var drops []Command
	isEnough := true
	for _, s := range both {
		var numbers []int
		for _, pair := range subid.Repeated(s.own) {
			numbers = append(numbers, pair[1].Line)
		}
		slices.Sort(numbers)
		numbers = slices.Compact(numbers)
		left := s
		left.own = slices.DeleteFunc(slices.Clone(s.own), func(r subid.Range) bool { return slices.Contains(numbers, r.Line) })
		isEnough = isEnough && total(left.own) >= uint64(f.Nested)*oneContainer && len(subid.Repeated(left.own)) == 0
		if len(numbers) > 0 {
			drops = append(drops, byHand("sed", "-i", strings.Trim(strings.Join(strings.Fields(fmt.Sprint(numbers)), "d;"), "[]")+"d", s.file))
		}
	}
	if !isEnough {
		return &Fix{Text: "remove one of the two lines, or take what both have out of one of them", Commands: []Command{byHand(append([]string{f.editor()}, files...)...)}}
	}
	return &Fix{Text: "remove one of the two lines: with the other there are enough IDs", Commands: drops}
}

// repeatedIn returns the lines that give the subject the same IDs.
func repeatedIn(both []subIDs) (evidence []Evidence) {
	for _, s := range both {
		for _, pair := range subid.Repeated(s.own) {
			evidence = append(evidence, Evidence{s.file, lineOf(pair[0]) + " and " + lineOf(pair[1])})
		}
	}
	return evidence
}

// ownIDIn returns the ranges of the subject in which its own user or group ID is.
func (f *Facts) ownIDIn(both []subIDs) (evidence []Evidence) {
	for i, id := range []int{f.Subject.UID, f.Subject.GID} {
		for _, r := range both[i].own {
			if id >= 0 && subid.Covers([]subid.Range{r}, uint64(id), 1) {
				evidence = append(evidence, Evidence{both[i].file, fmt.Sprintf("%s has %d", lineOf(r), id)})
			}
		}
	}
	return evidence
}

func checkPaths(f *Facts) Result {
	dirs := f.containersDirs()
	switch {
	case len(dirs) == 0 && f.Config != nil:
		return skip("the container's root file system is no directory")
	case len(dirs) == 0:
		return skip("there is no LXC: the root of podman's containers is the user itself")
	}
	if at := f.mountOf(dirs[0]); dirs[0] != "" && slices.Contains(at.Options, "noexec") {
		return failed("nothing may be run from where the containers are (noexec)", Evidence{"/proc/self/mountinfo", at.Point + " noexec"}).
			with(f.remounted(dirs[0], "noexec", "exec"), "")
	}
	var evidence []Evidence
	var seen []string
	isUnseen := slices.Contains(dirs, "")
	for _, dir := range dirs {
		for ; strings.HasPrefix(dir, "/") && !slices.Contains(seen, dir); dir = path.Dir(dir) {
			seen = append(seen, dir)
			st, err := f.usersFiles().Stat(dir)
			isUnseen = isUnseen || dir == f.Subject.Home && errors.Is(err, machine.ErrNotRecorded)
			if err != nil || f.containerMaySearch(st) || st.Mode&unix.S_IFMT != unix.S_IFDIR { // of an image config-rootfs tells
				continue
			}
			evidence = append(evidence, Evidence{dir, ownerAndMode(st)})
		}
	}
	if len(evidence) == 0 && isUnseen {
		return Result{Status: Unknown, Says: "it cannot be told whether a container's root can reach its files: the home directory is not known, or was not recorded"}
	}
	if len(evidence) == 0 {
		return ok("")
	}
	var commands []Command
	for _, e := range slices.Backward(evidence) {
		// The user's own directories the user opens. Others are closed for a reason
		// that only a person knows.
		command := byHand("chmod", "o+x", e.Path)
		if st, err := f.usersFiles().Stat(e.Path); err == nil && st.UID == f.Subject.UID {
			command = Command{Args: []string{"chmod", "o+x", e.Path}}
		}
		commands = append(commands, command)
	}
	return failed("a container's root cannot go through "+evidence[len(evidence)-1].Path, evidence...).fixed("let others go through these directories (o+x shows no names)", commands...)
}

// containersDirs returns the directories through which the root of a container of LXC's
// has to go: to that of the configuration that was asked about, or to where LXC keeps the
// user's. podman's and Docker's is the user itself.
func (f *Facts) containersDirs() []string {
	if f.Config != nil {
		if rootfs := f.rootfs(); strings.HasPrefix(rootfs, "/") {
			return []string{rootfs}
		}
		return nil
	}
	if f.System.Version("lxc") == "" && f.System.Version("podman") != "" {
		return nil
	}
	config, err := lxcconf.ContainerPath(f.usersFiles(), f.Subject.Home, "c")
	if dir := path.Dir(path.Dir(config)); err == nil && !strings.HasPrefix(dir, f.Subject.Home+"/") {
		return []string{dir}
	}
	return []string{f.Subject.Home}
}

// containerMaySearch tells whether an ID of the subject's ranges may go through a
// directory: as its owner, as another, or by its ACL.
func (f *Facts) containerMaySearch(st machine.Stat) bool {
	if st.Mode&0o1 != 0 {
		return true
	}
	both, err := f.subIDs()
	if err != nil {
		return false
	}
	isContainers := func(uid int) bool { return uid > 0 && subid.Covers(both[0].own, uint64(uid), 1) }
	return isContainers(st.UID) && st.Mode&0o100 != 0 || slices.ContainsFunc(st.Searchers, isContainers)
}

// rootfs returns the container's root directory, if its configuration has one
// that is a directory.
func (f *Facts) rootfs() string {
	item := f.rootfsItem()
	return strings.TrimPrefix(item.Value, "dir:")
}
