package check

import "slices"

// readOnlyTypes are file systems that nobody can write, whatever their mount says.
var readOnlyTypes = []string{"squashfs", "erofs", "cramfs", "iso9660", "romfs"}

// isReadOnly tells whether a mount takes no new files.
func (m mounted) isReadOnly() bool {
	return slices.Contains(m.Options, "ro") || slices.Contains(readOnlyTypes, m.Type)
}

// withoutEtc takes the commands from a fix that change what is in /etc, where that is mounted
// read-only: an image, or a root file system that something else writes. Then it says where
// the change has to be made.
func (f *Facts) withoutEtc(fix *Fix) *Fix {
	at := f.mountOf("/etc")
	if !at.isReadOnly() || !slices.ContainsFunc(fix.Commands, changesEtc) {
		return fix
	}
	own := *fix
	own.Commands = without(fix.Commands, changesEtc)
	where := "in the image from which " + at.Point + " is mounted, which nobody can write here: "
	if !slices.Contains(readOnlyTypes, at.Type) {
		where = "/etc is on " + at.Point + ", which is mounted read-only: in the image that it is made of, or where it is mounted writable, "
	}
	own.Text = where + own.Text
	return &own
}
