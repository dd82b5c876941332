package worker

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/cgdeleg/pam_cgdeleg/delegate/ticket"
)

// requests are packets of arguments as the C side passes them.
var requests = []string{
	"", "pam_cgdeleg", "pam_cgdeleg\x00open\x007\x001000\x001000\x00alice\x00sshd\x00", "pam_cgdeleg\x00open\x007\x00\x00\x00ghost\x00su\x00\x00-c\x00freezer,all\x00debug",
	"pam_cgdeleg\x00close\x007\x00\x00\x00alice\x00login\x00session 0 alice\nformer freezer:/\nmade freezer:12\n\x00close=wait",
	"pam_cgdeleg\x00undo\x008\x001\x004294967295\x00..\x00\x00session 0 alice\n", "pam_cgdeleg\x00limits\x00-7\x001\x001\x00a/b\x00x\x00\x00limits=required\x00timeout=99",
	"pam_cgdeleg\x00detached-close\x007\x00\x00\x00alice\x00cron\x00session 0 alice\nformer freezer:/../x\n",
}

// A request comes from the module, but its user, service and options are an application's.
func FuzzRequest(f *testing.F) {
	for _, s := range requests {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, packet string) {
		args := strings.Split(packet, "\x00")
		r, err := parseRequest(args)
		if err != nil {
			return
		}
		if r.uid < -1 || r.gid < -1 || (r.uid < 0) != (args[3] == "") || (r.gid < 0) != (r.uid < 0) {
			t.Errorf("user %d, group %d of %q", r.uid, r.gid, args)
		}
		uid, gid := "", args[4]
		if r.uid >= 0 {
			uid, gid = strconv.Itoa(r.uid), strconv.Itoa(r.gid)
		}
		same := append([]string{args[0], r.verb, strconv.Itoa(r.pid), uid, gid, r.user, r.service, r.ticket}, r.options...)
		again, err := parseRequest(same)
		if err != nil || again.pid != r.pid || again.uid != r.uid || again.gid != r.gid || !slices.Equal(same[5:], args[5:]) {
			t.Errorf("%q came back as %q, %v", args, same, err)
		}
		if tk := parseTicket(r.ticket); tk != nil {
			text, err := tk.MarshalText()
			var unmarshaled ticket.Ticket
			if err != nil || unmarshaled.UnmarshalText(text) != nil {
				t.Errorf("ticket %q came back as %q, %v", r.ticket, text, err)
			}
		}
	})
}

// What a server is asked has an answer that the module can read, or none, whatever the
// request says; and nothing but the machine's files of cgroups and the locks is touched.
func FuzzAnswer(f *testing.F) {
	for i, s := range requests {
		f.Add(s, uint8(i))
	}
	f.Fuzz(func(t *testing.T, packet string, patience uint8) {
		args := strings.Split(packet, "\x00")
		if len(args) > 4 && args[3] != "" && os.Getuid() == 0 {
			args[3], args[4] = "0", "0" // directories are given to that user, and others cannot be removed
		}
		if len(args) > 1 && args[1] == "detached-close" {
			return // it waits for what is just ending, and else is a close
		}
		s, dir := aMachine(t, map[string]string{"f/user/alice/0/": "", "outside/": ""})
		l := &listener{patient: int(patience)}
		err := answer(args, Client{PID: 7, Reply: l}, s)
		if err != nil && strings.Contains(err.Error(), "internal error") {
			t.Errorf("%q: %v", args, err)
		}
		for i, p := range l.packets {
			if i == 0 && !strings.HasPrefix(p, Accepted) || !strings.HasSuffix(p, "\n") || strings.ContainsRune(p, 0) {
				t.Errorf("%q: packet %d is %q", args, i, p)
			}
			for line := range strings.Lines(strings.TrimPrefix(p, Accepted)) {
				if verb, _, _ := strings.Cut(line, " "); !slices.Contains([]string{"ticket", "log", "result", "session", "item"}, verb) {
					t.Errorf("%q: line %q", args, line)
				}
			}
		}
		entries, _ := os.ReadDir(dir)
		var names []string
		for _, e := range entries {
			names = append(names, e.Name())
		}
		if outside, err := os.ReadDir(filepath.Join(dir, "outside")); !slices.Equal(names, []string{"f", "outside", "proc", "stat"}) || err != nil || len(outside) > 0 {
			t.Errorf("%q left %q, %v", args, names, outside)
		}
	})
}

// What an application answers that has a session to enter.
func FuzzEntered(f *testing.F) {
	for _, s := range []string{"", "0\n", "3\n", "3", "-1\n", "+3\n", "3\n3\n", "99999999999999999999\n"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		if n, err := ParseEntered(data); err == nil {
			if again, err := ParseEntered(fmt.Appendln(nil, n)); n < 0 || again != n || err != nil {
				t.Errorf("%q is %d, and %d, %v", data, n, again, err)
			}
		} else if n != 0 {
			t.Errorf("%q is %d, %v", data, n, err)
		}
	})
}
