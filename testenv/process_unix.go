//go:build unix && !linux

package testenv

import "syscall"

// attributes run a server under the credential; without a parent-death signal a killed test process leaves it behind.
func attributes(credential *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: credential, Setpgid: true}
}

// childrenOf is not known here: what a killed server has started ends when it notices.
func childrenOf(int) []int { return nil }
