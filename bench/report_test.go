//go:build bench

package bench

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"text/tabwriter"
	"time"
)

// result is the result of a goal.
type result struct {
	measured string
	reached  string // yes, no, or empty if there is nothing to reach
	how      string // figures behind the result
	when     string // day and commit
	now      bool   // measured by this process
}

// book holds the last result of every goal.
type book struct {
	sync.Mutex
	started time.Time
	byID    map[string]result
	missing map[string]string // why goals were not measured
}

var results = &book{byID: map[string]result{}, missing: map[string]string{}}

// measured runs a measurement of some goals. If it fails, they are reported as failed, and the others are still
// measured.
func measured(t *testing.T, name string, ids []string, measure func(t *testing.T)) {
	t.Helper()
	if !t.Run(name, measure) {
		for _, id := range ids {
			results.fail(id)
		}
	}
}

// report records the result of a goal.
func report(t *testing.T, id, measured string, reached bool, how string) {
	t.Helper()
	i := slices.IndexFunc(goals, func(g goal) bool { return g.id == id })
	if i < 0 {
		t.Logf("%s: %s (%s), of a size that has no row in results.md", id, measured, how)
		return
	}
	mark := map[bool]string{true: "yes", false: "no"}[reached]
	if goals[i].reach == "" || goals[i].reach == "never done" {
		mark = ""
	}
	t.Logf("%s: %s, to reach %s (%s)", goals[i].what, measured, goals[i].reach, how)
	results.put(id, result{measured: measured, reached: mark, how: how})
}

func (b *book) put(id string, r result) {
	b.Lock()
	defer b.Unlock()
	r.now, r.when = true, b.started.UTC().Format(time.DateOnly)+", "+commit()
	b.byID[id] = r
}

// absent records why a goal could not be measured, for a goal without an earlier result.
func (b *book) absent(id, why string) {
	b.Lock()
	defer b.Unlock()
	b.missing[id] = why
}

func (b *book) fail(id string) {
	b.Lock()
	done := b.byID[id].now
	b.Unlock()
	if !done {
		b.put(id, result{measured: failed, reached: "no", how: "see the output of the run"})
	}
}

const (
	resultsFile = "results.md"
	notYet      = "not yet"
	failed      = "failed"
	columns     = "| what | goal | measured | reached | how | when |\n|---|---|---|---|---|---|\n"
	marker      = "<!-- bench -->"
	endMarker   = "<!-- /bench -->"
)

// load reads the results of earlier runs for the goals that this one did not measure.
func (b *book) load() error {
	text, err := os.ReadFile(resultsFile)
	if err != nil && !os.IsNotExist(err) {
		return err
	}
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(strings.Trim(line, "|\n"), " | ")
		if len(cells) != 6 {
			continue
		}
		i := slices.IndexFunc(goals, func(g goal) bool { return g.what == strings.TrimSpace(cells[0]) })
		if i < 0 || b.byID[goals[i].id].now || strings.TrimSpace(cells[5]) == "" {
			continue
		}
		b.byID[goals[i].id] = result{
			measured: strings.TrimSpace(cells[2]), reached: strings.TrimSpace(cells[3]),
			how: strings.TrimSpace(cells[4]), when: strings.TrimSpace(cells[5]),
		}
	}
	return nil
}

// write prints the results and updates results.md and the tables of the READMEs.
func (b *book) write() error {
	b.Lock()
	defer b.Unlock()
	if !slices.ContainsFunc(goals, func(g goal) bool { return b.byID[g.id].now }) {
		return nil
	}
	if err := b.load(); err != nil {
		return err
	}
	b.print()
	if trial() {
		_, _ = fmt.Fprintln(os.Stdout, "results.md stays as it is: the sizes are smaller, or the build is another one.")
		return nil
	}
	if err := os.WriteFile(resultsFile, []byte(b.markdown()), 0o644); err != nil {
		return err
	}
	for file, table := range map[string]string{"../README.md": b.short(false), "../README.zh-CN.md": b.short(true)} {
		if err := replaceBetween(file, table); err != nil {
			return err
		}
	}
	return nil
}

func (b *book) print() {
	screen := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	_, _ = fmt.Fprintln(screen, "what\tgoal\tmeasured\treached\twhen")
	for _, g := range goals {
		r := b.result(g)
		_, _ = fmt.Fprintln(screen, strings.Join([]string{g.what, g.reach, r.measured, r.reached, r.when}, "\t"))
	}
	_ = screen.Flush()
}

func (b *book) result(g goal) result {
	r := b.byID[g.id]
	r.measured = cmp.Or(r.measured, b.missing[g.id], notYet)
	return r
}

func (b *book) markdown() string {
	var out strings.Builder
	fmt.Fprintf(&out, "# Results of `task bench`\n\nLast run: %s, %s/%s, %d cores, %s. "+
		"A row keeps its last result, with the day and the commit. "+
		"What the rows mean: [docs/development.md](../docs/development.md#measuring).\n",
		b.started.UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version())
	section := ""
	for _, g := range goals {
		if g.section != section {
			section = g.section
			fmt.Fprintf(&out, "\n## %s\n\n`task bench -- -run %s`\n\n%s", section, section, columns)
		}
		r := b.result(g)
		fmt.Fprintf(&out, "| %s | %s | %s | %s | %s | %s |\n", g.what, g.reach, r.measured, r.reached, r.how, r.when)
	}
	return out.String()
}

// wallAndCPU matches the two ratios of reportRatio.
var wallAndCPU = regexp.MustCompile(`^([0-9.]+) wall, ([0-9.]+) CPU$`)

// short returns the table of a README: the measured goals of general interest.
func (b *book) short(chinese bool) string {
	var out strings.Builder
	if chinese {
		out.WriteString("| 项目 | 目标 | 实测 | 命令 |\n|---|---|---|---|\n")
	} else {
		out.WriteString("| what | goal | measured | command |\n|---|---|---|---|\n")
	}
	for _, g := range goals {
		what, measured := g.what, b.byID[g.id].measured
		if g.chinese == "" || measured == "" || measured == failed {
			continue
		}
		if chinese {
			what = g.chinese
			measured = wallAndCPU.ReplaceAllString(measured, "耗时 $1，CPU $2")
		}
		fmt.Fprintf(&out, "| %s | %s | %s | `task bench -- -run %s` |\n", what, g.reach, measured, g.section)
	}
	return out.String()
}

// replaceBetween replaces the text between the markers of a file; a file without markers stays as it is.
func replaceBetween(file, text string) error {
	content, err := os.ReadFile(file)
	if err != nil {
		return err
	}
	before, rest, found := strings.Cut(string(content), marker)
	_, after, closed := strings.Cut(rest, endMarker)
	if !found || !closed {
		return nil
	}
	return os.WriteFile(file, []byte(before+marker+"\n"+text+endMarker+after), 0o644)
}

var commit = sync.OnceValue(func() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
})
