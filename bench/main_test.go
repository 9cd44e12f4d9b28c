//go:build bench

// Package bench measures the built product from outside, as a process and through HTTP, and its store beside what a
// straightforward program would do. Machines are noisy, so what is compared runs in turns and medians count.
package bench

import (
	"fmt"
	"os"
	"os/signal"
	"strconv"
	"syscall"
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

// scratch is the directory of this process.
var scratch string

const memoryDisk = "/dev/shm"

func TestMain(m *testing.M) {
	if address := os.Getenv(bareVariable); address != "" {
		if err := serveBare(address, os.Getenv(bareStoreVariable)); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	if err := makeScratch(); err != nil {
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

// makeScratch makes the directory of this process, where writing costs no disk if the machine has such a place. All
// temporary files are in it, and whoever interrupts us leaves nothing behind: they may take gigabytes.
func makeScratch() error {
	parent := os.Getenv("TMPDIR")
	if _, err := os.Stat(memoryDisk); err == nil && parent == "" {
		parent = memoryDisk
	}
	var err error
	if scratch, err = os.MkdirTemp(parent, "whalefall-bench-"); err != nil {
		return err
	}
	if err := os.Chmod(scratch, 0o755); err != nil { // servers that run as others are in it
		return err
	}
	asked := make(chan os.Signal, 1)
	signal.Notify(asked, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-asked
		_ = os.RemoveAll(scratch)
		_ = results.write() // as far as it came
		os.Exit(1)
	}()
	return os.Setenv("TMPDIR", scratch)
}
