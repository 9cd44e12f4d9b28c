package testenv

import (
	"os"
	"os/exec"
	"runtime"
	"syscall"
	"testing"
	"time"
)

// Process is a program that tests started. On Linux it is killed when the test process ends, however that ends.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed once the program has ended
}

// StartProcess starts the command, which is killed at the end of the test at the latest.
func StartProcess(t testing.TB, cmd *exec.Cmd) *Process {
	t.Helper()
	cmd.SysProcAttr = attributes(nil, syscall.SIGKILL)
	p, err := startProcess(cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(p.Kill)
	return p
}

// startProcess starts a command that has the attributes of attributes. The kernel sends the parent-death signal when
// the thread that forked ends, so a goroutine keeps that thread until the program has ended.
func startProcess(cmd *exec.Cmd) (*Process, error) {
	p := &Process{cmd: cmd, done: make(chan struct{})}
	started := make(chan error, 1)
	go func() {
		runtime.LockOSThread()
		defer runtime.UnlockOSThread()
		defer close(p.done)
		err := cmd.Start()
		started <- err
		if err == nil {
			_ = cmd.Wait()
		}
	}()
	if err := <-started; err != nil {
		return nil, err
	}
	return p, nil
}

// PID returns the id of the process.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Ended reports whether the program has ended.
func (p *Process) Ended() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// Stop sends the signal and waits for the program to end. It kills a program that has not ended after stopTimeout.
func (p *Process) Stop(signal os.Signal) {
	_ = p.cmd.Process.Signal(signal)
	select {
	case <-p.done:
	case <-time.After(stopTimeout):
		p.Kill()
	}
}

// Kill ends the program by SIGKILL and, on Linux, its child processes, which may have left its process group.
func (p *Process) Kill() {
	if p.Ended() {
		return
	}
	pids := append([]int{p.PID()}, ChildProcesses(p.PID())...)
	for _, pid := range pids {
		_ = syscall.Kill(pid, syscall.SIGKILL)
	}
	<-p.done
}
