package check

import (
	"cmp"
	"errors"
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
	for _, look := range []func(*storage) Result{f.checkDriver, f.checkGraphRoot, f.checkGraphMount} {
		if r := look(&s); r.Status != OK {
			return r
		}
	}
	if s.graphRoot == "" {
		return ok("")
	}
	return ok("in "+s.graphRoot, Evidence{s.graphRoot, cmp.Or(s.driver(f), "the driver that podman finds")})
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
			return failed("podman's storage driver is btrfs, and its images are on "+kind, said, Evidence{"/proc/self/mountinfo", f.mountOf(s.graphRoot).Point + " " + kind}).
				fixed("write driver = \"overlay\"", f.editAny(s.file))
		}
		return ok("")
	default:
		if s.file == systemConfig+storageFile || s.file == vendorConfig+storageFile {
			return ok("") // for root; podman ignores it for users
		}
		return failed("podman starts nothing: only root can use the storage driver "+driver, said).
			fixed("write driver = \"overlay\", or vfs", f.editAny(s.file))
	}
}

// fuseOverlay mounts in place of the kernel.
const fuseOverlay = "fuse-overlayfs"

func (f *Facts) checkOverlay(s *storage, said Evidence) Result {
	program := s.MountProgram()
	if program == "" {
		return f.checkNativeOverlay(said)
	}
	const device = "/dev/fuse"
	named := Evidence{s.file, "mount_program = " + strconv.Quote(program)}
	switch answer := f.usersFiles().Find(program); {
	case answer == machine.Unknown:
		return unknown("it cannot be told whether "+program+" is there", f.unseen())
	case answer == machine.Absent:
		text := "install " + path.Base(program)
		if f.mountsOverlay() == machine.Found {
			text += ", or take the line out: this kernel lets users mount overlay"
		}
		return failed("podman starts nothing: its mount_program "+program+" is not there", named).
			fixed(text, append(f.install(fuseOverlay), f.editAny(s.file))...)
	case path.Base(program) == fuseOverlay && f.Machine.Find(device) == machine.Absent:
		return failed("podman's mount_program needs "+device+", which is not there", named, Evidence{device, "is not there"}).
			fixed("give this machine or container the device, or take the line out", f.editAny(s.file))
	}
	return ok("")
}

func (f *Facts) checkNativeOverlay(said Evidence) Result {
	const release = "/proc/sys/kernel/osrelease"
	_, _, fuse := f.lookUp(fuseOverlay)
	switch native := f.mountsOverlay(); {
	case native == machine.Found || fuse == machine.Found:
		return ok("")
	case native == machine.Unknown || fuse == machine.Unknown:
		return unknown("it cannot be told whether users may mount overlay", f.unseen())
	}
	return failed("podman's storage driver is overlay, which no user may mount before Linux 5.11, and there is no "+fuseOverlay,
		said, Evidence{release, f.readWord(release)}).
		fixed("install "+fuseOverlay, f.install(fuseOverlay)...)
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
			fixed("write an absolute path, such as $HOME/.local/share/containers/storage", f.editAny(s.file))
	}
	dir, st, err := f.nearest(s.graphRoot)
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
		return failed("podman cannot store images in "+s.graphRoot+": "+dir+" is no directory", evidence...).fixed("name another place", f.editAny(cmp.Or(s.file, dir)))
	case err == nil && (f.may(st, 0o3) || slices.Contains(st.Searchers, f.Subject.UID)):
		return ok("") // what an ACL gives beside is not known
	}
	r := failed("podman starts nothing: "+f.Subject.Name+" may not write in "+dir+", where its images are to be", evidence...)
	if s.said == "" {
		return f.byDefault(r.fixed("make " + s.graphRoot + " as root, and give it to " + f.Subject.Name))
	}
	return r.fixed("name a directory of "+f.Subject.Name+"'s, or let it write there", f.editAny(s.file))
}

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
	elsewhere := "name a directory on another mount by graphroot in " + cmp.Or(s.file, f.userConfig()+storageFile)
	_, _, fuse := f.lookUp(fuseOverlay)
	switch {
	case slices.Contains(at.Options, "ro"):
		return failed("podman's images are on a mount that is read-only", evidence...).fixed(elsewhere)
	case slices.Contains(at.Options, "noexec"):
		return failed("podman's images are on a mount from which nothing may be run (noexec)", evidence...).with(f.remounted(s.graphRoot, "noexec", "exec"), "")
	case slices.Contains(ownersFixed, at.Type) && s.MountProgram() == "" && fuse != machine.Found:
		return warning("podman's images are on "+at.Type+", where no user can store files of its container's other users", evidence...).
			fixed(elsewhere + ", or install " + fuseOverlay)
	}
	return ok("")
}
