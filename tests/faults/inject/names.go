package inject

import (
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"sync"
)

var definition = regexp.MustCompile(`(?m)^#define __NR_(\w+) (\d+)$`)

// names are the calls' names, as the C library's headers have them.
var names = sync.OnceValue(func() map[uint64]string {
	all := map[uint64]string{}
	files, _ := filepath.Glob("/usr/include/*/asm/unistd_64.h")
	for _, file := range append(files, "/usr/include/asm/unistd_64.h") {
		data, _ := os.ReadFile(file)
		for _, match := range definition.FindAllStringSubmatch(string(data), -1) {
			number, _ := strconv.ParseUint(match[2], 10, 64)
			all[number] = match[1]
		}
	}
	return all
})

// Name returns what a system call is called.
func Name(number uint64) string {
	if name, ok := names()[number]; ok {
		return name
	}
	return fmt.Sprintf("call %d", number)
}
