//go:build bench

package bench

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// clockTick is the unit of the times in /proc/PID/stat; Linux has shown hundredths of a second on every architecture
// for twenty years.
const clockTick = 10 * time.Millisecond

// processTimes are the CPU times of one process.
type processTimes struct {
	parent   int
	own      time.Duration
	children time.Duration // those that ended and were waited for
}

func readProcess(pid int) (processTimes, error) {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return processTimes{}, err
	}
	// The second field, the name in parentheses, may hold spaces.
	fields := strings.Fields(string(text[strings.LastIndexByte(string(text), ')')+1:]))
	field := func(number int) int { // counted from 1, as in proc(5)
		n, _ := strconv.Atoi(fields[number-3])
		return n
	}
	return processTimes{
		parent:   field(4),
		own:      time.Duration(field(14)+field(15)) * clockTick,
		children: time.Duration(field(16)+field(17)) * clockTick,
	}, nil
}

// cpuOf is what a process has used.
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	p, err := readProcess(pid)
	if err != nil {
		t.Fatal(err)
	}
	return p.own
}

// cpuOfServer is what a PostgreSQL server has used with all its processes, those that ended included.
func cpuOfServer(t *testing.T, postmaster int) time.Duration {
	t.Helper()
	p, err := readProcess(postmaster)
	if err != nil {
		t.Fatal(err)
	}
	total := p.own + p.children
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		t.Fatal(err)
	}
	for _, dir := range dirs {
		pid, _ := strconv.Atoi(filepath.Base(dir))
		if child, err := readProcess(pid); err == nil && child.parent == postmaster {
			total += child.own
		}
	}
	return total
}

// peakMemory is the largest resident set a process ever had, in bytes.
func peakMemory(t *testing.T, pid int) int64 {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		t.Fatal(err)
	}
	for line := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, err := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			if err != nil {
				t.Fatal(err)
			}
			return kib << 10
		}
	}
	t.Fatal("no VmHWM")
	return 0
}
