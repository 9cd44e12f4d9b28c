package collectors

import (
	"path/filepath"
)

// IsBelow reports whether a path is in one of the directories or below it, as they are named or where they really are.
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

func RealPath(path string) string {
	if resolved, err := filepath.EvalSymlinks(path); err == nil {
		return resolved
	}
	return path
}
