package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestNotice compares the modules that the binary links with those that NOTICE has licenses of.
func TestNotice(t *testing.T) {
	notice, err := os.ReadFile("NOTICE")
	if err != nil {
		t.Fatal(err)
	}
	const format = "{{with .Module}}{{if not .Main}}{{.Path}} {{.Version}}{{end}}{{end}}"
	list := exec.CommandContext(t.Context(), "go", "list", "-deps", "-f", format, ".")
	list.Env = append(os.Environ(), "CGO_ENABLED=0")
	linked, err := list.Output()
	if err != nil {
		t.Fatal(err)
	}
	for module := range strings.FieldsFuncSeq(string(linked), func(r rune) bool { return r == '\n' }) {
		if !strings.Contains(string(notice), "\n"+module+"\n") {
			t.Errorf("no license of %s; run: task generate", module)
		}
	}
}

func TestVersion(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "whalefall")
	build := exec.CommandContext(t.Context(), "go", "build", "-ldflags", "-X main.version=v1.2.3", "-o", binary, ".")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}

	out, err := exec.CommandContext(t.Context(), binary, "version").Output()
	if got, want := string(out), "whalefall v1.2.3\n"; err != nil || got != want {
		t.Errorf("got %q and error %v, want %q", got, err, want)
	}
}
