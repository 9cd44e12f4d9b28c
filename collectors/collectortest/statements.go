package collectortest

import (
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

var usedStatement = regexp.MustCompile(`statements\["(\w+)"\]`)

// Statements fails unless each statement that the package in the working directory uses by statements["name"] has a
// file in its folder sql, and each file is named in the package's source.
func Statements(t *testing.T) {
	t.Helper()
	sources, err := filepath.Glob("*.go")
	Must(t, err)
	files, err := filepath.Glob("sql/*.sql")
	Must(t, err)
	if len(files) == 0 {
		t.Fatal("no statements")
	}

	var source strings.Builder
	for _, name := range sources {
		if strings.HasSuffix(name, "_test.go") {
			continue
		}
		text, err := os.ReadFile(name)
		Must(t, err)
		source.Write(text)
	}

	exists := map[string]bool{}
	for _, file := range files {
		name := strings.TrimSuffix(filepath.Base(file), ".sql")
		exists[name] = true
		if !strings.Contains(source.String(), `"`+name+`"`) && !strings.HasPrefix(name, "user_") {
			t.Errorf("%s is not used", file)
		}
	}
	for _, match := range usedStatement.FindAllStringSubmatch(source.String(), -1) {
		if !exists[match[1]] {
			t.Errorf("%s has no file", match[0])
		}
	}
}
