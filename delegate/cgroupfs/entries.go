package cgroupfs

import (
	"bytes"
	"encoding/binary"
	"iter"
)

// Where struct linux_dirent64 has its fields (getdents64(2)).
const (
	direntLength = 16
	direntType   = 18
	direntName   = 19
)

// entries yields the names and types (DT_DIR ...) that getdents64(2) wrote.
func entries(data []byte) iter.Seq2[string, byte] {
	return func(yield func(string, byte) bool) {
		for len(data) > direntName {
			length := int(binary.NativeEndian.Uint16(data[direntLength:]))
			if length <= direntName || length > len(data) {
				return // the kernel writes none such
			}
			name, _, _ := bytes.Cut(data[direntName:length], []byte{0})
			if !yield(string(name), data[direntType]) {
				return
			}
			data = data[length:]
		}
	}
}
