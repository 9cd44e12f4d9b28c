package collectors

import (
	"path/filepath"
)

// IsBelow reports whether a path is one of the directories or below one, as they are given or with symbolic links
// resolved.
func IsBelow(dirs []string, path string) bool {
	for _, dir := range dirs {
		absolute, err := filepath.Abs(dir)
		if err != nil {
			continue
		}
		for _, parent := range []string{absolute, RealPath(absolute)} {
			if rest, err := filepath.Rel(parent, path); err == nil && filepath.IsLocal(rest) {
				return true
			}
		}
	}
	return false
}

// RealPath returns the path with symbolic links resolved, or as it is where that fails.
func RealPath(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	return path
}
