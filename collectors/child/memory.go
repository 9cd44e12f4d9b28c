package child

import (
	"os"
	"runtime/debug"
	"runtime/metrics"
	"time"
)

// MemoryLimit is how many bytes a child may hold.
const MemoryLimit = 512 << 20

// exitMemory is the exit status of a child that needed more than MemoryLimit.
const exitMemory = 3

// memoryInterval is how often a child measures its memory.
const memoryInterval = 10 * time.Millisecond

// watchMemory ends the process when it holds more than MemoryLimit. What was allocated counts before it is written to,
// so that even a huge allocation ends the process before it takes memory from others.
func watchMemory() {
	debug.SetMemoryLimit(MemoryLimit / 4 * 3) // collect garbage harder before it counts

	sample := []metrics.Sample{{Name: "/memory/classes/total:bytes"}, {Name: "/memory/classes/heap/released:bytes"}}
	for range time.Tick(memoryInterval) {
		metrics.Read(sample)
		if sample[0].Value.Uint64()-sample[1].Value.Uint64() > MemoryLimit {
			os.Exit(exitMemory)
		}
	}
}
