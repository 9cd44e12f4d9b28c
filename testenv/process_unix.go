//go:build unix && !linux

package testenv

import "syscall"

// attributes run a server under the credential; without a parent-death signal a killed test process leaves it behind.
func attributes(credential *syscall.Credential) *syscall.SysProcAttr {
	return &syscall.SysProcAttr{Credential: credential, Setpgid: true}
}
