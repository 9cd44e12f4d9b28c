package main

import (
	"os/exec"
	"path/filepath"
	"testing"
)

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
