package check

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/moby/sys/user"
	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/account"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/confparse"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/subid"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// namespaceChecks look at what unprivileged containers need beside cgroups: a
// user namespace with a range of IDs, and a way to their files.
var namespaceChecks = []*Check{
	{
		Code: "CGD-040", Name: "userns", Title: "Users may make user namespaces",
		Explain: "An unprivileged container is a user namespace. Debian's kernel.unprivileged_userns_clone and user.max_user_namespaces can forbid it (user_namespaces(7)).",
		needs:   aUser, run: checkUserNamespaces,
	},
	{
		Code: "CGD-041", Name: "apparmor", Title: "AppArmor lets unprivileged programs use their user namespaces",
		Explain:   "Ubuntu since 23.10 takes the capabilities of a user namespace away from programs without an AppArmor profile that allows userns (kernel.apparmor_restrict_unprivileged_userns).",
		DependsOn: []string{"userns"}, needs: anOrdinaryUser, run: checkAppArmor,
	},
	{
		Code: "CGD-042", Name: "idmap-tools", Title: "newuidmap and newgidmap are there and privileged",
		Explain: "They write a container's ID maps from the ranges in /etc/subuid and /etc/subgid, which the user itself may not. They need to be set-user-ID root or to have capabilities, and a process under no_new_privs gets neither.",
		needs:   anOrdinaryUser, run: checkIDMapTools,
	},
	{
		Code: "CGD-043", Name: "subid", Title: "The user has subordinate IDs, enough for its containers",
		Explain: "A container's users are IDs of a range that /etc/subuid and /etc/subgid give to the user (subuid(5)). A usual container takes 65,536; one in which containers are started in turn takes that many for each level (--nested).",
		needs:   anOrdinaryUser, run: checkSubID,
	},
	{
		Code: "CGD-044", Name: "subid-overlap", Title: "No other user has the same subordinate IDs",
		Explain:   "Users with overlapping ranges can read, change and kill what is in each other's containers.",
		DependsOn: []string{"subid"}, needs: anOrdinaryUser, run: checkSubIDOverlap,
	},
	{
		Code: "CGD-045", Name: "paths", Title: "A container's root may go through the home directory",
		Explain: "The container's root is a subordinate ID, and so an \"other\" to every directory between / and the container's files: each of them must be searchable by others (o+x).",
		needs:   aUser, run: checkPaths,
	},
}

func checkUserNamespaces(f *Facts) Result {
	for _, sysctl := range []struct{ file, name string }{
		{"/proc/sys/kernel/unprivileged_userns_clone", "kernel.unprivileged_userns_clone"},
		{"/proc/sys/user/max_user_namespaces", "user.max_user_namespaces"},
	} {
		if value := f.readWord(sysctl.file); value == "0" {
			allow := sysctl.name + "=1"
			if sysctl.name == "user.max_user_namespaces" {
				allow = sysctl.name + "=15000"
			}
			return failed(sysctl.name+" forbids user namespaces", Evidence{sysctl.file, value}).
				fixed("allow them (and in /etc/sysctl.d, for the next boot)", asRoot("sysctl", "-w", allow))
		}
	}
	return ok("")
}

func checkAppArmor(f *Facts) Result {
	const file = "/proc/sys/kernel/apparmor_restrict_unprivileged_userns"
	if f.readWord(file) != "1" {
		return ok("")
	}
	for _, profile := range []string{"/etc/apparmor.d/lxc-start", "/etc/apparmor.d/usr.bin.lxc-start", "/etc/apparmor.d/lxc-unshare", "/etc/apparmor.d/lxc-usernsexec"} {
		if data, err := f.Machine.ReadFile(profile); err == nil && strings.Contains(string(data), "userns") {
			return ok("LXC's profile allows it", Evidence{profile, "userns"})
		}
	}
	return warning("AppArmor takes the capabilities of user namespaces from programs without a profile that allows them", Evidence{file, "1"}).
		fixed("give the client a profile with \"userns,\", or allow it to all (and in /etc/sysctl.d)", asRoot("sysctl", "-w", "kernel.apparmor_restrict_unprivileged_userns=0"))
}

// toolDirs are where newuidmap and newgidmap are looked for, in the order of the
// usual path: LXC takes the first that it finds there.
var toolDirs = []string{"/usr/local/bin", "/usr/bin", "/bin"}

// idMapTools are the programs that write ID maps, and the capability that each
// has to have.
var idMapTools = []struct {
	name       string
	capability int
}{{"newuidmap", unix.CAP_SETUID}, {"newgidmap", unix.CAP_SETGID}}

func checkIDMapTools(f *Facts) Result {
	var evidence []Evidence
	foreign, ignored := false, false // files of somebody outside of this container; on a mount with nosuid
	for _, tool := range idMapTools {
		file, st := f.lookUp(tool.name)
		if file == "" {
			return failed(tool.name+" is not installed").
				fixed("install it", f.install("uidmap", "shadow-utils", "shadow-subids", "shadow"))
		}
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
	}
	switch {
	case foreign:
		return failed("their owner is none of this container's users, so that set-user-ID does nothing", evidence...).
			fixed("copy them to where they are this container's root's", asRoot(append([]string{"install", "-o", "root", "-m", "4755", "-t", "/usr/local/bin"}, paths(evidence)...)...))
	case ignored:
		return failed("they are on a mount that ignores set-user-ID and capabilities (nosuid)", evidence...).
			fixed("mount it without nosuid", byHand("mount", "-o", "remount,suid", "/usr"))
	case len(evidence) > 0:
		var commands []Command
		for _, e := range evidence {
			commands = append(commands, asRoot("chown", "root:root", e.Path), asRoot("chmod", "4755", e.Path))
		}
		return failed("they cannot set ID maps: neither set-user-ID root nor capable", evidence...).fixed("make them set-user-ID root", commands...)
	case f.Subject.noNewPrivs:
		return failed("this process runs under no_new_privs: set-user-ID programs do nothing for it", Evidence{f.Subject.Proc + "/status", "NoNewPrivs: 1"}).
			fixed("log in anew, or take NoNewPrivileges= from the service that started it", Command{Args: []string{"ssh", "localhost"}, ByHand: true})
	}
	return ok("")
}

// lookUp returns the program that is found first; "" if there is none.
func (f *Facts) lookUp(program string) (file string, st machine.Stat) {
	for _, dir := range toolDirs {
		file = path.Join(dir, program)
		if st, err := f.Machine.Stat(file); err == nil {
			return file, st
		}
	}
	return "", st
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
}

// subIDs reads both files. One that is missing has no ranges; lines that are
// malformed are passed over, as newuidmap does.
func (f *Facts) subIDs() (both []subIDs, err error) {
	for _, s := range []subIDs{{file: subUIDFile, kind: 'u'}, {file: subGIDFile, kind: 'g'}} {
		s.all, err = subid.Read(f.Machine, s.file)
		var malformed *confparse.ParseError
		if err != nil && !errors.As(err, &malformed) && !errors.Is(err, fs.ErrNotExist) {
			return nil, err
		}
		s.own = subid.Of(s.all, f.Subject.Name, f.Subject.UID)
		both = append(both, s)
	}
	return both, nil
}

func (s *subIDs) count() (n uint64) {
	for _, r := range s.own {
		n += r.Count
	}
	return n
}

func (s *subIDs) evidence() Evidence {
	var ranges []string
	for _, r := range s.own {
		ranges = append(ranges, fmt.Sprintf("%s:%d:%d", r.Owner, r.First, r.Count))
	}
	if len(ranges) == 0 {
		ranges = []string{"nothing for this user"}
	}
	return Evidence{s.file, strings.Join(ranges, " ")}
}

func checkSubID(f *Facts) Result {
	both, err := f.subIDs()
	if err != nil {
		return unknown("subordinate IDs cannot be read", err)
	}
	want := uint64(f.Nested) * oneContainer
	if f.Nested == 1 && f.hasIDMap() {
		want = 0 // how many it takes is the configuration's, and another check's
	}
	var evidence []Evidence
	for i := range both {
		if both[i].count() < want {
			evidence = append(evidence, both[i].evidence())
		}
	}
	if len(evidence) == 0 {
		return ok(fmt.Sprintf("%d, and %d for groups", both[0].count(), both[1].count()), both[0].evidence(), both[1].evidence())
	}
	says := fmt.Sprintf("%s has fewer subordinate IDs than the %d that a container needs", f.Subject.Name, want)
	if f.Nested > 1 {
		says = fmt.Sprintf("%s has fewer subordinate IDs than the %d that %d levels of containers need", f.Subject.Name, want, f.Nested)
	}
	free, found := subid.Free(want, both[0].all, both[1].all)
	if !found || !f.mayGive(both, free, want) {
		return failed(says, evidence...).fixed("give it a range that nobody has", byHand(f.editor(), both[0].file, both[1].file))
	}
	commands := []Command{f.addSubIDs(both, free, want)}
	for _, s := range both {
		if !f.Machine.Exists(s.file) { // usermod does nothing without
			commands = slices.Insert(commands, 0, asRoot("touch", s.file))
		}
	}
	if !f.isLocal() { // usermod knows only /etc/passwd
		commands[len(commands)-1] = asRoot("sh", "-c", fmt.Sprintf("echo %d:%d:%d | tee -a %s >>%s", f.Subject.UID, free, want, both[0].file, both[1].file))
	}
	return failed(says, evidence...).fixed("give it a free range", commands...)
}

// hasIDMap tells whether a container's configuration says which IDs it takes.
func (f *Facts) hasIDMap() bool {
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
		for _, r := range s.all {
			isOwn := r.Owner == f.Subject.Name || r.Owner == strconv.Itoa(f.Subject.UID)
			if !isOwn && overlaps(r.First, r.Count) {
				return false
			}
		}
	}
	return len(f.accountsIn(firstID, count)) == 0
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

// addSubIDs is the command that gives the subject a range of both kinds.
func (f *Facts) addSubIDs(both []subIDs, firstID, count uint64) Command {
	ids := fmt.Sprintf("%d-%d", firstID, firstID+count-1)
	args := []string{"usermod"}
	for i := range both {
		if !subid.Covers(both[i].own, firstID, count) {
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
		for _, pair := range subid.Overlaps(s.all, f.Subject.Name, f.Subject.UID) {
			evidence = append(evidence, Evidence{s.file, fmt.Sprintf("%s:%d:%d and %s:%d:%d",
				pair[0].Owner, pair[0].First, pair[0].Count, pair[1].Owner, pair[1].First, pair[1].Count)})
		}
	}
	for _, s := range both {
		for _, r := range s.own {
			if names := f.accountsIn(r.First, r.Count); len(names) > 0 {
				evidence = append(evidence, Evidence{s.file, fmt.Sprintf("%s:%d:%d has the IDs of %s", r.Owner, r.First, r.Count, strings.Join(first(names, 5), " "))})
			}
		}
	}
	if len(evidence) > 0 {
		return warning("another user has some of the same IDs, and so a hand in these containers", evidence...).
			fixed("give one of them another range, and its containers' files to that", byHand(f.editor(), evidence[0].Path))
	}
	return ok("")
}

func checkPaths(f *Facts) Result {
	dirs := []string{f.Subject.Home}
	if f.Config != nil {
		if rootfs := f.rootfs(); rootfs != "" {
			dirs = append(dirs, rootfs)
		}
	}
	var evidence []Evidence
	var seen []string
	for _, dir := range dirs {
		for ; strings.HasPrefix(dir, "/") && !slices.Contains(seen, dir); dir = path.Dir(dir) {
			seen = append(seen, dir)
			st, err := f.usersFiles().Stat(dir)
			if err != nil || f.containerMaySearch(st) {
				continue
			}
			evidence = append(evidence, Evidence{dir, ownerAndMode(st)})
		}
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
	return failed("a container's root cannot go through "+evidence[len(evidence)-1].Path, evidence...).fixed("open the way (o+x shows no names)", commands...)
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
	for _, key := range []string{"lxc.rootfs.path", "lxc.rootfs"} {
		if item, found := f.Config.Last(key); found {
			return strings.TrimPrefix(item.Value, "dir:")
		}
	}
	return ""
}
