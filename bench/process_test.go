//go:build bench

package bench

import (
	"fmt"
	"os"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"whalefall/testenv"
)

// clockTick is the unit of the times in /proc/PID/stat: Linux shows hundredths of a second on every architecture.
const clockTick = 10 * time.Millisecond

// processTimes are the CPU times of one process.
type processTimes struct {
	own      time.Duration
	children time.Duration // of child processes that ended and were waited for
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
		own:      time.Duration(field(14)+field(15)) * clockTick,
		children: time.Duration(field(16)+field(17)) * clockTick,
	}, nil
}

// cpuOf returns the CPU time of a process by its own clock, which is finer than a clock tick. The id of that clock is
// made from the process id as in clock_getcpuclockid(3).
func cpuOf(t *testing.T, pid int) time.Duration {
	t.Helper()
	const scheduled = 2
	var used unix.Timespec
	if err := unix.ClockGettime(int32(^pid<<3|scheduled), &used); err != nil {
		t.Fatal(err)
	}
	return time.Duration(used.Nano())
}

// cpuOfServer returns the CPU time of a PostgreSQL server with all its processes, including those that have ended.
func cpuOfServer(t *testing.T, postmaster int) time.Duration {
	t.Helper()
	p, err := readProcess(postmaster)
	if err != nil {
		t.Fatal(err)
	}
	total := p.own + p.children
	for _, pid := range testenv.ChildProcesses(postmaster) {
		if child, err := readProcess(pid); err == nil {
			total += child.own
		}
	}
	return total
}

// peakMemory returns the peak resident set of a process in bytes.
func peakMemory(pid int) int64 { return memoryOf(pid, "VmHWM") }

// memoryOf returns a line of /proc/PID/status in bytes; 0 if the process has ended.
func memoryOf(pid int, line string) int64 {
	text, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	for row := range strings.Lines(string(text)) {
		if rest, ok := strings.CutPrefix(row, line+":"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}
