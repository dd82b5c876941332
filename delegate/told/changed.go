package told

import (
	"io/fs"
	"syscall"
	"time"
)

// changed returns when a file was renamed last: that changes its status (inode(7)).
func changed(info fs.FileInfo) time.Time {
	if st, ok := info.Sys().(*syscall.Stat_t); ok {
		return time.Unix(st.Ctim.Unix())
	}
	return info.ModTime()
}
