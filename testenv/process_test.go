package testenv

import (
	"os/exec"
	"syscall"
	"testing"
)

func TestProcess_Stop(t *testing.T) {
	t.Parallel()
	p := StartProcess(t, exec.Command("sleep", "1000"))
	if p.Ended() {
		t.Fatal("the program has ended by itself")
	}
	p.Stop(syscall.SIGTERM)
	if !p.Ended() {
		t.Error("the program runs after Stop")
	}
	p.Kill() // has no effect any more
}
