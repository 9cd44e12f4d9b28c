package collectors

import (
	"context"
	"slices"
	"sync"
	"time"

	"whalefall/models"
)

// Progress records how far a run has come. Collectors report to the Progress of their context, and to nothing where
// there is none. It is safe for concurrent use.
type Progress struct {
	now     func() time.Time
	changed chan struct{}

	mu    sync.Mutex
	p     models.Progress
	since time.Time // when the phase began
}

// NewProgress returns the progress of a run that has not started.
func NewProgress(now func() time.Time) *Progress {
	return &Progress{now: now, changed: make(chan struct{}, 1)}
}

// Changed returns a channel that receives after progress was reported, once for reports that nobody has waited for.
func (p *Progress) Changed() <-chan struct{} { return p.changed }

type progressKey struct{}

// WithProgress returns a context whose collector reports to p.
func WithProgress(ctx context.Context, p *Progress) context.Context {
	return context.WithValue(ctx, progressKey{}, p)
}

func report(ctx context.Context, update func(*Progress)) {
	if p, kept := ctx.Value(progressKey{}).(*Progress); kept {
		p.mu.Lock()
		defer p.mu.Unlock()
		update(p)
		select {
		case p.changed <- struct{}{}:
		default:
		}
	}
}

// Reached reports that the run is in a phase. Earlier phases than the current one are ignored, as with a second
// connection.
func Reached(ctx context.Context, phase models.RunPhase) {
	report(ctx, func(p *Progress) { p.reach(phase) })
}

// Counted reports how many tables have been read so far.
func Counted(ctx context.Context, tables int) {
	n := int64(tables)
	report(ctx, func(p *Progress) { p.p.TablesSeen = &n })
}

// Expected reports how many tables there are to read.
func Expected(ctx context.Context, tables int) {
	n := int64(tables)
	report(ctx, func(p *Progress) { p.p.TablesTotal = &n })
}

// Start records that the run has been running since a moment.
func (p *Progress) Start(started time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.p = models.Progress{Status: models.RunRunning, Phase: models.PhaseConnecting, StartedAt: &started}
	p.since = started
}

var phases = []models.RunPhase{"", models.PhaseConnecting, models.PhaseQuerying, models.PhaseStoring}

func (p *Progress) reach(phase models.RunPhase) {
	if slices.Index(phases, phase) <= slices.Index(phases, p.p.Phase) {
		return
	}
	now := p.now()
	p.p = p.phaseEnded(now)
	p.p.Phase, p.since = phase, now
}

// phaseEnded returns the progress with the duration of its current phase.
func (p *Progress) phaseEnded(now time.Time) models.Progress {
	out, ms := p.p, now.Sub(p.since).Milliseconds()
	switch out.Phase {
	case models.PhaseConnecting:
		out.ConnectingMS = &ms
	case models.PhaseQuerying:
		out.QueryingMS = &ms
	case models.PhaseStoring:
		out.StoringMS = &ms
	}
	return out
}

// Snapshot returns the current progress.
func (p *Progress) Snapshot() models.Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.p
}

// End returns the progress of a run that ends now with a status. The recorded progress stays as it is: the run counts
// as running until the store has its end.
func (p *Progress) End(status models.RunStatus, now time.Time) models.Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.phaseEnded(now)
	out.Status, out.Phase = status, ""
	return out
}
