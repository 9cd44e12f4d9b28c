//go:build unix && !linux

package testenv

import "syscall"

// attributes returns those of a program that runs under the credential (nil: ours). There is no parent-death signal, so
// a killed test process leaves its programs behind.
func attributes(credential *syscall.Credential, _ syscall.Signal) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: credential, Setpgid: true}
}

// ChildProcesses returns nil: the children of a killed server end by themselves when they notice.
func ChildProcesses(int) []int { return nil }
