package collectors

import (
	"context"
	"slices"
	"sync"
	"time"

	"whalefall/models"
)

// progress is how far a run has come. Who does the work tells it through the context, so that nobody has to be handed it
// who has nothing to tell.
type progress struct {
	now func() time.Time

	mu    sync.Mutex
	p     models.Progress
	since time.Time // when the phase began
}

type progressKey struct{}

func withProgress(ctx context.Context, p *progress) context.Context {
	return context.WithValue(ctx, progressKey{}, p)
}

func report(ctx context.Context, tell func(*progress)) {
	if p, kept := ctx.Value(progressKey{}).(*progress); kept {
		p.mu.Lock()
		defer p.mu.Unlock()
		tell(p)
	}
}

// reached says that the run is in a phase. A run never goes back to an earlier one, as with a second connection.
func Reached(ctx context.Context, phase models.RunPhase) {
	report(ctx, func(p *progress) { p.reach(phase) })
}

// counted says how many tables have been looked at so far.
func Counted(ctx context.Context, tables int) {
	n := int64(tables)
	report(ctx, func(p *progress) { p.p.TablesSeen = &n })
}

// expected says how many tables there are to look at.
func Expected(ctx context.Context, tables int) {
	n := int64(tables)
	report(ctx, func(p *progress) { p.p.TablesTotal = &n })
}

// begin says that the run runs since then.
func (p *progress) begin(started time.Time) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.p = models.Progress{Status: models.RunRunning, Phase: models.PhaseConnecting, StartedAt: &started}
	p.since = started
}

var phases = []models.RunPhase{"", models.PhaseConnecting, models.PhaseQuerying, models.PhaseStoring}

func (p *progress) reach(phase models.RunPhase) {
	if slices.Index(phases, phase) <= slices.Index(phases, p.p.Phase) {
		return
	}
	now := p.now()
	p.p = p.phaseEnded(now)
	p.p.Phase, p.since = phase, now
}

// phaseEnded is the progress with the time that its phase took.
func (p *progress) phaseEnded(now time.Time) models.Progress {
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

// snapshot is the progress as it is now.
func (p *progress) snapshot() models.Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.p
}

// ended is the progress as it is stored at the end. Until that is done, the run counts as running.
func (p *progress) ended(status models.RunStatus, now time.Time) models.Progress {
	p.mu.Lock()
	defer p.mu.Unlock()
	out := p.phaseEnded(now)
	out.Status, out.Phase = status, ""
	return out
}
