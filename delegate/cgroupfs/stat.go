package cgroupfs

import (
	"fmt"
	"io/fs"
	"strings"

	"golang.org/x/sys/unix"
)

// Stat is who owns a file and what its owner, group and others may do.
type Stat struct {
	Mode     uint32 // as stat(2) gives it, type and set-user-ID bit included
	UID, GID int
	// Capable tells that the file has capabilities (capabilities(7), "File
	// capabilities"): the other way beside set-user-ID to run with more.
	Capable bool
}

// Stat returns what stat(2) says of the absolute path; symbolic links are
// followed. Of a recorded machine it returns the line of the file StatFile.
// Errors are *fs.PathError.
func (m Machine) Stat(path string) (Stat, error) {
	if m.IsRecorded() {
		return m.recordedStat(path)
	}
	var st unix.Stat_t
	if err := retry(func() error { return unix.Stat(path, &st) }); err != nil {
		return Stat{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	_, err := unix.Getxattr(path, "security.capability", nil)
	return Stat{Mode: st.Mode, UID: int(st.Uid), GID: int(st.Gid), Capable: err == nil}, nil
}

// StatFile is the file, in a recorded machine's directory, that says for each
// path what Stat returns: ordinary files cannot have the owners of cgroups.
// Each of its lines is "MODE UID GID FLAGS PATH", the mode in octal; FLAGS is
// "cap" or "-".
const StatFile = "stat"

// FormatStat returns the path's line for StatFile, without a newline.
func FormatStat(path string, s Stat) string {
	flags := "-"
	if s.Capable {
		flags = "cap"
	}
	return fmt.Sprintf("%06o %d %d %s %s", s.Mode, s.UID, s.GID, flags, path)
}

func (m Machine) recordedStat(path string) (Stat, error) {
	fail := func(err error) error { return &fs.PathError{Op: "stat", Path: path, Err: err} }
	data, err := m.ReadFile("/" + StatFile)
	if err != nil {
		return Stat{}, fail(unix.ENOENT)
	}
	for line := range strings.Lines(string(data)) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasSuffix(line, " "+path) {
			continue
		}
		var s Stat
		var flags string
		n, err := fmt.Sscanf(line, "%o %d %d %s", &s.Mode, &s.UID, &s.GID, &flags)
		if n != 4 || err != nil {
			return Stat{}, fail(unix.EINVAL)
		}
		s.Capable = flags == "cap"
		if line == FormatStat(path, s) {
			return s, nil
		}
	}
	return Stat{}, fail(unix.ENOENT)
}
