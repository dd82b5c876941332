// Package machinetest is for tests on recorded machines: it copies them, makes them of files, and
// counts what a test has left open. Nothing but tests may import it.
package machinetest

import (
	"io/fs"
	"os"
	"path/filepath"
	"sync"
	"testing"
)

// file is a directory where it has no data.
type file struct {
	name string
	data []byte
	mode fs.FileMode
}

// read are the machines that were read: hundreds of tests of a process copy the same few.
var read sync.Map // a directory's absolute path, and its []file

// Copy copies a recorded machine into a directory that is gone with the test.
func Copy(t testing.TB, machine string) (dir string) {
	t.Helper()
	files, err := filesOf(machine)
	if err != nil {
		t.Fatal(err)
	}
	dir = t.TempDir()
	for _, f := range files {
		path := filepath.Join(dir, f.name)
		if f.mode.IsDir() {
			err = os.Mkdir(path, 0o755)
		} else {
			err = os.WriteFile(path, f.data, 0o644|f.mode.Perm())
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

// filesOf returns what is below a directory, each directory before what is in it.
func filesOf(machine string) (files []file, err error) {
	path, err := filepath.Abs(machine)
	if err != nil {
		return nil, err
	}
	if known, ok := read.Load(path); ok {
		return known.([]file), nil
	}
	err = filepath.WalkDir(path, func(name string, entry fs.DirEntry, err error) error {
		if err != nil || name == path {
			return err
		}
		info, err := entry.Info()
		if err != nil {
			return err
		}
		f := file{mode: info.Mode()}
		if f.name, err = filepath.Rel(path, name); err == nil && !entry.IsDir() {
			f.data, err = os.ReadFile(name)
		}
		files = append(files, f)
		return err
	})
	if err == nil {
		read.Store(path, files)
	}
	return files, err
}
