package collectors

import (
	"context"
	"time"

	"whalefall/models"
)

// endEvery is how often a store is tried again that did not take how a run ended.
const endEvery = time.Second

// owe remembers how a run ended until the store takes it, as when it is full or starts again.
func (s *Service) owe(row models.Run) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.owed = append(s.owed, row)
}

// owedOr is the run as it ended here, if the store has not taken that yet.
func (s *Service) owedOr(row models.Run) models.Run {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, owed := range s.owed {
		if owed.ID == row.ID {
			return owed
		}
	}
	return row
}

func (s *Service) owes(id int64) bool {
	ended := s.owedOr(models.Run{ID: id})
	return ended.Ended()
}

// settleEnds has the store take how runs ended that it did not take before.
func (s *Service) settleEnds(ctx context.Context) error {
	s.mu.Lock()
	owed := s.owed
	s.owed = nil
	s.mu.Unlock()
	for i, row := range owed {
		err := s.store.EndRun(ctx, row)
		if err != nil && !models.Is(err, models.CodeNotFound) { // a run goes with its instance
			s.mu.Lock()
			s.owed = append(owed[i:], s.owed...)
			s.mu.Unlock()
			return err
		}
	}
	return nil
}
