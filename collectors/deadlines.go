package collectors

import (
	"strconv"
	"time"
)

// Milliseconds returns a duration in whole milliseconds, as servers take limits.
func Milliseconds(d time.Duration) string { return strconv.FormatInt(d.Milliseconds(), 10) }

// Deadlines. Every wait on a target is bounded by one of these.
const (
	ConnectTimeout   = 10 * time.Second       // name resolution, TCP, TLS and login
	StatementTimeout = 60 * time.Second       // one statement, enforced on the server where it can be
	LockTimeout      = 300 * time.Millisecond // one lock on the server
	TablesTimeout    = 30 * time.Minute       // one whole collection of one database
	DatabasesTimeout = 5 * time.Minute        // one list of databases with their sizes
)

// HangUpGrace is how long a server may take to end a cancelled statement or to log us off.
const HangUpGrace = 500 * time.Millisecond
