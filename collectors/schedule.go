package collectors

import (
	"context"
	"time"

	"whalefall/models"
)

// claimBatch is how many instances are claimed at a time, so that no transaction of the store is long.
const claimBatch = 100

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

// beginRound asks for the databases of an instance; their tables follow when that run has ended. That this process stops is
// no failure of the instance: its round then looks as if it had lost its process.
func (s *Service) beginRound(ctx context.Context, id int64) {
	_, err := s.StartSync(ctx, models.Requester{}, id)
	if err == nil || ctx.Err() != nil || s.closing() {
		return
	}
	s.log.WarnContext(ctx, "a scheduled collection could not begin", "instance_id", id, "error", err)
	s.ended(ctx, models.Run{InstanceID: id, Kind: models.RunDatabases, Progress: models.Progress{Status: models.RunFailed}})
}

// ended has the schedule of an instance know how a run of it ended; after its databases, their tables are queued. A round
// whose outcome the store did not take looks as if it had lost its process.
func (s *Service) ended(ctx context.Context, run models.Run) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), endTimeout)
	defer cancel()
	if err := s.store.ScheduleOutcome(ctx, run); err != nil {
		s.log.ErrorContext(ctx, "how a scheduled run ended was not stored", "instance_id", run.InstanceID, "refresh_id", run.ID, "error", err)
	}
}
