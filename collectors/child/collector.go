package child

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"os/exec"

	"whalefall/collectors"
	"whalefall/models"
)

// Collector makes each call of another collector in a process of its own. It returns that collector's errors, and
// CodeCollection if the process could not be started or ended without an answer.
type Collector struct {
	inner collectors.Collector
	args  []string
	log   *slog.Logger

	executable func() (string, error)
}

// New returns a collector that calls inner in children of this process. args are the arguments with which this program
// calls Serve. What children write to their standard error goes to log.
func New(inner collectors.Collector, log *slog.Logger, args ...string) *Collector {
	return &Collector{inner: inner, args: args, log: log, executable: executable}
}

// Capabilities returns those of the inner collector.
func (c *Collector) Capabilities() models.Capabilities { return c.inner.Capabilities() }

// Version implements collectors.Collector.
func (c *Collector) Version(ctx context.Context, t collectors.Target) (models.Version, error) {
	last, err := c.run(ctx, request{Call: callVersion, Target: t}, nil)
	return answered(last.Version, err)
}

// Databases implements collectors.Collector.
func (c *Collector) Databases(ctx context.Context, t collectors.Target) (models.DatabaseResult, error) {
	last, err := c.run(ctx, request{Call: callDatabases, Target: t}, nil)
	return answered(last.Databases, err)
}

// Tables implements collectors.Collector.
func (c *Collector) Tables(ctx context.Context, t collectors.Target, database string) (models.TableResult, error) {
	parts := map[string][]models.TableSize{}
	last, err := c.run(ctx, request{Call: callTables, Target: t, Database: database}, func(p part) {
		parts[p.Of] = append(parts[p.Of], p.Tables...)
	})
	result, err := answered(last.Tables, err)
	if err != nil {
		return models.TableResult{}, err
	}

	result.Tables = parts[""]
	for name, other := range result.Others {
		other.Tables = parts[name]
		result.Others[name] = other
	}
	return result, nil
}

// Yardstick implements collectors.Collector.
func (c *Collector) Yardstick(ctx context.Context, t collectors.Target, database string) (models.Yardstick, error) {
	last, err := c.run(ctx, request{Call: callYardstick, Target: t, Database: database}, nil)
	return answered(last.Yardstick, err)
}

// answered returns what the last frame holds.
func answered[T any](value *T, err error) (T, error) {
	var none T
	switch {
	case err != nil:
		return none, err
	case value == nil:
		return none, failed(errors.New("the process answered another call"))
	}
	return *value, nil
}

// failed returns the error of a call whose process did not do what it should.
func failed(err error) *models.Error {
	return &models.Error{Code: models.CodeCollection, Key: "collect.failed_unexpectedly", Err: err}
}

// run makes one call in a new process and returns its last frame. It passes on progress to the Progress of ctx, and
// parts to take. When ctx ends, the call is cancelled, and exitGrace later the process is killed.
func (c *Collector) run(ctx context.Context, r request, take func(part)) (frame, error) {
	r.Password, r.Target.Password = []byte(r.Target.Password), ""
	r.Deadline, _ = ctx.Deadline()

	p, err := c.start(ctx, r)
	if err != nil {
		return frame{}, &models.Error{Code: models.CodeCollection, Key: "collect.no_process", Err: err}
	}
	last, err := p.read(ctx, take)
	err = errors.Join(err, p.end())

	switch {
	case last.Failure != nil:
		return frame{}, last.Failure.in(ctx)
	case last.last() && err == nil:
		return last, nil
	case ctx.Err() != nil:
		return frame{}, collectors.Settled(ctx, err)
	case p.outOfMemory():
		return frame{}, &models.Error{
			Code: models.CodeCollection, Key: "collect.memory", Args: models.Args("Limit", "512 MiB"), Err: err,
		}
	}
	return frame{}, failed(err)
}

// in returns the failure as an error of a call with the context ctx, whose end explains it best.
func (f *failure) in(ctx context.Context) error {
	cause := errors.New(f.Cause)
	if ctx.Err() != nil {
		return collectors.Settled(ctx, cause)
	}
	f.Error.Err = cause
	return f.Error
}

// process is a running child.
type process struct {
	cmd    *exec.Cmd
	stop   context.CancelFunc
	output *bufio.Scanner
	errors *lines
}

// maxFrame bounds one frame, in bytes.
const maxFrame = 64 << 20

func (c *Collector) start(ctx context.Context, r request) (*process, error) {
	text, err := json.Marshal(r) //nolint:gosec // only the child reads the password
	if err != nil {
		return nil, err
	}
	path, err := c.executable()
	if err != nil {
		return nil, err
	}

	running, stop := context.WithCancel(ctx)
	p := &process{stop: stop, errors: &lines{ctx: ctx, log: c.log}}
	p.cmd = exec.CommandContext(running, path, c.args...) //nolint:gosec // this program
	p.cmd.Env, p.cmd.Stderr, p.cmd.WaitDelay = environment(), p.errors, exitGrace
	input, err := p.cmd.StdinPipe()
	if err != nil {
		stop()
		return nil, err
	}
	p.cmd.Cancel = input.Close
	output, err := p.cmd.StdoutPipe()
	if err == nil {
		err = p.cmd.Start()
	}
	if err != nil {
		stop()
		return nil, err
	}

	p.output = bufio.NewScanner(output)
	p.output.Buffer(nil, maxFrame)
	_, _ = input.Write(text) // if this fails, reading does
	return p, nil
}

// read returns the last frame.
func (p *process) read(ctx context.Context, take func(part)) (f frame, err error) {
	for p.output.Scan() {
		f = frame{}
		decoder := json.NewDecoder(bytes.NewReader(p.output.Bytes()))
		decoder.UseNumber() // an error's number keeps its digits
		if err := decoder.Decode(&f); err != nil {
			return frame{}, err
		}

		switch {
		case f.Progress != nil:
			follow(ctx, *f.Progress)
		case f.Part != nil && take != nil:
			take(*f.Part)
		default:
			return f, nil
		}
	}
	return frame{}, errors.Join(p.output.Err(), io.ErrUnexpectedEOF)
}

// follow reports the progress of a child.
func follow(ctx context.Context, p models.Progress) {
	collectors.Reached(ctx, p.Phase)
	if p.TablesTotal != nil {
		collectors.Expected(ctx, int(*p.TablesTotal))
	}
	if p.TablesSeen != nil {
		collectors.Counted(ctx, int(*p.TablesSeen))
	}
}

// end waits until the process has ended and returns the error of one that failed.
func (p *process) end() error {
	p.stop()
	err := p.cmd.Wait()
	if errors.Is(err, context.Canceled) {
		return nil
	}
	return err
}

// outOfMemory reports whether the process ended because it needed too much memory, as it or its runtime noticed.
func (p *process) outOfMemory() bool {
	return p.cmd.ProcessState.ExitCode() == exitMemory || p.errors.outOfMemory
}
