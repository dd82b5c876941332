package worker

import (
	"fmt"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// priorities are those of the levels that a reply has, with the facility authpriv, in
// which libpam logs (syslog(3)).
var priorities = map[string]int{"debug": 10<<3 | 7, "warning": 10<<3 | 4, "error": 10<<3 | 3}

// systemLog writes what would be a reply's lines for the log to the system log; a
// reply's other lines are for nobody. The lines look as libpam writes them, but for the
// name of the program. It is not log/syslog of Go's library, which needs its net.
type systemLog struct{ socket, program, service string }

func (l systemLog) Write(line []byte) (int, error) {
	rest, isLog := strings.CutPrefix(strings.TrimSuffix(string(line), "\n"), "log ")
	level, text, _ := strings.Cut(rest, " ")
	if isLog {
		l.send(priorities[level], text)
	}
	return len(line), nil
}

func (l systemLog) send(priority int, text string) {
	fd, err := unix.Socket(unix.AF_UNIX, unix.SOCK_DGRAM|unix.SOCK_CLOEXEC|unix.SOCK_NONBLOCK, 0)
	if err != nil {
		return // there is nobody else to tell
	}
	defer unix.Close(fd)
	message := fmt.Sprintf("<%d>%s %s[%d]: pam_cgdeleg(%s:session): %s",
		priority, time.Now().Format(time.Stamp), l.program, os.Getpid(), oneLine(l.service), text)
	_ = unix.Sendto(fd, []byte(message), 0, &unix.SockaddrUnix{Name: l.socket})
}
