package vm

import (
	"os"
	"path/filepath"
	"testing"
)

// Files reach the machine's disk and come back from one.
func TestDisks(t *testing.T) {
	dir := t.TempDir()
	disk, out := filepath.Join(dir, "disk"), filepath.Join(dir, "out")
	files := map[string]string{"kind": "kind.go", "a/b/doc": "doc.go"}
	if err := writeDisk(disk, files); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, outSize); err != nil { // a disk is longer than what is on it
		t.Fatal(err)
	}
	if err := readDisk(disk, out); err != nil {
		t.Fatal(err)
	}
	for name, source := range files {
		got, err := os.ReadFile(filepath.Join(out, name))
		want, _ := os.ReadFile(source)
		if err != nil || string(got) != string(want) {
			t.Errorf("%s: %d bytes, %v; want %d", name, len(got), err, len(want))
		}
	}

	// The machine is not trusted with this one's files.
	if err := writeDisk(disk, map[string]string{"../outside": "doc.go"}); err != nil {
		t.Fatal(err)
	}
	if err := readDisk(disk, out); err == nil {
		t.Error("a name with .. is no error")
	}
	if _, err := os.Stat(filepath.Join(dir, "outside")); err == nil {
		t.Error("a name with .. wrote outside of the folder")
	}
}
