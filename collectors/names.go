package collectors

import (
	"strconv"
	"strings"
	"unicode/utf8"
)

// ValidName returns a name that can be stored and shown for one that a server sent in an unknown encoding. Different
// names stay different: a name that is UTF-8 and has no `\x` is returned as it is; in any other each backslash
// becomes `\\` and each byte that is not UTF-8 becomes `\x` and two hexadecimal digits. ServerName is its inverse.
func ValidName(name string) string {
	if utf8.ValidString(name) && !strings.Contains(name, `\x`) {
		return name
	}
	var out strings.Builder
	for len(name) > 0 {
		r, size := utf8.DecodeRuneInString(name)
		switch {
		case r == utf8.RuneError && size == 1:
			const digits = "0123456789abcdef"
			out.WriteString(`\x`)
			out.WriteByte(digits[name[0]>>4])
			out.WriteByte(digits[name[0]&15])
		case r == '\\':
			out.WriteString(`\\`)
		default:
			out.WriteString(name[:size])
		}
		name = name[size:]
	}
	return out.String()
}

// maxNameBytes is more than the longest name of a server has, as ValidName returns it: 128 bytes, each as four
// characters.
const maxNameBytes = 1024

// IsStoredName reports whether ValidName can have returned the name of a server. None is longer than maxNameBytes or
// has a NUL in it.
func IsStoredName(name string) bool {
	return len(name) <= maxNameBytes && ValidName(ServerName(name)) == name && !strings.Contains(name, "\x00")
}

// ServerName returns the name on the server for one that ValidName returned. Any other name is returned as it is.
func ServerName(name string) string {
	if !strings.Contains(name, `\x`) {
		return name
	}
	out := make([]byte, 0, len(name))
	for rest := name; len(rest) > 0; {
		switch {
		case strings.HasPrefix(rest, `\\`):
			out, rest = append(out, '\\'), rest[2:]
		case strings.HasPrefix(rest, `\x`) && len(rest) >= 4:
			b, err := strconv.ParseUint(rest[2:4], 16, 8)
			if err != nil {
				return name
			}
			out, rest = append(out, byte(b)), rest[4:]
		default:
			out, rest = append(out, rest[0]), rest[1:]
		}
	}
	if ValidName(string(out)) != name {
		return name
	}
	return string(out)
}
