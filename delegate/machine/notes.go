package machine

// Kind is what a question was about.
type Kind int

// The kinds of questions.
const (
	Existence Kind = iota // whether anything is there
	Owner                 // who owns it, and what may be done with it (Stat)
	Names                 // what is in a directory
	Content               // what is in a file
)

// Question is what was asked of a machine.
type Question struct {
	Path string
	Kind Kind
}

// Notes are the questions that were asked of a machine, each once, with the
// answers. The zero Notes has none. It is for one goroutine at a time.
type Notes struct {
	Questions []Question // in the order in which they were asked first
	answers   map[Question]Answer
	users     map[string]bool // paths that were looked at as a user
}

// Noting returns a Machine that adds to n what it is asked.
func (m Machine) Noting(n *Notes) Machine {
	m.notes = n
	return m
}

// IsNoting tells whether questions are noted.
func (m Machine) IsNoting() bool { return m.notes != nil }

// Answer returns the answer to a question, the last one if it was asked more than
// once; Unknown if it was not.
func (n *Notes) Answer(q Question) Answer { return n.answers[q] }

// IsUsers tells whether the path was looked at as a user (As): it is below a home,
// or a user's file names it.
func (n *Notes) IsUsers(path string) bool { return n.users[path] }

// NoteFile notes a question that was asked through a descriptor of Open's, and
// what came of it.
func (m Machine) NoteFile(path string, kind Kind, err error) { m.note(path, kind, answerOf(err)) }

func (m Machine) note(path string, kind Kind, answer Answer) {
	if m.notes == nil {
		return
	}
	m.notes.add(Question{Path: path, Kind: kind}, answer)
	if m.user != nil {
		m.notes.users[path] = true
	}
}

func (n *Notes) add(q Question, answer Answer) {
	if n.answers == nil {
		n.answers, n.users = map[Question]Answer{}, map[string]bool{}
	}
	if _, asked := n.answers[q]; !asked {
		n.Questions = append(n.Questions, q)
	}
	n.answers[q] = answer
}
