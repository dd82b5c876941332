package check

import (
	"strconv"
	"strings"
)

// mounted is a mount of any file system.
type mounted struct {
	Point   string
	Options []string // of the mount, not of the file system
}

// mountOf returns on which mount a file is: the last one that covers its path
// (proc_pid_mountinfo(5)). Without any it is the root's, of which nothing is known.
func (f *Facts) mountOf(file string) mounted {
	at := mounted{Point: "/"}
	data, _ := f.Machine.ReadFile("/proc/self/mountinfo")
	for line := range strings.Lines(string(data)) {
		fields := strings.Fields(line)
		if len(fields) < 6 {
			continue
		}
		point := unescaped(fields[4])
		if point == "/" || file == point || strings.HasPrefix(file, point+"/") {
			at = mounted{point, strings.Split(fields[5], ",")}
		}
	}
	return at
}

// unescaped undoes what the kernel does to blanks and backslashes: \040 is a blank.
func unescaped(path string) string {
	var out strings.Builder
	for i := 0; i < len(path); i++ {
		if path[i] == '\\' && i+3 < len(path) {
			if c, err := strconv.ParseUint(path[i+1:i+4], 8, 8); err == nil {
				out.WriteByte(byte(c))
				i += 3
				continue
			}
		}
		out.WriteByte(path[i])
	}
	return out.String()
}
