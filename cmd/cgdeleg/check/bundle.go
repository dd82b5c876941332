package check

import (
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/ociconf"
	"github.com/cgdeleg/pam_cgdeleg/cmd/cgdeleg/subid"
	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// bundleChecks look at what an OCI bundle's config.json asks for, and an OCI runtime that
// an ordinary user starts has not. What they say was seen of runc 1.1.5; crun is told apart
// where it does something else.
var bundleChecks = []*Check{
	{
		Code: "CGD-070", Name: "bundle", Title: "The bundle's config.json can be read",
		Explain: "runc and crun read config.json in the directory that --bundle names, and start nothing if it is not JSON, has a value of the wrong type, or lacks root or process. Here at most 256 KiB of it are read, as the user.",
		run:     checkBundle,
	},
	{
		Code: "CGD-071", Name: "bundle-userns", Title: "The bundle has a user namespace that the user may make",
		Explain:   "An ordinary user's container needs the namespace \"user\" in linux.namespaces, which crun adds by itself, and uidMappings and gidMappings of the user's own ID and subordinate IDs. runc gives files of its own to the container's root, which therefore has to be the user. The other IDs in the configuration, those of process.user and of uid= and gid= among the options of mounts, have to be in these maps; a proc, sysfs or mqueue can be mounted only with a PID, network or IPC namespace of the container's own, and no namespace that is there already can be joined by its path. runc spec --rootless makes such a configuration.",
		DependsOn: []string{"bundle", "subid"}, needs: aBundle, run: checkBundleUserns,
	},
	{
		Code: "CGD-072", Name: "bundle-cgroup", Title: "The bundle's cgroupsPath is in the session",
		Explain:   "linux.cgroupsPath names the container's cgroup, as /proc/self/cgroup does. On cgroup v2 it has to be below the session, whose number changes with every login; on v1 runc makes it in every hierarchy, also in those in which there is no session. Without it runc, and crun since 1.8.2, make a cgroup in the session; an older crun makes none and drops the limits silently.",
		DependsOn: []string{"bundle", "session", "writable"}, needs: aBundle, run: checkBundleCgroup,
	},
	{
		Code: "CGD-073", Name: "bundle-limits", Title: "The session has what the bundle's limits need",
		Explain:   "Each key of linux.resources needs its controller in the session, on cgroup v1 and on v2; without it the runtime refuses to start the container. linux.resources.unified is refused on v1; network and cpu.realtime* do nothing on v2; the rules of devices do nothing for users. A limit of process.rlimits may not be above the shell's own hard limit.",
		DependsOn: []string{"bundle", "session", "writable"}, needs: aBundle, run: checkBundleLimits,
	},
	{
		Code: "CGD-074", Name: "bundle-rootfs", Title: "The bundle's root file system is there, and belongs to the container's IDs",
		Explain:   "root.path, in the bundle's directory if it is no absolute path, has to be a directory through which the container's root may go, on a mount from which programs may be run. If its owner is none of the container's IDs, it belongs to nobody in the container, which can write there only if the mode lets the user write.",
		DependsOn: []string{"bundle"}, needs: aBundle, run: checkBundleRootfs,
	},
}

// bundleFile is the configuration's file.
func (f *Facts) bundleFile() string { return path.Join(f.BundleDir, ociconf.FileName) }

// said is a key of the bundle's configuration, as evidence.
func (f *Facts) said(format string, args ...any) Evidence {
	return Evidence{f.bundleFile(), brief(fmt.Sprintf(format, args...))}
}

// editBundle has the configuration edited.
func (f *Facts) editBundle() Command { return f.edit(f.bundleFile()) }

// hasRunc tells whether the bundle may be meant for runc: it is, unless only crun is there.
// Debian has runc in a directory that users' PATH has not.
func (f *Facts) hasRunc() bool {
	_, _, answer := f.lookUp("runc")
	return answer == machine.Found || f.System.Version("runc") != "" || f.System.Version("crun") == ""
}

func checkBundle(f *Facts) Result {
	switch {
	case f.BundleError != nil && errors.Is(f.BundleError, fs.ErrNotExist):
		return f.noBundle()
	case f.BundleError != nil:
		return f.configResult("the runtime", f.BundleError)
	case f.Bundle == nil:
		return skip("no --bundle was given").certain()
	case f.Bundle.Root == nil:
		return failed("the bundle's configuration lacks \"root\", the path of the root file system: the runtime starts nothing", f.said("no root")).fixed("add \"root\"", f.editBundle())
	case f.Bundle.Process == nil:
		return failed("the bundle's configuration lacks \"process\", the program to run: the runtime starts nothing", f.said("no process")).fixed("add \"process\"", f.editBundle())
	}
	return ok("")
}

// noBundle is the result for a directory without a configuration.
func (f *Facts) noBundle() Result {
	r := failed("there is no "+ociconf.FileName+" in the bundle", Evidence{f.bundleFile(), "is not there"})
	for _, program := range []string{"runc", "crun"} {
		if file, _, answer := f.lookUp(program); answer == machine.Found && f.usersFiles().Exists(f.BundleDir) {
			script := "cd " + quote(f.BundleDir) + " && " + file + " spec --rootless"
			return r.fixed("make a config.json in "+f.BundleDir, Command{Args: []string{"sh", "-c", script}, ByHand: true})
		}
	}
	return r
}

func checkBundleUserns(f *Facts) Result {
	if f.Subject.UID == 0 {
		return skip("root of a user namespace needs no other")
	}
	namespace, isThere := f.Bundle.Namespace("user")
	switch {
	case !isThere && !f.hasRunc():
		return ok("crun makes a user namespace by itself")
	case !isThere:
		return failed("the bundle has no user namespace, without which an ordinary user starts no container", f.said("linux.namespaces without user")).
			fixed("add {\"type\": \"user\"} to linux.namespaces, and uidMappings and gidMappings; runc spec --rootless writes a whole configuration", f.editBundle())
	case namespace.Path != "":
		return ok("the bundle joins the user namespace " + namespace.Path)
	}
	maps, r := f.bundleMaps()
	if r.Status != OK {
		return r
	}
	for _, look := range []func(idMaps) Result{f.checkIDMaps, f.checkContainerRoot, f.checkProcessUser, f.checkMountIDs, f.checkJoined, f.checkKernelMounts} {
		if r := look(maps); r.Status != OK {
			return r
		}
	}
	return ok("")
}

// mostMaps is how many lines the kernel takes of a map (user_namespaces(7)).
const mostMaps = 340

// bundleMaps returns the bundle's ID maps; a result that is not OK says why they are none.
func (f *Facts) bundleMaps() (maps idMaps, r Result) {
	maps = idMaps{name: "uidMappings and gidMappings", missing: "the bundle maps no %s IDs (%cidMappings)"}
	for _, side := range []struct {
		kind byte
		key  string
		list []ociconf.IDMap
	}{{'u', "linux.uidMappings", f.Bundle.Linux.UIDs}, {'g', "linux.gidMappings", f.Bundle.Linux.GIDs}} {
		switch {
		case len(side.list) == 0:
			return maps, failed("the bundle has a user namespace and no "+side.key, f.said("no %s", side.key)).
				fixed("map the container's root to the user's own ID: "+f.ownMap(side.kind, subid.Range{}), f.editBundle())
		case len(side.list) > mostMaps:
			return maps, failed(fmt.Sprintf("%s has more lines than the %d that the kernel takes", side.key, mostMaps), f.said("%s: %d lines", side.key, len(side.list))).
				fixed("write fewer and longer ranges", f.editBundle())
		}
		for _, m := range side.list {
			at := f.said("%s: containerID %d, hostID %d, size %d", side.key, m.Inside, m.Outside, m.Count)
			maps.lines = append(maps.lines, idMap{side.kind, uint64(m.Inside), uint64(m.Outside), uint64(m.Count), at})
		}
	}
	return maps, ok("")
}

// rangeAfterRoot is the subject's range for the IDs after the container's root; none where it
// is not known.
func (f *Facts) rangeAfterRoot(kind byte) (r subid.Range) {
	if both, err := f.subIDs(); err == nil {
		r, _ = f.rangeOf(both, kind)
	}
	return r
}

// ownMap maps the subject's own ID to the container's root, and a range to the IDs after it, if
// there is one.
func (f *Facts) ownMap(kind byte, after subid.Range) string {
	key, id := "uidMappings", f.Subject.UID
	if kind == 'g' {
		key, id = "gidMappings", f.Subject.GID
	}
	text := fmt.Sprintf(`"%s": [{"containerID": 0, "hostID": %d, "size": 1}`, key, id)
	if after.Count > 0 {
		text += fmt.Sprintf(`, {"containerID": 1, "hostID": %d, "size": %d}`, after.First, after.Count)
	}
	return text + "]"
}

// outside returns what an ID of the container's is outside; ok is false if it is not
// mapped.
func (m *idMaps) outside(kind byte, inside uint64) (id uint64, ok bool) {
	for _, line := range m.lines {
		if line.kind == kind && inside >= line.inside && inside-line.inside < line.count {
			return line.outside + inside - line.inside, true
		}
	}
	return 0, false
}

// checkContainerRoot looks who the container's root is outside.
func (f *Facts) checkContainerRoot(maps idMaps) Result {
	for _, side := range []struct {
		kind byte
		key  string
		own  int
	}{{'u', "linux.uidMappings", f.Subject.UID}, {'g', "linux.gidMappings", f.Subject.GID}} {
		id, isMapped := maps.outside(side.kind, 0)
		switch {
		case !f.hasRunc():
		case !isMapped:
			return failed("runc starts nothing: the container's root is not mapped", f.said("%s without containerID 0", side.key)).
				fixed("map the container's root to the user's own ID: "+f.ownMap(side.kind, subid.Range{}), f.editBundle())
		case id != uint64(side.own):
			return failed(fmt.Sprintf("runc starts nothing: it changes the owner of files of its own to the container's root, ID %d here, and %s may change it only to the own ID, %d", id, f.Subject.Name, side.own),
				f.said("%s: containerID 0 is %d", side.key, id)).
				fixed("map the container's root to the user's own ID, and the IDs after it to the user's range: "+f.ownMap(side.kind, f.rangeAfterRoot(side.kind)), f.editBundle())
		}
	}
	return ok("")
}

func (f *Facts) checkProcessUser(maps idMaps) Result {
	user := f.Bundle.Process.User
	if _, isMapped := maps.outside('u', uint64(user.UID)); !isMapped {
		return f.unmappedUser("process.user.uid", user.UID)
	}
	if _, isMapped := maps.outside('g', uint64(user.GID)); !isMapped {
		return f.unmappedUser("process.user.gid", user.GID)
	}
	if len(user.AdditionalGIDs) > 0 && f.hasRunc() {
		return failed("runc starts nothing: an ordinary user may not have it set additional groups", f.said("process.user.additionalGids = %d", user.AdditionalGIDs)).
			fixed("remove process.user.additionalGids", f.editBundle())
	}
	return ok("")
}

func (f *Facts) unmappedUser(key string, id uint32) Result {
	return failed(fmt.Sprintf("%s is %d, which no line of uidMappings or gidMappings has: the runtime refuses to start the container", key, id), f.said("%s = %d", key, id)).
		fixed("write an ID that is in the maps, or map more of the user's subordinate IDs", f.editBundle())
}

// checkMountIDs looks at the options of mounts that name owners: runc spec without
// --rootless writes gid=5.
func (f *Facts) checkMountIDs(maps idMaps) Result {
	for _, mount := range f.Bundle.Mounts {
		for _, option := range mount.Options {
			key, value, _ := strings.Cut(option, "=")
			id, err := strconv.ParseUint(value, 10, 32)
			if err != nil || key != "uid" && key != "gid" {
				continue
			}
			if _, isMapped := maps.outside(key[0], id); !isMapped {
				return failed("a mount has "+option+", which no line of uidMappings or gidMappings has: the runtime refuses to start the container", f.said("mounts: %s %s", mount.Destination, option)).
					fixed("remove the option "+option+", or map more of the user's subordinate IDs", f.editBundle())
			}
		}
	}
	return ok("")
}

// checkJoined looks for namespaces that the container is to join, beside a user namespace of its
// own: setns(2) takes CAP_SYS_ADMIN in the one that owns them, and nobody has it in another than
// that new one. runc 1.1.5 was seen to start nothing.
func (f *Facts) checkJoined(idMaps) Result {
	for _, n := range f.Bundle.Linux.Namespaces {
		if n.Path == "" || n.Type == "user" {
			continue
		}
		return failed("the runtime starts nothing: a container with a user namespace of its own may not join the "+n.Type+" namespace "+n.Path, f.said("linux.namespaces: %s with path %q", n.Type, n.Path)).
			fixed("remove \"path\" from the namespace \""+n.Type+"\" in linux.namespaces: the container then has one of its own", f.editBundle())
	}
	return ok("")
}

// kernelMounts are the file systems that can be mounted only by who owns the namespace that
// they show (user_namespaces(7)).
var kernelMounts = map[string]string{"proc": "pid", "sysfs": "network", "mqueue": "ipc"}

func (f *Facts) checkKernelMounts(idMaps) Result {
	for _, mount := range f.Bundle.Mounts {
		kind := kernelMounts[mount.Type]
		if kind == "" {
			continue
		}
		if _, isThere := f.Bundle.Namespace(kind); !isThere {
			text := "add {\"type\": \"" + kind + "\"} to linux.namespaces"
			if mount.Type == "sysfs" {
				text += ", or bind-mount the machine's /sys, as runc spec --rootless does"
			}
			return failed("a user may mount "+mount.Type+" only in a container that has its own "+kind+" namespace", f.said("mounts: %s of type %s", mount.Destination, mount.Type)).
				fixed(text, f.editBundle())
		}
	}
	return ok("")
}

func checkBundleCgroup(f *Facts) Result {
	if f.Subject.PID == 0 {
		return skip("there is no login to look at with --user")
	}
	switch wanted := f.Bundle.CgroupsPath(); {
	case f.refusesCrun() && f.System.Version("runc") == "" && f.System.Version("crun") != "":
		return failed("crun starts nothing where cgroup v2 has controllers beside v1").fixed("install runc")
	case f.hasRunc() && f.isUnified() && runcOnV2(f.System.Version("runc")) == machine.Absent:
		return failed("runc "+f.System.Version("runc")+" makes no cgroups for users on cgroup v2").fixed("use crun, or a newer runc", f.install("crun")...)
	case wanted == "":
		return f.withoutCgroupsPath()
	case f.isUnified():
		return f.cgroupsPathV2(wanted)
	default:
		return f.cgroupsPathV1(wanted)
	}
}

// withoutCgroupsPath is the result for a bundle that leaves the cgroup to the runtime.
func (f *Facts) withoutCgroupsPath() Result {
	crun := f.System.Version("crun")
	if f.hasRunc() || makesCgroups(crun) && f.isUnified() || len(f.Bundle.Limits()) == 0 {
		return ok("the runtime makes a cgroup in the session")
	}
	r := failed("crun "+crun+" makes no cgroup without a cgroupsPath, and drops the bundle's limits silently", f.said("linux.resources.%s without linux.cgroupsPath", f.Bundle.Limits()[0].Key))
	if session := f.sessionPath(); session != "" {
		return r.fixed("add "+cgroupsPath(session)+" below \"linux\"", f.editBundle())
	}
	return r.fixed("use runc")
}

// cgroupsPathV2 looks at a cgroupsPath on v2. The form SLICE:PREFIX:NAME is for systemd.
func (f *Facts) cgroupsPathV2(wanted string) Result {
	l := f.locationIn(hierarchy.Unified)
	said := f.said("linux.cgroupsPath = %q", wanted)
	switch {
	case l == nil || l.err != nil:
		return unknown("it cannot be told where the session is", f.unseen())
	case strings.Count(wanted, ":") == 2:
		return ok("the cgroupsPath is for systemd's user manager", said)
	case !path.IsAbs(wanted) && !f.hasRunc():
		return unknown("it cannot be told where crun makes its cgroup", errors.New("the cgroupsPath has no leading slash"))
	case !path.IsAbs(wanted): // beside the process's own (cgroups/fs2, defaultDirPath)
		wanted = path.Join(path.Dir(path.Join("/", l.member)), wanted)
	}
	reach, dir, st := f.reach(l, wanted)
	evidence := []Evidence{said, {dir, ownerAndMode(st)}}
	switch reach {
	case inSession:
		return ok("", said)
	case elsewhereOwn:
		return ok("the cgroupsPath is in another cgroup of "+f.Subject.Name+"'s than the session", evidence...)
	case unseen:
		return unknown("it cannot be told whether the bundle's cgroupsPath can be made", f.unseen())
	case inLeaf:
		return failed("the bundle's cgroupsPath is in the leaf, or the session itself, where no container can have controllers", said).
			fixed(f.betterPath(l), f.editBundle())
	}
	return failed("the bundle's cgroupsPath is not in this session: the runtime may not make it", evidence...).
		fixed(f.betterPath(l), f.editBundle())
}

// betterPath says which cgroupsPath works in place of another.
func (f *Facts) betterPath(l *location) string {
	if !f.hasRunc() && !makesCgroups(f.System.Version("crun")) {
		return "write " + cgroupsPath(l.base) + ", with this session's number"
	}
	return "remove linux.cgroupsPath: the runtime then makes a cgroup in the session; or write " + cgroupsPath(l.base)
}

// place is where a cgroup that was asked for would be.
type place int

const (
	denied place = iota
	unseen
	inSession
	inLeaf       // or the session itself
	elsewhereOwn // in another cgroup in which the subject may make some
)

// reach tells where a cgroup would be in a hierarchy, with the nearest directory that is
// there.
func (f *Facts) reach(l *location, wanted string) (where place, dir string, st machine.Stat) {
	below, err := l.Below(path.Clean(wanted))
	if err != nil {
		return denied, l.Mount.Point, st
	}
	below = path.Join("/", below)
	session := strings.TrimSuffix(l.base, "/") + "/"
	leaf := session + layout.Leaf
	switch {
	case l.delegated() && (below+"/" == session || l.IsUnified() && (below == leaf || strings.HasPrefix(below, leaf+"/"))):
		return inLeaf, l.path(), st
	case l.delegated() && strings.HasPrefix(below, session):
		return inSession, l.path(), st
	}
	for at := path.Dir(below); ; at = path.Dir(at) {
		dir = path.Join(l.Mount.Point, at)
		st, err = f.Machine.Stat(dir)
		switch {
		case errors.Is(err, fs.ErrNotExist) && at != "/":
			continue
		case err != nil:
			return unseen, dir, st
		case f.mayWrite(st) && at != "/":
			return elsewhereOwn, dir, st
		}
		return denied, dir, st
	}
}

// wantedByRunc tells whether runc makes a cgroupsPath in a hierarchy of v1: in those of all
// controllers and in systemd's own; and in v2 beside them if that is mounted where systemd
// has it (cgroups/fs).
func wantedByRunc(l *location) bool {
	if l.IsUnified() {
		return l.Mount.Point == cgroupRoot+"/unified"
	}
	return !strings.HasPrefix(l.Name, "name=") || l.Name == "name=systemd"
}

func (f *Facts) cgroupsPathV1(wanted string) Result {
	said := f.said("linux.cgroupsPath = %q", wanted)
	evidence := []Evidence{said}
	var names []string
	for i := range f.locations {
		l := &f.locations[i]
		if !wantedByRunc(l) {
			continue
		}
		at := wanted
		if !path.IsAbs(at) {
			at = path.Join("/", l.member, at)
		}
		switch where, dir, st := f.reach(l, at); where {
		case unseen:
			return unknown("it cannot be told whether the bundle's cgroupsPath can be made", f.unseen())
		case denied:
			names = append(names, l.Name)
			evidence = append(evidence, Evidence{dir, ownerAndMode(st)})
		}
	}
	if len(names) == 0 {
		return ok("", said)
	}
	const most = 4
	if len(evidence) > most {
		evidence = evidence[:most]
	}
	text := "remove linux.cgroupsPath: runc then makes a cgroup where there is a session"
	if !f.hasRunc() {
		text = "have a session in all hierarchies, by a line of the module without -c, and write its path"
	}
	return failed("the runtime wants the bundle's cgroupsPath in every hierarchy, and may not make it in "+strings.Join(first(names), " "), evidence...).
		fixed(text, f.editBundle())
}

func checkBundleLimits(f *Facts) Result {
	if f.Subject.PID == 0 {
		return skip("there is no login to look at with --user")
	}
	var lacking []string
	var without, idle []Evidence
	for _, limit := range f.Bundle.Limits() {
		controller := limit.V2
		if !f.isUnified() {
			controller = limit.V1
		}
		said := f.said("linux.resources.%s", limit.Key)
		name, isUnified := strings.CutPrefix(limit.Key, "unified.")
		switch {
		case isUnified && !f.isUnified():
			return failed("linux.resources.unified is for cgroup v2: the runtime refuses it here", said).
				fixed("write these limits under memory, cpu and pids, and remove unified", f.editBundle())
		case isUnified && (!strings.Contains(name, ".") || strings.Contains(name, "/")):
			return failed(noCgroupFile(name), said).
				fixed("write CONTROLLER.FILE, such as memory.high", f.editBundle())
		case controller == "" && f.isUnified():
			idle = append(idle, said)
		case controller == "" || controller == "cgroup" || f.hasController(controller):
		default:
			without = append(without, said)
			if !slices.Contains(lacking, controller) {
				lacking = append(lacking, controller)
			}
		}
	}
	if len(lacking) > 0 {
		r := failed("the session lacks "+Controllers(lacking)+", which the bundle's limits need: the runtime refuses to start the container", without...)
		return f.lackingFix(r, lacking, f.bundleFile())
	}
	if r := f.checkBundleRlimits(); r.Status != OK {
		return r
	}
	if len(idle) > 0 {
		return warning("limits are for cgroup v1, and the runtime ignores them", idle...).fixed("remove these limits", f.editBundle())
	}
	return ok(limitsHave(len(f.Bundle.Limits())))
}

func (f *Facts) checkBundleRlimits() Result {
	for _, limit := range f.Bundle.Process.Rlimits {
		name := strings.ToLower(strings.TrimPrefix(limit.Type, "RLIMIT_"))
		if name == "as" || rlimitRows[name] == "" {
			continue
		}
		if r := f.checkHardLimit("the runtime refuses to start the container", name, limit.Hard, f.said("process.rlimits: %s hard %d", limit.Type, limit.Hard), f.editBundle()); r.Status != OK {
			return r
		}
	}
	return ok("")
}

func checkBundleRootfs(f *Facts) Result {
	dir := f.Bundle.Root.Path
	said := f.said("root.path = %q", dir)
	if !path.IsAbs(dir) {
		dir = path.Join(f.BundleDir, dir)
	}
	st, err := f.usersFiles().Stat(dir)
	switch {
	case errors.Is(err, fs.ErrNotExist) || err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return failed("the bundle's root file system is not there", said, Evidence{dir, "is no directory"}).
			fixed("unpack the root file system in "+dir+", or correct root.path", f.editBundle())
	case errors.Is(err, fs.ErrPermission):
		return failed(f.Subject.Name+" may not go to the bundle's root file system", said, Evidence{dir, "may not be looked at"}).
			fixed("open the directories above " + dir + ", or unpack the root file system where " + f.Subject.Name + " may go")
	case err != nil:
		return unknown("the bundle's root file system cannot be looked at", err)
	case slices.Contains(f.mountOf(dir).Options, "noexec"):
		return failed("nothing may be run from where the bundle's root file system is (noexec)", said, Evidence{"/proc/self/mountinfo", f.mountOf(dir).Point + " noexec"}).
			with(f.remounted(dir, "noexec", "exec"), "")
	}
	return f.checkRootfsOwner(dir, st)
}

// checkRootfsOwner looks whether the container's root may go through its root directory,
// and write there.
func (f *Facts) checkRootfsOwner(dir string, st machine.Stat) Result {
	namespace, _ := f.Bundle.Namespace("user")
	if f.Bundle.Linux == nil || namespace.Path != "" || f.Subject.UID == 0 {
		return ok("") // whose IDs are there nobody has said
	}
	maps, r := f.bundleMaps()
	if r.Status != OK {
		return skip("the bundle's ID maps cannot be used: see the check bundle-userns")
	}
	evidence := Evidence{dir, ownerAndMode(st)}
	isContainers := slices.ContainsFunc(maps.lines, func(m idMap) bool {
		return m.kind == 'u' && st.UID >= 0 && uint64(st.UID) >= m.outside && uint64(st.UID)-m.outside < m.count
	})
	switch {
	case isContainers:
		return ok("", evidence)
	case st.Mode&0o1 == 0 && !f.maySearch(st):
		return failed("the container's root may not go through its root file system, whose owner is none of its IDs", evidence).
			fixed("unpack the root file system as " + f.Subject.Name)
	case f.Bundle.Root.ReadOnly || f.mayWrite(st):
		return ok("", evidence)
	}
	return warning("the bundle's root file system belongs to user ID "+strconv.Itoa(st.UID)+", which is none of the container's IDs: its root cannot write there", evidence).
		fixed("unpack the root file system as " + f.Subject.Name + ", or write \"readonly\": true below \"root\"")
}
