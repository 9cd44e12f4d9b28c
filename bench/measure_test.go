//go:build bench

// Package bench measures the built product from outside: as a process, through HTTP, beside what PostgreSQL itself
// needs. Machines are noisy, so what is compared runs in turns and medians count.
package bench

import (
	"cmp"
	"fmt"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"testing"
	"text/tabwriter"
	"time"

	"whalefall/testenv"
)

func TestMain(m *testing.M) { os.Exit(testenv.Run(m)) }

// TestMeasure runs every measurement and writes results.md.
func TestMeasure(t *testing.T) {
	onMemoryDisk(t)
	r := &report{started: time.Now()}
	binary := build(t)
	info, err := os.Stat(binary)
	if err != nil {
		t.Fatal(err)
	}
	r.add("binary size, stripped", fmt.Sprintf("%.1f MB", float64(info.Size())/1e6), "")
	measureRefresh(t, r, binary)
	measureFirstPage(t, r, binary, "SQLite", "")
	measureFirstPage(t, r, binary, "PostgreSQL", testenv.StartPostgres(t).NewDatabase(t))
	r.write(t)
}

// onMemoryDisk puts temporary files where writing costs no disk, if the machine has such a place.
func onMemoryDisk(t *testing.T) {
	const shared = "/dev/shm"
	if _, err := os.Stat(shared); err == nil {
		t.Setenv("TMPDIR", shared)
	}
}

// report is the table of results.
type report struct {
	started time.Time
	rows    [][3]string // what, value, note
}

func (r *report) add(what, value, note string) { r.rows = append(r.rows, [3]string{what, value, note}) }

func (r *report) write(t *testing.T) {
	t.Helper()
	var out strings.Builder
	fmt.Fprintf(&out, "# Results of `task bench`\n\n%s, %s/%s, %d cores, %s, commit %s\n\n| what | value | note |\n|---|---|---|\n",
		r.started.UTC().Format(time.DateOnly), runtime.GOOS, runtime.GOARCH, runtime.NumCPU(), runtime.Version(), commit())
	for _, row := range r.rows {
		fmt.Fprintf(&out, "| %s | %s | %s |\n", row[0], row[1], row[2])
	}
	if err := os.WriteFile("results.md", []byte(out.String()), 0o644); err != nil {
		t.Fatal(err)
	}
	screen := tabwriter.NewWriter(os.Stdout, 0, 0, 2, ' ', 0)
	for _, row := range r.rows {
		fmt.Fprintln(screen, strings.Join(row[:], "\t"))
	}
	_ = screen.Flush()
}

func commit() string {
	out, err := exec.Command("git", "describe", "--always", "--dirty").Output()
	if err != nil {
		return "unknown"
	}
	return strings.TrimSpace(string(out))
}

// median of an odd number of values.
func median[T cmp.Ordered](values []T) T { return percentile(values, 50) }

// percentile is the smallest value that p percent of the values do not exceed.
func percentile[T cmp.Ordered](values []T, p int) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)*p+99)/100-1]
}

func ms(d time.Duration) string { return fmt.Sprintf("%.1f ms", float64(d.Microseconds())/1000) }

func ratio(a, b time.Duration) string { return fmt.Sprintf("%.2f", float64(a)/float64(b)) }
