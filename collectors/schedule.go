package collectors

import (
	"context"
	"time"

	"whalefall/models"
)

// claimBatch is how many instances are claimed at a time, so that no transaction of the store is long.
const claimBatch = 100

// followTimeout is how long it may take to ask for the runs that follow another one.
const followTimeout = 2 * time.Minute

// Tick begins to collect the instances whose time has come at now. It may be called by several processes.
func (s *Service) Tick(ctx context.Context, now time.Time) error {
	if err := s.store.PlanSchedules(ctx, now); err != nil {
		return err
	}
	for more := true; more && ctx.Err() == nil && !s.closing(); {
		var due []int64
		var err error
		if due, more, err = s.store.ClaimDue(ctx, now, claimBatch); err != nil {
			return err
		}
		for _, id := range due {
			s.beginRound(ctx, id)
		}
	}
	return context.Cause(ctx)
}

// beginRound asks for the databases of an instance; ended sees to the rest. That this process stops is no failure of the
// instance: its round then looks as if it had lost its process.
func (s *Service) beginRound(ctx context.Context, id int64) {
	_, err := s.StartSync(ctx, models.Asker{}, id)
	if err == nil || ctx.Err() != nil || s.closing() {
		return
	}
	s.log.WarnContext(ctx, "a scheduled collection could not begin", "instance_id", id, "error", err)
	s.noteOutcome(ctx, models.Run{InstanceID: id, Kind: models.RunDatabases, Progress: models.Progress{Status: models.RunFailed}})
}

// ended has the schedule of an instance know how a run of it ended, and has the tables collected after the databases.
func (s *Service) ended(ctx context.Context, run models.Run) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), followTimeout)
	defer cancel()
	since := s.noteOutcome(ctx, run)
	if since == nil {
		return
	}
	if err := s.beginTables(ctx, run.InstanceID, *since); err != nil {
		s.log.WarnContext(ctx, "not all tables are collected", "instance_id", run.InstanceID, "error", err)
		s.noteOutcome(ctx, models.Run{InstanceID: run.InstanceID, Kind: models.RunTables, Progress: models.Progress{Status: models.RunFailed}})
	}
}

// noteOutcome is Store.ScheduleOutcome; a round whose outcome the store did not take looks as if it had lost its process.
func (s *Service) noteOutcome(ctx context.Context, run models.Run) (since *time.Time) {
	since, err := s.store.ScheduleOutcome(ctx, run)
	if err != nil {
		s.log.ErrorContext(ctx, "how a scheduled run ended was not stored", "instance_id", run.InstanceID, "refresh_id", run.ID, "error", err)
	}
	return since
}

func (s *Service) beginTables(ctx context.Context, id int64, since time.Time) error {
	names, err := s.store.Uncollected(ctx, id, since)
	if err != nil {
		return err
	}
	for _, name := range names {
		if _, err := s.StartRefresh(ctx, models.Asker{}, id, name); err != nil {
			return err
		}
	}
	return nil
}
