package cli

import (
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
)

var (
	sqlBlock   = regexp.MustCompile("(?s)```sql\n(.*?)```")
	sqlComment = regexp.MustCompile(`(?m) *--.*$`)
	errorCode  = regexp.MustCompile(`(?m)^\| [^|]*\| ([0-9][0-9A-Z]{1,4}[^|]*) \|`)
	code       = regexp.MustCompile(`\b[0-9][0-9A-Z]+\b`)
)

// TestOperations_ChineseSaysTheSame compares what needs no translation: the statements of the grants, and the errors.
func TestOperations_ChineseSaysTheSame(t *testing.T) {
	t.Parallel()
	english, chinese := operations(t, "../docs/operations.md"), operations(t, "../docs/operations.zh-CN.md")

	got, want := statements(chinese), statements(english)
	if len(got) < 5 || !slices.Equal(got, want[:min(len(got), len(want))]) {
		t.Errorf("statements: got %q, want %q", got, want)
	}
	_, english, _ = strings.Cut(english, "\n## Errors\n")
	_, chinese, _ = strings.Cut(chinese, "\n## 错误\n")
	if got, want := codes(chinese), codes(english); !slices.Equal(got, want) || len(got) < 50 {
		t.Errorf("error codes: got %q, want %q", got, want)
	}
}

func operations(t *testing.T, file string) string {
	t.Helper()
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// statements returns the SQL blocks without their comments, in their order.
func statements(text string) (out []string) {
	for _, block := range sqlBlock.FindAllStringSubmatch(text, -1) {
		out = append(out, sqlComment.ReplaceAllString(block[1], ""))
	}
	return out
}

// codes returns the codes of the tables of errors, in their order.
func codes(text string) (out []string) {
	for _, row := range errorCode.FindAllStringSubmatch(text, -1) {
		out = append(out, code.FindAllString(row[1], -1)...)
	}
	return out
}
