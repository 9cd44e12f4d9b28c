//go:build bench

package bench

import (
	"cmp"
	"fmt"
	"slices"
	"syscall"
	"testing"
	"time"
)

// cost is what one way to do something took, a value a round.
type cost struct {
	wall   []time.Duration
	server []time.Duration // CPU of the database server
	client []time.Duration // CPU of its client
	log    []int64         // bytes of write-ahead log
}

func (c *cost) cpu() time.Duration {
	both := make([]time.Duration, len(c.client))
	for i := range both {
		both[i] = c.client[i]
		if len(c.server) > 0 {
			both[i] += c.server[i]
		}
	}
	return median(both)
}

func (c *cost) elapsed() time.Duration { return median(c.wall) }

func (c *cost) String() string {
	if len(c.server) == 0 {
		return fmt.Sprintf("%s, CPU %s", text(c.elapsed()), text(c.cpu()))
	}
	return fmt.Sprintf("%s, CPU %s (server %s)", text(c.elapsed()), text(c.cpu()), text(median(c.server)))
}

// meter reads the resources that the processes involved have used so far.
type meter struct {
	server func() time.Duration // CPU; nil: no server process
	client func() time.Duration // CPU
	log    func() int64         // bytes of write-ahead log; nil: not measured
}

// measure runs do and appends what it used to the cost.
func (m meter) measure(c *cost, do func()) {
	server, log := time.Duration(0), int64(0)
	if m.log != nil {
		log = m.log()
	}
	if m.server != nil {
		server = m.server()
	}
	client, start := m.client(), time.Now()
	do()
	c.wall = append(c.wall, time.Since(start))
	c.client = append(c.client, m.client()-client)
	if m.server != nil {
		c.server = append(c.server, m.server()-server)
	}
	if m.log != nil {
		c.log = append(c.log, m.log()-log)
	}
}

// ownCPU returns the CPU time of this process.
func ownCPU() time.Duration {
	var used syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &used); err != nil {
		panic(err)
	}
	return time.Duration(used.Utime.Nano() + used.Stime.Nano())
}

// reportRatio reports the ratios of wall and CPU time. Both must reach the goal.
func reportRatio(t *testing.T, id string, ours, theirs *cost, goal float64) {
	t.Helper()
	wall, cpu := quotient(median(ours.wall), median(theirs.wall)), quotient(ours.cpu(), theirs.cpu())
	report(t, id, fmt.Sprintf("%.2f wall, %.2f CPU", wall, cpu), wall <= goal && cpu <= goal,
		fmt.Sprintf("%s ÷ %s", ours, theirs))
}

// reportOne reports the ratio of either wall or CPU time.
func reportOne(t *testing.T, id string, ours, theirs *cost, of func(*cost) time.Duration, goal float64) {
	t.Helper()
	ratio := quotient(of(ours), of(theirs))
	report(t, id, fmt.Sprintf("%.2f", ratio), ratio <= goal, fmt.Sprintf("%s ÷ %s", ours, theirs))
}

// median returns the median of an odd number of values.
func median[T cmp.Ordered](values []T) T { return percentile(values, 50) }

// percentile returns the smallest value that p percent of the values do not exceed.
func percentile[T cmp.Ordered](values []T, p int) T {
	sorted := slices.Sorted(slices.Values(values))
	return sorted[(len(sorted)*p+99)/100-1]
}

func quotient[T ~int64](a, b T) float64 { return float64(a) / float64(b) }

// text formats a duration for a table.
func text(d time.Duration) string {
	switch {
	case d >= 10*time.Second:
		return fmt.Sprintf("%.1f s", d.Seconds())
	case d >= 10*time.Millisecond:
		return fmt.Sprintf("%d ms", d.Round(time.Millisecond).Milliseconds())
	}
	return fmt.Sprintf("%.2f ms", float64(d.Microseconds())/1000)
}

func megabytes(bytes int64) string { return fmt.Sprintf("%.0f MB", float64(bytes)/1e6) }
