package check

import (
	"fmt"
	"strings"

	"github.com/cgdeleg/pam_cgdeleg/delegate/machine"
)

// isWSLInit tells whether a process is one that the init of WSL 2 starts a shell by: it calls
// PAM for none (github.com/microsoft/WSL, src/linux/init).
func (f *Facts) isWSLInit(pid int, status machine.Status) bool {
	data, _ := f.Machine.ReadFile(fmt.Sprintf("/proc/%d/cmdline", pid))
	program, _, _ := strings.Cut(string(data), "\x00")
	isName := status.Name == "SessionLeader" || strings.HasPrefix(status.Name, "Relay(") || strings.HasPrefix(status.Name, "init(")
	return status.UID == 0 && isName && (program == "/init" || program == "")
}

// wslResult is the result for a shell that the init of WSL has started.
func (f *Facts) wslResult() Result {
	r := failed("this shell was started without PAM: WSL's init has started it without a login", f.cgroupEvidence()...)
	login := Command{Args: []string{"su", "-", f.Subject.Name}, ByHand: true}
	r = r.with(f.openFix(), "")
	text := "start each shell by a login, by su or ssh"
	if r.Fix == nil {
		return r.fixed(text, login)
	}
	r.Fix.Text = text + "; or " + r.Fix.Text
	r.Fix.Commands = append([]Command{login}, or(r.Fix.Commands...)...)
	return r
}
