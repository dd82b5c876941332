package machine

import (
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
	// Capabilities are those that the file gives to whoever runs it, its permitted
	// set: bit n is the capability with that number (linux/capability.h). It is
	// AllCapabilities of a machine that was recorded before they were told apart.
	Capabilities uint64
	// NoSetUID tells that the file is on a mount on which set-user-ID bits and
	// capabilities do nothing (ST_NOSUID; statfs(2), mount(2) MS_NOSUID). It is not
	// asked of files that have neither.
	NoSetUID bool
	// Searchers are the users whom a directory's ACL lets go through it by name
	// (acl(5), "ACCESS CHECK ALGORITHM"): entries with x that the mask does not take
	// away. Whom it keeps out is not told.
	Searchers []int
	// Delegated tells that systemd marked a cgroup's directory as one of a unit with
	// Delegate=: it has the extended attribute user.delegate (since systemd 251) or
	// trusted.delegate. Undelegated tells that it did not; neither is set of other
	// files, nor of a machine that was recorded before that was asked.
	Delegated, Undelegated bool
}

// AllCapabilities is the set of all capabilities.
const AllCapabilities = ^uint64(0)

// Gives tells whether who runs the file gets the capability, such as
// unix.CAP_SETUID.
func (s Stat) Gives(capability int) bool {
	return !s.NoSetUID && capability >= 0 && capability < 64 && s.Capabilities>>capability&1 != 0
}

// Stat returns what stat(2) says of the absolute path; symbolic links are
// followed. Of a recorded machine it returns the line of the file StatFile.
// Errors are those of ReadFile.
func (m Machine) Stat(path string) (s Stat, err error) {
	defer func() { m.note(path, Owner, answerOf(err)) }()
	if m.IsRecorded() {
		return m.recordedStat(path)
	}
	err = m.asUser(func() error {
		s, err = stat(path)
		return err
	})
	return s, err
}

func stat(path string) (s Stat, err error) {
	var st unix.Stat_t
	if err := retry(func() error { return unix.Stat(path, &st) }); err != nil {
		return Stat{}, &fs.PathError{Op: "stat", Path: path, Err: err}
	}
	s = Stat{Mode: st.Mode, UID: int(st.Uid), GID: int(st.Gid)}
	switch s.Mode & unix.S_IFMT {
	case unix.S_IFREG:
		s.addPrivileges(path)
	case unix.S_IFDIR:
		s.Searchers = searchersOf(xattr(path, "system.posix_acl_access"))
		s.addDelegation(path)
	}
	return s, nil
}

// addDelegation tells of a cgroup's directory whether systemd delegates it.
func (s *Stat) addDelegation(path string) {
	var sfs unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(path, &sfs) }); err != nil {
		return
	}
	kind := int64(sfs.Type) //nolint:unconvert // Type is int32 on some of Linux's architectures
	if kind != unix.CGROUP2_SUPER_MAGIC && kind != unix.CGROUP_SUPER_MAGIC {
		return
	}
	for _, name := range DelegateAttributes {
		s.Delegated = s.Delegated || xattr(path, name) != nil
	}
	s.Undelegated = !s.Delegated
}

// DelegateAttributes are the extended attributes by which systemd marks the cgroup
// of a unit with Delegate= (cg_set_xattr in its src/core/cgroup.c).
var DelegateAttributes = []string{"user.delegate", "trusted.delegate"}

// addPrivileges adds what a program runs with.
func (s *Stat) addPrivileges(path string) {
	if data := xattr(path, "security.capability"); data != nil {
		s.Capable = true
		s.Capabilities = capabilitiesOf(data)
	}
	if !s.Capable && s.Mode&(unix.S_ISUID|unix.S_ISGID) == 0 {
		return
	}
	var sfs unix.Statfs_t
	if err := retry(func() error { return unix.Statfs(path, &sfs) }); err == nil {
		s.NoSetUID = sfs.Flags&unix.ST_NOSUID != 0
	}
}

// xattr returns a file's extended attribute (xattr(7)); nil if it has none, or
// one that is larger than what is looked for.
func xattr(path, name string) []byte {
	data := make([]byte, maxXattr)
	n, err := unix.Getxattr(path, name, data)
	if err != nil {
		return nil
	}
	return data[:n]
}

// maxXattr bounds an attribute: an ACL with a hundred times more entries than
// people write.
const maxXattr = 8 << 10

// StatFile is the file, in a recorded machine's directory, that says for each
// path what Stat returns: ordinary files cannot have the owners of cgroups.
// Each of its lines is "MODE UID GID FLAGS PATH", the mode in octal. FLAGS is "-"
// or a list, with commas, of
//
//	cap            it has capabilities, which ones was not recorded
//	cap=HEX        it has these capabilities
//	nosuid         its mount ignores set-user-ID
//	search=UID:UID these users may go through by the ACL
//	delegate       systemd marked it as delegated
//	no-delegate    it is a cgroup's and systemd did not
//
// and of words that a later version may add.
const StatFile = "stat"

func (m Machine) recordedStat(path string) (Stat, error) {
	fail := func(err error) error { return m.failRecorded("stat", path, err) }
	lines := m.list().stat
	if lines == nil {
		return Stat{}, fail(ErrNotRecorded)
	}
	for line := range strings.Lines(string(lines)) {
		line = strings.TrimSuffix(line, "\n")
		if !strings.HasSuffix(line, " "+path) {
			continue
		}
		s, of, ok := parseStat(line)
		switch {
		case !ok:
			return Stat{}, fail(unix.EINVAL)
		case of == path:
			return s, nil
		}
	}
	if m.Plain().Exists(path) {
		return Stat{}, fail(ErrNotRecorded) // its content was, its owner not
	}
	return Stat{}, fail(unix.ENOENT)
}
