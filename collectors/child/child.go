// Package child runs the calls of a collector in child processes of this program. Drivers allocate what a peer tells
// them to, and a Go program that runs out of memory ends: here only the child does.
//
// A child reads one request from its standard input, writes frames to its standard output, and works until its input
// ends. It takes nothing else from its parent: no secret is in its arguments or its environment.
package child

import (
	"time"

	"whalefall/collectors"
	"whalefall/models"
)

// request says which method of a collector to call, and with what.
type request struct {
	Call     call
	Target   collectors.Target // without the password
	Password []byte            // any bytes, unlike a JSON string
	Database string
	Deadline time.Time // zero: none
}

// call is a method of collectors.Collector.
type call string

const (
	callVersion   call = "version"
	callDatabases call = "databases"
	callTables    call = "tables"
	callYardstick call = "yardstick"
)

// frame is one line of a child's output. Exactly one field is set. Progress and Part may come often, each of the others
// is the last frame.
type frame struct {
	Progress *models.Progress `json:",omitempty"`
	Part     *part            `json:",omitempty"`

	Version   *models.Version        `json:",omitempty"`
	Databases *models.DatabaseResult `json:",omitempty"`
	Tables    *models.TableResult    `json:",omitempty"` // without tables: those came as parts
	Yardstick *models.Yardstick      `json:",omitempty"`
	Failure   *failure               `json:",omitempty"`
}

// part is some of the tables of a result.
type part struct {
	Of     string // the key in Others; empty: the result itself
	Tables []models.TableSize
}

// failure is an error and its cause, which an error's JSON lacks.
type failure struct {
	Error *models.Error
	Cause string
}

// last reports whether no frame follows.
func (f frame) last() bool { return f.Progress == nil && f.Part == nil }
