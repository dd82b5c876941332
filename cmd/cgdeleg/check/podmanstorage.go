package check

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// ownersFixed are file systems on which a user's container cannot make files of its other
// IDs: a server decides whose they are, and knows no user namespaces (podman's rootless.md).
var ownersFixed = []string{"nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "gpfs", "lustre", "beegfs", "ceph", "fuse.glusterfs", "fuse.sshfs"}

func checkPodmanStorage(f *Facts) Result {
	if none := f.noProgram("podman"); none != nil {
		return *none
	}
	s := f.readStorage()
	for _, look := range []func(*storage) Result{f.checkDriver, f.checkGraphRoot, f.checkRunRoot, f.checkGraphMount} {
		if r := look(&s); r.Status != OK {
			return r
		}
	}
	if s.graphRoot == "" {
		return ok("")
	}
	return ok("podman's images are in "+s.graphRoot, Evidence{s.graphRoot, cmp.Or(s.driver(f), "the driver that podman finds")})
}

// driver returns which one is asked for.
func (s *storage) driver(f *Facts) string {
	return cmp.Or(f.System.Variable(f.Subject, "STORAGE_DRIVER"), s.Storage.Storage.Driver)
}

// evidence is who asks for the driver.
func (s *storage) evidence(f *Facts) Evidence {
	if driver := f.System.Variable(f.Subject, "STORAGE_DRIVER"); driver != "" {
		return Evidence{"the environment", "STORAGE_DRIVER=" + driver}
	}
	return Evidence{s.file, "driver = " + strconv.Quote(s.Storage.Storage.Driver)}
}

func (f *Facts) checkDriver(s *storage) Result {
	said := s.evidence(f)
	switch driver := s.driver(f); driver {
	case "", "vfs":
		return ok("")
	case "overlay", "overlay2":
		return f.checkOverlay(s, said)
	case "btrfs":
		if kind := f.mountOf(s.graphRoot).Type; s.graphRoot != "" && kind != "" && kind != "btrfs" {
			return failed("podman starts nothing: its storage driver is btrfs, and its images are on "+kind, said, Evidence{"/proc/self/mountinfo", f.mountOf(s.graphRoot).Point + " " + kind}).
				fixed(f.driverText(s), f.editStorage(s))
		}
		return ok("")
	default:
		if s.file == systemConfig+storageFile || s.file == vendorConfig+storageFile {
			return ok("") // for root; podman ignores it for users
		}
		return failed("podman starts nothing: only root can use the storage driver "+driver, said).
			fixed(f.driverText(s), f.editStorage(s))
	}
}

// fuseOverlay mounts in place of the kernel.
const fuseOverlay = "fuse-overlayfs"

func (f *Facts) checkOverlay(s *storage, said Evidence) Result {
	program := s.MountProgram()
	if program == "" {
		if r := f.checkOverlayOn(s, said); r.Status != OK {
			return r
		}
		return f.checkNativeOverlay(s, said)
	}
	const device = "/dev/fuse"
	named := Evidence{s.file, "mount_program = " + strconv.Quote(program)}
	switch answer := f.usersFiles().Find(program); {
	case answer == machine.Unknown:
		return unknown("it cannot be told whether "+program+" is there", f.unseen())
	case answer == machine.Absent:
		text, commands := "install "+path.Base(program), f.install(fuseOverlay)
		if f.mountsOverlayOn(s) {
			text += ", or remove the line mount_program: this kernel lets users mount overlay"
			commands = append(commands, or(f.editStorage(s))...)
		}
		return failed("podman starts nothing: its mount_program "+program+" is not there", named).fixed(text, commands...)
	case path.Base(program) == fuseOverlay && f.Machine.Find(device) == machine.Absent:
		return failed("podman starts nothing: its mount_program needs "+device+", which is not there", named, Evidence{device, "is not there"}).
			fixed("give this machine or container the device "+device+", or "+f.withoutProgram(s), f.editStorage(s))
	}
	return ok("")
}

// lacksFuse tells whether there is no device for fuse-overlayfs. Old recordings do not say.
func (f *Facts) lacksFuse() bool {
	return f.Machine.Find("/dev/fuse") == machine.Absent && !f.isBeforeAbsent()
}

// mountsOverlayOn tells whether the kernel is known to let users mount overlay where podman's
// images are.
func (f *Facts) mountsOverlayOn(s *storage) bool {
	return f.mountsOverlay() == machine.Found && s.graphRoot != "" && f.refusesBacking(f.mountOf(s.graphRoot).Type) == machine.Absent
}

// driverText says which driver podman can have here.
func (f *Facts) driverText(s *storage) string {
	if f.mountsOverlayOn(s) {
		return "write driver = \"overlay\""
	}
	return "write driver = \"vfs\", which every file system takes"
}

// withoutProgram says how podman's images do without a mount_program.
func (f *Facts) withoutProgram(s *storage) string {
	if f.mountsOverlayOn(s) {
		return "remove the line mount_program"
	}
	return "write driver = \"vfs\", which needs no mount_program"
}

func (f *Facts) checkNativeOverlay(s *storage, said Evidence) Result {
	const release = "/proc/sys/kernel/osrelease"
	_, _, fuse := f.lookUp(fuseOverlay)
	switch native := f.mountsOverlay(); {
	case native == machine.Found || fuse == machine.Found:
		return ok("")
	case native == machine.Unknown || fuse == machine.Unknown:
		return unknown("it cannot be told whether users may mount overlay", f.unseen())
	}
	r := failed("podman starts nothing: its storage driver is overlay, which no user may mount before Linux 5.11, and there is no "+fuseOverlay,
		said, Evidence{release, f.readWord(release)})
	if f.lacksFuse() {
		return r.fixed(f.driverText(s), f.editStorage(s))
	}
	return r.fixed("install "+fuseOverlay, f.install(fuseOverlay)...)
}

// mountsOverlay tells whether the kernel lets users mount overlay in a user namespace:
// since 5.11, and before that Ubuntu's, Debian's if it is told to, and what Red Hat added
// to its own.
func (f *Facts) mountsOverlay() machine.Answer {
	release := f.readWord("/proc/sys/kernel/osrelease")
	numbers := versionNumbers(release)
	switch {
	case len(numbers) < 2:
		return machine.Unknown
	case numbers[0] > 5 || numbers[0] == 5 && numbers[1] >= 11, strings.Contains(release, ".el8"), strings.Contains(release, ".el9"):
		return machine.Found
	}
	data, _ := f.Machine.ReadFile("/proc/version")
	if strings.Contains(string(data), "Ubuntu") || f.readWord("/sys/module/overlay/parameters/permit_mounts_in_userns") == "Y" {
		return machine.Found
	}
	return machine.Absent
}

// storageSetting is the key that says where images are, as evidence.
func (s *storage) storageSetting() Evidence {
	value := s.Storage.Storage.GraphRoot
	if s.said == "rootless_storage_path" {
		value = s.Storage.Storage.RootlessPath
	}
	return Evidence{s.file, s.said + " = " + strconv.Quote(value)}
}

// checkGraphRoot looks whether the user may write where images are to be: there, or in the
// nearest directory above that is there.
func (f *Facts) checkGraphRoot(s *storage) Result {
	said := s.storageSetting()
	switch {
	case s.graphRoot == "" && s.said == "":
		return ok("")
	case s.graphRoot == "" && strings.Contains(said.Value, "$"):
		return unknown("it cannot be told where podman's images are", errors.New(said.Value+" has a variable that is not known"))
	case s.graphRoot == "":
		return failed("podman starts nothing: the path of its images is not absolute", said).
			fixed("write an absolute path, such as $HOME/.local/share/containers/storage", f.editStorage(s))
	}
	dir, st, err := f.shut(s.graphRoot)
	evidence := []Evidence{{dir, ownerAndMode(st)}}
	if s.said != "" {
		evidence = append([]Evidence{said}, evidence...)
	}
	switch {
	case err != nil && s.said == "":
		return ok("") // nobody has named it, and nobody knows
	case err != nil && !errors.Is(err, fs.ErrPermission):
		return unknown("it cannot be told whether "+f.Subject.Name+" may write where podman's images are", err)
	case err == nil && st.Mode&unix.S_IFMT != unix.S_IFDIR:
		return failed("podman starts nothing: it cannot store images in "+s.graphRoot+": "+dir+" is no directory", evidence...).fixed("name another directory for podman's images", f.editAny(cmp.Or(s.file, dir)))
	case err == nil && (f.may(st, 0o3) || slices.Contains(st.Searchers, f.Subject.UID)):
		return ok("") // what an ACL gives beside is not known
	}
	r := failed("podman starts nothing: "+f.Subject.Name+" may not write in "+dir+", where its images are to be", evidence...)
	if s.said == "" {
		return f.byDefault(r.with(f.giveBack(s.graphRoot), ""))
	}
	return r.fixed("name a directory of "+f.Subject.Name+"'s, or let "+f.Subject.Name+" write in "+dir, f.editStorage(s))
}

// shut returns what nearest does, or the directory above through which the user may not go: then
// nobody needs to know what is below.
func (f *Facts) shut(dir string) (at string, st machine.Stat, err error) {
	at, st, err = f.nearest(dir)
	if !errors.Is(err, machine.ErrNotRecorded) && !errors.Is(err, fs.ErrPermission) {
		return at, st, err
	}
	for above := at; above != "/"; {
		above = path.Dir(above)
		if is, known := f.Machine.Stat(above); known == nil {
			if is.Mode&unix.S_IFMT == unix.S_IFDIR && !f.maySearch(is) && !slices.Contains(is.Searchers, f.Subject.UID) {
				return above, is, nil
			}
			break
		}
	}
	return at, st, err
}

// giveBack is what helps where the user may not write into a directory of the user's own. root's
// podman with the user's HOME makes all from .local/share/containers on, and more is in it.
func (f *Facts) giveBack(dir string) *Fix {
	below, isBelow := strings.CutPrefix(dir, f.Subject.Home+"/")
	if f.Subject.Home != "" && isBelow {
		at := f.Subject.Home
		for name := range strings.SplitSeq(below, "/") {
			at = path.Join(at, name)
			st, err := f.Machine.Stat(at)
			switch {
			case err != nil:
			case st.UID == 0:
				owner := fmt.Sprintf("%d:%d", f.Subject.UID, f.Subject.GID)
				return &Fix{Text: "give " + f.Subject.Name + " " + at + ", with all that is in it", Commands: []Command{asRoot("chown", "-R", owner, at)}}
			case !f.may(st, 0o3):
				return &Fix{Text: "let " + f.Subject.Name + " write in " + at, Commands: []Command{{Args: []string{"chmod", "u+rwx", at}}}}
			}
		}
	}
	return &Fix{Text: "make " + dir + " as root, and give it to " + f.Subject.Name}
}

// checkRunRoot looks whether the user may write where the configuration has podman keep the state of
// containers. What is in podman's database holds over it (libpod, mergeDBConfig), and podman writes
// into a new one before it finds that it may not write there.
func (f *Facts) checkRunRoot(s *storage) Result {
	if s.runRoot == "" {
		return ok("") // none is named, or it cannot be told where that is
	}
	const key = "runroot"
	said := Evidence{s.file, key + " = " + strconv.Quote(s.Storage.Storage.RunRoot)}
	dir, st, err := f.shut(s.runRoot)
	isDir := err == nil && st.Mode&unix.S_IFMT == unix.S_IFDIR
	switch {
	case isDir && (f.may(st, 0o3) || slices.Contains(st.Searchers, f.Subject.UID)):
		return ok("") // what an ACL gives beside is not known
	case err != nil && !errors.Is(err, fs.ErrPermission):
		return unknown("it cannot be told whether "+f.Subject.Name+" may write in "+s.runRoot+", the runroot of podman's configuration", err)
	}
	says, text := f.Subject.Name+" may not write in "+dir+", where its runroot is to be", "remove the line runroot"
	database, answer := f.findDatabase(s)
	r := failed("podman starts nothing: " + says)
	switch answer {
	case machine.Found:
		r = unknown("it cannot be told whether podman starts: "+says, errors.New("the runroot that podman had first is in "+database+", and that one holds"))
		text += "; if podman info says permission denied even then, remove " + database + ", and with it podman's list of containers"
	case machine.Unknown:
		r = unknown("it cannot be told whether podman starts: "+says, errors.New("perhaps podman had another runroot first, which then holds"))
	}
	r.Evidence = []Evidence{said, {dir, ownerAndMode(st)}}
	return r.fixed(text, f.editStorage(s))
}

// findDatabase looks for podman's: that of SQLite, or of BoltDB (before podman 4.8 the only one).
func (f *Facts) findDatabase(s *storage) (file string, answer machine.Answer) {
	if s.graphRoot == "" {
		return "", machine.Unknown
	}
	answer = machine.Absent
	for _, name := range []string{"db.sql", "libpod/bolt_state.db"} {
		file = path.Join(s.graphRoot, name)
		switch f.usersFiles().Find(file) {
		case machine.Found:
			return file, machine.Found
		case machine.Unknown:
			answer = machine.Unknown
		}
	}
	return file, answer
}

// storageToEdit returns the file in which a setting of podman's storage belongs: the one that has
// it, and not the distribution's.
func (f *Facts) storageToEdit(s *storage) string {
	if s.file == "" || strings.HasPrefix(s.file, vendorConfig+"/") {
		return f.userConfig() + storageFile
	}
	return s.file
}

func (f *Facts) editStorage(s *storage) Command { return f.editAny(f.storageToEdit(s)) }

// nearest returns the directory itself, or the nearest above that is there.
func (f *Facts) nearest(dir string) (at string, st machine.Stat, err error) {
	for at = dir; ; at = path.Dir(at) {
		st, err = f.usersFiles().Stat(at)
		if !errors.Is(err, fs.ErrNotExist) || at == "/" {
			return at, st, err
		}
	}
}

// checkGraphMount looks at the file system under podman's images.
func (f *Facts) checkGraphMount(s *storage) Result {
	if s.graphRoot == "" {
		return ok("")
	}
	r := f.onMount(s)
	if r.Status != OK && s.said == "" {
		return f.byDefault(r)
	}
	return r
}

func (f *Facts) onMount(s *storage) Result {
	at := f.mountOf(s.graphRoot)
	evidence := []Evidence{{"/proc/self/mountinfo", strings.TrimSpace(at.Point + " " + at.Type + " " + strings.Join(at.Options, ","))}}
	if s.said != "" {
		evidence = append([]Evidence{s.storageSetting()}, evidence...)
	}
	elsewhere := "name a directory for podman's images on another mount, by graphroot in " + f.storageToEdit(s)
	_, _, fuse := f.lookUp(fuseOverlay)
	switch {
	case slices.Contains(at.Options, "ro"):
		return failed("podman starts nothing: its images are on a mount that is read-only", evidence...).fixed(elsewhere)
	case slices.Contains(at.Options, "noexec"):
		return failed("podman's images are on a mount from which nothing may be run (noexec)", evidence...).with(f.remounted(s.graphRoot, "noexec", "exec"), "")
	case slices.Contains(ownersFixed, at.Type) && s.MountProgram() == "" && fuse != machine.Found:
		return warning("podman's images are on "+at.Type+", which cannot hold files of other user IDs than "+f.Subject.Name+"'s own: most images cannot be unpacked there", evidence...).
			fixed(elsewhere)
	}
	return ok("")
}
