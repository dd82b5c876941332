package testbed

import (
	"fmt"
	"net"
	"os"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// systemLog is what was written to /dev/log since Main.
var systemLog struct {
	sync.Mutex
	lines []string
}

func startLog() error {
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: "/dev/log", Net: "unixgram"})
	if err != nil {
		return err
	}
	go func() {
		buf := make([]byte, 65536)
		for {
			n, err := conn.Read(buf)
			if err != nil {
				return
			}
			systemLog.Lock()
			// musl's syslog(3) ends each with a newline
			systemLog.lines = append(systemLog.lines, strings.TrimSuffix(string(buf[:n]), "\n"))
			systemLog.Unlock()
		}
	}()
	return os.Chmod("/dev/log", 0o666)
}

// Log is the system log from some moment on.
type Log struct {
	t    *testing.T
	from int
}

// LogFromNow starts to look at the system log.
func LogFromNow(t *testing.T) *Log {
	t.Helper()
	return &Log{t: t, from: settle(t)}
}

// settle waits until all that was logged so far has been read, and returns how
// many lines that is. It logs a mark and waits for it: the socket keeps order.
func settle(t *testing.T) int {
	t.Helper()
	mark := fmt.Sprintf("<7>testbed mark %d", time.Now().UnixNano())
	conn, err := net.Dial("unixgram", "/dev/log")
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	if _, err := conn.Write([]byte(mark)); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(10 * time.Second); time.Now().Before(deadline); time.Sleep(time.Millisecond) {
		systemLog.Lock()
		at := slices.Index(systemLog.lines, mark)
		systemLog.Unlock()
		if at >= 0 {
			return at + 1
		}
	}
	t.Fatal("the log's reader does not come to the mark")
	return 0
}

var priority = regexp.MustCompile(`^<(\d+)>`)

// Ours returns the module's lines: what stands after "pam_cgdeleg(...): ".
// A datagram with more than one line comes back as one string with newlines.
func (l *Log) Ours() []string {
	systemLog.Lock()
	defer systemLog.Unlock()
	var ours []string
	for _, line := range systemLog.lines[l.from:] {
		if _, text, ok := strings.Cut(line, "pam_cgdeleg("); ok && priority.MatchString(line) {
			if _, text, ok = strings.Cut(text, "): "); ok {
				ours = append(ours, text)
			}
		}
	}
	return ours
}

// All returns every line, as it came.
func (l *Log) All() []string {
	systemLog.Lock()
	defer systemLog.Unlock()
	return append([]string(nil), systemLog.lines[l.from:]...)
}

// Want waits until one of the module's lines matches the expression and
// returns that line; the test fails if none comes.
func (l *Log) Want(expression string) string {
	l.t.Helper()
	re := regexp.MustCompile(expression)
	for deadline := time.Now().Add(5 * time.Second); ; time.Sleep(5 * time.Millisecond) {
		for _, line := range l.Ours() {
			if re.MatchString(line) {
				return line
			}
		}
		if time.Now().After(deadline) {
			l.t.Fatalf("no log line matches %q; the module's lines:\n%s", expression, strings.Join(l.Ours(), "\n"))
		}
	}
}

// WantSilence fails the test if the module logged anything. It writes what it
// has to say before it returns.
func (l *Log) WantSilence() {
	l.t.Helper()
	settle(l.t)
	if lines := l.Ours(); len(lines) > 0 {
		l.t.Errorf("the module logged:\n%s", strings.Join(lines, "\n"))
	}
}

// WaitedForLock is for WantOnly, where many log in at once: on a loaded machine one
// of them may wait for the lock longer than it has patience. It then goes on
// without, as it should.
const WaitedForLock = `^user "[^"]+": lock /run/cgdeleg/users/[^ ]+: resource temporarily unavailable; session made without the lock, dead sessions were not removed$`

// WantOnly fails the test if the module logged a line that the expression does
// not match.
func (l *Log) WantOnly(expression string) {
	l.t.Helper()
	re := regexp.MustCompile(expression)
	settle(l.t)
	for _, line := range l.Ours() {
		if !re.MatchString(line) {
			l.t.Errorf("the module logged: %s", line)
		}
	}
}
