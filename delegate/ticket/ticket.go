// Package ticket is what an open says so that a close, or whoever has to take back
// an open that did not come to its end, can undo it. It is text for whoever keeps
// it meanwhile: the PAM module, in the application. It must not know how anything
// is undone.
package ticket

import (
	"errors"
	"strconv"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/hierarchy"
	"github.com/cgdeleg/pam_cgdeleg/delegate/layout"
)

// Ticket tells what an open made, or was about to make.
type Ticket struct {
	// Session is user/NAME/N; a Number of -1: there is none.
	Session layout.ID
	// Former tells where the process was before, for each hierarchy in which there
	// is such a session.
	Former []hierarchy.Membership
	// Inodes tell of those of Former that lie in a session of ours which cgroup it was:
	// when the process goes back, another login's session may have the same path.
	Inodes []Inode
	// Made tell which cgroups the session is: meanwhile another may have its number.
	Made []Inode
	// Adopted are the scopes that were given to the user, below the mount points.
	Adopted []hierarchy.Membership
}

// Inode is the inode number of a cgroup in one hierarchy.
type Inode struct {
	Hierarchy string
	Number    uint64
}

// FormerInode returns the inode number of the former cgroup; 0 if the ticket does not
// tell.
func (t *Ticket) FormerInode(hierarchy string) uint64 {
	return numberIn(t.Inodes, hierarchy)
}

// MadeInode is FormerInode for the session's own cgroup.
func (t *Ticket) MadeInode(hierarchy string) uint64 { return numberIn(t.Made, hierarchy) }

func numberIn(inodes []Inode, hierarchy string) uint64 {
	for _, i := range inodes {
		if i.Hierarchy == hierarchy {
			return i.Number
		}
	}
	return 0
}

// IsEmpty tells whether there is nothing to undo.
func (t *Ticket) IsEmpty() bool { return t.Session.Number < 0 && len(t.Adopted) == 0 }

// The words that begin the lines of a ticket. The kernel allows no newline in what
// comes after them, nor a colon in a hierarchy's name.
const (
	wordSession = "session"
	wordFormer  = "former"
	wordInode   = "inode"
	wordMade    = "made"
	wordAdopted = "adopted"
)

// MarshalText returns the ticket as lines: "session N NAME", then "former
// HIERARCHY:PATH" for each former cgroup, as /proc/PID/cgroup has them, "inode
// HIERARCHY:NUMBER" for some of these, "made HIERARCHY:NUMBER", and "adopted HIERARCHY:PATH" for each scope. The
// error is always nil.
func (t *Ticket) MarshalText() ([]byte, error) {
	var out strings.Builder
	line := func(word, rest string) { out.WriteString(word + " " + rest + "\n") }
	if t.Session.Number >= 0 {
		line(wordSession, strconv.Itoa(t.Session.Number)+" "+t.Session.User)
	}
	for _, m := range t.Former {
		line(wordFormer, m.Hierarchy+":"+m.Path)
	}
	for _, i := range t.Inodes {
		line(wordInode, i.Hierarchy+":"+strconv.FormatUint(i.Number, 10))
	}
	for _, i := range t.Made {
		line(wordMade, i.Hierarchy+":"+strconv.FormatUint(i.Number, 10))
	}
	for _, m := range t.Adopted {
		line(wordAdopted, m.Hierarchy+":"+m.Path)
	}
	return []byte(out.String()), nil
}

// ErrMalformed says that a text is no ticket.
var ErrMalformed = errors.New("malformed ticket")

// UnmarshalText undoes MarshalText. The error is ErrMalformed.
func (t *Ticket) UnmarshalText(text []byte) error {
	got := Ticket{Session: layout.ID{Number: -1}}
	for line := range strings.Lines(string(text)) {
		word, rest, _ := strings.Cut(strings.TrimSuffix(line, "\n"), " ")
		ok := false
		switch word {
		case wordSession:
			ok = got.Session.Number < 0
			if ok {
				got.Session, ok = parseSession(rest)
			}
		case wordFormer:
			ok = got.Session.Number >= 0 && add(&got.Former, rest)
		case wordInode:
			ok = got.Session.Number >= 0 && addInode(&got.Inodes, rest)
		case wordMade:
			ok = got.Session.Number >= 0 && addInode(&got.Made, rest)
		case wordAdopted:
			ok = add(&got.Adopted, rest)
		}
		if !ok {
			return ErrMalformed
		}
	}
	*t = got
	return nil
}

func parseSession(s string) (id layout.ID, ok bool) {
	number, user, _ := strings.Cut(s, " ")
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || strconv.Itoa(n) != number || !layout.IsDirName(user) {
		return layout.ID{Number: -1}, false
	}
	return layout.ID{User: user, Number: n}, true
}

func add(to *[]hierarchy.Membership, s string) (ok bool) {
	name, path, hasPath := strings.Cut(s, ":")
	if !hasPath || name == "" {
		return false
	}
	*to = append(*to, hierarchy.Membership{Hierarchy: name, Path: path})
	return true
}

func addInode(to *[]Inode, s string) (ok bool) {
	name, number, _ := strings.Cut(s, ":")
	n, err := strconv.ParseUint(number, 10, 64)
	if name == "" || err != nil || strconv.FormatUint(n, 10) != number {
		return false
	}
	*to = append(*to, Inode{Hierarchy: name, Number: n})
	return true
}
