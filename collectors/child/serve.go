package child

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"time"

	"whalefall/collectors"
	"whalefall/models"
)

// exitGrace is how long a child may take to end after its input has.
const exitGrace = 3 * time.Second

// partSize is how many tables one frame holds, so that encoding them takes little memory.
const partSize = 1000

var errInputEnded = errors.New("the parent process called off the collection")

// Serve does the work of a child process: it calls a collector as in asks and writes the frames to out. The call is
// cancelled when in ends. Serve ends the process if the call ignores that for exitGrace, and with the status exitMemory
// if the call needs more than MemoryLimit.
func Serve(ctx context.Context, in io.Reader, out io.Writer, engines map[models.Engine]collectors.Collector) error {
	go watchMemory()

	var r request
	input := json.NewDecoder(in)
	if err := input.Decode(&r); err != nil {
		return fmt.Errorf("no request: %w", err)
	}
	r.Target.Password = string(r.Password)
	collector, ok := engines[r.Target.Engine]
	if !ok {
		return fmt.Errorf("no collector of %q", r.Target.Engine)
	}

	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	go endWith(in, cancel)
	if !r.Deadline.IsZero() {
		var stop context.CancelFunc
		ctx, stop = context.WithDeadline(ctx, r.Deadline)
		defer stop()
	}
	return answer(ctx, json.NewEncoder(out), collector, r)
}

// endWith cancels the call when in ends, and ends the process if it has not ended by itself exitGrace later.
func endWith(in io.Reader, cancel context.CancelCauseFunc) {
	_, _ = io.Copy(io.Discard, in)
	cancel(errInputEnded)
	time.Sleep(exitGrace)
	os.Exit(1)
}

// answer sends the progress of the call while it runs, and then its result.
func answer(ctx context.Context, out *json.Encoder, c collectors.Collector, r request) error {
	progress := collectors.NewProgress(time.Now)
	progress.Start(time.Now())
	ctx = collectors.WithProgress(ctx, progress)

	results := make(chan func(*json.Encoder) error, 1)
	go func() { results <- ask(ctx, c, r) }()
	for {
		select {
		case <-progress.Changed():
			if err := sendProgress(out, progress); err != nil {
				return err
			}
		case send := <-results:
			return errors.Join(sendProgress(out, progress), send(out))
		}
	}
}

func sendProgress(out *json.Encoder, p *collectors.Progress) error {
	return out.Encode(frame{Progress: new(p.Snapshot())})
}

// ask calls the collector and returns what sends its answer.
func ask(ctx context.Context, c collectors.Collector, r request) func(*json.Encoder) error {
	switch r.Call {
	case callVersion:
		version, err := c.Version(ctx, r.Target)
		return one(frame{Version: &version}, err)
	case callDatabases:
		databases, err := c.Databases(ctx, r.Target)
		return one(frame{Databases: &databases}, err)
	case callYardstick:
		yardstick, err := c.Yardstick(ctx, r.Target, r.Database)
		return one(frame{Yardstick: &yardstick}, err)
	case callTables:
		tables, err := c.Tables(ctx, r.Target, r.Database)
		if err != nil {
			return one(frame{}, err)
		}
		return func(out *json.Encoder) error { return sendTables(out, tables) }
	}
	return one(frame{}, fmt.Errorf("no call %q", r.Call))
}

// one returns what sends a single frame, or the error.
func one(f frame, err error) func(*json.Encoder) error {
	if err != nil {
		e := models.AsError(err)
		f = frame{Failure: &failure{Error: e}}
		if e.Err != nil {
			f.Failure.Cause = e.Err.Error()
		}
	}
	return func(out *json.Encoder) error { return out.Encode(f) }
}

// sendTables sends the tables of a result in parts, and then the result without them.
func sendTables(out *json.Encoder, result models.TableResult) error {
	if err := sendParts(out, "", result.Tables); err != nil {
		return err
	}
	result.Tables = nil
	for name, other := range result.Others {
		if err := sendParts(out, name, other.Tables); err != nil {
			return err
		}
		other.Tables = nil
		result.Others[name] = other
	}
	return out.Encode(frame{Tables: &result})
}

func sendParts(out *json.Encoder, of string, tables []models.TableSize) error {
	for some := range slices.Chunk(tables, partSize) {
		if err := out.Encode(frame{Part: &part{Of: of, Tables: some}}); err != nil {
			return err
		}
	}
	return nil
}
