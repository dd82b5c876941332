package machine

import (
	"encoding/binary"
	"reflect"
	"testing"
)

// capData makes the attribute security.capability of words.
func capData(words ...uint32) (data []byte) {
	for _, w := range words {
		data = binary.LittleEndian.AppendUint32(data, w)
	}
	return data
}

// aclData makes the attribute system.posix_acl_access of a version and of
// entries: tag, permissions, ID.
func aclData(version uint32, entries ...[3]uint32) []byte {
	data := binary.LittleEndian.AppendUint32(nil, version)
	for _, e := range entries {
		data = binary.LittleEndian.AppendUint16(data, uint16(e[0]))
		data = binary.LittleEndian.AppendUint16(data, uint16(e[1]))
		data = binary.LittleEndian.AppendUint32(data, e[2])
	}
	return data
}

func TestCapabilitiesOf(t *testing.T) {
	for _, test := range []struct {
		name string
		data []byte
		want uint64
	}{
		{"as setcap cap_setuid=ep writes it", []byte("\x01\x00\x00\x02\x80\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 1 << 7},
		{"version 1 has 32", capData(capRevision1, 0xc0, 0), 0xc0},
		{"version 2, a high one", capData(capRevision2, 1, 0, 2, 0), 1 | 2<<32},
		{"inheritable is not permitted", capData(capRevision2, 0, ^uint32(0), 0, ^uint32(0)), 0},
		{"all", capData(capRevision2|1, ^uint32(0), 0, ^uint32(0), 0), AllCapabilities},
		{"version 3 of this user namespace", capData(capRevision3|1, 0x40, 0, 0, 0, 0), 0x40},
		{"version 3 of another's root", capData(capRevision3|1, 0x40, 0, 0, 0, 100000), 0},
		{"no attribute", nil, 0},
		{"empty", []byte{}, 0},
		{"cut off in the first word", []byte{0, 0, 2}, 0},
		{"version alone", capData(capRevision2), 0},
		{"version 2 as long as version 1", capData(capRevision2, 0xc0, 0), 0},
		{"version 1 as long as version 2", capData(capRevision1, 0xc0, 0, 0, 0), 0},
		{"version 2 as long as version 3", capData(capRevision2, 0xc0, 0, 0, 0, 0), 0},
		{"version 3 as long as version 2", capData(capRevision3, 0xc0, 0, 0, 0), 0},
		{"a byte too many", append(capData(capRevision2, 0xc0, 0, 0, 0), 0), 0},
		{"a byte too few", capData(capRevision2, 0xc0, 0, 0, 0)[:19], 0},
		{"version 0", capData(0, 0xc0, 0, 0, 0), 0},
		{"version 4", capData(0x04000000, 0xc0, 0, 0, 0, 0), 0},
		{"big endian", []byte("\x02\x00\x00\x00\x00\x00\x00\xc0\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00"), 0},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := capabilitiesOf(test.data); got != test.want {
				t.Errorf("got %#x, want %#x", got, test.want)
			}
		})
	}
}

func TestSearchersOf(t *testing.T) {
	owner, group, other := [3]uint32{1, 7, aclNoID}, [3]uint32{4, 5, aclNoID}, [3]uint32{0x20, 0, aclNoID}
	mask := func(perm uint32) [3]uint32 { return [3]uint32{0x10, perm, aclNoID} }
	user := func(uid, perm uint32) [3]uint32 { return [3]uint32{2, perm, uid} }
	for _, test := range []struct {
		name string
		data []byte
		want []int
	}{
		{"as setfacl -m u:100000:x writes it", []byte("\x02\x00\x00\x00\x01\x00\x07\x00\xff\xff\xff\xff\x02\x00\x01\x00\xa0\x86\x01\x00" +
			"\x04\x00\x00\x00\xff\xff\xff\xff\x10\x00\x01\x00\xff\xff\xff\xff\x20\x00\x00\x00\xff\xff\xff\xff"), []int{100000}},
		{"two of three", aclData(2, owner, user(1, 7), user(2, 6), user(3, 1), group, mask(7), other), []int{1, 3}},
		{"root", aclData(2, owner, user(0, 1), group, mask(1), other), []int{0}},
		{"the mask takes x away", aclData(2, owner, user(1, 7), group, mask(6), other), nil},
		{"the mask stands before", aclData(2, mask(1), user(1, 1)), []int{1}},
		{"no mask", aclData(2, owner, user(1, 7), group, other), nil},
		{"a group's entry", aclData(2, owner, group, [3]uint32{8, 7, 100}, mask(7), other), nil},
		{"owner, group and others alone", aclData(2, owner, group, other), nil},
		{"an ID without a mapping", aclData(2, owner, user(aclNoID, 7), group, mask(7), other), nil},
		{"the highest ID", aclData(2, user(2147483647, 1), mask(1)), []int{2147483647}},
		{"an unknown tag", aclData(2, [3]uint32{3, 7, 1}, mask(7)), nil},
		{"no attribute", nil, nil},
		{"empty", []byte{}, nil},
		{"version alone", aclData(2), nil},
		{"cut off in the version", []byte{2, 0, 0}, nil},
		{"another version", aclData(1, user(1, 7), mask(7)), nil},
		{"cut off in an entry", aclData(2, user(1, 7), mask(7))[:19], nil},
		{"a byte too many", append(aclData(2, user(1, 7), mask(7)), 0), nil},
	} {
		t.Run(test.name, func(t *testing.T) {
			if got := searchersOf(test.data); !reflect.DeepEqual(got, test.want) {
				t.Errorf("got %v, want %v", got, test.want)
			}
		})
	}
}

func FuzzCapabilitiesOf(f *testing.F) {
	f.Add(capData(capRevision1, 0xc0, 0))
	f.Add(capData(capRevision2|1, 0xc0, 0, 1, 0))
	f.Add(capData(capRevision3, 0xc0, 0, 0, 0, 0))
	f.Add([]byte{2})
	f.Fuzz(func(t *testing.T, data []byte) {
		if capabilitiesOf(data) != 0 && len(data) != 12 && len(data) != 20 && len(data) != 24 {
			t.Errorf("capabilities of %d bytes", len(data))
		}
	})
}

func FuzzSearchersOf(f *testing.F) {
	f.Add(aclData(2, [3]uint32{1, 7}, [3]uint32{2, 1, 100000}, [3]uint32{0x10, 7}))
	f.Add(aclData(1))
	f.Add([]byte{2, 0, 0, 0, 1})
	f.Fuzz(func(t *testing.T, data []byte) {
		users := searchersOf(data)
		if len(users) > len(data)/aclEntrySize {
			t.Errorf("%d users in %d bytes", len(users), len(data))
		}
		for _, uid := range users {
			if uid < 0 || int64(uid) >= aclNoID {
				t.Errorf("user %d", uid)
			}
		}
	})
}
