package testenv

import (
	"bufio"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
)

// orphanVariable makes TestProcess_DiesWithItsParent the parent: it starts a program and waits to be killed.
const orphanVariable = "TESTENV_ORPHAN"

func TestProcess_DiesWithItsParent(t *testing.T) {
	if os.Getenv(orphanVariable) != "" {
		p := StartProcess(t, exec.Command("sleep", "1000"))
		_, _ = os.Stdout.WriteString("child " + strconv.Itoa(p.PID()) + "\n")
		<-p.done
		return
	}
	t.Parallel()
	parent := exec.Command(os.Args[0], "-test.run=^TestProcess_DiesWithItsParent$")
	parent.Env = append(os.Environ(), orphanVariable+"=1")
	out, err := parent.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := parent.Start(); err != nil {
		t.Fatal(err)
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	child, err2 := strconv.Atoi(strings.TrimSpace(strings.TrimPrefix(line, "child ")))
	_ = parent.Process.Kill()
	_ = parent.Wait()
	if err != nil || err2 != nil {
		t.Fatalf("got %q from the parent, %v", line, err)
	}
	WaitFor(t, "the child of the killed parent to end", func() bool { return gone(child) })
}

// gone reports whether no process has the id, or only one that nobody has waited for.
func gone(pid int) bool {
	if syscall.Kill(pid, 0) != nil {
		return true
	}
	stat, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	return err == nil && strings.Contains(string(stat), ") Z ")
}
