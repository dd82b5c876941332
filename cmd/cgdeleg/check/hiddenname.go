package check

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// localAccounts are the services of nsswitch.conf(5) that know no other accounts than this machine's.
var localAccounts = []string{"files", "compat", "db", "systemd", "altfiles", "usrfiles", "mymachines"}

// accountService returns the service, beside this machine's files, that knows accounts; "" if there
// is none.
func (f *Facts) accountService() string {
	for _, word := range slices.Concat(f.nssLines("passwd")...) {
		if !strings.HasPrefix(word, "[") && !strings.ContainsAny(word, "=]") && !slices.Contains(localAccounts, word) {
			return word
		}
	}
	return ""
}

// hiddenName is the result where the subject's name is not known, because a directory service has it,
// and a line of either file may be the subject's by that name. isHidden is false if that is not so.
func (f *Facts) hiddenName(both []subIDs) (r Result, isHidden bool) {
	service := f.accountService()
	if service == "" || f.Subject.Name != strconv.Itoa(f.Subject.UID) || len(f.names()) > 1 {
		return r, false
	}
	var others []Evidence
	for _, s := range both {
		for _, line := range s.all {
			if _, err := strconv.Atoi(line.Owner); err != nil && !s.isAccount(line.Owner) {
				others = append(others, Evidence{s.file + ":" + strconv.Itoa(line.Line), lineOf(line)})
			}
		}
	}
	if len(others) == 0 {
		return r, false
	}
	r = unknown(fmt.Sprintf("it cannot be told whether %s has enough subordinate IDs", f.Subject.Called()), errors.New("the user's name, which "+service+" has, is not known, and lines of "+Listed(filesOf(others))+" are of names that no account of this machine's own has"))
	r.Evidence = append([]Evidence{{nsswitchFile, "passwd: " + service}}, others[:min(len(others), 4)]...)
	return r.fixed("look whether one of these lines is of the name that id says", Command{Args: []string{"id", "-un", strconv.Itoa(f.Subject.UID)}}), true
}
