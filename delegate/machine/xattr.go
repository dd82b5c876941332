package machine

import "encoding/binary"

// Of linux/capability.h: a file's capabilities are a struct vfs_cap_data, with
// version 3 a struct vfs_ns_cap_data. Its first word has the version in the
// highest byte; then come pairs of a permitted and an inheritable word, the
// lower first, and with version 3 the root user for whose user namespace it is.
const (
	capRevisionMask = 0xFF000000
	capRevision1    = 0x01000000
	capRevision2    = 0x02000000
	capRevision3    = 0x03000000
)

// capabilitiesOf returns the permitted set of the attribute security.capability
// (capabilities(7), "File capability extended attribute versioning"); 0 if it is
// malformed: the kernel then gives none (get_vfs_caps_from_disk). So it is for
// one with another user namespace's root: to readers in that namespace the kernel
// shows it as version 2.
func capabilitiesOf(data []byte) uint64 {
	if len(data) < 4 {
		return 0
	}
	word := func(n int) uint64 { return uint64(binary.LittleEndian.Uint32(data[4*n:])) }
	switch revision := word(0) & capRevisionMask; {
	case revision == capRevision1 && len(data) == 12:
		return word(1)
	case revision == capRevision2 && len(data) == 20,
		revision == capRevision3 && len(data) == 24 && word(5) == 0:
		return word(1) | word(3)<<32
	}
	return 0
}

// Of linux/posix_acl_xattr.h and linux/posix_acl.h: an ACL is a word with the
// version, and entries of a tag, permissions (two bytes each) and a word with the
// ID of the user or group.
const (
	aclVersion   = 2
	aclEntrySize = 8
	aclUser      = 0x02
	aclMask      = 0x10
	aclExecute   = 0x01
	aclNoID      = 0xFFFFFFFF // ACL_UNDEFINED_ID; also an ID that this user namespace does not map
)

// searchersOf returns the users that the attribute system.posix_acl_access names
// and lets execute, or search; none if it is malformed or has no mask, without
// which there are no named users (posix_acl_valid).
func searchersOf(data []byte) (users []int) {
	if len(data) < 4 || len(data)%aclEntrySize != 4 || binary.LittleEndian.Uint32(data) != aclVersion {
		return nil
	}
	masked := true
	for entry := data[4:]; len(entry) > 0; entry = entry[aclEntrySize:] {
		tag, mayExecute := binary.LittleEndian.Uint16(entry), binary.LittleEndian.Uint16(entry[2:])&aclExecute != 0
		id := binary.LittleEndian.Uint32(entry[4:])
		switch {
		case tag == aclMask:
			masked = !mayExecute
		case tag == aclUser && mayExecute && id != aclNoID:
			users = append(users, int(id))
		}
	}
	if masked {
		return nil
	}
	return users
}
