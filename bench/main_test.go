//go:build bench

// Package bench measures the built product from outside, as a process and through HTTP, and its store beside what a
// straightforward program would do. Machines are noisy, so what is compared runs in turns and medians count.
package bench

import (
	"fmt"
	"os"
	"strconv"
	"testing"
	"time"

	"whalefall/testenv"
)

// Sizes, by environment.
var (
	fixtureTables = size("BENCH_TABLES", 10_000)    // of the monitored databases
	storedRows    = size("BENCH_ROWS", 1_000_000)   // in the store whose pages are read
	historyTables = size("BENCH_HISTORY", 100_000)  // whose history is written
	historyDays   = size("BENCH_DAYS", 35)          // as long as it is
	rounds        = size("BENCH_ROUNDS", 5)         // of each comparison
	savedTables   = size("BENCH_SNAPSHOT", 100_000) // of a snapshot that is stored
)

func size(variable string, usual int) int {
	text := os.Getenv(variable)
	if text == "" {
		return usual
	}
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 {
		fmt.Fprintf(os.Stderr, "%s must be a positive number, not %q\n", variable, text)
		os.Exit(2)
	}
	return n
}

// trial reports whether this is not what results.md tells of: smaller, or of another build.
func trial() bool {
	return os.Getenv("BENCH_BINARY") != "" || fixtureTables < 10_000 || rounds < 5 || savedTables != 100_000 || storedRows < 1_000_000 || historyTables < 100_000 || historyDays < 35
}

// scratch is a directory of this process.
var scratch string

func TestMain(m *testing.M) {
	if address := os.Getenv(bareVariable); address != "" {
		if err := serveBare(address, os.Getenv(bareStoreVariable)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	useMemoryDisk()
	var err error
	if scratch, err = os.MkdirTemp("", "whalefall-bench-"); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	results.started = time.Now()
	code := testenv.Run(m)
	_ = os.RemoveAll(scratch)
	if err := results.write(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// useMemoryDisk puts temporary files where writing costs no disk, if the machine has such a place.
func useMemoryDisk() {
	const shared = "/dev/shm"
	if _, err := os.Stat(shared); err == nil && os.Getenv("TMPDIR") == "" {
		_ = os.Setenv("TMPDIR", shared)
	}
}
