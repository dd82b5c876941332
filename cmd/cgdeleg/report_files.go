package main

import (
	"errors"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// leftOut is why a file does not come into a report.
type leftOut string

func (e leftOut) Error() string { return string(e) }

const (
	errFull    = leftOut("the report is full (16 MiB)")
	errLarge   = leftOut("larger than 256 KiB")
	errLink    = leftOut("a symbolic link on the way, below the home directory")
	errSpecial = leftOut("not a regular file")
	errSecret  = leftOut("others than its owner may not read it")
	errHidden  = leftOut("the user may not go there")
	errKernel  = leftOut("a file of the kernel's, named by a configuration")
)

// read returns a file's content if it may be shown: root may read what the
// subject, or whoever gets the report, may not. So it has to be the subject's or
// readable by others, and every directory on the way the subject's to go
// through. This is decided on the descriptors that are read.
func (r *recorder) read(name string) (string, error) {
	real, err := filepath.EvalSymlinks(r.root + name)
	if err != nil {
		return "", err
	}
	return r.readReal(strings.TrimPrefix(real, r.root))
}

// readOwn is read for a file whose path is the subject's to choose. Links below
// its home are not followed, and the kernel's files are none to choose.
func (r *recorder) readOwn(name string) (string, error) {
	name = path.Clean("/" + name)
	home := path.Clean("/" + r.subject.Home)
	start, below := name, ""
	if strings.HasPrefix(name, home+"/") {
		start, below = home, name[len(home):]
	}
	real, err := filepath.EvalSymlinks(r.root + start)
	if err != nil {
		return "", err
	}
	real = path.Join("/", strings.TrimPrefix(real, r.root), below)
	if machine.IsKernels(real) {
		return "", errKernel
	}
	return r.readReal(real)
}

// readReal reads a file by a path without links.
func (r *recorder) readReal(name string) (string, error) {
	at, err := openPath(unix.AT_FDCWD, r.root+"/")
	if err != nil {
		return "", err
	}
	defer func() { at.Close() }()
	parts := strings.Split(strings.Trim(name, "/"), "/")
	for i, part := range parts {
		next, err := openPath(int(at.Fd()), part)
		if err != nil {
			return "", err
		}
		at.Close()
		at = next
		if err := r.mayPass(at, i == len(parts)-1); err != nil {
			return "", err
		}
	}
	return r.readPath(at)
}

// openPath opens what is there, whatever it is, without any effect on it
// (O_PATH, open(2)).
func openPath(dirfd int, name string) (*os.File, error) {
	fd, err := unix.Openat(dirfd, name, unix.O_PATH|unix.O_NOFOLLOW|unix.O_CLOEXEC, 0)
	if err != nil {
		return nil, &fs.PathError{Op: "open", Path: name, Err: err}
	}
	return os.NewFile(uintptr(fd), name), nil
}

// mayPass tells whether a part of the way is what it has to be; nil if so.
func (r *recorder) mayPass(at *os.File, isLast bool) error {
	st, err := statOf(at)
	if err != nil {
		return err
	}
	switch kind := st.Mode & unix.S_IFMT; {
	case kind == unix.S_IFLNK:
		return errLink
	case isLast && kind != unix.S_IFREG:
		return errSpecial
	case isLast:
		return nil
	case kind != unix.S_IFDIR:
		return unix.ENOTDIR
	case !r.maySearch(st):
		return errHidden
	}
	return nil
}

// maySearch tells whether the subject may go through a directory
// (path_resolution(7), "Permissions").
func (r *recorder) maySearch(st machine.Stat) bool {
	switch s := r.subject; {
	case s.UID == 0:
		return true
	case s.UID == st.UID:
		return st.Mode&0o100 != 0
	case s.GID == st.GID || slices.Contains(s.Groups, st.GID):
		return st.Mode&0o010 != 0
	}
	return st.Mode&0o001 != 0
}

// readPath reads the regular file that an O_PATH descriptor is of.
func (r *recorder) readPath(at *os.File) (string, error) {
	link := "/proc/self/fd/" + strconv.Itoa(int(at.Fd()))
	fd, err := unix.Open(link, unix.O_RDONLY|unix.O_NONBLOCK|unix.O_NOCTTY|unix.O_CLOEXEC, 0)
	if err != nil {
		return "", &fs.PathError{Op: "open", Path: at.Name(), Err: err}
	}
	file := os.NewFile(uintptr(fd), at.Name())
	defer file.Close()
	st, err := statOf(file)
	switch {
	case err != nil:
		return "", err
	case st.Mode&unix.S_IFMT != unix.S_IFREG:
		return "", errSpecial
	case st.UID != r.subject.UID && st.Mode&0o004 == 0:
		return "", errSecret
	}
	data, err := io.ReadAll(io.LimitReader(file, maxReportFile+1))
	switch {
	case err != nil:
		return "", err
	case len(data) > maxReportFile:
		return "", errLarge
	}
	return string(data), nil
}

func statOf(file *os.File) (machine.Stat, error) {
	var st unix.Stat_t
	if err := unix.Fstat(int(file.Fd()), &st); err != nil {
		return machine.Stat{}, &fs.PathError{Op: "fstat", Path: file.Name(), Err: err}
	}
	return machine.Stat{Mode: st.Mode, UID: int(st.Uid), GID: int(st.Gid)}, nil
}

// newReportDir makes the report's directory, for its owner alone. Somebody else
// may write in the directory that holds it, and put another in its place: what
// is opened has to be what was made.
func newReportDir(name string) (*os.Root, error) {
	fail := func(op string, err error) (*os.Root, error) {
		var pathErr *fs.PathError
		if errors.As(err, &pathErr) {
			err = pathErr.Err
		}
		return nil, &fs.PathError{Op: op, Path: name, Err: err}
	}
	parent, err := os.OpenRoot(filepath.Dir(filepath.Clean(name)))
	if err != nil {
		return fail("mkdir", err)
	}
	defer func() { _ = parent.Close() }()
	base := filepath.Base(filepath.Clean(name))
	if err := parent.Mkdir(base, 0o700); err != nil {
		return fail("mkdir", err)
	}
	dir, err := parent.OpenRoot(base)
	if err != nil {
		return fail("open", err)
	}
	if err := isOurs(dir); err != nil {
		_ = dir.Close()
		return fail("open", err)
	}
	return dir, nil
}

// isOurs returns an error for a directory that others have or may write.
func isOurs(dir *os.Root) error {
	file, err := dir.Open(".")
	if err != nil {
		return err
	}
	defer file.Close()
	st, err := statOf(file)
	if err != nil {
		return err
	}
	names, err := file.Readdirnames(1)
	if st.UID != os.Geteuid() || st.Mode&0o077 != 0 || len(names) > 0 {
		return errors.New("another directory came into its place")
	}
	if !errors.Is(err, io.EOF) {
		return err
	}
	return nil
}

// writeTo writes the report.
func (r *recorder) writeTo(dir *os.Root, rd *redaction) (count int, err error) {
	for _, list := range []reportFile{
		{machine.StatFile, r.statLines(rd)},
		{machine.PresentFile, rd.lines(r.onlySeen())},
		{machine.AbsentFile, rd.lines(outermost(r.absent))},
	} {
		if err := writeNew(dir, list.name, list.data); err != nil {
			return count, err
		}
		count++
	}
	for _, f := range r.files {
		switch err := writeNew(dir, rd.text(f.name), r.redacted(rd, f)); {
		case err == nil:
			count++
		case !errors.Is(err, fs.ErrExist):
			return count, err
		}
	}
	return count, nil
}

func (r *recorder) statLines(rd *redaction) string {
	var out strings.Builder
	for _, st := range r.stats {
		out.WriteString(machine.FormatStat(rd.text(st.name), st.Stat) + "\n")
	}
	return out.String()
}

func (rd *redaction) lines(paths []string) string {
	var out strings.Builder
	slices.Sort(paths)
	for _, name := range slices.Compact(paths) {
		out.WriteString(rd.text(name) + "\n")
	}
	return out.String()
}

// onlySeen returns the paths of what was seen and is no file of the report.
func (r *recorder) onlySeen() []string {
	isFile := map[string]bool{}
	for _, f := range r.files {
		isFile[f.name] = true
	}
	return slices.DeleteFunc(slices.Clone(r.present), func(name string) bool { return isFile[name] })
}

// outermost returns the paths that are not below others of them.
func outermost(paths []string) (outer []string) {
	all := map[string]bool{}
	for _, name := range paths {
		all[name] = true
	}
	for _, name := range paths {
		above := path.Dir(name)
		for above != "/" && above != "." && !all[above] {
			above = path.Dir(above)
		}
		if !all[above] {
			outer = append(outer, name)
		}
	}
	return outer
}

// writeNew writes a file that was not there, and the directories above it.
// Nothing leads out of dir: neither a ".." nor a link.
func writeNew(dir *os.Root, name, data string) error {
	name = strings.TrimPrefix(path.Clean("/"+name), "/")
	for i, c := range name {
		if c == '/' {
			if err := dir.Mkdir(name[:i], 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
				return err
			}
		}
	}
	file, err := dir.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_EXCL|unix.O_NOFOLLOW, 0o600)
	if err != nil {
		return err
	}
	_, err = file.WriteString(data)
	return errors.Join(err, file.Close())
}
