//go:build bench

// Package bench measures the built product from outside, as a process and through HTTP, and compares its store with
// that of a straightforward program. Machines are noisy, so what is compared runs in turns, and medians count.
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

// Sizes, which environment variables change.
var (
	fixtureTables = size("BENCH_TABLES", 10_000)    // tables of a monitored database
	storedRows    = size("BENCH_ROWS", 1_000_000)   // rows of the store whose pages are read
	historyTables = size("BENCH_HISTORY", 100_000)  // tables whose history is stored
	historyDays   = size("BENCH_DAYS", 35)          // days of that history
	rounds        = size("BENCH_ROUNDS", 5)         // of each comparison
	savedTables   = size("BENCH_SNAPSHOT", 100_000) // tables of a stored snapshot
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

// trial reports whether results.md must stay as it is: the sizes are smaller, or the build is another one.
func trial() bool {
	smaller := fixtureTables < 10_000 || rounds < 5 || savedTables != 100_000 || storedRows < 1_000_000 ||
		historyTables < 100_000 || historyDays < 35
	return smaller || os.Getenv("BENCH_BINARY") != ""
}

// scratch is the directory for all files of this process.
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
	removeScratch()
	if err := results.write(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		code = 1
	}
	os.Exit(code)
}

// removeScratch removes the directory of this process.
var removeScratch func()

// makeScratch creates the directory for all files of this process, in memory if the machine has such a file system.
// They may take gigabytes, so they are removed when the process is interrupted, too.
func makeScratch() error {
	parent := os.Getenv("TMPDIR")
	if _, err := os.Stat(memoryDisk); err == nil && parent == "" {
		parent = memoryDisk
	}
	directory, err := testenv.NewDirectory(parent, "whalefall-bench-")
	if err != nil {
		return err
	}
	scratch, removeScratch = directory.Path, directory.Remove
	if err := os.Chmod(scratch, 0o755); err != nil { // for servers that run under another account
		return err
	}
	interrupted := make(chan os.Signal, 1)
	signal.Notify(interrupted, os.Interrupt, syscall.SIGTERM)
	go func() {
		<-interrupted
		removeScratch()
		_ = results.write()
		os.Exit(1)
	}()
	return os.Setenv("TMPDIR", scratch)
}
