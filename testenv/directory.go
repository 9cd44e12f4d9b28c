package testenv

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// leftoverAge is how old a directory must be before it may count as left behind: its owner needs a moment between
// creating and locking it, and servers need one to stop after a killed test run.
const leftoverAge = 5 * time.Minute

// Directory is a directory for large data outside of t.TempDir, which is closed to other accounts. Remove deletes it.
// A test run that is killed cannot; its directories are then deleted by a later run, which can tell from their lock
// that no process uses them.
type Directory struct {
	Path string
	lock *os.File
}

// NewDirectory creates a directory below the parent (empty: that of temporary files), first deleting those of the same
// prefix that killed test runs left behind.
func NewDirectory(parent, prefix string) (*Directory, error) {
	if parent == "" {
		parent = os.TempDir()
	}
	removeLeftovers(parent, prefix)
	path, err := os.MkdirTemp(parent, prefix)
	if err != nil {
		return nil, err
	}
	lock, err := lockDirectory(path)
	if err != nil {
		_ = os.RemoveAll(path)
		return nil, err
	}
	return &Directory{path, lock}, nil
}

// Remove deletes the directory with all that is in it.
func (d *Directory) Remove() {
	_ = os.RemoveAll(d.Path)
	_ = d.lock.Close()
}

// lockDirectory locks the directory until the returned file is closed or this process ends. It fails if another
// process holds the lock.
func lockDirectory(path string) (*os.File, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(file.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		_ = file.Close()
		return nil, fmt.Errorf("lock %s: %w", path, err)
	}
	return file, nil
}

func removeLeftovers(parent, prefix string) {
	paths, _ := filepath.Glob(filepath.Join(parent, prefix+"*"))
	for _, path := range paths {
		info, err := os.Lstat(path)
		if err != nil || !info.IsDir() || time.Since(info.ModTime()) < leftoverAge {
			continue
		}
		if lock, err := lockDirectory(path); err == nil {
			_ = syscall.Unmount(path, 0) // it may be a small file system
			_ = os.RemoveAll(path)
			_ = lock.Close()
		}
	}
}
